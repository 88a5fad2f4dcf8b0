package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// drawWorld draws a cluster in the language of the golden files, so that a
// failure prints one.
func drawWorld(t *rapid.T) (*world, string) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	nodes := rapid.IntRange(1, 4).Draw(t, "nodes")
	for i := range nodes {
		line("node n%d", i+1)
	}
	node := rapid.Map(rapid.IntRange(1, nodes), func(i int) string { return fmt.Sprintf("n%d", i) })
	chance := func(percent int) bool { return rapid.IntRange(1, 100).Draw(t, "chance") <= percent }
	if chance(10) {
		line("option symmetric-cluster=false")
	}
	if chance(10) {
		line("option fencing-required=false")
	}
	if chance(10) {
		line("option start-failure-is-fatal=false")
	}
	primitives := rapid.IntRange(1, 6).Draw(t, "primitives")
	tops := []string{}
	for i := 0; i < primitives; {
		size := 1
		if chance(30) {
			size = rapid.IntRange(1, 3).Draw(t, "size")
		}
		var members []string
		for range size {
			id := fmt.Sprintf("p%d", i)
			members = append(members, id)
			extra := ""
			if chance(50) {
				extra += " monitor=10s"
			}
			if chance(30) {
				extra += " stickiness=100"
			}
			if chance(20) {
				extra += " threshold=2"
			}
			if chance(10) {
				extra += " target-role=Stopped"
			}
			if chance(10) {
				extra += " managed=false"
			}
			if chance(10) {
				extra += " priority=5"
			}
			if chance(40) {
				extra += " allow-migrate=true"
			}
			if chance(20) {
				extra += " monitor=30s,role:Stopped"
			}
			if chance(10) {
				extra += " " + rapid.SampledFrom([]string{"monitor=20s,on-fail:block", "monitor=20s,on-fail:stop", "stop=,on-fail:block", "monitor=20s,on-fail:fence", "monitor=20s,on-fail:standby"}).Draw(t, "onfail")
			}
			line("primitive %s%s", id, extra)
			i++
		}
		top := members[0]
		if size > 1 {
			top = "g" + members[0]
			line("group %s %s", top, strings.Join(members, " "))
		}
		if chance(30) {
			extra := ""
			if chance(50) {
				extra += " interleave"
			}
			switch {
			case chance(20):
				extra += " unique max=3 node-max=2"
			case chance(40):
				extra += fmt.Sprintf(" max=%d", rapid.IntRange(0, nodes).Draw(t, "max"))
			}
			if chance(20) {
				extra += " ordered"
			}
			if chance(drawPromotable) {
				extra += " promotable"
			}
			if chance(40) {
				extra += " notify"
			}
			line("clone c%s %s%s", top, top, extra)
			top = "c" + top
		}
		tops = append(tops, top)
		if strings.HasPrefix(top, "c") {
			for i := range nodes {
				if chance(60) {
					line("attribute n%d master-%s=%d", i+1, members[0], rapid.IntRange(-5, 20).Draw(t, "promotion"))
				}
			}
		}
	}
	top := rapid.SampledFrom(tops)
	score := rapid.SampledFrom([]string{"INFINITY", "-INFINITY", "100", "-100", "50"})
	for i := range rapid.IntRange(0, 3).Draw(t, "locations") {
		line("location l%d %s %s %s", i, top.Draw(t, "resource"), node.Draw(t, "node"), score.Draw(t, "score"))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "colocations") {
		line("colocation k%d %s with %s %s", i, top.Draw(t, "resource"), top.Draw(t, "with"), score.Draw(t, "score"))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "orders") {
		kind := rapid.SampledFrom([]string{"Mandatory", "Mandatory", "Optional", "Serialize"}).Draw(t, "kind")
		line("order o%d %s then %s kind=%s", i, top.Draw(t, "first"), top.Draw(t, "then"), kind)
	}
	if chance(50) {
		line("probed")
	}
	w := newWorld()
	if err := w.parse(b.String()); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	return w, b.String()
}

