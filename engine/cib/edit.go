package cib

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Why an edit is refused. Callers branch on them with errors.Is.
var (
	ErrNotFound = errors.New("no such object")
	ErrExists   = errors.New("object exists")
	ErrInUse    = errors.New("object is in use")
	ErrRequest  = errors.New("not a valid request")
	ErrInvalid  = errors.New("configuration not valid")
)

// EditError says why an edit was refused. Faults name what is wrong in the
// value, or who uses the object.
type EditError struct {
	Cause  error // one of the errors above
	Text   string
	Faults []Fault
}

// Error gives the text and the faults.
func (e *EditError) Error() string {
	texts := []string{e.Text}
	for _, f := range e.Faults {
		texts = append(texts, strings.TrimPrefix(f.Path+": ", ": ")+f.Text)
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives the cause.
func (e *EditError) Unwrap() error { return e.Cause }

func refuse(cause error, format string, args ...any) error {
	return &EditError{Cause: cause, Text: fmt.Sprintf(format, args...)}
}

func invalid(faults []Fault) error {
	text := "the configuration has a fault"
	if len(faults) > 1 {
		text = fmt.Sprintf("the configuration has %d faults", len(faults))
	}
	return &EditError{ErrInvalid, text, faults}
}

// EditRequest is a change as the socket API has it: what to do, to which object
// ("cluster", "resource/web"), and with what.
type EditRequest struct {
	Action string
	Object string
	Value  json.RawMessage
	Merge  bool // apply: a merge patch of the whole configuration (RFC 7396)
}

// editors are the actions that change the configuration. Those of a change that
// are missing here change the state of the cluster only.
var editors = map[string]func(*editor) error{
	"apply":           (*editor).apply,
	"create":          (*editor).create,
	"update":          (*editor).update,
	"patch":           (*editor).patch,
	"delete":          (*editor).delete,
	"start":           (*editor).start,
	"stop":            (*editor).stop,
	"restart":         (*editor).restart,
	"move":            (*editor).move,
	"manage":          func(e *editor) error { return e.managed(true) },
	"unmanage":        func(e *editor) error { return e.managed(false) },
	"maintenance-on":  func(e *editor) error { return e.maintenance(true) },
	"maintenance-off": func(e *editor) error { return e.maintenance(false) },
	"standby":         func(e *editor) error { return e.node(func(n *Node) { n.Standby = true }) },
	"online":          func(e *editor) error { return e.node(func(n *Node) { n.Standby = false }) },
	"voter":           (*editor).voter,
	"remove":          (*editor).remove,
}

// Edits says whether the action changes the configuration.
func Edits(action string) bool { return editors[action] != nil }

// Edit returns the configuration after a change and leaves c as it is. A refusal
// is an [*EditError]. The result is decoded strictly but not validated as a
// whole: that is for [Validate], once, after everything else.
func Edit(c *Config, r EditRequest) (*Config, error) {
	do := editors[r.Action]
	if do == nil {
		return nil, refuse(ErrRequest, "%q does not change the configuration", r.Action)
	}
	e := &editor{old: c, c: c.Clone(), r: r}
	e.kind, e.id, _ = strings.Cut(r.Object, "/")
	if err := do(e); err != nil {
		return nil, err
	}
	out, faults := keepSecrets(e.c, c)
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	return out, nil
}

type editor struct {
	old, c   *Config
	r        EditRequest
	kind, id string
}

// section finds the map that the object is in, and the object.
func (e *editor) section() (section, any, error) {
	for _, s := range sections {
		if s.kind == e.kind {
			if e.id == "" {
				return s, nil, refuse(ErrRequest, "%q names no %s: write %s/NAME", e.r.Object, s.kind, s.kind)
			}
			return s, s.get(e.c, e.id), nil
		}
	}
	return section{}, nil, refuse(ErrRequest, "%q is not an object that %s can change: kinds are cluster, %s", e.r.Object, e.r.Action, strings.Join(ObjectKinds(), ", "))
}

// existing is section for an object that must exist.
func (e *editor) existing() (section, any, error) {
	s, doc, err := e.section()
	if err == nil && doc == nil {
		err = refuse(ErrNotFound, "there is no %s %q%s", s.kind, shorten(e.id), similar(e.id, s.ids(e.c)))
	}
	return s, doc, err
}

func (s *section) ids(c *Config) []string {
	var out []string
	s.each(c, func(id string, _ any) { out = append(out, id) })
	slices.Sort(out)
	return out
}

func (s *section) path(id string) string { return join(s.field, id, false) }

func (e *editor) apply() error {
	if e.r.Object != "" && e.r.Object != "cluster" {
		return refuse(ErrRequest, "apply is about the whole configuration, not about %q", e.r.Object)
	}
	doc := []byte(e.r.Value)
	if e.r.Merge {
		t, faults := parseTree(doc, "")
		if faults = append(faults, removedNodes(t)...); len(faults) > 0 {
			return invalid(faults)
		}
		var err error
		if doc, err = mergePatch(encode(e.old), doc); err != nil {
			return refuse(ErrRequest, "the value is no merge patch: %s", err)
		}
	}
	n, faults := ParseConfig(doc)
	if len(faults) > 0 {
		return invalid(faults)
	}
	e.c = n.Clone()
	faults = e.keepName()
	faults = append(faults, e.keepNodes()...)
	if len(faults) > 0 {
		return invalid(faults)
	}
	e.keepMoves()
	// What agents keep, and who may do what, stays unless the document names it.
	if n.CIMFilters == nil && n.CIMDestinations == nil && n.CIMSubscriptions == nil {
		old := e.old.Clone()
		e.c.CIMFilters, e.c.CIMDestinations, e.c.CIMSubscriptions = old.CIMFilters, old.CIMDestinations, old.CIMSubscriptions
	}
	if n.AuditRules == nil {
		e.c.AuditRules = e.old.Clone().AuditRules
	}
	if n.Roles == nil {
		e.c.Roles = e.old.Clone().Roles
	}
	if n.RoleBindings == nil {
		e.c.RoleBindings = e.old.Clone().RoleBindings
	}
	if e.c.Cluster.Store.Endpoints == nil {
		e.c.Cluster.Store = e.old.Cluster.Store
	}
	if e.c.Cluster.Properties == nil {
		e.c.Cluster.Properties = e.old.Cluster.Properties
	}
	for name, n := range e.c.Nodes {
		if old := e.old.Nodes[name]; old != nil && n.Attributes == nil {
			n.Attributes = old.Attributes
		}
	}
	return nil
}

// removedNodes refuses a merge patch that removes a node.
func removedNodes(patch *tree) []Fault {
	var faults []Fault
	nodes := patch.child("nodes")
	if nodes == nil {
		return nil
	}
	for i, name := range nodes.keys {
		if nodes.values[i].kind == '0' {
			faults = append(faults, Fault{join("nodes", name, false), "belay node remove " + name + " takes a node out of the cluster"})
		}
	}
	return faults
}

// keepMoves keeps what "belay move" left to be removed by itself: it is in no
// file that is applied, and a move under way should not turn round.
func (e *editor) keepMoves() {
	for id, c := range e.old.Constraints {
		if c.Location != nil && c.Location.UntilReached && e.c.Constraints[id] == nil && e.c.Resources[c.Location.Resource] != nil {
			e.c.Constraints[id] = c
		}
	}
}

// keepName keeps the cluster's name: it stands in certificates and in every key.
func (e *editor) keepName() []Fault {
	name := &e.c.Cluster.Name
	if *name == "" {
		*name = e.old.Cluster.Name
	}
	if e.old.Cluster.Name != "" && *name != e.old.Cluster.Name {
		return []Fault{{"cluster.name", fmt.Sprintf("the cluster is named %s, and its name cannot change", e.old.Cluster.Name)}}
	}
	return nil
}

// keepNodes keeps what a node got when it joined. Applying a configuration adds
// no node and removes none: a document without nodes must not end the cluster.
func (e *editor) keepNodes() []Fault {
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(e.c.Nodes)) {
		p := join("nodes", name, false)
		old := e.old.Nodes[name]
		if old == nil {
			faults = append(faults, Fault{p, "is no node of the cluster: nodes are added with belay cluster join on the node itself"})
			continue
		}
		n := *e.c.Nodes[name]
		faults = append(faults, n.keepIdentity(p, old)...)
		e.c.Nodes[name] = &n
	}
	for name, n := range e.old.Nodes {
		if e.c.Nodes[name] == nil {
			e.c.Nodes[name] = n
		}
	}
	return faults
}

// keepIdentity fills in what a document may leave out since only joining,
// removing and giving votes change it, and refuses to change it.
func (n *Node) keepIdentity(p string, old *Node) []Fault {
	var faults []Fault
	fault := func(field, text string) { faults = append(faults, Fault{p + "." + field, text}) }
	fill(&n.ID, old.ID)
	fill(&n.PublicKey, old.PublicKey)
	fill(&n.Ports, old.Ports)
	if n.Addresses == nil {
		n.Addresses = old.Addresses
	}
	if n.ID != old.ID {
		fault("id", fmt.Sprintf("the node has id %d, and it never changes", old.ID))
	}
	if n.PublicKey != old.PublicKey {
		fault("public-key", "the key comes with the node's certificate: leave it out")
	}
	if n.Voter && !old.Voter {
		fault("voter", "votes are given one at a time: belay node voter on")
	}
	if n.Arbiter && !old.Arbiter && !old.Voter {
		fault("arbiter", "an arbiter is a voter: belay node voter on")
	}
	n.Voter = old.Voter
	return faults
}

func (e *editor) create() error {
	s, doc, err := e.section()
	switch {
	case err != nil:
		return err
	case doc != nil:
		return refuse(ErrExists, "%s %s exists", s.kind, e.id)
	case s.kind == "node":
		return refuse(ErrRequest, "nodes are added with belay cluster join on the node itself")
	}
	return e.read(s, e.r.Value)
}

// read replaces the object by a document.
func (e *editor) read(s section, value []byte) error {
	doc, faults := s.read(s.path(e.id), value)
	if n, ok := doc.(*Node); ok && len(faults) == 0 {
		faults = n.keepIdentity(s.path(e.id), e.old.Nodes[e.id])
	}
	if len(faults) > 0 {
		return invalid(faults)
	}
	s.put(e.c, e.id, doc)
	return nil
}

func (e *editor) update() error {
	if e.r.Object == "cluster" {
		return e.readCluster(e.r.Value)
	}
	s, _, err := e.existing()
	if err != nil {
		return err
	}
	return e.read(s, e.r.Value)
}

func (e *editor) readCluster(value []byte) error {
	var cl Cluster
	faults := parse(value, "cluster", &cl)
	if len(faults) == 0 {
		e.c.Cluster = cl
		faults = e.keepName()
	}
	if len(faults) > 0 {
		return invalid(faults)
	}
	return nil
}

func (e *editor) patch() error {
	if e.r.Object == "cluster" {
		doc, err := e.merged("cluster", e.c.Cluster)
		if err != nil {
			return err
		}
		return e.readCluster(doc)
	}
	s, old, err := e.existing()
	if err != nil {
		return err
	}
	doc, err := e.merged(s.path(e.id), old)
	if err != nil {
		return err
	}
	return e.read(s, doc)
}

func (e *editor) merged(path string, old any) ([]byte, error) {
	t, faults := parseTree(e.r.Value, path)
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	if t.kind != '{' {
		return nil, invalid([]Fault{{path, "a patch is a mapping of the fields to change"}})
	}
	doc, err := mergePatch(encode(old), e.r.Value)
	if err != nil {
		return nil, refuse(ErrRequest, "the value is no merge patch: %s", err)
	}
	return doc, nil
}

func (e *editor) delete() error {
	s, _, err := e.existing()
	if err != nil {
		return err
	}
	if s.kind == "node" {
		return refuse(ErrRequest, "belay node remove %s takes a node out of the cluster", e.id)
	}
	s.del(e.c, e.id)
	if s.kind == "resource" {
		e.dropMoves(e.id)
	}
	if users := usersOf(e.c, s.kind, e.id); len(users) > 0 {
		return &EditError{ErrInUse, fmt.Sprintf("%s %s is in use", s.kind, e.id), users}
	}
	return nil
}

// dropMoves removes what "belay move" left to be removed by itself.
func (e *editor) dropMoves(resource string) {
	for id, c := range e.c.Constraints {
		if c.Location != nil && c.Location.UntilReached && c.Location.Resource == resource {
			delete(e.c.Constraints, id)
		}
	}
}

// usersOf lists what refers to an object.
func usersOf(c *Config, kind, id string) []Fault {
	var out []Fault
	use := func(path string, used bool) {
		if used {
			out = append(out, Fault{path, "refers to " + id})
		}
	}
	switch kind {
	case "resource":
		for _, rid := range sortedResources(c) {
			r := c.Resources[rid]
			use(join("resources", rid, false)+".group", slices.Contains(r.Group, id))
			use(join("resources", rid, false)+".clone.resource", r.Clone != nil && r.Clone.Resource == id)
		}
		for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
			x, p := c.Constraints[cid], join("constraints", cid, false)
			use(p+".location", x.Location != nil && x.Location.Resource == id)
			use(p+".colocation", x.Colocation != nil && (x.Colocation.Resource == id || x.Colocation.With == id))
			use(p+".order", x.Order != nil && (x.Order.First == id || x.Order.Then == id))
			use(p+".ticket", x.Ticket != nil && x.Ticket.Resource == id)
		}
	case "fence-device":
		for _, target := range slices.Sorted(maps.Keys(c.FenceTopology)) {
			for i, level := range c.FenceTopology[target].Levels {
				use(fmt.Sprintf("%s.levels[%d]", join("fence-topology", target, false), i), slices.Contains(level, id))
			}
		}
	case "role":
		for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
			use(join("roles", name, false)+".includes", slices.Contains(c.Roles[name].Includes, id))
		}
		for _, bid := range slices.Sorted(maps.Keys(c.RoleBindings)) {
			use(join("role-bindings", bid, false)+".role", c.RoleBindings[bid].Role == id)
		}
	case "snmp-user":
		for _, tid := range slices.Sorted(maps.Keys(c.SNMPTargets)) {
			use(join("snmp-targets", tid, false)+".user", c.SNMPTargets[tid].User == id)
		}
	case "cim-filter", "cim-destination":
		for _, sid := range slices.Sorted(maps.Keys(c.CIMSubscriptions)) {
			s, p := c.CIMSubscriptions[sid], join("cim-subscriptions", sid, false)
			use(p+".filter", kind == "cim-filter" && s.Filter == id)
			use(p+".destination", kind == "cim-destination" && s.Destination == id)
		}
	case "quorum-device":
		for _, tid := range slices.Sorted(maps.Keys(c.Tickets)) {
			use(join("tickets", tid, false)+".arbitrator", c.Tickets[tid].Arbitrator == id)
		}
	case "ticket":
		for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
			x := c.Constraints[cid]
			use(join("constraints", cid, false)+".ticket", x.Ticket != nil && x.Ticket.Ticket == id)
		}
	}
	return out
}

