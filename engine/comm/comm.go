package comm

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/membership"
)

// Limits of the queues. At the limit packets are dropped and counted: the next
// heartbeat is better than a late one.
const (
	sendQueueMax    = 1024 // of one link
	receiveQueueMax = 4096
)

// Errors of Send.
var (
	ErrNoPeer   = errors.New("no such peer")
	ErrNoLink   = errors.New("no such link")
	ErrTooLarge = errors.New("payload too large")
	ErrStopped  = errors.New("transport is stopped")
)

// Config is what a transport starts with.
type Config struct {
	Node  string
	Key   *ecdsa.PrivateKey // of the node's certificate, P-256
	Links []netip.AddrPort  // own address and port on each link; an invalid one: this node is not on that link
	Peers []Peer
	// Now is the clock of Packet.Received; nil means [time.Now].
	Now func() time.Time
	// Log is told of what was dropped, each kind at most every ten seconds; nil
	// means nobody is. It must not block.
	Log func(Problem)
}

// Peer is another node.
type Peer struct {
	Node  string
	Key   *ecdsa.PublicKey // of its certificate, P-256; see [ParseKey]
	Addrs []netip.AddrPort // one for each link; an invalid one: not on that link
}

// Packet is what arrived, authentic and not seen before.
type Packet struct {
	From     string
	Link     int
	Payload  []byte
	Received time.Time
}

// LinkStats are the counters of one link to one peer.
type LinkStats struct {
	Peer                     string // "": packets of unknown senders
	Link                     int
	Sent, Received, Rejected uint64
}

// Transport sends and receives. Its methods may be called from any goroutine.
type Transport struct {
	cfg     Config
	self    identity
	private *ecdh.PrivateKey
	peers   atomic.Pointer[peers]
	packets chan Packet
	strange [membership.MaxLinks]atomic.Uint64 // packets of unknown senders
	report  reporter

	mu      sync.Mutex                                               // of what follows
	open    func(index int, addr netip.AddrPort, before *link) *link // nil before Start
	cancel  context.CancelFunc
	stopped bool
	links   [membership.MaxLinks]atomic.Pointer[link] // written with mu held
	done    sync.WaitGroup
}

// peers is a table that is replaced, never changed.
type peers struct {
	byName map[string]*peer
	byKey  map[keyID]*peer
}

type peer struct {
	seal  *sealer
	addrs []netip.AddrPort
	stats *[membership.MaxLinks]counters
}

type counters struct{ sent, received, rejected atomic.Uint64 }

// New checks the configuration.
func New(cfg Config) (*Transport, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Key == nil || cfg.Key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("key of %s is not on P-256", cfg.Node)
	}
	private, err := cfg.Key.ECDH()
	if err != nil {
		return nil, fmt.Errorf("use the key of %s: %w", cfg.Node, err)
	}
	t := &Transport{cfg: cfg, private: private, packets: make(chan Packet, receiveQueueMax), report: reporter{log: cfg.Log}}
	if t.self, err = identify(cfg.Node, &cfg.Key.PublicKey); err != nil {
		return nil, err
	}
	if err := checkLinks(cfg.Links); err != nil {
		return nil, err
	}
	t.peers.Store(&peers{})
	if err := t.SetPeers(cfg.Peers); err != nil {
		return nil, err
	}
	return t, nil
}

func checkLinks(links []netip.AddrPort) error {
	if len(links) > membership.MaxLinks {
		return fmt.Errorf("%d links are more than %d", len(links), membership.MaxLinks)
	}
	return nil
}

// Start opens the links. A link whose address is not there is tried again.
func (t *Transport) Start(ctx context.Context) error {
	t.mu.Lock()
	if t.stopped || t.open != nil {
		t.mu.Unlock()
		return ErrStopped
	}
	ctx, t.cancel = context.WithCancel(ctx)
	t.open = func(index int, addr netip.AddrPort, before *link) *link { return t.startLink(ctx, index, addr, before) }
	links := t.cfg.Links
	t.mu.Unlock()
	return t.SetLinks(links)
}

// Stop closes the links and waits for the end of their goroutines. It is safe twice.
func (t *Transport) Stop() {
	t.mu.Lock()
	first := !t.stopped
	t.stopped = true
	if t.cancel != nil {
		t.cancel()
	}
	t.mu.Unlock()
	t.done.Wait()
	if first {
		close(t.packets)
	}
}

// Packets is where packets arrive; it is closed by Stop.
func (t *Transport) Packets() <-chan Packet { return t.packets }

// SetLinks replaces the own addresses. Links that stay the same go on.
func (t *Transport) SetLinks(links []netip.AddrPort) error {
	if err := checkLinks(links); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.Links = slices.Clone(links)
	if t.open == nil || t.stopped {
		return nil
	}
	for i := range t.links {
		var addr netip.AddrPort
		if i < len(links) {
			addr = links[i]
		}
		old := t.links[i].Load()
		if old != nil && old.addr == addr {
			continue
		}
		if old != nil {
			t.links[i].Store(nil)
			old.cancel()
		}
		if addr.IsValid() {
			t.links[i].Store(t.open(i, addr, old))
		}
	}
	return nil
}

