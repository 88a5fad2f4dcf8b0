package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/pki"
)

// Documents of the management daemons are kept, compared, recorded where they say so,
// and shown to nobody else.
func TestDocuments(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	c := client.New(d.opts.Socket)
	defer c.Close()
	before := len(d.audited())
	_, err := c.ChangeDocuments(t.Context(), &api.DocumentChange{Put: []api.Document{{Name: "session/a", Value: json.RawMessage(`{"user":"alice"}`)}}})
	must(t, err)
	if n := len(d.audited()); n != before {
		t.Errorf("bookkeeping was recorded: %d records", n-before)
	}
	docs, err := c.Documents(t.Context())
	must(t, err)
	if len(docs.Documents) != 1 || docs.Documents[0].Name != "session/a" || docs.Documents[0].Rev == 0 {
		t.Fatalf("documents: %+v", docs)
	}
	_, err = c.ChangeDocuments(t.Context(), &api.DocumentChange{
		Actor: &api.Actor{User: "sam", Via: "rest"}, Action: "role-assign", Object: "iam/users/alice", Details: json.RawMessage(`{"role":"viewer"}`),
		If: []api.DocumentRevision{{Name: "session/a", Rev: docs.Documents[0].Rev}}, Delete: []string{"session/a"},
	})
	must(t, err)
	recs := d.audited()[before:]
	if len(recs) != 2 || recs[0].Phase != audit.Intent || recs[1].Phase != audit.Outcome || recs[1].Result != "success" || recs[0].Actor.User != "sam" || string(recs[0].Changes) != `{"role":"viewer"}` {
		t.Errorf("recorded %+v", recs)
	}
	_, err = c.ChangeDocuments(t.Context(), &api.DocumentChange{If: []api.DocumentRevision{{Name: "session/a", Rev: 7}}, Put: []api.Document{{Name: "session/a", Value: json.RawMessage(`1`)}}})
	refused(t, err, api.CodeConflict)
	for _, name := range []string{"session", "../config/cluster", "Session/a", "session/", "session/a\x00", strings.Repeat("x", 300)} {
		_, err = c.ChangeDocuments(t.Context(), &api.DocumentChange{Put: []api.Document{{Name: name, Value: json.RawMessage(`1`)}}})
		refused(t, err, api.CodeBadRequest)
	}
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), actorKey{}, &caller{reads: true}), http.MethodGet, "/v1/documents", nil)
	w := httptest.NewRecorder()
	d.routes().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("a reader of the group belay sees the documents: %d", w.Code)
	}
	b, err := json.Marshal(d.snapshot())
	must(t, err)
	if strings.Contains(string(b), "alice") {
		t.Error("a snapshot shows documents of the management daemon")
	}
}

// The set-up code opens init to who comes by the management daemon, and few tries may
// go wrong.
func TestSetupCode(t *testing.T) {
	t.Parallel()
	d := newTestDaemon(t)
	c := client.New(d.opts.Socket)
	defer c.Close()
	ctx := client.WithActor(t.Context(), &api.Actor{User: "somebody", Via: "rest", Address: "192.0.2.7"})
	in := testInit(t)
	_, err := c.Init(ctx, in)
	refused(t, err, api.CodeSetup)
	for range codeTriesMax - 1 {
		in.Code = "aaaa-bbbb-cccc-dddd"
		_, err = c.Init(ctx, in)
		refused(t, err, api.CodeSetup)
	}
	d.code.mu.Lock()
	in.Code = d.code.code
	d.code.mu.Unlock()
	_, err = c.Init(ctx, in)
	refused(t, err, api.CodeSetup) // too many were wrong
	d.code.mu.Lock()
	d.code.tries = 0
	d.code.mu.Unlock()
	if !strings.Contains(d.log.String(), in.Code) {
		t.Error("the code is not in the log")
	}
	_, err = c.Init(ctx, in)
	must(t, err)
}

// The management daemon's certificate has the node's names and opens nothing.
func TestManagementCertificate(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	c := client.New(d.opts.Socket)
	defer c.Close()
	key, err := pki.NewKey()
	must(t, err)
	req, err := pki.NewRequest("root", key)
	must(t, err)
	out, err := c.Certificate(t.Context(), &api.CertificateRequest{Request: string(req)})
	must(t, err)
	cert, err := pki.DecodeCert([]byte(out.Cert))
	must(t, err)
	if cert.Subject.CommonName != "n1" || cert.VerifyHostname("127.0.0.1") != nil || len(cert.ExtKeyUsage) != 1 {
		t.Errorf("certificate for %q, usage %v", cert.Subject.CommonName, cert.ExtKeyUsage)
	}
	_, err = c.Certificate(t.Context(), &api.CertificateRequest{Request: "x"})
	refused(t, err, api.CodeBadRequest)
}

// A note stands in the audit log with the actor that was named.
func TestNote(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	c := client.New(d.opts.Socket)
	defer c.Close()
	must(t, c.Note(t.Context(), &api.Note{Actor: &api.Actor{User: "alice", Via: "rest"}, Action: "login", Object: "session", Result: "refused", Reason: "wrong password"}))
	recs := d.audited()
	if r := recs[len(recs)-1]; r.Phase != audit.Note || r.Action != "login" || r.Actor.User != "alice" || r.Result != "refused" {
		t.Errorf("recorded %+v", r)
	}
}
