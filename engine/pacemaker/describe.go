package pacemaker

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// Decision is a decision in the form in which those of Pacemaker are compared.
type Decision struct {
	Name         string              `json:"name,omitempty"`
	Placement    []Place             `json:"placement"`
	Actions      []Action            `json:"actions"`
	Order        [][2]int            `json:"order"`
	Fenced       []string            `json:"fenced"`
	FencedGuests []string            `json:"fenced_guests"`
	Unfenced     []string            `json:"unfenced"`
	Nodes        map[string]NodeKind `json:"nodes"`
	Timing       *Timing             `json:"timing,omitempty"`
	// Scores are those of every node for every instance, where they were asked for.
	Scores []graph.InstanceExplanation `json:"scores,omitempty"`
	Notes  []Note                      `json:"not_carried_over,omitempty"`
}

// Place is where one instance is when the plan is done.
type Place struct {
	Resource string  `json:"rsc"`
	Instance *int    `json:"inst"` // of what has numbers
	Node     *string `json:"node"` // null where it is stopped
	Role     string  `json:"role"`
	// Cause and Rule say why it is to be there; "" where it does not get there yet.
	Cause string `json:"cause,omitempty"`
	Rule  string `json:"rule,omitempty"`
}

// Action is one action of the plan.
type Action struct {
	ID         int     `json:"id"`
	Kind       string  `json:"kind"` // resource, fence, unfence or cluster
	Resource   *string `json:"rsc"`
	Instance   *int    `json:"inst"`
	Op         string  `json:"op"`
	Node       *string `json:"node"`
	IntervalMS int64   `json:"interval_ms"`
	Notify     string  `json:"notify,omitempty"`           // of a notification: "pre-start"
	Guest      bool    `json:"guest_connection,omitempty"` // of the connection of a guest, which nobody configured
	Cause      string  `json:"cause,omitempty"`
	Rule       string  `json:"rule,omitempty"` // id of the constraint or option that decided
}

// NodeKind is what a node is.
type NodeKind struct {
	Type  string `json:"type"`
	State string `json:"state"`
}

// Timing is how long it took.
type Timing struct {
	Read float64 `json:"read_seconds"` // reading and importing
	Plan float64 `json:"plan_seconds"` // deciding
}

// reduceMax bounds the actions whose order is reduced; of more, direct edges are
// listed as they are. It is a bit for each pair.
const reduceMax = 60_000

// describer knows which primitives have numbered instances and which have roles.
type describer struct {
	*inside
	unique, roles map[string]bool
}

func newDescriber(c *cib.Config) *describer {
	d := &describer{newInside(c), map[string]bool{}, map[string]bool{}}
	for _, r := range c.Resources {
		if r != nil && r.Bundle != nil {
			d.unique[r.Bundle.Resource] = r.Bundle.PerHost() > 1
			d.roles[r.Bundle.Resource] = r.Bundle.PromotedMax > 0
		}
		if r == nil || r.Clone == nil {
			continue
		}
		ids := []string{r.Clone.Resource}
		if inner := c.Resources[r.Clone.Resource]; inner != nil {
			ids = append(ids, inner.Group...)
		}
		for _, id := range ids {
			d.unique[id] = d.unique[id] || r.Clone.GloballyUnique
			d.roles[id] = d.roles[id] || r.Clone.Promotable
		}
	}
	return d
}

// Describe writes a decision; active is what was active when it was taken.
func Describe(s *cib.Snapshot, active []graph.Activity, p *graph.Placement, g *graph.Graph) *Decision {
	x := newDescriber(s.Config)
	d := &Decision{
		Actions: []Action{}, Order: reduce(g), Fenced: []string{}, FencedGuests: []string{},
		Unfenced: []string{}, Nodes: map[string]NodeKind{},
	}
	d.Placement = x.places(active, p, g)
	for i := range g.Actions {
		a := x.action(&g.Actions[i].Action)
		a.ID = i + 1
		d.Actions = append(d.Actions, a)
		switch a.Kind {
		case "fence":
			d.Fenced = append(d.Fenced, *a.Node)
		case "unfence":
			d.Unfenced = append(d.Unfenced, *a.Node)
		}
	}
	slices.Sort(d.Fenced)
	slices.Sort(d.Unfenced)
	d.FencedGuests = append(d.FencedGuests, g.Guests...)
	for name, n := range s.Config.Nodes {
		d.Nodes[name] = NodeKind{Type: "member", State: nodeState(s, name, n)}
	}
	for name, r := range x.remotes {
		d.Nodes[name] = NodeKind{Type: "remote", State: "online"}
		if r.Guest {
			d.Nodes[name] = NodeKind{Type: "guest", State: "online"}
		}
	}
	return d
}

func nodeState(snapshot *cib.Snapshot, name string, n *cib.Node) string {
	s := snapshot.Status.Nodes[name]
	switch {
	case s == nil || n == nil:
		return "offline"
	case s.State == cib.NodeOnline && n.Maintenance:
		return "maintenance"
	case s.State == cib.NodeOnline && n.Standby:
		return "standby"
	case s.State == cib.NodeJoining:
		return "pending"
	case s.State == cib.NodeLeaving:
		return "online"
	}
	return s.State.String()
}

// running is what runs, by instance key and node.
type running map[[2]string]cib.Role

