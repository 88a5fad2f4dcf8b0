package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// systemdArgs become PID 1 of a systemd host. systemd sees from $container that it must leave
// hardware, devices and the clock alone.
var systemdArgs = []string{
	"/lib/systemd/systemd", "--unit=multi-user.target", "--log-target=journal", "--show-status=0",
}

// makeSystemdDisk hides which units this machine has enabled: a host starts only what every
// installation has, and what is enabled in it later.
func (h *Host) makeSystemdDisk() error {
	dir := filepath.Join(h.Disk(), "etc/systemd/system")
	if err := mkdir(dir); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	// An opaque directory is not merged with the one below it.
	if err := unix.Setxattr(dir, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("lab: hide units of the machine: %w", err)
	}
	for _, unit := range []string{
		"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
		"sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "proc-sys-fs-binfmt_misc.automount",
		"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-modules-load.service",
		"systemd-remount-fs.service", "systemd-sysctl.service", "getty.target", "console-getty.service",
		"openipmi.service", // an init script of a package that tests need; a host has no such hardware
	} {
		if err := os.Symlink("/dev/null", filepath.Join(dir, unit)); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("lab: mask %s: %w", unit, err)
		}
	}
	return nil
}

// WaitSystemd waits until systemd has finished booting, and fails when a unit failed.
func (h *Host) WaitSystemd(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// Its exit code says no more than the word, and there is no answer before D-Bus is up.
		out, _ := h.Command(ctx, "systemctl", "is-system-running").CombinedOutput()
		switch state := strings.TrimSpace(string(out)); state {
		case "running":
			return nil
		case "degraded":
			failed, _ := h.Command(ctx, "systemctl", "--failed", "--no-pager").CombinedOutput()
			return fmt.Errorf("lab: %s: units failed at boot: %s", h.name, failed)
		default:
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("lab: %s: systemd is %q: %w", h.name, state, ctx.Err())
			}
		}
	}
}
