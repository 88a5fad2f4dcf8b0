package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process names one process beyond doubt: a number alone is used again after
// its process is gone.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: field 22 of /proc/PID/stat, see proc(5)
	Boot  string `json:"boot"`  // /proc/sys/kernel/random/boot_id
}

// procStat is the part of /proc/PID/stat that is needed.
type procStat struct {
	state   byte // Z and X are dead
	ppid    int
	pgid    int
	session int
	start   uint64
}

func (s procStat) dead() bool { return s.state == 'Z' || s.state == 'X' }

// readStat reads /proc/PID/stat; os.ErrNotExist if there is no such process.
func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = os.ErrNotExist
		}
		return procStat{}, err
	}
	return parseStat(raw)
}

// parseStat reads the fields after the command's name, which stands in
// parentheses and may hold any byte, parentheses too.
func parseStat(raw []byte) (procStat, error) {
	i := bytes.LastIndexByte(raw, ')')
	if i < 0 {
		return procStat{}, fmt.Errorf("stat of a process: no name in %q", raw)
	}
	f := strings.Fields(string(raw[i+1:]))
	const startField = 22 - 3 // the third field is the first after the name
	if len(f) <= startField || len(f[0]) != 1 {
		return procStat{}, fmt.Errorf("stat of a process: %d fields after the name", len(f))
	}
	s := procStat{state: f[0][0]}
	var err [4]error
	s.ppid, err[0] = strconv.Atoi(f[1])
	s.pgid, err[1] = strconv.Atoi(f[2])
	s.session, err[2] = strconv.Atoi(f[3])
	s.start, err[3] = strconv.ParseUint(f[startField], 10, 64)
	return s, errors.Join(err[:]...)
}

// bootID is the kernel's name for this boot.
var bootID = sync.OnceValue(func() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
})

// identify notes which process has the number now.
func identify(pid int) (process, error) {
	s, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	return process{PID: pid, Start: s.start, Boot: bootID()}, nil
}

// StartOf returns when a process began, in clock ticks since the machine was booted
// (proc_pid_stat(5), starttime).
func StartOf(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// stat reads the state of exactly this process; os.ErrNotExist if it is gone,
// even if its number is in use again.
func (p process) stat() (procStat, error) {
	if p.PID <= 0 || p.Boot != bootID() {
		return procStat{}, os.ErrNotExist
	}
	s, err := readStat(p.PID)
	if err == nil && s.start != p.Start {
		return procStat{}, os.ErrNotExist
	}
	return s, err
}

// alive says whether exactly this process runs. A zombie does not.
func (p process) alive() bool {
	s, err := p.stat()
	return err == nil && !s.dead()
}

// members lists the living processes in the session that this process leads or
// led. The kernel does not give a number to a new process while a session of
// that number has members, so a session whose leader is gone is still the same
// one; if the number belongs to another process now, the session had ended.
//
// It is the session that counts, not the process group: timeout(1), which many
// agents use, makes a group of its own.
func (p process) members() []int {
	if p.PID <= 0 || p.Boot != bootID() {
		return nil
	}
	if s, err := readStat(p.PID); err == nil && s.start != p.Start {
		return nil
	}
	var pids []int
	eachProcess(func(pid int, s procStat) bool {
		if s.session == p.PID && !s.dead() && s.start >= p.Start {
			pids = append(pids, pid)
		}
		return true
	})
	return pids
}

// signalSession sends a signal to all members of the session, and to the
// leader's group in one step, so that no member of it gets away by forking.
func (p process) signalSession(sig unix.Signal) {
	pids := p.members()
	if len(pids) == 0 || p.PID <= 1 { // kill(-1) reaches everyone, kill(0) ourselves
		return
	}
	_ = unix.Kill(-p.PID, sig)
	for _, pid := range pids {
		if s, err := readStat(pid); err != nil || s.pgid == p.PID {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		// Looked at again with the number held fast: it is still the one.
		if s, err := readStat(pid); err == nil && s.session == p.PID {
			_ = unix.PidfdSendSignal(fd, sig, nil, 0)
		}
		_ = unix.Close(fd)
	}
}

// endSession ends all of a session, first kindly, and says whether it is gone.
// A leader that is our child is not reaped here.
func endSession(p process, grace time.Duration) bool {
	p.signalSession(unix.SIGTERM)
	p.signalSession(unix.SIGCONT) // a stopped process sees no SIGTERM
	if p.gone(grace, false) {
		return true
	}
	return p.gone(killedWait, true)
}

// killedWait is how long to wait for a session to go after SIGKILL. Only a
// process that hangs in the kernel takes that long.
const killedWait = 2 * time.Second

// dyingPoll is how often a dying session is looked at.
const dyingPoll = 10 * time.Millisecond

// gone waits until no member of the session lives, at most for a time. With
// kill it sends SIGKILL, again and again: a member may fork before it gets it.
func (p process) gone(wait time.Duration, kill bool) bool {
	end := time.NewTimer(wait)
	defer end.Stop()
	tick := time.NewTicker(dyingPoll)
	defer tick.Stop()
	if kill {
		p.signalSession(unix.SIGKILL)
	}
	for {
		// The leader alone is looked at first: all processes cost more.
		if !p.alive() {
			if len(p.members()) == 0 {
				return true
			}
			if kill {
				p.signalSession(unix.SIGKILL)
			}
		}
		select {
		case <-tick.C:
		case <-end.C:
			return len(p.members()) == 0
		}
	}
}

// eachProcess calls f for every process until it returns false.
func eachProcess(f func(pid int, s procStat) bool) {
	d, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer d.Close() //nolint:errcheck // only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && !f(pid, s) {
			return
		}
	}
}

// findMarked finds the living session leader that has the given variable in its
// environment and these arguments at the end of its command line: a process
// that was started and whose number there was no time to write down. Daemons
// that it left behind carry the variable too, but not the arguments.
func findMarked(variable string, args ...string) (process, bool) {
	var found process
	eachProcess(func(pid int, s procStat) bool {
		if s.dead() || s.session != pid || s.pgid != pid {
			return true
		}
		dir := "/proc/" + strconv.Itoa(pid)
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), variable) {
			return true
		}
		line, err := os.ReadFile(dir + "/cmdline")
		if err != nil || !strings.HasSuffix("\x00"+string(line), "\x00"+strings.Join(args, "\x00")+"\x00") {
			return true
		}
		found = process{PID: pid, Start: s.start, Boot: bootID()}
		return false
	})
	return found, found.PID > 0
}
