package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/status"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"belay": func() { os.Exit(start()) }})
}

// TestScripts runs the commands against an engine that keeps a configuration and
// shows a state, both from testdata/cluster; a script with a file "alone" has none.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("BELAY_SOCKET", filepath.Join(env.WorkDir, "s"))
			env.Setenv("TZ", "UTC")
			return errors.Join(goldenRights(env), serveFake(env))
		},
	})
}

// goldenRights splits the table of who may do what, which REST is tested with, too, into
// a file for each role.
func goldenRights(env *testscript.Env) error {
	b, err := os.ReadFile("../../mgmtd/api/testdata/rights")
	if err != nil {
		return err
	}
	for part := range strings.SplitSeq(string(b), "rights role=") {
		role, rest, ok := strings.Cut(part, "\n----\n")
		if table, _, _ := strings.Cut(rest, "\n\n"); ok {
			table = strings.TrimSuffix(table, "\n")
			err = errors.Join(err, os.WriteFile(filepath.Join(env.WorkDir, "rights-"+role), []byte(table+"\n"), 0o600))
		}
	}
	return err
}

// fake is an engine without a cluster: it edits, validates and shows for real, and
// carries nothing out.
type fake struct {
	mu      sync.Mutex
	s       *cib.Snapshot
	records map[uint64]*cib.GenerationRecord
	plans   int // how often a plan is still to be shown
	seen    map[string]bool
}

var ages = regexp.MustCompile(`"@(-?[0-9a-z]+)"`)

func serveFake(env *testscript.Env) error {
	if _, err := os.Stat(filepath.Join(env.WorkDir, "alone")); err == nil {
		return nil
	}
	doc, err := os.ReadFile("testdata/cluster")
	if err != nil {
		return err
	}
	f := &fake{s: cib.Empty(), records: map[uint64]*cib.GenerationRecord{}, seen: map[string]bool{}}
	for i, line := range strings.Split(string(doc), "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		value = ages.ReplaceAllStringFunc(value, func(m string) string {
			d, _ := time.ParseDuration(ages.FindStringSubmatch(m)[1])
			return strconv.Quote(time.Now().Add(d).Format(time.RFC3339Nano))
		})
		f.s = f.s.Apply([]cib.KV{{Key: key, Value: []byte(value), ModRev: int64(i + 1)}}, int64(i+1))
	}
	for key, fault := range f.s.Faults {
		return fmt.Errorf("%s: %s", key, fault)
	}
	ln, err := net.Listen("unix", filepath.Join(env.WorkDir, "s"))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: f.routes(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	env.Defer(func() { _ = srv.Close(); <-done })
	return nil
}

