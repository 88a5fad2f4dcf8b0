package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, _, err := Open(dir)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// change appends an intent and an outcome, n times.
func change(t testing.TB, l *Log, n int) {
	t.Helper()
	for range n {
		must(t, l.Append(&Record{Cluster: "c", Node: "n1", Phase: Intent, Action: "create", Object: "resource/web"}))
		must(t, l.Append(&Record{Cluster: "c", Node: "n1", Phase: Outcome, Result: ResultSuccess}))
	}
}

func fill(t testing.TB, dir string, n int) string {
	t.Helper()
	l := open(t, dir)
	change(t, l, n)
	must(t, l.Close())
	return filepath.Join(dir, segmentName(1))
}

func signer(t testing.TB, node string) *Signer {
	t.Helper()
	secret, public, err := NewKey(Origin("c", node, 1))
	must(t, err)
	s, err := NewSigner(secret, public)
	must(t, err)
	return s
}

func keysOf(t testing.TB, signers ...*Signer) *Keys {
	t.Helper()
	k := &Keys{}
	for _, s := range signers {
		must(t, k.Add(s.Public))
	}
	return k
}

// lines changes the lines of a log's only segment.
func lines(t testing.TB, dir string, f func([][]byte) [][]byte) {
	t.Helper()
	file := filepath.Join(dir, segmentName(1))
	data, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, bytes.Join(f(bytes.SplitAfter(data, []byte("\n"))), nil), 0o600))
}

// copyDir puts a copy of a log somewhere else.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	must(t, os.RemoveAll(to))
	must(t, os.CopyFS(to, os.DirFS(from)))
}

// TestVerify finds each kind of tampering and names the first bad record. The log
// has eight records, of which this node signed four and then all.
func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(l [][]byte) [][]byte
		bad    uint64
	}{
		"untouched": {func(l [][]byte) [][]byte { return l }, 0},
		"a flipped bit": {func(l [][]byte) [][]byte {
			l[2][30] ^= 1
			return l
		}, 3},
		"a flipped bit of a hash": {func(l [][]byte) [][]byte {
			l[2][len(l[2])-10] ^= 1
			return l
		}, 3},
		"a space": {func(l [][]byte) [][]byte {
			l[2] = bytes.Replace(l[2], []byte(`"seq":3,`), []byte(`"seq":3, `), 1)
			return l
		}, 3},
		"altered": {func(l [][]byte) [][]byte { l[4] = bytes.Replace(l[4], []byte("web"), []byte("wob"), 1); return l }, 5},
		"replaced": {func(l [][]byte) [][]byte {
			var r Record
			_ = json.Unmarshal(l[4], &r)
			r.Object = "resource/wob"
			l[4], _ = seal(&r)
			l[4] = append(l[4], '\n')
			return l
		}, 5},
		"first deleted": {func(l [][]byte) [][]byte { return l[1:] }, 1},
		"deleted":       {func(l [][]byte) [][]byte { return append(l[:3], l[4:]...) }, 4},
		"reordered":     {func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }, 2},
		"doubled":       {func(l [][]byte) [][]byte { return append(l[:3], l[2:]...) }, 4},
		"truncated":     {func(l [][]byte) [][]byte { return l[:6] }, 7},
		"emptied":       {func([][]byte) [][]byte { return nil }, 1},
		"cut off":       {func(l [][]byte) [][]byte { l[7] = l[7][:20]; return l[:8] }, 8},
		"not records":   {func(l [][]byte) [][]byte { return append([][]byte{[]byte("hello\n")}, l...) }, 1},
		"one more":      {func(l [][]byte) [][]byte { return append(l, []byte("{}\n")) }, 9},
		"not json":      {func(l [][]byte) [][]byte { l[3][0] = 'x'; return l }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), signer(t, "n1")
			l := open(t, dir)
			for range 2 {
				change(t, l, 2)
				_, err := l.Checkpoint(s)
				must(t, err)
			}
			must(t, l.Close())
			lines(t, dir, c.tamper)
			for _, keys := range []*Keys{nil, keysOf(t, s)} {
				r, err := Check(dir, Options{Keys: keys})
				bad, ok := IsBad(err)
				switch {
				case c.bad == 0 && (err != nil || r.Records != 8 || r.Signed != 8 || r.Checkpoints != 2):
					t.Fatalf("%+v, %v", r, err)
				case c.bad != 0 && (!ok || bad.Seq != c.bad):
					t.Fatalf("bad record %d wanted, got %v", c.bad, err)
				}
			}
		})
	}
}

