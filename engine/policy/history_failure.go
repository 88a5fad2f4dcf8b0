package policy

import (
	"fmt"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// clearedBySuccess reports whether a later success ends a failure. Pacemaker
// keeps those that stop, ban, fence or put the node in standby until cleanup.
func clearedBySuccess(o cib.OnFail) bool {
	switch o {
	case cib.OnFailStop, cib.OnFailFence, cib.OnFailStandby:
		return false
	case cib.OnFailDefault, cib.OnFailIgnore, cib.OnFailBlock, cib.OnFailRestart, cib.OnFailDemote, cib.OnFailRestartContainer:
	}
	return true
}

// replayFailure notes a failed operation, unless it has expired.
func (u *state) replayFailure(l *ledger, f *fact, op *cib.OpResult) {
	r := l.primitive()
	if r == nil {
		return
	}
	onFail := u.onFail(r, op)
	if onFail == cib.OnFailIgnore && op.Status != cib.OpNotInstalled {
		pretended := *op // as if it had done what it should
		pretended.Status, pretended.RC = cib.OpDone, op.Expected
		u.replaySuccess(f, &pretended)
		f.ignored = true
		return
	}
	probe := op.Op == cib.OpMonitor && op.Interval == 0
	switch op.Op {
	case cib.OpStart, cib.OpMigrateFrom:
		f.role, f.since = max(f.role, cib.RoleStarted), op
	case cib.OpStop:
		f.role = max(f.role, cib.RoleStarted)
	case cib.OpMigrateTo:
		f.role, f.out = cib.RoleStarted, op
	case cib.OpPromote:
		f.role = cib.RolePromoted
	case cib.OpDemote:
		// Promoted would be demoted again and again; nothing is promoted until
		// the failure is cleared. Where it is left as it is, it may still be promoted.
		f.role = cib.RoleUnpromoted
		if onFail == cib.OnFailBlock {
			f.role = cib.RolePromoted
		}
	case cib.OpMonitor:
		switch {
		case op.RC == cib.FailedPromoted:
			f.role = cib.RolePromoted
		case probe && (op.RC == cib.NotInstalled || op.Status == cib.OpNotInstalled):
		case probe && op.RC == cib.NotConfigured:
		default:
			f.role = max(f.role, cib.RoleStarted) // it may run: it must be stopped before anything else
		}
		if probe {
			f.interruptionOver()
		}
	}
	if timeout := r.settings.failureTimeout; timeout > 0 && !u.blocks(r, op) && op.Status != cib.OpNotInstalled {
		expires := op.Ended.Add(timeout)
		if f.history.FailCount > 0 && f.history.LastFailure.After(op.Ended) {
			expires = f.history.LastFailure.Add(timeout) // none of them ends before the last one does
		}
		switch expired := !u.now.Before(expires) && (f.history.FailCount == 0 || !f.history.LastFailure.IsZero()); {
		case !expired:
			u.changesAt(expires)
			if r.reconnect > 0 && !probe && op.Op != cib.OpStart {
				f.reset = op
			}
		case r.connects == nowhere:
			return // that a connection is broken does not expire, only that it stays down
		}
	}
	u.banAfter(f, op)
	if probe && f.role <= cib.RoleStopped {
		return
	}
	if f.failed == nil || severity(onFail) >= severity(f.onFail) {
		f.failed, f.onFail = op, onFail
	}
}

// blocks reports whether the configuration says that a failure of op blocks the
// resource. Such a failure does not expire, unlike one that blocks because there is
// no fencing.
func (u *state) blocks(r *rsc, op *cib.OpResult) bool {
	for i := range r.cfg.Operations {
		if o := &r.cfg.Operations[i]; o.Name == op.Op && o.Interval == op.Interval && o.OnFail != 0 {
			return o.OnFail == cib.OnFailBlock
		}
	}
	return u.opDefaults(r, op.Op, op.Interval).OnFail == cib.OnFailBlock
}

// banAfter bans the node after an error that a repetition would not mend.
func (u *state) banAfter(f *fact, op *cib.OpResult) {
	if op.Op == cib.OpStop || f.dead {
		return
	}
	switch {
	case op.RC == cib.NotConfigured && op.Status == cib.OpDone:
		f.banned, f.fatal = describeFailure(op, u.nodes[f.node].name), true
	case op.Status == cib.OpNotInstalled || op.Status == cib.OpDone &&
		(op.RC == cib.NotInstalled || op.RC == cib.Insufficient || op.RC == cib.InvalidParameter || op.RC == cib.Unimplemented && op.Interval == 0):
		f.banned = describeFailure(op, u.nodes[f.node].name)
	}
}

// severity orders the reactions; the strongest one of several wins.
func severity(o cib.OnFail) int {
	switch o {
	case cib.OnFailIgnore:
		return 0
	case cib.OnFailDemote:
		return 1
	case cib.OnFailDefault, cib.OnFailRestart, cib.OnFailRestartContainer:
		return 2
	case cib.OnFailBlock:
		return 3
	case cib.OnFailStop:
		return 4
	case cib.OnFailStandby:
		return 5
	case cib.OnFailFence:
		return 6
	}
	return 0
}

// countFailures works out the failures that count against the node: those since
// the last cleanup that have not expired.
func (u *state) countFailures(l *ledger, f *fact) {
	r := l.primitive()
	if r == nil || f.history.FailCount == 0 && f.failed == nil {
		return
	}
	rules := cib.FailureRules{
		Fatal:   u.opt.StartFailureIsFatal(),
		Ignored: func(op *cib.OpResult) bool { return u.onFail(r, op) == cib.OnFailIgnore },
	}
	if !r.orphan {
		rules.Resource = r.cfg
	}
	count, last := f.history.CountFailures(rules)
	timeout := r.settings.failureTimeout
	if count > 0 && timeout > 0 && f.onFail != cib.OnFailBlock && !last.IsZero() {
		expires := last.Add(timeout)
		if !u.now.Before(expires) {
			return
		}
		u.changesAt(expires)
	}
	f.failures = count
}

// onFail resolves what a failure of op leads to.
func (u *state) onFail(r *rsc, op *cib.OpResult) cib.OnFail {
	v := u.opDefaults(r, op.Op, op.Interval).OnFail
	for i := range r.cfg.Operations {
		o := &r.cfg.Operations[i]
		if o.Name == op.Op && o.Interval == op.Interval && o.OnFail != 0 {
			v = o.OnFail
			break
		}
	}
	switch {
	case v == cib.OnFailRestartContainer && r.container == nil:
		v = cib.OnFailDefault // it is inside of nothing
	case v == 0 || v == cib.OnFailDefault:
		if r.container != nil {
			return cib.OnFailRestartContainer
		}
	}
	if v != 0 && v != cib.OnFailDefault {
		if v == cib.OnFailDemote && op.Op != cib.OpPromote && op.Role != cib.RolePromoted {
			return cib.OnFailRestart
		}
		if v == cib.OnFailFence && !u.opt.Fencing() {
			if op.Op == cib.OpStop {
				return cib.OnFailBlock
			}
			return cib.OnFailStop // there is nothing to fence with
		}
		return v
	}
	if op.Op != cib.OpStop {
		return cib.OnFailRestart
	}
	if u.opt.Fencing() {
		return cib.OnFailFence
	}
	return cib.OnFailBlock
}

// describeFailure says what failed, where and how.
func describeFailure(op *cib.OpResult, node string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed on %s", op.Op, node)
	switch op.Status {
	case cib.OpTimeout:
		b.WriteString(" (timed out)")
	case cib.OpNotInstalled:
		b.WriteString(" (the agent is not installed)")
	case cib.OpError:
		b.WriteString(" (it could not be run)")
	case cib.OpDone, cib.OpUnknown, cib.OpCancelled, cib.OpNotRun:
		fmt.Fprintf(&b, " (%s)", describeRC(op.RC))
	}
	if op.Reason != "" {
		b.WriteString(": ")
		b.WriteString(op.Reason)
	}
	return b.String()
}

// describeRC names an OCF return code.
func describeRC(rc int) string {
	switch rc {
	case cib.OK:
		return "running"
	case cib.GenericError:
		return "error"
	case cib.InvalidParameter:
		return "invalid parameter"
	case cib.Unimplemented:
		return "not implemented"
	case cib.Insufficient:
		return "insufficient privileges"
	case cib.NotInstalled:
		return "not installed"
	case cib.NotConfigured:
		return "not configured"
	case cib.NotRunning:
		return "not running"
	case cib.RunningPromoted:
		return "promoted"
	case cib.FailedPromoted:
		return "failed while promoted"
	}
	return fmt.Sprintf("exit code %d", rc)
}
