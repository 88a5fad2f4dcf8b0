package policy

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// strategy is one way to choose among nodes that have the same score; the option
// placement-strategy names it. Scores always come first: they are what the
// administrator says.
type strategy struct {
	// counted means that utilization counts: a node must have left what a resource
	// needs.
	counted bool
	// prefer compares two nodes for a resource that runs on now: it is negative where
	// a is to be taken, 0 where the strategy has no opinion. nil: it never has.
	prefer func(p *placer, a, b, now int32) int
	// full says why a node must not take one more resource; "" if it may. nil: it
	// always may.
	full func(p *placer, r *rsc, n int32) string
	// leaves reports whether a resource is to look for another node among those with
	// the same score, although it could stay. nil: never.
	leaves func(p *placer, r *rsc, now int32) bool
	// why is what speaks for the node that was taken.
	why string
}

// strategies are those that can be named.
var strategies = map[string]*strategy{
	"default":     {prefer: fewest, why: "of the best nodes it runs the fewest resources"},
	"utilization": {counted: true, prefer: fewest, why: "of the best nodes it runs the fewest resources"},
	"minimal":     {counted: true, why: "of the best nodes it is the first"},
	"balanced":    {counted: true, prefer: mostFree, why: "of the best nodes it has the most capacity left"},
	"cost":        {counted: true, prefer: cheapest, full: costLimit, leaves: overloaded, why: "of the best nodes it costs the least"},
	"external":    {counted: true, prefer: fewest, why: "of the best nodes it runs the fewest resources"},
}

// strategyOf returns the strategy that the options name. One that is not known is
// the default; validation does not let it come that far.
func strategyOf(o *cib.Options) *strategy {
	if s := strategies[o.PlacementStrategy]; s != nil {
		return s
	}
	return strategies["default"]
}

// fewest takes the node with fewer resources, then the one where it runs.
func fewest(p *placer, a, b, now int32) int {
	if c := cmp.Compare(p.running.at(a), p.running.at(b)); c != 0 {
		return c
	}
	switch now {
	case a:
		return -1
	case b:
		return 1
	}
	return 0
}

// mostFree takes the node with more capacity left.
func mostFree(p *placer, a, b, now int32) int {
	return cmp.Or(-p.compareFree(a, b), fewest(p, a, b, now))
}

// Node attributes that the strategy cost reads.
const (
	costAttribute    = "cost"              // of a node that runs anything
	perItemAttribute = "cost-per-resource" // of each resource on it
	maxAttribute     = "resources-max"     // how many resources it may run at most
	loadAttribute    = "load"              // in percent, kept up to date by an agent or a program
)

// number reads a numeric attribute of a node.
func (n *node) number(name string) (float64, bool) {
	text, ok := n.attribute(name)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return v, err == nil
}

// cheapest takes the node on which one more resource costs less. Nodes that carry
// more than the load limit, less the hysteresis, come after all others, so that a
// resource does not go where it would soon be sent away again.
func cheapest(p *placer, a, b, now int32) int {
	if c := cmp.Compare(p.busyness(a, now), p.busyness(b, now)); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(p.price(a), p.price(b)), fewest(p, a, b, now))
}

// price is what one more resource on a node costs.
func (p *placer) price(n int32) float64 {
	each, _ := p.nodes[n].number(perItemAttribute)
	if p.running.at(n) == 0 {
		once, _ := p.nodes[n].number(costAttribute)
		each += once
	}
	return each
}

// busyness is 0 for a node that may take a resource as far as its load goes, else
// its load.
func (p *placer) busyness(n, now int32) float64 {
	load, known := p.nodes[n].number(loadAttribute)
	limit := float64(p.opt.LoadLimit)
	if n != now {
		limit -= float64(p.opt.Hysteresis())
	}
	if p.opt.LoadLimit <= 0 || !known || load <= limit {
		return 0
	}
	return load
}

// costLimit keeps nodes within the number of resources that they may run at most.
func costLimit(p *placer, r *rsc, n int32) string {
	limit, ok := p.nodes[n].number(maxAttribute)
	if !ok || float64(p.running.at(n)) < limit {
		return ""
	}
	return fmt.Sprintf("%s runs as many resources as it may, %g", p.nodes[n].name, limit)
}

// unloadEvery is how long a node is left alone after a resource has left it: its
// load is measured with a delay, and everything would leave at once.
const unloadEvery = time.Minute

// overloaded sends a resource away from a node that carries too much, one at a
// time.
func overloaded(p *placer, r *rsc, now int32) bool {
	if r.parent != nil && r.parent.leader() != r {
		return false // it goes where the first of its group goes
	}
	if len(r.active) == 0 { // it was stopped there, and is started anew in any case
		return p.busyness(now, nowhere) > 0
	}
	load := p.busyness(now, now)
	if load == 0 || p.unloaded[now] != "" {
		return false
	}
	if until := p.stoppedOn(now).Add(unloadEvery); p.now.Before(until) {
		p.changesAt(until)
		return false
	}
	for i := range p.nodes {
		if n := int32(i); n != now && p.nodes[n].usable && p.weights[r.index][n] >= p.weights[r.index][now] && p.busyness(n, now) == 0 {
			if p.unloaded == nil {
				p.unloaded = map[int32]string{}
			}
			p.unloaded[now] = r.id
			return true
		}
	}
	return false
}

// whyAdvised says that the external program wanted, or forbade, a node.
func (p *placer) whyAdvised(r *rsc, n int32, wanted bool) (cib.Why, bool) {
	a := p.advice()
	if a == nil {
		return cib.Why{}, false
	}
	for x := r; x != nil; x = x.parent {
		score := a.Scores[x.base][p.nodes[n].name]
		switch {
		case wanted && score > 0:
			return cib.Why{Cause: fmt.Sprintf("%s prefers %s (%s)", a.Program, p.nodes[n].name, score), Rule: adviceRule}, true
		case !wanted && score <= -cib.Infinity:
			return cib.Why{Cause: fmt.Sprintf("%s forbids %s", a.Program, p.nodes[n].name), Rule: adviceRule}, true
		}
	}
	return cib.Why{}, false
}

// stoppedOn is when anything was last stopped on a node.
func (p *placer) stoppedOn(n int32) time.Time {
	var last time.Time
	for _, h := range p.s.Status.Histories[p.nodes[n].name] {
		if h == nil {
			continue
		}
		for i := range h.Ops {
			if op := &h.Ops[i]; op.Op == cib.OpStop && op.Ended.After(last) {
				last = op.Ended
			}
		}
	}
	return last
}

// adviceRule is the rule that scores of an external program have.
const adviceRule = "placement-program"

// advice is what the external program says; nil if nothing that counts.
func (u *state) advice() *cib.Advice {
	a := u.s.Status.Advice
	if u.opt.PlacementStrategy != "external" || a == nil || !u.now.Before(a.Until) {
		return nil
	}
	return a
}

// applyAdvice adds the scores of the external program, if there are any that are
// not too old. Without them the scores alone decide, then the number of resources.
func (p *placer) applyAdvice() {
	a := p.advice()
	if a == nil {
		return
	}
	p.changesAt(a.Until)
	for _, r := range p.rscs {
		if r.parent != nil {
			continue // what is inside goes with it
		}
		for i := range p.nodes {
			n := &p.nodes[i]
			if score, ok := a.Scores[r.base][n.name]; ok {
				p.want(r, n.index, score, graph.Part{Rule: adviceRule, Text: fmt.Sprintf("%s says so (%s)", a.Program, score)})
			}
		}
	}
}
