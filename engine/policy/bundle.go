package policy

import (
	"net/netip"
	"strconv"

	"github.com/belay-ha/belay/engine/cib"
)

// A bundle is unpacked into what it is made of. Each replica has a container, and
// where the network says so an address and a connection to the node that the
// container is. The primitive inside becomes a clone, with one instance on each
// of these nodes. All of it has the names that Pacemaker gives it, so that
// histories fit.

// part says what a resource is in a replica of a bundle.
type part uint8

const (
	partNone part = iota
	partContainer
	partIP
	partConnection
	partChild // an instance of the primitive inside
)

// replica is one replica of a bundle.
type replica struct {
	bundle    *rsc
	number    int
	container *rsc
	ip        *rsc   // nil where the replicas have no addresses
	conn      *rsc   // nil where nothing runs inside, and so is child
	child     *rsc   // the instance of the clone inside
	children  []*rsc // its primitives
	node      int32  // that the container is; nowhere
}

// bundle is the bundle that a clone was made for; nil for any other resource.
func (r *rsc) bundle() *rsc {
	if r.parent == nil || r.parent.kind != cib.KindBundle || r.cfg.Clone == nil {
		return nil
	}
	return r.parent
}

// hosted calls f for what of a bundle runs on its hosts.
func (r *rsc) hosted(f func(*rsc)) {
	for _, x := range r.replicas {
		f(x.container)
		if x.ip != nil {
			f(x.ip)
		}
	}
}

// placed calls f for each primitive whose node is where the resource is: of a
// bundle the containers.
func (r *rsc) placed(f func(*rsc)) {
	if r.kind == cib.KindBundle {
		for _, x := range r.replicas {
			f(x.container)
		}
		return
	}
	r.primitives(f)
}

// instances are what is spread over the nodes: of a bundle its containers.
func (r *rsc) instances() []*rsc {
	if r.kind != cib.KindBundle {
		return r.children
	}
	out := make([]*rsc, len(r.replicas))
	for i, x := range r.replicas {
		out[i] = x.container
	}
	return out
}

// replicated reports whether a resource has several instances.
func (r *rsc) replicated() bool { return r.cfg.Clone != nil || r.kind == cib.KindBundle }

// interleaves reports whether constraints between replicated resources hold node
// by node.
func (r *rsc) interleaves() bool {
	return r.cfg.Clone != nil && r.cfg.Clone.Interleave || r.cfg.Bundle != nil && r.cfg.Bundle.Interleave
}

// inner is the clone inside of a bundle; nil if there is none.
func (r *rsc) inner() *rsc {
	if last := len(r.children) - 1; r.kind == cib.KindBundle && last >= 0 && r.children[last].cfg.Clone != nil {
		return r.children[last]
	}
	return nil
}

// addReplicas makes what a bundle consists of.
func (u *state) addReplicas(b *rsc) {
	cfg := b.cfg.Bundle
	inside := u.s.Config.Resources[cfg.Resource]
	switch {
	case cfg.Resource == "":
	case inside == nil || inside.Kind() != cib.KindPrimitive || u.parents[cfg.Resource] != b.base:
		b.fault = "bundle " + b.base + " names " + cfg.Resource + ", " + whyNoChild(inside, inside != nil && u.parents[cfg.Resource] != b.base)
	case !cfg.Reachable():
		b.fault = "bundle " + b.base + " can't reach " + cfg.Resource + " in it: it has neither a control port nor an address range"
	}
	count := min(cfg.Count(), cib.ReplicasMax)
	for i := range count {
		x := &replica{bundle: b, number: i, node: nowhere}
		b.replicas = append(b.replicas, x)
		u.addContainer(b, x)
		u.addAddress(b, x)
	}
	if cfg.Resource == "" || b.fault != "" {
		return
	}
	nodes := make([]int32, count)
	for i := range nodes { // all or nothing
		at, ok := u.nodeIndex[cib.BundleNode(b.base, i)]
		if !ok || u.nodes[at].remote == nil || u.nodes[at].remote.Resource != b.base {
			b.fault = "bundle " + b.base + " needs the name " + cib.BundleNode(b.base, i) + ", which another node or resource has"
			return
		}
		nodes[i] = at
	}
	clone := u.newRsc(b.base+"-clone", b.base+"-clone", innerClone(cfg, count), b, -1)
	for _, x := range b.replicas {
		n := &u.nodes[nodes[x.number]]
		x.node = n.index
		x.conn = u.connection(n, x.container, b, replicaConnection(cfg, x))
		x.conn.replica, x.conn.part = x, partConnection
		b.children = append(b.children, x.conn)
		n.remote.conn, n.remote.container, n.remote.replica = x.conn, x.container, x
		x.container.guest = n.index
		x.child = u.addInstance(clone, x.number)
		x.child.primitives(func(r *rsc) {
			r.replica, r.part = x, partChild
			x.children = append(x.children, r)
		})
	}
	b.children = append(b.children, clone)
	u.byID[cfg.Resource] = b
}

