package agent

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/cib"
)

// proc is one belay:process under test; it is stopped at the end.
type proc struct {
	t      *testing.T
	r      *Runner
	params map[string]string
}

func newProc(t *testing.T, params map[string]string) *proc {
	p := &proc{t, testRunner(t), params}
	t.Cleanup(func() { p.run("stop") })
	return p
}

func (p *proc) run(op string) Result {
	return p.r.Run(context.Background(), Request{Agent: ID{ClassBelay, "", "process"}, Instance: "web", Op: op, Params: p.params, Timeout: 20 * time.Second})
}

func (p *proc) want(op string, rc int, text string) Result {
	p.t.Helper()
	res := p.run(op)
	if res.Status != cib.OpDone || res.RC != rc || !strings.Contains(res.Reason, text) {
		p.t.Errorf("%s: %+v, want %d %q", op, res, rc, text)
	}
	return res
}

func (p *proc) state() processState {
	p.t.Helper()
	var st processState
	if err := readJSON(filepath.Join(p.r.cfg.StateDir, "process", "web.json"), &st); err != nil {
		p.t.Fatal(err)
	}
	return st
}

func TestProcess(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "web.pid")
	p := newProc(t, map[string]string{"command": "sleep", "args": "1000", "pidfile": pidfile})
	p.want("monitor", 7, "")
	p.want("stop", 0, "")
	p.want("start", 0, "")
	pid := readPID(t, pidfile)
	p.want("monitor", 0, "")
	p.want("start", 0, "") // again: the same one
	if again := p.state().Process.PID; again != pid || !running(pid) {
		t.Errorf("process %d, then %d", pid, again)
	}
	p.want("stop", 0, "")
	p.want("monitor", 7, "")
	if _, err := os.Stat(pidfile); running(pid) || err == nil {
		t.Errorf("process %d or its pidfile is still there", pid)
	}
}

func TestProcessDies(t *testing.T) {
	p := newProc(t, map[string]string{"command": "sleep", "args": "1000"})
	p.want("start", 0, "")
	pid := p.state().Process.PID
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the monitor sees it", func() bool { return p.run("monitor").RC == cib.NotRunning })
	p.want("monitor", 7, "was ended by SIGKILL")
	p.want("start", 0, "")
	if p.state().Process.PID == pid {
		t.Error("not started again")
	}
}

func TestProcessFailsAtOnce(t *testing.T) {
	// Nothing listens on port 1: start waits for health, and sees the end first.
	p := newProc(t, map[string]string{"command": "sh", "args": `-c 'echo "cannot open port" >&2; exit 3'`, "health_port": "1"})
	res := p.want("start", 1, "exited with status 3")
	if !strings.Contains(res.Stdout, "cannot open port") {
		t.Errorf("output: %+v", res)
	}
	p.want("monitor", 7, "exited with status 3")
	p.params = map[string]string{"command": "no-such-program"}
	p.want("start", 5, "no-such-program")
	p.params = map[string]string{"command": "/etc/passwd"}
	p.want("start", 4, "")
	p.params = map[string]string{"command": "sleep", "workdir": "/no/such/dir", "args": "1000"}
	if res := p.run("start"); res.RC == 0 {
		t.Errorf("%+v", res)
	}
}

func TestProcessStopIsHardWhereNeeded(t *testing.T) {
	p := newProc(t, map[string]string{"command": "sh", "args": `-c 'trap "" TERM; while :; do sleep 1000; done'`, "stop_timeout": "100ms"})
	p.want("start", 0, "")
	pid := p.state().Process.PID
	p.want("stop", 0, "")
	if running(pid) {
		t.Error("still running")
	}
}

func TestProcessStopSignal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "signal")
	p := newProc(t, map[string]string{
		"command": "sh", "args": `-c 'trap "echo usr1 > \"$OUT\"; exit 0" USR1; touch "$OUT"; while :; do sleep 0.01; done'`,
		"env": "OUT=" + file, "stop_signal": "USR1",
	})
	p.want("start", 0, "")
	eventually(t, "the trap is set", func() bool { _, err := os.Stat(file); return err == nil })
	p.want("stop", 0, "")
	if raw, _ := os.ReadFile(file); string(raw) != "usr1\n" {
		t.Errorf("got %q", raw)
	}
}

// A command that is gone and left a worker behind is not stopped: the worker
// may still write to its data.
func TestProcessLeavesAWorker(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "worker")
	p := newProc(t, map[string]string{"command": "sh", "args": `-c 'sleep 1000 & echo $! > "$OUT"; sleep 1000'`, "env": "OUT=" + pidfile})
	p.want("start", 0, "")
	worker := readPID(t, pidfile)
	if err := unix.Kill(p.state().Process.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the monitor sees it", func() bool { return p.run("monitor").RC == cib.GenericError })
	p.want("monitor", 1, "processes that it started still run")
	p.want("stop", 0, "")
	if running(worker) {
		t.Error("the worker still runs")
	}
	p.want("monitor", 7, "")
}

