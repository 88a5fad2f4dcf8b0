package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/quorumd"
)

// arbitrator is a belay-quorumd outside a cluster of two voters: its real core, with
// a disk that keeps what it saves, behind a network that is cut now and then. It
// is there in worlds of two nodes only.
type arbitrator struct {
	w       *World
	r       *rand.Rand
	core    *quorumd.Arbiter
	disk    []quorumd.Saved
	drift   int64 // of its clock, parts per million
	down    int   // so many faults keep it down
	cut     []int // so many faults keep each machine from it
	conns   uint64
	clients map[uint64]*arbClient // by connection
}

// arbClient is an engine's connection to the arbitrator.
type arbClient struct {
	e     *engine
	conn  uint64 // 0: none
	seq   uint64
	last  int64 // when its newest request arrives
	claim node.Claim
	busy  bool                 // it beats
	told  node.Arbitrated      // of its data
	of    cib.DataGeneration   // of the newest beat that has arrived
	opens func(*quorumd.Reply) // waits for the answer to an open
}

const (
	arbDevice = "q"
	arbLease  = 5 * time.Second
	arbBeat   = time.Second
)

// arbitrate puts an arbitrator into a world of two nodes, and draws its faults.
func (w *World) arbitrate() {
	if w.sc.Config.QuorumDevices[arbDevice] == nil {
		return
	}
	r := rand.New(rand.NewPCG(w.sc.Seed, 6))
	a := &arbitrator{w: w, r: r, drift: r.Int64N(2*DriftMax+1) - DriftMax, cut: make([]int, w.sc.Nodes), clients: map[uint64]*arbClient{}}
	w.arb = a
	a.start()
	for range r.IntN(5) {
		at := between(r, 2*time.Second, w.sc.Heal-3*time.Second)
		end := min(at+between(r, 200*time.Millisecond, 20*time.Second), w.sc.Heal-time.Second)
		which := r.IntN(w.sc.Nodes + 1)
		change := func(by int) {
			if which < w.sc.Nodes {
				a.cut[which] += by
				return
			}
			if a.down += by; a.down == 0 {
				a.start()
			}
			for _, c := range a.clients { // their order does not matter
				c.conn = 0
			}
			clear(a.clients)
		}
		w.after(at, func() { change(1) })
		w.after(end, func() { change(-1) })
	}
	w.after(arbBeat, a.tick)
}

// start boots it with what is on its disk.
func (a *arbitrator) start() {
	a.core = quorumd.New(arbDevice, a.disk, a.now())
	pins := map[string][]string{}
	for i := range a.w.sc.Nodes {
		pins[nodeName(a.w.sc, i)] = []string{nodeName(a.w.sc, i)}
	}
	a.core.Configure(a.now(), quorumd.Config{Clusters: map[string]quorumd.ClusterConfig{"sim": {Nodes: pins}}})
	a.w.tracef(arbDevice, "the arbitrator starts")
}

func (a *arbitrator) now() time.Time {
	return epoch.Add(time.Duration(a.w.now + a.w.now/1000*a.drift/1000))
}

// tick lets it act when time alone changes something.
func (a *arbitrator) tick() {
	if a.down == 0 {
		a.perform(nil, time.Time{}, a.core.Tick(a.now()))
	}
	a.w.after(100*time.Millisecond, a.tick)
}

// consult is what an engine claims from now on.
func (a *arbitrator) consult(e *engine, claim node.Claim) {
	if e.arb == nil {
		e.arb = &arbClient{e: e}
	}
	c := e.arb
	if c.claim.Episode != claim.Episode || !claim.Tie {
		e.m.truth.grantUntil = time.Time{}
	}
	c.claim = claim
	a.send(c)
	if !c.busy {
		c.busy = true
		a.beat(c)
	}
}

// beat sends the claim every second, as long as the engine lives.
func (a *arbitrator) beat(c *arbClient) {
	a.w.afterOn(arbBeat, c.e.m, ofEngine, c.e, func() {
		a.send(c)
		a.beat(c)
	})
}

// send sends the claim; requests of one connection arrive in their order.
func (a *arbitrator) send(c *arbClient) {
	claim, m, sent := c.claim, c.e.m, c.e.m.steady()
	c.last = max(c.last+1, a.w.now+int64(a.delay()))
	a.w.add(time.Duration(c.last-a.w.now), due{m: -1, fn: func() {
		if a.down > 0 || a.cut[m.i] > 0 {
			if c.conn != 0 {
				a.perform(nil, sent, a.core.Disconnect(c.conn))
				delete(a.clients, c.conn)
				c.conn = 0
			}
			return
		}
		if c.conn == 0 {
			a.conns++
			c.conn, c.seq = a.conns, 1
			a.clients[c.conn] = c
			a.core.Connect(c.conn, m.name)
			a.perform(c, sent, a.core.Receive(a.now(), c.conn, &quorumd.Request{Type: quorumd.Hello, Seq: 1, Version: quorumd.Version, Cluster: "sim", Node: m.name, Incarnation: c.e.inc}))
			if c.conn == 0 {
				return // a newer engine is there
			}
		}
		c.seq++
		c.of = claim.Generation
		a.perform(c, sent, a.core.Receive(a.now(), c.conn, &quorumd.Request{
			Type: quorumd.Beat, Seq: c.seq, Generation: quorumd.Generation(claim.Generation), Epoch: claim.Epoch, Voters: claim.Voters, Present: claim.Present,
			Episode: claim.Episode, Want: claim.Tie, Quorate: claim.Quorate, LeaseMs: arbLease.Milliseconds(), HandoverMs: a.w.sc.Config.Cluster.Options.LoserTime().Milliseconds(),
		}))
	}})
}

