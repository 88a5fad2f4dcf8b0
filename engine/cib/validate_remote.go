package cib

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// remoteNodes checks the settings of remote nodes and guests, and that the names
// of those that the resources make are free.
func (v *validator) remoteNodes() {
	for _, name := range slices.Sorted(maps.Keys(v.c.RemoteNodes)) {
		p, n := join("remote-nodes", name, false), v.c.RemoteNodes[name]
		v.id(p, name, IDMax)
		if !v.present(p, n != nil) {
			continue
		}
		if _, ok := v.remotes[name]; !ok {
			v.fault(p, "no resource connects to a node of that name")
		}
		if n.Site != "" {
			v.id(p+".site", n.Site, IDMax)
		}
		v.values(p+".attributes", n.Attributes, false)
		v.utilization(p+".utilization", n.Utilization)
	}
	for _, id := range sortedResources(v.c) {
		r, p := v.c.Resources[id], join("resources", id, false)
		if r.Agent == AgentRemote && v.c.Nodes[id] != nil {
			v.fault(p, "the id of a connection is the name of a node, and a cluster node has the name %s already", id)
		}
		if r.Meta.RemoteNode != "" {
			v.freeName(p+".meta.remote-node", r.Meta.RemoteNode, id)
		}
		if r.Bundle != nil && r.Bundle.Resource != "" {
			for i := range min(r.Bundle.Count(), ReplicasMax) {
				v.freeName(p+".bundle", BundleNode(id, i), id)
			}
		}
	}
}

// freeName reports a name of a guest that something else has.
func (v *validator) freeName(path, name, id string) {
	switch {
	case v.c.Nodes[name] != nil:
		v.fault(path, "a node %s exists already: a guest needs a name of its own", name)
	case v.c.Resources[name] != nil:
		v.fault(path, "a resource %s exists already: the connection of the guest has that name", name)
	default:
		if r, ok := v.remotes[name]; ok && r.Resource != id {
			v.fault(path, "%s makes a guest %s already", r.Resource, name)
		}
	}
}

// inside checks the meta attributes of guests, and of what is inside of something.
func (v *validator) inside(p, id string, r *Resource) {
	m := &r.Meta
	if r.Agent == "" {
		if m.RemoteNode != "" {
			v.fault(p+".meta.remote-node", "only a primitive can be a guest")
		}
	}
	if m.RemoteNode != "" {
		v.id(p+".meta.remote-node", m.RemoteNode, IDMax)
		if r.Agent == AgentRemote {
			v.fault(p+".meta.remote-node", "%s is a connection, and can't be a guest", id)
		}
	} else if m.RemoteAddr != "" || m.RemotePort != 0 || m.RemoteConnectTimeout != nil || m.RemoteAllowMigrate != nil {
		v.fault(p+".meta", "settings of a guest need remote-node, its name")
	}
	if m.RemoteNode != "" || r.Agent == AgentRemote {
		for x := v.parent[id]; x != ""; x = v.parent[x] {
			if outer := v.c.Resources[x]; outer != nil && (outer.Clone != nil || outer.Bundle != nil) {
				v.fault(p, "is in %s %s: what is a node, or connects to one, has no instances", outer.Kind(), x)
				break
			}
		}
	}
	v.number(p+".meta.remote-port", m.RemotePort, 65535)
	v.optional(p+".meta.remote-connect-timeout", m.RemoteConnectTimeout, 0, hour)
	if c := m.Container; c != "" && v.resourceRef(p+".meta.container", c) {
		switch {
		case c == id:
			v.fault(p+".meta.container", "%s cannot be inside of itself", id)
		case v.c.Resources[c].Agent == "":
			v.fault(p+".meta.container", "%s is a %s; only a primitive has something inside", c, v.c.Resources[c].Kind())
		case v.c.Resources[c].Meta.Container == id:
			v.fault(p+".meta.container", "%s and %s would be inside of each other", id, c)
		}
	}
}

// notForAll refuses defaults that make sense for one resource only.
func (v *validator) notForAll(p string, m *Meta) {
	if m.RemoteNode != "" || m.RemoteAddr != "" || m.RemotePort != 0 || m.RemoteConnectTimeout != nil || m.RemoteAllowMigrate != nil || m.Container != "" {
		v.fault(p, "settings of guests and containers belong to one resource: set them there")
	}
}

