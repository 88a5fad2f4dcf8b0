package cib

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// containment checks groups and clones: what they hold exists, may be held, and
// is held once.
func (v *validator) containment() {
	for _, id := range sortedResources(v.c) {
		r, p := v.c.Resources[id], join("resources", id, false)
		for i, m := range r.Group {
			at := fmt.Sprintf("%s.group[%d]", p, i)
			if slices.Contains(r.Group[:i], m) {
				v.fault(at, "%s stands twice in the group", m)
				continue
			}
			if !v.resourceRef(at, m) {
				continue
			}
			if k := v.c.Resources[m].Kind(); k != KindPrimitive {
				v.fault(at, "%s is a %s; a group holds primitives only", m, k)
			}
			v.heldOnce(at, m, id)
		}
		if r.Bundle != nil && r.Bundle.Resource != "" {
			at, inner := p+".bundle.resource", r.Bundle.Resource
			if v.resourceRef(at, inner) {
				if k := v.c.Resources[inner].Kind(); k != KindPrimitive {
					v.fault(at, "%s is a %s; a bundle holds a primitive", inner, k)
				}
				v.heldOnce(at, inner, id)
			}
		}
		if r.Clone == nil {
			continue
		}
		at, inner := p+".clone.resource", r.Clone.Resource
		if !v.resourceRef(at, inner) {
			continue
		}
		if k := v.c.Resources[inner].Kind(); k != KindPrimitive && k != KindGroup {
			v.fault(at, "%s is a clone itself; a clone holds a primitive or a group", inner)
		}
		v.heldOnce(at, inner, id)
	}
}

func (v *validator) heldOnce(path, child, parent string) {
	if other := v.parent[child]; other != parent {
		v.fault(path, "%s belongs to %s already: a resource is in one group, clone or bundle only", child, other)
	}
}

func sortedResources(c *Config) []string {
	out := make([]string, 0, len(c.Resources))
	for id, r := range c.Resources {
		if r != nil {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// promotable says whether the resource is in a promotable clone, or is one.
func (v *validator) promotable(id string) bool {
	for range 3 { // primitive, group, clone
		r := v.c.Resources[id]
		if r == nil {
			return false
		}
		if r.Kind() == KindPromotable || r.Bundle != nil && r.Bundle.PromotedMax > 0 {
			return true
		}
		if id = v.parent[id]; id == "" {
			return false
		}
	}
	return false
}

func (v *validator) resource(id string, r *Resource) {
	p := join("resources", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, r != nil) {
		return
	}
	if len(r.Description) > ValueMax {
		v.fault(p+".description", "is too long: at most %d bytes", ValueMax)
	}
	var kinds []string
	if r.Agent != "" {
		kinds = append(kinds, "agent")
	}
	if r.Group != nil {
		kinds = append(kinds, "group")
	}
	if r.Clone != nil {
		kinds = append(kinds, "clone")
	}
	if r.Bundle != nil {
		kinds = append(kinds, "bundle")
	}
	switch len(kinds) {
	case 0:
		v.fault(p, "says nothing to run: give it one of agent, group, clone and bundle")
		return
	case 1:
	default:
		v.fault(p, "has %s: a resource is only one of them", strings.Join(kinds, " and "))
	}
	v.meta(p+".meta", &r.Meta)
	if r.Meta.TargetRole == RolePromoted && !v.promotable(id) {
		v.fault(p+".meta.target-role", "Promoted fits promotable clones only, and %s is none", id)
	}
	v.irreparable(p, r)
	v.inside(p, id, r)
	if r.Agent != "" {
		v.primitive(p, id, r)
		return
	}
	kind := r.Kind()
	if len(r.Parameters) > 0 {
		v.fault(p+".parameters", "a %s has no agent to give parameters to: set them on its primitives", kind)
	}
	if len(r.Operations) > 0 {
		v.fault(p+".operations", "a %s has no agent of its own: configure operations on its primitives", kind)
	}
	if len(r.Utilization) > 0 {
		v.fault(p+".utilization", "is counted on primitives only: set it there")
	}
	if r.Group != nil && len(r.Group) == 0 {
		v.fault(p+".group", "a group needs at least one member")
	}
	if len(r.Group) > GroupMax {
		v.fault(p+".group", "%d members; at most %d are possible", len(r.Group), GroupMax)
	}
	if r.Clone != nil {
		v.clone(p+".clone", r.Clone)
	}
	if r.Bundle != nil {
		v.bundle(p+".bundle", r.Bundle)
	}
}

// irreparable refuses resources whose data may be lost for ever where nothing
// could fence a node.
func (v *validator) irreparable(path string, r *Resource) {
	if r.Meta.Data != "irreparable" {
		return
	}
	switch {
	case !v.c.Cluster.Options.Fencing():
		v.fault(path+".meta.data", "irreparable data needs fencing, but fencing-required is false")
	case len(v.c.FenceDevices) == 0:
		v.fault(path+".meta.data", "irreparable data needs fencing, but there is no fence device")
	}
}

// agentPart checks the name of an agent or provider: it becomes part of a path.
func agentPart(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) && r != '.' && r != '@' && r != '\\' })
}

