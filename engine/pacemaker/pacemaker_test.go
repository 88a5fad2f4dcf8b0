package pacemaker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-ha/belay/engine/cib"
)

// noon is the time of every test here: a Wednesday.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// wrap makes a CIB of two nodes that are up.
func wrap(options, resources, constraints, more string) string {
	return `<cib crm_feature_set="3.19.0" dc-uuid="1"><configuration>
<crm_config><cluster_property_set id="cib-bootstrap-options">` + options + `</cluster_property_set></crm_config>
<nodes><node id="1" uname="n1"/><node id="2" uname="n2"><instance_attributes id="n2-a"><nvpair id="n2-r" name="rack" value="b"/></instance_attributes></node></nodes>
<resources>` + resources + `</resources><constraints>` + constraints + `</constraints>` + more + `</configuration>
<status><node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"/>
<node_state id="2" uname="n2" in_ccm="true" crmd="online" join="member" expected="member"/></status></cib>`
}

func imported(t *testing.T, doc string) *Imported {
	t.Helper()
	d, err := Read([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return Import(d, noon)
}

func has(notes []Note, element, id, word string) bool {
	return slices.ContainsFunc(notes, func(n Note) bool {
		return n.Element == element && n.ID == id && strings.Contains(n.String(), word)
	})
}

const web = `<primitive id="web" class="ocf" provider="heartbeat" type="apache"/>`

// TestRead says what is no CIB, and why.
func TestRead(t *testing.T) {
	deep := strings.Repeat("<a>", depthMax+1) + strings.Repeat("</a>", depthMax+1)
	var wide strings.Builder
	for i := range attributesMax + 1 {
		fmt.Fprintf(&wide, " a%d=''", i)
	}
	for _, c := range []struct{ doc, want string }{
		{"", "no XML element"},
		{"<cib><configuration/>", "no well-formed XML"},
		{"<html/>", "is a html, not a cib"},
		{"<cib/>", "no configuration"},
		{"<cib>" + deep + "</cib>", "nested deeper"},
		{"<cib" + wide.String() + "/>", "more than 256 attributes"},
		{"<cib/><cib/>", "a second document"},
		{`<!DOCTYPE cib [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><cib>&b;</cib>`, "entities"},
		{"<cib>&b;</cib>", "no well-formed XML"},
	} {
		if _, err := Read([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: got %v, want %q", c.doc, err, c.want)
		}
	}
}

// TestOldSpellings reads the same cluster in the words of 1.x and of 3.x.
func TestOldSpellings(t *testing.T) {
	old := wrap(`<nvpair id="a" name="stonith-enabled" value="no"/><nvpair id="b" name="no_quorum_policy" value="suicide"/><nvpair id="c" name="default-resource-stickiness" value="+100"/>`,
		`<master id="ms"><meta_attributes id="m"><nvpair id="d" name="master_max" value="2"/><nvpair id="e" name="target_role" value="Slave"/></meta_attributes>
		<primitive id="db" class="ocf" provider="x" type="db"><operations><op id="o" name="monitor" interval="10" role="Master"/></operations></primitive></master>`,
		`<rsc_colocation id="c1" rsc="db" with-rsc="db" score="-INFINITY" rsc-role="Slave" with-rsc-role="Master"/>`, "")
	now := wrap(`<nvpair id="a" name="fencing-enabled" value="false"/><nvpair id="b" name="no-quorum-policy" value="fence"/>`,
		`<clone id="ms"><meta_attributes id="m"><nvpair id="p" name="promotable" value="true"/><nvpair id="d" name="promoted-max" value="2"/><nvpair id="e" name="target-role" value="Unpromoted"/></meta_attributes>
		<primitive id="db" class="ocf" provider="x" type="db"><operations><op id="o" name="monitor" interval="10s" role="Promoted"/></operations></primitive></clone>`,
		`<rsc_colocation id="c1" rsc="db" with-rsc="db" score="-INFINITY" rsc-role="Unpromoted" with-rsc-role="Promoted"/>`,
		`<rsc_defaults><meta_attributes id="rd"><nvpair id="s" name="resource-stickiness" value="100"/></meta_attributes></rsc_defaults>`)
	a, b := imported(t, old), imported(t, now)
	if diff := cmp.Diff(asJSON(t, a.Snapshot.Config), asJSON(t, b.Snapshot.Config)); diff != "" {
		t.Errorf("old and new differ:\n%s", diff)
	}
	if len(a.Notes)+len(b.Notes) > 0 {
		t.Errorf("notes: %v %v", a.Notes, b.Notes)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNotes: whatever has no place is listed with element, id and reason.
func TestNotes(t *testing.T) {
	im := imported(t, wrap(`<nvpair id="a" name="load-threshold" value="80%"/><nvpair id="b" name="batch-limit" value="many"/>`,
		web+web+`<bundle id="box"/><primitive id="lost"/>
		<clone id="cl"><meta_attributes id="cm"><nvpair id="u" name="globally-unique" value="true"/></meta_attributes><primitive id="ls" class="lsb" type="ls"/></clone>`,
		`<rsc_location id="l1" rsc="nobody" node="n1" score="5"/><rsc_location id="l2" rsc="web" node="n9" score="5"/>
		<rsc_location id="l3" rsc="web" node="n1" score="much"/><rsc_location id="l4" rsc-pattern="(" node="n1" score="5"/>
		<rsc_order id="o1" first="web" then="gone"/><rsc_order id="o2" first="web" then="ls" kind="Whenever"/><rsc_colocation id="c1" rsc="ghost" with-rsc="web"/><strange id="s1"/>`,
		`<alerts><alert id="mail" path="/x"/></alerts><novelty id="nv"/>`))
	for _, w := range [][3]string{
		{"crm_config", "", "load-threshold"},
		{"crm_config", "", `"many" is not understood`},
		{"primitive", "web", "a second resource"},
		{"bundle", "box", "names no container technology"},
		{"primitive", "lost", "names no agent"},
		{"clone", "cl", "is anonymous"},
		{"rsc_location", "l1", `"nobody"`},
		{"rsc_location", "l2", `"n9"`},
		{"rsc_location", "l3", `"much" is no score`},
		{"rsc_location", "l4", "pattern is not understood"},
		{"rsc_order", "o1", `"gone"`},
		{"rsc_order", "o2", `"Whenever"`},
		{"rsc_colocation", "c1", `"ghost"`},
		{"strange", "s1", "not known"},
		{"alert", "mail", "alert agents"},
		{"novelty", "nv", "not known"},
	} {
		if !has(im.Notes, w[0], w[1], w[2]) {
			t.Errorf("no note on %s %s that says %q; notes: %v", w[0], w[1], w[2], im.Notes)
		}
	}
}

// TestRules: what the cluster can say itself is carried over, the rest is evaluated.
func TestRules(t *testing.T) {
	inner := cib.Rule{Any: true, Expressions: []cib.Expression{{Attribute: "#uname", Operation: "eq", Value: "n1"}, {Attribute: "rack", Operation: "eq", Value: "x"}}}
	for _, c := range []struct {
		rule string
		want *cib.Rule // nil: evaluated
	}{
		{`<expression id="e" attribute="rack" operation="eq" value="b"/>`, &cib.Rule{Expressions: []cib.Expression{{Attribute: "rack", Operation: "eq", Value: "b"}}}},
		{
			`<expression id="e" attribute="rack" operation="eq" value="place" value-source="param"/>`,
			&cib.Rule{Expressions: []cib.Expression{{Attribute: "rack", Operation: "eq", Value: "place", Source: "param"}}},
		},
		{`<date_expression id="e" operation="gt" start="2026-03-01"/>`, &cib.Rule{Dates: []cib.Date{{Operation: "gt", Start: "2026-03-01T00:00:00Z"}}}},
		{`<date_expression id="e" operation="lt" end="2026-03-01"/>`, &cib.Rule{Dates: []cib.Date{{Operation: "lt", End: "2026-03-01T00:00:00Z"}}}},
		{
			`<date_expression id="e" operation="date_spec"><date_spec id="d" hours="9-16" weekdays="1-5"/></date_expression>`,
			&cib.Rule{Dates: []cib.Date{{Operation: "date-spec", Spec: &cib.DateSpec{Hours: "9-16", Weekdays: "1-5"}}}},
		},
		{
			`<date_expression id="e" operation="in_range" start="2026-03-04"><duration id="d" hours="13"/></date_expression>`,
			&cib.Rule{Dates: []cib.Date{{Start: "2026-03-04T00:00:00Z", Duration: &cib.DateDuration{Hours: 13}}}},
		},
		{
			`<rule id="in" boolean-op="or"><expression id="e1" attribute="#uname" operation="eq" value="n1"/><expression id="e2" attribute="rack" operation="eq" value="x"/></rule>`,
			&cib.Rule{Rules: []cib.Rule{inner}},
		},
		{`<expression id="e" attribute="#id" operation="eq" value="2"/>`, nil},
	} {
		im := imported(t, wrap("", web, `<rsc_location id="l" rsc="web"><rule id="r" score="7">`+c.rule+`</rule></rsc_location>`, ""))
		if c.want == nil {
			x := im.Snapshot.Config.Constraints["l-n2"]
			if len(im.Snapshot.Config.Constraints) != 1 || x == nil || x.Location.Node != "n2" || !has(im.Notes, "rule", "r", "2026-03-04") {
				t.Errorf("%s: got %v, notes %v", c.rule, im.Snapshot.Config.Constraints, im.Notes)
			}
			continue
		}
		x := im.Snapshot.Config.Constraints["l"]
		if x == nil || len(im.Notes) > 0 {
			t.Errorf("%s was not carried over as a rule: %v", c.rule, im.Notes)
			continue
		}
		if d := cmp.Diff(c.want, x.Location.Rule); d != "" {
			t.Errorf("%s: %s", c.rule, d)
		}
	}
}

// TestScoreAttribute: the score of a rule may be in an attribute.
func TestScoreAttribute(t *testing.T) {
	im := imported(t, wrap("", web, `<rsc_location id="l" rsc="web"><rule id="r" score-attribute="weight"><expression id="e" attribute="weight" operation="defined"/></rule></rsc_location>`, ""))
	x := im.Snapshot.Config.Constraints["l"]
	if x == nil || x.Location.ScoreAttribute != "weight" || x.Location.Score != 0 {
		t.Errorf("got %+v, notes %v", x, im.Notes)
	}
}

// TestSets spreads sets to pairs.
func TestSets(t *testing.T) {
	three := ""
	for _, id := range []string{"a", "b", "c"} {
		three += `<primitive id="` + id + `" class="ocf" provider="x" type="y"/>`
	}
	ref := func(ids ...string) string {
		out := ""
		for _, id := range ids {
			out += `<resource_ref id="` + id + `"/>`
		}
		return out
	}
	for _, c := range []struct{ doc, want string }{
		{`<rsc_order id="o"><resource_set id="s">` + ref("a", "b", "c") + `</resource_set></rsc_order>`, "a<b b<c"},
		{`<rsc_order id="o"><resource_set id="s" sequential="false">` + ref("a", "b") + `</resource_set><resource_set id="t">` + ref("c") + `</resource_set></rsc_order>`, "a<c b<c"},
		{`<rsc_colocation id="o" score="INFINITY"><resource_set id="s">` + ref("a", "b", "c") + `</resource_set></rsc_colocation>`, "b~a c~b"},
		{`<rsc_colocation id="o" score="-5"><resource_set id="s">` + ref("a", "b", "c") + `</resource_set></rsc_colocation>`, "b~a c~a c~b"},
		{`<rsc_colocation id="o" score="5"><resource_set id="s">` + ref("a", "b") + `</resource_set><resource_set id="t">` + ref("c") + `</resource_set></rsc_colocation>`, "a~c b~a"},
	} {
		var got []string
		for _, x := range imported(t, wrap("", three, c.doc, "")).Snapshot.Config.Constraints {
			if x.Order != nil {
				got = append(got, x.Order.First+"<"+x.Order.Then)
			} else {
				got = append(got, x.Colocation.Resource+"~"+x.Colocation.With)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", c.doc, got, c.want)
		}
	}
}

// TestNodeStates reads node_state as Pacemaker does, with fencing and without.
func TestNodeStates(t *testing.T) {
	for _, c := range []struct {
		state            string
		fencing, without cib.NodeState
	}{
		{`in_ccm="true" crmd="online" join="member" expected="member"`, cib.NodeOnline, cib.NodeOnline},
		{`in_ccm="1700000000" crmd="1700000001" join="member" expected="member"`, cib.NodeOnline, cib.NodeOnline},
		{`in_ccm="false" crmd="offline" join="down" expected="down"`, cib.NodeOffline, cib.NodeOffline},
		{`in_ccm="false" crmd="offline" join="down" expected="member"`, cib.NodeUnclean, cib.NodeOffline},
		{`in_ccm="true" crmd="offline" join="member" expected="member"`, cib.NodeUnclean, cib.NodeUnclean},
		{`in_ccm="true" crmd="online" join="pending" expected="member"`, cib.NodeJoining, cib.NodeOffline},
		{`in_ccm="true" crmd="online" join="banned" expected="member"`, cib.NodeUnclean, cib.NodeOffline},
		{``, cib.NodeUnclean, cib.NodeOffline},
	} {
		for _, fencing := range []bool{true, false} {
			doc := wrap(fmt.Sprintf(`<nvpair id="a" name="fencing-enabled" value="%v"/>`, fencing), web, "", "")
			doc = strings.Replace(doc, `uname="n2" in_ccm="true" crmd="online" join="member" expected="member"`, `uname="n2" `+c.state, 1)
			want := c.without
			if fencing {
				want = c.fencing
			}
			if got := imported(t, doc).Snapshot.Status.Nodes["n2"].State; got != want {
				t.Errorf("%s, fencing %v: got %s, want %s", c.state, fencing, got, want)
			}
		}
	}
}

// TestDigest is Pacemaker's digest of no parameters, which every CIB is full of,
// and what it leads to.
func TestDigest(t *testing.T) {
	if got := digest(nil, nil); got != "f2317cad3d54cec5d7d7aa7d0bf35cf8" {
		t.Fatalf("the digest of no parameters is %s", got)
	}
	started := func(digest string) string {
		return strings.Replace(wrap("", web, "", ""), `uname="n1" in_ccm="true" crmd="online" join="member" expected="member"/>`,
			`uname="n1" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="1"><lrm_resources>
<lrm_resource id="web" class="ocf" provider="heartbeat" type="apache"><lrm_rsc_op id="w" operation="start" call-id="3" rc-code="0" op-status="0" interval="0" op-digest="`+digest+`" transition-key="1:1:0:x"/></lrm_resource>
</lrm_resources></lrm></node_state>`, 1)
	}
	for given, want := range map[string]string{
		"f2317cad3d54cec5d7d7aa7d0bf35cf8": cib.Digest(nil),
		"00000000000000000000000000000000": changed,
	} {
		h := imported(t, started(given)).Snapshot.Status.Histories["n1"]["web"]
		if h == nil || len(h.Ops) != 1 || h.Ops[0].Digest != want {
			t.Errorf("digest %s: history %+v, want digest %s", given, h, want)
		}
	}
}

// TestConfiguration makes fence devices of primitives.
func TestConfiguration(t *testing.T) {
	im := imported(t, wrap("", web+`<clone id="fencing"><primitive id="ipmi" class="stonith" type="fence_ipmilan"><instance_attributes id="i">
<nvpair id="1" name="ip" value="10.0.0.9"/><nvpair id="2" name="pcmk_host_map" value="n1:1;n2:2"/><nvpair id="3" name="pcmk_delay_base" value="5s"/></instance_attributes></primitive></clone>
<primitive id="old" class="stonith" type="external/ipmi"/>`, `<rsc_location id="l" rsc="fencing" node="n1" score="5"/><rsc_location id="k" rsc="web" node="n1" score="5"/>`, ""))
	c, notes := Configuration(im)
	want := &cib.FenceDevice{Agent: "fence_ipmilan", Parameters: map[string]string{"ip": "10.0.0.9"}, Targets: map[string]string{"n1": "1", "n2": "2"}, Delay: cib.Duration(5 * time.Second)}
	if diff := cmp.Diff(want, c.FenceDevices["ipmi"]); diff != "" {
		t.Error(diff)
	}
	if len(c.Resources) != 1 || len(c.Constraints) != 1 || c.Resources["web"] == nil || c.Constraints["k"] == nil {
		t.Errorf("left: %v %v", c.Resources, c.Constraints)
	}
	for _, w := range [][3]string{{"primitive", "old", "fence agent"}, {"primitive", "fencing", "no clone"}, {"constraint", "l", "fence device"}} {
		if !has(notes, w[0], w[1], w[2]) {
			t.Errorf("no note %v in %v", w, notes)
		}
	}
}

// TestDurations reads lengths of time.
func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"20": 20 * time.Second, "20s": 20 * time.Second, "500ms": 500 * time.Millisecond, "2min": 2 * time.Minute, "1h": time.Hour,
		"PT1H30M": 90 * time.Minute, "P1D": 24 * time.Hour, "1e300": durationMax, "": -1, "-5": -1, "soon": -1, "P": -1, "PT": 0,
	} {
		d, ok := parseDuration(text)
		if ok != (want >= 0) || ok && d.D() != want {
			t.Errorf("%q: got %s, %v, want %s", text, d, ok, want)
		}
	}
}

// TestTimes reads points in time in the spellings that CIBs have.
func TestTimes(t *testing.T) {
	for _, text := range []string{
		"2026-03-04T12:00:00Z", "2026-03-04 12:00:00", "2026-03-04 12:00:00Z", "2026-03-04 12:00:00 Z", "2026-03-04 07:00:00 -05:00",
		"2026-03-04 13:00:00 +01:00", "2026-03-04T12:00", "20260304T120000Z", "1772625600",
	} {
		if got, ok := ParseTime(text); !ok || !got.Equal(noon) {
			t.Errorf("%q: got %s, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "noon", "2026-13-04", "-", " "} {
		if got, ok := ParseTime(text); ok {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// FuzzImport: whatever comes in, there is an answer.
func FuzzImport(f *testing.F) {
	f.Add([]byte(wrap(`<nvpair id="a" name="batch-limit" value="1e99"/>`, web, `<rsc_location id="l" rsc="web" node="n1" score="5"/>`, "")))
	f.Add([]byte(wrap("", `<group id="g" id-ref="g"><primitive id="p" template="p" type="t"><operations id-ref="o"/></primitive></group><template id="p" type="p"/>`, `<rsc_order id="o"><resource_set id="s" id-ref="s"/></rsc_order>`, "")))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := Read(doc)
		if err != nil {
			return
		}
		im := Import(d, noon)
		for _, n := range im.Notes {
			if n.Element == "" || n.Reason == "" {
				t.Errorf("a note that says nothing: %+v", n)
			}
		}
		if _, err := json.Marshal(im.Snapshot.Config); err != nil {
			t.Errorf("the configuration cannot be written: %v", err)
		}
		cfg, _ := Configuration(im)
		cib.Validate(cfg)
	})
}
