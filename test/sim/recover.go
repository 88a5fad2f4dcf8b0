package sim

import (
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/quorumd"
)

// forced is what stands on the disk of a machine about a forced recovery of the
// store that it has begun; see engine/daemon/recover.go.
type forced struct {
	from, next    cib.DataGeneration
	asked, opened bool
}

// forceSteps are the steps at which a machine can be struck.
var forceSteps = []string{"begun", "asked", "opened", "done", "learned", "promoted", "recorded"}

// Times of the steps.
const (
	forceMin  = 100 * time.Millisecond // until the member's data are copied and read
	forceMax  = 3 * time.Second
	commitMax = 500 * time.Millisecond
	openMax   = 5 * time.Second
)

// recover is what the daemon does for a node that asks for the recovery of the store.
func (w *World) recover(e *engine, x node.Recover) {
	m := e.m
	voters := w.store.snap.Status.Voters
	given := voters != nil && len(voters.Voters) == 2 && len(w.store.members) == 1 // and not recorded yet
	// An engine that goes by a snapshot from disk may ask for what an earlier one has done.
	behind := func() bool {
		return x.Generation.Number < w.store.snap.Status.Generation.Number && slices.Contains(w.store.members, m.i)
	}
	if !given && !behind() && (len(w.store.members) != 2 || !slices.Contains(w.store.members, m.i)) {
		w.fail(3, "%s would go on alone with the store, and is not one of two voters", m.name)
	}
	if m.forced == nil || m.forced.from != x.Generation {
		m.forced = &forced{from: x.Generation, next: cib.DataGeneration{Number: x.Generation.Number + 1, Nonce: w.bootRand.Uint64() | 1}}
	}
	f := m.forced
	m.tracef("would go on alone with the store, as generation %d (device %q)", f.next.Number, x.Device)
	m.forcing = true
	w.connectivity()
	w.spring(CrashForced, "begun", m)
	w.afterOn(between(w.storeRand, forceMin, forceMax), m, ofEngine, e, func() {
		if !slices.Contains(w.store.members, m.i) {
			w.retract(e, "its data say that it has no vote")
			return
		}
		if behind() {
			m.forced = nil
			w.retract(e, "its data are of a newer generation than its snapshot")
			w.store.deliver(e, w.store.snap)
			return
		}
		if x.Revision > w.store.rev {
			w.fail(5, "%s has seen revision %d, and its store has %d", m.name, x.Revision, w.store.rev)
		}
		if x.Device == "" && !x.Empty && len(w.store.snap.Status.Voters.Voters) != 1 {
			w.retract(e, "the other one has a vote")
			w.store.deliver(e, w.store.snap)
			return
		}
		if x.Empty {
			lost := w.machines[w.index[x.Lost]]
			switch known, own := w.arb.knows(m), quorumd.Generation(x.Generation); {
			case known == nil || known.Number >= own.Number && *known != own && (!f.asked || *known != quorumd.Generation(f.next)):
				w.retract(e, "the arbitrator has not said that it knows of no newer data")
				return
			case !w.store.saysEmpty(m, lost):
				w.retract(e, "the other one does not say any more that it has no data")
				return
			}
			f.opened = true
			w.spring(CrashForced, "opened", m)
			w.afterOn(between(w.storeRand, 0, commitMax), m, ofEngine, e, func() { w.force(e, f) })
			return
		}
		if f.opened || x.Device == "" || w.mutant != nil && w.mutant.noOpen {
			w.force(e, f)
			return
		}
		f.asked = true
		w.spring(CrashForced, "asked", m)
		answered := false
		w.arb.open(e.arb, f.next, func(r *quorumd.Reply) {
			if answered {
				return
			}
			answered = true
			if r.Type == quorumd.Opened {
				f.opened = true
				w.spring(CrashForced, "opened", m)
				w.afterOn(between(w.storeRand, 0, commitMax), m, ofEngine, e, func() { w.force(e, f) })
				return
			}
			m.forced = nil
			w.retract(e, r.Text)
		})
		w.afterOn(openMax, m, ofEngine, e, func() {
			if !answered {
				answered = true
				w.retract(e, "the arbitrator does not answer")
			}
		})
	})
}

// knows is the generation that the arbitrator knows, if it answers a machine.
func (a *arbitrator) knows(m *machine) *quorumd.Generation {
	if a.down > 0 || a.cut[m.i] > 0 {
		return nil
	}
	g := a.core.View(a.now()).Clusters[0].Generation
	return &g
}

// retract takes a recovery back.
func (w *World) retract(e *engine, why string) {
	e.m.tracef("does not go on alone with the store: %s", why)
	e.m.forcing = false
	w.connectivity()
	e.step(node.Recovered{Error: why})
}

