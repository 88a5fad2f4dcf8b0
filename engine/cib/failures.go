package cib

import "time"

// Succeeded says whether a result is what it should be. A probe only looks: whatever
// state it finds is a success.
func (r *OpResult) Succeeded() bool {
	if r.Status != OpDone {
		return false
	}
	if r.Op == OpMonitor && r.Interval == 0 {
		switch r.RC {
		case OK, NotRunning, RunningPromoted, Degraded, DegradedPromoted:
			return true
		}
		return false
	}
	switch r.RC {
	case r.Expected:
		return true
	case Degraded:
		return r.Expected == OK
	case DegradedPromoted:
		return r.Expected == RunningPromoted
	}
	return false
}

// FailedLast says whether a result of this history is a failure, and no success of
// the same operation and interval came after it.
func (h *History) FailedLast(r *OpResult) bool {
	switch r.Status {
	case OpUnknown, OpCancelled, OpNotRun, 0:
		return false
	case OpDone, OpTimeout, OpNotInstalled, OpError:
	}
	if r.Succeeded() {
		return false
	}
	for i := range h.Ops {
		if o := &h.Ops[i]; o.Op == r.Op && o.Interval == r.Interval && o.Seq > r.Seq && o.Succeeded() {
			return false
		}
	}
	return true
}

// FailureRules are what says how failures of an instance count against its node.
type FailureRules struct {
	Resource *Resource // nil where it is configured no more
	Fatal    bool      // start-failure-is-fatal
	// Ignored says whether on-fail of a failed start is ignore.
	Ignored func(start *OpResult) bool
}

// CountFailures returns how many failures count against the node, and when the newest
// of them was; failure-timeout is up to the caller. A failed start counts as infinitely
// many where that is fatal, so that the instance is not started there again. Nothing
// counts once the parameters that an operation failed with were changed: that may
// have mended it.
func (h *History) CountFailures(rules FailureRules) (Score, time.Time) {
	count, last := h.FailCount, h.LastFailure
	for i := range h.Ops {
		r := &h.Ops[i]
		if h.ofOtherParameters(r, rules.Resource) {
			return 0, time.Time{}
		}
		if count > 0 && r.Op == OpStart && rules.Fatal && h.FailedLast(r) && !rules.Ignored(r) {
			count = Infinity
			if !last.IsZero() && last.Before(r.Ended) {
				last = r.Ended
			}
		}
	}
	return count, last
}

// ofOtherParameters says whether a start or monitor failed with other parameters than
// the configured ones.
func (h *History) ofOtherParameters(r *OpResult, cfg *Resource) bool {
	if cfg == nil || r.Op != OpStart && r.Op != OpMonitor || r.Digest == "" || !h.FailedLast(r) {
		return false
	}
	return r.Digest != Digest(cfg.ParametersOf(cfg.Operation(r.Op, r.Interval)))
}
