package policy

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Active lists where instances are active, or must be taken to be, as both phases
// see it.
func Active(s *cib.Snapshot, now time.Time) []graph.Activity {
	u := unpack(s, now)
	var out []graph.Activity
	for _, l := range u.byKey {
		for _, f := range l.facts {
			if f.role <= cib.RoleStopped || f.dead && !u.leftBehind(l, f) {
				continue
			}
			a := graph.Activity{Instance: l.key, Resource: l.key, Node: u.nodes[f.node].name, Role: f.role}
			if l.rsc != nil {
				a.Resource = l.rsc.base
			} else if f.history != nil {
				a.Resource = f.history.Resource
			}
			out = append(out, a)
		}
	}
	return out
}

// leftBehind reports whether an instance still runs on a node that left cleanly:
// what is not managed is not stopped before.
func (u *state) leftBehind(l *ledger, f *fact) bool {
	n := &u.nodes[f.node]
	return n.status != nil && n.status.State == cib.NodeOffline && l.rsc != nil && !u.managedOn(l.rsc, f.node)
}
