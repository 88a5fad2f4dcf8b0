package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/comm"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
	"github.com/belay-ha/belay/engine/watchdog"
)

// engine is one node's share of a cluster, from its start to its end.
type engine struct {
	d     *Daemon
	log   *slog.Logger
	clock clock
	local local // belongs to the keeper once it runs, but for what never changes
	outer bool  // somebody else runs the store
	id    *pki.Identity
	seal  pki.SealKey
	setup node.Setup

	transport *comm.Transport
	store     *store.Store
	agents    *agent.Runner
	trail     *trail
	intents   []*audit.Record    // changes that an earlier engine did not end
	doubts    chan *audit.Record // changes whose commit had no answer
	journal   *journal
	keeper    *keeper
	arbiters  *arbiters
	watchdog  *watchdog.Device // nil: there is none
	armed     node.Armed       // what the others are told of it; of the node's goroutine
	rearmed   chan struct{}    // it has another time-out

	events     chan node.Event       // to the owner goroutine
	queries    chan func(*node.Node) // questions to the node, answered by the owner goroutine
	newest     chan *cib.Snapshot    // holds the newest snapshot not yet taken
	snap       atomic.Pointer[cib.Snapshot]
	changed    *broadcast         // wakes who waits for a newer snapshot
	ring       chan cib.Event     // events to be written
	kept       chan *cib.Snapshot // snapshot to be kept on disk
	vital      chan struct{}      // it is to be kept now
	left       chan struct{}      // closed when the node has left
	attributes *attributes        // of this node, on their way into the store
	leftOne    sync.Once
	drains     sync.WaitGroup // requests that wait until the node has left

	links      links                     // to remote nodes
	validUntil atomic.Pointer[time.Time] // of this node, for them

	changing   sync.Mutex   // one change of the configuration at a time on this node
	runs       sync.Map     // run id to *agentRun
	rejectedAt atomic.Int64 // when a refused join was told of last, in Unix nanoseconds
	work       sync.WaitGroup
	peerKey    string // what comm's peers were set to
	storeErr   atomic.Pointer[string]
	opened     atomic.Bool               // the store's client is there
	backedUp   atomic.Pointer[time.Time] // when this node saved the store last
	told       sync.Map                  // what was told once already
	collected  uint64                    // configuration generations up to this one are removed
}

// eventsMax bounds what waits for the owner goroutine. Its senders wait when it is
// full; they are the agents, transactions and timers of this node, which are
// bounded themselves.
const eventsMax = 1024

// loop is the owner of the node.
func (e *engine) loop(ctx context.Context, n *node.Node) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var decoder comm.Decoder
	for {
		var ev node.Event
		select {
		case <-ctx.Done():
			return nil
		case ev = <-e.events:
		case q := <-e.queries:
			q(n)
			continue
		case s := <-e.newest:
			if err := levelOf(s); err != nil {
				return err
			}
			e.publish(s)
			ev = node.Changed{Snap: s}
		case p, ok := <-e.transport.Packets():
			if !ok {
				return nil
			}
			m, err := decoder.Decode(&p)
			if err != nil {
				e.log.Debug("a message was dropped", "node", p.From, "link", p.Link, "err", err)
				continue
			}
			ev = node.Heard{Link: p.Link, Message: m}
		case <-timer.C:
			ev = node.Tick{Wall: time.Now()}
			e.contact(ctx)
		}
		now := e.clock.now()
		for _, eff := range n.Step(now, ev) {
			e.perform(ctx, eff)
		}
		until := n.ValidUntil()
		e.validUntil.Store(&until)
		if _, heard := ev.(node.Heard); heard && len(e.transport.Packets()) > 0 {
			continue // when to wake up matters only before a sleep
		}
		// A Tick comes at least once a second, and never in a busy loop.
		timer.Reset(max(time.Millisecond, min(time.Second, n.NextWake(now).Sub(e.clock.now()))))
	}
}

// publish makes a snapshot the newest for all readers of this daemon.
func (e *engine) publish(s *cib.Snapshot) {
	old := e.snap.Swap(s)
	e.changed.wake()
	e.setPeers(s)
	replace(e.kept, s)
	if vital(old, s) {
		replace(e.vital, struct{}{})
	}
}

// vital reports whether a snapshot shows other nodes, voters, tie-breakers or data than
// the one before. A node that loses its power, or an engine that is killed, must know these
// after it, to find the others, or to go on without them.
func vital(old, s *cib.Snapshot) bool {
	return old == nil || old.Status.Generation != s.Status.Generation || !reflect.DeepEqual(old.Status.Voters, s.Status.Voters) ||
		!reflect.DeepEqual(old.Config.QuorumDevices, s.Config.QuorumDevices) ||
		!maps.EqualFunc(old.Config.Nodes, s.Config.Nodes, func(a, b *cib.Node) bool { return slices.Equal(a.Addresses, b.Addresses) })
}

