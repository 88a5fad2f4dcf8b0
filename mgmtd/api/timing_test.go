package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Times are those of the configuration, or of what it would be; nothing is changed.
func TestTiming(t *testing.T) {
	w := newWorld(t, 1)
	viewer := w.login("viewer")
	now := answer[cib.Timing](t, w, http.MethodPost, "/v1/timing", viewer, `{}`)
	slow := answer[cib.Timing](t, w, http.MethodPost, "/v1/timing", viewer,
		`{"change": {"action": "apply", "object": "cluster", "merge": true, "value": {"cluster": {"options": {"detection": "20s"}}}}}`)
	worst := func(x cib.Timing) int64 {
		for _, b := range x.Budgets {
			if strings.Contains(b.Name, "quorum") {
				return int64(b.Worst)
			}
		}
		t.Fatalf("%+v", x)
		return 0
	}
	if worst(slow) <= worst(now) {
		t.Errorf("%+v is not slower than %+v", slow, now)
	}
	if len(w.engine.changes) != 0 {
		t.Errorf("%+v", w.engine.changes)
	}
	w.want(w.request(http.MethodPost, "/v1/timing", viewer, `{"change": {"action": "update", "object": "resource/nothing", "value": {"x": 1}}}`), http.StatusBadRequest, api.CodeBadRequest)
	w.want(w.request(http.MethodPost, "/v1/timing", w.login("nobody"), `{}`), http.StatusForbidden, api.CodeForbidden)
}
