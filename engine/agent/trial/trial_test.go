package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets this program be the one in a scratch host.
func TestMain(m *testing.M) {
	if rc, done := Enter(); done {
		os.Exit(rc)
	}
	if Inside() {
		os.Exit(work())
	}
	os.Exit(m.Run())
}

// task is what the process in a scratch host is asked to do.
type task struct {
	Agent   string
	Setup   Setup
	Options Options
}

// work carries out the task in the arguments, and prints the report.
func work() int {
	var t task
	if err := json.Unmarshal([]byte(os.Args[1]), &t); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	r, err := Try(context.Background(), t.Agent, t.Options, t.Setup)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

// try tries an agent out in a scratch host of its own.
func try(t *testing.T, x task) *Report {
	t.Helper()
	arg, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	rc, err := Run(t.Context(), []string{string(arg)}, &out, &errOut)
	if err != nil || rc != 0 {
		t.Fatalf("%s: status %d, %v: %s", x.Agent, rc, err, errOut.String())
	}
	r := &Report{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("%s: %v: %s", x.Agent, err, out.String())
	}
	return r
}

// check compares the faults of a report with those that are known, by what was asked.
func check(t *testing.T, r *Report, known ...string) {
	t.Helper()
	left := slices.Clone(known)
	for _, f := range r.Faults {
		i := slices.IndexFunc(left, func(k string) bool { return strings.HasPrefix(f, k) })
		if i < 0 {
			t.Errorf("%s: %s", r.Agent, f)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("%s: nothing is wrong any more with: %s", r.Agent, strings.Join(left, "; "))
	}
	if t.Failed() {
		t.Log("\n" + r.String())
	}
}

const (
	unknownAction = "refuse an action that does not exist: no-such-action returned 2"
	validation    = "accept its parameters"
	nginxConf     = `mkdir -p /var/log/nginx
cat > /run/n.conf <<X
pid /run/n.pid; error_log /run/n.err; events {}
http { access_log off; server { listen 127.0.0.1:8099; location /nginx_status { stub_status; } } }
X`
	mailer = `printf '#!/bin/sh\ncat >/dev/null\n' > ` + ShimDir + `/mail; chmod +x ` + ShimDir + `/mail`
)

// TestDebianResourceAgents tries the distribution's agents out. What is wrong with
// them is known, and told exactly.
func TestDebianResourceAgents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		agent      string
		params     string // NAME=VALUE, separated by blanks
		before     string
		promotable bool
		known      []string
	}{
		{agent: "heartbeat:Dummy"},
		{agent: "pacemaker:Dummy"},
		{agent: "heartbeat:Stateful", promotable: true},
		{agent: "pacemaker:Stateful", promotable: true},
		{agent: "heartbeat:IPaddr2", params: "ip=192.0.2.50 nic=" + Interface},
		{agent: "heartbeat:IPv6addr", params: "ipv6addr=2001:db8::9/64 nic=" + Interface, known: []string{unknownAction}},
		{agent: "heartbeat:Route", params: "destination=198.51.100.0/24 gateway=192.0.2.77 device=" + Interface},
		{agent: "heartbeat:ethmonitor", params: "repeat_count=1 repeat_interval=1 pktcnt_timeout=1 interface=" + Interface},
		{agent: "heartbeat:Filesystem", params: "device=tmpfs directory=/mnt/x fstype=tmpfs", before: "mkdir /mnt/x"},
		{agent: "heartbeat:Filesystem", params: "device=/run/img directory=/mnt/x fstype=ext4 options=loop", before: "mkdir /mnt/x; truncate -s 8M /run/img; mkfs.ext4 -q /run/img"},
		{agent: "heartbeat:nginx", params: "configfile=/run/n.conf httpd=/usr/sbin/nginx status10url=http://127.0.0.1:8099/nginx_status", before: nginxConf},
		{agent: "heartbeat:redis", params: "bin=/usr/bin/redis-server config=/run/r.conf pidfile_name=r.pid", promotable: true, before: "printf 'port 6390\\nbind 127.0.0.1\\ndir /run/rd\\n' > /run/r.conf; mkdir -p /run/rd; chown redis /run/rd"},
		{agent: "heartbeat:rsyslog", params: "configfile=/run/rs.conf", before: `printf 'module(load="imuxsock" SysSock.Name="/run/rs.sock")\n*.* /run/rs.log\n' > /run/rs.conf`},
		{agent: "heartbeat:anything", params: "binfile=/bin/sleep cmdline_options=1000", known: []string{"refuse to be without binfile: validate-all returned 0"}},
		{agent: "heartbeat:symlink", params: "link=/run/l target=/etc/hosts"},
		{agent: "heartbeat:MailTo", params: "email=root@localhost", before: mailer},
		{agent: "heartbeat:Delay", params: "startdelay=1 stopdelay=0 mondelay=0", known: []string{unknownAction}},
		{agent: "heartbeat:machine-info"},
		{agent: "heartbeat:NodeUtilization", known: []string{validation + ": validate-all returned 3", validation + ", while it runs: validate-all returned 3"}},
		{agent: "pacemaker:HealthCPU"},
		{agent: "pacemaker:HealthIOWait"},
		{agent: "pacemaker:ifspeed", params: "iface=" + Interface},
		{agent: "pacemaker:ping", params: "host_list=" + Address + " attempts=1"},
	} {
		t.Run(c.agent, func(t *testing.T) {
			t.Parallel()
			opt := Options{Promotable: c.promotable, Params: map[string]string{}}
			for p := range strings.FieldsSeq(c.params) {
				name, value, _ := strings.Cut(p, "=")
				opt.Params[name] = value
			}
			check(t, try(t, task{Agent: "ocf:" + c.agent, Options: opt, Setup: Setup{Before: c.before}}), c.known...)
		})
	}
}

