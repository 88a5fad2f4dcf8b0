package api

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Version is the version of the socket API, in every path.
const Version = 1

// SocketPath is where the engine listens.
const SocketPath = "/run/belay/belayd.sock"

// BodyMaxBytes limits a request's body.
const BodyMaxBytes = 16 << 20

// Action is what a change does. The table is [Actions].
type Action string

// The actions of a change, with the object each is about.
const (
	ActionApply          Action = "apply"          // object "cluster"; value: the whole Config document, or the part to merge with Merge
	ActionCreate         Action = "create"         // object kind/id; value: the document
	ActionUpdate         Action = "update"         // object kind/id; value: the whole new document
	ActionPatch          Action = "patch"          // object kind/id; value: a JSON merge patch (RFC 7396)
	ActionDelete         Action = "delete"         // object kind/id
	ActionRollback       Action = "rollback"       // object generation/N
	ActionStart          Action = "start"          // object resource/id: target-role Started
	ActionStop           Action = "stop"           // object resource/id: target-role Stopped
	ActionRestart        Action = "restart"        // object resource/id: stop it and start it again, with what depends on it
	ActionMove           Action = "move"           // object resource/id; value {"node": "n2"}, or {"from": "n1"} for "away from n1"
	ActionManage         Action = "manage"         // object resource/id
	ActionUnmanage       Action = "unmanage"       // object resource/id
	ActionMaintenanceOn  Action = "maintenance-on" // object cluster, node/name or resource/id
	ActionMaintenanceOff Action = "maintenance-off"
	ActionStandby        Action = "standby"       // object node/name
	ActionOnline         Action = "online"        // object node/name: ends standby
	ActionCleanup        Action = "cleanup"       // object resource/id or node/name: forget failures and probe again; value {"node": "n2"} or none
	ActionRefresh        Action = "refresh"       // object resource/id: forget everything known and probe again; value {"node": "n2"} or none
	ActionFence          Action = "fence"         // object node/name; value {"op": "reboot"}
	ActionConfirm        Action = "fence-confirm" // object node/name: a named human says that it is dead
	ActionRemoveNode     Action = "remove"        // object node/name
	ActionDrain          Action = "drain"         // object node/name: move everything off and leave
	ActionVoter          Action = "voter"         // object node/name; value {"voter": true}, or {"voter": true, "votes": 2} with an external store
	ActionAcknowledge    Action = "acknowledge"   // object alarm/id; value {"comment": "..."}, or {"withdraw": true}
	ActionTestNotify     Action = "test-notify"   // object cluster; value {"severity": "major", "comment": "..."}: an event that only tries the receivers
)

// Actions lists every action of a change, with a text for people and whether it
// is risky, so that policy may ask for a second person.
var Actions = []struct {
	Action Action
	Text   string
	Risky  bool
}{
	{ActionApply, "replace or merge the whole configuration", false},
	{ActionCreate, "create one object", false},
	{ActionUpdate, "replace one object", false},
	{ActionPatch, "change fields of one object", false},
	{ActionDelete, "delete one object", true},
	{ActionRollback, "return to an earlier configuration", true},
	{ActionStart, "want a resource started", false},
	{ActionStop, "want a resource stopped", true},
	{ActionRestart, "stop a resource and start it again", true},
	{ActionMove, "move a resource once, leaving no constraint behind", false},
	{ActionManage, "let the cluster manage a resource again", false},
	{ActionUnmanage, "leave a resource as it is", false},
	{ActionMaintenanceOn, "leave the cluster, a node or a resource alone", false},
	{ActionMaintenanceOff, "end maintenance", false},
	{ActionStandby, "move everything off a node", false},
	{ActionOnline, "let a node host resources again", false},
	{ActionCleanup, "forget failures and look again", false},
	{ActionRefresh, "forget everything known and look again", false},
	{ActionFence, "fence a node", true},
	{ActionConfirm, "confirm by hand that a node is dead", true},
	{ActionRemoveNode, "remove a node from the cluster", true},
	{ActionDrain, "drain a node and let it leave", false},
	{ActionVoter, "give a node a vote or take it", true},
	{ActionAcknowledge, "say that somebody looks after an alarm", false},
	{ActionTestNotify, "send a test to everybody who gets notifications", false},
}

