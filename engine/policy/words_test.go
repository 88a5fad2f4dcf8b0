package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// unclear lists what a decision does not say enough about: a resource that is not as
// placed while nothing is done about it and no word is said.
func unclear(w *world) []string {
	p, g := policy.Foresee(w.Snapshot, w.now)
	active := policy.Active(w.Snapshot, w.now)
	var out []string
	for i := range p.Instances {
		a := &p.Instances[i]
		if a.Blocked != "" || a.Node == "" {
			continue
		}
		is := slices.ContainsFunc(active, func(x graph.Activity) bool {
			return x.Resource == a.Resource && x.Node == a.Node && (x.Role == cib.RolePromoted || a.Role != cib.RolePromoted)
		})
		done := slices.ContainsFunc(g.Actions, func(x graph.Action) bool { return x.Resource == a.Resource })
		if !is && !done {
			out = append(out, "nothing is done, and nothing said: "+assignmentText(a))
		}
	}
	return out
}

// onlyScores lists the reasons that name a score without what made it.
func onlyScores(p *graph.Placement) []string {
	var out []string
	for i := range p.Instances {
		a := &p.Instances[i]
		if strings.Contains(a.Why.Cause, "the score of") || strings.Contains(a.NotPromoted.Cause, "score on "+a.Node+" is negative") {
			out = append(out, "only a score: "+assignmentText(a)+" "+a.NotPromoted.Cause)
		}
	}
	return out
}

// TestWords: what is decided is said.
func TestWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, text := drawWorld(t)
		for range rapid.IntRange(0, 3).Draw(t, "disturbances") {
			text += disturb(t, w) + "\n"
		}
		if list := unclear(w); len(list) > 0 {
			t.Fatalf("%s\nin\n%s\n%s", strings.Join(list, "\n"), text, fmt.Sprint(planText(w)))
		}
	})
}
