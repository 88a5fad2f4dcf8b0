package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/status"
)

// The Pacemaker tools that agents call ask the engine here; package shim is their
// side. Agents may run as other users than root: the token of their run, which
// ends with it, lets them write transient attributes, and nothing else.

// agentRun is one run of an agent.
type agentRun struct {
	cancel   context.CancelFunc
	resource string
	token    string
}

// newRun keeps a run under its number, with a token that nobody can guess.
func (e *engine) newRun(number uint64, resource string, cancel context.CancelFunc) *agentRun {
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	r := &agentRun{cancel: cancel, resource: resource, token: fmt.Sprintf("%d.%s", number, hex.EncodeToString(secret))}
	e.runs.Store(number, r)
	return r
}

// runOf finds the run that a token belongs to; nil: none that still runs.
func (e *engine) runOf(token string) *agentRun {
	number, _, _ := strings.Cut(token, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil
	}
	v, _ := e.runs.Load(n)
	r, _ := v.(*agentRun)
	if r == nil || subtle.ConstantTimeCompare([]byte(r.token), []byte(token)) != 1 {
		return nil
	}
	return r
}

// shimRight is what a caller of the tools may do.
type shimRight uint8

const (
	shimNothing    shimRight = iota
	shimRead                 // look
	shimAttributes           // and write transient attributes
	shimAll                  // and change the configuration
)

// rightOf decides what a caller may do: whoever may change the cluster at the
// socket everything, an agent's run its attributes, readers read.
func rightOf(c *caller, run *agentRun) shimRight {
	switch {
	case c == nil:
		return shimNothing
	case c.writes:
		return shimAll
	case run != nil:
		return shimAttributes
	case c.reads:
		return shimRead
	}
	return shimNothing
}

// shimCall is who calls, and may do what.
type shimCall struct {
	right shimRight
	actor api.Actor
}

type shimKey struct{}

// serveShims answers the tools.
func (d *Daemon) serveShims() http.Handler {
	h := shim.Handler(&tools{d})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(actorKey{}).(*caller)
		var run *agentRun
		if e := d.engine.Load(); e != nil {
			run = e.runOf(r.Header.Get(shim.TokenHeader))
		}
		call := shimCall{right: rightOf(c, run)}
		if call.right == shimNothing {
			d.fail(w, api.NewProblem(api.CodeForbidden, "only root, members of the group belay and agents that the engine runs may ask here"))
			return
		}
		call.actor = c.Actor
		if run != nil {
			call.actor = api.Actor{User: "resource/" + run.resource, UID: c.UID, Via: "agent"}
		}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), shimKey{}, call)))
	})
}

// tools is the engine as the tools see it.
type tools struct{ d *Daemon }

// begin finds the engine, its newest snapshot and the caller, who must have the
// right.
func (t *tools) begin(ctx context.Context, need shimRight) (*engine, *cib.Snapshot, api.Actor, error) {
	call, _ := ctx.Value(shimKey{}).(shimCall)
	if call.right < need {
		return nil, nil, call.actor, fmt.Errorf("%w: %s may not change this", shim.ErrDenied, cmp.Or(call.actor.User, "the caller"))
	}
	e := t.d.engine.Load()
	if e == nil {
		return nil, nil, call.actor, fmt.Errorf("%w: this node is in no cluster", shim.ErrUnavailable)
	}
	s, err := e.current()
	return e, s, call.actor, toolError(err)
}

// toolError gives an error of the engine the meaning that it has for the tools.
func toolError(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	for code, kind := range map[string]error{
		api.CodeStore: shim.ErrUnavailable, api.CodeNoQuorum: shim.ErrNoQuorum, api.CodeTimeout: shim.ErrTimeout,
		api.CodeForbidden: shim.ErrDenied, api.CodeExists: shim.ErrExists,
	} {
		if p.Code == code {
			return fmt.Errorf("%w: %s", kind, p.Detail)
		}
	}
	text := []string{p.Detail}
	for _, f := range p.Faults {
		text = append(text, f.Path+": "+f.Text)
	}
	return errors.New(strings.Join(text, "; "))
}

// Local is this node.
func (t *tools) Local(ctx context.Context) (shim.Local, error) {
	e, _, _, err := t.begin(ctx, shimRead)
	if err != nil {
		return shim.Local{}, err
	}
	var quorate bool
	if err := e.ask(ctx, func(n *node.Node) { quorate = n.Quorum().Quorate }); err != nil {
		return shim.Local{}, err
	}
	return shim.Local{Node: e.local.Node, Quorate: quorate}, nil
}

