package node

import "github.com/belay-ha/belay/engine/cib"

// Two voters that keep the store themselves can write nothing without each other. So
// one of them that leaves gives up its vote first, while both are there: when all has
// moved away the DC takes its member out of the store and records the votes (GivesVote;
// the shell does it), and only then is the node marked offline. The one that stays is a
// cluster of one voter then, which needs no tie-breaker. It is the DC: one that leaves
// hands the key over. Where both leave, the DC is the last one, and the one whose data
// the cluster begins with again.

// otherVoter returns the other one of two voters that keep the store, of which this node
// is one; "" where it is not so.
func (n *Node) otherVoter() string {
	voters, epoch := n.voters()
	if n.snap.Config.Cluster.External() || epoch == 0 || len(voters) != 2 || !n.isVoter(n.self.Name) {
		return ""
	}
	if voters[0] == n.self.Name {
		return voters[1]
	}
	return voters[0]
}

// GivesVote names the one of two voters that leaves, has nothing more to do, and is to
// give up its vote; "" is nobody. Only the DC names one.
func (n *Node) GivesVote() string {
	if n.snap == nil || !n.isDC() || !n.registered() {
		return ""
	}
	other := n.otherVoter()
	if doc, st := n.snap.Status.Members[other], n.snap.Status.Nodes[other]; doc == nil || !doc.Shutdown || st == nil ||
		st.State != cib.NodeLeaving || st.BootID != doc.BootID || !n.drained(other) {
		return ""
	}
	return other
}

// keepsVote reports whether a node that could leave has one of two votes still, and
// somebody is there to take it from it.
func (n *Node) keepsVote(name string) bool {
	other := n.otherVoter()
	if other == "" || name == other {
		return other != ""
	}
	p, known := n.tracker.Peer(other)
	return name == n.self.Name && known && p.Up
}

// allLeave reports whether every other voter leaves as well, or has left: then one of
// those that leave has to be the DC, or none of them could.
func (n *Node) allLeave() bool {
	voters, _ := n.voters()
	for _, v := range voters {
		if doc := n.snap.Status.Members[v]; v != n.self.Name && (doc == nil || !doc.Shutdown) {
			return false
		}
	}
	return len(voters) > 1
}

// handOver gives the DC's key to the other one of two voters when this node has nothing
// more to do than to leave. It reports whether it does.
func (n *Node) handOver() bool {
	other := n.otherVoter()
	if other == "" || n.leaving == nil || n.leaving.Restart || !n.drained(n.self.Name) || !n.online(other) || !n.keepsVote(n.self.Name) {
		return false
	}
	me, doc := n.snap.Status.Members[n.self.Name], n.snap.Status.Members[other]
	if me == nil || !me.Shutdown || doc == nil || doc.Shutdown || doc.FeatureLevel < n.snap.FeatureLevel() {
		return false // it leaves, too, or could not be the DC
	}
	n.asDC(cib.Txn{Delete: []string{cib.KeyDC}}, nil)
	return true
}
