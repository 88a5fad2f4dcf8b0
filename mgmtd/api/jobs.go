package api

import (
	"context"
	"net/http"

	"github.com/belay-ha/belay/mgmtd/job"
)

func (s *Server) jobRoutes() {
	register(s, op{method: http.MethodGet, path: "/v1/jobs", id: "listJobs", tag: "operations", text: "The newest jobs that this node began, newest last", action: "read", object: "job/*"},
		func(ctx context.Context, _ *call, _ *none) (*body[[]job.Answer], error) {
			out := []job.Answer{}
			for _, j := range s.jobs.All() {
				out = append(out, s.jobs.Judge(ctx, j))
			}
			return &body[[]job.Answer]{out}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/jobs/{id}", id: "getJob", tag: "operations", text: "How far a job is; every node knows", action: "read", object: "job/*"},
		func(ctx context.Context, _ *call, in *struct {
			ID string `path:"id" maxLength:"1000"`
		},
		) (*body[job.Answer], error) {
			j, err := job.Parse(in.ID)
			if err != nil {
				return nil, err
			}
			return &body[job.Answer]{s.jobs.Judge(ctx, j)}, nil
		})
}
