package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// FuzzSnapshot: whatever stands in a snapshot, a decision is made, and in part the
// same as a whole.
func FuzzSnapshot(f *testing.F) {
	for _, text := range []string{
		"nodes n1 n2 n3\noption placement-strategy=cost load-limit=50\nattribute n1 load=90 cost=5\nprimitive web monitor=10s stickiness=10\nprimitive db\ngroup g web db\nrunning web n1\nlocation l g n2 INFINITY",
		"nodes n1 n2\nprimitive a\nclone c a unique max=3 node-max=2 promotable\nprimitive b\ncolocation x c with b -INFINITY\norder o c then b\nprobed\nnode n1 unclean",
	} {
		w := newWorld()
		if err := w.parse(text); err != nil {
			f.Fatal(err)
		}
		b, err := json.Marshal(w.Snapshot)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := cib.Empty()
		if len(doc) > 1<<16 || json.Unmarshal(doc, s) != nil || s.Config == nil {
			return
		}
		p, g, _ := policy.Decide(s, noon)
		_ = policy.Check(s, noon, p, g)
		_ = policy.ExplainAll(s, noon)
		_ = policy.Ask(s, noon)
		var planner policy.Planner
		planner.Decide(cib.Empty(), noon)
		planner.Decide(s, noon)
		next := *s
		next.Revision++
		if d := planner.Decide(&next, noon); canonical(d.Placement, d.Graph) != canonical(p, g) {
			t.Errorf("in part:\n%s\nas a whole:\n%s", canonical(d.Placement, d.Graph), canonical(p, g))
		}
	})
}
