package daemon

import (
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
	// Also of a dry run: who looks whether a change may be made must learn that it was.
	if given {
		if done, err := repeated(e.snap.Load(), ch); done != nil || err != nil {
			return done, err
		}
	}
	c := &changing{engine: e, actor: actor, Change: ch, own: edit}
	plan, err := c.prepareIdle(ctx)
	if err != nil {
		c.note(err)
		return nil, err
	}
	if ch.DryRun || plan.nothing() {
		return plan.result, nil
	}
	waited, err := c.quorate(ctx, plan)
	if err == nil && waited {
		plan, err = c.prepareIdle(ctx)
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
	busy    []string                        // what runs now and must end before the change can be made
	local   func(ctx context.Context) error // what is done on this node instead of a transaction
	result  *api.ChangeResult
}

func (p *prepared) nothing() bool { return p.edit && len(p.changes) == 0 }

// idleWait is how long a change waits for actions that are in its way.
const idleWait = 5 * time.Second

// prepareIdle prepares a change when nothing that it is about is in progress: that is
// waited for a little, while others may make theirs. What goes on longer is told to the
// caller; the change is not made in part.
func (c *changing) prepareIdle(ctx context.Context) (*prepared, error) {
	wait, cancel := context.WithTimeout(ctx, idleWait)
	defer cancel()
	for {
		next := c.changed.wait()
		p, err := c.prepare(ctx) // not by wait: what ends at its end would say that the engine ends
		if err != nil || len(p.busy) == 0 || c.DryRun {
			return p, err
		}
		// What is in progress ends in the store, and nothing does without quorum.
		if _, err := c.quorate(ctx, p); err != nil {
			return nil, err
		}
		if wait.Err() != nil {
			next = nil // however often something changes
		}
		c.changing.Unlock()
		select {
		case <-next:
		case <-wait.Done():
			err = api.NewProblem(api.CodeConflict, fmt.Sprintf("nothing was changed: %s in progress; ask again when that has ended", strings.Join(p.busy, ", ")))
		}
		c.changing.Lock()
		if err != nil {
			return nil, err
		}
	}
}

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
		if err := c.guard(ctx, s); err != nil {
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
func (c *changing) guard(ctx context.Context, s *cib.Snapshot) error {
	kind, id, _ := strings.Cut(c.Object, "/")
	if c.Action != api.ActionRemoveNode || kind != "node" {
		return nil
	}
	if v := s.Status.Voters; v.VotesOf(id) > 1 && !majorityWithout(s, id) {
		p := api.NewProblem(api.CodeInUse, fmt.Sprintf("node %s has %d of %d votes: the others would be no majority, and its votes could not be taken from it", id, v.VotesOf(id), v.Total()))
		p.Remedy = "Take its votes first: belay node voter off " + id + "."
		return p
	}
	if err := c.votersSettle(ctx, s, id); err != nil || c.Force {
		return err
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

// settleMax bounds how long the removal of a voter waits until a majority of the voters
// knows of the last change of the votes.
const settleMax = 3 * time.Second

// votersSettle waits until the vote of a node that is to be removed can be taken from
// it: a removed node is nobody, and can no longer say what it knows.
func (c *changing) votersSettle(ctx context.Context, s *cib.Snapshot, id string) error {
	if s.Status.Voters.VotesOf(id) == 0 {
		return nil
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(settleMax); ; {
		settled := false
		if err := c.ask(ctx, func(n *node.Node) { settled = n.EpochSettled() }); err != nil || settled {
			return err
		}
		if time.Now().After(end) {
			return api.NewProblem(api.CodeInUse, "the votes have changed, and a majority of the voters does not know of it yet; try again in a moment")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// majorityWithout reports whether the members but one have a majority of the votes.
func majorityWithout(s *cib.Snapshot, node string) bool {
	votes := 0
	if s.Status.View != nil {
		for _, m := range s.Status.View.Members {
			if m.Node != node {
				votes += s.Status.Voters.VotesOf(m.Node)
			}
		}
	}
	return 2*votes > s.Status.Voters.Total()
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
	cib.KeepRestarts(p.after, s.Config)
	numbered := cib.AssignNumbers(p.after, numbers, s.ConfigGen.Numbered)
	faults := append(cib.Validate(p.after), cib.Undriven(p.after, s.FeatureLevel())...)
	faults = append(faults, c.checkAgents(ctx, s.Config, p.after)...)
	faults = append(faults, c.checkQueries(s.Config, p.after)...)
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

// quorate is that of the engine, for a change. A person's word that a node is dead may
// be what brings quorum back.
func (c *changing) quorate(ctx context.Context, p *prepared) (waited bool, err error) {
	if p.local != nil || c.Action == api.ActionConfirm {
		return false, nil
	}
	return c.engine.quorate(ctx)
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
