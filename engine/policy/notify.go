package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// The instances of a clone with notify are told before and after something is done
// to one of them, in rounds as Pacemaker does it: demotes, stops, starts, promotes.
// Of each, everybody is told (pre-), then it is done, then everybody is told (post-).
// Nobody's answer counts, only that it came.
//
// A round has its lists from the moment when it began. It stands in the store, and
// who was told what of it stands in the histories, so that a plan begins where the
// last one ended.

// notice is what a notification says, and what an action is told about in which
// round.
type notice struct {
	round *cib.Round
	op    string // start, stop, promote or demote
	phase string // of a notification: "pre-start"
}

func (x *notice) pre() bool { return strings.HasPrefix(x.phase, cib.PhasePre) }

// write adds the notice to an action.
func (x *notice) write(a *cib.Action) {
	a.Round, a.Phase = x.round.Told(x.op), x.phase
	for k, v := range x.round.Lists {
		a.Meta["notify_"+k] = v
	}
	if x.phase != "" {
		kind, op, _ := strings.Cut(x.phase, "-")
		a.Meta["notify_type"], a.Meta["notify_operation"] = kind, op
	}
}

// noticeOps are the changes of a round in their order, with the ranks of the
// notifications around them.
var noticeOps = [...]struct {
	op        string
	pre, post int8
}{
	{cib.OpDemote, rankPreDemote, rankPostDemote},
	{cib.OpStop, rankPreStop, rankPostStop},
	{cib.OpStart, rankPreStart, rankPostStart},
	{cib.OpPromote, rankPrePromote, rankPostPromote},
}

// told is somebody who is told something.
type told struct {
	rsc  *rsc
	node int32
}

// planNotices tells the instances of clones with notify what is done.
func (b *planner) planNotices() {
	for _, c := range b.rscs {
		if c.cfg.Clone != nil && c.cfg.Clone.Notify && len(c.children) > 0 {
			b.noticesOf(c)
		}
	}
	for _, inner := range slices.Sorted(maps.Keys(b.s.Status.Rounds)) {
		r := b.byID[inner]
		if r == nil || r.cfg.Clone == nil && r.inner() == nil || r.cfg.Clone != nil && !r.cfg.Clone.Notify || r.cfg.Bundle != nil && !r.cfg.Bundle.Notify {
			b.ended = append(b.ended, inner)
		}
	}
	slices.Sort(b.ended)
	b.ended = slices.Compact(b.ended)
}

// noticesOf plans the notifications of one clone.
func (b *planner) noticesOf(c *rsc) {
	inner := c.cfg.Clone.Resource
	old := b.s.Status.Rounds[inner]
	steps := b.changesOf(c)
	todo := false
	for _, list := range steps {
		todo = todo || len(list) > 0
	}
	if !todo && old == nil {
		return
	}
	round := old
	if added := b.added(c, old, steps); slices.Contains(added[:], true) {
		round = b.roundWith(c, old, steps, added)
		if b.rounds == nil {
			b.rounds = map[string]*cib.Round{}
		}
		b.rounds[inner] = round
	}
	open, from := todo, int32(len(b.steps))
	var ends []int32 // the points after which all were told of it
	for k, list := range steps {
		var earlier []int32
		for i, end := range ends { // what was added later does not hold up what is announced already
			if round.Versions[noticeOps[i].op] <= round.Versions[noticeOps[k].op] {
				earlier = append(earlier, end)
			}
		}
		end, told := b.tell(c, round, k, list, earlier)
		open, ends = open || told, append(ends, end)
	}
	b.notices = append(b.notices, span{from, int32(len(b.steps))})
	if !open {
		b.ended = append(b.ended, inner)
	}
}

// changesOf are the steps that agents are told of, by their place in noticeOps.
func (b *planner) changesOf(c *rsc) (out [len(noticeOps)][]int32) {
	c.primitives(func(r *rsc) {
		i := r.index
		for k, list := range [...][]int32{b.demote[i], b.stop[i], single(b.start[i]), single(b.promote[i])} {
			for _, s := range list {
				if b.steps[s].required && b.steps[s].stuck == "" {
					out[k] = append(out[k], s)
				}
			}
		}
	})
	return out
}

func (b *planner) changeOf(s int32) cib.RoundChange {
	x := &b.steps[s]
	return cib.RoundChange{Op: x.op, Instance: x.rsc.ledger.key, Label: x.rsc.id, Node: b.nodes[x.node].name}
}

