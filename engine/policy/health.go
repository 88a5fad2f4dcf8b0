package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// healthPrefix begins the names of the node attributes in which health agents say
// how well a node is: red, yellow, green, or a score.
const healthPrefix = "#health"

// healthScores are what the colours mean.
type healthScores struct{ red, yellow, green, base cib.Score }

// healthStrategy returns what the colours mean for the node-health-strategy; false
// where health moves nothing by itself.
func healthStrategy(o *cib.Options) (healthScores, bool) {
	switch o.HealthStrategy {
	case "migrate-on-red":
		return healthScores{red: -cib.Infinity}, true
	case "only-green":
		return healthScores{red: -cib.Infinity, yellow: -cib.Infinity}, true
	case "progressive":
		return healthScores{
			red: pick(-cib.Infinity, o.HealthRed), yellow: pick(0, o.HealthYellow), green: pick(0, o.HealthGreen), base: pick(0, o.HealthBase),
		}, true
	}
	return healthScores{}, false
}

// healthOf adds up what the attributes of a node say; 0 where that moves nothing.
func (n *node) healthOf(o *cib.Options) cib.Score {
	h, ok := healthStrategy(o)
	if !ok {
		return 0
	}
	sum := h.base
	said := maps.Clone(n.cfg.Attributes)
	if said == nil {
		said = map[string]string{}
	}
	maps.Copy(said, n.attributes)
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if !strings.HasPrefix(name, healthPrefix) {
			continue
		}
		switch v := strings.ToLower(said[name]); v {
		case "red":
			sum = sum.Add(h.red)
		case "yellow":
			sum = sum.Add(h.yellow)
		case "green":
			sum = sum.Add(h.green)
		default:
			if s, err := cib.ParseScore(v); err == nil {
				sum = sum.Add(s)
			}
		}
	}
	return sum
}

// applyHealth keeps resources off nodes that are not well, as far as the
// node-health-strategy says.
func (p *placer) applyHealth() {
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.health == 0 {
			continue
		}
		part := graph.Part{Rule: "node-health-strategy", Text: fmt.Sprintf("the health of %s is worth %s", n.name, n.health)}
		for _, r := range p.top {
			if !r.orphan && (n.health > 0 || !r.settings.allowUnhealthy) {
				p.want(r, n.index, n.health, part)
			}
		}
	}
}
