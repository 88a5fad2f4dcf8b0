package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// settings are what a resource's own and inherited meta attributes come to.
type settings struct {
	cfg     *cib.Resource
	meta    cib.Meta
	wanted  cib.Role
	managed bool
	cloned  bool // it is in a clone: several instances are as they should be
	looked  int  // nodes where a probe found nothing, and nothing happened since
}

func (b *builder) settingsOf(id string) *settings {
	if s := b.settings[id]; s != nil {
		return s
	}
	s := &settings{cfg: b.c.Resources[id], wanted: cib.RoleStarted, managed: true}
	b.settings[id] = s
	if of := b.implied[id]; s.cfg == nil && of != "" {
		*s = *b.settingsOf(of)
		s.cfg, s.looked = &cib.Resource{}, 0
		return s
	}
	if s.cfg == nil {
		s.cfg, s.wanted = &cib.Resource{}, cib.RoleStopped // an orphan
		return s
	}
	s.meta = b.c.MetaOf(id, b.parents, b.now)
	promotable := false
	for at := id; at != ""; at = b.parents[at] {
		r := b.c.Resources[at]
		if r == nil || at == b.parents[at] {
			break
		}
		s.cloned = s.cloned || (r.Clone != nil || r.Bundle != nil) && at != id
		promotable = promotable || r.Kind() == cib.KindPromotable || r.Bundle != nil && r.Bundle.PromotedMax > 0 && at != id
	}
	if promotable {
		s.wanted = cib.RolePromoted
	}
	if t := s.meta.TargetRole; t != 0 && (t != cib.RoleStarted || !promotable) {
		s.wanted = t
	}
	if b.c.Cluster.Options.StopAllResources {
		s.wanted = cib.RoleStopped
	}
	s.managed = s.meta.IsManaged() && !s.meta.InMaintenance() && !b.c.Cluster.Options.MaintenanceMode
	return s
}

// onFail is what a failure of an operation leads to.
func (b *builder) onFail(s *settings, op *cib.OpResult) cib.OnFail {
	v := b.c.Cluster.OpDefaultsFor(cib.Subject{Agent: s.cfg.Agent, Op: op.Op, Interval: op.Interval}, b.now).OnFail
	for i := range s.cfg.Operations {
		if o := &s.cfg.Operations[i]; o.Name == op.Op && o.Interval == op.Interval && o.OnFail != 0 {
			v = o.OnFail
		}
	}
	fencing := b.c.Cluster.Options.Fencing()
	switch {
	case v == cib.OnFailFence && !fencing:
		return cib.OnFailBlock
	case v != 0 && v != cib.OnFailDefault:
		return v
	case op.Op != cib.OpStop:
		return cib.OnFailRestart
	case fencing:
		return cib.OnFailFence
	}
	return cib.OnFailBlock
}

// failure is a failed instance, for the alarms.
type failure struct {
	resource, node, op, reason string
	since                      time.Time
	blocked                    bool
}

// histories turns what the nodes know into instances, by resource.
func (b *builder) histories() {
	b.actionsOf = map[string][]string{}
	for _, n := range b.hosts() {
		pending := b.st.Pending[n.Name]
		for key, h := range b.st.Histories[n.Name] {
			if h == nil {
				continue
			}
			if pending[key] == nil && plainlyStopped(h) {
				if n.alive() && h.BootID == n.BootID {
					b.settingsOf(h.Resource).looked++
				}
				continue
			}
			if inst, ok := b.instance(n, key, h, pending[key]); ok {
				b.instances[h.Resource] = append(b.instances[h.Resource], inst)
			}
		}
		for key, p := range pending {
			if p.Resource == "" {
				continue
			}
			b.actionsOf[p.Resource] = append(b.actionsOf[p.Resource], p.ID)
			if b.st.Histories[n.Name][key] == nil && !p.Probe {
				b.instances[p.Resource] = append(b.instances[p.Resource], Instance{
					Instance: key, Node: n.Name, Role: cib.RoleStopped, State: pendingState(p, InstanceStopped), Pending: p.Op,
				})
			}
		}
	}
	for _, list := range b.instances {
		if len(list) > 1 {
			slices.SortFunc(list, func(x, y Instance) int {
				return order(strings.Compare(x.Node, y.Node), strings.Compare(x.Instance, y.Instance))
			})
		}
	}
	for _, list := range b.actionsOf {
		slices.Sort(list)
	}
}

