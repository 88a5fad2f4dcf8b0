package status

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
)

// name returns the name of v; "" for the zero value.
func name[T ~uint8](table cib.Enum[T], v T) string {
	if v == 0 {
		return ""
	}
	return table.Name(v)
}

func marshal[T ~uint8](table cib.Enum[T], v T) ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	if int(v) > len(table) {
		return nil, fmt.Errorf("%T has no value %d", v, uint8(v))
	}
	return []byte(table.Name(v)), nil
}

func unmarshal[T ~uint8](table cib.Enum[T], v *T, b []byte) error {
	*v = 0
	if len(b) == 0 {
		return nil
	}
	x, err := table.Parse(string(b))
	*v = x
	return err
}

// ClusterState is the overall state of a cluster.
type ClusterState uint8

// The values of [ClusterState]; numbers as in the MIB.
const (
	ClusterUnknown     ClusterState = iota + 1 // not known yet
	ClusterNormal                              // everything is as it should be
	ClusterDegraded                            // services run, but something that protects them is missing
	ClusterFailed                              // a service that should run does not
	ClusterMaintenance                         // the cluster leaves everything alone
	ClusterNoQuorum                            // no part of the cluster may act, or this one may not
)

// ClusterStates is the table of [ClusterState].
var ClusterStates = cib.Enum[ClusterState]{
	{Value: ClusterUnknown, Name: "unknown", Text: "not known yet"},
	{Value: ClusterNormal, Name: "normal", Text: "everything is as it should be"},
	{Value: ClusterDegraded, Name: "degraded", Text: "services run, but something that protects them is missing"},
	{Value: ClusterFailed, Name: "failed", Text: "a service that should run does not"},
	{Value: ClusterMaintenance, Name: "maintenance", Text: "the cluster leaves everything alone"},
	{Value: ClusterNoQuorum, Name: "no-quorum", Text: "no part of the cluster may act, or this one may not"},
}

// String returns the name of v; "" for the zero value.
func (v ClusterState) String() string { return name(ClusterStates, v) }

// MarshalText writes the name.
func (v ClusterState) MarshalText() ([]byte, error) { return marshal(ClusterStates, v) }

// UnmarshalText reads a name of the table.
func (v *ClusterState) UnmarshalText(b []byte) error { return unmarshal(ClusterStates, v, b) }

// QuorumState is whether this partition may act.
type QuorumState uint8

// The values of [QuorumState]; numbers as in the MIB.
const (
	QuorumUnknown     QuorumState = iota + 1 // not known yet
	QuorumQuorate                            // the majority of the votes is here
	QuorumInquorate                          // too few votes are here
	QuorumNotRequired                        // there is nobody to disagree with
)

// QuorumStates is the table of [QuorumState].
var QuorumStates = cib.Enum[QuorumState]{
	{Value: QuorumUnknown, Name: "unknown", Text: "not known yet"},
	{Value: QuorumQuorate, Name: "quorate", Text: "the majority of the votes is here"},
	{Value: QuorumInquorate, Name: "inquorate", Text: "too few votes are here"},
	{Value: QuorumNotRequired, Name: "not-required", Text: "there is nobody to disagree with"},
}

// String returns the name of v; "" for the zero value.
func (v QuorumState) String() string { return name(QuorumStates, v) }

// MarshalText writes the name.
func (v QuorumState) MarshalText() ([]byte, error) { return marshal(QuorumStates, v) }

// UnmarshalText reads a name of the table.
func (v *QuorumState) UnmarshalText(b []byte) error { return unmarshal(QuorumStates, v, b) }

// NodeState is the state of a node as shown: its membership and what administrators want of it.
type NodeState uint8

// The values of [NodeState]; numbers as in the MIB.
const (
	NodeUnknown     NodeState = iota + 1 // not known yet
	NodeOnline                           // a member that hosts resources
	NodeOffline                          // left cleanly
	NodeJoining                          // heard, not yet a member
	NodeLeaving                          // drains before it leaves
	NodeStandby                          // a member that hosts nothing
	NodeMaintenance                      // a member whose resources are left alone
	NodeUnclean                          // lost; must be fenced before its resources are recovered
	NodeFencing                          // lost; is being fenced
	NodeFenced                           // confirmed off
	NodeRestarting                       // its engine restarts; its resources go on
)

