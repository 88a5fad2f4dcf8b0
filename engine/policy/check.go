package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Check is an independent linter of plans: it reports the first thing that must
// never be in one. It reads the snapshot with the same eyes as Plan (which nodes
// live, what runs where), but shares nothing of how Plan decides:
//
//   - what an action waits for stands before it;
//   - nothing is done on a node that is not a usable member, nor at all without
//     a membership view, nor to what is not managed;
//   - without quorum only members are fenced, and nothing new is started or
//     promoted that asks for quorum;
//   - nothing is done while another action is in flight on the same instance
//     and node, unless it waits for that one;
//   - a start waits for the fence of each lost node where the instance may run,
//     for its stop everywhere else, and for the probe where that is not known;
//   - a migration leads from where the instance runs to where it is to run, and
//     the stop of its source waits for its end;
//   - what is announced to a clone waits for the announcement, and what is told
//     afterwards waits for what it tells;
//   - mandatory orders and colocations hold whatever the pace of the nodes.
//
// The time of the decision tells which defaults hold. Failures count whether they
// have expired or not.
func Check(s *cib.Snapshot, now time.Time, p *graph.Placement, g *graph.Graph) error {
	c := newChecker(s, now, g)
	for i := range g.Actions {
		if err := c.shape(i); err != nil {
			return err
		}
	}
	for i := range g.Actions {
		if err := errors.Join(c.node(i), c.quorum(i), c.inFlight(i), c.managed(i)); err != nil {
			return err
		}
		switch g.Actions[i].Op {
		case cib.OpStart, cib.OpPromote:
			if err := c.oneActive(i); err != nil {
				return err
			}
		case cib.OpMigrateTo, cib.OpMigrateFrom:
			if err := c.migration(i); err != nil {
				return err
			}
		case cib.OpMonitor:
			if err := c.monitor(i); err != nil {
				return err
			}
		case cib.OpNotify:
			if err := c.notice(i); err != nil {
				return err
			}
		}
	}
	for _, o := range c.u.orders {
		if err := c.order(o); err != nil {
			return err
		}
	}
	for _, x := range c.u.colocs {
		if err := c.colocation(x); err != nil {
			return err
		}
	}
	return c.placed(p)
}

// checker looks actions up.
type checker struct {
	u      *state
	g      *graph.Graph
	seen   []int32 // by action: the one it was last found to come before, plus one
	stack  []int
	later  *state           // as of when all failures have expired; nil where no node is a resource
	marked int              // the action whose predecessors are marked in seen; -1 none
	steps  map[string][]int // by instance key: its actions
	fences map[string]int   // by node
	// By node; nobody asks for these, so that they have nothing that is pending.
	unfences map[string]int
}

func newChecker(s *cib.Snapshot, now time.Time, g *graph.Graph) *checker {
	c := &checker{
		u: unpackWith(s, time.Time{}, now), g: g, seen: make([]int32, len(g.Actions)), marked: -1,
		steps: make(map[string][]int, len(g.Actions)), fences: map[string]int{}, unfences: map[string]int{},
	}
	c.later = unpackWith(s, endOfTime, now)
	for i := range g.Actions {
		if a := &g.Actions[i]; a.Op == cib.OpFence {
			c.fences[a.Node] = i
		} else if a.Op == cib.OpUnfence {
			c.unfences[a.Node] = i
		} else {
			c.steps[a.Instance] = append(c.steps[a.Instance], i)
		}
	}
	for i := range c.u.nodes {
		n, then := &c.u.nodes[i], &c.later.nodes[i]
		// A failure that condemns the node may have expired when the plan was made.
		if _, fenced := c.fences[n.name]; i < c.u.members && n.lost && !then.lost && !fenced {
			n.lost, n.usable, n.why = false, then.usable, then.why
		}
	}
	return c
}

func (c *checker) fault(i int, format string, args ...any) error {
	return fmt.Errorf("action %d (%s) "+format, append([]any{i, c.g.Actions[i].String()}, args...)...)
}

// waits reports whether action i waits for action k.
func (c *checker) waits(i, k int) bool {
	if c.marked != i {
		c.mark(i)
	}
	return k < i && c.seen[k] == int32(i)+1
}

