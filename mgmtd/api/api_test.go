package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
)

// docs/reference/openapi.json is what the code says.
func TestOpenAPI(t *testing.T) {
	have, err := os.ReadFile("../../docs/reference/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := New(Options{}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("docs/reference/openapi.json is stale: make generate")
	}
}

// Everything that the engine's socket answers and does, REST does too.
func TestParity(t *testing.T) {
	paths := New(Options{}).huma.OpenAPI().Paths
	doc, err := os.ReadFile("../../engine/api/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{"/v1/documents": true, "/v1/note": true, "/v1/certificate": true, "/v1/snmp": true, "/v1/notifiers": true, "/v1/shim/...": true} // the management daemon's own
	seen := 0
	for _, m := range regexp.MustCompile(`(?m)^//\t(GET|POST)\s+(\S+)(?:, (/v1/\S+))?`).FindAllStringSubmatch(string(doc), -1) {
		for _, path := range m[2:] {
			path, _, _ = strings.Cut(strings.TrimSuffix(path, ","), "?")
			path = strings.NewReplacer("ID", "{id}", "NODE", "{node}", "NAME", "{name}").Replace(path)
			if path == "" || own[path] {
				continue
			}
			seen++
			item := paths[path]
			if item == nil || m[1] == http.MethodGet && item.Get == nil || m[1] == http.MethodPost && item.Post == nil {
				t.Errorf("REST has no %s %s", m[1], path)
			}
		}
	}
	if seen < 18 {
		t.Errorf("only %d paths of the socket were found", seen)
	}
	byAction := map[api.Action]bool{}
	for _, list := range actionsOf {
		for _, a := range list {
			byAction[a] = true
		}
	}
	for _, a := range []api.Action{api.ActionApply, api.ActionCreate, api.ActionUpdate, api.ActionPatch, api.ActionDelete, api.ActionRollback} {
		byAction[a] = true // see changeRoutes
	}
	for _, a := range api.Actions {
		if !byAction[a.Action] {
			t.Errorf("REST has no operation for %s", a.Action)
		}
	}
}

// Who has not logged in reaches the log-in, health and the description, and nothing
// else.
func TestStrangers(t *testing.T) {
	w := newWorld(t, 1)
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs", "/", "/style.css", "/problems/BLY2001"} {
		if rec := w.request(http.MethodGet, path, "", ""); rec.Code != http.StatusOK {
			t.Errorf("GET %s: %d", path, rec.Code)
		}
	}
	public := 0
	for path, item := range w.huma.OpenAPI().Paths {
		path = regexp.MustCompile(`\{kind\}`).ReplaceAllString(path, "resource")
		path = regexp.MustCompile(`\{n\}`).ReplaceAllString(path, "1")
		path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x")
		for method, op := range map[string]any{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			b, err := json.Marshal(op)
			if err != nil || string(b) == "null" {
				continue
			}
			rec := w.request(method, path, "", `{}`, "X-Forwarded-For", "192.0.2.9")
			if strings.Contains(string(b), `"security":[]`) {
				public++
				continue
			}
			w.limits.callers = map[string]*caller{} // the limit of strangers is tested elsewhere
			if rec.Code != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", method, path, rec.Code, rec.Body)
			}
		}
	}
	if public != 5 {
		t.Errorf("%d operations are open to strangers; login, its answers, whether the node needs set-up, init and join should be", public)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		w.want(w.request(http.MethodGet, path, "", ""), http.StatusUnauthorized, api.CodeLogin)
	}
	if n := len(w.engine.made()); n != 0 {
		t.Errorf("strangers made %d changes", n)
	}
}

// A session does what its user's roles allow, and what is refused is recorded.
func TestRights(t *testing.T) {
	w := newWorld(t, 1)
	viewer, operator, admin := w.login("viewer"), w.login("operator"), w.login("admin")
	for _, token := range []string{viewer, operator, admin} {
		s := decodeTo[status.Summary](t, w.request(http.MethodGet, "/v1/status", token, ""))
		if s.Cluster.Name != "test" {
			t.Errorf("status: %+v", s.Cluster)
		}
	}
	stop := "/v1/resources/web/actions/stop"
	w.want(w.request(http.MethodPost, stop, viewer, ""), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodPost, stop, operator, ""), http.StatusAccepted, "")
	w.want(w.request(http.MethodDelete, "/v1/config/resource/web", operator, "", "If-Match", "*"), http.StatusForbidden, api.CodeForbidden)
	w.want(w.request(http.MethodDelete, "/v1/config/resource/web", admin, "", "If-Match", "*"), http.StatusOK, "")
	made := w.engine.made()
	if len(made) != 2 || made[0].Actor.User != "operator" || made[0].Actor.Via != "rest" || made[1].Actor.User != "admin" || made[1].ExpectedGeneration != 7 {
		t.Errorf("changes: %+v", made)
	}
	refused := 0
	for _, n := range w.engine.noted() {
		if n.Result == "refused" && (n.Actor.User == "viewer" && n.Action == "stop" || n.Actor.User == "operator" && n.Action == "delete") {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("notes: %+v", w.engine.noted())
	}
}
