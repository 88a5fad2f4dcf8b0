// Package fencing decides how a node is fenced: with which devices, in which
// order, how often, and when its death counts as confirmed. It is pure; the
// daemon makes the calls.
package fencing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Device is one device that can fence the target.
type Device struct {
	ID     string
	Config cib.FenceDevice
	Plug   string // what the device calls the target
}

// Levels returns the devices for a target, level by level: its topology, or
// without one every device that can fence it as a level of its own, by id. At a
// level every device must succeed; the next level is tried when one fails.
func Levels(c *cib.Config, target string) [][]Device {
	device := func(id string) (Device, bool) {
		d := c.FenceDevices[id]
		if d == nil {
			return Device{}, false
		}
		plug, named := d.Targets[target]
		if len(d.Targets) > 0 && !named {
			return Device{}, false
		}
		return Device{ID: id, Config: *d, Plug: cmp.Or(plug, target)}, true
	}
	var levels [][]Device
	if t := c.FenceTopology[target]; t != nil {
		for _, ids := range t.Levels {
			var level []Device
			for _, id := range ids {
				if d, ok := device(id); ok {
					level = append(level, d)
				}
			}
			// A level with a device that is gone would confirm with one power
			// supply still on: leave the level out.
			if len(level) == len(ids) && len(level) > 0 {
				levels = append(levels, level)
			}
		}
		return levels
	}
	for _, id := range slices.Sorted(maps.Keys(c.FenceDevices)) {
		if d, ok := device(id); ok {
			levels = append(levels, []Device{d})
		}
	}
	return levels
}

// Call is one call of a fence agent.
type Call struct {
	Device  Device
	Op      string // off, status, on
	Timeout time.Duration
}

// Attempt is one try to fence a target: a small state machine that says which
// call is next. Off, then status must read off on every device of a level: only
// that is a confirmation. A reboot's on comes after the proof was recorded.
type Attempt struct {
	levels  [][]Device
	op      cib.FenceOp
	timeout time.Duration // default of a call

	level, device int
	phase         phase
	tries         int
	notBefore     time.Time
	errs          []string
	done          []string // devices that confirmed at this level
}

type phase uint8

const (
	phaseOff phase = iota
	phaseStatus
	phaseConfirmed // waits for Proven
	phaseOn
	phaseEnded
)

// statusTriesMax bounds how often a device is asked again while it still reads on
// after an off that it called done; some power supplies take seconds.
const statusTriesMax = 10

// statusPause is the time between two such reads.
const statusPause = 500 * time.Millisecond

// New begins an attempt at a time, which may be to come. Timeout is that of a call
// of a device that has none.
func New(levels [][]Device, op cib.FenceOp, timeout time.Duration, at time.Time) *Attempt {
	a := &Attempt{levels: levels, op: op, timeout: timeout}
	if len(levels) == 0 {
		a.phase = phaseEnded
		a.errs = []string{"no fence device is configured for it"}
		return a
	}
	a.notBefore = at.Add(levels[0][0].Config.Delay.D())
	return a
}

// Next returns the call to make now, or nil with the time to ask again; a zero
// time means that the attempt waits for a result, for Proven, or has ended.
func (a *Attempt) Next(now time.Time) (*Call, time.Time) {
	if a.phase == phaseEnded || a.phase == phaseConfirmed {
		return nil, time.Time{}
	}
	if now.Before(a.notBefore) {
		return nil, a.notBefore
	}
	d := a.levels[a.level][a.device]
	call := &Call{Device: d, Timeout: cmp.Or(d.Config.Timeout.D(), a.timeout)}
	switch a.phase {
	case phaseOff:
		call.Op = "off"
	case phaseStatus:
		call.Op = "status"
	case phaseOn:
		call.Op = "on"
	case phaseConfirmed, phaseEnded:
	}
	return call, time.Time{}
}

