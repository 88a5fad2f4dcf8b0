package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
)

// change is the one door for every modification, whoever asks: validate, simulate,
// record the intent, commit on the generation that was simulated, record the
// outcome. Nothing is applied in part: a change is one transaction.
func (e *engine) change(ctx context.Context, actor api.Actor, ch *api.Change) (*api.ChangeResult, error) {
	return e.changeBy(ctx, actor, ch, nil)
}

// changeBy is change with an edit that no request can ask for, such as that of a
// join.
func (e *engine) changeBy(ctx context.Context, actor api.Actor, ch *api.Change, edit func(*cib.Config) error) (*api.ChangeResult, error) {
	given := ch.RequestID != ""
	if !given {
		ch.RequestID = newID()
	} else if !requestID.MatchString(ch.RequestID) {
		return nil, api.NewProblem(api.CodeBadRequest, "a request id has 1 to 64 letters, digits, and - _ .")
	}
	e.changing.Lock() // so that two callers on this node don't lose each other's compare for nothing
	defer e.changing.Unlock()
	if given && !ch.DryRun {
		if done, err := repeated(e.snap.Load(), ch); done != nil || err != nil {
			return done, err
		}
	}
	c := &changing{engine: e, actor: actor, Change: ch, own: edit}
	plan, err := c.prepare(ctx)
	if err != nil {
		c.note(err)
		return nil, err
	}
	if ch.DryRun || plan.nothing() {
		return plan.result, nil
	}
	waited, err := c.quorate(ctx, plan)
	if err == nil && waited {
		plan, err = c.prepare(ctx)
	}
	if err != nil {
		c.note(err)
		return nil, err
	}
	if plan.nothing() {
		return plan.result, nil
	}
	if err := c.intend(plan); err != nil {
		return nil, err
	}
	err = c.carryOut(ctx, plan)
	c.outcome(plan, err)
	if plan.local != nil {
		e.drains.Done()
	}
	if err != nil {
		return nil, err
	}
	return plan.result, nil
}

// requestID is what a caller may name its request: it becomes part of keys.
var requestID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// repeated finds the outcome of a request that was carried out already, by this
// engine or another: a caller whose connection broke sends it again. The event ring
// remembers it long enough. nil: it is new.
func repeated(s *cib.Snapshot, ch *api.Change) (*api.ChangeResult, error) {
	if s == nil {
		return nil, nil
	}
	_, id, _ := strings.Cut(ch.Object, "/")
	for _, ev := range slices.Backward(s.Status.Events) {
		out := &api.ChangeResult{Generation: s.ConfigGen.Number, RequestID: ch.RequestID}
		switch {
		case ev.Cause == fenceID(ch.RequestID, id) && ev.Code == event.Get(event.FencingRequested).Code() && ch.Action == api.ActionFence:
			return out, nil
		case ev.Cause != ch.RequestID:
		case ev.Code == event.Get(event.AlarmAcknowledged).Code() && ch.Action == api.ActionAcknowledge && ev.Args["alarm"] == id:
			return out, nil
		case ev.Code == event.Get(event.NotificationTest).Code() && ch.Action == api.ActionTestNotify:
			return out, nil
		case ev.Code == event.Get(event.NodeConfirmed).Code() && ch.Action == api.ActionConfirm && ev.Node == id:
			return out, nil
		case ev.Code == event.Get(event.ConfigChanged).Code():
			if ev.Args["action"] != string(ch.Action) || ev.Args["object"] != ch.Object {
				return nil, api.NewProblem(api.CodeBadRequest, fmt.Sprintf("request id %s belongs to %s of %s", ch.RequestID, ev.Args["action"], ev.Args["object"]))
			}
			out.Generation, _ = strconv.ParseUint(ev.Args["generation"], 10, 64)
			return out, nil
		}
	}
	return nil, nil
}

// fenceID names the fencing request that a change asks for.
func fenceID(request, target string) string { return "f" + request + "-" + target }

// changing is one change on its way.
type changing struct {
	*engine
	actor api.Actor
	*api.Change
	own func(*cib.Config) error // instead of the request's own edit
}

// prepared is a change that has been validated and simulated.
type prepared struct {
	base    *cib.Snapshot
	after   *cib.Config
	changes []cib.Changed
	txn     cib.Txn // of the change; for an edit made from changes
	edit    bool
	local   func(ctx context.Context) error // what is done on this node instead of a transaction
	result  *api.ChangeResult
}