// drawPromotable is how many clones in a hundred are promotable.
const drawPromotable = 30

// disturb does something to the cluster.
func disturb(t *rapid.T, w *world) string {
	nodes := len(w.Config.Nodes)
	name := fmt.Sprintf("n%d", rapid.IntRange(1, nodes).Draw(t, "node"))
	state := w.Status.Nodes[name].State
	var line string
	switch k := rapid.IntRange(0, 9).Draw(t, "what"); {
	case k == 0 && state == cib.NodeOnline:
		line = "node " + name + " unclean"
	case k == 1 && state == cib.NodeFenced:
		line = "node " + name + " rebooted"
		delete(w.Status.Histories, name)
	case k == 2:
		line = "node " + name + " standby"
	case k == 3:
		line = "node " + name + " standby=false"
	case k == 4 && state == cib.NodeOnline:
		line = "node " + name + " restarted"
	case k == 5:
		line = "node " + name + " maintenance"
	case k == 6:
		line = "node " + name + " maintenance=false"
	case k == 7:
		line = "primitive p0 p.x=" + fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "value"))
	case k == 8:
		line = "primitive p0 target-role=" + rapid.SampledFrom([]string{"Started", "Stopped"}).Draw(t, "role")
	default:
		line = "later 10m"
	}
	if err := w.parse(line); err != nil {
		t.Fatalf("%v", err)
	}
	return line
}

// flying lists what is in flight, by node and instance. What was asked of a node
// that is gone is no more.
func (w *world) flying() []*cib.Pending {
	var out []*cib.Pending
	for _, n := range slices.Sorted(maps.Keys(w.Status.Pending)) {
		if w.Status.Nodes[n].State != cib.NodeOnline {
			continue
		}
		for _, i := range slices.Sorted(maps.Keys(w.Status.Pending[n])) {
			out = append(out, w.Status.Pending[n][i])
		}
	}
	return out
}

// promotedMark ends the key of an instance for where it is promoted.
const promotedMark = "!"

// truth is where instances really run, whatever the cluster believes.
type truth map[string]map[string]bool // instance, node

