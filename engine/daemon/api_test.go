package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/status"
)

// A node makes one cluster, once. What is refused before leaves it as it was.
func TestInit(t *testing.T) {
	t.Parallel()
	d := newTestDaemon(t)
	for _, path := range []string{"/v1/status", "/v1/config", "/v1/snapshot", "/v1/history", "/v1/plan", "/v1/watch"} {
		refused(t, d.get(path, nil), api.CodeNoCluster)
	}
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionStandby, Object: "node/n1"}, nil), api.CodeNoCluster)
	var l api.Local
	must(t, d.get("/v1/local", &l))
	if l.Cluster != "" || l.BootID != "boot-1" || l.Version != "test" {
		t.Errorf("%+v", l)
	}
	bad := testInit(t)
	bad.Cluster, bad.Addresses = "a b", []string{"here"}
	p := refused(t, d.post("/v1/cluster/init", bad, nil), api.CodeInvalid)
	if len(p.Faults) != 2 || p.Faults[0].Path != "cluster.name" || p.Faults[1].Path != "nodes.n1.addresses[0]" {
		t.Errorf("%+v", p.Faults)
	}
	bad = testInit(t)
	bad.Node = pki.RootName
	refused(t, d.post("/v1/cluster/init", bad, nil), api.CodeTaken)
	d.init()
	refused(t, d.post("/v1/cluster/init", testInit(t), nil), api.CodeConflict)
	refused(t, d.post("/v1/cluster/join", &api.Join{Token: "x", Server: "127.0.0.1"}, nil), api.CodeConflict)
	must(t, d.get("/v1/local", &l))
	if l.Cluster != "test" || l.Node != "n1" || !l.StoreOK {
		t.Errorf("%+v", l)
	}
	d.online()
	var st status.Summary
	must(t, d.get("/v1/status", &st))
	if st.Cluster.DC != "n1" || st.Quorum.State != status.QuorumNotRequired {
		t.Errorf("%+v, %+v", st.Cluster, st.Quorum)
	}
}

// A change made against another generation than the caller saw is refused, and a
// dry run changes nothing.
func TestChangeConditions(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	create := func(id string) *api.Change {
		return &api.Change{Action: api.ActionCreate, Object: "resource/" + id, Value: json.RawMessage(`{"agent": "belay:dummy"}`)}
	}
	before := d.generation()
	ch := create("a")
	ch.DryRun = true
	dry := d.change(ch)
	if len(dry.Changes) != 1 || dry.Generation != before+1 || dry.PlanToken == "" {
		t.Errorf("a dry run says %+v", dry)
	}
	if len(dry.Plan.Steps) == 0 {
		t.Error("a dry run shows no step")
	}
	if got := d.generation(); got != before || d.snapshot().Config.Resources["a"] != nil {
		t.Errorf("generation %d after a dry run, it was %d", got, before)
	}
	if n := len(d.audited()); n != 2 { // of init
		t.Errorf("%d records", n)
	}

	ch = create("a")
	ch.ExpectedGeneration = before + 1
	refused(t, d.post("/v1/change", ch, nil), api.CodeConflict)
	ch.ExpectedGeneration, ch.RequestID = before, ""
	done := d.change(ch)
	if done.Generation != before+1 || d.generation() != before+1 {
		t.Errorf("%+v", done)
	}

	// A plan token is good for the plan that was shown, on the generation that it
	// was shown for.
	ch = create("b")
	ch.DryRun = true
	token := d.change(ch).PlanToken
	d.change(create("c"))
	ch = create("b")
	ch.PlanToken = token
	refused(t, d.post("/v1/change", ch, nil), api.CodePlanChanged)
	if d.snapshot().Config.Resources["b"] != nil {
		t.Error("a change was made although its plan was another one")
	}

	// What changes nothing makes no generation.
	last := d.generation()
	d.change(&api.Change{Action: api.ActionOnline, Object: "node/n1"})
	if got := d.generation(); got != last {
		t.Errorf("generation %d after a change that changes nothing", got)
	}
	refused(t, d.post("/v1/change", create("c"), nil), api.CodeExists)
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionStop, Object: "resource/x"}, nil), api.CodeNotFound)
	refused(t, d.post("/v1/change", &api.Change{Action: "explode", Object: "cluster"}, nil), api.CodeBadRequest)
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionFence, Object: "node/n1"}, nil), api.CodeNoFencing)
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionFence, Object: "node/n1", Value: json.RawMessage(`{"opp": "off"}`)}, nil), api.CodeBadRequest)
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionCleanup, Object: "resource/a", Value: json.RawMessage(`{"node": "n7"}`)}, nil), api.CodeNotFound)
}

