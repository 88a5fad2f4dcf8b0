package membership

import (
	"math/rand/v2"
	"slices"
	"strings"
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
	voters int  // how many there are, this node included
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

type nonce struct {
	value uint64
	at    time.Time
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
	if old.VoterEpoch != s.VoterEpoch || !slices.Equal(old.Voters, s.Voters) {
		t.newVoters(s.VoterEpoch < old.VoterEpoch)
	}
	if !slices.Equal(old.Nodes, s.Nodes) || !slices.Equal(old.Voters, s.Voters) {
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
	t.target, t.voters = nil, len(s.Voters)
	_, t.voter = slices.BinarySearch(s.Voters, t.self)
	for _, name := range s.Nodes {
		if name == t.self {
			continue
		}
		p := t.byName[name]
		if p == nil {
			p = &peer{name: name}
		}
		_, p.voter = slices.BinarySearch(s.Voters, name)
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

// resizeNonces makes the ring long enough to recognise every echo that can
// still matter, beats that came early included.
func (t *Tracker) resizeNonces() {
	s := &t.setup
	n := int(max(s.Validity, 3*s.Detection)/s.Interval)*2 + 16
	ring := make([]nonce, min(n, 1024))
	for i := range min(len(ring), len(t.nonces)) { // the newest last
		from := (t.nonceNext - 1 - i + 2*len(t.nonces)) % len(t.nonces)
		ring[len(ring)-1-i] = t.nonces[from]
	}
	t.nonces, t.nonceNext = ring, 0
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

// soon is when something urgent may be told: a quarter of an interval after the
// last beat at the earliest, so that a burst of news is no burst of messages.
func (t *Tracker) soon() time.Time {
	at := t.lastBeat.Add(t.setup.Interval / 4)
	if at.Before(t.now) {
		return t.now
	}
	if !t.nextBeat.IsZero() && t.nextBeat.Before(at) {
		return t.nextBeat
	}
	return at
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
	late := gap - t.setup.Interval
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

// Beat returns the heartbeats that are due.
func (t *Tracker) Beat(now time.Time) []Outgoing {
	t.observe(now)
	if t.setup.Interval == 0 || t.now.Before(t.nextBeat) {
		return nil
	}
	t.lastBeat = t.now
	// A little less than the interval, so that a thousand nodes that were started
	// together don't send together for ever.
	t.nextBeat = t.now.Add(t.setup.Interval - time.Duration(t.rng.Int64N(int64(t.setup.Interval/16)+1)))
	t.newNonce()
	if len(t.target) == 0 {
		return nil
	}
	out := make([]Outgoing, len(t.target))
	for i, p := range t.target {
		out[i].To = p.name
		t.compose(p, &out[i].Msg)
	}
	return out
}

func (t *Tracker) newNonce() {
	for t.nonce = t.rng.Uint64(); t.nonce == 0; {
		t.nonce = t.rng.Uint64()
	}
	t.nonces[t.nonceNext] = nonce{t.nonce, t.now}
	t.nonceNext = (t.nonceNext + 1) % len(t.nonces)
}

// sent says when a nonce of ours was drawn, which is not after it was sent.
func (t *Tracker) sent(value uint64) (time.Time, bool) {
	if value == 0 {
		return time.Time{}, false
	}
	for i, j := 0, t.nonceNext; i < len(t.nonces); i++ { // the newest first
		if j--; j < 0 {
			j = len(t.nonces) - 1
		}
		if t.nonces[j].value == value {
			return t.nonces[j].at, true
		}
	}
	return time.Time{}, false
}

// compose writes the message that a peer gets now.
func (t *Tracker) compose(p *peer, m *Message) {
	p.seqOut++
	p.last[0], p.last[1] = nonce{t.nonce, t.now}, p.last[0]
	k := &t.know
	m.From, m.Incarnation, m.BootID = t.self, t.incarnation, t.bootID
	m.Seq, m.Nonce = p.seqOut, t.nonce
	m.Echo.Hears = p.hearsHeld
	if p.nonce != 0 {
		m.Echo.Nonce = p.nonce
		for i := range t.setup.Links { // another link each time, so that each is measured
			n := (int(p.seqOut%MaxLinks) + i) % t.setup.Links
			if l := &p.links[n]; l.nonce == p.nonce {
				m.Echo.Link, m.Echo.Held = n, t.now.Sub(l.nonceAt)
				break
			}
		}
	}
	for i := range t.setup.Links {
		if t.now.Before(p.links[i].down.at) {
			m.Links |= 1 << i
		}
	}
	m.Voter, m.Echoes = t.voter, t.echoes() && (p.state == up || !t.promise)
	if t.voter && t.now.Before(t.grant) {
		m.Grant = t.grant.Sub(t.now)
	}
	m.Generation, m.VoterEpoch, m.View = k.Generation, t.setup.VoterEpoch, t.view
	m.InView = p.viewInc != 0 && p.viewInc == p.incarnation
	m.DC, m.ConfigGen = k.DC, k.ConfigGen
	if t.voter && (p.voter || k.DC == p.name || p.said.DC == p.name) {
		m.HearsTop = t.hearsRev
		if m.HearsRev = t.hearsRev; p.hearsAcked >= t.hearsBase {
			m.HearsFrom = p.hearsAcked
		}
		if m.HearsFrom < t.hearsRev {
			m.Hears, m.HearsRev = t.changes(m.HearsFrom)
		}
	}
	if t.hasWall {
		m.Wall = t.now.Add(t.wallAhead)
	}
	m.Leaving, m.Restarting, m.Stalled = k.Leaving, k.Restarting, t.recentStall()
	m.FeatureLevel, m.Version = k.FeatureLevel, k.Version
}

// Receive takes a message that arrived on a link. Answers go out at once.
func (t *Tracker) Receive(now time.Time, link int, m *Message) (answers []Outgoing, news News) {
	t.observe(now)
	p := t.byName[m.From]
	if p == nil || link < 0 || link >= t.setup.Links || m.Seq == 0 || m.Nonce == 0 || m.Incarnation == 0 {
		return nil, nil
	}
	sent, ours := t.sent(m.Echo.Nonce)
	if m.Incarnation != p.incarnation {
		lower := m.Incarnation < p.incarnation
		if lower && !ours || ours && p.incarnation != 0 && !sent.After(p.since) {
			// A packet of the past, or a machine whose clock went back. The answer
			// gives the latter a nonce to prove that it is the present.
			return t.answer(p, m, nil), nil
		}
		news = t.newIncarnation(p, m, news)
	}
	fresh := m.Seq > p.seqMax
	if fresh {
		p.advance(m.Seq)
	}
	if !t.onLink(p, link, m) {
		return nil, news
	}
	if !fresh {
		return nil, t.judgeLinks(p, news)
	}
	t.heardNow(p, m)
	if ours {
		t.echoed(p, m, sent)
	}
	news = t.listen(p, m, news)
	news = t.judge(p, news)
	news = t.judgeLinks(p, news)
	return t.answer(p, m, answers), news
}

// newIncarnation begins another life of a peer.
func (t *Tracker) newIncarnation(p *peer, m *Message, news News) News {
	switch {
	case p.incarnation == 0:
	case p.bootID == m.BootID:
		news = append(news, Item{Kind: PeerRestarted, Node: p.name})
	default:
		news = append(news, Item{Kind: PeerRebooted, Node: p.name})
	}
	p.restart(t.now, m)
	// Our verdict stays until it is known whether the new one is heard mutually:
	// one change of the view instead of two.
	p.state = silent
	t.nextCheck = t.now
	return news
}

// onLink notes the arrival of a message, or of another copy of it. It reports
// whether this link had not carried it before.
func (t *Tracker) onLink(p *peer, link int, m *Message) bool {
	l := &p.links[link]
	if !p.mark(l, m.Seq) {
		return false
	}
	l.down.renew(t.now.Add(t.window(p)))
	if m.Seq != p.seqMax {
		return true
	}
	l.nonce, l.nonceAt = m.Nonce, t.now
	if rtt, ok := p.roundTrip(t.now, &m.Echo); ok && rtt <= t.setup.Detection {
		// The way there may have been on another link, the one that was faster.
		exact := m.Echo.Link == link
		switch {
		case l.exact && !exact:
		case l.rtt == 0 || exact && !l.exact:
			l.rtt, l.exact = rtt, exact
		default:
			l.rtt += (rtt - l.rtt) / 8
		}
	}
	return true
}

// heardNow notes the first copy of a new message.
func (t *Tracker) heardNow(p *peer, m *Message) {
	if p.state == up && p.heardBy.used == 0 {
		excess := max(0, t.now.Sub(p.heard)-t.setup.Interval)
		p.jitter += (min(excess, t.setup.Detection) - p.jitter) / 16
	}
	if p.state == silent && !t.now.Before(p.heardBy.at) {
		p.resumed = t.now
	}
	p.heard, p.nonce = t.now, m.Nonce
	p.heardBy.renew(t.now.Add(t.window(p)))
	if p.state != up {
		t.check(p.heardBy.at)
	}
	if t.hasWall && !m.Wall.IsZero() {
		offset := m.Wall.Round(0).Add(p.rtt / 2).Sub(t.now.Round(0).Add(t.wallAhead))
		if p.hasOffset {
			offset = p.offset + (offset-p.offset)/8
		}
		p.offset, p.hasOffset = offset, true
	}
}

// window is the silence after which a peer is given up. It is longer for a peer
// whose messages come irregularly, but never by more than half.
func (t *Tracker) window(p *peer) time.Duration {
	return t.setup.Detection + min(4*p.jitter, t.setup.Detection/2)
}

// echoed notes that a message names a nonce that we sent.
func (t *Tracker) echoed(p *peer, m *Message, sent time.Time) {
	if rtt, ok := p.roundTrip(t.now, &m.Echo); ok && rtt <= t.setup.Detection {
		if p.rtt == 0 {
			p.rtt = rtt
		}
		p.rtt += (rtt - p.rtt) / 8
	}
	if sent.After(p.acked) {
		p.acked = sent
		// Besides the silence: a nonce is up to an interval old when it is sent
		// with an answer, and is held up to an interval by the peer.
		p.ackedBy.renew(sent.Add(t.window(p) + 2*t.setup.Interval + min(p.rtt, t.setup.Detection/2)))
	}
	if m.Echo.Hears <= t.hearsRev { // it knows this incarnation of ours, since the nonce is of it
		p.hearsAcked = m.Echo.Hears
	}
	if p.voter && m.Voter && m.Echoes && !sent.Before(p.echo.sent) {
		p.echo = echo{sent: sent, gen: m.Generation, epoch: m.VoterEpoch, view: m.View, inView: m.InView}
		if m.Grant > 0 {
			p.echo.grant = sent.Add(m.Grant) // it was longer when it was said
		}
	}
	if p.voter && m.Voter && m.Generation == t.know.Generation && !m.InView {
		t.exclude(m.View)
	}
}

// listen takes in what the message says.
func (t *Tracker) listen(p *peer, m *Message, news News) News {
	old := &p.said
	if p.voter && p.applyHears(m) {
		news = append(news, Item{Kind: ReportChanged, Node: p.name})
	}
	if old.View != m.View || old.VoterEpoch != m.VoterEpoch || old.DC != m.DC || old.ConfigGen != m.ConfigGen ||
		old.Leaving != m.Leaving || old.Restarting != m.Restarting || old.Generation != m.Generation {
		news = append(news, Item{Kind: PeerChanged, Node: p.name})
	}
	gen := old.Generation
	*old = *m
	old.Hears = nil
	own := t.know.Generation
	if m.Generation.Number > max(own.Number, t.higher.Number) {
		t.higher = m.Generation
		t.lease = time.Time{}
		if own.Number != 0 { // else this node does not know any yet
			news = append(news, Item{Kind: GenerationHigher, Node: p.name})
		}
	}
	if gen != m.Generation && own.Number != 0 {
		if m.Generation.Number == own.Number && m.Generation.Nonce != own.Nonce {
			news = append(news, Item{Kind: GenerationConflict, Node: p.name})
		}
		t.findConflict()
	}
	if p.voter && m.Voter && m.Generation == own {
		t.viewHeard = max(t.viewHeard, m.View)
		t.settle()
	}
	t.renew()
	return news
}

func (t *Tracker) findConflict() {
	t.conflict = ""
	own := t.know.Generation
	for _, p := range t.peers {
		if g := p.said.Generation; own.Number != 0 && g.Number == own.Number && g.Nonce != own.Nonce {
			t.conflict = p.name
			return
		}
	}
}

// answer returns the answer to a message. Peers that get heartbeats need none,
// unless they are not heard yet: then it saves them an interval.
func (t *Tracker) answer(p *peer, m *Message, out []Outgoing) []Outgoing {
	if m.Answer || p.voter && p.state == up && m.Incarnation == p.incarnation {
		return out
	}
	if t.nonce == 0 {
		if len(t.nonces) == 0 {
			return out
		}
		t.newNonce()
	}
	out = append(out, Outgoing{To: p.name})
	msg := &out[len(out)-1].Msg
	t.compose(p, msg)
	msg.Answer = true
	return out
}

// Tick finds the peers that went silent. It must be called when NextWake says
// so, and may be called more often.
func (t *Tracker) Tick(now time.Time) News {
	t.observe(now)
	var news News
	if t.stallNews > 0 {
		news = append(news, Item{Kind: Stalled, Node: t.self, For: t.stallNews})
		t.stallNews = 0
	}
	t.renew() // a voter confirms itself
	if t.nextCheck.IsZero() || t.now.Before(t.nextCheck) {
		return news
	}
	t.nextCheck = time.Time{}
	for _, p := range t.peers {
		if p.incarnation == 0 {
			continue
		}
		news = t.judge(p, news)
		news = t.judgeLinks(p, news)
		if p.state != silent {
			t.checkLater(p.heardBy.at)
		}
		if p.state == up {
			t.checkLater(p.ackedBy.at)
			for i := range t.setup.Links {
				if l := &p.links[i]; l.up {
					t.checkLater(l.down.at)
				} else if !l.told {
					t.checkLater(p.upSince.Add(t.setup.Detection))
				}
			}
		}
		if p.state == silent && t.now.Before(p.heardBy.at) {
			t.checkLater(p.heardBy.at)
			t.checkLater(t.ackFirstBy(p))
		}
	}
	return news
}

// checkLater is check for a time that is still to come: what has passed was looked
// at just now, and would make the node wake without end.
func (t *Tracker) checkLater(at time.Time) {
	if at.After(t.now) {
		t.check(at)
	}
}

// check makes Tick look at the peers at a time.
func (t *Tracker) check(at time.Time) {
	if t.nextCheck.IsZero() || at.Before(t.nextCheck) {
		t.nextCheck = at
	}
}

// ackFirstBy is when a peer that is heard again should have echoed us.
func (t *Tracker) ackFirstBy(p *peer) time.Time {
	return p.resumed.Add(t.setup.Detection + 2*t.setup.Interval)
}

// judge decides whether a peer is heard.
func (t *Tracker) judge(p *peer, news News) News {
	state := p.state
	switch {
	case !t.now.Before(p.heardBy.at):
		state = silent
	case t.now.Before(p.ackedBy.at):
		state = up
	case state == silent && t.now.Before(t.ackFirstBy(p)):
		return news // too early to tell
	default:
		state = oneWay
	}
	if state == p.state {
		if state == silent {
			t.setVerdict(p) // of the incarnation before, that did not come back
		}
		return news
	}
	p.state = state
	t.setVerdict(p)
	item := Item{Node: p.name}
	switch state {
	case up:
		item.Kind = PeerUp
		p.upSince = t.now
		t.check(t.now)
	case oneWay:
		item.Kind = PeerOneWay
	case silent:
		switch {
		case p.said.Leaving:
			item.Kind = PeerLeft
		case p.said.Restarting:
			item.Kind = PeerRestarting
		default:
			item.Kind = PeerDown
		}
	}
	if state != up {
		for i := range p.links {
			if l := &p.links[i]; l.up {
				l.up, l.changed = false, t.now
			}
		}
	}
	return append(news, item)
}

// judgeLinks decides which links to a heard peer work: both ways, as the peer
// says that it hears us on them.
func (t *Tracker) judgeLinks(p *peer, news News) News {
	if p.state != up || p.said.Links == 0 {
		return news // a peer that hears us nowhere has more than a broken link
	}
	for i := range t.setup.Links {
		l := &p.links[i]
		works := t.now.Before(l.down.at) && p.said.Links&(1<<i) != 0
		switch {
		case works && !l.up:
			l.up, l.changed = true, t.now
			t.check(l.down.at)
			if l.told {
				l.told = false
				news = append(news, Item{Kind: LinkUp, Node: p.name, Link: i})
			}
		case !works && l.up, !works && !l.told && !t.now.Before(p.upSince.Add(t.setup.Detection)):
			l.told = true
			if l.up || l.changed.IsZero() {
				l.up, l.changed = false, t.now
			}
			news = append(news, Item{Kind: LinkDown, Node: p.name, Link: i})
		}
	}
	return news
}

// NextWake says when Beat and Tick want to be called again.
func (t *Tracker) NextWake(now time.Time) time.Time {
	t.observe(now)
	if t.setup.Interval == 0 {
		return t.now.Add(time.Second)
	}
	at := t.nextBeat
	if !t.nextCheck.IsZero() && t.nextCheck.Before(at) {
		at = t.nextCheck
	}
	if t.lease.After(t.now) && t.lease.Before(at) {
		at = t.lease
	}
	return at
}

// Alive returns this node and the nodes it hears mutually, sorted by name.
func (t *Tracker) Alive(now time.Time) []cib.ViewMember {
	t.observe(now)
	out := make([]cib.ViewMember, 0, len(t.peers)+1)
	self := cib.ViewMember{Node: t.self, Incarnation: t.incarnation, BootID: t.bootID}
	added := false
	for _, p := range t.peers {
		if !added && p.name > t.self {
			out, added = append(out, self), true
		}
		if p.state == up && t.now.Before(p.heardBy.at) && t.now.Before(p.ackedBy.at) {
			out = append(out, cib.ViewMember{Node: p.name, Incarnation: p.incarnation, BootID: p.bootID})
		}
	}
	if !added {
		out = append(out, self)
	}
	return out
}

// Hearing returns who hears whom, as of the last Tick and Receive. What it
// returns is not changed later.
func (t *Tracker) Hearing(now time.Time) Hearing {
	t.observe(now)
	var h Hearing
	if t.voter {
		h.Reports = append(h.Reports, Report{
			Node: t.self, Incarnation: t.incarnation, BootID: t.bootID, Stalled: t.recentStall(), Hears: t.own(),
		})
	}
	for _, p := range t.peers {
		if p.state == silent && p.said.Restarting {
			h.Restarting = append(h.Restarting, p.name)
		}
		if p.state == silent && p.said.Leaving {
			h.Left = append(h.Left, p.name)
		}
		if p.voter && t.now.Before(p.heardBy.at) && p.hearsTop != 0 && p.hearsHeld == p.hearsTop {
			h.Reports = append(h.Reports, Report{
				Node: p.name, Incarnation: p.incarnation, BootID: p.bootID, Stalled: p.said.Stalled, Hears: p.hears,
			})
		}
	}
	slices.SortFunc(h.Reports, func(a, b Report) int { return strings.Compare(a.Node, b.Node) })
	return h
}

// Links returns the state of every link to every peer that this node exchanges
// messages with, sorted by peer and link. Sent, Received and Rejected are the
// transport's to fill in. Changed is by the wall clock.
func (t *Tracker) Links(now time.Time) []cib.LinkPeer {
	t.observe(now)
	var out []cib.LinkPeer
	for _, p := range t.peers {
		if !p.voter && !t.voter {
			continue
		}
		for i := range t.setup.Links {
			l := &p.links[i]
			lp := cib.LinkPeer{Peer: p.name, Link: i, Up: l.up, RTT: l.rtt, Loss: 1}
			if l.up {
				lp.Loss = p.loss(l)
			}
			if !l.changed.IsZero() {
				lp.Changed = l.changed.Add(t.wallAhead)
			}
			out = append(out, lp)
		}
	}
	return out
}

// ClockOffset is this node's wall clock against the median of the voters'.
func (t *Tracker) ClockOffset() time.Duration {
	var offsets []time.Duration
	if t.voter {
		offsets = append(offsets, 0)
	}
	for _, p := range t.target {
		if p.hasOffset && p.state == up {
			offsets = append(offsets, p.offset)
		}
	}
	if len(offsets) == 0 {
		return 0
	}
	slices.Sort(offsets)
	n := len(offsets)
	return -(offsets[(n-1)/2] + offsets[n/2]) / 2
}

// SilentSince says since when a node that is not heard mutually has been silent:
// the arrival of its last message, or when it last showed that it hears us, or
// the start of this tracker. It is false for nodes that are heard or not
// configured.
func (t *Tracker) SilentSince(node string) (time.Time, bool) {
	p := t.byName[node]
	switch {
	case p == nil || p.state == up:
		return time.Time{}, false
	case p.heard.IsZero():
		return t.started, true
	case p.state == oneWay && p.acked.IsZero():
		return p.resumed, true
	case p.state == oneWay:
		return p.acked, true
	}
	return p.heard, true
}

// Peer returns what a configured node said last. It may be what somebody
// recorded long ago, unless Up is true.
func (t *Tracker) Peer(node string) (Peer, bool) {
	p := t.byName[node]
	if p == nil {
		return Peer{}, false
	}
	m := &p.said
	return Peer{
		Node: p.name, Incarnation: p.incarnation, BootID: p.bootID, Up: p.state == up, OneWay: p.state == oneWay,
		Heard: p.heard, Generation: m.Generation, VoterEpoch: m.VoterEpoch, View: m.View, DC: m.DC,
		ConfigGen: m.ConfigGen, Leaving: m.Leaving, Restarting: m.Restarting, Stalled: m.Stalled,
		FeatureLevel: m.FeatureLevel, Version: m.Version,
	}, true
}
