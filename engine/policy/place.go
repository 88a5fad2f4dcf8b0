package policy

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Place decides what should run where, in which role, and why.
func Place(s *cib.Snapshot, now time.Time) *graph.Placement {
	return newPlacer(unpack(s, now)).place()
}

// place names the steps in their order.
func (p *placer) place() *graph.Placement {
	p.applyAdvice()     // what the external program says
	p.applyLocations()  // what the administrator wants of each node
	p.applyHealth()     // nodes that are not well
	p.applyLocks()      // what a node that was shut down keeps
	p.applyFailures()   // nodes that a resource may not use any more
	p.applyStickiness() // it rather stays where it is
	p.banUnfit()        // what can't be on a remote node or guest
	ranked := p.rankTop()
	p.connect(ranked) // remote nodes first: who can be used depends on it
	for _, r := range ranked {
		p.running.turn(r.base, p.rankOf(r))
		p.assign(r, nowhere) // and what it depends on before
	}
	p.turns = p.running.end()
	p.dropContradictions() // nothing runs against a mandatory colocation
	return p.placement()
}

// undecided is the assignment of what was not assigned yet.
const undecided int32 = -2

// placer is the working state of Place.
type placer struct {
	*state
	weights   [][]cib.Score    // by resource, by node
	assigned  []int32          // by resource: node, nowhere, or undecided
	roles     []cib.Role       // by resource, once assigned
	assigning []bool           // by resource: it waits for what it depends on
	updating  []bool           // by resource: its wishes are being collected
	running   *counts          // by node: resources assigned to it
	pins      []bool           // by resource: it was left where it is, whatever the scores say
	limits    []cib.Why        // by resource: why its clone gave it no node, or why it was taken away again
	demoted   []cib.Why        // by resource: why it is not promoted; nil where nothing can be
	strategy  *strategy        // how to choose among nodes with the same score
	capacity  *capacity        // nil where the strategy does not count
	unloaded  map[int32]string // by node: what leaves it because of its load
	ranks     []rank           // by resource: its place in the order of assignment
	turns     []turn           // the assignments, where they are traced
	explain   *recorder        // nil unless somebody asked why

	promotionPriority []cib.Score // by instance of a promotable clone: its best promotion score; nil where there is none
}

func newPlacer(u *state) *placer {
	n := len(u.rscs)
	p := &placer{
		state: u.withOwnNodes(), weights: make([][]cib.Score, n), assigned: make([]int32, n), roles: make([]cib.Role, n),
		assigning: make([]bool, n), updating: make([]bool, n), running: newCounts(len(u.nodes)),
		pins: make([]bool, n), limits: make([]cib.Why, n), strategy: strategyOf(u.opt), capacity: u.unpackCapacity(),
	}
	all := make([]cib.Score, n*len(u.nodes))
	if !u.opt.Symmetric() {
		for i := range all {
			all[i] = absent
		}
	}
	for i := range p.weights {
		p.assigned[i] = undecided
		p.weights[i] = all[i*len(u.nodes) : (i+1)*len(u.nodes) : (i+1)*len(u.nodes)]
	}
	return p
}

// eachPart calls f for what a location of r applies to: r itself and what is in
// it. Of a group only the first member takes the score, since the others follow
// it; for the others the node is just allowed.
func eachPart(r *rsc, score cib.Score, f func(*rsc, cib.Score)) {
	f(r, score)
	if r.kind == cib.KindBundle {
		r.hosted(func(x *rsc) { f(x, score) })
		return
	}
	for i, c := range r.children {
		s := score
		if r.kind == cib.KindGroup && i > 0 {
			s = 0
		}
		eachPart(c, s, f)
	}
}

// want adds a score of a node for a resource and all that is in it.
func (p *placer) want(r *rsc, n int32, score cib.Score, part graph.Part) {
	eachPart(r, score, func(x *rsc, s cib.Score) {
		w := &p.weights[x.index][n]
		if *w == absent {
			*w = 0
		}
		*w = w.Add(s)
		if p.explain != nil && (s != 0 || x == r) {
			p.explain.note(x, n, graph.Part{Rule: part.Rule, Score: s, Text: part.Text})
		}
	})
}

