package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// thresholdReached says why a resource may not run on a node any more because it
// failed there; "" if it may.
func (u *state) thresholdReached(r *rsc, f *fact) string {
	threshold := r.settings.threshold
	failures := u.failuresInside(r, f)
	name := u.nodes[f.node].name
	switch {
	case f.failed != nil && f.onFail == cib.OnFailStop && r.anonymous():
		return describeFailure(f.failed, name) + ", and on-fail is stop"
	case r.ledger.ignores() || threshold <= 0 || failures <= 0 || failures < cib.Infinity && int(failures) < threshold:
		return ""
	case failures < cib.Infinity:
		op := cib.OpMonitor
		if last := lastFailure(f); last != nil {
			op = last.Op
		}
		return fmt.Sprintf("%s failed %s on %s, threshold %d", op, times(int(failures)), name, threshold)
	}
	if last := lastFailure(f); last != nil {
		return describeFailure(last, name)
	}
	return "it failed on " + name + " for good"
}

// ignores reports whether a failure of an instance was ignored on some node. Then
// the others do not count either.
func (l *ledger) ignores() bool {
	return slices.ContainsFunc(l.facts, func(f *fact) bool { return f.ignored })
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// lastFailure is the newest failed result; a failed start before others, since
// that is what makes a failure fatal.
func lastFailure(f *fact) *cib.OpResult {
	var last *cib.OpResult
	if f.history == nil {
		return nil
	}
	for i := range f.history.Ops {
		op := &f.history.Ops[i]
		if !f.history.FailedLast(op) {
			continue
		}
		if last == nil || op.Op == cib.OpStart || last.Op != cib.OpStart && op.Seq > last.Seq {
			last = op
		}
	}
	return last
}

// pinned returns the node on which a resource is left, whatever the scores say,
// and true; nowhere and true where it is left stopped.
func (p *placer) pinned(r *rsc) (int32, bool) {
	if p.pinReason(r) == "" {
		return nowhere, false
	}
	if len(r.active) == 0 {
		return nowhere, true
	}
	return p.current(r), true
}

// pinReason says why nothing is done about a resource; "" if something may be.
func (u *state) pinReason(r *rsc) string {
	if why := u.unmanaged(r); why != "" {
		return why
	}
	for x := r; x != nil; x = x.parent {
		if x.frozen != "" {
			return x.frozen
		}
		if x.circle != "" {
			return x.circle
		}
	}
	return ""
}

// unmanaged says why the cluster must not touch a resource where it is now.
func (u *state) unmanaged(r *rsc) string {
	switch {
	case u.opt.MaintenanceMode:
		return "the cluster is in maintenance"
	case r.settings.maintenance:
		return "it is in maintenance"
	case !r.settings.managed:
		return "it is not managed"
	case r.orphan && !u.opt.StopsOrphans():
		return "it is not in the configuration, and stop-orphan-resources is false"
	}
	steady := 0
	for _, f := range r.active {
		n := &u.nodes[f.node]
		switch {
		case n.maintenance && !n.lost:
			return "node " + n.name + " is in maintenance"
		case n.frozen:
			return "node " + n.name + " " + n.why
		case f.failed != nil && f.onFail == cib.OnFailBlock && !n.lost:
			return describeFailure(f.failed, n.name) + blockHint(f)
		}
		if f.sure && !n.lost {
			steady++
		}
	}
	if r.transfer == nil && steady > 1 && r.settings.multiple == cib.MultipleActiveBlock {
		return "it is active on " + u.places(r) + ", and multiple-active is block"
	}
	return ""
}

// blockHint tells what a blocked resource waits for.
func blockHint(f *fact) string {
	if f.failed.Op == cib.OpStop {
		return "; whether it still runs there is not known, and there is no fencing to make sure"
	}
	return "; on-fail is block"
}

// places lists where a resource is active: "n1 and n2".
func (u *state) places(r *rsc) string {
	names := make([]string, len(r.active))
	for i, f := range r.active {
		names[i] = u.nodes[f.node].name
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return strings.Join(names, "")
}

// stopReason says why a resource is to run nowhere; "" if it may run.
func (u *state) stopReason(r *rsc) string {
	text, _ := u.stopRule(r)
	return text
}

// stopRule is stopReason with the id of what decided.
func (u *state) stopRule(r *rsc) (text, rule string) {
	if r.orphan {
		return "it is not in the configuration", "stop-orphan-resources"
	}
	if text, rule := r.brokenBy(); text != "" {
		return text, rule
	}
	if u.opt.StopAllResources {
		return "stop-all-resources is set", "stop-all-resources"
	}
	if r.settings.targetRole == cib.RoleStopped {
		return "target-role is Stopped", "target-role"
	}
	if text := u.lockReason(r); text != "" {
		return text, lockRule
	}
	if text := u.noQuorumReason(r); text != "" {
		return text, noQuorumRule
	}
	for x := r; x != nil; x = x.parent {
		if x.denied != "" {
			return x.denied, x.deniedRule
		}
	}
	if text, rule := u.staysDown(r); text != "" {
		return text, rule
	}
	if r.ledger != nil && !r.anonymous() {
		steady := 0
		for _, f := range r.ledger.facts {
			if f.failed != nil && f.onFail == cib.OnFailStop {
				return describeFailure(f.failed, u.nodes[f.node].name) + ", and on-fail is stop", "on-fail"
			}
			if f.sure && f.role > cib.RoleStopped && !u.nodes[f.node].lost && !f.dead {
				steady++
			}
		}
		if r.transfer == nil && steady > 1 && r.settings.multiple == cib.MultipleActiveStopOnly {
			return "it is active on " + u.places(r) + ", and multiple-active is stop-only", "multiple-active"
		}
	}
	return "", ""
}

// applyIrreparable keeps resources whose data must never be written twice away
// from nodes that cannot be fenced. What runs already goes on.
func (p *placer) applyIrreparable() {
	for _, r := range p.rscs {
		if r.kind != cib.KindPrimitive || !r.settings.irreparable {
			continue
		}
		for i := range p.nodes {
			if r.activeOn(int32(i)) {
				continue
			}
			if text := p.unsafe(&p.nodes[i]); text != "" {
				p.want(r, int32(i), -cib.Infinity, graph.Part{Rule: "data", Text: text})
			}
		}
	}
}

// unsafe says why irreparable data must not be used on a node.
func (u *state) unsafe(n *node) string {
	switch {
	case !u.opt.Fencing():
		return "its data is irreparable, and fencing is off"
	case !n.fenceable:
		return "its data is irreparable, and node " + n.name + " has no fence device"
	}
	return ""
}

// activeOn reports whether a resource is or may be active on a node.
func (r *rsc) activeOn(n int32) bool {
	for _, f := range r.active {
		if f.node == n {
			return true
		}
	}
	return false
}
