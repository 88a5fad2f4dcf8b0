package policy

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Decision is what is decided on one snapshot.
type Decision struct {
	Placement *graph.Placement
	Graph     *graph.Graph
	// Next is when the decision would change though nothing but the time does. The
	// zero time means never.
	Next time.Time
	// Fault is what Check says about the plan; nil if it is good.
	Fault error
}

// Planner decides on one snapshot of a cluster after another. What it says is what
// Decide and Check say; but where a snapshot differs from the one before in a few
// resources only, it decides about these and what belongs together with them, and
// takes the rest from the decision before. That is right because a decision about
// one part (see parts) depends on others in two ways only, which it watches:
//
//   - by the counts of resources on each node, where nodes have the same score.
//     If somebody looks at them, it is told what the others have added. If what is
//     added changes, those who had looked at it are decided anew, too.
//   - by what nodes suffer because of a resource. If a node is not what it was,
//     all is decided anew.
//
// The zero value is ready. A Planner is not for several goroutines.
type Planner struct {
	s     *cib.Snapshot // of the last decision; nil: there is none
	now   time.Time
	last  Decision
	nodes []node            // as they were
	parts *parts            // of s
	turns map[string][]turn // by resource without a parent

	// Reused is how many assignments of the last decision were taken from the one
	// before.
	Reused int
}

// Decide decides. The snapshot must not change afterwards.
func (p *Planner) Decide(s *cib.Snapshot, now time.Time) Decision {
	if !p.change(s, now) {
		p.anew(s, now)
	}
	p.s, p.now = s, now
	return p.last
}

// anew decides about everything.
func (p *Planner) anew(s *cib.Snapshot, now time.Time) {
	r := placeTraced(s, now, nil)
	p.last, p.nodes, p.turns, p.Reused = r.finish(), r.nodes, map[string][]turn{}, 0
	p.parts = newParts(s)
	for _, t := range r.turns {
		p.turns[t.resource] = append(p.turns[t.resource], t)
	}
}

// traced is a placement with what it depends on.
type traced struct {
	*state
	placement *graph.Placement
	turns     []turn
}

// placeTraced places the resources of a snapshot. The additions of others are
// counted as if they were made in their turn.
func placeTraced(s *cib.Snapshot, now time.Time, others []added) traced {
	u := unpack(s, now)
	x := newPlacer(u)
	x.running.traced, x.running.others = true, others
	return traced{state: u, placement: x.place(), turns: x.turns}
}

// finish plans what was placed.
func (t *traced) finish() Decision {
	b := newPlanner(t.state, t.placement)
	g := b.plan()
	b.sayWaits()
	return Decision{Placement: t.placement, Graph: g, Next: t.next, Fault: Check(t.s, t.now, t.placement, g)}
}

// changeMax is which share of the parts may be decided anew before that is done
// for all: one in changeMax.
const changeMax = 4

// change decides about what has changed; false where all must be decided anew.
func (p *Planner) change(s *cib.Snapshot, now time.Time) bool {
	if p.s == nil || p.s.Status.View == nil || s.Status.View == nil || now.Before(p.now) || !p.last.Next.IsZero() && !now.Before(p.last.Next) || p.last.Fault != nil {
		return false
	}
	if strategyOf(&s.Config.Cluster.Options).counted || nested(s) || nested(p.s) {
		return false // all share the capacity of the nodes; what is a node itself concerns all
	}
	dirty, ok := p.parts.follow(p.s, s)
	if !ok {
		return false
	}
	chosen := map[int32]bool{}
	for name := range dirty {
		if n, ok := p.parts.of[name]; ok {
			chosen[n] = true
		}
	}
	if len(dirty) == 0 {
		p.renumber(s)
		return true
	}
	for len(chosen)*changeMax <= len(p.parts.names)+changeMax {
		sub := p.parts.cut(s, chosen)
		r := placeTraced(sub, now, nil)
		if slices.ContainsFunc(r.turns, func(t turn) bool { return t.looked }) {
			others, unclear := p.othersThan(chosen, dirty, r.turns)
			if len(unclear) > 0 {
				choose(chosen, unclear)
				continue
			}
			r = placeTraced(sub, now, others)
		}
		if !reflect.DeepEqual(r.nodes, p.nodes) {
			return false
		}
		if affected := p.affected(chosen, dirty, r.turns); len(affected) > 0 {
			choose(chosen, affected)
			continue
		}
		p.take(s, r.finish(), chosen, dirty)
		for _, t := range r.turns {
			p.turns[t.resource] = append(p.turns[t.resource], t)
		}
		return true
	}
	return false
}

