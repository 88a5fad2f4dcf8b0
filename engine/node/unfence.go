package node

import (
	"cmp"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/fencing"
)

// A node that joins has itself switched on by the devices that want that, before
// anything that requires it starts there. It does so by itself, as the plan shows;
// that it is done stands in its transient attributes, which end with its boot.

// unfencing is how far this node is with that.
type unfencing struct {
	digests  string // of the devices that it is for
	next     int    // of them: which is called next
	run      uint64 // the call on its way; 0: none
	device   string // that is called
	writing  bool   // the record is on its way
	failures int    // one after another
	retryAt  time.Time
}

// unfenceSelf calls the next device that is to switch this node on. A node about to
// be fenced, or fenced already, stays out.
func (n *Node) unfenceSelf(now time.Time) {
	x := &n.unfence
	if x.run != 0 || x.writing || now.Before(x.retryAt) {
		return
	}
	name, st, c := n.self.Name, &n.snap.Status, n.snap.Config
	if !n.valid || st.View == nil || !n.online(name) || n.leaving != nil || st.Requests[name] != nil || n.proofFor(name, n.self.BootID) != nil {
		return
	}
	if c.UnfencingDue(name, n.self.BootID, st.Attributes[name]) == "" {
		*x = unfencing{}
		return
	}
	ids := c.Unfencers(name)
	var digests strings.Builder
	for _, id := range ids {
		digests.WriteString(c.UnfencedDigest(id, name) + ",")
	}
	if x.digests != digests.String() {
		x.digests, x.next, x.failures = digests.String(), 0, 0
	}
	if x.next >= len(ids) {
		n.unfenced(ids)
		return
	}
	id := ids[x.next]
	d := c.FenceDevices[id]
	if !n.takesCall(id, d.Concurrency) {
		return
	}
	n.nextRun++
	x.run, x.device = n.nextRun<<1|1, id
	n.out = append(n.out, FenceCall{
		Run: x.run, DeviceID: id, Device: *d, Op: FenceOn, Target: name, Plug: cmp.Or(d.Targets[name], name),
		Timeout: cmp.Or(d.Timeout.D(), c.Cluster.Options.FenceTimeout()), NotAfter: n.tracker.ValidUntil(),
	})
}

// unfenceDone takes the result of a call.
func (n *Node) unfenceDone(now time.Time, ev FenceDone) {
	x := &n.unfence
	x.run = 0
	if ev.Result.OK {
		x.next++
		return
	}
	x.next = 0
	x.failures++
	x.retryAt = now.Add(fencing.Backoff(x.failures))
	n.emit(event.New(event.UnfencingFailed, "node", n.self.Name, "device", x.device, "attempt", strconv.Itoa(x.failures), "reason", ev.Result.Error))
}

// unfenced records that all devices have switched this node on.
func (n *Node) unfenced(ids []string) {
	x := &n.unfence
	key := cib.KeyAttributes + n.self.Name
	doc := &cib.Attributes{BootID: n.self.BootID, Values: map[string]string{}}
	var rev int64
	if old := n.snap.Status.Attributes[n.self.Name]; old != nil {
		rev = old.Rev
		if old.BootID == n.self.BootID {
			doc.Private = maps.Clone(old.Private)
			maps.Copy(doc.Values, old.Values)
		}
	}
	doc.Values[cib.AttributeUnfenced] = strconv.FormatInt(n.wallNow().Unix(), 10)
	doc.Values[cib.AttributeUnfencedDigests] = x.digests
	x.writing = true
	n.commit(cib.Txn{If: []cib.Compare{{Key: key, ModRev: rev}}, Put: []cib.Put{{Key: key, Value: doc}}},
		[]cib.Event{event.New(event.UnfencingDone, "node", n.self.Name, "device", strings.Join(ids, "+"))},
		func(now time.Time, _ Outcome, _ int64) {
			// Refused: another attribute was written. Until the snapshot shows the
			// record it is not asked for again at once.
			x.writing, x.retryAt = false, now.Add(200*time.Millisecond)
		})
}
