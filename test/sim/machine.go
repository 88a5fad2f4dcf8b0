package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/node"
)

// machine is one host: what is true of it, whatever anybody believes.
type machine struct {
	w    *World
	i    int
	name string

	powered bool
	booted  bool // far enough for a store member
	bootN   int
	bootID  string
	paused  bool // by its hypervisor: nothing runs
	stopped bool // its engine only (SIGSTOP)
	held    []due
	engine  *engine // nil: none runs
	remote  bool    // it is a remote node, and has no engine
	daemon  *remoted
	boots   uint64 // counts power changes, to recognise old plans
	offAt   int64

	inst       map[string]*instance // what runs
	outlets    map[string]bool      // devices that have switched it off
	kept       *cib.Snapshot        // on its disk
	old        *cib.Snapshot        // the first that was
	void       bool                 // its disk has no data of the store, or old ones, and the store has it as a member
	inc        uint64
	memberDown int     // its store member is down, so many times over
	forced     *forced // on its disk: a recovery of the store that was begun
	forcing    bool    // its store member is busy with that
	watchStall int64
	epochKnown uint64 // of the voters, as an engine of this boot knew it
	keptEpoch  uint64 // of the newest connection that this boot has taken
	noRestart  int    // faults that keep its engine from starting

	// The steady clock, CLOCK_BOOTTIME: goes on while the machine is paused,
	// unless its hypervisor froze it.
	clockBase time.Time
	clockAt   int64 // world time of clockBase
	drift     int64 // parts per million
	frozenAt  int64 // -1: not frozen
	wallOff   time.Duration

	fedUntil time.Time // watchdog
	feeding  bool

	quorateAt int64 // world time when it reached a majority last, over all its boots
	wasFrozen bool  // its clock has stood still once

	truth truth // for the checks
}

