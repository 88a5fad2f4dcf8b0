package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/lab"
)

// Redis is a replicated data base with a primary and replicas, as Debian's own agent
// runs it: a promotable clone with notify, and an address that is where the primary is.
type Redis struct {
	Clone, Primitive, VIP string // ids
	Address               string // of the primary, with the port
	configuration         *cib.Config
	lab                   *lab.Lab
}

const redisConfFile = "/etc/belay-redis.conf"

// NewRedis prepares the hosts for the service.
func (c *Cluster) NewRedis(ctx context.Context) (*Redis, error) {
	address := c.Lab.Addr(0).As4()
	address[3] = 101
	vip := netip.AddrFrom4(address)
	r := &Redis{Clone: "db-clone", Primitive: "db", VIP: "db-address", Address: vip.String() + ":6379", lab: c.Lab}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for _, h := range c.Lab.Hosts() {
		fmt.Fprintf(&hosts, "%s %s\n", h.Addr(0), h.Name()) // a replica asks for its primary by the node's name
	}
	conf := "bind 0.0.0.0\nprotected-mode no\nport 6379\ndir /var/lib/belay-redis\nlogfile /var/lib/belay-redis/log\nappendonly yes\nappendfsync always\n" +
		"repl-diskless-sync yes\nrepl-diskless-sync-delay 0\nrepl-timeout 5\n"
	for _, h := range c.Lab.Hosts() {
		if err := errors.Join(h.WriteFile("/etc/hosts", []byte(hosts.String()), 0o644), h.WriteFile(redisConfFile, []byte(conf), 0o644)); err != nil {
			return nil, err
		}
		if _, err := h.Exec(ctx, "install", "-d", "-o", "redis", "-g", "redis", "/var/lib/belay-redis"); err != nil {
			return nil, err
		}
	}
	timeout := cib.Duration(60 * time.Second)
	ops := []cib.Operation{
		{Name: cib.OpStart, Timeout: timeout},
		{Name: cib.OpStop, Timeout: timeout},
		{Name: cib.OpPromote, Timeout: timeout},
		{Name: cib.OpDemote, Timeout: timeout},
		{Name: cib.OpNotify, Timeout: timeout},
		{Name: cib.OpMonitor, Interval: cib.Duration(2 * time.Second), Timeout: timeout, Role: cib.RoleUnpromoted},
		{Name: cib.OpMonitor, Interval: cib.Duration(time.Second), Timeout: timeout, Role: cib.RolePromoted},
	}
	one := 1
	r.configuration = &cib.Config{
		Resources: map[string]*cib.Resource{
			r.Primitive: {Agent: "ocf:heartbeat:redis", Operations: ops, Parameters: map[string]string{"config": redisConfFile, "user": "redis"}},
			r.Clone:     {Clone: &cib.Clone{Resource: r.Primitive, Promotable: true, PromotedMax: &one, Notify: true, Interleave: true}},
			r.VIP: {
				Agent:      "ocf:heartbeat:IPaddr2",
				Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(2 * time.Second), Timeout: timeout}},
				Parameters: map[string]string{"ip": vip.String(), "cidr_netmask": "24", "nic": "eth0"},
			},
		},
		Constraints: map[string]*cib.Constraint{
			"with-primary":  {Colocation: &cib.Colocation{Resource: r.VIP, With: r.Clone, WithRole: cib.RolePromoted, Score: cib.Infinity}},
			"after-promote": {Order: &cib.Order{First: r.Clone, FirstAction: cib.OpPromote, Then: r.VIP, ThenAction: cib.OpStart}},
		},
	}
	return r, nil
}

// Config is the part of the configuration that makes the service.
func (r *Redis) Config() *cib.Config { return r.configuration }

// Ask sends one command to a server and returns what it says.
func (r *Redis) Ask(ctx context.Context, address string, words ...string) (string, error) {
	s, err := r.dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer s.close()
	return s.ask(words...)
}

// session is one connection to a server (RESP, the protocol of Redis).
type session struct {
	close func()
	ask   func(words ...string) (string, error)
}

func (r *Redis) dial(ctx context.Context, address string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	c, err := r.lab.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(c)
	ask := func(words ...string) (string, error) {
		if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return "", err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
		if _, err := c.Write([]byte(b.String())); err != nil {
			return "", err
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			return "", errors.New("an empty answer")
		case line[0] == '-':
			return "", errors.New(line[1:])
		case line[0] != '$':
			return line[1:], nil
		}
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", err
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(in, body); err != nil {
			return "", err
		}
		return string(body[:n]), nil
	}
	return &session{close: func() { _ = c.Close() }, ask: ask}, nil
}

// Writer writes numbers one after another to the primary, and knows which of them
// were acknowledged by all replicas.
type Writer struct {
	stop func()

	mu       sync.Mutex
	next     int
	synced   []int       // acknowledged by as many replicas as were asked for
	answered []time.Time // writes that the primary took
	err      error
}

// Write begins to write. A write counts as synchronous when that many replicas have
// it (the command WAIT).
func (r *Redis) Write(ctx context.Context, replicas int) *Writer {
	ctx, cancel := context.WithCancel(ctx)
	w := &Writer{}
	done := make(chan struct{})
	w.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		var s *session
		for ctx.Err() == nil {
			if s == nil {
				var err error
				if s, err = r.dial(ctx, r.Address); err != nil {
					w.note(err)
					select {
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
					continue
				}
			}
			if err := w.one(s, replicas); err != nil {
				w.note(err)
				s.close()
				s = nil
			}
		}
		if s != nil {
			s.close()
		}
	}()
	return w
}

func (w *Writer) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// one writes one number. One that was not answered is never written again: it may
// be there or not.
func (w *Writer) one(s *session, replicas int) error {
	w.mu.Lock()
	w.next++
	n := w.next
	w.mu.Unlock()
	if _, err := s.ask("SET", fmt.Sprint("k", n), fmt.Sprint(n)); err != nil {
		return err
	}
	w.mu.Lock()
	w.answered = append(w.answered, time.Now())
	w.mu.Unlock()
	have, err := s.ask("WAIT", fmt.Sprint(replicas), "300")
	if err != nil {
		return err
	}
	if k, err := strconv.Atoi(have); err == nil && k >= replicas {
		w.mu.Lock()
		w.synced = append(w.synced, n)
		w.mu.Unlock()
	}
	return nil
}

// Synced counts the synchronous writes.
func (w *Writer) Synced() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.synced)
}

// Gap is the longest time without an answered write since a moment.
func (w *Writer) Gap(since time.Time) (from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := since
	for _, t := range w.answered {
		if t.Before(since) {
			continue
		}
		if t.Sub(last) > to.Sub(from) {
			from, to = last, t
		}
		last = t
	}
	return from, to
}

// Err is why the newest write failed that did.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Stop ends the writing and returns the numbers of the synchronous writes.
func (w *Writer) Stop() []int {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.synced
}
