package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/engine/store"
)

// foreignStore is an etcd of one member that no cluster runs, with an authority of
// its own.
type foreignStore struct {
	t   testing.TB
	ca  *pki.CA
	sup *store.Supervisor
	cfg store.ServerConfig
}

func newForeignStore(t testing.TB) *foreignStore {
	t.Helper()
	ca, err := pki.NewCA("etcd", time.Now())
	must(t, err)
	dir, err := os.MkdirTemp("", "ext") //nolint:usetesting // the path of its socket must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	id, err := newIdentity(ca, pki.Names{Node: "etcd-1", Addresses: []string{"127.0.0.1", "localhost"}})
	must(t, err)
	must(t, id.Save(dir, "", ""))
	must(t, ca.Save(dir))
	p := freePorts(t)
	n := &cib.Node{Addresses: []string{"127.0.0.1"}, Ports: p}
	f := &foreignStore{t: t, ca: ca, cfg: store.ServerConfig{
		Name: "etcd-1", Dir: filepath.Join(dir, "data"), ListenPeers: store.PeerURLs(n), ListenClients: store.ClientURLs(n), Socket: filepath.Join(dir, "s"),
		Initial: map[string][]string{"etcd-1": store.PeerURLs(n)}, Token: "etcd", Detection: cib.Duration(500 * time.Millisecond), LogLevel: "error",
		CA: filepath.Join(dir, pki.FileCA), Cert: filepath.Join(dir, pki.FileNode), Key: filepath.Join(dir, pki.FileNodeKey),
	}}
	f.sup = store.NewSupervisor(store.SupervisorConfig{Command: []string{os.Args[0], "etcd"}, File: filepath.Join(dir, "etcd.json")})
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *foreignStore) start() { f.t.Helper(); must(f.t, f.sup.Start(f.t.Context(), f.cfg)) }

func (f *foreignStore) stop() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	must(f.t, f.sup.Stop(ctx))
}

// files are what a node is given to get in.
func (f *foreignStore) files(name string) *api.ExternalStore {
	f.t.Helper()
	id, err := newIdentity(f.ca, pki.Names{Node: name})
	must(f.t, err)
	key, err := pki.EncodeKey(id.Key())
	must(f.t, err)
	return &api.ExternalStore{
		Endpoints: slices.Clone(f.cfg.ListenClients), CA: string(pki.EncodeCert(f.ca.Cert)), Cert: string(pki.EncodeCert(id.Cert())), Key: string(key),
	}
}

// initExternal makes a cluster in it.
func (f *foreignStore) initExternal(d *testDaemon) {
	f.t.Helper()
	in := testInit(f.t)
	in.Store = f.files("belay")
	d.awaitTrue("the external store", func() bool { return f.sup.State().State == store.ChildReady })
	must(f.t, d.post("/v1/cluster/init", in, nil))
	d.online()
}

// server is where a node that joins asks.
func (d *testDaemon) server() string {
	n := d.engine.Load().local.Config
	return net.JoinHostPort(n.Addresses[0], strconv.Itoa(n.Ports.API))
}

// summary is the status as this node shows it.
func (d *testDaemon) summary() *status.Summary {
	d.t.Helper()
	var s status.Summary
	must(d.t, d.get("/v1/status", &s))
	return &s
}