func (p *prepared) nothing() bool { return p.edit && len(p.changes) == 0 }

// prepare validates and simulates.
func (c *changing) prepare(ctx context.Context) (*prepared, error) {
	s := c.snap.Load()
	if s == nil || s.Status.Voters == nil {
		return nil, api.NewProblem(api.CodeStore, "this node has not read the cluster's state yet")
	}
	var other string
	if err := c.ask(ctx, func(n *node.Node) { other, _ = n.TwoHistories() }); err != nil {
		return nil, api.NewProblem(api.CodeStore, "the engine ends")
	}
	if other != "" {
		return nil, api.NewProblem(api.CodeTwoHistories, fmt.Sprintf("node %s carries data of the same generation %d with another history", other, s.Status.Generation.Number))
	}
	if c.ExpectedGeneration != 0 && c.ExpectedGeneration != s.ConfigGen.Number {
		return nil, api.NewProblem(api.CodeConflict, fmt.Sprintf("the configuration is at generation %d, not %d", s.ConfigGen.Number, c.ExpectedGeneration))
	}
	p := &prepared{base: s, after: s.Config, result: &api.ChangeResult{Generation: s.ConfigGen.Number, RequestID: c.RequestID}}
	var err error
	switch {
	case c.own != nil:
		p.edit = true
		p.after = s.Config.Clone()
		err = c.own(p.after)
	case c.Action == api.ActionRollback:
		p.edit = true
		p.after, err = c.rollback(ctx, s)
	case cib.Edits(string(c.Action)):
		p.edit = true
		if err := c.guard(s); err != nil {
			return nil, err
		}
		p.after, err = cib.Edit(s.Config, cib.EditRequest{Action: string(c.Action), Object: c.Object, Value: c.Value, Merge: c.Merge})
	default:
		err = c.operate(ctx, s, p)
	}
	if err != nil {
		return nil, problem(err)
	}
	if p.edit {
		if err := c.validate(ctx, s, p); err != nil {
			return nil, err
		}
	}
	p.result.Plan = simulate(s, p.after)
	if kind, id, _ := strings.Cut(c.Object, "/"); c.Action == api.ActionMove && kind == "resource" {
		if text := moveWarning(s, p.after, id, c.Value, time.Now().UTC()); text != "" {
			p.result.Warnings = append(p.result.Warnings, api.Fault{Path: "resources." + id, Text: text})
		}
	}
	p.result.PlanToken = planToken(s.ConfigGen.Number, p.result.Plan)
	if c.PlanToken != "" && c.PlanToken != p.result.PlanToken {
		return nil, api.NewProblem(api.CodePlanChanged, "what the change would do is no longer what the dry run showed")
	}
	return p, nil
}

// guard refuses edits that the state of the cluster forbids.
func (c *changing) guard(s *cib.Snapshot) error {
	kind, id, _ := strings.Cut(c.Object, "/")
	if c.Action != api.ActionRemoveNode || kind != "node" || c.Force {
		return nil
	}
	st := s.Status.Nodes[id]
	if st != nil && st.State != cib.NodeOffline && st.State != cib.NodeFenced {
		p := api.NewProblem(api.CodeInUse, fmt.Sprintf("node %s is %s: what runs there would be forgotten", id, st.State))
		p.Remedy = "Let it leave first: belay node drain, on " + id + "."
		return p
	}
	if voters := s.Status.Voters.Voters; slices.Contains(voters, id) && len(voters) == 2 && s.Config.Nodes[id].Voter {
		c.log.Warn("the cluster goes on with one voter", "removed", id)
	}
	return nil
}

