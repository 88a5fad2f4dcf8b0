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
)

// drawNested draws a cluster with nodes that are resources themselves.
func drawNested(t *rapid.T) (*world, string) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	chance := func(percent int) bool { return rapid.IntRange(1, 100).Draw(t, "chance") <= percent }
	places := []string{}
	for i := range rapid.IntRange(1, 3).Draw(t, "nodes") {
		places = append(places, fmt.Sprintf("n%d", i+1))
		line("node n%d", i+1)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "remotes") {
		line("remote r%d", i)
		if chance(30) {
			line("primitive r%d monitor=60s p.reconnect_interval=30", i)
		}
		places = append(places, fmt.Sprintf("r%d", i))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "guests") {
		line("primitive vm%d remote-node=g%d monitor=10s", i, i)
		if chance(30) {
			line("primitive disk%d", i)
			line("group vmg%d disk%d vm%d", i, i, i)
		}
		places = append(places, fmt.Sprintf("g%d", i))
	}
	if chance(50) {
		line("primitive in monitor=10s")
		extra := rapid.SampledFrom([]string{"port=1", "ip=10.0.0.1", "ip=10.0.0.1 per-host=2", "port=1 promoted=1"}).Draw(t, "bundle")
		line("bundle box replicas=%d inside=in %s", rapid.IntRange(1, 3).Draw(t, "replicas"), extra)
	}
	if chance(30) {
		line("primitive can monitor=10s")
		line("primitive app monitor=10s container=can")
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "primitives") {
		extra := rapid.SampledFrom([]string{"", "", " stickiness=10", " monitor=20s,on-fail:fence", " monitor=20s,on-fail:standby", " stop=,on-fail:block"}).Draw(t, "extra")
		line("primitive p%d%s", i, extra)
		if chance(60) {
			line("location l%d p%d %s %s", i, i, rapid.SampledFrom(places).Draw(t, "place"), rapid.SampledFrom([]string{"100", "INFINITY", "-INFINITY"}).Draw(t, "score"))
		}
	}
	if chance(30) {
		line("clone cp0 p0")
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

// active reports whether a node said that it runs an instance.
func active(w *world, instance, node string) bool {
	h := w.Status.Histories[node][instance]
	return h != nil && h.Role().Active()
}

// upset does something to a cluster with nodes inside of others.
func upset(t *rapid.T, w *world, real truth) string {
	names := slices.Sorted(maps.Keys(w.Config.Nodes))
	node := rapid.SampledFrom(names).Draw(t, "node")
	state := w.Status.Nodes[node].State
	var line string
	switch k := rapid.IntRange(0, 8).Draw(t, "what"); {
	case k == 0 && state == cib.NodeOnline:
		line = "node " + node + " unclean"
	case k <= 1 && state == cib.NodeFenced:
		line = "node " + node + " rebooted"
		delete(w.Status.Histories, node)
	case k <= 4: // something that runs fails; what is on its way there has no monitor yet
		var running []string
		for instance, on := range real {
			for n := range on {
				if !strings.HasSuffix(instance, promotedMark) && w.Status.Nodes[n].State == cib.NodeOnline && active(w, instance, n) {
					running = append(running, instance+" "+n)
				}
			}
		}
		if slices.Sort(running); len(running) == 0 {
			return ""
		}
		line = "failed " + rapid.SampledFrom(running).Draw(t, "victim") + " monitor@10s 1"
	case k == 5:
		var conns []string
		for _, r := range w.Config.Remotes() {
			if !r.Guest {
				conns = append(conns, r.Name)
			}
		}
		if len(conns) == 0 {
			return ""
		}
		line = "primitive " + rapid.SampledFrom(conns).Draw(t, "conn") + " target-role=" + rapid.SampledFrom([]string{"Started", "Stopped"}).Draw(t, "role")
	case k == 6:
		line = "node " + node + rapid.SampledFrom([]string{" standby", " standby=false"}).Draw(t, "standby")
	case k == 7 && state == cib.NodeOnline: // its engine, and with it the connections that were there
		line = "node " + node + " restarted"
		for _, r := range w.Config.Remotes() {
			real.set(r.Name, node, false)
		}
	default:
		line = "later 10m"
	}
	if err := w.parse(line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return line
}

// sink takes away what was inside of something that does not run any more.
func (r truth) sink(w *world) {
	for range 2 { // a guest may be on a remote node
		for _, x := range w.Config.Remotes() {
			inside := x.Resource
			if x.Replica >= 0 {
				inside = w.Config.Resources[x.Resource].Bundle.ContainerOf(x.Resource, x.Replica)
			}
			if x.Guest && len(r[inside]) == 0 {
				for _, on := range r {
					delete(on, x.Name)
				}
				delete(r, x.Name) // there is nothing to be connected to
			}
		}
	}
	for id, x := range w.Config.Resources {
		if x.Meta.Container != "" && len(r[x.Meta.Container]) == 0 {
			delete(r, id)
		}
	}
}

// TestNestedConverges: with nodes that are resources, too, an instance never runs
// twice, nothing is asked of a node that is not connected, and it comes to an end.
func TestNestedConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, text := drawNested(t)
		log := []string{text}
		real := truth{}
		restarted := false
		failures, upsets := rapid.IntRange(0, 3).Draw(t, "failures"), rapid.IntRange(0, 4).Draw(t, "upsets")
		check := func(ok bool, format string, args ...any) {
			if !ok {
				t.Fatalf(format+"\nin\n%s", append(args, strings.Join(log, "\n"))...)
			}
		}
		for step := 0; ; step++ {
			_, g := decideAll(t, w, log)
			w.end(g)
			for _, guest := range g.Gone {
				for instance, on := range real {
					check(!on[guest], "%s runs on %s, which is said to be gone", instance, guest)
				}
			}
			if upsets > 0 && (len(g.Actions) == 0 || rapid.IntRange(0, 4).Draw(t, "upset") == 0) {
				upsets--
				line := upset(t, w, real)
				log = append(log, line)
				restarted = restarted || strings.HasSuffix(line, "restarted")
				if strings.HasSuffix(line, "rebooted") {
					for _, on := range real {
						delete(on, strings.Fields(line)[1])
					}
					real.sink(w)
				}
				continue
			}
			if len(g.Actions) == 0 {
				return
			}
			if step == 300 {
				log = slices.Concat(log[:1], []string{"..."}, log[len(log)-40:])
				check(false, "it never comes to an end: %s", planText(w))
			}
			var ready []int
			for i := range g.Actions {
				a := &g.Actions[i]
				connected := w.Config.Nodes[a.Node] != nil || a.Op == cib.OpFence || len(real[a.Node]) > 0
				if len(a.After) == 0 && (connected || !restarted) { // nothing is asked for over a connection that another engine made
					ready = append(ready, i)
				}
			}
			check(len(ready) > 0, "nothing can be done of: %s", planText(w))
			a := &g.Actions[rapid.SampledFrom(ready).Draw(t, "action")].Action
			w.begin(g, a)
			if w.Config.Nodes[a.Node] == nil && a.Op != cib.OpFence {
				check(len(real[a.Node]) > 0, "%s, to which nothing is connected", a.String())
			}
			ran := real[a.Instance][a.Node]
			rc := real.act(w, a)
			if a.Op != cib.OpFence && a.Op != cib.OpCleanup && a.Op != cib.OpCancel && !a.Probe && failures > 0 && rapid.IntRange(0, 9).Draw(t, "fail") == 0 {
				failures--
				rc = 1
				if a.Op == cib.OpStop {
					real.set(a.Instance, a.Node, ran)
				}
			}
			real.sink(w)
			log = append(log, fmt.Sprintf("%s: %d %s", a.String(), rc, a.Why.Cause))
			w.now = w.now.Add(time.Second)
			w.do(a, rc)
			for instance, on := range real {
				check(len(on) <= 1 || w.anonymous(instance) || instance == "in" || instance == "in"+promotedMark, "%s runs on %v", instance, on)
			}
		}
	})
}
