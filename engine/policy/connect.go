package policy

import (
	"github.com/belay-ha/belay/engine/cib"
)

// What is done on a remote node waits for its connection, and is done before the
// connection is closed; what is done in a guest waits for what it is inside of.

// planContainers orders what is inside of something, and connections to it, after
// its start and before its stop.
func (b *planner) planContainers() {
	for _, c := range b.rscs {
		if b.start[c.index] == noStep {
			continue
		}
		for _, x := range c.contains {
			if x.node() != nowhere || b.start[x.index] == noStep {
				continue
			}
			if b.rejoins(x) {
				b.relateAll([]int32{b.start[x.index]}, b.stop[c.index], before, c.base)
				continue
			}
			b.relate(b.start[c.index], b.start[x.index], before|needs|redoes, c.base)
			for k, s := range b.stop[x.index] {
				if x.active[k].failed != nil && endsWithContainer(x, x.active[k]) {
					b.relateAll(b.stop[c.index], []int32{s}, before|needs, c.base)
					continue
				}
				b.relateAll([]int32{s}, b.stop[c.index], before|requires, c.base)
				b.relate(b.probeOf(c.ledger, b.steps[s].node), s, before, c.base)
			}
		}
	}
}

// rejoins reports whether the connection to a guest is made anew while what the guest is
// inside of runs on: then that does not come first.
func (b *planner) rejoins(r *rsc) bool {
	if r.connects == nowhere || b.nodes[r.connects].kind != kindGuest {
		return false
	}
	n := &b.nodes[r.connects]
	return n.member && !n.lost && !n.connected && n.dead == "" && b.at(r) == nil && b.at(r.container) != nil && cutOff(r)
}

// planBundles ties the parts of bundles together.
func (b *planner) planBundles() {
	for _, r := range b.rscs {
		if r.kind != cib.KindBundle || len(r.replicas) == 0 {
			continue
		}
		b.bracket(r)
		b.steps[b.started[r.index]].needed = 1
		for _, x := range r.replicas {
			c := x.container
			b.relate(b.start[r.index], b.start[c.index], before|needs|redoes, r.base)
			b.relate(b.start[c.index], b.started[r.index], before|needs|redoes, r.base)
			for _, s := range b.stop[c.index] {
				b.relate(b.stopBegin[r.index], s, before|requires, r.base)
				b.relate(s, b.stopEnd[r.index], before|requires, r.base)
			}
			if x.ip != nil {
				b.relate(b.start[x.ip.index], b.start[c.index], before|needs, r.base)
				b.relateAll(b.stop[c.index], b.stop[x.ip.index], before|requires, r.base)
			}
			b.probeFirst(r, x)
		}
		if in := r.inner(); in != nil {
			b.relate(b.start[r.index], b.start[in.index], before, r.base)
			b.relate(b.started[in.index], b.started[r.index], before|redoes, r.base)
			b.relate(b.stopBegin[r.index], b.stopBegin[in.index], before|requires, r.base)
			b.relate(b.stopEnd[in.index], b.stopEnd[r.index], before|requires, r.base)
			b.promoted[r.index] = b.promoted[in.index]
		}
	}
}

// probeFirst lets no container start on a host before it is known which of the
// others run there, where there may be only one on each; and looks for a
// connection only once its container had its chance.
func (b *planner) probeFirst(r *rsc, x *replica) {
	if b.probe == nil {
		return
	}
	if t := b.target[x.container.index]; t != nowhere && r.nodeMax() == 1 {
		for _, other := range r.replicas {
			b.relate(b.probeOf(other.container.ledger, t), b.start[x.container.index], before, r.base)
		}
	}
	if x.conn != nil {
		for n := range b.members {
			b.relate(b.start[x.container.index], b.probeOf(x.conn.ledger, int32(n)), before, r.base)
		}
	}
}

// planRemotes orders every step on a remote node against its connection.
func (b *planner) planRemotes() {
	if b.members == len(b.nodes) {
		return
	}
	for i := b.members; i < len(b.nodes); i++ {
		b.orderFence(&b.nodes[i])
	}
	for i := range b.steps {
		s := &b.steps[i]
		if s.rsc == nil || int(s.node) < b.members || s.op == cib.OpFence {
			continue
		}
		switch n := &b.nodes[s.node]; {
		case n.remote.conn == nil:
		case n.kind == kindGuest:
			b.orderInGuest(int32(i), n)
		default:
			b.orderOnRemote(int32(i), n)
		}
	}
}

// orderFence puts the proof that a remote node is dead in its place: that of a
// guest is the stop of what it is inside of, and the connection to any other is
// made anew after it.
func (b *planner) orderFence(n *node) {
	f := b.fence[n.index]
	conn := n.remote.conn
	if f == noStep || conn == nil {
		return
	}
	if n.kind == kindRemote {
		for _, s := range b.stop[conn.index] {
			b.relate(f, s, before, "")
		}
		b.relate(f, b.start[conn.index], before|needs, "")
		return
	}
	stops := b.stop[n.remote.container.index]
	b.endInside(stops, n)
	for _, s := range stops {
		b.relate(s, f, before|needs, "")
		if b.steps[s].stuck != "" {
			b.steps[f].stuck = b.steps[s].stuck
		}
	}
	if len(stops) == 0 {
		b.relateAll(b.stop[conn.index], []int32{f}, before, "")
	}
}

// endInside lets nothing wait for the stops in a guest that the stop of what it is
// inside of makes true.
func (b *planner) endInside(stops []int32, n *node) {
	for _, s := range stops {
		for e := b.steps[s].in; e != noStep; e = b.edges[e].nextIn {
			first := &b.steps[b.edges[e].first]
			if (first.op == cib.OpStop || first.op == cib.OpDemote) && first.rsc != nil && diesWith(first.rsc, n.index) {
				b.edges[e].relation = 0
			}
		}
	}
}

