package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/cluster"
)

// A node comes back with what its disk held before the other one went on alone (a
// snapshot of a virtual machine, a disk from the drawer), and the other one is off: it
// runs nothing, gets no grant, and the arbitrator still knows the newer generation.
func TestQuorumOldDisk(t *testing.T) {
	c := twoNodes(t)
	w := newWriter(t, c)
	old, other := c.Nodes[1], c.Nodes[0]
	disk := old.Host.Disk() + cluster.StateDir
	parts := []string{"etcd", "node.json", "snapshot.json"}

	old.Hold()
	must(t, old.Host.PowerOff())
	drawer := t.TempDir()
	for _, part := range parts {
		copyTree(t, filepath.Join(disk, part), filepath.Join(drawer, part))
	}
	alone(t, c, other, 2)
	w.start(other)
	w.await(10)
	w.stop()
	must(t, old.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, old.Release())
	rejoined(t, c, 2)

	for _, n := range c.Nodes {
		n.Hold()
		must(t, n.Host.PowerOff())
	}
	for _, part := range parts {
		must(t, os.RemoveAll(filepath.Join(disk, part)))
		copyTree(t, filepath.Join(drawer, part), filepath.Join(disk, part))
	}
	started := countRuns(t, c, "on-"+old.Name, cib.OpStart)
	must(t, old.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, old.Release())
	until(t, 40*time.Second, old.Name+" reaches the arbitrator, and waits", func() string {
		l, err := old.Client().Local(t.Context())
		switch {
		case err != nil:
			return err.Error()
		case l.Quorate || l.Valid:
			t.Fatalf("%s goes on with old data: %s", old.Name, l.Quorum)
		case !strings.Contains(l.Quorum, "waits until the other voter was seen"):
			return l.Quorum
		}
		for _, cl := range arbitrated(t, c).Clusters {
			for _, n := range cl.Nodes {
				if n.Name == old.Name && n.Connected {
					return ""
				}
			}
		}
		return "the arbitrator does not know it"
	})
	if n := countRuns(t, c, "on-"+old.Name, cib.OpStart); n != started {
		t.Errorf("%s started its resource with old data", old.Name)
	}
	if v := arbitrated(t, c).Clusters[0]; v.Generation.Number != 2 || len(v.Holder) > 0 {
		t.Errorf("the arbitrator knows generation %d, and %v holds the grant", v.Generation.Number, v.Holder)
	}

	// The one with the newer data comes back: it goes on with them, and the other one
	// begins anew.
	must(t, other.Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, other.Release())
	rejoined(t, c, 3)
	for _, n := range c.Nodes {
		w.check(n)
	}

	// The same with a disk that lost its data of the store, while the other one is off.
	for _, n := range c.Nodes {
		n.Hold()
		must(t, n.Host.PowerOff())
	}
	must(t, os.RemoveAll(filepath.Join(disk, "etcd")))
	for _, n := range c.Nodes {
		must(t, n.Host.PowerOn(deadline(t, 20*time.Second)))
		must(t, n.Release())
	}
	rejoined(t, c, 4)
	for _, n := range c.Nodes {
		w.check(n)
	}
}

// Both nodes come back with what their disks held before something was acknowledged. A
// majority hears each other and has a store; the arbitrator knows that it is not the
// newest. Nothing begins until a person says that what was lost is lost.
func TestQuorumOldDisks(t *testing.T) {
	c := twoNodes(t)
	drawer := t.TempDir()
	parts := []string{"etcd", "node.json", "snapshot.json"}
	both := func(do func(disk, kept string)) {
		t.Helper()
		for _, n := range c.Nodes {
			n.Hold()
			must(t, n.Host.PowerOff())
		}
		for _, n := range c.Nodes {
			do(n.Host.Disk()+cluster.StateDir, filepath.Join(drawer, n.Name))
		}
		for _, n := range c.Nodes {
			must(t, n.Host.PowerOn(deadline(t, 20*time.Second)))
			must(t, n.Release())
		}
	}
	both(func(disk, kept string) {
		for _, part := range parts {
			copyTree(t, filepath.Join(disk, part), filepath.Join(kept, part))
		}
	})
	rejoined(t, c, 1)
	c.Nodes[1].Hold()
	must(t, c.Nodes[1].Host.PowerOff())
	alone(t, c, c.Nodes[0], 2)
	must(t, c.Nodes[1].Host.PowerOn(deadline(t, 20*time.Second)))
	must(t, c.Nodes[1].Release())
	rejoined(t, c, 2)

	both(func(disk, kept string) {
		for _, part := range parts {
			must(t, os.RemoveAll(filepath.Join(disk, part)))
			copyTree(t, filepath.Join(kept, part), filepath.Join(disk, part))
		}
	})
	until(t, 60*time.Second, "both have the old store, and do not begin", func() string {
		for _, n := range c.Nodes {
			l, err := n.Client().Local(t.Context())
			switch {
			case err != nil:
				return err.Error()
			case l.Quorate || l.Valid:
				t.Fatalf("%s goes on with old data: %s", n.Name, l.Quorum)
			case !l.StoreOK || !strings.HasPrefix(l.Quorum, "2 of 2 votes") || !strings.Contains(l.Quorum, "generation 1, and 2 is known"):
				return n.Name + ": " + l.Quorum
			}
		}
		return ""
	})
	_, err := c.Quorumd.Host.Exec(deadline(t, 10*time.Second), "/usr/sbin/belay-quorumd", "cluster", "forget", "lab")
	must(t, err)
	rejoined(t, c, 1)
}

// copyTree copies a file or a directory with everything in it.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(to), 0o700))
	info, err := os.Stat(from)
	must(t, err)
	if info.IsDir() {
		must(t, os.CopyFS(to, os.DirFS(from)))
		must(t, os.Chmod(to, info.Mode().Perm()))
		return
	}
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, info.Mode().Perm()))
}
