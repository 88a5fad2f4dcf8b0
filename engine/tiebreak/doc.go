// Package tiebreak asks tie-breakers that are devices: a lease on a shared disk, a
// SCSI-3 persistent reservation, an address that answers pings. Each is a [Breaker].
//
// What a breaker says must keep the promise of package quorum: of two halves at
// most one is told yes. The times that it needs for that are said at each kind.
package tiebreak

import (
	"context"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Breaker is one tie-breaker. It has one caller at a time.
type Breaker interface {
	// Ask asks for the half of a claim. It takes no longer than the device's own
	// times, and ends with ctx.
	Ask(ctx context.Context, c Claim) Answer
	// Check looks whether the device could be asked, while nobody needs it. With
	// quorate true this node's part has a majority: what it held is given back.
	Check(ctx context.Context, quorate bool) error
	// Close lets the device go. What is held stands until it runs out.
	Close()
}

// Claim is who asks, for whom.
type Claim struct {
	Cluster, Node string
	Episode       uint64   // another one whenever Present has changed
	Voters        []string // sorted
	Present       []string // the half that asks; sorted
	Generation    cib.DataGeneration
}

// Answer is what a tie-breaker says.
type Answer struct {
	Answer  cib.QuorumAnswer // zero: none
	Reason  string
	Until   time.Time // how long a have is good
	Settled time.Time // from when on the other half has stopped; zero: not known
	Err     error     // why there is no answer
}

func no(reason string) Answer { return Answer{Answer: cib.QuorumNo, Reason: reason} }
