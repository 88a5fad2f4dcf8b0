package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// Target says which remote node to connect to, and how.
type Target struct {
	Remote  string
	Address string // host:port
	Epoch   uint64
	Proxy   string
	TLS     *tls.Config
	// Valid is how long this node may act from now on.
	Valid func() time.Duration
	Log   *slog.Logger
}

// Info is what a remote node says of itself.
type Info struct {
	BootID  string
	Version string
	Cores   int
}

// ErrRefused says that who answered is not the remote node that was meant, or does not
// take the connection.
var ErrRefused = errors.New("refused")

// Link is the proxy's side of a connection. It is made anew when it breaks, with the
// same epoch, until Close.
type Link struct {
	Target
	Info   Info
	ctx    context.Context //nolint:containedctx // the life of the connection, which Close ends
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	up      *wire         // nil while there is no connection
	changed chan struct{} // closed when up changes, or something was heard
	heard   time.Time
	next    uint64
	waits   map[uint64]chan done
}

// redialPause is the time between two tries to connect anew.
const redialPause = 500 * time.Millisecond

// Dial connects. What ctx says is only about the first connection.
func Dial(ctx context.Context, t Target) (*Link, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &Link{Target: t, ctx: life, cancel: cancel, changed: make(chan struct{}), waits: map[uint64]chan done{}}
	var w *wire
	for {
		var err error
		if w, l.Info, err = l.dial(ctx); err == nil {
			break
		}
		if errors.Is(err, ErrRefused) {
			cancel()
			return nil, err
		}
		select { // the remote node may be booting: its time-out bounds that
		case <-ctx.Done():
			cancel()
			return nil, err
		case <-time.After(redialPause):
		}
	}
	l.set(w)
	l.work.Go(func() { l.keep(w) })
	return l, nil
}

// Close ends the connection. What runs over it ends over there.
func (l *Link) Close() {
	l.cancel()
	l.mu.Lock()
	if l.up != nil {
		_ = l.up.c.Close()
	}
	l.mu.Unlock()
	l.work.Wait()
}

func (l *Link) dial(ctx context.Context) (*wire, Info, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeMax)
	defer cancel()
	c, err := (&tls.Dialer{Config: l.TLS}).DialContext(ctx, "tcp", l.Address)
	if errors.Is(err, pki.ErrPeer) {
		return nil, Info{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("connect to remote node %s: %w", l.Remote, err)
	}
	stop := context.AfterFunc(l.ctx, func() { _ = c.Close() })
	defer stop()
	w := newWire(c)
	err = w.write(frame{Hello: &hello{Protocol: protocol, Remote: l.Remote, Proxy: l.Proxy, Epoch: l.Epoch}})
	var f frame
	if err == nil {
		f, err = w.read()
	}
	switch {
	case err != nil:
	case f.Welcome == nil:
		err = fmt.Errorf("%w: it speaks another protocol", ErrRefused)
	case f.Welcome.Error != "":
		err = fmt.Errorf("%w: %s", ErrRefused, f.Welcome.Error)
	default:
		return w, Info{BootID: f.Welcome.BootID, Version: f.Welcome.Version, Cores: f.Welcome.Cores}, nil
	}
	_ = c.Close()
	return nil, Info{}, fmt.Errorf("greet remote node %s: %w", l.Remote, err)
}

// keep reads from the connection, and makes a new one when it breaks.
func (l *Link) keep(w *wire) {
	for {
		err := l.read(w)
		_ = w.c.Close()
		l.set(nil)
		if l.ctx.Err() != nil {
			return
		}
		l.Log.Warn("the connection to a remote node broke", "remote", l.Remote, "err", err)
		for w = nil; w == nil; {
			var info Info
			if w, info, err = l.dial(l.ctx); err == nil && info.BootID != l.Info.BootID {
				_ = w.c.Close() // what was known of it is over: the monitor of the connection fails
				return
			} else if errors.Is(err, ErrRefused) {
				l.Log.Warn("a remote node does not take the connection again", "remote", l.Remote, "err", err)
				return
			}
			if w != nil {
				break
			}
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(redialPause):
			}
		}
		l.set(w)
	}
}

func (l *Link) read(w *wire) error {
	for {
		f, err := w.read()
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.heard = time.Now()
		if d := f.Done; d != nil {
			if c := l.waits[d.ID]; c != nil {
				delete(l.waits, d.ID)
				c <- *d
			}
		}
		l.mu.Unlock()
		if f.Ping == nil {
			continue
		}
		if err := w.write(frame{Pong: &pong{Nonce: f.Ping.Nonce, Valid: max(0, l.Valid())}}); err != nil {
			return err
		}
	}
}

// set takes a connection into use, or out of it: what waited for an answer over the
// old one gets none.
func (l *Link) set(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = w
	if l.heard = time.Now(); w == nil {
		l.heard = time.Time{}
	}
	for id, c := range l.waits {
		delete(l.waits, id)
		close(c)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Check waits until the remote node was heard lately; false if it was not in time.
func (l *Link) Check(ctx context.Context) bool {
	for {
		l.mu.Lock()
		heard, changed := l.heard, l.changed
		l.mu.Unlock()
		if time.Since(heard) < 3*pingEvery {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-l.ctx.Done():
			return false
		case <-changed:
		case <-time.After(pingEvery / 4):
		}
	}
}

// Run runs an agent on the remote node. Where the connection breaks meanwhile, what
// becomes of it is not known: status unknown. Cancelling ctx kills the agent. What has to
// do with another node does not wait for a connection that is being made anew: who asked
// looked at that node now.
func (l *Link) Run(ctx context.Context, q agent.Request) (agent.Result, []string) {
	wait, cancel := context.WithTimeout(ctx, max(q.Timeout, pingEvery))
	defer cancel()
	notRun := agent.Result{Status: cib.OpNotRun, Reason: "remote node " + l.Remote + " is not connected"}
	var w *wire
	var id uint64
	c := make(chan done, 1)
	for w == nil {
		l.mu.Lock()
		w = l.up
		changed := l.changed
		if w != nil {
			l.next++
			id = l.next
			l.waits[id] = c
		}
		l.mu.Unlock()
		if w != nil {
			break
		}
		if q.Op == cib.OpMigrateTo {
			return notRun, nil
		}
		select {
		case <-wait.Done():
			return notRun, nil
		case <-l.ctx.Done():
			return notRun, nil
		case <-changed:
		}
	}
	unknown := agent.Result{Status: cib.OpUnknown, RC: cib.GenericError, Reason: "the connection to remote node " + l.Remote + " broke", Ended: time.Now()}
	if err := w.write(frame{Run: &run{ID: id, Request: q}}); err != nil {
		_ = w.c.Close() // its reader sees it
	}
	kills := ctx.Done()
	for {
		select {
		case d, ok := <-c:
			if !ok {
				return unknown, nil
			}
			return d.Result, d.Reloadable
		case <-kills:
			kills = nil
			_ = w.write(frame{Kill: &kill{ID: id}})
		case <-l.ctx.Done():
			return unknown, nil
		}
	}
}

// Address joins host and port.
func Address(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
