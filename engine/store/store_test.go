package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

func TestSingleMember(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	lost := make(chan bool, 10)
	s := c.open("n1", func(cfg *Config) { cfg.OnLeaseLost = func() { lost <- true } })

	t.Run("compare", func(t *testing.T) {
		rev := commit(t, s, cib.Txn{
			If:  []cib.Compare{{Key: cib.KeyView}},
			Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 1}}},
		})
		ok, _, err := s.Commit(t.Context(), cib.Txn{
			If:  []cib.Compare{{Key: cib.KeyView}},
			Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 2}}},
		})
		if ok || err != nil {
			t.Fatalf("a key that exists passed for one that does not: %v %v", ok, err)
		}
		snap, err := s.Await(t.Context(), rev)
		must(t, err)
		if snap.Status.View == nil || snap.Status.View.Number != 1 || snap.Status.View.Rev != rev {
			t.Fatalf("view is %+v, revision %d", snap.Status.View, rev)
		}
		rev2 := commit(t, s, cib.Txn{If: []cib.Compare{{Key: cib.KeyView, ModRev: rev}}, Delete: []string{cib.KeyView, "status/none"}})
		if snap, err = s.Await(t.Context(), rev2); err != nil || snap.Status.View != nil {
			t.Fatalf("deleted, but %+v %v", snap.Status.View, err)
		}
		if kv, err := s.Get(t.Context(), cib.KeyView); err != nil || kv.Value != nil || kv.ModRev != 0 {
			t.Fatalf("%+v %v", kv, err)
		}
	})

	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			name string
			put  []cib.Put
			want error
		}{
			{"twice", []cib.Put{{Key: cib.KeyView, Value: 1}, {Key: cib.KeyView, Value: 2}}, ErrInvalid},
			{"not JSON", []cib.Put{{Key: cib.KeyView, Value: make(chan int)}}, ErrInvalid},
			{"too large", []cib.Put{{Key: "history/1", Value: strings.Repeat("x", RequestMaxBytes)}}, ErrTooLarge},
		} {
			if ok, _, err := s.Commit(t.Context(), cib.Txn{Put: c.put}); ok || !errors.Is(err, c.want) || errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v %v", c.name, ok, err)
			}
		}
		large := cib.Txn{Put: []cib.Put{{Key: "history/1", Value: strings.Repeat("x", RequestMaxBytes-4096)}}}
		commit(t, s, large)
	})

	t.Run("history is not in the snapshot", func(t *testing.T) {
		var rev int64
		for i := range 5 {
			rev = commit(t, s, cib.Txn{Put: []cib.Put{{Key: fmt.Sprintf("history/%020d", i), Value: i}}})
		}
		snap, err := s.Await(t.Context(), rev)
		must(t, err)
		if len(snap.Faults) > 0 {
			t.Errorf("faults: %v", snap.Faults)
		}
		kvs, _, err := s.List(t.Context(), List{Prefix: "history/0", Limit: 2, Newest: true})
		must(t, err)
		if len(kvs) != 2 || string(kvs[0].Value) != "4" || kvs[0].Key != fmt.Sprintf("history/%020d", 4) {
			t.Errorf("%+v", kvs)
		}
	})

	t.Run("lease", func(t *testing.T) {
		rev := commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n1"}, Lease: true}}})
		// Somebody takes the lease away.
		must(t, s.Release(t.Context()))
		gone := awaitSnapshot(t, s, func(snap *cib.Snapshot) bool { return snap.Revision > rev && snap.Status.DC == nil })
		commit(t, s, cib.Txn{
			If:  []cib.Compare{{Key: cib.KeyDC}},
			Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n1"}, Lease: true}},
		})
		if snap := awaitSnapshot(t, s, func(snap *cib.Snapshot) bool { return snap.Status.DC != nil }); snap.Revision <= gone.Revision {
			t.Errorf("revision %d after %d", snap.Revision, gone.Revision)
		}
		select {
		case <-lost:
		case <-time.After(5 * time.Second):
			t.Error("was not told that the lease is gone")
		}
	})
}

