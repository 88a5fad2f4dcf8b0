package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/policy"
)

// settle runs a healed world until the cluster is where the policy says, and stays
// there for a while; it may take so long and no longer.
func (w *World) settle() {
	end := w.sc.Heal + w.sc.Settle
	good := 0
	var missing string
	for at := w.sc.Heal; at < end; {
		at += time.Second
		w.runUntil(at)
		w.bringUp()
		w.endMaintenance()
		if missing = w.missing(); missing != "" {
			good = 0
			continue
		}
		if good++; good == 3 {
			w.atRest()
			return
		}
	}
	w.fail(ruleSettle, "%s after everything healed: %s", w.sc.Settle, missing)
}

// endMaintenance is the administrator who was told that a node in maintenance does not
// leave while something runs there, and who could reach nobody before.
func (w *World) endMaintenance() {
	for _, name := range sortedKeys(w.store.snap.Status.Nodes) {
		ns := w.store.snap.Status.Nodes[name]
		if c := w.store.snap.Config.Nodes[name]; c != nil && c.Maintenance && ns.State == cib.NodeLeaving {
			w.admin.do(w, &Fault{Kind: AdminNodeManaged, Node: name})
		}
	}
}

// missing says what the cluster still lacks; "" when nothing.
func (w *World) missing() string {
	s := w.store.snap
	st := &s.Status
	for _, m := range w.machines[:w.sc.Nodes] {
		switch ns := st.Nodes[m.name]; {
		case !m.healthy():
			return "the engine of " + m.name + " does not run"
		case ns == nil || ns.State != cib.NodeOnline:
			state := "unknown"
			if ns != nil {
				state = ns.State.String() + ": " + ns.Reason
			}
			return fmt.Sprintf("node %s is not online (%s)", m.name, state)
		case !m.truth.in:
			return "node " + m.name + " is not in the view"
		}
	}
	if st.DC == nil {
		return "there is no DC"
	}
	if len(w.store.members) != len(w.sc.Voters) {
		return "a voter has not come back"
	}
	for _, target := range sortedKeys(st.Requests) {
		r := st.Requests[target]
		return fmt.Sprintf("the fencing of %s is still %s by %s (%s)", target, r.State, r.Executor, r.Error)
	}
	for _, name := range sortedKeys(st.Pending) {
		for _, id := range sortedKeys(st.Pending[name]) {
			p := st.Pending[name][id]
			return fmt.Sprintf("%s is still in flight (%s)", p.Action.String(), p.State)
		}
	}
	now := w.clock(s)
	place := policy.Place(s, now)
	plan := policy.Plan(s, place, now)
	if len(plan.Actions) > 0 {
		a := &plan.Actions[0]
		return fmt.Sprintf("the plan still has %d steps, first %s: %s", len(plan.Actions), a.String(), a.Why.Cause)
	}
	for _, inner := range sortedKeys(st.Rounds) {
		return "a round of notifications of " + inner + " is not over"
	}
	hosts := map[string]string{}
	for i := range place.Instances {
		if a := &place.Instances[i]; a.Blocked == "" {
			hosts[a.Instance] = a.Node
		}
	}
	if text := cmp.Or(w.remoteMissing(s, hosts), untold(s, hosts)); text != "" {
		return text
	}
	return w.misplaced(s)
}

// tied finds the resources that can't move because something that is left alone
// depends on them, or they on it: what runs on a node in maintenance is not stopped,
// so neither is what must be stopped after it.
func (w *World) tied(s *cib.Snapshot) map[string]bool {
	held := func(id string) bool {
		for _, part := range parts(s, id) {
			if !w.checks.managed(w, part) {
				return true
			}
			for _, m := range w.machines {
				n := s.Config.Nodes[m.name]
				if n != nil && n.Maintenance && slices.ContainsFunc(sortedKeys(m.inst), func(inst string) bool { return inst == part || strings.HasPrefix(inst, part+":") }) {
					return true
				}
			}
		}
		return false
	}
	out := map[string]bool{}
	for _, id := range sortedKeys(s.Config.Constraints) {
		var a, b string
		switch k := s.Config.Constraints[id]; {
		case k.Order != nil:
			a, b = k.Order.First, k.Order.Then
		case k.Colocation != nil:
			a, b = k.Colocation.Resource, k.Colocation.With
		default:
			continue
		}
		if held(a) || held(b) {
			for _, part := range append(parts(s, a), parts(s, b)...) {
				out[part] = true
			}
		}
	}
	return out
}

