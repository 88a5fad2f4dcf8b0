package policy

import (
	"math"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// applyInFlight compares the plan with what was asked for already. A step that
// is in flight stays, and others on that instance and node wait for it. What is
// in flight and not in the plan any more holds up everything on its instance and
// node: what it does must be known first.
func (b *planner) applyInFlight() {
	var busy map[place][]int32
	for i := range b.steps {
		s := &b.steps[i]
		if !b.real(s) || s.fact == nil || s.fact.pending == nil {
			continue
		}
		if busy == nil {
			busy = make(map[place][]int32)
		}
		key := place{s.rsc.ledger, s.node}
		busy[key] = append(busy[key], int32(i))
	}
	if busy == nil {
		return
	}
	for i := range b.steps { // in the order of steps, for the sake of determinism
		s := &b.steps[i]
		if s.rsc == nil || s.rsc.ledger == nil {
			continue
		}
		key := place{s.rsc.ledger, s.node}
		if list := busy[key]; list != nil {
			delete(busy, key)
			b.awaitPending(list)
		}
	}
}

// awaitArrivals keeps what concerns an instance at the other end of a migrate_to in
// flight waiting: whatever was done there now, or found out, the instance could come
// after that. Where nobody can say that it has ended, the fence of its node does.
func (b *planner) awaitArrivals() {
	var coming map[place]*fact
	for _, l := range b.byKey {
		for _, f := range l.facts {
			if p := f.pending; l.migrates && p != nil && p.Op == cib.OpMigrateTo {
				if coming == nil {
					coming = make(map[place]*fact)
				}
				coming[place{l, b.nodeNamed(p.Peer)}] = f
			}
		}
	}
	for i := range b.steps {
		s := &b.steps[i]
		if coming == nil || !b.real(s) || s.rsc.ledger == nil || s.op == cib.OpMigrateFrom {
			continue
		}
		source := coming[place{s.rsc.ledger, s.node}]
		if source == nil {
			continue
		}
		if fence := b.fence[source.node]; fence != noStep && b.steps[fence].stuck == "" {
			b.relate(fence, int32(i), before, "")
		} else {
			s.held = true
		}
	}
}

// real reports whether somebody is to do the step.
func (b *planner) real(s *step) bool {
	return s.required && !s.point && s.stuck == "" && s.rsc != nil
}

// awaitPending handles the steps of one instance on one node on which something
// is in flight.
func (b *planner) awaitPending(list []int32) {
	p := b.steps[list[0]].fact.pending
	match := noStep
	first := int8(math.MaxInt8)
	for _, i := range list {
		s := &b.steps[i]
		// Notifications wait for other nodes: of them only what announces the action
		// itself must come before it, where the plan does not say so.
		if s.op != cib.OpNotify || s.notice.phase == cib.PhasePre+p.Op {
			first = min(first, s.rank)
		}
		if b.isAskedFor(s, p) {
			match = i
		}
	}
	if match != noStep && b.steps[match].rank > first {
		match = noStep // something must come before it: it runs too early
	}
	for _, i := range list {
		switch {
		case i == match:
			b.steps[i].inFlight = p.ID
		case match != noStep:
			b.relate(match, i, before, "")
		default:
			b.steps[i].held = true
		}
	}
}

// isAskedFor reports whether an action in flight is what a step would ask for.
func (b *planner) isAskedFor(s *step, p *cib.Pending) bool {
	switch {
	case s.op != p.Op || s.interval != p.Interval:
		return false
	case s.op == cib.OpNotify:
		return s.notice.round.Told(s.notice.op) == p.Round && s.notice.phase == p.Phase
	case s.op == cib.OpMigrateTo:
		return b.nodes[s.peer].name == p.Peer
	case s.op == cib.OpMonitor && s.interval > 0:
		return (s.role == cib.RolePromoted) == (p.Expected == cib.RunningPromoted)
	}
	return true
}

// emit turns the steps that can be done into actions, in an order in which they
// could be done one by one.
func (b *planner) emit() *graph.Graph {
	g := &graph.Graph{Revision: b.s.Revision, ConfigGen: b.s.ConfigGen.Number, Rounds: b.rounds, Ended: b.ended}
	for i := b.members; i < len(b.nodes); i++ {
		if f := b.fence[i]; b.nodes[i].kind == kindGuest && f != noStep && b.steps[f].stuck == "" {
			g.Guests = append(g.Guests, b.nodes[i].name)
		}
	}
	slices.Sort(g.Guests)
	todo := false
	for i := range b.steps {
		todo = todo || b.steps[i].required && !b.steps[i].point
		b.steps[i].held = b.steps[i].held && !b.foresees
	}
	if !todo {
		g.Gone = slices.DeleteFunc(slices.Clone(g.Guests), func(name string) bool { return !b.isGone(name) })
		return g
	}
	b.findLive()
	order, circle := b.sort()
	if len(circle) > 0 && b.dropNotices(circle) { // better nobody is told than that nothing is done
		order, circle = b.sort()
	}
	b.circle = circle
	for _, i := range circle {
		b.steps[i].held = true
	}
	number := make([]int32, len(b.steps))  // of its action; noStep: none
	reach := make([][]int32, len(b.steps)) // of points: the actions before them
	for i := range number {
		number[i] = noStep
	}
	for _, i := range order {
		s := &b.steps[i]
		after := b.actionsBefore(i, number, reach)
		switch {
		case s.held:
		case s.point || !s.required || s.stuck != "":
			reach[i] = after // others wait for what it would have waited for
		default:
			number[i] = int32(len(g.Actions))
			a := graph.Action{Action: b.action(s), InFlight: s.inFlight}
			if len(after) > 0 {
				a.After = make([]int, len(after))
				for k, n := range after {
					a.After[k] = int(n)
				}
			}
			g.Actions = append(g.Actions, a)
		}
	}
	for _, name := range g.Guests {
		if len(reach[b.fence[b.nodeIndex[name]]]) == 0 && b.isGone(name) {
			g.Gone = append(g.Gone, name)
		}
	}
	return g
}

// isGone reports whether a guest that is lost can't run any more, where its proof waits
// for no action: nothing stands in its way, and what it was inside of is not looked for.
func (b *planner) isGone(name string) bool {
	n := &b.nodes[b.nodeIndex[name]]
	s := &b.steps[b.fence[n.index]]
	if s.held || !s.required || s.stuck != "" {
		return false
	}
	for k := range b.nodes {
		if b.probeOf(n.remote.container.ledger, int32(k)) != noStep {
			return false
		}
	}
	return true
}

// actionsBefore returns the actions that a step waits for, and marks it held
// where one of them is.
func (b *planner) actionsBefore(i int32, number []int32, reach [][]int32) []int32 {
	var out []int32
	for e := b.steps[i].in; e != noStep; e = b.edges[e].nextIn {
		first := b.edges[e].first
		if !b.holds(&b.edges[e]) || !b.live(first) {
			continue
		}
		if b.steps[first].held {
			b.steps[i].held = true
		}
		if number[first] != noStep {
			out = append(out, number[first])
		} else {
			out = append(out, reach[first]...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findLive marks the collectives of which something is to be started or stopped.
func (b *planner) findLive() {
	b.up, b.down, b.roleUp = make([]bool, len(b.rscs)), make([]bool, len(b.rscs)), make([]bool, len(b.rscs))
	for i := range b.steps {
		s := &b.steps[i]
		if !s.required || s.rsc == nil || s.rsc.kind != cib.KindPrimitive {
			continue
		}
		op := s.op
		if op == cib.OpNotify { // what waits for the change waits until all are told of it
			if op = s.notice.op; s.notice.pre() {
				continue
			}
		}
		var marks []bool
		switch op {
		case cib.OpStart, cib.OpMigrateTo, cib.OpMigrateFrom:
			marks = b.up
		case cib.OpStop, cib.OpDemote:
			marks = b.down
		case cib.OpPromote:
			marks = b.roleUp
		default: // to watch it, say, is no change that others wait for
			continue
		}
		for r := s.rsc; r != nil && !marks[r.index]; r = r.parent {
			marks[r.index] = true
		}
	}
}

// live reports whether a step takes part in the order: what is as it should be
// does not keep others waiting, and waits for nobody.
func (b *planner) live(i int32) bool {
	s := &b.steps[i]
	switch {
	case s.required:
		return true
	case !s.point || s.fact != nil:
		return false
	case s.rsc == nil:
		return true
	case s.op == cib.OpPromote:
		return b.roleUp[s.rsc.index]
	case s.op == cib.OpStop || s.op == cib.OpDemote:
		return b.down[s.rsc.index]
	}
	return b.up[s.rsc.index]
}

// sort returns the steps in an order that respects the edges; steps of a circle
// come last and are returned besides. Among equals the order of making decides.
func (b *planner) sort() (order, circle []int32) {
	waits := make([]int32, len(b.steps))
	for i := range b.edges {
		if b.holds(&b.edges[i]) && b.live(b.edges[i].first) && b.live(b.edges[i].then) {
			waits[b.edges[i].then]++
		}
	}
	order = make([]int32, 0, len(b.steps))
	done := make([]bool, len(b.steps))
	// A step is taken as soon as it is free, which keeps what belongs together
	// together; the rest is walked in the order of making.
	var free []int32
	take := func(i int32) {
		free = append(free, i)
		for len(free) > 0 {
			i := free[len(free)-1]
			free = free[:len(free)-1]
			order = append(order, i)
			done[i] = true
			from := len(free)
			for e := b.steps[i].out; e != noStep; e = b.edges[e].nextOut {
				then := b.edges[e].then
				if !b.holds(&b.edges[e]) || !b.live(i) || !b.live(then) {
					continue
				}
				if waits[then]--; waits[then] == 0 {
					free = append(free, then)
				}
			}
			slices.Reverse(free[from:])
			slices.SortFunc(free[from:], func(a, b int32) int { return int(b - a) })
		}
	}
	for i := range b.steps {
		if !done[i] && waits[i] == 0 {
			take(int32(i))
		}
	}
	for i := range b.steps {
		if !done[i] {
			circle = append(circle, int32(i))
		}
	}
	return append(order, circle...), circle
}
