package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
)

// instance is what really runs of a resource on a machine.
type instance struct {
	role cib.Role // Started or Promoted; an instance that does not run is not kept
	// excused: its stop was confirmed by an agent that lied. That it still runs is
	// the agent's doing (rule 1: "or has confirmed the stop").
	excused bool
	params  string // the digest of the parameters that it runs with
}

// reloadable are the parameters that agents here take over while they run.
var reloadable = []string{"fake"}

// run is one run of a resource agent.
type run struct {
	id       uint64
	action   cib.Action
	notAfter time.Time
	m        *machine
	e        *engine  // nil once the engine that asked is gone
	s        *session // of a run on a remote node: the connection over which it was asked for
	begun    bool
	over     bool // ended, or killed
	started  time.Time
	mode     agentMode
	peerBoot string // of a migrate_to: the boot of the other end with which it began
}

// agentMode is how a run goes.
type agentMode uint8

const (
	agentWorks agentMode = iota
	agentFails           // says 1, having done nothing
	agentHalf            // says 1, having done it
	agentHangs           // does nothing until it is killed
	agentLies            // says that it did, and did not
)

var agentModes = []string{"works", "fails", "half", "hangs", "lies"}

// spell makes the next runs of an agent go wrong.
type spell struct {
	resource, op string // "": any
	node         string
	mode         agentMode
	left         int
	until        int64
}

// runAgent takes a node's Run: the shell of the daemon, from the order to the fork.
func (w *World) runAgent(e *engine, x node.Run) {
	r := &run{id: x.Run, action: x.Action, notAfter: x.NotAfter, m: e.m, e: e}
	if w.mutant != nil && w.mutant.run != nil && !w.mutant.run(w, r) {
		e.runs[r.id] = r
		w.afterOn(time.Second, e.m, ofEngine, e, func() { w.end(r, node.AgentResult{Status: cib.OpDone, RC: cib.GenericError}) })
		return
	}
	if e.runs[r.id] != nil {
		w.fail(6, "node %s runs number %d twice", e.m.name, r.id)
	}
	e.runs[r.id] = r
	if len(e.runs) > runsMax {
		w.fail(ruleGrowth, "%d agents run on node %s", len(e.runs), e.m.name)
	}
	d := between(w.agentRand, 0, 3*time.Millisecond)
	if w.faulty && w.agentRand.IntN(100) == 0 {
		d += between(w.agentRand, 0, 500*time.Millisecond)
	}
	w.afterOn(d, e.m, ofEngine, e, func() { w.check(r) })
}

const runsMax = 2000

// check reads the clock right before the agent is started.
func (w *World) check(r *run) {
	e := r.e
	if r.over {
		return
	}
	if !r.notAfter.IsZero() && !r.m.steady().Before(r.notAfter) && (w.mutant == nil || !w.mutant.ignoreNotAfter) {
		r.over = true
		delete(e.runs, r.id)
		r.m.tracef("does not run %s: too late", r.action.String())
		e.step(node.AgentDone{Run: r.id, Result: node.AgentResult{Status: cib.OpNotRun}})
		return
	}
	w.checks.run(w, r)
	// A pause between the check and the start is possible, and then nothing but the
	// power switch helps.
	gap := time.Duration(0)
	if w.faulty && w.agentRand.IntN(200) == 0 {
		gap = between(w.agentRand, 0, 50*time.Millisecond)
	}
	r.begun = true
	w.afterOn(gap, r.m, ofAgent, nil, func() { w.begin(r) })
	if w.mutant != nil && w.mutant.runTwice && r.action.Op == cib.OpStart {
		w.afterOn(gap+50*time.Millisecond, r.m, ofEngine, e, func() { w.checks.run(w, r) })
	}
}

// begin is the agent's start. Its boot is the machine's: a machine that lost power
// has no such run any more.
func (w *World) begin(r *run) {
	if r.over || !r.m.powered {
		return
	}
	rng := w.agentRand
	a := &r.action
	r.started = r.m.wall()
	r.mode = w.modeOf(r)
	if k, ok := w.index[a.Peer]; ok {
		r.peerBoot = w.machines[k].bootID // a machine that is booted anew has none of the connections of before
	}
	r.m.tracef("runs %s (%s)%s", a.String(), a.ID, map[bool]string{true: " [" + agentModes[r.mode] + "]"}[r.mode != agentWorks])
	low, high := 10*time.Millisecond, 400*time.Millisecond
	if w.faulty && rng.IntN(10) == 0 {
		high = 3 * time.Second
	}
	d := between(rng, low, high)
	effect := between(rng, 0, d)
	boot := r.m.boots
	live := func() bool { return !r.over && r.m.boots == boot }
	if r.mode == agentHangs {
		timeout := a.Timeout.D()
		if timeout <= 0 {
			timeout = cib.DefaultOpTimeout
		}
		half := rng.IntN(2) == 0
		w.afterOn(timeout, r.m, ofAgent, nil, func() {
			if live() {
				if half {
					w.effect(r)
				}
				w.end(r, node.AgentResult{Status: cib.OpTimeout})
			}
		})
		return
	}
	if r.mode == agentWorks || r.mode == agentHalf {
		w.afterOn(effect, r.m, ofAgent, nil, func() {
			if live() {
				w.effect(r)
			}
		})
	}
	w.afterOn(d, r.m, ofAgent, nil, func() {
		if live() {
			w.end(r, node.AgentResult{Status: cib.OpDone, RC: w.code(r)})
		}
	})
}

