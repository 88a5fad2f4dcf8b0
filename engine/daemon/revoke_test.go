package daemon

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
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
	"github.com/belay-ha/belay/engine/store"
)

// held is what somebody has who took a node's disk: its certificates and keys, and
// the connections that it made with them.
type held struct {
	t     testing.TB
	id    *pki.Identity
	at    cib.Node // whom it asks
	inUse *store.Store
}

// asks says which doors open: to the store's clients and its peers, to the node API,
// and to a connection that was made before.
func (h *held) asks() map[string]error {
	h.t.Helper()
	cfg := h.id.ClientConfig(pki.Check{})
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	_, client := store.Inspect(ctx, store.Config{Cluster: "test", TLS: cfg}, store.ClientURLs(&h.at)[0])
	out := map[string]error{"client": client, "peer": h.get(ctx, cfg, store.PeerURLs(&h.at)[0]+"/version")}
	api := "https://" + h.at.Addresses[0] + ":" + strconv.Itoa(h.at.Ports.API)
	out["api"] = h.get(ctx, cfg, api+pathHeld)
	again, stop := context.WithTimeout(ctx, time.Second) // it would go on connecting
	defer stop()
	_, out["in use"] = h.inUse.Get(again, cib.KeyDataGen)
	return out
}

// get asks over HTTP. An answer that is no refusal is one, whatever it says.
func (h *held) get(ctx context.Context, cfg *tls.Config, url string) error {
	method := http.MethodGet
	if strings.HasSuffix(url, pathHeld) {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("{}"))
	must(h.t, err)
	tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusForbidden {
		err = errors.New(string(body))
	}
	return err
}

// What a removed node holds is refused at the store's ports, at the node API and in
// heartbeats; the same things opened every door before.
func TestRemovedNodeIsRefused(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	var token api.Token
	must(t, d.post("/v1/token", &api.TokenRequest{}, &token))
	n2 := newTestDaemon(t)
	must(t, n2.post("/v1/cluster/join", &api.Join{
		Token: token.Token, Server: d.server(), Node: "n2", Addresses: []string{"127.0.0.12"}, Ports: freePorts(t),
	}, nil))
	d.await("n2 votes", func(s *cib.Snapshot) bool { return slices.Equal(s.Status.Voters.Voters, []string{"n1", "n2"}) })

	stolen := t.TempDir()
	must(t, os.CopyFS(stolen, os.DirFS(n2.path(dirPKI))))
	must(t, os.Chmod(filepath.Join(stolen, pki.FileNodeKey), 0o600))
	must(t, os.Chmod(filepath.Join(stolen, pki.FileRootKey), 0o600))
	ca, err := pki.LoadCA(stolen)
	must(t, err)
	at := *d.snapshot().Config.Nodes["n1"]
	hold := func(cert, key string) *held {
		id, err := pki.LoadIdentity(ca, stolen, cert, key)
		must(t, err)
		s, err := store.Open(t.Context(), store.Config{
			Cluster: "test", Node: "x", TLS: id.ClientConfig(pki.Check{}), Endpoints: []store.Endpoint{{Node: "n1", URL: store.ClientURLs(&at)[0]}},
		})
		must(t, err)
		t.Cleanup(s.Close)
		return &held{t: t, id: id, at: at, inUse: s}
	}
	doors := map[string]*held{"node": hold(pki.FileNode, pki.FileNodeKey), "root": hold(pki.FileRoot, pki.FileRootKey)}
	if err := doors["root"].asks()["client"]; err != nil {
		t.Errorf("root at the store before: %v", err)
	}
	for _, door := range []string{"peer", "api", "in use"} {
		if err := doors["node"].asks()[door]; err != nil {
			t.Errorf("the node at %s before: %v", door, err)
		}
	}
	d.awaitTrue("the certificates are written down", func() bool {
		kvs, err := d.engine.Load().list(t.Context(), cib.KeyIssued)
		must(t, err)
		return len(kvs) == 4
	})

	d.change(&api.Change{Action: api.ActionRemoveNode, Object: "node/n2", Force: true})
	s := d.await("the certificates are void", func(s *cib.Snapshot) bool { return s.Status.Revoked != nil })
	if n := len(s.Status.Revoked.Certificates); n != 2 {
		t.Errorf("%d certificates are void, want those of the node and of root: %+v", n, s.Status.Revoked)
	}
	for _, what := range []string{"node", "root"} {
		d.awaitTrue("every door is shut for "+what, func() bool {
			shut := true
			for door, err := range doors[what].asks() {
				t.Logf("%s at %s: %v", what, door, err)
				shut = shut && err != nil
			}
			return shut
		})
	}
	for _, p := range d.engine.Load().transport.Stats() {
		if p.Peer == "n2" {
			t.Error("heartbeats of n2 still count")
		}
	}
	// Those who stay are not touched, also after a new start of their member.
	d.apply(`{"resources": {"web": {"agent": "belay:dummy"}}}`)
	dir := filepath.Dir(d.opts.StateDir)
	n2.stop()
	d.stop()
	d = startDaemon(t, dir)
	d.awaitEngineUp()
	d.online()
	if err := doors["root"].asks()["client"]; err == nil {
		t.Error("root is let in after a new start")
	}
}

