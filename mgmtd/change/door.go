package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/authz"
)

// Engine is the engine's socket.
type Engine interface {
	Change(ctx context.Context, ch *api.Change) (*api.ChangeResult, error)
	ChangeDocuments(ctx context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error)
	Note(ctx context.Context, n *api.Note) error
}

// Door is the one door. It is safe for concurrent use.
type Door struct {
	engine   Engine
	log      *slog.Logger
	enforcer atomic.Pointer[enforcer]

	mu        sync.RWMutex
	approvals map[string]*approvalDoc
	policy    policyDoc
	noted     map[string]time.Time // refusals that were recorded, until they may be again
}

// enforcer is the rules of one generation, with what they have said already.
type enforcer struct {
	*authz.Enforcer
	config *cib.Config
	mu     sync.RWMutex
	said   map[string]authz.Decision
}

// saidMax bounds the decisions that are remembered of one generation.
const saidMax = 10000

// New returns a door that lets nobody in until it has a configuration.
func New(engine Engine, log *slog.Logger) *Door {
	return &Door{engine: engine, log: log, approvals: map[string]*approvalDoc{}, noted: map[string]time.Time{}}
}

// SetConfig takes over the roles of a configuration. Where they can't be read, those
// before stay.
func (d *Door) SetConfig(c *cib.Config) {
	e, err := authz.New(c)
	if err != nil {
		d.log.Error("the roles of the configuration can't be used", "err", err)
		return
	}
	d.enforcer.Store(&enforcer{Enforcer: e, config: c, said: map[string]authz.Decision{}})
}

// Roles lists the roles that somebody holds.
func (d *Door) Roles(user string, groups []string) []string {
	e := d.enforcer.Load()
	if e == nil {
		return nil
	}
	return e.Held(authz.Subject{User: user, Groups: groups}).Roles
}

// Usable lists the roles that somebody holds, with those that they include: what a
// token of theirs may be limited to.
func (d *Door) Usable(user string, groups []string) []string {
	e := d.enforcer.Load()
	if e == nil {
		return nil
	}
	all := d.Roles(user, groups)
	for i := 0; i < len(all); i++ { // it grows
		if r := e.config.AccessRoleOf(all[i]); r != nil {
			for _, name := range r.Includes {
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
		}
	}
	return all
}

// Held is what somebody holds, and through what.
func (d *Door) Held(s *auth.Subject) authz.Held {
	e := d.enforcer.Load()
	if e == nil {
		return authz.Held{Roles: []string{}, Bindings: []string{}}
	}
	return e.Held(subject(s))
}

func subject(s *auth.Subject) authz.Subject {
	return authz.Subject{User: s.User, Groups: s.Groups, Only: s.Only}
}

// Can says whether the subject may do something, and why.
func (d *Door) Can(s *auth.Subject, action, object string) authz.Decision {
	e := d.enforcer.Load()
	if e == nil {
		return authz.Decision{Reason: "the roles of the cluster are not known yet"}
	}
	if !s.Covers(object) && action != "read" && action != "simulate" {
		return authz.Decision{Reason: "the API token is not for " + object}
	}
	key := strings.Join([]string{s.User, strings.Join(s.Groups, "\x01"), strings.Join(s.Only, "\x01"), fmt.Sprint(s.Only != nil), action, object}, "\x00")
	e.mu.RLock()
	dec, ok := e.said[key]
	e.mu.RUnlock()
	if ok {
		return dec
	}
	dec = e.Can(subject(s), action, object)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.said) >= saidMax {
		clear(e.said)
	}
	e.said[key] = dec
	return dec
}

// Require lets the subject do something or returns why not. A refusal is recorded.
func (d *Door) Require(ctx context.Context, s *auth.Subject, action, object string) error {
	dec := d.Can(s, action, object)
	if dec.Allowed {
		return nil
	}
	return d.refuse(ctx, s, action, object, dec)
}

// noteAgain is how long the same refusal is not recorded again: a page that asks
// every second must not fill the audit log.
const noteAgain = time.Minute

// notedMax bounds what is remembered of refusals.
const notedMax = 10000

// refuse records a refusal and returns it.
func (d *Door) refuse(ctx context.Context, s *auth.Subject, action, object string, dec authz.Decision) error {
	p := api.NewProblem(api.CodeForbidden, fmt.Sprintf("%s may not %s %s: %s", s.User, action, object, dec.Reason))
	key, now := strings.Join([]string{s.User, action, object}, "\x00"), time.Now()
	d.mu.Lock()
	again := now.Before(d.noted[key])
	if !again {
		if len(d.noted) >= notedMax {
			clear(d.noted)
		}
		d.noted[key] = now.Add(noteAgain)
	}
	d.mu.Unlock()
	if !again {
		if err := d.engine.Note(context.WithoutCancel(ctx), &api.Note{Actor: s.Actor(), Action: action, Object: object, Result: "refused", Reason: p.Code + ": " + p.Detail}); err != nil {
			d.log.Warn("a refusal can't be recorded", "user", s.User, "action", action, "object", object, "err", err)
		}
	}
	return p
}

// Record notes that somebody did something that changes nothing and is worth a record,
// such as reading the audit log. What can't be recorded does not happen.
func (d *Door) Record(ctx context.Context, s *auth.Subject, action, object string) error {
	actor := s.Actor()
	actor.Rule = d.Can(s, action, object).Rule
	return d.engine.Note(ctx, &api.Note{Actor: actor, Action: action, Object: object, Result: "success"})
}