// forge rewrites a log from a record on, in a way that its chain is whole: what
// somebody can do who has the program, and, with s, the key.
func forge(t *testing.T, dir string, from int, s *Signer) {
	t.Helper()
	lines(t, dir, func(l [][]byte) [][]byte { return l[:from-1] })
	must(t, os.Remove(filepath.Join(dir, fileTree)))
	file := filepath.Join(dir, fileCheckpoints)
	list, err := readCheckpoints(file)
	must(t, err)
	kept := ""
	for _, c := range list {
		if c.Size < uint64(from) {
			kept += fmt.Sprintf("%q\n", c.Note)
		}
	}
	old, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(kept), 0o600))
	l := open(t, dir)
	change(t, l, 5)
	if s != nil {
		_, err = l.Checkpoint(s)
		must(t, err)
		must(t, l.Close())
		return
	}
	must(t, l.Close())
	must(t, os.WriteFile(file, old, 0o600)) // they can't be made anew without the key
}

// TestForged rewrites history. Without the node's key its own checkpoints show it;
// with the key, what the other nodes hold does.
func TestForged(t *testing.T) {
	dir, n1, n2 := t.TempDir(), signer(t, "n1"), signer(t, "n2")
	w, err := NewWitness(filepath.Join(dir, "n2"), n2)
	must(t, err)
	log := filepath.Join(dir, "n1")
	l := open(t, log)
	for range 3 {
		change(t, l, 2)
		cosign(t, l, n1, w)
	}
	must(t, l.Close())
	keys := keysOf(t, n1, n2)
	held, err := Held(filepath.Join(dir, "n2"), "n1")
	must(t, err)
	if len(held) != 3 {
		t.Fatalf("n2 holds %d checkpoints", len(held))
	}
	if r, err := Check(log, Options{Keys: keys}); err != nil || r.Witnessed != 12 {
		t.Fatalf("%+v, %v", r, err)
	}
	copied := filepath.Join(dir, "copy")
	check := func(what string, want uint64, o Options) {
		t.Helper()
		_, err := Check(copied, o)
		if bad, ok := IsBad(err); !ok || bad.Seq != want {
			t.Errorf("%s: bad record %d wanted, got %v", what, want, err)
		}
	}
	copyDir(t, log, copied)
	forge(t, copied, 7, nil)
	check("rewritten without the key", 5, Options{Keys: keys})

	copyDir(t, log, copied)
	forge(t, copied, 7, n1)
	if _, err := Check(copied, Options{Keys: keys}); err != nil {
		t.Errorf("who has the key makes a log that is whole by itself, but: %v", err)
	}
	check("rewritten with the key", 5, Options{Keys: keys, Held: held})

	// Rolled back as a whole, to a state that was once good.
	copyDir(t, log, copied)
	lines(t, copied, func(l [][]byte) [][]byte { return l[:8] })
	list, err := readCheckpoints(filepath.Join(log, fileCheckpoints))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(copied, fileCheckpoints), fmt.Appendf(nil, "%q\n", list[1].Note), 0o600))
	if _, err := Check(copied, Options{Keys: keys}); err != nil {
		t.Errorf("an old copy is whole by itself, but: %v", err)
	}
	check("rolled back", 9, Options{Keys: keys, Held: held})

	// A signature that somebody else made.
	copyDir(t, log, copied)
	forge(t, copied, 7, signer(t, "n1"))
	check("signed with another key", 1, Options{Keys: keys})

	// The log of another node, whole by itself.
	must(t, os.RemoveAll(copied))
	l = open(t, copied)
	change(t, l, 6)
	_, err = l.Checkpoint(n2)
	must(t, err)
	must(t, l.Close())
	check("another node's", 1, Options{Keys: keys, Held: held})
}

// cosign makes a checkpoint and lets a witness sign it, as two engines do.
func cosign(t *testing.T, l *Log, s *Signer, w *Witness) *Witnessed {
	t.Helper()
	c, err := l.Checkpoint(s)
	must(t, err)
	var ans *Witnessed
	for from := uint64(0); ; from = ans.Held {
		p, err := l.Present(c, s, from)
		must(t, err)
		ans, err = w.Sign(s.Origin(), &p)
		must(t, err)
		if ans.Checkpoint != "" || ans.Conflict != "" || ans.Held == from {
			break
		}
	}
	if ans.Checkpoint != "" {
		signed, err := ParseCheckpoint(ans.Checkpoint)
		must(t, err)
		must(t, l.Cosigned(signed))
	}
	return ans
}

