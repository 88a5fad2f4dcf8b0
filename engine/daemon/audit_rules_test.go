package daemon

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
)

// A rule forwards this node's log; one that can't tells why, and ends with its rule.
func TestForwardRule(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	go func() { // something that speaks no TLS
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 hello\r\n"))
			_ = c.Close()
		}
	}()
	d.apply(`{"audit-rules": {"a": {"forward": {"address": ` + string(mustJSON(t, ln.Addr().String())) + `}},
	  "b": {"forward": {"address": "localhost:6514", "cert-file": "/nowhere/a", "key-file": "/nowhere/b"}}}}`)
	var state api.AuditState
	d.awaitTrue("both tell their problem", func() bool {
		must(t, d.get("/v1/audit/state", &state))
		return len(state.Forwards) == 2 && !slices.ContainsFunc(state.Forwards, func(f api.AuditForward) bool { return f.Problem == "" })
	})
	if f := state.Forwards; f[0].Name != "a" || !strings.Contains(f[0].Problem, "connect to") || !strings.Contains(f[1].Problem, "/nowhere/a") {
		t.Errorf("%+v", f)
	}
	d.change(&api.Change{Action: api.ActionDelete, Object: "audit-rule/a"})
	d.change(&api.Change{Action: api.ActionDelete, Object: "audit-rule/b"})
	d.awaitTrue("none is left", func() bool {
		state = api.AuditState{}
		must(t, d.get("/v1/audit/state", &state))
		return len(state.Forwards) == 0
	})
}

// Records go after their time, unless something holds them; that they went is
// recorded, and the rest verifies.
func TestRemoveOldRecords(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	e := d.engine.Load()
	later := time.Now().Add(100 * 24 * time.Hour)
	must(t, e.trail.log.RotateAfter(0))
	must(t, e.removeOldRecords(later)) // no rule: they are kept for ever
	d.apply(`{"audit-rules": {"keep": {"keep": {"days": 60}}, "long": {"keep": {"days": 90}}, "case": {"hold": {"reason": "case 17"}}}}`)
	must(t, e.removeOldRecords(later))
	if r := d.records("?action=audit-remove"); len(r) != 0 {
		t.Fatalf("removed in spite of a hold: %+v", r[0])
	}
	d.change(&api.Change{Action: api.ActionDelete, Object: "audit-rule/case"})
	must(t, e.removeOldRecords(time.Now().Add(89*24*time.Hour)))
	if r := d.records("?action=audit-remove"); len(r) != 0 {
		t.Fatalf("removed before the time: %+v", r[0])
	}
	must(t, e.removeOldRecords(later))
	r := d.records("?action=audit-remove")
	if len(r) != 2 || r[0].Phase != audit.Intent || r[1].Result != audit.ResultSuccess || !strings.HasPrefix(r[0].Reason, "records 1 to ") {
		b, _ := json.Marshal(r)
		t.Fatalf("%s", b)
	}
	report, err := audit.Check(d.path(dirAudit), audit.Options{})
	if err != nil || report.First == 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
