// Package transitions remembers what the cluster has done: the graphs of the newest
// transitions, as this node saw them, also before it was started anew. The engine keeps none, since a plan holds only
// what is still to do. What was over before this node looked at the plan shows by its results, which the store keeps.
package transitions

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Limits.
const (
	kept     = 100  // transitions
	stepsMax = 5000 // of one transition; those behind are not remembered
)

// rest is how long nothing must be to do for a transition to be over: what one result
// makes necessary belongs to it.
const rest = time.Second

// The states of a step. Before it ends it has the state that the plan says: waiting,
// asked or running.
const (
	Done   = "done"
	Failed = "failed"
	Unseen = "unseen" // it is no longer to be done, and this node did not see it asked for: it was quick, or not needed after all
)

// Transition is a time in which the cluster had something to do.
type Transition struct {
	ID         int64     `json:"id"` // the revision of the state in which it was first seen
	Began      time.Time `json:"began"`
	Ended      time.Time `json:"ended,omitzero"` // none: it goes on
	Generation uint64    `json:"generation"`     // of the configuration, when it began
	DC         string    `json:"dc,omitempty"`
	Cause      string    `json:"cause,omitempty"` // of its first step
	Count      int       `json:"count"`           // of steps
	Failed     int       `json:"failed,omitempty"`
	Steps      []Step    `json:"steps,omitempty"`
}

// Step is one step of a transition.
type Step struct {
	Number int       `json:"number"`
	Text   string    `json:"text"` // "start web on n2"
	After  []int     `json:"after,omitempty"`
	Why    cib.Why   `json:"why"`
	State  string    `json:"state"` // waiting, asked, running, done, failed, unseen
	Ended  time.Time `json:"ended,omitzero"`
	Reason string    `json:"reason,omitempty"` // of a failure

	known bool // by its result
}

// Recorder collects transitions. It is safe for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	all  []*Transition // oldest first
	open *Transition
	at   map[string]int // of the steps of open that are not over, by text
	// results are the newest of each operation, by the text of its step: what was quicker
	// than the plan was looked at shows there.
	results map[string]time.Time

	file  string // where they are kept; "": nowhere
	dirty bool   // there is something that the file has not
}

// Observe takes in a state and the plan that was made from it.
func (r *Recorder) Observe(now time.Time, sum *status.Summary, plan *api.PlanSummary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	busy := len(plan.Steps)+len(sum.Actions) > 0
	news := r.news(sum)
	if !busy && r.open == nil {
		if news = r.late(news); len(news) == 0 {
			return
		}
	}
	if r.open == nil {
		r.begin(now, sum)
	}
	r.dirty = true
	seen := map[string]bool{}
	numbers := make([]int, len(plan.Steps)) // of the plan's steps in ours
	for i := range plan.Steps {
		s := &plan.Steps[i]
		seen[s.Text] = true
		numbers[i] = r.step(s.Text, s.State, s.Why)
		if n := numbers[i]; n >= 0 {
			for _, before := range s.After {
				if before < i && numbers[before] >= 0 && !slices.Contains(r.open.Steps[n].After, numbers[before]) {
					r.open.Steps[n].After = append(r.open.Steps[n].After, numbers[before])
				}
			}
		}
	}
	for i := range sum.Actions {
		a := &sum.Actions[i]
		if !seen[a.Text] {
			seen[a.Text] = true
			r.step(a.Text, a.State.String(), a.Why)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(r.at)) {
		if !seen[text] {
			r.end(now, sum, text)
		}
	}
	for _, n := range r.late(news) {
		r.missed(now, n)
	}
	if !busy {
		r.open.Ended = now
		r.open, r.at = nil, nil
	}
}

// begin begins a transition, or goes on with the last one.
func (r *Recorder) begin(now time.Time, sum *status.Summary) {
	r.at = map[string]int{}
	id := sum.Revision
	if n := len(r.all); n > 0 {
		if now.Sub(r.all[n-1].Ended) < rest {
			r.open = r.all[n-1] // it only drew breath
			r.open.Ended = time.Time{}
			return
		}
		id = max(id, r.all[n-1].ID+1)
	}
	r.open = &Transition{ID: id, Began: now, Generation: sum.Cluster.Generation, DC: sum.Cluster.DC}
	r.all = append(r.all, r.open)
	r.all = r.all[max(0, len(r.all)-kept):]
}

// news are the results that were not there when the state was looked at the last time, by
// the text of their steps. At the first look there are none. What only looks at a resource is
// left out.
func (r *Recorder) news(sum *status.Summary) []news {
	results, out := map[string]time.Time{}, []news{}
	for i := range sum.Resources {
		for j := range sum.Resources[i].Instances {
			x := &sum.Resources[i].Instances[j]
			for k := range x.Operations {
				o := &x.Operations[k]
				if o.Op == cib.OpMonitor || o.Op == cib.OpNotify || o.Interval != 0 {
					continue
				}
				text := (&cib.Action{Op: o.Op, Instance: x.Instance, Node: x.Node}).String()
				if o.Ended.After(results[text]) {
					results[text] = o.Ended
				}
				if r.results != nil && o.Ended.After(r.results[text]) {
					out = append(out, news{text, o})
				}
			}
		}
	}
	r.results = results
	slices.SortFunc(out, func(a, b news) int { return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.text, b.text)) })
	return out
}

