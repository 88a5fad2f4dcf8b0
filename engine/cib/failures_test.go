package cib

import (
	"testing"
	"time"
)

// TestCountFailures says which failures count against a node, and which failed start
// is fatal.
func TestCountFailures(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 0, time.UTC) }
	old, now := map[string]string{"port": "1"}, map[string]string{"port": "2"}
	op := func(seq uint64, name string, interval Duration, rc int, parameters map[string]string) OpResult {
		return OpResult{Seq: seq, Op: name, Interval: interval, RC: rc, Status: OpDone, Ended: at(int(seq)), Digest: Digest(parameters)}
	}
	every := Duration(10 * time.Second)
	start, monitor := op(2, OpStart, 0, GenericError, now), op(2, OpMonitor, every, NotRunning, now)
	timedOut, unknown, cancelled := start, start, start
	timedOut.Status, unknown.Status, cancelled.Status = OpTimeout, OpUnknown, OpCancelled
	onStart := &Resource{Parameters: old, Operations: []Operation{{Name: OpStart, Parameters: map[string]string{"port": "2"}}}}
	for _, c := range []struct {
		name    string
		ops     []OpResult
		count   Score
		lenient bool // start-failure-is-fatal is false
		ignored bool
		cfg     *Resource
		want    Score
		last    time.Time
	}{
		{name: "nothing failed", ops: []OpResult{op(1, OpStart, 0, OK, now)}},
		{name: "a start", ops: []OpResult{start}, count: 1, want: Infinity, last: at(2)},
		{name: "a start that timed out", ops: []OpResult{timedOut}, count: 1, want: Infinity, last: at(2)},
		{name: "a start whose end nobody saw", ops: []OpResult{unknown}, count: 1, want: 1, last: at(1)},
		{name: "a start that was cancelled", ops: []OpResult{cancelled}, count: 1, want: 1, last: at(1)},
		{name: "a start that is not fatal", ops: []OpResult{start}, count: 1, lenient: true, want: 1, last: at(1)},
		{name: "a start whose failure is ignored", ops: []OpResult{start}, count: 1, ignored: true, want: 1, last: at(1)},
		{name: "a start that was made good", ops: []OpResult{start, op(3, OpStart, 0, OK, now)}, count: 1, want: 1, last: at(1)},
		{name: "a start after a cleanup", ops: []OpResult{start}},
		{name: "a monitor", ops: []OpResult{monitor}, count: 3, want: 3, last: at(1)},
		{name: "a start with the present parameters", ops: []OpResult{start}, count: 1, cfg: &Resource{Parameters: now}, want: Infinity, last: at(2)},
		{name: "a start with others", ops: []OpResult{start}, count: 1, cfg: &Resource{Parameters: old}},
		{name: "a start with those of the operation", ops: []OpResult{start}, count: 1, cfg: onStart, want: Infinity, last: at(2)},
		{name: "a monitor with others", ops: []OpResult{monitor}, count: 3, cfg: &Resource{Parameters: old}},
		{name: "a success with others", ops: []OpResult{op(1, OpStart, 0, OK, old), monitor}, count: 3, cfg: &Resource{Parameters: now}, want: 3, last: at(1)},
	} {
		h := &History{Ops: c.ops, FailCount: c.count}
		if c.count > 0 {
			h.LastFailure = at(1)
		}
		count, last := h.CountFailures(FailureRules{Resource: c.cfg, Fatal: !c.lenient, Ignored: func(*OpResult) bool { return c.ignored }})
		if count != c.want || !last.Equal(c.last) {
			t.Errorf("%s: %v, last %v; want %v, last %v", c.name, count, last, c.want, c.last)
		}
	}
}
