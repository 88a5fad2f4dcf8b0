package policy

import (
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// wishFlags say how the wishes of colocated resources are collected.
type wishFlags struct {
	thisWith    bool // follow what the resource wants to be with; else what wants to be with it
	nonnegative bool // a wish can take the good from a node, but not make it bad
	active      bool // a resource that can run nowhere has no say
}

// collect adds up the node scores of a resource and of all that is colocated
// with it, each scaled by the colocations on the way. With nodes nil it starts
// from the resource's own; otherwise it adds the resource's to a copy of nodes,
// matching places by the colocation's attribute. It returns nodes itself where
// the resource has no say.
func (p *placer) collect(r *rsc, nodes []cib.Score, c *colocation, factor float64, flags wishFlags) []cib.Score {
	source := r
	for source.kind == cib.KindGroup && len(source.children) > 0 {
		// The first member knows what wants to be with the others, the last one with
		// what the others want to be.
		source = source.children[0]
		if nodes == nil {
			source = source.parent.children[len(source.parent.children)-1]
		}
	}
	if p.updating[source.index] {
		return nodes
	}
	p.updating[source.index] = true
	defer func() { p.updating[source.index] = false }()

	work := make([]cib.Score, len(p.nodes))
	if nodes == nil {
		copy(work, p.weights[source.index])
	} else {
		copy(work, nodes)
		p.addWishes(work, source, c, factor, flags.nonnegative)
	}
	if !p.anyAvailable(work) {
		if flags.active && nodes != nil {
			return nodes // it could run nowhere: it does not count
		}
		return work
	}
	next := flags
	next.active = true
	if flags.thisWith {
		for _, c := range thisWithOf(source) {
			work = p.collect(c.primary, work, c, factor*float64(c.score)/float64(cib.Infinity), next)
		}
	} else {
		for _, c := range withThisOf(source) {
			if c.influence {
				work = p.collect(c.dependent, work, c, factor*float64(c.score)/float64(cib.Infinity), next)
			}
		}
	}
	if flags.nonnegative {
		for i := range work {
			if work[i] == spent {
				work[i] = 1
			}
		}
	}
	return work
}

// addWishes adds the scores of one colocated resource to work.
func (p *placer) addWishes(work []cib.Score, r *rsc, c *colocation, factor float64, nonnegative bool) {
	confined := factor < 0 && p.confined(r)
	scores := p.scoresOfPlaces(r, c)
	for i := range work {
		if work[i] == absent || work[i] == spent {
			continue
		}
		score := scores[i]
		if factor < 0 && score < 0 && !confined {
			continue // who avoids a resource does not want it where it would not go itself, unless that is everywhere but on one node
		}
		sum := work[i].Add(scale(score, factor))
		switch {
		case nonnegative && sum < 0 && work[i] > 0:
			work[i] = spent
		case nonnegative && sum < 0 && work[i] == 0:
		default:
			work[i] = sum
		}
	}
}

// confined reports whether a resource may run on one node only.
func (p *placer) confined(r *rsc) bool {
	n := 0
	for _, s := range p.weights[r.index] {
		if s >= 0 {
			n++
		}
	}
	return n == 1
}

// scoresOfPlaces are, by node, the best score of r on a node of the same place.
func (p *placer) scoresOfPlaces(r *rsc, c *colocation) []cib.Score {
	w := p.weights[r.index]
	out := make([]cib.Score, len(w))
	var whole []cib.Score // what locations of its group say: only the first member has that in its own scores
	if g := r.parent; c != nil && r == c.dependent && !c.withinGroup && g != nil && g.kind == cib.KindGroup && g.children[0] != r {
		whole = p.weights[g.index]
	}
	for i := range w {
		switch {
		case !p.nodes[i].usable || w[i] == absent:
			out[i] = -cib.Infinity
		case whole != nil && whole[i] != absent:
			out[i] = w[i].Add(whole[i])
		default:
			out[i] = w[i]
		}
	}
	for _, f := range r.active {
		if n := &p.nodes[f.node]; p.staysUnmanaged(r, n) {
			out[f.node] = out[f.node].Add(cib.Infinity)
		}
	}
	if c == nil || c.attribute == "#uname" {
		return out
	}
	best := map[string]cib.Score{}
	for i := range p.nodes {
		v, _ := p.nodes[i].attribute(c.attribute)
		if s, ok := best[v]; !ok || out[i] > s {
			best[v] = out[i]
		}
	}
	for i := range p.nodes {
		v, _ := p.nodes[i].attribute(c.attribute)
		out[i] = best[v]
	}
	return out
}

// staysUnmanaged reports whether a resource stays on a node since it is not managed: what
// it must be with can only come there, and what it must not be with has to leave.
func (p *placer) staysUnmanaged(r *rsc, n *node) bool {
	return r.kind == cib.KindPrimitive && !n.lost && (!r.settings.managed || r.settings.maintenance || p.opt.MaintenanceMode || n.maintenance)
}

func (p *placer) anyAvailable(w []cib.Score) bool {
	for i, s := range w {
		if s >= 0 && p.nodes[i].usable {
			return true
		}
	}
	return false
}

// applyPrimary applies a colocation to the scores of a dependent whose primary
// is assigned.
func (p *placer) applyPrimary(r *rsc, c *colocation) {
	primary := c.primary
	switch primary.kind {
	case cib.KindGroup:
		if len(primary.children) == 0 {
			return
		}
		// All of the group must run for what must be with it; whoever only
		// prefers it looks at where it begins.
		member := primary.children[0]
		if c.score >= cib.Infinity {
			member = primary.children[len(primary.children)-1]
		}
		p.applyPlaces(r, c, p.placesOf(member, c))
	case cib.KindClone, cib.KindPromotable:
		p.applyClone(r, c)
	case cib.KindBundle:
		p.applyBundle(r, c)
	case cib.KindPrimitive:
		p.applyPlaces(r, c, p.placesOf(primary, c))
	}
}

// placesOf returns where a primitive or group is assigned in the role that the
// colocation asks for.
func (p *placer) placesOf(primary *rsc, c *colocation) []int32 {
	n := p.assigned[primary.index]
	if n == undecided {
		return nil
	}
	if n == nowhere {
		return []int32{}
	}
	if c.withRole != 0 && !p.inRole(primary, c.withRole) {
		return nil
	}
	return []int32{n}
}

// applyPlaces applies a colocation with where the primary is: nil means that it
// says nothing, an empty list that the primary is nowhere.
func (p *placer) applyPlaces(r *rsc, c *colocation, places []int32) {
	w := p.weights[r.index]
	if places == nil || len(places) == 0 && c.score < 0 {
		return
	}
	work := make([]cib.Score, len(w))
	copy(work, w)
	for i := range work {
		same := false
		for _, n := range places {
			same = same || p.samePlace(c, int32(i), n)
		}
		switch {
		case len(places) == 0:
			work[i] = add(work[i], -c.score)
		case same && c.score < cib.Infinity:
			work[i] = add(work[i], c.score)
		case !same && c.score >= cib.Infinity:
			work[i] = add(work[i], -c.score)
		}
	}
	if !c.mandatory() && !p.anyAvailable(work) {
		return // a wish does not stop a resource
	}
	if p.explain != nil {
		p.explain.colocated(r, c, places, w, work)
	}
	copy(w, work)
}

// samePlace reports whether two nodes are one place for a colocation.
func (p *placer) samePlace(c *colocation, a, b int32) bool {
	if c.attribute == "#uname" {
		return a == b
	}
	x, okX := p.nodes[a].attribute(c.attribute)
	y, okY := p.nodes[b].attribute(c.attribute)
	return okX && okY && x == y
}

// dropContradictions stops dependents whose mandatory colocations can't all
// hold, such as two that contradict each other: to run would break one.
func (p *placer) dropContradictions() {
	for changed := true; changed; {
		changed = false
		for _, c := range p.colocs {
			if !c.mandatory() || c.role != 0 || c.withRole != 0 {
				continue
			}
			c.dependent.placed(func(d *rsc) {
				if p.assigned[d.index] >= 0 && !p.pins[d.index] && p.contradicts(d, c) {
					p.drop(d, p.contradiction(c))
					changed = true
				}
			})
		}
	}
}

// contradicts reports whether a dependent is where a colocation forbids it.
func (p *placer) contradicts(d *rsc, c *colocation) bool {
	n, with := p.assigned[d.index], false
	c.primary.placed(func(x *rsc) {
		if c.score > 0 && x.parent != nil && x.parent.kind == cib.KindGroup && x != lastPrimitive(x.parent) {
			return // a group is where all of it is: where its last member is
		}
		if m := p.assigned[x.index]; m >= 0 && x != d && p.samePlace(c, n, m) {
			with = true
		}
	})
	return with != (c.score > 0)
}

// contradiction says which colocation of a resource can't hold, and which others
// that it is tied to by them it may contradict.
func (p *placer) contradiction(c *colocation) cib.Why {
	what := "it must run " + c.where()
	if c.score < 0 {
		what = "it must not run " + c.where()
	}
	tied := map[*rsc]bool{c.dependent: true, c.primary: true}
	var others []string
	for grown := true; grown; {
		grown = false
		for _, x := range p.colocs {
			if x.mandatory() && x != c && (tied[x.dependent] || tied[x.primary]) && !slices.Contains(others, x.id) {
				tied[x.dependent], tied[x.primary], grown = true, true, true
				others = append(others, x.id)
			}
		}
	}
	slices.Sort(others)
	if len(others) > circleMax {
		others = append(others[:circleMax], "...")
	}
	switch {
	case c.score < 0 && len(others) > 0:
		what += ", and is there by " + strings.Join(others, ", ")
	case len(others) > 0:
		what += ", which cannot hold beside " + strings.Join(others, ", ")
	case c.score > 0:
		what += ", " + p.whyNoPlace(c)
	}
	return cib.Why{Cause: what, Rule: c.id}
}

func lastPrimitive(r *rsc) *rsc {
	for len(r.children) > 0 {
		r = r.children[len(r.children)-1]
	}
	return r
}

// drop takes the node away from a resource, and from the members after it in its
// group.
func (p *placer) drop(r *rsc, why cib.Why) {
	after := []*rsc{r}
	if g := r.parent; g != nil && g.kind == cib.KindGroup {
		for i, m := range g.children {
			if m == r {
				after = g.children[i:]
			}
		}
	}
	for _, m := range after {
		if p.assigned[m.index] >= 0 && !p.pins[m.index] {
			p.release(m)
			p.limits[m.index] = why
			p.settle(m, nowhere)
		}
	}
}