// mark finds all actions that come before one, over any number of steps.
func (c *checker) mark(i int) {
	c.marked = i
	c.stack = append(c.stack[:0], i)
	for len(c.stack) > 0 {
		at := c.stack[len(c.stack)-1]
		c.stack = c.stack[:len(c.stack)-1]
		for _, k := range c.g.Actions[at].After {
			if c.seen[k] != int32(i)+1 {
				c.seen[k] = int32(i) + 1
				c.stack = append(c.stack, k)
			}
		}
	}
}

// waitsFor reports whether action i waits for that operation on an instance.
func (c *checker) waitsFor(i int, instance, node, op string) bool {
	for _, k := range c.steps[instance] {
		if a := &c.g.Actions[k]; a.Node == node && a.Op == op && a.Interval == 0 && c.waits(i, k) {
			return true
		}
	}
	return false
}

// start returns the start of an instance on a node, or its migration to it, "" for any; -1 if there is
// none.
func (c *checker) start(instance, node string) int {
	for _, k := range c.steps[instance] {
		if a := &c.g.Actions[k]; (node == "" || a.Node == node) && (a.Op == cib.OpStart || a.Op == cib.OpMigrateFrom) {
			return k
		}
	}
	return -1
}

func (c *checker) shape(i int) error {
	for _, k := range c.g.Actions[i].After {
		if k < 0 || k >= i {
			return c.fault(i, "waits for action %d, which is not before it", k)
		}
	}
	return nil
}

// node: only a member that nobody is about to fence can carry out an action.
func (c *checker) node(i int) error {
	a := &c.g.Actions[i]
	if c.u.s.Status.View == nil {
		return c.fault(i, "is planned without a membership view")
	}
	n, ok := c.u.nodeIndex[a.Node]
	if !ok {
		return c.fault(i, "is on a node that is not configured")
	}
	x := &c.u.nodes[n]
	switch {
	case a.Op != cib.OpFence && c.outside(i, x):
		return c.fault(i, "does not wait until the node is unfenced")
	case a.Op == cib.OpFence:
		if x.dead != "" {
			return c.fault(i, "fences a node that is dead: %s", x.dead)
		}
	case x.remote != nil:
		return c.remote(i, x)
	case !x.member || x.lost || x.frozen:
		return c.fault(i, "is on a node that can't carry it out: it %s", x.why)
	case (a.Op == cib.OpStart || a.Op == cib.OpPromote || a.Op == cib.OpMigrateFrom) && !x.usable && a.InFlight == "":
		return c.fault(i, "is on a node that is not to be used: it %s", x.why)
	}
	return nil
}

// outside reports whether an action brings what requires unfencing to a node that is
// still to be unfenced, and does not wait for that.
func (c *checker) outside(i int, x *node) bool {
	a := &c.g.Actions[i]
	if !c.u.unfences || a.InFlight != "" || int(x.index) >= c.u.members || a.Op != cib.OpStart && a.Op != cib.OpPromote && a.Op != cib.OpMigrateFrom {
		return false
	}
	l := c.u.ledgers[a.Instance]
	if l == nil || l.rsc == nil || !l.rsc.requiresUnfencing() || c.u.s.Config.UnfencingDue(x.name, x.boot, c.u.s.Status.Attributes[x.name]) == "" {
		return false
	}
	k, planned := c.unfences[x.name]
	return !planned || !c.waits(i, k)
}

// inFlight: one action at a time on an instance on a node.
func (c *checker) inFlight(i int) error {
	a := &c.g.Actions[i]
	if a.Op == cib.OpFence || a.Op == cib.OpUnfence {
		return nil
	}
	p := c.u.s.Status.Pending[a.Node][a.Instance]
	switch {
	case p == nil && a.InFlight != "":
		return c.fault(i, "is said to be in flight as %s, and is not", a.InFlight)
	case p == nil:
		return nil
	case p.State == cib.ActionExpected:
		return c.arrival(i, p)
	case a.InFlight != "":
		if p.ID != a.InFlight || p.Key() != a.Key() {
			return c.fault(i, "is said to be in flight as %s; that is %s", a.InFlight, p.String())
		}
		return nil
	}
	for _, k := range c.steps[a.Instance] {
		if b := &c.g.Actions[k]; b.Node == a.Node && b.InFlight != "" && c.waits(i, k) {
			return nil
		}
	}
	if n, ok := c.u.nodeIndex[a.Node]; ok && c.connectsBefore(i, &c.u.nodes[n]) {
		return nil // who makes the connection anew ends what was in flight over the old one
	}
	return c.fault(i, "does not wait for %s, which is in flight as %s", p.String(), p.ID)
}

