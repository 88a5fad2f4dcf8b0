package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/engine/whatif"
	"github.com/belay-ha/belay/mgmtd/access"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/transitions"
)

func answer[T any](t *testing.T, w *world, method, path, token, body string) T {
	t.Helper()
	rec := w.request(method, path, token, body)
	w.want(rec, http.StatusOK, "")
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, rec.Body)
	}
	return v
}

// What would be is told to who may see it, and changes nothing.
func TestSimulate(t *testing.T) {
	w := newWorld(t, 1)
	viewer := w.login("viewer")
	now := answer[whatif.Outcome](t, w, http.MethodPost, "/v1/simulate", viewer, `{}`)
	if len(now.Placement) != 1 || now.Placement[0].Node != "n1" || len(now.Plan.Steps) == 0 {
		t.Fatalf("%+v", now)
	}
	for _, body := range []string{`{"nodes": {"n1": "standby"}, "scores": true}`, `{"resources": {"web": "stop"}}`, `{"change": {"action": "standby", "object": "node/n1"}}`} {
		out := answer[whatif.Outcome](t, w, http.MethodPost, "/v1/simulate", viewer, body)
		if out.Placement[0].Node != "" {
			t.Errorf("%s: %+v", body, out.Placement)
		}
		if strings.Contains(body, "scores") != (len(out.Scores) > 0) {
			t.Errorf("%s: scores %+v", body, out.Scores)
		}
	}
	if p := w.want(w.request(http.MethodPost, "/v1/simulate", viewer, `{"nodes": {"n9": "down"}}`), http.StatusUnprocessableEntity, api.CodeInvalid); len(p.Faults) != 1 || p.Faults[0].Path != "nodes" {
		t.Errorf("%+v", p.Faults)
	}
	w.want(w.request(http.MethodPost, "/v1/simulate", w.login("nobody"), `{}`), http.StatusForbidden, api.CodeForbidden)
	if len(w.engine.changes) > 0 {
		t.Error("a simulation has changed something")
	}
}

func TestSchema(t *testing.T) {
	w := newWorld(t, 1)
	schema := answer[struct {
		Properties map[string]any `json:"properties"`
	}](t, w, http.MethodGet, "/v1/schema", w.login("viewer"), "")
	if schema.Properties["resources"] == nil {
		t.Error("it is no schema of the configuration")
	}
}

// The audit log is verified and exported for who has the right, and that is recorded.
func TestEvidence(t *testing.T) {
	w := newWorld(t, 1)
	auditor := w.login("auditor")
	if v := answer[api.AuditVerdict](t, w, http.MethodGet, "/v1/audit/verify", auditor, ""); !v.Whole || v.Records != 3 {
		t.Errorf("%+v", v)
	}
	rec := w.request(http.MethodGet, "/v1/audit/export?format=csv&user=anna", auditor, "")
	w.want(rec, http.StatusOK, "")
	if rec.Body.String() != "records of anna" || rec.Header().Get("Content-Type") != "text/csv" || !strings.Contains(rec.Header().Get("Content-Disposition"), "audit-n1.csv") {
		t.Errorf("%s %v", rec.Body, rec.Header())
	}
	w.want(w.request(http.MethodGet, "/v1/audit/export?format=odd", auditor, ""), http.StatusBadRequest, api.CodeBadRequest)
	var noted []string
	for _, n := range w.engine.notes {
		if n.Result == "success" && n.Object == "audit" {
			noted = append(noted, n.Actor.User+" "+n.Action)
		}
	}
	if !slices.Equal(noted, []string{"auditor verify", "auditor export", "auditor export"}) {
		t.Errorf("recorded is %v", noted)
	}
	for _, path := range []string{"/v1/audit/verify", "/v1/audit/export"} {
		w.want(w.request(http.MethodGet, path, w.login("admin"), ""), http.StatusForbidden, api.CodeForbidden)
		w.want(w.request(http.MethodGet, path, "", ""), http.StatusUnauthorized, api.CodeLogin)
	}
}

// Who may do what is told of oneself to everybody, and of others to who may see the
// bindings.
func TestRightsOfOthers(t *testing.T) {
	w := newWorld(t, 1)
	viewer := w.login("viewer")
	mine := answer[rightsTable](t, w, http.MethodGet, "/v1/access/table", viewer, "")
	theirs := answer[rightsTable](t, w, http.MethodGet, "/v1/access/table?user=olga&group=belay-operator", viewer, "")
	row := func(x rightsTable, kind string) []string {
		for _, r := range x.Rows {
			if r.Kind == kind {
				return r.Actions
			}
		}
		return nil
	}
	if mine.User != "viewer" || slices.Contains(row(mine, "resource"), "stop") || !slices.Contains(row(mine, "resource"), "read") {
		t.Errorf("%+v", mine)
	}
	if !slices.Equal(theirs.Roles, []string{"operator"}) || !slices.Contains(row(theirs, "resource"), "stop") || len(row(theirs, "audit")) > 0 {
		t.Errorf("%+v", theirs)
	}
	if a := answer[mayAnswer](t, w, http.MethodGet, "/v1/can-i?action=fence&object=node/n1&user=olga&group=belay-operator", viewer, ""); !a.Allowed {
		t.Errorf("%+v", a)
	}
	if a := answer[mayAnswer](t, w, http.MethodGet, "/v1/can-i?action=fence&object=node/n1", viewer, ""); a.Allowed {
		t.Errorf("%+v", a)
	}
	w.want(w.request(http.MethodGet, "/v1/access/table?user=olga", w.login("nobody"), ""), http.StatusForbidden, api.CodeForbidden)

	report := answer[access.Report](t, w, http.MethodGet, "/v1/access", viewer, "")
	if len(report.Access) != 5 || report.Generation != 7 {
		t.Errorf("%+v", report)
	}
	w.want(w.request(http.MethodGet, "/v1/access?use=true", viewer, ""), http.StatusForbidden, api.CodeForbidden)
	answer[access.Report](t, w, http.MethodGet, "/v1/access?use=true", w.login("auditor"), "")
}

