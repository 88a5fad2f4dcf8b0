package policy

import (
	"cmp"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
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

// numbered reports whether the resource is an instance of a clone whose instances
// differ. Which of them stay where they are was decided before the others are
// placed.
func (r *rsc) numbered() bool { return r.parent != nil && r.parent.unique() }

// assignInstances leaves instances where they are, as far as they spread
// evenly, then places the others.
func (p *placer) assignInstances(c *rsc) {
	total, perNode := p.cloneMax(c), c.nodeMax()
	available := 0
	for i, w := range p.weights[c.index] {
		if w != absent && p.nodes[i].usable {
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
		if p.pinnedNode(i) != nowhere && p.assignInstance(c, i, nowhere, count, perNode) != nowhere {
			assigned++
		}
	}
	for _, i := range order {
		if assigned >= total {
			break
		}
		if p.assigned[i.index] != undecided {
			continue
		}
		now := p.current(i)
		if now == nowhere || !p.nodes[now].usable || i.kind == cib.KindPrimitive && failedHere(i) || count[now] >= even {
			continue
		}
		if p.leaveInstance(c, i, now, count, perNode, total-assigned) {
			assigned++
		}
	}
	for _, i := range order {
		switch {
		case p.assigned[i.index] != undecided:
		case assigned >= total:
			p.limit(i, cib.Why{Cause: "clone-max is reached", Rule: "clone-max"})
		case p.assignInstance(c, i, nowhere, count, perNode) != nowhere:
			assigned++
		}
	}
}

// leaveInstance assigns an instance to the node where it runs. Where another node
// is better, a place is set aside for it there and the question asked again: the
// instances go to nodes in proportion to what they are worth, but which of them
// runs where matters to nobody, except that moving one interrupts it.
func (p *placer) leaveInstance(c, i *rsc, now int32, count []int, perNode, left int) bool {
	if p.weights[c.index][now] < 0 {
		return false
	}
	saved, notes := p.saveWeights(i), p.explain.save(i)
	scratch := slices.Clone(count)
	for range left {
		n := p.assignInstance(c, i, now, scratch, perNode)
		if n == now {
			count[n]++
			return true
		}
		p.unsettle(i)
		p.restoreWeights(i, saved)
		p.explain.restore(notes)
		if n == nowhere {
			break
		}
	}
	return false
}

// assignInstance places one instance, within what the clone may have on a node.
func (p *placer) assignInstance(c, i *rsc, prefer int32, count []int, perNode int) int32 {
	pin := p.pinnedNode(i)
	for n := range p.nodes {
		if pin != nowhere && int32(n) != pin || count[n] >= perNode || p.weights[c.index][n] < 0 || !p.nodes[n].usable {
			if p.explain != nil {
				p.noteBan(c, i, int32(n), count[n] >= perNode)
			}
			p.banAll(i, int32(n))
		}
	}
	n := p.assign(i, prefer)
	if n != nowhere {
		count[n]++
	}
	return n
}

// noteBan notes why an instance may not be on a node, where that is not in its own
// scores.
func (p *placer) noteBan(c, i *rsc, n int32, full bool) {
	part := graph.Part{Rule: "clone-node-max", Score: -cib.Infinity, Text: p.nodes[n].name + " runs as many instances as it may"}
	switch {
	case full && c.kind == cib.KindBundle:
		part.Rule = "replicas-per-host"
	case full:
	case p.weights[c.index][n] < 0 && p.weights[c.index][n] != absent:
		part.Rule, part.Text = c.base, c.base+" may not run on "+p.nodes[n].name
	default:
		return
	}
	i.primitives(func(x *rsc) { p.explain.note(x, n, part) })
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
func (p *placer) limit(i *rsc, why cib.Why) {
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

// standing is what decides in which order the instances of a clone are assigned.
type standing struct {
	places   int       // where it runs
	barred   bool      // it runs where it may not
	priority cib.Score // how much it wants to be promoted somewhere
	active   bool
	usable   bool // where it runs can be used
	failed   bool
	wish     cib.Score // what is colocated with the clone makes of its node
}

// rankInstances orders instances for assignment as Pacemaker does: those that
// want to be promoted, then active ones on nodes that can be used, then by
// number.
func (p *placer) rankInstances(c *rsc) []*rsc {
	out := slices.Clone(c.instances())
	all := make(map[*rsc]*standing, len(out))
	var wishes []cib.Score
	for _, i := range out {
		s := &standing{}
		all[i] = s
		if p.promotionPriority != nil {
			s.priority = p.promotionPriority[i.index]
		}
		now := p.current(i)
		if now == nowhere {
			continue
		}
		s.places = placesOfAll(i)
		if p.weights[i.index][now] < 0 {
			s.barred = true
			continue
		}
		if wishes == nil {
			wishes = p.wishesFor(c)
		}
		s.active, s.usable, s.failed, s.wish = true, p.nodes[now].usable, failedHere(i), wishes[now]
	}
	slices.SortStableFunc(out, func(a, b *rsc) int { return all[a].compare(all[b]) })
	return out
}

// compare returns a negative number where x is assigned before y.
func (x *standing) compare(y *standing) int {
	first := func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	}
	if x.places > 0 && y.places > 0 && x.places != y.places {
		return cmp.Compare(x.places, y.places)
	}
	c := cmp.Or(first(y.barred, x.barred), cmp.Compare(y.priority, x.priority), first(x.active, y.active))
	if c != 0 || !x.active {
		return c
	}
	return cmp.Or(first(x.usable, y.usable), first(y.failed, x.failed), cmp.Compare(y.wish, x.wish))
}

// placesOfAll counts the nodes on which something of an instance runs.
func placesOfAll(i *rsc) int {
	var nodes []int32
	i.primitives(func(x *rsc) {
		for _, f := range x.active {
			if !slices.Contains(nodes, f.node) {
				nodes = append(nodes, f.node)
			}
		}
	})
	return len(nodes)
}

// wishesFor is what is colocated with a clone makes of the nodes.
func (p *placer) wishesFor(c *rsc) []cib.Score {
	sum := make([]cib.Score, len(p.nodes))
	for _, x := range c.thisWith {
		sum = p.collect(x.primary, sum, x, float64(x.score)/float64(cib.Infinity), wishFlags{})
	}
	for _, x := range c.withThis {
		if x.influence {
			sum = p.collect(x.dependent, sum, x, float64(x.score)/float64(cib.Infinity), wishFlags{nonnegative: true})
		}
	}
	return sum
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
	if c.withRole != 0 && c.primary.kind == cib.KindPromotable {
		p.applyRole(r, c)
		return
	}
	if p.interleaves(r, c) {
		p.applyInterleaved(r, c)
		return
	}
	if c.score >= cib.Infinity { // where there is an instance that can be relied on
		places := []int32{}
		for _, i := range c.primary.children {
			if n := p.assigned[i.index]; n >= 0 && !blockedHere(i) {
				places = append(places, n)
			}
		}
		p.applyPlaces(r, c, places)
		return
	}
	for _, i := range c.primary.children { // a wish counts once for each instance
		if n := p.assigned[i.index]; n >= 0 {
			p.applyPlaces(r, c, []int32{n})
		}
	}
}

// applyRole applies a colocation with the instances of a clone that have a role.
// Where one is required, how good the place is for the instance counts, too.
func (p *placer) applyRole(r *rsc, c *colocation) {
	var at []*rsc
	for _, i := range c.primary.children {
		if p.assigned[i.index] >= 0 && p.inRole(i.leader(), c.withRole) {
			at = append(at, i)
		}
	}
	w := p.weights[r.index]
	before := w
	if p.explain != nil {
		before = slices.Clone(w)
	}
	places := []int32{}
	for _, i := range at {
		places = append(places, p.assigned[i.index])
	}
	switch {
	case c.score < cib.Infinity:
		for k := range w {
			for _, n := range places {
				if p.samePlace(c, int32(k), n) {
					w[k] = add(w[k], c.score)
				}
			}
		}
	case c.role == cib.RolePromoted && c.withRole == cib.RolePromoted:
		// who is promoted is decided later; the others run anyway
	default:
		for k := range w {
			there := slices.IndexFunc(places, func(n int32) bool { return p.samePlace(c, int32(k), n) })
			if there < 0 {
				w[k] = add(w[k], -cib.Infinity)
			} else {
				w[k] = add(w[k], max(0, p.weights[at[there].leader().index][places[there]]))
			}
		}
	}
	if p.explain != nil {
		p.explain.colocated(r, c, places, before, w)
	}
}

// blockedHere reports whether some of an instance failed where it is and is left
// so: nobody can rely on it.
func blockedHere(i *rsc) bool {
	blocked := false
	i.primitives(func(x *rsc) {
		for _, f := range x.active {
			blocked = blocked || f.failed != nil && f.onFail == cib.OnFailBlock
		}
	})
	return blocked
}

// interleaves reports whether an instance is colocated with the other clone's
// instance on its own node. What must be apart is kept apart from all of them.
func (p *placer) interleaves(r *rsc, c *colocation) bool {
	return c.score > 0 && r.clone != nil && r.clone == c.dependent && r.clone.cfg.Clone.Interleave && c.attribute == "#uname" &&
		r.clone.nodeMax() == c.primary.nodeMax()
}

// applyInterleaved ties an instance to one instance of the other clone: the one
// on the best of its own nodes.
func (p *placer) applyInterleaved(r *rsc, c *colocation) {
	w := p.weights[r.index]
	best := nowhere
	for _, i := range c.primary.children {
		n := p.assigned[i.index]
		if n < 0 || w[n] < 0 || !p.nodes[n].usable || blockedHere(i) {
			continue
		}
		if best == nowhere || p.better(w, n, best, nowhere) {
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
