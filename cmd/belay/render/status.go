package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// Status is the page that "belay status" shows.
func Status(s *status.Summary, st Style) string {
	var b strings.Builder
	section(&b, header(s, st))
	section(&b, Nodes(s, st))
	section(&b, Resources(s, st))
	if slices.ContainsFunc(s.FenceDevices, func(d status.FenceDevice) bool { return d.State == status.FenceDeviceFailed }) {
		section(&b, FenceDevices(s, st))
	}
	section(&b, Actions(s, st))
	section(&b, Alarms(s.Alarms, s.Time, st))
	if len(s.Faults) > 0 {
		t := table{header: []string{"NOT READABLE", "REASON"}}
		for _, f := range s.Faults {
			t.row(cell{f.Path, bad}, cell{f.Text, plain})
		}
		section(&b, t.render(st))
	}
	return b.String()
}

// header is the state of the cluster in a few lines.
func header(s *status.Summary, st Style) string {
	c := &s.Cluster
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s  %s\n", st.paint(dim, "cluster"), st.paint(strong, c.Name), st.paint(clusterTone(c.State), c.State.String()), c.Reason)
	parts := []string{}
	if c.DC != "" {
		parts = append(parts, "DC "+c.DC)
	} else {
		parts = append(parts, st.paint(bad, "no DC"))
	}
	quorum := "quorum " + s.Quorum.Reason
	if s.Quorum.State == status.QuorumInquorate {
		quorum = st.paint(bad, "no quorum: "+s.Quorum.Reason)
	}
	parts = append(parts, quorum, fmt.Sprintf("configuration %d", c.Generation))
	if !c.FencingRequired {
		parts = append(parts, st.paint(bad, "FENCING IS OFF"))
	}
	if c.Maintenance {
		parts = append(parts, st.paint(warn, "maintenance"))
	}
	if c.StopAllResources {
		parts = append(parts, st.paint(warn, "all resources are stopped"))
	}
	if s.Store.State == status.StoreUnhealthy {
		parts = append(parts, st.paint(bad, "store: "+s.Store.Reason))
	}
	b.WriteString(strings.Join(parts, st.paint(dim, " | ")) + "\n")
	return b.String()
}

// Nodes is the table of nodes, remote nodes last.
func Nodes(s *status.Summary, st Style) string {
	t := table{header: []string{"NODE", "STATE", "FOR", "ROLE", "RUNNING", "FENCING", "HEALTH", "VERSION", "REASON"}, right: map[int]bool{4: true}}
	version := len(s.Cluster.Versions) > 1
	for _, n := range slices.Concat(s.Nodes, s.Remotes) {
		role := n.Role.String()
		if n.Role == status.RoleRemote && n.State == status.NodeOnline {
			role += ", at " + n.Host
		}
		if n.Voter && n.Role != status.RoleArbiter {
			role += ", voter"
		}
		health, shown := "", ""
		if n.Health != status.HealthUnknown {
			health = n.Health.String()
		}
		if version {
			shown = n.Version
		}
		reason := n.Reason
		if n.State == status.NodeOnline {
			reason = ""
		}
		if reason == "" && n.Fence != status.FenceReadinessReady && n.Fence != status.FenceReadinessOff {
			reason = n.FenceReason
		}
		t.row(cell{n.Name, strong}, cell{n.State.String(), nodeTone(n.State)}, cell{Ago(s.Time, n.Since), plain}, cell{role, plain},
			cell{fmt.Sprint(n.Running), plain}, cell{n.Fence.String(), fenceTone(n.Fence)}, cell{health, plain}, cell{shown, plain}, cell{reason, dim})
	}
	return t.render(st)
}

// Resources is the tree of resources.
func Resources(s *status.Summary, st Style) string {
	return resources(s, st, func(*status.Resource) bool { return true })
}