// Result tells the attempt how the call it asked for ended. For status, off says
// what was read.
func (a *Attempt) Result(now time.Time, ok, off bool, text string) {
	if a.phase == phaseEnded || a.phase == phaseConfirmed {
		return
	}
	d := a.levels[a.level][a.device]
	a.tries++
	switch {
	case a.phase == phaseOff && ok:
		a.phase, a.tries = phaseStatus, 0
	case a.phase == phaseStatus && ok && off:
		a.done = append(a.done, d.ID)
		a.tries = 0
		if a.device++; a.device < len(a.levels[a.level]) {
			a.phase = phaseOff
			a.notBefore = now.Add(a.levels[a.level][a.device].Config.Delay.D())
			return
		}
		a.phase, a.device = phaseConfirmed, 0
	case a.phase == phaseStatus && ok && a.tries < statusTriesMax:
		a.notBefore = now.Add(statusPause) // still on: read again
	case a.phase == phaseOn && ok, a.phase == phaseOn && a.tries > retries(d):
		if !ok {
			a.errs = append(a.errs, fmt.Sprintf("%s: on: %s", d.ID, text))
		}
		a.tries = 0
		a.device++
		a.skipUnfencers()
	case a.tries <= retries(d) && !ok:
		a.notBefore = now.Add(time.Duration(a.tries) * 200 * time.Millisecond)
	default:
		if a.phase == phaseStatus && ok {
			text = "says that off is done, and reads on: it lies or drives another machine"
		}
		a.fail(now, d, text)
	}
}

func retries(d Device) int { return max(1, d.Config.Retries) }

func (a *Attempt) fail(now time.Time, d Device, text string) {
	a.errs = append(a.errs, fmt.Sprintf("%s: %s", d.ID, cmp.Or(text, "failed")))
	a.phase, a.device, a.tries, a.done = phaseOff, 0, 0, nil
	if a.level++; a.level >= len(a.levels) {
		a.phase = phaseEnded
		return
	}
	a.notBefore = now.Add(a.levels[a.level][0].Config.Delay.D())
}

// Confirmed reports whether every device of a level read off; the proof is now to
// be recorded.
func (a *Attempt) Confirmed() bool { return a.phase == phaseConfirmed }

// Devices names what confirmed it: "psu-a+psu-b".
func (a *Attempt) Devices() string { return strings.Join(a.done, "+") }

// Proven says that the proof is recorded: a reboot goes on with on.
func (a *Attempt) Proven() {
	if a.phase != phaseConfirmed {
		return
	}
	a.phase = phaseEnded
	if a.op == cib.FenceOpReboot {
		a.phase, a.device, a.tries = phaseOn, 0, 0
		a.skipUnfencers()
	}
}

// skipUnfencers leaves out the devices that the target is to be unfenced with: it
// has that done itself when it is a member again, and not before.
func (a *Attempt) skipUnfencers() {
	level := a.levels[a.level]
	for a.device < len(level) && level[a.device].Config.Unfences() {
		a.device++
	}
	if a.device >= len(level) {
		a.phase = phaseEnded
	}
}

// Ended reports whether there is nothing left to do; without a confirmation
// before, the attempt failed.
func (a *Attempt) Ended() bool { return a.phase == phaseEnded }

// Error says why it failed, every device in one line; "" when nothing did.
func (a *Attempt) Error() string { return strings.Join(a.errs, "; ") }

// Backoff is the pause before the next attempt after n failed ones: 2 s, doubled
// up to a minute, so that a device that is gone is not stormed.
func Backoff(n int) time.Duration {
	return min(time.Minute, time.Second<<min(n, 6))
}

// Executor chooses who drives the devices: the DC if it can, else the next of
// the members in turn, so that a node that can't reach a device is not asked for
// ever; never the target. Failed is the number of failed attempts.
func Executor(members []string, dc, target string, failed int) string {
	var can []string
	if dc != target && slices.Contains(members, dc) {
		can = append(can, dc)
	}
	for _, m := range slices.Sorted(slices.Values(members)) {
		if m != target && m != dc {
			can = append(can, m)
		}
	}
	if len(can) == 0 {
		return ""
	}
	return can[failed%len(can)]
}
