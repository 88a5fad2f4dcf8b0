package cib

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// InstanceState is what a node's history says about one instance there.
type InstanceState struct {
	// Role is the role that the instance must be taken to have. A failed start,
	// promote, stop or monitor leaves it active: it must be stopped before it is
	// started anywhere. Unknown means that a probe is due.
	Role Role
	// Failure is the newest failure that nothing has made good since; nil where
	// there is none. It is inside the history: do not change it.
	Failure *OpResult
	// Expired says that the newest failure counts no more, since it is older than
	// failure-timeout.
	Expired bool
	// NotHere says that the agent or what it needs is missing on the node, or
	// that the parameters are wrong there: it must not be started on this node.
	NotHere bool
	// Since is when the role began, as far as the history goes back.
	Since time.Time
	// Last is the newest result that says anything, nil where there is none.
	Last *OpResult
}

// Role returns the role that the history says; failures do not expire.
func (h *History) Role() Role { return h.State(time.Time{}, 0).Role }

// Active says whether the role means that the instance runs, or must be taken
// to run.
func (v Role) Active() bool { return v == RoleStarted || v == RoleUnpromoted || v == RolePromoted }

// State derives what is known of the instance. The results are taken in the
// order of their sequence numbers and each changes what the ones before said,
// as Pacemaker does (Pacemaker Explained, "Operation history"). failureTimeout
// is the resource's failure-timeout; 0 means that failures do not expire.
//
// A failed stop never expires: whether the instance runs is then not known, and
// time does not tell.
func (h *History) State(now time.Time, failureTimeout time.Duration) InstanceState {
	s := InstanceState{Role: RoleUnknown}
	if h == nil {
		return s
	}
	for r := range h.bySeq() {
		if r.Failure() && failureTimeout > 0 && r.Op != OpStop && !r.lost() && !now.Before(r.Ended.Add(failureTimeout)) {
			s.Expired = true
			continue
		}
		s.apply(r)
	}
	return s
}

// bySeq yields the results in the order in which they were obtained. The local
// resource manager writes them so; another order costs a copy, not a wrong role.
func (h *History) bySeq() iter.Seq[*OpResult] {
	ops := h.Ops
	for i := 1; i < len(ops); i++ {
		if ops[i].Seq < ops[i-1].Seq {
			ops = slices.Clone(ops)
			slices.SortStableFunc(ops, func(a, b OpResult) int { return cmp.Compare(a.Seq, b.Seq) })
			break
		}
	}
	return func(yield func(*OpResult) bool) {
		for i := range ops {
			if !yield(&ops[i]) {
				return
			}
		}
	}
}

// lost says that the result of the operation is not known: the engine that ran
// it ended before it could record it.
func (r *OpResult) lost() bool { return r.Status == OpUnknown || r.Status == 0 }

// Says says whether the result tells anything about the instance. One that was
// cancelled or refused before the agent was started does not, nor do operations
// that only inform the agent.
func (r *OpResult) Says() bool {
	switch r.Status {
	case OpCancelled, OpNotRun:
		return false
	case OpUnknown, OpDone, OpTimeout, OpNotInstalled, OpError:
	}
	switch r.Op {
	case OpStart, OpStop, OpMonitor, OpPromote, OpDemote, OpMigrateTo, OpMigrateFrom, OpReload:
		return true
	}
	return false
}

// Failure says whether the result is a failure. A probe is one only where the
// agent could not say whether the instance is active: that it is, or is not, or
// that the agent is not installed, answers the question.
func (r *OpResult) Failure() bool {
	if !r.Says() || r.lost() {
		return false
	}
	switch {
	case r.Status == OpNotInstalled:
		return !r.Probe && r.Op != OpStop
	case r.Status != OpDone:
		return true
	case r.Op == OpStop:
		return r.RC != OK && r.RC != NotRunning
	case r.Probe:
		switch r.RC {
		case OK, NotRunning, RunningPromoted, Degraded, DegradedPromoted, NotInstalled, NotConfigured:
			return false
		}
		return true
	}
	switch r.RC {
	case Degraded:
		return r.Expected != OK
	case DegradedPromoted:
		return r.Expected != RunningPromoted
	}
	return r.RC != r.Expected
}

// hard says that starting on this node again cannot help.
func (r *OpResult) hard() bool {
	if r.Status == OpNotInstalled {
		return true
	}
	if r.Status != OpDone || r.Op == OpStop {
		return false
	}
	switch r.RC {
	case InvalidParameter, Insufficient, NotInstalled, NotConfigured:
		return true
	case Unimplemented: // a recurring monitor that the agent does not know is no reason not to start
		return r.Interval == 0
	}
	return false
}

func (s *InstanceState) apply(r *OpResult) {
	if !r.Says() {
		return
	}
	s.Last = r
	before := s.Role
	switch {
	case r.lost():
		// It may have run, in part or not at all.
		s.Role = RoleUnknown
	case r.Failure():
		s.Failure, s.Expired = r, false
		s.Role = r.roleAfterFailure(before)
	default:
		s.Role = r.roleAfter(before)
		if r.clears(s.Failure) {
			s.Failure = nil
		}
	}
	if r.hard() {
		s.NotHere = true
	} else if !r.Failure() && r.Op == OpStart {
		s.NotHere = false
	}
	if s.Role != before || s.Since.IsZero() {
		s.Since = r.Ended
	}
}

// roleAfter is the role after a success.
func (r *OpResult) roleAfter(before Role) Role {
	active := before
	if !before.Active() {
		active = RoleStarted
	}
	switch r.Op {
	case OpStart, OpMigrateFrom:
		return RoleStarted
	case OpStop, OpMigrateTo:
		return RoleStopped
	case OpPromote:
		return RolePromoted
	case OpDemote:
		return RoleUnpromoted
	case OpReload:
		return active
	}
	switch r.RC { // a monitor
	case NotRunning:
		return RoleStopped
	case RunningPromoted, DegradedPromoted, FailedPromoted:
		return RolePromoted
	case OK, Degraded:
		if r.Probe && before == RolePromoted {
			return RoleUnpromoted
		}
		return active
	}
	if before.Active() {
		return before
	}
	return RoleStopped // of a probe: not installed, or not configured
}

// roleAfterFailure is the role that must be assumed after a failure: active,
// until a stop or a look says otherwise.
func (r *OpResult) roleAfterFailure(before Role) Role {
	done := r.Status == OpDone
	switch {
	case done && r.RC == FailedPromoted, done && r.RC == RunningPromoted && r.Op == OpMonitor:
		return RolePromoted
	case r.Op == OpPromote:
		return RolePromoted
	case r.Op == OpDemote && done && r.RC == NotRunning:
		return RoleStopped
	case r.Op == OpDemote:
		// Promoted would be more careful, but leads to one demote after another.
		// The failure leads to a stop, and a promotion elsewhere waits for that.
		return RoleUnpromoted
	case before.Active():
		return before
	}
	return RoleStarted
}

// clears says whether the success r makes good the failure f. A probe or a
// monitor of another interval does not make good a failed start; a start, a stop
// or the same operation does.
func (r *OpResult) clears(f *OpResult) bool {
	switch {
	case f == nil:
		return false
	case r.Op == OpStart, r.Op == OpStop, r.Op == OpMigrateFrom, r.Probe:
		return true
	case r.Op == OpPromote:
		return f.Op == OpPromote || f.Op == OpDemote || f.Role == RolePromoted
	case r.Op == OpDemote:
		return f.Op == OpDemote || f.Op == OpPromote || f.Role == RolePromoted
	}
	return r.Op == f.Op && r.Interval == f.Interval
}
