package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
)

// link is a proxy's side of the connection to a remote node, as engine/remote and the
// daemon make it.
type link struct {
	e      *engine
	name   string
	epoch  uint64
	closed bool
	boot   string // "": never connected
	up     *wire  // nil while there is none
	heard  int64
	next   uint64
	waits  map[uint64]func(cib.OpStatus, node.AgentResult)
}

// runsMaxWait is how long a run waits for a connection that is being made anew.
const runsMaxWait = time.Second

// connect connects to a remote node, within the time-out of the start.
func (w *World) connect(e *engine, x node.Connect) {
	if !e.m.steady().Before(x.NotAfter) {
		w.afterOn(0, e.m, ofEngine, e, func() { e.step(node.Connected{Remote: x.Remote, Epoch: x.Epoch, Error: "too late"}) })
		return
	}
	l := &link{e: e, name: x.Remote, epoch: x.Epoch, waits: map[uint64]func(cib.OpStatus, node.AgentResult){}}
	e.dials[x.Remote] = l
	over := false
	fail := func(text string, refused bool) {
		if !over {
			over, l.closed = true, true
			e.step(node.Connected{Remote: x.Remote, Epoch: x.Epoch, Error: text, Refused: refused})
		}
	}
	w.afterOn(x.Timeout, e.m, ofEngine, e, func() { fail("timed out", false) })
	l.dial(func(up *wire, boot, refused string) bool {
		switch {
		case over:
			return false
		case refused != "":
			fail(refused, true)
			return false
		case up == nil:
			return true // tried again
		}
		over = true
		l.boot = boot
		if old := e.links[x.Remote]; old != nil {
			old.close()
		}
		e.links[x.Remote] = l
		l.use(up)
		e.m.tracef("is connected to %s (epoch %d, boot %s)", l.name, l.epoch, boot)
		e.step(node.Connected{Remote: x.Remote, Epoch: x.Epoch, BootID: boot, Version: "sim", Cores: 4})
		return false
	})
}

// dial tries to connect until done says that it is enough.
func (l *link) dial(done func(up *wire, boot, refused string) (again bool)) {
	w := l.e.m.w
	far := w.machines[w.index[l.name]]
	ended := false
	end := func(up *wire, boot, refused string) {
		if ended {
			if up != nil {
				up.close(atProxy)
			}
			return
		}
		ended = true
		if up != nil && l.closed {
			up.close(atProxy)
			return
		}
		if done(up, boot, refused) {
			w.afterOn(redialPause, l.e.m, ofEngine, l.e, func() {
				if !l.closed {
					l.dial(done)
				}
			})
		} else if up != nil && l.up != up {
			up.close(atProxy)
		}
	}
	both := w.net.both[l.e.m.i*w.net.n+far.i]
	switch d := far.daemon; {
	case both && far.booted && !far.paused && d == nil: // nobody listens
		w.afterOn(time.Millisecond, l.e.m, ofEngine, l.e, func() { end(nil, "", "") })
	case !both || !far.booted || far.paused:
		w.afterOn(handshakeMax, l.e.m, ofEngine, l.e, func() { end(nil, "", "") })
	default:
		x := newWire(l.e, d)
		x.broken[atProxy] = func() { end(nil, "", "") }
		w.afterOn(handshakeMax, l.e.m, ofEngine, l.e, func() {
			if !ended {
				x.close(atProxy)
				end(nil, "", "")
			}
		})
		x.send(atProxy, func() {
			d.greet(x, l, func(boot, refused string) {
				if refused != "" {
					x.close(atProxy)
					end(nil, "", refused)
					return
				}
				end(x, boot, "")
			})
		})
	}
}

// use takes a wire into use.
func (l *link) use(x *wire) {
	l.up, l.heard = x, l.e.m.w.now
	x.broken[atProxy] = func() {
		if l.up == x {
			l.lost()
		}
	}
}

// lost is when the wire broke: what waited for an answer gets none, and it is made anew.
func (l *link) lost() {
	l.up, l.heard = nil, 0
	waits := l.waits
	l.waits = map[uint64]func(cib.OpStatus, node.AgentResult){}
	for _, id := range slices.Sorted(maps.Keys(waits)) {
		waits[id](cib.OpUnknown, node.AgentResult{})
	}
	if l.closed || l.e.m.engine != l.e {
		return
	}
	l.e.m.tracef("has lost the connection to %s", l.name)
	l.dial(func(up *wire, boot, refused string) bool {
		switch {
		case l.closed || refused != "":
			return false
		case up == nil:
			return true
		case boot != l.boot:
			return false // the monitor of the connection fails
		}
		l.use(up)
		return false
	})
}

// close ends a connection. What runs over it ends over there.
func (l *link) close() {
	if l.closed {
		return
	}
	l.closed = true
	if x := l.up; x != nil {
		x.close(atProxy)
		l.lost()
	}
}

