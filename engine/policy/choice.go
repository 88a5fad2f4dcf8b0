package policy

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
)

// Some orders ask for less than all that comes first: of alternatives one is
// enough, of a clone as many instances as clone-min or, without require-all, one.
// What then starts is not started anew when another one of them is.

// enough is how many of what comes first must be up; 0 means all that can be.
func (o *order) enough() int {
	switch {
	case o.kind != cib.OrderMandatory || !o.goesUp():
		return 0
	case o.alternative != "":
		return 1
	case o.first.cfg.Clone == nil:
		return 0
	case cloneMin(o.first) > 0:
		return cloneMin(o.first)
	case !o.requireAll:
		return 1
	}
	return 0
}

func cloneMin(r *rsc) int {
	if r.cfg.Clone == nil {
		return 0
	}
	return r.cfg.Clone.Min
}

// must is what an order means for what comes then: that it needs the other one,
// and unless the order is about starting only, that it does not go on without.
func (o *order) must() relation {
	if o.symmetrical {
		return needs | drops
	}
	return needs
}

// again is what a start means for what comes then and runs already: that it starts
// anew, unless the order is about starting only.
func (o *order) again() relation {
	if o.symmetrical {
		return redoes
	}
	return 0
}

// choice is one thing that waits for enough of others.
type choice struct {
	then, firstAction, name string
}

// orderSome lets then wait until enough of first is up.
func (b *planner) orderSome(o *order) {
	key := choice{o.then.id, o.thenOp, o.alternative}
	if o.alternative == "" {
		key.name = "\x00" + o.id // of its own
	}
	met, ok := b.choices[key]
	if !ok {
		met = b.add(step{op: cib.OpStart, node: nowhere, point: true, needed: o.enough(), rule: o.id})
		if b.choices == nil {
			b.choices, b.chosen = map[choice]int32{}, map[int32][]*order{}
		}
		b.choices[key] = met
		b.met = append(b.met, met)
		for _, s := range b.begins(o.then, o.thenOp) {
			b.relate(met, s, before|o.must(), o.id)
		}
	}
	b.chosen[met] = append(b.chosen[met], o)
	firsts := []*rsc{o.first}
	if o.first.cfg.Clone != nil {
		firsts = o.first.children
	}
	for _, f := range firsts {
		for _, s := range b.ends(f, o.firstOp) {
			b.relate(s, met, before|needs|drops, o.id)
		}
	}
}

// closeChoices refuses what waits for more than there is.
func (b *planner) closeChoices() {
	for _, s := range b.met {
		if b.tooFew(s) {
			b.steps[s].stuck = b.tooFewText(s)
			for e := b.steps[s].in; e != noStep; e = b.edges[e].nextIn {
				if first := b.edges[e].first; b.steps[first].blocks() {
					b.steps[s].blocker = first
				}
			}
		}
	}
}

// tooFewText says in words that too little of what is needed can be up.
func (b *planner) tooFewText(i int32) string {
	s := &b.steps[i]
	if s.needed == 1 {
		return "nothing can be up of what order " + s.rule + " puts before it"
	}
	return fmt.Sprintf("fewer than %d can be up of what order %s puts before it", s.needed, s.rule)
}

// giveUp stops what runs, or demotes what is promoted, and could not be started or
// promoted as it is: something that it needs is not there.
func (b *planner) giveUp(i int32, rule string) {
	s := &b.steps[i]
	if s.point || s.absent || s.rsc == nil || s.rsc.kind != cib.KindPrimitive || b.left[s.rsc.index] {
		return
	}
	var list []int32
	switch s.op {
	case cib.OpStart:
		list = b.stop[s.rsc.index]
	case cib.OpPromote:
		list = b.demote[s.rsc.index]
	}
	for _, down := range list {
		if x := &b.steps[down]; x.node == s.node && !x.required && x.stuck == "" && b.activeAt(s.rsc, x.node) != nil {
			b.demand(down, cib.Why{Cause: s.stuck, Rule: rule})
		}
	}
}
