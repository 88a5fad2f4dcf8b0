package mgmtd

import (
	"net"
	"sync"
)

// limited bounds the connections of a listener, over all and by address. One that is
// too many is closed at once: to let it wait would let one address keep others out.
type limited struct {
	net.Listener
	total, each int

	mu   sync.Mutex
	open int
	by   map[string]int
}

func limit(ln net.Listener, total, each int) *limited {
	return &limited{Listener: ln, total: total, each: each, by: map[string]int{}}
}

// Accept returns the next connection that has a place.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = c.RemoteAddr().String()
		}
		if l.take(host) {
			return &conn{Conn: c, done: sync.OnceFunc(func() { l.give(host) })}, nil
		}
		_ = c.Close()
	}
}

func (l *limited) take(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || l.by[host] >= l.each {
		return false
	}
	l.open++
	l.by[host]++
	return true
}

func (l *limited) give(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.by[host]--; l.by[host] <= 0 {
		delete(l.by, host)
	}
}

type conn struct {
	net.Conn
	done func()
}

// Close gives the place back.
func (c *conn) Close() error {
	c.done()
	return c.Conn.Close()
}
