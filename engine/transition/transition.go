// Package transition paces a plan: what of it may be asked for now, within the
// limits, and what in flight is to be withdrawn. It keeps no state: what is in
// flight stands in the store, and the plan is computed anew from every snapshot.
package transition

import (
	"maps"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Limits bound what is in flight.
type Limits struct {
	Cluster int                   // actions in flight in the cluster
	Node    func(node string) int // actions in flight on one node
	// Ask reports whether the node may be asked now: a member whose engine takes
	// actions. Others' steps wait.
	Ask func(node string) bool
}

// Next returns the steps to ask for now, in the plan's order, and the actions
// in flight to withdraw because the plan no longer has them.
func Next(g *graph.Graph, pending map[string]map[string]*cib.Pending, lim Limits) (ask []graph.Action, withdraw []*cib.Pending) {
	total := 0
	busy := map[string]int{} // by node
	kept := map[string]bool{}
	for i := range g.Actions {
		if id := g.Actions[i].InFlight; id != "" {
			kept[id] = true
		}
	}
	for _, node := range slices.Sorted(maps.Keys(pending)) {
		for _, instance := range slices.Sorted(maps.Keys(pending[node])) {
			p := pending[node][instance]
			if p.State != cib.ActionExpected {
				// What nobody can take is no load of the cluster. It must not keep the
				// connection that it waits for from being made.
				if lim.Ask(node) {
					total++
				}
				busy[node]++
			}
			// A cleanup that an administrator asked for is in no plan, and is not for
			// the DC to take back.
			if p.State == cib.ActionAsked && !kept[p.ID] && p.Op != cib.OpCleanup {
				withdraw = append(withdraw, p)
			}
		}
	}
	taken := map[[2]string]bool{} // node and instance asked for in this round
	for i := range g.Actions {
		a := &g.Actions[i]
		// Connections to remote nodes are no load, and what is in flight may wait for one.
		if a.InFlight != "" || len(a.After) > 0 || total >= lim.Cluster && a.Op != cib.OpFence && a.Agent != cib.AgentRemote {
			continue
		}
		if a.Op == cib.OpFence {
			ask = append(ask, *a) // never waits: everything else waits for it
			continue
		}
		slot := [2]string{a.Node, a.Instance}
		if p := pending[a.Node][a.Instance]; !lim.Ask(a.Node) || busy[a.Node] >= lim.Node(a.Node) || taken[slot] || p != nil && p.State != cib.ActionExpected {
			continue
		}
		if a.Op == cib.OpMigrateTo { // it takes the place at its other end, too
			there := [2]string{a.Peer, a.Instance}
			if !lim.Ask(a.Peer) || taken[there] || pending[a.Peer][a.Instance] != nil || Arrival(g, a) == nil {
				continue
			}
			taken[there] = true
		}
		taken[slot] = true
		total++
		busy[a.Node]++
		ask = append(ask, *a)
	}
	return ask, withdraw
}

// Arrival returns the other end of a migration: the migrate_from that follows a
// migrate_to; nil if the plan has none.
func Arrival(g *graph.Graph, to *graph.Action) *graph.Action {
	for i := range g.Actions {
		if a := &g.Actions[i]; a.Op == cib.OpMigrateFrom && a.Instance == to.Instance && a.Node == to.Peer && a.Peer == to.Node {
			return a
		}
	}
	return nil
}
