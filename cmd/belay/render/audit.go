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
		if f.Problem != "" {
			text += ": " + st.paint(bad, f.Problem)
		}
		b.WriteString(text + "\n")
	}
	if s.Key != "" {
		fmt.Fprintf(&b, "Public key: %s\n", s.Key)
	}
	return b.String()
}
