package change

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/mgmtd/auth"
)

// Documents of this package.
const (
	kindApproval       = "approval/"
	nameApprovalPolicy = "setting/approval"
)

// ApprovalPolicy says which actions need a second person.
type ApprovalPolicy struct {
	Actions []api.Action `json:"actions" doc:"actions that need a second person, such as fence, delete, stop, fence-confirm, voter"`
	Hours   int          `json:"hours,omitempty" minimum:"1" maximum:"168" doc:"how long a request waits; default 24"`
}

type policyDoc struct {
	ApprovalPolicy
	rev int64
}

// The states of an approval.
const (
	ApprovalWaiting  = "waiting"
	ApprovalApproved = "approved" // and on its way
	ApprovalDone     = "done"
	ApprovalFailed   = "failed"
	ApprovalRejected = "rejected"
)

// Approval is a change that waits for a second person, and what became of it.
type Approval struct {
	ID        string            `json:"id"`
	Change    api.Change        `json:"change"`
	Requester auth.Subject      `json:"requester"`
	Plan      api.PlanSummary   `json:"plan"` // of the simulation, when it was asked for
	State     string            `json:"state" enum:"waiting,approved,done,failed,rejected"`
	Created   time.Time         `json:"created"`
	Expires   time.Time         `json:"expires"`
	Decided   time.Time         `json:"decided,omitzero"`
	By        string            `json:"by,omitempty"` // who approved or rejected it
	Reason    string            `json:"reason,omitempty"`
	Result    *api.ChangeResult `json:"result,omitempty"`
}

type approvalDoc struct {
	Approval
	rev int64
}

// approvalsMax bounds those that wait.
const approvalsMax = 500

func (d *Door) needsSecond(a api.Action) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Contains(d.policy.Actions, a)
}

// Policy returns the actions that need a second person, with the revision of the
// document.
func (d *Door) Policy() (ApprovalPolicy, int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.policy.ApprovalPolicy
	if p.Actions == nil {
		p.Actions = []api.Action{}
	}
	p.Hours = cmp.Or(p.Hours, 24)
	return p, d.policy.rev
}

// SetPolicy says which actions need a second person. It is for who administers
// rights, not for who operates.
func (d *Door) SetPolicy(ctx context.Context, s *auth.Subject, p ApprovalPolicy, rev int64) error {
	if err := d.Require(ctx, s, "update", "role/approval-policy"); err != nil {
		return err
	}
	for _, a := range p.Actions {
		if !slices.ContainsFunc(api.Actions, func(x struct {
			Action api.Action
			Text   string
			Risky  bool
		},
		) bool {
			return x.Action == a
		}) {
			return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("there is no action %q", a))
		}
	}
	p.Hours = cmp.Or(p.Hours, 24)
	before, _ := d.Policy()
	return d.put(ctx, s, "update", "role/approval-policy", nameApprovalPolicy, rev, map[string]any{"before": before, "after": p}, p)
}

func (d *Door) put(ctx context.Context, s *auth.Subject, action, object, name string, rev int64, details, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", action, object, err)
	}
	ch := &api.DocumentChange{
		Actor: s.Actor(), Action: action, Object: object,
		If: []api.DocumentRevision{{Name: name, Rev: rev}}, Put: []api.Document{{Name: name, Value: value}},
	}
	if ch.Details, err = json.Marshal(details); err != nil {
		return fmt.Errorf("%s of %s: %w", action, object, err)
	}
	_, err = d.engine.ChangeDocuments(ctx, ch)
	return err
}

// hold keeps a change until a second person agrees. It is checked and simulated now,
// so that nobody is asked to agree to what can't be done.
func (d *Door) hold(ctx context.Context, s *auth.Subject, ch *api.Change) error {
	if edits(ch.Action) {
		if _, _, err := d.judge(ctx, s, ch); err != nil {
			return err
		}
	}
	trial := *ch
	trial.DryRun, trial.RequestID = true, ""
	sim, err := d.engine.Change(ctx, &trial)
	if err != nil {
		return err
	}
	policy, _ := d.Policy()
	now := time.Now().UTC()
	id := strings.ToLower(rand.Text()[:16])
	a := &Approval{
		ID: id, Change: *ch, Requester: *s, Plan: sim.Plan, State: ApprovalWaiting,
		Created: now, Expires: now.Add(time.Duration(policy.Hours) * time.Hour),
	}
	a.Change.RequestID = "approval-" + id
	d.mu.RLock()
	waiting := len(d.approvals)
	d.mu.RUnlock()
	if waiting >= approvalsMax {
		return api.NewProblem(api.CodeTooMany, fmt.Sprintf("%d changes wait for a second person; more are not possible", waiting))
	}
	if err := d.put(ctx, s, "request", "approval/"+id, kindApproval+id, 0, map[string]any{"action": ch.Action, "object": ch.Object}, a); err != nil {
		return err
	}
	p := api.NewProblem(api.CodeApproval, fmt.Sprintf("%s of %s waits for a second person as approval %s", ch.Action, ch.Object, id))
	p.Approval = id
	p.Remedy = strings.ReplaceAll(p.Remedy, "ID", id)
	return p
}

