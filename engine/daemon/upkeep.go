package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// Regular work that nobody waits for: certificates, backups, the store's files.

const (
	upkeepFirst   = 30 * time.Second
	upkeepPause   = 10 * time.Minute
	backupsMax    = 7 // scheduled ones kept
	fileAuthority = "authority.sealed"
)

// upkeep does the regular work until ctx ends.
func (e *engine) upkeep(ctx context.Context) {
	timer := time.NewTimer(upkeepFirst) // a start is busy enough
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(upkeepPause)
		if err := e.renewCertificates(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("certificates were not renewed", "err", err)
		}
		if err := e.removeOldRecords(time.Now()); err != nil {
			e.log.Warn("old records of the audit log were not removed", "err", err)
		}
		if e.keeper.admin() != nil && ctx.Err() == nil {
			if done, err := e.keeper.admin().Maintain(ctx); err != nil {
				e.log.Warn("housekeeping of the store waits", "err", err)
			} else if done != (store.Upkeep{}) {
				e.log.Info("housekeeping of the store", "compacted", done.Compacted, "defragmented", done.Defragmented, "cleared", done.Cleared)
			}
			e.backupWhenDue(ctx)
		}
	}
}

// backupWhenDue saves the store when the newest scheduled backup is older than
// backup-interval, and removes the oldest ones.
func (e *engine) backupWhenDue(ctx context.Context) {
	s := e.snap.Load()
	if s == nil || s.Config.Cluster.Options.BackupEvery() == 0 {
		return
	}
	dir := e.d.path(dirBackup)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		e.emit(event.New(event.BackupFailed, "node", e.local.Node, "reason", err.Error()))
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "belay-*.backup"))
	if err != nil {
		return
	}
	slices.Sort(files) // the time is in the name
	if len(files) > 0 {
		if st, err := os.Stat(files[len(files)-1]); err == nil && time.Since(st.ModTime()) < s.Config.Cluster.Options.BackupEvery() {
			return
		}
	}
	if _, err := e.backup(ctx, ""); err != nil {
		return // it is told by an event
	}
	for _, f := range files[:max(0, len(files)+1-backupsMax)] {
		if err := os.Remove(f); err != nil {
			e.log.Warn("an old backup can't be removed", "file", f, "err", err)
		}
	}
}

// renewCertificates renews what is due: every member holds the sealed key of the
// cluster's authority, so it needs nobody for that.
func (e *engine) renewCertificates(ctx context.Context) error {
	now := time.Now()
	if now.Before(pki.RenewAt(e.id.Cert(), pki.NodeLife)) {
		return nil
	}
	ca, err := e.authority(ctx)
	if err != nil {
		return err
	}
	cert, err := ca.Issue(pki.Names{Node: e.local.Node, Addresses: e.local.Config.Addresses}, e.id.Key().Public(), now)
	if err != nil {
		return err
	}
	if err := e.id.Replace(cert); err != nil {
		return err
	}
	if err := e.id.Save(e.d.path(dirPKI), "", ""); err != nil {
		return err
	}
	if err := renewRoot(e.d.path(dirPKI), ca, now); err != nil {
		return err
	}
	e.emit(event.New(event.CertificateRenewed, "node", e.local.Node, "end", cert.NotAfter.UTC().Format(time.RFC3339)))
	return nil
}

