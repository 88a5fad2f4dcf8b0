package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The names (argv[0]) under which the lab starts the running program again.
const (
	roleJanitor = "belay-lab-janitor"
	roleInit    = "belay-lab-init"
)

// envRun tells the program inside the namespaces which run directory is its own.
const envRun = "BELAY_LAB_RUN"

// run is what Enter found or made; nil before Enter.
var run *runDir

// runDir is the directory of one run of a program that uses the lab, and the control group with it.
type runDir struct {
	path   string
	cgroup string // empty where control groups cannot be used
}

// init turns a program that was started again by the lab into the part it was started for. It is an
// init function because it must win over main, TestMain and flag parsing of every user.
func init() {
	switch filepath.Base(os.Args[0]) {
	case roleJanitor:
		janitor()
	case roleInit:
		hostInit()
	}
}

// Main is for TestMain: it checks that the machine has the tools, enters the lab's namespaces, and
// runs the tests. The result is for os.Exit.
func Main(m *testing.M) int {
	if err := CheckTools(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// CheckTools says which of the programs that the lab runs are missing on this machine.
func CheckTools() error {
	var missing []string
	for _, tool := range []string{"ip", "nft", "mount", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("lab: %s not found; run: make setup", strings.Join(missing, ", "))
	}
	return nil
}

// Enter runs the program again as PID 1 of new pid and mount namespaces (and, without root, of a user
// namespace), waits for it, cleans up and exits with its exit code. In the program inside it returns
// nil. It returns an error only where the namespaces cannot be made.
func Enter() error {
	if path := os.Getenv(envRun); path != "" {
		return enterInner(path)
	}
	code, err := enterOuter()
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

// enterInner makes the namespaces usable: nothing mounted here is seen outside, and /proc shows the
// processes of this pid namespace.
func enterInner(path string) error {
	if err := os.Unsetenv(envRun); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	unix.CloseOnExec(3) // the lock on the run directory, held until this process ends
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("lab: make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("lab: mount /proc: %w", err)
	}
	r := &runDir{path: path}
	if b, err := os.ReadFile(filepath.Join(path, "cgroup")); err == nil {
		r.cgroup = string(b)
	}
	run = r
	return nil
}

func enterOuter() (int, error) {
	base := baseDir()
	sweep(base)
	path, err := os.MkdirTemp(base, runPattern())
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	lock, err := lockDir(path)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	cgroup := makeRunCgroup(path)

	// The write end of this pipe is open in this process only: when it closes, this process is gone.
	gone, alive, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	cleaner := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{roleJanitor, path, cgroup}, Dir: "/",
		ExtraFiles:  []*os.File{gone},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // out of reach of Ctrl-C
	}
	if err := cleaner.Start(); err != nil {
		return 0, fmt.Errorf("lab: start janitor: %w", err)
	}
	code, err := runInner(path, cgroup, lock)
	// The janitor waits for the lock: it must not be held here.
	lock.Close()
	alive.Close() // closing is the message
	if werr := cleaner.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("lab: clean up %s: %w", path, werr)
	}
	return code, err
}

// runInner starts the program inside and waits for it, passing signals on.
func runInner(path, cgroup string, lock *os.File) (int, error) {
	// The kernel kills the child when the *thread* that made it ends, so this one must not.
	runtime.LockOSThread()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: os.Args, Env: append(os.Environ(), envRun+"="+path),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles: []*os.File{lock},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS,
			Pdeathsig:  syscall.SIGKILL,
		},
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if cgroup != "" {
		// In the run's own control group, so that the janitor reaches it with everything else.
		dir, err := openCgroup(filepath.Join(cgroup, "lab"))
		if err != nil {
			return 0, err
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("lab: cannot make namespaces: %w. Run as root, or allow unprivileged user namespaces"+
			" (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = cmd.Process.Signal(sig) // it may just have ended
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, fmt.Errorf("lab: %w", err)
			}
			status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return status.ExitStatus(), nil
		}
	}
}

// runPattern is how run directories are named: by user, so that a user sweeps only their own.
func runPattern() string { return fmt.Sprintf("belay-lab-%d-*", os.Getuid()) }

// baseDir is where runs have their directories. It must be on a file system that an overlay can
// write to, which another overlay (a container's root) is not.
func baseDir() string {
	if dir := os.Getenv("BELAY_LAB_DIR"); dir != "" {
		return dir
	}
	dir := os.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		dir = "/dev/shm"
	}
	return dir
}
