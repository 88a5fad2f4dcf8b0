package membership

import (
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

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
