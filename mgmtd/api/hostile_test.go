package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/auth"
)

// Bodies that are too large, too deep, of another type, broken or compressed are
// refused before anything decodes them, and change nothing.
func TestHostileBodies(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.login("admin")
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for _, x := range []struct {
		name, token, body string
		header            []string
		status            int
		code              string
	}{
		{"too large", admin, `{"action":"stop","object":"` + strings.Repeat("x", 1<<20) + `"}`, nil, http.StatusRequestEntityTooLarge, api.CodeTooLarge},
		{"too large for a stranger", "", `{"user":"` + strings.Repeat("x", 16<<10) + `"}`, nil, http.StatusRequestEntityTooLarge, api.CodeTooLarge},
		{"too deep", admin, `{"action":"apply","object":"cluster","value":` + deep + `}`, nil, http.StatusBadRequest, api.CodeBadRequest},
		{"much too deep", admin, strings.Repeat(`{"a":`, 50000), nil, http.StatusBadRequest, api.CodeBadRequest},
		{"another type", admin, `action: stop`, []string{"Content-Type", "application/yaml"}, http.StatusUnsupportedMediaType, api.CodeContentType},
		{"a form", admin, `action=stop`, []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType, api.CodeContentType},
		{"no type", admin, `{}`, []string{"Content-Type", ""}, http.StatusUnsupportedMediaType, api.CodeContentType},
		{"compressed", admin, `{}`, []string{"Content-Encoding", "gzip"}, http.StatusUnsupportedMediaType, api.CodeContentType},
		{"cut off", admin, `{"action":"stop","object":"resource/web"`, nil, http.StatusBadRequest, api.CodeBadRequest},
		{"a list", admin, `[]`, nil, http.StatusBadRequest, api.CodeBadRequest},
		{"two bodies", admin, `{"action":"stop","object":"resource/web"} {"action":"stop"}`, nil, http.StatusBadRequest, api.CodeBadRequest},
		{"an unknown field", admin, `{"action":"stop","object":"resource/web","sudo":true}`, nil, http.StatusBadRequest, api.CodeBadRequest},
		{"another actor", admin, `{"action":"stop","object":"resource/web","actor":{"user":"root","uid":0,"via":"socket"}}`, nil, http.StatusBadRequest, api.CodeBadRequest},
		{"null", admin, `null`, nil, http.StatusBadRequest, api.CodeBadRequest},
	} {
		t.Run(x.name, func(t *testing.T) {
			path := "/v1/change"
			if x.token == "" {
				path = "/v1/session"
			}
			w.want(w.request(http.MethodPost, path, x.token, x.body, x.header...), x.status, x.code)
		})
	}
	if n := len(w.engine.made()); n != 0 {
		t.Errorf("%d changes were made", n)
	}
}

// Paths lead nowhere but to operations.
func TestHostilePaths(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.login("admin")
	for _, path := range []string{
		"/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/pages/index.html", "/style.css/../../api.go", "/v1/agents/..%2f..%2fconfig", "/v1/resources/..%2f..%2fconfig",
		"/v1/config/resource/..%2f..%2f..%2fetc", "/v1/../v1/../etc/passwd", "/problems/..%2f..%2fetc", "/v1//status//", "/v1/nodes/%00", "/.git/config",
	} {
		rec := w.request(http.MethodGet, path, admin, "")
		if rec.Code != http.StatusNotFound && rec.Code != http.StatusBadRequest {
			t.Errorf("GET %s: %d %s", path, rec.Code, rec.Body)
		}
	}
	// A name with a colon is one name.
	w.want(w.request(http.MethodGet, "/v1/agents/ocf:heartbeat:IPaddr2", admin, ""), http.StatusOK, "")
	// Browsers' libraries encode more than they must.
	w.want(w.request(http.MethodGet, "/v1/agents/ocf%3Aheartbeat%3AIPaddr2", admin, ""), http.StatusOK, "")
	w.want(w.request(http.MethodPost, "/v1/backup", admin, `{"file":"/etc/cron.d/x"}`), http.StatusBadRequest, api.CodeBadRequest)
	for _, m := range []string{"TRACE", "CONNECT", "PROPFIND"} {
		if rec := w.request(m, "/v1/status", admin, ""); rec.Code != http.StatusMethodNotAllowed && rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", m, rec.Code)
		}
	}
}

