package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// probeInterval is the time between two probes of a watch, and so its resolution.
	probeInterval = 20 * time.Millisecond
	// probeTimeout ends a probe. It is shorter than the first repetition of a SYN (1 s), so that every
	// answer is one to a probe of its own.
	probeTimeout = 900 * time.Millisecond
)

// Watch asks a service from the lab's own address every 20 ms, as a client on the network would,
// whether or not earlier questions were answered. It knows when the service was away.
type Watch struct {
	what   string
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	began   time.Time
	answers []Answer // by time of arrival
	lastErr error
	changed chan struct{} // closed and replaced at each answer
}

// Answer is one answered probe.
type Answer struct {
	Asked, At time.Time
	Body      string // for HTTP: the begin of the body, which can tell who answered
}

// Gap is a time without an answer.
type Gap struct {
	From time.Time // arrival of the last answer, or the begin of the watch
	To   time.Time // arrival of the next answer; zero while there is none
}

// Duration is the length of a gap that is over.
func (g Gap) Duration() time.Duration { return g.To.Sub(g.From) }

// WatchTCP watches whether a TCP connection can be made to addr, "10.77.0.100:80".
func (l *Lab) WatchTCP(addr string) *Watch {
	return l.watch("tcp "+addr, func(ctx context.Context) (string, error) {
		conn, err := l.sw.dial(ctx, "tcp", addr)
		if err != nil {
			return "", err
		}
		return "", conn.Close()
	})
}

// WatchHTTP watches whether a GET is answered with a status below 400, on a new connection each time.
func (l *Lab) WatchHTTP(url string) *Watch {
	const bodyMax = 256
	client := &http.Client{Transport: &http.Transport{DialContext: l.sw.dial, DisableKeepAlives: true}}
	return l.watch(url, func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
		if err == nil && resp.StatusCode >= 400 {
			err = fmt.Errorf("status %s", resp.Status)
		}
		return string(body), err
	})
}

// WatchFunc watches whether probe succeeds. Its text becomes the answer's body. For sockets that
// belong into the switch it must use DialContext or HTTPClient.
func (l *Lab) WatchFunc(what string, probe func(ctx context.Context) (string, error)) *Watch {
	return l.watch(what, probe)
}

// newWatch makes a watch that the lab stops at Close.
func (l *Lab) newWatch(what string) (*Watch, context.Context) {
	ctx, cancel := context.WithCancel(l.life)
	w := &Watch{what: what, cancel: cancel, began: time.Now(), changed: make(chan struct{})}
	l.mu.Lock()
	l.watchs = append(l.watchs, w)
	l.mu.Unlock()
	return w, ctx
}

func (l *Lab) watch(what string, probe func(context.Context) (string, error)) *Watch {
	w, ctx := l.newWatch(what)
	w.every(ctx, func() {
		w.all.Go(func() {
			asked := time.Now()
			ctx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			body, err := probe(ctx)
			if err != nil {
				w.failed(err)
				return
			}
			w.answered(Answer{Asked: asked, At: time.Now(), Body: body})
		})
	})
	return w
}

