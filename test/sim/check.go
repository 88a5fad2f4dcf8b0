package sim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
)

// Rules are what must never happen, with the numbers of DESIGN.md; from 10 on, what
// follows the list there.
var Rules = map[int]string{
	1:               "an instance is active on two nodes",
	2:               "started, promoted or fenced without quorum",
	3:               "two partitions act at the same time",
	4:               "recovered without a fence proof",
	5:               "a configuration change is lost or half-applied",
	6:               "an action is executed unrecorded, or twice",
	7:               "fenced again for the same failure, or in a loop",
	8:               "the store's silence stops services, or the deadline of a node without validity does not",
	9:               "input crashes the engine, or the engine asks for nonsense",
	ruleSettle:      "after the faults the cluster is not where the policy says",
	ruleGrowth:      "growth without bound",
	ruleDeterminism: "the same seed gives another trace",
}

const (
	ruleSettle      = 10
	ruleGrowth      = 11
	ruleDeterminism = 12
)

// truth is what the checks remember of a machine. Times are the machine's own
// steady clock where the machine's own clock decides.
type truth struct {
	majority bool  // it reaches a majority of the voters' engines
	majSince int64 // world time of the last change of majority
	// grantUntil is until when it has an arbitrator's grant, on its own clock, and
	// grantAt when it was told so last.
	grantUntil time.Time
	grantAt    int64
	majEnd     time.Time // own clock: when it last had one, in this boot; zero: never
	calm       int64     // world time since when nothing was wrong with it

	in           bool   // the newest view has this incarnation
	inSince      int64  // world time
	excludedFrom uint64 // the first view without it; 0: in
	excludedAt   time.Time
	excludedNow  int64  // the same in world time
	viewSeen     uint64 // the newest view that its engine was given

	lost    map[string]lost // unique instances that ran when the power went
	lied    bool            // a fence device said that this boot was over
	orphans []*run

	wasValid bool // certainly, when the majority was lost

	lonely bool  // it has been without a majority and a grant for longer than T
	lostAt int64 // world time: it was valid at most until T after this, and lost that
	wokeAt int64 // world time of its last resume
}

// lost is the boot in which something ran when the power went.
type lost struct {
	boot string
	at   int64 // world time
}

// asked is what is known of an action that was asked for.
type asked struct {
	at       int64
	boot     string
	inc      uint64
	executed bool
}

type checks struct {
	config  map[string][]byte // what the configuration must be
	offered map[uint64][]map[string][]byte
	applied map[uint64]bool

	unique  map[string]bool // primitives of which only one may run
	asked   map[string]*asked
	vain    map[string]int  // how often an action was asked for since it was executed last
	claimed map[string]bool // fencing request/engine
	proofAt map[string]int64
	fenced  map[string]int
	lies    int // false proofs of power
	voids   int // found false

	heals  []func()
	spells []*spell
	traps  []*trap
}

func (c *checks) init(w *World) {
	*c = checks{
		config: map[string][]byte{}, offered: map[uint64][]map[string][]byte{}, applied: map[uint64]bool{1: true},
		asked: map[string]*asked{}, vain: map[string]int{}, claimed: map[string]bool{}, proofAt: map[string]int64{}, fenced: map[string]int{},
		unique: map[string]bool{},
	}
	shared := map[string]bool{}
	for _, r := range w.sc.Config.Resources {
		if r.Clone != nil && !r.Clone.GloballyUnique {
			shared[r.Clone.Resource] = true
			if g := w.sc.Config.Resources[r.Clone.Resource]; g != nil {
				for _, id := range g.Group {
					shared[id] = true
				}
			}
		}
	}
	for id, r := range w.sc.Config.Resources {
		if r.Agent != "" && !shared[id] {
			c.unique[id] = true
		}
	}
	for _, m := range w.machines {
		m.truth.lost = map[string]lost{}
	}
}

// mayRunOnce reports whether an instance may be active on one node only.
func (c *checks) mayRunOnce(id string) bool {
	resource, _, _ := strings.Cut(id, ":")
	return c.unique[resource] || strings.HasPrefix(id, "extra")
}

// T is the time that validity lasts.
func (w *World) validity() time.Duration { return w.sc.Config.Cluster.Options.ValidityTime() }

