package node

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// A node whose vote is new does not ask the tie-breakers before the other voter is known
// to know of it: that one may still be a majority by itself.
func TestNewVoterDoesNotAsk(t *testing.T) {
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		added   string
		settled uint64 // the newest epoch that both were heard to know
		peer    cib.NodeState
		want    bool
	}{
		"its vote is old":                 {want: true},
		"the other one's vote is new":     {added: "n1", want: true},
		"its vote is new":                 {added: "n2"},
		"an older set was known":          {added: "n2", settled: 1},
		"both know of it":                 {added: "n2", settled: 2, want: true},
		"the other one is proven dead":    {added: "n2", peer: cib.NodeFenced, want: true},
		"nobody knows where the other is": {added: "n2", peer: cib.NodeUnclean},
	} {
		t.Run(name, func(t *testing.T) {
			s := cib.Empty()
			s.Config.Cluster.Options.Detection = cib.Duration(time.Second)
			s.Config.QuorumDevices["q"] = &cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd}
			for i, name := range []string{"n1", "n2"} {
				s.Config.Nodes[name] = &cib.Node{ID: uint32(i + 1), Voter: true}
				s.Status.Nodes[name] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "b"}
			}
			if c.peer != 0 {
				s.Status.Nodes["n1"].State = c.peer
			}
			s.Status.Voters = &cib.VoterSet{Epoch: 2, Voters: []string{"n1", "n2"}, Added: c.added}
			s.Revision = 1
			n := New(Setup{Name: "n2", Incarnation: 1, BootID: "b", Rand: rand.New(rand.NewPCG(1, 1))}, start)
			n.allSeen, n.arb.epoch = true, c.settled
			n.Step(start, Changed{Snap: s})
			asked := false
			for at := time.Duration(0); at < 3*time.Second; at += 100 * time.Millisecond {
				for _, e := range n.Step(start.Add(at), Tick{}) {
					if x, ok := e.(Consult); ok && x.Claim.Tie {
						asked = true
					}
				}
			}
			if asked != c.want {
				t.Errorf("asked: %t; %s", asked, n.quorum.Reason)
			}
		})
	}
}
