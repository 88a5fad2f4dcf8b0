package compat

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// maker makes a random CIB with status.
type maker struct {
	*rand.Rand
	ids     int
	nodes   []string
	up      map[string]bool // nodes that are members
	top     []*thing        // what constraints name
	prims   []*thing
	call    int
	fencing bool
	lenient bool             // a start that failed is tried again
	lrm     map[string]*node // the history of each node
	state   map[string]*node // its node_state
	attrs   map[string]*node // its transient attributes
}

// thing is a resource.
type thing struct {
	id     string
	kind   string // primitive, group, clone, promotable
	parts  []*thing
	clone  *thing // it is in
	fences bool
}

func (m *maker) id() string {
	m.ids++
	return "i" + strconv.Itoa(m.ids)
}

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

func (m *maker) pick(of ...string) string { return of[m.IntN(len(of))] }

func (m *maker) score() string {
	return m.pick("INFINITY", "INFINITY", "-INFINITY", "100", "50", "-50", "1", "1000")
}

// set makes a block of name-value pairs; nil of none.
func (m *maker) set(name string, pairs ...string) *node {
	n := elem(name, "id", m.id())
	for i := 0; i+1 < len(pairs); i += 2 {
		n.add(elem("nvpair", "id", m.id(), "name", pairs[i], "value", pairs[i+1]))
	}
	return n
}

// randomCIB makes a small cluster in some state.
func randomCIB(r *rand.Rand) *node {
	m := &maker{Rand: r, up: map[string]bool{}, lrm: map[string]*node{}, state: map[string]*node{}, attrs: map[string]*node{}}
	root := elem("cib", "validate-with", "pacemaker-3.9", "crm_feature_set", "3.16.2", "epoch", "1", "num_updates", "1", "admin_epoch", "0", "have-quorum", "1", "dc-uuid", "1")
	config, status := elem("configuration"), elem("status")
	options, nodes, resources, constraints := elem("crm_config"), elem("nodes"), elem("resources"), elem("constraints")
	for _, n := range []*node{config, status, options, nodes, resources, constraints} {
		n.needed = true
	}
	// Both have their ways with what nothing holds where it is; see best in engine/policy.
	stay := elem("rsc_defaults").add(m.set("meta_attributes", "resource-stickiness", "1"))
	stay.needed, stay.children[0].needed, stay.children[0].children[0].needed = true, true, true
	root.add(config.add(options, nodes, resources, constraints, stay), status)
	m.makeOptions(options)
	m.makeNodes(nodes, status)
	m.makeResources(resources)
	for range 1 + m.IntN(5) {
		m.constrain(constraints)
	}
	m.makeTickets(constraints, status)
	for _, p := range m.prims {
		m.makeHistory(p)
	}
	return root
}

func (m *maker) makeOptions(options *node) {
	m.fencing = m.chance(50)
	pairs := []string{"stonith-enabled", strconv.FormatBool(m.fencing)}
	if m.chance(15) {
		pairs = append(pairs, "symmetric-cluster", "false")
	}
	if m.lenient = m.chance(20); m.lenient {
		pairs = append(pairs, "start-failure-is-fatal", "false")
	}
	if m.chance(15) {
		pairs = append(pairs, "placement-strategy", m.pick("utilization", "minimal", "balanced"))
	}
	if m.chance(10) {
		pairs = append(pairs, "node-health-strategy", m.pick("only-green", "migrate-on-red", "progressive", "custom"), "node-health-yellow", "-10", "node-health-green", m.pick("0", "10"))
	}
	options.add(m.set("cluster_property_set", pairs...))
	options.children[0].needed = true
}

func (m *maker) makeNodes(nodes, status *node) {
	for i := range 2 + m.IntN(3) {
		id := strconv.Itoa(i + 1)
		name := "n" + id
		m.nodes = append(m.nodes, name)
		pairs := []string{"site", m.pick("a", "b")}
		if m.chance(12) {
			pairs = append(pairs, "standby", "on")
		}
		if m.chance(4) {
			pairs = append(pairs, "maintenance", "true")
		}
		if m.chance(10) {
			pairs = append(pairs, "#health-disk", m.pick("red", "yellow", "green", "-5"))
		}
		n := elem("node", "id", id, "uname", name).add(m.set("instance_attributes", pairs...), m.set("utilization", "memory", m.pick("2", "3", "8")))
		n.needed = true
		nodes.add(n)
		m.up[name] = i == 0 || m.chance(88)
		s := elem("node_state", "id", id, "uname", name, "in_ccm", "true", "crmd", "online", "join", "member", "expected", "member")
		if !m.up[name] {
			s = elem("node_state", "id", id, "uname", name, "in_ccm", "false", "crmd", "offline", "join", "down", "expected", m.pick("down", "member"))
		}
		m.lrm[name], m.attrs[name] = elem("lrm_resources"), m.set("instance_attributes")
		m.lrm[name].needed, s.needed, m.state[name] = true, true, s
		lrm := elem("lrm", "id", id).add(m.lrm[name])
		lrm.needed = true
		transient := elem("transient_attributes", "id", id).add(m.attrs[name])
		transient.needed, m.attrs[name].needed = true, true
		status.add(s.add(transient, lrm))
	}
}

