package policy

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
)

// leaveUnpromoted notes why an instance is not promoted.
func (p *placer) leaveUnpromoted(r *rsc, why cib.Why) {
	if p.demoted == nil {
		p.demoted = make([]cib.Why, len(p.rscs))
	}
	p.demoted[r.index] = why
}

// whyNotPromoted says why an instance is not promoted; empty if it is to be. total
// and here count what is promoted already, everywhere and on its node.
func (p *placer) whyNotPromoted(c *rsc, x candidate, total, here int) cib.Why {
	switch n := p.assigned[x.instance.index]; {
	case x.index < 0:
		return p.whyUnfitForRole(c, x.instance, n)
	case total >= c.promotedMax():
		return cib.Why{Cause: fmt.Sprintf("promoted-max is %d", c.promotedMax()), Rule: "promoted-max"}
	case here >= max(1, c.cfg.Clone.PromotedNodeMax):
		return cib.Why{Cause: fmt.Sprintf("promoted-node-max is %d", max(1, c.cfg.Clone.PromotedNodeMax)), Rule: "promoted-node-max"}
	}
	return cib.Why{}
}

// whyUnfitForRole says why an instance must not be promoted on its node.
func (p *placer) whyUnfitForRole(c, i *rsc, n int32) cib.Why {
	node := &p.nodes[n]
	why := cib.Why{}
	i.primitives(func(r *rsc) {
		if why.Cause == "" {
			why = p.whyKeptUnpromoted(r, n)
		}
	})
	if why.Cause != "" {
		return why
	}
	for _, id := range namesOf(c, i) {
		for _, l := range p.locations[id] {
			if l.cfg.Role == cib.RolePromoted && l.applies(node) && l.score(node) < 0 {
				return cib.Why{Cause: l.text(node, l.score(node)) + " for the promoted role", Rule: l.id}
			}
		}
	}
	for _, x := range promotedWith(c) {
		if x.role == cib.RolePromoted && x.mandatory() {
			if text := p.apart(x, p.hostOf(n)); text != "" {
				return cib.Why{Cause: text, Rule: x.id}
			}
		}
	}
	switch score, said := p.promotionScore(i, node); {
	case !said:
		return cib.Why{Cause: "its agent has set no promotion score on " + node.name, Rule: "promotion-score"}
	case score < 0:
		return cib.Why{Cause: fmt.Sprintf("its agent does not want to be promoted on %s (%s)", node.name, score), Rule: "promotion-score"}
	}
	for _, x := range withPromoted(c) {
		if x.withRole == cib.RolePromoted && x.mandatory() && x.influence {
			return cib.Why{Cause: x.dependent.base + " is not to run where it is promoted on " + node.name, Rule: x.id}
		}
	}
	return cib.Why{Cause: "its promotion score on " + node.name + " is negative", Rule: "promotion-score"}
}

// whyKeptUnpromoted says what keeps one resource of an instance unpromoted whatever
// the scores say; see mayNotPromote.
func (p *placer) whyKeptUnpromoted(r *rsc, n int32) cib.Why {
	for x := r; x != nil; x = x.parent {
		if x.unpromotable != "" {
			return cib.Why{Cause: x.unpromotable, Rule: x.unpromotableRule}
		}
	}
	f := p.roleFact(r, n)
	switch {
	case r.settings.targetRole == cib.RoleUnpromoted:
		return cib.Why{Cause: "target-role is Unpromoted", Rule: "target-role"}
	case p.assigned[r.index] != n:
		return cib.Why{Cause: r.base + " of it does not run on " + p.nodes[n].name}
	case !p.mayBePromoted(f):
		return cib.Why{Cause: "there is no quorum", Rule: noQuorumRule}
	case f != nil && f.failed != nil && f.failed.Op == cib.OpDemote:
		return cib.Why{Cause: describeFailure(f.failed, p.nodes[n].name)}
	}
	return cib.Why{}
}