// resource changes a copy of a resource.
func (e *editor) resource(f func(r *Resource)) error {
	if e.kind != "resource" {
		return refuse(ErrRequest, "%s is about a resource: write resource/NAME, not %q", e.r.Action, e.r.Object)
	}
	_, doc, err := e.existing()
	if err != nil {
		return err
	}
	r := *doc.(*Resource)
	f(&r)
	e.c.Resources[e.id] = &r
	return nil
}

// inherited is what the resource would have if it said nothing itself.
func (e *editor) inherited() Meta {
	c := e.c.Clone()
	r := *c.Resources[e.id]
	r.Meta = Meta{}
	c.Resources[e.id] = &r
	return c.MetaOf(e.id, c.Parents(), time.Time{}) // what holds at times only is not relied on
}

func (e *editor) start() error {
	return e.resource(func(r *Resource) {
		// Say nothing where nothing needs to be said: a file that is applied again
		// should find the configuration as it wrote it.
		r.Meta.TargetRole = 0
		if e.inherited().TargetRole == RoleStopped {
			r.Meta.TargetRole = RoleStarted
		}
	})
}

func (e *editor) stop() error {
	return e.resource(func(r *Resource) { r.Meta.TargetRole = RoleStopped })
}

func (e *editor) managed(want bool) error {
	return e.resource(func(r *Resource) {
		in := e.inherited()
		r.Meta.Managed = orNil(want, in.IsManaged())
	})
}

