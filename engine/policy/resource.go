package policy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// instancesMax bounds the instances of one clone: a number typed by mistake
// must not take the memory.
const instancesMax = 10_000

// rsc is one element of the resource tree: a primitive, group or clone, or the
// copy of a primitive or group that is one instance of a clone.
type rsc struct {
	index    int32
	id       string // "web"; of an instance of a clone, and of what is in it, "web:0"
	base     string // id in the configuration
	cfg      *cib.Resource
	kind     cib.Kind
	parent   *rsc
	clone    *rsc // the clone it is an instance of, or is in an instance of
	children []*rsc
	number   int // of the instance of the clone; -1 outside of clones
	settings settings

	// Of primitives only.
	ledger   *ledger   // what the nodes know of it
	active   []*fact   // where it is or may be active; of an anonymous instance at most one
	transfer *transfer // a migration that has begun; nil if there is none
	was      *fact     // where it was stopped to be started again, if it is not active; see last.go
	orphan   bool      // in histories, not in the configuration
	agent    string

	fault     string // why the configuration can't be carried out; "" if it can
	faultRule string // id of the constraint at fault

	circle string // the order constraints that make it wait for itself; "" if none

	// By ticket: it must not run, must not be promoted, or is left as it is.
	denied, deniedRule             string
	unpromotable, unpromotableRule string
	frozen, frozenRule             string

	// Of what has to do with remote nodes and bundles; see remote.go, bundle.go.
	connects  int32         // the remote node that it connects; nowhere
	guest     int32         // the guest that is inside of it; nowhere
	container *rsc          // what it is inside of, or connects to
	contains  []*rsc        // what is inside of it, and its connection
	reconnect time.Duration // of a connection: how long it stays down after a failure
	replica   *replica      // of a bundle
	part      part          // of the replica
	replicas  []*replica    // of a bundle

	thisWith []*colocation // it is the dependent
	withThis []*colocation // others depend on where it is
}

// settings are the meta attributes of one resource with all defaults applied.
type settings struct {
	targetRole     cib.Role // Stopped, or 0
	managed        bool
	maintenance    bool
	priority       cib.Score
	stickiness     cib.Score
	stickinessSet  bool
	threshold      int // 0: never
	failureTimeout time.Duration
	multiple       cib.MultipleActive
	critical       bool
	allowUnhealthy bool
	migrates       bool // allow-migrate
	requires       string
	irreparable    bool
}

// pick returns the first value that is set.
func pick[T any](def T, values ...*T) T {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return def
}

// resolve applies inheritance: the resource's own value, its group's, its
// clone's, the cluster's default, the built-in default.
func (u *state) resolve(agent string, own, group, clone *cib.Meta) settings {
	var none cib.Meta
	chain := [4]*cib.Meta{own, &none, &none, u.defaults(agent)}
	if group != nil {
		chain[1] = group
	}
	if clone != nil {
		chain[2] = clone
	}
	a, b, c, d := chain[0], chain[1], chain[2], chain[3]
	out := settings{
		managed:        pick(true, a.Managed, b.Managed, c.Managed, d.Managed),
		maintenance:    u.opt.MaintenanceMode || pick(false, a.Maintenance, b.Maintenance, c.Maintenance, d.Maintenance),
		priority:       pick(0, a.Priority, b.Priority, c.Priority, d.Priority),
		stickiness:     pick(0, a.Stickiness, b.Stickiness, c.Stickiness, d.Stickiness),
		stickinessSet:  a.Stickiness != nil || b.Stickiness != nil || c.Stickiness != nil || d.Stickiness != nil,
		threshold:      pick(int(cib.Infinity), a.MigrationThreshold, b.MigrationThreshold, c.MigrationThreshold, d.MigrationThreshold),
		allowUnhealthy: pick(false, a.AllowUnhealthy, b.AllowUnhealthy, c.AllowUnhealthy, d.AllowUnhealthy),
		critical:       pick(true, a.Critical, b.Critical, c.Critical, d.Critical),
		multiple:       cib.MultipleActiveStopStart,
		migrates:       pick(false, a.AllowMigrate, b.AllowMigrate, c.AllowMigrate, d.AllowMigrate),
	}
	out.failureTimeout = pick(0, a.FailureTimeout, b.FailureTimeout, c.FailureTimeout, d.FailureTimeout).D()
	for i := len(chain) - 1; i >= 0; i-- {
		m := chain[i]
		if m.TargetRole != 0 {
			out.targetRole = m.TargetRole
		}
		if m.MultipleActive != 0 {
			out.multiple = m.MultipleActive
		}
		if m.Requires != "" {
			out.requires = m.Requires
		}
		if m.Data == "irreparable" {
			out.irreparable = true
		}
	}
	if clone != nil && !out.stickinessSet {
		out.stickiness = 1 // as Pacemaker: else instances would be shuffled for nothing
	}
	if out.requires == "" || !u.opt.Fencing() && (out.requires == "fencing" || out.requires == "unfencing") {
		out.requires = "quorum"
		switch {
		case u.unfences:
			out.requires = "unfencing"
		case u.opt.Fencing():
			out.requires = "fencing"
		}
	}
	return out
}