// plainlyStopped is the common case, resources times nodes: a probe found nothing,
// and nothing happened since. Such instances are counted, not listed.
func plainlyStopped(h *cib.History) bool {
	if len(h.Ops) != 1 || h.FailCount != 0 {
		return false
	}
	op := &h.Ops[0]
	return op.Probe && op.RC == cib.NotRunning && op.Status == cib.OpDone
}

func pendingState(p *cib.Pending, otherwise InstanceState) InstanceState {
	switch {
	case p == nil:
	case p.Op == cib.OpStart, p.Op == cib.OpMigrateFrom:
		return InstanceStarting
	case p.Op == cib.OpStop, p.Op == cib.OpMigrateTo:
		return InstanceStopping
	}
	return otherwise
}

// instance judges one history. Not ok: it is of a boot that is over, so nothing
// of it runs.
func (b *builder) instance(n *Node, key string, h *cib.History, p *cib.Pending) (Instance, bool) {
	switch {
	case n.State == NodeOffline, n.State == NodeFenced:
		return Instance{}, false
	case n.BootID != "" && h.BootID != n.BootID:
		return Instance{}, false
	case n.lost() && !b.c.Cluster.Options.Fencing():
		return Instance{}, false // recovered without a proof: what it does is not known
	}
	s := b.settingsOf(h.Resource)
	st := h.State(b.now, s.meta.FailuresExpireAfter().D())
	inst := Instance{Instance: key, Node: n.Name, Role: st.Role, Since: st.Since, LastFailure: h.LastFailure, FailCount: failCount(h, s, b.now)}
	inst.Operations = operations(h)
	reaction := cib.OnFailIgnore
	if st.Failure != nil {
		reaction = b.onFail(s, st.Failure)
	}
	switch {
	case n.lost():
		inst.State = InstanceUnknown
		inst.Reason = "node " + n.Name + " is " + n.State.String()
		return inst, true
	case reaction != cib.OnFailIgnore:
		inst.State, inst.Reason = InstanceFailed, describe(st.Failure)
		if reaction == cib.OnFailBlock || reaction == cib.OnFailStop && st.Role.Active() && !s.managed {
			inst.State = InstanceBlocked
		}
		b.failures = append(b.failures, failure{h.Resource, n.Name, st.Failure.Op, cause(st.Failure), st.Failure.Ended, inst.State == InstanceBlocked})
		n.Failed++
	case st.Role == cib.RolePromoted:
		inst.State = InstancePromoted
	case st.Role.Active():
		inst.State = InstanceRunning
	case st.Role == cib.RoleStopped:
		inst.State = InstanceStopped
		inst.State, inst.Reason = b.notAllowed(h, s, &st, b.countFailures(h, s))
	default:
		inst.State, inst.Reason = InstanceUnknown, "it is being looked for"
	}
	if p != nil {
		inst.Pending = p.Op
		inst.State = pendingState(p, inst.State)
	}
	if st.Role.Active() {
		n.Running++
	}
	return inst, true
}

// notAllowed says why a stopped instance is not started on this node again.
func (b *builder) notAllowed(h *cib.History, s *settings, st *cib.InstanceState, failures cib.Score) (InstanceState, string) {
	if st.NotHere && st.Last != nil {
		for i := len(h.Ops) - 1; i >= 0; i-- {
			if op := &h.Ops[i]; op.RC != cib.OK && op.RC != cib.NotRunning {
				return InstanceNotAllowed, describe(op)
			}
		}
		return InstanceNotAllowed, "it cannot run here"
	}
	threshold := cib.Infinity
	if t := s.meta.MigrationThreshold; t != nil && *t > 0 {
		threshold = cib.Score(*t)
	}
	if failures > 0 && failures >= threshold {
		for i := len(h.Ops) - 1; i >= 0; i-- {
			if h.Ops[i].Failure() {
				return InstanceNotAllowed, describe(&h.Ops[i])
			}
		}
		return InstanceNotAllowed, fmt.Sprintf("it failed %s times here", failures)
	}
	return InstanceStopped, ""
}

