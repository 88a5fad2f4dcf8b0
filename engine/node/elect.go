package node

import (
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/membership"
)

// The DC is who holds the key status/dc. Every write of the DC compares the
// revision of that key, so an old DC's writes fail from the moment a new one has
// taken it; nothing depends on clocks or on the old DC's knowing. The lease only
// frees the key when nobody takes it.

// candidatePause is how long each further candidate waits for the ones before it.
const candidatePause = 300 * time.Millisecond

// isDC reports whether this engine holds the DC's key, as far as it knows.
func (n *Node) isDC() bool {
	dc := n.snap.Status.DC
	return n.fresh && dc != nil && dc.Node == n.self.Name && dc.Incarnation == n.self.Incarnation
}

// elect takes the DC's key where it is free, or its holder is gone.
func (n *Node) elect(now time.Time) {
	if n.isDC() {
		if n.dcSince.IsZero() {
			n.dcSince, n.planned, n.dcAfter = now, nil, 0
			clear(n.doubted)
		}
		return
	}
	n.dcSince = time.Time{}
	why, free := n.dcFree(now)
	if !free || !n.quorum.Quorate || !n.isVoter(n.self.Name) || !n.registered() || n.leaving != nil && !n.onlyVoter() && !n.allLeave() || !n.couldLead(now) {
		n.electFrom = time.Time{}
		return
	}
	if n.electFrom.IsZero() {
		n.electFrom = now
	}
	if n.electing || n.snap.Revision < n.electAfter || now.Before(n.electFrom.Add(time.Duration(n.rank(now))*candidatePause)) {
		return
	}
	var rev int64
	if dc := n.snap.Status.DC; dc != nil {
		rev = dc.Rev
	}
	n.electing = true
	n.commit(cib.Txn{
		If:  []cib.Compare{{Key: cib.KeyDC, ModRev: rev}},
		Put: []cib.Put{{Key: cib.KeyDC, Value: &cib.DC{Node: n.self.Name, Incarnation: n.self.Incarnation, Since: n.wallNow()}, Lease: true}},
	}, []cib.Event{event.New(event.DCElected, "node", n.self.Name, "reason", why)}, func(now time.Time, _ Outcome, rev int64) {
		// Won: the snapshot shows it, once it has come. Lost: so it does.
		n.electing, n.electFrom, n.electAfter = false, now, rev
	})
}

// onlyVoter reports whether this node alone can be the DC: also while it wants to
// leave, or nobody ever would, and a node that could take its vote is not let in.
func (n *Node) onlyVoter() bool {
	voters, _ := n.voters()
	return len(voters) == 1 && voters[0] == n.self.Name
}

// couldLead reports whether a view that this node makes would have it, and a
// majority. Who has just started is not heard by the others yet, and would have to
// resign at once.
func (n *Node) couldLead(now time.Time) bool {
	chosen, _ := n.choose(now)
	return n.majority(chosen) && slices.ContainsFunc(chosen, func(m cib.ViewMember) bool { return m.Node == n.self.Name })
}

// registered reports whether the store knows this engine.
func (n *Node) registered() bool {
	m := n.snap.Status.Members[n.self.Name]
	return n.fresh && m != nil && m.Incarnation == n.self.Incarnation
}

// dcFree reports whether the DC's key may be taken: there is none, its holder's
// engine is gone, or a majority of the voters agrees that it is silent. One
// voter's deafness is not enough: two would take the key from each other for ever.
func (n *Node) dcFree(now time.Time) (string, bool) {
	dc := n.snap.Status.DC
	switch {
	case dc == nil:
		return "there was none", true
	case dc.Node == n.self.Name:
		return "its own engine was restarted", true
	}
	voters, _ := n.voters()
	deaf := 0 // votes
	for _, r := range n.tracker.Hearing(now).Reports {
		if r.Node == dc.Node || !slices.Contains(voters, r.Node) {
			continue
		}
		i := slices.IndexFunc(r.Hears, func(m membership.Heard) bool { return m.Node == dc.Node && !m.OneWay })
		if i < 0 || r.Hears[i].Incarnation != dc.Incarnation {
			deaf += n.votesOf(r.Node)
		}
	}
	return "node " + dc.Node + " is silent", 2*deaf > n.votesTotal()
}

// rank orders the candidates: the voters heard, by name. Who is to be fenced itself lets
// all others go first: nobody fences the DC.
func (n *Node) rank(now time.Time) int {
	rank := 0
	if st := n.snap.Status.Nodes[n.self.Name]; st != nil && st.BootID == n.self.BootID && (st.State == cib.NodeFenced || st.State == cib.NodeUnclean) {
		voters, _ := n.voters()
		rank = len(voters)
	}
	for _, m := range n.tracker.Alive(now) {
		if m.Node < n.self.Name && n.isVoter(m.Node) {
			rank++
		}
	}
	return rank
}

// asDC commits a transaction that happens only while this engine is the DC.
func (n *Node) asDC(txn cib.Txn, events []cib.Event) {
	txn.If = append(txn.If, cib.Compare{Key: cib.KeyDC, ModRev: n.snap.Status.DC.Rev})
	if !slices.Contains(txn.Delete, cib.KeyDC) {
		// Each write of the DC changes the key that the next one compares. One whose
		// answer was lost, and that arrives after it was decided anew, is refused
		// then: it would ask again for what has been done meanwhile.
		txn.Put = append(txn.Put, cib.Put{Key: cib.KeyDC, Value: n.snap.Status.DC, Lease: true})
	}
	n.dcBusy = true
	based := n.snap.Revision
	n.commit(txn, events, func(now time.Time, outcome Outcome, rev int64) {
		n.dcBusy = false
		switch outcome {
		case Done:
			n.dcAfter = rev
		case Refused:
			n.dcAfter = based + 1 // something changed in between: look again
		case Unknown:
			n.dcRetry = now.Add(500 * time.Millisecond)
		}
		if outcome != Done {
			n.planned = nil
		}
	})
}

// coordinate is the DC's work: one transaction at a time, each decided from a
// snapshot that shows the one before.
func (n *Node) coordinate(now time.Time) {
	if n.dcBusy || n.snap.Revision < n.dcAfter || now.Before(n.dcRetry) || !n.quorum.Quorate {
		return
	}
	if n.handOver() || n.formView(now) || n.tendRequests() || n.recordTickets(now) || n.advise() {
		return
	}
	if n.valid && n.snap.Status.View.Has(n.self.Name) {
		n.drive(now)
	}
}
