package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
	"github.com/belay-ha/belay/engine/quorumd/client"
)

// world is a running server and the keys of its clients.
type world struct {
	t      *testing.T
	dir    string
	keys   map[string]*tls.Certificate
	server *Server
	stop   func()
	listen string
}

// newWorld starts a server for clusters c1 and c2 with nodes n1 and n2 each, and a
// ticket for both.
func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), keys: map[string]*tls.Certificate{}, listen: "127.0.0.1:0"}
	var b strings.Builder
	b.WriteString("clusters:\n")
	for _, c := range []string{"c1", "c2"} {
		fmt.Fprintf(&b, "  %s:\n    nodes:\n", c)
		for _, n := range []string{"n1", "n2"} {
			w.keys[c+n] = newKey(t)
			fmt.Fprintf(&b, "      %s: [%q]\n", n, pki.Pin(w.keys[c+n].Leaf))
		}
	}
	b.WriteString("tickets:\n  web: {expiry: 1s, acquire-after: 500ms, clusters: {c1: 10, c2: 5}}\n")
	must(t, os.WriteFile(filepath.Join(w.dir, "quorumd.yaml"), []byte(b.String()), 0o600))
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func newKey(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := pki.NewKey()
	must(t, err)
	cert, err := pki.SelfSigned("a node", key, time.Now())
	must(t, err)
	return cert
}

