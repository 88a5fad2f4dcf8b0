package compat

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// canonical writes a decision so that the order in which independent actions are
// listed does not matter.
func canonical(p *graph.Placement, g *graph.Graph) string {
	lines := make([]string, 0, len(g.Actions))
	for i := range g.Actions {
		a := g.Actions[i]
		var after []string
		for _, k := range a.After {
			after = append(after, g.Actions[k].String())
		}
		slices.Sort(after)
		a.After = nil
		lines = append(lines, fmt.Sprintf("%+v after %s", a, strings.Join(after, ", ")))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%+v\n%s", p.Instances, strings.Join(lines, "\n"))
}

// alter returns a snapshot in which one thing is different: a resource is stopped
// or allowed, or a constraint is gone.
func alter(s *cib.Snapshot, r *rand.Rand) *cib.Snapshot {
	out, c := *s, *s.Config
	out.Config = &c
	out.Revision++
	ids, constraints := slices.Sorted(maps.Keys(c.Resources)), slices.Sorted(maps.Keys(c.Constraints))
	if len(constraints) > 0 && r.IntN(3) == 0 {
		c.Constraints = maps.Clone(c.Constraints)
		delete(c.Constraints, constraints[r.IntN(len(constraints))])
		return &out
	}
	if len(ids) == 0 {
		return &out
	}
	id := ids[r.IntN(len(ids))]
	x := *c.Resources[id]
	if x.Meta.TargetRole == cib.RoleStopped {
		x.Meta.TargetRole = 0
	} else {
		x.Meta.TargetRole = cib.RoleStopped
	}
	c.Resources = maps.Clone(c.Resources)
	c.Resources[id] = &x
	return &out
}

// TestPlanner: in every case, a planner that decides only about what has changed
// says what a decision about everything does.
func TestPlanner(t *testing.T) {
	dir := directory(t)
	if dir == "" {
		return // TestCases has said so
	}
	const changes = 4
	reused := 0
	for i, c := range readCases(t, dir) {
		doc, err := os.ReadFile(filepath.Join(dir, "cases", c.name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) > 500_000 {
			continue // the same, and slow
		}
		im, err := imported(doc, c.args)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(uint64(i), 2))
		var p policy.Planner
		s := im.Snapshot
		for n := range changes {
			d := p.Decide(s, im.Now)
			reused += p.Reused
			place, plan, _ := policy.Decide(s, im.Now)
			if got, want := canonical(d.Placement, d.Graph), canonical(place, plan); got != want {
				t.Errorf("%s, seed %d, change %d: decided in part:\n%s\nas a whole:\n%s", c.name, i, n, got, want)
				break
			}
			if fault := policy.Check(s, im.Now, place, plan); (fault == nil) != (d.Fault == nil) {
				t.Errorf("%s, seed %d, change %d: the plan is checked as %v, and in part as %v", c.name, i, n, fault, d.Fault)
				break
			}
			s = alter(s, r)
		}
	}
	if reused == 0 {
		t.Error("nothing was ever taken from the decision before")
	}
}