// same reports whether two changes are one. Instances of anonymous clones have no
// number that stays.
func same(a, b cib.RoundChange) bool {
	return a.Op == b.Op && a.Instance == b.Instance && a.Node == b.Node
}

// added tells of each kind of change whether a round lacks something of it that is
// still to be done, or was ended for somebody already.
func (b *planner) added(c *rsc, r *cib.Round, steps [len(noticeOps)][]int32) (out [len(noticeOps)]bool) {
	for k, list := range steps {
		if r == nil {
			out[k] = len(list) > 0
			continue
		}
		for _, s := range list {
			x := b.changeOf(s)
			out[k] = out[k] || !slices.ContainsFunc(r.Changes, func(y cib.RoundChange) bool { return same(x, y) })
		}
		op := noticeOps[k].op
		if len(list) > 0 && !out[k] {
			out[k] = slices.ContainsFunc(b.toldAfter(c, op), func(t told) bool { return b.wasTold(t, r, op, cib.PhasePost+op) })
		}
	}
	return out
}

// roundWith returns a round with all that is still to be done: a new one, or the
// present one with more in it. What was done of a kind to which something is added,
// and not everybody was told of, stays.
func (b *planner) roundWith(c *rsc, old *cib.Round, steps [len(noticeOps)][]int32, added [len(noticeOps)]bool) *cib.Round {
	r := &cib.Round{ID: "new-" + c.cfg.Clone.Resource, Clone: c.base}
	if p := c.bundle(); p != nil {
		r.Clone = p.base
	}
	if old != nil {
		r.ID, r.Versions = old.ID, maps.Clone(old.Versions)
		if r.Versions == nil {
			r.Versions = map[string]int{}
		}
		newest := 0
		for _, n := range r.Versions {
			newest = max(newest, n)
		}
		for k := range noticeOps {
			if added[k] {
				r.Versions[noticeOps[k].op] = newest + 1
			}
		}
	}
	for k, list := range steps {
		op := noticeOps[k].op
		if old == nil || added[k] {
			for _, s := range list {
				r.Changes = append(r.Changes, b.changeOf(s))
			}
		}
		if old == nil {
			continue
		}
		for _, x := range old.Changes {
			if x.Op != op || slices.ContainsFunc(r.Changes, func(y cib.RoundChange) bool { return same(x, y) }) {
				continue
			}
			untold := func(t told) bool { return !b.wasTold(t, old, op, cib.PhasePost+op) }
			if !added[k] || b.happened(c, x) && slices.ContainsFunc(b.toldAfter(c, op), untold) {
				r.Changes = append(r.Changes, x)
			}
		}
	}
	slices.SortFunc(r.Changes, func(x, y cib.RoundChange) int {
		return cmp.Or(cmp.Compare(x.Op, y.Op), compareInstances(x.Label, y.Label), cmp.Compare(x.Node, y.Node))
	})
	r.Lists = b.noticeLists(c, r.Changes)
	return r
}

// happened reports whether a change of a round is as it was meant to be.
func (b *planner) happened(c *rsc, x cib.RoundChange) bool {
	role := cib.RoleStopped
	failed := false
	n, ok := b.nodeIndex[x.Node]
	if !ok {
		return x.Op == cib.OpStop || x.Op == cib.OpDemote
	}
	c.primitives(func(r *rsc) {
		if f := b.activeAt(r, n); f != nil && r.ledger.key == x.Instance {
			role, failed = f.role, f.failed != nil
		}
	})
	switch x.Op {
	case cib.OpStart:
		return role > cib.RoleStopped && !failed
	case cib.OpStop:
		return role <= cib.RoleStopped
	case cib.OpPromote:
		return role == cib.RolePromoted && !failed
	}
	return role != cib.RolePromoted
}

