// Package lrm is the local resource manager's core: one node's share of the
// work. It claims the actions that the DC recorded for the node, runs them one at
// a time on each instance, repeats recurring monitors, keeps the history of
// results, and ends the record together with its result.
//
// It is pure: [Manager] is told what happened and returns [Command]s. It knows
// nothing of the cluster, only of pending records and validity.
//
// The promises (DESIGN.md, "The mechanics that keep it safe"):
//
//   - nothing runs before its record was claimed, in a transaction that compares
//     the record's revision, by this engine, in the validity epoch it was asked in;
//   - a claim of an earlier engine is never repeated: its result is "unknown", and
//     the policy asks for a probe;
//   - a result is written together with the end of the record, so that neither is
//     seen without the other.
package lrm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Manager is the local resource manager of one node.
type Manager struct {
	node        string
	incarnation uint64
	bootID      string
	historyKey  func(node, instance string) string
	remote      bool // of a node that this one is only connected to

	epoch      uint64 // validity epoch
	registered uint64 // the one that the store shows
	valid      bool
	limit      int           // agents of actions running at a time
	wall       time.Duration // wall clock minus steady clock
	seq        uint64
	lastRun    uint64
	instances  map[string]*instance
	order      []*instance // by id
	runs       map[uint64]*instance
	stored     map[string]*cib.History // what the newest snapshot shows
	out        []Command
}

// New returns a manager that knows nothing. The validity epoch starts at the
// incarnation: the end of an engine is a loss of validity, and what was asked of the
// one before is not executed by this one.
func New(node string, incarnation uint64, bootID string) *Manager {
	return &Manager{
		node: node, incarnation: incarnation, bootID: bootID, historyKey: cib.HistoryKey, epoch: incarnation, limit: 4,
		instances: map[string]*instance{}, runs: map[uint64]*instance{},
	}
}

// NewRemote returns the manager of a remote node, for one connection to it. The
// connection's epoch takes the place of the incarnation: what was asked over an
// earlier one is not executed by this one, and its recurring monitors, which ended
// with it, are taken out of the histories that it left.
func NewRemote(node string, epoch uint64, bootID string) *Manager {
	m := New(node, epoch, bootID)
	m.remote, m.historyKey = true, cib.RemoteHistoryKey
	return m
}

// instance is everything the manager knows of one instance.
type instance struct {
	id       string
	job      *job
	run      uint64 // the agent running now, of the job or of a monitor
	monitor  *monitor
	monitors map[string]*monitor // recurring ones, by action key
	due      time.Time           // of the monitor that is due first; zero: there is none
	history  *cib.History        // nil: none
	dirty    bool                // history differs from what is stored
	writing  bool                // a Report is on its way
	rev      int64               // of the stored history, 0: there is none; known since revision revAt
	revAt    int64
	retryAt  time.Time
	lastID   string      // of the last action that ended here
	events   []cib.Event // of recurring monitors, to go with the next Report
}

// job is one action of a pending record, or a direct one.
type job struct {
	action cib.Action
	rev    int64 // of the record; 0: direct
	asked  cib.Pending
	phase  phase
	seen   time.Time
	events []cib.Event
	drop   bool // it was not run: end the record without a result
	refuse bool // it was never claimed, as far as is known
}

type phase uint8

const (
	seen phase = iota
	claiming
	claimed
	running
	ended
	finishing
)

// monitor is one recurring monitor.
type monitor struct {
	action cib.Action
	due    time.Time
	told   time.Time // when the result was last written to the history
	rc     int
	status cib.OpStatus
}

// SetLimit bounds how many agents of actions run at a time.
func (m *Manager) SetLimit(n int) { m.limit = max(1, n) }

// SetWall tells the difference between wall clock and steady clock, for stamps.
func (m *Manager) SetWall(offset time.Duration) { m.wall = offset }

// Epoch returns the validity epoch.
func (m *Manager) Epoch() uint64 { return m.epoch }

// SetValid tells whether the node may act. Losing validity raises the epoch: what
// was asked before is never executed. Running starts and promotions are killed:
// they might end after the node's time.
func (m *Manager) SetValid(now time.Time, valid bool) {
	if m.valid == valid {
		return
	}
	m.valid = valid
	if valid {
		return
	}
	m.epoch++
	for _, in := range m.sorted() {
		switch j := in.job; {
		case j == nil:
		case j.phase == seen || j.phase == claiming:
			in.job = nil // its claim, should it still happen, is adopted and refused by the epoch
		case j.phase == claimed:
			j.phase, j.drop = ended, true
		case j.phase == running && j.rev != 0 && mayActivate(j.action.Op):
			m.out = append(m.out, Kill{in.run})
		}
	}
}

