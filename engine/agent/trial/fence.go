package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/meta"
)

// fence is the trial of a fence agent.
type fence struct {
	*Report
	runner *agent.Runner
	name   string
	opt    Options
}

// fenceTimeout is how long one call of a fence agent may take in a trial.
const fenceTimeout = time.Minute

// plug is what the target of a trial is called.
const plug = "trial"

// Fence tries a fence agent out. Without Options.Drive the device that the parameters
// name need not exist: then it must say that it can't reach it, and not that all is
// well.
func Fence(ctx context.Context, runner *agent.Runner, name string, opt Options) *Report {
	t := &fence{Report: &Report{Agent: name, Steps: []Step{}, Faults: []string{}}, runner: runner, name: name, opt: opt}
	m := t.describe(ctx)
	if m == nil {
		return t.Report
	}
	t.call(ctx, "refuse an action that does not exist", "no-such-action", false, "it does what nobody knows, or says that it did")
	if slices.ContainsFunc(m.Parameters, func(p meta.Parameter) bool { return p.Required && !p.Deprecated && !p.HasDefault }) && len(opt.Params) == 0 {
		t.call(ctx, "refuse to do without parameters", agent.FenceMonitor, false, "without the parameters that it requires it says that the device is well")
	}
	switch {
	case opt.Only:
		t.skip("the device was not asked: only metadata and validation were asked for")
	case opt.Drive:
		t.drive(ctx, m)
	case len(opt.Params) > 0:
		t.call(ctx, "say that the device can't be reached", agent.FenceMonitor, false, "it says that a device is well which nobody can reach from here")
		t.call(ctx, "not claim to have switched it off", agent.FenceOff, false, "it says that it has switched off what nobody can reach from here: a cluster would recover what still runs")
	}
	return t.Report
}

func (t *fence) describe(ctx context.Context) *meta.Metadata {
	began := time.Now()
	m, err := t.runner.FenceMetadata(ctx, t.name)
	s := Step{What: "describe itself", Op: "metadata", Took: time.Since(began)}
	if err != nil {
		s.RC, s.Fault = 1, err.Error()
		t.Steps = append(t.Steps, s)
		t.fault("its metadata can't be read: %v", err)
		return nil
	}
	t.Steps, t.Version = append(t.Steps, s), m.Version
	for _, op := range []string{"off", "monitor", "metadata"} {
		if !m.HasAction(op) && (op != "off" || !m.HasAction("reboot")) {
			t.fault("its metadata do not name the action %s", op)
		}
	}
	if !m.HasAction("status") {
		t.note("its metadata do not name the action status: it can't be read back whether a node is off")
	}
	judgeParameters(t.Report, m, t.opt.Params, true)
	return m
}

// drive switches the device off and on, and reads back what it says.
func (t *fence) drive(ctx context.Context, m *meta.Metadata) {
	t.call(ctx, "say that the device is well", agent.FenceMonitor, true, "the device can't be used")
	if m.HasAction("validate-all") {
		t.call(ctx, "accept its parameters", agent.FenceValidate, true, "validate-all refuses parameters that work")
	}
	t.power(ctx, agent.FenceOn, agent.PowerOn)
	t.power(ctx, agent.FenceOff, agent.PowerOff)
	t.call(ctx, "switch off again", agent.FenceOff, true, "to switch off what is off must succeed")
	t.power(ctx, agent.FenceOn, agent.PowerOn)
	t.power(ctx, agent.FenceReboot, agent.PowerOn)
}

// power switches, and reads back.
func (t *fence) power(ctx context.Context, action agent.FenceAction, want agent.Power) {
	if !t.call(ctx, "carry out "+string(action), action, true, "it fails") {
		return
	}
	res := t.runner.RunFence(ctx, t.request(agent.FenceStatus))
	s := Step{What: "say that it is " + want.String() + " after that", Op: "status", RC: res.RC, Took: res.Exec, Said: res.Reason}
	if !res.OK || res.Power != want {
		s.Fault = fmt.Sprintf("after %s its status is %s, not %s: a cluster would not know whether the node is off", action, res.Power, want)
		t.fault("%s: %s", s.What, s.Fault)
	}
	t.Steps = append(t.Steps, s)
}

func (t *fence) request(action agent.FenceAction) agent.FenceRequest {
	timeout := t.opt.Timeout
	if timeout <= 0 {
		timeout = fenceTimeout
	}
	q := agent.FenceRequest{Agent: t.name, Device: t.name, Action: action, Params: t.opt.Params, Timeout: timeout}
	if action != agent.FenceMonitor && action != agent.FenceList && action != agent.FenceValidate {
		q.Target, q.Plug = plug, plug
	}
	return q
}

// call has the agent do something that must succeed or must fail, and end.
func (t *fence) call(ctx context.Context, what string, action agent.FenceAction, succeeds bool, otherwise string) bool {
	q := t.request(action)
	res := t.runner.RunFence(ctx, q)
	s := Step{What: what, Op: string(action), RC: res.RC, Took: res.Exec, Said: res.Reason}
	switch {
	case res.Exec >= q.Timeout:
		s.Fault = fmt.Sprintf("%s did not end within %s", action, q.Timeout)
	case res.OK != succeeds:
		s.Fault = fmt.Sprintf("%s returned %d: %s", action, res.RC, otherwise)
	}
	if s.Fault != "" {
		t.fault("%s: %s", what, withReason(s))
	}
	t.Steps = append(t.Steps, s)
	return s.Fault == ""
}