// Actor says who asks. The daemon fills it from the socket's peer credentials and
// the login uid; only the management daemon's uid may name another.
type Actor struct {
	User     string `json:"user"`
	UID      uint32 `json:"uid"`
	LoginUID string `json:"loginUid,omitempty"` // of /proc/PID/loginuid: the person behind sudo
	Via      string `json:"via"`                // socket, rest, gui, cim, engine, agent
	Address  string `json:"address,omitempty"`  // where a remote caller comes from
	Session  string `json:"session,omitempty"`
	// What the management daemon knows of who it named.
	Authn string   `json:"authn,omitempty"` // how it is known who it is: pam, certificate, token, session
	Roles []string `json:"roles,omitempty"` // held at the time
	Rule  string   `json:"rule,omitempty"`  // the authorisation rule that allowed what is asked
}

// Change is the one request that changes anything.
type Change struct {
	Actor  *Actor          `json:"actor,omitempty"` // only from the management daemon
	Action Action          `json:"action"`
	Object string          `json:"object"`          // "resource/web", "node/n1", "cluster", ...
	Value  json.RawMessage `json:"value,omitempty"` // as the action says
	Merge  bool            `json:"merge,omitempty"` // apply: keep what the document does not name
	// ExpectedGeneration is the configuration generation the caller saw; 0 means any.
	ExpectedGeneration uint64 `json:"expectedGeneration,omitempty"`
	PlanToken          string `json:"planToken,omitempty"` // of a dry run: refused where its plan is no longer the one
	DryRun             bool   `json:"dryRun,omitempty"`    // validate and simulate, change nothing
	Force              bool   `json:"force,omitempty"`     // do it although a warning stands against it
	RequestID          string `json:"requestId,omitempty"` // makes the request safe to repeat: the same id is done once
	ChangeRef          string `json:"changeRef,omitempty"` // ticket number, for the audit log
}

// ChangeResult says what a change did, or with DryRun would do.
type ChangeResult struct {
	Generation uint64        `json:"generation"` // after the change
	RequestID  string        `json:"requestId"`
	Changes    []cib.Changed `json:"changes,omitempty"` // secrets left out
	Plan       PlanSummary   `json:"plan"`
	PlanToken  string        `json:"planToken,omitempty"`
	Warnings   []Fault       `json:"warnings,omitempty"`
}

// PlanSummary is a plan for people and programs.
type PlanSummary struct {
	Steps    []Step   `json:"steps"`
	Start    []string `json:"start,omitempty"` // resources that start, "web on n2"
	Stop     []string `json:"stop,omitempty"`
	Move     []string `json:"move,omitempty"`
	Restart  []string `json:"restart,omitempty"`
	Fence    []string `json:"fence,omitempty"`
	Degraded []string `json:"degraded,omitempty"` // resources that lose redundancy
	// Downtime is the sum of the recorded times of the operations that a stopped
	// or moved resource waits for, at worst.
	Downtime time.Duration `json:"downtimeNs,omitempty"`
}

// Step is one action of a plan.
type Step struct {
	Number int     `json:"number"`
	Text   string  `json:"text"` // "start web on n2"
	After  []int   `json:"after,omitempty"`
	Why    cib.Why `json:"why"`
	State  string  `json:"state,omitempty"` // waiting, asked, running
}

// Config is the configuration with its generation.
type Config struct {
	Generation uint64      `json:"generation"`
	Config     *cib.Config `json:"config"`
}

// GenerationInfo is a line of the history.
type GenerationInfo struct {
	Generation uint64    `json:"generation"`
	Time       time.Time `json:"time"`
	Actor      string    `json:"actor"`
	Action     string    `json:"action"`
	Object     string    `json:"object,omitempty"`
	Keys       []string  `json:"keys"`
}