// parts are the primitives of a resource.
func parts(s *cib.Snapshot, id string) []string {
	r := s.Config.Resources[id]
	if r != nil && r.Clone != nil {
		id = r.Clone.Resource
		r = s.Config.Resources[id]
	}
	if r != nil && len(r.Group) > 0 {
		return r.Group
	}
	return []string{id}
}

// waiting finds the primitives that the placement names a node for, and that can't start
// there: an order puts something first that has no place, or waits itself.
func waiting(s *cib.Snapshot, place *graph.Placement) map[string]bool {
	placed, out := map[string]bool{}, map[string]bool{}
	for i := range place.Instances {
		resource, _, _ := strings.Cut(place.Instances[i].Instance, ":")
		placed[resource] = placed[resource] || place.Instances[i].Node != ""
	}
	lacks := func(part string) bool { return !placed[part] || out[part] }
	for again := true; again; {
		again = false
		for _, id := range sortedKeys(s.Config.Constraints) {
			o := s.Config.Constraints[id].Order
			if o == nil || o.Kind == cib.OrderOptional || o.Kind == cib.OrderSerialize || !slices.ContainsFunc(parts(s, o.First), lacks) {
				continue
			}
			for _, part := range parts(s, o.Then) {
				again = again || !out[part]
				out[part] = true
			}
		}
	}
	return out
}

// clockTolerance is what clocks may differ by and each node still goes by its own.
const clockTolerance = 500 * time.Millisecond

// clock is the cluster's time as who decides knows it, by which failures expire: its
// own clock, or the median of the voters' where its own is out of step with that. With
// two voters the median is halfway, so that a jump of one moves the cluster's time too.
func (w *World) clock(s *cib.Snapshot) time.Time {
	dc := s.Status.DC
	if dc == nil {
		return epoch.Add(time.Duration(w.now))
	}
	k, ok := w.index[dc.Node]
	if !ok {
		return epoch.Add(time.Duration(w.now))
	}
	own := w.machines[k].wall()
	var walls []time.Time
	for _, m := range w.machines {
		if m.healthy() && slices.Contains(w.sc.Voters, m.i) {
			walls = append(walls, m.wall())
		}
	}
	if len(walls) == 0 {
		return own
	}
	slices.SortFunc(walls, time.Time.Compare)
	low, high := walls[(len(walls)-1)/2], walls[len(walls)/2]
	if median := low.Add(high.Sub(low) / 2); own.Sub(median).Abs() > clockTolerance {
		return median
	}
	return own
}

// misplaced compares what really runs with the placement.
func (w *World) misplaced(s *cib.Snapshot) string {
	now := w.clock(s)
	place := policy.Place(s, now)
	type spot struct{ node, instance string }
	want := map[spot]string{}
	blocked := w.tied(s)
	failed := w.anyFailure(s)
	for i := range place.Instances {
		a := &place.Instances[i]
		resource, _, _ := strings.Cut(a.Instance, ":")
		if a.Blocked != "" || !w.checks.managed(w, resource) {
			blocked[resource] = true
			continue
		}
		if a.Node == "" {
			if w.wanted(s, a.Resource) && !failed {
				return fmt.Sprintf("%s runs nowhere although nothing failed: %s", a.Instance, a.Why.Cause)
			}
			continue
		}
		id := a.Instance
		if !w.checks.mayRunOnce(id) {
			id = resource // instances of an anonymous clone have no names on a node
		}
		if w.isRemote(a.Instance) {
			continue // a connection; see remoteMissing
		}
		want[spot{a.Node, id}] = a.Why.Cause
	}
	for _, m := range w.machines {
		for _, id := range sortedKeys(m.inst) {
			resource, _, _ := strings.Cut(id, ":")
			p := spot{m.name, id}
			if _, ok := want[p]; !ok && !blocked[resource] && w.checks.managed(w, resource) && !m.inst[id].excused {
				return fmt.Sprintf("%s runs on %s, and the policy does not want it there", id, m.name)
			}
			if r := s.Config.Resources[resource]; r != nil && w.checks.managed(w, resource) && w.knowsParameters() && !m.inst[id].excused && m.inst[id].params != cib.Digest(r.Parameters) {
				return fmt.Sprintf("%s runs on %s with other parameters than are configured", id, m.name)
			}
			delete(want, p)
		}
	}
	if !w.allWanted(s) {
		// The placement also names what can't be started because something it
		// needs is stopped by the configuration.
		return ""
	}
	waits := waiting(s, place)
	maps.DeleteFunc(want, func(p spot, _ string) bool {
		resource, _, _ := strings.Cut(p.instance, ":")
		return waits[resource]
	})
	for _, p := range slices.SortedFunc(maps.Keys(want), func(a, b spot) int { return cmp.Compare(a.node+a.instance, b.node+b.instance) }) {
		return fmt.Sprintf("%s does not run on %s, where the policy wants it (%s)", p.instance, p.node, want[p])
	}
	return ""
}

