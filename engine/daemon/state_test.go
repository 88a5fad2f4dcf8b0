package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
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

// A backup is brought back on another machine, under another name and address.
func TestRestoreElsewhere(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	d.apply(`{"resources": {"web": {"agent": "belay:dummy"}}}`)
	var saved api.Backup
	must(t, d.post("/v1/backup", &api.BackupRequest{}, &saved))
	d.await("it is known when the store was saved last", func(s *cib.Snapshot) bool {
		r := s.Status.Stores["n1"]
		return r != nil && !r.Backup.IsZero()
	})
	d.stop()
	dir, err := os.MkdirTemp("", "bd") //nolint:usetesting // the path of the socket in it must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	state := filepath.Join(dir, "state")
	for _, bad := range []RestoreAs{{Node: pki.RootName}, {Node: "no name"}, {Addresses: []string{"nowhere"}}} {
		if err := Restore(saved.File, state, bad, d.Daemon.log); err == nil {
			t.Errorf("restored as %+v", bad)
		}
	}
	must(t, Restore(saved.File, state, RestoreAs{Node: "n9", Addresses: []string{"127.0.0.9"}, Ports: freePorts(t)}, d.Daemon.log))
	n9 := startDaemon(t, dir)
	n9.awaitEngineUp()
	s := n9.await("n9 is the cluster", func(s *cib.Snapshot) bool {
		st := s.Status.Nodes["n9"]
		return st != nil && st.State == cib.NodeOnline && s.Config.Nodes["n1"] == nil && s.Config.Resources["web"] != nil
	})
	if n := s.Config.Nodes["n9"]; !slices.Equal(n.Addresses, []string{"127.0.0.9"}) || !slices.Equal(s.Status.Voters.Voters, []string{"n9"}) {
		t.Errorf("n9 is %+v, voters %v", n, s.Status.Voters)
	}
	n9.apply(`{"resources": {"db": {"agent": "belay:dummy"}}}`)
}

// A move that a constraint outweighs is told apart before it is made.
func TestMoveWarning(t *testing.T) {
	now := time.Unix(1000, 0)
	s := voterWorld("n1 n2", "n1 n2")
	s.Status.View = &cib.View{Number: 1}
	for _, name := range []string{"n1", "n2"} {
		s.Status.View.Members = append(s.Status.View.Members, cib.ViewMember{Node: name, Incarnation: 1, BootID: "b"})
		s.Status.Members[name] = &cib.Member{Node: name, Incarnation: 1, BootID: "b"}
		s.Status.Nodes[name].BootID = "b"
		s.Status.Histories[name] = map[string]*cib.History{"web": {Resource: "web", BootID: "b", Incarnation: 1, Ops: []cib.OpResult{{Op: cib.OpMonitor, Probe: true, RC: cib.NotRunning, Status: cib.OpDone}}}}
	}
	s.Config.Resources["web"] = &cib.Resource{Agent: "belay:dummy"}
	warn := func(value string) string {
		t.Helper()
		after, err := cib.Edit(s.Config, cib.EditRequest{Action: string(api.ActionMove), Object: "resource/web", Value: json.RawMessage(value)})
		must(t, err)
		return moveWarning(s, after, "web", json.RawMessage(value), now)
	}
	if got := warn(`{"node": "n2"}`); got != "" {
		t.Errorf("a move that nothing forbids: %q", got)
	}
	s.Config.Constraints["not-n2"] = &cib.Constraint{Location: &cib.Location{Resource: "web", Node: "n2", Score: -cib.Infinity}}
	if got := warn(`{"node": "n2"}`); !strings.Contains(got, "would not go to n2 but be on n1") || !strings.Contains(got, "not-n2") {
		t.Errorf("a move that a location forbids: %q", got)
	}
	if got := warn(`{"node": "n3"}`); !strings.Contains(got, "would not go to n3") {
		t.Errorf("a move to a node that is not there: %q", got)
	}
}
