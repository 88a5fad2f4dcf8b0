package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
)

// store is a linearizable key-value store as etcd is to a node: transactions with
// compares of revisions, leases, watches that may be late and leave out what was
// overtaken, but show no half of a transaction. It answers whoever reaches, over a
// member, a leader that reaches a majority of the members.
type store struct {
	w       *World
	rev     int64
	mod     map[string]int64 // key to the revision of its last change
	raw     map[string][]byte
	leased  map[string]*engine
	snap    *cib.Snapshot
	members []int
	leader  int // -1: none
	since   int64
	voting  bool

	stallUntil int64 // no write is answered until then
	slow       time.Duration
}

const (
	leaseTTL      = 10 * time.Second
	clientTimeout = 5 * time.Second
)

func newStore(w *World) {
	s := &store{
		w: w, rev: 1, mod: map[string]int64{}, raw: map[string][]byte{}, leased: map[string]*engine{},
		snap: cib.Empty(), leader: -1, members: w.sc.Voters,
	}
	w.store = s
	c := w.sc.Config
	txn := cib.Txn{Put: []cib.Put{
		{Key: cib.KeyDataGen, Value: &cib.DataGeneration{Number: 1, Nonce: w.sc.Seed | 1}},
		{Key: cib.KeyConfigGen, Value: &cib.ConfigGeneration{Number: 1}},
		{Key: cib.KeyCluster, Value: &c.Cluster},
	}}
	if w.sc.StoredVoters {
		var voters []string
		for _, v := range w.sc.Voters {
			voters = append(voters, nodeName(w.sc, v))
		}
		slices.Sort(voters)
		txn.Put = append(txn.Put, cib.Put{Key: cib.KeyVoters, Value: &cib.VoterSet{Epoch: 1, Voters: voters, Reason: "first"}})
	}
	txn.Put = append(txn.Put, documents(cib.KeyNode, c.Nodes)...)
	txn.Put = append(txn.Put, documents(cib.KeyResource, c.Resources)...)
	txn.Put = append(txn.Put, documents(cib.KeyConstraint, c.Constraints)...)
	txn.Put = append(txn.Put, documents(cib.KeyFenceDevice, c.FenceDevices)...)
	txn.Put = append(txn.Put, documents(cib.KeyFenceTopology, c.FenceTopology)...)
	txn.Put = append(txn.Put, documents(cib.KeyQuorumDevice, c.QuorumDevices)...)
	if _, ok := s.apply(txn, nil); !ok {
		panic("the first transaction is refused")
	}
	for _, p := range txn.Put {
		if strings.HasPrefix(p.Key, cib.KeyConfig) {
			w.checks.config[p.Key] = s.raw[p.Key]
		}
	}
}

func documents[V any](prefix string, m map[string]V) []cib.Put {
	var out []cib.Put
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, cib.Put{Key: prefix + id, Value: m[id]})
	}
	return out
}

// request is a transaction on its way.
type request struct {
	e        *engine // nil: an administrator's
	m        *machine
	commit   node.Commit
	seen     int64 // the revision that the engine had seen when it made it
	answered bool
	then     func(node.Outcome, int64) // of an administrator's
}

// commit takes a node's transaction.
func (s *store) commit(e *engine, c node.Commit) {
	w := s.w
	if w.mutant != nil && w.mutant.commit != nil && !w.mutant.commit(w, e, &c) {
		return
	}
	for i := range c.Txn.Put {
		if doc, ok := c.Txn.Put[i].Value.(*cib.Member); ok {
			e.epoch = doc.ValidityEpoch
		}
	}
	e.commits++
	if e.commits > commitsMax {
		w.fail(ruleGrowth, "node %s has %d transactions on their way", e.m.name, e.commits)
	}
	s.send(&request{e: e, m: e.m, commit: c, seen: e.seen})
}

const commitsMax = 2000

func (s *store) send(q *request) {
	w := s.w
	r := w.storeRand
	w.afterOn(clientTimeout, q.m, ofEngine, q.e, func() { s.answer(q, node.Unknown, 0) })
	d := between(r, time.Millisecond, 6*time.Millisecond) + s.slow
	if w.faulty {
		switch r.IntN(200) {
		case 0, 4: // the connection breaks, and the request is on its way all the same
			w.afterOn(between(r, 0, 50*time.Millisecond), q.m, ofEngine, q.e, func() { s.answer(q, node.Unknown, 0) })
			d = between(r, 0, 3*time.Second)
		case 1, 2, 3:
			d += between(r, 0, 400*time.Millisecond)
		}
	}
	w.after(d, func() { s.arrive(q, 0) })
}

