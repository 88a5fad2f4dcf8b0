package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// secret is a parameter's value that must be found nowhere.
const secret = "Geheimnis-4711-nirgends"

// A configuration with faults is refused whole, and every fault is named; agents
// that misbehave stand in the way of nobody else; secrets are found nowhere.
func TestBadInput(t *testing.T) {
	c := start(t, cluster.Config{Flags: []string{"--log-level", "debug"}})
	installTraced(t, c)
	n := c.Nodes[0]
	refusals(t, c)

	// What misbehaves begins first; what is good comes after it, on the same nodes.
	short := []cib.Operation{
		{Name: cib.OpStart, Timeout: cib.Duration(2 * time.Second)},
		{Name: cib.OpStop, Timeout: cib.Duration(5 * time.Second)},
		{Name: cib.OpMonitor, Interval: cib.Duration(time.Second), Timeout: cib.Duration(2 * time.Second)},
	}
	bad := &cib.Config{Resources: map[string]*cib.Resource{}}
	modes := []string{"hang", "noise", "nonsense", "daemon", "lie"}
	for _, mode := range modes {
		bad.Resources["bad-"+mode] = &cib.Resource{
			Agent: tracedID, Parameters: map[string]string{"mode": mode, "password": secret}, Operations: short,
		}
	}
	_, err := n.Apply(deadline(t, 20*time.Second), bad)
	must(t, err)
	good := &cib.Config{Resources: map[string]*cib.Resource{}}
	var ids []string
	for i := range 6 {
		id := fmt.Sprintf("good%d", i+1)
		ids = append(ids, id)
		good.Resources[id] = tracedResource(map[string]string{"password": secret})
	}
	_, err = n.Apply(deadline(t, 20*time.Second), good)
	must(t, err)
	wait(t, c, 20*time.Second, "what is good is started", func(s *status.Summary) string {
		for _, id := range ids {
			if why := cluster.Running(s, id); why != "" {
				return why
			}
		}
		return ""
	})
	wait(t, c, 60*time.Second, "what is bad is found out", func(s *status.Summary) string {
		for _, mode := range []string{"hang", "nonsense", "lie"} {
			if s.Resource("bad-"+mode).FailCount == 0 {
				return mode + " did not fail"
			}
		}
		for _, mode := range []string{"noise", "daemon"} { // these do what they should
			if why := cluster.Running(s, "bad-"+mode); why != "" {
				return why
			}
		}
		return ""
	})
	wait(t, c, 60*time.Second, "everything is calm", func(s *status.Summary) string {
		for _, a := range s.Actions {
			return a.Text
		}
		for _, id := range ids {
			if why := cluster.Running(s, id); why != "" {
				return why
			}
			if s.Resource(id).FailCount != 0 {
				return id + " failed"
			}
		}
		return cluster.Online(s, c.Names()...)
	})
	if evs := eventsOf(t, n, event.FencingRequested, "", time.Time{}); len(evs) > 0 {
		t.Errorf("event: %s", evs[0].Text)
	}
	searchSecret(t, c)
	corruptFiles(t, c)
}