func (f *fake) routes() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, h func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			v, err := h(r)
			f.mu.Unlock()
			if p := (*api.Problem)(nil); errors.As(err, &p) {
				w.WriteHeader(p.Status)
				v = p
			} else if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				v = api.NewProblem(api.CodeDefect, err.Error())
			}
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	answer("GET /v1/status", func(*http.Request) (any, error) { return status.Summarize(f.s, time.Now()), nil })
	answer("GET /v1/snapshot", func(*http.Request) (any, error) { return f.s, nil })
	answer("GET /v1/config", func(*http.Request) (any, error) {
		return api.Config{Generation: f.s.ConfigGen.Number, Config: cib.Redact(f.s.Config, nil)}, nil
	})
	answer("GET /v1/history", func(*http.Request) (any, error) {
		out := []api.GenerationInfo{}
		for n := uint64(1); n <= f.s.ConfigGen.Number; n++ {
			if r := f.records[n]; r != nil {
				info := api.GenerationInfo{Generation: n, Time: r.Time, Actor: r.Actor, Action: r.Action, Object: r.Object, Keys: []string{}}
				for _, c := range r.Changes {
					info.Keys = append(info.Keys, strings.TrimPrefix(c.Key, cib.KeyConfig))
				}
				out = append(out, info)
			}
		}
		return out, nil
	})
	answer("GET /v1/history/{n}", func(r *http.Request) (any, error) {
		n, _ := strconv.ParseUint(r.PathValue("n"), 10, 64)
		if f.records[n] == nil {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("generation %d is not kept", n))
		}
		return f.records[n], nil
	})
	answer("GET /v1/plan", func(*http.Request) (any, error) { return f.plan(), nil })
	answer("GET /v1/explain/resource/{id}", func(r *http.Request) (any, error) {
		id := r.PathValue("id")
		if f.s.Config.Resources[id] == nil {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", id))
		}
		return graph.Explanation{Resource: id, Instances: []graph.InstanceExplanation{{
			Assignment: graph.Assignment{Instance: id, Resource: id, Node: "n1", Role: cib.RoleStarted, Score: 100, Why: cib.Why{Cause: "best score"}},
			Nodes:      []graph.NodeScore{{Node: "n1", Score: 100, Parts: []graph.Part{{Rule: "likes-n1", Score: 100, Text: "prefers n1"}}}},
		}}}, nil
	})
	answer("GET /v1/documents", func(*http.Request) (any, error) {
		value := json.RawMessage(`{"after": 1, "sentAt": "2026-03-01T12:00:00Z", "error": "no answer", "errorAt": "2026-03-01T12:00:07Z"}`)
		return api.Documents{Documents: []api.Document{{Name: "snmp-cursor/nms", Value: value}}}, nil
	})
	answer("GET /v1/local", func(*http.Request) (any, error) {
		return api.Local{Node: "n1", Cluster: "prod", Version: "1.0", Valid: true, ValidFor: time.Second, Quorate: true, Quorum: "3 of 3 votes", StoreOK: true, LogLevel: "INFO"}, nil
	})
	answer("GET /v1/agents", func(*http.Request) (any, error) { return []string{"ocf:heartbeat:Dummy", "fence:fence_dummy"}, nil })
	answer("GET /v1/agents/{id...}", func(r *http.Request) (any, error) {
		if r.PathValue("id") != "ocf:heartbeat:Dummy" {
			return nil, api.NewProblem(api.CodeNotFound, "agent "+r.PathValue("id")+" is not installed on n1")
		}
		return json.RawMessage(`{"name": "Dummy", "shortDesc": "An example"}`), nil
	})
	answer("GET /v1/attribute/{node}/{name}", func(r *http.Request) (any, error) {
		return api.Attribute{Node: r.PathValue("node"), Name: r.PathValue("name"), Value: "7"}, nil
	})
	answer("POST /v1/attribute", func(*http.Request) (any, error) { return struct{}{}, nil })
	answer("POST /v1/log", func(r *http.Request) (any, error) {
		var l api.LogLevel
		if json.NewDecoder(r.Body).Decode(&l) != nil || l.Level != "debug" {
			return nil, api.NewProblem(api.CodeBadRequest, "a log level is debug, info, warn or error")
		}
		return l, nil
	})
	answer("POST /v1/token", func(*http.Request) (any, error) {
		return api.Token{Token: "belay-1-abc", Expires: time.Now().Add(time.Hour)}, nil
	})
	answer("POST /v1/backup", func(*http.Request) (any, error) {
		return api.Backup{File: "/b/prod.backup", Revision: 7, SizeBytes: 42}, nil
	})
	answer("POST /v1/cluster/init", func(r *http.Request) (any, error) {
		var i api.Init
		err := json.NewDecoder(r.Body).Decode(&i)
		return api.Joined{Cluster: i.Cluster, Node: i.Node, Voter: true}, err
	})
	answer("POST /v1/cluster/join", func(r *http.Request) (any, error) {
		var j api.Join
		if err := json.NewDecoder(r.Body).Decode(&j); err != nil || j.Token != "belay-1-abc" {
			return nil, api.NewProblem(api.CodeJoinRefused, "the token is not known")
		}
		return api.Joined{Cluster: "prod at " + j.Server, Node: j.Node}, nil
	})
	answer("POST /v1/change", f.change)
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) {
		for i, ev := range []cib.Event{
			event.New(event.NodeOnline, "node", "n1", "view", "5"), event.New(event.NodeLost, "node", "n3", "silence", "1.1s"),
		} {
			ev.Seq, ev.Time = uint64(i+1), time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC)
			_ = json.NewEncoder(w).Encode(ev)
		}
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		_ = json.NewEncoder(w).Encode(status.Summarize(f.s, time.Now()))
		f.mu.Unlock()
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return mux
}

