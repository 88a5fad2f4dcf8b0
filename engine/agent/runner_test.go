package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/cib"
)

func TestParseID(t *testing.T) {
	for in, want := range map[string]ID{
		"ocf:heartbeat:IPaddr2":    {"ocf", "heartbeat", "IPaddr2"},
		"ocf::heartbeat:IPaddr2":   {"ocf", "heartbeat", "IPaddr2"},
		"systemd:nginx":            {"systemd", "", "nginx"},
		"systemd:getty@tty1":       {"systemd", "", "getty@tty1"},
		"service:a\\x2db.service":  {"service", "", "a\\x2db.service"},
		"belay:process":            {"belay", "", "process"},
		"lsb:nfs-kernel-server.sh": {"lsb", "", "nfs-kernel-server.sh"},
	} {
		if got, err := ParseID(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "nginx", "ocf:heartbeat", "ocf:..:x", "ocf:heartbeat:../../bin/sh", "lsb:../x", "lsb:.hidden", "stonith:fence_x",
		"systemd:", "systemd:../x", "belay:a b", "ocf:heartbeat:", "ocf::x", "lsb:a/b", "systemd:.service",
	} {
		if got, err := ParseID(in); err == nil {
			t.Errorf("%q: accepted as %+v", in, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("LEAKED", "from the engine")
	r := testRunner(t, func(c *Config) { c.Env = []string{"BELAY_SOCKET=/run/x"} })
	res := r.Run(context.Background(), Request{
		ActionID: "3.4", Agent: mustID(t, "ocf:test:dump"), Instance: "web:1", Op: "monitor",
		Params: map[string]string{"ip": "10.0.0.1", "two words": "a b", "OCF_CHECK_LEVEL": "10"},
		Meta:   map[string]string{"clone-max": "3", "CRM_meta_notify": "true"},
		Env:    map[string]string{"EXTRA": "yes"}, Timeout: 20 * time.Second, Interval: 10 * time.Second, NodeID: "id-1",
	})
	if res.Status != cib.OpDone || res.RC != 0 {
		t.Fatalf("%+v", res)
	}
	lines := map[string]bool{}
	for l := range strings.Lines(res.Stdout) {
		lines[strings.TrimSpace(l)] = true
	}
	abs, _ := filepath.Abs("testdata/ocf")
	for _, want := range []string{
		"OCF_ROOT=" + abs, "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1", "OCF_RESOURCE_INSTANCE=web:1",
		"OCF_RESOURCE_TYPE=dump", "OCF_RESOURCE_PROVIDER=test", "OCF_EXIT_REASON_PREFIX=ocf-exit-reason:", "OCF_CHECK_LEVEL=10",
		"OCF_RESKEY_ip=10.0.0.1", "OCF_RESKEY_crm_feature_set=3.16.2", "OCF_RESKEY_CRM_meta_name=monitor", "OCF_RESKEY_CRM_meta_timeout=20000",
		"OCF_RESKEY_CRM_meta_interval=10000", "OCF_RESKEY_CRM_meta_on_node=n1", "OCF_RESKEY_CRM_meta_on_node_uuid=id-1",
		"OCF_RESKEY_CRM_meta_clone_max=3", "OCF_RESKEY_CRM_meta_notify=true", "HA_RSCTMP=" + r.cfg.RscTmp, "HA_SBIN_DIR=" + r.cfg.ShimDir,
		"BELAY_SOCKET=/run/x", "EXTRA=yes", "args=monitor", "stdin=/dev/null", "cwd=/", "own-session",
		"PATH=" + r.cfg.ShimDir + ":" + searchPath,
	} {
		if !lines[want] {
			t.Errorf("no line %q", want)
		}
	}
	for l := range lines {
		name, _, _ := strings.Cut(l, "=")
		switch {
		case strings.HasPrefix(name, "OCF_"), strings.HasPrefix(name, "HA_"), strings.HasPrefix(name, "BELAY_"):
		default:
			if !slices.Contains(strings.Fields("PATH EXTRA PWD OLDPWD SHLVL _ args stdin cwd own-session"), name) {
				t.Errorf("line that nobody asked for: %q", l)
			}
		}
	}
	if t.Failed() {
		t.Log(res.Stdout)
	}
	if st, err := os.Stat(r.cfg.RscTmp); err != nil || st.Mode()&os.ModeSticky == 0 {
		t.Errorf("HA_RSCTMP: %v, %v", st, err)
	}
}

func TestProbeHasIntervalZero(t *testing.T) {
	r := testRunner(t)
	res := r.Run(context.Background(), Request{Agent: mustID(t, "ocf:test:dump"), Instance: "web", Op: "monitor"})
	if !strings.Contains(res.Stdout, "OCF_RESKEY_CRM_meta_interval=0\n") || !strings.Contains(res.Stdout, "OCF_RESKEY_CRM_meta_timeout=20000\n") {
		t.Errorf("%+v", res)
	}
}

func TestExitCodes(t *testing.T) {
	r := testRunner(t)
	for _, c := range []struct {
		op, code string
		rc       int
		odd      bool
	}{
		{"monitor", "0", 0, false},
		{"monitor", "7", 7, false},
		{"monitor", "8", 8, false},
		{"monitor", "190", 190, false},
		{"start", "5", 5, false},
		{"stop", "213", 213, true},
		{"start", "190", 190, true},
		{"monitor", "10", 10, true},
		{"monitor", "192", 192, true},
	} {
		res := r.Run(context.Background(), Request{Agent: mustID(t, "ocf:test:code"), Instance: "a", Op: c.op, Params: map[string]string{"code": c.code}})
		if res.Status != cib.OpDone || res.RC != c.rc || res.Odd != c.odd {
			t.Errorf("%s exits with %s: %+v", c.op, c.code, res)
		}
	}
	res := r.Run(context.Background(), Request{Agent: mustID(t, "ocf:test:shot"), Instance: "a", Op: "start"})
	if res.Status != cib.OpError || res.RC != cib.GenericError || res.Signal != "SIGKILL" || res.Reason == "" {
		t.Errorf("ended by a signal: %+v", res)
	}
	if res.Exec <= 0 || res.Started.IsZero() || res.Ended.Before(res.Started) {
		t.Errorf("times: %+v", res)
	}
}

func TestNotStarted(t *testing.T) {
	r := testRunner(t)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	now := time.Now()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		q      Request
		status cib.OpStatus
		rc     int
	}{
		{"no such agent", context.Background(), Request{Agent: mustID(t, "ocf:test:nothing")}, cib.OpNotInstalled, cib.NotInstalled},
		{"not executable", context.Background(), Request{Agent: mustID(t, "ocf:test:noexec")}, cib.OpError, cib.Insufficient},
		{"no interpreter", context.Background(), Request{Agent: mustID(t, "ocf:test:badinterp")}, cib.OpNotInstalled, cib.NotInstalled},
		{"no such script", context.Background(), Request{Agent: mustID(t, "lsb:nothing")}, cib.OpNotInstalled, cib.NotInstalled},
		{"no such built-in", context.Background(), Request{Agent: mustID(t, "belay:nothing")}, cib.OpNotInstalled, cib.NotInstalled},
		{"bad name", context.Background(), Request{Agent: ID{"ocf", "..", "x"}}, cib.OpError, cib.NotConfigured},
		{"bad instance", context.Background(), Request{Agent: mustID(t, "ocf:test:dump"), Instance: "../x"}, cib.OpError, cib.NotConfigured},
		{"zero byte", context.Background(), Request{Agent: mustID(t, "ocf:test:dump"), Params: map[string]string{"a": "\x00"}}, cib.OpError, cib.NotConfigured},
		{"bad parameter name", context.Background(), Request{Agent: mustID(t, "ocf:test:dump"), Params: map[string]string{"a=b": "c"}}, cib.OpError, cib.NotConfigured},
		{"parameter too long", context.Background(), Request{Agent: mustID(t, "ocf:test:dump"), Params: map[string]string{"a": strings.Repeat("x", valueMaxBytes+1)}}, cib.OpError, cib.NotConfigured},
		{"too late", context.Background(), Request{Agent: mustID(t, "ocf:test:dump"), NotAfter: now.Add(-time.Second)}, cib.OpNotRun, cib.GenericError},
		{"too late, built in", context.Background(), Request{Agent: mustID(t, "belay:dummy"), NotAfter: now.Add(-time.Second)}, cib.OpNotRun, cib.GenericError},
		{"cancelled", gone, Request{Agent: mustID(t, "ocf:test:dump")}, cib.OpCancelled, cib.GenericError},
		{"cancelled, built in", gone, Request{Agent: mustID(t, "belay:dummy")}, cib.OpCancelled, cib.GenericError},
	} {
		c.q.Op = "start"
		res := r.Run(c.ctx, c.q)
		if res.Status != c.status || res.RC != c.rc || res.Reason == "" || !res.Started.IsZero() {
			t.Errorf("%s: %+v", c.name, res)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(r.runs.dir, "*")); len(files) > 0 {
		t.Errorf("records of runs that never were: %v", files)
	}
}

func TestNotAfterIsReadOnTheGivenClock(t *testing.T) {
	clock := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	r := testRunner(t, func(c *Config) { c.Now = func() time.Time { return clock } })
	q := Request{Agent: mustID(t, "ocf:test:liar"), Op: "start", NotAfter: clock}
	if res := r.Run(context.Background(), q); res.Status != cib.OpDone {
		t.Errorf("at the last moment: %+v", res)
	}
	q.NotAfter = clock.Add(-1)
	if res := r.Run(context.Background(), q); res.Status != cib.OpNotRun {
		t.Errorf("after it: %+v", res)
	}
}

// An agent that hangs is ended with everything in its session, whatever it
// does against it, and nobody waits long.
func TestTimeoutEndsTheSession(t *testing.T) {
	for _, agent := range []string{"hang", "stubborn", "groups"} {
		t.Run(agent, func(t *testing.T) {
			t.Parallel()
			r := testRunner(t)
			pidfile := filepath.Join(t.TempDir(), "pid")
			begin := time.Now()
			res := r.Run(context.Background(), Request{
				Agent: mustID(t, "ocf:test:"+agent), Instance: "web", Op: "start",
				Params: map[string]string{"pidfile": pidfile}, Timeout: 2 * time.Second,
			})
			if res.Status != cib.OpTimeout || res.RC != cib.GenericError || res.Lingering || !strings.Contains(res.Reason, "within 2s") {
				t.Errorf("%+v", res)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if pid := readPID(t, pidfile); running(pid) {
				t.Errorf("process %d still runs", pid)
			}
		})
	}
}

func TestCancelEndsTheSession(t *testing.T) {
	r := testRunner(t)
	pidfile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan Result, 1)
	go func() {
		done <- r.Run(ctx, Request{
			Agent: mustID(t, "ocf:test:hang"), Instance: "web", Op: "start",
			Params: map[string]string{"pidfile": pidfile}, Timeout: time.Hour,
		})
	}()
	pid := readPID(t, pidfile)
	cancel()
	if res := <-done; res.Status != cib.OpCancelled {
		t.Errorf("%+v", res)
	}
	if running(pid) {
		t.Errorf("process %d still runs", pid)
	}
}

// A daemon that keeps the agent's output open delays nobody and lives on.
func TestDaemonKeepsThePipe(t *testing.T) {
	r := testRunner(t)
	pidfile := filepath.Join(t.TempDir(), "pid")
	begin := time.Now()
	res := r.Run(context.Background(), Request{
		Agent: mustID(t, "ocf:test:keeper"), Instance: "web", Op: "start",
		Params: map[string]string{"pidfile": pidfile}, Timeout: time.Hour,
	})
	pid := readPID(t, pidfile)
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	if res.Status != cib.OpDone || res.RC != 0 || res.Stdout != "started\n" || res.Stderr != "daemon up\n" {
		t.Errorf("%+v", res)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if !running(pid) {
		t.Error("the daemon is gone")
	}
}

func TestFloodOfOutput(t *testing.T) {
	r := testRunner(t)
	res := r.Run(context.Background(), Request{Agent: mustID(t, "ocf:test:flood"), Instance: "web", Op: "start", Timeout: time.Minute})
	if res.Status != cib.OpDone || res.RC != 1 {
		t.Fatalf("%+v", res)
	}
	if res.OutputBytes < 53_000_000 {
		t.Errorf("counted %d bytes", res.OutputBytes)
	}
	if len(res.Stdout) > KeepBytes || !strings.HasSuffix(res.Stdout, "the end\n") {
		t.Errorf("kept %d bytes, ending in %q", len(res.Stdout), lastBytes(res.Stdout, 50))
	}
	if res.Reason != "too much said" {
		t.Errorf("reason %q", res.Reason)
	}
}

func TestSecretsAreStruckOut(t *testing.T) {
	r := testRunner(t)
	res := r.Run(context.Background(), Request{
		Agent: mustID(t, "ocf:test:chatty"), Instance: "web", Op: "start",
		Params: map[string]string{"passwd": "hunter2", "address": "elsewhere"}, Secret: []string{"address"},
		Env: map[string]string{"BELAY_TOKEN": "7.f00d"},
	})
	all := res.Stdout + res.Stderr + res.Reason
	if strings.Contains(all, "hunter2") || strings.Contains(all, "elsewhere") || strings.Contains(all, "f00d") || !strings.Contains(all, "******") {
		t.Errorf("%+v", res)
	}
	if strings.Contains(all, "\033") {
		t.Errorf("an escape sequence came through: %q", all)
	}
	if res.Output() != "connecting with ****** to ****** by ******" {
		t.Errorf("output for people: %q", res.Output())
	}
}

// One agent that hangs does not delay another.
func TestHangingAgentDelaysNobody(t *testing.T) {
	r := testRunner(t)
	ctx, cancel := context.WithCancel(context.Background())
	pidfile := filepath.Join(t.TempDir(), "pid")
	done := make(chan Result, 1)
	go func() {
		done <- r.Run(ctx, Request{Agent: mustID(t, "ocf:test:hang"), Op: "start", Params: map[string]string{"pidfile": pidfile}, Timeout: time.Hour})
	}()
	readPID(t, pidfile)
	if res := r.Run(context.Background(), Request{Agent: mustID(t, "ocf:test:liar"), Op: "monitor"}); res.RC != cib.NotRunning || res.Exec > 5*time.Second {
		t.Errorf("%+v", res)
	}
	cancel()
	<-done
}

func TestLSB(t *testing.T) {
	status := filepath.Join(t.TempDir(), "status")
	r := testRunner(t, func(c *Config) { c.Env = []string{"LAMP_STATUS=" + status} })
	for _, class := range []string{"lsb", "service"} {
		for code, want := range map[string]int{"0": 0, "1": 7, "2": 7, "3": 7, "4": 1, "150": 5, "151": 4, "99": 1} {
			if err := os.WriteFile(status, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			res := r.Run(context.Background(), Request{Agent: mustID(t, class+":lamp"), Instance: "lamp", Op: "monitor"})
			if res.Status != cib.OpDone || res.RC != want {
				t.Errorf("%s status %s: %+v, want %d", class, code, res, want)
			}
		}
	}
	for op, want := range map[string]int{"start": 0, "stop": 0, "reload": 3, "promote": 3, "meta-data": 0, "validate-all": 0} {
		if res := r.Run(context.Background(), Request{Agent: mustID(t, "lsb:lamp"), Instance: "lamp", Op: op}); res.RC != want {
			t.Errorf("%s: %+v, want %d", op, res, want)
		}
	}
}
