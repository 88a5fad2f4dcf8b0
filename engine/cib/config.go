package cib

import (
	"maps"
	"time"
)

// SchemaVersion is the version of the documents in this package. A change that
// an older engine would misread raises it, together with the feature level.
const SchemaVersion = 1

// FeatureLevel is the newest cluster feature level this engine knows. The
// cluster runs at the lowest level of its members; the DC raises it when all can.
const FeatureLevel = 3

// RemoteLevel is the feature level from which on engines connect to remote nodes.
const RemoteLevel = 2

// GuestLevel is the feature level from which on engines know which boot of a guest
// counts, and when it is over.
const GuestLevel = 3

// Config is what administrators decide: one cluster.yaml.
type Config struct {
	Cluster          Cluster                     `json:"cluster"`
	Nodes            map[string]*Node            `json:"nodes,omitempty"`
	Resources        map[string]*Resource        `json:"resources,omitempty"`
	Constraints      map[string]*Constraint      `json:"constraints,omitempty"`
	FenceDevices     map[string]*FenceDevice     `json:"fence-devices,omitempty"`
	FenceTopology    map[string]*FenceTopology   `json:"fence-topology,omitempty"` // by target node
	QuorumDevices    map[string]*QuorumDevice    `json:"quorum-devices,omitempty"`
	Tickets          map[string]*Ticket          `json:"tickets,omitempty"`
	Roles            map[string]*AccessRole      `json:"roles,omitempty"`             // who may do what, besides the built-in roles; applying a document that has none keeps them
	SNMPUsers        map[string]*SNMPUser        `json:"snmp-users,omitempty"`        // whom SNMP knows: users of version 3, communities of version 2c
	SNMPTargets      map[string]*SNMPTarget      `json:"snmp-targets,omitempty"`      // who receives notifications
	CIMFilters       map[string]*CIMFilter       `json:"cim-filters,omitempty"`       // which indications are meant; applying a document that has none keeps them
	CIMDestinations  map[string]*CIMDestination  `json:"cim-destinations,omitempty"`  // who receives indications; applying a document that has none keeps them
	CIMSubscriptions map[string]*CIMSubscription `json:"cim-subscriptions,omitempty"` // which indications go where; applying a document that has none keeps them
	Webhooks         map[string]*Webhook         `json:"webhooks,omitempty"`          // who receives events over HTTPS
	MailTargets      map[string]*MailTarget      `json:"mail-targets,omitempty"`      // who receives events by mail
	AuditRules       map[string]*AuditRule       `json:"audit-rules,omitempty"`       // what becomes of the audit log; applying a document that has none keeps them
	RoleBindings     map[string]*RoleBinding     `json:"role-bindings,omitempty"`     // who holds which role; applying a document that has none keeps them
	RemoteNodes      map[string]*RemoteNode      `json:"remote-nodes,omitempty"`      // settings of remote and guest nodes
}

// Cluster is the one document of cluster-wide settings. A field that is not
// set means its default; read it through the method of the same name on
// [Options], which applies it.
type Cluster struct {
	Name             string     `json:"name"`
	Options          Options    `json:"options"`
	ResourceDefaults Meta       `json:"resource-defaults,omitzero"`
	OpDefaults       OpDefaults `json:"op-defaults,omitzero"`
	// ResourceDefaultRules are defaults that hold for some agents or at some times,
	// before resource-defaults. Of several that hold the first counts.
	ResourceDefaultRules []ResourceDefaultRule `json:"resource-default-rules,omitempty"`
	// OpDefaultRules are defaults that hold for some agents or operations or at some
	// times, before op-defaults. Of several that hold the first counts.
	OpDefaultRules []OpDefaultRule `json:"op-default-rules,omitempty"`
	SNMP           SNMP            `json:"snmp,omitzero"`
	// Store names an etcd that somebody else runs; empty: the voters run the store
	// themselves. Applying a document that has none keeps it.
	Store ExternalStore `json:"store,omitzero"`
	// Properties are what agents keep for the whole cluster, by set and name, such
	// as where replication is up to. Nothing here reads them. Applying a document
	// that has none keeps them.
	Properties map[string]map[string]string `json:"properties,omitempty"`
}

