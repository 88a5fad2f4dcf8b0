package transitions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stepsKeptMax bounds the steps in the file. Of older transitions only the outline stays.
const stepsKeptMax = 20000

// saveEvery is the least time between two writes of the file.
const saveEvery = 5 * time.Second

// Open returns a recorder that goes on with what an earlier one has left in a file, and
// keeps its own there: so that a daemon, or a DC, that is new has a past, too. The error
// is that of a file which can't be read; the recorder then begins anew.
func Open(file string) (*Recorder, error) {
	r := &Recorder{file: file}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r.all)
	}
	if err != nil {
		r.all = nil
		return r, fmt.Errorf("read the transitions of the past: %w", err)
	}
	for i, t := range r.all {
		if t == nil {
			r.all = nil
			return r, fmt.Errorf("read the transitions of the past: number %d is empty", i)
		}
		t.interrupted()
	}
	r.all = r.all[max(0, len(r.all)-kept):]
	return r, nil
}

// interrupted ends a transition that went on when its recorder ended: what became of the
// rest, nobody here has seen.
func (t *Transition) interrupted() {
	if !t.Ended.IsZero() {
		return
	}
	t.Ended = t.Began
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Ended.IsZero() {
			s.State = Unseen
		}
		if s.Ended.After(t.Ended) {
			t.Ended = s.Ended
		}
	}
}

// save writes the file, where there is one and something is new.
func (r *Recorder) save() error {
	r.mu.Lock()
	if r.file == "" || !r.dirty {
		r.mu.Unlock()
		return nil
	}
	out, steps := make([]Transition, len(r.all)), 0
	for i := len(r.all) - 1; i >= 0; i-- {
		out[i] = *r.all[i]
		if steps += len(out[i].Steps); steps > stepsKeptMax {
			out[i].Steps = nil
		}
	}
	b, err := json.Marshal(out)
	r.dirty = false
	r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("keep the transitions: %w", err)
	}
	// No sync: after a power loss an older past will do, and a torn file begins anew.
	fresh := filepath.Join(filepath.Dir(r.file), ".transitions")
	if err := os.WriteFile(fresh, b, 0o600); err != nil {
		return fmt.Errorf("keep the transitions: %w", err)
	}
	if err := os.Rename(fresh, r.file); err != nil {
		return fmt.Errorf("keep the transitions: %w", err)
	}
	return nil
}