// Attribute is one node attribute.
type Attribute struct {
	Node      string `json:"node,omitempty"` // "" is the local node
	Name      string `json:"name"`
	Value     string `json:"value,omitempty"`
	Delete    bool   `json:"delete,omitempty"`
	Permanent bool   `json:"permanent,omitempty"` // in the configuration; default: gone with the boot
	DampenMs  int64  `json:"dampenMs,omitempty"`  // wait that long for further changes before it is written
	Private   bool   `json:"private,omitempty"`   // transient, and only agents see it
}

// TokenRequest asks for a join token.
type TokenRequest struct {
	TTL   cib.Duration `json:"ttl,omitzero"`   // default 15m, at most 24h
	Node  string       `json:"node,omitempty"` // only this node may use it
	Voter *bool        `json:"voter,omitempty"`
}

// Token lets one machine join. It pins the cluster's CA.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// BackupRequest asks for a backup of the store, the CA and the secrets' key.
type BackupRequest struct {
	File string `json:"file,omitempty"` // on the node; default in /var/lib/belay/backup
}

// Backup is one backup.
type Backup struct {
	File      string `json:"file"`
	Revision  int64  `json:"revision"`
	SizeBytes int64  `json:"sizeBytes"`
}

// LogLevel sets the level of this node's log: debug, info, warn, error.
type LogLevel struct {
	Level string `json:"level"`
}

// Local is this node as its own engine sees it, without asking the store.
type Local struct {
	Node        string        `json:"node"`
	Cluster     string        `json:"cluster"`
	Version     string        `json:"version"`
	Incarnation uint64        `json:"incarnation"`
	BootID      string        `json:"bootId"`
	Valid       bool          `json:"valid"`
	ValidFor    time.Duration `json:"validForNs"`
	Quorate     bool          `json:"quorate"`
	Quorum      string        `json:"quorum"` // the reason in words
	DC          string        `json:"dc,omitempty"`
	Revision    int64         `json:"revision"`      // of the newest snapshot
	SnapshotAge time.Duration `json:"snapshotAgeNs"` // since the store was last known to answer
	StoreOK     bool          `json:"storeOk"`
	Alive       []string      `json:"alive"` // nodes heard
	LogLevel    string        `json:"logLevel"`
	Left        bool          `json:"left,omitempty"` // drained: the engine waits to be stopped or restarted
}

// Fault is one thing that is wrong with an input, or a warning about it.
type Fault struct {
	Path string `json:"path"` // "resources.web.parameters.ip"
	Text string `json:"text"`
}

// Problem is an error answer (RFC 9457) with a stable code and what to do.
type Problem struct {
	Code   string  `json:"code"` // BLYnnnn
	Title  string  `json:"title"`
	Detail string  `json:"detail"` // what happened and what it means for the cluster
	Remedy string  `json:"remedy,omitempty"`
	Status int     `json:"status"` // HTTP status
	Faults []Fault `json:"faults,omitempty"`
	// RetryAfter says after how many seconds it may work; 0: nothing is known.
	RetryAfter int `json:"retryAfter,omitempty"`
	// Approval is the id of what waits for a second person.
	Approval string `json:"approval,omitempty"`
}

// Error makes a Problem usable as an error.
func (p *Problem) Error() string {
	var text strings.Builder
	text.WriteString(p.Code + ": " + p.Detail)
	for _, f := range p.Faults {
		text.WriteString("\n  " + f.Path + ": " + f.Text)
	}
	if p.Remedy != "" {
		text.WriteString("\n" + p.Remedy)
	}
	return text.String()
}

// ActorHeader carries an [Actor] as JSON in base64 (RFC 4648, section 4), for
// requests other than [Change]. Only the management daemon's uid may send it.
const ActorHeader = "Belay-Actor"

// Document is one document that the management daemons of a cluster share: a
// session, an API token, who has which role. The engine keeps it and does not read
// it. Nobody but the management daemon and root sees it.
type Document struct {
	Name  string          `json:"name"`            // "session/..."; letters, digits and - _ . / @ :
	Rev   int64           `json:"rev"`             // of its last change
	Value json.RawMessage `json:"value,omitempty"` // JSON, at most 256 KiB
}

