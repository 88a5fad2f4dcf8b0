// Package audit keeps the append-only, tamper-evident record of who changed what:
// an intent before every change and an outcome after it.
//
// Records are JSON lines in segment files of one node. Each holds the hash of the
// one before it, so that an altered, deleted or reordered record shows; [Verify]
// names the first bad one. The package imports nothing of this module: evidence
// depends on nothing that it reports on.
package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Phase says which half of a change a record is.
type Phase string

// The phases of a record.
const (
	Intent  Phase = "intent"  // durable before anything is changed
	Outcome Phase = "outcome" // what became of it
	Note    Phase = "note"    // something that happened, without a change: an engine's action, a refused try
)

// Actor is who did it.
type Actor struct {
	User     string `json:"user"`
	UID      uint32 `json:"uid"`
	LoginUID string `json:"loginUid,omitempty"` // the person behind sudo, from /proc/PID/loginuid
	Via      string `json:"via"`
	Address  string `json:"address,omitempty"`
	Session  string `json:"session,omitempty"`
}

// Record is one line of the log.
type Record struct {
	V         int             `json:"v"` // format, 1
	Cluster   string          `json:"cluster"`
	Node      string          `json:"node"`
	Seq       uint64          `json:"seq"` // rises by one
	Time      time.Time       `json:"time"`
	Phase     Phase           `json:"phase"`
	Actor     Actor           `json:"actor"`
	Action    string          `json:"action"`
	Object    string          `json:"object,omitempty"`
	RequestID string          `json:"requestId"`
	ChangeRef string          `json:"changeRef,omitempty"`
	Result    string          `json:"result,omitempty"` // of an outcome: success, refused, failed, unknown
	Reason    string          `json:"reason,omitempty"`
	Before    uint64          `json:"generationBefore,omitempty"`
	After     uint64          `json:"generationAfter,omitempty"`
	Changes   json.RawMessage `json:"changes,omitempty"` // secrets replaced by the caller
	Prev      string          `json:"prev"`              // SHA-256 of the line before, in hex; zeros at the start
}

// segmentMaxBytes is the size at which a new segment file is begun.
const segmentMaxBytes = 64 << 20

// lineMaxBytes bounds one record.
const lineMaxBytes = 32 << 20

var zeroHash = strings.Repeat("0", 64)

// Log is the audit log of one node, open for appending. Safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	dir  string
	f    *os.File
	size int64
	seq  uint64
	prev string
	err  error // a write that failed half-way: nothing is appended after it
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
	name := filepath.Join(dir, segmentName(1))
	if len(segs) > 0 {
		name = segs[len(segs)-1]
		if torn, err = l.resume(segs); err != nil {
			return nil, "", err
		}
	}
	if l.f, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, "", fmt.Errorf("open audit log: %w", err)
	}
	st, err := l.f.Stat()
	if err != nil {
		return nil, "", fmt.Errorf("open audit log: %w", err)
	}
	l.size = st.Size()
	return l, torn, nil
}

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
	if len(data) == 0 && len(segs) > 1 {
		_, err := l.resume(segs[:len(segs)-1])
		return torn, err
	}
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	if line := lines[len(lines)-1]; len(line) > 0 {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return "", fmt.Errorf("%s: last record: %w", last, err)
		}
		l.seq, l.prev = r.Seq, hash(line)
	}
	return torn, nil
}

// Append writes records durably, in order; it sets V, Seq and Prev. After an
// error nothing more is appended until the log is opened again.
func (l *Log) Append(records ...*Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	var buf bytes.Buffer
	seq, prev := l.seq, l.prev
	for _, r := range records {
		seq++
		r.V, r.Seq, r.Prev = 1, seq, prev
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode audit record: %w", err)
		}
		if len(line) > lineMaxBytes {
			return fmt.Errorf("audit record of %d bytes is larger than %d", len(line), lineMaxBytes)
		}
		prev = hash(line)
		buf.Write(line)
		buf.WriteByte('\n')
	}
	if l.size > segmentMaxBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(buf.Bytes())
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		if n > 0 && l.f.Truncate(l.size) != nil {
			l.err = fmt.Errorf("audit log is damaged after a failed write: %w", err)
		}
		return fmt.Errorf("write audit log: %w", err)
	}
	l.size += int64(n)
	l.seq, l.prev = seq, prev
	return nil
}

func (l *Log) rotate() error {
	f, err := os.OpenFile(filepath.Join(l.dir, segmentName(l.seq+1)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("begin audit segment: %w", err)
	}
	old := l.f
	l.f, l.size = f, 0
	return old.Close()
}

// Close closes the log. It is safe to call twice.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = errors.New("audit log is closed")
		return l.f.Close()
	}
	return nil
}

// Bad says what is wrong with a log, and where.
type Bad struct {
	File string
	Line int
	Seq  uint64
	Text string
}

// Error names the first bad record.
func (b *Bad) Error() string {
	return fmt.Sprintf("%s line %d (record %d): %s", filepath.Base(b.File), b.Line, b.Seq, b.Text)
}

// Verify checks the chain of the log in dir and calls each, if not nil, with every
// good record. The error is a *[Bad] for the first bad record. Truncation of the
// end can't be seen from the log alone: compare the count with what was seen before.
func Verify(dir string, each func(*Record)) (records uint64, err error) {
	segs, err := segments(dir)
	if err != nil {
		return 0, err
	}
	prev, seq := zeroHash, uint64(0)
	for _, file := range segs {
		f, err := os.Open(file)
		if err != nil {
			return seq, fmt.Errorf("read audit log: %w", err)
		}
		sc := bufio.NewScanner(f)
		sc.Buffer(make([]byte, 1<<16), lineMaxBytes+1)
		for n := 1; sc.Scan(); n++ {
			var r Record
			line := sc.Bytes()
			bad := func(text string) error {
				_ = f.Close()
				return &Bad{file, n, seq + 1, text}
			}
			switch err := json.Unmarshal(line, &r); {
			case err != nil:
				return seq, bad("not a record: " + err.Error())
			case r.Seq != seq+1:
				return seq, bad(fmt.Sprintf("sequence %d follows %d: a record is missing or out of order", r.Seq, seq))
			case r.Prev != prev:
				return seq, bad("the record before it was altered, or this one does not belong here")
			}
			seq, prev = r.Seq, hash(line)
			if each != nil {
				each(&r)
			}
		}
		err = sc.Err()
		_ = f.Close()
		if err != nil {
			return seq, fmt.Errorf("read %s: %w", file, err)
		}
	}
	return seq, nil
}

func hash(line []byte) string {
	h := sha256.Sum256(line)
	return hex.EncodeToString(h[:])
}

func segmentName(first uint64) string { return fmt.Sprintf("audit-%016d.jsonl", first) }

func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read audit directory: %w", err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "audit-") && strings.HasSuffix(e.Name(), ".jsonl") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(out)
	return out, nil
}
