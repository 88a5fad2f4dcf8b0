package node

import (
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/lrm"
	"github.com/belay-ha/belay/engine/policy"
)

// A node that may not act any more stops everything, or demotes what can be demoted and
// stops the rest. Nobody has to be told first, also where the clone wants that.
func TestActsAlone(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		policy cib.NoQuorumPolicy
		want   []string
	}{
		{cib.NoQuorumStop, []string{"demote db", "stop web"}},
		{cib.NoQuorumDemote, []string{"demote db", "stop web"}},
	} {
		s := cib.Empty()
		s.Config.Nodes["n1"], s.Config.Nodes["n2"] = &cib.Node{}, &cib.Node{}
		s.Config.Cluster.Options.NoQuorumPolicy = c.policy
		s.Config.Resources["web"] = &cib.Resource{Agent: "belay:dummy"}
		s.Config.Resources["db"] = &cib.Resource{Agent: "belay:stateful"}
		s.Config.Resources["ms"] = &cib.Resource{Clone: &cib.Clone{Resource: "db", Promotable: true, Notify: true}}
		s.Status.Rounds = map[string]*cib.Round{"db": {ID: "r1-db", Clone: "ms", Changes: []cib.RoundChange{{Op: cib.OpStart, Instance: "db", Label: "db:0", Node: "n1"}}}}
		active := map[string]*cib.History{}
		for id, role := range map[string]string{"web": cib.OpStart, "db": cib.OpPromote} {
			active[id] = &cib.History{Instance: id, Resource: id, Agent: s.Config.Resources[id].Agent, BootID: "b", Ops: []cib.OpResult{
				{Op: cib.OpStart, Seq: 1, Status: cib.OpDone}, {Op: role, Seq: 2, Status: cib.OpDone},
			}}
		}
		n := &Node{self: Setup{Name: "n1", Incarnation: 1, BootID: "b"}, snap: s, lrm: lrm.New("n1", 1, "b")}
		if !n.mustEnd(active) {
			t.Errorf("%s: nothing has to end", c.policy)
		}
		local := n.alone(active)
		plan := policy.Plan(local, policy.Place(local, now), now)
		var ready []string
		for i := range plan.Actions {
			if a := &plan.Actions[i]; len(a.After) == 0 && a.Op != cib.OpMonitor && a.Op != cib.OpCancel {
				ready = append(ready, a.Op+" "+a.Instance)
			}
		}
		if slices.Sort(ready); !slices.Equal(ready, c.want) {
			t.Errorf("%s: %q are ready, want %q", c.policy, ready, c.want)
		}
		replica := map[string]*cib.History{"db": {Instance: "db", Resource: "db", BootID: "b", Ops: active["db"].Ops[:1]}}
		if n.mustEnd(replica) != (c.policy == cib.NoQuorumStop) {
			t.Errorf("%s: a replica that is not promoted has to end: %t", c.policy, n.mustEnd(replica))
		}
		if !s.Config.Resources["ms"].Clone.Notify || s.Config.Resources["ms"].Meta.TargetRole != 0 {
			t.Errorf("%s: the cluster's own configuration was changed", c.policy)
		}
	}
}
