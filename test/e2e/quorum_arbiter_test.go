package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// Two nodes and an arbiter, through the five situations and the reverse of each: all are
// up; a node is off; the link between the nodes is cut; the arbiter is off; the arbiter
// and a node are off. No acknowledged change is lost, nothing runs twice or on the arbiter.
func TestQuorumArbiter(t *testing.T) {
	grace := cib.Duration(2 * time.Second)
	c := start(t, cluster.Config{Nodes: 3, Arbiter: true, Options: cib.Options{StopGrace: &grace, WatchdogTimeout: cib.Duration(time.Second)}})
	installTraced(t, c)
	a, b, arbiter := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	cfg := &cib.Config{Resources: map[string]*cib.Resource{}, Constraints: map[string]*cib.Constraint{}}
	for _, n := range c.Nodes[:2] {
		id := "on-" + n.Name
		cfg.Resources[id] = tracedResource(nil)
		cfg.Constraints["at-"+n.Name] = &cib.Constraint{Location: &cib.Location{Resource: id, Node: n.Name, Score: 100}}
	}
	_, err := a.Apply(deadline(t, 20*time.Second), cfg)
	must(t, err)
	w := newWriter(t, c)
	// where waits until both resources run on these nodes, as one of the nodes sees it.
	where := func(from *cluster.Node, onA, onB string) {
		t.Helper()
		must(t, cluster.WaitOn(deadline(t, 90*time.Second), []*cluster.Node{from}, "the services run on "+onA+" and "+onB, func(s *status.Summary) string {
			if why := cluster.Running(s, "on-"+a.Name, onA); why != "" {
				return why
			}
			return cluster.Running(s, "on-"+b.Name, onB)
		}))
	}
	whole := func() {
		t.Helper()
		wait(t, c, 90*time.Second, "all are members, and have a vote", func(s *status.Summary) string {
			if len(s.Quorum.Voters) != 3 {
				return fmt.Sprint(len(s.Quorum.Voters), " voters")
			}
			return cluster.Online(s, c.Names()...)
		})
		where(a, a.Name, b.Name)
		w.check(a)
		w.check(b)
		if n := state(t, c).Node(arbiter.Name); n.Role != status.RoleArbiter && n.Role != status.RoleDC {
			t.Errorf("%s is %s", arbiter.Name, n.Role)
		}
	}
	writes := func(n *cluster.Node) {
		t.Helper()
		w.start(n)
		w.await(5)
		w.stop()
		w.check(n)
	}
	writes(a)
	whole()

	// A node is off, in the middle of changes.
	w.start(b)
	w.await(5)
	a.Hold()
	must(t, a.Host.PowerOff())
	where(b, b.Name, b.Name)
	w.await(5)
	w.stop()
	must(t, a.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, a.Release())
	whole()

	// The link between the nodes is cut, and both reach the arbiter: one of them goes on.
	must(t, c.Lab.Partition([]*lab.Host{a.Host}, []*lab.Host{b.Host}))
	var on *cluster.Node
	until(t, 90*time.Second, "all runs on one of the nodes", func() string {
		for _, n := range c.Nodes[:2] {
			s, err := n.Client().Status(deadline(t, 5*time.Second), false)
			if err != nil {
				continue
			}
			l, err := n.Client().Local(deadline(t, 5*time.Second))
			if err == nil && l.Valid && cluster.Running(s, "on-"+a.Name, n.Name) == "" && cluster.Running(s, "on-"+b.Name, n.Name) == "" {
				on = n
				return ""
			}
		}
		return "not yet"
	})
	writes(on)
	must(t, c.Lab.Heal())
	whole()

	// The arbiter is off: nothing happens.
	stops := countRuns(t, c, "on-"+a.Name, cib.OpStop) + countRuns(t, c, "on-"+b.Name, cib.OpStop)
	arbiter.Hold()
	must(t, arbiter.Host.PowerOff())
	wait(t, c, 60*time.Second, arbiter.Name+" is missed", func(s *status.Summary) string {
		if n := s.Node(arbiter.Name); n.Member {
			return "not yet"
		}
		return ""
	})
	writes(a)
	where(a, a.Name, b.Name)
	if n := countRuns(t, c, "on-"+a.Name, cib.OpStop) + countRuns(t, c, "on-"+b.Name, cib.OpStop); n != stops {
		t.Error("a service was stopped because the arbiter is off")
	}

	// A node, too: the other one stops what it runs, and goes on when the arbiter is back.
	b.Hold()
	must(t, b.Host.PowerOff())
	until(t, 60*time.Second, a.Name+" has stopped", func() string {
		l, err := a.Client().Local(deadline(t, 5*time.Second))
		switch {
		case err != nil:
			return err.Error()
		case l.Quorate || l.Valid || !strings.HasPrefix(l.Quorum, "1 of 3 votes"):
			return l.Quorum
		case countRuns(t, c, "on-"+a.Name, cib.OpStop)+countRuns(t, c, "on-"+b.Name, cib.OpStop) == stops:
			return "its service runs"
		}
		return ""
	})
	must(t, arbiter.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, arbiter.Release())
	where(a, a.Name, a.Name)
	writes(a)
	must(t, b.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, b.Release())
	whole()
	for _, r := range trace(t, c) {
		if r.host == arbiter.Name {
			t.Errorf("something ran on the arbiter: %+v", r)
		}
	}
}
