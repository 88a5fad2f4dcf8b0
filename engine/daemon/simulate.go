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
	"github.com/belay-ha/belay/engine/whatif"
)

// simulate says what the cluster would do with a configuration in place of the
// present one. It is the policy itself that answers.
func simulate(s *cib.Snapshot, c *cib.Config) api.PlanSummary {
	next := *s
	next.Config = c
	now := time.Now().UTC()
	_, g := policy.Foresee(&next, now)
	return whatif.Summarize(&next, g)
}

// moveWarning says why a move would not bring a resource where it is to go, or away
// from where it is: a constraint that outweighs it stays. "" where it would.
func moveWarning(s *cib.Snapshot, after *cib.Config, id string, value json.RawMessage, now time.Time) string {
	var in struct{ Node, From string }
	if json.Unmarshal(value, &in) != nil || in.Node == "" && in.From == "" {
		return ""
	}
	next := *s
	next.Config = after
	x, err := policy.Explain(&next, id, now)
	if err != nil || len(x.Instances) == 0 {
		return ""
	}
	at := func(node string) bool {
		return slices.ContainsFunc(x.Instances, func(i graph.InstanceExplanation) bool { return i.Node == node })
	}
	first := x.Instances[0]
	switch {
	case in.Node == "" && at(in.From):
		return fmt.Sprintf("%s would stay on %s: %s", id, in.From, first.Why.Cause)
	case in.Node == "" || at(in.Node):
		return ""
	}
	reason := first.Why.Cause
	if i := slices.IndexFunc(first.Nodes, func(n graph.NodeScore) bool { return n.Node == in.Node }); i >= 0 {
		for _, part := range first.Nodes[i].Parts {
			if part.Score < 0 {
				reason = fmt.Sprintf("%s (%s, %s)", part.Text, part.Rule, part.Score)
			}
		}
	}
	where := "on " + first.Node
	if first.Node == "" {
		where = "nowhere"
	}
	return fmt.Sprintf("%s would not go to %s but be %s: %s", id, in.Node, where, reason)
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
