package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/policy"
)

// viewChange collects what the DC writes when membership or the state of a node
// changes: one transaction, so that a view and its node states are never seen
// apart.
type viewChange struct {
	txn    cib.Txn
	events []cib.Event
	any    bool
	// outages are those that begin or end with it; nil: none was looked at.
	outages *outages
}

// formView compares who should be a member with the stored view and the stored
// node states, and writes what differs. It reports whether it wrote.
func (n *Node) formView(now time.Time) bool {
	st := &n.snap.Status
	chosen, reason := n.choose(now)
	if !slices.ContainsFunc(chosen, func(m cib.ViewMember) bool { return m.Node == n.self.Name }) {
		// The others hear each other and not this node: it is not for this node
		// to say who is a member.
		n.asDC(cib.Txn{Delete: []string{cib.KeyDC}}, nil)
		return true
	}
	if !n.majority(chosen) {
		// The connected set is too small to be valid: what this node hears and
		// what the others report will agree in a moment, or quorum is lost. Nobody
		// is to be fenced on the ground of it.
		return true
	}
	var c viewChange
	members := []cib.ViewMember{}
	for _, name := range sortedKeys(n.snap.Config.Nodes) {
		i := slices.IndexFunc(chosen, func(m cib.ViewMember) bool { return m.Node == name })
		if cur := st.Nodes[name]; i >= 0 && (cur == nil || cur.State != cib.NodeFenced) {
			delete(n.doubted, name)
		}
		if i >= 0 && n.admit(now, &c, name, chosen[i]) {
			members = append(members, chosen[i])
			continue
		}
		if i < 0 {
			if m, stay := n.doubt(now, name); stay {
				members = append(members, m)
				continue
			}
		}
		if m, stay := n.absent(now, &c, name); stay {
			members = append(members, m)
		}
	}
	number := uint64(1)
	if st.View != nil {
		number = st.View.Number + 1
	}
	level := n.snap.NextFeatureLevel()
	if st.View == nil || !slices.Equal(st.View.Members, members) || st.View.FeatureLevel < level {
		names := make([]string, len(members))
		for i, m := range members {
			names[i] = m.Node
		}
		c.put(cib.KeyView, &cib.View{Number: number, Members: members, DC: n.self.Name, Reason: reason, Formed: n.wallNow(), FeatureLevel: level})
		if st.View != nil && st.View.FeatureLevel > 0 && st.View.FeatureLevel < level {
			c.event(event.EngineUpgraded, "level", fmt.Sprint(level))
		}
		c.event(event.ViewChanged, "view", fmt.Sprint(number), "members", strings.Join(names, " "), "reason", reason)
	}
	n.admitRemotes(&c)
	c.outages.write(&c)
	if !c.any {
		return false
	}
	n.asDC(c.txn, c.events)
	return true
}

// majority reports whether the members have more than half of the votes.
func (n *Node) majority(members []cib.ViewMember) bool {
	votes := 0
	for _, m := range members {
		votes += n.votesOf(m.Node)
	}
	return 2*votes > n.votesTotal()
}

// choose returns the nodes that should be members: registered, and chosen by
// who hears whom.
func (n *Node) choose(now time.Time) ([]cib.ViewMember, string) {
	st := &n.snap.Status
	voters, _ := n.voters()
	var exclude []string
	for _, m := range n.tracker.Alive(now) {
		// Heard but not registered in this incarnation: it can't take actions. One of
		// an older release does not know what the cluster's documents say.
		if doc := st.Members[m.Node]; doc == nil || doc.Incarnation != m.Incarnation || doc.BootID != m.BootID || doc.FeatureLevel < n.snap.FeatureLevel() {
			exclude = append(exclude, m.Node)
		}
	}
	return membership.Choose(n.tracker.Hearing(now), membership.ChooseInput{
		Nodes: sortedKeys(n.snap.Config.Nodes), Voters: voters, Weights: st.Voters.Weights(), Current: st.View, DC: n.self.Name,
		TieBreaker: n.snap.Config.Cluster.Options.ViewTieBreaker, Exclude: exclude,
	})
}

