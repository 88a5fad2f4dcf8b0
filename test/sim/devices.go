package sim

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
)

// device is one fence device. What it has switched off stands in the machine.
type device struct {
	id       string
	broken   int // says that it can't, so many faults over
	hanging  int
	lying    bool           // says off and reads off, and does nothing
	unreach  map[string]int // nodes that do not reach it
	pretends map[string]bool
}

func (w *World) initDevices() {
	for id := range w.sc.Config.FenceDevices {
		w.devices[id] = &device{id: id, unreach: map[string]int{}, pretends: map[string]bool{}}
	}
}

// switchedOff reports whether the devices keep the machine without power: its
// management board, a shared switch, or both of its two power supplies.
func (m *machine) switchedOff() bool {
	supplies := 0
	for id := range m.outlets {
		if id != "psu-a" && id != "psu-b" {
			return true
		}
		supplies++
	}
	return supplies == 2
}

// switchOff takes an outlet away.
func (m *machine) switchOff(dev string) {
	m.outlets[dev] = true
	if m.switchedOff() {
		m.powerOff("switched off by " + dev)
	}
}

// switchOn gives it back; a machine that has its power again boots.
func (m *machine) switchOn(dev string) {
	delete(m.outlets, dev)
	m.powerOn("switched on by " + dev)
}

// fenceCall runs a fence agent.
func (w *World) fenceCall(e *engine, x node.FenceCall) {
	if w.mutant != nil && w.mutant.fenceCall != nil && !w.mutant.fenceCall(w, e, &x) {
		return
	}
	w.afterOn(between(w.agentRand, 0, 5*time.Millisecond), e.m, ofEngine, e, func() { w.callDevice(e, x) })
}

func (w *World) callDevice(e *engine, x node.FenceCall) {
	reply := func(d time.Duration, res func() node.FenceResult) {
		w.afterOn(d, e.m, ofEngine, e, func() {
			r := res()
			if w.mutant != nil && w.mutant.fenceResult != nil {
				w.mutant.fenceResult(w, &x, &r)
			}
			if x.Op != node.FenceMonitor {
				e.m.tracef("fence agent of %s: %s %s: ok %v off %v %s", x.DeviceID, x.Op, x.Target, r.OK, r.Off, r.Error)
			}
			e.step(node.FenceDone{Run: x.Run, Result: r})
		})
	}
	if !x.NotAfter.IsZero() && !e.m.steady().Before(x.NotAfter) && (w.mutant == nil || !w.mutant.ignoreNotAfter) {
		reply(0, func() node.FenceResult { return node.FenceResult{Error: "too late"} })
		return
	}
	d := w.devices[x.DeviceID]
	rng := w.agentRand
	if x.Op == node.FenceMonitor {
		ok := d != nil && d.broken == 0 && d.unreach[e.m.name] == 0
		reply(between(rng, 10*time.Millisecond, 200*time.Millisecond), func() node.FenceResult {
			return node.FenceResult{OK: ok, Error: map[bool]string{false: "no answer"}[ok]}
		})
		return
	}
	ti, known := w.index[x.Target]
	if d == nil || !known {
		reply(0, func() node.FenceResult { return node.FenceResult{Error: "no such device"} })
		return
	}
	target := w.machines[ti]
	w.checks.fence(w, e, &x)
	e.m.tracef("calls %s: %s %s", x.DeviceID, x.Op, x.Target)
	took := between(rng, 20*time.Millisecond, 600*time.Millisecond)
	if w.faulty && rng.IntN(8) == 0 {
		took += between(rng, 0, 2*time.Second)
	}
	switch {
	case d.hanging > 0:
		// It may do what it was told all the same.
		if rng.IntN(2) == 0 {
			w.after(took, func() { w.switchBy(d, target, x.Op) })
		}
		reply(x.Timeout, func() node.FenceResult { return node.FenceResult{Error: "timed out"} })
	case d.broken > 0 || d.unreach[e.m.name] > 0:
		reply(took, func() node.FenceResult { return node.FenceResult{Error: "no answer"} })
	case took > x.Timeout:
		w.after(took, func() { w.switchBy(d, target, x.Op) })
		reply(x.Timeout, func() node.FenceResult { return node.FenceResult{Error: "timed out"} })
	case x.Op == node.FenceStatus:
		var off bool
		w.after(took/2, func() { off = target.outlets[d.id] || d.pretends[target.name] })
		reply(took, func() node.FenceResult { return node.FenceResult{OK: true, Off: off} })
	default:
		w.after(took/2, func() { w.switchBy(d, target, x.Op) })
		reply(took, func() node.FenceResult { return node.FenceResult{OK: true} })
	}
}

// switchBy is what a device does.
func (w *World) switchBy(d *device, target *machine, op node.FenceCallOp) {
	switch op {
	case node.FenceOff:
		if d.lying {
			d.pretends[target.name] = true
			return
		}
		target.switchOff(d.id)
	case node.FenceOn:
		delete(d.pretends, target.name)
		target.switchOn(d.id)
	case node.FenceStatus, node.FenceMonitor:
	}
}

// confirm is a person who goes and looks: if the boot is really over, the proof is
// written, as the engine does it for "belay fence confirm".
func (w *World) confirm(target *machine) {
	st := w.store.snap.Status.Nodes[target.name]
	if st == nil || st.State != cib.NodeUnclean || target.powered && target.bootID == st.BootID {
		return
	}
	at := epoch.Add(time.Duration(w.now))
	proof := &cib.Proof{ID: "p-human-" + st.BootID, Kind: cib.ProofHuman, Target: target.name, BootID: st.BootID, By: "root", Time: at}
	txn := cib.Txn{
		If:  []cib.Compare{{Key: cib.KeyNodeStatus + target.name, ModRev: st.Rev}},
		Put: []cib.Put{{Key: cib.KeyProof + proof.ID, Value: proof}, {Key: cib.KeyNodeStatus + target.name, Value: st}},
	}
	if r := w.store.snap.Status.Requests[target.name]; r != nil && r.State != cib.FenceExecuting {
		ended := *r
		ended.State, ended.Ended, ended.Proof = cib.FenceDone, at, proof.ID
		key := cib.KeyFenceRequest + target.name
		txn.If = append(txn.If, cib.Compare{Key: key, ModRev: r.Rev})
		txn.Delete = append(txn.Delete, key)
		txn.Put = append(txn.Put, cib.Put{Key: cib.KeyFenceHistory + r.ID, Value: &ended})
	}
	w.admin.commit(w, txn, "confirms that "+target.name+" is dead", nil)
}
