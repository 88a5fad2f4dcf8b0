package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// fileTree holds the hashes of the Merkle tree, in the order of tlog's stored
// hashes. It is made from the records and never trusted.
const fileTree = "tree"

// frontier is the right edge of a tree: enough to add leaves and to know the root.
type frontier struct {
	size   int64
	hashes []tlog.Hash // of the complete subtrees, the largest first
}

// add adds a leaf.
func (f *frontier) add(leaf tlog.Hash) {
	f.hashes = append(f.hashes, leaf)
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.hashes) - 1
		f.hashes[last-1] = tlog.NodeHash(f.hashes[last-1], f.hashes[last])
		f.hashes = f.hashes[:last]
	}
	f.size++
}

// root returns the tree's hash (RFC 6962, section 2.1).
func (f *frontier) root() tlog.Hash {
	if len(f.hashes) == 0 {
		h, _ := tlog.TreeHash(0, nil) // of an empty tree: no hash is read
		return h
	}
	h := f.hashes[len(f.hashes)-1]
	for i := len(f.hashes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.hashes[i], h)
	}
	return h
}

// tree is the file of a tree's hashes, open.
type tree struct {
	f    *os.File
	size int64 // leaves
}

func openTree(dir string) (*tree, error) {
	f, err := os.OpenFile(filepath.Join(dir, fileTree), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the tree of the audit log: %w", err)
	}
	return &tree{f: f}, nil
}

// keep keeps the first n leaves, if the file has them with that root, and says
// whether it does.
func (t *tree) keep(n int64, root tlog.Hash) (bool, error) {
	st, err := t.f.Stat()
	if err != nil {
		return false, fmt.Errorf("read the tree of the audit log: %w", err)
	}
	have := tlog.StoredHashCount(n) * tlog.HashSize
	if st.Size() < have {
		return false, nil
	}
	t.size = n
	if got, err := tlog.TreeHash(n, t); err != nil || got != root {
		t.size = 0
		return false, err
	}
	return true, t.cut(have)
}

func (t *tree) cut(size int64) error {
	if err := t.f.Truncate(size); err != nil {
		return fmt.Errorf("cut the tree of the audit log: %w", err)
	}
	return nil
}

// add writes the hashes that new leaves complete.
func (t *tree) add(leaves []tlog.Hash) error {
	at := tlog.StoredHashCount(t.size)
	pending := &overlay{tree: t, first: at}
	for i, leaf := range leaves {
		hs, err := tlog.StoredHashesForRecordHash(t.size+int64(i), leaf, pending)
		if err != nil {
			return fmt.Errorf("extend the tree of the audit log: %w", err)
		}
		pending.hashes = append(pending.hashes, hs...)
	}
	buf := make([]byte, 0, len(pending.hashes)*tlog.HashSize)
	for _, h := range pending.hashes {
		buf = append(buf, h[:]...)
	}
	if _, err := t.f.WriteAt(buf, at*tlog.HashSize); err != nil {
		return fmt.Errorf("write the tree of the audit log: %w", err)
	}
	t.size += int64(len(leaves))
	return nil
}

// ReadHashes implements tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if _, err := t.f.ReadAt(out[i][:], x*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("read the tree of the audit log: %w", err)
		}
	}
	return out, nil
}

// overlay reads hashes that are not written yet.
type overlay struct {
	*tree
	first  int64
	hashes []tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (o *overlay) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= o.first {
			out[i] = o.hashes[x-o.first]
			continue
		}
		h, err := o.tree.ReadHashes([]int64{x})
		if err != nil {
			return nil, err
		}
		out[i] = h[0]
	}
	return out, nil
}

// frontier reads the right edge of the tree.
func (t *tree) frontier() (*frontier, error) {
	f := &frontier{size: t.size}
	var indexes []int64
	first := int64(0)
	for level := 62; level >= 0; level-- {
		if t.size&(1<<level) != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(level, first>>level))
			first += 1 << level
		}
	}
	var err error
	f.hashes, err = t.ReadHashes(indexes)
	return f, err
}

// readFile reads a file that need not be there.
func readFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// writeFile replaces a file: its old content or its new one is there after a crash,
// and nothing between.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is renamed by then
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