// A cookie alone changes nothing: another site can let a browser send it.
func TestCSRF(t *testing.T) {
	w := newWorld(t, 1)
	rec := w.request(http.MethodPost, "/v1/session", "", `{"user":"operator","password":"right","cookie":true}`)
	w.want(rec, http.StatusCreated, "")
	a := decodeTo[sessionAnswer](t, rec)
	set := rec.Header().Get("Set-Cookie")
	for _, want := range []string{"__Host-belay=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(set, want) {
			t.Errorf("the cookie %q has no %s", set, want)
		}
	}
	if a.Token != "" || a.CSRF == "" || strings.Contains(set, "Domain") {
		t.Errorf("the answer: %+v", a)
	}
	cookie, _, _ := strings.Cut(set, ";")
	stop := "/v1/resources/web/actions/stop"
	w.want(w.request(http.MethodGet, "/v1/status", "", "", "Cookie", cookie), http.StatusOK, "")
	w.want(w.request(http.MethodPost, stop, "", "", "Cookie", cookie), http.StatusForbidden, api.CodeCSRF)
	w.want(w.request(http.MethodPost, stop, "", "", "Cookie", cookie, "X-CSRF-Token", "x"), http.StatusForbidden, api.CodeCSRF)
	w.want(w.request(http.MethodPost, stop, "", "", "Cookie", cookie, "X-CSRF-Token", a.CSRF, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, api.CodeCSRF)
	if len(w.engine.made()) != 0 {
		t.Fatal("a request from another site changed something")
	}
	w.want(w.request(http.MethodPost, stop, "", "", "Cookie", cookie, "X-CSRF-Token", a.CSRF, "Sec-Fetch-Site", "same-origin"), http.StatusAccepted, "")
	who := decodeTo[whoAmI](t, w.request(http.MethodGet, "/v1/session", "", "", "Cookie", cookie))
	if who.CSRF != a.CSRF || w.engine.made()[0].Actor.Via != "gui" {
		t.Errorf("who: %+v", who)
	}
}

// A session that somebody brings along to the log-in is not taken over.
func TestSessionFixation(t *testing.T) {
	w := newWorld(t, 1)
	planted := strings.Repeat("A", 43)
	rec := w.request(http.MethodPost, "/v1/session", "", `{"user":"operator","password":"right","cookie":true}`, "Cookie", cookieName+"="+planted)
	w.want(rec, http.StatusCreated, "")
	if strings.Contains(rec.Header().Get("Set-Cookie"), planted) {
		t.Error("the session that was brought along goes on")
	}
	w.want(w.request(http.MethodGet, "/v1/status", "", "", "Cookie", cookieName+"="+planted), http.StatusUnauthorized, api.CodeLogin)
	// Logging out ends the session itself, not only the cookie.
	token := w.login("operator")
	w.want(w.request(http.MethodDelete, "/v1/session", token, ""), http.StatusNoContent, "")
	w.want(w.request(http.MethodGet, "/v1/status", token, ""), http.StatusUnauthorized, api.CodeLogin)
}

