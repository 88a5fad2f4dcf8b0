package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Files beside the segments.
const (
	fileCheckpoints = "checkpoints" // signed checkpoints of this log, one a line
	fileKeys        = "keys"        // verifier keys, one a line
	dirWitness      = "witness"     // what this node signed of the logs of others
)

// Origin names the log of a node, and the key that signs it. The id tells a node
// from an earlier one with its name.
func Origin(cluster, node string, id uint32) string {
	return fmt.Sprintf("belay/%s/%s@%d", cluster, node, id)
}

// NodeOf is the node of an origin.
func NodeOf(origin string) string {
	name, _, _ := strings.Cut(origin[strings.LastIndexByte(origin, '/')+1:], "@")
	return name
}

// NewKey makes a key to sign the checkpoints of an origin with: secret, in the form
// of golang.org/x/mod/sumdb/note, and its public half, which others verify with.
func NewKey(origin string) (secret, public string, err error) {
	secret, public, err = note.GenerateKey(rand.Reader, origin)
	if err != nil {
		err = fmt.Errorf("make a key for the audit log: %w", err)
	}
	return secret, public, err
}

// Signer signs checkpoints with a node's key.
type Signer struct {
	signer note.Signer
	Public string
}

// Origin is whose key it is.
func (s *Signer) Origin() string { return s.signer.Name() }

// NewSigner reads both halves of a key.
func NewSigner(secret, public string) (*Signer, error) {
	s, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("read the key of the audit log: %w", err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("read the public key of the audit log: %w", err)
	}
	if s.Name() != v.Name() || s.KeyHash() != v.KeyHash() {
		return nil, errors.New("the two halves of the audit log's key do not belong together")
	}
	return &Signer{s, public}, nil
}

// Checkpoint is the state of a log at one moment, signed: in the format of C2SP
// tlog-checkpoint, with the time as an extension line.
type Checkpoint struct {
	Origin string    `json:"origin"`
	Size   uint64    `json:"size"` // records
	Root   tlog.Hash `json:"root"` // of the tree of these
	Time   time.Time `json:"time"` // when it was signed first
	Note   string    `json:"note"` // the whole, with its signatures
}

// text is what is signed.
func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", c.Origin, c.Size, c.Root, c.Time.UTC().Format(time.RFC3339))
}

// ParseCheckpoint reads a signed checkpoint. Whose signatures are good is for
// [Checkpoint.SignedBy] to say.
func ParseCheckpoint(text string) (Checkpoint, error) {
	body, _, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(body, "\n")
	bad := func(what string) (Checkpoint, error) {
		return Checkpoint{}, fmt.Errorf("not a checkpoint of an audit log: %s", what)
	}
	if !ok || len(lines) < 4 || len(text) > 64<<10 {
		return bad("origin, size, hash, time and signatures are wanted")
	}
	c := Checkpoint{Origin: lines[0], Note: text}
	var err error
	if c.Size, err = strconv.ParseUint(lines[1], 10, 63); err != nil {
		return bad("size: " + err.Error())
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return bad("hash: " + err.Error())
	}
	if c.Time, err = time.Parse(time.RFC3339, strings.TrimPrefix(lines[3], "time ")); err != nil {
		return bad("time: " + err.Error())
	}
	return c, nil
}

// Keys are the public keys that signatures are checked with.
type Keys struct {
	list      []note.Verifier
	text      []string
	retired   []retired
	rotations []Rotation
}

// Add adds a public key; one that is there already is no error.
func (k *Keys) Add(public string) error {
	public = strings.TrimSpace(public)
	v, err := note.NewVerifier(public)
	if err != nil {
		return fmt.Errorf("public key %q: %w", public, err)
	}
	if !slices.Contains(k.text, public) {
		k.list, k.text = append(k.list, v), append(k.text, public)
	}
	return nil
}

// All lists the keys as text.
func (k *Keys) All() []string { return slices.Clone(k.text) }

// ReadKeys reads the keys that a log in dir has come to know: those of its node and
// of the nodes that sign with it.
func ReadKeys(dir string) (*Keys, error) {
	b, err := readFile(filepath.Join(dir, fileKeys))
	if err != nil {
		return nil, fmt.Errorf("read the keys of the audit log: %w", err)
	}
	return ParseKeys(string(b))
}

