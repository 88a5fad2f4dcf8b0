package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// simulate says what the cluster would do with a configuration in place of the
// present one. It is the policy itself that answers.
func simulate(s *cib.Snapshot, c *cib.Config) api.PlanSummary {
	next := *s
	next.Config = c
	now := time.Now().UTC()
	return summarize(&next, policy.Plan(&next, policy.Place(&next, now), now))
}

// summarize turns a plan into what people and programs read.
func summarize(s *cib.Snapshot, g *graph.Graph) api.PlanSummary {
	var out api.PlanSummary
	starts, stops := map[string][]string{}, map[string][]string{}
	var order []string
	for i := range g.Actions {
		a := &g.Actions[i]
		step := api.Step{Number: i, Text: a.String(), After: a.After, Why: a.Why, State: "waiting"}
		if p := s.Status.Pending[a.Node][a.Instance]; a.InFlight != "" {
			step.State = "running"
			if p != nil && p.ID == a.InFlight {
				step.State = p.State.String()
			}
		}
		out.Steps = append(out.Steps, step)
		if !slices.Contains(order, a.Instance) {
			order = append(order, a.Instance)
		}
		switch a.Op {
		case cib.OpStart:
			starts[a.Instance] = append(starts[a.Instance], a.Node)
		case cib.OpStop:
			stops[a.Instance] = append(stops[a.Instance], a.Node)
			out.Downtime += lastTook(s, a.Node, a.Instance, cib.OpStop)
		case cib.OpFence:
			out.Fence = append(out.Fence, a.Node)
		}
	}
	for _, id := range order {
		from, to := stops[id], starts[id]
		for len(from) > 0 && len(to) > 0 {
			out.Downtime += lastTook(s, from[0], id, cib.OpStart)
			if from[0] == to[0] {
				out.Restart = append(out.Restart, id+" on "+to[0])
			} else {
				out.Move = append(out.Move, fmt.Sprintf("%s from %s to %s", id, from[0], to[0]))
			}
			from, to = from[1:], to[1:]
		}
		for _, n := range from {
			out.Stop = append(out.Stop, id+" on "+n)
		}
		for _, n := range to {
			out.Start = append(out.Start, id+" on "+n)
		}
	}
	return out
}

// lastTook is how long an operation took the last time, as a guess for the next.
func lastTook(s *cib.Snapshot, node, instance, op string) time.Duration {
	if h := s.Status.Histories[node][instance]; h != nil {
		for _, v := range slices.Backward(h.Ops) {
			if v.Op == op {
				return v.Exec
			}
		}
	}
	return 0
}

// planToken names what a dry run showed. It has no secret in it and needs none: it
// only says that nothing has changed since.
func planToken(generation uint64, p api.PlanSummary) string {
	steps := make([]string, len(p.Steps))
	for i, st := range p.Steps {
		steps[i] = st.Text
	}
	b, _ := json.Marshal(steps) // strings always marshal
	sum := sha256.Sum256(append(b, fmt.Sprint(generation)...))
	return hex.EncodeToString(sum[:8])
}
