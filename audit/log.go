package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

// segmentMaxBytes is the size at which a new segment file is begun.
const segmentMaxBytes = 64 << 20

// ErrClosed is what a closed log answers.
var ErrClosed = errors.New("audit log is closed")

// Log is the audit log of one node, open for appending. Safe for concurrent use.
type Log struct {
	dir string

	mu      sync.Mutex // of what waits; never held while the disk is waited for
	waiting []*batch
	writing bool  // one caller writes for all
	err     error // nothing is appended any more

	disk        sync.Mutex // of what follows; held by who writes
	f           *os.File
	size        int64 // of the segment
	seq         uint64
	prev        string
	tree        *tree
	edge        *frontier
	leaves      []tlog.Hash // durable records that the tree's file lacks
	checkpoints *os.File
	last        Checkpoint
	rotations   []Rotation
}

// batch is what one caller appends.
type batch struct {
	records []*Record
	done    chan struct{}
	err     error
}

// Open opens the log in dir, making it where there is none. A last line that a
// crash cut short is moved aside and reported through torn; any other damage is an
// error, since evidence must not be continued over a gap.
func Open(dir string) (log *Log, torn string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("make audit directory: %w", err)
	}
	l := &Log{dir: dir, prev: zeroHash}
	segs, err := segments(dir)
	if err != nil {
		return nil, "", err
	}
	start, err := readStart(dir)
	if err != nil {
		return nil, "", err
	}
	if start != nil {
		l.seq, l.prev = start.Size, start.Prev
	}
	name := filepath.Join(dir, segmentName(l.seq+1))
	if len(segs) > 0 {
		name = segs[len(segs)-1]
		if torn, err = l.resume(segs); err != nil {
			return nil, "", err
		}
	}
	defer func() {
		if err != nil {
			_ = l.closeFiles() // the error that counts is the first
		}
	}()
	if l.f, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, "", fmt.Errorf("open audit log: %w", err)
	}
	st, err := l.f.Stat()
	if err != nil {
		return nil, "", fmt.Errorf("open audit log: %w", err)
	}
	l.size = st.Size()
	if l.rotations, err = ReadRotations(dir); err != nil {
		return nil, "", err
	}
	if err := l.openTree(start); err != nil {
		return nil, "", err
	}
	return l, torn, syncDir(dir)
}

// Broken returns a log that takes nothing: what a node has whose log can't be
// opened. It goes on running, and refuses changes.
func Broken(err error) *Log { return &Log{err: err} }

// resume finds the end of the chain in the last segment.
func (l *Log) resume(segs []string) (torn string, err error) {
	last := segs[len(segs)-1]
	data, err := os.ReadFile(last)
	if err != nil {
		return "", fmt.Errorf("read audit log: %w", err)
	}
	if end := bytes.LastIndexByte(data, '\n') + 1; end < len(data) {
		torn = last + ".torn"
		if err := os.WriteFile(torn, data[end:], 0o600); err != nil {
			return "", fmt.Errorf("save the cut-off end of the audit log: %w", err)
		}
		if err := os.Truncate(last, int64(end)); err != nil {
			return "", fmt.Errorf("cut the end of the audit log: %w", err)
		}
		data = data[:end]
	}
	if len(data) == 0 {
		if len(segs) > 1 {
			_, err = l.resume(segs[:len(segs)-1])
		}
		return torn, err
	}
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	x, err := (&headReader{}).read(lines[len(lines)-1])
	if err != nil {
		return "", fmt.Errorf("%s: last record: %w", last, err)
	}
	l.seq, l.prev = x.seq, x.hash
	return torn, nil
}

// openTree brings the tree up to the records. What the last checkpoint signed was on
// the disk before; the rest, or all where the file is lost, is made again.
func (l *Log) openTree(start *start) error {
	var err error
	if l.tree, err = openTree(l.dir); err != nil {
		return err
	}
	if err := l.openCheckpoints(); err != nil {
		return err
	}
	if l.last.Size > l.seq {
		return fmt.Errorf("the audit log has %d records, and this node signed that there are %d: records were removed, or an old copy was put back", l.seq, l.last.Size)
	}
	kept, err := l.tree.keep(int64(l.last.Size), l.last.Root)
	if err != nil || !kept {
		if start != nil {
			return fmt.Errorf("the tree of the audit log does not fit its last checkpoint, and its first %d records are no longer here to make it anew (%w)", start.Size, err)
		}
		l.tree.size = 0
		if err := l.tree.cut(0); err != nil {
			return err
		}
	}
	from := uint64(l.tree.size)
	err = readLines(l.dir, from+1, func(at position, line []byte) error {
		if at.seq <= from {
			return nil
		}
		l.leaves = append(l.leaves, tlog.RecordHash(line))
		if len(l.leaves) == 1<<16 {
			return l.fillTree()
		}
		return nil
	})
	if err == nil {
		err = l.fillTree()
	}
	if err != nil {
		return err
	}
	l.edge, err = l.tree.frontier()
	return err
}

