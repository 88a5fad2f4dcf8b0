package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Only the version 2 hierarchy is used, and of it only what needs no controller: groups to hold
// processes, to freeze and to kill them. Unlike in version 1, a frozen process can be killed, so a
// hung host can be powered off.

// makeRunCgroup makes the control group of a run and notes its path in the run directory, for the
// program inside and for a later sweep. It returns "" where that is not allowed, which is usual
// without root; hosts are then hung with SIGSTOP.
func makeRunCgroup(path string) string {
	own, err := ownCgroup()
	if err != nil {
		return ""
	}
	cgroup := filepath.Join(own, filepath.Base(path))
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(cgroup, "cgroup.kill")); err != nil { // before Linux 5.14
		_ = os.Remove(cgroup)
		return ""
	}
	if err := os.WriteFile(filepath.Join(path, "cgroup"), []byte(cgroup), 0o600); err != nil {
		_ = os.Remove(cgroup)
		return ""
	}
	return cgroup
}

// ownCgroup is the directory of the version 2 control group of this process.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	var own string
	for line := range strings.Lines(string(groups)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = rest
		}
	}
	for line := range strings.Lines(string(mounts)) {
		// proc(5): id parent major:minor root mountpoint options... - type source superoptions
		mount, fstype, ok := strings.Cut(line, " - ")
		f := strings.Fields(mount)
		if ok && len(f) > 4 && strings.HasPrefix(fstype, "cgroup2 ") {
			if rel, err := filepath.Rel(f[3], own); err == nil && !strings.HasPrefix(rel, "..") {
				return filepath.Join(f[4], rel), nil
			}
		}
	}
	return "", errors.New("lab: no cgroup2 file system is mounted")
}

// openCgroup makes a control group and opens it, for processes to be started in.
func openCgroup(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("lab: make control group: %w", err)
	}
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("lab: open control group: %w", err)
	}
	return f, nil
}

// removeCgroup removes a control group and those below it. It fails while processes are in one.
func removeCgroup(path string) error {
	var dirs []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list control groups: %w", err)
	}
	for _, dir := range slices.Backward(dirs) { // parents come first in the walk
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove control group %s: %w", dir, err)
		}
	}
	return nil
}

// freezeCgroup stops all processes of a control group, or lets them go on, and waits until it is so.
func freezeCgroup(path string, frozen bool) error {
	value := "0"
	if frozen {
		value = "1"
	}
	if err := os.WriteFile(filepath.Join(path, "cgroup.freeze"), []byte(value), 0); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		events, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
		if err != nil {
			return fmt.Errorf("freeze: %w", err)
		}
		if bytes.Contains(events, []byte("frozen "+value)) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("freeze %s=%s: %w", path, value, os.ErrDeadlineExceeded)
		}
		time.Sleep(time.Millisecond)
	}
}