// admit decides on a node that is heard and registered: it reports whether it is
// a member.
func (n *Node) admit(now time.Time, c *viewChange, name string, m cib.ViewMember) bool {
	st := &n.snap.Status
	doc, cur := st.Members[name], st.Nodes[name]
	if doc == nil || doc.Incarnation != m.Incarnation {
		return false // it has not registered: it can't take actions
	}
	if cur != nil && cur.State == cib.NodeFenced && cur.BootID == m.BootID {
		// Also one that wants to leave: that it is heard shows that the proof was
		// wrong, and until it is void nobody lets it go.
		if n.stillHeard(now, name) {
			n.voidProof(c, name, cur)
		}
		return false
	}
	want := cib.NodeStatus{State: cib.NodeOnline, BootID: m.BootID}
	if cur != nil {
		want.FailStandby = cur.FailStandby && cur.BootID == m.BootID
	}
	if doc.Shutdown {
		want.State = cib.NodeLeaving
		if cur != nil && cur.State == cib.NodeOffline && cur.BootID == m.BootID ||
			(n.drained(name) || cur != nil && cur.BootID != m.BootID && n.empty(name)) && !n.keepsVote(name) {
			return false // see absent
		}
	}
	switch {
	case cur == nil:
	case cur.BootID != m.BootID:
		// A new boot answers: whatever ran in the old one is over.
		if cur.BootID != "" && cur.State != cib.NodeFenced && cur.State != cib.NodeOffline {
			n.cleared(c, name, cur)
		} else if r := st.Requests[name]; r != nil && r.BootID != m.BootID {
			n.withdraw(c, r, "node "+name+" was booted anew")
		}
		// A migration that was slow may have reached this boot, and nobody looks at a
		// node that leaves, unless it is expected to have something.
		n.forget(c, name, !doc.Shutdown)
	case cur.State != cib.NodeUnclean:
	default:
		if n.proofFor(name, m.BootID) != nil {
			return false // see absent; if it is heard after that, the proof is void
		}
		if n.voided(name, m.BootID) {
			return false // what ran there was recovered elsewhere: it is fenced again
		}
		if r := st.Requests[name]; r != nil && r.State == cib.FenceExecuting {
			return false // somebody is at the power switch right now
		} else if r != nil && r.BootID == m.BootID {
			n.withdraw(c, r, "node "+name+" is back")
		}
	}
	if cur == nil || cur.State != want.State || cur.BootID != want.BootID || cur.FailStandby != want.FailStandby {
		want.Since, want.Reason = n.wallNow(), "heard by the voters"
		c.put(cib.KeyNodeStatus+name, &want)
		if cur == nil || cur.State != cib.NodeLeaving && want.State == cib.NodeOnline {
			number := uint64(1)
			if st.View != nil {
				number = st.View.Number + 1
			}
			c.event(event.NodeOnline, "node", name, "view", fmt.Sprint(number))
		}
	}
	return true
}

// doubt keeps a member that was not chosen although it was heard, by this node, a
// moment ago: others do not hear it yet, or it does not hear us yet. A voter that has
// just started hears nobody, and an engine that has just been restarted is another
// one than the view's. What is not so for the detection time is no silence.
func (n *Node) doubt(now time.Time, name string) (cib.ViewMember, bool) {
	st := &n.snap.Status
	m, member := st.View.Member(name)
	cur, doc := st.Nodes[name], st.Members[name]
	// One that was booted anew while its engine restarted is silent no longer either.
	ok := member && cur != nil && doc != nil &&
		(cur.State == cib.NodeOnline || cur.State == cib.NodeLeaving || cur.State == cib.NodeRestarting && doc.BootID != cur.BootID)
	detection := n.snap.Config.Cluster.Options.DetectionTime()
	if since, silent := n.tracker.SilentSince(name); ok && silent {
		// Also one that answers from a new boot, and has not registered yet, and one
		// that an engine as new as ours has had no time to hear: what is known of it is
		// soon more than that it is silent.
		_, known := n.tracker.Peer(name)
		ok = known && now.Before(since.Add(detection))
	}
	if !ok {
		delete(n.doubted, name)
		return m, false
	}
	since, ok := n.doubted[name]
	if !ok {
		since = now
		n.doubted[name] = now
	}
	return m, now.Before(since.Add(detection))
}

