package pacemaker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-ha/belay/engine/cib"
)

const db = `<clone id="cdb"><meta_attributes id="cm"><nvpair id="cp" name="promotable" value="true"/></meta_attributes>
<instance_attributes id="ci"><nvpair id="cv" name="volume" value="v1"/><nvpair id="cs" name="size" value="1"/></instance_attributes>
<primitive id="db" class="ocf" provider="x" type="db"><instance_attributes id="di"><nvpair id="ds" name="size" value="2"/><nvpair id="dd" name="label" value="#default"/></instance_attributes></primitive></clone>`

// TestOrderActions: the action of what comes then is that of what comes first only
// where it is not named.
func TestOrderActions(t *testing.T) {
	for attributes, want := range map[string][2]string{
		``:                       {"start", "start"},
		`first-action="promote"`: {"promote", "promote"},
		`first-action="promote" then-action="start"`: {"promote", "start"},
		`first-action="start" then-action="promote"`: {"start", "promote"},
		`first-action="stop" then-action="start"`:    {"stop", "start"},
	} {
		im := imported(t, wrap("", db+web, `<rsc_order id="o" first="cdb" then="web" `+attributes+`/>`, ""))
		first, then := im.Snapshot.Config.Constraints["o"].Order.Actions()
		if got := [2]string{first, then}; got != want {
			t.Errorf("%s: got %v, want %v", attributes, got, want)
		}
	}
}

// TestParametersAround: parameters of what is around a primitive are its own, too.
func TestParametersAround(t *testing.T) {
	im := imported(t, wrap("", db, "", ""))
	want := map[string]string{"volume": "v1", "size": "2"}
	if d := cmp.Diff(want, im.Snapshot.Config.Resources["db"].Parameters); d != "" {
		t.Error(d)
	}
}

// TestAlternatives: of a set with require-all=false one is enough.
func TestAlternatives(t *testing.T) {
	three := web + `<primitive id="a" class="ocf" provider="x" type="a"/><primitive id="b" class="ocf" provider="x" type="b"/>`
	set := func(requireAll string) string {
		return `<rsc_order id="o"><resource_set id="s1" sequential="false" require-all="` + requireAll + `"><resource_ref id="a"/><resource_ref id="b"/></resource_set>
<resource_set id="s2"><resource_ref id="web"/></resource_set></rsc_order>`
	}
	for requireAll, want := range map[string]string{"true": "", "false": "o-1"} {
		im := imported(t, wrap("", three, set(requireAll), ""))
		got := map[string]cib.Order{}
		for id, c := range im.Snapshot.Config.Constraints {
			got[id] = *c.Order
		}
		all := map[string]cib.Order{"o": {First: "a", Then: "web", Alternative: want}, "o-2": {First: "b", Then: "web", Alternative: want}}
		if d := cmp.Diff(all, got); d != "" {
			t.Errorf("require-all=%s: %s", requireAll, d)
		}
	}
}

// TestNoScore: a colocation that names no score means nothing, and one of two
// templates neither.
func TestNoScore(t *testing.T) {
	im := imported(t, wrap("", db+web, `<rsc_colocation id="c" rsc="web" with-rsc="cdb"/>`, ""))
	if s := im.Snapshot.Config.Constraints["c"].Colocation.Score; s != 0 {
		t.Errorf("got the score %s", s)
	}
	templates := `<template id="t1" class="ocf" type="x"/><template id="t2" class="ocf" type="x"/><primitive id="a" template="t1"/><primitive id="b" template="t2"/>`
	im = imported(t, wrap("", templates, `<rsc_colocation id="c" rsc="t1" with-rsc="t2" score="INFINITY"/>`, ""))
	if im.Snapshot.Config.Constraints["c"] != nil || !has(im.Notes, "rsc_colocation", "c", "two templates") {
		t.Errorf("got %v", im.Notes)
	}
}

// TestHealth: colours mean something with one strategy only.
func TestHealth(t *testing.T) {
	options := func(strategy string) string {
		return `<nvpair id="h1" name="node-health-strategy" value="` + strategy + `"/><nvpair id="h2" name="node-health-red" value="-40"/>`
	}
	for strategy, want := range map[string]bool{"progressive": true, "only-green": false} {
		o := imported(t, wrap(options(strategy), web, "", "")).Snapshot.Config.Cluster.Options
		if o.HealthStrategy != strategy || (o.HealthRed != nil) != want {
			t.Errorf("%s: got %q, red %v", strategy, o.HealthStrategy, o.HealthRed)
		}
	}
}

