package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/belay-ha/belay/engine/pki"
)

// Saved describes a backup.
type Saved struct {
	File      string
	SizeBytes int64
	Revision  int64
	SHA256    []byte // of the content; also the last bytes of the file
}

// backupMax bounds a backup whose context has no earlier end.
const backupMax = 10 * time.Minute

// Backup saves the whole store to a file. It holds everything that was
// acknowledged before the call. The file appears complete and synced, or not.
func (a *Admin) Backup(ctx context.Context, file string) (saved Saved, err error) {
	ctx, cancel := context.WithTimeout(ctx, backupMax)
	defer cancel()
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return saved, fmt.Errorf("back up the store: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up the store to %s: %w", file, err)
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	c, err := a.s.acquire()
	if err != nil {
		return saved, err
	}
	defer c.done()
	// The member's data may be behind the leader's: this waits until it has what
	// was acknowledged by now.
	if saved.Revision, err = a.s.revision(withLeader(ctx), c); err != nil {
		return saved, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stream, err := c.maint.Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		_, err = judge(err, true)
		return saved, err
	}
	sum := &trailing{hash: sha256.New()}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_, err = judge(err, true)
			return saved, err
		}
		if resp.Header != nil {
			saved.Revision = max(saved.Revision, resp.Header.Revision)
		}
		if _, err := io.MultiWriter(tmp, sum).Write(resp.Blob); err != nil {
			return saved, err
		}
		saved.SizeBytes += int64(len(resp.Blob))
	}
	if saved.SHA256, err = sum.check(); err != nil {
		return saved, err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return saved, err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return saved, err
	}
	saved.File = file
	return saved, pki.SyncDir(filepath.Dir(file))
}

// trailing compares content with its SHA-256, which is its last 32 bytes.
type trailing struct {
	hash hash.Hash
	tail []byte
}

// Write takes the next part.
func (t *trailing) Write(b []byte) (int, error) {
	t.tail = append(t.tail, b...)
	if n := len(t.tail) - sha256.Size; n > 0 {
		_, _ = t.hash.Write(t.tail[:n]) // never fails
		t.tail = append(t.tail[:0], t.tail[n:]...)
	}
	return len(b), nil
}

func (t *trailing) check() ([]byte, error) {
	sum := t.hash.Sum(nil)
	if string(sum) != string(t.tail) {
		return nil, errors.New("the content does not match its checksum")
	}
	return sum, nil
}

// VerifyBackup reads a backup and compares it with its checksum.
func VerifyBackup(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("verify a backup: %w", err)
	}
	defer func() { _ = f.Close() }()
	sum := &trailing{hash: sha256.New()}
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("verify the backup %s: %w", file, err)
	}
	if _, err := sum.check(); err != nil {
		return fmt.Errorf("verify the backup %s: %w", file, err)
	}
	return nil
}

// restoreBump is added to the revision of a restored store, so that no watcher
// takes it for older than what it saw of the lost one. A store that makes a
// thousand revisions a second needs eleven days for as many.
const restoreBump = 1_000_000_000

// Restore makes a member's data directory from a backup. All members of the
// restored cluster are made from the same file, with the same token, which must
// differ from the old cluster's: a member of that is then refused. The first
// transaction afterwards must raise the generation of the data; see
// [Admin.Commit].
func Restore(file string, c ServerConfig) error {
	if err := VerifyBackup(file); err != nil {
		return err
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restore the store to %s: it is there already; set it aside first", c.Dir)
	}
	peers := orElse(c.AdvertisePeers, c.ListenPeers)
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: c.Name, OutputDataDir: c.Dir, PeerURLs: peers,
		InitialCluster: initialCluster(c.Initial), InitialClusterToken: c.Token,
		RevisionBump: restoreBump, MarkCompacted: true,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("restore the store to %s: %w", c.Dir, err), os.RemoveAll(c.Dir))
	}
	return pki.SyncDir(filepath.Dir(c.Dir))
}