// Approvals lists what waits for a second person and what became of others, newest
// first.
func (d *Door) Approvals() []Approval {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := []Approval{}
	for _, a := range d.approvals {
		out = append(out, a.Approval)
	}
	slices.SortFunc(out, func(x, y Approval) int {
		return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(x.ID, y.ID))
	})
	return out
}

// Approval returns one.
func (d *Door) Approval(id string) (*Approval, error) {
	a, _, err := d.approval(id)
	return a, err
}

func (d *Door) approval(id string) (*Approval, int64, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a := d.approvals[id]
	if a == nil {
		return nil, 0, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no approval %q", id))
	}
	out := a.Approval
	return &out, a.rev, nil
}

// Decide approves or rejects a change that waits. Who asked for it may reject it, and
// nobody approves their own.
func (d *Door) Decide(ctx context.Context, s *auth.Subject, id string, approve bool, reason string) (*Approval, error) {
	a, rev, err := d.approval(id)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	own := a.Requester.User == s.User
	switch {
	case approve && own:
		return nil, api.NewProblem(api.CodeForbidden, "a second person must approve it, and it was you who asked")
	case approve && s.Method == auth.ByToken:
		return nil, api.NewProblem(api.CodeForbidden, "a person must approve it, and not a program with an API token")
	case a.State != ApprovalWaiting:
		return nil, api.NewProblem(api.CodeConflict, fmt.Sprintf("approval %s is %s already", id, a.State))
	case now.After(a.Expires):
		return nil, api.NewProblem(api.CodeGone, fmt.Sprintf("approval %s has run out", id))
	}
	if approve || !own {
		if err := d.Require(ctx, s, "approve", a.Change.Object); err != nil {
			return nil, err
		}
	}
	a.Decided, a.By, a.Reason = now, s.User, reason
	action := "reject"
	a.State = ApprovalRejected
	if approve {
		action, a.State = "approve", ApprovalApproved
	}
	details := map[string]any{"action": a.Change.Action, "object": a.Change.Object, "requester": a.Requester.User, "reason": reason, "requestId": a.Change.RequestID}
	if err := d.put(ctx, s, action, "approval/"+id, kindApproval+id, rev, details, a); err != nil || !approve {
		return a, err
	}
	// The requester's rights are looked at again: they may have changed since.
	result, err := d.approved(ctx, a)
	a.State, a.Result = ApprovalDone, result
	if err != nil {
		a.State, a.Reason = ApprovalFailed, err.Error()
	}
	d.finish(context.WithoutCancel(ctx), a)
	return a, err
}

func (d *Door) approved(ctx context.Context, a *Approval) (*api.ChangeResult, error) {
	ch := a.Change
	if !edits(ch.Action) {
		if err := d.Require(ctx, &a.Requester, string(ch.Action), ch.Object); err != nil {
			return nil, err
		}
	}
	return d.commit(ctx, &a.Requester, &ch)
}

// finish notes what became of an approved change: bookkeeping, since the change
// itself is recorded.
func (d *Door) finish(ctx context.Context, a *Approval) {
	value, err := json.Marshal(a)
	if err == nil {
		_, err = d.engine.ChangeDocuments(ctx, &api.DocumentChange{Put: []api.Document{{Name: kindApproval + a.ID, Value: value}}})
	}
	if err != nil {
		d.log.Warn("what became of an approved change can't be noted", "approval", a.ID, "err", err)
	}
}

// approvalsKept is how long what was decided can still be seen.
const approvalsKept = 7 * 24 * time.Hour

// Maintain removes approvals that are over for long.
func (d *Door) Maintain(ctx context.Context) error {
	now := time.Now()
	ch := &api.DocumentChange{}
	d.mu.RLock()
	for id, a := range d.approvals {
		if now.After(a.Expires.Add(approvalsKept)) && len(ch.Delete) < 50 {
			ch.Delete = append(ch.Delete, kindApproval+id)
		}
	}
	d.mu.RUnlock()
	if len(ch.Delete) == 0 {
		return nil
	}
	_, err := d.engine.ChangeDocuments(ctx, ch)
	return err
}
