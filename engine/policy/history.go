package policy

import (
	"cmp"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// ledger is what the nodes know of one instance, under its history key: the id
// of a primitive, with a number for an instance of a globally unique clone.
type ledger struct {
	key      string
	index    int32
	rsc      *rsc    // the primitive, or the first instance of its anonymous clone; nil if that has none
	clone    *rsc    // the anonymous clone it is in
	migrates bool    // some node began or ended a migration of it
	known    []bool  // by node: what it does there is known, for this boot and engine
	facts    []*fact // what is more than "known to be stopped", by node
}

// fact is what is known, or must be assumed, of an instance on one node.
type fact struct {
	node    int32
	role    cib.Role // Stopped, Started, Unpromoted or Promoted
	sure    bool     // not assumed: no operation was interrupted, and this engine said so
	history *cib.History
	// failed is the operation whose failure is to be recovered; nil if none.
	failed *cib.OpResult
	onFail cib.OnFail
	// banned is why it must not run there: a fatal error. "" if there is none.
	banned   string
	fatal    bool          // it must not run anywhere for that reason
	ignored  bool          // a failure was ignored, as on-fail says: none counts
	failures cib.Score     // that count, after expiry
	pending  *cib.Pending  // in flight on it; withdrawn ones too, until they are gone
	reset    *cib.OpResult // the failure after which a connection stays down for a while
	since    *cib.OpResult // the start or probe that found its parameters
	current  bool          // the history is of the engine that runs now
	out      *cib.OpResult // the newest migrate_to that may have moved it away
	expected *cib.Pending  // the record of a migration to here that is not settled
	dangling bool          // it was migrated away, and is still to be stopped here
	origin   *fact         // where a migration began that may have made it active here
	anew     string        // why it must be started anew though nothing failed here; "" if not
	dead     bool          // the boot it is about is over: it only tells why it is recovered
}

// on returns the fact about a node; nil if there is none.
func (l *ledger) on(n int32) *fact {
	i, ok := slices.BinarySearchFunc(l.facts, n, func(f *fact, n int32) int { return cmp.Compare(f.node, n) })
	if !ok {
		return nil
	}
	return l.facts[i]
}

// unpackHistories reads all histories and pending actions, node by node, and
// makes resources of the orphans among them.
func (u *state) unpackHistories() {
	for i := range u.nodes[:u.members] {
		u.unpackHistoriesOf(&u.nodes[i])
	}
	if u.members == len(u.nodes) {
		return
	}
	for i := u.members; i < len(u.nodes); i++ {
		if n := &u.nodes[i]; n.remote.former {
			u.bindFormer(n)
		}
	}
	u.unpackMigrations()
	u.knowUnfit()
	u.endInside()
	u.judgeNodes() // what is connected to a node that is to be fenced is cut off
	for i := u.members; i < len(u.nodes); i++ {
		n := &u.nodes[i]
		if c := n.remote.container; c != nil { // which may be on a remote node, read by now
			u.endInsideOf(c)
		}
		u.judgeRemote(n)
		u.unpackHistoriesOf(n)
		u.settleRemote(n)
	}
}

// unpackHistoriesOf reads what one node did.
func (u *state) unpackHistoriesOf(n *node) {
	st := &u.s.Status
	var strange []string
	histories, pending := st.Histories[n.name], st.Pending[n.name]
	for key, h := range histories {
		l := u.ledgers[key]
		if l == nil || l.rsc == nil && l.clone == nil {
			strange = append(strange, key)
			continue
		}
		u.unpackHistory(n, l, h, pending[key])
	}
	for key, p := range pending {
		if p == nil || histories[key] != nil {
			continue
		}
		if l := u.ledgers[key]; l == nil || l.rsc == nil && l.clone == nil {
			strange = append(strange, key)
			continue
		}
		u.unpackHistory(n, u.ledgers[key], nil, p)
	}
	slices.Sort(strange)
	for _, key := range strange {
		h, p := histories[key], pending[key]
		if u.ledgers[key] == nil && !u.adopt(key, h, p) {
			continue
		}
		u.unpackHistory(n, u.ledgers[key], h, p)
	}
}

// adopt makes a resource of an instance that is not in the configuration.
func (u *state) adopt(key string, h *cib.History, p *cib.Pending) bool {
	cfg := &cib.Resource{}
	var base string
	switch {
	case h != nil:
		cfg.Agent, cfg.Parameters, base = h.Agent, h.Parameters, cmp.Or(h.Resource, key)
	case p != nil:
		cfg.Agent, cfg.Parameters, base = p.Agent, p.Parameters, cmp.Or(p.Resource, key)
	default:
		return false
	}
	if real := u.s.Config.Resources[base]; real != nil && real.Agent != "" {
		cfg.Operations, cfg.Agent = real.Operations, cmp.Or(cfg.Agent, real.Agent)
	}
	r := u.newRsc(key, base, cfg, nil, -1)
	r.orphan = true
	r.ledger = u.ledger(key)
	r.ledger.rsc = r
	u.top = append(u.top, r)
	return true
}

// unpackHistory reads what one node says of one instance.
func (u *state) unpackHistory(n *node, l *ledger, h *cib.History, p *cib.Pending) {
	if n.boot == "" || h != nil && h.BootID != n.boot {
		h = nil
	}
	if n.dead != "" {
		if h != nil {
			f := &fact{node: n.index, role: cib.RoleStopped, history: h, dead: true}
			u.replay(l, f)
			if f.role > cib.RoleStopped || f.out != nil || u.opt.ShutdownLock && lockingStop(h) != nil {
				l.facts = append(l.facts, f)
			}
		}
		return
	}
	if h == nil && p == nil {
		return
	}
	if h != nil && p == nil && h.Incarnation >= n.incarnation && plainlyStopped(h) {
		l.known[n.index] = true
		return
	}
	f := &fact{node: n.index, role: cib.RoleStopped, history: h, pending: p}
	if p != nil && p.State == cib.ActionExpected {
		f.pending, f.expected, l.migrates = nil, p, true
	}
	f.current = h != nil && h.Incarnation >= n.incarnation
	f.sure = f.current
	if h != nil {
		u.replay(l, f)
		u.countFailures(l, f)
	}
	f.assume()
	if p != nil && (p.Op == cib.OpMigrateTo || p.Op == cib.OpMigrateFrom) {
		l.migrates = true
	}
	l.known[n.index] = f.sure
	l.facts = append(l.facts, f)
}

// plainlyStopped is the common case: a probe found nothing, nothing happened
// since.
func plainlyStopped(h *cib.History) bool {
	if len(h.Ops) != 1 || h.FailCount != 0 {
		return false
	}
	op := &h.Ops[0]
	return op.Probe && op.RC == cib.NotRunning && op.Status == cib.OpDone
}

// assume adds what an action in flight may still do.
func (f *fact) assume() {
	p := f.pending
	if p == nil {
		return
	}
	if p.Migration != "" { // it may have come by a migration, whatever is done about it now
		f.role = max(f.role, cib.RoleStarted)
		f.sure = f.sure && !p.Probe
	}
	switch p.Op {
	case cib.OpStart, cib.OpMigrateFrom:
		f.role = max(f.role, cib.RoleStarted)
		if f.history == nil {
			f.sure = true // nothing but this start is to be waited for
		}
	case cib.OpPromote:
		f.role = cib.RolePromoted
	}
}

// replay goes through the results in the order in which they happened, as
// Pacemaker unpacks its lrm_rsc_op entries.
func (u *state) replay(l *ledger, f *fact) {
	ops := f.history.Ops
	if !slices.IsSortedFunc(ops, bySeq) {
		ops = slices.Clone(ops)
		slices.SortStableFunc(ops, bySeq)
	}
	decided := false // some result tells the state
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Status == cib.OpCancelled || op.Status == cib.OpNotRun || op.Op == cib.OpNotify:
			continue
		case op.Status == cib.OpUnknown || op.Status == 0:
			// It was interrupted: a start may have happened, a stop may not.
			if op.Op == cib.OpMigrateTo || op.Op == cib.OpMigrateFrom {
				l.migrates = true
				if op.Op == cib.OpMigrateTo {
					f.out = op
				}
			}
			if op.Op == cib.OpStart || op.Op == cib.OpPromote || op.Op == cib.OpDemote || op.Op == cib.OpMigrateTo || op.Op == cib.OpMigrateFrom {
				f.role = max(f.role, cib.RoleStarted)
			}
			f.sure = false
			continue
		case op.Succeeded():
			decided = true
			l.migrates = l.migrates || op.Op == cib.OpMigrateTo || op.Op == cib.OpMigrateFrom
			u.replaySuccess(f, op)
		default:
			decided = true
			l.migrates = l.migrates || op.Op == cib.OpMigrateTo || op.Op == cib.OpMigrateFrom
			u.replayFailure(l, f, op)
		}
	}
	if !decided {
		f.sure = false
	}
}

