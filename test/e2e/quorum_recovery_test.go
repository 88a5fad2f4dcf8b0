package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// One of two nodes dies, in the middle of changes: the other one makes itself the only
// voter of the store, has the dead one fenced, and runs what ran there. The dead one
// comes back, throws away its data of the store, and becomes a voter again. Then the
// other way around. No acknowledged change is lost.
func TestQuorumRecovery(t *testing.T) {
	c := twoNodes(t)
	w := newWriter(t, c)
	for round := range 2 {
		victim, other := c.Nodes[round], c.Nodes[1-round]
		w.start(other)
		w.await(10)
		victim.Hold()
		must(t, victim.Host.PowerOff())
		off := victim.Host.OffAt()
		alone(t, c, other, uint64(round)+2)
		wait(t, c, 60*time.Second, "all runs on "+other.Name, func(s *status.Summary) string {
			for _, n := range c.Nodes {
				if why := cluster.Running(s, "on-"+n.Name, other.Name); why != "" {
					return why
				}
			}
			return ""
		})
		t.Logf("the services of %s run on %s %s after its power was cut", victim.Name, other.Name, time.Since(off).Round(time.Millisecond))
		if n := countRuns(t, c, "on-"+other.Name, cib.OpStop); n > 0 && round == 0 {
			t.Errorf("the resource of %s was stopped:\n%s", other.Name, traceOf(t, c, "on-"+other.Name))
		}
		w.await(10)
		w.stop()
		w.check(other)
		must(t, victim.Host.PowerOn(deadline(t, 20*time.Second)))
		must(t, victim.Release())
		rejoined(t, c, uint64(round)+2)
		if n := len(eventsOf(t, other, event.StoreReplaced, victim.Name, off)); n != 1 {
			t.Errorf("%d events say that the data of %s were replaced", n, victim.Name)
		}
		w.check(victim)
	}
}

// The link between the nodes is cut for long, and both reach the arbitrator and the
// power switch: exactly one goes on, fences the other one, and recovers its services.
func TestQuorumRecoverySplit(t *testing.T) {
	c := twoNodes(t)
	coordinator := dc(t, c)
	other := c.Others(coordinator)[0]
	must(t, c.Lab.Partition([]*lab.Host{c.Nodes[0].Host}, []*lab.Host{c.Nodes[1].Host}))
	alone(t, c, coordinator, 2)
	until(t, 60*time.Second, "all runs on "+coordinator.Name, func() string {
		s, err := coordinator.Client().Status(deadline(t, 5*time.Second), false)
		if err != nil {
			return err.Error()
		}
		for _, n := range c.Nodes {
			if why := cluster.Running(s, "on-"+n.Name, coordinator.Name); why != "" {
				return why
			}
		}
		return ""
	})
	if other.Host.Boots() != 2 {
		t.Errorf("%s was booted %d times", other.Name, other.Host.Boots())
	}
	if l, err := other.Client().Local(deadline(t, 10*time.Second)); err == nil && (l.Quorate || l.Valid) {
		t.Errorf("%s goes on, too: %s", other.Name, l.Quorum)
	}
	must(t, c.Lab.Heal())
	rejoined(t, c, 2)
}

// The engine of the survivor is killed again and again while it recovers the store,
// and so is the arbitrator: in the end it is done, once.
func TestQuorumRecoveryKilled(t *testing.T) {
	c := twoNodes(t)
	w := newWriter(t, c)
	victim, other := c.Nodes[0], c.Nodes[1]
	w.start(other)
	w.await(10)
	victim.Hold()
	must(t, victim.Host.PowerOff())
	until(t, 60*time.Second, "the recovery begins", func() string {
		if _, err := other.Host.ReadFile(cluster.StateDir + "/recovery.json"); err != nil {
			return "not yet"
		}
		return ""
	})
	c.Quorumd.Kill()
	other.Kill()
	w.stop()
	must(t, c.Quorumd.Start())
	must(t, victim.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, victim.Release())
	until(t, 90*time.Second, "both hear each other", func() string { return together(t, c, 2) })
	w.check(other)
	w.check(victim)
}

// The engine of the survivor is killed while it waits until it may go on alone, and again
// when it has begun to. The other node stays off: the hand-over goes on all the same, and
// is granted once.
func TestQuorumHandOverKilled(t *testing.T) {
	c := twoNodes(t)
	w := newWriter(t, c)
	victim, other := c.Nodes[0], c.Nodes[1]
	w.start(other)
	w.await(10)
	victim.Hold()
	must(t, victim.Host.PowerOff())
	until(t, 60*time.Second, "the survivor has the grant", func() string {
		l, err := other.Client().Local(t.Context())
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(l.Quorum, "quorumd q: have") {
			return l.Quorum
		}
		return ""
	})
	w.stop()
	other.Kill()
	until(t, 90*time.Second, "the recovery begins", func() string {
		if _, err := other.Host.ReadFile(cluster.StateDir + "/recovery.json"); err != nil {
			return "not yet"
		}
		return ""
	})
	other.Kill()
	alone(t, c, other, 2)
	w.start(other)
	w.await(5)
	w.stop()
	w.check(other)
	must(t, victim.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, victim.Release())
	rejoined(t, c, 2)
	w.check(victim)
}

