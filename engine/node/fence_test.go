package node

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/fencing"
)

// fencer is a node that is valid and executes one request for each target, all with
// the device d.
func fencer(concurrency int, now time.Time, targets ...string) *Node {
	s := cib.Empty()
	s.Config.Nodes["n1"] = &cib.Node{Voter: true}
	s.Config.FenceDevices["d"] = &cib.FenceDevice{Agent: "belay:dev", Concurrency: concurrency}
	for _, t := range targets {
		s.Config.Nodes[t] = &cib.Node{}
		s.Status.Requests[t] = &cib.FenceRequest{ID: "f-" + t, Target: t, Executor: "n1", State: cib.FenceExecuting, Executed: 1, Rev: 1}
	}
	n := New(Setup{Name: "n1", Incarnation: 1, BootID: "b", Rand: rand.New(rand.NewPCG(1, 1)), Snapshot: s}, now)
	n.valid = true
	for _, t := range targets {
		n.fences[t] = &execution{
			request: *s.Status.Requests[t], phase: fenceActing,
			attempt: fencing.New(fencing.Levels(s.Config, t), cib.FenceOpOff, time.Minute, now),
		}
	}
	return n
}

// A fence device is not asked for more at a time than it takes; what waits goes on
// when a call ends. Without a limit nobody waits.
func TestFenceConcurrency(t *testing.T) {
	now := time.Unix(0, 0)
	calls := func(n *Node) (targets []string, runs []uint64) {
		n.out = nil
		n.executeFencing(now)
		n.checkDevices(now)
		for _, e := range n.out {
			if c, ok := e.(FenceCall); ok {
				targets, runs = append(targets, string(c.Op)+" "+c.Target), append(runs, c.Run)
			}
		}
		return targets, runs
	}
	for _, c := range []struct {
		limit int
		first []string
	}{{0, []string{"off a", "off b", "off c", "monitor "}}, {1, []string{"off a"}}, {2, []string{"off a", "off b"}}} {
		n := fencer(c.limit, now, "a", "b", "c")
		got, runs := calls(n)
		if !slices.Equal(got, c.first) {
			t.Errorf("limit %d: %q at first, want %q", c.limit, got, c.first)
		}
		if got, _ := calls(n); len(got) > 0 {
			t.Errorf("limit %d: %q while those are on their way", c.limit, got)
		}
		n.fenceDone(now, FenceDone{Run: runs[0], Result: FenceResult{OK: true}})
		if got, _ := calls(n); !slices.Equal(got, []string{"status a"}) {
			t.Errorf("limit %d: %q after one has ended", c.limit, got)
		}
	}
	n := fencer(1, now, "a", "b")
	_, runs := calls(n)
	n.fenceDone(now, FenceDone{Run: runs[0], Result: FenceResult{Error: "no"}}) // it is tried again after a pause
	if got, _ := calls(n); !slices.Equal(got, []string{"off b"}) {
		t.Errorf("%q, want that a failed call makes room", got)
	}
}

// The record of a device that answers goes on being written, now and then: one that is old
// counts for nothing. No event tells of that.
func TestReadinessIsRenewed(t *testing.T) {
	now := time.Unix(0, 0)
	n := fencer(0, now)
	var writes []time.Duration
	for at := time.Duration(0); at < 20*time.Minute; at += 10 * time.Second {
		now := time.Unix(0, 0).Add(at)
		n.now = now
		n.out = nil
		n.checkDevices(now)
		for _, e := range slices.Clone(n.out) {
			if c, ok := e.(FenceCall); ok {
				n.out = nil
				n.checked(now, "d", FenceDone{Run: c.Run, Result: FenceResult{OK: true}})
			}
		}
		for _, e := range n.out {
			c, ok := e.(Commit)
			if !ok {
				continue
			}
			if len(c.Txn.Put) != 1 || c.Txn.Put[0].Key != cib.ReadinessKey("n1", "d") {
				t.Errorf("%v: %+v", at, c.Txn)
			}
			r, _ := c.Txn.Put[0].Value.(*cib.Readiness)
			n.snap.Status.Readiness = map[string]map[string]*cib.Readiness{"n1": {"d": r}}
			writes = append(writes, at)
		}
	}
	if want := []time.Duration{0, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute}; !slices.Equal(writes, want) {
		t.Errorf("written at %v, want %v", writes, want)
	}
}

// With startup-fencing a lost node that was not heard since the start is fenced once the
// wait for it is over; without it nobody is, and what may run there waits.
func TestStartupFencing(t *testing.T) {
	now := time.Unix(0, 0)
	for _, c := range []struct {
		fences, heard bool
		want          bool
	}{{true, false, true}, {false, false, false}, {false, true, true}} {
		n := fencer(0, now)
		n.snap.Config.Nodes["n2"] = &cib.Node{}
		n.snap.Config.Cluster.Options.StartupFencing = &c.fences
		n.snap.Status.Nodes["n2"] = &cib.NodeStatus{State: cib.NodeUnclean, BootID: "b2"}
		n.snap.Status.View = &cib.View{Number: 1, Members: []cib.ViewMember{{Node: "n1", BootID: "b", Incarnation: 1}}}
		n.everHeard["n2"] = c.heard
		later := now.Add(n.snap.Config.Cluster.Options.StartupWaitTime() + time.Second)
		change := &viewChange{}
		n.requestOf(later, &cib.Action{Op: cib.OpFence, Node: "n2", FenceOp: cib.FenceOpReboot}, change)
		asked := len(change.txn.If) > 0
		if asked != c.want {
			t.Errorf("startup-fencing %v, heard %v: asked for the fence %v, want %v", c.fences, c.heard, asked, c.want)
		}
	}
}
