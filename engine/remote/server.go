package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// Runner runs agents.
type Runner interface {
	Run(ctx context.Context, q agent.Request) agent.Result
	Metadata(ctx context.Context, id agent.ID) (*meta.Metadata, error)
}

// Config is what a remote node needs to know.
type Config struct {
	Identity *pki.Identity
	BootID   string
	Version  string
	Cores    int
	Runner   Runner
	Now      func() time.Time // the clock on which the runner reads NotAfter
	Log      *slog.Logger
	// Epoch is the highest that was accepted in this boot. Keep is told of each one that
	// is accepted, one at a time.
	Epoch uint64
	Keep  func(epoch uint64) error
}

// Server is the remote node's side.
type Server struct {
	Config
	mu      sync.Mutex
	current *session
}

// session is one connection.
type session struct {
	*wire
	s      *Server
	epoch  uint64
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing of it runs any more

	mu    sync.Mutex
	runs  map[uint64]context.CancelFunc
	pings map[uint64]time.Time // when they were sent
	asked time.Time            // when the newest ping was sent that was answered
	until time.Time            // the proxy may act
	told  chan struct{}        // closed with the next answer to a ping
	work  sync.WaitGroup
}

// permitMax is how long an agent waits until the proxy may act, as far as is known here:
// where validity is short, the last answer to a ping is soon out of date.
const permitMax = 5 * time.Second

// handshakeMax bounds what a connection may take until it has said hello.
const handshakeMax = 5 * time.Second

// connectionsMax bounds the connections that have not said hello yet.
const connectionsMax = 16

// NewServer returns a server; [Server.Serve] begins it.
func NewServer(cfg Config) *Server { return &Server{Config: cfg} }

// Serve runs agents for the proxies that connect, until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	tc := s.Identity.ServerConfig(pki.Check{})
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() {
		<-ctx.Done()
		_ = ln.Close()
	})
	slots := make(chan struct{}, connectionsMax)
	for {
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("accept a proxy: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		work.Go(func() {
			defer func() { <-slots }()
			if err := s.serve(ctx, tls.Server(c, tc)); err != nil && ctx.Err() == nil {
				s.Log.Info("a connection ended", "from", c.RemoteAddr().String(), "err", err)
			}
		})
	}
}

func (s *Server) serve(ctx context.Context, c *tls.Conn) error {
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(handshakeMax)); err != nil {
		return err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	proxy := pki.NodeOf(c.ConnectionState())
	w := newWire(c)
	f, err := w.read()
	if err != nil {
		return err
	}
	if f.Hello == nil || f.Hello.Protocol != protocol {
		return w.write(frame{Welcome: &welcome{Error: fmt.Sprintf("this release speaks version %d of the protocol", protocol)}})
	}
	h := f.Hello
	if name := s.Identity.Name(); h.Remote != name {
		return w.write(frame{Welcome: &welcome{Error: "this is remote node " + name}})
	}
	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &session{
		wire: w, s: s, epoch: h.Epoch, cancel: cancel, ended: make(chan struct{}), runs: map[uint64]context.CancelFunc{}, pings: map[uint64]time.Time{}, told: make(chan struct{}),
	}
	defer close(x.ended)
	if err := s.take(ctx, x); err != nil {
		return errors.Join(err, w.write(frame{Welcome: &welcome{Error: err.Error()}}))
	}
	s.Log.Info("connected", "proxy", proxy, "from", c.RemoteAddr().String(), "epoch", h.Epoch)
	if err := w.write(frame{Welcome: &welcome{BootID: s.BootID, Version: s.Version, Cores: s.Cores}}); err != nil {
		return err
	}
	stop := context.AfterFunc(sctx, func() { _ = c.Close() })
	defer stop()
	x.work.Go(func() { x.ping(sctx) })
	err = x.listen(sctx)
	cancel()
	x.work.Wait()
	return err
}

