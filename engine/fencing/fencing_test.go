package fencing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/engine/cib"
)

// TestAttempt runs the cases in testdata: devices, topology, and how each call
// ends; prints every call with its time and the outcome.
func TestAttempt(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cfg := &cib.Config{FenceDevices: map[string]*cib.FenceDevice{}, FenceTopology: map[string]*cib.FenceTopology{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "device":
				dev := &cib.FenceDevice{Agent: "fence_test"}
				for _, a := range d.CmdArgs[1:] {
					switch a.Key {
					case "targets":
						dev.Targets = map[string]string{}
						for _, v := range a.Vals {
							node, plug, _ := strings.Cut(v, ":")
							dev.Targets[node] = plug
						}
					case "delay":
						dev.Delay, _ = cib.ParseDuration(a.Vals[0])
					case "retries":
						_, _ = fmt.Sscan(a.Vals[0], &dev.Retries)
					}
				}
				cfg.FenceDevices[d.CmdArgs[0].Key] = dev
				return ""
			case "topology":
				var top cib.FenceTopology
				for line := range strings.FieldsSeq(d.Input) {
					top.Levels = append(top.Levels, strings.Split(line, "+"))
				}
				cfg.FenceTopology[d.CmdArgs[0].Key] = &top
				return ""
			case "fence":
				op := cib.FenceOpOff
				if d.HasArg("reboot") {
					op = cib.FenceOpReboot
				}
				var delay cib.Duration
				if d.HasArg("delay") {
					text := ""
					d.ScanArgs(t, "delay", &text)
					delay, _ = cib.ParseDuration(text)
				}
				return run(New(Levels(cfg, d.CmdArgs[0].Key), op, time.Minute, time.Unix(0, 0).Add(delay.D())), d.Input)
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

// run plays an attempt; script has the answers in order, "ok" when it is at its end.
func run(a *Attempt, script string) string {
	var out strings.Builder
	now, answers := time.Unix(0, 0), strings.Split(strings.TrimSpace(script), "\n")
	for range 100 {
		call, at := a.Next(now)
		switch {
		case call != nil:
			ans := "ok"
			if len(answers) > 0 && answers[0] != "" {
				ans, answers = answers[0], answers[1:]
			}
			_, _ = fmt.Fprintf(&out, "%5.1fs %s %s %s: %s\n", now.Sub(time.Unix(0, 0)).Seconds(), call.Device.ID, call.Op, call.Device.Plug, ans)
			a.Result(now, ans != "error", ans == "ok" || ans == "off", "no answer")
		case !at.IsZero():
			now = at
		case a.Confirmed():
			_, _ = fmt.Fprintf(&out, "confirmed by %s\n", a.Devices())
			a.Proven()
		case a.Ended():
			_, _ = fmt.Fprintf(&out, "ended: %s\n", a.Error())
			return out.String()
		}
	}
	return out.String() + "does not end\n"
}

// A reboot does not switch its target on with what the target is to be unfenced with:
// that is the target's own part.
func TestRebootLeavesUnfencing(t *testing.T) {
	now := time.Unix(0, 0)
	for _, c := range []struct {
		unfences []bool
		on       []string
	}{{[]bool{true}, nil}, {[]bool{true, false, true}, []string{"d1"}}, {[]bool{false, true}, []string{"d0"}}} {
		var level []Device
		for i, u := range c.unfences {
			level = append(level, Device{ID: "d" + string(rune('0'+i)), Config: cib.FenceDevice{Unfencing: new(u)}})
		}
		a := New([][]Device{level}, cib.FenceOpReboot, time.Second, now)
		var on []string
		for !a.Ended() {
			call, _ := a.Next(now)
			switch {
			case call == nil:
				a.Proven()
				continue
			case call.Op == "on":
				on = append(on, call.Device.ID)
			}
			a.Result(now, true, true, "")
		}
		if !slices.Equal(on, c.on) {
			t.Errorf("%v: on by %v, want %v", c.unfences, on, c.on)
		}
	}
}