// countFailures is the number of failures that count against the node: those that
// have not expired.
func (b *builder) countFailures(h *cib.History, s *settings) cib.Score {
	if h.FailCount == 0 {
		return 0
	}
	rules := cib.FailureRules{
		Resource: b.c.Resources[h.Resource], Fatal: b.c.Cluster.Options.StartFailureIsFatal(),
		Ignored: func(op *cib.OpResult) bool { return b.onFail(s, op) == cib.OnFailIgnore },
	}
	count, last := h.CountFailures(rules)
	if timeout := s.meta.FailuresExpireAfter().D(); timeout > 0 && !last.IsZero() && !b.now.Before(last.Add(timeout)) {
		return 0
	}
	return count
}

// failCount is the number of failures on record that have not expired.
func failCount(h *cib.History, s *settings, now time.Time) cib.Score {
	timeout := s.meta.FailuresExpireAfter().D()
	if timeout > 0 && !h.LastFailure.IsZero() && !now.Before(h.LastFailure.Add(timeout)) {
		return 0
	}
	return h.FailCount
}

func operations(h *cib.History) []Operation {
	if len(h.Ops) == 0 {
		return nil
	}
	out := make([]Operation, len(h.Ops))
	for i := range h.Ops {
		r := &h.Ops[i]
		out[i] = Operation{
			Op: r.Op, Interval: r.Interval, RC: r.RC, Expected: r.Expected, Status: r.Status,
			Failed: r.Failure(), Ended: r.Ended, Exec: r.Exec, Reason: r.Reason,
		}
		if out[i].Failed {
			out[i].Output = r.Output
		}
	}
	return out
}

// describe says what failed and why: "start failed: timed out".
func describe(r *cib.OpResult) string { return r.Op + " failed: " + cause(r) }

func cause(r *cib.OpResult) string {
	text := returnCode(r.RC)
	switch r.Status {
	case cib.OpTimeout:
		text = "timed out after " + age(r.Exec)
	case cib.OpNotInstalled:
		text = "the agent is not installed"
	case cib.OpError:
		text = "the agent could not be run"
	case cib.OpUnknown, cib.OpDone, cib.OpCancelled, cib.OpNotRun:
	}
	if r.Reason != "" {
		text += " (" + r.Reason + ")"
	}
	return text
}

// returnCode names an OCF return code (OCF Resource Agent API 1.1, "Exit status
// codes").
func returnCode(rc int) string {
	switch rc {
	case cib.OK:
		return "says that it runs"
	case cib.GenericError:
		return "error"
	case cib.InvalidParameter:
		return "invalid parameter"
	case cib.Unimplemented:
		return "the agent does not know the operation"
	case cib.Insufficient:
		return "insufficient privileges"
	case cib.NotInstalled:
		return "not installed"
	case cib.NotConfigured:
		return "not configured"
	case cib.NotRunning:
		return "not running"
	case cib.RunningPromoted:
		return "says that it is promoted"
	case cib.FailedPromoted:
		return "failed while promoted"
	}
	return fmt.Sprintf("exit code %d", rc)
}

// resources makes the rows: each tree from its top, then what runs although it is
// configured no more.
func (b *builder) resources() {
	b.out.Resources = make([]Resource, 0, len(b.c.Resources))
	for _, id := range slices.Sorted(maps.Keys(b.c.Resources)) {
		if b.c.Resources[id] != nil && b.parents[id] == "" {
			b.tree(id, "", 0)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.instances)) {
		if b.c.Resources[id] != nil || b.implied[id] != "" {
			continue
		}
		r := Resource{ID: id, Kind: cib.KindPrimitive, Orphan: true, Wanted: cib.RoleStopped, Managed: true, Instances: b.instances[id]}
		b.primitive(&r, b.settingsOf(id))
		if r.Active > 0 || len(r.Actions) > 0 {
			r.Reason = orText(r.Reason, "it is configured no more, and will be stopped")
			b.out.Resources = append(b.out.Resources, r)
		}
	}
}

