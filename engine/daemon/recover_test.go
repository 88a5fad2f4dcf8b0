package daemon

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// A node does not go on alone with data that are older than what it has seen, or that
// are not a voter's.
func TestRecoveryAccepts(t *testing.T) {
	from, next := cib.DataGeneration{Number: 3, Nonce: 1}, cib.DataGeneration{Number: 4, Nonce: 2}
	r := &recovery{From: from, Next: next, Revision: 100}
	alone := []store.Member{{Name: "n1"}}
	for name, c := range map[string]struct {
		members []store.Member
		gen     cib.DataGeneration
		rev     int64
		refused string
	}{
		"all that was seen":       {alone, from, 100, ""},
		"more than was seen":      {alone, from, 117, ""},
		"begun before":            {alone, next, 90, ""},
		"a disk with old data":    {alone, from, 99, "end at revision 99, and revision 100 was seen"},
		"an older generation":     {alone, cib.DataGeneration{Number: 2, Nonce: 9}, 500, "of generation 2, and generation 3 was seen"},
		"another history":         {alone, cib.DataGeneration{Number: 3, Nonce: 9}, 500, "of generation 3"},
		"a learner":               {[]store.Member{{Name: "n1", Learner: true}}, from, 100, "not the only voter"},
		"another one is there":    {[]store.Member{{Name: "n1"}, {Name: "n2"}}, from, 100, "not the only voter"},
		"another node's data":     {[]store.Member{{Name: "n2"}}, from, 100, "not the only voter"},
		"a member without a name": {[]store.Member{{}}, from, 100, "not the only voter"},
	} {
		err := r.accept("n1", c.members, c.gen, c.rev)
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A node that has just become a voter of the store dies before its vote is recorded:
// the sole voter does not wait for it, and loses nothing. It is the same when the
// sole voter's engine has to begin anew meanwhile.
func TestVoterLostBeforeItsVote(t *testing.T) {
	for name, restart := range map[string]bool{"at once": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newTestCluster(t)
			d.online()
			n2 := &cib.Node{ID: 2, Addresses: []string{"127.0.0.1"}, Ports: freePorts(t), Voter: true}
			_, _, err := d.engine.Load().keeper.admin().Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyNode + "n2", Value: n2}}})
			must(t, err)
			d.await("n2 is configured", func(s *cib.Snapshot) bool { return s.Config.Nodes["n2"] != nil })
			lost, _ := joinStore(t, d, "n2", n2)
			d.note("acknowledged")
			before := d.snapshot()
			if restart {
				d.stop()
			}
			must(t, syscall.Kill(lost.State().PID, syscall.SIGKILL))
			must(t, lost.Stop(t.Context()))
			if restart {
				d = startDaemon(t, filepath.Dir(d.opts.Socket))
				d.awaitEngineUp()
			}
			after := d.await("the store goes on", func(s *cib.Snapshot) bool {
				return s.Status.Generation.Number == before.Status.Generation.Number+1
			})
			if v := after.Status.Voters; !slices.Equal(v.Voters, []string{"n1"}) || v.Epoch != before.Status.Voters.Epoch+1 {
				t.Errorf("the voters are %+v", v)
			}
			d.online()
			d.note("afterwards")
			members, err := d.engine.Load().keeper.admin().Members(t.Context())
			must(t, err)
			if len(members) != 1 {
				t.Errorf("the store's members are %+v", members)
			}
			if a := d.snapshot().Config.Nodes["n1"].Attributes; a["acknowledged"] != "yes" || a["afterwards"] != "yes" {
				t.Errorf("changes were lost: %v", a)
			}
		})
	}
}

// An arbitrator may have opened the generation, and the disk be full: then it is not
// known here, nor anywhere written down, that it has; only that it may.
func TestRecoveryOpenOnAFullDisk(t *testing.T) {
	next := cib.DataGeneration{Number: 4, Nonce: 2}
	refusal := errors.New("refused")
	for name, c := range map[string]struct {
		full   int // the write that fails; 0: none
		answer error
		calls  int
		want   recovery // what is known here
		kept   recovery // what stands in the file
	}{
		"enough space":              {0, nil, 1, recovery{Next: next, Asked: true, Opened: true}, recovery{Next: next, Asked: true, Opened: true}},
		"refused":                   {0, refusal, 1, recovery{Next: next, Asked: true}, recovery{Next: next, Asked: true}},
		"full before it is asked":   {1, nil, 0, recovery{Next: next}, recovery{Next: next}},
		"full when it has answered": {2, nil, 1, recovery{Next: next, Asked: true}, recovery{Next: next, Asked: true}},
	} {
		r, kept, calls, writes := recovery{Next: next}, recovery{Next: next}, 0, 0
		err := r.open(func(x *recovery) error {
			if writes++; writes == c.full {
				return syscall.ENOSPC
			}
			kept = *x
			return nil
		}, func() error {
			calls++
			return c.answer
		})
		if (err == nil) != (c.full == 0 && c.answer == nil) || calls != c.calls || r != c.want || kept != c.kept {
			t.Errorf("%s: %v after %d calls; known %+v, kept %+v", name, err, calls, r, kept)
		}
	}
}

