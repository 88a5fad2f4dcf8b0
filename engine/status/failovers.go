package status

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// moveMax is how long a move may last before it counts as failed.
const moveMax = time.Hour

// moves reads the event ring once and remembers what may make a resource move.
type moves struct {
	service func(resource string) string
	out     []Failover
	began   []time.Time // of each move in out: when the service was lost
	over    []bool      // of each move in out: it is part of one that is told of as a whole
	last    map[string]*route
	lost    map[string]time.Time
	heard   map[string]time.Time // when a node that was lost was last heard
	quorum  map[string]time.Time
	online  map[string]time.Time
	failed  map[string]time.Time
	wanted  map[string]time.Time // by the id that a change names; "" for changes of everything
}

// route is the newest move of a service, with what of it is on its way.
type route struct {
	at      int // in out
	waiting map[string]bool
}

// routeGap is the longest time between the start of one member of a group and the
// decision to start the next.
const routeGap = 5 * time.Second

// failovers reads the moves of resources from the event ring, newest first.
func (b *builder) failovers() {
	m := moves{
		service: b.serviceOf, last: map[string]*route{}, lost: map[string]time.Time{}, heard: map[string]time.Time{}, quorum: map[string]time.Time{}, online: map[string]time.Time{},
		failed: map[string]time.Time{}, wanted: map[string]time.Time{},
	}
	for _, ev := range b.st.Events {
		if d := definitions[ev.Code]; d != nil {
			m.read(d.Number, ev)
		}
	}
	for i := range m.out {
		f := &m.out[i]
		if f.Result == FailoverInProgress && (b.c.Resources[f.Resource] == nil || b.now.Sub(f.Time) > moveMax) {
			f.Result = FailoverFailed
		}
	}
	for i, f := range slices.Backward(m.out) {
		if !m.over[i] {
			b.out.Failovers = append(b.out.Failovers, f)
		}
	}
}

// serviceOf returns the resource that moves as a whole with a resource: the group that it
// is in. What is in a clone moves alone.
func (b *builder) serviceOf(resource string) string {
	top := resource
	for range len(b.parents) {
		up := b.parents[top]
		if up == "" {
			break
		}
		top = up
	}
	if r := b.c.Resources[top]; r != nil && r.Kind() == cib.KindGroup {
		return top
	}
	return resource
}

func (m *moves) read(number int, ev *cib.Event) {
	switch number {
	case event.NodeLost:
		m.lost[ev.Node] = ev.Time
		// It may have served until it fell silent, and no longer.
		m.heard[ev.Node] = ev.Time
		if d, err := time.ParseDuration(ev.Args["silence"]); err == nil && d > 0 {
			m.heard[ev.Node] = ev.Time.Add(-d)
		}
	case event.QuorumLost, event.ValidityLost:
		m.quorum[ev.Node] = ev.Time
	case event.NodeOnline:
		m.online[ev.Node] = ev.Time
	case event.ConfigChanged:
		_, id, _ := strings.Cut(ev.Args["object"], "/")
		if a := ev.Args["action"]; a == "apply" || a == "rollback" {
			id = ""
		}
		m.wanted[strings.TrimPrefix(id, cib.MoveID(""))] = ev.Time
	case event.ResourceMoved:
		m.move(ev)
	case event.ServiceFailedOver:
		m.whole(ev, FailoverSucceeded)
	case event.ServiceNotRecovered:
		m.whole(ev, FailoverFailed)
	case event.ResourceStarted, event.ResourceRecovered:
		m.end(ev, FailoverSucceeded)
	case event.ResourceFailed, event.ResourceBlocked:
		m.end(ev, FailoverFailed)
		m.failed[ev.Resource] = ev.Time
	}
}

