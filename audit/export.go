package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// An export is lines of JSON: a head, keys and checkpoints, the records, an end. One
// of the whole log holds the records as they are, and is verified as the log is. One
// of some records, an excerpt, holds with each the proof (RFC 6962, section 2.1.1)
// that it is in the log that the newest checkpoint signed.

// exportVersion is the format of exports.
const exportVersion = 1

// exportLine is any line of an export but a record.
type exportLine struct {
	Export     int              `json:"belayAuditExport,omitempty"` // the head
	Excerpt    bool             `json:"excerpt,omitempty"`          // of the head
	Start      *start           `json:"start,omitempty"`
	Key        string           `json:"key,omitempty"`
	Rotation   string           `json:"rotation,omitempty"` // a key that replaced another
	Checkpoint string           `json:"checkpoint,omitempty"`
	Held       string           `json:"held,omitempty"` // a checkpoint as another node holds it
	Record     *json.RawMessage `json:"record,omitempty"`
	Proof      []tlog.Hash      `json:"proof,omitempty"`
	End        *exportEnd       `json:"end,omitempty"`
}

type exportEnd struct {
	Records uint64 `json:"records"` // in the export
}

// Source is a log to export.
type Source struct {
	Dir  string
	Keys *Keys        // nil: those beside the log
	Held []Checkpoint // what other nodes hold of it
}

// Export writes the chosen records of a log. An empty filter gives the whole log. In
// the other formats nothing but the records is written.
func Export(w io.Writer, s Source, f Filter, form Format, product string) (records uint64, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	if form != FormatJSON {
		_, err = out.WriteString(form.Head())
		err = errors.Join(err, Read(s.Dir, f, func(r *Record, line []byte) error {
			b, err := form.Write(r, line, product)
			if err == nil {
				_, err = out.Write(b)
				records++
			}
			return err
		}))
		return records, errors.Join(err, out.Flush())
	}
	x := &exporter{out: out, Source: s, filter: f, excerpt: f != Filter{}}
	if err := x.write(); err != nil {
		return x.records, fmt.Errorf("export the audit log: %w", err)
	}
	return x.records, out.Flush()
}

type exporter struct {
	Source
	out     *bufio.Writer
	filter  Filter
	excerpt bool
	records uint64
}

func (x *exporter) line(l *exportLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = x.out.Write(append(b, '\n'))
	return err
}

func (x *exporter) write() error {
	if x.Keys == nil {
		var err error
		if x.Keys, err = ReadKeys(x.Dir); err != nil {
			return err
		}
	}
	own, err := readCheckpoints(filepath.Join(x.Dir, fileCheckpoints))
	if err != nil {
		return err
	}
	begin, err := readStart(x.Dir)
	if err != nil {
		return err
	}
	lines := []*exportLine{{Export: exportVersion, Excerpt: x.excerpt}}
	for _, k := range x.Keys.All() {
		lines = append(lines, &exportLine{Key: k})
	}
	rotations, err := ReadRotations(x.Dir)
	if err != nil {
		return err
	}
	for _, n := range Notes(rotations) {
		lines = append(lines, &exportLine{Rotation: n})
	}
	if x.excerpt {
		if len(own) == 0 {
			return errors.New("it has no checkpoint yet that could prove an excerpt; export the whole log")
		}
		own = own[len(own)-1:]
	} else if begin != nil {
		lines = append(lines, &exportLine{Start: begin})
	}
	for _, c := range own {
		lines = append(lines, &exportLine{Checkpoint: c.Note})
	}
	for _, c := range x.Held {
		if !x.excerpt || c.Size == own[0].Size {
			lines = append(lines, &exportLine{Held: c.Note})
		}
	}
	for _, l := range lines {
		if err := x.line(l); err != nil {
			return err
		}
	}
	if x.excerpt {
		err = x.proven(own[0])
	} else {
		err = readLines(x.Dir, 0, func(_ position, line []byte) error {
			_, err := x.out.Write(append(slices.Clip(line), '\n'))
			x.records++
			return err
		})
		if b, ok := IsBad(err); ok && b.Text == errCut.Error() {
			err = nil // it is being written just now
		}
	}
	if err != nil {
		return err
	}
	return x.line(&exportLine{End: &exportEnd{x.records}})
}

// proven writes the chosen records with their proofs.
func (x *exporter) proven(c Checkpoint) error {
	file, err := os.Open(filepath.Join(x.Dir, fileTree))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	t := &tree{f: file, size: int64(c.Size)}
	return Read(x.Dir, x.filter, func(r *Record, line []byte) error {
		if r.Seq > c.Size {
			return fmt.Errorf("record %d is newer than the last checkpoint: try again in some seconds", r.Seq)
		}
		proof, err := tlog.ProveRecord(int64(c.Size), int64(r.Seq)-1, t)
		if err != nil {
			return err
		}
		x.records++
		return x.line(&exportLine{Record: (*json.RawMessage)(&line), Proof: proof})
	})
}

// CheckExport verifies an export in its JSON form. Keys of the options, if there are
// any, are those that count, rather than what the export brings itself.
func CheckExport(r io.Reader, o Options) (*Report, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	v := &verifier{o: o, report: &Report{First: 1}, prev: zeroHash}
	x := &importer{verifier: v, own: o.Keys == nil}
	if x.own {
		v.o.Keys = &Keys{}
	}
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && x.ended:
			return v.report, x.finish()
		case errors.Is(err, io.EOF):
			return v.report, &Bad{Line: number, Seq: v.report.Records + 1, Text: "the export " + errCut.Error()}
		case err != nil:
			return v.report, fmt.Errorf("read the export: %w", err)
		case len(line) > lineMaxBytes+1<<10:
			return v.report, &Bad{Line: number, Seq: v.report.Records + 1, Text: "the line is too long"}
		}
		if err := x.take(number, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return v.report, err
		}
	}
}

