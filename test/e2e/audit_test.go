package e2e

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// checkAudit compares the audit logs of all nodes with the configuration's
// history: every generation has exactly one intent and one outcome, every change
// that succeeded is a generation, and the chains are whole.
func checkAudit(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	// The test's own context has ended when this runs.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	intents, outcomes := map[string][]audit.Record{}, map[string][]audit.Record{}
	for _, n := range c.Nodes {
		dir := n.Host.Disk() + cluster.StateDir + "/audit"
		if path, err := n.Host.Path(cluster.StateDir + "/audit"); err == nil {
			dir = path
		}
		_, err := audit.Verify(dir, func(r *audit.Record) {
			switch r.Phase {
			case audit.Intent:
				intents[r.RequestID] = append(intents[r.RequestID], *r)
			case audit.Outcome:
				outcomes[r.RequestID] = append(outcomes[r.RequestID], *r)
			case audit.Note:
			}
		})
		if err != nil && n.Host.Power() == lab.On {
			t.Errorf("audit log of %s: %v", n.Name, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(outcomes)) {
		if len(intents[id]) != 1 || len(outcomes[id]) != 1 {
			t.Errorf("request %s (%s %s) has %d intents and %d outcomes", id, outcomes[id][0].Action, outcomes[id][0].Object, len(intents[id]), len(outcomes[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(intents)) {
		if len(outcomes[id]) == 0 {
			t.Errorf("request %s (%s %s) has an intent and no outcome", id, intents[id][0].Action, intents[id][0].Object)
		}
	}
	generations := map[string]uint64{} // by request
	from, err := c.Answering(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	history, err := from.Client().History(ctx)
	if err != nil {
		t.Errorf("history: %v", err)
		return
	}
	for _, g := range history {
		rec, err := from.Client().Generation(ctx, g.Generation)
		if err != nil {
			t.Errorf("generation %d: %v", g.Generation, err)
			continue
		}
		if _, twice := generations[rec.RequestID]; twice || rec.RequestID == "" {
			t.Errorf("generation %d has the request id %q", g.Generation, rec.RequestID)
		}
		generations[rec.RequestID] = g.Generation
		in, out := intents[rec.RequestID], outcomes[rec.RequestID]
		if len(in) != 1 || len(out) != 1 || in[0].After != g.Generation || out[0].Result != "success" {
			t.Errorf("generation %d (%s %s, request %s) has the intents %+v and the outcomes %+v", g.Generation, g.Action, g.Object, rec.RequestID, in, out)
		}
	}
	for id, out := range outcomes {
		if len(out) != 1 || out[0].Result != "success" || out[0].After == out[0].Before {
			continue
		}
		if generations[id] != out[0].After {
			t.Errorf("request %s (%s %s) succeeded as generation %d, which is another's or gone", id, out[0].Action, out[0].Object, out[0].After)
		}
	}
}
