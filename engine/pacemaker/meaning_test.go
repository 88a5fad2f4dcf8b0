package pacemaker

import (
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
