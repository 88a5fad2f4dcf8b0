package cib

// NoQuorumPolicy is what happens to running resources where there is no quorum.
type NoQuorumPolicy uint8

// The values of [NoQuorumPolicy]; numbers as in the MIB.
const (
	NoQuorumStop   NoQuorumPolicy = iota + 1 // all resources are stopped
	NoQuorumFreeze                           // running resources go on, nothing is recovered
	NoQuorumIgnore                           // as if there were quorum; acts as freeze on a node whose validity ended
	NoQuorumFence                            // the nodes of the partition fence themselves
	NoQuorumDemote                           // promoted instances are demoted, the others go on
)

// NoQuorumPolicies is the table of [NoQuorumPolicy].
var NoQuorumPolicies = Enum[NoQuorumPolicy]{
	{NoQuorumStop, "stop", "all resources are stopped"},
	{NoQuorumFreeze, "freeze", "running resources go on, nothing is recovered"},
	{NoQuorumIgnore, "ignore", "as if there were quorum; acts as freeze on a node whose validity ended"},
	{NoQuorumFence, "fence", "the nodes of the partition fence themselves"},
	{NoQuorumDemote, "demote", "promoted instances are demoted, the others go on"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v NoQuorumPolicy) String() string {
	if v == 0 {
		return ""
	}
	return NoQuorumPolicies.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v NoQuorumPolicy) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return NoQuorumPolicies.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *NoQuorumPolicy) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return NoQuorumPolicies.unmarshal(v, b)
}

// PartitionQuorum says whether the partition that a snapshot is of may act.
type PartitionQuorum uint8

// The values of [PartitionQuorum].
const (
	QuorumHeld  PartitionQuorum = iota // it may: the no-quorum-policy has no say
	QuorumLost                         // it had quorum, and has it no more
	QuorumNever                        // it never had quorum: there is nothing that it must give up by fencing itself
)

// Role is the state of a resource instance, wanted or seen.
type Role uint8

// The values of [Role]; numbers as in the MIB.
const (
	RoleUnknown    Role = iota + 1 // not known yet
	RoleStopped                    // not active
	RoleStarted                    // active
	RoleUnpromoted                 // active in the unpromoted role
	RolePromoted                   // active in the promoted role
)

// Roles is the table of [Role].
var Roles = Enum[Role]{
	{RoleUnknown, "Unknown", "not known yet"},
	{RoleStopped, "Stopped", "not active"},
	{RoleStarted, "Started", "active"},
	{RoleUnpromoted, "Unpromoted", "active in the unpromoted role"},
	{RolePromoted, "Promoted", "active in the promoted role"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v Role) String() string {
	if v == 0 {
		return ""
	}
	return Roles.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v Role) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return Roles.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *Role) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return Roles.unmarshal(v, b)
}

// Kind is what a resource is made of.
type Kind uint8

// The values of [Kind]; numbers as in the MIB.
const (
	KindPrimitive  Kind = iota + 1 // one agent
	KindGroup                      // members started in order on one node
	KindClone                      // several instances
	KindPromotable                 // a clone with a promoted role
	KindBundle                     // replicas of a container
)

// Kinds is the table of [Kind].
var Kinds = Enum[Kind]{
	{KindPrimitive, "primitive", "one agent"},
	{KindGroup, "group", "members started in order on one node"},
	{KindClone, "clone", "several instances"},
	{KindPromotable, "promotable", "a clone with a promoted role"},
	{KindBundle, "bundle", "replicas of a container"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v Kind) String() string {
	if v == 0 {
		return ""
	}
	return Kinds.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v Kind) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return Kinds.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *Kind) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return Kinds.unmarshal(v, b)
}

// OnFail is what a failed operation leads to.
type OnFail uint8

// The values of [OnFail]; numbers as in the MIB.
const (
	OnFailDefault          OnFail = iota + 1 // fence for stop where fencing is on, block for stop where not, restart for all others
	OnFailIgnore                             // as if it had not failed
	OnFailBlock                              // no further operation on the resource
	OnFailStop                               // stop it and do not start it anywhere
	OnFailRestart                            // stop and start it, perhaps elsewhere
	OnFailDemote                             // demote, and promote again elsewhere or here
	OnFailFence                              // fence the node
	OnFailStandby                            // move every resource off the node
	OnFailRestartContainer                   // restart the container it runs in
)

