package cib

import (
	"testing"
)

// TestApplyShares checks that a snapshot never changes once it was given out,
// that broken documents are reported and keep what was known, and that
// deletions reach nested maps.
func TestApplyShares(t *testing.T) {
	a := Empty().Apply([]KV{
		{KeyNode + "n1", []byte(`{"id":1,"addresses":["10.0.0.1"]}`), 2},
		{HistoryKey("n1", "web"), []byte(`{"instance":"web"}`), 2},
	}, 2)
	b := a.Apply([]KV{
		{KeyNode + "n1", []byte(`{"id":`), 3},
		{KeyNode + "n2", []byte(`{"id":2}`), 3},
		{HistoryKey("n1", "db"), []byte(`{"instance":"db"}`), 3},
	}, 3)
	c := b.Apply([]KV{
		{HistoryKey("n1", "web"), nil, 4},
		{HistoryKey("n1", "db"), nil, 4},
		{KeyNode + "n1", []byte(`{"id":7}`), 4},
	}, 4)
	if len(a.Config.Nodes) != 1 || len(a.Status.Histories["n1"]) != 1 {
		t.Errorf("the first snapshot changed: %v", a)
	}
	if b.Config.Nodes["n1"].ID != 1 || b.Faults[KeyNode+"n1"] == "" {
		t.Errorf("a broken document must keep the old one and be reported: %v %v", b.Config.Nodes["n1"], b.Faults)
	}
	if b.Status.Histories["n1"]["web"].Rev != 2 || b.Status.Histories["n1"]["db"].Rev != 3 {
		t.Errorf("revisions: %v", b.Status.Histories["n1"])
	}
	if len(c.Status.Histories) != 0 || len(c.Faults) != 0 || c.Config.Nodes["n1"].ID != 7 {
		t.Errorf("the third snapshot: %v %v", c.Status.Histories, c.Faults)
	}
}

// TestEvents orders events of several transactions by sequence.
func TestEvents(t *testing.T) {
	s := Empty().Apply([]KV{
		{EventKey("n2", 1, 0), []byte(`{"code":"BLY3002","index":1,"severity":"major"}`), 9},
		{EventKey("n1", 1, 7), []byte(`{"code":"BLY3001","index":0,"severity":"major"}`), 9},
		{EventKey("n1", 1, 5), []byte(`{"code":"BLY3003","severity":"major"}`), 5},
	}, 9)
	var got []string
	for _, e := range s.Status.Events {
		got = append(got, e.Code)
	}
	if len(got) != 3 || got[0] != "BLY3003" || got[1] != "BLY3001" || got[2] != "BLY3002" {
		t.Fatalf("order %v", got)
	}
	s = s.Apply([]KV{{EventKey("n1", 1, 5), nil, 10}}, 10)
	if len(s.Status.Events) != 2 || s.Status.Events[0].Seq != 9*EventsPerTxn {
		t.Fatalf("after the deletion: %+v", s.Status.Events[0])
	}
}

// TestFeatureLevel checks that the level rises when the last node is able to, and
// never falls.
func TestFeatureLevel(t *testing.T) {
	s := Empty()
	step := func(key, value string, level, next int) {
		t.Helper()
		kv := KV{Key: key, ModRev: s.Revision + 1}
		if value != "" {
			kv.Value = []byte(value)
		}
		s = s.Apply([]KV{kv}, s.Revision+1)
		if got := s.FeatureLevel(); got != level {
			t.Errorf("%s %s: the level is %d, want %d", key, value, got, level)
		}
		if got := s.NextFeatureLevel(); got != next {
			t.Errorf("%s %s: the next level is %d, want %d", key, value, got, next)
		}
	}
	step(KeyNode+"n1", `{"id":1}`, FeatureLevel, 0)
	step(KeyNode+"n2", `{"id":2}`, FeatureLevel, 0)
	step(KeyMember+"n1", `{"node":"n1","featureLevel":3}`, FeatureLevel, 3)
	step(KeyMember+"n2", `{"node":"n2","featureLevel":2}`, FeatureLevel, 2)
	step(KeyView, `{"number":1,"featureLevel":2}`, 2, 2)
	step(KeyMember+"n2", `{"node":"n2","featureLevel":3}`, 2, 3) // n2 was upgraded, the last one
	step(KeyView, `{"number":2,"featureLevel":3}`, 3, 3)
	step(KeyMember+"n1", `{"node":"n1","featureLevel":2}`, 3, 3)     // n1 was downgraded
	step(KeyMember+"gone", `{"node":"gone","featureLevel":1}`, 3, 3) // no node of the configuration
}
