package agent

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// probeDevice is testdata/fence/fence_probe, which answers as a shell script says.
func probeDevice(t *testing.T, answer string) (dir string, q FenceRequest) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "answer"), []byte(answer), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, FenceRequest{
		ActionID: "1.2", Device: "pdu", Agent: "fence_probe", Action: FenceStatus, Target: "n2", Plug: "7",
		Params: map[string]string{"dir": dir, "passwd": "hunter2", "pcmk_host_list": "n2", "action": "nonsense"},
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestFenceInput(t *testing.T) {
	t.Setenv("LEAKED", "from the engine")
	r := testRunner(t)
	dir, q := probeDevice(t, "exit 0")
	if res := r.RunFence(context.Background(), q); !res.OK || res.Power != PowerOn {
		t.Fatalf("%+v", res)
	}
	if got, want := read(t, dir+"/stdin"), "action=status\ndir="+dir+"\npasswd=hunter2\nplug=7\nnodename=n2\n"; got != want {
		t.Errorf("input %q, want %q", got, want)
	}
	if got := read(t, dir+"/argv"); got != "\n" {
		t.Errorf("arguments %q", got)
	}
	if env := read(t, dir+"/env"); strings.Contains(env, "hunter2") || strings.Contains(env, "LEAKED") {
		t.Errorf("environment %q", env)
	}

	q.Plug = ""
	r.RunFence(context.Background(), q)
	if got := read(t, dir+"/stdin"); !strings.Contains(got, "\nplug=n2\n") {
		t.Errorf("without a plug: %q", got)
	}
	q.Params["port"] = "9" // the device belongs to one machine
	r.RunFence(context.Background(), q)
	if got := read(t, dir+"/stdin"); strings.Contains(got, "plug=") || !strings.Contains(got, "\nport=9\n") {
		t.Errorf("with a fixed port: %q", got)
	}
}

// "Off" becomes the proof that a machine is dead: only the agent's word counts.
func TestFenceStatus(t *testing.T) {
	for answer, want := range map[string]struct {
		power Power
		ok    bool
	}{
		"exit 0":                   {PowerOn, true},
		"echo Status: ON; exit 0":  {PowerOn, true},
		"exit 2":                   {PowerOff, true},
		"echo Status: OFF; exit 2": {PowerOff, true},
		"echo Status: OFF; echo note >&2; exit 2":   {PowerOff, true},
		"echo cannot open file >&2; exit 2":         {PowerUnknown, false},
		"echo usage: fence_probe; exit 2":           {PowerUnknown, false},
		"exit 1":                                    {PowerUnknown, false},
		"echo Status: OFF; exit 1":                  {PowerUnknown, false},
		"kill -KILL $$":                             {PowerUnknown, false},
		"echo hunter2 is wrong for hunter2; exit 1": {PowerUnknown, false},
	} {
		r := testRunner(t)
		_, q := probeDevice(t, answer)
		res := r.RunFence(context.Background(), q)
		if res.Power != want.power || res.OK != want.ok || res.OK == (res.Reason != "") {
			t.Errorf("%s: %+v", answer, res)
		}
		if strings.Contains(res.Stdout+res.Stderr+res.Reason, "hunter2") {
			t.Errorf("%s: tells a secret: %+v", answer, res)
		}
	}
}

func TestFenceActions(t *testing.T) {
	r := testRunner(t)
	for _, c := range []struct {
		action FenceAction
		answer string
		ok     bool
	}{
		{FenceOff, "exit 0", true},
		{FenceOff, "exit 2", false}, // only for status is that an answer
		{FenceOff, "exit 1", false},
		{FenceMonitor, "exit 0", true},
		{FenceMonitor, "exit 2", false},
		{FenceValidate, "exit 0", true},
	} {
		_, q := probeDevice(t, c.answer)
		q.Action = c.action
		if res := r.RunFence(context.Background(), q); res.OK != c.ok || res.Power != PowerUnknown || res.Status != cib.OpDone {
			t.Errorf("%s %s: %+v", c.action, c.answer, res)
		}
	}
	_, q := probeDevice(t, `printf '1,n1\n2,n2\n three , n3 ,ON\n\n'`)
	q.Action, q.Target, q.Plug = FenceList, "", ""
	res := r.RunFence(context.Background(), q)
	if !res.OK || len(res.Plugs) != 3 || res.Plugs[1] != (Plug{"2", "n2"}) || res.Plugs[2] != (Plug{"three", "n3"}) {
		t.Errorf("list: %+v", res)
	}
}

func TestFenceRefuses(t *testing.T) {
	r := testRunner(t)
	for name, change := range map[string]func(*FenceRequest){
		"a second line in a value":  func(q *FenceRequest) { q.Params["passwd"] = "x\naction=on" },
		"a return in a value":       func(q *FenceRequest) { q.Params["passwd"] = "x\raction=on" },
		"a second line in the plug": func(q *FenceRequest) { q.Plug = "7\nplug=8" },
		"a second line in a name":   func(q *FenceRequest) { q.Params["a\nb"] = "x" },
		"an equals sign in a name":  func(q *FenceRequest) { q.Params["a=b"] = "x" },
		"another directory":         func(q *FenceRequest) { q.Agent = "fence_../../bin/sh" },
		"no fence agent":            func(q *FenceRequest) { q.Agent = "reboot" },
		"no action":                 func(q *FenceRequest) { q.Action = "" },
		"not installed":             func(q *FenceRequest) { q.Agent = "fence_nothing" },
		"too much":                  func(q *FenceRequest) { q.Params["passwd"] = strings.Repeat("x", stdinMaxBytes) },
		"too late":                  func(q *FenceRequest) { q.NotAfter = time.Unix(1, 0) },
	} {
		dir, q := probeDevice(t, "exit 0")
		change(&q)
		res := r.RunFence(context.Background(), q)
		if res.OK || res.Status == cib.OpDone || res.Reason == "" {
			t.Errorf("%s: %+v", name, res)
		}
		if _, err := os.Stat(dir + "/stdin"); err == nil {
			t.Errorf("%s: the agent was asked", name)
		}
	}
}

func TestFenceTimeout(t *testing.T) {
	r := testRunner(t)
	dir, q := probeDevice(t, `trap "" TERM; echo $$ > "$dir/pid"; timeout 1000 sleep 1000`)
	q.Timeout = 2 * time.Second
	res := r.RunFence(context.Background(), q)
	if res.Status != cib.OpTimeout || res.OK || res.Power != PowerUnknown {
		t.Errorf("%+v", res)
	}
	if pid := readPID(t, dir+"/pid"); running(pid) {
		t.Error("still running")
	}
}

// devServer is a fence device as "belay dev" has it.
func devServer(t *testing.T, answer func(line string) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewScanner(c)
				if in.Scan() {
					if a := answer(in.Text()); a != "" {
						_, _ = c.Write([]byte(a + "\n"))
					}
				}
			}()
		}
	}()
	return path
}