// refusals applies configurations that must be refused.
func refusals(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	n := c.Nodes[0]
	before, err := n.Client().Config(t.Context())
	must(t, err)
	for _, r := range []struct {
		what  string
		doc   string
		paths []string // of the faults, among others
	}{
		{"an agent that is unknown", `{"resources": {"a": {"agent": "ocf:heartbeat:Nonsense"}}}`, []string{"resources.a.agent"}},
		{"an agent that is none", `{"resources": {"a": {"agent": "../../bin/sh"}}}`, []string{"resources.a.agent"}},
		{"a parameter of the wrong type", `{"resources": {"a": {"agent": "ocf:heartbeat:nginx", "parameters": {"port": "a\tb", "configfile": "/x"}}, "b": {"agent": "belay:dummy", "parameters": {"fail_times": "often"}}}}`, []string{"resources.b.parameters.fail_times"}},
		{"a parameter that is missing", `{"resources": {"a": {"agent": "ocf:heartbeat:IPaddr2"}}}`, []string{"resources.a.parameters.ip"}},
		{
			"a cycle", `{"resources": {"a": {"agent": "belay:dummy"}, "b": {"agent": "belay:dummy"}}, "constraints": {"x": {"order": {"first": "a", "then": "b"}}, "y": {"order": {"first": "b", "then": "a"}}}}`,
			[]string{"constraints."},
		},
		{"a colocation with itself", `{"resources": {"a": {"agent": "belay:dummy"}}, "constraints": {"x": {"colocation": {"resource": "a", "with": "a", "score": "INFINITY"}}}}`, []string{"constraints.x"}},
		{"an impossible score", `{"resources": {"a": {"agent": "belay:dummy"}}, "constraints": {"x": {"location": {"resource": "a", "node": "n1", "score": "much"}}}}`, []string{"constraints.x.location.score"}},
		{"an id that stands twice", `{"resources": {"a": {"agent": "belay:dummy"}, "a": {"agent": "belay:dummy"}}}`, []string{"resources.a"}},
		{"a field that is unknown", `{"resources": {"a": {"agent": "belay:dummy", "colour": "red"}}}`, []string{"resources.a.colour"}},
		{"several faults, and one thing that is right", `{"resources": {"ok": {"agent": "belay:dummy"}, "a": {"agent": "nope"}, "g": {"group": ["zz"]}}}`, []string{"resources.a", "resources.g"}},
		{"something else", `[1, 2, 3]`, nil},
		{"half a document", `{"resources": {"a": `, nil},
	} {
		ch := &api.Change{Action: api.ActionApply, Object: "cluster", Merge: true, Value: []byte(r.doc)}
		_, err := n.Client().Change(t.Context(), ch)
		var p *api.Problem
		if !errors.As(err, &p) {
			t.Errorf("%s: accepted, or %v", r.what, err)
			continue
		}
		if p.Code == api.CodeDefect || p.Status/100 == 5 {
			t.Errorf("%s: %v", r.what, p)
		}
		for _, path := range r.paths {
			if !slices.ContainsFunc(p.Faults, func(f api.Fault) bool { return strings.HasPrefix(f.Path, path) }) {
				t.Errorf("%s: no fault at %s: %v", r.what, path, p)
			}
		}
	}
	after, err := n.Client().Config(t.Context())
	must(t, err)
	if before.Generation != after.Generation {
		t.Errorf("the configuration went from generation %d to %d", before.Generation, after.Generation)
	}
}

// searchSecret looks for the secret everywhere where it must not be.
func searchSecret(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx := deadline(t, 30*time.Second)
	search := func(where string, b []byte) {
		if strings.Contains(string(b), secret) {
			t.Errorf("the secret stands in %s", where)
		}
	}
	for _, n := range c.Nodes {
		if got := sh(t, n, "cat /run/e2e-good*; true"); got != "" && !strings.Contains(got, secret) {
			t.Errorf("the agent on %s did not get the secret: %q", n.Name, got)
		}
		// Files: the store, the snapshot, the audit log, the run directory.
		if got := sh(t, n, "grep -rlaF "+secret+" /var/lib/belay /run/belay; true"); got != "" {
			t.Errorf("the secret stands on %s in %s", n.Name, got)
		}
		if got := sh(t, n, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -aF "+secret+" | grep -vF 'grep -aF'; true"); got != "" {
			t.Errorf("the secret stands in the arguments of a process on %s: %s", n.Name, got)
		}
		for what, get := range map[string]func() (any, error){
			"the snapshot":      func() (any, error) { return n.Client().Snapshot(ctx) },
			"the state":         func() (any, error) { return n.Client().Status(ctx, true) },
			"the configuration": func() (any, error) { return n.Client().Config(ctx) },
			"the events":        func() (any, error) { return n.Events(ctx, "") },
			"the plan":          func() (any, error) { return n.Client().Plan(ctx) },
		} {
			v, err := get()
			must(t, err)
			search(what+" of "+n.Name, cluster.Value(v))
		}
		log, err := os.ReadFile(n.Engine().Log())
		must(t, err)
		search("the log of "+n.Name, log)
	}
	history, err := c.Nodes[0].Client().History(ctx)
	must(t, err)
	for _, g := range history {
		rec, err := c.Nodes[0].Client().Generation(ctx, g.Generation)
		must(t, err)
		search(fmt.Sprintf("generation %d", g.Generation), cluster.Value(rec))
	}
}