// validate seals what is secret and checks the configuration as a whole, with the
// metadata of the agents that it names.
func (c *changing) validate(ctx context.Context, s *cib.Snapshot, p *prepared) error {
	sealed, err := cib.Seal(p.after, s.Config, nil, c.seal.Seal, c.seal.Open)
	if err != nil {
		return api.NewProblem(api.CodeDefect, err.Error())
	}
	p.after = sealed.Clone()
	numbers := s.Config
	if c.Action == api.ActionRollback {
		numbers = p.after // what comes back comes back with its number
	}
	numbered := cib.AssignNumbers(p.after, numbers, s.ConfigGen.Numbered)
	faults := append(cib.Validate(p.after), cib.Undriven(p.after)...)
	faults = append(faults, c.checkAgents(ctx, s.Config, p.after)...)
	c.noteUnfencers(ctx, s.Config, p.after)
	if len(faults) > 0 {
		return invalid(faults)
	}
	p.changes = cib.Diff(s.Config, p.after)
	for _, w := range cib.NewWarnings(s.Config, p.after) {
		p.result.Warnings = append(p.result.Warnings, api.Fault(w))
	}
	p.result.Changes = cib.RedactChanges(p.changes, nil)
	if len(p.changes) == 0 {
		return nil
	}
	if err := c.checkStore(ctx, s, p.after); err != nil {
		return err
	}
	p.result.Generation = s.ConfigGen.Number + 1
	record := &cib.GenerationRecord{
		Generation: p.result.Generation, Time: time.Now().UTC(), Actor: c.actor.User, Action: string(c.Action), Object: c.Object,
		RequestID: c.RequestID, Changes: p.changes,
	}
	p.txn = cib.Txn{
		If: []cib.Compare{{Key: cib.KeyConfigGen, ModRev: s.ConfigGen.Rev}},
		Put: []cib.Put{
			{Key: cib.KeyConfigGen, Value: &cib.ConfigGeneration{Number: record.Generation, Time: record.Time, Numbered: numbered}},
			{Key: generationKey(record.Generation), Value: record},
		},
	}
	for _, ch := range p.changes {
		if ch.After == nil {
			p.txn.Delete = append(p.txn.Delete, ch.Key)
		} else {
			p.txn.Put = append(p.txn.Put, cib.Put{Key: ch.Key, Value: ch.After})
		}
	}
	ev := event.New(event.ConfigChanged, "generation", strconv.FormatUint(record.Generation, 10), "actor", c.actor.User,
		"action", string(c.Action), "object", c.Object, "cause", c.RequestID)
	p.txn.Put = append(p.txn.Put, c.eventPut(ev))
	return nil
}

func generationKey(n uint64) string { return fmt.Sprintf("%s%020d", cib.KeyConfigHistory, n) }

// eventPut writes an event in the change's own transaction.
func (e *engine) eventPut(ev cib.Event) cib.Put {
	ev.Time, ev.Source = time.Now().UTC(), e.local.Node
	return cib.Put{Key: cib.EventKey(e.local.Node, e.setup.Incarnation, 1<<40+eventCount.Add(1)), Value: &ev}
}

// rollback returns the configuration of an earlier generation: every change since
// then undone, newest first.
func (c *changing) rollback(ctx context.Context, s *cib.Snapshot) (*cib.Config, error) {
	kind, id, _ := strings.Cut(c.Object, "/")
	to, err := strconv.ParseUint(id, 10, 64)
	if kind != "generation" || err != nil || to == 0 || to >= s.ConfigGen.Number {
		return nil, api.NewProblem(api.CodeBadRequest, fmt.Sprintf("%q is not an earlier generation: write generation/N with N below %d", c.Object, s.ConfigGen.Number))
	}
	out := s.Config
	for n := s.ConfigGen.Number; n > to; n-- {
		var r cib.GenerationRecord
		if err := c.getDocument(ctx, generationKey(n), &r); err != nil {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("generation %d is no longer kept, so %d cannot be reached", n, to))
		}
		if out, err = cib.ApplyChanges(out, cib.Invert(r.Changes)); err != nil {
			return nil, api.NewProblem(api.CodeDefect, fmt.Sprintf("undo generation %d: %v", n, err))
		}
	}
	// Who is a node of the cluster is not undone: certificates and the store's
	// members would not follow.
	out = out.Clone()
	out.Nodes = s.Config.Nodes
	// Nor who may do what, and what becomes of the audit log: power that was taken
	// away must not come back with it.
	out.Roles, out.RoleBindings, out.AuditRules = s.Config.Roles, s.Config.RoleBindings, s.Config.AuditRules
	return out, nil
}

func (e *engine) getDocument(ctx context.Context, key string, v any) error {
	kv, err := e.store.Get(ctx, key)
	if err != nil {
		return err
	}
	if kv.Value == nil {
		return fmt.Errorf("%s: %w", key, cib.ErrNotFound)
	}
	return json.Unmarshal(kv.Value, v)
}