// Sync takes what the store shows of this node: the validity epoch that it has
// registered, its pending records and its histories, by instance.
func (m *Manager) Sync(now time.Time, epoch uint64, pending map[string]*cib.Pending, histories map[string]*cib.History) {
	m.stored, m.registered = histories, epoch
	for id, h := range histories { // each by itself: their order does not matter
		if in := m.instances[id]; in == nil && h.BootID == m.bootID {
			in = m.instance(id)
			in.history = h
			m.seq = max(m.seq, lastSeq(h))
			if m.remote {
				m.inherit(in, h)
			}
		} else if in != nil && h.Rev > in.revAt {
			in.rev, in.revAt = h.Rev, h.Rev
			if in.history != nil && lastSeq(h) < lastSeq(in.history) {
				in.dirty = true // a write of ours that was given up happened late
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(pending)) {
		m.record(now, m.instance(id), pending[id])
	}
	for _, in := range m.sorted() {
		p := pending[in.id]
		if j := in.job; j != nil && j.rev != 0 && j.phase <= claiming && (p == nil || p.ID != j.action.ID) && j.phase == seen {
			in.job = nil // withdrawn
		}
	}
}

// inherit takes over the history of an instance that an earlier connection left. What
// runs goes on, and is monitored again once the policy asks for it.
func (m *Manager) inherit(in *instance, h *cib.History) {
	in.rev, in.revAt = h.Rev, h.Rev
	if h.Incarnation == m.incarnation || !slices.ContainsFunc(h.Ops, recurs) {
		return
	}
	own := *h
	own.Ops = slices.DeleteFunc(slices.Clone(h.Ops), recurs)
	own.Incarnation = m.incarnation
	in.history, in.dirty = &own, true
}

// recurs reports whether a result is that of a recurring monitor that goes on.
func recurs(o cib.OpResult) bool { return o.Interval > 0 && !o.Failed }

// mayActivate reports whether an operation may make an instance active, or
// promote it.
func mayActivate(op string) bool {
	switch op {
	case cib.OpStart, cib.OpPromote, cib.OpMigrateTo, cib.OpMigrateFrom:
		return true
	}
	return false
}

// record takes one pending record.
func (m *Manager) record(now time.Time, in *instance, p *cib.Pending) {
	j := in.job
	switch {
	case j != nil && j.action.ID == p.ID:
		if j.phase <= claiming && p.State == cib.ActionRunning && p.Incarnation == m.incarnation {
			j.phase, j.rev, in.retryAt = claimed, p.Rev, time.Time{} // the answer was lost, the claim was not
			if j.drop = p.ValidityEpoch != m.epoch; j.drop {
				j.phase = ended
			}
		}
	case j != nil && j.phase > seen:
		// An older action is still being ended; the new record waits.
	case p.ID == in.lastID:
		// Ended by us; the snapshot is older than that.
	case p.State == cib.ActionAsked:
		in.job = &job{action: p.Action, rev: p.Rev, asked: *p, phase: seen, seen: now}
	case p.State == cib.ActionRunning && p.Incarnation == m.incarnation:
		// Claimed by us, answer lost, and never run: it was not in memory any more.
		in.job = &job{action: p.Action, rev: p.Rev, asked: *p, phase: claimed, seen: now, drop: p.ValidityEpoch != m.epoch}
		if in.job.drop {
			in.job.phase = ended
		}
	case p.State == cib.ActionRunning:
		// Claimed by an engine that is gone: it may have run, wholly or in part.
		in.job = &job{action: p.Action, rev: p.Rev, asked: *p, phase: ended, seen: now}
		m.end(now, in, Result{Status: cib.OpUnknown, Started: now.Add(m.wall), Ended: now.Add(m.wall), Reason: "the engine that ran it ended before the result was written"})
	}
}

// Direct queues an action without a record: what a node that lost validity does
// on its own. It reports whether the instance was free for it.
func (m *Manager) Direct(now time.Time, a cib.Action) bool {
	in := m.instance(a.Instance)
	switch j := in.job; {
	case j == nil:
	case j.rev != 0 && j.phase >= ended:
		// Only the store's answer is missing, and the store may be what is missing.
		// The result stands in the history; the record, which shows a claim of an
		// older validity epoch, is ended when the store is back.
		in.dirty = in.dirty || !j.drop
	default:
		return false
	}
	in.job, in.retryAt = &job{action: a, phase: claimed, seen: now}, time.Time{}
	return true
}

// Busy reports whether an action is in progress on the instance.
func (m *Manager) Busy(instance string) bool {
	in := m.instances[instance]
	return in != nil && in.job != nil && in.job.phase < ended
}

// Idle reports whether no agent runs and nothing waits to be written.
func (m *Manager) Idle() bool {
	for _, in := range m.instances {
		if in.job != nil || in.run != 0 || in.dirty || in.writing {
			return false
		}
	}
	return true
}

// Settled reports whether no action is in progress and no result waits to be written;
// recurring monitors may run.
func (m *Manager) Settled() bool {
	for _, in := range m.instances {
		if in.job != nil || in.dirty || in.writing {
			return false
		}
	}
	return true
}

// Histories returns what is known of every instance, newer than the store where
// it differs.
func (m *Manager) Histories() map[string]*cib.History {
	out := map[string]*cib.History{}
	for id, in := range m.instances {
		if in.history != nil {
			out[id] = in.history
		}
	}
	return out
}

// Next returns what is to be done now.
func (m *Manager) Next(now time.Time) []Command {
	active := 0
	for _, in := range m.instances {
		if in.job != nil && in.job.phase == running {
			active++
		}
	}
	for _, in := range m.sorted() {
		m.advance(now, in, &active)
	}
	out := m.out
	m.out = nil
	return out
}

// NextWake returns when Next should be called again without anything else
// having happened; zero: never.
func (m *Manager) NextWake() time.Time {
	var wake time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	for _, in := range m.order { // a slice: this is asked with every packet
		if !in.retryAt.IsZero() {
			earlier(in.retryAt) // nothing else of it goes on before
			continue
		}
		if in.job == nil && in.run == 0 && m.valid {
			earlier(in.due)
		}
	}
	return wake
}

func (m *Manager) advance(now time.Time, in *instance, active *int) {
	if !in.retryAt.IsZero() && now.Before(in.retryAt) {
		return
	}
	in.retryAt = time.Time{}
	if j := in.job; j != nil {
		m.advanceJob(now, in, j, active)
		return
	}
	if in.dirty && !in.writing {
		m.report(in)
	}
	if in.run == 0 && m.valid && !in.due.IsZero() && !now.Before(in.due) {
		m.repeat(in)
	}
}

func (m *Manager) advanceJob(now time.Time, in *instance, j *job, active *int) {
	switch j.phase {
	case seen:
		if !m.valid {
			return
		}
		if j.asked.ValidityEpoch != m.epoch {
			if m.registered != m.epoch {
				return // refused now, it would be asked for again, of the old epoch, at once
			}
			// Asked before we lost validity: whoever asked knew an older world.
			j.drop, j.refuse = true, true
			m.finish(now, in, j)
			return
		}
		j.phase = claiming
		p := j.asked
		p.State, p.Incarnation, p.Claimed = cib.ActionRunning, m.incarnation, now.Add(m.wall)
		m.commit(Claim, in, j, cib.Txn{If: m.compare(in, j), Put: []cib.Put{{Key: cib.PendingKey(m.node, in.id), Value: &p}}}, nil)
	case claimed:
		if in.run != 0 {
			if in.monitor != nil && j.action.Op != cib.OpMonitor {
				m.out = append(m.out, Kill{in.run}) // a hanging monitor must not delay a stop
				in.monitor = nil
			}
			return
		}
		if j.rev != 0 && !m.valid || *active >= m.limit && j.rev != 0 {
			return
		}
		if j.action.Op == cib.OpCleanup || j.action.Op == cib.OpCancel {
			m.end(now, in, Result{Status: cib.OpDone, Started: now.Add(m.wall), Ended: now.Add(m.wall)})
			m.finish(now, in, j)
			return
		}
		if mayActivate(j.action.Op) { // a monitor that looks whether it does not run has found its end
			maps.DeleteFunc(in.monitors, func(_ string, mon *monitor) bool { return mon.action.Role == cib.RoleStopped })
			in.setDue()
		}
		j.phase = running
		*active++
		m.lastRun++
		in.run = m.lastRun
		m.runs[in.run] = in
		m.out = append(m.out, Run{Run: in.run, Action: j.action, Direct: j.rev == 0, Claim: j.rev})
	case ended:
		m.finish(now, in, j)
	case claiming, running, finishing:
	}
}

// repeat runs the recurring monitor that is due first, when one is due.
func (m *Manager) repeat(in *instance) {
	var first *monitor
	for _, key := range slices.Sorted(maps.Keys(in.monitors)) {
		if mon := in.monitors[key]; first == nil || mon.due.Before(first.due) {
			first = mon
		}
	}
	m.lastRun++
	in.run, in.monitor = m.lastRun, first
	m.runs[in.run] = in
	m.out = append(m.out, Run{Run: in.run, Action: first.action})
}

// setDue notes when the next monitor is due. It is called whenever that may have
// changed: many wake-ups ask for it, and most find nothing due.
func (in *instance) setDue() {
	in.due = time.Time{}
	for _, mon := range in.monitors {
		if in.due.IsZero() || mon.due.Before(in.due) {
			in.due = mon.due
		}
	}
}

func (m *Manager) instance(id string) *instance {
	in := m.instances[id]
	if in == nil {
		in = &instance{id: id, monitors: map[string]*monitor{}}
		m.instances[id] = in
		i, _ := slices.BinarySearchFunc(m.order, id, func(in *instance, id string) int { return cmp.Compare(in.id, id) })
		m.order = slices.Insert(m.order, i, in)
	}
	return in
}

// sorted returns the instances by id. None may be added while they are walked.
func (m *Manager) sorted() []*instance { return m.order }
