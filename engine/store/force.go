package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/belay-ha/belay/engine/pki"
)

// Forced recovery makes one of two voters the only member of the store, with all the
// data that it has. It is for the caller to know that the other one can never go on
// from what it has: etcd would not notice that two do.
//
// With two voters every acknowledged write is in the logs of both. The survivor may
// not have learned yet that the newest ones were committed, and etcd's own way to a
// single member drops what is not known to be. So all of the log is committed first:
// nobody else can have led, and written something else, without the survivor's vote.
// That holds for a voter that has everything up to its own promotion, see
// [Admin.Barrier], and for no learner.

// commitLog marks everything in the log of a member that does not run as committed.
// It may be repeated. It returns the last index of the log.
func commitLog(dir string) (last uint64, err error) {
	walDir := filepath.Join(dir, "member", "wal")
	log := zap.NewNop()
	w, state, entries, err := openLog(log, walDir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if len(entries) == 0 || state == nil {
		return state.GetCommit(), nil // nothing after the newest snapshot
	}
	last = entries[len(entries)-1].GetIndex()
	if state.GetCommit() >= last {
		return last, nil
	}
	next := &raftpb.HardState{Term: new(state.GetTerm()), Vote: new(state.GetVote()), Commit: &last}
	if err := w.Save(next, nil); err != nil {
		return 0, fmt.Errorf("commit the store's log up to %d: %w", last, err)
	}
	// Save syncs a term and a vote; a commit index alone it does not.
	if err := w.Sync(); err != nil {
		return 0, fmt.Errorf("commit the store's log up to %d: %w", last, err)
	}
	return last, nil
}

// openLog opens the log behind the newest snapshot, as etcd does at its start. A last
// entry that was cut off by a loss of power was never acknowledged, and is taken away.
func openLog(log *zap.Logger, dir string) (*wal.WAL, *raftpb.HardState, []*raftpb.Entry, error) {
	for repaired := false; ; repaired = true {
		snaps, err := wal.ValidSnapshotEntries(log, dir)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("read the store's log: %w", err)
		}
		from := &walpb.Snapshot{}
		if len(snaps) > 0 {
			from = snaps[len(snaps)-1]
		}
		w, err := wal.Open(log, dir, from)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("open the store's log: %w", err)
		}
		_, state, entries, err := w.ReadAll()
		if err == nil {
			return w, state, entries, nil
		}
		err = errors.Join(fmt.Errorf("read the store's log: %w", err), w.Close())
		if repaired || !errors.Is(err, io.ErrUnexpectedEOF) || !wal.Repair(log, dir) {
			return nil, nil, nil, err
		}
	}
}

// Copy copies the data of a stopped member to another directory, which holds all of
// them when it returns, whatever happens to the machine's power then.
func (s *Supervisor) Copy(dir, to string) error {
	if s.runs() {
		return errors.New("copy the store's data: the member runs; stop it first")
	}
	if err := copyTree(dir, to); err != nil {
		return errors.Join(fmt.Errorf("copy the store's data: %w", err), os.RemoveAll(to))
	}
	return pki.SyncDir(filepath.Dir(to))
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), 0o700)
		}
		if err := copyFile(path, filepath.Join(to, rel)); err != nil {
			return err
		}
		return pki.SyncDir(filepath.Dir(filepath.Join(to, rel)))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