// What hangs on the lease of an engine that died goes when its time is up.
func TestLeaseExpires(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	dead, s := c.open("n2"), c.open("n1")
	rev := commit(t, dead, cib.Txn{Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n2"}, Lease: true}}})
	began := time.Now()
	dead.Close()
	awaitSnapshot(t, s, func(snap *cib.Snapshot) bool { return snap.Revision > rev && snap.Status.DC == nil })
	t.Logf("the lease was gone after %v", time.Since(began))
	if _, _, err := dead.Commit(t.Context(), cib.Txn{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store says %v", err)
	}
}

// Two documents that change together are never seen apart, revisions rise, and a
// member that is killed under load costs nothing but time.
func TestWatchUnderLoad(t *testing.T) {
	c := startCluster(t, 1)
	s, reader := c.open("n1"), c.open("n9")
	const rounds = 300
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i, from := range []*Store{s, reader, reader} {
		wg.Go(func() {
			var rev int64
			seen := 0
			_ = from.Watch(ctx, func(snap *cib.Snapshot) {
				seen++
				a, b := snap.Status.Attributes["a"], snap.Status.Attributes["b"]
				if (a == nil) != (b == nil) || a != nil && a.Values["v"] != b.Values["v"] {
					t.Errorf("watcher %d at %d: half a transaction: %+v %+v", i, snap.Revision, a, b)
				}
				if snap.Revision <= rev {
					t.Errorf("watcher %d: revision %d after %d", i, snap.Revision, rev)
				}
				rev = snap.Revision
			})
			t.Logf("watcher %d saw %d snapshots, last at %d", i, seen, rev)
		})
	}
	var last int64
	unknownOutcomes := 0
	for n := range rounds {
		if n == rounds/3 || n == 2*rounds/3 {
			must(t, syscall.Kill(c.nodes["n1"].sup.State().PID, syscall.SIGKILL))
		}
		v := map[string]string{"v": fmt.Sprint(n)}
		txn := cib.Txn{Put: []cib.Put{{Key: cib.KeyAttributes + "a", Value: cib.Attributes{Values: v}}, {Key: cib.KeyAttributes + "b", Value: cib.Attributes{Values: v}}}}
		ok, rev, err := s.Commit(t.Context(), txn)
		switch {
		case errors.Is(err, ErrUnknown):
			unknownOutcomes++ // the one that was in flight; writing it again does no harm
		case err != nil || !ok:
			t.Fatalf("round %d: %v %v", n, ok, err)
		case rev <= last:
			t.Fatalf("round %d: revision %d after %d", n, rev, last)
		default:
			last = rev
		}
	}
	for _, from := range []*Store{s, reader} {
		if snap, err := from.Await(t.Context(), last); err != nil || snap.Status.Attributes["a"].Values["v"] != fmt.Sprint(rounds-1) {
			t.Errorf("%v: %+v", err, snap)
		}
	}
	stop()
	wg.Wait()
	t.Logf("%d unknown outcomes", unknownOutcomes)
	if st := c.nodes["n1"].sup.State(); st.Starts != 3 || st.Reason != ReasonCrashed {
		t.Errorf("%+v", st)
	}
}

// A watcher that was away for longer than the store remembers reads everything
// again, sees what was deleted, and keeps what did not change.
func TestCompacted(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	s := c.open("n1")
	commit(t, s, cib.Txn{Put: []cib.Put{
		{Key: cib.KeyNode + "n1", Value: cib.Node{ID: 1}}, {Key: cib.KeyNode + "n2", Value: cib.Node{ID: 2}},
	}})
	rev := commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyNode + "n3", Value: "not a node"}}})
	before, err := s.Await(t.Context(), rev)
	must(t, err)
	if len(before.Faults) != 1 {
		t.Fatalf("faults: %v", before.Faults)
	}

	other := c.open("n2")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := &replica{snap: before, next: rev + 1, keys: map[string]int64{}}
	for _, key := range []string{"n1", "n2", "n3"} {
		kv, err := s.Get(t.Context(), cib.KeyNode+key)
		must(t, err)
		r.keys[kv.Key] = kv.ModRev
	}
	commit(t, s, cib.Txn{Delete: []string{cib.KeyNode + "n2"}})
	last := commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyNode + "n4", Value: cib.Node{ID: 4}}}})
	conn, err := other.acquire()
	must(t, err)
	defer conn.done()
	_, err = conn.kv.Compact(ctx, &pb.CompactionRequest{Revision: last, Physical: true})
	must(t, err)
	if err := other.follow(ctx, conn, r); !errors.Is(err, errCompacted) {
		t.Fatalf("watching from a compacted revision: %v", err)
	}
	r.next = 0
	must(t, other.readAll(ctx, conn, r))
	after := r.snap
	if after.Config.Nodes["n1"] != before.Config.Nodes["n1"] || after.Config.Nodes["n2"] != nil || after.Config.Nodes["n4"] == nil ||
		len(after.Faults) != 1 || after.Revision != last {
		t.Errorf("%d: %+v %v", after.Revision, after.Config.Nodes, after.Faults)
	}
	// Data of an older state are refused, those of a newer generation are taken.
	r.snap = after.Apply(nil, last+100)
	r.next = 0
	if err := other.readAll(ctx, conn, r); !errors.Is(err, errOlder) {
		t.Errorf("an older store: %v", err)
	}
	commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyDataGen, Value: cib.DataGeneration{Number: 2, Nonce: 7}}}})
	must(t, other.readAll(ctx, conn, r))
	if r.snap.Revision != last+1 {
		t.Errorf("revision %d", r.snap.Revision)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	other := newCluster(t)
	foreign := c.open("n1", func(cfg *Config) {
		cfg.TLS = other.identity("n1").ClientConfig(pki.Check{})
		cfg.TLS.VerifyConnection = nil // it does not mind whom it talks to
		cfg.CommitMax = 500 * time.Millisecond
	})
	if ok, _, err := foreign.Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: 1}}}); ok || !errors.Is(err, ErrUnreachable) {
		t.Errorf("certificate of another cluster: %v %v", ok, err)
	}
	anonymous := c.open("n1", func(cfg *Config) {
		cfg.TLS.GetClientCertificate = nil
		cfg.CommitMax = 500 * time.Millisecond
	})
	if ok, _, err := anonymous.Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: 1}}}); ok || !errors.Is(err, ErrUnreachable) {
		t.Errorf("no certificate: %v %v", ok, err)
	}
	misled := c.open("n1", func(cfg *Config) {
		cfg.TLS = other.identity("n1").ClientConfig(pki.Check{})
		cfg.CommitMax = 500 * time.Millisecond
	})
	if ok, _, err := misled.Commit(t.Context(), cib.Txn{}); ok || !errors.Is(err, ErrUnreachable) {
		t.Errorf("a server of another cluster: %v %v", ok, err)
	}
	if !foreign.LastContact().IsZero() {
		t.Error("counts a refusal as a contact")
	}
}

