package daemon

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// A removed node is refused everywhere from then on. Heartbeats and the node API know
// each other by the keys in the configuration, which has none of it any more. etcd
// knows the cluster's authority only, so every certificate that was issued is written
// down, and those of a removed node go on a list that etcd reads at every handshake.
//
// The store need not be asked what is void: the list is a file of each voter.

// issued is what is written down of a certificate, at [cib.IssuedKey].
type issued struct {
	Key  string    `json:"key"`  // public key of the node, as in the configuration
	Name string    `json:"name"` // common name: the node's, or root
	End  time.Time `json:"end"`
}

func serialOf(n *big.Int) string { return n.Text(16) }

// issuedPut writes a node's certificate down.
func issuedPut(node, key string, cert *x509.Certificate) cib.Put {
	return cib.Put{Key: cib.IssuedKey(node, serialOf(cert.SerialNumber)), Value: &issued{Key: key, Name: cert.Subject.CommonName, End: cert.NotAfter.UTC()}}
}

// recordPause is the time between two looks at this node's own certificates.
const recordPause = time.Minute

// recordOwn writes down the certificates that this node holds, where that was not done
// yet: it may have issued them to itself.
func (k *keeper) recordOwn(ctx context.Context, now time.Time) error {
	if k.external() || now.Before(k.recordAt) {
		return nil
	}
	own := []*pki.Identity{k.id}
	root, err := pki.LoadIdentity(k.id.CA(), k.d.path(dirPKI), pki.FileRoot, pki.FileRootKey)
	switch {
	case err == nil:
		own = append(own, root)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	var txn cib.Txn
	for _, id := range own {
		if _, done := k.told.Load("issued " + serialOf(id.Cert().SerialNumber)); !done {
			txn.Put = append(txn.Put, issuedPut(k.local.Node, k.id.PublicKey(), id.Cert()))
		}
	}
	if len(txn.Put) > 0 {
		if _, _, err := k.store.Commit(ctx, txn); err != nil {
			return fmt.Errorf("write down this node's certificates: %w", err)
		}
	}
	k.recordAt = now.Add(recordPause)
	for _, id := range own {
		k.told.Store("issued "+serialOf(id.Cert().SerialNumber), true)
	}
	return nil
}

// revoke puts the certificates on the list that belong to no configured node: to none
// of that name, or to an earlier one with another key. false: the configuration has
// changed meanwhile, and who is void must be found out again.
func (k *keeper) revoke(ctx context.Context, s *cib.Snapshot, now time.Time) (bool, error) {
	kvs, err := k.list(ctx, cib.KeyIssued)
	if err != nil {
		return false, err
	}
	was := s.Status.Revoked
	if was == nil {
		was = &cib.Revoked{}
	}
	next, gone, err := nextRevoked(s, was, kvs, now)
	if err != nil || len(gone) == 0 {
		return err == nil, err
	}
	ca, err := k.authority(ctx)
	if err != nil {
		return false, err
	}
	if next.List, err = ca.RevocationList(serials(next), next.Number, now); err != nil {
		return false, err
	}
	ok, _, err := k.admin().Commit(ctx, cib.Txn{
		If: []cib.Compare{
			{Key: cib.KeyDC, ModRev: s.Status.DC.Rev}, {Key: cib.KeyConfigGen, ModRev: s.ConfigGen.Rev}, {Key: cib.KeyRevoked, ModRev: was.Rev},
		},
		Put: []cib.Put{{Key: cib.KeyRevoked, Value: next}}, Delete: gone,
	})
	if err != nil {
		return false, fmt.Errorf("revoke certificates: %w", err)
	}
	if ok {
		k.log.Info("certificates of removed nodes are void", "number", next.Number, "added", len(gone), "void", len(next.Certificates))
	}
	return ok, nil
}

// nextRevoked decides what is void, and lists the keys of what is void from now on. A
// node that still has a member of the store keeps its certificates until it is taken
// away.
func nextRevoked(s *cib.Snapshot, was *cib.Revoked, kvs []cib.KV, now time.Time) (next *cib.Revoked, gone []string, err error) {
	next = &cib.Revoked{Number: was.Number + 1}
	if was.Number == 0 {
		next.Number = firstList + 1
	}
	for _, r := range was.Certificates {
		if now.Before(r.End) {
			next.Certificates = append(next.Certificates, r)
		}
	}
	for _, kv := range kvs {
		node, serial, _ := strings.Cut(strings.TrimPrefix(kv.Key, cib.KeyIssued), "/")
		var doc issued
		if err := json.Unmarshal(kv.Value, &doc); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		if _, ok := new(big.Int).SetString(serial, 16); !ok {
			return nil, nil, fmt.Errorf("read %s: %q is no serial number", kv.Key, serial)
		}
		n := s.Config.Nodes[node]
		if n == nil && slices.Contains(s.Status.Voters.Voters, node) || n != nil && n.PublicKey == doc.Key {
			continue
		}
		gone = append(gone, kv.Key)
		if now.Before(doc.End) {
			next.Certificates = append(next.Certificates, cib.RevokedCertificate{Serial: serial, Node: node, Name: doc.Name, Since: now.UTC(), End: doc.End})
		}
	}
	return next, gone, nil
}

// firstList is the number of the list that every node begins with, which is empty.
const firstList = 1

func serials(r *cib.Revoked) []*big.Int {
	var out []*big.Int
	for _, c := range r.Certificates {
		if n, ok := new(big.Int).SetString(c.Serial, 16); ok {
			out = append(out, n)
		}
	}
	return out
}

// takeRevoked keeps the newest list where this node's member reads it, and ends the
// connections that were made to the member before: it looks at a certificate once.
func (k *keeper) takeRevoked(s *cib.Snapshot) error {
	r := s.Status.Revoked
	if r == nil || r.Number <= k.revoked {
		return nil
	}
	if err := pki.WriteFile(k.d.path(dirPKI, pki.FileRevoked), r.List, 0o600); err != nil {
		return err
	}
	k.revoked = r.Number
	k.sup.DropIncoming()
	return nil
}

// revokedFile names the list for this node's member. One that can't be read is moved
// aside, or etcd would let nobody in: the newest comes with the first snapshot.
func (k *keeper) revokedFile() (string, error) {
	file := k.d.path(dirPKI, pki.FileRevoked)
	der, err := pki.ReadFile(file)
	if err == nil {
		if _, err = x509.ParseRevocationList(der); err == nil {
			return file, nil
		}
		aside := fmt.Sprintf("%s.corrupt-%d", file, time.Now().Unix())
		if err := os.Rename(file, aside); err != nil {
			return "", fmt.Errorf("move %s aside: %w", file, err)
		}
		k.corrupt(&corruptError{file, aside, err})
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	// Nothing is known to be void. The member reads the file at every handshake, so
	// there must be one; any list of this form will do.
	ca, err := pki.NewCA(k.local.Cluster, time.Now())
	if err != nil {
		return "", err
	}
	if der, err = ca.RevocationList(nil, firstList, time.Now()); err != nil {
		return "", err
	}
	return file, pki.WriteFile(file, der, 0o600)
}