// tell plans the notifications around one kind of change: what comes before it in
// the round is told first. It returns the point at which all were told of the end,
// and whether there is anybody to be told.
func (b *planner) tell(c *rsc, round *cib.Round, k int, steps, earlier []int32) (end int32, some bool) {
	kind := &noticeOps[k]
	if round == nil {
		return noStep, false
	}
	happened := slices.ContainsFunc(round.Changes, func(x cib.RoundChange) bool { return x.Op == kind.op && b.happened(c, x) })
	if len(steps) == 0 && !happened {
		return noStep, false
	}
	point := func() int32 { return b.add(step{op: cib.OpNotify, node: nowhere, point: true}) }
	begin, all, done := point(), point(), point()
	end = point()
	b.relateAll(earlier, []int32{begin}, before, "")
	b.relate(begin, all, before, "")
	ahead := false // something of it is not asked for yet
	for _, s := range steps {
		b.steps[s].notice = &notice{round: round, op: kind.op}
		if f := b.steps[s].fact; f == nil || !isBusy(f, kind.op) {
			ahead = true
			if !b.steps[s].point { // else the fencing makes it true: nothing is gained by waiting for that
				b.await(c, s, begin)
			}
			b.relate(all, s, before, "")
		}
		b.relate(s, done, before, "")
	}
	b.relate(done, end, before, "")
	late := round.Versions[cib.OpStart] > round.Versions[kind.op]
	notify := func(t told, phase string, rank int8, from, to int32) {
		if b.wasTold(t, round, kind.op, phase) || late && b.steps[b.start[t.rsc.index]].required {
			return // who is started by what was added later is told when it is up
		}
		some = true
		s := b.add(step{
			op: cib.OpNotify, rank: rank, rsc: t.rsc, node: t.node, fact: b.factAt(t.rsc, t.node), required: true,
			notice: &notice{round: round, op: kind.op, phase: phase}, why: cib.Why{Cause: "an instance of its clone is " + past(kind.op), Rule: "notify"},
		})
		b.relate(from, s, before, "")
		b.relate(s, to, before, "")
		b.relate(b.probeOf(t.rsc.ledger, t.node), s, before|needs, "")
		b.awaitConnection(s, t.node)
		if rank > rankStart { // what is not up yet is told when it is
			b.relate(b.start[t.rsc.index], s, before|needs, "")
		}
	}
	if ahead {
		for _, t := range b.toldBefore(c, kind.op) {
			notify(t, cib.PhasePre+kind.op, kind.pre, begin, all)
		}
	}
	for _, t := range b.toldAfter(c, kind.op) {
		notify(t, cib.PhasePost+kind.op, kind.post, done, end)
	}
	switch kind.op {
	case cib.OpStart:
		b.relate(b.start[c.index], begin, before, c.base)
		b.relate(end, b.started[c.index], before, c.base)
	case cib.OpStop:
		b.relate(b.stopBegin[c.index], begin, before, c.base)
		b.relate(end, b.stopEnd[c.index], before, c.base)
	case cib.OpPromote:
		b.relate(end, b.promoted[c.index], before, c.base)
	}
	return end, some
}

// await lets the announcement of a change wait for what the change itself waits for,
// unless that is another one of the clone.
func (b *planner) await(c *rsc, s, begin int32) {
	for e := b.steps[s].in; e != noStep; e = b.edges[e].nextIn {
		first := b.edges[e].first
		inside := false
		for r := b.steps[first].rsc; r != nil && !inside; r = r.parent {
			inside = r == c
		}
		if !inside && b.steps[first].op != cib.OpNotify && b.edges[e].relation&before != 0 {
			b.relate(first, begin, b.edges[e].relation&(before|unlessMigrated), "")
		}
	}
}

// past says in words what is done.
func past(op string) string {
	switch op {
	case cib.OpStop:
		return "stopped"
	case cib.OpPromote, cib.OpDemote:
		return op + "d"
	}
	return op + "ed"
}

// toldBefore lists who is told before a change: of stops and demotes whoever runs,
// of starts who runs and stays, of promotes who runs by then.
func (b *planner) toldBefore(c *rsc, op string) []told {
	if op == cib.OpPromote {
		return b.toldAfter(c, op)
	}
	var out []told
	down := op == cib.OpStop || op == cib.OpDemote
	c.primitives(func(r *rsc) {
		for k, f := range r.active {
			if isBusy(f, cib.OpStart) && !b.steps[b.stop[r.index][k]].required {
				continue // it is told when it is up
			}
			stays := f.node == b.target[r.index] && b.start[r.index] != noStep && !b.steps[b.start[r.index]].required
			if b.canTell(r, f.node) && (down || stays) {
				out = append(out, told{r, f.node})
			}
		}
	})
	return out
}