// A cluster keeps its documents in an etcd that somebody else runs: made, joined,
// changed, without the store for a while, and started again.
func TestExternalStore(t *testing.T) {
	t.Parallel()
	f := newForeignStore(t)
	d := newTestDaemon(t)
	f.initExternal(d)
	if d.engine.Load().keeper.admin() != nil || d.engine.Load().keeper.hasData() {
		t.Fatal("the node runs a member of its own")
	}

	// Another node joins, gets a vote, and needs no member for that.
	var token api.Token
	must(t, d.post("/v1/token", &api.TokenRequest{}, &token))
	join := &api.Join{Token: token.Token, Server: d.server(), Node: "n2", Addresses: []string{"127.0.0.2"}, Ports: freePorts(t)}
	n2 := newTestDaemon(t)
	var joined api.Joined
	must(t, n2.post("/v1/cluster/join", join, &joined))
	if !joined.Voter {
		t.Errorf("joined %+v, want a vote", joined)
	}
	d.await("n2 votes", func(s *cib.Snapshot) bool {
		return slices.Equal(s.Status.Voters.Voters, []string{"n1", "n2"}) && s.Status.Nodes["n2"] != nil && s.Status.Nodes["n2"].State == cib.NodeOnline
	})
	d.apply(`{"resources": {"web": {"agent": "belay:dummy"}}}`)
	n2.await("the change", func(s *cib.Snapshot) bool { return s.Config.Resources["web"] != nil })
	d.awaitTrue("the status names the store", func() bool {
		s := d.summary().Store
		return slices.Equal(s.External, f.cfg.ListenClients) && s.State == status.StoreHealthy && s.Leader == "etcd-1" && len(s.Members) == 2
	})

	// Its vote counts three times, and is that of a majority.
	d.change(&api.Change{Action: api.ActionVoter, Object: "node/n2", Value: json.RawMessage(`{"voter": true, "votes": 3}`)})
	d.await("n2 has three votes", func(s *cib.Snapshot) bool { return s.Status.Voters.Total() == 4 && s.Status.Voters.VotesOf("n2") == 3 })
	d.awaitTrue("the status counts them", func() bool {
		q := d.summary().Quorum
		return q.State == status.QuorumQuorate && q.Votes == 4 && q.Needed == 3
	})

	// The store goes: nobody has quorum, and what runs goes on.
	f.stop()
	d.awaitTrue("the store is missed", func() bool {
		s := d.summary()
		return s.Quorum.State == status.QuorumInquorate && strings.Contains(s.Quorum.Reason, "the store cannot be reached") && s.Store.State == status.StoreUnhealthy
	})
	var local api.Local
	must(t, d.get("/v1/local", &local))
	if !local.Valid || local.StoreOK || local.Quorate {
		t.Errorf("%+v, want a node that is valid and has no quorum", local)
	}
	f.start()
	d.awaitTrue("quorum is back", func() bool { return d.summary().Quorum.State == status.QuorumQuorate })
	// The nodes settle one after the other, and whose quorum is away refuses at once.
	taken := func(ch *api.Change) {
		t.Helper()
		d.awaitTrue("the change is taken", func() bool {
			err := d.post("/v1/change", ch, nil)
			if err != nil {
				refused(t, err, api.CodeNoQuorum)
			}
			return err == nil
		})
	}
	taken(&api.Change{Action: api.ActionApply, Object: "cluster", Merge: true, Value: json.RawMessage(`{"resources": {"web": {"meta": {"target-role": "Stopped"}}}}`)})

	// An engine that starts again finds its way by what it kept.
	dir := filepath.Dir(n2.opts.StateDir)
	n2.stop()
	n2 = startDaemon(t, dir)
	n2.awaitEngineUp()
	n2.await("the newest configuration", func(s *cib.Snapshot) bool {
		r := s.Config.Resources["web"]
		return r != nil && r.Meta.TargetRole == cib.RoleStopped
	})

	// The vote of a node that is taken away goes, and so does what it said of itself.
	d.await("n2 is back", func(s *cib.Snapshot) bool { return s.Status.Nodes["n2"].State == cib.NodeOnline })
	var err error
	d.awaitTrue("it is there, or quorum is", func() bool {
		err = d.post("/v1/change", &api.Change{Action: api.ActionRemoveNode, Object: "node/n2", Force: true}, nil)
		p, _ := errors.AsType[*api.Problem](err)
		return p == nil || p.Code != api.CodeNoQuorum
	})
	refused(t, err, api.CodeInUse) // nobody could decide anything without its votes
	taken(&api.Change{Action: api.ActionVoter, Object: "node/n2", Value: json.RawMessage(`{"voter": true, "votes": 1}`)})
	d.await("n2 has one vote", func(s *cib.Snapshot) bool { return s.Status.Voters.Total() == 2 })
	taken(&api.Change{Action: api.ActionRemoveNode, Object: "node/n2", Force: true})
	d.await("n2 is forgotten", func(s *cib.Snapshot) bool {
		return slices.Equal(s.Status.Voters.Voters, []string{"n1"}) && s.Status.Members["n2"] == nil && s.Status.Nodes["n2"] == nil
	})
}

