package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// The power of the node that runs the service fails: it is fenced, with a proof,
// and the service answers from another node, with its data.
func TestNodePowerOff(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	for _, victim := range []string{"owner", "DC"} {
		owner := ownerOf(t, c, w.Group)
		if victim == "DC" {
			// The owner is the DC as well: everything happens at once.
			owner = dc(t, c)
			move(t, c, w.Group, owner.Name)
		}
		failOver(t, c, w, watch, owner)
		rejoin(t, c, owner)
		wait(t, c, 30*time.Second, "no alarm is left", calm)
	}
}

// failOver cuts the power of the node that runs the service, and checks what
// follows.
func failOver(t *testing.T, c *cluster.Cluster, w *cluster.Web, watch *lab.Watch, owner *cluster.Node) {
	t.Helper()
	wasDC := dc(t, c) == owner
	before := owner.Host.Boots()
	must(t, owner.Host.PowerOff())
	ctx := deadline(t, 30*time.Second)
	gap, err := watch.WaitRecovery(ctx, owner.Host.OffAt(), 100*time.Millisecond)
	must(t, err)
	wait(t, c, 20*time.Second, "the service runs elsewhere", func(s *status.Summary) string {
		return cluster.Running(s, w.Group, names(c.Others(owner))...)
	})
	f, err := c.Explain(ctx, owner.Name, owner.Host.OffAt(), gap.To, w.Members...)
	must(t, err)
	t.Logf("fail-over from %s (DC: %v): %s", owner.Name, wasDC, f)
	answer, err := watch.WaitAnswer(ctx, gap.To)
	must(t, err)
	if answer.Body != webText {
		t.Errorf("after the fail-over the service answers %q, want %q", answer.Body, webText)
	}
	// The recovery names the proof, and the power switch knows of it.
	snap, err := c.Others(owner)[0].Client().Snapshot(ctx)
	must(t, err)
	recovered := ownerOf(t, c, w.Group)
	// An engine of a new boot has nothing to do with the old one any more: starts
	// that were decided after it came do not name the proof.
	back := time.Now()
	for _, ev := range eventsOf(t, c.Others(owner)[0], event.EngineStarted, owner.Name, owner.Host.OffAt()) {
		back = ev.Time
	}
	for _, id := range w.Members {
		h := snap.Status.Histories[recovered.Name][id]
		if h == nil {
			t.Fatalf("no history of %s on %s", id, recovered.Name)
		}
		for _, op := range h.Ops {
			if op.Op != cib.OpStart || op.Started.After(back) && op.Why.Proof == "" {
				continue
			}
			p := snap.Status.Proofs[op.Why.Proof]
			if p == nil || p.Kind != cib.ProofPower || p.Target != owner.Name || p.Device != "pdu" || op.Started.Before(p.Time) {
				t.Errorf("the start of %s names the proof %q: %+v", id, op.Why.Proof, p)
			}
		}
	}
	oneFailover(t, c, w, owner, recovered, gap.To)
	if n := len(eventsOf(t, c.Others(owner)[0], event.FencingDone, owner.Name, owner.Host.OffAt())); n != 1 {
		t.Errorf("%s was fenced %d times for one failure", owner.Name, n)
	}
	if n := owner.Host.Boots(); n != before+1 && owner.Host.Power() == lab.On {
		t.Errorf("%s was booted %d times", owner.Name, n-before)
	}
}

// oneFailover checks that the whole fail-over is told of once, with times that fit: until
// is when the service answered again.
func oneFailover(t *testing.T, c *cluster.Cluster, w *cluster.Web, from, to *cluster.Node, until time.Time) {
	t.Helper()
	const slack = 5 * time.Second // between what an agent says and what a client sees
	off := from.Host.OffAt()
	var told []cib.Event
	wait(t, c, 20*time.Second, "the fail-over is told of", func(s *status.Summary) string {
		told = slices.DeleteFunc(eventsOf(t, c.Others(from)[0], event.ServiceFailedOver, "", off), func(ev cib.Event) bool { return ev.Resource != w.Group })
		if len(told) == 0 {
			return "no event yet"
		}
		return ""
	})
	ev := told[0]
	began, err1 := time.Parse(time.RFC3339, ev.Args["began"])
	ended, err2 := time.Parse(time.RFC3339, ev.Args["ended"])
	millis, err3 := strconv.ParseInt(ev.Args["milliseconds"], 10, 64)
	must(t, errors.Join(err1, err2, err3))
	if len(told) != 1 || ev.Node != to.Name || ev.Args["from"] != from.Name || ev.Args["kind"] != cib.OutageNode || ev.Args["reason"] == "" || ev.Cause == "" {
		t.Errorf("told of the fail-over from %s to %s: %+v", from.Name, to.Name, told)
	}
	if began.Before(off.Add(-slack)) || began.After(until) || ended.Before(began) || ended.After(until.Add(slack)) || ended.Sub(began).Milliseconds() != millis {
		t.Errorf("it began at %s and ended at %s, after %d ms; the power was off at %s, and the service answered at %s", began, ended, millis, off, until)
	}
	s, err := c.Others(from)[0].Client().Status(t.Context(), false)
	must(t, err)
	i := slices.IndexFunc(s.Failovers, func(f status.Failover) bool { return f.Resource == w.Group })
	if i < 0 || s.Failovers[i].From != from.Name || s.Failovers[i].To != to.Name || s.Failovers[i].Duration.Milliseconds() != millis || s.Failovers[i].Result != status.FailoverSucceeded {
		t.Errorf("the history of fail-overs has %+v", s.Failovers)
	}
	t.Log(ev.Text)
}

// The DC's power fails while its transition is under way: what it asked for is
// done once, and the next DC goes on.
func TestDCPowerOff(t *testing.T) {
	c := start(t, cluster.Config{})
	installTraced(t, c)
	coordinator := dc(t, c)
	first := c.Others(coordinator)[0]
	cfg := &cib.Config{Resources: map[string]*cib.Resource{}}
	var ids []string
	for i := range 9 {
		id := fmt.Sprintf("slow%d", i+1)
		ids = append(ids, id)
		cfg.Resources[id] = tracedResource(map[string]string{"delay": "2"})
	}
	_, err := first.Apply(deadline(t, 20*time.Second), cfg)
	must(t, err)
	wait(t, c, 20*time.Second, "starts are running on every node", func(s *status.Summary) string {
		running := map[string]bool{}
		for _, a := range s.Actions {
			running[a.Node] = running[a.Node] || a.Op == cib.OpStart && a.State == cib.ActionRunning
		}
		for _, n := range c.Names() {
			if !running[n] {
				return "none on " + n
			}
		}
		return ""
	})
	must(t, coordinator.Host.PowerOff())
	wait(t, c, 40*time.Second, "everything is started", func(s *status.Summary) string {
		for _, id := range ids {
			if why := cluster.Running(s, id); why != "" {
				return why
			}
			if on := s.Resource(id).Nodes[0]; on == coordinator.Name && s.Node(on).State != status.NodeOnline {
				return id + " is shown on " + on
			}
		}
		return ""
	})
	for _, id := range ids {
		// Once on the node that died perhaps, and once on a survivor.
		if n := countRuns(t, c, id, cib.OpStart); n > 2 {
			t.Errorf("%s was started %d times:\n%s", id, n, traceOf(t, c, id))
		}
		if n := countRuns(t, c, id, cib.OpStop); n > 0 {
			t.Errorf("%s was stopped:\n%s", id, traceOf(t, c, id))
		}
	}
	rejoin(t, c, coordinator)
}