// ResourceTree is the part of the tree below one resource.
func ResourceTree(s *status.Summary, id string, st Style) string {
	depth, inside := 0, false
	return resources(s, st, func(r *status.Resource) bool {
		switch {
		case r.ID == id:
			inside, depth = true, r.Depth
		case inside && r.Depth <= depth:
			inside = false
		}
		return inside
	})
}

func resources(s *status.Summary, st Style, want func(*status.Resource) bool) string {
	t := table{header: []string{"RESOURCE", "KIND", "STATE", "WHERE", "FOR", "FAILED", "REASON"}}
	for i := range s.Resources {
		r := &s.Resources[i]
		if !want(r) {
			continue
		}
		kind := cmp.Or(r.Agent, r.Kind.String())
		if r.Orphan {
			kind = "configured no more"
		}
		fails := ""
		if r.FailCount != 0 {
			fails = r.FailCount.String()
		}
		t.row(cell{strings.Repeat("  ", r.Depth) + r.ID, strong}, cell{kind, dim}, cell{stateText(r), resourceTone(r)}, cell{where(r), plain},
			cell{Ago(s.Time, r.Since), plain}, cell{fails, warn}, cell{r.Reason, plain})
	}
	return t.render(st)
}

func stateText(r *status.Resource) string {
	text := r.State.String()
	if r.Kind != cib.KindPrimitive && r.Expected > 0 && r.Active != r.Expected && r.Active > 0 {
		text += fmt.Sprintf(" %d/%d", r.Active, r.Expected)
	}
	return text
}

// where lists the nodes of a resource, promoted ones first and marked.
func where(r *status.Resource) string {
	if len(r.Promoted) == 0 {
		return strings.Join(slices.Compact(slices.Clone(r.Nodes)), " ")
	}
	var out []string
	for _, n := range r.Promoted {
		out = append(out, n+" (promoted)")
	}
	for _, n := range r.Nodes {
		if !slices.Contains(r.Promoted, n) {
			out = append(out, n)
		}
	}
	return strings.Join(out, " ")
}

// Actions is the table of what is being done.
func Actions(s *status.Summary, st Style) string {
	t := table{header: []string{"IN FLIGHT", "STATE", "FOR", "BECAUSE"}}
	for i := range s.Actions {
		a := &s.Actions[i]
		t.row(cell{a.Text, strong}, cell{a.State.String(), plain}, cell{Ago(s.Time, a.Asked), plain}, cell{Why(a.Why), dim})
	}
	return t.render(st)
}

// Why writes the reason of a decision in one line.
func Why(w cib.Why) string {
	text := w.Cause
	if w.Rule != "" {
		text += " [" + w.Rule + "]"
	}
	if w.Proof != "" {
		text += " (proof " + w.Proof + ")"
	}
	return strings.TrimSpace(text)
}

// Alarms lists what is wrong, and what to do about it.
func Alarms(alarms []status.Alarm, now time.Time, st Style) string {
	var b strings.Builder
	for i := range alarms {
		a := &alarms[i]
		if i == 0 {
			b.WriteString(st.paint(dim, "ALARMS") + "\n")
		}
		since := ""
		if !a.Since.IsZero() {
			since = ", for " + Ago(now, a.Since)
		}
		fmt.Fprintf(&b, "%s %s %s  %s\n", st.paint(severityTone(a.Severity), st.symbol("●", "*")+" "+a.Severity.String()), a.Code, st.paint(strong, a.Title), st.paint(dim, strings.TrimPrefix(since, ", ")))
		fmt.Fprintf(&b, "    %s\n", a.Text)
		if a.Remedy != "" {
			fmt.Fprintf(&b, "    %s %s\n", st.paint(dim, st.symbol("→", "->")), a.Remedy)
		}
		if k := a.Acknowledged; k != nil {
			fmt.Fprintf(&b, "    acknowledged by %s, %s ago%s\n", k.By, Ago(now, k.Time), strings.TrimSuffix(": "+k.Comment, ": "))
		}
	}
	return b.String()
}

