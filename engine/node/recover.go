package node

import (
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// Of two voters that keep the store themselves one can't write anything when the
// other one is gone, whatever the tie-breakers say. Once an arbitrator's grant is
// settled, the other half has stopped what it ran, and its data can be shut out for
// good: then this node makes itself the only voter of the store. That is no proof that
// the other node is dead: what ran there is recovered after one, as always.

// recovery is what a node knows of its forced recovery of the store.
type recovery struct {
	busy    bool               // it is on its way
	from    cib.DataGeneration // that it was asked for
	done    cib.DataGeneration // that it has ended: the snapshot does not show it yet
	retryAt time.Time          // after one that was given up
	told    string             // the reason that the operator was told last
}

// recoverPause is the time between two tries.
const recoverPause = 2 * time.Second

// recoverStore asks for the forced recovery of the store where it is allowed.
func (n *Node) recoverStore(now time.Time) {
	device, lost, ok := n.mayRecover()
	if !ok {
		n.recovery.retryAt = time.Time{}
		return
	}
	if n.recovery.busy || now.Before(n.recovery.retryAt) || now.Before(n.arb.settled) || !now.Before(n.arb.until) {
		return
	}
	if m := n.snap.Status.Members[lost]; m != nil && m.Restart && now.Before(n.arb.tieSince.Add(n.snap.Config.Cluster.Options.RestartGraceTime())) {
		return // only its engine restarts
	}
	n.recovery.busy, n.recovery.from = true, n.snap.Status.Generation
	n.out = append(n.out, Recover{Device: device, Lost: lost, Generation: n.snap.Status.Generation, Revision: n.snap.Revision})
}

// mayRecover reports whether the store can only go on with this node alone, which
// was given the right to by an arbitrator, once its grant is settled. Other
// tie-breakers open no generation: they could give the same right to the other half
// later.
func (n *Node) mayRecover() (device, lost string, ok bool) {
	if n.storeOK || !n.fresh || n.snap.Config.Cluster.External() || n.recovery.done == n.snap.Status.Generation {
		return "", "", false
	}
	voters, epoch := n.voters()
	if len(voters) != 2 || epoch == 0 || !n.arb.claim.Tie || !n.quorum.Quorate || n.arb.settled.IsZero() || len(n.arb.claim.Present) != 1 {
		return "", "", false
	}
	device = n.quorum.Modules[len(n.quorum.Modules)-1].ID
	if d := n.snap.Config.QuorumDevices[device]; d == nil || d.Kind != cib.QuorumDeviceQuorumd {
		return "", "", false
	}
	i := slices.IndexFunc(voters, func(v string) bool { return v != n.self.Name })
	return device, voters[i], true
}

// recovered takes what came of a forced recovery.
func (n *Node) recovered(now time.Time, ev Recovered) {
	n.recovery.busy = false
	if ev.Error == "" {
		n.recovery = recovery{done: n.recovery.from}
		return
	}
	n.recovery.retryAt = now.Add(recoverPause)
	if ev.Error != n.recovery.told {
		n.recovery.told = ev.Error
		n.emit(event.New(event.StoreForceRefused, "node", n.self.Name, "reason", ev.Error))
	}
}

// recoverWake is when time alone allows the recovery.
func (n *Node) recoverWake(now time.Time) time.Time {
	if _, _, ok := n.mayRecover(); !ok || n.recovery.busy {
		return time.Time{}
	}
	for _, t := range []time.Time{n.arb.settled, n.recovery.retryAt} {
		if t.After(now) {
			return t
		}
	}
	return time.Time{}
}
