package agent

import (
	"context"
	"os"
	"path/filepath"

	"github.com/belay-ha/belay/engine/cib"
)

func (r *Runner) runLSB(ctx context.Context, q Request) Result {
	path := filepath.Join(r.cfg.LSBDir, q.Agent.Type)
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return Result{Status: cib.OpNotInstalled, RC: cib.NotInstalled, Reason: "no init script " + path}
	}
	action := q.Op
	switch q.Op {
	case cib.OpStart, cib.OpStop:
	case cib.OpMonitor, opStatus:
		action = opStatus
	case "reload", cib.OpReload:
		action = "reload"
	case opMetaData:
		return Result{Status: cib.OpDone, RC: cib.OK, Stdout: string(synthetic(q.Agent).Marshal())}
	case opValidateAll:
		return Result{Status: cib.OpDone, RC: cib.OK}
	default:
		return Result{Status: cib.OpDone, RC: cib.Unimplemented, Reason: "init scripts know no " + q.Op}
	}
	out := r.run(ctx, command{
		path: path, args: []string{action}, env: r.baseEnv(), dir: "/",
		timeout: q.Timeout, notAfter: q.NotAfter, record: q.record(),
	})
	res := out.result(q.describe(), &q)
	if res.Status == cib.OpDone {
		res.RC = lsbCode(action, res.RC)
	}
	return res
}

// lsbCode translates the exit status of an init script (Linux Standard Base
// Core 5.0, section 22.2). Those of the actions are OCF's own; those of
// status differ.
func lsbCode(action string, rc int) int {
	if action != opStatus {
		return rc
	}
	switch rc {
	case 0:
		return cib.OK
	case 1, 2, 3: // dead with a PID file, dead with a lock file, not running
		return cib.NotRunning
	case 150: // as Pacemaker's LSB scripts say it
		return cib.NotInstalled
	case 151:
		return cib.Insufficient
	}
	return cib.GenericError
}
