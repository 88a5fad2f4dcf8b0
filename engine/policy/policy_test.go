package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// TestGolden runs the cases in testdata/cases. Each file starts from an empty cluster
// with "cluster"; "change" goes on from the one before. Both print the
// placement and the plan. "run" carries the plan out until nothing is left to do.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/cases", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "cluster":
				w = newWorld()
				fallthrough
			case "change":
				if err := w.parse(d.Input); err != nil {
					d.Fatalf(t, "%v", err)
				}
				return decide(t, w)
			case "run":
				return run(t, w)
			case "foresee":
				return foresee(w)
			case "parameters":
				return parameters(w, d.CmdArgs[0].Key)
			case "explain":
				return explain(t, w, d.CmdArgs[0].Key)
			}
			d.Fatalf(t, "what is %q", d.Cmd)
			return ""
		})
	})
}

// foresee prints the plan with what waits for what is in flight.
func foresee(w *world) string {
	_, g := policy.Foresee(w.Snapshot, w.now)
	var b strings.Builder
	for i := range g.Actions {
		b.WriteString(actionText(g, i) + "\n")
	}
	return b.String()
}

// parameters prints what an instance is started with.
func parameters(w *world, instance string) string {
	_, g := policy.Foresee(w.Snapshot, w.now)
	var b strings.Builder
	for i := range g.Actions {
		if a := &g.Actions[i]; a.Instance == instance && a.Op == "start" {
			for _, name := range slices.Sorted(maps.Keys(a.Parameters)) {
				fmt.Fprintf(&b, "%s=%s\n", name, a.Parameters[name])
			}
		}
	}
	return b.String()
}

// decide prints placement and plan.
func decide(t *testing.T, w *world) string {
	t.Helper()
	p, g, _ := policy.Decide(w.Snapshot, w.now)
	if err := policy.Check(w.Snapshot, w.now, p, g); err != nil {
		t.Errorf("the plan is not correct: %v", err)
	}
	for _, text := range append(unclear(w), onlyScores(p)...) {
		t.Error(text)
	}
	var b strings.Builder
	for _, a := range p.Instances {
		b.WriteString(assignmentText(&a) + "\n")
	}
	if len(g.Actions) > 0 {
		b.WriteString("--\n")
	}
	for i := range g.Actions {
		b.WriteString(actionText(g, i) + "\n")
	}
	if next := policy.NextChange(w.Snapshot, w.now); !next.IsZero() {
		fmt.Fprintf(&b, "looks again in %s\n", next.Sub(w.now).Round(time.Second))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func assignmentText(a *graph.Assignment) string {
	s := a.Instance + ": "
	if a.Node == "" {
		s += a.Role.String()
	} else {
		s += fmt.Sprintf("%s on %s (%s)", a.Role, a.Node, a.Score)
	}
	if a.Why.Cause != "" {
		s += " since " + a.Why.Cause
	}
	if a.Why.Rule != "" {
		s += " [" + a.Why.Rule + "]"
	}
	if a.Blocked != "" {
		s += " BLOCKED: " + a.Blocked
	}
	return s
}

func actionText(g *graph.Graph, i int) string {
	a := &g.Actions[i]
	s := fmt.Sprintf("%d %s", i+1, a.String())
	if len(a.After) > 0 {
		s += " after"
		for _, n := range a.After {
			s += fmt.Sprintf(" %d", n+1)
		}
	}
	if a.InFlight != "" {
		s += " in flight"
	}
	if a.Delay > 0 {
		s += " delayed by " + a.Delay.String()
	}
	s += " -- " + a.Why.Cause
	if a.Why.Rule != "" {
		s += " [" + a.Why.Rule + "]"
	}
	if a.Why.Proof != "" {
		s += " (" + a.Why.Proof + ")"
	}
	return s
}

// run carries out one action after the other and computes everything anew after
// each, as the engine does.
func run(t *testing.T, w *world) string {
	t.Helper()
	var b strings.Builder
	for range 200 {
		p := policy.Place(w.Snapshot, w.now)
		g := policy.Plan(w.Snapshot, p, w.now)
		if err := policy.Check(w.Snapshot, w.now, p, g); err != nil {
			t.Errorf("the plan is not correct: %v", err)
		}
		w.end(g)
		if len(g.Actions) == 0 {
			for _, a := range p.Instances {
				s := a.Instance + ": " + a.Role.String()
				if a.Node != "" {
					s += " on " + a.Node
				}
				b.WriteString(s + "\n")
			}
			return b.String()
		}
		a := &g.Actions[0].Action
		b.WriteString(a.String() + "\n")
		w.begin(g, a)
		rc := a.Expected
		w.do(a, rc)
	}
	t.Error("it never comes to an end")
	return b.String()
}

func explain(t *testing.T, w *world, resource string) string {
	t.Helper()
	e, err := policy.Explain(w.Snapshot, resource, w.now)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, i := range e.Instances {
		b.WriteString(assignmentText(&i.Assignment) + "\n")
		if why := i.NotPromoted; why.Cause != "" {
			fmt.Fprintf(&b, "  not promoted since %s [%s]\n", why.Cause, why.Rule)
		}
		for _, n := range i.Nodes {
			fmt.Fprintf(&b, "  %s: %s", n.Node, n.Score)
			for k, p := range n.Parts {
				sep := ", "
				if k == 0 {
					sep = " = "
				}
				fmt.Fprintf(&b, "%s%s %s [%s]", sep, p.Score, p.Text, p.Rule)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
