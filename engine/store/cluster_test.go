package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// The leader dies. A client on another node commits again within two election
// timeouts or so, also when a transaction was with the leader at that moment.
func TestLeaderDies(t *testing.T) {
	c := startCluster(t, 3)
	a := c.admin("n1")
	must(t, a.MoveLeader(t.Context(), "n1"))
	must(t, a.MoveLeader(t.Context(), "n1")) // again
	s := c.open("n2")
	client := c.open("n9") // no member; may be connected to the one that dies
	for _, from := range []*Store{s, client} {
		commit(t, from, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: 0}}})
	}

	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	type outcome struct {
		gap, longest time.Duration
		unknown      int
		stored       int
	}
	run := func(from *Store, key string) outcome {
		var o outcome
		last := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			began := time.Now()
			_, _, err := from.Commit(ctx, cib.Txn{Put: []cib.Put{{Key: key, Value: n}}})
			o.longest = max(o.longest, time.Since(began))
			switch {
			case err == nil:
				o.gap, o.stored, last = max(o.gap, time.Since(last)), n, time.Now()
			case errors.Is(err, ErrUnknown):
				o.unknown++
			case ctx.Err() == nil:
				t.Errorf("commit: %v", err)
			}
		}
		return o
	}
	var wg sync.WaitGroup
	results := make([]outcome, 2)
	for i, from := range []*Store{s, client} {
		wg.Go(func() { results[i] = run(from, fmt.Sprintf("history/%d", i)) })
	}
	await := func(rounds int) { // until both have done some more
		t.Helper()
		for i := range results {
			kv, err := s.Get(t.Context(), fmt.Sprintf("history/%d", i))
			must(t, err)
			awaitSnapshot(t, s, func(snap *cib.Snapshot) bool { return snap.Revision > kv.ModRev+2*int64(rounds) })
		}
	}
	await(50)
	must(t, syscall.Kill(c.nodes["n1"].sup.State().PID, syscall.SIGKILL))
	await(50)
	stop()
	wg.Wait()
	_, election := Timing(testDetection)
	for i, o := range results {
		t.Logf("client %d: gap %v, longest commit %v, %d unknown outcomes", i, o.gap, o.longest, o.unknown)
		if o.gap > 10*election { // two or three are usual; loaded machines need some more
			t.Errorf("client %d: gap of %v with an election timeout of %v", i, o.gap, election)
		}
		kv, err := s.Get(t.Context(), fmt.Sprintf("history/%d", i))
		must(t, err)
		if n := 0; func() bool { _, err := fmt.Sscan(string(kv.Value), &n); return err != nil || n < o.stored }() {
			t.Errorf("client %d: %d was acknowledged, %s is there", i, o.stored, kv.Value)
		}
	}
}

// The member of this node is cut off: the client turns to another one, and comes
// back when it is well again.
func TestLocalMemberFails(t *testing.T) {
	c := startCluster(t, 3)
	s := c.open("n1", func(cfg *Config) { cfg.Probe = 100 * time.Millisecond })
	commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 1}}}})
	must(t, c.admin("n2").MoveLeader(t.Context(), "n1")) // the worst case
	if !s.Endpoint().Local {
		t.Fatalf("began at %+v", s.Endpoint())
	}
	must(t, syscall.Kill(c.nodes["n1"].sup.State().PID, syscall.SIGSTOP)) // hangs
	began := time.Now()
	var rev int64
	for {
		ok, r, err := s.Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 2}}}})
		if ok && err == nil {
			rev = r
			break
		}
		if !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
	}
	_, err := s.Await(t.Context(), rev)
	must(t, err)
	t.Logf("went on after %v", time.Since(began))
	if s.Endpoint().Local {
		t.Error("still at a member that hangs")
	}
	must(t, syscall.Kill(c.nodes["n1"].sup.State().PID, syscall.SIGCONT))
	deadline := time.Now().Add(10 * time.Second)
	for !s.Endpoint().Local && time.Now().Before(deadline) {
		rev = commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 3}}}})
	}
	if !s.Endpoint().Local {
		t.Error("did not come back")
	}
	_, err = s.Await(t.Context(), rev)
	must(t, err)
}

