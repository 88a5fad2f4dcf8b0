package vm

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var fetching sync.Mutex

// run runs a script in a machine. What it needs is made below dist, and kept there.
func run(t *testing.T, script string, env ...string) *Result {
	t.Helper()
	dist, err := filepath.Abs("../../dist/vm")
	if err != nil {
		t.Fatal(err)
	}
	fetching.Lock()
	kernel, err := Fetch(t.Context(), dist)
	fetching.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	guest := filepath.Join(dir, "guest")
	if _, err := output(t.Context(), "", "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", guest, "./guest"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	const limit = 8 * time.Minute
	r, err := Run(t.Context(), Config{
		Kernel: kernel, Guest: guest, Dir: dir, Memory: 1024, Script: string(text), Limit: limit,
		Env: append(env, "GUEST="+guest), Log: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Result) has(text string) bool {
	for _, line := range r.Console {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// Two initiators, each with a session of its own to one iSCSI disk: the tie-breaker's race,
// and Debian's fence_scsi, whose victim can't write any more.
func TestQuorumReservation(t *testing.T) {
	t.Parallel()
	if r := run(t, "scsi.sh"); !r.Ended || r.Status != 0 {
		t.Error("the script failed")
	}
}

// A watchdog of the kernel's own, softdog, is armed by the engine, let go by one that ends,
// and resets the machine under one that stands still.
func TestQuorumWatchdog(t *testing.T) {
	t.Parallel()
	bin := os.Getenv("BELAY_BIN")
	if bin == "" {
		t.Fatal("BELAY_BIN does not say where the programs are: make vmtest does")
	}
	r := run(t, "watchdog.sh", "BELAY_BIN="+bin)
	if r.Ended || !r.Reset || !r.has("stopped: nobody feeds") {
		t.Fatal("the watchdog did not reset the machine, or too early")
	}
	if !r.has("softdog: Initiating system reboot") {
		t.Error("the kernel does not say that it was the watchdog")
	}
}