// Nodes are the configured nodes.
func (t *tools) Nodes(ctx context.Context) ([]shim.Node, error) {
	e, s, _, err := t.begin(ctx, shimRead)
	if err != nil {
		return nil, err
	}
	members, err := e.members(ctx, s)
	if err != nil {
		return nil, err
	}
	var out []shim.Node
	for _, name := range sortedKeys(s.Config.Nodes) {
		out = append(out, shim.Node{ID: s.Config.Nodes[name].ID, Name: name, Member: members[name]})
	}
	return out, nil
}

// members are the nodes of this node's partition: the view, as long as there is
// quorum. Without it the view is what was; whom this node hears tells more then.
func (e *engine) members(ctx context.Context, s *cib.Snapshot) (map[string]bool, error) {
	quorate, alive := false, map[string]bool{}
	if err := e.ask(ctx, func(n *node.Node) {
		quorate = n.Quorum().Quorate
		for _, m := range n.Alive(e.clock.now()) {
			alive[m.Node] = true
		}
	}); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for name := range s.Config.Nodes {
		out[name] = s.Status.View.Has(name) && (quorate || alive[name]) || name == e.local.Node
	}
	return out, nil
}

// QueryAttribute finds attributes.
func (t *tools) QueryAttribute(ctx context.Context, q shim.Attribute) ([]shim.Attribute, error) {
	e, s, _, err := t.begin(ctx, shimRead)
	if err != nil {
		return nil, err
	}
	var out []shim.Attribute
	found := func(a shim.Attribute) {
		if q.Name == "" || q.Name == a.Name {
			a.Scope = q.Scope
			out = append(out, a)
		}
	}
	if q.Scope == shim.ScopeCluster {
		clusterProperties(&s.Config.Cluster, func(set, name, value string) {
			if q.Set == "" || q.Set == set {
				found(shim.Attribute{Set: set, Name: name, Value: value})
			}
		})
		return out, nil
	}
	if q.Node != "" && s.Config.Nodes[q.Node] == nil {
		return nil, fmt.Errorf("%w: %s", shim.ErrNoNode, q.Node)
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		if q.Node != "" && q.Node != name {
			continue
		}
		n := s.Config.Nodes[name]
		switch q.Scope {
		case shim.ScopeReboot:
			doc := e.attributesOf(s, name)
			for _, attr := range attributeNames(doc) {
				value, private, _ := lookUp(doc, attr)
				found(shim.Attribute{Node: name, Name: attr, Value: value, Private: private})
			}
		case shim.ScopeForever:
			permanent(n, func(attr, value string) { found(shim.Attribute{Node: name, Name: attr, Value: value}) })
		case shim.ScopeUtilization:
			for _, attr := range sortedKeys(n.Utilization) {
				found(shim.Attribute{Node: name, Name: attr, Value: strconv.Itoa(n.Utilization[attr])})
			}
		case shim.ScopeCluster:
		}
	}
	return out, nil
}

// optionSet is the set of the cluster's options: Pacemaker's name for it.
const optionSet = "cib-bootstrap-options"

// clusterProperties calls f with every option that is set, under Pacemaker's name
// too, and with every property.
func clusterProperties(c *cib.Cluster, f func(set, name, value string)) {
	f(optionSet, "cluster-name", c.Name)
	f(optionSet, "cluster-infrastructure", "belay")
	f(optionSet, "stonith-enabled", strconv.FormatBool(c.Options.Fencing()))
	options := fields(&c.Options)
	for _, name := range sortedKeys(options) {
		f(optionSet, name, options[name])
	}
	for _, set := range sortedKeys(c.Properties) {
		for _, name := range sortedKeys(c.Properties[set]) {
			f(set, name, c.Properties[set][name])
		}
	}
}

// fields gives the fields of a document that are set, as texts.
func fields(doc any) map[string]string {
	var m map[string]any
	b, err := json.Marshal(doc)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	out := map[string]string{}
	if err != nil {
		return out
	}
	for k, v := range m {
		switch v := v.(type) {
		case string:
			out[k] = v
		case bool, float64:
			out[k] = fmt.Sprint(v)
		}
	}
	return out
}

// Node attributes of Pacemaker that are fields here.
const (
	nodeStandby     = "standby"
	nodeMaintenance = "maintenance"
)

// permanent calls f with the permanent attributes of a node.
func permanent(n *cib.Node, f func(name, value string)) {
	for _, name := range sortedKeys(n.Attributes) {
		f(name, n.Attributes[name])
	}
	if n.Standby {
		f(nodeStandby, "on")
	}
	if n.Maintenance {
		f(nodeMaintenance, "true")
	}
}