// defaults are the defaults of the resources of an agent, as they hold now.
func (u *state) defaults(agent string) *cib.Meta {
	c := &u.s.Config.Cluster
	if len(c.ResourceDefaultRules) == 0 {
		return &c.ResourceDefaults
	}
	d := u.defaultsOf[agent]
	if d == nil {
		if u.defaultsOf == nil {
			u.defaultsOf = make(map[string]*cib.Meta)
		}
		d = new(c.DefaultsFor(agent, u.defaultsAt))
		u.defaultsOf[agent] = d
	}
	return d
}

// opDefaults are the defaults of an operation, as they hold now.
func (u *state) opDefaults(r *rsc, op string, interval cib.Duration) cib.OpDefaults {
	c := &u.s.Config.Cluster
	if len(c.OpDefaultRules) == 0 {
		return c.OpDefaults
	}
	return c.OpDefaultsFor(cib.Subject{Agent: r.agent, Op: op, Interval: interval}, u.defaultsAt)
}

// unpackResources builds the tree from the configuration.
func (u *state) unpackResources() {
	cfgs := u.s.Config.Resources
	u.byID = make(map[string]*rsc, len(cfgs))
	u.ledgers = make(map[string]*ledger, len(cfgs))
	ids := slices.SortedFunc(maps.Keys(cfgs), func(a, b string) int {
		return cmp.Or(cmp.Compare(position(cfgs[a]), position(cfgs[b])), cmp.Compare(a, b))
	})
	u.parents = make(map[string]string)
	parent := u.parents
	for _, id := range ids {
		for _, child := range childrenOf(cfgs[id]) {
			if _, taken := parent[child]; !taken && child != id && cfgs[child] != nil {
				parent[child] = id
			}
		}
	}
	u.rscs = make([]*rsc, 0, 2*len(cfgs))
	for _, id := range ids {
		if _, inner := parent[id]; inner || cfgs[id] == nil {
			continue
		}
		u.top = append(u.top, u.build(id))
	}
	// What is left contains itself over a detour: it would never be reached.
	for _, id := range ids {
		if u.byID[id] == nil && cfgs[id] != nil && inCircle(id, u.parents) {
			r := u.newRsc(id, id, cfgs[id], nil, -1)
			r.fault = "resource " + id + " contains itself"
			u.byID[id] = r
			u.top = append(u.top, r)
		}
	}
}

func position(r *cib.Resource) int {
	if r == nil {
		return 0
	}
	return r.Position
}

// inCircle reports whether following the parents never ends.
func inCircle(id string, parent map[string]string) bool {
	for range len(parent) + 1 {
		p, ok := parent[id]
		if !ok {
			return false
		}
		id = p
	}
	return true
}

func childrenOf(r *cib.Resource) []string {
	switch {
	case r == nil:
		return nil
	case r.Clone != nil:
		return []string{r.Clone.Resource}
	case r.Bundle != nil && r.Bundle.Resource != "":
		return []string{r.Bundle.Resource}
	}
	return r.Group
}

