package policy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// usesCapacity reports whether the placement strategy looks at utilization.
func (u *state) usesCapacity() bool { return strategyOf(u.opt).counted }

// capacity keeps what is left on each node while resources are assigned.
type capacity struct {
	names []string // of what is counted, sorted
	free  [][]int  // by node, by name
	need  [][]int  // by resource: what its node had to have, once it is placed
}

// unpackCapacity reads the nodes' capacities; nil where the strategy does not
// count.
func (u *state) unpackCapacity() *capacity {
	if !u.usesCapacity() {
		return nil
	}
	set := map[string]bool{}
	for i := range u.nodes {
		for name := range u.nodes[i].cfg.Utilization {
			set[name] = true
		}
	}
	for _, r := range u.rscs {
		for name := range r.uses() {
			set[name] = true
		}
	}
	c := &capacity{names: slices.Sorted(maps.Keys(set)), free: make([][]int, len(u.nodes)), need: make([][]int, len(u.rscs))}
	for i := range u.nodes {
		c.free[i] = make([]int, len(c.names))
		for k, name := range c.names {
			c.free[i][k] = u.nodes[i].cfg.Utilization[name]
		}
	}
	return c
}

// uses is what a resource needs of its node. What is inside of a bundle takes from
// the host, so that the container needs it.
func (r *rsc) uses() map[string]int {
	if r.part == partChild {
		return nil
	}
	return r.cfg.Utilization
}

// fit bans the nodes that have too little left for a resource and all that must be
// with it and is not placed yet. Where no node has enough for all of that it bans
// those that have too little for the resource alone, and returns the one with the
// most capacity; else nowhere.
func (p *placer) fit(r *rsc) int32 {
	if p.capacity == nil {
		return nowhere
	}
	w := p.weights[r.index]
	candidate := func(n int) bool { return p.nodes[n].usable && w[n] >= 0 }
	need := p.needsTogether(r)
	most, any := nowhere, false
	for n := range p.nodes {
		if !candidate(n) {
			continue
		}
		any = any || p.lacks(need, int32(n)) == ""
		if most == nowhere || p.compareFree(int32(n), most) > 0 {
			most = int32(n)
		}
	}
	if any {
		most = nowhere
	} else {
		clear(need)
		p.addNeed(need, r)
	}
	p.capacity.need[r.index] = need
	for n := range p.nodes {
		if candidate(n) && p.lacks(need, int32(n)) != "" {
			w[n] = -cib.Infinity
		}
	}
	return most
}

// needs is what was asked of a node for a resource when it was placed.
func (p *placer) needs(r *rsc) []int { return p.capacity.need[r.index] }

func (p *placer) addNeed(need []int, r *rsc) {
	for k, name := range p.capacity.names {
		need[k] += r.uses()[name]
	}
}

// needsTogether adds up what a resource and all that must be with it needs, as far
// as it is not placed yet.
func (p *placer) needsTogether(r *rsc) []int {
	together := map[*rsc]bool{}
	p.gather(r, r, together)
	need := make([]int, len(p.capacity.names))
	for x := range together {
		if p.assigned[x.index] != undecided {
			continue
		}
		switch x.kind {
		case cib.KindPrimitive:
			p.addNeed(need, x)
		case cib.KindClone, cib.KindPromotable: // it is with one instance
			if !slices.ContainsFunc(x.children, func(i *rsc) bool {
				return together[i] || slices.ContainsFunc(i.children, func(m *rsc) bool { return together[m] })
			}) && len(x.children) > 0 {
				x.children[0].primitives(func(m *rsc) { p.addNeed(need, m) })
			}
		case cib.KindBundle: // with one replica
			if !slices.ContainsFunc(x.replicas, func(i *replica) bool { return together[i.container] }) && len(x.replicas) > 0 {
				p.addNeed(need, x.replicas[0].container)
			}
		case cib.KindGroup: // what is in it is there, too
		}
	}
	return need
}

// gather finds what must be where a resource is, over any number of colocations.
func (p *placer) gather(r, origin *rsc, together map[*rsc]bool) {
	if together[r] {
		return
	}
	together[r] = true
	if r.kind == cib.KindGroup {
		for _, m := range r.children {
			p.gather(m, origin, together)
		}
		return
	}
	must := func(c *colocation) bool { return c.score >= cib.Infinity && c.role == 0 && c.withRole == 0 }
	for _, c := range thisWithOf(r) {
		if must(c) && c.primary != origin {
			p.gather(c.primary, origin, together)
		}
	}
	for _, c := range withThisOf(r) {
		if must(c) && c.dependent != origin && (!r.replicated() || c.dependent.replicated()) {
			p.gather(c.dependent, origin, together)
		}
	}
}

// lacks returns the name of what a node has too little of; "" if it has enough.
func (p *placer) lacks(need []int, n int32) string {
	for k, v := range need {
		if v > max(0, p.capacity.free[n][k]) {
			return p.capacity.names[k]
		}
	}
	return ""
}

// take counts what a primitive uses on a node; sign -1 gives it back.
func (p *placer) take(r *rsc, n int32, sign int) {
	if p.capacity == nil || r.kind != cib.KindPrimitive {
		return
	}
	for k, name := range p.capacity.names {
		p.capacity.free[n][k] -= sign * r.uses()[name]
	}
}

// compareFree compares what is left on two nodes: positive where a has more of
// more things than b.
func (p *placer) compareFree(a, b int32) int {
	more := 0
	for k := range p.capacity.names {
		more += cmp.Compare(max(0, p.capacity.free[a][k]), max(0, p.capacity.free[b][k]))
	}
	return more
}

// capacityRule is the option behind what waits for room.
const capacityRule = "placement-strategy"

// awaitCapacity lets what uses capacity start on a node only after what leaves
// the node has stopped there: both together might be too much.
func (b *planner) awaitCapacity() {
	if !b.usesCapacity() {
		return
	}
	left := make([]int32, len(b.nodes)) // by node: the point at which all that leaves it has stopped
	for i := range left {
		left[i] = noStep
	}
	for _, r := range b.rscs {
		if len(r.uses()) == 0 {
			continue
		}
		for _, s := range b.stop[r.index] {
			n := b.steps[s].node
			if n == b.target[r.index] {
				continue
			}
			if left[n] == noStep {
				left[n] = b.add(step{op: cib.OpStop, node: nowhere, point: true})
			}
			b.relate(s, left[n], before, capacityRule)
		}
	}
	for _, r := range b.rscs {
		if t := b.target[r.index]; t != nowhere && len(r.uses()) > 0 && r.kind == cib.KindPrimitive {
			b.relate(left[t], b.start[r.index], before, capacityRule)
		}
	}
}