// notice: an announcement comes before what it announces, a report after it.
func (c *checker) notice(i int) error {
	a := &c.g.Actions[i]
	kind, op, _ := strings.Cut(a.Phase, "-")
	for k := range c.g.Actions {
		b := &c.g.Actions[k]
		switch {
		case b.Op != op || b.Round != a.Round:
		case kind == "pre" && b.InFlight == "" && !c.waits(k, i):
			return c.fault(k, "does not wait for its announcement %d (%s)", i, a.String())
		case kind == "post" && !c.waits(i, k):
			return c.fault(i, "does not wait for what it tells of, action %d (%s)", k, b.String())
		}
	}
	return nil
}

// managed: what is not managed is looked at, and nothing else.
func (c *checker) managed(i int) error {
	a := &c.g.Actions[i]
	switch a.Op {
	case cib.OpFence, cib.OpUnfence, cib.OpMonitor, cib.OpCancel, cib.OpCleanup, cib.OpNotify:
		return nil
	}
	l := c.u.ledgers[a.Instance]
	if l == nil || l.rsc == nil {
		return c.fault(i, "is about an instance that nobody knows")
	}
	r := l.rsc
	n := c.u.nodeIndex[a.Node]
	if c.u.opt.MaintenanceMode || r.settings.maintenance || !r.settings.managed || c.u.nodes[n].maintenance && l.on(n) != nil && l.on(n).role > cib.RoleStopped {
		return c.fault(i, "touches what is not managed")
	}
	return nil
}

// oneActive: an instance starts when it runs nowhere else, for certain.
func (c *checker) oneActive(i int) error {
	a := &c.g.Actions[i]
	l := c.u.ledgers[a.Instance]
	at := c.u.nodeIndex[a.Node]
	for _, k := range c.steps[a.Instance] {
		if b := &c.g.Actions[k]; k != i && b.Op == a.Op && a.Op == cib.OpStart && (l.clone == nil || b.Node == a.Node) {
			return c.fault(i, "and action %d start the same instance", k)
		}
	}
	if a.Op == cib.OpPromote {
		return c.promotable(i, l, at)
	}
	return c.elsewhere(i, l, at, nowhere)
}

// elsewhere: an instance that comes to a node runs on no other one, for certain,
// apart from one from which it is migrated.
func (c *checker) elsewhere(i int, l *ledger, at, except int32) error {
	a := &c.g.Actions[i]
	for n := range c.u.nodes {
		x := &c.u.nodes[n]
		f := l.on(int32(n))
		if l.clone != nil && int32(n) != at || x.dead != "" || int32(n) == except {
			continue
		}
		active := f != nil && !f.dead && f.role > cib.RoleStopped
		lost := c.isLost(x)
		switch {
		case active && lost && !c.proven(i, x) && !(c.mayBack(x) && c.waitsFor(i, a.Instance, x.name, cib.OpStop)):
			return c.fault(i, "does not wait for the fence of %s, where it may run", x.name)
		case active && x.frozen:
			return c.fault(i, "does not wait for %s, where it may run", x.name)
		case active && !lost && int32(n) == at && a.InFlight != "":
		case active && !lost && !c.waitsFor(i, a.Instance, x.name, cib.OpStop) && !c.onlyProbed(i, l, f) && !c.endedInside(i, l, f):
			return c.fault(i, "does not wait for the stop on %s, where it may run", x.name)
		case !l.known[n] && x.member && !lost && !x.cfg.Arbiter && l.rsc != nil && c.u.opt.Probes() && c.u.discovers(l.rsc, x) && !c.waitsFor(i, a.Instance, x.name, cib.OpMonitor):
			return c.fault(i, "does not wait for the probe on %s", x.name)
		case !l.known[n] && lost && l.rsc != nil && l.rsc.settings.requires != "nothing" && !c.proven(i, x) && !c.mayBack(x):
			return c.fault(i, "does not wait for the fence of %s, whose state is not known", x.name)
		}
	}
	return nil
}

// onlyProbed: an assumption that a probe checks before is none any more: if it
// was right, the next plan says so.
func (c *checker) onlyProbed(i int, l *ledger, f *fact) bool {
	return !f.sure && c.waitsFor(i, l.key, c.u.nodes[f.node].name, cib.OpMonitor)
}

