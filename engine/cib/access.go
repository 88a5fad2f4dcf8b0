package cib

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Duty is a kind of power over the cluster. Nobody holds two of those that change
// or judge it, unless an exception is written down: who changes the cluster, who
// says who may, and who looks at what was done are three people.
type Duty string

// The duties.
const (
	DutyRead     Duty = "read"     // look at the cluster
	DutyChange   Duty = "change"   // operate or configure it
	DutySecurity Duty = "security" // say who may do what, and what the audit log keeps
	DutyAudit    Duty = "audit"    // read, verify and export the audit log
)

// AccessSet is a named set of actions, for rules.
type AccessSet string

// The sets of actions. [AccessActions] says what is in which.
const (
	SetRead      AccessSet = "read"
	SetOperate   AccessSet = "operate"
	SetConfigure AccessSet = "configure"
)

// AccessAction is something that a role can allow.
type AccessAction struct {
	Name string
	Set  AccessSet // "": in none
	Text string
}

// AccessActions lists every action that roles can allow: those of a change at the
// engine's socket, and those that only the management daemon knows.
var AccessActions = []AccessAction{
	{"read", SetRead, "see an object, its state and history, and be told of changes"},
	{"simulate", SetRead, "see what a change would do, without making it"},

	{"start", SetOperate, "want a resource started"},
	{"stop", SetOperate, "want a resource stopped"},
	{"restart", SetOperate, "stop a resource and start it again"},
	{"move", SetOperate, "move a resource"},
	{"manage", SetOperate, "let the cluster manage a resource again"},
	{"unmanage", SetOperate, "leave a resource as it is"},
	{"maintenance-on", SetOperate, "leave the cluster, a node or a resource alone"},
	{"maintenance-off", SetOperate, "end maintenance"},
	{"standby", SetOperate, "move everything off a node"},
	{"online", SetOperate, "let a node host resources again"},
	{"cleanup", SetOperate, "forget failures and look again"},
	{"refresh", SetOperate, "forget everything known and look again"},
	{"drain", SetOperate, "drain a node and let it leave"},
	{"fence", SetOperate, "fence a node"},
	{"attribute", SetOperate, "set an attribute of a node"},
	{"acknowledge", SetOperate, "acknowledge an alarm"},
	{"test-notify", SetOperate, "send a test to everybody who gets notifications"},
	{"approve", SetOperate, "agree, as a second person, to a risky change of somebody else"},

	{"create", SetConfigure, "create an object"},
	{"update", SetConfigure, "replace an object"},
	{"patch", SetConfigure, "change fields of an object"},
	{"delete", SetConfigure, "delete an object"},
	{"apply", SetConfigure, "replace or merge the whole configuration; each object that it changes is looked at, too"},
	{"rollback", SetConfigure, "return to an earlier configuration; each object that it changes is looked at, too"},
	{"voter", SetConfigure, "give a node a vote or take it"},
	{"join", SetConfigure, "make a token that lets a node join"},
	{"remove", SetConfigure, "remove a node from the cluster"},
	{"fence-confirm", SetConfigure, "confirm by hand that a node is dead"},
	{"backup", SetConfigure, "back the store up"},
	{"log-level", SetConfigure, "set what an engine logs"},
	{"report", SetConfigure, "collect logs and state for support"},

	{"verify", "", "verify the audit log"},
	{"export", "", "export the audit log"},
}

// accessKind is what can stand before the slash of an object in a rule.
type accessKind struct {
	name string
	duty Duty // of who may do more than read; of audit: of who may read
}

var accessKinds = []accessKind{
	{"cluster", DutyChange},
	{"node", DutyChange},
	{"resource", DutyChange},
	{"constraint", DutyChange},
	{"fence-device", DutyChange},
	{"fence-topology", DutyChange},
	{"quorum-device", DutyChange},
	{"ticket", DutyChange},
	{"remote-node", DutyChange},
	{"snmp-target", DutyChange},
	{"snmp-user", DutySecurity}, // lets somebody read without a log-in
	{"cim-filter", DutyChange},
	{"cim-destination", DutyChange},
	{"cim-subscription", DutyChange},
	{"webhook", DutyChange},
	{"mail-target", DutyChange},
	{"generation", DutyChange},
	{"event", DutyChange},
	{"alarm", DutyChange},
	{"job", DutyChange},
	{"agent", DutyChange},
	{"metrics", DutyChange},
	{"subscription", DutyChange},
	{"role", DutySecurity},
	{"role-binding", DutySecurity},
	{"audit-rule", DutySecurity},
	{"audit-key", DutySecurity},
	{"session", DutySecurity},
	{"api-token", DutySecurity},
	{"audit", DutyAudit},
}

