package policy

import (
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// lockRule is the option that keeps resources for a node that was shut down. The
// stop it leads to carries it as its rule; that stop is the lock. It lasts until
// the resource is started again, or for shutdown-lock-limit.
const lockRule = "shutdown-lock"

// locked returns the node that a resource is kept for; nowhere if there is none.
func (u *state) locked(r *rsc) int32 {
	if !u.opt.ShutdownLock || r.clone != nil || r.orphan || r.ledger == nil || !r.settings.managed || r.settings.maintenance ||
		r.connects != nowhere || strings.HasPrefix(r.agent, "stonith:") {
		return nowhere
	}
	if len(r.active) == 1 {
		f := r.active[0]
		if n := &u.nodes[f.node]; n.leaving && !n.lost && f.failed == nil {
			return f.node
		}
		return nowhere
	}
	if len(r.active) > 1 {
		return nowhere
	}
	at, since := nowhere, time.Time{}
	for _, f := range r.ledger.facts {
		if op := lockingStop(f.history); op != nil && op.Ended.After(since) {
			at, since = f.node, op.Ended
		}
	}
	if at == nowhere {
		return nowhere
	}
	for _, f := range r.ledger.facts {
		if f.history != nil {
			for i := range f.history.Ops {
				if op := &f.history.Ops[i]; op.Op == cib.OpStart && op.Ended.After(since) {
					return nowhere
				}
			}
		}
	}
	if limit := u.opt.ShutdownLockLimit.D(); limit > 0 {
		if ends := since.Add(limit); u.now.Before(ends) {
			u.changesAt(ends)
		} else {
			return nowhere
		}
	}
	return at
}

// lockingStop returns the stop that locked an instance to a node; nil if none did.
func lockingStop(h *cib.History) *cib.OpResult {
	if h == nil {
		return nil
	}
	for i := range h.Ops {
		if op := &h.Ops[i]; op.Op == cib.OpStop && op.Why.Rule == lockRule && op.Succeeded() {
			return op
		}
	}
	return nil
}

// lockReason says why a resource that is kept for a node does not run; "" if it
// may.
func (u *state) lockReason(r *rsc) string {
	if !u.opt.ShutdownLock {
		return ""
	}
	if n := u.locked(r); n != nowhere && !u.nodes[n].usable {
		return "it is kept for " + u.nodes[n].name + ", which " + u.nodes[n].why
	}
	return ""
}

// applyLocks keeps resources for the nodes that were shut down, now that these are
// back.
func (p *placer) applyLocks() {
	if !p.opt.ShutdownLock {
		return
	}
	for _, r := range p.rscs {
		if r.kind != cib.KindPrimitive {
			continue
		}
		at := p.locked(r)
		if at == nowhere || !p.nodes[at].usable {
			continue
		}
		for i := range p.nodes {
			if int32(i) != at {
				p.want(r, int32(i), -cib.Infinity, graph.Part{Rule: lockRule, Text: "it is kept for " + p.nodes[at].name})
			}
		}
	}
}
