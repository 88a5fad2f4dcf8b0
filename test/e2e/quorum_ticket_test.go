package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// ticketRuns is the time within which another cluster gets a ticket that is not renewed:
// expiry and acquire-after of ticketConf.
const (
	ticketExpiry = 15 * time.Second
	ticketFree   = ticketExpiry + 30*time.Second
	ticketConf   = "tickets:\n  web: {expiry: 15s, acquire-after: 30s, clusters: {lab: 10, labb: 5}}\n"
)

// twoClusters makes cluster lab of three nodes and cluster labb of one, an arbitrator
// with a ticket for both, and in both the same resource that needs it.
func twoClusters(t *testing.T) (c *cluster.Cluster, b *cluster.Node) {
	t.Helper()
	grace, no := cib.Duration(2*time.Second), false
	options := cib.Options{StopGrace: &grace, WatchdogTimeout: cib.Duration(time.Second), FencingRequired: &no}
	c, lc := cluster.New(cluster.Config{Nodes: 3, Spare: 1, Quorumd: true, NoFence: true, Options: options, Logf: t.Logf})
	l := lab.Start(t, lc)
	must(t, c.Start(deadline(t, time.Minute), l))
	t.Cleanup(func() {
		checkTrace(t, c) // a ticket is a right: nobody may use it beside another
		if t.Failed() {
			report(t, c)
		}
	})
	installTraced(t, c)
	b = c.Nodes[3]
	_, err := b.Client().Init(deadline(t, 30*time.Second), &api.Init{Cluster: "labb", Node: b.Name, Addresses: b.Addresses(), Options: options})
	must(t, err)
	until(t, 30*time.Second, "the second cluster is there", func() string {
		if l, err := b.Client().Local(t.Context()); err != nil || !l.Valid {
			return "not yet"
		}
		return ""
	})
	var conf strings.Builder
	conf.WriteString("clusters:\n")
	for _, of := range []*cluster.Node{c.Nodes[0], b} {
		cfg, err := of.Client().Config(deadline(t, 10*time.Second))
		must(t, err)
		fmt.Fprintf(&conf, "  %s:\n    nodes:\n", cfg.Config.Cluster.Name)
		for name, n := range cfg.Config.Nodes {
			fmt.Fprintf(&conf, "      %s: [%q]\n", name, n.PublicKey)
		}
	}
	must(t, c.Quorumd.Begin(deadline(t, 20*time.Second), conf.String()+ticketConf))
	return c, b
}

// needTicket makes a cluster ask for the ticket, for a resource that needs it, and that
// does not run on one of its nodes.
func needTicket(t *testing.T, c *cluster.Cluster, n *cluster.Node, but string) {
	t.Helper()
	web := tracedResource(nil)
	for _, op := range []string{cib.OpStart, cib.OpStop} {
		web.Operations = append(web.Operations, cib.Operation{Name: op, Timeout: cib.Duration(3 * time.Second)})
	}
	cfg := &cib.Config{
		QuorumDevices: map[string]*cib.QuorumDevice{"q": {Kind: cib.QuorumDeviceQuorumd, Parameters: c.Quorumd.Parameters()}},
		Tickets:       map[string]*cib.Ticket{"web": {Granted: true, Arbitrator: "q"}},
		Resources:     map[string]*cib.Resource{"web": web},
		Constraints:   map[string]*cib.Constraint{"t": {Ticket: &cib.TicketConstraint{Resource: "web", Ticket: "web"}}},
	}
	if but != "" {
		cfg.Constraints["not-there"] = &cib.Constraint{Location: &cib.Location{Resource: "web", Node: but, Score: -cib.Infinity}}
	}
	_, err := n.Apply(deadline(t, 20*time.Second), cfg)
	must(t, err)
}

// ticketOf is the state of ticket web as some node shows it.
func ticketOf(s *status.Summary) status.Ticket {
	for _, x := range s.Tickets {
		if x.ID == "web" {
			return x
		}
	}
	return status.Ticket{Reason: "there is no ticket"}
}

// A service that needs a ticket of the arbitrator runs in one of two clusters. A change
// of the DC keeps the ticket. The cluster that loses the way to the arbitrator stops
// the service by its own clock; the other one gets the ticket only after that, and
// starts it. Given back by a person, the ticket is free at once.
func TestQuorumTicketMoves(t *testing.T) {
	c, b := twoClusters(t)
	ours, other := c.Nodes[:3], []*cluster.Node{b}
	on := func(nodes []*cluster.Node, limit time.Duration, what string, condition func(*status.Summary) string) {
		t.Helper()
		must(t, cluster.WaitOn(deadline(t, limit), nodes, what, condition))
	}
	runs := func(s *status.Summary) string { return cluster.Running(s, "web") }
	coordinator := dc(t, c)
	needTicket(t, c, c.Nodes[0], coordinator.Name)
	on(ours, 40*time.Second, "the first cluster has the ticket, and runs the service", runs)
	needTicket(t, c, b, "")
	on(other, 40*time.Second, "the second cluster knows that the first one has it", func(s *status.Summary) string {
		if x := ticketOf(s); x.Held || x.Holder != "lab" {
			return fmt.Sprintf("%+v", x)
		}
		return ""
	})

	coordinator.Hold()
	coordinator.Kill()
	on(c.Others(coordinator), 30*time.Second, "there is another DC, and it renews the ticket", func(s *status.Summary) string {
		if x := ticketOf(s); s.Cluster.DC == coordinator.Name || !x.Held || x.Term != 1 || !x.Renewed.After(s.Cluster.DCSince) {
			return fmt.Sprintf("DC %s since %s, %+v", s.Cluster.DC, s.Cluster.DCSince, x)
		}
		return ""
	})
	must(t, coordinator.Release())
	if n := countRuns(t, c, "web", cib.OpStop); n != 0 {
		t.Errorf("the change of the DC has stopped the service:\n%s", traceOf(t, c, "web"))
	}

	for _, n := range ours {
		must(t, c.Lab.Drop(n.Host, c.Quorumd.Host))
		must(t, c.Lab.Drop(c.Quorumd.Host, n.Host))
	}
	cut := time.Now()
	on(ours, ticketExpiry+10*time.Second, "the first cluster has stopped the service", func(s *status.Summary) string {
		if x := ticketOf(s); x.Held || countRuns(t, c, "web", cib.OpStop) == 0 {
			return fmt.Sprintf("%+v", x)
		}
		return ""
	})
	t.Logf("the first cluster has stopped %s after it lost the arbitrator", time.Since(cut).Round(time.Millisecond))
	on(other, ticketFree+20*time.Second, "the second cluster runs the service", runs)
	t.Logf("the second cluster has it after %s", time.Since(cut).Round(time.Millisecond))
	until(t, 10*time.Second, "one event tells of the loss", func() string {
		if n := len(eventsOf(t, c.Nodes[0], event.TicketLost, "", cut)); n != 1 {
			return fmt.Sprint(n)
		}
		return ""
	})

	must(t, c.Lab.Heal())
	on(ours, 30*time.Second, "the first cluster knows that the second one has it", func(s *status.Summary) string {
		if x := ticketOf(s); x.Held || x.Holder != "labb" {
			return fmt.Sprintf("%+v", x)
		}
		return ""
	})
	back := time.Now()
	_, err := b.Change(deadline(t, 20*time.Second), api.ActionPatch, "ticket/web", map[string]any{"granted": nil})
	must(t, err)
	on(ours, 30*time.Second, "the first cluster runs the service again", runs)
	if d := time.Since(back); d > ticketFree {
		t.Errorf("the ticket was given back, and the first cluster got it after %s only", d)
	}
}
