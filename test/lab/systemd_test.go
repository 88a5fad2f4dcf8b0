package lab

import (
	"context"
	"testing"
	"time"
)

// A host with a real systemd boots, runs units, and knows only its own.
func TestSystemd(t *testing.T) {
	l := Start(t, Config{Hosts: 2, Systemd: []int{1}})
	h := l.Host(1)
	unit := "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
	must(t, h.WriteFile("/etc/systemd/system/lab-test.service", []byte(unit), 0o644))
	began := time.Now()
	must(t, l.PowerOnAll(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, h.WaitSystemd(ctx))
	t.Logf("running after %s", time.Since(began))
	if got := sh(t, h, "cat /proc/1/comm; systemctl is-active dbus.service"); got != "systemd\nactive" {
		t.Errorf("PID 1 and D-Bus: %q", got)
	}
	sh(t, h, "systemctl enable --now lab-test.service")
	if got := sh(t, h, "systemd-run --wait --pipe --quiet sh -c 'echo from a unit'"); got != "from a unit" {
		t.Errorf("systemd-run: %q", got)
	}
	if got := sh(t, h, "systemctl is-active nginx.service ssh.service cron.service; true"); got != "inactive\ninactive\ninactive" {
		t.Errorf("units of the machine run: %q", got)
	}
	if !pings(t, l.Host(2), h.Addr(0)) {
		t.Error("n1 is not on the network")
	}
	began = time.Now()
	must(t, h.PowerOff())
	if d := time.Since(began); d > time.Second {
		t.Errorf("power off took %s", d)
	}
	must(t, h.PowerOn(ctx))
	must(t, h.WaitSystemd(ctx))
	if got := sh(t, h, "systemctl is-active lab-test.service"); got != "active" {
		t.Errorf("the enabled unit is %s after a reboot", got)
	}
	must(t, h.Hang())
	must(t, h.Thaw())
	_, _ = h.Exec(ctx, "systemctl", "reboot") // killed by what it does
	eventually(t, 10*time.Second, "the host is back", func() bool { return h.Boots() == 3 && h.Power() == On })
	must(t, h.WaitSystemd(ctx))
}