// Who has not logged in asks slowly; one user's limit is not another's.
func TestRates(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) { o.Rate = 5; o.now = func() time.Time { return time.Unix(1e9, 0) } })
	now := time.Now()
	w.opts.now = func() time.Time { return now } // stands still, so that no token comes back
	code := 0
	for range strangerBurst + 1 {
		code = w.request(http.MethodGet, "/v1/status", "", "").Code
	}
	if code != http.StatusTooManyRequests {
		t.Errorf("a stranger after %d requests: %d", strangerBurst, code)
	}
	now = now.Add(time.Minute)
	operator, viewer := w.login("operator"), w.login("viewer")
	for range 11 {
		code = w.request(http.MethodGet, "/v1/status", operator, "").Code
	}
	if code != http.StatusTooManyRequests {
		t.Errorf("a user after 11 requests: %d", code)
	}
	w.want(w.request(http.MethodGet, "/v1/status", viewer, ""), http.StatusOK, "")
}

// An unknown user, a wrong password and a name that is none get the same answer.
func TestLoginAnswers(t *testing.T) {
	w := newWorld(t, 1)
	var first string
	for _, b := range []string{`{"user":"operator","password":"wrong"}`, `{"user":"nosuch","password":"wrong"}`, `{"user":"a b;c","password":"wrong"}`, `{"user":"operator","password":""}`} {
		p := w.want(w.request(http.MethodPost, "/v1/session", "", b), http.StatusUnauthorized, api.CodeLoginRefused)
		p.Request = ""
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(text)
		}
		if string(text) != first {
			t.Errorf("%s: %s, not %s", b, text, first)
		}
	}
	notes := w.engine.noted()
	if len(notes) != 4 || notes[0].Action != "login" || notes[0].Actor.User != "operator" || notes[2].Actor.User != "?" {
		t.Errorf("notes: %+v", notes)
	}
	for _, n := range notes {
		if strings.Contains(fmt.Sprint(n), "wrong\"") {
			t.Errorf("a password is in the audit log: %+v", n)
		}
	}
}

// A log-in that wants a code answers 202 with a challenge, for which there is a session or
// a refusal that tells no more than that of a wrong password.
func TestLoginChallenge(t *testing.T) {
	w := newWorld(t, 1)
	begin := func(more string) string {
		t.Helper()
		rec := w.request(http.MethodPost, "/v1/session", "", `{"user":"operator","password":"code"`+more+`}`)
		w.want(rec, http.StatusAccepted, "")
		a := decodeTo[sessionAnswer](t, rec)
		if a.Token != "" || a.Session != nil || a.Challenge == nil || rec.Header().Get("Set-Cookie") != "" || len(a.Challenge.Questions) != 1 || a.Challenge.Questions[0].Text != "Code: " {
			t.Fatalf("the challenge: %s", rec.Body)
		}
		return a.Challenge.ID
	}
	answer := func(id, body string) *httptest.ResponseRecorder {
		return w.request(http.MethodPost, "/v1/session/answers", "", `{"id":"`+id+`",`+body+`}`)
	}
	rec := answer(begin(""), `"answers":["42"]`)
	w.want(rec, http.StatusCreated, "")
	token := decodeTo[sessionAnswer](t, rec).Token
	w.want(w.request(http.MethodGet, "/v1/status", token, ""), http.StatusOK, "")
	rec = answer(begin(`,"cookie":true`), `"answers":["42"],"cookie":true`)
	w.want(rec, http.StatusCreated, "")
	if a := decodeTo[sessionAnswer](t, rec); a.Token != "" || a.CSRF == "" || !strings.Contains(rec.Header().Get("Set-Cookie"), "HttpOnly") {
		t.Errorf("with a cookie: %s", rec.Body)
	}
	wrong := w.want(answer(begin(""), `"answers":["41"]`), http.StatusUnauthorized, api.CodeLoginRefused)
	plain := w.want(w.request(http.MethodPost, "/v1/session", "", `{"user":"operator","password":"wrong"}`), http.StatusUnauthorized, api.CodeLoginRefused)
	if wrong.Detail != plain.Detail || wrong.Remedy != plain.Remedy {
		t.Errorf("a wrong code and a wrong password are told apart: %+v %+v", wrong, plain)
	}
	w.want(answer("nosuch", `"answers":["42"]`), http.StatusUnauthorized, api.CodeLogin)
	w.want(answer(begin(""), `"answers":[]`), http.StatusBadRequest, api.CodeBadRequest)
	w.want(answer(begin(""), `"answers":["42","42"]`), http.StatusBadRequest, api.CodeBadRequest)
}

