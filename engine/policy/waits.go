package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// What is to be done and cannot be shows in the plan, which knows what needs what.
// The placement says it, so that nothing waits without a word.

// sayWaits completes the placement that the plan was made for: of each instance of
// which something can't be done it says what that waits for. Place alone does not
// know it.
func (b *planner) sayWaits() {
	for i, a := range b.said {
		if a != nil && a.Blocked == "" && !b.left[i] {
			a.Blocked = b.waitsFor(b.rscs[i])
		}
	}
}

// waitsFor says what an instance waits for, the first that comes in its life
// counts; "" if all that is to be done with it can be.
func (b *planner) waitsFor(r *rsc) string {
	i := r.index
	steps := append(single(b.start[i]), b.stop[i]...)
	steps = append(append(steps, single(b.promote[i])...), b.demote[i]...)
	for _, k := range steps {
		if s := &b.steps[k]; s.required && !s.absent && s.stuck != "" {
			return b.waitText(k)
		}
	}
	for _, k := range steps {
		if s := &b.steps[k]; s.required && s.held && slices.Contains(b.circle, k) {
			return "constraints make it wait for itself, or for what does: " + b.circleText()
		}
	}
	return ""
}

// circleText names the rules of a circle in the plan.
func (b *planner) circleText() string {
	var rules []string
	for i := range b.edges {
		e := &b.edges[i]
		if e.rule != "" && b.s.Config.Constraints[e.rule] != nil && b.holds(e) && slices.Contains(b.circle, e.first) && slices.Contains(b.circle, e.then) {
			rules = append(rules, constraintKind(b.s.Config.Constraints[e.rule])+" "+e.rule)
		}
	}
	slices.Sort(rules)
	rules = slices.Compact(rules)
	if len(rules) > circleMax {
		rules = append(rules[:circleMax], "...")
	}
	return strings.Join(rules, ", ")
}

// circleMax is how many constraints of a circle are named.
const circleMax = 6

// linksMax is how many things that wait for each other are named one by one.
const linksMax = 3

// waitText says why a step can't be done: what it waits for, what that waits for,
// and why the last of them will not come.
func (b *planner) waitText(i int32) string {
	s := &b.steps[i]
	by, via := b.blocker(i, s.rsc)
	if by == noStep {
		return s.stuck + b.because(via)
	}
	text := "it waits for " + b.waited(by, s.rsc) + b.because(via)
	seen := map[int32]bool{i: true}
	for n := 1; !seen[by]; n++ {
		seen[by] = true
		next, via := b.blocker(by, b.steps[by].rsc)
		if b.isClonePoint(by) {
			next, via = b.outOf(by)
		}
		if next == noStep || b.chosen[by] != nil {
			return text + ", " + b.hopeless(by)
		}
		if n < linksMax {
			text += ", and that for " + b.waited(next, b.steps[by].rsc) + b.because(via)
		} else if last, _ := b.blocker(next, b.steps[next].rsc); last == noStep {
			text += ", and in the end for " + b.waited(next, nil)
		}
		by = next
	}
	return text
}

// blocker is what makes a step of a resource impossible, and the id of the rule by
// which it does. Points of what the resource is in are passed over.
func (b *planner) blocker(i int32, r *rsc) (by int32, via string) {
	by, via = b.steps[i].blocker, b.steps[i].via
	for by != noStep && r != nil {
		p := &b.steps[by]
		if !p.point || p.rsc == nil || !r.within(p.rsc) || p.blocker == noStep {
			break
		}
		by, via = p.blocker, p.via
	}
	return by, via
}

// outOf is what outside of a clone makes it impossible for its last instance to be
// started, or promoted; none if that is the clone's own matter.
func (b *planner) outOf(point int32) (by int32, via string) {
	c := b.steps[point].rsc
	by = point
	for range len(b.steps) {
		s := &b.steps[by]
		if by, via = s.blocker, s.via; by == noStep || b.steps[by].rsc == nil || !b.steps[by].rsc.within(c) && b.steps[by].rsc != c {
			break
		}
	}
	return by, via
}

// isClonePoint reports whether a step is the point at which something of a clone is
// started, or promoted.
func (b *planner) isClonePoint(i int32) bool {
	s := &b.steps[i]
	return s.point && s.rsc != nil && s.rsc.cfg.Clone != nil && s.needed > 0
}