// operate prepares the actions that change the state of the cluster and not its
// configuration.
func (c *changing) operate(ctx context.Context, s *cib.Snapshot, p *prepared) error {
	kind, id, _ := strings.Cut(c.Object, "/")
	switch c.Action {
	case api.ActionCleanup, api.ActionRefresh:
		return c.cleanup(s, p, kind, id)
	case api.ActionFence:
		return c.fence(s, p, kind, id)
	case api.ActionConfirm:
		return c.confirm(s, p, kind, id)
	case api.ActionAcknowledge:
		return c.acknowledge(ctx, s, p, kind, id)
	case api.ActionTestNotify:
		return c.testNotify(p)
	case api.ActionDrain:
		if kind != "node" || id != c.local.Node {
			return api.NewProblem(api.CodeBadRequest, "a node is drained by its own engine: run it on "+cmp.Or(id, "that node"))
		}
		p.local = func(ctx context.Context) error {
			// It takes as long as the resources take to stop: others go on.
			c.drains.Add(1)
			c.changing.Unlock()
			defer c.changing.Lock()
			return c.leave(ctx, false)
		}
		return nil
	default:
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("there is no action %q", c.Action))
	}
}

// cleanup asks the nodes to forget what they know of instances, so that they are
// probed again.
func (c *changing) cleanup(s *cib.Snapshot, p *prepared, kind, id string) error {
	if kind != "resource" && kind != "node" || id == "" {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("%q is neither resource/ID nor node/NAME", c.Object))
	}
	var only struct {
		Node string `json:"node"`
	}
	if len(c.Value) > 0 {
		if err := strictJSON(c.Value, &only); err != nil {
			return err
		}
		if only.Node != "" && s.Config.Nodes[only.Node] == nil {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", only.Node))
		}
	}
	wanted := map[string]bool{}
	if kind == "resource" {
		if s.Config.Resources[id] == nil && !hasHistory(s, id) {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", id))
		}
		for _, r := range primitivesOf(s.Config, id) {
			wanted[r] = true
		}
	} else if s.Config.Nodes[id] == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", id))
	}
	found := 0
	for _, name := range sortedKeys(s.Status.Histories) {
		if kind == "node" && name != id || only.Node != "" && name != only.Node {
			continue
		}
		doc := s.Status.Members[name]
		for _, inst := range sortedKeys(s.Status.Histories[name]) {
			h := s.Status.Histories[name][inst]
			if kind == "resource" && !wanted[h.Resource] || s.Status.Pending[name][inst] != nil || doc == nil || doc.BootID != h.BootID {
				continue
			}
			if c.Action == api.ActionCleanup && kind == "resource" && h.FailCount == 0 && h.State(time.Time{}, 0).Failure == nil {
				continue // nothing to forget
			}
			found++
			key := cib.PendingKey(name, inst)
			p.txn.If = append(p.txn.If, cib.Compare{Key: key})
			p.txn.Put = append(p.txn.Put, cib.Put{Key: key, Value: &cib.Pending{
				Action: cib.Action{
					ID: fmt.Sprintf("%s.%d", c.RequestID, found), Op: cib.OpCleanup, Instance: inst, Resource: h.Resource, Node: name, Agent: h.Agent,
					Why: cib.Why{ID: c.RequestID, Cause: "asked for by " + c.actor.User},
				},
				State: cib.ActionAsked, ValidityEpoch: doc.ValidityEpoch, Asked: time.Now().UTC(),
			}})
		}
		if st := s.Status.Nodes[name]; kind == "node" && st != nil && st.FailStandby {
			again := *st
			again.FailStandby = false
			p.txn.If = append(p.txn.If, cib.Compare{Key: cib.KeyNodeStatus + name, ModRev: st.Rev})
			p.txn.Put = append(p.txn.Put, cib.Put{Key: cib.KeyNodeStatus + name, Value: &again})
		}
	}
	p.edit = len(p.txn.Put) == 0 // then there is nothing to do
	return nil
}

func hasHistory(s *cib.Snapshot, id string) bool {
	for _, m := range s.Status.Histories {
		for _, h := range m {
			if h.Resource == id {
				return true
			}
		}
	}
	return false
}

// primitivesOf returns the primitives that a resource is made of.
func primitivesOf(c *cib.Config, id string) []string {
	r := c.Resources[id]
	switch {
	case r == nil:
		return []string{id}
	case r.Clone != nil:
		return primitivesOf(c, r.Clone.Resource)
	case len(r.Group) > 0:
		return r.Group
	}
	return []string{id}
}