// take makes a connection the current one, once nothing of the one before runs.
func (s *Server) take(ctx context.Context, x *session) error {
	s.mu.Lock()
	if x.epoch < s.Epoch {
		s.mu.Unlock()
		return fmt.Errorf("a newer connection was made: epoch %d, this one is %d", s.Epoch, x.epoch)
	}
	if err := s.Keep(x.epoch); err != nil {
		s.mu.Unlock()
		return err
	}
	old := s.current
	s.Epoch, s.current = x.epoch, x
	s.mu.Unlock()
	if old == nil {
		return nil
	}
	old.cancel()
	select {
	case <-old.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ping asks the proxy how long it may act.
func (x *session) ping(ctx context.Context) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		nonce := rand.Uint64() //nolint:gosec // the connection is authentic; the number only names the question
		x.mu.Lock()
		for n, at := range x.pings {
			if x.s.Now().Sub(at) > silentMax {
				delete(x.pings, n)
			}
		}
		x.pings[nonce] = x.s.Now()
		x.mu.Unlock()
		if x.write(frame{Ping: &ping{nonce}}) != nil {
			x.cancel()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (x *session) listen(ctx context.Context) error {
	for {
		f, err := x.read()
		if err != nil {
			return err
		}
		switch {
		case f.Run != nil:
			x.start(ctx, f.Run)
		case f.Kill != nil:
			x.mu.Lock()
			if cancel := x.runs[f.Kill.ID]; cancel != nil {
				cancel()
			}
			x.mu.Unlock()
		case f.Pong != nil:
			x.permit(f.Pong)
		}
	}
}

// permit takes the answer to a ping.
func (x *session) permit(p *pong) {
	x.mu.Lock()
	defer x.mu.Unlock()
	sent, ok := x.pings[p.Nonce]
	if !ok {
		return
	}
	delete(x.pings, p.Nonce)
	x.asked = sent
	x.until = sent.Add(p.Valid) // also shorter than before: the newest word counts
	close(x.told)
	x.told = make(chan struct{})
}

// runsMax bounds what one proxy has running here.
const runsMax = 1024

func (x *session) start(ctx context.Context, r *run) {
	ctx, cancel := context.WithCancel(ctx)
	x.mu.Lock()
	full := len(x.runs) >= runsMax
	if !full {
		x.runs[r.ID] = cancel
	}
	x.mu.Unlock()
	if full {
		cancel()
		_ = x.write(frame{Done: &done{ID: r.ID, Result: agent.Result{Status: cib.OpNotRun, Reason: "too much runs on this node"}}})
		return
	}
	x.work.Go(func() {
		defer cancel()
		d := done{ID: r.ID}
		d.Result, d.Reloadable = x.run(ctx, r)
		x.mu.Lock()
		delete(x.runs, r.ID)
		x.mu.Unlock()
		_ = x.write(frame{Done: &d}) // a connection that is gone is noticed by its reader
	})
}

func (x *session) run(ctx context.Context, r *run) (agent.Result, []string) {
	wait, cancel := context.WithTimeout(ctx, permitMax)
	defer cancel()
	q := r.Request
	var asked time.Time
	for {
		x.mu.Lock()
		until, told := x.until, x.told
		asked = x.asked
		x.mu.Unlock()
		if q.NotAfter = until; x.s.Now().Before(until) {
			break
		}
		select {
		case <-told:
			continue
		case <-wait.Done():
		}
		return agent.Result{Status: cib.OpNotRun, Reason: "the proxy did not say that it may act"}, nil
	}
	age := x.s.Now().Sub(asked)
	// Answers and orders come in the order in which they were sent: an order is no older
	// than the question before the answer that came last.
	if q.Op == cib.OpMigrateTo && age > freshMax {
		return agent.Result{Status: cib.OpNotRun, Reason: "the order to migrate came late: its target may be in another boot"}, nil
	}
	q.Node, q.NodeID = "", ""
	res := x.s.Runner.Run(ctx, q)
	starts := q.Op == cib.OpStart || q.Op == cib.OpMigrateFrom || q.Op == cib.OpMonitor && q.Interval == 0
	if !starts || res.Status != cib.OpDone || res.RC != cib.OK && res.RC != cib.RunningPromoted {
		return res, nil
	}
	mctx, cancel := context.WithTimeout(ctx, permitMax)
	defer cancel()
	m, err := x.s.Runner.Metadata(mctx, q.Agent)
	if err != nil {
		x.s.Log.Debug("which parameters can be reloaded is not known", "agent", q.Agent.String(), "err", err)
	}
	return res, m.Reloadable()
}