// NodeStates is the table of [NodeState].
var NodeStates = cib.Enum[NodeState]{
	{Value: NodeUnknown, Name: "unknown", Text: "not known yet"},
	{Value: NodeOnline, Name: "online", Text: "a member that hosts resources"},
	{Value: NodeOffline, Name: "offline", Text: "left cleanly"},
	{Value: NodeJoining, Name: "joining", Text: "heard, not yet a member"},
	{Value: NodeLeaving, Name: "leaving", Text: "drains before it leaves"},
	{Value: NodeStandby, Name: "standby", Text: "a member that hosts nothing"},
	{Value: NodeMaintenance, Name: "maintenance", Text: "a member whose resources are left alone"},
	{Value: NodeUnclean, Name: "unclean", Text: "lost; must be fenced before its resources are recovered"},
	{Value: NodeFencing, Name: "fencing", Text: "lost; is being fenced"},
	{Value: NodeFenced, Name: "fenced", Text: "confirmed off"},
	{Value: NodeRestarting, Name: "restarting", Text: "its engine restarts; its resources go on"},
}

// String returns the name of v; "" for the zero value.
func (v NodeState) String() string { return name(NodeStates, v) }

// MarshalText writes the name.
func (v NodeState) MarshalText() ([]byte, error) { return marshal(NodeStates, v) }

// UnmarshalText reads a name of the table.
func (v *NodeState) UnmarshalText(b []byte) error { return unmarshal(NodeStates, v, b) }

// AdminState is what administrators want of a node.
type AdminState uint8

// The values of [AdminState]; numbers as in the MIB.
const (
	AdminOnline      AdminState = iota + 1 // it may host resources
	AdminStandby                           // it hosts nothing
	AdminMaintenance                       // its resources are left alone
)

// AdminStates is the table of [AdminState].
var AdminStates = cib.Enum[AdminState]{
	{Value: AdminOnline, Name: "online", Text: "it may host resources"},
	{Value: AdminStandby, Name: "standby", Text: "it hosts nothing"},
	{Value: AdminMaintenance, Name: "maintenance", Text: "its resources are left alone"},
}

// String returns the name of v; "" for the zero value.
func (v AdminState) String() string { return name(AdminStates, v) }

// MarshalText writes the name.
func (v AdminState) MarshalText() ([]byte, error) { return marshal(AdminStates, v) }

// UnmarshalText reads a name of the table.
func (v *AdminState) UnmarshalText(b []byte) error { return unmarshal(AdminStates, v, b) }

// Health is how a node's health agents see it.
type Health uint8

// The values of [Health]; numbers as in the MIB.
const (
	HealthUnknown Health = iota + 1 // no health agent runs
	HealthGreen                     // well
	HealthYellow                    // may fail soon
	HealthRed                       // must not host resources
)

// Healths is the table of [Health].
var Healths = cib.Enum[Health]{
	{Value: HealthUnknown, Name: "unknown", Text: "no health agent runs"},
	{Value: HealthGreen, Name: "green", Text: "well"},
	{Value: HealthYellow, Name: "yellow", Text: "may fail soon"},
	{Value: HealthRed, Name: "red", Text: "must not host resources"},
}

// String returns the name of v; "" for the zero value.
func (v Health) String() string { return name(Healths, v) }

// MarshalText writes the name.
func (v Health) MarshalText() ([]byte, error) { return marshal(Healths, v) }

// UnmarshalText reads a name of the table.
func (v *Health) UnmarshalText(b []byte) error { return unmarshal(Healths, v, b) }

// NodeRole is what a node is in the cluster.
type NodeRole uint8

// The values of [NodeRole]; numbers as in the MIB.
const (
	RoleMember  NodeRole = iota + 1 // an ordinary member
	RoleDC                          // the designated coordinator: decides for the cluster
	RoleArbiter                     // a voter that hosts nothing
	RoleRemote                      // a node without an engine of its own
)

// NodeRoles is the table of [NodeRole].
var NodeRoles = cib.Enum[NodeRole]{
	{Value: RoleMember, Name: "member", Text: "an ordinary member"},
	{Value: RoleDC, Name: "dc", Text: "the designated coordinator: decides for the cluster"},
	{Value: RoleArbiter, Name: "arbiter", Text: "a voter that hosts nothing"},
	{Value: RoleRemote, Name: "remote", Text: "a node without an engine of its own"},
}

// String returns the name of v; "" for the zero value.
func (v NodeRole) String() string { return name(NodeRoles, v) }

// MarshalText writes the name.
func (v NodeRole) MarshalText() ([]byte, error) { return marshal(NodeRoles, v) }

// UnmarshalText reads a name of the table.
func (v *NodeRole) UnmarshalText(b []byte) error { return unmarshal(NodeRoles, v, b) }

