package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fence runs the agent in a host as a cluster manager does: options on the standard input. It returns
// the exit code and the output with the errors.
func fence(t *testing.T, h *Host, p *PDU, options ...string) (int, string) {
	t.Helper()
	c := h.Command(t.Context(), FenceAgent)
	options = append(options, "ip="+p.Addr().Addr().String(), fmt.Sprintf("ipport=%d", p.Addr().Port()), "nodename=whoever")
	c.Stdin = strings.NewReader(strings.Join(options, "\n") + "\n")
	out, err := c.CombinedOutput()
	if ExitCode(err) < 0 {
		t.Fatalf("%s: %v: %s", FenceAgent, err, out)
	}
	return ExitCode(err), string(out)
}

// fenceLab is a lab of two hosts with the agent, and a power switch.
func fenceLab(t *testing.T, cfg Config, pdu PDUConfig) (*Lab, *PDU) {
	t.Helper()
	cfg.Hosts = 2
	l := Start(t, cfg)
	must(t, l.InstallFenceAgent(t.Context()))
	p, err := l.NewPDU(pdu)
	must(t, err)
	must(t, l.PowerOnAll(t.Context()))
	return l, p
}

func TestFenceAgent(t *testing.T) {
	l, p := fenceLab(t, Config{Boot: bootWeb}, PDUConfig{User: "admin", Password: "open sesame"})
	h, victim := l.Host(1), l.Host(2)
	login := []string{"username=admin", `password="open sesame"`}
	try := func(wantCode int, want string, options ...string) {
		t.Helper()
		began := time.Now()
		code, out := fence(t, h, p, append(options, login...)...)
		t.Logf("%s: exit %d in %s", strings.Join(options, " "), code, time.Since(began).Round(time.Millisecond))
		if code != wantCode || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d %q, want %d %q", options, code, out, wantCode, want)
		}
	}
	try(0, "", "action=monitor")
	try(0, "n1,\nn2,\n", "action=list")
	try(0, "n1,,ON\nn2,,ON\n", "action=list-status")
	try(0, "Status: ON", "action=status", "port=n2")
	try(0, "Success: Already ON", "action=on", "plug=n2")
	try(0, "Success: Powered OFF", "action=off", "plug=n2")
	if victim.Power() != Off {
		t.Fatal("n2 is on")
	}
	try(2, "Status: OFF", "action=status", "plug=n2")
	try(0, "Success: Already OFF", "action=off", "plug=n2")
	try(0, "n1,,ON\nn2,,OFF\n", "action=list-status")
	try(0, "Success: Powered ON", "action=on", "plug=n2")
	eventually(t, 5*time.Second, "n2 serves", func() bool {
		_, err := h.Exec(t.Context(), "curl", "-sf", "-m1", "http://n2/")
		return err == nil
	})
	boots := victim.Boots()
	try(0, "Success: Rebooted", "plug=n2") // the default action
	try(0, "Success: Rebooted", "action=reboot", "plug=n2", "method=cycle")
	if victim.Boots() != boots+2 || victim.Power() != On {
		t.Errorf("n2 is %s after %d boots", victim.Power(), victim.Boots()-boots)
	}
	eventually(t, 5*time.Second, "n2 serves", func() bool {
		_, err := h.Exec(t.Context(), "curl", "-sf", "-m1", "http://n2/")
		return err == nil
	})
	must(t, victim.Hang())
	try(0, "Status: ON", "action=status", "plug=n2") // it has power
	try(0, "Success: Powered OFF", "action=off", "plug=n2")

	try(1, "Failed: Unable to obtain correct plug status", "action=status", "plug=n7")
	try(1, "You have to enter plug number", "action=off")
	try(1, "Unrecognised action 'explode'", "action=explode", "plug=n2")
	try(1, "not a valid integer", "action=off", "plug=n2", "retry_on=x")
	try(1, "not a valid time in seconds", "action=validate-all", "plug=n2", "delay=soon")
	try(0, "", "action=validate-all", "plug=n2")
	login[1] = "password=wrong"
	try(1, "Unable to connect/login", "action=off", "plug=n1")
	if h.Power() != On {
		t.Error("n1 was fenced with a wrong password")
	}
	login = nil
	try(0, "<resource-agent name=\"fence_lab\"", "action=metadata")

	// The same through flags.
	if out, err := h.Exec(t.Context(), "fence_lab", "-o", "status", "--ip="+p.Addr().Addr().String(), "-l", "admin", "-popen sesame", "--plug", "n2"); ExitCode(err) != 2 {
		t.Errorf("flags: %v: %s", err, out)
	}
	if n := len(p.Requests()); n < 20 {
		t.Errorf("the power switch remembers %d requests", n)
	}
	for _, r := range p.Requests() {
		if r.From != h.Addr(0) {
			t.Errorf("a request from %s", r.From)
		}
	}
}