func TestDevFence(t *testing.T) {
	power := map[string]string{"n1": "on", "n2": "on"}
	socket := devServer(t, func(line string) string {
		f := strings.Fields(line)
		if len(f) == 1 && f[0] == "list" {
			return "ok n1 n2"
		}
		if len(f) != 2 || power[f[1]] == "" {
			return "error unknown node"
		}
		if f[0] == "status" {
			return power[f[1]]
		}
		power[f[1]] = f[0]
		return "ok"
	})
	r := testRunner(t)
	for _, c := range []struct {
		action FenceAction
		target string
		ok     bool
		power  Power
		after  string
	}{
		{FenceMonitor, "", true, PowerUnknown, "on"},
		{FenceMonitor, "n2", true, PowerUnknown, "on"},
		{FenceStatus, "n2", true, PowerOn, "on"},
		{FenceOff, "n2", true, PowerUnknown, "off"},
		{FenceStatus, "n2", true, PowerOff, "off"},
		{FenceOn, "n2", true, PowerUnknown, "on"},
		{FenceReboot, "n2", true, PowerUnknown, "on"},
		{FenceOff, "n3", false, PowerUnknown, "on"},
		{FenceStatus, "n3", false, PowerUnknown, "on"},
		{FenceMonitor, "n3", false, PowerUnknown, "on"},
		{FenceOff, "", false, PowerUnknown, "on"},
		{FenceValidate, "", true, PowerUnknown, "on"},
	} {
		res := r.RunFence(context.Background(), FenceRequest{Agent: DevAgent, Action: c.action, Target: c.target, Params: map[string]string{"socket": socket}})
		if res.OK != c.ok || res.Power != c.power || power["n2"] != c.after || res.OK == (res.Reason != "") {
			t.Errorf("%s %s: %+v, n2 is %s", c.action, c.target, res, power["n2"])
		}
	}
	res := r.RunFence(context.Background(), FenceRequest{Agent: DevAgent, Action: FenceList, Params: map[string]string{"socket": socket}})
	if !res.OK || len(res.Plugs) != 2 || res.Plugs[1].Name != "n2" {
		t.Errorf("list: %+v", res)
	}
}

func TestDevFenceFails(t *testing.T) {
	r := testRunner(t)
	ask := func(socket string, d time.Duration) FenceResult {
		return r.RunFence(context.Background(), FenceRequest{Agent: DevAgent, Action: FenceStatus, Target: "n1", Params: map[string]string{"socket": socket}, Timeout: d})
	}
	if res := ask("/no/such/socket", time.Second); res.OK || res.Status != cib.OpError {
		t.Errorf("no server: %+v", res)
	}
	if res := ask("", time.Second); res.OK {
		t.Errorf("no socket: %+v", res)
	}
	if res := ask(devServer(t, func(string) string { return "" }), time.Second); res.OK || res.Power != PowerUnknown {
		t.Errorf("no answer: %+v", res)
	}
	if res := ask(devServer(t, func(string) string { return "perhaps" }), time.Second); res.OK || res.Power != PowerUnknown {
		t.Errorf("no state: %+v", res)
	}
	release := make(chan struct{})
	defer close(release)
	if res := ask(devServer(t, func(string) string { <-release; return "on" }), 50*time.Millisecond); res.OK || res.Status != cib.OpTimeout {
		t.Errorf("slow: %+v", res)
	}
}