func (w *world) start() {
	w.t.Helper()
	s, err := New(Options{
		Name: "q1", Config: filepath.Join(w.dir, "quorumd.yaml"), StateDir: filepath.Join(w.dir, "state"), Listen: w.listen,
		Status: "127.0.0.1:0", Socket: filepath.Join(w.dir, "admin.sock"), Log: slog.New(slog.DiscardHandler),
	})
	must(w.t, err)
	w.server, w.listen = s, s.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	w.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("the server ended: %v", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client starts a client of a node.
func (w *world) client(cluster, node string) *client.Client {
	return w.clientWith(cluster, node, w.keys[cluster+node], w.server.Pin())
}

func (w *world) clientWith(cluster, node string, key *tls.Certificate, pin string) *client.Client {
	c := client.New(client.Config{Addresses: []string{w.listen}, Pins: []string{pin}, Cert: key, Cluster: cluster, Node: node, Interval: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	return c
}

// until polls a condition, at most for some seconds.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	look, late := time.NewTicker(2*time.Millisecond), time.After(20*time.Second)
	defer look.Stop()
	for !f() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

var gen1 = quorumd.Generation{Number: 1, Nonce: 11}

func claim(episode uint64, present ...string) client.Claim {
	voters := []string{"n1", "n2"}
	return client.Claim{
		Generation: gen1, Epoch: 1, Voters: voters, Present: present, Episode: episode, Want: 2*len(present) == len(voters),
		Lease: time.Second, Handover: 200 * time.Millisecond, Quorate: 2*len(present) > len(voters),
	}
}

func answer(c *client.Client, want quorumd.Answer) func() bool {
	return func() bool { return c.Status().Answer == want }
}

// Two nodes lose each other: one of them gets the grant and goes on, the other one
// is told why not; the holder may open the next generation after the delay, and
// the other one is stale from then on, also for a server that was restarted.
func TestGrant(t *testing.T) {
	w := newWorld(t)
	n1, n2 := w.client("c1", "n1"), w.client("c1", "n2")
	n1.Set(claim(1, "n1", "n2"))
	n2.Set(claim(1, "n1", "n2"))
	until(t, "both have said that all is well", func() bool {
		c := w.server.View().Clusters[0]
		return c.Generation == gen1 && c.Nodes[0].Present != nil && c.Nodes[1].Present != nil
	})
	n1.Set(claim(2, "n1"))
	until(t, "n1 has the grant", answer(n1, quorumd.Have))
	n2.Set(claim(2, "n2"))
	until(t, "n2 is refused", answer(n2, quorumd.No))
	if st := n2.Status(); st.Code != quorumd.CodeHeld || !strings.Contains(st.Reason, "n1 has the grant") {
		t.Errorf("n2 was told %q (%s)", st.Reason, st.Code)
	}
	next := quorumd.Generation{Number: 2, Nonce: 22}
	until(t, "the grant is settled, and the generation opened", func() bool { return n1.Open(t.Context(), next) == nil })
	w.stop()
	w.start()
	until(t, "n1 goes on after a restart of the server, on the old data", func() bool {
		return n1.Status().Connected && n1.Status().Answer == quorumd.Have && w.server.View().Clusters[0].Nodes[0].Answer == quorumd.Have
	})
	until(t, "n2 is stale", func() bool { return n2.Status().Code == quorumd.CodeStale })
	if n, err := audit.Verify(filepath.Join(w.dir, "state", "audit"), nil); err != nil || n < 4 {
		t.Errorf("the audit log has %d records, %v", n, err)
	}
}

// The holder is silent: the grant goes to the other half when the lease and the
// delay after it have passed, and no sooner.
func TestHandover(t *testing.T) {
	w := newWorld(t)
	ctx, kill := context.WithCancel(t.Context())
	n1 := client.New(client.Config{Addresses: []string{w.listen}, Pins: []string{w.server.Pin()}, Cert: w.keys["c1n1"], Cluster: "c1", Node: "n1", Interval: 50 * time.Millisecond})
	ended := make(chan struct{})
	go func() { defer close(ended); n1.Run(ctx) }()
	n1.Set(claim(1, "n1", "n2"))
	until(t, "the cluster is known", func() bool { return w.server.View().Clusters[0].Generation == gen1 })
	n1.Set(claim(2, "n1"))
	until(t, "n1 has the grant", answer(n1, quorumd.Have))
	n2 := w.client("c1", "n2")
	n2.Set(claim(2, "n2"))
	until(t, "n2 is refused", answer(n2, quorumd.No))
	kill()
	<-ended
	end := n1.Status().Until.Add(200 * time.Millisecond)
	until(t, "n2 has the grant", answer(n2, quorumd.Have))
	if now := time.Now(); now.Before(end) {
		t.Errorf("n2 had the grant %s before the delay had passed", end.Sub(now))
	}
}

// What a client can do wrong is refused, said, and changes nothing.
func TestBadClients(t *testing.T) {
	w := newWorld(t)
	good := w.client("c1", "n1")
	good.Set(claim(1, "n1", "n2"))
	until(t, "the cluster is known", func() bool { return w.server.View().Clusters[0].Generation == gen1 })
	before := w.server.View().Clusters[0]

	stranger := w.clientWith("c1", "n1", newKey(t), w.server.Pin())
	until(t, "a key that is nobody's is refused", func() bool { err := stranger.Status().Err; return err != nil })
	impostor := w.clientWith("c1", "n1", w.keys["c2n1"], w.server.Pin())
	until(t, "a key of another cluster is refused", func() bool {
		err := impostor.Status().Err
		return err != nil && strings.Contains(err.Error(), quorumd.CodeForbidden)
	})
	wrong := w.clientWith("c1", "n2", w.keys["c1n2"], pki.Pin(newKey(t).Leaf))
	until(t, "a server with another key is refused by the client", func() bool {
		err := wrong.Status().Err
		return err != nil && strings.Contains(err.Error(), pki.ErrPin.Error())
	})

	hello := `{"type":"hello","seq":1,"version":1,"cluster":"c1","node":"n2","incarnation":7}` + "\n"
	for _, c := range []struct{ name, send, want string }{
		{"garbage", "GET / HTTP/1.1\r\n\r\n", quorumd.CodeProtocol},
		{"a repeated message", hello + `{"type":"beat","seq":2}` + "\n" + `{"type":"beat","seq":2}` + "\n", quorumd.CodeProtocol},
		{"a message out of order", hello + `{"type":"beat","seq":4}` + "\n", quorumd.CodeProtocol},
		{"a beat without a hello", `{"type":"beat","seq":1}` + "\n", quorumd.CodeProtocol},
		{"a line without end", strings.Repeat("x", quorumd.LineMax+10), quorumd.CodeProtocol},
		{"a flood", hello + flood(2, 400), quorumd.CodeProtocol},
		{"present but no voter", hello + `{"type":"beat","seq":2,"voters":["n1"],"present":["n2"]}` + "\n", quorumd.CodeProtocol},
	} {
		nc, err := tls.Dial("tcp", w.listen, pki.PinnedClient(w.keys["c1n2"], w.server.Pin()))
		must(t, err)
		go func() { _, _ = io.WriteString(nc, c.send) }()
		must(t, nc.SetReadDeadline(time.Now().Add(10*time.Second)))
		got, _ := io.ReadAll(nc)
		if !strings.Contains(string(got), `"code":"`+c.want+`"`) {
			t.Errorf("%s: the answer ends in %q", c.name, got[max(0, len(got)-300):])
		}
		_ = nc.Close()
	}
	// A client that says nothing does not keep others from being heard.
	idle, err := net.Dial("tcp", w.listen)
	must(t, err)
	defer func() { _ = idle.Close() }()
	until(t, "the good client goes on", func() bool { return good.Status().Connected })
	if after := w.server.View().Clusters[0]; after.Generation != before.Generation || after.Holder != nil || after.Epoch != before.Epoch {
		t.Errorf("bad clients have changed %+v into %+v", before, after)
	}
	var told []string
	w.stop()
	if _, err := audit.Verify(filepath.Join(w.dir, "state", "audit"), func(r *audit.Record) { told = append(told, r.Action) }); err != nil {
		t.Error(err)
	}
	for _, kind := range []quorumd.NoticeKind{noticeStranger, quorumd.NoticeForbidden, quorumd.NoticeProtocol} {
		if !strings.Contains(strings.Join(told, " "), string(kind)) {
			t.Errorf("the audit log has no %s: %v", kind, told)
		}
	}
}

func flood(from, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"type":"beat","seq":%d}`+"\n", from+i)
	}
	return b.String()
}

// A certificate that has ended does not take a pinned key's right away: a cluster must
// not stop for a date. It is said.
func TestExpired(t *testing.T) {
	w := newWorld(t)
	old, err := pki.SelfSigned("a node", w.keys["c1n1"].PrivateKey.(*ecdsa.PrivateKey), time.Now().AddDate(-40, 0, 0))
	must(t, err)
	c := w.clientWith("c1", "n1", old, w.server.Pin())
	until(t, "it is served", func() bool { return c.Status().Connected })
	w.stop()
	found := false
	_, err = audit.Verify(filepath.Join(w.dir, "state", "audit"), func(r *audit.Record) { found = found || r.Action == string(noticeExpired) })
	must(t, err)
	if !found {
		t.Error("the audit log does not say that the certificate has ended")
	}
}

// A ticket is held by one cluster; it is renewed, revoked, granted by hand, and
// goes to the other one when it runs out.
func TestTickets(t *testing.T) {
	w := newWorld(t)
	one, two := w.client("c1", "n1"), w.client("c2", "n1")
	one.Set(client.Claim{Quorate: true})
	two.Set(client.Claim{Quorate: true})
	until(t, "both are there", func() bool { return one.Status().Connected && two.Status().Connected })
	until(t, "the one with more weight has it", func() bool { return one.Acquire(t.Context(), "web", false) == nil })
	if err := two.Acquire(t.Context(), "web", false); err == nil || !strings.Contains(err.Error(), "c1 has it") {
		t.Errorf("the other one was told %v", err)
	}
	term := one.Status().Tickets["web"].Term
	began := time.Now()
	until(t, "it is renewed", func() bool { return one.Status().Tickets["web"].Until.After(began.Add(1100 * time.Millisecond)) })
	must(t, w.admin("/tickets/web/revoke"))
	until(t, "the holder is told that it was revoked", func() bool { return !one.Status().Tickets["web"].Held })
	if text := one.Status().Tickets["web"].Text; text != "it was revoked" {
		t.Errorf("it was told %q", text)
	}
	must(t, one.Release(t.Context(), "web"))
	if err := two.Acquire(t.Context(), "web", false); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("after the revocation the other one was told %v", err)
	}
	must(t, w.admin("/tickets/web/grant?cluster=c2"))
	must(t, two.Acquire(t.Context(), "web", false))
	if got := two.Status().Tickets["web"].Term; got <= term {
		t.Errorf("the term is %d after %d", got, term)
	}
	if err := one.Acquire(t.Context(), "web", false); err == nil || !strings.Contains(err.Error(), "given it to c2") {
		t.Errorf("the first one was told %v", err)
	}
}

func (w *world) admin(path string) error {
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.dir, "admin.sock"))
	}}}
	resp, err := hc.Post("http://q"+path, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", b)
	}
	return err
}

// The status page, the metrics and the configuration at run time.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.client("c1", "n1").Set(claim(1, "n1", "n2"))
	until(t, "the node is shown", func() bool { return w.server.View().Clusters[0].Nodes[0].Connected })
	for path, want := range map[string]string{"/": "n1: connected", "/metrics": "belay_quorumd_connections 1\n", "/status": `"server":"q1"`, "/healthz": "ok"} {
		resp, err := http.Get("http://" + w.server.StatusAddr().String() + path)
		must(t, err)
		b, err := io.ReadAll(resp.Body)
		must(t, err)
		_ = resp.Body.Close()
		if !strings.Contains(string(b), want) {
			t.Errorf("%s does not have %q:\n%s", path, want, b)
		}
	}
	resp, err := http.Post("http://"+w.server.StatusAddr().String()+"/reload", "", nil)
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		t.Error("the status page takes commands")
	}
	config := filepath.Join(w.dir, "quorumd.yaml")
	old, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, []byte("clusters: {c1: {nodes: {n1: [nonsense]}}}"), 0o600))
	if err := w.admin("/reload"); err == nil || !strings.Contains(err.Error(), "neither a pin nor") {
		t.Errorf("a wrong configuration: %v", err)
	}
	must(t, os.WriteFile(config, []byte(strings.Replace(string(old), "c1:\n", "c9:\n", 1)), 0o600))
	if err := w.admin("/reload"); err == nil || !strings.Contains(err.Error(), "there is no cluster c1") {
		t.Errorf("a ticket for a cluster that is not there: %v", err)
	}
	must(t, os.WriteFile(config, old, 0o600))
	must(t, w.admin("/reload"))
}

// A journal that a crash cut short is read; one that was altered is refused.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, saved, err := openJournal(dir)
	must(t, err)
	if len(saved) != 0 {
		t.Fatalf("a new journal has %v", saved)
	}
	for n := range uint64(3) {
		must(t, j.append([]quorumd.Saved{{Cluster: &quorumd.SavedCluster{Name: "c1", Grants: n + 1, Holder: []string{"n1"}}}, {Ticket: &quorumd.SavedTicket{Name: "web", Term: n}}}))
	}
	if _, _, err := openJournal(dir); err == nil || !strings.Contains(err.Error(), "another belay-quorumd") {
		t.Errorf("a second process: %v", err)
	}
	j.close()
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(whole, `{"crc":1,"sa`...), 0o600))
	j, saved, err = openJournal(dir)
	must(t, err)
	if len(saved) != 2 || saved[0].Cluster.Grants != 3 || saved[1].Ticket.Term != 2 {
		t.Errorf("read back: %+v", saved)
	}
	j.close()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(b), `"grants":3`, `"grants":4`, 1)), 0o600))
	if _, _, err := openJournal(dir); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("an altered journal: %v", err)
	}
}
