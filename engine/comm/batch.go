package comm

import (
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	readBatch  = 16 // packets of one call of the kernel; each has a buffer
	writeBatch = 64
	readMax    = 1 << 16 // bytes of a packet, more than UDP allows

	// A link is busy when it brings more packets than a small cluster's in a while.
	trafficSpan = 100 * time.Millisecond
	trafficBusy = 50
	gatherPause = 5 * time.Millisecond // a hundredth of the least useful detection time
)

// batch reads and writes many packets with one call of the kernel (recvmmsg(2),
// sendmmsg(2)). It serves IPv6 as well: nothing of a header is asked for.
type batch struct {
	udp  *net.UDPConn
	conn *ipv4.PacketConn
	msgs []ipv4.Message
}

// newBatch returns a batch that can read up to n packets at a time.
func newBatch(c *net.UDPConn, n int) *batch {
	b := &batch{udp: c, conn: ipv4.NewPacketConn(c), msgs: make([]ipv4.Message, n)}
	for i := range b.msgs {
		b.msgs[i].Buffers = [][]byte{make([]byte, readMax)}
	}
	return b
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
	msgs := make([]ipv4.Message, len(list))
	for i := range list {
		msgs[i] = ipv4.Message{Buffers: [][]byte{list[i].packet}, Addr: net.UDPAddrFromAddrPort(list[i].to)}
	}
	return b.conn.WriteBatch(msgs, 0)
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