// AccessKinds lists what can stand before the slash of an object in a rule.
func AccessKinds() []string {
	out := make([]string, len(accessKinds))
	for i, k := range accessKinds {
		out[i] = k.name
	}
	return out
}

// AccessRole is a role beside the built-in ones. Its name is the key.
type AccessRole struct {
	Description string       `json:"description,omitempty"`
	Includes    []string     `json:"includes,omitempty"` // roles whose rules it has, too
	Rules       []AccessRule `json:"rules,omitempty"`
}

// AccessRule allows or denies actions on objects. One that denies overrides every
// one that allows, whatever role they are in.
type AccessRule struct {
	Actions []string `json:"actions"`        // actions, or sets of them: read, operate, configure; * is every action
	Objects []string `json:"objects"`        // kind/name, where * stands for any text: resource/web, resource/db-*, node/*; * is everything but what is about roles, SNMP users, sessions and the audit log
	Deny    bool     `json:"deny,omitempty"` // default: it allows
}

// RoleBinding gives a role to users and groups. Its id is the key.
type RoleBinding struct {
	Description string   `json:"description,omitempty"`
	Role        string   `json:"role"`             // viewer, operator, admin, auditor, security-admin, or one of the section roles
	Users       []string `json:"users,omitempty"`  // names as PAM or a certificate gives them
	Groups      []string `json:"groups,omitempty"` // names of groups as the node's name service gives them
	// Resources and Nodes limit what may be changed to these; default: no limit.
	// A group or clone stands for what is in it, * for any text. What the role
	// lets people read, they may read everywhere.
	Resources []string `json:"resources,omitempty"`
	Nodes     []string `json:"nodes,omitempty"`
	// Exception says why those who hold this may hold what separation of duties
	// forbids them together. Every report shows it.
	Exception string `json:"exception,omitempty"`
}

// Scoped says whether the binding is limited to some resources or nodes.
func (b *RoleBinding) Scoped() bool { return len(b.Resources)+len(b.Nodes) > 0 }

// The built-in roles.
const (
	RoleViewer        = "viewer"
	RoleOperator      = "operator"
	RoleAdmin         = "admin"
	RoleAuditor       = "auditor"
	RoleSecurityAdmin = "security-admin"
)

// BuiltinRoles are the roles of every cluster.
var BuiltinRoles = map[string]*AccessRole{
	RoleViewer: {Description: "sees the cluster, changes nothing", Rules: []AccessRule{
		{Actions: []string{"read"}, Objects: []string{"*", "role/*", "role-binding/*", "audit-rule/*", "snmp-user/*"}},
	}},
	RoleOperator: {Description: "operates what is configured", Includes: []string{RoleViewer}, Rules: []AccessRule{
		{Actions: []string{"operate"}, Objects: []string{"cluster", "node/*", "resource/*", "alarm/*"}},
	}},
	RoleAdmin: {Description: "operates and configures the cluster, but not who may do so", Includes: []string{RoleOperator}, Rules: []AccessRule{
		{Actions: []string{"operate", "configure"}, Objects: []string{"*"}},
	}},
	RoleAuditor: {Description: "reads, verifies and exports the audit log and sees who may do what", Includes: []string{RoleViewer}, Rules: []AccessRule{
		{Actions: []string{"read"}, Objects: []string{"session/*", "api-token/*"}},
		{Actions: []string{"read", "verify", "export"}, Objects: []string{"audit"}},
	}},
	RoleSecurityAdmin: {Description: "says who may do what, but does nothing of it", Includes: []string{RoleViewer}, Rules: []AccessRule{
		{Actions: []string{"read", "create", "update", "patch", "delete", "approve"}, Objects: []string{"role/*", "role-binding/*", "audit-rule/*", "audit-key/*", "snmp-user/*", "session/*", "api-token/*"}},
		{Actions: []string{"apply"}, Objects: []string{"cluster"}},
	}},
}

// DefaultBindings are the bindings of a new cluster: a group for each built-in
// role.
func DefaultBindings() map[string]*RoleBinding {
	out := map[string]*RoleBinding{}
	for role := range BuiltinRoles {
		out[role] = &RoleBinding{Role: role, Groups: []string{"belay-" + role}}
	}
	return out
}