// knowsParameters reports whether the engine can know with which parameters an
// instance runs: a cleanup forgets them, and an agent that lied about a stop or start
// left it running with others.
func (w *World) knowsParameters() bool {
	return !slices.ContainsFunc(w.sc.Faults, func(f Fault) bool { return f.Kind == AdminCleanup || f.Mode == agentLies })
}

func (w *World) anyFailure(s *cib.Snapshot) bool {
	for _, m := range s.Status.Histories {
		for _, h := range m {
			if st := h.State(time.Time{}, 0); h.FailCount > 0 || st.Failure != nil || st.NotHere {
				return true
			}
		}
	}
	return false
}

// wanted reports whether a resource should run somewhere, in a configuration whose
// constraints leave a place for everything.
func (w *World) wanted(s *cib.Snapshot, resource string) bool {
	return !w.sc.Tight && s.Config.Resources[resource] != nil && w.checks.unique[resource] && w.allWanted(s)
}

// allWanted reports whether the configuration wants everything to run.
func (w *World) allWanted(s *cib.Snapshot) bool {
	if s.Config.Cluster.Options.StopAllResources || s.Config.Cluster.Options.MaintenanceMode {
		return false
	}
	for _, n := range s.Config.Nodes {
		if n.Standby || n.Maintenance {
			return false
		}
	}
	parents := s.Config.Parents()
	for id := range s.Config.Resources {
		if m := s.Config.MetaOf(id, parents, time.Time{}); m.TargetRole == cib.RoleStopped || !m.IsManaged() {
			return false // what depends on it does not run either
		}
	}
	return true
}

// atRest checks what must hold once all is quiet.
func (w *World) atRest() {
	c := &w.checks
	for _, key := range sortedKeys(c.config) {
		if string(w.store.raw[key]) != string(c.config[key]) {
			w.fail(5, "%s is %s, and was changed to %s", key, w.store.raw[key], c.config[key])
		}
	}
	for _, key := range sortedKeys(w.store.raw) {
		if strings.HasPrefix(key, cib.KeyConfig) && c.config[key] == nil {
			w.fail(5, "%s is still there, and was deleted", key)
		}
	}
	for _, m := range w.machines {
		if m.truth.lied {
			// Its false proof must have been found false, and it fenced in truth.
			if c.validProof(w, m.name, m.bootID) != nil {
				w.fail(4, "%s runs in boot %s, and a proof still says that this boot is over", m.name, m.bootID)
			}
		}
		if e := m.engine; e != nil && e.commits > 20 {
			w.fail(ruleGrowth, "%s waits for %d transactions at rest", m.name, e.commits)
		}
	}
	if c.lies > 0 && c.voids == 0 && w.lieStands() {
		w.fail(4, "a proof was false, and nobody noticed")
	}
}

// lieStands reports whether a machine of a false proof still runs in that boot.
func (w *World) lieStands() bool {
	return slices.ContainsFunc(w.machines, func(m *machine) bool { return m.truth.lied })
}

func leave(restart bool) node.Event { return node.Leave{Restart: restart} }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sortedRuns(m map[uint64]*run) []uint64 { return slices.Sorted(maps.Keys(m)) }
