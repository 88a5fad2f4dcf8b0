package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// The node API is what an engine asks of another over TLS, on every link: to join,
// and, as a member, to write an attribute of the node that it asks.

// pathPeerAttribute takes an api.Attribute of the node that is asked.
const pathPeerAttribute = "/v1/attribute"

// Limits of the node API.
const (
	peerBodyMaxBytes = 512 << 10 // an attribute's value in JSON
	peerAskMax       = 3 * time.Second
	clockOffsetMax   = 10 * time.Second // a joining node's clock may differ so much
	votersAuto       = 3                // the first nodes become voters up to this number
)

func (e *engine) servePeers(ctx context.Context) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/join", func(w http.ResponseWriter, r *http.Request) {
		var req api.JoinRequest
		e.answer(w, r, &req, func() (any, error) { return e.admitNode(r.Context(), &req, r.RemoteAddr) })
	})
	mux.HandleFunc("POST "+pathPeerAttribute, e.answerMember(e.peerAttribute))
	mux.HandleFunc("POST "+pathMember, e.answerMember(e.peerMember))
	mux.HandleFunc("POST "+pathCosign, e.answerMember(e.peerCosign))
	mux.HandleFunc("POST "+pathHeld, e.answerMember(e.peerHeld))
	mux.HandleFunc("POST "+pathPage, e.answerMember(e.peerPage))
	mux.HandleFunc("POST "+pathHoldings, e.answerMember(e.peerHoldings))
	mux.HandleFunc("POST "+pathEvidence, e.answerMember(e.peerEvidence))
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

