package store

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Both ends of a connection have the limit, and a socket that is not TCP is left
// alone.
func TestLimitSockets(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := limitSockets(nil, 3*time.Second)
	out, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if again := limitSockets(done, 3*time.Second); len(again) < 3 {
		t.Errorf("%d sockets found", len(again))
	}
	for _, c := range []net.Conn{in, out} {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || ms != 3000 {
				t.Errorf("%s: limit %d ms, %v", c.LocalAddr(), ms, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for detection, want := range map[time.Duration]time.Duration{0: 3 * time.Second, 300 * time.Millisecond: 2 * time.Second, 30 * time.Second: 10 * time.Second} {
		if got := silenceMax(detection); got != want {
			t.Errorf("detection %s: %s, want %s", detection, got, want)
		}
	}
}