// When the store is full, writes are refused with a reason; after housekeeping
// they are accepted again.
func TestFull(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.quota = 4 << 20
	m := c.add("n1")
	m.cfg.Initial = map[string][]string{"n1": m.cfg.ListenPeers}
	c.start(m)
	m.await(t, ChildReady)
	s := c.open("n1")
	a := c.admin("n1")
	big := strings.Repeat("x", 256<<10)
	var err error
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		// The same key again: old revisions fill the store. Its size is looked at
		// with each transaction of its backend, some hundred milliseconds apart.
		if _, _, err = s.Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: "history/1", Value: big}}}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrSpace) || errors.Is(err, ErrUnknown) {
		t.Fatalf("a full store says %v", err)
	}
	st, err := s.Status(t.Context())
	must(t, err)
	if st.Alarm != "NOSPACE" || st.Leader != "n1" || !st.Member || st.Quota != c.quota || st.SizeBytes == 0 {
		t.Errorf("%+v", st)
	}
	done, err := a.Maintain(t.Context())
	must(t, err)
	if done.Compacted == 0 || !done.Defragmented || !done.Cleared {
		t.Errorf("%+v", done)
	}
	commit(t, s, cib.Txn{Put: []cib.Put{{Key: "history/1", Value: big}}})
	if st, err = s.Status(t.Context()); err != nil || st.Alarm != "" {
		t.Errorf("%+v %v", st, err)
	}
}

// awaitSnapshot returns the first snapshot that is as wanted.
func awaitSnapshot(t *testing.T, s *Store, wanted func(*cib.Snapshot) bool) *cib.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Second, errors.New("the snapshot did not come"))
	defer cancel()
	var found *cib.Snapshot
	err := s.Watch(ctx, func(snap *cib.Snapshot) {
		if found == nil && wanted(snap) {
			found = snap
			cancel()
		}
	})
	if found == nil {
		t.Fatal(err)
	}
	return found
}
