package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/fencing"
)

// A fencing request is a record: the DC writes it, a node that is not its target
// claims it, drives the devices, and ends it together with the proof in one
// transaction. The key is the target, so that equal requests merge.

// execution is one request being executed by this node.
type execution struct {
	request cib.FenceRequest
	attempt *fencing.Attempt
	phase   fencePhase
	run     uint64 // the call on its way; 0: none
	device  string // that is called
	retryAt time.Time
}

type fencePhase uint8

const (
	fenceClaiming fencePhase = iota
	fenceActing
	fenceProving
	fencePowering // the proof stands; a reboot switches on again
	fenceFailing
)

// requestOf turns a fence step of the plan into a request. Nil: not now.
func (n *Node) requestOf(now time.Time, a *cib.Action, c *viewChange) {
	target := a.Node
	if n.snap.Status.Requests[target] != nil {
		return // merged with the open one
	}
	o := &n.snap.Config.Cluster.Options
	heard := n.everHeard[target]
	if st := n.snap.Status.Nodes[target]; st != nil && st.Remote {
		heard = true // it was connected, and its connection failed
	}
	if !heard && !n.warm && now.Before(n.started.Add(o.StartupWaitTime())) {
		return // a cold start: it may still be booting
	}
	if !heard && !o.FencesAtStartup() {
		return
	}
	r := cib.FenceRequest{
		ID: fmt.Sprintf("f%d-%s", n.snap.Revision, target), Target: target, Op: a.FenceOp, Delay: a.Delay, Why: a.Why, State: cib.FenceRequested, Asked: n.wallNow(),
	}
	if st := n.snap.Status.Nodes[target]; st != nil {
		r.BootID = st.BootID
	}
	if n.proofFor(target, r.BootID) != nil {
		return // done, and not yet missed: what the plan was made from still shows it
	}
	r.Why.ID = cmp.Or(r.Why.ID, r.ID)
	n.ask(&r)
	c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyFenceRequest + target})
	if st := n.snap.Status.Nodes[target]; st != nil {
		// Who confirms a death by hand writes the node's state anew: then this is
		// decided again.
		c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyNodeStatus + target, ModRev: st.Rev})
	}
	c.put(cib.KeyFenceRequest+target, &r)
	c.event(event.FencingRequested, "node", target, "op", r.Op.String(), "reason", r.Why.Cause, "cause", r.ID)
}

// ask chooses who executes a request.
func (n *Node) ask(r *cib.FenceRequest) {
	var members []string
	for _, m := range n.snap.Status.View.Members {
		st := n.snap.Status.Nodes[m.Node]
		if st != nil && (st.State == cib.NodeOnline || st.State == cib.NodeLeaving) {
			members = append(members, m.Node)
		}
	}
	r.State, r.Executor = cib.FenceRequested, fencing.Executor(members, n.self.Name, r.Target, r.Attempts)
	r.Executed, r.Claimed = 0, time.Time{}
}

// tendRequests keeps open requests going: a failed one is tried again after a
// pause, one whose executor is gone is given to another. It reports whether it
// wrote.
func (n *Node) tendRequests() bool {
	st := &n.snap.Status
	if st.View == nil {
		return false
	}
	var c viewChange
	for _, target := range sortedKeys(st.Requests) {
		r := *st.Requests[target]
		switch {
		case r.State == cib.FenceRequested && r.Executor == "":
		case r.State == cib.FenceFailed && !n.wallNow().Before(r.Ended.Add(fencing.Backoff(r.Attempts))):
		case r.State == cib.FenceRequested || r.State == cib.FenceExecuting:
			m, ok := st.View.Member(r.Executor)
			if ok && r.Executor != target && (r.State == cib.FenceRequested || m.Incarnation == r.Executed) {
				continue
			}
			r.Attempts++
		default:
			continue
		}
		rev := r.Rev
		n.ask(&r)
		if r.Executor == "" {
			continue // nobody but the target is left
		}
		c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyFenceRequest + target, ModRev: rev})
		c.put(cib.KeyFenceRequest+target, &r)
	}
	if !c.any {
		return false
	}
	n.asDC(c.txn, c.events)
	return true
}

