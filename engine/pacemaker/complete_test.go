package pacemaker

import (
	"encoding/xml"
	"fmt"
	"slices"
	"testing"
)

// richCIB has every element that a configuration can have, with attributes of all
// kinds, also those that nobody knows.
const richCIB = `<cib crm_feature_set="3.19.0" have-quorum="1" dc-uuid="1"><configuration>
<crm_config><cluster_property_set id="cib-bootstrap-options"><nvpair id="o1" name="stonith-enabled" value="true"/><nvpair id="o2" name="no-quorum-policy" value="freeze"/>
<nvpair id="o3" name="cluster-delay" value="60s"/><nvpair id="o4" name="batch-limit" value="30"/><nvpair id="o5" name="cluster-name" value="alpha"/><nvpair id="o6" name="priority-fencing-delay" value="15s"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="n1" type="normal" description="first"><instance_attributes id="na"><nvpair id="n1r" name="rack" value="a"/><nvpair id="n1s" name="standby" value="off"/></instance_attributes>
<utilization id="nu"><nvpair id="n1c" name="cpu" value="8"/></utilization></node><node id="2" uname="n2" weight="5"/></nodes>
<resources>
<template id="tpl" class="ocf" provider="x" type="app"><meta_attributes id="tm"><nvpair id="tm1" name="migration-threshold" value="3"/></meta_attributes><operations><op id="to" name="monitor" interval="30s" timeout="5s"/></operations></template>
<primitive id="web" template="tpl" description="a service"><instance_attributes id="wi"><nvpair id="wi1" name="port" value="80"/></instance_attributes>
<instance_attributes id="wr"><rule id="wrr" score="2"><expression id="wre" attribute="#uname" operation="eq" value="n1"/></rule><nvpair id="wr1" name="place" value="here"/></instance_attributes>
<meta_attributes id="wm"><nvpair id="wm1" name="resource-stickiness" value="10"/><nvpair id="wm2" name="whatever" value="x"/></meta_attributes>
<operations><op id="wo" name="start" interval="0" timeout="20s" on-fail="block" requires="quorum" label="x"/></operations><utilization id="wu"><nvpair id="wu1" name="cpu" value="2"/></utilization><note id="wn"/></primitive>
<group id="g" shape="round"><meta_attributes id="gm"><nvpair id="gm1" name="priority" value="5"/></meta_attributes><primitive id="fs" class="ocf" provider="heartbeat" type="Filesystem"/><primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2"/></group>
<master id="ms"><meta_attributes id="mm"><nvpair id="mm1" name="master-max" value="2"/><nvpair id="mm2" name="notify" value="true"/></meta_attributes><primitive id="db" class="ocf" provider="x" type="db"/></master>
<clone id="cl" globally_unique="true"><meta_attributes id="cm"><nvpair id="cm1" name="clone-node-max" value="2"/></meta_attributes><primitive id="ping" class="ocf" provider="x" type="ping"/></clone>
<bundle id="box"><podman image="img" replicas="2" replicas-per-host="1" run-command="/bin/x" options="-q" network="host" promoted-max="1" colour="red"/>
<network ip-range-start="10.0.0.1" host-netmask="24" host-interface="eth0" control-port="999" add-host="false" mtu="9000"><port-mapping id="pm" port="80" internal-port="8080"/><port-mapping id="pr" range="90-92"/></network>
<storage><storage-mapping id="sm" source-dir="/a" target-dir="/b" options="ro" speed="high"/><storage-mapping id="sr" source-dir-root="/c" target-dir="/d"/></storage><primitive id="inner" class="ocf" provider="x" type="app"/></bundle>
<primitive id="ipmi" class="stonith" type="fence_ipmilan"><instance_attributes id="fi"><nvpair id="fi1" name="ip" value="10.1.1.1"/><nvpair id="fi2" name="pcmk_host_list" value="n1 n2"/><nvpair id="fi3" name="pcmk_delay_max" value="3s"/></instance_attributes>
<meta_attributes id="fm"><nvpair id="fm1" name="priority" value="3"/></meta_attributes><operations><op id="fo" name="monitor" interval="1h" timeout="9s"/></operations></primitive>
</resources>
<constraints>
<rsc_location id="l1" rsc="web" node="n1" score="100" resource-discovery="never" role="Started" reason="x"/>
<rsc_location id="l2" rsc-pattern="^f" node="n2" score="-5"/>
<rsc_location id="l3" rsc="web"><rule id="r3" score="7" boolean-op="or" role="Started"><expression id="e3" attribute="rack" operation="eq" value="a" type="string" weight="1"/><date_expression id="d3" operation="date_spec"><date_spec id="ds3" hours="9-16" moon="4"/></date_expression>
<date_expression id="d4" operation="in_range" start="2026-03-01"><duration id="du" hours="3" years="1"/></date_expression></rule><lifetime><rule id="lt"/></lifetime></rsc_location>
<rsc_location id="l4" node="n1" score="1"><resource_set id="s4" role="Started" fancy="yes"><resource_ref id="fs"/><resource_ref id="web"/></resource_set></rsc_location>
<rsc_colocation id="c1" rsc="web" with-rsc="ms" score="50" with-rsc-role="Master" node-attribute="rack" influence="false" rsc-instance="1"/>
<rsc_colocation id="c2" score="INFINITY"><resource_set id="s2" sequential="true" role="Started" score="20"><resource_ref id="web"/><resource_ref id="ms"/></resource_set><resource_set id="s3"><resource_ref id="cl"/></resource_set></rsc_colocation>
<rsc_order id="o1" first="ms" then="web" first-action="promote" then-action="start" kind="Optional" symmetrical="false" require-all="false" then-instance="2"/>
<rsc_order id="o2"><resource_set id="so" sequential="false" require-all="false" action="start"><resource_ref id="g"/><resource_ref id="cl"/></resource_set><resource_set id="sp"><resource_ref id="web"/></resource_set></rsc_order>
<rsc_ticket id="t1" ticket="site" rsc="ms" rsc-role="Master" loss-policy="demote" grace="5"/>
<rsc_colocation id="c3" rsc="both" with-rsc="cl" score="9"/>
</constraints>
<tags><tag id="both"><obj_ref id="fs"/><obj_ref id="web"/></tag></tags>
<fencing-topology><fencing-level id="fl" target="n1" index="1" devices="ipmi" colour="red"/><fencing-level id="fp" target-pattern="n.*" index="1" devices="ipmi"/></fencing-topology>
<rsc_defaults><meta_attributes id="rd"><nvpair id="rd1" name="resource-stickiness" value="1"/></meta_attributes>
<meta_attributes id="rr" score="5"><rule id="rrr" boolean-op="and"><rsc_expression id="rre" class="ocf" provider="x" type="db" speed="1"/></rule><nvpair id="rr1" name="resource-stickiness" value="2"/></meta_attributes></rsc_defaults>
<op_defaults><meta_attributes id="od"><nvpair id="od1" name="timeout" value="40s"/></meta_attributes><meta_attributes id="or"><rule id="orr"><op_expression id="ore" name="monitor" interval="30s"/></rule><nvpair id="or1" name="on-fail" value="ignore"/></meta_attributes></op_defaults>
<alerts><alert id="al" path="/bin/x"><recipient id="re" value="y"/></alert></alerts>
<acls><acl_role id="ar"><acl_permission id="ap" kind="read" xpath="/cib"/></acl_role></acls>
<strange id="st" x="1"/>
</configuration><status><node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"/></status></cib>`

