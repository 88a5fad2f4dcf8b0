package agent

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// childVariable makes the test binary play another program.
const childVariable = "BELAY_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "run": // an engine that runs one agent and is killed meanwhile
		r, err := New(Config{StateDir: os.Args[1], RscTmp: os.Args[1] + "/tmp", OCFRoots: []string{os.Args[2]}, Node: "n1"})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		id, _ := ParseID("ocf:test:" + os.Args[3])
		r.Run(context.Background(), Request{
			ActionID: "7.1", Agent: id, Instance: "web", Op: "start",
			Params: map[string]string{"pidfile": os.Args[4]}, Timeout: time.Hour,
		})
	case "start-process": // an engine that starts a belay:process and ends
		r, err := New(Config{StateDir: os.Args[1], RscTmp: os.Args[1] + "/tmp", Node: "n1"})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		res := r.Run(context.Background(), Request{
			Agent: ID{ClassBelay, "", "process"}, Instance: "web", Op: "start",
			Params: map[string]string{"command": "sleep", "args": "1000"},
		})
		fmt.Println(res.RC, res.Reason)
	case "http": // a service; its health is what the file says
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			os.Exit(1)
		}
		file := os.Args[1]
		_ = os.WriteFile(file+".port", []byte(strconv.Itoa(l.Addr().(*net.TCPAddr).Port)), 0o600)
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			raw, _ := os.ReadFile(file)
			code, err := strconv.Atoi(strings.TrimSpace(string(raw)))
			if err != nil {
				code = http.StatusServiceUnavailable
			}
			w.WriteHeader(code)
		}))
	}
}

// testRunner runs the agents in testdata.
func testRunner(t testing.TB, change ...func(*Config)) *Runner {
	t.Helper()
	abs, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := Config{
		Node: "n1", StateDir: filepath.Join(dir, "state"), RscTmp: filepath.Join(dir, "rsctmp"), ShimDir: filepath.Join(dir, "shim"),
		OCFRoots: []string{filepath.Join(abs, "ocf"), "/usr/lib/ocf"}, LSBDir: filepath.Join(abs, "init.d"),
		FenceDirs: []string{filepath.Join(abs, "fence"), "/usr/sbin"}, SystemdSocket: filepath.Join(dir, "no-systemd"),
		KillGrace: 200 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func mustID(t testing.TB, s string) ID {
	t.Helper()
	id, err := ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// need fails where a Debian package is missing.
func need(t testing.TB, files ...string) {
	t.Helper()
	for _, f := range files {
		if _, err := os.Stat(f); err != nil {
			t.Fatalf("%s is missing: run make setup", f)
		}
	}
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
		<-tick.C
	}
}

// readPID waits for a process number in a file.
func readPID(t testing.TB, file string) int {
	t.Helper()
	pid := 0
	eventually(t, "a process number in "+file, func() bool {
		raw, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(raw)))
		return err == nil
	})
	return pid
}

func running(pid int) bool {
	s, err := readStat(pid)
	return err == nil && !s.dead()
}

// child starts this test binary as another program and gives its first lines.
func child(t testing.TB, what string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), exe, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}
