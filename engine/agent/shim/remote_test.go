package shim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test binary is also the tools, as cmd/belay-shim is.
func TestMain(m *testing.M) {
	if slices.Contains(Tools(), filepath.Base(os.Args[0])) {
		os.Exit(Main(context.Background(), os.Args, os.Getenv, Dial(os.Getenv(SocketVariable), os.Getenv(TokenVariable)), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// serve puts an engine behind a socket.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return path
}

// An engine behind a socket answers as one that is called.
func TestRemote(t *testing.T) {
	ctx := context.Background()
	near := newEngine()
	far := Dial(serve(t, Handler(near)), "")
	if l, err := far.Local(ctx); err != nil || l != (Local{"n1", true}) {
		t.Errorf("local: %+v, %v", l, err)
	}
	if n, err := far.Nodes(ctx); err != nil || !reflect.DeepEqual(n, near.nodes) {
		t.Errorf("nodes: %+v, %v", n, err)
	}
	if s, err := far.Status(ctx); err != nil || !reflect.DeepEqual(s, near.status) {
		t.Errorf("status: %+v, %v", s, err)
	}
	a := Attribute{Scope: ScopeReboot, Node: "n1", Name: "x", Value: "a\"<\n\u00e4", Private: true}
	if err := far.SetAttribute(ctx, a, 5*time.Second); err != nil || !strings.HasSuffix(near.log[0], "private=true dampen=5s") {
		t.Errorf("set: %v, %v", err, near.log)
	}
	if found, err := far.QueryAttribute(ctx, Attribute{Scope: ScopeReboot, Name: "x"}); err != nil || len(found) != 1 || found[0] != a {
		t.Errorf("query: %+v, %v", found, err)
	}
	if existed, err := far.DeleteAttribute(ctx, a, 0); err != nil || !existed {
		t.Errorf("delete: %v, %v", existed, err)
	}
	if existed, err := far.DeleteAttribute(ctx, a, 0); err != nil || existed {
		t.Errorf("delete again: %v, %v", existed, err)
	}
	if r, err := far.Resource(ctx, ResourceRequest{Verb: VerbGet, Resource: "d1", Table: TableParameters, Parameter: "fake"}); err != nil || r.Value != "hi" || !r.Found {
		t.Errorf("resource: %+v, %v", r, err)
	}
	if _, err := far.Resource(ctx, ResourceRequest{Verb: VerbFail, Resource: "nosuch"}); !errors.Is(err, ErrNoResource) {
		t.Errorf("no resource: %v", err)
	}
}

func TestRemoteErrors(t *testing.T) {
	for _, k := range kinds {
		if err := toWire(k.err).fromWire(); !errors.Is(err, k.err) || err.Error() != k.err.Error() {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	if err := toWire(errors.New("odd")).fromWire(); err.Error() != "odd" || status(err) != exitError {
		t.Errorf("%v", err)
	}
	ask := func(socket string) error { _, err := Dial(socket, "").Local(context.Background()); return err }
	if err := ask("/no/such/socket"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	if err := ask(serve(t, http.NotFoundHandler())); !errors.Is(err, ErrUnavailable) {
		t.Errorf("something else there: %v", err)
	}
	deny := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if err := ask(serve(t, deny)); !errors.Is(err, ErrDenied) {
		t.Errorf("not permitted: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	if _, err := Dial(serve(t, slow), "").Local(ctx); !errors.Is(err, ErrTimeout) {
		t.Errorf("slow: %v", err)
	}
}

// The token goes with every request, and not where there is none.
func TestToken(t *testing.T) {
	var seen []string
	note := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get(TokenHeader))
		_, _ = w.Write([]byte("{}"))
	})
	socket := serve(t, note)
	for _, token := range []string{"t1", ""} {
		if _, err := Dial(socket, token).Nodes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(seen, []string{"t1", ""}) {
		t.Errorf("tokens %q", seen)
	}
}

func TestHandlerRefuses(t *testing.T) {
	socket := serve(t, Handler(newEngine()))
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	for body, want := range map[string]int{
		"":                      http.StatusBadRequest,
		"[]":                    http.StatusBadRequest,
		`{"attribute":null}`:    http.StatusBadRequest,
		`{}`:                    http.StatusOK,
		`{"attribute":{}}trail`: http.StatusOK,
		`{"attribute":{"Name":"` + strings.Repeat("x", requestMaxBytes) + `"}}`: http.StatusBadRequest,
	} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://x"+Path+"query", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%.40q: %s, want %d", body, resp.Status, want)
		}
	}
}

// Debian's own agents find the tools and understand the answers.
func TestDebianAgents(t *testing.T) {
	socket, dir := serve(t, Handler(newEngine())), t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range Tools() {
		if err := os.Symlink(exe, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(agent, op string, env ...string) (int, string) {
		t.Helper()
		provider, kind, _ := strings.Cut(agent, "/")
		path := filepath.Join("/usr/lib/ocf/resource.d", agent)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s is missing: run make setup", path)
		}
		cmd := exec.CommandContext(t.Context(), path, op)
		cmd.Env = append([]string{
			"GORACE=atexit_sleep_ms=0", // else each tool takes a second under the race detector
			"PATH=" + dir + ":/usr/sbin:/usr/bin:/sbin:/bin", "HA_SBIN_DIR=" + dir, "HA_RSCTMP=" + dir, SocketVariable + "=" + socket,
			"OCF_ROOT=/usr/lib/ocf", "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1", "OCF_RESOURCE_INSTANCE=st", "OCF_RESOURCE_TYPE=" + kind,
			"OCF_RESOURCE_PROVIDER=" + provider, "OCF_RESKEY_state=" + dir + "/state", "OCF_RESKEY_CRM_meta_on_node=n1", "OCF_RESKEY_CRM_meta_timeout=20000",
			"OCF_RESKEY_crm_feature_set=3.16.2", "OCF_RESKEY_CRM_meta_promotable=true",
		}, env...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	value := func(name string) string {
		found, err := Dial(socket, "").QueryAttribute(t.Context(), Attribute{Scope: ScopeReboot, Node: "n1", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			return "none"
		}
		return found[0].Value
	}
	for _, agent := range []string{"pacemaker/Stateful", "heartbeat/Stateful"} {
		for _, step := range []struct {
			op, score string
			rc        int
		}{{"start", "5", 0}, {"promote", "10", 0}, {"monitor", "10", 8}, {"demote", "5", 0}, {"monitor", "5", 0}, {"stop", "none", 0}} {
			rc, out := run(agent, step.op)
			if got := value("master-st"); rc != step.rc || got != step.score {
				t.Errorf("%s %s: status %d, score %s, want %d, %s\n%s", agent, step.op, rc, got, step.rc, step.score, out)
			}
		}
	}
	attribute := []string{"OCF_RESKEY_name=pick", "OCF_RESKEY_active_value=up", "OCF_RESKEY_inactive_value=down"}
	for _, step := range []struct {
		op, value string
		rc        int
	}{{"monitor", "none", 7}, {"start", "up", 0}, {"monitor", "up", 0}, {"stop", "down", 0}, {"monitor", "down", 7}} {
		rc, out := run("pacemaker/attribute", step.op, attribute...)
		if got := value("pick"); rc != step.rc || got != step.value {
			t.Errorf("attribute %s: status %d, value %s, want %d, %s\n%s", step.op, rc, got, step.rc, step.value, out)
		}
	}
	if rc, out := run("pacemaker/HealthCPU", "start"); rc != 0 {
		t.Errorf("HealthCPU start: %d\n%s", rc, out)
	}
	if rc, out := run("pacemaker/HealthCPU", "monitor", "OCF_RESKEY_yellow_limit=0", "OCF_RESKEY_red_limit=0"); rc != 0 || value("#health-cpu") == "none" {
		t.Errorf("HealthCPU monitor: %d, %s\n%s", rc, value("#health-cpu"), out)
	}
}
