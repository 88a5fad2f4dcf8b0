package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A node may replace the key that signs its log. The note that says so is signed by the
// old key and by the new one: who knows one of them can trust the other, and who stole
// one alone can't make such a note.

// fileRotations holds the notes, of this log and of the nodes that sign with it.
const fileRotations = "rotations"

// ActionKeyRotated is the action of the record that tells of a new key. A log whose
// checkpoints are signed with a key that replaced another has such a record before them.
const ActionKeyRotated = "audit-key-rotated"

// ErrRetired is what a key that was replaced answers.
var ErrRetired = errors.New("the key of the audit log was replaced by another one")

// rotationHead is the first line of a note, so that it can be taken for nothing else.
const rotationHead = "belay audit key rotation v1"

// Rotation replaces the key of a log by a new one.
type Rotation struct {
	Origin string    `json:"origin"`
	Old    string    `json:"old"`  // public
	New    string    `json:"new"`  // public
	Size   uint64    `json:"size"` // of the log: the old key signs no checkpoint of more records
	Time   time.Time `json:"time"`
	Note   string    `json:"note"` // the whole, with both signatures
}

func (r *Rotation) text() string {
	return fmt.Sprintf("%s\n%s\nold %s\nnew %s\nsize %d\ntime %s\n", rotationHead, r.Origin, r.Old, r.New, r.Size, r.Time.UTC().Format(time.RFC3339))
}

// newRotation signs a rotation with both keys.
func newRotation(old, next *Signer, size uint64, now time.Time) (Rotation, error) {
	r := Rotation{Origin: old.Origin(), Old: old.Public, New: next.Public, Size: size, Time: now.UTC().Truncate(time.Second)}
	b, err := note.Sign(&note.Note{Text: r.text()}, old.signer, next.signer)
	if err != nil {
		return r, fmt.Errorf("sign the new key of the audit log: %w", err)
	}
	r.Note = string(b)
	return ParseRotation(r.Note)
}

// ParseRotation reads the note of a rotation. Both signatures are checked: one that has
// only one of them is refused. Whether one of the two keys is to be trusted is for
// [Keys.Extend] to say.
func ParseRotation(text string) (Rotation, error) {
	body, _, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(body, "\n")
	bad := func(format string, args ...any) (Rotation, error) {
		return Rotation{}, fmt.Errorf("not a new key of an audit log: "+format, args...)
	}
	if len(lines) != 6 || lines[0] != rotationHead || len(text) > 16<<10 {
		return bad("origin, both keys, size and time are wanted")
	}
	r := Rotation{Origin: lines[1], Old: strings.TrimPrefix(lines[2], "old "), New: strings.TrimPrefix(lines[3], "new "), Note: text}
	var err error
	if r.Size, err = strconv.ParseUint(strings.TrimPrefix(lines[4], "size "), 10, 63); err != nil {
		return bad("size: %w", err)
	}
	if r.Time, err = time.Parse(time.RFC3339, strings.TrimPrefix(lines[5], "time ")); err != nil {
		return bad("time: %w", err)
	}
	var both []note.Verifier
	for _, public := range []string{r.Old, r.New} {
		v, err := note.NewVerifier(public)
		if err != nil {
			return bad("public key %q: %w", public, err)
		}
		if v.Name() != r.Origin {
			return bad("a key is of %s, and not of %s", v.Name(), r.Origin)
		}
		both = append(both, v)
	}
	if both[0].KeyHash() == both[1].KeyHash() {
		return bad("old and new key are the same")
	}
	n, err := note.Open([]byte(text), note.VerifierList(both...))
	if err != nil {
		return bad("%w", err)
	}
	for i, v := range both {
		if !slices.ContainsFunc(n.Sigs, func(s note.Signature) bool { return s.Hash == v.KeyHash() }) {
			return bad("the %s key did not sign it", [...]string{"old", "new"}[i])
		}
	}
	if n.Text != r.text() {
		return bad("it says more than it should")
	}
	return r, nil
}

// retired is a key that was replaced.
type retired struct {
	name string
	hash uint32
	size uint64 // it signs no checkpoint of its log of more records
}

// Extend takes in rotations: where one of the two keys is known, the other is, too, and
// the old one signs nothing any more beyond the size that the rotation names. Those of
// keys that are not known say nothing. A key that was replaced by two is an error.
func (k *Keys) Extend(rotations ...Rotation) error {
	rest := slices.Clone(rotations)
	for again := true; again; {
		again = false
		for i := 0; i < len(rest); i++ {
			r := &rest[i]
			if !slices.Contains(k.text, r.Old) && !slices.Contains(k.text, r.New) {
				continue
			}
			if err := k.replace(r); err != nil {
				return err
			}
			rest = slices.Delete(rest, i, i+1)
			again, i = true, i-1
		}
	}
	return nil
}

func (k *Keys) replace(r *Rotation) error {
	if n := slices.IndexFunc(k.rotations, func(o Rotation) bool { return o.Old == r.Old }); n >= 0 {
		if k.rotations[n].text() == r.text() {
			return nil
		}
		return fmt.Errorf("a key of the audit log of %s was replaced by two others, on %s and on %s",
			NodeOf(r.Origin), k.rotations[n].Time.Format(time.RFC3339), r.Time.Format(time.RFC3339))
	}
	for _, public := range []string{r.Old, r.New} {
		if err := k.Add(public); err != nil {
			return err
		}
	}
	v, err := note.NewVerifier(r.Old)
	if err != nil {
		return fmt.Errorf("public key %q: %w", r.Old, err)
	}
	k.retired = append(k.retired, retired{v.Name(), v.KeyHash(), r.Size})
	k.rotations = append(k.rotations, *r)
	return nil
}

