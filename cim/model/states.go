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

var clusterConditions = map[status.ClusterState]condition{
	status.ClusterUnknown:     {opUnknown, healthUnknown, enabledUnknown},
	status.ClusterNormal:      {opOK, healthOK, enabled},
	status.ClusterDegraded:    {opDegraded, healthDegraded, enabled},
	status.ClusterFailed:      {opError, healthMajor, enabled},
	status.ClusterMaintenance: {opService, healthOK, enabledQuiesced},
	status.ClusterNoQuorum:    {opError, healthCritical, enabled},
}

// clusterStates are the values of CIM_Cluster.ClusterState.
var clusterStates = map[status.ClusterState]int{
	status.ClusterUnknown: 0, status.ClusterNormal: 2, status.ClusterDegraded: 4, status.ClusterFailed: 4, status.ClusterMaintenance: 2, status.ClusterNoQuorum: 5,
}

var nodeConditions = map[status.NodeState]condition{
	status.NodeUnknown:     {opUnknown, healthUnknown, enabledUnknown},
	status.NodeOnline:      {opOK, healthOK, enabled},
	status.NodeOffline:     {opStopped, healthUnknown, disabled},
	status.NodeJoining:     {opStarting, healthOK, enabledStarting},
	status.NodeLeaving:     {opStopping, healthOK, shuttingDown},
	status.NodeStandby:     {opDormant, healthOK, enabledOffline},
	status.NodeMaintenance: {opService, healthOK, enabledQuiesced},
	status.NodeUnclean:     {opLost, healthCritical, enabledOther},
	status.NodeFencing:     {opContact, healthCritical, enabledOther},
	status.NodeFenced:      {opStopped, healthMajor, disabled},
	status.NodeRestarting:  {opStarting, healthOK, enabledStarting},
}

// participation are the values of CIM_ParticipatingCS.StateOfNode.
var participation = map[status.NodeState]int{
	status.NodeUnknown: 0, status.NodeOnline: 4, status.NodeOffline: 5, status.NodeJoining: 2, status.NodeLeaving: 3, status.NodeStandby: 3,
	status.NodeMaintenance: 3, status.NodeUnclean: 5, status.NodeFencing: 5, status.NodeFenced: 5, status.NodeRestarting: 2,
}

var resourceConditions = map[status.ResourceState]condition{
	status.ResourceUnknown:   {opUnknown, healthUnknown, enabledUnknown},
	status.ResourceStopped:   {opStopped, healthOK, disabled},
	status.ResourceStarting:  {opStarting, healthOK, enabledStarting},
	status.ResourceRunning:   {opOK, healthOK, enabled},
	status.ResourceStopping:  {opStopping, healthOK, shuttingDown},
	status.ResourceMigrating: {opMoving, healthOK, enabledStarting},
	status.ResourceFailed:    {opError, healthMajor, enabledOther},
	status.ResourceBlocked:   {opError, healthCritical, enabledOther},
	status.ResourceUnmanaged: {opService, healthOK, enabledQuiesced},
	status.ResourcePromoted:  {opOK, healthOK, enabled},
}

var fenceDeviceConditions = map[status.FenceDeviceState]condition{
	status.FenceDeviceUnknown:   {opUnknown, healthUnknown, enabled},
	status.FenceDeviceAvailable: {opOK, healthOK, enabled},
	status.FenceDeviceFailed:    {opError, healthMajor, enabled},
	status.FenceDeviceDisabled:  {opStopped, healthUnknown, disabled},
}

var linkConditions = map[status.LinkState]condition{
	status.LinkUnknown:  {opUnknown, healthUnknown, enabledUnknown},
	status.LinkUp:       {opOK, healthOK, enabled},
	status.LinkDown:     {opLost, healthMinor, enabled},
	status.LinkDegraded: {opDegraded, healthDegraded, enabled},
	status.LinkDisabled: {opStopped, healthUnknown, disabled},
}

// perceived are the values of CIM_Indication.PerceivedSeverity.
var perceived = map[cib.Severity]int{
	cib.SeverityCleared: 2, cib.SeverityIndeterminate: 2, cib.SeverityWarning: 3, cib.SeverityMinor: 4, cib.SeverityMajor: 5, cib.SeverityCritical: 6,
}
