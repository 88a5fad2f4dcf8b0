package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// envVictim makes this test program the victim of TestCleanup.
const envVictim = "BELAY_LAB_TEST_VICTIM"

// victim is a program with a busy lab. It says where its traces are and waits to be killed, or, when
// told to, ends properly.
func victim() int {
	if err := Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err := func() error {
		l, err := New(Config{Hosts: 2})
		if err != nil {
			return err
		}
		if err := l.PowerOnAll(context.Background()); err != nil {
			return err
		}
		for _, h := range l.Hosts() {
			if _, err := h.Start("sleep", os.Getenv(envVictim)); err != nil {
				return err
			}
		}
		if err := l.Host(2).Hang(); err != nil { // cannot be asked to end
			return err
		}
		fmt.Println(run.path)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		return nil // without Close
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startVictim runs a victim and returns its run directory. marker is in the arguments of its
// processes.
func startVictim(t *testing.T, marker string) (cmd *exec.Cmd, dir string, finish func()) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envVictim+"="+marker)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	dir = strings.TrimSpace(line)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if n := len(processes(marker)); n < 2 {
		t.Fatalf("the victim has %d processes in its hosts", n)
	}
	return cmd, dir, func() { _ = stdin.Close() }
}

// processes are the pids of the processes with an argument.
func processes(arg string) []int {
	var found []int
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		b, _ := os.ReadFile(name)
		if strings.Contains(string(b), "\x00"+arg+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			found = append(found, pid)
		}
	}
	return found
}

func checkGone(t *testing.T, dir, marker string) {
	t.Helper()
	eventually(t, 10*time.Second, "processes, directory and control group are gone", func() bool {
		_, err := os.Stat(dir)
		return len(processes(marker)) == 0 && len(processes(dir)) == 0 && errors.Is(err, fs.ErrNotExist) && len(cgroupsOf(t, dir)) == 0
	})
}

// cgroupsOf finds the control groups of a run.
func cgroupsOf(t *testing.T, dir string) []string {
	t.Helper()
	own, err := ownCgroup()
	if err != nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(own, "*"+filepath.Base(dir)+"*"))
	must(t, err)
	return found
}

// However a program with a lab ends, nothing is left of it.
func TestCleanup(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name string
		end  func(t *testing.T, cmd *exec.Cmd, finish func())
	}{
		{"returns without Close", func(t *testing.T, cmd *exec.Cmd, finish func()) {
			finish()
			must(t, cmd.Wait())
		}},
		{"SIGTERM", func(t *testing.T, cmd *exec.Cmd, _ func()) {
			must(t, cmd.Process.Signal(syscall.SIGTERM))
			_ = cmd.Wait()
		}},
		{"SIGKILL", func(t *testing.T, cmd *exec.Cmd, _ func()) {
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			marker := strconv.Itoa(700000 + i)
			cmd, dir, finish := startVictim(t, marker)
			if len(cgroupsOf(t, dir)) == 0 {
				t.Fatal("the victim has no control group")
			}
			c.end(t, cmd, finish)
			checkGone(t, dir, marker)
		})
	}
}

// Where even the janitor was killed, the next run sweeps.
func TestSweep(t *testing.T) {
	t.Parallel()
	const marker = "700099"
	cmd, dir, _ := startVictim(t, marker)
	for _, pid := range processes(dir) { // the janitor has the directory in its arguments
		must(t, unix.Kill(pid, unix.SIGKILL))
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, 10*time.Second, "the processes are gone", func() bool { return len(processes(marker)) == 0 })
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("somebody else cleaned up: %v", err)
	}
	eventually(t, 10*time.Second, "the lock has fallen", func() bool {
		sweep(filepath.Dir(dir))
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	checkGone(t, dir, marker)
}
