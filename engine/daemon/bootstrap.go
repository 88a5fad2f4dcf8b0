package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// keyCA holds the key of the cluster's authority, sealed: any member can issue
// certificates, and a backup of the store includes it.
const keyCA = "secret/ca"

// sealedCA is the document at keyCA.
type sealedCA struct {
	Sealed string `json:"sealed"`
}

// postInit makes a cluster of this node.
func (d *Daemon) postInit(ctx context.Context, c *caller, r *http.Request) (any, error) {
	var in api.Init
	if err := body(r, &in); err != nil {
		return nil, err
	}
	if err := d.checkCode(c, in.Code); err != nil {
		return nil, err
	}
	done, err := d.beginBootstrap()
	if err != nil {
		return nil, err
	}
	defer done()
	name, err := nodeName(in.Node)
	if err != nil {
		return nil, err
	}
	n := cib.Node{ID: 1, Addresses: in.Addresses, Ports: in.Ports, Voter: true}
	// A service that runs is not moved back for nothing: that would be a second
	// interruption.
	stickiness := cib.Score(1)
	cfg := &cib.Config{Cluster: cib.Cluster{Name: in.Cluster, Options: in.Options, ResourceDefaults: cib.Meta{Stickiness: &stickiness}}, Nodes: map[string]*cib.Node{name: &n}, RoleBindings: cib.DefaultBindings()}
	if in.Store != nil {
		cfg.Cluster.Store.Endpoints = in.Store.Endpoints
	}
	if faults := cib.Validate(cfg); len(faults) > 0 {
		return nil, invalid(faults)
	}
	l := local{Version: 1, Cluster: in.Cluster, Token: newID(), Node: name, Config: n}
	if in.Store == nil {
		l.Initial = map[string][]string{name: store.PeerURLs(&n)}
	} else {
		l.External = in.Store.Endpoints
		if err := claimExternal(ctx, in.Cluster, in.Store); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	ca, err := pki.NewCA(in.Cluster, now)
	if err != nil {
		return nil, err
	}
	id, err := newIdentity(ca, pki.Names{Node: name, Addresses: in.Addresses})
	if err != nil {
		return nil, err
	}
	root, err := newIdentity(ca, pki.Names{Node: pki.RootName})
	if err != nil {
		return nil, err
	}
	_, sealBytes, err := pki.NewSealKey()
	if err != nil {
		return nil, err
	}
	dir := d.path(dirPKI)
	// The authority's key goes into the store, sealed, and nowhere else.
	if err := errors.Join(pki.WriteFile(filepath.Join(dir, pki.FileCA), pki.EncodeCert(ca.Cert), 0o600), id.Save(dir, "", ""),
		pki.SaveSealKey(filepath.Join(dir, pki.FileSeal), sealBytes)); err != nil {
		return nil, err
	}
	if in.Store == nil {
		err = root.Save(dir, pki.FileRoot, pki.FileRootKey)
	} else {
		err = saveExternal(dir, in.Store)
	}
	if err != nil {
		return nil, err
	}
	n.PublicKey = id.PublicKey()
	seal, err := pki.ParseSealKey(sealBytes)
	if err != nil {
		return nil, err
	}
	caKey, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	sealed, err := seal.Seal(keyCA, string(caKey))
	if err != nil {
		return nil, err
	}
	if err := d.begin(ctx, l, func(ctx context.Context, e *engine) error { return e.seed(ctx, c.Actor, cfg, sealed) }); err != nil {
		return nil, err
	}
	return api.Joined{Cluster: in.Cluster, Node: name, Voter: true}, nil
}

// seed writes the first documents of a cluster.
func (e *engine) seed(ctx context.Context, actor api.Actor, cfg *cib.Config, ca string) error {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails
	now := time.Now().UTC()
	ch := &api.Change{Action: api.ActionApply, Object: "cluster", RequestID: newID()}
	changes := cib.Diff(cib.Empty().Config, cfg)
	rec := &cib.GenerationRecord{Generation: 1, Time: now, Actor: actor.User, Action: "init", Object: "cluster", RequestID: ch.RequestID, Changes: changes}
	txn := cib.Txn{
		If: []cib.Compare{{Key: cib.KeyConfigGen}},
		Put: []cib.Put{
			{Key: cib.KeyConfigGen, Value: &cib.ConfigGeneration{Number: 1, Time: now}},
			{Key: generationKey(1), Value: rec},
			{Key: cib.KeyVoters, Value: &cib.VoterSet{Epoch: 1, Voters: []string{e.local.Node}, Since: now, Reason: "cluster init"}},
			{Key: cib.KeyDataGen, Value: &cib.DataGeneration{Number: 1, Nonce: binary.BigEndian.Uint64(nonce[:])}}, // over the claim of an external store
			{Key: keyCA, Value: &sealedCA{ca}},
		},
	}
	for _, c := range changes {
		txn.Put = append(txn.Put, cib.Put{Key: c.Key, Value: c.After})
	}
	p := &prepared{base: cib.Empty(), result: &api.ChangeResult{Generation: 1, Changes: changes}}
	c := &changing{engine: e, actor: actor, Change: ch}
	if err := c.intend(p); err != nil {
		return err
	}
	for {
		ok, rev, err := e.store.Commit(ctx, txn)
		if err == nil && ok {
			err = e.await(ctx, rev)
			if err == nil && !e.external() {
				// From here on the store itself enforces who writes what.
				err = e.keeper.admin().EnableAuth(ctx, []string{e.local.Node})
			}
			c.outcome(p, err)
			return err
		}
		var g cib.GenerationRecord
		if err == nil || errors.Is(err, store.ErrUnknown) {
			if gerr := e.getDocument(ctx, generationKey(1), &g); gerr == nil {
				c.outcome(p, nil)
				return nil
			}
		}
		if ctx.Err() != nil {
			c.outcome(p, err)
			return api.NewProblem(api.CodeStore, fmt.Sprintf("the new store does not answer: %v", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// postJoin joins a cluster.
func (d *Daemon) postJoin(ctx context.Context, c *caller, r *http.Request) (any, error) {
	var in api.Join
	if err := body(r, &in); err != nil {
		return nil, err
	}
	if err := d.checkCode(c, in.Code); err != nil {
		return nil, err
	}
	done, err := d.beginBootstrap()
	if err != nil {
		return nil, err
	}
	defer done()
	name, err := nodeName(in.Node)
	if err != nil {
		return nil, err
	}
	token, err := pki.ParseToken(in.Token)
	if err != nil {
		return nil, api.NewProblem(api.CodeJoinRefused, err.Error())
	}
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	rootKey, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	req, err := pki.NewRequest(name, key)
	if err != nil {
		return nil, err
	}
	rootReq, err := pki.NewRequest(pki.RootName, rootKey)
	if err != nil {
		return nil, err
	}
	ans, ca, err := askToJoin(ctx, in.Server, token, &api.JoinRequest{
		TokenID: token.ID, Secret: token.Secret, Node: name, Addresses: in.Addresses, Ports: in.Ports, Request: string(req), RootRequest: string(rootReq), Arbiter: in.Arbiter || d.opts.Arbiter,
		Version: d.opts.Version, FeatureLevel: cib.FeatureLevel, Wall: time.Now(),
	})
	if err != nil {
		return nil, err
	}
	cert, err := pki.DecodeCert([]byte(ans.Cert))
	if err != nil {
		return nil, err
	}
	id, err := pki.NewIdentity(ca, cert, key)
	if err != nil {
		return nil, err
	}
	if (in.Arbiter || d.opts.Arbiter) && !ans.Node.Arbiter {
		return nil, api.NewProblem(api.CodeVersion, "the member that was asked is of a release that takes no arbiters: remove this node there, and upgrade that member first")
	}
	if err := joinExternal(ctx, name, ans, in.Store); err != nil {
		return nil, err
	}
	dir := d.path(dirPKI)
	err = errors.Join(pki.WriteFile(filepath.Join(dir, pki.FileCA), []byte(ans.CA), 0o600), id.Save(dir, "", ""),
		pki.SaveSealKey(filepath.Join(dir, pki.FileSeal), ans.SealKey))
	if err == nil && ans.Store != nil {
		err = saveExternal(dir, ans.Store)
	}
	if err == nil && ans.RootCert != "" {
		var pem []byte
		if pem, err = pki.EncodeKey(rootKey); err == nil {
			err = errors.Join(pki.WriteFile(filepath.Join(dir, pki.FileRoot), []byte(ans.RootCert), 0o600), pki.WriteFile(filepath.Join(dir, pki.FileRootKey), pem, 0o600))
		}
	}
	if err != nil {
		return nil, err
	}
	l := local{Version: 1, Cluster: ans.Cluster, Token: ans.StoreToken, Node: name, Config: ans.Node}
	l.setEndpoints(ans.Endpoints)
	if ans.Store != nil {
		l.External = ans.Store.Endpoints
	}
	if err := d.begin(ctx, l, nil); err != nil {
		return nil, err
	}
	d.log.Info("joined", "cluster", ans.Cluster, "by", c.User)
	return api.Joined{Cluster: ans.Cluster, Node: name, Voter: ans.Node.Voter}, nil
}

// askToJoin asks a member, and checks that it is one of the cluster that the token
// names.
func askToJoin(ctx context.Context, server string, token pki.Token, req *api.JoinRequest) (*api.JoinAnswer, *pki.CA, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, strconv.Itoa(cib.PortAPI))
	}
	b, err := json.Marshal(req) //nolint:gosec // the token's secret is what the request is about; TLS is pinned to its cluster
	if err != nil {
		return nil, nil, fmt.Errorf("encode the join request: %w", err)
	}
	tr := &http.Transport{TLSClientConfig: pki.JoinConfig(token.Fingerprint), TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+server+"/v1/join", bytes.NewReader(b))
	if err != nil {
		return nil, nil, api.NewProblem(api.CodeBadRequest, fmt.Sprintf("%q is no address: %v", server, err))
	}
	resp, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Do(hr)
	if err != nil {
		return nil, nil, api.NewProblem(api.CodeJoinRefused, fmt.Sprintf("%s does not answer as a member of the token's cluster: %v", server, err))
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, nil, api.NewProblem(api.CodeJoinRefused, fmt.Sprintf("the answer of %s broke off: %v", server, err))
	}
	if resp.StatusCode != http.StatusOK {
		p := &api.Problem{}
		if json.Unmarshal(data, p) != nil || p.Code == "" {
			p = api.NewProblem(api.CodeJoinRefused, fmt.Sprintf("%s answered %s", server, resp.Status))
		}
		return nil, nil, p
	}
	ca, err := pki.JoinedCA(*resp.TLS, token.Fingerprint)
	if err != nil {
		return nil, nil, api.NewProblem(api.CodeJoinRefused, err.Error())
	}
	ans := &api.JoinAnswer{}
	if err := json.Unmarshal(data, ans); err != nil {
		return nil, nil, api.NewProblem(api.CodeJoinRefused, fmt.Sprintf("the answer of %s can't be read: %v", server, err))
	}
	return ans, ca, nil
}

// beginBootstrap refuses a node that is in a cluster, and a second try at the same
// time.
func (d *Daemon) beginBootstrap() (func(), error) {
	if !d.booted.TryLock() {
		return nil, api.NewProblem(api.CodeConflict, "an init or join is on its way")
	}
	_, err := os.Stat(d.path(fileLocal))
	if d.engine.Load() != nil || !errors.Is(err, fs.ErrNotExist) {
		d.booted.Unlock()
		return nil, api.NewProblem(api.CodeConflict, "this node is in a cluster already")
	}
	if _, err := os.Stat(d.path(dirStore, "member")); err == nil {
		d.booted.Unlock()
		return nil, unusableState(fmt.Errorf("%s holds the store's data of a cluster, and %s is missing", d.opts.StateDir, fileLocal))
	}
	return d.booted.Unlock, nil
}

// begin starts the engine of a cluster just made or joined, and waits until it has
// read the cluster's state. When that fails, the node is as it was before.
func (d *Daemon) begin(ctx context.Context, l local, then func(context.Context, *engine) error) error {
	if err := writeJSON(d.path(fileLocal), &l); err != nil {
		return err
	}
	d.starts <- l
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	e, err := d.awaitEngine(ctx)
	if err != nil {
		return err
	}
	if then != nil {
		return then(ctx, e)
	}
	return e.await(ctx, 1)
}

func (d *Daemon) awaitEngine(ctx context.Context) (*engine, error) {
	for {
		if e := d.engine.Load(); e != nil && e.opened.Load() {
			return e, nil
		}
		select {
		case <-ctx.Done():
			return nil, api.NewProblem(api.CodeTimeout, "the engine did not start; see its log")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func nodeName(name string) (string, error) {
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("the host's name: %w", err)
		}
	}
	if name == pki.RootName {
		return "", api.NewProblem(api.CodeTaken, fmt.Sprintf("no node can be named %s: that is who administers the store", pki.RootName))
	}
	return name, nil
}

// postToken makes a join token.
func postToken(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	var in api.TokenRequest
	if err := body(r, &in); err != nil {
		return nil, err
	}
	ttl := in.TTL.D()
	if ttl == 0 {
		ttl = 15 * time.Minute
	}
	if ttl < time.Minute || ttl > 24*time.Hour {
		return nil, api.NewProblem(api.CodeBadRequest, "a token lives from 1m to 24h")
	}
	t, err := pki.NewToken(e.id.CA())
	if err != nil {
		return nil, err
	}
	doc := &joinToken{Hash: t.Hash(), Expires: time.Now().UTC().Add(ttl), Node: in.Node, Voter: in.Voter, By: who(c.Actor)}
	p := &prepared{base: cib.Empty(), result: &api.ChangeResult{}}
	cg := &changing{engine: e, actor: c.Actor, Change: &api.Change{Action: "token", Object: "cluster", RequestID: newID()}}
	if err := cg.intend(p); err != nil {
		return nil, err
	}
	ok, _, err := e.store.Commit(ctx, cib.Txn{If: []cib.Compare{{Key: cib.KeyJoinToken + t.ID}}, Put: []cib.Put{{Key: cib.KeyJoinToken + t.ID, Value: doc}}})
	if err == nil && !ok {
		err = errors.New("the token's id was drawn twice")
	}
	cg.outcome(p, err)
	if err != nil {
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	return api.Token{Token: t.Text(), Expires: doc.Expires}, nil
}

// joinToken is what the cluster keeps of a token.
type joinToken struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
	Node    string    `json:"node,omitempty"`
	Voter   *bool     `json:"voter,omitempty"`
	By      string    `json:"by"`
}

// setEndpoints keeps the ways to the store for the next start.
func (l *local) setEndpoints(byNode map[string][]string) {
	l.Endpoints = nil
	for _, name := range sortedKeys(byNode) {
		for _, u := range byNode[name] {
			l.Endpoints = append(l.Endpoints, name+" "+u)
		}
	}
}
