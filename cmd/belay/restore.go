package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/belay-ha/belay/engine/api"
)

// restore runs belayd, which knows how a backup is brought back. It says itself
// what it did, or what was wrong.
func (a *app) restore(ctx context.Context, file, stateDir, node string, addresses []string) error {
	if _, err := a.engine.Local(ctx); err == nil {
		p := api.NewProblem(api.CodeConflict, "the engine of this node runs")
		p.Remedy = "Stop it on all nodes first: systemctl stop belayd"
		return p
	}
	program, err := belayd()
	if err != nil {
		return failure{err}
	}
	args := []string{"restore", "--state-dir", stateDir}
	if node != "" {
		args = append(args, "--node", node)
	}
	if len(addresses) > 0 {
		args = append(args, "--address", strings.Join(addresses, ","))
	}
	cmd := exec.CommandContext(ctx, program, append(args, file)...)
	cmd.Stdout, cmd.Stderr = a.out, a.err
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			return errFailed
		}
		return failure{fmt.Errorf("run %s: %w", program, err)}
	}
	a.say("This node is the only one of the cluster now. Next: systemctl start belayd; on the other nodes, empty %s and join anew.", stateDir)
	return nil
}

// belayd finds the engine's program: beside this one, in the search path, or where
// the package puts it, which is not in the search path of every user.
func belayd() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "belayd")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	if p, err := exec.LookPath("belayd"); err == nil {
		return p, nil
	}
	const installed = "/usr/sbin/belayd"
	if _, err := os.Stat(installed); err != nil {
		return "", fmt.Errorf("the program belayd is not here: it is neither beside belay, nor in the search path, nor %s", installed)
	}
	return installed, nil
}
