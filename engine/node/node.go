package node

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/lrm"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/policy"
	"github.com/belay-ha/belay/engine/quorum"
)

// Setup is what a node knows when its engine starts.
type Setup struct {
	Name        string
	Incarnation uint64 // rises with every start of the engine; drawn from the wall clock
	BootID      string // of the machine
	Version     string
	Cores       int
	Rand        *rand.Rand
	Watchdog    *cib.Watchdog // the one that can be armed, or nil
	Snapshot    *cib.Snapshot // the last one kept on disk, or nil
	EpochKnown  uint64        // what an earlier engine of this boot said last, see the effect; 0: nothing
}

// Node decides for one cluster node. See the package comment.
type Node struct {
	self     Setup
	watchdog *cib.Watchdog // what the others may count on; nil: there is none
	tracker  *membership.Tracker
	lrm      *lrm.Manager
	snap     *cib.Snapshot // nil: nothing known yet
	fresh    bool          // snap came from the store, not from disk
	warm     bool          // the engine began in a cluster that was alive in this boot: no cold start
	sameBoot bool          // so says the snapshot from disk
	diskRead bool          // the local resource manager has been shown the one from disk
	started  time.Time
	now      time.Time     // of the present Step
	ownWall  time.Duration // wall clock minus steady clock
	wall     time.Duration // the same of the cluster's time
	out      []Effect

	// The store.
	storeOK    bool
	nextCommit uint64
	commits    map[uint64]func(now time.Time, outcome Outcome, rev int64)
	eventN     uint64

	// What judge found.
	quorum     quorum.Result
	quorumTold bool      // what the operator was told last
	quorumEver bool      // there was quorum since the engine started
	quorumFrom time.Time // since when it differs from what was told
	valid      bool
	allSeen    bool // wait-for-all is satisfied
	arb        arbitration
	recovery   recovery
	tickets    tickets

	// The DC's business.
	electing   bool
	electAfter int64     // the key was taken at this revision: wait until the snapshot shows it
	electFrom  time.Time // since when the DC's key may be taken
	dcBusy     bool      // a transaction of the DC is on its way
	dcAfter    int64     // decide again from a snapshot at least this new
	dcRetry    time.Time
	dcSince    time.Time // since when this engine is the DC
	everHeard  map[string]bool
	doubted    map[string]time.Time // members that others do not hear, since when
	planned    *cib.Snapshot        // the snapshot of the last plan
	advice     *cib.Advice          // of the placement program, to be written down
	advising   bool                 // it is being asked
	planner    policy.Planner       // decides on one snapshot after another
	replanAt   time.Time            // when time alone changes the decision
	vain       map[string]vain      // what was asked for and taken back, by node and action
	ended      map[string]bool      // what this node has stopped by itself since its validity ended
	removing   map[string]time.Time // moves whose removal was asked for, and until when that is waited for
	refused    string               // why the plan checker refused the last plan
	parents    map[string]string    // group or clone of each resource
	parentsOf  *cib.Config          // that they were taken from

	// Registration and leaving.
	registering bool
	registerAt  time.Time
	discarding  bool // what an earlier boot left is gone, or will be
	leaving     *Leave
	left        bool
	invalidFrom time.Time // since when the node is not valid; zero while it is
	invalidSaid bool
	invalidOver bool // the grace to stop by itself has passed

	// Fencing executed here.
	fences      map[string]*execution // by target
	fencesEnded map[string]int64      // by target: a request up to this revision was ended here
	fenceOf     map[uint64]string     // run to target
	links       map[string]*link      // to remote nodes that are connected here, by name
	remoteRuns  map[uint64]remoteRun  // what runs on them
	again       bool                  // an operation ended while the manager was asked
	unfence     unfencing
	checks      map[string]*check // readiness of fence devices, by id
	checkOf     map[uint64]string
	nextRun     uint64
}

