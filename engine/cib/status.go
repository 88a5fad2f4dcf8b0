package cib

import (
	"fmt"
	"slices"
	"time"
)

// Status is what the engine knows. Every document has one writer; see keys.go.
// The Rev of a document is the store revision of its last change, to be compared
// in a transaction that depends on it; 0 in a document that is not stored.
type Status struct {
	Generation DataGeneration // of the data as a whole, not of the configuration
	DC         *DC            // nil: there is none
	// Quorum of the partition that the snapshot is of. A snapshot of the store is
	// always of one that has it; others are imported, or of a simulation.
	Quorum     PartitionQuorum
	Advice     *Advice // of the external placement program; nil: none was ever asked for
	View       *View   // nil: none was ever made
	Voters     *VoterSet
	Revoked    *Revoked                         // nil: no certificate was ever revoked
	Members    map[string]*Member               // by node
	Nodes      map[string]*NodeStatus           // by node
	Remotes    map[string]*RemoteLink           // connections to remote nodes, by their names
	Attributes map[string]*Attributes           // by node; transient ones
	Histories  map[string]map[string]*History   // by node, by instance
	Pending    map[string]map[string]*Pending   // by node, by instance
	Tickets    map[string]*TicketStatus         // that an arbitrator grants, by id
	Rounds     map[string]*Round                // of notifications, by the resource inside of the clone
	Outages    map[string]*Outages              // services that were lost and do not run again yet, by the node that they were lost on
	Requests   map[string]*FenceRequest         // open and failed ones, by target
	Proofs     map[string]*Proof                // by id
	Fenced     map[string]*FenceRequest         // ended ones, by id
	Readiness  map[string]map[string]*Readiness // fence devices, by node, by device
	Stores     map[string]*StoreStatus          // the store as each node sees it
	Links      map[string]*LinkReport           // the links as each node sees them
	Events     []*Event                         // the ring, oldest first
}

// DataGeneration orders data across forced recoveries and restores, which raise
// Number and draw a new Nonce. The same number with another nonce means that two
// histories exist: changes stop on both sides.
type DataGeneration struct {
	Number uint64 `json:"number"`
	Nonce  uint64 `json:"nonce"`
}

// DC names the holder of the designated coordinator's key. The key hangs on the
// holder's lease; every write of the DC compares its Rev.
type DC struct {
	Node        string    `json:"node"`
	Incarnation uint64    `json:"incarnation"`
	Since       time.Time `json:"since"`
	Rev         int64     `json:"-"`
}

// View is the membership that every component uses. The DC makes it.
type View struct {
	Number  uint64       `json:"number"`  // rises by one with every view
	Members []ViewMember `json:"members"` // sorted by node
	DC      string       `json:"dc"`
	Reason  string       `json:"reason"`
	Formed  time.Time    `json:"formed"`
	// FeatureLevel is what every node of the cluster was able to when it was raised.
	// It never falls: what is stored may depend on it.
	FeatureLevel int   `json:"featureLevel,omitempty"`
	Rev          int64 `json:"-"`
}

// ViewMember is one member of a view: a node in one incarnation of its engine.
type ViewMember struct {
	Node        string `json:"node"`
	Incarnation uint64 `json:"incarnation"`
	BootID      string `json:"bootId"`
}

// Has reports whether the node is a member.
func (v *View) Has(node string) bool { _, ok := v.Member(node); return ok }

// Member returns the member entry of a node.
func (v *View) Member(node string) (ViewMember, bool) {
	if v != nil {
		for _, m := range v.Members {
			if m.Node == node {
				return m, true
			}
		}
	}
	return ViewMember{}, false
}

// VoterSet says who votes. It changes by one voter at a time, and the next
// change waits until a majority of the new set echoes its epoch.
type VoterSet struct {
	Epoch  uint64   `json:"epoch"`
	Voters []string `json:"voters"` // sorted
	// Votes are those of voters that have more than one. They change by one at a time,
	// as voters do: then two majorities of neighbouring sets always share a voter.
	Votes  map[string]int `json:"votes,omitempty"`
	Since  time.Time      `json:"since"`
	Reason string         `json:"reason,omitempty"`
	Added  string         `json:"added,omitempty"` // the voter that the set before did not have; "": it had more
	Rev    int64          `json:"-"`
}

// VotesOf returns the votes of a node; 0 for one that is no voter.
func (v *VoterSet) VotesOf(node string) int {
	switch {
	case v == nil || !slices.Contains(v.Voters, node):
		return 0
	case v.Votes[node] > 1:
		return v.Votes[node]
	}
	return 1
}

