package lab

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestGaps(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	var answers []Answer
	for _, ms := range []int{10, 30, 50, 500, 520, 900} {
		answers = append(answers, Answer{At: at(ms)})
	}
	got := gaps(t0, answers, at(1100), 100*time.Millisecond)
	want := []Gap{{at(50), at(500)}, {at(520), at(900)}, {From: at(900)}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("gaps %v, want %v", got, want)
	}
}

// bootWeb starts a web server that answers with the host's name.
func bootWeb(ctx context.Context, h *Host) error {
	conf := fmt.Sprintf("daemon off; error_log /run/web.log; pid /run/web.pid; user root;\nevents {}\n"+
		"http { access_log off; server { listen 80 default_server; location / { return 200 %s; } } }\n", h.Name())
	if err := h.WriteFile("/run/web.conf", []byte(conf), 0o600); err != nil {
		return err
	}
	_, err := h.Start("nginx", "-c", "/run/web.conf")
	return err
}

// A host goes and comes back: every kind of watch sees for how long.
func TestWatches(t *testing.T) {
	l := start(t, Config{Hosts: 1, Boot: bootWeb})
	h := l.Host(1)
	addr := h.Addr(0).String()
	ping, err := l.WatchPing(h.Addr(0))
	must(t, err)
	watches := map[string]*Watch{
		"ping": ping, "tcp": l.WatchTCP(addr + ":80"), "http": l.WatchHTTP("http://" + addr + "/"),
		"func": l.WatchFunc("status", func(ctx context.Context) (string, error) { return h.Name(), nil }),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, w := range watches {
		a, err := w.WaitAnswer(ctx, time.Time{})
		must(t, err)
		if want := (name == "http" || name == "func"); want != (a.Body == "n1") {
			t.Errorf("%s: body %q", name, a.Body)
		}
	}
	off := time.Now()
	must(t, h.PowerOff())
	for _, name := range []string{"ping", "tcp", "http"} {
		must(t, watches[name].WaitSilence(ctx, 300*time.Millisecond))
	}
	on := time.Now()
	must(t, h.PowerOn(ctx))
	for _, name := range []string{"ping", "tcp", "http"} {
		gap, err := watches[name].WaitRecovery(ctx, off, 200*time.Millisecond)
		must(t, err)
		t.Logf("%s: away for %s, back %s after power-on", name, gap.Duration(), gap.To.Sub(on))
		// The last answer may have been on its way while the power went.
		if gap.From.Before(off.Add(-2*probeInterval)) || gap.From.After(h.OffAt().Add(10*time.Millisecond)) {
			t.Errorf("%s: the last answer came %s after power-off", name, gap.From.Sub(off))
		}
		if gap.To.Before(on) || gap.To.Sub(on) > 3*time.Second {
			t.Errorf("%s: the first answer came %s after power-on", name, gap.To.Sub(on))
		}
	}
	watches["func"].Stop()
	for _, g := range watches["func"].Gaps(2 * time.Second) { // a busy machine makes small ones
		if !g.To.IsZero() {
			t.Errorf("away for %s, but it never was", g.Duration())
		}
	}
}

// An address that moves to another host answers from there as soon as it is announced.
func TestWatchMovedAddress(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 2, Boot: bootWeb})
	vip := l.addr(0, 100).String()
	take := fmt.Sprintf("ip addr add %s/24 dev eth0 && arping -q -U -c 1 -I eth0 %s", vip, vip)
	sh(t, l.Host(1), take)
	w := l.WatchHTTP("http://" + vip + "/")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a, err := w.WaitAnswer(ctx, time.Time{})
	must(t, err)
	if a.Body != "n1" {
		t.Fatalf("%s answers at first", a.Body)
	}
	must(t, l.Host(1).PowerOff())
	off := l.Host(1).OffAt()
	must(t, w.WaitSilence(ctx, 300*time.Millisecond))
	sh(t, l.Host(2), take)
	gap, err := w.WaitRecovery(ctx, off, 100*time.Millisecond)
	must(t, err)
	t.Logf("the address was away for %s", gap.Duration())
	if gap.Duration() > 2*time.Second {
		t.Error("the announcement was not heard")
	}
	if a, err := w.WaitAnswer(ctx, gap.To); err != nil || a.Body != "n2" {
		t.Errorf("%s answers in the end, %v", a.Body, err)
	}
}