// agentClasses are the classes of resource agents; true: with a provider.
var agentClasses = []struct {
	name     string
	provider bool
}{{"ocf", true}, {"systemd", false}, {"lsb", false}, {"service", false}, {"container", false}, {"vm", false}, {"belay", false}}

// agentFault says what is wrong with the name of a resource agent, or "".
func agentFault(name string) string {
	parts := strings.Split(name, ":")
	class := parts[0]
	if class == "stonith" || class == "fence" || strings.HasPrefix(name, "fence_") {
		return fmt.Sprintf("%q is a fence agent: configure it under fence-devices", shorten(name))
	}
	for _, c := range agentClasses {
		if c.name != class {
			continue
		}
		switch {
		case c.provider && len(parts) != 3:
			return fmt.Sprintf("%q needs class, provider and type, such as ocf:heartbeat:IPaddr2", shorten(name))
		case !c.provider && len(parts) != 2:
			return fmt.Sprintf("%q needs class and type, such as %s:NAME", shorten(name), class)
		}
		for _, part := range parts[1:] {
			if !agentPart(part) {
				return fmt.Sprintf("%q has a part that is no name: %q", shorten(name), shorten(part))
			}
		}
		return ""
	}
	names := make([]string, len(agentClasses))
	for i, c := range agentClasses {
		names[i] = c.name
	}
	return fmt.Sprintf("%q has no known class: write class:provider:type (ocf:heartbeat:IPaddr2) or class:type (systemd:nginx); classes are %s", shorten(name), strings.Join(names, ", "))
}

func (v *validator) primitive(p, id string, r *Resource) {
	if text := agentFault(r.Agent); text != "" {
		v.fault(p+".agent", "%s", text)
	}
	v.values(p+".parameters", r.Parameters, false)
	v.utilization(p+".utilization", r.Utilization)
	type key struct {
		name     string
		interval Duration
	}
	seen := map[key]int{}
	for i := range r.Operations {
		op := &r.Operations[i]
		at := fmt.Sprintf("%s.operations[%d]", p, i)
		if first, twice := seen[key{op.Name, op.Interval}]; twice {
			v.fault(at, "%s with interval %s stands at operations[%d] already: give it another interval, or remove one", op.Name, op.Interval, first)
		} else {
			seen[key{op.Name, op.Interval}] = i
		}
		v.operation(at, id, op)
	}
}

// operations that may be configured.
var operations = []string{OpStart, OpStop, OpMonitor, OpPromote, OpDemote, OpNotify, OpMigrateTo, OpMigrateFrom, "reload", OpReload, "validate-all", "meta-data"}