func (m *maker) primitive(id string, in *thing) (*thing, *node) {
	t := &thing{id: id, kind: "primitive", clone: in}
	var meta []string
	maybe := func(percent int, name string, values ...string) {
		if m.chance(percent) {
			meta = append(meta, name, m.pick(values...))
		}
	}
	maybe(30, "resource-stickiness", "1", "100", "INFINITY")
	maybe(20, "priority", "1", "10", "5")
	maybe(5, "target-role", "Stopped", "Started")
	maybe(4, "is-managed", "false")
	maybe(20, "migration-threshold", "1", "3")
	maybe(6, "critical", "false")
	maybe(8, "multiple-active", "stop_only", "block", "stop_unexpected")
	maybe(5, "requires", "nothing", "quorum")
	if in == nil && m.chance(25) { // here instances of clones are not migrated
		meta = append(meta, "allow-migrate", "true")
	}
	n := elem("primitive", "id", id, "class", "ocf", "provider", "pacemaker", "type", "Dummy").add(m.set("meta_attributes", meta...))
	if m.chance(20) {
		n.add(m.set("utilization", "memory", m.pick("1", "2")))
	}
	ops := elem("operations")
	monitor := elem("op", "id", m.id(), "name", "monitor", "interval", "10s")
	if m.chance(25) {
		on := []string{"ignore", "block", "stop", "standby", "restart"}
		if m.fencing {
			on = append(on, "fence")
		}
		monitor.attrs = append(monitor.attrs, "on-fail", m.pick(on...))
	}
	ops.add(monitor)
	if m.chance(10) {
		ops.add(elem("op", "id", m.id(), "name", "stop", "interval", "0", "timeout", "20s", "on-fail", m.pick("block", "ignore")))
	}
	m.prims = append(m.prims, t)
	return t, n.add(ops)
}

func (m *maker) group(id string, in *thing) (*thing, *node) {
	t := &thing{id: id, kind: "group"}
	n := elem("group", "id", id)
	if m.chance(20) {
		n.add(m.set("meta_attributes", m.pick("resource-stickiness", "priority"), m.pick("1", "10", "100")))
	}
	for i := range 2 + m.IntN(2) {
		p, x := m.primitive(fmt.Sprintf("%sm%d", id, i+1), in)
		t.parts = append(t.parts, p)
		n.add(x)
	}
	return t, n
}

func (m *maker) makeResources(resources *node) {
	for i := range 2 + m.IntN(4) {
		id := "r" + strconv.Itoa(i+1)
		var t *thing
		var n *node
		switch k := m.IntN(10); {
		case k < 5:
			t, n = m.primitive(id, nil)
		case k < 7:
			t, n = m.group(id, nil)
		default:
			t, n = m.clone(id)
		}
		m.top = append(m.top, t)
		resources.add(n)
	}
	if m.fencing { // a device, which stays out of the placement
		device := elem("primitive", "id", "fencing", "class", "stonith", "type", "fence_ipmilan").add(m.set("meta_attributes", "target-role", "Stopped"))
		device.needed, device.children[0].needed, device.children[0].children[0].needed = true, true, true
		m.prims = append(m.prims, &thing{id: "fencing", kind: "primitive", fences: true})
		resources.add(device)
	}
}

func (m *maker) clone(id string) (*thing, *node) {
	t := &thing{id: id, kind: "clone"}
	var meta []string
	maybe := func(percent int, name string, values ...string) {
		if m.chance(percent) {
			meta = append(meta, name, m.pick(values...))
		}
	}
	maybe(50, "interleave", "true")
	maybe(20, "clone-max", "1", "2", "3")
	maybe(10, "clone-min", "1", "2")
	maybe(10, "ordered", "true")
	if m.chance(45) {
		t.kind = "promotable"
		meta = append(meta, "promotable", "true")
		maybe(15, "promoted-max", "2")
	}
	n := elem("clone", "id", id).add(m.set("meta_attributes", meta...))
	n.children[0].needed = true
	if m.chance(25) {
		g, x := m.group(id+"g", t)
		t.parts = append(t.parts, g)
		return t, n.add(x)
	}
	p, x := m.primitive(id+"p", t)
	t.parts = append(t.parts, p)
	return t, n.add(x)
}

