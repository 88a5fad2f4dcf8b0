package lab

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The exit codes of resource agents (OCF 1.1, "Exit status codes").
const (
	ocfSuccess    = 0
	ocfNotRunning = 7
)

// ocf runs a resource agent in a host with the environment that a cluster manager gives, and checks
// its exit code.
func ocf(t *testing.T, h *Host, want int, agent, action string, parameters map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := h.Command(ctx, "/usr/lib/ocf/resource.d/heartbeat/"+agent, action)
	c.Env = []string{
		"OCF_ROOT=/usr/lib/ocf", "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE=lab-" + agent, "OCF_RESOURCE_TYPE=" + agent, "OCF_RESOURCE_PROVIDER=heartbeat",
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		c.Env = append(c.Env, "OCF_RESKEY_"+name+"="+parameters[name])
	}
	began := time.Now()
	out, err := c.CombinedOutput()
	t.Logf("%s: %s %s: exit %d in %s", h.Name(), agent, action, ExitCode(err), time.Since(began).Round(time.Millisecond))
	if got := ExitCode(err); got != want {
		t.Fatalf("%s: %s %s: exit %d, want %d: %v: %s", h.Name(), agent, action, got, want, err, out)
	}
}

// Debian's own agents run in hosts: an address, a file system on shared storage and a web server that
// serves from it move to another host when the first loses power.
func TestResourceAgents(t *testing.T) {
	l := start(t, Config{Hosts: 2})
	vip := l.addr(0, 100).String()
	image := filepath.Join(l.Shared(), "data.img")
	for _, c := range [][]string{{"truncate", "-s", "16M", image}, {"mkfs.ext4", "-q", image}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", c, err, out)
		}
	}
	// The agent reads the file itself and wants one directive on a line.
	conf := "error_log /run/web.log;\npid /run/web.pid;\nuser root;\nevents {}\nhttp {\naccess_log off;\n" +
		"server {\nlisten 80;\nroot /mnt;\n}\n}\n"
	address := map[string]string{"ip": vip, "cidr_netmask": "24", "nic": "eth0"}
	files := map[string]string{"device": "/shared/data.img", "directory": "/mnt", "fstype": "ext4", "options": "loop"}
	web := map[string]string{"configfile": "/etc/web.conf", "port": "80"}
	startAll := func(h *Host) {
		t.Helper()
		must(t, h.WriteFile("/etc/web.conf", []byte(conf), 0o600))
		for _, r := range []struct {
			agent      string
			parameters map[string]string
		}{{"IPaddr2", address}, {"Filesystem", files}, {"nginx", web}} {
			ocf(t, h, ocfNotRunning, r.agent, "monitor", r.parameters)
			ocf(t, h, ocfSuccess, r.agent, "start", r.parameters)
			ocf(t, h, ocfSuccess, r.agent, "monitor", r.parameters)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	a, b := l.Host(1), l.Host(2)
	watch := l.WatchHTTP(fmt.Sprintf("http://%s/index.html", vip))
	startAll(a)
	sh(t, a, "echo written by n1 >/mnt/index.html")
	answer, err := watch.WaitAnswer(ctx, time.Time{})
	must(t, err)
	if answer.Body != "written by n1\n" {
		t.Errorf("the service answers %q", answer.Body)
	}
	must(t, a.PowerOff())
	startAll(b)
	gap, err := watch.WaitRecovery(ctx, a.OffAt(), 100*time.Millisecond)
	must(t, err)
	t.Logf("the service was away for %s", gap.Duration())
	if answer, err = watch.WaitAnswer(ctx, gap.To); err != nil || answer.Body != "written by n1\n" {
		t.Errorf("after the move the service answers %q, %v", answer.Body, err)
	}
	must(t, a.PowerOn(ctx))
	ocf(t, a, ocfNotRunning, "IPaddr2", "monitor", address)
	ocf(t, a, ocfNotRunning, "Filesystem", "monitor", files)
	ocf(t, b, ocfSuccess, "nginx", "stop", web)
	ocf(t, b, ocfSuccess, "Filesystem", "stop", files)
	ocf(t, b, ocfSuccess, "IPaddr2", "stop", address)
	ocf(t, b, ocfNotRunning, "IPaddr2", "monitor", address)
	must(t, watch.WaitSilence(ctx, 100*time.Millisecond))
}
