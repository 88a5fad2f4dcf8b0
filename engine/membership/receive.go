package membership

import (
	"time"
)

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
		p.advance(m, t.setup.Links)
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
	t.beatAlong(p)
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
	l.down.renew(t.now.Add(t.linkWindow(p)))
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
		excess := max(0, t.now.Sub(p.heard)-t.gap(p))
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
		p.ackedBy.renew(sent.Add(t.window(p) + t.every() + t.gap(p) + min(p.rtt, t.setup.Detection/2)))
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
	t.compose(p, t.answerOn(m), msg)
	msg.Answer = true
	return out
}
