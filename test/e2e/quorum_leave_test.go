package e2e

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// One of two nodes leaves in an orderly way, first the DC, then the other one, with no
// tie-breaker anywhere: the one that stays is a whole cluster, also after its power
// failed, and nobody is fenced. The one that left comes back and has its vote again.
func TestQuorumLeave(t *testing.T) {
	c := start(t, cluster.Config{Nodes: 2})
	installTraced(t, c)
	cfg := &cib.Config{Resources: map[string]*cib.Resource{"web": tracedResource(nil)}}
	_, err := c.Nodes[0].Apply(deadline(t, 20*time.Second), cfg)
	must(t, err)
	began := time.Now()
	for round := range 2 {
		leaver := dc(t, c)
		if round == 1 {
			leaver = c.Others(leaver)[0]
		}
		other := c.Others(leaver)[0]
		_, err := leaver.Change(deadline(t, 60*time.Second), api.ActionDrain, "node/"+leaver.Name, nil)
		must(t, err)
		works := func() {
			t.Helper()
			must(t, cluster.WaitOn(deadline(t, 60*time.Second), []*cluster.Node{other}, other.Name+" is a cluster of one", func(s *status.Summary) string {
				if v := s.Quorum.Voters; len(v) != 1 || v[0].Node != other.Name {
					return "the voters are others"
				}
				if n := s.Node(leaver.Name); n == nil || n.State != status.NodeOffline {
					return leaver.Name + " is not offline"
				}
				return cluster.Running(s, "web", other.Name)
			}))
			_, err := other.Change(deadline(t, 20*time.Second), api.ActionPatch, "resource/web", map[string]any{"description": "changed by " + other.Name})
			must(t, err)
		}
		works()
		must(t, leaver.Stop(deadline(t, 30*time.Second)))
		works()
		if round == 1 {
			must(t, other.Host.PowerOff())
			must(t, other.Host.PowerOn(deadline(t, 20*time.Second)))
			must(t, other.WaitSocket(deadline(t, 30*time.Second)))
			works()
		}
		must(t, leaver.Release())
		wait(t, c, 60*time.Second, "both have a vote", func(s *status.Summary) string {
			if len(s.Quorum.Voters) != 2 {
				return "only one has"
			}
			return cluster.Online(s, c.Names()...)
		})
	}
	// Who leaves for ever is removed: there is nobody else.
	stays := dc(t, c)
	leaver := c.Others(stays)[0]
	_, err = leaver.Change(deadline(t, 60*time.Second), api.ActionDrain, "node/"+leaver.Name, nil)
	must(t, err)
	must(t, leaver.Stop(deadline(t, 30*time.Second)))
	_, err = stays.Change(deadline(t, 20*time.Second), api.ActionRemoveNode, "node/"+leaver.Name, nil)
	must(t, err)
	must(t, cluster.WaitOn(deadline(t, 60*time.Second), []*cluster.Node{stays}, stays.Name+" is the only node", func(s *status.Summary) string {
		if len(s.Nodes) != 1 {
			return "there are more"
		}
		return cluster.Running(s, "web", stays.Name)
	}))
	if evs := eventsOf(t, stays, event.FencingRequested, "", began); len(evs) > 0 {
		t.Errorf("somebody was to be fenced: %+v", evs)
	}
	if evs := eventsOf(t, stays, event.StoreReplaced, "", began); len(evs) > 0 {
		t.Errorf("the operator was told of a loss: %+v", evs)
	}
}
