package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/pacemaker"
	"github.com/belay-ha/belay/engine/policy"
)

// happening is what a plan does with one instance, in the words of an
// administrator.
type happening struct {
	what, instance, where string
	why                   cib.Why
}

// happens are the words for what happens, in the order in which they are told.
var happens = []string{"fence", "recover", "move", "migrate", "restart", "start", "stop", "promote", "demote", "reload"}

// steps are the nodes on which each operation is done on one instance, with the
// reasons.
type steps struct {
	on  map[string][]string // by operation
	why map[string]cib.Why  // by operation, of the first
}

// happenings tells what a plan does.
func (r *simulated) happenings() []happening {
	var out []happening
	var order []string
	all := map[string]*steps{}
	var fenced []string
	for i := range r.graph.Actions {
		a := &r.graph.Actions[i]
		if a.Instance == "" {
			if a.Op == cib.OpFence {
				fenced = append(fenced, a.Node)
			}
			out = append(out, happening{a.Op, "", a.Node, a.Why})
			continue
		}
		s := all[a.Instance]
		if s == nil {
			s = &steps{map[string][]string{}, map[string]cib.Why{}}
			all[a.Instance] = s
			order = append(order, a.Instance)
		}
		if s.on[a.Op] == nil {
			s.why[a.Op] = a.Why
		}
		s.on[a.Op] = append(s.on[a.Op], a.Node)
	}
	for _, id := range order {
		out = append(out, r.happeningsOf(id, all[id], fenced)...)
	}
	slices.SortStableFunc(out, func(a, b happening) int { return rankOf(a.what) - rankOf(b.what) })
	return out
}

// rankOf is the place of a word in happens; others come last.
func rankOf(what string) int {
	if i := slices.Index(happens, what); i >= 0 {
		return i
	}
	return len(happens)
}

// happeningsOf puts together what is done with one instance: a stop and a start
// are a restart, a move, or a recovery.
func (r *simulated) happeningsOf(id string, s *steps, fenced []string) []happening {
	var out []happening
	say := func(what, where, op string) { out = append(out, happening{what, id, where, s.why[op]}) }
	froms, tos := slices.Clone(s.on[cib.OpStop]), slices.Clone(s.on[cib.OpStart])
	for _, n := range fenced {
		if h := r.snapshot.Status.Histories[n][id]; h != nil && h.Role().Active() && !slices.Contains(froms, n) {
			froms = append(froms, n) // the fencing stops it
		}
	}
	if to := s.on[cib.OpMigrateTo]; len(to) > 0 {
		say("migrate", to[0]+" -> "+strings.Join(s.on[cib.OpMigrateFrom], ", "), cib.OpMigrateTo)
		froms = slices.DeleteFunc(froms, func(n string) bool { return slices.Contains(to, n) })
		tos = slices.DeleteFunc(tos, func(n string) bool { return slices.Contains(s.on[cib.OpMigrateFrom], n) })
	}
	for _, n := range slices.Clone(tos) {
		if !slices.Contains(froms, n) {
			continue
		}
		what := "restart"
		if r.failed(n, id) {
			what = "recover"
		}
		say(what, "on "+n, cib.OpStop)
		froms, tos = without(froms, n), without(tos, n)
	}
	for len(froms) > 0 && len(tos) > 0 {
		what, op := "move", cib.OpStop
		switch {
		case slices.Contains(fenced, froms[0]):
			what, op = "recover", cib.OpStart
		case r.failed(froms[0], id):
			what = "recover"
		}
		say(what, froms[0]+" -> "+tos[0], op)
		froms, tos = froms[1:], tos[1:]
	}
	for _, n := range tos {
		say("start", "on "+n, cib.OpStart)
	}
	for _, n := range froms {
		if !slices.Contains(fenced, n) {
			say("stop", "on "+n, cib.OpStop)
		}
	}
	for _, x := range []struct{ what, op string }{{"promote", cib.OpPromote}, {"demote", cib.OpDemote}, {"reload", cib.OpReload}} {
		for _, n := range s.on[x.op] {
			say(x.what, "on "+n, x.op)
		}
	}
	return out
}

