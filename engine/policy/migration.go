package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// A live migration is three actions: migrate_to on the source, migrate_from on
// the target, stop on the source. From the moment when migrate_to is run, the
// instance may be active on the target; until migrate_from has ended well, it may
// be active on the source. What the nodes say is read with that in mind, whichever
// of the three was interrupted, and wherever.

// transfer is a migration that has begun: migrate_to ended well, migrate_from is
// still to come.
type transfer struct {
	from, to *fact
}

// unpackMigrations works out from the migrations that were begun where instances
// may be active.
func (u *state) unpackMigrations() {
	for _, l := range u.byKey {
		if !l.migrates {
			continue
		}
		facts := slices.Clone(l.facts)
		for _, f := range facts { // first what is over, which no later migration makes undone
			if f.out != nil {
				u.unpackMoved(l, f)
			}
		}
		for _, f := range facts {
			if p := f.pending; p != nil && p.Op == cib.OpMigrateTo && (f.dead || u.nodes[f.node].lost) {
				u.assumeMoved(l, f, u.nodeNamed(p.Peer), nil)
			}
			if f.out != nil {
				u.unpackMigrateTo(l, f)
			}
			if f.failed != nil && f.failed.Op == cib.OpMigrateFrom {
				u.unpackFailedMigrateFrom(l, f)
			}
			if f.expected != nil {
				u.unpackExpected(l, f)
			}
		}
	}
}

// unpackExpected reads the record that the DC made at the other end when it asked for
// a migration. As long as migrate_to may still be at work, the node has to wait;
// then it is migrate_from's turn, or it is to be found out what there is.
func (u *state) unpackExpected(l *ledger, f *fact) {
	p := f.expected
	s := u.nodeNamed(p.Peer)
	source := l.on(s)
	if source != nil && source.dead {
		source = nil
	}
	if to := moves(source, u.nodes[f.node].name); to != nil && to.ID == p.Migration {
		switch {
		case u.nodes[s].lost:
			f.role, f.sure, f.origin = max(f.role, cib.RoleStarted), true, source
			f.anew = "its migration from " + u.nodes[s].name + " did not come to its end"
		case !u.reachable(f.node):
			f.role = max(f.role, cib.RoleStarted)
		}
		return
	}
	f.role = max(f.role, cib.RoleStarted)
	if source != nil && source.history != nil && f.sure && f.failed == nil && u.reachable(s) && u.reachable(f.node) && l.rsc != nil && l.clone == nil {
		op := newestOf(source.history, cib.OpMigrateTo)
		if op != nil && op.ActionID == p.Migration && op.Succeeded() && newestAfter(source.history, op, true) == nil {
			source.role = max(source.role, cib.RoleStarted)
			l.rsc.transfer = &transfer{from: source, to: f}
			return
		}
	}
	f.sure, l.known[f.node] = false, false
}

// moves returns the migrate_to in flight on a node that leads to another one; nil if
// there is none.
func moves(f *fact, to string) *cib.Pending {
	if f == nil {
		return nil
	}
	if p := f.pending; p != nil && p.Op == cib.OpMigrateTo && p.Peer == to {
		return p
	}
	return nil
}

// historyOn returns what a node says of an instance in its present boot.
func (u *state) historyOn(l *ledger, n int32) *cib.History {
	h := u.s.Status.Histories[u.nodes[n].name][l.key]
	if h == nil || u.nodes[n].boot == "" || h.BootID != u.nodes[n].boot {
		return nil
	}
	return h
}

func (u *state) nodeNamed(name string) int32 {
	if n, ok := u.nodeIndex[name]; ok {
		return n
	}
	return nowhere
}

