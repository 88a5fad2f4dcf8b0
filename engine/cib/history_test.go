package cib

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// TestHistory derives states from histories. Each line of input is one result:
// the operation (probe is a first monitor), then rc=N, expected=N, status=name,
// interval=10s, role=name, seq=N, at=seconds.
func TestHistory(t *testing.T) {
	datadriven.Walk(t, "testdata/history", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			h := &History{}
			for i, line := range strings.Split(d.Input, "\n") {
				h.Ops = append(h.Ops, parseResult(t, line, i+1, start))
			}
			var timeout, now int
			d.MaybeScanArgs(t, "failure-timeout", &timeout)
			d.MaybeScanArgs(t, "now", &now)
			s := h.State(start.Add(time.Duration(now)*time.Second), time.Duration(timeout)*time.Second)
			out := "role: " + s.Role.String() + "\n"
			if s.Failure != nil {
				out += "failure: " + s.Failure.Op + " rc=" + strconv.Itoa(s.Failure.RC) + "\n"
			}
			if s.Expired {
				out += "expired\n"
			}
			if s.NotHere {
				out += "not here\n"
			}
			return out
		})
	})
}

func parseResult(t *testing.T, line string, seq int, start time.Time) OpResult {
	t.Helper()
	words := strings.Fields(line)
	r := OpResult{Op: words[0], Seq: uint64(seq), Status: OpDone, Ended: start.Add(time.Duration(seq) * time.Second)}
	if r.Op == "probe" {
		r.Op, r.Probe, r.Expected = OpMonitor, true, NotRunning
	}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		var err error
		switch k {
		case "rc":
			r.RC, err = strconv.Atoi(v)
		case "expected":
			r.Expected, err = strconv.Atoi(v)
		case "status":
			r.Status, err = OpStatuses.Parse(v)
		case "role":
			r.Role, err = Roles.Parse(v)
		case "interval":
			r.Interval, err = ParseDuration(v)
		case "seq":
			r.Seq, err = strconv.ParseUint(v, 10, 64)
		case "at":
			var n int
			n, err = strconv.Atoi(v)
			r.Ended = start.Add(time.Duration(n) * time.Second)
		default:
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return r
}

// TestHistoryNeverForgetsActive: whatever came before, after an operation that
// may have made the instance active, only a stop, or a look that says so, makes
// it stopped. And the order in which the results stand does not matter.
func TestHistoryNeverForgetsActive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) OpResult {
			return OpResult{
				Op:       rapid.SampledFrom([]string{OpStart, OpStop, OpMonitor, OpPromote, OpDemote, OpMigrateTo, OpMigrateFrom, OpReload, OpNotify}).Draw(t, "op"),
				RC:       rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 190, 191, 255}).Draw(t, "rc"),
				Expected: rapid.SampledFrom([]int{0, 7, 8}).Draw(t, "expected"),
				Status:   OpStatuses[rapid.IntRange(0, len(OpStatuses)-1).Draw(t, "status")].Value,
				Probe:    rapid.Bool().Draw(t, "probe"),
			}
		}), 1, 8).Draw(t, "ops")
		for i := range ops {
			ops[i].Seq = uint64(i + 1)
			ops[i].Probe = ops[i].Probe && ops[i].Op == OpMonitor
		}
		h := &History{Ops: ops}
		want := h.State(time.Time{}, 0)
		last := want.Last
		if last != nil && want.Role == RoleStopped {
			looked := last.Op == OpMonitor && (last.RC == NotRunning || last.RC == NotInstalled || last.Probe && last.RC == NotConfigured || last.Status == OpNotInstalled)
			stopped := (last.Op == OpStop || last.Op == OpMigrateTo || last.Op == OpDemote) && !last.Failure() || last.Op == OpDemote && last.RC == NotRunning
			if !looked && !stopped && last.Status != OpNotInstalled {
				t.Fatalf("stopped after %+v", last)
			}
		}
		if last != nil && last.Op == OpStop && last.Failure() && !want.Role.Active() && last.Status != OpNotInstalled {
			t.Fatalf("not active after a failed stop: %+v", want)
		}
		shuffled := &History{Ops: rapid.Permutation(ops).Draw(t, "shuffled")}
		if got := shuffled.State(time.Time{}, 0); got.Role != want.Role || (got.Failure == nil) != (want.Failure == nil) {
			t.Fatalf("order matters: %+v, %+v", got, want)
		}
	})
}
