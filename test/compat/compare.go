package compat

import (
	"cmp"
	"maps"
)

// Decision is a decision, expected or actual, as far as it is compared.
type Decision struct {
	Placement []Place  `json:"placement"`
	Derived   []Place  `json:"placement_derived"` // from the actions; expected ones only
	Actions   []Action `json:"actions"`
	Order     [][2]int `json:"order"`
	Fenced    []string `json:"fenced"`
}

// Place is where an instance is in the end.
type Place struct {
	Resource string `json:"rsc"`
	Node     string `json:"node"`
	Role     string `json:"role"`
}

// Action is one action.
type Action struct {
	ID       int    `json:"id"`
	Kind     string `json:"kind"`
	Resource string `json:"rsc"`
	Op       string `json:"op"`
	Node     string `json:"node"`
	Interval int64  `json:"interval_ms"`
	Guest    bool   `json:"guest_connection"`
}

// core are the operations that change what runs where.
var core = map[string]bool{
	"start": true, "stop": true, "promote": true, "demote": true, "migrate_to": true, "migrate_from": true, "reload-agent": true,
}

// key names what an action does, whatever its number.
type key struct{ op, resource, node string }

func (a *Action) fences() bool { return a.Kind == "fence" || a.Kind == "unfence" }

// Result is how a decision compares with the expected one.
type Result struct {
	Placement bool // the same instances on the same nodes in the same roles
	Core      bool // the same actions, each as often
	Order     bool // no two of them in reverse order
}

// Same reports whether all is alike.
func (r Result) Same() bool { return r.Placement && r.Core && r.Order }

// Compare compares a decision with the expected one.
func Compare(expected, actual *Decision) Result {
	places := placesOf(actual.Placement)
	return Result{
		Placement: maps.Equal(places, placesOf(expected.Placement)) || maps.Equal(places, placesOf(expected.Derived)),
		Core:      maps.Equal(actionsOf(expected), actionsOf(actual)),
		Order:     !conflict(closureOf(expected), closureOf(actual)),
	}
}

// SameMonitors reports whether the same recurring monitors are begun and ended.
func SameMonitors(expected, actual *Decision) bool {
	return maps.Equal(monitorsOf(expected), monitorsOf(actual))
}

// monitorsOf counts the recurring monitors that are begun and ended.
func monitorsOf(d *Decision) map[Action]int {
	out := map[Action]int{}
	for i := range d.Actions {
		if a := &d.Actions[i]; !a.Guest && (a.Op == "monitor" || a.Op == "cancel") {
			out[Action{Resource: a.Resource, Op: a.Op, Node: a.Node, Interval: a.Interval}]++
		}
	}
	return out
}

// Active reports whether a decision does anything that counts.
func (d *Decision) Active() bool { return len(actionsOf(d)) > 0 }

// placesOf is the set of what runs.
func placesOf(list []Place) map[Place]bool {
	out := make(map[Place]bool, len(list))
	for _, p := range list {
		if p.Role != "Stopped" {
			out[p] = true
		}
	}
	return out
}

// actionsOf counts the actions that change something. Those on the connection of
// a guest stand for its container.
func actionsOf(d *Decision) map[key]int {
	out := make(map[key]int, len(d.Actions))
	for i := range d.Actions {
		switch a := &d.Actions[i]; {
		case a.Guest:
		case a.fences():
			out[key{op: a.Kind, node: a.Node}]++
		case core[a.Op]:
			out[key{a.Op, a.Resource, a.Node}]++
		}
	}
	return out
}

// pair says that the first is done before the second.
type pair struct{ first, then key }

// closureOf is the order of the actions that count, over any between them.
func closureOf(d *Decision) map[pair]bool {
	byID := make(map[int]*Action, len(d.Actions))
	for i := range d.Actions {
		byID[d.Actions[i].ID] = &d.Actions[i]
	}
	next := make(map[int][]int, len(d.Order))
	for _, o := range d.Order {
		next[o[0]] = append(next[o[0]], o[1])
	}
	name := func(a *Action) key {
		if a.fences() {
			return key{a.Kind, a.Resource, a.Node}
		}
		return key{a.Op, a.Resource, a.Node}
	}
	counts := func(a *Action) bool { return a != nil && (a.fences() || core[a.Op]) }
	out := map[pair]bool{}
	for id, a := range byID {
		if !counts(a) {
			continue
		}
		seen := map[int]bool{}
		queue := []int{id}
		for len(queue) > 0 {
			x := queue[len(queue)-1]
			queue = queue[:len(queue)-1]
			for _, n := range next[x] {
				if seen[n] {
					continue
				}
				seen[n] = true
				queue = append(queue, n)
				if counts(byID[n]) {
					out[pair{name(a), name(byID[n])}] = true
				}
			}
		}
	}
	return out
}

// conflict reports whether a pair is in reverse order.
func conflict(expected, actual map[pair]bool) bool {
	for p := range actual {
		if back := (pair{p.then, p.first}); expected[back] && !expected[p] {
			return true
		}
	}
	return false
}

// score counts results.
type score struct{ same, all int }

func (s score) percent() float64 { return 100 * float64(s.same) / float64(cmp.Or(s.all, 1)) }
