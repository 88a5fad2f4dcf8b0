package node

import (
	"fmt"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/transition"
)

// drive leads the cluster from where it is to where the policy says: it asks for
// what may run now and withdraws what is no longer wanted. All in one transaction
// that compares the DC's key and the configuration's generation: nothing is asked
// for on the ground of a configuration that has changed.
func (n *Node) drive(now time.Time) {
	if n.planned == n.snap && (n.replanAt.IsZero() || now.Before(n.replanAt)) {
		return
	}
	n.planned = n.snap
	wall := n.wallNow()
	d := n.planner.Decide(n.snap, wall)
	place, plan, next := d.Placement, d.Graph, d.Next
	n.replanAt = time.Time{}
	if every := n.snap.Config.Cluster.Options.RecheckEvery(); every > 0 {
		n.replanAt = now.Add(every) // whatever else was missed
	}
	if at := now.Add(next.Sub(wall)); !next.IsZero() && (n.replanAt.IsZero() || at.Before(n.replanAt)) {
		n.replanAt = at
	}
	if err := d.Fault; err != nil {
		if n.refused != err.Error() {
			n.refused = err.Error()
			n.emit(event.New(event.PlanRefused, "reason", n.refused))
		}
		return
	}
	n.refused = ""
	o := &n.snap.Config.Cluster.Options
	ask, withdraw := transition.Next(plan, n.snap.Status.Pending, transition.Limits{
		Cluster: o.Batch(), Ask: n.online,
		Node: func(node string) int { return o.NodeActions(n.cores(node)) },
	})
	var c viewChange
	for _, p := range n.unwanted(now, withdraw) {
		n.tookBack(now, &p.Action)
		n.withdrawAction(p, &c)
	}
	n.endGuests(plan, &c)
	rounds := n.tendRounds(plan, &c)
	gated := false
	for i := range ask {
		a := ask[i].Action
		if a.Op == cib.OpFence {
			before := c.any
			c.any = false
			n.requestOf(now, &a, &c)
			gated = gated || !c.any
			c.any = c.any || before
			continue
		}
		if n.holdsBack(now, &a) {
			continue
		}
		if r := rounds[cib.RoundID(a.Round)]; r != nil {
			n.beginRound(r, &a, &c)
		}
		n.lostService(&c, &a, wall)
		a.ID = fmt.Sprintf("%d.%d", n.snap.Revision, i)
		if from, to := moveOf(n.snap, &a); from != "" {
			c.event(event.ResourceMoved, "resource", a.Instance, "node", to, "from", from, "reason", a.Why.Cause, "cause", a.Why.ID)
		}
		n.record(a, transition.Arrival(plan, &ask[i]), wall, &c)
	}
	if gated { // a fence that waits for the start-up wait
		if at := now.Add(time.Second); n.replanAt.IsZero() || at.Before(n.replanAt) {
			n.replanAt = at
		}
	}
	n.reached(now, place)
	n.tendOutages(now, wall, place, &c)
	c.outages.write(&c)
	if !c.any {
		return
	}
	c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyConfigGen, ModRev: n.snap.ConfigGen.Rev})
	n.asDC(c.txn, c.events)
}

// record records an action. A migration takes the place at its other end in the same
// transaction: until the node there has said what became of it, nothing else is asked
// for there, and whoever plans knows that the instance may be active there.
func (n *Node) record(a cib.Action, arrival *graph.Action, wall time.Time, c *viewChange) {
	key := cib.PendingKey(a.Node, a.Instance)
	p := &cib.Pending{Action: a, State: cib.ActionAsked, ValidityEpoch: n.validityEpoch(a.Node), Asked: wall}
	compare := cib.Compare{Key: key}
	if old := n.snap.Status.Pending[a.Node][a.Instance]; old != nil { // what was expected comes, or is looked for
		compare.ModRev, p.Migration = old.Rev, old.Migration
	}
	c.txn.If = append(c.txn.If, compare)
	c.put(key, p)
	if a.Op == cib.OpMigrateTo {
		from := arrival.Action
		from.ID = a.ID + ".from"
		key := cib.PendingKey(from.Node, from.Instance)
		c.txn.If = append(c.txn.If, cib.Compare{Key: key})
		c.put(key, &cib.Pending{Action: from, State: cib.ActionExpected, Migration: a.ID, Asked: wall})
	}
}

// withdrawAction takes back what nobody has claimed yet. What may have come by a
// migration may be there all the same.
func (n *Node) withdrawAction(p *cib.Pending, c *viewChange) {
	key := cib.PendingKey(p.Node, p.Instance)
	c.txn.If = append(c.txn.If, cib.Compare{Key: key, ModRev: p.Rev})
	c.any = true
	if p.Migration != "" {
		again := *p
		again.State = cib.ActionExpected
		c.put(key, &again)
		return
	}
	c.txn.Delete = append(c.txn.Delete, key)
	if e := n.snap.Status.Pending[p.Peer][p.Instance]; p.Op == cib.OpMigrateTo && e != nil && e.State == cib.ActionExpected && e.Migration == p.ID {
		key := cib.PendingKey(e.Node, e.Instance)
		c.txn.If = append(c.txn.If, cib.Compare{Key: key, ModRev: e.Rev})
		c.txn.Delete = append(c.txn.Delete, key)
	}
}
