package daemon

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/quorumd"
	"github.com/belay-ha/belay/engine/quorumd/client"
)

// arbiters talks to the tie-breakers that the configuration names, on voters: one
// worker each, which is told what this node claims and tells the node what it says.
type arbiters struct {
	*engine
	poke chan struct{}

	mu      sync.Mutex
	claim   node.Claim
	tickets []node.TicketWant
	work    map[string]*arbiter
}

// arbiter is the worker of one tie-breaker.
type arbiter struct {
	id     string
	device cib.QuorumDevice
	params cib.QuorumDeviceParams
	claims chan node.Claim        // holds the newest claim not yet taken
	wants  chan []node.TicketWant // holds the newest wishes not yet taken
	// ticketsChanged has something in it when the client knows news.
	ticketsChanged chan struct{}

	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	quorumd *client.Client // of kind quorumd
}

func newArbiters(e *engine) *arbiters {
	return &arbiters{engine: e, poke: make(chan struct{}, 1), work: map[string]*arbiter{}}
}

// consult passes on what this node claims.
func (a *arbiters) consult(c node.Claim) {
	a.mu.Lock()
	a.claim = c
	for _, w := range a.work {
		replace(w.claims, c)
	}
	a.mu.Unlock()
	replace(a.poke, struct{}{})
}

// alone reports whether the tie-breakers are asked, or this node is the only voter:
// who may have to go on alone with the store.
func (a *arbiters) alone() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.claim.Tie || a.claim.Voter && len(a.claim.Voters) == 1
}

// run keeps one worker for each tie-breaker until ctx ends.
func (a *arbiters) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := a.changed.wait()
		a.arrange(ctx)
		select {
		case <-ctx.Done():
		case <-next:
		case <-a.poke:
		}
	}
	a.end(func(*arbiter) bool { return true })
}

// end ends workers, and waits for them: not while the owner of the node could have
// to wait as well.
func (a *arbiters) end(which func(*arbiter) bool) {
	var over []*arbiter
	a.mu.Lock()
	for id, w := range a.work {
		if which(w) {
			over = append(over, w)
			delete(a.work, id)
		}
	}
	a.mu.Unlock()
	for _, w := range over {
		w.cancel()
		<-w.ended
	}
}

