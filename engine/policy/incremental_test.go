package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// freeze returns a copy of a world that shares with an earlier copy what did not
// change, as the snapshots of a cluster do.
func freeze(w *world, before *cib.Snapshot) *cib.Snapshot {
	s, c := *w.Snapshot, *w.Config
	s.Config = &c
	c.Nodes = freezeMap(c.Nodes, before.Config.Nodes)
	c.Resources = freezeMap(c.Resources, before.Config.Resources)
	c.Constraints = freezeMap(c.Constraints, before.Config.Constraints)
	c.FenceDevices = freezeMap(c.FenceDevices, before.Config.FenceDevices)
	c.Tickets = freezeMap(c.Tickets, before.Config.Tickets)
	st, old := &s.Status, &before.Status
	st.View = share(st.View, old.View)
	st.Members = freezeMap(st.Members, old.Members)
	st.Nodes = freezeMap(st.Nodes, old.Nodes)
	st.Attributes = freezeMap(st.Attributes, old.Attributes)
	st.Requests = freezeMap(st.Requests, old.Requests)
	st.Histories = freezeMaps(st.Histories, old.Histories)
	st.Pending = freezeMaps(st.Pending, old.Pending)
	return &s
}

func freezeMap[V any](m, before map[string]*V) map[string]*V {
	out := make(map[string]*V, len(m))
	for k, v := range m {
		out[k] = share(v, before[k])
	}
	return out
}

func freezeMaps[V any](m, before map[string]map[string]*V) map[string]map[string]*V {
	out := make(map[string]map[string]*V, len(m))
	for k, v := range m {
		out[k] = freezeMap(v, before[k])
	}
	return out
}

// share returns the earlier copy if it says the same, else a new one.
func share[V any](v, before *V) *V {
	b, _ := json.Marshal(v)
	if a, _ := json.Marshal(before); before != nil && string(a) == string(b) {
		return before
	}
	out := new(V)
	if v == nil || json.Unmarshal(b, out) != nil {
		return v
	}
	return out
}

// canonical writes a decision so that the order in which independent actions are
// listed does not matter.
func canonical(p *graph.Placement, g *graph.Graph) string {
	var b strings.Builder
	for i := range p.Instances {
		fmt.Fprintf(&b, "%+v\n", p.Instances[i])
	}
	name := func(i int) string { return g.Actions[i].String() }
	var lines []string
	for i := range g.Actions {
		a := g.Actions[i]
		var after []string
		for _, k := range a.After {
			after = append(after, name(k))
		}
		slices.Sort(after)
		a.After = nil
		lines = append(lines, fmt.Sprintf("%s: %+v after %s", name(i), a, strings.Join(after, ", ")))
	}
	slices.Sort(lines)
	return b.String() + strings.Join(lines, "\n")
}

// sameDecision holds a decision of a planner to the one that is made anew.
func sameDecision(t *rapid.T, s *cib.Snapshot, w *world, d policy.Decision, log []string) {
	p, g, next := policy.Decide(s, w.now)
	want, got := canonical(p, g), canonical(d.Placement, d.Graph)
	if got != want {
		t.Fatalf("decided in part:\n%s\n\nas a whole:\n%s\n\nin\n%s", got, want, strings.Join(log, "\n"))
	}
	if !next.IsZero() && (d.Next.IsZero() || d.Next.After(next)) {
		t.Fatalf("the next change is at %v, not at %v", next, d.Next)
	}
	if d.Fault != nil {
		t.Fatalf("%v\nin\n%s", d.Fault, strings.Join(log, "\n"))
	}
	if d.Placement.Revision != s.Revision || d.Graph.Revision != s.Revision {
		t.Fatalf("a decision about revision %d, not %d", d.Graph.Revision, s.Revision)
	}
}