// executeFencing is this node's part as the one who drives the devices.
func (n *Node) executeFencing(now time.Time) {
	st := &n.snap.Status
	for _, target := range sortedKeys(st.Requests) {
		r := st.Requests[target]
		if r.Executor != n.self.Name || n.fences[target] != nil || !n.valid || target == n.self.Name {
			continue
		}
		switch {
		case r.State == cib.FenceRequested:
			n.claimFence(r)
		case r.State == cib.FenceExecuting && r.Executed == n.self.Incarnation && r.Rev > n.fencesEnded[target]:
			// A claim of ours that was refused, or not answered, happened after all.
			x := &execution{request: *r}
			n.fences[target] = x
			n.startFence(now, x, r.Rev)
		}
	}
	for _, target := range sortedKeys(n.fences) {
		n.advanceFence(now, target, n.fences[target])
	}
}

func (n *Node) claimFence(r *cib.FenceRequest) {
	x := &execution{request: *r, phase: fenceClaiming}
	n.fences[r.Target] = x
	x.request.State, x.request.Executed, x.request.Claimed = cib.FenceExecuting, n.self.Incarnation, n.wallNow()
	value := x.request
	key := cib.KeyFenceRequest + r.Target
	n.commit(cib.Txn{If: []cib.Compare{{Key: key, ModRev: r.Rev}}, Put: []cib.Put{{Key: key, Value: &value}}}, nil,
		func(now time.Time, outcome Outcome, rev int64) {
			if outcome != Done {
				// Refused: withdrawn or given to another. Unknown: if it happened, the
				// DC sees a claim that nobody executes only when this engine ends; so
				// claim again from what the snapshot shows.
				delete(n.fences, r.Target)
				if outcome == Unknown {
					n.reclaim(r.Target)
				}
				return
			}
			n.startFence(now, x, rev)
		})
}

func (n *Node) startFence(now time.Time, x *execution, rev int64) {
	x.request.Rev = rev
	x.phase = fenceActing
	o := &n.snap.Config.Cluster.Options
	x.attempt = fencing.New(fencing.Levels(n.snap.Config, x.request.Target), x.request.Op, o.FenceTimeout(), now.Add(x.request.Delay.D()))
}

// reclaim takes up a request that this engine claimed without learning of it.
func (n *Node) reclaim(target string) {
	x := &execution{request: cib.FenceRequest{Target: target}, phase: fenceClaiming}
	x.retryAt = n.now.Add(500 * time.Millisecond)
	n.fences[target] = x
}

func (n *Node) advanceFence(now time.Time, target string, x *execution) {
	stored := n.snap.Status.Requests[target]
	if x.phase == fenceClaiming {
		if x.retryAt.IsZero() || now.Before(x.retryAt) {
			return // the claim is on its way
		}
		delete(n.fences, target)
		if stored != nil && stored.State == cib.FenceExecuting && stored.Executor == n.self.Name && stored.Executed == n.self.Incarnation {
			x.request = *stored
			n.fences[target] = x
			n.startFence(now, x, stored.Rev)
		}
		return
	}
	if x.run != 0 || now.Before(x.retryAt) {
		return
	}
	switch {
	case x.phase == fenceProving || x.phase == fenceFailing:
		n.endFence(target, x) // its answer was lost: try again
		return
	case x.phase == fenceActing && n.moot(target, x, stored):
		n.fencesEnded[target] = x.request.Rev
		delete(n.fences, target)
		return
	case x.attempt.Confirmed():
		x.phase = fenceProving
		n.endFence(target, x)
		return
	case x.attempt.Ended() && x.phase == fencePowering:
		delete(n.fences, target)
		return
	case x.attempt.Ended():
		x.phase = fenceFailing
		n.endFence(target, x)
		return
	}
	if x.phase == fenceActing && !n.valid {
		return // re-checked before every device call
	}
	call, _ := x.attempt.Next(now)
	if call == nil || !n.takesCall(call.Device.ID, call.Device.Config.Concurrency) {
		return // the end of another call is looked at at once
	}
	x.device = call.Device.ID
	n.nextRun++
	x.run = n.nextRun<<1 | 1
	n.fenceOf[x.run] = target
	notAfter := n.tracker.ValidUntil()
	if x.phase == fencePowering {
		notAfter = now.Add(time.Minute) // switching on again harms nobody
	}
	n.out = append(n.out, FenceCall{
		Run: x.run, DeviceID: call.Device.ID, Device: call.Device.Config, Op: FenceCallOp(call.Op), Target: target,
		Plug: call.Device.Plug, Timeout: call.Timeout, NotAfter: notAfter,
	})
}

