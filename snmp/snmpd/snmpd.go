// Package snmpd runs a private agent of net-snmp, so that a cluster answers SNMP where
// nobody has set up the system's own: a configuration, a child process, and its AgentX
// socket.
//
// It answers SNMPv3 with authentication and encryption only; version 2c only when a
// community is given. Nothing can be written through it.
package snmpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/belay-ha/belay/snmp/usm"
)

// Config says what the agent answers to.
type Config struct {
	Dir       string // its own, made where it is missing; below it is the socket
	Listen    string // "udp:127.0.0.1:1161", "udp6:[::1]:1161"
	Users     []usm.User
	Community string // of version 2c, read-only; empty: that version is off
	EngineID  []byte // of this node (RFC 3411, SnmpEngineID); the users' keys are for it
	Program   string // default snmpd, from the usual places
	Log       *slog.Logger
}

// ErrProgram says that net-snmp's agent is not installed.
var ErrProgram = errors.New("the program snmpd was not found: install net-snmp (Debian: apt-get install snmpd)")

// Address is where a subagent finds the agent of a directory.
func Address(dir string) string { return "unix:" + filepath.Join(dir, "agentx") }

const (
	restartMin = 500 * time.Millisecond
	restartMax = 30 * time.Second
	stopMax    = 5 * time.Second
	dirMode    = 0o700
	fileMode   = 0o600
	// RFC 3411, SnmpEngineID.
	engineIDMin, engineIDMax = 5, 32
)

// Run runs the agent until ctx ends, and starts it again when it ends by itself.
func Run(ctx context.Context, cfg Config) error {
	program, err := find(cfg.Program)
	if err != nil {
		return err
	}
	text, err := cfg.text()
	if err != nil {
		return err
	}
	for _, d := range []string{cfg.Dir, filepath.Join(cfg.Dir, "state")} {
		if err := os.MkdirAll(d, dirMode); err != nil {
			return fmt.Errorf("directory of the SNMP agent: %w", err)
		}
	}
	file := filepath.Join(cfg.Dir, "snmpd.conf")
	if err := os.WriteFile(file, []byte(text), fileMode); err != nil {
		return fmt.Errorf("configuration of the SNMP agent: %w", err)
	}
	pause := restartMin
	for {
		began := time.Now()
		err := child(ctx, program, cfg.Dir, file)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		cfg.Log.Warn("the SNMP agent ended; it is started again", "listen", cfg.Listen, "err", err)
		if time.Since(began) > restartMax {
			pause = restartMin
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, restartMax)
	}
}

func find(program string) (string, error) {
	if program != "" {
		return program, nil
	}
	if p, err := exec.LookPath("snmpd"); err == nil {
		return p, nil
	}
	for _, p := range []string{"/usr/sbin/snmpd", "/usr/local/sbin/snmpd", "/sbin/snmpd"} {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", ErrProgram
}

// text is the agent's configuration, see snmpd.conf(5).
func (c *Config) text() (string, error) {
	kind, at, _ := strings.Cut(c.Listen, ":")
	host, port, err := net.SplitHostPort(at)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || kind != "udp" && kind != "udp6" || net.ParseIP(host) == nil {
		return "", fmt.Errorf("SNMP listen address %q: write udp:ADDRESS:PORT or udp6:[ADDRESS]:PORT", c.Listen)
	}
	if len(c.Users) == 0 && c.Community == "" {
		return "", errors.New("an SNMP agent without a user answers nobody: make one with belay snmp user")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "agentAddress %s\nmaster agentx\nagentXSocket %s\nagentXTimeout 5\n", c.Listen, Address(c.Dir))
	if n := len(c.EngineID); n < engineIDMin || n > engineIDMax {
		return "", fmt.Errorf("an SNMP engine has an identity of %d to %d octets, this has %d", engineIDMin, engineIDMax, n)
	}
	fmt.Fprintf(&b, "exactEngineID 0x%x\n", c.EngineID)
	for i := range c.Users {
		u := &c.Users[i]
		if err := u.Check(); err != nil {
			return "", err
		}
		auth, priv := u.Localize(c.EngineID)
		fmt.Fprintf(&b, "createUser %s %s -l 0x%x %s -l 0x%x\nrouser %s authpriv\n", u.Name, u.Auth, auth, u.Priv, priv, u.Name)
	}
	if c.Community != "" {
		if strings.ContainsFunc(c.Community, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == '#' }) {
			return "", errors.New("an SNMP community has printable ASCII characters, without space, quotation mark, # and backslash")
		}
		fmt.Fprintf(&b, "rocommunity %s\n", c.Community)
		if kind == "udp6" {
			fmt.Fprintf(&b, "rocommunity6 %s\n", c.Community)
		}
	}
	return b.String(), nil
}

func child(ctx context.Context, program, dir, file string) error {
	cmd := exec.CommandContext(ctx, program, "-f", "-Lf", filepath.Join(dir, "log"), "-C", "-c", file, "-I", "-smux", "-p", filepath.Join(dir, "pid"))
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SNMP_PERSISTENT_DIR=" + filepath.Join(dir, "state"), "MIBS=", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopMax
	_ = os.Truncate(filepath.Join(dir, "log"), 0) // bounded by the restarts
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w%s", err, lastLine(filepath.Join(dir, "log")))
	}
	return errors.New("it ended without an error")
}

// lastLine is what the agent said last.
func lastLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	const most = 200
	last := lines[len(lines)-1]
	if last == "" {
		return ""
	}
	return ": " + last[:min(len(last), most)]
}