// move notes a move. Its cause is the newest of what may have caused it. What the members
// of a group do one after the other is one move of the group.
func (m *moves) move(ev *cib.Event) {
	service := m.service(ev.Resource)
	f := Failover{
		Seq: ev.Seq, Time: ev.Time, Resource: service, From: ev.Args["from"], To: ev.Node, Reason: ev.Args["reason"],
		Cause: CauseBalance, Result: FailoverInProgress,
	}
	began, newest := ev.Time, ev.Time.Add(-failoverCauseIn)
	for _, c := range []struct {
		cause FailoverCause
		at    time.Time
		began time.Time // when the service was lost: the move itself, unless it is said
	}{
		{CauseNodeFailure, m.lost[f.From], m.heard[f.From]},
		{CauseQuorumLoss, m.quorum[f.From], m.quorum[f.From]},
		{CauseResourceFailure, m.failed[ev.Resource], m.failed[ev.Resource]},
		{CauseFailback, m.online[f.To], ev.Time},
		{CauseAdministrator, m.wanted[service], ev.Time},
		{CauseAdministrator, m.wanted[ev.Resource], ev.Time},
		{CauseAdministrator, m.wanted[f.From], ev.Time},
		{CauseAdministrator, m.wanted[f.To], ev.Time},
		{CauseAdministrator, m.wanted[""], ev.Time},
	} {
		if c.at.After(newest) {
			newest, f.Cause, began = c.at, c.cause, c.began
		}
	}
	if r := m.last[service]; r != nil {
		switch old := &m.out[r.at]; {
		case old.From == f.From && old.To == f.To && service != ev.Resource &&
			(old.Result == FailoverInProgress || old.Result == FailoverSucceeded && ev.Time.Sub(old.Ended) <= routeGap) && !m.over[r.at]:
			old.Result, old.Ended, old.Duration = FailoverInProgress, time.Time{}, 0
			r.waiting[ev.Resource] = true
			return
		case old.Result == FailoverInProgress: // overtaken: it did not run there
			old.Result = FailoverFailed
		}
	}
	m.last[service] = &route{at: len(m.out), waiting: map[string]bool{ev.Resource: true}}
	m.add(f, began)
}

func (m *moves) add(f Failover, began time.Time) {
	m.out, m.began, m.over = append(m.out, f), append(m.began, began), append(m.over, false)
}

// end notes how the open move of a resource ended.
func (m *moves) end(ev *cib.Event, result FailoverResult) {
	r := m.last[m.service(ev.Resource)]
	if r == nil || m.out[r.at].Result != FailoverInProgress {
		return
	}
	if delete(r.waiting, ev.Resource); result == FailoverSucceeded && len(r.waiting) > 0 {
		return
	}
	f := &m.out[r.at]
	f.Result, f.Ended = result, ev.Time
	if result == FailoverSucceeded {
		f.Duration = max(0, ev.Time.Sub(m.began[r.at]))
	}
}

// whole notes a fail-over that the DC tells of as one: from the loss of a service until it
// ran again, or was given up. The moves in between are part of it.
func (m *moves) whole(ev *cib.Event, result FailoverResult) {
	began, err := time.Parse(time.RFC3339, ev.Args["began"])
	if err != nil {
		return // an event of another release
	}
	millis, _ := strconv.ParseInt(ev.Args["milliseconds"], 10, 64)
	f := Failover{
		Seq: ev.Seq, Time: began, Resource: ev.Resource, From: ev.Args["from"], To: ev.Node, Reason: ev.Args["reason"],
		Cause: CauseNodeFailure, Result: result, Duration: time.Duration(millis) * time.Millisecond,
	}
	f.Ended = began.Add(f.Duration)
	for _, c := range FailoverCauses {
		if c.Name == ev.Args["kind"] {
			f.Cause = c.Value
		}
	}
	delete(m.last, ev.Resource)
	first := true
	for i := range m.out {
		if m.out[i].Resource != ev.Resource || m.over[i] || m.out[i].Time.Before(began) {
			continue
		}
		if !first {
			m.over[i] = true
			continue
		}
		f.Seq, first = m.out[i].Seq, false // by which others know it
		m.out[i], m.began[i] = f, began
	}
	if first {
		m.add(f, began)
	}
}