// stillHeard reports whether a node whose death was confirmed is heard for longer
// than it takes to miss it. Before, what is heard may be what it said last.
func (n *Node) stillHeard(now time.Time, name string) bool {
	since, ok := n.doubted[name]
	if !ok {
		since = now
		n.doubted[name] = now
	}
	return !now.Before(since.Add(2 * n.snap.Config.Cluster.Options.DetectionTime()))
}

// absent decides on a node that is not chosen. It stays a member only while its
// engine restarts.
func (n *Node) absent(now time.Time, c *viewChange, name string) (cib.ViewMember, bool) {
	st := &n.snap.Status
	doc, cur := st.Members[name], st.Nodes[name]
	state := cib.NodeUnknown
	var boot string
	if cur != nil {
		state, boot = cur.State, cur.BootID
	} else if doc != nil {
		boot = doc.BootID
	}
	to := func(s cib.NodeState, reason, proof string) {
		c.put(cib.KeyNodeStatus+name, &cib.NodeStatus{State: s, BootID: boot, Since: n.wallNow(), Reason: reason, Proof: proof})
	}
	if cur != nil && doc != nil && doc.Shutdown && doc.BootID != boot && n.empty(name) {
		// It booted anew, registered to leave at once, and never ran anything.
		if state != cib.NodeFenced && state != cib.NodeOffline {
			n.cleared(c, name, cur)
		} else if r := st.Requests[name]; r != nil && r.BootID != doc.BootID {
			n.withdraw(c, r, "node "+name+" was booted anew")
		}
		boot = doc.BootID
		to(cib.NodeOffline, "left cleanly", "")
		n.forget(c, name, true)
		c.event(event.NodeLeft, "node", name)
		return cib.ViewMember{}, false
	}
	switch state {
	case cib.NodeOffline:
		if doc != nil && doc.BootID == boot && !n.empty(name) {
			// It left with resources running that were not managed, and they are
			// again: they can't be stopped there, and must not run elsewhere too.
			to(cib.NodeUnclean, "left with resources running that are managed again", "")
			n.lostNode(c, name, boot, 0, "node "+name+" left with resources running that are managed again")
			c.event(event.NodeLost, "node", name, "silence", "the time since it left")
		}
		return cib.ViewMember{}, false
	case cib.NodeFenced:
		return cib.ViewMember{}, false
	case cib.NodeUnclean:
		if p := n.proofFor(name, boot); p != nil {
			to(cib.NodeFenced, "confirmed by "+p.By, p.ID)
			delete(n.doubted, name)
			if r := st.Requests[name]; r != nil {
				n.withdraw(c, r, "node "+name+" was confirmed dead by "+p.By)
			}
			n.forget(c, name, true)
			c.event(event.NodeFenced, "node", name, "by", p.By, "proof", p.ID, "cause", p.Request)
		}
		return cib.ViewMember{}, false
	case cib.NodeUnknown, cib.NodeOnline, cib.NodeJoining, cib.NodeLeaving, cib.NodeFencing, cib.NodeRestarting:
	}
	switch {
	case cur == nil:
		// No DC has ever admitted it, so nothing can run there.
		to(cib.NodeOffline, "never joined", "")
		return cib.ViewMember{}, false
	case doc == nil:
		return cib.ViewMember{}, false
	case doc.Shutdown && n.drained(name):
		to(cib.NodeOffline, "left cleanly", "")
		n.forget(c, name, true)
		c.event(event.NodeLeft, "node", name)
		return cib.ViewMember{}, false
	}
	old, member := st.View.Member(name)
	if member && n.restarting(now, old, doc) {
		if state != cib.NodeRestarting {
			to(cib.NodeRestarting, "its engine restarts", "")
			c.event(event.NodeRestarting, "node", name)
		}
		if state != cib.NodeRestarting || n.wallNow().Before(cur.Since.Add(n.snap.Config.Cluster.Options.RestartGraceTime())) {
			return old, true
		}
	}
	silence, silent := "not since this DC started", time.Duration(0)
	if t, ok := n.tracker.SilentSince(name); ok {
		if doubted, ok := n.doubted[name]; ok && doubted.Before(t) {
			t = doubted
		}
		silent = now.Sub(t).Round(time.Millisecond)
		silence = silent.String()
	}
	to(cib.NodeUnclean, "silent: "+silence, "")
	reason := "node " + name + " is lost"
	if r := st.Requests[name]; r != nil && r.Why.Cause != "" {
		reason = "node " + name + " is fenced: " + r.Why.Cause
	}
	n.lostNode(c, name, boot, silent, reason)
	c.event(event.NodeLost, "node", name, "silence", silence)
	return cib.ViewMember{}, false
}