func (l *Log) fillTree() error {
	if len(l.leaves) == 0 {
		return nil
	}
	if err := l.tree.add(l.leaves); err != nil {
		return err
	}
	l.leaves = l.leaves[:0]
	return nil
}

// Append writes records durably, in order; it sets V, Seq, Time, Clock, Prev and
// Hash. Callers that come at the same time share one write to the disk. After an
// error none of the records is in the log.
func (l *Log) Append(records ...*Record) error {
	b := &batch{records: records, done: make(chan struct{})}
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	l.waiting = append(l.waiting, b)
	lead := !l.writing
	l.writing = true
	l.mu.Unlock()
	if lead {
		l.lead()
	}
	<-b.done
	return b.err
}

// lead writes what waits until nothing does.
func (l *Log) lead() {
	for {
		l.mu.Lock()
		work := l.waiting
		l.waiting = nil
		if len(work) == 0 {
			l.writing = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.disk.Lock()
		l.write(work)
		l.disk.Unlock()
		for _, b := range work {
			close(b.done)
		}
	}
}

// write appends batches with one write and one sync. A batch that can't be encoded
// fails alone.
func (l *Log) write(work []*batch) {
	var buf bytes.Buffer
	var leaves []tlog.Hash
	seq, prev := l.seq, l.prev
	now, clock := time.Now().UTC(), readClock()
	for _, b := range work {
		mark, s, p, n := buf.Len(), seq, prev, len(leaves)
		for _, r := range b.records {
			seq++
			r.V, r.Seq, r.Prev, r.Time, r.Clock = Version, seq, prev, now, clock
			line, err := seal(r)
			if err != nil {
				b.err = err
				break
			}
			prev = r.Hash
			leaves = append(leaves, tlog.RecordHash(line))
			buf.Write(line)
			buf.WriteByte('\n')
		}
		if b.err != nil {
			buf.Truncate(mark)
			seq, prev, leaves = s, p, leaves[:n]
		}
	}
	if err := l.store(buf.Bytes()); err != nil {
		for _, b := range work {
			b.err = errors.Join(b.err, err)
		}
		return
	}
	l.seq, l.prev = seq, prev
	for _, h := range leaves {
		l.edge.add(h)
	}
	// The records are durable. A tree that lags is filled up with the next ones, or
	// when a checkpoint needs it.
	l.leaves = append(l.leaves, leaves...)
	_ = l.fillTree()
}

func (l *Log) store(b []byte) error {
	if err := l.failed(); err != nil {
		return err
	}
	if l.size > segmentMaxBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(b)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		if n > 0 && l.f.Truncate(l.size) != nil {
			l.fail(fmt.Errorf("audit log is damaged after a failed write: %w", err))
		}
		return fmt.Errorf("write audit log: %w", err)
	}
	l.size += int64(n)
	return nil
}

func (l *Log) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// readClock asks the kernel whether the clock is kept right; nil where it does not
// tell.
func readClock() *Clock {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return nil
	}
	const unsynced = 0x40 // STA_UNSYNC, see adjtimex(2)
	c := &Clock{Synced: state != unix.TIME_ERROR && t.Status&unsynced == 0}
	if c.Synced {
		c.ErrorMaxMs = t.Maxerror / 1000
	}
	return c
}

func (l *Log) rotate() error {
	f, err := os.OpenFile(filepath.Join(l.dir, segmentName(l.seq+1)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("begin audit segment: %w", err)
	}
	old := l.f
	l.f, l.size = f, 0
	return errors.Join(old.Close(), syncDir(l.dir))
}

// Size is the number of records.
func (l *Log) Size() uint64 {
	l.disk.Lock()
	defer l.disk.Unlock()
	return l.seq
}

// Dir is where the log is.
func (l *Log) Dir() string { return l.dir }

// Close closes the log. It is safe to call twice.
func (l *Log) Close() error {
	l.fail(ErrClosed)
	l.disk.Lock()
	defer l.disk.Unlock()
	return l.closeFiles()
}

func (l *Log) closeFiles() error {
	var err error
	files := []**os.File{&l.f, &l.checkpoints}
	if l.tree != nil {
		files = append(files, &l.tree.f)
	}
	for _, f := range files {
		if *f != nil {
			err = errors.Join(err, (*f).Close())
			*f = nil
		}
	}
	return err
}

func segmentName(first uint64) string { return fmt.Sprintf("audit-%016d.jsonl", first) }

// segments lists the segment files, in order.
func segments(dir string) ([]string, error) {
	out, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("read audit directory: %w", err)
	}
	slices.Sort(out)
	return out, nil
}

// firstOf is the number of the first record of a segment, by its name.
func firstOf(segment string) uint64 {
	var n uint64
	_, _ = fmt.Sscanf(filepath.Base(segment), "audit-%d.jsonl", &n) // another name gives 0: it is read
	return n
}
