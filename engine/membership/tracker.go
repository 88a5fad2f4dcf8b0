package membership

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Tracker knows who is heard, and until when this node is valid. Calls with a
// time earlier than that of the call before are treated as if they came at the
// same time.
type Tracker struct {
	self        string
	incarnation uint64
	bootID      string
	rng         *rand.Rand
	started     time.Time
	now         time.Time // of the newest call

	setup  Setup
	voter  bool // this node is of the newest voter set
	votes  int  // of this node
	total  int  // of all voters
	peers  []*peer
	byName map[string]*peer
	target []*peer // who gets heartbeats: the other voters

	know      Knowledge
	view      uint64        // newest one known
	inView    bool          // this incarnation is in it
	viewHeard uint64        // newest one that a voter of our data generation has
	wallAhead time.Duration // wall clock minus steady clock
	hasWall   bool

	higher   cib.DataGeneration // heard; zero: none above ours
	conflict string             // a peer with our generation number and another nonce

	nextBeat, lastBeat time.Time
	nextCheck          time.Time // no peer or link goes down before; zero: never
	nonce              uint64
	nonces             []nonce // ring of those sent
	nonceNext          int

	lease     time.Time // valid until then
	leaseView uint64    // the newest view in which it was granted
	excluded  uint64    // the newest view known to be without this incarnation
	grant     time.Time
	promise   bool // see Promise
	settled   bool // a majority of the newest voter set was heard to know its epoch

	stallNews time.Duration
	stalled   time.Duration // the last stall
	stalledAt time.Time

	hearsRev  uint64
	hearsBase uint64 // who holds less gets the whole report
	ownHears  []Heard
}

// New returns the tracker of a node that has heard nobody. The incarnation is
// higher than every earlier one of this node.
func New(self string, incarnation uint64, bootID string, rng *rand.Rand, now time.Time) *Tracker {
	return &Tracker{
		self: self, incarnation: incarnation, bootID: bootID, rng: rng, started: now, now: now,
		byName: map[string]*peer{}, hearsRev: 1,
	}
}

// Configure takes over configuration and voter set.
func (t *Tracker) Configure(now time.Time, s Setup) {
	t.observe(now)
	if old := &t.setup; slices.Equal(s.Nodes, old.Nodes) && slices.Equal(s.Voters, old.Voters) {
		s.Nodes, s.Voters = old.Nodes, old.Voters // the common case, with every snapshot
	} else {
		s.Nodes, s.Voters = bounded(s.Nodes, MaxNodes), bounded(s.Voters, MaxVoters)
	}
	s.Links = min(max(1, s.Links), MaxLinks)
	s.Interval = max(s.Interval, time.Millisecond)
	s.Detection = max(s.Detection, 2*s.Interval)
	s.Validity = max(s.Validity, s.Interval)
	old := t.setup
	t.setup = s
	other := !slices.Equal(old.Voters, s.Voters) || !maps.Equal(old.Votes, s.Votes)
	if old.VoterEpoch != s.VoterEpoch || other {
		t.newVoters(s.VoterEpoch < old.VoterEpoch)
	}
	if !slices.Equal(old.Nodes, s.Nodes) || other {
		t.newNodes()
		t.nextBeat = t.soon()
	}
	if old.Validity != s.Validity && t.lease.After(t.now.Add(s.Validity)) {
		t.lease = t.now.Add(s.Validity)
	}
	if old.Validity != s.Validity || old.Interval != s.Interval || old.Detection != s.Detection {
		t.resizeNonces()
	}
	t.nextCheck = t.now
	t.settle()
	t.renew()
}

// bounded returns the names, sorted, without repetitions, and at most limit.
func bounded(names []string, limit int) []string {
	out := slices.Compact(slices.Sorted(slices.Values(names)))
	return out[:min(limit, len(out))]
}

// votes returns those of a node, of a voter set that is sorted.
func (s *Setup) votes(name string) int {
	if _, ok := slices.BinarySearch(s.Voters, name); !ok {
		return 0
	}
	return max(1, s.Votes[name])
}

// newVoters begins a voter set: what voters confirmed before was for another one.
func (t *Tracker) newVoters(lower bool) {
	for _, p := range t.peers {
		p.echo = echo{}
	}
	t.settled = false
	if lower {
		t.lease = time.Time{} // another history; what it granted is worth nothing
	}
}

