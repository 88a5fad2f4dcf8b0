package store

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// orderDrop is the order to end all connections with an address.
const orderDrop = "drop "

// readOrders carries out what the supervisor writes, line by line, until the end.
func readOrders(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), orderDrop)
		if !ok {
			continue
		}
		if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			dropConnections(addr)
		}
	}
}

// dropConnections ends this process's connections with an address. etcd sends to
// a peer through one connection until that breaks, which on a link that went dead
// silently takes it 5s; ended here, it turns to the peer's address on the next link
// at once. It can't be asked for that, so the sockets are found from outside.
func dropConnections(peer netip.Addr) {
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
		sa, err := unix.Getpeername(fd)
		if err != nil {
			continue // not a connection
		}
		var addr netip.Addr
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			addr = netip.AddrFrom4(sa.Addr)
		case *unix.SockaddrInet6:
			addr = netip.AddrFrom16(sa.Addr)
		default:
			continue
		}
		if addr.Unmap() == peer.Unmap() {
			// Shutdown, not close: the descriptor belongs to the runtime, which sees
			// the end of the stream and closes it.
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		}
	}
}
