package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stage tells a process of this program which part it has in a scratch host, and
// arguments what its arguments are. They are not on its command line: some agents end
// what has the name of their configuration there.
const (
	stage     = "BELAY_SCRATCH_HOST"
	arguments = "BELAY_SCRATCH_ARGUMENTS"
)

// Inside reports whether this process is the one in a scratch host that is to do the
// work. A program that calls Run must look at this, and at Enter, as early as it can.
func Inside() bool { return os.Getenv(stage) == "work" }

// Run runs this very program again, with these arguments, in a new scratch host, and
// returns its exit status. It needs the rights of root.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("make a scratch host: this needs the rights of root")
	}
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Stdout, c.Stderr = stdout, stderr
	c.Env = append(os.Environ(), stage+"=init", arguments+"="+strings.Join(args, "\n"))
	c.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("run in a scratch host: %w", err)
	}
	return 0, nil
}

// Enter makes the host where this process is the first one in it, and waits for the
// one that does the work, and for all that is left behind by its parents: then it
// returns true, and the status with which the program is to end at once. In the one
// that does the work it sets the arguments. In any other process it does nothing.
func Enter() (rc int, done bool) {
	switch os.Getenv(stage) {
	case "init":
	case "work":
		os.Args = append(os.Args[:1], strings.Split(os.Getenv(arguments), "\n")...)
		return 0, false
	default:
		return 0, false
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "make a scratch host:", err)
		return 1, true
	}
	return reap(), true
}

// reap starts the work, and waits for whatever ends until that has.
func reap() int {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, stage+"=") })
	p, err := os.StartProcess( //nolint:gosec // this program
		"/proc/self/exe", os.Args[:1], &os.ProcAttr{Env: append(env, stage+"=work"), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}},
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start in a scratch host:", err)
		return 1
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 1
		case pid == p.Pid && status.Signaled():
			return 128 + int(status.Signal())
		case pid == p.Pid && status.Exited():
			return status.ExitStatus()
		}
	}
}

// written are the directories of the machine that may be written to in a scratch
// host; what is written goes with it.
var written = []string{"/etc", "/var", "/srv", "/home", "/root", "/opt"}

// empty are the directories that begin empty.
var empty = []string{"/run", "/tmp", "/mnt", "/media"}

// base is where the host keeps what is written.
const base = "/mnt"

func prepare() error {
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	mounted, err := mountPoints()
	if err != nil {
		return err
	}
	if err := mount("scratch", base, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, dir := range written {
		if err := overlay(dir); err != nil {
			return err
		}
	}
	var all []error
	for _, point := range mounted { // what is not covered is only read
		if changes := slices.ContainsFunc(append([]string{"/dev", "/proc", "/sys"}, slices.Concat(written, empty)...), func(d string) bool {
			return point == d || strings.HasPrefix(point, d+"/")
		}); !changes {
			all = append(all, mount("", point, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}
	}
	all = append(all, mount("proc", "/proc", "proc", 0, ""), mount("sysfs", "/sys", "sysfs", 0, ""))
	for _, dir := range slices.Backward(empty) { // the one with the overlays stays reachable through them
		all = append(all, mount("scratch", dir, "tmpfs", 0, "mode="+map[bool]string{true: "1777", false: "755"}[dir == "/tmp"]))
	}
	for _, dir := range []string{"/run/lock", "/run/resource-agents", "/run/belay/agent", "/var/lib/heartbeat"} {
		all = append(all, os.MkdirAll(dir, 0o755)) //nolint:gosec // agents run as other users, too
	}
	all = append(all, os.Chmod("/run/lock", fs.ModeSticky|0o777), unix.Sethostname([]byte("scratch")), cables(), shims(ShimDir))
	return errors.Join(all...)
}

// overlay lets a directory of the machine be written to.
func overlay(dir string) error {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // this machine has none
	case err != nil:
		return fmt.Errorf("directory to be written to: %w", err)
	case !st.IsDir():
		return nil
	}
	upper, work := filepath.Join(base, "upper"+dir), filepath.Join(base, "work"+dir)
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil { //nolint:gosec // as the directory below
		return fmt.Errorf("directories for %s: %w", dir, err)
	}
	return mount("overlay", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work)
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}

// mountPoints lists what is mounted (proc_pid_mountinfo(5)).
func mountPoints() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read what is mounted: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 {
			out = append(out, f[4])
		}
	}
	return out, nil
}

// Interface is a network interface of a scratch host, with the address Address. Its
// cable leads to another interface of the same host.
const (
	Interface = "trial0"
	Address   = "192.0.2.1"
)

// cables makes the network of the host.
func cables() error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", Interface, "type", "veth", "peer", "name", "trial1"},
		{"addr", "add", Address + "/24", "dev", Interface},
		{"link", "set", Interface, "up"},
		{"link", "set", "trial1", "up"},
	} {
		if out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// ShimDir is where the commands are in a scratch host with which agents reach a
// cluster: they take note of nothing, since there is none.
const ShimDir = "/run/belay/shim"

// shims writes these commands.
func shims(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // agents run as other users, too
		return fmt.Errorf("directory of the commands: %w", err)
	}
	scripts := map[string]string{
		"crm_node": "case \"$*\" in *-n*|*--name*) uname -n;; *-l*|*--list*|*-p*) echo \"1 $(uname -n) member\";; *-q*) echo 1;; esac\nexit 0\n",
	}
	for _, name := range []string{"crm_attribute", "crm_master", "attrd_updater", "crm_resource", "crm_mon", "crm_ticket", "crm_failcount", "crm_standby", "stonith_admin", "cibadmin"} {
		scripts[name] = "exit 0\n"
	}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil { //nolint:gosec // it is run
			return fmt.Errorf("command %s: %w", name, err)
		}
	}
	return nil
}

// leftWait is how long what was stopped may take to end.
const leftWait = 2 * time.Second

// leftOver names the processes of a scratch host beside its own that do not end.
func leftOver(ctx context.Context) []string {
	if !Inside() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leftWait)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		left := processes()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return left
		case <-again.C:
		}
	}
}

// processes names the processes of a scratch host beside its own.
func processes() []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(line) == 0 {
			continue // it is gone, or is of the kernel
		}
		out = append(out, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
	}
	return out
}