// promotable: who is promoted runs, or is started before, and no more are
// promoted at once than may be.
func (c *checker) promotable(i int, l *ledger, at int32) error {
	a := &c.g.Actions[i]
	f := l.on(at)
	if (f == nil || f.role <= cib.RoleStopped || f.dead) && !c.waitsFor(i, a.Instance, a.Node, cib.OpStart) {
		return c.fault(i, "promotes what does not run")
	}
	if l.clone == nil || l.clone.kind != cib.KindPromotable {
		return nil
	}
	promoted := 0
	for _, f := range l.facts {
		n := &c.u.nodes[f.node]
		switch {
		case f.dead || f.role != cib.RolePromoted || f.node == at:
		case c.isLost(n) && (c.proven(i, n) || c.mayBack(n)):
		case n.remote != nil && n.remote.former && c.proven(i, n):
		case c.waitsFor(i, a.Instance, n.name, cib.OpDemote), c.waitsFor(i, a.Instance, n.name, cib.OpStop):
		default:
			promoted++
		}
	}
	for _, k := range c.steps[a.Instance] {
		if c.g.Actions[k].Op == cib.OpPromote {
			promoted++
		}
	}
	if limit := l.clone.promotedMax(); promoted > limit && a.InFlight == "" {
		return c.fault(i, "makes %d promoted instances, %d are allowed", promoted, limit)
	}
	return nil
}

// monitor: a recurring monitor watches what runs, or is started before.
func (c *checker) monitor(i int) error {
	a := &c.g.Actions[i]
	if a.Probe {
		return nil
	}
	l := c.u.ledgers[a.Instance]
	if l == nil {
		return c.fault(i, "is about an instance that nobody knows")
	}
	f := l.on(c.u.nodeIndex[a.Node])
	if a.Role == cib.RoleStopped {
		switch {
		case c.start(a.Instance, a.Node) >= 0:
			return c.fault(i, "looks that it does not run where it is started")
		case f != nil && f.sure && f.role > cib.RoleStopped && !c.waitsFor(i, a.Instance, a.Node, cib.OpStop):
			return c.fault(i, "looks that it does not run where it does")
		}
		return nil
	}
	if k := c.start(a.Instance, a.Node); k >= 0 && !c.waits(i, k) {
		return c.fault(i, "does not wait for the start")
	}
	if c.start(a.Instance, a.Node) < 0 && (f == nil || f.role <= cib.RoleStopped) {
		return c.fault(i, "watches what does not run")
	}
	return nil
}

// starts lists the starts of a resource that are still to be asked for.
func (c *checker) starts(r *rsc, op string) []int {
	var out []int
	seen := map[*ledger]bool{}
	r.placed(func(x *rsc) {
		if x.ledger == nil || seen[x.ledger] {
			return
		}
		seen[x.ledger] = true
		for _, k := range c.steps[x.ledger.key] {
			if c.g.Actions[k].Op == op {
				out = append(out, k)
			}
		}
	})
	return out
}

// order: a mandatory order of starts holds, and its inverse.
func (c *checker) order(o *order) error {
	if o.kind == cib.OrderOptional || o.kind == cib.OrderSerialize || o.firstOp != cib.OpStart || o.thenOp != cib.OpStart {
		return nil
	}
	paired := o.first.replicated() && o.then.replicated() && o.then.interleaves() && o.enough() == 0
	related := func(first, then int) bool {
		return !paired || c.g.Actions[first].Node == c.g.Actions[then].Node
	}
	firsts := append(c.starts(o.first, cib.OpStart), c.starts(o.first, cib.OpMigrateFrom)...)
	for _, then := range append(c.starts(o.then, cib.OpStart), c.starts(o.then, cib.OpMigrateTo)...) {
		if c.g.Actions[then].InFlight != "" {
			continue
		}
		before := false
		for _, first := range firsts {
			if related(first, then) && !c.waits(then, first) {
				return c.fault(then, "does not wait for action %d, %s, which order %s puts before it", first, c.g.Actions[first].String(), o.id)
			}
			before = before || related(first, then)
		}
		if have := c.upOrStarted(o.first); o.alternative == "" && have < o.enough() {
			return c.fault(then, "starts with %d of %s, order %s asks for %d", have, o.first.base, o.id, o.enough())
		}
		if !before && !c.runs(o.first) && !c.hasAlternative(o) {
			return c.fault(then, "starts without %s, which order %s puts before it", o.first.base, o.id)
		}
	}
	if !o.symmetrical {
		return nil
	}
	thens := c.starts(o.then, cib.OpStop)
	for _, first := range c.starts(o.first, cib.OpStop) {
		if c.cleansUp(first) {
			continue
		}
		for _, then := range thens {
			if related(first, then) && !c.waits(first, then) {
				return c.fault(first, "does not wait for action %d, %s, which order %s puts before it", then, c.g.Actions[then].String(), o.id)
			}
		}
	}
	return nil
}

