package trial

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/belay-ha/belay/engine/agent"
)

// Setup is what a scratch host has besides the files of the machine.
type Setup struct {
	// Before is a shell script that runs before the trial: what an agent needs, such
	// as a file system in a file.
	Before string
	// OCFRoot is where OCF agents are looked for first; "" for /usr/lib/ocf only.
	OCFRoot string
	// FenceDir is where fence agents are looked for first; "" for /usr/sbin only.
	FenceDir string
}

// Try tries out the agent of that name in the scratch host that this process is in:
// class:provider:type or class:type, or fence_NAME.
func Try(ctx context.Context, name string, opt Options, setup Setup) (*Report, error) {
	if setup.Before != "" {
		if out, err := exec.CommandContext(ctx, "sh", "-e", "-c", setup.Before).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("prepare the scratch host: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	cfg := agent.Config{StateDir: "/run/belay/agent", ShimDir: ShimDir, SystemdSocket: "/run/no-systemd"}
	if setup.OCFRoot != "" {
		cfg.OCFRoots = []string{setup.OCFRoot, "/usr/lib/ocf"}
	}
	if setup.FenceDir != "" {
		cfg.FenceDirs = []string{setup.FenceDir, "/usr/sbin"}
	}
	runner, err := agent.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("try %s: %w", name, err)
	}
	defer func() { _ = runner.Close() }()
	if strings.HasPrefix(name, "fence_") {
		return Fence(ctx, runner, name, opt), nil
	}
	id, err := agent.ParseID(name)
	if err != nil {
		return nil, fmt.Errorf("try %s: %w", name, err)
	}
	if id.Class != agent.ClassOCF {
		return nil, fmt.Errorf("try %s: agents of class %s need more than a scratch host has; ocf agents and fence agents can be tried", name, id.Class)
	}
	return Resource(ctx, runner, id, opt), nil
}
