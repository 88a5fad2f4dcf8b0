package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/mgmtd/change"
)

type decisionInput struct {
	Named
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"500"`
	} `required:"false"`
}

func (s *Server) approvalRoutes() {
	register(s, op{method: http.MethodGet, path: "/v1/approvals", id: "listApprovals", tag: "approvals", text: "The changes that wait for a second person, and what became of others", action: "read", object: "cluster"},
		func(_ context.Context, _ *call, _ *none) (*body[[]change.Approval], error) {
			return &body[[]change.Approval]{s.opts.Door.Approvals()}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/approvals/{id}", id: "getApproval", tag: "approvals", text: "One of them", action: "read", object: "cluster"},
		func(_ context.Context, _ *call, in *Named) (*body[*change.Approval], error) {
			a, err := s.opts.Door.Approval(in.ID)
			return &body[*change.Approval]{a}, err
		})
	decide := func(approve bool) func(context.Context, *call, *decisionInput) (*body[*change.Approval], error) {
		return func(ctx context.Context, k *call, in *decisionInput) (*body[*change.Approval], error) {
			reason := ""
			if in.Body != nil {
				reason = in.Body.Reason
			}
			a, err := s.opts.Door.Decide(ctx, k.subject, in.ID, approve, reason)
			return &body[*change.Approval]{a}, err
		}
	}
	register(s, op{method: http.MethodPost, path: "/v1/approvals/{id}/actions/approve", id: "approve", tag: "approvals", text: "Agree to a change of somebody else; it is made at once"}, decide(true))
	register(s, op{method: http.MethodPost, path: "/v1/approvals/{id}/actions/reject", id: "reject", tag: "approvals", text: "Refuse a change, or take one's own back"}, decide(false))

	type policy struct {
		ETag string `header:"ETag"`
		Body change.ApprovalPolicy
	}
	register(s, op{method: http.MethodGet, path: "/v1/settings/approval", id: "getApprovalPolicy", tag: "approvals", text: "Which actions need a second person", action: "read", object: "cluster"},
		func(_ context.Context, _ *call, _ *none) (*policy, error) {
			p, rev := s.opts.Door.Policy()
			return &policy{strconv.Quote(strconv.FormatInt(rev, 10)), p}, nil
		})
	register(s, op{method: http.MethodPut, path: "/v1/settings/approval", id: "setApprovalPolicy", tag: "approvals", text: "Say which actions need a second person", action: "update", object: "role/approval-policy", status: http.StatusNoContent},
		func(ctx context.Context, k *call, in *struct {
			Match
			Body change.ApprovalPolicy
		},
		) (*struct{}, error) {
			_, rev := s.opts.Door.Policy()
			switch in.IfMatch {
			case "":
				return nil, api.NewProblem(api.CodeNeedMatch, "the request does not say which setting it replaces")
			case "*", strconv.Quote(strconv.FormatInt(rev, 10)):
			default:
				return nil, api.NewProblem(api.CodeNoMatch, "the setting was changed since")
			}
			return nil, s.opts.Door.SetPolicy(ctx, k.subject, in.Body, rev)
		})
}
