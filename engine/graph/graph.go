package graph

import (
	"github.com/belay-ha/belay/engine/cib"
)

// Graph is a plan: what is still to do, in which order, and why. It is computed
// from one snapshot; what that snapshot shows as done is not in it any more, so
// an action whose After is empty, or in flight and ended, may run at once.
type Graph struct {
	Revision  int64    `json:"revision"`   // of the snapshot
	ConfigGen uint64   `json:"generation"` // configuration generation of the snapshot
	Actions   []Action `json:"actions"`    // in an order in which they could be done one by one
	// Rounds of notifications that begin or grow with the plan: one is to be written
	// down with the first of its actions that is asked for, a new one under an ID that
	// no other has. By the resource inside of the clone.
	Rounds map[string]*cib.Round `json:"rounds,omitempty"`
	// Ended names the rounds that are over, in the same way: there is nothing left to
	// be told.
	Ended []string `json:"ended,omitempty"`
	// Guests are those that count as fenced once what they are inside of is stopped.
	// Sorted.
	Guests []string `json:"guests,omitempty"`
	// Gone are those of the Guests for which nothing of that is left to do: what they
	// were inside of runs nowhere, as far as anybody can know.
	Gone []string `json:"gone,omitempty"`
}

// Action is one step of a plan.
type Action struct {
	cib.Action
	// After are the indexes in Graph.Actions of the steps that must have
	// succeeded before; all are smaller than the action's own index.
	After []int `json:"after,omitempty"`
	// InFlight is the id under which the step was asked for already; its result
	// is awaited. "" means that it is still to be asked for.
	InFlight string `json:"inFlight,omitempty"`
}

// Placement says what should run where. It is the value between the two phases
// of the policy: Place makes it, Plan reads it.
type Placement struct {
	Revision  int64        `json:"revision"`
	Instances []Assignment `json:"instances"` // sorted by instance
}

// Assignment is the decision about one instance.
type Assignment struct {
	Instance string    `json:"instance"` // of an anonymous clone: "web:0", "web:1", ... arbitrary but stable
	Resource string    `json:"resource"`
	Node     string    `json:"node,omitempty"` // "" means nowhere
	Role     cib.Role  `json:"role"`           // Stopped where Node is ""
	Score    cib.Score `json:"score"`
	Why      cib.Why   `json:"why"`
	// NotPromoted says why an instance of a promotable clone runs and is not promoted;
	// empty for any other.
	NotPromoted cib.Why `json:"notPromoted,omitzero"`
	// Blocked says why nothing is done about the instance although it is not as
	// it should be: it is left as it is (unmanaged, failed stop without fencing, ...),
	// or waits for what will not come, such as by an order. "" if it is not.
	Blocked string `json:"blocked,omitempty"`
}

// Activity is where an instance is active, or must be taken to be.
type Activity struct {
	Instance string // history key
	Resource string
	Node     string
	Role     cib.Role
}

// Explanation answers "why here, and why not there" for one resource.
type Explanation struct {
	Resource  string                `json:"resource"`
	Instances []InstanceExplanation `json:"instances"`
}

// InstanceExplanation is the decision about one instance with the score of
// every node.
type InstanceExplanation struct {
	Assignment
	Nodes []NodeScore `json:"nodes"` // best first, then by name
}

// NodeScore is what one node scored, and the parts that make it up.
type NodeScore struct {
	Node  string    `json:"node"`
	Score cib.Score `json:"score"`
	Parts []Part    `json:"parts"`
}

// Part is one contribution to a score.
type Part struct {
	Rule  string    `json:"rule"` // id of the constraint or option
	Score cib.Score `json:"score"`
	Text  string    `json:"text"`
}
