package membership

import (
	"math/rand/v2"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Tracker knows who is heard. See the package comment.
type Tracker struct {
	self string
}

// New returns the tracker of a node that has heard nobody. The incarnation is
// higher than every earlier one of this node.
func New(self string, incarnation uint64, bootID string, rng *rand.Rand, now time.Time) *Tracker {
	return &Tracker{self: self}
}

// Configure takes over configuration and voter set.
func (t *Tracker) Configure(now time.Time, s Setup) {}

// Know takes over what this node tells its peers from now on.
func (t *Tracker) Know(now time.Time, k Knowledge) {}

// SetGrant says how long the tie-breakers let this half of an even voter set act.
func (t *Tracker) SetGrant(until time.Time) {}

// Beat returns the heartbeats that are due.
func (t *Tracker) Beat(now time.Time) []Outgoing { return nil }

// Receive takes a message that arrived on a link. Answers go out at once.
func (t *Tracker) Receive(now time.Time, link int, m *Message) (answers []Outgoing, news News) {
	return nil, nil
}

// Tick finds the peers that went silent. It must be called when NextWake says
// so, and may be called more often.
func (t *Tracker) Tick(now time.Time) News { return nil }

// NextWake says when Beat and Tick want to be called again.
func (t *Tracker) NextWake(now time.Time) time.Time { return now.Add(time.Second) }

// ValidUntil says until when this node may act; zero: not at all.
func (t *Tracker) ValidUntil() time.Time { return time.Time{} }

// EpochSettled reports whether a majority of the newest voter set was heard to
// know its epoch: the next change of the voter set waits for it.
func (t *Tracker) EpochSettled() bool { return false }

// Promised reports whether a majority of the newest voter set was heard to know
// the view, or a later one: none of them renews the validity of a node that is
// not in it.
func (t *Tracker) Promised(view uint64) bool { return false }

// Conflict returns a peer that has the same data generation number with another
// nonce, if there is one: two histories exist, and changes must stop.
func (t *Tracker) Conflict() (peer string, ok bool) { return "", false }

// Higher returns the highest data generation heard, if it is higher than the
// one this node knows: it is invalid until it knows that one.
func (t *Tracker) Higher() (cib.DataGeneration, bool) { return cib.DataGeneration{}, false }

// Alive returns this node and the nodes it hears mutually, sorted by name.
func (t *Tracker) Alive(now time.Time) []cib.ViewMember { return nil }

// Hearing returns who hears whom.
func (t *Tracker) Hearing(now time.Time) Hearing { return Hearing{} }

// Links returns the state of every link to every peer that this node talks to.
// Sent, Rejected are the transport's to fill in.
func (t *Tracker) Links(now time.Time) []cib.LinkPeer { return nil }

// ClockOffset is this node's wall clock against the median of the voters'.
func (t *Tracker) ClockOffset() time.Duration { return 0 }

// SilentSince says since when a node that is not heard has been silent: the
// arrival of its last message, or the start of this tracker. It is false for
// nodes that are heard or not configured.
func (t *Tracker) SilentSince(node string) (time.Time, bool) { return time.Time{}, false }

// Peer returns what a configured node said last.
func (t *Tracker) Peer(node string) (Peer, bool) { return Peer{}, false }
