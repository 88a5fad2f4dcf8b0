package status

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Summary is the state of a cluster as every face shows it. It is made from one
// snapshot and never changed. Lists are sorted; a list that is empty is left out.
type Summary struct {
	Revision     int64         `json:"revision"` // of the snapshot
	Time         time.Time     `json:"time"`     // when it was computed; ages count from here
	Cluster      Cluster       `json:"cluster"`
	Quorum       Quorum        `json:"quorum"`
	Nodes        []Node        `json:"nodes,omitempty"`        // by name
	Remotes      []Node        `json:"remotes,omitempty"`      // remote nodes, by name
	Links        []Link        `json:"links,omitempty"`        // by node, peer, link
	Resources    []Resource    `json:"resources,omitempty"`    // the trees of groups and clones, each parent before its members
	FenceDevices []FenceDevice `json:"fenceDevices,omitempty"` // by id
	Fencing      []Fencing     `json:"fencing,omitempty"`      // requests, newest first
	Store        Store         `json:"store"`
	Alarms       []Alarm       `json:"alarms,omitempty"`    // worst first, then oldest first
	Actions      []Action      `json:"actions,omitempty"`   // in flight, oldest first
	Failovers    []Failover    `json:"failovers,omitempty"` // newest first
	Tickets      []Ticket      `json:"tickets,omitempty"`   // by id
	Faults       []cib.Fault   `json:"faults,omitempty"`    // documents of the store that could not be read, by key
}

// Cluster is the cluster as a whole.
type Cluster struct {
	Name             string       `json:"name"`
	State            ClusterState `json:"state"`
	Reason           string       `json:"reason"` // of the state, in words
	DC               string       `json:"dc,omitempty"`
	DCSince          time.Time    `json:"dcSince,omitzero"`
	View             uint64       `json:"view"`
	Members          []string     `json:"members,omitempty"` // of the view
	ViewFormed       time.Time    `json:"viewFormed,omitzero"`
	ViewReason       string       `json:"viewReason,omitempty"`
	DataGeneration   uint64       `json:"dataGeneration"`
	Generation       uint64       `json:"generation"` // of the configuration
	ConfigChanged    time.Time    `json:"configChanged,omitzero"`
	FeatureLevel     int          `json:"featureLevel"` // that the cluster runs at: what all nodes know; it never falls
	Versions         []string     `json:"versions,omitempty"`
	Maintenance      bool         `json:"maintenance"`
	StopAllResources bool         `json:"stopAllResources"`
	Symmetric        bool         `json:"symmetric"`
	FencingRequired  bool         `json:"fencingRequired"`
	Counts           Counts       `json:"counts"`
}

// Counts are the figures that dashboards show.
type Counts struct {
	Nodes             int `json:"nodes"`
	NodesOnline       int `json:"nodesOnline"` // members that may host resources
	NodesStandby      int `json:"nodesStandby"`
	NodesMaintenance  int `json:"nodesMaintenance"`
	NodesOffline      int `json:"nodesOffline"` // left cleanly, or fenced
	NodesUnclean      int `json:"nodesUnclean"` // lost, or being fenced
	Remotes           int `json:"remotes"`      // remote nodes, which are not among the nodes
	RemotesOnline     int `json:"remotesOnline"`
	Resources         int `json:"resources"` // rows: primitives, groups and clones
	ResourcesRunning  int `json:"resourcesRunning"`
	ResourcesStopped  int `json:"resourcesStopped"`
	ResourcesFailed   int `json:"resourcesFailed"` // failed or blocked
	ResourcesChanging int `json:"resourcesChanging"`
	ResourcesUnknown  int `json:"resourcesUnknown"`
	ResourcesManaged  int `json:"resourcesManaged"`
	Instances         int `json:"instances"` // of primitives, active
	Actions           int `json:"actions"`   // in flight
	AlarmsCritical    int `json:"alarmsCritical"`
	AlarmsMajor       int `json:"alarmsMajor"`
	AlarmsMinor       int `json:"alarmsMinor"`
	AlarmsWarning     int `json:"alarmsWarning"`
	Failovers         int `json:"failovers"` // in the event ring
}

// Quorum is the vote.
type Quorum struct {
	State    QuorumState        `json:"state"`
	Reason   string             `json:"reason"`
	Votes    int                `json:"votes"` // here
	Expected int                `json:"expected"`
	Needed   int                `json:"needed"`
	Policy   cib.NoQuorumPolicy `json:"policy"`
	Epoch    uint64             `json:"epoch"` // of the voter set
	Voters   []Voter            `json:"voters,omitempty"`
	Devices  []QuorumDevice     `json:"devices,omitempty"`
}