// tree adds a resource and what it holds, and returns its index. A validated
// configuration is three deep at most; anything else ends there.
func (b *builder) tree(id, parent string, depth int) int {
	cfg, s := b.c.Resources[id], b.settingsOf(id)
	at := len(b.out.Resources)
	b.out.Resources = append(b.out.Resources, Resource{
		ID: id, Number: cfg.Number, Kind: cfg.Kind(), Agent: cfg.Agent, Description: cfg.Description, Parent: parent, Depth: depth,
		Wanted: s.wanted, Managed: s.managed, Maintenance: s.meta.InMaintenance() || b.c.Cluster.Options.MaintenanceMode,
	})
	members := cfg.Group
	if cfg.Clone != nil {
		members = []string{cfg.Clone.Resource}
	}
	if cfg.Bundle != nil && cfg.Bundle.Resource != "" {
		members = []string{cfg.Bundle.Resource}
	}
	var rows []int
	for _, m := range members {
		if b.c.Resources[m] != nil && depth < 2 && b.parents[m] == id {
			rows = append(rows, b.tree(m, id, depth+1))
		}
	}
	r := &b.out.Resources[at]
	r.Members = members
	switch {
	case cfg.Clone != nil:
		b.clone(r, s, cfg.Clone, rows)
	case len(cfg.Group) > 0:
		b.group(r, s, rows)
	case cfg.Bundle != nil:
		b.bundle(r, s, cfg.Bundle, rows)
	default:
		r.Instances = b.instances[id]
		b.primitive(r, s)
	}
	return at
}

// primitive judges a primitive over all nodes.
func (b *builder) primitive(r *Resource, s *settings) {
	r.Actions = b.actionsOf[r.ID]
	r.Looked = s.looked
	r.Expected = 1
	if r.Wanted == cib.RoleStopped {
		r.Expected = 0
	}
	t := b.tally(r)
	if s.cloned {
		r.Expected = min(r.Expected, b.eligible) // the clone's row knows better
		r.State, r.Reason = t.cloned(r)
	} else {
		r.State, r.Reason = b.single(r, s, t)
	}
	leftAlone := !s.managed
	if len(r.Nodes) == 1 {
		if n := b.node[r.Nodes[0]]; n != nil && n.Admin == AdminMaintenance {
			leftAlone = true
			r.Managed = false
		}
	}
	if leftAlone && r.State != ResourceFailed && r.State != ResourceBlocked {
		r.State = ResourceUnmanaged
		if r.Reason == "" || r.Active == 0 {
			r.Reason = b.unmanagedBy(r, s)
		}
	}
}

func (b *builder) unmanagedBy(r *Resource, s *settings) string {
	switch {
	case b.c.Cluster.Options.MaintenanceMode:
		return "the cluster is in maintenance"
	case s.meta.InMaintenance():
		return "it is in maintenance"
	case !s.meta.IsManaged():
		return "is-managed is false"
	}
	return "node " + strings.Join(r.Nodes, ", ") + " is in maintenance"
}

// tally counts the instances of a primitive by what they do.
type tally struct {
	starting, stopping, migrating, unknown, failed, blocked int
	lost                                                    []*Instance // perhaps active on a lost node
	worst                                                   *Instance   // the failed one to tell of
	banned                                                  *Instance   // stopped, and failed before
}

func (b *builder) tally(r *Resource) tally {
	var t tally
	for i := range r.Instances {
		x := &r.Instances[i]
		r.FailCount = r.FailCount.Add(x.FailCount)
		n := b.node[x.Node]
		if n != nil && n.lost() {
			if x.Role.Active() || x.Role == cib.RoleUnknown {
				t.lost = append(t.lost, x)
			}
			continue
		}
		if x.Role.Active() {
			r.Active++
			r.Nodes = append(r.Nodes, x.Node)
			if r.Since.IsZero() || x.Since.After(r.Since) {
				r.Since = x.Since
			}
			if x.Role == cib.RolePromoted {
				r.Promoted = append(r.Promoted, x.Node)
			}
		}
		if x.Pending == cib.OpMigrateTo || x.Pending == cib.OpMigrateFrom {
			t.migrating++
		}
		switch x.State {
		case InstanceStarting:
			t.starting++
		case InstanceStopping:
			t.stopping++
		case InstanceFailed, InstanceBlocked:
			if x.State == InstanceBlocked {
				t.blocked++
			} else {
				t.failed++
			}
			if t.worst == nil || t.worst.State != InstanceBlocked {
				t.worst = x
			}
		case InstanceUnknown:
			t.unknown++
		case InstanceNotAllowed:
			if t.banned == nil {
				t.banned = x
			}
		case InstanceStopped, InstanceRunning, InstancePromoted:
		}
	}
	return t
}

