package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Callers at a time. Anybody may connect to the socket; who has no right to change
// the cluster gets a part of the places only, so that nobody keeps root and the
// agents out.
const (
	connectionsMax = 256
	strangersMax   = 64
)

// serveSocket answers on the unix socket until ctx ends.
func (d *Daemon) serveSocket(ctx context.Context) error {
	if err := os.Remove(d.opts.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("listen on %s: %w", d.opts.Socket, err)
	}
	lc := net.ListenConfig{}
	ln, err := lc.Listen(ctx, "unix", d.opts.Socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", d.opts.Socket, err)
	}
	// Anybody may connect; who it is decides what is answered.
	if err := os.Chmod(d.opts.Socket, 0o666); err != nil { //nolint:gosec // peer credentials decide, not the mode
		return fmt.Errorf("listen on %s: %w", d.opts.Socket, err)
	}
	srv := &http.Server{
		Handler: http.MaxBytesHandler(d.routes(), api.BodyMaxBytes), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			actor, err := d.peer(c)
			if err != nil {
				d.log.Warn("a caller of the socket is not known", "err", err)
			}
			return context.WithValue(ctx, actorKey{}, actor)
		},
	}
	d.work.Go(func() {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close()
		}
	})
	d.work.Go(func() {
		if err := srv.Serve(limit(d.guard(ln), connectionsMax)); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("the socket is no longer served", "err", err)
		}
	})
	return nil
}

// handler is one path of the API.
type handler func(ctx context.Context, c *caller, r *http.Request) (any, error)

// routes is the table of the socket API; see package api for what each does.
func (d *Daemon) routes() http.Handler {
	mux := http.NewServeMux()
	read := func(pattern string, h handler) { mux.Handle(pattern, d.wrap(false, h)) }
	write := func(pattern string, h handler) { mux.Handle(pattern, d.wrap(true, h)) }
	read("GET /v1/status", d.withEngine(getStatus))
	read("GET /v1/snapshot", d.withEngine(getSnapshot))
	read("GET /v1/config", d.withEngine(getConfig))
	read("GET /v1/history", d.withEngine(getHistory))
	read("GET /v1/history/{n}", d.withEngine(getGeneration))
	read("GET /v1/explain/resource/{id}", d.withEngine(explain))
	read("GET /v1/plan", d.withEngine(getPlan))
	read("GET /v1/agents", d.withEngine(listAgents))
	read("GET /v1/agents/{id...}", d.withEngine(getAgent))
	read("GET /v1/local", d.getLocal)
	read("GET /v1/attribute/{node}/{name}", d.withEngine(getAttribute))
	mux.Handle("GET /v1/watch", d.stream(watchStatus))
	mux.Handle("GET /v1/events", d.stream(watchEvents))
	read("GET /v1/audit", d.withEngine(getAudit))
	read("GET /v1/audit/state", d.withEngine(getAuditState))
	read("GET /v1/audit/held", d.withEngine(getAuditHeld))
	read("GET /v1/audit/verify", d.withEngine(getAuditVerify))
	read("GET /v1/audit/verify/cluster", d.withEngine(getAuditCluster))
	write("POST /v1/audit/rotate-key", d.withEngine(postAuditKey))
	mux.Handle("GET /v1/audit/export", d.serveAuditExport())
	write("POST /v1/change", d.withEngine(postChange))
	write("POST /v1/attribute", d.withEngine(postAttribute))
	mux.Handle("POST "+shim.Path, d.serveShims())
	write("POST /v1/token", d.withEngine(postToken))
	write("POST /v1/backup", d.withEngine(postBackup))
	write("POST /v1/log", d.postLog)
	write("POST /v1/cluster/init", d.postInit)
	write("POST /v1/cluster/join", d.postJoin)
	mux.Handle("GET /v1/documents", d.wrap(true, d.withEngine(getDocuments)))
	mux.Handle("GET /v1/documents/watch", d.streamTo(true, watchDocuments))
	write("POST /v1/documents", d.withEngine(postDocuments))
	mux.Handle("GET /v1/snmp", d.wrap(true, d.withEngine(getSNMP)))
	mux.Handle("GET /v1/notifiers", d.wrap(true, d.withEngine(getNotifiers)))
	mux.Handle("GET /v1/cim", d.wrap(true, d.withEngine(getCIM)))
	write("POST /v1/note", d.withEngine(postNote))
	write("POST /v1/certificate", d.withEngine(postCertificate))
	return mux
}