// New returns the node of an engine that has just started.
func New(s Setup, now time.Time) *Node {
	// Whose snapshot shows it in a view in this boot had quorum in it: an engine that was
	// killed while it waits to go on alone begins where it was.
	sameBoot := false
	if s.Snapshot != nil {
		m, ok := s.Snapshot.Status.View.Member(s.Name)
		sameBoot = ok && m.BootID == s.BootID
	}
	return &Node{
		sameBoot: sameBoot, allSeen: sameBoot, arb: arbitration{epoch: s.EpochKnown},
		self: s, watchdog: s.Watchdog, started: now, storeOK: true, snap: s.Snapshot, invalidFrom: now,
		tracker: membership.New(s.Name, s.Incarnation, s.BootID, s.Rand, now),
		lrm:     lrm.New(s.Name, s.Incarnation, s.BootID),
		commits: map[uint64]func(time.Time, Outcome, int64){}, everHeard: map[string]bool{}, doubted: map[string]time.Time{}, removing: map[string]time.Time{}, ended: map[string]bool{},
		fences: map[string]*execution{}, fencesEnded: map[string]int64{}, fenceOf: map[uint64]string{}, links: map[string]*link{}, remoteRuns: map[uint64]remoteRun{}, checks: map[string]*check{}, checkOf: map[uint64]string{},
	}
}

// Step takes one event and returns what to do about it. Now is a steady clock.
func (n *Node) Step(now time.Time, ev Event) []Effect {
	n.out, n.now = nil, now
	if n.valid && !n.mayAct(now) {
		// Validity ended while this node stood still. That must be seen before the
		// event, which may renew it: what was asked for before is not executed.
		n.judge(now)
	}
	switch ev := ev.(type) {
	case Heard:
		answers, news := n.tracker.Receive(now, ev.Link, ev.Message)
		n.send(answers)
		n.everHeard[ev.Message.From] = true
		if len(news) == 0 && n.valid == n.mayAct(now) {
			n.send(n.tracker.Beat(now))
			return n.out // the common case, many times a second
		}
		n.newsOf(news)
	case Tick:
		if !ev.Wall.IsZero() {
			n.setWall(ev.Wall.Sub(now))
		}
		n.newsOf(n.tracker.Tick(now))
	case Changed:
		if !n.newer(ev.Snap) {
			return nil // news can overtake each other; time must not run backwards
		}
		if !n.fresh {
			// Where the stored view has this boot of this machine, the cluster was
			// alive a moment ago, and only this engine is new.
			m, ok := ev.Snap.Status.View.Member(n.self.Name)
			n.warm = ok && m.BootID == n.self.BootID
		}
		n.snap, n.fresh = ev.Snap, true
		n.configure(now)
		n.noteTickets(now)
		n.syncLRM(now)
		n.syncLinks(now)
	case Committed:
		if f := n.commits[ev.ID]; f != nil {
			delete(n.commits, ev.ID)
			f(now, ev.Outcome, ev.Rev)
		}
	case AgentDone:
		r := ev.Result
		r.Started, r.Ended = r.Started.Add(n.wall-n.ownWall), r.Ended.Add(n.wall-n.ownWall)
		if ev.Result = r; !n.remoteDone(now, ev) {
			n.lrm.Done(now, ev.Run>>1, r)
		}
	case Connected:
		n.connected(now, ev)
	case Armed:
		n.armed(ev)
	case FenceDone:
		n.fenceDone(now, ev)
	case StoreState:
		n.storeState(ev)
	case Arbitrated:
		n.arbitrated(ev)
	case Ticketed:
		n.ticketed(ev)
	case Recovered:
		n.recovered(now, ev)
	case StoreWaits:
		n.storeWaits(now, ev)
	case Advised:
		n.advised(ev)
	case Leave:
		n.leaving = &ev
		n.know()
	}
	n.decide(now)
	return n.out
}

// decide is the one place that says in which order the cores are asked.
func (n *Node) decide(now time.Time) {
	n.send(n.tracker.Beat(now))
	if n.snap == nil {
		return
	}
	if !n.fresh && !n.diskRead {
		// What an earlier engine left running is known from the snapshot on disk
		// at first: it must be stopped in time even if the store is never reached.
		n.diskRead = true
		n.syncLRM(now)
	}
	n.judge(now)
	n.recoverStore(now)
	n.register(now)
	n.discard(now)
	n.elect(now)
	n.tendTickets(now)
	if n.isDC() {
		n.coordinate(now)
	}
	n.executeFencing(now)
	n.unfenceSelf(now)
	n.checkDevices(now)
	n.actInvalid(now)
	n.local(now)
	n.tendLinks(now)
	n.local(now) // what the connections have ended
	n.leave()
	n.feed(now)
}

// NextWake returns when a Tick should come at the latest.
func (n *Node) NextWake(now time.Time) time.Time {
	wake := n.tracker.NextWake(now)
	for _, t := range []time.Time{n.lrm.NextWake(), n.fenceWake(now), n.linksWake(now), n.arbitrationWake(), n.recoverWake(now), n.ticketWake(now)} {
		if !t.IsZero() && t.Before(wake) {
			wake = t
		}
	}
	if v := n.tracker.ValidUntil(); n.valid && v.Before(wake) {
		wake = v // the end of validity is acted on when it comes
	}
	return wake
}

