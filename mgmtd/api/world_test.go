package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/change"
	"github.com/belay-ha/belay/mgmtd/view"
)

// fakeEngine is an engine that keeps documents, remembers changes and simulates an
// edit as one changed resource.
type fakeEngine struct {
	mu        sync.Mutex
	config    api.Config
	summary   status.Summary
	docs      map[string]api.Document
	revision  int64
	changes   []api.Change // not dry runs
	notes     []api.Note
	recorded  []api.DocumentChange // with an action
	fail      error                // of everything that needs the store
	states    chan *status.Summary
	ended     *api.Problem // what is said once states is closed
	events    chan *cib.Event
	documents chan struct{} // one for each change
	inits     []api.Init
}

func newFakeEngine(resources int) *fakeEngine {
	e := &fakeEngine{docs: map[string]api.Document{}, states: make(chan *status.Summary, 16), events: make(chan *cib.Event, 64), documents: make(chan struct{}, 1000)}
	c := cib.Empty().Config
	c.Cluster.Name = "test"
	c.Nodes = map[string]*cib.Node{"n1": {ID: 1, Addresses: []string{"192.0.2.1"}, Voter: true}}
	c.RoleBindings = cib.DefaultBindings()
	c.Resources["web"] = &cib.Resource{Agent: "belay:dummy"}
	e.config = api.Config{Generation: 7, Config: c}
	e.summary = status.Summary{Revision: 100, Time: time.Now(), Cluster: status.Cluster{Name: "test", Generation: 7, State: status.ClusterNormal}}
	e.summary.Nodes = []status.Node{{Name: "n1", State: status.NodeOnline, Admin: status.AdminOnline, Role: status.RoleMember, Health: status.HealthGreen, Fence: status.FenceReadinessReady}}
	for i := range resources {
		id := "web"
		if i > 0 {
			id = "r" + strings.Repeat("0", 4-len(itoa(i))) + itoa(i)
		}
		e.summary.Resources = append(e.summary.Resources, status.Resource{
			ID: id, Kind: cib.KindPrimitive, Agent: "belay:dummy", State: status.ResourceRunning, Wanted: cib.RoleStarted, Managed: true, Nodes: []string{"n1"}, Active: 1, Expected: 1,
		})
	}
	return e
}

func itoa(i int) string {
	b, _ := json.Marshal(i)
	return string(b)
}

// Watch sends the state, and each that the test gives.
func (e *fakeEngine) Watch(ctx context.Context, f func(*status.Summary) error) error {
	e.mu.Lock()
	s := e.summary
	e.mu.Unlock()
	for {
		fresh := s
		if err := f(&fresh); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case next, ok := <-e.states:
			if !ok {
				return cmp.Or(e.ended, api.NewProblem(api.CodeNotRunning, "the engine is gone"))
			}
			s = *next
		}
	}
}

// Events sends what the test gives.
func (e *fakeEngine) Events(ctx context.Context, _ uint64, _ bool, f func(*cib.Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev := <-e.events:
			if err := f(ev); err != nil {
				return err
			}
		}
	}
}

// Config returns the configuration.
func (e *fakeEngine) Config(context.Context) (*api.Config, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.config
	return &c, nil
}

// WatchDocuments sends the documents at each change.
func (e *fakeEngine) WatchDocuments(ctx context.Context, f func(*api.Documents) error) error {
	for {
		e.mu.Lock()
		d := &api.Documents{Revision: e.revision}
		for _, doc := range e.docs {
			d.Documents = append(d.Documents, doc)
		}
		e.mu.Unlock()
		if err := f(d); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.documents:
		}
	}
}

// ChangeDocuments compares and changes.
func (e *fakeEngine) ChangeDocuments(_ context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return nil, e.fail
	}
	for _, i := range ch.If {
		if e.docs[i.Name].Rev != i.Rev {
			return nil, api.NewProblem(api.CodeConflict, "somebody else changed it")
		}
	}
	e.revision++
	for _, d := range ch.Put {
		d.Rev = e.revision
		e.docs[d.Name] = d
	}
	for _, name := range ch.Delete {
		delete(e.docs, name)
	}
	if ch.Action != "" {
		e.recorded = append(e.recorded, *ch)
	}
	e.documents <- struct{}{}
	return &api.DocumentsChanged{Revision: e.revision}, nil
}

// Note remembers.
func (e *fakeEngine) Note(_ context.Context, n *api.Note) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, *n)
	return nil
}