// majorities notes who reaches a majority of the voters' engines.
func (c *checks) majorities(w *World) {
	n := &w.net
	for _, m := range w.machines {
		count := 0
		for _, v := range w.store.votes() {
			if w.machines[v].healthy() && n.both[m.i*n.n+v] {
				count++
			}
		}
		t := &m.truth
		have := m.booted && count > len(w.store.votes())/2
		if t.majority && !have && m.booted {
			t.majEnd = m.steady()
		}
		if t.majority != have {
			if !have {
				m.quorateAt = w.now
				t.wasValid = m.engine != nil && t.in && w.now-max(t.majSince, t.inSince, m.engine.born, t.wokeAt) > w.certainly()
			}
			t.majority, t.majSince = have, w.now
		}
		if !m.booted {
			t.majEnd = time.Time{}
		}
		t.calm = w.now
		if have {
			m.quorateAt = w.now
		}
	}
}

// mayAct is rules 2 and 3: only a node that reached a majority at most T ago, and
// that is in the view, or was T ago in the newest one that a majority knew, starts,
// promotes or fences.
func (c *checks) mayAct(w *World, e *engine, what string) {
	m := e.m
	t := &m.truth
	T := w.validity()
	now := m.steady()
	if !t.majority && !m.granted() && (t.majEnd.IsZero() || now.Sub(t.majEnd) > T) {
		w.fail(2, "%s: %s, without a majority of the voters for %s (validity is %s)", m.name, what, now.Sub(t.majEnd), T)
	}
	if !t.in && t.excludedAt.IsZero() && t.inSince == 0 {
		w.fail(3, "%s: %s, and was in no view", m.name, what)
	}
	if !t.excludedAt.IsZero() && now.Sub(t.excludedAt) > T {
		w.fail(3, "%s: %s, %s after a majority of the voters knew view %d without it (validity is %s)", m.name, what,
			now.Sub(t.excludedAt), t.excludedFrom, T)
	}
}

// run is called when an agent is about to be started.
func (c *checks) run(w *World, r *run) {
	e, m, a := r.e, r.m, &r.action
	inc := r.incarnation()
	for _, o := range m.truth.orphans {
		if o.begun && !o.over && o.action.Instance == a.Instance {
			w.fail(6, "%s runs %s, and %s of an earlier engine still runs", m.name, a.String(), o.action.String())
		}
	}
	if r.notAfter.IsZero() {
		if a.Op != cib.OpStop && a.Op != cib.OpDemote {
			w.fail(6, "%s runs %s without a record", m.name, a.String())
		}
		c.direct(w, r)
		return
	}
	if activates := a.Op == cib.OpStart || a.Op == cib.OpPromote || a.Op == cib.OpMigrateTo || a.Op == cib.OpMigrateFrom; activates && m.remote {
		c.mayOrder(w, r)
	} else if activates {
		c.mayAct(w, e, a.String())
	}
	p := w.store.snap.Status.Pending[m.name][a.Instance]
	if a.Op == cib.OpMonitor && a.Interval > 0 && (p == nil || p.ID != a.ID) {
		return // a recurring monitor repeats itself
	}
	switch {
	case p == nil:
		w.fail(6, "%s runs %s (%s), and no record of it stands in the store", m.name, a.String(), a.ID)
	case p.ID != a.ID || p.State != cib.ActionRunning || p.Incarnation != inc:
		w.fail(6, "%s runs %s (%s), and the store has %s (%s, %s, claimed by %d)", m.name, a.String(), a.ID, p.Action.String(), p.ID, p.State, p.Incarnation)
	}
	k := c.asked[a.ID]
	if k == nil {
		w.fail(6, "%s runs %s (%s), which nobody asked for", m.name, a.String(), a.ID)
	}
	if k.executed && a.Op == cib.OpMonitor && a.Interval > 0 {
		return // it repeats itself before the store has its first result
	}
	if k.executed {
		w.fail(6, "%s runs %s (%s) a second time", m.name, a.String(), a.ID)
	}
	k.executed = true
	delete(c.vain, m.name+" "+a.Key()+" "+a.Phase)
	if k.boot != "" && k.boot != m.bootID {
		w.fail(6, "%s runs %s (%s), which was asked of its boot %s; this is %s", m.name, a.String(), a.ID, k.boot, m.bootID)
	}
	if k.inc != 0 && k.inc != inc {
		w.fail(6, "%s runs %s (%s), which was asked of its engine %d; this is %d", m.name, a.String(), a.ID, k.inc, inc)
	}
	// Validity that was lost since the action was asked for: the node, certainly
	// valid then and alone for longer than T since, cannot have been valid all the
	// time.
	if k.at < e.m.truth.lostAt {
		w.fail(6, "%s runs %s (%s), asked for at %s, before it lost validity", m.name, a.String(), a.ID, time.Duration(k.at))
	}
}