// toldAfter lists who is told after a change: of stops who goes on, of demotes
// whoever runs, of starts and promotes who runs then.
func (b *planner) toldAfter(c *rsc, op string) []told {
	var out []told
	c.primitives(func(r *rsc) {
		i := r.index
		switch op {
		case cib.OpStop, cib.OpDemote:
			for k, f := range r.active {
				stops := b.steps[b.stop[i][k]].required
				if isBusy(f, cib.OpStart) && !stops {
					continue // it is told when it is up
				}
				if b.canTell(r, f.node) && (op == cib.OpDemote || !stops) {
					out = append(out, told{r, f.node})
				}
			}
		default:
			if t := b.target[i]; t != nowhere && b.start[i] != noStep && b.steps[b.start[i]].stuck == "" && b.canTell(r, t) {
				out = append(out, told{r, t})
			}
		}
	})
	return out
}

// canTell reports whether an instance on a node can be told something.
func (b *planner) canTell(r *rsc, n int32) bool {
	x := &b.nodes[n]
	return !b.left[r.index] && x.member && !x.lost && !x.frozen && (x.remote == nil || b.canBeTold(n))
}

// wasTold reports whether an instance was told something of a round.
func (b *planner) wasTold(t told, r *cib.Round, op, phase string) bool {
	f := b.factAt(t.rsc, t.node)
	if f == nil || f.history == nil || f.dead {
		return false
	}
	return slices.ContainsFunc(f.history.Ops, func(o cib.OpResult) bool { return o.Op == cib.OpNotify && o.Phase == phase && o.Round == r.Told(op) })
}

// noticeLists are what agents are told of the clone and of a round, as Pacemaker
// names it. An empty list is one blank, so that agents find the variable set.
func (b *planner) noticeLists(c *rsc, changes []cib.RoundChange) map[string]string {
	names, nodes := map[string][]string{}, map[string][]string{}
	add := func(list, name, node string) {
		names[list] = append(names[list], name)
		nodes[list] = append(nodes[list], node)
	}
	for _, x := range changes {
		add(x.Op, x.Label, x.Node)
	}
	c.primitives(func(r *rsc) {
		if len(r.active) == 0 {
			add("inactive", r.id, "")
		}
		for _, f := range r.active {
			node := b.nodes[f.node].name
			add("active", r.id, node)
			switch {
			case f.role == cib.RolePromoted:
				add("promoted", r.id, node)
				add("master", r.id, node) // the old word, which most agents know
			case c.kind == cib.KindPromotable:
				add("unpromoted", r.id, node)
				add("slave", r.id, node)
			}
		}
	})
	out := map[string]string{}
	for _, list := range [...]string{"start", "stop", "promote", "demote", "active", "inactive", "promoted", "unpromoted", "master", "slave"} {
		if c.kind != cib.KindPromotable && !slices.Contains([]string{"start", "stop", "active", "inactive"}, list) {
			continue
		}
		out[list+"_resource"] = cmp.Or(strings.Join(names[list], " "), " ")
		if list != "inactive" {
			out[list+"_uname"] = cmp.Or(strings.Join(nodes[list], " "), " ")
		}
	}
	var all, usable []string
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.cfg.Arbiter {
			continue
		}
		all = append(all, n.name)
		if n.usable {
			usable = append(usable, n.name)
		}
	}
	out["all_uname"] = cmp.Or(strings.Join(all, " "), " ")
	out["available_uname"] = cmp.Or(strings.Join(usable, " "), " ")
	return out
}

// span is a run of steps that were made one after another.
type span struct{ from, to int32 }

// dropNotices takes the notifications of those clones out of the plan that orders
// make wait for what waits for them. It reports whether there are any.
func (b *planner) dropNotices(circle []int32) bool {
	dropped := false
	for _, x := range b.notices {
		in := func(i int32) bool { return i >= x.from && i < x.to }
		if !slices.ContainsFunc(circle, in) {
			continue
		}
		dropped = true
		for i := x.from; i < x.to; i++ {
			b.steps[i].required = false
			for e := b.steps[i].in; e != noStep; e = b.edges[e].nextIn {
				b.edges[e].relation = 0
			}
			for e := b.steps[i].out; e != noStep; e = b.edges[e].nextOut {
				b.edges[e].relation = 0
				if s := &b.steps[b.edges[e].then]; b.steps[i].inFlight != "" && s.node == b.steps[i].node && s.fact == b.steps[i].fact {
					s.held = true // until what is in flight there has ended
				}
			}
		}
	}
	return dropped
}
