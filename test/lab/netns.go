package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// netns is a network namespace, kept alive by an open descriptor.
type netns struct{ file *os.File }

// newNetns makes an empty network namespace.
func newNetns() (netns, error) {
	var ns netns
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		ns.file = f
		return err
	})
	if err != nil {
		return netns{}, fmt.Errorf("lab: %w", err)
	}
	return ns, nil
}

// openNetns is the network namespace of a process.
func openNetns(pid int) (netns, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return netns{}, fmt.Errorf("lab: %w", err)
	}
	return netns{f}, nil
}

func (ns netns) close() error { return ns.file.Close() }

// do runs fn on a thread that is in the namespace. Sockets made there stay in the namespace, and so
// do processes started there.
func (ns netns) do(fn func() error) error {
	return onThread(func() error {
		// Not Fd: a connection that nobody waits for any more may come here while
		// the lab closes the descriptor.
		raw, err := ns.file.SyscallConn()
		if err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		var entered error
		closed := raw.Control(func(fd uintptr) { entered = unix.Setns(int(fd), unix.CLONE_NEWNET) })
		if err := errors.Join(closed, entered); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return fn()
	})
}

// onThread runs fn on an operating system thread of its own. The goroutine never unlocks the thread,
// so the thread ends with it, and no other goroutine can find itself in the wrong namespace.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- fn()
	}()
	return <-done
}

// dial connects from the namespace. The address must be numeric: there is no resolver.
func (ns netns) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var conn net.Conn
	err := ns.do(func() error {
		var d net.Dialer
		var err error
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// listen opens a listening socket in the namespace.
func (ns netns) listen(ctx context.Context, network, addr string) (net.Listener, error) {
	var l net.Listener
	err := ns.do(func() error {
		var lc net.ListenConfig
		var err error
		l, err = lc.Listen(ctx, network, addr)
		return err
	})
	return l, err
}

// httpClient makes an HTTP client that connects from the namespace.
func (ns netns) httpClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: ns.dial},
		Timeout:   30 * time.Second,
	}
}

// run runs a tool of the machine in the namespace, with its input. Everything else about the process
// is the machine's.
func (ns netns) run(input, name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	err := ns.do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("lab: %s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// ip runs a batch of ip(8) commands in the namespace.
func (ns netns) ip(commands ...string) error {
	return ns.run(strings.Join(commands, "\n")+"\n", "ip", "-batch", "-")
}

// controlSocket is a socket in the namespace for interface requests.
func (ns netns) controlSocket() (int, error) {
	fd := -1
	err := ns.do(func() error {
		var err error
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("lab: %w", err)
	}
	return fd, nil
}

// setLink sets an interface up or down through a control socket. It takes microseconds where ip(8)
// takes milliseconds, and the moment of a power-off should be sharp. A missing interface is down.
func setLink(socket int, name string, up bool) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("lab: interface %s: %w", name, err)
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, ifr); err != nil {
		if !up && errors.Is(err, unix.ENODEV) {
			return nil
		}
		return fmt.Errorf("lab: interface %s: %w", name, err)
	}
	flags := ifr.Uint16() &^ unix.IFF_UP
	if up {
		flags |= unix.IFF_UP
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("lab: interface %s: %w", name, err)
	}
	return nil
}
