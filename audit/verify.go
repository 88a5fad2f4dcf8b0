package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Bad says what is wrong with a log, and where.
type Bad struct {
	File string
	Line int
	Seq  uint64 // the first bad record
	Text string
}

// Error names the first bad record.
func (b *Bad) Error() string {
	if b.File == "" {
		return fmt.Sprintf("record %d: %s", b.Seq, b.Text)
	}
	return fmt.Sprintf("%s line %d (record %d): %s", filepath.Base(b.File), b.Line, b.Seq, b.Text)
}

// Options say what a log is verified against, besides itself.
type Options struct {
	// Keys check the signatures of checkpoints. nil: those beside the log, which who
	// could rewrite the log could have rewritten, too.
	Keys *Keys
	// Rotations are new keys beyond those that stand beside the log or in the export.
	Rotations []Rotation
	// Held are checkpoints of this log that somebody else holds.
	Held []Checkpoint
	Each func(*Record) // called with every good record
}

// Report is what a verification found. It is filled in as far as it got, also where
// there is an error.
type Report struct {
	First       uint64    `json:"first"`           // the first record that is still kept
	Records     uint64    `json:"records"`         // the number of the last
	Root        tlog.Hash `json:"root"`            // of the tree of all
	Checkpoints int       `json:"checkpoints"`     // that fit the log
	Signed      uint64    `json:"signed"`          // records under the newest checkpoint of the log itself
	Witnessed   uint64    `json:"witnessed"`       // records under the newest that another node signed, too
	Steps       []Step    `json:"steps,omitempty"` // where the clock was set back; at most 100
}

// Step is a clock that was set back between two records.
type Step struct {
	Seq  uint64        `json:"seq"` // of the record with the earlier time
	Back time.Duration `json:"backNs"`
}

// stepsMax bounds the list of steps.
const stepsMax = 100

// Verify checks the chain, the tree and the checkpoints of the log in dir and calls
// each, if not nil, with every good record. The error is a *[Bad] for the first bad
// record.
func Verify(dir string, each func(*Record)) (records uint64, err error) {
	r, err := Check(dir, Options{Each: each})
	return r.Records, err
}

// Check verifies the log in dir.
func Check(dir string, o Options) (*Report, error) {
	v, err := newVerifier(dir, o)
	if err != nil {
		return &Report{}, err
	}
	from, err := readStart(dir)
	if err != nil {
		return &Report{}, err
	}
	if from != nil {
		if err := v.begin(from); err != nil {
			return v.report, err
		}
	}
	if err := readLines(dir, v.report.Records+1, v.line); err != nil {
		return v.report, err
	}
	return v.report, v.end()
}

// verifier goes through one log.
type verifier struct {
	o      Options
	report *Report
	heads  headReader
	edge   frontier
	prev   string
	at     position // of the last record
	time   time.Time
	marks  []mark     // checkpoints still to come, the smallest first
	good   uint64     // size of the last checkpoint that fit
	sure   uint64     // size of the last that fit and that somebody else vouches for
	untold []Rotation // of this log, whose record was not seen yet
}

// mark is a checkpoint and who vouches for it.
type mark struct {
	Checkpoint
	by    []string
	other bool // not only the log's own node vouches for it
}

func newVerifier(dir string, o Options) (*verifier, error) {
	if o.Keys == nil {
		var err error
		if o.Keys, err = ReadKeys(dir); err != nil {
			return nil, err
		}
	}
	own, err := readCheckpoints(filepath.Join(dir, fileCheckpoints))
	if err != nil {
		return nil, err
	}
	rotations, err := ReadRotations(dir) // after the checkpoints, which a new key may sign just now
	if err != nil {
		return nil, &Bad{Seq: 1, Text: err.Error()}
	}
	o.Rotations = slices.Concat(rotations, o.Rotations)
	v := &verifier{o: o, report: &Report{First: 1}, prev: zeroHash}
	return v, v.expect(own)
}

// expect takes the checkpoints of the log and those that others hold.
func (v *verifier) expect(own []Checkpoint) error {
	if err := v.extend(own); err != nil {
		return &Bad{Seq: 1, Text: err.Error()}
	}
	for i, c := range slices.Concat(own, v.o.Held) {
		if i < len(own) && NodeOf(c.Origin) != NodeOf(own[0].Origin) {
			return &Bad{Seq: 1, Text: fmt.Sprintf("the checkpoints are of two logs, %s and %s", own[0].Origin, c.Origin)}
		}
		m := mark{Checkpoint: c, other: i >= len(own)}
		if len(v.o.Keys.list) > 0 {
			var err error
			if m.by, err = c.SignedBy(v.o.Keys); err != nil {
				return &Bad{Seq: 1, Text: err.Error()}
			}
			m.other = m.other || slices.ContainsFunc(m.by, func(by string) bool { return by != c.Origin })
		}
		v.marks = append(v.marks, m)
	}
	slices.SortStableFunc(v.marks, func(a, b mark) int { return int(int64(a.Size) - int64(b.Size)) })
	return nil
}

// extend follows the rotations from the keys that are known.
func (v *verifier) extend(own []Checkpoint) error {
	v.o.Keys = v.o.Keys.clone()
	if err := v.o.Keys.Extend(v.o.Rotations...); err != nil {
		return err
	}
	if len(own) > 0 {
		v.untold = slices.DeleteFunc(slices.Clone(v.o.Keys.rotations), func(r Rotation) bool { return r.Origin != own[0].Origin })
	}
	return nil
}

