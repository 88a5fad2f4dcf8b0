package cib

// Round is one set of changes of a clone with notify: every active instance is told
// of them before and after. The DC writes it with the first action of the round and
// deletes it when the last instance was told. It stands in the store, so that the
// lists stay the same over a round, and a new DC goes on where the old one ended.
type Round struct {
	ID      string            `json:"id"`
	Clone   string            `json:"clone"`   // id of the clone or bundle
	Changes []RoundChange     `json:"changes"` // all of the round, done or not
	Lists   map[string]string `json:"lists"`   // CRM_meta_notify_* for agents, without the prefix: start_resource, active_uname, ...
	Rev     int64             `json:"-"`
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