// TestTemplateOperations: an operation of a primitive replaces that of its template with
// the same name and role, whatever their intervals.
func TestTemplateOperations(t *testing.T) {
	resources := `<template id="t" class="ocf" provider="x" type="web"><operations><op id="t1" name="monitor" interval="10s"/>
<op id="t2" name="monitor" interval="11s" role="Promoted"/><op id="t3" name="start" interval="0" timeout="60s"/></operations></template>
<primitive id="a" template="t"><operations><op id="a1" name="monitor" interval="20s" role="Unpromoted"/></operations></primitive>
<primitive id="b" template="t"/>`
	im := imported(t, wrap("", resources, "", ""))
	monitors := func(id string) []cib.Duration {
		var out []cib.Duration
		for _, o := range im.Snapshot.Config.Resources[id].Operations {
			out = append(out, o.Interval)
		}
		return out
	}
	s := cib.Duration(time.Second)
	if d := cmp.Diff([]cib.Duration{20 * s, 11 * s, 0}, monitors("a")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]cib.Duration{10 * s, 11 * s, 0}, monitors("b")); d != "" {
		t.Error(d)
	}
}

// TestTemplates: a primitive has what its template says, unless it says something
// else itself; a constraint on the template is one on each.
func TestTemplates(t *testing.T) {
	im := imported(t, wrap("", `<template id="vm" class="ocf" provider="heartbeat" type="VirtualDomain"><meta_attributes id="tm"><nvpair id="t1" name="priority" value="5"/><nvpair id="t2" name="allow-migrate" value="true"/></meta_attributes>
<instance_attributes id="ti"><nvpair id="t3" name="hypervisor" value="qemu"/></instance_attributes><operations><op id="to" name="monitor" interval="30s"/></operations></template>
<primitive id="v1" template="vm"><meta_attributes id="m"><nvpair id="p" name="priority" value="7"/></meta_attributes><instance_attributes id="i"><nvpair id="c" name="config" value="/v1"/></instance_attributes></primitive>
<primitive id="v2" template="vm"><operations><op id="o2" name="monitor" interval="30s" timeout="9s"/></operations></primitive>`,
		`<rsc_location id="l" rsc="vm" node="n1" score="5"/>`, ""))
	c := im.Snapshot.Config
	v1, v2 := c.Resources["v1"], c.Resources["v2"]
	if v1 == nil || v2 == nil || v1.Agent != "ocf:heartbeat:VirtualDomain" || *v1.Meta.Priority != 7 || !*v1.Meta.AllowMigrate || *v2.Meta.Priority != 5 {
		t.Fatalf("got %+v and %+v", v1, v2)
	}
	if d := cmp.Diff(map[string]string{"hypervisor": "qemu", "config": "/v1"}, v1.Parameters); d != "" {
		t.Error(d)
	}
	if len(v1.Operations) != 1 || len(v2.Operations) != 1 || v2.Operations[0].Timeout.String() != "9s" {
		t.Errorf("operations: %+v and %+v", v1.Operations, v2.Operations)
	}
	if len(c.Constraints) != 2 || c.Constraints["l-1"].Location.Resource != "v1" || c.Constraints["l-2"].Location.Resource != "v2" {
		t.Errorf("constraints: %v", c.Constraints)
	}
	if !has(im.Notes, "template", "vm", "no templates here") {
		t.Errorf("notes: %v", im.Notes)
	}
}

// TestTags: a constraint on a tag is one on each of its members.
func TestTags(t *testing.T) {
	three := web + `<primitive id="a" class="ocf" provider="x" type="a"/><primitive id="b" class="ocf" provider="x" type="b"/>`
	tags := `<tags><tag id="both"><obj_ref id="b"/><obj_ref id="a"/></tag></tags>`
	for constraint, want := range map[string][]string{
		`<rsc_location id="k" rsc="both" node="n1" score="5"/>`:                                                                 {"a on n1", "b on n1"},
		`<rsc_colocation id="k" rsc="both" with-rsc="web" score="5"/>`:                                                          {"a with web", "b with web"},
		`<rsc_order id="k" first="web" then="both"/>`:                                                                           {"web then a", "web then b"},
		`<rsc_ticket id="k" rsc="both" ticket="t"/>`:                                                                            {"a needs t", "b needs t"},
		`<rsc_location id="k" node="n2" score="1"><resource_set id="s"><resource_ref id="both"/></resource_set></rsc_location>`: {"a on n2", "b on n2"},
	} {
		im := imported(t, wrap("", three, constraint, tags))
		var got []string
		for _, c := range im.Snapshot.Config.Constraints {
			switch {
			case c.Location != nil:
				got = append(got, c.Location.Resource+" on "+c.Location.Node)
			case c.Colocation != nil:
				got = append(got, c.Colocation.Resource+" with "+c.Colocation.With)
			case c.Order != nil:
				got = append(got, c.Order.First+" then "+c.Order.Then)
			case c.Ticket != nil:
				got = append(got, c.Ticket.Resource+" needs "+c.Ticket.Ticket)
			}
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" || !has(im.Notes, "tag", "both", "spread to its members, b, a") {
			t.Errorf("%s: %s\nnotes: %v", constraint, d, im.Notes)
		}
	}
}

