package policy

import (
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// unfenceInFlight is what an unfencing is in flight as: every node that is to be
// unfenced does that by itself, without being asked.
const unfenceInFlight = "unfence"

// planUnfences makes a step for every member whose devices are to switch it on: it
// was booted since, or a device was changed. What has no engine is left alone.
func (b *planner) planUnfences() {
	if !b.unfences {
		return
	}
	for i := range b.nodes[:b.members] {
		n := &b.nodes[i]
		if !n.member || n.lost || n.frozen || n.leaving {
			continue
		}
		why := b.s.Config.UnfencingDue(n.name, n.boot, b.s.Status.Attributes[n.name])
		if why == "" {
			continue
		}
		if b.unfence == nil {
			b.unfence = make([]int32, len(b.nodes))
			for k := range b.unfence {
				b.unfence[k] = noStep
			}
		}
		b.unfence[i] = b.add(step{op: cib.OpUnfence, node: n.index, required: true, why: cib.Why{Cause: why}, inFlight: unfenceInFlight})
	}
}

// awaitUnfences keeps what comes to a node, or is looked for there, waiting until the
// node is unfenced, where it requires that. What runs goes on.
func (b *planner) awaitUnfences() {
	if b.unfence == nil {
		return
	}
	for i := range b.steps {
		s := &b.steps[i]
		if !b.real(s) || !s.rsc.requiresUnfencing() {
			continue
		}
		at := s.node
		switch s.op {
		case cib.OpStart, cib.OpPromote, cib.OpMigrateFrom:
		case cib.OpMigrateTo:
			at = s.peer
		case cib.OpMonitor:
			if s.rank != rankProbe {
				continue
			}
		default:
			continue
		}
		b.relate(b.unfence[at], int32(i), before, "")
	}
}

// requiresUnfencing reports whether a node must be unfenced before an instance may
// come there. The connection of a remote node touches nothing that a device guards.
func (r *rsc) requiresUnfencing() bool {
	if strings.HasPrefix(r.agent, "stonith:") { // the agents that unfence can't look before either
		return true
	}
	return r.settings.requires == "unfencing" && r.connects == nowhere
}