// The same request sent twice is one change; an id that would not fit into a key is
// refused.
func TestRepeatedRequest(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	ch := &api.Change{Action: api.ActionCreate, Object: "resource/a", Value: json.RawMessage(`{"agent": "belay:dummy"}`), RequestID: "req-1"}
	first := d.change(ch)
	second := d.change(ch)
	if first.Generation != second.Generation || d.generation() != first.Generation {
		t.Errorf("generations %d and %d", first.Generation, second.Generation)
	}
	other := &api.Change{Action: api.ActionStop, Object: "resource/a", RequestID: "req-1"}
	refused(t, d.post("/v1/change", other, nil), api.CodeBadRequest)
	for _, id := range []string{"a/b", "a b", "\n", strings.Repeat("x", 65)} {
		ch.RequestID = id
		refused(t, d.post("/v1/change", ch, nil), api.CodeBadRequest)
	}
	// After a restart of the engine it is found in the history.
	d.stop()
	again := startDaemon(t, filepath.Dir(d.opts.Socket))
	again.awaitEngineUp()
	again.await("the state of the cluster", func(s *cib.Snapshot) bool { return s.Config.Resources["a"] != nil && s.Status.Voters != nil })
	again.online()
	ch.RequestID = "req-1"
	if third := again.change(ch); third.Generation != first.Generation {
		t.Errorf("generation %d after a restart, want %d", third.Generation, first.Generation)
	}
}

// A configuration that is not valid is refused whole, and every fault is named.
func TestInvalidConfig(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	before, cfg := d.generation(), mustJSON(t, d.snapshot().Config)
	err := d.post("/v1/change", &api.Change{Action: api.ActionApply, Object: "cluster", Merge: true, Value: json.RawMessage(`{"resources": {
		"good": {"agent": "belay:dummy"},
		"gone": {"agent": "ocf:heartbeat:NoSuchAgent"},
		"web": {"agent": "ocf:heartbeat:IPaddr2", "parameters": {"cidr_netmask": "24", "colour": "red"}},
		"g": {"group": ["web", "nowhere"]}},
		"constraints": {"c": {"colocation": {"resource": "good", "with": "good", "score": 5}}}}`)}, nil)
	p := refused(t, err, api.CodeInvalid)
	paths := map[string]bool{}
	for _, f := range p.Faults {
		paths[f.Path] = true
	}
	for _, want := range []string{"resources.gone.agent", "resources.web.parameters.ip", "resources.web.parameters.colour", "resources.g.group[1]", "constraints.c.colocation.with"} {
		if !paths[want] {
			t.Errorf("the fault of %s is missing: %v", want, p.Faults)
		}
	}
	if d.generation() != before || !bytes.Equal(mustJSON(t, d.snapshot().Config), cfg) {
		t.Error("a configuration that is not valid was applied in part")
	}
}

