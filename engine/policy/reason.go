package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// placement turns the working state into the value between the phases.
func (p *placer) placement() *graph.Placement {
	out := &graph.Placement{Revision: p.s.Revision, Instances: make([]graph.Assignment, 0, len(p.rscs))}
	for _, r := range p.top {
		if r.cfg.Clone == nil {
			r.primitives(func(x *rsc) { out.Instances = append(out.Instances, p.assignment(x, x.id)) })
			continue
		}
		numbers := p.numberInstances(r)
		for i, c := range r.children {
			c.primitives(func(x *rsc) {
				out.Instances = append(out.Instances, p.assignment(x, x.base+":"+strconv.Itoa(numbers[i])))
			})
		}
	}
	slices.SortStableFunc(out.Instances, func(a, b graph.Assignment) int { return compareInstances(a.Instance, b.Instance) })
	return out
}

// compareInstances sorts ids, and numbers of instances as numbers.
func compareInstances(a, b string) int {
	i, j := strings.LastIndexByte(a, ':'), strings.LastIndexByte(b, ':')
	if i > 0 && j > 0 && a[:i] == b[:j] {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	}
	return strings.Compare(a, b)
}

// numberInstances chooses the numbers under which instances are shown. Those of
// an anonymous clone go by node, so that they stay when others come and go.
func (p *placer) numberInstances(c *rsc) []int {
	numbers := make([]int, len(c.children))
	if c.unique() {
		for i, x := range c.children {
			numbers[i] = x.number
		}
		return numbers
	}
	used := make([]bool, len(c.children))
	for i, x := range c.children {
		numbers[i] = -1
		if n := p.assigned[x.index]; n >= 0 && int(n) < len(used) && !used[n] {
			numbers[i], used[n] = int(n), true
		}
	}
	next := 0
	for _, placed := range []bool{true, false} {
		for i, x := range c.children {
			if numbers[i] >= 0 || (p.assigned[x.index] >= 0) != placed {
				continue
			}
			for used[next] {
				next++
			}
			numbers[i], used[next] = next, true
		}
	}
	return numbers
}

func (p *placer) assignment(r *rsc, id string) graph.Assignment {
	n := p.assigned[r.index]
	a := graph.Assignment{Instance: id, Resource: r.base, Role: cib.RoleStopped}
	if n >= 0 {
		a.Node, a.Role = p.nodes[n].name, p.roles[r.index]
		a.Score = max(p.weights[r.index][n], -cib.Infinity)
	}
	a.Why = p.whyThere(r, n)
	a.Why.Score = a.Score
	if n >= 0 && p.demoted != nil && a.Role != cib.RolePromoted {
		a.NotPromoted = p.demoted[r.index]
	}
	a.Blocked = p.blocked(r, n)
	return a
}

// blocked says why nothing is done about a resource although it is not as it
// should be.
func (p *placer) blocked(r *rsc, n int32) string {
	pin := p.pinReason(r)
	if pin == "" {
		if r.settings.irreparable && n < 0 && p.stopReason(r) == "" {
			for i := range p.nodes {
				if text := p.unsafe(&p.nodes[i]); text != "" && (p.nodes[i].usable || !p.opt.Fencing()) {
					return text
				}
			}
		}
		return ""
	}
	stop := p.stopReason(r)
	if len(r.active) == 0 {
		if stop != "" {
			return ""
		}
		return pin
	}
	for _, f := range r.active {
		if f.failed != nil {
			return pin
		}
	}
	if len(r.active) > 1 || stop != "" {
		return pin
	}
	return ""
}

// whyThere says why a resource is assigned to a node, or to none.
func (p *placer) whyThere(r *rsc, n int32) cib.Why {
	switch {
	case p.pins[r.index]:
		return cib.Why{Cause: "left as it is: " + p.pinReason(r)}
	case n < 0:
		return p.whyNowhere(r)
	}
	was := p.current(r)
	if was == n && len(r.active) > 0 {
		return cib.Why{Cause: "it runs there"}
	}
	if was == n {
		return cib.Why{Cause: "it ran there"}
	}
	if why, ok := p.whyNotThere(r, was); ok {
		return why
	}
	return p.whyChosen(r, n)
}

// whyNotThere says what drove a resource away from where it runs, or ran.
func (p *placer) whyNotThere(r *rsc, was int32) (cib.Why, bool) {
	if was == nowhere {
		if f := p.diedWith(r); f != nil {
			n := &p.nodes[f.node]
			return cib.Why{ID: n.proof, Cause: n.dead, Proof: n.proof}, true
		}
		return cib.Why{}, false
	}
	if p.unloaded[was] == r.id {
		load, _ := p.nodes[was].number(loadAttribute)
		return cib.Why{Cause: fmt.Sprintf("the load of %s is %g, the limit is %d", p.nodes[was].name, load, p.opt.LoadLimit), Rule: "placement-strategy"}, true
	}
	n := &p.nodes[was]
	switch {
	case n.fence != "":
		return cib.Why{Cause: n.fence}, true
	case !n.usable:
		return cib.Why{Cause: "node " + n.name + " " + n.why}, true
	}
	if why, ok := p.whyBanned(r, was); ok {
		return why, true
	}
	for _, c := range thisWithOf(r) {
		switch {
		case !c.mandatory() || roleOnly(r, c) || p.apart(c, was) == "":
		case c.score > 0:
			return cib.Why{Cause: "it must run " + c.where(), Rule: c.id}, true
		default:
			return cib.Why{Cause: "it must not run " + c.where(), Rule: c.id}, true
		}
	}
	return p.whyFollows(r, was, 0)
}

