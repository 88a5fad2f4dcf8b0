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
		for name := range r.cfg.Utilization {
			set[name] = true
		}
	}
	c := &capacity{names: slices.Sorted(maps.Keys(set)), free: make([][]int, len(u.nodes))}
	for i := range u.nodes {
		c.free[i] = make([]int, len(c.names))
		for k, name := range c.names {
			c.free[i][k] = u.nodes[i].cfg.Utilization[name]
		}
	}
	return c
}

// needs returns what a primitive needs on its node. The first member of a group
// needs what all of the group does, since the others will follow it.
func (p *placer) needs(r *rsc) []int {
	out := make([]int, len(p.capacity.names))
	add := func(x *rsc) {
		for k, name := range p.capacity.names {
			out[k] += x.cfg.Utilization[name]
		}
	}
	if g := r.parent; g != nil && g.kind == cib.KindGroup && g.children[0] == r {
		for _, m := range g.children {
			if p.stopReason(m) == "" {
				add(m)
			}
		}
		return out
	}
	add(r)
	return out
}

// lacks returns the name of what a node has too little of; "" if it has enough.
func (p *placer) lacks(need []int, n int32) string {
	for k, v := range need {
		if v > 0 && v > p.capacity.free[n][k] {
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
		p.capacity.free[n][k] -= sign * r.cfg.Utilization[name]
	}
}

// compareFree compares what is left on two nodes: positive where a has more of
// more things than b.
func (p *placer) compareFree(a, b int32) int {
	more := 0
	for k := range p.capacity.names {
		more += cmp.Compare(p.capacity.free[a][k], p.capacity.free[b][k])
	}
	return more
}

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
		if len(r.cfg.Utilization) == 0 {
			continue
		}
		for k, s := range b.stop[r.index] {
			n := r.active[k].node
			if n == b.target[r.index] {
				continue
			}
			if left[n] == noStep {
				left[n] = b.add(step{op: cib.OpStop, node: nowhere, point: true})
			}
			b.relate(s, left[n], before, "placement-strategy")
		}
	}
	for _, r := range b.rscs {
		if t := b.target[r.index]; t != nowhere && len(r.cfg.Utilization) > 0 && r.kind == cib.KindPrimitive {
			b.relate(left[t], b.start[r.index], before, "placement-strategy")
		}
	}
}
