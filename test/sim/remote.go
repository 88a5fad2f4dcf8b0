package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
)

// Remote nodes are machines behind those of the cluster's nodes. They have no engine:
// a process there runs agents for whoever is connected; see engine/remote.

// remoteSource is a source of chance of its own, so that worlds without remote nodes are
// what they are.
func (sc *Scenario) remoteSource(what uint64) *rand.Rand {
	return rand.New(rand.NewPCG(sc.Seed, 0x66617200+what))
}

func remoteName(i int) string { return fmt.Sprint("far", i+1) }

// addRemotes gives a world remote nodes, their connections and something to run there.
func (sc *Scenario) addRemotes() {
	r := sc.remoteSource(0)
	c := sc.Config
	sc.Remotes = pick(r, 1, 1, 2, 3)
	sec := func(n int) cib.Duration { return cib.Duration(n) * cib.Duration(time.Second) }
	var prims []string
	for _, id := range sortedKeys(c.Resources) {
		if c.Resources[id].Agent != "" && id[0] == 'p' {
			prims = append(prims, id)
		}
	}
	for i := range sc.Remotes {
		name := remoteName(i)
		sc.Drift = append(sc.Drift, r.Int64N(2*DriftMax+1)-DriftMax)
		sc.WallOffset = append(sc.WallOffset, time.Duration(r.Int64N(int64(4*time.Second)))-2*time.Second)
		conn := &cib.Resource{Agent: cib.AgentRemote, Operations: []cib.Operation{
			{Name: "start", Timeout: sec(pick(r, 8, 15))}, {Name: "monitor", Interval: sec(pick(r, 3, 6)), Timeout: sec(pick(r, 3, 6))},
		}}
		if r.IntN(3) == 0 {
			conn.Parameters = map[string]string{"reconnect_interval": pick(r, "5s", "10s")}
		}
		c.Resources[name] = conn
		if c.FenceDevices["pdu"] == nil {
			c.FenceDevices["ipmi-"+name] = &cib.FenceDevice{Agent: "fence_sim", Targets: map[string]string{name: ""}, MonitorInterval: sec(30)}
		}
		if len(c.FenceTopology) > 0 { // else one of its two power supplies would do
			c.FenceTopology[name] = &cib.FenceTopology{Levels: [][]string{{"ipmi-" + name}, {"psu-a", "psu-b"}}}
		}
		if r.IntN(3) == 0 {
			c.Constraints["far-at-"+name] = &cib.Constraint{Location: &cib.Location{Resource: name, Node: nodeName(sc, r.IntN(sc.Nodes)), Score: 20}}
		}
		for _, id := range prims {
			if r.IntN(2) == 0 {
				c.Constraints["far-"+id+"-"+name] = &cib.Constraint{Location: &cib.Location{Resource: id, Node: name, Score: pick[cib.Score](r, 20, 100, 2000)}}
			}
		}
	}
	if r.IntN(3) == 0 { // a connection that can't be made may be tried again
		expiry := sec(10)
		for i := range sc.Remotes {
			c.Resources[remoteName(i)].Meta.FailureTimeout = &expiry
		}
	}
	sc.disturbRemotes()
}

