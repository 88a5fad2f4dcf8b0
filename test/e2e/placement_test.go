package e2e

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// An external program says where a resource should run: what it answers is written
// down and followed; when it fails, the last answer counts for a while.
func TestPlacementProgram(t *testing.T) {
	c := start(t, cluster.Config{})
	ctx := deadline(t, 90*time.Second)
	const program = "/usr/local/bin/place"
	answer := func(script string) {
		t.Helper()
		for _, n := range c.Nodes { // any of them may be the DC
			must(t, n.Host.WriteFile(program, []byte("#!/bin/sh\ncat >/dev/null\n"+script+"\n"), 0o755))
		}
	}
	answer(`echo '{"scores":{"job":{"n2":500}}}'`)
	cfg := &cib.Config{Resources: map[string]*cib.Resource{"job": {Agent: "ocf:heartbeat:Dummy"}}}
	_, err := c.Nodes[0].Apply(ctx, cfg)
	must(t, err)
	_, err = c.Nodes[0].Change(ctx, api.ActionPatch, "cluster", map[string]any{"options": map[string]any{
		"placement-strategy": "external", "placement-program": program, "placement-interval": "1s",
	}})
	must(t, err)
	wait(t, c, 20*time.Second, "it runs where the program says", func(s *status.Summary) string { return cluster.Running(s, "job", "n2") })
	answer(`echo '{"scores":{"job":{"n3":500}}}'`)
	wait(t, c, 20*time.Second, "it follows the program", func(s *status.Summary) string { return cluster.Running(s, "job", "n3") })
	answer("exit 3")
	until(t, 20*time.Second, "the failure is told", func() string {
		snap, err := c.Nodes[0].Client().Snapshot(ctx)
		switch {
		case err != nil:
			return err.Error()
		case snap.Status.Advice == nil || snap.Status.Advice.Error == "":
			return "no failure"
		}
		return ""
	})
	wait(t, c, 10*time.Second, "and it goes on", func(s *status.Summary) string { return cluster.Running(s, "job", "n3") })
}
