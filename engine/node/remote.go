package node

import (
	"cmp"
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/lrm"
)

// A remote node has no engine. Its connection is a resource like any other, and the
// node at which it is started, the proxy, does for the remote node what it does for
// itself: it claims what the DC recorded, has it run over there, and writes the
// results. Nothing of that is kept with the remote node, so that the next proxy begins
// with what stands in the store.

// link is the connection to one remote node, at its proxy.
type link struct {
	epoch      uint64
	boot       string // "": not connected yet
	version    string
	cores      int
	since      time.Time
	lrm        *lrm.Manager
	start      uint64 // the run of the start, which waits for the connection and its document; 0: none
	leave      uint64 // the run of a migrate_to, which waits until nothing is in progress; 0: none
	writing    bool
	retryAt    time.Time
	discarding bool
}

// remoteRun names an agent that runs on a remote node.
type remoteRun struct {
	remote string
	epoch  uint64
	run    uint64 // of its manager; 0: the monitor of the connection itself
	own    uint64 // of this node's manager, for the monitor of the connection
}

// epochOf makes the epoch of a connection from the data's generation and the revision
// at which its start was claimed. It rises with every claim, also over a restore.
func epochOf(g cib.DataGeneration, claim int64) uint64 {
	return g.Number<<48 | uint64(claim)&(1<<48-1)
}

// isConnection reports whether an action is about the connection to a remote node.
func isConnection(a *cib.Action) bool { return a.Agent == cib.AgentRemote }

// runConnection does one operation on a connection. Its name is the remote node's.
func (n *Node) runConnection(now time.Time, c *lrm.Run) {
	a := &c.Action
	name := a.Instance
	l := n.links[name]
	switch a.Op {
	case cib.OpStart, cib.OpMigrateFrom:
		n.unlink(name)
		port, _ := strconv.Atoi(a.Parameters["port"])
		l = &link{epoch: epochOf(n.snap.Status.Generation, c.Claim), start: c.Run}
		n.links[name] = l
		address := cmp.Or(a.Parameters["addr"], a.Parameters["server"], name)
		if address == "#uname" {
			address = n.hostAddress(name)
		}
		n.out = append(n.out, Connect{
			Remote: name, Epoch: l.epoch, Address: address, Port: cmp.Or(port, cib.DefaultRemotePort),
			Timeout: a.Timeout.D(), NotAfter: n.tracker.ValidUntil(),
		})
	case cib.OpStop:
		n.unlink(name)
		n.endConnection(now, c.Run, cib.OK, "")
	case cib.OpMigrateTo:
		if l != nil && l.lrm != nil {
			l.leave = c.Run
			return
		}
		n.endConnection(now, c.Run, cib.GenericError, "it is not connected")
	case cib.OpMonitor:
		if l == nil || l.boot == "" {
			n.endConnection(now, c.Run, cib.NotRunning, "")
			return
		}
		run := n.remoteRun(remoteRun{remote: name, epoch: l.epoch, own: c.Run})
		n.out = append(n.out, CheckLink{Run: run, Remote: name, Epoch: l.epoch, Timeout: a.Timeout.D()})
	default:
		n.endConnection(now, c.Run, cib.Unimplemented, "")
	}
}

func (n *Node) endConnection(now time.Time, run uint64, rc int, reason string) {
	wall := now.Add(n.wall)
	n.lrm.Done(now, run, lrm.Result{Status: cib.OpDone, RC: rc, Started: wall, Ended: wall, Reason: reason})
	n.again = true
}

// remoteRun draws the number of an effect that ends with AgentDone.
func (n *Node) remoteRun(r remoteRun) uint64 {
	n.nextRun++
	id := n.nextRun<<1 | 1
	n.remoteRuns[id] = r
	return id
}

// unlink ends a connection here.
func (n *Node) unlink(name string) {
	l := n.links[name]
	if l == nil {
		return
	}
	delete(n.links, name)
	n.out = append(n.out, Disconnect{Remote: name, Epoch: l.epoch})
}