// arrive is when the leader would take the transaction.
func (s *store) arrive(q *request, tries int) {
	w := s.w
	r := w.storeRand
	if w.now < s.stallUntil {
		w.after(time.Duration(s.stallUntil-w.now)+between(r, 0, 20*time.Millisecond), func() { s.arrive(q, tries) })
		return
	}
	gone := !q.m.powered || q.e != nil && q.m.engine != q.e
	if s.leader < 0 || !gone && !s.reaches(q.m) || gone && tries == 0 && r.IntN(3) == 0 {
		// Nobody knows where it got to: it may still be taken later, once.
		if tries == 0 && r.IntN(2) == 0 {
			w.after(between(r, 200*time.Millisecond, 8*time.Second), func() { s.arrive(q, 1) })
		}
		return
	}
	outcome, rev := node.Refused, int64(0)
	if n, ok := s.apply(q.commit.Txn, q); ok {
		outcome, rev = node.Done, n
	}
	if w.faulty && r.IntN(300) == 0 {
		return // the answer is lost; the time-out says unknown
	}
	w.afterOn(between(r, time.Millisecond, 4*time.Millisecond), q.m, ofEngine, q.e, func() {
		if s.reaches(q.m) {
			s.answer(q, outcome, rev)
		}
	})
}

func (s *store) answer(q *request, outcome node.Outcome, rev int64) {
	if q.answered {
		return
	}
	q.answered = true
	if q.e == nil {
		q.then(outcome, rev)
		return
	}
	q.e.commits--
	if outcome == node.Unknown {
		q.m.tracef("gets no answer to a transaction (%s)", s.kindOf(&q.commit.Txn))
	}
	q.e.step(node.Committed{ID: q.commit.ID, Outcome: outcome, Rev: rev})
}

// apply does a transaction, wholly or not at all. By is who asked, nil for the
// world itself.
func (s *store) apply(txn cib.Txn, by *request) (int64, bool) {
	for _, c := range txn.If {
		if s.mod[c.Key] != c.ModRev {
			return 0, false
		}
	}
	w := s.w
	named := make(map[string]bool, len(txn.Put)+len(txn.Delete))
	kvs := make([]cib.KV, 0, len(txn.Put)+len(txn.Delete))
	rev := s.rev + 1
	if by != nil && by.e != nil {
		by.e.basis = by.seen
		w.checks.before(w, by.e, &txn)
	}
	for _, p := range txn.Put {
		if named[p.Key] {
			w.fail(9, "a transaction of %s names %s twice; the store refuses such", by.m.name, p.Key)
		}
		named[p.Key] = true
		if strings.HasPrefix(p.Key, cib.KeyEvent) {
			if w.tracing {
				if ev, ok := p.Value.(*cib.Event); ok {
					by.m.tracef("%s %s", ev.Code, ev.Text)
				}
			}
			w.checks.event(w, p.Value)
			continue // the ring is the daemon's; nodes do not read it
		}
		raw, err := json.Marshal(p.Value)
		if err != nil {
			w.fail(9, "%s can't be written: %v", p.Key, err)
		}
		s.mod[p.Key], s.raw[p.Key] = rev, raw
		delete(s.leased, p.Key)
		if p.Lease {
			s.leased[p.Key] = by.e
		}
		kvs = append(kvs, cib.KV{Key: p.Key, Value: raw, ModRev: rev})
	}
	for _, key := range txn.Delete {
		if named[key] {
			w.fail(9, "a transaction of %s names %s twice; the store refuses such", by.m.name, key)
		}
		named[key] = true
		if s.mod[key] == 0 {
			continue
		}
		kvs = append(kvs, s.remove(key, rev))
	}
	if len(kvs) > 0 {
		s.advance(kvs, rev)
	}
	if by != nil && by.e != nil {
		w.checks.after(w, by.e, &txn)
	}
	return s.rev, true
}

func (s *store) remove(key string, rev int64) cib.KV {
	delete(s.mod, key)
	delete(s.raw, key)
	delete(s.leased, key)
	return cib.KV{Key: key, ModRev: rev}
}

// advance makes a new revision of changes and tells the watchers.
func (s *store) advance(kvs []cib.KV, rev int64) {
	s.rev = rev
	s.snap = s.snap.Apply(kvs, rev)
	s.w.checks.configured(s.w, kvs)
	if len(s.snap.Faults) > 0 {
		s.w.fail(9, "documents can't be read back: %v", s.snap.Faults)
	}
	s.w.mix(uint64(rev))
	for i := range kvs {
		s.w.mix(uint64(len(kvs[i].Key))<<32 | uint64(len(kvs[i].Value)))
	}
	s.notify()
}

// notify lets every watcher see the newest revision after a while.
func (s *store) notify() {
	for _, m := range s.w.machines {
		if e := m.engine; e != nil && e.read && !e.watching && e.seen < s.rev {
			s.watch(e)
		}
	}
}