// engine is one incarnation of a node's engine.
type engine struct {
	m    *machine
	inc  uint64
	boot string
	node *node.Node
	arb  *arbClient // nil: it has said nothing to an arbitrator

	blind bool // it began without a snapshot: until it reads one it can't know what runs

	wakeAt     int64
	seen       int64 // revision delivered
	basis      int64 // revision that its transaction is made of
	read       bool  // the first read is done
	watching   bool
	commits    int    // without an answer
	epoch      uint64 // validity epoch that it registered, or is about to
	runs       map[uint64]*run
	dials      map[string]*link // connections to remote nodes that are asked for
	links      map[string]*link // and that are made
	remoteRuns map[uint64]*remoteRun
	fences     map[uint64]bool
	born       int64

	renewed   int64 // of its lease
	storeLost bool
	waits     node.StoreWaits // what it was told last
	leaving   bool
	restart   time.Duration // after a Leave: when it is to be started again
	second    int64
	count     int // steps in that second
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func nodeName(sc *Scenario, i int) string {
	if i >= sc.Nodes {
		return remoteName(i - sc.Nodes)
	}
	if sc.Nodes > 9 {
		return fmt.Sprintf("n%03d", i+1)
	}
	return fmt.Sprintf("n%d", i+1)
}

func newMachine(w *World, i int) *machine {
	return &machine{
		w: w, i: i, name: nodeName(w.sc, i), inst: map[string]*instance{}, outlets: map[string]bool{}, drift: w.sc.Drift[i], frozenAt: -1,
		wallOff: w.sc.WallOffset[i], remote: i >= w.sc.Nodes,
	}
}

func (m *machine) tracef(format string, args ...any) {
	if m.w.tracing {
		m.w.tracef(m.name, format, args...)
	}
}

// steady is the machine's steady clock.
func (m *machine) steady() time.Time {
	at := m.w.now
	if m.frozenAt >= 0 {
		at = m.frozenAt
	}
	d := at - m.clockAt
	return m.clockBase.Add(time.Duration(d + d/1000*m.drift/1000))
}

// until is the world's time from now until the steady clock shows t, at least.
func (m *machine) until(t time.Time) time.Duration {
	d := int64(t.Sub(m.steady()))
	if d <= 0 {
		return 0
	}
	if d > int64(time.Hour) {
		d = int64(time.Hour)
	}
	return time.Duration(d - d/1000*m.drift/1000 + 10_000)
}

func (m *machine) wall() time.Time { return m.steady().Add(m.wallOff) }

// on reports whether something could run on the machine, now or when it is resumed.
func (m *machine) on() bool { return m.powered }

// healthy reports whether the engine runs now.
func (m *machine) healthy() bool { return m.engine != nil && !m.paused && !m.stopped }

// powerOn switches the machine on, if nothing switches it off.
func (m *machine) powerOn(why string) {
	if m.powered || m.switchedOff() {
		return
	}
	w := m.w
	m.powered, m.booted = true, false
	m.boots++
	m.bootN++
	m.bootID = fmt.Sprintf("%s-b%d", m.name, m.bootN)
	m.tracef("power on (%s)", why)
	at := m.boots
	w.after(between(w.bootRand, w.sc.BootMin, w.sc.BootMax), func() {
		if m.boots != at {
			return
		}
		m.booted = true
		m.clockBase, m.clockAt, m.frozenAt = epoch.Add(time.Duration(w.bootRand.Int64N(int64(1000*time.Hour)))), w.now, -1
		m.wallOff = w.sc.WallOffset[m.i] + epoch.Add(time.Duration(w.now)).Sub(m.clockBase)
		w.connectivity()
		m.startEngine()
	})
}

// powerOff takes the power away: everything is gone at once.
func (m *machine) powerOff(why string) {
	if !m.powered {
		return
	}
	m.tracef("power off (%s)", why)
	m.powered, m.booted, m.paused, m.stopped = false, false, false, false
	m.boots++
	m.forcing = false
	m.offAt = m.w.now
	m.held = nil
	m.daemon, m.keptEpoch, m.epochKnown = nil, 0, 0
	m.endEngine()
	m.feeding = false
	m.w.checks.powerLost(m.w, m)
	clear(m.inst)
	m.w.connectivity()
}

// reset is a power cycle by the machine itself.
func (m *machine) reset(why string) {
	m.powerOff(why)
	at := m.boots
	m.w.after(between(m.w.bootRand, time.Second, 3*time.Second), func() {
		if m.boots == at {
			m.powerOn("reset")
		}
	})
}

// startEngine starts an engine, after those agents of an earlier one that still
// run were ended, as the daemon does.
func (m *machine) startEngine() {
	if m.remote {
		m.startDaemon()
		return
	}
	if !m.powered || !m.booted || m.engine != nil || m.noRestart > 0 {
		return
	}
	w := m.w
	m.endLeftovers()
	m.inc++
	e := &engine{
		m: m, inc: uint64(w.now)/1000<<8 | m.inc&255, boot: m.bootID, runs: map[uint64]*run{}, fences: map[uint64]bool{}, born: w.now,
		dials: map[string]*link{}, links: map[string]*link{}, remoteRuns: map[uint64]*remoteRun{},
		renewed: w.now, second: -1,
	}
	m.engine = e
	var dog *cib.Watchdog
	if w.sc.Watchdog {
		dog = &cib.Watchdog{Device: "/dev/watchdog", Identity: "sim", Timeout: cib.Duration(w.sc.WatchdogTime), Hardware: true}
	}
	setup := node.Setup{
		Name: m.name, Incarnation: e.inc, BootID: m.bootID, Version: "sim", Cores: 4, Watchdog: dog, EpochKnown: m.epochKnown,
		Rand: rand.New(rand.NewPCG(w.sc.Seed, e.inc)),
	}
	// Without its snapshot it knows nobody, and without the store it learns of nobody.
	if m.kept != nil && (w.bootRand.IntN(8) != 0 || w.store.bereft()) {
		setup.Snapshot = m.kept
	}
	e.blind = setup.Snapshot == nil
	m.tracef("engine %d starts", e.inc)
	e.node = node.New(setup, m.steady())
	w.checks.started(w, m)
	w.connectivity()
	e.wakeAt = -1
	e.step(node.Tick{Wall: m.wall()})
	if m.engine == e {
		w.store.first(e)
		w.resume(e)
	}
}

// endEngine forgets the engine.
func (m *machine) endEngine() {
	if m.engine == nil {
		return
	}
	if m.powered {
		m.engine.hangUp()
	}
	m.engine = nil
	m.forcing = false
	m.truth.grantUntil = time.Time{}
	if m.powered {
		m.w.connectivity()
	}
}

// crashEngine is kill -9. Running agents go on, or die with it.
func (m *machine) crashEngine(kill bool, back time.Duration) {
	e := m.engine
	if e == nil {
		return
	}
	m.tracef("engine is killed (agents die with it: %v)", kill)
	m.orphan(e, kill)
	m.stopped = false
	m.dropHeld(ofEngine)
	// A watchdog that is open when its engine dies goes on counting; the next
	// engine opens it again.
	m.endEngine()
	if m.w.now-e.renewed < int64(leaseTTL) && m.w.bootRand.IntN(4) == 0 {
		m.w.store.revoke(e)
	}
	m.later(back, m.startEngine)
}

// later calls fn after d unless the power changed.
func (m *machine) later(d time.Duration, fn func()) {
	at := m.boots
	m.w.after(d, func() {
		if m.boots == at {
			fn()
		}
	})
}

// left is the orderly end of the engine.
func (e *engine) left() {
	m := e.m
	m.tracef("engine ends")
	m.orphan(e, false)
	m.feeding = false // the watchdog is disarmed
	m.endEngine()
	if m.w.bootRand.IntN(2) == 0 {
		m.w.store.revoke(e)
	}
	m.later(max(e.restart, 500*time.Millisecond), m.startEngine)
}

// revoke ends the lease of an engine that is gone.
func (s *store) revoke(e *engine) {
	if s.leader < 0 {
		return
	}
	if s.leased[cib.KeyDC] == e {
		s.expire(cib.KeyDC)
	}
}

// pause suspends the machine; frozen says whether its clocks stand still too.
func (m *machine) pause(frozen bool) {
	if !m.powered || m.paused {
		return
	}
	m.tracef("is paused (clock frozen: %v)", frozen)
	m.paused = true
	m.wasFrozen = m.wasFrozen || frozen
	if frozen && m.booted {
		m.frozenAt = m.w.now
	}
	m.w.connectivity()
}

func (m *machine) resume() {
	if !m.paused {
		return
	}
	if m.frozenAt >= 0 {
		now := m.steady()
		m.clockBase, m.clockAt, m.frozenAt = now, m.w.now, -1
	}
	m.paused = false
	m.truth.wokeAt = m.w.now
	m.tracef("is resumed")
	m.release()
	m.w.connectivity()
	if m.feeding && m.w.sc.Watchdog {
		m.checkWatchdog()
	}
}

// stopEngine suspends only the engine's process.
func (m *machine) stopEngine() {
	if m.engine == nil && m.daemon == nil || m.stopped {
		return
	}
	m.tracef("engine is stopped (SIGSTOP)")
	m.stopped = true
	m.w.connectivity()
}

func (m *machine) contEngine() {
	if !m.stopped {
		return
	}
	m.stopped = false
	m.truth.wokeAt = m.w.now
	m.tracef("engine goes on")
	m.release()
	m.w.connectivity()
}

const heldMessagesMax = 60 // what a socket keeps

// hold keeps an event for later.
func (m *machine) hold(ev due) {
	if ev.kind == evMessage {
		count := 0
		for i := range m.held {
			if m.held[i].kind == evMessage {
				count++
			}
		}
		if count >= heldMessagesMax {
			return
		}
	}
	m.held = append(m.held, ev)
}

func (m *machine) dropHeld(c class) {
	kept := m.held[:0]
	for _, ev := range m.held {
		if ev.class != c {
			kept = append(kept, ev)
		}
	}
	m.held = kept
}

// release hands out what was held, in its order; engines first see the time.
func (m *machine) release() {
	held := m.held
	m.held = nil
	r := m.w.bootRand
	if m.engine != nil && r.IntN(2) == 0 {
		m.engine.wakeAt = -1
		m.w.afterOn(0, m, ofEngine, m.engine, func() {})
		m.engine.wake()
	}
	for _, ev := range held {
		if ev.kind == evTick {
			ev.eng.wakeAt = m.w.now
		}
		m.w.add(0, ev)
	}
}

// hear brings a message to the engine.
func (e *engine) hear(link int, msg *membership.Message) {
	m := e.m
	effects := e.node.Step(m.steady(), node.Heard{Link: link, Message: msg})
	if len(effects) > 0 {
		m.w.perform(e, effects)
		if m.engine == e {
			e.wake()
		}
	}
}

// tick is the time that the engine asked for, or a second.
func (e *engine) tick(at int64) {
	if at != e.wakeAt {
		return // another one was asked for since
	}
	e.wakeAt = -1
	e.step(node.Tick{Wall: e.m.wall()})
}

// step gives an event to the node and does what it says.
func (e *engine) step(ev node.Event) {
	w := e.m.w
	if s := w.now / int64(time.Second); s != e.second {
		e.second, e.count = s, 0
	}
	if e.count++; e.count > stepsPerSecond {
		w.fail(ruleGrowth, "the engine of %s was called %d times in a second, last by %T", e.m.name, e.count, ev)
	}
	w.perform(e, e.node.Step(e.m.steady(), ev))
	if e.m.engine == e {
		e.wake()
	}
}

// wake asks for the next Tick.
func (e *engine) wake() {
	m := e.m
	now := m.steady()
	d := min(time.Second, m.until(e.node.NextWake(now)))
	at := m.w.now + int64(max(d, 100*time.Microsecond))
	if e.wakeAt >= 0 && e.wakeAt <= at {
		return // an earlier one comes; it will ask again
	}
	e.wakeAt = at
	m.w.add(time.Duration(at-m.w.now), due{kind: evTick, class: ofEngine, m: int32(m.i), eng: e})
}

// disk keeps the newest snapshot.
func (e *engine) disk(snap *cib.Snapshot) {
	if e.m.kept = snap; e.m.old == nil {
		e.m.old = snap
	}
}

// feed keeps the watchdog quiet until its time-out after until.
func (m *machine) feed(until time.Time) {
	m.fedUntil = until
	if !m.feeding {
		m.feeding = true
		m.checkWatchdog()
	}
}

// checkWatchdog resets a machine that was not fed. The watchdog is hardware: it
// counts while the machine is paused, but a paused virtual machine's counts with it,
// so it is looked at again when the machine is resumed.
func (m *machine) checkWatchdog() {
	if !m.feeding || m.paused {
		return
	}
	left := m.until(m.fedUntil.Add(m.w.sc.WatchdogTime))
	if left <= 0 {
		m.tracef("watchdog fires")
		m.reset("watchdog")
		return
	}
	m.later(left, func() {
		if m.feeding {
			m.checkWatchdog()
		}
	})
}
