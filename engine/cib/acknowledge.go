package cib

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// KeyAcknowledgement is where acknowledgements of alarms lie: beside what the management
// daemons share, with the id of the alarm behind it.
const KeyAcknowledgement = KeyAccess + accessAcknowledgement

const accessAcknowledgement = "alarm-acknowledged/"

// Acknowledgement says that somebody looks after an alarm.
type Acknowledgement struct {
	By      string    `json:"by"`
	Time    time.Time `json:"time"`
	Comment string    `json:"comment,omitempty"`
}

// Acknowledgement returns that of an alarm that was raised at a time; nil where there is
// none. One of an earlier alarm of the same id does not count: what comes back is new.
func (s *Snapshot) Acknowledgement(alarm string, raised time.Time) *Acknowledgement {
	d := s.Access[accessAcknowledgement+alarm]
	if d == nil {
		return nil
	}
	a := &Acknowledgement{}
	if json.Unmarshal(d.Value, a) != nil || raised.After(a.Time) {
		return nil
	}
	return a
}

// Acknowledged lists the ids of alarms that have an acknowledgement, whether they stand
// or not.
func (s *Snapshot) Acknowledged() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.Access)) {
		if id, ok := strings.CutPrefix(name, accessAcknowledgement); ok {
			out = append(out, id)
		}
	}
	return out
}