// AccessRoleOf finds a role, built in or configured; nil where there is none.
func (c *Config) AccessRoleOf(name string) *AccessRole {
	if r := BuiltinRoles[name]; r != nil {
		return r
	}
	return c.Roles[name]
}

// AccessRules lists the rules of a role and of those that it includes, with the
// role that each stands in, those of the included first.
func (c *Config) AccessRules(name string) (rules []AccessRule, from []string) {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		r := c.AccessRoleOf(name)
		if r == nil || seen[name] {
			return
		}
		seen[name] = true
		for _, i := range r.Includes {
			visit(i)
		}
		for _, rule := range r.Rules {
			rules, from = append(rules, rule), append(from, name)
		}
	}
	visit(name)
	return rules, from
}

// Covers says whether a rule is about an action on an object.
func (r *AccessRule) Covers(action, object string) bool {
	return r.coversAction(action) && r.coversObject(object)
}

func (r *AccessRule) coversAction(action string) bool {
	for _, a := range r.Actions {
		if a == "*" || a == action {
			return true
		}
		for _, x := range AccessActions {
			if x.Name == action && x.Set != "" && string(x.Set) == a {
				return true
			}
		}
	}
	return false
}

func (r *AccessRule) coversObject(object string) bool {
	kind, id, _ := strings.Cut(object, "/")
	for _, o := range r.Objects {
		if o == "*" {
			if k := findKind(kind); k != nil && k.duty == DutyChange {
				return true
			}
			continue
		}
		k, pattern, named := strings.Cut(o, "/")
		if k == kind && (!named || Matches(pattern, id)) {
			return true
		}
	}
	return false
}