// An earlier configuration comes back, whatever changed since.
func TestRollback(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"resources": {"a": {"agent": "belay:dummy"}}}`)
	good, at := mustJSON(t, d.snapshot().Config), d.generation()
	d.apply(`{"resources": {"a": null, "b": {"agent": "belay:dummy"}}, "cluster": {"options": {"batch-limit": 3}}}`)
	d.change(&api.Change{Action: api.ActionStandby, Object: "node/n1"})
	d.change(&api.Change{Action: api.ActionOnline, Object: "node/n1"})
	d.change(&api.Change{Action: api.ActionRollback, Object: fmt.Sprintf("generation/%d", at)})
	if got := mustJSON(t, d.snapshot().Config); !bytes.Equal(got, good) {
		t.Errorf("rolled back to\n%s\nwant\n%s", got, good)
	}
	for _, object := range []string{"generation/0", "generation/999", "generation/x", "cluster"} {
		refused(t, d.post("/v1/change", &api.Change{Action: api.ActionRollback, Object: object}, nil), api.CodeBadRequest)
	}
	var list []api.GenerationInfo
	must(t, d.get("/v1/history", &list))
	if len(list) != int(d.generation()) || list[len(list)-1].Action != "rollback" {
		t.Errorf("history %+v", list)
	}
}

// A secret goes to the agent and nowhere else.
func TestSecrets(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	const secret = "correct-horse-battery"
	res := d.apply(`{"resources": {"db": {"agent": "ocf:heartbeat:mysql", "parameters": {"test_passwd": "` + secret + `", "test_user": "watch"}, "meta": {"target-role": "Stopped"}}},
		"fence-devices": {"ipmi": {"agent": "fence_ipmilan", "targets": {"n1": ""}, "parameters": {"ip": "127.0.0.1", "username": "admin", "password": "` + secret + `"}}}}`)
	shown := []string{string(mustJSON(t, res))}
	for _, path := range []string{"/v1/config", "/v1/snapshot", "/v1/status", "/v1/history", fmt.Sprintf("/v1/history/%d", res.Generation), "/v1/plan", "/v1/events", "/v1/explain/resource/db"} {
		var raw json.RawMessage
		if path == "/v1/events" {
			must(t, d.ask(http.MethodGet, path, nil, nil))
			continue
		}
		must(t, d.get(path, &raw))
		shown = append(shown, path+string(raw))
	}
	// Changed beside it, it stays; written back as shown, too.
	d.change(&api.Change{Action: api.ActionPatch, Object: "resource/db", Value: json.RawMessage(`{"parameters": {"test_user": "other", "test_passwd": "` + cib.Redacted + `"}}`)})
	open, hidden, err := d.engine.Load().open(cib.KeyResource+"db", d.snapshot().Config.Resources["db"].Parameters)
	must(t, err)
	if open["test_passwd"] != secret || open["test_user"] != "other" || len(hidden) != 1 {
		t.Errorf("the agent would get %v", open)
	}
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionPatch, Object: "resource/db", Value: json.RawMessage(`{"parameters": {"test_user": "` + cib.SealedPrefix + `v1:AAAA"}}`)}, nil), api.CodeInvalid)
	shown = append(shown, d.log.String())
	for _, text := range shown {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in %.200s", text)
		}
		if !strings.HasPrefix(text, "time=") && strings.Contains(text, cib.SealedPrefix+"v1:") {
			t.Errorf("a sealed value is shown in %.200s", text)
		}
	}
	d.stop()
	must(t, filepath.WalkDir(filepath.Dir(d.opts.Socket), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Base(path) == "belay-shim" { // the test binary has it as a constant
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the secret is in %s", path)
		}
		return err
	}))
}

// What is not known would not happen, so it is refused; and so is what is too large.
func TestStrictRequests(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	before := d.generation()
	for path, bodies := range map[string][]string{
		"/v1/change":       {``, `[]`, `{"action": "standby", "object": "node/n1", "dryRunn": true}`, `{"action": "standby", "object": "node/n1"} {}`, `{"action": 5}`, "{\"action\": \"standby\""},
		"/v1/attribute":    {`{"name": "a", "persistent": true}`},
		"/v1/token":        {`{"ttl": "1s"}`, `{"ttl": "48h"}`, `{"ttl": "x"}`, `{"nod": "n2"}`},
		"/v1/log":          {`{"level": "loud"}`, `{"lvl": "info"}`},
		"/v1/backup":       {`{"path": "/x"}`, `{"file": "relative"}`},
		"/v1/cluster/init": {`{"name": "x"}`},
		"/v1/cluster/join": {`{"tokn": "x"}`},
	} {
		for _, b := range bodies {
			if p, _ := errors.AsType[*api.Problem](d.post(path, []byte(b), nil)); p == nil || p.Code != api.CodeBadRequest {
				t.Errorf("%s %s: %v", path, b, p)
			}
		}
	}
	large := append(bytes.Repeat([]byte(" "), api.BodyMaxBytes), []byte(`{"level": "info"}`)...)
	refused(t, d.post("/v1/change", large, nil), api.CodeTooLarge)
	if got := d.generation(); got != before {
		t.Errorf("generation %d, it was %d", got, before)
	}
}

// Who may do what at the socket, from what the kernel says of them.
func TestCallers(t *testing.T) {
	const own, management = 900, 901
	type rights struct{ reads, writes, names bool }
	for _, x := range []struct {
		name       string
		uid        uint32
		management uint32
		member     bool
		want       rights
	}{
		{"root", 0, management, false, rights{true, true, true}},
		{"the engine's own user", own, management, false, rights{true, true, true}},
		{"the management daemon", management, management, false, rights{true, true, true}},
		{"the same user where there is no management daemon", management, 0, false, rights{}},
		{"a member of the group", 1000, management, true, rights{reads: true}},
		{"anybody", 1000, management, false, rights{}},
	} {
		c := &caller{Actor: api.Actor{UID: x.uid, User: "u"}}
		c.allow(own, x.management, x.member)
		if got := (rights{c.reads, c.writes, c.names}); got != x.want {
			t.Errorf("%s: %+v", x.name, got)
		}
		for write, want := range map[bool]bool{false: x.want.reads, true: x.want.writes} {
			r := httptest.NewRequestWithContext(context.WithValue(t.Context(), actorKey{}, c), http.MethodGet, "/", nil)
			if _, err := allowed(r, write); (err == nil) != want {
				t.Errorf("%s, write %v: %v", x.name, write, err)
			}
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if _, err := allowed(r, false); err == nil {
		t.Error("a caller that is not known is answered")
	}
}

// Who may not change the cluster cannot keep those out who may.
func TestStrangersAtTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	must(t, err)
	defer ln.Close()
	trusted := false
	g := &guarded{Listener: ln, slots: make(chan struct{}, 2), trusted: func(net.Conn) bool { return trusted }}
	var open []net.Conn
	connect := func() net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for range 2 {
		connect()
		c, err := g.Accept()
		must(t, err)
		open = append(open, c)
	}
	third := connect()
	connect()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := g.Accept()
		accepted <- c
	}()
	// The third is closed unheard.
	if n, err := third.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v", n, err)
	}
	must(t, open[0].Close())
	connect()
	if c := <-accepted; c == nil {
		t.Error("a place that is free again is not given")
	}
	trusted = true
	connect()
	if _, err := g.Accept(); err != nil {
		t.Error(err)
	}
}

// Only root and the management daemon may name another actor.
func TestNamedActor(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	ch := &api.Change{Action: api.ActionStandby, Object: "node/n1", Actor: &api.Actor{User: "alice", Via: "rest", Address: "192.0.2.7"}, ChangeRef: "CHG-7"}
	b := mustJSON(t, ch)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/change", bytes.NewReader(b))
	_, err := postChange(t.Context(), d.engine.Load(), &caller{reads: true, writes: true}, r)
	refused(t, err, api.CodeForbidden)
	d.change(ch)
	rec := d.audited()
	if last := rec[len(rec)-1]; last.Actor.User != "alice" || last.Actor.Address != "192.0.2.7" || last.ChangeRef != "CHG-7" || last.Result != "success" {
		t.Errorf("recorded %+v", last)
	}
}

// Every generation has one intent and one outcome in the audit log, in that order;
// refused tries are noted.
func TestAudit(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"resources": {"a": {"agent": "belay:dummy"}}}`)
	d.change(&api.Change{Action: api.ActionStop, Object: "resource/a"})
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionStop, Object: "resource/x"}, nil), api.CodeNotFound)
	d.change(&api.Change{Action: api.ActionDelete, Object: "resource/a"})
	intents, outcomes, notes := map[uint64]int{}, map[uint64]int{}, 0
	for _, r := range d.audited() {
		switch r.Phase {
		case audit.Intent:
			intents[r.After]++
			if r.Before+1 != r.After || len(r.Changes) == 0 || outcomes[r.After] != 0 {
				t.Errorf("intent %+v", r)
			}
		case audit.Outcome:
			outcomes[r.After]++
			if r.Result != "success" || intents[r.After] != 1 {
				t.Errorf("outcome %+v", r)
			}
		case audit.Note:
			notes++
			if r.Result != "refused" || !strings.HasPrefix(r.Reason, api.CodeNotFound) {
				t.Errorf("note %+v", r)
			}
		}
	}
	for g := uint64(1); g <= d.generation(); g++ {
		if intents[g] != 1 || outcomes[g] != 1 {
			t.Errorf("generation %d has %d intents and %d outcomes", g, intents[g], outcomes[g])
		}
	}
	if notes != 1 {
		t.Errorf("%d notes", notes)
	}
}

