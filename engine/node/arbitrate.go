package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/quorum"
)

// The tie-breakers stand outside: the shell talks to them all the time, tells them
// what this node claims (Consult), and tells this node what they say (Arbitrated).
// What they say counts at a tie only, for the claim that it answers, and for as long
// as it is good on this node's own clock.

// Claim is what this node says of its part of the cluster.
type Claim struct {
	// Episode is another one whenever the voters that are heard have changed. As
	// long as it is the same and Tie is true, no other voter was echoed.
	Episode    uint64
	Voters     []string // sorted
	Epoch      uint64
	Present    []string // voters that are heard, this node among them; sorted
	Generation cib.DataGeneration
	Tie        bool // exactly half: the tie-breakers are asked
	Voter      bool // this node is one
	Quorate    bool
}

func (c *Claim) equal(o *Claim) bool {
	return c.Episode == o.Episode && c.Epoch == o.Epoch && c.Generation == o.Generation && c.Tie == o.Tie && c.Voter == o.Voter && c.Quorate == o.Quorate &&
		slices.Equal(c.Voters, o.Voters) && slices.Equal(c.Present, o.Present)
}

// askPause is how long a half without the DC waits before it asks, in parts of the
// detection time: of two halves that are both well the one that leads goes on.
const askPause = 5

// arbitration is what a node knows of its tie-breakers.
type arbitration struct {
	claim    Claim
	said     map[string]Arbitrated // by device
	tieSince time.Time             // zero: no tie
	askAt    time.Time             // when the tie-breakers are asked; zero: no tie
	told     string                // what the operator was told last
	until    time.Time             // of the answer that decided; zero: none
	settled  time.Time             // see Arbitrated
	epoch    uint64                // the newest set of voters that a majority of it was heard to know
}

// arbitrated takes what a tie-breaker says.
func (n *Node) arbitrated(ev Arbitrated) {
	if n.arb.said == nil {
		n.arb.said = map[string]Arbitrated{}
	}
	old, known := n.arb.said[ev.Device]
	n.arb.said[ev.Device] = ev
	switch {
	case ev.Failed != "" && (!known || old.Failed == ""):
		n.emit(event.New(event.QuorumDeviceFailed, "node", n.self.Name, "device", ev.Device, "reason", ev.Failed))
	case ev.Failed == "" && known && old.Failed != "":
		n.emit(event.New(event.QuorumDeviceReady, "node", n.self.Name, "device", ev.Device))
	}
}

// devices lists the tie-breakers in their order, with what each says now to the
// present claim. Those that were removed are forgotten.
func (n *Node) devices(now time.Time) []quorum.Device {
	c := n.snap.Config
	for _, id := range sortedKeys(n.arb.said) {
		if c.QuorumDevices[id] == nil {
			delete(n.arb.said, id)
		}
	}
	var out []quorum.Device
	for _, id := range c.QuorumOrder() {
		d := quorum.Device{ID: id, Kind: c.QuorumDevices[id].Kind}
		s, known := n.arb.said[id]
		switch {
		case d.Kind == cib.QuorumDeviceNode:
			d.Answer, d.Reason = n.lowest()
		case now.Before(n.arb.askAt):
			d.Reason = "is asked in a moment: the other half has the DC"
		case !known || s.Episode != n.arb.claim.Episode:
			d.Reason = "has not answered yet"
			if s.Failed != "" {
				d.Reason = "does not answer: " + s.Failed
			}
		case s.Answer == cib.QuorumHave && !now.Before(s.Until):
			d.Reason = "its answer has run out"
			if s.Failed != "" {
				d.Reason += ": " + s.Failed
			}
		default:
			d.Answer, d.Reason = s.Answer, s.Reason
		}
		out = append(out, d)
	}
	return out
}

// wordMax is how long a node that starts waits for what the arbitrators say of its data.
const wordMax = 5 * time.Second

