package remote_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/remote"
)

// fake is a runner whose starts last until they are cancelled, and whose monitors say
// whether they came in time.
type fake struct {
	began  chan string
	killed atomic.Int32
}

func (f *fake) Run(ctx context.Context, q agent.Request) agent.Result {
	if !time.Now().Before(q.NotAfter) {
		return agent.Result{Status: cib.OpNotRun}
	}
	if q.Op == cib.OpStart {
		f.began <- q.Instance
		<-ctx.Done()
		f.killed.Add(1)
		return agent.Result{Status: cib.OpCancelled}
	}
	return agent.Result{Status: cib.OpDone, RC: cib.NotRunning, Stdout: q.Params["word"]}
}

func (f *fake) Metadata(context.Context, agent.ID) (*meta.Metadata, error) {
	return nil, errors.New("none")
}

// world is a remote node "far", and the identities of a cluster.
type world struct {
	t       *testing.T
	ca      *pki.CA
	runner  *fake
	address string
	epochs  []uint64
}

func (w *world) identity(n pki.Names) *pki.Identity {
	w.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := w.ca.Issue(n, key.Public(), time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := pki.NewIdentity(w.ca, cert, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func newWorld(t *testing.T, name string) *world {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ca: ca, runner: &fake{began: make(chan string, 10)}}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = ln.Addr().String()
	s := remote.NewServer(remote.Config{
		Identity: w.identity(pki.Names{Node: name, ServerOnly: true}), BootID: "boot-1", Version: "v", Cores: 2, Runner: w.runner, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Keep: func(e uint64) error { w.epochs = append(w.epochs, e); return nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) target(epoch uint64, valid time.Duration) remote.Target {
	return remote.Target{
		Remote: "far", Address: w.address, Epoch: epoch, Proxy: "n1", TLS: w.identity(pki.Names{Node: "n1"}).ClientConfig(pki.Check{Peer: "far"}),
		Valid: func() time.Duration { return valid }, Log: slog.New(slog.DiscardHandler),
	}
}

func (w *world) dial(t remote.Target) (*remote.Link, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	l, err := remote.Dial(ctx, t)
	if err == nil {
		w.t.Cleanup(l.Close)
	}
	return l, err
}

func monitor() agent.Request {
	return agent.Request{Op: cib.OpMonitor, Instance: "web", Params: map[string]string{"word": "hello"}, Timeout: 5 * time.Second}
}

// An agent is run over the connection; a newer connection ends what an older one had
// begun before it can do anything, and an older one is refused from then on.
func TestEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "far")
	first, err := w.dial(w.target(5, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if first.Info != (remote.Info{BootID: "boot-1", Version: "v", Cores: 2}) {
		t.Errorf("%+v", first.Info)
	}
	if res, _ := first.Run(t.Context(), monitor()); res.Status != cib.OpDone || res.RC != cib.NotRunning || res.Stdout != "hello" {
		t.Errorf("%+v", res)
	}
	if !first.Check(t.Context()) {
		t.Error("it does not answer")
	}
	done := make(chan agent.Result, 1)
	go func() {
		res, _ := first.Run(t.Context(), agent.Request{Op: cib.OpStart, Instance: "db", Timeout: time.Minute})
		done <- res
	}()
	if got := <-w.runner.began; got != "db" {
		t.Fatal(got)
	}
	second, err := w.dial(w.target(6, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if n := w.runner.killed.Load(); n != 1 {
		t.Errorf("%d agents of the older connection were ended", n)
	}
	if res := <-done; res.Status == cib.OpDone {
		t.Errorf("the older connection was told %+v", res)
	}
	if _, err := w.dial(w.target(5, time.Minute)); !errors.Is(err, remote.ErrRefused) || !strings.Contains(err.Error(), "newer connection") {
		t.Errorf("an older connection: %v", err)
	}
	if res, _ := second.Run(t.Context(), monitor()); res.Status != cib.OpDone {
		t.Errorf("%+v", res)
	}
}

// Nothing is started for a proxy that may not act.
func TestValidity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "far")
	l, err := w.dial(w.target(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if res, _ := l.Run(t.Context(), monitor()); res.Status != cib.OpNotRun {
		t.Errorf("%+v", res)
	}
}

// A remote node that shows another name is not taken; nor does a remote node take
// orders from who has the certificate of another one.
func TestNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "other")
	if _, err := w.dial(w.target(1, time.Minute)); !errors.Is(err, remote.ErrRefused) || !errors.Is(err, pki.ErrPeer) {
		t.Errorf("another name: %v", err)
	}
	w = newWorld(t, "far")
	bad := w.target(1, time.Minute)
	bad.TLS = w.identity(pki.Names{Node: "far2", ServerOnly: true}).ClientConfig(pki.Check{Peer: "far"})
	if _, err := w.dial(bad); err == nil {
		t.Error("a remote node gives orders to another one")
	}
	if len(w.epochs) != 0 {
		t.Errorf("accepted: %v", w.epochs)
	}
}
