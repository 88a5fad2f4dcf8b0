package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// FaultKind is something that goes wrong, or that an administrator does.
type FaultKind uint8

// The kinds of faults.
const (
	PowerLoss         FaultKind = iota + 1 // the machine loses power; For: until it is switched on, 0: somebody must
	ColdStart                              // all machines lose power
	EngineCrash                            // kill -9; For: until its restart; N 1: running agents die with it
	EngineRestart                          // orderly, resources go on
	NodeLeave                              // orderly, resources are moved off; For: until it is back
	Pause                                  // by the hypervisor; N 1: its clocks stand still
	StopEngine                             // SIGSTOP
	CutPair                                // both ways between Node and Peer; N: link+1, 0: all links
	CutOneWay                              // from Node to Peer only
	Isolate                                // Node from everybody
	IsolateIn                              // Node hears nobody
	IsolateOut                             // nobody hears Node
	Partition                              // N is the set of one side
	PartitionOneWay                        // that side is not heard by the other
	Loss                                   // of messages between Node and Peer, P
	SlowNet                                // every message takes longer
	StoreStall                             // nothing is written
	StoreSlow                              // every write takes long
	MemberDown                             // the store's member on Node
	WatchStall                             // Node sees no news
	LeaderMove                             // the store elects another leader
	AgentSpell                             // the next N runs of Op on Resource go wrong, Mode says how
	ResourceDies                           // wherever it runs
	DeviceBroken                           // a fence device, or with no name each of them, says that it can't
	DeviceHangs                            // a fence device does not answer
	DeviceUnreachable                      // from Node
	DeviceLies                             // says off, reads off, does nothing
	WallJump                               // the wall clock of Node
	CrashDC                                // after the next commit of the kind Text: N 0 power, 1 engine, 2 pause, 3 isolate
	CrashExecutor                          // of a fencing, when it calls a device; N as above
	CrashAgentNode                         // of a node when it claims its next action, Text its operation; N as above, 4 a pause while no device works
	CrashForced                            // of a node in a forced recovery of the store, at the step Text; N as above
	CrashPeer                              // of the node at the other end, when a node claims its next migrate_to or migrate_from, Text; N as above
	ProxyFault                             // of the node to which the remote node Resource is connected; N as above
	OldDisk                                // the machine loses power, and comes back without its data of the store; N 1: with an old snapshot, too
	CrashRemote                            // of a remote node when its proxy claims an action there, Text its operation; N as above
	AdminStop
	AdminStart
	AdminUnmanage
	AdminManage
	AdminDelete
	AdminAdd
	AdminParameters
	AdminMove
	AdminStandby
	AdminOnline
	AdminNodeMaintenance
	AdminNodeManaged
	AdminMaintenance
	AdminNoMaintenance
	AdminStopAll
	AdminNoStopAll
	AdminCleanup
	AdminConfirm
	faultKinds
)

var faultNames = strings.Fields(`- power-loss cold-start engine-crash engine-restart node-leave pause stop-engine cut cut-one-way isolate isolate-in
	isolate-out partition partition-one-way loss slow-net store-stall store-slow member-down watch-stall leader-move agent-spell resource-dies
	device-broken device-hangs device-unreachable device-lies wall-jump crash-dc crash-executor crash-agent-node crash-forced crash-peer proxy-fault old-disk crash-remote stop start unmanage manage delete
	add parameters move standby online node-maintenance node-managed maintenance no-maintenance stop-all no-stop-all cleanup confirm`)

func (k FaultKind) String() string { return faultNames[k] }

// Fault is one entry of a scenario.
type Fault struct {
	At, For  time.Duration
	Kind     FaultKind
	Node     string
	Peer     string
	N        int
	P        float64
	Resource string
	Op       string
	Text     string // device, or kind of commit
	Mode     agentMode
}

// String writes a fault as the trace and the scenario show it.
func (f *Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", f.At.Round(time.Millisecond), f.Kind)
	for _, s := range []string{f.Node, f.Peer, f.Resource, f.Op, f.Text} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	if f.Kind == AgentSpell {
		b.WriteString(" " + agentModes[f.Mode])
	}
	if f.N != 0 {
		fmt.Fprintf(&b, " n=%d", f.N)
	}
	if f.P != 0 {
		fmt.Fprintf(&b, " p=%.2f", f.P)
	}
	if f.For != 0 {
		fmt.Fprintf(&b, " for %s", f.For.Round(time.Millisecond))
	}
	return b.String()
}

