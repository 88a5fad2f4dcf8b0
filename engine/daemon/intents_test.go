package daemon

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
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
