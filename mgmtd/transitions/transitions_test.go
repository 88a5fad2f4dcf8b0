package transitions

import (
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// A transition is what was to be done from the first plan to none: what became of each
// step, in which order, and why.
func TestRecorder(t *testing.T) {
	r := &Recorder{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	why := cib.Why{Cause: "node n1 is lost"}
	sum := func(rev int64, ops ...status.Operation) *status.Summary {
		return &status.Summary{Revision: rev, Cluster: status.Cluster{DC: "n2", Generation: 4}, Resources: []status.Resource{
			{ID: "web", Instances: []status.Instance{{Instance: "web", Node: "n2", Operations: ops}}},
		}}
	}
	r.Observe(now, sum(1), &api.PlanSummary{})
	if len(r.List()) != 0 {
		t.Fatal("nothing was to be done")
	}
	fence, start, monitor := api.Step{Text: "fence n1 (reboot)", Why: why, State: "asked"}, api.Step{Number: 1, Text: "start web on n2", After: []int{0}, State: "waiting"}, api.Step{Number: 2, Text: "promote db on n2", State: "waiting"}
	r.Observe(now, sum(2), &api.PlanSummary{Steps: []api.Step{fence, start, monitor}})
	r.Observe(now.Add(time.Second), sum(3), &api.PlanSummary{Steps: []api.Step{{Text: "start web on n2", State: "running"}, {Number: 1, Text: "promote db on n2", State: "waiting"}}})
	failed := status.Operation{Op: "start", Failed: true, Reason: "no disk", Ended: now.Add(2 * time.Second)}
	r.Observe(now.Add(2*time.Second), sum(4, failed), &api.PlanSummary{})
	list := r.List()
	if len(list) != 1 || list[0].ID != 2 || list[0].Count != 3 || list[0].Failed != 1 || list[0].Cause != why.Cause || list[0].Ended != now.Add(2*time.Second) || list[0].DC != "n2" || list[0].Steps != nil {
		t.Fatalf("%+v", list)
	}
	steps := r.Get(2).Steps
	for i, want := range []Step{{State: Done}, {State: Failed, Reason: "no disk"}, {State: Unseen}} {
		if s := steps[i]; s.Number != i || s.State != want.State || s.Reason != want.Reason || s.Ended.IsZero() {
			t.Errorf("step %d: %+v, want %+v", i, s, want)
		}
	}
	if len(steps[1].After) != 1 || steps[1].After[0] != 0 {
		t.Errorf("the order is lost: %+v", steps[1])
	}
	for i := range int64(kept + 5) {
		at := now.Add(time.Duration(i+2) * time.Minute)
		r.Observe(at, sum(10+2*i), &api.PlanSummary{Steps: []api.Step{start}})
		r.Observe(at, sum(11+2*i), &api.PlanSummary{})
		r.Observe(at.Add(rest/2), sum(11+2*i), &api.PlanSummary{Steps: []api.Step{monitor}}) // the same one goes on
		r.Observe(at.Add(rest/2), sum(11+2*i), &api.PlanSummary{})
	}
	if len(r.List()) != kept || r.Get(2) != nil || r.Get(10+2*(kept+4)) == nil {
		t.Errorf("%d are kept", len(r.List()))
	}
}

// What was quicker than this node looked is noted by its result, once: a whole transition, or a
// step of one that was seen. Results that were there at the first look are of before.
func TestQuickSteps(t *testing.T) {
	r := &Recorder{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return now.Add(time.Duration(s * float64(time.Second))) }
	op := func(name string, ended float64) status.Operation {
		return status.Operation{Op: name, Ended: at(ended), Exec: 100 * time.Millisecond}
	}
	rev := int64(0)
	look := func(s float64, n1, n2 []status.Operation, steps ...api.Step) {
		rev++
		r.Observe(at(s), &status.Summary{Revision: rev, Resources: []status.Resource{{ID: "web", Instances: []status.Instance{
			{Instance: "web", Node: "n1", Operations: n1}, {Instance: "web", Node: "n2", Operations: n2},
		}}}}, &api.PlanSummary{Steps: steps})
	}
	steps := func(id int64, want ...string) {
		t.Helper()
		var got []string
		if x := r.Get(id); x != nil {
			for _, s := range x.Steps {
				got = append(got, s.Text+" "+s.State)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("transition %d: %q, want %q", id, got, want)
		}
	}
	start1 := []status.Operation{op("start", -60), {Op: "monitor", Ended: at(-50)}}
	look(0, start1, nil)
	look(1, start1, nil)
	if len(r.List()) != 0 {
		t.Fatalf("of before: %+v", r.List())
	}
	// A move that nobody saw.
	moved := append(slices.Clone(start1), op("stop", 10))
	failed := op("start", 10.5)
	failed.Failed, failed.Reason = true, "no disk"
	probe := status.Operation{Op: "monitor", Ended: at(11)}
	look(12, moved, []status.Operation{failed, probe})
	steps(3, "stop web on n1 done", "start web on n2 failed")
	if x := r.Get(3); x.Failed != 1 || x.Count != 2 || !x.Began.Equal(at(9.9)) || !x.Ended.Equal(at(12)) || x.Steps[1].Reason != "no disk" {
		t.Errorf("%+v", x)
	}
	look(13, moved, []status.Operation{failed, probe})
	// One step was seen, its result is late, and another was not seen at all.
	again := op("start", 31)
	look(30, moved, []status.Operation{failed}, api.Step{Text: "start web on n2", State: "asked"})
	look(31.1, moved, []status.Operation{failed})
	look(31.2, append(slices.Clone(start1), op("stop", 31.15)), []status.Operation{again})
	steps(5, "start web on n2 done", "stop web on n1 done")
	if x := r.Get(5); !x.Steps[0].Ended.Equal(at(31)) || x.Ended.IsZero() {
		t.Errorf("%+v", x)
	}
	// While something else goes on.
	look(60, moved, []status.Operation{again}, api.Step{Text: "fence n3 (off)", State: "asked"})
	look(61, append(slices.Clone(moved), op("start", 60.5)), []status.Operation{again}, api.Step{Text: "fence n3 (off)", State: "asked"})
	look(62, append(slices.Clone(moved), op("start", 60.5)), []status.Operation{again})
	steps(8, "fence n3 (off) done", "start web on n1 done")
	if len(r.List()) != 3 {
		t.Errorf("%+v", r.List())
	}
}
