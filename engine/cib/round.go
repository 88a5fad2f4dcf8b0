package cib

import (
	"strconv"
	"strings"
)

// Round is one set of changes of a clone with notify: every active instance is told
// of them before and after. The DC writes it with the first action of the round and
// deletes it when the last instance was told. It stands in the store, so that the
// lists stay the same over a round, and a new DC goes on where the old one ended.
//
// What is added to a round on its way is told under another version of its kind
// (start, stop, ...), so that nobody is told anew of the others.
type Round struct {
	ID      string            `json:"id"`
	Clone   string            `json:"clone"`   // id of the clone or bundle
	Changes []RoundChange     `json:"changes"` // all of the round, done or not
	Lists   map[string]string `json:"lists"`   // CRM_meta_notify_* for agents, without the prefix: start_resource, active_uname, ...
	// Versions counts, by operation, how often something of it was added on the way.
	Versions map[string]int `json:"versions,omitempty"`
	Rev      int64          `json:"-"`
}

// Told is the name under which everybody is told of one kind of change: what stands
// in actions and results as their Round.
func (r *Round) Told(op string) string {
	if n := r.Versions[op]; n > 0 {
		return r.ID + "+" + strconv.Itoa(n)
	}
	return r.ID
}

// RoundID is the id of the round that an action or result is of.
func RoundID(told string) string {
	id, _, _ := strings.Cut(told, "+")
	return id
}

// RoundChange is one start, stop, promote or demote of a round.
type RoundChange struct {
	Op       string `json:"op"`
	Instance string `json:"instance"` // history key
	Label    string `json:"label"`    // what agents are told it is called: "db:0"
	Node     string `json:"node"`
}

// Phases of a notification: "pre-start", "post-promote".
const (
	PhasePre  = "pre-"
	PhasePost = "post-"
)
