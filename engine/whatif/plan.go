package whatif

import (
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// Outcome is what the cluster would do, and where everything would be then.
type Outcome struct {
	Revision   int64                       `json:"revision"` // of the state that was taken
	Generation uint64                      `json:"generation"`
	Quorum     string                      `json:"quorum,omitempty"` // what would be left of the votes; "" where none is missing
	QuorumLost bool                        `json:"quorumLost,omitempty"`
	Plan       api.PlanSummary             `json:"plan"`
	Placement  []graph.Assignment          `json:"placement"` // sorted by instance
	Scores     []graph.InstanceExplanation `json:"scores,omitempty"`
}

// Decide says what the cluster would do with a snapshot. It is the policy itself that
// answers.
func Decide(s *cib.Snapshot, scores bool, now time.Time) *Outcome {
	placement, g := policy.Foresee(s, now)
	out := &Outcome{Revision: s.Revision, Generation: s.ConfigGen.Number, Plan: Summarize(s, g), Placement: placement.Instances, Quorum: tally(s), QuorumLost: s.Status.Quorum == cib.QuorumLost}
	if scores {
		out.Scores = policy.ExplainAll(s, now)
	}
	return out
}

// tally says what is left of the votes, and what that means.
func tally(s *cib.Snapshot) string {
	here, all, _ := votes(s)
	if here == all {
		return ""
	}
	text := fmt.Sprintf("%d of %d votes would be here, %d are needed", here, all, all/2+1)
	switch {
	case 2*here > all:
		return text
	case 2*here == all && len(s.Config.QuorumDevices) > 0:
		return text + ": a quorum device would have to decide, and is taken to decide for this part"
	}
	return text + ": quorum would be lost"
}

// Summarize turns a plan into what people and programs read.
func Summarize(s *cib.Snapshot, g *graph.Graph) api.PlanSummary {
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