// What can't be the store of a cluster is refused with the reason, and nothing of it
// is kept.
func TestExternalStoreRefused(t *testing.T) {
	t.Parallel()
	f, other := newForeignStore(t), newForeignStore(t)
	d := newTestDaemon(t)
	f.initExternal(d)
	fresh := newTestDaemon(t)
	fresh.awaitTrue("the other store", func() bool { return other.sup.State().State == store.ChildReady })
	for _, c := range []struct {
		name, code, say string
		change          func(in *api.Init)
	}{
		{"a cluster is there", api.CodeExternal, "there is a cluster test in it already", func(*api.Init) {}},
		{"nobody answers", api.CodeExternal, "refused", func(in *api.Init) { in.Store.Endpoints = []string{"https://127.0.0.1:1"} }},
		{"one of two", api.CodeExternal, "refused", func(in *api.Init) {
			in.Cluster, in.Store.Endpoints = "new", append(in.Store.Endpoints, "https://127.0.0.1:1")
		}},
		{"two stores", api.CodeExternal, "certificate", func(in *api.Init) {
			in.Cluster, in.Store.Endpoints = "new", append(in.Store.Endpoints, other.cfg.ListenClients...)
		}},
		{"the wrong authority", api.CodeExternal, "certificate", func(in *api.Init) { in.Store.CA = other.files("x").CA }},
		{"the wrong certificate", api.CodeExternal, "does not take this node's certificate", func(in *api.Init) {
			x := other.files("x")
			in.Store.Cert, in.Store.Key = x.Cert, x.Key
		}},
		{"the key of another", api.CodeExternal, "private key does not match", func(in *api.Init) { in.Store.Key = f.files("x").Key }},
		{"no authority", api.CodeExternal, "no certificate in the file", func(in *api.Init) { in.Store.CA = "junk" }},
		{"no certificate", api.CodeExternal, "certificate and key", func(in *api.Init) { in.Store.Cert = "" }},
		{"no endpoint", api.CodeExternal, "no endpoint", func(in *api.Init) { in.Store.Endpoints = nil }},
		{"in clear", api.CodeInvalid, "", func(in *api.Init) { in.Store.Endpoints = []string{"http://127.0.0.1:2379"} }},
		{"no endpoint at all", api.CodeInvalid, "", func(in *api.Init) { in.Store.Endpoints = []string{"etcd.example"} }},
	} {
		in := testInit(t)
		in.Store = f.files("belay")
		c.change(in)
		p := refused(t, fresh.post("/v1/cluster/init", in, nil), c.code)
		if !strings.Contains(p.Detail, c.say) || strings.Contains(p.Detail, "PRIVATE KEY") {
			t.Errorf("%s: %q, want %q", c.name, p.Detail, c.say)
		}
	}
	left, err := os.ReadDir(fresh.path(dirPKI))
	must(t, err)
	if _, err := os.Stat(fresh.path(fileLocal)); err == nil || len(left) > 0 {
		t.Errorf("a refused init left %v behind", left)
	}

	// Who runs the store stays as it was, and its endpoints lead to the same data.
	for name, c := range map[string]struct{ doc, say string }{
		"to another store": {`{"cluster": {"store": {"endpoints": ["` + other.cfg.ListenClients[0] + `"]}}}`, "certificate"},
		"to nowhere":       {`{"cluster": {"store": {"endpoints": ["https://127.0.0.1:1"]}}}`, "refused"},
	} {
		ch := &api.Change{Action: api.ActionApply, Object: "cluster", Value: json.RawMessage(c.doc), Merge: true}
		if p := refused(t, d.post("/v1/change", ch, nil), api.CodeExternal); !strings.Contains(p.Detail, c.say) {
			t.Errorf("%s: %q, want %q", name, p.Detail, c.say)
		}
	}
	d.apply(`{"cluster": {"store": {"endpoints": ["` + strings.Replace(f.cfg.ListenClients[0], "127.0.0.1", "localhost", 1) + `"]}}}`)
	d.awaitTrue("the new way is kept", func() bool {
		b, err := os.ReadFile(d.path(fileLocal))
		return err == nil && strings.Contains(string(b), "https://localhost:")
	})
	d.apply(`{"resources": {"web": {"agent": "belay:dummy"}}}`)
	plain := newTestCluster(t)
	ch := &api.Change{Action: api.ActionApply, Object: "cluster", Merge: true, Value: json.RawMessage(`{"cluster": {"store": {"endpoints": ["` + f.cfg.ListenClients[0] + `"]}}}`)}
	refused(t, plain.post("/v1/change", ch, nil), api.CodeExternal)
}