// OnFails is the table of [OnFail].
var OnFails = Enum[OnFail]{
	{OnFailDefault, "default", "fence for stop where fencing is on, block for stop where not, restart for all others"},
	{OnFailIgnore, "ignore", "as if it had not failed"},
	{OnFailBlock, "block", "no further operation on the resource"},
	{OnFailStop, "stop", "stop it and do not start it anywhere"},
	{OnFailRestart, "restart", "stop and start it, perhaps elsewhere"},
	{OnFailDemote, "demote", "demote, and promote again elsewhere or here"},
	{OnFailFence, "fence", "fence the node"},
	{OnFailStandby, "standby", "move every resource off the node"},
	{OnFailRestartContainer, "restart-container", "restart the container it runs in"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v OnFail) String() string {
	if v == 0 {
		return ""
	}
	return OnFails.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v OnFail) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return OnFails.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *OnFail) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return OnFails.unmarshal(v, b)
}

// MultipleActive is what happens to an instance found active on several nodes.
type MultipleActive uint8

// The values of [MultipleActive]; numbers as in the MIB.
const (
	MultipleActiveStopStart      MultipleActive = iota + 1 // stop all, start one
	MultipleActiveBlock                                    // leave it alone and raise an alarm
	MultipleActiveStopOnly                                 // stop all, start none
	MultipleActiveStopUnexpected                           // stop those that should not be there
)

// MultipleActives is the table of [MultipleActive].
var MultipleActives = Enum[MultipleActive]{
	{MultipleActiveStopStart, "stop-start", "stop all, start one"},
	{MultipleActiveBlock, "block", "leave it alone and raise an alarm"},
	{MultipleActiveStopOnly, "stop-only", "stop all, start none"},
	{MultipleActiveStopUnexpected, "stop-unexpected", "stop those that should not be there"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v MultipleActive) String() string {
	if v == 0 {
		return ""
	}
	return MultipleActives.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v MultipleActive) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return MultipleActives.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *MultipleActive) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return MultipleActives.unmarshal(v, b)
}

// OrderKind is how strictly an order holds.
type OrderKind uint8

// The values of [OrderKind]; numbers as in the MIB.
const (
	OrderMandatory OrderKind = iota + 1 // then never without first
	OrderOptional                       // only when both happen in one transition
	OrderSerialize                      // never at the same time
)

// OrderKinds is the table of [OrderKind].
var OrderKinds = Enum[OrderKind]{
	{OrderMandatory, "Mandatory", "then never without first"},
	{OrderOptional, "Optional", "only when both happen in one transition"},
	{OrderSerialize, "Serialize", "never at the same time"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v OrderKind) String() string {
	if v == 0 {
		return ""
	}
	return OrderKinds.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v OrderKind) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return OrderKinds.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *OrderKind) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return OrderKinds.unmarshal(v, b)
}

// NodeState is the membership state of a node, decided by the DC.
type NodeState uint8

// The values of [NodeState]; numbers as in the MIB.
const (
	NodeUnknown    NodeState = iota + 1 // not known yet
	NodeOnline                          // in the view
	NodeOffline                         // left cleanly
	NodeJoining                         // heard, not yet in the view
	NodeLeaving                         // drains before it leaves
	NodeUnclean                         // lost; must be fenced before its resources are recovered
	NodeFencing                         // lost; a fencing request is being executed
	NodeFenced                          // confirmed off; see the proof
	NodeRestarting                      // its engine restarts; its resources go on and are not recovered until the grace ends
)

// NodeStates is the table of [NodeState].
var NodeStates = Enum[NodeState]{
	{NodeUnknown, "unknown", "not known yet"},
	{NodeOnline, "online", "in the view"},
	{NodeOffline, "offline", "left cleanly"},
	{NodeJoining, "joining", "heard, not yet in the view"},
	{NodeLeaving, "leaving", "drains before it leaves"},
	{NodeUnclean, "unclean", "lost; must be fenced before its resources are recovered"},
	{NodeFencing, "fencing", "lost; a fencing request is being executed"},
	{NodeFenced, "fenced", "confirmed off; see the proof"},
	{NodeRestarting, "restarting", "its engine restarts; its resources go on and are not recovered until the grace ends"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v NodeState) String() string {
	if v == 0 {
		return ""
	}
	return NodeStates.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v NodeState) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return NodeStates.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *NodeState) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return NodeStates.unmarshal(v, b)
}

// ActionState is how far an action in flight has come.
type ActionState uint8

// The values of [ActionState]; numbers as in the MIB.
const (
	ActionAsked    ActionState = iota + 1 // recorded by the DC, not yet claimed
	ActionRunning                         // claimed by the node's local resource manager
	ActionExpected                        // reserved by the DC: a migration from another node is on its way
)

