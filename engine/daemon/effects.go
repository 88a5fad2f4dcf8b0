package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/comm"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/store"
)

// Limits of what the shell holds.
const (
	commitTimeout  = 5 * time.Second // a transaction without an answer for so long is unknown
	ringMax        = 1000            // events that wait for the store
	outputMaxBytes = 1 << 10         // of an agent's output in a history
)

// perform does one effect. It never waits.
func (e *engine) perform(ctx context.Context, eff node.Effect) {
	switch eff := eff.(type) {
	case node.Send:
		b, err := comm.Encode(&eff.Message)
		if err == nil {
			err = e.transport.Send(eff.To, eff.Message.On, b)
		}
		if err != nil {
			e.log.Debug("a message was not sent", "peer", eff.To, "err", err)
		}
	case node.Commit:
		e.work.Go(func() { e.commit(ctx, eff) })
	case node.Run:
		if eff.Remote != "" {
			run, cancel := context.WithCancel(ctx)
			own := e.newRun(eff.Run, eff.Action.Resource, cancel)
			e.work.Go(func() { e.runRemote(run, ctx, own, eff) })
			return
		}
		run, cancel := context.WithCancel(ctx)
		own := e.newRun(eff.Run, eff.Action.Resource, cancel)
		e.work.Go(func() { e.runAgent(run, ctx, own, eff) })
	case node.Kill:
		if run, ok := e.runs.Load(eff.Run); ok {
			run.(*agentRun).cancel()
		}
	case node.Connect:
		e.work.Go(func() { e.connect(ctx, eff) })
	case node.Disconnect:
		if l := e.dropLink(eff.Remote, eff.Epoch); l != nil {
			e.work.Go(l.Close)
		}
	case node.CheckLink:
		e.work.Go(func() { e.checkLink(ctx, eff) })
	case node.FenceCall:
		e.work.Go(func() { e.runFence(ctx, eff) })
	case node.Feed:
		e.feed(ctx, eff)
	case node.SelfFence:
		e.log.Error("this machine is to be reset", "reason", eff.Reason)
		e.d.selfFence(eff.Reason)
	case node.Emit:
		e.emit(eff.Event)
	case node.Silent:
		e.silent(eff)
	case node.Journal:
		e.log.Warn("acted without the store", "action", eff.Text)
		if err := e.journal.write(eff.Text); err != nil {
			e.log.Error("the journal can't be written", "err", err)
		}
	case node.Consult:
		e.log.Debug("claim", "text", eff.Claim.String())
		e.arbiters.consult(eff.Claim)
	case node.Tickets:
		e.arbiters.wantTickets(eff.Want)
	case node.EpochKnown:
		if err := writeJSON(e.d.runPath(fileVoters), epochKnown{Boot: e.d.bootID, Epoch: eff.Epoch}); err != nil {
			e.log.Error("what is known of the voters can't be kept", "err", err)
		}
	case node.Recover:
		e.keeper.force(eff)
	case node.Advise:
		e.work.Go(func() { e.runPlacement(ctx, eff) })
	case node.Remove:
		e.start(ctx, func(ctx context.Context) { e.removeByEngine(ctx, eff) })
	case node.Left:
		e.leftOne.Do(func() { close(e.left) })
	}
}

// silent keeps the store from waiting for a peer that does not answer: this node's
// client and its member would only notice by their own, longer time-outs.
func (e *engine) silent(s node.Silent) {
	if s.Link < 0 {
		e.store.Distrust(s.Node)
	}
	snap := e.snap.Load()
	if snap == nil || snap.Config.Nodes[s.Node] == nil {
		return
	}
	for i, a := range snap.Config.Nodes[s.Node].Addresses {
		if ip, err := netip.ParseAddr(a); err == nil && (s.Link < 0 || s.Link == i) {
			e.keeper.sup.DropPeer(ip)
		}
	}
}

