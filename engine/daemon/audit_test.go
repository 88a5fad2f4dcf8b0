package daemon

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// records asks the socket for the audit log.
func (d *testDaemon) records(query string) []*audit.Record {
	d.t.Helper()
	var page api.AuditPage
	must(d.t, d.get("/v1/audit"+query, &page))
	var out []*audit.Record
	for _, b := range page.Records {
		r := &audit.Record{}
		must(d.t, json.Unmarshal(b, r))
		out = append(out, r)
	}
	return out
}

// What the engine does by itself is recorded beside who asked for what.
func TestAuditTrailOfTheEngine(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"resources": {"a": {"agent": "belay:dummy"}}}`)
	var started []*audit.Record
	d.awaitTrue("the start in the audit log", func() bool {
		started = d.records("?object=resource/a&action=start")
		return len(started) > 0
	})
	if r := started[0]; r.Phase != audit.Note || r.Actor.Via != "engine" || r.Node != "n1" || r.Reason == "" || r.Result != audit.ResultSuccess {
		t.Errorf("%+v", r)
	}
	if r := d.records("?action=node-online"); len(r) != 1 || r[0].Code == "" || r[0].Object != "node/n1" {
		t.Errorf("%+v", r)
	}
	if changes := d.records("?phase=intent&user=root"); len(changes) > 0 && changes[0].Rule != ruleBreakGlass {
		t.Errorf("root at the socket: %+v", changes[0])
	}
	var state api.AuditState
	must(t, d.get("/v1/audit/state", &state))
	if state.Records == 0 || state.Problem != "" {
		t.Errorf("%+v", state)
	}
}

// The management daemon's records stand in the log with all that it knows of who
// it was.
func TestAuditNote(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	actor := &api.Actor{User: "anna", Via: "rest", Address: "192.0.2.7", Authn: "pam", Roles: []string{"admin"}, Rule: "x"}
	must(t, d.post("/v1/note", &api.Note{Actor: actor, Action: "login", Result: "refused", Reason: "wrong password", Rule: "y", ChangeRef: "CHG-1"}, nil))
	got := d.records("?user=anna")
	if len(got) != 1 || got[0].Action != "login" || got[0].Actor.Authn != "pam" || !slices.Equal(got[0].Actor.Roles, []string{"admin"}) || got[0].Rule != "y" || got[0].ChangeRef != "CHG-1" {
		t.Fatalf("%+v", got)
	}
	refused(t, d.post("/v1/note", &api.Note{Actor: actor, Action: "login", Result: "perhaps"}, nil), api.CodeBadRequest)
	refused(t, d.get("/v1/audit?after=x", nil), api.CodeBadRequest)
	refused(t, d.get("/v1/audit?from=yesterday", nil), api.CodeBadRequest)
}

// Making a backup is recorded like a change.
func TestAuditedBackup(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	refused(t, d.post("/v1/backup", &api.BackupRequest{File: "relative"}, nil), api.CodeBadRequest)
	got := d.records("?action=backup")
	if len(got) != 2 || got[0].Phase != audit.Intent || got[1].Phase != audit.Outcome || got[1].Result != audit.ResultFailed {
		t.Errorf("%+v", got)
	}
}

// A log that was tampered with stops changes, and nothing else: the engine starts
// and runs what it is to run.
func TestDamagedAuditLog(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"resources": {"a": {"agent": "belay:dummy"}}}`)
	d.stop()
	files, err := filepath.Glob(filepath.Join(d.path(dirAudit), "audit-*.jsonl"))
	must(t, err)
	b, err := os.ReadFile(files[len(files)-1])
	must(t, err)
	end := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
	b[end+30] ^= 1
	must(t, os.WriteFile(files[len(files)-1], b, 0o600))
	again := startDaemon(t, filepath.Dir(d.opts.Socket))
	again.awaitEngineUp()
	again.await("the resource runs", func(s *cib.Snapshot) bool {
		h := s.Status.Histories["n1"]["a"]
		return h != nil && h.FailCount == 0
	})
	refused(t, again.post("/v1/change", &api.Change{Action: api.ActionStandby, Object: "node/n1"}, nil), api.CodeAudit)
	var state api.AuditState
	must(t, again.get("/v1/audit/state", &state))
	if state.Problem == "" {
		t.Error("no problem is told")
	}
}

