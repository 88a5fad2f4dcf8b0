package quorumd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Arbiter decides for all clusters. See the package comment. It has one caller at a
// time; now is a steady clock that goes on while the machine is suspended.
type Arbiter struct {
	name     string
	config   Config
	pins     map[string][]client // who may be behind a key
	clusters map[string]*cluster
	tickets  map[string]*ticket
	conns    map[uint64]*conn
	waiting  map[*cluster]time.Time // halves to be poked
	next     time.Time              // see NextWake
	out      []Effect
	counts   Counts
}

// client is a node of a cluster.
type client struct{ cluster, node string }

// conn is one connection. It is nobody's until its hello.
type conn struct {
	id   uint64
	pin  string
	seq  uint64
	peer *peer
}

// cluster is what is known of one cluster.
type cluster struct {
	SavedCluster
	config  ClusterConfig
	peers   map[string]*peer // that have said hello since the start, by node
	renewed time.Time        // when the holder was last told that it has the grant
	voters  []string         // as reported last by a majority
	// returned is when the grant was given back last, and before who had it.
	returned time.Time
	before   []string
}

// peer is a node of a cluster.
type peer struct {
	name        string
	cluster     *cluster
	conn        *conn // nil: not connected
	incarnation uint64
	beat        *Request // the newest one
	heard       time.Time
	wants       time.Time // since when it has asked for the grant in one episode; zero: it does not
	asked       uint64    // that episode
	freed       bool      // it gave the present grant back
	answer      Answer
	told        string // the refusal that the operator was told last
}

// Counts count what happened since the start.
type Counts struct {
	Requests, Grants, Handovers, Opens, TicketGrants, Denials, Protocol, Strangers uint64
}

// Effect is something the arbiter wants done. Everything of one call stands in
// order; a [Save] is durable before any [Send] after it goes out.
type Effect interface{ effect() }

type (
	// Send sends a reply over a connection.
	Send struct {
		Conn  uint64
		Reply Reply
	}
	// Save makes the new state of a cluster or ticket durable.
	Save struct{ Saved Saved }
	// Close ends a connection, after what was sent before.
	Close struct{ Conn uint64 }
	// Notice tells the operator what happened.
	Notice struct {
		Kind    NoticeKind
		Cluster string
		Node    string
		Object  string // a ticket
		Text    string
	}
)

func (Send) effect()   {}
func (Save) effect()   {}
func (Close) effect()  {}
func (Notice) effect() {}

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeGranted    NoticeKind = "grant-given"
	NoticeHandover   NoticeKind = "grant-moved"
	NoticeBack       NoticeKind = "grant-returned"
	NoticeOpened     NoticeKind = "generation-opened"
	NoticeGeneration NoticeKind = "generation-reported"
	NoticeDenied     NoticeKind = "grant-denied"
	NoticeConnected  NoticeKind = "client-connected"
	NoticeGone       NoticeKind = "client-gone"
	NoticeForbidden  NoticeKind = "client-forbidden" // a known key claims to be somebody else
	NoticeProtocol   NoticeKind = "protocol-error"
	NoticeTicket     NoticeKind = "ticket-granted"
	NoticeTicketLost NoticeKind = "ticket-lost"
	NoticeTicketBack NoticeKind = "ticket-released"
	NoticeRevoked    NoticeKind = "ticket-revoked"
	NoticeReset      NoticeKind = "cluster-forgotten"
)

// New returns an arbiter that knows what was saved. Who held something has just
// renewed it, as far as can be known.
func New(name string, saved []Saved, now time.Time) *Arbiter {
	a := &Arbiter{
		name: name, pins: map[string][]client{}, clusters: map[string]*cluster{}, tickets: map[string]*ticket{},
		conns: map[uint64]*conn{}, waiting: map[*cluster]time.Time{},
	}
	for i := range saved {
		if c := saved[i].Cluster; c != nil {
			a.clusters[c.Name] = &cluster{SavedCluster: *c, peers: map[string]*peer{}, renewed: now}
		}
		if t := saved[i].Ticket; t != nil {
			tk := &ticket{SavedTicket: *t, renewed: now}
			if t.Holder != "" {
				tk.wake = now.Add(ms(t.ExpiryMs))
				a.wakeAt(tk.wake)
			}
			a.tickets[t.Name] = tk
		}
	}
	return a
}

