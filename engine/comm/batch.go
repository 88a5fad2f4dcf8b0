package comm

import (
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	// Packets of one call of the kernel. Each that is read has a buffer, so that a link
	// gets many only when it is busy.
	readBatch     = 4
	readBatchBusy = 64
	writeBatch    = 64
	readMax       = 1 << 16 // bytes of a packet, more than UDP allows

	// A link is busy when it brings more packets than a small cluster's in a while.
	trafficSpan = 100 * time.Millisecond
	trafficBusy = 50
	gatherPause = 10 * time.Millisecond // a twentieth of the least detection time
)

// batch reads and writes many packets with one call of the kernel (recvmmsg(2),
// sendmmsg(2)). It serves IPv6 as well: nothing of a header is asked for.
type batch struct {
	udp  *net.UDPConn
	conn *ipv4.PacketConn
	msgs []ipv4.Message
	to   []net.UDPAddr // of those that are written
}

// newBatch returns a batch that can read up to n packets at a time.
func newBatch(c *net.UDPConn, n int) *batch {
	b := &batch{udp: c, conn: ipv4.NewPacketConn(c)}
	b.grow(n)
	return b
}

// grow makes a batch able to read up to n packets at a time.
func (b *batch) grow(n int) {
	for len(b.msgs) < n {
		b.msgs = append(b.msgs, ipv4.Message{Buffers: [][]byte{make([]byte, readMax)}})
	}
}

// read waits for packets and returns how many there are.
func (b *batch) read() (int, error) { return b.conn.ReadBatch(b.msgs, 0) }

// packet returns one of those that were read, until the next read.
func (b *batch) packet(i int) (packet []byte, from netip.AddrPort) {
	m := &b.msgs[i]
	if a, ok := m.Addr.(*net.UDPAddr); ok {
		from = a.AddrPort()
	}
	return m.Buffers[0][:m.N], from
}

// write sends packets and returns how many went out. The error, if there is one, is
// about the first that did not.
func (b *batch) write(list []datagram) (int, error) {
	if len(list) == 1 {
		if _, err := b.udp.WriteToUDPAddrPort(list[0].packet, list[0].to); err != nil {
			return 0, err
		}
		return 1, nil
	}
	if b.to == nil {
		b.to, b.msgs = make([]net.UDPAddr, writeBatch), make([]ipv4.Message, writeBatch)
		for i := range b.msgs {
			b.msgs[i] = ipv4.Message{Buffers: make([][]byte, 1), Addr: &b.to[i]}
		}
	}
	for i := range list {
		b.msgs[i].Buffers[0] = list[i].packet
		setAddr(&b.to[i], list[i].to)
	}
	n, err := b.conn.WriteBatch(b.msgs[:len(list)], 0)
	for i := range list {
		b.msgs[i].Buffers[0] = nil // sent packets are not held
	}
	return n, err
}

// setAddr is [net.UDPAddrFromAddrPort] into an address that is used again.
func setAddr(a *net.UDPAddr, to netip.AddrPort) {
	ip := to.Addr().As16()
	a.IP, a.Port, a.Zone = append(a.IP[:0], ip[:]...), int(to.Port()), to.Addr().Zone()
}

// traffic tells whether a link is busy.
type traffic struct {
	from  time.Time // of the present span
	count int       // packets in it
	busy  bool      // the span before was
}

// saw notes packets and reports whether the link is busy.
func (t *traffic) saw(now time.Time, n int) bool {
	if past := now.Sub(t.from); past >= trafficSpan {
		t.busy = past < 2*trafficSpan && t.count >= trafficBusy
		t.from, t.count = now, 0
	}
	t.count += n
	return t.busy
}
