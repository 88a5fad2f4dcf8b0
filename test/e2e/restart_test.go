package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// Engines are killed and restarted, one after the other: the service runs on,
// nothing is restarted, nobody is fenced.
func TestEngineKill(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	owner := ownerOf(t, c, w.Group)
	began := time.Now()
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	master := sh(t, owner, "cat /run/belay-web.pid")
	again := func(n *cluster.Node, incarnation uint64) {
		t.Helper()
		wait(t, c, 40*time.Second, "the engine of "+n.Name+" is a member again", func(s *status.Summary) string {
			if m := s.Node(n.Name); m == nil || m.Incarnation == incarnation {
				return "the old one"
			}
			if why := cluster.Online(s, c.Names()...); why != "" {
				return why
			}
			return cluster.Running(s, w.Group, owner.Name)
		})
		// A restarted voter vouches for nobody for the time of the validity: the next
		// restart before that would leave the third voter alone.
		const validity = 2 * time.Second
		up := state(t, c).Node(n.Name).UpSince
		until(t, 10*time.Second, "it vouches for others", func() string {
			if d := time.Since(up); d < validity+time.Second {
				return d.String()
			}
			return ""
		})
	}
	for _, n := range append(c.Others(owner), owner) {
		old := state(t, c).Node(n.Name).Incarnation
		n.Kill()
		again(n, old)
	}
	for _, n := range append(c.Others(owner), owner) {
		old := state(t, c).Node(n.Name).Incarnation
		must(t, n.Restart(deadline(t, 30*time.Second)))
		again(n, old)
	}
	if now := sh(t, owner, "cat /run/belay-web.pid"); now != master {
		t.Errorf("the web server was restarted: process %s, was %s", now, master)
	}
	if gaps := watch.Gaps(500 * time.Millisecond); len(gaps) > 0 {
		t.Errorf("the service was away: %v", gaps)
	}
	for _, number := range []int{event.NodeLost, event.FencingRequested, event.ResourceStarted, event.ResourceStopped, event.ResourceFailed} {
		if evs := eventsOf(t, c.Nodes[0], number, "", began); len(evs) > 0 {
			t.Errorf("%d events: %s", len(evs), evs[0].Text)
		}
	}
	// Monitoring goes on: what dies now is found.
	sh(t, owner, "pkill -9 -x nginx")
	wait(t, c, 20*time.Second, "a failure is found", func(s *status.Summary) string {
		if s.Resource("www").FailCount == 0 {
			return "none"
		}
		return cluster.Running(s, w.Group, owner.Name)
	})
}

// All power is cut at once and comes back: the service is up without help. Then
// one host stays off: it is confirmed off before its service is recovered.
func TestColdStart(t *testing.T) {
	wait5 := cib.Duration(5 * time.Second)
	c := start(t, cluster.Config{Options: cib.Options{StartupWait: &wait5, FencingAction: cib.FenceOpOff}})
	w := startWeb(t, c)
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	began := time.Now()
	powerOffAll(t, c)
	must(t, c.Lab.PowerOnAll(t.Context()))
	at := time.Now()
	answer, err := watch.WaitAnswer(deadline(t, 60*time.Second), at)
	must(t, err)
	t.Logf("the service answers %s after power-on", answer.At.Sub(at).Round(time.Millisecond))
	if answer.Body != webText {
		t.Errorf("it answers %q", answer.Body)
	}
	wait(t, c, 60*time.Second, "everything is up", func(s *status.Summary) string {
		if why := cluster.Online(s, c.Names()...); why != "" {
			return why
		}
		return cluster.Running(s, w.Group)
	})
	if n := len(eventsOf(t, c.Nodes[0], event.FencingRequested, "", began)); n > 0 {
		t.Errorf("%d fencing requests although all came back", n)
	}

	owner := ownerOf(t, c, w.Group)
	powerOffAll(t, c)
	began = time.Now()
	for _, n := range c.Others(owner) {
		must(t, n.Host.PowerOn(t.Context()))
	}
	wait(t, c, 90*time.Second, "the service is up without "+owner.Name, func(s *status.Summary) string {
		return cluster.Running(s, w.Group, names(c.Others(owner))...)
	})
	from := c.Others(owner)[0]
	lost := eventsOf(t, from, event.FencingDone, owner.Name, began)
	started := eventsOf(t, from, event.ResourceStarted, "", began)
	if len(lost) != 1 || len(started) == 0 || started[0].Time.Before(lost[0].Time) {
		t.Errorf("fenced: %+v; started: %+v", lost, started)
	}
	confirmed := false
	for _, r := range c.PDU.Requests() {
		confirmed = confirmed || r.Outlet == owner.Name && r.Action == "status" && r.At.After(began) && r.Status == 200
	}
	if !confirmed {
		t.Error("the power switch was not asked")
	}
	rejoin(t, c, owner)
}