// waited names what is waited for by a resource.
func (b *planner) waited(i int32, by *rsc) string {
	s := &b.steps[i]
	if orders := b.chosen[i]; len(orders) > 0 {
		return waitedChoice(s, orders)
	}
	if s.rsc == nil {
		return "the fencing of " + b.nodes[s.node].name
	}
	name := s.rsc.base
	if s.rsc.clone != nil && s.node != nowhere {
		name += " on " + b.nodes[s.node].name
	}
	if s.rsc == by {
		name = "its own"
	}
	what := map[string]string{cib.OpPromote: "promotion", cib.OpStop: "stop", cib.OpDemote: "demotion", cib.OpMonitor: "probe"}[s.op]
	switch {
	case s.op == cib.OpStart && s.rsc != by:
		return name
	case s.rsc == by:
		return name + " " + cmp.Or(what, s.op)
	}
	return "the " + cmp.Or(what, s.op) + " of " + name
}

// waitedChoice names what is waited for where some of several are enough.
func waitedChoice(s *step, orders []*order) string {
	var names []string
	for _, o := range orders {
		names = append(names, o.first.base)
	}
	switch {
	case orders[0].alternative != "":
		return "one of " + strings.Join(slices.Compact(names), ", ")
	case cloneMin(orders[0].first) > 0:
		return fmt.Sprintf("%d instances of %s, as clone-min says", s.needed, names[0])
	}
	return "an instance of " + names[0]
}

// hopeless says why what is waited for will not come.
func (b *planner) hopeless(i int32) string {
	s := &b.steps[i]
	switch {
	case b.chosen[i] != nil:
		can := 0
		for e := s.in; e != noStep; e = b.edges[e].nextIn {
			if b.edges[e].relation&needs != 0 && !b.steps[b.edges[e].first].blocks() {
				can++
			}
		}
		if can > 0 {
			return fmt.Sprintf("of which %d can run", can)
		}
		return "none of which can run" + b.reasonBehind(i)
	case b.isClonePoint(i) && s.op == cib.OpPromote:
		return "of which no instance can be promoted" + b.reasonBehind(i)
	case b.isClonePoint(i):
		return "of which no instance can run" + b.reasonBehind(i)
	case s.rsc == nil || s.rsc.kind != cib.KindPrimitive:
		return "which cannot be done: " + s.stuck
	case s.absent && b.left[s.rsc.index]:
		return "which is left as it is: " + s.stuck
	case s.absent && s.op == cib.OpPromote:
		return "which is not to be" + colon(b.demoted[s.rsc.index])
	case s.absent:
		return "which is to run nowhere" + colon(b.why[s.rsc.index])
	case b.left[s.rsc.index]:
		return "which is left as it is: " + s.stuck
	}
	return "which cannot be done: " + s.stuck
}

// reasonBehind is the reason for which the last thing could not be that a step needs
// some of.
func (b *planner) reasonBehind(i int32) string {
	for range linksMax {
		by := b.steps[i].blocker
		if by == noStep {
			return ""
		}
		s := &b.steps[by]
		switch {
		case s.absent && s.rsc.kind == cib.KindPrimitive && s.op == cib.OpPromote:
			return colon(b.demoted[s.rsc.index])
		case s.absent && s.rsc.kind == cib.KindPrimitive && !b.left[s.rsc.index]:
			return colon(b.why[s.rsc.index])
		case s.blocker == noStep && s.stuck != "":
			return ": " + s.stuck
		}
		i = by
	}
	return ""
}

// colon puts a reason behind what was said.
func colon(why cib.Why) string {
	if why.Cause == "" {
		return ""
	}
	return ": " + why.Cause
}

// because names a rule: what kind of thing the id is of.
func (b *planner) because(id string) string {
	if id == "" {
		return ""
	}
	kind := ""
	if c := b.s.Config.Constraints[id]; c != nil {
		kind = constraintKind(c) + " "
	} else if r := b.s.Config.Resources[id]; r != nil {
		kind = r.Kind().String() + " "
	}
	return " (" + kind + id + ")"
}

func constraintKind(c *cib.Constraint) string {
	switch {
	case c.Location != nil:
		return "location"
	case c.Colocation != nil:
		return "colocation"
	case c.Order != nil:
		return "order"
	}
	return "ticket"
}
