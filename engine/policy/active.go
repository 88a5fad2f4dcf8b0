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
			if f.dead || f.role <= cib.RoleStopped {
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
