package cib

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// TestEdit runs changes on the sound configuration of three nodes and shows what
// they change. With "then" a change continues from the one before.
func TestEdit(t *testing.T) {
	datadriven.Walk(t, "testdata/edit", func(t *testing.T, path string) {
		c := parseBase(t)
		c.FenceDevices["ipmi"].Parameters["password"] = SealedPrefix + "AAAA"
		sound := c
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "then" {
				c = sound
			}
			r := EditRequest{Value: json.RawMessage(d.Input), Merge: d.HasArg("merge")}
			d.ScanArgs(t, "action", &r.Action)
			d.MaybeScanArgs(t, "object", &r.Object)
			before := string(encode(c))
			n, err := Edit(c, r)
			if string(encode(c)) != before {
				t.Fatal("the old configuration was changed")
			}
			if err != nil {
				return explain(t, err)
			}
			changes := Diff(c, n)
			c = n
			return showChanges(changes)
		})
	})
}

func explain(t *testing.T, err error) string {
	t.Helper()
	var e *EditError
	if !errors.As(err, &e) {
		t.Fatalf("not an EditError: %v", err)
	}
	out := fmt.Sprintf("%s: %s\n", e.Cause, e.Text)
	if len(e.Faults) > 0 {
		out += "  " + strings.ReplaceAll(strings.TrimSpace(show(e.Faults)), "\n", "\n  ") + "\n"
	}
	return out
}

func showChanges(changes []Changed) string {
	if len(changes) == 0 {
		return "no change\n"
	}
	var b strings.Builder
	for _, ch := range changes {
		fmt.Fprintf(&b, "%s\n", ch.Key)
		if ch.Before != nil {
			fmt.Fprintf(&b, "  - %s\n", ch.Before)
		}
		if ch.After != nil {
			fmt.Fprintf(&b, "  + %s\n", ch.After)
		}
	}
	return b.String()
}

// TestDiffApplyInvert: applying a diff leads there, applying its inverse back,
// and applying it to anything else is refused.
func TestDiffApplyInvert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genConfig(t), genConfig(t)
		for _, c := range []*Config{a, b} { // no document has an empty name
			delete(c.Nodes, "")
			delete(c.Resources, "")
			delete(c.Constraints, "")
		}
		changes := Diff(a, b)
		there, err := ApplyChanges(a, changes)
		if err != nil || string(encode(there)) != string(encode(b)) {
			t.Fatalf("%v\n%s\n%s", err, encode(there), encode(b))
		}
		back, err := ApplyChanges(there, Invert(changes))
		if err != nil || string(encode(back)) != string(encode(a)) {
			t.Fatalf("%v\n%s\n%s", err, encode(back), encode(a))
		}
		if len(changes) > 0 {
			if _, err := ApplyChanges(there, changes); !errors.Is(err, ErrStale) {
				t.Fatalf("applied twice: %v", err)
			}
		}
		again, err := FromDocuments(Documents(a))
		if err != nil || len(Diff(a, again)) > 0 {
			t.Fatalf("documents: %v, %v", err, Diff(a, again))
		}
		if c, faults := keepSecrets(Redact(a, nil), a); len(faults) > 0 || len(Diff(a, c)) > 0 && !holdsPlaceholder(a) {
			t.Fatalf("a redacted configuration does not come back: %v %s", faults, showChanges(Diff(a, c)))
		}
	})
}

// holdsPlaceholder: the generator also draws the placeholder as a value.
func holdsPlaceholder(c *Config) bool { return strings.Contains(string(encode(c)), Redacted) }