// unpackMoved notes that an instance has gone from a node, and arrived.
func (u *state) unpackMoved(l *ledger, f *fact) {
	t := u.nodeNamed(f.out.Peer)
	if t == nowhere || t == f.node || !f.out.Succeeded() {
		return
	}
	from := migratedFrom(u.historyOn(l, t), u.nodes[f.node].name)
	if from == nil || asked(f.out, from) || !from.Succeeded() || newestAfter(f.history, f.out, true) != nil {
		return
	}
	f.dangling = !f.dead // all that is left is to clean up the source
	if newestAfter(f.history, f.out, false) == nil {
		f.role = cib.RoleStopped
	}
}

// unpackMigrateTo reads the newest migrate_to on a node.
func (u *state) unpackMigrateTo(l *ledger, f *fact) {
	op := f.out
	t := u.nodeNamed(op.Peer)
	if t == nowhere || t == f.node {
		return
	}
	target := l.on(t)
	if target := l.on(t); target != nil && target.expected != nil && target.expected.Migration == op.ActionID {
		return // see unpackExpected
	}
	known := u.historyOn(l, t)
	from := migratedFrom(known, u.nodes[f.node].name)
	if from != nil && asked(op, from) {
		from = nil // of an earlier migration
	}
	here := newestAfter(f.history, op, true) // what the source did since
	there := newerThere(known, op, from)
	if from != nil && here != nil || here != nil && there {
		return // both have gone on since
	}
	good := op.Succeeded()
	if !good && here != nil && op.Ended.IsZero() {
		return // imported from where nobody said when it was
	}
	switch {
	case good && from != nil && here == nil && l.rsc != nil && l.rsc.connects != nowhere:
		f.role = cib.RoleStopped // who has closed a connection has none any more, whatever came of the next
	case good && from != nil: // see unpackMoved and unpackFailedMigrateFrom
	case there && good && here == nil && !f.dead:
		f.anew = "it was migrated to " + op.Peer + ", and does not run there"
	case there:
	case good && here == nil && (known != nil || target != nil && target.pending != nil) && !f.dead && u.reachable(t) && u.reachable(f.node):
		f.role = max(f.role, cib.RoleStarted)
		if target == nil {
			target = l.addFact(t)
			target.history, target.sure, target.current = known, true, true
		}
		target.role = max(target.role, cib.RoleStarted)
		if l.rsc != nil && l.clone == nil {
			l.rsc.transfer = &transfer{from: f, to: target}
		}
	case u.nodes[t].dead != "":
		if good && here == nil {
			f.role = max(f.role, cib.RoleStarted)
			f.anew = "it was migrated to " + op.Peer + ", and " + u.nodes[t].dead
		}
	case !u.recorded(op):
		u.assumeMoved(l, f, t, op)
	}
}

// recorded reports whether a migration was asked for here, so that a record at its
// other end stands until the node there has said what became of it. Of an imported one
// only the histories tell.
func (u *state) recorded(op *cib.OpResult) bool {
	_, ok := revisionOf(op.ActionID)
	return ok
}

// assumeMoved takes an instance to be active on the target of a migration that
// was not seen to its end.
func (u *state) assumeMoved(l *ledger, f *fact, t int32, op *cib.OpResult) {
	if t == nowhere || u.nodes[t].dead != "" {
		return
	}
	target := l.on(t)
	switch {
	case target != nil && (target.dead || target.role > cib.RoleStopped):
		return
	case target == nil && !l.known[t]:
		return // nothing is known of it, which is to be found out anyway
	case target == nil:
		target = l.addFact(t)
		target.history, target.current = u.historyOn(l, t), true
	}
	target.role, target.origin = cib.RoleStarted, f
	target.sure = op == nil || op.Status != cib.OpUnknown || !u.reachable(f.node) // else a look tells
	target.anew = "its migration from " + u.nodes[f.node].name + " did not come to its end"
	l.known[t] = target.sure
}

