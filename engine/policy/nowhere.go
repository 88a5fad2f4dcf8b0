package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// whyNowhere says why a resource is to run on no node.
func (p *placer) whyNowhere(r *rsc) cib.Why {
	if text, rule := p.stopRule(r); text != "" {
		return cib.Why{Cause: text, Rule: rule}
	}
	if why := p.limits[r.index]; why.Cause != "" {
		return why
	}
	for _, c := range thisWithOf(r) {
		if c.score < cib.Infinity || roleOnly(r, c) {
			continue
		}
		if places := p.placesOfPrimary(c); places != nil && len(places) == 0 {
			return cib.Why{Cause: "it must run " + c.where() + ", " + p.whyNoPlace(c), Rule: c.id}
		}
	}
	if len(p.nodes) == 0 {
		return cib.Why{Cause: "no nodes are configured"}
	}
	const shown = 4
	var texts []string
	var rule string
	more := 0
	for i := range p.nodes {
		if len(texts) == shown {
			more = len(p.nodes) - i
			break
		}
		why := p.whyNotOn(r, int32(i))
		texts, rule = append(texts, why.Cause), cmp.Or(rule, why.Rule)
	}
	text := "no node may run it: " + strings.Join(texts, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return cib.Why{Cause: text, Rule: rule}
}

// whyNotOn says why a resource is not on one node.
func (p *placer) whyNotOn(r *rsc, at int32) cib.Why {
	n := &p.nodes[at]
	switch {
	case !n.usable:
		return cib.Why{Cause: n.name + " " + n.why}
	case p.weights[r.index][at] == absent, r.parent != nil && p.weights[r.root().index][at] == absent:
		return cib.Why{Cause: "no location allows " + n.name + " in this opt-in cluster", Rule: "symmetric-cluster"}
	}
	if why, ok := p.whyBanned(r, at); ok {
		return why
	}
	for _, c := range thisWithOf(r) {
		if !c.mandatory() || roleOnly(r, c) {
			continue
		}
		if text := p.apart(c, at); text != "" {
			return cib.Why{Cause: text, Rule: c.id}
		}
	}
	if p.capacity != nil {
		if what := p.lacks(p.needs(r), at); what != "" {
			return cib.Why{Cause: n.name + " has not enough " + what + " left", Rule: "placement-strategy"}
		}
	}
	if p.strategy.full != nil {
		if text := p.strategy.full(p, r, at); text != "" {
			return cib.Why{Cause: text, Rule: "placement-strategy"}
		}
	}
	if why := p.isFull(r, at); why.Cause != "" {
		return why
	}
	if text := p.unfit(r, n); text != "" {
		return cib.Why{Cause: n.name + ": " + text}
	}
	if p.opt.ShutdownLock {
		if kept := p.locked(r); kept != nowhere && kept != at {
			return cib.Why{Cause: "it is kept for " + p.nodes[kept].name, Rule: lockRule}
		}
	}
	if why, ok := p.whyFollows(r, at, 0); ok {
		return why
	}
	for _, c := range withThisOf(r) {
		switch {
		case !c.mandatory() || !c.influence:
		case c.score < 0:
			return cib.Why{Cause: c.dependent.base + " must not run where it runs, and is wanted on " + n.name, Rule: c.id}
		default:
			return cib.Why{Cause: c.dependent.base + " must run where it runs, and can't run on " + n.name, Rule: c.id}
		}
	}
	return cib.Why{Cause: fmt.Sprintf("the score of %s is %s", n.name, max(p.weights[r.index][at], -cib.Infinity))}
}

// isFull says that a node runs as many instances of a clone, or replicas of a bundle,
// as it may; empty if that is not so.
func (p *placer) isFull(r *rsc, at int32) cib.Why {
	c, i, option, what := r.clone, r, "clone-node-max", "instances"
	if r.part == partContainer {
		c, option, what = r.parent, "replicas-per-host", "replicas"
	}
	if c == nil {
		return cib.Why{}
	}
	for i.parent != c && i.parent != nil {
		i = i.parent
	}
	here := 0
	for _, other := range c.instances() {
		if other != i && p.assigned[other.index] == at {
			here++
		}
	}
	if here < c.nodeMax() {
		return cib.Why{}
	}
	return cib.Why{Cause: p.nodes[at].name + " runs as many " + what + " as it may", Rule: option}
}

// roleOnly reports whether a colocation concerns only a role of a dependent, not
// where it runs; see applyColocation.
func roleOnly(r *rsc, c *colocation) bool {
	return c.role != 0 && (r.clone != nil || r.part == partContainer)
}

// where names the places that a colocation is about: "where db is promoted".
func (c *colocation) where() string {
	switch c.withRole {
	case cib.RolePromoted:
		return "where " + c.primary.base + " is promoted"
	case cib.RoleUnpromoted:
		return "where " + c.primary.base + " is unpromoted"
	case cib.RoleUnknown, cib.RoleStopped, cib.RoleStarted:
	}
	return "where " + c.primary.base + " runs"
}

// apart says why a mandatory colocation keeps its dependent off a node, or keeps it
// from having a role there: "" if it does not.
func (p *placer) apart(c *colocation, at int32) string {
	places := p.placesOfPrimary(c)
	if places == nil {
		return ""
	}
	name, primary := p.nodes[at].name, c.primary
	with := p.isWith(c, at, places)
	switch {
	case with == (c.score > 0):
		return ""
	case with && c.attribute != "#uname":
		return "it must not run " + c.where() + ", which is where " + c.attribute + " is that of " + name
	case with && c.withRole != 0:
		return "it must not run " + c.where() + ", which is on " + name
	case with:
		return "it must not run where " + primary.base + " runs, which is on " + name
	case c.attribute != "#uname" && c.withRole == 0:
		return primary.base + " does not run where " + c.attribute + " is that of " + name
	case c.withRole == cib.RolePromoted:
		return primary.base + " is not promoted on " + name
	case c.withRole != 0:
		return primary.base + " is not unpromoted on " + name
	case primary.kind == cib.KindGroup && p.assigned[primary.index] == at:
		return "not all of " + primary.base + " runs on " + name + ": " + lastPrimitive(primary).base + " does not"
	}
	return primary.base + " does not run on " + name
}

// whyNoPlace says why what a colocation is with is at no place.
func (p *placer) whyNoPlace(c *colocation) string {
	last := lastPrimitive(c.primary)
	switch {
	case c.withRole == cib.RolePromoted:
		return "and nothing of it is promoted"
	case c.withRole != 0:
		return "and nothing of it is unpromoted"
	case c.primary.kind == cib.KindGroup && p.assigned[c.primary.index] >= 0:
		return "and not all of it does: " + last.base + " is stopped"
	case c.primary.cfg.Clone != nil && p.assigned[c.primary.index] >= 0:
		return "and no instance of it does as a whole"
	}
	return "which is stopped"
}

// isWith reports whether a node is one of the places that a colocation is about.
func (p *placer) isWith(c *colocation, n int32, places []int32) bool {
	return slices.ContainsFunc(places, func(m int32) bool { return p.samePlace(c, n, m) })
}

// placesOfPrimary returns where what a colocation is with is assigned, in the role
// that it asks for; nil where the colocation says nothing. It is what applyPrimary
// goes by.
func (p *placer) placesOfPrimary(c *colocation) []int32 {
	x := c.primary
	switch x.kind {
	case cib.KindGroup:
		if len(x.children) == 0 {
			return nil
		}
		member := x.children[0]
		if c.score >= cib.Infinity {
			member = x.children[len(x.children)-1]
		}
		return p.placesOf(member, c)
	case cib.KindClone, cib.KindPromotable, cib.KindBundle:
		places := []int32{}
		for _, i := range x.instances() {
			n := p.assigned[i.index]
			inside := i.inside().leader()
			switch {
			case n < 0, c.withRole != 0 && !p.inRole(inside, c.withRole):
				continue
			case c.withRole == 0 && c.score >= cib.Infinity && (blockedHere(i) || p.assigned[lastPrimitive(i).index] != n):
				continue // it cannot be relied on, or not all of it is there
			}
			places = append(places, n)
		}
		return places
	case cib.KindPrimitive:
	}
	return p.placesOf(x, c)
}
