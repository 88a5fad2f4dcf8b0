package daemon

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// A backup is a tar file of what a cluster is: the store, and what opens it. It
// holds secrets, and has mode 0600.
//
//	backup.json        what it is
//	store.db           the store, with its checksum in its last bytes
//	ca.pem             the authority's certificate
//	authority.sealed   the authority's key, sealed
//	seal.key           the key that opens it, and every secret parameter

// backupInfo is backup.json.
type backupInfo struct {
	Version  int       `json:"version"` // 1
	Cluster  string    `json:"cluster"`
	Node     string    `json:"node"`
	Config   cib.Node  `json:"config"`
	Revision int64     `json:"revision"`
	Time     time.Time `json:"time"`
}

// memberMaxBytes bounds a file in a backup; the store has a quota below it.
const memberMaxBytes = 16 << 30

// writeBackup saves the cluster to a file, which appears whole or not at all.
func (e *engine) writeBackup(ctx context.Context, file string) (api.Backup, error) {
	var out api.Backup
	dir := filepath.Dir(file)
	db := filepath.Join(dir, "."+filepath.Base(file)+".store")
	defer func() { _ = os.Remove(db) }()
	saved, err := e.keeper.admin().Backup(ctx, db)
	if err != nil {
		return out, err
	}
	if _, err := e.authority(ctx); err != nil { // so that its sealed key is on the disk
		return out, err
	}
	info, err := json.Marshal(backupInfo{
		Version: 1, Cluster: e.local.Cluster, Node: e.local.Node, Config: e.local.Config, Revision: saved.Revision, Time: time.Now().UTC(),
	})
	if err != nil {
		return out, fmt.Errorf("describe the backup: %w", err)
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return out, fmt.Errorf("write the backup: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	w := tar.NewWriter(tmp)
	err = addBytes(w, "backup.json", info)
	for name, path := range map[string]string{
		"ca.pem": e.d.path(dirPKI, pki.FileCA), "authority.sealed": e.d.path(dirPKI, fileAuthority), "seal.key": e.d.path(dirPKI, pki.FileSeal), "store.db": db,
	} {
		err = errors.Join(err, addFile(w, name, path))
	}
	if err = errors.Join(err, w.Close(), tmp.Sync(), tmp.Close()); err != nil {
		return out, fmt.Errorf("write the backup: %w", err)
	}
	st, err := os.Stat(tmp.Name())
	if err != nil {
		return out, fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return out, fmt.Errorf("write the backup: %w", err)
	}
	return api.Backup{File: file, Revision: saved.Revision, SizeBytes: st.Size()}, pki.SyncDir(dir)
}

func addBytes(w *tar.Writer, name string, b []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), ModTime: time.Now()}); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