// effect is the moment when the agent's work is done.
func (w *World) effect(r *run) {
	m, a := r.m, &r.action
	cur := m.inst[a.Instance]
	switch a.Op {
	case cib.OpStart:
		if cur == nil {
			w.activate(m, a.Instance, cib.RoleStarted, cib.Digest(a.Parameters))
		}
	case cib.OpReload:
		if cur != nil {
			cur.params = cib.Digest(a.Parameters)
		}
	case cib.OpMigrateTo: // it is on the target from now on; where that is off, it stays
		if k, ok := w.index[a.Peer]; ok && cur != nil && w.machines[k].on() && w.machines[k].bootID == r.peerBoot {
			w.deactivate(m, a.Instance)
			w.activate(w.machines[k], a.Instance, cib.RoleStarted, cur.params)
		}
	case cib.OpStop:
		if cur != nil {
			w.deactivate(m, a.Instance)
		}
	case cib.OpPromote:
		if cur != nil {
			cur.role = cib.RolePromoted
			w.checks.promoted(w, m, a.Instance)
		}
	case cib.OpDemote:
		if cur != nil {
			cur.role = cib.RoleStarted
		}
	}
}

func (w *World) activate(m *machine, id string, role cib.Role, params string) {
	m.inst[id] = &instance{role: role, params: params}
	m.tracef("%s is active now", id)
	w.checks.activated(w, m, id)
}

func (w *World) deactivate(m *machine, id string) {
	delete(m.inst, id)
	m.tracef("%s is not active any more", id)
}

// code is what the agent says at its end.
func (w *World) code(r *run) int {
	a := &r.action
	cur := r.m.inst[a.Instance]
	if a.Op == cib.OpMonitor {
		switch {
		case cur == nil:
			return cib.NotRunning
		case r.mode == agentFails || r.mode == agentHalf:
			return cib.GenericError
		case cur.role == cib.RolePromoted:
			return cib.RunningPromoted
		}
		return cib.OK
	}
	switch r.mode {
	case agentFails, agentHalf:
		return cib.GenericError
	case agentLies:
		if a.Op == cib.OpStop && cur != nil {
			cur.excused = true
		}
	case agentWorks, agentHangs:
	}
	switch {
	case (a.Op == cib.OpPromote || a.Op == cib.OpDemote || a.Op == cib.OpMigrateFrom || a.Op == cib.OpReload) && cur == nil:
		return cib.NotRunning
	case a.Op == cib.OpMigrateTo && cur != nil && r.mode != agentLies:
		return cib.GenericError // it is still here
	}
	return cib.OK
}

// end brings the result to the engine, if the one that asked still runs.
func (w *World) end(r *run, res node.AgentResult) {
	r.over = true
	e := r.e
	if r.s == nil && (e == nil || e.m.engine != e) {
		return
	}
	res.Started, res.Ended = r.started, r.m.wall()
	if r.started.IsZero() {
		res.Started = res.Ended
	}
	res.Exec = res.Ended.Sub(res.Started)
	if res.Status == cib.OpDone && res.RC == cib.OK {
		res.Reloadable = reloadable
	}
	if r.s != nil {
		r.s.done(r, res)
		return
	}
	w.afterOn(between(w.agentRand, 0, 2*time.Millisecond), e.m, ofEngine, e, func() {
		if e.runs[r.id] != r {
			return
		}
		delete(e.runs, r.id)
		if w.mutant != nil && w.mutant.result != nil {
			w.mutant.result(w, r, &res)
		}
		r.m.tracef("ended %s: %s %d", r.action.String(), res.Status, res.RC)
		e.step(node.AgentDone{Run: r.id, Result: res})
	})
}

// killAgent ends a run on the node's order.
func (w *World) killAgent(e *engine, id uint64) {
	r := e.runs[id]
	if r == nil || r.over {
		return
	}
	r.m.tracef("kills %s", r.action.String())
	w.kill(r)
	w.end(r, node.AgentResult{Status: cib.OpCancelled})
}

// kill ends a run somewhere in its course.
func (w *World) kill(r *run) {
	if r.begun && r.mode == agentWorks && w.agentRand.IntN(3) == 0 {
		w.effect(r)
	}
	r.over = true
}

// orphan is what becomes of the runs of an engine that ends: killed with it, or
// left to themselves until the next engine ends them.
func (m *machine) orphan(e *engine, kill bool) {
	for _, id := range slices.Sorted(maps.Keys(e.runs)) {
		r := e.runs[id]
		r.e = nil
		switch {
		case r.over:
		case kill || !r.begun:
			m.w.kill(r)
		default:
			m.truth.orphans = append(m.truth.orphans, r)
		}
	}
	e.runs = map[uint64]*run{}
}

// endLeftovers ends the agents that an earlier engine left.
func (m *machine) endLeftovers() {
	if m.w.mutant != nil && m.w.mutant.keepLeftovers {
		return
	}
	for _, r := range m.truth.orphans {
		if !r.over {
			m.tracef("ends the left-over %s", r.action.String())
			m.w.kill(r)
		}
	}
	m.truth.orphans = nil
}

// modeOf draws how a run goes.
func (w *World) modeOf(r *run) agentMode {
	if !w.faulty {
		return agentWorks
	}
	for _, s := range w.checks.spells {
		if s.left > 0 && w.now < s.until && (s.resource == "" || s.resource == r.action.Resource) && (s.op == "" || s.op == r.action.Op) &&
			(s.node == "" || s.node == r.m.name) {
			s.left--
			return s.mode
		}
	}
	if chance(w.agentRand, w.sc.AgentFails) {
		return []agentMode{agentFails, agentHalf, agentHangs}[w.agentRand.IntN(3)]
	}
	return agentWorks
}

// die ends an instance without anybody's order.
func (w *World) die(m *machine, id string) {
	if m.powered && m.inst[id] != nil {
		m.tracef("%s dies by itself", id)
		w.deactivate(m, id)
	}
}