// direct is rule 8, first half: a node stops something on its own only when it is
// not valid. Certainly valid is who has been in the view, with a majority, without a
// disturbance, for long.
func (c *checks) direct(w *World, r *run) {
	m := r.m
	t := &m.truth
	long := w.certainly()
	if v := w.store.snap.Status.View; v != nil && t.viewSeen < v.Number {
		return // validity hangs on the newest view: who gets no news of it loses it, as it must
	}
	if !t.in || !t.majority || w.now-t.calm < long || w.now-t.inSince < long || w.now-r.e.born < long || w.noisy() {
		return
	}
	w.fail(8, "%s stops %s on its own, although it is in view %d and has reached a majority for %s", m.name, r.action.Instance,
		w.store.snap.Status.View.Number, time.Duration(w.now-t.majSince).Round(time.Millisecond))
}

// certainly is after how long of calm a node that is in the view, with a majority,
// is valid for certain.
func (w *World) certainly() int64 {
	return int64(w.validity() + 2*w.sc.Config.Cluster.Options.DetectionTime() + 3*time.Second)
}

// noisy reports whether messages are lost or late so much that validity can
// end without a cut.
func (w *World) noisy() bool {
	if !w.faulty {
		return false
	}
	// With validity as short as detection five heartbeats in a row end it; at 5 %
	// loss each way that happens once in a few thousand worlds.
	slow := w.net.slow > 0 || w.net.slowEnded > 0 && w.now-w.net.slowEnded < int64(w.validity())
	return slow || w.sc.Loss > 0.01 || w.net.loss != nil
}

// fence is called when a fence agent is about to switch.
func (c *checks) fence(w *World, e *engine, x *node.FenceCall) {
	m := e.m
	if x.Op != node.FenceOff {
		return
	}
	what := "off " + x.Target + " by " + x.DeviceID
	c.mayAct(w, e, what)
	if x.Target == m.name {
		w.fail(7, "%s fences itself", m.name)
	}
	st := &w.store.snap.Status
	if !c.claimed[x.Target+"/"+e.id()] {
		w.fail(6, "%s: %s, and has claimed no request for it", m.name, what)
	}
	// What changed in the store a moment ago the executor can't know yet; it is
	// valid for as long as that takes at most, or its watch is late.
	lag := int64(w.validity() + 3*time.Second)
	target := w.machines[w.index[x.Target]]
	ns := st.Nodes[x.Target]
	if ns == nil {
		return
	}
	if at, ok := c.proofAt[x.Target+"/"+ns.BootID]; ok && ns.State == cib.NodeFenced && w.now-at > lag && w.now-m.truth.calm > lag && e.fresh(w) {
		w.fail(7, "%s: %s, whose death has been proven for %s", m.name, what, time.Duration(w.now-at))
	}
	if ns.State == cib.NodeOnline && ns.BootID == target.bootID && target.truth.in && w.now-target.truth.inSince > lag && st.Requests[x.Target] == nil && e.fresh(w) {
		w.fail(7, "%s: %s, which is back and healthy", m.name, what)
	}
	w.spring(CrashExecutor, "", m)
}

// fresh reports whether the engine sees the store without delay.
func (e *engine) fresh(w *World) bool {
	return e.m.watchStall < w.now && w.store.stallUntil < w.now && e.seen == w.store.rev
}

func (e *engine) id() string { return e.m.name + "/" + e.boot + "/" + time.Duration(e.born).String() }

// activated is rule 1.
func (c *checks) activated(w *World, m *machine, id string) {
	if !c.mayRunOnce(id) || m.truth.lied {
		return
	}
	for _, o := range w.machines {
		if other := o.inst[id]; o != m && o.on() && other != nil && !other.excused && !o.truth.lied {
			w.fail(1, "%s is active on %s and on %s (paused: %v)", id, m.name, o.name, o.paused)
		}
	}
}

// promoted is rule 1 for the promoted role.
func (c *checks) promoted(w *World, m *machine, id string) {
	for _, o := range w.machines {
		if other := o.inst[id]; o != m && o.on() && other != nil && other.role == cib.RolePromoted && !o.truth.lied && !m.truth.lied {
			w.fail(1, "%s is promoted on %s and on %s", id, m.name, o.name)
		}
	}
}

