package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The goals: power-on below 200 ms, power-off below 50 ms, at the median of some.
func TestPowerTimes(t *testing.T) {
	const rounds = 9
	l := start(t, Config{Hosts: 2})
	h := l.Host(1)
	var ons, offs []time.Duration
	for range rounds {
		_, err := h.Start("sleep", "1000")
		must(t, err)
		began := time.Now()
		must(t, h.PowerOff())
		offs = append(offs, time.Since(began))
		began = time.Now()
		must(t, h.PowerOn(t.Context()))
		ons = append(ons, time.Since(began))
	}
	slices.Sort(ons)
	slices.Sort(offs)
	t.Logf("power on: median %s, worst %s; power off: median %s, worst %s", ons[rounds/2], ons[rounds-1], offs[rounds/2], offs[rounds-1])
	if d := offs[rounds/2]; d > 50*time.Millisecond {
		t.Errorf("power off takes %s", d)
	}
	if d := ons[rounds/2]; d > 200*time.Millisecond {
		t.Errorf("power on takes %s", d)
	}
}

// Power-off takes everything but the disk.
func TestPowerOffKeepsDiskOnly(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 2})
	h := l.Host(1)
	sh(t, h, "for d in /var/lib /run /tmp /dev/shm; do echo kept >$d/file; done; ip addr add 10.77.0.99/24 dev eth0")
	svc, err := h.Start("sleep", "1000")
	must(t, err)
	must(t, h.PowerOff())
	if err := svc.Wait(); err == nil {
		t.Error("a service ended well at power-off")
	}
	if pings(t, l.Host(2), h.Addr(0)) || pings(t, l.Host(2), l.addr(0, 99)) {
		t.Error("a host without power answers")
	}
	if _, err := h.Exec(t.Context(), "true"); !errors.Is(err, ErrOff) {
		t.Errorf("a command in a host without power: %v", err)
	}
	if b, err := h.ReadFile("/var/lib/file"); err != nil || string(b) != "kept\n" {
		t.Errorf("on the disk: %q, %v", b, err)
	}
	must(t, h.WriteFile("/etc/belay/from-outside", []byte("x"), 0o600))
	must(t, h.PowerOn(t.Context()))
	if got := sh(t, h, "ls /var/lib/file /run/file /tmp/file /dev/shm/file 2>/dev/null; cat /etc/belay/from-outside"); got != "/var/lib/file\nx" {
		t.Errorf("after power-on: %q", got)
	}
	if !pings(t, l.Host(2), h.Addr(0)) || !pings(t, l.Host(2), h.Addr6(1)) {
		t.Error("a host with power does not answer")
	}
	if pings(t, l.Host(2), l.addr(0, 99)) {
		t.Error("an added address survived")
	}
}

// A hung host answers pings and does nothing, and can be powered off.
func TestHang(t *testing.T) {
	l := start(t, Config{Hosts: 2})
	h := l.Host(1)
	_, err := h.StartCommand("count", h.Command(context.Background(), "sh", "-c",
		"while sleep 0.01; do echo >>/shared/count; done"))
	must(t, err)
	count := func() int64 {
		info, err := os.Stat(filepath.Join(l.Shared(), "count"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	eventually(t, 5*time.Second, "the counter runs", func() bool { return count() > 3 })
	must(t, h.Hang())
	if h.Power() != Hung {
		t.Errorf("the host is %s", h.Power())
	}
	before := count()
	if !pings(t, l.Host(2), h.Addr(0)) {
		t.Error("a hung host does not answer pings")
	}
	if after := count(); after != before {
		t.Errorf("a hung host counted from %d to %d", before, after)
	}
	if _, err := h.Exec(t.Context(), "true"); !errors.Is(err, ErrHung) {
		t.Errorf("a command in a hung host: %v", err)
	}
	must(t, h.Thaw())
	eventually(t, 5*time.Second, "the counter goes on", func() bool { return count() > before })
	must(t, h.Hang())
	must(t, h.PowerOff())
	must(t, h.PowerOn(t.Context()))
	if got := sh(t, h, "echo well"); got != "well" {
		t.Errorf("after power-on: %q", got)
	}
}

// A host reboots and switches itself off, and boots run the boot function.
func TestHostChangesItsOwnPower(t *testing.T) {
	var boots atomic.Int32
	l := start(t, Config{Hosts: 1, Boot: func(ctx context.Context, h *Host) error {
		boots.Add(1)
		return h.WriteFile("/run/booted", nil, 0o600)
	}})
	h := l.Host(1)
	// reboot(8) of systemd asks PID 1, unless forced twice.
	_, _ = h.Exec(t.Context(), "reboot", "-f", "-f") // killed by what it does
	eventually(t, 5*time.Second, "the host is back", func() bool { return h.Boots() == 2 && h.Power() == On && boots.Load() == 2 })
	_, _ = h.Exec(t.Context(), "poweroff", "-f", "-f")
	eventually(t, 5*time.Second, "the host is off", func() bool { return h.Power() == Off })
	must(t, h.PowerOn(t.Context()))
	if _, err := h.ReadFile("/run/booted"); err != nil {
		t.Error(err)
	}
	// The pipe stands for /proc/sysrq-trigger, which not every kernel has.
	_, err := l.Host(1).sysrq.WriteString("b")
	must(t, err)
	eventually(t, 5*time.Second, "the host was reset", func() bool { return boots.Load() == 4 && h.Power() == On })
	_, err = l.Host(1).sysrq.WriteString("o")
	must(t, err)
	eventually(t, 5*time.Second, "the host is off", func() bool { return h.Power() == Off })
}

// Init reaps what others leave behind.
func TestInitReapsOrphans(t *testing.T) {
	l := start(t, Config{Hosts: 1})
	h := l.Host(1)
	sh(t, h, "for i in 1 2 3 4 5; do (sh -c 'sleep 0.05' &) ; done")
	eventually(t, 5*time.Second, "no zombies", func() bool {
		return sh(t, h, "ps -eo stat,comm | grep -c -e ^Z -e sleep; true") == "0"
	})
}

// Each boot of a host has an id of its own, as that of a machine has.
func TestBootID(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 2})
	const file = "cat /proc/sys/kernel/random/boot_id"
	a, b := sh(t, l.Host(1), file), sh(t, l.Host(2), file)
	must(t, l.Host(1).Reboot(t.Context()))
	again := sh(t, l.Host(1), file)
	machine, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	must(t, err)
	if a == b || a == again || a == strings.TrimSpace(string(machine)) || len(a) != 36 {
		t.Errorf("boot ids %s of n1, %s of n2, %s of n1 after a reboot, machine %s", a, b, again, machine)
	}
}
