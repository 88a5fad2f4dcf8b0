package membership

import "time"

// A node without a vote beats on one link in turn as long as every link works, and is
// answered on that link: a voter of a large cluster spends most of its time on such
// packets. An answer that is late makes it beat again at once, and from then on until
// there is an answer, on all links: a lost packet, or a link that breaks, costs the
// time of a few round-trips and not a whole interval.

// manyNodes is the size of a cluster from which nodes without a vote beat three times
// in the detection time, not five times.
const manyNodes = 100

// every is the time between the heartbeats of this node.
func (t *Tracker) every() time.Duration {
	if t.voter || len(t.setup.Nodes) < manyNodes {
		return t.setup.Interval
	}
	return t.setup.Interval * 5 / 3
}

// gap is the time between messages of a peer while nothing is lost.
func (t *Tracker) gap(p *peer) time.Duration {
	if p.voter && t.voter || len(t.setup.Nodes) < manyNodes {
		return t.setup.Interval
	}
	return t.setup.Interval * 5 / 3
}

// allLinks has a bit for every link.
func (t *Tracker) allLinks() uint32 { return 1<<t.setup.Links - 1 }

// beatOn chooses the links for the heartbeat to a peer.
func (t *Tracker) beatOn(p *peer) uint32 {
	answered := !p.acked.Before(p.beatAt)
	p.beatAt, p.lateAt = t.now, time.Time{}
	if t.voter || t.setup.Links < 2 || !answered || p.state != up || p.said.On == 0 {
		return t.allLinks()
	}
	for i := range t.setup.Links {
		if !p.links[i].up {
			return t.allLinks()
		}
	}
	p.turn = (p.turn + 1) % t.setup.Links
	p.lateAt = t.now.Add(min(t.every()/4+p.rtt, t.every()))
	return 1 << p.turn
}

// late reports whether an answer to the heartbeat on one link is late, or will be.
func (p *peer) late() bool { return !p.lateAt.IsZero() && p.acked.Before(p.beatAt) }

// beatAgain returns heartbeats on all links to the peers whose answer is late.
func (t *Tracker) beatAgain() []Outgoing {
	var out []Outgoing
	for _, p := range t.target {
		if !p.late() || t.now.Before(p.lateAt) {
			continue
		}
		if out == nil {
			t.newNonce()
		}
		p.beatAt, p.lateAt = t.now, time.Time{}
		out = append(out, Outgoing{To: p.name})
		t.compose(p, t.allLinks(), &out[len(out)-1].Msg)
	}
	return out
}

// answerOn chooses the links for the answer to a message.
func (t *Tracker) answerOn(m *Message) uint32 {
	if on := m.On & t.allLinks(); on != 0 {
		return on
	}
	return t.allLinks()
}

// linkWindow is the silence after which a link to a peer is given up. One that takes
// turns is used less often: it is given time for two turns more.
func (t *Tracker) linkWindow(p *peer) time.Duration {
	w := t.window(p)
	if t.voter != p.voter && p.said.On != 0 {
		w += 2 * time.Duration(t.setup.Links-1) * t.gap(p)
	}
	return w
}

// beatAlong lets the heartbeats of voters go out together: one that is nearly due is
// sent when that of another voter arrives, and not with a wake-up of its own.
func (t *Tracker) beatAlong(p *peer) {
	if t.voter && p.voter && t.nextBeat.Sub(t.now) <= t.setup.Interval/8 {
		t.nextBeat = t.now
	}
}
