package node

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// The watchdog has the time-out that the configuration says now, and the others are told
// the one that it really has: how long they wait for a node that is silent depends on it.
func TestWatchdogTime(t *testing.T) {
	now := time.Unix(1000, 0)
	n := joined(now)
	dog := cib.Watchdog{Device: "/dev/watchdog", Identity: "test", Timeout: cib.Duration(60 * time.Second), Hardware: true}
	n.self.Watchdog, n.watchdog, n.valid, n.invalidOver = &dog, &dog, false, false
	fed := func() (f Feed) {
		t.Helper()
		n.out = nil
		n.feed(now)
		for _, e := range n.out {
			f, _ = e.(Feed)
		}
		return f
	}
	for _, timeout := range []time.Duration{60 * time.Second, 5 * time.Second} {
		n.snap.Config.Cluster.Options.WatchdogTimeout = cib.Duration(timeout)
		if f := fed(); f.Timeout != timeout || f.Until != now.Add(timeout) {
			t.Errorf("fed %+v, want %s", f, timeout)
		}
	}
	told := func() *cib.Watchdog {
		t.Helper()
		n.out, n.registering = nil, false
		n.register(now)
		for _, e := range n.out {
			if c, ok := e.(Commit); ok {
				for _, p := range c.Txn.Put {
					if m, ok := p.Value.(*cib.Member); ok {
						n.snap.Status.Members[n.self.Name] = m
						return m.Watchdog
					}
				}
			}
		}
		t.Error("the others are not told")
		return nil
	}
	told()
	n.Step(now, Armed{Timeout: 8 * time.Second})
	if w := told(); w == nil || w.Timeout.D() != 8*time.Second || !w.Hardware || dog.Timeout.D() != 60*time.Second {
		t.Errorf("a driver with its own time-out: %+v", w)
	}
	if is, want := n.snap.LoserTime(), n.snap.Config.Cluster.Options.LoserTime(); is-want != 2*3*time.Second*51/50 {
		t.Errorf("the others wait %s, want 2 × 3 s and a fiftieth more than %s", is, want)
	}
	n.Step(now, Armed{Error: "no"})
	if w := told(); w != nil {
		t.Errorf("a device that is not armed: %+v", w)
	}
}