// outcome is all that an import tells: what was carried over, and what was not.
func outcome(t *testing.T, root *element) string {
	t.Helper()
	im := Import(&Document{root}, noon)
	cfg, notes := Configuration(im)
	return asJSON(t, im.Snapshot.Config) + asJSON(t, cfg) + fmt.Sprint(notes)
}

// clone copies an element, with one thing changed: element number at is left out, or
// its attribute has another value. count numbers the elements.
func (e *element) clone(count *int, at int, attribute string) *element {
	if *count++; *count == at && attribute == "" {
		return nil
	}
	out := &element{name: e.name, attrs: slices.Clone(e.attrs)}
	for i := range out.attrs {
		if a := &out.attrs[i]; *count == at && a.Name.Local == attribute {
			a.Value = "other-" + a.Value
		}
	}
	for _, c := range e.children {
		if x := c.clone(count, at, attribute); x != nil {
			out.children = append(out.children, x)
		}
	}
	return out
}

// TestNothingIsDroppedSilently: each element and each attribute of a configuration is
// carried over, or in the list of what was not: without it, or with another value,
// one of the two is different.
func TestNothingIsDroppedSilently(t *testing.T) {
	root, err := parse([]byte(richCIB))
	if err != nil {
		t.Fatal(err)
	}
	copied := func(at int, attribute string) *element {
		n := 0
		return root.clone(&n, at, attribute)
	}
	whole := outcome(t, copied(0, ""))
	_, notes := Configuration(Import(&Document{copied(0, "")}, noon))
	n, checked := 1, 0 // the root is the first
	var walk func(e *element, path string, around []string, listed bool)
	walk = func(e *element, path string, around []string, listed bool) {
		n++
		number := n
		path, around = path+"/"+e.name+"["+e.id()+"]", append(slices.Clip(around), e.id())
		said := func(name string) bool { // a note about it, or the nearest around it
			return slices.ContainsFunc(notes, func(n Note) bool {
				k := slices.Index(around, n.ID)
				return k >= 0 && n.ID != "" && (n.Name == "" || n.Name == "rule" || k >= len(around)-3 && (n.Name == name || n.Name == e.attr("name")))
			})
		}
		inside := !listed && e.name != "configuration"
		if inside && !harmless(e) {
			checked++
			if outcome(t, copied(number, "")) == whole && !said("") {
				t.Errorf("%s is dropped without a word", path)
			}
		}
		for _, a := range e.attrs {
			if !inside || names(e, a) {
				continue
			}
			checked++
			if outcome(t, copied(number, a.Name.Local)) == whole && !said(a.Name.Local) {
				t.Errorf("%s %s=%q is dropped without a word", path, a.Name.Local, a.Value)
			}
		}
		listed = listed || slices.Contains([]string{"alert", "acls", "lifetime", "strange", "note"}, e.name) // as a whole
		for _, c := range e.children {
			walk(c, path, around, listed)
		}
	}
	walk(root.child("configuration"), "", nil, false)
	if checked < 200 {
		t.Errorf("only %d things were looked at", checked)
	}
}

// names reports whether an attribute only names an element of no consequence.
func names(e *element, a xml.Attr) bool {
	return a.Name.Local == "id" && !isResource(e) && e.name != "resource_ref" && e.name != "obj_ref" && e.name != "node"
}

// harmless reports whether an element says nothing but what holds without it.
func harmless(e *element) bool {
	return e.attr("name") == "standby"
}