// A node signs its log once it knows who it is, and another that continues it; the
// next one of another history it does not.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	e := d.engine.Load()
	must(t, e.checkpoint(t.Context()))
	var state api.AuditState
	must(t, d.get("/v1/audit/state", &state))
	c, err := audit.ParseCheckpoint(state.Checkpoint)
	must(t, err)
	keys, err := audit.ReadKeys(d.path(dirAudit))
	must(t, err)
	if by, err := c.SignedBy(keys); err != nil || len(by) != 1 || by[0] != "belay/test/n1@1" && audit.NodeOf(by[0]) != "n1" {
		t.Errorf("signed by %v, %v", by, err)
	}
	report, err := audit.Check(d.path(dirAudit), audit.Options{Keys: keys})
	if err != nil || report.Signed == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if w := e.witnesses(); len(w) != 0 {
		t.Errorf("one node has the witnesses %v", w)
	}
}

// A witness is asked for new records, and after a while for the old ones.
func TestWitnessHolds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	by := cosigned{Checkpoint: audit.Checkpoint{Size: 5, Root: [32]byte{1}, Note: "signed by two"}, at: now}
	for name, c := range map[string]struct {
		want  audit.Checkpoint
		after time.Duration
		holds bool
	}{
		"the same":       {audit.Checkpoint{Size: 5, Root: [32]byte{1}, Note: "signed by three"}, 0, true},
		"new records":    {audit.Checkpoint{Size: 6, Root: [32]byte{2}}, 0, false},
		"other records":  {audit.Checkpoint{Size: 5, Root: [32]byte{2}}, 0, false},
		"not long ago":   {audit.Checkpoint{Size: 5, Root: [32]byte{1}}, witnessAgain - 1, true},
		"after a while":  {audit.Checkpoint{Size: 5, Root: [32]byte{1}}, witnessAgain, false},
		"nothing signed": {audit.Checkpoint{}, time.Since(time.Time{}), false},
	} {
		if got := by.holds(&c.want, now.Add(c.after)); got != c.holds {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (&cosigned{}).holds(&audit.Checkpoint{Size: 1}, now) {
		t.Error("who was never asked has signed")
	}
}

// What changes no configuration is recorded, too; what nobody may see is not in the
// log, whichever way it came.
func TestAuditHasNoSecrets(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	const secret = "hunter2-geheim"
	d.apply(`{"fence-devices": {"f": {"agent": "fence_ipmilan", "targets": {"n1": ""}, "parameters": {"ip": "127.0.0.1", "username": "admin", "password": "` + secret + `"}}}}`)
	d.apply(`{"fence-devices": {"f": {"agent": "fence_ipmilan", "targets": {"n1": ""}, "parameters": {"ip": "127.0.0.1", "username": "admin", "password": "` + secret + `2"}}}}`)
	_ = d.post("/v1/change", &api.Change{Action: api.ActionCreate, Object: "fence-device/f", Value: json.RawMessage(`{"agent": "fence_ipmilan", "parameters": {"password": "` + secret + `3"}}`)}, nil)
	_ = d.post("/v1/change", &api.Change{Action: api.ActionCreate, Object: "fence-device/g", Value: json.RawMessage(`{"agent": "fence_ipmilan", "passwort": "` + secret + `4"}`)}, nil)
	must(t, d.post("/v1/attribute", &api.Attribute{Name: "a", Value: secret + "5", Private: true}, nil))
	must(t, d.post("/v1/attribute", &api.Attribute{Name: "b", Value: "seen"}, nil))
	must(t, d.post("/v1/log", &api.LogLevel{Level: "info"}, nil))
	var token api.Token
	must(t, d.post("/v1/token", &api.TokenRequest{}, &token))
	for action, want := range map[string]string{"attribute": "seen", "log-level": "info", "token": ""} {
		r := d.records("?phase=intent&action=" + action)
		if len(r) == 0 || !bytes.Contains(r[len(r)-1].Changes, []byte(want)) {
			t.Errorf("%s: %+v", action, r)
		}
	}
	files, err := filepath.Glob(filepath.Join(d.path(dirAudit), "audit-*.jsonl"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		for _, s := range []string{secret, token.Token} {
			if i := bytes.Index(b, []byte(s)); i >= 0 {
				t.Errorf("a secret is in the log: ...%s", b[max(0, i-200):i+len(s)])
			}
		}
	}
}
