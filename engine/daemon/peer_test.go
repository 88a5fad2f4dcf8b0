package daemon

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/pki"
)

// nodeAPI is the address of the API that other nodes ask.
func (d *testDaemon) nodeAPI() string {
	d.t.Helper()
	n := d.snapshot().Config.Nodes[d.engine.Load().local.Node]
	return net.JoinHostPort(n.Addresses[0], strconv.Itoa(n.Ports.API))
}

func (d *testDaemon) token(req *api.TokenRequest) pki.Token {
	d.t.Helper()
	var out api.Token
	must(d.t, d.post("/v1/token", req, &out))
	token, err := pki.ParseToken(out.Token)
	must(d.t, err)
	return token
}

// forged sends a body to the node API as somebody, and gives the code of the
// answer; "" means that it was accepted.
func forged(t testing.TB, cfg *tls.Config, address, path string, body []byte) string {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+path, bytes.NewReader(body))
	must(t, err)
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	var p api.Problem
	if json.Unmarshal(data, &p) != nil || p.Code == "" {
		return resp.Status
	}
	return p.Code
}

// Whoever asks to join without the right is refused with the reason, and nothing of
// the cluster changes.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	e := d.engine.Load()
	token := d.token(&api.TokenRequest{Node: "n2"})
	before := d.generation()

	key, err := pki.NewKey()
	must(t, err)
	csr, err := pki.NewRequest("n2", key)
	must(t, err)
	rootCSR, err := pki.NewRequest(pki.RootName, key)
	must(t, err)
	good := func() *api.JoinRequest {
		return &api.JoinRequest{
			TokenID: token.ID, Secret: token.Secret, Node: "n2", Addresses: []string{"127.0.0.9"}, Request: string(csr), RootRequest: string(rootCSR),
			Version: "test", FeatureLevel: cib.FeatureLevel, Wall: time.Now(),
		}
	}
	expired, err := pki.NewToken(e.id.CA())
	must(t, err)
	ok, _, err := e.store.Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyJoinToken + expired.ID, Value: &joinToken{Hash: expired.Hash(), Expires: time.Now().Add(-time.Second)}}}})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	open := d.token(&api.TokenRequest{})
	for _, x := range []struct {
		name, code, text string
		change           func(r *api.JoinRequest)
	}{
		{"no token", api.CodeJoinRefused, "not known", func(r *api.JoinRequest) { r.TokenID, r.Secret = "", "" }},
		{"a token that was never made", api.CodeJoinRefused, "not known", func(r *api.JoinRequest) { r.TokenID = "aaaaaaaa" }},
		{"a path for a token", api.CodeJoinRefused, "not known", func(r *api.JoinRequest) { r.TokenID = "../../dc" }},
		{"the secret of another token", api.CodeJoinRefused, "not known", func(r *api.JoinRequest) { r.Secret = open.Secret }},
		{"no secret", api.CodeJoinRefused, "not known", func(r *api.JoinRequest) { r.Secret = "" }},
		{"a token that has ended", api.CodeJoinRefused, "ended", func(r *api.JoinRequest) { r.TokenID, r.Secret = expired.ID, expired.Secret }},
		{"the token of another node", api.CodeJoinRefused, "another node", func(r *api.JoinRequest) { r.Node = "n3" }},
		{"a clock that is late", api.CodeClock, "clock", func(r *api.JoinRequest) { r.Wall = r.Wall.Add(-time.Hour) }},
		{"a clock that is early", api.CodeClock, "clock", func(r *api.JoinRequest) { r.Wall = r.Wall.Add(time.Minute) }},
		{"an older release", api.CodeVersion, "feature level", func(r *api.JoinRequest) { r.FeatureLevel = 0 }},
		{"no certificate request", api.CodeJoinRefused, "certificate request", func(r *api.JoinRequest) { r.Request = "x" }},
		{"no addresses", api.CodeInvalid, "", func(r *api.JoinRequest) { r.Addresses = nil }},
		{"a name that is taken", api.CodeTaken, "n1", func(r *api.JoinRequest) { r.TokenID, r.Secret, r.Node = open.ID, open.Secret, "n1" }},
		{"an address that is taken", api.CodeTaken, "127.0.0.1", func(r *api.JoinRequest) {
			r.Addresses, r.Ports = []string{"127.0.0.1"}, d.snapshot().Config.Nodes["n1"].Ports
		}},
		{"the name of the store's root", api.CodeTaken, "root", func(r *api.JoinRequest) { r.TokenID, r.Secret, r.Node = open.ID, open.Secret, pki.RootName }},
		{"a name that is none", "", "", func(r *api.JoinRequest) { r.TokenID, r.Secret, r.Node = open.ID, open.Secret, "a/../b" }},
		{"an address that is none", "", "", func(r *api.JoinRequest) { r.Addresses = []string{"here"} }},
	} {
		r := good()
		x.change(r)
		ans, err := e.admitNode(t.Context(), r, "192.0.2.1:5")
		p, _ := err.(*api.Problem) //nolint:errorlint // it is given as it is
		if ans != nil || p == nil {
			t.Errorf("%s: admitted (%v)", x.name, err)
			continue
		}
		if x.code != "" && p.Code != x.code || !strings.Contains(p.Detail, x.text) || p.Code == api.CodeDefect {
			t.Errorf("%s: %v", x.name, p)
		}
		if strings.Contains(p.Detail, token.Secret) || strings.Contains(p.Detail, open.Secret) {
			t.Errorf("%s: the answer has a token's secret in it", x.name)
		}
	}
	if got := d.generation(); got != before || len(d.snapshot().Config.Nodes) != 1 {
		t.Errorf("generation %d, it was %d", got, before)
	}

	// Over the network. A join needs no certificate; what is no request is none.
	anonymous := pki.JoinConfig(token.Fingerprint)
	bad := good()
	bad.Secret = open.Secret
	for _, x := range []struct {
		path, body, code string
	}{
		{"/v1/join", string(mustJSON(t, bad)), api.CodeJoinRefused},
		{"/v1/join", "", api.CodeBadRequest},
		{"/v1/join", `{"tokenId": "x", "admin": true}`, api.CodeBadRequest},
		{"/v1/join", "[" + strings.Repeat("[", 100_000), api.CodeBadRequest},
		{"/v1/join", strings.Repeat(" ", peerBodyMaxBytes+1), api.CodeTooLarge},
		{"/v1/attribute", `{"node": "n1", "name": "a", "value": "1"}`, api.CodeForbidden},
		{"/v1/change", `{}`, "404 Not Found"},
	} {
		if got := forged(t, anonymous, d.nodeAPI(), x.path, []byte(x.body)); got != x.code {
			t.Errorf("%s %.60s: %q, want %s", x.path, x.body, got, x.code)
		}
	}
	// Few of these tries became events, and none carries what a stranger wrote at length.
	long := good()
	long.Node, long.Secret = strings.Repeat("x", 10_000), ""
	_, _ = e.admitNode(t.Context(), long, "192.0.2.1:5")
	rejected := 0
	for _, ev := range d.snapshot().Status.Events {
		if ev.Code == event.Get(event.NodeRejected).Code() {
			rejected++
		}
		if len(ev.Text) > 1000 {
			t.Errorf("an event of %d bytes", len(ev.Text))
		}
	}
	if rejected == 0 || rejected > 3 {
		t.Errorf("%d events about refused joins", rejected)
	}
	if text := d.log.String(); strings.Contains(text, token.Secret) || strings.Contains(text, open.Secret) {
		t.Error("a token's secret is in the log")
	}
}

