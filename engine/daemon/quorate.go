package daemon

import (
	"context"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/quorum"
)

// quorate refuses what the store could not take, where this node knows that it has no
// quorum. A loss that is shorter than the detection time is waited for: while one of
// the voters is replaced by the next DC, or the tie-breakers are asked, there is
// nothing that an operator should hear of. After that it refuses at once. waited says
// that time went by, in which others may have changed what the caller has read.
func (e *engine) quorate(ctx context.Context) (waited bool, err error) {
	o := &cib.Options{}
	if s := e.snap.Load(); s != nil {
		o = &s.Config.Cluster.Options
	}
	return awaitQuorum(ctx, o, func() (quorum.Result, bool, error) {
		var now quorum.Result
		var passing bool
		if err := e.ask(ctx, func(n *node.Node) { now, passing = n.Quorum(), n.QuorumShown() }); err != nil {
			return quorum.Result{}, false, err // the node may answer yet
		}
		return now, passing, nil
	})
}

// awaitQuorum looks until there is quorum, or the loss of it is no longer passing.
func awaitQuorum(ctx context.Context, o *cib.Options, look func() (now quorum.Result, passing bool, err error)) (waited bool, err error) {
	// The loop that tells when a loss has passed may be late itself.
	ctx, cancel := context.WithTimeout(ctx, 2*o.DetectionTime())
	defer cancel()
	every := time.NewTicker(max(time.Millisecond, o.HeartbeatInterval()/4))
	defer every.Stop()
	for {
		now, passing, err := look()
		switch {
		case err != nil || now.Quorate:
			return waited, nil // an engine that ends says so elsewhere
		case !passing:
			return waited, noQuorum(now)
		}
		waited = true
		select {
		case <-every.C:
		case <-ctx.Done():
			return waited, noQuorum(now)
		}
	}
}

func noQuorum(r quorum.Result) error {
	return api.NewProblem(api.CodeNoQuorum, "nothing was changed: "+r.Reason)
}