// Weights returns the votes of Voters, in their order; nil: one each.
func (v *VoterSet) Weights() []int {
	if v == nil || len(v.Votes) == 0 {
		return nil
	}
	out := make([]int, len(v.Voters))
	for i, name := range v.Voters {
		out[i] = v.VotesOf(name)
	}
	return out
}

// MoreVotes returns the votes of those that have more than one.
func (v *VoterSet) MoreVotes() map[string]int {
	if v == nil {
		return nil
	}
	return v.Votes
}

// Total is the sum of the votes.
func (v *VoterSet) Total() int {
	if v == nil {
		return 0
	}
	total := len(v.Voters)
	for _, name := range v.Voters {
		total += v.VotesOf(name) - 1
	}
	return total
}

// Revoked names the certificates that are void although their time has not come:
// those of removed nodes. Number rises with every change.
type Revoked struct {
	Number       int64                `json:"number"`
	Certificates []RevokedCertificate `json:"certificates"`
	List         []byte               `json:"list"` // the same, signed by the cluster's authority: RFC 5280 section 5, DER
	Rev          int64                `json:"-"`
}

// RevokedCertificate is one of them. It is kept until its time has come.
type RevokedCertificate struct {
	Serial string    `json:"serial"` // hexadecimal
	Node   string    `json:"node"`   // that had it
	Name   string    `json:"name"`   // its common name: the node's, or root
	Since  time.Time `json:"since"`
	End    time.Time `json:"end"`
}

// Member is what a node says of itself. It writes it at every start of its engine
// and whenever its validity epoch rises. It stays when the node dies, since its
// boot id is what a proof must name.
type Member struct {
	Node          string    `json:"node"`
	Incarnation   uint64    `json:"incarnation"`   // of the engine: drawn at its start, rises
	BootID        string    `json:"bootId"`        // of the machine: /proc/sys/kernel/random/boot_id
	ValidityEpoch uint64    `json:"validityEpoch"` // rises at each loss of validity
	Version       string    `json:"version"`
	FeatureLevel  int       `json:"featureLevel"`
	Cores         int       `json:"cores"`
	Started       time.Time `json:"started"`
	Watchdog      *Watchdog `json:"watchdog,omitempty"`
	// Shutdown says that the node wants to leave: everything is moved off, then
	// the DC marks it offline. Restart says that its engine will be back within
	// restart-grace.
	Shutdown bool  `json:"shutdown,omitempty"`
	Restart  bool  `json:"restart,omitempty"`
	Rev      int64 `json:"-"`
}

// RemoteLink is what the node at which the connection to a remote node is says of
// it, the proxy. It is written before the start of the connection is known to have
// succeeded, and stays when the connection ends, since its boot id is what a proof
// must name.
type RemoteLink struct {
	Node        string `json:"node"`        // the remote node
	Host        string `json:"host"`        // the proxy
	Incarnation uint64 `json:"incarnation"` // of the proxy's engine
	// Epoch orders the connections to a remote node: the generation of the data, and
	// the revision at which the start of the connection was claimed. A remote node
	// takes orders over the one with the highest only.
	Epoch         uint64    `json:"epoch"`
	BootID        string    `json:"bootId"`        // of the remote node's machine
	ValidityEpoch uint64    `json:"validityEpoch"` // rises at each loss of the proxy's validity
	Version       string    `json:"version,omitempty"`
	Cores         int       `json:"cores,omitempty"`
	Since         time.Time `json:"since"`
	// Refused says that there is no connection: the remote node answered in a boot
	// whose end was proven, which shows that the proof is wrong.
	Refused bool  `json:"refused,omitempty"`
	Rev     int64 `json:"-"`
}

// Watchdog describes the armed watchdog of a node.
type Watchdog struct {
	Device   string   `json:"device"`
	Identity string   `json:"identity"`
	Timeout  Duration `json:"timeout"`
	Hardware bool     `json:"hardware"` // only a hardware watchdog gives a proof
}

// NodeStatus is what the DC has decided about a node.
type NodeStatus struct {
	State  NodeState `json:"state"`
	BootID string    `json:"bootId,omitempty"` // the boot that the state is about
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
	Proof  string    `json:"proof,omitempty"` // id of the proof that confirmed it dead
	// Standby by a failed operation with on-fail standby; cleared by cleanup.
	FailStandby bool `json:"failStandby,omitempty"`
	// Remote says that it is a remote node or guest. BootID is then the one that it
	// had when its connection came up.
	Remote bool  `json:"remote,omitempty"`
	Rev    int64 `json:"-"`
}

