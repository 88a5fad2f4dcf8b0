package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// Options say how an agent is tried out.
type Options struct {
	Params map[string]string // of the resource or device
	// Only describes the agent and has it check the parameters, and starts nothing.
	Only bool
	// Promotable tries promote and demote, too.
	Promotable bool
	// Drive has a fence agent switch its device off and on. Without it the device
	// need not exist.
	Drive bool
	// Timeout is for each operation; 0 means what the agent's metadata advise.
	Timeout time.Duration
}

// resource is the trial of a resource agent.
type resource struct {
	*Report
	runner  *agent.Runner
	id      agent.ID
	opt     Options
	meta    *meta.Metadata
	extra   map[string]string // meta attributes, as in a cluster
	started time.Duration     // how long the start took
}

// instance is the name of the resource in a trial.
const instance = "trial"

// graceTimeout is how long an operation may take for which the metadata advise
// nothing.
const graceTimeout = cib.DefaultOpTimeout

// Resource tries a resource agent out.
func Resource(ctx context.Context, runner *agent.Runner, id agent.ID, opt Options) *Report {
	t := &resource{Report: &Report{Agent: id.String(), Steps: []Step{}, Faults: []string{}}, runner: runner, id: id, opt: opt, extra: map[string]string{}}
	if opt.Promotable {
		t.extra = map[string]string{"clone_max": "1", "clone_node_max": "1", "promoted_max": "1", "promoted_node_max": "1", "master_max": "1", "master_node_max": "1", "notify": "true"}
	}
	t.describe(ctx)
	if t.meta == nil {
		return t.Report
	}
	if !t.OK() && !opt.Only {
		t.skip("nothing was run: the metadata or the parameters are wrong")
		return t.Report
	}
	t.refuse(ctx)
	if opt.Only {
		t.skip("nothing was started: only metadata and validation were asked for")
		return t.Report
	}
	if t.rise(ctx) {
		t.role(ctx)
		t.again(ctx)
	}
	t.fall(ctx)
	t.cutShort(ctx)
	return t.Report
}

// describe reads the metadata, and judges them.
func (t *resource) describe(ctx context.Context) {
	began := time.Now()
	m, err := t.runner.Metadata(ctx, t.id)
	s := Step{What: "describe itself", Op: "meta-data", Took: time.Since(began)}
	if err != nil {
		s.RC, s.Fault = cib.GenericError, err.Error()
		t.Steps = append(t.Steps, s)
		t.fault("its metadata can't be read: %v", err)
		return
	}
	t.Steps = append(t.Steps, s)
	t.meta, t.Version = m, m.Version
	for _, op := range []string{cib.OpStart, cib.OpStop, cib.OpMonitor, "meta-data"} {
		if !m.HasAction(op) {
			t.fault("its metadata do not name the action %s, which every agent must have", op)
		}
	}
	if !m.HasAction("validate-all") {
		t.note("its metadata do not name the action validate-all")
	}
	if m.Name != t.id.Type {
		t.note("it calls itself %s in its metadata", m.Name)
	}
	judgeParameters(t.Report, m, t.opt.Params, t.opt.Only)
}

// judgeParameters compares metadata with themselves and with what is given.
func judgeParameters(r *Report, m *meta.Metadata, params map[string]string, incomplete bool) {
	own := map[string]string{}
	for _, p := range m.Parameters {
		if p.HasDefault && !p.Deprecated {
			own[p.Name] = p.Default
		}
		if p.Required && p.HasDefault && p.Default != "" && (m.Kind != meta.Fence || p.Name != "action") { // fence agents write that of action, which nobody configures
			r.note("parameter %s is required and has a default, %q", p.Name, p.Default)
		}
	}
	for _, f := range m.Validate(own) {
		if f.Kind != meta.Missing {
			r.fault("its own defaults do not fit its metadata: %v", f)
		}
	}
	for _, f := range m.Validate(params) {
		if incomplete && f.Kind == meta.Missing {
			continue
		}
		r.fault("the parameters given do not fit its metadata: %v", f)
	}
}

