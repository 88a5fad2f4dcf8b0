package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// FirstProcess runs this program as a child, with the same arguments, and returns its exit
// code. It is for a remote node that is the first process of a container: such a one
// inherits every process whose parent has ended, and has to reap it.
func FirstProcess(stderr io.Writer) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGCHLD)
	self, err := os.Executable()
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "belayd:", err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...) //nolint:gosec,noctx // itself; it ends by the signals that are passed on
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		_, _ = fmt.Fprintln(stderr, "belayd:", err)
		return 1
	}
	for s := range signals {
		if s != unix.SIGCHLD {
			_ = cmd.Process.Signal(s)
			continue
		}
		for {
			var status unix.WaitStatus
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
			if pid == cmd.Process.Pid {
				if status.Exited() {
					return status.ExitStatus()
				}
				return 1
			}
		}
	}
	return 1
}