// Attributes are a node's transient attributes: gone with its boot.
type Attributes struct {
	BootID  string            `json:"bootId"`
	Values  map[string]string `json:"values"`
	Private map[string]string `json:"private,omitempty"` // only agents see these: no rule, no summary
	Rev     int64             `json:"-"`
}

// PromotionAttribute is the transient attribute in which the agent of an instance
// leaves its promotion score on a node. Pacemaker's name: agents read and write it
// under that name too.
func PromotionAttribute(instance string) string { return "master-" + instance }

// OCF return codes (OCF Resource Agent API 1.1, "Exit status codes").
const (
	OK               = 0
	GenericError     = 1
	InvalidParameter = 2
	Unimplemented    = 3
	Insufficient     = 4
	NotInstalled     = 5
	NotConfigured    = 6
	NotRunning       = 7
	RunningPromoted  = 8
	FailedPromoted   = 9
	Degraded         = 190
	DegradedPromoted = 191
)

// History is what one node knows of one instance: the newest result of each
// operation, and failures. The node's local resource manager writes it.
type History struct {
	Instance    string            `json:"instance"` // resource id, with ":n" for a globally unique clone instance
	Resource    string            `json:"resource"` // resource id
	Agent       string            `json:"agent"`
	Parameters  map[string]string `json:"parameters,omitempty"` // of the last start, secrets sealed: what a later stop needs
	BootID      string            `json:"bootId"`               // of the node when it wrote this
	Incarnation uint64            `json:"incarnation"`          // of the engine; an older one means that a probe is due
	Ops         []OpResult        `json:"ops"`                  // newest last; one for each operation and interval, besides the last failure
	FailCount   Score             `json:"failCount,omitempty"`  // since the last cleanup; what is fatal, policy and status judge by the options
	LastFailure time.Time         `json:"lastFailure,omitzero"`
	Rev         int64             `json:"-"`
}

// OpResult is the result of one operation.
type OpResult struct {
	ActionID string        `json:"actionId"` // "transition.number"; of the action that asked for it
	Seq      uint64        `json:"seq"`      // rises with every operation of the node in one boot
	Op       string        `json:"op"`       // start, stop, monitor, ...
	Interval Duration      `json:"interval,omitzero"`
	Role     Role          `json:"role,omitzero"` // a recurring monitor's role
	RC       int           `json:"rc"`
	Expected int           `json:"expected"`        // the rc that means success
	Probe    bool          `json:"probe,omitempty"` // a monitor that only looks
	Status   OpStatus      `json:"status"`
	Started  time.Time     `json:"started"`
	Ended    time.Time     `json:"ended"`
	Exec     time.Duration `json:"execNs"`           // how long the agent ran
	Queue    time.Duration `json:"queueNs"`          // how long it waited before
	Reason   string        `json:"reason,omitempty"` // the agent's ocf-exit-reason, or ours
	Output   string        `json:"output,omitempty"` // the end of what the agent printed, at most 1 KiB
	Digest   string        `json:"digest,omitempty"` // of the parameters
	Timeout  Duration      `json:"timeout,omitzero"` // of a recurring monitor: how long it may take each time
	Peer     string        `json:"peer,omitempty"`   // of a migration: the node at its other end
	// Reloadable are the parameters that the agent said it can take over while the
	// instance runs (reload-agent); RestartDigest is the digest of the others. Empty:
	// it said nothing, and every change means a restart.
	Reloadable    []string `json:"reloadable,omitempty"`
	RestartDigest string   `json:"restartDigest,omitempty"`
	Round         string   `json:"round,omitempty"` // of a notification
	Phase         string   `json:"phase,omitempty"` // of a notification: "pre-start"
	Why           Why      `json:"why"`
	Failed        bool     `json:"failed,omitempty"`
}

// Pending is an action in flight: the record is the request. Its key is the
// instance on the node, so that two actions on one instance can't be in flight.
type Pending struct {
	Action
	State ActionState `json:"state"`
	// Migration is the id of the migrate_to, on the node Peer, that may make the
	// instance active here. The record begins in the same transaction as that one,
	// as an expected migrate_from, and ends with what this node says of the instance.
	Migration string `json:"migration,omitempty"`
	// ValidityEpoch is the node's when it was asked; the node claims it only in
	// that epoch.
	ValidityEpoch uint64    `json:"validityEpoch"`
	Incarnation   uint64    `json:"incarnation,omitempty"` // of the engine that claimed it
	Asked         time.Time `json:"asked"`
	Claimed       time.Time `json:"claimed,omitzero"`
	Rev           int64     `json:"-"`
}

