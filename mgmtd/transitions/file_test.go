package transitions

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
)

// A recorder that begins anew knows what the last one saw; what went on then has ended.
// A file that can't be read is no reason to have none.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "transitions.json")
	r, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	start, stop := api.Step{Text: "start web on n2", State: "asked"}, api.Step{Number: 1, Text: "stop db on n1", State: "waiting"}
	r.Observe(now, &status.Summary{Revision: 1}, &api.PlanSummary{Steps: []api.Step{start}})
	r.Observe(now.Add(time.Second), &status.Summary{Revision: 2}, &api.PlanSummary{})
	r.Observe(now.Add(time.Minute), &status.Summary{Revision: 3}, &api.PlanSummary{Steps: []api.Step{start, stop}})
	r.Observe(now.Add(time.Minute+time.Second), &status.Summary{Revision: 4}, &api.PlanSummary{Steps: []api.Step{stop}})
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if r, err = Open(file); err != nil {
		t.Fatal(err)
	}
	list := r.List()
	if len(list) != 2 || list[0].ID != 3 || list[0].Ended != now.Add(time.Minute+time.Second) || list[1].ID != 1 || list[1].Ended != now.Add(time.Second) {
		t.Fatalf("%+v", list)
	}
	if s := r.Get(3).Steps; s[0].State != Done || s[1].State != Unseen || r.Get(1).Steps[0].Text != "start web on n2" {
		t.Errorf("%+v", s)
	}
	// It goes on where the other has ended, and writes only what is new.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("nothing was new, and it was written: %v", err)
	}
	r.Observe(now.Add(time.Hour), &status.Summary{Revision: 9}, &api.PlanSummary{Steps: []api.Step{start}})
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if r, err = Open(file); err != nil || len(r.List()) != 3 {
		t.Errorf("%+v, %v", r.List(), err)
	}
	for _, text := range []string{"{", "[null]", `{"a":1}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err = Open(file); err == nil || len(r.List()) != 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The file is bounded: of older transitions only the outline stays.
func TestFileIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "transitions.json")
	r, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(10) {
		r.all = append(r.all, &Transition{ID: i, Began: time.Unix(i, 0), Ended: time.Unix(i, 0), Count: stepsMax, Steps: make([]Step, stepsMax)})
	}
	r.dirty = true
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if r, err = Open(file); err != nil {
		t.Fatal(err)
	}
	if len(r.Get(9).Steps) != stepsMax || len(r.Get(6).Steps) != stepsMax || len(r.Get(5).Steps) != 0 || r.Get(0).Count != stepsMax {
		t.Errorf("%d steps of the newest, %d of an old one", len(r.Get(9).Steps), len(r.Get(5).Steps))
	}
}