// powerLost notes what ran when a machine's power went.
func (c *checks) powerLost(w *World, m *machine) {
	t := &m.truth
	for id, in := range m.inst {
		if c.mayRunOnce(id) && !in.excused && !t.lied {
			t.lost[id] = lost{m.bootID, w.now}
		}
	}
	lost, seen := t.lost, t.viewSeen
	*t = truth{lost: lost, viewSeen: seen}
}

// started is called with every new engine: it is in no view yet.
func (c *checks) started(w *World, m *machine) {
	t := &m.truth
	t.in, t.inSince, t.excludedAt = false, 0, time.Time{}
	t.excludedFrom = 1
	if v := w.store.snap.Status.View; v != nil {
		t.excludedFrom = v.Number
	}
}

// seen is called when an engine is given a snapshot.
func (c *checks) seen(w *World, e *engine, snap *cib.Snapshot) {
	v := snap.Status.View
	if v == nil || e.m.truth.viewSeen >= v.Number {
		return
	}
	e.m.truth.viewSeen = v.Number
	for _, m := range w.machines {
		t := &m.truth
		if t.excludedFrom == 0 || !t.excludedAt.IsZero() || t.inSince == 0 {
			continue
		}
		count := 0
		for _, o := range w.store.votes() {
			if w.machines[o].truth.viewSeen >= t.excludedFrom {
				count++
			}
		}
		if count > len(w.store.votes())/2 && m.booted {
			t.excludedAt, t.excludedNow = m.steady(), w.now
		}
	}
}

// before looks at an engine's transaction whose compares hold, with the store as it
// is before.
func (c *checks) before(w *World, e *engine, txn *cib.Txn) {
	st := &w.store.snap.Status
	c.outages(w, e, txn)
	isDC := st.DC != nil && st.DC.Node == e.m.name && st.DC.Incarnation == e.inc
	asDC := func(what string) {
		if !isDC {
			w.fail(3, "%s writes %s, and is not the DC", e.m.name, what)
		}
	}
	own := func(node, what string) {
		if node != e.m.name {
			w.fail(6, "%s writes the %s of %s", e.m.name, what, node)
		}
	}
	for i := range txn.Put {
		key := txn.Put[i].Key
		switch v := txn.Put[i].Value.(type) {
		case *cib.View, *cib.VoterSet:
			asDC(key)
		case *cib.NodeStatus:
			asDC(key)
			c.nodeStatus(w, strings.TrimPrefix(key, cib.KeyNodeStatus), v, txn)
		case *cib.Member:
			own(v.Node, "registration")
		case *cib.History:
			if node, _ := cib.SplitKey(key, cib.KeyHistory); strings.HasPrefix(key, cib.KeyHistory) {
				own(node, "history")
			}
		case *cib.Pending:
			old := st.Pending[v.Node][v.Instance]
			switch v.State {
			case cib.ActionAsked:
				asDC(key)
				c.ask(w, v, old)
				continue
			case cib.ActionExpected:
				asDC(key)
				if old != nil && (old.State != cib.ActionAsked || old.Migration != v.Migration) {
					w.fail(6, "%s is expected, and %s (%s, %s) is in flight", v.Action.String(), old.Action.String(), old.ID, old.State)
				}
				continue
			case cib.ActionRunning:
			}
			if !w.isRemote(v.Node) {
				own(v.Node, "record")
			}
			switch {
			case old == nil || old.ID != v.ID:
				w.fail(6, "%s claims %s (%s), which is not asked for", e.m.name, v.Action.String(), v.ID)
			case old.State != cib.ActionAsked:
				w.fail(6, "%s claims %s (%s), which is %s already", e.m.name, v.Action.String(), v.ID, old.State)
			}
			if w.isRemote(v.Instance) { // a connection: the engine does it itself
				delete(c.vain, v.Node+" "+v.Key()+" "+v.Phase)
			}
		case *cib.FenceRequest:
			c.request(w, e, key, v, asDC)
		case *cib.Proof:
			c.proof(w, v)
		default:
			if strings.HasPrefix(key, cib.KeyConfig) {
				w.fail(5, "%s writes %s", e.m.name, key)
			}
		}
	}
	for _, key := range txn.Delete {
		switch {
		case strings.HasPrefix(key, cib.KeyConfig):
			w.fail(5, "%s deletes %s", e.m.name, key)
		case key == cib.KeyDC:
			asDC(key)
		case strings.HasPrefix(key, cib.KeyPending):
			name, inst := cib.SplitKey(key, cib.KeyPending)
			if name == e.m.name || w.isRemote(name) && (!isDC || e.links[name] != nil) {
				continue // what came of it over the connection, also that nobody knows
			}
			asDC(key)
			if p := st.Pending[name][inst]; p != nil && p.State == cib.ActionRunning {
				c.withdrawn(w, w.machines[w.index[name]], p)
			}
		}
	}
}

