package daemon

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// What is asked to be forgotten while the instance is being worked on is forgotten
// afterwards: never said to be done and left as it was. What takes longer is refused.
func TestCleanupWaits(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"resources": {"db": {"agent": "belay:dummy", "parameters": {"delay": "start:2s", "fail_op": "monitor:1", "fail_times": "1"},
		"operations": [{"name": "monitor", "interval": "100ms", "timeout": "5s"}]}}}`)
	failures := func(s *cib.Snapshot) cib.Score {
		if h := s.Status.Histories["n1"]["db"]; h != nil {
			return h.FailCount
		}
		return 0
	}
	d.await("the start after a failure", func(s *cib.Snapshot) bool {
		p := s.Status.Pending["n1"]["db"]
		return p != nil && p.Action.Op == cib.OpStart && failures(s) == 1
	})
	ask := &api.Change{Action: api.ActionCleanup, Object: "resource/db"}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := d.engine.Load().change(ctx, api.Actor{User: "root"}, ask)
	if p := refused(t, err, api.CodeConflict); !strings.Contains(p.Detail, "start of db on n1") {
		t.Errorf("%+v", p)
	}
	d.change(&api.Change{Action: api.ActionCleanup, Object: "resource/db"})
	d.await("nothing is known of a failure", func(s *cib.Snapshot) bool {
		return failures(s) == 0 && s.Status.Histories["n1"]["db"] != nil
	})
}

// Without quorum nothing that is in progress ends, and nobody is told to wait for it.
func TestRefreshWithoutQuorum(t *testing.T) {
	t.Parallel()
	f := newForeignStore(t)
	d := newTestDaemon(t)
	f.initExternal(d)
	d.apply(`{"resources": {"db": {"agent": "belay:dummy", "parameters": {"delay": "start:10m"}, "operations": [{"name": "start", "timeout": "20m"}]}}}`)
	d.await("the start", func(s *cib.Snapshot) bool {
		p := s.Status.Pending["n1"]["db"]
		return p != nil && p.Action.Op == cib.OpStart && p.State == cib.ActionRunning
	})
	f.stop()
	d.awaitTrue("the store is missed", func() bool { return d.summary().Quorum.State == status.QuorumInquorate })
	refused(t, d.post("/v1/change", &api.Change{Action: api.ActionRefresh, Object: "resource/db"}, nil), api.CodeNoQuorum)
}
