package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exported is a log of ten records, with two checkpoints, as an export.
func exported(t *testing.T, f Filter) (text []byte, s *Signer) {
	t.Helper()
	dir, s := t.TempDir(), signer(t, "n1")
	l := open(t, dir)
	change(t, l, 2)
	_, err := l.Checkpoint(s)
	must(t, err)
	change(t, l, 3)
	_, err = l.Checkpoint(s)
	must(t, err)
	must(t, l.Learn(s.Public))
	var b bytes.Buffer
	_, err = Export(&b, Source{Dir: dir}, f, FormatJSON, "")
	must(t, err)
	return b.Bytes(), s
}

// TestCheckExport verifies an export offline, and names the first bad record of one
// that was tampered with.
func TestCheckExport(t *testing.T) {
	text, s := exported(t, Filter{})
	for _, keys := range []*Keys{nil, keysOf(t, s)} {
		if r, err := CheckExport(bytes.NewReader(text), Options{Keys: keys}); err != nil || r.Records != 10 || r.Signed != 10 || r.Checkpoints != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	// The lines are: head, key, two checkpoints, ten records, end.
	const first = 3
	for name, c := range map[string]struct {
		tamper func(l [][]byte) [][]byte
		bad    uint64
	}{
		"flipped":   {func(l [][]byte) [][]byte { l[first+4][50] ^= 1; return l }, 4},
		"deleted":   {func(l [][]byte) [][]byte { return append(l[:first+4], l[first+5:]...) }, 4},
		"reordered": {func(l [][]byte) [][]byte { l[first+2], l[first+3] = l[first+3], l[first+2]; return l }, 2},
		"truncated": {func(l [][]byte) [][]byte { return l[:first+8] }, 8},
		"truncated, with a new end": {func(l [][]byte) [][]byte {
			return append(l[:first+8], []byte(`{"end":{"records":7}}`+"\n"))
		}, 8},
		"cut off": {func(l [][]byte) [][]byte { l[first+8] = l[first+8][:9]; return l[:first+9] }, 8},
		"another end": {func(l [][]byte) [][]byte {
			l[first+11] = []byte(`{"end":{"records":9}}` + "\n")
			return l
		}, 11},
	} {
		lines := bytes.SplitAfter(bytes.Clone(text), []byte("\n"))
		_, err := CheckExport(bytes.NewReader(bytes.Join(c.tamper(lines), nil)), Options{Keys: keysOf(t, s)})
		if bad, ok := IsBad(err); !ok || bad.Seq != c.bad {
			t.Errorf("%s: bad record %d wanted, got %v", name, c.bad, err)
		}
	}
	if _, err := CheckExport(bytes.NewReader(text), Options{Keys: keysOf(t, signer(t, "n1"))}); err == nil {
		t.Error("verified with another key")
	}
	if _, err := CheckExport(strings.NewReader(""), Options{}); err == nil {
		t.Error("nothing was verified")
	}
}

// TestExcerpt: some records are proven to be in the log without the others.
func TestExcerpt(t *testing.T) {
	text, s := exported(t, Filter{Phase: Intent})
	var seqs []uint64
	o := Options{Keys: keysOf(t, s), Each: func(r *Record) { seqs = append(seqs, r.Seq) }}
	r, err := CheckExport(bytes.NewReader(text), o)
	if err != nil || len(seqs) != 5 || seqs[4] != 9 || r.Signed != 10 {
		t.Fatalf("%+v, %v, %v", r, seqs, err)
	}
	for name, tamper := range map[string]func(string) string{
		"altered": func(s string) string { return strings.Replace(s, `resource/web`, `resource/wob`, 1) },
		"another proof": func(s string) string {
			i := strings.LastIndex(s, `"proof":["`) + 15
			return s[:i] + string(s[i]^1) + s[i+1:]
		},
		"another checkpoint": func(s string) string { return strings.Replace(s, `\n10\n`, `\n9\n`, 1) },
	} {
		if _, err := CheckExport(strings.NewReader(tamper(string(text))), o); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

func FuzzCheckExport(f *testing.F) {
	dir := f.TempDir()
	s := signer(f, "n1")
	l := open(f, filepath.Join(dir, "log"))
	must(f, l.Append(sample(), sample()))
	_, err := l.Checkpoint(s)
	must(f, err)
	for _, filter := range []Filter{{}, {Phase: Intent}} {
		var b bytes.Buffer
		_, err = Export(&b, Source{Dir: l.Dir(), Keys: keysOf(f, s)}, filter, FormatJSON, "")
		must(f, err)
		f.Add(b.Bytes())
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = CheckExport(bytes.NewReader(b), Options{}) // it must not crash
	})
}

// hostile is a record whose texts mean something in each of the formats.
func hostile() *Record {
	r := sample()
	r.V, r.Seq, r.Time = Version, 7, time.Date(2026, 3, 4, 5, 6, 7, 89000, time.UTC)
	r.Actor.User = `=cmd|' /C calc'!A0`
	r.Actor.Address = "192.0.2.1:4711"
	r.Reason = "a=b|c\\d\nsecond \"line\""
	r.Rule, r.ChangeRef = "admin: *", "CHG-1"
	return r
}

// TestFormats checks what each format must escape.
func TestFormats(t *testing.T) {
	r := hostile()
	b, err := FormatCSV.Write(r, nil, "1.0")
	must(t, err)
	rows, err := csv.NewReader(strings.NewReader(FormatCSV.Head() + string(b))).ReadAll()
	must(t, err)
	row := map[string]string{}
	for i, name := range rows[0] {
		row[name] = rows[1][i]
	}
	if row["user"] != `'=cmd|' /C calc'!A0` || row["reason"] != r.Reason || row["seq"] != "7" || row["changes"] != string(r.Changes) {
		t.Errorf("%v", row)
	}
	b, err = FormatCEF.Write(r, nil, "1|0")
	must(t, err)
	want := `CEF:0|Belay|Belay|1\|0|intent:update|update resource/web|3|act=update app=rest cs1=resource/web cs1Label=object cs2=0123456789abcdef cs2Label=requestId cs3=admin: * cs3Label=rule cs4=anna cs4Label=loginUser cs5=CHG-1 cs5Label=changeRef cs6=demo cs6Label=cluster dvchost=n1 externalId=7 outcome=intent reason=a\=b|c\\d\nsecond "line" rt=1772600767000 src=192.0.2.1 suid=1000 suser=\=cmd|' /C calc'!A0` + "\n"
	if string(b) != want {
		t.Errorf("got  %swant %s", b, want)
	}
	b, err = FormatCADF.Write(r, nil, "")
	must(t, err)
	var e cadf
	must(t, json.Unmarshal(b, &e))
	if e.Action != "update" || e.Outcome != "pending" || e.Target.TypeURI != "service/compute/resource" || e.Target.Name != "web" || e.Initiator.Name != r.Actor.User ||
		e.TypeURI != "http://schemas.dmtf.org/cloud/audit/1.0/event" || e.EventTime != "2026-03-04T05:06:07.000089Z" || e.Reason.PolicyID != "admin: *" || len(e.Attachments) != 2 {
		t.Errorf("%s", b)
	}
	if _, err := Format("xml").Write(r, nil, ""); err == nil {
		t.Error("there is no xml")
	}
}