// vainMax is how often an action may be asked for in a row without being executed. The
// DC does it four times without waiting; a node whose validity comes and goes on a slow
// network ends the rest itself.
const vainMax = 12

// ask is rules 4, 5 and 6 for an action that the DC asks for.
func (c *checks) ask(w *World, p, old *cib.Pending) {
	if old != nil && old.State != cib.ActionExpected {
		w.fail(6, "%s is asked for, and %s (%s, %s) is in flight", p.Action.String(), old.Action.String(), old.ID, old.State)
	}
	if c.asked[p.ID] != nil {
		w.fail(6, "the id %s is given to a second action, %s", p.ID, p.Action.String())
	}
	m := w.machines[w.index[p.Node]]
	k := &asked{at: w.now}
	if doc := w.store.snap.Status.Members[p.Node]; doc != nil {
		k.boot, k.inc = doc.BootID, doc.Incarnation
	}
	if doc := w.store.snap.Status.Remotes[p.Node]; m.remote && doc != nil {
		k.boot, k.inc = doc.BootID, doc.Epoch
	}
	c.asked[p.ID] = k
	same := p.Node + " " + p.Key() + " " + p.Phase
	if c.vain[same]++; c.vain[same] > vainMax {
		w.fail(ruleGrowth, "%s is asked for the %dth time since it was executed, and always taken back", p.Action.String(), c.vain[same])
	}
	if p.Op != cib.OpStart {
		return
	}
	cfg := w.store.snap.Config
	switch r := cfg.Resources[p.Resource]; {
	case r == nil:
		w.fail(5, "%s is asked for, and the configuration has no such resource", p.Action.String())
	case r.Meta.TargetRole == cib.RoleStopped || cfg.Cluster.Options.StopAllResources:
		w.fail(5, "%s is asked for, and the configuration wants it stopped", p.Action.String())
	case m.remote && !cfg.Cluster.Options.MaintenanceMode:
	case cfg.Cluster.Options.MaintenanceMode || cfg.Nodes[p.Node] == nil || cfg.Nodes[p.Node].Maintenance || cfg.Nodes[p.Node].Standby:
		w.fail(5, "%s is asked for, and the configuration wants nothing started there", p.Action.String())
	}
	if !c.mayRunOnce(p.Instance) {
		return
	}
	for _, o := range w.machines {
		x, gone := o.truth.lost[p.Instance]
		if !gone {
			continue
		}
		if o != m && c.validProof(w, o.name, x.boot) == nil && !c.readOff(w, o.name, x.at) && !o.truth.lied {
			w.fail(4, "%s is asked for, and there is no proof that boot %s of %s is over, where it ran", p.Action.String(), x.boot, o.name)
		}
		delete(o.truth.lost, p.Instance)
	}
}

// readOff reports whether a proof says that a node was without power at a time, or
// after it. It is over with every boot until then, also with one that nobody has heard
// of and to which something was migrated.
func (c *checks) readOff(w *World, name string, at int64) bool {
	for _, id := range sortedKeys(w.store.snap.Status.Proofs) {
		if p := w.store.snap.Status.Proofs[id]; p.Target == name && p.Kind == cib.ProofPower && p.Void == "" && c.proofAt[name+"/"+p.BootID] >= at {
			return true
		}
	}
	return false
}

func (c *checks) validProof(w *World, name, boot string) *cib.Proof {
	for _, id := range sortedKeys(w.store.snap.Status.Proofs) {
		if p := w.store.snap.Status.Proofs[id]; p.Target == name && p.BootID == boot && p.Void == "" {
			return p
		}
	}
	return nil
}