// connected takes the end of a Connect.
func (n *Node) connected(now time.Time, ev Connected) {
	l := n.links[ev.Remote]
	if l == nil || l.epoch != ev.Epoch || l.boot != "" {
		n.out = append(n.out, Disconnect{Remote: ev.Remote, Epoch: ev.Epoch})
		return
	}
	text := ev.Error
	if st := n.statusOf(ev.Remote); text == "" && st != nil && st.BootID == ev.BootID && (st.State == cib.NodeFenced || n.voided(ev.Remote, ev.BootID)) {
		text = "it was confirmed dead in the boot that it still is in; power it off, or look at the fence device"
		ev.Refused = true
		if st.State == cib.NodeFenced {
			n.accuse(cib.RemoteLink{
				Node: ev.Remote, Host: n.self.Name, Incarnation: n.self.Incarnation, Epoch: l.epoch, BootID: ev.BootID, Since: n.wallNow(), Refused: true,
			}, st.Rev, 0)
		}
	}
	if text != "" {
		if ev.Refused {
			n.emit(event.New(event.RemoteRefused, "node", ev.Remote, "by", n.self.Name, "reason", text))
		}
		run := l.start
		n.unlink(ev.Remote)
		n.endConnection(now, run, cib.GenericError, text)
		return
	}
	l.boot, l.version, l.cores, l.since = ev.BootID, ev.Version, ev.Cores, n.wallNow()
	l.lrm = lrm.NewRemote(ev.Remote, l.epoch, l.boot)
	l.lrm.SetWall(n.wall)
	l.lrm.SetLimit(n.snap.Config.Cluster.Options.NodeActions(l.cores))
	l.lrm.SetValid(now, n.valid)
}

// accuseMax is how often it is tried to write down that a proof is wrong. Who connects
// next finds it out again.
const accuseMax = 5

// accuse writes down that a remote node answered in a boot whose end was proven, as long
// as its status is the one that says so. The DC then voids the proof.
func (n *Node) accuse(doc cib.RemoteLink, status int64, tries int) {
	txn := cib.Txn{
		If:  []cib.Compare{{Key: cib.KeyNodeStatus + doc.Node, ModRev: status}},
		Put: []cib.Put{{Key: cib.KeyRemote + doc.Node, Value: &doc}},
	}
	n.commit(txn, nil, func(_ time.Time, outcome Outcome, _ int64) {
		if st := n.statusOf(doc.Node); outcome == Unknown && tries < accuseMax && st != nil && st.Rev == status {
			n.accuse(doc, status, tries+1)
		}
	})
}

func (n *Node) statusOf(name string) *cib.NodeStatus {
	if n.snap == nil {
		return nil
	}
	return n.snap.Status.Nodes[name]
}

// remoteDone takes the end of what ran on a remote node. It reports whether the number
// was of such a run.
func (n *Node) remoteDone(now time.Time, ev AgentDone) bool {
	r, ok := n.remoteRuns[ev.Run]
	if !ok {
		return false
	}
	delete(n.remoteRuns, ev.Run)
	if r.own != 0 {
		n.lrm.Done(now, r.own, ev.Result)
		return true
	}
	if l := n.links[r.remote]; l != nil && l.epoch == r.epoch && l.lrm != nil {
		l.lrm.Done(now, r.run, ev.Result)
	}
	return true
}

// syncLinks shows the managers of remote nodes their part of the snapshot.
func (n *Node) syncLinks(now time.Time) {
	st := &n.snap.Status
	for _, name := range sortedKeys(n.links) {
		l := n.links[name]
		if l.lrm == nil {
			continue
		}
		pending := st.Pending[name]
		if s := st.Nodes[name]; s == nil || s.BootID != l.boot {
			pending = nil // of an earlier boot: the DC's to end
		}
		l.lrm.Sync(now, n.validityEpoch(name), pending, st.Histories[name])
	}
}

// tendLinks does the proxy's share for its remote nodes.
func (n *Node) tendLinks(now time.Time) {
	for _, name := range sortedKeys(n.links) {
		l := n.links[name]
		if l.lrm == nil {
			continue
		}
		l.lrm.SetValid(now, n.valid)
		n.writeLink(now, name, l)
		n.discardRemote(now, name, l)
		if l.start == 0 {
			n.actRemote(now, name, l)
		}
		if l.leave != 0 && l.lrm.Settled() {
			run := l.leave
			n.unlink(name)
			n.endConnection(now, run, cib.OK, "")
		}
	}
}

// writeLink writes down where the remote node is connected, in which boot it is and
// what the records for it must name. Only then the connection counts as started.
func (n *Node) writeLink(now time.Time, name string, l *link) {
	if l.writing || !n.fresh || now.Before(l.retryAt) {
		return
	}
	want := cib.RemoteLink{
		Node: name, Host: n.self.Name, Incarnation: n.self.Incarnation, Epoch: l.epoch, BootID: l.boot, ValidityEpoch: l.lrm.Epoch(),
		Version: l.version, Cores: l.cores, Since: l.since,
	}
	have := n.snap.Status.Remotes[name]
	if have != nil && have.Epoch > l.epoch {
		run := l.start
		n.unlink(name)
		if run != 0 {
			n.endConnection(now, run, cib.GenericError, "a newer connection was made at "+have.Host)
		}
		return
	}
	var rev int64
	if have != nil {
		if rev = have.Rev; have.Epoch == want.Epoch && have.ValidityEpoch == want.ValidityEpoch {
			n.begun(now, l)
			return
		}
	}
	l.writing = true
	key := cib.KeyRemote + name
	n.commit(cib.Txn{If: []cib.Compare{{Key: key, ModRev: rev}}, Put: []cib.Put{{Key: key, Value: &want}}}, nil, func(now time.Time, outcome Outcome, _ int64) {
		l.writing, l.retryAt = false, now.Add(500*time.Millisecond)
		if outcome == Done && n.links[name] == l {
			n.begun(now, l)
		}
	})
}

