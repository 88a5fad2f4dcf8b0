package api

import (
	"context"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
)

// as lets the engine record the request under the caller's name.
func (s *Server) as(ctx context.Context, k *call) context.Context {
	if k.subject == nil {
		return s.opts.As(ctx, &api.Actor{User: "setup", Via: "rest", Address: k.address})
	}
	return s.opts.As(ctx, k.subject.Actor())
}

type setup struct {
	Needed bool `json:"needed" doc:"this node is in no cluster"`
}

func (s *Server) clusterRoutes() {
	register(s, op{method: http.MethodPost, path: "/v1/token", id: "createJoinToken", tag: "cluster", text: "Make a token that lets a machine join", action: "join", object: "cluster"},
		func(ctx context.Context, k *call, in *struct{ Body api.TokenRequest }) (*body[*api.Token], error) {
			out, err := s.opts.Engine.Token(s.as(ctx, k), &in.Body)
			return &body[*api.Token]{out}, err
		})
	register(s, op{method: http.MethodPost, path: "/v1/backup", id: "backup", tag: "cluster", text: "Save the store on this node", action: "backup", object: "cluster"},
		func(ctx context.Context, k *call, in *struct{ Body api.BackupRequest }) (*body[*api.Backup], error) {
			// The engine writes as root: where, is not for who comes from outside to say.
			if in.Body.File != "" {
				return nil, api.NewProblem(api.CodeBadRequest, "file: the node names the backup itself")
			}
			out, err := s.opts.Engine.Backup(s.as(ctx, k), &in.Body)
			return &body[*api.Backup]{out}, err
		})
	register(s, op{method: http.MethodPost, path: "/v1/log", id: "setLogLevel", tag: "cluster", text: "Set the level of this node's log", action: "log-level", object: "cluster"},
		func(ctx context.Context, k *call, in *struct{ Body api.LogLevel }) (*body[api.LogLevel], error) {
			return &body[api.LogLevel]{in.Body}, s.opts.Engine.SetLogLevel(s.as(ctx, k), in.Body.Level)
		})
	register(s, op{method: http.MethodPost, path: "/v1/attribute", id: "setAttribute", tag: "cluster", text: "Set or delete an attribute of a node"},
		func(ctx context.Context, k *call, in *struct{ Body api.Attribute }) (*struct{}, error) {
			node := in.Body.Node
			if node == "" || node == "local" {
				node = s.opts.Node()
			}
			if in.Body.Private {
				return nil, api.NewProblem(api.CodeBadRequest, "private: only agents keep private attributes")
			}
			if err := s.opts.Door.Require(ctx, k.subject, "attribute", "node/"+node); err != nil {
				return nil, err
			}
			return nil, s.opts.Engine.SetAttribute(s.as(ctx, k), &in.Body)
		})
	register(s, op{method: http.MethodGet, path: "/v1/cluster/setup", id: "getSetup", tag: "cluster", text: "Tell whether this node waits to make a cluster or to join one", public: true},
		func(_ context.Context, _ *call, _ *none) (*body[setup], error) {
			p := s.opts.View.Current().Problem
			return &body[setup]{setup{Needed: p != nil && p.Code == api.CodeNoCluster}}, nil
		})
	register(s, op{method: http.MethodPost, path: "/v1/cluster/init", id: "initCluster", tag: "cluster", text: "Make a cluster of this node, which is in none; needs the set-up code of its engine's log", public: true, status: http.StatusOK},
		func(ctx context.Context, k *call, in *struct{ Body api.Init }) (*body[*api.Joined], error) {
			out, err := s.opts.Engine.Init(s.as(ctx, k), &in.Body)
			return &body[*api.Joined]{out}, err
		})
	register(s, op{method: http.MethodPost, path: "/v1/cluster/join", id: "joinCluster", tag: "cluster", text: "Let this node, which is in no cluster, join one; needs the set-up code of its engine's log", public: true, status: http.StatusOK},
		func(ctx context.Context, k *call, in *struct{ Body api.Join }) (*body[*api.Joined], error) {
			out, err := s.opts.Engine.Join(s.as(ctx, k), &in.Body)
			return &body[*api.Joined]{out}, err
		})
}