// resume goes on with a recovery that the arbitrator has opened.
func (w *World) resume(e *engine) {
	if f := e.m.forced; f != nil && f.opened {
		e.m.forcing = true
		w.connectivity()
		w.afterOn(between(w.storeRand, forceMin, forceMax), e.m, ofEngine, e, func() { w.force(e, f) })
	}
}

// force makes a machine's member the only one.
func (w *World) force(e *engine, f *forced) {
	s, m := w.store, e.m
	st := &s.snap.Status
	if m.forced != f {
		return // done
	}
	if st.Generation != f.from || !slices.Contains(s.members, m.i) {
		w.fail(3, "%s goes on alone with the store from generation %d, and the store is of generation %d", m.name, f.from.Number, st.Generation.Number)
	}
	m.forced, m.forcing = nil, false
	s.members, s.leader = []int{m.i}, -1
	set := &cib.VoterSet{Epoch: st.Voters.Epoch + 1, Voters: []string{m.name}, Reason: "forced"}
	m.tracef("is the only voter of the store")
	s.apply(cib.Txn{
		Put:    []cib.Put{{Key: cib.KeyDataGen, Value: &f.next}, {Key: cib.KeyVoters, Value: set}},
		Delete: []string{cib.KeyDC},
	}, nil)
	w.connectivity()
	w.spring(CrashForced, "done", m)
	e.step(node.Recovered{})
}

// tendVoters is the daemon of the DC: who has lost its vote learns the store anew, and
// has it again. A recovery that was begun in vain is ended, too.
func (s *store) tendVoters() {
	w, st := s.w, &s.snap.Status
	if w.sc.Nodes != 2 || st.Voters == nil {
		return
	}
	s.recordAlone()
	for _, m := range w.machines {
		if f := m.forced; f != nil && !f.opened && !m.forcing && m.healthy() && s.reaches(m) && st.Generation == f.from && len(s.members) == 2 {
			if f.asked {
				m.tracef("ends a recovery of the store that nobody needs: generation %d", f.next.Number)
				s.apply(cib.Txn{Put: []cib.Put{{Key: cib.KeyDataGen, Value: &f.next}}}, nil)
			}
			m.forced = nil
		}
	}
	if st.DC == nil {
		return
	}
	d := w.machines[w.index[st.DC.Node]]
	if len(s.members) != len(st.Voters.Voters) {
		if !d.healthy() {
			return
		}
		w.afterOn(between(w.storeRand, 0, 300*time.Millisecond), d, ofEngine, d.engine, func() { s.recordVote(d) })
		return
	}
	if len(s.members) == 2 {
		s.releaseVote(d)
		return
	}
	for _, v := range w.sc.Voters {
		m := w.machines[v]
		if slices.Contains(s.members, v) || !d.healthy() || d.engine.inc != st.DC.Incarnation || !s.joins(d, m) {
			continue
		}
		w.afterOn(between(w.storeRand, 100*time.Millisecond, 2*time.Second), d, ofEngine, d.engine, func() {
			st := &s.snap.Status
			if slices.Contains(s.members, v) || st.DC == nil || d.engine.inc != st.DC.Incarnation || s.leader < 0 || !s.joins(d, m) {
				return
			}
			m.tracef("is a voter of the store again")
			w.spring(CrashForced, "learned", d)
			m.forced, m.void = nil, false // with the data that it was about
			s.members = slices.Sorted(slices.Values(append(slices.Clone(s.members), v)))
			w.connectivity()
			w.afterOn(between(w.storeRand, 20*time.Millisecond, 400*time.Millisecond), d, ofEngine, d.engine, func() { s.recordVote(d) })
			w.spring(CrashForced, "promoted", m)
		})
	}
}

// releaseVote is the daemon of a DC that takes the vote of the other one, which leaves.
func (s *store) releaseVote(d *machine) {
	dc := s.snap.Status.DC
	if !d.healthy() || d.engine.inc != dc.Incarnation || d.engine.node.GivesVote() == "" {
		return
	}
	w := s.w
	w.afterOn(between(w.storeRand, 20*time.Millisecond, 400*time.Millisecond), d, ofEngine, d.engine, func() {
		leaver := d.engine.node.GivesVote()
		if leaver == "" || s.leader < 0 || len(s.members) != 2 || !s.reaches(d) {
			return
		}
		d.tracef("takes the vote of %s", leaver)
		s.members, s.leader = []int{d.i}, -1
		w.connectivity()
		w.spring(CrashForced, "removed", d)
		w.afterOn(between(w.storeRand, 20*time.Millisecond, 400*time.Millisecond), d, ofEngine, d.engine, func() { s.recordVote(d) })
	})
}

