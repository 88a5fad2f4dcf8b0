package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/graph"
)

// outageWorld is a DC's node over a snapshot that the test changes, as far as outages go:
// what it writes is applied to the snapshot.
type outageWorld struct {
	t *testing.T
	n *Node
	s *cib.Snapshot
}

// epoch is second 0 of the tests.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func second(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

func newOutageWorld(t *testing.T) *outageWorld {
	s := cib.Empty()
	s.Config.Resources["web"] = &cib.Resource{Agent: "belay:dummy"}
	s.Config.Resources["g"] = &cib.Resource{Group: []string{"m1", "m2"}}
	s.Config.Resources["m1"] = &cib.Resource{Agent: "belay:dummy"}
	s.Config.Resources["m2"] = &cib.Resource{Agent: "belay:dummy"}
	s.Config.Resources["db-clone"] = &cib.Resource{Clone: &cib.Clone{Resource: "db", Promotable: true}}
	s.Config.Resources["db"] = &cib.Resource{Agent: "belay:dummy"}
	s.Config.Resources["all"] = &cib.Resource{Clone: &cib.Clone{Resource: "one"}}
	s.Config.Resources["one"] = &cib.Resource{Agent: "belay:dummy"}
	s.Status.Histories = map[string]map[string]*cib.History{}
	for _, name := range []string{"n1", "n2"} {
		s.Config.Nodes[name] = &cib.Node{}
		s.Status.Nodes[name] = &cib.NodeStatus{State: cib.NodeOnline, BootID: name}
		s.Status.Histories[name] = map[string]*cib.History{}
	}
	w := &outageWorld{t: t, s: s}
	w.newDC()
	return w
}

// newDC is another engine that becomes the DC: it knows what is in the store.
func (w *outageWorld) newDC() { w.n = &Node{snap: w.s} }

// at sets the clock. Steady and wall clock are the same here.
func (w *outageWorld) at(s int) { w.n.now = second(s) }

// did is an operation that has ended.
func (w *outageWorld) did(s int, node, op, instance string, rc int) {
	h := w.s.Status.Histories[node][instance]
	if h == nil {
		h = &cib.History{Instance: instance, Resource: strings.Split(instance, ":")[0], BootID: w.s.Status.Nodes[node].BootID}
		w.s.Status.Histories[node][instance] = h
	}
	interval := cib.Duration(0)
	if op == cib.OpMonitor {
		interval = cib.Duration(10 * time.Second)
	}
	h.Ops = append(h.Ops, cib.OpResult{Op: op, Interval: interval, Seq: uint64(len(h.Ops) + 1), Status: cib.OpDone, RC: rc, Started: second(s), Ended: second(s)})
}

// take applies what the DC writes and returns the events.
func (w *outageWorld) take(c *viewChange) []string {
	c.outages.write(c)
	for _, x := range c.txn.If {
		if d := w.s.Status.Outages[strings.TrimPrefix(x.Key, cib.KeyOutages)]; d != nil && d.Rev != x.ModRev || d == nil && x.ModRev != 0 {
			w.t.Errorf("%s is compared with revision %d, it is %+v", x.Key, x.ModRev, d)
		}
	}
	w.s.Revision++
	if w.s.Status.Outages == nil {
		w.s.Status.Outages = map[string]*cib.Outages{}
	}
	for _, p := range c.txn.Put {
		d := p.Value.(*cib.Outages)
		d.Rev = w.s.Revision
		w.s.Status.Outages[strings.TrimPrefix(p.Key, cib.KeyOutages)] = d
	}
	for _, key := range c.txn.Delete {
		delete(w.s.Status.Outages, strings.TrimPrefix(key, cib.KeyOutages))
	}
	out := []string{}
	for i := range c.events {
		ev := &c.events[i]
		d, _ := event.ByCode(ev.Code)
		text := fmt.Sprintf("%s %s %s>%s %sms", d.Name, ev.Resource, ev.Args["from"], ev.Node, ev.Args["milliseconds"])
		if ev.Cause != "" {
			text += " by " + ev.Cause
		}
		out = append(out, text)
	}
	return out
}

// lose is the loss of a node that was silent for a second.
func (w *outageWorld) lose(s int, name string) {
	w.at(s)
	var c viewChange
	w.n.lostNode(&c, name, w.s.Status.Nodes[name].BootID, time.Second, "node "+name+" is lost")
	w.s.Status.Nodes[name].State = cib.NodeUnclean
	w.take(&c)
}

// tend is a plan that places instances: "web@n2", "db@n2!" promoted, "web@" nowhere.
func (w *outageWorld) tend(s int, placed ...string) []string {
	w.at(s)
	p := &graph.Placement{}
	for _, x := range placed {
		id, node, _ := strings.Cut(x, "@")
		a := graph.Assignment{Instance: id, Resource: strings.Split(id, ":")[0], Role: cib.RoleStarted}
		if a.Node = strings.TrimSuffix(node, "!"); a.Node != node {
			a.Role = cib.RolePromoted
		}
		if a.Node == "" {
			a.Role = cib.RoleStopped
		}
		p.Instances = append(p.Instances, a)
	}
	var c viewChange
	w.n.tendOutages(second(s), second(s), p, &c)
	return w.take(&c)
}