// Voter is one voter.
type Voter struct {
	Node   string    `json:"node"`
	Votes  int       `json:"votes"`
	Here   bool      `json:"here"` // they count now
	State  NodeState `json:"state"`
	Leader bool      `json:"storeLeader,omitempty"`
}

// QuorumDevice is one configured tie-breaker.
type QuorumDevice struct {
	ID     string               `json:"id"`
	Number uint32               `json:"number,omitempty"` // kept as long as it is configured; index in SNMP
	Kind   cib.QuorumDeviceKind `json:"kind"`
	Order  int                  `json:"order,omitempty"`
	// What the node that answers knows of it: Asked says that this is a tie, so that
	// its answer counts.
	Asked  bool             `json:"asked,omitempty"`
	Answer cib.QuorumAnswer `json:"answer,omitzero"` // of an asked one; zero: none
	Reason string           `json:"reason,omitempty"`
	Failed string           `json:"failed,omitempty"` // why it does not answer; "" where it does, or that is not known
}

// Node is one configured node.
type Node struct {
	Name         string            `json:"name"`
	ID           uint32            `json:"id"`
	State        NodeState         `json:"state"`
	Reason       string            `json:"reason,omitempty"` // why the DC put it into its state
	Since        time.Time         `json:"since,omitzero"`   // of the state
	Admin        AdminState        `json:"admin"`
	Member       bool              `json:"member"` // of the view
	Role         NodeRole          `json:"role"`
	Voter        bool              `json:"voter"`
	Votes        int               `json:"votes"`
	Site         string            `json:"site,omitempty"`
	Health       Health            `json:"health"`
	Addresses    []string          `json:"addresses,omitempty"`
	BootID       string            `json:"bootId,omitempty"`
	Host         string            `json:"host,omitempty"`    // of a remote node: the node that is, or was, connected to it
	Inside       string            `json:"inside,omitempty"`  // of a guest: the resource that it is, or the bundle that it is a replica of
	Replica      int               `json:"replica,omitempty"` // of a bundle: its number, from 0
	Incarnation  uint64            `json:"incarnation,omitempty"`
	Version      string            `json:"version,omitempty"`
	FeatureLevel int               `json:"featureLevel,omitempty"`
	Cores        int               `json:"cores,omitempty"`
	UpSince      time.Time         `json:"upSince,omitzero"` // of its engine; zero where it is no member
	Running      int               `json:"running"`          // instances active on it
	Failed       int               `json:"failed"`           // instances that failed on it
	Proof        string            `json:"proof,omitempty"`  // that confirmed it dead
	Fence        FenceReadiness    `json:"fence"`            // whether it could be fenced now
	FenceReason  string            `json:"fenceReason,omitempty"`
	Watchdog     *cib.Watchdog     `json:"watchdog,omitempty"`
	ClockOffset  time.Duration     `json:"clockOffsetNs"`
	Utilization  map[string]int    `json:"utilization,omitempty"`
	Attributes   map[string]string `json:"attributes,omitempty"` // permanent and transient
}

// Link is one link to one peer as one node sees it.
type Link struct {
	Node        string        `json:"node"`
	Peer        string        `json:"peer"`
	Link        int           `json:"link"`
	State       LinkState     `json:"state"`
	Address     string        `json:"address,omitempty"`     // of the node
	PeerAddress string        `json:"peerAddress,omitempty"` // of the peer
	RTT         time.Duration `json:"rttNs"`
	Loss        float64       `json:"loss"` // 0 to 1
	Sent        uint64        `json:"sent"`
	Received    uint64        `json:"received"`
	Rejected    uint64        `json:"rejected"`
	Since       time.Time     `json:"since,omitzero"`
}

// Resource is one resource: a row of the tree.
type Resource struct {
	ID          string        `json:"id"`
	Number      uint32        `json:"number,omitempty"` // kept as long as it is configured; index in SNMP
	Kind        cib.Kind      `json:"kind"`
	Agent       string        `json:"agent,omitempty"`
	Description string        `json:"description,omitempty"`
	Parent      string        `json:"parent,omitempty"` // group or clone that holds it
	Depth       int           `json:"depth"`            // in the tree
	Members     []string      `json:"members,omitempty"`
	State       ResourceState `json:"state"`
	Reason      string        `json:"reason,omitempty"` // why it is not running, or what failed
	Since       time.Time     `json:"since,omitzero"`   // of the role, where it is active
	Wanted      cib.Role      `json:"wanted"`           // by administrators
	Managed     bool          `json:"managed"`
	Maintenance bool          `json:"maintenance,omitempty"`
	Orphan      bool          `json:"orphan,omitempty"`   // active, but no longer configured
	Nodes       []string      `json:"nodes,omitempty"`    // where it is active
	Promoted    []string      `json:"promoted,omitempty"` // where it is promoted
	Active      int           `json:"active"`             // instances active; of a group members active
	Expected    int           `json:"expected"`           // instances or members that should be
	FailCount   cib.Score     `json:"failCount"`          // over all nodes, those that count
	// Instances are those of which there is something to say. Looked is the number
	// of further nodes where a probe found nothing.
	Instances []Instance `json:"instances,omitempty"`
	Looked    int        `json:"looked,omitempty"`
	Actions   []string   `json:"actions,omitempty"` // ids of those in flight
}