// diesWith reports whether all of a resource that is active is on one node.
func diesWith(r *rsc, n int32) bool {
	some, all := false, true
	r.primitives(func(x *rsc) {
		for _, f := range x.active {
			some, all = true, all && f.node == n
		}
	})
	return some && all
}

func (b *planner) orderOnRemote(i int32, n *node) {
	s := &b.steps[i]
	conn := n.remote.conn
	up, down := b.start[conn.index], b.stop[conn.index]
	closes := b.target[conn.index] == nowhere
	switch s.op {
	case cib.OpStart, cib.OpPromote:
		b.relate(up, i, before|needs, conn.base)
	case cib.OpStop, cib.OpMigrateTo, cib.OpMigrateFrom:
		switch {
		case n.lost || s.point:
		case n.connected || closes:
			for _, d := range down {
				if x := b.steps[d].fact; x == nil || !x.dangling { // what was migrated away closes nothing
					b.relate(i, d, before|requires, conn.base)
				}
			}
		default:
			b.relate(up, i, before|needs, conn.base)
		}
	case cib.OpDemote:
		if !n.lost && !n.connected && !closes {
			b.relate(up, i, before|needs, conn.base)
		}
	default:
		if n.connected && closes {
			for _, d := range down {
				b.relate(i, d, before, conn.base)
			}
			return
		}
		b.relate(up, i, before|needs, conn.base)
	}
}

func (b *planner) orderInGuest(i int32, n *node) {
	s := &b.steps[i]
	conn, container := n.remote.conn, n.remote.container
	switch s.op {
	case cib.OpStart, cib.OpPromote:
		b.relate(b.start[container.index], i, before|needs|redoes, container.base)
		b.relate(b.start[conn.index], i, before|needs, conn.base)
	case cib.OpStop, cib.OpDemote, cib.OpMigrateTo, cib.OpMigrateFrom:
		if n.lost {
			return // the stop of what the guest is inside of makes it true
		}
		if b.rejoins(conn) {
			b.relate(b.start[conn.index], i, before|needs, conn.base)
			return
		}
		for _, d := range b.stop[conn.index] {
			b.relate(i, d, before, conn.base)
		}
	default:
		b.relate(b.start[conn.index], i, before|needs, conn.base)
	}
}

// awaitConnection lets a monitor on a remote node wait for the connection, which
// carries it.
func (b *planner) awaitConnection(m, n int32) {
	if r := b.nodes[n].remote; r != nil && r.conn != nil {
		b.relate(b.start[r.conn.index], m, before|needs, r.conn.base)
	}
}

// canBeTold reports whether something can be done on a remote node: its connection
// is up and stays, or comes up.
func (b *planner) canBeTold(n int32) bool {
	conn := b.nodes[n].remote.conn
	if conn == nil {
		return false
	}
	if up := b.start[conn.index]; up != noStep && b.steps[up].required && !b.steps[up].blocks() {
		return true
	}
	return b.nodes[n].connected && b.fence[n] == noStep
}

// reconnects reports whether the connection to a node is made anew, so that what
// it carried must be asked for again.
func (b *planner) reconnects(n int32) bool {
	r := b.nodes[n].remote
	return r != nil && r.conn != nil && b.start[r.conn.index] != noStep && b.steps[b.start[r.conn.index]].required
}

// recovers says why something must be restarted for the sake of what is inside of
// it; no cause if it need not.
func (b *planner) recovers(r *rsc) cib.Why {
	if r.guest != nowhere && b.nodes[r.guest].lost {
		return cib.Why{Cause: "node " + b.nodes[r.guest].name + " is inside of it: " + b.nodes[r.guest].fence}
	}
	if r.connects != nowhere && b.nodes[r.connects].dead != "" {
		return cib.Why{Cause: b.nodes[r.connects].dead, Proof: b.nodes[r.connects].proof}
	}
	for _, x := range r.contains {
		for _, f := range x.active {
			if f.failed != nil && f.onFail == cib.OnFailRestartContainer {
				return cib.Why{Cause: x.base + " is inside of it: " + describeFailure(f.failed, b.nodes[f.node].name), Rule: "on-fail"}
			}
		}
	}
	return cib.Why{}
}

// endsWithContainer reports whether an instance that could not be stopped is ended
// by the stop of what it is inside of.
func endsWithContainer(r *rsc, f *fact) bool {
	return r.container != nil && f.failed != nil && f.failed.Op == cib.OpStop && f.onFail == cib.OnFailRestartContainer
}

// failuresInside are the failures of a resource on a node with those of what is
// inside of it.
func (u *state) failuresInside(r *rsc, f *fact) cib.Score {
	sum := f.failures
	for _, x := range r.contains {
		if inner := x.ledger.on(f.node); inner != nil && !inner.dead {
			sum = sum.Add(inner.failures)
		}
	}
	return sum
}

// empty reports whether nothing can run on a guest, since what it is inside of
// does not run.
func (u *state) empty(n *node) bool {
	return n.kind == kindGuest && !n.connected && n.remote.container != nil && u.at(n.remote.container) == nil
}

// awaitGuests lets a start wait until it is known that what guests are inside of
// does not run, where that is why nothing is looked for on them.
func (b *planner) awaitGuests(r *rsc, s int32) {
	if b.probe == nil {
		return
	}
	for i := b.members; i < len(b.nodes); i++ {
		n := &b.nodes[i]
		if r.ledger.known[i] || !b.empty(n) {
			continue
		}
		for k := range b.nodes {
			b.relate(b.probeOf(n.remote.container.ledger, int32(k)), s, before|needs, "")
		}
	}
}
