package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/job"
)

// A change of the configuration says what it is about: 428 without, 412 where that
// has changed.
func TestIfMatch(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.login("admin")
	rec := w.request(http.MethodGet, "/v1/config/resource/web", admin, "")
	w.want(rec, http.StatusOK, "")
	tag := rec.Header().Get("ETag")
	if tag != `"7"` || strings.TrimSpace(rec.Body.String()) != `{"agent":"belay:dummy"}` {
		t.Fatalf("tag %s, %s", tag, rec.Body)
	}
	if rec := w.request(http.MethodGet, "/v1/config/resource/web", admin, "", "If-None-Match", tag); rec.Code != http.StatusNotModified {
		t.Errorf("what the reader has: %d", rec.Code)
	}
	path := "/v1/config/resource/web"
	w.want(w.request(http.MethodPatch, path, admin, `{"description":"x"}`), http.StatusPreconditionRequired, api.CodeNeedMatch)
	w.want(w.request(http.MethodPatch, path, admin, `{"description":"x"}`, "If-Match", `"six"`), http.StatusBadRequest, api.CodeBadRequest)
	w.want(w.request(http.MethodPatch, path, admin, `{"description":"x"}`, "If-Match", `"6"`), http.StatusPreconditionFailed, api.CodeNoMatch)
	rec = w.request(http.MethodPatch, path, admin, `{"description":"x"}`, "If-Match", tag)
	w.want(rec, http.StatusOK, "")
	if rec.Header().Get("ETag") != `"8"` {
		t.Errorf("the new tag: %s", rec.Header().Get("ETag"))
	}
	w.want(w.request(http.MethodPatch, path, admin, `{"description":"y"}`, "If-Match", tag), http.StatusPreconditionFailed, api.CodeNoMatch)
	w.want(w.request(http.MethodPatch, path, admin, `{"description":"y"}`, "If-Match", "*"), http.StatusOK, "")
	if n := len(w.engine.made()); n != 2 {
		t.Errorf("%d changes were made", n)
	}
	// A dry run needs nothing and changes nothing.
	w.want(w.request(http.MethodPatch, path+"?dryRun=true", w.login("viewer"), `{"description":"z"}`), http.StatusOK, "")
	if n := len(w.engine.made()); n != 2 {
		t.Errorf("a dry run changed something")
	}
}

// Every kind of document can be read.
func TestKinds(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.login("admin")
	for _, kind := range cib.ObjectKinds() {
		rec := w.request(http.MethodGet, "/v1/config/"+kind, admin, "")
		if rec.Code != http.StatusOK && rec.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", kind, rec.Code, rec.Body)
		}
	}
	w.want(w.request(http.MethodGet, "/v1/config/banana", admin, ""), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodGet, "/v1/config/resource/none", admin, ""), http.StatusNotFound, api.CodeNotFound)
}

// The dry run of an action begins nothing: it says what would be, and there is no job.
func TestDryRunOfAction(t *testing.T) {
	w := newWorld(t, 1)
	operator := w.login("operator")
	rec := w.request(http.MethodPost, "/v1/resources/web/actions/stop?dryRun=true", operator, "")
	w.want(rec, http.StatusOK, "")
	a := decodeTo[job.Answer](t, rec)
	if rec.Header().Get("Location") != "" || a.ID != "" || a.State != job.Done || a.Result == nil || a.Result.PlanToken == "" {
		t.Errorf("%s with Location %q", rec.Body, rec.Header().Get("Location"))
	}
	if list := decodeTo[[]job.Answer](t, w.request(http.MethodGet, "/v1/jobs", operator, "")); len(list) != 0 || len(w.engine.made()) != 0 {
		t.Errorf("jobs %+v, changes %+v", list, w.engine.made())
	}
	w.want(w.request(http.MethodPost, "/v1/resources/web/actions/stop", operator, ""), http.StatusAccepted, "")
}

