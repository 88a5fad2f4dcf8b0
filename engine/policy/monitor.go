package policy

import (
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// planMonitors starts the recurring monitors of what runs or is started, and
// ends those that are not configured any more or not for the role.
func (b *planner) planMonitors() {
	if b.opt.MaintenanceMode {
		b.cancelAll()
		return
	}
	for _, r := range b.rscs {
		if r.kind != cib.KindPrimitive || r.ledger == nil || r.orphan {
			continue
		}
		b.planStoppedMonitors(r)
		i := r.index
		t := b.target[i]
		if t == nowhere || !b.nodes[t].member || b.nodes[t].lost && !b.nodes[t].returns {
			continue
		}
		here := b.activeAt(r, t)
		if b.start[i] == noStep || here == nil && !b.steps[b.start[i]].required {
			continue
		}
		if r.settings.maintenance || b.nodes[t].maintenance {
			b.cancelOn(r, here, nil)
			continue
		}
		b.monitorsOf(r, t, here)
	}
}

// monitorsOf plans the monitors of one instance.
func (b *planner) monitorsOf(r *rsc, t int32, here *fact) {
	i := r.index
	role := b.roleToCome(r, here)
	wanted := func(o *cib.Operation) bool {
		return recurs(o) && runsInRole(r, o, role)
	}
	restarts := b.steps[b.start[i]].required
	if b.nodes[t].remote != nil && !b.canBeTold(t) {
		return // nobody can be asked to watch it
	}
	for k := range r.cfg.Operations {
		o := &r.cfg.Operations[k]
		if !wanted(o) || slices.ContainsFunc(r.cfg.Operations[:k], func(x cib.Operation) bool { return x.Interval == o.Interval && wanted(&x) }) {
			continue
		}
		if !restarts && !b.reconnects(t) && b.monitored(r, here, o, role) {
			continue
		}
		cause := "monitor it every " + o.Interval.String()
		m := b.add(step{
			op: cib.OpMonitor, rank: rankMonitor, rsc: r, node: t, fact: b.factAt(r, t), interval: o.Interval, config: o, role: role,
			required: true, why: cib.Why{Cause: cause},
		})
		b.relate(b.start[i], m, before|needs, "")
		b.awaitConnection(m, t)
		b.relate(b.promote[i], m, before, "")
		for _, d := range b.demote[i] {
			b.relate(d, m, before, "")
		}
		if !restarts {
			b.relate(b.probeOf(r.ledger, t), m, before|needs, "")
		}
		if b.steps[b.start[i]].blocks() {
			b.steps[m].stuck = b.steps[b.start[i]].stuck
		}
	}
	if !restarts {
		b.cancelOn(r, here, func(op *cib.OpResult) bool {
			return inRole(op, role) && slices.ContainsFunc(r.cfg.Operations, func(o cib.Operation) bool { return o.Interval == op.Interval && wanted(&o) })
		})
	}
}

// roleToCome is the role in which an instance will run once what can be done is
// done.
func (b *planner) roleToCome(r *rsc, here *fact) cib.Role {
	p := b.promote[r.index]
	if b.role[r.index] != cib.RolePromoted || p == noStep || b.steps[p].stuck == "" {
		return b.role[r.index]
	}
	if here != nil && !b.steps[p].required {
		return here.role
	}
	return cib.RoleUnpromoted
}

// recurs reports whether an operation is a recurring monitor that is not disabled.
func recurs(o *cib.Operation) bool {
	return o.Name == cib.OpMonitor && o.Interval > 0 && (o.Enabled == nil || *o.Enabled)
}

// runsInRole reports whether a monitor is for a role. One without a role is for every
// active one, and leaves the promoted one to those that are made for it, if there are
// any. (For Pacemaker it never is for the promoted one, which nobody watches then.)
func runsInRole(r *rsc, o *cib.Operation, role cib.Role) bool {
	switch o.Role {
	case cib.RolePromoted, cib.RoleUnpromoted:
		return role == o.Role
	case cib.RoleStarted:
		return role == cib.RoleStarted || role == cib.RoleUnpromoted
	case cib.RoleStopped:
		return false
	case cib.RoleUnknown:
	}
	return role != cib.RolePromoted || !slices.ContainsFunc(r.cfg.Operations, func(x cib.Operation) bool { return recurs(&x) && x.Role == cib.RolePromoted })
}

// inRole reports whether a recurring monitor expects a role: in another one it would
// take what is right for a failure.
func inRole(op *cib.OpResult, role cib.Role) bool {
	return (op.Expected == cib.RunningPromoted) == (role == cib.RolePromoted)
}

// monitored reports whether the node runs a recurring monitor with these
// parameters, with this time-out and for this role already.
func (b *planner) monitored(r *rsc, here *fact, o *cib.Operation, role cib.Role) bool {
	if here == nil || here.history == nil || !here.current {
		return false
	}
	op := here.recurring(o.Interval)
	if op == nil || !inRole(op, role) || op.Timeout > 0 && op.Timeout != b.timeoutOf(r, o) {
		return false
	}
	return op.Digest == "" || len(o.Parameters) == 0 && here.since != nil && op.Digest == here.since.Digest ||
		op.Digest == cib.Digest(r.cfg.ParametersOf(o))
}

// recurring returns the newest result of a monitor that still runs: one asked
// for after the last start, stop or probe, and of the role Promoted after the last
// demote, which ends it.
func (f *fact) recurring(interval cib.Duration) *cib.OpResult {
	var last *cib.OpResult
	var after, demoted uint64
	for i := range f.history.Ops {
		op := &f.history.Ops[i]
		switch {
		case op.Op == cib.OpMonitor && op.Interval == interval:
			if last == nil || op.Seq > last.Seq {
				last = op
			}
		case op.Op == cib.OpStart, op.Op == cib.OpStop, op.Op == cib.OpMonitor && op.Interval == 0:
			after = max(after, op.Seq)
		case (op.Op == cib.OpDemote || op.Op == cib.OpPromote) && !op.Failed: // who is promoted again was demoted before
			demoted = max(demoted, op.Seq)
		}
	}
	if last == nil || last.Seq < after || last.Expected == cib.RunningPromoted && last.Seq < demoted || last.Status == cib.OpCancelled || last.Status == cib.OpNotRun || last.Status == cib.OpUnknown {
		return nil
	}
	return last
}

// cancelOn ends the monitors of an instance that are not wanted; nil wants none.
func (b *planner) cancelOn(r *rsc, here *fact, wanted func(*cib.OpResult) bool) {
	if here == nil || here.history == nil || !here.current || b.nodes[here.node].lost || !b.nodes[here.node].member {
		return
	}
	if b.nodes[here.node].remote != nil && !b.canBeTold(here.node) {
		return
	}
	for k := range here.history.Ops {
		op := &here.history.Ops[k]
		if op.Op != cib.OpMonitor || op.Interval == 0 || here.recurring(op.Interval) != op {
			continue
		}
		if wanted != nil && wanted(op) {
			continue
		}
		cause := "the monitor every " + op.Interval.String() + " is not for this role, or not configured any more"
		if wanted == nil {
			cause = b.unmanaged(r)
		}
		c := b.add(step{
			op: cib.OpCancel, rank: rankCancel, rsc: r, node: here.node, fact: here, interval: op.Interval, required: true,
			why: cib.Why{Cause: cause},
		})
		b.awaitConnection(c, here.node)
		b.relate(c, b.promote[r.index], before, "") // it would find the wrong role
		for _, d := range b.demote[r.index] {
			b.relate(c, d, before, "")
		}
	}
}

// cancelAll ends every monitor: the cluster is in maintenance.
func (b *planner) cancelAll() {
	for _, r := range b.rscs {
		for _, f := range r.active {
			b.cancelOn(r, f, nil)
		}
	}
}

// planOrphans lets nodes forget what is not in the configuration, once it is
// stopped.
func (b *planner) planOrphans() {
	for _, r := range b.rscs {
		if !r.orphan {
			continue
		}
		for _, f := range r.ledger.facts {
			b.forget(r, f.node, f)
		}
		for n, known := range r.ledger.known {
			if known && r.ledger.on(int32(n)) == nil {
				b.forget(r, int32(n), nil)
			}
		}
	}
}

func (b *planner) forget(r *rsc, at int32, f *fact) {
	n := &b.nodes[at]
	if !n.member || n.lost || f != nil && (f.history == nil || f.dead) || !b.opt.StopsOrphans() && f != nil && f.role > cib.RoleStopped {
		return
	}
	if n.remote != nil && !b.canBeTold(at) {
		return // another time: nobody can be told to forget it
	}
	c := b.add(step{
		op: cib.OpCleanup, rank: rankCleanup, rsc: r, node: at, fact: f, required: true,
		why: cib.Why{Cause: "it is not in the configuration", Rule: "stop-orphan-resources"},
	})
	b.awaitConnection(c, at)
	b.relate(b.probeOf(r.ledger, at), c, before|needs, "")
	for _, s := range b.stop[r.index] {
		if b.steps[s].node != at {
			continue
		}
		b.relate(s, c, before|needs, "")
		if b.steps[s].blocks() || !b.steps[s].required {
			b.steps[c].stuck = "it is not stopped"
		}
	}
}