// The voters change one at a time, and every step may be repeated.
func TestVotersChange(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	a := c.admin("n1")
	s := c.open("n1")
	commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 1}}}})
	if err := a.Remove(t.Context(), "n1", nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("removing the last voter: %v", err)
	}
	for _, name := range []string{"n2", "n3"} {
		m := c.add(name)
		began := time.Now()
		for range 2 {
			initial, err := a.AddLearner(t.Context(), name, m.cfg.ListenPeers)
			must(t, err)
			if !slices.Equal(slices.Sorted(maps.Keys(initial)), slices.Sorted(maps.Keys(c.nodes))) {
				t.Fatalf("initial members are %v", initial)
			}
			m.cfg.Initial, m.cfg.Existing = initial, true
		}
		c.start(m)
		must(t, a.Promote(t.Context(), name))
		must(t, a.Promote(t.Context(), name))
		index, err := a.Barrier(t.Context(), name)
		must(t, err)
		t.Logf("%s: voter with barrier %d after %v", name, index, time.Since(began))
		m.await(t, ChildReady)
	}
	must(t, s.SetEndpoints(c.endpoints("n1")))
	list, err := a.Members(t.Context())
	must(t, err)
	if len(list) != 3 || slices.ContainsFunc(list, func(m Member) bool { return m.Learner || len(m.PeerURLs) != 2 }) {
		t.Fatalf("%+v", list)
	}
	// n1 goes; its supervisor says why, and does not start it again.
	far, err := NewAdmin(Config{Cluster: "test", Node: "n2", Endpoints: c.endpoints("n2"), TLS: c.identity(pki.RootName).ClientConfig(pki.Check{}), Detection: testDetection})
	must(t, err)
	defer far.Close()
	urls := []string{freeURL(t), c.nodes["n3"].cfg.ListenPeers[0]}
	must(t, far.UpdatePeerURLs(t.Context(), "n3", urls))
	must(t, far.Remove(t.Context(), "n1", nil))
	must(t, far.Remove(t.Context(), "n1", nil))
	if end := c.nodes["n1"].await(t, ChildFailed); end.Reason != ReasonRemoved {
		t.Errorf("removed, but %+v", end)
	}
	if _, err := c.nodes["n1"].sup.SetAside(c.nodes["n1"].cfg.Dir, time.Now()); err != nil {
		t.Error(err)
	}
	commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 2}}}})
	if s.Endpoint().Local {
		t.Error("committed at a member that was removed")
	}
}

// A backup taken under load holds all that was acknowledged before, and three
// members made from it are a new cluster with the old data.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	s := c.open("n1")
	var rev int64
	for n := range 50 {
		rev = commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: uint64(n)}}}})
	}
	before, err := s.Await(t.Context(), rev)
	must(t, err)
	file := filepath.Join(t.TempDir(), "backup")
	saved, err := c.admin("n1").Backup(t.Context(), file)
	must(t, err)
	if saved.Revision < rev || VerifyBackup(file) != nil {
		t.Fatalf("%+v at revision %d", saved, rev)
	}
	commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: 1000}}}})

	data, err := os.ReadFile(file)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(file+".bad", data, 0o600))
	if err := Restore(file+".bad", c.nodes["n1"].cfg); err == nil {
		t.Error("restored a damaged backup")
	}
	if err := Restore(file, c.nodes["n1"].cfg); err == nil {
		t.Error("restored over data that are there")
	}

	back := newCluster(t)
	back.ca = c.ca
	initial := map[string][]string{}
	for _, name := range []string{"n1", "n2", "n3"} {
		initial[name] = back.add(name).cfg.ListenPeers
	}
	for _, m := range back.nodes {
		m.cfg.Initial, m.cfg.Token = initial, "test restored"
		must(t, Restore(file, m.cfg))
		back.start(m)
	}
	for _, m := range back.nodes {
		m.await(t, ChildReady)
	}
	// The same client, as if the cluster had been restored below it: it takes the
	// old data only with a newer generation.
	must(t, s.SetEndpoints(back.endpoints("n1")))
	root := back.admin("n1")
	ok, rev2, err := root.Commit(t.Context(), cib.Txn{
		If:  []cib.Compare{{Key: cib.KeyDataGen}},
		Put: []cib.Put{{Key: cib.KeyDataGen, Value: cib.DataGeneration{Number: 1, Nonce: 42}}},
	})
	if !ok || err != nil || rev2 < rev+restoreBump {
		t.Fatalf("%v %d %v", ok, rev2, err)
	}
	after, err := s.Await(t.Context(), rev2)
	must(t, err)
	if after.Status.View.Number != before.Status.View.Number || after.Status.Generation.Nonce != 42 {
		t.Errorf("view %+v, generation %+v", after.Status.View, after.Status.Generation)
	}
}