// Instance is a primitive on one node.
type Instance struct {
	Instance    string        `json:"instance"` // its id, with ":n" for a globally unique clone
	Node        string        `json:"node"`
	State       InstanceState `json:"state"`
	Role        cib.Role      `json:"role"`
	Reason      string        `json:"reason,omitempty"`
	Since       time.Time     `json:"since,omitzero"`
	FailCount   cib.Score     `json:"failCount,omitempty"`
	LastFailure time.Time     `json:"lastFailure,omitzero"`
	Operations  []Operation   `json:"operations,omitempty"` // newest result of each, oldest first
	Pending     string        `json:"pending,omitempty"`    // what is being done: "start"
}

// Operation is the result of an operation.
type Operation struct {
	Op       string        `json:"op"`
	Interval cib.Duration  `json:"interval,omitzero"`
	RC       int           `json:"rc"`
	Expected int           `json:"expected,omitempty"`
	Status   cib.OpStatus  `json:"status"`
	Failed   bool          `json:"failed,omitempty"`
	Ended    time.Time     `json:"ended"`
	Exec     time.Duration `json:"execNs"`
	Reason   string        `json:"reason,omitempty"`
	Output   string        `json:"output,omitempty"`
}

// FenceDevice is one configured fence device.
type FenceDevice struct {
	ID        string           `json:"id"`
	Number    uint32           `json:"number,omitempty"` // kept as long as it is configured; index in SNMP
	Agent     string           `json:"agent"`
	Targets   []string         `json:"targets,omitempty"` // nodes it can fence
	State     FenceDeviceState `json:"state"`
	Reason    string           `json:"reason,omitempty"`
	Checked   time.Time        `json:"checked,omitzero"` // last
	Checks    []Check          `json:"checks,omitempty"` // by node
	Succeeded int              `json:"succeeded"`        // requests it confirmed
	LastUsed  time.Time        `json:"lastUsed,omitzero"`
}

// Check is the newest check of a fence device from one node.
type Check struct {
	Node  string    `json:"node"`
	OK    bool      `json:"ok"`
	Error string    `json:"error,omitempty"`
	Time  time.Time `json:"time"`
}

// Fencing is a fencing request with its proof.
type Fencing struct {
	ID       string         `json:"id"`
	Target   string         `json:"target"`
	Op       cib.FenceOp    `json:"op"`
	State    cib.FenceState `json:"state"`
	Result   FenceResult    `json:"result"`
	Reason   string         `json:"reason,omitempty"` // why it was asked for
	Executor string         `json:"executor,omitempty"`
	Device   string         `json:"device,omitempty"`
	Attempts int            `json:"attempts"`
	Asked    time.Time      `json:"asked"`
	Ended    time.Time      `json:"ended,omitzero"`
	Error    string         `json:"error,omitempty"`
	Proof    *Proof         `json:"proof,omitempty"`
}

// Proof is what confirmed that a boot of a node is over.
type Proof struct {
	ID     string        `json:"id"`
	Kind   cib.ProofKind `json:"kind"`
	Device string        `json:"device,omitempty"`
	By     string        `json:"by"`
	BootID string        `json:"bootId"`
	Time   time.Time     `json:"time"`
	Void   string        `json:"void,omitempty"`
}

// Store is the store over all nodes.
type Store struct {
	State     StoreState    `json:"state"` // the worst of the voters'
	Reason    string        `json:"reason,omitempty"`
	Leader    string        `json:"leader,omitempty"`
	Revision  int64         `json:"revision"`
	SizeBytes int64         `json:"sizeBytes"` // the largest
	Quota     int64         `json:"quotaBytes"`
	Latency   time.Duration `json:"latencyNs"` // the longest of the members'
	Backup    time.Time     `json:"lastBackup,omitzero"`
	// External are the endpoints of a store that somebody else runs. Leader is then
	// the name of its member, and Members are the voters, as its clients.
	External []string      `json:"external,omitempty"`
	Members  []StoreMember `json:"members,omitempty"`
}

