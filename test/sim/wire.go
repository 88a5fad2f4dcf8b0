package sim

import (
	"time"
)

// Times of the protocol between a proxy and a remote node; see engine/remote.
const (
	pingEvery    = time.Second
	silentMax    = 5 * time.Second
	handshakeMax = 5 * time.Second
	permitMax    = 5 * time.Second
	freshMax     = 2 * time.Second
	redialPause  = 500 * time.Millisecond
)

// The ends of a wire.
const (
	atProxy  = 0
	atRemote = 1
)

// wire is a TCP connection between a proxy and a remote node: what is sent arrives in
// its order, late, or never. While a link is cut it waits at the sender, who sends it
// again for as long as the machine runs.
type wire struct {
	w    *World
	ends [2]*machine
	boot [2]uint64
	eng  *engine // at the proxy
	d    *remoted

	closed [2]bool
	heard  [2]int64 // when that end read something last
	queue  [2][]func()
	pumps  [2]bool
	broken [2]func() // what that end does when it finds the wire closed, or silent
}

// newWire connects an engine with what listens on a remote node.
func newWire(e *engine, d *remoted) *wire {
	w := e.m.w
	x := &wire{w: w, ends: [2]*machine{e.m, d.m}, boot: [2]uint64{e.m.boots, d.m.boots}, eng: e, d: d, heard: [2]int64{w.now, w.now}}
	x.watch(atProxy)
	x.watch(atRemote)
	return x
}

// gone reports whether an end is no more: its machine was without power, its process
// ended, or it has closed the wire.
func (x *wire) gone(end int) bool {
	m := x.ends[end]
	return x.closed[end] || m.boots != x.boot[end] || end == atProxy && m.engine != x.eng || end == atRemote && m.daemon != x.d
}

// on calls fn after d at an end, as what runs there gets to it.
func (x *wire) on(d time.Duration, end int, fn func()) {
	var e *engine
	if end == atProxy {
		e = x.eng
	}
	x.w.afterOn(d, x.ends[end], ofEngine, e, func() {
		if !x.gone(end) {
			fn()
		}
	})
}

// send brings fn to the other end of a wire.
func (x *wire) send(from int, fn func()) {
	to := 1 - from
	if x.gone(from) {
		return
	}
	x.queue[to] = append(x.queue[to], fn)
	if !x.pumps[to] {
		x.pumps[to] = true
		x.w.after(x.delay(), func() { x.pump(to, false) })
	}
}

func (x *wire) delay() time.Duration {
	r := x.w.remoteRand
	d := 200*time.Microsecond + time.Duration(r.Int64N(int64(2*time.Millisecond)))
	if x.w.faulty {
		if r.IntN(64) == 0 {
			d += time.Duration(r.Int64N(int64(x.w.sc.DelayMax) + 1))
		}
		d += x.w.net.slow
	}
	return d
}

// pump delivers what comes first to an end. Again: its sender had to send it again.
func (x *wire) pump(to int, again bool) {
	from := 1 - to
	m := x.ends[from]
	if x.ends[to].boots != x.boot[to] || again && m.boots != x.boot[from] {
		x.queue[to], x.pumps[to] = nil, false // nobody is there who would send or take it
		return
	}
	lost := x.w.faulty && chance(x.w.remoteRand, x.w.sc.Loss)
	if !x.w.net.carries(m.i, x.ends[to].i) || lost || again && m.paused {
		x.w.after(between(x.w.remoteRand, 200*time.Millisecond, 600*time.Millisecond), func() { x.pump(to, true) })
		return
	}
	fn := x.queue[to][0]
	x.queue[to] = x.queue[to][1:]
	x.on(0, to, func() {
		x.heard[to] = x.w.now
		fn()
	})
	if x.pumps[to] = len(x.queue[to]) > 0; x.pumps[to] {
		x.w.after(x.delay()/4, func() { x.pump(to, false) })
	}
}

// watch gives up a wire that is silent for too long.
func (x *wire) watch(end int) {
	x.on(silentMax-time.Duration(x.w.now-x.heard[end]), end, func() {
		if x.w.now-x.heard[end] >= int64(silentMax) {
			x.lose(end)
			return
		}
		x.watch(end)
	})
}

// lose is what happens at an end when the wire is found broken.
func (x *wire) lose(end int) {
	x.close(end)
	if f := x.broken[end]; f != nil {
		f()
	}
}

// close ends the wire at an end; the other one learns of it as it would of a message.
func (x *wire) close(end int) {
	if x.closed[end] {
		return
	}
	x.fin(end)
	x.closed[end] = true
}

// fin tells the other end that this one is closed, also when its process has just
// ended.
func (x *wire) fin(end int) {
	to := 1 - end
	x.queue[to] = append(x.queue[to], func() { x.lose(to) })
	if !x.pumps[to] {
		x.pumps[to] = true
		x.w.after(x.delay(), func() { x.pump(to, false) })
	}
}
