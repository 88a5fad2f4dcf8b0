// Package client talks to belay-quorumd: for Belay's engine, and for any other
// cluster stack that wants an arbitrator. docs/quorumd-protocol.md describes what it
// speaks.
//
// A [Client] keeps one connection, over TLS 1.3 with pinned keys on both sides, and
// beats all the time. [Client.Set] says what the next beats say; [Client.Status] is
// what is known of the server and what it has given. What was given ends by the
// client's own clock: counted from the moment when the request was sent that it
// answers, whatever happens to the server or the connection.
package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
)

// Config says whom to talk to, and as whom.
type Config struct {
	Addresses   []string         // host:port, tried one after the other
	Pins        []string         // of the servers' keys
	Cert        *tls.Certificate // our key, with any certificate around it
	Cluster     string
	Node        string
	Incarnation uint64        // rises with each start; 0: the wall clock
	Interval    time.Duration // between beats; default 1s
	// Now is a steady clock that goes on while the machine is suspended
	// (CLOCK_BOOTTIME); default time.Now.
	Now func() time.Time
}

// Claim is what the beats say.
type Claim struct {
	Generation quorumd.Generation
	Epoch      uint64
	Voters     []string // sorted
	Present    []string // sorted; the voters that are heard, this one among them
	// Episode must be another one whenever Present has changed, also when it has
	// changed back: while it stays, this node has heard no other voter than those
	// of Present, and answers none.
	Episode  uint64
	Want     bool // Present is exactly half of Voters and asks for quorum
	Lease    time.Duration
	Handover time.Duration // what the other half needs to stop at worst
	Quorate  bool          // this node speaks for its cluster: tickets are renewed
}

func (c *Claim) equal(o *Claim) bool {
	return c.Generation == o.Generation && c.Epoch == o.Epoch && c.Episode == o.Episode && c.Want == o.Want && c.Lease == o.Lease &&
		c.Handover == o.Handover && c.Quorate == o.Quorate && slices.Equal(c.Voters, o.Voters) && slices.Equal(c.Present, o.Present)
}

// Status is what is known of the server and what it gave.
type Status struct {
	Connected bool
	Server    string    // its name
	Heard     time.Time // its newest answer; zero: never
	Err       error     // why there is no connection

	// Answer is the newest one to a claim of Episode; a have is good until Until.
	Answer  quorumd.Answer
	Episode uint64
	Until   time.Time
	// Settled is when the hand-over delay has passed, as far as is known: from then
	// on the next generation may be opened. Zero: not known yet.
	Settled time.Time
	Code    string // of a no
	Reason  string

	// Judged is the generation of the data in the newest claim that was answered over
	// this connection, and Refusal why the server does not take it: it knows newer
	// data, or another history; "": it knows none that are newer.
	Judged  quorumd.Generation
	Refusal string

	Tickets map[string]Ticket
}

// Ticket is a ticket that this client holds, or held.
type Ticket struct {
	Held  bool
	Term  uint64
	Sent  time.Time // when the request was sent that it was granted or renewed by
	Until time.Time // without a renewal
	// After is how long nobody else gets it after Until, as far as is known.
	After time.Duration
	Code  string // why it is not held, for programs
	Text  string // the same for people
}

// Client talks to one arbitrator. Make one with New, then call Run.
type Client struct {
	cfg     Config
	changed chan struct{}
	kick    chan struct{}
	calls   chan *call

	mu     sync.Mutex
	claim  Claim
	status Status
}

// call is a request with an answer of its own.
type call struct {
	req  quorumd.Request
	sent time.Time
	done chan callResult
}

type callResult struct {
	reply *quorumd.Reply
	sent  time.Time
	err   error
}

// Times of a connection.
const (
	dialTimeout = 3 * time.Second
	retryMin    = 100 * time.Millisecond
	retryMax    = 2 * time.Second
	// silentBeats is how many beats in a row may stay without an answer before the
	// connection is given up.
	silentBeats = 4
)

// ErrNotConnected says that there is no connection.
var ErrNotConnected = errors.New("the arbitrator is not connected")

// New returns a client that does nothing until Run.
func New(cfg Config) *Client {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Incarnation == 0 {
		cfg.Incarnation = uint64(time.Now().UnixNano())
	}
	return &Client{cfg: cfg, changed: make(chan struct{}, 1), kick: make(chan struct{}, 1), calls: make(chan *call), status: Status{Tickets: map[string]Ticket{}}}
}

