package agent

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Operations beyond those that the cluster plans; see [cib.OpStart] and the rest.
const (
	opMetaData    = "meta-data"
	opValidateAll = "validate-all"
	opStatus      = "status"
)

// Request is one operation on one resource instance.
type Request struct {
	ActionID string // of the action in flight; stands in the record of the run
	Agent    ID
	Instance string // "web"; of a globally unique clone "web:0"
	Op       string // start, stop, monitor, ..., meta-data, validate-all
	// Params are the instance's parameters, in the clear. OCF_CHECK_LEVEL among
	// them is passed under that name.
	Params map[string]string
	// Meta are the CRM_meta_ values, keys without that prefix and with "-" or
	// "_": notify_type, clone_max, ... Name, timeout, interval and node are
	// added from the request.
	Meta     map[string]string
	Env      map[string]string // further variables, passed as they are
	Secret   []string          // parameters and variables to strike out of the output, besides those whose name says it
	Timeout  time.Duration     // 0 means cib.DefaultOpTimeout
	Interval time.Duration     // of a recurring monitor; a monitor without one is a probe
	Node     string            // the node's name for the agent; default Config.Node
	NodeID   string            // its id, for agents that ask; default the name
	NotAfter time.Time         // no start of the agent after this; zero: no limit
}

// Result is what came of a request.
type Result struct {
	Status cib.OpStatus // OpDone, OpTimeout, OpCancelled, OpNotInstalled, OpError or OpNotRun
	// RC is the agent's return code in the OCF's numbers, whatever the class.
	// Where the agent gave none it is cib.GenericError, or cib.NotInstalled.
	RC int
	// Odd: the code is none that the OCF defines for the operation.
	Odd    bool
	Reason string // the agent's ocf-exit-reason, or ours: why it was not run or was ended
	// Signal is the name of the signal that ended the agent, if one did.
	Signal string
	// Lingering: a process of the agent did not go even after SIGKILL.
	Lingering   bool
	Started     time.Time // zero if it was not started
	Ended       time.Time
	Exec        time.Duration // how long it ran
	Stdout      string        // the end of it, at most KeepBytes
	Stderr      string        // the end of it, at most KeepBytes
	OutputBytes int64         // all that was printed
	// PromotionScore is the score that a built-in promotable agent asks for;
	// nil means none. Other agents set theirs with crm_attribute.
	PromotionScore *int
}

// Output is standard error after standard output, without what is only there
// for the cluster.
func (r *Result) Output() string {
	var keep []string
	for line := range strings.Lines(r.Stdout + "\n" + r.Stderr) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, exitReasonPrefix) {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

// codes that each operation may end with (OCF Resource Agent API 1.1, "Exit
// Status Codes"). Every operation may end with the errors 1 to 6.
func odd(op string, rc int) bool {
	switch {
	case rc >= cib.OK && rc <= cib.NotConfigured:
		return false
	case op == cib.OpMonitor || op == opStatus:
		return rc > cib.FailedPromoted && rc != cib.Degraded && rc != cib.DegradedPromoted
	}
	// Many agents pass their monitor's answer through.
	return rc != cib.NotRunning && rc != cib.RunningPromoted && rc != cib.FailedPromoted
}

// Limits of a request. A single string of an environment may have 128 KiB
// (MAX_ARG_STRLEN of the kernel).
const (
	valueMaxBytes  = 120 << 10
	paramsMaxBytes = 1 << 20
)

var errBadRequest = errors.New("bad request")

func (q *Request) check() error {
	if err := q.Agent.check(); err != nil {
		return err
	}
	if q.Op == "" || strings.ContainsAny(q.Op, "/\x00 \n") {
		return fmt.Errorf("%w: operation %q", errBadRequest, q.Op)
	}
	if strings.ContainsAny(q.Instance, "/\x00\n") || strings.HasPrefix(q.Instance, ".") {
		return fmt.Errorf("%w: instance %q", errBadRequest, q.Instance)
	}
	total := 0
	for _, m := range []map[string]string{q.Params, q.Meta, q.Env} {
		for k, v := range m {
			if k == "" || strings.ContainsAny(k, "=\x00\n") {
				return fmt.Errorf("%w: parameter name %q", errBadRequest, k)
			}
			if strings.Contains(v, "\x00") {
				return fmt.Errorf("%w: the value of %s has a zero byte", errBadRequest, k)
			}
			if len(v) > valueMaxBytes {
				return fmt.Errorf("%w: the value of %s has %d bytes, %d are allowed", errBadRequest, k, len(v), valueMaxBytes)
			}
			total += len(k) + len(v)
		}
	}
	if total > paramsMaxBytes {
		return fmt.Errorf("%w: the parameters have %d bytes, %d are allowed", errBadRequest, total, paramsMaxBytes)
	}
	return nil
}