// clone is a copy to extend.
func (k *Keys) clone() *Keys {
	return &Keys{list: slices.Clone(k.list), text: slices.Clone(k.text), retired: slices.Clone(k.retired), rotations: slices.Clone(k.rotations)}
}

// overdue says why a signature of a log's own key does not count for a checkpoint of it.
func (k *Keys) overdue(c *Checkpoint, s *note.Signature) error {
	for _, r := range k.retired {
		if s.Name == c.Origin && r.name == s.Name && r.hash == s.Hash && c.Size > r.size {
			return fmt.Errorf("it is signed with a key that was replaced at record %d", r.size)
		}
	}
	return nil
}

// ReadRotations reads the rotations that a log in dir has come to know: those of its node
// and of the nodes that sign with it.
func ReadRotations(dir string) ([]Rotation, error) {
	b, err := readFile(filepath.Join(dir, fileRotations))
	if err != nil {
		return nil, fmt.Errorf("read the replaced keys of the audit log: %w", err)
	}
	var out []Rotation
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		var text string
		if err := json.Unmarshal([]byte(line), &text); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", fileRotations, number, err)
		}
		r, err := ParseRotation(text)
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", fileRotations, number, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func writeRotations(dir string, list []Rotation) error {
	var b strings.Builder
	for i := range list {
		line, err := json.Marshal(list[i].Note)
		if err != nil {
			return fmt.Errorf("encode a new key of the audit log: %w", err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	if err := writeFile(filepath.Join(dir, fileRotations), []byte(b.String())); err != nil {
		return fmt.Errorf("keep a new key of the audit log: %w", err)
	}
	return nil
}

// Rotations lists how the keys of an origin followed each other, as far as this log knows;
// of "" those of all.
func (l *Log) Rotations(origin string) []Rotation {
	l.disk.Lock()
	defer l.disk.Unlock()
	return slices.DeleteFunc(slices.Clone(l.rotations), func(r Rotation) bool { return origin != "" && r.Origin != origin })
}

// Notes are rotations as they are handed on.
func Notes(list []Rotation) []string {
	var out []string
	for i := range list {
		out = append(out, list[i].Note)
	}
	return out
}

// rotationsMax bounds what is taken of somebody else's rotations.
const rotationsMax = 1000

// ParseRotations reads rotations that somebody else handed on.
func ParseRotations(notes []string) ([]Rotation, error) {
	if len(notes) > rotationsMax {
		return nil, fmt.Errorf("%d replaced keys are more than %d", len(notes), rotationsMax)
	}
	var out []Rotation
	for _, text := range notes {
		r, err := ParseRotation(text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// LearnRotations keeps the rotations of an origin beside the log, so that it can be
// verified where it lies. One that does not go with what is known is refused.
func (l *Log) LearnRotations(origin string, notes ...string) error {
	list, err := ParseRotations(notes)
	if err != nil {
		return err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	all := slices.Clone(l.rotations)
	for _, r := range list {
		if r.Origin != origin {
			return fmt.Errorf("a new key is of %s, and not of %s", r.Origin, origin)
		}
		switch n := slices.IndexFunc(all, func(o Rotation) bool { return o.Old == r.Old }); {
		case n < 0:
			all = append(all, r)
		case all[n].text() != r.text():
			return fmt.Errorf("a key of %s was replaced by two others", NodeOf(origin))
		}
	}
	if len(all) == len(l.rotations) {
		return nil
	}
	if err := writeRotations(l.dir, all); err != nil {
		return err
	}
	l.rotations = all
	return nil
}

// Rotate replaces the key that signs the log. The old one signs all records that there
// are, and then nothing any more. With the return of this function the new key counts:
// the caller appends the record that tells of it before anything else is signed.
func (l *Log) Rotate(old, next *Signer) (Rotation, error) {
	if err := l.failed(); err != nil {
		return Rotation{}, err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	if _, err := l.checkpoint(old); err != nil {
		return Rotation{}, err
	}
	r, err := newRotation(old, next, l.seq, time.Now())
	if err != nil {
		return r, err
	}
	all := append(slices.Clone(l.rotations), r)
	if err := writeRotations(l.dir, all); err != nil {
		return r, err
	}
	l.rotations = all
	return r, nil
}

// usable says whether a key still signs this log.
func (l *Log) usable(s *Signer) error {
	if slices.ContainsFunc(l.rotations, func(r Rotation) bool { return r.Old == s.Public }) {
		return ErrRetired
	}
	return nil
}

// tells says whether a record is the one that tells of a rotation.
func (r *Rotation) tells(x *Record) bool {
	return x.Action == ActionKeyRotated && strings.Contains(string(x.Changes), r.New)
}

// Recorded says whether the record that tells of a rotation is in the log in dir.
func Recorded(dir string, r *Rotation) (bool, error) {
	found := false
	err := Read(dir, Filter{Action: ActionKeyRotated, After: r.Size}, func(x *Record, _ []byte) error {
		if found = r.tells(x); found {
			return ErrStop
		}
		return nil
	})
	return found, err
}

// hasKey says whether a signature of the checkpoint names a key. Whether it is good is for
// [Checkpoint.SignedBy] to say.
func (c *Checkpoint) hasKey(public string) bool {
	v, err := note.NewVerifier(public)
	if err != nil {
		return false
	}
	_, sigs, _ := strings.Cut(c.Note, "\n\n")
	return slices.ContainsFunc(signatures(sigs), func(s note.Signature) bool { return s.Name == v.Name() && s.Hash == v.KeyHash() })
}
