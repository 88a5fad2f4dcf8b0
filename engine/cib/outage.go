package cib

import "time"

// Outages are the services that were lost on one node and do not run again yet. A service
// is a resource that is in no other one: a group is one. The DC writes the document in the
// transaction in which the loss shows, and takes a service out of it in the one that tells
// how it ended, so that each loss is told once, whichever node is the DC by then.
type Outages struct {
	Services map[string]*Outage `json:"services"` // by the id of the service; never empty
	Rev      int64              `json:"-"`
}

// Outage is the time in which a service does not run although it should.
type Outage struct {
	// Began is when the service was lost: the last word of its node, or the failure.
	Began   time.Time `json:"began"`
	Noticed time.Time `json:"noticed"` // by the DC
	Reason  string    `json:"reason"`  // "node n1 is lost: silent for 1.2s"
	Kind    string    `json:"kind"`    // OutageNode, OutageResource
	Cause   string    `json:"causeId,omitempty"`
	BootID  string    `json:"bootId,omitempty"` // of the node, where that is what failed
	// Instances are what was active there: those that must be active again. Of a
	// promotable clone they are empty: one must be promoted again.
	Instances []string `json:"instances,omitempty"`
	// Failed is the resource that failed; "" where the node did.
	Failed string `json:"failed,omitempty"`
}

// What an [Outage] came from, named as in the history of fail-overs.
const (
	OutageNode     = "node-failure"
	OutageResource = "resource-failure"
)
