package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
)

// Limits of connections.
const (
	handshakeMax  = 5 * time.Second
	handshakesMax = 256             // at a time; others wait
	idleMax       = 2 * time.Minute // without a request
	idleSlack     = 20 * time.Second
	writeMax      = 5 * time.Second // for one answer, at least
	queueMaxBytes = 64 << 10        // of answers that a client does not take
	rateMax       = 200             // requests of one connection that may come in a burst
	ratePerSecond = 50              // and after that
	perKeyMax     = 4               // connections with one key
	lingerBytes   = 256 << 10       // that a client may still send after the end
)

// conn is one connection. Its goroutine reads; whoever has an answer writes.
type conn struct {
	id   uint64
	pin  string
	net  *tls.Conn
	from string

	mu      sync.Mutex
	queue   []byte
	until   time.Time // the deadline for writing
	writing bool
	closing bool // after the queue
}

// serve takes one connection from its handshake to its end.
func (s *Server) serve(ctx context.Context, raw net.Conn) {
	defer func() { _ = raw.Close() }()
	c := s.handshake(ctx, raw)
	if c == nil {
		return
	}
	defer s.disconnect(c)
	s.read(c)
	// What it sent meanwhile is thrown away: to close on it would reset the
	// connection, and take the last answer with it.
	if c.net.NetConn().SetReadDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = io.CopyN(io.Discard, c.net.NetConn(), lingerBytes)
	}
}

// handshake checks the key of a client.
func (s *Server) handshake(ctx context.Context, raw net.Conn) *conn {
	select {
	case s.handshakes <- struct{}{}:
		defer func() { <-s.handshakes }()
	case <-ctx.Done():
		return nil
	}
	tc := tls.Server(raw, s.tls)
	hctx, cancel := context.WithTimeout(ctx, handshakeMax)
	defer cancel()
	if err := tc.HandshakeContext(hctx); err != nil {
		s.stranger(raw.RemoteAddr().String(), err)
		return nil
	}
	c := &conn{net: tc, pin: pki.Pin(tc.ConnectionState().PeerCertificates[0]), from: raw.RemoteAddr().String()}
	if !s.connect(c) {
		return nil
	}
	return c
}

// read takes requests until the connection ends. Its buffer is small: most
// requests are, and there are thousands of connections.
func (s *Server) read(c *conn) {
	buf := make([]byte, 0, 256)
	allowance, last := float64(rateMax), time.Now()
	var deadline time.Time
	for {
		if c.ends() {
			return
		}
		// Setting a deadline costs as much as reading: it is set now and then.
		if now := time.Now(); deadline.Sub(now) < idleMax-idleSlack {
			deadline = now.Add(idleMax)
			if err := c.net.SetReadDeadline(deadline); err != nil {
				return
			}
			if c.ends() {
				return // whoever ended it meanwhile has set an earlier one
			}
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), quorumd.LineMax+1)), buf...)
		}
		n, err := c.net.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		buf = buf[:len(buf)+n]
		now := time.Now()
		for {
			line, rest, whole := bytes.Cut(buf, []byte("\n"))
			if !whole {
				break
			}
			allowance = min(rateMax, allowance+now.Sub(last).Seconds()*ratePerSecond) - 1
			last = now
			if allowance < 0 {
				s.malformed(c, errors.New("too many requests"))
				return
			}
			r, err := quorumd.ParseRequest(line)
			if err != nil {
				s.malformed(c, err)
				return
			}
			if !s.receive(c, r) {
				return
			}
			buf = buf[:copy(buf, rest)]
		}
		if len(buf) > quorumd.LineMax {
			s.malformed(c, quorumd.ErrMessage)
			return
		}
	}
}

// send queues an answer. Inline, the caller may be kept waiting by the client, and
// only by the one whose goroutine it is.
func (c *conn) send(r *quorumd.Reply, inline bool) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.queue = quorumd.AppendReply(c.queue, r)
	if len(c.queue) > queueMaxBytes {
		c.closing, c.queue = true, nil
		c.mu.Unlock()
		_ = c.net.NetConn().Close() // it does not read: there is no use in saying so
		return
	}
	c.write(inline)
}

// ends reports whether the connection ends after what is queued.
func (c *conn) ends() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// end closes the connection after what is queued.
func (c *conn) end(inline bool) {
	c.mu.Lock()
	c.closing = true
	c.write(inline)
}

// write makes sure that somebody writes; c.mu is held, and let go.
func (c *conn) write(inline bool) {
	busy := c.writing
	c.writing = true
	c.mu.Unlock()
	switch {
	case busy:
	case inline:
		c.flush()
	default:
		go c.flush()
	}
}

func (c *conn) flush() {
	var spare []byte
	for {
		c.mu.Lock()
		out := c.queue
		if len(out) == 0 {
			c.writing = false
			closing := c.closing
			c.mu.Unlock()
			if closing {
				_ = c.net.SetWriteDeadline(time.Now().Add(writeMax))
				_ = c.net.CloseWrite()
				if tcp, ok := c.net.NetConn().(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
				_ = c.net.SetReadDeadline(time.Now()) // its reader sees that it is over
			}
			return
		}
		c.queue = spare[:0]
		c.mu.Unlock()
		if now := time.Now(); c.until.Sub(now) < writeMax {
			c.until = now.Add(2 * writeMax)
			_ = c.net.SetWriteDeadline(c.until) // what is wrong with it, the write tells
		}
		if _, err := c.net.Write(out); err != nil {
			_ = c.net.NetConn().Close()
		}
		if cap(out) > 1024 {
			out = nil
		}
		spare = out
	}
}