// disturbRemotes breaks remote nodes, their proxies and what is between them.
func (sc *Scenario) disturbRemotes() {
	r := sc.remoteSource(1)
	if sc.Seed%512 == 6 { // a proof that is wrong
		far := remoteName(r.IntN(sc.Remotes))
		f := Fault{At: between(r, 15*time.Second, 25*time.Second), For: between(r, 5*time.Second, 30*time.Second), Kind: DeviceLies, Text: "ipmi-" + far}
		if sc.Config.FenceDevices[f.Text] == nil {
			return
		}
		sc.Faults = append(sc.Faults, f, Fault{At: f.At + 500*time.Millisecond, Kind: Isolate, Node: far, For: between(r, 8*time.Second, 20*time.Second)})
	}
	for range 1 + r.IntN(6) {
		far := remoteName(r.IntN(sc.Remotes))
		member := nodeName(sc, r.IntN(sc.Nodes))
		f := Fault{At: between(r, 8*time.Second, sc.Heal-3*time.Second), For: between(r, 200*time.Millisecond, 25*time.Second), Node: far}
		switch n := r.IntN(20); n {
		case 0, 1, 2:
			f.Kind = PowerLoss
			if r.IntN(3) == 0 {
				f.For = 0
			}
		case 3, 4:
			f.Kind, f.N, f.For = EngineCrash, r.IntN(2), between(r, 200*time.Millisecond, 6*time.Second)
		case 5:
			f.Kind, f.For = EngineRestart, between(r, 200*time.Millisecond, 6*time.Second)
		case 6, 7:
			f.Kind = pick(r, Pause, StopEngine)
		case 8, 9, 10:
			f.Kind = pick(r, Isolate, IsolateIn, IsolateOut)
		case 11, 12:
			f.Kind, f.Peer = pick(r, CutPair, CutOneWay), member
			if r.IntN(2) == 0 {
				f.Node, f.Peer = f.Peer, f.Node
			}
		case 13, 14, 15:
			f.Kind, f.N, f.Resource = ProxyFault, r.IntN(5), far
			f.Node = ""
		case 16, 17:
			f.Kind, f.Resource, f.Node = AdminMove, far, member
		case 18:
			f.Kind, f.Resource = AdminStop, far
			g := f
			g.Kind, g.At = AdminStart, min(f.At+f.For, sc.Heal-time.Second)
			sc.Faults = append(sc.Faults, g)
		case 19:
			f.Kind, f.Node, f.N, f.Text = CrashRemote, "", r.IntN(5), pick(r, "", "start", "start", "stop")
		}
		sc.Faults = append(sc.Faults, f)
	}
}

// remoted is "belayd --remote" on a remote node.
type remoted struct {
	m        *machine
	taken    int // connections
	current  *session
	sessions map[*wire]*session
}

// session is one connection of a proxy.
type session struct {
	d         *remoted
	n         int // counts those of the process
	x         *wire
	proxy     *engine
	epoch     uint64
	cancelled bool
	ended     bool // nothing of it runs any more
	then      []func()
	runs      map[uint64]*run
	pings     map[uint64]time.Time // when they were sent
	lastPing  uint64
	asked     time.Time // when the newest question was sent that was answered
	until     time.Time // the proxy may act
	opened    bool
}

// startDaemon starts what listens for proxies, after those agents of an earlier one that
// still run were ended.
func (m *machine) startDaemon() {
	if !m.powered || !m.booted || m.daemon != nil || m.noRestart > 0 {
		return
	}
	m.endLeftovers()
	m.daemon = &remoted{m: m, sessions: map[*wire]*session{}}
	m.tracef("waits for a proxy")
	m.w.connectivity()
}

// crashDaemon ends it: killed, or in good order, when it ends what it runs.
func (m *machine) crashDaemon(kill bool, back time.Duration) {
	d := m.daemon
	if d == nil {
		return
	}
	m.tracef("its belayd ends (agents die with it: %v)", kill)
	m.daemon, m.stopped = nil, false
	for _, s := range d.open() {
		for _, id := range sortedRuns(s.runs) {
			r := s.runs[id]
			r.s, r.e = nil, nil
			switch {
			case r.over:
			case kill || !r.begun:
				m.w.kill(r)
			default:
				m.truth.orphans = append(m.truth.orphans, r)
			}
		}
		s.cancelled, s.ended = true, true
		if !s.x.closed[atRemote] {
			s.x.fin(atRemote)
			s.x.closed[atRemote] = true
		}
	}
	m.later(back, m.startDaemon)
}

// open are the sessions of which something may run, oldest first.
func (d *remoted) open() []*session {
	var out []*session
	for _, s := range d.sessions {
		if !s.ended {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *session) int { return cmp.Compare(a.n, b.n) })
	return out
}