func (u *state) newRsc(id, base string, cfg *cib.Resource, parent *rsc, number int) *rsc {
	r := &rsc{index: int32(len(u.rscs)), id: id, base: base, cfg: cfg, kind: cfg.Kind(), parent: parent, number: number, agent: cfg.Agent, connects: nowhere, guest: nowhere}
	u.rscs = append(u.rscs, r)
	var group, clone *cib.Meta
	for p := parent; p != nil; p = p.parent {
		switch p.kind {
		case cib.KindGroup:
			group = &p.cfg.Meta
		case cib.KindClone, cib.KindPromotable:
			clone, r.clone = &p.cfg.Meta, p
		case cib.KindBundle:
			if clone != nil {
				clone = &p.cfg.Meta // the clone inside has no settings of its own
			} else {
				group = &p.cfg.Meta
			}
		case cib.KindPrimitive:
		}
	}
	if n := r.restarts(); n > 0 && r.kind == cib.KindPrimitive {
		own := *cfg
		own.Parameters = maps.Clone(cfg.Parameters)
		if own.Parameters == nil {
			own.Parameters = map[string]string{}
		}
		own.Parameters[restartParameter] = strconv.FormatUint(n, 10)
		r.cfg = &own
	}
	r.settings = u.resolve(cfg.Agent, &cfg.Meta, group, clone)
	if cfg.Agent == cib.AgentRemote && cfg.Meta.AllowMigrate == nil {
		r.settings.migrates = true // a connection moves without anybody noticing
	}
	return r
}

// restartParameter is the parameter that an instance is given in which a restart was asked for:
// what was started without it runs with other parameters. Its name is of those that agents
// are given besides their own.
const restartParameter = "CRM_meta_restarts"

// restarts is how often a restart of the resource was asked for, or of what it is in.
func (r *rsc) restarts() uint64 {
	n := uint64(0)
	for p := r; p != nil; p = p.parent {
		n += uint64(p.cfg.Restarts)
	}
	return n
}

// build makes the subtree of a resource without a parent.
func (u *state) build(id string) *rsc {
	cfg := u.s.Config.Resources[id]
	r := u.newRsc(id, id, cfg, nil, -1)
	u.byID[id] = r
	switch r.kind {
	case cib.KindGroup:
		u.addMembers(r, -1, "")
	case cib.KindClone, cib.KindPromotable:
		u.addInstances(r)
	case cib.KindPrimitive:
		u.bind(r, id)
	case cib.KindBundle:
		u.addReplicas(r)
	}
	return r
}

// addMembers makes the members of a group; suffix is ":0" in an instance of a
// clone.
func (u *state) addMembers(g *rsc, number int, suffix string) {
	g.children = make([]*rsc, 0, len(g.cfg.Group))
	for _, m := range g.cfg.Group {
		cfg := u.s.Config.Resources[m]
		if cfg == nil || cfg.Kind() != cib.KindPrimitive || u.parents[m] != g.base {
			g.fault = "group " + g.base + " names " + m + ", " + whyNoChild(cfg, cfg != nil && u.parents[m] != g.base)
			continue
		}
		if slices.ContainsFunc(g.children, func(c *rsc) bool { return c.base == m }) {
			g.fault = "group " + g.base + " names " + m + " twice"
			continue
		}
		c := u.newRsc(m+suffix, m, cfg, g, number)
		g.children = append(g.children, c)
		key := m
		if g.clone != nil && g.clone.unique() {
			key = c.id
		}
		u.bind(c, key)
		if u.byID[m] == nil {
			u.byID[m] = c
		}
	}
}

func whyNoChild(cfg *cib.Resource, elsewhere bool) string {
	switch {
	case cfg == nil:
		return "which does not exist"
	case elsewhere:
		return "which is in another group or clone"
	}
	return "which cannot be inside of it"
}

// unique reports whether the instances of a clone differ.
func (r *rsc) unique() bool { return r.cfg.Clone != nil && r.cfg.Clone.GloballyUnique }