func (s *store) watch(e *engine) {
	w := s.w
	r := w.storeRand
	e.watching = true
	d := between(r, w.sc.WatchMin, w.sc.WatchMax)
	if w.faulty && r.IntN(100) == 0 {
		d += between(r, 0, 600*time.Millisecond)
	}
	if s.stallUntil > w.now {
		d += time.Duration(s.stallUntil - w.now)
	}
	if e.m.watchStall > w.now {
		d += time.Duration(e.m.watchStall - w.now)
	}
	// Half of the time the news is as old as its way was long.
	var captured *cib.Snapshot
	if r.IntN(2) == 0 {
		captured = s.snap
	}
	w.afterOn(d, e.m, ofEngine, e, func() {
		e.watching = false
		if !s.reaches(e.m) {
			return // taken up again when it reaches the store
		}
		snap := captured
		if snap == nil {
			snap = s.snap
		}
		s.deliver(e, snap)
		if e.m.engine == e && e.seen < s.rev && !e.watching {
			s.watch(e)
		}
	})
}

func (s *store) deliver(e *engine, snap *cib.Snapshot) {
	if snap.Revision <= e.seen {
		return
	}
	e.seen = snap.Revision
	votes := len(s.votes())
	e.disk(snap)
	if len(s.votes()) != votes {
		s.w.checks.majorities(s.w)
	}
	s.w.checks.seen(s.w, e, snap)
	if mu := s.w.mutant; mu != nil && mu.snapshot != nil {
		snap = mu.snapshot(s.w, e, snap)
	}
	e.step(node.Changed{Snap: snap})
}

// first is a new engine's first, linearizable read; its watch begins there.
func (s *store) first(e *engine) {
	w := s.w
	r := w.storeRand
	if !s.reaches(e.m) || w.now < s.stallUntil {
		w.afterOn(200*time.Millisecond, e.m, ofEngine, e, func() { s.first(e) })
		return
	}
	snap := s.snap
	w.afterOn(between(r, time.Millisecond, 30*time.Millisecond), e.m, ofEngine, e, func() {
		e.read = true
		s.deliver(e, snap)
		if e.m.engine == e && e.seen < s.rev && !e.watching {
			s.watch(e)
		}
	})
}

// reaches reports whether a machine can use the store now.
func (s *store) reaches(m *machine) bool {
	if s.leader < 0 || !m.powered {
		return false
	}
	n := &s.w.net
	for _, v := range s.members {
		if s.up(v) && n.both[m.i*n.n+v] && n.both[v*n.n+s.leader] {
			return true
		}
	}
	return false
}

// up reports whether a member runs.
func (s *store) up(v int) bool {
	return s.runs(v) && !s.w.machines[v].void
}

// runs reports whether a member would run, if it had data.
func (s *store) runs(v int) bool {
	m := s.w.machines[v]
	return m.powered && !m.paused && m.memberDown == 0 && m.booted && !m.forcing
}

// leads reports whether a member could lead: it reaches a majority.
func (s *store) leads(v int) bool {
	if !s.up(v) {
		return false
	}
	n := &s.w.net
	count := 0
	for _, o := range s.members {
		if s.up(o) && n.both[v*n.n+o] {
			count++
		}
	}
	return count > len(s.members)/2
}

// reconsider elects another leader, some time after the old one was lost.
func (s *store) reconsider() {
	if s.leader >= 0 && !s.leads(s.leader) {
		s.leader = -1
	}
	if s.leader < 0 {
		if s.voting {
			return
		}
		s.voting = true
		s.w.after(between(s.w.storeRand, 100*time.Millisecond, 1500*time.Millisecond), s.elect)
		return
	}
	s.notify()
}

func (s *store) elect() {
	s.voting = false
	var can []int
	for _, v := range s.members {
		if s.leads(v) {
			can = append(can, v)
		}
	}
	if len(can) == 0 {
		return // until something changes
	}
	s.leader, s.since = can[s.w.storeRand.IntN(len(can))], s.w.now
	s.w.tracef("store", "%s leads the store", s.w.machines[s.leader].name)
	for _, e := range s.leased {
		e.renewed = s.w.now // a new leader begins all leases anew
	}
	s.notify()
}

// everySecond renews the leases of the engines that reach the store, and ends the
// others'.
func (s *store) everySecond() {
	w := s.w
	for _, m := range w.machines {
		e := m.engine
		if e == nil || m.paused || m.stopped {
			continue
		}
		if w.now >= s.stallUntil && s.reaches(m) {
			e.renewed = w.now
			if e.storeLost {
				e.storeLost = false
				w.afterOn(0, m, ofEngine, e, func() { e.step(node.StoreState{OK: true}); e.step(node.StoreWaits{}) })
			}
		} else if !e.storeLost && w.now-e.renewed > int64(3*time.Second) {
			e.storeLost, e.waits = true, s.waitsFor(m)
			w.afterOn(0, m, ofEngine, e, func() { e.step(node.StoreState{Reason: "no answer"}); e.step(e.waits) })
		} else if waits := s.waitsFor(m); e.storeLost && waits.Empty != e.waits.Empty {
			e.waits = waits
			w.afterOn(0, m, ofEngine, e, func() { e.step(waits) })
		}
	}
	if s.leader < 0 || w.now < s.stallUntil {
		return
	}
	s.tendVoters()
	for _, key := range slices.Sorted(maps.Keys(s.leased)) {
		if e := s.leased[key]; w.now-e.renewed > int64(leaseTTL) {
			s.expire(key)
		}
	}
}

