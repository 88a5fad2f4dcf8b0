package daemon

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd/client"
	"github.com/belay-ha/belay/engine/quorumd/server"
)

// TestTicketWorker: a worker asks a real belay-quorumd for a ticket, renews it, tells the
// node who else has it, and gives it back; another cluster gets it then at once.
func TestTicketWorker(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewCA("a", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := newIdentity(ca, pki.Names{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	var key *ecdsa.PrivateKey
	if key, err = pki.NewKey(); err != nil {
		t.Fatal(err)
	}
	other, err := pki.SelfSigned("b", key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "quorumd.yaml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "clusters: {a: {nodes: {n1: [%q]}}, b: {nodes: {n1: [%q]}}}\ntickets: {web: {expiry: 20s, acquire-after: 40s, clusters: {a: 1, b: 1}}}", id.PublicKey(), pki.Pin(other.Leaf)), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	q, err := server.New(server.Options{Name: "q", Config: conf, StateDir: filepath.Join(dir, "state"), Listen: "127.0.0.1:0", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	defer func() { cancel(); <-done }()

	e := &engine{log: log, clock: newClock(), local: local{Cluster: "a", Node: "n1"}, id: id, events: make(chan node.Event, 100), changed: newBroadcast()}
	device := &cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd, Parameters: map[string]string{"servers": q.Addr().String(), "fingerprint": q.Pin(), "interval": "100ms"}}
	e.snap.Store(&cib.Snapshot{Config: &cib.Config{QuorumDevices: map[string]*cib.QuorumDevice{"q": device}}})
	a := newArbiters(e)
	a.consult(node.Claim{Episode: 1, Voters: []string{"n1"}, Present: []string{"n1"}, Generation: cib.DataGeneration{Number: 1, Nonce: 7}, Voter: true, Quorate: true})
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	defer func() { cancel(); <-ended }()

	said := func(what string, fits func(node.Ticketed) bool) node.Ticketed {
		t.Helper()
		late := time.After(20 * time.Second)
		var last node.Event
		for {
			select {
			case ev := <-e.events:
				if x, ok := ev.(node.Ticketed); ok {
					if last = x; fits(x) {
						return x
					}
				}
			case <-late:
				t.Fatalf("%s: the last that was said is %+v", what, last)
			}
		}
	}
	want := func(wish node.TicketWish) {
		a.wantTickets([]node.TicketWant{{Ticket: "web", Device: "q", Wish: wish}, {Ticket: "web", Device: "another", Wish: wish}})
	}
	want(node.TicketHold)
	first := said("it is held", func(x node.Ticketed) bool { return x.Held })
	if first.Term != 1 || first.Expiry != 20*time.Second || first.After != 40*time.Second || first.Device != "q" || first.Sent.After(e.clock.now()) {
		t.Errorf("granted: %+v", first)
	}
	said("it is renewed", func(x node.Ticketed) bool {
		return x.Held && x.Term == 1 && x.Sent.After(first.Sent.Add(300*time.Millisecond))
	})

	b := client.New(client.Config{Addresses: []string{q.Addr().String()}, Pins: []string{q.Pin()}, Cert: other, Cluster: "b", Node: "n1", Interval: 50 * time.Millisecond})
	b.Set(client.Claim{Quorate: true})
	over := make(chan struct{})
	go func() { defer close(over); b.Run(ctx) }()
	defer func() { cancel(); <-over }()
	acquire := func() {
		t.Helper()
		look, late := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
		defer look.Stop()
		for {
			err := b.Acquire(ctx, "web", false)
			if err == nil {
				return
			}
			select {
			case <-look.C:
			case <-late:
				t.Fatalf("the other cluster does not get it: %v", err)
			}
		}
	}
	want(node.TicketRelease)
	said("it is given back", func(x node.Ticketed) bool { return x.Freed })
	acquire()
	want(node.TicketHold)
	said("the other one has it", func(x node.Ticketed) bool { return !x.Held && x.Holder == "b" && x.Refused == "b has it" })
	if err := b.Release(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	again := said("it is held again", func(x node.Ticketed) bool { return x.Held })
	if again.Term != 3 {
		t.Errorf("the term is %d after two other grants", again.Term)
	}
	// Who is the DC no more renews nothing: the ticket is the next DC's to renew.
	a.wantTickets(nil)
	a.mu.Lock()
	w := a.work["q"]
	a.mu.Unlock()
	w.mu.Lock()
	c := w.quorumd
	w.mu.Unlock()
	look, late := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer look.Stop()
	for len(c.Status().Tickets) > 0 {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("it goes on renewing %v", c.Status().Tickets)
		}
	}
	if v := q.View().Tickets[0]; v.Holder != "a" {
		t.Errorf("the arbitrator knows %+v", v)
	}
}
