package daemon

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
)

// Who looks after an alarm is noted once, seen by all, recorded, and can be withdrawn.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	c := client.New(d.opts.Socket)
	defer c.Close()
	config, err := c.Config(t.Context())
	must(t, err)
	if config.Config.Cluster.Options.Fencing() {
		_, err = c.Change(t.Context(), &api.Change{Action: api.ActionApply, Object: "cluster", Merge: true, Value: json.RawMessage(`{"cluster": {"options": {"fencing-required": false}}}`)})
		must(t, err)
	}
	find := func() *status.Alarm {
		t.Helper()
		s, err := c.Status(t.Context(), true)
		must(t, err)
		i := slices.IndexFunc(s.Alarms, func(a status.Alarm) bool { return a.Code == event.Get(event.FencingOff).Code() })
		if i < 0 {
			t.Fatalf("no alarm that fencing is off: %+v", s.Alarms)
		}
		return &s.Alarms[i]
	}
	alarm := find()
	if alarm.Acknowledged != nil {
		t.Fatalf("%+v", alarm)
	}
	say := func(id, value string) error {
		_, err := c.Change(t.Context(), &api.Change{
			Actor: &api.Actor{User: "olga", Via: "rest"}, Action: api.ActionAcknowledge, Object: "alarm/" + id, Value: json.RawMessage(value), RequestID: "r1",
		})
		return err
	}
	before := len(d.audited())
	must(t, say(alarm.ID, `{"comment": "a lab"}`))
	if a := find().Acknowledged; a == nil || a.By != "olga" || a.Comment != "a lab" || a.Time.IsZero() {
		t.Errorf("%+v", a)
	}
	must(t, say(alarm.ID, `{"comment": "a lab"}`)) // the same request once more
	recs := d.audited()[before:]
	if len(recs) != 2 || recs[0].Phase != audit.Intent || recs[1].Result != "success" || recs[0].Action != "acknowledge" || recs[0].Actor.User != "olga" {
		t.Errorf("recorded %+v", recs)
	}
	_, err = c.Change(t.Context(), &api.Change{Action: api.ActionAcknowledge, Object: "alarm/" + alarm.ID, Value: json.RawMessage(`{"withdraw": true}`)})
	must(t, err)
	if a := find().Acknowledged; a != nil {
		t.Errorf("withdrawn, and still there: %+v", a)
	}
	for value, code := range map[string]string{
		`{"comment": "` + strings.Repeat("x", commentMaxBytes+1) + `"}`: api.CodeBadRequest, `{"odd": 1}`: api.CodeBadRequest,
	} {
		_, err := c.Change(t.Context(), &api.Change{Action: api.ActionAcknowledge, Object: "alarm/" + alarm.ID, Value: json.RawMessage(value)})
		refused(t, err, code)
	}
	_, err = c.Change(t.Context(), &api.Change{Action: api.ActionAcknowledge, Object: "alarm/BLY3999/x"})
	refused(t, err, api.CodeNotFound)
}
