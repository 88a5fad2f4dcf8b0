package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/pki"
)

// What a node can't do without is corrupt: the process stays and says so to whoever
// asks, with the file and what to do. Nothing is made anew over what is there.
func TestCorruptState(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	dir := filepath.Dir(d.opts.StateDir)
	d.stop()
	for _, name := range []string{
		filepath.Join(dirPKI, pki.FileCA), filepath.Join(dirPKI, pki.FileNode), filepath.Join(dirPKI, pki.FileNodeKey), filepath.Join(dirPKI, pki.FileSeal), fileLocal,
	} {
		file := filepath.Join(d.opts.StateDir, name)
		good, err := os.ReadFile(file)
		must(t, err)
		st, err := os.Stat(file)
		must(t, err)
		must(t, os.WriteFile(file, []byte("junk"), st.Mode().Perm()))
		again := startDaemon(t, dir)
		again.awaitTrue("the engine is refused", func() bool { return again.refuse.Load() != nil })
		p := refused(t, again.get("/v1/status", nil), api.CodeState)
		if !strings.Contains(p.Remedy, "join anew") || p.Detail == "" {
			t.Errorf("%s: %+v", name, p)
		}
		again.stop()
		must(t, os.WriteFile(file, good, st.Mode().Perm()))
	}

	// node.json was moved aside, and nobody brought it back.
	must(t, os.Remove(filepath.Join(d.opts.StateDir, fileLocal)))
	bare := startDaemon(t, dir)
	p := refused(t, bare.post("/v1/cluster/init", testInit(t), nil), api.CodeState)
	if !strings.Contains(p.Detail, fileLocal+" is missing") {
		t.Errorf("%q", p.Detail)
	}
}
