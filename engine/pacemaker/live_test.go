package pacemaker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-ha/belay/engine/cib"
)

const twoResources = `<primitive id="db-a" class="ocf" provider="x" type="db"><operations><op id="m" name="monitor" interval="10s"/></operations></primitive>
<primitive id="web" class="ocf" provider="x" type="web"/>`

// TestDefaultsStayRules: a default that holds for some agents, operations or times is
// imported with its rule, after what an earlier set says for all.
func TestDefaultsStayRules(t *testing.T) {
	im := imported(t, wrap("", twoResources, "", `<rsc_defaults>
<meta_attributes id="a" score="100"><nvpair id="a1" name="migration-threshold" value="3"/></meta_attributes>
<meta_attributes id="b" score="50"><rule id="br" boolean-op="or"><rsc_expression id="be" class="ocf" provider="x" type="db"/>
 <rule id="bi"><date_expression id="bd" operation="date_spec"><date_spec id="bs" hours="1-5"/></date_expression></rule></rule>
 <nvpair id="b1" name="resource-stickiness" value="200"/><nvpair id="b2" name="migration-threshold" value="9"/></meta_attributes>
<meta_attributes id="n"><rule id="nr"><expression id="ne" attribute="rack" operation="eq" value="b"/></rule><nvpair id="n1" name="is-managed" value="false"/></meta_attributes>
</rsc_defaults><op_defaults>
<meta_attributes id="c"><rule id="cr"><op_expression id="ce" name="monitor" interval="10s"/></rule><nvpair id="c1" name="timeout" value="77s"/></meta_attributes>
<meta_attributes id="d"><nvpair id="d1" name="timeout" value="33s"/></meta_attributes>
</op_defaults>`))
	c := im.Snapshot.Config
	ten := cib.Duration(10 * time.Second)
	stickiness := cib.Score(200)
	if d := cmp.Diff([]cib.ResourceDefaultRule{{
		Rule: cib.Rule{
			Any: true, Agents: []cib.AgentMatch{{Class: "ocf", Provider: "x", Type: "db"}},
			Rules: []cib.Rule{{Dates: []cib.Date{{Operation: "date-spec", Spec: &cib.DateSpec{Hours: "1-5"}}}}},
		},
		Meta: cib.Meta{Stickiness: &stickiness},
	}}, c.Cluster.ResourceDefaultRules); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]cib.OpDefaultRule{{
		Rule:     cib.Rule{Operations: []cib.OperationMatch{{Name: "monitor", Interval: &ten}}},
		Defaults: cib.OpDefaults{Timeout: cib.Duration(77 * time.Second)},
	}}, c.Cluster.OpDefaultRules); d != "" {
		t.Error(d)
	}
	if !has(im.Notes, "meta_attributes", "n", "about no node") {
		t.Errorf("a rule on a node attribute is not told: %v", im.Notes)
	}
	if r := c.Resources["db-a"]; r.Meta != (cib.Meta{}) || r.Operations[0].Timeout != 0 {
		t.Errorf("the defaults were written into the resource: %+v", r)
	}
	night := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		id   string
		at   time.Time
		want cib.Score
	}{{"db-a", noon, 200}, {"web", noon, 0}, {"web", night, 200}} {
		m := c.MetaOf(x.id, c.Parents(), x.at)
		got := cib.Score(0)
		if m.Stickiness != nil {
			got = *m.Stickiness
		}
		if got != x.want || *m.MigrationThreshold != 3 {
			t.Errorf("%s at %s: stickiness %v, threshold %v", x.id, x.at, got, *m.MigrationThreshold)
		}
	}
	for interval, want := range map[cib.Duration]time.Duration{ten: 77 * time.Second, 0: 33 * time.Second} {
		if d := c.Cluster.OpDefaultsFor(cib.Subject{Agent: "ocf:x:db", Op: "monitor", Interval: interval}, noon); d.Timeout.D() != want {
			t.Errorf("monitor every %s: %s, not %s", interval, d.Timeout, want)
		}
	}
	for _, f := range cib.Validate(c) {
		if strings.HasPrefix(f.Path, "cluster.") {
			t.Error(f)
		}
	}
}

// TestPatternsStay: a pattern is imported as a pattern, which holds for resources
// that come later.
func TestPatternsStay(t *testing.T) {
	im := imported(t, wrap("", twoResources, `<rsc_location id="l" rsc-pattern="^db-(.)$" node="n1" score="5"/>
<rsc_location id="r" rsc-pattern="!db"><rule id="rr" score-attribute="for-%1"><expression id="re" attribute="rack" operation="defined"/></rule></rsc_location>`, ""))
	c := im.Snapshot.Config
	c.Resources["db-b"] = &cib.Resource{Agent: "ocf:x:db"}
	for id, want := range map[string][]string{"l": {"db-a", "db-b"}, "r": {"web"}} {
		var got []string
		for _, target := range c.Constraints[id].Location.Targets(c, c.Parents()) {
			got = append(got, target.Resource)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	if len(im.Notes) > 0 {
		t.Errorf("something was not carried over: %v", im.Notes)
	}
}