// fence asks for a node to be fenced.
func (c *changing) fence(s *cib.Snapshot, p *prepared, kind, id string) error {
	if kind != "node" || s.Config.Nodes[id] == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", id))
	}
	var v struct {
		Op cib.FenceOp `json:"op"`
	}
	if len(c.Value) > 0 {
		if err := strictJSON(c.Value, &v); err != nil {
			return err
		}
	}
	if len(s.Config.Devices(id)) == 0 {
		return api.NewProblem(api.CodeNoFencing, "no fence device is configured for node "+id)
	}
	if r := s.Status.Requests[id]; r != nil {
		return api.NewProblem(api.CodeExists, fmt.Sprintf("node %s is being fenced already, request %s is %s", id, r.ID, r.State))
	}
	boot := ""
	if m := s.Status.Members[id]; m != nil {
		boot = m.BootID
	}
	op := v.Op
	if op == 0 {
		op = s.Config.Cluster.Options.FenceOp()
	}
	r := &cib.FenceRequest{
		ID: fenceID(c.RequestID, id), Target: id, BootID: boot, Op: op, State: cib.FenceRequested, Asked: time.Now().UTC(),
		Why: cib.Why{ID: c.RequestID, Cause: "asked for by " + c.actor.User},
	}
	key := cib.KeyFenceRequest + id
	p.txn = cib.Txn{If: []cib.Compare{{Key: key}}, Put: []cib.Put{{Key: key, Value: r}, c.eventPut(event.New(
		event.FencingRequested, "node", id, "op", op.String(), "reason", r.Why.Cause, "cause", r.ID))}}
	return nil
}

// confirm takes a named human's word that a node is dead.
func (c *changing) confirm(s *cib.Snapshot, p *prepared, kind, id string) error {
	if kind != "node" || s.Config.Nodes[id] == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", id))
	}
	st := s.Status.Nodes[id]
	if st == nil || st.State != cib.NodeUnclean {
		state := "unknown"
		if st != nil {
			state = st.State.String()
		}
		if state == cib.NodeOnline.String() {
			return api.NewProblem(api.CodeStillAlive, fmt.Sprintf("node %s is online", id))
		}
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("node %s is %s: there is nothing to confirm", id, state))
	}
	heard := false
	if err := c.ask(context.Background(), func(n *node.Node) { heard = n.Hears(id, st.BootID) }); err != nil || heard {
		return api.NewProblem(api.CodeStillAlive, fmt.Sprintf("node %s is heard in the boot that would be confirmed dead", id))
	}
	proof := &cib.Proof{
		ID: "p" + c.RequestID + "-" + id, Kind: cib.ProofHuman, Target: id, BootID: st.BootID, By: who(c.actor), Time: time.Now().UTC(), Request: c.RequestID,
	}
	p.txn = cib.Txn{
		If: []cib.Compare{{Key: cib.KeyNodeStatus + id, ModRev: st.Rev}},
		// The state is written as it was: a DC that is about to ask for the node's
		// fencing compares it, and decides anew.
		Put: []cib.Put{{Key: cib.KeyProof + proof.ID, Value: proof}, {Key: cib.KeyNodeStatus + id, Value: st}, c.eventPut(event.New(
			event.NodeConfirmed, "node", id, "person", proof.By, "cause", c.RequestID))},
	}
	if r := s.Status.Requests[id]; r != nil && r.State != cib.FenceExecuting {
		ended := *r
		ended.State, ended.Ended, ended.Proof, ended.Error = cib.FenceDone, time.Now().UTC(), proof.ID, "confirmed by "+proof.By
		p.txn.If = append(p.txn.If, cib.Compare{Key: cib.KeyFenceRequest + id, ModRev: r.Rev})
		p.txn.Delete = append(p.txn.Delete, cib.KeyFenceRequest+id)
		p.txn.Put = append(p.txn.Put, cib.Put{Key: cib.KeyFenceHistory + r.ID, Value: &ended})
	}
	return nil
}

// who names a person: the one behind sudo where there is one.
func who(a api.Actor) string { return cmp.Or(a.LoginUID, a.User) }

// leave lets this node's engine leave the cluster, and waits until it has.
func (e *engine) leave(ctx context.Context, restart bool) error {
	e.tell(ctx, node.Leave{Restart: restart})
	select {
	case <-e.left:
		return nil
	case <-ctx.Done():
		return api.NewProblem(api.CodeTimeout, "the node has not left yet")
	}
}

