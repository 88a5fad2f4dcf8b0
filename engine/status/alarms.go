package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// definitions are the events by code.
var definitions = func() map[string]*event.Definition {
	m := make(map[string]*event.Definition, len(event.Catalogue))
	for i := range event.Catalogue {
		m[event.Catalogue[i].Code()] = &event.Catalogue[i]
	}
	return m
}()

// alarms lists what is wrong now. What the snapshot itself shows is taken from
// there: an alarm then ends with its cause, even if the event that says so was
// lost. The ring tells the rest: what only happened, and what only one node can
// see.
func (b *builder) alarms() {
	for _, n := range b.hosts() {
		b.nodeAlarms(n)
	}
	if q := &b.out.Quorum; q.State == QuorumInquorate {
		node := ""
		if b.o != nil {
			node = b.o.Node
		}
		b.raise(event.QuorumLost, "", time.Time{}, "quorum lost: "+q.Reason, "node", node)
	}
	b.linkAlarms()
	if !b.c.Cluster.Options.Fencing() {
		b.raise(event.FencingOff, "", b.since(event.FencingOff, "", ""), "")
	}
	for i := range b.out.FenceDevices {
		d := &b.out.FenceDevices[i]
		for _, c := range d.Checks {
			if !c.OK {
				b.raise(event.FenceDeviceFailed, "", c.Time, "", "device", d.ID, "node", c.Node, "reason", orText(c.Error, "no reason given"))
			}
		}
	}
	b.storeAlarms()
	b.resourceAlarms()
	b.ringAlarms()
	for i := range b.out.Alarms {
		a := &b.out.Alarms[i]
		a.Acknowledged = b.s.Acknowledgement(a.ID, a.Since)
	}
	slices.SortStableFunc(b.out.Alarms, func(x, y Alarm) int {
		return order(cmp.Compare(x.Severity, y.Severity), x.Since.Compare(y.Since), strings.Compare(x.ID, y.ID))
	})
}

// raise adds an alarm. more tells apart what node, resource and device do not;
// text replaces the event's own where that is not "".
func (b *builder) raise(number int, more string, since time.Time, text string, args ...string) *Alarm {
	ev := event.New(number, args...)
	ev.Time = since
	if text != "" {
		ev.Text = text
	}
	return b.add(&ev, more)
}

func (b *builder) add(ev *cib.Event, more string) *Alarm {
	d := definitions[ev.Code]
	b.out.Alarms = append(b.out.Alarms, Alarm{
		ID: alarmID(ev, more), Code: ev.Code, Name: d.Name, Severity: d.Severity, Title: d.Title, Text: ev.Text, Remedy: event.Render(d.Remedy, ev),
		Since: ev.Time, Node: ev.Node, Resource: ev.Resource, Device: ev.Device,
	})
	return &b.out.Alarms[len(b.out.Alarms)-1]
}

func alarmID(ev *cib.Event, more string) string {
	parts := slices.DeleteFunc([]string{ev.Code, ev.Node, ev.Resource, ev.Device, more}, func(s string) bool { return s == "" })
	return strings.Join(parts, "/")
}

// newest finds the newest event with a number about a node and a resource.
func (b *builder) newest(number int, node, resource string) *cib.Event {
	code := event.Get(number).Code()
	for _, ev := range slices.Backward(b.st.Events) {
		if ev.Code == code && ev.Node == node && ev.Resource == resource {
			return ev
		}
	}
	return nil
}

// since is the time of the newest such event, zero where the ring has none.
func (b *builder) since(number int, node, resource string) time.Time {
	if ev := b.newest(number, node, resource); ev != nil {
		return ev.Time
	}
	return time.Time{}
}

func (b *builder) nodeAlarms(n *Node) {
	if n.lost() {
		text := "node " + n.Name + " is lost" + prefixed(": ", n.Reason) + "; it is unclean until a fence proof is recorded"
		if ev := b.newest(event.NodeLost, n.Name, ""); ev != nil && !ev.Time.Before(n.Since.Add(-failoverCauseIn)) {
			text = ev.Text
		}
		b.raise(event.NodeLost, "", n.Since, text, "node", n.Name)
	}
	r := b.st.Requests[n.Name]
	switch {
	case r != nil && r.State == cib.FenceFailed:
		since := r.Asked
		if !r.Ended.IsZero() {
			since = r.Ended
		}
		b.raise(event.FencingFailed, "", since, "", "node", n.Name, "attempt", fmt.Sprint(max(1, r.Attempts)), "reason", orText(r.Error, "no reason given"))
	case n.lost() && n.Fence == FenceReadinessNone:
		b.raise(event.FencingImpossible, "", n.Since, "", "node", n.Name)
	}
	if n.ClockOffset > ClockOffsetMax || n.ClockOffset < -ClockOffsetMax {
		b.raise(event.ClockOffset, "", b.since(event.ClockOffset, n.Name, ""), "", "node", n.Name, "offset", age(n.ClockOffset))
	}
}

