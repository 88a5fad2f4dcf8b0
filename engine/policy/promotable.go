package policy

import (
	"cmp"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// promotionPrefix begins the name of the node attribute in which an agent says
// how much it wants to be promoted there (crm_attribute --promotion).
const promotionPrefix = "master-"

// promotedMax is promoted-max.
func (r *rsc) promotedMax() int { return max(0, pick(1, r.cfg.Clone.PromotedMax)) }

// promotionScore is how much an instance wants to be promoted on a node, by its
// agents' attributes; false if none said anything.
func (p *placer) promotionScore(i *rsc, n *node) (cib.Score, bool) {
	var sum cib.Score
	said := false
	i.primitives(func(r *rsc) {
		if text, ok := p.attributeNode(r, n).attribute(promotionPrefix + r.ledger.key); ok {
			if s, err := cib.ParseScore(text); err == nil {
				sum, said = sum.Add(s), true
			}
		}
	})
	return sum, said
}

// addPromotionScores lets the wish to be promoted decide where instances go,
// where there are fewer instances than nodes.
func (p *placer) addPromotionScores(c *rsc) {
	if c.kind != cib.KindPromotable {
		return
	}
	if p.promotionPriority == nil {
		p.promotionPriority = make([]cib.Score, len(p.rscs))
	}
	for _, i := range c.children {
		lead := i.leader()
		for k := range p.nodes {
			w := &p.weights[lead.index][k]
			if !p.nodes[k].usable || *w == absent || *w <= -cib.Infinity || !p.speaksFor(i, int32(k)) {
				continue
			}
			s, said := p.promotionScore(i, &p.nodes[k])
			if !said || s <= 0 {
				continue // not to want to be promoted is no reason not to run
			}
			*w = w.Add(s)
			p.promotionPriority[i.index] = max(p.promotionPriority[i.index], s)
			if p.explain != nil {
				p.explain.note(lead, int32(k), graph.Part{Rule: "promotion-score", Score: s, Text: "its agent wants to be promoted there"})
			}
		}
	}
}

// speaksFor reports whether the promotion score of a node is about an instance:
// it runs there, or none does.
func (p *placer) speaksFor(i *rsc, n int32) bool {
	if i.parent.unique() {
		return true
	}
	for _, x := range i.parent.children {
		if p.current(x) == n {
			return x == i
		}
	}
	return true
}

// candidate is an instance that may be promoted.
type candidate struct {
	instance *rsc
	index    cib.Score // how much speaks for it
	role     cib.Role  // it has now
}

// promote chooses the instances to be promoted: those with the best scores,
// among equals those that are promoted already.
func (p *placer) promote(c *rsc) {
	if c.kind != cib.KindPromotable {
		return
	}
	list := p.candidates(c)
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.index, a.index), cmp.Compare(b.role, a.role))
	})
	total := 0
	onNode := make([]int, len(p.nodes))
	for _, x := range list { // what is left as it is counts first
		if p.pins[x.instance.leader().index] && p.roles[x.instance.leader().index] == cib.RolePromoted {
			total++
			onNode[p.assigned[x.instance.index]]++
		}
	}
	for _, x := range list {
		n := p.assigned[x.instance.index]
		if p.pins[x.instance.leader().index] {
			continue
		}
		if why := p.whyNotPromoted(c, x, total, onNode[n]); why.Cause != "" {
			x.instance.primitives(func(r *rsc) { p.leaveUnpromoted(r, why) })
			continue
		}
		total++
		onNode[n]++
		x.instance.primitives(func(r *rsc) {
			if p.assigned[r.index] == n && !p.pins[r.index] {
				p.roles[r.index] = cib.RolePromoted
			}
		})
		p.roles[x.instance.index] = cib.RolePromoted
	}
}