// role of a thing that a constraint names; none for most.
func (m *maker) role(t *thing) string {
	if t.kind == "promotable" && m.chance(50) {
		return m.pick("Promoted", "Promoted", "Unpromoted", "Started")
	}
	return ""
}

func (m *maker) any() *thing { return m.top[m.IntN(len(m.top))] }

// two are two things in the order in which they are configured: constraints that go in
// circles have no right answer.
func (m *maker) two() (a, b *thing) {
	i, k := m.IntN(len(m.top)), m.IntN(len(m.top))
	return m.top[min(i, k)], m.top[max(i, k)]
}

func (m *maker) constrain(constraints *node) {
	a, b := m.two()
	optional := func(n *node, percent int, name string, values ...string) {
		if m.chance(percent) {
			n.attrs = append(n.attrs, name, m.pick(values...))
		}
	}
	switch m.IntN(12) {
	case 0, 1, 2:
		n := elem("rsc_location", "id", m.id(), "rsc", a.id)
		if m.chance(30) {
			rule := elem("rule", "id", m.id(), "score", m.score())
			if role := m.role(a); role != "" {
				rule.attrs = append(rule.attrs, "role", role)
			}
			rule.add(elem("expression", "id", m.id(), "attribute", "site", "operation", m.pick("eq", "ne"), "value", "a"))
			rule.children[0].needed = true
			constraints.add(n.add(rule))
			return
		}
		n.attrs = append(n.attrs, "node", m.nodes[m.IntN(len(m.nodes))], "score", m.score())
		if role := m.role(a); role != "" && role != "Unpromoted" {
			n.attrs = append(n.attrs, "role", role)
		}
		constraints.add(n)
	case 3, 4, 5, 6:
		if a == b {
			return
		}
		n := elem("rsc_colocation", "id", m.id(), "rsc", b.id, "with-rsc", a.id, "score", m.score())
		if role := m.role(b); role != "" {
			n.attrs = append(n.attrs, "rsc-role", role)
		}
		if role := m.role(a); role != "" {
			n.attrs = append(n.attrs, "with-rsc-role", role)
		}
		optional(n, 10, "node-attribute", "site")
		optional(n, 15, "influence", "false")
		constraints.add(n)
	case 7, 8, 9:
		if a == b {
			return
		}
		n := elem("rsc_order", "id", m.id(), "first", a.id, "then", b.id)
		if a.kind == "promotable" {
			optional(n, 50, "first-action", "promote", "promote", "demote", "start")
		} else {
			optional(n, 10, "first-action", "start", "stop")
		}
		if b.kind == "promotable" {
			optional(n, 40, "then-action", "promote", "start")
		} else {
			optional(n, 40, "then-action", "start")
		}
		optional(n, 30, "kind", "Optional", "Serialize", "Mandatory")
		optional(n, 10, "symmetrical", "false")
		optional(n, 10, "require-all", "false")
		constraints.add(n)
	case 10:
		n := elem("rsc_order", "id", m.id())
		optional(n, 20, "kind", "Optional")
		constraints.add(m.sets(n, true))
	case 11:
		constraints.add(m.sets(elem("rsc_colocation", "id", m.id(), "score", m.pick("INFINITY", "100", "-INFINITY")), false))
	}
}

// sets puts different resources into one or two sets of a constraint.
func (m *maker) sets(n *node, order bool) *node {
	var of []*thing
	for _, t := range m.top {
		if m.chance(70) {
			of = append(of, t)
		}
	}
	if len(of) < 2 {
		of = m.top[:2]
	}
	cut := 1 + m.IntN(len(of)-1)
	parts := [][]*thing{of[:cut], of[cut:]}
	if !order { // the first set is to be where the second is
		slices.Reverse(parts)
	}
	for i, part := range parts {
		s := elem("resource_set", "id", m.id())
		if m.chance(40) {
			s.attrs = append(s.attrs, "sequential", "false")
			if order && i == 0 && m.chance(50) {
				s.attrs = append(s.attrs, "require-all", "false")
			}
		}
		promotes := true
		for _, t := range part {
			promotes = promotes && t.kind == "promotable"
			s.add(elem("resource_ref", "id", t.id))
		}
		if promotes && m.chance(50) {
			if order {
				s.attrs = append(s.attrs, "action", "promote")
			} else {
				s.attrs = append(s.attrs, "role", "Promoted")
			}
		}
		n.add(s)
	}
	return n
}

