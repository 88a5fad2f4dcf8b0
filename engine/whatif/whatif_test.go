package whatif

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// snapshot is a cluster of two nodes with one service that nothing is known of yet.
func snapshot(t *testing.T) *cib.Snapshot {
	t.Helper()
	c, faults := cib.ParseConfig([]byte(`{"cluster": {"name": "c"}, "nodes": {"n1": {"id": 1, "addresses": ["10.0.0.1"], "voter": true}, "n2": {"id": 2, "addresses": ["10.0.0.2"], "voter": true}},
 "resources": {"web": {"agent": "belay:dummy"}}, "constraints": {"home": {"location": {"resource": "web", "node": "n1", "score": 100}}}, "tickets": {"t": {"granted": true}}}`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s := cib.Empty()
	s.Config = c
	s.Status.Quorum = cib.QuorumHeld
	s.Status.View = &cib.View{Number: 1, Formed: now}
	s.Status.Members, s.Status.Nodes = map[string]*cib.Member{}, map[string]*cib.NodeStatus{}
	for _, n := range []string{"n1", "n2"} {
		s.Status.View.Members = append(s.Status.View.Members, cib.ViewMember{Node: n, Incarnation: 1, BootID: "b" + n})
		s.Status.Members[n] = &cib.Member{Incarnation: 1, BootID: "b" + n}
		s.Status.Nodes[n] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "b" + n, Since: now}
	}
	return s
}

// What is supposed changes the decision, and nothing of the configuration that it was
// made from.
func TestSuppose(t *testing.T) {
	for _, c := range []struct {
		what  Suppose
		where string
	}{
		{Suppose{}, "n1"},
		{Suppose{Nodes: map[string]string{"n1": "standby"}}, "n2"},
		{Suppose{Nodes: map[string]string{"n1": "down"}}, "n2"},
		{Suppose{Nodes: map[string]string{"n1": "down", "n2": "maintenance"}}, ""},
		{Suppose{Resources: map[string]string{"web": "stop"}}, ""},
		{Suppose{Tickets: map[string]string{"t": "revoked"}}, "n1"},
	} {
		s := snapshot(t)
		config := s.Config
		before := len(cib.Diff(config, s.Config.Clone()))
		if err := c.what.Apply(s, now); err != nil {
			t.Fatalf("%+v: %v", c.what, err)
		}
		out := Decide(s, true, now)
		if len(out.Placement) != 1 || out.Placement[0].Node != c.where || len(out.Scores) != 1 {
			t.Errorf("%+v: %+v", c.what, out.Placement)
		}
		if config.Nodes["n1"].Standby || !config.Tickets["t"].Granted || before != 0 {
			t.Errorf("%+v has changed the configuration itself", c.what)
		}
	}
	s := snapshot(t)
	if err := (&Suppose{Nodes: map[string]string{"n1": "unclean"}}).Apply(s, now); err != nil {
		t.Fatal(err)
	}
	if out := Decide(s, false, now); !slices.Contains(out.Plan.Fence, "n1") {
		t.Errorf("a lost node is not fenced: %+v", out.Plan)
	}
}

func TestNonsense(t *testing.T) {
	for part, what := range map[string]Suppose{
		"nodes":       {Nodes: map[string]string{"n9": "down"}},
		"resources":   {Resources: map[string]string{"web": "explode"}},
		"tickets":     {Tickets: map[string]string{"t": "lost"}},
		"quorum":      {Quorum: "maybe"},
		"failures":    {Failures: []string{"web"}},
		"utilization": {Utilization: []string{"web:cpu=many"}},
	} {
		err := what.Apply(snapshot(t), now)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Part != part || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// A site takes its votes along, unless somebody supposes otherwise.
func TestVotesGoWithNodes(t *testing.T) {
	site := map[string]string{"n1": "unclean"}
	for _, c := range []struct {
		what   Suppose
		device bool
		quorum cib.PartitionQuorum
		says   string
	}{
		{Suppose{}, false, cib.QuorumHeld, ""},
		{Suppose{Nodes: map[string]string{"n1": "standby"}}, false, cib.QuorumHeld, ""},
		{Suppose{Nodes: site}, false, cib.QuorumLost, "1 of 2 votes would be here, 2 are needed: quorum would be lost"},
		{Suppose{Nodes: site}, true, cib.QuorumHeld, "1 of 2 votes would be here, 2 are needed: a quorum device would have to decide, and is taken to decide for this part"},
		{Suppose{Nodes: site, Quorum: "have"}, false, cib.QuorumHeld, "1 of 2 votes would be here, 2 are needed: quorum would be lost"},
	} {
		s := snapshot(t)
		s.Status.Voters = &cib.VoterSet{Voters: []string{"n1", "n2"}}
		if c.device {
			s.Config.QuorumDevices = map[string]*cib.QuorumDevice{"d": {}}
		}
		if err := c.what.Apply(s, now); err != nil {
			t.Fatalf("%+v: %v", c.what, err)
		}
		if got := Decide(s, false, now).Quorum; s.Status.Quorum != c.quorum || got != c.says {
			t.Errorf("%+v with device %t: quorum %v, %q", c.what, c.device, s.Status.Quorum, got)
		}
	}
}

// A remote node can be supposed away, too. A guest goes with what it is inside of.
func TestSupposeRemote(t *testing.T) {
	s := snapshot(t)
	s.Config.Resources["far"] = &cib.Resource{Agent: cib.AgentRemote}
	s.Config.Resources["vm"] = &cib.Resource{Agent: "belay:dummy", Meta: cib.Meta{RemoteNode: "inner"}}
	s.Status.Nodes["far"] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "b", Remote: true}
	s.Status.Remotes = map[string]*cib.RemoteLink{"far": {Node: "far", Host: "n1", BootID: "b"}}
	for state, want := range map[string]cib.NodeState{"unclean": cib.NodeUnclean, "down": cib.NodeOffline, "up": cib.NodeOnline} {
		own := *s
		own.Status.Nodes, own.Status.Remotes = maps.Clone(s.Status.Nodes), maps.Clone(s.Status.Remotes)
		if err := (&Suppose{Nodes: map[string]string{"far": state}}).Apply(&own, now); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		n := own.Status.Nodes["far"]
		if n.State != want || n.BootID != "b" || !n.Remote || (own.Status.Remotes["far"] != nil) != (want == cib.NodeOnline) {
			t.Errorf("%s: %+v, connected %t", state, n, own.Status.Remotes["far"] != nil)
		}
	}
	if err := (&Suppose{Nodes: map[string]string{"far": "standby"}}).Apply(s, now); err != nil || !s.Config.RemoteNodes["far"].Standby {
		t.Errorf("standby: %v, %+v", err, s.Config.RemoteNodes["far"])
	}
	for _, what := range []map[string]string{{"inner": "down"}, {"nobody": "down"}, {"far": "odd"}} {
		if _, bad := errors.AsType[*Error]((&Suppose{Nodes: what}).Apply(snapshotWith(s), now)); !bad {
			t.Errorf("%v was taken", what)
		}
	}
}

func snapshotWith(s *cib.Snapshot) *cib.Snapshot {
	own := *s
	return &own
}
