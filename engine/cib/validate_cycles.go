package cib

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// dependencies is a directed graph whose edges are made by constraints, or by
// what a group or clone means ("" as the constraint).
type dependencies struct {
	index map[string]int
	names []string // resource of each vertex
	next  [][]edge
}

type edge struct {
	to         int
	constraint string
}

func (g *dependencies) vertex(resource, part string) int {
	key := resource + " " + part
	i, ok := g.index[key]
	if !ok {
		i = len(g.names)
		g.index[key] = i
		g.names = append(g.names, resource)
		g.next = append(g.next, nil)
	}
	return i
}

func (g *dependencies) add(from, to int, constraint string) {
	g.next[from] = append(g.next[from], edge{to, constraint})
}

// orderCycles refuses mandatory orders that wait for each other. Every action of
// a resource begins and ends; a group's begins before its first member's and ends
// after its last one's.
func (v *validator) orderCycles() {
	g := &dependencies{index: map[string]int{}}
	begin := func(r, action string) int { return g.vertex(r, action+" begin") }
	end := func(r, action string) int { return g.vertex(r, action+" end") }
	var touched []string
	for _, id := range slices.Sorted(maps.Keys(v.c.Constraints)) {
		c := v.c.Constraints[id]
		if c == nil || c.Order == nil || c.Order.Kind == OrderOptional || c.Order.Kind == OrderSerialize {
			continue
		}
		o := c.Order
		if v.related(o.First, o.Then) {
			continue // reported as such
		}
		first, then := o.Actions()
		g.add(end(o.First, first), begin(o.Then, then), id)
		if o.IsSymmetrical() {
			g.add(end(o.Then, Inverse(then)), begin(o.First, Inverse(first)), id)
		}
		touched = append(touched, o.First, o.Then)
	}
	if len(touched) == 0 {
		return
	}
	for _, id := range sortedResources(v.c) {
		r := v.c.Resources[id]
		for _, action := range orderActions {
			b, e := begin(id, action), end(id, action)
			g.add(b, e, "")
			members := slices.Clone(r.Group)
			if r.Clone != nil {
				members = append(members, r.Clone.Resource)
			}
			if action == OpStop || action == OpDemote {
				slices.Reverse(members)
			}
			for i, m := range members {
				g.add(b, begin(m, action), "")
				g.add(end(m, action), e, "")
				if i > 0 {
					g.add(end(members[i-1], action), begin(m, action), "")
				}
			}
		}
		g.add(end(id, OpStart), begin(id, OpPromote), "")
		g.add(end(id, OpDemote), begin(id, OpStop), "")
	}
	v.cycles(g, "order", "each waits for the other: remove one of these orders, or make it Optional")
}

// Actions returns the two actions with their defaults.
func (o *Order) Actions() (first, then string) {
	first, then = o.FirstAction, o.ThenAction
	if first == "" {
		first = OpStart
	}
	if then == "" {
		then = first
	}
	return first, then
}

// IsSymmetrical says whether the inverse actions happen in the inverse order.
func (o *Order) IsSymmetrical() bool { return set(o.Symmetrical, o.Kind != OrderSerialize) }

// Inverse returns the action that undoes an action: stop for start, demote for
// promote.
func Inverse(action string) string {
	switch action {
	case OpStart:
		return OpStop
	case OpStop:
		return OpStart
	case OpPromote:
		return OpDemote
	case OpDemote:
		return OpPromote
	}
	return action
}

