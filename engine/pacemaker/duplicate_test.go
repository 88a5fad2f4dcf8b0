package pacemaker

import (
	"strings"
	"testing"
)

// TestDuplicates: what has the id of something else is named, with element and id.
func TestDuplicates(t *testing.T) {
	doc := wrap(`<nvpair id="o" name="batch-limit" value="5"/><nvpair id="o" name="symmetric-cluster" value="true"/>`,
		web+`<primitive id="web" class="ocf" provider="heartbeat" type="nginx"/>`,
		`<rsc_location id="l" rsc="web" node="n1" score="5"/><rsc_location id="l" rsc="web" node="n2" score="5"/>
		<rsc_order id="s"><resource_set id="s1"><resource_ref id="web"/></resource_set><resource_set id="s2"><resource_ref id="web"/></resource_set></rsc_order>`, "")
	im := imported(t, strings.Replace(doc, `<node id="2"`, `<node id="1"`, 1))
	for _, n := range []struct{ element, id, word string }{
		{"nvpair", "o", "a second nvpair"},
		{"primitive", "web", "a second resource"},
		{"rsc_location", "l", "a second rsc_location"},
		{"node", "n2", "its id 1 is that of node n1"},
	} {
		if !has(im.Notes, n.element, n.id, n.word) {
			t.Errorf("no note about %s %s with %q in %v", n.element, n.id, n.word, im.Notes)
		}
	}
	if has(im.Notes, "resource_ref", "web", "second") {
		t.Error("two references to one resource are taken for duplicates")
	}
	if len(im.Snapshot.Config.Constraints) < 2 {
		t.Errorf("one of two constraints is lost: %v", im.Snapshot.Config.Constraints)
	}
}
