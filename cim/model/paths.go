package model

import (
	"strconv"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/status"
)

// Names of classes that come up in several places.
const (
	clusterClass     = "Belay_Cluster"
	nodeClass        = "Belay_Node"
	remoteClass      = "Belay_RemoteNode"
	resourceClass    = "Belay_Resource"
	settingClass     = "Belay_ResourceSetting"
	constraintClass  = "Belay_Constraint"
	fenceDeviceClass = "Belay_FenceDevice"
	quorumClass      = "Belay_QuorumDevice"
	serviceClass     = "Belay_ClusteringService"
	jobClass         = "Belay_Job"
	roleClass        = "CIM_Role"
	linkClass        = "Belay_Link"
	endpointClass    = "CIM_IPProtocolEndpoint"
)

// Prefixes of InstanceID.
const (
	settingID    = "Belay:Resource:"
	constraintID = "Belay:Constraint:"
	jobID        = "Belay:Job:"
	softwareID   = "Belay:Software:"
	auditID      = "Belay:Audit:"
	setID        = "Belay:Nodes"
)

func (s *State) systemPath(class, name string) *object.Path {
	return object.NewPath(Root, class, "CreationClassName", class, "Name", name)
}

func (s *State) clusterPath() *object.Path { return s.systemPath(clusterClass, s.name) }

func (s *State) nodePath(name string) *object.Path { return s.systemPath(nodeClass, name) }

// machinePath is the path of a node or of a remote node.
func (s *State) machinePath(name string) *object.Path {
	if s.remotes[name] != nil {
		return s.systemPath(remoteClass, name)
	}
	return s.nodePath(name)
}

// onSystem is the path of a service or access point of a system.
func onSystem(namespace, systemClass, system, class, name string) *object.Path {
	return object.NewPath(namespace, class, "SystemCreationClassName", systemClass, "SystemName", system, "CreationClassName", class, "Name", name)
}

// servicePath is the path of something that the cluster hosts.
func (s *State) servicePath(class, name string) *object.Path {
	return onSystem(Root, clusterClass, s.name, class, name)
}

// ResourcePath is the path of a resource.
func (s *State) ResourcePath(id string) *object.Path { return s.servicePath(resourceClass, id) }

func byID(class, id string) *object.Path { return object.NewPath(Root, class, "InstanceID", id) }

// JobPath is the path of a job.
func JobPath(id string) *object.Path { return byID(jobClass, jobID+id) }

func (s *State) linkPath(l *status.Link) *object.Path {
	return onSystem(Root, nodeClass, l.Node, linkClass, linkName(l))
}

func linkName(l *status.Link) string { return l.Peer + ":" + strconv.Itoa(l.Link) }

// hosted sets the keys that say which system something is on.
func hosted(i *object.Instance, systemClass, system, name string) {
	i.Set("SystemCreationClassName", systemClass)
	i.Set("SystemName", system)
	i.Set("CreationClassName", i.Class().Name)
	i.Set("Name", name)
	i.Set("ElementName", name)
}

// at sets a time, and nothing where it is not known.
func at(i *object.Instance, name string, t time.Time) {
	if !t.IsZero() {
		i.Set(name, t.UTC())
	}
}

// text sets a text, and nothing where it is empty.
func text(i *object.Instance, name, v string) {
	if v != "" {
		i.Set(name, v)
	}
}

// number sets a value of an enumeration, and nothing where it is zero.
func number[T ~uint8](i *object.Instance, name string, v T) {
	if v != 0 {
		i.Set(name, int(v))
	}
}

// texts sets an array, which is empty rather than NULL.
func texts(i *object.Instance, name string, v []string) {
	if v == nil {
		v = []string{}
	}
	i.Set(name, v)
}

func (c condition) set(i *object.Instance, state, reason string) {
	i.Set("OperationalStatus", []int{c.operational})
	i.Set("StatusDescriptions", []string{reasonOr(reason, state)})
	i.Set("HealthState", c.health)
	i.Set("EnabledState", c.enabled)
	if c.enabled == enabledOther {
		i.Set("OtherEnabledState", state)
	}
	i.Set("EnabledDefault", requestEnabled)
}

func reasonOr(reason, state string) string {
	if reason == "" {
		return state
	}
	return reason
}