// TestWitnessRefuses goes through what is not signed.
func TestWitnessRefuses(t *testing.T) {
	dir, n1, n2, n3 := t.TempDir(), signer(t, "n1"), signer(t, "n2"), signer(t, "n3")
	w2, err := NewWitness(filepath.Join(dir, "n2"), n2)
	must(t, err)
	w3, err := NewWitness(filepath.Join(dir, "n3"), n3)
	must(t, err)
	log := filepath.Join(dir, "n1")
	l := open(t, log)
	if c, err := l.Checkpoint(n1); c.Note != "" || err != nil {
		t.Fatalf("an empty log has the checkpoint %+v, %v", c, err)
	}
	for range 3 {
		change(t, l, 3)
		for _, w := range []*Witness{w2, w3} {
			if ans := cosign(t, l, n1, w); ans.Checkpoint == "" {
				t.Fatalf("not signed: %+v", ans)
			}
		}
	}
	by, err := new(l.Last()).SignedBy(keysOf(t, n1, n2, n3))
	if err != nil || len(by) != 3 {
		t.Fatalf("signed by %v, %v", by, err)
	}
	must(t, l.Close())
	// Another process, the same memory.
	if w2, err = NewWitness(filepath.Join(dir, "n2"), n2); err != nil {
		t.Fatal(err)
	}
	refused := func(what, want, from string, s *Signer) {
		t.Helper()
		fork := open(t, from)
		ans := cosign(t, fork, s, w2)
		must(t, fork.Close())
		if !strings.Contains(ans.Conflict, want) || ans.Checkpoint != "" {
			t.Errorf("%s: %+v", what, ans)
		}
	}
	copied := filepath.Join(dir, "copy")
	copyDir(t, log, copied)
	forge(t, copied, 10, n1)
	refused("two histories", "another history", copied, n1)
	copyDir(t, log, copied)
	must(t, os.Remove(filepath.Join(copied, fileCheckpoints)))
	must(t, os.Remove(filepath.Join(copied, fileTree)))
	lines(t, copied, func(l [][]byte) [][]byte { return l[:9] })
	refused("rolled back", "truncated, or an old copy", copied, n1)
	copyDir(t, log, copied)
	fork := open(t, copied)
	change(t, fork, 1)
	must(t, fork.Close())
	refused("another key", "another key", copied, signer(t, "n1"))
	// The true log still is.
	l = open(t, log)
	change(t, l, 1)
	if ans := cosign(t, l, n1, w2); ans.Checkpoint == "" {
		t.Errorf("not signed: %+v", ans)
	}
	// Nobody presents for another.
	c := l.Last()
	p, err := l.Present(c, n1, 0)
	must(t, err)
	if _, err := w2.Sign(Origin("c", "n3", 1), &p); err == nil {
		t.Error("signed what n3 presented of n1")
	}
}

// TestUpgrade continues a log of the first format, which then verifies as a whole.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	old, err := os.ReadFile("testdata/format1.jsonl")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, segmentName(1)), old, 0o600))
	if n, err := Verify(dir, nil); n != 4 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
	s := signer(t, "n1")
	l := open(t, dir)
	change(t, l, 1)
	_, err = l.Checkpoint(s)
	must(t, err)
	must(t, l.Close())
	var phases []Phase
	r, err := Check(dir, Options{Keys: keysOf(t, s), Each: func(r *Record) { phases = append(phases, r.Phase) }})
	if err != nil || r.Records != 6 || r.Signed != 6 || len(phases) != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	for seq := range 6 {
		copied := filepath.Join(t.TempDir(), "copy")
		copyDir(t, dir, copied)
		lines(t, copied, func(l [][]byte) [][]byte {
			l[seq] = bytes.Replace(l[seq], []byte(`"phase":"`), []byte(`"phase":"x`), 1)
			return l
		})
		_, err := Verify(copied, nil)
		if bad, ok := IsBad(err); !ok || bad.Seq != uint64(seq+1) {
			t.Errorf("altered record %d: %v", seq+1, err)
		}
	}
}

