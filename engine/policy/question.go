package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Ask says what an external placement program is to be asked. Whoever runs it puts
// the answer into the snapshot, see [cib.Advice].
func Ask(s *cib.Snapshot, now time.Time) graph.Question {
	u := unpack(s, now)
	q := graph.Question{Now: now.UTC(), Nodes: []graph.QuestionNode{}, Resources: []graph.QuestionResource{}}
	for i := range u.nodes {
		n := &u.nodes[i]
		attributes := maps.Clone(n.cfg.Attributes)
		if attributes == nil {
			attributes = map[string]string{}
		}
		maps.Copy(attributes, n.attributes)
		q.Nodes = append(q.Nodes, graph.QuestionNode{Name: n.name, Usable: n.usable, Why: n.why, Attributes: attributes, Capacity: n.cfg.Utilization})
	}
	for _, r := range u.top {
		if r.orphan {
			continue
		}
		x := graph.QuestionResource{ID: r.id, Kind: r.kind.String(), Utilization: map[string]int{}}
		counted := map[string]bool{}
		r.primitives(func(p *rsc) {
			for _, f := range p.active {
				x.Nodes = append(x.Nodes, u.nodes[f.node].name)
			}
			if !counted[p.base] && p.part != partContainer { // its need is that of what is inside
				counted[p.base] = true
				for name, v := range p.cfg.Utilization {
					x.Utilization[name] += v
				}
			}
		})
		slices.Sort(x.Nodes)
		x.Nodes = slices.Compact(x.Nodes)
		q.Resources = append(q.Resources, x)
	}
	slices.SortFunc(q.Nodes, func(a, b graph.QuestionNode) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(q.Resources, func(a, b graph.QuestionResource) int { return strings.Compare(a.ID, b.ID) })
	return q
}