// unpackFailedMigrateFrom: the instance may still be active on the source, too.
func (u *state) unpackFailedMigrateFrom(l *ledger, f *fact) {
	source := l.on(u.nodeNamed(f.failed.Peer))
	if source == nil || source.dead || source.history == nil {
		return
	}
	to := newestOf(source.history, cib.OpMigrateTo)
	if l.rsc != nil && l.rsc.connects != nowhere && to != nil && to.Succeeded() {
		return // see unpackMigrateTo
	}
	if source.role > cib.RoleStopped {
		return
	}
	if to != nil && asked(to, f.failed) {
		return // the failure is of an earlier migration
	}
	if to != nil && newestAfter(source.history, to, false) != nil || to == nil && !u.olderThan(source.history, f.failed) {
		return
	}
	source.role = cib.RoleStarted
	source.anew = "its migration to " + u.nodes[f.node].name + " failed"
}

// reachable reports whether actions can be asked of a node.
func (u *state) reachable(n int32) bool { return u.nodes[n].member && !u.nodes[n].lost }

// newerThere reports whether a node knows more of an instance than the migration
// to it: a start, stop or migration since, or a look that did not find it.
func newerThere(h *cib.History, op, from *cib.OpResult) bool {
	if h == nil {
		return false
	}
	for i := range h.Ops {
		o := &h.Ops[i]
		if o == from || !o.Says() {
			continue
		}
		newer := from != nil && o.Seq > from.Seq || from == nil && asked(o, op)
		if newer && (changesPlace(o.Op) || o.Op == cib.OpMonitor && (o.RC == cib.NotRunning || o.Interval == 0)) {
			return true
		}
	}
	return false
}

// olderThan reports whether all that a node did with an instance is older than a
// result of another node.
func (u *state) olderThan(h *cib.History, op *cib.OpResult) bool {
	for i := range h.Ops {
		if h.Ops[i].Says() && asked(&h.Ops[i], op) {
			return false
		}
	}
	return true
}

// changesPlace reports whether an operation says where an instance is.
func changesPlace(op string) bool {
	switch op {
	case cib.OpStart, cib.OpStop, cib.OpMigrateTo, cib.OpMigrateFrom:
		return true
	}
	return false
}

// newestAfter returns the newest result after one of the same history; with
// moves only those of operations that change where the instance is.
func newestAfter(h *cib.History, op *cib.OpResult, moves bool) *cib.OpResult {
	var last *cib.OpResult
	for i := range h.Ops {
		o := &h.Ops[i]
		if o.Seq <= op.Seq || !o.Says() || moves && !changesPlace(o.Op) || o.Op == cib.OpMonitor && o.Interval > 0 {
			continue
		}
		if last == nil || o.Seq > last.Seq {
			last = o
		}
	}
	return last
}

// newestOf returns the newest result of an operation.
func newestOf(h *cib.History, op string) *cib.OpResult {
	var last *cib.OpResult
	for i := range h.Ops {
		if o := &h.Ops[i]; o.Op == op && (last == nil || o.Seq > last.Seq) {
			last = o
		}
	}
	return last
}

// migratedFrom returns the newest migrate_from on a node that came from a source;
// nil if there is none.
func migratedFrom(h *cib.History, source string) *cib.OpResult {
	if h == nil {
		return nil
	}
	if op := newestOf(h, cib.OpMigrateFrom); op != nil && op.Peer == source && op.Says() {
		return op
	}
	return nil
}

// asked reports whether a result of one node came after one of another node. The
// revisions of the store at which the two were asked for tell; where they were not
// asked for here (they are imported), the clocks must do.
func asked(a, than *cib.OpResult) bool {
	m, okM := revisionOf(a.ActionID)
	n, okN := revisionOf(than.ActionID)
	if okM && okN && (a.Op != cib.OpMonitor || a.Interval == 0) {
		return m > n
	}
	return !than.Ended.IsZero() && a.Ended.After(than.Ended)
}

// revisionOf is the revision at which an action was asked for.
func revisionOf(id string) (int64, bool) {
	text, _, _ := strings.Cut(id, ".")
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0
}

