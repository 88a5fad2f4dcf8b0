package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// The node API is what an engine asks of another over TLS, on every link: to join.

// Limits of the node API.
const (
	peerBodyMaxBytes = 64 << 10
	clockOffsetMax   = 10 * time.Second // a joining node's clock may differ so much
	votersAuto       = 3                // the first nodes become voters up to this number
)

func (e *engine) servePeers(ctx context.Context) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/join", func(w http.ResponseWriter, r *http.Request) {
		var req api.JoinRequest
		e.answer(w, r, &req, func() (any, error) { return e.admitNode(r.Context(), &req, r.RemoteAddr) })
	})
	srv := &http.Server{
		Handler: http.MaxBytesHandler(mux, peerBodyMaxBytes), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		TLSConfig: e.id.ServerConfig(pki.Check{Anonymous: true, Pinned: e.pinned, Expired: e.expired}),
	}
	for _, a := range e.local.Config.Addresses {
		addr := net.JoinHostPort(a, strconv.Itoa(e.local.Config.Ports.WithDefaults().API))
		e.start(ctx, func(ctx context.Context) { e.listenPeers(ctx, srv, addr) })
	}
	<-ctx.Done()
	_ = srv.Close()
}

// listenPeers serves one address; it is tried again while the address is not there.
func (e *engine) listenPeers(ctx context.Context, srv *http.Server, addr string) {
	lc := net.ListenConfig{}
	for ctx.Err() == nil {
		ln, err := lc.Listen(ctx, "tcp", addr)
		if err == nil {
			err = srv.ServeTLS(limit(ln, connectionsMax), "", "")
		}
		if errors.Is(err, http.ErrServerClosed) {
			return
		}
		e.log.Warn("the node API is not served", "address", addr, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

func (e *engine) answer(w http.ResponseWriter, r *http.Request, req any, f func() (any, error)) {
	var v any
	err := body(r, req)
	if err == nil {
		v, err = f()
	}
	if err != nil {
		e.d.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// pinned reports whether the configuration names that key for that node.
func (e *engine) pinned(node, key string) bool {
	s := e.snap.Load()
	if s == nil {
		return true // nothing is known yet: who the cluster's authority signed is a member
	}
	n := s.Config.Nodes[node]
	return n != nil && n.PublicKey == key || node == pki.RootName
}

// expired is told of a pinned member whose certificate has run out.
func (e *engine) expired(node string, end time.Time) {
	if _, told := e.told.LoadOrStore("expired "+node, true); !told {
		e.emit(event.New(event.CertificateExpired, "node", node, "end", end.UTC().Format(time.RFC3339)))
	}
}

// admitNode lets a machine with a good token into the configuration.
func (e *engine) admitNode(ctx context.Context, req *api.JoinRequest, from string) (*api.JoinAnswer, error) {
	refuse := func(code, format string, args ...any) error {
		p := api.NewProblem(code, fmt.Sprintf(format, args...))
		e.emit(event.New(event.NodeRejected, "node", req.Node, "reason", p.Detail))
		return p
	}
	var t joinToken
	if len(req.TokenID) != 8 {
		return nil, refuse(api.CodeJoinRefused, "the token is not known to this cluster")
	}
	err := e.getDocument(ctx, cib.KeyJoinToken+req.TokenID, &t)
	token := pki.Token{ID: req.TokenID, Secret: req.Secret}
	switch {
	case err != nil && !errors.Is(err, cib.ErrNotFound):
		return nil, api.NewProblem(api.CodeStore, err.Error())
	case !token.Matches(t.Hash):
		return nil, refuse(api.CodeJoinRefused, "the token is not known to this cluster")
	case time.Now().After(t.Expires):
		return nil, refuse(api.CodeJoinRefused, "the token ended %s", t.Expires.Format(time.RFC3339))
	case t.Node != "" && t.Node != req.Node:
		return nil, refuse(api.CodeJoinRefused, "the token is for another node")
	}
	if off := time.Since(req.Wall); off > clockOffsetMax || off < -clockOffsetMax {
		return nil, refuse(api.CodeClock, "the clock of node %s differs by %s, %s is allowed", req.Node, off.Round(time.Second), clockOffsetMax)
	}
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	if level := e.level(s); req.FeatureLevel < level {
		return nil, refuse(api.CodeVersion, "the cluster runs at feature level %d; release %s of node %s knows %d", level, req.Version, req.Node, req.FeatureLevel)
	}
	csr, err := pki.ParseRequest([]byte(req.Request))
	if err != nil {
		return nil, refuse(api.CodeJoinRefused, "the certificate request is not valid: %v", err)
	}
	if e.keeper.admin() == nil {
		return nil, api.NewProblem(api.CodeJoinRefused, fmt.Sprintf("node %s is no voter; ask one of %v", e.local.Node, s.Status.Voters.Voters))
	}
	ca, err := e.authority(ctx)
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(pki.Names{Node: req.Node, Addresses: req.Addresses}, csr.PublicKey, time.Now())
	if err != nil {
		return nil, refuse(api.CodeJoinRefused, "no certificate can be issued: %v", err)
	}
	n := cib.Node{
		ID: uint32(s.ConfigGen.Number + 1), Addresses: req.Addresses, Ports: req.Ports, PublicKey: pki.PublicKey(cert),
		Voter: len(s.Status.Voters.Voters) < votersAuto && e.votersWanted(s) < votersAuto,
	}
	if t.Voter != nil {
		n.Voter = *t.Voter
	}
	if err := e.addNode(ctx, s, req, &n, from, refuse); err != nil {
		return nil, err
	}
	if err := e.keeper.admin().GrantNode(ctx, req.Node); err != nil {
		return nil, api.NewProblem(api.CodeStore, fmt.Sprintf("node %s is configured but has no account in the store yet: %v. Remove it and join again", req.Node, err))
	}
	ans := &api.JoinAnswer{
		Cluster: e.local.Cluster, StoreToken: e.local.Token, CA: string(pki.EncodeCert(ca.Cert)), Cert: string(pki.EncodeCert(cert)), Node: n, Endpoints: map[string][]string{},
	}
	if n.Voter {
		root, err := ca.Sign([]byte(req.RootRequest), pki.Names{Node: pki.RootName}, time.Now())
		if err != nil {
			return nil, refuse(api.CodeJoinRefused, "the certificate request for the store is not valid: %v", err)
		}
		ans.RootCert = string(pki.EncodeCert(root))
	}
	_, ans.SealKey, err = pki.LoadSealKey(e.d.path(dirPKI, pki.FileSeal))
	if err != nil {
		return nil, err
	}
	for _, v := range s.Status.Voters.Voters {
		if m := s.Config.Nodes[v]; m != nil {
			ans.Endpoints[v] = store.ClientURLs(m)
		}
	}
	return ans, nil
}

// addNode makes the configuration change of a join.
func (e *engine) addNode(ctx context.Context, s *cib.Snapshot, req *api.JoinRequest, n *cib.Node, from string, refuse func(string, string, ...any) error) error {
	if s.Config.Nodes[req.Node] != nil {
		return refuse(api.CodeTaken, "there is a node %s already", req.Node)
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		m := s.Config.Nodes[name]
		for i, a := range m.Addresses {
			if i < len(n.Addresses) && n.Addresses[i] == a && m.Ports.WithDefaults() == n.Ports.WithDefaults() {
				return refuse(api.CodeTaken, "address %s belongs to node %s", a, name)
			}
		}
	}
	_, err := e.changeBy(ctx, api.Actor{User: "join-token " + req.TokenID, Via: "join", Address: from}, &api.Change{
		Action: "join", Object: "node/" + req.Node,
	}, func(c *cib.Config) error {
		c.Nodes[req.Node] = n
		return nil
	})
	return err
}

// votersWanted counts the nodes that are to be voters.
func (e *engine) votersWanted(s *cib.Snapshot) int {
	n := 0
	for _, m := range s.Config.Nodes {
		if m.Voter {
			n++
		}
	}
	return n
}

// level is the feature level that the cluster runs at: the lowest of its members.
func (e *engine) level(s *cib.Snapshot) int {
	level := cib.FeatureLevel
	for name, m := range s.Status.Members {
		if s.Config.Nodes[name] != nil {
			level = min(level, m.FeatureLevel)
		}
	}
	return level
}
