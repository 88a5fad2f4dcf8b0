package store

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Orders of the supervisor: orderDrop and an address end all connections with it,
// orderDropIn all that others have made to this member.
const (
	orderDrop   = "drop "
	orderDropIn = "drop-in"
)

// readOrders carries out what the supervisor writes, line by line, until the end.
// ports are those that the member listens on.
func readOrders(in io.Reader, ports []uint16) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == orderDropIn {
			dropConnections(func(fd int) bool { return slices.Contains(ports, port(unix.Getsockname(fd))) })
		}
		text, ok := strings.CutPrefix(line, orderDrop)
		if !ok {
			continue
		}
		if addr, err := netip.ParseAddr(text); err == nil {
			dropConnections(func(fd int) bool { return address(unix.Getpeername(fd)).Addr() == addr.Unmap() })
		}
	}
}

// dropConnections ends this process's connections that are meant. etcd sends to
// a peer through one connection until that breaks, which on a link that went dead
// silently takes it 5s; ended here, it turns to the peer's address on the next link
// at once. And it looks at a certificate once, when a connection begins. It can't be
// asked for either, so the sockets are found from outside.
func dropConnections(meant func(fd int) bool) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fmt.Fprintln(os.Stderr, "look for connections to end:", err)
		return
	}
	for _, e := range fds {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, err := unix.Getpeername(fd); err != nil {
			continue // not a connection
		}
		if meant(fd) {
			// Shutdown, not close: the descriptor belongs to the runtime, which sees
			// the end of the stream and closes it.
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		}
	}
}

// address is that of an end of a TCP connection; zero for other sockets.
func address(sa unix.Sockaddr, err error) netip.AddrPort {
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func port(sa unix.Sockaddr, err error) uint16 { return address(sa, err).Port() }

// listenPorts are the ports of a member's addresses.
func listenPorts(c *ServerConfig) []uint16 {
	var out []uint16
	for _, s := range slices.Concat(c.ListenPeers, c.ListenClients) {
		u, err := url.Parse(s)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
			out = append(out, uint16(n))
		}
	}
	return out
}