// every runs ask at once and at each interval until ctx ends.
func (w *Watch) every(ctx context.Context, ask func()) {
	w.all.Go(func() {
		tick := time.NewTicker(probeInterval)
		defer tick.Stop()
		for {
			ask()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// WatchPing watches whether an IPv4 address answers ICMP echo requests.
func (l *Lab) WatchPing(addr netip.Addr) (*Watch, error) {
	var conn net.PacketConn
	err := l.sw.do(func() error {
		var lc net.ListenConfig
		var err error
		conn, err = lc.ListenPacket(l.life, "ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: ping %s: %w", addr, err)
	}
	w, ctx := l.newWatch("ping " + addr.String())
	id, dst := uint16(rand.Uint32()), &net.IPAddr{IP: addr.AsSlice()}
	var asked [1 << 16]time.Time
	var mu sync.Mutex // of asked
	var seq uint16
	w.every(ctx, func() {
		seq++
		mu.Lock()
		asked[seq] = time.Now()
		mu.Unlock()
		if _, err := conn.WriteTo(echoRequest(id, seq), dst); err != nil {
			w.failed(err)
		}
	})
	w.all.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			at := time.Now()
			p := buf[:n]
			// RFC 792: type 0 is the echo reply; every raw socket gets the replies to all.
			if n < 8 || p[0] != 0 || binary.BigEndian.Uint16(p[4:]) != id || from.String() != addr.String() {
				continue
			}
			mu.Lock()
			sent := asked[binary.BigEndian.Uint16(p[6:])]
			mu.Unlock()
			if at.Sub(sent) < probeTimeout {
				w.answered(Answer{Asked: sent, At: at})
			}
		}
	})
	w.all.Go(func() {
		<-ctx.Done()
		_ = conn.Close()
	})
	return w, nil
}

// echoRequest is an ICMP echo request (RFC 792) without data.
func echoRequest(id, seq uint16) []byte {
	p := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint16(p[6:], seq)
	sum := 0x0800 + uint32(id) + uint32(seq)
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(p[2:], ^uint16(sum))
	return p
}

func (w *Watch) answered(a Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, a)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *Watch) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !errors.Is(err, context.Canceled) {
		w.lastErr = err
	}
}

// Stop ends the watch. What it has seen can still be read.
func (w *Watch) Stop() {
	w.cancel()
	w.all.Wait()
}

// Answers are all answers so far, in order of arrival.
func (w *Watch) Answers() []Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.answers)
}

// Gaps are the times of at least shortest without an answer, from the begin of the watch until now.
func (w *Watch) Gaps(shortest time.Duration) []Gap {
	w.mu.Lock()
	defer w.mu.Unlock()
	return gaps(w.began, w.answers, time.Now(), shortest)
}

func gaps(began time.Time, answers []Answer, now time.Time, shortest time.Duration) []Gap {
	var found []Gap
	last := began
	for _, a := range answers {
		if a.At.Sub(last) >= shortest {
			found = append(found, Gap{From: last, To: a.At})
		}
		last = a.At
	}
	if now.Sub(last) >= shortest {
		found = append(found, Gap{From: last})
	}
	return found
}

// WaitAnswer waits for an answer to a probe that was sent after since.
func (w *Watch) WaitAnswer(ctx context.Context, since time.Time) (Answer, error) {
	var found Answer
	err := w.wait(ctx, func() bool {
		for _, a := range w.answers {
			if a.Asked.After(since) {
				found = a
				return true
			}
		}
		return false
	})
	return found, err
}

// WaitRecovery waits until a gap of at least shortest that was open at or began after since is over.
// It is how a fail-over is measured: take the time, cut the power, wait for the recovery.
func (w *Watch) WaitRecovery(ctx context.Context, since time.Time, shortest time.Duration) (Gap, error) {
	var found Gap
	err := w.wait(ctx, func() bool {
		for _, g := range gaps(w.began, w.answers, time.Now(), shortest) {
			if !g.To.IsZero() && g.To.After(since) {
				found = g
				return true
			}
		}
		return false
	})
	return found, err
}

// WaitSilence waits until there has been no answer for a time.
func (w *Watch) WaitSilence(ctx context.Context, shortest time.Duration) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		gs := w.Gaps(shortest)
		if len(gs) > 0 && gs[len(gs)-1].To.IsZero() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("lab: %s still answers: %w", w.what, ctx.Err())
		}
	}
}

// wait waits until met, which is called with the lock held after each answer, is true.
func (w *Watch) wait(ctx context.Context, met func() bool) error {
	for {
		w.mu.Lock()
		ok, changed, lastErr := met(), w.changed, w.lastErr
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("lab: %s: %w", w.what, errors.Join(ctx.Err(), lastErr))
		}
	}
}
