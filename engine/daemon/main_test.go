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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/store"
)

// The test binary is also the store's member, and the tools that agents call.
func TestMain(m *testing.M) {
	ctx := context.Background()
	switch {
	case len(os.Args) == 3 && os.Args[1] == "etcd":
		if err := store.ServeChild(ctx, os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	case slices.Contains(shim.Tools(), filepath.Base(os.Args[0])):
		os.Exit(shim.Main(ctx, os.Args, os.Getenv, shim.Dial(os.Getenv(shim.SocketVariable), os.Getenv(shim.TokenVariable)), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// testDaemon is a daemon in this process, with a store member of its own as a
// child.
type testDaemon struct {
	*Daemon
	t    testing.TB
	log  *logBuffer
	http *http.Client
	stop func() // ends it and waits; safe twice
}

// newTestDaemon starts a daemon on a node that is in no cluster. It ends with the
// test.
func newTestDaemon(t testing.TB) *testDaemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "bd") //nolint:usetesting // other users must find the socket, and its path must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return startDaemon(t, dir)
}

// startDaemon starts a daemon with the state that is in dir.
func startDaemon(t testing.TB, dir string) *testDaemon {
	t.Helper()
	shims, err := linkShims(filepath.Join(dir, "shim"), testProgram(t, dir))
	must(t, err)
	log := &logBuffer{}
	level := &slog.LevelVar{}
	level.Set(slog.LevelDebug)
	ready := make(chan struct{})
	d, err := New(Options{
		StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), Socket: filepath.Join(dir, "s"), Version: "test", BootID: "boot-1",
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})), Level: level, ShimDir: shims, LogLevelStore: "error",
		Ready: func() { close(ready) },
		Query: func(_, text string) error {
			if !strings.HasPrefix(text, "SELECT") {
				return errors.New("it selects nothing")
			}
			return nil
		},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	td := &testDaemon{Daemon: d, t: t, log: log}
	td.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the daemon ended with: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the daemon does not end")
		}
	})
	t.Cleanup(func() {
		td.stop()
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", log)
		}
	})
	td.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var nd net.Dialer
		return nd.DialContext(ctx, "unix", d.opts.Socket)
	}}}
	t.Cleanup(td.http.CloseIdleConnections)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the daemon ended: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the socket is not served")
	}
	return td
}

// testProgram puts this test binary where other users find it too.
func testProgram(t testing.TB, dir string) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	program := filepath.Join(dir, "belay-shim")
	if err := os.Link(exe, program); err == nil || errors.Is(err, os.ErrExist) {
		return program
	}
	from, err := os.Open(exe)
	must(t, err)
	defer from.Close()
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, errors.Join(err, to.Close()))
	return program
}

// newTestCluster starts a daemon and makes a cluster of its node n1, which starts
// resources without fencing.
func newTestCluster(t testing.TB) *testDaemon {
	t.Helper()
	d := newTestDaemon(t)
	d.init()
	return d
}

// testInit is the request for a cluster on loopback.
func testInit(t testing.TB) *api.Init {
	t.Helper()
	off := false
	return &api.Init{
		Cluster: "test", Node: "n1", Addresses: []string{"127.0.0.1"}, Ports: freePorts(t),
		Options: cib.Options{FencingRequired: &off, Detection: cib.Duration(500 * time.Millisecond)},
	}
}

func (d *testDaemon) init() {
	d.t.Helper()
	var joined api.Joined
	must(d.t, d.post("/v1/cluster/init", testInit(d.t), &joined))
	if joined.Cluster != "test" || joined.Node != "n1" || !joined.Voter {
		d.t.Fatalf("made %+v", joined)
	}
}

func freePorts(t testing.TB) cib.Ports {
	t.Helper()
	var out [4]int
	for i := range out { // all are held until the last is known
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		out[i] = l.Addr().(*net.TCPAddr).Port
	}
	return cib.Ports{Heartbeat: out[0], Store: out[1], StorePeer: out[2], API: out[3]}
}

// get and post ask at the socket. A refusal is an *api.Problem.
func (d *testDaemon) get(path string, out any) error {
	d.t.Helper()
	return d.ask(http.MethodGet, path, nil, out)
}

func (d *testDaemon) post(path string, in, out any) error {
	d.t.Helper()
	b, ok := in.([]byte)
	if !ok {
		var err error
		b, err = json.Marshal(in)
		must(d.t, err)
	}
	return d.ask(http.MethodPost, path, b, out)
}

func (d *testDaemon) ask(method, path string, in []byte, out any) error {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://belayd"+path, bytes.NewReader(in))
	must(d.t, err)
	resp, err := d.http.Do(req)
	must(d.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(d.t, err)
	if resp.StatusCode != http.StatusOK {
		p := &api.Problem{}
		if json.Unmarshal(data, p) != nil || p.Code == "" {
			d.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, data)
		}
		if p.Status != resp.StatusCode {
			d.t.Errorf("%s %s: status %d stands in an answer with %d", method, path, p.Status, resp.StatusCode)
		}
		return p
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// change makes a change, which must succeed.
func (d *testDaemon) change(ch *api.Change) *api.ChangeResult {
	d.t.Helper()
	var out api.ChangeResult
	must(d.t, d.post("/v1/change", ch, &out))
	return &out
}

// apply merges a document into the configuration.
func (d *testDaemon) apply(doc string) *api.ChangeResult {
	d.t.Helper()
	return d.change(&api.Change{Action: api.ActionApply, Object: "cluster", Value: json.RawMessage(doc), Merge: true})
}

// refused checks that an error is a problem with that code, and returns it.
func refused(t testing.TB, err error, code string) *api.Problem {
	t.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Code != code {
		t.Fatalf("%v, want %s", err, code)
	}
	return p
}

// snapshot is the newest that the engine has.
func (d *testDaemon) snapshot() *cib.Snapshot {
	d.t.Helper()
	s, err := d.engine.Load().current()
	must(d.t, err)
	return s
}

// await waits until a snapshot is as wanted.
func (d *testDaemon) await(what string, ok func(s *cib.Snapshot) bool) *cib.Snapshot {
	d.t.Helper()
	e, deadline := d.engine.Load(), time.After(30*time.Second)
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil && ok(s) {
			return s
		}
		select {
		case <-next:
		case <-deadline:
			d.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// online waits until the node is a member that may host resources.
func (d *testDaemon) online() {
	d.t.Helper()
	d.await("n1 is online", func(s *cib.Snapshot) bool {
		st := s.Status.Nodes["n1"]
		return st != nil && st.State == cib.NodeOnline && s.Status.View.Has("n1")
	})
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write takes a line.
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String gives all lines.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// awaitEngineUp waits until the engine of a node that was in a cluster before has
// read its state.
func (d *testDaemon) awaitEngineUp() {
	d.t.Helper()
	d.awaitTrue("the engine", func() bool { e := d.engine.Load(); return e != nil && e.opened.Load() && e.snap.Load() != nil })
}

// awaitTrue waits for what no snapshot shows.
func (d *testDaemon) awaitTrue(what string, ok func() bool) {
	d.t.Helper()
	tick, deadline := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("waited in vain: %s", what)
		}
	}
}