// hear looks for the record that tells of a new key.
func (v *verifier) hear(line []byte) {
	for i := range v.untold {
		r := &v.untold[i]
		if v.report.Records <= r.Size || !bytes.Contains(line, []byte(ActionKeyRotated)) || !bytes.Contains(line, []byte(r.New)) {
			continue
		}
		var x Record
		if json.Unmarshal(line, &x) == nil && r.tells(&x) {
			v.untold = slices.Delete(v.untold, i, i+1)
			return
		}
	}
}

// silent says whether a checkpoint is signed with a new key of which the log does not tell.
func (v *verifier) silent(m *mark) bool {
	return slices.ContainsFunc(v.untold, func(r Rotation) bool { return m.Origin == r.Origin && m.hasKey(r.New) })
}

// begin continues from where earlier records were removed.
func (v *verifier) begin(s *start) error {
	if err := s.check(v.o.Keys); err != nil {
		return &Bad{Seq: s.Size + 1, Text: err.Error()}
	}
	v.edge = frontier{int64(s.Size), slices.Clone(s.Hashes)}
	v.prev, v.report.First, v.report.Records, v.good, v.sure = s.Prev, s.Size+1, s.Size, s.Size, s.Size
	for len(v.marks) > 0 && v.marks[0].Size < s.Size {
		v.marks = v.marks[1:] // what they are about is no longer here
	}
	v.untold = slices.DeleteFunc(v.untold, func(r Rotation) bool { return r.Size < s.Size })
	return v.compare()
}

// line takes the next record.
func (v *verifier) line(at position, line []byte) error {
	want := v.report.Records + 1
	if at.seq < want {
		return nil // removed after its time, and a crash came before the file went
	}
	bad := func(text string) error { return &Bad{at.file, at.number, want, text} }
	x, err := v.heads.read(line)
	switch {
	case err != nil:
		return bad(err.Error())
	case x.seq != want:
		return bad(fmt.Sprintf("record %d stands where record %d is wanted: one is missing or out of order", x.seq, want))
	case x.prev != v.prev && want > v.report.First:
		// Each has its own hash, or is of the format that has none: it is the one
		// before that is not what its successor saw.
		return &Bad{v.at.file, v.at.number, v.at.seq, "the record was replaced: the one after it continues another"}
	case x.prev != v.prev:
		return bad("it does not continue what was removed before it")
	}
	v.at = at
	if back := v.time.Sub(x.time); back > 0 && len(v.report.Steps) < stepsMax {
		v.report.Steps = append(v.report.Steps, Step{want, back})
	}
	v.prev, v.time, v.report.Records = x.hash, x.time, want
	v.edge.add(tlog.RecordHash(line))
	v.hear(line)
	if err := v.compare(); err != nil {
		return err
	}
	if v.o.Each != nil {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return bad("not a record: " + err.Error())
		}
		v.o.Each(&r)
	}
	return nil
}

// compare compares the tree with the checkpoints of its present size.
func (v *verifier) compare() error {
	n := 0
	for n < len(v.marks) && v.marks[n].Size <= v.report.Records {
		n++
	}
	marks := v.marks[:n]
	v.marks = v.marks[n:]
	var root tlog.Hash
	for i, m := range marks {
		if i == 0 {
			root = v.edge.root()
		}
		// Who rewrites a log signs it anew: what others vouch for is not made good by
		// that.
		first := v.good + 1
		if m.other {
			first = v.sure + 1
		}
		if m.Root != root || m.Size != v.report.Records {
			return &Bad{Seq: first, Text: fmt.Sprintf("records %d to %d are not those that %s signed on %s: the history was rewritten, or there are two", first, m.Size, m.who(), m.Time.Format(time.RFC3339))}
		}
	}
	for _, m := range marks {
		if v.silent(&m) {
			return &Bad{Seq: m.Size, Text: fmt.Sprintf("the checkpoint at %d is signed with a new key, and no record tells of that", m.Size)}
		}
		v.report.Checkpoints++
		v.good, v.report.Signed = m.Size, m.Size
		if m.other {
			v.sure, v.report.Witnessed = m.Size, m.Size
		}
	}
	return nil
}

func (m *mark) who() string {
	if len(m.by) == 0 {
		return NodeOf(m.Origin)
	}
	names := make([]string, len(m.by))
	for i, by := range m.by {
		names[i] = NodeOf(by)
	}
	return strings.Join(names, ", ")
}

// end is the end of the records.
func (v *verifier) end() error {
	v.report.Root = v.edge.root()
	if len(v.marks) == 0 {
		return nil
	}
	m := v.marks[len(v.marks)-1]
	return &Bad{Seq: v.report.Records + 1, Text: fmt.Sprintf("it is missing, and all after it: %s signed on %s that there are %d records. The log was truncated, or an old copy was put back", m.who(), m.Time.Format(time.RFC3339), m.Size)}
}

// IsBad says whether an error is about the log's content, and which record is the
// first bad one.
func IsBad(err error) (*Bad, bool) { return errors.AsType[*Bad](err) }