// orNil returns nil where the inherited value is the wanted one already.
func orNil(want, inherited bool) *bool {
	if want == inherited {
		return nil
	}
	return &want
}

func (e *editor) maintenance(on bool) error {
	switch e.kind {
	case "cluster":
		e.c.Cluster.Options.MaintenanceMode = on
		return nil
	case "node":
		return e.node(func(n *Node) { n.Maintenance = on })
	}
	return e.resource(func(r *Resource) {
		in := e.inherited()
		r.Meta.Maintenance = orNil(on, in.InMaintenance())
	})
}

// node changes a copy of a node.
func (e *editor) node(f func(n *Node)) error {
	if e.kind != "node" {
		return refuse(ErrRequest, "%s is about a node: write node/NAME, not %q", e.r.Action, e.r.Object)
	}
	_, doc, err := e.existing()
	if err != nil {
		return err
	}
	n := *doc.(*Node)
	f(&n)
	e.c.Nodes[e.id] = &n
	return nil
}

func (e *editor) voter() error {
	var v struct {
		Voter bool `json:"voter"`
		Votes *int `json:"votes"`
	}
	if faults := parse(e.r.Value, "", &v); len(faults) > 0 {
		return &EditError{ErrRequest, `the value of voter is {"voter": true}, {"voter": true, "votes": 2} or {"voter": false}`, faults}
	}
	return e.node(func(n *Node) {
		n.Voter = v.Voter
		n.Arbiter = n.Arbiter && v.Voter
		switch {
		case v.Votes != nil:
			n.Votes = *v.Votes
		case !v.Voter:
			n.Votes = 0
		}
	})
}