// nodeMax is clone-node-max; instances of an anonymous clone are the same, so
// that a second one on a node would be the first one.
func (r *rsc) nodeMax() int {
	if r.kind == cib.KindBundle {
		return r.cfg.Bundle.PerHost()
	}
	if !r.unique() {
		return 1
	}
	return max(1, r.cfg.Clone.NodeMax)
}

// cloneMax is clone-max; of an anonymous clone, whose instances are the same, at
// most one for each node.
func (u *state) cloneMax(r *rsc) int {
	if r.kind == cib.KindBundle {
		return len(r.replicas)
	}
	if b := r.bundle(); b != nil {
		return len(b.replicas)
	}
	hosts := 0
	for i := range u.nodes {
		if u.nodes[i].hosts() {
			hosts++
		}
	}
	n := hosts
	if r.cfg.Clone.Max != nil {
		n = *r.cfg.Clone.Max
	}
	if !r.unique() {
		n = min(n, hosts)
	}
	return max(0, min(n, instancesMax))
}

// addInstances makes the instances of a clone.
func (u *state) addInstances(c *rsc) {
	inner := c.cfg.Clone.Resource
	cfg := u.s.Config.Resources[inner]
	if cfg == nil || u.parents[inner] != c.base || cfg.Kind() != cib.KindPrimitive && cfg.Kind() != cib.KindGroup {
		c.fault = "clone " + c.base + " names " + inner + ", " + whyNoChild(cfg, cfg != nil && u.parents[inner] != c.base)
		return
	}
	for i := range u.cloneMax(c) {
		u.addInstance(c, i)
	}
	u.byID[inner] = c // constraints on what is inside of a clone mean the clone
	for _, m := range cfg.Group {
		u.byID[m] = c
	}
	if len(c.children) == 0 { // histories still need to find their resource
		for _, key := range append([]string{inner}, cfg.Group...) {
			if pc := u.s.Config.Resources[key]; pc != nil && pc.Kind() == cib.KindPrimitive && !c.unique() {
				u.ledger(key).clone = c
			}
		}
	}
}

// addInstance makes one more instance of a clone.
func (u *state) addInstance(c *rsc, number int) *rsc {
	inner := c.cfg.Clone.Resource
	suffix := ":" + strconv.Itoa(number)
	r := u.newRsc(inner+suffix, inner, u.s.Config.Resources[inner], c, number)
	c.children = append(c.children, r)
	if r.kind == cib.KindGroup {
		u.addMembers(r, number, suffix)
		return r
	}
	key := inner
	if c.unique() {
		key = r.id
	}
	u.bind(r, key)
	return r
}

// bind connects a primitive with its ledger.
func (u *state) bind(r *rsc, key string) {
	r.ledger = u.ledger(key)
	if r.ledger.rsc == nil {
		r.ledger.rsc = r
	}
	if r.clone != nil && !r.clone.unique() {
		r.ledger.clone = r.clone
	}
	if r.agent == "" {
		r.fault = "resource " + r.base + " has no agent"
	}
}

func (u *state) ledger(key string) *ledger {
	l := u.ledgers[key]
	if l == nil {
		l = &ledger{key: key, index: int32(len(u.byKey)), known: make([]bool, len(u.nodes))}
		u.ledgers[key] = l
		u.byKey = append(u.byKey, l)
	}
	return l
}

// anonymous reports whether the primitive is, or is in, an instance of an
// anonymous clone: its history on a node has no number.
func (r *rsc) anonymous() bool { return r.clone != nil && !r.clone.unique() }

// root is the resource that constraints of the whole apply to: the outermost.
func (r *rsc) root() *rsc {
	for r.parent != nil {
		r = r.parent
	}
	return r
}

// primitives calls f for each primitive in the tree of r.
func (r *rsc) primitives(f func(*rsc)) {
	if r.kind == cib.KindPrimitive {
		f(r)
		return
	}
	for _, c := range r.children {
		c.primitives(f)
	}
}

// brokenBy says why a resource can't be carried out, looking upwards, and by
// which constraint; "" if it can.
func (r *rsc) brokenBy() (reason, rule string) {
	for p := r; p != nil; p = p.parent {
		if p.fault != "" {
			return p.fault, p.faultRule
		}
	}
	return "", ""
}