// An operator acknowledges an alarm, a viewer does not; an id may have slashes.
func TestAcknowledge(t *testing.T) {
	w := newWorld(t, 1)
	path := "/v1/alarms/BLY3010%2Fn1%2Fn2/actions/acknowledge"
	w.want(w.request(http.MethodPost, path, w.login("viewer"), `{"comment": "mine"}`), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPost, path, w.login("operator"), `{"comment": "mine"}`), http.StatusAccepted, "")
	if len(w.engine.changes) != 1 || w.engine.changes[0].Object != "alarm/BLY3010/n1/n2" || w.engine.changes[0].Actor.User != "operator" {
		t.Errorf("%+v", w.engine.changes)
	}
}

// Who is told of events is listed, with what waits for them and what went wrong.
func TestNotificationTargets(t *testing.T) {
	cursors := &outbox.Cursors{}
	cursors.Update(&api.Documents{Documents: []api.Document{{Name: "webhook-cursor/chat", Value: []byte(`{"after": 1, "pending": true, "error": "no answer", "errorAt": "2026-01-02T03:04:05Z"}`)}}})
	w := newWorld(t, 1, func(o *Options) { o.Cursors = cursors })
	c := *w.view.Current().Config.Config
	c.Webhooks = map[string]*cib.Webhook{"chat": {URL: "https://chat.example/{token}"}}
	c.MailTargets = map[string]*cib.MailTarget{"ops": {To: []string{"ops@example.org"}}}
	w.engine.mu.Lock()
	w.engine.config = api.Config{Generation: 8, Config: &c}
	next := w.engine.summary
	w.engine.mu.Unlock()
	next.Cluster.Generation, next.Revision = 8, 101
	w.engine.states <- &next
	w.await("the targets", func() bool { return len(w.view.Current().Config.Config.Webhooks) == 1 })
	list := answer[listAnswer[api.NotificationTarget]](t, w, http.MethodGet, "/v1/notification-targets", w.login("viewer"), "")
	if len(list.Items) != 2 || list.Items[0].ID != "ops" || list.Items[0].Delivery != nil {
		t.Fatalf("%+v", list)
	}
	if x := list.Items[1]; x.Kind != "webhook" || *x.Delivery.Waiting != 1 || x.Delivery.LastError != "no answer" || x.Delivery.LastErrorAt.IsZero() || !x.Delivery.LastSentAt.IsZero() {
		t.Errorf("%+v", x)
	}
	if list = answer[listAnswer[api.NotificationTarget]](t, w, http.MethodGet, "/v1/notification-targets?state=mail-target", w.login("viewer"), ""); len(list.Items) != 1 {
		t.Errorf("%+v", list)
	}
	w.want(w.request(http.MethodGet, "/v1/notification-targets", w.login("nobody"), ""), http.StatusForbidden, api.CodeForbidden)
}

// The transitions of the past are listed, and shown with their steps.
func TestTransitions(t *testing.T) {
	past := &transitions.Recorder{}
	past.Observe(time.Now(), &status.Summary{Revision: 9}, &api.PlanSummary{Steps: []api.Step{{Text: "start web on n1", State: "asked"}}})
	w := newWorld(t, 1, func(o *Options) { o.Transitions = past })
	viewer := w.login("viewer")
	if list := answer[[]transitions.Transition](t, w, http.MethodGet, "/v1/transitions", viewer, ""); len(list) != 1 || list[0].ID != 9 || list[0].Steps != nil {
		t.Errorf("%+v", list)
	}
	if x := answer[transitions.Transition](t, w, http.MethodGet, "/v1/transitions/9", viewer, ""); len(x.Steps) != 1 || x.Steps[0].State != "asked" {
		t.Errorf("%+v", x)
	}
	w.want(w.request(http.MethodGet, "/v1/transitions/8", viewer, ""), http.StatusNotFound, api.CodeNotFound)
	w.want(w.request(http.MethodGet, "/v1/transitions", w.login("nobody"), ""), http.StatusForbidden, api.CodeForbidden)
}
