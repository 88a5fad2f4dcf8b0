package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// An external store is an etcd that somebody else runs. The nodes are its clients
// with a certificate of its authority, not of the cluster's; nobody here starts,
// grows or administers its members. The votes are the configuration's alone, and a
// partition needs a majority of them and the store.

// external reports whether somebody else runs the store.
func (e *engine) external() bool { return e.outer }

// externalProbe is the time between two questions whether the store is there, and
// externalSilent how long it may be silent before it counts as not reached.
const (
	externalProbe  = time.Second
	externalSilent = 4 * time.Second
)

// unusable says why an external store can't be used.
func unusable(format string, args ...any) *api.Problem {
	return api.NewProblem(api.CodeExternal, fmt.Sprintf(format, args...))
}

// parseExternal makes the configuration of TLS from what an operator gave. Its errors
// show nothing of the key.
func parseExternal(x *api.ExternalStore) (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(x.Cert), []byte(x.Key))
	if err != nil {
		return nil, unusable("certificate and key of the client: %v", err)
	}
	return externalConfig([]byte(x.CA), func() (*tls.Certificate, error) { return &pair, nil })
}

func externalConfig(ca []byte, client func() (*tls.Certificate, error)) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, unusable("there is no certificate in the file of the store's authority")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, // what others run may not know 1.3
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client() },
	}, nil
}

// saveExternal keeps the node's way into an external store.
func saveExternal(dir string, x *api.ExternalStore) error {
	return errors.Join(pki.WriteFile(filepath.Join(dir, pki.FileStoreKey), []byte(x.Key), 0o600),
		pki.WriteFile(filepath.Join(dir, pki.FileStoreCert), []byte(x.Cert), 0o600), pki.WriteFile(filepath.Join(dir, pki.FileStoreCA), []byte(x.CA), 0o600))
}

// loadExternal reads it, for a node that joins.
func loadExternal(dir string, endpoints []string) (*api.ExternalStore, error) {
	x := &api.ExternalStore{Endpoints: endpoints}
	for name, text := range map[string]*string{pki.FileStoreCA: &x.CA, pki.FileStoreCert: &x.Cert, pki.FileStoreKey: &x.Key} {
		b, err := pki.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("the way into the external store: %w", err)
		}
		*text = string(b)
	}
	return x, nil
}

// externalTLS is the configuration of TLS from the files. The client's certificate is
// read for every connection: whoever renews it replaces the files, and that is all.
func externalTLS(dir string) (*tls.Config, error) {
	ca, err := pki.ReadFile(filepath.Join(dir, pki.FileStoreCA))
	if err != nil {
		return nil, fmt.Errorf("the authority of the external store: %w", err)
	}
	return externalConfig(ca, func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, pki.FileStoreCert), filepath.Join(dir, pki.FileStoreKey))
		if err != nil {
			return nil, fmt.Errorf("this node's certificate for the external store: %w", err)
		}
		return &pair, nil
	})
}

// inspectAll looks at every endpoint. They must be of one etcd.
func inspectAll(ctx context.Context, cluster string, endpoints []string, cfg *tls.Config) (store.Found, error) {
	var first store.Found
	for i, u := range endpoints {
		f, err := store.Inspect(ctx, store.Config{Cluster: cluster, TLS: cfg}, u)
		switch {
		case err != nil:
			return f, unusable("%v", err)
		case i == 0:
			first = f
		case f.ClusterID != first.ClusterID:
			return f, unusable("%s and %s are members of different etcd clusters", endpoints[0], u)
		}
	}
	return first, nil
}

// claimExternal checks the store of a new cluster, and takes its keyspace.
func claimExternal(ctx context.Context, cluster string, x *api.ExternalStore) error {
	if len(x.Endpoints) == 0 {
		return unusable("no endpoint is named")
	}
	cfg, err := parseExternal(x)
	if err != nil {
		return err
	}
	found, err := inspectAll(ctx, cluster, x.Endpoints, cfg)
	if err != nil {
		return err
	}
	taken := unusable("there is a cluster %s in it already: %d documents below %s", cluster, found.Documents, store.Prefix(cluster))
	taken.Remedy = "Join that cluster, or choose another name for this one. What was left by a cluster that is no more: etcdctl del --prefix " + store.Prefix(cluster)
	if found.Documents > 0 {
		return taken
	}
	endpoints := make([]store.Endpoint, len(x.Endpoints))
	for i, u := range x.Endpoints {
		endpoints[i] = store.Endpoint{URL: u}
	}
	ok, err := store.Claim(ctx, store.Config{Cluster: cluster, Endpoints: endpoints, TLS: cfg})
	switch {
	case err != nil:
		return unusable("%v", err)
	case !ok:
		return taken
	}
	return nil
}

