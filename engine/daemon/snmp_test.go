package daemon

import (
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
)

// The secrets of SNMP lie sealed in the store, are shown to nobody who reads the
// configuration, and open for who speaks SNMP.
func TestSNMPSecrets(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"cluster": {"snmp": {"listen": "udp:127.0.0.1:1161"}}, "snmp-users": {"ops": {"auth-passphrase": "a-secret-1", "priv-passphrase": "a-secret-2"}, "old": {"community": "a-secret-3"}},
		"snmp-targets": {"nms": {"address": "nms:162", "user": "ops"}}}`)
	c := client.New(d.opts.Socket)
	defer c.Close()
	got, err := c.SNMP(t.Context())
	must(t, err)
	if u := got.Users["ops"]; u == nil || u.AuthPass != "a-secret-1" || u.PrivPass != "a-secret-2" || got.Users["old"].Community != "a-secret-3" || got.Targets["nms"].Number == 0 ||
		got.Settings.Listen != "udp:127.0.0.1:1161" {
		t.Errorf("%+v", got)
	}
	stored := d.snapshot().Config.SNMPUsers["ops"]
	if !cib.Sealed(stored.AuthPass) || !cib.Sealed(stored.PrivPass) {
		t.Errorf("stored %+v", stored)
	}
	seen, err := c.Config(t.Context())
	must(t, err)
	if u := seen.Config.SNMPUsers["ops"]; u.AuthPass != cib.Redacted {
		t.Errorf("shown %+v", u)
	}
	// What was shown can be applied again: nothing changes.
	before := d.generation()
	must(t, d.post("/v1/change", &api.Change{Action: api.ActionApply, Object: "cluster", Value: mustJSON(t, seen.Config)}, nil))
	if after := d.generation(); after != before {
		t.Errorf("generation %d, it was %d", after, before)
	}
	for _, r := range d.audited() {
		if strings.Contains(string(r.Changes), "a-secret") {
			t.Errorf("a secret is in the audit log: %s", r.Changes)
		}
	}
	_, err = c.Change(t.Context(), &api.Change{Action: api.ActionDelete, Object: "snmp-user/ops"})
	refused(t, err, api.CodeInUse)
}
