package node

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/graph"
)

// hostAddress is where a replica of a bundle is reached that has no address of its own:
// at the node on which its container runs.
func (n *Node) hostAddress(name string) string {
	for _, r := range n.snap.Config.Remotes() {
		if r.Name != name || r.Replica < 0 {
			continue
		}
		container := n.snap.Config.Resources[r.Resource].Bundle.ContainerOf(r.Resource, r.Replica)
		for _, host := range sortedKeys(n.snap.Status.Histories) {
			h, st := n.snap.Status.Histories[host][container], n.snap.Status.Nodes[host]
			if h == nil || st == nil || h.BootID != st.BootID || !h.Role().Active() {
				continue
			}
			if c := n.snap.Config.Nodes[host]; c != nil && len(c.Addresses) > 0 {
				return c.Addresses[0]
			}
			return host
		}
	}
	return name
}

// endGuests writes down that lost guests are dead, once what they were inside of is
// stopped, or its host proven dead: what ran in them is recovered on the ground of that.
// It is one transaction with the first actions that it allows.
func (n *Node) endGuests(plan *graph.Graph, c *viewChange) {
	for _, name := range plan.Gone {
		cur := n.snap.Status.Nodes[name]
		if cur == nil || !cur.Remote || cur.State == cib.NodeFenced || cur.BootID == "" {
			continue
		}
		p := &cib.Proof{
			ID: fmt.Sprintf("p%d-%s", n.snap.Revision, name), Kind: cib.ProofInside, Target: name, BootID: cur.BootID, By: n.self.Name, Time: n.wallNow(),
		}
		c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyNodeStatus + name, ModRev: cur.Rev})
		c.put(cib.KeyProof+p.ID, p)
		c.put(cib.KeyNodeStatus+name, &cib.NodeStatus{
			State: cib.NodeFenced, BootID: cur.BootID, Since: p.Time, Reason: "what it was inside of has stopped", Proof: p.ID, Remote: true,
		})
		n.lostNode(c, name, cur.BootID, 0, "guest "+name+" is lost")
		n.forget(c, name, true)
		c.event(event.GuestEnded, "node", name, "proof", p.ID)
	}
}
