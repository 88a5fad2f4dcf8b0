package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/pki"
)

// wholeLog verifies the log with a key that somebody wrote down, and without.
func (d *testDaemon) wholeLog(public string) *audit.Report {
	d.t.Helper()
	keys := &audit.Keys{}
	must(d.t, keys.Add(public))
	if _, err := audit.Check(d.path(dirAudit), audit.Options{}); err != nil {
		d.t.Errorf("by the keys beside it: %v", err)
	}
	r, err := audit.Check(d.path(dirAudit), audit.Options{Keys: keys})
	if err != nil {
		d.t.Errorf("by a key that was written down: %v", err)
	}
	return r
}

// A new key signs from then on, the old one is gone, and who knows only the old one can verify
// all of the log. Intent, outcome and the record of it are in the log.
func TestRotateAuditKey(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	must(t, d.engine.Load().checkpoint(t.Context()))
	var before, after api.AuditState
	must(t, d.get("/v1/audit/state", &before))
	var made api.AuditKey
	must(t, d.post("/v1/audit/rotate-key", &api.AuditKeyRequest{}, &made))
	must(t, d.get("/v1/audit/state", &after))
	if made.Node != "n1" || made.Key == before.Key || after.Key != made.Key || made.Replaced.Key != before.Key ||
		len(after.Replaced) != 1 || after.Replaced[0] != made.Replaced || after.Signed <= before.Signed {
		t.Fatalf("%+v\n%+v", made, after)
	}
	got := d.records("?object=audit-key/n1")
	if len(got) != 3 || got[0].Phase != audit.Intent || got[1].Action != audit.ActionKeyRotated || got[2].Result != audit.ResultSuccess || got[0].RequestID != got[2].RequestID {
		t.Errorf("%+v", got)
	}
	if _, public, err := pki.LoadAuditKey(d.path(dirPKI)); err != nil || public != made.Key {
		t.Errorf("the key is %q, %v", public, err)
	}
	if _, public, err := pki.LoadNextAuditKey(d.path(dirPKI)); err != nil || public != "" {
		t.Errorf("the next key is %q, %v", public, err)
	}
	d.wholeLog(before.Key)
	refused(t, d.post("/v1/audit/rotate-key", &api.AuditKeyRequest{Node: "n2"}, nil), api.CodeBadRequest)
	var verdict api.AuditClusterVerdict
	must(t, d.get("/v1/audit/verify/cluster", &verdict))
	if n := verdict.Nodes; !verdict.Whole || !verdict.Complete || verdict.By != "n1" || len(n) != 1 || n[0].Node != "n1" || n[0].Records == 0 || n[0].Unverified != "" {
		t.Errorf("%+v", verdict)
	}
	d.stop()
	again := startDaemon(t, filepath.Dir(d.opts.Socket))
	again.awaitEngineUp()
	must(t, again.engine.Load().checkpoint(t.Context()))
	again.wholeLog(before.Key)
}

// A crash between two steps of a rotation: the next start does the rest, once, or drops what
// was never used.
func TestRotationAfterCrash(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	e := d.engine.Load()
	must(t, e.checkpoint(t.Context()))
	dir := d.path(dirPKI)
	old, err := e.signer()
	must(t, err)
	begin := func() *audit.Signer {
		secret, public, err := audit.NewKey(old.Origin())
		must(t, err)
		next, err := audit.NewSigner(secret, public)
		must(t, err)
		must(t, pki.SaveNextAuditKey(dir, secret, public))
		return next
	}
	stateDir := filepath.Dir(d.opts.Socket)
	// restart begins anew, and returns the key that signs then, the next one that is left,
	// and how many records tell of a new key.
	restart := func() (now string, told int) {
		d.stop()
		d = startDaemon(t, stateDir)
		d.awaitEngineUp()
		e = d.engine.Load()
		must(t, e.checkpoint(t.Context()))
		s, err := e.signer()
		must(t, err)
		if _, public, err := pki.LoadNextAuditKey(dir); public != "" || err != nil {
			t.Errorf("the next key is still there: %q, %v", public, err)
		}
		d.wholeLog(old.Public)
		return s.Public, len(d.records("?action=" + audit.ActionKeyRotated))
	}

	begin() // nothing but the new key was written
	if now, told := restart(); now != old.Public || told != 0 {
		t.Errorf("before the note: %s, %d records", now, told)
	}

	next := begin() // the note counts; no record tells of it yet
	_, err = e.trail.log.Rotate(old, next)
	must(t, err)
	if err := e.checkpoint(t.Context()); err == nil || !strings.Contains(err.Error(), audit.ErrRetired.Error()) {
		t.Errorf("the old key signs: %v", err)
	}
	if now, told := restart(); now != next.Public || told != 1 {
		t.Errorf("before the record: %s, %d records", now, told)
	}

	// The record is there; the key is not in its place.
	secret, public, err := pki.LoadAuditKey(dir)
	must(t, err)
	must(t, pki.SaveNextAuditKey(dir, secret, public))
	must(t, os.Remove(filepath.Join(dir, pki.FileAudit)))
	if now, told := restart(); now != next.Public || told != 1 {
		t.Errorf("before the key was in its place: %s, %d records", now, told)
	}
}

// A node whose log is not what its engine signed, or that is damaged, is named in the verdict
// of the cluster.
func TestAuditClusterVerdict(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"resources": {"a": {"agent": "belay:dummy"}}}`)
	must(t, d.engine.Load().checkpoint(t.Context()))
	files, err := filepath.Glob(filepath.Join(d.path(dirAudit), "audit-*.jsonl"))
	must(t, err)
	b, err := os.ReadFile(files[0])
	must(t, err)
	b[100] ^= 1
	must(t, os.WriteFile(files[0], b, 0o600))
	var verdict api.AuditClusterVerdict
	must(t, d.get("/v1/audit/verify/cluster", &verdict))
	if n := verdict.Nodes; verdict.Whole || !verdict.Complete || len(n) != 1 || n[0].FirstBad != 1 || n[0].Reason == "" {
		t.Errorf("%+v", verdict)
	}
}