// The agent's description is one that programs for fence agents can read.
func TestFenceAgentMetadata(t *testing.T) {
	l, _ := fenceLab(t, Config{}, PDUConfig{})
	out, err := l.Host(1).Exec(t.Context(), FenceAgent, "-o", "metadata")
	must(t, err)
	c := exec.Command("xmllint", "--xpath", "count(/resource-agent/parameters/parameter[content/@type and getopt and shortdesc]) > 15 "+
		"and count(/resource-agent/actions/action) = 9 and count(//parameter[@name='plug' and @obsoletes='port']) = 1", "-")
	c.Stdin = strings.NewReader(out)
	if b, err := c.CombinedOutput(); err != nil || strings.TrimSpace(string(b)) != "true" {
		t.Errorf("xmllint: %s, %v in\n%s", b, err, out)
	}
}

// A power switch that misbehaves: the agent never claims what it did not see.
func TestFenceDeviceFaults(t *testing.T) {
	l, p := fenceLab(t, Config{}, PDUConfig{})
	h, victim := l.Host(1), l.Host(2)
	quick := []string{"plug=n2", "login_timeout=0.2", "shell_timeout=0.2", "power_timeout=0.3"}
	try := func(action string, wantCode int, want string) {
		t.Helper()
		code, out := fence(t, h, p, append(quick, "action="+action)...)
		if code != wantCode || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d %q, want %d %q", action, code, out, wantCode, want)
		}
		if victim.Power() != On {
			t.Errorf("n2 is %s", victim.Power())
		}
	}
	p.SetFault(PDUFault{Fail: true})
	try("off", 1, "Unable to obtain correct plug status")
	try("monitor", 1, "Unable to obtain")
	p.SetFault(PDUFault{Hang: true})
	try("status", 1, "Connection timed out")
	p.SetFault(PDUFault{Stuck: true})
	try("off", 1, "Timed out waiting to power OFF")
	try("reboot", 1, "Timed out waiting to power OFF")
	p.SetFault(PDUFault{Lie: true}) // nobody can see through this one
	try("off", 0, "Powered OFF")
	try("status", 2, "Status: OFF")
	p.SetFault(PDUFault{Outlet: "n1", Fail: true})
	try("status", 0, "Status: ON")
	p.SetFault(PDUFault{Delay: time.Second})
	try("status", 1, "Connection timed out")
	p.SetFault(PDUFault{Delay: 100 * time.Millisecond})
	try("status", 0, "Status: ON")
	p.SetFault(PDUFault{})
	must(t, p.Close())
	try("off", 1, "Unable to connect/login")
	again, err := l.NewPDU(PDUConfig{StayOff: true})
	must(t, err)
	if code, out := fence(t, h, again, "action=reboot", "plug=n2", "method=cycle"); code != 0 || victim.Power() != Off {
		t.Errorf("reboot that stays off: exit %d %q, n2 is %s", code, out, victim.Power())
	}
}

// Two agents at once, and one that fences its own host: the device stays sane.
func TestFenceAtOnce(t *testing.T) {
	l, p := fenceLab(t, Config{}, PDUConfig{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if code, out := fence(t, l.Host(1), p, "action=reboot", "plug=n2"); code != 0 {
				t.Errorf("exit %d: %s", code, out)
			}
		})
	}
	wg.Wait()
	if l.Host(2).Power() != On {
		t.Errorf("n2 is %s", l.Host(2).Power())
	}
	c := l.Host(1).Command(t.Context(), FenceAgent, "-o", "off", "-a", p.Addr().Addr().String(), "-n", "n1")
	if err := c.Run(); ExitCode(err) != -1 {
		t.Errorf("the agent saw its own end: %v", err)
	}
	eventually(t, 5*time.Second, "n1 is off", func() bool { return l.Host(1).Power() == Off })
}

// Without its tools the lab says what to do.
func TestMissingTools(t *testing.T) {
	t.Setenv("PATH", filepath.Join(t.TempDir(), "empty"))
	if err := CheckTools(); err == nil || !strings.Contains(err.Error(), "make setup") {
		t.Errorf("without tools: %v", err)
	}
}
