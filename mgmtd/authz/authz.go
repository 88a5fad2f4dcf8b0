// Package authz says who may do what: a function of the configuration's roles and
// bindings, with no clock and no I/O.
//
// Access is by role. A role is a list of rules, each of which allows or denies
// actions on objects; a binding gives it to users and groups, for the whole cluster
// or for some of its resources and nodes. What no rule allows is denied, and a rule
// that denies overrides every one that allows. Built-in roles, actions and kinds of
// objects stand in engine/cib, next to the configuration that names them; casbin
// evaluates the rules.
//
// An [Enforcer] never changes. Make a new one from each generation of the
// configuration and swap it in:
//
//	e, err := authz.New(snapshot.Config)
//	d := e.Can(authz.Subject{User: "anna", Groups: groups}, "stop", "resource/web")
//
// A change is asked for twice: with [Enforcer.Can] before it is simulated, and with
// [Enforcer.CanChange], which sees each object that the simulation says would
// change. The commit must then expect the generation that was simulated.
package authz

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"github.com/belay-ha/belay/engine/cib"
)

// Subject is who asks, as authentication found out.
type Subject struct {
	User   string
	Groups []string // as the name service gives them, at log-in
	// Only, unless nil, are the roles that may be used, as far as they are held: what
	// an API token is limited to. What is denied stays denied.
	Only []string
	// BreakGlass is root at the engine's socket: it may do everything, and everything
	// is recorded.
	BreakGlass bool
}

// Decision says whether something is allowed, and why: for the answer and for the
// audit log.
type Decision struct {
	Allowed bool
	Rule    string // the rule that decided, "admin: operate, configure on *"; "" where none did
	Reason  string // in words
}

// RuleBreakGlass is the rule of what root does at the engine's socket.
const RuleBreakGlass = "break-glass"

// rules is casbin's model. What a rule covers, and what a binding is limited to, is
// compiled once by New and asked by the two functions; no pattern that somebody
// wrote is ever a regular expression.
const rules = `
[request_definition]
r = holds, act, obj, uses
[policy_definition]
p = role, acts, objs, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = applies(r.holds, p.role, p.eft, r.act, r.obj, r.uses) && covers(p.acts, p.objs, r.act, r.obj)
`

// Enforcer decides by one generation of the configuration. It is safe for concurrent
// use.
type Enforcer struct {
	config   *cib.Config
	casbin   *casbin.Enforcer
	bindings []*binding
	parts    map[string][]string // group or clone to the resources in it
}

// binding is one binding with its role's closure.
type binding struct {
	id       string
	doc      *cib.RoleBinding
	includes map[string]bool // the role itself and all that it includes
	duties   []cib.Duty
	scope    map[string]bool // resources by name, with what groups and clones contain
}

// New makes the enforcer of a configuration. The error names a rule that can't be
// read; a configuration that passed validation has none.
func New(c *cib.Config) (*Enforcer, error) {
	e := &Enforcer{config: c, parts: map[string][]string{}}
	for id, r := range c.Resources {
		e.parts[id] = slices.Clone(r.Group)
		if r.Clone != nil {
			e.parts[id] = append(e.parts[id], r.Clone.Resource)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.RoleBindings)) {
		b := c.RoleBindings[id]
		x := &binding{id: id, doc: b, includes: map[string]bool{}, duties: c.Duties(b.Role), scope: map[string]bool{}}
		e.include(x.includes, b.Role)
		for _, pattern := range b.Resources {
			for rid := range c.Resources {
				if cib.Matches(pattern, rid) {
					e.contain(x.scope, rid)
				}
			}
		}
		e.bindings = append(e.bindings, x)
	}
	return e, e.compile()
}

func (e *Enforcer) include(in map[string]bool, role string) {
	r := e.config.AccessRoleOf(role)
	if r == nil || in[role] {
		return
	}
	in[role] = true
	for _, i := range r.Includes {
		e.include(in, i)
	}
}

func (e *Enforcer) contain(in map[string]bool, resource string) {
	if in[resource] {
		return
	}
	in[resource] = true
	for _, m := range e.parts[resource] {
		e.contain(in, m)
	}
}

