package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/store"
)

// Whom the store waits for, and whether in vain: the two cases in which nobody need
// decide between two voters. See engine/node/recover.go.

// tellWaits tells the node which one other voter the store has, as this node's member
// knows it, while the store does not answer.
func (k *keeper) tellWaits(ctx context.Context, s *cib.Snapshot) {
	other, empty := "", false
	if !k.external() && k.running && k.admin() != nil && k.storeErr.Load() != nil {
		switch ch := k.sup.State(); ch.State {
		case store.ChildReady:
			members, err := k.admin().MembersAt(ctx, k.local.Node)
			if err != nil {
				return
			}
			other = otherVoter(members, k.local.Node)
		case store.ChildStarting:
			// One that has begun anew tells nobody anything before it has a leader.
			if time.Since(ch.Since) < aloneStartMax {
				return
			}
			other = unrecordedVoter(s, k.local.Node)
		case store.ChildStopped, store.ChildBackoff, store.ChildFailed:
			return
		}
		if peer := recordedPeer(s, k.local.Node); peer != "" {
			err := k.askEmpty(ctx, s, peer)
			if empty = err == nil; empty {
				other = peer
			}
			k.log.Debug("what the other voter says of its data of the store", "peer", peer, "empty", empty, "err", err)
		}
	}
	if w := (node.StoreWaits{For: other, Empty: empty}); w != k.waits && ctx.Err() == nil {
		k.waits = w
		k.tell(ctx, w)
	}
}

// aloneStartMax is how long a member that is the only one may take to read its data.
const aloneStartMax = 5 * time.Second

// otherVoter returns the other one of two voters of the store.
func otherVoter(members []store.Member, self string) string {
	other, voting := "", 0
	for _, m := range members {
		if !m.Learner {
			voting++
			if m.Name != self {
				other = m.Name
			}
		}
	}
	if voting != 2 {
		return ""
	}
	return other
}

// unrecordedVoter returns the one node that is to have a vote, and whose vote was not
// recorded.
func unrecordedVoter(s *cib.Snapshot, self string) string {
	var other []string
	for _, name := range sortedKeys(s.Config.Nodes) {
		if s.Config.Nodes[name].Voter && name != self && (s.Status.Voters == nil || !slices.Contains(s.Status.Voters.Voters, name)) {
			other = append(other, name)
		}
	}
	if len(other) != 1 {
		return ""
	}
	return other[0]
}

// recordedPeer returns the other one of two voters as they are recorded.
func recordedPeer(s *cib.Snapshot, self string) string {
	v := s.Status.Voters
	if v == nil || len(v.Voters) != 2 || !slices.Contains(v.Voters, self) {
		return ""
	}
	if v.Voters[0] == self {
		return v.Voters[1]
	}
	return v.Voters[0]
}

// pathMember is what a voter asks the other one of two about its member of the store.
// It is asked and answered before either has reached the store, when the two do not
// hear each other yet.
const pathMember = "/v1/store-member"

// peerMember is the answer.
type peerMember struct {
	// Empty: there are no data of the store on this node, and it makes none by itself:
	// it waits to be made a member again.
	Empty      bool               `json:"empty"`
	Generation cib.DataGeneration `json:"generation"` // the newest that this node has seen
}

// askEmptyMax bounds the question, on all links.
const askEmptyMax = 2 * time.Second

// askEmpty returns nil where another node says that it has no data of the store, and
// that it has never seen newer ones than a snapshot shows.
func (k *keeper) askEmpty(ctx context.Context, s *cib.Snapshot, peer string) error {
	var m peerMember
	if err := k.askPeerFor(ctx, askEmptyMax, peer, pathMember, struct{}{}, &m); err != nil {
		return err
	}
	own := s.Status.Generation
	switch {
	case !m.Empty:
		return fmt.Errorf("%s has data of the store", peer)
	case m.Generation.Number > own.Number, m.Generation.Number == own.Number && m.Generation != own:
		return fmt.Errorf("%s has seen generation %d of the data, and this node's are of generation %d, or another history", peer, m.Generation.Number, own.Number)
	}
	return nil
}

// peerMember answers the other voter.
func (e *engine) peerMember(context.Context, string, *http.Request) (any, error) {
	m := peerMember{Empty: e.keeper.empty()}
	if s := e.snap.Load(); s != nil {
		m.Generation = s.Status.Generation
	}
	return m, nil
}

// empty reports whether there are no data of the store here, in any shape. Once it is so
// it stays so until the store has this node as a member anew, for which it needs a
// voter that has data.
func (k *keeper) empty() bool {
	switch k.sup.State().State {
	case store.ChildStarting, store.ChildReady, store.ChildBackoff:
		return false
	case store.ChildStopped, store.ChildFailed:
	}
	for _, file := range []string{dirForced, fileRecovery} {
		if _, err := os.Stat(k.d.path(file)); !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return !k.hasData()
}

// lostData reports whether this node has a vote by the newest snapshot, and no data of
// the store. It must not begin with an empty log under the name that it had: the
// others count on what it has acknowledged.
func (k *keeper) lostData(s *cib.Snapshot) bool {
	return s != nil && s.Status.Voters != nil && slices.Contains(s.Status.Voters.Voters, k.local.Node) && !k.hasBegun()
}

// bereft settles that the other voter has no data any more. The data that this node is
// to go on with must be those that were seen last by anybody: the two nodes agree on
// that, and so does every arbitrator of the cluster, which may know of newer ones.
func (k *keeper) bereft(ctx context.Context, r *recovery) error {
	s, err := k.admin().Snapshot(ctx)
	if err != nil {
		return err
	}
	if peer := recordedPeer(s, k.local.Node); peer != r.Lost {
		replace(k.newest, s)
		return fmt.Errorf("the voters are others than was known: %v", s.Status.Voters.Voters)
	}
	if err := k.arbiters.newest(ctx, s.Config, r); err != nil {
		return err
	}
	if err := k.askEmpty(ctx, s, r.Lost); err != nil {
		return err
	}
	return k.settled(r)
}

// recordAlone records that this node is the only voter where the store says so, and who
// was to record it is gone: the DC that took the other one's member away. That one has
// acknowledged its removal, and can have quorum nowhere; without this node's word nobody
// would have it anywhere.
func (k *keeper) recordAlone(ctx context.Context, s *cib.Snapshot) error {
	peer := recordedPeer(s, k.local.Node)
	if peer == "" || k.external() || k.admin() == nil || k.storeErr.Load() != nil || time.Since(k.askedAlone) < membersPause {
		return nil
	}
	quorate := true
	if err := k.ask(ctx, func(n *node.Node) { quorate = n.Quorum().Quorate }); err != nil || quorate {
		return err
	}
	k.askedAlone = time.Now()
	members, err := k.admin().Members(ctx)
	if err != nil || len(members) != 1 || members[0].Name != k.local.Node || members[0].Learner {
		return err
	}
	k.log.Warn("the store has no other member: this node records that it is the only voter", "peer", peer)
	set := &cib.VoterSet{Epoch: s.Status.Voters.Epoch + 1, Voters: []string{k.local.Node}, Since: time.Now().UTC(), Reason: peer + " was removed"}
	_, _, err = k.admin().Commit(ctx, cib.Txn{
		If:  []cib.Compare{{Key: cib.KeyVoters, ModRev: s.Status.Voters.Rev}},
		Put: []cib.Put{{Key: cib.KeyVoters, Value: set}, k.eventPut(event.New(event.VoterSetChanged, "voters", k.local.Node, "reason", set.Reason))},
	})
	return err
}