func TestProcessHealth(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	status := filepath.Join(t.TempDir(), "status")
	p := newProc(t, map[string]string{"command": exe, "args": status, "env": childVariable + "=http"})
	p.want("start", 0, "")
	port := strconv.Itoa(readPID(t, status+".port"))
	p.params["health_port"] = port
	p.want("monitor", 0, "")
	p.params["health_url"] = "http://127.0.0.1:" + port + "/healthz"
	p.want("monitor", 1, "503")
	if err := os.WriteFile(status, []byte("200"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.want("monitor", 0, "")
	p.params["health_port"] = "1"
	p.want("monitor", 1, "no connection")
	for _, bad := range []map[string]string{{"health_port": "x"}, {"health_port": "70000"}, {"health_url": "ftp://x"}, {"health_timeout": "-1"}} {
		bad["command"] = exe
		q := proc{t, p.r, bad}
		q.want("monitor", 6, "health")
	}
}

// start waits for the service to be well, as long as its time-out allows.
func TestProcessStartWaitsForHealth(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := newProc(t, map[string]string{"command": exe, "args": filepath.Join(t.TempDir(), "status"), "env": childVariable + "=http", "health_url": "http://127.0.0.1:1/"})
	res := p.r.Run(context.Background(), Request{Agent: ID{ClassBelay, "", "process"}, Instance: "web", Op: "start", Params: p.params, Timeout: 300 * time.Millisecond})
	if res.Status != cib.OpTimeout || !strings.Contains(res.Reason, "is not well") {
		t.Errorf("%+v", res)
	}
}

// The command goes on when the engine ends, and the next engine finds it.
func TestProcessSurvivesTheEngine(t *testing.T) {
	r := testRunner(t)
	_, out := child(t, "start-process", r.cfg.StateDir)
	if !out.Scan() || strings.TrimSpace(out.Text()) != "0" {
		t.Fatalf("start: %q", out.Text())
	}
	p := &proc{t, r, map[string]string{"command": "sleep", "args": "1000"}}
	p.want("monitor", 0, "")
	st := p.state()
	t.Cleanup(func() { endSession(st.Process, 0) })

	// The number alone proves nothing.
	file := filepath.Join(r.cfg.StateDir, "process", "web.json")
	for _, other := range []process{{st.Process.PID, st.Process.Start + 1, st.Process.Boot}, {st.Process.PID, st.Process.Start, "another boot"}} {
		changed := st
		changed.Process = other
		if err := writeJSON(file, changed); err != nil {
			t.Fatal(err)
		}
		p.want("monitor", 7, "")
		p.want("stop", 0, "")
		if !running(st.Process.PID) {
			t.Fatal("ended a process that is not the instance's")
		}
	}

	// Without the number it is found by its mark.
	changed := st
	changed.Process = process{}
	if err := writeJSON(file, changed); err != nil {
		t.Fatal(err)
	}
	p.want("monitor", 0, "")
	p.want("stop", 0, "")
	if running(st.Process.PID) {
		t.Error("still running")
	}
}

// A state that cannot be read may hide a running command.
func TestProcessStateCorrupt(t *testing.T) {
	p := newProc(t, map[string]string{"command": "sleep", "args": "1000"})
	dir := filepath.Join(p.r.cfg.StateDir, "process")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.want("monitor", 1, "unreadable")
	p.want("stop", 1, "unreadable")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func TestProcessLogIsCut(t *testing.T) {
	p := newProc(t, map[string]string{"command": "sh", "args": `-c 'head -c 2000000 /dev/zero; echo done; sleep 1000'`})
	p.want("start", 0, "")
	log := filepath.Join(p.r.cfg.StateDir, "process", "web.log")
	eventually(t, "the log is written", func() bool { st, err := os.Stat(log); return err == nil && st.Size() > 2_000_000 })
	p.want("monitor", 0, "")
	if st, err := os.Stat(log); err != nil || st.Size() > 0 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestSplitWords(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"  a  b\tc\n":         "a|b|c",
		`a "b c" 'd e'`:       "a|b c|d e",
		`a\ b "c\"d" 'e\f'`:   `a b|c"d|e\f`,
		`--x="$HOME *" ''`:    "--x=$HOME *|",
		`"\n\$"`:              `\n$`,
		`-c 'a; "b" && c' ""`: `-c|a; "b" && c|`,
	} {
		got, err := splitWords(in)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`"a`, `'a`, `a\`} {
		if got, err := splitWords(in); err == nil {
			t.Errorf("%q: accepted as %q", in, got)
		}
	}
}
