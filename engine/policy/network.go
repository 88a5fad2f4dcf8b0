package policy

import (
	"github.com/belay-ha/belay/engine/cib"
)

// spread carries through the edges what follows from what must be done: what
// else must be done, and what can't be. Both only ever grow, so that it ends.
func (b *planner) spread() {
	for i := range b.steps {
		s := &b.steps[i]
		if s.required || s.stuck != "" {
			b.queue(int32(i))
		}
	}
	for len(b.work) > 0 {
		i := b.work[len(b.work)-1]
		b.work = b.work[:len(b.work)-1]
		b.steps[i].queued = false
		b.pass(i)
	}
}

// leftAlone reports whether a step starts what is not to be touched, or to run
// nowhere: that is not started because something else is.
func (b *planner) leftAlone(i int32) bool {
	s := &b.steps[i]
	return s.absent || s.op == cib.OpStart && !s.point && b.left[s.rsc.index]
}

func (b *planner) queue(i int32) {
	if !b.steps[i].queued {
		b.steps[i].queued = true
		b.work = append(b.work, i)
	}
}

// pass tells the neighbours of a step what its state means for them.
func (b *planner) pass(i int32) {
	s := &b.steps[i]
	blocks := s.blocks()
	for e := s.out; e != noStep; e = b.edges[e].nextOut {
		then, rel := b.edges[e].then, b.edges[e].relation
		if rel&redoes != 0 && s.required && !b.replaced(s) && !b.steps[then].required && !b.leftAlone(then) {
			b.demand(then, cib.Why{Cause: b.becauseOf(s, then), Rule: b.edges[e].rule})
		}
		if rel&needs != 0 && blocks {
			b.block(i, then, rel&drops == 0 || s.point && s.lasting, b.edges[e].rule)
		}
	}
	if !s.required || s.stuck != "" || b.replaced(s) {
		return // what can't be done needs nothing done before it
	}
	for e := s.in; e != noStep; e = b.edges[e].nextIn {
		first := b.edges[e].first
		if b.edges[e].relation&requires != 0 && !b.steps[first].required {
			b.demand(first, cib.Why{Cause: b.becauseOf(s, first), Rule: b.edges[e].rule})
		}
	}
}

// block makes a step impossible since another one is. Lasting says that what runs
// goes on nevertheless.
func (b *planner) block(by, then int32, lasting bool, rule string) {
	t := &b.steps[then]
	switch {
	case t.stuck == "" && !b.tooFew(then):
		return
	case t.stuck == "":
		t.stuck, t.lasting, t.blocker, t.via = b.blockedBy(&b.steps[by]), lasting, by, rule
		if t.rule != "" {
			t.stuck = b.tooFewText(then)
		}
		b.queue(then)
	case t.lasting && !lasting:
		t.lasting = false
		b.queue(then)
	}
	if !lasting {
		b.giveUp(then, rule)
	}
}

// blocks reports whether what needs the step can't be done.
func (s *step) blocks() bool { return s.stuck != "" && (s.required || s.point || s.absent || s.bars) }

// tooFew reports whether a step that needs only some of those before it has too
// few left.
func (b *planner) tooFew(i int32) bool {
	need := b.steps[i].needed
	if need == 0 {
		return true
	}
	for e := b.steps[i].in; e != noStep; e = b.edges[e].nextIn {
		if b.edges[e].relation&needs != 0 && !b.steps[b.edges[e].first].blocks() {
			need--
		}
	}
	return need > 0
}

// demand makes a step one that is to be done.
func (b *planner) demand(i int32, why cib.Why) {
	s := &b.steps[i]
	s.required = true
	if s.why.Cause == "" || s.op == cib.OpStart && !s.absent {
		s.why = why
	}
	b.queue(i)
}

// becauseOf says in words why a step makes another one necessary.
func (b *planner) becauseOf(s *step, other int32) string {
	o := &b.steps[other]
	if s.rsc == nil || o.rsc == nil {
		return s.why.Cause
	}
	if s.rsc == o.rsc || s.point || s.rsc.root() == o.rsc {
		return s.why.Cause
	}
	switch s.op {
	case cib.OpStop:
		return s.rsc.base + " is stopped, and it needs that: " + s.why.Cause
	case cib.OpDemote:
		return s.rsc.base + " is demoted, and it needs that: " + s.why.Cause
	}
	return s.rsc.base + " is started before it: " + s.why.Cause
}

// blockedBy says in words why a step that can't be done keeps others from it.
func (b *planner) blockedBy(s *step) string {
	if s.rsc == nil || s.point || s.absent {
		return s.stuck
	}
	return s.op + " of " + s.rsc.base + " can't be done: " + s.stuck
}