// quorate is that of the engine, for a change. A person's word that a node is dead may
// be what brings quorum back.
func (c *changing) quorate(ctx context.Context, p *prepared) (waited bool, err error) {
	if p.local != nil || c.Action == api.ActionConfirm {
		return false, nil
	}
	return c.engine.quorate(ctx)
}

// carryOut commits the change and waits until this node sees it.
func (c *changing) carryOut(ctx context.Context, p *prepared) error {
	if p.local != nil {
		return p.local(ctx)
	}
	tctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	ok, rev, err := c.store.Commit(tctx, p.txn)
	switch {
	case err != nil:
		return c.storeProblem(tctx, p, err)
	case !ok:
		return api.NewProblem(api.CodeConflict, "the cluster changed while the change was being made; nothing was done")
	}
	return c.await(tctx, rev)
}

// storeProblem says what is known of a change whose commit had no clear answer: an
// edit is found out by its generation record.
func (c *changing) storeProblem(ctx context.Context, p *prepared, err error) error {
	if p.edit {
		var r cib.GenerationRecord
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		switch gerr := c.getDocument(rctx, generationKey(p.result.Generation), &r); {
		case gerr == nil && r.RequestID == c.RequestID:
			return nil // it happened; only the answer was lost
		case gerr == nil || errors.Is(gerr, cib.ErrNotFound):
			return api.NewProblem(api.CodeStore, "nothing was changed: "+err.Error())
		}
	}
	code := api.CodeStore
	_ = c.ask(ctx, func(n *node.Node) {
		if q := n.Quorum(); !q.Quorate {
			code, err = api.CodeNoQuorum, errors.New(q.Reason)
		}
	})
	return api.NewProblem(code, "it is not known whether the change happened: "+err.Error())
}

// intend records the intent; a change that can't be recorded does not happen.
func (c *changing) intend(p *prepared) error {
	if err := c.engine.record(c.record(p, audit.Intent, "", "")); err != nil {
		return api.NewProblem(api.CodeAudit, err.Error())
	}
	return nil
}

func (c *changing) outcome(p *prepared, err error) {
	result, reason := "success", ""
	if err != nil {
		result, reason = "failed", err.Error()
		if pr, ok := errors.AsType[*api.Problem](err); ok {
			reason = pr.Code + ": " + pr.Detail
			if pr.Code == api.CodeConflict {
				result = "refused"
			}
		}
	}
	if aerr := c.engine.record(c.record(p, audit.Outcome, result, reason)); aerr != nil {
		c.log.Error("the outcome of a change can't be recorded", "request", c.RequestID, "err", aerr)
	}
}

// note records a refused try.
func (c *changing) note(err error) {
	if c.DryRun {
		return
	}
	r := c.record(nil, audit.Note, "refused", err.Error())
	if pr, ok := errors.AsType[*api.Problem](err); ok {
		r.Reason = pr.Code + ": " + pr.Detail
	}
	if aerr := c.engine.record(r); aerr != nil {
		c.log.Error("a refused change can't be recorded", "err", aerr)
	}
}

func (c *changing) record(p *prepared, phase audit.Phase, result, reason string) *audit.Record {
	r := c.newRecord(phase, c.actor)
	r.Action, r.Object, r.RequestID, r.ChangeRef, r.Result, r.Reason = string(c.Action), c.Object, c.RequestID, c.ChangeRef, result, reason
	if p != nil {
		r.Before, r.After = p.base.ConfigGen.Number, p.result.Generation
		if phase == audit.Intent {
			r.Changes, _ = json.Marshal(p.result.Changes)
		}
	}
	return r
}

// removeByEngine deletes a constraint whose time is over, as a change by the
// engine.
func (e *engine) removeByEngine(ctx context.Context, r node.Remove) {
	_, err := e.change(ctx, api.Actor{User: "belayd", Via: "engine"}, &api.Change{
		Action: api.ActionDelete, Object: "constraint/" + r.Constraint, ChangeRef: r.Reason,
	})
	if err != nil {
		e.log.Warn("a constraint can't be removed", "constraint", r.Constraint, "err", err)
	}
}

