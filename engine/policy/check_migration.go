package policy

import "github.com/belay-ha/belay/engine/cib"

// migration: an instance is migrated from where it runs, to a node where it may be
// started as far as all other nodes are concerned; it is not started besides, and
// its source is stopped after it has arrived.
func (c *checker) migration(i int) error {
	a := &c.g.Actions[i]
	l := c.u.ledgers[a.Instance]
	at := c.u.nodeIndex[a.Node]
	peer, ok := c.u.nodeIndex[a.Peer]
	if !ok || peer == at {
		return c.fault(i, "does not say where the other end is")
	}
	if l == nil || l.rsc == nil || l.clone != nil {
		return c.fault(i, "migrates what cannot be migrated")
	}
	source := at
	if a.Op == cib.OpMigrateFrom {
		source = peer
	}
	for _, k := range c.steps[a.Instance] {
		switch b := &c.g.Actions[k]; {
		case b.Op == cib.OpStart:
			return c.fault(i, "and action %d start the same instance", k)
		case b.Op == cib.OpStop && b.Node == c.u.nodes[source].name && a.Op == cib.OpMigrateFrom && !c.waits(k, i):
			return c.fault(k, "does not wait for action %d, %s", i, a.String())
		}
	}
	f := l.on(source)
	if f == nil || f.dead || f.role <= cib.RoleStopped {
		return c.fault(i, "migrates what does not run on %s", c.u.nodes[source].name)
	}
	if a.Op == cib.OpMigrateTo {
		if n := &c.u.nodes[peer]; !n.usable && a.InFlight == "" && !c.connectsBefore(i, n) {
			return c.fault(i, "leads to a node that is not to be used: it %s", n.why)
		}
		return c.elsewhere(i, l, peer, source)
	}
	x := l.rsc.transfer
	begun := x != nil && x.from.node == source && x.to.node == at
	if !begun && a.InFlight == "" && !c.waitsFor(i, a.Instance, a.Peer, cib.OpMigrateTo) {
		return c.fault(i, "does not wait for migrate_to on %s", a.Peer)
	}
	if begun {
		return nil // it is on both nodes, and nowhere else
	}
	return c.elsewhere(i, l, at, source)
}

// migrates reports whether an instance is migrated in the plan.
func (c *checker) migrates(instance string) bool {
	for _, k := range c.steps[instance] {
		if c.g.Actions[k].Op == cib.OpMigrateFrom {
			return true
		}
	}
	return false
}

// arrival: where an instance is expected from another node, nothing is done about it
// before its migrate_to has ended, or the node that runs it is fenced.
func (c *checker) arrival(i int, p *cib.Pending) error {
	a := &c.g.Actions[i]
	if a.InFlight != "" {
		return c.fault(i, "is said to be in flight as %s, and is only expected", a.InFlight)
	}
	to := c.u.s.Status.Pending[p.Peer][a.Instance]
	if n, ok := c.u.nodeIndex[p.Peer]; !ok || c.u.nodes[n].dead != "" || to == nil || to.ID != p.Migration {
		return nil
	}
	if k, ok := c.fences[p.Peer]; ok && c.waits(i, k) {
		return nil
	}
	for _, k := range c.steps[a.Instance] {
		if c.g.Actions[k].InFlight == to.ID && c.waits(i, k) {
			return nil
		}
	}
	return c.fault(i, "does not wait for %s, which may bring it there", to.Action.String())
}