// single judges a primitive that may be active once.
func (b *builder) single(r *Resource, s *settings, t tally) (ResourceState, string) {
	switch {
	case t.blocked > 0:
		return ResourceBlocked, t.worst.Reason + " on " + t.worst.Node
	case t.migrating > 0:
		return ResourceMigrating, ""
	case t.stopping > 0:
		return ResourceStopping, ""
	case t.starting > 0:
		return ResourceStarting, ""
	case t.failed > 0:
		return ResourceFailed, t.worst.Reason + " on " + t.worst.Node
	case r.Active > 1:
		return ResourceFailed, "active on " + strings.Join(r.Nodes, " and ") + " at the same time"
	case r.Active == 1 && len(r.Promoted) == 1:
		return ResourcePromoted, ""
	case r.Active == 1:
		return ResourceRunning, ""
	case len(t.lost) > 0:
		b.waiting[r.ID] = true
		return b.waitsForProof(t.lost[0].Node)
	}
	return b.stopped(r, s, t)
}

// waitsForProof judges a resource that perhaps still runs on a lost node.
func (b *builder) waitsForProof(node string) (ResourceState, string) {
	r := b.st.Requests[node]
	switch {
	case r != nil && r.State == cib.FenceFailed:
		return ResourceBlocked, fmt.Sprintf("it ran on %s, which is lost, and fencing failed: %s", node, orText(r.Error, "no reason given"))
	case len(b.c.Devices(node)) == 0 && b.node[node].Fence != FenceReadinessReady:
		return ResourceBlocked, fmt.Sprintf("it ran on %s, which is lost, and no fence device is configured for it", node)
	}
	return ResourceFailed, fmt.Sprintf("it ran on %s, which is lost; it is recovered when %s is fenced", node, node)
}

// stopped judges a primitive that is active nowhere.
func (b *builder) stopped(r *Resource, s *settings, t tally) (ResourceState, string) {
	switch {
	case r.Orphan:
		return ResourceStopped, ""
	case b.c.Cluster.Options.StopAllResources:
		return ResourceStopped, "stop-all-resources is on"
	case r.Wanted == cib.RoleStopped:
		return ResourceStopped, "it is wanted stopped"
	case t.unknown > 0 && t.unknown == len(r.Instances), len(r.Instances)+s.looked == 0 && b.eligible > 0 && b.c.Cluster.Options.Probes() && s.managed:
		return ResourceUnknown, "it was not looked for yet"
	case t.banned != nil:
		return ResourceFailed, t.banned.Reason + " on " + t.banned.Node
	case b.eligible == 0:
		return ResourceStopped, "no node can host resources"
	}
	return ResourceStopped, "belay explain resource " + r.ID + " tells why"
}

// cloned judges the instances of a clone together.
func (t *tally) cloned(r *Resource) (ResourceState, string) {
	reason := ""
	if t.worst != nil {
		reason = t.worst.Reason + " on " + t.worst.Node
	} else if t.banned != nil {
		reason = t.banned.Reason + " on " + t.banned.Node
	}
	switch {
	case t.blocked > 0:
		return ResourceBlocked, reason
	case len(r.Promoted) > 0:
		return ResourcePromoted, reason
	case r.Active-t.failed > 0:
		return ResourceRunning, reason
	case t.failed > 0:
		return ResourceFailed, reason
	case t.starting > 0:
		return ResourceStarting, reason
	case t.stopping > 0:
		return ResourceStopping, reason
	case r.Wanted == cib.RoleStopped:
		return ResourceStopped, "it is wanted stopped"
	case t.unknown > 0 && t.unknown == len(r.Instances):
		return ResourceUnknown, "it was not looked for yet"
	case t.banned != nil:
		return ResourceFailed, reason
	}
	return ResourceStopped, ""
}

// badness orders states of members: the first of these that a member has is the
// whole's.
var badness = []ResourceState{ResourceBlocked, ResourceFailed, ResourceMigrating, ResourceStopping, ResourceStarting, ResourceUnknown}