// replace puts a value into a channel of size one in place of an older one.
func replace[T any](c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// tell gives the node an event, unless the engine ends.
func (e *engine) tell(ctx context.Context, ev node.Event) {
	select {
	case e.events <- ev:
	case <-ctx.Done():
	}
}

// ask runs a function on the node's goroutine and waits for it. After an error it may run
// yet: what it sets is not to be looked at then.
func (e *engine) ask(ctx context.Context, f func(*node.Node)) error {
	done := make(chan struct{})
	select {
	case e.queries <- func(n *node.Node) { f(n); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setPeers tells the transport who the other nodes are.
func (e *engine) setPeers(s *cib.Snapshot) {
	var peers []comm.Peer
	var key strings.Builder
	for name, n := range s.Config.Nodes {
		if name == e.local.Node || n.PublicKey == "" {
			continue
		}
		pub, err := comm.ParseKey(n.PublicKey)
		if err != nil {
			e.log.Warn("the public key of a node can't be read", "node", name, "err", err)
			continue
		}
		p := comm.Peer{Node: name, Key: pub}
		for _, a := range n.Addresses {
			ip, _ := netip.ParseAddr(a)
			p.Addrs = append(p.Addrs, netip.AddrPortFrom(ip, uint16(n.Ports.WithDefaults().Heartbeat)))
		}
		peers = append(peers, p)
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		n := s.Config.Nodes[name]
		_, _ = fmt.Fprint(&key, name, n.Addresses, n.Ports, n.PublicKey)
	}
	if key.String() == e.peerKey {
		return
	}
	e.peerKey = key.String()
	if err := e.transport.SetPeers(peers); err != nil {
		e.log.Error("the peers can't be set", "err", err)
	}
}

// newEngine opens everything a node needs; run starts it.
func (d *Daemon) newEngine(l local) (*engine, error) {
	e := &engine{
		d: d, log: d.log.With("node", l.Node), clock: d.clock, local: l, outer: len(l.External) > 0,
		events: make(chan node.Event, eventsMax), queries: make(chan func(*node.Node)), newest: make(chan *cib.Snapshot, 1),
		changed: newBroadcast(), ring: make(chan cib.Event, ringMax), kept: make(chan *cib.Snapshot, 1), vital: make(chan struct{}, 1), left: make(chan struct{}),
		attributes: newAttributes(), rearmed: make(chan struct{}, 1), doubts: make(chan *audit.Record, doubtsMax),
	}
	ca, err := pki.LoadCA(d.path(dirPKI))
	if err != nil {
		return nil, unusableState(err)
	}
	if e.id, err = pki.LoadIdentity(ca, d.path(dirPKI), pki.FileNode, pki.FileNodeKey); err != nil {
		return nil, unusableState(err)
	}
	if e.seal, _, err = pki.LoadSealKey(filepath.Join(d.path(dirPKI), pki.FileSeal)); err != nil {
		return nil, unusableState(err)
	}
	if e.agents, err = agent.New(d.agentConfig(l.Node)); err != nil {
		return nil, err
	}
	e.openTrail()
	e.intents = e.openIntents()
	if e.journal, err = openJournal(d.opts.StateDir); err != nil {
		return nil, err
	}
	links := make([]netip.AddrPort, 0, len(l.Config.Addresses))
	for _, a := range l.Config.Addresses {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			return nil, fmt.Errorf("address of this node: %w", err)
		}
		links = append(links, netip.AddrPortFrom(ip, uint16(l.Config.Ports.WithDefaults().Heartbeat)))
	}
	if e.transport, err = comm.New(comm.Config{
		Node: l.Node, Key: e.id.Key(), Links: links, Now: e.clock.now,
		Log: func(p comm.Problem) {
			e.log.Warn("packets were dropped", "reason", p.Reason, "peer", p.Node, "link", p.Link, "from", p.Source, "count", p.Count, "err", p.Err)
		},
	}); err != nil {
		return nil, err
	}
	e.keeper = newKeeper(e)
	e.arbiters = newArbiters(e)
	return e, nil
}

// run is the engine's life. It returns when ctx ends or the engine can't go on.
func (e *engine) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// What an earlier engine left running is ended before anything is decided:
	// its results would never be known.
	if gone, err := e.agents.KillLeftovers(ctx); err != nil {
		e.log.Error("agents of an earlier engine can't be ended", "err", err)
	} else if len(gone) > 0 {
		e.log.Warn("agents of an earlier engine were ended", "count", len(gone))
	}
	old, err := loadSnapshot(e.d.opts.StateDir, e.log)
	if err != nil {
		e.corrupt(err)
	}
	if old != nil {
		if err := levelOf(old); err != nil {
			return err
		}
		e.publishOld(old)
	}
	wall := time.Now()
	e.setup = node.Setup{
		Name: e.local.Node, Incarnation: uint64(wall.UnixNano()), BootID: e.d.bootID, Version: e.d.opts.Version, Cores: e.d.cores, EpochKnown: e.d.knownEpoch(),
		Rand: rand.New(rand.NewPCG(uint64(wall.UnixNano()), 0)), Snapshot: old, //nolint:gosec // nonces come from packet-wise random salts, see comm
	}
	if err := e.renewExpired(); err != nil {
		e.log.Error("certificate", "err", err)
	}
	e.findWatchdog(old)
	if err := e.transport.Start(ctx); err != nil {
		return err
	}
	defer e.transport.Stop()
	if err := e.openStore(ctx); err != nil {
		return err
	}
	defer e.closeStore()
	if e.local.Restored {
		if err := e.finishRestore(ctx); err != nil {
			return fmt.Errorf("finish the restore: %w", err)
		}
	}
	n := node.New(e.setup, e.clock.now())
	e.start(ctx, e.keeper.run)
	e.start(ctx, e.arbiters.run)
	e.start(ctx, e.watch)
	e.start(ctx, e.writeEvents)
	e.start(ctx, e.writeAttributes)
	e.start(ctx, e.keepSnapshots)
	e.start(ctx, e.report)
	e.start(ctx, e.servePeers)
	e.start(ctx, e.upkeep)
	e.start(ctx, e.closeIntents)
	e.start(ctx, e.writeTrail)
	e.start(ctx, e.keepCheckpoints)
	e.start(ctx, e.forwardAudit)
	if e.watchdog != nil {
		e.start(ctx, e.pingWatchdog)
	}
	if e.external() {
		e.start(ctx, e.watchExternal)
	}
	err = e.loop(ctx, n)
	cancel()
	e.closeLinks()
	e.work.Wait()
	_ = e.agents.Close()
	return errors.Join(err, e.trail.log.Close())
}

// levelOf refuses to run in a cluster whose documents an engine of this release may
// not understand. Nothing is touched: what runs on this node goes on, until the
// cluster misses it or a newer engine is here.
func levelOf(s *cib.Snapshot) error {
	level := s.FeatureLevel()
	if level <= cib.FeatureLevel {
		return nil
	}
	p := api.NewProblem(api.CodeFeatureLevel, fmt.Sprintf("the cluster runs at feature level %d, this release knows %d: it may not take part", level, cib.FeatureLevel))
	p.Remedy = "Install the release that the other nodes run, and restart belayd, before restart-grace ends and this node is fenced. A feature level is never lowered."
	return p
}

// findWatchdog looks for the machine's watchdog. It is armed by the first Feed,
// which comes only once the node is valid or has nothing running.
func (e *engine) findWatchdog(s *cib.Snapshot) {
	if e.d.opts.Watchdog == "" || e.d.opts.BootID != "" {
		return
	}
	info, err := watchdog.Probe(e.d.opts.Watchdog)
	if err != nil {
		e.log.Info("there is no watchdog: this node can't be relied on to end itself", "device", e.d.opts.Watchdog)
		return
	}
	timeout := (&cib.Options{}).WatchdogTime()
	if s != nil {
		timeout = s.Config.Cluster.Options.WatchdogTime()
	}
	e.watchdog, e.armed = watchdog.New(e.d.opts.Watchdog), node.Armed{Timeout: timeout}
	e.setup.Watchdog = &cib.Watchdog{Device: e.d.opts.Watchdog, Identity: info.Identity, Timeout: cib.Duration(timeout), Hardware: info.Hardware}
}

// feed feeds the watchdog, and tells the node where it has another time-out than the others
// were told. It is called by the node's goroutine only.
func (e *engine) feed(ctx context.Context, f node.Feed) {
	timeout, err := e.watchdog.Feed(f.Until, f.Timeout)
	is := node.Armed{Timeout: timeout}
	if err != nil && timeout == 0 {
		is.Error = err.Error()
	}
	if is == e.armed {
		return
	}
	e.armed = is
	switch {
	case is.Error != "":
		e.log.Error("the watchdog is not armed", "err", err)
	case err != nil:
		e.log.Error("the watchdog keeps its time-out", "timeout", timeout, "wanted", f.Timeout, "err", err)
	default:
		e.log.Info("the watchdog is armed", "timeout", timeout)
	}
	replace(e.rearmed, struct{}{})
	e.work.Go(func() { e.tell(ctx, is) })
}

// pingWatchdog keeps the watchdog quiet while it is fed, and disarms it when the
// engine ends in an orderly way.
func (e *engine) pingWatchdog(ctx context.Context) {
	tick := time.NewTicker(e.watchdog.Interval())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := e.watchdog.Disarm(); err != nil {
				e.log.Error("the watchdog can't be disarmed", "err", err)
			}
			return
		case <-e.rearmed:
			tick.Reset(e.watchdog.Interval())
		case <-tick.C:
			if err := e.watchdog.Ping(e.clock.now()); err != nil {
				e.log.Error("the watchdog can't be pinged", "err", err)
			}
		}
	}
}

// start runs a part of the engine until ctx ends; run waits for it.
func (e *engine) start(ctx context.Context, f func(context.Context)) {
	e.work.Go(func() { f(ctx) })
}

func (e *engine) publishOld(s *cib.Snapshot) {
	e.snap.Store(s)
	e.setPeers(s)
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu sync.Mutex
	c  chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{c: make(chan struct{})} }

// wait returns a channel that is closed at the next wake.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.c)
	b.c = make(chan struct{})
}
