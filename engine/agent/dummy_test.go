package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// ops runs operations in turn and gives their return codes.
func ops(t *testing.T, r *Runner, agent, instance string, params map[string]string, names ...string) []int {
	t.Helper()
	var codes []int
	for _, op := range names {
		res := r.Run(context.Background(), Request{Agent: mustID(t, agent), Instance: instance, Op: op, Params: params})
		if res.Status != cib.OpDone {
			t.Fatalf("%s: %+v", op, res)
		}
		codes = append(codes, res.RC)
	}
	return codes
}

func expect(t *testing.T, what string, got []int, want ...int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
	}
}

func TestDummy(t *testing.T) {
	r := testRunner(t)
	expect(t, "life", ops(t, r, "belay:dummy", "d", nil, "monitor", "stop", "start", "start", "monitor", "reload-agent", "notify", "stop", "monitor", "promote"), 7, 0, 0, 0, 0, 0, 0, 0, 7, 3)
	expect(t, "migration", ops(t, r, "belay:dummy", "d", nil, "start", "migrate_to", "monitor", "migrate_from", "monitor"), 0, 0, 7, 0, 0)
	expect(t, "another instance", ops(t, r, "belay:dummy", "d:1", nil, "monitor"), 7)
	another := testRunner(t)
	expect(t, "another node", ops(t, another, "belay:dummy", "d", nil, "monitor"), 7)
	state := t.TempDir() + "/sub/state"
	expect(t, "a file of its own", ops(t, r, "belay:dummy", "d", map[string]string{"state": state}, "start", "monitor", "stop"), 0, 0, 0)
}

func TestDummyMisbehaves(t *testing.T) {
	r := testRunner(t)
	expect(t, "fails", ops(t, r, "belay:dummy", "a", map[string]string{"fail_op": "start monitor:7,stop:5"}, "start", "monitor", "stop"), 1, 7, 5)
	expect(t, "fails twice", ops(t, r, "belay:dummy", "b", map[string]string{"fail_op": "start:6", "fail_times": "2"}, "start", "start", "start", "monitor"), 6, 6, 0, 0)
	expect(t, "fails here", ops(t, r, "belay:dummy", "c", map[string]string{"fail_op": "start", "fail_on": "n9 n1"}, "start"), 1)
	expect(t, "fails elsewhere", ops(t, r, "belay:dummy", "c", map[string]string{"fail_op": "start", "fail_on": "n9"}, "start"), 0)
	expect(t, "lies", ops(t, r, "belay:dummy", "e", map[string]string{"lie": "start"}, "start", "monitor"), 0, 7)
	for _, bad := range []map[string]string{{"delay": "soon"}, {"fail_op": "start:x"}, {"fail_op": "start", "fail_times": "x"}} {
		expect(t, "bad parameter", ops(t, r, "belay:dummy", "f", bad, "start"), 6)
	}
	res := r.Run(context.Background(), Request{Agent: mustID(t, "belay:dummy"), Instance: "g", Op: "start", Params: map[string]string{"delay": "start:1h stop:1ms"}, Timeout: 20 * time.Millisecond})
	if res.Status != cib.OpTimeout || res.RC != cib.GenericError {
		t.Errorf("slow: %+v", res)
	}
	expect(t, "slow, but in time", ops(t, r, "belay:dummy", "g", map[string]string{"delay": "start:1h stop:1ms"}, "stop"), 0)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if res := r.Run(ctx, Request{Agent: mustID(t, "belay:dummy"), Instance: "g", Op: "start", Params: map[string]string{"delay": "1h"}}); res.Status != cib.OpCancelled {
		t.Errorf("cancelled: %+v", res)
	}
}

func TestStateful(t *testing.T) {
	r := testRunner(t)
	expect(t, "life", ops(t, r, "belay:stateful", "s", nil, "monitor", "promote", "start", "monitor", "promote", "monitor", "demote", "monitor", "stop", "monitor"), 7, 7, 0, 0, 0, 8, 0, 0, 0, 7)
	score := func(op string, params map[string]string) int {
		res := r.Run(context.Background(), Request{Agent: mustID(t, "belay:stateful"), Instance: "s", Op: op, Params: params})
		if res.PromotionScore == nil {
			t.Fatalf("%s gives no score: %+v", op, res)
		}
		return *res.PromotionScore
	}
	if a, b, c := score("start", nil), score("promote", nil), score("monitor", map[string]string{"score": "100"}); a != 5 || b != 10 || c != 105 {
		t.Errorf("scores %d, %d, %d", a, b, c)
	}
}

func TestValidateBuiltin(t *testing.T) {
	r := testRunner(t)
	for _, c := range []struct {
		agent  string
		params map[string]string
		rc     int
		text   string
	}{
		{"belay:dummy", nil, 0, ""},
		{"belay:dummy", map[string]string{"stat": "x"}, 6, "did you mean state"},
		{"belay:process", nil, 6, "parameter command"},
		{"belay:process", map[string]string{"command": "sleep", "stop_timeout": "soon"}, 6, "stop_timeout"},
	} {
		res := r.Run(context.Background(), Request{Agent: mustID(t, c.agent), Instance: "a", Op: "validate-all", Params: c.params})
		if res.RC != c.rc || !strings.Contains(res.Reason, c.text) {
			t.Errorf("%s %v: %+v", c.agent, c.params, res)
		}
	}
}