// applyLocations applies the location constraints.
func (p *placer) applyLocations() {
	if len(p.locations) == 0 {
		return
	}
	for _, r := range p.rscs {
		if r.bundle() != nil || r.part != partNone {
			continue // a location of what is in a bundle is one of the bundle
		}
		if r.clone != nil && (r.parent == r.clone || r.base == r.clone.cfg.Clone.Resource) && len(p.locations[r.base]) > 0 {
			continue // a location of what is in a clone is one of the clone, below
		}
		p.applyLocationsOf(r, r.base)
		switch {
		case r.cfg.Clone != nil && r.bundle() == nil:
			p.applyLocationsOf(r, r.cfg.Clone.Resource)
		case r.kind == cib.KindBundle:
			p.applyLocationsOf(r, r.cfg.Bundle.Resource)
		}
	}
}

func (p *placer) applyLocationsOf(r *rsc, id string) {
	list := p.locations[id]
	if len(list) == 0 {
		return
	}
	for _, l := range list {
		if !l.forPlacement() {
			continue
		}
		for i := range p.nodes {
			if n := &p.nodes[i]; l.applies(n) {
				p.want(r, n.index, l.score(n), graph.Part{Rule: l.id, Text: l.text(n, l.score(n))})
			}
		}
	}
	if p.exclusive(id) {
		for i := range p.nodes {
			if n := &p.nodes[i]; !slices.ContainsFunc(list, func(l *location) bool { return l.cfg.Discovery == "exclusive" && l.applies(n) }) {
				p.want(r, n.index, -cib.Infinity, graph.Part{Rule: list[0].id, Text: "resource-discovery is exclusive to other nodes"})
			}
		}
	}
}

// applyFailures bans nodes on which a resource failed too often, or in a way
// that trying again does not mend. Of an anonymous clone the whole clone is
// banned, since its instances are the same.
func (p *placer) applyFailures() {
	for _, l := range p.byKey {
		if l.rsc == nil || l.rsc.orphan {
			continue
		}
		target := l.rsc
		if l.clone != nil {
			target = l.clone
		}
		for _, f := range l.facts {
			if f.dead {
				continue
			}
			p.banFor(target, l, f)
		}
	}
	p.applyIrreparable()
}

func (p *placer) banFor(target *rsc, l *ledger, f *fact) {
	if f.banned != "" {
		for i := range p.nodes {
			if n := int32(i); n == f.node || f.fatal {
				p.want(target, n, -cib.Infinity, graph.Part{Rule: "failure", Text: l.key + ": " + f.banned})
			}
		}
	}
	if text := p.thresholdReached(l.rsc, f); text != "" {
		p.want(target, f.node, -cib.Infinity, graph.Part{Rule: "migration-threshold", Text: text})
	}
}

// applyStickiness adds what it is worth to stay. In an opt-in cluster it does
// not by itself allow a node.
func (p *placer) applyStickiness() {
	for _, r := range p.rscs {
		if r.kind != cib.KindPrimitive || len(r.active) > 1 || r.settings.stickiness <= 0 {
			continue
		}
		f := r.was
		if len(r.active) == 1 {
			f = r.active[0]
		}
		if f == nil {
			continue
		}
		if p.weights[r.index][f.node] == absent || p.nodes[f.node].lost || f.failed != nil && f.onFail == cib.OnFailStop {
			continue
		}
		p.weights[r.index][f.node] = p.weights[r.index][f.node].Add(r.settings.stickiness)
		if p.explain != nil {
			p.explain.note(r, f.node, graph.Part{Rule: "resource-stickiness", Score: r.settings.stickiness, Text: "it runs there"})
		}
	}
}

