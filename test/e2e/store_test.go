package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// A member of the store dies, and later loses its data: the engine goes on, and
// the member comes back.
func TestStoreMember(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	victim := ownerOf(t, c, w.Group)
	before, err := victim.Client().Local(t.Context())
	must(t, err)
	began := time.Now()
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	healthy := func(s *status.Summary) string {
		if len(s.Quorum.Voters) != 3 {
			return "votes"
		}
		for _, m := range s.Store.Members {
			if m.State != status.StoreHealthy {
				return m.Node + " is " + m.State.String()
			}
		}
		if len(s.Store.Members) != 3 {
			return "members"
		}
		return cluster.Online(s, c.Names()...)
	}
	wait(t, c, 40*time.Second, "every member of the store is healthy", healthy)
	child := func() string {
		out, _ := victim.Host.Exec(t.Context(), "pgrep", "-f", "^/usr/sbin/belayd etcd")
		return strings.TrimSpace(out)
	}
	change := func(text string) {
		t.Helper()
		for _, n := range c.Nodes {
			_, err := n.Change(deadline(t, 20*time.Second), api.ActionPatch, "resource/www", map[string]any{"description": text + n.Name})
			must(t, err)
		}
	}

	// Killed: started again.
	old := child()
	sh(t, victim, "kill -9 "+old)
	until(t, 20*time.Second, "another member runs", func() string {
		switch now := child(); now {
		case "":
			return "none runs"
		case old:
			return "it is " + now + " still"
		}
		return ""
	})
	change("after the kill on ")
	wait(t, c, 40*time.Second, "the member is back", healthy)

	// Its data are gone: the rest is moved aside, and it begins anew as a learner.
	epoch := state(t, c).Quorum.Epoch
	old = child()
	sh(t, victim, "rm -rf /var/lib/belay/etcd/*; kill -9 "+old)
	change("without data on ")
	wait(t, c, 60*time.Second, "the member is a voter again", func(s *status.Summary) string {
		if s.Quorum.Epoch < epoch+2 {
			return "it was not removed and added"
		}
		return healthy(s)
	})
	change("after the return on ")

	// Its data cannot be read.
	epoch = state(t, c).Quorum.Epoch
	sh(t, victim, "for f in $(find /var/lib/belay/etcd -name db); do dd if=/dev/urandom of=$f bs=4096 count=8 conv=notrunc status=none; done; kill -9 "+child())
	wait(t, c, 60*time.Second, "the member is a voter again", func(s *status.Summary) string {
		if s.Quorum.Epoch < epoch+2 {
			return "it was not removed and added"
		}
		return healthy(s)
	})
	if aside := sh(t, victim, "ls -d /var/lib/belay/etcd?*"); aside == "" {
		t.Error("nothing was moved aside")
	}
	if len(eventsOf(t, c.Nodes[0], event.StateCorrupt, victim.Name, began)) == 0 {
		t.Error("nothing tells of the corrupt data")
	}
	after, err := victim.Client().Local(t.Context())
	must(t, err)
	if before.Incarnation != after.Incarnation {
		t.Error("the engine was restarted")
	}
	for _, number := range []int{event.NodeLost, event.FencingRequested, event.ResourceStopped} {
		if evs := eventsOf(t, c.Nodes[0], number, "", began); len(evs) > 0 {
			t.Errorf("event: %s", evs[0].Text)
		}
	}
	if gaps := watch.Gaps(time.Second); len(gaps) > 0 {
		t.Errorf("the service was away: %v", gaps)
	}
	if v := state(t, c).Quorum.Voters; !slices.ContainsFunc(v, func(v status.Voter) bool { return v.Node == victim.Name && v.Here }) {
		t.Errorf("voters: %+v", v)
	}
}

// sh runs a script on a node; it must succeed.
func sh(t *testing.T, n *cluster.Node, script string) string {
	t.Helper()
	out, err := n.Host.Exec(t.Context(), "sh", "-c", script)
	must(t, err)
	return strings.TrimSpace(out)
}