// takesCall reports whether a fence device may be called now, beside what this node
// asks of it already. Checks of its readiness wait for calls, never the other way.
func (n *Node) takesCall(id string, limit int) bool {
	calls := 0
	for _, x := range n.fences {
		if n.fenceOf[x.run] != "" && x.device == id {
			calls++
		}
	}
	if n.unfence.run != 0 && n.unfence.device == id {
		calls++
	}
	return limit <= 0 || calls < limit
}

// moot reports whether a request need not, or must not, be executed any more:
// withdrawn, given to another, or its target was booted anew.
func (n *Node) moot(target string, x *execution, stored *cib.FenceRequest) bool {
	if stored == nil && n.snap.Revision >= x.request.Rev || stored != nil && stored.Rev > x.request.Rev {
		return true
	}
	p, ok := n.tracker.Peer(target)
	return ok && p.Up && p.BootID != x.request.BootID && x.request.BootID != ""
}

// endFence writes the end of a request: with the proof, or as failed.
func (n *Node) endFence(target string, x *execution) {
	key := cib.KeyFenceRequest + target
	r := x.request
	r.Ended = n.wallNow()
	txn := cib.Txn{If: []cib.Compare{{Key: key, ModRev: r.Rev}}}
	var events []cib.Event
	if x.phase == fenceProving {
		r.State, r.Device = cib.FenceDone, x.attempt.Devices()
		r.Proof = "p" + r.ID
		r.Error = x.attempt.Error()
		proof := &cib.Proof{
			ID: r.Proof, Kind: cib.ProofPower, Target: target, BootID: r.BootID, Device: r.Device, By: n.self.Name, Request: r.ID, Time: r.Ended,
		}
		txn.Delete = []string{key}
		txn.Put = []cib.Put{{Key: cib.KeyFenceHistory + r.ID, Value: &r}, {Key: cib.KeyProof + r.Proof, Value: proof}}
		events = append(events, event.New(event.FencingDone, "node", target, "device", r.Device, "by", n.self.Name, "cause", r.ID,
			"duration", r.Ended.Sub(r.Claimed).Round(time.Millisecond).String()))
	} else {
		r.State, r.Error = cib.FenceFailed, x.attempt.Error()
		r.Attempts++
		txn.Put = []cib.Put{{Key: key, Value: &r}}
		number := event.FencingFailed
		if len(fencing.Levels(n.snap.Config, target)) == 0 {
			number = event.FencingImpossible
		}
		if r.Attempts == 1 || number == event.FencingFailed {
			ev := event.New(number, "node", target, "cause", r.ID)
			if number == event.FencingFailed {
				ev = event.New(number, "node", target, "cause", r.ID, "attempt", fmt.Sprint(r.Attempts), "reason", r.Error)
			}
			events = append(events, ev)
		}
	}
	x.run = ^uint64(0) // busy until the answer
	n.commit(txn, events, func(now time.Time, outcome Outcome, rev int64) {
		x.run = 0
		if outcome != Unknown {
			n.fencesEnded[target] = max(x.request.Rev, rev)
		}
		switch {
		case outcome == Unknown:
			x.retryAt = now.Add(500 * time.Millisecond)
		case outcome == Refused && n.snap.Status.Proofs["p"+x.request.ID] == nil, x.phase == fenceFailing:
			delete(n.fences, target) // the DC took it away, or the failure is told
		default:
			x.phase = fencePowering
			x.attempt.Proven()
		}
	})
}

func (n *Node) fenceDone(now time.Time, ev FenceDone) {
	if id, ok := n.checkOf[ev.Run]; ok {
		n.checked(now, id, ev)
		return
	}
	if n.unfence.run != 0 && n.unfence.run == ev.Run {
		n.unfenceDone(now, ev)
		return
	}
	target := n.fenceOf[ev.Run]
	delete(n.fenceOf, ev.Run)
	if x := n.fences[target]; x != nil && x.run == ev.Run {
		x.run = 0
		x.attempt.Result(now, ev.Result.OK, ev.Result.Off, ev.Result.Error)
	}
}