// newNodes rebuilds the peers. Those that stay keep what is known of them.
func (t *Tracker) newNodes() {
	s := &t.setup
	peers := make([]*peer, 0, len(s.Nodes))
	byName := make(map[string]*peer, len(s.Nodes))
	t.target, t.total = nil, 0
	for _, name := range s.Voters {
		t.total += s.votes(name)
	}
	t.votes = s.votes(t.self)
	t.voter = t.votes > 0
	for _, name := range s.Nodes {
		if name == t.self {
			continue
		}
		p := t.byName[name]
		if p == nil {
			p = &peer{name: name}
		}
		p.votes = s.votes(name)
		p.voter = p.votes > 0
		if p.voter {
			t.target = append(t.target, p)
		}
		peers = append(peers, p)
		byName[name] = p
	}
	removed := slices.ContainsFunc(t.peers, func(p *peer) bool { return byName[p.name] == nil })
	t.peers, t.byName = peers, byName
	if removed {
		t.renumber()
	}
	if t.byName[t.conflict] == nil {
		t.findConflict()
	}
	t.placeInView(t.know.View)
}

// Know takes over what this node tells its peers from now on.
func (t *Tracker) Know(now time.Time, k Knowledge) {
	t.observe(now)
	if !k.Wall.IsZero() {
		t.wallAhead, t.hasWall = k.Wall.Round(0).Sub(t.now.Round(0)), true
	}
	old := t.know
	if k.Generation.Number < old.Generation.Number {
		k.Generation, k.View = old.Generation, old.View
	}
	if k.Generation != old.Generation {
		t.newGeneration(k.Generation)
		old.View = nil
	}
	if k.View == nil || old.View != nil && k.View.Number <= old.View.Number {
		k.View = old.View
	}
	t.know = k
	if k.View != old.View && k.View != nil {
		t.placeInView(k.View)
		t.view = k.View.Number
		if !t.inView {
			t.exclude(t.view)
		}
	}
	if k.Generation != old.Generation || k.View != old.View || k.DC != old.DC || k.Leaving != old.Leaving || k.Restarting != old.Restarting {
		t.nextBeat = t.soon()
	}
	t.renew()
}

// newGeneration begins another history of the data: nothing that was granted or
// promised in the old one holds.
func (t *Tracker) newGeneration(g cib.DataGeneration) {
	t.lease, t.leaseView, t.excluded = time.Time{}, 0, 0
	t.view, t.viewHeard, t.inView = 0, 0, false
	t.settled = false
	t.know.Generation = g
	if t.higher.Number <= g.Number {
		t.higher = cib.DataGeneration{}
	}
	for _, p := range t.peers {
		p.echo, p.viewInc = echo{}, 0
		if p.voter && p.said.Generation == g {
			t.viewHeard = max(t.viewHeard, p.said.View)
		}
	}
	t.findConflict()
	t.settle()
}

// placeInView notes for every node with which incarnation it is in the view.
func (t *Tracker) placeInView(v *cib.View) {
	t.inView = false
	for _, p := range t.peers {
		p.viewInc = 0
	}
	if v == nil {
		return
	}
	for i := range v.Members {
		m := &v.Members[i]
		if m.Node == t.self {
			t.inView = m.Incarnation == t.incarnation
		} else if p := t.byName[m.Node]; p != nil {
			p.viewInc = m.Incarnation
		}
	}
}

// observe takes note of the time. The gap since the last call shows whether
// this node itself was starved or suspended.
func (t *Tracker) observe(now time.Time) {
	gap := now.Sub(t.now)
	if gap <= 0 {
		return
	}
	before := t.now
	t.now = now
	late := gap - t.every()
	if t.setup.Detection == 0 || late <= t.setup.Detection/4 {
		return
	}
	t.stallNews += late
	t.stalled, t.stalledAt = late, now
	for _, p := range t.peers {
		if p.state == silent && p.heard.IsZero() {
			continue
		}
		p.heardBy.stall(before, now, t.setup.Detection)
		p.ackedBy.stall(before, now, t.setup.Detection)
		for i := range t.setup.Links {
			p.links[i].down.stall(before, now, t.setup.Detection)
		}
	}
}

// recentStall is the last stall, if it was a moment ago.
func (t *Tracker) recentStall() time.Duration {
	if t.stalled > 0 && t.now.Sub(t.stalledAt) < t.setup.Detection {
		return t.stalled
	}
	return 0
}
