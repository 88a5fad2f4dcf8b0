package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hostPath is the search path in hosts.
const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// outputWait is how long output is waited for after a command has ended: a daemon that it left
// behind may keep the pipe open for ever.
const outputWait = 250 * time.Millisecond

// Cmd is a command in a host (or in the switch), used like an exec.Cmd. Unlike that one it is waited
// for in any case: a host is off only when all its processes have been waited for.
type Cmd struct {
	Args           []string
	Env            []string // added to a minimal environment
	Dir            string   // default /
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	ctx  context.Context
	host *Host
	ns   netns
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Command prepares a command in the host. The end of ctx kills it with all of its process group. It
// fails with ErrOff or ErrHung where the host cannot run it.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Args: append([]string{name}, args...), ctx: ctx, host: h}
}

// Command prepares a command on the machine whose network is the switch: it has the lab's own
// addresses.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Args: append([]string{name}, args...), ctx: ctx, ns: l.sw}
}

// Start starts the command.
func (c *Cmd) Start() error {
	if c.cmd != nil {
		return errors.New("lab: the command was started before")
	}
	if c.host == nil {
		path, err := exec.LookPath(c.Args[0])
		if err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		return c.start(path, func(start func() error) error { return c.ns.do(start) })
	}
	c.host.mu.RLock()
	defer c.host.mu.RUnlock()
	switch c.host.Power() {
	case Off:
		return c.host.errOff()
	case Hung:
		return fmt.Errorf("lab: %s: %w", c.host.name, ErrHung)
	case On:
	}
	b := c.host.boot
	path, err := lookHost(b.root(), c.Args[0])
	if err != nil {
		return fmt.Errorf("lab: %s: %w", c.host.name, err)
	}
	return c.start(path, b.enter)
}

func (c *Cmd) start(path string, in func(func() error) error) error {
	ctx := c.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	cmd := exec.CommandContext(ctx, path, c.Args[1:]...)
	cmd.Args[0] = c.Args[0]
	cmd.Env = append([]string{"PATH=" + hostPath, "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"}, c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = outputWait
	if c.host != nil && c.host.ExecCgroup() != "" {
		// Not the group of init itself: systemd may have made it one that holds only groups.
		group, err := openCgroup(c.host.ExecCgroup())
		if err != nil {
			return err
		}
		defer group.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	if err := in(cmd.Start); err != nil {
		return fmt.Errorf("lab: start %s: %w", c.Args[0], err)
	}
	c.cmd, c.done = cmd, make(chan struct{})
	go func() {
		defer close(c.done)
		c.err = cmd.Wait()
		if errors.Is(c.err, exec.ErrWaitDelay) {
			c.err = nil // it ended well; what it left behind keeps the pipe
		}
	}()
	return nil
}

// enter runs fn on a thread inside the host. A process started there is in the host, although it is
// a child of this program.
func (b *boot) enter(fn func() error) error {
	return onThread(func() error {
		// A thread shares its root directory with the others until told otherwise, and one that
		// shares cannot enter a mount namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("enter host: %w", err)
		}
		spaces := unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
		if b.cgroupNS {
			spaces |= unix.CLONE_NEWCGROUP
		}
		if err := unix.Setns(b.pidfd, spaces); err != nil {
			return fmt.Errorf("enter host: %w", err)
		}
		if err := dropCapabilities(); err != nil {
			return err
		}
		return fn()
	})
}

// dropCapabilities takes away, from programs that this thread starts, what would change the machine
// and not the host: the clock and the modules.
func dropCapabilities() error {
	for _, c := range []uintptr{unix.CAP_SYS_TIME, unix.CAP_SYS_MODULE} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability: %w", err)
		}
	}
	return nil
}

// lookHost finds a program in the search path of a host. It does not follow links: their targets are
// the host's, and execution will tell.
func lookHost(root, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(hostPath, ":") {
		if _, err := os.Lstat(filepath.Join(root, dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// Wait waits for the end of the command. It may be called more than once.
func (c *Cmd) Wait() error {
	if c.cmd == nil {
		return errors.New("lab: the command was not started")
	}
	<-c.done
	return c.err
}

// Done is closed when the command has ended.
func (c *Cmd) Done() <-chan struct{} { return c.done }

// Run starts the command and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// CombinedOutput runs the command and returns its output and errors.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// Output runs the command and returns its output.
func (c *Cmd) Output() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout = &b
	err := c.Run()
	return b.Bytes(), err
}

// Pid is the process id in the namespace of this program.
func (c *Cmd) Pid() int { return c.cmd.Process.Pid }

// Signal sends a signal to the process of the command.
func (c *Cmd) Signal(sig syscall.Signal) error { return c.cmd.Process.Signal(sig) }

// SignalGroup sends a signal to the command and everything that it started and that has not left its
// process group.
func (c *Cmd) SignalGroup(sig syscall.Signal) error { return unix.Kill(-c.Pid(), sig) }

// ExitCode is the exit code in the error of a command: 0 for nil, -1 when it did not exit by itself.
func ExitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// Exec runs a command in the host and returns its output and errors together. The error has both the
// command and the output.
func (h *Host) Exec(ctx context.Context, name string, args ...string) (string, error) {
	out, err := h.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s %s: %w: %s", h.name, name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Service is a command that runs in the background of a host until it ends, is stopped, or the host
// loses power.
type Service struct {
	*Cmd
	log string
}

// Log is the file of the machine with the output of the service, of this start and earlier ones.
func (s *Service) Log() string { return s.log }

// Kill ends the process of the service with SIGKILL, and waits. What it started lives on.
func (s *Service) Kill() {
	_ = s.Signal(unix.SIGKILL) // it may have ended
	<-s.Done()
}

// KillGroup ends the service and everything in its process group with SIGKILL, and waits.
func (s *Service) KillGroup() {
	_ = s.SignalGroup(unix.SIGKILL) // it may have ended
	<-s.Done()
}

// Start starts a background service. Its output goes to a file named after it.
func (h *Host) Start(name string, args ...string) (*Service, error) {
	return h.StartCommand(filepath.Base(name), h.Command(context.Background(), name, args...))
}

// StartCommand starts a prepared command as a background service with the given name.
func (h *Host) StartCommand(name string, c *Cmd) (*Service, error) {
	s := &Service{Cmd: c, log: h.logPath(name)}
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	defer f.Close()
	c.Stdout, c.Stderr = f, f
	if err := c.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// logPath is the file for the output of a service of the host.
func (h *Host) logPath(service string) string {
	return filepath.Join(h.lab.dir, "log", h.name+"-"+service)
}
