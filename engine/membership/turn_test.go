package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// turns is a world with a node without a vote, n4, that counts its messages to n1.
type turns struct {
	*world
	beats, answers [2]int // by link
	last           time.Time
	gap            time.Duration // the longest between messages of n4 that arrive at n1
	happened       []string
}

func newTurns(nodes int, alter func(*Message)) *turns {
	s := Setup{Voters: []string{"n1", "n2", "n3"}, VoterEpoch: 1, Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second, Links: 2}
	for i := range nodes {
		s.Nodes = append(s.Nodes, fmt.Sprintf("n%d", i+1))
	}
	w := &turns{world: newWorld(7, s)}
	w.alter = alter
	w.onHap = func(_ time.Time, node string, it Item) {
		if node == "n1" || it.Node == "n1" {
			w.happened = append(w.happened, fmt.Sprint(node, " ", it.Kind, " ", it.Node, " ", it.Link))
		}
	}
	w.onSend = func(from, to string, link int) {
		switch {
		case from == "n4" && to == "n1":
			w.beats[link]++
		case from == "n1" && to == "n4":
			w.answers[link]++
		}
	}
	w.after = func() {
		p := w.nodes["n1"].t.byName["n4"]
		at := p.heard.Add(-w.nodes["n1"].skew)
		if at.After(w.last) {
			w.gap, w.last = max(w.gap, at.Sub(w.last)), at
		}
	}
	for _, n := range []string{"n1", "n2", "n3", "n4"} {
		w.boot(n, false)
	}
	w.newView("n1", "n2", "n3", "n4")
	w.sync("n1", "n2", "n3", "n4")
	w.run(5 * time.Second)
	w.forget()
	return w
}

func (w *turns) forget() {
	w.beats, w.answers, w.gap, w.last, w.happened = [2]int{}, [2]int{}, 0, w.now, nil
}

func (w *turns) link(at, of string, link int) cib.LinkPeer {
	h := w.nodes[at]
	for _, l := range h.t.Links(w.local(h)) {
		if l.Peer == of && l.Link == link {
			return l
		}
	}
	panic("no such link")
}

// While all links work, each carries half of the heartbeats and of the answers. A
// large cluster has fewer of them.
func TestTurns(t *testing.T) {
	for _, c := range []struct{ nodes, atLeast, atMost int }{{4, 25, 27}, {manyNodes, 15, 16}} {
		w := newTurns(c.nodes, nil)
		w.run(10 * time.Second)
		for l := range 2 {
			if w.beats[l] < c.atLeast || w.beats[l] > c.atMost || w.answers[l] < w.beats[l]-1 || w.answers[l] > w.beats[l]+1 {
				t.Errorf("%d nodes, link %d: %d heartbeats and %d answers in 10s", c.nodes, l, w.beats[l], w.answers[l])
			}
			for _, pair := range [][2]string{{"n1", "n4"}, {"n4", "n1"}} {
				if lp := w.link(pair[0], pair[1], l); !lp.Up || lp.Loss != 0 || lp.RTT != 2*time.Millisecond {
					t.Errorf("%d nodes: %s has %+v", c.nodes, pair[0], lp)
				}
			}
		}
		if len(w.happened) > 0 {
			t.Errorf("%d nodes: %v", c.nodes, w.happened)
		}
	}
}

// A link that breaks, also in one direction only, is found by both ends, and costs no
// heartbeat: the other link carries one at once. Then both carry all, until the link is
// back.
func TestTurnsLinkBreaks(t *testing.T) {
	for _, nodes := range []int{4, manyNodes} {
		for _, cut := range [][2]string{{"n4", "n1"}, {"n1", "n4"}} {
			w := newTurns(nodes, nil)
			w.cut(cut[0], cut[1], 1)
			w.run(3 * time.Second)
			if w.gap > 450*time.Millisecond {
				t.Errorf("%d nodes, cut from %s: n1 heard nothing of n4 for %s", nodes, cut[0], w.gap)
			}
			for _, pair := range [][2]string{{"n1", "n4"}, {"n4", "n1"}} {
				if w.link(pair[0], pair[1], 1).Up || !w.link(pair[0], pair[1], 0).Up {
					t.Errorf("%d nodes, cut from %s: %s has links %+v %+v", nodes, cut[0], pair[0], w.link(pair[0], pair[1], 0), w.link(pair[0], pair[1], 1))
				}
			}
			if len(w.happened) != 2 {
				t.Errorf("%d nodes, cut from %s: %v", nodes, cut[0], w.happened)
			}
			w.forget()
			w.run(3 * time.Second)
			if w.beats[0] != w.beats[1] || w.beats[0] < 9 {
				t.Errorf("%d nodes, cut from %s: heartbeats %v while a link is down", nodes, cut[0], w.beats)
			}
			w.heal()
			w.run(3 * time.Second)
			w.forget()
			w.run(10 * time.Second)
			if all := w.beats[0] + w.beats[1]; all > 54 || !w.link("n1", "n4", 1).Up || !w.link("n4", "n1", 1).Up {
				t.Errorf("%d nodes, cut from %s: %d heartbeats in 10s after the cut healed", nodes, cut[0], all)
			}
		}
	}
}

// What is lost counts for the link that it was sent on, and nobody is given up for it.
func TestTurnsLoss(t *testing.T) {
	for _, nodes := range []int{4, manyNodes} {
		w := newTurns(nodes, nil)
		w.lostOn = func(_, _ string, link int) bool { return link == 1 && w.rng.IntN(10) == 0 }
		w.run(2 * time.Minute)
		if w.gap > 450*time.Millisecond || len(w.happened) > 0 {
			t.Errorf("%d nodes: nothing was heard for %s; %v", nodes, w.gap, w.happened)
		}
		for _, pair := range [][2]string{{"n1", "n4"}, {"n4", "n1"}} {
			if a, b := w.link(pair[0], pair[1], 0), w.link(pair[0], pair[1], 1); a.Loss > 0 || b.Loss < 0.02 || b.Loss > 0.25 {
				t.Errorf("%d nodes: %s has a loss of %.2f and %.2f", nodes, pair[0], a.Loss, b.Loss)
			}
		}
	}
}

// A voter of an older release says nothing of links and is told everything on all.
func TestTurnsOlder(t *testing.T) {
	w := newTurns(4, func(m *Message) {
		if m.From == "n1" {
			m.On, m.Before = 0, 0
		}
	})
	w.run(3 * time.Second)
	if w.beats[0] != w.beats[1] || w.beats[0] < 15 {
		t.Errorf("heartbeats %v to a voter that does not know turns", w.beats)
	}
	for l := range 2 {
		if lp := w.link("n4", "n1", l); !lp.Up || lp.Loss != 0 {
			t.Errorf("n4 has %+v", lp)
		}
	}
}
