package comm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// Waiting times between attempts to bind an address that is not there.
const (
	rebindFirst = 100 * time.Millisecond
	rebindMax   = 2 * time.Second
)

// link is one own address with its socket.
type link struct {
	index  int
	addr   netip.AddrPort
	conn   atomic.Pointer[net.UDPConn] // nil while it is not bound
	queue  chan datagram
	cancel context.CancelFunc
	ended  chan struct{}
}

type datagram struct {
	to     netip.AddrPort
	node   string
	packet []byte
}

// startLink runs a link until its context ends. The first attempt to bind is
// made at once, so that what is sent after Start goes out. The link before it, on
// another address, is waited for first: it may hold the same port.
func (t *Transport) startLink(ctx context.Context, index int, addr netip.AddrPort, before *link) *link {
	l := &link{index: index, addr: addr, queue: make(chan datagram, sendQueueMax), ended: make(chan struct{})}
	ctx, l.cancel = context.WithCancel(ctx)
	if before != nil {
		<-before.ended
	}
	t.bind(ctx, l)
	t.done.Go(func() {
		defer close(l.ended)
		defer l.cancel()
		t.run(ctx, l)
	})
	return l
}

// bind opens the socket of a link.
func (t *Transport) bind(ctx context.Context, l *link) bool {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", l.addr.String())
	if err != nil {
		if ctx.Err() == nil {
			t.report.problem(Problem{Reason: "cannot bind the address of the link", Link: l.index, Source: l.addr, Err: err})
		}
		return false
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		panic("a UDP socket is no UDPConn")
	}
	_ = conn.SetReadBuffer(1 << 20) // less than that is good enough
	l.conn.Store(conn)
	return true
}

// run keeps the socket open, writes what is queued and reads what arrives.
func (t *Transport) run(ctx context.Context, l *link) {
	stop := context.AfterFunc(ctx, func() {
		if c := l.conn.Load(); c != nil {
			_ = c.Close() // ends read and write
		}
	})
	defer stop()
	t.done.Go(func() { t.write(ctx, l) })
	wait := rebindFirst
	for ctx.Err() == nil {
		if c := l.conn.Load(); c != nil || t.bind(ctx, l) {
			wait = rebindFirst
			t.read(ctx, l)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait = min(2*wait, rebindMax)
		}
	}
}

// read takes packets until the socket breaks or is closed.
func (t *Transport) read(ctx context.Context, l *link) {
	c := l.conn.Load()
	defer func() {
		l.conn.Store(nil)
		_ = c.Close()
	}()
	if ctx.Err() != nil {
		return // it was bound while the context ended
	}
	in := newBatch(c, readBatch)
	var busy traffic
	for faults := 0; ; {
		n, err := in.read()
		if err == nil {
			faults = 0
			for i := range n {
				packet, from := in.packet(i)
				t.arrived(l, from, packet)
			}
			if busy.saw(time.Now(), n) && n < len(in.msgs) {
				// Many are on their way: to be woken up for each would cost more than to
				// read it. What waits a moment here is not lost, and not late.
				in.grow(readBatchBusy)
				select {
				case <-ctx.Done():
				case <-time.After(gatherPause):
				}
			}
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		// An error that the network reports for an earlier packet says nothing about
		// the socket; one that stays does.
		if faults++; faults > 10 {
			t.report.problem(Problem{Reason: "cannot read from the link", Link: l.index, Source: l.addr, Err: err})
			return
		}
	}
}

// write sends what is queued, as much at once as there is. It never gives up on a
// link: what can't be sent is dropped.
func (t *Transport) write(ctx context.Context, l *link) {
	out := &batch{}
	queued := make([]datagram, 0, writeBatch)
	for {
		list := queued[:0]
		select {
		case <-ctx.Done():
			return
		case d := <-l.queue:
			list = append(list, d)
		}
		for more := true; more && len(list) < writeBatch; {
			select {
			case d := <-l.queue:
				list = append(list, d)
			default:
				more = false
			}
		}
		c := l.conn.Load()
		if c == nil {
			continue // reported by bind
		}
		if out.udp != c {
			out = newBatch(c, 0)
		}
		for len(list) > 0 {
			n, err := out.write(list)
			if ctx.Err() != nil {
				return
			}
			list = list[n:]
			if err == nil {
				continue
			}
			d := list[0] // the one that it is about
			list = list[1:]
			t.report.problem(Problem{Reason: "cannot send on the link", Node: d.node, Link: l.index, Source: d.to, Err: err})
			if lostAddress(err) {
				_ = c.Close() // read ends, and binds anew
				break
			}
		}
	}
}

// lostAddress reports whether an error says that the socket is bound to something
// that is gone for good, as the index of an interface that was made anew. An
// address that is taken away and comes back needs no other socket.
func lostAddress(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENODEV)
}