// A recovery that was given up because the disk is full leaves the member as it was:
// with the other voter back the store goes on, whatever could not be written.
func TestRecoveryGivenUpOnAFullDisk(t *testing.T) {
	d := newTestCluster(t)
	d.online()
	n2 := &cib.Node{ID: 2, Addresses: []string{"127.0.0.1"}, Ports: freePorts(t), Voter: true}
	_, _, err := d.engine.Load().keeper.admin().Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyNode + "n2", Value: n2}}})
	must(t, err)
	d.await("n2 is configured", func(s *cib.Snapshot) bool { return s.Config.Nodes["n2"] != nil })
	lost, member := joinStore(t, d, "n2", n2)
	before := d.snapshot()
	// What can't be written: the member's settings, so that neither a copy nor the
	// member itself can be started; then the recovery.
	refuse := func(file string) string {
		path := filepath.Join(d.opts.StateDir, file)
		must(t, os.RemoveAll(path))
		must(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
		return path
	}
	settings := refuse(fileMember)
	must(t, lost.Stop(t.Context()))
	alone := func() string {
		o := d.engine.Load().observe(t.Context())
		if o == nil {
			return ""
		}
		return o.StoreAlone
	}
	d.awaitTrue("it can't go on alone", func() bool { return strings.Contains(alone(), fileMember) })
	begun := refuse(fileRecovery) // it must not go on alone after all
	must(t, lost.Start(t.Context(), member))
	must(t, os.RemoveAll(settings))
	after := d.await("the store goes on with both", func(s *cib.Snapshot) bool {
		return s.Revision > before.Revision && slices.ContainsFunc(s.Status.Events, func(ev *cib.Event) bool { return ev.Code == event.Get(event.StoreGoesOn).Code() })
	})
	if after.Status.Generation != before.Status.Generation {
		t.Errorf("the generation is %+v, and nobody went on alone", after.Status.Generation)
	}
	if text := alone(); text != "" {
		t.Errorf("it still says that it can't go on: %s", text)
	}
	must(t, os.RemoveAll(begun))
}

// note writes an attribute of the node.
func (d *testDaemon) note(name string) {
	d.t.Helper()
	d.change(&api.Change{Action: api.ActionPatch, Object: "node/n1", Value: json.RawMessage(`{"attributes": {"` + name + `": "yes"}}`)})
}

// joinStore makes another node a voter of the store. The engine does not reach it where
// it would ask it what it has, and so does not record its vote.
func joinStore(t testing.TB, d *testDaemon, name string, n *cib.Node) (*store.Supervisor, store.ServerConfig) {
	t.Helper()
	e := d.engine.Load()
	dir, err := os.MkdirTemp("", "js") //nolint:usetesting // the path of its socket must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ca, err := e.authority(t.Context())
	must(t, err)
	id, err := newIdentity(ca, pki.Names{Node: name, Addresses: n.Addresses})
	must(t, err)
	must(t, id.Save(dir, "", ""))
	must(t, pki.WriteFile(filepath.Join(dir, pki.FileCA), pki.EncodeCert(ca.Cert), 0o644))
	initial, err := e.keeper.admin().AddLearner(t.Context(), name, store.PeerURLs(n))
	must(t, err)
	sup := store.NewSupervisor(store.SupervisorConfig{Command: []string{os.Args[0], "etcd"}, File: filepath.Join(dir, "etcd.json")})
	cfg := store.ServerConfig{
		Name: name, Dir: filepath.Join(dir, "data"), ListenPeers: store.PeerURLs(n), ListenClients: []string{"https://127.0.0.1:0"},
		AdvertiseClients: store.ClientURLs(n), Socket: filepath.Join(dir, "s"), Initial: initial, Existing: true, Token: e.local.Token,
		CA: filepath.Join(dir, pki.FileCA), Cert: filepath.Join(dir, pki.FileNode), Key: filepath.Join(dir, pki.FileNodeKey),
		Detection: cib.Duration(500 * time.Millisecond), LogLevel: "error",
	}
	must(t, sup.Start(t.Context(), cfg))
	t.Cleanup(func() { _ = sup.Stop(t.Context()) })
	must(t, e.keeper.admin().Promote(t.Context(), name))
	return sup, cfg
}