// Data that cannot be read: the reason is told, the data are set aside, and the
// member joins anew.
func TestCorruptData(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"member/wal", "member/snap/db"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := startCluster(t, 1)
			m := c.nodes["n1"]
			s := c.open("n1")
			for n := range 20 {
				commit(t, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{Number: uint64(n)}}}})
			}
			must(t, m.sup.Stop(t.Context()))
			path := filepath.Join(m.cfg.Dir, file)
			if st, err := os.Stat(path); err == nil && st.IsDir() {
				list, err := filepath.Glob(path + "/*.wal")
				must(t, err)
				path = list[0]
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt(slices.Repeat([]byte("garbage "), 2048), 64)
			must(t, errors.Join(err, f.Close()))
			c.start(m)
			end := m.await(t, ChildFailed)
			if end.Reason != ReasonCorrupt {
				t.Errorf("%+v", end)
			}
			t.Log(end.Detail)
			aside, err := m.sup.SetAside(m.cfg.Dir, time.Now())
			must(t, err)
			if _, err := os.Stat(filepath.Join(aside, "member")); err != nil {
				t.Error(err)
			}
			c.start(m)
			m.await(t, ChildReady)
		})
	}
}

// The store itself refuses what a node may not write.
func TestAccounts(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	a := c.admin("n1")
	before := c.open("n1")
	put := func(key string) cib.Txn { return cib.Txn{Put: []cib.Put{{Key: key, Value: map[string]any{}}}} }
	commit(t, before, put(cib.KeyDataGen))
	for range 2 {
		must(t, a.EnableAuth(t.Context(), []string{"n1", "n2"}))
	}
	n1, n2, stranger := c.open("n1"), c.open("n2"), c.open("n3", func(cfg *Config) { cfg.CommitMax = time.Second })
	for _, c := range []struct {
		who  *Store
		key  string
		want error
	}{
		{n1, cib.KeyMember + "n1", nil},
		{n1, cib.KeyMember + "n2", ErrDenied},
		{n1, cib.KeyMember + "n10", ErrDenied},
		{n1, cib.HistoryKey("n1", "web"), nil},
		{n1, cib.HistoryKey("n2", "web"), ErrDenied},
		{n1, cib.HistoryKey("n10", "web"), ErrDenied},
		{n2, cib.HistoryKey("n2", "web"), nil},
		{n1, cib.ReadinessKey("n2", "ipmi"), ErrDenied},
		{n1, cib.KeyStore + "n1", nil},
		{n1, cib.KeyLinks + "n2", ErrDenied},
		{n1, cib.KeyAttributes + "n2", ErrDenied},
		{n1, cib.KeyNode + "n2", nil},
		{n1, cib.KeyConfigHistory + "1", nil},
		{n1, cib.KeyJoinToken + "1", nil},
		{n1, cib.KeyEvent + "1", nil},
		{n1, cib.KeyView, nil},
		{n1, cib.KeyVoters, nil},
		{n1, cib.KeyAdvice, nil},
		{n1, cib.KeyRound + "db", nil},
		{n1, cib.KeyNodeStatus + "n2", nil},
		{n1, cib.PendingKey("n2", "web"), nil},
		{n1, cib.KeyFenceRequest + "n2", nil},
		{n1, cib.KeyProof + "1", nil},
		{n1, cib.KeyFenceHistory + "1", nil},
		{n1, cib.KeyDataGen, ErrDenied},
		{n1, "other", ErrDenied},
		{stranger, cib.KeyMember + "n3", ErrDenied},
	} {
		ok, _, err := c.who.Commit(t.Context(), put(c.key))
		if ok != (c.want == nil) || !errors.Is(err, c.want) {
			t.Errorf("%s writes %s: %v %v", c.who.cfg.Node, c.key, ok, err)
		}
	}
	// A cluster that an older release made lacks a key until somebody completes it.
	must(t, a.authSteps(t.Context(), []authStep{{"an older release", func(ctx context.Context, c pb.AuthClient) error {
		_, err := c.RoleRevokePermission(ctx, &pb.AuthRoleRevokePermissionRequest{Role: sharedRole, Key: []byte(a.s.prefix + cib.KeyAccess), RangeEnd: a.s.subtree(cib.KeyAccess)})
		return err
	}}}))
	if ok, _, err := n1.Commit(t.Context(), put(cib.KeyAccess+"session/x")); ok || !errors.Is(err, ErrDenied) {
		t.Fatalf("without the permission: %v %v", ok, err)
	}
	for _, want := range []bool{true, false} {
		if missing, err := a.Complete(t.Context(), []string{"n1", "n2"}); missing != want || err != nil {
			t.Errorf("completed: %v %v", missing, err)
		}
	}
	commit(t, n1, put(cib.KeyAccess+"session/x"))
	commit(t, n1, cib.Txn{Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n1"}, Lease: true}}})
	if _, err := n1.Status(t.Context()); err != nil {
		t.Error(err)
	}
	awaitSnapshot(t, n2, func(snap *cib.Snapshot) bool { return snap.Status.DC != nil })
	if stranger.Snapshot() != nil {
		t.Error("a stranger reads")
	}
	mere, err := NewAdmin(Config{Cluster: "test", Node: "n1", Endpoints: c.endpoints("n1"), Detection: testDetection, TLS: n1.cfg.TLS})
	must(t, err)
	defer mere.Close()
	if err := mere.Remove(t.Context(), "n1", nil); err == nil {
		t.Error("a node administers")
	}
	if err := mere.GrantNode(t.Context(), "n3"); !errors.Is(err, ErrDenied) {
		t.Errorf("a node gives accounts: %v", err)
	}

	// A node joins, and another leaves.
	must(t, a.GrantNode(t.Context(), "n3"))
	commit(t, stranger, put(cib.KeyMember+"n3"))
	accounts := func(want ...string) {
		t.Helper()
		got, err := a.Accounts(t.Context())
		must(t, err)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("accounts of %v, want %v", got, want)
		}
	}
	accounts("n1", "n2", "n3")
	must(t, a.RevokeNode(t.Context(), "n2"))
	must(t, a.RevokeNode(t.Context(), "n2"))
	accounts("n1", "n3")
	if _, _, err := n2.Commit(t.Context(), put(cib.KeyMember+"n2")); !errors.Is(err, ErrDenied) {
		t.Errorf("a removed node writes: %v", err)
	}
	if ok, _, err := a.Purge(t.Context(), "n2", []cib.Compare{{Key: cib.KeyDC}}); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	ok, rev, err := a.Purge(t.Context(), "n2", nil)
	if !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	snap, err := n1.Await(t.Context(), rev)
	must(t, err)
	if snap.Status.Members["n1"] == nil || snap.Status.Histories["n2"] != nil || snap.Status.Nodes["n2"] != nil || snap.Config.Nodes["n2"] == nil {
		t.Errorf("%+v", snap.Status)
	}
	if done, err := a.Maintain(t.Context()); err != nil || done.Defragmented {
		t.Errorf("%+v %v", done, err)
	}
	if _, err := a.Backup(t.Context(), filepath.Join(t.TempDir(), "b")); err != nil {
		t.Error(err)
	}
}