// powerOffAll cuts all power at once.
func powerOffAll(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	errs := make(chan error)
	for _, n := range c.Nodes {
		go func() { errs <- n.Host.PowerOff() }()
	}
	for range c.Nodes {
		must(t, <-errs)
	}
}

// A node is drained: its resources move, it is offline and not fenced, and comes
// back when its engine is started. Then it is removed, and joins anew.
func TestLeave(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	leaver := c.Nodes[1]
	move(t, c, w.Group, leaver.Name)
	began := time.Now()
	drain := func() {
		t.Helper()
		_, err := leaver.Change(deadline(t, 60*time.Second), api.ActionDrain, "node/"+leaver.Name, nil)
		must(t, err)
		wait(t, c, 30*time.Second, "the node is offline", func(s *status.Summary) string {
			if st := s.Node(leaver.Name).State; st != status.NodeOffline {
				return st.String()
			}
			return cluster.Running(s, w.Group, names(c.Others(leaver))...)
		})
		must(t, leaver.Stop(deadline(t, 20*time.Second)))
	}
	drain()
	// It stays so: nobody fences a node that has left.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := cluster.WaitOn(ctx, c.Others(leaver), "a change of state", func(s *status.Summary) string {
		if s.Node(leaver.Name).State == status.NodeOffline {
			return "none"
		}
		return ""
	}); err == nil {
		t.Errorf("the node that left is %s", state(t, c).Node(leaver.Name).State)
	}
	must(t, leaver.Release())
	wait(t, c, 40*time.Second, "the node is back", func(s *status.Summary) string { return cluster.Online(s, c.Names()...) })

	// A member is not removed; one that has left is, with all that it was.
	from := c.Nodes[0]
	drain()
	epoch := state(t, c).Quorum.Epoch
	_, err := from.Change(deadline(t, 20*time.Second), api.ActionRemoveNode, "node/"+leaver.Name, nil)
	must(t, err)
	wait(t, c, 60*time.Second, "the node is removed", func(s *status.Summary) string {
		if s.Node(leaver.Name) != nil {
			return "it is there"
		}
		if s.Quorum.Epoch == epoch {
			return "it is a voter"
		}
		return cluster.Running(s, w.Group)
	})
	// What it still has is worth nothing: it is refused.
	for _, number := range []int{event.NodeLost, event.FencingRequested} {
		if evs := eventsOf(t, from, number, "", began); len(evs) > 0 {
			t.Errorf("event: %s", evs[0].Text)
		}
	}
	sh(t, leaver, "rm -rf /var/lib/belay/*")
	must(t, leaver.Release())
	must(t, leaver.WaitSocket(deadline(t, 20*time.Second)))
	must(t, c.Join(deadline(t, 40*time.Second), leaver))
	wait(t, c, 60*time.Second, "it has joined again and votes", func(s *status.Summary) string {
		if len(s.Quorum.Voters) != 3 {
			return "votes"
		}
		return cluster.Online(s, c.Names()...)
	})
}