// addFact adds a fact about a node of which there was none.
func (l *ledger) addFact(n int32) *fact {
	f := &fact{node: n, role: cib.RoleStopped}
	i, _ := slices.BinarySearchFunc(l.facts, n, func(f *fact, n int32) int { return cmp.Compare(f.node, n) })
	l.facts = slices.Insert(l.facts, i, f)
	return f
}

// migration is a move of a primitive that may be a live migration.
type migration struct {
	rsc         *rsc
	source      *fact
	to, from    int32 // its steps; to is noStep where it has ended already
	stop, start int32
	off         bool // it is not possible: the instance is stopped and started
}

// mayMigrate reports whether an instance can be migrated to its new node, and from
// where. What failed, is unmanaged, or is not known for sure, cannot.
func (b *planner) mayMigrate(r *rsc, t int32) *fact {
	if !r.settings.migrates || r.clone != nil || r.orphan || t == nowhere || b.left[r.index] || !b.reachable(t) {
		return nil
	}
	if b.recovers(r).Cause != "" {
		return nil // to stop it is what it takes
	}
	if x := r.transfer; x != nil {
		if len(r.active) == 2 && x.to.node == t && b.reachable(x.from.node) && x.from.failed == nil && x.to.failed == nil {
			return x.from
		}
		return nil
	}
	if len(r.active) != 1 {
		return nil
	}
	f := r.active[0]
	switch {
	case f.node == t, !b.reachable(f.node), !f.sure, f.failed != nil, f.anew != "", f.role != cib.RoleStarted:
		return nil
	case isBusy(f, cib.OpStart), isBusy(f, cib.OpStop):
		return nil
	case f.since != nil && b.recorded(f.since) && b.parametersChanged(r, f):
		return nil // it would go on with the old ones
	}
	return f
}

// planMigration makes the steps of a migration.
func (b *planner) planMigration(r *rsc, source *fact) {
	t := b.target[r.index]
	why := b.why[r.index]
	if r.transfer != nil {
		why.Cause = "it is on its way from " + b.nodes[source.node].name
	}
	m := &migration{rsc: r, source: source, to: noStep, start: b.start[r.index], stop: noStep}
	for k, f := range r.active {
		if f == source {
			m.stop = b.stop[r.index][k]
		}
	}
	if r.transfer == nil {
		m.to = b.add(step{op: cib.OpMigrateTo, rank: rankMigrateTo, rsc: r, node: source.node, fact: source, required: true, why: why, peer: t})
	}
	if x := b.factAt(r, t); x != nil && m.to != noStep && !isBusy(source, cib.OpMigrateTo) {
		b.steps[m.to].held = x.pending != nil // what happens there must be over before
		for _, s := range b.stop[r.index] {
			if b.steps[s].node == t {
				b.relate(s, m.to, before|needs, "") // what is left of an earlier migration
			}
		}
	}
	m.from = b.add(step{op: cib.OpMigrateFrom, rank: rankMigrateFrom, rsc: r, node: t, fact: b.factAt(r, t), required: true, why: why, peer: source.node})
	b.steps[m.start].point, b.steps[m.start].required = true, true
	for k, f := range r.active { // the target of one that has begun is not stopped
		if f != source {
			b.steps[b.stop[r.index][k]].required = false
		}
	}
	if b.migrations == nil {
		b.migrations = make(map[int32]*migration)
	}
	b.migrations[r.index] = m
	b.migrating = append(b.migrating, m)
}

// planDangling stops what was migrated away, where it came from.
func (b *planner) planDangling(r *rsc) {
	if r.ledger == nil || !r.ledger.migrates || r.anonymous() {
		return
	}
	for _, f := range r.ledger.facts {
		n := &b.nodes[f.node]
		if !f.dangling || f.role > cib.RoleStopped || !b.reachable(f.node) || !b.managedOn(r, f.node) {
			continue
		}
		stop := b.add(step{
			op: cib.OpStop, rank: rankStop, rsc: r, node: f.node, fact: f, required: true,
			why: cib.Why{Cause: "it was migrated away from " + n.name},
		})
		b.stop[r.index] = append(b.stop[r.index], stop)
		b.relate(stop, b.start[r.index], before|needs, "")
	}
}

