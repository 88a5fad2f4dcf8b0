package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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
		case succeeded(op):
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

// succeeded reports whether a result is what it should be. A probe only looks:
// whatever state it finds is a success.
func succeeded(op *cib.OpResult) bool {
	if op.Status != cib.OpDone {
		return false
	}
	if op.Op == cib.OpMonitor && op.Interval == 0 {
		switch op.RC {
		case cib.OK, cib.NotRunning, cib.RunningPromoted, cib.Degraded, cib.DegradedPromoted:
			return true
		}
		return false
	}
	switch op.RC {
	case op.Expected:
		return true
	case cib.Degraded:
		return op.Expected == cib.OK
	case cib.DegradedPromoted:
		return op.Expected == cib.RunningPromoted
	}
	return false
}

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
	count := f.history.FailCount
	last := f.history.LastFailure
	for i := range f.history.Ops {
		op := &f.history.Ops[i]
		if u.ofOtherParameters(r, f, op) {
			return // what was changed may have mended it
		}
		if count > 0 && op.Op == cib.OpStart && f.failedLast(op) && u.opt.StartFailureIsFatal() && u.onFail(r, op) != cib.OnFailIgnore {
			count = cib.Infinity
			if !last.IsZero() && last.Before(op.Ended) {
				last = op.Ended
			}
		}
	}
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

// ofOtherParameters reports whether a start or monitor failed with other parameters
// than the configured ones.
func (u *state) ofOtherParameters(r *rsc, f *fact, op *cib.OpResult) bool {
	if op.Op != cib.OpStart && op.Op != cib.OpMonitor || op.Digest == "" || r.orphan || !f.failedLast(op) {
		return false
	}
	return op.Digest != cib.Digest(parametersOf(r, r.operation(op.Op, op.Interval)))
}

// failedLast reports whether op failed and is the newest of its kind.
func (f *fact) failedLast(op *cib.OpResult) bool {
	switch op.Status {
	case cib.OpUnknown, cib.OpCancelled, cib.OpNotRun, 0:
		return false
	case cib.OpDone, cib.OpTimeout, cib.OpNotInstalled, cib.OpError:
	}
	if succeeded(op) {
		return false
	}
	for i := range f.history.Ops {
		o := &f.history.Ops[i]
		if o.Op == op.Op && o.Interval == op.Interval && o.Seq > op.Seq && succeeded(o) {
			return false
		}
	}
	return true
}

// primitive returns the resource a ledger is about, for its settings.
func (l *ledger) primitive() *rsc { return l.rsc }

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
			return cib.OnFailBlock // there is nothing to fence with
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

// spreadInstances gives each instance the facts about it: a primitive all of
// its ledger, an instance of an anonymous clone those of one node.
func (u *state) spreadInstances() {
	u.endInside()
	u.judgeNodes()
	for _, r := range u.rscs {
		if r.kind == cib.KindPrimitive && !r.anonymous() && r.ledger != nil {
			r.active = u.activeFacts(r.ledger)
			if len(r.active) == 0 && len(r.ledger.facts) > 0 {
				r.was = u.lastPlace(r.ledger)
			}
		}
	}
	for _, r := range slices.Clip(u.rscs) { // more are appended
		switch {
		case r.kind == cib.KindBundle && r.inner() != nil && !r.inner().unique():
			u.spreadReplicas(r)
		case r.cfg.Clone != nil && !r.unique() && r.bundle() == nil:
			u.spreadClone(r)
		}
	}
}

// activeFacts lists where an instance is active. Where that is known of one
// place, an assumption about another only asks for a probe; of assumptions
// alone one is believed.
func (u *state) activeFacts(l *ledger) []*fact {
	var sure, assumed []*fact
	for _, f := range l.facts {
		switch {
		case f.dead || f.role <= cib.RoleStopped:
		case f.sure || !u.nodes[f.node].member || u.nodes[f.node].lost: // nobody can look there
			sure = append(sure, f)
		default:
			assumed = append(assumed, f)
		}
	}
	if len(sure) > 0 || len(assumed) < 2 {
		return append(sure, assumed[:min(len(assumed), 1-min(1, len(sure)))]...)
	}
	return assumed[:1]
}

// spreadClone numbers the instances of an anonymous clone: the one on the n-th
// node is number n where clone-max allows that, so that numbers stay.
func (u *state) spreadClone(c *rsc) {
	keys := map[string]*ledger{}
	inner := u.s.Config.Resources[c.cfg.Clone.Resource]
	if inner == nil || c.fault != "" {
		return
	}
	for _, key := range append([]string{c.cfg.Clone.Resource}, inner.Group...) {
		if l := u.ledgers[key]; l != nil && l.clone == c {
			keys[key] = l
		}
	}
	on := make(map[int32]bool)
	for _, l := range keys {
		for _, f := range l.facts {
			if !f.dead && f.role > cib.RoleStopped {
				on[f.node] = true
			}
		}
	}
	u.addPast(on, keys, u.cloneMax(c))
	taken := make(map[int32]*rsc, len(on)) // node to instance
	used := make([]bool, len(c.children))
	nodes := slices.Sorted(maps.Keys(on))
	if u.opt.PacemakerTies() { // it numbers them as it comes across them: by the nodes' age
		slices.SortStableFunc(nodes, func(a, b int32) int { return cmp.Compare(u.nodes[a].cfg.ID, u.nodes[b].cfg.ID) })
	} else {
		for _, n := range nodes {
			if int(n) < len(used) {
				used[n], taken[n] = true, c.children[n]
			}
		}
	}
	next := 0
	for _, n := range nodes {
		if taken[n] != nil {
			continue
		}
		for next < len(used) && used[next] {
			next++
		}
		if next < len(used) {
			used[next], taken[n] = true, c.children[next]
		} else {
			taken[n] = u.addInstance(c, len(c.children)) // one too many: it is stopped
		}
	}
	for _, n := range nodes {
		taken[n].primitives(func(r *rsc) {
			if f := r.ledger.on(n); f != nil && !f.dead && f.role > cib.RoleStopped {
				r.active = append(r.active, f)
			} else if f != nil && onTheWay(f) {
				r.was = f
			}
		})
	}
}

// addPast adds the nodes on which instances of an anonymous clone were stopped
// on their way, as long as the clone has that many.
func (u *state) addPast(on map[int32]bool, keys map[string]*ledger, limit int) {
	for i := range u.nodes {
		n := int32(i)
		if len(on) >= limit || on[n] {
			continue
		}
		for _, l := range keys {
			if f := l.on(n); f != nil && onTheWay(f) {
				on[n] = true
			}
		}
	}
}

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