// linkAlarms reports each link between two members once, whoever sees it down. A
// peer that is no member has an alarm of its own.
func (b *builder) linkAlarms() {
	seen := map[string]bool{}
	for i := range b.out.Links {
		l := &b.out.Links[i]
		if l.State != LinkDown || !b.node[l.Peer].alive() || !b.node[l.Peer].Member {
			continue
		}
		x, y := min(l.Node, l.Peer), max(l.Node, l.Peer)
		more := fmt.Sprintf("%s/%d", y, l.Link)
		if !seen[x+"/"+more] {
			seen[x+"/"+more] = true
			b.raise(event.LinkDown, more, l.Since, "", "node", x, "peer", y, "link", fmt.Sprint(l.Link))
		}
	}
}

func (b *builder) storeAlarms() {
	if b.o != nil && !b.o.StoreOK && b.o.StoreAlone != "" {
		b.raise(event.StoreForceRefused, "", time.Time{}, "", "node", b.o.Node, "reason", b.o.StoreAlone)
	}
	for i := range b.out.Store.Members {
		m := &b.out.Store.Members[i]
		n := b.node[m.Node]
		switch {
		case !n.alive():
		case m.State == StoreUnhealthy:
			b.raise(event.StoreSpace, "", b.since(event.StoreSpace, m.Node, ""), "", "node", m.Node, "reason", m.Alarm)
		case m.Quota > 0 && float64(m.InUse) > StoreFullAt*float64(m.Quota):
			b.raise(event.StoreSpace, "", b.since(event.StoreSpace, m.Node, ""), "the store of node "+m.Node+" is nearly full", "node", m.Node)
		}
	}
}

func (b *builder) resourceAlarms() {
	slices.SortFunc(b.failures, func(x, y failure) int {
		return order(strings.Compare(x.resource, y.resource), strings.Compare(x.node, y.node))
	})
	state := make(map[string]*Resource, len(b.out.Resources))
	for i := range b.out.Resources {
		state[b.out.Resources[i].ID] = &b.out.Resources[i]
	}
	alarmed := map[string]bool{}
	for _, f := range b.failures {
		number, args := event.ResourceFailed, []string{"resource", f.resource, "node", f.node, "op", f.op, "reason", f.reason}
		if f.blocked {
			number, args = event.ResourceBlocked, []string{"resource", f.resource, "reason", f.op + " failed on " + f.node + ": " + f.reason}
		}
		a := b.raise(number, "", f.since, "", args...)
		if r := state[f.resource]; r != nil && !f.blocked && (r.State == ResourceRunning || r.State == ResourcePromoted) {
			a.Severity = cib.SeverityMinor // other instances serve
		}
		alarmed[f.resource] = true
	}
	for i := range b.out.Resources {
		r := &b.out.Resources[i]
		if r.Kind != cib.KindPrimitive || alarmed[r.ID] || b.waiting[r.ID] {
			continue // of those that wait for a proof, the node's alarm tells
		}
		switch {
		case r.State == ResourceFailed && len(r.Nodes) > 1:
			b.raise(event.ResourceUnexpected, "", b.since(event.ResourceUnexpected, "", r.ID), "", "resource", r.ID, "nodes", strings.Join(r.Nodes, ", "))
		case r.State == ResourceFailed:
			b.raise(event.ResourceFailed, "", lastFailure(r), "resource "+r.ID+" does not run: "+r.Reason, "resource", r.ID)
		case r.State == ResourceBlocked:
			b.raise(event.ResourceBlocked, "", b.since(event.ResourceBlocked, "", r.ID), "", "resource", r.ID, "reason", r.Reason)
		}
	}
}

func lastFailure(r *Resource) time.Time {
	var t time.Time
	for i := range r.Instances {
		if x := &r.Instances[i]; x.LastFailure.After(t) {
			t = x.LastFailure
		}
	}
	return t
}