// disconnect ends a connection, if it is there.
func (w *World) disconnect(e *engine, x node.Disconnect) {
	if l := e.dials[x.Remote]; l != nil && l.epoch == x.Epoch {
		delete(e.dials, x.Remote)
	}
	if l := e.links[x.Remote]; l != nil && l.epoch == x.Epoch {
		delete(e.links, x.Remote)
		w.afterOn(between(w.remoteRand, 0, 5*time.Millisecond), e.m, ofEngine, e, l.close)
	}
}

// hangUp is what becomes of the connections of an engine that ends: its kernel says so.
func (e *engine) hangUp() {
	for _, name := range sortedKeys(e.links) {
		if x := e.links[name].up; x != nil && !x.closed[atProxy] {
			x.fin(atProxy)
			x.closed[atProxy] = true
		}
	}
}

// checkLink is the monitor of a connection.
func (w *World) checkLink(e *engine, x node.CheckLink) {
	began := e.m.wall()
	end := func(status cib.OpStatus, rc int) {
		now := e.m.wall()
		e.step(node.AgentDone{Run: x.Run, Result: node.AgentResult{Status: status, RC: rc, Started: began, Ended: now, Exec: now.Sub(began)}})
	}
	until := w.now + int64(x.Timeout)
	var look func()
	look = func() {
		l := e.links[x.Remote]
		switch {
		case l == nil || l.epoch != x.Epoch:
			end(cib.OpDone, cib.NotRunning)
		case l.up != nil && w.now-l.heard < int64(3*pingEvery):
			end(cib.OpDone, cib.OK)
		case w.now >= until:
			end(cib.OpTimeout, cib.GenericError)
		default:
			w.afterOn(pingEvery/4, e.m, ofEngine, e, look)
		}
	}
	w.afterOn(time.Millisecond, e.m, ofEngine, e, look)
}

// remoteRun is a run over a connection, as its proxy sees it.
type remoteRun struct {
	l      *link
	id     uint64 // over the wire; 0: not sent
	killed bool
	over   bool
	result func(cib.OpStatus, node.AgentResult)
}

// runRemote has a remote node run an agent.
func (w *World) runRemote(e *engine, x node.Run) {
	rr := &remoteRun{}
	if e.remoteRuns[x.Run] != nil {
		w.fail(6, "node %s runs number %d twice", e.m.name, x.Run)
	}
	e.remoteRuns[x.Run] = rr
	rr.result = func(status cib.OpStatus, res node.AgentResult) {
		if rr.over {
			return
		}
		rr.over = true
		if status == cib.OpUnknown && x.Action.Interval > 0 {
			status = cib.OpNotRun // it is repeated anyway
		}
		res.Status = status
		res.Ended = e.m.wall()
		res.Started = res.Ended.Add(-res.Exec)
		w.afterOn(between(w.remoteRand, 0, 2*time.Millisecond), e.m, ofEngine, e, func() {
			delete(e.remoteRuns, x.Run)
			e.m.tracef("is told by %s: %s: %s %d", x.Remote, x.Action.String(), res.Status, res.RC)
			e.step(node.AgentDone{Run: x.Run, Result: res})
		})
	}
	w.afterOn(between(w.remoteRand, 0, 3*time.Millisecond), e.m, ofEngine, e, func() {
		l := e.links[x.Remote]
		if l == nil || l.epoch != x.Epoch {
			rr.result(cib.OpNotRun, node.AgentResult{})
			return
		}
		rr.l = l
		l.order(rr, x.Action, w.now+int64(max(x.Action.Timeout.D(), runsMaxWait)))
	})
}

// order sends a run over the wire, once there is one.
func (l *link) order(rr *remoteRun, a cib.Action, until int64) {
	w := l.e.m.w
	if l.up == nil {
		if a.Op == cib.OpMigrateTo || rr.killed || l.closed || w.now >= until {
			rr.result(cib.OpNotRun, node.AgentResult{})
			return
		}
		w.afterOn(50*time.Millisecond, l.e.m, ofEngine, l.e, func() { l.order(rr, a, until) })
		return
	}
	l.next++
	rr.id = l.next
	l.waits[rr.id] = rr.result
	x := l.up
	x.send(atProxy, func() {
		if s := x.d.sessions[x]; s != nil {
			s.start(rr.id, a)
		}
	})
}

// killRemote ends a run over a connection.
func (w *World) killRemote(e *engine, run uint64) {
	rr := e.remoteRuns[run]
	if rr == nil || rr.over {
		return
	}
	rr.killed = true
	if l := rr.l; l != nil && rr.id != 0 && l.up != nil {
		x := l.up
		x.send(atProxy, func() {
			if s := x.d.sessions[x]; s != nil {
				s.kill(rr.id)
			}
		})
	}
}