// Links is the table of links.
func Links(s *status.Summary, st Style) string {
	t := table{header: []string{"NODE", "PEER", "LINK", "STATE", "FOR", "FROM", "TO", "RTT", "LOSS", "SENT", "RECEIVED", "REJECTED"}, right: map[int]bool{7: true, 8: true, 9: true, 10: true, 11: true}}
	for i := range s.Links {
		l := &s.Links[i]
		rejected := ""
		if l.Rejected > 0 {
			rejected = fmt.Sprint(l.Rejected)
		}
		t.row(cell{l.Node, strong}, cell{l.Peer, plain}, cell{fmt.Sprint(l.Link), plain}, cell{l.State.String(), linkTone(l.State)}, cell{Ago(s.Time, l.Since), plain},
			cell{l.Address, dim}, cell{l.PeerAddress, dim}, cell{short(l.RTT), plain}, cell{fmt.Sprintf("%.0f%%", 100*l.Loss), plain},
			cell{fmt.Sprint(l.Sent), plain}, cell{fmt.Sprint(l.Received), plain}, cell{rejected, warn})
	}
	if len(t.rows) == 0 {
		return "no node reports links\n"
	}
	return t.render(st)
}

// Store is the table of the store's members.
func Store(s *status.Summary, st Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  revision %d", st.paint(dim, "store"), st.paint(storeTone(s.Store.State), s.Store.State.String()), s.Store.Revision)
	if s.Store.Reason != "" {
		b.WriteString("  " + s.Store.Reason)
	}
	b.WriteString("\n")
	if x := s.Store.External; len(x) > 0 {
		fmt.Fprintf(&b, "external: %s  leader %s\n", strings.Join(x, " "), cmp.Or(s.Store.Leader, "unknown"))
	}
	t := table{header: []string{"MEMBER", "STATE", "LEADS", "SIZE", "IN USE", "QUOTA", "LATENCY", "BACKUP", "REASON"}, right: map[int]bool{3: true, 4: true, 5: true, 6: true}}
	for i := range s.Store.Members {
		m := &s.Store.Members[i]
		leads := ""
		if m.Leader {
			leads = "yes"
		}
		t.row(cell{m.Node, strong}, cell{m.State.String(), storeTone(m.State)}, cell{leads, plain}, cell{size(m.SizeBytes), plain}, cell{size(m.InUse), plain},
			cell{size(m.Quota), plain}, cell{short(m.Latency), plain}, cell{ago(s.Time, m.Backup), plain}, cell{m.Alarm, plain})
	}
	b.WriteString(t.render(st))
	return b.String()
}

func ago(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Ago(now, t) + " ago"
}

// FenceDevices is the table of fence devices.
func FenceDevices(s *status.Summary, st Style) string {
	t := table{header: []string{"FENCE DEVICE", "AGENT", "STATE", "TARGETS", "CHECKED", "USED", "REASON"}, right: map[int]bool{5: true}}
	for i := range s.FenceDevices {
		d := &s.FenceDevices[i]
		tn := warn
		switch d.State {
		case status.FenceDeviceAvailable:
			tn = good
		case status.FenceDeviceFailed:
			tn = bad
		case status.FenceDeviceUnknown, status.FenceDeviceDisabled:
		}
		used := ""
		if d.Succeeded > 0 {
			used = fmt.Sprint(d.Succeeded)
		}
		t.row(cell{d.ID, strong}, cell{d.Agent, dim}, cell{d.State.String(), tn}, cell{strings.Join(d.Targets, " "), plain},
			cell{ago(s.Time, d.Checked), plain}, cell{used, plain}, cell{d.Reason, plain})
	}
	return t.render(st)
}