// restarting reports whether the absence of a member is that of its engine only:
// it said so before, or a new engine of the same boot has registered or is heard.
func (n *Node) restarting(now time.Time, old cib.ViewMember, doc *cib.Member) bool {
	if doc.BootID != old.BootID {
		return false
	}
	if doc.Restart || doc.Incarnation != old.Incarnation {
		// A new engine that has registered is heard in both directions a moment
		// later.
		return true
	}
	for _, m := range n.tracker.Alive(now) {
		if m.Node == old.Node {
			return m.BootID == old.BootID && m.Incarnation != old.Incarnation
		}
	}
	return false
}

// drained reports whether nothing runs on a node and nothing is in flight there.
func (n *Node) drained(name string) bool {
	return len(n.snap.Status.Pending[name]) == 0 && n.empty(name)
}

// empty reports whether nothing runs on a node in the boot that is registered. What
// nobody would start elsewhere does not count; that the node is in maintenance does not
// help: as soon as it is away, its resources are the cluster's again.
func (n *Node) empty(name string) bool {
	doc := n.snap.Status.Members[name]
	for _, h := range n.snap.Status.Histories[name] {
		if role := h.Role(); doc != nil && h.BootID == doc.BootID && (role.Active() || role == cib.RoleUnknown) && !n.unmanaged(h.Resource, "") {
			return false
		}
	}
	return !n.expected(name)
}

// expected reports whether a migration may have made something active on a node that
// has not said so yet.
func (n *Node) expected(name string) bool {
	migrates := false
	for _, node := range sortedKeys(n.snap.Status.Pending) {
		for _, p := range n.snap.Status.Pending[node] {
			if p.Op == cib.OpMigrateTo && p.Peer == name {
				return true
			}
		}
	}
	for node, hs := range n.snap.Status.Histories {
		for _, h := range hs {
			migrates = migrates || node != name && slices.ContainsFunc(h.Ops, func(op cib.OpResult) bool { return op.Op == cib.OpMigrateTo && op.Peer == name })
		}
	}
	return migrates && slices.ContainsFunc(policy.Active(n.snap, n.wallNow()), func(a graph.Activity) bool {
		return a.Node == name && !n.unmanaged(a.Resource, "")
	})
}

// unmanaged reports whether a resource is left alone on a node, as the policy does, so
// that nobody waits for its stop there: the resource, the group or clone that it is in,
// the node or the whole cluster is. Without a node it is about any.
func (n *Node) unmanaged(resource, name string) bool {
	c := n.snap.Config
	if host := c.Nodes[name]; c.Cluster.Options.MaintenanceMode || host != nil && host.Maintenance {
		return true
	}
	if c.Resources[resource] == nil {
		return false
	}
	n.findParents()
	meta := c.MetaOf(resource, n.parents, n.wallNow())
	return !meta.IsManaged() || meta.InMaintenance()
}