// renewRoot renews the certificate that administers the store, where there is one.
func renewRoot(dir string, ca *pki.CA, now time.Time) error {
	root, err := pki.LoadIdentity(ca, dir, pki.FileRoot, pki.FileRootKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	cert, err := ca.Issue(pki.Names{Node: pki.RootName}, root.Key().Public(), now)
	if err != nil {
		return err
	}
	if err := root.Replace(cert); err != nil {
		return err
	}
	return root.Save(dir, pki.FileRoot, pki.FileRootKey)
}

// renewExpired renews a certificate that has run out before the store's member
// starts: a cluster that was off for long comes up again by itself. It needs the
// sealed key on this node's disk.
func (e *engine) renewExpired() error {
	now := time.Now()
	if now.Before(e.id.Cert().NotAfter) {
		return nil
	}
	e.log.Error("this node's certificate has run out", "end", e.id.Cert().NotAfter)
	sealed, err := os.ReadFile(e.d.path(dirPKI, fileAuthority))
	if err != nil {
		return fmt.Errorf("the certificate ended %s and can't be renewed here: %w", e.id.Cert().NotAfter.Format(time.RFC3339), err)
	}
	ca, err := e.openAuthority(string(sealed))
	if err != nil {
		return err
	}
	cert, err := ca.Issue(pki.Names{Node: e.local.Node, Addresses: e.local.Config.Addresses}, e.id.Key().Public(), now)
	if err != nil {
		return err
	}
	e.emit(event.New(event.CertificateExpired, "node", e.local.Node, "end", e.id.Cert().NotAfter.UTC().Format(time.RFC3339)))
	if err := errors.Join(e.id.Replace(cert), e.id.Save(e.d.path(dirPKI), "", ""), renewRoot(e.d.path(dirPKI), ca, now)); err != nil {
		return err
	}
	e.emit(event.New(event.CertificateRenewed, "node", e.local.Node, "end", cert.NotAfter.UTC().Format(time.RFC3339)))
	return nil
}

// authority opens the cluster's authority: from this node's disk, else from the
// store, and then it is kept on the disk of a voter.
func (e *engine) authority(ctx context.Context) (*pki.CA, error) {
	file := e.d.path(dirPKI, fileAuthority)
	if sealed, err := os.ReadFile(file); err == nil {
		return e.openAuthority(string(sealed))
	}
	var doc sealedCA
	if err := e.getDocument(ctx, keyCA, &doc); err != nil {
		return nil, api.NewProblem(api.CodeStore, "the cluster's authority can't be read: "+err.Error())
	}
	ca, err := e.openAuthority(doc.Sealed)
	if err == nil && e.keeper.admin() != nil {
		err = pki.WriteFile(file, []byte(doc.Sealed), 0o600)
	}
	return ca, err
}

func (e *engine) openAuthority(sealed string) (*pki.CA, error) {
	key, err := e.seal.Open(keyCA, strings.TrimSpace(sealed))
	if err != nil {
		return nil, fmt.Errorf("open the cluster's authority: %w", err)
	}
	return pki.ParseCA(pki.EncodeCert(e.id.CA().Cert), []byte(key))
}

// forgetNodes removes the accounts and the status of nodes that are no longer
// configured, on the DC.
func (k *keeper) forgetNodes(ctx context.Context, s *cib.Snapshot) error {
	for _, name := range sortedKeys(s.Status.Members) {
		if s.Config.Nodes[name] != nil || slices.Contains(s.Status.Voters.Voters, name) {
			continue
		}
		purge := k.store.Purge
		if !k.external() {
			if ok, err := k.revoke(ctx, s, time.Now()); err != nil || !ok {
				return err
			}
			if err := k.admin().RevokeNode(ctx, name); err != nil {
				return err
			}
			k.granted = grants{} // a node of this name may have joined meanwhile, through another voter
			purge = k.admin().Purge
		}
		ok, _, err := purge(ctx, name, []cib.Compare{
			{Key: cib.KeyDC, ModRev: s.Status.DC.Rev}, {Key: cib.KeyConfigGen, ModRev: s.ConfigGen.Rev},
		})
		if err != nil {
			return err
		}
		if ok {
			k.log.Info("a removed node was forgotten", "removed", name)
		}
	}
	return nil
}

// grants says when it was last seen that every configured node has its account.
type grants struct {
	generation uint64
	at         time.Time
}

// grantsPause is the time between two looks at the accounts when nothing changed.
const grantsPause = time.Minute

// grantNodes gives every configured node its account, on the DC. A node gets it from
// the voter that it joins through. That one may have died half-way, and a DC with an
// older snapshot may have taken the account away again with that of the removed node
// whose name it bears.
func (k *keeper) grantNodes(ctx context.Context, s *cib.Snapshot, now time.Time) error {
	if k.granted.generation == s.ConfigGen.Number && now.Sub(k.granted.at) < grantsPause {
		return nil
	}
	have, err := k.admin().Accounts(ctx)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		if slices.Contains(have, name) {
			continue
		}
		if err := k.admin().GrantNode(ctx, name); err != nil {
			return err
		}
		k.log.Info("a node was given its account in the store", "account", name)
	}
	if k.granted.at.IsZero() {
		// Once for each engine: what it may write can only have grown with its release.
		grown, err := k.admin().Complete(ctx, sortedKeys(s.Config.Nodes))
		if err != nil {
			return err
		}
		if grown {
			k.log.Info("the accounts in the store were given what this release writes")
		}
	}
	// A node that comes back under its name has another key; one that was removed
	// before it said anything of itself has an account only.
	if ok, err := k.revoke(ctx, s, now); err != nil || !ok {
		return err
	}
	for _, name := range have {
		if s.Config.Nodes[name] != nil || slices.Contains(s.Status.Voters.Voters, name) {
			continue
		}
		if err := k.admin().RevokeNode(ctx, name); err != nil {
			return err
		}
	}
	k.granted = grants{s.ConfigGen.Number, now}
	return nil
}