// withEngine passes a request on to the engine of the cluster that this node is
// in.
func (d *Daemon) withEngine(h func(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error)) handler {
	return func(ctx context.Context, c *caller, r *http.Request) (any, error) {
		e, err := d.running()
		if err != nil {
			return nil, err
		}
		return h(ctx, e, c, r)
	}
}

// running returns the engine, or why there is none.
func (d *Daemon) running() (*engine, error) {
	if e := d.engine.Load(); e != nil {
		return e, nil
	}
	if p := d.refuse.Load(); p != nil {
		return nil, p
	}
	if l := d.left.Load(); l != nil {
		p := api.NewProblem(api.CodeNotRunning, "node "+l.Node+" was drained and has left the cluster")
		p.Remedy = "systemctl restart belayd brings it back."
		return nil, p
	}
	return nil, api.NewProblem(api.CodeNoCluster, "this node is in no cluster")
}

// unhurried lifts the limit on the time in which a request must have been read:
// after it, net/http would end the context of a handler that still works.
func unhurried(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a connection that is gone is noticed anyway
}

// wrap checks the caller, answers in JSON and turns errors into problems.
func (d *Daemon) wrap(write bool, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := allowed(r, write)
		if err == nil {
			c, err = c.named(r.Header.Get(api.ActorHeader))
		}
		var v any
		if err == nil && write {
			// Whole, before the handler waits for anything.
			var b []byte
			b, err = io.ReadAll(r.Body)
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				err = api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the request has more than %d bytes", api.BodyMaxBytes))
			} else if err != nil {
				err = api.NewProblem(api.CodeBadRequest, err.Error())
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
		if err == nil {
			unhurried(w)
			v, err = h(r.Context(), c, r)
		}
		if err != nil {
			d.fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			d.log.Debug("an answer was not taken", "path", r.URL.Path, "err", err)
		}
	})
}

func (d *Daemon) fail(w http.ResponseWriter, err error) {
	p := problem(err)
	if p.Code == api.CodeDefect {
		d.log.Error("a request ended with a defect", "err", err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// body reads a request's body strictly: what is not known would not happen.
func body(r *http.Request, v any) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the request has more than %d bytes", api.BodyMaxBytes))
		}
		return api.NewProblem(api.CodeBadRequest, err.Error())
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return api.NewProblem(api.CodeBadRequest, "body: "+err.Error())
	}
	if dec.More() {
		return api.NewProblem(api.CodeBadRequest, "body: something stands after the request")
	}
	return nil
}

// strictJSON reads the value of a change.
func strictJSON(value json.RawMessage, v any) error {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return api.NewProblem(api.CodeBadRequest, "value: "+err.Error())
	}
	return nil
}

// current returns the newest snapshot.
func (e *engine) current() (*cib.Snapshot, error) {
	if s := e.snap.Load(); s != nil {
		return s, nil
	}
	return nil, api.NewProblem(api.CodeStore, "this node has not read the cluster's state yet")
}

func postChange(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	var ch api.Change
	if err := body(r, &ch); err != nil {
		return nil, err
	}
	actor := c.Actor
	if ch.Actor != nil {
		if !c.names {
			return nil, api.NewProblem(api.CodeForbidden, "only the management daemon may name another actor")
		}
		actor = *ch.Actor
	}
	return e.change(ctx, actor, &ch)
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (d *Daemon) postLog(_ context.Context, c *caller, r *http.Request) (any, error) {
	var l api.LogLevel
	if err := body(r, &l); err != nil {
		return nil, err
	}
	set := func() error {
		if err := d.opts.Level.UnmarshalText([]byte(l.Level)); err != nil {
			return api.NewProblem(api.CodeBadRequest, "a log level is debug, info, warn or error")
		}
		return nil
	}
	var err error
	if e := d.engine.Load(); e != nil { // before there is a cluster there is no audit log
		err = e.audited(c.Actor, "log-level", "node/"+e.local.Node, &l, set)
	} else {
		err = set()
	}
	if err != nil {
		return nil, err
	}
	d.log.Info("the log level was set", "to", l.Level, "by", c.User)
	return l, nil
}
