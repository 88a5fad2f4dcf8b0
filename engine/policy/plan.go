package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Plan returns the ordered actions that lead from the snapshot to the placement,
// as far as they are still to be done.
func Plan(s *cib.Snapshot, p *graph.Placement, now time.Time) *graph.Graph {
	return newPlanner(unpack(s, now), p).plan()
}

// Decide is Place, Plan and NextChange of one snapshot, which it reads once.
func Decide(s *cib.Snapshot, now time.Time) (*graph.Placement, *graph.Graph, time.Time) {
	u := unpack(s, now)
	p := newPlacer(u).place()
	b := newPlanner(u, p)
	g := b.plan()
	b.sayWaits()
	return p, g, u.next
}

// Foresee is Decide for those who want to know what will happen, and ask for none of
// it: its plan also has what cannot be decided for good before what is in flight has
// ended, as if that ended well. [Plan] leaves it out, and a plan of Foresee must not be
// carried out: what is in flight and not wanted any more is not in it.
func Foresee(s *cib.Snapshot, now time.Time) (*graph.Placement, *graph.Graph) {
	u := unpack(s, now)
	p := newPlacer(u).place()
	b := newPlanner(u, p)
	b.foresees = true
	g := b.plan()
	b.sayWaits()
	return p, g
}

// plan names the steps in their order.
func (b *planner) plan() *graph.Graph {
	b.planFences()       // lost nodes first: recovery waits for the proof
	b.planUnfences()     // nodes that are to be let in again
	b.planProbes()       // then what is not known
	b.planInstances()    // start, stop, promote and demote what is not as it should be
	b.planGroups()       // members one after another
	b.planClones()       // instances
	b.planRoles()        // promote and demote
	b.planBundles()      // replicas
	b.planContainers()   // what is inside of something
	b.applyOrders()      // order constraints
	b.awaitCapacity()    // what leaves a node makes room first
	b.keepApart()        // mandatory colocations hold on the way, too
	b.planRemotes()      // what is done on remote nodes, by their connections
	b.settleMigrations() // and what follows from all that: restarts, and what cannot be done
	b.planReloads()      // parameters that an agent takes over while it runs
	b.planMonitors()     // of what stays or is started
	b.planOrphans()      // forget what is not in the configuration
	b.planNotices()      // what instances of clones are told of each other
	b.awaitUnfences()    // what requires it waits for a node to be unfenced
	b.awaitArrivals()    // where something is on its way to, nothing is done about it
	b.applyInFlight()    // what was asked for already is not asked for again
	return b.emit()
}

// planner is the working state of Plan.
type planner struct {
	*state
	target             []int32 // by resource: where it is to run; nowhere
	role               []cib.Role
	why                []cib.Why
	demoted            []cib.Why           // by resource: why it is not promoted
	said               []*graph.Assignment // by resource: what the placement says of it
	left               []bool              // by resource: nothing is done about it
	start              []int32             // by resource: its start step, of a collective the point from which its parts start; none
	started            []int32             // by resource: its start step, of a collective the point at which all parts are started
	stop               [][]int32           // by primitive: its stop steps, by node
	stopBegin, stopEnd []int32             // by resource: the points before any and after all of its parts stop
	promote            []int32             // by primitive of a promotable clone: its promote step
	promoted           []int32             // by promotable clone: the point at which one of it is promoted
	demote             [][]int32
	probe              [][]int32 // by ledger, by node; nil where there is none
	fence              []int32   // by node
	unfence            []int32   // by node; nil where none is to be unfenced
	steps              []step
	edges              []edge
	up, down, roleUp   []bool               // by resource: something of it is started, stopped or demoted, promoted
	choices            map[choice]int32     // the points that are reached when enough is up
	met                []int32              // the same in order
	chosen             map[int32][]*order   // the orders that each of them is for
	migrations         map[int32]*migration // by resource
	migrating          []*migration         // in the order of the resources
	work               []int32              // steps whose state changed and was not passed on yet
	rounds             map[string]*cib.Round
	ended              []string
	circle             []int32 // the steps that wait for themselves, and those that wait for these
	notices            []span  // the steps of the notifications, by clone
	foresees           bool    // what waits for something in flight is listed, too; see Foresee
}

// place is an instance on a node.
type place struct {
	ledger *ledger
	node   int32
}

// noStep is the index of no step.
const noStep int32 = -1

