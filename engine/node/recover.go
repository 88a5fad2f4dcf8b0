package node

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// Of two voters that keep the store themselves one can't write anything when the
// other one is gone, whatever the tie-breakers say. Once an arbitrator's grant is
// settled, the other half has stopped what it ran, and its data can be shut out for
// good: then this node makes itself the only voter of the store. That is no proof that
// the other node is dead: what ran there is recovered after one, as always.

// A node that becomes a voter of the store has its vote recorded a moment later. One
// that dies in between leaves a store that waits for it, and a sole voter that has
// quorum and can write nothing. Nobody has to decide between the two then: whose vote
// was never recorded can have quorum nowhere. The shell says so once it has found such
// a member (StoreWaits), and looks again at the data before anything is done.

// A voter whose disk came back old or empty takes no part in the store: where it was
// shut out before, its old data are no member's any more, and are set aside. The other
// voter has everything that was acknowledged, and the store waits for a member that
// nobody has. Nobody has to decide between the two: who has no data can have quorum nowhere until it
// has learned them anew. It says so itself (StoreWaits.Empty), and an arbitrator, where
// there is one, must not know of newer data: they may have been on that disk alone.

// recovery is what a node knows of its forced recovery of the store.
type recovery struct {
	busy    bool               // it is on its way
	from    cib.DataGeneration // that it was asked for
	done    cib.DataGeneration // that it has ended: the snapshot does not show it yet
	retryAt time.Time          // after one that was given up
	told    string             // the reason that the operator was told last

	waitsFor string    // see StoreWaits
	empty    bool      // see StoreWaits
	since    time.Time // when that was said
}

const (
	// recoverPause is the time between two tries.
	recoverPause = 2 * time.Second
	// unrecordedMax is how long a store that does not answer waits for a voter that
	// was never recorded and is heard: its member may only be starting.
	unrecordedMax = 30 * time.Second
)

// recoverStore asks for the forced recovery of the store where it is allowed.
func (n *Node) recoverStore(now time.Time) {
	ask, at, ok := n.mayRecover()
	if !ok {
		n.recovery.retryAt = time.Time{}
		return
	}
	if n.recovery.busy || now.Before(n.recovery.retryAt) || now.Before(at) || ask.Device != "" && !now.Before(n.arb.until) {
		return
	}
	if m := n.snap.Status.Members[ask.Lost]; m != nil && m.Restart && !ask.Empty && now.Before(n.lostSince(ask).Add(n.snap.Config.Cluster.Options.RestartGraceTime())) {
		return // only its engine restarts
	}
	n.recovery.busy, n.recovery.from = true, ask.Generation
	n.out = append(n.out, ask)
}

func (n *Node) lostSince(ask Recover) time.Time {
	if ask.Device == "" {
		return n.recovery.since
	}
	return n.arb.tieSince
}

// mayRecover reports whether the store can only go on with this node alone, and from
// when on it may.
func (n *Node) mayRecover() (ask Recover, at time.Time, ok bool) {
	if n.snap == nil {
		return ask, at, false
	}
	voters, epoch := n.voters()
	if n.storeOK || n.snap.Config.Cluster.External() || n.recovery.done == n.snap.Status.Generation || epoch == 0 {
		return ask, at, false
	}
	ask = Recover{Generation: n.snap.Status.Generation, Revision: n.snap.Revision}
	switch {
	case len(voters) == 1 && voters[0] == n.self.Name:
		ask.Lost, at, ok = n.lostUnrecorded()
	case len(voters) == 2:
		ask.Lost = n.otherVoter()
		if ask.Empty = n.lostEmpty(ask.Lost); ask.Empty {
			return ask, n.recovery.since.Add(n.snap.Config.Cluster.Options.DetectionTime()), true
		}
		if (n.fresh || n.sameBoot) && ask.Lost != "" {
			ask.Device, ok = n.grantedBy()
			at = n.arb.settled
		}
	}
	return ask, at, ok
}

// lostEmpty reports whether the other one of two voters is there without its data of
// the store, and nobody is heard that knows of newer ones than this node. An engine that
// has not reached the store since it started is not heard: the shell has asked it.
func (n *Node) lostEmpty(other string) bool {
	_, higher := n.tracker.Higher()
	_, histories := n.tracker.Conflict()
	return n.recovery.empty && n.recovery.waitsFor == other && !higher && !histories
}

// grantedBy returns the arbitrator that gave this node the right to go on alone, once
// it says when its grant is settled. Other tie-breakers open no generation: they could
// give the same right to the other half later.
func (n *Node) grantedBy() (device string, ok bool) {
	if !n.arb.claim.Tie || !n.quorum.Quorate || n.arb.settled.IsZero() || len(n.arb.claim.Present) != 1 {
		return "", false
	}
	device = n.quorum.Modules[len(n.quorum.Modules)-1].ID
	d := n.snap.Config.QuorumDevices[device]
	return device, d != nil && d.Kind == cib.QuorumDeviceQuorumd
}

// lostUnrecorded returns the member that the store waits for although it never had a
// vote, and from when on nobody waits for it any more. The data on this node's disk are
// enough for that: they hold all that anybody has.
func (n *Node) lostUnrecorded() (lost string, at time.Time, ok bool) {
	if n.recovery.waitsFor == "" {
		return "", at, false
	}
	wait := n.snap.Config.Cluster.Options.DetectionTime()
	if p, known := n.tracker.Peer(n.recovery.waitsFor); known && p.Up {
		wait = unrecordedMax
	}
	return n.recovery.waitsFor, n.recovery.since.Add(wait), true
}

// storeWaits takes what the shell has found.
func (n *Node) storeWaits(now time.Time, ev StoreWaits) {
	if ev.For != n.recovery.waitsFor || ev.Empty != n.recovery.empty {
		n.recovery.waitsFor, n.recovery.empty, n.recovery.since = ev.For, ev.Empty, now
	}
}

// recovered takes what came of a forced recovery.
func (n *Node) recovered(now time.Time, ev Recovered) {
	n.recovery.busy = false
	if ev.Error == "" {
		n.recoveryOver()
		n.recovery = recovery{done: n.recovery.from}
		return
	}
	n.recovery.retryAt = now.Add(recoverPause)
	if ev.Error != n.recovery.told {
		n.recovery.told = ev.Error
		n.emit(event.New(event.StoreForceRefused, "node", n.self.Name, "reason", ev.Error))
	}
}

// recoveryOver tells the operator that the store goes on, in whatever way, where it was
// said that it can't.
func (n *Node) recoveryOver() {
	if n.recovery.told != "" {
		n.recovery.told = ""
		n.emit(event.New(event.StoreGoesOn, "node", n.self.Name))
	}
}

// StoreAlone says why this node can't go on with the store alone, where it was asked to;
// "" where it was not, or the store goes on.
func (n *Node) StoreAlone() string { return n.recovery.told }

// recoverWake is when time alone allows the recovery.
func (n *Node) recoverWake(now time.Time) time.Time {
	_, at, ok := n.mayRecover()
	if !ok || n.recovery.busy {
		return time.Time{}
	}
	for _, t := range []time.Time{at, n.recovery.retryAt} {
		if t.After(now) {
			return t
		}
	}
	return time.Time{}
}
