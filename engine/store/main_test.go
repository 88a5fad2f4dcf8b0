package store

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// The test binary is also the member's program.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "etcd" {
		if err := ServeChild(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "parent" {
		// An engine whose member ignores the end of its input.
		s := NewSupervisor(SupervisorConfig{
			Command: []string{"/bin/sh", "-c", "exec sleep 1000", "sh"}, File: os.Args[2],
			OnChange: func(ch Child) {
				if ch.State == ChildStarting {
					fmt.Println(ch.PID)
				}
			},
		})
		if err := s.Start(context.Background(), ServerConfig{}); err != nil {
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

const testDetection = 400 * time.Millisecond // election timeout 200ms

// cluster is some members on loopback.
type cluster struct {
	t     testing.TB
	dir   string
	ca    *pki.CA
	nodes map[string]*member
	quota int64
}

type member struct {
	name   string
	dir    string
	cfg    ServerConfig
	sup    *Supervisor
	states chan Child
	id     *pki.Identity
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	must(t, err)
	return &cluster{t: t, dir: t.TempDir(), ca: ca, nodes: map[string]*member{}}
}

// startCluster starts members n1, n2, ... and waits until they are ready.
func startCluster(t testing.TB, n int) *cluster {
	t.Helper()
	c := newCluster(t)
	for i := range n {
		c.add(fmt.Sprintf("n%d", i+1))
	}
	initial := map[string][]string{}
	for name, m := range c.nodes {
		initial[name] = m.cfg.ListenPeers
	}
	for _, m := range c.nodes {
		m.cfg.Initial = initial
		c.start(m)
	}
	for _, m := range c.nodes {
		m.await(t, ChildReady)
	}
	return c
}

// add prepares a member.
func (c *cluster) add(name string) *member {
	c.t.Helper()
	dir := filepath.Join(c.dir, name)
	must(c.t, os.MkdirAll(dir, 0o700))
	m := &member{name: name, dir: dir, id: c.identity(name), states: make(chan Child, 1000)}
	must(c.t, m.id.Save(dir, "", ""))
	must(c.t, pki.WriteFile(filepath.Join(dir, pki.FileCA), pki.EncodeCert(c.ca.Cert), 0o644))
	m.cfg = ServerConfig{
		Name: name, Dir: filepath.Join(dir, "etcd"), Token: "test",
		ListenPeers: []string{freeURL(c.t), freeURL(c.t)}, ListenClients: []string{freeURL(c.t)},
		Socket:    filepath.Join(dir, "s"),
		CA:        filepath.Join(dir, pki.FileCA),
		Cert:      filepath.Join(dir, pki.FileNode),
		Key:       filepath.Join(dir, pki.FileNodeKey),
		Detection: cib.Duration(testDetection), QuotaBytes: c.quota,
	}
	m.sup = NewSupervisor(SupervisorConfig{
		File:     filepath.Join(dir, "etcd.json"),
		OnChange: func(ch Child) { m.states <- ch },
	})
	c.nodes[name] = m
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if err := m.sup.Stop(ctx); err != nil {
			c.t.Errorf("stop %s: %v", name, err)
		}
	})
	return m
}

func (c *cluster) identity(name string) *pki.Identity {
	c.t.Helper()
	key, err := pki.NewKey()
	must(c.t, err)
	cert, err := c.ca.Issue(pki.Names{Node: name, Addresses: []string{"127.0.0.1"}}, key.Public(), time.Now())
	must(c.t, err)
	id, err := pki.NewIdentity(c.ca, cert, key)
	must(c.t, err)
	return id
}

func (c *cluster) start(m *member) {
	c.t.Helper()
	must(c.t, m.sup.Start(c.t.Context(), m.cfg))
}

// await waits until the member's state was seen.
func (m *member) await(t testing.TB, want ChildState) Child {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case ch := <-m.states:
			if ch.State == want {
				return ch
			}
		case <-deadline:
			t.Fatalf("%s is not %s but %+v", m.name, want, m.sup.State())
		}
	}
}

// endpoints are those of a node: its own member first.
func (c *cluster) endpoints(node string) []Endpoint {
	var out []Endpoint
	for name, m := range c.nodes {
		if name == node {
			out = append(out, Endpoint{Node: name, URL: "unixs://" + m.cfg.Socket, Local: true})
		} else {
			out = append(out, Endpoint{Node: name, URL: m.cfg.ListenClients[0]})
		}
	}
	return out
}

// open opens the store as a node. A node that is no member is a client of the others.
func (c *cluster) open(node string, change ...func(*Config)) *Store {
	c.t.Helper()
	id := c.identity(node)
	cfg := Config{Cluster: "test", Node: node, Endpoints: c.endpoints(node), TLS: id.ClientConfig(pki.Check{}), Detection: testDetection, LeaseTTL: time.Second}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Open(c.t.Context(), cfg)
	must(c.t, err)
	c.t.Cleanup(s.Close)
	return s
}

func freeURL(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return "https://" + l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commit commits what must succeed.
func commit(t testing.TB, s *Store, txn cib.Txn) int64 {
	t.Helper()
	ok, rev, err := s.Commit(t.Context(), txn)
	must(t, err)
	if !ok {
		t.Fatalf("conditions of %+v did not hold", txn)
	}
	return rev
}

// admin administers the store as root, from a node.
func (c *cluster) admin(node string) *Admin {
	c.t.Helper()
	a, err := NewAdmin(Config{
		Cluster: "test", Node: node, Endpoints: c.endpoints(node), Detection: testDetection,
		TLS: c.identity(pki.RootName).ClientConfig(pki.Check{}),
	})
	must(c.t, err)
	c.t.Cleanup(a.Close)
	return a
}