func (v *validator) bundle(p string, b *Bundle) {
	v.oneOf(p+".container", b.Container, Launchers...)
	if b.Image == "" {
		v.fault(p+".image", "names no image to run")
	}
	v.number(p+".replicas", b.Replicas, ReplicasMax)
	v.number(p+".replicas-per-host", b.ReplicasPerHost, ReplicasMax)
	v.number(p+".promoted-max", b.PromotedMax, ReplicasMax)
	v.oneOf(p+".container-attribute-target", b.AttributeTarget, "host")
	v.values(p, map[string]string{"image": b.Image, "run-command": b.RunCommand, "options": b.Options, "network-mode": b.NetworkMode}, false)
	if b.Resource != "" && !b.Reachable() {
		v.fault(p+".network", "%s inside needs a way to it: set ip-range-start or control-port", shorten(b.Resource))
	}
	if n := b.Network; n != nil {
		v.bundleNetwork(p+".network", n, b)
	}
	for i := range b.Storage {
		m, at := &b.Storage[i], fmt.Sprintf("%s.storage[%d]", p, i)
		if !strings.HasPrefix(m.TargetDir, "/") {
			v.fault(at+".target-dir", "%q is no absolute path", shorten(m.TargetDir))
		}
		if (m.SourceDir == "") == (m.SourceDirRoot == "") {
			v.fault(at, "needs one of source-dir and source-dir-root")
		} else if !strings.HasPrefix(m.SourceDir+m.SourceDirRoot, "/") {
			v.fault(at, "%q is no absolute path", shorten(m.SourceDir+m.SourceDirRoot))
		}
	}
}

func (v *validator) bundleNetwork(p string, n *BundleNetwork, b *Bundle) {
	if n.IPRangeStart != "" {
		if _, err := netip.ParseAddr(n.IPRangeStart); err != nil {
			v.fault(p+".ip-range-start", "%q is no IP address", shorten(n.IPRangeStart))
		} else if b.Address(min(b.Count(), ReplicasMax)-1) == "" {
			v.fault(p+".ip-range-start", "there are not %d addresses from %s on", b.Count(), n.IPRangeStart)
		}
	} else if b.PerHost() > 1 {
		v.fault(p, "several replicas on one host need addresses of their own: set ip-range-start")
	}
	v.number(p+".host-netmask", n.HostNetmask, 128)
	v.number(p+".control-port", n.ControlPort, 65535)
	for i := range n.PortMap {
		m, at := &n.PortMap[i], fmt.Sprintf("%s.port-map[%d]", p, i)
		v.number(at+".port", m.Port, 65535)
		v.number(at+".internal-port", m.InternalPort, 65535)
		if (m.Port == 0) == (m.Range == "") {
			v.fault(at, "needs one of port and range")
		}
	}
}

// Undriven lists what a cluster can't run at its feature level, since the engines of an
// older release do not know it: remote nodes, guests and bundles, and what they would
// pass over. A daemon refuses it.
func Undriven(c *Config, level int) []Fault {
	var out []Fault
	add := func(path, what string, needed int) {
		if level < needed {
			out = append(out, Fault{path, fmt.Sprintf("%s: the cluster runs at feature level %d, %d is needed; upgrade the other nodes first", what, level, needed)})
		}
	}
	for _, id := range sortedResources(c) {
		r, p := c.Resources[id], join("resources", id, false)
		switch {
		case r.Bundle != nil:
			add(p+".bundle", "a bundle", GuestLevel)
		case r.Agent == AgentRemote:
			add(p+".agent", "the connection of a remote node", RemoteLevel)
		case r.Meta.RemoteNode != "":
			add(p+".meta.remote-node", "a guest node", GuestLevel)
		}
	}
	if level < readLevel {
		out = append(out, misread(c, level)...)
	}
	return out
}

// readLevel is the feature level from which on engines know all that a configuration of
// this release may say.
const readLevel = 2

// misread lists what an engine of an older feature level would pass over: it would run
// something else than was written.
func misread(c *Config, level int) []Fault {
	var out []Fault
	add := func(path string) {
		out = append(out, Fault{path, fmt.Sprintf("the cluster runs at feature level %d, and its older engines would pass over this; upgrade the other nodes first", level)})
	}
	if len(c.Cluster.ResourceDefaultRules) > 0 {
		add("cluster.resource-default-rules")
	}
	if len(c.Cluster.OpDefaultRules) > 0 {
		add("cluster.op-default-rules")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Nodes)) {
		if c.Nodes[name].Votes > 1 {
			add(join("nodes", name, false) + ".votes")
		}
	}
	for _, id := range sortedResources(c) {
		if c.Resources[id].Restarts > 0 {
			add(join("resources", id, false) + ".restarts")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Constraints)) {
		if l := c.Constraints[id].Location; l != nil && l.Pattern != "" {
			add(join("constraints", id, false) + ".location.resource-pattern")
		}
	}
	return out
}