// ExternalStore is an etcd that somebody else runs. It is chosen when the cluster is
// made, and later only its endpoints can change.
type ExternalStore struct {
	Endpoints []string `json:"endpoints,omitempty"` // https://host:port, of the members of one etcd
}

// External reports whether somebody else runs the store.
func (c *Cluster) External() bool { return len(c.Store.Endpoints) > 0 }

// Options are the cluster options. Pacemaker's names where Pacemaker has them.
type Options struct {
	NoQuorumPolicy    NoQuorumPolicy `json:"no-quorum-policy,omitzero"`    // default stop
	SymmetricCluster  *bool          `json:"symmetric-cluster,omitempty"`  // default true: resources may run anywhere unless a location forbids it
	MaintenanceMode   bool           `json:"maintenance-mode,omitempty"`   // nothing is started, stopped or monitored
	StopAllResources  bool           `json:"stop-all-resources,omitempty"` // every resource is stopped
	StopOrphans       *bool          `json:"stop-orphan-resources,omitempty"`
	ShutdownLock      bool           `json:"shutdown-lock,omitempty"`          // what ran on a node that is shut down is not started elsewhere
	ShutdownLockLimit Duration       `json:"shutdown-lock-limit,omitzero"`     // for how long; default 0: until the node is back
	StartFailureFatal *bool          `json:"start-failure-is-fatal,omitempty"` // default true: one failed start bans the node
	StartupProbes     *bool          `json:"enable-startup-probes,omitempty"`  // default true
	BatchLimit        int            `json:"batch-limit,omitempty"`            // actions in flight in the cluster; default 200
	NodeActionLimit   int            `json:"node-action-limit,omitempty"`      // actions in flight on one node; default 2 × its cores, at least 4
	PlacementStrategy string         `json:"placement-strategy,omitempty"`     // default "default"
	LoadLimit         int            `json:"load-limit,omitempty"`             // with strategy cost: percent, in the node attribute load, beyond which resources leave a node; default 0: load does not count
	LoadHysteresis    *int           `json:"load-hysteresis,omitempty"`        // percent below load-limit that a node's load must be to take a resource; default 10
	PlacementProgram  string         `json:"placement-program,omitempty"`      // with strategy external: absolute path of the program that is asked
	PlacementTimeout  *Duration      `json:"placement-timeout,omitempty"`      // how long it may take; default 5s
	PlacementEvery    *Duration      `json:"placement-interval,omitempty"`     // how often it is asked; default 1m. What it said counts three times as long
	TieBreak          string         `json:"tie-break,omitempty"`              // stay (default): equal scores move nothing; pacemaker: resources without a score where they run move to even out the numbers, and are assigned in configured order
	HealthStrategy    string         `json:"node-health-strategy,omitempty"`   // none (default), migrate-on-red, only-green, progressive, custom (by rules on the attributes)
	HealthBase        *Score         `json:"node-health-base,omitempty"`       // of progressive: what every node starts with; default 0
	HealthRed         *Score         `json:"node-health-red,omitempty"`        // of progressive; default -INFINITY
	HealthYellow      *Score         `json:"node-health-yellow,omitempty"`     // of progressive; default 0
	HealthGreen       *Score         `json:"node-health-green,omitempty"`      // of progressive; default 0
	RecheckInterval   *Duration      `json:"cluster-recheck-interval,omitempty"`

	FencingRequired  *bool     `json:"fencing-required,omitempty"`      // default true: lost nodes are recovered after a proof only
	FencingAction    FenceOp   `json:"fencing-action,omitzero"`         // default reboot
	FencingTimeout   *Duration `json:"fencing-timeout,omitempty"`       // of one device call; default 60s
	StartupFencing   *bool     `json:"startup-fencing,omitempty"`       // default true
	FencingDelay     Duration  `json:"priority-fencing-delay,omitzero"` // where fewer than a majority of the nodes are left: how much later those with the highest priorities are fenced
	WatchdogTimeout  Duration  `json:"watchdog-timeout,omitzero"`       // default 5s; of an armed /dev/watchdog
	ConcurrentFences *bool     `json:"concurrent-fencing,omitempty"`

	Detection      Duration  `json:"detection,omitzero"`           // silence after which a node is lost; default 1s, 200ms to 30s
	Validity       Duration  `json:"validity,omitzero"`            // default 2 × detection; see ARCHITECTURE.md, Validity
	WaitForAll     bool      `json:"wait-for-all,omitempty"`       // a fresh cluster has quorum only when all voters were seen once
	StartupWait    *Duration `json:"startup-wait,omitempty"`       // how long a cold start waits for nodes before they are unclean; default 20s
	RestartGrace   *Duration `json:"restart-grace,omitempty"`      // how long a restarting engine may be silent; default 30s
	ViewTieBreaker string    `json:"view-tie-breaker,omitempty"`   // dc (default) or lowest-name: which of two equally large connected sets stays
	StopGrace      *Duration `json:"stop-grace,omitempty"`         // how long a node without validity may take to stop its resources; default 60s
	VoterReplace   *Duration `json:"voter-replace-wait,omitempty"` // how long a proven-dead voter may stay away before another node becomes voter; default 10m; 0 never
	BackupInterval *Duration `json:"backup-interval,omitempty"`    // of the store, on every voter; default 24h; 0 never
	EventsMax      int       `json:"events-max,omitempty"`         // size of the event ring; default 2000
	HistoryMax     int       `json:"history-max,omitempty"`        // configuration generations kept; default 1000
}

func set[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

func positive(d Duration, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d.D()
}

// NoQuorum returns no-quorum-policy.
func (o *Options) NoQuorum() NoQuorumPolicy {
	if o.NoQuorumPolicy == 0 {
		return NoQuorumStop
	}
	return o.NoQuorumPolicy
}

// Symmetric returns symmetric-cluster.
func (o *Options) Symmetric() bool { return set(o.SymmetricCluster, true) }

// PacemakerTies reports whether tie-break is pacemaker.
func (o *Options) PacemakerTies() bool { return o.TieBreak == "pacemaker" }

// StopsOrphans returns stop-orphan-resources.
func (o *Options) StopsOrphans() bool { return set(o.StopOrphans, true) }

// StartFailureIsFatal returns start-failure-is-fatal.
func (o *Options) StartFailureIsFatal() bool { return set(o.StartFailureFatal, true) }

// Probes returns enable-startup-probes.
func (o *Options) Probes() bool { return set(o.StartupProbes, true) }

// Fencing returns fencing-required.
func (o *Options) Fencing() bool { return set(o.FencingRequired, true) }

// FenceOp returns fencing-action.
func (o *Options) FenceOp() FenceOp {
	if o.FencingAction == 0 {
		return FenceOpReboot
	}
	return o.FencingAction
}

// FenceTimeout returns fencing-timeout.
func (o *Options) FenceTimeout() time.Duration {
	return set(o.FencingTimeout, Duration(time.Minute)).D()
}

// FencesAtStartup returns startup-fencing.
func (o *Options) FencesAtStartup() bool { return set(o.StartupFencing, true) }

// FencesConcurrently returns concurrent-fencing.
func (o *Options) FencesConcurrently() bool { return set(o.ConcurrentFences, true) }

// DetectionTime returns detection.
func (o *Options) DetectionTime() time.Duration { return positive(o.Detection, time.Second) }

// ValidityTime returns validity.
func (o *Options) ValidityTime() time.Duration { return positive(o.Validity, 2*o.DetectionTime()) }

// HeartbeatInterval is a fifth of the detection time, at most a second: four
// heartbeats in a row must be lost before a node is.
func (o *Options) HeartbeatInterval() time.Duration { return min(time.Second, o.DetectionTime()/5) }

// StartupWaitTime returns startup-wait.
func (o *Options) StartupWaitTime() time.Duration {
	return set(o.StartupWait, Duration(20*time.Second)).D()
}

// RestartGraceTime returns restart-grace.
func (o *Options) RestartGraceTime() time.Duration {
	return set(o.RestartGrace, Duration(30*time.Second)).D()
}

// StopGraceTime returns stop-grace.
func (o *Options) StopGraceTime() time.Duration { return set(o.StopGrace, Duration(time.Minute)).D() }

// VoterReplaceWait returns voter-replace-wait.
func (o *Options) VoterReplaceWait() time.Duration {
	return set(o.VoterReplace, Duration(10*time.Minute)).D()
}

// BackupEvery returns backup-interval.
func (o *Options) BackupEvery() time.Duration {
	return set(o.BackupInterval, Duration(24*time.Hour)).D()
}

// WatchdogTime returns watchdog-timeout.
func (o *Options) WatchdogTime() time.Duration { return positive(o.WatchdogTimeout, 5*time.Second) }

// Hysteresis returns load-hysteresis.
func (o *Options) Hysteresis() int { return set(o.LoadHysteresis, 10) }

// AdviceTimeout returns placement-timeout.
func (o *Options) AdviceTimeout() time.Duration {
	return set(o.PlacementTimeout, Duration(5*time.Second)).D()
}

// AdviceEvery returns placement-interval.
func (o *Options) AdviceEvery() time.Duration {
	return set(o.PlacementEvery, Duration(time.Minute)).D()
}

// RecheckEvery returns cluster-recheck-interval.
func (o *Options) RecheckEvery() time.Duration {
	return set(o.RecheckInterval, Duration(15*time.Minute)).D()
}

// Batch returns batch-limit.
func (o *Options) Batch() int {
	if o.BatchLimit <= 0 {
		return 200
	}
	return o.BatchLimit
}

// NodeActions returns node-action-limit for a node with that many cores.
func (o *Options) NodeActions(cores int) int {
	if o.NodeActionLimit > 0 {
		return o.NodeActionLimit
	}
	return max(4, 2*cores)
}

// EventRing returns events-max.
func (o *Options) EventRing() int {
	if o.EventsMax <= 0 {
		return 2000
	}
	return o.EventsMax
}

// HistoryRing returns history-max.
func (o *Options) HistoryRing() int {
	if o.HistoryMax <= 0 {
		return 1000
	}
	return o.HistoryMax
}

// Node is a configured cluster node. Its name is the key.
type Node struct {
	ID          uint32            `json:"id"`        // stable number, given at join, never reused; index in SNMP, tie-breaker "node"
	Addresses   []string          `json:"addresses"` // one IP address a link; the n-th address of every node is on link n
	Ports       Ports             `json:"ports,omitzero"`
	Voter       bool              `json:"voter,omitempty"`   // holds a vote and, with the embedded store, a member of it
	Votes       int               `json:"votes,omitempty"`   // of a voter, default 1; more only with an external store and without quorum devices
	Arbiter     bool              `json:"arbiter,omitempty"` // a voter that hosts nothing
	Site        string            `json:"site,omitempty"`
	Standby     bool              `json:"standby,omitempty"`     // hosts nothing, stays a member
	Maintenance bool              `json:"maintenance,omitempty"` // its resources are left alone
	Attributes  map[string]string `json:"attributes,omitempty"`  // permanent node attributes
	Utilization map[string]int    `json:"utilization,omitempty"` // capacity
	PublicKey   string            `json:"public-key,omitempty"`  // base64 of the SPKI of its certificate: its identity on the links
}

// Ports are a node's port numbers; zero means the default.
type Ports struct {
	Heartbeat int `json:"heartbeat,omitempty"`  // UDP, default 7400
	Store     int `json:"store,omitempty"`      // TCP, etcd clients, default 7401
	StorePeer int `json:"store-peer,omitempty"` // TCP, etcd peers, default 7402
	API       int `json:"api,omitempty"`        // TCP, join and forwarding between engines, default 7403
}

// Default ports.
const (
	PortHeartbeat = 7400
	PortStore     = 7401
	PortStorePeer = 7402
	PortAPI       = 7403
)

// WithDefaults fills in the default of every port that is zero.
func (p Ports) WithDefaults() Ports {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&p.Heartbeat, PortHeartbeat)
	def(&p.Store, PortStore)
	def(&p.StorePeer, PortStorePeer)
	def(&p.API, PortAPI)
	return p
}

// Resource is anything that can be named in a constraint. Exactly one of
// Agent, Group, Clone and Bundle is set. Its id is the key.
type Resource struct {
	Number      uint32            `json:"number,omitempty"` // given by the cluster, kept and never used again; index in SNMP
	Description string            `json:"description,omitempty"`
	Agent       string            `json:"agent,omitempty"` // a primitive: class:provider:type ("ocf:heartbeat:IPaddr2") or class:type ("systemd:nginx", "belay:process")
	Group       []string          `json:"group,omitempty"` // a group: its members in start order
	Clone       *Clone            `json:"clone,omitempty"`
	Bundle      *Bundle           `json:"bundle,omitempty"`
	Parameters  map[string]string `json:"parameters,omitempty"` // of a primitive; secret ones are sealed (see Sealed)
	Operations  []Operation       `json:"operations,omitempty"`
	Meta        Meta              `json:"meta,omitzero"`
	Utilization map[string]int    `json:"utilization,omitempty"`
	Restarts    uint32            `json:"restarts,omitempty"` // raised by each restart that is asked for; only rises
	Position    int               `json:"position,omitempty"` // among equals the lower one is assigned first; default 0, then by id
}

// Operation returns the configuration of an operation; nil if there is none.
func (r *Resource) Operation(name string, interval Duration) *Operation {
	for i := range r.Operations {
		if o := &r.Operations[i]; o.Name == name && o.Interval == interval {
			return o
		}
	}
	return nil
}

