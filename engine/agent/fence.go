package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// FenceAction is what a fence agent is asked to do.
type FenceAction string

// The actions of fence agents. FenceMetadata is for Runner.FenceMetadata.
const (
	FenceOn       FenceAction = "on"
	FenceOff      FenceAction = "off"
	FenceReboot   FenceAction = "reboot"
	FenceStatus   FenceAction = "status"
	FenceMonitor  FenceAction = "monitor"
	FenceList     FenceAction = "list"
	FenceValidate FenceAction = "validate-all"
	fenceMetadata FenceAction = "metadata"
)

// FenceRequest is one call of a fence device.
type FenceRequest struct {
	ActionID string
	Device   string // the device's id, for the record and for reasons
	Agent    string // "fence_ipmilan", "belay:dev"
	Action   FenceAction
	Params   map[string]string // in the clear; they go through standard input
	Secret   []string          // parameters to strike out of the output, besides those whose name says it
	Target   string            // the node that is meant; empty for monitor and list
	Plug     string            // what the device calls the node; default Target
	Timeout  time.Duration     // 0 means 60s
	NotAfter time.Time         // the agent is not started after this; zero: no limit
}

// Power is what a fence device says about a machine.
type Power uint8

// The power states.
const (
	PowerUnknown Power = iota // the device did not say
	PowerOn
	PowerOff
)

// String gives "on", "off" or "unknown".
func (p Power) String() string {
	switch p {
	case PowerOn:
		return "on"
	case PowerOff:
		return "off"
	case PowerUnknown:
	}
	return "unknown"
}

// Plug is one outlet, machine or blade that a device lists.
type Plug struct {
	Name  string // as the device wants it for Plug
	Alias string // often the machine's name
}

// FenceResult is what came of a call.
type FenceResult struct {
	Status cib.OpStatus // as in Result
	OK     bool         // the agent says that it did what it was asked; for status: that it could tell
	RC     int          // the agent's own exit status
	Power  Power        // for status
	Plugs  []Plug       // for list
	Reason string       // why it is not OK
	// The rest is as in Result.
	Lingering   bool
	Started     time.Time
	Ended       time.Time
	Exec        time.Duration
	Stdout      string
	Stderr      string
	OutputBytes int64
}

// Exit statuses of fence agents (FenceAgentAPI.md of the fence-agents project):
// 0 is success; for status and monitor 2 says that the machine is off.
const (
	fenceRCOn  = 0
	fenceRCOff = 2
)

const (
	defaultFenceTimeout = 60 * time.Second
	stdinMaxBytes       = 64 << 10
	plugsMax            = 10_000
	listMaxBytes        = 1 << 20
)

// DevAgent is the built-in fence agent of "belay dev": it asks a server on a
// unix socket.
const DevAgent = "belay:dev"

// fencePattern keeps agents' names inside their directory.
var fencePattern = regexp.MustCompile(`^fence_[A-Za-z0-9_.-]{1,100}$`)

// RunFence carries out one call and returns when it is over. Like Run it never
// fails as a call.
func (r *Runner) RunFence(ctx context.Context, q FenceRequest) FenceResult {
	if q.Timeout <= 0 {
		q.Timeout = defaultFenceTimeout
	}
	def(&q.Device, q.Agent)
	def(&q.Plug, q.Target)
	if err := q.check(); err != nil {
		return FenceResult{Status: cib.OpError, RC: -1, Reason: err.Error()}
	}
	if q.Agent == DevAgent {
		return r.runDevFence(ctx, q)
	}
	m, err := r.FenceMetadata(ctx, q.Agent)
	if err != nil {
		status := cib.OpError
		if errors.Is(err, ErrNotInstalled) {
			status = cib.OpNotInstalled
		}
		return FenceResult{Status: status, RC: -1, Reason: err.Error()}
	}
	input, err := q.input(m)
	if err != nil {
		return FenceResult{Status: cib.OpError, RC: -1, Reason: err.Error()}
	}
	return r.runFenceAgent(ctx, q, input)
}

