package policy

import (
	"cmp"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// assign gives a resource its node, after what it must be with. It returns the
// node, or nowhere. prefer is taken where nothing is better; nowhere is no
// preference.
func (p *placer) assign(r *rsc, prefer int32) int32 {
	if r.parent != nil && p.assigned[r.parent.index] == undecided && !p.assigning[r.parent.index] {
		p.assign(r.parent, prefer)
	}
	if p.assigned[r.index] != undecided {
		return p.assigned[r.index]
	}
	if p.assigning[r.index] {
		return nowhere // colocated with itself over others: the one that asked first goes first
	}
	p.assigning[r.index] = true
	defer func() { p.assigning[r.index] = false }()
	switch r.kind {
	case cib.KindGroup:
		p.assignGroup(r, prefer)
	case cib.KindClone, cib.KindPromotable:
		p.assignClone(r)
	case cib.KindBundle:
		p.assignBundle(r)
	case cib.KindPrimitive:
		p.assignPrimitive(r, prefer)
	}
	return p.assigned[r.index]
}

// assignPrimitive chooses the node of a primitive.
func (p *placer) assignPrimitive(r *rsc, prefer int32) {
	thisWith, withThis := thisWithOf(r), withThisOf(r)
	for _, mandatory := range []bool{true, false} {
		for _, c := range thisWith {
			if c.mandatory() == mandatory {
				p.assign(c.primary, nowhere)
				p.applyColocation(r, c)
			}
		}
		for _, c := range withThis {
			if c.mandatory() == mandatory && c.influence {
				p.takeWishes(r, c, wishFlags{active: true})
			}
		}
	}
	if p.assigned[r.index] != undecided {
		return // a colocation decided for it
	}
	switch n, pinned := p.pinned(r); {
	case pinned:
		p.pins[r.index] = true
		p.settle(r, n)
	case p.stopReason(r) != "":
		p.settle(r, nowhere)
	default:
		p.settle(r, p.best(r, prefer))
	}
}

// takeWishes adds to the scores of a primary what its dependents want.
func (p *placer) takeWishes(r *rsc, c *colocation, flags wishFlags) {
	w := p.weights[r.index]
	sum := p.collect(c.dependent, w, c, float64(c.score)/float64(cib.Infinity), flags)
	if p.explain != nil {
		for i := range sum {
			if sum[i] != w[i] {
				p.explain.note(r, int32(i), graph.Part{Rule: c.id, Score: sum[i] - w[i], Text: "wish of " + c.dependent.base})
			}
		}
	}
	copy(w, sum)
}

// applyColocation applies one colocation of a dependent. One that only concerns
// one of its roles does not say where it runs.
func (p *placer) applyColocation(r *rsc, c *colocation) {
	if c.role != 0 && (r.clone != nil || r.part == partContainer) {
		return
	}
	p.applyPrimary(r, c)
}

// settle records the node of a resource.
func (p *placer) settle(r *rsc, n int32) {
	p.assigned[r.index] = n
	role := cib.RoleStopped
	if n != nowhere {
		role = cib.RoleStarted
		if r.clone != nil && r.clone.kind == cib.KindPromotable {
			role = cib.RoleUnpromoted
		}
		if r.kind == cib.KindPrimitive {
			p.running.add(n, 1)
			p.take(r, n, 1)
		}
		if p.pins[r.index] {
			for _, f := range r.active {
				if f.node == n && f.role == cib.RolePromoted {
					role = f.role
				}
			}
		}
	}
	p.roles[r.index] = role
}

// release gives back what a primitive counts for on its node.
func (p *placer) release(r *rsc) {
	if n := p.assigned[r.index]; n >= 0 && r.kind == cib.KindPrimitive {
		p.running.add(n, -1)
		p.take(r, n, -1)
	}
}

// unsettle takes an assignment back.
func (p *placer) unsettle(r *rsc) {
	p.release(r)
	p.assigned[r.index] = undecided
	p.pins[r.index] = false
	for _, c := range r.children {
		p.unsettle(c)
	}
}

// inRole reports whether a resource was assigned in a role.
func (p *placer) inRole(r *rsc, role cib.Role) bool {
	if role == cib.RoleUnpromoted {
		return p.roles[r.index] == cib.RoleUnpromoted || p.roles[r.index] == cib.RoleStarted
	}
	return p.roles[r.index] == role
}

// best returns the node with the highest score. Where it runs, it stays unless
// another node is better; else, among equals, the one with fewer resources is
// taken, then the first by name.
//
// Pacemaker moves a resource without stickiness also to even out the numbers.
// An interruption for that is rarely what people want, so that here only scores
// move a resource, unless tie-break says pacemaker: as in an imported
// configuration, whose administrators know where things run.
func (p *placer) best(r *rsc, prefer int32) int32 {
	w := p.weights[r.index]
	now := p.current(r)
	if most := p.fit(r); prefer == nowhere {
		prefer = most
	}
	highest := cib.Score(-1)
	for i := range p.nodes {
		n := int32(i)
		if !p.nodes[n].usable || w[n] < 0 {
			continue
		}
		if p.strategy.full != nil && p.strategy.full(p, r, n) != "" {
			w[n] = -cib.Infinity
			continue
		}
		highest = max(highest, w[n])
	}
	switch {
	case highest < 0:
		return nowhere
	case prefer != nowhere && p.nodes[prefer].usable && w[prefer] >= highest:
		return prefer
	case now != nowhere && p.nodes[now].usable && w[now] == highest && !p.leaves(r, now) && (highest > 0 || !p.opt.PacemakerTies()) && !r.numbered():
		return now
	}
	top := nowhere
	for i := range p.nodes {
		// Only equals are compared further, so that what runs on the nodes is looked at
		// only where it decides.
		if n := int32(i); p.nodes[n].usable && w[n] == highest && (top == nowhere || p.better(w, n, top, now)) {
			top = n
		}
	}
	return top
}

// leaves reports whether the strategy sends a resource away from where it runs.
func (p *placer) leaves(r *rsc, now int32) bool {
	return p.strategy.leaves != nil && p.strategy.leaves(p, r, now)
}

// better reports whether node a is to be taken before node b.
func (p *placer) better(w []cib.Score, a, b, now int32) bool {
	if c := cmp.Compare(w[b], w[a]); c != 0 {
		return c < 0
	}
	if p.strategy.prefer != nil {
		if c := p.strategy.prefer(p, a, b, now); c != 0 {
			return c < 0
		}
	}
	if p.opt.PacemakerTies() {
		return p.nodes[a].name < p.nodes[b].name // letter by letter: node10 before node2
	}
	return a < b // nodes are in the order of their names
}

// assignGroup places the members one after another; each follows the one before.
func (p *placer) assignGroup(g *rsc, prefer int32) {
	node := nowhere
	role := cib.RoleStopped
	for i, m := range g.children {
		n := p.assign(m, prefer)
		if i == 0 {
			role = p.roles[m.index]
		}
		if node == nowhere {
			node = n
		}
	}
	p.assigned[g.index], p.roles[g.index] = node, role
}