// alter changes what concerns one resource, or a few.
func alter(t *rapid.T, w *world, log []string) []string {
	node := func() string {
		return fmt.Sprintf("n%d", rapid.IntRange(1, len(w.Config.Nodes)).Draw(t, "node"))
	}
	ids := slices.Sorted(maps.Keys(w.Config.Resources))
	id := rapid.SampledFrom(ids).Draw(t, "id")
	var line string
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		id := fmt.Sprintf("q%d", rapid.IntRange(0, 3).Draw(t, "new"))
		if w.Config.Resources[id] != nil {
			return log
		}
		line = fmt.Sprintf("primitive %s stickiness=%d priority=%d", id, rapid.SampledFrom([]int{0, 10}).Draw(t, "stickiness"), rapid.IntRange(0, 1).Draw(t, "priority"))
	case 1:
		inner := false
		for _, r := range w.Config.Resources {
			inner = inner || slices.Contains(r.Group, id) || r.Clone != nil && r.Clone.Resource == id
		}
		if inner || len(ids) == 1 {
			return log
		}
		delete(w.Config.Resources, id)
		return append(log, "deleted "+id)
	case 2:
		line = fmt.Sprintf("location x%d %s %s %d", rapid.IntRange(0, 3).Draw(t, "constraint"), id, node(), rapid.SampledFrom([]int{100, 10, -10}).Draw(t, "score"))
	case 3:
		line = fmt.Sprintf("order y%d %s then %s", rapid.IntRange(0, 1).Draw(t, "constraint"), id, rapid.SampledFrom(ids).Draw(t, "then"))
	case 4:
		line = fmt.Sprintf("colocation z%d %s with %s %s", rapid.IntRange(0, 1).Draw(t, "constraint"), id, rapid.SampledFrom(ids).Draw(t, "with"), rapid.SampledFrom([]string{"INFINITY", "-INFINITY", "20"}).Draw(t, "score"))
	case 5:
		all := slices.Sorted(maps.Keys(w.Config.Constraints))
		if len(all) == 0 {
			return log
		}
		gone := rapid.SampledFrom(all).Draw(t, "gone")
		delete(w.Config.Constraints, gone)
		return append(log, "deleted "+gone)
	case 6:
		return append(log, disturb(t, w))
	default: // the plan goes on
		_, g, _ := policy.Decide(w.Snapshot, w.now)
		w.end(g)
		var ready []int
		for i := range g.Actions {
			if len(g.Actions[i].After) == 0 {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			return log
		}
		a := g.Actions[rapid.SampledFrom(ready).Draw(t, "action")].Action
		w.begin(g, &a)
		if a.Op != cib.OpFence && rapid.Bool().Draw(t, "asked") && w.Status.Pending[a.Node][a.Instance] == nil {
			a.ID = fmt.Sprint("t.", len(log))
			if w.Status.Pending[a.Node] == nil {
				w.Status.Pending[a.Node] = map[string]*cib.Pending{}
			}
			w.Status.Pending[a.Node][a.Instance] = &cib.Pending{Action: a, State: cib.ActionRunning}
			return append(log, a.String()+": asked")
		}
		rc := a.Expected
		if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
			rc = 1
		}
		w.do(&a, rc)
		return append(log, fmt.Sprintf("%s: %d", a.String(), rc))
	}
	if err := w.parse(line); err != nil {
		t.Fatal(err)
	}
	return append(log, line)
}

// TestPlanner: whatever changes, a planner that decides only about what has
// changed says what a decision about everything would.
func TestPlanner(t *testing.T) {
	reused := 0
	rapid.Check(t, func(t *rapid.T) {
		w, text := drawWorld(t)
		log := []string{text}
		if rapid.Bool().Draw(t, "ties") {
			w.Config.Cluster.Options.TieBreak = "pacemaker"
			log = append(log, "option tie-break=pacemaker")
		}
		// More that has nothing to do with the rest.
		for i := range rapid.IntRange(0, 8).Draw(t, "others") {
			line := fmt.Sprintf("primitive s%d stickiness=%d", i, rapid.SampledFrom([]int{0, 10}).Draw(t, "stickiness"))
			if err := w.parse(line); err != nil {
				t.Fatal(err)
			}
			log = append(log, line)
		}
		var p policy.Planner
		s := cib.Empty()
		for range rapid.IntRange(2, 12).Draw(t, "steps") {
			w.Revision++
			s = freeze(w, s)
			d := p.Decide(s, w.now)
			reused += p.Reused
			sameDecision(t, s, w, d, log)
			log = alter(t, w, log)
		}
	})
	if reused == 0 {
		t.Error("nothing was ever taken from the decision before")
	}
	t.Logf("%d assignments were taken from the decision before", reused)
}

// TestPlannerSeesEverything: whatever relates resources is known to the planner. A
// new field needs a place in one of the lists, and in parts.go if it names one.
func TestPlannerSeesEverything(t *testing.T) {
	for _, c := range []struct {
		of    any
		known string
	}{
		// What these name of other resources joins them; see childrenOf and constrained.
		{cib.Resource{}, "Description Agent Group Clone Parameters Operations Meta Utilization Position Number Restarts Bundle"},
		{cib.Clone{}, "Resource Max NodeMax Min GloballyUnique Interleave Ordered Notify Promotable PromotedMax PromotedNodeMax"},
		{cib.Constraint{}, "Location Colocation Order Ticket"},
		{cib.Location{}, "Resource Pattern Node Score Role Rule ScoreAttribute Discovery UntilReached"},
		{cib.Colocation{}, "Resource With Score Role WithRole NodeAttribute Influence"},
		{cib.Order{}, "First FirstAction Then ThenAction Kind Symmetrical RequireAll Alternative"},
		{cib.TicketConstraint{}, "Resource Ticket Role LossPolicy"},
	} {
		known := strings.Fields(c.known)
		for f := range reflect.TypeOf(c.of).Fields() {
			if name := f.Name; !slices.Contains(known, name) {
				t.Errorf("%T.%s is new: does Planner have to look at it, or does it relate resources? See parts.go, then list it here", c.of, name)
			}
		}
	}
}
