package node

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// newRound is a round of notifications that begins with the plan, or goes on with
// more in it.
type newRound struct {
	inner   string // the resource inside of the clone
	round   cib.Round
	rev     int64 // of what it goes on from; 0: it is new
	written bool
}

// tendRounds deletes the rounds of notifications that are over, and returns those
// that begin or grow with the plan, by the id that they have in it.
func (n *Node) tendRounds(g *graph.Graph, c *viewChange) map[string]*newRound {
	var out map[string]*newRound
	for inner, r := range g.Rounds { // their order does not matter
		x := &newRound{inner: inner, round: *r}
		if old := n.snap.Status.Rounds[inner]; old != nil {
			x.rev = old.Rev
		}
		if out == nil {
			out = map[string]*newRound{}
		}
		out[r.ID] = x
	}
	for _, inner := range g.Ended {
		if old := n.snap.Status.Rounds[inner]; old != nil {
			c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyRound + inner, ModRev: old.Rev})
			c.txn.Delete = append(c.txn.Delete, cib.KeyRound+inner)
			c.any = true
		}
	}
	return out
}

// beginRound writes a round down with the first of its actions.
func (n *Node) beginRound(x *newRound, a *cib.Action, c *viewChange) {
	if !x.written {
		x.written = true
		if x.rev == 0 {
			x.round.ID = fmt.Sprintf("r%d-%s", n.snap.Revision, x.inner)
		}
		c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyRound + x.inner, ModRev: x.rev})
		c.put(cib.KeyRound+x.inner, &x.round)
	}
	if x.rev == 0 {
		a.Round = x.round.ID
	}
}