// inject makes a fault begin, and end when its time is over.
func (w *World) inject(f *Fault) {
	if w.healed {
		return
	}
	w.tracef("fault", "%s", f)
	if f.Kind >= AdminStop {
		w.admin.do(w, f)
		return
	}
	var m, peer *machine
	if f.Node != "" {
		m = w.machines[w.index[f.Node]]
	}
	if f.Peer != "" {
		peer = w.machines[w.index[f.Peer]]
	}
	// ends undoes the fault when its time is over, or when everything heals.
	ends := func(what string, undo func()) {
		done := false
		once := func() {
			if !done {
				done = true
				undo()
			}
		}
		w.checks.heals = append(w.checks.heals, once)
		w.after(f.For, func() {
			if !done {
				w.tracef("fault", "%s ends", what)
				once()
			}
		})
	}
	cut := func(pairs [][2]int, link int) {
		for _, p := range pairs {
			w.net.cut(p[0], p[1], link, 1)
		}
		w.connectivity()
		ends(f.Kind.String(), func() {
			for _, p := range pairs {
				w.net.cut(p[0], p[1], link, -1)
			}
			w.connectivity()
		})
	}
	switch f.Kind {
	case PowerLoss:
		m.powerOff("power loss")
		if f.For > 0 {
			m.later(f.For, func() { m.powerOn("power is back") })
		}
	case ColdStart:
		for _, m := range w.machines {
			m.powerOff("power loss of all")
			if f.For > 0 {
				m.later(f.For+between(w.bootRand, 0, w.sc.BootSpread), func() { m.powerOn("power is back") })
			}
		}
	case OldDisk:
		if !w.store.spares(m) {
			return
		}
		m.powerOff("power loss, and its disk is replaced by an old one")
		m.void = slices.Contains(w.store.members, m.i)
		if f.N == 1 {
			m.kept = m.old
		}
		w.connectivity()
		m.later(f.For, func() { m.powerOn("power is back") })
	case EngineCrash, EngineRestart, NodeLeave:
		if m.remote {
			m.crashDaemon(f.Kind != EngineCrash || f.N == 1, f.For)
			return
		}
		if f.Kind != EngineCrash {
			w.leave(m, f)
			return
		}
		m.crashEngine(f.N == 1, f.For)
	case Pause:
		m.pause(f.N == 1)
		at := m.boots
		ends("pause", func() {
			if m.boots == at {
				m.resume()
			}
		})
	case StopEngine:
		m.stopEngine()
		e := m.engine
		ends("stop", func() {
			if m.engine == e {
				m.contEngine()
			}
		})
	case CutPair:
		cut([][2]int{{m.i, peer.i}, {peer.i, m.i}}, f.N-1)
	case CutOneWay:
		cut([][2]int{{m.i, peer.i}}, f.N-1)
	case Isolate, IsolateIn, IsolateOut:
		cut(w.around(m.i, f.Kind), -1)
	case Partition, PartitionOneWay:
		var pairs [][2]int
		for a := range w.machines {
			for b := range w.machines {
				if f.N>>a&1 == 1 && f.N>>b&1 == 0 {
					pairs = append(pairs, [2]int{a, b})
					if f.Kind == Partition {
						pairs = append(pairs, [2]int{b, a})
					}
				}
			}
		}
		cut(pairs, -1)
	case Loss:
		if w.net.loss == nil {
			w.net.loss = make([]float64, w.net.n*w.net.n)
		}
		w.net.loss[m.i*w.net.n+peer.i] = f.P
		ends("loss", func() { w.net.loss[m.i*w.net.n+peer.i] = 0 })
	case SlowNet:
		w.net.slow += time.Duration(f.N) * time.Millisecond
		ends("slow net", func() { w.net.slow, w.net.slowEnded = w.net.slow-time.Duration(f.N)*time.Millisecond, w.now })
	case StoreStall:
		w.store.stallUntil = max(w.store.stallUntil, w.now+int64(f.For))
		w.checks.heals = append(w.checks.heals, func() { w.store.stallUntil = 0 })
	case StoreSlow:
		w.store.slow += time.Duration(f.N) * time.Millisecond
		ends("slow store", func() { w.store.slow -= time.Duration(f.N) * time.Millisecond })
	case MemberDown:
		m.memberDown++
		w.connectivity()
		ends("member down", func() { m.memberDown--; w.connectivity() })
	case WatchStall:
		m.watchStall = max(m.watchStall, w.now+int64(f.For))
		w.checks.heals = append(w.checks.heals, func() { m.watchStall = 0 })
	case LeaderMove:
		w.store.leader = -1
		w.store.reconsider()
	case AgentSpell:
		w.checks.spells = append(w.checks.spells, &spell{resource: f.Resource, op: f.Op, node: f.Node, mode: f.Mode, left: f.N, until: w.now + int64(f.For)})
	case ResourceDies:
		for _, m := range w.machines {
			if m.powered && m.inst[f.Resource] != nil {
				w.die(m, f.Resource)
				break
			}
		}
	case ProxyFault:
		for _, m := range w.machines {
			if m.engine != nil && m.engine.links[f.Resource] != nil {
				w.strike(m, f)
				return
			}
		}
	case DeviceBroken:
		by := func(n int) {
			for id, d := range w.devices {
				if f.Text == "" || f.Text == id {
					d.broken += n
				}
			}
		}
		by(1)
		ends("broken device", func() { by(-1) })
	case DeviceHangs:
		d := w.devices[f.Text]
		d.hanging++
		ends("hanging device", func() { d.hanging-- })
	case DeviceUnreachable:
		d := w.devices[f.Text]
		d.unreach[f.Node]++
		ends("unreachable device", func() { d.unreach[f.Node]-- })
	case DeviceLies:
		d := w.devices[f.Text]
		d.lying = true
		ends("lying device", func() { d.lying = false; clear(d.pretends) })
	case WallJump:
		m.wallOff += time.Duration(f.N) * time.Second
	case CrashDC, CrashExecutor, CrashAgentNode, CrashForced, CrashPeer, CrashRemote:
		w.checks.traps = append(w.checks.traps, &trap{fault: f, until: w.now + int64(30*time.Second+f.For)})
	default:
		panic("fault " + f.Kind.String() + " is not handled")
	}
}

