package dev

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// build makes the programs.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+"/", "../", "../../belayd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "belay")
}

// run runs a command with a limit, and returns what it printed.
func run(t *testing.T, name string, args ...string) (out, errOut string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var o, e strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// The whole story, with the real programs: the self-test, and a cluster in the
// background.
func TestStory(t *testing.T) {
	belay := build(t)
	t.Run("selftest", func(t *testing.T) {
		out, log, err := run(t, belay, "dev", "--selftest")
		var r report
		if jerr := json.Unmarshal([]byte(out), &r); jerr != nil {
			t.Fatalf("%v; it printed %q, %v\n%s", jerr, out, err, log)
		}
		if err != nil || !r.OK {
			t.Fatalf("%v, step %q: %s\n%s", err, r.Step, r.Error, log)
		}
		if r.Lost == r.Moved || r.Proof == "" || r.Probes == 0 || r.UpMs <= 0 || r.FenceMs < 0 || r.FailoverMs < r.DetectMs || r.RejoinMs < r.FailoverMs || r.EngineMs <= 0 {
			t.Errorf("figures that can't be: %+v", r)
		}
		t.Logf("%+v", r)
	})
	t.Run("detach", func(t *testing.T) {
		dir := t.TempDir()
		t.Cleanup(func() { _, _ = stopDir(context.Background(), dir) })
		out, log, err := run(t, belay, "dev", "--detach", "--dir", dir, "--nodes", "1")
		if err != nil || out != filepath.Join(dir, fileDev)+"\n" {
			t.Fatalf("%q, %v\n%s", out, err, log)
		}
		f, err := readFile(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Nodes) != 1 || !(proc{PID: f.Nodes[0].PID}).there() || !(proc{PID: f.Nodes[0].EnginePID}).there() {
			t.Errorf("dev.json: %+v", f)
		}
		if a, err := askService(t.Context(), serviceClient(), f.Service.URL); err != nil || a.Node != "n1" {
			t.Errorf("the service: %+v, %v", a, err)
		}
		if _, log, err := run(t, belay, "dev", "--detach", "--dir", dir); err == nil || !strings.Contains(log, "is in use by another belay dev") {
			t.Errorf("a second one in the same directory: %v\n%s", err, log)
		}
		for range 2 {
			if _, log, err := run(t, belay, "dev", "--stop", "--dir", dir); err != nil {
				t.Errorf("stop: %v\n%s", err, log)
			}
		}
		if (proc{PID: f.Nodes[0].PID}).there() || (proc{PID: f.Supervisor.PID}).there() || len(marked(t, dir)) > 0 {
			t.Error("stopped, and something still runs")
		}
		if _, err := readFile(dir); err == nil {
			t.Error("stopped, and dev.json is still there")
		}
	})
	t.Run("engine that ends", func(t *testing.T) {
		dir := t.TempDir()
		broken := script(t, "#!/bin/sh\necho the disk is made of cheese >&2\nexit 3\n")
		_, log, err := run(t, belay, "dev", "--detach", "--dir", dir, "--belayd", broken)
		if err == nil || !strings.Contains(log, "ends again and again: it exited with status 3") || !strings.Contains(log, "made of cheese") {
			t.Errorf("%v\n%s", err, log)
		}
		if left := marked(t, dir); len(left) > 0 {
			t.Errorf("left running: %v", left)
		}
	})
}

// there reports whether a process has the number.
func (p proc) there() bool {
	s, err := readStat(p.PID)
	return err == nil && !s.dead()
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		args  string
		text  string
		usage bool
	}{
		{"--nodes 0", "from 1 to 9", true},
		{"--nodes 10", "from 1 to 9", true},
		{"--dir /tmp/" + strings.Repeat("x", 90), "unix sockets", true},
		{"--stop", "--dir", true},
		{"--status", "--dir", true},
		{"--selftest --nodes 2 --belayd /bin/true", "3 or more", true},
		{"--selftest --no-reboot --belayd /bin/true", "--no-reboot", true},
		{"--log-level loud", "choose debug", true},
		{"--timeout 0s", "a time is needed", true},
		{"--belayd /nonexistent", "no such file", false},
		{"--status --dir /nonexistent", "no cluster is ready", false},
		{"power up n1 --dir /tmp", "choose on, off or status", true},
		{"power on n1", "--dir", true},
	} {
		cmd := Command("test")
		cmd.SetArgs(strings.Fields(c.args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		err := cmd.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", c.args, err, c.text)
			continue
		}
		if _, ok := errors.AsType[UsageError](err); ok != c.usage {
			t.Errorf("%s: usage error %v, want %v", c.args, ok, c.usage)
		}
	}
}
