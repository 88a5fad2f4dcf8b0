package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
)

// The audit log of this node: what the engine does by itself goes into it beside the
// changes that callers ask for, and the other nodes sign its checkpoints.

// Paths of the node API.
const (
	pathCosign = "/v1/audit/cosign" // takes an audit.Presented of the node that asks
	pathHeld   = "/v1/audit/held"   // what is held of the node that asks
	pathPage   = "/v1/audit/page"   // takes an api.AuditQuery
)

const (
	checkpointEvery = 10 * time.Second // where there are new records
	witnessesMax    = 4                // other nodes that are asked to sign
	witnessAgain    = 10 * time.Minute // until one is asked for what it has signed: it may have lost that
	trailMax        = 4096             // events that wait to be written
	trailPause      = time.Second      // between tries to write what could not be
	pageMax         = 1000             // records in an answer
	pageMaxBytes    = 400 << 10        // of them; an answer between nodes is bounded
	heldMax         = 500              // checkpoints in an answer
)

// trail is this node's audit log with all that keeps it.
type trail struct {
	log     *audit.Log
	problem error              // why the log could not be opened
	events  chan *audit.Record // of what the engine did, on their way into the log
	// forwards is how far each rule's forwarder is: id to api.AuditForward.
	forwards sync.Map

	rotating  sync.Mutex // one new key at a time
	verifying sync.Mutex // one verification at a time: it reads the whole log

	mu      sync.Mutex
	signer  *audit.Signer       // nil until this node's id is known
	witness *audit.Witness      // likewise
	told    map[string]string   // of each witness: why it has not signed, or ""
	signed  map[string]cosigned // by witness
	failing bool                // since the last record that could be written
	lost    uint64              // events that found no place
}

// cosigned is what a witness signed last, and when.
type cosigned struct {
	audit.Checkpoint
	at time.Time
}

// holds reports whether a witness has signed a checkpoint, and not so long ago that it
// should be asked again. To ask takes a connection with its handshake.
func (c *cosigned) holds(want *audit.Checkpoint, now time.Time) bool {
	return c.Size == want.Size && c.Root == want.Root && now.Sub(c.at) < witnessAgain
}

// openTrail opens the audit log. One that can't be opened does not keep the engine
// from running: it refuses changes, and goes on keeping services up.
func (e *engine) openTrail() {
	e.trail = &trail{events: make(chan *audit.Record, trailMax), told: map[string]string{}, signed: map[string]cosigned{}}
	log, torn, err := audit.Open(e.d.path(dirAudit))
	if err != nil {
		e.log.Error("the audit log can't be opened: changes are refused here", "err", err)
		e.trail.problem = err
		log = audit.Broken(err)
	}
	if torn != "" {
		e.log.Warn("the audit log ended in the middle of a record", "file", torn)
	}
	e.trail.log = log
}

// record appends to the audit log and tells when that begins to fail and when it
// works again.
func (e *engine) record(records ...*audit.Record) error {
	err := e.trail.log.Append(records...)
	e.trail.mu.Lock()
	was := e.trail.failing
	e.trail.failing = err != nil
	e.trail.mu.Unlock()
	switch {
	case err != nil && !was:
		e.emit(event.New(event.AuditFailed, "node", e.local.Node, "reason", err.Error()))
	case err == nil && was:
		e.emit(event.New(event.AuditWritable, "node", e.local.Node))
	}
	return err
}

// newRecord fills in what all records have in common.
func (e *engine) newRecord(phase audit.Phase, a api.Actor) *audit.Record {
	return &audit.Record{
		Cluster: e.local.Cluster, Node: e.local.Node, Phase: phase, Rule: a.Rule,
		Actor: audit.Actor{
			User: a.User, UID: a.UID, LoginUID: a.LoginUID, Via: a.Via, Address: a.Address, Session: a.Session, Authn: a.Authn, Roles: a.Roles,
		},
	}
}

