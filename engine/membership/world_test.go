package membership

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// world is a cluster of trackers with a network and a store between them. Every
// node has its own clock, far from the others'.
type world struct {
	rng    *rand.Rand
	start  time.Time
	now    time.Time
	names  []string
	nodes  map[string]*host
	setup  Setup
	queue  flights
	nextID int
	cuts   map[[2]string]uint32 // from, to: bits of the links that are cut
	delay  func() time.Duration
	lost   func() bool
	lostOn func(from, to string, link int) bool // nil: never
	onSend func(from, to string, link int)      // of what is sent, lost or not
	alter  func(*Message)                       // of all that arrives

	gen   cib.DataGeneration
	view  *cib.View
	dc    string
	onHap func(at time.Time, node string, it Item)
	after func() // after each event
}

type host struct {
	name   string
	t      *Tracker // nil: off
	inc    uint64
	boot   int
	skew   time.Duration
	paused time.Time
	wake   time.Time
	view   *cib.View // as it read it from the store
	gen    cib.DataGeneration
	setup  Setup
	flags  Knowledge
}

type flight struct {
	at   time.Time
	id   int
	to   string
	link int
	msg  Message
}

type flights []flight

func (f flights) Len() int           { return len(f) }
func (f flights) Less(i, j int) bool { return cmp.Or(f[i].at.Compare(f[j].at), f[i].id-f[j].id) < 0 }
func (f flights) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)        { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	*f = (*f)[:last]
	return x
}

func newWorld(seed uint64, s Setup) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), start: time.Unix(1_000_000, 0), nodes: map[string]*host{}, setup: s,
		cuts: map[[2]string]uint32{}, gen: cib.DataGeneration{Number: 1, Nonce: 77},
		delay: func() time.Duration { return time.Millisecond },
		lost:  func() bool { return false },
	}
	w.now = w.start
	w.names = slices.Sorted(slices.Values(s.Nodes))
	for i, n := range w.names {
		w.nodes[n] = &host{name: n, skew: time.Duration(i) * 1000 * time.Hour}
	}
	return w
}

// local is the node's own time.
func (w *world) local(h *host) time.Time { return w.now.Add(h.skew) }

func (w *world) boot(name string, sameBoot bool) {
	h := w.nodes[name]
	h.inc++
	if !sameBoot {
		h.boot++
	}
	h.t = New(name, h.inc, fmt.Sprintf("%s-boot%d", name, h.boot), rand.New(rand.NewPCG(w.rng.Uint64(), 2)), w.local(h))
	h.flags, h.paused = Knowledge{}, time.Time{}
	// The first read of the store is linearizable.
	h.setup, h.view, h.gen = w.setup, w.view, w.gen
	w.learn(h)
}

// learn tells a tracker what its node read from the store.
func (w *world) learn(h *host) {
	if h.t == nil {
		return
	}
	h.t.Configure(w.local(h), h.setup)
	k := h.flags
	k.Generation, k.View, k.DC, k.Wall = h.gen, h.view, w.dc, w.now.Add(w.wallError(h.name))
	h.t.Know(w.local(h), k)
	h.wake = w.now
}

// wallError makes the wall clock of nodes wrong by 10 ms times their number.
func (w *world) wallError(name string) time.Duration {
	return time.Duration(slices.Index(w.names, name)) * 10 * time.Millisecond
}

// sync lets nodes read the newest state of the store.
func (w *world) sync(names ...string) {
	for _, n := range names {
		h := w.nodes[n]
		h.setup, h.view, h.gen = w.setup, w.view, w.gen
		w.learn(h)
	}
}

// newView stores a view of the nodes in their present incarnations.
func (w *world) newView(members ...string) {
	v := &cib.View{Number: 1}
	if w.view != nil {
		v.Number = w.view.Number + 1
	}
	slices.Sort(members)
	for _, n := range members {
		v.Members = append(v.Members, w.member(n))
	}
	w.view = v
}

func (w *world) member(n string) cib.ViewMember {
	h := w.nodes[n]
	return cib.ViewMember{Node: n, Incarnation: h.inc, BootID: fmt.Sprintf("%s-boot%d", n, h.boot)}
}

func (w *world) send(from *host, out []Outgoing) {
	for i := range out {
		for l := range max(1, w.setup.Links) {
			if out[i].Msg.On&(1<<l) == 0 {
				continue
			}
			if w.onSend != nil {
				w.onSend(from.name, out[i].To, l)
			}
			if w.lostOn != nil && w.lostOn(from.name, out[i].To, l) {
				continue
			}
			if w.cuts[[2]string{from.name, out[i].To}]&(1<<l) != 0 || w.lost() {
				continue
			}
			w.nextID++
			heap.Push(&w.queue, flight{at: w.now.Add(w.delay()), id: w.nextID, to: out[i].To, link: l, msg: out[i].Msg})
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next, who := end, ""
		for _, n := range w.names {
			if h := w.nodes[n]; h.t != nil {
				at := h.wake
				if at.Before(h.paused) {
					at = h.paused
				}
				if at.Before(next) {
					next, who = at, n
				}
			}
		}
		if len(w.queue) > 0 && !w.queue[0].at.After(next) && w.queue[0].at.Before(end) {
			f := heap.Pop(&w.queue).(flight)
			h := w.nodes[f.to]
			if f.at.After(w.now) {
				w.now = f.at
			}
			switch {
			case h == nil || h.t == nil:
			case w.now.Before(h.paused): // waits in its socket
				f.at = h.paused
				heap.Push(&w.queue, f)
			default:
				if w.alter != nil {
					w.alter(&f.msg)
				}
				answers, news := h.t.Receive(w.local(h), f.link, &f.msg)
				w.send(h, answers)
				w.tell(h, news)
				w.step(h)
			}
			continue
		}
		if who == "" {
			w.now = end
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		w.step(w.nodes[who])
	}
}

func (w *world) step(h *host) {
	w.tell(h, h.t.Tick(w.local(h)))
	w.send(h, h.t.Beat(w.local(h)))
	h.wake = h.t.NextWake(w.local(h)).Add(-h.skew)
	if !h.wake.After(w.now) {
		h.wake = w.now.Add(time.Millisecond)
	}
	if w.after != nil {
		w.after()
	}
}

func (w *world) tell(h *host, news News) {
	for _, it := range news {
		if w.onHap != nil {
			w.onHap(w.now, h.name, it)
		}
	}
}

// validUntil is in the time of the world; zero: not valid.
func (w *world) validUntil(name string) time.Time {
	h := w.nodes[name]
	if h.t == nil || h.t.ValidUntil().IsZero() {
		return time.Time{}
	}
	return h.t.ValidUntil().Add(-h.skew)
}

func (w *world) valid(name string) bool { return w.validUntil(name).After(w.now) }

// cut stops what goes from one node to another, on one link or all (-1).
func (w *world) cut(from, to string, link int) {
	bits := ^uint32(0)
	if link >= 0 {
		bits = 1 << link
	}
	w.cuts[[2]string{from, to}] |= bits
}

func (w *world) heal() { clear(w.cuts) }

func (w *world) running() []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(w.nodes)) {
		if w.nodes[n].t != nil {
			out = append(out, n)
		}
	}
	return out
}
