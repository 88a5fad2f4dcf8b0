package node

import (
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/lrm"
)

// local does this node's share: it passes on what the local resource manager
// wants done.
func (n *Node) local(now time.Time) {
	n.again = false
	for _, c := range n.lrm.Next(now) {
		switch c := c.(type) {
		case lrm.Commit:
			n.commit(c.Txn, c.Events, func(now time.Time, outcome Outcome, rev int64) {
				n.lrm.Committed(now, c.Tag, lrm.Outcome(outcome), rev)
				// What the store shows may have been shown before this answer, and
				// had to wait for it: nothing may ever change it any more.
				n.syncLRM(now)
			})
		case lrm.Run:
			if isConnection(&c.Action) {
				n.runConnection(now, &c)
				continue
			}
			if c.Action.Op == cib.OpMigrateTo && !n.online(c.Action.Peer) {
				// It must not arrive in another boot of that node than the DC knew.
				n.lrm.Done(now, c.Run, lrm.Result{Status: cib.OpNotRun})
				continue
			}
			run := Run{Run: c.Run << 1, Action: c.Action}
			if !c.Direct {
				run.NotAfter = n.tracker.ValidUntil()
			}
			n.out = append(n.out, run)
		case lrm.Kill:
			n.out = append(n.out, Kill{Run: c.Run << 1})
		}
	}
	if n.again {
		n.local(now) // an operation on a connection may end at once
	}
}

// syncLRM shows the local resource manager its part of the snapshot. Records that
// were made for an earlier boot are the DC's to end, when it knows of this one: until
// then they tell what that boot may have done.
func (n *Node) syncLRM(now time.Time) {
	pending := n.snap.Status.Pending[n.self.Name]
	if st := n.snap.Status.Nodes[n.self.Name]; st == nil || st.BootID != n.self.BootID {
		pending = nil
	}
	n.lrm.Sync(now, n.validityEpoch(n.self.Name), pending, n.snap.Status.Histories[n.self.Name])
}

// removeAgain is when the removal of a move is asked for again, if it failed.
const removeAgain = 5 * time.Second

// reached asks for the removal of moves that have arrived: "belay move" leaves
// nothing behind.
func (n *Node) reached(now time.Time, p *graph.Placement) {
	for _, id := range sortedKeys(n.snap.Config.Constraints) {
		l := n.snap.Config.Constraints[id].Location
		if l == nil || !l.UntilReached || n.removing[id].After(now) {
			continue
		}
		if n.arrived(p, l) {
			n.removing[id] = now.Add(removeAgain)
			n.out = append(n.out, Remove{Constraint: id, Reason: "the move has arrived"})
		}
	}
}

// arrived reports whether what is moved is where it was to go: of a group every member
// that is placed there.
func (n *Node) arrived(p *graph.Placement, l *cib.Location) bool {
	some, group := false, len(n.snap.Config.Resources[l.Resource].Group) > 0
	for i := range p.Instances {
		a := &p.Instances[i]
		if a.Resource != l.Resource && n.groupOf(a.Resource) != l.Resource || a.Node == "" {
			continue
		}
		h := n.snap.Status.Histories[l.Node][a.Instance]
		here := h != nil && h.Role().Active()
		switch {
		case l.Score > 0 && a.Node == l.Node && here, l.Score < 0 && a.Node != l.Node && !here && n.runs(a):
			some = true
		case group:
			return false // it is still on its way
		}
	}
	return some
}

// runs reports whether an instance is where the placement wants it.
func (n *Node) runs(a *graph.Assignment) bool {
	h := n.snap.Status.Histories[a.Node][a.Instance]
	return h != nil && h.Role().Active()
}

// groupOf returns the group that a primitive is a member of, or "".
func (n *Node) groupOf(primitive string) string {
	for _, id := range sortedKeys(n.snap.Config.Resources) {
		if slices.Contains(n.snap.Config.Resources[id].Group, primitive) {
			return id
		}
	}
	return ""
}
