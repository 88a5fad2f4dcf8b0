package daemon

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock is the steady clock of the cores: it starts at the wall clock's time and
// follows CLOCK_BOOTTIME, which goes on while the machine is suspended and is
// never set. The runtime's own monotonic clock stops in a suspended machine: a
// node would believe to be valid when it wakes up.
type clock struct{ base time.Time }

func newClock() clock {
	return clock{base: time.Now().Round(0).Add(-bootTime())}
}

// now reads the clock.
func (c clock) now() time.Time { return c.base.Add(bootTime()) }

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME cannot be read: " + err.Error()) // Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}