// step is something that may have to be done.
type step struct {
	op       string
	rank     int8 // of steps on one instance and node: the lower comes first
	rsc      *rsc
	node     int32
	fact     *fact
	peer     int32 // of a migration: the node at its other end
	interval cib.Duration
	config   *cib.Operation // a recurring monitor's
	role     cib.Role       // a recurring monitor's
	required bool           // it is to be done
	point    bool           // a point between actions, or a stop that a fencing makes true: nobody does it
	absent   bool           // a start that will not happen: the resource is to run nowhere
	lasting  bool           // of a point that is stuck: what runs may go on
	stuck    string         // why it can't be done; "" if it can
	blocker  int32          // the step because of which it is stuck; none if that is not because of another
	via      string         // id of the rule by which it is
	rule     string         // of a point: the id of the constraint that it is for
	needed   int            // of a point: it is reached when that many of the steps before are; 0 means all
	bars     bool           // it failed, and stays undone: what comes after it cannot be done either
	held     bool           // it waits for something in flight that is not in the plan
	notice   *notice        // of a notification, and of what is told; nil otherwise
	why      cib.Why
	inFlight string
	out, in  int32 // first edge from and to it
	queued   bool
}

// relation says what an edge means; a set of bits.
type relation uint8

const (
	before         relation = 1 << iota // then waits for first if both are done
	needs                               // then can't be done if first can't
	redoes                              // if first is done, then is
	requires                            // if then is done, first is
	drops                               // with needs: if first can't be, then does not go on either
	unlessMigrated                      // it does not hold where first is of a resource that is migrated
	loose                               // of a migration instead of then: it holds unless first is migrated, too
)

// edge relates two steps.
type edge struct {
	first, then     int32
	nextOut, nextIn int32
	relation        relation
	rule            string // id of the constraint behind it
}

func newPlanner(u *state, p *graph.Placement) *planner {
	n := len(u.rscs)
	ints := make([]int32, 7*n)
	for i := range ints {
		ints[i] = noStep
	}
	cut := func(i int) []int32 { return ints[i*n : (i+1)*n : (i+1)*n] }
	b := &planner{
		state: u.withOwnNodes(), target: cut(0), start: cut(1), started: cut(2), stopBegin: cut(3), stopEnd: cut(4), promote: cut(5), promoted: cut(6),
		role: make([]cib.Role, n), why: make([]cib.Why, n), demoted: make([]cib.Why, n), said: make([]*graph.Assignment, n), left: make([]bool, n), stop: make([][]int32, n), demote: make([][]int32, n),
		fence: make([]int32, len(u.nodes)), steps: make([]step, 0, 4*n), edges: make([]edge, 0, 8*n),
	}
	for i := range b.left {
		b.left[i] = true // until the placement says something about it
	}
	b.read(p)
	b.joinRemotes()
	return b
}

// read takes over the placement. Instances of anonymous clones are the same, so
// that an assignment goes to the one that is on its node already.
func (b *planner) read(p *graph.Placement) {
	byInstance := make(map[string]*rsc, len(b.rscs))
	for _, r := range b.rscs {
		if r.kind == cib.KindPrimitive && (!r.anonymous() || r.part == partChild) {
			byInstance[r.id] = r
		}
	}
	var anonymous map[*rsc][]*graph.Assignment
	for i := range p.Instances {
		a := &p.Instances[i]
		if r := byInstance[a.Instance]; r != nil && r.base == a.Resource {
			b.assign(r, a)
			continue
		}
		if l := b.ledgers[a.Resource]; l != nil && l.clone != nil {
			if anonymous == nil {
				anonymous = make(map[*rsc][]*graph.Assignment)
			}
			anonymous[l.clone] = append(anonymous[l.clone], a)
		}
	}
	for _, c := range b.rscs {
		if list := anonymous[c]; list != nil {
			b.readClone(c, list)
		}
	}
}

// assign records the decision about one primitive.
func (b *planner) assign(r *rsc, a *graph.Assignment) {
	b.left[r.index] = b.pinReason(r) != ""
	b.role[r.index], b.why[r.index], b.demoted[r.index], b.said[r.index] = a.Role, a.Why, a.NotPromoted, a
	if n, ok := b.nodeIndex[a.Node]; ok {
		b.target[r.index] = n
	}
}

// readClone distributes the assignments of an anonymous clone.
func (b *planner) readClone(c *rsc, list []*graph.Assignment) {
	type slot struct {
		node  int32
		parts []*graph.Assignment
	}
	slots := make(map[string]*slot)
	var order []*slot
	for _, a := range list {
		number := strings.TrimPrefix(a.Instance, a.Resource)
		s := slots[number]
		if s == nil {
			s = &slot{node: nowhere}
			slots[number] = s
			order = append(order, s)
		}
		if n, ok := b.nodeIndex[a.Node]; ok {
			s.node = n
		}
		s.parts = append(s.parts, a)
	}
	byNode := make(map[int32]*rsc, len(c.children))
	for _, i := range c.children {
		if n := instanceNode(i); n != nowhere {
			byNode[n] = i
		}
	}
	given := make(map[*rsc]*slot, len(order))
	taken := make(map[*slot]bool, len(order))
	give := func(i *rsc, s *slot) { given[i], taken[s] = s, true }
	for _, s := range order {
		if i := byNode[s.node]; s.node != nowhere && i != nil && given[i] == nil {
			give(i, s)
		}
	}
	// The others: what is to start goes first to instances that leave a node,
	// so that the new one starts after the old one stopped.
	for _, placed := range []bool{true, false} {
		for _, active := range []bool{placed, !placed} {
			next := 0
			for _, s := range order {
				if taken[s] || (s.node != nowhere) != placed {
					continue
				}
				for next < len(c.children) && (given[c.children[next]] != nil || (instanceNode(c.children[next]) != nowhere) != active) {
					next++
				}
				if next < len(c.children) {
					give(c.children[next], s)
				}
			}
		}
	}
	for _, i := range c.children {
		s := given[i]
		i.primitives(func(r *rsc) {
			b.left[r.index] = b.pinReason(r) != ""
			b.role[r.index] = cib.RoleStopped
			if s == nil {
				return
			}
			for _, a := range s.parts {
				if a.Resource == r.base {
					b.assign(r, a)
				}
			}
		})
	}
}