// LinkState is the state of one link to one peer.
type LinkState uint8

// The values of [LinkState]; numbers as in the MIB.
const (
	LinkUnknown  LinkState = iota + 1 // nobody reports it
	LinkUp                            // heartbeats arrive
	LinkDown                          // no heartbeat arrives
	LinkDegraded                      // heartbeats are lost
	LinkDisabled                      // not in use
)

// LinkStates is the table of [LinkState].
var LinkStates = cib.Enum[LinkState]{
	{Value: LinkUnknown, Name: "unknown", Text: "nobody reports it"},
	{Value: LinkUp, Name: "up", Text: "heartbeats arrive"},
	{Value: LinkDown, Name: "down", Text: "no heartbeat arrives"},
	{Value: LinkDegraded, Name: "degraded", Text: "heartbeats are lost"},
	{Value: LinkDisabled, Name: "disabled", Text: "not in use"},
}

// String returns the name of v; "" for the zero value.
func (v LinkState) String() string { return name(LinkStates, v) }

// MarshalText writes the name.
func (v LinkState) MarshalText() ([]byte, error) { return marshal(LinkStates, v) }

// UnmarshalText reads a name of the table.
func (v *LinkState) UnmarshalText(b []byte) error { return unmarshal(LinkStates, v, b) }

// ResourceState is the state of a resource over all nodes.
type ResourceState uint8

// The values of [ResourceState]; numbers as in the MIB.
const (
	ResourceUnknown   ResourceState = iota + 1 // not known yet: it is being looked for
	ResourceStopped                            // active nowhere
	ResourceStarting                           // is being started
	ResourceRunning                            // active
	ResourceStopping                           // is being stopped
	ResourceMigrating                          // moves without a stop
	ResourceFailed                             // should run and does not, or failed where it runs
	ResourceBlocked                            // left as it is, since nothing safe can be done
	ResourceUnmanaged                          // left alone as administrators want
	ResourcePromoted                           // active, and at least one instance is promoted
)

// ResourceStates is the table of [ResourceState].
var ResourceStates = cib.Enum[ResourceState]{
	{Value: ResourceUnknown, Name: "unknown", Text: "not known yet: it is being looked for"},
	{Value: ResourceStopped, Name: "stopped", Text: "active nowhere"},
	{Value: ResourceStarting, Name: "starting", Text: "is being started"},
	{Value: ResourceRunning, Name: "running", Text: "active"},
	{Value: ResourceStopping, Name: "stopping", Text: "is being stopped"},
	{Value: ResourceMigrating, Name: "migrating", Text: "moves without a stop"},
	{Value: ResourceFailed, Name: "failed", Text: "should run and does not, or failed where it runs"},
	{Value: ResourceBlocked, Name: "blocked", Text: "left as it is, since nothing safe can be done"},
	{Value: ResourceUnmanaged, Name: "unmanaged", Text: "left alone as administrators want"},
	{Value: ResourcePromoted, Name: "promoted", Text: "active, and at least one instance is promoted"},
}

// String returns the name of v; "" for the zero value.
func (v ResourceState) String() string { return name(ResourceStates, v) }

// MarshalText writes the name.
func (v ResourceState) MarshalText() ([]byte, error) { return marshal(ResourceStates, v) }

// UnmarshalText reads a name of the table.
func (v *ResourceState) UnmarshalText(b []byte) error { return unmarshal(ResourceStates, v, b) }

// InstanceState is the state of a resource on one node.
type InstanceState uint8

// The values of [InstanceState]; numbers as in the MIB.
const (
	InstanceUnknown    InstanceState = iota + 1 // not known
	InstanceStopped                             // not active
	InstanceStarting                            // is being started
	InstanceRunning                             // active
	InstanceStopping                            // is being stopped
	InstancePromoted                            // active in the promoted role
	InstanceFailed                              // its last operation failed
	InstanceBlocked                             // left as it is, since nothing safe can be done
	InstanceNotAllowed                          // failed too often here, or cannot run here
)

// InstanceStates is the table of [InstanceState].
var InstanceStates = cib.Enum[InstanceState]{
	{Value: InstanceUnknown, Name: "unknown", Text: "not known"},
	{Value: InstanceStopped, Name: "stopped", Text: "not active"},
	{Value: InstanceStarting, Name: "starting", Text: "is being started"},
	{Value: InstanceRunning, Name: "running", Text: "active"},
	{Value: InstanceStopping, Name: "stopping", Text: "is being stopped"},
	{Value: InstancePromoted, Name: "promoted", Text: "active in the promoted role"},
	{Value: InstanceFailed, Name: "failed", Text: "its last operation failed"},
	{Value: InstanceBlocked, Name: "blocked", Text: "left as it is, since nothing safe can be done"},
	{Value: InstanceNotAllowed, Name: "not-allowed", Text: "failed too often here, or cannot run here"},
}