// Changed has something in it when Status has changed.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// Status is what is known now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Tickets = maps.Clone(s.Tickets)
	return s
}

// Set says what the beats say from now on; the first goes out at once. What was
// given to another episode is forgotten before Set returns.
func (c *Client) Set(claim Claim) {
	c.mu.Lock()
	same := c.claim.equal(&claim)
	c.claim = claim
	if c.status.Episode != claim.Episode || !claim.Want {
		c.status.Answer, c.status.Until, c.status.Settled, c.status.Code, c.status.Reason = "", time.Time{}, time.Time{}, "", ""
		c.status.Episode = claim.Episode
	}
	c.mu.Unlock()
	if !same {
		poke(c.kick)
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Run keeps a connection until ctx ends.
func (c *Client) Run(ctx context.Context) {
	pause := retryMin
	for n := 0; ctx.Err() == nil && len(c.cfg.Addresses) > 0; n++ {
		began := c.cfg.Now()
		err := c.session(ctx, c.cfg.Addresses[n%len(c.cfg.Addresses)])
		c.mu.Lock()
		c.status.Connected, c.status.Err = false, err
		c.mu.Unlock()
		poke(c.changed)
		if c.cfg.Now().Sub(began) > 2*retryMax {
			pause = retryMin
		}
		c.wait(ctx, pause)
		pause = min(2*pause, retryMax)
	}
}

// wait waits for the next try; calls meanwhile fail.
func (c *Client) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case call := <-c.calls:
			call.done <- callResult{err: ErrNotConnected}
		}
	}
}

// session is one connection, from dialling to its end.
func (c *Client) session(ctx context.Context, addr string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dctx, dialled := context.WithTimeout(ctx, dialTimeout)
	defer dialled()
	d := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 5 * time.Second}, Config: pki.PinnedClient(c.cfg.Cert, c.cfg.Pins...)}
	nc, err := d.DialContext(dctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() { _ = nc.Close() }()
	s := &session{Client: c, conn: nc, sent: map[uint64]sentBeat{}, waiting: map[uint64]*call{}}
	defer s.abandon()
	if err := s.write(&quorumd.Request{Type: quorumd.Hello, Version: quorumd.Version, Cluster: c.cfg.Cluster, Node: c.cfg.Node, Incarnation: c.cfg.Incarnation}); err != nil {
		return err
	}
	replies := make(chan *quorumd.Reply)
	ended := make(chan error, 1)
	reading.Go(func() { ended <- read(ctx, nc, replies) })
	ticker := time.NewTicker(c.cfg.Interval)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-ended:
		case r := <-replies:
			err = s.take(r)
		case <-c.kick:
			err = s.beat()
		case call := <-c.calls:
			err = s.call(call)
		case <-ticker.C:
			if err = s.silent(); err == nil {
				err = s.beat()
			}
		}
		if err != nil {
			return fmt.Errorf("arbitrator %s: %w", addr, err)
		}
	}
}