// FenceStatus says for each node whether it could be fenced, and shows the devices.
func FenceStatus(s *status.Summary, st Style) string {
	var b strings.Builder
	if !s.Cluster.FencingRequired {
		b.WriteString(st.paint(bad, "FENCING IS OFF") + ": after a node failure data may be written by two nodes\n\n")
	}
	t := table{header: []string{"NODE", "FENCING", "HOW"}}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		t.row(cell{n.Name, strong}, cell{n.Fence.String(), fenceTone(n.Fence)}, cell{n.FenceReason, plain})
	}
	section(&b, t.render(st))
	section(&b, FenceDevices(s, st))
	c := table{header: []string{"DEVICE", "FROM", "ANSWERS", "CHECKED", "ERROR"}}
	for i := range s.FenceDevices {
		for _, x := range s.FenceDevices[i].Checks {
			tn := good
			if !x.OK {
				tn = bad
			}
			c.row(cell{s.FenceDevices[i].ID, strong}, cell{x.Node, plain}, cell{yes(x.OK), tn}, cell{ago(s.Time, x.Time), plain}, cell{x.Error, plain})
		}
	}
	section(&b, c.render(st))
	return b.String()
}

// FenceHistory is the table of fencing requests with their proofs; of one node, or
// of all with "".
func FenceHistory(s *status.Summary, node string, st Style) string {
	t := table{header: []string{"TIME", "NODE", "OP", "RESULT", "TOOK", "BY", "DEVICE", "PROOF", "BECAUSE"}}
	for i := range s.Fencing {
		f := &s.Fencing[i]
		if node != "" && f.Target != node {
			continue
		}
		tn, proof, took := warn, "", ""
		switch f.Result {
		case status.FenceResultSucceeded:
			tn = good
		case status.FenceResultFailed, status.FenceResultTimedOut:
			tn = bad
		case status.FenceResultPending, status.FenceResultWithdrawn:
		}
		if f.Proof != nil {
			proof = f.Proof.Kind.String()
			if f.Proof.Void != "" {
				proof, tn = proof+", VOID: "+f.Proof.Void, bad
			}
		}
		if !f.Ended.IsZero() {
			took = short(f.Ended.Sub(f.Asked))
		}
		reason := f.Reason
		if f.Error != "" {
			reason = strings.TrimPrefix(reason+"; "+f.Error, "; ")
		}
		t.row(cell{st.stamp(f.Asked, toSecond), dim}, cell{f.Target, strong}, cell{f.Op.String(), plain}, cell{f.Result.String(), tn}, cell{took, plain},
			cell{f.Executor, plain}, cell{f.Device, plain}, cell{proof, plain}, cell{reason, plain})
	}
	if len(t.rows) == 0 {
		return "nothing was fenced\n"
	}
	return t.render(st)
}

