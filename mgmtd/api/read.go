package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/view"
)

// tagged is an answer with the tag of what it shows.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Age  string `header:"Belay-Snapshot-Age" doc:"seconds since the engine said so, where it says nothing now"`
	Body T
}

// Conditional is the input of a read whose answer the caller may have.
type Conditional struct {
	IfNoneMatch string `header:"If-None-Match"`
}

// known returns the newest view.
func (s *Server) known() (*view.View, error) {
	v := s.opts.View.Current()
	if v.Known() {
		return v, nil
	}
	if v.Problem != nil {
		return nil, v.Problem
	}
	return nil, api.NewProblem(api.CodeStore, "this node has not read the cluster's state yet")
}

// show makes an answer from the newest view; 304 where the caller has it.
func show[T any](s *Server, in *Conditional, tag func(*view.View) string, f func(*view.View) (T, error)) (*tagged[T], error) {
	v, err := s.known()
	if err != nil {
		return nil, err
	}
	out := &tagged[T]{}
	if tag != nil {
		out.ETag = tag(v)
		if matches(in.IfNoneMatch, out.ETag) {
			return nil, huma.ErrorWithHeaders(notModified{}, http.Header{"ETag": {out.ETag}})
		}
	}
	if age := v.Age(s.now()); age > 0 {
		out.Age = fmt.Sprintf("%.0f", age.Seconds())
	}
	out.Body, err = f(v)
	return out, err
}

// matches compares entity tags as RFC 9110, section 8.8.3.2, in its weak form.
func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if t == "*" || t != "" && t == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

func generationTag(v *view.View) string { return fmt.Sprintf("%q", fmt.Sprint(v.Config.Generation)) }

func (s *Server) readRoutes() {
	get := func(path, id, tag, text, action, object string) op {
		return op{method: http.MethodGet, path: path, id: id, tag: tag, text: text, action: action, object: object}
	}
	register(s, get("/v1/status", "status", "state", "The state of everything, with reasons and alarms", "read", "cluster"),
		func(_ context.Context, _ *call, in *Conditional) (*tagged[*status.Summary], error) {
			return show(s, in, nil, func(v *view.View) (*status.Summary, error) {
				now := *v.Summary
				if v.Age(s.now()) == 0 {
					// The engine tells of every change: this is how it is now, and ages
					// count from now.
					now.Time = s.now().UTC()
				}
				return &now, nil
			})
		})
	register(s, get("/v1/config", "config", "configuration", "The configuration with its generation, which is also its ETag", "read", "cluster"),
		func(_ context.Context, _ *call, in *Conditional) (*tagged[*api.Config], error) {
			return show(s, in, generationTag, func(v *view.View) (*api.Config, error) { return v.Config, nil })
		})
	register(s, get("/v1/snapshot", "snapshot", "state", "Every document of the store, secrets left out", "report", "cluster"),
		func(ctx context.Context, _ *call, _ *none) (*body[json.RawMessage], error) {
			snap, err := s.opts.Engine.Snapshot(ctx)
			if err != nil {
				return nil, err
			}
			b, err := json.Marshal(snap)
			return &body[json.RawMessage]{b}, err
		})
	register(s, get("/v1/history", "history", "configuration", "The generations of the configuration that are kept", "read", "cluster"),
		func(ctx context.Context, _ *call, _ *none) (*body[[]api.GenerationInfo], error) {
			out, err := s.opts.Engine.History(ctx)
			return &body[[]api.GenerationInfo]{out}, err
		})
	register(s, get("/v1/history/{n}", "generation", "configuration", "What one generation changed", "read", "generation/{n}"),
		func(ctx context.Context, _ *call, in *struct {
			N uint64 `path:"n"`
		},
		) (*body[*cib.GenerationRecord], error) {
			out, err := s.opts.Engine.Generation(ctx, in.N)
			return &body[*cib.GenerationRecord]{out}, err
		})
	register(s, get("/v1/explain/resource/{id}", "explainResource", "state", "Why a resource is where it is, and why not elsewhere", "read", "resource/{id}"),
		func(ctx context.Context, _ *call, in *Named) (*body[*graph.Explanation], error) {
			out, err := s.opts.Engine.Explain(ctx, in.ID)
			return &body[*graph.Explanation]{out}, err
		})
	register(s, get("/v1/plan", "plan", "state", "The steps that the cluster is about to take", "read", "cluster"),
		func(ctx context.Context, _ *call, _ *none) (*body[*api.PlanSummary], error) {
			out, err := s.opts.Engine.Plan(ctx)
			return &body[*api.PlanSummary]{out}, err
		})
	register(s, get("/v1/agents", "agents", "configuration", "The agents installed on this node", "read", "agent/*"),
		func(ctx context.Context, _ *call, _ *none) (*body[[]string], error) {
			out, err := s.opts.Engine.Agents(ctx)
			return &body[[]string]{out}, err
		})
	register(s, get("/v1/agents/{id}", "agent", "configuration", "The metadata of an agent", "read", "agent/{id}"),
		func(ctx context.Context, _ *call, in *Named) (*body[json.RawMessage], error) {
			out, err := s.opts.Engine.Agent(ctx, in.ID)
			return &body[json.RawMessage]{out}, err
		})
	register(s, get("/v1/local", "local", "state", "This node as its own engine sees it, without the store", "read", "cluster"),
		func(ctx context.Context, _ *call, _ *none) (*body[*api.Local], error) {
			out, err := s.opts.Engine.Local(ctx)
			return &body[*api.Local]{out}, err
		})
	register(s, get("/v1/attribute/{node}/{name}", "attribute", "state", "An attribute of a node; the node local is the one that answers", "read", "node/{node}"),
		func(ctx context.Context, _ *call, in *struct {
			Node string `path:"node" maxLength:"200"`
			Name string `path:"name" maxLength:"200"`
		},
		) (*body[*api.Attribute], error) {
			out, err := s.opts.Engine.Attribute(ctx, in.Node, in.Name)
			return &body[*api.Attribute]{out}, err
		})
}
