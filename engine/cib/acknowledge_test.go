package cib

import (
	"encoding/json"
	"testing"
	"time"
)

// An acknowledgement is of the alarm that stood then, and not of one that comes back.
func TestAcknowledgement(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	doc, err := json.Marshal(Acknowledgement{By: "olga", Time: at, Comment: "seen"})
	if err != nil {
		t.Fatal(err)
	}
	s := Empty()
	s.Access = map[string]*AccessDocument{"alarm-acknowledged/BLY3002/n1": {Value: doc}, "alarm-acknowledged/bad": {Value: json.RawMessage("[")}, "session/x": {}}
	for _, c := range []struct {
		alarm  string
		raised time.Time
		want   bool
	}{
		{"BLY3002/n1", at.Add(-time.Minute), true},
		{"BLY3002/n1", time.Time{}, true},
		{"BLY3002/n1", at.Add(time.Second), false},
		{"BLY3002/n2", at, false},
		{"bad", at, false},
	} {
		if a := s.Acknowledgement(c.alarm, c.raised); (a != nil) != c.want || a != nil && a.By != "olga" {
			t.Errorf("%s raised %s: %+v", c.alarm, c.raised, a)
		}
	}
	if ids := s.Acknowledged(); len(ids) != 2 {
		t.Errorf("%v", ids)
	}
}
