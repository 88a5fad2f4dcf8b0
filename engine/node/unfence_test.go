package node

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// joined is a node that is a member in quorum, and d and e are to unfence it.
func joined(now time.Time) *Node {
	s := cib.Empty()
	s.Config.Nodes["n1"] = &cib.Node{Voter: true}
	s.Config.FenceDevices["d"] = &cib.FenceDevice{Agent: "belay:dev", Unfencing: new(true), Targets: map[string]string{"n1": "port1"}}
	s.Config.FenceDevices["e"] = &cib.FenceDevice{Agent: "belay:dev", Unfencing: new(true)}
	s.Config.FenceDevices["power"] = &cib.FenceDevice{Agent: "belay:dev"}
	s.Status.View = &cib.View{Members: []cib.ViewMember{{Node: "n1", Incarnation: 1, BootID: "b"}}}
	s.Status.Voters = &cib.VoterSet{Voters: []string{"n1"}}
	s.Status.Nodes["n1"] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "b"}
	s.Status.Members["n1"] = &cib.Member{Node: "n1", Incarnation: 1, BootID: "b"}
	n := New(Setup{Name: "n1", Incarnation: 1, BootID: "b", Rand: rand.New(rand.NewPCG(1, 1)), Snapshot: s}, now)
	n.valid, n.fresh = true, true
	return n
}

// unfenceStep returns what a node does next about its unfencing.
func unfenceStep(n *Node, now time.Time) (call *FenceCall, txn *Commit) {
	n.out, n.now = nil, now
	n.unfenceSelf(now)
	for _, e := range n.out {
		switch e := e.(type) {
		case FenceCall:
			call = &e
		case Commit:
			txn = &e
		}
	}
	return call, txn
}

// A node has itself switched on by every device that wants it, one after another, and
// records that; then there is nothing to do until a device is another one. A call that
// fails is an event, and begins anew after a pause.
func TestUnfenceSelf(t *testing.T) {
	now := time.Unix(1000, 0)
	n := joined(now)
	call, _ := unfenceStep(n, now)
	if call == nil || call.DeviceID != "d" || call.Op != FenceOn || call.Target != "n1" || call.Plug != "port1" || call.NotAfter != n.tracker.ValidUntil() {
		t.Fatalf("first %+v", call)
	}
	if again, _ := unfenceStep(n, now); again != nil {
		t.Errorf("%+v while a call is on its way", again)
	}
	n.fenceDone(now, FenceDone{Run: call.Run, Result: FenceResult{OK: true}})
	call, _ = unfenceStep(n, now)
	if call == nil || call.DeviceID != "e" || call.Plug != "n1" {
		t.Fatalf("second %+v", call)
	}
	n.out = nil
	n.fenceDone(now, FenceDone{Run: call.Run, Result: FenceResult{Error: "no answer"}})
	if e, ok := n.out[0].(Emit); !ok || e.Event.Code != event.Get(event.UnfencingFailed).Code() || e.Event.Device != "e" {
		t.Errorf("a failed call says %+v", n.out)
	}
	if call, _ = unfenceStep(n, now); call != nil || !n.fenceWake(now).After(now) {
		t.Errorf("%+v at once after a failure; wakes at %v", call, n.fenceWake(now))
	}
	now = n.fenceWake(now)
	var txn *Commit
	for _, id := range []string{"d", "e"} {
		if call, txn = unfenceStep(n, now); call == nil || call.DeviceID != id || txn != nil {
			t.Fatalf("%s: %+v %+v", id, call, txn)
		}
		n.fenceDone(now, FenceDone{Run: call.Run, Result: FenceResult{OK: true}})
	}
	if call, txn = unfenceStep(n, now); call != nil || txn == nil {
		t.Fatalf("at the end %+v %+v", call, txn)
	}
	doc, ok := txn.Txn.Put[0].Value.(*cib.Attributes)
	if !ok || n.snap.Config.UnfencingDue("n1", "b", doc) != "" {
		t.Fatalf("records %+v", txn.Txn.Put[0].Value)
	}
	n.commits[txn.ID](now, Done, 7)
	n.snap.Status.Attributes["n1"] = doc
	now = now.Add(time.Minute)
	if call, txn = unfenceStep(n, now); call != nil || txn != nil {
		t.Errorf("done, and again %+v %+v", call, txn)
	}
	n.snap.Config.FenceDevices["e"].Parameters = map[string]string{"key": "new"}
	if call, _ = unfenceStep(n, now); call == nil {
		t.Error("not again for a device with other parameters")
	}
}

// A node that is not valid, not a member, to be fenced or proven dead stays out.
func TestUnfenceNot(t *testing.T) {
	now := time.Unix(1000, 0)
	for what, change := range map[string]func(*Node){
		"not valid":   func(n *Node) { n.valid = false },
		"unclean":     func(n *Node) { n.snap.Status.Nodes["n1"].State = cib.NodeUnclean },
		"requested":   func(n *Node) { n.snap.Status.Requests["n1"] = &cib.FenceRequest{Target: "n1"} },
		"proven dead": func(n *Node) { n.snap.Status.Proofs["p"] = &cib.Proof{ID: "p", Target: "n1", BootID: "b"} },
		"no fencing":  func(n *Node) { n.snap.Config.Cluster.Options.FencingRequired = new(false) },
	} {
		n := joined(now)
		change(n)
		if call, txn := unfenceStep(n, now); call != nil || txn != nil {
			t.Errorf("%s: %+v %+v", what, call, txn)
		}
	}
}
