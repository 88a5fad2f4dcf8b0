package daemon

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/policy"
	"github.com/belay-ha/belay/engine/quorum"
	"github.com/belay-ha/belay/engine/status"
)

// Callers at a time. Anybody may connect to the socket; who has no right to change
// the cluster gets a part of the places only, so that nobody keeps root and the
// agents out.
const (
	connectionsMax = 256
	strangersMax   = 64
)

// ruleBreakGlass is what allows what root does at the socket: it needs no role, and
// all of it is recorded.
const ruleBreakGlass = "break-glass"

// actorKey is the context key of the caller.
type actorKey struct{}

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

// peer finds out who is at the other end of the socket: the kernel tells, not the
// caller.
func (d *Daemon) peer(c net.Conn) (*caller, error) {
	cred, err := credentials(c)
	if err != nil {
		return nil, err
	}
	p := &caller{Actor: api.Actor{User: strconv.Itoa(int(cred.Uid)), UID: cred.Uid, Via: "socket"}}
	u, err := user.LookupId(p.User)
	member := false
	if err == nil {
		p.User = u.Username
		if ids, err := u.GroupIds(); err == nil && d.gid != "" {
			member = slices.Contains(ids, d.gid)
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", cred.Pid)); err == nil {
		if id := strings.TrimSpace(string(b)); id != "4294967295" {
			p.LoginUID = id
			if lu, err := user.LookupId(id); err == nil {
				p.LoginUID = lu.Username
			}
		}
	}
	p.allow(uint32(os.Getuid()), d.opts.MgmtUID, member)
	if p.UID == 0 {
		p.Rule = ruleBreakGlass
	}
	return p, nil
}

// credentials asks the kernel who is at the other end of a connection.
func credentials(c net.Conn) (*unix.Ucred, error) {
	if l, wrapped := c.(*limited); wrapped {
		return credentials(l.Conn)
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return nil, fmt.Errorf("peer credentials: %w", errors.Join(err, cerr))
	}
	return cred, nil
}

// allow says what the caller may do, from who it is: own is the engine's user,
// management the management daemon's or 0, member whether it is in the group belay.
func (c *caller) allow(own, management uint32, member bool) {
	c.names = c.UID == 0 || c.UID == own || management != 0 && c.UID == management
	c.writes = c.names
	c.reads = c.writes || member
}

// caller is who asks and what they may do at the socket: root and the engine's own
// user everything, the group belay to read; only root and the management daemon
// may name another actor.
type caller struct {
	api.Actor
	reads, writes, names bool
	behalf               bool // it speaks for somebody else, whom it has named
}

// named returns who is meant where the caller names another actor.
func (c *caller) named(header string) (*caller, error) {
	if header == "" {
		return c, nil
	}
	if !c.names {
		return nil, api.NewProblem(api.CodeForbidden, "only the management daemon may name another actor")
	}
	out := *c
	b, err := base64.StdEncoding.DecodeString(header)
	if err == nil {
		out.Actor = api.Actor{}
		err = json.Unmarshal(b, &out.Actor)
	}
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, api.ActorHeader+": "+err.Error())
	}
	out.behalf = true
	return &out, nil
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

