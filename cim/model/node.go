package model

import (
	"cmp"
	"maps"
	"slices"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// eachNode calls f with each node, or with the one that near names.
func (s *State) eachNode(near *object.Path, f func(*status.Node) bool) {
	if near != nil && near.Class == nodeClass {
		if n := s.nodes[near.Text("Name")]; n != nil {
			f(n)
		}
		return
	}
	for k := range s.Summary.Nodes {
		if !f(&s.Summary.Nodes[k]) {
			return
		}
	}
}

// eachMachine calls f with each node and each remote node, or with the one that near names.
func (s *State) eachMachine(near *object.Path, f func(*status.Node) bool) {
	more := true
	if near == nil || near.Class != remoteClass {
		s.eachNode(near, func(n *status.Node) bool {
			more = f(n)
			return more
		})
	}
	if more && (near == nil || near.Class != nodeClass) {
		s.eachRemote(near, f)
	}
}

// eachRemote calls f with each remote node, or with the one that near names.
func (s *State) eachRemote(near *object.Path, f func(*status.Node) bool) {
	for k := range s.Summary.Remotes {
		n := &s.Summary.Remotes[k]
		if (near == nil || near.Class != remoteClass || near.Text("Name") == n.Name) && !f(n) {
			return
		}
	}
}

func (s *Source) remoteInstances(near *object.Path, y yield) error {
	s.eachRemote(near, func(n *status.Node) bool { return y(s.remote(n)) })
	return nil
}

func (s *Source) nodeInstances(near *object.Path, y yield) error {
	s.eachNode(near, func(n *status.Node) bool { return y(s.node(n)) })
	return nil
}

// machine begins a node or a remote node with what both have.
func (s *State) machine(class string, n *status.Node) *object.Instance {
	i := s.new(class)
	i.Set("CreationClassName", class)
	i.Set("Name", n.Name)
	i.Set("ElementName", n.Name)
	i.Set("NameFormat", "Other")
	i.Set("Dedicated", []int{0})
	cond := nodeStates[n.State]
	if n.State == status.NodeOnline {
		switch n.Health {
		case status.HealthYellow:
			cond.operational, cond.health = opDegraded, healthDegraded
		case status.HealthRed:
			cond.operational, cond.health = opError, healthMajor
		case status.HealthUnknown, status.HealthGreen:
		}
	}
	cond.set(i, n.State.String(), n.Reason)
	requested := requestEnabled
	switch n.Admin {
	case status.AdminStandby:
		requested = requestOffline
	case status.AdminMaintenance:
		requested = requestQuiesce
	case status.AdminOnline:
	}
	i.Set("RequestedState", requested)
	i.Set("AvailableRequestedStates", requestable(class))
	at(i, "TimeOfLastStateChange", n.Since)
	number(i, "NodeState", n.State)
	i.Set("StateReason", n.Reason)
	at(i, "StateSince", n.Since)
	number(i, "AdminState", n.Admin)
	number(i, "NodeHealth", n.Health)
	text(i, "SoftwareVersion", n.Version)
	text(i, "BootID", n.BootID)
	i.Set("InstancesRunning", n.Running)
	i.Set("InstancesFailed", n.Failed)
	text(i, "FenceProof", n.Proof)
	i.Set("ConfigGeneration", s.Config.Generation)
	return i
}

func (s *State) node(n *status.Node) *object.Instance {
	i := s.machine(nodeClass, n)
	i.Set("Caption", "Node of Belay cluster "+s.name)
	i.Set("ResetCapability", 4)
	number(i, "NodeRole", n.Role)
	i.Set("NodeID", n.ID)
	i.Set("IsDC", n.Name == s.Summary.Cluster.DC)
	i.Set("IsMember", n.Member)
	i.Set("Voter", n.Voter)
	i.Set("Votes", max(0, n.Votes))
	text(i, "Site", n.Site)
	texts(i, "Addresses", n.Addresses)
	at(i, "OnlineSince", n.UpSince)
	number(i, "FencingReadiness", n.Fence)
	i.Set("ClockOffset", n.ClockOffset.Milliseconds())
	setFields(i, nodeFields, s.config.Nodes[n.Name])
	return i
}

func (s *State) remote(n *status.Node) *object.Instance {
	i := s.machine(remoteClass, n)
	i.Set("Caption", "Remote node of Belay cluster "+s.name)
	i.Set("ResetCapability", 5)
	text(i, "Host", n.Host)
	settings := s.config.RemoteNodes[n.Name]
	if settings == nil {
		settings = &cib.RemoteNode{}
	}
	setFields(i, remoteFields, settings)
	return i
}

func (s *Source) participating(near *object.Path, y yield) error {
	s.eachNode(near, func(n *status.Node) bool {
		i := s.link(Root, "Belay_ParticipatingNode", "Antecedent", s.nodePath(n.Name), "Dependent", s.clusterPath())
		i.Set("StateOfNode", nodeStates[n.State].standard)
		role := 2
		switch {
		case n.Name == s.Summary.Cluster.DC:
			role = 3
		case n.State == status.NodeStandby:
			role = 5
		}
		i.Set("RoleOfNode", role)
		return y(i)
	})
	return nil
}

// eachLink calls f with each link of the node that near names, or of all.
func (s *State) eachLink(near *object.Path, f func(*status.Link) bool) {
	node := ""
	if near != nil {
		switch near.Class {
		case nodeClass:
			node = near.Text("Name")
		case linkClass:
			node = near.Text("SystemName")
		case clusterClass, endpointClass:
			return
		}
	}
	for k := range s.Summary.Links {
		if l := &s.Summary.Links[k]; (node == "" || l.Node == node) && !f(l) {
			return
		}
	}
}

func (s *Source) links(near *object.Path, y yield) error {
	s.eachLink(near, func(l *status.Link) bool {
		i := s.new(linkClass)
		hosted(i, nodeClass, l.Node, linkName(l))
		linkStates[l.State].set(i, l.State.String(), "")
		i.Set("RequestedState", 12)
		at(i, "TimeOfLastStateChange", l.Since)
		i.Set("NameFormat", "node:link")
		i.Set("ProtocolIFType", 1)
		i.Set("OtherTypeDescription", "Belay heartbeat over UDP")
		i.Set("LinkNumber", max(0, l.Link))
		text(i, "LocalAddress", l.Address)
		text(i, "RemoteAddress", l.PeerAddress)
		i.Set("RemoteNode", l.Peer)
		number(i, "LinkState", l.State)
		i.Set("RoundTripTime", min(max(0, l.RTT.Microseconds()), 1<<32-1))
		i.Set("Loss", l.Loss*100)
		i.Set("MessagesSent", l.Sent)
		i.Set("MessagesReceived", l.Received)
		i.Set("MessagesRejected", l.Rejected)
		return y(i)
	})
	return nil
}

func (s *Source) hostedAccessPoints(near *object.Path, y yield) error {
	more := true
	s.eachLink(near, func(l *status.Link) bool {
		more = y(s.link(Root, "CIM_HostedAccessPoint", "Antecedent", s.nodePath(l.Node), "Dependent", s.linkPath(l)))
		return more
	})
	if !more || near != nil && (near.Class == nodeClass || near.Class == linkClass) {
		return nil
	}
	s.eachEndpoint(near, func(id, _ string) bool {
		return y(s.link(Root, "CIM_HostedAccessPoint", "Antecedent", s.clusterPath(), "Dependent", s.servicePath(endpointClass, id)))
	})
	return nil
}

func (s *Source) powerManagement(near *object.Path, y yield) error {
	for k := range s.Summary.FenceDevices {
		d := &s.Summary.FenceDevices[k]
		if near != nil && near.Class == fenceDeviceClass && near.Text("Name") != d.ID {
			continue
		}
		for _, target := range d.Targets {
			n := cmp.Or(s.nodes[target], s.remotes[target])
			if n == nil || near != nil && (near.Class == nodeClass || near.Class == remoteClass) && near.Text("Name") != target {
				continue
			}
			i := s.link(Root, "CIM_AssociatedPowerManagementService", "ServiceProvided", s.servicePath(fenceDeviceClass, d.ID), "UserOfService", s.machinePath(target))
			switch {
			case n.Member, n.Role == status.RoleRemote && n.State == status.NodeOnline:
				i.Set("PowerState", 2)
			case n.State == status.NodeFenced:
				i.Set("PowerState", 6)
			}
			if !y(i) {
				return nil
			}
		}
	}
	return nil
}
