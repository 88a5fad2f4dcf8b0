package store

import (
	"context"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A member must leave a link that swallows packets, and take another one. etcd
// means to give its connections between members a time-out of 5s, but sets it
// where net/http does not look (Transport.Dial beside DialContext), so that a dead
// connection stays until the kernel gives it up: for minutes members do not hear
// each other, with a working link between them. Here the kernel is told to give up
// earlier. It acknowledges also for a process that is starved, so this says
// nothing about anything but the link.

// silenceMax derives how long the other end of a connection may be silent.
func silenceMax(detection time.Duration) time.Duration {
	if detection <= 0 {
		detection = time.Second
	}
	return min(max(3*detection, 2*time.Second), 10*time.Second)
}

// tendSockets sets the limit for every TCP socket of this process, until ctx ends.
// Sockets made by a listener inherit it; those that etcd dials are found.
func tendSockets(ctx context.Context, silence time.Duration) {
	tick := time.NewTicker(silence / 2)
	defer tick.Stop()
	var done map[uint64]bool // sockets by inode
	for {
		done = limitSockets(done, silence)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// limitSockets sets the limit for the sockets that are not done yet, and returns
// those that are there.
func limitSockets(done map[uint64]bool, silence time.Duration) map[uint64]bool {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return done // no /proc: nothing can be done
	}
	there := map[uint64]bool{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		var st unix.Stat_t
		if err != nil || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			continue
		}
		there[st.Ino] = true
		if done[st.Ino] {
			continue
		}
		// Refused by sockets of other kinds. The descriptor may be another's by now:
		// on a TCP socket of this process the limit harms nobody.
		seconds := max(1, int(silence/time.Second)/3)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence/time.Millisecond))
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
	}
	return there
}