// whyFollows says what keeps a resource off a node that must run where this one
// runs, so that this one goes where both can.
func (p *placer) whyFollows(r *rsc, was int32, depth int) (cib.Why, bool) {
	if depth > len(p.rscs) {
		return cib.Why{}, false
	}
	for _, c := range withThisOf(r) {
		if c.score < cib.Infinity || !c.influence {
			continue
		}
		d := c.dependent.leader()
		why, ok := p.whyBanned(d, was)
		if !ok && d.kind == cib.KindPrimitive && d != r {
			why, ok = p.whyFollows(d, was, depth+1)
		}
		if ok {
			if depth == 0 {
				why.Cause = d.base + " must run where it runs: " + why.Cause
			}
			return why, true
		}
	}
	return cib.Why{}, false
}

// diedWith returns the fact about the node with which an instance was lost: the
// last that happened to it happened there. nil if that is not so.
func (p *placer) diedWith(r *rsc) *fact {
	if r.ledger == nil || r.anonymous() && p.cloneMax(r.clone) >= p.hosts() {
		return nil // each node has its own instance: none is recovered elsewhere
	}
	last := r.ledger.newest()
	if last == nil || !last.dead {
		return nil
	}
	return last
}

// whyBanned names what keeps a resource off a node: a failure or a location.
func (p *placer) whyBanned(r *rsc, at int32) (cib.Why, bool) {
	if r.ledger != nil {
		if f := r.ledger.on(at); f != nil && !f.dead {
			if text := p.thresholdReached(r, f); text != "" {
				return cib.Why{Cause: text, Rule: "migration-threshold"}, true
			}
			if f.banned != "" {
				return cib.Why{Cause: f.banned}, true
			}
		}
		for _, f := range r.ledger.facts {
			if f.fatal && !f.dead {
				return cib.Why{Cause: f.banned + ", which no other node would mend"}, true
			}
		}
	}
	if r.settings.irreparable && !r.activeOn(at) {
		if text := p.unsafe(&p.nodes[at]); text != "" {
			return cib.Why{Cause: text, Rule: "data"}, true
		}
	}
	if why, ok := p.whyAdvised(r, at, false); ok {
		return why, true
	}
	if n := &p.nodes[at]; n.health <= -cib.Infinity && !r.root().settings.allowUnhealthy {
		return cib.Why{Cause: "the health of " + n.name + " forbids it", Rule: "node-health-strategy"}, true
	}
	if l, score := p.strongest(r, at, false); l != nil {
		return cib.Why{Cause: l.text(&p.nodes[at], score), Rule: l.id}, true
	}
	for x := r; x != nil; x = x.parent {
		if l := p.confines(x.base, at); l != nil {
			return cib.Why{Cause: "location limits it to other nodes than " + p.nodes[at].name + " (resource-discovery exclusive)", Rule: l.id}, true
		}
	}
	return cib.Why{}, false
}

// strongest returns the location with the highest score for a node, or the one
// with the lowest; nil if none says anything that way.
func (p *placer) strongest(r *rsc, n int32, positive bool) (*location, cib.Score) {
	var best *location
	var highest cib.Score
	for x := r; x != nil; x = x.parent {
		for _, l := range p.locations[x.base] {
			s := l.score(&p.nodes[n])
			if !l.forPlacement() || s == 0 || (s > 0) != positive || !l.applies(&p.nodes[n]) {
				continue
			}
			if best == nil || positive == (s > highest) {
				best, highest = l, s
			}
		}
	}
	return best, highest
}

// whyChosen says what speaks for the node.
func (p *placer) whyChosen(r *rsc, n int32) cib.Why {
	for _, c := range thisWithOf(r) {
		if c.score >= cib.Infinity && !roleOnly(r, c) {
			return cib.Why{Cause: "it must run " + c.where(), Rule: c.id}
		}
	}
	if l, score := p.strongest(r, n, true); l != nil {
		return cib.Why{Cause: l.text(&p.nodes[n], score), Rule: l.id}
	}
	if why, ok := p.whyAdvised(r, n, true); ok {
		return why
	}
	for _, c := range thisWithOf(r) {
		if c.score > 0 && !roleOnly(r, c) && p.isWith(c, n, p.placesOfPrimary(c)) {
			return cib.Why{Cause: fmt.Sprintf("it prefers to run %s (%s)", c.where(), c.score), Rule: c.id}
		}
	}
	candidates := 0
	for i, w := range p.weights[r.index] {
		if w >= 0 && p.nodes[i].usable {
			candidates++
		}
	}
	if candidates == 1 {
		return cib.Why{Cause: "it can run nowhere else"}
	}
	why := cib.Why{Cause: p.strategy.why}
	if p.opt.PlacementStrategy != "" && p.opt.PlacementStrategy != "default" {
		why.Rule = "placement-strategy"
	}
	return why
}