func (b *builder) worst(rows []int) *Resource {
	for _, state := range badness {
		for _, i := range rows {
			if m := &b.out.Resources[i]; m.State == state {
				return m
			}
		}
	}
	return nil
}

// group judges a group by its members.
func (b *builder) group(r *Resource, s *settings, rows []int) {
	nodes, promoted := map[string]bool{}, map[string]bool{}
	r.State = ResourceStopped
	for _, i := range rows {
		m := &b.out.Resources[i]
		if m.Active > 0 {
			r.Active++
		}
		if m.Expected > 0 {
			r.Expected++
		}
		r.FailCount = r.FailCount.Add(m.FailCount)
		r.Actions = append(r.Actions, m.Actions...)
		for _, n := range m.Nodes {
			nodes[n] = true
		}
		for _, n := range m.Promoted {
			promoted[n] = true
		}
		if m.Since.After(r.Since) {
			r.Since = m.Since
		}
	}
	r.Nodes, r.Promoted = slices.Sorted(maps.Keys(nodes)), slices.Sorted(maps.Keys(promoted))
	bad := b.worst(rows)
	switch {
	case bad != nil:
		r.State, r.Reason = bad.State, prefixed(bad.ID+": ", bad.Reason)
	case !s.managed:
		r.State, r.Reason = ResourceUnmanaged, b.unmanagedBy(r, s)
	case r.Active == 0:
		for _, i := range rows {
			r.Reason = orText(r.Reason, b.out.Resources[i].Reason)
		}
		if r.Wanted == cib.RoleStopped {
			r.Reason = "it is wanted stopped"
		}
	case r.Active < r.Expected:
		r.State, r.Reason = ResourceStarting, fmt.Sprintf("%d of %d members are active", r.Active, r.Expected)
	case len(promoted) > 0:
		r.State = ResourcePromoted
	default:
		r.State = ResourceRunning
	}
}

// clone judges a clone: how many instances run of those that could.
func (b *builder) clone(r *Resource, s *settings, c *cib.Clone, rows []int) {
	most := b.eligible * max(1, c.NodeMax)
	if c.Max != nil {
		most = min(most, *c.Max)
	}
	if r.Wanted != cib.RoleStopped {
		r.Expected = most
	}
	if len(rows) == 0 {
		r.State, r.Reason = ResourceUnknown, "it holds nothing"
		return
	}
	child := &b.out.Resources[rows[0]]
	r.Nodes, r.Promoted, r.Since, r.FailCount, r.Actions = child.Nodes, child.Promoted, child.Since, child.FailCount, child.Actions
	r.Active = child.Active
	if child.Kind == cib.KindGroup {
		r.Active = b.wholeGroups(rows[0])
		child.Active, child.Expected = r.Active, r.Expected
		for i := rows[0] + 1; i < len(b.out.Resources) && b.out.Resources[i].Depth > child.Depth; i++ {
			b.out.Resources[i].Expected = min(1, b.out.Resources[i].Expected) * r.Expected
		}
	} else {
		child.Expected = r.Expected
	}
	r.State, r.Reason = child.State, child.Reason
	if r.Reason == "" && r.Active < r.Expected && r.Active > 0 {
		r.Reason = fmt.Sprintf("%d of %d instances are active", r.Active, r.Expected)
	}
	if c.Promotable && r.Wanted == cib.RolePromoted && len(r.Promoted) == 0 && r.Active > 0 && r.State == ResourceRunning {
		r.Reason = orText(r.Reason, "no instance is promoted")
	}
	if r.Wanted == cib.RoleStopped && r.State == ResourceStopped {
		r.Reason = "it is wanted stopped"
	}
	if !s.managed && r.State != ResourceFailed && r.State != ResourceBlocked {
		r.State, r.Reason = ResourceUnmanaged, b.unmanagedBy(r, s)
	}
}

// wholeGroups counts the instances of a cloned group of which every member is
// active: as many as the member with the fewest. The members' rows follow the
// group's.
func (b *builder) wholeGroups(group int) int {
	least := -1
	for i := group + 1; i < len(b.out.Resources) && b.out.Resources[i].Depth > b.out.Resources[group].Depth; i++ {
		if n := b.out.Resources[i].Active; least < 0 || n < least {
			least = n
		}
	}
	return max(0, least)
}
