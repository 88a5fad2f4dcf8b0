package agentx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a connection to a master whose reads and writes hold a thread. A walk is
// thousands of requests, each of which waits for the answer before. To be woken for each
// by the runtime's poller, and to wake another thread with it, costs more than the answer.
type socket struct {
	file    *os.File
	raw     syscall.RawConn
	fd      int
	until   time.Time     // when a read gives up
	wait    time.Duration // what the kernel is told of it
	yielded time.Time     // to Go's scheduler
}

// slack is how much a deadline may be off: to set it costs as much as an answer.
const slack = time.Second

// yieldTime is how often a goroutine that reads and writes goes through Go's scheduler.
// One that has not for 10 ms is taken for one that works all the time, and loses its
// processor at each read from then on, which costs more than the answer.
const yieldTime = 4 * time.Millisecond

// dial connects to a master.
func dial(ctx context.Context, network, address string) (*socket, error) {
	dialer := net.Dialer{Timeout: answerMax}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // the socket has a descriptor of its own
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection to %s without a descriptor", address)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, failed := -1, error(nil)
	if err := raw.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, os.NewSyscallError("fcntl", failed)
	}
	send := unix.NsecToTimeval(int64(answerMax))
	err = errors.Join(
		os.NewSyscallError("fcntl", unix.SetNonblock(fd, false)), // before NewFile, which would give it to the poller
		os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &send)),
	)
	s := &socket{file: os.NewFile(uintptr(fd), address), fd: fd}
	if err == nil {
		s.raw, err = s.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes it.
func (s *socket) Close() error { return s.file.Close() }

// interrupt ends a read that waits, and all that follow. It may be called from any
// goroutine.
func (s *socket) interrupt() {
	_ = s.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) }) // fails where it is closed already
}

// deadline sets how long from now a read waits.
func (s *socket) deadline(d time.Duration) {
	now := time.Now()
	if until := now.Add(d); until.Sub(s.until).Abs() >= slack {
		s.until = until
	}
	if now.Sub(s.yielded) >= yieldTime {
		s.yielded = now
		runtime.Gosched()
	}
}

// Read reads what has come, or waits for it.
func (s *socket) Read(b []byte) (int, error) {
	for {
		left := max(time.Until(s.until), time.Millisecond) // zero would be for ever
		if (left-s.wait).Abs() >= slack || s.wait == 0 {
			wait := unix.NsecToTimeval(int64(left))
			if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
				return 0, os.NewSyscallError("setsockopt", err)
			}
			s.wait = left
		}
		switch n, err := unix.Read(s.fd, b); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, os.ErrDeadlineExceeded
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write writes all of b, and waits where the master does not take it.
func (s *socket) Write(b []byte) (written int, err error) {
	for written < len(b) {
		switch n, err := unix.Write(s.fd, b[written:]); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return written, os.ErrDeadlineExceeded
		case err != nil:
			return written, os.NewSyscallError("write", err)
		default:
			written += n
		}
	}
	return written, nil
}
