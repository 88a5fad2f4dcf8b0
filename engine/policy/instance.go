package policy

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// planInstances makes the start and stop steps of every primitive, also of
// those that are as they should be: something else may make them restart.
func (b *planner) planInstances() {
	for _, r := range b.rscs {
		if r.kind == cib.KindPrimitive && r.ledger != nil {
			b.planInstance(r)
		}
	}
}

func (b *planner) planInstance(r *rsc) {
	i := r.index
	t := b.target[i]
	pin := ""
	if b.left[i] {
		pin = cmp.Or(b.pinReason(r), "the placement does not name it")
	}
	here := b.activeAt(r, t)
	restart := b.restartReason(r, here)
	if pin != "" {
		restart = cib.Why{}
	}
	s := step{op: cib.OpStart, rank: rankStart, rsc: r, node: t, fact: b.factAt(r, t), stuck: pin}
	switch {
	case t == nowhere:
		s.absent, s.stuck = true, cmp.Or(pin, r.base+" is to run nowhere")
	case pin != "":
		// What failed and is left so is nothing that others could rely on.
		s.absent = here == nil || here.failed != nil && here.onFail == cib.OnFailBlock && !r.settings.maintenance
		if !s.absent {
			s.stuck = "" // it is as it is
		}
	case here == nil:
		s.required, s.why = true, b.why[i]
	case restart.Cause != "":
		s.required, s.why = true, restart
	case isBusy(here, cib.OpStart):
		s.required, s.why = true, here.pending.Why
		if s.why.Cause == "" {
			s.why = b.why[i]
		}
	case isBusy(here, cib.OpStop):
		// A stop that is no longer wanted will end it all the same: what depends on
		// the instance waits until it was started again.
		s.required, s.why = true, cib.Why{Cause: "it is being stopped, and is to run"}
	}
	b.start[i] = b.add(s)
	b.started[i] = b.start[i]
	for _, f := range r.active {
		b.planStop(r, f, pin, restart)
	}
	b.planDangling(r)
	b.awaitKnowledge(r)
	if source := b.mayMigrate(r, t); source != nil {
		b.planMigration(r, source)
	}
}

// isBusy reports whether an operation of that kind is in flight.
func isBusy(f *fact, op string) bool {
	p := f.pending
	return p != nil && p.Op == op
}

// planStop makes the stop step of an instance on one node.
func (b *planner) planStop(r *rsc, f *fact, pin string, restart cib.Why) {
	i := r.index
	stays := f.node == b.target[i]
	n := &b.nodes[f.node]
	s := step{op: cib.OpStop, rank: rankStop, rsc: r, node: f.node, fact: f, stuck: pin}
	switch {
	case pin != "":
	case !stays:
		s.required, s.why = true, b.why[i]
		switch {
		case f.failed != nil && b.target[i] != nowhere:
			s.why = cib.Why{Cause: describeFailure(f.failed, n.name)}
		case b.target[i] != nowhere && b.steady(r) > 1:
			s.why = cib.Why{Cause: "it is active on " + b.places(r), Rule: "multiple-active"}
		}
	case restart.Cause != "":
		s.required, s.why = true, restart
	}
	if n.lost {
		s.point = true // the fencing stops it
	}
	s.bars = pin != "" && f.failed != nil && f.failed.Op == cib.OpStop
	if pin == "" && endsWithContainer(r, f) {
		s.point, s.required, s.why = true, true, cib.Why{Cause: describeFailure(f.failed, n.name)}
	}
	stop := b.add(s)
	b.stop[i] = append(b.stop[i], stop)
	if n.lost {
		b.relate(b.fence[f.node], stop, before|needs, "")
	}
	rel := before | needs | unlessMigrated
	if stays && pin == "" && !isBusy(f, cib.OpStart) {
		rel |= redoes | requires
	}
	b.relate(stop, b.start[i], rel, "")
	b.relate(b.probeOf(r.ledger, f.node), stop, before|needs, "")
	if f.origin != nil {
		b.relate(b.fence[f.origin.node], stop, before|needs, "") // until then it may still come
	}
}

func (b *planner) probeOf(l *ledger, n int32) int32 {
	if b.probe == nil || n < 0 || b.probe[l.index] == nil {
		return noStep
	}
	return b.probe[l.index][n]
}

// awaitKnowledge lets the start wait until it is known where else the instance
// may be active.
func (b *planner) awaitKnowledge(r *rsc) {
	s := b.start[r.index]
	if b.target[r.index] == nowhere {
		return
	}
	alone := r.part == partChild || r.anonymous() && b.cloneMax(r.clone) >= b.hosts() // others may run elsewhere anyway
	if b.probe != nil && b.probe[r.ledger.index] != nil {
		for n := range b.nodes {
			if !alone || int32(n) == b.target[r.index] {
				b.relate(b.probeOf(r.ledger, int32(n)), s, before|needs, "")
			}
		}
	}
	if alone {
		return
	}
	b.awaitJoining(r, s)
	b.awaitGuests(r, s)
	if r.settings.requires == "nothing" {
		return
	}
	for n, f := range b.fence {
		if f != noStep && !r.ledger.known[n] {
			b.relate(f, s, before|needs, "requires")
		}
	}
}

// awaitJoining keeps an instance from being started while a node on which it may
// be active is about to join: it cannot be asked yet.
func (b *planner) awaitJoining(r *rsc, start int32) {
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.joining && !r.ledger.known[i] && !n.cfg.Arbiter && b.opt.Probes() && b.discovers(r, n) && b.steps[start].stuck == "" {
			b.steps[start].stuck = "whether it runs on " + n.name + " is not known yet: that node is about to join"
		}
	}
}

