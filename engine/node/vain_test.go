package node

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// What is asked for and taken back is asked for again at once a few times, then ever more
// slowly, and as at first when it was left alone.
func TestVain(t *testing.T) {
	n := &Node{}
	now := time.Unix(1000, 0)
	a := &cib.Action{Node: "n1", Instance: "web", Op: cib.OpStart}
	asked := 0
	for end := now.Add(time.Hour); now.Before(end); now = now.Add(10 * time.Millisecond) {
		n.replanAt = time.Time{}
		if n.holdsBack(now, a) {
			if !n.replanAt.After(now) || n.replanAt.Sub(now) > vainLongest {
				t.Fatalf("decided again at %s, at %s", n.replanAt, now)
			}
			continue
		}
		asked++
		n.tookBack(now, a)
	}
	if asked < 300 || asked > 400 {
		t.Errorf("asked for %d times in an hour", asked)
	}
	if other := (&cib.Action{Node: "n2", Instance: "web", Op: cib.OpStart}); n.holdsBack(now, other) {
		t.Error("another node waits as well")
	}
	now = now.Add(2 * vainForget)
	if n.holdsBack(now, a) {
		t.Error("it waits for ever")
	}
	n.tookBack(now, a)
	if n.holdsBack(now, a) {
		t.Error("it was not forgotten")
	}
}

// What is in flight stays when it was taken back before and would be asked for again at
// once; what is not wanted is taken back every time.
func TestUnwanted(t *testing.T) {
	now := time.Unix(1000, 0)
	p := &cib.Pending{Action: cib.Action{
		ID: "1.0", Node: "n1", Instance: "web", Resource: "web", Agent: "belay:dummy", Op: cib.OpStart,
	}, State: cib.ActionAsked, ValidityEpoch: 1}
	fresh := func(change func(s *cib.Snapshot, p *cib.Pending)) (*Node, []*cib.Pending) {
		s := cib.Empty()
		s.Config.Nodes["n1"] = &cib.Node{}
		off := false
		s.Config.Cluster.Options.FencingRequired = &off
		s.Config.Resources["web"] = &cib.Resource{Agent: "belay:dummy"}
		s.Status.View = &cib.View{Number: 1, DC: "n1", Members: []cib.ViewMember{{Node: "n1", Incarnation: 1, BootID: "b"}}}
		s.Status.Nodes["n1"] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "b"}
		s.Status.Members["n1"] = &cib.Member{Node: "n1", BootID: "b", Incarnation: 1}
		s.Status.Histories = map[string]map[string]*cib.History{"n1": {"web": {
			Instance: "web", Resource: "web", BootID: "b", Incarnation: 1,
			Ops: []cib.OpResult{{Op: cib.OpMonitor, Probe: true, Seq: 1, Status: cib.OpDone, RC: cib.NotRunning, Expected: cib.NotRunning}},
		}}}
		q := *p
		change(s, &q)
		s.Status.Pending = map[string]map[string]*cib.Pending{"n1": {"web": &q}}
		return &Node{snap: s}, []*cib.Pending{&q}
	}
	for _, c := range []struct {
		name   string
		change func(s *cib.Snapshot, p *cib.Pending)
		stays  bool
	}{
		{"wanted", func(*cib.Snapshot, *cib.Pending) {}, true},
		{"to be stopped", func(s *cib.Snapshot, _ *cib.Pending) { s.Config.Resources["web"].Meta.TargetRole = cib.RoleStopped }, false},
		{"other parameters", func(_ *cib.Snapshot, p *cib.Pending) { p.Parameters = map[string]string{"old": "yes"} }, false},
		{"another node", func(_ *cib.Snapshot, p *cib.Pending) { p.Node = "n2" }, false},
	} {
		n, list := fresh(c.change)
		if got := n.unwanted(now, list); len(got) != 1 {
			t.Errorf("%s: the first time it stays", c.name)
		}
		n.tookBack(now, &list[0].Action)
		if got := n.unwanted(now, list); c.stays != (len(got) == 0) {
			t.Errorf("%s: taken back: %d", c.name, len(got))
		}
		if n.snap.Status.Pending["n1"]["web"] == nil {
			t.Errorf("%s: the snapshot was changed", c.name)
		}
	}
}