// unrecorded are events that say again what other records say, or that are values
// and no actions.
var unrecorded = []string{
	event.Get(event.ConfigChanged).Code(), event.Get(event.AttributeChanged).Code(), event.Get(event.AuditFailed).Code(), event.Get(event.AuditWritable).Code(),
	// The actions themselves stand there, with why.
	event.Get(event.ResourceStarted).Code(), event.Get(event.ResourceStopped).Code(),
}

// trace queues an event for the audit log: who was fenced, what moved where, and
// why. It never waits, since what it tells of happens anyway.
func (e *engine) trace(ev *cib.Event) {
	if !slices.Contains(unrecorded, ev.Code) {
		e.queue(e.eventRecord(ev))
	}
}

// queue takes a record that nobody waits for.
func (e *engine) queue(r *audit.Record) {
	select {
	case e.trail.events <- r:
	default:
		e.trail.mu.Lock()
		e.trail.lost++
		e.trail.mu.Unlock()
	}
}

// writeTrail writes the engine's events into the audit log. What can't be written
// is tried again; how many were lost on the way is recorded.
func (e *engine) writeTrail(ctx context.Context) {
	for {
		var batch []*audit.Record
		select {
		case <-ctx.Done():
			e.drainTrail()
			return
		case r := <-e.trail.events:
			batch = append(batch, r)
		}
		batch = e.moreEvents(batch)
		for e.record(batch...) != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(trailPause):
			}
		}
	}
}

// moreEvents takes what else waits, and the count of what was lost.
func (e *engine) moreEvents(batch []*audit.Record) []*audit.Record {
	for len(batch) < 256 {
		select {
		case r := <-e.trail.events:
			batch = append(batch, r)
			continue
		default:
		}
		break
	}
	e.trail.mu.Lock()
	lost := e.trail.lost
	e.trail.lost = 0
	e.trail.mu.Unlock()
	if lost > 0 {
		r := e.newRecord(audit.Note, api.Actor{User: "belayd", Via: "engine"})
		r.Action, r.Object, r.Result, r.Reason = "audit-gap", "node/"+e.local.Node, audit.ResultFailed, fmt.Sprintf("%d events of the engine could not be recorded; its log has them", lost)
		batch = append(batch, r)
	}
	return batch
}

// drainTrail writes what waits when the engine ends.
func (e *engine) drainTrail() {
	if batch := e.moreEvents(nil); len(batch) > 0 {
		if err := e.record(batch...); err != nil {
			e.log.Error("events of the engine are not in the audit log", "count", len(batch), "err", err)
		}
	}
}

// eventRecord is an event as a record. Its cause is the request or action that led
// to it: the records of a change have the same id.
func (e *engine) eventRecord(ev *cib.Event) *audit.Record {
	r := e.newRecord(audit.Note, api.Actor{User: "belayd", Via: "engine"})
	r.Action, r.Code, r.RequestID, r.Reason, r.Result = ev.Code, ev.Code, ev.Cause, ev.Text, audit.ResultSuccess
	if d, ok := event.ByCode(ev.Code); ok {
		r.Action = d.Name
	}
	switch {
	case ev.Resource != "":
		r.Object = "resource/" + ev.Resource
	case ev.Device != "":
		r.Object = "fence-device/" + ev.Device
	case ev.Node != "":
		r.Object = "node/" + ev.Node
	}
	return r
}

// traceAction queues what an agent was made to do: with the id and the cause that
// led to it, which a change, an event or a fencing request has, too. Looking is no
// action.
func (e *engine) traceAction(a *cib.Action, res *node.AgentResult) {
	if a.Op == cib.OpMonitor || a.Op == cib.OpNotify {
		return
	}
	r := e.newRecord(audit.Note, api.Actor{User: "belayd", Via: "engine"})
	r.Action, r.Object, r.RequestID, r.Reason, r.Rule = a.Op, "resource/"+a.Resource, a.Why.ID, a.Why.Cause, a.Why.Rule
	if a.Why.Proof != "" {
		r.Reason += "; allowed by proof " + a.Why.Proof
	}
	if r.Result = audit.ResultSuccess; res.Status != cib.OpDone || res.RC != a.Expected {
		r.Result = audit.ResultFailed
		r.Reason += fmt.Sprintf("; %s, exit code %d", res.Status, res.RC)
	}
	e.queue(r)
}

