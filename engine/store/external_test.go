package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/belay-ha/belay/engine/pki"
)

// foreign is an etcd as somebody else would run it: with its own authority, and with
// etcd's own settings where change does not alter them.
func foreign(t *testing.T, change func(*embed.Config)) (c *cluster, endpoint string) {
	t.Helper()
	c = newCluster(t)
	m := c.add("etcd-1")
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.LogLevel = m.name, m.cfg.Dir, "error"
	client, err := url.Parse(m.cfg.ListenClients[0])
	must(t, err)
	peer, err := url.Parse(m.cfg.ListenPeers[0])
	must(t, err)
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster = m.name + "=" + peer.String()
	info := transport.TLSInfo{CertFile: m.cfg.Cert, KeyFile: m.cfg.Key, TrustedCAFile: m.cfg.CA, ClientCertAuth: true}
	cfg.ClientTLSInfo, cfg.PeerTLSInfo = info, info
	change(cfg)
	etcd, err := embed.StartEtcd(cfg)
	must(t, err)
	t.Cleanup(etcd.Close)
	select {
	case <-etcd.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd does not start")
	}
	return c, client.String()
}

// large are the settings that a cluster needs.
func large(cfg *embed.Config) { cfg.MaxTxnOps, cfg.MaxRequestBytes = TxnMaxOps, RequestMaxBytes }

// client is the configuration of a client with a certificate of the etcd's authority.
func (c *cluster) client() Config {
	c.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.Cert)
	id := c.identity("n1")
	return Config{Cluster: "test", Node: "n1", TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{{Certificate: [][]byte{id.Cert().Raw}, PrivateKey: id.Key()}},
	}}
}

// An external store is told apart from one that can't serve a cluster.
func TestInspect(t *testing.T) {
	t.Parallel()
	c, url := foreign(t, large)
	cfg := c.client()
	found, err := Inspect(t.Context(), cfg, url)
	must(t, err)
	if found.ClusterID == 0 || tooOld(found.Version) || found.Documents != 0 || found.Generation.Number != 0 {
		t.Errorf("found %+v in an empty store", found)
	}
	cfg.Endpoints = []Endpoint{{URL: url}}
	for i, want := range []bool{true, false} {
		if ok, err := Claim(t.Context(), cfg); err != nil || ok != want {
			t.Errorf("claim %d of a keyspace: %t %v, want %t", i+1, ok, err, want)
		}
	}
	if found, err = Inspect(t.Context(), cfg, url); err != nil || found.Documents != 1 || found.Generation.Number != 1 {
		t.Errorf("found %+v, %v in a store that is claimed", found, err)
	}

	stranger := newCluster(t).client()
	_, err = Inspect(t.Context(), stranger, url)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another authority: %v", err)
	}
	mixed := c.client()
	mixed.TLS.Certificates = stranger.TLS.Certificates // its own one is wrong
	if _, err = Inspect(t.Context(), mixed, url); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "does not take this node's certificate") {
		t.Errorf("a client certificate of another authority: %v", err)
	}
	if _, err = Inspect(t.Context(), cfg, freeURL(t)); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

// An etcd with its default limits takes no large change: that shows before a cluster
// is made in it.
func TestInspectLimits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*embed.Config){
		"defaults":      func(*embed.Config) {},
		"small request": func(cfg *embed.Config) { cfg.MaxTxnOps = TxnMaxOps },
		"few ops":       func(cfg *embed.Config) { cfg.MaxRequestBytes = RequestMaxBytes },
	} {
		t.Run(name, func(t *testing.T) {
			c, url := foreign(t, change)
			_, err := Inspect(t.Context(), c.client(), url)
			if !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "--max-txn-ops=65536 --max-request-bytes=16777216") {
				t.Errorf("%v, want what to set", err)
			}
		})
	}
}

// oldEtcd answers as one of an earlier release does.
type oldEtcd struct {
	pb.UnimplementedMaintenanceServer
	version string
}

func (o oldEtcd) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Version: o.version}, nil
}

// An etcd that is too old, or says nonsense, is refused.
func TestInspectOld(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.add("etcd-1")
	for _, version := range []string{"3.4.23", "3.5.21", "2.3.8", ""} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		creds, err := credentials.NewServerTLSFromFile(filepath.Join(m.dir, pki.FileNode), filepath.Join(m.dir, pki.FileNodeKey))
		must(t, err)
		srv := grpc.NewServer(grpc.Creds(creds))
		pb.RegisterMaintenanceServer(srv, oldEtcd{version: version})
		go func() { _ = srv.Serve(l) }()
		t.Cleanup(srv.Stop)
		if _, err = Inspect(t.Context(), c.client(), "https://"+l.Addr().String()); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "version "+version) {
			t.Errorf("version %q: %v", version, err)
		}
	}
	if tooOld("3.10.0") || tooOld("4.0.0") || !tooOld("3.5.99") {
		t.Error("versions are compared by their numbers")
	}
}

// The account that the certificate opens may write the cluster's documents, or the
// store is no use.
func TestInspectDenied(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	must(t, c.admin("n1").EnableAuth(t.Context(), []string{"n1"})) // below another prefix
	cfg := c.client()
	cfg.Cluster = "other"
	if _, err := Inspect(t.Context(), cfg, c.nodes["n1"].cfg.ListenClients[0]); !errors.Is(err, ErrDenied) {
		t.Errorf("%v, want that it is denied", err)
	}
}
