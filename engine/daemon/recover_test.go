package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
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
			lost := joinStore(t, d, "n2", n2)
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

// note writes an attribute of the node.
func (d *testDaemon) note(name string) {
	d.t.Helper()
	d.change(&api.Change{Action: api.ActionPatch, Object: "node/n1", Value: json.RawMessage(`{"attributes": {"` + name + `": "yes"}}`)})
}

// joinStore makes another node a voter of the store. The engine does not reach it where
// it would ask it what it has, and so does not record its vote.
func joinStore(t testing.TB, d *testDaemon, name string, n *cib.Node) *store.Supervisor {
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
	must(t, sup.Start(t.Context(), store.ServerConfig{
		Name: name, Dir: filepath.Join(dir, "data"), ListenPeers: store.PeerURLs(n), ListenClients: []string{"https://127.0.0.1:0"},
		AdvertiseClients: store.ClientURLs(n), Socket: filepath.Join(dir, "s"), Initial: initial, Existing: true, Token: e.local.Token,
		CA: filepath.Join(dir, pki.FileCA), Cert: filepath.Join(dir, pki.FileNode), Key: filepath.Join(dir, pki.FileNodeKey),
		Detection: cib.Duration(500 * time.Millisecond), LogLevel: "error",
	}))
	t.Cleanup(func() { _ = sup.Stop(t.Context()) })
	must(t, e.keeper.admin().Promote(t.Context(), name))
	return sup
}
