package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// webText is what the service answers: a file on its file system.
const webText = "served from the shared file system\n"

// start makes a cluster for a test.
func start(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	began := time.Now()
	cfg.Logf = t.Logf
	if dir := os.Getenv("E2E_DIR"); dir != "" { // to look at the logs afterwards
		cfg.Dir = filepath.Join(dir, t.Name())
	}
	c, lc := cluster.New(cfg)
	l := lab.Start(t, lc)
	must(t, c.Start(deadline(t, time.Minute), l))
	t.Logf("the cluster is up after %s", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { epilogue(t, c) })
	return c
}

// epilogue is what must hold after every scenario.
func epilogue(t *testing.T, c *cluster.Cluster) {
	checkAudit(t, c)
	checkTrace(t, c)
	if t.Failed() {
		report(t, c)
	}
}

// report shows the state of the cluster of a test that failed.
func report(t *testing.T, c *cluster.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, n := range c.Nodes {
		s, err := n.Client().Status(ctx, true)
		if err != nil {
			t.Logf("%s: %v", n.Name, err)
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s: revision %d, %s (%s), DC %s, quorum %s (%s)\n", n.Name, s.Revision, s.Cluster.State, s.Cluster.Reason, s.Cluster.DC, s.Quorum.State, s.Quorum.Reason)
		for i := range s.Nodes {
			m := &s.Nodes[i]
			fmt.Fprintf(&b, "  node %s: %s member %v %s\n", m.Name, m.State, m.Member, m.Reason)
		}
		for i := range s.Resources {
			r := &s.Resources[i]
			fmt.Fprintf(&b, "  resource %s: %s on %v %s\n", r.ID, r.State, r.Nodes, r.Reason)
		}
		for _, a := range s.Actions {
			fmt.Fprintf(&b, "  action %s %s %s, asked %s\n", a.ID, a.Text, a.State, a.Asked.Format(time.StampMilli))
		}
		for _, a := range s.Alarms {
			fmt.Fprintf(&b, "  alarm %s %s\n", a.Code, a.Text)
		}
		t.Log(b.String())
	}
	if events, err := c.Nodes[0].Events(ctx, ""); err == nil {
		var b strings.Builder
		for _, ev := range events {
			fmt.Fprintf(&b, "  %s %s %s %s\n", ev.Time.Format(time.StampMilli), ev.Code, ev.Source, ev.Text)
		}
		t.Log("events:\n" + b.String())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deadline is a context that ends with the test or after a time.
func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wait waits for a state of the cluster, as cluster.Wait does, at most for a time.
func wait(t *testing.T, c *cluster.Cluster, limit time.Duration, what string, condition func(*status.Summary) string) {
	t.Helper()
	began := time.Now()
	must(t, c.Wait(deadline(t, limit), what, condition))
	t.Logf("%s (after %s)", what, time.Since(began).Round(time.Millisecond))
}

// until waits for a condition that no state shows.
func until(t *testing.T, limit time.Duration, what string, condition func() string) {
	t.Helper()
	began := time.Now()
	must(t, cluster.Until(deadline(t, limit), what, condition))
	t.Logf("%s (after %s)", what, time.Since(began).Round(time.Millisecond))
}

// state is the present state of the cluster.
func state(t *testing.T, c *cluster.Cluster) *status.Summary {
	t.Helper()
	var out *status.Summary
	must(t, c.Wait(deadline(t, 20*time.Second), "a state", func(s *status.Summary) string { out = s; return "" }))
	return out
}

// calm says which alarm is there, or "".
func calm(s *status.Summary) string {
	for _, a := range s.Alarms {
		return a.Code + " " + a.Text
	}
	return ""
}

// startWeb makes the service, and writes the file that it serves.
func startWeb(t *testing.T, c *cluster.Cluster) *cluster.Web {
	t.Helper()
	ctx := deadline(t, 30*time.Second)
	w, err := c.NewWeb(ctx)
	must(t, err)
	_, err = c.Nodes[0].Apply(ctx, w.Config())
	must(t, err)
	wait(t, c, 30*time.Second, "the service runs", func(s *status.Summary) string { return cluster.Running(s, w.Group) })
	must(t, ownerOf(t, c, w.Group).Host.WriteFile(filepath.Join(w.Dir, "index.html"), []byte(webText), 0o644))
	return w
}

// ownerOf is the node that a resource runs on.
func ownerOf(t *testing.T, c *cluster.Cluster, id string) *cluster.Node {
	t.Helper()
	s := state(t, c)
	if why := cluster.Running(s, id); why != "" {
		t.Fatal(why)
	}
	return c.Node(s.Resource(id).Nodes[0])
}

// dc is the present DC.
func dc(t *testing.T, c *cluster.Cluster) *cluster.Node {
	t.Helper()
	var n *cluster.Node
	must(t, c.Wait(deadline(t, 20*time.Second), "a DC", func(s *status.Summary) string {
		n = c.Node(s.Cluster.DC)
		if n == nil {
			return "none"
		}
		return ""
	}))
	return n
}

// move moves a resource, where it does not run there already.
func move(t *testing.T, c *cluster.Cluster, id, node string) {
	t.Helper()
	if ownerOf(t, c, id).Name == node {
		return
	}
	_, err := c.Nodes[0].Change(deadline(t, 20*time.Second), api.ActionMove, "resource/"+id, map[string]string{"node": node})
	must(t, err)
	wait(t, c, 30*time.Second, id+" has moved to "+node, func(s *status.Summary) string { return cluster.Running(s, id, node) })
}

// rejoin powers a node on where it is off, and waits until it is a member again.
func rejoin(t *testing.T, c *cluster.Cluster, n *cluster.Node) {
	t.Helper()
	must(t, n.Host.PowerOn(deadline(t, 20*time.Second)))
	wait(t, c, 60*time.Second, n.Name+" is back", func(s *status.Summary) string { return cluster.Online(s, c.Names()...) })
}

func names(nodes []*cluster.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}

// eventsOf lists events of one number about a node (any, if it is empty) since a
// time.
func eventsOf(t *testing.T, from *cluster.Node, number int, node string, since time.Time) []cib.Event {
	t.Helper()
	events, err := from.Events(t.Context(), event.Get(number).Code())
	must(t, err)
	var out []cib.Event
	for _, ev := range events {
		if (node == "" || ev.Node == node) && !ev.Time.Before(since) {
			out = append(out, ev)
		}
	}
	return out
}
