package policy

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Check reports what is wrong with a plan.
func Check(s *cib.Snapshot, p *graph.Placement, g *graph.Graph) error {
	for i := range g.Actions {
		for _, k := range g.Actions[i].After {
			if k < 0 || k >= i {
				return checkf(g, i, "waits for action %d, which is not before it", k)
			}
		}
	}
	return nil
}

func checkf(g *graph.Graph, i int, format string, args ...any) error {
	return fmt.Errorf("action %d (%s) "+format, append([]any{i, g.Actions[i].String()}, args...)...)
}
