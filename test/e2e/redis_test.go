package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// A data base with a primary and two replicas, driven by Debian's own agent: the
// agent gives the promotion scores, and is told by notifications whom to follow. A
// writer goes on over a planned switch-over and the loss of the primary's power, and
// no write that the replicas acknowledged is lost. The old primary comes back as a
// replica.
func TestRedis(t *testing.T) {
	c := start(t, cluster.Config{})
	ctx := deadline(t, 4*time.Minute)
	r, err := c.NewRedis(ctx)
	must(t, err)
	_, err = c.Nodes[0].Apply(ctx, r.Config())
	must(t, err)
	wait(t, c, 60*time.Second, "there is a primary with two replicas", func(s *status.Summary) string { return replicated(s, r, c.Names()...) })
	primary := primaryOf(t, c, r)
	w := r.Write(ctx, 2)
	t.Cleanup(func() { w.Stop() })
	synced := func(n int) {
		t.Helper()
		enough := w.Synced() + n
		until(t, 30*time.Second, fmt.Sprintf("%d more synchronous writes", n), func() string {
			if have := w.Synced(); have < enough {
				return fmt.Sprintf("%d of %d, %v", have, enough, w.Err())
			}
			return ""
		})
	}
	synced(100)

	// Planned: the primary's node is put in standby.
	began := time.Now()
	_, err = c.Nodes[0].Change(ctx, api.ActionStandby, "node/"+primary.Name, nil)
	must(t, err)
	wait(t, c, 60*time.Second, "another one is promoted", func(s *status.Summary) string { return replicated(s, r, names(c.Others(primary))...) })
	next := primaryOf(t, c, r)
	until(t, 20*time.Second, "the writer goes on", func() string {
		if _, to := w.Gap(began); time.Since(to) > time.Second {
			return fmt.Sprint(w.Err())
		}
		return ""
	})
	agents := agentTime(t, c, r, w, began)
	_, err = c.Nodes[0].Change(ctx, api.ActionOnline, "node/"+primary.Name, nil)
	must(t, err)
	wait(t, c, 60*time.Second, "the old primary is a replica", func(s *status.Summary) string { return replicated(s, r, c.Names()...) })
	synced(100)
	t.Logf("planned switch-over from %s to %s: %s", primary.Name, next.Name, agents)
	if again := primaryOf(t, c, r); again != next {
		t.Errorf("%s was promoted in place of %s, for nothing", again.Name, next.Name)
	}

	// Not planned: the primary's power fails.
	primary = next
	_, err = c.Nodes[0].Change(ctx, api.ActionPatch, "cluster", map[string]any{"options": map[string]any{"fencing-action": "off"}})
	must(t, err)
	must(t, primary.Host.PowerOff())
	lost := primary.Host.OffAt()
	wait(t, c, 60*time.Second, "a replica is promoted", func(s *status.Summary) string {
		where := s.Resource(r.Clone).Promoted
		if len(where) != 1 || where[0] == primary.Name {
			return fmt.Sprintf("promoted: %v", where)
		}
		return cluster.Running(s, r.VIP, names(c.Others(primary))...)
	})
	if n := len(eventsOf(t, c.Others(primary)[0], event.FencingDone, primary.Name, lost)); n != 1 {
		t.Errorf("%s was fenced %d times", primary.Name, n)
	}
	until(t, 20*time.Second, "the writer goes on", func() string {
		if _, to := w.Gap(lost); time.Since(to) > time.Second {
			return fmt.Sprint(w.Err())
		}
		return ""
	})
	t.Logf("power loss of the primary %s: %s", primary.Name, agentTime(t, c, r, w, lost))
	rejoin(t, c, primary)
	wait(t, c, 60*time.Second, "the old primary is back as a replica", func(s *status.Summary) string { return replicated(s, r, c.Names()...) })
	synced(100)

	// What all replicas had acknowledged is there, on each of them.
	acknowledged := w.Stop()
	for _, n := range c.Nodes {
		missing := 0
		for _, k := range acknowledged {
			v, err := r.Ask(ctx, n.Host.Addr(0).String()+":6379", "GET", fmt.Sprint("k", k))
			must(t, err)
			if v != fmt.Sprint(k) {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%s lacks %d of %d acknowledged writes", n.Name, missing, len(acknowledged))
		}
	}
	t.Logf("%d synchronous writes, all there", len(acknowledged))
	told(t, c, r)
}

// replicated says what is not yet as it should be: one primary, with the address,
// and replicas on the other nodes.
func replicated(s *status.Summary, r *cluster.Redis, nodes ...string) string {
	x := s.Resource(r.Clone)
	switch {
	case x == nil:
		return "no data base"
	case len(x.Promoted) != 1:
		return fmt.Sprintf("promoted: %v (%s)", x.Promoted, x.Reason)
	case len(x.Nodes) != len(nodes):
		return fmt.Sprintf("on %v (%s)", x.Nodes, x.Reason)
	case len(s.Actions) > 0:
		return s.Actions[0].Text
	}
	for _, n := range nodes {
		if !slices.Contains(x.Nodes, n) {
			return "none on " + n
		}
	}
	return cluster.Running(s, r.VIP, x.Promoted[0])
}

func primaryOf(t *testing.T, c *cluster.Cluster, r *cluster.Redis) *cluster.Node {
	t.Helper()
	s := state(t, c)
	if p := s.Resource(r.Clone).Promoted; len(p) == 1 {
		return c.Node(p[0])
	}
	t.Fatalf("promoted: %v", s.Resource(r.Clone).Promoted)
	return nil
}

// agentTime says how long the writer waited, and how much of that time some agent of
// the data base or of its address ran.
func agentTime(t *testing.T, c *cluster.Cluster, r *cluster.Redis, w *cluster.Writer, since time.Time) string {
	t.Helper()
	from, to := w.Gap(since)
	node, err := c.Answering(t.Context())
	must(t, err)
	snap, err := node.Client().Snapshot(t.Context())
	must(t, err)
	busy := map[int64]bool{} // by millisecond
	for _, all := range snap.Status.Histories {
		for id, h := range all {
			for _, op := range h.Ops {
				if id != r.Primitive && id != r.VIP || op.Op == cib.OpMonitor {
					continue
				}
				for at := max(op.Started.UnixMilli(), from.UnixMilli()); at < min(op.Ended.UnixMilli(), to.UnixMilli()); at++ {
					busy[at] = true
				}
			}
		}
	}
	gap := to.Sub(from)
	agents := time.Duration(len(busy)) * time.Millisecond
	return fmt.Sprintf("%s without a write, of which agents took %s and the cluster %s", gap.Round(time.Millisecond), agents, (gap - agents).Round(time.Millisecond))
}

// told waits until every instance was told what happened, in a round that is over.
func told(t *testing.T, c *cluster.Cluster, r *cluster.Redis) {
	t.Helper()
	until(t, 30*time.Second, "everybody was told, and the round is over", func() string {
		snap, err := c.Nodes[0].Client().Snapshot(t.Context())
		if err != nil {
			return err.Error()
		}
		for _, n := range c.Nodes {
			h := snap.Status.Histories[n.Name][r.Primitive]
			if h == nil || !slices.ContainsFunc(h.Ops, func(op cib.OpResult) bool { return op.Op == cib.OpNotify && op.RC == cib.OK }) {
				return n.Name + " was told nothing"
			}
		}
		if len(snap.Status.Rounds) > 0 {
			return fmt.Sprintf("the round %+v is left", snap.Status.Rounds[r.Primitive])
		}
		return ""
	})
	if failed := eventsOf(t, c.Nodes[0], event.NotificationFailed, "", time.Time{}); len(failed) > 0 {
		t.Errorf("a notification failed: %s", failed[0].Text)
	}
}