// The same request with the same key is done once; another one with it is refused.
func TestIdempotency(t *testing.T) {
	w := newWorld(t, 1)
	operator, admin := w.login("operator"), w.login("admin")
	path := "/v1/resources/web/actions/move"
	first := w.request(http.MethodPost, path, operator, `{"node":"n1"}`, "Idempotency-Key", "k1")
	w.want(first, http.StatusAccepted, "")
	again := w.request(http.MethodPost, path, operator, `{"node":"n1"}`, "Idempotency-Key", "k1")
	if again.Code != first.Code || again.Body.String() != first.Body.String() || again.Header().Get("Location") != first.Header().Get("Location") || again.Header().Get("Idempotency-Replayed") == "" {
		t.Errorf("the repetition: %d %s", again.Code, again.Body)
	}
	w.want(w.request(http.MethodPost, path, operator, `{"node":"n2"}`, "Idempotency-Key", "k1"), http.StatusUnprocessableEntity, api.CodeKeyUsed)
	w.want(w.request(http.MethodPost, "/v1/resources/web/actions/stop", operator, ``, "Idempotency-Key", "k1"), http.StatusUnprocessableEntity, api.CodeKeyUsed)
	w.want(w.request(http.MethodPost, path, admin, `{"node":"n1"}`, "Idempotency-Key", "k1"), http.StatusAccepted, "") // another user's key
	w.want(w.request(http.MethodPost, path, operator, `{"node":"n1"}`, "Idempotency-Key", strings.Repeat("k", 201)), http.StatusBadRequest, api.CodeBadRequest)
	made := w.engine.made()
	if len(made) != 2 || made[0].RequestID == "" || made[0].RequestID == made[1].RequestID {
		t.Errorf("changes: %+v", made)
	}
	// What failed for want of the store may be tried again.
	w.engine.mu.Lock()
	w.engine.fail = api.NewProblem(api.CodeNoQuorum, "1 of 3 votes")
	w.engine.mu.Unlock()
	rec := w.request(http.MethodPost, path, operator, `{"node":"n1"}`, "Idempotency-Key", "k2")
	w.want(rec, http.StatusServiceUnavailable, api.CodeNoQuorum)
	if rec.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.engine.mu.Lock()
	w.engine.fail = nil
	w.engine.mu.Unlock()
	w.want(w.request(http.MethodPost, path, operator, `{"node":"n1"}`, "Idempotency-Key", "k2"), http.StatusAccepted, "")
}

