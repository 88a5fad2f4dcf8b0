package compat

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// TestWords: in no case does anything wait without a word about what it waits for, or
// stay away from a node for a score that nobody explains.
func TestWords(t *testing.T) {
	dir := directory(t)
	if dir == "" {
		return // TestCases has said so
	}
	for _, c := range readCases(t, dir) {
		doc, err := os.ReadFile(filepath.Join(dir, "cases", c.name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		im, err := imported(doc, c.args)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		p, g := policy.Foresee(im.Snapshot, im.Now)
		active := policy.Active(im.Snapshot, im.Now)
		for i := range p.Instances {
			a := &p.Instances[i]
			if strings.Contains(a.Why.Cause, "the score of") {
				t.Errorf("%s: %s: only a score: %s", c.name, a.Instance, a.Why.Cause)
			}
			is := slices.ContainsFunc(active, func(x graph.Activity) bool {
				return x.Resource == a.Resource && x.Node == a.Node && (x.Role == cib.RolePromoted || a.Role != cib.RolePromoted)
			})
			done := slices.ContainsFunc(g.Actions, func(x graph.Action) bool { return x.Resource == a.Resource })
			if a.Blocked == "" && a.Node != "" && !is && !done {
				t.Errorf("%s: %s is not on %s as %s, nothing is done, and nothing said", c.name, a.Instance, a.Node, a.Role)
			}
		}
	}
}
