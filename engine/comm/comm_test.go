package comm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

const allLinks = ^uint32(0)

// node is a transport on two loopback links with ports of the kernel's choice.
type node struct {
	*Transport
	name string
	key  *ecdsa.PrivateKey
	mu   sync.Mutex
	log  []Problem
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func start(t testing.TB, name string, key *ecdsa.PrivateKey, links ...string) *node {
	t.Helper()
	n := &node{name: name, key: key}
	cfg := Config{Node: name, Key: key, Log: func(p Problem) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.log = append(n.log, p)
	}}
	for _, l := range links {
		cfg.Links = append(cfg.Links, netip.MustParseAddrPort(l))
	}
	var err error
	if n.Transport, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}

func (n *node) as(t testing.TB) Peer {
	t.Helper()
	p := Peer{Node: n.name, Key: &n.key.PublicKey}
	for i := range n.cfg.Links {
		a, ok := n.Addr(i)
		if !ok {
			t.Fatalf("link %d of %s is not bound", i, n.name)
		}
		p.Addrs = append(p.Addrs, a)
	}
	return p
}

func (n *node) reported(reason string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.log {
		if strings.Contains(p.Reason, reason) {
			return true
		}
	}
	return false
}

// pair is two nodes that know each other.
func pair(t testing.TB) (a, b *node) {
	t.Helper()
	a = start(t, "n1", newKey(t), "127.0.0.1:0", "127.0.0.2:0")
	b = start(t, "n2", newKey(t), "127.0.0.3:0", "127.0.0.4:0")
	meet(t, a, b)
	return a, b
}

func meet(t testing.TB, a, b *node) {
	t.Helper()
	if err := errors.Join(a.SetPeers([]Peer{b.as(t)}), b.SetPeers([]Peer{a.as(t)})); err != nil {
		t.Fatal(err)
	}
}

func (n *node) next(t testing.TB) Packet {
	t.Helper()
	select {
	case p := <-n.Packets():
		return p
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: nothing arrived; problems: %v", n.name, n.log)
	}
	panic("not reached")
}

// nothing checks that n got nothing else than a marker that the peer sends now.
func (n *node) nothing(t testing.TB, from *node) {
	t.Helper()
	for i := range n.cfg.Links {
		if err := from.Send(n.name, 1<<i, []byte("marker")); err != nil {
			t.Fatal(err)
		}
		if p := n.next(t); string(p.Payload) != "marker" {
			t.Fatalf("%s got %q", n.name, p.Payload)
		}
	}
}

func TestSendOverEveryLink(t *testing.T) {
	a, b := pair(t)
	for _, text := range []string{"", "hello", strings.Repeat("x", 30_000), strings.Repeat("y", MaxPayload)} {
		if err := a.Send("n2", allLinks, []byte(text)); err != nil {
			t.Fatal(err)
		}
		links := map[int]bool{}
		for range 2 {
			p := b.next(t)
			if p.From != "n1" || string(p.Payload) != text || p.Received.IsZero() {
				t.Fatalf("got %d bytes from %s", len(p.Payload), p.From)
			}
			links[p.Link] = true
		}
		if len(links) != 2 {
			t.Fatalf("%d bytes arrived on links %v", len(text), links)
		}
	}
	if err := b.Send("n1", 2, []byte("back")); err != nil {
		t.Fatal(err)
	}
	if p := a.next(t); p.Link != 1 || p.From != "n2" {
		t.Fatalf("got %+v", p)
	}
	want := []LinkStats{{Peer: "n2", Link: 0, Sent: 4}, {Peer: "n2", Link: 1, Sent: 4, Received: 1}}
	if got := a.Stats(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("stats %v, want %v", got, want)
	}
}