// A change that can't be recorded does not happen, and an alarm tells of it.
func TestAuditFails(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	before := d.generation()
	must(t, d.engine.Load().trail.log.Close()) // as a full disk: nothing can be appended
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionStandby, Object: "node/n1"}, nil), api.CodeAudit)
	refused(t, d.post("/v1/token", &api.TokenRequest{}, nil), api.CodeAudit)
	if d.generation() != before || d.snapshot().Config.Nodes["n1"].Standby {
		t.Error("a change was made that is not in the audit log")
	}
	d.await("the alarm", func(s *cib.Snapshot) bool {
		for _, ev := range s.Status.Events {
			if ev.Code == event.Get(event.AuditFailed).Code() {
				return true
			}
		}
		return false
	})
}

func TestLogLevel(t *testing.T) {
	t.Parallel()
	d := newTestDaemon(t) // it needs no cluster
	for _, level := range []string{"warn", "DEBUG", "info"} {
		must(t, d.post("/v1/log", api.LogLevel{Level: level}, nil))
		var l api.Local
		must(t, d.get("/v1/local", &l))
		if !strings.EqualFold(l.LogLevel, level) {
			t.Errorf("the level is %s, want %s", l.LogLevel, level)
		}
	}
}

// generation is that of the configuration.
func (d *testDaemon) generation() uint64 {
	d.t.Helper()
	var c api.Config
	must(d.t, d.get("/v1/config", &c))
	return c.Generation
}

// audited are the records of the audit log, whose chain must hold, without those of
// what the engine did by itself.
func (d *testDaemon) audited() []*audit.Record {
	d.t.Helper()
	var out []*audit.Record
	_, err := audit.Verify(d.path(dirAudit), func(r *audit.Record) {
		if r.Actor.Via != "engine" || r.Phase != audit.Note {
			out = append(out, r)
		}
	})
	must(d.t, err)
	return out
}