// SetAttribute sets one attribute.
func (t *tools) SetAttribute(ctx context.Context, a shim.Attribute, dampen time.Duration) error {
	_, err := t.write(ctx, a, dampen, false)
	return err
}

// DeleteAttribute removes one.
func (t *tools) DeleteAttribute(ctx context.Context, a shim.Attribute, dampen time.Duration) (bool, error) {
	return t.write(ctx, a, dampen, true)
}

func (t *tools) write(ctx context.Context, a shim.Attribute, dampen time.Duration, remove bool) (existed bool, err error) {
	need := shimAll
	if a.Scope == shim.ScopeReboot {
		need = shimAttributes
	}
	e, s, actor, err := t.begin(ctx, need)
	if err != nil {
		return false, err
	}
	n := s.Config.Nodes[a.Node]
	if n == nil && a.Scope != shim.ScopeCluster {
		return false, fmt.Errorf("%w: %s", shim.ErrNoNode, a.Node)
	}
	req := &api.Attribute{Node: a.Node, Name: a.Name, Value: a.Value, Delete: remove, Private: a.Private, DampenMs: min(dampen, dampenMax).Milliseconds()}
	if a.Scope != shim.ScopeReboot {
		req.Private, req.DampenMs, req.Permanent = false, 0, true
	}
	if err := checkAttribute(req); err != nil {
		return false, toolError(err)
	}
	switch a.Scope {
	case shim.ScopeReboot:
		existed, err = e.setAttribute(ctx, req)
	case shim.ScopeForever:
		if a.Name == nodeStandby || a.Name == nodeMaintenance {
			return e.setNodeFlag(ctx, actor, n, req)
		}
		existed, err = e.setPermanent(ctx, actor, req)
	case shim.ScopeUtilization:
		if _, existed = n.Utilization[a.Name]; existed || !remove {
			err = e.patch(ctx, actor, "node/"+a.Node, []string{"utilization", a.Name}, a.Value, remove)
		}
	case shim.ScopeCluster:
		existed, err = e.setProperty(ctx, actor, &s.Config.Cluster, a, remove)
	default:
		return false, fmt.Errorf("there are no attributes of kind %q", a.Scope)
	}
	return existed, toolError(err)
}

// setNodeFlag sets standby or maintenance of a node.
func (e *engine) setNodeFlag(ctx context.Context, actor api.Actor, n *cib.Node, a *api.Attribute) (existed bool, err error) {
	want := false
	if !a.Delete {
		if want, err = meta.ParseBool(a.Value); err != nil {
			return false, err
		}
	}
	have, action := n.Standby, map[bool]api.Action{true: api.ActionStandby, false: api.ActionOnline}[want]
	if a.Name == nodeMaintenance {
		have, action = n.Maintenance, map[bool]api.Action{true: api.ActionMaintenanceOn, false: api.ActionMaintenanceOff}[want]
	}
	if have != want {
		_, err = e.change(ctx, actor, &api.Change{Action: action, Object: "node/" + a.Node})
	}
	return have, toolError(err)
}

// setProperty changes an option of the cluster, or a property.
func (e *engine) setProperty(ctx context.Context, actor api.Actor, c *cib.Cluster, a shim.Attribute, remove bool) (existed bool, err error) {
	set := cmp.Or(a.Set, optionSet)
	clusterProperties(c, func(s, name, _ string) { existed = existed || s == set && name == a.Name })
	if remove && !existed {
		return false, nil
	}
	if set == optionSet {
		switch a.Name {
		case "cluster-name", "cluster-infrastructure":
			return existed, api.NewProblem(api.CodeForbidden, a.Name+" does not change")
		case "stonith-enabled":
			a.Name = "fencing-required"
		}
		path := []string{"options", a.Name}
		_, option := fields(&c.Options)[a.Name]
		if option || !remove && e.fits("cluster", path, a.Value) != nil {
			return existed, e.patch(ctx, actor, "cluster", path, a.Value, remove)
		}
	}
	path := []string{"properties", set, a.Name}
	if remove && len(c.Properties[set]) == 1 {
		path = path[:2] // the last one takes its set with it
	}
	return existed, e.patch(ctx, actor, "cluster", path, a.Value, remove)
}

// patch changes one field of an object through the change door. value is text, as
// agents give it; the field may be a number or true or false.
func (e *engine) patch(ctx context.Context, actor api.Actor, object string, path []string, value string, remove bool) error {
	raw := json.RawMessage("null")
	if !remove {
		if raw = e.fits(object, path, value); raw == nil {
			raw, _ = json.Marshal(value) // strings always marshal; the refusal tells what is wrong
		}
	}
	_, err := e.change(ctx, actor, &api.Change{Action: api.ActionPatch, Object: object, Value: nest(path, raw)})
	return err
}

