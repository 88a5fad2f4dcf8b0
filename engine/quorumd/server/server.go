package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
)

// Options say how a server is run; the flags of belay-quorumd have the same names.
type Options struct {
	Name     string // shown to clients; default the host's name
	Config   string // file
	StateDir string
	Listen   string // for clients, host:port
	Status   string // for the status page, host:port; "" for none
	Socket   string // of the administrator; "" for none
	Version  string
	Log      *slog.Logger
	Ready    func() // is called once it listens
}

// Server is one belay-quorumd.
type Server struct {
	opts       Options
	log        *slog.Logger
	base       time.Time
	tls        *tls.Config
	cert       *tls.Certificate
	listener   net.Listener
	status     net.Listener
	admin      net.Listener
	journal    *journal
	audit      *audit.Log
	handshakes chan struct{}
	wake       chan struct{} // the time of the next Tick may have changed
	commits    *commits
	work       sync.WaitGroup

	mu       sync.Mutex // around what follows
	arbiter  *quorumd.Arbiter
	pins     map[string]int // connections by key
	conns    map[uint64]*conn
	lastConn uint64
	wakeAt   time.Time
	told     map[quorumd.NoticeKind]tellRate
	expired  map[string]bool // keys whose certificate has ended, told once
	failed   error
}

// FileKey is the server's private key in its state directory.
const FileKey = "quorumd.key"

// New reads the configuration and the state, and opens the ports; Run serves.
func New(o Options) (_ *Server, err error) {
	s := &Server{
		opts: o, log: o.Log, base: time.Now().Round(0).Add(-bootTime()), handshakes: make(chan struct{}, handshakesMax), wake: make(chan struct{}, 1),
		pins: map[string]int{}, conns: map[uint64]*conn{}, told: map[quorumd.NoticeKind]tellRate{}, expired: map[string]bool{}, commits: newCommits(),
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.opts.Name == "" {
		if s.opts.Name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name of this host: %w", err)
		}
	}
	if err = os.MkdirAll(o.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	config, err := loadConfig(o.Config)
	if err != nil {
		return nil, err
	}
	if s.cert, err = pki.LoadOrMakeKey(filepath.Join(o.StateDir, FileKey), s.opts.Name, time.Now()); err != nil {
		return nil, err
	}
	s.tls = pki.PinnedServer(s.cert, s.check)
	var saved []quorumd.Saved
	if s.journal, saved, err = openJournal(o.StateDir); err != nil {
		return nil, err
	}
	var torn string
	if s.audit, torn, err = audit.Open(filepath.Join(o.StateDir, "audit")); err != nil {
		return nil, err
	}
	if torn != "" {
		s.log.Warn("the audit log ended in the middle of a record", "file", torn)
	}
	s.arbiter = quorumd.New(s.opts.Name, saved, s.now())
	s.arbiter.Configure(s.now(), config)
	for _, l := range []struct {
		to   *net.Listener
		addr string
	}{{&s.listener, o.Listen}, {&s.status, o.Status}} {
		if l.addr == "" {
			continue
		}
		if *l.to, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", l.addr); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	if o.Socket != "" {
		_ = os.Remove(o.Socket) // of an earlier process; the lock of the state directory says that there is no other
		if s.admin, err = (&net.ListenConfig{}).Listen(context.Background(), "unix", o.Socket); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		if err = os.Chmod(o.Socket, 0o600); err != nil {
			return nil, fmt.Errorf("protect the socket: %w", err)
		}
	}
	return s, nil
}

// Addr is where clients are listened for.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// StatusAddr is where the status page is.
func (s *Server) StatusAddr() net.Addr { return s.status.Addr() }

// Pin is the pin of the server's key.
func (s *Server) Pin() string { return pki.Pin(s.cert.Leaf) }

func (s *Server) close() {
	for _, l := range []net.Listener{s.listener, s.status, s.admin} {
		if l != nil {
			_ = l.Close()
		}
	}
	if s.journal != nil {
		s.journal.close()
	}
	if s.audit != nil {
		_ = s.audit.Close()
	}
}

// Run serves until ctx ends, or until the state can't be made durable any more:
// then nothing is answered, which is safe.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer s.close()
	s.work.Go(func() { cancel(s.commitLoop(ctx)) })
	s.work.Go(func() { s.tickLoop(ctx) })
	s.work.Go(func() { s.acceptLoop(ctx) })
	var web []*http.Server
	for _, h := range []struct {
		l net.Listener
		h http.Handler
	}{{s.status, s.statusPage()}, {s.admin, s.adminPage()}} {
		if h.l == nil {
			continue
		}
		srv := &http.Server{Handler: h.h, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
		web = append(web, srv)
		s.work.Go(func() { _ = srv.Serve(h.l) })
	}
	s.log.Info("belay-quorumd serves", "listen", s.listener.Addr().String(), "key", s.Pin(), "version", s.opts.Version)
	if s.opts.Ready != nil {
		s.opts.Ready()
	}
	<-ctx.Done()
	_ = s.listener.Close()
	for _, srv := range web {
		_ = srv.Close()
	}
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.net.NetConn().Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// now is the steady clock: CLOCK_BOOTTIME goes on in a suspended machine.
func (s *Server) now() time.Time { return s.base.Add(bootTime()) }

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME cannot be read: " + err.Error()) // Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}

func (s *Server) acceptLoop(ctx context.Context) {
	for ctx.Err() == nil {
		raw, err := s.listener.Accept()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				s.log.Error("connections can't be accepted", "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond): // out of descriptors: others must end first
				}
				continue
			}
			return
		}
		s.work.Go(func() { s.serve(ctx, raw) })
	}
}

