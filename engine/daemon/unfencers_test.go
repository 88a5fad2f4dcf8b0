package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/cib"
)

// fenceAgent writes a fence agent whose metadata say whether "on" is automatic.
func fenceAgent(t *testing.T, dir, name, automatic string) {
	t.Helper()
	script := `#!/bin/sh
cat <<X
<?xml version="1.0"?>
<resource-agent name="` + name + `"><longdesc>A device.</longdesc><parameters/>
<actions><action name="on" on_target="1" automatic="` + automatic + `"/><action name="off"/><action name="monitor"/><action name="metadata"/></actions></resource-agent>
X
`
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
}

// Which devices unfence is written down when they come, or get another agent, as
// their agents' metadata say. What somebody has said, and what was there before, stays.
func TestNoteUnfencers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fenceAgent(t, dir, "fence_disk", "1")
	fenceAgent(t, dir, "fence_power", "0")
	runner, err := agent.New(agent.Config{StateDir: filepath.Join(dir, "state"), RscTmp: filepath.Join(dir, "tmp"), FenceDirs: []string{dir}})
	must(t, err)
	t.Cleanup(func() { _ = runner.Close() })
	device := func(name string, unfencing *bool) *cib.FenceDevice {
		return &cib.FenceDevice{Agent: name, Unfencing: unfencing}
	}
	old := &cib.Config{FenceDevices: map[string]*cib.FenceDevice{
		"was-set": device("fence_disk", new(true)), "was-unset": device("fence_disk", nil), "other-agent": device("fence_power", nil),
		"now-power": device("fence_disk", new(true)),
	}}
	c := &cib.Config{FenceDevices: map[string]*cib.FenceDevice{
		"was-set": device("fence_disk", nil), "was-unset": device("fence_disk", nil), "other-agent": device("fence_disk", nil),
		"now-power": device("fence_power", nil), "new-disk": device("fence_disk", nil), "new-power": device("fence_power", nil),
		"new-said": device("fence_disk", new(false)), "new-missing": device("fence_missing", nil),
	}}
	(&engine{agents: runner}).noteUnfencers(t.Context(), old, c)
	for id, want := range map[string]string{
		"was-set": "true", "was-unset": "unset", "other-agent": "true", "now-power": "unset",
		"new-disk": "true", "new-power": "unset", "new-said": "false", "new-missing": "unset",
	} {
		got := "unset"
		if u := c.FenceDevices[id].Unfencing; u != nil {
			got = map[bool]string{true: "true", false: "false"}[*u]
		}
		if got != want {
			t.Errorf("%s: %s, not %s", id, got, want)
		}
	}
}
