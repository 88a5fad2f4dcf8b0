package policy

import "github.com/belay-ha/belay/engine/cib"

// A move or restart is two actions, and everything is decided anew between them.
// If a resource that was stopped on the way counted as one that never ran, it
// could score differently than before, and be started where it was just stopped,
// for ever. So what was stopped in order to run again is placed as if it still
// ran where it was stopped. The stop's own reason, which stands in its result,
// tells; one that ended the resource for good does not count, nor one of which
// no reason is known.

// lastPlace returns where an inactive instance was stopped on its way; nil if it
// was not, or did something else after that.
func (u *state) lastPlace(l *ledger) *fact {
	last := l.newest()
	if last == nil || last.dead || !onTheWay(last) {
		return nil
	}
	return last
}

// newest returns the fact with the newest result of an instance on any node; nil
// if there are no results.
func (l *ledger) newest() *fact {
	var last *fact
	var newest *cib.OpResult
	for _, f := range l.facts {
		if f.history == nil {
			continue
		}
		for i := range f.history.Ops {
			if op := &f.history.Ops[i]; newest == nil || op.Ended.After(newest.Ended) || op.Ended.Equal(newest.Ended) && last == f && op.Seq > newest.Seq {
				newest, last = op, f
			}
		}
	}
	return last
}

// onTheWay reports whether the newest result on a node is a stop that was part
// of a move or restart.
func onTheWay(f *fact) bool {
	if f.dead || f.history == nil || f.role > cib.RoleStopped || len(f.history.Ops) == 0 {
		return false
	}
	op := &f.history.Ops[0]
	for i := range f.history.Ops {
		if f.history.Ops[i].Seq > op.Seq {
			op = &f.history.Ops[i]
		}
	}
	return op.Op == cib.OpStop && op.Succeeded() && op.Why.Cause != "" && !endsForGood(op.Why.Rule)
}

// endsForGood reports whether a rule that stopped a resource did not mean to
// start it again.
func endsForGood(rule string) bool {
	switch rule {
	case "target-role", "stop-all-resources", "stop-orphan-resources", "on-fail", "multiple-active":
		return true
	}
	return false
}
