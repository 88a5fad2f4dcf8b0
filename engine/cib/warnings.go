package cib

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Warnings returns what is allowed in a configuration but probably not meant, or
// dangerous. It expects a configuration without faults.
func Warnings(c *Config) []Fault {
	v := newValidator(c)
	v.warnCluster()
	v.warnVoters()
	v.warnFencing()
	for _, id := range sortedResources(c) {
		v.warnResource(join("resources", id, false), id, c.Resources[id])
	}
	for _, id := range slices.Sorted(maps.Keys(c.Constraints)) {
		v.warnConstraint(join("constraints", id, false), c.Constraints[id])
	}
	return v.faults
}

// NewWarnings returns the warnings that a change brings: those of the
// configuration after it that did not stand against the one before.
func NewWarnings(before, after *Config) []Fault {
	old := Warnings(before)
	return slices.DeleteFunc(Warnings(after), func(f Fault) bool { return slices.Contains(old, f) })
}

func (v *validator) warnCluster() {
	o := &v.c.Cluster.Options
	if !o.Fencing() {
		v.fault("cluster.options.fencing-required", "fencing is off: after a node failure data may be written by two nodes")
	}
	if p := o.NoQuorum(); p == NoQuorumIgnore || p == NoQuorumFreeze {
		v.fault("cluster.options.no-quorum-policy", "with %s a node that lost quorum keeps its resources, so a watchdog gives no proof", p)
	}
	if !o.FencesAtStartup() && o.Fencing() {
		v.fault("cluster.options.startup-fencing", "a lost node that was not heard since the cluster started is not fenced: what may run there waits until it is back or an administrator confirms that it is off")
	}
	if o.MaintenanceMode {
		v.fault("cluster.options.maintenance-mode", "the cluster starts, stops and monitors nothing")
	}
	if o.StopAllResources {
		v.fault("cluster.options.stop-all-resources", "every resource is stopped")
	}
}

func (v *validator) warnVoters() {
	voters := 0
	for _, n := range v.c.Nodes {
		if n.Voter {
			voters++
		}
	}
	switch {
	case len(v.c.Nodes) == 0:
	case voters == 0:
		v.fault("nodes", "no node is a voter: without an external store nothing can be decided")
	case voters == 1 && len(v.c.Nodes) > 1:
		v.fault("nodes", "one voter: when it fails, the cluster has no quorum")
	case voters == 2 && len(v.c.QuorumDevices) == 0:
		v.fault("nodes", "two voters and no tie-breaker: when one fails, the other has no quorum; add a third voter, an arbiter or a quorum device")
	case voters > 2 && voters%2 == 0:
		v.fault("nodes", "%d voters survive the loss of no more nodes than %d do: use an odd number", voters, voters-1)
	}
	v.warnQuorumDevices(voters)
}

// warnQuorumDevices warns of tie-breakers that are never asked, or weak.
func (v *validator) warnQuorumDevices(voters int) {
	decides := ""
	for _, id := range v.c.QuorumOrder() {
		d := v.c.QuorumDevices[id]
		p := join("quorum-devices", id, false)
		switch {
		case decides != "":
			v.fault(p, "%s is asked before it and always says yes or no: this one is never asked", decides)
		case voters%2 == 1:
			v.fault(p, "%d voters are never split in halves: no tie-breaker is asked", voters)
		case d.Kind == QuorumDevicePing && !v.c.Cluster.Options.Fencing():
			v.fault(p, "ping without fencing: both halves may reach the address and run the same resources")
		case d.Kind == QuorumDeviceNode && !v.c.Cluster.Options.Fencing():
			v.fault(p, "the node with the lowest id goes on alone, whether or not the others still run: without fencing that is nothing but hope")
		}
		if d.Kind != QuorumDevicePing {
			decides = id
		}
	}
}

func (v *validator) warnFencing() {
	if !v.c.Cluster.Options.Fencing() || len(v.c.Nodes) < 2 {
		return
	}
	var bare []string
	for _, name := range slices.Sorted(maps.Keys(v.c.Nodes)) {
		if len(v.c.Devices(name)) == 0 {
			bare = append(bare, name)
		}
	}
	if len(bare) > 0 {
		v.fault("fence-devices", "no device can fence %s: what runs there is not recovered without a watchdog's proof or a person's confirmation", strings.Join(bare, ", "))
	}
}

// Devices lists the fence devices that can fence a node, by id.
func (c *Config) Devices(node string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(c.FenceDevices)) {
		if c.FenceDevices[id].Fences(node) {
			out = append(out, id)
		}
	}
	return out
}

func (v *validator) warnResource(p, id string, r *Resource) {
	if r.Agent != "" {
		monitored := slices.ContainsFunc(r.Operations, func(op Operation) bool {
			return op.Name == OpMonitor && op.Interval > 0 && set(op.Enabled, true)
		})
		if !monitored {
			v.fault(p+".operations", "no recurring monitor: a failure of %s is not noticed while its node is up", id)
		}
		for i := range r.Operations {
			op := &r.Operations[i]
			if (op.Role == RolePromoted || op.Role == RoleUnpromoted) && !v.promotable(id) {
				v.fault(fmt.Sprintf("%s.operations[%d].role", p, i), "%s is never %s outside of a promotable clone: the monitor never runs", id, op.Role)
			}
			if op.Name == OpStop && op.OnFail == OnFailIgnore {
				v.fault(fmt.Sprintf("%s.operations[%d].on-fail", p, i), "with ignore, %s may run on two nodes after a failed stop", id)
			}
		}
	}
	if c := r.Clone; c != nil && c.Max != nil && len(v.c.Nodes) > 0 {
		if room := len(v.c.Nodes) * max(1, c.NodeMax); *c.Max > room {
			v.fault(p+".clone.clone-max", "%d instances, but there is room for %d", *c.Max, room)
		}
	}
	if r.Meta.Requires == "nothing" {
		v.fault(p+".meta.requires", "%s may be started without quorum and without fencing: it may run twice", id)
	}
}

func (v *validator) warnConstraint(p string, c *Constraint) {
	if c.Colocation != nil && c.Colocation.Score == 0 {
		v.fault(p+".colocation.score", "0 has no effect")
	}
	if c.Location != nil && c.Location.Score == 0 && c.Location.Rule == nil {
		v.fault(p+".location.score", "0 has no effect where resources may run anywhere")
	}
	if c.Location != nil && c.Location.Pattern != "" {
		if len(c.Location.Targets(v.c, v.parent)) == 0 {
			v.fault(p+".location.resource-pattern", "fits no resource; one in a group, clone or bundle does not count")
		}
	} else if c.Location != nil {
		v.warnMember(p+".location.resource", c.Location.Resource)
	}
	if c.Colocation != nil {
		v.warnMember(p+".colocation.with", c.Colocation.With)
	}
}

func (v *validator) warnMember(path, id string) {
	if parent := v.parent[id]; parent != "" && v.c.Resources[parent].Kind() == KindGroup {
		v.fault(path, "%s is a member of group %s: the whole group follows, so name the group", id, parent)
	}
}
