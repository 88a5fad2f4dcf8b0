package status

import (
	"fmt"
	"maps"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// implied lists the resources that nobody configures, with what each belongs to: the
// connection of a guest to the guest, the parts of a replica to the bundle.
func implied(c *cib.Config) map[string]string {
	out := map[string]string{}
	for _, r := range c.Remotes() {
		if r.Guest {
			out[r.Name] = r.Resource
		}
	}
	for id, r := range c.Resources {
		if r == nil || r.Bundle == nil {
			continue
		}
		for i := range min(r.Bundle.Count(), cib.ReplicasMax) {
			for _, part := range parts(id, r.Bundle, i) {
				out[part] = id
			}
		}
	}
	return out
}

// parts are the container of a replica, and its address.
func parts(id string, b *cib.Bundle, replica int) []string {
	out := []string{b.ContainerOf(id, replica)}
	if a := b.Address(replica); a != "" {
		out = append(out, cib.AddressOf(id, a))
	}
	return out
}

// bundle judges a bundle by its containers; its addresses and connections must be
// sound, too.
func (b *builder) bundle(r *Resource, s *settings, cfg *cib.Bundle, rows []int) {
	var containers Resource
	for i := range min(cfg.Count(), cib.ReplicasMax) {
		containers.Instances = append(containers.Instances, b.instances[cfg.ContainerOf(r.ID, i)]...)
		for _, part := range parts(r.ID, cfg, i) {
			r.Instances = append(r.Instances, b.instances[part]...)
			r.Actions = append(r.Actions, b.actionsOf[part]...)
		}
		if cfg.Resource != "" {
			r.Instances = append(r.Instances, b.instances[cib.BundleNode(r.ID, i)]...)
			r.Actions = append(r.Actions, b.actionsOf[cib.BundleNode(r.ID, i)]...)
		}
	}
	t := b.tally(r)
	b.tally(&containers)
	nodes := map[string]bool{}
	for _, n := range containers.Nodes {
		nodes[n] = true
	}
	r.Active, r.Since, r.Nodes = containers.Active, containers.Since, slices.Sorted(maps.Keys(nodes))
	if r.Wanted != cib.RoleStopped {
		r.Expected = cfg.Count()
	}
	r.State, r.Reason = t.cloned(r) // by its containers, and what failed of all its parts
	if len(rows) > 0 {
		child := &b.out.Resources[rows[0]]
		r.Promoted, child.Expected = child.Promoted, r.Expected
		if bad := b.worst(rows); r.State == ResourceRunning && bad != nil {
			r.State, r.Reason = bad.State, prefixed(bad.ID+": ", bad.Reason)
		}
	}
	if r.Reason == "" && r.Active < r.Expected && r.Active > 0 {
		r.Reason = fmt.Sprintf("%d of %d replicas are active", r.Active, r.Expected)
	}
	if !s.managed && r.State != ResourceFailed && r.State != ResourceBlocked {
		r.State, r.Reason = ResourceUnmanaged, b.unmanagedBy(r, s)
	}
}
