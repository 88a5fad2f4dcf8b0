package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/node"
)

// World is one cluster and everything around it.
type World struct {
	sc  *Scenario
	now int64 // virtual time in ns since the world began
	seq uint64
	q   queue

	// Each part of the world draws from a sequence of its own, so that taking a
	// fault out of a scenario changes as little of the rest as possible.
	netRand, storeRand, agentRand, bootRand, remoteRand *rand.Rand

	machines []*machine
	index    map[string]int
	net      network
	store    *store
	devices  map[string]*device
	admin    admin
	arb      *arbitrator // nil but in worlds of two nodes
	checks   checks
	mutant   *Mutant

	faulty  bool // base faults are on (loss, failing agents); off once healed
	healed  bool
	failure *Failure
	hash    uint64
	steps   int

	tracing bool
	trace   []string
	filter  func(line string) bool
}

// Failure is a broken rule.
type Failure struct {
	Rule int           // of "What must never happen"; see Rules
	Text string        // what happened
	At   time.Duration // virtual time
}

func (f *Failure) Error() string {
	return fmt.Sprintf("rule %d (%s) broken at %s: %s", f.Rule, Rules[f.Rule], f.At.Round(time.Millisecond), f.Text)
}

type kind uint8

const (
	evCall    kind = iota // fn
	evMessage             // msg arrives at machine m on a link
	evTick                // eng wants to be called
)

// class says what must be running for an event to be handled; while that is
// paused the event waits.
type class uint8

const (
	ofWorld  class = iota // always
	ofEngine              // the engine of machine m
	ofAgent               // any process of machine m
)

// due is what happens at a time.
type due struct {
	at    int64
	seq   uint64
	kind  kind
	class class
	link  uint8
	m     int32
	eng   *engine
	msg   *membership.Message
	fn    func()
}

// queue is a binary heap of events, by time, then by the order of their making.
type queue []due

func (q queue) before(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}

func (q *queue) push(e due) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !h.before(i, p) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

