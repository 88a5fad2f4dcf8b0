package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/quorumd/server"
)

// output is where the program and the command that it runs write, both at once.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// call runs the program and returns what it printed.
func call(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e output
	code = run(ctx, args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// A command runs while its ticket is held: it is told the term, another one has to
// wait, and it is ended when the arbitrator is gone.
func TestLeaseRun(t *testing.T) {
	dir := t.TempDir()
	keys := map[string]string{}
	conf := "clusters:\n  db:\n    nodes:\n"
	for _, n := range []string{"a", "b"} {
		keys[n] = filepath.Join(dir, n+".key")
		code, pin, errs := call(t.Context(), "lease", "key", "--key", keys[n])
		if code != 0 {
			t.Fatal(errs)
		}
		conf += fmt.Sprintf("      %s: [%q]\n", n, strings.TrimSpace(pin))
	}
	conf += "tickets:\n  primary: {expiry: 2s, acquire-after: 1s, clusters: {db: 1}}\n"
	path := filepath.Join(dir, "quorumd.yaml")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "admin.sock")
	q, err := server.New(server.Options{Name: "q", Config: path, StateDir: filepath.Join(dir, "state"), Listen: "127.0.0.1:0", Socket: socket, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	defer func() { stop(); <-ended }()

	lease := func(node string, args ...string) []string {
		return append([]string{
			"lease", "run", "--server", q.Addr().String(), "--pin", q.Pin(), "--key", keys[node], "--cluster", "db", "--node", node,
			"--ticket", "primary", "--grace", "300ms",
		}, args...)
	}
	code, out, errs := call(t.Context(), lease("a", "--", "sh", "-c", "echo $BELAY_TICKET $BELAY_TERM; exit 3")...)
	if code != 3 || out != "primary 1\n" {
		t.Errorf("the command: exit %d, %q, %s", code, out, errs)
	}
	code, out, errs = call(t.Context(), "status", "--socket", socket)
	if code != 0 || !strings.Contains(out, "primary") || !strings.Contains(out, "free") {
		t.Errorf("status: exit %d, %s%s", code, out, errs)
	}

	began := filepath.Join(dir, "began")
	done := make(chan int, 1)
	go func() {
		code, _, _ := call(t.Context(), lease("a", "--", "sh", "-c", "touch "+began+"; exec sleep 1000")...)
		done <- code
	}()
	look, late := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer look.Stop()
	for {
		if _, err := os.Stat(began); err == nil {
			break
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatal("the command was not started")
		}
	}
	code, _, errs = call(t.Context(), lease("b", "--wait", "700ms", "--", "true")...)
	if code != exitNoTicket || !strings.Contains(errs, "db/a has it") {
		t.Errorf("the other one: exit %d, %s", code, errs)
	}
	stop()
	select {
	case code := <-done:
		if code != exitNoTicket {
			t.Errorf("without the arbitrator the command ended with %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("without the arbitrator the command goes on")
	}
	if code, _, errs := call(t.Context(), "ticket", "grant"); code != 1 || errs == "" {
		t.Errorf("wrong usage: exit %d, %s", code, errs)
	}
}