// isMigrated reports whether a resource moves by migration.
func (b *planner) isMigrated(r *rsc) bool {
	if r == nil || b.migrations == nil {
		return false
	}
	m := b.migrations[r.index]
	return m != nil && !m.off
}

// replaced reports whether a step is the start or stop of a migration: those
// follow from it, and nothing is restarted because of them.
func (b *planner) replaced(s *step) bool {
	return (s.op == cib.OpStart || s.op == cib.OpStop) && s.rsc != nil && b.isMigrated(s.rsc)
}

// orderMigrations puts into the order what holds for a migration as for a start:
// what the instance needs runs at the new place before. And as for a stop: what
// needs the instance, and is not migrated itself, has stopped before.
func (b *planner) orderMigrations() {
	cache := map[int32][]int32{}
	for _, m := range b.migrating {
		first := m.first()
		for e := b.steps[m.start].in; e != noStep; e = b.edges[e].nextIn {
			x := b.edges[e]
			s := &b.steps[x.first]
			if x.relation&before == 0 || s.rsc == m.rsc && s.op != cib.OpMonitor || s.op == cib.OpStart && m.to == noStep {
				continue
			}
			rel := before
			if x.relation&loose != 0 {
				rel |= unlessMigrated
			}
			b.relate(x.first, first, rel, x.rule)
		}
		if m.stop != noStep {
			for e := b.steps[m.stop].in; e != noStep; e = b.edges[e].nextIn {
				if x := b.edges[e]; x.relation&before != 0 {
					for _, s := range b.stepsBehind(x.first, cache) {
						if b.steps[s].rsc != m.rsc {
							b.relate(s, first, before|unlessMigrated, x.rule)
						}
					}
				}
			}
		}
		b.relate(m.to, m.from, before|needs, "")
		b.relate(m.from, m.stop, before|needs, "")
		b.relate(m.from, m.start, before|needs, "")
	}
}

