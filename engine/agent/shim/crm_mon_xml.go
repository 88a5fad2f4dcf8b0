package shim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// xmlStatus is the body of crm_mon's XML, the same in both of its forms.
func xmlStatus(st *Status) string {
	var x writer
	x.line(1, "<summary>")
	x.element(2, "stack", "type", "belay")
	if st.DC == "" {
		x.element(2, "current_dc", "present", "false")
	} else {
		x.element(2, "current_dc", "present", "true", "version", version+"-belay", "name", st.DC, "id", st.id(st.DC), "with_quorum", st.Quorate, "mixed_version", false)
	}
	x.element(2, "last_update", "time", clock(st.Updated))
	user, _, _ := strings.Cut(st.ChangedBy, " ")
	x.element(2, "last_change", "time", clock(st.Changed), "user", user, "client", "belay", "origin", st.DC)
	x.element(2, "nodes_configured", "number", len(st.Nodes))
	disabled, blocked := tally(st.Resources)
	x.element(2, "resources_configured", "number", len(rawIDs(st.Resources, "")), "disabled", disabled, "blocked", blocked)
	x.element(2, "cluster_options", "stonith-enabled", st.Fencing, "symmetric-cluster", st.Symmetric, "no-quorum-policy", st.NoQuorum, "maintenance-mode", st.Maintained, "stop-all-resources", false)
	x.line(1, "</summary>")

	x.line(1, "<nodes>")
	for _, n := range st.Nodes {
		kind := "member"
		if n.Remote {
			kind = "remote"
		}
		x.element(2, "node", "name", n.Name, "id", n.ID, "online", n.Online, "standby", n.Standby, "standby_onfail", false,
			"maintenance", n.Maintenance, "pending", n.Pending, "unclean", n.Unclean, "health", "green", "shutdown", false,
			"expected_up", n.Online, "is_dc", n.Name == st.DC, "resources_running", n.Running, "type", kind)
	}
	x.line(1, "</nodes>")

	x.line(1, "<resources>")
	for i := range st.Resources {
		x.resource(st, 2, &st.Resources[i])
	}
	x.line(1, "</resources>")
	x.attributes(st)
	x.history(st)
	return x.String()
}

// id is a node's number as text.
func (st *Status) id(node string) string {
	for _, n := range st.Nodes {
		if n.Name == node {
			return strconv.FormatUint(uint64(n.ID), 10)
		}
	}
	return node
}

func tally(list []StatusResource) (disabled, blocked int) {
	for i := range list {
		if list[i].Kind == Primitive {
			disabled += number(list[i].Disabled)
			blocked += number(list[i].Blocked)
		}
		d, b := tally(list[i].Members)
		disabled, blocked = disabled+d, blocked+b
	}
	return disabled, blocked
}

// writer writes indented XML.
type writer struct{ strings.Builder }

func (x *writer) line(depth int, text string) {
	x.WriteString(strings.Repeat("  ", depth) + text + "\n")
}

func tag(name string, pairs ...any) string {
	var text strings.Builder
	text.WriteString("<" + name)
	for i := 0; i+1 < len(pairs); i += 2 {
		text.WriteString(attribute(fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1])))
	}
	return text.String()
}

func (x *writer) element(depth int, name string, pairs ...any) {
	x.line(depth, tag(name, pairs...)+"/>")
}

func (x *writer) resource(st *Status, depth int, r *StatusResource) {
	switch r.Kind {
	case Primitive:
		on := tag("resource", "id", r.ID, "resource_agent", r.Agent, "role", r.Role, "active", active(r), "orphaned", r.Orphaned, "blocked", r.Blocked,
			"managed", r.Managed, "failed", r.Failed, "failure_ignored", false, "nodes_running_on", len(r.Nodes))
		if len(r.Nodes) == 0 {
			x.line(depth, on+"/>")
			return
		}
		x.line(depth, on+">")
		for _, n := range r.Nodes {
			x.element(depth+1, "node", "name", n, "id", st.id(n), "cached", true)
		}
		x.line(depth, "</resource>")
	case Group:
		x.line(depth, tag("group", "id", r.ID, "number_resources", len(r.Members), "managed", r.Managed, "disabled", r.Disabled)+">")
		for i := range r.Members {
			x.resource(st, depth+1, &r.Members[i])
		}
		x.line(depth, "</group>")
	case Clone:
		x.line(depth, tag("clone", "id", r.ID, "multi_state", r.Promoted, "unique", r.Unique, "managed", r.Managed, "disabled", r.Disabled, "failed", r.Failed, "failure_ignored", false)+">")
		for i := range r.Members {
			x.resource(st, depth+1, &r.Members[i])
		}
		x.line(depth, "</clone>")
	}
}

func (x *writer) attributes(st *Status) {
	x.line(1, "<node_attributes>")
	for _, n := range st.Nodes {
		if len(n.Attributes) == 0 {
			continue
		}
		x.line(2, tag("node", "name", n.Name)+">")
		for _, k := range slices.Sorted(maps.Keys(n.Attributes)) {
			x.element(3, "attribute", "name", k, "value", n.Attributes[k])
		}
		x.line(2, "</node>")
	}
	x.line(1, "</node_attributes>")
}

// history groups the operations by node and resource, in the order given.
func (x *writer) history(st *Status) {
	x.line(1, "<node_history>")
	for _, n := range st.Nodes {
		var order []string
		byResource := map[string][]Operation{}
		for _, op := range st.History {
			if op.Node != n.Name || op.Pending {
				continue
			}
			if byResource[op.Resource] == nil {
				order = append(order, op.Resource)
			}
			byResource[op.Resource] = append(byResource[op.Resource], op)
		}
		if len(order) == 0 {
			continue
		}
		x.line(2, tag("node", "name", n.Name)+">")
		for _, id := range order {
			x.line(3, tag("resource_history", "id", id, "orphan", false)+">")
			for _, op := range byResource[id] {
				pairs := []any{"call", op.Call, "task", op.Task, "rc", op.RC, "rc_text", rcText(op.RC)}
				if op.Interval > 0 {
					pairs = append(pairs, "interval", ms(op.Interval))
				}
				pairs = append(pairs, "last-rc-change", clock(op.Changed), "exec-time", ms(op.Exec), "queue-time", ms(op.Queue))
				x.element(4, "operation_history", pairs...)
			}
			x.line(3, "</resource_history>")
		}
		x.line(2, "</node>")
	}
	x.line(1, "</node_history>")
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// rcText is the name of an OCF return code.
func rcText(rc int) string {
	names := map[int]string{
		0: "ok", 1: "error", 2: "invalid parameter", 3: "unimplemented feature", 4: "insufficient privileges", 5: "not installed",
		6: "not configured", 7: "not running", 8: "promoted", 9: "promoted (failed)", 190: "degraded", 191: "promoted (degraded)",
	}
	if n, ok := names[rc]; ok {
		return n
	}
	return "unknown"
}