// innerClone is the configuration of the clone inside of a bundle.
func innerClone(b *cib.Bundle, count int) *cib.Resource {
	c := &cib.Clone{
		Resource: b.Resource, Max: &count, NodeMax: b.PerHost(), GloballyUnique: b.PerHost() > 1,
		Ordered: true, Interleave: b.Interleave, Notify: b.Notify, Promotable: b.PromotedMax > 0,
	}
	if c.Promotable {
		c.PromotedMax = &b.PromotedMax
	}
	return &cib.Resource{Clone: c}
}

func (u *state) addContainer(b *rsc, x *replica) {
	cfg := b.cfg.Bundle
	r := &cib.Resource{
		Agent:      "ocf:heartbeat:" + cfg.Launcher(),
		Parameters: containerParameters(b.base, cfg, x.number),
		Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(containerInterval)}},
	}
	if inside := u.s.Config.Resources[cfg.Resource]; inside != nil {
		r.Utilization = inside.Utilization
	}
	x.container = u.addPart(b, x, partContainer, cfg.ContainerOf(b.base, x.number), r)
}

func (u *state) addAddress(b *rsc, x *replica) {
	addr := b.cfg.Bundle.Address(x.number)
	if addr == "" {
		return
	}
	n := b.cfg.Bundle.Network
	params := map[string]string{"ip": addr, "cidr_netmask": strconv.Itoa(prefixBits(n, addr))}
	if n.HostInterface != "" {
		params["nic"] = n.HostInterface
	}
	x.ip = u.addPart(b, x, partIP, cib.AddressOf(b.base, addr), &cib.Resource{
		Agent: "ocf:heartbeat:IPaddr2", Parameters: params,
		Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(containerInterval)}},
	})
}

func (u *state) addPart(b *rsc, x *replica, p part, id string, cfg *cib.Resource) *rsc {
	r := u.newRsc(id, id, cfg, b, -1)
	r.replica, r.part = x, p
	u.bind(r, id)
	if u.byID[id] == nil {
		u.byID[id] = r
	}
	b.children = append(b.children, r)
	return r
}

func prefixBits(n *cib.BundleNetwork, addr string) int {
	if n.HostNetmask > 0 {
		return n.HostNetmask
	}
	if a, err := netip.ParseAddr(addr); err == nil && a.Is6() {
		return 128
	}
	return 32
}

// replicaConnection is the configuration of the connection to a container.
func replicaConnection(b *cib.Bundle, x *replica) *cib.Resource {
	m := cib.Meta{RemoteAddr: b.Address(x.number), RemotePort: b.Network.ControlPort}
	if m.RemoteAddr == "" {
		m.RemoteAddr = "#uname" // the host of the container, wherever that is
	}
	return guestConnection(&m, "")
}

// colocateBundle ties the parts of the replicas together.
func (u *state) colocateBundle(b *rsc) {
	for _, x := range b.replicas {
		if x.ip != nil {
			u.tie(x.ip, x.container, cib.Infinity, b.base)
		}
		if x.conn != nil {
			// The container may be on a remote node, where its connection can't be.
			u.tie(x.conn, x.container, nestedScore, b.base)
		}
	}
}

// nestedScore keeps the connection of a container on its host where that is
// possible: more than any wish, less than a must.
const nestedScore = 10_000

// tie makes an implied colocation.
func (u *state) tie(dependent, primary *rsc, score cib.Score, id string) {
	c := &colocation{id: id, dependent: dependent, primary: primary, score: score, attribute: "#uname", influence: true, withinGroup: true}
	dependent.thisWith = append(dependent.thisWith, c)
	primary.withThis = append(primary.withThis, c)
}

// colocateGuests ties connections, and what says that it is inside of something,
// to what they are inside of.
func (u *state) colocateGuests() {
	for _, r := range u.rscs {
		switch {
		case r.kind == cib.KindBundle:
			u.colocateBundle(r)
		case r.container != nil && r.part == partNone && r.node() == nowhere:
			u.tie(r, r.container, cib.Infinity, r.container.base)
		}
	}
}

// spreadReplicas gives each instance inside of a bundle the facts of its own node.
func (u *state) spreadReplicas(b *rsc) {
	for _, x := range b.replicas {
		for _, r := range x.children {
			if f := r.ledger.on(x.node); f != nil && !f.dead && f.role > cib.RoleStopped {
				r.active = append(r.active, f)
			} else if f != nil && onTheWay(f) {
				r.was = f
			}
		}
	}
}

