package node

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// ticketWorld is a cluster of one node around its store, and a resource that needs
// ticket web of arbitrator q.
type ticketWorld struct {
	t       *testing.T
	n       *Node
	now     time.Time
	snap    *cib.Snapshot
	mod     map[string]int64
	stalled bool // the store takes nothing, and says nothing
	badStop bool
	runs    bool // the resource does
	reset   bool // the node has reset itself
	want    []TicketWant
	codes   []string // of events
}

const (
	ticketExpiry = time.Minute
	ticketAfter  = 3 * time.Minute
)

func newTicketWorld(t *testing.T) *ticketWorld {
	w := &ticketWorld{t: t, now: time.Unix(1000, 0), snap: cib.Empty(), mod: map[string]int64{}}
	no, fast := false, cib.Duration(time.Second)
	w.put(cib.KeyCluster, &cib.Cluster{Name: "a", Options: cib.Options{FencingRequired: &no, StopGrace: &fast}})
	w.put(cib.KeyConfigGen, &cib.ConfigGeneration{Number: 1})
	w.put(cib.KeyNode+"n1", &cib.Node{ID: 1, Voter: true})
	w.put(cib.KeyQuorumDevice+"q", &cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd, Parameters: map[string]string{"servers": "q1", "fingerprint": "sha256:x"}})
	w.put(cib.KeyResource+"web", &cib.Resource{Agent: "ocf:belay:Test", Operations: []cib.Operation{
		{Name: cib.OpStart, Timeout: cib.Duration(10 * time.Second)}, {Name: cib.OpStop, Timeout: cib.Duration(10 * time.Second)},
	}})
	w.put(cib.KeyConstraint+"t", &cib.Constraint{Ticket: &cib.TicketConstraint{Resource: "web", Ticket: "web"}})
	w.put(cib.KeyTicket+"web", &cib.Ticket{Granted: true, Arbitrator: "q"})
	w.put(cib.KeyDataGen, &cib.DataGeneration{Number: 1, Nonce: 1})
	w.put(cib.KeyVoters, &cib.VoterSet{Epoch: 1, Voters: []string{"n1"}})
	w.boot()
	return w
}

// boot starts the engine of the node anew.
func (w *ticketWorld) boot() {
	w.n = New(Setup{Name: "n1", Incarnation: uint64(w.now.Unix()), BootID: "b", Cores: 1, Rand: rand.New(rand.NewPCG(1, 1))}, w.now)
	w.step(Changed{Snap: w.snap})
}

func (w *ticketWorld) put(key string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	rev := w.snap.Revision + 1
	w.mod[key] = rev
	w.snap = w.snap.Apply([]cib.KV{{Key: key, Value: b, ModRev: rev}}, rev)
}

// change is a change of the configuration.
func (w *ticketWorld) change(key string, v any) {
	w.put(key, v)
	w.put(cib.KeyConfigGen, &cib.ConfigGeneration{Number: w.snap.ConfigGen.Number + 1})
	w.step(Changed{Snap: w.snap})
}

// step passes an event to the node, and does what it wants done.
func (w *ticketWorld) step(ev Event) {
	for queue := []Event{ev}; len(queue) > 0; {
		ev, queue = queue[0], queue[1:]
		for _, e := range w.n.Step(w.now, ev) {
			switch e := e.(type) {
			case Commit:
				queue = append(queue, w.commit(&e)...)
			case Run:
				queue = append(queue, w.run(&e))
			case Tickets:
				w.want = e.Want
			case SelfFence:
				w.reset = true
			case Emit:
				w.codes = append(w.codes, e.Event.Code)
			}
		}
	}
}

