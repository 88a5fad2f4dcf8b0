package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// fileStart says where a log begins whose first records were removed after their
// time.
const fileStart = "start.json"

// start is the state of the log before its first record that is still kept. The
// checkpoint vouches for it.
type start struct {
	Size       uint64      `json:"size"`   // records removed
	Prev       string      `json:"prev"`   // hash of the last of them
	Hashes     []tlog.Hash `json:"hashes"` // right edge of their tree
	Checkpoint string      `json:"checkpoint"`
}

func readStart(dir string) (*start, error) {
	b, err := readFile(filepath.Join(dir, fileStart))
	if err != nil || b == nil {
		return nil, err
	}
	s := &start{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("read %s: %w", fileStart, err)
	}
	return s, nil
}

// check compares the removed part with its checkpoint.
func (s *start) check(k *Keys) error {
	c, err := ParseCheckpoint(s.Checkpoint)
	if err != nil {
		return fmt.Errorf("%s: %w", fileStart, err)
	}
	if root := (&frontier{int64(s.Size), s.Hashes}).root(); c.Size != s.Size || c.Root != root {
		return fmt.Errorf("%s: the records that were removed are not those of its checkpoint", fileStart)
	}
	if len(k.list) == 0 {
		return nil
	}
	_, err = c.SignedBy(k)
	return err
}

// Hold keeps records from being removed.
type Hold struct {
	From, To time.Time // zero: no limit
}

// Removed is what [Log.Remove] removed.
type Removed struct {
	First, Last uint64
	Segments    int
}

// Remove removes whole segments whose records are all older than before and that no
// hold covers, from the oldest on. intent is called with what will go before anything
// goes: an error of it keeps everything. The rest of the log still verifies.
func (l *Log) Remove(before time.Time, holds []Hold, s *Signer, intent func(Removed) error) (Removed, error) {
	var out Removed
	segs, err := segments(l.dir)
	if err != nil {
		return out, err
	}
	var end head // of the last record that goes
	for i := range segs[:max(0, len(segs)-1)] {
		first, last, err := ends(segs[i])
		if err != nil {
			return out, err
		}
		if !last.time.Before(before) || slices.ContainsFunc(holds, func(h Hold) bool {
			return (h.From.IsZero() || !last.time.Before(h.From)) && (h.To.IsZero() || first.time.Before(h.To))
		}) {
			break
		}
		if out.Segments++; out.First == 0 {
			out.First = first.seq
		}
		out.Last, end = last.seq, last
	}
	if out.Segments == 0 {
		return out, nil
	}
	if err := intent(out); err != nil {
		return Removed{}, err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	if l.tree == nil || l.tree.f == nil {
		return Removed{}, ErrClosed
	}
	if err := l.usable(s); err != nil {
		return Removed{}, err
	}
	edge, err := (&tree{f: l.tree.f, size: int64(end.seq)}).frontier()
	if err != nil {
		return Removed{}, err
	}
	c := Checkpoint{Origin: s.signer.Name(), Size: end.seq, Root: edge.root(), Time: time.Now().UTC().Truncate(time.Second)}
	if err := c.sign(s); err != nil {
		return Removed{}, err
	}
	b, err := json.MarshalIndent(start{Size: end.seq, Prev: end.hash, Hashes: edge.hashes, Checkpoint: c.Note}, "", "  ")
	if err != nil {
		return Removed{}, err
	}
	// First it is said where the log begins; what stands before that is ignored, should
	// the power fail here.
	if err := writeFile(filepath.Join(l.dir, fileStart), b); err != nil {
		return Removed{}, fmt.Errorf("write %s: %w", fileStart, err)
	}
	for _, file := range segs[:out.Segments] {
		err = errors.Join(err, os.Remove(file))
	}
	return out, err
}

// RotateAfter begins a new segment when the first record of the present one is older
// than age: only whole segments can be removed.
func (l *Log) RotateAfter(age time.Duration) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	if l.f == nil {
		return ErrClosed
	}
	if l.size == 0 {
		return nil
	}
	var began time.Time
	err := readSegment(l.f.Name(), false, func(at position, line []byte) error {
		x, err := (&headReader{}).read(line)
		if err != nil {
			return &Bad{at.file, at.number, at.seq, err.Error()}
		}
		began = x.time
		return ErrStop
	})
	if err != nil && !errors.Is(err, ErrStop) {
		return err
	}
	if time.Since(began) < age {
		return nil
	}
	return l.rotate()
}

// ends reads the first and the last record of a segment.
func ends(file string) (first, last head, err error) {
	var h headReader
	err = readSegment(file, false, func(at position, line []byte) error {
		x, err := h.read(line)
		if err != nil {
			return &Bad{at.file, at.number, at.seq, err.Error()}
		}
		if at.number == 1 {
			first = x
		}
		last = x
		return nil
	})
	return first, last, err
}
