package policy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// spreadInstances gives each instance the facts about it: a primitive all of
// its ledger, an instance of an anonymous clone those of one node.
func (u *state) spreadInstances() {
	u.endInside()
	u.judgeNodes()
	for _, r := range u.rscs {
		if r.kind == cib.KindPrimitive && !r.anonymous() && r.ledger != nil {
			r.active = u.activeFacts(r.ledger)
			if len(r.active) == 0 && len(r.ledger.facts) > 0 {
				r.was = u.lastPlace(r.ledger)
			}
		}
	}
	for _, r := range slices.Clip(u.rscs) { // more are appended
		switch {
		case r.kind == cib.KindBundle && r.inner() != nil && !r.inner().unique():
			u.spreadReplicas(r)
		case r.cfg.Clone != nil && !r.unique() && r.bundle() == nil:
			u.spreadClone(r)
		}
	}
}

// activeFacts lists where an instance is active. Where that is known of one
// place, an assumption about another only asks for a probe; of assumptions
// alone one is believed.
func (u *state) activeFacts(l *ledger) []*fact {
	var sure, assumed []*fact
	for _, f := range l.facts {
		switch {
		case f.dead || f.role <= cib.RoleStopped:
		case f.sure || !u.nodes[f.node].member || u.nodes[f.node].lost: // nobody can look there
			sure = append(sure, f)
		default:
			assumed = append(assumed, f)
		}
	}
	if len(sure) > 0 || len(assumed) < 2 {
		return append(sure, assumed[:min(len(assumed), 1-min(1, len(sure)))]...)
	}
	return assumed[:1]
}

// spreadClone numbers the instances of an anonymous clone: the one on the n-th
// node is number n where clone-max allows that, so that numbers stay.
func (u *state) spreadClone(c *rsc) {
	keys := map[string]*ledger{}
	inner := u.s.Config.Resources[c.cfg.Clone.Resource]
	if inner == nil || c.fault != "" {
		return
	}
	for _, key := range append([]string{c.cfg.Clone.Resource}, inner.Group...) {
		if l := u.ledgers[key]; l != nil && l.clone == c {
			keys[key] = l
		}
	}
	on := make(map[int32]bool)
	for _, l := range keys {
		for _, f := range l.facts {
			if !f.dead && f.role > cib.RoleStopped {
				on[f.node] = true
			}
		}
	}
	u.addPast(on, keys, u.cloneMax(c))
	taken := make(map[int32]*rsc, len(on)) // node to instance
	used := make([]bool, len(c.children))
	nodes := slices.Sorted(maps.Keys(on))
	if u.opt.PacemakerTies() { // it numbers them as it comes across them: by the nodes' age
		slices.SortStableFunc(nodes, func(a, b int32) int { return cmp.Compare(u.nodes[a].cfg.ID, u.nodes[b].cfg.ID) })
	} else {
		for _, n := range nodes {
			if int(n) < len(used) {
				used[n], taken[n] = true, c.children[n]
			}
		}
	}
	next := 0
	for _, n := range nodes {
		if taken[n] != nil {
			continue
		}
		for next < len(used) && used[next] {
			next++
		}
		if next < len(used) {
			used[next], taken[n] = true, c.children[next]
		} else {
			taken[n] = u.addInstance(c, len(c.children)) // one too many: it is stopped
		}
	}
	for _, n := range nodes {
		taken[n].primitives(func(r *rsc) {
			if f := r.ledger.on(n); f != nil && !f.dead && f.role > cib.RoleStopped {
				r.active = append(r.active, f)
			} else if f != nil && onTheWay(f) {
				r.was = f
			}
		})
	}
}

// addPast adds the nodes on which instances of an anonymous clone were stopped
// on their way, as long as the clone has that many.
func (u *state) addPast(on map[int32]bool, keys map[string]*ledger, limit int) {
	for i := range u.nodes {
		n := int32(i)
		if len(on) >= limit || on[n] {
			continue
		}
		for _, l := range keys {
			if f := l.on(n); f != nil && onTheWay(f) {
				on[n] = true
			}
		}
	}
}
