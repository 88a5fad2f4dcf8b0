package daemon

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// A change whose engine ended between intent and outcome gets its outcome from the
// next engine: the history tells what became of it.
func TestIntentsAreClosed(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	made := d.change(&api.Change{Action: api.ActionCreate, Object: "resource/a", Value: json.RawMessage(`{"agent": "belay:dummy"}`), RequestID: "made"})
	d.stop()
	// The power went before the outcome of the first was written, and before the
	// second was committed.
	log, _, err := audit.Open(d.path(dirAudit))
	must(t, err)
	must(t, log.Append(
		&audit.Record{Phase: audit.Intent, Action: "create", RequestID: made.RequestID, Before: made.Generation - 1, After: made.Generation},
		&audit.Record{Phase: audit.Intent, Action: "create", RequestID: "lost", Before: made.Generation, After: made.Generation + 1},
		&audit.Record{Phase: audit.Intent, Action: "fence", RequestID: "acted", Before: made.Generation, After: made.Generation},
	))
	must(t, log.Close())
	again := startDaemon(t, filepath.Dir(d.opts.Socket))
	again.awaitEngineUp()
	results := map[string]string{}
	again.awaitTrue("an outcome of every intent", func() bool {
		for _, r := range again.audited() {
			if r.Phase == audit.Outcome {
				results[r.RequestID] = r.Result
			}
		}
		return results["lost"] != "" && results["acted"] != ""
	})
	if results[made.RequestID] != "success" || results["lost"] != "failed" || results["acted"] != "unknown" {
		t.Errorf("outcomes %v", results)
	}
}

// A change whose commit had no answer is not recorded as failed: the store is asked until
// it tells. What has happened, though this node has not seen it yet, is a success; where
// nothing will tell, that is what stands there.
func TestDoubtsAreSettled(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	made := d.change(&api.Change{Action: api.ActionCreate, Object: "resource/a", Value: json.RawMessage(`{"agent": "belay:dummy"}`), RequestID: "made"})
	e := d.engine.Load()
	problem := api.NewProblem(api.CodeStore, "it is not known whether the change happened")
	for id, x := range map[string]struct {
		after uint64
		err   error
	}{
		"made":    {made.Generation, &inDoubt{Problem: problem}},
		"lost":    {made.Generation + 1, &inDoubt{Problem: problem}},
		"seen":    {made.Generation, written(problem)},
		"action":  {made.Generation - 1, &inDoubt{Problem: problem}},
		"refused": {made.Generation, api.NewProblem(api.CodeConflict, "no")},
	} {
		c := &changing{engine: e, Change: &api.Change{Action: api.ActionPatch, Object: "resource/a", RequestID: id}}
		base := cib.Snapshot{ConfigGen: cib.ConfigGeneration{Number: made.Generation - 1}}
		p := &prepared{base: &base, edit: id != "action", result: &api.ChangeResult{Generation: x.after}}
		c.outcome(p, x.err)
	}
	results := map[string][]string{}
	d.awaitTrue("an outcome of each", func() bool {
		clear(results)
		for _, r := range d.audited() {
			if r.Phase == audit.Outcome && r.Action == string(api.ActionPatch) {
				results[r.RequestID] = append(results[r.RequestID], r.Result)
			}
		}
		return len(results) == 5
	})
	want := map[string][]string{"made": {"success"}, "lost": {"failed"}, "seen": {"success"}, "action": {"unknown"}, "refused": {"refused"}}
	if !reflect.DeepEqual(results, want) {
		t.Errorf("outcomes %v, want %v", results, want)
	}
}