// checkAgents compares the parameters of new and changed objects with their
// agents' metadata. What was there before is not judged again: an agent that is
// missing on this node must not stand in the way of an unrelated change.
func (e *engine) checkAgents(ctx context.Context, old, c *cib.Config) []cib.Fault {
	var faults []cib.Fault
	check := func(path, name string, params map[string]string, fence bool) {
		m, err := e.metadata(ctx, name, fence)
		if errors.Is(err, agent.ErrNotInstalled) {
			faults = append(faults, cib.Fault{Path: path + ".agent", Text: fmt.Sprintf("agent %s is not installed on %s", name, e.local.Node)})
			return
		}
		if err != nil {
			faults = append(faults, cib.Fault{Path: path + ".agent", Text: fmt.Sprintf("agent %s does not tell its metadata: %v", name, err)})
			return
		}
		open, _, err := e.open(path2key(path), params)
		if err != nil {
			faults = append(faults, cib.Fault{Path: path + ".parameters", Text: err.Error()})
			return
		}
		for _, f := range m.Validate(open) {
			// Which machine is meant, and what to do, comes with each call of a device.
			if f.Kind == meta.Deprecated || fence && f.Kind == meta.Missing && (f.Parameter == m.PlugParameter() || f.Parameter == "action") {
				continue
			}
			faults = append(faults, cib.Fault{Path: path + ".parameters." + f.Parameter, Text: f.Text})
		}
	}
	for _, id := range sortedKeys(c.Resources) {
		r, was := c.Resources[id], old.Resources[id]
		if r.Agent != "" && (was == nil || was.Agent != r.Agent || cib.Digest(was.Parameters) != cib.Digest(r.Parameters)) {
			check("resources."+id, r.Agent, r.Parameters, false)
		}
	}
	for _, id := range sortedKeys(c.FenceDevices) {
		d, was := c.FenceDevices[id], old.FenceDevices[id]
		if was == nil || was.Agent != d.Agent || cib.Digest(was.Parameters) != cib.Digest(d.Parameters) {
			check("fence-devices."+id, d.Agent, d.Parameters, true)
		}
	}
	return faults
}

// noteUnfencers writes down of new and changed fence devices that nodes are to be
// unfenced with them, where their agents' metadata says so and the configuration
// says nothing.
func (e *engine) noteUnfencers(ctx context.Context, old, c *cib.Config) {
	for _, id := range sortedKeys(c.FenceDevices) {
		d, was := c.FenceDevices[id], old.FenceDevices[id]
		if d == nil || d.Unfencing != nil {
			continue
		}
		if was != nil && was.Agent == d.Agent {
			d.Unfencing = was.Unfencing // it was decided before
			continue
		}
		m, err := e.metadata(ctx, d.Agent, true)
		if err != nil {
			continue // a fault of the change
		}
		if automatic, _ := m.Unfences(); automatic {
			d.Unfencing = new(true)
		}
	}
}

// path2key turns the path of an object in cluster.yaml into the key of its
// document.
func path2key(path string) string {
	kind, id, _ := strings.Cut(path, ".")
	if kind == "resources" {
		return cib.KeyResource + id
	}
	return cib.KeyFenceDevice + id
}

// metadata asks an agent about itself.
func (e *engine) metadata(ctx context.Context, name string, fence bool) (*meta.Metadata, error) {
	if fence {
		return e.agents.FenceMetadata(ctx, name)
	}
	id, err := agent.ParseID(name)
	if err != nil {
		return nil, err
	}
	return e.agents.Metadata(ctx, id)
}

func invalid(faults []cib.Fault) *api.Problem {
	p := api.NewProblem(api.CodeInvalid, fmt.Sprintf("%d faults; nothing was changed", len(faults)))
	if len(faults) == 1 {
		p.Detail = "1 fault; nothing was changed"
	}
	for _, f := range faults {
		p.Faults = append(p.Faults, api.Fault(f))
	}
	return p
}

// problem turns an error into the answer for the caller.
func problem(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	edit, ok := errors.AsType[*cib.EditError](err)
	if !ok {
		return api.NewProblem(api.CodeDefect, err.Error())
	}
	code := api.CodeBadRequest
	for cause, c := range map[error]string{
		cib.ErrNotFound: api.CodeNotFound, cib.ErrExists: api.CodeExists, cib.ErrInUse: api.CodeInUse, cib.ErrInvalid: api.CodeInvalid,
	} {
		if errors.Is(err, cause) {
			code = c
		}
	}
	p := api.NewProblem(code, edit.Text)
	for _, f := range edit.Faults {
		p.Faults = append(p.Faults, api.Fault(f))
	}
	return p
}

func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