func (e *engine) commit(ctx context.Context, c node.Commit) {
	tctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	ok, rev, err := e.store.Commit(tctx, c.Txn)
	done := node.Committed{ID: c.ID, Rev: rev, Outcome: node.Refused}
	switch {
	case errors.Is(err, store.ErrSpace):
		e.storeDown(ctx, err)
	case err != nil:
		// Not reachable is unknown too: the node looks again either way.
		done.Outcome = node.Unknown
		e.storeDown(ctx, err)
	case ok:
		done.Outcome = node.Done
		e.storeUp(ctx)
		for i := range c.Txn.Put {
			if ev, ok := c.Txn.Put[i].Value.(*cib.Event); ok {
				e.logEvent(ev)
			}
		}
	default:
		e.storeUp(ctx)
	}
	e.log.Debug("transaction", "id", c.ID, "puts", len(c.Txn.Put), "outcome", done.Outcome, "rev", rev, "err", err)
	e.tell(ctx, done)
}

// storeDown and storeUp tell the node when the store stops and begins to answer.
func (e *engine) storeDown(ctx context.Context, err error) {
	text := err.Error()
	if e.storeErr.Swap(&text) == nil && ctx.Err() == nil {
		e.log.Warn("the store does not answer", "err", err)
		e.tell(ctx, node.StoreState{OK: false, Reason: text})
		e.keeper.lookAgain()
	}
}

// storeSilent is how long the store may be silent at a tie, at its sole voter, or at one
// of two voters whose engine has just started, until it counts as stalled. Its client asks
// it every second. Else who writes something finds out.
const storeSilent = 3 * time.Second

var errStoreSilent = fmt.Errorf("it is silent for more than %s", storeSilent)

// contact looks whether the store answers, when nothing is written to it.
func (e *engine) contact(ctx context.Context) {
	silent, down := time.Since(e.store.LastContact()), e.storeErr.Load() != nil
	switch {
	case !down && silent > storeSilent && (e.arbiters.alone() || e.unreached(time.Now())):
		e.work.Go(func() { e.storeDown(ctx, errStoreSilent) })
	case down && silent < time.Second:
		e.work.Go(func() { e.storeUp(ctx) })
	}
}

// unreached reports whether the engine of one of two voters has waited for the store in
// vain since it started.
func (e *engine) unreached(now time.Time) bool {
	s := e.snap.Load()
	return e.store.LastContact().IsZero() && now.Sub(time.Unix(0, int64(e.setup.Incarnation))) > storeSilent &&
		s != nil && !e.external() && recordedPeer(s, e.local.Node) != ""
}

func (e *engine) storeUp(ctx context.Context) {
	if e.storeErr.Load() != nil && e.storeErr.Swap(nil) != nil {
		e.log.Info("the store answers")
		e.tell(ctx, node.StoreState{OK: true})
	}
}

func (e *engine) runAgent(run, ctx context.Context, own *agentRun, r node.Run) {
	defer own.cancel() // else the engine's context would keep every run
	defer e.runs.Delete(r.Run)
	a := &r.Action
	done := node.AgentDone{Run: r.Run}
	fail := func(err error) {
		now := time.Now()
		done.Result = node.AgentResult{Status: cib.OpError, RC: cib.NotConfigured, Started: now, Ended: now, Reason: err.Error()}
	}
	id, err := agent.ParseID(a.Agent)
	params, secret, serr := e.open(cib.KeyResource+a.Resource, a.Parameters)
	if a.Op == cib.OpStart {
		err = errors.Join(err, e.admitReplica(ctx, a.Resource))
	}
	switch err := errors.Join(err, serr); {
	case err != nil:
		fail(err)
	default:
		reloadable := e.reloadable(ctx, a, id)
		res := e.agents.Run(run, agent.Request{
			ActionID: a.ID, Agent: id, Instance: a.Instance, Op: a.Op, Params: params, Secret: secret, Meta: a.Meta,
			Timeout: a.Timeout.D(), Interval: a.Interval.D(), NotAfter: r.NotAfter, NodeID: e.nodeID(),
			Env: map[string]string{shim.TokenVariable: own.token},
		})
		done.Result = node.AgentResult{
			Status: res.Status, RC: res.RC, Started: res.Started, Ended: res.Ended, Exec: res.Exec, Reason: res.Reason, Output: tail(res.Output(), outputMaxBytes),
		}
		done.Result.Reloadable = reloadable(&res)
		e.promotion(ctx, a, id, &res)
		e.traceAction(a, &done.Result)
		level := slog.LevelInfo
		if a.Op == cib.OpMonitor {
			level = slog.LevelDebug
		}
		e.log.Log(ctx, level, "agent ran", "action", a.String(), "id", a.ID, "status", res.Status.String(), "rc", res.RC, "dur", res.Exec, "reason", res.Reason, "why", a.Why.Cause)
	}
	e.tell(ctx, done)
}

