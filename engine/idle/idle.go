// Package idle keeps down what a process costs that sleeps nearly always.
//
// An engine and a member of the store wake up some dozen times a second, for timers
// and heartbeats, and work for some microseconds. Most of what that costs is not the
// work: the Go runtime wakes further threads in case there is more to do, a watching
// thread ("sysmon") looks at the others every 20µs while one works, and each timer
// wakes the processor by itself although others are due a moment later. All of it is
// good for a process that works, and is given back when there is work. So is the room
// that the heap gets before it is collected.
package idle

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The settings of a process that is mostly idle.
const (
	loadLook  = time.Second // how often the load is looked at
	loadBusy  = 0.4         // of a core: from here on the process gets all of them
	loadCalm  = 0.2         // of a core: below it for calmLooks it is idle again
	calmLooks = 10
	// watchSlack is what the watching thread may sleep longer. A call of the kernel
	// that blocks keeps the other goroutines of an idle process waiting so long.
	watchSlack = 2 * time.Millisecond
	slackUsual = 50 * time.Microsecond // of Linux
	// heapGrowth is what the heap may grow by until it is collected, in percent. That
	// of an idle process is a few MB and lasts for seconds: half of that is less
	// memory, and no work that could be measured.
	heapGrowth = 50
)

// width decides how many threads may work at a time: one, or as many as there are
// cores. The zero value is wide, for a process that starts.
type width struct {
	narrow bool
	calm   int // looks in a row that found little to do
}

// look takes the load since the last look, in cores, and reports whether the width
// has changed.
func (w *width) look(load float64) bool {
	before := w.narrow
	switch {
	case load >= loadBusy:
		w.narrow, w.calm = false, 0
	case load >= loadCalm:
		w.calm = 0
	default:
		w.calm++
		w.narrow = w.narrow || w.calm >= calmLooks
	}
	return w.narrow != before
}

// Run keeps the costs of this process down while it is idle, until ctx ends. Timers
// of all its threads may then come later by the slack, so that several share a
// wake-up; programs that it starts would inherit that. With no slack only the
// watching thread gets one.
func Run(ctx context.Context, slack time.Duration) {
	tick := time.NewTicker(loadLook)
	defer tick.Stop()
	if slack <= 0 {
		slacken(watcher(), watchSlack)
	}
	var w width
	var growth int // of the process, while it works
	at, used := time.Now(), CPUTime()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, u := time.Now(), CPUTime()
		changed := w.look((u - used).Seconds() / now.Sub(at).Seconds())
		at, used = now, u
		switch {
		case !changed:
			continue
		case w.narrow:
			runtime.GOMAXPROCS(1)
			growth = tighten(heapGrowth)
		default:
			runtime.SetDefaultGOMAXPROCS()
			debug.SetGCPercent(growth)
		}
		if slack > 0 {
			s := slackUsual
			if w.narrow {
				s = slack
			}
			slacken(threads(), s) // those to come inherit it
		}
	}
}

// tighten lets the heap grow by no more than some percent until it is collected, and
// returns what it was. A heap that is never collected, by GOGC=off, stays so.
func tighten(percent int) (before int) {
	before = debug.SetGCPercent(percent)
	if before < percent {
		debug.SetGCPercent(before)
	}
	return before
}

// CPUTime is what this process has used.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// slacken sets how much later the timers of threads may come. Where that is not
// allowed it is done without.
func slacken(threads []thread, by time.Duration) {
	for _, t := range threads {
		file := filepath.Join("/proc", strconv.Itoa(t.id), "timerslack_ns")
		_ = os.WriteFile(file, strconv.AppendInt(nil, by.Nanoseconds(), 10), 0)
	}
}

// watcher returns the watching thread of the runtime: the first one that it starts.
func watcher() []thread {
	all := threads()
	all = slices.DeleteFunc(all, func(t thread) bool { return t.id == os.Getpid() })
	if len(all) == 0 {
		return nil
	}
	return []thread{slices.MinFunc(all, func(a, b thread) int { return cmp.Or(cmp.Compare(a.started, b.started), cmp.Compare(a.id, b.id)) })}
}

type thread struct {
	id      int
	started uint64 // clock ticks since boot
}

// threads returns those of this process; none without /proc.
func threads() []thread {
	const tasks = "/proc/self/task"
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return nil
	}
	var out []thread
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(tasks, e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything
		const starttime = 22 - 3                      // its place in proc_pid_stat(5), counted from behind the name
		if f := strings.Fields(rest); len(f) > starttime {
			at, _ := strconv.ParseUint(f[starttime], 10, 64)
			out = append(out, thread{id, at})
		}
	}
	return out
}
