package graph

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Question is what an external placement program reads on standard input, as JSON.
type Question struct {
	Now       time.Time          `json:"now"`
	Nodes     []QuestionNode     `json:"nodes"`     // sorted by name
	Resources []QuestionResource `json:"resources"` // sorted by id; those that are in no other
}

// QuestionNode is one node.
type QuestionNode struct {
	Name       string            `json:"name"`
	Usable     bool              `json:"usable"` // resources may be started there
	Why        string            `json:"why,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"` // transient ones before permanent ones
	Capacity   map[string]int    `json:"capacity,omitempty"`   // utilization
}

// QuestionResource is one resource with all that is in it.
type QuestionResource struct {
	ID          string         `json:"id"`
	Kind        string         `json:"kind"`                  // primitive, group, clone, promotable or bundle
	Nodes       []string       `json:"nodes,omitempty"`       // where it runs
	Utilization map[string]int `json:"utilization,omitempty"` // of all that is in it, once
}

// Answer is what the program writes on standard output, as JSON. A score is added
// to those that the resource has on that node: -INFINITY forbids the node. A
// resource or node that is not named is left as it is.
type Answer struct {
	Scores map[string]map[string]cib.Score `json:"scores"` // by resource, by node
}