func TestSendErrors(t *testing.T) {
	a, _ := pair(t)
	for name, c := range map[string]struct {
		err, want error
	}{
		"unknown peer": {a.Send("n3", allLinks, nil), ErrNoPeer},
		"no link":      {a.Send("n2", 4, nil), ErrNoLink},
		"on none":      {a.Send("n2", 0, nil), ErrNoLink},
		"large":        {a.Send("n2", allLinks, make([]byte, MaxPayload+1)), ErrTooLarge},
		"again":        {a.Start(t.Context()), ErrStopped},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	a.Stop()
	a.Stop()
	if _, open := <-a.Packets(); open {
		t.Error("packets are not closed")
	}
}

// raw sends bytes to a link of n from a socket of nobody.
func raw(t testing.TB, n *node, link int, packet []byte) {
	t.Helper()
	to, ok := n.Addr(link)
	if !ok {
		t.Fatal("not bound")
	}
	c, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
}

// rejected waits for the number of packets that n refused from its peer, and
// from nobody known.
func (n *node) rejected(t testing.TB, peer, unknown uint64) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		var gotPeer, gotUnknown uint64
		for _, s := range n.Stats() {
			if s.Peer == "" {
				gotUnknown += s.Rejected
			} else {
				gotPeer += s.Rejected
			}
		}
		if gotPeer == peer && gotUnknown == unknown {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("rejected %d of the peer and %d unknown, want %d and %d", gotPeer, gotUnknown, peer, unknown)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestRefused: what is not what a peer sent to us, on this link, now, is counted
// and goes no further.
func TestRefused(t *testing.T) {
	a, b := pair(t)
	third := start(t, "n3", newKey(t), "127.0.0.5:0", "127.0.0.6:0")
	if err := errors.Join(third.SetPeers([]Peer{a.as(t), b.as(t)}), a.SetPeers([]Peer{b.as(t), third.as(t)})); err != nil {
		t.Fatal(err) // n2 does not know n3
	}
	toB := a.peers.Load().byName["n2"].seal
	good := toB.seal(0, []byte("once"))
	raw(t, b, 0, good)
	if p := b.next(t); string(p.Payload) != "once" {
		t.Fatalf("got %q", p.Payload)
	}

	raw(t, b, 0, good) // replayed
	b.rejected(t, 1, 0)
	raw(t, b, 1, toB.seal(0, []byte("other link")))
	b.rejected(t, 2, 0)
	n := uint64(2)
	for i := range good { // every byte changed, one at a time
		bad := bytes.Clone(toB.seal(0, []byte("forged")))
		bad[i] ^= 0x40
		if i == 0 || i >= 2 && i < 10 {
			continue // version and sender: counted as unknown, below
		}
		raw(t, b, 0, bad)
		n++
		b.rejected(t, n, 0)
	}
	raw(t, b, 0, a.peers.Load().byName["n3"].seal.seal(0, []byte("for n3"))) // turned to another node
	n++
	b.rejected(t, n, 0)
	raw(t, b, 0, nil)
	raw(t, b, 0, good[:headerSize])
	raw(t, b, 0, append([]byte{2}, good[1:]...))
	raw(t, b, 0, append([]byte{1, 0, 1, 2, 3, 4, 5, 6, 7, 8}, good[10:]...))
	raw(t, b, 0, bytes.Repeat([]byte{1}, 60_000))
	raw(t, b, 0, third.peers.Load().byName["n2"].seal.seal(0, []byte("from n3")))
	b.rejected(t, n, 6)
	raw(t, b, 0, good[:len(good)-1]) // truncated
	n++
	b.rejected(t, n, 6)
	back := b.peers.Load().byName["n1"].seal.seal(0, []byte("turned back"))
	raw(t, b, 0, back) // n2's own packet: its key is nobody's
	b.rejected(t, n, 7)
	b.nothing(t, a)
	for _, reason := range []string{"replayed", "another link", "not authentic", "not a node", "not one of our packets"} {
		if !b.reported(reason) {
			t.Errorf("%q was not reported", reason)
		}
	}
}

// TestRemoved: a node whose key is taken out is not heard any more, one that is
// added again is.
func TestRemoved(t *testing.T) {
	a, b := pair(t)
	if err := b.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Send("n2", 1, []byte("x")); err != nil {
		t.Fatal(err)
	}
	b.rejected(t, 0, 1)
	old := b.peers.Load()
	if len(old.byName) != 0 {
		t.Fatal("peers are left")
	}
	meet(t, a, b)
	if err := a.Send("n2", 1, []byte("y")); err != nil {
		t.Fatal(err)
	}
	if p := b.next(t); string(p.Payload) != "y" {
		t.Fatalf("got %q", p.Payload)
	}
}

// TestSaltPerLife: no key is used twice with the same counter when a peer is
// removed and added again, and counters go on when other peers change.
func TestSaltPerLife(t *testing.T) {
	a, b := pair(t)
	peer := b.as(t)
	first := a.peers.Load().byName["n2"].seal
	if err := a.SetPeers([]Peer{peer, {Node: "n3", Key: &newKey(t).PublicKey}}); err != nil {
		t.Fatal(err)
	}
	if a.peers.Load().byName["n2"].seal != first {
		t.Fatal("a change of others starts a peer anew")
	}
	if err := errors.Join(a.SetPeers(nil), a.SetPeers([]Peer{peer})); err != nil {
		t.Fatal(err)
	}
	if a.peers.Load().byName["n2"].seal.out.salt == first.out.salt {
		t.Fatal("the same salt with counters from the beginning")
	}
}

// TestRestart: a restarted node is heard with its first packet, and what it sent
// before, too, if it is late.
func TestRestart(t *testing.T) {
	a, b := pair(t)
	late := a.peers.Load().byName["n2"].seal.seal(0, []byte("late"))
	a.Stop()
	again := start(t, "n1", a.key, "127.0.0.1:0", "127.0.0.2:0")
	meet(t, again, b)
	if err := again.Send("n2", 1, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if p := b.next(t); string(p.Payload) != "first" {
		t.Fatalf("got %q", p.Payload)
	}
	raw(t, b, 0, late)
	if p := b.next(t); string(p.Payload) != "late" {
		t.Fatalf("got %q", p.Payload)
	}
	raw(t, b, 0, late)
	b.rejected(t, 1, 0)
}

// TestBindLater: a link whose address is taken comes up when it is free, and the
// other one works meanwhile.
func TestBindLater(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.8:0")
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, "n1", newKey(t), "127.0.0.7:0", taken.LocalAddr().String())
	b := start(t, "n2", newKey(t), "127.0.0.3:0", "127.0.0.4:0")
	if _, ok := a.Addr(1); ok || !a.reported("cannot bind") {
		t.Fatal("bound twice")
	}
	first, _ := a.Addr(0)
	peer := Peer{Node: "n1", Key: &a.key.PublicKey, Addrs: []netip.AddrPort{first, netip.MustParseAddrPort(taken.LocalAddr().String())}}
	if err := errors.Join(a.SetPeers([]Peer{b.as(t)}), b.SetPeers([]Peer{peer})); err != nil {
		t.Fatal(err)
	}
	if err := b.Send("n1", allLinks, []byte("on link 0")); err != nil {
		t.Fatal(err)
	}
	if p := a.next(t); p.Link != 0 {
		t.Fatalf("arrived on %d", p.Link)
	}
	taken.Close()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, ok := a.Addr(1); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("link 1 stays down")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := b.Send("n1", 2, []byte("on link 1")); err != nil {
		t.Fatal(err)
	}
	if p := a.next(t); p.Link != 1 {
		t.Fatalf("arrived on %d", p.Link)
	}
}

// TestBrokenSocket: a socket that breaks is opened anew.
func TestBrokenSocket(t *testing.T) {
	a, b := pair(t)
	broken := a.links[0].Load().conn.Load()
	broken.Close()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if c := a.links[0].Load().conn.Load(); c != nil && c != broken {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("link 0 stays down")
		}
		time.Sleep(10 * time.Millisecond)
	}
	meet(t, a, b)
	if err := b.Send("n1", 1, []byte("x")); err != nil {
		t.Fatal(err)
	}
	a.next(t)
}

// TestSetLinks: links are added, moved and removed at run time.
func TestSetLinks(t *testing.T) {
	a, b := pair(t)
	if err := a.SetLinks([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:0"), {}, netip.MustParseAddrPort("127.0.0.10:0")}); err != nil {
		t.Fatal(err)
	}
	addr, ok := a.Addr(0)
	if !ok || addr.Addr().String() != "127.0.0.9" {
		t.Fatalf("link 0 is on %v", addr)
	}
	if _, ok := a.Addr(1); ok {
		t.Fatal("link 1 is still there")
	}
	third, _ := a.Addr(2)
	peer := Peer{Node: "n1", Key: &a.key.PublicKey, Addrs: []netip.AddrPort{addr, {}, third}}
	if err := b.SetPeers([]Peer{peer}); err != nil {
		t.Fatal(err)
	}
	if err := b.Send("n1", allLinks, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if p := a.next(t); p.Link != 0 {
		t.Fatalf("arrived on link %d", p.Link)
	}
	if err := b.Send("n1", 4, nil); !errors.Is(err, ErrNoLink) {
		t.Fatalf("n2 has no link 2: %v", err)
	}
	if err := a.SetLinks(make([]netip.AddrPort, 9)); err == nil {
		t.Fatal("nine links")
	}
}

func TestBadPeers(t *testing.T) {
	a, b := pair(t)
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	peer := b.as(t)
	for name, list := range map[string][]Peer{
		"twice":       {peer, peer},
		"same key":    {peer, {Node: "n3", Key: peer.Key}},
		"own key":     {{Node: "n3", Key: &a.key.PublicKey}},
		"no key":      {{Node: "n3"}},
		"no name":     {{Key: peer.Key}},
		"zero byte":   {{Node: "n\x00", Key: peer.Key}},
		"other curve": {{Node: "n3", Key: &other.PublicKey}},
		"no port":     {{Node: "n3", Key: peer.Key, Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}}},
	} {
		if err := a.SetPeers(list); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := a.Send("n2", allLinks, []byte("still there")); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Node: "n1", Key: other}); err == nil {
		t.Error("own key on another curve accepted")
	}
}

func TestParseKey(t *testing.T) {
	key := newKey(t)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseKey(base64.StdEncoding.EncodeToString(der))
	if err != nil || !got.Equal(&key.PublicKey) {
		t.Fatalf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "%", base64.StdEncoding.EncodeToString(der[:20])} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

// TestQueueFull: a sender that is faster than the link, or a reader that is
// slower, loses packets and is told; nobody waits.
func TestQueueFull(t *testing.T) {
	a, b := pair(t)
	for range receiveQueueMax + 200 {
		if err := a.Send("n2", 1, []byte("x")); err != nil {
			t.Fatal(err)
		}
		// One at a time, or the kernel's buffer drops them first.
		deadline := time.Now().Add(5 * time.Second)
		for b.Stats()[0].Received+b.Stats()[0].Rejected < a.Stats()[0].Sent && time.Now().Before(deadline) && !b.reported("receive queue") {
			time.Sleep(10 * time.Microsecond)
		}
	}
	if !b.reported("receive queue is full") {
		t.Error("not reported")
	}
}

func TestReportsAreFew(t *testing.T) {
	var got []Problem
	r := reporter{log: func(p Problem) { got = append(got, p) }}
	for range 100 {
		r.problem(Problem{Reason: "a", Node: "n1"})
		r.problem(Problem{Reason: "a", Node: "n2"})
	}
	if len(got) != 2 {
		t.Fatalf("%d reports", len(got))
	}
	for i := range 3 * reportKinds {
		r.problem(Problem{Reason: fmt.Sprint(i)})
	}
	if len(r.kinds) > reportKinds {
		t.Fatalf("%d kinds remembered", len(r.kinds))
	}
}

func TestWindow(t *testing.T) {
	var w window
	see := func(c uint64, want bool) {
		t.Helper()
		if got := !w.has(c); got != want {
			t.Fatalf("counter %d: new=%t, want %t", c, got, want)
		} else if got {
			w.add(c)
		}
	}
	see(0, false)
	see(1, true)
	see(1, false)
	see(500, true)
	see(2, true)
	see(499, true)
	see(500, false)
	see(1500, true)
	see(501, false) // too old to tell
	see(1500-windowBits+65, true)
	see(1<<40, true)
	see(1500, false)
	see(1<<40-900, true)
	see(1<<40-900, false)
	see(^uint64(0), true)
	see(^uint64(0), false)
}

// TestStopWhileBusy: Stop ends everything while packets fly.
func TestStopWhileBusy(t *testing.T) {
	a, b := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = a.Send("n2", allLinks, []byte("x"))
				_ = b.Send("n1", allLinks, []byte("y"))
			}
		})
	}
	for range 100 {
		b.next(t)
	}
	b.Stop()
	a.Stop()
	cancel()
	wg.Wait()
}