// fromRing are the alarms that only the event ring knows of.
var fromRing = map[int]bool{
	event.ValidityLost: true, event.ProofVoid: true, event.ResourceBlocked: true, event.PlanRefused: true, event.StoreStalled: true,
	event.StoreMemberLost: true, event.BackupFailed: true, event.GenerationConflict: true, event.CertificateExpired: true, event.AuditFailed: true,
	event.QuorumDeviceFailed: true,
}

// ringAlarms replays the ring: an alarm stays until an event clears it.
func (b *builder) ringAlarms() {
	type key struct {
		number                 int
		node, resource, device string
	}
	open := map[key]*cib.Event{}
	for _, ev := range b.st.Events {
		d := definitions[ev.Code]
		if d == nil {
			continue // of a newer version
		}
		if d.Alarm && fromRing[d.Number] {
			k := key{d.Number, ev.Node, ev.Resource, ev.Device}
			if d.Number == event.ResourceBlocked {
				k.node = ""
			}
			if open[k] == nil {
				open[k] = ev
			}
			continue
		}
		if d.Clears != 0 {
			delete(open, key{d.Clears, ev.Node, ev.Resource, ev.Device})
		}
		for _, number := range alsoClears[d.Number] {
			switch number {
			case event.ResourceBlocked:
				delete(open, key{number: number, resource: ev.Resource})
			case event.AuditFailed:
				delete(open, key{number: number, node: orText(ev.Node, ev.Source)})
			case event.QuorumDeviceFailed: // any of the node's
				maps.DeleteFunc(open, func(k key, _ *cib.Event) bool { return k.number == number && k.node == ev.Node })
			default:
				delete(open, key{number: number, node: ev.Node})
			}
		}
	}
	have := map[string]bool{}
	for i := range b.out.Alarms {
		have[b.out.Alarms[i].ID] = true
	}
	for _, k := range slices.SortedFunc(maps.Keys(open), func(x, y key) int {
		return order(cmp.Compare(x.number, y.number), strings.Compare(x.node, y.node), strings.Compare(x.resource, y.resource), strings.Compare(x.device, y.device))
	}) {
		ev := *open[k]
		if k.number == event.ResourceBlocked {
			ev.Node = ""
		}
		if !have[alarmID(&ev, "")] && b.stillOpen(k.number, &ev) {
			b.add(&ev, "")
		}
	}
}

// alsoClears are events that end an alarm although the catalogue has no pair for
// it, since they show that its cause is over.
var alsoClears = map[int][]int{
	event.EngineStarted:     {event.ValidityLost, event.StoreStalled, event.AuditFailed, event.GenerationConflict, event.QuorumDeviceFailed},
	event.NodeOnline:        {event.ValidityLost, event.GenerationConflict},
	event.NodeLeft:          {event.ValidityLost, event.StoreStalled},
	event.NodeFenced:        {event.ValidityLost, event.StoreStalled},
	event.FencingDone:       {event.ProofVoid},
	event.ConfigChanged:     {event.AuditFailed},
	event.ResourceStarted:   {event.ResourceBlocked},
	event.ResourceRecovered: {event.ResourceBlocked},
	event.ResourceStopped:   {event.ResourceBlocked},
}

// stillOpen drops alarms whose object is gone, or that are long past.
func (b *builder) stillOpen(number int, ev *cib.Event) bool {
	n := b.node[ev.Node]
	if ev.Node != "" && n == nil {
		return false
	}
	if ev.Resource != "" && b.c.Resources[ev.Resource] == nil {
		return false
	}
	switch number {
	case event.ValidityLost, event.StoreStalled:
		return n == nil || n.State != NodeOffline && n.State != NodeFenced
	case event.StoreMemberLost:
		return n == nil || n.Voter
	case event.QuorumDeviceFailed:
		return (n == nil || n.Voter && n.State != NodeOffline && n.State != NodeFenced) && b.c.QuorumDevices[ev.Device] != nil
	case event.PlanRefused:
		return b.now.Sub(ev.Time) < planRefusedFor
	case event.ProofVoid:
		return b.now.Sub(ev.Time) < proofVoidFor
	case event.ResourceBlocked:
		for i := range b.out.Resources {
			if r := &b.out.Resources[i]; r.ID == ev.Resource {
				return r.Active < r.Expected || r.Expected == 0 && r.Active > 0
			}
		}
	}
	return true
}
