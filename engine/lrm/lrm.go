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
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// Result is what came of running a resource agent.
type Result struct {
	Status  cib.OpStatus
	RC      int
	Started time.Time // wall clock
	Ended   time.Time
	Exec    time.Duration
	Reason  string
	Output  string
	// Reloadable are the parameters that the agent can take over while the instance
	// runs (OCF Resource Agent API 1.1, "reload-agent"), whether they are set or not.
	Reloadable []string
}

// Command is something the manager wants done. The types below are all.
type Command interface{ command() }

type (
	// Commit asks for a transaction; [Manager.Committed] answers with the same Tag.
	Commit struct {
		Tag    Tag
		Txn    cib.Txn
		Events []cib.Event // to be written in the same transaction
	}
	// Run runs an agent; [Manager.Done] answers. Direct marks a stop without the
	// store on a node that lost validity: it has no end to its permission.
	Run struct {
		Run    uint64
		Action cib.Action
		Direct bool
	}
	// Kill ends a running agent; its Done says cancelled.
	Kill struct{ Run uint64 }
)

func (Commit) command() {}
func (Run) command()    {}
func (Kill) command()   {}

// Tag names a transaction of the manager.
type Tag struct {
	Kind     TagKind
	Instance string
	ActionID string
	job      *job // that it is for; another one for the same action is not meant
}

// TagKind is what a transaction of the manager is for.
type TagKind uint8

// The transactions of the manager.
const (
	Claim  TagKind = iota + 1 // asked → running
	Finish                    // result written, record ended
	Report                    // history written, without a record
	Refuse                    // a record that can't be claimed is ended
)

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes of a transaction.
const (
	Done    Outcome = iota + 1 // all of it happened
	Refused                    // a compare failed, nothing happened
	Unknown                    // no answer
)

// retryPause is the time before a transaction without an answer is tried again.
const retryPause = 500 * time.Millisecond

// tellAgain is the time after which a recurring monitor that still fails in the
// same way is recorded again.
const tellAgain = 10 * time.Second

// Manager is the local resource manager of one node.
type Manager struct {
	node        string
	incarnation uint64
	bootID      string

	epoch     uint64 // validity epoch
	valid     bool
	limit     int           // agents of actions running at a time
	wall      time.Duration // wall clock minus steady clock
	seq       uint64
	lastRun   uint64
	instances map[string]*instance
	order     []*instance // by id
	runs      map[uint64]*instance
	stored    map[string]*cib.History // what the newest snapshot shows
	out       []Command
}