// withdrawn is rule 6: the record of an action that runs is not taken away.
func (c *checks) withdrawn(w *World, m *machine, p *cib.Pending) {
	if m.remote && m.daemon != nil && !m.truth.lied {
		for _, s := range m.daemon.open() {
			for _, id := range sortedRuns(s.runs) {
				if r := s.runs[id]; r.action.ID == p.ID && r.begun && !r.over && r.action.Interval == 0 {
					w.fail(6, "the record of %s (%s) is deleted by the DC while it runs", p.Action.String(), p.ID)
				}
			}
		}
	}
	if m.engine == nil || m.engine.inc != p.Incarnation || m.truth.lied {
		return
	}
	for _, id := range sortedRuns(m.engine.runs) {
		if r := m.engine.runs[id]; r.action.ID == p.ID && r.begun && !r.over && !r.notAfter.IsZero() && (r.action.Interval == 0) {
			w.fail(6, "the record of %s (%s) is deleted while it runs", p.Action.String(), p.ID)
		}
	}
}

// nodeStatus is rule 4 for what the DC says of a node.
func (c *checks) nodeStatus(w *World, name string, s *cib.NodeStatus, txn *cib.Txn) {
	m := w.machines[w.index[name]]
	switch s.State {
	case cib.NodeFenced:
		for i := range txn.Put {
			if p, ok := txn.Put[i].Value.(*cib.Proof); ok && p.Target == name && p.BootID == s.BootID && p.Void == "" {
				return
			}
		}
		if c.validProof(w, name, s.BootID) == nil {
			w.fail(4, "%s is marked fenced, and there is no proof for boot %s", name, s.BootID)
		}
	case cib.NodeOffline:
		if m.remote {
			return // it is not connected; what runs there goes on
		}
		if s.BootID != "" && m.powered && m.bootID == s.BootID && !m.truth.lied {
			for _, id := range sortedKeys(m.inst) {
				if c.managed(w, id) && !m.inst[id].excused {
					w.fail(4, "%s is marked offline, and %s runs there", name, id)
				}
			}
		}
		for _, id := range sortedKeys(m.truth.lost) {
			if m.truth.lost[id].boot == s.BootID && c.managed(w, id) {
				w.fail(4, "%s is marked offline, and %s ran there when its power went", name, id)
			}
		}
	}
}

// managed reports whether the cluster decides about an instance.
func (c *checks) managed(w *World, id string) bool {
	cfg := w.store.snap.Config
	resource, _, _ := strings.Cut(id, ":")
	r := cfg.Resources[resource]
	if r == nil {
		return false
	}
	meta := cfg.MetaOf(resource, cfg.Parents(), time.Time{})
	return meta.IsManaged() && !meta.InMaintenance() && !cfg.Cluster.Options.MaintenanceMode
}

// managedOn reports whether the cluster decides about an instance on a node.
func (c *checks) managedOn(w *World, id, name string) bool {
	n := w.store.snap.Config.Nodes[name]
	return c.managed(w, id) && (n == nil || !n.Maintenance)
}

// request is rule 7 for a fencing request.
func (c *checks) request(w *World, e *engine, key string, r *cib.FenceRequest, asDC func(string)) {
	if !strings.HasPrefix(key, cib.KeyFenceRequest) {
		return // its history
	}
	old := w.store.snap.Status.Requests[r.Target]
	switch r.State {
	case cib.FenceRequested:
		asDC(key)
		if old != nil {
			break // given to another node
		}
		if p := c.validProof(w, r.Target, r.BootID); p != nil && r.BootID != "" {
			w.fail(7, "%s is to be fenced, and %s proves that its boot %s is over", r.Target, p.ID, r.BootID)
		}
	case cib.FenceExecuting:
		if old == nil || old.ID != r.ID || old.State != cib.FenceRequested {
			w.fail(6, "%s claims the fencing of %s, which is not asked for", e.m.name, r.Target)
		}
		c.claimed[r.Target+"/"+e.id()] = true
	case cib.FenceFailed:
		if old == nil || old.Executor != e.m.name {
			w.fail(6, "%s ends the fencing of %s, which is not its own", e.m.name, r.Target)
		}
	case cib.FenceDone, cib.FenceWithdrawn:
	}
}

// fencesMax bounds how often one node may be fenced in a world.
func (w *World) fencesMax() int { return 4 + 2*len(w.sc.Faults) }