// outdated says why this node should not begin with the data that the voters have. Where
// the disks of all of them are old ones, a majority hears each other and has a store, and
// only an arbitrator knows that something was acknowledged since: that is for a person to
// decide, who lets it forget what it knows. Who has had quorum in this boot goes on.
func (n *Node) outdated(now time.Time) string {
	if n.warm || n.sameBoot || n.quorumEver || !n.isVoter(n.self.Name) {
		return ""
	}
	waits := ""
	for _, id := range n.snap.Config.QuorumOrder() {
		if n.snap.Config.QuorumDevices[id].Kind != cib.QuorumDeviceQuorumd {
			continue
		}
		switch s := n.arb.said[id]; {
		case s.Of == n.snap.Status.Generation && s.Outdated != "":
			return "quorum device " + id + " knows newer data than the disks of these nodes have: " + s.Outdated
		case s.Of != n.snap.Status.Generation && s.Failed == "" && now.Before(n.started.Add(wordMax)):
			waits = "waits for what quorum device " + id + " knows of the data"
		}
	}
	return waits
}

// lowest answers for the tie-breaker "node": the half with the lowest node id.
func (n *Node) lowest() (cib.QuorumAnswer, string) {
	best := ""
	for _, v := range n.arb.claim.Voters {
		if c := n.snap.Config.Nodes[v]; c != nil && (best == "" || c.ID < n.snap.Config.Nodes[best].ID) {
			best = v
		}
	}
	if slices.Contains(n.arb.claim.Present, best) {
		return cib.QuorumHave, best + " has the lowest id and is here"
	}
	return cib.QuorumNo, best + " has the lowest id and is not here"
}

// arbitrate looks whether the voters that are heard are exactly half, and asks the
// tie-breakers if so. It leaves the answers in the input of the quorum chain.
func (n *Node) arbitrate(now time.Time, in *quorum.Input) {
	voters, epoch := n.voters()
	claim := Claim{
		Episode: n.arb.claim.Episode, Voters: voters, Epoch: epoch, Present: slices.Sorted(slices.Values(in.Present)), Generation: n.snap.Status.Generation,
		Voter: slices.Contains(voters, n.self.Name), Quorate: n.arb.claim.Quorate,
	}
	if claim.Episode == 0 || !slices.Equal(claim.Present, n.arb.claim.Present) || !slices.Equal(claim.Voters, n.arb.claim.Voters) {
		claim.Episode++
	}
	if n.tracker.EpochSettled() && n.arb.epoch != epoch {
		n.arb.epoch = epoch
		n.out = append(n.out, EpochKnown{Epoch: epoch})
	}
	tied := quorum.Evaluate(*in).Tied
	// A tie-breaker knows halves of voters with one vote each.
	tie := tied && claim.Voter && in.Weights == nil && (in.Standalone || n.known(&claim))
	switch {
	case !tie:
		n.arb.tieSince, n.arb.askAt = time.Time{}, time.Time{}
	case n.arb.tieSince.IsZero() || claim.Episode != n.arb.claim.Episode:
		n.arb.tieSince, n.arb.askAt = now, now
		if dc := n.snap.Status.DC; dc == nil || !slices.Contains(claim.Present, dc.Node) {
			n.arb.askAt = now.Add(n.snap.Config.Cluster.Options.DetectionTime() / askPause)
		}
	}
	// From the promise on, no other voter is echoed; only then they are asked.
	n.tracker.Promise(tie)
	claim.Tie = tie && !now.Before(n.arb.askAt)
	n.consult(claim)
	switch {
	case tie:
		in.Devices = n.devices(now)
	case in.Weights != nil: // none is asked
	case tied && claim.Voter:
		for _, id := range n.snap.Config.QuorumOrder() {
			in.Devices = append(in.Devices, quorum.Device{ID: id, Kind: n.snap.Config.QuorumDevices[id].Kind, Reason: "is not asked: the other half may not know yet of the vote of " + n.snap.Status.Voters.Added})
		}
	case tied:
		in.Devices = n.heardGrant(now)
	}
}