// ParametersOf returns the parameters with those of one operation; op may be nil. They
// are not to be changed.
func (r *Resource) ParametersOf(op *Operation) map[string]string {
	if op == nil || len(op.Parameters) == 0 {
		return r.Parameters
	}
	out := make(map[string]string, len(r.Parameters)+len(op.Parameters))
	maps.Copy(out, r.Parameters)
	maps.Copy(out, op.Parameters)
	return out
}

// Kind says what the resource is.
func (r *Resource) Kind() Kind {
	switch {
	case r.Clone != nil && r.Clone.Promotable:
		return KindPromotable
	case r.Clone != nil:
		return KindClone
	case r.Bundle != nil:
		return KindBundle
	case len(r.Group) > 0:
		return KindGroup
	}
	return KindPrimitive
}

// Clone makes several instances of a primitive or group.
type Clone struct {
	Resource        string `json:"resource"`                    // the primitive or group
	Max             *int   `json:"clone-max,omitempty"`         // default: number of nodes
	NodeMax         int    `json:"clone-node-max,omitempty"`    // default 1
	Min             int    `json:"clone-min,omitempty"`         // instances that must run before what depends on it may
	GloballyUnique  bool   `json:"globally-unique,omitempty"`   // instances differ; each has a number
	Interleave      bool   `json:"interleave,omitempty"`        // constraints between clones hold per node
	Ordered         bool   `json:"ordered,omitempty"`           // instances start one after another
	Notify          bool   `json:"notify,omitempty"`            // agents are told before and after
	Promotable      bool   `json:"promotable,omitempty"`        // instances have a promoted role
	PromotedMax     *int   `json:"promoted-max,omitempty"`      // default 1
	PromotedNodeMax int    `json:"promoted-node-max,omitempty"` // default 1
}