func allowed(r *http.Request, write bool) (*caller, error) {
	c, _ := r.Context().Value(actorKey{}).(*caller)
	switch {
	case c == nil:
		return nil, api.NewProblem(api.CodeForbidden, "it is not known who asks")
	case write && !c.writes:
		return nil, api.NewProblem(api.CodeForbidden, fmt.Sprintf("user %s may not change the cluster at this socket", c.User))
	case !c.reads:
		return nil, api.NewProblem(api.CodeForbidden, fmt.Sprintf("user %s is not in the group belay", c.User))
	}
	return c, nil
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

func getStatus(ctx context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return e.summary(ctx, s), nil
}

// summary is the cluster as this node sees it: a node that lost quorum has an old
// snapshot, which shows a quorum that was.
func (e *engine) summary(ctx context.Context, s *cib.Snapshot) *status.Summary {
	return status.SummarizeFor(s, time.Now(), e.observe(ctx))
}

// observe asks the node what it knows by itself.
func (e *engine) observe(ctx context.Context) *status.Observer {
	o := &status.Observer{Node: e.local.Node, StoreOK: e.storeErr.Load() == nil}
	if t := e.store.LastContact(); !t.IsZero() {
		o.SnapshotAge = time.Since(t)
	}
	if err := e.ask(ctx, func(n *node.Node) {
		q := n.Quorum()
		o.Quorate, o.Reason, o.Valid = n.QuorumShown(), q.Reason, n.Valid()
		o.Devices = tieBreakers(&q, n.Arbitration())
	}); err != nil {
		return nil
	}
	return o
}

// tieBreakers is what this node knows of its tie-breakers.
func tieBreakers(q *quorum.Result, a node.Arbitration) []status.QuorumDevice {
	var out []status.QuorumDevice
	for _, said := range a.Said {
		d := status.QuorumDevice{ID: said.Device, Failed: said.Failed}
		for _, m := range q.Modules {
			if m.ID == said.Device {
				d.Asked, d.Answer, d.Reason = true, m.Answer, m.Reason
			}
		}
		out = append(out, d)
	}
	return out
}

func getSnapshot(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	out := *s
	out.Config = cib.Redact(s.Config, nil)
	return &out, nil
}

func getConfig(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return api.Config{Generation: s.ConfigGen.Number, Config: cib.Redact(s.Config, nil)}, nil
}

func getHistory(ctx context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	kvs, err := e.list(ctx, cib.KeyConfigHistory)
	if err != nil {
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	out := []api.GenerationInfo{}
	for _, kv := range kvs {
		var r cib.GenerationRecord
		if err := json.Unmarshal(kv.Value, &r); err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		info := api.GenerationInfo{Generation: r.Generation, Time: r.Time, Actor: r.Actor, Action: r.Action, Object: r.Object, Keys: []string{}}
		for _, c := range r.Changes {
			info.Keys = append(info.Keys, strings.TrimPrefix(c.Key, cib.KeyConfig))
		}
		out = append(out, info)
	}
	return out, nil
}

func getGeneration(ctx context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 64)
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, "a generation is a number")
	}
	var rec cib.GenerationRecord
	if err := e.getDocument(ctx, generationKey(n), &rec); err != nil {
		if errors.Is(err, cib.ErrNotFound) {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("generation %d is not kept", n))
		}
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	rec.Changes = cib.RedactChanges(rec.Changes, nil)
	return &rec, nil
}

func explain(_ context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	x, err := policy.Explain(s, r.PathValue("id"), time.Now().UTC())
	if err != nil {
		return nil, api.NewProblem(api.CodeNotFound, err.Error())
	}
	return x, nil
}

func getPlan(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return simulate(s, s.Config), nil
}

func listAgents(ctx context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	out := []string{}
	for _, id := range e.agents.List(ctx) {
		out = append(out, id.String())
	}
	for _, name := range e.agents.ListFence() {
		out = append(out, "fence:"+name)
	}
	return out, nil
}

func getAgent(ctx context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	name, fence := strings.CutPrefix(r.PathValue("id"), "fence:")
	m, err := e.metadata(ctx, name, fence)
	if err != nil {
		if errors.Is(err, agent.ErrNotInstalled) {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("agent %s is not installed on %s", name, e.local.Node))
		}
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	return m, nil
}