// leave asks an engine to leave.
func (w *World) leave(m *machine, f *Fault) {
	if m.healthy() && !m.engine.leaving {
		m.engine.leaving, m.engine.restart = true, f.For
		m.tracef("is asked to %s", f.Kind)
		m.engine.step(leave(f.Kind == EngineRestart))
	}
}

// around lists the pairs of a node with all others.
func (w *World) around(i int, kind FaultKind) [][2]int {
	var pairs [][2]int
	for o := range w.machines {
		if o == i {
			continue
		}
		if kind != IsolateOut {
			pairs = append(pairs, [2]int{o, i})
		}
		if kind != IsolateIn {
			pairs = append(pairs, [2]int{i, o})
		}
	}
	return pairs
}

// trap is a fault that waits for its moment.
type trap struct {
	fault *Fault
	until int64
	done  bool
}

// spring lets the traps of a kind go off on a machine.
func (w *World) spring(kind FaultKind, text string, m *machine) {
	if w.healed {
		return
	}
	for _, t := range w.checks.traps {
		if t.done || t.fault.Kind != kind || w.now > t.until || t.fault.Text != "" && t.fault.Text != text {
			continue
		}
		t.done = true
		// At once, but after the event that is being handled; sometimes the answer
		// is on its way already.
		d := time.Duration(0)
		if w.bootRand.IntN(3) == 0 {
			d = between(w.bootRand, 0, 20*time.Millisecond)
		}
		w.after(d, func() {
			w.tracef("fault", "%s %s", kind, text)
			w.strike(m, t.fault)
		})
		return
	}
}

func (w *World) strike(m *machine, f *Fault) {
	again := *f
	again.Node, again.Text, again.Resource = m.name, "", ""
	again.N = 0
	switch f.N {
	case 0:
		again.Kind = PowerLoss
	case 1:
		again.Kind, again.N = EngineCrash, w.bootRand.IntN(2)
	case 2:
		again.Kind = Pause
	case 4:
		again.Kind = Pause
		w.inject(&Fault{At: f.At, Kind: DeviceBroken, For: f.For + 5*time.Second})
	default:
		again.Kind = Isolate
	}
	w.inject(&again)
}

// heal ends every fault: the world is good from now on.
func (w *World) heal() {
	w.tracef("world", "everything heals")
	w.healed, w.faulty = true, false
	for _, undo := range w.checks.heals {
		undo()
	}
	w.checks.spells = nil
	for _, d := range w.devices {
		d.broken, d.hanging, d.lying = 0, 0, false
		clear(d.unreach)
		clear(d.pretends)
	}
	w.store.slow = 0
	w.bringUp()
}

// longOff is when a person goes and switches on what fencing has left off. It has to
// be done by hand where so many nodes were fenced at once that the rest has no
// quorum to record the proof, which comes before the "on" of a reboot.
const longOff = int64(30 * time.Second)

// bringUp is the administrator who switches on what is off.
func (w *World) bringUp() {
	for _, m := range w.machines {
		if !m.powered && (w.store.snap.Status.Requests[m.name] == nil || w.now-m.offAt > longOff) {
			clear(m.outlets)
			m.powerOn("switched on by hand")
		}
		if m.powered && m.booted && m.engine == nil && m.daemon == nil {
			m.later(between(w.bootRand, 0, time.Second), m.startEngine)
		}
	}
}