// TestRedact: no secret is in what is shown, and what does not change is shared.
func TestRedact(t *testing.T) {
	c := parseBase(t)
	c.Resources["a"].Parameters = map[string]string{"community_key": "geheim", "passwd_file": "/etc/pw", "x": SealedPrefix + "geheim"}
	c.Resources["b"].Operations[0].Parameters = map[string]string{"db_password": "geheim"}
	r := Redact(c, func(agent, name string) bool { return agent == "belay:dummy" && name == "community_key" })
	doc := string(encode(r))
	if strings.Contains(doc, "geheim") || !strings.Contains(doc, "/etc/pw") {
		t.Error(doc)
	}
	if r.Resources["vip"] != c.Resources["vip"] || !strings.Contains(string(encode(c)), "geheim") {
		t.Error("the original was changed, or too much was copied")
	}
	n := c.Clone()
	d := *c.FenceDevices["ipmi"]
	d.Parameters = map[string]string{"password": "neues geheimnis"}
	n.FenceDevices["ipmi"] = &d
	got := showChanges(RedactChanges(Diff(c, n), nil))
	if want := `config/fence-device/ipmi
  - {"agent":"fence_ipmilan","parameters":{"password":"********"}}
  + {"agent":"fence_ipmilan","parameters":{"password":"******** (changed)"}}
`; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	broken := []Changed{{Key: "config/resource/x", After: json.RawMessage(`{"agent": 7, "passwd": "geheim"}`)}}
	if got := showChanges(RedactChanges(broken, nil)); strings.Contains(got, "geheim") {
		t.Error(got)
	}
}

// TestSeal: secrets are sealed once, and stay sealed as they are.
func TestSeal(t *testing.T) {
	n := 0
	seal := func(_, plain string) (string, error) { n++; return fmt.Sprintf("%s%d:%s", SealedPrefix, n, plain), nil }
	open := func(_, sealed string) (string, error) {
		_, plain, _ := strings.Cut(strings.TrimPrefix(sealed, SealedPrefix), ":")
		return plain, nil
	}
	c := parseBase(t)
	first, err := Seal(c, nil, nil, seal, open)
	if err != nil || first.FenceDevices["ipmi"].Parameters["password"] != SealedPrefix+"1:geheim" {
		t.Fatal(err, first.FenceDevices["ipmi"].Parameters)
	}
	second, err := Seal(c, first, nil, seal, open)
	if err != nil || len(Diff(first, second)) > 0 {
		t.Errorf("%v, %s", err, showChanges(Diff(first, second)))
	}
	if _, err := Seal(c, nil, nil, func(_, _ string) (string, error) { return "", errors.New("no key") }, open); err == nil || !strings.Contains(err.Error(), "fence-devices.ipmi.parameters.password") {
		t.Error(err)
	}
}

// TestMetaOf: a primitive's own word counts before its group's, its clone's and
// the default.
func TestMetaOf(t *testing.T) {
	c := parseBase(t)
	no, yes := false, true
	c.Cluster.ResourceDefaults = Meta{Managed: &no, Critical: &no, TargetRole: RoleStopped, Requires: "quorum"}
	c.Resources["webs"] = &Resource{Clone: &Clone{Resource: "web"}, Meta: Meta{Managed: &yes, Critical: &yes, TargetRole: RoleStarted}}
	c.Resources["web"].Meta = Meta{TargetRole: RoleUnpromoted, Critical: &no}
	c.Resources["vip"].Meta = Meta{TargetRole: RolePromoted}
	m := c.MetaOf("vip", c.Parents(), time.Time{})
	if m.TargetRole != RolePromoted || *m.Critical || !m.IsManaged() || m.Requires != "quorum" {
		t.Errorf("%+v", m)
	}
}

// TestNewWarnings: a change is blamed only for what it brings.
func TestNewWarnings(t *testing.T) {
	before := parseBase(t)
	before.Resources["bare"] = &Resource{Agent: "belay:dummy"}
	after := before.Clone()
	after.Cluster.Options.MaintenanceMode = true
	if got := show(NewWarnings(before, after)); got != "cluster.options.maintenance-mode: the cluster starts, stops and monitors nothing\n" {
		t.Error(got)
	}
}

// TestObjectKinds: the kinds are sorted, as they are shown.
func TestObjectKinds(t *testing.T) {
	if kinds := ObjectKinds(); !slices.IsSorted(kinds) || len(kinds) != 18 {
		t.Error(kinds)
	}
}
