package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Impact is what would happen to the others if a node or a resource went.
type Impact struct {
	Object   string   `json:"object"`             // "node/n1", "resource/db"
	Stop     []Shift  `json:"stop,omitempty"`     // resources that would run nowhere
	Move     []Shift  `json:"move,omitempty"`     // resources that would run elsewhere, or promoted elsewhere
	Degraded []Shift  `json:"degraded,omitempty"` // resources that would run on fewer nodes
	Quorum   string   `json:"quorum,omitempty"`   // what would become of the votes; "" where there is nothing to say
	Lost     bool     `json:"quorumLost,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what stands against it besides
}

// Shift is one resource before and after.
type Shift struct {
	Resource string   `json:"resource"`
	From     []string `json:"from"`
	To       []string `json:"to,omitempty"`
	Promoted bool     `json:"promoted,omitempty"` // it is the promoted role that moves
}

// ImpactOfNode says what would happen if a node went, and stayed away: after its
// resources are stopped, or its death is confirmed.
func ImpactOfNode(s *cib.Snapshot, node string, now time.Time) *Impact {
	out := &Impact{Object: "node/" + node}
	next := *s
	st := &next.Status
	st.Nodes = maps.Clone(st.Nodes)
	if st.Nodes == nil {
		st.Nodes = map[string]*cib.NodeStatus{}
	}
	gone := &cib.NodeStatus{State: cib.NodeOffline, Since: now, Reason: "as the question says"}
	if old := st.Nodes[node]; old != nil {
		gone.BootID = old.BootID
	}
	st.Nodes[node] = gone
	if st.View != nil {
		view := *st.View
		view.Members = slices.DeleteFunc(slices.Clone(view.Members), func(m cib.ViewMember) bool { return m.Node == node })
		st.View = &view
	}
	out.votes(&next, node)
	if out.Lost {
		st.Quorum = cib.QuorumLost
	}
	before := Place(s, now)
	after := Place(&next, now)
	out.compare(before, after, nil)
	if out.Lost {
		policy := s.Config.Cluster.Options.NoQuorum()
		out.Notes = append(out.Notes, fmt.Sprintf("without quorum nothing is started or moved; no-quorum-policy is %s", policy))
	}
	return out
}

// votes says what is left of the votes without a node.
func (x *Impact) votes(s *cib.Snapshot, node string) {
	v := s.Status.Voters
	if v == nil || s.Status.View == nil || !slices.Contains(v.Voters, node) {
		return
	}
	all := v.Total()
	left, need := 0, all/2+1
	for _, m := range s.Status.View.Members {
		left += v.VotesOf(m.Node)
	}
	switch {
	case left >= need && left == need:
		x.Quorum = fmt.Sprintf("%d of %d votes would be left, %d are needed: no further voter may fail", left, all, need)
	case left >= need:
		x.Quorum = fmt.Sprintf("%d of %d votes would be left, %d are needed", left, all, need)
	case 2*left == all && len(s.Config.QuorumDevices) > 0:
		x.Quorum = fmt.Sprintf("%d of %d votes would be left: a quorum device would have to decide", left, all)
	default:
		x.Lost = true
		x.Quorum = fmt.Sprintf("quorum would be lost: %d of %d votes would be left, %d are needed", left, all, need)
	}
}

// ImpactOfResource says what would happen to the others if a resource were stopped,
// and stayed so.
func ImpactOfResource(s *cib.Snapshot, id string, now time.Time) *Impact {
	out := &Impact{Object: "resource/" + id}
	next := *s
	config := *s.Config
	config.Resources = maps.Clone(config.Resources)
	r := *config.Resources[id]
	r.Meta.TargetRole = cib.RoleStopped
	config.Resources[id] = &r
	next.Config = &config
	before, after := Place(s, now), Place(&next, now)
	own := madeOf(s.Config, id)
	out.compare(before, after, own)
	// What has an order with it is stopped by the plan, wherever it is wanted.
	for _, stopped := range onlyStopped(Plan(&next, after, now)) {
		if own[stopped.Resource] || slices.ContainsFunc(out.Stop, func(x Shift) bool { return x.Resource == stopped.Resource }) {
			continue
		}
		out.Stop = append(out.Stop, stopped)
		same := func(x Shift) bool { return x.Resource == stopped.Resource }
		out.Move, out.Degraded = slices.DeleteFunc(out.Move, same), slices.DeleteFunc(out.Degraded, same)
	}
	slices.SortFunc(out.Stop, byResource)
	return out
}

// madeOf returns a resource and everything that it is made of.
func madeOf(c *cib.Config, id string) map[string]bool {
	out := map[string]bool{}
	todo := []string{id}
	for len(todo) > 0 {
		id, todo = todo[0], todo[1:]
		r := c.Resources[id]
		if r == nil || out[id] {
			continue
		}
		out[id] = true
		todo = append(todo, r.Group...)
		if r.Clone != nil {
			todo = append(todo, r.Clone.Resource)
		}
		if r.Bundle != nil {
			todo = append(todo, r.Bundle.Resource)
		}
	}
	return out
}

// onlyStopped returns what a plan stops and does not start again.
func onlyStopped(g *graph.Graph) []Shift {
	on := map[string][]string{}
	started := map[string]bool{}
	for i := range g.Actions {
		switch a := &g.Actions[i]; a.Op {
		case cib.OpStop:
			on[a.Resource] = append(on[a.Resource], a.Node)
		case cib.OpStart:
			started[a.Resource] = true
		}
	}
	var out []Shift
	for _, id := range slices.Sorted(maps.Keys(on)) {
		if !started[id] {
			slices.Sort(on[id])
			out = append(out, Shift{Resource: id, From: slices.Compact(on[id])})
		}
	}
	return out
}

// where is on which nodes each resource is wanted, and promoted.
func where(p *graph.Placement) (active, promoted map[string][]string) {
	active, promoted = map[string][]string{}, map[string][]string{}
	for i := range p.Instances {
		a := &p.Instances[i]
		if a.Node == "" || !a.Role.Active() {
			continue
		}
		active[a.Resource] = append(active[a.Resource], a.Node)
		if a.Role == cib.RolePromoted {
			promoted[a.Resource] = append(promoted[a.Resource], a.Node)
		}
	}
	for _, m := range []map[string][]string{active, promoted} {
		for _, nodes := range m {
			slices.Sort(nodes)
		}
	}
	return active, promoted
}

// compare fills in what differs between two placements. Resources of own are left
// out.
func (x *Impact) compare(before, after *graph.Placement, own map[string]bool) {
	from, fromPromoted := where(before)
	to, toPromoted := where(after)
	for _, id := range slices.Sorted(maps.Keys(from)) {
		a, b := from[id], to[id]
		shift := Shift{Resource: id, From: a, To: b}
		switch {
		case own[id]:
		case len(b) == 0:
			x.Stop = append(x.Stop, shift)
		case len(b) < len(a):
			x.Degraded = append(x.Degraded, shift)
		case !slices.Equal(a, b):
			x.Move = append(x.Move, shift)
		}
		if p := fromPromoted[id]; !own[id] && len(b) > 0 && len(p) > 0 && !slices.Equal(p, toPromoted[id]) {
			x.Move = append(x.Move, Shift{Resource: id, From: p, To: toPromoted[id], Promoted: true})
		}
	}
}

func byResource(a, b Shift) int { return strings.Compare(a.Resource, b.Resource) }