// ActionStates is the table of [ActionState].
var ActionStates = Enum[ActionState]{
	{ActionAsked, "asked", "recorded by the DC, not yet claimed"},
	{ActionRunning, "running", "claimed by the node's local resource manager"},
	{ActionExpected, "expected", "reserved by the DC: a migration from another node is on its way"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v ActionState) String() string {
	if v == 0 {
		return ""
	}
	return ActionStates.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v ActionState) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return ActionStates.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *ActionState) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return ActionStates.unmarshal(v, b)
}

// OpStatus is how the execution of an operation ended, apart from the agent's return code.
type OpStatus uint8

// The values of [OpStatus]; numbers as in the MIB.
const (
	OpUnknown      OpStatus = iota + 1 // the record was lost with the engine that ran it; a probe tells
	OpDone                             // the agent ended by itself
	OpTimeout                          // killed after its time-out
	OpCancelled                        // not run, or killed, because it was withdrawn
	OpNotInstalled                     // there is no such agent on the node
	OpError                            // it could not be run
	OpNotRun                           // refused before the agent was started: too late, or validity lost
)

// OpStatuses is the table of [OpStatus].
var OpStatuses = Enum[OpStatus]{
	{OpUnknown, "unknown", "the record was lost with the engine that ran it; a probe tells"},
	{OpDone, "done", "the agent ended by itself"},
	{OpTimeout, "timeout", "killed after its time-out"},
	{OpCancelled, "cancelled", "not run, or killed, because it was withdrawn"},
	{OpNotInstalled, "not-installed", "there is no such agent on the node"},
	{OpError, "error", "it could not be run"},
	{OpNotRun, "not-run", "refused before the agent was started: too late, or validity lost"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v OpStatus) String() string {
	if v == 0 {
		return ""
	}
	return OpStatuses.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v OpStatus) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return OpStatuses.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *OpStatus) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return OpStatuses.unmarshal(v, b)
}

// FenceState is how far a fencing request has come.
type FenceState uint8

// The values of [FenceState]; numbers as in the MIB.
const (
	FenceRequested FenceState = iota + 1 // recorded, not yet claimed
	FenceExecuting                       // claimed by a node that drives the devices
	FenceDone                            // confirmed, a proof is recorded
	FenceFailed                          // every device failed; tried again after a pause
	FenceWithdrawn                       // no longer needed
)

// FenceStates is the table of [FenceState].
var FenceStates = Enum[FenceState]{
	{FenceRequested, "requested", "recorded, not yet claimed"},
	{FenceExecuting, "executing", "claimed by a node that drives the devices"},
	{FenceDone, "done", "confirmed, a proof is recorded"},
	{FenceFailed, "failed", "every device failed; tried again after a pause"},
	{FenceWithdrawn, "withdrawn", "no longer needed"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v FenceState) String() string {
	if v == 0 {
		return ""
	}
	return FenceStates.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v FenceState) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return FenceStates.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *FenceState) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return FenceStates.unmarshal(v, b)
}

// FenceOp is what fencing does to the power of a node.
type FenceOp uint8

// The values of [FenceOp]; numbers as in the MIB.
const (
	FenceOpReboot FenceOp = iota + 1 // off, off read back, proof recorded, on
	FenceOpOff                       // off, off read back, proof recorded
	FenceOpOn                        // power on, or unfence
)

// FenceOps is the table of [FenceOp].
var FenceOps = Enum[FenceOp]{
	{FenceOpReboot, "reboot", "off, off read back, proof recorded, on"},
	{FenceOpOff, "off", "off, off read back, proof recorded"},
	{FenceOpOn, "on", "power on, or unfence"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v FenceOp) String() string {
	if v == 0 {
		return ""
	}
	return FenceOps.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v FenceOp) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return FenceOps.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *FenceOp) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return FenceOps.unmarshal(v, b)
}

// ProofKind is how a lost node was confirmed dead.
type ProofKind uint8

// The values of [ProofKind]; numbers as in the MIB.
const (
	ProofPower       ProofKind = iota + 1 // a fence device read its power state back as off
	ProofReservation                      // its storage reservation was pre-empted
	ProofWatchdog                         // its armed watchdog's bound has passed
	ProofHuman                            // a named person confirmed it
	ProofCleared                          // it was seen with a new boot id, so the lost boot is over
	ProofInside                           // what the guest was inside of is stopped, or its host was proven dead
)