// tickLoop lets the arbiter act when time alone changes something.
func (s *Server) tickLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
			s.do(nil, func(now time.Time) []quorumd.Effect { return s.arbiter.Tick(now) })
		}
		s.mu.Lock()
		wait := time.Hour
		if at := s.arbiter.NextWake(); !at.IsZero() {
			wait = max(time.Millisecond, at.Sub(s.now()))
		}
		s.wakeAt = s.arbiter.NextWake()
		s.mu.Unlock()
		timer.Reset(wait)
	}
}

// check refuses clients whose key nobody has. A certificate that has ended is no
// reason: its key is what is pinned, and the cluster must not go down for a date.
func (s *Server) check(pin string, notAfter time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.arbiter.Known(pin) {
		s.arbiter.Stranger()
		return fmt.Errorf("%w: %s is no client's", pki.ErrPin, pin)
	}
	if ended := time.Now().After(notAfter); ended != s.expired[pin] {
		s.expired[pin] = ended
		if ended {
			s.tell(quorumd.Notice{Kind: noticeExpired, Text: fmt.Sprintf("the certificate around key %s ended %s; the key is good", pin, notAfter.Format(time.DateOnly))})
		}
	}
	return nil
}

func (s *Server) stranger(from string, err error) {
	kind := noticeHandshake
	if errors.Is(err, pki.ErrPin) {
		kind = noticeStranger
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(quorumd.Notice{Kind: kind, Text: from + ": " + err.Error()})
}

// connect makes a connection known; false: there are too many with that key.
func (s *Server) connect(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins[c.pin] >= perKeyMax {
		s.tell(quorumd.Notice{Kind: quorumd.NoticeProtocol, Text: c.from + ": too many connections with one key"})
		return false
	}
	s.pins[c.pin]++
	s.lastConn++
	c.id = s.lastConn
	s.conns[c.id] = c
	s.arbiter.Connect(c.id, c.pin)
	return true
}

func (s *Server) disconnect(c *conn) {
	s.do(nil, func(time.Time) []quorumd.Effect {
		if s.pins[c.pin]--; s.pins[c.pin] == 0 {
			delete(s.pins, c.pin)
		}
		effects := s.arbiter.Disconnect(c.id)
		delete(s.conns, c.id)
		return effects
	})
}

// receive gives a request to the arbiter; false: the connection ends.
func (s *Server) receive(c *conn, r *quorumd.Request) bool {
	s.do(c, func(now time.Time) []quorumd.Effect { return s.arbiter.Receive(now, c.id, r) })
	return !c.ends()
}

func (s *Server) malformed(c *conn, err error) {
	s.do(c, func(time.Time) []quorumd.Effect { return s.arbiter.Malformed(c.id, err) })
}

// do runs the arbiter and sees to its effects. Answers to the connection whose
// goroutine this is are written by it.
func (s *Server) do(own *conn, f func(now time.Time) []quorumd.Effect) {
	s.mu.Lock()
	if s.failed != nil {
		s.mu.Unlock()
		return
	}
	effects := f(s.now())
	direct := s.sort(effects)
	if at := s.arbiter.NextWake(); at.IsZero() != s.wakeAt.IsZero() || at.Before(s.wakeAt) {
		s.wakeAt = at
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	for _, d := range direct {
		d.perform(own)
	}
}

// delivery is an answer, or the end of a connection.
type delivery struct {
	conn  *conn
	reply *quorumd.Reply // nil: end it
}

func (d delivery) perform(own *conn) {
	if d.reply == nil {
		d.conn.end(d.conn == own)
		return
	}
	d.conn.send(d.reply, d.conn == own)
}

// sort splits effects into what may be said at once and what must wait for the
// disk. While anything is on its way to the disk, every answer that gives something
// waits behind it: what it says may depend on that. s.mu is held.
func (s *Server) sort(effects []quorumd.Effect) (direct []delivery) {
	saving := s.commits.busy()
	for i := range effects {
		switch x := effects[i].(type) {
		case quorumd.Save:
			s.commits.save(x.Saved)
			saving = true
		case quorumd.Notice:
			s.tell(x)
		case quorumd.Send:
			c := s.conns[x.Conn]
			if c == nil {
				continue
			}
			d := delivery{c, &x.Reply}
			if saving && gives(&x.Reply) {
				s.commits.deliver(d)
				continue
			}
			direct = append(direct, d)
		case quorumd.Close:
			if c := s.conns[x.Conn]; c != nil {
				direct = append(direct, delivery{conn: c})
			}
		}
	}
	return direct
}

// gives reports whether a reply lets somebody act.
func gives(r *quorumd.Reply) bool {
	return r.Answer == quorumd.Have || r.Type == quorumd.Opened || r.Type == quorumd.Granted || r.Type == quorumd.Freed || len(r.Tickets) > 0
}

// Reload reads the configuration anew.
func (s *Server) Reload() error {
	config, err := loadConfig(s.opts.Config)
	if err != nil {
		s.log.Error("the configuration is not changed", "err", err)
		return err
	}
	s.do(nil, func(now time.Time) []quorumd.Effect { return s.arbiter.Configure(now, config) })
	s.log.Info("the configuration was read", "clusters", len(config.Clusters), "tickets", len(config.Tickets))
	return nil
}
