package tiebreak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Ping asks whether one of some addresses answers ICMP echo requests (RFC 792, RFC
// 4443). It can only veto: that the world is reachable from here says nothing about
// the other half, so its yes becomes a tie in package quorum.
type Ping struct {
	cfg PingConfig
	id  uint16
	seq uint16
}

// PingConfig says whom to ask.
type PingConfig struct {
	Addresses []string
	Count     int // rounds without any answer that make a veto
	Timeout   time.Duration
	Good      time.Duration // how long an answer is good
	Now       func() time.Time
}

// NewPing returns a breaker that needs the right to open raw sockets.
func NewPing(cfg PingConfig) *Ping { return &Ping{cfg: cfg, id: uint16(cfg.Now().UnixNano())} }

// Ask says yes when an address answers.
func (p *Ping) Ask(ctx context.Context, _ Claim) Answer {
	began := p.cfg.Now()
	who, err := p.any(ctx)
	switch {
	case errors.Is(err, errSilent):
		return no(err.Error())
	case err != nil:
		return Answer{Err: err}
	}
	return Answer{Answer: cib.QuorumHave, Reason: who + " answers", Until: began.Add(p.cfg.Good)}
}

// Check pings as well: that nothing answers should be known before it is needed.
func (p *Ping) Check(ctx context.Context, _ bool) error {
	_, err := p.any(ctx)
	return err
}

// Close does nothing: sockets live for one question.
func (p *Ping) Close() {}

var errSilent = errors.New("does not answer")

// any returns the first address that answers.
func (p *Ping) any(ctx context.Context) (string, error) {
	var last error
	for range p.cfg.Count {
		for _, a := range p.cfg.Addresses {
			err := p.one(ctx, a)
			if err == nil {
				return a, nil
			}
			if !errors.Is(err, errSilent) {
				last = err
			}
		}
	}
	if last != nil {
		return "", last
	}
	return "", fmt.Errorf("%s %w", strings.Join(p.cfg.Addresses, ", "), errSilent)
}

// one sends one echo request and waits for its answer.
func (p *Ping) one(ctx context.Context, address string) error {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("ping %s: %w", address, err)
	}
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if ip.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	c, err := (&net.Dialer{Timeout: p.cfg.Timeout}).DialContext(ctx, network, ip.String())
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
		return fmt.Errorf("%s %w: %w", address, errSilent, err)
	}
	if err != nil {
		return fmt.Errorf("ping %s: %w", address, err)
	}
	defer func() { _ = c.Close() }()
	p.seq++
	m := echo(request, p.id, p.seq, !ip.Is6())
	if err := c.SetDeadline(time.Now().Add(p.cfg.Timeout)); err != nil {
		return fmt.Errorf("ping %s: %w", address, err)
	}
	if _, err := c.Write(m); err != nil {
		return fmt.Errorf("%s %w: %w", address, errSilent, err) // no route: that is an answer
	}
	buf := make([]byte, 1500)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return fmt.Errorf("%s %w", address, errSilent)
		}
		b := buf[:n]
		if n > 0 && b[0]>>4 == 4 { // a raw socket of IPv4 has the header too (raw(7))
			b = b[min(n, int(b[0]&15)*4):]
		}
		if len(b) >= 8 && b[0] == reply && binary.BigEndian.Uint16(b[4:]) == p.id && binary.BigEndian.Uint16(b[6:]) == p.seq {
			return nil
		}
	}
}

// echo makes an echo message. The kernel fills in the checksum of ICMPv6 (RFC 3542,
// section 3.1).
func echo(kind byte, id, seq uint16, checksum bool) []byte {
	m := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, "belay quorum"...)
	binary.BigEndian.PutUint16(m[4:], id)
	binary.BigEndian.PutUint16(m[6:], seq)
	if checksum {
		var sum uint32
		for i := 0; i+1 < len(m); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(m[i:]))
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(m[2:], ^uint16(sum))
	}
	return m
}
