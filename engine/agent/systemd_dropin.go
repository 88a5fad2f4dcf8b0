package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
)

// dropInName is the file that a unit has while the cluster runs it.
const dropInName = "50-belay.conf"

// dropIn is what a unit gets while the cluster runs it. At the host's shutdown
// systemd would stop it at once, in parallel with the cluster, which would see a
// failure, and in an order that is not the cluster's: Before= holds it back until
// the node is drained. Only the cluster restarts it, so that failures are counted.
func dropIn(unit string) string {
	text := "# While the cluster runs this unit. Written by belayd.\n[Unit]\nBefore=belay-drain.service\n"
	if strings.HasSuffix(unit, ".service") {
		text += "[Service]\nRestart=no\n"
	}
	return text
}

// adopt gives a unit its drop-in, where it has none.
func (u *units) adopt(ctx context.Context, name string) error {
	file := filepath.Join(u.dir, name+".d", dropInName)
	text := []byte(dropIn(name))
	have, err := os.ReadFile(file)
	if err == nil && string(have) == string(text) {
		if loaded, lerr := u.hasLoaded(ctx, name, file); lerr == nil && loaded {
			return nil
		}
	}
	// For everybody to read, as all units.
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as above
		return fmt.Errorf("drop-in of %s: %w", name, err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("drop-in of %s: %w", name, err)
	}
	c, err := u.get(ctx)
	if err != nil {
		return err
	}
	if err := c.ReloadContext(ctx); err != nil {
		return fmt.Errorf("load the drop-in of %s: %w", name, err)
	}
	return nil
}

// hasLoaded reports whether systemd has read a unit's drop-in.
func (u *units) hasLoaded(ctx context.Context, name, file string) (bool, error) {
	c, err := u.get(ctx)
	if err != nil {
		return false, err
	}
	p, err := c.GetUnitPropertyContext(ctx, name, "DropInPaths")
	if err != nil {
		return false, fmt.Errorf("ask systemd for the drop-ins of %s: %w", name, err)
	}
	paths, _ := p.Value.Value().([]string)
	return slices.Contains(paths, file), nil
}

// release takes a stopped unit's drop-in away. systemd forgets it at its next
// reload: a unit that does not run needs none for that.
func (u *units) release(name string) error {
	dir := filepath.Join(u.dir, name+".d")
	err := os.Remove(filepath.Join(dir, dropInName))
	_ = os.Remove(dir) // it may hold the files of others
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// hostStops reports whether the host shuts down. systemd has a stop job of its own
// for every unit then, which the drop-in holds back until the node is drained; a
// stop that the drain asks for would wait for the drain, unless it ignores orders.
func hostStops(ctx context.Context, c *sd.Conn) bool {
	p, err := c.SystemStateContext(ctx)
	if err != nil {
		return false
	}
	state, _ := p.Value.Value().(string)
	return state == "stopping"
}