// Pages hold every row once, in order, also when rows go in between.
func TestPages(t *testing.T) {
	w := newWorld(t, 250)
	viewer := w.login("viewer")
	var seen []string
	token := ""
	for pages := 0; ; pages++ {
		rec := w.request(http.MethodGet, "/v1/resources?limit=100&pageToken="+token, viewer, "")
		w.want(rec, http.StatusOK, "")
		p := decodeTo[listAnswer[status.Resource]](t, rec)
		if p.Total != 250-pages {
			t.Errorf("page %d: %d in all", pages, p.Total)
		}
		for _, r := range p.Items {
			seen = append(seen, r.ID)
		}
		if token = p.Next; token == "" {
			break
		}
		// The first row of the page that was read goes away.
		w.engine.mu.Lock()
		next := w.engine.summary
		next.Revision++
		next.Resources = slices.DeleteFunc(slices.Clone(next.Resources), func(r status.Resource) bool { return r.ID == p.Items[0].ID })
		w.engine.summary = next
		w.engine.mu.Unlock()
		w.engine.states <- &next
		w.await("the new state", func() bool { return w.view.Current().Summary.Revision == next.Revision })
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != 250 {
		t.Errorf("%d rows were seen, sorted %v", len(seen), slices.IsSorted(seen))
	}
	for query, n := range map[string]int{"search=r00": 99, "search=R0010": 1, "state=running": 248, "state=failed": 0, "state=failed,running": 248, "node=n2": 0, "limit=1": 248} {
		p := decodeTo[listAnswer[status.Resource]](t, w.request(http.MethodGet, "/v1/resources?limit=1000&"+query, viewer, ""))
		if p.Total != n && query != "search=r00" {
			t.Errorf("%s: %d", query, p.Total)
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "pageToken=%00"} {
		w.want(w.request(http.MethodGet, "/v1/resources?"+query, viewer, ""), http.StatusBadRequest, api.CodeBadRequest)
	}
}

// A job says how far it is on every node, and what is not as it was wanted.
func TestJobs(t *testing.T) {
	w := newWorld(t, 1)
	operator := w.login("operator")
	rec := w.request(http.MethodPost, "/v1/resources/web/actions/stop", operator, "")
	w.want(rec, http.StatusAccepted, "")
	at := rec.Header().Get("Location")
	j := decodeTo[job.Answer](t, w.request(http.MethodGet, at, operator, ""))
	if j.State != job.NotAsWas || j.Reason == "" || j.Action != api.ActionStop || j.Object != "resource/web" {
		t.Errorf("it still runs: %+v", j)
	}
	other := newWorld(t, 1) // another node, which has not seen the request
	next := other.engine.summary
	next.Resources = slices.Clone(next.Resources)
	next.Resources[0].Active, next.Resources[0].State = 0, status.ResourceStopped
	next.Revision++
	other.engine.states <- &next
	other.await("the new state", func() bool { return other.view.Current().Summary.Revision == next.Revision })
	if j := decodeTo[job.Answer](t, other.request(http.MethodGet, at, other.login("viewer"), "")); j.State != job.Done {
		t.Errorf("on another node: %+v", j)
	}
	for _, id := range []string{"x", "e30", "eyJhIjoic3RvcCJ9"} {
		w.want(w.request(http.MethodGet, "/v1/jobs/"+id, operator, ""), http.StatusNotFound, api.CodeNotFound)
	}
	list := decodeTo[[]job.Answer](t, w.request(http.MethodGet, "/v1/jobs", operator, ""))
	if len(list) != 1 || list[0].User != "operator" {
		t.Errorf("jobs: %+v", list)
	}
}

// What is risky waits for a second person where that is wanted, who is another one
// and has the right; then it is made in the name of who asked.
func TestSecondPerson(t *testing.T) {
	w := newWorld(t, 1)
	admin, admin2, operator, viewer, security := w.login("admin"), w.login("admin2"), w.login("operator"), w.login("viewer"), w.login("security-admin")
	_ = operator
	setting := "/v1/settings/approval"
	w.want(w.request(http.MethodPut, setting, admin, `{"actions":["stop"]}`, "If-Match", "*"), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPut, setting, security, `{"actions":["stop"]}`), http.StatusPreconditionRequired, api.CodeNeedMatch)
	w.want(w.request(http.MethodPut, setting, security, `{"actions":["explode"]}`, "If-Match", "*"), http.StatusBadRequest, api.CodeBadRequest)
	w.want(w.request(http.MethodPut, setting, security, `{"actions":["stop"]}`, "If-Match", `"0"`), http.StatusNoContent, "")
	w.await("the setting", func() bool { p, _ := w.door.Policy(); return len(p.Actions) == 1 })

	stop := "/v1/resources/web/actions/stop"
	ask := func(token string) string {
		t.Helper()
		p := w.want(w.request(http.MethodPost, stop, token, ""), http.StatusConflict, api.CodeApproval)
		w.await("the approval", func() bool { _, err := w.door.Approval(p.Approval); return err == nil })
		return "/v1/approvals/" + p.Approval
	}
	w.want(w.request(http.MethodPost, stop, viewer, ""), http.StatusForbidden, api.CodeForbidden)
	at := ask(admin)
	if len(w.engine.made()) != 0 {
		t.Fatal("it was made at once")
	}
	w.want(w.request(http.MethodPost, at+"/actions/approve", admin, ""), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPost, at+"/actions/approve", viewer, ""), http.StatusForbidden, api.CodeForbidden)
	token := decodeTo[tokenAnswer](t, w.request(http.MethodPost, "/v1/api-tokens", admin2, `{"name":"ci","life":"1h"}`))
	w.await("the token", func() bool { return len(w.auth.Tokens("")) == 1 })
	w.want(w.request(http.MethodPost, at+"/actions/approve", token.Secret, ""), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPost, at+"/actions/approve", admin2, `{"reason":"seen"}`), http.StatusOK, "")
	made := w.engine.made()
	if len(made) != 1 || made[0].Actor.User != "admin" || made[0].Action != api.ActionStop {
		t.Fatalf("changes: %+v", made)
	}
	w.await("the outcome", func() bool {
		a, err := w.door.Approval(strings.TrimPrefix(at, "/v1/approvals/"))
		return err == nil && a.State == "done" && a.By == "admin2"
	})
	w.want(w.request(http.MethodPost, at+"/actions/approve", admin2, ""), http.StatusConflict, api.CodeConflict)

	at = ask(admin)
	w.want(w.request(http.MethodPost, at+"/actions/reject", admin, ""), http.StatusOK, "") // taken back
	w.await("the rejection", func() bool {
		a, err := w.door.Approval(strings.TrimPrefix(at, "/v1/approvals/"))
		return err == nil && a.State == "rejected"
	})
	w.want(w.request(http.MethodPost, at+"/actions/approve", admin2, ""), http.StatusConflict, api.CodeConflict)
	if len(w.engine.made()) != 1 {
		t.Error("what was rejected was made")
	}
	var recorded []string
	w.engine.mu.Lock()
	for _, r := range w.engine.recorded {
		recorded = append(recorded, r.Actor.User+" "+r.Action)
	}
	w.engine.mu.Unlock()
	for _, want := range []string{"security-admin update", "admin request", "admin2 approve", "admin reject"} {
		if !slices.Contains(recorded, want) {
			t.Errorf("%q is not recorded: %v", want, recorded)
		}
	}
}