func addFile(w *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: st.Size(), ModTime: st.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// RestoreAs says what differs on the machine where a backup is brought back.
type RestoreAs struct {
	Node      string    // "": the node that wrote the backup
	Addresses []string  // empty: those that it had
	Ports     cib.Ports // zero: those that it had
}

// apply checks it, and changes the node that the backup describes.
func (as RestoreAs) apply(info *backupInfo) error {
	if as.Node != "" {
		info.Node = as.Node
	}
	if len(as.Addresses) > 0 {
		info.Config.Addresses = as.Addresses
	}
	if as.Ports != (cib.Ports{}) {
		info.Config.Ports = as.Ports
	}
	if info.Node == pki.RootName {
		return fmt.Errorf("no node can be named %s", pki.RootName)
	}
	alone := &cib.Config{Cluster: cib.Cluster{Name: info.Cluster}, Nodes: map[string]*cib.Node{info.Node: &info.Config}}
	for _, f := range cib.Validate(alone) {
		return fmt.Errorf("%s: %s", f.Path, f.Text)
	}
	return nil
}

// Restore makes this node the first and only one of the cluster in a backup, on a
// machine whose engine does not run. What the state directory holds is set aside.
// The engines of all other nodes must be off and join anew; that nothing of the
// cluster runs there any more is for the caller to know.
func Restore(file, stateDir string, as RestoreAs, log *slog.Logger) error {
	unlock, err := lockDir(stateDir)
	if err != nil {
		return err
	}
	defer unlock()
	work, err := os.MkdirTemp(filepath.Dir(filepath.Clean(stateDir)), ".belay-restore-*")
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := unpack(file, work); err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	var info backupInfo
	if err := readJSON(filepath.Join(work, "backup.json"), &info); err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	if err := as.apply(&info); err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	l := local{
		Version: 1, Cluster: info.Cluster, Token: newID(), Node: info.Node, Config: info.Config, Restored: true,
		Initial: map[string][]string{info.Node: store.PeerURLs(&info.Config)},
	}
	if err := restoreKeys(work, &l); err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	if err := store.Restore(filepath.Join(work, "store.db"), store.ServerConfig{
		Name: l.Node, Dir: filepath.Join(work, dirStore), ListenPeers: store.PeerURLs(&l.Config), Initial: l.Initial, Token: l.Token,
	}); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(work, fileLocal), &l); err != nil {
		return err
	}
	// Nothing of the state directory was touched up to here.
	aside := filepath.Join(stateDir, "before-restore-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, name := range []string{dirStore, dirPKI, fileSnapshot, fileMember, fileLocal} { // node.json last: without it there is no cluster
		if err := os.Rename(filepath.Join(stateDir, name), filepath.Join(aside, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("restore: set %s aside: %w", name, err)
		}
	}
	for _, name := range []string{dirPKI, dirStore, fileLocal} {
		if err := os.Rename(filepath.Join(work, name), filepath.Join(stateDir, name)); err != nil {
			return fmt.Errorf("restore: %w; what was there before is in %s", err, aside)
		}
	}
	log.Info("restored; start belayd", "cluster", l.Cluster, "node", l.Node, "revision", info.Revision, "aside", aside)
	return pki.SyncDir(stateDir)
}

// unpack takes the files of a backup apart. Only those that belong in it are
// written.
func unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	want := map[string]bool{"backup.json": true, "store.db": true, "ca.pem": true, "authority.sealed": true, "seal.key": true}
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("not a backup, or cut off: %w", err)
		}
		if !want[h.Name] || h.Size > memberMaxBytes {
			return fmt.Errorf("not a backup: it holds %q of %d bytes", h.Name, h.Size)
		}
		delete(want, h.Name)
		out, err := os.OpenFile(filepath.Join(dir, filepath.Base(h.Name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyN(out, r, h.Size)
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return fmt.Errorf("not a backup, or cut off: %w", err)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("not a backup: %s is missing", strings.Join(sortedKeys(want), ", "))
	}
	return nil
}

// restoreKeys makes this node's certificates anew, from the authority in the
// backup.
func restoreKeys(work string, l *local) error {
	seal, sealBytes, err := pki.LoadSealKey(filepath.Join(work, "seal.key"))
	if err != nil {
		return err
	}
	sealed, err := os.ReadFile(filepath.Join(work, "authority.sealed"))
	if err != nil {
		return err
	}
	key, err := seal.Open(keyCA, strings.TrimSpace(string(sealed)))
	if err != nil {
		return err
	}
	cert, err := os.ReadFile(filepath.Join(work, "ca.pem"))
	if err != nil {
		return err
	}
	ca, err := pki.ParseCA(cert, []byte(key))
	if err != nil {
		return err
	}
	dir := filepath.Join(work, dirPKI)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	node, err := newIdentity(ca, pki.Names{Node: l.Node, Addresses: l.Config.Addresses})
	if err != nil {
		return err
	}
	root, err := newIdentity(ca, pki.Names{Node: pki.RootName})
	if err != nil {
		return err
	}
	l.Config.PublicKey = node.PublicKey()
	return errors.Join(pki.WriteFile(filepath.Join(dir, pki.FileCA), cert, 0o600), node.Save(dir, "", ""), root.Save(dir, pki.FileRoot, pki.FileRootKey),
		pki.SaveSealKey(filepath.Join(dir, pki.FileSeal), sealBytes), pki.WriteFile(filepath.Join(dir, fileAuthority), sealed, 0o600))
}

// newIdentity makes a key and a certificate for it.
func newIdentity(ca *pki.CA, names pki.Names) (*pki.Identity, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(names, key.Public(), time.Now())
	if err != nil {
		return nil, err
	}
	return pki.NewIdentity(ca, cert, key)
}

// restoreStep is by how much a restore raises the generation of the data: more than it
// can have risen since the backup, so that an arbitrator takes these data for newer than
// what was lost.
const restoreStep = 1000

// finishRestore makes the restored store the cluster's: a higher generation of the
// data, this node as the only one, as a change that the history and the audit log
// show. It is done once, by the first engine after a restore.
func (e *engine) finishRestore(ctx context.Context) error {
	granted := false
	for {
		if !granted { // the node may have another name than in the backup, and no account
			err := e.keeper.admin().GrantNode(ctx, e.local.Node)
			if granted = err == nil; !granted {
				e.log.Warn("the restored store does not answer yet", "err", err)
			}
		}
		s := e.store.Snapshot()
		if s != nil && s.Status.Voters != nil {
			return e.commitRestore(ctx, s)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (e *engine) commitRestore(ctx context.Context, s *cib.Snapshot) error {
	cfg := s.Config.Clone()
	for _, name := range sortedKeys(s.Config.Nodes) {
		if name == e.local.Node {
			continue
		}
		next, err := cib.Edit(cfg, cib.EditRequest{Action: string(api.ActionRemoveNode), Object: "node/" + name})
		if err != nil {
			return fmt.Errorf("remove node %s: %w", name, err)
		}
		cfg = next
	}
	me := e.local.Config
	if old := s.Config.Nodes[e.local.Node]; old != nil {
		me = *old
		me.Addresses, me.Ports = e.local.Config.Addresses, e.local.Config.Ports // they may be others now
	}
	me.Voter, me.PublicKey = true, e.id.PublicKey()
	cfg.Nodes[e.local.Node] = &me
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails
	now := time.Now().UTC()
	ch := &api.Change{Action: "restore", Object: "cluster", RequestID: newID()}
	changes := cib.Diff(s.Config, cfg)
	gen := s.ConfigGen.Number + 1
	rec := &cib.GenerationRecord{Generation: gen, Time: now, Actor: "root", Action: "restore", Object: "cluster", RequestID: ch.RequestID, Changes: changes}
	txn := cib.Txn{
		If: []cib.Compare{{Key: cib.KeyConfigGen, ModRev: s.ConfigGen.Rev}},
		Put: []cib.Put{
			{Key: cib.KeyConfigGen, Value: &cib.ConfigGeneration{Number: gen, Time: now, Numbered: s.ConfigGen.Numbered}},
			{Key: generationKey(gen), Value: rec},
			{Key: cib.KeyVoters, Value: &cib.VoterSet{Epoch: s.Status.Voters.Epoch + 1, Voters: []string{e.local.Node}, Since: now, Reason: "restored from a backup"}},
			{Key: cib.KeyDataGen, Value: &cib.DataGeneration{Number: s.Status.Generation.Number + restoreStep, Nonce: binary.BigEndian.Uint64(nonce[:])}},
		},
		Delete: []string{cib.KeyDC},
	}
	for _, c := range changes {
		if c.After == nil {
			txn.Delete = append(txn.Delete, c.Key)
		} else {
			txn.Put = append(txn.Put, cib.Put{Key: c.Key, Value: c.After})
		}
	}
	// Nothing that was recorded before is running or known any more.
	for name, m := range s.Status.Pending {
		for inst := range m {
			txn.Delete = append(txn.Delete, cib.PendingKey(name, inst))
		}
	}
	for target := range s.Status.Requests {
		txn.Delete = append(txn.Delete, cib.KeyFenceRequest+target)
	}
	p := &prepared{base: s, result: &api.ChangeResult{Generation: gen, Changes: cib.RedactChanges(changes, nil)}}
	c := &changing{engine: e, actor: api.Actor{User: "root", Via: "restore"}, Change: ch}
	if err := c.intend(p); err != nil {
		return err
	}
	ok, _, err := e.keeper.admin().Commit(ctx, txn)
	if err == nil && !ok {
		err = errors.New("the store changed in between")
	}
	c.outcome(p, err)
	if err != nil {
		return err
	}
	e.local.Restored = false
	return writeJSON(e.d.path(fileLocal), &e.local)
}

// lockDir makes sure that one engine uses a state directory.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what is secret lies in directories of mode 0700 below
		return nil, fmt.Errorf("make directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is in use by another belayd: stop it first", dir)
	}
	return func() { _ = f.Close() }, nil
}
