package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A lab from up to down, as a developer drives it.
func TestCommands(t *testing.T) {
	program := filepath.Join(t.TempDir(), "belay-lab")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	name := fmt.Sprintf("test%d", os.Getpid())
	run := func(args ...string) (string, error) {
		out, err := exec.Command(program, append([]string{"--name", name}, args...)...).CombinedOutput()
		return string(out), err
	}
	do := func(want string, args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v: %q, want %q", args, err, out, want)
		}
	}
	refuse := func(want string, args ...string) {
		t.Helper()
		if out, err := run(args...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v: %q, want a refusal with %q", args, err, out, want)
		}
	}
	t.Cleanup(func() { _, _ = run("down") }) // in case of failure
	refuse("no lab is up", "status")
	refuse("unknown option", "up", "--frob", "x")
	if _, err := os.Stat(stateDir(name)); err == nil {
		t.Error("a lab that did not start left its state")
	}
	do("n2    on", "up", "2", "--boot", "echo booted; exec sleep 1000", "--net", "10.99.0.0/24")
	refuse("is up already", "up")
	do("n2\n", "shell", "2", "hostname")
	do("10.99.0.254/24", "shell", "switch", "ip", "-br", "addr")
	do("0 received", "shell", "1", "sh", "-c", "true; ping -n -q -c1 -W1 10.99.0.9; true")
	do("booted", "log", "n1", "boot")
	do("boot\nconsole\n", "log", "1")
	do("", "off", "n2")
	do("n2    off", "status")
	refuse("n2 is off", "shell", "2", "true")
	do("", "on", "2")
	do("", "reboot", "2")
	do("n2    on     3", "status")
	do("", "freeze", "1")
	do("n1    hung", "status")
	do("", "thaw", "1")
	do("", "drop", "1", "2")
	do("n2 to n1: 100% lost", "status")
	do("", "undrop", "1", "2")
	do("", "loss", "1", "10%")
	do("lab to n1: 10% lost", "status")
	do("", "cut", "2", "0")
	do("the cable of eth0 is pulled", "status")
	do("", "isolate", "2")
	do("", "heal")
	if out, err := run("status"); err != nil || strings.Contains(out, "fault:") {
		t.Errorf("after heal: %v: %s", err, out)
	}
	refuse("no host", "off", "n3")
	refuse("no network", "cut", "1", "1")
	refuse("two hosts", "drop", "1")
	refuse("unknown command", "explode", "1")
	do("", "down")
	refuse("no lab is up", "status")
	if _, err := os.Stat(stateDir(name)); err == nil {
		t.Error("down left the lab's state")
	}
}
