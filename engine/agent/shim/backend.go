package shim

import (
	"context"
	"errors"
	"time"
)

// Errors that a Backend returns, wrapped or not. Others are shown as they are,
// with exit status 1.
var (
	ErrUnavailable = errors.New("the engine does not answer")
	ErrNoNode      = errors.New("no such node")
	ErrNoResource  = errors.New("no such resource")
	ErrExists      = errors.New("already there")
	ErrNoQuorum    = errors.New("no quorum")
	ErrTimeout     = errors.New("it took too long")
	ErrDenied      = errors.New("not permitted")
)

// Backend is the engine, as the tools need it.
type Backend interface {
	// Local is this node as its own engine sees it.
	Local(ctx context.Context) (Local, error)
	// Nodes lists the configured nodes.
	Nodes(ctx context.Context) ([]Node, error)
	// QueryAttribute finds attributes. An empty Node, Name or Set means any;
	// none found is no error. Value is not looked at.
	QueryAttribute(ctx context.Context, q Attribute) ([]Attribute, error)
	// SetAttribute sets one. With a dampening time above 0 the engine waits so
	// long for further changes before it writes.
	SetAttribute(ctx context.Context, a Attribute, dampen time.Duration) error
	// DeleteAttribute removes one, and says whether it was there.
	DeleteAttribute(ctx context.Context, a Attribute, dampen time.Duration) (existed bool, err error)
	// Resource asks for something about one resource.
	Resource(ctx context.Context, q ResourceRequest) (ResourceReply, error)
	// Status is the state of the cluster.
	Status(ctx context.Context) (*Status, error)
}

// Local is this node as its own engine sees it.
type Local struct {
	Node    string
	Quorate bool
}

// Node is one configured node.
type Node struct {
	ID     uint32 // stable, never 0; agents use it as a reservation key
	Name   string
	Member bool // of the newest view
	Remote bool // a remote or guest node: no member of its own
}

// Scope says where an attribute lives.
type Scope string

// The scopes of attributes.
const (
	ScopeReboot      Scope = "reboot"      // a node's, gone with its boot
	ScopeForever     Scope = "forever"     // a node's, in the configuration
	ScopeUtilization Scope = "utilization" // a node's capacity, in the configuration
	ScopeCluster     Scope = "cluster"     // of the whole cluster, in the configuration
)

// Attribute is one attribute of a node or of the cluster.
type Attribute struct {
	Scope   Scope
	Node    string // empty in ScopeCluster
	Set     string // ScopeCluster: a set of its own, besides the cluster's options
	Name    string
	Value   string
	Private bool // ScopeReboot: no rule sees it
}

// ResourceVerb is what is asked about a resource.
type ResourceVerb string

// The verbs.
const (
	VerbGet     ResourceVerb = "get"     // Parameter of Table
	VerbSet     ResourceVerb = "set"     // Parameter of Table to Value
	VerbDelete  ResourceVerb = "delete"  // Parameter of Table
	VerbBan     ResourceVerb = "ban"     // off Node, for Lifetime
	VerbMove    ResourceVerb = "move"    // to Node, for Lifetime
	VerbClear   ResourceVerb = "clear"   // take back bans and moves, of Node or all
	VerbCleanup ResourceVerb = "cleanup" // forget failures; Resource or Node may be empty: all
	VerbRefresh ResourceVerb = "refresh" // forget everything known; Resource or Node may be empty: all
	VerbFail    ResourceVerb = "fail"    // tell the cluster that it has failed on Node
	VerbWait    ResourceVerb = "wait"    // until the cluster has settled, at most Timeout
)

// Table is a kind of values of a resource.
type Table string

// The tables.
const (
	TableParameters  Table = "parameters"
	TableMeta        Table = "meta"
	TableUtilization Table = "utilization"
)

// ResourceRequest asks for something about one resource.
type ResourceRequest struct {
	Verb      ResourceVerb
	Resource  string
	Node      string
	Promoted  bool // ban and move: the promoted role only
	Table     Table
	Parameter string
	Value     string
	Lifetime  string // ISO 8601 duration; empty: until cleared
	Timeout   time.Duration
	Force     bool
}

// ResourceReply is the answer.
type ResourceReply struct {
	Found      bool     // get: it is set; delete: it was set
	Value      string   // get
	Node       string   // ban: the node, if the engine chose it
	Constraint string   // ban: the id of what was made
	Cleared    []string // clear: the ids of what was taken back
}

// Status is the state of the cluster as crm_mon shows it.
type Status struct {
	Updated    time.Time
	Changed    time.Time // last change of the configuration
	ChangedBy  string
	Cluster    string
	DC         string
	Quorate    bool
	Fencing    bool
	Symmetric  bool
	NoQuorum   string // stop, freeze, ...
	Maintained bool   // the cluster is in maintenance
	Nodes      []StatusNode
	Resources  []StatusResource // at the top: primitives, groups, clones
	History    []Operation
}

// StatusNode is one node.
type StatusNode struct {
	Node
	Online      bool
	Standby     bool
	Maintenance bool
	Pending     bool // joins, or leaves
	Unclean     bool
	Running     int
	Attributes  map[string]string
}

// ResourceKind says what a StatusResource is.
type ResourceKind uint8

// The kinds.
const (
	Primitive ResourceKind = iota
	Group
	Clone
)

// StatusResource is a primitive, a group or a clone. Of a clone, Members are
// its instances: primitives, or groups.
type StatusResource struct {
	ID       string
	Kind     ResourceKind
	Agent    string // "ocf:heartbeat:IPaddr2"
	Role     string // Started, Stopped, Promoted, Unpromoted, Starting, ...
	Nodes    []string
	Managed  bool
	Disabled bool // target-role Stopped
	Blocked  bool
	Failed   bool
	Orphaned bool
	Promoted bool // a promotable clone
	Unique   bool // a globally unique clone
	Members  []StatusResource
	Inner    string // of a clone: the id of what is cloned
}

// Operation is one operation in a resource's history.
type Operation struct {
	Node     string
	Resource string
	Agent    string
	Call     int
	Task     string
	Interval time.Duration
	RC       int
	Pending  bool
	Changed  time.Time // when the rc last changed
	Exec     time.Duration
	Queue    time.Duration
}