// String returns the name of v; "" for the zero value.
func (v InstanceState) String() string { return name(InstanceStates, v) }

// MarshalText writes the name.
func (v InstanceState) MarshalText() ([]byte, error) { return marshal(InstanceStates, v) }

// UnmarshalText reads a name of the table.
func (v *InstanceState) UnmarshalText(b []byte) error { return unmarshal(InstanceStates, v, b) }

// FenceDeviceState is the state of a fence device.
type FenceDeviceState uint8

// The values of [FenceDeviceState]; numbers as in the MIB.
const (
	FenceDeviceUnknown   FenceDeviceState = iota + 1 // not checked yet
	FenceDeviceAvailable                             // answers, and its credentials work
	FenceDeviceFailed                                // does not answer from any node
	FenceDeviceDisabled                              // not in use
)

// FenceDeviceStates is the table of [FenceDeviceState].
var FenceDeviceStates = cib.Enum[FenceDeviceState]{
	{Value: FenceDeviceUnknown, Name: "unknown", Text: "not checked yet"},
	{Value: FenceDeviceAvailable, Name: "available", Text: "answers, and its credentials work"},
	{Value: FenceDeviceFailed, Name: "failed", Text: "does not answer from any node"},
	{Value: FenceDeviceDisabled, Name: "disabled", Text: "not in use"},
}

// String returns the name of v; "" for the zero value.
func (v FenceDeviceState) String() string { return name(FenceDeviceStates, v) }

// MarshalText writes the name.
func (v FenceDeviceState) MarshalText() ([]byte, error) { return marshal(FenceDeviceStates, v) }

// UnmarshalText reads a name of the table.
func (v *FenceDeviceState) UnmarshalText(b []byte) error { return unmarshal(FenceDeviceStates, v, b) }

// FenceReadiness is whether a node could be fenced now.
type FenceReadiness uint8

// The values of [FenceReadiness]; numbers as in the MIB.
const (
	FenceReadinessUnknown FenceReadiness = iota + 1 // its devices were not checked yet
	FenceReadinessReady                             // a device answers from another node
	FenceReadinessFailed                            // no device for it answers from another node
	FenceReadinessNone                              // no device is configured for it
	FenceReadinessOff                               // fencing is off
)

// FenceReadinesses is the table of [FenceReadiness].
var FenceReadinesses = cib.Enum[FenceReadiness]{
	{Value: FenceReadinessUnknown, Name: "unknown", Text: "its devices were not checked yet"},
	{Value: FenceReadinessReady, Name: "ready", Text: "a device answers from another node"},
	{Value: FenceReadinessFailed, Name: "failed", Text: "no device for it answers from another node"},
	{Value: FenceReadinessNone, Name: "none", Text: "no device is configured for it"},
	{Value: FenceReadinessOff, Name: "off", Text: "fencing is off"},
}

// String returns the name of v; "" for the zero value.
func (v FenceReadiness) String() string { return name(FenceReadinesses, v) }

// MarshalText writes the name.
func (v FenceReadiness) MarshalText() ([]byte, error) { return marshal(FenceReadinesses, v) }

// UnmarshalText reads a name of the table.
func (v *FenceReadiness) UnmarshalText(b []byte) error { return unmarshal(FenceReadinesses, v, b) }

// FenceResult is how a fencing request ended.
type FenceResult uint8

// The values of [FenceResult]; numbers as in the MIB.
const (
	FenceResultPending   FenceResult = iota + 1 // not ended yet
	FenceResultSucceeded                        // confirmed, a proof is recorded
	FenceResultFailed                           // no device confirmed it
	FenceResultTimedOut                         // no answer in time
	FenceResultWithdrawn                        // no longer needed
)

// FenceResults is the table of [FenceResult].
var FenceResults = cib.Enum[FenceResult]{
	{Value: FenceResultPending, Name: "pending", Text: "not ended yet"},
	{Value: FenceResultSucceeded, Name: "succeeded", Text: "confirmed, a proof is recorded"},
	{Value: FenceResultFailed, Name: "failed", Text: "no device confirmed it"},
	{Value: FenceResultTimedOut, Name: "timed-out", Text: "no answer in time"},
	{Value: FenceResultWithdrawn, Name: "withdrawn", Text: "no longer needed"},
}

