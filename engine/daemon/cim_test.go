package daemon

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
)

// The password of a listener lies sealed in the store, is shown to nobody who reads the
// configuration, and opens for who sends indications. Subscriptions outlive a
// configuration that is applied without them.
func TestCIMSecrets(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"cim-filters": {"f": {"query": "SELECT * FROM Belay_ClusterEvent", "language": "DMTF:CQL"}},
		"cim-destinations": {"l": {"url": "https://listener:5989/", "user": "u", "password": "a-secret-9"}},
		"cim-subscriptions": {"s": {"filter": "f", "destination": "l"}, "b": {"filter": "belay-events", "destination": "l"}}}`)
	c := client.New(d.opts.Socket)
	defer c.Close()
	got, err := c.CIM(t.Context())
	must(t, err)
	if l := got.Destinations["l"]; l == nil || l.Password != "a-secret-9" || got.Filters["f"] == nil || got.Subscriptions["s"] == nil {
		t.Errorf("%+v", got)
	}
	if stored := d.snapshot().Config.CIMDestinations["l"]; !cib.Sealed(stored.Password) {
		t.Errorf("stored %+v", stored)
	}
	seen, err := c.Config(t.Context())
	must(t, err)
	if l := seen.Config.CIMDestinations["l"]; l.Password != cib.Redacted {
		t.Errorf("shown %+v", l)
	}
	for _, r := range d.audited() {
		if strings.Contains(string(r.Changes), "a-secret") {
			t.Errorf("a secret is in the audit log: %s", r.Changes)
		}
	}
	_, err = c.Change(t.Context(), &api.Change{Action: api.ActionDelete, Object: "cim-filter/f"})
	refused(t, err, api.CodeInUse)
	seen.Config.CIMFilters, seen.Config.CIMDestinations, seen.Config.CIMSubscriptions = nil, nil, nil
	must(t, d.post("/v1/change", &api.Change{Action: api.ActionApply, Object: "cluster", Value: mustJSON(t, seen.Config)}, nil))
	if s := d.snapshot().Config.CIMSubscriptions; len(s) != 2 {
		t.Errorf("subscriptions %v are left", s)
	}
}

// A filter that could never be evaluated is refused, however it comes. One that is there
// does not stand in the way of other changes.
func TestCIMQueries(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	change := func(action api.Action, object, value string) error {
		return d.post("/v1/change", &api.Change{Action: action, Object: object, Value: json.RawMessage(value)}, nil)
	}
	p := refused(t, change(api.ActionCreate, "cim-filter/f", `{"query": "FROM nothing", "language": "WQL"}`), api.CodeInvalid)
	if len(p.Faults) != 1 || p.Faults[0].Path != "cim-filters.f.query" || p.Faults[0].Text != "it selects nothing" {
		t.Errorf("%+v", p)
	}
	must(t, change(api.ActionCreate, "cim-filter/f", `{"query": "SELECT * FROM Belay_ClusterEvent", "language": "WQL"}`))
	refused(t, change(api.ActionPatch, "cim-filter/f", `{"query": "FROM nothing"}`), api.CodeInvalid)
	d.opts.Query = func(string, string) error { return errors.New("no query is good") }
	must(t, change(api.ActionPatch, "cim-filter/f", `{"name": "its name"}`))
}