func bySeq(a, b cib.OpResult) int { return cmp.Compare(a.Seq, b.Seq) }

func (u *state) replaySuccess(f *fact, op *cib.OpResult) {
	past := true // it ends what an earlier failure asked for
	switch op.Op {
	case cib.OpStart, cib.OpMigrateFrom:
		f.role, f.since = cib.RoleStarted, op
		f.interruptionOver()
	case cib.OpStop:
		f.role = cib.RoleStopped
		f.interruptionOver()
	case cib.OpMigrateTo:
		f.role, f.out, past = cib.RoleStarted, op, false // until the target has said more
		f.interruptionOver()
	case cib.OpReload:
		f.since, past = op, false
	case cib.OpPromote:
		f.role = cib.RolePromoted
	case cib.OpDemote:
		f.role = cib.RoleUnpromoted
	case cib.OpMonitor:
		switch op.RC {
		case cib.NotRunning:
			f.role = cib.RoleStopped
		case cib.RunningPromoted, cib.DegradedPromoted:
			f.role = cib.RolePromoted
		default:
			if f.role < cib.RoleStarted || op.Interval == 0 && f.role == cib.RolePromoted {
				f.role = cib.RoleStarted
			}
		}
		if op.Interval == 0 {
			f.interruptionOver()
			if op.Digest != "" && f.role > cib.RoleStopped && f.since == nil {
				f.since = op
			}
		}
		past = op.Interval == 0 || op.RC == cib.NotRunning || f.failed != nil && f.failed.Op == op.Op && f.failed.Interval == op.Interval
	default:
		past = false
	}
	if past && f.failed != nil && clearedBySuccess(f.onFail) {
		f.failed, f.onFail = nil, 0
	}
}