// Quorum shows the votes and the verdict.
func Quorum(s *status.Summary, st Style) string {
	q := &s.Quorum
	tn := good
	if q.State != status.QuorumQuorate && q.State != status.QuorumNotRequired {
		tn = bad
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s\n", st.paint(dim, "quorum"), st.paint(tn, q.State.String()), q.Reason)
	fmt.Fprintf(&b, "no-quorum-policy %s: %s\n", q.Policy, cib.NoQuorumPolicies.Text(q.Policy))
	t := table{header: []string{"VOTER", "VOTES", "COUNT", "STATE", "STORE"}}
	for _, v := range q.Voters {
		here, tn, store := "yes", good, ""
		if !v.Here {
			here, tn = "missing", bad
		}
		if v.Leader {
			store = "leads"
		}
		t.row(cell{v.Node, strong}, cell{fmt.Sprint(v.Votes), plain}, cell{here, tn}, cell{v.State.String(), nodeTone(v.State)}, cell{store, plain})
	}
	section(&b, t.render(st))
	d := table{header: []string{"TIE-BREAKER", "KIND", "ORDER", "SAYS"}}
	for _, x := range slices.SortedStableFunc(slices.Values(q.Devices), func(x, y status.QuorumDevice) int { return x.Order - y.Order }) {
		d.row(cell{x.ID, strong}, cell{x.Kind.String(), plain}, cell{fmt.Sprint(x.Order), plain}, deviceSays(&x))
	}
	section(&b, d.render(st))
	return b.String()
}

// deviceSays is what is known of a tie-breaker.
func deviceSays(x *status.QuorumDevice) cell {
	switch {
	case x.Asked && x.Answer == cib.QuorumHave:
		return cell{"yes: " + x.Reason, good}
	case x.Asked:
		return cell{strings.TrimSuffix("no: "+x.Reason, ": "), bad}
	case x.Failed != "":
		return cell{"does not answer: " + x.Failed, bad}
	}
	return cell{"not asked: no tie", dim}
}

// Cluster shows the cluster without its resources.
func Cluster(s *status.Summary, st Style) string {
	c := &s.Cluster
	var b strings.Builder
	section(&b, header(s, st))
	t := table{header: []string{"", ""}, indent: "  "}
	add := func(name, value string) {
		if value != "" {
			t.row(cell{name, dim}, cell{value, plain})
		}
	}
	add("view", fmt.Sprintf("%d: %s", c.View, strings.Join(c.Members, ", ")))
	add("formed", strings.TrimSuffix(ago(s.Time, c.ViewFormed)+", "+c.ViewReason, ", "))
	add("DC", strings.TrimSuffix(c.DC+" for "+Ago(s.Time, c.DCSince), " for "))
	add("configuration", strings.TrimSuffix(fmt.Sprintf("generation %d, changed %s", c.Generation, ago(s.Time, c.ConfigChanged)), ", changed "))
	add("data generation", fmt.Sprint(c.DataGeneration))
	add("feature level", fmt.Sprint(c.FeatureLevel))
	add("versions", strings.Join(c.Versions, ", "))
	add("nodes", fmt.Sprintf("%d, %d online", c.Counts.Nodes, c.Counts.NodesOnline))
	add("resources", fmt.Sprintf("%d, %d running, %d failed", c.Counts.Resources, c.Counts.ResourcesRunning, c.Counts.ResourcesFailed))
	body := t.render(Style{Color: st.Color, Unicode: st.Unicode})
	if _, rest, ok := strings.Cut(body, "\n"); ok {
		body = rest // a table without a header
	}
	section(&b, body)
	section(&b, Nodes(s, st))
	section(&b, Store(s, st))
	section(&b, Alarms(s.Alarms, s.Time, st))
	return b.String()
}

// Node shows one node.
func Node(s *status.Summary, n *status.Node, st Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s", st.paint(dim, "node"), st.paint(strong, n.Name), st.paint(nodeTone(n.State), n.State.String()))
	if n.Reason != "" {
		b.WriteString("  " + n.Reason)
	}
	b.WriteString("\n")
	for _, x := range [][2]string{
		{"state since", ago(s.Time, n.Since)},
		{"role", n.Role.String()},
		{"votes", fmt.Sprint(n.Votes)},
		{"site", n.Site},
		{"addresses", strings.Join(n.Addresses, ", ")},
		{"engine", n.Version},
		{"engine up", Ago(s.Time, n.UpSince)},
		{"boot", n.BootID},
		{"fencing", strings.TrimSuffix(n.Fence.String()+": "+n.FenceReason, ": ")},
		{"proof", n.Proof},
		{"clock", short(n.ClockOffset)},
	} {
		if x[1] != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", x[0], x[1])
		}
	}
	if n.Watchdog != nil {
		fmt.Fprintf(&b, "  %-12s %s (%s), %s\n", "watchdog", n.Watchdog.Device, n.Watchdog.Identity, n.Watchdog.Timeout)
	}
	a := table{header: []string{"ATTRIBUTE", "VALUE"}}
	for _, k := range sorted(n.Attributes) {
		a.row(cell{k, strong}, cell{n.Attributes[k], plain})
	}
	section(&b, a.render(st))
	t := table{header: []string{"RESOURCE", "STATE", "FOR", "FAILED", "REASON"}}
	for i := range s.Resources {
		for _, x := range s.Resources[i].Instances {
			if x.Node != n.Name || x.State == status.InstanceStopped {
				continue
			}
			fails := ""
			if x.FailCount != 0 {
				fails = x.FailCount.String()
			}
			t.row(cell{x.Instance, strong}, cell{x.State.String(), instanceTone(x.State)}, cell{Ago(s.Time, x.Since), plain}, cell{fails, warn}, cell{x.Reason, plain})
		}
	}
	section(&b, t.render(st))
	var alarms []status.Alarm
	for _, x := range s.Alarms {
		if x.Node == n.Name {
			alarms = append(alarms, x)
		}
	}
	section(&b, Alarms(alarms, s.Time, st))
	return b.String()
}

