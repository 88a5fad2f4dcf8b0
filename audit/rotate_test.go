package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// told appends the record that tells of a rotation.
func told(t testing.TB, l *Log, r Rotation) {
	t.Helper()
	b, err := json.Marshal([]map[string]string{{"before": r.Old, "after": r.New}})
	must(t, err)
	must(t, l.Append(&Record{Cluster: "c", Node: "n1", Phase: Note, Action: ActionKeyRotated, Result: ResultSuccess, Changes: b}))
}

// rotated is a log of n1 whose key was replaced twice: four records and a checkpoint by the
// first key, then five by each of the others.
func rotated(t testing.TB, dir string) (l *Log, keys [3]*Signer) {
	t.Helper()
	l = open(t, dir)
	for i := range keys {
		keys[i] = signer(t, "n1")
		if i > 0 {
			r, err := l.Rotate(keys[i-1], keys[i])
			must(t, err)
			told(t, l, r)
		}
		change(t, l, 2)
		_, err := l.Checkpoint(keys[i])
		must(t, err)
	}
	must(t, l.Learn(keys[0].Public))
	return l, keys
}

// Who knows any of the keys verifies the whole log and an export of it, also offline, and an
// export from before the rotation with the keys that count now.
func TestRotate(t *testing.T) {
	dir := t.TempDir()
	l, keys := rotated(t, dir)
	if _, err := l.Checkpoint(keys[1]); !errors.Is(err, ErrRetired) {
		t.Errorf("a key that was replaced signs: %v", err)
	}
	if _, err := l.Rotate(keys[0], signer(t, "n1")); !errors.Is(err, ErrRetired) {
		t.Errorf("a key that was replaced is replaced again: %v", err)
	}
	list := l.Rotations(keys[0].Origin())
	if len(list) != 2 || list[0].Size != 4 || list[1].Size != 9 || list[1].New != keys[2].Public {
		t.Fatalf("%+v", list)
	}
	must(t, l.Close())
	var whole, excerpt bytes.Buffer
	_, err := Export(&whole, Source{Dir: dir}, Filter{}, FormatJSON, "")
	must(t, err)
	_, err = Export(&excerpt, Source{Dir: dir}, Filter{Phase: Intent}, FormatJSON, "")
	must(t, err)
	for i, k := range []*Keys{nil, keysOf(t, keys[0]), keysOf(t, keys[1]), keysOf(t, keys[2])} {
		if r, err := Check(dir, Options{Keys: k}); err != nil || r.Signed != 14 || r.Checkpoints != 3 {
			t.Errorf("keys %d: %+v, %v", i, r, err)
		}
		if r, err := CheckExport(bytes.NewReader(whole.Bytes()), Options{Keys: k}); err != nil || r.Signed != 14 {
			t.Errorf("export, keys %d: %+v, %v", i, r, err)
		}
		if r, err := CheckExport(bytes.NewReader(excerpt.Bytes()), Options{Keys: k}); err != nil || r.Signed != 14 {
			t.Errorf("excerpt, keys %d: %+v, %v", i, r, err)
		}
	}
	if _, err := Check(dir, Options{Keys: keysOf(t, signer(t, "n1"))}); err == nil {
		t.Error("verified with a key of nobody")
	}

	before, s := exported(t, Filter{})
	r, err := newRotation(s, signer(t, "n1"), 10, time.Now())
	must(t, err)
	next := &Keys{}
	must(t, next.Add(r.New))
	if _, err := CheckExport(bytes.NewReader(before), Options{Keys: next}); err == nil {
		t.Error("nothing connects the keys")
	}
	if _, err := CheckExport(bytes.NewReader(before), Options{Keys: next, Rotations: []Rotation{r}}); err != nil {
		t.Errorf("an old export, with the new key and how it came: %v", err)
	}
}

// half is a rotation that only some of its two keys signed.
func half(t *testing.T, old, next *Signer, size uint64, by ...*Signer) string {
	t.Helper()
	r := Rotation{Origin: old.Origin(), Old: old.Public, New: next.Public, Size: size, Time: time.Now()}
	var signers []note.Signer
	for _, s := range by {
		signers = append(signers, s.signer)
	}
	b, err := note.Sign(&note.Note{Text: r.text()}, signers...)
	must(t, err)
	return string(b)
}