// cleansUp reports whether a stop only cleans up where something was migrated away from.
func (c *checker) cleansUp(k int) bool {
	a := &c.g.Actions[k]
	n, ok := c.u.nodeIndex[a.Node]
	l := c.u.ledgers[a.Instance]
	if !ok || l == nil {
		return false
	}
	f := l.on(n)
	return f != nil && f.dangling && f.role <= cib.RoleStopped
}

// upOrStarted counts what of a resource is active or started by the plan.
func (c *checker) upOrStarted(r *rsc) int {
	n := len(c.starts(r, cib.OpStart))
	r.primitives(func(x *rsc) {
		if len(x.active) > 0 && c.start(x.ledger.key, c.u.nodes[x.active[0].node].name) < 0 {
			n++
		}
	})
	return n
}

// hasAlternative reports whether something else that an order allows in the place
// of what comes first is active or started.
func (c *checker) hasAlternative(o *order) bool {
	return o.alternative != "" && slices.ContainsFunc(c.u.ordersThen[o.then.index], func(x *order) bool {
		return x.alternative == o.alternative && c.upOrStarted(x.first) > 0
	})
}

// runs reports whether some of a resource is active, or may be.
func (c *checker) runs(r *rsc) bool {
	found := false
	r.primitives(func(x *rsc) { found = found || len(x.active) > 0 })
	return found
}

// colocation: resources that must be together are never in two places, and those
// that must be apart never in one, as far as that can be told before.
func (c *checker) colocation(x *colocation) error {
	if !x.mandatory() || x.attribute != "#uname" || x.role != 0 || x.withRole != 0 || x.dependent.replicated() || x.primary.replicated() {
		return nil
	}
	var err error
	x.dependent.primitives(func(d *rsc) {
		x.primary.primitives(func(p *rsc) {
			err = errors.Join(err, c.apart(x, d, p), c.apart(x, p, d))
		})
	})
	return err
}

// apart checks the start of one resource against where another one runs.
func (c *checker) apart(x *colocation, starting, other *rsc) error {
	if starting.ledger == nil || other.ledger == nil {
		return nil
	}
	i := c.start(starting.ledger.key, "")
	if i < 0 || c.g.Actions[i].InFlight != "" {
		return nil
	}
	wrong := func(node string) bool { return (node == c.g.Actions[i].Node) == (x.score < 0) }
	for _, f := range other.active {
		n := &c.u.nodes[f.node]
		if !wrong(n.name) || c.isLost(n) || c.u.unmanaged(other) != "" {
			continue
		}
		if leaves := c.u.s.Status.Pending[n.name][other.ledger.key]; x.score > 0 && (c.migrates(other.ledger.key) || leaves != nil && leaves.Op == cib.OpMigrateTo) {
			continue // what must be together may be migrated one after another
		}
		if !c.waitsFor(i, other.ledger.key, n.name, cib.OpStop) && f.sure {
			return c.fault(i, "does not wait for %s to leave %s, as colocation %s says", other.id, n.name, x.id)
		}
	}
	if k := c.start(other.ledger.key, ""); k >= 0 && wrong(c.g.Actions[k].Node) {
		return c.fault(i, "and action %d, %s, break colocation %s", k, c.g.Actions[k].String(), x.id)
	}
	return nil
}

// placed: what is started is started where the placement says.
func (c *checker) placed(p *graph.Placement) error {
	type spot struct{ resource, node string }
	wanted := make(map[spot]bool, len(p.Instances))
	for i := range p.Instances {
		wanted[spot{p.Instances[i].Resource, p.Instances[i].Node}] = true
	}
	for i := range c.g.Actions {
		a := &c.g.Actions[i]
		if (a.Op == cib.OpStart || a.Op == cib.OpPromote || a.Op == cib.OpMigrateFrom) && !wanted[spot{a.Resource, a.Node}] {
			return c.fault(i, "is not where the placement says")
		}
	}
	return nil
}