// places lists where everything is when the plan is done: what is active now,
// changed by the actions. Where it should be can differ, if that cannot be reached.
func (d *describer) places(active []graph.Activity, p *graph.Placement, g *graph.Graph) []Place {
	now := running{}
	resources := map[string]string{} // by instance key
	for i := range active {
		x := &active[i]
		resources[x.Instance] = x.Resource
		now[[2]string{x.Instance, x.Node}] = x.Role
	}
	d.empty(now)
	for i := range g.Actions {
		a := &g.Actions[i]
		at := [2]string{a.Instance, a.Node}
		switch a.Op {
		case cib.OpFence:
			now.end(a.Node)
			d.empty(now)
			continue
		case cib.OpStart, cib.OpMigrateFrom:
			now[at] = cib.RoleStarted
		case cib.OpPromote:
			now[at] = cib.RolePromoted
		case cib.OpDemote:
			now[at] = cib.RoleUnpromoted
		case cib.OpStop, cib.OpMigrateTo:
			delete(now, at)
			if d.guests[a.Instance] != "" {
				d.empty(now)
			}
		}
		resources[a.Instance] = a.Resource
	}
	why := map[[2]string]cib.Why{} // by resource and node
	for i := range p.Instances {
		if a := &p.Instances[i]; a.Node != "" {
			why[[2]string{a.Resource, a.Node}] = a.Why
		}
	}
	out := []Place{}
	keys := slices.SortedFunc(maps.Keys(now), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(resources[a[0]], resources[b[0]]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	for _, k := range keys {
		rsc := resources[k[0]]
		if d.implied[rsc] {
			continue
		}
		role := now[k]
		if d.roles[rsc] && role == cib.RoleStarted {
			role = cib.RoleUnpromoted
		} else if !d.roles[rsc] && role == cib.RoleUnpromoted {
			role = cib.RoleStarted
		}
		w := why[[2]string{rsc, k[1]}]
		out = append(out, Place{Resource: rsc, Instance: d.number(rsc, k[0]), Node: &k[1], Role: role.String(), Cause: w.Cause, Rule: w.Rule})
	}
	out = append(append(out, d.stopped(p, now, resources)...), d.bundles(now)...)
	slices.SortStableFunc(out, func(a, b Place) int { return cmp.Compare(a.Resource, b.Resource) })
	return out
}

// stopped lists, of each resource, as many stopped instances as do not run in the end;
// first those that are to run nowhere, or do not get where they are to be.
func (d *describer) stopped(p *graph.Placement, now running, resources map[string]string) []Place {
	left := map[string]int{}
	for i := range p.Instances {
		left[p.Instances[i].Resource]++
	}
	there := map[[2]string]int{} // by resource and node
	for at := range now {
		rsc := resources[at[0]]
		left[rsc]--
		there[[2]string{rsc, at[1]}]++
	}
	var out []Place
	var others []*graph.Assignment
	list := func(a *graph.Assignment) {
		if left[a.Resource]--; left[a.Resource] < 0 || d.implied[a.Resource] {
			return
		}
		x := Place{Resource: a.Resource, Role: cib.RoleStopped.String(), Cause: a.Blocked}
		if a.Node == "" {
			x.Cause, x.Rule = a.Why.Cause, a.Why.Rule
		}
		out = append(out, x)
	}
	for i := range p.Instances {
		a := &p.Instances[i]
		if at := [2]string{a.Resource, a.Node}; a.Node != "" && there[at] > 0 {
			there[at]--
			others = append(others, a)
			continue
		}
		list(a)
	}
	for _, a := range others {
		list(a)
	}
	return out
}

// number returns the number of an instance that has one.
func (d *describer) number(rsc, instance string) *int {
	if !d.unique[rsc] {
		return nil
	}
	if text, ok := strings.CutPrefix(instance, rsc+":"); ok {
		if n, err := strconv.Atoi(text); err == nil {
			return &n
		}
	}
	return nil
}

func (d *describer) action(a *cib.Action) Action {
	out := Action{Kind: "resource", Op: a.Op, Node: &a.Node, IntervalMS: a.Interval.D().Milliseconds(), Notify: a.Phase, Cause: a.Why.Cause, Rule: a.Why.Rule}
	if a.Op == cib.OpFence {
		out.Kind, out.Op = "fence", a.FenceOp.String()
		return out
	}
	if a.Op == cib.OpUnfence {
		out.Kind, out.Op = "unfence", a.FenceOp.String()
		return out
	}
	out.Resource, out.Instance = &a.Resource, d.number(a.Resource, a.Instance)
	if r, ok := d.remotes[a.Resource]; ok && r.Guest {
		out.Guest = r.Replica < 0
	}
	switch {
	case a.Op == cib.OpMonitor && a.Interval == 0:
		out.Op = "probe"
	case a.Op == cib.OpCleanup:
		out.Op = "delete"
	}
	return out
}

// reduce returns the fewest edges that say the same about the order.
func reduce(g *graph.Graph) [][2]int {
	out := [][2]int{}
	n := len(g.Actions)
	words := (n + 63) / 64
	var reach [][]uint64 // of an action: all before it
	if n <= reduceMax {
		reach = make([][]uint64, n)
	}
	for i := range g.Actions {
		after := slices.Clone(g.Actions[i].After)
		slices.Sort(after)
		if reach == nil {
			for _, k := range after {
				out = append(out, [2]int{k + 1, i + 1})
			}
			continue
		}
		var mine []uint64
		if len(after) > 0 {
			mine = make([]uint64, words)
		}
		for _, k := range slices.Backward(after) { // the last ones reach the others
			if mine[k/64]&(1<<(k%64)) != 0 {
				continue
			}
			out = append(out, [2]int{k + 1, i + 1})
			mine[k/64] |= 1 << (k % 64)
			for w, bits := range reach[k] {
				mine[w] |= bits
			}
		}
		reach[i] = mine
	}
	return out
}
