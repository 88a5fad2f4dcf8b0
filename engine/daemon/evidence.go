package daemon

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
)

// heldOf reads what other nodes hold of this node's log.
func heldOf(ctx context.Context, e *engine, c *caller, r *http.Request) (*api.AuditHeld, []audit.Checkpoint, error) {
	v, err := getAuditHeld(ctx, e, c, r)
	if err != nil {
		return nil, nil, err
	}
	held, _ := v.(*api.AuditHeld)
	out, err := parsed(held)
	return held, out, err
}

// parsed reads checkpoints that others hold.
func parsed(held *api.AuditHeld) ([]audit.Checkpoint, error) {
	var out []audit.Checkpoint
	for _, text := range held.Checkpoints {
		cp, err := audit.ParseCheckpoint(text)
		if err != nil {
			return nil, fmt.Errorf("what another node holds of the audit log: %w", err)
		}
		out = append(out, cp)
	}
	return out, nil
}

// getAuditVerify verifies the log of this node against itself and against what the other
// nodes signed.
func getAuditVerify(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	held, checkpoints, err := heldOf(ctx, e, c, r)
	if err != nil {
		return nil, err
	}
	return e.verifyLog(held, checkpoints)
}

// verifyLog verifies the log of this node against itself and against what others hold.
func (e *engine) verifyLog(held *api.AuditHeld, checkpoints []audit.Checkpoint) (*api.AuditVerdict, error) {
	if e.trail.log == nil || e.trail.problem != nil {
		return nil, api.NewProblem(api.CodeAudit, "the audit log of this node can't be opened")
	}
	if !e.trail.verifying.TryLock() {
		return nil, api.NewProblem(api.CodeTooMany, "the log is being verified for somebody else")
	}
	defer e.trail.verifying.Unlock()
	report, err := audit.Check(e.trail.log.Dir(), audit.Options{Held: checkpoints})
	bad, isBad := audit.IsBad(err)
	if err != nil && !isBad {
		return nil, fmt.Errorf("verify the audit log: %w", err)
	}
	out := &api.AuditVerdict{
		Node: e.local.Node, Whole: err == nil, First: report.First, Records: report.Records, Root: report.Root.String(),
		Checkpoints: report.Checkpoints, Signed: report.Signed, Witnessed: report.Witnessed, Silent: held.Silent,
	}
	if bad != nil {
		out.FirstBad, out.Reason = bad.Seq, bad.Error()
	}
	for _, s := range report.Steps {
		out.ClockSteps = append(out.ClockSteps, api.AuditClockStep{Record: s.Seq, Back: s.Back})
	}
	return out, nil
}

// exportTypes are the media types of the formats of an export.
var exportTypes = map[audit.Format]string{
	audit.FormatJSON: "application/x-ndjson", audit.FormatCSV: "text/csv; charset=utf-8", audit.FormatCEF: "text/plain; charset=utf-8", audit.FormatCADF: "application/x-ndjson",
}

// serveAuditExport writes the chosen records of this node's log as they come. One that
// breaks off has no end line, and verifies as such.
func (d *Daemon) serveAuditExport() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := allowed(r, true)
		if err == nil {
			c, err = c.named(r.Header.Get(api.ActorHeader))
		}
		var e *engine
		if err == nil {
			e, err = d.running()
		}
		if err == nil {
			unhurried(w)
			err = exportAudit(r.Context(), e, c, w, r)
		}
		if err != nil {
			d.fail(w, err)
		}
	})
}

// exportAudit returns an error only where nothing was written yet.
func exportAudit(ctx context.Context, e *engine, c *caller, w http.ResponseWriter, r *http.Request) error {
	form := audit.Format(r.URL.Query().Get("format"))
	if form == "" {
		form = audit.FormatJSON
	}
	if !slices.Contains(audit.Formats, form) {
		return api.NewProblem(api.CodeBadRequest, "format: choose json, csv, cef or cadf")
	}
	q, err := auditQuery(r)
	if err != nil {
		return err
	}
	if q.Node != "" && q.Node != e.local.Node {
		return api.NewProblem(api.CodeBadRequest, "node: a log is exported by the management daemon of its own node")
	}
	f, err := auditFilter(q)
	if err != nil {
		return err
	}
	_, held, err := heldOf(ctx, e, c, r)
	if err != nil {
		return err
	}
	if e.trail.log == nil || e.trail.problem != nil {
		return api.NewProblem(api.CodeAudit, "the audit log of this node can't be opened")
	}
	w.Header().Set("Content-Type", exportTypes[form])
	if _, err := audit.Export(w, audit.Source{Dir: e.trail.log.Dir(), Held: held}, f, form, e.d.opts.Version); err != nil {
		e.log.Warn("an export of the audit log broke off", "err", err)
		panic(http.ErrAbortHandler) // the reader must not take it for whole
	}
	return nil
}
