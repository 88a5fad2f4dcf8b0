package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd/server"
)

// TestOpenGeneration: a worker passes claims and answers between the node and a real
// belay-quorumd, and opens the next generation when the grant is settled.
func TestOpenGeneration(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewCA("lab", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := newIdentity(ca, pki.Names{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "quorumd.yaml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "clusters: {lab: {nodes: {n1: [%q]}}}", id.PublicKey()), 0o600); err != nil {
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

	e := &engine{log: log, clock: newClock(), local: local{Cluster: "lab", Node: "n1"}, id: id, events: make(chan node.Event, 100), changed: newBroadcast()}
	zero := cib.Duration(0)
	device := &cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd, Parameters: map[string]string{
		"servers": q.Addr().String(), "fingerprint": q.Pin(), "interval": "100ms", "lease": "1s", "hand-over-delay": "300ms",
	}}
	e.snap.Store(&cib.Snapshot{Config: &cib.Config{
		Cluster: cib.Cluster{Options: cib.Options{StopGrace: &zero}}, QuorumDevices: map[string]*cib.QuorumDevice{"q": device},
	}})
	a := newArbiters(e)
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	defer func() { cancel(); <-ended }()

	gen := cib.DataGeneration{Number: 1, Nonce: 7}
	claim := node.Claim{Episode: 1, Voters: []string{"n1", "n2"}, Present: []string{"n1", "n2"}, Generation: gen, Voter: true, Quorate: true}
	a.consult(claim)
	look, late := time.NewTicker(2*time.Millisecond), time.After(20*time.Second)
	defer look.Stop()
	for len(q.View().Clusters[0].Nodes[0].Present) < 2 {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("the arbitrator does not know the cluster")
		}
	}
	claim.Episode, claim.Present, claim.Tie = 2, []string{"n1"}, true
	a.consult(claim)
	next := cib.DataGeneration{Number: 2, Nonce: 8}
	var said node.Arbitrated
	for said.Answer != cib.QuorumHave || said.Settled.IsZero() || e.clock.now().Before(said.Settled) {
		if said.Answer == cib.QuorumHave && said.Episode == 2 && e.clock.now().Before(said.Settled.Add(-100*time.Millisecond)) {
			if err := a.openGeneration(ctx, "q", next); err == nil || !strings.Contains(err.Error(), "hand-over delay") {
				t.Fatalf("the generation was opened too early: %v", err)
			}
		}
		select {
		case ev := <-e.events:
			said = ev.(node.Arbitrated)
		case <-time.After(20 * time.Second):
			t.Fatalf("the last that was said is %+v", said)
		}
	}
	if err := a.openGeneration(ctx, "q", next); err != nil {
		t.Fatal(err)
	}
	if err := a.openGeneration(ctx, "q", next); err != nil {
		t.Errorf("asked again after a lost answer: %v", err)
	}
	if err := a.openGeneration(ctx, "other", next); err == nil {
		t.Error("a device that is not there has opened a generation")
	}
	if c := q.View().Clusters[0]; c.Generation.Number != 2 || c.OpenedBy != "n1" {
		t.Errorf("the arbitrator knows %+v", c)
	}

	// Another time the disk is old: it says so, to a majority as well, and takes what is
	// newer than what it knows.
	judged := func(gen cib.DataGeneration, want string) {
		t.Helper()
		claim.Episode, claim.Present, claim.Tie, claim.Generation = claim.Episode+1, claim.Voters, false, gen
		a.consult(claim)
		late := time.After(20 * time.Second)
		for {
			err := a.newest(t.Context(), e.snap.Load().Config, &recovery{From: gen})
			if err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want) {
				return
			}
			select {
			case <-look.C:
			case <-e.events:
			case <-late:
				t.Fatalf("of generation %d it says: %v", gen.Number, err)
			}
		}
	}
	judged(gen, "is of generation 1, and 2 is known")
	judged(cib.DataGeneration{Number: 2, Nonce: 99}, "another history")
	judged(next, "")
	judged(cib.DataGeneration{Number: 3, Nonce: 5}, "")
	if err := a.newest(t.Context(), e.snap.Load().Config, &recovery{From: next}); err == nil {
		t.Error("it has said of generation 3, and that is taken for generation 2")
	}
}
