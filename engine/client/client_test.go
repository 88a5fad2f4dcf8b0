package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// serve answers at a unix socket and returns its client.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	c := New(socket)
	t.Cleanup(c.Close)
	return c
}

func code(err error) string {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Code
	}
	return fmt.Sprint(err)
}

func TestReads(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			_ = json.NewEncoder(w).Encode(status.Summary{Revision: 7})
		case "/v1/explain/resource/a.b":
			fmt.Fprint(w, `{"resource": "a.b", "newer": true}`)
		case "/v1/agents/ocf:heartbeat:IPaddr2":
			fmt.Fprint(w, `{"name": "IPaddr2"}`)
		case "/v1/events":
			fmt.Fprintln(w, `{"seq": 1, "code": "BLY3001", "severity": "cleared"}`)
			fmt.Fprintln(w, `{"seq": 2, "code": "BLY3002", "severity": "major"}`)
		default:
			p := api.NewProblem(api.CodeNotFound, "no "+r.URL.Path, api.Fault{Path: "a", Text: "b"})
			w.WriteHeader(p.Status)
			_ = json.NewEncoder(w).Encode(p)
		}
	})
	if s, err := c.Status(t.Context(), true); err != nil || s.Revision != 7 {
		t.Error(s, err)
	}
	if x, err := c.Explain(t.Context(), "a.b"); err != nil || x.Resource != "a.b" {
		t.Error(x, err)
	}
	if m, err := c.Agent(t.Context(), "ocf:heartbeat:IPaddr2"); err != nil || string(m) != `{"name": "IPaddr2"}` {
		t.Error(string(m), err)
	}
	var seqs []uint64
	if err := c.Events(t.Context(), 0, false, func(e *cib.Event) error { seqs = append(seqs, e.Seq); return nil }); err != nil || len(seqs) != 2 {
		t.Error(seqs, err)
	}
	_, err := c.Plan(t.Context())
	if p := (*api.Problem)(nil); !errors.As(err, &p) || p.Code != api.CodeNotFound || len(p.Faults) != 1 {
		t.Error(err)
	}
}

// TestNobodyAnswers: what is wrong with the socket is told apart.
func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	if _, err := New(filepath.Join(dir, "none")).Local(t.Context()); code(err) != api.CodeNotRunning {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(filepath.Join(dir, "file")).Local(t.Context()); code(err) != api.CodeNotRunning {
		t.Error(err)
	}
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Local(ctx); code(err) != api.CodeTimeout {
		t.Error(err)
	}
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "<html>")
	})
	if _, err := c.Local(t.Context()); code(err) != api.CodeDefect {
		t.Error(err)
	}
}

// TestChangeIsSentOnce: only a change with a RequestID is sent again.
func TestChangeIsSentOnce(t *testing.T) {
	var n atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var ch api.Change
		_ = json.NewDecoder(r.Body).Decode(&ch)
		if n.Add(1) == 1 {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		_ = json.NewEncoder(w).Encode(api.ChangeResult{Generation: 8, RequestID: ch.RequestID})
	})
	if _, err := c.Change(t.Context(), &api.Change{Action: api.ActionStop, Object: "resource/web"}); code(err) != api.CodeNotRunning || n.Load() != 1 {
		t.Error(err, n.Load())
	}
	n.Store(0)
	if r, err := c.Change(t.Context(), &api.Change{Action: api.ActionStop, Object: "resource/web", RequestID: "r1"}); err != nil || r.RequestID != "r1" || n.Load() != 2 {
		t.Error(r, err, n.Load())
	}
	if _, err := c.Change(t.Context(), &api.Change{Value: json.RawMessage(`"` + strings.Repeat("x", api.BodyMaxBytes) + `"`)}); code(err) != api.CodeTooLarge {
		t.Error(err)
	}
}

// TestWatch: each line is a state; the caller's error ends the stream.
func TestWatch(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			_ = json.NewEncoder(w).Encode(status.Summary{Revision: int64(i)})
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	enough := errors.New("enough")
	if err := c.Watch(t.Context(), func(s *status.Summary) error {
		if s.Revision == 2 {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// TestEveryActionIsKnown: what the socket offers as a change of the configuration
// is what the model can edit.
func TestEveryActionIsKnown(t *testing.T) {
	elsewhere := map[api.Action]bool{
		api.ActionRollback: true, api.ActionCleanup: true, api.ActionRefresh: true, api.ActionFence: true,
		api.ActionConfirm: true, api.ActionDrain: true, api.ActionAcknowledge: true, api.ActionTestNotify: true,
	}
	for _, a := range api.Actions {
		if cib.Edits(string(a.Action)) == elsewhere[a.Action] {
			t.Errorf("%s: edits %t", a.Action, cib.Edits(string(a.Action)))
		}
	}
}