func (v *validator) operation(at, id string, op *Operation) {
	if !slices.Contains(operations, op.Name) {
		v.fault(at+".name", "%q is not an operation: one of %s", shorten(op.Name), strings.Join(operations, ", "))
		return
	}
	if op.Interval != 0 {
		if op.Name != OpMonitor {
			v.fault(at+".interval", "only a monitor recurs; %s has no interval", op.Name)
		} else {
			v.between(at+".interval", op.Interval.D(), 100*time.Millisecond, 30*day)
		}
	}
	v.zeroOr(at+".timeout", op.Timeout, time.Millisecond, day)
	v.zeroOr(at+".start-delay", op.StartDelay, 0, hour)
	v.values(at+".parameters", op.Parameters, false)
	if enum(v, at+".role", Roles, op.Role) {
		switch {
		case op.Role == 0:
		case op.Name != OpMonitor:
			v.fault(at+".role", "only a monitor has a role")
		case op.Role == RoleUnknown:
			v.fault(at+".role", "Unknown is nothing to wait for")
		}
	}
	if !enum(v, at+".on-fail", OnFails, op.OnFail) {
		return
	}
	switch op.OnFail {
	case OnFailDemote:
		if op.Name != OpPromote && (op.Name != OpMonitor || op.Role != RolePromoted) {
			v.fault(at+".on-fail", "demote fits promote and a monitor with role Promoted only")
		}
	case OnFailRestart, OnFailStop, OnFailStandby, OnFailRestartContainer:
		if op.Name == OpStop {
			v.fault(at+".on-fail", "%s cannot answer a failed stop, since it needs one: choose fence, block or ignore", op.OnFail)
		}
	case OnFailDefault, OnFailIgnore, OnFailBlock, OnFailFence:
	}
	if op.OnFail == OnFailDemote && !v.promotable(id) {
		v.fault(at+".on-fail", "demote fits resources of a promotable clone only, and %s is not in one", id)
	}
}

func (v *validator) meta(p string, m *Meta) {
	if enum(v, p+".target-role", Roles, m.TargetRole) && m.TargetRole == RoleUnknown {
		v.fault(p+".target-role", "Unknown cannot be wanted: choose Started, Stopped, Unpromoted or Promoted")
	}
	enum(v, p+".multiple-active", MultipleActives, m.MultipleActive)
	v.oneOf(p+".requires", m.Requires, "fencing", "quorum", "nothing", "unfencing")
	v.oneOf(p+".data", m.Data, "irreparable")
	if m.Priority != nil {
		v.score(p+".priority", *m.Priority)
	}
	if m.Stickiness != nil {
		v.score(p+".resource-stickiness", *m.Stickiness)
	}
	if m.MigrationThreshold != nil {
		v.number(p+".migration-threshold", *m.MigrationThreshold, int(Infinity))
	}
	v.optional(p+".failure-timeout", m.FailureTimeout, 0, 365*day)
}

func (v *validator) clone(p string, c *Clone) {
	const most = 10_000
	if c.Max != nil {
		v.number(p+".clone-max", *c.Max, most)
		if c.Min > *c.Max {
			v.fault(p+".clone-min", "%d is more than clone-max (%d): what depends on it could never run", c.Min, *c.Max)
		}
	}
	v.number(p+".clone-node-max", c.NodeMax, most)
	v.number(p+".clone-min", c.Min, most)
	v.number(p+".promoted-node-max", c.PromotedNodeMax, most)
	if c.PromotedMax != nil {
		v.number(p+".promoted-max", *c.PromotedMax, most)
	}
	if c.NodeMax > 1 && !c.GloballyUnique {
		v.fault(p+".clone-node-max", "%d instances on one node need globally-unique: true, or nobody could tell them apart", c.NodeMax)
	}
	if !c.Promotable && c.PromotedMax != nil {
		v.fault(p+".promoted-max", "only a promotable clone has promoted instances: set promotable to true")
	}
	if !c.Promotable && c.PromotedNodeMax != 0 {
		v.fault(p+".promoted-node-max", "only a promotable clone has promoted instances: set promotable to true")
	}
}