// findParents reads which group or clone each resource is in.
func (n *Node) findParents() {
	if c := n.snap.Config; n.parentsOf != c {
		n.parentsOf, n.parents = c, c.Parents()
	}
}

// proofFor returns the newest proof that confirms the end of a boot.
func (n *Node) proofFor(name, boot string) *cib.Proof {
	var newest *cib.Proof
	for _, id := range sortedKeys(n.snap.Status.Proofs) {
		p := n.snap.Status.Proofs[id]
		if p.Target == name && p.BootID == boot && p.Void == "" && len(p.Scope) == 0 && (newest == nil || p.Time.After(newest.Time)) {
			newest = p
		}
	}
	return newest
}

// cleared records that a lost boot is over because a newer one answers.
func (n *Node) cleared(c *viewChange, name string, cur *cib.NodeStatus) {
	id := fmt.Sprintf("p%d-%s", n.snap.Revision, name)
	c.put(cib.KeyProof+id, &cib.Proof{
		ID: id, Kind: cib.ProofCleared, Target: name, BootID: cur.BootID, By: n.self.Name, Time: n.wallNow(),
	})
	if r := n.snap.Status.Requests[name]; r != nil && r.BootID == cur.BootID {
		n.withdraw(c, r, "node "+name+" was booted anew")
	}
	n.lostNode(c, name, cur.BootID, 0, "node "+name+" was booted anew")
}

// voided reports whether a proof that a boot is over turned out false.
func (n *Node) voided(name, boot string) bool {
	for _, p := range n.snap.Status.Proofs { // their order does not matter
		if p.Target == name && p.BootID == boot && p.Void != "" {
			return true
		}
	}
	return false
}

// withdraw ends a fencing request that is no longer needed.
func (n *Node) withdraw(c *viewChange, r *cib.FenceRequest, why string) {
	ended := *r
	ended.State, ended.Ended, ended.Error = cib.FenceWithdrawn, n.wallNow(), why
	key := cib.KeyFenceRequest + r.Target
	c.txn.If = append(c.txn.If, cib.Compare{Key: key, ModRev: r.Rev})
	c.txn.Delete = append(c.txn.Delete, key)
	c.put(cib.KeyFenceHistory+r.ID, &ended)
}

// answeredDead is why a node is unclean whose proof was wrong.
const answeredDead = "heard after its death was confirmed"

// voidProof takes back a proof: its target is heard in the boot that it called
// over. The node must be fenced again.
func (n *Node) voidProof(c *viewChange, name string, cur *cib.NodeStatus) {
	by := "an unknown proof"
	if p := n.snap.Status.Proofs[cur.Proof]; p != nil {
		void := *p
		void.Void = "heard again at " + n.wallNow().Format(time.RFC3339)
		c.put(cib.KeyProof+p.ID, &void)
		by = cmp.Or(p.Device, p.By)
	}
	c.put(cib.KeyNodeStatus+name, &cib.NodeStatus{State: cib.NodeUnclean, BootID: cur.BootID, Since: n.wallNow(), Reason: answeredDead, Remote: cur.Remote})
	c.event(event.ProofVoid, "node", name, "by", by)
}

// forget deletes the records in flight of a boot that is over; expected: also those of
// migrations that were to end there.
func (n *Node) forget(c *viewChange, name string, expected bool) {
	for _, id := range sortedKeys(n.snap.Status.Pending[name]) {
		if !expected && n.snap.Status.Pending[name][id].State == cib.ActionExpected {
			continue
		}
		c.txn.Delete = append(c.txn.Delete, cib.PendingKey(name, id))
		c.any = true
	}
}

func (c *viewChange) put(key string, v any) {
	c.txn.Put = append(c.txn.Put, cib.Put{Key: key, Value: v})
	c.any = true
}

func (c *viewChange) event(number int, args ...string) {
	c.events = append(c.events, event.New(number, args...))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