// hosts counts the nodes that can host something.
func (u *state) hosts() int {
	n := 0
	for i := range u.nodes {
		if u.nodes[i].hosts() {
			n++
		}
	}
	return n
}

// activeAt returns what is known of an active instance on a node; nil if it is
// not active there.
func (b *planner) activeAt(r *rsc, n int32) *fact {
	for _, f := range r.active {
		if f.node == n {
			return f
		}
	}
	return nil
}

// factAt returns what is known of an instance on a node, active or not.
func (b *planner) factAt(r *rsc, n int32) *fact {
	if n == nowhere || r.ledger == nil {
		return nil
	}
	return r.ledger.on(n)
}

// restartReason says why an instance must be stopped and started although it
// stays where it is.
func (b *planner) restartReason(r *rsc, here *fact) cib.Why {
	if here == nil {
		return cib.Why{}
	}
	if why := b.recovers(r); why.Cause != "" {
		return why
	}
	if isBusy(here, cib.OpStart) {
		// What its history says is over with that start, which is made anew for what has
		// changed since it was asked for.
		if r.settings.multiple == cib.MultipleActiveStopStart && b.steady(r) > 1 {
			return cib.Why{Cause: "it is active on " + b.places(r), Rule: "multiple-active"}
		}
		if cib.Digest(r.cfg.ParametersOf(r.cfg.Operation(cib.OpStart, 0))) != cib.Digest(here.pending.Parameters) {
			return cib.Why{Cause: "its parameters were changed"}
		}
		return cib.Why{}
	}
	if here.anew != "" {
		return cib.Why{Cause: here.anew}
	}
	if x := r.transfer; x != nil && x.to == here {
		return cib.Why{Cause: "its migration from " + b.nodes[x.from.node].name + " cannot be completed"}
	}
	if here.failed != nil && here.onFail != cib.OnFailDemote {
		return cib.Why{Cause: describeFailure(here.failed, b.nodes[here.node].name)}
	}
	if r.settings.multiple == cib.MultipleActiveStopStart {
		if b.steady(r) > 1 {
			return cib.Why{Cause: "it is active on " + b.places(r), Rule: "multiple-active"}
		}
		if other := b.wasMultiple(r, here); other != "" {
			return cib.Why{Cause: "it was active on " + other + " as well", Rule: "multiple-active"}
		}
	}
	if here.sure && b.parametersChanged(r, here) && !b.reloads(r, here) {
		if here.history.Parameters[restartParameter] != r.cfg.Parameters[restartParameter] {
			return cib.Why{Cause: "its restart was asked for"}
		}
		return cib.Why{Cause: "its parameters were changed"}
	}
	return cib.Why{}
}

// wasMultiple returns the node on which a second copy of an instance was stopped
// while this one ran: it is to be started anew as well, though it is the only one
// by now.
func (b *planner) wasMultiple(r *rsc, here *fact) string {
	if r.anonymous() || len(r.ledger.facts) < 2 || here.history == nil {
		return ""
	}
	since := newestChange(here)
	for i := range here.history.Ops { // one that was only found runs since it was looked for, at the latest
		if op := &here.history.Ops[i]; since == nil && op.Op == cib.OpMonitor && op.Interval == 0 {
			since = op
		}
	}
	for _, f := range r.ledger.facts {
		if f == here || f.dead || f.history == nil || f.role > cib.RoleStopped {
			continue
		}
		if op := newestChange(f); op != nil && op.Op == cib.OpStop && op.Why.Rule == "multiple-active" && since != nil && !askedLater(since, op) {
			return b.nodes[f.node].name
		}
	}
	return ""
}

// askedLater reports whether an operation was asked for after another one, which may be
// another node's. Transitions are numbered in one order whatever the nodes' clocks say;
// what no transition asked for has its time only.
func askedLater(a, b *cib.OpResult) bool {
	x, okX := transitionOf(a)
	y, okY := transitionOf(b)
	if okX && okY && x != y {
		return x > y
	}
	return b.Ended.Before(a.Ended)
}

func transitionOf(op *cib.OpResult) (uint64, bool) {
	number, _, _ := strings.Cut(op.ActionID, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil
}

// newestChange returns the newest start or stop on a node.
func newestChange(f *fact) *cib.OpResult {
	var newest *cib.OpResult
	for i := range f.history.Ops {
		op := &f.history.Ops[i]
		if (op.Op == cib.OpStart || op.Op == cib.OpStop) && (newest == nil || op.Seq > newest.Seq) {
			newest = op
		}
	}
	return newest
}

// steady counts the places where an instance is known to run, on nodes that
// live.
func (u *state) steady(r *rsc) int {
	n := 0
	if r.transfer != nil {
		return 1
	}
	for _, f := range r.active {
		if f.sure && !u.nodes[f.node].lost {
			n++
		}
	}
	return n
}

// parametersChanged reports whether an instance runs with other parameters than
// the configured ones.
func (b *planner) parametersChanged(r *rsc, f *fact) bool {
	if r.orphan || f.since == nil || f.since.Digest == "" {
		return false
	}
	op := r.cfg.Operation(f.since.Op, 0)
	plain := op == nil || len(op.Parameters) == 0
	if plain && f.since.Op == cib.OpStart && f.history.Parameters != nil && maps.Equal(f.history.Parameters, r.cfg.Parameters) {
		return false // the common case, without computing a digest
	}
	return cib.Digest(r.cfg.ParametersOf(op)) != f.since.Digest
}
