package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	importer "github.com/belay-ha/belay/engine/pacemaker"
	"github.com/belay-ha/belay/engine/policy"
)

// peerPatience is how long another scheduler may take for one decision.
const peerPatience = 120 * time.Second

// schedules are the clusters that are scheduled, each with how many times faster
// than crm_simulate Place and Plan must be; 0 where the time itself is bounded.
//
// Of 1000 nodes there is none that was probed: every node's answer for every
// primitive makes a CIB of 400 MB and of 4 GB, which neither scheduler is given in
// practice.
var schedules = []struct {
	shape  shape
	faster float64
	// withoutPeer saves the time for crm_simulate to be ended once more.
	withoutPeer bool
}{
	{shape: shape{nodes: 3, primitives: 30}, faster: 1},
	{shape: shape{nodes: 3, primitives: 30, cold: true}, faster: 1},
	{shape: shape{nodes: 3, primitives: 30, probed: true}, faster: 1},
	{shape: shape{nodes: 32, primitives: 1000}, faster: 1},
	{shape: shape{nodes: 32, primitives: 1000, cold: true}, faster: 1},
	{shape: shape{nodes: 32, primitives: 1000, probed: true}, faster: 1},
	{shape: shape{nodes: 100, primitives: 1000}, faster: 20},
	{shape: shape{nodes: 100, primitives: 1000, cold: true}, faster: 20},
	{shape: shape{nodes: 100, primitives: 1000, probed: true}, faster: 20},
	{shape: shape{nodes: 100, primitives: 5000}, faster: 50},
	{shape: shape{nodes: 100, primitives: 5000, cold: true}, faster: 50},
	{shape: shape{nodes: 100, primitives: 5000, probed: true}, faster: 50},
	{shape: shape{nodes: 1000, primitives: 1000}, faster: 500},
	{shape: shape{nodes: 1000, primitives: 1000, cold: true}, faster: 500},
	{shape: shape{nodes: 1000, primitives: 10000}},
	{shape: shape{nodes: 1000, primitives: 10000, cold: true}, withoutPeer: true},
}

// scheduling measures Place and Plan against Debian's crm_simulate, on the same
// CIBs.
func scheduling(ctx context.Context, r *Report) error {
	peerMissing := install(ctx, "crm_simulate", "pacemaker-cli-utils")
	if peerMissing != nil {
		r.Skip("crm_simulate", peerMissing)
	}
	dir, err := os.MkdirTemp("", "belay-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for CIBs: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary one
	for _, s := range schedules {
		var doc bytes.Buffer
		if err := s.shape.writeTo(&doc); err != nil {
			return err
		}
		ours, err := decide(doc.Bytes())
		if err != nil {
			return fmt.Errorf("%s: %w", s.shape, err)
		}
		note := fmt.Sprintf("%d actions, %.1f ms", ours.actions, 1000*ours.took.Seconds())
		if s.faster == 0 {
			r.Add(Figure{Name: "Place and Plan, " + s.shape.String(), Value: ours.took.Seconds(), Unit: "s", Goal: AtMost(1), Note: note})
			r.Add(Figure{
				Name: "memory of it, " + s.shape.String(), Value: ours.mb, Unit: "MB", Goal: AtMost(512),
				Note: fmt.Sprintf("the snapshot, %.0f MB, and all that is allocated while deciding", ours.snapshotMB),
			})
		}
		if s.withoutPeer {
			continue
		}
		if peerMissing != nil {
			if s.faster > 0 {
				r.Add(Figure{Name: "Place and Plan, " + s.shape.String(), Value: 1000 * ours.took.Seconds(), Unit: "ms", Note: note})
			}
			continue
		}
		file := filepath.Join(dir, "cib.xml")
		if err := os.WriteFile(file, doc.Bytes(), 0o600); err != nil {
			return fmt.Errorf("write a CIB: %w", err)
		}
		took, ended, err := crmSimulate(ctx, file)
		if err != nil {
			return fmt.Errorf("%s: %w", s.shape, err)
		}
		if !ended {
			note += fmt.Sprintf("; crm_simulate was ended after %s", peerPatience)
		}
		f := Figure{
			Name: "times faster, " + s.shape.String(), Value: took.Seconds() / ours.took.Seconds(), Unit: "x", Note: note,
			Peer: "crm_simulate", PeerValue: took.Seconds(),
		}
		if s.faster > 0 {
			f.Goal = AtLeast(s.faster)
		}
		r.Add(f)
	}
	return nil
}

// decided is how we did.
type decided struct {
	took           time.Duration // CPU time of Place and Plan, the best of three
	mb, snapshotMB float64
	actions        int
}

func decide(doc []byte) (decided, error) {
	before := heap()
	d, err := importer.Read(doc)
	if err != nil {
		return decided{}, fmt.Errorf("read the CIB: %w", err)
	}
	now, _ := d.Time()
	im := importer.Import(d, now)
	var out decided
	out.snapshotMB = megabytes(heap().HeapAlloc, before.HeapAlloc)
	for i := range 3 {
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		began := ownCPU()
		_, g, _ := policy.Decide(im.Snapshot, im.Now)
		took := ownCPU() - began
		runtime.ReadMemStats(&to)
		if i == 0 || took < out.took {
			out.took = took
		}
		out.mb = max(out.mb, out.snapshotMB+megabytes(to.TotalAlloc, from.TotalAlloc))
		out.actions = len(g.Actions)
	}
	return out, nil
}

// ownCPU is what this process has used of all cores. Like the time of the peer, it
// does not count what others on the machine do meanwhile.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0 // never, for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() runtime.MemStats {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

func megabytes(now, before uint64) float64 { return (float64(now) - float64(before)) / (1 << 20) }

// crmSimulate runs Debian's crm_simulate, which only schedules with these
// options. It returns the time that the process used itself.
func crmSimulate(ctx context.Context, file string) (took time.Duration, ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "crm_simulate", "-R", "-x", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return peerPatience, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("run crm_simulate: %w: %s", err, stderr.Bytes())
	}
	return cmd.ProcessState.UserTime(), true, nil
}