// Action is one step that a node's local resource manager, or fencing, carries
// out. It leaves no choice: everything needed stands in it.
type Action struct {
	ID         string            `json:"id"` // "transition.number", unique; empty in a plan
	Op         string            `json:"op"` // start stop monitor promote demote notify migrate_to migrate_from reload-agent fence cancel
	Instance   string            `json:"instance,omitempty"`
	Resource   string            `json:"resource,omitempty"`
	Node       string            `json:"node"` // where it runs; for fence the target
	Agent      string            `json:"agent,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"` // secrets sealed
	Meta       map[string]string `json:"meta,omitempty"`       // CRM_meta_* for the agent, without the prefix
	Interval   Duration          `json:"interval,omitzero"`
	Timeout    Duration          `json:"timeout,omitzero"`
	Role       Role              `json:"role,omitzero"`    // of a recurring monitor
	Expected   int               `json:"expected"`         // the rc that means success
	Probe      bool              `json:"probe,omitempty"`  // a monitor that looks before anything is known
	FenceOp    FenceOp           `json:"fenceOp,omitzero"` // of a fence
	Delay      Duration          `json:"delay,omitzero"`   // of a fence: before the first device is called, besides the device's own
	Peer       string            `json:"peer,omitempty"`   // of a migration: the node at its other end
	Round      string            `json:"round,omitempty"`  // of what instances of a clone with notify are told, and of the telling
	Phase      string            `json:"phase,omitempty"`  // of a notification: "pre-start", "post-promote"
	Why        Why               `json:"why"`
}

// Key identifies an action within its node: the same key in two plans is the
// same step.
func (a *Action) Key() string {
	if a.Phase != "" {
		return fmt.Sprintf("%s_%s_%s_%s", a.Instance, a.Op, a.Round, a.Phase)
	}
	return fmt.Sprintf("%s_%s_%d", a.Instance, a.Op, a.Interval.D().Milliseconds())
}

// String says what the action does, as in traces and logs: "start web on n2".
func (a *Action) String() string {
	switch {
	case a.Op == OpFence:
		return fmt.Sprintf("fence %s (%s)", a.Node, a.FenceOp)
	case a.Op == OpUnfence:
		return "unfence " + a.Node
	case a.Probe:
		return fmt.Sprintf("probe %s on %s", a.Instance, a.Node)
	case a.Phase != "":
		return fmt.Sprintf("notify %s of %s on %s", a.Instance, a.Phase, a.Node)
	case a.Interval > 0:
		return fmt.Sprintf("%s %s every %s on %s", a.Op, a.Instance, a.Interval, a.Node)
	}
	return fmt.Sprintf("%s %s on %s", a.Op, a.Instance, a.Node)
}

// The operations.
const (
	OpStart       = "start"
	OpStop        = "stop"
	OpMonitor     = "monitor"
	OpPromote     = "promote"
	OpDemote      = "demote"
	OpNotify      = "notify"
	OpMigrateTo   = "migrate_to"
	OpMigrateFrom = "migrate_from"
	OpReload      = "reload-agent"
	OpFence       = "fence"
	OpUnfence     = "unfence" // of a node, by the node itself: see [Config.UnfencingDue]
	OpCancel      = "cancel"  // end a recurring monitor; Interval says which
	OpCleanup     = "cleanup" // forget history and fail count of the instance
)

// Why is the reason of a decision: cause, rule, score. ID stands also in the
// event, the log line, the trap and the audit record of the same cause.
type Why struct {
	ID    string `json:"id,omitempty"`    // of the cause: an event, a change, a proof
	Cause string `json:"cause,omitempty"` // in words: "node n1 was fenced"
	Rule  string `json:"rule,omitempty"`  // id of the constraint or option that decided
	Score Score  `json:"score,omitempty"`
	Proof string `json:"proof,omitempty"` // id of the fence proof that allowed it
}