// Documents are all of them at one revision, by name.
type Documents struct {
	Revision  int64      `json:"revision"`
	Documents []Document `json:"documents"`
}

// DocumentChange changes documents: all or none.
type DocumentChange struct {
	Actor *Actor `json:"actor,omitempty"`
	// Action and Object are what the audit log says. Without an action nothing is
	// recorded: for the bookkeeping of sessions.
	Action    string             `json:"action,omitempty"`
	Object    string             `json:"object,omitempty"`
	RequestID string             `json:"requestId,omitempty"`
	ChangeRef string             `json:"changeRef,omitempty"`
	Details   json.RawMessage    `json:"details,omitempty"` // what changes, for the audit log, without secrets
	If        []DocumentRevision `json:"if,omitempty"`      // all must hold
	Put       []Document         `json:"put,omitempty"`
	Delete    []string           `json:"delete,omitempty"`
}

// DocumentRevision holds when the last change of a document is Rev; 0: when it does
// not exist.
type DocumentRevision struct {
	Name string `json:"name"`
	Rev  int64  `json:"rev"`
}

// DocumentsChanged is the revision at which documents were changed.
type DocumentsChanged struct {
	Revision int64 `json:"revision"`
}

// Note is something for the audit log that changes nothing: a log-in, a refused
// request.
type Note struct {
	Actor     *Actor `json:"actor,omitempty"`
	Action    string `json:"action"`
	Object    string `json:"object,omitempty"`
	RequestID string `json:"requestId,omitempty"`
	ChangeRef string `json:"changeRef,omitempty"`
	Result    string `json:"result"` // success, refused, failed
	Reason    string `json:"reason,omitempty"`
	Rule      string `json:"rule,omitempty"` // the authorisation rule that decided; default: that of the actor
}

// SNMP is what the management daemon needs to answer and to notify over SNMP. Its
// secrets are open.
type SNMP struct {
	Generation uint64                     `json:"generation"` // of the configuration
	Settings   cib.SNMP                   `json:"settings"`
	Users      map[string]*cib.SNMPUser   `json:"users"`
	Targets    map[string]*cib.SNMPTarget `json:"targets"`
}

// CIM is what the management daemon needs to send indications. Its secrets are open.
type CIM struct {
	Generation    uint64                          `json:"generation"` // of the configuration
	Filters       map[string]*cib.CIMFilter       `json:"filters"`
	Destinations  map[string]*cib.CIMDestination  `json:"destinations"`
	Subscriptions map[string]*cib.CIMSubscription `json:"subscriptions"`
}

// Notifiers is what the management daemon needs to send webhooks and mail. Its secrets are
// open.
type Notifiers struct {
	Generation uint64                     `json:"generation"` // of the configuration
	Webhooks   map[string]*cib.Webhook    `json:"webhooks"`
	Mail       map[string]*cib.MailTarget `json:"mailTargets"`
}

// NotificationTarget is a receiver outside of the cluster, and how far it is.
type NotificationTarget struct {
	Kind     string `json:"kind"` // of its document: snmp-target, webhook, mail-target, cim-subscription, audit-rule
	ID       string `json:"id"`
	Address  string `json:"address"`            // without what is secret
	Node     string `json:"node,omitempty"`     // that sends, where every node does: the one that answers
	Disabled bool   `json:"disabled,omitempty"` // nothing is sent
	// Delivery is how far it is; none: that can't be seen here.
	Delivery *Delivery `json:"delivery,omitempty"`
}

// Delivery is how far a receiver is. It takes nothing now when the last error is newer
// than what was sent last.
type Delivery struct {
	Waiting     *int      `json:"waiting,omitempty"`    // messages that it has not got; none: nobody counts them
	LastSentAt  time.Time `json:"lastSentAt,omitzero"`  // when it took one; none: never
	LastError   string    `json:"lastError,omitempty"`  // of a try, also when a later one succeeded; without secrets
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"` // none: no try has failed
	Lost        uint64    `json:"lost,omitempty"`       // how often something was no longer kept when it was to be sent
	Refused     uint64    `json:"refused,omitempty"`    // messages that it will never take; they were given up
}