// TestResume continues the chain over a restart, and moves a line that a crash cut
// short aside.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	file := fill(t, dir, 2)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"v":1,"seq":5,"ac`)
	must(t, errors.Join(err, f.Close()))
	l, torn, err := Open(dir)
	if err != nil || torn == "" {
		t.Fatalf("open: %q, %v", torn, err)
	}
	must(t, l.Append(&Record{Action: "after"}))
	must(t, l.Close())
	must(t, l.Close())
	if n, err := Verify(dir, nil); n != 5 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
	if err := l.Append(&Record{}); !errors.Is(err, ErrClosed) {
		t.Fatal("a closed log must refuse")
	}
	if err := Broken(errors.New("x")).Append(&Record{}); err == nil {
		t.Fatal("a broken log must refuse")
	}
}

// TestTreeIsMadeAnew opens a log whose tree was lost, cut or damaged: its proofs are
// as before.
func TestTreeIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"none":    func(string) error { return nil },
		"lost":    os.Remove,
		"cut":     func(file string) error { return os.Truncate(file, 100) },
		"emptied": func(file string) error { return os.Truncate(file, 0) },
		"longer":  func(file string) error { return os.Truncate(file, 5000) },
		"zeros": func(file string) error {
			return errors.Join(os.Truncate(file, 64), os.Truncate(file, 32*40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), signer(t, "n1")
			l := open(t, dir)
			change(t, l, 5)
			_, err := l.Checkpoint(s)
			must(t, err)
			change(t, l, 4)
			want := l.edge.root()
			must(t, l.Close())
			must(t, damage(filepath.Join(dir, fileTree)))
			l = open(t, dir)
			if got := l.edge.root(); got != want {
				t.Errorf("root %v, want %v", got, want)
			}
			c, err := l.Checkpoint(s)
			must(t, err)
			for from := uint64(1); from < c.Size; from++ {
				p, err := l.Present(c, s, from)
				must(t, err)
				old, err := tlog.TreeHash(int64(from), l.tree)
				must(t, err)
				must(t, tlog.CheckTree(p.Proof, int64(c.Size), c.Root, int64(from), old))
			}
		})
	}
}

// TestOpenRefuses: a log that has fewer records than it signed is not continued.
func TestOpenRefuses(t *testing.T) {
	dir, s := t.TempDir(), signer(t, "n1")
	l := open(t, dir)
	change(t, l, 5)
	_, err := l.Checkpoint(s)
	must(t, err)
	must(t, l.Close())
	lines(t, dir, func(l [][]byte) [][]byte { return l[:6] })
	if _, _, err := Open(dir); err == nil {
		t.Error("opened")
	}
}

// TestTogether appends from many callers: each gets an answer, the chain is whole,
// and the records of one call stand together.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 20 {
				id := fmt.Sprint(i)
				if err := l.Append(&Record{Action: "a", RequestID: id}, &Record{Action: "b", RequestID: id}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, l.Close())
	before := &Record{}
	n, err := Verify(dir, func(r *Record) {
		if r.Action == "b" && (before.Action != "a" || before.RequestID != r.RequestID) {
			t.Errorf("record %d does not follow its first half", r.Seq)
		}
		before = r
	})
	if n != 800 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
}

// TestNotEncodable: a batch that can't be written fails alone.
func TestNotEncodable(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	change(t, l, 1)
	if err := l.Append(&Record{Action: "good"}, &Record{Changes: []byte("{")}); err == nil {
		t.Error("appended")
	}
	change(t, l, 1)
	must(t, l.Close())
	if n, err := Verify(dir, nil); n != 4 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
}

// TestRemove removes old segments: the rest verifies, on its own and against what
// others hold, a hold keeps what it covers, and the log goes on.
func TestRemove(t *testing.T) {
	dir, s := t.TempDir(), signer(t, "n1")
	l := open(t, dir)
	var times []time.Time
	for range 4 {
		change(t, l, 3)
		_, err := l.Checkpoint(s)
		must(t, err)
		times = append(times, time.Now())
		must(t, l.RotateAfter(time.Hour)) // not yet
		must(t, l.RotateAfter(0))
		must(t, l.RotateAfter(0)) // an empty one is kept
	}
	change(t, l, 1)
	held := []Checkpoint{l.Last()}
	none := func(Removed) error { return nil }
	if r, err := l.Remove(times[1], []Hold{{To: times[0]}}, s, none); err != nil || r.Segments != 0 {
		t.Fatalf("a hold: %+v, %v", r, err)
	}
	if r, err := l.Remove(times[1], nil, s, func(Removed) error { return errors.New("no") }); err == nil || r.Segments != 0 {
		t.Fatalf("not recorded: %+v, %v", r, err)
	}
	if r, err := l.Remove(times[1], []Hold{{From: times[2]}}, s, none); err != nil || r != (Removed{1, 12, 2}) {
		t.Fatalf("%+v, %v", r, err)
	}
	change(t, l, 1)
	_, err := l.Checkpoint(s)
	must(t, err)
	must(t, l.Close())
	r, err := Check(dir, Options{Keys: keysOf(t, s), Held: held})
	if err != nil || r.First != 13 || r.Records != 28 {
		t.Fatalf("%+v, %v", r, err)
	}
	l = open(t, dir)
	change(t, l, 1)
	must(t, l.Close())
	n := 0
	must(t, Read(dir, Filter{}, func(*Record, []byte) error { n++; return nil }))
	if n != 18 {
		t.Errorf("%d records left", n)
	}
	// Somebody who removes more than that, and says so, has no checkpoint for it.
	b, err := os.ReadFile(filepath.Join(dir, fileStart))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, fileStart), bytes.Replace(b, []byte(`"size": 12`), []byte(`"size": 18`), 1), 0o600))
	if _, err := Check(dir, Options{Keys: keysOf(t, s)}); err == nil {
		t.Error("a forged start was taken")
	}
}