// clockTolerance is what wall clocks may differ by without consequence.
const clockTolerance = 500 * time.Millisecond

// setWall takes the machine's wall clock. Where it is out of step, the cluster's time
// is the median of the voters': failures expire, and pauses end, by stamps that
// other nodes have made, and a clock that is an hour ahead would let every failure
// expire before it is seen.
func (n *Node) setWall(own time.Duration) {
	jumped := (own - n.ownWall).Abs() > clockTolerance/10
	was := n.wall
	n.ownWall, n.wall = own, own
	if jumped {
		n.know()
	}
	if offset := n.tracker.ClockOffset(); offset.Abs() > clockTolerance {
		n.wall -= offset
	}
	if (n.wall - was).Abs() > clockTolerance/10 {
		n.planned = nil // what was to be decided anew at some time was reckoned from the old one
	}
	n.lrm.SetWall(n.wall)
}

// newer orders snapshots by data generation, then by revision.
func (n *Node) newer(s *cib.Snapshot) bool {
	if n.snap == nil {
		return true
	}
	old, gen := n.snap.Status.Generation.Number, s.Status.Generation.Number
	if gen != old {
		return gen > old
	}
	return s.Revision > n.snap.Revision || !n.fresh && s.Revision == n.snap.Revision
}

// configure passes what the snapshot says of the cluster on to the cores.
func (n *Node) configure(now time.Time) {
	o := &n.snap.Config.Cluster.Options
	voters, epoch := n.voters()
	links := 0
	if me := n.snap.Config.Nodes[n.self.Name]; me != nil {
		links = len(me.Addresses)
	}
	n.tracker.Configure(now, membership.Setup{
		Nodes: sortedKeys(n.snap.Config.Nodes), Voters: voters, Votes: n.snap.Status.Voters.MoreVotes(), VoterEpoch: epoch,
		Detection: o.DetectionTime(), Interval: o.HeartbeatInterval(), Validity: o.ValidityTime(), Links: links,
	})
	n.lrm.SetLimit(o.NodeActions(n.self.Cores))
	n.know()
}

// know tells the tracker what its messages should say.
func (n *Node) know() {
	if n.snap == nil {
		return
	}
	st := &n.snap.Status
	k := membership.Knowledge{
		Generation: st.Generation, View: st.View, ConfigGen: n.snap.ConfigGen.Number, Wall: n.now.Add(n.ownWall).UTC(),
		FeatureLevel: cib.FeatureLevel, Version: n.self.Version,
	}
	if st.DC != nil {
		k.DC = st.DC.Node
	}
	if n.leaving != nil {
		k.Leaving, k.Restarting = !n.leaving.Restart, n.leaving.Restart
	}
	n.tracker.Know(n.now, k)
}

// voters returns the voters and the epoch of their set. Before the store knows a
// set, the configuration's voters count.
func (n *Node) voters() ([]string, uint64) {
	if v := n.snap.Status.Voters; v != nil {
		return v.Voters, v.Epoch
	}
	var out []string
	for _, name := range sortedKeys(n.snap.Config.Nodes) {
		if n.snap.Config.Nodes[name].Voter {
			out = append(out, name)
		}
	}
	return out, 0
}

// votesOf returns the votes of a node; 0 for one that is no voter.
func (n *Node) votesOf(name string) int {
	if v := n.snap.Status.Voters; v != nil {
		return v.VotesOf(name)
	}
	if n.isVoter(name) {
		return 1
	}
	return 0
}

// votesTotal is the sum of the votes.
func (n *Node) votesTotal() int {
	if v := n.snap.Status.Voters; v != nil {
		return v.Total()
	}
	voters, _ := n.voters()
	return len(voters)
}

// isVoter reports whether the node has a vote.
func (n *Node) isVoter(name string) bool {
	v, _ := n.voters()
	return slices.Contains(v, name)
}

// mayAct reports whether the node's validity holds at now.
func (n *Node) mayAct(now time.Time) bool { return n.fresh && now.Before(n.tracker.ValidUntil()) }