// Who has one of the two keys alone can't replace a key, neither in the files nor before a
// witness.
func TestForgedRotation(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "n1")
	s, thief := signer(t, "n1"), signer(t, "n1")
	l := open(t, log)
	change(t, l, 2)
	_, err := l.Checkpoint(s)
	must(t, err)
	good, err := newRotation(s, thief, 4, time.Now())
	must(t, err)
	for what, text := range map[string]string{
		"the new key did not sign it": half(t, s, thief, 4, s),
		"the old key did not sign it": half(t, s, thief, 4, thief),
		"same":                        half(t, s, s, 4, s),
		"malformed":                   good.text() + "\n",
		"invalid signature":           strings.Replace(good.Note, "size 4", "size 9", 1),
		"is of":                       half(t, signer(t, "n2"), thief, 4, thief),
		"are wanted":                  l.Last().Note,
	} {
		if _, err := ParseRotation(text); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", what, err)
		}
		if err := l.LearnRotations(s.Origin(), text); err == nil {
			t.Errorf("%q was learned", what)
		}
		line, err := json.Marshal(text)
		must(t, err)
		copied := filepath.Join(dir, "copy")
		copyDir(t, log, copied)
		must(t, os.WriteFile(filepath.Join(copied, fileRotations), append(line, '\n'), 0o600))
		if _, err := Check(copied, Options{Keys: keysOf(t, s)}); err == nil {
			t.Errorf("%q was verified", what)
		}
		if _, _, err := Open(copied); err == nil {
			t.Errorf("a log with %q was opened", what)
		}
	}
	// Two that both have both signatures: one of them is not the node's.
	must(t, l.LearnRotations(s.Origin(), good.Note, good.Note))
	fork, err := newRotation(s, signer(t, "n1"), 4, time.Now())
	must(t, err)
	if err := l.LearnRotations(s.Origin(), fork.Note); err == nil {
		t.Error("a key was replaced twice")
	}
	if err := keysOf(t, s).Extend(good, fork); err == nil {
		t.Error("a key was replaced twice")
	}
	if err := l.LearnRotations(Origin("c", "n2", 1), good.Note); err == nil {
		t.Error("learned from another node")
	}
}

// What a key signs after it was replaced does not count, and neither does a new key of which
// the log does not tell.
func TestRetiredKey(t *testing.T) {
	dir := t.TempDir()
	l, keys := rotated(t, filepath.Join(dir, "good"))
	must(t, l.Close())
	late, err := ReadRotations(l.Dir())
	must(t, err)
	must(t, os.Remove(filepath.Join(l.Dir(), fileRotations)))
	l = open(t, l.Dir())
	change(t, l, 1)
	_, err = l.Checkpoint(keys[0]) // as the thief of an old key would
	must(t, err)
	must(t, l.Close())
	if _, err := Check(l.Dir(), Options{Keys: keysOf(t, keys[2]), Rotations: late}); err == nil || !strings.Contains(err.Error(), "was replaced at record 4") {
		t.Errorf("signed with an old key: %v", err)
	}

	silent := open(t, filepath.Join(dir, "silent"))
	change(t, silent, 2)
	next := signer(t, "n1")
	r, err := silent.Rotate(keys[0], next)
	must(t, err)
	change(t, silent, 1)
	if there, err := Recorded(silent.Dir(), &r); there || err != nil {
		t.Errorf("recorded: %v, %v", there, err)
	}
	if _, err := Check(silent.Dir(), Options{Keys: keysOf(t, keys[0])}); err != nil {
		t.Errorf("between the steps of a rotation: %v", err)
	}
	_, err = silent.Checkpoint(next)
	must(t, err)
	if _, err := Check(silent.Dir(), Options{Keys: keysOf(t, keys[0])}); err == nil || !strings.Contains(err.Error(), "no record tells") {
		t.Errorf("a new key of which nothing tells: %v", err)
	}
	told(t, silent, r)
	if there, err := Recorded(silent.Dir(), &r); !there || err != nil {
		t.Errorf("recorded: %v, %v", there, err)
	}
}

