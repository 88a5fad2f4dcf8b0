package event

import (
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// Definition defines one event. Codes are never reused.
type Definition struct {
	Number   int          // the number in code and MIB: 3001 is BLY3001
	Name     string       // stable, for programs: "node-lost"
	Severity cib.Severity // of the event when it happens
	Title    string
	Text     string   // with {placeholders} that name Args
	Args     []string // the placeholders, besides node, resource and device
	Remedy   string   // what to do; "" when nothing needs to be done
	Clears   int      // the number of the event whose alarm this one ends; 0 none
	Alarm    bool     // stays an alarm until something clears it
	Trap     bool     // becomes an SNMP notification and a CIM indication
}

// Code returns the stable code, such as "BLY3001".
func (d *Definition) Code() string { return fmt.Sprintf("BLY%04d", d.Number) }

// The events.
const (
	NodeOnline = 3001 + iota
	NodeLost
	NodeLeft
	NodeFenced
	NodeRestarting
	NodeStalled
	NodeRejected
	NodeConfirmed
	ViewChanged
	LinkDown
	LinkUp
	ClockOffset
	ClockInStep
	QuorumLost
	QuorumGained
	ValidityLost
	ValidityGained
	DCElected
	FencingRequested
	FencingFailed
	FencingDone
	FencingImpossible
	ProofVoid
	FenceDeviceFailed
	FenceDeviceReady
	FencingOff
	FencingOn
	ResourceStarted
	ResourceStopped
	ResourceMoved
	ResourceRecovered
	ResourceFailed
	ResourceBlocked
	ResourceUnblocked
	ResourceUnexpected
	ActionTimedOut
	ConfigChanged
	PlanRefused
	StoreSlow
	StoreStalled
	StoreBack
	StoreMemberLost
	StoreMemberBack
	StoreSpace
	VoterSetChanged
	BackupDone
	BackupFailed
	StateCorrupt
	GenerationConflict
	CertificateRenewed
	CertificateExpired
	AuditFailed
	EngineStarted
	EngineUpgraded
	AttributeChanged
	AuditWritable
	AuditConflict
	QuorumDeviceFailed
	QuorumDeviceReady
	QuorumByDevice
	AuditForwardFailed
	AuditForwarded
	NotificationFailed
	StoreForced
	StoreForceRefused
	StoreReplaced
	AlarmAcknowledged
	UnfencingFailed
	UnfencingDone
	NotificationTest
	StoreUnpaired
	RemoteOnline
	RemoteLost
	RemoteRefused
	StoreGoesOn
	GuestEnded
	TicketHeld
	TicketLost
	TicketTimes
	ServiceFailedOver
	ServiceNotRecovered
	StorePeerEmpty
)

const (
	info     = cib.SeverityIndeterminate
	critical = cib.SeverityCritical
	major    = cib.SeverityMajor
	minor    = cib.SeverityMinor
	warning  = cib.SeverityWarning
	cleared  = cib.SeverityCleared
)

// Catalogue is the one table of events, by number.
var Catalogue = []Definition{
	{NodeOnline, "node-online", cleared, "Node online", "node {node} is a member of view {view}", []string{"view"}, "", NodeLost, false, true},
	{NodeLost, "node-lost", major, "Node lost", "node {node} was not heard for {silence}; it is unclean until a fence proof is recorded", []string{"silence"}, "See whether the machine, its network or its engine failed: belay node show {node}", 0, true, true},
	{NodeLeft, "node-left", info, "Node left", "node {node} left the cluster cleanly", nil, "", NodeLost, false, true},
	{NodeFenced, "node-fenced", major, "Node fenced", "node {node} was confirmed dead by {by} ({proof}); what ran there is recovered", []string{"by", "proof"}, "Find out why it failed before you trust it again: belay fence history {node}", 0, false, true},
	{NodeRestarting, "node-restarting", info, "Engine restarting", "the engine of node {node} restarts; its resources go on", nil, "", 0, false, false},
	{NodeStalled, "node-stalled", warning, "Node stalled", "node {node} stood still for {gap}: suspended or starved of CPU", []string{"gap"}, "See what paused the machine (hypervisor snapshot, memory pressure, a real-time process).", 0, false, true},
	{NodeRejected, "node-rejected", warning, "Node rejected", "node {node} was refused: {reason}", []string{"reason"}, "", 0, false, true},
	{NodeConfirmed, "node-confirmed", major, "Node confirmed dead by hand", "{person} confirmed that node {node} is dead", []string{"person"}, "", 0, false, true},
	{ViewChanged, "view-changed", info, "Membership changed", "view {view}: {members} ({reason})", []string{"view", "members", "reason"}, "", 0, false, false},
	{LinkDown, "link-down", minor, "Link down", "link {link} between {node} and {peer} is down; the other links carry the cluster", []string{"link", "peer"}, "Check cable, switch port and address of link {link} on both nodes: belay status --links", 0, true, true},
	{LinkUp, "link-up", cleared, "Link up", "link {link} between {node} and {peer} is up again", []string{"link", "peer"}, "", LinkDown, false, true},
	{ClockOffset, "clock-offset", warning, "Clock out of step", "the clock of node {node} is {offset} off", []string{"offset"}, "Check time synchronisation on {node}: chronyc tracking, timedatectl", 0, true, true},
	{ClockInStep, "clock-in-step", cleared, "Clock in step", "the clock of node {node} is in step again", nil, "", ClockOffset, false, true},
	{QuorumLost, "quorum-lost", critical, "Quorum lost", "node {node} lost quorum: {reason}", []string{"reason"}, "Bring back the missing voters or their network: belay quorum status", 0, true, true},
	{QuorumGained, "quorum-gained", cleared, "Quorum gained", "node {node} has quorum: {reason}", []string{"reason"}, "", QuorumLost, false, true},
	{ValidityLost, "validity-lost", critical, "Validity lost", "node {node} may not act any more: {reason}; no-quorum-policy is {policy}", []string{"reason", "policy"}, "Check the links of {node}.", 0, true, true},
	{ValidityGained, "validity-gained", cleared, "Validity gained", "node {node} may act again", nil, "", ValidityLost, false, true},
	{DCElected, "dc-elected", info, "DC elected", "node {node} is the DC: {reason}", []string{"reason"}, "", 0, false, true},
	{FencingRequested, "fencing-requested", major, "Fencing requested", "node {node} is to be fenced ({op}): {reason}", []string{"op", "reason"}, "", 0, false, true},
	{FencingFailed, "fencing-failed", critical, "Fencing failed", "attempt {attempt} to fence node {node} failed: {reason}; what ran there is not recovered", []string{"attempt", "reason"}, "Repair the fence device, or make sure that {node} is off and confirm it: belay fence confirm {node}", 0, true, true},
	{FencingDone, "fencing-done", cleared, "Fencing done", "node {node} was fenced by device {device} from {by} in {duration}", []string{"by", "duration"}, "", FencingFailed, false, true},
	{FencingImpossible, "fencing-impossible", critical, "Fencing impossible", "no fence device is configured for node {node}; what ran there is not recovered", nil, "Make sure that {node} is off and confirm it: belay fence confirm {node}. Then configure a fence device.", 0, true, true},
	{ProofVoid, "proof-void", critical, "Fence proof void", "node {node} was heard after its death was confirmed by {by}: the proof is void", []string{"by"}, "The device or person that confirmed it was wrong. Check the device's wiring and host map before anything else.", 0, true, true},
	{FenceDeviceFailed, "fence-device-failed", major, "Fence device not ready", "fence device {device} does not answer from {node}: {reason}", []string{"reason"}, "Check the device's address and credentials: belay fence check {device}", 0, true, true},
	{FenceDeviceReady, "fence-device-ready", cleared, "Fence device ready", "fence device {device} answers from {node}", nil, "", FenceDeviceFailed, false, true},
	{FencingOff, "fencing-off", major, "Fencing is off", "fencing-required is off: after a node failure data may be written by two nodes", nil, "Configure fence devices and set fencing-required to true.", 0, true, true},
	{FencingOn, "fencing-on", cleared, "Fencing is on", "fencing-required is on", nil, "", FencingOff, false, true},
	{ResourceStarted, "resource-started", info, "Resource started", "resource {resource} was started on {node}", nil, "", 0, false, true},
	{ResourceStopped, "resource-stopped", info, "Resource stopped", "resource {resource} was stopped on {node}", nil, "", 0, false, true},
	{ResourceMoved, "resource-moved", info, "Resource moved", "resource {resource} moves from {from} to {node}: {reason}", []string{"from", "reason"}, "", 0, false, true},
	{ResourceRecovered, "resource-recovered", cleared, "Resource recovered", "resource {resource} runs on {node} again after {duration}", []string{"duration"}, "", ResourceFailed, false, true},
	{ResourceFailed, "resource-failed", major, "Resource failed", "{op} of resource {resource} on {node} failed: {reason}", []string{"op", "reason"}, "See the agent's output: belay resource show {resource}; after the repair: belay resource cleanup {resource}", 0, true, true},
	{ResourceBlocked, "resource-blocked", critical, "Resource blocked", "resource {resource} is left as it is: {reason}", []string{"reason"}, "See belay explain resource {resource}; after the repair: belay resource cleanup {resource}", 0, true, true},
	{ResourceUnblocked, "resource-unblocked", cleared, "Resource unblocked", "resource {resource} is managed again", nil, "", ResourceBlocked, false, true},
	{ResourceUnexpected, "resource-unexpected", critical, "Resource active where it should not be", "resource {resource} was found active on {nodes}", []string{"nodes"}, "Something outside the cluster started it. Disable it in the system's own start-up.", 0, true, true},
	{ActionTimedOut, "action-timed-out", minor, "Action timed out", "{op} of resource {resource} on {node} was killed after {timeout}", []string{"op", "timeout"}, "Find out what it waited for, or raise the time-out of {op}.", 0, false, false},
	{ConfigChanged, "config-changed", info, "Configuration changed", "generation {generation} by {actor}: {action} {object}", []string{"generation", "actor", "action", "object"}, "", 0, false, true},
	{PlanRefused, "plan-refused", critical, "Plan refused", "the plan checker refused a plan: {reason}", []string{"reason"}, "This is a defect in Belay. Nothing was done. Send the output of belay report.", 0, true, true},
	{StoreSlow, "store-slow", warning, "Store slow", "a write to the store took {latency} on {node}", []string{"latency"}, "Check the disk of the voters.", 0, false, false},
	{StoreStalled, "store-stalled", major, "Store stalled", "node {node} cannot write to the store: {reason}; running services go on, changes wait", []string{"reason"}, "Check disks and links of the voters: belay status --store", 0, true, true},
	{StoreBack, "store-back", cleared, "Store answers", "node {node} can write to the store again", nil, "", StoreStalled, false, true},
	{StoreMemberLost, "store-member-lost", major, "Store member lost", "the store member of node {node} does not answer", nil, "Its disk or process failed; the cluster goes on with one voter less.", 0, true, true},
	{StoreMemberBack, "store-member-back", cleared, "Store member back", "the store member of node {node} answers", nil, "", StoreMemberLost, false, true},
	{StoreSpace, "store-space", critical, "Store full", "the store of node {node} is full: {reason}; changes are refused, services go on", []string{"reason"}, "Free disk space, or raise the store's quota.", 0, true, true},
	{VoterSetChanged, "voter-set-changed", info, "Voters changed", "voters are now {voters}: {reason}", []string{"voters", "reason"}, "", 0, false, true},
	{BackupDone, "backup-done", info, "Backup done", "the store was saved to {file} on {node}", []string{"file"}, "", BackupFailed, false, false},
	{BackupFailed, "backup-failed", major, "Backup failed", "the store could not be saved on {node}: {reason}", []string{"reason"}, "Check the backup directory and its free space.", 0, true, true},
	{StateCorrupt, "state-corrupt", major, "Local state corrupt", "file {file} on {node} could not be read and was moved aside to {aside}", []string{"file", "aside"}, "Check the disk of {node}.", 0, false, true},
	{GenerationConflict, "generation-conflict", critical, "Two histories", "node {node} carries data generation {number} with another history; changes are stopped", []string{"number"}, "Decide which side is right and rejoin the other: belay cluster status", 0, true, true},
	{CertificateRenewed, "certificate-renewed", info, "Certificate renewed", "the certificate of node {node} was renewed; it ends {end}", []string{"end"}, "", CertificateExpired, false, false},
	{CertificateExpired, "certificate-expired", major, "Certificate expired", "the certificate of node {node} ended {end}; it is renewed, the cluster goes on", []string{"end"}, "Check the clock of {node}.", 0, true, true},
	{AuditFailed, "audit-failed", critical, "Audit log cannot be written", "node {node} cannot write its audit log: {reason}; changes are refused there", []string{"reason"}, "Free disk space or repair the disk.", 0, true, true},
	{EngineStarted, "engine-started", info, "Engine started", "the engine {version} of node {node} started", []string{"version"}, "", 0, false, true},
	{EngineUpgraded, "engine-upgraded", info, "Feature level raised", "the cluster runs at feature level {level}", []string{"level"}, "", 0, false, true},
	{AttributeChanged, "attribute-changed", info, "Node attribute changed", "attribute {name} of node {node} is now {value}", []string{"name", "value"}, "", 0, false, false},
	{AuditWritable, "audit-writable", cleared, "Audit log can be written again", "node {node} can write its audit log again", nil, "", AuditFailed, false, true},
	{AuditConflict, "audit-conflict", critical, "Audit log in doubt", "node {node} presents an audit log that does not fit what node {witness} signed: {reason}", []string{"witness", "reason"}, "Keep the disk of {node} as it is, run belay audit verify there, and find out who changed the log or put an old copy back.", 0, true, true},
	{QuorumDeviceFailed, "quorum-device-failed", major, "Tie-breaker does not answer", "quorum device {device} does not answer node {node}: {reason}; a tie would stop this part of the cluster", []string{"reason"}, "Check the device and the way to it: belay quorum status on {node}", 0, true, true},
	{QuorumDeviceReady, "quorum-device-ready", cleared, "Tie-breaker answers", "quorum device {device} answers node {node}", nil, "", QuorumDeviceFailed, false, true},
	{QuorumByDevice, "quorum-by-device", major, "A tie-breaker decided", "node {node} goes on with half of the votes, by quorum device {device}: {reason}", []string{"reason"}, "Bring the other half back: until then one more failure stops the cluster.", 0, false, true},
	{AuditForwardFailed, "audit-forward-failed", major, "Audit log is not forwarded", "node {node} cannot forward its audit log to {device}: {reason}", []string{"reason"}, "Check the server and its certificate; nothing is lost, what was missed is sent when it is back.", 0, true, true},
	{AuditForwarded, "audit-forwarded", cleared, "Audit log is forwarded again", "node {node} forwards its audit log to {device} again", nil, "", AuditForwardFailed, false, true},
	{NotificationFailed, "notification-failed", warning, "Notification failed", "resource {resource} on {node} did not take the notification {phase}: {reason}; the plan goes on", []string{"phase", "reason"}, "See what its agent logs about notify, or turn notify off for its clone.", 0, false, false},
	{StoreForced, "store-forced", major, "Store goes on alone", "the store goes on at node {node} alone, as generation {number} of the data: {peer} is lost, and shut out by quorum device {device}", []string{"number", "peer"}, "Bring {peer} back: it learns the store anew. Until then one more failure stops the cluster.", 0, false, true},
	{StoreForceRefused, "store-force-refused", critical, "Store can't go on alone", "node {node} can't go on alone with the store: {reason}", []string{"reason"}, "Bring the other voter back; changes wait until then: belay quorum status on {node}", 0, true, true},
	{StoreReplaced, "store-replaced", warning, "Store data replaced", "the store went on without node {node}: its data of the store lie in {aside}, and it learns them anew", []string{"aside"}, "", 0, false, true},
	{AlarmAcknowledged, "alarm-acknowledged", info, "Alarm acknowledged", "{person} acknowledged alarm {alarm}: {comment}", []string{"person", "alarm", "comment"}, "", 0, false, true},
	{UnfencingFailed, "unfencing-failed", major, "Unfencing failed", "attempt {attempt} to unfence node {node} with device {device} failed: {reason}; what requires it does not start there", []string{"attempt", "reason"}, "Check the device's parameters, and that {node} reaches it: belay fence check {device}", 0, true, true},
	{UnfencingDone, "unfencing-done", cleared, "Unfenced", "node {node} was unfenced with device {device}", nil, "", UnfencingFailed, false, true},
	{NotificationTest, "notification-test", info, "Test notification", "{person} tries who gets notifications: {comment}", []string{"person", "comment"}, "", 0, false, true},
	{StoreUnpaired, "store-unpaired", major, "Store goes on alone", "the store goes on at node {node} alone, as generation {number} of the data: {peer} is lost, and had not yet got its vote", []string{"number", "peer"}, "Bring {peer} back: it learns the store anew. Until then one more failure stops the cluster.", 0, false, true},
	{RemoteOnline, "remote-online", info, "Remote node online", "remote node {node} is connected to node {host}", []string{"host"}, "", 0, false, true},
	{RemoteLost, "remote-lost", major, "Remote node lost", "remote node {node} is lost, and unclean until a fence proof is recorded: {reason}", []string{"reason"}, "See whether the machine, its network or belayd --remote failed: belay node show {node}", 0, false, true},
	{RemoteRefused, "remote-refused", major, "Remote node refused", "node {by} does not take what answers in the place of remote node {node}: {reason}", []string{"by", "reason"}, "See which machine has the address of {node}, and whether it was given another node's certificate.", 0, false, true},
	{StoreGoesOn, "store-goes-on", cleared, "Store goes on", "node {node} can write to the store again, which it could not go on with alone", nil, "", StoreForceRefused, false, true},
	{GuestEnded, "guest-ended", warning, "Guest ended", "guest {node} was lost, and what it was inside of has stopped: what ran in it is recovered, by proof {proof}", []string{"proof"}, "", 0, false, true},
	{TicketHeld, "ticket-held", info, "Ticket held", "this cluster has ticket {ticket} from arbitrator {device}, term {term}", []string{"ticket", "term"}, "", 0, false, true},
	{TicketLost, "ticket-lost", major, "Ticket lost", "this cluster has lost ticket {ticket}: {reason}; what needs it follows its loss-policy", []string{"ticket", "reason"}, "See who has it, and whether arbitrator {device} is reached: belay ticket show {ticket}, belay quorum status", 0, false, true},
	{TicketTimes, "ticket-times", major, "Ticket without use", "ticket {ticket} of arbitrator {device} is of no use to this cluster: {reason}", []string{"ticket", "reason"}, "See how long it takes to stop what needs it: belay check timing", 0, false, true},
	{ServiceFailedOver, "service-failed-over", warning, "Service failed over", "service {resource} runs on {node}, {milliseconds} ms after it was lost on {from}: {reason} ({kind}, from {began} to {ended})", []string{"from", "milliseconds", "reason", "kind", "began", "ended"}, "", 0, false, true},
	{ServiceNotRecovered, "service-not-recovered", major, "Service not recovered", "service {resource}, lost on {from}, is given up after {milliseconds} ms: {why}; it was lost because of {reason} ({kind}, from {began} to {ended})", []string{"from", "milliseconds", "why", "reason", "kind", "began", "ended"}, "See why it runs nowhere: belay explain resource {resource}", 0, false, true},
	{StorePeerEmpty, "store-peer-empty", major, "Store goes on alone", "the store goes on at node {node} alone, as generation {number} of the data: {peer} came back without its data of the store, or with old ones, and learns them anew", []string{"number", "peer"}, "Find out why the disk of {peer} is old or empty. Until {peer} has its vote again one more failure stops the cluster.", 0, false, true},
}

// Get returns the definition with a number; an unknown number panics, since it is
// a bug in the program.
func Get(number int) *Definition {
	i, ok := slices.BinarySearchFunc(Catalogue, number, func(d Definition, n int) int { return d.Number - n })
	if !ok {
		panic(fmt.Sprintf("event %d is not in the catalogue", number))
	}
	return &Catalogue[i]
}

// ByCode returns the definition with a code such as "BLY3001".
func ByCode(code string) (*Definition, bool) {
	for i := range Catalogue {
		if Catalogue[i].Code() == code {
			return &Catalogue[i], true
		}
	}
	return nil, false
}

// New makes an event from its definition. Args are pairs of name and value; the
// names node, resource and device fill the fields of the event.
func New(number int, args ...string) cib.Event {
	d := Get(number)
	ev := cib.Event{Code: d.Code(), Severity: d.Severity, Args: map[string]string{}}
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "node":
			ev.Node = args[i+1]
		case "resource":
			ev.Resource = args[i+1]
		case "device":
			ev.Device = args[i+1]
		case "cause":
			ev.Cause = args[i+1]
		default:
			ev.Args[args[i]] = args[i+1]
		}
	}
	ev.Text = Render(d.Text, &ev)
	return ev
}

// Render fills the placeholders of a text from an event.
func Render(text string, ev *cib.Event) string {
	for _, p := range [][2]string{{"node", ev.Node}, {"resource", ev.Resource}, {"device", ev.Device}} {
		text = strings.ReplaceAll(text, "{"+p[0]+"}", p[1])
	}
	for k, v := range ev.Args {
		text = strings.ReplaceAll(text, "{"+k+"}", v)
	}
	return text
}

// Remedy returns what to do about an event, filled in; "" when nothing.
func Remedy(ev *cib.Event) string {
	d, ok := ByCode(ev.Code)
	if !ok {
		return ""
	}
	return Render(d.Remedy, ev)
}
