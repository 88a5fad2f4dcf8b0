package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		os.Exit(victim())
	}
	// What the tests themselves use in hosts, beyond what CheckTools looks for.
	for _, program := range []string{
		"ping", "arping", "ps", "curl", "nginx", "mkfs.ext4", "losetup", "xmllint",
		"/usr/lib/ocf/resource.d/heartbeat/IPaddr2", "/usr/lib/ocf/resource.d/heartbeat/Filesystem",
		"/usr/lib/ocf/resource.d/heartbeat/nginx", "/lib/systemd/systemd", "modprobe", "fuser", "python3",
	} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintf(os.Stderr, "the tests of the lab need %s; run: make setup\n", program)
			os.Exit(1)
		}
	}
	os.Exit(Main(m))
}

// start makes a lab whose hosts are on.
func start(t *testing.T, cfg Config) *Lab {
	t.Helper()
	l := Start(t, cfg)
	if err := l.PowerOnAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// sh runs a script in a host and returns its output; it must succeed.
func sh(t *testing.T, h *Host, script string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// pings says whether a host gets an answer to one of some pings.
func pings(t *testing.T, h *Host, addr netip.Addr) bool {
	t.Helper()
	_, err := h.Exec(t.Context(), "ping", "-n", "-q", "-c", "3", "-i", "0.02", "-W", "0.3", addr.String())
	return err == nil
}

// eventually waits until the condition holds.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A host is a machine of its own: name, processes, files and shared memory.
func TestHostsAreSeparate(t *testing.T) {
	l := start(t, Config{Hosts: 2})
	a, b := l.Host(1), l.Host(2)
	if got := sh(t, a, "hostname; cat /etc/hostname; cat /proc/1/comm"); got != "n1\nn1\nbelay-lab-init" && !strings.HasPrefix(got, "n1\nn1\n") {
		t.Errorf("n1 calls itself %q", got)
	}
	svc, err := a.Start("sleep", "4321")
	must(t, err)
	if got := sh(t, a, "pgrep -fx 'sleep 4321' | wc -l"); got != "1" {
		t.Errorf("%s processes in n1, want 1", got)
	}
	if got := sh(t, b, "pgrep -fx 'sleep 4321' | wc -l"); got != "0" {
		t.Errorf("%s processes of n1 seen in n2", got)
	}
	svc.Kill()
	sh(t, a, "echo a >/etc/only-a; echo a >/tmp/only-a; echo a >/dev/shm/only-a; echo a >/run/only-a")
	for _, name := range []string{"/etc/only-a", "/tmp/only-a", "/dev/shm/only-a", "/run/only-a"} {
		if _, err := b.ReadFile(name); err == nil {
			t.Errorf("n2 sees %s of n1", name)
		}
		if _, err := os.Stat(name); err == nil {
			t.Errorf("the machine sees %s of n1", name)
		}
	}
	sh(t, a, "echo common >/shared/common")
	if got := sh(t, b, "cat /shared/common"); got != "common" {
		t.Errorf("/shared has %q in n2", got)
	}
}

// What belongs to the machine is out of a host's reach.
func TestHostCannotHarmMachine(t *testing.T) {
	l := start(t, Config{Hosts: 1})
	for _, script := range []string{
		"date -s '2001-01-01'", "echo 1 >/proc/sys/kernel/panic", "test -e /dev/watchdog", "test -e /dev/vda", "test -e /dev/sda",
		"mount -o remount,rw /sys && echo x >/sys/power/state",
	} {
		if out, err := l.Host(1).Exec(t.Context(), "sh", "-c", script); err == nil {
			t.Errorf("%s: done: %s", script, out)
		}
	}
	sh(t, l.Host(1), "sysctl -qw net.ipv4.ip_nonlocal_bind=1") // this is the host's own
}

// Labs with the same addresses do not meet.
func TestLabsSideBySide(t *testing.T) {
	t.Parallel()
	one, two := start(t, Config{Hosts: 2}), start(t, Config{Hosts: 1})
	if !pings(t, one.Host(1), one.Host(2).Addr(0)) {
		t.Error("n1 does not reach n2 of its lab")
	}
	if pings(t, two.Host(1), one.Host(2).Addr(0)) {
		t.Error("n1 reaches n2 of the other lab")
	}
	if !pings(t, two.Host(1), two.Addr(1)) {
		t.Error("n1 does not reach its lab")
	}
}

func TestConfigIsChecked(t *testing.T) {
	net := netip.MustParsePrefix
	for _, cfg := range []Config{
		{Hosts: 251},
		{Hosts: -1},
		{Networks: []netip.Prefix{net("10.1.0.0/25")}},
		{Networks: []netip.Prefix{net("fd00::/64")}},
		{Networks: []netip.Prefix{net("10.1.0.0/24"), net("10.1.0.0/16")}},
	} {
		if l, err := New(cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
			must(t, l.Close())
		}
	}
}