func choose(chosen, more map[int32]bool) {
	for n := range more {
		chosen[n] = true
	}
}

// replaced reports whether what is known of a resource is decided anew.
func (p *Planner) replaced(name string, chosen map[int32]bool, dirty map[string]bool) bool {
	n, ok := p.parts.of[name]
	return !ok || chosen[n] || dirty[name]
}

// othersThan lists what all but the chosen parts have added to the counts, in the
// order of their ranks. It also returns the parts of which it is not clear whether
// they came before a turn that looks: they have the same rank.
func (p *Planner) othersThan(chosen map[int32]bool, dirty map[string]bool, turns []turn) (others []added, unclear map[int32]bool) {
	looking := map[rank]bool{}
	for _, t := range turns {
		if t.looked {
			looking[t.rank] = true
		}
	}
	unclear = map[int32]bool{}
	for name, list := range p.turns {
		if p.replaced(name, chosen, dirty) {
			continue
		}
		for _, t := range list {
			if len(t.added) > 0 && looking[t.rank] {
				unclear[p.parts.of[name]] = true
			}
			others = append(others, t.added...)
		}
	}
	slices.SortStableFunc(others, func(a, b added) int { return a.rank.compare(b.rank) })
	return others, unclear
}

// affected returns the parts that looked at the counts, where the chosen ones do
// not add to them what they did before, or add in the same rank: who of those
// comes first may have changed.
func (p *Planner) affected(chosen map[int32]bool, dirty map[string]bool, turns []turn) map[int32]bool {
	sum, ranks := map[added]int{}, map[rank]bool{}
	count := func(list []added, sign int) {
		for _, a := range list {
			sum[added{a.rank, a.node, 0}] += sign * a.delta
			ranks[a.rank] = true
		}
	}
	for name, list := range p.turns {
		if p.replaced(name, chosen, dirty) {
			for _, t := range list {
				count(t.added, -1)
			}
		}
	}
	for _, t := range turns {
		count(t.added, 1)
	}
	var first *rank // of what is different
	for a, n := range sum {
		if n != 0 && (first == nil || a.rank.compare(*first) < 0) {
			first = &a.rank
		}
	}
	out := map[int32]bool{}
	for name, list := range p.turns {
		for _, t := range list {
			if t.looked && (first != nil && t.rank.compare(*first) > 0 || ranks[t.rank]) && !p.replaced(name, chosen, dirty) {
				out[p.parts.of[name]] = true
			}
		}
	}
	return out
}

// take puts the new decision about some parts beside the old one about the rest.
func (p *Planner) take(s *cib.Snapshot, r Decision, chosen map[int32]bool, dirty map[string]bool) {
	gone := func(name string) bool { return p.replaced(name, chosen, dirty) }
	kept := make([]graph.Assignment, 0, len(p.last.Placement.Instances)+len(r.Placement.Instances))
	for i := range p.last.Placement.Instances {
		if a := &p.last.Placement.Instances[i]; !gone(a.Resource) {
			kept = append(kept, *a)
		}
	}
	p.Reused = len(kept)
	for name := range p.turns {
		if gone(name) {
			delete(p.turns, name)
		}
	}
	placement := &graph.Placement{Instances: mergeAssignments(kept, r.Placement.Instances)}
	g, fault := mergeGraphs(p.last.Graph, r.Graph, gone)
	d := Decision{Placement: placement, Graph: g, Next: p.last.Next, Fault: errors.Join(r.Fault, fault)}
	if !r.Next.IsZero() && (d.Next.IsZero() || r.Next.Before(d.Next)) {
		d.Next = r.Next
	}
	p.last = d
	p.renumber(s)
}