// instanceNode is where an instance of an anonymous clone is active.
func instanceNode(i *rsc) int32 {
	n := nowhere
	i.primitives(func(r *rsc) {
		if len(r.active) > 0 {
			n = r.active[0].node
		}
	})
	return n
}

// add makes a step.
func (b *planner) add(s step) int32 {
	s.out, s.in, s.blocker = noStep, noStep, noStep
	b.steps = append(b.steps, s)
	return int32(len(b.steps) - 1)
}

// point makes a point between actions.
func (b *planner) point(r *rsc, op string) int32 {
	return b.add(step{op: op, rsc: r, node: nowhere, point: true})
}

// relate adds an edge; where one of the steps does not exist there is nothing
// to relate.
func (b *planner) relate(first, then int32, r relation, rule string) {
	if first == noStep || then == noStep || first == then {
		return
	}
	b.edges = append(b.edges, edge{first: first, then: then, relation: r, rule: rule, nextOut: b.steps[first].out, nextIn: b.steps[then].in})
	e := int32(len(b.edges) - 1)
	b.steps[first].out, b.steps[then].in = e, e
}

// planFences makes a step for every node that must be fenced.
func (b *planner) planFences() {
	last := noStep
	for i := range b.nodes {
		n := &b.nodes[i]
		b.fence[i] = noStep
		if n.fence == "" {
			continue
		}
		s := step{op: cib.OpFence, node: n.index, required: true, point: n.kind == kindGuest, why: cib.Why{Cause: n.fence}, stuck: b.mayFence(n)}
		if r := b.s.Status.Requests[n.name]; openRequest(r) && (r.BootID == "" || n.boot == "" || r.BootID == n.boot) {
			s.inFlight = r.ID
		}
		b.fence[i] = b.add(s)
		if !b.opt.FencesConcurrently() {
			b.relate(last, b.fence[i], before, "concurrent-fencing")
			last = b.fence[i]
		}
	}
}

// planProbes asks for the state of every instance on every member where it is
// not known.
func (b *planner) planProbes() {
	causes := make([]string, len(b.nodes))
	for _, l := range b.byKey {
		if l.rsc == nil || l.rsc.agent == "" {
			continue // there is nothing to ask
		}
		for i, known := range l.known {
			n := &b.nodes[i]
			if known || !n.member || n.lost || n.cfg.Arbiter || b.empty(n) {
				continue
			}
			f := l.on(n.index)
			var cause string
			switch {
			case f != nil && f.history != nil && !f.dead && !f.current:
				cause = "the engine of " + n.name + " was started anew"
			case f != nil && f.history != nil && !f.dead:
				cause = "an operation on " + n.name + " was interrupted"
			case l.rsc.orphan && f == nil, !b.opt.Probes() && f == nil, !b.discovers(l.rsc, n):
				continue
			default:
				if causes[i] == "" {
					causes[i] = "its state on " + n.name + " is not known"
				}
				cause = causes[i]
			}
			if b.probe == nil {
				b.probe = make([][]int32, len(b.byKey))
			}
			if b.probe[l.index] == nil {
				b.probe[l.index] = slices.Repeat([]int32{noStep}, len(b.nodes))
			}
			b.probe[l.index][n.index] = b.add(step{op: cib.OpMonitor, rank: rankProbe, rsc: l.rsc, node: n.index, fact: f, required: true, why: cib.Why{Cause: cause}})
		}
	}
}

// Ranks of the steps on one instance and node.
const (
	rankProbe int8 = iota
	rankCancel
	rankPreDemote
	rankDemote
	rankPostDemote
	rankMigrateTo
	rankPreStop
	rankStop
	rankPostStop
	rankMigrateFrom
	rankPreStart
	rankStart
	rankPostStart
	rankReload
	rankPrePromote
	rankPromote
	rankPostPromote
	rankMonitor
	rankCleanup
)

// numberOf formats a whole number for meta attributes.
func numberOf[T ~int | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }
