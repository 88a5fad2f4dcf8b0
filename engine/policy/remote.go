package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Nodes without an engine of their own. A remote node is reached through its
// connection, a resource that runs on a cluster node. A guest is a virtual machine
// or container that is itself a resource, with a connection that nobody has to
// configure. What such a node can be used for follows from its connection:
//
//   - it is up: the node is online;
//   - it went down with its host, or was closed while something ran there: the
//     node is adrift. It is used again as soon as the connection has a new place,
//     and what runs there goes on; without a place it is lost;
//   - it failed: a remote node is lost, and is fenced as any node; a guest is
//     recovered together with what it is inside of, whose stop is the proof.

// nodeKind says what a node is.
type nodeKind uint8

const (
	kindCluster nodeKind = iota
	kindRemote
	kindGuest
)

// String is the value of the node attribute #kind.
func (k nodeKind) String() string {
	switch k {
	case kindRemote:
		return "remote"
	case kindGuest:
		return "container"
	case kindCluster:
	}
	return "cluster"
}

// remote is what a node has that is reached through a connection.
type remote struct {
	cib.Remote
	conn      *rsc     // its connection; nil where the configuration has none that can run
	container *rsc     // of a guest: what it is inside of
	replica   *replica // of a bundle
	former    bool     // the configuration does not name it any more
}

// Of a guest's connection, as Pacemaker.
const (
	connectionInterval = 30 * time.Second
	connectTimeout     = time.Minute
)

// unpackRemotes adds the remote nodes and guests behind the cluster nodes.
func (u *state) unpackRemotes() {
	u.members = len(u.nodes)
	for _, r := range u.s.Config.Remotes() {
		n := node{name: r.Name, index: int32(len(u.nodes)), cfg: &cib.Node{}, kind: kindRemote, remote: &remote{Remote: r}}
		if r.Guest {
			n.kind = kindGuest
		}
		if c := u.s.Config.RemoteNodes[r.Name]; c != nil {
			n.cfg = &cib.Node{Site: c.Site, Standby: c.Standby, Maintenance: c.Maintenance, Attributes: c.Attributes, Utilization: c.Utilization}
			n.maintenance = c.Maintenance
		}
		if n.status = u.s.Status.Nodes[r.Name]; n.status != nil {
			n.boot = n.status.BootID
		}
		if a := u.s.Status.Attributes[r.Name]; a != nil && a.BootID == n.boot {
			n.attributes = a.Values
		}
		n.fenceable = fenceable(u.s.Config, n.name)
		u.nodeIndex[n.name] = n.index
		u.nodes = append(u.nodes, n)
	}
	u.unpackFormerRemotes()
}

// unpackFormerRemotes adds the remote nodes that nothing connects to any more, while
// something may still run there.
func (u *state) unpackFormerRemotes() {
	var names []string
	for name, s := range u.s.Status.Nodes {
		if _, known := u.nodeIndex[name]; s != nil && s.Remote && !known && len(u.s.Status.Histories[name]) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		s := u.s.Status.Nodes[name]
		u.nodeIndex[name] = int32(len(u.nodes))
		u.nodes = append(u.nodes, node{
			name: name, index: int32(len(u.nodes)), cfg: &cib.Node{}, status: s, boot: s.BootID, kind: kindRemote,
			remote: &remote{Remote: cib.Remote{Name: name, Resource: name, Replica: -1}, former: true},
		})
	}
}

// bindFormer finds the connection of a former remote node, and the container that a
// former replica of a bundle is: the configuration names neither any more.
func (u *state) bindFormer(n *node) {
	conn := u.orphan(n.name)
	if conn != nil {
		n.remote.conn, conn.connects = conn, n.index
	}
	bundle, number, ok := cutLast(n.name, '-')
	if !ok {
		return
	}
	for _, launcher := range cib.Launchers {
		c := u.orphan(bundle + "-" + launcher + "-" + number)
		if c == nil || c.agent != "" && c.agent != "ocf:heartbeat:"+launcher {
			continue
		}
		n.kind, n.remote.Guest, n.remote.container, c.guest = kindGuest, true, c, n.index
		if conn != nil {
			conn.container = c
			c.contains = append(c.contains, conn)
		}
		return
	}
}

