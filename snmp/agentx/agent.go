package agentx

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/snmp/mib"
)

// Times of a session.
const (
	answerMax  = 5 * time.Second  // for the master to answer, and to take what is sent
	idlePing   = 15 * time.Second // silence after which the master is asked whether it lives
	retryMin   = 250 * time.Millisecond
	retryMax   = 4 * time.Second
	steadyTime = 30 * time.Second // a session that lasted so long was a good one
)

// patience is how often in a row a master may be missing before it is told: it may just
// start.
const patience = 3

// Config says where the master is and what is shown.
type Config struct {
	Address     string // "unix:/var/agentx/master" or "tcp:127.0.0.1:705"
	Root        mib.OID
	Description string
	// Variables returns what is shown, sorted. It is called for each request from one
	// goroutine and must not block.
	Variables func() []mib.Variable
	// Connected, if not nil, is called when the MIB is registered, and with the reason
	// when that ends.
	Connected func(err error)
	Log       *slog.Logger
}

// Run serves until the context ends. It connects again whenever the master goes away,
// within 5 s of its coming back.
func Run(ctx context.Context, cfg Config) error {
	network, address, ok := strings.Cut(cfg.Address, ":")
	if !ok || network != "unix" && network != "tcp" {
		return fmt.Errorf("AgentX address %q: write unix:PATH or tcp:HOST:PORT", cfg.Address)
	}
	pause, failed, told := retryMin, 0, ""
	for {
		began := time.Now()
		err := serve(ctx, cfg, network, address)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end, and its connection with it
		}
		if cfg.Connected != nil {
			cfg.Connected(err)
		}
		if time.Since(began) > steadyTime {
			pause, failed = retryMin, 0
		}
		if failed++; failed > patience && err.Error() != told {
			told = err.Error()
			cfg.Log.Warn("SNMP's master agent is not there; it is tried again", "address", cfg.Address, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

func serve(ctx context.Context, cfg Config, network, address string) error {
	conn, err := dial(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // what was not taken is lost, as the peer is
	stop := context.AfterFunc(ctx, conn.interrupt)
	defer stop()
	c := &connection{socket: conn, r: bufio.NewReader(conn)}
	s := &session{root: cfg.Root, variables: cfg.Variables}
	h, err := c.ask(s, s.open(cfg.Description, answerMax))
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	s.id = h.session
	if _, err := c.ask(s, s.register()); err != nil {
		return fmt.Errorf("register %s: %w", cfg.Root, err)
	}
	if cfg.Connected != nil {
		cfg.Connected(nil)
	}
	cfg.Log.Info("registered with SNMP's master agent", "address", cfg.Address, "root", cfg.Root.String())
	err = c.loop(s)
	reason := byte(closeParseError)
	if ctx.Err() != nil {
		reason = closeShutdown
	}
	_ = c.send(s.close(reason))
	return err
}

// connection reads and writes PDUs, from one goroutine.
type connection struct {
	*socket
	r       *bufio.Reader
	payload []byte // of the PDU that was read last; its memory serves the next
}

func (c *connection) send(pdu []byte) error {
	_, err := c.Write(pdu)
	return err
}

// whole says whether a PDU has come completely, so that reading it waits for nothing.
func (c *connection) whole() bool {
	if c.r.Buffered() < headerBytes {
		return false
	}
	raw, err := c.r.Peek(headerBytes)
	if err != nil {
		return false
	}
	h, err := parseHeader(raw)
	return err == nil && c.r.Buffered() >= headerBytes+int(h.length)
}

// read reads a PDU. Its payload is good until the next one is read.
func (c *connection) read() (header, []byte, error) {
	var raw [headerBytes]byte
	if _, err := io.ReadFull(c.r, raw[:]); err != nil {
		return header{}, nil, err
	}
	h, err := parseHeader(raw[:])
	if err != nil {
		return h, nil, err
	}
	c.payload = slices.Grow(c.payload[:0], int(h.length))[:h.length]
	_, err = io.ReadFull(c.r, c.payload)
	return h, c.payload, err
}

// ask sends a request of our own and waits for its answer; what the master asks
// meanwhile is answered.
func (c *connection) ask(s *session, request []byte) (header, error) {
	c.deadline(answerMax)
	if err := c.send(request); err != nil {
		return header{}, err
	}
	for {
		h, payload, err := c.read()
		if err != nil {
			return h, err
		}
		if h.kind == pduResponse {
			if h.packet != s.packet {
				return h, fmt.Errorf("an answer to request %d, which was not asked", h.packet)
			}
			return h, s.answered(h, payload)
		}
		if err := c.answer(s, h, payload); err != nil {
			return h, err
		}
	}
}

func (c *connection) answer(s *session, h header, payload []byte) error {
	out, err := s.handle(h, payload)
	if out != nil {
		err = errors.Join(err, c.send(out))
	}
	return err
}

func (c *connection) loop(s *session) error {
	for {
		c.deadline(idlePing)
		if _, err := c.r.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
			if _, err := c.ask(s, s.ping()); err != nil {
				return fmt.Errorf("ping: %w", err)
			}
			continue
		} else if err != nil {
			return err
		}
		if !c.whole() {
			c.deadline(answerMax)
		}
		h, payload, err := c.read()
		if err != nil {
			return err
		}
		if h.kind == pduResponse {
			return errors.New("an answer that nobody asked for")
		}
		if err := c.answer(s, h, payload); err != nil {
			return err
		}
	}
}
