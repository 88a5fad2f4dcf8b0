package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// FenceAgent is where InstallFenceAgent puts the agent for the lab's power switches.
const FenceAgent = "/usr/sbin/fence_lab"

var building sync.Mutex

// Build builds a program of this module for use in hosts and returns its path on the machine. The
// working directory must be in the module, as it is in a test.
func (l *Lab) Build(ctx context.Context, pkg string) (string, error) {
	building.Lock() // labs share the result, and the go command is quick when it is up to date
	defer building.Unlock()
	out := filepath.Join(run.path, "bin", filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("lab: build %s: %w: %s", pkg, err, b)
	}
	return out, nil
}

// InstallFenceAgent builds the fence agent fence_lab and installs it in all hosts.
func (l *Lab) InstallFenceAgent(ctx context.Context) error {
	program, err := l.Build(ctx, "github.com/belay-ha/belay/test/lab/cmd/fence_lab")
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, h.CopyFile(program, FenceAgent, 0o755))
	}
	return errors.Join(errs...)
}