// editTriesMax is how often a change without an expected generation is tried when
// others change the configuration at the same time.
const editTriesMax = 4

// Change makes a change for a subject, or simulates it with DryRun.
func (d *Door) Change(ctx context.Context, s *auth.Subject, ch *api.Change) (*api.ChangeResult, error) {
	ch.Actor = s.Actor()
	if ch.DryRun {
		return d.dryRun(ctx, s, ch)
	}
	if !edits(ch.Action) {
		dec := d.Can(s, string(ch.Action), ch.Object)
		if !dec.Allowed {
			return nil, d.refuse(ctx, s, string(ch.Action), ch.Object, dec)
		}
		ch.Actor.Rule = dec.Rule
	}
	if d.needsSecond(ch.Action) {
		return nil, d.hold(ctx, s, ch)
	}
	return d.commit(ctx, s, ch)
}

// edits reports whether the objects that a change touches say what it needs.
func edits(a api.Action) bool {
	return slices.Contains([]api.Action{api.ActionApply, api.ActionRollback, api.ActionCreate, api.ActionUpdate, api.ActionPatch, api.ActionDelete}, a)
}

// commit makes a change: an edit on the very generation that the caller's rights
// were looked at.
func (d *Door) commit(ctx context.Context, s *auth.Subject, ch *api.Change) (*api.ChangeResult, error) {
	if !edits(ch.Action) {
		return d.engine.Change(ctx, ch)
	}
	for try := 1; ; try++ {
		base, rule, err := d.judge(ctx, s, ch)
		if err != nil {
			return nil, err
		}
		once := *ch
		actor := *s.Actor()
		actor.Rule = rule
		once.Actor, once.ExpectedGeneration = &actor, base
		out, err := d.engine.Change(ctx, &once)
		p, ok := errors.AsType[*api.Problem](err)
		if ok && p.Code == api.CodeConflict && ch.ExpectedGeneration == 0 && ch.PlanToken == "" && try < editTriesMax {
			continue
		}
		return out, err
	}
}

// judge simulates an edit and looks at every object that it would change. It returns
// the generation that it was simulated on, and the rule that allows it.
func (d *Door) judge(ctx context.Context, s *auth.Subject, ch *api.Change) (uint64, string, error) {
	e := d.enforcer.Load()
	if e == nil {
		return 0, "", api.NewProblem(api.CodeStore, "the roles of the cluster are not known yet")
	}
	// Who may do nothing of that kind learns nothing about what there is.
	if dec := d.Can(s, "simulate", ch.Object); !dec.Allowed {
		return 0, "", d.refuse(ctx, s, string(ch.Action), ch.Object, dec)
	}
	trial := *ch
	trial.DryRun = true // with its id: one that was made already is not judged by what it would do now
	sim, err := d.engine.Change(ctx, &trial)
	if err != nil {
		// What can't be simulated is not made either. Whether the caller might have
		// made it is asked all the same, so that a refusal looks like one.
		if dec := d.Can(s, string(ch.Action), ch.Object); !dec.Allowed && ch.Action != api.ActionApply && ch.Action != api.ActionRollback {
			return 0, "", d.refuse(ctx, s, string(ch.Action), ch.Object, dec)
		}
		return 0, "", err
	}
	dec := e.CanChange(subject(s), string(ch.Action), ch.Object, sim.Changes)
	for _, c := range sim.Changes {
		if object := strings.TrimPrefix(c.Key, cib.KeyConfig); dec.Allowed && !s.Covers(object) {
			dec = authz.Decision{Reason: "the API token is not for " + object}
		}
	}
	if !dec.Allowed {
		return 0, "", d.refuse(ctx, s, string(ch.Action), ch.Object, dec)
	}
	if len(sim.Changes) > 0 {
		return sim.Generation - 1, dec.Rule, nil
	}
	return sim.Generation, dec.Rule, nil
}

// dryRun simulates for who may see what would happen.
func (d *Door) dryRun(ctx context.Context, s *auth.Subject, ch *api.Change) (*api.ChangeResult, error) {
	if err := d.Require(ctx, s, "simulate", ch.Object); err != nil {
		return nil, err
	}
	ch.RequestID = "" // it asks what would happen, not what has
	out, err := d.engine.Change(ctx, ch)
	if err == nil && d.needsSecond(ch.Action) {
		out.Warnings = append(out.Warnings, api.Fault{Path: ch.Object, Text: "a second person must approve this"})
	}
	return out, err
}

// Update takes over the documents that the management daemons share.
func (d *Door) Update(docs *api.Documents) {
	approvals, policy := map[string]*approvalDoc{}, policyDoc{}
	for _, doc := range docs.Documents {
		kind, id, _ := strings.Cut(doc.Name, "/")
		var err error
		switch {
		case kind+"/" == kindApproval:
			a := &approvalDoc{rev: doc.Rev}
			err = json.Unmarshal(doc.Value, &a.Approval)
			approvals[id] = a
		case doc.Name == nameApprovalPolicy:
			policy.rev = doc.Rev
			err = json.Unmarshal(doc.Value, &policy.ApprovalPolicy)
		}
		if err != nil {
			d.log.Warn("a document can't be read", "name", doc.Name, "err", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.approvals, d.policy = approvals, policy
}
