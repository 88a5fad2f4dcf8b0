package pacemaker

import (
	"maps"
	"slices"
	"strconv"

	"github.com/belay-ha/belay/engine/cib"
)

// inside is what a describer knows of remote nodes, guests and bundles.
type inside struct {
	config  *cib.Config
	remotes map[string]cib.Remote // by node
	guests  map[string]string     // guest, by the id of what it is inside of
	implied map[string]bool       // parts of bundles, and connections of guests: shown with what they belong to
	roles   map[string]bool       // bundles whose primitive has roles
}

func newInside(c *cib.Config) *inside {
	x := &inside{c, map[string]cib.Remote{}, map[string]string{}, map[string]bool{}, map[string]bool{}}
	for _, r := range c.Remotes() {
		x.remotes[r.Name] = r
		if !r.Guest {
			continue
		}
		x.implied[r.Name] = true
		container := r.Resource
		if r.Replica >= 0 {
			container = containerOf(c, r.Resource, r.Replica)
		}
		x.guests[container] = r.Name
	}
	for id, r := range c.Resources {
		if r == nil || r.Bundle == nil {
			continue
		}
		x.implied[r.Bundle.Resource] = true
		x.roles[id] = r.Bundle.PromotedMax > 0
		for i := range min(r.Bundle.Count(), cib.ReplicasMax) {
			x.implied[containerOf(c, id, i)] = true
			if addr := r.Bundle.Address(i); addr != "" {
				x.implied[cib.AddressOf(id, addr)] = true
			}
		}
	}
	return x
}

// containerOf is the id of the container of a replica.
func containerOf(c *cib.Config, bundle string, replica int) string {
	return c.Resources[bundle].Bundle.ContainerOf(bundle, replica)
}

// empty takes what ran in guests away whose container does not run.
func (x *inside) empty(now running) {
	for {
		before := len(now)
		up := map[string]bool{}
		for k := range now {
			up[k[0]] = true
		}
		for container, guest := range x.guests {
			if !up[container] {
				now.end(guest)
			}
		}
		if len(now) == before {
			return
		}
	}
}

// end takes away what runs on a node.
func (now running) end(node string) {
	maps.DeleteFunc(now, func(k [2]string, _ cib.Role) bool { return k[1] == node })
}

// bundles lists the replicas of bundles: where the container is, and the role of
// what is inside.
func (x *inside) bundles(now running) []Place {
	c := x.config
	var out []Place
	at := map[string]string{}                // node, by instance: containers run once
	role := map[string]map[string]cib.Role{} // by guest, by instance
	for k, r := range now {
		at[k[0]] = k[1]
		if role[k[1]] == nil {
			role[k[1]] = map[string]cib.Role{}
		}
		role[k[1]][k[0]] = r
	}
	for _, id := range slices.Sorted(maps.Keys(x.roles)) {
		b := c.Resources[id].Bundle
		for i := range min(b.Count(), cib.ReplicasMax) {
			p := Place{Resource: id, Instance: &i, Role: cib.RoleStopped.String()}
			if host, ok := at[containerOf(c, id, i)]; ok {
				p.Node = &host
				p.Role = x.roleInside(id, b, role[cib.BundleNode(id, i)], i)
			}
			out = append(out, p)
		}
	}
	return out
}

func (x *inside) roleInside(id string, b *cib.Bundle, inside map[string]cib.Role, replica int) string {
	if b.Resource == "" {
		if x.roles[id] {
			return cib.RoleUnpromoted.String()
		}
		return cib.RoleStarted.String()
	}
	r, ok := inside[b.Resource]
	if !ok {
		r, ok = inside[b.Resource+":"+strconv.Itoa(replica)]
	}
	switch {
	case !ok:
		return cib.RoleStopped.String()
	case x.roles[id] && r == cib.RoleStarted:
		r = cib.RoleUnpromoted
	case !x.roles[id]:
		r = cib.RoleStarted
	}
	return r.String()
}