// Matches says whether a name is one that a pattern means: * stands for any text.
func Matches(pattern, name string) bool {
	// path.Match knows more signs than the star, and lets the star end at a slash, which
	// the id of an alarm has.
	const slash = "\x1f"
	ok, err := path.Match(strings.NewReplacer(`\`, `\\`, "?", `\?`, "[", `\[`, "/", slash).Replace(pattern), strings.ReplaceAll(name, "/", slash))
	return ok && err == nil
}

func findKind(name string) *accessKind {
	if i := slices.IndexFunc(accessKinds, func(k accessKind) bool { return k.name == name }); i >= 0 {
		return &accessKinds[i]
	}
	return nil
}

// Duties lists the duties that a role gives, sorted.
func (c *Config) Duties(role string) []Duty {
	found := map[Duty]bool{}
	rules, _ := c.AccessRules(role)
	for _, r := range rules {
		if r.Deny {
			continue
		}
		for _, k := range accessKinds {
			if !slices.ContainsFunc(r.Objects, func(o string) bool {
				kind, _, _ := strings.Cut(o, "/")
				return kind == k.name || o == "*" && k.duty == DutyChange
			}) {
				continue
			}
			for _, a := range AccessActions {
				switch {
				case !r.coversAction(a.Name):
				case k.duty == DutyAudit:
					found[DutyAudit] = true
				case a.Set == SetRead:
					found[DutyRead] = true
				case a.Name == "apply":
					// What it may change is in the rules about the objects.
				default:
					found[k.duty] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Conflict says in words which duties should not be in one hand; "" means that
// they may be.
func Conflict(duties []Duty) string {
	var apart []string
	for _, d := range slices.Compact(slices.Sorted(slices.Values(duties))) {
		if d != DutyRead {
			apart = append(apart, string(d))
		}
	}
	if len(apart) < 2 {
		return ""
	}
	return strings.Join(apart, " and ") + " are duties of different people"
}

// access checks roles and their bindings.
func (v *validator) access() {
	for _, name := range slices.Sorted(maps.Keys(v.c.Roles)) {
		v.accessRole(name, v.c.Roles[name])
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.RoleBindings)) {
		v.roleBinding(id, v.c.RoleBindings[id])
	}
	v.separation()
}

func (v *validator) accessRole(name string, r *AccessRole) {
	p := join("roles", name, false)
	v.id(p, name, IDMax)
	if !v.present(p, r != nil) {
		return
	}
	if BuiltinRoles[name] != nil {
		v.fault(p, "is a built-in role: choose another name, and include %s in it", name)
	}
	for i, in := range r.Includes {
		at := fmt.Sprintf("%s.includes[%d]", p, i)
		v.accessRoleRef(at, in)
		if v.includes(in, name, map[string]bool{}) {
			v.fault(at, "%s includes %s: a role cannot include itself", in, name)
		}
	}
	for i := range r.Rules {
		v.accessRule(fmt.Sprintf("%s.rules[%d]", p, i), &r.Rules[i])
	}
}

func (v *validator) includes(role, wanted string, seen map[string]bool) bool {
	if role == wanted {
		return true
	}
	r := v.c.AccessRoleOf(role)
	if r == nil || seen[role] {
		return false
	}
	seen[role] = true
	return slices.ContainsFunc(r.Includes, func(in string) bool { return v.includes(in, wanted, seen) })
}

func (v *validator) accessRoleRef(path, name string) {
	if v.c.AccessRoleOf(name) == nil {
		known := slices.Concat(slices.Sorted(maps.Keys(BuiltinRoles)), slices.Sorted(maps.Keys(v.c.Roles)))
		v.fault(path, "there is no role %q%s", shorten(name), similar(name, known))
	}
}

func (v *validator) accessRule(p string, r *AccessRule) {
	actions := []string{"*", string(SetRead), string(SetOperate), string(SetConfigure)}
	for _, a := range AccessActions {
		actions = append(actions, a.Name)
	}
	if len(r.Actions) == 0 {
		v.fault(p+".actions", "is empty: the rule would mean nothing")
	}
	for i, a := range r.Actions {
		if !slices.Contains(actions, a) {
			v.fault(fmt.Sprintf("%s.actions[%d]", p, i), "%q is no action%s", shorten(a), similar(a, actions))
		}
	}
	if len(r.Objects) == 0 {
		v.fault(p+".objects", "is empty: the rule would mean nothing")
	}
	for i, o := range r.Objects {
		kind, _, _ := strings.Cut(o, "/")
		if o != "*" && findKind(kind) == nil {
			v.fault(fmt.Sprintf("%s.objects[%d]", p, i), "%q is no kind of object%s", shorten(kind), similar(kind, AccessKinds()))
		}
	}
}

func (v *validator) roleBinding(id string, b *RoleBinding) {
	p := join("role-bindings", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, b != nil) {
		return
	}
	v.accessRoleRef(p+".role", b.Role)
	if len(b.Users)+len(b.Groups) == 0 {
		v.fault(p, "gives the role to nobody: name users or groups")
	}
	names := func(what string, list []string) {
		for i, n := range list {
			if n == "" || len(n) > IDMax || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r == 127 || r == '/' }) {
				v.fault(fmt.Sprintf("%s.%s[%d]", p, what, i), "%q is not the name of a user or group", shorten(n))
			}
		}
	}
	names("users", b.Users)
	names("groups", b.Groups)
	for i, n := range b.Nodes {
		if !strings.Contains(n, "*") {
			v.nodeRef(fmt.Sprintf("%s.nodes[%d]", p, i), n)
		}
	}
	for i, r := range b.Resources {
		if !strings.Contains(r, "*") {
			v.resourceRef(fmt.Sprintf("%s.resources[%d]", p, i), r)
		}
	}
	if duties := v.c.Duties(b.Role); b.Scoped() && (slices.Contains(duties, DutyAudit) || slices.Contains(duties, DutySecurity)) {
		v.fault(p, "role %s cannot be limited to resources or nodes: roles and the audit log are the whole cluster's", b.Role)
	}
}

// separation finds users and groups that hold duties of different people, without
// an exception on each binding that gives them one. Who is in which group is known
// at log-in only, and looked at then.
func (v *validator) separation() {
	type held struct {
		duties []Duty
		roles  []string
		last   string
	}
	holders := map[string]*held{}
	for _, id := range slices.Sorted(maps.Keys(v.c.RoleBindings)) {
		b := v.c.RoleBindings[id]
		if b == nil || b.Exception != "" {
			continue
		}
		var principals []string
		for _, u := range b.Users {
			principals = append(principals, "user "+u)
		}
		for _, g := range b.Groups {
			principals = append(principals, "group "+g)
		}
		for _, who := range slices.Compact(slices.Sorted(slices.Values(principals))) {
			h := holders[who]
			if h == nil {
				h = &held{}
				holders[who] = h
			}
			h.duties = append(h.duties, v.c.Duties(b.Role)...)
			h.roles = append(h.roles, b.Role)
			h.last = join("role-bindings", id, false)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(holders)) {
		h := holders[who]
		if text := Conflict(h.duties); text != "" {
			v.fault(h.last, "%s would hold %s: %s. Take one away, or write down why in exception", who, strings.Join(h.roles, " and "), text)
		}
	}
}