// Change simulates or makes a change.
func (e *fakeEngine) Change(_ context.Context, ch *api.Change) (*api.ChangeResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return nil, e.fail
	}
	if ch.ExpectedGeneration != 0 && ch.ExpectedGeneration != e.config.Generation {
		return nil, api.NewProblem(api.CodeConflict, "the configuration is at another generation")
	}
	out := &api.ChangeResult{Generation: e.config.Generation, RequestID: ch.RequestID, PlanToken: "plan"}
	if slices.Contains([]api.Action{api.ActionCreate, api.ActionUpdate, api.ActionPatch, api.ActionDelete, api.ActionApply}, ch.Action) {
		object := ch.Object
		if object == "cluster" {
			object = "resource/web"
		}
		out.Generation++
		out.Changes = []cib.Changed{{Key: cib.KeyConfig + object, Before: json.RawMessage(`{}`), After: json.RawMessage(`{}`)}}
	}
	if !ch.DryRun {
		e.changes = append(e.changes, *ch)
		e.config.Generation = out.Generation
	}
	return out, nil
}

func (e *fakeEngine) made() []api.Change {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.changes)
}

func (e *fakeEngine) noted() []api.Note {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.notes)
}

func (e *fakeEngine) Snapshot(context.Context) (*cib.Snapshot, error) {
	s := cib.Empty()
	s.Config = e.config.Config.Clone()
	now := time.Now()
	s.Status.Quorum = cib.QuorumHeld
	s.Status.View = &cib.View{Number: 1, Formed: now, Members: []cib.ViewMember{{Node: "n1", Incarnation: 1, BootID: "b"}}}
	s.Status.Members = map[string]*cib.Member{"n1": {Incarnation: 1, BootID: "b"}}
	s.Status.Nodes = map[string]*cib.NodeStatus{"n1": {State: cib.NodeOnline, BootID: "b", Since: now}}
	return s, nil
}

func (e *fakeEngine) History(context.Context) ([]api.GenerationInfo, error) {
	return []api.GenerationInfo{{Generation: 7}}, nil
}

func (e *fakeEngine) Generation(_ context.Context, n uint64) (*cib.GenerationRecord, error) {
	return &cib.GenerationRecord{Generation: n}, nil
}

func (e *fakeEngine) Explain(_ context.Context, id string) (*graph.Explanation, error) {
	if id != "web" {
		return nil, api.NewProblem(api.CodeNotFound, "there is no resource "+id)
	}
	return &graph.Explanation{Resource: id}, nil
}

func (e *fakeEngine) Plan(context.Context) (*api.PlanSummary, error) {
	return &api.PlanSummary{Steps: []api.Step{}}, nil
}

func (e *fakeEngine) Agents(context.Context) ([]string, error) { return []string{"belay:dummy"}, nil }

func (e *fakeEngine) Agent(_ context.Context, id string) (json.RawMessage, error) {
	if id != "ocf:heartbeat:IPaddr2" {
		return nil, api.NewProblem(api.CodeNotFound, "agent "+id+" is not installed")
	}
	return json.RawMessage(`{"name":"IPaddr2"}`), nil
}

func (e *fakeEngine) Local(context.Context) (*api.Local, error) { return &api.Local{Node: "n1"}, nil }

func (e *fakeEngine) Attribute(_ context.Context, node, name string) (*api.Attribute, error) {
	return &api.Attribute{Node: node, Name: name, Value: "1"}, nil
}

func (e *fakeEngine) SetAttribute(context.Context, *api.Attribute) error { return nil }

func (e *fakeEngine) Token(context.Context, *api.TokenRequest) (*api.Token, error) {
	return &api.Token{Token: "t"}, nil
}

func (e *fakeEngine) Backup(context.Context, *api.BackupRequest) (*api.Backup, error) {
	return &api.Backup{File: "f"}, nil
}

func (e *fakeEngine) Audit(context.Context, *api.AuditQuery) (*api.AuditPage, error) {
	return &api.AuditPage{Node: "n1"}, nil
}

func (e *fakeEngine) AuditState(context.Context) (*api.AuditState, error) {
	return &api.AuditState{Node: "n1"}, nil
}

func (e *fakeEngine) AuditVerify(context.Context) (*api.AuditVerdict, error) {
	return &api.AuditVerdict{Node: "n1", Whole: true, Records: 3}, nil
}

func (e *fakeEngine) AuditCluster(context.Context) (*api.AuditClusterVerdict, error) {
	return &api.AuditClusterVerdict{By: "n1", Whole: true, Complete: true, Nodes: []api.AuditNodeVerdict{}}, nil
}

func (e *fakeEngine) RotateAuditKey(context.Context, *api.AuditKeyRequest) (*api.AuditKey, error) {
	return &api.AuditKey{Node: "n1", Key: "new"}, nil
}

func (e *fakeEngine) AuditExport(_ context.Context, q *api.AuditQuery, format string, begun func(string), w io.Writer) error {
	if format == "odd" {
		return api.NewProblem(api.CodeBadRequest, "format")
	}
	begun("text/" + format)
	_, err := io.WriteString(w, "records of "+q.User)
	return err
}

func (e *fakeEngine) AuditHeld(context.Context) (*api.AuditHeld, error) {
	return &api.AuditHeld{Node: "n1"}, nil
}

func (e *fakeEngine) SetLogLevel(context.Context, string) error { return nil }

