package transitions

import (
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