// TestRead chooses records.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Append(
		&Record{Actor: Actor{User: "root", LoginUID: "anna"}, Action: "stop", Object: "resource/web"},
		&Record{Actor: Actor{User: "ben"}, Action: "stop", Object: "resource/db", Result: ResultRefused},
		&Record{Actor: Actor{User: "ben"}, Action: "standby", Object: "node/n1"},
	))
	must(t, l.Close())
	for _, c := range []struct {
		f    Filter
		want []uint64
	}{
		{Filter{}, []uint64{1, 2, 3}},
		{Filter{User: "anna"}, []uint64{1}},
		{Filter{User: "ben", Object: "resource/"}, []uint64{2}},
		{Filter{Object: "resource/"}, []uint64{1, 2}},
		{Filter{Object: "resource"}, nil},
		{Filter{Action: "stop", After: 1}, []uint64{2}},
		{Filter{Result: ResultRefused}, []uint64{2}},
		{Filter{To: time.Now().Add(-time.Hour)}, nil},
		{Filter{From: time.Now().Add(-time.Hour)}, []uint64{1, 2, 3}},
	} {
		var got []uint64
		must(t, Read(dir, c.f, func(r *Record, _ []byte) error { got = append(got, r.Seq); return nil }))
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
}

// TestClockSetBack: it is told, and is no damage.
func TestClockSetBack(t *testing.T) {
	v := &verifier{report: &Report{}, prev: zeroHash}
	for i, at := range []time.Time{time.Unix(1000, 0), time.Unix(1001, 0), time.Unix(900, 0), time.Unix(901, 0)} {
		r := &Record{V: Version, Seq: uint64(i + 1), Time: at.UTC(), Prev: v.prev}
		line, err := seal(r)
		must(t, err)
		must(t, v.line(position{seq: r.Seq}, line))
	}
	if s := v.report.Steps; len(s) != 1 || s[0].Seq != 3 || s[0].Back != 101*time.Second {
		t.Errorf("%+v", s)
	}
}

func BenchmarkAppend(b *testing.B) {
	l := open(b, b.TempDir())
	b.SetParallelism(50)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			must(b, l.Append(sample()))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAppendOne(b *testing.B) {
	l := open(b, b.TempDir())
	for b.Loop() {
		must(b, l.Append(sample()))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	l := open(b, dir)
	batch := make([]*Record, 1000)
	s := signer(b, "n1")
	for range n / len(batch) {
		for i := range batch {
			batch[i] = sample()
		}
		must(b, l.Append(batch...))
		_, err := l.Checkpoint(s)
		must(b, err)
	}
	must(b, l.Close())
	o := Options{Keys: keysOf(b, s)}
	for b.Loop() {
		if r, err := Check(dir, o); err != nil || r.Records != n {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
}

func sample() *Record {
	return &Record{
		Cluster: "demo", Node: "n1", Phase: Intent, Actor: Actor{User: "anna", UID: 1000, LoginUID: "anna", Via: "rest", Address: "192.0.2.1"},
		Action: "update", Object: "resource/web", RequestID: "0123456789abcdef", Before: 41, After: 42,
		Changes: []byte(`[{"key":"config/resource/web","before":{"agent":"ocf:heartbeat:IPaddr2","parameters":{"ip":"192.0.2.10"}},"after":{"agent":"ocf:heartbeat:IPaddr2","parameters":{"ip":"192.0.2.11"}}}]`),
	}
}