// fits returns a value in the form that the field of an object takes: a text, a
// number, true or false. nil: there is no such field, or the value is none for it.
func (e *engine) fits(object string, path []string, value string) json.RawMessage {
	s := e.snap.Load()
	if s == nil {
		return nil
	}
	text, _ := json.Marshal(value) // strings always marshal
	forms := []json.RawMessage{text}
	if b, err := meta.ParseBool(value); err == nil && value != "" {
		forms = append(forms, json.RawMessage(strconv.FormatBool(b)))
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		forms = append(forms, json.RawMessage(strconv.FormatInt(n, 10)))
	}
	for _, raw := range forms {
		if _, err := cib.Edit(s.Config, cib.EditRequest{Action: string(api.ActionPatch), Object: object, Value: nest(path, raw)}); err == nil {
			return raw
		}
	}
	return nil
}

// nest makes a merge patch of one field.
func nest(path []string, raw json.RawMessage) json.RawMessage {
	for _, name := range slices.Backward(path) {
		raw, _ = json.Marshal(map[string]json.RawMessage{name: raw}) // always valid JSON
	}
	return raw
}

// Status is the state of the cluster.
func (t *tools) Status(ctx context.Context) (*shim.Status, error) {
	e, s, _, err := t.begin(ctx, shimRead)
	if err != nil {
		return nil, err
	}
	local, err := t.Local(ctx)
	if err != nil {
		return nil, err
	}
	return toolStatus(s, e.summary(ctx, s), local.Quorate), nil
}

// toolStatus turns a summary into what the tools show.
func toolStatus(s *cib.Snapshot, sum *status.Summary, quorate bool) *shim.Status {
	out := &shim.Status{
		Updated: sum.Time, Changed: sum.Cluster.ConfigChanged, Cluster: sum.Cluster.Name, DC: sum.Cluster.DC, Quorate: quorate,
		Fencing: sum.Cluster.FencingRequired, Symmetric: sum.Cluster.Symmetric, NoQuorum: sum.Quorum.Policy.String(), Maintained: sum.Cluster.Maintenance,
	}
	for i := range sum.Nodes {
		n := &sum.Nodes[i]
		out.Nodes = append(out.Nodes, shim.StatusNode{
			Node:    shim.Node{ID: n.ID, Name: n.Name, Member: n.Member},
			Online:  n.Member && n.State != status.NodeJoining && n.State != status.NodeUnclean && n.State != status.NodeFencing,
			Standby: n.State == status.NodeStandby || n.Admin == status.AdminStandby, Maintenance: n.Admin == status.AdminMaintenance,
			Pending: n.State == status.NodeJoining, Unclean: n.State == status.NodeUnclean || n.State == status.NodeFencing,
			Running: n.Running, Attributes: n.Attributes,
		})
	}
	rows := map[string]*status.Resource{}
	for i := range sum.Resources {
		rows[sum.Resources[i].ID] = &sum.Resources[i]
	}
	for i := range sum.Resources {
		if r := &sum.Resources[i]; r.Depth == 0 {
			out.Resources = append(out.Resources, toolResource(s, rows, r))
		}
	}
	for _, name := range sortedKeys(s.Status.Histories) {
		for _, inst := range sortedKeys(s.Status.Histories[name]) {
			h := s.Status.Histories[name][inst]
			for i := range h.Ops {
				op := &h.Ops[i]
				out.History = append(out.History, shim.Operation{
					Node: name, Resource: inst, Agent: h.Agent, Call: int(op.Seq), Task: op.Op, Interval: op.Interval.D(), RC: op.RC,
					Changed: op.Ended, Exec: op.Exec, Queue: op.Queue,
				})
			}
		}
	}
	return out
}

// toolResource turns a row with what is below it into a tree.
func toolResource(s *cib.Snapshot, rows map[string]*status.Resource, r *status.Resource) shim.StatusResource {
	out := head(r)
	switch r.Kind {
	case cib.KindGroup:
		out.Kind = shim.Group
		for _, m := range r.Members {
			if row := rows[m]; row != nil {
				out.Members = append(out.Members, toolResource(s, rows, row))
			}
		}
	case cib.KindClone, cib.KindPromotable:
		out.Kind, out.Promoted = shim.Clone, r.Kind == cib.KindPromotable
		if c := s.Config.Resources[r.ID]; c != nil && c.Clone != nil {
			out.Unique = c.Clone.GloballyUnique
		}
		for _, m := range r.Members {
			if row := rows[m]; row != nil {
				out.Inner = m
				out.Members = cloneMembers(rows, row, r.Expected)
			}
		}
	case cib.KindPrimitive, cib.KindBundle:
		out.Kind, out.Nodes = shim.Primitive, r.Nodes
		for i := range r.Instances {
			if x := &r.Instances[i]; x.Role.Active() || out.Role == "" {
				out.Role = roleOf(x)
			}
		}
		if len(out.Nodes) == 0 && out.Role != "Starting" || out.Role == "" {
			out.Role = "Stopped"
		}
	}
	return out
}

