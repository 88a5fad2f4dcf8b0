package lrm

import (
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

// tellAgain is the time after which a recurring monitor that still fails in the
// same way is recorded again.
const tellAgain = 10 * time.Second

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
	if m.remote && mon != nil && r.Status == cib.OpNotRun {
		mon.due = now.Add(retryPause) // the connection is broken, and is being made anew
		in.setDue()
		return
	}
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
	if a.Interval > 0 {
		op.Timeout = a.Timeout
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
		h.Ops = slices.DeleteFunc(h.Ops, recurs)
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
