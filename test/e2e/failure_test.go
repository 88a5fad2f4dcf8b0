package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// A web server that dies is found by its monitor and started again where it was;
// at the second time its threshold is reached and it moves; after a cleanup the
// node is as good as before.
func TestAgentFailure(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	ctx := deadline(t, 2*time.Minute)
	_, err := c.Nodes[0].Change(ctx, api.ActionPatch, "resource/www", map[string]any{"meta": map[string]any{"migration-threshold": 2}})
	must(t, err)
	owner := ownerOf(t, c, w.Group)
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	kill := func() lab.Gap {
		t.Helper()
		_, err := watch.WaitAnswer(ctx, time.Now())
		must(t, err)
		at := time.Now()
		_, err = owner.Host.Exec(ctx, "pkill", "-9", "-x", "nginx")
		must(t, err)
		gap, err := watch.WaitRecovery(ctx, at, 50*time.Millisecond)
		must(t, err)
		return gap
	}
	began := time.Now()
	gap := kill()
	t.Logf("restarted in place after %s", gap.Duration())
	wait(t, c, 20*time.Second, "the first failure is counted", func(s *status.Summary) string {
		if n := s.Resource("www").FailCount; n != 1 {
			return "fail count " + n.String()
		}
		return cluster.Running(s, w.Group, owner.Name)
	})
	failed := eventsOf(t, c.Nodes[0], event.ResourceFailed, owner.Name, began)
	if len(failed) != 1 || failed[0].Resource != "www" || failed[0].Args["op"] != "monitor" {
		t.Errorf("events of the failure: %+v", failed)
	}
	gap = kill()
	t.Logf("moved after %s", gap.Duration())
	wait(t, c, 20*time.Second, "the service has moved", func(s *status.Summary) string {
		return cluster.Running(s, w.Group, names(c.Others(owner))...)
	})
	// As long as the failures stand, the node is not eligible.
	x, err := c.Nodes[0].Client().Explain(ctx, "www")
	must(t, err)
	t.Logf("explanation: %+v", x)
	_, err = c.Nodes[0].Change(ctx, api.ActionCleanup, "resource/www", nil)
	must(t, err)
	wait(t, c, 20*time.Second, "the failures are forgotten", func(s *status.Summary) string {
		if n := s.Resource("www").FailCount; n != 0 {
			return "fail count " + n.String()
		}
		return calm(s)
	})
	if where := ownerOf(t, c, w.Group); where == owner {
		t.Errorf("the service went back to %s by itself", owner.Name)
	}
	move(t, c, w.Group, owner.Name)
	if cfg, err := c.Nodes[0].Client().Config(ctx); err != nil {
		t.Error(err)
	} else if len(cfg.Config.Constraints) > 0 {
		wait(t, c, 10*time.Second, "the move leaves nothing behind", func(*status.Summary) string {
			if cfg, err := c.Nodes[0].Client().Config(ctx); err != nil || len(cfg.Config.Constraints) > 0 {
				return "a constraint"
			}
			return ""
		})
	}
	if n := len(eventsOf(t, c.Nodes[0], event.FencingRequested, "", began)); n != 0 {
		t.Errorf("%d fencing requests", n)
	}
}