// renumber makes the last decision one about a snapshot. Those to whom it was given
// may still read it, so that it is not changed.
func (p *Planner) renumber(s *cib.Snapshot) {
	x, y := *p.last.Placement, *p.last.Graph
	x.Revision, y.Revision, y.ConfigGen = s.Revision, s.Revision, s.ConfigGen.Number
	p.last.Placement, p.last.Graph = &x, &y
}

// mergeAssignments merges two sorted lists.
func mergeAssignments(a, b []graph.Assignment) []graph.Assignment {
	out := make([]graph.Assignment, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareInstances(b[0].Instance, a[0].Instance) < 0 {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...)
}

// mergeGraphs makes one plan of what is left of an old one and of a new one. What
// concerns a node as a whole, such as its fencing, is in both and becomes one step.
func mergeGraphs(old, fresh *graph.Graph, gone func(resource string) bool) (*graph.Graph, error) {
	type shared struct{ op, node string }
	var all []graph.Action
	joint := map[shared]int{}
	add := func(g *graph.Graph, keep func(*graph.Action) bool) {
		number := make([]int, len(g.Actions)) // in all; -1: left out
		for i := range g.Actions {
			a := &g.Actions[i]
			number[i] = -1
			if !keep(a) {
				continue
			}
			key := shared{a.Op, a.Node}
			k, there := joint[key]
			if a.Instance != "" || !there {
				k = len(all)
				all = append(all, *a)
				all[k].After = nil
			}
			if a.Instance == "" {
				joint[key] = k
			}
			number[i] = k
			for _, n := range a.After {
				if m := number[n]; m >= 0 && (!there || !slices.Contains(all[k].After, m)) {
					all[k].After = append(all[k].After, m)
				}
			}
		}
	}
	add(old, func(a *graph.Action) bool { return a.Instance == "" || !gone(a.Resource) })
	add(fresh, func(*graph.Action) bool { return true })
	g, err := inOrder(all)
	for _, half := range []*graph.Graph{old, fresh} {
		for _, inner := range slices.Sorted(maps.Keys(half.Rounds)) {
			if half == fresh || !gone(inner) {
				if g.Rounds == nil {
					g.Rounds = map[string]*cib.Round{}
				}
				g.Rounds[inner] = half.Rounds[inner]
			}
		}
		for _, inner := range half.Ended {
			if half == fresh || !gone(inner) {
				g.Ended = append(g.Ended, inner)
			}
		}
	}
	slices.Sort(g.Ended)
	return g, err
}

// inOrder lists actions so that each stands after those it waits for; otherwise in
// the order given.
func inOrder(all []graph.Action) (*graph.Graph, error) {
	g := &graph.Graph{}
	if len(all) == 0 {
		return g, nil
	}
	g.Actions = make([]graph.Action, 0, len(all))
	number := make([]int, len(all)) // its new one, plus one
	entered := make([]bool, len(all))
	var stack []int
	for i := range all {
		stack = append(stack[:0], i)
		for len(stack) > 0 {
			k := stack[len(stack)-1]
			if number[k] > 0 {
				stack = stack[:len(stack)-1]
				continue
			}
			waits := false
			for _, n := range all[k].After {
				if number[n] == 0 {
					if entered[n] && entered[k] {
						return g, errors.New("actions wait for each other in a circle")
					}
					stack, waits = append(stack, n), true
				}
			}
			entered[k] = true
			if waits {
				continue
			}
			stack = stack[:len(stack)-1]
			a := all[k]
			a.After = nil
			for _, n := range all[k].After {
				a.After = append(a.After, number[n]-1)
			}
			slices.Sort(a.After)
			g.Actions = append(g.Actions, a)
			number[k] = len(g.Actions)
		}
	}
	return g, nil
}
