package api

import (
	"encoding/json"
	"time"
)

// AuditPage is a part of a node's audit log.
type AuditPage struct {
	Node    string            `json:"node"`
	Records []json.RawMessage `json:"records"`        // as they stand in the log
	Next    uint64            `json:"next,omitempty"` // ask again with after set to this; 0: there is no more
}

// AuditQuery chooses records. Empty fields choose all.
type AuditQuery struct {
	Node      string `json:"node,omitempty"` // whose log; "": of the node that is asked
	User      string `json:"user,omitempty"`
	Action    string `json:"action,omitempty"`
	Object    string `json:"object,omitempty"` // or all of a kind: "resource/"
	Result    string `json:"result,omitempty"`
	Phase     string `json:"phase,omitempty"`
	Via       string `json:"via,omitempty"`
	RequestID string `json:"requestId,omitempty"`
	ChangeRef string `json:"changeRef,omitempty"`
	From      string `json:"from,omitempty"` // RFC 3339
	To        string `json:"to,omitempty"`   // RFC 3339
	After     uint64 `json:"after,omitempty"`
	Limit     int    `json:"limit,omitempty"` // default and at most 1000
}

// AuditState is what a node says of its own audit log.
type AuditState struct {
	Node       string             `json:"node"`
	Origin     string             `json:"origin,omitempty"`
	Key        string             `json:"key,omitempty"` // public: verifies its checkpoints
	Records    uint64             `json:"records"`
	Checkpoint string             `json:"checkpoint,omitempty"` // the newest, with its signatures
	Signed     uint64             `json:"signed"`               // records under it
	Witnesses  map[string]string  `json:"witnesses,omitempty"`  // node to "" or why it does not sign
	Problem    string             `json:"problem,omitempty"`    // why nothing can be written
	Waiting    int                `json:"waiting,omitempty"`    // events of the engine that wait to be written
	Lost       uint64             `json:"lost,omitempty"`       // events of the engine that are only in the journal
	Forwards   []AuditForward     `json:"forwards,omitempty"`
	Replaced   []AuditKeyReplaced `json:"replaced,omitempty"` // keys of before, the oldest first
}

// AuditKeyRequest asks for a new key of a node's audit log.
type AuditKeyRequest struct {
	Node string `json:"node,omitempty"` // whose; "": of the node that is asked, which is the only one that can
}

// AuditKey is the key that signs a node's audit log from now on.
type AuditKey struct {
	Node     string           `json:"node"`
	Key      string           `json:"key"` // public
	Replaced AuditKeyReplaced `json:"replaced"`
}

// AuditKeyReplaced is a key that signed a node's audit log before.
type AuditKeyReplaced struct {
	Key     string    `json:"key"`     // public
	Records uint64    `json:"records"` // it signs no checkpoint of more
	Time    time.Time `json:"time"`
	Note    string    `json:"note"` // that another one follows, signed by both
}

// AuditForward is how far the forwarding of a rule is.
type AuditForward struct {
	Name      string   `json:"name"`
	Delivered uint64   `json:"delivered"` // up to this record
	Connected bool     `json:"connected"`
	Problem   string   `json:"problem,omitempty"`
	Delivery  Delivery `json:"delivery"`
}

// AuditHeld is what other nodes hold of a node's audit log: what a verification
// compares it with.
type AuditHeld struct {
	Node        string   `json:"node"`
	Checkpoints []string `json:"checkpoints"`
	Keys        []string `json:"keys"`
	Rotations   []string `json:"rotations,omitempty"` // how these keys followed each other
	Silent      []string `json:"silent,omitempty"`    // nodes that did not answer
}

// AuditVerdict says whether a node's audit log is whole.
type AuditVerdict struct {
	Node        string           `json:"node"`
	Whole       bool             `json:"whole"`
	FirstBad    uint64           `json:"firstBad,omitempty"` // the first bad record
	Reason      string           `json:"reason,omitempty"`   // what is wrong with it
	First       uint64           `json:"first"`              // the first record that is still kept
	Records     uint64           `json:"records"`            // the number of the last
	Root        string           `json:"root"`               // of the tree of all (RFC 6962)
	Checkpoints int              `json:"checkpoints"`        // that fit the log
	Signed      uint64           `json:"signed"`             // records under the newest checkpoint of the log itself
	Witnessed   uint64           `json:"witnessed"`          // records under the newest that another node signed, too
	ClockSteps  []AuditClockStep `json:"clockSteps,omitempty"`
	Silent      []string         `json:"silent,omitempty"` // nodes that did not say what they hold
}

// AuditClusterVerdict says whether the audit logs of all nodes are whole, and the same that
// the other nodes signed.
type AuditClusterVerdict struct {
	By       string             `json:"by"`       // the node that compared them
	Whole    bool               `json:"whole"`    // nothing wrong was found
	Complete bool               `json:"complete"` // every node answered
	Nodes    []AuditNodeVerdict `json:"nodes"`
}

// AuditNodeVerdict says whether the log of one node is whole. Its own engine looked through
// it; what it presents was compared with what every other node holds.
type AuditNodeVerdict struct {
	AuditVerdict
	Unverified string        `json:"unverified,omitempty"` // why nothing is known of it
	Holders    []AuditHolder `json:"holders"`              // the nodes that signed it
}

// AuditHolder is a node that signed the log of another one.
type AuditHolder struct {
	Node    string    `json:"node"`
	Records uint64    `json:"records"`           // that it signed
	Time    time.Time `json:"time"`              // when the log had so many
	Problem string    `json:"problem,omitempty"` // what the log shows is not what this node signed
}

// AuditClockStep is a clock that was set back before a record.
type AuditClockStep struct {
	Record uint64        `json:"record"`
	Back   time.Duration `json:"backNs"`
}
