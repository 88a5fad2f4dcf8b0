package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// proc names one process beyond doubt: a number alone is used again after its
// process is gone.
type proc struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: field 22 of /proc/PID/stat, see proc_pid_stat(5)
}

// procStat is the part of /proc/PID/stat that is needed.
type procStat struct {
	state   byte
	ppid    int
	threads int
	start   uint64
}

// dead reports whether nothing of the process runs any more. A zombie whose first
// thread has ended can have other threads that still run.
func (s procStat) dead() bool { return (s.state == 'Z' || s.state == 'X') && s.threads <= 1 }

// readStat reads /proc/PID/stat; os.ErrNotExist if there is no such process.
func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, unix.ESRCH) {
		err = os.ErrNotExist
	}
	if err != nil {
		return procStat{}, err
	}
	return parseStat(raw)
}

// parseStat reads the fields after the command's name, which stands in parentheses
// and may hold any byte, parentheses too.
func parseStat(raw []byte) (procStat, error) {
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const firstField, threads, start = 3, 20, 22
	if len(f) <= start-firstField || len(f[0]) != 1 {
		return procStat{}, fmt.Errorf("stat of a process: %d fields after the name", len(f))
	}
	s := procStat{state: f[0][0]}
	var err [3]error
	s.ppid, err[0] = strconv.Atoi(f[1])
	s.threads, err[1] = strconv.Atoi(f[threads-firstField])
	s.start, err[2] = strconv.ParseUint(f[start-firstField], 10, 64)
	return s, errors.Join(err[:]...)
}

// identify notes which process has the number now.
func identify(pid int) (proc, error) {
	s, err := readStat(pid)
	if err != nil {
		return proc{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return proc{PID: pid, Start: s.start}, nil
}

// alive reports whether exactly this process runs.
func (p proc) alive() bool {
	if p.PID <= 0 {
		return false
	}
	s, err := readStat(p.PID)
	return err == nil && s.start == p.Start && !s.dead()
}

// signal sends a signal to exactly this process. It does nothing when the process
// is gone.
func (p proc) signal(sig unix.Signal) error {
	if p.PID <= 1 {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // EINVAL: the number is a thread's now
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	// Looked at again with the number held fast: it is still the one.
	if s, err := readStat(p.PID); err != nil || s.start != p.Start {
		return nil // it is gone
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// processes reads every process of this machine.
func processes() (map[int]procStat, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer d.Close() //nolint:errcheck // only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make(map[int]procStat, len(names))
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			all[pid] = s
		}
	}
	// The list was not made in one moment. Who was read before its parent ended has
	// another parent now, and a parent may have come after its number was passed:
	// both would hang in the air and belong to no tree.
	const triesMax = 3
	for pid := range all {
		for range triesMax {
			s := all[pid]
			if _, ok := all[s.ppid]; ok || s.ppid == 0 {
				break
			}
			if parent, err := readStat(s.ppid); err == nil {
				all[s.ppid] = parent
			} else if s, err = readStat(pid); err == nil {
				all[pid] = s
			} else {
				delete(all, pid)
				break
			}
		}
	}
	return all, nil
}

// descendants lists the living processes below root, by number. What is below a
// process of skip is left out, and that process too.
func descendants(all map[int]procStat, root int, skip map[int]bool) []proc {
	children := map[int][]int{}
	for pid, s := range all {
		children[s.ppid] = append(children[s.ppid], pid)
	}
	var out []proc
	seen := map[int]bool{root: true} // the list may hold a ring: numbers are used again
	for queue := []int{root}; len(queue) > 0; {
		at := queue[0]
		queue = queue[1:]
		for _, pid := range children[at] {
			if seen[pid] || skip[pid] {
				continue
			}
			seen[pid] = true
			queue = append(queue, pid)
			if s := all[pid]; !s.dead() {
				out = append(out, proc{PID: pid, Start: s.start})
			}
		}
	}
	slices.SortFunc(out, func(a, b proc) int { return a.PID - b.PID })
	return out
}

// below lists the living processes below root.
func below(root int) ([]proc, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	return descendants(all, root, nil), nil
}

// killPause is how long dying processes are left before they are looked at again.
const killPause = 2 * time.Millisecond

// killAll ends all processes that list names, and those that they start meanwhile,
// until list names none. All are stopped before the first is killed, so that none
// sees another one die and acts on it.
//
// One empty list is no proof: a process that forks and ends while the list is made
// may be missed. Two in a row are taken as one.
func killAll(ctx context.Context, list func() ([]proc, error)) error {
	stopped := map[proc]bool{}
	for empty := 0; empty < 2; {
		live, err := list()
		if err != nil {
			return err
		}
		if len(live) == 0 {
			empty++
			continue
		}
		empty = 0
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end even when killed", live[0].PID)
		}
		fresh := false
		for _, p := range live {
			if stopped[p] {
				continue
			}
			stopped[p], fresh = true, true
			if err := p.signal(unix.SIGSTOP); err != nil {
				return err
			}
		}
		if fresh {
			continue // they may have started others before they stopped
		}
		for _, p := range live {
			if err := p.signal(unix.SIGKILL); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(killPause):
		}
	}
	return nil
}

// subreaper makes orphans below this process its children instead of those of
// the system's first process.
func subreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}

// reap takes the exit statuses of all children that have ended.
func reap(f func(pid int, ws unix.WaitStatus)) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		f(pid, ws)
	}
}

// exitText says how a process ended.
func exitText(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "was ended by " + unix.SignalName(ws.Signal())
	}
	return "exited with status " + strconv.Itoa(ws.ExitStatus())
}
