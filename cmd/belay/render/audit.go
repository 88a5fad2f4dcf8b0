package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
)

// Audit renders records of an audit log.
func Audit(records []*audit.Record, st Style) string {
	if len(records) == 0 {
		return "No such records.\n"
	}
	t := table{header: []string{"SEQ", "TIME", "WHO", "VIA", "PHASE", "ACTION", "OBJECT", "RESULT", "WHY"}, right: map[int]bool{0: true}}
	for _, r := range records {
		who := r.Actor.User
		if r.Actor.LoginUID != "" && r.Actor.LoginUID != who {
			who = r.Actor.LoginUID + " as " + who
		}
		tone := plain
		switch r.Result {
		case audit.ResultRefused, audit.ResultFailed, audit.ResultUnknown:
			tone = bad
		}
		why := r.Reason
		if r.ChangeRef != "" {
			why = strings.TrimSpace(r.ChangeRef + " " + why)
		}
		t.row(cell{fmt.Sprint(r.Seq), dim}, cell{st.stamp(r.Time, toSecond), dim}, cell{text: who}, cell{text: r.Actor.Via}, cell{text: string(r.Phase)},
			cell{text: r.Action}, cell{text: r.Object}, cell{r.Result, tone}, cell{text: why})
	}
	return t.render(st)
}

// AuditState renders how a node's audit log stands.
func AuditState(s *api.AuditState, st Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Audit log of %s: %d records, signed up to %d\n", s.Node, s.Records, s.Signed)
	if s.Problem != "" {
		fmt.Fprintf(&b, "%s\n", st.paint(bad, "It cannot be written: "+s.Problem+". Changes are refused here."))
	}
	if s.Waiting > 0 || s.Lost > 0 {
		fmt.Fprintf(&b, "Events of the engine: %d wait, %d were lost\n", s.Waiting, s.Lost)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Witnesses)) {
		if why := s.Witnesses[name]; why != "" {
			fmt.Fprintf(&b, "  %s does not sign: %s\n", st.paint(bad, name), why)
		} else {
			fmt.Fprintf(&b, "  %s signs\n", name)
		}
	}
	for _, f := range s.Forwards {
		text := fmt.Sprintf("  forwarded to %s up to record %d", f.Name, f.Delivered)
		if w := f.Delivery.Waiting; w != nil && *w > 0 {
			text += fmt.Sprintf(", %d wait", *w)
		}
		if at := f.Delivery.LastSentAt; !at.IsZero() {
			text += ", last at " + st.stamp(at, toSecond)
		}
		if f.Problem != "" {
			text += ": " + st.paint(bad, f.Problem)
		}
		b.WriteString(text + "\n")
	}
	if s.Key != "" {
		fmt.Fprintf(&b, "Public key: %s\n", s.Key)
		for _, k := range slices.Backward(s.Replaced) {
			fmt.Fprintf(&b, "  up to record %d: %s\n", k.Records, k.Key)
		}
	}
	return b.String()
}

// AuditCluster renders what was found in the audit logs of all nodes.
func AuditCluster(v *api.AuditClusterVerdict, st Style) string {
	t := table{header: []string{"NODE", "LOG", "RECORDS", "SIGNED", "BY OTHERS", "SIGNED BY"}, right: map[int]bool{2: true, 3: true, 4: true}}
	var wrong []string
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Unverified != "" {
			most := uint64(0)
			for _, h := range n.Holders {
				most = max(most, h.Records)
			}
			t.row(cell{text: n.Node}, cell{"not verified", warn}, cell{text: ""}, cell{text: ""}, cell{text: fmt.Sprint(most)}, cell{text: holders(n.Holders)})
			wrong = append(wrong, n.Node+": "+n.Unverified)
			continue
		}
		state, tone := "whole", good
		if !n.Whole {
			state, tone = "NOT whole", bad
			reason := n.Reason
			if n.FirstBad > 0 {
				reason = fmt.Sprintf("the first bad record is %d: %s", n.FirstBad, reason)
			}
			wrong = append(wrong, n.Node+": "+reason)
		}
		t.row(cell{text: n.Node}, cell{state, tone}, cell{text: fmt.Sprint(n.Records)}, cell{text: fmt.Sprint(n.Signed)}, cell{text: fmt.Sprint(n.Witnessed)}, cell{text: holders(n.Holders)})
	}
	var b strings.Builder
	b.WriteString(t.render(st))
	for _, w := range wrong {
		b.WriteString(w + "\n")
	}
	switch {
	case !v.Whole:
		fmt.Fprintf(&b, "%s\n", st.paint(bad, "At least one audit log is NOT whole."))
	case !v.Complete:
		b.WriteString("Nothing wrong was found, but not every log was verified.\n")
	default:
		b.WriteString("Every audit log is whole, and is what the other nodes signed.\n")
	}
	return b.String()
}

func holders(list []api.AuditHolder) string {
	names := make([]string, len(list))
	for i, h := range list {
		names[i] = h.Node
	}
	return strings.Join(names, ", ")
}