// CertificateRequest asks for the certificate of this node's management daemon.
type CertificateRequest struct {
	Request string `json:"request"` // PEM, as pki.NewRequest makes it
}

// Certificate is a certificate with the authority that signed it.
type Certificate struct {
	Cert string `json:"cert"` // PEM
	CA   string `json:"ca"`   // PEM
}

// Init asks for a new cluster with this node as its first member.
type Init struct {
	// Code is the one-time code that the engine of a node without a cluster prints
	// into its log. Who comes by the management daemon must name it.
	Code      string      `json:"code,omitempty"`
	Cluster   string      `json:"cluster"`
	Node      string      `json:"node,omitempty"` // default: the host's name
	Addresses []string    `json:"addresses"`      // one a link
	Ports     cib.Ports   `json:"ports,omitzero"`
	Options   cib.Options `json:"options,omitzero"`
	// Store is an etcd that somebody else runs; nil: the cluster's voters run one.
	Store *ExternalStore `json:"store,omitempty"`
}

// ExternalStore says how a node reaches an etcd that somebody else runs. It holds a
// secret.
type ExternalStore struct {
	Endpoints []string `json:"endpoints,omitempty"` // https://host:port; of a joining node the cluster's
	CA        string   `json:"ca,omitempty"`        // PEM: who signed the certificates of its members
	Cert      string   `json:"cert,omitempty"`      // PEM: this node's certificate as a client
	Key       string   `json:"key,omitempty"`       // PEM: its key
}

// Join asks this node to join a cluster.
type Join struct {
	Code      string    `json:"code,omitempty"` // as in [Init]
	Token     string    `json:"token"`
	Server    string    `json:"server"`         // a member's address, with a port where it is not 7403
	Node      string    `json:"node,omitempty"` // default: the host's name
	Addresses []string  `json:"addresses"`      // one a link, as many as the cluster has
	Ports     cib.Ports `json:"ports,omitzero"`
	// Store is this node's own certificate for an external store; nil: it gets that
	// of the member it joins through.
	Store *ExternalStore `json:"store,omitempty"`
	// Arbiter: it has a vote, and hosts nothing.
	Arbiter bool `json:"arbiter,omitempty"`
}

// Joined says that a node has become a member of a cluster.
type Joined struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Voter   bool   `json:"voter"`
}

// JoinRequest is what a joining node asks of a member, over TLS pinned to the
// token's fingerprint.
type JoinRequest struct {
	TokenID      string    `json:"tokenId"`
	Secret       string    `json:"secret"`
	Node         string    `json:"node"`
	Addresses    []string  `json:"addresses"`
	Ports        cib.Ports `json:"ports,omitzero"`
	Request      string    `json:"request"`     // PEM certificate request for the node's key
	RootRequest  string    `json:"rootRequest"` // PEM certificate request for the key that administers the store
	Version      string    `json:"version"`
	FeatureLevel int       `json:"featureLevel"`
	Wall         time.Time `json:"wall"` // the joining node's clock
	// Remote asks for a certificate of a remote node, which is no member and gets
	// nothing else.
	Remote bool `json:"remote,omitempty"`
	// Arbiter asks for a vote, and for nothing to host.
	Arbiter bool `json:"arbiter,omitempty"`
}

// JoinAnswer is what a member answers.
type JoinAnswer struct {
	Cluster    string              `json:"cluster"`
	StoreToken string              `json:"storeToken"`
	CA         string              `json:"ca"`   // PEM
	Cert       string              `json:"cert"` // PEM
	RootCert   string              `json:"rootCert,omitempty"`
	SealKey    []byte              `json:"sealKey"`
	Node       cib.Node            `json:"node"`
	Endpoints  map[string][]string `json:"endpoints"` // of the store, by node
	Store      *ExternalStore      `json:"store,omitempty"`
}
