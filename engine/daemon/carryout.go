package daemon

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/quorum"
)

// carryOut commits the change and waits until this node sees it.
func (c *changing) carryOut(ctx context.Context, p *prepared) error {
	if p.local != nil {
		return p.local(ctx)
	}
	tctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	for range tries {
		ok, rev, err := c.store.Commit(tctx, p.txn)
		switch {
		case err != nil:
			return c.storeProblem(tctx, p, err)
		case ok:
			return written(c.await(tctx, rev))
		case c.Action != api.ActionCleanup && c.Action != api.ActionRefresh:
			return api.NewProblem(api.CodeConflict, "the cluster changed while the change was being made; nothing was done")
		}
		// An action was asked for meanwhile, such as the monitor after a start: the caller
		// wants the same after it.
		again, err := c.prepareIdle(tctx)
		if err != nil || again.nothing() {
			return err
		}
		p.txn = again.txn
	}
	return api.NewProblem(api.CodeConflict, "the resources are being worked on without a pause; nothing was changed")
}

// inDoubt is the error of a change that may have happened, or has.
type inDoubt struct {
	*api.Problem
	happened bool
}

// Unwrap returns what the caller is told.
func (d *inDoubt) Unwrap() error { return d.Problem }

// written says of an error that comes after the commit that the change has happened.
func written(err error) error {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return &inDoubt{Problem: p, happened: true}
	}
	return err
}

// tries is how often a change is committed that another action came before.
const tries = 10

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
	var q quorum.Result
	if c.ask(ctx, func(n *node.Node) { q = n.Quorum() }) == nil && !q.Quorate {
		code, err = api.CodeNoQuorum, errors.New(q.Reason)
	}
	return &inDoubt{Problem: api.NewProblem(code, "it is not known whether the change happened: "+err.Error())}
}

// intend records the intent; a change that can't be recorded does not happen.
func (c *changing) intend(p *prepared) error {
	if err := c.engine.record(c.record(p, audit.Intent, "", "")); err != nil {
		return api.NewProblem(api.CodeAudit, err.Error())
	}
	return nil
}

// outcome records what became of a change. What is in doubt is recorded when the store
// tells; where nothing will tell, that is recorded.
func (c *changing) outcome(p *prepared, err error) {
	result, reason := audit.ResultSuccess, ""
	doubt, doubted := errors.AsType[*inDoubt](err)
	switch {
	case doubted && doubt.happened:
		reason = doubt.Detail
	case doubted && p.edit && c.settleLater(c.record(p, audit.Outcome, "", "")):
		return
	case doubted:
		result, reason = audit.ResultUnknown, doubt.Code+": "+doubt.Detail
	case err != nil:
		result, reason = audit.ResultFailed, err.Error()
		if pr, ok := errors.AsType[*api.Problem](err); ok {
			reason = pr.Code + ": " + pr.Detail
			if pr.Code == api.CodeConflict {
				result = audit.ResultRefused
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