// refuse: it refuses what nobody knows, and parameters that are not there.
func (t *resource) refuse(ctx context.Context) {
	t.ask(ctx, "refuse an action that does not exist", "no-such-action", t.opt.Params, one(cib.Unimplemented), "an agent must answer an action that it does not have with 3 (not implemented)")
	var without []string
	params := map[string]string{}
	for _, p := range t.meta.Parameters {
		if v, given := t.opt.Params[p.Name]; given && !p.Required {
			params[p.Name] = v
		} else if p.Required && !p.Deprecated {
			without = append(without, p.Name)
		}
	}
	if len(without) > 0 && t.meta.HasAction("validate-all") {
		t.ask(ctx, "refuse to be without "+strings.Join(without, ", "), "validate-all", params, refused,
			"validate-all must refuse when a required parameter is missing; else the mistake is found at the first start")
	}
	if t.meta.HasAction("validate-all") && (!t.opt.Only || len(t.opt.Params) > 0) {
		t.ask(ctx, "accept its parameters", "validate-all", t.opt.Params, one(cib.OK), "validate-all refuses parameters with which it is to run")
	}
}

// rise: it is not running, can be stopped all the same, starts, and says that it runs.
func (t *resource) rise(ctx context.Context) bool {
	t.ask(ctx, "say that it does not run yet", cib.OpMonitor, t.opt.Params, one(cib.NotRunning), "a probe where nothing runs must answer 7 (not running): a cluster would believe that the service is active here")
	t.ask(ctx, "stop, while it does not run", cib.OpStop, t.opt.Params, one(cib.OK), "a stop of what does not run must succeed: else a cluster fences the node")
	if !t.ask(ctx, "start", cib.OpStart, t.opt.Params, one(cib.OK), "it does not start") {
		return false
	}
	t.started = t.Steps[len(t.Steps)-1].Took
	t.ask(ctx, "say that it runs", cib.OpMonitor, t.opt.Params, running, "a monitor right after a successful start must not fail: start has to wait until the service is up")
	t.recurring(ctx, "say so in a recurring monitor, too")
	return true
}

// role: it is promoted and demoted when it is told to, and not by itself.
func (t *resource) role(ctx context.Context) {
	can := t.meta.HasAction(cib.OpPromote) && t.meta.HasAction(cib.OpDemote)
	switch {
	case t.opt.Promotable && !can:
		t.fault("it has no actions promote and demote: it can't be promotable")
		return
	case !t.opt.Promotable && can:
		t.skip("promote and demote: they were not asked for")
		return
	case !can:
		return
	}
	p := t.opt.Params
	t.ask(ctx, "not be promoted by itself", cib.OpMonitor, p, one(cib.OK), "it says that it is promoted though nobody promoted it: there would be two")
	t.ask(ctx, "demote, while it is not promoted", cib.OpDemote, p, one(cib.OK), "a demote of what is not promoted must succeed")
	if t.ask(ctx, "promote", cib.OpPromote, p, one(cib.OK), "it can't be promoted") {
		t.ask(ctx, "say that it is promoted", cib.OpMonitor, p, one(cib.RunningPromoted), "a monitor of a promoted instance must answer 8 (running, promoted)")
		t.ask(ctx, "promote again", cib.OpPromote, p, one(cib.OK), "a second promote must succeed")
		t.ask(ctx, "demote", cib.OpDemote, p, one(cib.OK), "it can't be demoted")
		t.ask(ctx, "say that it is not promoted any more", cib.OpMonitor, p, one(cib.OK), "after a demote it must answer 0 (running)")
	}
}

// again: what is done twice changes nothing.
func (t *resource) again(ctx context.Context) {
	t.ask(ctx, "start again, while it runs", cib.OpStart, t.opt.Params, one(cib.OK), "a start of what runs must succeed and change nothing")
	t.ask(ctx, "still run after that", cib.OpMonitor, t.opt.Params, running, "the second start has ended it")
	for _, op := range []string{cib.OpReload, "reload"} {
		if t.meta.HasAction(op) {
			t.ask(ctx, op+", while it runs", op, t.opt.Params, one(cib.OK), "its metadata name "+op+", and it does not work")
			t.ask(ctx, "still run after the "+op, cib.OpMonitor, t.opt.Params, running, op+" has ended it")
		}
	}
	if t.meta.HasAction("validate-all") {
		t.ask(ctx, "accept its parameters, while it runs", "validate-all", t.opt.Params, one(cib.OK), "validate-all refuses while it runs")
	}
}

// fall: it stops, says so, can be stopped again, and leaves nothing behind.
func (t *resource) fall(ctx context.Context) {
	if !t.ask(ctx, "stop", cib.OpStop, t.opt.Params, one(cib.OK), "it can't be stopped: a cluster would fence the node") {
		return
	}
	t.ask(ctx, "say that it does not run any more", cib.OpMonitor, t.opt.Params, one(cib.NotRunning), "after a successful stop a probe must answer 7 (not running)")
	t.ask(ctx, "stop again", cib.OpStop, t.opt.Params, one(cib.OK), "a second stop must succeed")
	if left := leftOver(ctx); len(left) > 0 {
		t.fault("processes are left after the stop: %s", strings.Join(left, ", "))
	}
}