// joinExternal checks that a joining node reaches the cluster's store, with its own
// certificate where it was given one. One endpoint is enough: members of an etcd come
// and go.
func joinExternal(ctx context.Context, name string, ans *api.JoinAnswer, own *api.ExternalStore) error {
	x := ans.Store
	switch {
	case x == nil && own != nil:
		return unusable("the voters of cluster %s run its store: leave out the certificate for an external one", ans.Cluster)
	case x == nil:
		return nil
	case own != nil:
		x.Cert, x.Key = own.Cert, own.Key
		if own.CA != "" {
			x.CA = own.CA
		}
	}
	cfg, err := parseExternal(x)
	if err != nil {
		return err
	}
	var failed error
	for _, u := range x.Endpoints {
		f, err := store.Inspect(ctx, store.Config{Cluster: ans.Cluster, TLS: cfg}, u)
		if err == nil && f.Generation.Number > 0 {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s: cluster %s is not in it", u, ans.Cluster)
		}
		failed = errors.Join(failed, err)
	}
	p := unusable("node %s is configured, and does not reach the store: %v", name, failed)
	p.Remedy = "Remove the node again on a member, with belay node remove; open the way to the store from here, and join with a new token."
	return p
}

// checkStore checks a change of where the store is. It stays with whoever runs it,
// and new endpoints must lead to the same data.
func (c *changing) checkStore(ctx context.Context, s *cib.Snapshot, after *cib.Config) error {
	was, is := s.Config.Cluster.Store.Endpoints, after.Cluster.Store.Endpoints
	switch {
	case slices.Equal(was, is):
		return nil
	case len(was) == 0 || len(is) == 0:
		return unusable("who runs the store is decided when the cluster is made")
	}
	cfg, err := externalTLS(c.d.path(dirPKI))
	if err != nil {
		return err
	}
	found, err := inspectAll(ctx, s.Config.Cluster.Name, is, cfg)
	if err != nil {
		return err
	}
	if found.Generation != s.Status.Generation {
		return unusable("what is behind the new endpoints is not this cluster's data of generation %d", s.Status.Generation.Number)
	}
	return nil
}

// watchExternal notices that the store is silent also when nobody has anything to
// write, and that it answers again.
func (e *engine) watchExternal(ctx context.Context) {
	tick := time.NewTicker(externalProbe / 2)
	defer tick.Stop()
	began, down := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		last := e.store.LastContact()
		if last.IsZero() {
			last = began
		}
		switch err := e.storeErr.Load(); {
		case err == nil && time.Since(last) > externalSilent:
			down = time.Now()
			e.storeDown(ctx, fmt.Errorf("the external store is silent: %w", store.ErrUnreachable))
		case err == nil:
			down = time.Time{}
		case down.IsZero():
			down = time.Now() // a transaction has found out
		case last.After(down) && !strings.Contains(*err, store.ErrSpace.Error()): // a full one answers, too
			e.storeUp(ctx)
		}
	}
}

// weighed is the step that gives a voter another number of votes.
func weighed(set *cib.VoterSet, name string, votes int) voterStep {
	step := voterStep{kind: voterRecord, node: name, voters: set.Voters, votes: maps.Clone(set.Votes), reason: fmt.Sprintf("%s has %d votes", name, votes)}
	if step.votes == nil {
		step.votes = map[string]int{}
	}
	step.votes[name] = votes
	if votes == 1 {
		step.reason = name + " has one vote"
		delete(step.votes, name)
	}
	return step
}

// nextVote decides the next step of the votes with an external store: towards the
// configuration, one vote at a time, who is dead first.
func nextVote(s *cib.Snapshot) voterStep {
	set := s.Status.Voters
	recorded := set.Voters
	wanted := func(name string) bool { n := s.Config.Nodes[name]; return n != nil && n.Voter }
	online := func(name string) bool { st := s.Status.Nodes[name]; return st != nil && st.State == cib.NodeOnline }
	remove := func(dead bool) voterStep {
		for _, name := range recorded {
			if !wanted(name) && (!dead || !online(name)) && len(recorded) > 1 {
				if v := set.VotesOf(name); v > 1 {
					return weighed(set, name, v-1)
				}
				left := slices.DeleteFunc(slices.Clone(recorded), func(v string) bool { return v == name })
				return voterStep{kind: voterRecord, node: name, voters: left, votes: set.Votes, reason: name + " was removed"}
			}
		}
		return voterStep{}
	}
	if step := remove(true); step.kind != voterNone {
		return step
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		if wanted(name) && online(name) && !slices.Contains(recorded, name) {
			all := slices.Sorted(slices.Values(append(slices.Clone(recorded), name)))
			return voterStep{kind: voterRecord, node: name, voters: all, votes: set.Votes, reason: name + " was added"}
		}
	}
	for _, name := range recorded {
		if !wanted(name) {
			continue
		}
		switch have, want := set.VotesOf(name), max(1, s.Config.Nodes[name].Votes); {
		case have < want && online(name):
			return weighed(set, name, have+1)
		case have > want:
			return weighed(set, name, have-1)
		}
	}
	return remove(false)
}