// check refuses what cannot be written as lines of name=value.
func (q *FenceRequest) check() error {
	if q.Agent != DevAgent && !fencePattern.MatchString(q.Agent) {
		return fmt.Errorf("%w: %q is no name of a fence agent", errBadRequest, q.Agent)
	}
	if strings.ContainsAny(string(q.Action), "\x00\r\n=") || q.Action == "" {
		return fmt.Errorf("%w: fence action %q", errBadRequest, q.Action)
	}
	if strings.ContainsAny(q.Plug+q.Target, "\x00\r\n") {
		return fmt.Errorf("%w: target %q", errBadRequest, q.Target)
	}
	for _, k := range slices.Sorted(maps.Keys(q.Params)) {
		if k == "" || strings.ContainsAny(k, "\x00\r\n= ") {
			return fmt.Errorf("%w: parameter name %q", errBadRequest, k)
		}
		// A second line would be a second parameter.
		if strings.ContainsAny(q.Params[k], "\x00\r\n") {
			return fmt.Errorf("%w: the value of %s has more than one line", errBadRequest, k)
		}
	}
	return nil
}

// input is what the agent reads.
func (q *FenceRequest) input(m *meta.Metadata) ([]byte, error) {
	var b bytes.Buffer
	line := func(name, value string) { b.WriteString(name + "=" + value + "\n") }
	line("action", string(q.Action))
	for _, k := range slices.Sorted(maps.Keys(q.Params)) {
		if k != "action" && k != "option" && !strings.HasPrefix(k, "pcmk_") {
			line(k, q.Params[k])
		}
	}
	if name := plugParameter(m, q.Params); name != "" && q.Plug != "" {
		line(name, q.Plug)
	}
	if q.Target != "" {
		// As Pacemaker gives it: agents that fence by the cluster's own names
		// (fence_scsi, fence_sbd) need it; others ignore it.
		line("nodename", q.Target)
	}
	if b.Len() > stdinMaxBytes {
		return nil, fmt.Errorf("%w: the parameters have %d bytes, %d are allowed", errBadRequest, b.Len(), stdinMaxBytes)
	}
	return b.Bytes(), nil
}

// plugParameter is the parameter that has to carry the plug, or "" if the
// device's own configuration fixes it.
func plugParameter(m *meta.Metadata, params map[string]string) string {
	name := m.PlugParameter()
	p, _ := m.Parameter(name)
	for _, n := range append([]string{name}, append(p.Obsoletes, p.ReplacedBy...)...) {
		if _, fixed := params[n]; fixed {
			return ""
		}
	}
	if name == "nodename" {
		return "" // written anyway
	}
	return name
}

