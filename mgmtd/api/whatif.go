package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/belay-ha/belay/docs/reference"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/whatif"
	"github.com/belay-ha/belay/mgmtd/transitions"
)

// simulating is what the caller supposes.
type simulating struct {
	whatif.Suppose
	Change *api.Change `json:"change,omitempty" doc:"a change of the configuration that is supposed, too; nobody makes it"`
	Scores bool        `json:"scores,omitempty" doc:"answer with the score of every node for every instance, too"`
}

// simulationsMax is how many simulations run at once: each decides on the whole
// cluster.
const simulationsMax = 2

// whatifRoutes are the questions about what would be.
func (s *Server) whatifRoutes() {
	slots := make(chan struct{}, simulationsMax)
	register(s, op{
		method: http.MethodPost, path: "/v1/simulate", id: "simulate", tag: "state", text: "Tell what the cluster would do if something were otherwise; nothing is changed",
		action: "simulate", object: "cluster", status: http.StatusOK,
	}, func(ctx context.Context, _ *call, in *struct{ Body simulating }) (*body[*whatif.Outcome], error) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		snap, err := s.opts.Engine.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		if ch := in.Body.Change; ch != nil {
			if snap.Config, err = cib.Edit(snap.Config, cib.EditRequest{Action: string(ch.Action), Object: ch.Object, Value: ch.Value, Merge: ch.Merge}); err != nil {
				return nil, api.NewProblem(api.CodeBadRequest, "change: "+err.Error())
			}
		}
		now := s.now().UTC()
		err = in.Body.Apply(snap, now)
		if e, ok := errors.AsType[*whatif.Error](err); ok {
			return nil, api.NewProblem(api.CodeInvalid, "the supposition makes no sense", api.Fault{Path: e.Part, Text: e.What + ": " + e.Text})
		}
		if err != nil {
			return nil, err
		}
		return &body[*whatif.Outcome]{whatif.Decide(snap, in.Body.Scores, now)}, nil
	})
	register(s, op{method: http.MethodGet, path: "/v1/transitions", id: "listTransitions", tag: "state", text: "The newest transitions that this node saw since it started, newest first", action: "read", object: "cluster"},
		func(_ context.Context, _ *call, _ *none) (*body[[]transitions.Transition], error) {
			return &body[[]transitions.Transition]{s.opts.Transitions.List()}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/transitions/{id}", id: "getTransition", tag: "state", text: "The graph of a transition: its steps, their order, why, and what became of them", action: "read", object: "cluster"},
		func(_ context.Context, _ *call, in *struct {
			ID int64 `path:"id"`
		},
		) (*body[*transitions.Transition], error) {
			t := s.opts.Transitions.Get(in.ID)
			if t == nil {
				return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("this node remembers no transition %d", in.ID))
			}
			return &body[*transitions.Transition]{t}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/schema", id: "schema", tag: "configuration", text: "The JSON schema of the configuration"},
		func(_ context.Context, _ *call, _ *none) (*body[json.RawMessage], error) {
			return &body[json.RawMessage]{json.RawMessage(reference.Schema)}, nil
		})
}

// auditExport passes the export of the engine on as it comes.
func (s *Server) auditExport(c echo.Context) error {
	ctx, k := c.Request().Context(), callOf(c.Request().Context())
	if err := s.opts.Door.Record(ctx, k.subject, "export", "audit"); err != nil {
		return fail(c, err)
	}
	v := c.Request().URL.Query()
	q := &api.AuditQuery{
		Node: v.Get("node"), User: v.Get("user"), Action: v.Get("action"), Object: v.Get("object"), Result: v.Get("result"), Phase: v.Get("phase"), Via: v.Get("via"),
		RequestID: v.Get("requestId"), ChangeRef: v.Get("changeRef"), From: v.Get("from"), To: v.Get("to"),
	}
	format := v.Get("format")
	if format == "" {
		format = "json"
	}
	begun := false
	err := s.opts.Engine.AuditExport(s.as(ctx, k), q, format, func(mediaType string) {
		begun = true
		c.Response().Header().Set("Content-Type", mediaType)
		c.Response().Header().Set("Content-Disposition", `attachment; filename="audit-`+s.opts.Node()+`.`+format+`"`)
		c.Response().WriteHeader(http.StatusOK)
	}, c.Response())
	switch {
	case err != nil && begun:
		s.opts.Log.Warn("an export of the audit log broke off", "err", err)
		panic(http.ErrAbortHandler) // who reads it must not take it for whole
	case err != nil:
		return fail(c, err)
	}
	return nil
}