// greet takes a proxy's hello, and answers once nothing of an older connection runs.
func (d *remoted) greet(x *wire, l *link, welcome func(boot, refused string)) {
	m := d.m
	if l.epoch < m.keptEpoch {
		x.send(atRemote, func() { welcome("", "a newer connection was made") })
		return
	}
	m.keptEpoch = l.epoch
	old := d.current
	d.taken++
	s := &session{d: d, n: d.taken, x: x, proxy: l.e, epoch: l.epoch, runs: map[uint64]*run{}, pings: map[uint64]time.Time{}}
	d.current = s
	d.sessions[x] = s
	x.broken[atRemote] = s.cancel
	begin := func() {
		if s.cancelled || m.daemon != d {
			return
		}
		m.tracef("takes the connection of %s (epoch %d)", l.e.m.name, l.epoch)
		x.send(atRemote, func() { welcome(m.bootID, "") })
		s.ping(l)
	}
	if old == nil || old.ended {
		begin()
		return
	}
	old.then = append(old.then, begin)
	old.cancel()
}

// ping asks the proxy how long it may act.
func (s *session) ping(l *link) {
	if s.cancelled {
		return
	}
	w, m := s.d.m.w, s.d.m
	s.lastPing++
	nonce := s.lastPing
	sent := m.steady()
	for n, at := range s.pings { // their order does not matter
		if sent.Sub(at) > silentMax {
			delete(s.pings, n)
		}
	}
	s.pings[nonce] = sent
	s.x.send(atRemote, func() {
		l.heard = w.now
		valid := max(0, l.e.node.ValidUntil().Sub(l.e.m.steady()))
		s.x.send(atProxy, func() { s.permit(nonce, valid) })
	})
	s.x.on(pingEvery, atRemote, func() { s.ping(l) })
}

// permit takes the answer to a ping.
func (s *session) permit(nonce uint64, valid time.Duration) {
	sent, ok := s.pings[nonce]
	if !ok {
		return
	}
	delete(s.pings, nonce)
	s.asked, s.until, s.opened = sent, sent.Add(valid), true
}

// cancel ends a session: what runs is killed, which takes a while.
func (s *session) cancel() {
	if s.cancelled {
		return
	}
	s.cancelled = true
	m := s.d.m
	s.x.close(atRemote)
	wait := time.Duration(0)
	for _, id := range sortedRuns(s.runs) {
		r := s.runs[id]
		d := between(m.w.remoteRand, 0, 150*time.Millisecond)
		wait = max(wait, d)
		m.w.afterOn(d, m, ofEngine, nil, func() {
			if m.daemon == s.d && !r.over {
				m.tracef("kills %s, of an older connection", r.action.String())
				m.w.kill(r)
			}
		})
	}
	m.w.afterOn(wait+time.Microsecond, m, ofEngine, nil, func() {
		if m.daemon != s.d {
			return
		}
		s.ended = true
		delete(s.d.sessions, s.x)
		for _, f := range s.then {
			f()
		}
	})
}

// start runs an agent for the proxy, once it is known how long that may act.
func (s *session) start(id uint64, a cib.Action) {
	if s.cancelled {
		return
	}
	m := s.d.m
	w := m.w
	r := &run{id: id, action: a, m: m, e: s.proxy, s: s}
	if s.runs[id] != nil {
		w.fail(6, "%s runs number %d of epoch %d twice", m.name, id, s.epoch)
	}
	s.runs[id] = r
	waited := w.now
	var permitted func()
	permitted = func() {
		switch {
		case r.over || s.cancelled:
		case s.opened && m.steady().Before(s.until):
			r.notAfter = s.until
			w.afterOn(between(w.remoteRand, 0, 3*time.Millisecond), m, ofEngine, nil, func() { w.checkRemote(r) })
		case w.now-waited > int64(permitMax):
			r.over = true
			s.done(r, node.AgentResult{Status: cib.OpNotRun})
		default:
			w.afterOn(20*time.Millisecond, m, ofEngine, nil, permitted)
		}
	}
	permitted()
}