// ParseKeys reads keys, one a line.
func ParseKeys(text string) (*Keys, error) {
	k := &Keys{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if err := k.Add(line); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// SignedBy lists the origins whose good signatures the checkpoint has. The error
// says that it has a bad one, or none that is known.
func (c *Checkpoint) SignedBy(k *Keys) ([]string, error) {
	n, err := note.Open([]byte(c.Note), note.VerifierList(k.list...))
	if err != nil {
		return nil, fmt.Errorf("checkpoint at %d: %w", c.Size, err)
	}
	if n.Text != c.text() {
		return nil, fmt.Errorf("checkpoint at %d says more than it should", c.Size)
	}
	var out []string
	for i := range n.Sigs {
		if err := k.overdue(c, &n.Sigs[i]); err != nil {
			return nil, fmt.Errorf("checkpoint at %d: %w", c.Size, err)
		}
		out = append(out, n.Sigs[i].Name)
	}
	return out, nil
}

// sign signs a checkpoint, keeping the signatures that it has.
func (c *Checkpoint) sign(s *Signer) error {
	n := &note.Note{Text: c.text()}
	if c.Note != "" {
		_, sigs, _ := strings.Cut(c.Note, "\n\n")
		n.UnverifiedSigs = signatures(sigs)
	}
	b, err := note.Sign(n, s.signer)
	if err != nil {
		return fmt.Errorf("sign a checkpoint of the audit log: %w", err)
	}
	c.Note = string(b)
	return nil
}

// signatures reads signature lines without knowing the keys.
func signatures(text string) []note.Signature {
	var out []note.Signature
	for line := range strings.Lines(text) {
		name, b64, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "— "), " ")
		if !ok {
			continue
		}
		if hash, ok := keyHash(b64); ok {
			out = append(out, note.Signature{Name: name, Hash: hash, Base64: b64})
		}
	}
	return out
}

// merge adds the signatures of another copy of the same checkpoint.
func (c *Checkpoint) merge(other *Checkpoint) bool {
	if other.text() != c.text() {
		return false
	}
	_, have, _ := strings.Cut(c.Note, "\n\n")
	_, more, _ := strings.Cut(other.Note, "\n\n")
	added := false
	for line := range strings.Lines(more) {
		if !strings.Contains(have, line) {
			have += line
			added = true
		}
	}
	c.Note = c.text() + "\n" + have
	return added
}

func (l *Log) openCheckpoints() error {
	path := filepath.Join(l.dir, fileCheckpoints)
	list, err := readCheckpoints(path)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		l.last = list[len(list)-1]
	} else {
		l.last.Root = (&frontier{}).root()
	}
	if l.checkpoints, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open the checkpoints of the audit log: %w", err)
	}
	return nil
}

// readCheckpoints reads a file of checkpoints. Of several with the same size, as
// signatures were added, the last counts. A last line that a crash cut short is left
// out.
func readCheckpoints(path string) ([]Checkpoint, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	var out []Checkpoint
	for number := 1; ; number++ {
		line, rest, ended := bytes.Cut(b, []byte("\n"))
		if !ended {
			return out, nil
		}
		b = rest
		var text string
		if err := json.Unmarshal(line, &text); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", path, number, err)
		}
		c, err := ParseCheckpoint(text)
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", path, number, err)
		}
		if n := len(out); n > 0 && out[n-1].text() == c.text() {
			out[n-1] = c
		} else {
			out = append(out, c)
		}
	}
}

// appendCheckpoint writes one durably.
func appendCheckpoint(f *os.File, c *Checkpoint) error {
	b, err := json.Marshal(c.Note)
	if err == nil {
		_, err = f.Write(append(b, '\n'))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write a checkpoint of the audit log: %w", err)
	}
	return nil
}

// Checkpoint signs the log as it is now. Without new records it returns the last
// one.
func (l *Log) Checkpoint(s *Signer) (Checkpoint, error) {
	if err := l.failed(); err != nil {
		return Checkpoint{}, err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	return l.checkpoint(s)
}

func (l *Log) checkpoint(s *Signer) (Checkpoint, error) {
	if err := l.usable(s); err != nil {
		return Checkpoint{}, err
	}
	if l.seq == l.last.Size && (l.last.Note != "" || l.seq == 0) {
		return l.last, nil
	}
	// What is signed must be there after a crash.
	if err := l.fillTree(); err != nil {
		return Checkpoint{}, err
	}
	if err := l.tree.f.Sync(); err != nil {
		return Checkpoint{}, fmt.Errorf("write the tree of the audit log: %w", err)
	}
	c := Checkpoint{Origin: s.signer.Name(), Size: l.seq, Root: l.edge.root(), Time: time.Now().UTC().Truncate(time.Second)}
	if err := c.sign(s); err != nil {
		return c, err
	}
	if err := appendCheckpoint(l.checkpoints, &c); err != nil {
		return c, err
	}
	l.last = c
	return c, nil
}

// Cosigned keeps the signatures of others on a checkpoint of this log.
func (l *Log) Cosigned(c Checkpoint) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	if l.checkpoints == nil {
		return ErrClosed
	}
	if c.Size == l.last.Size {
		if !l.last.merge(&c) {
			return nil
		}
		c = l.last
	}
	return appendCheckpoint(l.checkpoints, &c)
}

// Last is the newest checkpoint; its Note is "" while there is none.
func (l *Log) Last() Checkpoint {
	l.disk.Lock()
	defer l.disk.Unlock()
	return l.last
}

// Learn keeps public keys beside the log, so that it can be verified where it lies.
func (l *Log) Learn(public ...string) error {
	k, err := ReadKeys(l.dir)
	if err != nil {
		return err
	}
	had := len(k.text)
	for _, p := range public {
		if err := k.Add(p); err != nil {
			return err
		}
	}
	if len(k.text) == had {
		return nil
	}
	return writeFile(filepath.Join(l.dir, fileKeys), []byte(strings.Join(k.text, "\n")+"\n"))
}