// judge finds out whether this node has quorum and is valid.
func (n *Node) judge(now time.Time) {
	voters, _ := n.voters()
	in := quorum.Input{Voters: voters, Weights: n.snap.Status.Voters.Weights(), WaitForAll: n.snap.Config.Cluster.Options.WaitForAll, Complete: n.complete(voters)}
	in.External, in.StoreReachable = n.snap.Config.Cluster.External(), n.storeOK
	for _, m := range n.tracker.Alive(now) {
		if slices.Contains(voters, m.Node) {
			in.Present = append(in.Present, m.Node)
		}
	}
	n.allSeen = n.allSeen || len(in.Present) == len(voters)
	in.SeenAll, in.Standalone, in.Outdated = n.allSeen, n.standalone(voters), n.outdated(now)
	n.arbitrate(now, &in)
	n.quorum = quorum.Evaluate(in)
	n.granted(now)
	n.tellQuorum(now)
	valid := n.mayAct(now)
	if valid == n.valid {
		return
	}
	n.valid = valid
	n.lrm.SetValid(now, valid)
	if valid {
		n.invalidFrom, n.invalidOver = time.Time{}, false
		clear(n.ended)
		if n.invalidSaid {
			n.invalidSaid = false
			n.emit(event.New(event.ValidityGained, "node", n.self.Name))
		}
		return
	}
	n.invalidFrom = now
	if n.leaving == nil {
		n.invalidSaid = true
		n.emit(event.New(event.ValidityLost, "node", n.self.Name, "reason", n.quorum.Reason,
			"policy", n.snap.Config.Cluster.Options.NoQuorum().String()))
	}
}

// complete reports whether every voter has been a member: the DC has written the
// boot of each. A cluster that was complete once does not wait for all again.
func (n *Node) complete(voters []string) bool {
	for _, v := range voters {
		if st := n.snap.Status.Nodes[v]; st == nil || st.BootID == "" {
			return false
		}
	}
	return true
}

// tellQuorum tells the operator of a change of quorum that lasts for the detection
// time: a voter that has just joined counts a moment before it is heard.
func (n *Node) tellQuorum(now time.Time) {
	if n.quorum.Quorate == n.quorumTold {
		n.quorumFrom = time.Time{}
		return
	}
	if n.quorumFrom.IsZero() {
		n.quorumFrom = now
	}
	first := n.quorum.Quorate && !n.quorumEver
	if !first && now.Before(n.quorumFrom.Add(n.snap.Config.Cluster.Options.DetectionTime())) {
		return
	}
	n.quorumTold, n.quorumFrom, n.quorumEver = n.quorum.Quorate, time.Time{}, true
	switch {
	case first: // the engine has just started
	case n.quorum.Quorate:
		n.emit(event.New(event.QuorumGained, "node", n.self.Name, "reason", n.quorum.Reason))
	default:
		n.emit(event.New(event.QuorumLost, "node", n.self.Name, "reason", n.quorum.Reason))
	}
}

// standalone reports whether every other voter is recorded as cleanly left or
// proven dead, so that nobody need be waited for.
func (n *Node) standalone(voters []string) bool {
	for _, v := range voters {
		st := n.snap.Status.Nodes[v]
		if v != n.self.Name && (st == nil || st.State != cib.NodeOffline && st.State != cib.NodeFenced) {
			return false
		}
	}
	return true
}

// register writes what this node says of itself, once for each incarnation and
// whenever it changes.
func (n *Node) register(now time.Time) {
	if n.registering || !n.fresh || now.Before(n.registerAt) || n.snap.Config.Nodes[n.self.Name] == nil {
		return
	}
	want := cib.Member{
		Node: n.self.Name, Incarnation: n.self.Incarnation, BootID: n.self.BootID, ValidityEpoch: n.lrm.Epoch(),
		Version: n.self.Version, FeatureLevel: cib.FeatureLevel, Cores: n.self.Cores, Started: n.started.Add(n.wall).UTC(), Watchdog: n.watchdog,
	}
	if n.leaving != nil {
		want.Shutdown, want.Restart = !n.leaving.Restart, n.leaving.Restart
	}
	have := n.snap.Status.Members[n.self.Name]
	if have != nil && have.Incarnation == want.Incarnation && have.ValidityEpoch == want.ValidityEpoch &&
		have.Shutdown == want.Shutdown && have.Restart == want.Restart && reflect.DeepEqual(have.Watchdog, want.Watchdog) {
		return
	}
	txn := cib.Txn{Put: []cib.Put{{Key: cib.KeyMember + n.self.Name, Value: &want}}}
	var rev int64
	if have != nil {
		rev = have.Rev
	}
	txn.If = []cib.Compare{{Key: cib.KeyMember + n.self.Name, ModRev: rev}}
	if old := n.snap.Status.Attributes[n.self.Name]; old != nil && old.BootID != n.self.BootID {
		txn.Delete = append(txn.Delete, cib.KeyAttributes+n.self.Name)
	}
	var events []cib.Event
	if have == nil || have.Incarnation != want.Incarnation {
		events = append(events, event.New(event.EngineStarted, "node", n.self.Name, "version", n.self.Version))
	}
	n.registering = true
	n.commit(txn, events, func(now time.Time, _ Outcome, _ int64) {
		n.registering, n.registerAt = false, now.Add(500*time.Millisecond)
	})
}