// cutShort: after a start that was killed half-way, a stop cleans up.
func (t *resource) cutShort(ctx context.Context) {
	began := time.Now()
	res := t.runner.Run(ctx, t.request(cib.OpStart, t.opt.Params, max(t.started/2, time.Millisecond)))
	s := Step{What: "be killed in the middle of a start", Op: cib.OpStart, RC: res.RC, Took: time.Since(began), Said: res.Reason}
	if res.Lingering {
		s.Fault = "a process of the start goes on after it was killed"
		t.fault("%s", s.Fault)
	}
	t.Steps = append(t.Steps, s)
	t.ask(ctx, "stop after that", cib.OpStop, t.opt.Params, one(cib.OK), "a stop after a start that was cut short must clean up: a cluster would fence the node")
	t.ask(ctx, "say that nothing runs", cib.OpMonitor, t.opt.Params, one(cib.NotRunning), "after a start that was cut short and a stop, a probe must answer 7 (not running)")
}

// judgement says whether a return code is right, and in words which are.
type judgement struct {
	right func(rc int) bool
	words string
}

func one(rc int) judgement {
	return judgement{func(got int) bool { return got == rc }, fmt.Sprintf("%d (%s)", rc, rcText(rc))}
}

var (
	running = judgement{func(rc int) bool { return slices.Contains([]int{cib.OK, cib.Degraded}, rc) }, "0 (ok)"}
	refused = judgement{func(rc int) bool { return rc >= cib.GenericError && rc <= cib.NotConfigured }, "an error, 1 to 6"}
)

func (t *resource) request(op string, params map[string]string, timeout time.Duration) agent.Request {
	return agent.Request{Agent: t.id, Instance: instance, Op: op, Params: params, Meta: t.extra, Timeout: timeout}
}

// timeout is what an operation may take.
func (t *resource) timeout(op string) time.Duration {
	if t.opt.Timeout > 0 {
		return t.opt.Timeout
	}
	if a, ok := t.meta.Action(op, "", 0); ok && a.Timeout > 0 {
		return a.Timeout
	}
	return graceTimeout
}

// ask has the agent do something, and judges the answer.
func (t *resource) ask(ctx context.Context, what, op string, params map[string]string, want judgement, otherwise string) bool {
	return t.judge(what, op, t.runner.Run(ctx, t.request(op, params, t.timeout(op))), want, otherwise)
}

// recurring asks as a recurring monitor does, which is no probe.
func (t *resource) recurring(ctx context.Context, what string) {
	q := t.request(cib.OpMonitor, t.opt.Params, t.timeout(cib.OpMonitor))
	q.Interval = 10 * time.Second
	t.judge(what, cib.OpMonitor, t.runner.Run(ctx, q), running, "a recurring monitor fails while it runs")
}

func (t *resource) judge(what, op string, res agent.Result, want judgement, otherwise string) bool {
	s := Step{What: what, Op: op, RC: res.RC, Took: res.Exec, Said: res.Reason}
	if s.Said == "" && !want.right(res.RC) {
		s.Said = lastLine(res.Output())
	}
	switch {
	case res.Status == cib.OpTimeout:
		s.Fault = fmt.Sprintf("%s did not end within %s, which its metadata advise", op, t.timeout(op))
	case res.Status != cib.OpDone:
		s.Fault = fmt.Sprintf("%s was not carried out: %s", op, res.Reason)
	case !want.right(res.RC):
		s.Fault = fmt.Sprintf("%s returned %d (%s), not %s: %s", op, res.RC, rcText(res.RC), want.words, otherwise)
	}
	if s.Fault != "" {
		text := s.Fault
		if res.Status == cib.OpDone {
			text = withReason(s)
		}
		t.fault("%s: %s", what, text)
	} else if res.Odd {
		t.note("%s: %s returned %d, which no agent should", what, op, res.RC)
	}
	t.Steps = append(t.Steps, s)
	return s.Fault == ""
}

// rcText names the return codes of the OCF Resource Agent API 1.1.
func rcText(rc int) string {
	names := []string{"ok", "error", "bad arguments", "not implemented", "insufficient rights", "not installed", "not configured", "not running", "running, promoted", "failed, promoted"}
	if rc >= 0 && rc < len(names) {
		return names[rc]
	}
	return "no code of the OCF"
}