// assignBundle places the containers as the instances of a clone, then what goes
// with each.
func (p *placer) assignBundle(b *rsc) {
	p.assigned[b.index], p.roles[b.index] = nowhere, cib.RoleStopped
	p.assignInstances(b)
	inner := b.inner()
	for _, x := range b.replicas {
		if x.ip != nil {
			p.assign(x.ip, nowhere)
		}
		host := p.assigned[x.container.index]
		if host >= 0 && p.assigned[b.index] < 0 {
			p.assigned[b.index], p.roles[b.index] = host, cib.RoleStarted
		}
		if x.conn == nil {
			continue
		}
		if host >= 0 && p.nodes[host].remote != nil { // a connection inside of another one
			if outer := p.nodes[host].remote.conn; outer != nil {
				c := &colocation{id: b.base, score: cib.Infinity, attribute: "#uname"}
				p.applyPlaces(x.conn, c, []int32{p.assigned[outer.index]})
			}
		}
		p.assign(x.conn, nowhere)
		if host < 0 && !p.pins[x.conn.index] { // it counts on its node all the same, as in Pacemaker
			p.limits[x.conn.index] = cib.Why{Cause: x.container.base + ", its container, is to run nowhere", Rule: b.base}
			p.assigned[x.conn.index], p.roles[x.conn.index] = nowhere, cib.RoleStopped
		}
		p.joined(&p.nodes[x.node])
		p.assigning[inner.index] = true
		w := p.weights[x.child.leader().index]
		if w[x.node] >= 0 {
			w[x.node] = cib.Infinity
		}
		p.assign(x.child, x.node)
		p.assigning[inner.index] = false
	}
	if inner == nil {
		return
	}
	p.assigned[inner.index], p.roles[inner.index] = nowhere, cib.RoleStopped
	for _, x := range b.replicas {
		if n := p.assigned[x.child.index]; n >= 0 {
			p.assigned[inner.index], p.roles[inner.index] = n, cib.RoleStarted
			break
		}
	}
	p.promote(inner)
}

// applyBundle applies a colocation with a bundle: with where its containers are,
// or those in which the instance has the role.
func (p *placer) applyBundle(r *rsc, c *colocation) {
	places := []int32{}
	for _, x := range c.primary.replicas {
		n := p.assigned[x.container.index]
		if n < 0 || c.withRole != 0 && (x.child == nil || !p.inRole(x.child.leader(), c.withRole)) {
			continue
		}
		places = append(places, n)
	}
	if c.dependent.replicated() && c.attribute == "#uname" {
		p.applyNearest(r, c, places)
		return
	}
	p.applyPlaces(r, c, places)
}

// applyNearest ties an instance to one of several places: the best of its own
// nodes.
func (p *placer) applyNearest(r *rsc, c *colocation, places []int32) {
	w := p.weights[r.index]
	best := nowhere
	for _, n := range places {
		if w[n] < 0 || !p.nodes[n].usable {
			continue
		}
		if best == nowhere || p.better(w, n, best, nowhere) {
			best = n
		}
	}
	switch {
	case best != nowhere:
		p.applyPlaces(r, c, []int32{best})
	case c.score >= cib.Infinity:
		p.applyPlaces(r, c, []int32{})
	}
}

// inside is the primitive in a container of a bundle; anything else is itself.
func (r *rsc) inside() *rsc {
	if r.part == partContainer && r.replica.child != nil {
		return r.replica.child.leader()
	}
	return r
}

// hostOf is the node that a container of a bundle is placed on; of any other node
// itself.
func (p *placer) hostOf(n int32) int32 {
	if r := p.nodes[n].remote; r != nil && r.replica != nil {
		if host := p.assigned[r.container.index]; host >= 0 {
			return host
		}
	}
	return n
}

// attributeNode is the node whose attributes count for a resource on a node: for
// what is inside of a bundle that can be the host of its container.
func (p *placer) attributeNode(r *rsc, n *node) *node {
	if r.part == partChild && r.replica.bundle.cfg.Bundle.AttributeTarget == "host" {
		return &p.nodes[p.hostOf(n.index)]
	}
	return n
}

// promotedWith lists the colocations of a promotable clone; those of one inside
// of a bundle are the bundle's.
func promotedWith(c *rsc) []*colocation {
	if b := c.bundle(); b != nil {
		return b.thisWith
	}
	return c.thisWith
}

// withPromoted lists the colocations with a promotable clone.
func withPromoted(c *rsc) []*colocation {
	if b := c.bundle(); b != nil {
		return b.withThis
	}
	return c.withThis
}

// namesOf are the names under which constraints mean a clone.
func namesOf(c, i *rsc) []string {
	if b := c.bundle(); b != nil {
		return []string{b.base, i.base}
	}
	return []string{c.base, i.base}
}
