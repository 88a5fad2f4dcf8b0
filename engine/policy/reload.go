package policy

import (
	"maps"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// reloads reports whether an agent can take over the parameters that were changed
// while the instance runs: all the others are as they were.
func (b *planner) reloads(r *rsc, f *fact) bool {
	if f.since == nil || f.since.RestartDigest == "" || f.failed != nil || isBusy(f, cib.OpStart) {
		return false
	}
	rest := maps.Clone(r.cfg.ParametersOf(r.cfg.Operation(f.since.Op, 0)))
	maps.DeleteFunc(rest, func(name, _ string) bool { return slices.Contains(f.since.Reloadable, name) })
	return cib.Digest(rest) == f.since.RestartDigest
}

// planReloads lets agents take over changed parameters where the instance stays as
// it is. One that is stopped or demoted anyway takes them over when it starts.
func (b *planner) planReloads() {
	for _, r := range b.rscs {
		if r.kind != cib.KindPrimitive || r.ledger == nil || b.left[r.index] || b.start[r.index] == noStep || b.steps[b.start[r.index]].required {
			continue
		}
		f := b.activeAt(r, b.target[r.index])
		if f == nil || !f.sure || !b.reachable(f.node) || !b.reloads(r, f) || !b.parametersChanged(r, f) {
			continue
		}
		busy := func(i int32) bool { return b.steps[i].required && b.steps[i].node == f.node }
		if slices.ContainsFunc(b.stop[r.index], busy) || slices.ContainsFunc(b.demote[r.index], busy) {
			continue
		}
		s := b.add(step{
			op: cib.OpReload, rank: rankReload, rsc: r, node: f.node, fact: f, required: true,
			why: cib.Why{Cause: "parameters were changed that its agent can take over"},
		})
		b.relate(b.probeOf(r.ledger, f.node), s, before|needs, "")
	}
}