func (d *Daemon) getLocal(ctx context.Context, _ *caller, _ *http.Request) (any, error) {
	out := &api.Local{Version: d.opts.Version, BootID: d.bootID, LogLevel: d.opts.Level.Level().String()}
	e := d.engine.Load()
	if l := d.left.Load(); e == nil && l != nil {
		out.Node, out.Cluster, out.Left = l.Node, l.Cluster, true
	}
	if e == nil {
		return out, nil
	}
	out.Node, out.Cluster, out.Incarnation = e.local.Node, e.local.Cluster, e.setup.Incarnation
	if s := e.snap.Load(); s != nil {
		out.Revision = s.Revision
		if s.Status.DC != nil {
			out.DC = s.Status.DC.Node
		}
	}
	out.StoreOK = e.storeErr.Load() == nil
	if t := e.store.LastContact(); !t.IsZero() {
		out.SnapshotAge = time.Since(t)
	}
	err := e.ask(ctx, func(n *node.Node) {
		now := e.clock.now()
		q := n.Quorum()
		out.Quorate, out.Quorum = q.Quorate, q.Reason
		out.Valid = n.Valid()
		out.ValidFor = max(0, n.ValidUntil().Sub(now))
		for _, m := range n.Alive(now) {
			out.Alive = append(out.Alive, m.Node)
		}
	})
	return out, err
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

// stream serves lines of JSON until the caller goes.
func (d *Daemon) stream(h streamer) http.Handler { return d.streamTo(false, h) }

// streamer sends one line after the other until ctx ends.
type streamer func(ctx context.Context, e *engine, r *http.Request, send func(any) error) error

// streamTo is stream, with writers for those only who may change the cluster.
func (d *Daemon) streamTo(writers bool, h streamer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := allowed(r, writers)
		var e *engine
		if err == nil {
			e, err = d.running()
		}
		if err != nil {
			d.fail(w, err)
			return
		}
		unhurried(w)
		w.Header().Set("Content-Type", "application/x-ndjson")
		rc := http.NewResponseController(w)
		enc := json.NewEncoder(w)
		err = h(r.Context(), e, r, func(v any) error {
			if err := enc.Encode(v); err != nil {
				return err
			}
			return rc.Flush()
		})
		if err != nil && r.Context().Err() == nil {
			d.log.Debug("a stream ended", "path", r.URL.Path, "err", err)
		}
	})
}

// watchPause is the least time between two lines of a stream of states: bursts are
// one line.
const watchPause = 100 * time.Millisecond

func watchStatus(ctx context.Context, e *engine, _ *http.Request, send func(any) error) error {
	var last int64 = -1
	var quorum string
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil {
			// Losing quorum changes what this node says without a newer snapshot.
			o := e.observe(ctx)
			now := fmt.Sprint(o != nil && o.Quorate, o != nil && o.Valid, o != nil && o.StoreOK)
			if s.Revision != last || now != quorum {
				last, quorum = s.Revision, now
				if err := send(status.SummarizeFor(s, time.Now(), o)); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		case <-time.After(time.Second):
		}
	}
}

func watchEvents(ctx context.Context, e *engine, r *http.Request, send func(any) error) error {
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	follow := r.URL.Query().Get("follow") != ""
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil {
			for _, ev := range s.Status.Events {
				if ev.Seq <= after {
					continue
				}
				if err := send(ev); err != nil {
					return err
				}
				after = ev.Seq
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

// guard closes connections of those who may not change the cluster when they have
// their share of places already.
func (d *Daemon) guard(ln net.Listener) net.Listener {
	return &guarded{Listener: ln, slots: make(chan struct{}, strangersMax), trusted: func(c net.Conn) bool {
		cred, err := credentials(c)
		if err != nil {
			return false
		}
		who := &caller{Actor: api.Actor{UID: cred.Uid}}
		who.allow(uint32(os.Getuid()), d.opts.MgmtUID, false)
		return who.writes
	}}
}

type guarded struct {
	net.Listener
	slots   chan struct{}
	trusted func(net.Conn) bool
}

// Accept gives the next connection that has a place.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.trusted(c) {
			return c, err
		}
		select {
		case g.slots <- struct{}{}:
			return &limited{Conn: c, free: g.slots}, nil
		default:
			_ = c.Close()
		}
	}
}

// limit bounds the connections of a listener; more wait to be accepted.
func limit(ln net.Listener, n int) net.Listener {
	return &limiter{Listener: ln, slots: make(chan struct{}, n)}
}

type limiter struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a free slot.
func (l *limiter) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limited{Conn: c, free: l.slots}, nil
}

type limited struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

// Close frees the slot.
func (c *limited) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}