func (w *outageWorld) want(got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("told %q, want %q", got, want)
	}
}

func (w *outageWorld) open() (out []string) {
	for _, name := range sortedKeys(w.s.Status.Outages) {
		out = append(out, sortedKeys(w.s.Status.Outages[name].Services)...)
	}
	return out
}

// Each service that ran on a lost node has one fail-over, from the last word of the node
// until all of it runs elsewhere: a group as a whole, of a clone the promoted role. A DC
// that comes in the middle goes on.
func TestFailover(t *testing.T) {
	w := newOutageWorld(t)
	for _, id := range []string{"web", "m1", "m2", "db", "one"} {
		w.did(1, "n1", cib.OpStart, id, 0)
	}
	w.did(2, "n1", cib.OpPromote, "db", 0)
	w.did(2, "n2", cib.OpStart, "db", 0)
	w.did(2, "n2", cib.OpStart, "one", 0)
	w.lose(11, "n1")
	w.want(w.open(), "db-clone", "g", "web")
	places := []string{"web@n2", "m1@n2", "m2@n2", "db:0@n2!", "db:1@", "one:0@n2", "one:1@"}
	w.want(w.tend(12, places...))
	w.did(13, "n2", cib.OpStart, "web", 0)
	w.did(13, "n2", cib.OpStart, "m1", 0)
	w.s.Status.Proofs = map[string]*cib.Proof{"p1": {ID: "p1", Target: "n1", BootID: "n1", Request: "f1", Time: second(12)}}
	w.s.Status.Nodes["n1"] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "booted anew"}
	w.newDC()
	w.want(w.tend(14, places...), "service-failed-over web n1>n2 3000ms by f1")
	w.newDC()
	w.want(w.tend(15, places...))
	w.did(16, "n2", cib.OpStart, "m2", 1)
	w.want(w.tend(17, places...)) // the start has failed
	w.did(18, "n2", cib.OpStop, "m2", 0)
	w.did(19, "n2", cib.OpStart, "m2", 0)
	w.did(20, "n2", cib.OpPromote, "db", 0)
	w.want(w.tend(21, places...), "service-failed-over db-clone n1>n2 10000ms by f1", "service-failed-over g n1>n2 9000ms by f1")
	w.want(w.open())
	w.want(w.tend(22, places...))
}

// A service that is lost again before it runs has one fail-over, from where it was lost
// first.
func TestFailoverAgain(t *testing.T) {
	w := newOutageWorld(t)
	w.s.Config.Nodes["n3"], w.s.Status.Nodes["n3"], w.s.Status.Histories["n3"] = &cib.Node{}, &cib.NodeStatus{State: cib.NodeOnline, BootID: "n3"}, map[string]*cib.History{}
	w.did(1, "n1", cib.OpStart, "web", 0)
	w.lose(11, "n1")
	w.did(13, "n2", cib.OpStart, "web", 0)
	w.lose(15, "n2") // before anybody has told of it
	w.want(w.open(), "web")
	w.want(w.tend(16, "web@n3"))
	w.did(17, "n3", cib.OpStart, "web", 0)
	w.want(w.tend(18, "web@n3"), "service-failed-over web n1>n3 7000ms")
}

// What never went away is no fail-over; what starts again where it was is a recovery.
func TestRecovery(t *testing.T) {
	w := newOutageWorld(t)
	w.did(1, "n1", cib.OpStart, "web", 0)
	w.lose(11, "n1")
	w.s.Status.Nodes["n1"].State = cib.NodeOnline
	w.want(w.tend(12, "web@n1"))
	w.want(w.open())

	w.did(20, "n1", cib.OpMonitor, "web", 7)
	var c viewChange
	w.at(21)
	for _, a := range []cib.Action{{Op: cib.OpMonitor}, {Op: cib.OpStart}, {Op: cib.OpStop}} {
		a.Node, a.Instance, a.Resource = "n1", "web", "web"
		w.n.lostService(&c, &a, second(21))
	}
	w.take(&c)
	w.want(w.open(), "web")
	w.want(w.tend(22, "web@n1")) // it has failed, and was not stopped yet
	w.did(23, "n1", cib.OpStop, "web", 0)
	w.want(w.tend(24, "web@n1"))
	w.did(25, "n1", cib.OpStart, "web", 0)
	w.want(w.tend(26, "web@n1"), "resource-recovered web n1>n1 5000ms")
}