// TestConverges carries out plans step by step in any order that they allow,
// with some failures and disturbances, and looks at the truth all the time: an
// instance never runs twice. When nothing disturbs any more, it comes to an end.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, text := drawWorld(t)
		log := []string{text}
		real := truth{}
		failures := rapid.IntRange(0, 4).Draw(t, "failures")
		disturbances := rapid.IntRange(0, 4).Draw(t, "disturbances")
		check := func(ok bool, format string, args ...any) {
			if !ok {
				t.Fatalf(format+"\nin\n%s", append(args, strings.Join(log, "\n"))...)
			}
		}
		for step := 0; ; step++ {
			p, g := decideAll(t, w, log)
			w.end(g)
			if disturbances > 0 && (len(g.Actions) == 0 || rapid.IntRange(0, 4).Draw(t, "disturb") == 0) {
				disturbances--
				line := disturb(t, w)
				log = append(log, line)
				if strings.HasSuffix(line, "rebooted") {
					delete(w.Status.Pending, strings.Fields(line)[1])
				}
				off := strings.HasSuffix(line, "unclean") && !w.Config.Cluster.Options.Fencing() // who is lost is believed dead
				if off || strings.HasSuffix(line, "rebooted") {
					for _, on := range real {
						delete(on, strings.Fields(line)[1])
					}
				}
				continue
			}
			flying := w.flying()
			if len(g.Actions) == 0 && len(flying) == 0 {
				reached(w, p, real, check)
				check(len(w.Status.Rounds) == 0 || mayWait(w, nil), "a round of notifications is left: %v", w.Status.Rounds)
				return
			}
			if step == 400 {
				log = slices.Concat(log[:1], []string{"..."}, log[len(log)-60:])
				check(false, "it never comes to an end: %s", planText(w))
			}
			check(len(flying) > 0 || len(g.Actions) == 0 || g.Actions[0].InFlight == "", "nothing can be done of %s", planText(w))
			var ready []int
			for i := range g.Actions {
				if len(g.Actions[i].After) == 0 && g.Actions[i].InFlight == "" {
					ready = append(ready, i)
				}
			}
			if step > 392 {
				for _, a := range p.Instances {
					log = append(log, "  "+assignmentText(&a))
				}
			}
			k := rapid.IntRange(0, len(ready)+len(flying)-1).Draw(t, "action")
			if k < len(ready) && g.Actions[ready[k]].Op != cib.OpFence && rapid.IntRange(0, 2).Draw(t, "ask") == 0 {
				// Asked for; it happens at some time from now on.
				a := g.Actions[ready[k]].Action
				w.begin(g, &a)
				a.ID = fmt.Sprint("t.", step)
				if w.Status.Pending[a.Node] == nil {
					w.Status.Pending[a.Node] = map[string]*cib.Pending{}
				}
				w.Status.Pending[a.Node][a.Instance] = &cib.Pending{Action: a, State: cib.ActionRunning}
				switch a.Op {
				case cib.OpStart:
					real.set(a.Instance, a.Node, true)
				case cib.OpPromote:
					real.set(a.Instance+promotedMark, a.Node, true)
				case cib.OpMigrateTo:
					real.move(&a)
				}
				log = append(log, a.String()+": asked")
				continue
			}
			a := new(cib.Action)
			if k < len(ready) {
				a = &g.Actions[ready[k]].Action
				w.begin(g, a)
			} else {
				a = &flying[k-len(ready)].Action
			}
			ran := real[a.Instance][a.Node]
			rc := real.act(w, a)
			if a.Op != cib.OpFence && a.Op != cib.OpCleanup && a.Op != cib.OpCancel && !a.Probe && failures > 0 && rapid.IntRange(0, 9).Draw(t, "fail") == 0 {
				failures--
				rc = rapid.SampledFrom([]int{1, 5, 7}).Draw(t, "rc")
				if a.Op == cib.OpStop {
					real.set(a.Instance, a.Node, ran)
				}
			}
			log = append(log, fmt.Sprintf("%s: %d", a.String(), rc))
			w.do(a, rc)
			for instance, on := range real {
				check(len(on) <= 1 || w.anonymous(instance), "%s runs on %v", instance, on)
			}
		}
	})
}

func decideAll(t *rapid.T, w *world, log []string) (*graph.Placement, *graph.Graph) {
	p, g, _ := policy.Decide(w.Snapshot, w.now)
	if err := policy.Check(w.Snapshot, w.now, p, g); err != nil {
		for i := range g.Actions {
			log = append(log, actionText(g, i))
		}
		t.Fatalf("%v\nin\n%s", err, strings.Join(log, "\n"))
	}
	return p, g
}

// act does what the agent would do, and returns what it would say.
func (r truth) act(w *world, a *cib.Action) int {
	switch a.Op {
	case cib.OpFence:
		for _, on := range r {
			delete(on, a.Node)
		}
	case cib.OpStart:
		r.set(a.Instance, a.Node, true)
	case cib.OpMigrateTo:
		r.move(a)
	case cib.OpMigrateFrom:
		if !r[a.Instance][a.Node] {
			return cib.NotRunning
		}
	case cib.OpStop:
		r.set(a.Instance, a.Node, false)
		r.set(a.Instance+promotedMark, a.Node, false)
	case cib.OpPromote:
		r.set(a.Instance+promotedMark, a.Node, true)
	case cib.OpDemote:
		r.set(a.Instance+promotedMark, a.Node, false)
	case cib.OpMonitor:
		switch {
		case !r[a.Instance][a.Node]:
			return cib.NotRunning
		case r[a.Instance+promotedMark][a.Node]:
			return cib.RunningPromoted
		}
		return cib.OK
	}
	return a.Expected
}

// move brings an instance to the other end of its migration.
func (r truth) move(a *cib.Action) {
	if r[a.Instance][a.Node] {
		r.set(a.Instance, a.Node, false)
		r.set(a.Instance, a.Peer, true)
	}
}

