package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// place is where a shell goes, as the background part tells it.
type place struct {
	Pid    int    // of the host's init, in the lab's pid namespace
	Cgroup string // of the host's commands, "" where there is none
	Netns  string // instead of a host: the switch
}

// shell becomes a shell in a host. It goes there in two steps: into the namespaces of the lab, and
// from there, where the host's processes have their numbers, into the host's.
func shell(state string, args []string) error {
	if len(args) == 0 {
		return errors.New("shell needs a host")
	}
	out, err := call(state, "where", args[0])
	if err != nil {
		return err
	}
	var p place
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return fmt.Errorf("where is %s: %w", args[0], err)
	}
	labPid, err := serverPid(state)
	if err != nil {
		return err
	}
	command := args[1:]
	if len(command) == 0 {
		command = []string{"bash", "-l"}
	}
	chain := []string{"nsenter", "-t", strconv.Itoa(labPid), "-m", "-p"}
	if os.Getuid() != 0 {
		chain = append(chain, "-U", "--preserve-credentials")
	}
	chain = append(chain, "--", "nsenter")
	if p.Netns != "" {
		chain = append(chain, "--net="+p.Netns)
	} else {
		chain = append(chain, "-t", strconv.Itoa(p.Pid), "-m", "-u", "-i", "-n", "-p")
	}
	// Threads have capabilities and control groups of their own, and execution keeps those of the
	// thread that calls for it.
	runtime.LockOSThread()
	if p.Cgroup != "" {
		chain = append(chain, "-C")
		if err := joinCgroup(p.Cgroup); err != nil {
			return err
		}
	}
	for _, c := range []uintptr{unix.CAP_SYS_TIME, unix.CAP_SYS_MODULE} {
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // without root there is nothing to drop
	}
	program, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("%w; run: make setup", err)
	}
	env := []string{
		"TERM=" + os.Getenv("TERM"), "LANG=C.UTF-8", "HOME=/root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	return syscall.Exec(program, append(append(chain, "--"), command...), env)
}

// serverPid is the process id of the background part in the pid namespace of this process. The kernel
// translates it: the background part itself only knows itself as 1.
func serverPid(state string) (int, error) {
	conn, err := dial(state)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if peerErr != nil {
		return 0, fmt.Errorf("find the lab's process: %w", peerErr)
	}
	return int(peer.Pid), nil
}

// joinCgroup moves this process into a control group.
func joinCgroup(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("join control group: %w", err)
	}
	if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("join control group: %w", err)
	}
	return nil
}