// alone waits until a node is the only voter of the store, in a generation.
func alone(t *testing.T, c *cluster.Cluster, n *cluster.Node, generation uint64) {
	t.Helper()
	until(t, 60*time.Second, n.Name+" is the only voter", func() string {
		s, err := n.Client().Snapshot(deadline(t, 5*time.Second))
		if err != nil {
			return err.Error()
		}
		if s.Status.Voters == nil {
			return "it has not read the store yet"
		}
		if g := s.Status.Generation.Number; g != generation || !slices.Equal(s.Status.Voters.Voters, []string{n.Name}) {
			return fmt.Sprintf("generation %d, voters %v", g, s.Status.Voters.Voters)
		}
		return ""
	})
	until(t, 10*time.Second, "the arbitrator knows of it", func() string {
		if v := arbitrated(t, c); len(v.Clusters) != 1 || v.Clusters[0].Generation.Number != generation {
			return "not yet"
		}
		return ""
	})
}

// rejoined waits until both nodes are voters again, and each runs what is its own.
func rejoined(t *testing.T, c *cluster.Cluster, generation uint64) {
	t.Helper()
	until(t, 90*time.Second, "both are voters", func() string { return together(t, c, generation) })
	backTogether(t, c)
}

// together says what both nodes lack of being voters of one generation; "" for
// nothing.
func together(t *testing.T, c *cluster.Cluster, generation uint64) string {
	t.Helper()
	for _, n := range c.Nodes {
		s, err := n.Client().Snapshot(deadline(t, 5*time.Second))
		switch {
		case err != nil:
			return err.Error()
		case s.Status.Voters == nil:
			return n.Name + " has not read the store yet"
		case len(s.Status.Voters.Voters) != 2 || s.Status.Generation.Number != generation:
			return fmt.Sprintf("%s: generation %d, voters %v", n.Name, s.Status.Generation.Number, s.Status.Voters.Voters)
		}
		l, err := n.Client().Local(deadline(t, 5*time.Second))
		if err != nil {
			return err.Error()
		}
		if !l.Valid || !l.StoreOK {
			return n.Name + ": " + l.Quorum
		}
	}
	return ""
}

// writer changes the configuration, and remembers what was acknowledged.
type writer struct {
	t     *testing.T
	c     *cluster.Cluster
	mu    sync.Mutex
	acked int
	at    string // the node
	more  chan struct{}
	end   context.CancelFunc
	ended chan struct{}
}

func newWriter(t *testing.T, c *cluster.Cluster) *writer {
	return &writer{t: t, c: c, more: make(chan struct{}, 1)}
}

// start writes through one node: the numbers rise, and each stands in an attribute of
// the node.
func (w *writer) start(n *cluster.Node) {
	var ctx context.Context
	ctx, w.end = context.WithCancel(w.t.Context())
	w.ended = make(chan struct{})
	go func() {
		defer close(w.ended)
		for next := w.last() + 1; ctx.Err() == nil; {
			one, cancel := context.WithTimeout(ctx, 10*time.Second)
			_, err := n.Client().Change(one, &api.Change{
				Action: api.ActionPatch, Object: "node/" + n.Name, Value: cluster.Value(map[string]any{"attributes": map[string]string{"written": strconv.Itoa(next)}}),
			})
			cancel()
			if err != nil {
				continue // it may have happened, and does no harm then
			}
			w.mu.Lock()
			w.acked, w.at = next, n.Name
			w.mu.Unlock()
			next++
			select {
			case w.more <- struct{}{}:
			default:
			}
		}
	}()
}

func (w *writer) last() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

// await waits until so many more were acknowledged.
func (w *writer) await(n int) {
	w.t.Helper()
	ctx := deadline(w.t, 60*time.Second)
	for until := w.last() + n; w.last() < until; {
		select {
		case <-w.more:
		case <-ctx.Done():
			w.t.Fatalf("%d changes were acknowledged, and not %d", w.last(), until)
		}
	}
}

func (w *writer) stop() {
	w.end()
	<-w.ended
}

// check looks whether the newest acknowledged number, or a later one, is there.
func (w *writer) check(n *cluster.Node) {
	w.t.Helper()
	c, err := n.Client().Config(deadline(w.t, 10*time.Second))
	must(w.t, err)
	have, err := strconv.Atoi(c.Config.Nodes[w.at].Attributes["written"])
	if err != nil || have < w.last() {
		w.t.Errorf("%d was acknowledged, and %q is there", w.last(), c.Config.Nodes[w.at].Attributes["written"])
	}
	w.t.Logf("%d changes were acknowledged, the newest is %d", w.last(), have)
}