func (w *ticketWorld) commit(c *Commit) []Event {
	if w.stalled {
		return []Event{Committed{ID: c.ID, Outcome: Unknown}}
	}
	for _, x := range c.Txn.If {
		if w.mod[x.Key] != x.ModRev {
			return []Event{Committed{ID: c.ID, Outcome: Refused}}
		}
	}
	rev := w.snap.Revision + 1
	var kvs []cib.KV
	for _, p := range c.Txn.Put {
		if ev, ok := p.Value.(*cib.Event); ok {
			w.codes = append(w.codes, ev.Code)
			continue
		}
		b, err := json.Marshal(p.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		w.mod[p.Key] = rev
		kvs = append(kvs, cib.KV{Key: p.Key, Value: b, ModRev: rev})
	}
	for _, key := range c.Txn.Delete {
		delete(w.mod, key)
		kvs = append(kvs, cib.KV{Key: key})
	}
	w.snap = w.snap.Apply(kvs, rev)
	return []Event{Committed{ID: c.ID, Outcome: Done, Rev: rev}, Changed{Snap: w.snap}}
}

func (w *ticketWorld) run(r *Run) Event {
	res := AgentResult{Status: cib.OpDone, Started: w.now, Ended: w.now}
	switch r.Action.Op {
	case cib.OpStart:
		w.runs = true
	case cib.OpStop:
		if w.badStop {
			res.RC = 1
		} else {
			w.runs = false
		}
	case cib.OpMonitor:
		if !w.runs {
			res.RC = 7 // OCF_NOT_RUNNING
		}
	}
	return AgentDone{Run: r.Run, Result: res}
}

// pass lets time pass until a condition holds, at most for some time, and returns how
// long that took. Each second the arbitrator renews what it is asked to, if it can.
func (w *ticketWorld) pass(limit time.Duration, renew uint64, until func() bool) time.Duration {
	w.t.Helper()
	for at := time.Duration(0); at <= limit; at += 200 * time.Millisecond {
		w.step(Tick{Wall: w.now})
		if renew > 0 && at%time.Second == 0 && len(w.want) > 0 && w.want[0].Wish != TicketRelease {
			w.say(Ticketed{Held: true, Term: renew, Sent: w.now, Expiry: ticketExpiry, After: ticketAfter})
		}
		if until() {
			return at
		}
		w.now = w.now.Add(200 * time.Millisecond)
	}
	if limit == 0 {
		w.t.Fatal("it does not hold")
	}
	w.t.Fatalf("not within %s: the resource runs: %t, the ticket is %+v, wanted %v", limit, w.runs, w.snap.Status.Tickets["web"], w.want)
	return 0
}

func (w *ticketWorld) say(ev Ticketed) {
	ev.Device, ev.Ticket = "q", "web"
	w.step(ev)
}

func (w *ticketWorld) running() bool { return w.runs }
func (w *ticketWorld) stopped() bool { return !w.runs }

func (w *ticketWorld) wish() TicketWish {
	if len(w.want) != 1 || w.want[0].Ticket != "web" || w.want[0].Device != "q" {
		return 0
	}
	return w.want[0].Wish
}

func (w *ticketWorld) told(number int) int {
	return len(slices.DeleteFunc(slices.Clone(w.codes), func(c string) bool { return c != event.Get(number).Code() }))
}

// What needs a ticket runs while the arbitrator renews it. Without renewals it is
// stopped by the cluster's own clock, so long before another cluster can get the
// ticket that each way to stop it has its time; and it is started again when the
// ticket is back.
func TestTicketRunsOut(t *testing.T) {
	w := newTicketWorld(t)
	w.pass(30*time.Second, 0, func() bool { return w.wish() == TicketHold })
	if w.runs {
		t.Fatal("it runs without the ticket")
	}
	w.pass(time.Minute, 4, w.running)
	if st := w.snap.Status.Tickets["web"]; !st.Held || st.Term != 4 || w.told(event.TicketHeld) != 1 {
		t.Errorf("%+v, and events %v", st, w.codes)
	}
	writes, last, end := 0, w.mod[cib.KeyTicketStatus+"web"], w.now.Add(5*time.Minute)
	w.pass(6*time.Minute, 4, func() bool {
		if rev := w.mod[cib.KeyTicketStatus+"web"]; rev != last {
			writes, last = writes+1, rev
		}
		return w.now.After(end)
	})
	if !w.runs || writes < 10 || writes > 40 {
		t.Errorf("after five minutes it runs: %t, and its 300 renewals were written %d times", w.runs, writes)
	}
	renewed := w.n.tickets.said["web"].Sent
	w.pass(2*time.Minute, 0, w.stopped)
	lease := w.snap.TicketLease("web", ticketExpiry, ticketAfter)
	if held := w.now.Sub(renewed); held < lease || held > lease+time.Second {
		t.Errorf("stopped %s after the last renewal, not %s", held, lease)
	}
	free := renewed.Add(ticketExpiry + ticketAfter)
	if left, need := free.Sub(w.now), w.snap.TicketReserve("web"); left < need {
		t.Errorf("another cluster could get it %s after that, and stopping may take %s", left, need)
	}
	if st := w.snap.Status.Tickets["web"]; st.Held || !strings.Contains(st.Reason, "not renewed in time") || w.told(event.TicketLost) != 1 || w.reset {
		t.Errorf("%+v, and events %v", st, w.codes)
	}
	w.pass(time.Minute, 4, w.running)
}

// A new DC goes on with what the one before has written down, and no longer.
func TestTicketNextDC(t *testing.T) {
	w := newTicketWorld(t)
	w.pass(time.Minute, 1, w.running)
	end := w.n.ticketUntil("web")
	w.now = w.now.Add(5 * time.Second)
	w.boot()
	w.pass(30*time.Second, 0, func() bool { return w.wish() == TicketHold && len(w.n.activeHere()) == 1 })
	if !w.runs || w.n.ticketUntil("web").After(end.Add(time.Second)) {
		t.Errorf("it runs: %t, until %s, and the DC before said %s", w.runs, w.n.ticketUntil("web"), end)
	}
	w.pass(2*time.Minute, 0, w.stopped)
	if late := w.now.Sub(end); late < -time.Second || late > 2*time.Second {
		t.Errorf("stopped %s after the end that the DC before knew", late)
	}
	// Much later, with all engines new, what is written down is worth nothing.
	w.pass(time.Minute, 2, w.running)
	w.now = w.now.Add(time.Hour)
	w.runs = false
	w.boot()
	w.pass(10*time.Second, 0, func() bool {
		if w.runs {
			t.Fatal("it was started on the ground of an old ticket")
		}
		st := w.snap.Status.Tickets["web"]
		return !st.Held
	})
}

// The store stalls, and nobody renews: the node stops by itself what needs the ticket;
// what it cannot stop ends with the machine, both before another cluster can have it.
func TestTicketStoreStalls(t *testing.T) {
	for _, bad := range []bool{false, true} {
		w := newTicketWorld(t)
		w.pass(time.Minute, 1, w.running)
		renewed := w.n.tickets.said["web"].Sent
		w.stalled, w.badStop = true, bad
		w.step(StoreState{})
		w.pass(10*time.Minute, 0, func() bool { return !w.runs || w.reset })
		if left := renewed.Add(ticketExpiry + ticketAfter).Sub(w.now); left < 0 || w.reset != bad {
			t.Errorf("stop fails: %t; it runs: %t, reset: %t, %s before another cluster can get it", bad, w.runs, w.reset, left)
		}
	}
}

// A ticket that people take away, here or at the arbitrator, is given back when what
// needs it has stopped, and not before.
func TestTicketRevoked(t *testing.T) {
	w := newTicketWorld(t)
	w.pass(time.Minute, 1, w.running)
	w.badStop = true
	w.change(cib.KeyTicket+"web", &cib.Ticket{Arbitrator: "q"})
	w.pass(time.Second, 1, func() bool { return w.wish() == TicketKeep })
	if w.told(event.TicketLost) != 1 {
		t.Errorf("events %v", w.codes)
	}
	w.runs, w.badStop = false, false
	id := cib.HistoryKey("n1", "web")
	w.put(id, &cib.History{Instance: "web", Resource: "web", BootID: "b", Ops: []cib.OpResult{{Op: cib.OpStop, Seq: 9, Status: cib.OpDone}}})
	w.step(Changed{Snap: w.snap})
	w.pass(10*time.Second, 0, func() bool { return w.wish() == TicketRelease })
	w.say(Ticketed{Freed: true})
	w.change(cib.KeyTicket+"web", &cib.Ticket{Arbitrator: "q", Granted: true})
	w.pass(10*time.Second, 0, func() bool { return w.wish() == TicketHold })

	w.pass(time.Minute, 2, w.running)
	w.say(Ticketed{Revoked: true, Refused: "it was revoked", Term: 2})
	w.pass(time.Second, 0, w.stopped)
	w.pass(time.Second, 0, func() bool { return w.wish() == TicketRelease })
	w.say(Ticketed{Freed: true})
	w.pass(time.Second, 0, func() bool { return w.wish() == TicketHold })
	w.say(Ticketed{Revoked: true, Refused: "it was revoked"})
	if w.wish() != TicketHold {
		t.Errorf("what was given back is given back again")
	}
	w.say(Ticketed{Refused: "b has it", Holder: "b"})
	w.pass(time.Second, 0, func() bool { return w.snap.Status.Tickets["web"].Holder == "b" })
}

// An arbitrator that gives the ticket to another cluster too soon is of no use: that
// is said, and nothing runs.
func TestTicketTimes(t *testing.T) {
	w := newTicketWorld(t)
	w.pass(30*time.Second, 0, func() bool { return w.wish() == TicketHold })
	w.say(Ticketed{Held: true, Term: 1, Sent: w.now, Expiry: 10 * time.Second, After: 10 * time.Second})
	w.pass(10*time.Second, 0, func() bool { return w.told(event.TicketTimes) == 1 })
	if st := w.snap.Status.Tickets["web"]; w.runs || st.Held || !strings.Contains(st.Reason, "acquire-after") {
		t.Errorf("it runs: %t; %+v", w.runs, st)
	}
}
