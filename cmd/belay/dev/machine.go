package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// exitReset is how belayd ends when it fences itself, and so the machine: it boots
// again by itself.
const exitReset = 86

const (
	restartMin  = 100 * time.Millisecond // as RestartSec of belayd.service
	restartMax  = 5 * time.Second
	restartGood = 2 * time.Second  // belayd that ran so long is restarted after restartMin
	killMax     = 10 * time.Second // for the end of all processes of a machine
	reportFile  = 3                // where a machine tells the supervisor about belayd
)

// machine is one boot of a node.
type machine struct {
	name     string
	dir      string
	belayd   string
	mgmtd    string // program of the management daemon; "": none runs
	pam      string // program of its PAM helper
	rest     string // where it listens
	cim      string // where it answers CIM
	cimHTTP  string // without TLS; "": nowhere
	snmp     string // where its SNMP agent answers; "": nowhere
	logLevel string
	bootID   string
	report   *os.File
}

// machineCommand is one boot of a node, started by the supervisor only.
func machineCommand() *cobra.Command {
	m := &machine{}
	c := &cobra.Command{
		Use: "machine", Short: "One node of belay dev", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			status, err := m.run()
			if err == nil && status != 0 {
				os.Exit(status) // the supervisor reads it
			}
			return err
		},
	}
	c.Flags().StringVar(&m.name, "name", "", "`name` of the node")
	c.Flags().StringVar(&m.dir, "dir", "", "`directory` of the node")
	c.Flags().StringVar(&m.belayd, "belayd", "", "`program` of the engine")
	c.Flags().StringVar(&m.mgmtd, "mgmtd", "", "`program` of the management daemon")
	c.Flags().StringVar(&m.pam, "pam", "", "`program` of its PAM helper")
	c.Flags().StringVar(&m.snmp, "snmp", "", "`address` of the SNMP agent")
	c.Flags().StringVar(&m.cim, "cim", "", "`address` of CIM")
	c.Flags().StringVar(&m.cimHTTP, "cim-http", "", "`address` of CIM without TLS")
	c.Flags().StringVar(&m.rest, "rest", "", "`address` of the management daemon")
	c.Flags().StringVar(&m.logLevel, "log-level", "info", "`level` of the engine's log")
	return c
}

// run is the life of a machine: belayd runs, and is started again when it ends, until
// SIGTERM, or the end of the supervisor, which is the end of the standard input.
func (m *machine) run() (int, error) {
	// The kernel kills belayd when the thread that started it ends.
	runtime.LockOSThread()
	unix.CloseOnExec(reportFile)
	m.report = os.NewFile(reportFile, "report")
	if err := m.boot(); err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	parent := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(parent)
	}()
	list := m.children()
	start := make(chan *child, len(list))
	again := func(c *child, pause time.Duration) { time.AfterFunc(pause, func() { start <- c }) }
	for _, c := range list {
		c.pause = restartMin
		start <- c
	}
	for {
		select {
		case <-signals:
			return 0, m.end()
		case <-parent:
			return 0, m.end()
		case c := <-start:
			if err := c.start(); err != nil {
				return 1, errors.Join(err, m.end())
			}
			m.tell("%s %d", c.name, c.pid)
		case <-children:
			reset := false
			reap(func(pid int, ws unix.WaitStatus) {
				for _, c := range list {
					if pid == c.pid {
						reset = m.exited(c, ws, again) || reset
					}
				}
			})
			if reset {
				return exitReset, m.end()
			}
		}
	}
}

// boot makes the directories. What lies below run does not survive it.
func (m *machine) boot() error {
	if err := subreaper(); err != nil {
		return err
	}
	run := filepath.Join(m.dir, "run")
	if err := os.RemoveAll(run); err != nil {
		return fmt.Errorf("boot %s: %w", m.name, err)
	}
	for _, d := range []string{run, filepath.Join(m.dir, "state")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("boot %s: %w", m.name, err)
		}
	}
	m.bootID = newBootID()
	return nil
}

// newBootID draws an id as the kernel does, a UUID of version 4 (RFC 9562).
func newBootID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// args are the arguments of belayd.
func (m *machine) args() []string {
	run := filepath.Join(m.dir, "run")
	args := []string{
		m.belayd, "--state-dir", filepath.Join(m.dir, "state"), "--run-dir", run, "--socket", socketOf(m.dir),
		"--boot-id", m.bootID, "--log-level", m.logLevel,
	}
	if m.logLevel == "debug" {
		args = append(args, "--store-log-level", "info")
	}
	return args
}

// socketOf is the engine's socket of the node with that directory.
func socketOf(dir string) string { return filepath.Join(dir, "run", "belayd.sock") }

// tell reports to the supervisor. Without one nobody needs to know.
func (m *machine) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(m.report, format+"\n", args...)
}

// end ends everything that was started on the machine.
func (m *machine) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	err := killAll(ctx, func() ([]proc, error) { return below(os.Getpid()) })
	if err != nil {
		return fmt.Errorf("power off %s: %w", m.name, err)
	}
	return nil
}