// checkRemote reads the clock right before the agent is started.
func (w *World) checkRemote(r *run) {
	s := r.s
	if r.over || s == nil || s.d != r.m.daemon {
		return
	}
	if s.cancelled {
		r.over = true
		return
	}
	stale := r.action.Op == cib.OpMigrateTo && r.m.steady().Sub(s.asked) > freshMax
	if stale || !r.m.steady().Before(r.notAfter) {
		r.over = true
		r.m.tracef("does not run %s: too late", r.action.String())
		s.done(r, node.AgentResult{Status: cib.OpNotRun})
		return
	}
	w.checks.run(w, r)
	gap := time.Duration(0)
	if w.faulty && w.remoteRand.IntN(200) == 0 {
		gap = between(w.remoteRand, 0, 50*time.Millisecond)
	}
	r.begun = true
	w.afterOn(gap, r.m, ofAgent, nil, func() { w.begin(r) })
}

// done tells the proxy how a run ended.
func (s *session) done(r *run, res node.AgentResult) {
	delete(s.runs, r.id)
	s.x.send(atRemote, func() {
		l := s.proxy.links[r.m.name]
		if l == nil || l.up != s.x {
			return
		}
		l.heard = r.m.w.now
		if f := l.waits[r.id]; f != nil {
			delete(l.waits, r.id)
			f(res.Status, res)
		}
	})
}

// kill ends a run on the proxy's order.
func (s *session) kill(id uint64) {
	if r := s.runs[id]; r != nil && !r.over {
		r.m.tracef("kills %s", r.action.String())
		r.m.w.kill(r)
		s.done(r, node.AgentResult{Status: cib.OpCancelled})
	}
}

// incarnation is what the record of an action must name: the engine that claimed it, or the
// epoch of the connection.
func (r *run) incarnation() uint64 {
	if r.s != nil {
		return r.s.epoch
	}
	return r.e.inc
}

// remotes are the machines that are remote nodes.
func (w *World) remotes() []*machine { return w.machines[w.sc.Nodes:] }

// remoteMissing says what the cluster still lacks of its remote nodes.
func (w *World) remoteMissing(s *cib.Snapshot, hosts map[string]string) string {
	for _, m := range w.remotes() {
		host := hosts[m.name]
		if host == "" || s.Config.Resources[m.name] == nil {
			continue
		}
		ns, l := s.Status.Nodes[m.name], s.Status.Remotes[m.name]
		switch {
		case m.daemon == nil || m.paused || m.stopped:
			return "belayd does not run on " + m.name
		case ns == nil || ns.State != cib.NodeOnline:
			state := "unknown"
			if ns != nil {
				state = ns.State.String() + ": " + ns.Reason
			}
			return fmt.Sprintf("remote node %s is not online (%s)", m.name, state)
		case ns.BootID != m.bootID:
			return fmt.Sprintf("remote node %s is online in boot %s, and is in %s", m.name, ns.BootID, m.bootID)
		case l == nil || l.Host != host:
			return fmt.Sprintf("remote node %s is not connected to %s", m.name, host)
		}
		e := w.machines[w.index[host]].engine
		if e == nil || e.links[m.name] == nil || e.links[m.name].epoch != l.Epoch || e.links[m.name].up == nil {
			return fmt.Sprintf("%s has no connection to remote node %s", host, m.name)
		}
	}
	return ""
}

// mayOrder is rule 2 for what a remote node does: its proxy had a majority at most T ago,
// also when that proxy is no more.
func (c *checks) mayOrder(w *World, r *run) {
	p := r.e.m
	if p.wasFrozen || w.sc.Nodes == 2 {
		return // its clock stood still; or it may have had a grant instead
	}
	const slack = 500 * time.Millisecond
	if gone := time.Duration(w.now - p.quorateAt); !p.truth.majority && gone > w.validity()+slack {
		w.fail(2, "%s: %s for %s, which has been without a majority of the voters for %s (validity is %s)", r.m.name, r.action.String(), p.name, gone, w.validity())
	}
}

// isRemote reports whether a name is that of a remote node.
func (w *World) isRemote(name string) bool {
	i, ok := w.index[name]
	return ok && w.machines[i].remote
}