// candidates lists the instances of a clone that run in the end, with what
// speaks for promoting each. What the node is worth to the clone, and to what
// wants to be with the promoted instance, counts only where the instance may be
// promoted.
func (p *placer) candidates(c *rsc) []candidate {
	worth := slices.Clone(p.weights[c.index])
	if c.bundle() != nil {
		clear(worth) // it is its containers that nodes are worth something to
	}
	var out []candidate
	for _, i := range p.rankInstances(c) {
		n := p.assigned[i.index]
		if n < 0 {
			continue
		}
		x := candidate{instance: i, index: p.promotionIndex(c, i, n)}
		i.primitives(func(r *rsc) {
			if f := p.roleFact(r, n); f != nil {
				x.role = max(x.role, f.role)
			}
			if p.assigned[r.index] != n || p.mayNotPromote(r, n) {
				x.index = -cib.Infinity // all of a group is promoted, or nothing of it
			}
		})
		if x.index >= 0 {
			worth[p.hostOf(n)] = add(worth[p.hostOf(n)], x.index)
		}
		out = append(out, x)
	}
	p.updating[c.index] = true
	for _, x := range withPromoted(c) {
		if x.withRole == cib.RolePromoted && x.influence {
			worth = p.collect(x.dependent, worth, x, float64(x.score)/float64(cib.Infinity), wishFlags{active: true, nonnegative: true})
		}
	}
	p.updating[c.index] = false
	for k := range out {
		if x := &out[k]; x.index >= 0 {
			x.index = max(worth[p.hostOf(p.assigned[x.instance.index])], -cib.Infinity)
		}
	}
	return out
}

// promotionIndex adds up what the agent, the locations and the colocations of
// the promoted role say. Without a word from the agent a location is needed.
func (p *placer) promotionIndex(c, i *rsc, n int32) cib.Score {
	index, said := p.promotionScore(i, &p.nodes[n])
	if !said {
		index = -1
	}
	for _, id := range namesOf(c, i) {
		for _, l := range p.locations[id] {
			if l.cfg.Role == cib.RolePromoted && l.applies(&p.nodes[n]) {
				index = index.Add(l.score(&p.nodes[n]))
			}
		}
	}
	for _, x := range promotedWith(c) {
		if x.role == 0 {
			continue
		}
		with := false
		x.primary.placed(func(r *rsc) {
			if m := p.assigned[r.index]; m >= 0 && (x.withRole == 0 || p.inRole(r.inside(), x.withRole)) && p.samePlace(x, p.hostOf(n), m) {
				with = true
			}
		})
		switch {
		case with && x.role == cib.RoleUnpromoted:
			index = index.Add(-x.score)
		case with:
			index = index.Add(x.score)
		case x.score >= cib.Infinity && x.role == cib.RolePromoted:
			index = -cib.Infinity
		}
	}
	return index
}

// roleFact is what is known of an active instance on a node.
func (p *placer) roleFact(r *rsc, n int32) *fact {
	for _, f := range r.active {
		if f.node == n {
			return f
		}
	}
	return nil
}

// mayNotPromote reports whether something keeps a resource unpromoted.
func (p *placer) mayNotPromote(r *rsc, n int32) bool {
	for x := r; x != nil; x = x.parent {
		if x.unpromotable != "" {
			return true
		}
	}
	if r.settings.targetRole == cib.RoleUnpromoted {
		return true
	}
	f := p.roleFact(r, n)
	return !p.mayBePromoted(f) || f != nil && f.failed != nil && f.failed.Op == cib.OpDemote
}

// planRoles makes the promote and demote steps of the instances of promotable
// clones. Who is promoted elsewhere is demoted before somebody is promoted.
func (b *planner) planRoles() {
	for _, c := range b.rscs {
		if c.kind == cib.KindPrimitive && (c.clone == nil || c.clone.kind != cib.KindPromotable) {
			b.planDemotes(c) // of a clone that is promotable no more
		}
		if c.kind != cib.KindPromotable || len(c.children) == 0 {
			continue
		}
		b.promoted[c.index] = b.point(c, cib.OpPromote)
		b.steps[b.promoted[c.index]].needed = 1
		c.primitives(b.planDemotes)
		c.primitives(func(r *rsc) { b.planPromote(c, r) })
		for _, i := range c.children {
			if i.kind == cib.KindGroup {
				b.orderGroupRoles(i)
			}
		}
	}
}

