package daemon

import (
	"encoding/json"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/event"
)

// A test of notifications is one event with the severity that was asked for, and
// changes nothing else.
func TestNotificationTest(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	c := client.New(d.opts.Socket)
	defer c.Close()
	before, err := c.Config(t.Context())
	must(t, err)
	ask := func(object, value, request string) error {
		_, err := c.Change(t.Context(), &api.Change{
			Actor: &api.Actor{User: "olga", Via: "rest"}, Action: api.ActionTestNotify, Object: object, Value: json.RawMessage(value), RequestID: request,
		})
		return err
	}
	must(t, ask("cluster", `{"severity": "critical", "comment": "does the pager ring?"}`, "r1"))
	must(t, ask("cluster", `{"severity": "critical", "comment": "does the pager ring?"}`, "r1")) // the same once more
	must(t, ask("cluster", `{}`, "r2"))
	var found []*cib.Event
	must(t, c.Events(t.Context(), 0, false, func(e *cib.Event) error {
		if e.Code == event.Get(event.NotificationTest).Code() {
			found = append(found, e)
		}
		return nil
	}))
	if len(found) != 2 {
		t.Fatalf("%d events of two tests: %+v", len(found), found)
	}
	if e := found[0]; e.Severity != cib.SeverityCritical || e.Text != "olga tries who gets notifications: does the pager ring?" {
		t.Errorf("%+v", e)
	}
	if e := found[1]; e.Severity != cib.SeverityIndeterminate {
		t.Errorf("%+v", e)
	}
	after, err := c.Config(t.Context())
	must(t, err)
	if after.Generation != before.Generation {
		t.Errorf("generation %d became %d", before.Generation, after.Generation)
	}
	refused(t, ask("node/n1", `{}`, "r3"), api.CodeBadRequest)
	refused(t, ask("cluster", `{"odd": 1}`, "r4"), api.CodeBadRequest)
}
