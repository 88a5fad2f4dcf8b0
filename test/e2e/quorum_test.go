package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// twoNodes makes a cluster of two nodes with an arbitrator on a host of its own, and
// a resource on each node.
func twoNodes(t *testing.T) *cluster.Cluster {
	t.Helper()
	grace := cib.Duration(2 * time.Second)
	c := start(t, cluster.Config{Nodes: 2, Quorumd: true, Options: cib.Options{StopGrace: &grace, WatchdogTimeout: cib.Duration(time.Second)}})
	installTraced(t, c)
	must(t, c.AddQuorumd(deadline(t, 20*time.Second), nil))
	cfg := &cib.Config{Resources: map[string]*cib.Resource{}, Constraints: map[string]*cib.Constraint{}}
	for _, n := range c.Nodes {
		id := "on-" + n.Name
		cfg.Resources[id] = tracedResource(nil)
		cfg.Constraints["at-"+n.Name] = &cib.Constraint{Location: &cib.Location{Resource: id, Node: n.Name, Score: 100}}
	}
	_, err := c.Nodes[0].Apply(deadline(t, 20*time.Second), cfg)
	must(t, err)
	wait(t, c, 30*time.Second, "both resources run", func(s *status.Summary) string {
		for _, n := range c.Nodes {
			if why := cluster.Running(s, "on-"+n.Name, n.Name); why != "" {
				return why
			}
		}
		return ""
	})
	until(t, 20*time.Second, "the arbitrator knows the cluster", func() string {
		if v := arbitrated(t, c); len(v.Clusters) != 1 || v.Clusters[0].Generation.Number == 0 || !v.Clusters[0].Nodes[0].Connected || !v.Clusters[0].Nodes[1].Connected {
			return "not yet"
		}
		return ""
	})
	return c
}

// arbitratorView is what a test looks at of belay-quorumd's status.
type arbitratorView struct {
	Clusters []struct {
		Generation cib.DataGeneration `json:"generation"`
		Holder     []string           `json:"holder"`
		Settled    bool               `json:"settled"`
		Nodes      []struct {
			Name      string `json:"name"`
			Connected bool   `json:"connected"`
			Answer    string `json:"answer"`
			Refusal   string `json:"refusal"`
		} `json:"nodes"`
	} `json:"clusters"`
}

func arbitrated(t *testing.T, c *cluster.Cluster) arbitratorView {
	t.Helper()
	var v arbitratorView
	if err := c.Quorumd.Status(deadline(t, 10*time.Second), &v); err != nil {
		t.Log(err)
	}
	return v
}

// split waits until one of the two nodes goes on by the arbitrator's grant and the
// other one has stopped its resource, and returns them.
func split(t *testing.T, c *cluster.Cluster) (on, off *cluster.Node) {
	t.Helper()
	began := time.Now()
	until(t, 30*time.Second, "one node goes on, the other one has stopped", func() string {
		on, off = nil, nil
		for _, n := range c.Nodes {
			l, err := n.Client().Local(t.Context())
			if err != nil {
				return err.Error()
			}
			switch {
			case l.Valid && l.Quorate && strings.Contains(l.Quorum, "quorumd q: have"):
				on = n
			case !l.Valid && !l.Quorate && strings.Contains(l.Quorum, "quorumd q: no"):
				off = n
			default:
				return n.Name + ": " + l.Quorum
			}
		}
		if on == nil || off == nil {
			return "both are the same"
		}
		if countRuns(t, c, "on-"+off.Name, cib.OpStop) == 0 {
			return off.Name + " has not stopped its resource"
		}
		return ""
	})
	t.Logf("%s goes on, %s has stopped after %s", on.Name, off.Name, time.Since(began).Round(time.Millisecond))
	// The one that goes on was valid all the time.
	if n := countRuns(t, c, "on-"+on.Name, cib.OpStop); n > 0 {
		t.Errorf("the resource of %s was stopped:\n%s", on.Name, traceOf(t, c, "on-"+on.Name))
	}
	return on, off
}

