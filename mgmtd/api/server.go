package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/change"
	"github.com/belay-ha/belay/mgmtd/job"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/transitions"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Engine is what the socket of the engine is asked for besides changes.
type Engine interface {
	Snapshot(ctx context.Context) (*cib.Snapshot, error)
	History(ctx context.Context) ([]api.GenerationInfo, error)
	Generation(ctx context.Context, n uint64) (*cib.GenerationRecord, error)
	Explain(ctx context.Context, resource string) (*graph.Explanation, error)
	Plan(ctx context.Context) (*api.PlanSummary, error)
	Agents(ctx context.Context) ([]string, error)
	Agent(ctx context.Context, id string) (json.RawMessage, error)
	Local(ctx context.Context) (*api.Local, error)
	Attribute(ctx context.Context, node, name string) (*api.Attribute, error)
	SetAttribute(ctx context.Context, a *api.Attribute) error
	Token(ctx context.Context, r *api.TokenRequest) (*api.Token, error)
	Backup(ctx context.Context, r *api.BackupRequest) (*api.Backup, error)
	SetLogLevel(ctx context.Context, level string) error
	Audit(ctx context.Context, q *api.AuditQuery) (*api.AuditPage, error)
	AuditState(ctx context.Context) (*api.AuditState, error)
	AuditHeld(ctx context.Context) (*api.AuditHeld, error)
	AuditVerify(ctx context.Context) (*api.AuditVerdict, error)
	AuditCluster(ctx context.Context) (*api.AuditClusterVerdict, error)
	RotateAuditKey(ctx context.Context, r *api.AuditKeyRequest) (*api.AuditKey, error)
	AuditExport(ctx context.Context, q *api.AuditQuery, format string, begun func(mediaType string), w io.Writer) error
	Init(ctx context.Context, r *api.Init) (*api.Joined, error)
	Join(ctx context.Context, r *api.Join) (*api.Joined, error)
}

// Options are what a server needs.
type Options struct {
	Version string
	Node    func() string // that answers
	Log     *slog.Logger
	View    *view.Holder
	Auth    *auth.Authenticator
	Door    *change.Door
	Engine  Engine
	Jobs    *job.Book // nil: one of its own
	// Transitions are those of the past; nil: nobody records them.
	Transitions *transitions.Recorder
	// Cursors are how far who is told of events is; nil: nobody knows.
	Cursors *outbox.Cursors
	// As lets the engine's socket record a request under the caller's name.
	As func(ctx context.Context, a *api.Actor) context.Context
	// GUI serves everything that is not of the API; nil: a small page of our own.
	GUI http.Handler
	// Rate is how many requests a second one caller may make; 0: any number.
	Rate float64
	// Streams is how many event streams may be open; default 2000.
	Streams int
	// HACluster adds the metrics under the names of ha_cluster_exporter.
	HACluster bool
	now       func() time.Time
}

// Server answers requests.
type Server struct {
	opts    Options
	echo    *echo.Echo
	huma    huma.API
	limits  *rates
	keys    *idempotency
	jobs    *job.Book
	metrics *metrics
	streams atomic.Int64
	cached  atomic.Pointer[encoded]
	docs    atomic.Pointer[documents]
	done    chan struct{} // closed by Stop: streams end
}

// bodyMaxBytes bounds the body of a request before anybody is asked who sends it.
const bodyMaxBytes = 1 << 20

