package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// cleanupMax is how long the janitor waits for killed processes to be gone.
const cleanupMax = 20 * time.Second

// janitor is a process outside the lab's namespaces. It waits until the program that started it has
// ended or was killed, and removes what the kernel does not remove by itself: control groups and
// directories. It does not return.
func janitor() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	path, cgroup := os.Args[1], os.Args[2]
	_, _ = io.Copy(io.Discard, os.NewFile(3, "alive")) // ends when the other end closes
	if err := cleanRun(path, cgroup, cleanupMax); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// lockDir marks a run directory as used by this process and those that inherit the descriptor.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || int(st.Uid) != os.Getuid() {
		return nil, errors.Join(fmt.Errorf("lab: %s is another user's", path), err, f.Close())
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// sweep removes the runs whose program and janitor were both killed.
func sweep(base string) {
	runs, _ := filepath.Glob(filepath.Join(base, runPattern()))
	for _, path := range runs {
		lock, err := lockDir(path)
		if err != nil {
			continue // in use, or another user's
		}
		cgroup, _ := os.ReadFile(filepath.Join(path, "cgroup"))
		_ = lock.Close()
		_ = cleanRun(path, string(cgroup), time.Second) // the next sweep tries again
	}
}

// cleanRun kills what is left in the control group and removes it and the directory.
func cleanRun(path, cgroup string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	if cgroup != "" {
		_ = os.WriteFile(filepath.Join(cgroup, "cgroup.kill"), []byte("1"), 0)
		for err := removeCgroup(cgroup); err != nil; err = removeCgroup(cgroup) {
			if time.Now().After(deadline) {
				return fmt.Errorf("lab: remove control group: %w", err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	// Without a control group nothing here can kill what is left, but the kernel does: wait for the
	// lock to fall, so that nobody writes to the directory any more.
	for {
		lock, err := lockDir(path)
		if err == nil {
			defer lock.Close()
			break
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}