// traceFence queues what a fence device was made to do.
func (e *engine) traceFence(c *node.FenceCall, res *node.FenceResult) {
	if c.Op == node.FenceMonitor || c.Op == node.FenceStatus {
		return
	}
	r := e.newRecord(audit.Note, api.Actor{User: "belayd", Via: "engine"})
	r.Action, r.Object = "fence-"+string(c.Op), "node/"+c.Target
	r.Reason = "device " + c.DeviceID
	if r.Result = audit.ResultSuccess; !res.OK {
		r.Result = audit.ResultFailed
		r.Reason += ": " + res.Error
	}
	e.queue(r)
}

// keepCheckpoints signs the log, and lets others sign it, until ctx ends.
func (e *engine) keepCheckpoints(ctx context.Context) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := e.checkpoint(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("the audit log has no new checkpoint", "err", err)
		}
	}
}

// checkpoint signs the log as it is now and lets others sign it.
func (e *engine) checkpoint(ctx context.Context) error {
	s, err := e.signer()
	if s == nil || err != nil || e.trail.problem != nil { // of a problem an alarm tells
		return err
	}
	c, err := e.trail.log.Checkpoint(s)
	if err != nil || c.Note == "" {
		return err
	}
	for _, name := range e.witnesses() {
		e.trail.mu.Lock()
		by := e.trail.signed[name]
		e.trail.mu.Unlock()
		if by.holds(&c, time.Now()) {
			continue
		}
		reason, now := "", cosigned{Checkpoint: c, at: time.Now()}
		if err := e.askWitness(ctx, name, c, s); err != nil {
			reason, now = err.Error(), cosigned{}
		}
		e.trail.mu.Lock()
		e.trail.told[name], e.trail.signed[name] = reason, now
		e.trail.mu.Unlock()
	}
	return nil
}