// arrange starts and ends workers as the newest configuration says.
func (a *arbiters) arrange(ctx context.Context) {
	s := a.snap.Load()
	if s == nil {
		return
	}
	a.mu.Lock()
	voter := a.claim.Voter
	a.mu.Unlock()
	want := map[string]*arbiter{}
	for id, d := range s.Config.QuorumDevices { // their order does not matter
		if !voter || d.Kind == cib.QuorumDeviceNode {
			continue
		}
		p, err := d.Params(&s.Config.Cluster.Options)
		if err != nil {
			continue // refused before it is committed; an older engine's may be
		}
		p.Handover = max(p.Handover, s.LoserTime())
		want[id] = &arbiter{id: id, device: *d, params: p, claims: make(chan node.Claim, 1), wants: make(chan []node.TicketWant, 1), ticketsChanged: make(chan struct{}, 1), ended: make(chan struct{})}
	}
	a.end(func(w *arbiter) bool {
		n := want[w.id]
		return n == nil || !reflect.DeepEqual(n.params, w.params) || n.device.Kind != w.device.Kind
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, w := range want {
		if a.work[id] != nil {
			continue
		}
		var wctx context.Context
		wctx, w.cancel = context.WithCancel(ctx)
		replace(w.claims, a.claim)
		replace(w.wants, ticketsAt(a.tickets, id))
		a.work[id] = w
		go func() {
			defer close(w.ended)
			a.serve(wctx, w)
		}()
	}
}

// serve talks to one tie-breaker until ctx ends.
func (a *arbiters) serve(ctx context.Context, w *arbiter) {
	a.log.Info("tie-breaker", "device", w.id, "kind", w.device.Kind.String())
	if b := a.breaker(w); b != nil {
		a.serveAsked(ctx, w, b)
		return
	}
	a.serveQuorumd(ctx, w)
}

// serveQuorumd keeps a connection to belay-quorumd and passes its answers on.
func (a *arbiters) serveQuorumd(ctx context.Context, w *arbiter) {
	cluster := w.params.Cluster
	if cluster == "" {
		cluster = a.local.Cluster
	}
	c := client.New(client.Config{
		Addresses: w.params.Servers, Pins: w.params.Pins, Cert: a.id.Pinnable(), Cluster: cluster, Node: a.local.Node,
		Incarnation: a.setup.Incarnation, Interval: w.params.Interval, Now: a.clock.now,
	})
	w.mu.Lock()
	w.quorumd = c
	w.mu.Unlock()
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	running.Go(func() { a.serveTickets(ctx, w, c) })
	defer running.Wait()
	failing := time.NewTimer(time.Hour)
	defer failing.Stop()
	var told node.Arbitrated
	began := a.clock.now()
	for {
		select {
		case <-ctx.Done():
			return
		case claim := <-w.claims:
			c.Set(client.Claim{
				Generation: quorumd.Generation(claim.Generation), Epoch: claim.Epoch, Voters: claim.Voters, Present: claim.Present, Episode: claim.Episode,
				Want: claim.Tie, Lease: w.params.Lease, Handover: w.params.Handover, Quorate: claim.Quorate,
			})
		case <-c.Changed():
			replace(w.ticketsChanged, struct{}{})
		case <-failing.C:
		}
		ev := a.saidByQuorumd(w, c.Status(), began)
		if !c.Status().Connected {
			failing.Reset(w.params.Interval)
		}
		if ev != told {
			told = ev
			a.tell(ctx, ev)
		}
	}
}

// saidByQuorumd puts what is known of an arbitrator into the words of the node.
func (a *arbiters) saidByQuorumd(w *arbiter, st client.Status, began time.Time) node.Arbitrated {
	ev := node.Arbitrated{Device: w.id, Episode: st.Episode, Until: st.Until, Settled: st.Settled, Reason: st.Reason}
	switch st.Answer {
	case quorumd.Have:
		ev.Answer, ev.Reason = cib.QuorumHave, "it grants this half quorum"
	case quorumd.No:
		ev.Answer = cib.QuorumNo
	}
	if st.Connected {
		ev.Of, ev.Outdated = cib.DataGeneration(st.Judged), st.Refusal
	}
	// A connection that is made anew at once is no failure.
	if st.Heard.Before(began) {
		st.Heard = began
	}
	if now := a.clock.now(); !st.Connected && now.Sub(st.Heard) > 3*w.params.Interval {
		ev.Failed = "there is no connection"
		if st.Err != nil {
			ev.Failed = st.Err.Error()
		}
	}
	return ev
}

// openGeneration begins the next data generation at the arbitrator whose grant this
// half has: from then on no other half can be given quorum on the data that this
// one has. The next generation must be on this node's disk before. It is the step
// between a settled grant and a forced recovery of the store.
func (a *arbiters) openGeneration(ctx context.Context, device string, next cib.DataGeneration) error {
	a.mu.Lock()
	w := a.work[device]
	a.mu.Unlock()
	if w == nil {
		return fmt.Errorf("there is no quorum device %s here", device)
	}
	w.mu.Lock()
	c := w.quorumd
	w.mu.Unlock()
	if c == nil {
		return fmt.Errorf("quorum device %s is of kind %s, which opens no generation", device, w.device.Kind)
	}
	if err := c.Open(ctx, quorumd.Generation(next)); err != nil {
		return fmt.Errorf("open generation %d at quorum device %s: %w", next.Number, device, err)
	}
	return nil
}

// newest returns nil where every arbitrator that the configuration names says that no
// newer data are known than those that a recovery begins with; or it has opened the
// next generation for this very recovery, which could not end.
func (a *arbiters) newest(ctx context.Context, c *cib.Config, r *recovery) error {
	for _, id := range c.QuorumOrder() {
		if c.QuorumDevices[id].Kind != cib.QuorumDeviceQuorumd {
			continue
		}
		if err := a.judged(id, r.From); err != nil && (!r.Asked || a.openGeneration(ctx, id, r.Next) != nil) {
			return err
		}
	}
	return nil
}

// judged returns nil where an arbitrator says that it knows no newer data than those of
// a generation.
func (a *arbiters) judged(id string, gen cib.DataGeneration) error {
	a.mu.Lock()
	w := a.work[id]
	a.mu.Unlock()
	var q *client.Client
	if w != nil {
		w.mu.Lock()
		q = w.quorumd
		w.mu.Unlock()
	}
	if q == nil {
		return fmt.Errorf("quorum device %s is not asked yet", id)
	}
	switch st := q.Status(); {
	case !st.Connected || st.Judged != quorumd.Generation(gen):
		return fmt.Errorf("quorum device %s has not said whether it knows of newer data", id)
	case st.Refusal != "":
		return fmt.Errorf("quorum device %s does not take this node's data: %s", id, st.Refusal)
	}
	return nil
}