// An API token does what its roles and scope allow, and no more.
func TestTokens(t *testing.T) {
	w := newWorld(t, 2)
	admin := w.login("admin")
	make := func(body string) string {
		t.Helper()
		rec := w.request(http.MethodPost, "/v1/api-tokens", admin, body)
		w.want(rec, http.StatusCreated, "")
		a := decodeTo[tokenAnswer](t, rec)
		w.await("the token", func() bool { _, err := w.auth.Token(a.Secret, w.now()); return err == nil })
		return a.Secret
	}
	w.want(w.request(http.MethodPost, "/v1/api-tokens", admin, `{"name":"x","roles":["security-admin"],"life":"1h"}`), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPost, "/v1/api-tokens", admin, `{"name":"x","life":"9000h"}`), http.StatusBadRequest, api.CodeBadRequest)
	w.want(w.request(http.MethodPost, "/v1/api-tokens", admin, `{"name":"x","life":"1h","scope":["["]}`), http.StatusBadRequest, api.CodeBadRequest)
	viewer := make(`{"name":"monitoring","roles":["viewer"],"life":"1h"}`)
	w.want(w.request(http.MethodGet, "/v1/status", viewer, ""), http.StatusOK, "")
	w.want(w.request(http.MethodPost, "/v1/resources/web/actions/stop", viewer, ""), http.StatusForbidden, api.CodeForbidden)
	scoped := make(`{"name":"deploy","scope":["resource/web*"],"life":"1h"}`)
	w.want(w.request(http.MethodPost, "/v1/resources/web/actions/stop", scoped, ""), http.StatusAccepted, "")
	w.want(w.request(http.MethodPost, "/v1/resources/r0001/actions/stop", scoped, ""), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPatch, "/v1/config/resource/r0001", scoped, `{}`, "If-Match", "*"), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPatch, "/v1/config/resource/web", scoped, `{}`, "If-Match", "*"), http.StatusOK, "")
	w.want(w.request(http.MethodPost, "/v1/api-tokens", scoped, `{"name":"y","life":"1h"}`), http.StatusForbidden, api.CodeForbidden)
	list := w.request(http.MethodGet, "/v1/api-tokens", admin, "")
	if strings.Contains(list.Body.String(), `"hash"`) || len(decodeTo[[]map[string]any](t, list)) != 2 {
		t.Errorf("tokens: %s", list.Body)
	}
	id := strings.Split(viewer, "_")[1]
	w.want(w.request(http.MethodDelete, "/v1/api-tokens/"+id, w.login("operator"), ""), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodDelete, "/v1/api-tokens/"+id, w.login("security-admin"), ""), http.StatusNoContent, "")
	w.want(w.request(http.MethodGet, "/v1/status", viewer, ""), http.StatusUnauthorized, api.CodeLogin)
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	for name, d := range w.engine.docs {
		if b, _ := json.Marshal(d); strings.Contains(string(b), strings.SplitN(scoped, "_", 3)[2]) {
			t.Errorf("the secret of a token is kept in %s", name)
		}
	}
}
