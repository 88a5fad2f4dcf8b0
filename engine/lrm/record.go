package lrm

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// retryPause is the time before a transaction without an answer is tried again.
const retryPause = 500 * time.Millisecond

// Committed ends a Commit.
func (m *Manager) Committed(now time.Time, tag Tag, outcome Outcome, rev int64) {
	in := m.instances[tag.Instance]
	if in == nil {
		return
	}
	if tag.Kind == Report {
		in.writing = false
		if outcome == Done {
			m.wrote(in, rev)
		} else {
			// Refused: an earlier one of ours happened after all.
			in.dirty, in.retryAt, in.revAt = true, now.Add(retryPause), 0
		}
		return
	}
	j := in.job
	if j == nil || j != tag.job {
		return // validity was lost meanwhile; the record shows the rest
	}
	switch {
	case tag.Kind == Claim && j.phase != claiming:
		// A snapshot showed the claim before its answer came: it is run already.
	case tag.Kind == Claim && outcome == Done:
		j.phase, j.rev = claimed, rev
	case tag.Kind == Claim && outcome == Refused:
		// Withdrawn, or claimed with a lost answer: a snapshot tells, the present
		// one or one that is on its way.
		in.job, in.retryAt = nil, now.Add(retryPause)
	case tag.Kind == Claim:
		j.phase, in.retryAt = seen, now.Add(retryPause)
	case outcome == Done:
		in.lastID, in.job = j.action.ID, nil
		if !j.drop {
			m.wrote(in, rev)
		}
	case outcome == Refused && tag.Kind == Refuse:
		// A claim of ours happened after all, or it is withdrawn: likewise.
		in.job, in.retryAt = nil, now.Add(retryPause)
		in.dirty = in.dirty || !j.drop
	case outcome == Refused:
		// The record is gone (the DC ended it, or our own lost answer did).
		in.lastID, in.job = j.action.ID, nil
		in.dirty = in.dirty || !j.drop
	default:
		j.phase, in.retryAt = ended, now.Add(retryPause)
	}
}

func (m *Manager) compare(in *instance, j *job) []cib.Compare {
	return []cib.Compare{{Key: cib.PendingKey(m.node, in.id), ModRev: j.rev}}
}

func (m *Manager) commit(kind TagKind, in *instance, j *job, txn cib.Txn, events []cib.Event) {
	m.out = append(m.out, Commit{Tag: Tag{Kind: kind, Instance: in.id, ActionID: j.action.ID, job: j}, Txn: txn, Events: events})
}

// finish writes the result and ends the record.
func (m *Manager) finish(now time.Time, in *instance, j *job) {
	if j.drop && j.asked.Migration != "" {
		// The record says that the instance may have been brought here, and it ends
		// now: that has to be said in the history instead.
		j.drop = false
		m.end(now, in, Result{Status: cib.OpUnknown, Started: now.Add(m.wall), Ended: now.Add(m.wall), Reason: "it was not run"})
	}
	if in.dirty || in.writing {
		// What this node did on its own meanwhile stands in no store yet. Without record
		// and without history nobody would know that the instance may be active here.
		j.drop = false
	}
	j.phase = finishing
	if j.rev == 0 { // direct: there is no record
		in.job = nil
		in.dirty = true
		return
	}
	txn := cib.Txn{If: m.compare(in, j), Delete: []string{cib.PendingKey(m.node, in.id)}}
	if !j.drop {
		m.addHistory(in, &txn)
		in.dirty = false
	}
	kind := Finish
	if j.refuse {
		kind = Refuse
	}
	m.commit(kind, in, j, txn, j.events)
}

// wrote notes that the history was written, or deleted, at a revision.
func (m *Manager) wrote(in *instance, rev int64) {
	in.rev, in.revAt = rev, rev
	if in.history == nil {
		in.rev = 0
	}
}

// report writes the history alone. It compares the one that it replaces: a report
// whose answer was lost, and that happens later, must not replace a newer one.
func (m *Manager) report(in *instance) {
	in.writing, in.dirty = true, false
	rev := in.rev
	if in.revAt == 0 {
		if h := m.stored[in.id]; h != nil {
			rev = h.Rev
		} else {
			rev = 0
		}
	}
	txn := cib.Txn{If: []cib.Compare{{Key: m.historyKey(m.node, in.id), ModRev: rev}}}
	m.addHistory(in, &txn)
	m.out = append(m.out, Commit{Tag: Tag{Kind: Report, Instance: in.id}, Txn: txn, Events: in.events})
	in.events = nil
}

func (m *Manager) addHistory(in *instance, txn *cib.Txn) {
	if in.history == nil {
		txn.Delete = append(txn.Delete, m.historyKey(m.node, in.id))
		return
	}
	txn.Put = append(txn.Put, cib.Put{Key: m.historyKey(m.node, in.id), Value: in.history})
}
