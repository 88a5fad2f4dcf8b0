package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

func (b *builder) fenceDevices() {
	for _, id := range slices.Sorted(maps.Keys(b.c.FenceDevices)) {
		cfg := b.c.FenceDevices[id]
		if cfg == nil {
			continue
		}
		d := FenceDevice{ID: id, Number: cfg.Number, Agent: cfg.Agent, State: FenceDeviceUnknown}
		for i := range b.out.Nodes {
			if cfg.Fences(b.out.Nodes[i].Name) {
				d.Targets = append(d.Targets, b.out.Nodes[i].Name)
			}
		}
		b.checks(&d, cfg)
		for _, r := range b.st.Fenced {
			if r.Device == id && r.State == cib.FenceDone {
				d.Succeeded++
				if r.Ended.After(d.LastUsed) {
					d.LastUsed = r.Ended
				}
			}
		}
		b.out.FenceDevices = append(b.out.FenceDevices, d)
	}
}

// checks collects what the nodes found. A device is available if it answers any
// of them: one is enough to fence with it.
func (b *builder) checks(d *FenceDevice, cfg *cib.FenceDevice) {
	good, bad := 0, ""
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		r := b.st.Readiness[n.Name][d.ID]
		if r == nil || !n.alive() || b.now.Sub(r.Time) > max(FenceCheckMax, 3*cfg.MonitorInterval.D()) {
			continue
		}
		d.Checks = append(d.Checks, Check{Node: n.Name, OK: r.OK, Error: r.Error, Time: r.Time})
		if r.Time.After(d.Checked) {
			d.Checked = r.Time
		}
		if r.OK {
			good++
		} else {
			bad = fmt.Sprintf("does not answer from %s: %s", n.Name, orText(r.Error, "no reason given"))
		}
	}
	switch {
	case good > 0:
		d.State, d.Reason = FenceDeviceAvailable, bad
	case bad != "":
		d.State, d.Reason = FenceDeviceFailed, bad
	default:
		d.Reason = "no member has checked it yet"
	}
}

// from lists the nodes from which a device answers, the target left out: nobody
// fences itself.
func (d *FenceDevice) from(target string) []string {
	var out []string
	for _, c := range d.Checks {
		if c.OK && c.Node != target {
			out = append(out, c.Node)
		}
	}
	return out
}

func (b *builder) fenceReadiness() {
	devices := map[string]*FenceDevice{}
	for i := range b.out.FenceDevices {
		devices[b.out.FenceDevices[i].ID] = &b.out.FenceDevices[i]
	}
	for _, n := range b.hosts() {
		n.Fence, n.FenceReason = b.readiness(n, devices)
	}
}

// readiness says whether the node could be fenced now: at one level of its
// topology every device answers, or without a topology any device does.
func (b *builder) readiness(n *Node, devices map[string]*FenceDevice) (FenceReadiness, string) {
	if !b.c.Cluster.Options.Fencing() {
		return FenceReadinessOff, "fencing-required is off"
	}
	levels := b.levels(n.Name)
	if len(levels) == 0 {
		if w := n.Watchdog; w != nil && w.Hardware {
			return FenceReadinessReady, "no device, but its hardware watchdog " + w.Device + " resets it"
		}
		return FenceReadinessNone, "no fence device is configured for it"
	}
	state, reason := FenceReadinessFailed, ""
	for _, level := range levels {
		ready, from := true, ""
		for _, id := range level {
			d := devices[id]
			if d == nil {
				ready = false
				continue
			}
			nodes := d.from(n.Name)
			if len(nodes) > 0 {
				from = strings.Join(nodes, ", ")
				continue
			}
			ready = false
			if d.State == FenceDeviceUnknown {
				state = FenceReadinessUnknown
			}
			reason = orText(reason, id+": "+orText(d.Reason, "answers no other node"))
		}
		if ready {
			return FenceReadinessReady, strings.Join(level, " and ") + " from " + from
		}
	}
	return state, reason
}

// levels lists the sets of devices of which one set must succeed.
func (b *builder) levels(target string) [][]string {
	if t := b.c.FenceTopology[target]; t != nil && len(t.Levels) > 0 {
		return t.Levels
	}
	var out [][]string
	for _, id := range b.c.Devices(target) {
		out = append(out, []string{id})
	}
	return out
}

func (b *builder) fencing() {
	all := slices.Collect(maps.Values(b.st.Requests))
	all = slices.AppendSeq(all, maps.Values(b.st.Fenced))
	byTarget := map[string]*cib.Proof{}
	seen := map[string]bool{}
	for _, p := range b.st.Proofs {
		if byTarget[p.Request] == nil {
			byTarget[p.Request] = p
		}
	}
	for _, r := range all {
		f := Fencing{
			ID: r.ID, Target: r.Target, Op: r.Op, State: r.State, Result: result(r.State), Reason: r.Why.Cause, Executor: r.Executor,
			Device: r.Device, Attempts: r.Attempts, Asked: r.Asked, Ended: r.Ended, Error: r.Error,
		}
		p := b.st.Proofs[r.Proof]
		if p == nil && r.ID != "" {
			p = byTarget[r.ID]
		}
		if p != nil {
			f.Proof = proofOf(p)
			seen[p.ID] = true
		}
		b.out.Fencing = append(b.out.Fencing, f)
	}
	// A proof without a request: a person confirmed it, or the node came back with
	// a new boot.
	for _, p := range b.st.Proofs {
		if !seen[p.ID] {
			b.out.Fencing = append(b.out.Fencing, Fencing{
				ID: p.ID, Target: p.Target, State: cib.FenceDone, Result: FenceResultSucceeded,
				Device: p.Device, Executor: p.By, Asked: p.Time, Ended: p.Time, Proof: proofOf(p),
			})
		}
	}
	slices.SortFunc(b.out.Fencing, func(x, y Fencing) int {
		return order(y.Asked.Compare(x.Asked), strings.Compare(x.ID, y.ID))
	})
}

func proofOf(p *cib.Proof) *Proof {
	return &Proof{ID: p.ID, Kind: p.Kind, Device: p.Device, By: p.By, BootID: p.BootID, Time: p.Time, Void: p.Void}
}

func result(s cib.FenceState) FenceResult {
	switch s {
	case cib.FenceDone:
		return FenceResultSucceeded
	case cib.FenceFailed:
		return FenceResultFailed
	case cib.FenceWithdrawn:
		return FenceResultWithdrawn
	case cib.FenceRequested, cib.FenceExecuting:
	}
	return FenceResultPending
}

// age rounds a duration for a text.
func age(d time.Duration) string { return d.Round(time.Millisecond).String() }