// reloadable returns which parameters an agent can take over while the instance runs.
// The agent is asked beside its start, so that nobody waits for the one after the other;
// one that does not answer in time counts as one that can't. Call what is returned once
// the run has ended.
func (e *engine) reloadable(ctx context.Context, a *cib.Action, id agent.ID) func(*agent.Result) []string {
	ctx, cancel := context.WithTimeout(ctx, reloadableTimeout)
	out := make(chan []string, 1)
	ask := func() {
		m, err := e.agents.Metadata(ctx, id)
		if err != nil {
			e.log.Debug("which parameters can be reloaded is not known", "agent", id.String(), "err", err)
		}
		out <- m.Reloadable()
	}
	starts := a.Op == cib.OpStart || a.Op == cib.OpMigrateFrom
	if starts {
		go ask()
	}
	return func(res *agent.Result) []string {
		defer cancel()
		if !starts && !a.Probe || res.Status != cib.OpDone || res.RC != cib.OK && res.RC != cib.RunningPromoted {
			return nil
		}
		if !starts {
			go ask()
		}
		select {
		case names := <-out:
			return names
		case <-ctx.Done():
			return nil
		}
	}
}

// reloadableTimeout bounds how long an agent is waited for that is asked which
// parameters it can take over.
const reloadableTimeout = 5 * time.Second

func tail(s string, n int) string {
	if len(s) > n {
		s = "..." + s[len(s)-n+3:]
	}
	return strings.ToValidUTF8(s, "?")
}

// open opens the sealed values of an object's parameters and names them, so that
// they are struck out of what agents print.
func (e *engine) open(object string, params map[string]string) (open map[string]string, secret []string, err error) {
	open = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		v, oerr := e.seal.Open(cib.SealObject(object, name), params[name])
		if oerr != nil {
			err = errors.Join(err, fmt.Errorf("parameter %s: %w", name, oerr))
		}
		if v != params[name] {
			secret = append(secret, name)
		}
		open[name] = v
	}
	return open, secret, err
}

func (e *engine) runFence(ctx context.Context, c node.FenceCall) {
	done := node.FenceDone{Run: c.Run}
	params, secret, err := e.open(cib.KeyFenceDevice+c.DeviceID, c.Device.Parameters)
	if err != nil {
		done.Result.Error = err.Error()
		e.tell(ctx, done)
		return
	}
	res := e.agents.RunFence(ctx, agent.FenceRequest{
		Device: c.DeviceID, Agent: c.Device.Agent, Action: agent.FenceAction(c.Op), Params: params, Secret: secret,
		Target: c.Target, Plug: c.Plug, Timeout: c.Timeout, NotAfter: c.NotAfter,
	})
	level := slog.LevelInfo
	if c.Op == node.FenceMonitor {
		level = slog.LevelDebug
	}
	e.log.Log(ctx, level, "fence agent ran", "device", c.DeviceID, "op", c.Op, "target", c.Target, "ok", res.OK, "power", res.Power.String(), "dur", res.Exec, "reason", res.Reason)
	done.Result = node.FenceResult{OK: res.OK, Off: res.Power == agent.PowerOff, Error: res.Reason}
	e.traceFence(&c, &done.Result)
	e.tell(ctx, done)
}