// discard deletes the histories that an earlier boot left, once the DC knows of this
// one: until then they tell what is to be recovered, and after that they would only be
// skipped again and again.
func (n *Node) discard(now time.Time) {
	if st := n.snap.Status.Nodes[n.self.Name]; n.discarding || !n.fresh || now.Before(n.registerAt) || st == nil || st.BootID != n.self.BootID {
		return
	}
	n.discarding = true
	var txn cib.Txn
	for _, id := range sortedKeys(n.snap.Status.Histories[n.self.Name]) {
		if h := n.snap.Status.Histories[n.self.Name][id]; h.BootID != n.self.BootID {
			key := cib.HistoryKey(n.self.Name, id)
			txn.If = append(txn.If, cib.Compare{Key: key, ModRev: h.Rev})
			txn.Delete = append(txn.Delete, key)
		}
	}
	if len(txn.Delete) > 0 {
		n.commit(txn, nil, func(now time.Time, outcome Outcome, _ int64) {
			n.discarding, n.registerAt = outcome == Done, now.Add(500*time.Millisecond)
		})
	}
}

// leave ends the engine when the cluster no longer needs it.
func (n *Node) leave() {
	if n.leaving == nil || n.left {
		return
	}
	m, st := n.snap.Status.Members[n.self.Name], n.snap.Status.Nodes[n.self.Name]
	if m == nil || m.Incarnation != n.self.Incarnation || len(n.snap.Status.Pending[n.self.Name]) > 0 || !n.lrm.Idle() {
		return
	}
	if n.leaving.Restart && n.votersRestart() {
		return
	}
	if n.leaving.Restart && m.Restart || m.Shutdown && st != nil && st.State == cib.NodeOffline {
		n.left = true
		n.out = append(n.out, Left{})
	}
}

// votersRestart reports whether another voter's engine is so new that it echoes
// nothing yet. A voter that goes then could take the validity of the others with it:
// engines restarted one after the other must leave each other that time.
func (n *Node) votersRestart() bool {
	if !n.isVoter(n.self.Name) {
		return false
	}
	o := &n.snap.Config.Cluster.Options
	voters, _ := n.voters()
	for _, v := range voters {
		m := n.snap.Status.Members[v]
		if v != n.self.Name && m != nil && n.online(v) && n.wallNow().Before(m.Started.Add(o.ValidityTime()+o.DetectionTime())) {
			return true
		}
	}
	return false
}

// feed keeps the watchdog quiet while the node may act, or has nothing running.
func (n *Node) feed(now time.Time) {
	if n.self.Watchdog == nil {
		return
	}
	timeout := n.self.Watchdog.Timeout.D()
	if n.snap != nil {
		timeout = n.snap.Config.Cluster.Options.WatchdogTime()
	}
	until := n.tracker.ValidUntil()
	if !n.valid && !n.invalidOver {
		// The no-quorum-policy is at work within its grace; after it the
		// watchdog decides.
		until = now.Add(timeout)
	}
	if until.After(now) {
		n.out = append(n.out, Feed{Until: until, Timeout: timeout})
	}
}

// armed remembers what the others may count on. A driver has its own idea of time-outs, and
// one that refuses to be armed is no watchdog.
func (n *Node) armed(ev Armed) {
	n.watchdog = nil
	if ev.Error == "" && n.self.Watchdog != nil {
		is := *n.self.Watchdog
		is.Timeout = cib.Duration(ev.Timeout)
		n.watchdog = &is
	}
}

