package daemon

import (
	"context"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/tiebreak"
)

// serveAsked talks to a tie-breaker that has no connection of its own: it is asked
// once in an interval at a tie, and looked at now and then without one, so that its
// absence is known before it is needed.
func (a *arbiters) serveAsked(ctx context.Context, w *arbiter, b tiebreak.Breaker) {
	defer b.Close()
	var claim node.Claim
	var last node.Arbitrated
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case claim = <-w.claims:
		case <-timer.C:
		}
		ev := node.Arbitrated{Device: w.id, Episode: claim.Episode}
		pause := w.params.Interval
		if claim.Tie {
			ans := b.Ask(ctx, tiebreak.Claim{Node: a.local.Node, Cluster: a.local.Cluster, Episode: claim.Episode, Voters: claim.Voters, Present: claim.Present, Generation: claim.Generation})
			ev.Answer, ev.Reason, ev.Until, ev.Settled = ans.Answer, ans.Reason, ans.Until, ans.Settled
			if ans.Err != nil {
				ev.Failed = ans.Err.Error()
			}
		} else {
			pause = max(pause, tieBreakerCheck)
			if err := b.Check(ctx, claim.Quorate); err != nil {
				ev.Failed = err.Error()
			}
		}
		if ctx.Err() != nil {
			return
		}
		if ev != last {
			last = ev
			a.tell(ctx, ev)
		}
		timer.Reset(pause)
	}
}

// tieBreakerCheck is the time between two looks at a tie-breaker that is not needed.
const tieBreakerCheck = 10 * time.Second

// breaker makes what asks a tie-breaker; nil for kinds that need none.
func (a *arbiters) breaker(w *arbiter) tiebreak.Breaker {
	switch p := &w.params; w.device.Kind {
	case cib.QuorumDeviceDisk:
		return tiebreak.NewDisk(tiebreak.DiskConfig{Path: p.Devices[0], Offset: p.Offset, Lease: p.Lease, Handover: p.Handover, Now: a.clock.now})
	case cib.QuorumDevicePing:
		return tiebreak.NewPing(tiebreak.PingConfig{Addresses: p.Address, Count: p.Count, Timeout: p.Timeout, Good: 3 * p.Interval, Now: a.clock.now})
	case cib.QuorumDeviceSCSI:
		return tiebreak.NewSCSI(tiebreak.SCSIConfig{Cluster: a.local.Cluster, Node: a.local.Node, Devices: p.Devices, Timeout: p.Timeout, Good: 3*p.Interval + p.Timeout, Now: a.clock.now})
	case cib.QuorumDeviceQuorumd, cib.QuorumDeviceNode:
	}
	return nil
}
