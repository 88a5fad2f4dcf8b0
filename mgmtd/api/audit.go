package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/belay-ha/belay/engine/api"
)

type auditInput struct {
	Node      string `query:"node" maxLength:"200" doc:"whose log; default: of the node that answers"`
	User      string `query:"user" maxLength:"128"`
	Action    string `query:"action" maxLength:"64"`
	Object    string `query:"object" maxLength:"300" doc:"or all of a kind: resource/"`
	Result    string `query:"result" maxLength:"20"`
	Phase     string `query:"phase" enum:"intent,outcome,note"`
	Via       string `query:"via" maxLength:"20"`
	RequestID string `query:"requestId" maxLength:"64"`
	ChangeRef string `query:"changeRef" maxLength:"200"`
	From      string `query:"from" maxLength:"40" doc:"RFC 3339"`
	To        string `query:"to" maxLength:"40" doc:"RFC 3339"`
	After     uint64 `query:"after" doc:"only records after this number"`
	Limit     int    `query:"limit" minimum:"0" maximum:"1000" doc:"records at most; default 1000"`
}

// auditRoutes are the reads of the audit log. That it was read, and by whom, is
// recorded in it.
func (s *Server) auditRoutes() {
	register(s, op{method: http.MethodGet, path: "/v1/audit", id: "audit", tag: "audit", text: "A page of a node's audit log", action: "read", object: "audit"},
		func(ctx context.Context, k *call, in *auditInput) (*body[*api.AuditPage], error) {
			if err := s.opts.Door.Record(ctx, k.subject, "read", "audit"); err != nil {
				return nil, err
			}
			out, err := s.opts.Engine.Audit(s.as(ctx, k), &api.AuditQuery{
				Node: in.Node, User: in.User, Action: in.Action, Object: in.Object, Result: in.Result, Phase: in.Phase, Via: in.Via,
				RequestID: in.RequestID, ChangeRef: in.ChangeRef, From: in.From, To: in.To, After: in.After, Limit: in.Limit,
			})
			return &body[*api.AuditPage]{out}, err
		})
	register(s, op{method: http.MethodGet, path: "/v1/audit/state", id: "auditState", tag: "audit", text: "How the audit log of this node stands", action: "read", object: "cluster"},
		func(ctx context.Context, _ *call, _ *none) (*body[*api.AuditState], error) {
			out, err := s.opts.Engine.AuditState(ctx)
			return &body[*api.AuditState]{out}, err
		})
	register(s, op{method: http.MethodGet, path: "/v1/audit/held", id: "auditHeld", tag: "audit", text: "What other nodes hold of this node's audit log", action: "verify", object: "audit"},
		func(ctx context.Context, k *call, _ *none) (*body[*api.AuditHeld], error) {
			out, err := s.opts.Engine.AuditHeld(s.as(ctx, k))
			return &body[*api.AuditHeld]{out}, err
		})
	register(s, op{method: http.MethodGet, path: "/v1/audit/verify", id: "auditVerify", tag: "audit", text: "Verify that the audit log of this node is whole, against what other nodes signed", action: "verify", object: "audit"},
		func(ctx context.Context, k *call, _ *none) (*body[*api.AuditVerdict], error) {
			if err := s.opts.Door.Record(ctx, k.subject, "verify", "audit"); err != nil {
				return nil, err
			}
			out, err := s.opts.Engine.AuditVerify(s.as(ctx, k))
			return &body[*api.AuditVerdict]{out}, err
		})
	register(s, op{method: http.MethodGet, path: "/v1/audit/verify/cluster", id: "auditVerifyCluster", tag: "audit", text: "Verify that the audit logs of all nodes are whole, and compare them with what the nodes signed of each other's", action: "verify", object: "audit"},
		func(ctx context.Context, k *call, _ *none) (*body[*api.AuditClusterVerdict], error) {
			if err := s.opts.Door.Record(ctx, k.subject, "verify", "audit"); err != nil {
				return nil, err
			}
			out, err := s.opts.Engine.AuditCluster(s.as(ctx, k))
			return &body[*api.AuditClusterVerdict]{out}, err
		})
	register(s, op{method: http.MethodPost, path: "/v1/audit/rotate-key", id: "auditRotateKey", tag: "audit", text: "Replace the key that signs the audit log of this node"},
		func(ctx context.Context, k *call, in *struct{ Body api.AuditKeyRequest }) (*body[*api.AuditKey], error) {
			if err := s.opts.Door.Require(ctx, k.subject, "update", "audit-key/"+s.opts.Node()); err != nil {
				return nil, err
			}
			out, err := s.opts.Engine.RotateAuditKey(s.as(ctx, k), &in.Body)
			return &body[*api.AuditKey]{out}, err
		})
	// The export is passed on as it comes, so it is no operation of huma's.
	s.echo.GET("/v1/audit/export", s.guarded("export", "audit", s.auditExport))
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "auditExport", Method: http.MethodGet, Path: "/v1/audit/export", Tags: []string{"audit"}, Summary: "Export the audit log of this node",
		Description: "Needs the right to `export` `audit`. Takes the filters of `/v1/audit`, and `format`: json (with what verifies it), csv, cef or cadf.",
		Parameters:  exportParameters(),
		Responses:   map[string]*huma.Response{"200": {Description: "the export"}, "default": {Description: "a problem"}},
	})
}

func exportParameters() []*huma.Param {
	out := []*huma.Param{{Name: "format", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"json", "csv", "cef", "cadf"}}}}
	for _, name := range []string{"user", "action", "object", "result", "phase", "via", "requestId", "changeRef", "from", "to"} {
		out = append(out, &huma.Param{Name: name, In: "query", Schema: &huma.Schema{Type: huma.TypeString}})
	}
	return out
}