// Meta are the meta attributes. A field that is not set is inherited: from the
// group, the clone, then the cluster's resource-defaults, then the default
// named here.
type Meta struct {
	TargetRole         Role           `json:"target-role,omitzero"` // default Started (Promoted where promotable)
	Managed            *bool          `json:"is-managed,omitempty"` // default true
	Maintenance        *bool          `json:"maintenance,omitempty"`
	Priority           *Score         `json:"priority,omitempty"` // default 0
	Stickiness         *Score         `json:"resource-stickiness,omitempty"`
	MigrationThreshold *int           `json:"migration-threshold,omitempty"`   // default INFINITY; 0 means never
	FailureTimeout     *Duration      `json:"failure-timeout,omitempty"`       // default 0: failures stay until cleaned up
	MultipleActive     MultipleActive `json:"multiple-active,omitzero"`        // default stop-start
	AllowMigrate       *bool          `json:"allow-migrate,omitempty"`         // default false; true: it is migrated while it runs, by its agent's migrate_to and migrate_from
	Critical           *bool          `json:"critical,omitempty"`              // default true
	AllowUnhealthy     *bool          `json:"allow-unhealthy-nodes,omitempty"` // default false: a node's bad health keeps it away
	Requires           string         `json:"requires,omitempty"`              // unfencing (default where a device does it), fencing (default where fencing is on), quorum, nothing
	Data               string         `json:"data,omitempty"`                  // "irreparable": refuses to start in a cluster without working fencing

	// Of one primitive, and not inherited. RemoteNode makes a virtual machine or
	// container a node of that name, a guest.
	RemoteNode           string    `json:"remote-node,omitempty"`
	RemoteAddr           string    `json:"remote-addr,omitempty"`            // default: the name
	RemotePort           int       `json:"remote-port,omitempty"`            // TCP; default 3121
	RemoteConnectTimeout *Duration `json:"remote-connect-timeout,omitempty"` // default 60s
	RemoteAllowMigrate   *bool     `json:"remote-allow-migrate,omitempty"`   // default true: the connection follows a live migration
	// Container is the resource inside of which the primitive runs: it is where
	// that is, and starts after it.
	Container string `json:"container,omitempty"`
}

// Operation configures one operation of a primitive.
type Operation struct {
	Name       string            `json:"name"` // start, stop, monitor, ...
	Interval   Duration          `json:"interval,omitzero"`
	Timeout    Duration          `json:"timeout,omitzero"` // default: op-defaults, the agent's metadata, 20s
	Role       Role              `json:"role,omitzero"`    // of a monitor: only in this role; left out: in every active one, in the promoted one only if no other monitor is for that
	OnFail     OnFail            `json:"on-fail,omitzero"`
	StartDelay Duration          `json:"start-delay,omitzero"`
	Enabled    *bool             `json:"enabled,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"` // for this operation only, e.g. OCF_CHECK_LEVEL
}

// OpDefaults apply to every operation that does not say otherwise.
type OpDefaults struct {
	Timeout Duration `json:"timeout,omitzero"`
	OnFail  OnFail   `json:"on-fail,omitzero"`
}

// DefaultOpTimeout is the time-out of an operation for which neither the
// configuration nor the agent says one. Pacemaker's value.
const DefaultOpTimeout = 20 * time.Second

// Constraint is one of its four kinds. Its id is the key.
type Constraint struct {
	Location   *Location         `json:"location,omitempty"`
	Colocation *Colocation       `json:"colocation,omitempty"`
	Order      *Order            `json:"order,omitempty"`
	Ticket     *TicketConstraint `json:"ticket,omitempty"`
}