// A list that can't be read would shut everybody out: it is moved aside.
func TestRevokedListCorrupt(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	dir, file := filepath.Dir(d.opts.StateDir), d.path(dirPKI, pki.FileRevoked)
	d.stop()
	must(t, os.WriteFile(file, []byte("junk"), 0o600))
	d = startDaemon(t, dir)
	d.awaitEngineUp()
	d.online()
	if aside, err := filepath.Glob(file + ".corrupt-*"); err != nil || len(aside) != 1 {
		t.Errorf("moved aside: %v %v", aside, err)
	}
}

// TestNextRevoked: void is what belongs to no configured node, or to an earlier one of
// its name, until its time has come.
func TestNextRevoked(t *testing.T) {
	now := time.Unix(1000, 0)
	s := voterWorld("n1", "n1 n3")
	delete(s.Config.Nodes, "n3") // still a member of the store
	s.Config.Nodes["n1"].PublicKey = "k1"
	doc := func(key string, end time.Duration) []byte {
		b, err := json.Marshal(issued{Key: key, Name: "x", End: now.Add(end)})
		must(t, err)
		return b
	}
	kvs := []cib.KV{
		{Key: cib.IssuedKey("n1", "a1"), Value: doc("k1", time.Hour)},
		{Key: cib.IssuedKey("n1", "a2"), Value: doc("k0", time.Hour)},
		{Key: cib.IssuedKey("n3", "a3"), Value: doc("k3", time.Hour)},
		{Key: cib.IssuedKey("n4", "a4"), Value: doc("k4", time.Hour)},
		{Key: cib.IssuedKey("n4", "a5"), Value: doc("k4", -time.Hour)},
	}
	was := &cib.Revoked{Number: 7, Certificates: []cib.RevokedCertificate{{Serial: "b1", End: now.Add(time.Hour)}, {Serial: "b2", End: now}}}
	next, gone, err := nextRevoked(s, was, kvs, now)
	must(t, err)
	var got []string
	for _, c := range next.Certificates {
		got = append(got, c.Serial)
	}
	if strings.Join(got, " ") != "b1 a2 a4" || next.Number != 8 || len(gone) != 3 {
		t.Errorf("void %q in list %d, %q forgotten", got, next.Number, gone)
	}
	if _, _, err := nextRevoked(s, was, []cib.KV{{Key: cib.IssuedKey("n4", "not hex"), Value: doc("k", time.Hour)}}, now); err == nil {
		t.Error("a serial number that is none is taken")
	}
}
