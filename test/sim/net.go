package sim

import (
	"time"

	"github.com/belay-ha/belay/engine/node"
)

// network is the links between the machines. A pair is connected on a link in a
// direction while no cut is on it.
type network struct {
	n, links int
	cuts     []int16   // number of cuts, by from, to, link
	loss     []float64 // further loss, by from, to; nil: none
	slow     time.Duration
	// slowEnded is when it was slow last. What was said then is good for the time of validity.
	slowEnded int64

	// What follows from cuts, power and pauses; kept up by World.connectivity.
	both []bool // by a, b: messages can pass both ways
}

func (n *network) init(w *World) {
	n.n, n.links = len(w.machines), w.sc.Links
	n.cuts = make([]int16, n.n*n.n*n.links)
	n.both = make([]bool, n.n*n.n)
}

func (n *network) at(from, to, link int) *int16 { return &n.cuts[(from*n.n+to)*n.links+link] }

// carries reports whether a message can pass on any link.
func (n *network) carries(from, to int) bool {
	for l := range n.links {
		if *n.at(from, to, l) == 0 {
			return true
		}
	}
	return false
}

// cut adds (or with -1 takes away) a cut. Link -1: all links.
func (n *network) cut(from, to, link int, by int16) {
	if from == to {
		return
	}
	for l := range n.links {
		if link < 0 || link == l {
			*n.at(from, to, l) += by
		}
	}
}

// send puts a message on its links.
func (w *World) send(e *engine, s *node.Send) {
	to, known := w.index[s.To]
	if !known {
		return
	}
	msg := s.Message // one copy; receivers do not change it
	if w.mutant != nil && w.mutant.message != nil {
		w.mutant.message(w, e, to, &msg)
	}
	from := e.m.i
	r := w.netRand
	for l := range w.net.links {
		if msg.On&(1<<l) == 0 {
			continue
		}
		if *w.net.at(from, to, l) != 0 {
			if w.mutant == nil || !w.mutant.oneWayLeaks || *w.net.at(to, from, l) != 0 {
				continue
			}
		}
		loss := 0.0
		if w.faulty {
			loss = w.sc.Loss
			if w.net.loss != nil {
				loss = max(loss, w.net.loss[from*w.net.n+to])
			}
		}
		if chance(r, loss) {
			continue
		}
		w.add(w.delay(), due{kind: evMessage, class: ofEngine, m: int32(to), link: uint8(l), msg: &msg})
		if w.faulty && chance(r, w.sc.Duplicate) {
			w.add(w.delay()*3, due{kind: evMessage, class: ofEngine, m: int32(to), link: uint8(l), msg: &msg})
		}
	}
}

// delay of one message: most take a fraction of a millisecond, a few much longer,
// so that they overtake each other.
func (w *World) delay() time.Duration {
	d := 200*time.Microsecond + time.Duration(w.netRand.Int64N(int64(2*time.Millisecond)))
	if w.faulty {
		if w.netRand.IntN(64) == 0 {
			d += time.Duration(w.netRand.Int64N(int64(w.sc.DelayMax) + 1))
		}
		d += w.net.slow
	}
	return d
}

// connectivity works out anew who reaches whom, after every change of a cut, a
// machine or an engine.
func (w *World) connectivity() {
	n := &w.net
	for a := range n.n {
		for b := a; b < n.n; b++ {
			ok := a == b || n.carries(a, b) && n.carries(b, a)
			n.both[a*n.n+b], n.both[b*n.n+a] = ok, ok
		}
	}
	w.checks.majorities(w)
	w.store.reconsider()
}
