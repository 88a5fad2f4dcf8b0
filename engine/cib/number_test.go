package cib

import "testing"

// A number stays with its object whatever a document says, and is not given again.
func TestAssignNumbers(t *testing.T) {
	empty := func() *Config { return Empty().Config }
	old := empty()
	old.Resources["b"], old.Resources["a"] = &Resource{}, &Resource{Number: 40}
	old.FenceDevices["pdu"] = &FenceDevice{}
	old.QuorumDevices["q"] = &QuorumDevice{}
	last := AssignNumbers(old, empty(), 7)
	if last != 11 || old.Resources["a"].Number != 8 || old.Resources["b"].Number != 9 || old.FenceDevices["pdu"].Number != 10 || old.QuorumDevices["q"].Number != 11 {
		t.Fatalf("last %d, %+v", last, old)
	}
	next := empty()
	shared := &Resource{Number: 3}
	next.Resources["b"], next.Resources["c"] = shared, &Resource{Number: 9}
	if last = AssignNumbers(next, old, last); last != 12 || next.Resources["b"].Number != 9 || next.Resources["c"].Number != 12 {
		t.Errorf("last %d, %+v", last, next.Resources)
	}
	if shared.Number != 3 {
		t.Error("a document that others hold was changed")
	}
	// Deleted and made again: another number.
	if last = AssignNumbers(old, next, last); last != 15 || old.Resources["a"].Number != 13 {
		t.Errorf("last %d, %+v", last, old.Resources["a"])
	}
}