// proof is rule 4: a proof must be true.
func (c *checks) proof(w *World, p *cib.Proof) {
	m := w.machines[w.index[p.Target]]
	alive := m.powered && m.bootID == p.BootID
	if p.Void != "" {
		c.voids++
		if !alive && !m.truth.lied && !w.lying() {
			w.fail(7, "the proof %s is called void (%s), and is true", p.ID, p.Void)
		}
		return
	}
	switch p.Kind {
	case cib.ProofPower:
		if c.fenced[p.Target]++; c.fenced[p.Target] > w.fencesMax() {
			w.fail(7, "%s was fenced %d times", p.Target, c.fenced[p.Target])
		}
		if alive && !w.lying() {
			w.fail(4, "the proof %s says that boot %s of %s is over, and it is not", p.ID, p.BootID, p.Target)
		}
		if alive {
			m.truth.lied = true
			c.lies++
		}
	case cib.ProofCleared:
		if alive {
			w.fail(4, "the proof %s says that boot %s of %s is over, and it is not", p.ID, p.BootID, p.Target)
		}
	case cib.ProofHuman, cib.ProofReservation, cib.ProofWatchdog, cib.ProofInside:
		w.fail(4, "an engine writes the proof %s of kind %s by itself", p.ID, p.Kind)
	}
	c.proofAt[p.Target+"/"+p.BootID] = w.now
}

// lying reports whether a fence device lied in this world.
func (w *World) lying() bool {
	return slices.ContainsFunc(w.sc.Faults, func(f Fault) bool { return f.Kind == DeviceLies })
}

// after looks at a transaction that has happened.
func (c *checks) after(w *World, e *engine, txn *cib.Txn) {
	kind := w.store.kindOf(txn)
	if w.tracing {
		for _, line := range describe(txn) {
			e.m.tracef("%s", line)
		}
		if kind == "elect" {
			e.m.tracef("is the DC")
		}
	}
	for i := range txn.Put {
		if v, ok := txn.Put[i].Value.(*cib.View); ok {
			c.viewed(w, v)
		}
	}
	switch kind {
	case "claim":
		for i := range txn.Put {
			if p, ok := txn.Put[i].Value.(*cib.Pending); ok {
				w.spring(CrashAgentNode, p.Op, e.m)
				if m := w.machines[w.index[p.Node]]; m.remote {
					w.spring(CrashRemote, p.Op, m)
				}
				if k, ok := w.index[p.Peer]; ok {
					w.spring(CrashPeer, p.Op, w.machines[k])
				}
			}
		}
	case "register", "connect", "finish", "report", "fence-executing", "fence-failed", "proof":
	default:
		w.spring(CrashDC, kind, e.m)
	}
}

// viewed notes who is in a new view.
func (c *checks) viewed(w *World, v *cib.View) {
	for _, m := range w.machines {
		t := &m.truth
		member, ok := v.Member(m.name)
		switch {
		case ok && m.engine != nil && member.Incarnation == m.engine.inc:
			if !t.in {
				t.inSince = w.now
			}
			t.in, t.excludedFrom, t.excludedAt = true, 0, time.Time{}
		case t.excludedFrom == 0:
			t.in, t.excludedFrom = false, v.Number
		}
	}
}

// configured is called with every change of the configuration that happened.
func (c *checks) configured(w *World, kvs []cib.KV) {
	gen := w.store.snap.ConfigGen.Number
	for _, kv := range kvs {
		if !strings.HasPrefix(kv.Key, cib.KeyConfig) {
			continue
		}
		c.applied[gen] = true
		if kv.Value == nil {
			delete(c.config, kv.Key)
		} else {
			c.config[kv.Key] = kv.Value
		}
		if got := document(w.store.snap, kv.Key); !bytes.Equal(got, kv.Value) {
			w.fail(5, "%s is %s in the store and %s in the snapshot", kv.Key, kv.Value, got)
		}
	}
}

// document writes a document of the configuration as a snapshot has it.
func document(s *cib.Snapshot, key string) []byte {
	var v any
	switch id := key[strings.LastIndexByte(key, '/')+1:]; {
	case key == cib.KeyCluster:
		v = &s.Config.Cluster
	case key == cib.KeyConfigGen:
		v = &s.ConfigGen
	case strings.HasPrefix(key, cib.KeyNode):
		v = orNil(s.Config.Nodes[id])
	case strings.HasPrefix(key, cib.KeyResource):
		v = orNil(s.Config.Resources[id])
	case strings.HasPrefix(key, cib.KeyConstraint):
		v = orNil(s.Config.Constraints[id])
	case strings.HasPrefix(key, cib.KeyFenceDevice):
		v = orNil(s.Config.FenceDevices[id])
	case strings.HasPrefix(key, cib.KeyQuorumDevice):
		v = s.Config.QuorumDevices[id]
	case strings.HasPrefix(key, cib.KeyFenceTopology):
		v = orNil(s.Config.FenceTopology[id])
	}
	if v == nil {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return []byte(err.Error())
	}
	return raw
}