// read passes replies on until the connection ends.
func read(ctx context.Context, nc net.Conn, to chan<- *quorumd.Reply) error {
	sc := bufio.NewScanner(nc)
	sc.Buffer(make([]byte, 512), quorumd.LineMax)
	for sc.Scan() {
		r, err := quorumd.ParseReply(sc.Bytes())
		if err != nil {
			return err
		}
		select {
		case to <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return errors.New("it has closed the connection")
}

// session is one connection; the goroutine of Run owns it.
type session struct {
	*Client
	conn    net.Conn
	seq     uint64
	welcome bool
	last    *quorumd.Request // the newest full beat
	sent    map[uint64]sentBeat
	oldest  time.Time // of the beats without an answer
	waiting map[uint64]*call
}

// sentBeat is a beat without an answer.
type sentBeat struct {
	at         time.Time
	generation quorumd.Generation
}

func (s *session) write(r *quorumd.Request) error {
	s.seq++
	r.Seq = s.seq
	if err := s.conn.SetWriteDeadline(time.Now().Add(dialTimeout)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := s.conn.Write(quorumd.AppendRequest(nil, r)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// beat sends what the claim says.
func (s *session) beat() error {
	if !s.welcome {
		return nil
	}
	s.mu.Lock()
	cl := s.claim
	r := quorumd.Request{
		Type: quorumd.Beat, Generation: cl.Generation, Epoch: cl.Epoch, Voters: cl.Voters, Present: cl.Present, Episode: cl.Episode, Want: cl.Want,
		LeaseMs: cl.Lease.Milliseconds(), HandoverMs: cl.Handover.Milliseconds(), Quorate: cl.Quorate,
	}
	for _, name := range slices.Sorted(maps.Keys(s.status.Tickets)) {
		if t := s.status.Tickets[name]; t.Held {
			r.Tickets = append(r.Tickets, quorumd.Held{Ticket: name, Term: t.Term})
		}
	}
	s.mu.Unlock()
	at := s.cfg.Now()
	out := &r
	if s.last != nil && sameBeat(s.last, &r) {
		out = &quorumd.Request{Type: quorumd.Same}
	}
	if err := s.write(out); err != nil {
		return err
	}
	s.last = &r
	s.sent[s.seq] = sentBeat{at, r.Generation}
	if s.oldest.IsZero() {
		s.oldest = at
	}
	return nil
}

func sameBeat(a, b *quorumd.Request) bool {
	return a.Generation == b.Generation && a.Epoch == b.Epoch && a.Episode == b.Episode && a.Want == b.Want && a.LeaseMs == b.LeaseMs && a.HandoverMs == b.HandoverMs &&
		a.Quorate == b.Quorate && slices.Equal(a.Voters, b.Voters) && slices.Equal(a.Present, b.Present) && slices.Equal(a.Tickets, b.Tickets)
}

// silent ends a connection over which nothing comes any more.
func (s *session) silent() error {
	limit := silentBeats * s.cfg.Interval
	if now := s.cfg.Now(); !s.oldest.IsZero() && now.Sub(s.oldest) > limit {
		return fmt.Errorf("no answer for %s", now.Sub(s.oldest).Round(time.Millisecond))
	}
	return nil
}

func (s *session) call(c *call) error {
	if !s.welcome {
		c.done <- callResult{err: ErrNotConnected}
		return nil
	}
	c.sent = s.cfg.Now()
	if err := s.write(&c.req); err != nil {
		c.done <- callResult{err: err}
		return err
	}
	s.waiting[s.seq] = c
	return nil
}

func (s *session) abandon() {
	for _, c := range s.waiting {
		c.done <- callResult{err: ErrNotConnected}
	}
}

// take takes one reply.
func (s *session) take(r *quorumd.Reply) error {
	switch r.Type {
	case quorumd.Failure:
		return fmt.Errorf("it refuses us: %s (%s)", r.Text, r.Code)
	case quorumd.Poke:
		return s.beat()
	case quorumd.Welcome:
		s.welcome = true
		s.mu.Lock()
		s.status.Connected, s.status.Server, s.status.Heard, s.status.Err = true, r.Server, s.cfg.Now(), nil
		s.status.Judged, s.status.Refusal = quorumd.Generation{}, ""
		s.mu.Unlock()
		poke(s.changed)
		return s.beat()
	case quorumd.State:
		s.state(r)
		return nil
	case quorumd.Opened, quorumd.Granted, quorumd.Freed, quorumd.Refused:
		if c := s.waiting[r.Seq]; c != nil {
			delete(s.waiting, r.Seq)
			if r.Type == quorumd.Granted {
				s.ticketsOf(r, c.sent)
			}
			c.done <- callResult{reply: r, sent: c.sent}
		}
		return nil
	}
	return fmt.Errorf("%w: %.40q", quorumd.ErrMessage, r.Type)
}

// state takes the answer to a beat.
func (s *session) state(r *quorumd.Reply) {
	sent, ok := s.sent[r.Seq]
	if !ok {
		return // answered already, or never sent
	}
	now := s.cfg.Now()
	delete(s.sent, r.Seq)
	s.oldest = time.Time{}
	for _, b := range s.sent { // their order does not matter
		if s.oldest.IsZero() || b.at.Before(s.oldest) {
			s.oldest = b.at
		}
	}
	s.mu.Lock()
	st := &s.status
	before := *st
	st.Heard = now
	st.Judged, st.Refusal = sent.generation, ""
	switch r.Code {
	case quorumd.CodeStale, quorumd.CodeHistories:
		st.Refusal = r.Text
	}
	if r.Answer != "" && r.Episode == s.claim.Episode && s.claim.Want {
		st.Answer, st.Episode, st.Code, st.Reason = r.Answer, r.Episode, r.Code, r.Text
		switch {
		case r.Answer != quorumd.Have:
			st.Until, st.Settled = time.Time{}, time.Time{}
		default:
			if until := sent.at.Add(time.Duration(r.LeaseMs) * time.Millisecond); until.After(st.Until) {
				st.Until = until
			}
			st.Settled = time.Time{}
			if r.SettledInMs >= 0 {
				st.Settled = now.Add(time.Duration(r.SettledInMs) * time.Millisecond)
			}
		}
	}
	lost := s.setTickets(r, sent.at, false)
	changed := lost || st.Answer != before.Answer || !st.Until.Equal(before.Until) || st.Code != before.Code || st.Judged != before.Judged || st.Refusal != before.Refusal || st.Settled.IsZero() != before.Settled.IsZero()
	s.mu.Unlock()
	if changed {
		poke(s.changed)
	}
}

func (s *session) ticketsOf(r *quorumd.Reply, sent time.Time) {
	s.mu.Lock()
	s.setTickets(r, sent, true)
	s.mu.Unlock()
	poke(s.changed)
}

// setTickets takes what a reply says of tickets; it reports whether one was lost. One
// that was given back or forgotten meanwhile is no more: only a grant brings it back.
// s.mu is held.
func (c *Client) setTickets(r *quorumd.Reply, sent time.Time, grant bool) (lost bool) {
	for _, h := range r.Tickets {
		old, known := c.status.Tickets[h.Ticket]
		switch {
		case !known && !grant:
		case h.Held && h.Term >= old.Term:
			until := sent.Add(time.Duration(h.LeaseMs) * time.Millisecond)
			if old.Held && old.Term == h.Term && old.Until.After(until) {
				continue
			}
			c.status.Tickets[h.Ticket] = Ticket{Held: true, Term: h.Term, Sent: sent, Until: until, After: time.Duration(h.AfterMs) * time.Millisecond}
		case !h.Held && old.Held:
			c.status.Tickets[h.Ticket] = Ticket{Term: old.Term, Code: h.Code, Text: h.Text}
			lost = true
		}
	}
	return lost
}

// Refusal is why the server did not do what was asked.
type Refusal struct {
	Code, Text string
	Holder     string // who has the ticket, where the code is held
}

func (r *Refusal) Error() string { return r.Text }

// do sends one request and waits for its answer.
func (c *Client) do(ctx context.Context, req quorumd.Request) error {
	call := &call{req: req, done: make(chan callResult, 1)}
	select {
	case c.calls <- call:
	case <-ctx.Done():
		return fmt.Errorf("ask the arbitrator: %w", ctx.Err())
	}
	select {
	case r := <-call.done:
		switch {
		case r.err != nil:
			return r.err
		case r.reply.Type == quorumd.Refused:
			return &Refusal{Code: r.reply.Code, Text: r.reply.Text, Holder: r.reply.Holder}
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the arbitrator: %w", ctx.Err())
	}
}

// Open begins the next data generation of the cluster. It must be drawn and kept on
// disk before: a lost answer is found out by asking again with the same one. When
// Open returns nil, no other half of this cluster ever gets the grant on the data
// that this one started from.
func (c *Client) Open(ctx context.Context, next quorumd.Generation) error {
	c.mu.Lock()
	episode := c.claim.Episode
	c.mu.Unlock()
	return c.do(ctx, quorumd.Request{Type: quorumd.Open, Episode: episode, Next: next})
}

// Acquire asks for a ticket; with own for this node alone. It is renewed by the
// beats from then on: Status says until when it is held.
func (c *Client) Acquire(ctx context.Context, ticket string, own bool) error {
	return c.do(ctx, quorumd.Request{Type: quorumd.Acquire, Ticket: ticket, Own: own})
}

// Release gives a ticket back. What depends on it must have stopped.
func (c *Client) Release(ctx context.Context, ticket string) error {
	c.mu.Lock()
	delete(c.status.Tickets, ticket)
	c.mu.Unlock()
	return c.do(ctx, quorumd.Request{Type: quorumd.Release, Ticket: ticket})
}

// Forget lets a ticket run out, or be renewed by another node of the cluster: the
// beats name it no more.
func (c *Client) Forget(ticket string) {
	c.mu.Lock()
	delete(c.status.Tickets, ticket)
	c.mu.Unlock()
}