// Addr returns the address that a link is bound to, if it is.
func (t *Transport) Addr(link int) (netip.AddrPort, bool) {
	l, err := t.link(link)
	if err != nil {
		return netip.AddrPort{}, false
	}
	c := l.conn.Load()
	if c == nil {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddrPort(c.LocalAddr().String())
	return addr, err == nil
}

// SetPeers replaces the peers. What arrives from a node that is none is dropped.
// A peer whose key stays the same keeps its counters and what was seen of it.
func (t *Transport) SetPeers(list []Peer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.peers.Load()
	table := &peers{byName: make(map[string]*peer, len(list)), byKey: make(map[keyID]*peer, len(list))}
	for i := range list {
		p, err := t.newPeer(&list[i], old)
		if err != nil {
			return err
		}
		id := p.seal.peer.keyID()
		if table.byName[list[i].Node] != nil || table.byKey[id] != nil || id == t.self.keyID() {
			return fmt.Errorf("peer %s: name or key twice", list[i].Node)
		}
		table.byName[list[i].Node], table.byKey[id] = p, p
	}
	t.peers.Store(table)
	return nil
}

func (t *Transport) newPeer(in *Peer, old *peers) (*peer, error) {
	if in.Key == nil || in.Node == "" || len(in.Node) > membership.MaxName || strings.ContainsRune(in.Node, 0) {
		return nil, fmt.Errorf("peer %q: no name or no key", in.Node)
	}
	for i, a := range in.Addrs {
		if a.IsValid() && a.Port() == 0 {
			return nil, fmt.Errorf("peer %s: no port on link %d", in.Node, i)
		}
	}
	id, err := identify(in.Node, in.Key)
	if err != nil {
		return nil, err
	}
	p := &peer{addrs: slices.Clone(in.Addrs), stats: &[membership.MaxLinks]counters{}}
	if was := old.byName[in.Node]; was != nil {
		p.stats = was.stats
		if was.seal.peer == id {
			p.seal = was.seal
			return p, nil
		}
	}
	// A new sealer has a new salt: no counter is ever used twice under one key,
	// not even when a peer is removed and added again.
	p.seal, err = newSealer(t.self, id, t.private, in.Key)
	return p, err
}

// Send seals the payload for a peer and queues it on those of the links (bit n: link
// n) that both nodes have. It never waits. ErrNoLink says that there is none.
func (t *Transport) Send(to string, on uint32, payload []byte) error {
	p, err := t.peer(to, payload)
	if err != nil {
		return err
	}
	n := 0
	for i := range p.addrs {
		if on&(1<<i) == 0 {
			continue
		}
		if l, err := t.link(i); err == nil && p.addrs[i].IsValid() {
			t.queue(l, p, payload)
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("send to %s: %w", to, ErrNoLink)
	}
	return nil
}

func (t *Transport) peer(name string, payload []byte) (*peer, error) {
	p := t.peers.Load().byName[name]
	switch {
	case p == nil:
		return nil, fmt.Errorf("send to %s: %w", name, ErrNoPeer)
	case len(payload) > MaxPayload:
		return nil, fmt.Errorf("send %d bytes to %s: %w", len(payload), name, ErrTooLarge)
	}
	return p, nil
}

func (t *Transport) link(i int) (*link, error) {
	if i < 0 || i >= len(t.links) {
		return nil, ErrNoLink
	}
	if l := t.links[i].Load(); l != nil {
		return l, nil
	}
	return nil, ErrNoLink
}

func (t *Transport) queue(l *link, p *peer, payload []byte) {
	d := datagram{to: p.addrs[l.index], node: p.seal.peer.node, packet: p.seal.seal(l.index, payload)}
	select {
	case l.queue <- d:
		p.stats[l.index].sent.Add(1)
	default:
		t.report.problem(Problem{Reason: "send queue is full", Node: d.node, Link: l.index})
	}
}

// arrived takes a packet off a link.
func (t *Transport) arrived(l *link, from netip.AddrPort, packet []byte) {
	id, err := sender(packet)
	var p *peer
	if err == nil {
		if p = t.peers.Load().byKey[id]; p == nil {
			err = errUnknown
		}
	}
	if err != nil {
		t.strange[l.index].Add(1)
		t.report.problem(Problem{Reason: err.Error(), Link: l.index, Source: from})
		return
	}
	stats := &p.stats[l.index]
	payload, err := p.seal.open(l.index, packet)
	if err != nil {
		stats.rejected.Add(1)
		t.report.problem(Problem{Reason: err.Error(), Node: p.seal.peer.node, Link: l.index, Source: from})
		return
	}
	stats.received.Add(1)
	select {
	case t.packets <- Packet{From: p.seal.peer.node, Link: l.index, Payload: payload, Received: t.cfg.Now()}:
	default:
		t.report.problem(Problem{Reason: "receive queue is full", Node: p.seal.peer.node, Link: l.index})
	}
}

// Stats returns the counters, sorted by peer and link.
func (t *Transport) Stats() []LinkStats {
	var out []LinkStats
	for i := range t.strange {
		if n := t.strange[i].Load(); n > 0 {
			out = append(out, LinkStats{Link: i, Rejected: n})
		}
	}
	for name, p := range t.peers.Load().byName {
		for i := range min(len(p.addrs), membership.MaxLinks) {
			if c := &p.stats[i]; p.addrs[i].IsValid() {
				out = append(out, LinkStats{Peer: name, Link: i, Sent: c.sent.Load(), Received: c.received.Load(), Rejected: c.rejected.Load()})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b LinkStats) int {
		if c := strings.Compare(a.Peer, b.Peer); c != 0 {
			return c
		}
		return a.Link - b.Link
	})
	return out
}
