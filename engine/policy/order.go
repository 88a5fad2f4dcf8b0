package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// order says that one action of a resource comes before one of another.
type order struct {
	id          string
	first, then *rsc
	firstOp     string
	thenOp      string
	kind        cib.OrderKind
	symmetrical bool
	requireAll  bool
	alternative string // of the orders of one thing with the same word here one is enough
}

func (u *state) unpackOrder(id string, cfg *cib.Order) {
	first, then := u.byID[cfg.First], u.byID[cfg.Then]
	kind := cfg.Kind
	if kind != cib.OrderOptional && kind != cib.OrderSerialize {
		kind = cib.OrderMandatory
	}
	switch {
	case then == nil:
		return
	case first == nil:
		if kind == cib.OrderMandatory {
			then.fault, then.faultRule = fmt.Sprintf("order names %s, which does not exist", cfg.First), id
		}
		return
	case first == then:
		return
	}
	o := &order{id: id, first: first, then: then, kind: kind, firstOp: cmp.Or(cfg.FirstAction, cib.OpStart), requireAll: pick(true, cfg.RequireAll), alternative: cfg.Alternative}
	o.thenOp = cmp.Or(cfg.ThenAction, o.firstOp)
	o.symmetrical = pick(kind != cib.OrderSerialize, cfg.Symmetrical) && kind != cib.OrderSerialize
	u.orders = append(u.orders, o)
	if u.ordersThen == nil {
		u.ordersThen = make([][]*order, len(u.rscs))
	}
	u.ordersThen[then.index] = append(u.ordersThen[then.index], o)
}

// inverse is what an operation's opposite is called.
func inverse(op string) string {
	switch op {
	case cib.OpStart:
		return cib.OpStop
	case cib.OpStop:
		return cib.OpStart
	case cib.OpPromote:
		return cib.OpDemote
	case cib.OpDemote:
		return cib.OpPromote
	}
	return ""
}

// findOrderCycles marks resources whose starts would wait for one another. They
// are blocked, and say so, instead of waiting for ever.
func (u *state) findOrderCycles() {
	ups := false
	for _, o := range u.orders {
		ups = ups || o.goesUp()
	}
	if !ups {
		return
	}
	g := newCycleFinder(u)
	for _, circle := range g.circles() {
		names := make([]string, 0, len(circle)+1)
		for _, r := range circle {
			if len(names) == 0 || names[len(names)-1] != r.base {
				names = append(names, r.base)
			}
		}
		text := "order constraints form a circle: " + strings.Join(append(names, names[0]), " → ")
		for _, r := range circle {
			r.circle = text
		}
	}
}

// goesUp reports whether the order makes a start or promote wait for another.
func (o *order) goesUp() bool {
	up := func(op string) bool { return op == cib.OpStart || op == cib.OpPromote }
	return up(o.firstOp) && up(o.thenOp) && o.kind != cib.OrderSerialize
}

// cycleFinder looks for strongly connected resources (Tarjan). A collective has
// two vertices, its start and the moment when all of it is started; what is in
// it lies between them. The vertex of a primitive is its start.
type cycleFinder struct {
	u     *state
	edges [][]int32
	index []int32
	low   []int32
	stack []int32
	on    []bool
	count int32
	found [][]*rsc
}

func newCycleFinder(u *state) *cycleFinder {
	n := 2 * len(u.rscs)
	g := &cycleFinder{u: u, edges: make([][]int32, n), index: make([]int32, n), low: make([]int32, n), on: make([]bool, n)}
	for _, r := range u.rscs {
		begin, end := 2*r.index, 2*r.index+1
		g.edges[begin] = append(g.edges[begin], end)
		prev := begin
		for _, c := range r.children {
			g.edges[prev] = append(g.edges[prev], 2*c.index)
			g.edges[2*c.index+1] = append(g.edges[2*c.index+1], end)
			if r.kind == cib.KindGroup {
				prev = 2*c.index + 1
			}
		}
	}
	for _, o := range u.orders {
		if o.goesUp() {
			g.edges[2*o.first.index+1] = append(g.edges[2*o.first.index+1], 2*o.then.index)
		}
	}
	return g
}

func (g *cycleFinder) circles() [][]*rsc {
	for v := range g.edges {
		if g.index[v] == 0 {
			g.visit(int32(v))
		}
	}
	return g.found
}

// visit is Tarjan's search with a stack of its own, since a chain of thousands
// of orders must not exhaust the goroutine's.
func (g *cycleFinder) visit(root int32) {
	type frame struct{ v, edge int32 }
	frames := []frame{{root, 0}}
	g.enter(root)
	for len(frames) > 0 {
		f := &frames[len(frames)-1]
		if int(f.edge) < len(g.edges[f.v]) {
			w := g.edges[f.v][f.edge]
			f.edge++
			switch {
			case g.index[w] == 0:
				g.enter(w)
				frames = append(frames, frame{w, 0})
			case g.on[w]:
				g.low[f.v] = min(g.low[f.v], g.index[w])
			}
			continue
		}
		v := f.v
		frames = frames[:len(frames)-1]
		if len(frames) > 0 {
			p := frames[len(frames)-1].v
			g.low[p] = min(g.low[p], g.low[v])
		}
		if g.low[v] == g.index[v] {
			g.leave(v)
		}
	}
}

func (g *cycleFinder) enter(v int32) {
	g.count++
	g.index[v], g.low[v], g.on[v] = g.count, g.count, true
	g.stack = append(g.stack, v)
}

// leave takes one component off the stack.
func (g *cycleFinder) leave(v int32) {
	var members []*rsc
	for {
		w := g.stack[len(g.stack)-1]
		g.stack = g.stack[:len(g.stack)-1]
		g.on[w] = false
		members = append(members, g.u.rscs[w/2])
		if w == v {
			break
		}
	}
	slices.Reverse(members)
	if len(members) < 2 || members[0] == members[1] && len(members) == 2 {
		return
	}
	g.found = append(g.found, members)
}
