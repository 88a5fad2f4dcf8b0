package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// auditLog is the log of one node, with what the other nodes signed of it.
type auditLog struct {
	node, dir string
	held      []audit.Checkpoint
	off       bool // its end may be torn
}

// checkAudit compares the audit logs of all nodes with the configuration's history.
func checkAudit(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	// The test's own context has ended when this runs.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var logs []auditLog
	for _, n := range c.Nodes {
		held, err := heldOf(c, n)
		if err != nil {
			t.Errorf("what others signed of %s: %v", n.Name, err)
		}
		logs = append(logs, auditLog{n.Name, auditDir(n), held, n.Host.Power() != lab.On})
	}
	from, err := c.Answering(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	engine := from.Client()
	defer engine.Close()
	compareAudit(ctx, t, logs, engine)
}

// compareAudit compares audit logs with the configuration's history: every generation has
// exactly one intent and one outcome, every change that succeeded is a generation, and
// the chains are whole.
func compareAudit(ctx context.Context, t *testing.T, logs []auditLog, engine *client.Client) {
	t.Helper()
	intents, outcomes := map[string][]audit.Record{}, map[string][]audit.Record{}
	for _, l := range logs {
		_, err := audit.Check(l.dir, audit.Options{Held: l.held, Each: func(r *audit.Record) {
			switch r.Phase {
			case audit.Intent:
				intents[r.RequestID] = append(intents[r.RequestID], *r)
			case audit.Outcome:
				outcomes[r.RequestID] = append(outcomes[r.RequestID], *r)
			case audit.Note:
			}
		}})
		if err != nil && !l.off {
			t.Errorf("audit log of %s: %v", l.node, err)
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
	history, err := engine.History(ctx)
	if err != nil {
		t.Errorf("history: %v", err)
		return
	}
	for _, g := range history {
		rec, err := engine.Generation(ctx, g.Generation)
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

// auditDir is where the audit log of a node lies, whether its host is on or not.
func auditDir(n *cluster.Node) string {
	if path, err := n.Host.Path(cluster.StateDir + "/audit"); err == nil {
		return path
	}
	return n.Host.Disk() + cluster.StateDir + "/audit"
}

// heldOf collects what the other nodes signed of a node's audit log.
func heldOf(c *cluster.Cluster, n *cluster.Node) ([]audit.Checkpoint, error) {
	var out []audit.Checkpoint
	for _, other := range c.Others(n) {
		held, err := audit.Held(auditDir(other), n.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, held...)
	}
	return out, nil
}

// signed waits until the other nodes have signed all of a node's audit log, and
// returns how many records that are.
func signed(t *testing.T, c *cluster.Cluster, n *cluster.Node) uint64 {
	t.Helper()
	var records uint64
	engine := n.Client()
	defer engine.Close()
	until(t, 60*time.Second, "the others have signed the audit log of "+n.Name, func() string {
		st, err := engine.AuditState(t.Context())
		if err != nil {
			return err.Error()
		}
		cp, err := audit.ParseCheckpoint(st.Checkpoint)
		if err != nil {
			return err.Error()
		}
		keys, err := audit.ReadKeys(auditDir(n))
		if err != nil {
			return err.Error()
		}
		by, _ := cp.SignedBy(keys)
		records = st.Records
		if st.Signed != st.Records || len(by) != len(c.Nodes) {
			return fmt.Sprintf("%d of %d records, by %v", st.Signed, st.Records, by)
		}
		return ""
	})
	return records
}

// Somebody with all power over a node puts an old copy of its audit log back: by
// itself it is whole, and the other nodes tell.
func TestAuditRollback(t *testing.T) {
	c := start(t, cluster.Config{})
	n := c.Nodes[2]
	records := signed(t, c, n)
	dir := auditDir(n)
	old := filepath.Join(t.TempDir(), "old")
	must(t, os.CopyFS(old, os.DirFS(dir)))
	if r, err := audit.Check(old, audit.Options{}); err != nil || r.Witnessed != records {
		t.Fatalf("%+v, %v", r, err)
	}
	_, err := n.Change(t.Context(), api.ActionStandby, "node/"+n.Name, nil)
	must(t, err)
	lost := signed(t, c, n)
	began := time.Now()
	swap := func(from, to string) {
		t.Helper()
		n.Hold()
		must(t, n.Stop(deadline(t, 30*time.Second)))
		must(t, os.Rename(dir, to))
		must(t, os.CopyFS(dir, os.DirFS(from)))
		must(t, n.Release())
		wait(t, c, 60*time.Second, n.Name+" is back", func(s *status.Summary) string { return cluster.Online(s, c.Nodes[0].Name, c.Nodes[1].Name) })
	}
	kept := filepath.Join(filepath.Dir(dir), "audit-kept")
	swap(old, kept)
	until(t, 60*time.Second, "an alarm tells of it", func() string {
		if len(eventsOf(t, c.Nodes[0], event.AuditConflict, n.Name, began)) == 0 {
			return "none"
		}
		return ""
	})
	held, err := heldOf(c, n)
	must(t, err)
	_, err = audit.Check(dir, audit.Options{Held: held})
	// What the engine has written since is no longer what it was, either; where that
	// ends, no checkpoint tells.
	if bad, ok := audit.IsBad(err); !ok || bad.Seq <= records || bad.Seq > lost {
		t.Errorf("the first bad record is after %d and at most %d, got %v", records, lost, err)
	}
	swap(kept, filepath.Join(filepath.Dir(dir), "audit-forged"))
	signed(t, c, n)
}
