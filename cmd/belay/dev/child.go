package dev

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is a process that a machine keeps running: belayd, and beside it the
// management daemon and its PAM helper.
type child struct {
	name    string // as it is reported
	args    func() []string
	log     string // file; "" for the machine's own output
	pid     int    // 0: it does not run
	started time.Time
	pause   time.Duration
}

// start starts the child. It must be called by the thread whose end is the child's.
func (c *child) start() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	defer null.Close() //nolint:errcheck // only read
	out := uintptr(1)
	if c.log != "" {
		f, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("start %s: %w", c.name, err)
		}
		defer f.Close() //nolint:errcheck // the child has its own
		out = f.Fd()
	}
	args := c.args()
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), out, out},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	c.pid, c.started = pid, time.Now()
	return nil
}

// ended notes the end of the child and says when to start it again.
func (c *child) ended() time.Duration {
	c.pid = 0
	if time.Since(c.started) >= restartGood {
		c.pause = restartMin
	}
	pause := c.pause
	c.pause = min(2*c.pause, restartMax)
	return pause
}

// children lists what runs on the machine.
func (m *machine) children() []*child {
	list := []*child{{name: "engine", args: m.args}}
	if m.mgmtd == "" {
		return list
	}
	run := filepath.Join(m.dir, "run")
	pam := filepath.Join(run, "pam.sock")
	users := filepath.Join(filepath.Dir(m.dir), dirUsers)
	return append(list,
		&child{name: "pam", log: filepath.Join(m.dir, "pam.log"), args: func() []string {
			return []string{m.pam, "--socket", pam, "--pam-dir", users, "--service", pamService, "--group-file", filepath.Join(users, fileGroup)}
		}},
		&child{name: "mgmtd", log: filepath.Join(m.dir, "belay-mgmtd.log"), args: func() []string {
			args := []string{
				m.mgmtd, "--socket", socketOf(m.dir), "--pam-socket", pam, "--state-dir", filepath.Join(m.dir, "mgmtd"), "--listen", m.rest, "--cim-listen", m.cim,
				"--log-level", m.logLevel, "--login-fail-time", "1s",
			}
			if m.cimHTTP != "" {
				args = append(args, "--cim-http", m.cimHTTP)
			}
			if m.snmp != "" {
				args = append(args, "--snmp-listen", m.snmp)
			}
			return args
		}})
}

// exited is the end of a child as the machine sees it.
func (m *machine) exited(c *child, ws unix.WaitStatus, again func(*child, time.Duration)) (reset bool) {
	pause := c.ended()
	if c.name == "engine" {
		m.tell("ended %s", exitText(ws))
		reset = ws.Exited() && ws.ExitStatus() == exitReset
	} else {
		m.tell("%s 0", c.name)
	}
	again(c, pause)
	return reset
}