// A node that has joined sets an attribute of another one, which writes it; only
// members may ask it to.
func TestAttributeOfAnotherNode(t *testing.T) {
	t.Parallel()
	d1 := newTestCluster(t)
	d1.online()
	notVoter := false
	var token api.Token
	must(t, d1.post("/v1/token", &api.TokenRequest{Voter: &notVoter}, &token))
	d2 := newTestDaemon(t)
	d2.bootID = "boot-2"
	ports := freePorts(t)
	must(t, d2.post("/v1/cluster/join", &api.Join{Token: token.Token, Server: d1.nodeAPI(), Node: "n2", Addresses: []string{"127.0.0.2"}, Ports: ports}, nil))
	d1.await("n2 is a member", func(s *cib.Snapshot) bool { return s.Status.View.Has("n2") && s.Status.Members["n2"] != nil })
	d2.await("n2 is a member", func(s *cib.Snapshot) bool { return s.Status.View.Has("n2") })

	for _, set := range []struct{ by, of *testDaemon }{{d1, d2}, {d2, d1}} {
		name := set.of.engine.Load().local.Node
		a := api.Attribute{Node: name, Name: "pgsql-status", Value: "HS:sync"}
		must(t, set.by.post("/v1/attribute", &a, nil))
		var got api.Attribute
		must(t, set.by.get("/v1/attribute/"+name+"/pgsql-status", &got)) // seen at once by who asked
		if got.Value != "HS:sync" || got.Permanent {
			t.Errorf("%+v", got)
		}
		if doc := set.of.snapshot().Status.Attributes[name]; doc.BootID != set.of.bootID || doc.Values["pgsql-status"] != "HS:sync" {
			t.Errorf("%+v", doc)
		}
		a.Delete = true
		must(t, set.by.post("/v1/attribute", &a, nil))
		refused(t, set.by.get("/v1/attribute/"+name+"/pgsql-status", nil), api.CodeNotFound)
	}

	// Who may ask: n2 with its key; not n2 with another, not root of the store, and
	// only about the node that is asked.
	e1, e2 := d1.engine.Load(), d2.engine.Load()
	ca, err := e1.authority(t.Context())
	must(t, err)
	other, err := newIdentity(ca, pki.Names{Node: "n2", Addresses: []string{"127.0.0.2"}})
	must(t, err)
	root, err := newIdentity(ca, pki.Names{Node: pki.RootName})
	must(t, err)
	for _, x := range []struct {
		name string
		id   *pki.Identity
		body string
		code string
	}{
		{"a member", e2.id, `{"node": "n1", "name": "a", "value": "1"}`, ""},
		{"a member, about itself", e2.id, `{"node": "n2", "name": "a", "value": "1"}`, api.CodeBadRequest},
		{"a member, about nobody", e2.id, `{"name": "a", "value": "1"}`, api.CodeBadRequest},
		{"a member, about the configuration", e2.id, `{"node": "n1", "name": "a", "value": "1", "permanent": true}`, api.CodeBadRequest},
		{"a member, with nonsense", e2.id, `{"node": "n1", "name": "", "x": 1}`, api.CodeBadRequest},
		{"the name of a member with another key", other, `{"node": "n1", "name": "a", "value": "2"}`, "no answer"},
		{"the root of the store", root, `{"node": "n1", "name": "a", "value": "3"}`, api.CodeForbidden},
	} {
		if got := forged(t, x.id.ClientConfig(pki.Check{Peer: "n1"}), d1.nodeAPI(), pathPeerAttribute, []byte(x.body)); got != x.code {
			t.Errorf("%s: %q, want %q", x.name, got, x.code)
		}
	}
	if v := d1.snapshot().Status.Attributes["n1"].Values["a"]; v != "1" {
		t.Errorf("the attribute is %q", v)
	}

	// A node that is gone: the caller hears of it, and its attributes count no more.
	must(t, d2.post("/v1/attribute", &api.Attribute{Name: "left", Value: "behind"}, nil))
	d2.stop()
	refused(t, d1.post("/v1/attribute", &api.Attribute{Node: "n2", Name: "a", Value: "1"}, nil), api.CodeStore)
}
