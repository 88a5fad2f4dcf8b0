package quorumd

import "time"

// Saved is what must survive a restart, of one cluster or one ticket. The newest
// one of each name counts. It is small: renewals are not in it.
type Saved struct {
	Cluster *SavedCluster `json:"cluster,omitempty"`
	Ticket  *SavedTicket  `json:"ticket,omitempty"`
}

// SavedCluster is the durable state of one cluster.
type SavedCluster struct {
	Name       string     `json:"name"`
	Generation Generation `json:"generation,omitzero"` // the newest known
	Epoch      uint64     `json:"epoch,omitempty"`     // of the voter set, in that generation
	Holder     []string   `json:"holder,omitempty"`    // of the grant; nil: nobody
	LeaseMs    int64      `json:"leaseMs,omitempty"`   // the longest that the holder was given
	HandoverMs int64      `json:"handoverMs,omitempty"`
	OpenedBy   string     `json:"openedBy,omitempty"` // the node that opened Generation; "": no half did
	From       Generation `json:"from,omitzero"`      // that it was opened from
	Half       []string   `json:"half,omitempty"`     // of OpenedBy
	Grants     uint64     `json:"grants,omitempty"`   // given so far
}

// SavedTicket is the durable state of one ticket.
type SavedTicket struct {
	Name     string `json:"name"`
	Holder   string `json:"holder,omitempty"` // a cluster, or "cluster/node"
	Term     uint64 `json:"term,omitempty"`   // rises with each grant
	ExpiryMs int64  `json:"expiryMs,omitempty"`
	AfterMs  int64  `json:"afterMs,omitempty"`
	Revoked  bool   `json:"revoked,omitempty"` // by a person: nobody gets it until it is granted again
	// Assigned is the cluster that a person gave it to; "": any that asks.
	Assigned string `json:"assigned,omitempty"`
}

// ClusterConfig is what an administrator says about a cluster.
type ClusterConfig struct {
	// Nodes has the pins of each node: the SHA-256 of the subject public key info
	// of its certificate, in base64. Several, so that a key can be changed.
	Nodes map[string][]string `json:"nodes"`
	// Handover is the least hand-over delay, whatever the cluster asks for.
	Handover time.Duration `json:"-"`
}

// TicketConfig is what an administrator says about a ticket.
type TicketConfig struct {
	Clusters map[string]int // those that may hold it, with their weights
	Expiry   time.Duration  // without renewal it is lost after that
	// After is how long a lost ticket stays with nobody, so that the loser can stop.
	After time.Duration
}

// Config is everything an administrator says.
type Config struct {
	Clusters map[string]ClusterConfig
	Tickets  map[string]TicketConfig
}