// colocationCycles refuses resources that must be where the other is, both ways:
// which of them is placed first could not be said.
func (v *validator) colocationCycles() {
	g := &dependencies{index: map[string]int{}}
	in := func(r string) int { return g.vertex(r, "in") }
	out := func(r string) int { return g.vertex(r, "out") }
	n := 0
	for _, id := range slices.Sorted(maps.Keys(v.c.Constraints)) {
		c := v.c.Constraints[id]
		if c == nil || c.Colocation == nil || c.Colocation.Score < Infinity || v.related(c.Colocation.Resource, c.Colocation.With) {
			continue
		}
		g.add(out(c.Colocation.Resource), in(c.Colocation.With), id)
		n++
	}
	if n == 0 {
		return
	}
	for _, id := range sortedResources(v.c) {
		r := v.c.Resources[id]
		members := slices.Clone(r.Group)
		if r.Clone != nil {
			members = append(members, r.Clone.Resource)
		}
		if len(members) == 0 {
			g.add(in(id), out(id), "")
			continue
		}
		g.add(in(id), in(members[len(members)-1]), "")
		for i, m := range members {
			g.add(out(m), out(id), "")
			if i > 0 {
				g.add(out(m), in(members[i-1]), "")
			}
		}
	}
	v.cycles(g, "colocation", "each must be where the other is: remove one of these colocations")
}

// cycles reports each set of constraints that wait for each other once, with one
// way around.
func (v *validator) cycles(g *dependencies, what, text string) {
	component := g.components()
	constraints := map[int]map[string]bool{}
	for from, edges := range g.next {
		for _, e := range edges {
			if e.constraint == "" || component[from] != component[e.to] {
				continue
			}
			if constraints[component[from]] == nil {
				constraints[component[from]] = map[string]bool{}
			}
			constraints[component[from]][e.constraint] = true
		}
	}
	reported := map[string]bool{}
	for _, n := range slices.Sorted(maps.Keys(constraints)) {
		ids := slices.Sorted(maps.Keys(constraints[n]))
		list := strings.Join(ids, ", ")
		if reported[list] {
			continue // stops in the inverse order of starts
		}
		reported[list] = true
		v.fault(join("constraints", ids[0], false), "%s cycle %s (constraints %s): %s", what, g.around(component, ids[0]), list, text)
	}
}

// around describes one shortest way from the constraint's end back to its start.
func (g *dependencies) around(component []int, constraint string) string {
	for from, edges := range g.next {
		for _, e := range edges {
			if e.constraint == constraint && component[from] == component[e.to] {
				return g.way(component, from, e.to)
			}
		}
	}
	return ""
}

func (g *dependencies) way(component []int, from, start int) string {
	before := map[int]int{start: -1}
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		for _, e := range g.next[queue[0]] {
			if _, seen := before[e.to]; !seen && component[e.to] == component[from] {
				before[e.to] = queue[0]
				queue = append(queue, e.to)
			}
		}
	}
	path := []string{g.names[start]}
	for at := from; at != -1; at = before[at] {
		if g.names[at] != path[len(path)-1] {
			path = append(path, g.names[at])
		}
	}
	slices.Reverse(path)
	if len(path) > 12 {
		path = append(path[:10:10], fmt.Sprintf("%d more", len(path)-11), path[len(path)-1])
	}
	return strings.Join(path, " -> ")
}

// components numbers the strongly connected components (Tarjan's algorithm,
// without recursion: a chain of orders may be as long as the configuration).
func (g *dependencies) components() []int {
	n := len(g.names)
	low, order, component := make([]int, n), make([]int, n), make([]int, n)
	type frame struct{ at, edge int }
	var stack []int
	count, number := 0, 0
	for root := range n {
		if order[root] != 0 {
			continue
		}
		for calls := []frame{{root, 0}}; len(calls) > 0; {
			f := &calls[len(calls)-1]
			if f.edge == 0 {
				count++
				order[f.at], low[f.at] = count, count
				component[f.at] = -1 // on the stack
				stack = append(stack, f.at)
			}
			if f.edge < len(g.next[f.at]) {
				to := g.next[f.at][f.edge].to
				f.edge++
				if order[to] == 0 {
					calls = append(calls, frame{to, 0})
				} else if component[to] == -1 {
					low[f.at] = min(low[f.at], order[to])
				}
				continue
			}
			at := f.at
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				parent := calls[len(calls)-1].at
				low[parent] = min(low[parent], low[at])
			}
			if low[at] != order[at] {
				continue
			}
			for {
				top := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				component[top] = number
				if top == at {
					break
				}
			}
			number++
		}
	}
	return component
}
