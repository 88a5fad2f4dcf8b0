package cib

import "time"

// Advice is what an external program says about where resources should run; see the
// options placement-strategy and placement-program. The DC has it run, and writes
// down what it says.
type Advice struct {
	Program string                      `json:"program"`
	Scores  map[string]map[string]Score `json:"scores,omitempty"` // by resource without a parent, by node; added to the others
	Error   string                      `json:"error,omitempty"`  // why it gave none: nothing is added then
	Asked   time.Time                   `json:"asked"`
	Until   time.Time                   `json:"until"` // afterwards it does not count
	Rev     int64                       `json:"-"`
}