// backTogether heals everything and waits until both resources run again, each once.
func backTogether(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	must(t, c.Lab.Heal())
	until(t, 60*time.Second, "both hear each other", func() string {
		for _, n := range c.Nodes {
			if l, err := n.Client().Local(t.Context()); err != nil || !l.Valid || !strings.HasPrefix(l.Quorum, "2 of 2") || !l.StoreOK {
				return n.Name
			}
		}
		return ""
	})
	wait(t, c, 60*time.Second, "all is well", func(s *status.Summary) string {
		if why := cluster.Online(s, c.Names()...); why != "" {
			return why
		}
		for _, n := range c.Nodes {
			if why := cluster.Running(s, "on-"+n.Name); why != "" {
				return why
			}
		}
		return ""
	})
	until(t, 20*time.Second, "the grant was given back", func() string {
		if v := arbitrated(t, c); len(v.Clusters) != 1 || len(v.Clusters[0].Holder) > 0 {
			return "not yet"
		}
		return ""
	})
}

// The link between the two nodes is cut, and both reach the arbitrator: one goes on
// and never stops, the other one stops what it runs. Healed, both run again.
func TestQuorumLinkCut(t *testing.T) {
	c := twoNodes(t)
	coordinator := dc(t, c)
	began := time.Now()
	must(t, c.Lab.Partition([]*lab.Host{c.Nodes[0].Host}, []*lab.Host{c.Nodes[1].Host}))
	on, _ := split(t, c)
	if on != coordinator {
		t.Errorf("%s goes on, and not the DC %s", on.Name, coordinator.Name)
	}
	if v := arbitrated(t, c); len(v.Clusters[0].Holder) != 1 || v.Clusters[0].Holder[0] != on.Name {
		t.Errorf("the arbitrator says that %v has the grant", v.Clusters[0].Holder)
	}
	backTogether(t, c)
	until(t, 20*time.Second, "one event says that the arbitrator decided", func() string {
		if n := len(eventsOf(t, on, event.QuorumByDevice, "", began)); n != 1 {
			return fmt.Sprint(n)
		}
		return ""
	})
}

// The power of one node fails: the other one goes on, by the arbitrator's grant.
func TestQuorumNodeOff(t *testing.T) {
	c := twoNodes(t)
	victim, other := c.Nodes[0], c.Nodes[1]
	must(t, victim.Host.PowerOff())
	until(t, 20*time.Second, "the other one goes on", func() string {
		l, err := other.Client().Local(t.Context())
		switch {
		case err != nil:
			return err.Error()
		case !l.Valid || !l.Quorate || !strings.Contains(l.Quorum, "quorumd q: have"):
			return l.Quorum
		}
		return ""
	})
	if n := countRuns(t, c, "on-"+other.Name, cib.OpStop); n > 0 {
		t.Errorf("the resource of %s was stopped:\n%s", other.Name, traceOf(t, c, "on-"+other.Name))
	}
	must(t, victim.Host.PowerOn(deadline(t, 20*time.Second)))
	backTogether(t, c)
}

// The arbitrator is down: nothing happens as long as the nodes hear each other, and
// an alarm says so. When they lose each other too, both stop: that is the safe side.
// The arbitrator's return gives one of them the right to go on.
func TestQuorumArbitratorDown(t *testing.T) {
	c := twoNodes(t)
	began := time.Now()
	c.Quorumd.Kill()
	wait(t, c, 30*time.Second, "an alarm says that the arbitrator is gone", func(s *status.Summary) string {
		for _, a := range s.Alarms {
			if a.Code == event.Get(event.QuorumDeviceFailed).Code() {
				return ""
			}
		}
		return "no alarm"
	})
	for _, n := range c.Nodes {
		if runs := countRuns(t, c, "on-"+n.Name, cib.OpStop); runs > 0 {
			t.Errorf("the resource of %s was stopped without a reason", n.Name)
		}
	}
	must(t, c.Lab.Partition([]*lab.Host{c.Nodes[0].Host}, []*lab.Host{c.Nodes[1].Host}))
	until(t, 30*time.Second, "both have stopped", func() string {
		for _, n := range c.Nodes {
			l, err := n.Client().Local(t.Context())
			if err != nil || l.Quorate || l.Valid {
				return n.Name + " goes on"
			}
			if countRuns(t, c, "on-"+n.Name, cib.OpStop) == 0 {
				return "the resource of " + n.Name + " runs"
			}
		}
		return ""
	})
	must(t, c.Quorumd.Start())
	until(t, 30*time.Second, "one of them may go on", func() string {
		quorate := 0
		for _, n := range c.Nodes {
			if l, err := n.Client().Local(t.Context()); err == nil && l.Quorate {
				quorate++
			}
		}
		if quorate != 1 {
			return "quorate: " + strings.Repeat("I", quorate)
		}
		return ""
	})
	backTogether(t, c)
	wait(t, c, 30*time.Second, "the alarm is over", calm)
	if len(eventsOf(t, c.Nodes[0], event.QuorumDeviceFailed, "", began)) == 0 {
		t.Error("no event says that the arbitrator did not answer")
	}
}

