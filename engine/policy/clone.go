package policy

import (
	"cmp"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// assignClone spreads the instances of a clone over the nodes.
func (p *placer) assignClone(c *rsc) {
	for _, x := range c.thisWith {
		p.assign(x.primary, nowhere)
	}
	for _, x := range c.withThis {
		if x.influence {
			p.takeWishes(c, x, wishFlags{active: true, nonnegative: true})
		}
	}
	p.addPromotionScores(c)
	p.assignInstances(c)
	if c.unique() {
		p.keepInstances(c)
	}
	p.assigned[c.index], p.roles[c.index] = nowhere, cib.RoleStopped
	for _, i := range c.children {
		if p.assigned[i.index] >= 0 {
			p.assigned[c.index], p.roles[c.index] = p.assigned[i.index], cib.RoleStarted
			break
		}
	}
	p.promote(c)
}

// assignInstances leaves instances where they are, as far as they spread
// evenly, then places the others.
func (p *placer) assignInstances(c *rsc) {
	total, perNode := p.cloneMax(c), c.nodeMax()
	available := 0
	for i, w := range p.weights[c.index] {
		if w >= 0 && p.nodes[i].usable {
			available++
		}
	}
	even := 1
	if available > 0 {
		even = max(1, total/available)
	}
	count := make([]int, len(p.nodes)) // instances of this clone by node
	order := p.rankInstances(c)
	assigned := 0
	for _, i := range order { // what may not be touched has its place for certain
		if p.pinnedNode(i) != nowhere && p.assignInstance(c, i, nowhere, count, perNode) {
			assigned++
		}
	}
	for _, i := range order {
		if p.assigned[i.index] != undecided {
			continue
		}
		if assigned >= total {
			break
		}
		now := p.current(i)
		if now == nowhere || !p.nodes[now].usable || failedHere(i) || p.weights[c.index][now] < 0 || count[now] >= even {
			continue
		}
		if p.assignInstance(c, i, now, count, perNode) {
			assigned++
		}
	}
	for _, i := range order {
		switch {
		case p.assigned[i.index] != undecided:
		case assigned >= total:
			p.limit(i, "clone-max is reached")
		case p.assignInstance(c, i, nowhere, count, perNode):
			assigned++
		}
	}
}

// assignInstance places one instance, within what the clone may have on a node.
// With a preference it is placed there or not at all.
func (p *placer) assignInstance(c, i *rsc, prefer int32, count []int, perNode int) bool {
	saved := p.saveWeights(i)
	pin := p.pinnedNode(i)
	for n := range p.nodes {
		if pin != nowhere && int32(n) != pin || count[n] >= perNode || p.weights[c.index][n] < 0 || !p.nodes[n].usable {
			p.banAll(i, int32(n))
		}
	}
	n := p.assign(i, prefer)
	if prefer != nowhere && n != prefer {
		p.unsettle(i)
		p.restoreWeights(i, saved)
		return false
	}
	if n == nowhere {
		return false
	}
	count[n]++
	return true
}

func (p *placer) banAll(r *rsc, n int32) {
	p.weights[r.index][n] = -cib.Infinity
	for _, c := range r.children {
		p.banAll(c, n)
	}
}

func (p *placer) saveWeights(r *rsc) [][]cib.Score {
	out := [][]cib.Score{slices.Clone(p.weights[r.index])}
	for _, c := range r.children {
		out = append(out, slices.Clone(p.weights[c.index]))
	}
	return out
}

func (p *placer) restoreWeights(r *rsc, saved [][]cib.Score) {
	copy(p.weights[r.index], saved[0])
	for i, c := range r.children {
		copy(p.weights[c.index], saved[i+1])
	}
}

// limit leaves an instance without a node.
func (p *placer) limit(i *rsc, why string) {
	i.primitives(func(x *rsc) {
		p.limits[x.index] = why
		p.settle(x, nowhere)
	})
	p.assigned[i.index], p.roles[i.index] = nowhere, cib.RoleStopped
}

// pinnedNode returns the node on which some of an instance is left; nowhere if
// none is. The rest of the instance can only be there, too.
func (p *placer) pinnedNode(i *rsc) int32 {
	at := nowhere
	i.primitives(func(x *rsc) {
		if n, pinned := p.pinned(x); pinned && n != nowhere {
			at = n
		}
	})
	return at
}

// failedHere reports whether some of an instance failed where it is.
func failedHere(i *rsc) bool {
	failed := false
	i.primitives(func(x *rsc) {
		for _, f := range x.active {
			failed = failed || f.failed != nil
		}
	})
	return failed
}

// rankInstances orders instances for assignment: active ones first, those on
// better nodes before, then by number.
func (p *placer) rankInstances(c *rsc) []*rsc {
	out := slices.Clone(c.children)
	value := make(map[*rsc][3]int, len(out))
	for _, i := range out {
		now := p.current(i)
		if now == nowhere {
			continue
		}
		usable, healthy := 0, 0
		if p.nodes[now].usable && p.weights[c.index][now] >= 0 {
			usable = 1
		}
		if !failedHere(i) {
			healthy = 1
		}
		value[i] = [3]int{1 + usable, healthy, int(scoreAt(p.weights[i.leader().index], now))}
	}
	slices.SortStableFunc(out, func(a, b *rsc) int {
		va, vb := value[a], value[b]
		return cmp.Or(
			cmp.Compare(vb[0], va[0]), cmp.Compare(vb[2], va[2]), cmp.Compare(vb[1], va[1]), cmp.Compare(a.number, b.number))
	})
	return out
}

// leader is the primitive whose scores stand for a resource: a group's first.
func (r *rsc) leader() *rsc {
	for r.kind == cib.KindGroup && len(r.children) > 0 {
		r = r.children[0]
	}
	return r
}

// applyClone applies a colocation with a clone.
func (p *placer) applyClone(r *rsc, c *colocation) {
	if p.interleaves(r, c) {
		p.applyInterleaved(r, c)
		return
	}
	places := []int32{}
	for _, i := range c.primary.children {
		n := p.assigned[i.index]
		if n >= 0 && (c.withRole == 0 || p.inRole(i.leader(), c.withRole)) {
			places = append(places, n)
		}
	}
	if c.mandatory() || c.attribute != "#uname" {
		p.applyPlaces(r, c, places)
		return
	}
	for _, n := range places { // a wish counts once for each instance
		p.applyPlaces(r, c, []int32{n})
	}
}

// interleaves reports whether an instance is colocated with the other clone's
// instance on its own node. What must be apart is kept apart from all of them.
func (p *placer) interleaves(r *rsc, c *colocation) bool {
	return c.score > 0 && r.clone != nil && r.clone == c.dependent && r.clone.cfg.Clone.Interleave && c.attribute == "#uname"
}

// applyInterleaved ties an instance to one instance of the other clone: the one
// on the best of its own nodes.
func (p *placer) applyInterleaved(r *rsc, c *colocation) {
	w := p.weights[r.index]
	best := nowhere
	now := p.current(r.instance())
	for _, i := range c.primary.children {
		n := p.assigned[i.index]
		if n < 0 || w[n] < 0 || !p.nodes[n].usable || c.withRole != 0 && !p.inRole(i.leader(), c.withRole) {
			continue
		}
		if best == nowhere || p.better(w, n, best, now) {
			best = n
		}
	}
	switch {
	case best != nowhere:
		p.applyPlaces(r, c, []int32{best})
	case c.score >= cib.Infinity:
		p.applyPlaces(r, c, []int32{})
	}
}

// keepInstances exchanges the nodes of instances where that lets one stay. The
// nodes are chosen for the clone as a whole; which of its instances goes where
// matters to nobody, except that moving one for nothing interrupts it.
func (p *placer) keepInstances(c *rsc) {
	for _, i := range c.children {
		now, to := p.current(i), p.nodeOfAll(i)
		if now == nowhere || to == now || to == nowhere {
			continue
		}
		for _, j := range c.children {
			if p.nodeOfAll(j) == now && p.current(j) != now && p.mayUse(i, now) && p.mayUse(j, to) {
				p.move(i, now)
				p.move(j, to)
				break
			}
		}
	}
}

// nodeOfAll is the node to which an instance is assigned; nowhere if its parts
// are apart, or left where they are.
func (p *placer) nodeOfAll(i *rsc) int32 {
	n := p.assigned[i.index]
	i.primitives(func(x *rsc) {
		if m := p.assigned[x.index]; m >= 0 && (m != n || p.pins[x.index]) {
			n = nowhere
		}
	})
	return n
}

// mayUse reports whether nothing in the past of an instance forbids a node.
func (p *placer) mayUse(i *rsc, n int32) bool {
	ok := true
	i.primitives(func(x *rsc) {
		if f := x.ledger.on(n); f != nil && (f.banned != "" || f.failed != nil || p.thresholdReached(x, f) != "") {
			ok = false
		}
	})
	return ok
}

// move assigns all of an instance to another node.
func (p *placer) move(i *rsc, n int32) {
	i.primitives(func(x *rsc) {
		if p.assigned[x.index] >= 0 {
			p.release(x)
			p.settle(x, n)
		}
	})
	p.assigned[i.index] = n
}
