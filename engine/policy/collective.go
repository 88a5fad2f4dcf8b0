package policy

import (
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// planGroups orders the members of groups: each starts after the one before and
// stops before it.
func (b *planner) planGroups() {
	for _, g := range b.rscs {
		if g.kind != cib.KindGroup || len(g.children) == 0 {
			continue
		}
		b.bracket(g)
		for k, m := range g.children {
			start := b.start[m.index]
			if k == 0 {
				b.relate(b.start[g.index], start, before|needs|drops|redoes, g.base)
			} else {
				b.relate(b.start[g.index], start, before|needs|drops, g.base)
				b.relate(b.start[g.children[k-1].index], start, before|needs|drops|redoes, g.base)
			}
			b.relate(start, b.started[g.index], before|needs|drops|redoes, g.base)
			for _, stop := range b.stopsFirst(m) {
				b.relate(b.stopBegin[g.index], stop, before|requires, g.base)
				b.relate(stop, b.stopEnd[g.index], before|needs|requires, g.base)
				if k == 0 {
					continue
				}
				for _, prev := range b.stopsFirst(g.children[k-1]) {
					b.relate(stop, prev, before|needs|requires, g.base)
				}
			}
		}
	}
}

// bracket makes the points of a collective: before and after its parts start,
// before and after they stop. Orders are tied to them, so that two collectives
// need a few edges and not one for each pair of parts.
func (b *planner) bracket(r *rsc) {
	i := r.index
	b.start[i], b.started[i] = b.point(r, cib.OpStart), b.point(r, cib.OpStart)
	b.stopBegin[i], b.stopEnd[i] = b.point(r, cib.OpStop), b.point(r, cib.OpStop)
	b.relate(b.start[i], b.started[i], before, "")
	b.relate(b.stopBegin[i], b.stopEnd[i], before, "")
}

// planClones ties the instances of clones together. A clone is started when its
// instances are; it can be when some can.
func (b *planner) planClones() {
	for _, c := range b.rscs {
		if c.cfg.Clone == nil || len(c.children) == 0 {
			continue
		}
		b.bracket(c)
		b.steps[b.started[c.index]].needed = 1
		for k, i := range c.children {
			b.relate(b.start[c.index], b.start[i.index], before|needs|drops|redoes, c.base)
			b.relate(b.started[i.index], b.started[c.index], before|needs|drops|redoes, c.base)
			for _, s := range b.stopsFirst(i) {
				b.relate(b.stopBegin[c.index], s, before|requires, c.base)
			}
			for _, s := range b.stopsLast(i) {
				b.relate(s, b.stopEnd[c.index], before|requires, c.base)
			}
			if c.cfg.Clone.Ordered && k > 0 {
				prev := c.children[k-1]
				b.relate(b.started[prev.index], b.start[i.index], before, c.base)
				b.relateAll(b.stopsLast(i), b.stopsFirst(prev), before, c.base)
			}
		}
	}
}

// stopsFirst returns the steps or points before which nothing of r stops. What is
// cleaned up where r was migrated away from ends nothing that others rely on.
func (b *planner) stopsFirst(r *rsc) []int32 {
	if r.kind == cib.KindPrimitive {
		return b.stop[r.index][:min(len(b.stop[r.index]), len(r.active))]
	}
	if b.stopBegin[r.index] == noStep {
		return nil
	}
	return b.stopBegin[r.index : r.index+1]
}

// stopsLast returns the steps or points after which all of r is stopped.
func (b *planner) stopsLast(r *rsc) []int32 {
	if r.kind == cib.KindPrimitive {
		return b.stop[r.index]
	}
	if b.stopEnd[r.index] == noStep {
		return nil
	}
	return b.stopEnd[r.index : r.index+1]
}

func (b *planner) relateAll(first, then []int32, r relation, rule string) {
	for _, f := range first {
		for _, t := range then {
			b.relate(f, t, r, rule)
		}
	}
}

// applyOrders turns the order constraints into edges.
func (b *planner) applyOrders() {
	for _, o := range b.orders {
		switch {
		case o.kind == cib.OrderSerialize:
			b.serialize(o)
		case o.enough() > 0:
			b.orderSome(o)
			switch {
			case o.symmetrical && o.first.cfg.Clone != nil && o.then.cfg.Clone != nil: // too few left is another reason to stop
				b.relateAll(b.ends(o.then, inverse(o.thenOp)), b.begins(o.first, inverse(o.firstOp)), before, o.id)
			case o.symmetrical && o.firstOp == cib.OpStart && o.thenOp == cib.OpStart:
				b.orderStops(o)
			case o.symmetrical:
				b.relateAll(b.ends(o.then, inverse(o.thenOp)), b.begins(o.first, inverse(o.firstOp)), before|needs|requires, o.id)
			}
		case o.firstOp == cib.OpStart && o.thenOp == cib.OpStart:
			b.orderStarts(o)
			if o.symmetrical {
				b.orderStops(o)
			}
		default:
			b.orderOther(o)
		}
	}
	b.closeChoices()
}

// orderStarts: then starts after first, and where that is mandatory not without
// it, and again when it is started again.
func (b *planner) orderStarts(o *order) {
	mandatory := o.kind == cib.OrderMandatory
	must, again := o.must(), o.again()
	switch {
	case b.pairs(o):
		b.eachPair(o, func(first, then *rsc) {
			rel := before
			if mandatory {
				rel |= must | again
			}
			if first == nil {
				if mandatory {
					b.refuse(then, "no instance of "+o.first.base+" is to run on its node", o)
				}
				return
			}
			b.relate(b.started[first.index], b.start[then.index], rel, o.id)
		})
	case o.first.replicated() && !o.then.replicated():
		rel := before
		if mandatory {
			rel |= must
		}
		b.relate(b.started[o.first.index], b.start[o.then.index], rel, o.id)
		if mandatory { // only the instance on its own node makes it start again
			for _, i := range o.first.instances() {
				if n := b.nodeOf(i); n != nowhere && n == b.nodeOf(o.then) {
					b.relate(b.started[i.index], b.start[o.then.index], before|again, o.id)
				}
			}
		}
	default:
		rel := before
		if mandatory {
			rel |= must | again
		}
		b.relate(b.started[o.first.index], b.start[o.then.index], rel, o.id)
	}
	if mandatory && b.started[o.first.index] == noStep {
		b.refuse(o.then, o.first.base+" has nothing to run", o)
	}
}

// orderStops is the inverse: then stops before first does.
func (b *planner) orderStops(o *order) {
	mandatory := o.kind == cib.OrderMandatory
	strict := before | unlessMigrated // who may go first anyway is not waited for by a migration
	if mandatory {
		strict = before | needs | requires
	}
	switch {
	case b.pairs(o):
		b.eachStopPair(o, func(first, then *rsc) {
			b.relateAll(b.stopsLast(then), b.stopsFirst(first), strict, o.id)
		})
	case o.first.replicated() && !o.then.replicated():
		b.relateAll(b.stopsLast(o.then), b.stopsFirst(o.first), strict&(before|unlessMigrated), o.id)
		if !mandatory {
			return
		}
		all := true // nothing of the clone stays: what needs it can't stay either
		for _, i := range o.first.instances() {
			all = all && b.nodeOf(i) == nowhere
		}
		for _, i := range o.first.instances() {
			if n := b.activeNode(i); n != nowhere && (all || n == b.activeNode(o.then)) {
				b.relateAll(b.stopsLast(o.then), b.stopsFirst(i), strict, o.id)
			}
		}
	case o.first.replicated() && o.then.replicated() && (o.first.kind == cib.KindBundle || o.then.kind == cib.KindBundle):
		b.relateAll(b.stopsLast(o.then), b.stopsFirst(o.first), before, o.id)
	default:
		b.relateAll(b.stopsLast(o.then), b.stopsFirst(o.first), strict, o.id)
	}
}

// refuse makes the start of a resource impossible.
func (b *planner) refuse(r *rsc, why string, o *order) {
	if s := b.start[r.index]; s != noStep && b.steps[s].stuck == "" {
		b.steps[s].stuck, b.steps[s].via = why, o.id
		b.steps[s].lasting = !o.symmetrical
		if o.symmetrical {
			b.giveUp(s, o.id)
		}
	}
}

// pairs reports whether the order holds between instances on one node.
func (b *planner) pairs(o *order) bool {
	return o.first.replicated() && o.then.replicated() && o.then.interleaves()
}

// eachPair calls f for each instance of then that is to run somewhere with the
// instances of first on the same node; nil if there are none.
func (b *planner) eachPair(o *order, f func(first, then *rsc)) {
	byNode := byNode(o.first, b.nodeOf)
	for _, i := range o.then.instances() {
		n := b.nodeOf(i)
		if n == nowhere {
			continue
		}
		for _, first := range byNode[n] {
			f(first, i)
		}
		if len(byNode[n]) == 0 {
			f(nil, i)
		}
	}
}

// eachStopPair calls f for instances that are active on one node now.
func (b *planner) eachStopPair(o *order, f func(first, then *rsc)) {
	byNode := byNode(o.first, b.activeNode)
	for _, i := range o.then.instances() {
		if n := b.activeNode(i); n != nowhere {
			for _, first := range byNode[n] {
				f(first, i)
			}
		}
	}
}

// byNode sorts the instances of a clone by the node they are on.
func byNode(c *rsc, on func(*rsc) int32) map[int32][]*rsc {
	out := make(map[int32][]*rsc, len(c.children))
	for _, i := range c.instances() {
		if n := on(i); n != nowhere {
			out[n] = append(out[n], i)
		}
	}
	return out
}

// nodeOf is where a resource is to run; of several parts where the first is.
func (b *planner) nodeOf(r *rsc) int32 {
	if r.kind == cib.KindPrimitive {
		return b.target[r.index]
	}
	for _, c := range r.children {
		if n := b.nodeOf(c); n != nowhere {
			return n
		}
	}
	return nowhere
}

// activeNode is where a resource is active.
func (b *planner) activeNode(r *rsc) int32 {
	if r.kind == cib.KindPrimitive {
		if len(r.active) == 0 {
			return nowhere
		}
		return r.active[0].node
	}
	for _, c := range r.children {
		if n := b.activeNode(c); n != nowhere {
			return n
		}
	}
	return nowhere
}

// serialize keeps the actions of two resources apart in time: stops in reverse,
// then starts in the order in which they are named, so that it agrees with a
// mandatory order of the two.
func (b *planner) serialize(o *order) {
	first, then := o.first, o.then
	if b.reversed(o) {
		first, then = then, first
	}
	b.relateAll(b.stopsLast(then), b.stopsFirst(first), before, o.id)
	b.relate(b.started[first.index], b.start[then.index], before, o.id)
	for _, s := range b.stopsLast(first) {
		b.relate(s, b.start[then.index], before, o.id)
	}
	for _, s := range b.stopsLast(then) {
		b.relate(s, b.start[first.index], before, o.id)
	}
}

// reversed reports whether another order puts the two the other way round. To keep
// them apart either way is fine; both at once would let them wait for each other.
func (b *planner) reversed(o *order) bool {
	related := func(x, y *rsc) bool { return x == y || x.within(y) || y.within(x) }
	return slices.ContainsFunc(b.orders, func(x *order) bool {
		return x.goesUp() && related(x.first, o.then) && related(x.then, o.first)
	})
}

// orderOther handles orders between operations of different kinds.
func (b *planner) orderOther(o *order) {
	rel, back := before, before
	if o.kind == cib.OrderMandatory {
		rel |= needs
		switch {
		case o.goesUp():
			rel |= o.must() | o.again()
			back |= needs | requires
		case o.firstOp == cib.OpStop && o.thenOp == cib.OpStop:
			o.first.primitives(func(x *rsc) { b.relateAll(b.stop[x.index], b.stopsFirst(o.then), before|redoes, o.id) })
		}
	}
	firsts, backs := b.ends(o.first, o.firstOp), b.begins(o.first, inverse(o.firstOp))
	if o.first.cfg.Clone != nil && !o.then.replicated() { // only what happens on its own node makes it start again
		near := rel
		rel &^= redoes
		if near != rel {
			b.relateAll(b.onNode(b.partsEnds(o.first, o.firstOp), b.nodeOf(o.then)), b.begins(o.then, o.thenOp), before|redoes, o.id)
		}
		if o.symmetrical && back != before && inverse(o.thenOp) != "" {
			b.relateAll(b.ends(o.then, inverse(o.thenOp)), b.onNode(backs, b.activeNode(o.then)), back, o.id)
			back = before
		}
	}
	b.relateAll(firsts, b.begins(o.then, o.thenOp), rel, o.id)
	if o.symmetrical && inverse(o.firstOp) != "" && inverse(o.thenOp) != "" {
		b.relateAll(b.ends(o.then, inverse(o.thenOp)), backs, back, o.id)
	}
}

// partsEnds returns the steps of an operation on the parts of r.
func (b *planner) partsEnds(r *rsc, op string) []int32 {
	if op != cib.OpStart {
		return b.roleSteps(r, op)
	}
	var out []int32
	r.primitives(func(x *rsc) { out = append(out, single(b.start[x.index])...) })
	return out
}

// onNode returns those of the steps that are on a node.
func (b *planner) onNode(steps []int32, n int32) []int32 {
	var out []int32
	for _, s := range steps {
		if n != nowhere && b.steps[s].node == n {
			out = append(out, s)
		}
	}
	return out
}

// ends returns the steps after which an operation on all of r is done.
func (b *planner) ends(r *rsc, op string) []int32 {
	switch op {
	case cib.OpStart:
		return single(b.started[r.index])
	case cib.OpStop:
		return b.stopsLast(r)
	case cib.OpPromote:
		return single(b.promoted[r.index])
	}
	return b.roleSteps(r, op)
}

// begins returns the steps before which an operation on r has not begun.
func (b *planner) begins(r *rsc, op string) []int32 {
	switch op {
	case cib.OpStart:
		return single(b.start[r.index])
	case cib.OpStop:
		return b.stopsFirst(r)
	}
	return b.roleSteps(r, op)
}

func single(s int32) []int32 {
	if s == noStep {
		return nil
	}
	return []int32{s}
}

// roleSteps returns the promote or demote steps of all parts of r.
func (b *planner) roleSteps(r *rsc, op string) []int32 {
	var out []int32
	r.primitives(func(x *rsc) {
		switch op {
		case cib.OpPromote:
			out = append(out, single(b.promote[x.index])...)
		case cib.OpDemote:
			out = append(out, b.demote[x.index]...)
		}
	})
	return out
}

// keepApart makes mandatory colocations hold on the way to the placement, too:
// resources that must be together do not run in two places while they move, and
// those that must be apart not in one. It also keeps a resource from starting
// where what it must be with can't.
func (b *planner) keepApart() {
	for _, c := range b.colocs {
		b.followClone(c)
		if !c.mandatory() || c.attribute != "#uname" || c.dependent.replicated() || c.primary.replicated() || c.role != 0 || c.withRole != 0 {
			continue
		}
		c.dependent.primitives(func(d *rsc) {
			c.primary.primitives(func(p *rsc) {
				b.leaveFirst(d, p, c)
				b.leaveFirst(p, d, c)
				if c.score > 0 {
					b.relate(b.start[p.index], b.start[d.index], needs|drops, c.id)
				}
			})
		})
	}
}

// followClone keeps what must be with a clone from starting where nothing of the
// clone can, or nothing of it can have the role that is asked for.
func (b *planner) followClone(c *colocation) {
	if c.score < cib.Infinity || c.primary.cfg.Clone == nil {
		return
	}
	points := single(b.started[c.primary.index])
	if c.withRole == cib.RolePromoted {
		points = append(points, single(b.promoted[c.primary.index])...)
	}
	c.dependent.primitives(func(d *rsc) {
		reach := b.start[d.index]
		if c.role == cib.RolePromoted {
			reach = b.promote[d.index]
		}
		b.relateAll(points, single(reach), needs, c.id)
	})
}

// leaveFirst lets then start only after first has left the nodes on which the
// two must not be at once.
func (b *planner) leaveFirst(first, then *rsc, c *colocation) {
	t := b.target[then.index]
	if t == nowhere {
		return
	}
	for _, s := range b.stop[first.index] {
		if (b.steps[s].node != t) == (c.score > 0) {
			rel := before | needs
			if c.score > 0 {
				rel = before | loose // who is migrated does not leave before
			}
			b.relate(s, b.start[then.index], rel, c.id)
		}
	}
}