// news is a result of which this node did not know.
type news struct {
	text string
	*status.Operation
}

// late leaves out what is said of a step of the newest transition already. A step whose end
// was seen before its result has it now.
func (r *Recorder) late(list []news) []news {
	if len(r.all) == 0 {
		return list
	}
	last := r.all[len(r.all)-1]
	return slices.DeleteFunc(slices.Clone(list), func(n news) bool {
		if _, going := r.at[n.text]; going {
			return true // it ends when the plan has it no longer
		}
		for i := range slices.Backward(last.Steps) {
			s := &last.Steps[i]
			switch {
			case s.Text != n.text:
			case s.known && s.Ended.Equal(n.Ended):
				return true
			case !s.known && !n.Ended.Before(last.Began.Add(-rest)) && (r.open != nil || n.Ended.Before(last.Ended.Add(rest))):
				r.dirty = true
				last.Failed += s.result(n.Operation)
				return true
			}
		}
		return false
	})
}

// missed notes a step that was over before this node saw it.
func (r *Recorder) missed(now time.Time, n news) {
	number := r.step(n.text, "waiting", cib.Why{})
	if number < 0 {
		return
	}
	delete(r.at, n.text)
	r.open.Failed += r.open.Steps[number].result(n.Operation)
	if began := n.Ended.Add(-n.Exec); began.Before(r.open.Began) && now.Sub(began) < time.Hour {
		r.open.Began = began
	}
}

// result ends a step with what became of it, and says how many more have failed.
func (s *Step) result(o *status.Operation) int {
	s.State, s.Ended, s.Reason, s.known = Done, o.Ended, "", true
	if !o.Failed {
		return 0
	}
	s.State, s.Reason = Failed, o.Reason
	return 1
}

// step notes the state of a step and returns its number; -1 where there are too many.
func (r *Recorder) step(text, state string, why cib.Why) int {
	n, ok := r.at[text]
	if !ok {
		if n = len(r.open.Steps); n >= stepsMax {
			return -1
		}
		r.at[text] = n
		r.open.Steps = append(r.open.Steps, Step{Number: n, Text: text, Why: why})
		if r.open.Cause == "" {
			r.open.Cause = why.Cause
		}
		r.open.Count++
	}
	r.open.Steps[n].State = state
	return n
}

// end says what became of a step that is no longer to be done.
func (r *Recorder) end(now time.Time, sum *status.Summary, text string) {
	s := &r.open.Steps[r.at[text]]
	delete(r.at, text)
	asked := s.State != "waiting"
	s.State, s.Ended = Unseen, now
	if asked {
		s.State = Done
	}
	words := strings.Fields(text) // "start web on n2", "monitor web every 10s on n2"
	n := len(words)
	if n < 4 || words[n-2] != "on" {
		return
	}
	if o := newest(sum, words[0], words[1], words[n-1]); o != nil && !o.Ended.Before(r.open.Began.Add(-time.Second)) {
		r.open.Failed += s.result(o)
	}
}

// newest is the newest result of an operation of an instance on a node.
func newest(sum *status.Summary, op, instance, node string) *status.Operation {
	var out *status.Operation
	for i := range sum.Resources {
		for j := range sum.Resources[i].Instances {
			x := &sum.Resources[i].Instances[j]
			if x.Instance != instance || x.Node != node {
				continue
			}
			for k := range x.Operations {
				if o := &x.Operations[k]; o.Op == op && (out == nil || o.Ended.After(out.Ended)) {
					out = o
				}
			}
		}
	}
	return out
}

// List returns the transitions without their steps, newest first.
func (r *Recorder) List() []Transition {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Transition, 0, len(r.all))
	for _, t := range slices.Backward(r.all) {
		short := *t
		short.Steps = nil
		out = append(out, short)
	}
	return out
}

// Get returns one with its steps; nil where there is none.
func (r *Recorder) Get(id int64) *Transition {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range slices.Backward(r.all) {
		if t.ID == id {
			out := *t
			out.Steps = slices.Clone(t.Steps)
			for i := range out.Steps {
				out.Steps[i].After = slices.Clone(out.Steps[i].After)
			}
			return &out
		}
	}
	return nil
}

// Planner is asked for what the cluster is about to do.
type Planner interface {
	Plan(ctx context.Context) (*api.PlanSummary, error)
}

// pauseMin is the least time between two plans that are asked for; one that takes long
// is asked for more rarely.
const pauseMin = 20 * time.Millisecond

// Run observes every state until ctx ends.
func (r *Recorder) Run(ctx context.Context, v *view.Holder, p Planner, log *slog.Logger) {
	keep := func() {
		if err := r.save(); err != nil {
			log.Warn("the past is kept in memory only", "err", err)
		}
	}
	defer keep()
	var save <-chan time.Time
	for {
		next := v.Next()
		pause := pauseMin
		if now := v.Current(); now.Known() && now.Problem == nil {
			began := time.Now()
			if plan, err := p.Plan(ctx); err == nil {
				r.Observe(time.Now().UTC(), now.Summary, plan)
			}
			pause = max(pause, 5*time.Since(began))
		}
		if save == nil {
			save = time.After(saveEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-save:
			keep()
			save = nil
			select {
			case <-ctx.Done():
				return
			case <-next:
			}
		case <-next:
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}