// orphan is the resource with that id that is in histories only; nil if there is
// none.
func (u *state) orphan(id string) *rsc {
	if l := u.ledgers[id]; l != nil && l.rsc != nil && l.rsc.orphan {
		return l.rsc
	}
	return nil
}

// cutLast cuts text around the last of a character in it.
func cutLast(text string, at byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(text, at); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

// bindRemotes finds the resources behind the remote nodes, and makes the
// connections of guests. Bundles have made theirs.
func (u *state) bindRemotes() {
	for i := u.members; i < len(u.nodes); i++ {
		n := &u.nodes[i]
		if n.remote.Replica >= 0 {
			continue
		}
		switch r := u.byID[n.remote.Resource]; {
		case r == nil:
		case r.kind != cib.KindPrimitive:
			r.fault = "resource " + n.remote.Resource + " is in a clone, and can't be a node, nor connect to one"
		case n.kind == kindRemote:
			n.remote.conn, r.connects = r, n.index
			if t, ok := reconnectInterval(r.cfg); ok {
				r.reconnect = t
				r.settings.failureTimeout = t
			}
		default:
			r.guest = n.index
			n.remote.container = r
			n.remote.conn = u.connection(n, r, nil, guestConnection(&r.cfg.Meta, n.name))
			u.top = append(u.top, n.remote.conn)
		}
	}
	for _, r := range u.rscs {
		if r.agent == cib.AgentRemote && r.connects == nowhere && r.part == partNone && r.fault == "" {
			r.fault = "resource " + r.base + " can't be a connection: there is another node " + r.base + ", or it is in a clone"
		}
		id := r.cfg.Meta.Container
		if id == "" && r.parent != nil && r.parent.kind == cib.KindGroup {
			id = r.parent.cfg.Meta.Container
		}
		if r.kind == cib.KindPrimitive && id != "" && r.container == nil {
			if c := u.byID[id]; c != nil && c != r && c.kind == cib.KindPrimitive {
				r.container = c
				c.contains = append(c.contains, r)
			}
		}
	}
}

// reconnectInterval is how long a failed connection stays down before it is tried
// again: seconds, or with a unit.
func reconnectInterval(cfg *cib.Resource) (time.Duration, bool) {
	text := strings.NewReplacer("sec", "s", "min", "m", " ", "").Replace(cfg.Parameters["reconnect_interval"])
	if n, err := strconv.Atoi(text); err == nil {
		text = strconv.Itoa(n) + "s"
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0
}

// connection makes the connection of a guest.
func (u *state) connection(n *node, container, parent *rsc, cfg *cib.Resource) *rsc {
	r := u.newRsc(n.name, n.name, cfg, parent, -1)
	r.connects, r.container = n.index, container
	container.contains = append(container.contains, r)
	u.bind(r, n.name)
	u.byID[n.name] = r
	return r
}

// guestConnection is the configuration of a guest's connection.
func guestConnection(m *cib.Meta, name string) *cib.Resource {
	timeout := cib.Duration(connectTimeout)
	return &cib.Resource{
		Agent:      cib.AgentRemote,
		Parameters: map[string]string{"addr": cmp.Or(m.RemoteAddr, name), "port": numberOf(cmp.Or(m.RemotePort, cib.DefaultRemotePort))},
		Operations: []cib.Operation{
			{Name: cib.OpMonitor, Interval: cib.Duration(connectionInterval), Timeout: cib.Duration(connectionInterval)},
			{Name: cib.OpStart, Timeout: pick(timeout, m.RemoteConnectTimeout)},
		},
		Meta: cib.Meta{AllowMigrate: new(pick(true, m.RemoteAllowMigrate)), Managed: m.Managed, Maintenance: m.Maintenance},
	}
}

// unfit says whether a resource could run on a node at all; "" if it could, else
// why it can't, whatever else is configured.
func (u *state) unfit(r *rsc, n *node) string {
	switch {
	case n.remote != nil && n.remote.replica != nil:
		if r.replica != n.remote.replica || r.part != partChild {
			return "only what is inside of bundle " + n.remote.Resource + " runs on it"
		}
	case r.part == partChild:
		return "it runs inside of a container"
	case r.node() != nowhere:
		if n.index != r.node() {
			return "it runs inside of " + r.container.base
		}
	case n.kind == kindCluster:
	case r.connects != nowhere:
		return "connections run on cluster nodes"
	case r.guest != nowhere && n.kind == kindGuest:
		return "what is a guest itself does not run inside of another one"
	case r.guest != nowhere && r.part != partContainer:
		return "guests run on cluster nodes"
	case strings.HasPrefix(r.agent, "stonith:"):
		return "fence devices are used from cluster nodes"
	}
	return ""
}

// node is the guest that a resource is said to run on by its meta attribute
// container; nowhere if it does not say so.
func (r *rsc) node() int32 {
	if r.container == nil || r.connects != nowhere {
		return nowhere
	}
	if r.container.connects != nowhere {
		return r.container.connects
	}
	return r.container.guest
}

// knowUnfit marks what is not to be looked for on remote nodes, since it can't be
// there.
func (u *state) knowUnfit() {
	for _, l := range u.byKey {
		if l.rsc == nil || l.rsc.orphan {
			continue
		}
		for i := u.members; i < len(u.nodes); i++ {
			if n := &u.nodes[i]; u.unfit(l.anyOf(n), n) != "" {
				l.known[i] = true
			}
		}
		if l.rsc.part == partChild {
			for i := range u.members {
				l.known[i] = true
			}
		}
	}
}

// anyOf is the resource of a ledger that could be on a node: of the instances
// inside of a bundle the one of that replica.
func (l *ledger) anyOf(n *node) *rsc {
	if l.rsc.part == partChild && n.remote != nil && n.remote.replica != nil && n.remote.replica.bundle == l.rsc.replica.bundle {
		for _, r := range n.remote.replica.children {
			if r.ledger == l {
				return r
			}
		}
	}
	return l.rsc
}

// judgeRemote says what a remote node is, from the histories of its connection
// and of what it is inside of, and before its own are read.
func (u *state) judgeRemote(n *node) {
	n.member, n.usable, n.lost, n.adrift, n.fence = false, false, false, false, ""
	conn := n.remote.conn
	if conn == nil {
		n.frozen, n.why = true, "has no connection"
		return
	}
	if n.wasFenced() {
		if n.dead, n.proof = "node "+n.name+" was fenced", n.status.Proof; n.kind == kindGuest {
			n.dead = "node " + n.name + " ended with " + n.remote.Resource
		}
	}
	if n.kind == kindRemote && u.isAccused(n) {
		n.why = "answered after its death was confirmed"
		u.loseRemote(n, "it answered after its death was confirmed")
		return
	}
	if c := n.remote.container; c != nil {
		if at := u.at(c); at == nil {
			n.why = "is inside of " + c.base + ", which does not run"
			return
		} else if u.nodes[at.node].lost {
			n.why = "is inside of " + c.base + ", which ran on " + u.nodes[at.node].name
			u.loseGuest(n, c.base+" was lost with "+u.nodes[at.node].name)
			return
		} else if at.failed != nil && restarts(at.onFail) {
			n.why = "is inside of " + c.base + ", which failed"
			u.loseGuest(n, c.base+": "+describeFailure(at.failed, u.nodes[at.node].name))
			return
		}
	}
	at := u.at(conn)
	switch {
	case at == nil:
		n.why = "is not connected"
		n.adrift = n.kind == kindRemote || cutOff(conn)
	case at.failed != nil && restarts(at.onFail):
		text := "its connection failed: " + describeFailure(at.failed, u.nodes[at.node].name)
		n.why = "is not connected, since " + text
		switch {
		case n.kind == kindGuest:
			u.loseGuest(n, text)
		case at.failed.Op == cib.OpStart || at.failed.Op == cib.OpMigrateFrom || n.wasFenced():
			n.adrift = true
		default:
			u.loseRemote(n, text)
		}
	case u.nodes[at.node].lost:
		n.why = "was connected to " + u.nodes[at.node].name
		if n.adrift = true; n.kind == kindGuest {
			u.loseGuest(n, "it was connected to "+u.nodes[at.node].name+", which is lost")
		}
	case conn.transfer != nil:
		n.adrift, n.why = true, "is being connected to another host"
	case n.dead != "":
		n.why = "was fenced, and is not connected since"
	default:
		n.member, n.connected = true, true
		u.useRemote(n)
	}
}

// restarts reports whether a failure ends what failed.
func restarts(o cib.OnFail) bool {
	return o != cib.OnFailIgnore && o != cib.OnFailDemote && o != cib.OnFailBlock
}

// wasFenced reports whether a remote node was fenced and did not come back yet.
func (n *node) wasFenced() bool { return n.status != nil && n.status.State == cib.NodeFenced }

// isAccused reports whether a remote node was found alive in a boot whose end was
// proven: it must be fenced again, whatever its connection says.
func (u *state) isAccused(n *node) bool {
	if n.status == nil || n.status.State != cib.NodeUnclean && n.status.State != cib.NodeFencing {
		return false
	}
	for _, p := range u.s.Status.Proofs { // their order does not matter
		if p.Target == n.name && p.BootID == n.boot && p.Void != "" {
			return true
		}
	}
	return false
}

// at is where a resource is active, of several places one that lives; nil if it
// is not active.
func (u *state) at(r *rsc) *fact {
	list := u.activeFacts(r.ledger)
	for _, f := range list {
		if n := &u.nodes[f.node]; n.member && !n.lost {
			return f
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// useRemote makes a connected node one that can be used, as far as the
// configuration lets it.
func (u *state) useRemote(n *node) {
	switch {
	case n.standby != "":
		n.why = n.standby
	case n.cfg.Standby:
		n.why = "is in standby"
	case n.cfg.Maintenance:
		n.why = "is in maintenance"
	default:
		n.usable, n.why = true, ""
	}
}

// loseRemote marks a remote node that must be fenced before anything is recovered.
func (u *state) loseRemote(n *node, text string) {
	switch {
	case !u.opt.Fencing() && !n.fenceable, n.remote.conn != nil && !n.remote.conn.settings.managed:
		n.adrift = true
	default:
		n.lost, n.fence = true, "node "+n.name+" is lost: "+text
	}
}

// loseGuest marks a guest that is recovered together with what it is inside of;
// false if that must not be touched.
func (u *state) loseGuest(n *node, text string) bool {
	if c := n.remote.container; c == nil || !c.settings.managed || c.settings.maintenance {
		return false
	}
	n.member, n.usable, n.lost = false, false, true
	if n.fence == "" {
		n.fence = text
	}
	return true
}

// settleRemote judges a remote node again once its own histories are read: what
// runs on one that can't be reached is lost with it.
func (u *state) settleRemote(n *node) {
	if n.member || n.lost || n.frozen || n.dead != "" || n.kind == kindGuest && n.adrift {
		return
	}
	active := ""
	for _, l := range u.byKey {
		if f := l.on(n.index); f != nil && !f.dead && f.role > cib.RoleStopped {
			active = l.key
			break
		}
	}
	if active == "" {
		return
	}
	if n.kind == kindGuest {
		u.loseGuest(n, active+" may run there, and it can't be reached")
		return
	}
	if at := u.at(n.remote.conn); at != nil && at.failed != nil && restarts(at.onFail) && !n.wasFenced() {
		u.loseRemote(n, active+" may run there, and its connection failed")
	}
}

// banUnfit keeps resources off the nodes that they can't be on.
func (p *placer) banUnfit() {
	if p.members == len(p.nodes) {
		return
	}
	for _, r := range p.rscs {
		if r.kind != cib.KindPrimitive {
			continue
		}
		from := p.members
		if r.container != nil || r.part == partChild {
			from = 0
		}
		for i := from; i < len(p.nodes); i++ {
			if text := p.unfit(r, &p.nodes[i]); text != "" {
				p.want(r, int32(i), -cib.Infinity, graph.Part{Rule: "node", Text: text})
			}
		}
	}
}

// connect places the connections, and with them decides which remote nodes can be
// used. The others wait for that.
func (p *placer) connect(ranked []*rsc) {
	for _, r := range ranked {
		if r.connects != nowhere {
			p.running.turn(r.base, p.rankOf(r))
			prefer := nowhere
			if r.transfer != nil {
				prefer = r.transfer.to.node // it is on its way there
			}
			p.assign(r, prefer)
			p.joined(&p.nodes[r.connects])
		}
	}
	for i := p.members; i < len(p.nodes); i++ { // those in groups
		if n := &p.nodes[i]; n.remote.conn != nil && n.remote.conn.part == partNone && n.remote.conn.parent != nil {
			p.assign(n.remote.conn, nowhere)
			p.joined(n)
		}
	}
}

// joined decides on a remote node whose connection is placed.
func (p *placer) joined(n *node) {
	container := n.remote.container
	up := p.assigned[n.remote.conn.index] >= 0 && (container == nil || p.assigned[container.index] >= 0)
	p.joinedAs(n, up && p.staysUp(n))
	if n.returns {
		n.lost = false // what is placed on it runs there when the plan is done
	}
}

// staysUp reports whether the place of its connection is one at which a remote node is
// connected: one that failed, and that nobody may touch, keeps its place.
func (u *state) staysUp(n *node) bool {
	return n.kind != kindRemote || n.connected || u.unmanaged(n.remote.conn) == ""
}

// joinedAs is what the place of its connection makes of a remote node, for Place
// and Plan alike.
func (u *state) joinedAs(n *node, up bool) {
	switch {
	case n.lost && n.kind == kindRemote:
	case n.kind == kindRemote && n.dead != "" && !n.connected:
		// It may never come back: what ran there is recovered elsewhere meanwhile.
	case up:
		n.returns, n.adrift = n.lost, false
		n.member = true
		u.useRemote(n)
	case n.adrift && !n.lost && n.why != "" && u.dependsOn(n):
		if n.kind == kindGuest {
			u.loseGuest(n, "its connection can't be placed")
		} else {
			u.loseRemote(n, "its connection can't be placed")
		}
		n.usable = false
	case n.member:
		n.usable, n.why = false, "is being disconnected"
	default:
		n.usable = false
	}
}

// dependsOn reports whether anything may run on a node that is adrift.
func (u *state) dependsOn(n *node) bool {
	if n.dead != "" {
		return false
	}
	if at := u.at(n.remote.conn); at != nil && n.boot != "" {
		return true // it was connected until now: whatever runs there goes on
	}
	for _, l := range u.byKey {
		if f := l.on(n.index); f != nil && !f.dead && f.role > cib.RoleStopped {
			return true
		}
	}
	return false
}

// hosts reports whether instances of any clone can run on a node.
func (n *node) hosts() bool {
	return !n.cfg.Arbiter && (n.remote == nil || n.remote.Replica < 0)
}

// withOwnNodes returns the state with nodes that a phase may change: what becomes
// of remote nodes depends on the placement of their connections.
func (u *state) withOwnNodes() *state {
	if u.members == len(u.nodes) {
		return u
	}
	own := *u
	own.nodes = slices.Clone(u.nodes)
	return &own
}

// joinRemotes decides on the remote nodes by the placement.
func (b *planner) joinRemotes() {
	for i := b.members; i < len(b.nodes); i++ {
		n := &b.nodes[i]
		if n.remote.conn == nil {
			continue
		}
		c := n.remote.container
		b.joinedAs(n, b.target[n.remote.conn.index] >= 0 && (c == nil || b.target[c.index] >= 0) && b.staysUp(n))
	}
}

// nested reports whether anything in a snapshot is inside of something else,
// or reached through a connection.
func nested(s *cib.Snapshot) bool {
	for _, n := range s.Status.Nodes {
		if n != nil && n.Remote {
			return true
		}
	}
	for _, r := range s.Config.Resources {
		if r != nil && (r.Bundle != nil || r.Agent == cib.AgentRemote || r.Meta.RemoteNode != "" || r.Meta.Container != "") {
			return true
		}
	}
	return false
}

// staysDown says why a connection is not wanted now, and by which setting; "" if
// it is.
func (u *state) staysDown(r *rsc) (text, rule string) {
	if r.connects == nowhere {
		return "", ""
	}
	if n := &u.nodes[r.connects]; n.status != nil && n.status.State == cib.NodeLeaving {
		return "node " + n.name + " leaves the cluster", ""
	}
	if r.reconnect == 0 {
		return "", ""
	}
	for _, f := range r.ledger.facts {
		if f.reset != nil {
			return describeFailure(f.reset, u.nodes[f.node].name) + "; it is tried again after reconnect_interval", "reconnect_interval"
		}
	}
	return "", ""
}

// endInside forgets what was inside of something that was stopped since: it is
// gone, whatever the last was that it said itself.
func (u *state) endInside() {
	for _, c := range u.rscs {
		if len(c.contains) > 0 {
			u.endInsideOf(c)
		}
	}
}

func (u *state) endInsideOf(c *rsc) {
	for _, f := range c.ledger.facts {
		ended := lastStop(f)
		if ended == nil {
			continue
		}
		for _, x := range c.contains {
			for _, g := range x.ledger.facts { // the connection to what is inside may be another node's
				if (g.node == f.node || x.connects != nowhere && g.failed != nil) && g.history != nil && g.pending == nil && g.role > cib.RoleStopped && newestEnd(g).Before(ended.Ended) {
					g.role, g.failed, g.onFail, g.banned, g.fatal = cib.RoleStopped, nil, 0, "", false
				}
			}
		}
	}
}

// cutOff reports whether a connection is gone that nobody closed, such as by the restart
// of its engine: a guest lives on then. Where it was closed, there was a reason.
func cutOff(conn *rsc) bool {
	var last *cib.OpResult
	for _, f := range conn.ledger.facts {
		if f.history == nil || f.dead {
			continue
		}
		for i := range f.history.Ops {
			op := &f.history.Ops[i]
			if tells := op.Op == cib.OpStart || op.Op == cib.OpStop || op.Op == cib.OpMigrateFrom; tells && (last == nil || op.Ended.After(last.Ended)) {
				last = op
			}
		}
	}
	return last != nil && last.Op != cib.OpStop && last.Succeeded()
}

// lastStop is the stop of an instance on a node that did what it should; nil if
// there was none.
func lastStop(f *fact) *cib.OpResult {
	if f.history == nil || f.dead {
		return nil
	}
	for i := range f.history.Ops {
		if op := &f.history.Ops[i]; op.Op == cib.OpStop && op.Succeeded() {
			return op
		}
	}
	return nil
}

// newestEnd is when the last operation of an instance on a node ended.
func newestEnd(f *fact) time.Time {
	var t time.Time
	for i := range f.history.Ops {
		if end := f.history.Ops[i].Ended; end.After(t) {
			t = end
		}
	}
	return t
}