// begun lets the start of a connection succeed.
func (n *Node) begun(now time.Time, l *link) {
	if l.start != 0 {
		run := l.start
		l.start = 0
		n.endConnection(now, run, cib.OK, "")
	}
}

// discardRemote deletes the histories that earlier boots of a remote node left, once
// the DC knows of this one.
func (n *Node) discardRemote(now time.Time, name string, l *link) {
	if st := n.snap.Status.Nodes[name]; l.discarding || l.start != 0 || now.Before(l.retryAt) || st == nil || st.BootID != l.boot {
		return
	}
	var txn cib.Txn
	for _, id := range sortedKeys(n.snap.Status.Histories[name]) {
		if h := n.snap.Status.Histories[name][id]; h.BootID != l.boot {
			key := cib.RemoteHistoryKey(name, id)
			txn.If = append(txn.If, cib.Compare{Key: key, ModRev: h.Rev})
			txn.Delete = append(txn.Delete, key)
		}
	}
	if l.discarding = true; len(txn.Delete) > 0 {
		n.commit(txn, nil, func(now time.Time, outcome Outcome, _ int64) {
			l.discarding, l.retryAt = outcome == Done, now.Add(500*time.Millisecond)
		})
	}
}

// actRemote passes on what the manager of a remote node wants done.
func (n *Node) actRemote(now time.Time, name string, l *link) {
	again := false
	for _, c := range l.lrm.Next(now) {
		switch c := c.(type) {
		case lrm.Commit:
			n.commit(c.Txn, c.Events, func(now time.Time, outcome Outcome, rev int64) {
				l.lrm.Committed(now, c.Tag, lrm.Outcome(outcome), rev)
				if n.links[name] == l {
					n.syncLinks(now)
				}
			})
		case lrm.Run:
			if c.Action.Op == cib.OpMigrateTo && !n.online(c.Action.Peer) {
				l.lrm.Done(now, c.Run, lrm.Result{Status: cib.OpNotRun}) // see local
				again = true
				continue
			}
			run := n.remoteRun(remoteRun{remote: name, epoch: l.epoch, run: c.Run})
			n.out = append(n.out, Run{Run: run, Action: c.Action, NotAfter: n.tracker.ValidUntil(), Remote: name, Epoch: l.epoch})
		case lrm.Kill:
			for id, r := range n.remoteRuns { // there is one at most
				if r.remote == name && r.epoch == l.epoch && r.own == 0 && r.run == c.Run {
					n.out = append(n.out, Kill{Run: id})
				}
			}
		}
	}
	if again {
		n.actRemote(now, name, l)
	}
}

