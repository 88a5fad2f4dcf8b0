package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

func TestCutPower(t *testing.T) {
	state, hanging := killedEngine(t, "hang")
	r := testRunner(t, func(c *Config) { c.StateDir = state })
	other := testRunner(t)
	pidfile := filepath.Join(t.TempDir(), "pid")
	run := func(r *Runner, agent, op string, params map[string]string) Result {
		return r.Run(context.Background(), Request{Agent: mustID(t, agent), Instance: "web", Op: op, Params: params, Timeout: time.Minute})
	}
	process := map[string]string{"command": "sleep", "args": "1000"}
	for _, step := range []struct {
		r      *Runner
		agent  string
		params map[string]string
	}{{r, "belay:process", process}, {r, "belay:dummy", nil}, {r, "ocf:test:keeper", map[string]string{"pidfile": pidfile}}, {other, "belay:process", process}} {
		if res := run(step.r, step.agent, "start", step.params); res.RC != 0 {
			t.Fatalf("%s: %+v", step.agent, res)
		}
	}
	t.Cleanup(func() { _ = CutPower(other.cfg.StateDir) })
	daemon := readPID(t, pidfile)
	command := (&proc{t, r, process}).state().Process.PID
	if err := CutPower(state); err != nil {
		t.Fatal(err)
	}
	for what, pid := range map[string]int{"the agent that hung": hanging, "the daemon of an agent": daemon, "the command": command} {
		if running(pid) {
			t.Errorf("%s, process %d, still runs", what, pid)
		}
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state is still there")
	}
	if res := run(other, "belay:process", "monitor", process); res.RC != cib.OK {
		t.Errorf("another machine was hit: %+v", res)
	}
	if err := CutPower(state); err != nil {
		t.Errorf("again: %v", err)
	}
}