// witnesses names the nodes that are to sign: voters, since they are there when the
// cluster is; where this node is the only one, others.
func (e *engine) witnesses() []string {
	s := e.snap.Load()
	if s == nil {
		return nil
	}
	var out []string
	if s.Status.Voters != nil {
		out = slices.Clone(s.Status.Voters.Voters)
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		if len(out) < 2 && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	out = slices.DeleteFunc(out, func(n string) bool { return n == e.local.Node || s.Config.Nodes[n] == nil })
	slices.Sort(out)
	return out[:min(len(out), witnessesMax)]
}

// askWitness lets another node sign a checkpoint: from where it signed last.
func (e *engine) askWitness(ctx context.Context, name string, c audit.Checkpoint, s *audit.Signer) error {
	from := uint64(0)
	for range 3 {
		p, err := e.trail.log.Present(c, s, from)
		if err != nil {
			return err
		}
		var ans audit.Witnessed
		if err := e.askPeer(ctx, name, pathCosign, &p, &ans); err != nil {
			return err
		}
		switch {
		case ans.Conflict != "":
			return fmt.Errorf("refuses: %s", ans.Conflict)
		case ans.Checkpoint == "" && ans.Held != from:
			from = ans.Held
			continue
		}
		signed, err := audit.ParseCheckpoint(ans.Checkpoint)
		if err != nil {
			return err
		}
		keys := &audit.Keys{}
		if err := keys.Add(ans.Key); err != nil {
			return err
		}
		by, err := signed.SignedBy(keys)
		if err != nil || !slices.ContainsFunc(by, func(o string) bool { return audit.NodeOf(o) == name }) {
			return fmt.Errorf("its signature is not its own: %w", err)
		}
		for _, o := range by {
			if audit.NodeOf(o) == name {
				if err := e.trail.log.LearnRotations(o, ans.Rotations...); err != nil {
					return err
				}
			}
		}
		if err := e.trail.log.Learn(ans.Key); err != nil {
			return err
		}
		return e.trail.log.Cosigned(signed)
	}
	return fmt.Errorf("it does not say what it signed last")
}

// peerCosign signs a checkpoint of another node's log, if it continues what this
// node signed before.
func (e *engine) peerCosign(_ context.Context, from string, r *http.Request) (any, error) {
	var p audit.Presented
	if err := body(r, &p); err != nil {
		return nil, err
	}
	origin, err := e.originOf(from)
	if err != nil {
		return nil, err
	}
	e.trail.mu.Lock()
	signer, witness := e.trail.signer, e.trail.witness
	e.trail.mu.Unlock()
	w, err := witness.Sign(origin, &p)
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	if w.Conflict != "" {
		if _, told := e.told.LoadOrStore("audit "+from+w.Conflict, true); !told {
			e.emit(event.New(event.AuditConflict, "node", from, "witness", e.local.Node, "reason", w.Conflict))
		}
	} else if err := errors.Join(e.trail.log.LearnRotations(origin, p.Rotations...), e.trail.log.Learn(p.Key)); err != nil {
		e.log.Warn("the key of another node's audit log is not kept", "peer", from, "err", err)
	}
	if signer != nil {
		w.Rotations = audit.Notes(e.trail.log.Rotations(signer.Origin()))
	}
	return w, nil
}

// originOf names the log of another node, once this node can sign.
func (e *engine) originOf(name string) (string, error) {
	if s, err := e.signer(); err != nil || s == nil {
		return "", api.NewProblem(api.CodeStore, "this node can't sign yet")
	}
	n := e.snap.Load().Config.Nodes[name]
	if n == nil {
		return "", api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", name))
	}
	return audit.Origin(e.local.Cluster, name, n.ID), nil
}

// peerHeld tells another node what this one holds of its log.
func (e *engine) peerHeld(_ context.Context, from string, _ *http.Request) (any, error) {
	list, err := audit.Held(e.d.path(dirAudit), from)
	if err != nil {
		return nil, err
	}
	out := &api.AuditHeld{Node: from, Checkpoints: []string{}, Keys: []string{}}
	if s, err := e.signer(); err == nil && s != nil {
		out.Keys, out.Rotations = append(out.Keys, s.Public), audit.Notes(e.trail.log.Rotations(s.Origin()))
	}
	for _, c := range list[max(0, len(list)-heldMax):] {
		out.Checkpoints = append(out.Checkpoints, c.Note)
	}
	return out, nil
}

func (e *engine) peerPage(_ context.Context, _ string, r *http.Request) (any, error) {
	var q api.AuditQuery
	if err := body(r, &q); err != nil {
		return nil, err
	}
	return e.auditPage(&q)
}

// auditPage reads a part of this node's log.
func (e *engine) auditPage(q *api.AuditQuery) (*api.AuditPage, error) {
	f, err := auditFilter(q)
	if err != nil {
		return nil, err
	}
	limit := min(cmp.Or(q.Limit, pageMax), pageMax)
	out := &api.AuditPage{Node: e.local.Node, Records: []json.RawMessage{}}
	size, last := 0, uint64(0)
	err = audit.Read(e.d.path(dirAudit), f, func(r *audit.Record, line []byte) error {
		if len(out.Records) == limit || len(out.Records) > 0 && size+len(line) > pageMaxBytes {
			out.Next = last
			return audit.ErrStop
		}
		out.Records, size, last = append(out.Records, line), size+len(line), r.Seq
		return nil
	})
	return out, err
}

func auditFilter(q *api.AuditQuery) (audit.Filter, error) {
	f := audit.Filter{
		User: q.User, Action: q.Action, Object: q.Object, Result: q.Result, Phase: audit.Phase(q.Phase), Via: q.Via,
		RequestID: q.RequestID, ChangeRef: q.ChangeRef, After: q.After,
	}
	for _, t := range []struct {
		text string
		to   *time.Time
	}{{q.From, &f.From}, {q.To, &f.To}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return f, api.NewProblem(api.CodeBadRequest, "from and to are times such as 2026-01-31T10:00:00Z")
		}
	}
	return f, nil
}

// getAudit reads the log of a node. Who does is recorded, too: by the management
// daemon for its users, here for root.
func getAudit(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	if !c.names {
		return nil, api.NewProblem(api.CodeForbidden, "the audit log is read by root, and through the management daemon by who has the role")
	}
	q, err := auditQuery(r)
	if err != nil {
		return nil, err
	}
	if q.Node != "" && q.Node != e.local.Node {
		var out api.AuditPage
		err := e.askPeer(ctx, q.Node, pathPage, q, &out)
		return out, err
	}
	return e.auditPage(q)
}

