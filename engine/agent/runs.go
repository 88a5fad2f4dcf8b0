package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runVariable marks what an agent starts, so that a run can be found whose
// process number was not written down in time.
const runVariable = "BELAY_RUN"

// recordMaxBytes is more than any record of a run needs.
const recordMaxBytes = 64 << 10

// record is what stands on disk about a running agent.
type record struct {
	Run      string    `json:"run"`
	ActionID string    `json:"actionId,omitempty"`
	Instance string    `json:"instance,omitempty"`
	Agent    string    `json:"agent"`
	Op       string    `json:"op"`
	Path     string    `json:"path"`
	Args     []string  `json:"args,omitempty"`
	Began    time.Time `json:"began"`
	Process  process   `json:"process"`
}

// runs keeps one small file for each running agent. They need no fsync: they
// outlive the engine, and the processes they name don't outlive the machine.
type runs struct {
	dir    string
	prefix string // different for every engine on this directory

	mu     sync.Mutex
	next   uint64
	active map[string]bool
}

func openRuns(dir string) (*runs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for running agents: %w", err)
	}
	own, err := identify(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("own process: %w", err)
	}
	prefix := strconv.Itoa(own.PID) + "-" + strconv.FormatUint(own.Start, 36) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	return &runs{dir: dir, prefix: prefix, active: map[string]bool{}}, nil
}

// entry is the file of one run.
type entry struct {
	runs *runs
	rec  record
	file string
}

// begin writes down that an agent is about to be started.
func (rs *runs) begin(rec record) (*entry, error) {
	rs.mu.Lock()
	rs.next++
	rec.Run = rs.prefix + "-" + strconv.FormatUint(rs.next, 10)
	rs.active[rec.Run] = true
	rs.mu.Unlock()
	rec.Began = time.Now()
	e := &entry{runs: rs, rec: rec, file: filepath.Join(rs.dir, rec.Run+".json")}
	if err := e.write(); err != nil {
		e.end()
		return nil, fmt.Errorf("record the run of %s: %w", rec.Agent, err)
	}
	return e, nil
}

func (e *entry) variable() string { return runVariable + "=" + e.rec.Run }

// started adds the process. If that fails, the run is still found by its mark.
func (e *entry) started(p process) {
	e.rec.Process = p
	_ = e.write()
}

func (e *entry) write() error { return writeJSON(e.file, e.rec) }

func (e *entry) end() {
	_ = os.Remove(e.file)
	e.runs.mu.Lock()
	delete(e.runs.active, e.rec.Run)
	e.runs.mu.Unlock()
}

// writeJSON replaces a file as a whole.
func writeJSON(file string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// readJSON reads a file that this package wrote; a broken one is an error.
func readJSON(file string, v any) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if st, err := f.Stat(); err != nil || st.Size() > recordMaxBytes {
		return errors.Join(err, fmt.Errorf("%s: larger than %d bytes", file, recordMaxBytes))
	}
	return json.NewDecoder(f).Decode(v)
}

// Leftover is an agent that an earlier engine started and that still runs.
type Leftover struct {
	ActionID string
	Instance string
	Agent    string
	Op       string
	PID      int
	Began    time.Time

	process process
	file    string
}

// Leftovers lists the agents that engines before this one started on the same
// state directory and that still run. Records of agents that have ended are
// removed. A record that cannot be read is moved aside and reported in the
// error, which does not make the list less true.
//
// What an agent's end was nobody knows then: a probe has to tell.
func (r *Runner) Leftovers() ([]Leftover, error) {
	files, err := filepath.Glob(filepath.Join(r.runs.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var list []Leftover
	var faults []error
	for _, file := range files {
		run := strings.TrimSuffix(filepath.Base(file), ".json")
		r.runs.mu.Lock()
		own := r.runs.active[run]
		r.runs.mu.Unlock()
		if own {
			continue
		}
		var rec record
		err := readJSON(file, &rec)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && rec.Run != run {
			err = fmt.Errorf("names run %q", rec.Run)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("record of a running agent, moved aside as %s.corrupt: %w", file, err))
			if err := os.Rename(file, file+".corrupt"); err != nil {
				faults = append(faults, err)
			}
			continue
		}
		id := rec.Process
		if id.PID == 0 {
			// The engine died between starting the agent and writing down its number.
			id, _ = findMarked(runVariable+"="+run, append([]string{rec.Path}, rec.Args...)...)
		}
		// Only the agent itself counts. When it has exited, what is left of
		// its group are daemons that it meant to leave.
		if !id.alive() {
			_ = os.Remove(file)
			continue
		}
		list = append(list, Leftover{
			ActionID: rec.ActionID, Instance: rec.Instance, Agent: rec.Agent, Op: rec.Op,
			PID: id.PID, Began: rec.Began, process: id, file: file,
		})
	}
	return list, errors.Join(faults...)
}

// KillLeftovers ends what Leftovers lists, each with its whole session, all at
// the same time, and returns the list. Call it before anything is run. The
// error names those that did not go.
func (r *Runner) KillLeftovers(ctx context.Context) ([]Leftover, error) {
	list, err := r.Leftovers()
	faults := make([]error, len(list)+1)
	faults[len(list)] = err
	var wg sync.WaitGroup
	for i, l := range list {
		wg.Go(func() {
			if ctx.Err() != nil {
				faults[i] = context.Cause(ctx)
				return
			}
			if !endSession(l.process, r.cfg.KillGrace) {
				faults[i] = fmt.Errorf("%s of %s (%s), process %d, does not end", l.Op, l.Instance, l.Agent, l.PID)
				return
			}
			_ = os.Remove(l.file)
		})
	}
	wg.Wait()
	return list, errors.Join(faults...)
}
