package membership

import (
	"math/bits"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// peer is everything known of one configured node.
type peer struct {
	name    string
	voter   bool   // of the newest voter set: gets heartbeats, the others get answers only
	votes   int    // of a voter
	viewInc uint64 // its incarnation in the newest view we know; 0: not in it

	// What it said last, from its newest message.
	incarnation uint64 // 0: never heard
	bootID      string
	since       time.Time // when this incarnation was heard first
	resumed     time.Time // when it was heard again, after silence or a restart
	said        Message   // without Hears
	heard       time.Time // when its newest message arrived
	nonce       uint64    // of that message
	seqMax      uint64    // of that message
	seqFirst    uint64    // the first one heard of this incarnation

	// acked is our own send time of the newest nonce that it echoed.
	acked  time.Time
	rtt    time.Duration // smoothed, of the copy of a message that came first
	jitter time.Duration // smoothed excess of the gap between messages over the interval

	heardBy, ackedBy deadline
	state            peerState
	upSince          time.Time

	links [MaxLinks]link

	// Messages to it.
	seqOut uint64
	sentOn uint32    // On of the newest
	turn   int       // the link of the newest heartbeat on one link only
	beatAt time.Time // of the newest heartbeat
	lateAt time.Time // when its answer is late; zero: it is not waited for
	last   [2]nonce  // of the newest two, with the times when they were sent

	// Its report, a table kept up by the changes in its messages.
	hears     []Heard // sorted by node
	hearsHeld uint64
	hearsTop  uint64

	// Our verdict about it for the others, and which of ours it holds.
	verdict    Heard
	verdictRev uint64 // 0: never given
	hearsAcked uint64

	// Its newest echo for our validity.
	echo echo

	offset    time.Duration // its wall clock minus ours, smoothed
	hasOffset bool
}

type peerState uint8

const (
	silent peerState = iota
	oneWay           // heard, does not hear us
	up               // heard mutually
)

// deadline is when a peer is given up.
type deadline struct {
	at   time.Time
	used time.Duration // of what stalls of ours may add; see stall
}

// stall moves the deadline by what we slept through between before and now: a
// starved node distrusts its own verdicts first. What stalls may add until the
// next sign of life is bounded by limit, or a node that is starved all the time
// would never notice that a peer is gone.
func (d *deadline) stall(before, now time.Time, limit time.Duration) {
	left := min(d.at.Sub(before), limit-d.used)
	if left > 0 && now.Add(left).After(d.at) {
		d.at = now.Add(left)
	}
	d.used = min(limit, d.used+now.Sub(before))
}

// renew sets the deadline after a sign of life. It never moves back: what waited
// in a socket while we slept tells less than the time it waited.
func (d *deadline) renew(at time.Time) {
	if at.After(d.at) {
		*d = deadline{at: at}
	}
}

// echo is what a voter confirmed for a nonce of ours.
type echo struct {
	sent   time.Time // when we sent the nonce; zero: nothing
	gen    cib.DataGeneration
	epoch  uint64
	view   uint64
	inView bool
	grant  time.Time // until when its half may act by a tie-breaker; zero: it does not say so
}

// link is one link to a peer.
type link struct {
	down    deadline // when silence makes it one
	nonce   uint64   // newest on this link
	nonceAt time.Time
	sent    [2]uint64 // bit n: message seqMax-n was sent here, as far as is known
	seen    [2]uint64 // bit n: it arrived here
	rtt     time.Duration
	exact   bool // rtt was measured with the same link both ways
	up      bool
	told    bool // LinkDown was reported
	changed time.Time
}

// restart forgets what another incarnation said.
func (p *peer) restart(now time.Time, m *Message) {
	p.incarnation, p.bootID = m.Incarnation, m.BootID
	p.since, p.resumed = now, now
	p.seqMax, p.seqFirst, p.nonce = m.Seq-1, m.Seq, 0
	p.acked, p.heard = time.Time{}, time.Time{}
	p.rtt, p.jitter, p.heardBy, p.ackedBy = 0, 0, deadline{}, deadline{}
	p.hears, p.hearsHeld, p.hearsTop, p.hearsAcked = nil, 0, 0, 0
	p.echo, p.hasOffset = echo{}, false
	p.said = Message{}
	for i := range p.links {
		l := &p.links[i]
		*l = link{up: l.up, told: l.told, changed: l.changed}
	}
}

// mark notes message seq on a link. It reports whether the link has not
// carried it before.
func (p *peer) mark(l *link, seq uint64) bool {
	d := p.seqMax - seq // seq is at most seqMax
	if d >= 128 {
		return false
	}
	bit := uint64(1) << (d % 64)
	if l.seen[d/64]&bit != 0 {
		return false
	}
	l.seen[d/64] |= bit
	return true
}

// advance makes a message the newest one. Of those before it that did not arrive it
// tells the links of the last, and the others are taken to be like that.
func (p *peer) advance(m *Message, links int) {
	d := m.Seq - p.seqMax
	p.seqMax = m.Seq
	for i := range links {
		l, bit := &p.links[i], uint32(1)<<i
		shift(&l.seen, d)
		shift(&l.sent, d)
		if m.Before == 0 || m.Before&bit != 0 {
			fill(&l.sent, d)
		}
		if m.On == 0 || m.On&bit != 0 {
			l.sent[0] |= 1
		}
	}
}

// shift moves the bits up by d.
func shift(b *[2]uint64, d uint64) {
	switch {
	case d >= 128:
		b[0], b[1] = 0, 0
	case d >= 64:
		b[1], b[0] = b[0]<<(d-64), 0
	default:
		b[1] = b[1]<<d | b[0]>>(64-d)
		b[0] <<= d
	}
}

// fill sets the bits from 1 to d-1.
func fill(b *[2]uint64, d uint64) {
	for n := uint64(1); n < min(d, 128); n++ {
		b[n/64] |= 1 << (n % 64)
	}
}

// loss is the share of those of the last hundred messages that were sent on a link
// and did not come.
func (p *peer) loss(l *link) float64 {
	n := min(p.seqMax-p.seqFirst+1, 100)
	mask := [2]uint64{1<<min(n, 64) - 1, 1<<(max(n, 64)-64) - 1}
	got, sent := 0, 0
	for i := range mask {
		got += bits.OnesCount64(l.seen[i] & mask[i])
		sent += bits.OnesCount64((l.seen[i] | l.sent[i]) & mask[i])
	}
	if sent == 0 {
		return 0
	}
	return 1 - float64(got)/float64(sent)
}

// roundTrip measures the way to the peer and back with the echo of a nonce.
func (p *peer) roundTrip(now time.Time, e *Echo) (time.Duration, bool) {
	for i := range p.last {
		if e.Nonce != 0 && p.last[i].value == e.Nonce {
			rtt := now.Sub(p.last[i].at) - max(0, e.Held)
			return rtt, rtt >= 0
		}
	}
	return 0, false
}

// applyHears takes the changes to the report of a voter. It reports whether the
// report is another one now.
func (p *peer) applyHears(m *Message) bool {
	if m.HearsTop == 0 || m.HearsFrom > p.hearsHeld || m.HearsRev < p.hearsHeld || m.HearsRev > m.HearsTop {
		return false // nothing, or changes to what we do not have: our echo makes it send them again
	}
	before := p.hearsHeld == p.hearsTop && p.hearsTop != 0
	changed := m.HearsRev != p.hearsHeld
	p.hearsTop = m.HearsTop
	if changed {
		p.hearsHeld = m.HearsRev
		if m.HearsFrom == 0 {
			p.hears = nil
		}
		p.hears = merge(p.hears, m.Hears)
	}
	return changed || before != (p.hearsHeld == p.hearsTop)
}
