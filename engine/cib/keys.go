package cib

import (
	"fmt"
	"strings"
)

// Keys of the documents, relative to the cluster's prefix in the store. Each
// comment names the writer.
const (
	KeyConfig          = "config/"                  // any engine, for an authenticated caller
	KeyCluster         = "config/cluster"           // the cluster document
	KeyConfigGen       = "config/generation"        // compared and raised by every change
	KeyNode            = "config/node/"             // + name
	KeyResource        = "config/resource/"         // + id
	KeyConstraint      = "config/constraint/"       // + id
	KeyFenceDevice     = "config/fence-device/"     // + id
	KeyFenceTopology   = "config/fence-topology/"   // + target
	KeyQuorumDevice    = "config/quorum-device/"    // + id
	KeyTicket          = "config/ticket/"           // + id
	KeyAuditRule       = "config/audit-rule/"       // + id
	KeyRole            = "config/role/"             // + name
	KeySNMPUser        = "config/snmp-user/"        // + name
	KeySNMPTarget      = "config/snmp-target/"      // + id
	KeyCIMFilter       = "config/cim-filter/"       // + id
	KeyCIMDestination  = "config/cim-destination/"  // + id
	KeyCIMSubscription = "config/cim-subscription/" // + id
	KeyWebhook         = "config/webhook/"          // + id
	KeyMailTarget      = "config/mail-target/"      // + id
	KeyRoleBinding     = "config/role-binding/"     // + id
	KeyRemoteNode      = "config/remote-node/"      // + name
	KeyConfigHistory   = "history/"                 // + generation, 20 digits; with the change itself, see GenerationRecord
	KeyJoinToken       = "join/token/"              // + id; any engine, on a lease
	KeyDataGen         = "status/generation"        // forced recovery and restore
	KeyDC              = "status/dc"                // the holder, on its lease
	KeyView            = "status/view"              // the DC
	KeyVoters          = "status/voters"            // the DC
	KeyAdvice          = "status/advice"            // the DC
	KeyMember          = "status/member/"           // + node; the node
	KeyNodeStatus      = "status/node/"             // + node; the DC
	KeyAttributes      = "status/attribute/"        // + node; the node
	KeyHistory         = "status/op/"               // + node/instance; the node
	KeyPending         = "status/pending/"          // + node/instance; the DC asks and withdraws, the node claims and ends
	KeyRemote          = "status/remote/"           // + remote node; the node that its connection is at
	KeyRemoteHistory   = "status/remote-op/"        // + remote node/instance; the node that its connection is at
	KeyTicketStatus    = "status/ticket/"           // + id; the DC
	KeyRound           = "status/round/"            // + resource inside of the clone; the DC
	KeyOutages         = "status/outage/"           // + node; the DC
	KeyFenceRequest    = "status/fencing/request/"  // + target; the DC asks, the executing node claims and ends
	KeyProof           = "status/fencing/proof/"    // + id; the executing node, or any engine for a named human
	KeyFenceHistory    = "status/fencing/history/"  // + id; with the end of the request
	KeyReadiness       = "status/fencing/ready/"    // + node/device; the node
	KeyStore           = "status/store/"            // + node; the node
	KeyLinks           = "status/links/"            // + node; the node
	KeyIssued          = "pki/issued/"              // + node/serial; the voter that admits the node, and the node
	KeyRevoked         = "status/revoked"           // the DC, as root
	KeyEvent           = "event/"                   // + see EventKey; any engine
	KeyAccess          = "access/"                  // + name; any engine, for its management daemon: sessions, API tokens, who has which role
)

// PendingKey is the key of the action in flight on an instance.
func PendingKey(node, instance string) string { return KeyPending + node + "/" + instance }

// HistoryKey is the key of a node's history of an instance.
func HistoryKey(node, instance string) string { return KeyHistory + node + "/" + instance }

// RemoteHistoryKey is the key of a remote node's history of an instance.
func RemoteHistoryKey(node, instance string) string { return KeyRemoteHistory + node + "/" + instance }

// ReadinessKey is the key of a node's check of a fence device.
func ReadinessKey(node, device string) string { return KeyReadiness + node + "/" + device }

// IssuedKey is the key of a certificate that was issued to a node.
func IssuedKey(node, serial string) string { return KeyIssued + node + "/" + serial }

// EventKey is the key of the n-th event that an engine's incarnation writes.
func EventKey(node string, incarnation, n uint64) string {
	return fmt.Sprintf("%s%s-%d-%08d", KeyEvent, node, incarnation, n)
}

// EventsPerTxn limits the events of one transaction, so that Seq stays unique.
const EventsPerTxn = 64

// Txn is one transaction: all of Put and Delete happen if all of If hold, else
// nothing does.
type Txn struct {
	If     []Compare
	Put    []Put
	Delete []string // keys; one that does not exist is no error
}

// Compare holds when the key's last change is ModRev; 0: when it does not exist.
type Compare struct {
	Key    string
	ModRev int64
}

// Put writes a document.
type Put struct {
	Key   string
	Value any  // marshalled as JSON by the store
	Lease bool // hangs on the writer's lease: vanishes when its engine is silent for long
}

// KV is one changed key as the store reports it.
type KV struct {
	Key    string // relative to the cluster's prefix
	Value  []byte // nil: deleted
	ModRev int64
}

// SplitKey cuts a key below prefix into its parts: "n1/web" is "n1", "web".
func SplitKey(key, prefix string) (first, rest string) {
	first, rest, _ = strings.Cut(strings.TrimPrefix(key, prefix), "/")
	return first, rest
}