// Location says how much a resource wants a node.
type Location struct {
	Resource string `json:"resource,omitempty"`
	// Pattern is a regular expression, instead of Resource: every resource whose id it
	// matches and that is in no group, clone or bundle. With ! before it, every one
	// whose id it does not match. In a rule, %1 to %9 in the name of an attribute
	// stand for what its groups matched.
	Pattern string `json:"resource-pattern,omitempty"`
	Node    string `json:"node,omitempty"`
	Score   Score  `json:"score"`
	Role    Role   `json:"role,omitzero"`
	Rule    *Rule  `json:"rule,omitempty"` // instead of Node: every node on which it is true
	// ScoreAttribute names the node attribute that holds the score, instead of Score.
	// A node that has none is not to be used.
	ScoreAttribute string `json:"score-attribute,omitempty"`
	Discovery      string `json:"resource-discovery,omitempty"` // always (default), never, exclusive
	// UntilReached removes the constraint once the resource runs on Node: what
	// "belay move" makes, so that it leaves nothing behind.
	UntilReached bool `json:"until-reached,omitempty"`
}

// Colocation says how much a resource wants to be where another one is.
type Colocation struct {
	Resource      string `json:"resource"`
	With          string `json:"with"`
	Score         Score  `json:"score"`
	Role          Role   `json:"role,omitzero"`
	WithRole      Role   `json:"with-role,omitzero"`
	NodeAttribute string `json:"node-attribute,omitempty"` // "same place" means same value of this attribute; default: same node
	Influence     *bool  `json:"influence,omitempty"`
}

// Order says what happens before what.
type Order struct {
	First       string    `json:"first"`
	FirstAction string    `json:"first-action,omitempty"` // default start
	Then        string    `json:"then"`
	ThenAction  string    `json:"then-action,omitempty"` // default FirstAction
	Kind        OrderKind `json:"kind,omitzero"`         // default Mandatory
	Symmetrical *bool     `json:"symmetrical,omitempty"` // default true, false for Serialize
	RequireAll  *bool     `json:"require-all,omitempty"` // default true; false: of the instances of a clone that comes first one is enough
	// Alternative is a word that several orders of one resource may share: then one
	// of what comes first is enough.
	Alternative string `json:"alternative,omitempty"`
}

// TicketConstraint lets a resource run only while the cluster holds a ticket.
type TicketConstraint struct {
	Resource   string `json:"resource"`
	Ticket     string `json:"ticket"`
	Role       Role   `json:"role,omitzero"`
	LossPolicy string `json:"loss-policy,omitempty"` // stop (default), demote, fence, freeze
}

// FenceDevice is one fence agent with its parameters. Its id is the key.
type FenceDevice struct {
	Number     uint32            `json:"number,omitempty"` // given by the cluster, kept and never used again; index in SNMP
	Agent      string            `json:"agent"`            // fence_ipmilan, belay:dev, ...
	Parameters map[string]string `json:"parameters,omitempty"`
	// Targets are the nodes it can fence, each with the name the device knows
	// it by (plug, port); "" means the node's own name. Empty: every node.
	Targets         map[string]string `json:"targets,omitempty"`
	Delay           Duration          `json:"delay,omitzero"`            // before off and reboot, so that equals don't shoot each other
	Timeout         Duration          `json:"timeout,omitzero"`          // of one call; default: fencing-timeout
	Retries         int               `json:"retries,omitempty"`         // further tries of a call that failed; default 1
	Concurrency     int               `json:"concurrency,omitempty"`     // calls of one node at a time; default 0: as many as there are targets
	MonitorInterval Duration          `json:"monitor-interval,omitzero"` // readiness check; default 60s
	// Unfencing says that a node that joins is switched on with it before anything
	// that requires unfencing starts there; default: as the agent's metadata says.
	Unfencing *bool `json:"unfencing,omitempty"`
}

// FenceTopology lists for one target the levels tried in order; at a level every
// device must succeed. Its target node is the key.
type FenceTopology struct {
	Levels [][]string `json:"levels"`
}

// QuorumDevice is one tie-breaker. Its id is the key.
type QuorumDevice struct {
	Number     uint32            `json:"number,omitempty"` // given by the cluster, kept and never used again; index in SNMP
	Kind       QuorumDeviceKind  `json:"kind"`
	Order      int               `json:"order,omitempty"` // lowest is asked first
	Parameters map[string]string `json:"parameters,omitempty"`
}