func (v *validator) constraint(id string, c *Constraint) {
	p := join("constraints", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, c != nil) {
		return
	}
	n := 0
	for _, set := range []bool{c.Location != nil, c.Colocation != nil, c.Order != nil, c.Ticket != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		v.fault(p, "has %d kinds: a constraint is exactly one of location, colocation, order and ticket", n)
	}
	if c.Location != nil {
		v.location(p+".location", c.Location)
	}
	if c.Colocation != nil {
		v.colocation(p+".colocation", c.Colocation)
	}
	if c.Order != nil {
		v.order(p+".order", c.Order)
	}
	if c.Ticket != nil {
		v.ticket(p+".ticket", c.Ticket)
	}
}

// role checks the role of a resource in a constraint.
func (v *validator) role(path string, role Role, id string) {
	if role == 0 || !enum(v, path, Roles, role) {
		return
	}
	switch role {
	case RoleUnknown, RoleStopped:
		v.fault(path, "%s is no role that can be placed: choose Started, Unpromoted or Promoted", role)
	case RolePromoted, RoleUnpromoted:
		if v.c.Resources[id] != nil && !v.promotable(id) {
			v.fault(path, "%s fits promotable clones only, and %s is none", role, id)
		}
	case RoleStarted:
	}
}

func (v *validator) location(p string, l *Location) {
	switch {
	case l.Pattern == "":
		v.resourceRef(p+".resource", l.Resource)
	case l.Resource != "":
		v.fault(p, "has a resource and a resource-pattern: choose one")
	case l.UntilReached:
		v.fault(p+".until-reached", "needs a resource")
	default:
		if _, _, err := l.compile(); err != nil {
			v.fault(p+".resource-pattern", "is no regular expression: %v", err)
		}
	}
	v.score(p+".score", l.Score)
	v.role(p+".role", l.Role, l.Resource)
	v.oneOf(p+".resource-discovery", l.Discovery, "always", "never", "exclusive")
	if l.ScoreAttribute != "" {
		v.values(p+".score-attribute", map[string]string{l.ScoreAttribute: ""}, false)
		if l.Rule == nil {
			v.fault(p+".score-attribute", "fits a rule only: with a node, give the score")
		}
		if l.Score != 0 {
			v.fault(p+".score", "the score is in the attribute %s: leave it out", l.ScoreAttribute)
		}
	}
	switch {
	case l.Node != "" && l.Rule != nil:
		v.fault(p, "has a node and a rule: choose one")
	case l.Node == "" && l.Rule == nil:
		v.fault(p, "names no node and has no rule")
	case l.Node != "":
		v.nodeRef(p+".node", l.Node)
	case l.UntilReached:
		v.fault(p+".until-reached", "needs a node")
	}
	if l.Rule == nil {
		return
	}
	v.rule(p+".rule", l.Rule, ofLocation, 0)
}

func (v *validator) expression(p string, e *Expression) {
	if e.Attribute == "" {
		v.fault(p+".attribute", "names no node attribute")
	}
	if e.Operation == "" {
		v.fault(p+".operation", "is not set: one of eq, ne, lt, gt, lte, gte, defined, not_defined")
	}
	v.oneOf(p+".operation", e.Operation, "eq", "ne", "lt", "gt", "lte", "gte", "defined", "not_defined")
	v.oneOf(p+".type", e.Type, "string", "integer", "number", "version")
	v.oneOf(p+".value-source", e.Source, "literal", "param")
	defined := e.Operation == "defined" || e.Operation == "not_defined"
	switch {
	case e.Source == "param":
		if e.Value == "" || defined {
			v.fault(p+".value", "with value-source param, name the parameter that is compared")
		}
	case defined && e.Value != "":
		v.fault(p+".value", "%s compares with nothing: remove the value", e.Operation)
	case defined:
	case e.Type == "integer":
		if _, err := strconv.ParseInt(e.Value, 10, 64); err != nil {
			v.fault(p+".value", "%q is not a whole number", shorten(e.Value))
		}
	case e.Type == "number":
		if _, err := strconv.ParseFloat(e.Value, 64); err != nil {
			v.fault(p+".value", "%q is not a number", shorten(e.Value))
		}
	}
}

