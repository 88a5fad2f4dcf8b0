package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// recorder notes the parts of scores while they are added up.
type recorder struct {
	parts map[int32]map[int32][]graph.Part // by resource, by node
}

func (e *recorder) note(r *rsc, n int32, part graph.Part) {
	m := e.parts[r.index]
	if m == nil {
		m = make(map[int32][]graph.Part)
		e.parts[r.index] = m
	}
	m[n] = append(m[n], part)
}

// save returns what is noted of an instance. Nobody notes anything where nil is the
// recorder.
func (e *recorder) save(i *rsc) map[int32]map[int32][]graph.Part {
	if e == nil {
		return nil
	}
	out := map[int32]map[int32][]graph.Part{}
	i.primitives(func(x *rsc) {
		own := map[int32][]graph.Part{}
		for n, parts := range e.parts[x.index] {
			own[n] = slices.Clip(parts)
		}
		out[x.index] = own
	})
	return out
}

// restore takes back what was noted since.
func (e *recorder) restore(saved map[int32]map[int32][]graph.Part) {
	for r, notes := range saved {
		e.parts[r] = maps.Clone(notes)
	}
}

// colocated notes what a colocation did to each node's score.
func (e *recorder) colocated(r *rsc, c *colocation, places []int32, before, after []cib.Score) {
	for i := range before {
		if before[i] == after[i] {
			continue
		}
		score := c.score
		text := "where " + c.primary.base + " runs"
		switch {
		case len(places) == 0:
			score, text = -c.score, c.primary.base+" runs nowhere"
		case c.score >= cib.Infinity:
			score, text = -c.score, "not where "+c.primary.base+" runs"
		}
		e.note(r, int32(i), graph.Part{Rule: c.id, Score: score, Text: text})
	}
}

// Explain says why the instances of a resource are where they are, and why not
// elsewhere. The resource is a primitive, group or clone, or one instance.
func Explain(s *cib.Snapshot, resource string, now time.Time) (*graph.Explanation, error) {
	out := &graph.Explanation{Resource: resource, Instances: explain(s, now, func(r *rsc) bool { return r.concerns(resource) })}
	if len(out.Instances) == 0 {
		if _, known := s.Config.Resources[resource]; known && s.Status.View == nil {
			return nil, fmt.Errorf("explain %s: there is no membership view yet, so nothing is placed", resource)
		}
		if _, known := s.Config.Resources[resource]; known {
			return out, nil // a clone without instances
		}
		return nil, fmt.Errorf("explain %s: there is no such resource", resource)
	}
	return out, nil
}

// ExplainAll explains every instance of every resource, sorted by instance.
func ExplainAll(s *cib.Snapshot, now time.Time) []graph.InstanceExplanation {
	return explain(s, now, func(*rsc) bool { return true })
}

// explain places everything, and explains the primitives that are asked for.
func explain(s *cib.Snapshot, now time.Time, asked func(*rsc) bool) []graph.InstanceExplanation {
	u := unpack(s, now)
	p := newPlacer(u)
	p.explain = &recorder{parts: make(map[int32]map[int32][]graph.Part)}
	placement := p.place()
	b := newPlanner(u, placement)
	b.plan()
	b.sayWaits()
	byResource := make(map[string][]*graph.Assignment)
	for i := range placement.Instances {
		a := &placement.Instances[i]
		byResource[a.Resource] = append(byResource[a.Resource], a)
	}
	out := []graph.InstanceExplanation{}
	for _, r := range u.rscs {
		if r.kind != cib.KindPrimitive || !asked(r) {
			continue
		}
		list := byResource[r.base]
		for i, a := range list {
			if p.shownAs(r, a) {
				out = append(out, graph.InstanceExplanation{Assignment: *a, Nodes: p.nodeScores(r)})
				byResource[r.base] = slices.Delete(list, i, i+1)
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b graph.InstanceExplanation) int { return compareInstances(a.Instance, b.Instance) })
	return out
}

// concerns reports whether a primitive is meant by a name: its own, or that of
// something it is in.
func (r *rsc) concerns(name string) bool {
	for x := r; x != nil; x = x.parent {
		if x.id == name || x.base == name {
			return true
		}
	}
	return false
}

// shownAs reports whether an assignment is that of the instance. Instances of an
// anonymous clone are shown under the number of their node.
func (p *placer) shownAs(r *rsc, a *graph.Assignment) bool {
	if !r.anonymous() {
		return a.Instance == r.id
	}
	name := ""
	if n := p.assigned[r.index]; n >= 0 {
		name = p.nodes[n].name
	}
	return a.Resource == r.base && a.Node == name
}

func (p *placer) nodeScores(r *rsc) []graph.NodeScore {
	out := make([]graph.NodeScore, 0, len(p.nodes))
	for i := range p.nodes {
		n := &p.nodes[i]
		s := graph.NodeScore{Node: n.name, Score: max(p.weights[r.index][i], -cib.Infinity), Parts: p.explain.parts[r.index][int32(i)]}
		if !n.usable {
			s.Score = -cib.Infinity
			s.Parts = append([]graph.Part{{Rule: "node", Score: -cib.Infinity, Text: "node " + n.name + " " + n.why}}, s.Parts...)
		}
		if p.weights[r.index][i] == absent {
			s.Parts = append(s.Parts, graph.Part{Rule: "symmetric-cluster", Score: -cib.Infinity, Text: "no location allows it in this opt-in cluster"})
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b graph.NodeScore) int { return cmp.Compare(b.Score, a.Score) })
	return out
}