// recordAlone is the daemon of a node that finds itself the only member of the store,
// after who was to record that is gone.
func (s *store) recordAlone() {
	v := s.snap.Status.Voters
	if len(s.members) != 1 || len(v.Voters) != 2 {
		return
	}
	m := s.w.machines[s.members[0]]
	if !m.healthy() || !slices.Contains(v.Voters, m.name) || !s.reaches(m) || m.engine.node.Quorum().Quorate {
		return
	}
	m.tracef("records that it is the only voter")
	s.apply(cib.Txn{Put: []cib.Put{{Key: cib.KeyVoters, Value: &cib.VoterSet{Epoch: v.Epoch + 1, Voters: []string{m.name}, Reason: "alone"}}}}, nil)
	s.w.connectivity()
}

// recordVote is the last step of a DC that has made another one a voter of the store, or
// has taken its vote.
func (s *store) recordVote(d *machine) {
	st := &s.snap.Status
	if st.DC == nil || d.engine == nil || d.engine.inc != st.DC.Incarnation || s.leader < 0 || !s.reaches(d) || len(s.members) == len(st.Voters.Voters) {
		return
	}
	set := &cib.VoterSet{Epoch: st.Voters.Epoch + 1, Reason: "back"}
	for _, i := range s.members {
		set.Voters = append(set.Voters, s.w.machines[i].name)
		if i != d.i {
			set.Added = s.w.machines[i].name
		}
	}
	slices.Sort(set.Voters)
	d.tracef("records that the voters are %v", set.Voters)
	s.apply(cib.Txn{Put: []cib.Put{{Key: cib.KeyVoters, Value: set}}}, nil)
	s.w.connectivity()
	for _, i := range s.members {
		if i != d.i {
			s.w.spring(CrashForced, "recorded", s.w.machines[i])
		}
	}
}

// votes lists the machines whose votes count: those of the members, but of one that was
// promoted and whose vote was not recorded, or is not known yet to those before it, who
// go on without it as long.
func (s *store) votes() []int {
	v := s.snap.Status.Voters
	if v == nil || len(v.Voters) > len(s.members) {
		return s.members
	}
	var before, all []int
	unknown := false
	for _, name := range v.Voters {
		i := s.w.index[name]
		all = append(all, i)
		if name != v.Added {
			before = append(before, i)
			kept := s.w.machines[i].kept
			unknown = unknown || kept == nil || kept.Status.Voters == nil || kept.Status.Voters.Epoch < v.Epoch
		}
	}
	if v.Added != "" && unknown {
		return before
	}
	return all
}

// waitsFor is what the daemon of a machine finds out while the store does not answer.
func (s *store) waitsFor(m *machine) node.StoreWaits {
	if len(s.members) != 2 || !slices.Contains(s.members, m.i) || !s.up(m.i) {
		return node.StoreWaits{}
	}
	for _, i := range s.members {
		if i != m.i {
			return node.StoreWaits{For: s.w.machines[i].name, Empty: s.saysEmpty(m, s.w.machines[i])}
		}
	}
	return node.StoreWaits{}
}

// saysEmpty reports whether another machine tells one that it has no data of the store.
func (s *store) saysEmpty(m, other *machine) bool {
	n := &s.w.net
	return other.void && other.healthy() && n.both[m.i*n.n+other.i]
}

// knowsVoters reports whether a machine's disk says who the voters are.
func (m *machine) knowsVoters(s *store) bool {
	v := s.snap.Status.Voters
	return m.kept != nil && m.kept.Status.Voters != nil && v != nil && m.kept.Status.Voters.Epoch == v.Epoch
}

// bereft reports whether the store has a member without data.
func (s *store) bereft() bool {
	return slices.ContainsFunc(s.members, func(i int) bool { return s.w.machines[i].void })
}

// lostSnapshot reports whether an engine runs that found no snapshot on its disk, and has
// not reached the store since. It knows no other node, not even whom it could ask about
// its data: where that one's disk is lost, too, it waits for a person.
func (m *machine) lostSnapshot() bool { return m.engine != nil && m.engine.blind && !m.engine.read }

// spares reports whether the store loses nothing with the disk of a machine: what was
// acknowledged is on another one, and nobody would have to be asked whether it is.
func (s *store) spares(m *machine) bool {
	if s.w.arb == nil || m.forced != nil || len(s.members) == 1 && s.members[0] == m.i {
		return false
	}
	for _, o := range s.w.machines {
		if o != m && (o.void || o.forced != nil || !o.knowsVoters(s) || o.lostSnapshot() || !slices.Contains(s.votes(), o.i)) {
			return false
		}
	}
	return true
}

// joins reports whether a machine could become a voter again, as the DC sees it.
func (s *store) joins(dc, m *machine) bool {
	ns := s.snap.Status.Nodes[m.name]
	return dc != m && ns != nil && ns.State == cib.NodeOnline && m.healthy() && s.runs(m.i) && s.reaches(m) && dc.engine.node.EpochSettled() &&
		slices.ContainsFunc(dc.engine.node.Alive(dc.steady()), func(v cib.ViewMember) bool { return v.Node == m.name })
}