// runPlacement asks the external placement program.
func (e *engine) runPlacement(ctx context.Context, c node.Advise) {
	done := node.Advised{Program: c.Program}
	answer, err := e.agents.RunPlacement(ctx, c.Program, c.Question, c.Timeout)
	if err != nil {
		e.log.Warn("the placement program gave no answer; scores and numbers decide", "err", err)
		done.Error = err.Error()
	} else {
		done.Answer = *answer
	}
	e.tell(ctx, done)
}

// await waits until this engine has seen a revision, so that who wrote it reads
// it.
func (e *engine) await(ctx context.Context, rev int64) error {
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil && s.Revision >= rev {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return api.NewProblem(api.CodeTimeout, "it was written, but this node has not seen it yet")
		}
	}
}

// emit logs an event and queues it for the ring. A full queue drops it: the log
// has it.
func (e *engine) emit(ev cib.Event) {
	ev.Time, ev.Source = time.Now().UTC(), e.local.Node
	e.logEvent(&ev)
	select {
	case e.ring <- ev:
	default:
		e.log.Warn("an event is only in this log: too many wait for the store", "code", ev.Code)
	}
}

func (e *engine) logEvent(ev *cib.Event) {
	e.trace(ev)
	level := slog.LevelInfo
	switch ev.Severity {
	case cib.SeverityCritical, cib.SeverityMajor:
		level = slog.LevelError
	case cib.SeverityMinor, cib.SeverityWarning:
		level = slog.LevelWarn
	case cib.SeverityCleared, cib.SeverityIndeterminate:
	}
	e.log.Log(context.Background(), level, ev.Text, "code", ev.Code, "resource", ev.Resource, "cause", ev.Cause) //nolint:sloglint // the catalogue's texts are the messages
}

var eventCount atomic.Uint64 // of events that this process writes besides the node's

// writeEvents writes queued events into the ring, in batches, until the store
// takes them.
func (e *engine) writeEvents(ctx context.Context) {
	for {
		var batch []cib.Event
		select {
		case <-ctx.Done():
			return
		case ev := <-e.ring:
			batch = append(batch, ev)
		}
		for more := true; more && len(batch) < cib.EventsPerTxn; {
			select {
			case ev := <-e.ring:
				batch = append(batch, ev)
			default:
				more = false
			}
		}
		var txn cib.Txn
		for i := range batch {
			batch[i].Index = uint64(i)
			// The node counts its own events from 1; these have the upper half.
			key := cib.EventKey(e.local.Node, e.setup.Incarnation, 1<<40+eventCount.Add(1))
			txn.Put = append(txn.Put, cib.Put{Key: key, Value: &batch[i]})
		}
		for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
			tctx, cancel := context.WithTimeout(ctx, commitTimeout)
			_, _, err := e.store.Commit(tctx, txn) // the keys make a repetition harmless
			cancel()
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// keepSnapshots writes what the node needs to act without the store to its disk,
// at most once in two seconds unless it is vital.
func (e *engine) keepSnapshots(ctx context.Context) {
	path := filepath.Join(e.d.opts.StateDir, fileSnapshot)
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-e.kept:
			docs, err := documents(s, e.local.Node)
			sum := digest(docs)
			if err == nil && sum != last {
				if err = writeJSON(path, keptSnapshot{Revision: s.Revision, Docs: docs}); err == nil {
					last = sum
				}
			}
			if err != nil {
				e.log.Error("the snapshot can't be kept on disk", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-e.vital:
		case <-time.After(2 * time.Second):
		}
	}
}

// digest names the content of documents, whatever their revision and order.
func digest(docs []kept) string {
	m := map[string]string{}
	for _, d := range docs {
		m[d.Key] = string(d.Value)
	}
	return cib.Digest(m)
}

// corrupt tells the operator of a local file that was moved aside.
func (e *engine) corrupt(err error) {
	if c, ok := errors.AsType[*corruptError](err); ok {
		e.emit(event.New(event.StateCorrupt, "node", e.local.Node, "file", c.file, "aside", c.aside))
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
