package membership

import (
	"time"
)

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
	return p.resumed.Add(t.setup.Detection + t.every() + t.gap(p))
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
		t.nextBeat = t.soon() // the other voters wait for our verdict
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
	for _, p := range t.target {
		if p.late() && p.lateAt.Before(at) {
			at = p.lateAt
		}
	}
	if !t.nextCheck.IsZero() && t.nextCheck.Before(at) {
		at = t.nextCheck
	}
	if t.lease.After(t.now) && t.lease.Before(at) {
		at = t.lease
	}
	return at
}