// New makes a server.
func New(o Options) *Server {
	useOurProblems()
	if o.Streams == 0 {
		o.Streams = 2000
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.As == nil {
		o.As = func(ctx context.Context, _ *api.Actor) context.Context { return ctx }
	}
	if o.Transitions == nil {
		o.Transitions = &transitions.Recorder{}
	}
	if o.Cursors == nil {
		o.Cursors = &outbox.Cursors{}
	}
	if o.Jobs == nil {
		o.Jobs = job.New(o.View, o.Engine)
	}
	s := &Server{opts: o, echo: echo.New(), limits: newRates(o.Rate), keys: newIdempotency(), jobs: o.Jobs, metrics: newMetrics(), done: make(chan struct{})}
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.HTTPErrorHandler = s.handleError
	s.echo.Use(s.recoverPanics, s.measure, s.headers, decoded, s.identify, s.limit, s.readBody, s.compress, s.idempotent)
	s.huma = humaecho.New(s.echo, s.config())
	s.routes()
	return s
}

// decoded hands the handlers the parameters of a path as they are meant: clients may
// encode any character of a name, and echo hands encoded ones on as they came. An
// encoded slash stays a part of its name.
func decoded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().URL.RawPath == "" {
			return next(c)
		}
		values := slices.Clone(c.ParamValues())
		for i, v := range values {
			plain, err := url.PathUnescape(v)
			if err != nil {
				return fail(c, api.NewProblem(api.CodeBadRequest, "the path is not encoded as it should be"))
			}
			values[i] = plain
		}
		c.SetParamValues(values...)
		return next(c)
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Stop ends all streams.
func (s *Server) Stop() { close(s.done) }

func (s *Server) now() time.Time { return s.opts.now() }

func newID() string { return strings.ToLower(rand.Text()) }

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// config describes the API as a whole.
func (s *Server) config() huma.Config {
	c := huma.DefaultConfig("Belay", "1")
	c.Info.Description = "High availability for Linux services. Everything that the command line does on a cluster, this API does. docs/rest.md tells how."
	c.DocsPath, c.OpenAPIPath, c.SchemasPath = "", "", ""
	c.CreateHooks, c.Transformers = nil, nil
	c.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	c.DefaultFormat = "application/json"
	c.Components.Schemas = newRegistry()
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "a session's token of POST /v1/session, or an API token"},
		"cookie": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "a browser's session; changes need X-CSRF-Token, too"},
		"mtls":   {Type: "mutualTLS", Description: "a client certificate whose key is known to the cluster"},
	}
	c.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}, {"mtls": {}}}
	return c
}

// routes registers everything.
func (s *Server) routes() {
	s.sessionRoutes()
	s.readRoutes()
	s.listRoutes()
	s.streamRoutes()
	s.changeRoutes()
	s.actionRoutes()
	s.approvalRoutes()
	s.clusterRoutes()
	s.auditRoutes()
	s.whatifRoutes()
	s.timingRoutes()
	s.notificationRoutes()
	s.plainRoutes()
}

// op describes an operation and what it needs.
type op struct {
	method, path, id, tag, text string
	action, object              string // the right that is needed; object may name parameters of the path: "node/{name}"
	public                      bool   // nobody needs to have logged in
	status                      int    // of the answer; default 200 or 204
	describe                    func(*huma.Operation)
}

// register adds an operation. Without an action, who has logged in may call it, and
// the handler asks for what it needs.
func register[I, O any](s *Server, o op, h func(ctx context.Context, k *call, in *I) (*O, error)) {
	d := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.text, Tags: []string{o.tag}, DefaultStatus: o.status, MaxBodyBytes: bodyMaxBytes,
		BodyReadTimeout: -1, // readBody has read it; huma's limit would end the context of a handler that still works
	}
	if o.public {
		d.Security = []map[string][]string{}
	}
	if o.action != "" {
		d.Description = "Needs the right to `" + o.action + "` `" + o.object + "`."
	}
	if o.describe != nil {
		o.describe(&d)
	}
	d.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		if err := s.allow(ctx, &o); err != nil {
			p := problemOf(err)
			p.Request = requestID(ctx.Context())
			for name, values := range p.GetHeaders() {
				ctx.SetHeader(name, values[0])
			}
			ctx.SetHeader("Content-Type", "application/problem+json")
			ctx.SetStatus(p.Status)
			_ = json.NewEncoder(ctx.BodyWriter()).Encode(p)
			return
		}
		next(ctx)
	}}
	huma.Register(s.huma, d, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, callOf(ctx), in)
		if _, ok := errors.AsType[notModified](err); ok {
			return nil, err
		}
		if err != nil {
			p := problemOf(err)
			if p.Code == api.CodeDefect {
				s.opts.Log.Error("a request ended with a defect", "operation", o.id, "err", err)
			}
			p.Request = requestID(ctx)
			return nil, huma.ErrorWithHeaders(p, p.GetHeaders())
		}
		return out, nil
	})
}

// allow checks what every operation says that it needs.
func (s *Server) allow(ctx huma.Context, o *op) error {
	if o.public {
		return nil
	}
	who, err := callOf(ctx.Context()).who()
	if err != nil || o.action == "" {
		return err
	}
	object := o.object
	if before, rest, ok := strings.Cut(object, "{"); ok {
		name, after, _ := strings.Cut(rest, "}")
		object = before + ctx.Param(name) + after
	}
	return s.opts.Door.Require(ctx.Context(), who, o.action, object)
}