// ProofKinds is the table of [ProofKind].
var ProofKinds = Enum[ProofKind]{
	{ProofPower, "power", "a fence device read its power state back as off"},
	{ProofReservation, "reservation", "its storage reservation was pre-empted"},
	{ProofWatchdog, "watchdog", "its armed watchdog's bound has passed"},
	{ProofHuman, "human", "a named person confirmed it"},
	{ProofCleared, "cleared", "it was seen with a new boot id, so the lost boot is over"},
	{ProofInside, "inside", "what the guest was inside of is stopped, or its host was proven dead"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v ProofKind) String() string {
	if v == 0 {
		return ""
	}
	return ProofKinds.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v ProofKind) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return ProofKinds.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *ProofKind) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return ProofKinds.unmarshal(v, b)
}

// QuorumDeviceKind is the kinds of tie-breakers.
type QuorumDeviceKind uint8

// The values of [QuorumDeviceKind]; numbers as in the MIB.
const (
	QuorumDeviceQuorumd QuorumDeviceKind = iota + 1 // belay-quorumd, a network arbitrator
	QuorumDeviceSCSI                                // a SCSI-3 persistent reservation
	QuorumDeviceDisk                                // a lease on a shared block device or file
	QuorumDevicePing                                // reachability of an address; can only veto
	QuorumDeviceNode                                // the lowest node id
)

// QuorumDeviceKinds is the table of [QuorumDeviceKind].
var QuorumDeviceKinds = Enum[QuorumDeviceKind]{
	{QuorumDeviceQuorumd, "quorumd", "belay-quorumd, a network arbitrator"},
	{QuorumDeviceSCSI, "scsi", "a SCSI-3 persistent reservation"},
	{QuorumDeviceDisk, "disk", "a lease on a shared block device or file"},
	{QuorumDevicePing, "ping", "reachability of an address; can only veto"},
	{QuorumDeviceNode, "node", "the lowest node id"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v QuorumDeviceKind) String() string {
	if v == 0 {
		return ""
	}
	return QuorumDeviceKinds.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v QuorumDeviceKind) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return QuorumDeviceKinds.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *QuorumDeviceKind) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return QuorumDeviceKinds.unmarshal(v, b)
}

// QuorumAnswer is the answer of one quorum module.
type QuorumAnswer uint8

// The values of [QuorumAnswer]; numbers as in the MIB.
const (
	QuorumNo   QuorumAnswer = iota + 1 // this partition must not act
	QuorumHave                         // this partition may act
	QuorumTie                          // exactly half: the next module is asked
)

// QuorumAnswers is the table of [QuorumAnswer].
var QuorumAnswers = Enum[QuorumAnswer]{
	{QuorumNo, "no", "this partition must not act"},
	{QuorumHave, "have", "this partition may act"},
	{QuorumTie, "tie", "exactly half: the next module is asked"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v QuorumAnswer) String() string {
	if v == 0 {
		return ""
	}
	return QuorumAnswers.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v QuorumAnswer) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return QuorumAnswers.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *QuorumAnswer) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return QuorumAnswers.unmarshal(v, b)
}

// Severity is how bad an event or alarm is; the numbers are those of ItuPerceivedSeverity, RFC 3877.
type Severity uint8

// The values of [Severity]; numbers as in the MIB.
const (
	SeverityCleared       Severity = iota + 1 // over
	SeverityIndeterminate                     // information
	SeverityCritical                          // service lost or data at risk: act now
	SeverityMajor                             // redundancy lost or a recovery blocked: act soon
	SeverityMinor                             // degraded, service not affected
	SeverityWarning                           // may become a problem
)

// Severities is the table of [Severity].
var Severities = Enum[Severity]{
	{SeverityCleared, "cleared", "over"},
	{SeverityIndeterminate, "indeterminate", "information"},
	{SeverityCritical, "critical", "service lost or data at risk: act now"},
	{SeverityMajor, "major", "redundancy lost or a recovery blocked: act soon"},
	{SeverityMinor, "minor", "degraded, service not affected"},
	{SeverityWarning, "warning", "may become a problem"},
}

// String returns the name of v; "" for the zero value, which means that it is not set.
func (v Severity) String() string {
	if v == 0 {
		return ""
	}
	return Severities.Name(v)
}

// MarshalText writes the name; the zero value is written as an empty text.
func (v Severity) MarshalText() ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return Severities.marshal(v)
}

// UnmarshalText reads a name of the table.
func (v *Severity) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = 0
		return nil
	}
	return Severities.unmarshal(v, b)
}
