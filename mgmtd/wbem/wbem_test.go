package wbem

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/change"
	"github.com/belay-ha/belay/mgmtd/job"
	"github.com/belay-ha/belay/mgmtd/view"
)

func testSchemas(t *testing.T) map[string]*object.Schema {
	t.Helper()
	files, err := os.ReadDir("../../cim/schema")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".mof") && f.Name() != "all.mof" {
			b, err := os.ReadFile("../../cim/schema/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	out := map[string]*object.Schema{}
	for _, ns := range []string{model.Root, model.Interop} {
		schemas, err := mof.Compile(fstest.MapFS{"t.mof": {Data: append([]byte("#pragma namespace(\""+ns+"\")\n"), all...)}}, "t.mof")
		if err != nil {
			t.Fatal(err)
		}
		out[ns] = schemas[0]
	}
	return out
}

// engine is an engine that edits a configuration and remembers who asked for what.
type engine struct {
	mu      sync.Mutex
	config  *cib.Config
	gen     uint64
	changes []api.Change // not dry runs
	notes   []api.Note
	steps   []api.Step
	states  chan struct{}
}

func (e *engine) summary() *status.Summary {
	s := cib.Empty()
	s.Config, s.ConfigGen.Number, s.Revision = e.config, e.gen, int64(e.gen)
	return status.Summarize(s, time.Unix(1000, 0))
}

func (e *engine) Watch(ctx context.Context, f func(*status.Summary) error) error {
	for {
		e.mu.Lock()
		s := e.summary()
		e.mu.Unlock()
		if err := f(s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.states:
		}
	}
}

func (e *engine) Events(ctx context.Context, _ uint64, _ bool, _ func(*cib.Event) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (e *engine) Config(context.Context) (*api.Config, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &api.Config{Generation: e.gen, Config: cib.Redact(e.config, nil)}, nil
}

func (e *engine) WatchDocuments(ctx context.Context, _ func(*api.Documents) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (e *engine) ChangeDocuments(context.Context, *api.DocumentChange) (*api.DocumentsChanged, error) {
	return &api.DocumentsChanged{}, nil
}

func (e *engine) Note(_ context.Context, n *api.Note) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, *n)
	return nil
}

func (e *engine) Audit(_ context.Context, q *api.AuditQuery) (*api.AuditPage, error) {
	if q.After > 0 {
		return &api.AuditPage{}, nil
	}
	return &api.AuditPage{Records: []json.RawMessage{json.RawMessage(`{"seq":1,"time":"2026-11-22T12:00:00Z","action":"stop"}`)}, Next: 1}, nil
}

func (e *engine) Token(_ context.Context, r *api.TokenRequest) (*api.Token, error) {
	return &api.Token{Token: "token for " + r.Node, Expires: time.Unix(2000, 0)}, nil
}

func (e *engine) Plan(context.Context) (*api.PlanSummary, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &api.PlanSummary{Steps: e.steps}, nil
}

func (e *engine) Change(_ context.Context, ch *api.Change) (*api.ChangeResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ch.ExpectedGeneration != 0 && ch.ExpectedGeneration != e.gen {
		return nil, api.NewProblem(api.CodeConflict, "the configuration is at another generation")
	}
	out := &api.ChangeResult{Generation: e.gen, RequestID: "r1", Plan: api.PlanSummary{Steps: e.steps}}
	if cib.Edits(string(ch.Action)) {
		after, err := cib.Edit(e.config, cib.EditRequest{Action: string(ch.Action), Object: ch.Object, Value: ch.Value, Merge: ch.Merge})
		if edit, ok := errors.AsType[*cib.EditError](err); ok {
			code := map[error]string{cib.ErrNotFound: api.CodeNotFound, cib.ErrExists: api.CodeExists, cib.ErrInUse: api.CodeInUse, cib.ErrInvalid: api.CodeInvalid, cib.ErrRequest: api.CodeBadRequest}[edit.Cause]
			return nil, api.NewProblem(code, edit.Error())
		}
		if out.Changes = cib.Diff(e.config, after); len(out.Changes) > 0 {
			out.Generation++
		}
		if !ch.DryRun {
			e.config, e.gen = after, out.Generation
		}
	}
	if !ch.DryRun {
		e.changes = append(e.changes, *ch)
		e.states <- struct{}{}
	}
	return out, nil
}

func newService(t *testing.T) (*Service, *engine) {
	t.Helper()
	c := cib.Empty().Config
	c.Cluster.Name = "prod"
	c.Nodes["n1"] = &cib.Node{ID: 1, Addresses: []string{"10.0.0.1"}, Voter: true}
	c.Resources["web"] = &cib.Resource{Agent: "belay:dummy", Parameters: map[string]string{"password": "hush"}}
	c.RoleBindings = cib.DefaultBindings()
	e := &engine{config: c, gen: 7, states: make(chan struct{}, 100)}
	log := slog.New(slog.DiscardHandler)
	holder := view.New(e, log)
	door := change.New(e, log)
	holder.OnConfig(door.SetConfig)
	s := New(Options{Version: "1.2.3", Node: func() string { return "n1" }, Schemas: testSchemas(t), View: holder, Door: door, Engine: e, Jobs: job.New(holder, e)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); holder.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	s.seen(t, 7)
	return s, e
}

// seen waits until the view shows a generation.
func (s *Service) seen(t *testing.T, generation uint64) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		next := s.opts.View.Next()
		if v := s.opts.View.Current(); v.Known() && v.Config.Generation >= generation {
			return
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("generation %d is not seen", generation)
		}
	}
}