func without(list []string, x string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(y string) bool { return x == y })
}

// failed reports whether the last that is known of an instance on a node is a
// failure.
func (r *simulated) failed(node, id string) bool {
	h := r.snapshot.Status.Histories[node][id]
	if h == nil || len(h.Ops) == 0 {
		return false
	}
	last := &h.Ops[0]
	for i := range h.Ops {
		if h.Ops[i].Seq > last.Seq {
			last = &h.Ops[i]
		}
	}
	return last.Failed || last.Status == cib.OpTimeout || last.Status == cib.OpDone && last.RC != last.Expected
}

// also counts the actions that change nothing by themselves.
func also(g *graph.Graph) string {
	count := map[string]int{}
	for i := range g.Actions {
		switch a := &g.Actions[i]; {
		case a.Probe:
			count["probes"]++
		case a.Op == cib.OpMonitor:
			count["monitors"]++
		case a.Op == cib.OpCancel:
			count["monitors ended"]++
		case a.Op == cib.OpCleanup:
			count["histories forgotten"]++
		case a.Op == cib.OpNotify:
			count["notifications"]++
		}
	}
	var texts []string
	for _, what := range slices.Sorted(maps.Keys(count)) {
		texts = append(texts, fmt.Sprintf("%s (%d)", what, count[what]))
	}
	return strings.Join(texts, ", ")
}

// summary writes a decision for people.
func (r *simulated) summary(notes []pacemaker.Note, style render.Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes:\n")
	for _, name := range slices.Sorted(maps.Keys(r.decision.Nodes)) {
		fmt.Fprintf(&b, "  %-20s %s\n", name, r.decision.Nodes[name].State)
	}
	fmt.Fprintf(&b, "what happens:\n")
	list := r.happenings()
	for _, h := range list {
		where := h.where
		if h.instance != "" {
			where = fmt.Sprintf("%-28s %s", h.instance, h.where)
		}
		fmt.Fprintf(&b, "  %-10s %s", h.what, where)
		if h.why.Cause != "" {
			fmt.Fprintf(&b, ": %s", h.why.Cause)
		}
		if h.why.Rule != "" {
			fmt.Fprintf(&b, " (%s)", h.why.Rule)
		}
		b.WriteByte('\n')
	}
	if len(list) == 0 {
		fmt.Fprintf(&b, "  nothing\n")
	}
	if text := also(r.graph); text != "" {
		fmt.Fprintf(&b, "  besides    %s\n", text)
	}
	fmt.Fprintf(&b, "then:\n")
	for i := range r.placement.Instances {
		x := &r.placement.Instances[i]
		where := x.Role.String()
		if x.Node != "" {
			where += " on " + x.Node
		}
		why := x.Why.Cause
		if x.Blocked != "" {
			why = "nothing is done: " + x.Blocked
		}
		fmt.Fprintf(&b, "  %-28s %-24s %s\n", x.Instance, where, why)
	}
	if len(r.decision.Scores) > 0 {
		fmt.Fprintf(&b, "scores:\n%s", render.Explanation(&graph.Explanation{Instances: r.decision.Scores}, style))
	}
	if len(notes) > 0 {
		fmt.Fprintf(&b, "not carried over: %d, see belay import pacemaker\n", len(notes))
	}
	if err := policy.Check(r.snapshot, r.now, r.placement, policy.Plan(r.snapshot, r.placement, r.now)); err != nil {
		fmt.Fprintf(&b, "the plan breaks a rule: %v\n", err)
	}
	if t := r.decision.Timing; t != nil {
		fmt.Fprintf(&b, "read in %.3f s, planned in %.6f s\n", t.Read, t.Plan)
	}
	return b.String()
}