// One of two links is lost, in one or both directions: an alarm, and nothing else.
func TestLinkLoss(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	coordinator := dc(t, c)
	if ownerOf(t, c, w.Group) == coordinator {
		move(t, c, w.Group, c.Others(coordinator)[0].Name)
	}
	victim := c.Others(coordinator, ownerOf(t, c, w.Group))[0]
	view := state(t, c).Cluster.View
	began := time.Now()
	down := func(node, peer *cluster.Node, link int) func(*status.Summary) string {
		return func(s *status.Summary) string {
			for _, l := range s.Links {
				if l.Node == node.Name && l.Peer == peer.Name && l.Link == link {
					if l.State != status.LinkDown {
						return "the link is " + l.State.String()
					}
					return hasAlarm(s, event.LinkDown)
				}
			}
			return "no link is shown"
		}
	}
	owner := ownerOf(t, c, w.Group)
	watch := c.Lab.WatchHTTP(w.URL)
	t.Cleanup(watch.Stop)
	must(t, errors.Join(victim.Host.Isolate(1), c.Lab.Drop(owner.Host, coordinator.Host, 0)))
	wait(t, c, 30*time.Second, "link 1 of "+victim.Name+" is cut both ways: alarm", down(coordinator, victim, 1))
	wait(t, c, 30*time.Second, "link 0 is cut one way: alarm", down(coordinator, owner, 0))
	must(t, errors.Join(victim.Host.Rejoin(1), c.Lab.Undrop(owner.Host, coordinator.Host, 0)))
	wait(t, c, 30*time.Second, "healed", calm)
	must(t, victim.Host.Unplug(0))
	wait(t, c, 30*time.Second, "the cable of link 0 is pulled: alarm", down(victim, coordinator, 0))
	must(t, victim.Host.Plug(0))
	wait(t, c, 30*time.Second, "healed", calm)
	if now := state(t, c).Cluster.View; now != view {
		t.Errorf("the view changed from %d to %d", view, now)
	}
	for _, number := range []int{event.NodeLost, event.FencingRequested, event.ViewChanged, event.QuorumLost} {
		if evs := eventsOf(t, coordinator, number, "", began); len(evs) > 0 {
			t.Errorf("event: %s", evs[0].Text)
		}
	}
	// The address of the service is on link 0 of another node.
	if gaps := watch.Gaps(time.Second); len(gaps) > 0 {
		t.Errorf("the service was away: %v", gaps)
	}
}

// hasAlarm says that an alarm is missing, or "".
func hasAlarm(s *status.Summary, number int) string {
	code := event.Get(number).Code()
	var there []string
	for _, a := range s.Alarms {
		if a.Code == code {
			return ""
		}
		there = append(there, a.Code+" "+a.Text)
	}
	return "no alarm " + code + ", but " + strings.Join(there, "; ")
}

// The DC, which runs the service, is cut off on all links while the power switch
// is slow: it stops the service by itself, the others fence it and take over, and
// nothing is active twice.
func TestIsolation(t *testing.T) {
	c := start(t, cluster.Config{})
	w := startWeb(t, c)
	coordinator := dc(t, c)
	move(t, c, w.Group, coordinator.Name)
	const slow = 6 * time.Second // a call; the order comes after the question
	c.PDU.SetFault(lab.PDUFault{Delay: slow})
	seen := observe(t, c, w)
	cut := time.Now()
	must(t, coordinator.Host.Isolate())
	boots := coordinator.Host.Boots()
	until(t, 15*time.Second, "the isolated node has stopped the service by itself", func() string {
		active, err := w.Active(t.Context(), coordinator.Host)
		if err != nil {
			return err.Error()
		}
		return strings.Join(active, ", ")
	})
	t.Logf("%s after the cut", time.Since(cut).Round(time.Millisecond))
	if coordinator.Host.Boots() != boots {
		t.Error("it was fenced before")
	}
	local, err := coordinator.Client().Local(t.Context())
	must(t, err)
	if local.Valid || local.Quorate {
		t.Errorf("the isolated node believes that it may act: %+v", local)
	}
	// A short deadline: the outcome is to be recorded before the power is cut.
	if _, err := coordinator.Client().Change(deadline(t, 2*time.Second), &api.Change{Action: api.ActionMaintenanceOn, Object: "cluster"}); err == nil {
		t.Error("the isolated node accepts a change")
	}
	must(t, cluster.WaitOn(deadline(t, 60*time.Second), c.Others(coordinator), "the service runs elsewhere", func(s *status.Summary) string {
		return cluster.Running(s, w.Group, names(c.Others(coordinator))...)
	}))
	if twice := seen(); len(twice) > 0 {
		t.Errorf("active on two hosts at once: %v", twice)
	}
	c.PDU.SetFault(lab.PDUFault{})
	must(t, coordinator.Host.Rejoin())
	rejoin(t, c, coordinator)
}

// observe looks at the hosts themselves all the time, and tells at the end when
// the service was active on more than one.
func observe(t *testing.T, c *cluster.Cluster, w *cluster.Web) (stop func() []string) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []string)
	go func() {
		var twice []string
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			var on []string
			for _, n := range c.Nodes {
				if active, err := w.Active(ctx, n.Host); err == nil && len(active) > 0 {
					on = append(on, n.Name+": "+strings.Join(active, ", "))
				}
			}
			if len(on) > 1 {
				twice = append(twice, time.Now().Format(time.StampMilli)+" "+strings.Join(on, "; "))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		done <- twice
	}()
	return func() []string { cancel(); return <-done }
}
