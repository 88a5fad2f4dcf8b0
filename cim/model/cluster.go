package model

import (
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

func (s *Source) cluster(y yield) { y(s.clusterInstance()) }

func (s *State) clusterInstance() *object.Instance {
	c, q, o := &s.Summary.Cluster, &s.Summary.Quorum, &s.config.Cluster.Options
	i := s.new(clusterClass)
	i.Set("CreationClassName", clusterClass)
	i.Set("Name", s.name)
	i.Set("ElementName", s.name)
	i.Set("NameFormat", "Other")
	i.Set("Caption", "Belay cluster "+s.name)
	i.Set("Types", []int{2})
	i.Set("Dedicated", []int{0})
	i.Set("ResetCapability", 5)
	i.Set("MaxNumberOfNodes", 0)
	cond := clusterStates[c.State]
	switch {
	case o.StopAllResources:
		cond.enabled = disabled
	case o.MaintenanceMode:
		cond.enabled = enabledQuiesced
	}
	cond.set(i, c.State.String(), c.Reason)
	requested := requestEnabled
	switch {
	case o.StopAllResources:
		requested = requestDisabled
	case o.MaintenanceMode:
		requested = requestQuiesce
	}
	i.Set("RequestedState", requested)
	i.Set("AvailableRequestedStates", []int{requestEnabled, requestDisabled, requestQuiesce})
	i.Set("ClusterState", cond.standard)
	number(i, "OverallState", c.State)
	i.Set("StateReason", c.Reason)
	number(i, "QuorumState", q.State)
	i.Set("QuorumReason", q.Reason)
	i.Set("HasQuorum", q.State == status.QuorumQuorate || q.State == status.QuorumNotRequired)
	i.Set("QuorumVotes", q.Votes)
	i.Set("ExpectedVotes", q.Expected)
	i.Set("NeededVotes", q.Needed)
	text(i, "DC", c.DC)
	at(i, "DCSince", c.DCSince)
	i.Set("ViewNumber", c.View)
	texts(i, "Members", c.Members)
	i.Set("ConfigGeneration", s.Config.Generation)
	at(i, "ConfigChanged", c.ConfigChanged)
	i.Set("FeatureLevel", c.FeatureLevel)
	setFields(i, clusterFields, &s.config.Cluster)
	n := &c.Counts
	for _, x := range []struct {
		name string
		n    int
	}{
		{"NodesTotal", n.Nodes},
		{"NodesOnline", n.NodesOnline},
		{"ResourcesTotal", n.Resources},
		{"ResourcesRunning", n.ResourcesRunning},
		{"ResourcesFailed", n.ResourcesFailed},
		{"ActionsInFlight", n.Actions},
		{"AlarmsCritical", n.AlarmsCritical},
		{"AlarmsMajor", n.AlarmsMajor},
		{"AlarmsMinor", n.AlarmsMinor},
		{"AlarmsWarning", n.AlarmsWarning},
	} {
		i.Set(x.name, max(0, x.n))
	}
	alarms, codes := []string{}, []string{}
	for k := range s.Summary.Alarms {
		alarms, codes = append(alarms, s.Summary.Alarms[k].Text), append(codes, s.Summary.Alarms[k].Code)
	}
	i.Set("Alarms", alarms)
	i.Set("AlarmCodes", codes)
	return i
}

// capabilitySets say which states the cluster, a node and a resource can be asked for.
var capabilitySets = []struct {
	id, class string
	states    []int
}{
	{"Belay:Capabilities:Cluster", clusterClass, []int{requestEnabled, requestDisabled, requestQuiesce}},
	{"Belay:Capabilities:Node", nodeClass, []int{requestEnabled, requestOffline, requestQuiesce, requestReboot, requestReset}},
	{"Belay:Capabilities:RemoteNode", remoteClass, []int{requestEnabled, requestOffline, requestQuiesce}},
	{"Belay:Capabilities:Resource", resourceClass, []int{requestEnabled, requestDisabled, requestQuiesce}},
}

// requestable are the states that an instance of a class can be asked for.
func requestable(class string) []int {
	for i := range capabilitySets {
		if capabilitySets[i].class == class {
			return capabilitySets[i].states
		}
	}
	return nil
}

func (s *Source) capabilities(y yield) {
	for k := range capabilitySets {
		i := s.new("CIM_EnabledLogicalElementCapabilities")
		i.Set("InstanceID", capabilitySets[k].id)
		i.Set("ElementName", "States of "+capabilitySets[k].class)
		i.Set("ElementNameEditSupported", false)
		i.Set("MaxElementNameLen", 0)
		i.Set("RequestedStatesSupported", capabilitySets[k].states)
		if !y(i) {
			return
		}
	}
}

func (s *Source) elementCapabilities(near *object.Path, y yield) error {
	paths := map[string]func(func(*object.Path) bool){
		clusterClass: func(p func(*object.Path) bool) { p(s.clusterPath()) },
		nodeClass: func(p func(*object.Path) bool) {
			s.eachNode(near, func(n *status.Node) bool { return p(s.nodePath(n.Name)) })
		},
		remoteClass: func(p func(*object.Path) bool) {
			s.eachRemote(near, func(n *status.Node) bool { return p(s.machinePath(n.Name)) })
		},
		resourceClass: func(p func(*object.Path) bool) {
			s.eachResource(near, func(r *status.Resource) bool { return p(s.ResourcePath(r.ID)) })
		},
	}
	for k := range capabilitySets {
		x := &capabilitySets[k]
		if near != nil && near.Class != x.class && near.Text("InstanceID") != x.id {
			continue
		}
		more := true
		paths[x.class](func(p *object.Path) bool {
			more = y(s.link(Root, "CIM_ElementCapabilities", "ManagedElement", p, "Capabilities", byID("CIM_EnabledLogicalElementCapabilities", x.id)))
			return more
		})
		if !more {
			return nil
		}
	}
	return nil
}

func (s *Source) redundancySet(y yield) {
	i := s.new("Belay_NodeRedundancySet")
	i.Set("InstanceID", setID)
	i.Set("ElementName", "Nodes of "+s.name)
	online, total := s.Summary.Cluster.Counts.NodesOnline, s.Summary.Cluster.Counts.Nodes
	redundancy := 3
	switch {
	case online <= 0:
		redundancy = 5
	case online == total:
		redundancy = 2
	case online == 1:
		redundancy = 4
	}
	i.Set("RedundancyStatus", redundancy)
	i.Set("TypeOfSet", []int{4})
	i.Set("MinNumberNeeded", s.Summary.Quorum.Needed)
	i.Set("MaxNumberSupported", 0)
	i.Set("NumberAvailable", max(0, online))
	y(i)
}

func (s *Source) hostedCollection(y yield) {
	y(s.link(Root, "CIM_HostedCollection", "Antecedent", s.clusterPath(), "Dependent", byID("Belay_NodeRedundancySet", setID)))
}

func (s *Source) nodeInSet(near *object.Path, y yield) error {
	s.eachNode(near, func(n *status.Node) bool {
		return y(s.link(Root, "Belay_NodeInRedundancySet", "Collection", byID("Belay_NodeRedundancySet", setID), "Member", s.nodePath(n.Name)))
	})
	return nil
}

func (s *Source) quorumDevices(y yield) {
	for k := range s.Summary.Quorum.Devices {
		d := &s.Summary.Quorum.Devices[k]
		i := s.new(quorumClass)
		i.Set("DeviceID", d.ID)
		i.Set("Name", d.ID)
		i.Set("ElementName", d.ID)
		cond := running
		state := "ready"
		if d.Failed != "" {
			cond, state = failed, "failed"
		}
		cond.set(i, state, d.Failed)
		i.Set("RequestedState", 12)
		number(i, "DeviceType", d.Kind)
		i.Set("AskOrder", max(0, d.Order))
		i.Set("Asked", d.Asked)
		number(i, "Answer", d.Answer)
		text(i, "StateReason", d.Failed+d.Reason)
		parameters(i, nil)
		if c := s.config.QuorumDevices[d.ID]; c != nil {
			parameters(i, c.Parameters)
		}
		i.Set("ConfigGeneration", s.Config.Generation)
		if !y(i) {
			return
		}
	}
}

func quorumDevicePath(id string) *object.Path {
	return object.NewPath(Root, quorumClass, "DeviceID", id)
}

func (s *Source) tickets(y yield) {
	for k := range s.Summary.Tickets {
		t := &s.Summary.Tickets[k]
		i := s.new("Belay_Ticket")
		i.Set("TicketID", t.ID)
		i.Set("Name", t.ID)
		i.Set("ElementName", t.ID)
		cond, state := condition{opDormant, healthOK, disabled}, "not granted"
		switch {
		case t.Held && t.Standby:
			cond, state = stopping, "standby"
		case t.Held:
			cond, state = running, "granted"
		case t.Granted:
			state = "not held"
		}
		cond.set(i, state, t.Reason)
		i.Set("RequestedState", 12)
		i.Set("Granted", t.Granted)
		i.Set("StandbyMode", t.Standby)
		if !y(i) {
			return
		}
	}
}

// concreteDependencies say what the cluster asks: tie-breakers and tickets.
func (s *Source) concreteDependencies(y yield) {
	for k := range s.Summary.Quorum.Devices {
		if !y(s.link(Root, "CIM_ConcreteDependency", "Antecedent", quorumDevicePath(s.Summary.Quorum.Devices[k].ID), "Dependent", s.clusterPath())) {
			return
		}
	}
	for k := range s.Summary.Tickets {
		if !y(s.link(Root, "CIM_ConcreteDependency", "Antecedent", object.NewPath(Root, "Belay_Ticket", "TicketID", s.Summary.Tickets[k].ID), "Dependent", s.clusterPath())) {
			return
		}
	}
}

// versions are those on the nodes and remote nodes, each once, sorted.
func (s *State) versions() []string {
	var out []string
	s.eachMachine(nil, func(n *status.Node) bool {
		if n.Version != "" {
			out = append(out, n.Version)
		}
		return true
	})
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *Source) software(y yield) {
	for _, v := range s.versions() {
		i := s.new("CIM_SoftwareIdentity")
		i.Set("InstanceID", softwareID+v)
		i.Set("Name", "belayd")
		i.Set("ElementName", "Belay "+v)
		i.Set("VersionString", v)
		i.Set("Manufacturer", "Belay")
		i.Set("Classifications", []int{4})
		i.Set("IsEntity", true)
		condition{operational: opOK, health: healthOK}.setHealth(i)
		parts := strings.SplitN(strings.TrimPrefix(v, "v"), ".", 3)
		for n, name := range []string{"MajorVersion", "MinorVersion", "RevisionNumber"} {
			if n >= len(parts) {
				break
			}
			end := strings.IndexFunc(parts[n], func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(parts[n])
			}
			if x, err := strconv.ParseUint(parts[n][:end], 10, 16); err == nil {
				i.Set(name, x)
			}
		}
		if !y(i) {
			return
		}
	}
}

// setHealth is set for what cannot be enabled.
func (c condition) setHealth(i *object.Instance) {
	i.Set("OperationalStatus", []int{c.operational})
	i.Set("HealthState", c.health)
}

func (s *Source) installedSoftware(near *object.Path, y yield) error {
	s.eachMachine(near, func(n *status.Node) bool {
		return n.Version == "" || y(s.link(Root, "CIM_InstalledSoftwareIdentity", "System", s.machinePath(n.Name), "InstalledSoftware", byID("CIM_SoftwareIdentity", softwareID+n.Version)))
	})
	return nil
}

func (s *Source) elementSoftware(near *object.Path, y yield) error {
	element := func(v string, p *object.Path) bool {
		return y(s.link(Root, "CIM_ElementSoftwareIdentity", "Antecedent", byID("CIM_SoftwareIdentity", softwareID+v), "Dependent", p))
	}
	for _, v := range s.versions() {
		if !element(v, s.clusterPath()) {
			return nil
		}
	}
	s.eachMachine(near, func(n *status.Node) bool { return n.Version == "" || element(n.Version, s.machinePath(n.Name)) })
	return nil
}

const serviceName = "belay"

// ServicePath is the path of the service that manages the cluster.
func (s *State) ServicePath() *object.Path { return s.servicePath(serviceClass, serviceName) }

func (s *Source) clusteringService(y yield) {
	i := s.new(serviceClass)
	hosted(i, clusterClass, s.name, serviceName)
	i.Set("ElementName", "Belay clustering service")
	running.set(i, "running", "")
	i.Set("RequestedState", 12)
	i.Set("StartMode", "Automatic")
	i.Set("Started", true)
	y(i)
}

func (s *Source) authorizationService(y yield) {
	i := s.new("CIM_RoleBasedAuthorizationService")
	hosted(i, clusterClass, s.name, "belay-roles")
	running.set(i, "running", "")
	i.Set("RequestedState", 12)
	i.Set("StartMode", "Automatic")
	i.Set("Started", true)
	y(i)
}

func (s *State) authorizationPath() *object.Path {
	return s.servicePath("CIM_RoleBasedAuthorizationService", "belay-roles")
}

func (s *Source) hostedServices(y yield) {
	paths := []*object.Path{s.ServicePath(), s.authorizationPath()}
	for k := range s.Summary.FenceDevices {
		paths = append(paths, s.servicePath(fenceDeviceClass, s.Summary.FenceDevices[k].ID))
	}
	for _, p := range paths {
		if !y(s.link(Root, "CIM_HostedService", "Antecedent", s.clusterPath(), "Dependent", p)) {
			return
		}
	}
}

func (s *Source) serviceAffects(near *object.Path, y yield) error {
	affects := func(service, p *object.Path) bool {
		return y(s.link(Root, "CIM_ServiceAffectsElement", "AffectedElement", p, "AffectingElement", service))
	}
	if !affects(s.ServicePath(), s.clusterPath()) {
		return nil
	}
	more := true
	s.eachMachine(near, func(n *status.Node) bool {
		more = affects(s.ServicePath(), s.machinePath(n.Name))
		if more && s.remotes[n.Name] != nil && s.resources[n.Name] != nil { // its connection
			more = affects(s.ResourcePath(n.Name), s.machinePath(n.Name))
		}
		return more
	})
	for _, r := range s.roleNames() {
		if !more {
			return nil
		}
		more = affects(s.authorizationPath(), rolePath(r))
	}
	return nil
}

// parameters sets names and values. What is secret is shown as REST shows it, and not as
// NULL: wbemcli can't read an array with NULL in it.
func parameters(i *object.Instance, params map[string]string) {
	names, values := []string{}, []string{}
	for _, name := range sortedKeys(params) {
		names = append(names, name)
		if v := params[name]; v == cib.Redacted || cib.Sealed(v) {
			values = append(values, cib.Redacted)
		} else {
			values = append(values, v)
		}
	}
	i.Set("ParameterNames", names)
	i.Set("ParameterValues", values)
}