func (v *validator) colocation(p string, c *Colocation) {
	ok := v.resourceRef(p+".resource", c.Resource)
	ok = v.resourceRef(p+".with", c.With) && ok
	v.score(p+".score", c.Score)
	v.role(p+".role", c.Role, c.Resource)
	v.role(p+".with-role", c.WithRole, c.With)
	if c.NodeAttribute != "" {
		v.values(p+".node-attribute", map[string]string{c.NodeAttribute: ""}, false)
	}
	if ok {
		v.strangers(p+".with", "colocated with", c.Resource, c.With)
	}
}

// strangers refuses constraints between a resource and itself, or what holds it.
func (v *validator) strangers(path, what, a, b string) {
	switch {
	case a == b:
		v.fault(path, "%s cannot be %s itself", a, what)
	case v.holds(a, b):
		v.fault(path, "%s cannot be %s %s, which is inside it", a, what, b)
	case v.holds(b, a):
		v.fault(path, "%s cannot be %s %s, which it is inside of", a, what, b)
	}
}

// related says whether one is the other or inside of it.
func (v *validator) related(a, b string) bool { return a == b || v.holds(a, b) || v.holds(b, a) }

func (v *validator) holds(outer, inner string) bool {
	for range 3 {
		if inner = v.parent[inner]; inner == outer {
			return true
		}
	}
	return false
}

var orderActions = []string{OpStart, OpStop, OpPromote, OpDemote}

func (v *validator) order(p string, o *Order) {
	ok := v.resourceRef(p+".first", o.First)
	ok = v.resourceRef(p+".then", o.Then) && ok
	enum(v, p+".kind", OrderKinds, o.Kind)
	for _, x := range []struct{ path, action, id string }{{p + ".first-action", o.FirstAction, o.First}, {p + ".then-action", o.ThenAction, o.Then}} {
		v.oneOf(x.path, x.action, orderActions...)
		if (x.action == OpPromote || x.action == OpDemote) && v.c.Resources[x.id] != nil && !v.promotable(x.id) {
			v.fault(x.path, "%s fits promotable clones only, and %s is none", x.action, x.id)
		}
	}
	if o.Alternative != "" {
		v.id(p+".alternative", o.Alternative, IDMax)
		if o.Kind == OrderOptional || o.Kind == OrderSerialize {
			v.fault(p+".alternative", "one of several is enough where they are needed: it fits Mandatory orders only")
		}
	}
	if o.Kind == OrderSerialize && o.Symmetrical != nil && *o.Symmetrical {
		v.fault(p+".symmetrical", "Serialize has no direction: leave symmetrical out")
	}
	if ok {
		v.strangers(p+".then", "ordered after", o.First, o.Then)
	}
}

func (v *validator) ticket(p string, t *TicketConstraint) {
	v.resourceRef(p+".resource", t.Resource)
	if v.c.Tickets[t.Ticket] == nil {
		v.fault(p+".ticket", "there is no ticket %q", shorten(t.Ticket))
	}
	v.role(p+".role", t.Role, t.Resource)
	v.oneOf(p+".loss-policy", t.LossPolicy, "stop", "demote", "fence", "freeze")
	if t.LossPolicy == "demote" && v.c.Resources[t.Resource] != nil && !v.promotable(t.Resource) {
		v.fault(p+".loss-policy", "demote fits promotable clones only, and %s is none", t.Resource)
	}
}