// corruptFiles damages the local files of a node: they are moved aside, and the
// node is there again.
func corruptFiles(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	n := c.Nodes[2]
	began := time.Now()
	must(t, n.Stop(deadline(t, 30*time.Second)))
	sh(t, n, "echo '{\"revision\": 1, \"docs\": [{\"k\"' >/var/lib/belay/snapshot.json")
	must(t, n.Release())
	wait(t, c, 60*time.Second, "the node is back without its snapshot", func(s *status.Summary) string {
		if s.Node(n.Name).UpSince.Before(began) {
			return "the old engine"
		}
		return cluster.Online(s, c.Names()...)
	})
	if got := sh(t, n, "ls /var/lib/belay/snapshot.json.*"); got == "" {
		t.Error("the snapshot was not moved aside")
	}
	until(t, 20*time.Second, "an event tells", func() string {
		if len(eventsOf(t, c.Nodes[0], event.StateCorrupt, n.Name, began)) == 0 {
			return "none"
		}
		return ""
	})
}

// tinyDisk gives a host a small file system for the state of its engine.
func tinyDisk(sizeBytes int) func(context.Context, *lab.Host) error {
	return func(ctx context.Context, h *lab.Host) error {
		_, err := h.Exec(ctx, "sh", "-c", fmt.Sprintf("mkdir -p %[1]s && mount -t tmpfs -o size=%[2]d tmpfs %[1]s", cluster.StateDir, sizeBytes))
		return err
	}
}

// A full disk stops changes, not services.
func TestFullDisk(t *testing.T) {
	const size = 224 << 20 // two segments of the store's log, 64 MiB each and taken in advance, and some room
	c := start(t, cluster.Config{Prepare: tinyDisk(size)})
	w := startWeb(t, c)
	owner := ownerOf(t, c, w.Group)
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	began := time.Now()
	fill := "cat /dev/zero >/var/lib/belay/ballast 2>/dev/null; true"
	sh(t, owner, fill)
	until(t, 30*time.Second, "a change on the node is refused", func() string {
		_, err := owner.Client().Change(deadline(t, 15*time.Second), &api.Change{Action: api.ActionPatch, Object: "resource/www", Value: []byte(`{"description": "full"}`)})
		if err == nil {
			return "accepted"
		}
		if isProblem(err, api.CodeDefect) {
			t.Errorf("a full disk is a defect: %v", err)
		}
		return ""
	})
	if why := cluster.Running(state(t, c), w.Group, owner.Name); why != "" {
		t.Error(why)
	}
	sh(t, owner, "rm /var/lib/belay/ballast")
	wait(t, c, 60*time.Second, "all is well again", func(s *status.Summary) string {
		if len(s.Quorum.Voters) != 3 {
			return "votes"
		}
		return cluster.Online(s, c.Names()...)
	})
	until(t, 60*time.Second, "a change is accepted again", func() string {
		if _, err := owner.Client().Change(deadline(t, 15*time.Second), &api.Change{Action: api.ActionPatch, Object: "resource/www", Value: []byte(`{"description": "free"}`)}); err != nil {
			return err.Error()
		}
		return ""
	})
	for _, number := range []int{event.NodeLost, event.FencingRequested, event.ResourceStopped} {
		if evs := eventsOf(t, c.Nodes[0], number, "", began); len(evs) > 0 {
			t.Errorf("event: %s", evs[0].Text)
		}
	}
	if gaps := watch.Gaps(time.Second); len(gaps) > 0 {
		t.Errorf("the service was away: %v", gaps)
	}
}
