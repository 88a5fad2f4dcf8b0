package dev

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	for text, want := range map[string]procStat{
		"42 (sh) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 12345 0 0":    {'S', 7, 3, 12345},
		"42 (a) b) S) Z 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0":  {'Z', 1, 1, 99},
		"42 (x\ny) R 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0 1 2": {'R', 1, 1, 99},
	} {
		if got, err := parseStat([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "42", "42 (sh)", "42 (sh) S x", "42 (sh) SS 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 12345 0 0", "42 (sh) S 7 4 4 0 0 0 0 0 0 0 0 0 0 0 20 0 x 0 1 0 0"} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: %+v, and no error", text, got)
		}
	}
}

// A zombie may have threads that run; what is below a machine is the machine's.
func TestDescendants(t *testing.T) {
	all := map[int]procStat{
		1:  {'S', 0, 1, 1},
		10: {'S', 1, 1, 10},  // the supervisor
		11: {'S', 10, 1, 11}, // a machine
		12: {'S', 11, 1, 12}, // of the machine
		13: {'Z', 10, 1, 13}, // an orphan, dead
		14: {'Z', 10, 2, 14}, // an orphan whose first thread is dead
		15: {'S', 14, 1, 15},
		16: {'S', 13, 1, 16},
		20: {'S', 1, 1, 20}, // a stranger
		30: {'S', 31, 1, 30},
		31: {'S', 30, 1, 31}, // a ring, from numbers that were used again
	}
	pids := func(list []proc) (out []int) {
		for _, p := range list {
			out = append(out, p.PID)
		}
		return out
	}
	if got, want := pids(descendants(all, 10, map[int]bool{11: true})), []int{14, 15, 16}; !slices.Equal(got, want) {
		t.Errorf("orphans %v, want %v", got, want)
	}
	if got, want := pids(descendants(all, 11, nil)), []int{12}; !slices.Equal(got, want) {
		t.Errorf("of the machine %v, want %v", got, want)
	}
	if got, want := pids(descendants(all, 30, nil)), []int{31}; !slices.Equal(got, want) {
		t.Errorf("of the ring %v, want %v", got, want)
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("in vain: " + what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// marked lists the living processes with a mark in their environment.
func marked(t *testing.T, dir string) []proc {
	t.Helper()
	list, err := leftovers(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Processes in sessions of their own, orphans, stopped ones, ones that take no SIGTERM,
// and a chain that forks and ends as fast as it can: none is left, and nobody else is
// touched.
func TestKillAll(t *testing.T) {
	if err := subreaper(); err != nil {
		t.Fatal(err)
	}
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	other, err := identify(bystander.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sessions": "#!/bin/sh\nsetsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000 & wait' & sleep 1000",
		"orphans":  "#!/bin/sh\n(setsid sh -c 'sleep 1000 & sleep 1000' & ) ; (setsid sleep 1000 &) ; sleep 1000",
		"stubborn": "#!/bin/sh\ntrap '' TERM INT HUP\n(trap '' TERM; sleep 1000) & kill -STOP $! ; sleep 1000",
		"restarts": "#!/bin/sh\nwhile :; do sleep 1000; done",
		"chain":    "#!/bin/sh\n[ -n \"$1\" ] && sleep 1000 &\nsetsid \"$0\" & exit",
	} {
		t.Run(name, func(t *testing.T) {
			mark := t.TempDir()
			file := script(t, text)
			cmd := exec.Command(file, "first")
			cmd.Env = append(os.Environ(), envDir+"="+mark)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The chain leaves a zombie at each step. Unless they are taken away, /proc grows
			// until reading it takes longer than any step lives.
			await(t, "its processes", func() bool {
				reap(func(int, unix.WaitStatus) {})
				return len(marked(t, mark)) >= 2
			})
			skip := map[int]bool{other.PID: true}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := killAll(ctx, func() ([]proc, error) {
				reap(func(int, unix.WaitStatus) {})
				all, err := processes()
				return descendants(all, os.Getpid(), skip), err
			}); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait()
			if left := marked(t, mark); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	if !other.alive() {
		t.Error("somebody else's process was ended")
	}
}

// A number that belongs to another process now is not touched.
func TestSignalLooksAtTheStart(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := proc{PID: p.PID, Start: p.Start - 1}
	if earlier.alive() {
		t.Error("a process that started at another time counts as alive")
	}
	if err := earlier.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if !p.alive() {
		t.Error("the signal reached another process")
	}
}