// StoreMember is one member of the store.
type StoreMember struct {
	Node      string        `json:"node"`
	State     StoreState    `json:"state"`
	Leader    bool          `json:"leader"`
	SizeBytes int64         `json:"sizeBytes"`
	InUse     int64         `json:"inUseBytes"`
	Quota     int64         `json:"quotaBytes"`
	Latency   time.Duration `json:"latencyNs"`
	Alarm     string        `json:"alarm,omitempty"`
	Backup    time.Time     `json:"lastBackup,omitzero"`
	Reported  time.Time     `json:"reported,omitzero"`
}

// Alarm is something that is wrong now.
type Alarm struct {
	ID       string       `json:"id"`   // stable as long as it lasts
	Code     string       `json:"code"` // BLYnnnn of engine/event
	Name     string       `json:"name"`
	Severity cib.Severity `json:"severity"`
	Title    string       `json:"title"`
	Text     string       `json:"text"`
	Remedy   string       `json:"remedy,omitempty"`
	Since    time.Time    `json:"since,omitzero"`
	Node     string       `json:"node,omitempty"`
	Resource string       `json:"resource,omitempty"`
	Device   string       `json:"device,omitempty"`
	// Acknowledged says who looks after it; none: nobody has said so.
	Acknowledged *cib.Acknowledgement `json:"acknowledged,omitempty"`
}

// Action is an action in flight.
type Action struct {
	ID       string          `json:"id"`
	Text     string          `json:"text"` // "start web on n2"
	Op       string          `json:"op"`
	Resource string          `json:"resource,omitempty"`
	Instance string          `json:"instance,omitempty"`
	Node     string          `json:"node"`
	State    cib.ActionState `json:"state"`
	Asked    time.Time       `json:"asked"`
	Claimed  time.Time       `json:"claimed,omitzero"`
	Timeout  cib.Duration    `json:"timeout,omitzero"`
	Why      cib.Why         `json:"why"`
}

// Failover is one move of a service from node to node: a resource, or a group as a whole.
type Failover struct {
	Seq      uint64         `json:"seq"`            // of the event that began it
	Time     time.Time      `json:"time"`           // when the move began; of a fail-over when the service was lost
	Ended    time.Time      `json:"ended,omitzero"` // none while it is in progress
	Resource string         `json:"resource"`
	From     string         `json:"from"`
	To       string         `json:"to"`
	Cause    FailoverCause  `json:"cause"`
	Reason   string         `json:"reason,omitempty"`
	Result   FailoverResult `json:"result"`
	// Duration is the time without service: to the start, from the last word of
	// the node that was lost, or from the failure, or else from the decision. 0
	// while the move is in progress.
	Duration time.Duration `json:"durationNs"`
}

// Ticket is a ticket of the cluster.
type Ticket struct {
	ID      string `json:"id"`
	Granted bool   `json:"granted"`
	Standby bool   `json:"standby"`
	// Arbitrator grants the ticket to one of several clusters; the fields after it are
	// of such a ticket. "": people grant it.
	Arbitrator string    `json:"arbitrator,omitempty"`
	Held       bool      `json:"held"` // the cluster has it, in standby or not
	Term       uint64    `json:"term,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Renewed    time.Time `json:"renewed,omitzero"` // as it was written down last; it is renewed more often
	Until      time.Time `json:"until,omitzero"`   // without a renewal it counts as lost then
	Holder     string    `json:"holder,omitempty"` // who has it instead
	Reason     string    `json:"reason,omitempty"` // why it is not held
}

// Observer is what the node that answers knows by itself, besides the snapshot. A
// node that lost quorum has an old snapshot, which shows a quorum that was.
type Observer struct {
	Node        string
	Quorate     bool
	Valid       bool
	Reason      string        // of quorum or its absence, in words
	StoreOK     bool          // the store answers
	StoreAlone  string        // why the node can't go on with the store alone, where it tried
	SnapshotAge time.Duration // since the store was last known to answer
	// Devices is what the node knows of its tie-breakers: id, Asked and what follows.
	Devices []QuorumDevice
}

// Node returns a node by its name; nil where there is none.
func (s *Summary) Node(name string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	for i := range s.Remotes {
		if s.Remotes[i].Name == name {
			return &s.Remotes[i]
		}
	}
	return nil
}

// Resource returns a resource by its id; nil where there is none.
func (s *Summary) Resource(id string) *Resource {
	for i := range s.Resources {
		if s.Resources[i].ID == id {
			return &s.Resources[i]
		}
	}
	return nil
}