// known reports whether nobody can be a majority of the voters before the newest one was
// added, and not know of that: a majority of them is here, or a majority of all was
// heard to know it.
func (n *Node) known(c *Claim) bool {
	v := n.snap.Status.Voters
	if v == nil || v.Added == "" || n.arb.epoch == c.Epoch {
		return true
	}
	before := 0
	for _, name := range c.Present {
		if name != v.Added {
			before++
		}
	}
	return 2*before > len(c.Voters)-1
}

// heardGrant is the answer of the tie-breakers to a node without a vote: what the
// voters that it hears were told.
func (n *Node) heardGrant(now time.Time) []quorum.Device {
	for _, id := range n.snap.Config.QuorumOrder() {
		kind := n.snap.Config.QuorumDevices[id].Kind
		if kind == cib.QuorumDevicePing {
			continue
		}
		d := quorum.Device{ID: id, Kind: kind, Answer: cib.QuorumNo, Reason: "no voter that is heard was told yes"}
		if voter, ok := n.tracker.Granted(now); ok {
			d.Answer, d.Reason = cib.QuorumHave, "as "+voter+" says"
		}
		return []quorum.Device{d}
	}
	return nil
}

// consult tells the shell what this node claims.
func (n *Node) consult(claim Claim) {
	if claim.equal(&n.arb.claim) {
		return
	}
	n.arb.claim = claim
	n.out = append(n.out, Consult{Claim: claim})
}

// granted passes the answer that decided on to the validity, and tells the operator
// what came of a tie.
func (n *Node) granted(now time.Time) {
	before := n.arb.until
	n.arb.until, n.arb.settled = time.Time{}, time.Time{}
	by := ""
	if n.quorum.Tied && n.quorum.Quorate && n.arb.claim.Voter {
		by = n.quorum.Modules[len(n.quorum.Modules)-1].ID
		s := n.arb.said[by]
		n.arb.until, n.arb.settled = s.Until, s.Settled
		if n.snap.Config.QuorumDevices[by].Kind == cib.QuorumDeviceNode {
			// Always the same, as long as it is a tie: that is looked at all the time.
			n.arb.until = now.Add(n.snap.Config.Cluster.Options.ValidityTime())
		}
	}
	if !n.arb.until.Equal(before) {
		n.tracker.SetGrant(n.arb.until)
	}
	claim := n.arb.claim
	claim.Quorate = n.quorum.Quorate
	n.consult(claim)
	if by != "" && by != n.arb.told {
		n.emit(event.New(event.QuorumByDevice, "node", n.self.Name, "device", by, "reason", n.quorum.Reason))
	}
	if by != "" || !n.quorum.Tied {
		n.arb.told = by
	}
}

// arbitrationWake is when time alone changes what the tie-breakers say.
func (n *Node) arbitrationWake() time.Time {
	if !n.arb.askAt.IsZero() && !n.arb.claim.Tie {
		return n.arb.askAt
	}
	return n.arb.until
}

// Arbitration describes what the tie-breakers say, for people.
type Arbitration struct {
	Claim   Claim
	Said    []Arbitrated // by device, in the order in which they are asked
	Until   time.Time    // how long the answer that decided is good; zero: none did
	Settled time.Time    // see Arbitrated; zero: not known
}

// Arbitration returns what the tie-breakers say.
func (n *Node) Arbitration() Arbitration {
	a := Arbitration{Claim: n.arb.claim, Until: n.arb.until, Settled: n.arb.settled}
	if n.snap == nil {
		return a
	}
	for _, id := range n.snap.Config.QuorumOrder() {
		s, known := n.arb.said[id]
		if !known {
			s = Arbitrated{Device: id}
		}
		a.Said = append(a.Said, s)
	}
	return a
}

// String is the claim in words, for logs.
func (c Claim) String() string {
	return fmt.Sprintf("%s of %s hear each other (episode %d, tie %t)", strings.Join(c.Present, " "), strings.Join(c.Voters, " "), c.Episode, c.Tie)
}