func (q *queue) pop() due {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h[last] = due{}
	h = h[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && h.before(c+1, c) {
			c++
		}
		if !h.before(c, i) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	*q = h
	return top
}

// Limits of a healthy world; more is growth without bound.
const (
	queueMax       = 200_000
	stepsPerSecond = 2000 // of one engine, besides messages
)

// New returns the world of a scenario at its beginning.
func New(sc *Scenario) *World {
	sub := func(n uint64) *rand.Rand {
		return rand.New(rand.NewPCG(sc.Seed, n))
	}
	w := &World{
		sc: sc, index: map[string]int{}, devices: map[string]*device{}, faulty: true,
		netRand: sub(1), storeRand: sub(2), agentRand: sub(3), bootRand: sub(4), remoteRand: sub(5), hash: 14695981039346656037,
	}
	for i := range sc.Nodes + sc.Remotes {
		m := newMachine(w, i)
		w.machines = append(w.machines, m)
		w.index[m.name] = i
	}
	w.checks.init(w)
	w.net.init(w)
	newStore(w)
	w.initDevices()
	w.arbitrate()
	for _, m := range w.machines {
		w.after(time.Duration(w.bootRand.Int64N(int64(sc.BootSpread)+1)), func() { m.powerOn("cold start") })
	}
	for i := range sc.Faults {
		f := &sc.Faults[i]
		w.after(f.At, func() { w.inject(f) })
	}
	w.after(time.Second, w.everySecond)
	return w
}

// Run runs the world to its end: the faults, the healing, and the time until the
// cluster is where it should be. It returns the first broken rule, or nil.
func (w *World) Run() (failure *Failure) {
	defer func() {
		if p := recover(); p != nil {
			if s, ok := p.(stop); ok {
				failure = s.failure
				return
			}
			failure = &Failure{Rule: 9, Text: fmt.Sprintf("panic: %v\n%s", p, debug.Stack()), At: time.Duration(w.now)}
			w.tracef("world", "%s", failure.Text)
		}
	}()
	w.runUntil(w.sc.Heal)
	w.heal()
	w.settle()
	return w.failure
}

// stop unwinds the world when a rule is broken.
type stop struct{ failure *Failure }

// fail notes a broken rule and ends the world.
func (w *World) fail(rule int, format string, args ...any) {
	w.failure = &Failure{Rule: rule, Text: fmt.Sprintf(format, args...), At: time.Duration(w.now)}
	w.tracef("world", "%s", w.failure.Error())
	panic(stop{w.failure})
}

// runUntil handles every event up to a time.
func (w *World) runUntil(end time.Duration) {
	for len(w.q) > 0 && w.q[0].at <= int64(end) {
		ev := w.q.pop()
		w.now = ev.at
		w.dispatch(&ev)
		if len(w.q) > queueMax {
			w.fail(ruleGrowth, "%d events wait", len(w.q))
		}
	}
	w.now = int64(end)
}

func (w *World) dispatch(ev *due) {
	if ev.class != ofWorld {
		m := w.machines[ev.m]
		if m.paused || m.stopped && ev.class == ofEngine {
			m.hold(*ev)
			return
		}
		if ev.eng != nil && (m.engine != ev.eng) {
			return // that engine is gone
		}
	}
	w.steps++
	w.mix(uint64(ev.at))
	switch ev.kind {
	case evCall:
		ev.fn()
	case evMessage:
		if m := w.machines[ev.m]; m.engine != nil {
			m.engine.hear(int(ev.link), ev.msg)
		}
	case evTick:
		ev.eng.tick(ev.at)
	}
}

// mix takes a number into the fingerprint of the world (FNV-1a).
func (w *World) mix(v uint64) { w.hash = (w.hash ^ v) * 1099511628211 }

// Hash is a fingerprint of everything that happened.
func (w *World) Hash() uint64 { return w.hash }

func (w *World) add(d time.Duration, ev due) {
	w.seq++
	ev.seq = w.seq
	ev.at = w.now + max(0, int64(d))
	w.q.push(ev)
}

// after calls fn after d.
func (w *World) after(d time.Duration, fn func()) { w.add(d, due{fn: fn, m: -1}) }

// afterOn calls fn after d on a machine, when what it belongs to runs.
func (w *World) afterOn(d time.Duration, m *machine, c class, eng *engine, fn func()) {
	w.add(d, due{class: c, m: int32(m.i), eng: eng, fn: fn})
}

// everySecond does what happens all the time.
func (w *World) everySecond() {
	w.store.everySecond()
	w.checks.everySecond(w)
	w.after(time.Second, w.everySecond)
}

// perform does what a node asked for.
func (w *World) perform(e *engine, effects []node.Effect) {
	for i := range effects {
		if e.m.engine != e {
			return // it died of an earlier effect
		}
		switch x := effects[i].(type) {
		case node.Send:
			w.send(e, &x)
		case node.Commit:
			w.store.commit(e, x)
		case node.Run:
			if x.Remote != "" {
				w.runRemote(e, x)
				continue
			}
			w.runAgent(e, x)
		case node.Kill:
			if x.Run&1 == 1 {
				w.killRemote(e, x.Run)
				continue
			}
			w.killAgent(e, x.Run)
		case node.Connect:
			w.connect(e, x)
		case node.Disconnect:
			w.disconnect(e, x)
		case node.CheckLink:
			w.checkLink(e, x)
		case node.FenceCall:
			w.fenceCall(e, x)
		case node.Feed:
			e.m.feed(x.Until)
		case node.SelfFence:
			if w.mutant != nil && w.mutant.noSelfFence {
				continue
			}
			e.m.tracef("fences itself: %s", x.Reason)
			e.m.reset("self-fencing")
		case node.Emit:
			if w.tracing {
				e.m.tracef("%s %s", x.Event.Code, x.Event.Text)
			}
		case node.Journal:
		case node.Advise:
			w.afterOn(x.Timeout, e.m, ofEngine, e, func() { e.step(node.Advised{Program: x.Program, Error: "there are no programs here"}) })
		case node.Consult:
			if w.arb != nil {
				w.arb.consult(e, x.Claim)
			}
		case node.EpochKnown:
			e.m.epochKnown = x.Epoch
		case node.Recover:
			w.recover(e, x)
		case node.Remove:
			w.admin.remove(w, e.m, x.Constraint)
		case node.Left:
			e.left()
		}
	}
}

func (w *World) tracef(who, format string, args ...any) {
	if !w.tracing {
		return
	}
	text := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	line := fmt.Sprintf("%8.3fs %-5s %s", float64(w.now)/1e9, who, text)
	if w.filter == nil || w.filter(line) {
		w.trace = append(w.trace, line)
	}
}

// between draws a time.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(r.Int64N(int64(high-low)))
}

func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }

// names joins the names of view members.
func names(members []cib.ViewMember) string {
	out := make([]string, len(members))
	for i := range members {
		out[i] = members[i].Node
	}
	return strings.Join(out, " ")
}