// Every answer has the headers that keep browsers from harm.
func TestHeaders(t *testing.T) {
	w := newWorld(t, 1)
	for _, path := range []string{"/", "/docs", "/v1/status", "/nothing"} {
		h := w.request(http.MethodGet, path, "", "").Header()
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") || h.Get("Strict-Transport-Security") == "" || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if page := w.request(http.MethodGet, "/docs", "", "").Body.String(); strings.Contains(page, "http://") || strings.Contains(page, "https://") || strings.Contains(page, "<script") || !strings.Contains(page, "/v1/resources/{id}/actions/stop") {
		t.Error("the page of the API needs something from elsewhere, or is not whole")
	}
	rec := w.request(http.MethodGet, "/v1/nothing", "", "", "X-Request-Id", "abc-1")
	if w.want(rec, http.StatusNotFound, api.CodeNotFound).Request != "abc-1" {
		t.Error("the request's id is not taken over")
	}
	if id := w.request(http.MethodGet, "/", "", "", "X-Request-Id", "a\"b c").Header().Get("X-Request-Id"); strings.ContainsAny(id, "\" ") {
		t.Errorf("request id %q", id)
	}
}

// A node that is in no cluster offers making and joining one, to who has the code.
func TestNoCluster(t *testing.T) {
	w := newWorld(t, 1)
	needed := func() bool {
		return strings.Contains(w.request(http.MethodGet, "/v1/cluster/setup", "", "").Body.String(), `"needed":true`)
	}
	if needed() {
		t.Error("a member is in no cluster")
	}
	w.engine.ended = api.NewProblem(api.CodeNoCluster, "this node is in no cluster")
	close(w.engine.states)
	for next := w.view.Next(); !needed(); next = w.view.Next() {
		select {
		case <-next:
		case <-time.After(10 * time.Second):
			t.Fatal("a node in no cluster does not say so")
		}
	}
	w.want(w.request(http.MethodPost, "/v1/cluster/init", "", `{"code":"x","cluster":"c","addresses":["192.0.2.1"]}`), http.StatusForbidden, api.CodeSetup)
	w.want(w.request(http.MethodPost, "/v1/cluster/init", "", `{"code":"right","cluster":"c","addresses":["192.0.2.1"]}`), http.StatusOK, "")
	w.want(w.request(http.MethodPost, "/v1/cluster/join", "", `{"token":"t","server":"192.0.2.1","addresses":["192.0.2.2"]}`), http.StatusForbidden, api.CodeSetup)
}

// A handler that panics answers, and the daemon goes on.
func TestPanic(t *testing.T) {
	w := newWorld(t, 1)
	w.opts.Engine = nil // so that a read of the plan dereferences nothing
	p := w.want(w.request(http.MethodGet, "/v1/plan", w.login("viewer"), ""), http.StatusInternalServerError, api.CodeDefect)
	if strings.Contains(fmt.Sprint(p), "nil pointer") {
		t.Error("the panic is told to the caller")
	}
	w.want(w.request(http.MethodGet, "/v1/status", w.login("viewer"), ""), http.StatusOK, "")
}

// stream opens a stream on a real connection.
func (w *world) stream(t *testing.T, path, token string, header ...string) (*bufio.Scanner, func(), http.Header) {
	t.Helper()
	srv := httptest.NewServer(w.Server)
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := srv.Client().Do(req) //nolint:bodyclose // the caller ends it
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	return lines, func() { cancel(); _ = resp.Body.Close(); srv.Close() }, resp.Header
}

