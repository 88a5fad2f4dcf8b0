package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Both of two voters are killed in the middle of writes. The follower goes on alone:
// it has everything that was acknowledged. The other one comes back with what it had,
// is turned away, and learns anew; then it is its turn to survive.
func TestForcedRecovery(t *testing.T) {
	c := startCluster(t, 2)
	names := []string{"n1", "n2"}
	for round := range 4 {
		lost, survivor := c.nodes[names[round%2]], c.nodes[names[1-round%2]]
		must(t, c.admin(lost.name).MoveLeader(t.Context(), lost.name))
		stored := writeAndKill(t, c, lost, survivor)

		force := survivor.cfg
		force.ForceNew, force.Dir = true, survivor.cfg.Dir+".forced"
		force.ListenPeers, force.AdvertisePeers = []string{"https://127.0.0.1:0"}, survivor.cfg.ListenPeers
		force.ListenClients, force.AdvertiseClients = nil, survivor.cfg.ListenClients
		must(t, survivor.sup.Copy(survivor.cfg.Dir, force.Dir))
		survivor.forget()
		must(t, survivor.sup.Start(t.Context(), force))
		survivor.await(t, ChildReady)
		a := c.adminAt(survivor)
		members, err := a.Members(t.Context())
		must(t, err)
		if len(members) != 1 || members[0].Name != survivor.name {
			t.Fatalf("round %d: the members are %+v", round, members)
		}
		must(t, survivor.sup.Stop(t.Context()))
		_, err = survivor.sup.SetAside(survivor.cfg.Dir, time.Now())
		must(t, err)
		must(t, os.Rename(force.Dir, survivor.cfg.Dir))
		survivor.forget()
		must(t, survivor.sup.Start(t.Context(), survivor.cfg))
		survivor.await(t, ChildReady)

		s := c.open(survivor.name)
		for key, n := range stored {
			kv, err := s.Get(t.Context(), key)
			must(t, err)
			if have := -1; n >= 0 && func() bool { _, err := fmt.Sscan(string(kv.Value), &have); return err != nil || have < n }() {
				t.Errorf("round %d: %s: %d was acknowledged, %q is there", round, key, n, kv.Value)
			}
		}

		// The other one starts as if nothing had happened.
		if round > 1 { // where it is expected already, as another member
			_, err = a.AddLearner(t.Context(), lost.name, lost.cfg.ListenPeers)
			must(t, err)
			lost.cfg.LogLevel = "error"
		}
		lost.forget()
		must(t, lost.sup.Start(t.Context(), lost.cfg))
		if ch := lost.await(t, ChildFailed); ch.Reason != ReasonRemoved {
			t.Fatalf("round %d: it ended with %+v", round, ch)
		}
		_, err = lost.sup.SetAside(lost.cfg.Dir, time.Now())
		must(t, err)
		initial, err := a.AddLearner(t.Context(), lost.name, lost.cfg.ListenPeers)
		must(t, err)
		lost.cfg.Initial, lost.cfg.Existing = initial, true
		lost.forget()
		must(t, lost.sup.Start(t.Context(), lost.cfg))
		lost.await(t, ChildReady)
		must(t, a.Promote(t.Context(), lost.name))
		_, err = a.Barrier(t.Context(), lost.name)
		must(t, err)
		s.Close()
	}
	old, err := filepath.Glob(c.nodes["n1"].cfg.Dir + ".aside-*")
	must(t, err)
	if len(old) != asideMax {
		t.Errorf("%d directories were kept aside, and not %d", len(old), asideMax)
	}
}

// writeAndKill writes from many sides through the leader, kills both members at the
// same moment, and returns what was acknowledged: the newest number of each key.
func writeAndKill(t *testing.T, c *cluster, leader, other *member) map[string]int {
	t.Helper()
	const writers = 8
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var wg sync.WaitGroup
	acked := make([]int, writers)
	enough := make(chan struct{}, writers)
	for i := range writers {
		s := c.open(leader.name)
		acked[i] = -1
		wg.Go(func() {
			defer s.Close()
			key := fmt.Sprintf("history/%d", i)
			for n := 0; ctx.Err() == nil; n++ {
				_, _, err := s.Commit(ctx, cib.Txn{Put: []cib.Put{{Key: key, Value: n}}})
				if err != nil {
					if ctx.Err() == nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrUnreachable) {
						t.Errorf("commit: %v", err)
					}
					return
				}
				if acked[i] = n; n == 30 {
					enough <- struct{}{}
				}
			}
		})
	}
	for range writers {
		select {
		case <-enough:
		case <-ctx.Done():
			t.Fatal("the writers do not come on")
		}
	}
	// Standing still first, both end in the same moment.
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, m := range []*member{leader, other} {
			must(t, syscall.Kill(m.sup.State().PID, sig))
		}
	}
	for _, m := range []*member{leader, other} {
		must(t, m.sup.Stop(t.Context()))
	}
	stop()
	wg.Wait()
	out := map[string]int{}
	for i, n := range acked {
		out[fmt.Sprintf("history/%d", i)] = n
	}
	return out
}

// forget drops the states that were seen, before a new start.
func (m *member) forget() {
	for len(m.states) > 0 {
		<-m.states
	}
}

// adminAt administers the store over one member's socket.
func (c *cluster) adminAt(m *member) *Admin {
	c.t.Helper()
	a := c.admin(m.name)
	must(c.t, a.SetEndpoints([]Endpoint{{Node: m.name, URL: "unixs://" + m.cfg.Socket, Local: true}}))
	return a
}
