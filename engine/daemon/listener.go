package daemon

import (
	"net"
	"os"
	"sync"

	"github.com/belay-ha/belay/engine/api"
)

// guard closes connections of those who may not change the cluster when they have
// their share of places already.
func (d *Daemon) guard(ln net.Listener) net.Listener {
	return &guarded{Listener: ln, slots: make(chan struct{}, strangersMax), trusted: func(c net.Conn) bool {
		cred, err := credentials(c)
		if err != nil {
			return false
		}
		who := &caller{Actor: api.Actor{UID: cred.Uid}}
		who.allow(uint32(os.Getuid()), d.opts.MgmtUID, false)
		return who.writes
	}}
}

type guarded struct {
	net.Listener
	slots   chan struct{}
	trusted func(net.Conn) bool
}

// Accept gives the next connection that has a place.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.trusted(c) {
			return c, err
		}
		select {
		case g.slots <- struct{}{}:
			return &limited{Conn: c, free: g.slots}, nil
		default:
			_ = c.Close()
		}
	}
}

// limit bounds the connections of a listener; more wait to be accepted.
func limit(ln net.Listener, n int) net.Listener {
	return &limiter{Listener: ln, slots: make(chan struct{}, n)}
}

type limiter struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a free slot.
func (l *limiter) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limited{Conn: c, free: l.slots}, nil
}

type limited struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

// Close frees the slot.
func (c *limited) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}
