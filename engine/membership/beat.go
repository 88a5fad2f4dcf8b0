package membership

import (
	"time"
)

type nonce struct {
	value uint64
	at    time.Time
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

// Beat returns the heartbeats that are due.
func (t *Tracker) Beat(now time.Time) []Outgoing {
	t.observe(now)
	if t.setup.Interval == 0 {
		return nil
	}
	if t.now.Before(t.nextBeat) {
		return t.beatAgain()
	}
	t.lastBeat = t.now
	// A little less than the interval, so that a thousand nodes that were started
	// together don't send together for ever.
	t.nextBeat = t.now.Add(t.every() - time.Duration(t.rng.Int64N(int64(t.setup.Interval/16)+1)))
	t.newNonce()
	if len(t.target) == 0 {
		return nil
	}
	out := make([]Outgoing, len(t.target))
	for i, p := range t.target {
		out[i].To = p.name
		t.compose(p, t.beatOn(p), &out[i].Msg)
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

// compose writes the message that a peer gets now, on some links.
func (t *Tracker) compose(p *peer, on uint32, m *Message) {
	p.seqOut++
	m.On, m.Before, p.sentOn = on, p.sentOn, on
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
