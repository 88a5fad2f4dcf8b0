package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// The fence device fails: it is tried again and again, an alarm tells, and nothing
// is recovered, until a person confirms. The confirmation is refused as long as the
// node is heard.
func TestFenceFailure(t *testing.T) {
	// With another policy the victim stops the service by itself, and says so.
	c := start(t, cluster.Config{Options: cib.Options{NoQuorumPolicy: cib.NoQuorumFreeze}})
	w := startWeb(t, c)
	coordinator := dc(t, c)
	victim := c.Others(coordinator)[0]
	witness := c.Others(coordinator, victim)[0]
	move(t, c, w.Group, victim.Name)
	confirm := func(on *cluster.Node) error {
		_, err := on.Client().Change(deadline(t, 20*time.Second), &api.Change{Action: api.ActionConfirm, Object: "node/" + victim.Name})
		return err
	}
	if err := confirm(coordinator); !isProblem(err, api.CodeStillAlive) {
		t.Errorf("the death of a member was confirmed: %v", err)
	}
	c.PDU.SetFault(lab.PDUFault{Fail: true})
	// The DC does not hear it any more; the witness does.
	must(t, errors.Join(c.Lab.Drop(victim.Host, coordinator.Host), c.Lab.Drop(coordinator.Host, victim.Host)))
	began := time.Now()
	others := c.Others(victim)
	must(t, cluster.WaitOn(deadline(t, 40*time.Second), others, "two attempts have failed", func(s *status.Summary) string {
		if why := hasAlarm(s, event.FencingFailed); why != "" {
			return why
		}
		for _, f := range s.Fencing {
			if f.Target == victim.Name && f.Attempts >= 2 {
				return ""
			}
		}
		return "attempts"
	}))
	if err := confirm(witness); !isProblem(err, api.CodeStillAlive) {
		t.Errorf("the death of a node that is heard was confirmed: %v", err)
	}
	must(t, victim.Host.PowerOff())
	// Nobody knows that. Whatever is tried, nothing is started.
	must(t, cluster.WaitOn(deadline(t, 60*time.Second), others, "two more attempts have failed", func(s *status.Summary) string {
		for _, f := range s.Fencing {
			if f.Target == victim.Name && f.Attempts >= 4 {
				return ""
			}
		}
		return "attempts"
	}))
	for _, n := range others {
		active, err := w.Active(t.Context(), n.Host)
		must(t, err)
		if len(active) > 0 {
			t.Errorf("recovered on %s without a proof: %v", n.Name, active)
		}
	}
	until(t, 20*time.Second, "the confirmation is accepted", func() string {
		if err := confirm(witness); err != nil {
			return err.Error()
		}
		return ""
	})
	must(t, cluster.WaitOn(deadline(t, 40*time.Second), others, "the service is recovered", func(s *status.Summary) string {
		return cluster.Running(s, w.Group, names(others)...)
	}))
	snap, err := coordinator.Client().Snapshot(t.Context())
	must(t, err)
	human := 0
	for _, p := range snap.Status.Proofs {
		if p.Target == victim.Name && p.Kind == cib.ProofHuman && p.By != "" {
			human++
		}
	}
	if human != 1 {
		t.Errorf("%d proofs by a named human", human)
	}
	if n := len(eventsOf(t, coordinator, event.NodeConfirmed, victim.Name, began)); n != 1 {
		t.Errorf("%d confirmations are told", n)
	}
	c.PDU.SetFault(lab.PDUFault{})
	must(t, c.Lab.Heal())
	rejoin(t, c, victim)
}

// The power switch claims that a node is off, and it is not: when the node is heard
// again, the proof is void, and the node is fenced again.
func TestFenceLie(t *testing.T) {
	c := start(t, cluster.Config{})
	victim := c.Others(dc(t, c))[0]
	boots := victim.Host.Boots()
	c.PDU.SetFault(lab.PDUFault{Lie: true})
	began := time.Now()
	must(t, victim.Host.Isolate())
	others := c.Others(victim)
	must(t, cluster.WaitOn(deadline(t, 40*time.Second), others, "the node counts as fenced", func(s *status.Summary) string {
		if st := s.Node(victim.Name).State; st != status.NodeFenced {
			return st.String()
		}
		return ""
	}))
	if victim.Host.Boots() != boots {
		t.Fatal("the power switch did not lie")
	}
	c.PDU.SetFault(lab.PDUFault{Fail: true})
	must(t, victim.Host.Rejoin())
	until(t, 40*time.Second, "the proof is void", func() string {
		if len(eventsOf(t, others[0], event.ProofVoid, victim.Name, began)) == 0 {
			return "no event"
		}
		return ""
	})
	must(t, cluster.WaitOn(deadline(t, 20*time.Second), others, "an alarm tells", func(s *status.Summary) string { return hasAlarm(s, event.ProofVoid) }))
	snap, err := others[0].Client().Snapshot(t.Context())
	must(t, err)
	void := 0
	for _, p := range snap.Status.Proofs {
		if p.Target == victim.Name && p.Void != "" {
			void++
		}
	}
	if void != 1 {
		t.Errorf("%d proofs are void", void)
	}
	c.PDU.SetFault(lab.PDUFault{})
	until(t, 60*time.Second, "the node is really fenced", func() string {
		if victim.Host.Boots() == boots {
			return "it runs on"
		}
		return ""
	})
	wait(t, c, 60*time.Second, "all are back", func(s *status.Summary) string { return cluster.Online(s, c.Names()...) })
}

// isProblem reports whether an error is a problem with a code.
func isProblem(err error, code string) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Code == code
}
