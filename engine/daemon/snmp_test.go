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

// So are those of webhooks and mail.
func TestNotifierSecrets(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.apply(`{"webhooks": {"cmdb": {"url": "https://cmdb.example/{token}", "token": "a-secret-1", "secret": "a-secret-2"}},
		"mail-targets": {"ops": {"server": "mx:25", "user": "u", "password": "a-secret-3", "from": "b@x", "to": ["o@x"]}}}`)
	c := client.New(d.opts.Socket)
	defer c.Close()
	got, err := c.Notifiers(t.Context())
	must(t, err)
	if w, m := got.Webhooks["cmdb"], got.Mail["ops"]; w == nil || m == nil || w.Token != "a-secret-1" || w.Secret != "a-secret-2" || m.Password != "a-secret-3" {
		t.Errorf("%+v", got)
	}
	stored := d.snapshot().Config
	if w := stored.Webhooks["cmdb"]; !cib.Sealed(w.Token) || !cib.Sealed(w.Secret) || !cib.Sealed(stored.MailTargets["ops"].Password) {
		t.Errorf("stored %+v", w)
	}
	seen, err := c.Config(t.Context())
	must(t, err)
	if w := seen.Config.Webhooks["cmdb"]; w.Token != cib.Redacted || w.Secret != cib.Redacted || seen.Config.MailTargets["ops"].Password != cib.Redacted {
		t.Errorf("shown %+v", w)
	}
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
}