// String returns the name of v; "" for the zero value.
func (v FenceResult) String() string { return name(FenceResults, v) }

// MarshalText writes the name.
func (v FenceResult) MarshalText() ([]byte, error) { return marshal(FenceResults, v) }

// UnmarshalText reads a name of the table.
func (v *FenceResult) UnmarshalText(b []byte) error { return unmarshal(FenceResults, v, b) }

// StoreState is the state of a member of the store.
type StoreState uint8

// The values of [StoreState]; numbers as in the MIB.
const (
	StoreUnknown   StoreState = iota + 1 // not reported
	StoreHealthy                         // answers
	StoreUnhealthy                       // does not answer, or raises an alarm
	StoreLearner                         // receives the data, has no vote yet
)

// StoreStates is the table of [StoreState].
var StoreStates = cib.Enum[StoreState]{
	{Value: StoreUnknown, Name: "unknown", Text: "not reported"},
	{Value: StoreHealthy, Name: "healthy", Text: "answers"},
	{Value: StoreUnhealthy, Name: "unhealthy", Text: "does not answer, or raises an alarm"},
	{Value: StoreLearner, Name: "learner", Text: "receives the data, has no vote yet"},
}

// String returns the name of v; "" for the zero value.
func (v StoreState) String() string { return name(StoreStates, v) }

// MarshalText writes the name.
func (v StoreState) MarshalText() ([]byte, error) { return marshal(StoreStates, v) }

// UnmarshalText reads a name of the table.
func (v *StoreState) UnmarshalText(b []byte) error { return unmarshal(StoreStates, v, b) }

// FailoverCause is why a resource moved.
type FailoverCause uint8

// The values of [FailoverCause]; numbers as in the MIB.
const (
	CauseNodeFailure     FailoverCause = iota + 1 // its node failed
	CauseResourceFailure                          // it failed
	CauseAdministrator                            // somebody wanted it
	CauseFailback                                 // its preferred node came back
	CauseQuorumLoss                               // its node lost quorum
	CauseLinkFailure                              // a network failed
	CauseBalance                                  // the placement changed
)

// FailoverCauses is the table of [FailoverCause].
var FailoverCauses = cib.Enum[FailoverCause]{
	{Value: CauseNodeFailure, Name: "node-failure", Text: "its node failed"},
	{Value: CauseResourceFailure, Name: "resource-failure", Text: "it failed"},
	{Value: CauseAdministrator, Name: "administrator", Text: "somebody wanted it"},
	{Value: CauseFailback, Name: "failback", Text: "its preferred node came back"},
	{Value: CauseQuorumLoss, Name: "quorum-loss", Text: "its node lost quorum"},
	{Value: CauseLinkFailure, Name: "link-failure", Text: "a network failed"},
	{Value: CauseBalance, Name: "balance", Text: "the placement changed"},
}

// String returns the name of v; "" for the zero value.
func (v FailoverCause) String() string { return name(FailoverCauses, v) }

// MarshalText writes the name.
func (v FailoverCause) MarshalText() ([]byte, error) { return marshal(FailoverCauses, v) }

// UnmarshalText reads a name of the table.
func (v *FailoverCause) UnmarshalText(b []byte) error { return unmarshal(FailoverCauses, v, b) }

// FailoverResult is how a move ended.
type FailoverResult uint8

// The values of [FailoverResult]; numbers as in the MIB.
const (
	FailoverInProgress FailoverResult = iota + 1 // not ended yet
	FailoverSucceeded                            // it runs
	FailoverFailed                               // it does not run
)

// FailoverResults is the table of [FailoverResult].
var FailoverResults = cib.Enum[FailoverResult]{
	{Value: FailoverInProgress, Name: "in-progress", Text: "not ended yet"},
	{Value: FailoverSucceeded, Name: "succeeded", Text: "it runs"},
	{Value: FailoverFailed, Name: "failed", Text: "it does not run"},
}

// String returns the name of v; "" for the zero value.
func (v FailoverResult) String() string { return name(FailoverResults, v) }

// MarshalText writes the name.
func (v FailoverResult) MarshalText() ([]byte, error) { return marshal(FailoverResults, v) }

// UnmarshalText reads a name of the table.
func (v *FailoverResult) UnmarshalText(b []byte) error { return unmarshal(FailoverResults, v, b) }
