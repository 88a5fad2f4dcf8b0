package policy

import (
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// A monitor of the role Stopped runs on every node where the resource does not, and
// finds it where somebody else started it. What it finds is active in more than one
// place, and treated so. Instances of anonymous clones may run anywhere, so that
// there is nothing to be found.

// planStoppedMonitors starts and ends the monitors of the role Stopped.
func (b *planner) planStoppedMonitors(r *rsc) {
	if r.anonymous() || r.orphan {
		return
	}
	for _, f := range r.ledger.facts {
		if !f.dead && f.history != nil && f.current && b.watchable(r, f.node) {
			b.endStoppedMonitors(r, f)
		}
	}
	for k := range r.cfg.Operations {
		o := &r.cfg.Operations[k]
		if !watchesStopped(o) || slices.ContainsFunc(r.cfg.Operations[:k], func(x cib.Operation) bool { return x.Interval == o.Interval && watchesStopped(&x) }) {
			continue
		}
		for n := range b.nodes {
			b.watchStopped(r, int32(n), o)
		}
	}
}

func watchesStopped(o *cib.Operation) bool {
	return recurs(o) && o.Role == cib.RoleStopped
}

// watchable reports whether a monitor of the resource may run on a node.
func (b *planner) watchable(r *rsc, n int32) bool {
	x := &b.nodes[n]
	return x.member && !x.lost && !x.frozen && !x.leaving && !x.cfg.Arbiter && !x.maintenance && !r.settings.maintenance &&
		(x.remote == nil || b.canBeTold(n))
}

// comes reports whether a resource is to be active on a node.
func (b *planner) comes(r *rsc, n int32) bool {
	s := b.start[r.index]
	return b.target[r.index] == n && s != noStep && !b.steps[s].absent && b.steps[s].stuck == ""
}

// watchStopped starts one monitor on a node where the resource is not to run.
func (b *planner) watchStopped(r *rsc, n int32, o *cib.Operation) {
	if !b.watchable(r, n) || b.comes(r, n) {
		return
	}
	stop := noStep
	for k, f := range r.active {
		if f.node == n {
			stop = b.stop[r.index][k]
			if !b.real(&b.steps[stop]) {
				return // it goes on
			}
		}
	}
	f := b.factAt(r, n)
	if stop == noStep && f != nil && f.history != nil && f.current && !f.dead {
		if op := f.recurring(o.Interval); op != nil && op.Expected == cib.NotRunning {
			return
		}
	}
	m := b.add(step{
		op: cib.OpMonitor, rank: rankMonitor, rsc: r, node: n, fact: f, interval: o.Interval, config: o, role: cib.RoleStopped,
		required: true, why: cib.Why{Cause: "look every " + o.Interval.String() + " that it does not run there"},
	})
	b.relate(stop, m, before|needs, "")
	b.relate(b.probeOf(r.ledger, n), m, before|needs, "")
	b.awaitConnection(m, n)
}

// endStoppedMonitors ends those that run where the resource is about to be started,
// and those that are not configured any more.
func (b *planner) endStoppedMonitors(r *rsc, f *fact) {
	for k := range f.history.Ops {
		op := &f.history.Ops[k]
		if op.Op != cib.OpMonitor || op.Interval == 0 || op.Expected != cib.NotRunning || f.recurring(op.Interval) != op {
			continue
		}
		comes := b.comes(r, f.node)
		wanted := slices.ContainsFunc(r.cfg.Operations, func(o cib.Operation) bool { return o.Interval == op.Interval && watchesStopped(&o) })
		if !comes && wanted {
			continue
		}
		cause := "it is to run there"
		if !wanted {
			cause = "the monitor every " + op.Interval.String() + " is not configured any more"
		}
		c := b.add(step{
			op: cib.OpCancel, rank: rankCancel, rsc: r, node: f.node, fact: f, interval: op.Interval, required: true,
			why: cib.Why{Cause: cause},
		})
		b.awaitConnection(c, f.node)
		if comes {
			b.relate(c, b.start[r.index], before, "")
		}
	}
}