// restart asks for a restart: the policy starts anew what was started before it was
// asked for.
func (e *editor) restart() error {
	return e.resource(func(r *Resource) { r.Restarts++ })
}

// MoveID is the id of the constraint that moves a resource.
func MoveID(resource string) string { return "move-" + resource }

// move adds the constraint that moves a resource once. The value names the node
// to go to, or with "from" the node to leave.
func (e *editor) move() error {
	var to struct {
		Node string `json:"node"`
		From string `json:"from"`
	}
	if len(e.r.Value) > 0 {
		if faults := parse(e.r.Value, "", &to); len(faults) > 0 {
			return &EditError{ErrRequest, `the value of move is {"node": "n2"}, or {"from": "n1"}`, faults}
		}
	}
	if (to.Node == "") == (to.From == "") {
		return refuse(ErrRequest, "move needs the node to go to, or the node to leave, and not both")
	}
	node := to.Node + to.From
	if e.c.Nodes[node] == nil {
		return refuse(ErrNotFound, "there is no node %q%s", shorten(node), similar(node, slices.Sorted(maps.Keys(e.c.Nodes))))
	}
	if err := e.resource(func(*Resource) {}); err != nil {
		return err
	}
	top, parents := e.id, e.c.Parents()
	for range 3 {
		p := parents[top]
		if p == "" {
			break
		}
		top = p
	}
	l := &Location{Resource: top, Node: node, Score: Infinity, UntilReached: true}
	if to.From != "" {
		l.Score = -Infinity
	}
	switch e.c.Resources[top].Kind() {
	case KindPromotable:
		l.Role = RolePromoted
	case KindClone:
		return refuse(ErrRequest, "%s is a clone: its instances run on several nodes already; use standby or a location constraint", top)
	case KindPrimitive, KindGroup, KindBundle:
	}
	e.dropMoves(top)
	e.c.Constraints[MoveID(top)] = &Constraint{Location: l}
	return nil
}