// fenceWake returns when an execution wants to go on by time alone.
func (n *Node) fenceWake(now time.Time) time.Time {
	var wake time.Time
	if n.unfence.retryAt.After(now) {
		wake = n.unfence.retryAt
	}
	for _, x := range n.fences {
		t := x.retryAt
		if x.attempt != nil && x.run == 0 {
			if _, at := x.attempt.Next(now); !at.IsZero() {
				t = at
			}
		}
		if t.After(now) && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	return wake
}

// check is the readiness of one fence device as this node sees it.
type check struct {
	due     time.Time
	running bool
	last    *cib.Readiness
	wrote   time.Time // when the record was written last
}

// readinessRenewed is after how long the record of a check that found nothing new is written
// again. Much older ones count for nothing (status.FenceCheckMax).
const readinessRenewed = 5 * time.Minute

// checkDevices asks every fence device regularly whether it answers, so that an
// operator learns of a broken one before it is needed. Voters do it, since one of
// them will need it.
func (n *Node) checkDevices(now time.Time) {
	if !n.valid || !n.isVoter(n.self.Name) {
		return
	}
	for _, id := range sortedKeys(n.snap.Config.FenceDevices) {
		d := n.snap.Config.FenceDevices[id]
		k := n.checks[id]
		if k == nil {
			k = &check{due: now}
			n.checks[id] = k
		}
		if k.running || now.Before(k.due) || !n.takesCall(id, d.Concurrency) {
			continue
		}
		k.running = true
		n.nextRun++
		run := n.nextRun<<1 | 1
		n.checkOf[run] = id
		n.out = append(n.out, FenceCall{
			Run: run, DeviceID: id, Device: *d, Op: FenceMonitor, Timeout: cmp.Or(d.Timeout.D(), 20*time.Second), NotAfter: now.Add(time.Minute),
		})
	}
	for id := range n.checks {
		if n.snap.Config.FenceDevices[id] == nil {
			delete(n.checks, id)
		}
	}
}

func (n *Node) checked(now time.Time, id string, ev FenceDone) {
	delete(n.checkOf, ev.Run)
	k, d := n.checks[id], n.snap.Config.FenceDevices[id]
	if k == nil || d == nil {
		return
	}
	k.running = false
	k.due = now.Add(cmp.Or(d.MonitorInterval.D(), time.Minute))
	if !ev.Result.OK {
		k.due = now.Add(10 * time.Second) // the operator who repairs it wants to see it
	}
	r := &cib.Readiness{Device: id, OK: ev.Result.OK, Error: ev.Result.Error, Time: n.wallNow()}
	was, stored := k.last, n.snap.Status.Readiness[n.self.Name][id]
	k.last = r
	if was == nil {
		was = stored
	}
	if k.wrote.IsZero() && stored != nil {
		k.wrote = now.Add(-max(0, r.Time.Sub(stored.Time))) // by an engine before this one
	}
	same := was != nil && was.OK == r.OK && was.Error == r.Error
	if same && now.Sub(k.wrote) < readinessRenewed {
		return
	}
	k.wrote = now
	var events []cib.Event
	switch {
	case same: // only its time is new
	case !r.OK:
		events = append(events, event.New(event.FenceDeviceFailed, "device", id, "node", n.self.Name, "reason", r.Error))
	case was != nil:
		events = append(events, event.New(event.FenceDeviceReady, "device", id, "node", n.self.Name))
	}
	n.commit(cib.Txn{Put: []cib.Put{{Key: cib.ReadinessKey(n.self.Name, id), Value: r}}}, events, func(now time.Time, outcome Outcome, _ int64) {
		if outcome != Done {
			k.last, k.due = nil, now.Add(5*time.Second)
		}
	})
}

// online reports whether a node takes actions.
func (n *Node) online(name string) bool {
	if st := n.snap.Status.Nodes[name]; st != nil && st.Remote {
		return n.takesRemote(name)
	}
	st := n.snap.Status.Nodes[name]
	m, ok := n.snap.Status.View.Member(name)
	doc := n.snap.Status.Members[name]
	return st != nil && ok && doc != nil && doc.Incarnation == m.Incarnation && slices.Contains([]cib.NodeState{cib.NodeOnline, cib.NodeLeaving}, st.State)
}