// compile gives casbin the rules of every role.
func (e *Enforcer) compile() error {
	m, err := model.NewModelFromString(rules)
	if err != nil {
		return fmt.Errorf("read the model of the rules: %w", err)
	}
	if e.casbin, err = casbin.NewEnforcer(m); err != nil {
		return fmt.Errorf("make an enforcer: %w", err)
	}
	compiled := map[[2]string]*cib.AccessRule{}
	add := func(name string, r *cib.AccessRole) error {
		for i := range r.Rules {
			rule := &r.Rules[i]
			acts, objs := strings.Join(rule.Actions, ", "), strings.Join(rule.Objects, ", ")
			compiled[[2]string{acts, objs}] = rule
			effect := "allow"
			if rule.Deny {
				effect = "deny"
			}
			if _, err := e.casbin.AddPolicy(name, acts, objs, effect); err != nil {
				return fmt.Errorf("role %s, rule %d: %w", name, i, err)
			}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(cib.BuiltinRoles)) {
		if err := add(name, cib.BuiltinRoles[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.config.Roles)) {
		if err := add(name, e.config.Roles[name]); err != nil {
			return err
		}
	}
	e.casbin.AddFunction("applies", func(a ...any) (any, error) {
		h := a[0].(*held) //nolint:forcetypeassert // the matcher above passes these, here and below
		role, effect, action, object, uses := a[1].(string), a[2].(string), a[3].(string), a[4].(string), a[5].([]string)
		bindings := h.all
		if effect == "allow" {
			if h.only != nil && !h.only[role] {
				return false, nil
			}
			bindings = h.counting
		}
		return slices.ContainsFunc(bindings, func(b *binding) bool { return b.includes[role] && b.within(action, object, uses) }), nil
	})
	e.casbin.AddFunction("covers", func(a ...any) (any, error) {
		rule := compiled[[2]string{a[0].(string), a[1].(string)}] //nolint:forcetypeassert // as above
		return rule != nil && rule.Covers(a[2].(string), a[3].(string)), nil
	})
	return nil
}

// within says whether an action on an object is inside of what the binding is
// limited to. uses are resources that it is about, too, such as those that a
// constraint names.
func (b *binding) within(action, object string, uses []string) bool {
	if !b.doc.Scoped() || action == "read" || action == "simulate" {
		return true
	}
	kind, id, _ := strings.Cut(object, "/")
	switch kind {
	case "node":
		return slices.ContainsFunc(b.doc.Nodes, func(p string) bool { return cib.Matches(p, id) })
	case "resource":
		if !b.mayTouch(id) {
			return false
		}
	case "constraint":
		if len(uses) == 0 {
			return false
		}
	default:
		return false
	}
	return !slices.ContainsFunc(uses, func(r string) bool { return !b.mayTouch(r) })
}

func (b *binding) mayTouch(resource string) bool {
	return b.scope[resource] || slices.ContainsFunc(b.doc.Resources, func(p string) bool { return cib.Matches(p, resource) })
}

// holds says whether a binding names the subject.
func (b *binding) holds(s *Subject) bool {
	return s.User != "" && slices.Contains(b.doc.Users, s.User) ||
		slices.ContainsFunc(b.doc.Groups, func(g string) bool { return slices.Contains(s.Groups, g) })
}

// Held is what a subject holds.
type Held struct {
	Roles    []string // names of roles, sorted
	Bindings []string // through these
	// Conflict says which duties are in one hand that should not be; the roles that
	// bring them count for nothing until somebody takes one away.
	Conflict string
}

// Held returns the roles of a subject.
func (e *Enforcer) Held(s Subject) Held {
	found := e.held(&s)
	h := Held{Conflict: found.conflict, Roles: []string{}, Bindings: []string{}}
	for _, b := range found.counting {
		h.Roles, h.Bindings = append(h.Roles, b.doc.Role), append(h.Bindings, b.id)
	}
	slices.Sort(h.Roles)
	h.Roles = slices.Compact(h.Roles)
	return h
}

// held is what a subject holds, for the matcher.
type held struct {
	all      []*binding      // what they deny counts always
	counting []*binding      // what they allow counts
	only     map[string]bool // roles that a token is limited to, with what they include; nil: no limit
	conflict string
}

func (e *Enforcer) held(s *Subject) *held {
	h := &held{}
	var duties []cib.Duty
	for _, b := range e.bindings {
		if b.holds(s) {
			h.all = append(h.all, b)
			if b.doc.Exception == "" {
				duties = append(duties, b.duties...)
			}
		}
	}
	h.counting = h.all
	if h.conflict = cib.Conflict(duties); h.conflict != "" {
		h.counting = slices.DeleteFunc(slices.Clone(h.all), func(b *binding) bool {
			return b.doc.Exception == "" && slices.ContainsFunc(b.duties, func(d cib.Duty) bool { return d != cib.DutyRead })
		})
	}
	if s.Only != nil {
		h.only = map[string]bool{}
		for _, role := range s.Only {
			e.include(h.only, role)
		}
	}
	return h
}

// Can says whether the subject may do the action on the object: "stop",
// "resource/web". Actions stand in [cib.AccessActions]; an object is kind/name, or
// the kind alone for "cluster" and "audit".
func (e *Enforcer) Can(s Subject, action, object string) Decision {
	var uses []string
	if kind, id, _ := strings.Cut(object, "/"); kind == "constraint" {
		uses = constrained(e.config.Constraints[id])
	}
	return e.can(&s, action, object, uses)
}

func (e *Enforcer) can(s *Subject, action, object string, uses []string) Decision {
	if s.BreakGlass {
		return Decision{Allowed: true, Rule: RuleBreakGlass, Reason: "root at the engine's socket may do everything"}
	}
	h := e.held(s)
	if len(h.counting) == 0 {
		d := Decision{Reason: s.User + " holds no role"}
		if h.conflict != "" {
			d.Reason = fmt.Sprintf("the roles of %s count for nothing: %s", s.User, h.conflict)
		}
		return d
	}
	ok, line, err := e.casbin.EnforceEx(h, action, object, uses)
	switch {
	case err != nil:
		return Decision{Reason: fmt.Sprintf("%s of %s can't be decided: %v", action, object, err)} // only a defect of the model
	case ok:
		return Decision{Allowed: true, Rule: ruleText(line), Reason: "role " + line[0] + " allows " + action + " of " + object}
	case len(line) > 0:
		return Decision{Rule: ruleText(line), Reason: "role " + line[0] + " denies " + action + " of " + object}
	}
	d := Decision{Reason: fmt.Sprintf("no role of %s (%s) allows %s of %s", s.User, strings.Join(e.Held(*s).Roles, ", "), action, object)}
	if h.only != nil {
		d.Reason = fmt.Sprintf("the token of %s is limited to %s: %s of %s is not allowed", s.User, strings.Join(s.Only, ", "), action, object)
	}
	if h.conflict != "" {
		d.Reason += "; other roles count for nothing: " + h.conflict
	}
	return d
}

func ruleText(line []string) string {
	text := line[0] + ": " + line[1] + " on " + line[2]
	if line[3] == "deny" {
		text = line[0] + ": deny " + line[1] + " on " + line[2]
	}
	return text
}