func (m *maker) makeTickets(constraints, status *node) {
	if !m.chance(15) {
		return
	}
	t := m.any()
	n := elem("rsc_ticket", "id", m.id(), "rsc", t.id, "ticket", "T", "loss-policy", m.pick("stop", "demote", "fence", "freeze"))
	if t.kind == "promotable" && m.chance(60) {
		n.attrs = append(n.attrs, "rsc-role", "Promoted")
	}
	constraints.add(n)
	if state := elem("ticket_state", "id", "T", "granted", m.pick("true", "false")); m.chance(70) {
		if m.chance(15) {
			state.attrs = append(state.attrs, "standby", "true")
		}
		tickets := elem("tickets").add(state)
		status.add(tickets)
	}
}

// makeHistory decides where a primitive runs, and writes what the nodes know of it.
func (m *maker) makeHistory(p *thing) {
	var on []string
	for _, n := range m.nodes {
		if !p.fences && (p.clone != nil && m.chance(65) || p.clone == nil && len(on) == 0 && m.chance(45) || p.clone == nil && m.chance(1)) {
			on = append(on, n)
		}
	}
	promoted := ""
	if p.clone != nil && p.clone.kind == "promotable" {
		for _, n := range on {
			if m.chance(60) {
				m.attrs[n].add(elem("nvpair", "id", m.id(), "name", "master-"+p.id, "value", m.pick("5", "10", "100", "-1")))
			}
			if promoted == "" && m.chance(35) {
				promoted = n
			}
		}
	}
	for _, n := range m.nodes {
		if m.chance(2) {
			continue // nothing is known
		}
		r := elem("lrm_resource", "id", p.id, "class", "ocf", "provider", "pacemaker", "type", "Dummy")
		if p.fences {
			r = elem("lrm_resource", "id", p.id, "class", "stonith", "type", "fence_ipmilan")
		}
		runs := false
		for _, x := range on {
			runs = runs || x == n
		}
		switch {
		case len(on) == 0 && !p.fences && m.chance(2):
			r.add(m.result(p.id, "stop", 1, 0, 0, n))
			m.fail(p, n, "stop_0")
		case !runs && !p.fences && m.chance(3):
			r.add(m.result(p.id, "start", 1, 0, 0, n))
			m.fail(p, n, "start_0")
		case !runs:
			r.add(m.result(p.id, "monitor", 7, 7, 0, n))
		default:
			r.add(m.result(p.id, "start", 0, 0, 0, n))
			rc := 0
			if promoted == n {
				r.children = nil
				r.add(m.result(p.id, "promote", 0, 0, 0, n))
				rc = 8
			}
			if p.fences || m.chance(20) {
				break
			}
			if m.chance(10) {
				r.add(m.result(p.id, "monitor", 1, rc, 10000, n))
				m.fail(p, n, "monitor_10000")
				break
			}
			r.add(m.result(p.id, "monitor", rc, rc, 10000, n))
		}
		m.lrm[n].add(r)
	}
}

func (m *maker) fail(p *thing, n, op string) {
	count := m.pick("1", "2")
	if op == "stop_0" || op == "start_0" && !m.lenient {
		count = "INFINITY"
	}
	m.attrs[n].add(elem("nvpair", "id", m.id(), "name", "fail-count-"+p.id+"#"+op, "value", count),
		elem("nvpair", "id", m.id(), "name", "last-failure-"+p.id+"#"+op, "value", "1748779000"))
}

func (m *maker) result(rsc, op string, rc, expected, interval int, on string) *node {
	m.call++
	call := strconv.Itoa(m.call)
	key := fmt.Sprintf("%s:1:%d:aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", call, expected)
	id := rsc + "_last_0"
	switch {
	case interval > 0:
		id = fmt.Sprintf("%s_monitor_%d", rsc, interval)
	case rc != expected:
		id = rsc + "_last_failure_0"
	}
	digest := "f2317cad3d54cec5d7d7aa7d0bf35cf8" // of no parameters
	if interval > 0 {
		digest = "4811cef7f7f94e3a35a70be7916cb2fd" // with the default time-out
	}
	return elem("lrm_rsc_op", "op-digest", digest, "id", id, "operation_key", fmt.Sprintf("%s_%s_%d", rsc, op, interval), "operation", op, "crm_feature_set", "3.16.2",
		"transition-key", key, "transition-magic", fmt.Sprintf("0:%d;%s", rc, key), "on_node", on, "call-id", call, "rc-code", strconv.Itoa(rc),
		"op-status", map[bool]string{true: "0", false: "4"}[rc == expected], "interval", strconv.Itoa(interval), "last-rc-change", "1748779000", "exec-time", "1", "queue-time", "0")
}