func (e *fakeEngine) Init(_ context.Context, in *api.Init) (*api.Joined, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inits = append(e.inits, *in)
	if in.Code != "right" {
		return nil, api.NewProblem(api.CodeSetup, "wrong code")
	}
	return &api.Joined{Cluster: in.Cluster, Node: "n1"}, nil
}

func (e *fakeEngine) Join(context.Context, *api.Join) (*api.Joined, error) {
	return nil, api.NewProblem(api.CodeSetup, "wrong code")
}

// fakePasswords knows a user of each role; the password is "right", or "code" where a
// code is to be asked for.
type fakePasswords struct{}

func (fakePasswords) Ask(_ context.Context, r auth.HelperRequest) (*auth.HelperAnswer, error) {
	roles := []string{cib.RoleViewer, cib.RoleOperator, cib.RoleAdmin, cib.RoleAuditor, cib.RoleSecurityAdmin, "admin2", "nobody"}
	switch {
	case r.User == "broken":
		return nil, errors.New("no helper")
	case r.Interactive && slices.Contains(roles, r.User) && r.Password == "code":
		return &auth.HelperAnswer{Questions: []auth.Question{{Text: "Code: ", Hidden: true}}, More: codeWanted{r.User}}, nil
	case !slices.Contains(roles, r.User) || r.Op == auth.HelperCheck && r.Password != "right":
		return &auth.HelperAnswer{Result: auth.ResultDenied}, nil
	}
	group := "belay-" + strings.TrimSuffix(r.User, "2")
	return &auth.HelperAnswer{OK: true, User: r.User, Groups: []string{group}}, nil
}

// codeWanted waits for the code 42.
type codeWanted struct{ user string }

func (c codeWanted) Reply(ctx context.Context, answers []string) (*auth.HelperAnswer, error) {
	if answers[0] != "42" {
		return &auth.HelperAnswer{Result: auth.ResultDenied}, nil
	}
	return fakePasswords{}.Ask(ctx, auth.HelperRequest{Op: auth.HelperGroups, User: c.user})
}

func (codeWanted) Close() error { return nil }

// world is a server with all that belongs to it but a cluster.
type world struct {
	*Server
	t      testing.TB
	engine *fakeEngine
	auth   *auth.Authenticator
	view   *view.Holder
	door   *change.Door
}

func newWorld(t testing.TB, resources int, set ...func(*Options)) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	w := &world{t: t, engine: newFakeEngine(resources)}
	w.view = view.New(w.engine, log)
	w.door = change.New(w.engine, log)
	w.auth = auth.New(auth.Options{Node: func() string { return "n1" }, Fail: 10 * time.Millisecond, Log: log, Roles: w.door.Roles}, w.engine, fakePasswords{})
	w.view.OnConfig(w.door.SetConfig)
	w.view.OnDocuments(w.auth.Update)
	w.view.OnDocuments(w.door.Update)
	o := Options{Version: "test", Node: func() string { return "n1" }, Log: log, View: w.view, Auth: w.auth, Door: w.door, Engine: w.engine}
	for _, f := range set {
		f(&o)
	}
	w.Server = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.view.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.await("the state is known", func() bool { return w.view.Current().Known() })
	return w
}

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within 10 s", what)
		}
		next := w.view.Next()
		select {
		case <-next:
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// request is one request; header are pairs.
func (w *world) request(method, path, token, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	var r io.Reader
	if body != "" {
		r = bytes.NewBufferString(body)
	}
	req := httptest.NewRequestWithContext(w.t.Context(), method, "https://n1:7443"+path, r)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	return rec
}

// login begins a session and returns its token.
func (w *world) login(user string) string {
	w.t.Helper()
	rec := w.request(http.MethodPost, "/v1/session", "", `{"user":"`+user+`","password":"right"}`)
	var a sessionAnswer
	if rec.Code != http.StatusCreated || json.Unmarshal(rec.Body.Bytes(), &a) != nil || a.Token == "" {
		w.t.Fatalf("log-in of %s: %d %s", user, rec.Code, rec.Body)
	}
	return a.Token
}

// want fails unless an answer has a status and, for problems, a code.
func (w *world) want(rec *httptest.ResponseRecorder, status int, code string) *Problem {
	w.t.Helper()
	if rec.Code != status {
		w.t.Fatalf("status %d, not %d: %s", rec.Code, status, rec.Body)
	}
	if code == "" {
		return nil
	}
	p := &Problem{}
	if err := json.Unmarshal(rec.Body.Bytes(), p); err != nil || p.Problem == nil || p.Code != code || rec.Header().Get("Content-Type") != "application/problem+json" || p.Request == "" {
		w.t.Fatalf("not the problem %s: %s %s", code, rec.Header().Get("Content-Type"), rec.Body)
	}
	return p
}

func decodeTo[T any](t testing.TB, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, rec.Body)
	}
	return v
}