// auditQuery reads what chooses records.
func auditQuery(r *http.Request) (*api.AuditQuery, error) {
	v := r.URL.Query()
	q := &api.AuditQuery{
		Node: v.Get("node"), User: v.Get("user"), Action: v.Get("action"), Object: v.Get("object"), Result: v.Get("result"), Phase: v.Get("phase"), Via: v.Get("via"),
		RequestID: v.Get("requestId"), ChangeRef: v.Get("changeRef"), From: v.Get("from"), To: v.Get("to"),
	}
	for name, to := range map[string]func(uint64){"after": func(n uint64) { q.After = n }, "limit": func(n uint64) { q.Limit = int(min(n, pageMax)) }} {
		if text := v.Get(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return nil, api.NewProblem(api.CodeBadRequest, name+" is a number")
			}
			to(n)
		}
	}
	return q, nil
}

// getAuditState tells how this node's log stands.
func getAuditState(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	t := e.trail
	out := &api.AuditState{Node: e.local.Node, Witnesses: map[string]string{}, Waiting: len(t.events)}
	if t.problem != nil {
		out.Problem = t.problem.Error()
		return out, nil
	}
	out.Records = t.log.Size()
	last := t.log.Last()
	out.Checkpoint, out.Signed = last.Note, last.Size
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.signer != nil {
		out.Origin, out.Key = t.signer.Origin(), t.signer.Public
		list := t.log.Rotations(out.Origin)
		for i := range list {
			out.Replaced = append(out.Replaced, *replacedKey(&list[i]))
		}
	}
	maps.Copy(out.Witnesses, t.told)
	if t.failing {
		out.Problem = "the last record could not be written"
	}
	out.Lost = t.lost
	t.forwards.Range(func(_, v any) bool {
		if f, ok := v.(api.AuditForward); ok {
			waiting := int(out.Records - min(f.Delivered, out.Records))
			f.Delivery.Waiting = &waiting
			out.Forwards = append(out.Forwards, f)
		}
		return true
	})
	slices.SortFunc(out.Forwards, func(a, b api.AuditForward) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// getAuditHeld collects what other nodes hold of this node's log.
func getAuditHeld(ctx context.Context, e *engine, c *caller, _ *http.Request) (any, error) {
	if !c.names {
		return nil, api.NewProblem(api.CodeForbidden, "only root and the management daemon verify the audit log")
	}
	return e.collectHeld(ctx), nil
}

func (e *engine) collectHeld(ctx context.Context) *api.AuditHeld {
	out := &api.AuditHeld{Node: e.local.Node, Checkpoints: []string{}, Keys: []string{}}
	for _, name := range e.witnesses() {
		var held api.AuditHeld
		if err := e.askPeer(ctx, name, pathHeld, struct{}{}, &held); err != nil {
			out.Silent = append(out.Silent, name)
			continue
		}
		out.Checkpoints, out.Keys = append(out.Checkpoints, held.Checkpoints...), append(out.Keys, held.Keys...)
		out.Rotations = append(out.Rotations, held.Rotations...)
	}
	return out
}

// audited does something that is no change of the configuration between an intent
// and an outcome. what says more than action and object do; it must hold no secret.
func (e *engine) audited(actor api.Actor, action, object string, what any, do func() error) error {
	c := &changing{engine: e, actor: actor, Change: &api.Change{Action: api.Action(action), Object: object, RequestID: newID()}}
	p := &prepared{base: cib.Empty(), result: &api.ChangeResult{}}
	if what != nil {
		b, err := json.Marshal(what)
		if err != nil {
			return fmt.Errorf("record %s of %s: %w", action, object, err)
		}
		p.result.Changes = []cib.Changed{{Key: object, After: b}}
	}
	if err := c.intend(p); err != nil {
		return err
	}
	err := do()
	c.outcome(p, err)
	return err
}