// next reads one server-sent event; comments are passed over.
func next(t *testing.T, lines *bufio.Scanner) map[string]string {
	t.Helper()
	out := map[string]string{}
	for lines.Scan() {
		line := lines.Text()
		if line == "" && len(out) > 0 {
			return out
		}
		if name, value, ok := strings.Cut(line, ": "); ok && name != "" {
			out[name] = value
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return nil
}

// Streams tell of what is and of what happens, go on after the last event, and say
// when events in between are gone.
func TestStreams(t *testing.T) {
	w := newWorld(t, 1)
	viewer := w.login("viewer")
	for seq := uint64(640); seq <= 660; seq += 10 {
		w.engine.events <- &cib.Event{Seq: seq, Code: "BLY3001", Severity: cib.SeverityIndeterminate, Text: "x", Node: "n1"}
	}
	w.await("the events", func() bool { return len(w.view.Current().Events) == 3 })

	lines, end, _ := w.stream(t, "/v1/events", viewer, "Accept", "text/event-stream", "Last-Event-ID", "640")
	if e := next(t, lines); e["id"] != "650" || e["event"] != "event" || !strings.Contains(e["data"], `"seq":650`) {
		t.Errorf("after 640: %v", e)
	}
	_ = next(t, lines)
	w.engine.events <- &cib.Event{Seq: 670, Code: "BLY3001", Severity: cib.SeverityMajor, Text: "new", Node: "n1"}
	if e := next(t, lines); e["id"] != "670" {
		t.Errorf("the new one: %v", e)
	}
	end()
	w.want(w.request(http.MethodGet, "/v1/events", viewer, "", "Accept", "text/event-stream", "Last-Event-ID", "10"), http.StatusGone, api.CodeGone)
	w.want(w.request(http.MethodGet, "/v1/events", viewer, "", "Accept", "text/event-stream", "Last-Event-ID", "x"), http.StatusBadRequest, api.CodeBadRequest)
	list := decodeTo[listAnswer[cib.Event]](t, w.request(http.MethodGet, "/v1/events?severity=major", viewer, ""))
	if list.Total != 1 || list.Items[0].Seq != 670 {
		t.Errorf("list: %+v", list)
	}

	lines, end, h := w.stream(t, "/v1/state", viewer)
	if e := next(t, lines); e["event"] != "state" || !strings.Contains(e["data"], `"revision":100`) || h.Get("Content-Encoding") != "" {
		t.Errorf("the state: %v", e)
	}
	s := w.engine.summary
	s.Revision = 101
	w.engine.states <- &s
	if e := next(t, lines); !strings.Contains(e["data"], `"revision":101`) {
		t.Errorf("the next state: %v", e)
	}
	end()
	w.await("the end of the stream", func() bool { return w.streams.Load() == 0 })

	lines, end, _ = w.stream(t, "/v1/watch", viewer, "Accept", "application/x-ndjson")
	if !lines.Scan() || !json.Valid(lines.Bytes()) {
		t.Errorf("a line: %s", lines.Text())
	}
	end()
	w.opts.Streams = 0
	w.want(w.request(http.MethodGet, "/v1/state", viewer, ""), http.StatusTooManyRequests, api.CodeTooMany)
}

// While the engine says nothing, the last state is shown with its age.
func TestStale(t *testing.T) {
	w := newWorld(t, 1)
	viewer := w.login("viewer")
	close(w.engine.states)
	w.await("the engine's end is seen", func() bool { return w.view.Current().Problem != nil })
	w.opts.now = func() time.Time { return time.Now().Add(90 * time.Second) }
	rec := w.request(http.MethodGet, "/v1/status", viewer, "")
	w.want(rec, http.StatusOK, "")
	if age := rec.Header().Get("Belay-Snapshot-Age"); age != "90" && age != "91" {
		t.Errorf("age %q", age)
	}
	if rec := w.request(http.MethodGet, "/readyz", "", ""); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", rec.Code)
	}
}

// Without quorum the engine goes on answering, with what it knew: that is shown with its age,
// too, and so until there is quorum again.
func TestStaleWithoutQuorum(t *testing.T) {
	w := newWorld(t, 1)
	viewer := w.login("viewer")
	age := func(s status.QuorumState) string {
		t.Helper()
		sum := w.engine.summary
		sum.Revision = w.view.Current().Summary.Revision + 1
		sum.Quorum.State = s
		w.engine.states <- &sum
		w.await("the state is seen", func() bool { return w.view.Current().Summary.Revision == sum.Revision })
		rec := w.request(http.MethodGet, "/v1/status", viewer, "")
		w.want(rec, http.StatusOK, "")
		return rec.Header().Get("Belay-Snapshot-Age")
	}
	w.opts.now = func() time.Time { return time.Now().Add(90 * time.Second) }
	if got := age(status.QuorumQuorate); got != "" {
		t.Errorf("with quorum: %q", got)
	}
	for range 2 { // the second state is no newer than the first
		got, err := strconv.Atoi(age(status.QuorumInquorate))
		if err != nil || got < 90 {
			t.Errorf("without quorum: %d, %v", got, err)
		}
	}
	if got := age(status.QuorumQuorate); got != "" {
		t.Errorf("with quorum again: %q", got)
	}
}

// Decoders that are reached before anybody has logged in.
func FuzzBeforeLogin(f *testing.F) {
	for _, b := range []string{`{"user":"admin","password":"x"}`, `{"code":"x","cluster":"c","addresses":["1.2.3.4"]}`, `{"user":1}`, `[[[[`, `"`, `{"user":"\ud800"}`, "\x00", `{"a":"\\"}`} {
		f.Add("/v1/session", "application/json", b, "Bearer x", "k")
	}
	f.Add("/v1/cluster/init", "application/json; charset=\"", `{}`, "Basic eDp5", "\xff")
	f.Add("/v1/jobs/e30", "", ``, "Bearer belay_0123456789_0123456789012345678901234567890123456789012", "")
	w := newWorld(f, 1)
	w.opts.Auth = auth.New(auth.Options{Node: func() string { return "n1" }, Fail: time.Nanosecond, Roles: w.door.Roles}, w.engine, fakePasswords{})
	f.Fuzz(func(t *testing.T, path, kind, body, authorization, key string) {
		if strings.ContainsAny(path, " \x00\r\n\x7f") || !strings.HasPrefix(path, "/") {
			path = "/v1/session"
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://n1"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.RemoteAddr = "192.0.2.1:1"
		req.Header["Content-Type"], req.Header["Authorization"], req.Header["Idempotency-Key"] = []string{kind}, []string{authorization}, []string{key}
		req.Header["Cookie"], req.Header["X-Request-Id"] = []string{cookieName + "=" + key}, []string{key}
		w.limits.callers = map[string]*caller{}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, req)
		if rec.Code == http.StatusInternalServerError {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
		if len(w.engine.made()) > 0 {
			t.Error("a stranger changed something")
		}
	})
}

// What passes the first look at a body is no deeper than it says, and valid JSON of
// that depth passes.
func FuzzCheckJSON(f *testing.F) {
	for _, b := range []string{`{}`, `[[[[[[[[[[[]]]]]]]]]]]`, `{"a":"[\"{"}`, `"\\"`, `]`, `{"a"`, ``} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		why := checkJSON(b, 5)
		if !json.Valid(b) {
			return
		}
		depth, most := 0, 0
		d := json.NewDecoder(strings.NewReader(string(b)))
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			switch tok {
			case json.Delim('{'), json.Delim('['):
				depth++
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
			most = max(most, depth)
		}
		if (why == "") != (most <= 5) {
			t.Errorf("%q: depth %d, %q", b, most, why)
		}
	})
}
