package sim

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/policy"

	"github.com/belay-ha/belay/engine/cib"
)

// Report is what came of many worlds.
type Report struct {
	Worlds  int
	Steps   int64         // events handled
	Virtual time.Duration // time lived in all worlds
	Took    time.Duration
	Failed  []Broken // in the order in which they were found
}

// Broken is a seed whose world broke a rule.
type Broken struct {
	Seed    uint64
	Nodes   int
	Failure *Failure
}

// Options say which worlds to run.
type Options struct {
	From, Seeds uint64
	Nodes       int    // 0: 3 to 7
	Every       uint64 // only each n-th seed; 0: all
	Workers     int    // 0: one for each processor
	FailuresMax int    // stop after so many; 0: one
	Mutant      *Mutant
}

// RunSeeds runs many worlds, each processor its own.
func RunSeeds(o Options) *Report {
	start := time.Now()
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // worlds are small and short-lived
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.FailuresMax == 0 {
		o.FailuresMax = 1
	}
	var (
		next, worlds   atomic.Uint64
		steps, virtual atomic.Int64
		mu             sync.Mutex
		rep            Report
		wg             sync.WaitGroup
	)
	var stop atomic.Bool
	for range o.Workers {
		wg.Go(func() {
			for !stop.Load() {
				i := next.Add(1) - 1
				if i >= o.Seeds {
					return
				}
				if o.Every > 1 {
					i *= o.Every
				}
				w := New(Generate(o.From+i, o.Nodes))
				w.mutant = o.Mutant
				f := w.Run()
				worlds.Add(1)
				steps.Add(int64(w.steps))
				virtual.Add(w.now)
				if f != nil {
					mu.Lock()
					rep.Failed = append(rep.Failed, Broken{Seed: o.From + i, Nodes: o.Nodes, Failure: f})
					if len(rep.Failed) >= o.FailuresMax {
						stop.Store(true)
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	rep.Worlds, rep.Steps, rep.Virtual, rep.Took = int(worlds.Load()), steps.Load(), time.Duration(virtual.Load()), time.Since(start)
	return &rep
}

// Trace runs a scenario again and writes what happened; linesMax 0 means all of it,
// else the last ones.
func Trace(sc *Scenario, mutant *Mutant, linesMax int, out io.Writer) *Failure {
	w := New(sc)
	w.tracing, w.mutant = true, mutant
	f := w.Run()
	lines := w.trace
	if linesMax > 0 && len(lines) > linesMax {
		_, _ = fmt.Fprintf(out, "... %d lines left out\n", len(lines)-linesMax)
		lines = lines[len(lines)-linesMax:]
	}
	_, _ = io.WriteString(out, strings.Join(lines, "\n")+"\n")
	return f
}

// PlanAt runs a scenario up to a time, and writes what is in flight then, and the plan
// that the policy makes of what the store has.
func PlanAt(sc *Scenario, at time.Duration, out io.Writer) {
	w := New(sc)
	w.runUntil(min(at, sc.Heal))
	if at > sc.Heal {
		w.heal()
		w.runUntil(at)
	}
	s := w.store.snap
	now := w.clock(s)
	place := policy.Place(s, now)
	plan := policy.Plan(s, place, now)
	for _, node := range sortedKeys(s.Status.Pending) {
		for _, id := range sortedKeys(s.Status.Pending[node]) {
			p := s.Status.Pending[node][id]
			_, _ = fmt.Fprintf(out, "in flight: %s (%s, %s)\n", p.Action.String(), p.ID, p.State)
		}
	}
	for i := range place.Instances {
		p := &place.Instances[i]
		_, _ = fmt.Fprintf(out, "placed: %s on %q as %s: %s %s\n", p.Instance, p.Node, p.Role, p.Why.Cause, p.Blocked)
	}
	for i := range plan.Actions {
		a := &plan.Actions[i]
		_, _ = fmt.Fprintf(out, "%d %s %s after %v: %s\n", i, a.String(), a.InFlight, a.After, a.Why.Cause)
	}
}

// Explain shrinks a broken seed and writes the scenario that is left and the end of
// its trace.
func Explain(b Broken, mutant *Mutant, limit time.Duration, linesMax int, out io.Writer) {
	sc := Shrink(Generate(b.Seed, b.Nodes), mutant, limit)
	_, _ = fmt.Fprintf(out, "seed %d: %v\n\nthe smallest scenario found:\n%s\n", b.Seed, b.Failure, sc)
	f := Trace(sc, mutant, linesMax, out)
	_, _ = fmt.Fprintf(out, "%v\n\nall of it: go run ./test/sim/cmd/belay-sim -seed %d -nodes %d -shrink -trace\n", f, b.Seed, b.Nodes)
}

// Snapshot is what the store has now.
func (w *World) Snapshot() *cib.Snapshot { return w.store.snap }