// importer reads an export.
type importer struct {
	*verifier
	own     bool // the export's own keys count
	excerpt bool
	begun   bool // the head was read
	records bool // all that stands before the records was read
	ended   bool
	start   *start
	marks   []Checkpoint
	count   uint64
	top     Checkpoint // of an excerpt
}

// take reads the next line.
func (x *importer) take(number int, line []byte) error {
	bad := func(format string, args ...any) error {
		return &Bad{Line: number, Seq: x.report.Records + 1, Text: fmt.Sprintf(format, args...)}
	}
	if x.ended {
		return bad("something stands after the end of the export")
	}
	if x.begun && !x.excerpt && bytes.HasPrefix(line, []byte(`{"v":`)) {
		return x.record(number, line)
	}
	var l exportLine
	if err := json.Unmarshal(line, &l); err != nil {
		return bad("not a line of an export: %v", err)
	}
	switch {
	case !x.begun:
		if l.Export != exportVersion {
			return bad("not an export of an audit log that is known here")
		}
		x.begun, x.excerpt = true, l.Excerpt
		return nil
	case l.End != nil:
		if x.ended = true; l.End.Records != x.count {
			return bad("the export has %d records and says that there are %d", x.count, l.End.Records)
		}
		return nil
	case l.Record != nil && x.excerpt:
		return x.proven(number, &l)
	case x.records:
		return bad("a record is wanted")
	case l.Key != "":
		if x.own {
			return x.o.Keys.Add(l.Key)
		}
		return nil
	case l.Rotation != "":
		r, err := ParseRotation(l.Rotation)
		if err != nil {
			return bad("%v", err)
		}
		x.o.Rotations = append(x.o.Rotations, r)
		return nil
	case l.Start != nil:
		x.start = l.Start
		return nil
	}
	for i, text := range []string{l.Checkpoint, l.Held} {
		if text == "" {
			continue
		}
		c, err := ParseCheckpoint(text)
		if err != nil {
			return bad("%v", err)
		}
		if i == 0 {
			x.marks = append(x.marks, c)
		} else {
			x.o.Held = append(x.o.Held, c)
		}
		return nil
	}
	return bad("not a line of an export")
}

// prepare is called before the first record.
func (x *importer) prepare() error {
	if x.records {
		return nil
	}
	x.records = true
	if x.excerpt {
		if len(x.marks) != 1 || len(x.o.Keys.list) == 0 {
			return &Bad{Seq: 1, Text: "an excerpt is verified against one checkpoint, with a key"}
		}
		x.top = x.marks[0]
		if err := x.extend(nil); err != nil {
			return &Bad{Seq: 1, Text: err.Error()}
		}
		by, err := x.top.SignedBy(x.o.Keys)
		if err != nil {
			return &Bad{Seq: 1, Text: err.Error()}
		}
		x.report.Signed, x.report.Checkpoints, x.report.Root = x.top.Size, 1, x.top.Root
		for _, o := range by {
			if o != x.top.Origin {
				x.report.Witnessed = x.top.Size
			}
		}
		for _, h := range x.o.Held {
			if h.Size == x.top.Size && h.Root != x.top.Root {
				return &Bad{Seq: 1, Text: fmt.Sprintf("the checkpoint at %d is not the one that others hold", h.Size)}
			}
		}
		return nil
	}
	if err := x.expect(x.marks); err != nil {
		return err
	}
	if x.start != nil {
		return x.begin(x.start)
	}
	return nil
}

func (x *importer) record(number int, line []byte) error {
	if err := x.prepare(); err != nil {
		return err
	}
	x.count++
	return x.line(position{number: number, seq: x.report.Records + 1}, line)
}

// proven checks one record of an excerpt against the checkpoint.
func (x *importer) proven(number int, l *exportLine) error {
	if err := x.prepare(); err != nil {
		return err
	}
	x.count++
	var r Record
	line := []byte(*l.Record)
	h, err := x.heads.read(line)
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err == nil && (h.seq == 0 || h.seq > x.top.Size || h.seq <= x.report.Records) {
		err = fmt.Errorf("record %d is out of order, or newer than the checkpoint", h.seq)
	}
	if err == nil {
		err = tlog.CheckRecord(l.Proof, int64(x.top.Size), x.top.Root, int64(h.seq)-1, tlog.RecordHash(line))
	}
	if err != nil {
		return &Bad{Line: number, Seq: max(h.seq, x.report.Records+1), Text: err.Error()}
	}
	x.report.Records = h.seq
	if x.o.Each != nil {
		x.o.Each(&r)
	}
	return nil
}

func (x *importer) finish() error {
	if err := x.prepare(); err != nil || x.excerpt {
		return err
	}
	return x.end()
}

// ReadHeld reads checkpoints of a node's log from where somebody else keeps them: the
// audit directory of another node, which signed them, or an export.
func ReadHeld(path, node string) ([]Checkpoint, error) {
	if st, err := os.Stat(path); err != nil || st.IsDir() {
		if err != nil {
			return nil, err
		}
		return Held(path, node)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var out []Checkpoint
	for in := bufio.NewReaderSize(f, 1<<20); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		var l exportLine
		if bytes.HasPrefix(line, []byte(`{"v":`)) || json.Unmarshal(line, &l) != nil || l.Checkpoint+l.Held == "" {
			continue
		}
		c, err := ParseCheckpoint(l.Checkpoint + l.Held)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if NodeOf(c.Origin) == node {
			out = append(out, c)
		}
	}
}
