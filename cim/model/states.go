package model

import (
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// Values of CIM_ManagedSystemElement.OperationalStatus.
const (
	opUnknown  = 0
	opOK       = 2
	opDegraded = 3
	opError    = 6
	opStarting = 8
	opStopping = 9
	opStopped  = 10
	opService  = 11 // being serviced
	opContact  = 12 // no contact
	opLost     = 13 // lost communication
	opDormant  = 15
	opMoving   = 19
)

// Values of CIM_EnabledLogicalElement.EnabledState.
const (
	enabledUnknown  = 0
	enabledOther    = 1
	enabled         = 2
	disabled        = 3
	shuttingDown    = 4
	enabledOffline  = 6
	enabledQuiesced = 9
	enabledStarting = 10
)

// Values that RequestStateChange takes.
const (
	requestEnabled  = 2
	requestDisabled = 3
	requestOffline  = 6
	requestQuiesce  = 9
	requestReboot   = 10
	requestReset    = 11
)

// Values of CIM_ManagedSystemElement.HealthState.
const (
	healthUnknown  = 0
	healthOK       = 5
	healthDegraded = 10
	healthMinor    = 15
	healthMajor    = 20
	healthCritical = 25
)

// condition is what the states of CIM are for one state of Belay.
type condition struct{ operational, health, enabled int }

// What things can be, whatever they are.
var (
	unknown  = condition{opUnknown, healthUnknown, enabledUnknown}
	running  = condition{opOK, healthOK, enabled}
	degraded = condition{opDegraded, healthDegraded, enabled}
	failed   = condition{opError, healthMajor, enabled}
	serviced = condition{opService, healthOK, enabledQuiesced}
	starting = condition{opStarting, healthOK, enabledStarting}
	stopping = condition{opStopping, healthOK, shuttingDown}
	stopped  = condition{opStopped, healthOK, disabled}
	off      = condition{opStopped, healthUnknown, disabled}
)

// states is a table of the states of one kind of thing.
type states[S comparable] map[S]row

// row is one state. Standard is the value of the property that the standard has for this
// kind of thing alone: CIM_Cluster.ClusterState, CIM_ParticipatingCS.StateOfNode.
type row struct {
	condition
	standard int
}

var clusterStates = states[status.ClusterState]{
	status.ClusterUnknown:     {unknown, 0},
	status.ClusterNormal:      {running, 2},
	status.ClusterDegraded:    {degraded, 4},
	status.ClusterFailed:      {failed, 4},
	status.ClusterMaintenance: {serviced, 2},
	status.ClusterNoQuorum:    {condition{opError, healthCritical, enabled}, 5},
}

var nodeStates = states[status.NodeState]{
	status.NodeUnknown:     {unknown, 0},
	status.NodeOnline:      {running, 4},
	status.NodeOffline:     {off, 5},
	status.NodeJoining:     {starting, 2},
	status.NodeLeaving:     {stopping, 3},
	status.NodeStandby:     {condition{opDormant, healthOK, enabledOffline}, 3},
	status.NodeMaintenance: {serviced, 3},
	status.NodeUnclean:     {condition{opLost, healthCritical, enabledOther}, 5},
	status.NodeFencing:     {condition{opContact, healthCritical, enabledOther}, 5},
	status.NodeFenced:      {condition{opStopped, healthMajor, disabled}, 5},
	status.NodeRestarting:  {starting, 2},
}

var resourceStates = states[status.ResourceState]{
	status.ResourceUnknown:   {condition: unknown},
	status.ResourceStopped:   {condition: stopped},
	status.ResourceStarting:  {condition: starting},
	status.ResourceRunning:   {condition: running},
	status.ResourceStopping:  {condition: stopping},
	status.ResourceMigrating: {condition: condition{opMoving, healthOK, enabledStarting}},
	status.ResourceFailed:    {condition: condition{opError, healthMajor, enabledOther}},
	status.ResourceBlocked:   {condition: condition{opError, healthCritical, enabledOther}},
	status.ResourceUnmanaged: {condition: serviced},
	status.ResourcePromoted:  {condition: running},
}

var fenceDeviceStates = states[status.FenceDeviceState]{
	status.FenceDeviceUnknown:   {condition: condition{opUnknown, healthUnknown, enabled}},
	status.FenceDeviceAvailable: {condition: running},
	status.FenceDeviceFailed:    {condition: failed},
	status.FenceDeviceDisabled:  {condition: off},
}

var linkStates = states[status.LinkState]{
	status.LinkUnknown:  {condition: unknown},
	status.LinkUp:       {condition: running},
	status.LinkDown:     {condition: condition{opLost, healthMinor, enabled}},
	status.LinkDegraded: {condition: degraded},
	status.LinkDisabled: {condition: off},
}

// perceived are the values of CIM_Indication.PerceivedSeverity.
var perceived = map[cib.Severity]int{
	cib.SeverityCleared: 2, cib.SeverityIndeterminate: 2, cib.SeverityWarning: 3, cib.SeverityMinor: 4, cib.SeverityMajor: 5, cib.SeverityCritical: 6,
}
