package compat

import "testing"

// FuzzDecide: a CIB with anything in it leads to a decision or an error.
func FuzzDecide(f *testing.F) {
	const cibOf = `<cib dc-uuid="1"><configuration><crm_config/><nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes><resources>`
	f.Add([]byte(cibOf + `<primitive id="a" class="ocf" type="x"/><group id="g"><primitive id="b" class="ocf" type="x"/><primitive id="c" class="ocf" type="x"/></group></resources>
<constraints><rsc_colocation id="1" rsc="a" with-rsc="g" score="INFINITY"/><rsc_colocation id="2" rsc="g" with-rsc="a" score="-INFINITY"/><rsc_order id="3" first="a" then="g"/><rsc_order id="4" first="g" then="a"/></constraints></configuration>
<status><node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="1"><lrm_resources><lrm_resource id="a" class="ocf" type="x"><lrm_rsc_op id="o" operation="start" call-id="1" rc-code="0" op-status="0" interval="0"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>`))
	f.Add([]byte(cibOf + `<clone id="k"><meta_attributes id="m"><nvpair id="n" name="clone-max" value="99999999"/><nvpair id="o" name="promotable" value="true"/></meta_attributes><primitive id="a" class="ocf" type="x"/></clone></resources>
<constraints><rsc_location id="1" rsc="k" node="n1" score="-INFINITY"/><rsc_ticket id="t" rsc="k" ticket="T" loss-policy="fence" rsc-role="Master"/></constraints></configuration>
<status><node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="1"><lrm_resources><lrm_resource id="a:7" class="ocf" type="x"><lrm_rsc_op id="o" operation="promote" call-id="1" rc-code="9" op-status="4" interval="0"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>`))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		if len(doc) < 1<<16 {
			_, _ = decide(doc, "")
		}
	})
}