// interruptionOver: a start, stop or probe that ended tells the state again. A
// history of an older engine stays unsure.
func (f *fact) interruptionOver() {
	if f.current {
		f.sure = true
	}
}

// primitive returns the resource a ledger is about, for its settings.
func (l *ledger) primitive() *rsc { return l.rsc }

// judgeNodes applies the failures that concern a whole node: those that fence
// it or put it in standby.
func (u *state) judgeNodes() {
	for _, l := range u.byKey {
		for _, f := range l.facts {
			n := &u.nodes[f.node]
			if f.failed == nil || f.dead || !n.member {
				continue
			}
			switch f.onFail {
			case cib.OnFailFence:
				if l.rsc != nil && !u.managedOn(l.rsc, f.node) {
					continue
				}
				text := l.key + ": " + describeFailure(f.failed, n.name)
				if n.kind != kindGuest {
					u.condemn(n, text)
				} else if !u.loseGuest(n, text) {
					f.onFail = cib.OnFailBlock // there is nothing to recover it with
				}
			case cib.OnFailStandby:
				if n.usable {
					n.usable, n.why = false, "is in standby: "+l.key+": "+describeFailure(f.failed, n.name)
					n.standby = n.why
				}
			case cib.OnFailDefault, cib.OnFailIgnore, cib.OnFailBlock, cib.OnFailStop, cib.OnFailRestart, cib.OnFailDemote, cib.OnFailRestartContainer:
			}
		}
	}
}

// managedOn reports whether the cluster may act on a resource on a node.
func (u *state) managedOn(r *rsc, n int32) bool {
	return r.settings.managed && !r.settings.maintenance && !u.nodes[n].maintenance
}