// plan shows the steps of testdata/plan as often as a change has asked for.
func (f *fake) plan() api.PlanSummary {
	var p api.PlanSummary
	if f.plans > 0 {
		f.plans--
		doc, _ := os.ReadFile("testdata/plan")
		_ = json.Unmarshal(doc, &p)
	}
	return p
}

func (f *fake) change(r *http.Request) (any, error) {
	var ch api.Change
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ch); err != nil || ch.RequestID == "" && !ch.DryRun || f.seen[ch.RequestID] && ch.RequestID != "" {
		return nil, api.NewProblem(api.CodeBadRequest, fmt.Sprintf("body: %v", err))
	}
	f.seen[ch.RequestID] = true
	gen := f.s.ConfigGen.Number
	if ch.ExpectedGeneration != 0 && ch.ExpectedGeneration != gen {
		return nil, api.NewProblem(api.CodeConflict, fmt.Sprintf("the configuration is at generation %d, not %d", gen, ch.ExpectedGeneration))
	}
	res := &api.ChangeResult{Generation: gen, RequestID: ch.RequestID}
	if ch.Action == api.ActionConfirm && strings.HasSuffix(ch.Object, "n1") {
		return nil, api.NewProblem(api.CodeStillAlive, "node n1 is still heard")
	}
	if ch.Action == api.ActionFence && strings.HasSuffix(ch.Object, "n3") {
		return nil, api.NewProblem(api.CodeNoQuorum, "no quorum: 1 of 3 votes, 2 needed")
	}
	if !cib.Edits(string(ch.Action)) {
		return res, nil
	}
	n, err := cib.Edit(f.s.Config, cib.EditRequest{Action: string(ch.Action), Object: ch.Object, Value: ch.Value, Merge: ch.Merge})
	var faults []cib.Fault
	e := (*cib.EditError)(nil)
	switch {
	case errors.As(err, &e):
		code := map[error]string{cib.ErrNotFound: api.CodeNotFound, cib.ErrExists: api.CodeExists, cib.ErrInUse: api.CodeInUse, cib.ErrRequest: api.CodeBadRequest, cib.ErrInvalid: api.CodeInvalid}[e.Cause]
		p := api.NewProblem(code, e.Text)
		for _, x := range e.Faults {
			p.Faults = append(p.Faults, api.Fault(x))
		}
		return nil, p
	case err != nil:
		return nil, err
	default:
		faults = cib.Validate(n)
	}
	if len(faults) > 0 {
		p := api.NewProblem(api.CodeInvalid, "the configuration is not valid")
		for _, x := range faults {
			p.Faults = append(p.Faults, api.Fault(x))
		}
		return nil, p
	}
	changes := cib.Diff(f.s.Config, n)
	res.Changes = cib.RedactChanges(changes, nil)
	f.plans = 3
	res.Plan = f.plan()
	if len(changes) == 0 {
		return res, nil
	}
	res.Generation++
	if ch.DryRun {
		return res, nil
	}
	s := *f.s
	s.Config, s.ConfigGen.Number, s.Revision = n, res.Generation, s.Revision+1
	f.s = &s
	f.records[res.Generation] = &cib.GenerationRecord{
		Generation: res.Generation, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Actor: "root", Action: string(ch.Action), Object: ch.Object, Changes: res.Changes,
	}
	return res, nil
}

// TestEveryCommandHasExamples: --help of every command shows how it is used.
func TestEveryCommandHasExamples(t *testing.T) {
	root := newRoot(&app{})
	root.InitDefaultCompletionCmd()
	names := map[string]bool{}
	for _, c := range root.Commands() {
		names[c.Name()] = true
	}
	for _, want := range []string{"status", "apply", "get", "diff", "history", "rollback", "resource", "constraint", "node", "fence", "quorum", "attribute", "events", "alarms", "explain", "plan", "cluster", "log", "agents", "completion", "version", "move"} {
		if !names[want] {
			t.Errorf("there is no belay %s", want)
		}
	}
	walk(root, func(path, short, example string, hidden bool) {
		if short == "" || example == "" && !hidden && !strings.Contains(path, "completion") && !strings.Contains(path, "help") {
			t.Errorf("%s: short %q, example %q", path, short, example)
		}
	})
}