// TestDebianFenceAgents asks fence agents for what must fail where nobody answers, and
// drives the one whose device is a file.
func TestDebianFenceAgents(t *testing.T) {
	t.Parallel()
	dummy := task{
		Agent: "fence_dummy", Options: Options{Drive: true, Params: map[string]string{"type": "file", "status_file": "/run/st"}},
		Setup: Setup{Before: "printf on > /run/st"},
	}
	check(t, try(t, dummy))
	for _, name := range []string{"fence_apc", "fence_cisco_ucs", "fence_ilo_ssh", "fence_redfish", "fence_virsh", "fence_vmware_soap"} {
		t.Run(name, func(t *testing.T) {
			check(t, try(t, task{Agent: name, Options: Options{Params: map[string]string{"ip": "127.0.0.1", "username": "u", "password": "p"}}}))
		})
	}
}

// TestFaults tries an agent out that makes one mistake after another.
func TestFaults(t *testing.T) {
	t.Parallel()
	agent, err := os.ReadFile("testdata/ocf/resource.d/trial/broken")
	if err != nil {
		t.Fatal(err)
	}
	// It is written down there: where this file is may be hidden in the scratch host.
	const dir = "/run/ocf/resource.d/trial"
	setup := Setup{Before: "mkdir -p " + dir + "\ncat >" + dir + "/broken <<'END OF AGENT'\n" + string(agent) + "\nEND OF AGENT\nchmod 755 " + dir + "/broken", OCFRoot: "/run/ocf"}
	for fault, want := range map[string][]string{
		"nothing":  nil,
		"none":     {validation + ": validate-all returned 6", validation + ", while it runs: validate-all returned 6"},
		"unknown":  {"refuse an action that does not exist: no-such-action returned 0"},
		"stopped":  {"stop, while it does not run: stop returned 1", "stop again: stop returned 1"},
		"twice":    {"start again, while it runs: start returned 1"},
		"child":    {"processes are left after the stop: sleep 300"},
		"cut":      {"stop after that: stop returned 1"},
		"promoted": {"say that it runs: monitor returned 8", "say so in a recurring monitor, too: monitor returned 8", "still run after that: monitor returned 8"},
		"hang":     {"stop, while it does not run: stop did not end within 5s", "stop: stop did not end within 5s", "stop after that: stop did not end within 5s", "say that nothing runs: monitor returned 0"},
		"always":   {"say that it does not run yet: monitor returned 0", "say that it does not run any more: monitor returned 0", "say that nothing runs: monitor returned 0"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r := try(t, task{Agent: "ocf:trial:broken", Options: Options{Params: map[string]string{"fault": fault}}, Setup: setup})
			check(t, r, want...)
		})
	}
}

// TestScratch: what is written in a scratch host is gone with it, and /usr is only read.
func TestScratch(t *testing.T) {
	t.Parallel()
	name := "/var/tmp/belay-trial-" + time.Now().Format("150405.000000000")
	check(t, try(t, task{Agent: "ocf:heartbeat:Dummy", Options: Options{Only: true}, Setup: Setup{Before: "touch " + name + "; ! touch /usr/x; [ $(hostname) = scratch ]; [ $(ls -d /proc/[0-9]* | wc -l) -lt 8 ]"}}))
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("%s is there afterwards: %v", name, err)
	}
}