// The node that leads is cut off from everything: the other one goes on, and the
// first one stops on its own.
func TestQuorumCutOff(t *testing.T) {
	c := twoNodes(t)
	lone := dc(t, c)
	other := c.Others(lone)[0]
	must(t, c.Lab.Partition([]*lab.Host{lone.Host}, []*lab.Host{other.Host, c.Quorumd.Host}))
	until(t, 30*time.Second, "the other one goes on, the lone one has stopped", func() string {
		l, err := other.Client().Local(t.Context())
		if err != nil {
			return err.Error()
		}
		if !l.Valid || !strings.Contains(l.Quorum, "quorumd q: have") {
			return other.Name + ": " + l.Quorum
		}
		if l, err = lone.Client().Local(t.Context()); err != nil {
			return err.Error()
		}
		if l.Valid || l.Quorate {
			return lone.Name + ": " + l.Quorum
		}
		if countRuns(t, c, "on-"+lone.Name, cib.OpStop) == 0 {
			return "the resource of " + lone.Name + " runs"
		}
		return ""
	})
	if n := countRuns(t, c, "on-"+other.Name, cib.OpStop); n > 0 {
		t.Errorf("the resource of %s was stopped:\n%s", other.Name, traceOf(t, c, "on-"+other.Name))
	}
	backTogether(t, c)
}

// A lease on a shared file decides instead of an arbitrator.
func TestQuorumDisk(t *testing.T) {
	grace := cib.Duration(2 * time.Second)
	c := start(t, cluster.Config{Nodes: 2, Options: cib.Options{StopGrace: &grace, WatchdogTimeout: cib.Duration(time.Second), Detection: cib.Duration(2 * time.Second)}})
	must(t, os.WriteFile(filepath.Join(c.Lab.Shared(), "lease"), nil, 0o600))
	_, err := c.Nodes[0].Create(deadline(t, 20*time.Second), "quorum-device/d", &cib.QuorumDevice{
		Kind: cib.QuorumDeviceDisk, Parameters: map[string]string{"device": "/shared/lease", "lease": "10s"},
	})
	must(t, err)
	wait(t, c, 20*time.Second, "no alarm", calm)
	must(t, c.Lab.Partition([]*lab.Host{c.Nodes[0].Host}, []*lab.Host{c.Nodes[1].Host}))
	until(t, 30*time.Second, "one of them goes on", func() string {
		have, not := 0, 0
		for _, n := range c.Nodes {
			l, err := n.Client().Local(t.Context())
			switch {
			case err != nil:
				return err.Error()
			case l.Valid && l.Quorate && strings.Contains(l.Quorum, "disk d: have"):
				have++
			case !l.Valid && strings.Contains(l.Quorum, "disk d: no"):
				not++
			}
		}
		if have > 1 {
			t.Fatal("both go on")
		}
		if have != 1 || not != 1 {
			return fmt.Sprint(have, " go on, ", not, " are refused")
		}
		return ""
	})
	must(t, c.Lab.Heal())
	wait(t, c, 60*time.Second, "all is well", func(s *status.Summary) string { return cluster.Online(s, c.Names()...) })
}