// remove takes a node out, with everything that refers to it.
func (e *editor) remove() error {
	if err := e.node(func(*Node) {}); err != nil {
		return err
	}
	delete(e.c.Nodes, e.id)
	delete(e.c.FenceTopology, e.id)
	for id, c := range e.c.Constraints {
		if c.Location != nil && c.Location.Node == e.id {
			delete(e.c.Constraints, id)
		}
	}
	for id, d := range e.c.FenceDevices {
		if _, ok := d.Targets[e.id]; !ok {
			continue
		}
		n := *d
		n.Targets = maps.Clone(d.Targets)
		delete(n.Targets, e.id)
		e.c.FenceDevices[id] = &n
		if len(n.Targets) == 0 { // which would mean every node
			delete(e.c.FenceDevices, id)
		}
	}
	return nil
}

// mergePatch applies a merge patch (RFC 7396) to a document.
func mergePatch(doc, patch []byte) ([]byte, error) {
	var d, p any
	for _, x := range []struct {
		b []byte
		v *any
	}{{doc, &d}, {patch, &p}} {
		dec := json.NewDecoder(bytes.NewReader(x.b))
		dec.UseNumber()
		if err := dec.Decode(x.v); err != nil {
			return nil, err
		}
	}
	return json.Marshal(merge(d, p))
}

// merge is MergePatch of RFC 7396, section 2.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = merge(t[k], v)
		}
	}
	return t
}