// A witness goes along with a key that follows the one it knows, over several steps, too, and
// with no other; what a witness signed with a new key of its own counts for who knew the old.
func TestWitnessOfRotation(t *testing.T) {
	dir, n2 := t.TempDir(), signer(t, "n2")
	w, err := NewWitness(filepath.Join(dir, "n2"), n2)
	must(t, err)
	s := [4]*Signer{signer(t, "n1"), signer(t, "n1"), signer(t, "n1"), signer(t, "n1")}
	l := open(t, filepath.Join(dir, "n1"))
	change(t, l, 2)
	if ans := cosign(t, l, s[0], w); ans.Checkpoint == "" {
		t.Fatalf("%+v", ans)
	}
	for i := range 2 { // the witness sees nothing of the first
		r, err := l.Rotate(s[i], s[i+1])
		must(t, err)
		told(t, l, r)
	}
	ours := signer(t, "n2")
	own, err := newRotation(n2, ours, 0, time.Now())
	must(t, err)
	w.Use(ours)
	must(t, l.LearnRotations(n2.Origin(), own.Note))
	if ans := cosign(t, l, s[2], w); ans.Checkpoint == "" || ans.Key != ours.Public {
		t.Fatalf("%+v", ans)
	}
	if r, err := Check(l.Dir(), Options{Keys: keysOf(t, s[0], n2)}); err != nil || r.Witnessed != 6 {
		t.Errorf("%+v, %v", r, err)
	}

	c, err := l.Checkpoint(s[2])
	must(t, err)
	forged := Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root, Time: c.Time}
	must(t, forged.sign(s[3]))
	short, err := newRotation(s[2], s[3], 5, time.Now())
	must(t, err)
	for what, notes := range map[string][]string{
		"no note that both":   nil,
		"old key did not":     {half(t, s[2], s[3], 6, s[3])},
		"new key did not":     {half(t, s[2], s[3], 6, s[2])},
		"replaced at record ": {short.Note},
	} {
		ans, err := w.Sign(s[3].Origin(), &Presented{Checkpoint: forged.Note, Key: s[3].Public, Rotations: notes})
		if err != nil || !strings.Contains(ans.Conflict, what) {
			t.Errorf("%s: %+v, %v", what, ans, err)
		}
	}
	// The old key has no voice any more.
	old := Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root, Time: c.Time}
	must(t, old.sign(s[0]))
	if ans, err := w.Sign(s[0].Origin(), &Presented{Checkpoint: old.Note, Key: s[0].Public, Rotations: Notes(l.Rotations(""))}); err != nil || ans.Conflict == "" {
		t.Errorf("%+v, %v", ans, err)
	}
}

// What a peer presents is read before it is believed.
func FuzzParseRotation(f *testing.F) {
	old, next := signer(f, "n1"), signer(f, "n1")
	r, err := newRotation(old, next, 7, time.Unix(0, 0))
	must(f, err)
	f.Add(r.Note)
	f.Add(strings.Replace(r.Note, "size", "time", 1))
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRotation(text); err == nil && (r.Old == r.New || !strings.HasPrefix(text, r.text())) {
			t.Errorf("%+v", r)
		}
	})
}

// What a node presents of its log is compared with what somebody else holds, by keys that are
// known or that follow from them.
func TestContinues(t *testing.T) {
	dir := t.TempDir()
	l, keys := rotated(t, filepath.Join(dir, "n1"))
	list, err := readCheckpoints(filepath.Join(l.Dir(), fileCheckpoints))
	must(t, err)
	origin := keys[0].Origin()
	show := func(l *Log, from uint64) *Presented {
		p, err := l.Present(l.Last(), keys[2], from)
		must(t, err)
		return &p
	}
	for i := range list {
		for what, known := range map[string]*Keys{"none": {}, "the first": keysOf(t, keys[0]), "the last": keysOf(t, keys[2])} {
			if err := show(l, list[i].Size).Continues(origin, &list[i], known); err != nil {
				t.Errorf("from %d, with the keys: %s: %v", list[i].Size, what, err)
			}
		}
	}
	fork := open(t, filepath.Join(dir, "fork"))
	must(t, fork.LearnRotations(origin, Notes(l.Rotations(origin))...))
	change(t, fork, 3)
	_, err = fork.Checkpoint(keys[2])
	must(t, err)
	for want, c := range map[string]struct {
		p    *Presented
		held *Checkpoint
		keys *Keys
	}{
		"another history":     {show(fork, list[0].Size), &list[0], keysOf(t, keys[0])},
		"truncated":           {show(fork, list[2].Size), &list[2], keysOf(t, keys[0])},
		"a key that is known": {show(l, list[0].Size), &list[0], keysOf(t, signer(t, "n1"))},
		"not a checkpoint":    {&Presented{Key: keys[2].Public}, &list[0], &Keys{}},
		"signed by n2":        {show(l, 0), &list[0], keysOf(t, signer(t, "n2"))},
	} {
		from := origin
		if want == "signed by n2" {
			from = Origin("c", "n2", 1)
		}
		if err := c.p.Continues(from, c.held, c.keys); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
