package bench

import (
	"bufio"
	"fmt"
	"io"
)

// A shape is a synthetic cluster: groups of three primitives, in pairs of which
// the second is colocated with the first and starts after it; each pair prefers
// one node, and after it the next. One node has been lost and must be fenced.
type shape struct {
	nodes, primitives int
	cold              bool // nothing runs, and nothing is known: all is to be started
	probed            bool // every node has looked for every primitive
}

func (s shape) String() string {
	state := "steady"
	switch {
	case s.cold:
		state = "cold"
	case s.probed:
		state = "probed"
	}
	return fmt.Sprintf("%dx%d %s", s.nodes, s.primitives, state)
}

// lostNode is the node that has been lost.
const lostNode = 2

// home is the number of the node that the pair of a group prefers; groups and
// nodes count from 1.
func (s shape) home(group int) int { return (group-1)/2%s.nodes + 1 }

// writeTo writes the cluster as a CIB of Pacemaker, in the words of 2.1.
func (s shape) writeTo(out io.Writer) error {
	b := bufio.NewWriter(out)
	put := func(format string, args ...any) { _, _ = fmt.Fprintf(b, format, args...) } // Flush tells
	put(`<cib crm_feature_set="3.15.0" validate-with="pacemaker-3.7" epoch="1" num_updates="0" admin_epoch="0" have-quorum="1" dc-uuid="1" execution-date="1700000000"><configuration>`)
	put(`<crm_config><cluster_property_set id="options"><nvpair id="o1" name="stonith-enabled" value="true"/><nvpair id="o2" name="no-quorum-policy" value="stop"/><nvpair id="o3" name="enable-startup-probes" value="%t"/></cluster_property_set></crm_config><nodes>`, s.probed)
	for i := range s.nodes {
		put(`<node id="%d" uname="node%d"/>`, i+1, i+1)
	}
	put(`</nodes><resources><primitive id="fence" class="stonith" type="fence_dummy"/>` + "\n")
	groups := (s.primitives + 2) / 3
	for g := range groups {
		put(`<group id="g%d">`, g+1)
		for r := 3*g + 1; r <= min(3*g+3, s.primitives); r++ {
			put(`<primitive id="r%d" class="ocf" provider="pacemaker" type="Dummy"><operations><op id="r%d-monitor" name="monitor" interval="10s" timeout="20s"/></operations></primitive>`, r, r)
		}
		put("</group>\n")
	}
	put(`</resources><constraints>`)
	for g := 1; g <= groups; g++ {
		first := s.home(g)
		put(`<rsc_location id="l%d-first" rsc="g%d" node="node%d" score="100"/>`, g, g, first)
		put(`<rsc_location id="l%d-second" rsc="g%d" node="node%d" score="50"/>`, g, g, first%s.nodes+1)
		if g%2 == 1 && g < groups {
			put(`<rsc_colocation id="c%d" rsc="g%d" with-rsc="g%d" score="200"/>`, g, g+1, g)
			put(`<rsc_order id="s%d" first="g%d" then="g%d"/>`, g, g, g+1)
		}
		put("\n")
	}
	put(`</constraints><rsc_defaults><meta_attributes id="defaults"><nvpair id="d1" name="resource-stickiness" value="10"/></meta_attributes></rsc_defaults></configuration><status>` + "\n")
	for n := 1; n <= s.nodes; n++ {
		state := `in_ccm="true" crmd="online" join="member"`
		if n == lostNode {
			state = `in_ccm="false" crmd="offline" join="down"`
		}
		put(`<node_state id="%d" uname="node%d" %s expected="member"><lrm id="%d"><lrm_resources>`, n, n, state, n)
		s.putHistory(put, n)
		put("</lrm_resources></lrm></node_state>\n")
	}
	put(`</status></cib>`)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write a CIB: %w", err)
	}
	return nil
}

// putHistory writes what one node knows.
func (s shape) putHistory(put func(string, ...any), node int) {
	op := func(id, name string, interval, rc, call int) {
		const transition = "00000000-0000-0000-0000-000000000000"
		put(`<lrm_rsc_op id="%s_%s_%d" operation_key="%s_%s_%d" operation="%s" interval="%d" rc-code="%d" op-status="0" call-id="%d" transition-key="%d:1:%d:%s" transition-magic="0:%d;%d:1:%d:%s" on_node="node%d"/>`,
			id, name, interval, id, name, interval, name, interval, rc, call, call, rc, transition, rc, call, rc, transition, node)
	}
	if s.cold {
		return
	}
	if node == 1 {
		put(`<lrm_resource id="fence" class="stonith" type="fence_dummy">`)
		op("fence", "start", 0, 0, 2)
		put(`</lrm_resource>`)
	}
	for r := 1; r <= s.primitives; r++ {
		here := s.home((r+2)/3) == node
		if !here && !s.probed {
			continue
		}
		id := fmt.Sprintf("r%d", r)
		put(`<lrm_resource id="%s" class="ocf" provider="pacemaker" type="Dummy">`, id)
		if here {
			op(id, "start", 0, 0, 2*r)
			op(id, "monitor", 10_000, 0, 2*r+1)
		} else {
			op(id, "monitor", 0, 7, 2*r)
		}
		put("</lrm_resource>")
	}
}
