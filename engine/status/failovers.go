package status

import (
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// moveMax is how long a move may last before it counts as failed.
const moveMax = time.Hour

// moves reads the event ring once and remembers what may make a resource move.
type moves struct {
	out    []Failover
	open   map[string]int // resource to its move in out that has not ended
	began  []time.Time    // of each move in out: when the service was lost
	lost   map[string]time.Time
	heard  map[string]time.Time // when a node that was lost was last heard
	quorum map[string]time.Time
	online map[string]time.Time
	failed map[string]time.Time
	wanted map[string]time.Time // by the id that a change names; "" for changes of everything
}

// failovers reads the moves of resources from the event ring, newest first.
func (b *builder) failovers() {
	m := moves{
		open: map[string]int{}, lost: map[string]time.Time{}, heard: map[string]time.Time{}, quorum: map[string]time.Time{}, online: map[string]time.Time{},
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
	slices.Reverse(m.out)
	b.out.Failovers = m.out
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
	case event.ResourceStarted, event.ResourceRecovered:
		m.end(ev, FailoverSucceeded)
	case event.ResourceFailed, event.ResourceBlocked:
		m.end(ev, FailoverFailed)
		m.failed[ev.Resource] = ev.Time
	}
}

// move notes a move. Its cause is the newest of what may have caused it.
func (m *moves) move(ev *cib.Event) {
	f := Failover{
		Seq: ev.Seq, Time: ev.Time, Resource: ev.Resource, From: ev.Args["from"], To: ev.Node, Reason: ev.Args["reason"],
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
		{CauseResourceFailure, m.failed[f.Resource], m.failed[f.Resource]},
		{CauseFailback, m.online[f.To], ev.Time},
		{CauseAdministrator, m.wanted[f.Resource], ev.Time},
		{CauseAdministrator, m.wanted[f.From], ev.Time},
		{CauseAdministrator, m.wanted[f.To], ev.Time},
		{CauseAdministrator, m.wanted[""], ev.Time},
	} {
		if c.at.After(newest) {
			newest, f.Cause, began = c.at, c.cause, c.began
		}
	}
	if i, ok := m.open[f.Resource]; ok { // overtaken: it did not run there
		m.out[i].Result = FailoverFailed
	}
	m.open[f.Resource] = len(m.out)
	m.out = append(m.out, f)
	m.began = append(m.began, began)
}

// end notes how the open move of a resource ended.
func (m *moves) end(ev *cib.Event, r FailoverResult) {
	i, ok := m.open[ev.Resource]
	if !ok {
		return
	}
	delete(m.open, ev.Resource)
	m.out[i].Result = r
	if r == FailoverSucceeded {
		m.out[i].Duration = max(0, ev.Time.Sub(m.began[i]))
	}
}