func (r *Runner) fencePath(name string) (string, error) {
	for _, dir := range r.cfg.FenceDirs {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("fence agent %s: %w: none in %s", name, ErrNotInstalled, strings.Join(r.cfg.FenceDirs, ", "))
}

func (r *Runner) runFenceAgent(ctx context.Context, q FenceRequest, input []byte) FenceResult {
	path, err := r.fencePath(q.Agent)
	if err != nil {
		return FenceResult{Status: cib.OpNotInstalled, RC: -1, Reason: err.Error()}
	}
	c := command{
		path: path, env: []string{"PATH=" + searchPath}, dir: "/", stdin: input, timeout: q.Timeout, notAfter: q.NotAfter,
		record: record{ActionID: q.ActionID, Instance: q.Device, Agent: q.Agent, Op: string(q.Action)},
	}
	if q.Action == FenceList || q.Action == fenceMetadata {
		c.wholeStdout = listMaxBytes + 1
	}
	out := r.run(ctx, c)
	what := &Request{Params: q.Params, Secret: q.Secret, Timeout: q.Timeout}
	base := out.result(q.describe(), what)
	res := FenceResult{
		Status: base.Status, RC: out.code, Reason: base.Reason, Lingering: base.Lingering,
		Started: base.Started, Ended: base.Ended, Exec: base.Exec,
		Stdout: base.Stdout, Stderr: base.Stderr, OutputBytes: base.OutputBytes,
	}
	if base.Status == cib.OpDone {
		res.read(q)
	}
	return res
}

// describe says what runs, for reasons: "off of n2 with pdu (fence_apc)".
func (q *FenceRequest) describe() string {
	s := string(q.Action)
	if q.Target != "" {
		s += " of " + q.Target
	}
	s += " with " + q.Device
	if q.Device != q.Agent {
		s += " (" + q.Agent + ")"
	}
	return s
}

// read says what the exit status of an agent that ended by itself means.
func (res *FenceResult) read(q FenceRequest) {
	res.OK = res.RC == 0
	switch {
	case q.Action == FenceStatus && res.RC == fenceRCOn:
		res.Power = PowerOn
	case q.Action == FenceStatus && res.RC == fenceRCOff && res.saysOff():
		res.Power, res.OK = PowerOff, true
	case q.Action == FenceList && res.OK:
		res.Plugs = parsePlugs(res.Stdout)
		res.Stdout = lastBytes(res.Stdout, KeepBytes)
	}
	if !res.OK {
		res.Reason = fmt.Sprintf("%s: the agent exited with status %d: %s", q.describe(), res.RC,
			cmp.Or(lastLine(res.Stderr), lastLine(res.Stdout), "it printed nothing"))
	}
}

// saysOff guards against a 2 that means something else. "Off" becomes the proof
// that a machine is dead, but interpreters exit with 2 as well when they cannot
// read a script, and option parsers when they do not like an option. Those
// complain on standard error; an agent that means it says so, or says nothing.
func (res *FenceResult) saysOff() bool {
	return strings.Contains(strings.ToLower(res.Stdout), "off") || res.Stdout == "" && res.Stderr == ""
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

// parsePlugs reads the answer to list: lines of "plug,alias", where agents
// differ in what they put between.
func parsePlugs(s string) []Plug {
	var plugs []Plug
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" || len(plugs) == plugsMax {
			continue
		}
		name, alias, _ := strings.Cut(line, ",")
		alias, _, _ = strings.Cut(alias, ",") // list-status adds the state
		plugs = append(plugs, Plug{Name: strings.TrimSpace(name), Alias: strings.TrimSpace(alias)})
	}
	return plugs
}

// FenceMetadata asks a fence agent about itself. Answers are kept until the
// agent's file changes; do not change them.
func (r *Runner) FenceMetadata(ctx context.Context, name string) (*meta.Metadata, error) {
	if name == DevAgent {
		return devMetadata(), nil
	}
	if !fencePattern.MatchString(name) {
		return nil, fmt.Errorf("%w: %q is no name of a fence agent", errBadRequest, name)
	}
	path, err := r.fencePath(name)
	if err != nil {
		return nil, err
	}
	return r.metadata.get(path, func() (*meta.Metadata, error) {
		q := FenceRequest{Agent: name, Device: name, Action: fenceMetadata, Timeout: metadataTimeout}
		res := r.runFenceAgent(ctx, q, []byte("action=metadata\n"))
		if !res.OK {
			return nil, fmt.Errorf("metadata of %s: %s", name, res.Reason)
		}
		m, err := meta.Parse(meta.Fence, []byte(res.Stdout))
		if err != nil {
			return nil, fmt.Errorf("metadata of %s: %w", name, err)
		}
		return m, nil
	})
}

// ListFence names the fence agents that are installed, sorted.
func (r *Runner) ListFence() []string {
	list := []string{DevAgent}
	for _, dir := range r.cfg.FenceDirs {
		files, _ := filepath.Glob(filepath.Join(dir, "fence_*"))
		for _, f := range files {
			if fencePattern.MatchString(filepath.Base(f)) && executable(f) {
				list = append(list, filepath.Base(f))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
