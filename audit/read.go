package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// position is where a line stands.
type position struct {
	file   string
	number int    // of the line in its file, from 1
	seq    uint64 // as its place says: what the record itself says is for the caller to compare
}

// errCut is a last line without its end.
var errCut = errors.New("is cut off in the middle")

// readLines calls each with every line from the segment on that holds the record
// from. The line is valid until each returns.
func readLines(dir string, from uint64, each func(at position, line []byte) error) error {
	segs, err := segments(dir)
	if err != nil {
		return err
	}
	for len(segs) > 1 && firstOf(segs[1]) <= from {
		segs = segs[1:]
	}
	for i, file := range segs {
		if err := readSegment(file, i == len(segs)-1, each); err != nil {
			return err
		}
	}
	return nil
}

func readSegment(file string, last bool, each func(at position, line []byte) error) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<20)
	at := position{file: file, seq: firstOf(file) - 1}
	var long []byte
	for retried := false; ; {
		part, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if long = append(long, part...); len(long) > lineMaxBytes {
				return &Bad{file, at.number + 1, at.seq + 1, "the record is too long"}
			}
			continue
		case errors.Is(err, io.EOF):
			if long = append(long, part...); len(long) == 0 {
				return nil
			}
			// The log may be written just now: look again, once.
			if last && !retried {
				retried = true
				continue
			}
			return &Bad{file, at.number + 1, at.seq + 1, errCut.Error()}
		case err != nil:
			return fmt.Errorf("read %s: %w", file, err)
		}
		line := part[:len(part)-1]
		if len(long) > 0 {
			line = append(long, line...)
		}
		at.number++
		at.seq++
		if err := each(at, line); err != nil {
			return err
		}
		long = long[:0]
	}
}

// Filter chooses records. The zero value chooses all.
type Filter struct {
	User      string    // of the actor, or the person behind sudo
	Action    string    // exactly
	Object    string    // exactly, or all of a kind: "resource/"
	Result    string    // exactly
	Phase     Phase     // exactly
	Via       string    // exactly
	RequestID string    // exactly
	ChangeRef string    // exactly
	Node      string    // exactly
	From, To  time.Time // from this moment on; before that moment
	After     uint64    // records after this number
}

// Matches says whether a record is chosen.
func (f *Filter) Matches(r *Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return (is(f.User, r.Actor.User) || is(f.User, r.Actor.LoginUID)) && is(f.Action, r.Action) &&
		(is(f.Object, r.Object) || strings.HasSuffix(f.Object, "/") && strings.HasPrefix(r.Object, f.Object)) &&
		is(f.Result, r.Result) && is(string(f.Phase), string(r.Phase)) && is(f.Via, r.Actor.Via) && is(f.RequestID, r.RequestID) &&
		is(f.ChangeRef, r.ChangeRef) && is(f.Node, r.Node) && (f.From.IsZero() || !r.Time.Before(f.From)) &&
		(f.To.IsZero() || r.Time.Before(f.To)) && r.Seq > f.After
}

// ErrStop ends reading early, without an error.
var ErrStop = errors.New("stop")

// Read calls each with the chosen records, the oldest first. It checks nothing: see
// [Verify]. A last line that is being written is left out.
func Read(dir string, f Filter, each func(r *Record, line []byte) error) error {
	err := readLines(dir, f.After+1, func(at position, line []byte) error {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return &Bad{at.file, at.number, at.seq, "not a record: " + err.Error()}
		}
		if !f.Matches(&r) {
			return nil
		}
		return each(&r, bytes.Clone(line))
	})
	if b, ok := errors.AsType[*Bad](err); errors.Is(err, ErrStop) || ok && b.Text == errCut.Error() {
		return nil
	}
	return err
}
