package daemon

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// An engine of an older release than the cluster's feature level does not take part,
// and says why: one that learns it from the store, and one that starts.
func TestDowngrade(t *testing.T) {
	t.Parallel()
	d := newTestDaemon(t)
	d.init()
	d.online()
	s := d.await("the feature level", func(s *cib.Snapshot) bool {
		return s.Status.View != nil && s.Status.View.FeatureLevel == cib.FeatureLevel
	})
	e := d.engine.Load()
	v := *s.Status.View
	v.Number, v.FeatureLevel = v.Number+1, cib.FeatureLevel+1
	ok, _, err := e.store.Commit(t.Context(), cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: &v}}})
	must(t, err)
	if !ok {
		t.Fatal("the view was not written")
	}
	d.awaitTrue("the engine has stopped", func() bool { return d.engine.Load() == nil })
	told := func(d *testDaemon) {
		t.Helper()
		p := refused(t, d.get("/v1/status", nil), api.CodeFeatureLevel)
		if !strings.Contains(p.Remedy, "Install the release") || p.Detail == "" {
			t.Errorf("%+v", p)
		}
		refused(t, d.post("/v1/cluster/init", testInit(t), nil), api.CodeConflict)
	}
	told(d)
	d.stop()
	again := startDaemon(t, filepath.Dir(d.opts.StateDir))
	again.awaitTrue("the engine does not start", func() bool { return strings.Contains(again.log.String(), "the engine does not run") })
	told(again)
}