// The votes follow the configuration, one at a time; who is dead goes first.
func TestNextVote(t *testing.T) {
	for _, c := range []struct{ name, wanted, recorded, want string }{
		{"nothing to do", "n1 n2", "n1 n2", "none"},
		{"one more", "n1 n2 n3", "n1", "record n2: n1 n2"},
		{"one that is not there gets none", "n1 n2*", "n1", "none"},
		{"a successor comes before one that lives goes", "n1 n2", "n1 n3", "record n2: n1 n2 n3"},
		{"one that is no longer wanted goes", "n1 n2", "n1 n2 n3", "record n3: n1 n2"},
		{"the last one never goes", "", "n1", "none"},
	} {
		step := nextVote(voterWorld(c.wanted, c.recorded))
		got := step.String()
		if step.node != "" {
			got += " " + step.node + ": " + strings.Join(step.voters, " ")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		name, wanted, recorded string
		votes, has             map[string]int
		want                   string
	}{
		{"more votes come one at a time", "n1 n2", "n1 n2", map[string]int{"n1": 3}, nil, "n1 has 2 votes"},
		{"and the next", "n1 n2", "n1 n2", map[string]int{"n1": 3}, map[string]int{"n1": 2}, "n1 has 3 votes"},
		{"enough", "n1 n2", "n1 n2", map[string]int{"n1": 3}, map[string]int{"n1": 3}, ""},
		{"one that is not there gets no more", "n1 n2*", "n1 n2", map[string]int{"n2": 2}, nil, ""},
		{"one that is not there has fewer", "n1 n2*", "n1 n2", nil, map[string]int{"n2": 2}, "n2 has one vote"},
		{"who goes has one vote at last", "n1 n2", "n1 n2 n3", nil, map[string]int{"n3": 2}, "n3 has one vote"},
		{"the others keep theirs", "n1 n2", "n1 n2 n3", map[string]int{"n1": 2}, map[string]int{"n1": 2}, "n3 was removed"},
	} {
		s := voterWorld(c.wanted, c.recorded)
		for name, votes := range c.votes {
			s.Config.Nodes[name].Votes = votes
		}
		s.Status.Voters.Votes = c.has
		step := nextVote(s)
		if step.reason != c.want {
			t.Errorf("%s: %q, want %q", c.name, step.reason, c.want)
		}
		before, after := s.Status.Voters.Total(), (&cib.VoterSet{Voters: step.voters, Votes: step.votes}).Total()
		if step.kind != voterNone && after-before != 1 && before-after != 1 {
			t.Errorf("%s: from %d votes to %d in one step", c.name, before, after)
		}
	}
	s := voterWorld("n1 n2", "n1 n3")
	s.Status.Nodes["n3"].State = cib.NodeFenced
	if step := nextVote(s); step.node != "n3" || !slices.Equal(step.voters, []string{"n1"}) {
		t.Errorf("%+v, want that the dead n3 goes first", step)
	}
}