// Configure takes what the administrator says. Connections of clients that are no
// longer allowed end.
func (a *Arbiter) Configure(now time.Time, c Config) []Effect {
	a.out = nil
	a.config = c
	clear(a.pins)
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		cl := a.clusters[name]
		if cl == nil {
			cl = &cluster{SavedCluster: SavedCluster{Name: name}, peers: map[string]*peer{}, renewed: now}
			a.clusters[name] = cl
		}
		cl.config = c.Clusters[name]
		for _, node := range slices.Sorted(maps.Keys(cl.config.Nodes)) {
			for _, pin := range cl.config.Nodes[node] {
				a.pins[pin] = append(a.pins[pin], client{name, node})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tickets)) {
		if a.tickets[name] == nil {
			a.tickets[name] = &ticket{SavedTicket: SavedTicket{Name: name}, renewed: now}
		}
		a.tickets[name].config = c.Tickets[name]
	}
	for _, id := range slices.Sorted(maps.Keys(a.conns)) {
		cn := a.conns[id]
		if cn.peer != nil && !a.may(cn.pin, cn.peer.cluster.Name, cn.peer.name) {
			a.end(cn, CodeForbidden, "it is no longer configured here")
		}
	}
	for name, cl := range a.clusters { // their order does not matter
		if _, ok := c.Clusters[name]; !ok {
			cl.config = ClusterConfig{} // its saved state stays: it may come back
		}
	}
	for name, t := range a.tickets { // their order does not matter
		if _, ok := c.Tickets[name]; !ok {
			t.config = TicketConfig{}
		}
	}
	return a.out
}

// Known reports whether any client has a key.
func (a *Arbiter) Known(pin string) bool { return len(a.pins[pin]) > 0 }

func (a *Arbiter) may(pin, cluster, node string) bool {
	return slices.Contains(a.pins[pin], client{cluster, node})
}

// Connect begins a connection with the owner of a key.
func (a *Arbiter) Connect(id uint64, pin string) { a.conns[id] = &conn{id: id, pin: pin} }

// Disconnect ends a connection. What its node holds stands until it runs out.
func (a *Arbiter) Disconnect(id uint64) []Effect {
	a.out = nil
	if c := a.conns[id]; c != nil {
		delete(a.conns, id)
		if p := c.peer; p != nil && p.conn == c {
			p.conn = nil
			a.notice(NoticeGone, p, "", "the connection has ended")
		}
	}
	return a.out
}

// Receive takes one message.
func (a *Arbiter) Receive(now time.Time, id uint64, r *Request) []Effect {
	a.out = nil
	a.counts.Requests++
	c := a.conns[id]
	switch {
	case c == nil:
		return nil
	case r.Seq != c.seq+1:
		a.violation(c, fmt.Sprintf("request %d follows %d: repeated, lost or out of order", r.Seq, c.seq))
		return a.out
	}
	c.seq = r.Seq
	switch {
	case r.Type == Hello:
		a.hello(now, c, r)
	case c.peer == nil:
		a.violation(c, "the first request is not a hello")
	case r.Type == Beat:
		c.peer.beat = r
		a.beat(now, c, r.Seq)
	case r.Type == Same:
		if c.peer.beat == nil {
			a.violation(c, "there was no beat before")
			break
		}
		a.beat(now, c, r.Seq)
	case r.Type == Open:
		a.open(now, c, r)
	case r.Type == Acquire:
		a.acquire(now, c, r)
	case r.Type == Release:
		a.release(now, c, r)
	}
	return a.out
}

// Malformed notes a message that could not be read.
func (a *Arbiter) Malformed(id uint64, err error) []Effect {
	a.out = nil
	if c := a.conns[id]; c != nil {
		a.violation(c, err.Error())
	}
	return a.out
}

// Stranger counts a client whose key is nobody's.
func (a *Arbiter) Stranger() { a.counts.Strangers++ }

func (a *Arbiter) violation(c *conn, text string) {
	a.counts.Protocol++
	a.notice(NoticeProtocol, c.peer, "", text)
	a.end(c, CodeProtocol, text)
}

// end tells a client why, and closes its connection.
func (a *Arbiter) end(c *conn, code, text string) {
	a.send(c, Reply{Type: Failure, Code: code, Text: text})
	a.out = append(a.out, Close{c.id})
	delete(a.conns, c.id)
	if c.peer != nil && c.peer.conn == c {
		c.peer.conn = nil
	}
}

func (a *Arbiter) send(c *conn, r Reply) { a.out = append(a.out, Send{c.id, r}) }

func (a *Arbiter) notice(kind NoticeKind, p *peer, object, text string) {
	n := Notice{Kind: kind, Object: object, Text: text}
	if p != nil {
		n.Cluster, n.Node = p.cluster.Name, p.name
	}
	a.out = append(a.out, n)
}