// rankTop orders the resources for assignment: by priority, then what scores
// best where it is, then what scores best anywhere. Where ties are decided as
// Pacemaker does and nothing is counted, only by priority and configured order.
func (p *placer) rankTop() []*rsc {
	ranked := slices.Clone(p.top)
	if p.opt.PacemakerTies() && p.capacity == nil {
		return p.rankAsConfigured(ranked)
	}
	merged := make([][]cib.Score, len(p.rscs))
	for _, r := range ranked {
		merged[r.index] = p.mergedScores(r)
	}
	p.ranks = make([]rank, len(p.rscs))
	for _, r := range ranked {
		p.ranks[r.index] = rank{priority: r.settings.priority, current: scoreAt(merged[r.index], p.current(r))}
	}
	order := p.rankNodes()
	slices.SortStableFunc(ranked, func(a, b *rsc) int {
		if c := p.rankOf(a).compare(p.rankOf(b)); c != 0 {
			return c
		}
		for _, n := range order {
			if c := cmp.Compare(merged[b.index][n], merged[a.index][n]); c != 0 {
				return c
			}
		}
		return 0
	})
	return ranked
}

// rankNodes orders the nodes: those that can be used first, those with more
// capacity before where the strategy is balanced.
func (p *placer) rankNodes() []int32 {
	order := make([]int32, len(p.nodes))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch x, y := p.nodes[a].usable, p.nodes[b].usable; {
		case x && !y:
			return -1
		case y && !x:
			return 1
		case p.opt.PlacementStrategy == "balanced":
			return p.compareFree(b, a)
		}
		return 0
	})
	return order
}

// rankAsConfigured orders the resources by priority, then as they are configured;
// those that are not come last.
func (p *placer) rankAsConfigured(ranked []*rsc) []*rsc {
	p.ranks = make([]rank, len(p.rscs))
	for _, r := range ranked {
		p.ranks[r.index] = rank{priority: r.settings.priority, position: position(r.cfg), id: r.id}
		if r.orphan || r.fault != "" { // their order among each other has no name
			p.ranks[r.index] = rank{priority: r.settings.priority, position: math.MaxInt}
		}
	}
	slices.SortStableFunc(ranked, func(a, b *rsc) int { return p.rankOf(a).compare(p.rankOf(b)) })
	return ranked
}

// rankOf is what comes first in the order of assignment.
func (p *placer) rankOf(r *rsc) rank { return p.ranks[r.index] }

// mergedScores are the scores of a resource with the wishes of what it wants to
// be with.
func (p *placer) mergedScores(r *rsc) []cib.Score {
	last := r
	for last.kind == cib.KindGroup && len(last.children) > 0 {
		last = last.children[len(last.children)-1]
	}
	if len(thisWithOf(last)) == 0 {
		return p.weights[last.index]
	}
	return p.collect(r, nil, nil, 1, wishFlags{thisWith: true})
}

func scoreAt(w []cib.Score, n int32) cib.Score {
	if n < 0 || w[n] == absent {
		return -cib.Infinity
	}
	return max(w[n], -cib.Infinity)
}

// current returns where a resource runs, or was stopped on its way; nowhere if
// it does neither. Of several
// places it is the first on a node that can be acted on.
func (p *placer) current(r *rsc) int32 {
	switch {
	case r.kind == cib.KindGroup:
		for _, c := range r.children {
			if n := p.current(c); n != nowhere {
				return n
			}
		}
		return nowhere
	case len(r.active) == 0 && r.was != nil:
		return r.was.node
	case len(r.active) == 0:
		return nowhere
	}
	if x := r.transfer; x != nil && p.nodes[x.to.node].usable {
		return x.to.node // it is half way there
	}
	for _, f := range r.active {
		if n := &p.nodes[f.node]; n.member && !n.lost && (f.origin == nil || p.reachable(f.origin.node)) {
			return f.node
		}
	}
	if f := r.active[0]; f.origin != nil && !p.reachable(f.origin.node) {
		return f.origin.node // it has not arrived, and starts anew wherever it goes
	}
	return r.active[0].node
}
