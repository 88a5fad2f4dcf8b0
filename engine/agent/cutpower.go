package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stateVariable marks everything that a Runner starts with its state
// directory. Daemons that agents leave behind inherit it.
const stateVariable = "BELAY_STATE"

// CutPower does to a state directory what a loss of power does to a machine:
// everything that a Runner on it has started is killed, and what built-in agents
// knew is gone. It is for machines that are only processes, as those of "belay
// dev"; the engine itself must be dead before.
//
// A process that has changed its user or overwritten its environment, and that
// no record names, gets away.
func CutPower(stateDir string) error {
	stateDir = filepath.Clean(stateDir)
	end := time.Now().Add(killedWait)
	for {
		left := startedOn(stateDir)
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("cut the power of %s: processes %v do not end", stateDir, left)
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(dyingPoll)
	}
	if err := os.RemoveAll(stateDir); err != nil {
		return fmt.Errorf("cut the power of %s: %w", stateDir, err)
	}
	return nil
}

// startedOn lists the living processes that carry the mark, and those of the
// sessions that records name.
func startedOn(stateDir string) []int {
	var pids []int
	mark := stateVariable + "=" + stateDir
	eachProcess(func(pid int, s procStat) bool {
		if s.dead() || pid == os.Getpid() {
			return true
		}
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), mark) {
			pids = append(pids, pid)
		}
		return true
	})
	for _, dir := range []string{"runs", "process"} {
		files, _ := filepath.Glob(filepath.Join(stateDir, dir, "*.json"))
		for _, f := range files {
			var rec struct {
				Process process `json:"process"`
			}
			if err := readJSON(f, &rec); err == nil || errors.Is(err, os.ErrNotExist) {
				pids = append(pids, rec.Process.members()...)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}