func (s *store) expire(key string) {
	s.w.tracef("store", "the lease of %s ends", key)
	s.advance([]cib.KV{s.remove(key, s.rev+1)}, s.rev+1)
}

// kindOf says in a word what a transaction does, for traces and for faults that
// come after a certain kind of commit.
func (s *store) kindOf(txn *cib.Txn) string {
	if elects(txn) && len(txn.Put) > 0 && slices.ContainsFunc(txn.Put, func(p cib.Put) bool { return p.Key == cib.KeyDC }) {
		return "elect"
	}
	for _, p := range txn.Put {
		switch {
		case p.Key == cib.KeyView:
			return "view"
		case strings.HasPrefix(p.Key, cib.KeyNodeStatus):
			return "state"
		case strings.HasPrefix(p.Key, cib.KeyProof):
			return "proof"
		case strings.HasPrefix(p.Key, cib.KeyMember):
			return "register"
		case strings.HasPrefix(p.Key, cib.KeyFenceRequest):
			if r, ok := p.Value.(*cib.FenceRequest); ok {
				return "fence-" + r.State.String()
			}
		case strings.HasPrefix(p.Key, cib.KeyPending):
			if r, ok := p.Value.(*cib.Pending); ok && r.State == cib.ActionRunning {
				return "claim"
			}
			return "ask"
		case strings.HasPrefix(p.Key, cib.KeyRemote):
			return "connect"
		case (strings.HasPrefix(p.Key, cib.KeyHistory) || strings.HasPrefix(p.Key, cib.KeyRemoteHistory)) && len(txn.Delete) > 0:
			return "finish"
		case strings.HasPrefix(p.Key, cib.KeyHistory) || strings.HasPrefix(p.Key, cib.KeyRemoteHistory):
			return "report"
		}
	}
	for _, key := range txn.Delete {
		switch {
		case key == cib.KeyDC:
			return "resign"
		case strings.HasPrefix(key, cib.KeyPending):
			return "withdraw"
		}
	}
	return "other"
}

// describe writes what a transaction of a DC asks for, for the trace.
func describe(txn *cib.Txn) []string {
	var out []string
	for _, p := range txn.Put {
		switch v := p.Value.(type) {
		case *cib.Pending:
			if v.State == cib.ActionAsked {
				out = append(out, fmt.Sprintf("asks for %s (%s): %s", v.Action.String(), v.ID, v.Why.Cause))
			}
			if v.State == cib.ActionExpected {
				out = append(out, fmt.Sprintf("expects %s (of %s)", v.Action.String(), v.Migration))
			}
		case *cib.View:
			out = append(out, fmt.Sprintf("view %d: %s (%s)", v.Number, names(v.Members), v.Reason))
		case *cib.NodeStatus:
			out = append(out, fmt.Sprintf("%s is %s: %s", strings.TrimPrefix(p.Key, cib.KeyNodeStatus), v.State, v.Reason))
		case *cib.FenceRequest:
			out = append(out, fmt.Sprintf("fencing of %s is %s (by %s) %s", v.Target, v.State, v.Executor, v.Error))
		case *cib.Proof:
			out = append(out, fmt.Sprintf("proof %s: boot %s of %s is over (%s) %s", v.ID, v.BootID, v.Target, v.Kind, v.Void))
		case *cib.History:
			out = append(out, fmt.Sprintf("records that %s is %s", v.Instance, v.Role()))
		case *cib.RemoteLink:
			if v.Refused {
				out = append(out, fmt.Sprintf("says that %s answers in boot %s", v.Node, v.BootID))
				continue
			}
			out = append(out, fmt.Sprintf("is the proxy of %s: epoch %d, boot %s, validity epoch %d", v.Node, v.Epoch, v.BootID, v.ValidityEpoch))
		case *cib.Member:
			out = append(out, fmt.Sprintf("registers incarnation %d, boot %s, validity epoch %d", v.Incarnation, v.BootID, v.ValidityEpoch))
		}
	}
	for _, key := range txn.Delete {
		if after, ok := strings.CutPrefix(key, cib.KeyPending); ok {
			out = append(out, "ends the record "+after)
		}
	}
	return out
}