func (s *Service) as(role string) *Session {
	return s.Session(&auth.Subject{User: role, Groups: []string{"belay-" + role}, Method: auth.ByPassword, Address: "192.0.2.9"})
}

func (s *Session) get(t *testing.T, p *object.Path) *object.Instance {
	t.Helper()
	source, err := s.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i, err := source.Get(p)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func code(err error) object.Code {
	if err == nil {
		return 0
	}
	return object.AsError(err).Code
}

// What is written over CIM is read over CIM and stands in the configuration that REST
// reads; what is changed there is seen over CIM. Each change has the caller's name, and
// how they came.
func TestWriteAndRead(t *testing.T) {
	s, e := newService(t)
	admin := s.as("admin")
	i := s.opts.Schemas[model.Root].MustClass("Belay_ResourceSetting").New(model.Root)
	i.Set("ResourceName", "db")
	i.Set("Agent", "belay:dummy")
	i.Set("Priority", 5)
	path, err := admin.Create(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	s.seen(t, 8)
	if got := admin.get(t, path); got.Get("Priority") != int32(5) || got.Get("ConfigGeneration") != uint64(8) {
		t.Errorf("%v", got.Get("Priority"))
	}
	doc := cib.Documents(s.opts.View.Current().Config.Config)["config/resource/db"] // what REST shows
	if string(doc) != `{"agent":"belay:dummy","meta":{"priority":5}}` {
		t.Errorf("the document is %s", doc)
	}
	if ch := e.changes[0]; ch.Actor.User != "admin" || ch.Actor.Via != "cim" || ch.Actor.Address != "192.0.2.9" || ch.Actor.Rule == "" || ch.Action != api.ActionCreate {
		t.Errorf("%+v by %+v", ch, ch.Actor)
	}
	if _, err := admin.Create(t.Context(), i); code(err) != object.AlreadyExists {
		t.Errorf("made twice: %v", err)
	}

	// From the other side.
	if _, err := e.Change(t.Context(), &api.Change{Action: api.ActionPatch, Object: "resource/db", Value: json.RawMessage(`{"meta":{"priority":9}}`)}); err != nil {
		t.Fatal(err)
	}
	s.seen(t, 9)
	now := admin.get(t, path)
	if now.Get("Priority") != int32(9) {
		t.Errorf("priority %v", now.Get("Priority"))
	}

	// On what was read before, nothing is changed.
	stale := now.Class().New(model.Root)
	stale.Set("InstanceID", now.Get("InstanceID"))
	stale.Set("ConfigGeneration", 8)
	stale.Set("Priority", 1)
	if err := admin.Modify(t.Context(), stale); code(err) != object.Failed || !strings.Contains(err.Error(), api.CodeConflict) {
		t.Errorf("a stale change: %v", err)
	}
	stale.Set("ConfigGeneration", 9)
	if err := admin.Modify(t.Context(), stale); err != nil {
		t.Error(err)
	}
	s.seen(t, 10)
	if err := admin.Delete(t.Context(), path); err != nil {
		t.Error(err)
	}
	s.seen(t, 11)
	if source, _ := admin.Source(t.Context()); source != nil {
		if _, err := source.Get(path); code(err) != object.NotFound {
			t.Errorf("deleted, and there: %v", err)
		}
	}
	if text := admin.get(t, object.NewPath(model.Root, "Belay_ResourceSetting", "InstanceID", "Belay:Resource:web")); strings.Contains(text.Text("Document"), "hush") {
		t.Error("a secret is shown")
	}
}

func (s *Session) call(t *testing.T, p *object.Path, method string, in ...any) (*object.Result, error) {
	t.Helper()
	class := s.opts.Schemas[model.Root].MustClass(p.Class)
	c := &object.Call{Path: p, Class: class, Method: class.Method(method)}
	for n := 0; n+1 < len(in); n += 2 {
		c.In = append(c.In, object.Argument{Parameter: c.Method.Parameter(in[n].(string)), Value: in[n+1]})
	}
	return s.Invoke(t.Context(), c)
}

// A caller sees and does what their roles say; a refusal is an error of CIM and stands
// in the audit log; an operator operates and does not configure.
func TestRoles(t *testing.T) {
	s, e := newService(t)
	state, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	web := state.ResourcePath("web")
	if _, err := s.as("nobody").Source(t.Context()); code(err) != object.AccessDenied {
		t.Errorf("nobody sees it: %v", err)
	}
	if _, err := s.as("viewer").call(t, web, "StopService"); code(err) != object.AccessDenied {
		t.Errorf("a viewer stops it: %v", err)
	}
	found := false
	for _, n := range e.notes {
		found = found || n.Actor.User == "viewer" && n.Action == "stop" && n.Object == "resource/web" && n.Result == "refused" && n.Actor.Via == "cim"
	}
	if !found || len(e.changes) > 0 {
		t.Errorf("notes %+v, changes %+v", e.notes, e.changes)
	}
	if r, err := s.as("operator").call(t, state.ServicePath(), "CreateJoinToken", "NodeName", "n4"); code(err) != object.AccessDenied {
		t.Errorf("an operator lets machines join: %+v %v", r, err)
	}
	if r, err := s.as("admin").call(t, state.ServicePath(), "CreateJoinToken", "NodeName", "n4"); err != nil || r.Return != uint32(0) || r.Out.Text("Token") != "token for n4" || r.Out.Get("Expires") == nil {
		t.Errorf("%+v %v", r, err)
	}
	operator := s.as("operator")
	if r, err := operator.call(t, web, "StopService"); err != nil || r.Return != uint32(model.ReturnDone) {
		t.Errorf("%+v %v", r, err)
	}
	s.seen(t, 8)
	change := operator.get(t, web).Class().New(model.Root)
	for _, k := range web.Keys {
		change.Set(k.Name, k.Value)
	}
	change.Set("TargetState", 3)
	if err := operator.Modify(t.Context(), change); err != nil {
		t.Errorf("an operator does not start it: %v", err)
	}
	s.seen(t, 9)
	change.Set("Priority", 3)
	change.Unset("TargetState")
	if err := operator.Modify(t.Context(), change); code(err) != object.AccessDenied {
		t.Errorf("an operator configures: %v", err)
	}
	if err := s.as("viewer").Delete(t.Context(), web); code(err) != object.AccessDenied {
		t.Errorf("a viewer deletes: %v", err)
	}

	// The audit log is for auditors, and that it was read is in it.
	entries := func(who string) (n int, err error) {
		source, err := s.as(who).Source(t.Context())
		if err != nil {
			return 0, err
		}
		for _, err := range source.Instances(model.Root, s.opts.Schemas[model.Root].MustClass("CIM_LogEntry")) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	if n, err := entries("admin"); n > 0 || code(err) != object.AccessDenied {
		t.Errorf("an admin sees %d records: %v", n, err)
	}
	if n, err := entries("auditor"); n != 1 || err != nil {
		t.Errorf("an auditor sees %d records: %v", n, err)
	}
	if last := e.notes[len(e.notes)-1]; last.Action != "read" || last.Object != "audit" || last.Actor.User != "auditor" {
		t.Errorf("%+v", last)
	}
}

// What goes on after the answer is a job, which every caller can follow until it is over
// and which says what went wrong; a generation that is not the caller's is a return code.
func TestJobs(t *testing.T) {
	s, e := newService(t)
	admin := s.as("admin")
	node := object.NewPath(model.Root, "Belay_Node", "CreationClassName", "Belay_Node", "Name", "n1")
	e.mu.Lock()
	e.steps = []api.Step{{Number: 1, Text: "stop web on n1"}}
	e.mu.Unlock()
	if r, err := admin.call(t, node, "Standby", "ExpectedGeneration", uint64(3)); err != nil || r.Return != uint32(model.ReturnConflict) || len(r.Out) > 0 {
		t.Errorf("on another generation: %+v %v", r, err)
	}
	r, err := admin.call(t, node, "Standby")
	if err != nil || r.Return != uint32(model.ReturnJob) {
		t.Fatalf("%+v %v", r, err)
	}
	path, _ := r.Out.Get("Job").(*object.Path)
	s.seen(t, 8)
	viewer := s.as("viewer")
	if j := viewer.get(t, path); j.Get("JobState") != uint16(4) || j.Text("Operation") != "standby" || j.Text("AffectedObject") != "node/n1" || j.Text("AuditRecordID") != "r1" {
		t.Errorf("state %v of %s %s", j.Get("JobState"), j.Text("Operation"), j.Text("AffectedObject"))
	}
	state, _ := s.State()
	if r, err := admin.call(t, state.ResourcePath("web"), "StopService"); err != nil || r.Return != uint32(model.ReturnJob) || len(r.Out) > 0 {
		t.Errorf("a method without parameters: %+v %v", r, err)
	}
	e.mu.Lock()
	e.steps = nil
	e.mu.Unlock()
	if j := viewer.get(t, path); j.Get("JobState") != uint16(7) || j.Get("PercentComplete") != uint16(100) {
		t.Errorf("state %v", j.Get("JobState"))
	}
	if r, err := viewer.call(t, path, "GetError"); err != nil || r.Return != uint32(0) || len(r.Out) > 0 {
		t.Errorf("%+v %v", r, err)
	}
	r, err = admin.call(t, state.ResourcePath("web"), "StartService")
	if err != nil || r.Return != uint32(0) {
		t.Fatalf("%+v %v", r, err)
	}
	jobs := s.opts.Jobs.All()
	failed := model.JobPath(jobs[len(jobs)-1].ID)
	if j := viewer.get(t, failed); j.Get("JobState") != uint16(10) || j.Get("ErrorCode") != uint16(1) {
		t.Errorf("state %v, error %v", j.Get("JobState"), j.Get("ErrorCode"))
	}
	r, err = viewer.call(t, failed, "GetError")
	if e, ok := r.Out.Get("Error").(*object.Instance); err != nil || !ok || e.Text("MessageID") != api.CodeNotAsWanted || e.Text("Message") == "" {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := admin.call(t, failed, "RequestStateChange", "RequestedState", uint16(4)); err != nil || r.Return != uint32(model.ReturnNotSupported) {
		t.Errorf("%+v %v", r, err)
	}
}
