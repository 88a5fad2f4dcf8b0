package model

import (
	"net/netip"
	"strings"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// resourceOf is the resource that a path names, if it does.
func resourceOf(p *object.Path) (id string, ok bool) {
	if p == nil {
		return "", false
	}
	switch p.Class {
	case resourceClass, endpointClass:
		return p.Text("Name"), true
	case settingClass:
		return strings.TrimPrefix(p.Text("InstanceID"), settingID), true
	}
	return "", false
}

// eachResource calls f with each resource, or with the one that near names.
func (s *State) eachResource(near *object.Path, f func(*status.Resource) bool) {
	if id, ok := resourceOf(near); ok {
		if r := s.resources[id]; r != nil {
			f(r)
		}
		return
	}
	for k := range s.Summary.Resources {
		if !f(&s.Summary.Resources[k]) {
			return
		}
	}
}

func (s *Source) resourceInstances(near *object.Path, y yield) error {
	s.eachResource(near, func(r *status.Resource) bool { return y(s.resource(r)) })
	return nil
}

func (s *State) resource(r *status.Resource) *object.Instance {
	i := s.new(resourceClass)
	hosted(i, clusterClass, s.name, r.ID)
	text(i, "Description", r.Description)
	i.Set("Caption", r.Kind.String())
	resourceStates[r.State].set(i, r.State.String(), r.Reason)
	requested := requestEnabled
	switch {
	case r.Wanted == cib.RoleStopped:
		requested = requestDisabled
	case r.Maintenance:
		requested = requestQuiesce
	}
	i.Set("RequestedState", requested)
	i.Set("AvailableRequestedStates", requestable(resourceClass))
	at(i, "TimeOfLastStateChange", r.Since)
	i.Set("Started", r.Active > 0)
	i.Set("StartMode", "Automatic")
	number(i, "ResourceType", r.Kind)
	text(i, "Agent", r.Agent)
	number(i, "ResourceState", r.State)
	i.Set("StateReason", r.Reason)
	at(i, "StateSince", r.Since)
	text(i, "Parent", r.Parent)
	texts(i, "Members", r.Members)
	texts(i, "CurrentNodes", r.Nodes)
	texts(i, "PromotedNodes", r.Promoted)
	i.Set("InstancesActive", max(0, r.Active))
	i.Set("InstancesExpected", max(0, r.Expected))
	i.Set("FailCount", int(r.FailCount))
	i.Set("Orphan", r.Orphan)
	i.Set("Managed", r.Managed)
	i.Set("Maintenance", r.Maintenance)
	number(i, "TargetState", r.Wanted)
	if c := s.config.Resources[r.ID]; c != nil {
		meta := s.config.MetaOf(r.ID, s.parents, s.Summary.Time)
		i.Set("Priority", intOf(meta.Priority, 0))
		i.Set("Stickiness", intOf(meta.Stickiness, 0))
		i.Set("MigrationThreshold", max(0, intOf(meta.MigrationThreshold, int(cib.Infinity))))
		i.Set("FailureTimeout", max(0, meta.FailuresExpireAfter().D()).Milliseconds())
		parameters(i, c.Parameters)
	}
	i.Set("ConfigGeneration", s.Config.Generation)
	return i
}

func intOf[T ~int | ~int32](p *T, def int) int {
	if p == nil {
		return def
	}
	return int(*p)
}

func (s *Source) hostedResources(near *object.Path, y yield) error {
	s.eachResource(near, func(r *status.Resource) bool {
		return y(s.link(Root, "Belay_HostedResource", "Antecedent", s.clusterPath(), "Dependent", s.ResourcePath(r.ID)))
	})
	return nil
}

func (s *Source) subResources(near *object.Path, y yield) error {
	more := true
	part := func(parent *status.Resource, only string) bool {
		for n, member := range parent.Members {
			if only != "" && member != only {
				continue
			}
			i := s.link(Root, "Belay_SubResource", "GroupComponent", s.ResourcePath(parent.ID), "PartComponent", s.ResourcePath(member))
			i.Set("Position", min(n+1, 1<<16-1))
			if more = y(i); !more {
				return false
			}
		}
		return true
	}
	s.eachResource(near, func(r *status.Resource) bool { return part(r, "") })
	if id, ok := resourceOf(near); ok && more {
		if r := s.resources[id]; r != nil && r.Parent != "" && s.resources[r.Parent] != nil {
			part(s.resources[r.Parent], id)
		}
	}
	return nil
}

// activity orders the states of instances on one node, the least active first.
var activity = map[status.InstanceState]int{
	status.InstanceNotAllowed: 1, status.InstanceUnknown: 2, status.InstanceStopped: 3, status.InstanceBlocked: 4, status.InstanceFailed: 5,
	status.InstanceStopping: 6, status.InstanceStarting: 7, status.InstanceRunning: 8, status.InstancePromoted: 9,
}

// runningOn tells of each node where there is something to say of a primitive.
func (s *Source) runningOn(near *object.Path, y yield) error {
	node := ""
	if near != nil && (near.Class == nodeClass || near.Class == remoteClass) {
		node = near.Text("Name")
	}
	s.eachResource(near, func(r *status.Resource) bool {
		seen := map[string]*object.Instance{}
		best := map[string]status.InstanceState{}
		var order []string
		for k := range r.Instances {
			x := &r.Instances[k]
			if node != "" && x.Node != node || s.nodes[x.Node] == nil && s.remotes[x.Node] == nil {
				continue
			}
			i := seen[x.Node]
			if i == nil {
				i = s.link(Root, "Belay_RunningOn", "Antecedent", s.machinePath(x.Node), "Dependent", s.ResourcePath(r.ID))
				i.Set("Instances", 0)
				i.Set("FailCount", 0)
				seen[x.Node], order = i, append(order, x.Node)
			}
			count, _ := i.Get("Instances").(uint32)
			i.Set("Instances", count+1)
			fails, _ := i.Get("FailCount").(int32)
			i.Set("FailCount", int(cib.Score(fails).Add(x.FailCount)))
			if activity[x.State] >= activity[best[x.Node]] {
				best[x.Node] = x.State
				number(i, "InstanceState", x.State)
				number(i, "InstanceRole", x.Role)
				text(i, "StateReason", x.Reason)
				at(i, "LastFailure", x.LastFailure)
			}
		}
		for _, name := range order {
			if !y(seen[name]) {
				return false
			}
		}
		return true
	})
	return nil
}

// addressAgents are the types of agents whose parameter "ip" is an address that moves
// with the resource.
var addressAgents = map[string]bool{"IPaddr": true, "IPaddr2": true, "IPv6addr": true, "IPsrcaddr": false, "ip": true}

// eachEndpoint calls f with each resource that is an address, and the address.
func (s *State) eachEndpoint(near *object.Path, f func(id, address string) bool) {
	s.eachResource(near, func(r *status.Resource) bool {
		c := s.config.Resources[r.ID]
		if c == nil || !addressAgents[c.Agent[strings.LastIndex(c.Agent, ":")+1:]] {
			return true
		}
		for _, name := range []string{"ip", "ipv6addr", "address"} {
			if a := c.Parameters[name]; a != "" {
				return f(r.ID, a)
			}
		}
		return true
	})
}

func (s *Source) endpoints(near *object.Path, y yield) error {
	s.eachEndpoint(near, func(id, address string) bool {
		r, c := s.resources[id], s.config.Resources[id]
		i := s.new(endpointClass)
		hosted(i, clusterClass, s.name, id)
		resourceStates[r.State].set(i, r.State.String(), r.Reason)
		i.Set("RequestedState", 12)
		i.Set("NameFormat", "resource")
		i.Set("AddressOrigin", 3)
		bare, length, _ := strings.Cut(address, "/")
		a, err := netip.ParseAddr(bare)
		if length == "" {
			length = c.Parameters["cidr_netmask"]
		}
		p, lengthErr := netip.ParsePrefix(bare + "/" + length)
		switch {
		case err != nil:
			i.Set("ProtocolIFType", 0)
		case a.Is4():
			i.Set("ProtocolIFType", 4096)
			i.Set("IPv4Address", bare)
			if lengthErr == nil {
				mask := ^uint32(0) << (32 - p.Bits())
				i.Set("SubnetMask", netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String())
			}
		default:
			i.Set("ProtocolIFType", 4097)
			i.Set("IPv6Address", bare)
			if lengthErr == nil {
				i.Set("PrefixLength", p.Bits())
			}
		}
		return y(i)
	})
	return nil
}

func (s *Source) endpointServices(near *object.Path, y yield) error {
	s.eachEndpoint(near, func(id, _ string) bool {
		return y(s.link(Root, "CIM_ServiceAccessBySAP", "Antecedent", s.ResourcePath(id), "Dependent", s.servicePath(endpointClass, id)))
	})
	return nil
}