// stepsBehind returns a step, or instead of a point the steps that lead to it.
func (b *planner) stepsBehind(i int32, cache map[int32][]int32) []int32 {
	if s := &b.steps[i]; !s.point || s.fact != nil {
		return []int32{i}
	}
	if out, ok := cache[i]; ok {
		return out
	}
	cache[i] = nil // a circle of points leads nowhere
	var out []int32
	for e := b.steps[i].in; e != noStep; e = b.edges[e].nextIn {
		if b.edges[e].relation&before != 0 {
			out = append(out, b.stepsBehind(b.edges[e].first, cache)...)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	cache[i] = out
	return out
}

// settleMigrations turns migrations that cannot be done into moves by stop and
// start, until the rest can: those that lack something, and those whose new place
// is ready only after the old one is gone.
func (b *planner) settleMigrations() {
	b.orderMigrations()
	b.spread()
	for {
		changed := false
		for _, m := range b.migrating {
			if !m.off && b.fails(m) {
				b.drop(m)
				changed = true
			}
		}
		if !changed {
			circle, list := b.circles()
			if changed = b.exchange(circle, list); !changed {
				for _, m := range b.toDrop(circle, list) {
					b.drop(m)
					changed = true
				}
			}
		}
		if !changed {
			return
		}
		b.spread()
	}
}

func (b *planner) fails(m *migration) bool {
	for _, i := range []int32{m.to, m.from, m.start, m.stop} {
		if i != noStep && b.steps[i].stuck != "" {
			return true
		}
	}
	return b.steps[m.start].absent
}

// drop makes a move of a migration.
func (b *planner) drop(m *migration) {
	m.off = true
	for _, i := range []int32{m.to, m.from} {
		if i != noStep {
			b.steps[i].required = false
		}
	}
	for _, s := range b.stop[m.rsc.index] {
		if b.steps[s].stuck == "" {
			b.steps[s].required, b.steps[s].why = true, b.why[m.rsc.index]
		}
		b.queue(s)
	}
	b.steps[m.start].point = false
	b.queue(m.start)
}

// exchange lets migrations that wait for each other's room begin all the same: a
// node has more on it than it should for a moment, but nothing is interrupted.
func (b *planner) exchange(circle []int32, list []*migration) bool {
	found := false
	for _, m := range list {
		first := m.first()
		for e := b.steps[first].in; e != noStep; e = b.edges[e].nextIn {
			x := &b.edges[e]
			if x.rule == capacityRule && x.relation&before != 0 && circle[x.first] == circle[first] {
				x.relation &^= before
				found = true
			}
		}
	}
	return found
}

// toDrop chooses among migrations that wait for themselves those that need what is
// stopped at the old place before it starts at the new one; all of them if none
// does. circle numbers the circle of each step.
func (b *planner) toDrop(circle []int32, list []*migration) []*migration {
	cache := map[int32][]int32{}
	var out []*migration
	for _, m := range list {
		first := m.first()
		for e := b.steps[first].in; e != noStep; e = b.edges[e].nextIn {
			if !b.holds(&b.edges[e]) || circle[b.edges[e].first] != circle[first] {
				continue
			}
			if slices.ContainsFunc(b.stepsBehind(b.edges[e].first, cache), func(i int32) bool {
				s := &b.steps[i]
				return s.op == cib.OpStart && s.required && !s.point && circle[i] == circle[first]
			}) {
				out = append(out, m)
				break
			}
		}
	}
	if len(out) == 0 {
		return list
	}
	return out
}

// first is the first step of a migration.
func (m *migration) first() int32 {
	if m.to == noStep {
		return m.from
	}
	return m.to
}

// circles finds migrations that would have to wait for themselves (Tarjan), and
// numbers the circles that steps are in.
func (b *planner) circles() ([]int32, []*migration) {
	b.findLive()
	next := make([]int32, len(b.steps))
	index, low := make([]int32, len(b.steps)), make([]int32, len(b.steps))
	on, circle := make([]bool, len(b.steps)), make([]int32, len(b.steps))
	var stack, path []int32
	var count int32
	var out []*migration
	for root := range b.migrating {
		m := b.migrating[root]
		if m.off || index[m.from] != 0 {
			continue
		}
		path = append(path[:0], m.from)
		for len(path) > 0 {
			v := path[len(path)-1]
			if index[v] == 0 {
				count++
				index[v], low[v], on[v], next[v] = count, count, true, b.steps[v].out
				stack = append(stack, v)
			}
			e := next[v]
			if e != noStep {
				next[v] = b.edges[e].nextOut
				w := b.edges[e].then
				switch {
				case !b.holds(&b.edges[e]) || !b.live(v) || !b.live(w):
				case index[w] == 0:
					path = append(path, w)
				case on[w]:
					low[v] = min(low[v], index[w])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				p := path[len(path)-1]
				low[p] = min(low[p], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			k := slices.Index(stack, v)
			members := stack[k:]
			stack = stack[:k]
			for _, w := range members {
				on[w], circle[w] = false, v+1
				if s := &b.steps[w]; len(members) > 1 && s.op == cib.OpMigrateFrom && b.isMigrated(s.rsc) {
					out = append(out, b.migrations[s.rsc.index])
				}
			}
		}
	}
	return circle, out
}

// holds reports whether an edge puts its steps in order.
func (b *planner) holds(e *edge) bool {
	switch {
	case e.relation&before == 0:
		return false
	case e.relation&unlessMigrated != 0:
		return !b.isMigrated(b.steps[e.first].rsc)
	case e.relation&loose != 0: // what is migrated leaves after it has arrived, and so does what goes with it
		return !b.isMigrated(b.steps[e.first].rsc) || !b.isMigrated(b.steps[e.then].rsc)
	}
	return true
}
