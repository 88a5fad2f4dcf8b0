package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// What the pages of the web GUI should reach, with 1000 resources on 100 nodes.
const (
	guiUsableMaxMs  = 1000
	guiPaintMaxMs   = 200
	guiMemoryMaxMB  = 200
	guiFirstLoadMax = 500
)

// gui measures the pages in Chromium, against a daemon that only pretends: what is
// measured is the pages.
func gui(ctx context.Context, r *Report) (err error) {
	dir, err := os.MkdirTemp("", "gui-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "figures.json")
	cmd := exec.CommandContext(ctx, "npm", "--prefix", "gui/web", "--no-update-notifier", "run", "--silent", "bench")
	cmd.Env = append(os.Environ(), "BELAY_FIGURES="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm run bench: %w: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var f struct{ UsableMs, PaintMs, HeapMB, HeapGrowthMB, PrivateMB, FirstLoadKiB, Events float64 }
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("read what npm run bench measured: %w", err)
	}
	const state = "1000 resources, 100 nodes"
	r.Add(Figure{Name: "GUI, log-in until usable", Value: f.UsableMs, Unit: "ms", Goal: AtMost(guiUsableMaxMs), Note: state})
	r.Add(Figure{Name: "GUI, event until painted", Value: f.PaintMs, Unit: "ms", Goal: AtMost(guiPaintMaxMs), Note: state})
	r.Add(Figure{
		Name: "GUI, page memory", Value: f.PrivateMB, Unit: "MB", Goal: AtMost(guiMemoryMaxMB),
		Note: fmt.Sprintf("private memory of the renderer after %.0f events at speed; heap %.0f MB, %+.1f MB in the second half", f.Events, f.HeapMB, f.HeapGrowthMB),
	})
	r.Add(Figure{Name: "GUI, first load", Value: f.FirstLoadKiB, Unit: "KiB", Goal: AtMost(guiFirstLoadMax), Note: "log-in and overview, gzip, with fonts"})
	return nil
}
