package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
	"github.com/belay-ha/belay/engine/whatif"
)

// simulate says what the cluster would do with a configuration in place of the
// present one. It is the policy itself that answers.
func simulate(s *cib.Snapshot, c *cib.Config) api.PlanSummary {
	next := *s
	next.Config = c
	now := time.Now().UTC()
	return whatif.Summarize(&next, policy.Plan(&next, policy.Place(&next, now), now))
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