// planDemotes makes the demote steps of one instance. What has no roles in the
// configuration, and is promoted in one of several places, is demoted in all of
// them before it is stopped in any: nothing says any more which may go first.
func (b *planner) planDemotes(r *rsc) {
	i := r.index
	all := r.clone == nil && slices.ContainsFunc(r.active, func(f *fact) bool { return f.role == cib.RolePromoted })
	for k, f := range r.active {
		if f.role != cib.RolePromoted && !isBusy(f, cib.OpDemote) && !all {
			continue
		}
		stop := b.stop[i][k]
		s := step{op: cib.OpDemote, rank: rankDemote, rsc: r, node: f.node, fact: f, stuck: b.steps[stop].stuck, point: b.nodes[f.node].lost}
		stays := f.node == b.target[i] && b.role[i] == cib.RolePromoted
		switch {
		case s.stuck != "":
		case f.failed != nil && f.onFail == cib.OnFailDemote:
			s.required, s.why = true, cib.Why{Cause: describeFailure(f.failed, b.nodes[f.node].name)}
		case !stays:
			s.required, s.why = true, b.why[i]
			if f.node == b.target[i] || f.role != cib.RolePromoted {
				s.why = cib.Why{Cause: "it is not to be promoted any more" + colon(b.demoted[i]), Rule: b.demoted[i].Rule}
			}
		}
		demote := b.add(s)
		b.demote[i] = append(b.demote[i], demote)
		if s.point {
			b.relate(b.fence[f.node], demote, before|needs, "")
		}
		b.relate(demote, stop, before|needs|requires, "")
		b.relate(b.probeOf(r.ledger, f.node), demote, before|needs, "")
	}
}

func (b *planner) planPromote(c, r *rsc) {
	i := r.index
	here := b.activeAt(r, b.target[i])
	s := step{op: cib.OpPromote, rank: rankPromote, rsc: r, node: b.target[i], fact: b.factAt(r, b.target[i])}
	is := here != nil && here.role == cib.RolePromoted
	switch {
	case b.role[i] != cib.RolePromoted:
		s.absent, s.stuck = true, r.base+" is not to be promoted"
	case b.left[i]:
		s.absent = !is
		if s.absent {
			s.stuck = cmp.Or(b.pinReason(r), "it is left as it is")
		}
	case !is || isBusy(here, cib.OpPromote):
		s.required, s.why = true, b.why[i]
		if here != nil {
			s.why = cib.Why{Cause: "it is to be promoted there", Rule: "promotion-score"}
		}
	}
	b.promote[i] = b.add(s)
	b.relate(b.start[i], b.promote[i], before|needs|drops|redoes, "")
	b.relate(b.promote[i], b.promoted[c.index], before|needs|drops|redoes, c.base)
	b.relate(b.probeOf(r.ledger, b.target[i]), b.promote[i], before|needs, "")
	if s.absent {
		return
	}
	c.primitives(func(other *rsc) {
		if other.base != r.base {
			return
		}
		for k, d := range b.demote[other.index] {
			rel := before | needs
			if other == r && other.active[k].node == b.target[i] && !isBusy(other.active[k], cib.OpPromote) {
				rel |= redoes | requires
			}
			b.relate(d, b.promote[i], rel, "")
		}
	})
	b.awaitFormer(r, b.promote[i])
	// Whether another one is promoted must be known.
	if s.required {
		b.awaitJoining(r, b.promote[i])
	}
	for n := range b.nodes {
		b.relate(b.probeOf(r.ledger, int32(n)), b.promote[i], before|needs, "")
		if f := b.fence[n]; f != noStep && !r.ledger.known[n] && r.settings.requires != "nothing" {
			b.relate(f, b.promote[i], before|needs, "requires")
		}
	}
}

// awaitFormer lets nothing of a bundle be promoted while an instance may still be
// promoted in a replica that the bundle has no more: that ends with its container.
func (b *planner) awaitFormer(r *rsc, promote int32) {
	if r.part != partChild {
		return
	}
	for _, f := range r.ledger.facts {
		n := &b.nodes[f.node]
		switch {
		case f.dead || f.role != cib.RolePromoted || n.remote == nil || !n.remote.former:
		case n.remote.container != nil:
			b.relateAll(b.stop[n.remote.container.index], single(promote), before|needs, "")
		default:
			b.steps[promote].stuck = "it may still be promoted on " + n.name + ", which is not in the configuration any more"
		}
	}
}

// orderGroupRoles promotes the members of a group one after another, and demotes
// them in reverse.
func (b *planner) orderGroupRoles(g *rsc) {
	for k := 1; k < len(g.children); k++ {
		m, prev := g.children[k].index, g.children[k-1].index
		b.relate(b.promote[prev], b.promote[m], before|needs, g.base)
		b.relateAll(b.demote[m], b.demote[prev], before|needs, g.base)
	}
	for _, m := range g.children {
		b.relate(b.started[g.index], b.promote[m.index], before|needs, g.base)
		for _, d := range b.demote[m.index] {
			b.relate(d, b.stopBegin[g.index], before, g.base)
		}
	}
}