func orNil[V any](p *V) any {
	if p == nil {
		return nil
	}
	return p
}

// acknowledged is rule 5: what was acknowledged has happened.
func (c *checks) acknowledged(w *World, what string, gen uint64) {
	if !c.applied[gen] || w.store.snap.ConfigGen.Number < gen {
		w.fail(5, "%q was acknowledged as generation %d, and the configuration is at %d", what, gen, w.store.snap.ConfigGen.Number)
	}
}

// event is told of every event that is written.
func (c *checks) event(_ *World, v any) {
	if ev, ok := v.(*cib.Event); ok && ev.Code == event.Get(event.ProofVoid).Code() {
		c.voids++
	}
}

// everySecond is rule 8, second half: a node that has been without a majority for
// long stops its resources by itself, or resets itself.
func (c *checks) everySecond(w *World) {
	for _, m := range w.machines {
		t := &m.truth
		if t.majority && t.lonely {
			t.lonely = false
		}
		// Half of the votes and an arbitrator's grant are as good as a majority.
		last := t.majEnd
		if t.grantUntil.After(last) {
			last = t.grantUntil
		}
		if !t.majority && m.booted && m.engine != nil && !t.lonely && !t.majEnd.IsZero() && m.steady().Sub(last) > w.validity() {
			t.lonely = true
			if t.wasValid {
				t.lostAt = t.majSince
			}
		}
		c.deadline(w, m)
		c.missed(w, m)
	}
}

// missed is the other side of a fault: a node that the majority can't reach both
// ways is not called online for long.
func (c *checks) missed(w *World, m *machine) {
	st := &w.store.snap.Status
	ns := st.Nodes[m.name]
	if m.remote || m.truth.majority || ns == nil || ns.State != cib.NodeOnline || st.DC == nil || w.store.leader < 0 || w.now < w.store.stallUntil {
		return
	}
	// The DC must have had its majority, the store and its quiet all the time.
	dc := w.machines[w.index[st.DC.Node]]
	o := &w.sc.Config.Cluster.Options
	limit := int64(3*o.DetectionTime() + o.RestartGraceTime() + 10*time.Second)
	if dc.engine == nil || dc.engine.inc != st.DC.Incarnation || !dc.healthy() || !dc.truth.majority || !dc.truth.in || dc.watchStall > w.now || w.store.slow > 0 {
		return
	}
	since := max(m.truth.majSince, dc.truth.majSince, dc.truth.inSince, dc.engine.born, dc.truth.wokeAt, dc.truth.calm, w.store.since)
	if w.now-since > limit && w.now-int64(ns.Since.Sub(epoch)) > limit {
		w.fail(ruleSettle, "%s has been out of reach for %s and is still online for the DC %s", m.name, time.Duration(w.now-m.truth.majSince), dc.name)
	}
}

func (c *checks) deadline(w *World, m *machine) {
	o := &w.store.snap.Config.Cluster.Options
	if len(m.inst) == 0 || m.truth.majority && m.truth.excludedAt.IsZero() || !m.healthy() || m.engine.blind && !m.engine.read {
		return
	}
	policy := w.sc.Config.Cluster.Options.NoQuorum()
	if policy != cib.NoQuorumStop && policy != cib.NoQuorumFence {
		return
	}
	if n := w.store.snap.Config.Nodes[m.name]; n != nil && n.Maintenance {
		return // what runs there is an administrator's for now
	}
	since := max(m.engine.born, m.truth.wokeAt)
	if m.truth.majority {
		since = max(since, m.truth.excludedNow)
	} else {
		since = max(since, m.truth.majSince)
	}
	if m.truth.grantAt > 0 {
		since = max(since, m.truth.grantAt+int64(arbLease))
	}
	limit := o.StopGraceTime() + 10*time.Second + 2*w.validity() + 5*time.Second
	if time.Duration(w.now-since) < limit {
		return
	}
	for _, id := range sortedKeys(m.inst) {
		if c.managedOn(w, id, m.name) && !m.inst[id].excused {
			w.fail(8, "%s still runs on %s, which has been without a majority, or out of the view, for %s (%s)", id, m.name,
				time.Duration(w.now-since), policy)
		}
	}
}