// linksWake returns when the connections want to go on by time alone.
func (n *Node) linksWake(now time.Time) time.Time {
	var wake time.Time
	for _, l := range n.links {
		if l.lrm == nil {
			continue
		}
		if t := l.lrm.NextWake(); !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
		if t := l.retryAt; t.After(now) && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	return wake
}

// takesRemote reports whether a remote node takes actions: its proxy is a member, and
// still the engine that made the connection.
func (n *Node) takesRemote(name string) bool {
	l, st := n.snap.Status.Remotes[name], n.snap.Status.Nodes[name]
	if l == nil || st == nil || !st.Remote || st.State != cib.NodeOnline || st.BootID != l.BootID || !n.online(l.Host) {
		return false
	}
	return n.snap.Status.Members[l.Host].Incarnation == l.Incarnation
}

// cores and validityEpoch are those of whoever claims what is asked for on a node.
func (n *Node) cores(name string) int {
	if m := n.snap.Status.Members[name]; m != nil {
		return m.Cores
	}
	if l := n.snap.Status.Remotes[name]; l != nil {
		return l.Cores
	}
	return 1
}

func (n *Node) validityEpoch(name string) uint64 {
	if m := n.snap.Status.Members[name]; m != nil {
		return m.ValidityEpoch
	}
	if l := n.snap.Status.Remotes[name]; l != nil {
		return l.ValidityEpoch
	}
	return 0
}

// admitRemotes writes what has become of the remote nodes, as admit and absent do for
// cluster nodes. What can be used, and what must be fenced, the policy finds out from
// the connection; here is only which boot counts, and whether it is proven over.
func (n *Node) admitRemotes(c *viewChange) {
	st := &n.snap.Status
	known := map[string]bool{}
	for _, r := range n.snap.Config.Remotes() {
		known[r.Name] = true
		n.admitRemote(c, r.Name)
	}
	for _, name := range sortedKeys(st.Nodes) {
		if s := st.Nodes[name]; s.Remote && !known[name] && n.snap.Config.Nodes[name] == nil && len(st.Histories[name]) == 0 && len(st.Pending[name]) == 0 && n.linkOf(name) == nil {
			c.txn.Delete = append(c.txn.Delete, cib.KeyNodeStatus+name, cib.KeyRemote+name, cib.KeyFenceRequest+name)
			c.any = true
		}
	}
}

func (n *Node) admitRemote(c *viewChange, name string) {
	st := &n.snap.Status
	cur, l, r := st.Nodes[name], n.linkOf(name), st.Requests[name]
	to := func(s cib.NodeState, boot, reason, proof string) {
		if cur == nil || cur.State != s || cur.BootID != boot {
			c.put(cib.KeyNodeStatus+name, &cib.NodeStatus{State: s, BootID: boot, Since: n.wallNow(), Reason: reason, Proof: proof, Remote: true})
		}
	}
	asked := cur != nil && r != nil && (r.BootID == "" || r.BootID == cur.BootID)
	switch {
	case cur == nil && l == nil:
	case l != nil && (cur == nil || cur.BootID != l.BootID):
		// A new boot answers: whatever ran in the old one is over.
		if cur != nil && cur.BootID != "" && cur.State != cib.NodeFenced {
			n.cleared(c, name, cur)
		} else if r != nil && r.BootID != l.BootID {
			n.withdraw(c, r, "node "+name+" was booted anew")
		}
		n.forget(c, name, true)
		to(cib.NodeOnline, l.BootID, "connected to "+l.Host, "")
		c.event(event.RemoteOnline, "node", name, "host", l.Host)
	case cur.State == cib.NodeFenced:
		// What it answered is newer than the proof: what was recovered elsewhere may run
		// there, too. It gets no orders, and is fenced again.
		if said := st.Remotes[name]; said != nil && said.Refused && said.BootID == cur.BootID && said.Rev > cur.Rev {
			n.voidProof(c, name, cur)
		}
	case n.proofFor(name, cur.BootID) != nil:
		p := n.proofFor(name, cur.BootID)
		if r != nil {
			n.withdraw(c, r, "node "+name+" was confirmed dead by "+p.By)
		}
		n.forget(c, name, true)
		to(cib.NodeFenced, cur.BootID, "confirmed by "+p.By, p.ID)
		c.event(event.NodeFenced, "node", name, "by", p.By, "proof", p.ID, "cause", p.Request)
	case n.voided(name, cur.BootID):
		to(cib.NodeUnclean, cur.BootID, answeredDead, "")
	case l != nil && (!asked || r.State != cib.FenceExecuting && l.Since.After(r.Asked)):
		if asked {
			n.withdraw(c, r, "node "+name+" is connected again")
		}
		to(cib.NodeOnline, cur.BootID, "connected to "+l.Host, "")
	case asked:
		to(cib.NodeUnclean, cur.BootID, r.Why.Cause, "")
		if cur.State != cib.NodeUnclean {
			n.lostNode(c, name, cur.BootID, 0, "remote node "+name+" is lost: "+r.Why.Cause)
			c.event(event.RemoteLost, "node", name, "reason", r.Why.Cause)
		}
	default:
		to(cib.NodeOffline, cur.BootID, "not connected", "")
	}
}

// linkOf returns the connection to a remote node where it is up: active at the node
// that the newest document about it names, without a failure since.
func (n *Node) linkOf(name string) *cib.RemoteLink {
	st := &n.snap.Status
	l := st.Remotes[name]
	if l == nil || l.Refused || st.Nodes[l.Host] == nil {
		return nil
	}
	h, host := st.Histories[l.Host][name], st.Nodes[l.Host]
	if h == nil || h.BootID != host.BootID || host.State == cib.NodeUnclean || host.State == cib.NodeFenced || !h.Role().Active() {
		return nil
	}
	var last *cib.OpResult
	for i := range h.Ops {
		if o := &h.Ops[i]; last == nil || o.Seq > last.Seq {
			last = o
		}
	}
	if last != nil && last.Failed {
		return nil
	}
	return l
}