// hello makes a connection somebody's: the key must be the one that is pinned for
// that node of that cluster.
func (a *Arbiter) hello(_ time.Time, c *conn, r *Request) {
	switch {
	case r.Version != Version:
		a.end(c, CodeProtocol, fmt.Sprintf("version %d of the protocol is not spoken here, %d is", r.Version, Version))
		return
	case !a.may(c.pin, r.Cluster, r.Node):
		a.counts.Denials++
		a.out = append(a.out, Notice{Kind: NoticeForbidden, Cluster: r.Cluster, Node: r.Node, Text: fmt.Sprintf("its key is not the one of %s of cluster %s", r.Node, r.Cluster)})
		a.end(c, CodeForbidden, "this key is not the one that is pinned for that node of that cluster")
		return
	case c.peer != nil:
		a.violation(c, "a second hello")
		return
	}
	cl := a.clusters[r.Cluster]
	p := cl.peers[r.Node]
	if p == nil {
		p = &peer{name: r.Node, cluster: cl}
		cl.peers[r.Node] = p
	}
	if p.incarnation > r.Incarnation {
		a.end(c, CodeReplaced, fmt.Sprintf("a newer start of %s is known", r.Node))
		return
	}
	if p.conn != nil {
		a.end(p.conn, CodeReplaced, "a newer connection of "+r.Node+" is there")
	}
	if p.incarnation != r.Incarnation {
		// What the one before had promised is nobody's promise any more.
		p.incarnation, p.wants, p.beat = r.Incarnation, time.Time{}, nil
	}
	p.conn, c.peer = c, p
	a.notice(NoticeConnected, p, "", "")
	a.send(c, Reply{Type: Welcome, Seq: r.Seq, Server: a.name, Generation: cl.Generation})
}

// beat answers a beat: the newest one of the peer.
func (a *Arbiter) beat(now time.Time, c *conn, seq uint64) {
	p := c.peer
	p.heard = now
	reply := Reply{Type: State, Seq: seq, Episode: p.beat.Episode}
	if len(p.beat.Voters) > 0 {
		a.judge(now, p, &reply)
	}
	p.answer = reply.Answer
	a.renewTickets(now, p, &reply)
	a.send(c, reply)
}

// Tick pokes who would get another answer now.
func (a *Arbiter) Tick(now time.Time) []Effect {
	a.out = nil
	var due []*cluster
	for cl, at := range a.waiting {
		if !now.Before(at) {
			due = append(due, cl)
		}
	}
	slices.SortFunc(due, func(x, y *cluster) int { return strings.Compare(x.Name, y.Name) })
	for _, cl := range due {
		delete(a.waiting, cl)
		for _, name := range slices.Sorted(maps.Keys(cl.peers)) {
			if p := cl.peers[name]; p.conn != nil && p.beat != nil && p.beat.Want {
				a.send(p.conn, Reply{Type: Poke})
			}
		}
	}
	a.tickTickets(now)
	a.next = time.Time{}
	for _, at := range a.waiting {
		a.wakeAt(at)
	}
	for _, t := range a.tickets {
		a.wakeAt(t.wake)
	}
	return a.out
}

// NextWake is when Tick should come at the latest; zero: no hurry.
func (a *Arbiter) NextWake() time.Time { return a.next }

// poke remembers when a half of a cluster has a reason to ask again.
func (a *Arbiter) poke(cl *cluster, at time.Time) {
	if old, ok := a.waiting[cl]; !ok || at.Before(old) {
		a.waiting[cl] = at
		a.wakeAt(at)
	}
}

func (a *Arbiter) wakeAt(at time.Time) {
	if !at.IsZero() && (a.next.IsZero() || at.Before(a.next)) {
		a.next = at
	}
}

// Forget forgets what is known of a cluster's data and grant: for one that was
// made anew. It is refused while somebody has the grant.
func (a *Arbiter) Forget(now time.Time, name string) ([]Effect, error) {
	a.out = nil
	cl := a.clusters[name]
	switch {
	case cl == nil:
		return nil, fmt.Errorf("there is no cluster %s", name)
	case cl.Holder != nil && now.Before(cl.freeAt(0)):
		return nil, fmt.Errorf("%s of cluster %s has the grant until %s from now", join(cl.Holder), name, cl.freeAt(0).Sub(now).Round(time.Second))
	}
	cl.SavedCluster = SavedCluster{Name: name, Grants: cl.Grants}
	a.save(cl)
	a.out = append(a.out, Notice{Kind: NoticeReset, Cluster: name, Text: "what was known of its data is forgotten"})
	return a.out, nil
}

func (a *Arbiter) save(cl *cluster) {
	s := cl.SavedCluster
	s.Holder = slices.Clone(s.Holder)
	a.out = append(a.out, Save{Saved{Cluster: &s}})
}

// Saved returns everything that must survive a restart.
func (a *Arbiter) Saved() []Saved {
	var out []Saved
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		if s := a.clusters[name].SavedCluster; s.Generation.Number != 0 || s.Grants != 0 {
			s.Holder = slices.Clone(s.Holder)
			out = append(out, Saved{Cluster: &s})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.tickets)) {
		if s := a.tickets[name].SavedTicket; s.Term != 0 || s.Revoked || s.Assigned != "" {
			out = append(out, Saved{Ticket: &s})
		}
	}
	return out
}

// Counts returns what happened since the start.
func (a *Arbiter) Counts() Counts { return a.counts }