// TestOldestWords: the words of the first releases mean what they meant then.
func TestOldestWords(t *testing.T) {
	old := wrap(`<attributes><nvpair id="x" name="default_resource_stickiness" value="7"/><nvpair id="y" name="stop_orphan_resources" value="no"/></attributes>`,
		`<primitive id="a" class="ocf" provider="x" type="a" is_managed="false" multiple_active="stop_only" resource_stickiness="3"><instance_attributes id="i"><attributes><nvpair id="p" name="k" value="v"/></attributes></instance_attributes></primitive>
<primitive id="b" class="ocf" provider="x" type="b"><operations><op id="o" name="monitor" interval="10" disabled="true" role="Slave"/></operations></primitive>`,
		`<rsc_colocation id="c" from="a" to="b" score="INFINITY"/><rsc_order id="o" from="a" to="b" type="before"/><rsc_order id="p" from="a" to="b" action="stop"/>`, "")
	im := imported(t, old)
	c := im.Snapshot.Config
	a, b := c.Resources["a"], c.Resources["b"]
	if *a.Meta.Managed || a.Meta.MultipleActive != cib.MultipleActiveStopOnly || *a.Meta.Stickiness != 3 || a.Parameters["k"] != "v" {
		t.Errorf("got %+v", a)
	}
	if o := b.Operations[0]; *o.Enabled || o.Role != cib.RoleUnpromoted {
		t.Errorf("got %+v", o)
	}
	if *c.Cluster.Options.StopOrphans || *c.Cluster.ResourceDefaults.Stickiness != 7 {
		t.Errorf("got %+v", c.Cluster)
	}
	x := c.Constraints
	if x["c"].Colocation.Resource != "a" || x["c"].Colocation.With != "b" || x["o"].Order.First != "a" || x["o"].Order.Then != "b" || x["p"].Order.First != "b" || x["p"].Order.Then != "a" || x["p"].Order.FirstAction != "stop" {
		t.Errorf("got %+v %+v %+v", x["c"].Colocation, x["o"].Order, x["p"].Order)
	}
	if len(im.Notes) > 0 {
		t.Errorf("notes: %v", im.Notes)
	}
}

// TestDevicesLost: what a fence device has no place for is listed.
func TestDevicesLost(t *testing.T) {
	im := imported(t, wrap("", web+`<primitive id="d" class="stonith" type="fence_x" description="the rack"><instance_attributes id="i"><nvpair id="1" name="pcmk_delay_max" value="5"/></instance_attributes>
<meta_attributes id="m"><nvpair id="2" name="priority" value="5"/></meta_attributes><operations><op id="o" name="start" timeout="60s"/></operations></primitive>
<primitive id="off" class="stonith" type="fence_x"><meta_attributes id="m2"><nvpair id="3" name="target-role" value="Stopped"/></meta_attributes></primitive>`, "",
		`<fencing-topology><fencing-level id="l1" target="n1" index="1" devices="d"/><fencing-level id="l2" target="n1" index="2" devices="off"/></fencing-topology>`))
	c, notes := Configuration(im)
	for _, w := range [][3]string{
		{"primitive", "d", "pcmk_delay_max"},
		{"primitive", "d", "no meta attributes"},
		{"primitive", "d", "start says more"},
		{"primitive", "d", "no description"},
		{"primitive", "off", "target-role is Stopped"},
		{"fencing-level", "n1", "off is none here"},
	} {
		if !has(notes, w[0], w[1], w[2]) {
			t.Errorf("no note %v in %v", w, notes)
		}
	}
	if c.FenceDevices["d"] == nil || c.FenceDevices["off"] != nil || len(c.FenceTopology["n1"].Levels) != 1 {
		t.Errorf("got %v %v", c.FenceDevices, c.FenceTopology)
	}
}

// TestStartupFencing: a node that was never seen is lost, unless startup-fencing is off.
func TestStartupFencing(t *testing.T) {
	for value, want := range map[string]cib.NodeState{"true": cib.NodeUnclean, "false": cib.NodeOffline} {
		doc := wrap(`<nvpair id="a" name="startup-fencing" value="`+value+`"/>`, web, "", "")
		doc = strings.Replace(doc, `<node_state id="2" uname="n2" in_ccm="true" crmd="online" join="member" expected="member"/>`, "", 1)
		if got := imported(t, doc).Snapshot.Status.Nodes["n2"].State; got != want {
			t.Errorf("startup-fencing=%s: %s, want %s", value, got, want)
		}
	}
}
