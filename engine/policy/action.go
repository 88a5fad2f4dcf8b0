package policy

import (
	"maps"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// action writes out a step with all that is needed to carry it out.
func (b *planner) action(s *step) cib.Action {
	n := &b.nodes[s.node]
	if s.op == cib.OpFence {
		return cib.Action{Op: s.op, Node: n.name, FenceOp: b.opt.FenceOp(), Delay: b.priorityDelay(n), Timeout: cib.Duration(b.opt.FenceTimeout()), Why: s.why}
	}
	if s.op == cib.OpUnfence {
		return cib.Action{Op: s.op, Node: n.name, FenceOp: cib.FenceOpOn, Timeout: cib.Duration(b.opt.FenceTimeout()), Why: s.why}
	}
	r := s.rsc
	a := cib.Action{
		Op: s.op, Instance: r.ledger.key, Resource: r.base, Node: n.name, Agent: r.agent,
		Interval: s.interval, Expected: cib.OK, Why: s.why,
	}
	op := s.config
	if op == nil {
		op = r.cfg.Operation(s.op, 0)
	}
	a.Parameters = r.cfg.ParametersOf(op)
	a.Timeout = b.timeout(r, s, op)
	switch s.op {
	case cib.OpMonitor:
		if s.interval == 0 {
			a.Probe, a.Expected = true, cib.NotRunning
			break
		}
		switch a.Role = s.role; a.Role {
		case cib.RolePromoted:
			a.Expected = cib.RunningPromoted
		case cib.RoleStopped:
			a.Expected = cib.NotRunning
		case cib.RoleUnknown, cib.RoleStarted, cib.RoleUnpromoted:
		}
	case cib.OpStop, cib.OpDemote, cib.OpMigrateTo, cib.OpNotify:
		// What runs was started with the old parameters, and is stopped with them.
		if s.fact != nil && s.fact.history != nil && s.fact.history.Parameters != nil {
			a.Parameters = s.fact.history.Parameters
			if op != nil && len(op.Parameters) > 0 {
				a.Parameters = maps.Clone(a.Parameters)
				maps.Copy(a.Parameters, op.Parameters)
			}
		}
	}
	a.Meta = b.meta(r, s, a.Timeout)
	if s.notice != nil {
		s.notice.write(&a)
	}
	switch s.op {
	case cib.OpMigrateTo:
		a.Peer = b.nodes[s.peer].name
		a.Meta["migrate_source"], a.Meta["migrate_target"] = n.name, a.Peer
	case cib.OpMigrateFrom:
		a.Peer = b.nodes[s.peer].name
		a.Meta["migrate_source"], a.Meta["migrate_target"] = a.Peer, n.name
	}
	return a
}

// timeout resolves the time-out of a step: the operation's, for a probe that of
// the monitor with the shortest interval, op-defaults, Pacemaker's default.
func (b *planner) timeout(r *rsc, s *step, op *cib.Operation) cib.Duration {
	if op != nil && op.Timeout > 0 {
		return op.Timeout
	}
	if s.op == cib.OpMonitor && s.interval == 0 {
		var shortest *cib.Operation
		for i := range r.cfg.Operations {
			o := &r.cfg.Operations[i]
			if o.Name == cib.OpMonitor && o.Timeout > 0 && (shortest == nil || o.Interval < shortest.Interval) {
				shortest = o
			}
		}
		if shortest != nil {
			return shortest.Timeout
		}
	}
	return b.defaultTimeout(r, s.op, s.interval)
}

// timeoutOf is the time-out of a recurring monitor.
func (b *planner) timeoutOf(r *rsc, o *cib.Operation) cib.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return b.defaultTimeout(r, o.Name, o.Interval)
}

// defaultTimeout is the time-out of an operation that does not say one.
func (b *planner) defaultTimeout(r *rsc, op string, interval cib.Duration) cib.Duration {
	if t := b.opDefaults(r, op, interval).Timeout; t > 0 {
		return t
	}
	return cib.Duration(cib.DefaultOpTimeout)
}

// meta are the CRM_meta_* values for the agent.
func (b *planner) meta(r *rsc, s *step, timeout cib.Duration) map[string]string {
	m := map[string]string{
		"name":     s.op,
		"on_node":  b.nodes[s.node].name,
		"timeout":  milliseconds(timeout),
		"interval": milliseconds(s.interval),
	}
	if s.role != 0 {
		m["role"] = s.role.String()
	}
	if t := r.settings.failureTimeout; t > 0 {
		m["failure_timeout"] = milliseconds(cib.Duration(t))
	}
	c := r.clone
	if c == nil {
		return m
	}
	m["clone_max"] = numberOf(b.cloneMax(c))
	m["clone_node_max"] = numberOf(c.nodeMax())
	m["globally_unique"] = boolean(c.unique())
	m["notify"] = boolean(c.cfg.Clone.Notify)
	m["interleave"] = boolean(c.cfg.Clone.Interleave)
	m["ordered"] = boolean(c.cfg.Clone.Ordered)
	m["clone"] = numberOf(max(0, r.number))
	if c.kind == cib.KindPromotable {
		m["promotable"] = "true"
		m["promoted_max"] = numberOf(c.promotedMax())
		m["promoted_node_max"] = numberOf(max(1, c.cfg.Clone.PromotedNodeMax))
		m["master_max"], m["master_node_max"] = m["promoted_max"], m["promoted_node_max"]
	}
	return m
}

func boolean(v bool) string {
	if v {
		return "true"
	}
	return "false"
}

func milliseconds(d cib.Duration) string { return numberOf(d.D() / time.Millisecond) }
