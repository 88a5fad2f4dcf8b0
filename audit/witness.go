package audit

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// keyHash is the hash of the key that made a signature: its first four bytes.
func keyHash(b64 string) (uint32, bool) {
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(b) < 5 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

// Presented is what a node shows to a witness: a checkpoint of its log, and the
// proof (RFC 6962, section 2.1.2) that it continues the one of size From, which the
// witness signed last.
type Presented struct {
	Checkpoint string      `json:"checkpoint"`
	Key        string      `json:"key"` // public, of the node
	From       uint64      `json:"from"`
	Proof      []tlog.Hash `json:"proof,omitempty"`
	Rotations  []string    `json:"rotations,omitempty"` // how the node's keys followed each other
}

// Witnessed is the answer: the checkpoint with the witness's signature, or what it
// holds.
type Witnessed struct {
	Checkpoint string   `json:"checkpoint,omitempty"`
	Key        string   `json:"key"`                 // public, of the witness
	Held       uint64   `json:"held,omitempty"`      // the size that it signed last: to be presented again from there
	Conflict   string   `json:"conflict,omitempty"`  // why it does not sign
	Rotations  []string `json:"rotations,omitempty"` // how the witness's keys followed each other
}

// Present makes what a witness that signed size from last is shown of a checkpoint.
func (l *Log) Present(c Checkpoint, s *Signer, from uint64) (Presented, error) {
	p := Presented{Checkpoint: c.Note, Key: s.Public, From: from, Rotations: Notes(l.Rotations(s.Origin()))}
	if from == 0 || from >= c.Size {
		return p, nil
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	if l.tree == nil || l.tree.f == nil {
		return p, ErrClosed
	}
	if err := l.fillTree(); err != nil {
		return p, err
	}
	proof, err := tlog.ProveTree(int64(c.Size), int64(from), l.tree)
	if err != nil {
		return p, fmt.Errorf("prove that the audit log continues its state at %d: %w", from, err)
	}
	p.Proof = proof
	return p, nil
}

// Latest is the newest checkpoint of an origin that the witness in the log directory dir
// signed; nil where it signed none.
func Latest(dir, origin string) (*Checkpoint, error) {
	list, err := readCheckpoints(filepath.Join(dir, dirWitness, dirHeld, filepath.Base(origin)))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[len(list)-1], nil
}

// Continues says why what a node presents of its log is not the log that somebody else
// holds a checkpoint of; nil where it is. The checkpoint must be signed by a key of origin
// that is known, or, where none is, by the one that is presented.
func (p *Presented) Continues(origin string, held *Checkpoint, known *Keys) error {
	rotations, err := ParseRotations(p.Rotations)
	if err != nil {
		return err
	}
	keys := known.clone()
	if !slices.ContainsFunc(keys.list, func(v note.Verifier) bool { return v.Name() == origin }) {
		if err := keys.Add(p.Key); err != nil {
			return err
		}
	}
	if err := keys.Extend(rotations...); err != nil {
		return err
	}
	c, err := ParseCheckpoint(p.Checkpoint)
	if err != nil {
		return err
	}
	for _, x := range []*Checkpoint{&c, held} {
		if by, err := x.SignedBy(keys); err != nil || x.Origin != origin || !slices.Contains(by, origin) {
			return errors.Join(fmt.Errorf("the checkpoint at %d is not signed by %s with a key that is known", x.Size, NodeOf(origin)), err)
		}
	}
	switch {
	case c.Size < held.Size:
		return fmt.Errorf("it has %d records, and there were %d: it was truncated, or an old copy was put back", c.Size, held.Size)
	case held.Size == 0:
		return nil
	}
	if err := tlog.CheckTree(p.Proof, int64(c.Size), c.Root, int64(held.Size), held.Root); err != nil && (c.Size != held.Size || c.Root != held.Root) {
		return fmt.Errorf("it has another history than when it had %d records", held.Size)
	}
	return nil
}

// Witness signs checkpoints of other nodes' logs, each only if it continues the one
// that it signed before. It remembers what it signed in files of its own, one a
// node. Safe for concurrent use.
type Witness struct {
	dir    string
	signer *Signer
	mu     sync.Mutex
}

// NewWitness makes the witness of a node, whose own log is in dir.
func NewWitness(dir string, s *Signer) (*Witness, error) {
	dir = filepath.Join(dir, dirWitness)
	for _, part := range []string{dirHeld, dirKeys} {
		if err := os.MkdirAll(filepath.Join(dir, part), 0o700); err != nil {
			return nil, fmt.Errorf("make the directory of the audit witness: %w", err)
		}
	}
	return &Witness{dir: dir, signer: s}, nil
}

// Use lets the witness sign with another key.
func (w *Witness) Use(s *Signer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signer = s
}

// Parts of a witness's directory, each with a file for each node.
const (
	dirHeld = "checkpoints"
	dirKeys = "keys"
)

// Sign looks at what a node presents, and signs it if it continues what was signed
// before. origin is who presents it, as the transport knows. A conflict is an answer,
// not an error.
func (w *Witness) Sign(origin string, p *Presented) (*Witnessed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := &Witnessed{Key: w.signer.Public}
	c, err := ParseCheckpoint(p.Checkpoint)
	if err != nil {
		return nil, err
	}
	keys := &Keys{}
	if err := keys.Add(p.Key); err != nil {
		return nil, err
	}
	if by, err := c.SignedBy(keys); err != nil || c.Origin != origin || !slices.Contains(by, origin) {
		return nil, errors.Join(fmt.Errorf("the checkpoint is not one of %s, signed by it", origin), err)
	}
	node, file := NodeOf(origin), filepath.Base(origin)
	known, err := readFile(filepath.Join(w.dir, dirKeys, file))
	if err != nil {
		return nil, fmt.Errorf("read the key of an audit log: %w", err)
	}
	held, err := readCheckpoints(filepath.Join(w.dir, dirHeld, file))
	if err != nil {
		return nil, err
	}
	if k := strings.TrimSpace(string(known)); k != "" && k != p.Key {
		signed := uint64(0)
		if len(held) > 0 {
			signed = held[len(held)-1].Size
		}
		if err := follows(origin, k, p, signed); err != nil {
			out.Conflict = fmt.Sprintf("the audit log of %s is signed with another key than before: %v", node, err)
			return out, nil
		}
	}
	if len(held) > 0 {
		last := held[len(held)-1]
		switch {
		case c.Size < last.Size:
			out.Held = last.Size
			out.Conflict = fmt.Sprintf("the audit log of %s has %d records, and had %d at %s: it was truncated, or an old copy was put back", node, c.Size, last.Size, last.Time.Format("2006-01-02T15:04:05Z"))
			return out, nil
		case c.Size == last.Size && c.Root == last.Root:
			out.Checkpoint, out.Held = last.Note, last.Size
			return out, nil
		case c.Size > last.Size && p.From != last.Size && last.Size > 0:
			out.Held = last.Size // it will be presented again from there
			return out, nil
		case last.Size > 0:
			if err := tlog.CheckTree(p.Proof, int64(c.Size), c.Root, int64(last.Size), last.Root); err != nil || c.Size == last.Size {
				out.Held = last.Size
				out.Conflict = fmt.Sprintf("the audit log of %s has another history than at %s, when it had %d records", node, last.Time.Format("2006-01-02T15:04:05Z"), last.Size)
				return out, nil
			}
		}
	}
	if err := c.sign(w.signer); err != nil {
		return nil, err
	}
	if err := w.keep(file, p.Key, &c); err != nil {
		return nil, err
	}
	out.Checkpoint, out.Held = c.Note, c.Size
	return out, nil
}

// follows says why the key that a node presents does not follow the one that is known of
// it, whose log had signed records when it was seen last.
func follows(origin, known string, p *Presented, signed uint64) error {
	list, err := ParseRotations(p.Rotations)
	if err != nil {
		return err
	}
	for range list {
		n := slices.IndexFunc(list, func(r Rotation) bool { return r.Origin == origin && r.Old == known })
		switch {
		case n < 0:
			return errors.New("no note that both keys signed says so")
		case list[n].Size < signed:
			return fmt.Errorf("the old one was replaced at record %d, and signed %d", list[n].Size, signed)
		case list[n].New == p.Key:
			return nil
		}
		known = list[n].New
	}
	return errors.New("no note that both keys signed says so")
}

// keep remembers a checkpoint before its signature goes out.
func (w *Witness) keep(file, key string, c *Checkpoint) error {
	if err := writeFile(filepath.Join(w.dir, dirKeys, file), []byte(key+"\n")); err != nil {
		return fmt.Errorf("keep the key of an audit log: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(w.dir, dirHeld, file), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep a checkpoint: %w", err)
	}
	return errors.Join(appendCheckpoint(f, c), f.Close())
}

// Held lists what the witness in the log directory dir signed of the logs of a node,
// the newest last.
func Held(dir, node string) ([]Checkpoint, error) {
	files, err := filepath.Glob(filepath.Join(dir, dirWitness, dirHeld, "*@*"))
	if err != nil {
		return nil, err
	}
	var out []Checkpoint
	for _, f := range files {
		if name, _, _ := strings.Cut(filepath.Base(f), "@"); name != node {
			continue
		}
		list, err := readCheckpoints(f)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	slices.SortStableFunc(out, func(a, b Checkpoint) int { return a.Time.Compare(b.Time) })
	return out, nil
}