// Resource shows one resource: its tree, its instances and what their operations
// said last.
func Resource(s *status.Summary, r *status.Resource, st Style) string {
	var b strings.Builder
	section(&b, ResourceTree(s, r.ID, st))
	if r.Description != "" {
		section(&b, r.Description+"\n")
	}
	t := table{header: []string{"INSTANCE", "NODE", "STATE", "ROLE", "FOR", "FAILED", "REASON"}}
	ops := table{header: []string{"OPERATION", "INSTANCE", "NODE", "RESULT", "WHEN", "TOOK", "REASON"}}
	var output strings.Builder
	for _, x := range r.Instances {
		fails := ""
		if x.FailCount != 0 {
			fails = x.FailCount.String()
		}
		t.row(cell{x.Instance, strong}, cell{x.Node, plain}, cell{x.State.String(), instanceTone(x.State)}, cell{x.Role.String(), plain},
			cell{Ago(s.Time, x.Since), plain}, cell{fails, warn}, cell{x.Reason, plain})
		for _, o := range x.Operations {
			name, tn := o.Op, plain
			if o.Interval > 0 {
				name += " every " + o.Interval.String()
			}
			if o.Failed {
				tn = bad
			}
			result := fmt.Sprintf("%d", o.RC)
			if o.Status != cib.OpDone {
				result = o.Status.String()
			}
			ops.row(cell{name, strong}, cell{x.Instance, plain}, cell{x.Node, plain}, cell{result, tn}, cell{ago(s.Time, o.Ended), plain}, cell{short(o.Exec), plain}, cell{o.Reason, plain})
			if o.Output != "" {
				fmt.Fprintf(&output, "%s\n    %s\n", st.paint(dim, fmt.Sprintf("what %s said on %s:", name, x.Node)), strings.ReplaceAll(strings.TrimSpace(o.Output), "\n", "\n    "))
			}
		}
	}
	section(&b, t.render(st))
	section(&b, ops.render(st))
	section(&b, output.String())
	return b.String()
}

// Failures lists the operations that failed, with what the agents said.
func Failures(s *status.Summary, id string, st Style) string {
	var b strings.Builder
	for i := range s.Resources {
		r := &s.Resources[i]
		if id != "" && r.ID != id && r.Parent != id {
			continue
		}
		for _, x := range r.Instances {
			for _, o := range x.Operations {
				if !o.Failed {
					continue
				}
				result := fmt.Sprintf("exit code %d", o.RC)
				if o.Status != cib.OpDone {
					result = o.Status.String()
				}
				fmt.Fprintf(&b, "%s on %s: %s  %s %s\n", st.paint(strong, o.Op+" of "+x.Instance), x.Node, st.paint(bad, result), o.Reason, st.paint(dim, "("+ago(s.Time, o.Ended)+")"))
				if o.Output != "" {
					fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(strings.TrimSpace(o.Output), "\n", "\n    "))
				}
			}
		}
	}
	if b.Len() == 0 {
		return "no failures\n"
	}
	return b.String()
}