// answerMember answers a member of the cluster: one with a certificate, whose key
// the configuration names. Who may only join is refused before anything is read.
func (e *engine) answerMember(h func(ctx context.Context, from string, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := e.memberOf(r.TLS)
		var v any
		if err == nil {
			v, err = h(r.Context(), from, r)
		} else {
			e.log.Warn("a request to this node was refused", "from", r.RemoteAddr, "path", r.URL.Path, "err", err)
		}
		if err != nil {
			e.d.fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
}

// memberOf names the node at the other end. The handshake has checked the
// certificate; whether the key is still a member's is looked up for every request,
// since connections outlive changes.
func (e *engine) memberOf(st *tls.ConnectionState) (string, error) {
	refused := api.NewProblem(api.CodeForbidden, "only members of the cluster may ask this")
	s := e.snap.Load()
	if st == nil || len(st.PeerCertificates) == 0 || s == nil {
		return "", refused
	}
	name := pki.NodeOf(*st)
	if n := s.Config.Nodes[name]; n == nil || n.PublicKey != pki.PublicKey(st.PeerCertificates[0]) {
		return "", refused
	}
	return name, nil
}

// peerAttribute writes a transient attribute of this node for another one.
func (e *engine) peerAttribute(ctx context.Context, from string, r *http.Request) (any, error) {
	var a api.Attribute
	if err := body(r, &a); err != nil {
		return nil, err
	}
	if a.Node != e.local.Node || a.Permanent {
		return nil, api.NewProblem(api.CodeBadRequest, "only transient attributes of "+e.local.Node+" are written here")
	}
	_, err := e.setOwn(ctx, &a)
	e.log.Debug("attribute set for another node", "from", from, "attribute", a.Name, "err", err)
	return a, err
}

// askPeer asks another member something, over the first link that answers. in is
// sent again after a broken connection: it must be harmless to repeat.
func (e *engine) askPeer(ctx context.Context, name, path string, in, out any) error {
	return e.askPeerFor(ctx, commitTimeout+peerAskMax, name, path, in, out)
}

// askPeerFor gives the answer another time-out.
func (e *engine) askPeerFor(ctx context.Context, timeout time.Duration, name, path string, in, out any) error {
	s, err := e.current()
	if err != nil {
		return err
	}
	n := s.Config.Nodes[name]
	if n == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", name))
	}
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode a request to node %s: %w", name, err)
	}
	tr := &http.Transport{
		TLSClientConfig:     e.id.ClientConfig(pki.Check{Peer: name, Pinned: e.pinned, Expired: e.expired}),
		TLSHandshakeTimeout: peerAskMax, DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: peerAskMax}).DialContext,
	}
	defer tr.CloseIdleConnections()
	var failed error
	for _, a := range n.Addresses {
		url := "https://" + net.JoinHostPort(a, strconv.Itoa(n.Ports.WithDefaults().API)) + path
		done, err := askOnce(ctx, &http.Client{Transport: tr, Timeout: timeout}, url, b, out)
		if done {
			return err
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return api.NewProblem(api.CodeStore, fmt.Sprintf("node %s does not answer: %v", name, failed))
}

// askOnce sends a request. done is false where nobody answered.
func askOnce(ctx context.Context, client *http.Client, url string, in []byte, out any) (done bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(in))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req) //nolint:gosec // the address is that of a node of the configuration
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, peerBodyMaxBytes))
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode != http.StatusOK:
		p := &api.Problem{}
		if json.Unmarshal(data, p) != nil || p.Code == "" {
			p = api.NewProblem(api.CodeStore, url+" answered "+resp.Status) // an older release
		}
		return true, p
	case out == nil:
		return true, nil
	}
	return true, json.Unmarshal(data, out)
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
		e.rejected(req.Node, from, p.Detail)
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
	case req.Node == pki.RootName:
		return nil, refuse(api.CodeTaken, "no node can be named %s: that is who administers the store", pki.RootName)
	}
	if off := time.Since(req.Wall); off > clockOffsetMax || off < -clockOffsetMax {
		return nil, refuse(api.CodeClock, "the clock of node %s differs by %s, %s is allowed", req.Node, off.Round(time.Second), clockOffsetMax)
	}
	e.keeper.admitting.Lock() // the next one must see this one's node: its id, its addresses, its vote
	defer e.keeper.admitting.Unlock()
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	if level := s.FeatureLevel(); req.FeatureLevel < level {
		return nil, refuse(api.CodeVersion, "the cluster runs at feature level %d; release %s of node %s knows %d", level, req.Version, req.Node, req.FeatureLevel)
	}
	csr, err := pki.ParseRequest([]byte(req.Request))
	if err != nil {
		return nil, refuse(api.CodeJoinRefused, "the certificate request is not valid: %v", err)
	}
	if e.keeper.admin() == nil && !e.external() {
		return nil, api.NewProblem(api.CodeJoinRefused, fmt.Sprintf("node %s is no voter; ask one of %v", e.local.Node, s.Status.Voters.Voters))
	}
	ca, err := e.authority(ctx)
	if err != nil {
		return nil, err
	}
	if req.Remote {
		return e.admitRemote(s, ca, req, csr.PublicKey, from, refuse)
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
	if req.Arbiter {
		if e.external() || t.Voter != nil && !n.Voter {
			return nil, refuse(api.CodeJoinRefused, "an arbiter has a vote, and this token, or a cluster with an external store, gives it none that it could keep the store with")
		}
		n.Voter, n.Arbiter = true, true
	}
	if err := e.addNode(ctx, s, req, &n, from, refuse); err != nil {
		return nil, err
	}
	if !e.external() {
		if err := e.keeper.admin().GrantNode(ctx, req.Node); err != nil {
			return nil, api.NewProblem(api.CodeStore, fmt.Sprintf("node %s is configured but has no account in the store yet: %v. Remove it and join again", req.Node, err))
		}
	}
	ans := &api.JoinAnswer{
		Cluster: e.local.Cluster, StoreToken: e.local.Token, CA: string(pki.EncodeCert(ca.Cert)), Cert: string(pki.EncodeCert(cert)), Node: n, Endpoints: map[string][]string{},
	}
	record := cib.Txn{Put: []cib.Put{issuedPut(req.Node, n.PublicKey, cert)}}
	if e.external() {
		if ans.Store, err = loadExternal(e.d.path(dirPKI), s.Config.Cluster.Store.Endpoints); err != nil {
			return nil, err
		}
	}
	if n.Voter && !e.external() {
		root, err := ca.Sign([]byte(req.RootRequest), pki.Names{Node: pki.RootName}, time.Now())
		if err != nil {
			return nil, refuse(api.CodeJoinRefused, "the certificate request for the store is not valid: %v", err)
		}
		ans.RootCert = string(pki.EncodeCert(root))
		record.Put = append(record.Put, issuedPut(req.Node, n.PublicKey, root))
	}
	if !e.external() {
		if _, _, err := e.keeper.admin().Commit(ctx, record); err != nil {
			return nil, api.NewProblem(api.CodeStore, fmt.Sprintf("node %s is configured, but its certificate could not be written down: %v. Remove it and join again", req.Node, err))
		}
	}
	_, ans.SealKey, err = pki.LoadSealKey(e.d.path(dirPKI, pki.FileSeal))
	if err != nil {
		return nil, err
	}
	for _, v := range s.Status.Voters.Voters {
		if m := s.Config.Nodes[v]; m != nil && !e.external() {
			ans.Endpoints[v] = store.ClientURLs(m)
		}
	}
	return ans, nil
}

// rejectedPause is the least time between two events about refused joins. Anybody
// on the network can ask to join; they must not fill the store with it.
const rejectedPause = 10 * time.Second

// rejected tells of a refused join.
func (e *engine) rejected(name, from, reason string) {
	if len(name) > cib.NameMax || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		name = "that is not named"
	}
	now := time.Now().UnixNano()
	last := e.rejectedAt.Load()
	if now-last < int64(rejectedPause) && last != 0 || !e.rejectedAt.CompareAndSwap(last, now) {
		e.log.Debug("a join was refused", "joining", name, "from", from, "reason", reason)
		return
	}
	e.emit(event.New(event.NodeRejected, "node", name, "reason", reason))
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