// newsOf turns what the tracker noticed into events for the operator.
func (n *Node) newsOf(news membership.News) {
	for _, it := range news {
		switch it.Kind {
		case membership.LinkDown:
			n.out = append(n.out, Silent{Node: it.Node, Link: it.Link})
			n.emit(event.New(event.LinkDown, "node", n.self.Name, "peer", it.Node, "link", fmt.Sprint(it.Link)))
		case membership.LinkUp:
			n.emit(event.New(event.LinkUp, "node", n.self.Name, "peer", it.Node, "link", fmt.Sprint(it.Link)))
		case membership.Stalled:
			clear(n.doubted) // while it stood still it could not have heard that somebody is silent
			n.emit(event.New(event.NodeStalled, "node", n.self.Name, "gap", it.For.Round(time.Millisecond).String()))
		case membership.GenerationConflict:
			n.emit(event.New(event.GenerationConflict, "node", it.Node, "number", fmt.Sprint(n.snap.Status.Generation.Number)))
		case membership.PeerDown:
			n.out = append(n.out, Silent{Node: it.Node, Link: -1})
		case membership.PeerUp, membership.PeerOneWay, membership.PeerRestarting, membership.PeerLeft,
			membership.PeerRestarted, membership.PeerRebooted, membership.GenerationHigher, membership.ReportChanged, membership.PeerChanged:
			// These lead to decisions below, and those to events.
		}
	}
}

func (n *Node) storeState(ev StoreState) {
	if n.storeOK == ev.OK {
		return
	}
	n.storeOK = ev.OK
	if ev.OK {
		n.emit(event.New(event.StoreBack, "node", n.self.Name))
		n.recoveryOver()
	} else {
		n.emit(event.New(event.StoreStalled, "node", n.self.Name, "reason", ev.Reason))
	}
}

func (n *Node) send(msgs []membership.Outgoing) {
	for i := range msgs {
		n.out = append(n.out, Send{To: msgs[i].To, Message: msgs[i].Msg})
	}
}

// wallNow is the cluster's time in the present Step, for stamps in documents.
func (n *Node) wallNow() time.Time { return n.now.Add(n.wall).UTC() }

func (n *Node) emit(ev cib.Event) { n.out = append(n.out, Emit{ev}) }

// commit asks for a transaction that also writes events; then is called with its
// outcome.
func (n *Node) commit(txn cib.Txn, events []cib.Event, then func(now time.Time, outcome Outcome, rev int64)) {
	for i := range events[:min(len(events), cib.EventsPerTxn)] {
		ev := events[i]
		n.eventN++
		ev.Index, ev.Source = uint64(i), n.self.Name
		ev.Time = n.wallNow()
		txn.Put = append(txn.Put, cib.Put{Key: cib.EventKey(n.self.Name, n.self.Incarnation, n.eventN), Value: &ev})
	}
	n.nextCommit++
	n.commits[n.nextCommit] = then
	n.out = append(n.out, Commit{ID: n.nextCommit, Txn: txn})
}

// Quorum returns the newest judgement about quorum.
func (n *Node) Quorum() quorum.Result { return n.quorum }

// QuorumShown reports whether this node shows itself as having quorum. A loss is shown
// when it has lasted for the detection time, as the operator is told of it then: when
// one of two voters dies, the tie-breakers answer before that.
func (n *Node) QuorumShown() bool { return n.quorum.Quorate || n.quorumTold }

// TwoHistories names a node whose data has the same generation number as this
// node's and another history; no change is possible until somebody decides.
func (n *Node) TwoHistories() (peer string, ok bool) { return n.tracker.Conflict() }

// Valid reports whether this node may act.
func (n *Node) Valid() bool { return n.valid }

// ValidUntil is when this node's validity ends, on the steady clock.
func (n *Node) ValidUntil() time.Time { return n.tracker.ValidUntil() }

// Alive returns the nodes that this node hears, itself included.
func (n *Node) Alive(now time.Time) []cib.ViewMember { return n.tracker.Alive(now) }

// Hears reports whether a node is heard in that boot, on any link, in either
// direction.
func (n *Node) Hears(name, boot string) bool {
	p, ok := n.tracker.Peer(name)
	return ok && (p.Up || p.OneWay) && p.BootID == boot
}

// Links returns the state of every link to every peer.
func (n *Node) Links(now time.Time) []cib.LinkPeer { return n.tracker.Links(now) }

// ClockOffset is this node's wall clock against the median of the voters'.
func (n *Node) ClockOffset() time.Duration { return n.tracker.ClockOffset() }

// EpochSettled reports whether a majority of the newest voter set echoes its
// epoch: only then may the set change again.
func (n *Node) EpochSettled() bool { return n.tracker.EpochSettled() }