// A member of a group that fails takes the group along, from the first stop on; elsewhere
// that is a fail-over. What somebody stops, and what fails to start, is none.
func TestFailureOfAMember(t *testing.T) {
	w := newOutageWorld(t)
	w.did(1, "n1", cib.OpStart, "m1", 0)
	w.did(2, "n1", cib.OpStart, "m2", 0)
	stop := func(instance string) {
		var c viewChange
		w.at(11)
		w.n.lostService(&c, &cib.Action{Op: cib.OpStop, Node: "n1", Instance: instance, Resource: instance}, second(11))
		w.take(&c)
	}
	stop("m2")
	w.want(w.open())
	w.did(5, "n1", cib.OpStart, "web", 1)
	stop("web")
	w.want(w.open())
	w.did(10, "n1", cib.OpMonitor, "m1", 7)
	stop("m2") // m1 waits for it
	w.want(w.open(), "g")
	w.did(12, "n2", cib.OpStart, "m1", 0)
	w.want(w.tend(12, "m1@n2", "m2@n2"))
	w.did(13, "n2", cib.OpStart, "m2", 0)
	w.want(w.tend(14, "m1@n2", "m2@n2"), "service-failed-over g n1>n2 3000ms")
}

// An outage that nobody can end does not last for ever: it is given up when no node has
// been able to run the service for long, and at once when nobody wants it to.
func TestGivenUp(t *testing.T) {
	w := newOutageWorld(t)
	w.did(1, "n1", cib.OpStart, "web", 0)
	w.did(1, "n1", cib.OpStart, "m1", 0)
	w.lose(11, "n1")
	w.want(w.open(), "g", "web")
	w.want(w.tend(12, "web@", "m1@"))
	if at := w.n.replanAt; !at.Equal(second(11).Add(placeMax)) {
		t.Errorf("it is looked at again at %s", at)
	}
	w.s.Config.Resources["g"].Meta.TargetRole = cib.RoleStopped
	w.want(w.tend(13, "web@", "m1@"), "service-not-recovered g n1> 3000ms")
	w.want(w.tend(11+599, "web@"))
	w.want(w.tend(11+600, "web@"), "service-not-recovered web n1> 601000ms")
	w.want(w.open())

	w.did(1000, "n2", cib.OpStart, "web", 0)
	w.lose(1011, "n2")
	w.want(w.tend(1012+3600, "web@n1")) // a place is there: whoever must confirm the death of n2 takes his time
	delete(w.s.Config.Resources, "web")
	w.want(w.tend(1013+3600), "service-not-recovered web n2> 3603000ms")
}

// What is not wanted, not managed, or of another boot is not lost.
func TestNotLost(t *testing.T) {
	kept := []string{"it runs", "its node is in maintenance"}
	for name, change := range map[string]func(w *outageWorld){
		"not wanted":      func(w *outageWorld) { w.s.Config.Resources["web"].Meta.TargetRole = cib.RoleStopped },
		"nothing wanted":  func(w *outageWorld) { w.s.Config.Cluster.Options.StopAllResources = true },
		"not managed":     func(w *outageWorld) { no := false; w.s.Config.Resources["web"].Meta.Managed = &no },
		"of another boot": func(w *outageWorld) { w.s.Status.Nodes["n1"].BootID = "later" },
		"stopped":         func(w *outageWorld) { w.did(2, "n1", cib.OpStop, "web", 0) },
		"not configured":  func(w *outageWorld) { delete(w.s.Config.Resources, "web") },
		"maintenance":     func(w *outageWorld) { w.s.Config.Cluster.Options.MaintenanceMode = true },
		kept[1]:           func(w *outageWorld) { w.s.Config.Nodes["n1"].Maintenance = true },
		kept[0]:           func(*outageWorld) {},
	} {
		w := newOutageWorld(t)
		w.did(1, "n1", cib.OpStart, "web", 0)
		change(w)
		w.lose(11, "n1")
		if lost := len(w.open()) > 0; lost != slices.Contains(kept, name) {
			t.Errorf("%s: lost: %t", name, lost)
		}
	}
}

// Many services that run again at once are told of in transactions that the store takes.
func TestManyFailovers(t *testing.T) {
	w := newOutageWorld(t)
	var places []string
	for i := range 100 {
		id := fmt.Sprintf("r%03d", i)
		w.s.Config.Resources[id] = &cib.Resource{Agent: "belay:dummy"}
		w.did(1, "n1", cib.OpStart, id, 0)
		places = append(places, id+"@n2")
	}
	w.lose(11, "n1")
	for i := range 100 {
		w.did(12, "n2", cib.OpStart, fmt.Sprintf("r%03d", i), 0)
	}
	total := 0
	for range 4 {
		got := len(w.tend(13, places...))
		if got > outagesPerTxn {
			t.Errorf("%d at once", got)
		}
		total += got
	}
	if total != 100 || len(w.open()) > 0 {
		t.Errorf("told of %d", total)
	}
}