func (a *arbitrator) delay() time.Duration {
	return time.Millisecond + time.Duration(a.r.Int64N(int64(30*time.Millisecond)))
}

// perform does what the core wants: what is saved is on the disk before answers go.
func (a *arbitrator) perform(c *arbClient, sent time.Time, effects []quorumd.Effect) {
	for _, eff := range effects {
		switch x := eff.(type) {
		case quorumd.Save:
			a.disk = append(a.disk, x.Saved)
		case quorumd.Notice:
			a.w.tracef(arbDevice, "%s %s %s: %s", x.Kind, x.Cluster, x.Node, x.Text)
		case quorumd.Close:
			if to := a.clients[x.Conn]; to != nil {
				to.conn = 0
				delete(a.clients, x.Conn)
			}
		case quorumd.Send:
			to := a.clients[x.Conn]
			switch {
			case to == nil:
			case x.Reply.Type == quorumd.Poke:
				a.w.afterOn(a.delay(), to.e.m, ofEngine, to.e, func() { a.send(to) })
			case to == c && x.Reply.Type == quorumd.State && x.Reply.Answer == "":
				of := c.of
				a.w.afterOn(a.delay(), to.e.m, ofEngine, to.e, func() { a.judged(to, of, &x.Reply) })
			case to == c && x.Reply.Type == quorumd.State:
				a.w.afterOn(a.delay(), to.e.m, ofEngine, to.e, func() { a.answer(to, sent, &x.Reply) })
			case to == c && (x.Reply.Type == quorumd.Opened || x.Reply.Type == quorumd.Refused):
				a.w.afterOn(a.delay(), to.e.m, ofEngine, to.e, func() {
					if a.cut[to.e.m.i] == 0 && to.opens != nil {
						to.opens(&x.Reply)
					}
				})
			}
		}
	}
}

// open asks it to open a generation; then is told what it says, or nothing.
func (a *arbitrator) open(c *arbClient, next cib.DataGeneration, then func(*quorumd.Reply)) {
	c.opens = then
	episode, m := c.claim.Episode, c.e.m
	c.last = max(c.last+1, a.w.now+int64(a.delay()))
	a.w.add(time.Duration(c.last-a.w.now), due{m: -1, fn: func() {
		if a.down > 0 || a.cut[m.i] > 0 || c.conn == 0 {
			return
		}
		c.seq++
		a.perform(c, time.Time{}, a.core.Receive(a.now(), c.conn, &quorumd.Request{Type: quorumd.Open, Seq: c.seq, Episode: episode, Next: quorumd.Generation(next)}))
	}})
}

// answer brings an answer to an engine, unless its claim is another one by now.
func (a *arbitrator) answer(c *arbClient, sent time.Time, r *quorumd.Reply) {
	m := c.e.m
	if a.cut[m.i] > 0 || r.Episode != c.claim.Episode || !c.claim.Tie {
		return
	}
	ev := node.Arbitrated{Device: arbDevice, Episode: r.Episode, Answer: cib.QuorumNo, Reason: r.Text}
	if r.Answer == quorumd.Have {
		ev.Answer, ev.Reason, ev.Until = cib.QuorumHave, "granted", sent.Add(time.Duration(r.LeaseMs)*time.Millisecond)
		if w := a.w; w.mutant != nil && w.mutant.noOpen {
			ev.Settled = m.steady()
		} else if r.SettledInMs >= 0 {
			ev.Settled = m.steady().Add(time.Duration(r.SettledInMs) * time.Millisecond)
		}
		if ev.Until.After(m.truth.grantUntil) {
			m.truth.grantUntil = ev.Until
		}
		m.truth.grantAt = a.w.now
		a.check(m, c)
	}
	c.e.step(ev)
}

// judged tells an engine what the arbitrator says of its data.
func (a *arbitrator) judged(c *arbClient, of cib.DataGeneration, r *quorumd.Reply) {
	ev := node.Arbitrated{Device: arbDevice, Episode: r.Episode, Of: of}
	if r.Code == quorumd.CodeStale || r.Code == quorumd.CodeHistories {
		ev.Outdated = r.Text
	}
	if a.cut[c.e.m.i] == 0 && !c.claim.Tie && ev != c.told {
		c.told = ev
		c.e.step(ev)
	}
}

// check is rule 3 for grants: two halves never have one at the same time.
func (a *arbitrator) check(m *machine, c *arbClient) {
	for _, o := range a.w.machines {
		if o == m || o.engine == nil || !o.steady().Before(o.truth.grantUntil) || !m.steady().Before(m.truth.grantUntil) {
			continue
		}
		if o.engine.arb == nil || !slices.Equal(o.engine.arb.claim.Present, c.claim.Present) {
			a.w.fail(3, "%s and %s have the arbitrator's grant at the same time", m.name, o.name)
		}
	}
}

// granted reports whether a machine has the arbitrator's grant, by its own clock.
func (m *machine) granted() bool { return m.steady().Before(m.truth.grantUntil) }

// arbitrated adds the arbitrator to the configuration of two nodes.
func arbitrated(c *cib.Config) {
	c.QuorumDevices = map[string]*cib.QuorumDevice{arbDevice: {Kind: cib.QuorumDeviceQuorumd, Parameters: map[string]string{
		"servers": "q:7410", "fingerprint": fmt.Sprintf("sha256:%s=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
	}}}
}