func (r truth) set(instance, node string, active bool) {
	if r[instance] == nil {
		r[instance] = map[string]bool{}
	}
	if active {
		r[instance][node] = true
	} else {
		delete(r[instance], node)
	}
}

// anonymous reports whether copies of an instance may run on several nodes.
func (w *world) anonymous(instance string) bool {
	if strings.Contains(instance, ":") {
		return false
	}
	for _, r := range w.Config.Resources {
		if r.Clone == nil || r.Clone.GloballyUnique {
			continue
		}
		if r.Clone.Resource == instance {
			return true
		}
		if g := w.Config.Resources[r.Clone.Resource]; g != nil {
			if slices.Contains(g.Group, instance) {
				return true
			}
		}
	}
	return false
}

// reached checks that the truth is what the placement says, apart from what is
// blocked, or waits for something that will not happen by itself.
func reached(w *world, p *graph.Placement, real truth, check func(bool, string, ...any)) {
	wanted := truth{}
	free := map[string]bool{} // resources of which something is blocked
	for i := range p.Instances {
		a := &p.Instances[i]
		key := a.Instance
		if w.anonymous(a.Resource) {
			key = a.Resource
		}
		if a.Blocked != "" || strings.HasPrefix(a.Why.Cause, "left as it is") {
			free[key] = true
		}
		if a.Node != "" {
			wanted.set(key, a.Node, true)
		}
		if a.Role == cib.RolePromoted {
			wanted.set(key+promotedMark, a.Node, true)
		}
	}
	for key, on := range wanted {
		for n := range on {
			if real[key][n] || free[key] || free[strings.TrimSuffix(key, promotedMark)] {
				continue
			}
			check(false, "%s does not run on %s as placed, and nothing is said of it", key, n)
		}
	}
	for key, on := range real {
		for n := range on {
			if !wanted[key][n] && !free[key] && w.Status.Nodes[n].State == cib.NodeOnline && len(free) == 0 {
				check(false, "%s still runs on %s", key, n)
			}
		}
	}
}

// mayWait reports whether something may be left undone: orders wait for
// resources that are blocked or placed nowhere.
func mayWait(w *world, free map[string]bool) bool {
	if len(free) > 0 {
		return true
	}
	for _, c := range w.Config.Constraints {
		if c.Order != nil && c.Order.Kind != cib.OrderOptional {
			return true
		}
	}
	return false
}

// TestDeterministic: the same snapshot gives the same decision, and what is
// decided does not depend on the order in which maps are walked.
func TestDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, text := drawWorld(t)
		first := fmt.Sprint(policy.Place(w.Snapshot, w.now), planText(w))
		for range 3 {
			if again := fmt.Sprint(policy.Place(w.Snapshot, w.now), planText(w)); again != first {
				t.Fatalf("two decisions:\n%s\n%s\nin\n%s", first, again, text)
			}
		}
	})
}

func planText(w *world) string {
	g := policy.Plan(w.Snapshot, policy.Place(w.Snapshot, w.now), w.now)
	var b strings.Builder
	for i := range g.Actions {
		b.WriteString(actionText(g, i) + "\n")
	}
	return b.String()
}

// TestExpiryIsAnnounced: a decision changes by time alone only when NextChange
// said so.
func TestExpiryIsAnnounced(t *testing.T) {
	w := newWorld()
	if err := w.parse("nodes n1 n2\nprimitive web monitor=10s threshold=1 failure-timeout=60s\nprobed\nrunning web n1\nfailed web n1 monitor@10s 7"); err != nil {
		t.Fatal(err)
	}
	failed := w.now
	next := policy.NextChange(w.Snapshot, w.now)
	if want := failed.Add(time.Minute); !next.Equal(want) {
		t.Fatalf("next change at %v, want %v", next, want)
	}
	if policy.NextChange(w.Snapshot, next) != (time.Time{}) {
		t.Error("a change is announced after the last failure expired")
	}
}