// FenceRequest asks for a node to be fenced. Its key is the target, so that
// equal requests merge.
type FenceRequest struct {
	ID       string     `json:"id"`
	Target   string     `json:"target"`
	BootID   string     `json:"bootId"` // of the target: the boot that must end
	Op       FenceOp    `json:"op"`
	Delay    Duration   `json:"delay,omitzero"` // before the first call; see Action.Delay
	Why      Why        `json:"why"`
	State    FenceState `json:"state"`
	Executor string     `json:"executor,omitempty"` // the node that drives the devices; never the target
	Executed uint64     `json:"executorIncarnation,omitempty"`
	Attempts int        `json:"attempts,omitempty"`
	Asked    time.Time  `json:"asked"`
	Claimed  time.Time  `json:"claimed,omitzero"`
	Ended    time.Time  `json:"ended,omitzero"`
	Expires  time.Time  `json:"expires,omitzero"` // of the present attempt
	Device   string     `json:"device,omitempty"` // that confirmed it
	Error    string     `json:"error,omitempty"`  // of the last attempt
	Proof    string     `json:"proof,omitempty"`
	Rev      int64      `json:"-"`
}

// Proof confirms that a boot of a node is over. Every recovery of what ran there
// names it.
type Proof struct {
	ID      string    `json:"id"`
	Kind    ProofKind `json:"kind"`
	Target  string    `json:"target"`
	BootID  string    `json:"bootId"`
	Device  string    `json:"device,omitempty"`
	By      string    `json:"by"` // the executing node, or the person
	Request string    `json:"request,omitempty"`
	Time    time.Time `json:"time"`
	Void    string    `json:"void,omitempty"`  // why it turned out false
	Scope   []string  `json:"scope,omitempty"` // resources it is good for; empty: all
	Rev     int64     `json:"-"`
}

// Readiness is the newest check of one fence device from one node.
type Readiness struct {
	Device string    `json:"device"`
	OK     bool      `json:"ok"`
	Error  string    `json:"error,omitempty"`
	Time   time.Time `json:"time"`
	Rev    int64     `json:"-"`
}

// StoreStatus is the store as one node sees it.
type StoreStatus struct {
	Node      string        `json:"node"`
	Member    bool          `json:"member"` // runs a member itself
	Learner   bool          `json:"learner,omitempty"`
	Leader    string        `json:"leader,omitempty"` // node name of the store's leader
	SizeBytes int64         `json:"sizeBytes"`
	InUse     int64         `json:"inUseBytes"`
	Quota     int64         `json:"quotaBytes"`
	Revision  int64         `json:"revision"`
	Latency   time.Duration `json:"latencyNs"` // of a write, smoothed
	Alarm     string        `json:"alarm,omitempty"`
	Backup    time.Time     `json:"lastBackup,omitzero"`
	Time      time.Time     `json:"time"`
	Rev       int64         `json:"-"`
}

// LinkReport is every link to every peer as one node sees it.
type LinkReport struct {
	Node  string     `json:"node"`
	Peers []LinkPeer `json:"peers"` // sorted by peer, link
	Time  time.Time  `json:"time"`
	// ClockOffset is this node's wall clock against the median of the voters'.
	ClockOffset time.Duration `json:"clockOffsetNs"`
	Rev         int64         `json:"-"`
}

// LinkPeer is one link to one peer.
type LinkPeer struct {
	Peer     string        `json:"peer"`
	Link     int           `json:"link"`
	Up       bool          `json:"up"`
	RTT      time.Duration `json:"rttNs"`
	Loss     float64       `json:"loss"` // of the last 100 heartbeats, 0 to 1
	Sent     uint64        `json:"sent"`
	Received uint64        `json:"received"`
	Rejected uint64        `json:"rejected"` // not authentic, or replayed
	Changed  time.Time     `json:"changed"`  // when Up changed last
}

// Event is one entry of the event ring. Events of one transaction differ in
// Index, so that Seq orders all events of the cluster without a counter that every
// writer would have to compare.
type Event struct {
	Seq      uint64            `json:"seq"`   // store revision × 64 + Index; given by the store
	Index    uint64            `json:"index"` // within its transaction, below 64
	Key      string            `json:"-"`
	Time     time.Time         `json:"time"`
	Code     string            `json:"code"` // BLYnnnn, see engine/event
	Severity Severity          `json:"severity"`
	Source   string            `json:"source"` // the node that wrote it
	Node     string            `json:"node,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Device   string            `json:"device,omitempty"`
	Cause    string            `json:"causeId,omitempty"`
	Text     string            `json:"text"`
	Args     map[string]string `json:"args,omitempty"`
}