// New returns a manager that knows nothing. The validity epoch starts at the
// incarnation: the end of an engine is a loss of validity, and what was asked of the
// one before is not executed by this one.
func New(node string, incarnation uint64, bootID string) *Manager {
	return &Manager{
		node: node, incarnation: incarnation, bootID: bootID, epoch: incarnation, limit: 4,
		instances: map[string]*instance{}, runs: map[uint64]*instance{},
	}
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

// Sync takes what the store shows of this node: its pending records and its
// histories, by instance.
func (m *Manager) Sync(now time.Time, pending map[string]*cib.Pending, histories map[string]*cib.History) {
	m.stored = histories
	for id, h := range histories { // each by itself: their order does not matter
		if in := m.instances[id]; in == nil && h.BootID == m.bootID {
			m.instance(id).history = h
			m.seq = max(m.seq, lastSeq(h))
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
		m.out = append(m.out, Run{Run: in.run, Action: j.action, Direct: j.rev == 0})
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

// Done ends a Run.
func (m *Manager) Done(now time.Time, run uint64, r Result) {
	in := m.runs[run]
	if in == nil {
		return
	}
	delete(m.runs, run)
	in.run = 0
	if j := in.job; j != nil && j.phase == running {
		if r.Status == cib.OpNotRun {
			j.phase, j.drop = ended, true
			return
		}
		if r.Status == cib.OpCancelled {
			r.Status = cib.OpUnknown // killed half-way: only a probe can tell
		}
		m.end(now, in, r)
		return
	}
	mon := in.monitor
	in.monitor = nil
	if mon == nil || in.monitors[mon.action.Key()] != mon || r.Status == cib.OpNotRun || r.Status == cib.OpCancelled {
		return
	}
	mon.due = now.Add(mon.action.Interval.D())
	in.setDue()
	if r.RC == mon.rc && r.Status == mon.status {
		// Nothing new: the store is spared. But a failure expires, so that one
		// that goes on is told again, as the same.
		if Failed(&mon.action, r) && !now.Before(mon.told.Add(tellAgain)) {
			mon.told, in.dirty = now, true
			m.again(in, &mon.action, r)
		}
		return
	}
	mon.rc, mon.status, mon.told = r.RC, r.Status, now
	if op := m.keep(in, &mon.action, r); op.Failed {
		in.events = append(in.events, m.eventsOf(&mon.action, op)...)
	}
	in.dirty = true
}

// again makes the newest failure of a recurring monitor one of now.
func (m *Manager) again(in *instance, a *cib.Action, r Result) {
	h := m.own(in, a)
	for i := len(h.Ops) - 1; i >= 0; i-- {
		if op := &h.Ops[i]; op.Failed && op.Op == a.Op && op.Interval == a.Interval {
			op.Started, op.Ended, h.LastFailure = r.Started, r.Ended, r.Ended
			return
		}
	}
}

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
	txn := cib.Txn{If: []cib.Compare{{Key: cib.HistoryKey(m.node, in.id), ModRev: rev}}}
	m.addHistory(in, &txn)
	m.out = append(m.out, Commit{Tag: Tag{Kind: Report, Instance: in.id}, Txn: txn, Events: in.events})
	in.events = nil
}

func (m *Manager) addHistory(in *instance, txn *cib.Txn) {
	if in.history == nil {
		txn.Delete = append(txn.Delete, cib.HistoryKey(m.node, in.id))
		return
	}
	txn.Put = append(txn.Put, cib.Put{Key: cib.HistoryKey(m.node, in.id), Value: in.history})
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

func lastSeq(h *cib.History) uint64 {
	var last uint64
	for i := range h.Ops {
		last = max(last, h.Ops[i].Seq)
	}
	return last
}

// end takes the result of the job's action into the history and prepares the
// events that go with it.
func (m *Manager) end(now time.Time, in *instance, r Result) {
	j := in.job
	j.phase = ended
	a := &j.action
	defer in.setDue()
	switch a.Op {
	case cib.OpCleanup:
		in.history = nil
		clear(in.monitors)
		return
	case cib.OpCancel:
		key := (&cib.Action{Instance: a.Instance, Op: cib.OpMonitor, Interval: a.Interval}).Key()
		delete(in.monitors, key)
		if in.history != nil {
			h := m.own(in, a)
			h.Ops = slices.DeleteFunc(h.Ops, func(o cib.OpResult) bool { return o.Op == cib.OpMonitor && o.Interval == a.Interval })
		}
		return
	}
	op := m.keep(in, a, r)
	switch {
	case a.Op == cib.OpMonitor && a.Interval > 0:
		in.monitors[a.Key()] = &monitor{action: *a, due: now.Add(a.Interval.D()), told: now, rc: r.RC, status: r.Status}
	case (a.Op == cib.OpStop || a.Op == cib.OpMigrateTo) && !op.Failed, a.Op == cib.OpStop && j.rev == 0:
		// Also after a stop of the node's own that failed: the record of a monitor may
		// still wait for its end, and it must not run meanwhile.
		clear(in.monitors)
	case a.Op == cib.OpDemote && (!op.Failed || j.rev == 0):
		maps.DeleteFunc(in.monitors, func(_ string, mon *monitor) bool { return mon.action.Role == cib.RolePromoted })
	}
	j.events = m.eventsOf(a, op)
}

// keep adds a result to the history.
func (m *Manager) keep(in *instance, a *cib.Action, r Result) *cib.OpResult {
	h := m.own(in, a)
	m.seq++
	op := cib.OpResult{
		ActionID: a.ID, Seq: m.seq, Op: a.Op, Interval: a.Interval, Role: a.Role, RC: r.RC, Expected: a.Expected, Probe: a.Probe,
		Status: r.Status, Started: r.Started, Ended: r.Ended, Exec: r.Exec, Reason: r.Reason, Output: r.Output,
		Digest: cib.Digest(a.Parameters), Peer: a.Peer, Why: a.Why, Phase: a.Phase,
	}
	if a.Op == cib.OpNotify {
		op.Round = a.Round
	}
	op.Failed = Failed(a, r)
	if op.Failed {
		if ms, err := strconv.ParseInt(a.Meta["failure_timeout"], 10, 64); err == nil && ms > 0 && r.Ended.Sub(h.LastFailure) >= time.Duration(ms)*time.Millisecond {
			h.FailCount = 0 // those before have expired
		}
		h.FailCount = h.FailCount.Add(1)
		h.LastFailure = r.Ended
	}
	if len(r.Reloadable) > 0 && (a.Op == cib.OpStart || a.Op == cib.OpMigrateFrom || a.Probe) {
		rest := maps.Clone(a.Parameters)
		maps.DeleteFunc(rest, func(name, _ string) bool { return slices.Contains(r.Reloadable, name) })
		op.Reloadable, op.RestartDigest = r.Reloadable, cib.Digest(rest)
	}
	if a.Op == cib.OpReload {
		for _, o := range h.Ops { // what it could take over before, it still can
			if o.RestartDigest != "" {
				op.Reloadable, op.RestartDigest = o.Reloadable, o.RestartDigest
			}
		}
	}
	if a.Op == cib.OpStart || a.Op == cib.OpMigrateFrom || a.Op == cib.OpReload && !op.Failed {
		h.Parameters = a.Parameters
		h.Agent = a.Agent
	}
	h.Ops = append(slices.DeleteFunc(h.Ops, func(o cib.OpResult) bool {
		switch {
		case o.Op == cib.OpNotify && op.Op == cib.OpNotify:
			return cib.RoundID(o.Round) != cib.RoundID(op.Round) || o.Phase == op.Phase // of a round all stay: who was told is not told again
		case o.Op != op.Op || o.Interval != op.Interval:
			return o.Op == cib.OpMonitor && o.Interval > 0 && endsMonitor(&op, &o)
		case o.Failed && !op.Failed:
			return false // the last failure stays until it is cleaned up
		}
		return true
	}), op)
	return &h.Ops[len(h.Ops)-1]
}

// endsMonitor reports whether a result ends a recurring monitor. A stop ends every one
// that has not failed, and so does a migration; a demote ends those of the role Promoted,
// a start those of the role Stopped.
func endsMonitor(op, monitor *cib.OpResult) bool {
	switch op.Op {
	case cib.OpStop, cib.OpMigrateTo:
		return !op.Failed && !monitor.Failed
	case cib.OpDemote:
		return !op.Failed && !monitor.Failed && monitor.Role == cib.RolePromoted
	case cib.OpStart, cib.OpMigrateFrom:
		return monitor.Role == cib.RoleStopped
	}
	return false
}

// own returns a history of our own to change: snapshots share the stored one.
func (m *Manager) own(in *instance, a *cib.Action) *cib.History {
	h := &cib.History{Instance: a.Instance, Resource: a.Resource, Agent: a.Agent}
	if old := m.stored[a.Instance]; in.history == nil && old != nil && old.BootID != m.bootID {
		h.Ops = keptFor(old) // over a reboot
	}
	if in.history != nil {
		c := *in.history
		h = &c
		h.Ops = slices.Clone(h.Ops)
	}
	if h.Incarnation != m.incarnation {
		// Recurring monitors ended with the engine that ran them.
		h.Ops = slices.DeleteFunc(h.Ops, func(o cib.OpResult) bool { return o.Interval > 0 && !o.Failed })
	}
	h.BootID, h.Incarnation = m.bootID, m.incarnation
	in.history = h
	return h
}

// keptFor returns the stop that keeps an instance for this node while it is away,
// as shutdown-lock says.
func keptFor(h *cib.History) []cib.OpResult {
	for _, op := range h.Ops {
		if op.Op == cib.OpStop && op.Why.Rule == "shutdown-lock" {
			op.Seq = 0
			return []cib.OpResult{op}
		}
	}
	return nil
}

// Failed reports whether a result is a failure. A probe that finds the instance
// in any clean state has succeeded (OCF Resource Agent API, "monitor");
// degraded is still success.
//
// A notification never fails: nobody waits for more than its end.
func Failed(a *cib.Action, r Result) bool {
	if a.Op == cib.OpNotify {
		return false
	}
	if r.Status != cib.OpDone {
		return r.Status != cib.OpUnknown && r.Status != cib.OpCancelled
	}
	switch {
	case r.RC == a.Expected:
		return false
	case a.Op == cib.OpMonitor && a.Probe:
		return r.RC != cib.OK && r.RC != cib.NotRunning && r.RC != cib.RunningPromoted && r.RC != cib.Degraded && r.RC != cib.DegradedPromoted &&
			r.RC != cib.NotInstalled
	case a.Op == cib.OpMonitor && r.RC == cib.Degraded:
		return a.Expected != cib.OK
	case a.Op == cib.OpMonitor && r.RC == cib.DegradedPromoted:
		return a.Expected != cib.RunningPromoted
	}
	return true
}

// eventsOf returns what an operator is told of a result.
func (m *Manager) eventsOf(a *cib.Action, op *cib.OpResult) []cib.Event {
	var out []cib.Event
	add := func(number int, args ...string) {
		out = append(out, event.New(number, append(args, "node", m.node, "resource", a.Instance, "cause", a.Why.ID)...))
	}
	switch {
	case a.Op == cib.OpNotify:
		if op.Status != cib.OpDone && op.Status != cib.OpUnknown && op.Status != cib.OpCancelled || op.Status == cib.OpDone && op.RC != cib.OK {
			add(event.NotificationFailed, "phase", a.Phase, "reason", Words(op))
		}
	case op.Status == cib.OpTimeout:
		add(event.ActionTimedOut, "op", a.Op, "timeout", a.Timeout.String())
		add(event.ResourceFailed, "op", a.Op, "reason", "timed out after "+a.Timeout.String())
	case op.Failed:
		add(event.ResourceFailed, "op", a.Op, "reason", Words(op))
	case a.Op == cib.OpStart && op.Status == cib.OpDone:
		add(event.ResourceStarted)
	case a.Op == cib.OpStop && op.Status == cib.OpDone:
		add(event.ResourceStopped)
	}
	return out
}

// Words says in words how an operation failed.
func Words(op *cib.OpResult) string {
	text := map[int]string{
		cib.GenericError: "generic error", cib.InvalidParameter: "invalid parameter", cib.Unimplemented: "not implemented by the agent",
		cib.Insufficient: "insufficient permissions", cib.NotInstalled: "not installed", cib.NotConfigured: "not configured",
		cib.NotRunning: "not running", cib.RunningPromoted: "running promoted", cib.FailedPromoted: "failed in the promoted role", cib.OK: "running",
	}[op.RC]
	switch {
	case op.Status != cib.OpDone:
		text = cib.OpStatuses.Text(op.Status)
	case text == "":
		text = "an exit code that no agent may use"
	}
	if op.Reason != "" {
		text += " (" + op.Reason + ")"
	}
	return text
}