// head is what all kinds of rows have.
func head(r *status.Resource) shim.StatusResource {
	return shim.StatusResource{
		ID: r.ID, Agent: r.Agent, Managed: r.Managed, Disabled: r.Wanted == cib.RoleStopped, Blocked: r.State == status.ResourceBlocked,
		Failed: r.State == status.ResourceFailed && r.Active > 0, Orphaned: r.Orphan,
	}
}

// roleOf is an instance's role as Pacemaker names it.
func roleOf(x *status.Instance) string {
	switch x.Pending {
	case cib.OpStart:
		return "Starting"
	case cib.OpStop:
		return "Stopping"
	case cib.OpPromote:
		return "Promoting"
	case cib.OpDemote:
		return "Demoting"
	}
	if !x.Role.Active() {
		return "Stopped"
	}
	return x.Role.String()
}

// cloneMembers are the instances of a clone: those that are active, by node, and
// as many stopped ones as there should be more.
func cloneMembers(rows map[string]*status.Resource, inner *status.Resource, expected int) []shim.StatusResource {
	var out []shim.StatusResource
	if inner.Kind == cib.KindGroup {
		for _, n := range inner.Nodes {
			g := head(inner)
			g.Kind = shim.Group
			for _, m := range inner.Members {
				if row := rows[m]; row != nil {
					g.Members = append(g.Members, instanceOn(row, n))
				}
			}
			out = append(out, g)
		}
	} else {
		for i := range inner.Instances {
			if x := &inner.Instances[i]; x.Role.Active() {
				p := head(inner)
				p.ID, p.Nodes, p.Role = x.Instance, []string{x.Node}, roleOf(x)
				p.Failed, p.Blocked = x.State == status.InstanceFailed, x.State == status.InstanceBlocked
				out = append(out, p)
			}
		}
	}
	for len(out) < expected {
		x := head(inner)
		x.Failed, x.Blocked, x.Role = false, false, "Stopped"
		if inner.Kind == cib.KindGroup {
			x.Kind = shim.Group
			for _, m := range inner.Members {
				if row := rows[m]; row != nil {
					p := head(row)
					p.Role = "Stopped"
					x.Members = append(x.Members, p)
				}
			}
		}
		out = append(out, x)
	}
	return out
}

// instanceOn is a primitive as it is on one node.
func instanceOn(r *status.Resource, name string) shim.StatusResource {
	out := head(r)
	out.Role = "Stopped"
	for i := range r.Instances {
		if x := &r.Instances[i]; x.Node == name && x.Role.Active() {
			out.ID, out.Nodes, out.Role = x.Instance, []string{name}, roleOf(x)
			out.Failed, out.Blocked = x.State == status.InstanceFailed, x.State == status.InstanceBlocked
		}
	}
	return out
}

// findShims says where agents find the tools: in the directory that is configured,
// else in one made for this run from the program beside this one.
func (d *Daemon) findShims() (string, error) {
	dir := cmpOr(d.opts.ShimDir, "/usr/lib/belay/shim")
	if _, err := os.Stat(filepath.Join(dir, shim.Tools()[0])); err == nil {
		return dir, nil
	}
	program := filepath.Join(filepath.Dir(d.opts.executable()), "belay-shim")
	if _, err := os.Stat(program); err != nil {
		return dir, fmt.Errorf("the tools that agents call are neither in %s nor %s: agents that need crm_attribute and the like will fail: %w", dir, program, err)
	}
	return linkShims(filepath.Join(d.opts.RunDir, "shim"), program)
}

// linkShims makes a directory with a link for each tool.
func linkShims(dir, program string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755) //nolint:gosec // agents run as other users, too
	}
	for _, tool := range shim.Tools() {
		if err != nil {
			break
		}
		link := filepath.Join(dir, tool)
		if to, rerr := os.Readlink(link); rerr == nil && to == program {
			continue
		}
		if err = os.Remove(link); err == nil || errors.Is(err, os.ErrNotExist) {
			err = os.Symlink(program, link)
		}
	}
	if err != nil {
		return dir, fmt.Errorf("link the tools that agents call: %w", err)
	}
	return dir, nil
}
