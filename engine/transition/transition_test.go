package transition

import (
	"fmt"
	"slices"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

func step(op, instance, node string, after ...int) graph.Action {
	return graph.Action{Action: cib.Action{Op: op, Instance: instance, Node: node}, After: after}
}

// TestNext checks one rule per case: order, limits, one action an instance,
// fencing first, withdrawal of what is no longer wanted.
func TestNext(t *testing.T) {
	inFlight := func(a graph.Action, id string) graph.Action { a.InFlight = id; return a }
	move := func(op, instance, node, peer string, after ...int) graph.Action {
		a := step(op, instance, node, after...)
		a.Peer = peer
		return a
	}
	pend := func(id, op, instance, node string, state cib.ActionState) *cib.Pending {
		return &cib.Pending{Action: cib.Action{ID: id, Op: op, Instance: instance, Node: node}, State: state}
	}
	for _, c := range []struct {
		name     string
		plan     []graph.Action
		pending  []*cib.Pending
		cluster  int
		node     int
		deaf     string
		ask      []string
		withdraw []string
	}{
		{
			name: "only what waits for nothing", cluster: 9, node: 9,
			plan: []graph.Action{step("stop", "a", "n1"), step("start", "a", "n2", 0), step("start", "b", "n1")},
			ask:  []string{"stop a on n1", "start b on n1"},
		},
		{
			name: "limit of the cluster counts what is in flight", cluster: 2, node: 9,
			plan:    []graph.Action{inFlight(step("start", "x", "n1"), "1.1"), step("start", "a", "n1"), step("start", "b", "n2")},
			pending: []*cib.Pending{pend("1.1", "start", "x", "n1", cib.ActionRunning)},
			ask:     []string{"start a on n1"},
		},
		{
			name: "limit of a node", cluster: 9, node: 1,
			plan: []graph.Action{step("start", "a", "n1"), step("start", "b", "n1"), step("start", "c", "n2")},
			ask:  []string{"start a on n1", "start c on n2"},
		},
		{
			name: "fencing waits for no limit", cluster: 0, node: 0,
			plan: []graph.Action{step("fence", "", "n1"), step("start", "a", "n2")},
			ask:  []string{"fence n1 ()"},
		},
		{
			name: "one action an instance and node", cluster: 9, node: 9,
			plan:    []graph.Action{step("stop", "a", "n1")},
			pending: []*cib.Pending{pend("1.1", "monitor", "a", "n1", cib.ActionRunning)},
		},
		{
			name: "asked and no longer planned is withdrawn, running is not", cluster: 9, node: 9,
			pending:  []*cib.Pending{pend("1.1", "start", "a", "n1", cib.ActionAsked), pend("1.2", "start", "b", "n1", cib.ActionRunning)},
			withdraw: []string{"1.1"},
		},
		{
			name: "a cleanup that an administrator asked for stays", cluster: 9, node: 9,
			plan:    []graph.Action{step("start", "a", "n1")},
			pending: []*cib.Pending{pend("r.1", "cleanup", "a", "n1", cib.ActionAsked)},
		},
		{
			name: "a migration waits until its place at the other end is free", cluster: 9, node: 9,
			plan: []graph.Action{
				move("migrate_to", "a", "n1", "n2"), move("migrate_from", "a", "n2", "n1", 0), move("migrate_to", "b", "n1", "n2"), move("migrate_from", "b", "n2", "n1", 2),
			},
			pending: []*cib.Pending{pend("1.1", "stop", "a", "n2", cib.ActionRunning)},
			ask:     []string{"migrate_to b on n1"},
		},
		{
			name: "a migration whose other end takes no actions waits", cluster: 9, node: 9, deaf: "n2",
			plan: []graph.Action{move("migrate_to", "a", "n1", "n2"), move("migrate_from", "a", "n2", "n1", 0)},
		},
		{
			name: "what is expected is no load, and takes no place from what the plan has there", cluster: 1, node: 1,
			plan:    []graph.Action{move("migrate_from", "a", "n2", "n1")},
			pending: []*cib.Pending{pend("1.1", "migrate_from", "a", "n2", cib.ActionExpected)},
			ask:     []string{"migrate_from a on n2"},
		},
		{
			name: "the connection to a remote node waits for no limit of the cluster", cluster: 1, node: 9,
			plan: []graph.Action{
				inFlight(step("monitor", "a", "r1"), "1.1"), {Action: cib.Action{Op: "monitor", Instance: "r1", Node: "n1", Agent: cib.AgentRemote}}, step("start", "b", "n1"),
			},
			pending: []*cib.Pending{pend("1.1", "monitor", "a", "r1", cib.ActionRunning)},
			ask:     []string{"monitor r1 on n1"},
		},
		{
			name: "what a node that takes no actions has in flight fills no limit but its own", cluster: 1, node: 1, deaf: "r1",
			plan:    []graph.Action{step("start", "r1", "n1"), inFlight(step("monitor", "a", "r1", 0), "1.1")},
			pending: []*cib.Pending{pend("1.1", "monitor", "a", "r1", cib.ActionAsked)},
			ask:     []string{"start r1 on n1"},
		},
		{
			name: "a node that takes no actions waits", cluster: 9, node: 9, deaf: "n1",
			plan: []graph.Action{step("start", "a", "n1"), step("start", "b", "n2")},
			ask:  []string{"start b on n2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			pending := map[string]map[string]*cib.Pending{}
			for _, p := range c.pending {
				if pending[p.Node] == nil {
					pending[p.Node] = map[string]*cib.Pending{}
				}
				pending[p.Node][p.Instance] = p
			}
			ask, withdraw := Next(&graph.Graph{Actions: c.plan}, pending, Limits{
				Cluster: c.cluster, Node: func(string) int { return c.node }, Ask: func(n string) bool { return n != c.deaf },
			})
			var got, gone []string
			for i := range ask {
				got = append(got, ask[i].String())
			}
			for _, p := range withdraw {
				gone = append(gone, p.ID)
			}
			if !slices.Equal(got, c.ask) || !slices.Equal(gone, c.withdraw) {
				t.Errorf("ask %s, want %s; withdraw %s, want %s", fmt.Sprint(got), c.ask, fmt.Sprint(gone), c.withdraw)
			}
		})
	}
}
