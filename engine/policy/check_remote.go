package policy

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// endOfTime is when every failure that can expire has expired.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// proven reports whether an action waits for the proof that a lost node is dead: of
// a guest that is the stop of what it is inside of, wherever that may run.
func (c *checker) proven(i int, n *node) bool {
	if f, ok := c.fences[n.name]; ok {
		return c.waits(i, f)
	}
	if n.kind != kindGuest || n.remote.container == nil {
		return false
	}
	inside := n.remote.container
	for _, f := range inside.active {
		host := &c.u.nodes[f.node]
		if c.isLost(host) && c.proven(i, host) || c.waitsFor(i, inside.ledger.key, host.name, cib.OpStop) {
			continue
		}
		return false
	}
	return true
}

// isLost reports whether what runs on a node is ended by a proof. A remote node
// whose connection finds no place is lost by the plan.
func (c *checker) isLost(n *node) bool {
	_, fenced := c.fences[n.name]
	return n.lost || n.remote != nil && fenced
}

// mayBack reports whether a remote node that is lost by a failure is so no more
// once the failure has expired. The linter takes no time, so it lets both pass.
func (c *checker) mayBack(n *node) bool {
	return n.lost && c.later != nil && int(n.index) >= c.u.members && c.later.nodes[n.index].connected && !c.later.nodes[n.index].lost
}

// remote: what is done on a remote node is done over its connection, which is up
// and stays, or comes up before.
func (c *checker) remote(i int, n *node) error {
	a := &c.g.Actions[i]
	conn := n.remote.conn
	if conn == nil {
		return c.fault(i, "is on a node that nothing connects to")
	}
	start := c.start(conn.ledger.key, "")
	switch {
	case start >= 0 && c.waits(i, start):
		return nil
	case (n.connected && !c.isLost(n) || c.mayBack(n)) && (start < 0 || !goesUp(a.Op)):
		if goesUp(a.Op) && !n.usable && !c.mayBack(n) && a.InFlight == "" {
			return c.fault(i, "is on a node that is not to be used: it %s", n.why)
		}
		return nil
	}
	return c.fault(i, "does not wait for the connection to %s", n.name)
}

// connectsBefore reports whether an action waits for the connection to a remote node.
func (c *checker) connectsBefore(i int, n *node) bool {
	if n.remote == nil || n.remote.conn == nil || n.cfg.Standby || n.cfg.Maintenance {
		return false
	}
	start := c.start(n.remote.conn.ledger.key, "")
	return start >= 0 && c.waits(i, start)
}

// goesUp reports whether an operation makes something run.
func goesUp(op string) bool { return op == cib.OpStart || op == cib.OpPromote }

// endedInside reports whether an instance that could not be stopped is ended
// before by the stop of what it is inside of.
func (c *checker) endedInside(i int, l *ledger, f *fact) bool {
	if l.rsc == nil || !endsWithContainer(l.rsc, f) {
		return false
	}
	inside := l.rsc.container // a connection may be from another node than its container is on
	for _, x := range inside.active {
		host := &c.u.nodes[x.node]
		if !c.waitsFor(i, inside.ledger.key, host.name, cib.OpStop) && !(c.isLost(host) && c.proven(i, host)) {
			return false
		}
	}
	if len(inside.active) > 0 {
		return true
	}
	// What it was inside of does not run, and is started before: it begins anew.
	start := c.start(inside.ledger.key, "")
	return start >= 0 && c.waits(i, start)
}
