package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/store"
)

// keeper keeps this node's member of the store running, and, while this node is
// the DC, the set of voters as the configuration wants it: one step at a time, and
// every step found again from what is.
type keeper struct {
	*engine
	sup       *store.Supervisor
	root      atomic.Pointer[store.Admin] // nil on a node that is no voter
	cfg       store.Config
	poke      chan struct{}
	ends      string // the endpoints in use
	running   bool
	pause     time.Duration // until the next look
	tended    time.Time
	asked     time.Time // when the store was asked for its members
	tendedRev int64
	nodes     string // the configured nodes
	nodesAt   time.Time
	granted   grants
	recordAt  time.Time         // when the node's own certificates are looked at again
	revoked   int64             // the number of the list of void certificates that the member reads
	forced    chan node.Recover // holds the newest not yet taken
	resumed   bool              // no recovery of the store is to be gone on with
	settling  bool              // one may have been begun in vain
	waits     node.StoreWaits   // what the node was told last
	// askedAlone is when the store was asked last whether it has no other member.
	askedAlone time.Time

	lookMu   sync.Mutex
	stopLook context.CancelFunc // of the present look

	admitting sync.Mutex // one node joins through this one at a time
}

// The time between two looks: soon after something happened, since the store's own
// steps make no new snapshot, then ever longer.
const (
	keeperPauseMin = 50 * time.Millisecond
	keeperPause    = time.Second
)

// promotePause is how long the configured nodes must have been the same before one
// gets its vote. The store adds no member for 5s after that, so those that join
// together begin to learn together.
const promotePause = time.Second

func newKeeper(e *engine) *keeper {
	k := &keeper{engine: e, poke: make(chan struct{}, 1), forced: make(chan node.Recover, 1), settling: true}
	cmd := []string{e.d.opts.executable(), "etcd"}
	k.sup = store.NewSupervisor(store.SupervisorConfig{
		Command: cmd, File: e.d.path(fileMember), Log: e.log,
		OnChange: func(c store.Child) {
			e.log.Info("store member", "state", c.State.String(), "reason", string(c.Reason), "detail", c.Detail)
			replace(k.poke, struct{}{})
		},
	})
	return k
}

func (o *Options) executable() string {
	if exe, err := os.Executable(); err == nil {
		return exe
	}
	return os.Args[0]
}

// leaseTTL is how long the DC's key stays when its holder is silent and nobody
// takes it. The others take it long before that when membership knows that the
// holder is gone, so it need not be short; a short one is lost when a machine is
// busy.
const leaseTTL = 10 * time.Second

// openStore starts this node's member, if it has one, and opens the client.
func (e *engine) openStore(ctx context.Context) error {
	k := e.keeper
	r, err := k.readRecovery()
	if err != nil {
		return err
	}
	// A recovery that was opened goes on before the member takes part again.
	if r != nil && r.Opened {
		e.log.Warn("the store waits for its recovery", "lost", r.Lost)
	} else if k.hasData() || len(e.local.Initial) > 0 && !k.lostData(e.snap.Load()) {
		if err := k.startMember(ctx); err != nil {
			return err
		}
	}
	cfg := store.Config{
		Cluster: e.local.Cluster, Node: e.local.Node, Endpoints: k.endpoints(e.snap.Load()), TLS: e.id.ClientConfig(pki.Check{Expired: e.expired, Pinned: e.pinned}),
		Detection: e.detection(), Log: e.log, LeaseTTL: leaseTTL,
	}
	if e.external() {
		cfg.Probe = externalProbe
		if cfg.TLS, err = externalTLS(e.d.path(dirPKI)); err != nil {
			return err
		}
	}
	if e.store, err = store.Open(ctx, cfg); err != nil {
		return err
	}
	if _, err := os.Stat(e.d.path(dirPKI, pki.FileRoot)); err == nil {
		root, err := pki.LoadIdentity(e.id.CA(), e.d.path(dirPKI), pki.FileRoot, pki.FileRootKey)
		if err != nil {
			return err
		}
		if err := k.openAdmin(root, cfg); err != nil {
			return err
		}
	}
	k.cfg = cfg
	e.opened.Store(true)
	return nil
}

// admin administers the store; nil on a node that is no voter.
func (k *keeper) admin() *store.Admin { return k.root.Load() }

func (k *keeper) openAdmin(root *pki.Identity, cfg store.Config) error {
	cfg.TLS = root.ClientConfig(pki.Check{Expired: k.expired, Pinned: k.pinned})
	a, err := store.NewAdmin(cfg)
	if err != nil {
		return err
	}
	k.root.Store(a)
	return nil
}

// becomeAdmin makes a node that is to become a voter able to administer the store: it
// holds the key to the cluster's authority, as every node does.
func (k *keeper) becomeAdmin(ctx context.Context) error {
	ca, err := k.authority(ctx)
	if err != nil {
		return err
	}
	root, err := newIdentity(ca, pki.Names{Node: pki.RootName})
	if err != nil {
		return err
	}
	if err := root.Save(k.d.path(dirPKI), pki.FileRoot, pki.FileRootKey); err != nil {
		return err
	}
	cfg := k.cfg
	cfg.Endpoints = k.endpoints(k.snap.Load())
	return k.openAdmin(root, cfg)
}

func (e *engine) closeStore() {
	e.store.Close()
	if e.keeper.admin() != nil {
		e.keeper.admin().Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.keeper.sup.Stop(ctx); err != nil {
		e.log.Error("the store's member does not stop", "err", err)
	}
}

// watch passes every new snapshot to the owner of the node.
func (e *engine) watch(ctx context.Context) {
	_ = e.store.Watch(ctx, func(s *cib.Snapshot) {
		if s.Revision == 0 || s.Status.Voters == nil && s.ConfigGen.Number == 0 {
			return // an empty store: init has not written yet
		}
		e.storeUp(ctx)
		replace(e.newest, s)
		replace(e.keeper.poke, struct{}{})
	})
}

// detection is the cluster's detection time, as far as known.
func (e *engine) detection() time.Duration {
	if s := e.snap.Load(); s != nil {
		return s.Config.Cluster.Options.DetectionTime()
	}
	return time.Second
}

func (k *keeper) dataDir() string { return k.d.path(dirStore) }

func (k *keeper) hasData() bool {
	_, err := os.Stat(filepath.Join(k.dataDir(), "member"))
	return err == nil
}

// hasBegun reports whether the member takes part: it knows the others from its log.
func (k *keeper) hasBegun() bool {
	_, err := os.Stat(filepath.Join(k.dataDir(), "member", "wal"))
	return err == nil
}

func (k *keeper) socket() string { return filepath.Join(k.d.opts.RunDir, "etcd.sock") }

// startMember starts the member with what is known of the cluster.
func (k *keeper) startMember(ctx context.Context) error {
	c, err := k.memberConfig()
	if err == nil {
		err = k.sup.Start(ctx, c)
	}
	k.running = err == nil
	return err
}

func (k *keeper) memberConfig() (store.ServerConfig, error) {
	n := k.local.Config
	if s := k.snap.Load(); s != nil && s.Config.Nodes[k.local.Node] != nil {
		n = *s.Config.Nodes[k.local.Node]
	}
	pkiDir := k.d.path(dirPKI)
	initial := k.local.Initial
	if len(initial) == 0 {
		initial = map[string][]string{k.local.Node: store.PeerURLs(&n)} // ignored: there is data
	}
	revoked, err := k.revokedFile()
	if err != nil {
		return store.ServerConfig{}, err
	}
	return store.ServerConfig{
		Name: k.local.Node, Dir: k.dataDir(), ListenPeers: store.PeerURLs(&n), ListenClients: store.ClientURLs(&n), Socket: k.socket(),
		Initial: initial, Token: k.local.Token, Existing: len(initial) > 1,
		Revoked: revoked,
		CA:      filepath.Join(pkiDir, pki.FileCA), Cert: filepath.Join(pkiDir, pki.FileNode), Key: filepath.Join(pkiDir, pki.FileNodeKey),
		Detection: cib.Duration(k.detection()), LogLevel: k.d.opts.LogLevelStore,
	}, nil
}

// endpoints lists the ways to the store: this node's own member, then the other
// voters' on every link.
func (k *keeper) endpoints(s *cib.Snapshot) []store.Endpoint {
	var out []store.Endpoint
	if k.external() {
		urls := k.local.External
		if s != nil && s.Config.Cluster.External() {
			urls = s.Config.Cluster.Store.Endpoints
		}
		for _, u := range urls {
			out = append(out, store.Endpoint{URL: u})
		}
		return out
	}
	if k.running {
		out = append(out, store.Endpoint{Node: k.local.Node, URL: "unixs://" + k.socket(), Local: true})
	}
	if s != nil && s.Status.Voters != nil {
		for _, v := range s.Status.Voters.Voters {
			if n := s.Config.Nodes[v]; n != nil && v != k.local.Node {
				for _, u := range store.ClientURLs(n) {
					out = append(out, store.Endpoint{Node: v, URL: u})
				}
			}
		}
	}
	if len(out) == 0 || s == nil {
		for _, ep := range k.local.Endpoints {
			if name, u, ok := strings.Cut(ep, " "); ok && name != k.local.Node {
				out = append(out, store.Endpoint{Node: name, URL: u})
			}
		}
	}
	return out
}

// run looks after the member and the voters until ctx ends.
func (k *keeper) run(ctx context.Context) {
	k.pause = keeperPauseMin
	timer := time.NewTimer(k.pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.poke:
			k.pause = keeperPauseMin
		case <-timer.C:
			k.pause = min(2*k.pause, keeperPause)
		case ask := <-k.forced:
			k.recovered(ctx, ask)
		}
		if s := k.snap.Load(); k.resumes(ctx) && s != nil {
			k.lookAt(ctx, s)
		}
		timer.Reset(k.pause)
	}
}

// lookAt does what a snapshot asks for. A recovery of the store does not wait for it.
func (k *keeper) lookAt(ctx context.Context, s *cib.Snapshot) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k.lookMu.Lock()
	k.stopLook = cancel
	k.lookMu.Unlock()
	k.useEndpoints(s)
	k.tellWaits(ctx, s)
	if err := errors.Join(k.takeRevoked(s), k.recordOwn(ctx, time.Now())); err != nil && ctx.Err() == nil {
		k.log.Warn("certificates", "err", err)
	}
	if err := k.ownMember(ctx, s); err != nil && ctx.Err() == nil {
		k.log.Warn("this node's store member waits", "err", err)
	}
	if err := k.settleGeneration(ctx, s); err != nil && ctx.Err() == nil {
		k.log.Warn("the generation of the data waits", "err", err)
	}
	if err := k.recordAlone(ctx, s); err != nil && ctx.Err() == nil {
		k.log.Warn("the votes wait", "err", err)
	}
	if err := k.tendVoters(ctx, s); err != nil && ctx.Err() == nil {
		k.log.Warn("the set of voters waits", "err", err)
	}
}

func (k *keeper) useEndpoints(s *cib.Snapshot) {
	eps := k.endpoints(s)
	if key := fmt.Sprint(eps); key != k.ends && len(eps) > 0 {
		k.ends = key
		err := k.store.SetEndpoints(eps)
		if k.admin() != nil {
			err = errors.Join(err, k.admin().SetEndpoints(eps))
		}
		if err != nil {
			k.log.Error("the ways to the store can't be changed", "err", err)
		}
		byNode := map[string][]string{}
		for _, ep := range eps {
			if !ep.Local {
				byNode[ep.Node] = append(byNode[ep.Node], ep.URL)
			}
		}
		if k.external() {
			k.local.External = byNode[""]
		} else {
			k.local.setEndpoints(byNode)
		}
		if err := writeJSON(k.d.path(fileLocal), &k.local); err != nil {
			k.log.Error("the ways to the store can't be kept", "err", err)
		}
	}
}

// ownMember starts a member that the voters have added, and sets aside the data of
// one that they have removed.
func (k *keeper) ownMember(ctx context.Context, s *cib.Snapshot) error {
	if k.external() {
		return nil
	}
	child := k.sup.State()
	if k.running && child.State == store.ChildFailed && (child.Reason == store.ReasonRemoved || child.Reason == store.ReasonCorrupt) {
		aside, err := k.sup.SetAside(k.dataDir(), time.Now())
		if err != nil {
			return err
		}
		k.running = false
		// What it was told of the others is void: it is told anew when it is added again.
		k.local.Initial = nil
		if err := writeJSON(k.d.path(fileLocal), &k.local); err != nil {
			return err
		}
		me := s.Status.Members[k.local.Node]
		if n := s.Config.Nodes[k.local.Node]; child.Reason == store.ReasonCorrupt {
			k.emit(event.New(event.StateCorrupt, "node", k.local.Node, "file", k.dataDir(), "aside", aside))
		} else if n != nil && n.Voter && (me == nil || !me.Shutdown) {
			k.emit(event.New(event.StoreReplaced, "node", k.local.Node, "aside", aside))
		}
		if child.Reason == store.ReasonCorrupt && k.admin() != nil {
			// Its vote is gone with its data: it comes back as a learner.
			if err := k.admin().Remove(ctx, k.local.Node, store.PeerURLs(s.Config.Nodes[k.local.Node])); err != nil {
				return err
			}
		}
		return nil
	}
	if k.running && child.State == store.ChildReady && len(k.local.Initial) > 0 {
		// It has its data now. Without them it must never begin again by itself.
		k.local.Initial = nil
		if err := writeJSON(k.d.path(fileLocal), &k.local); err != nil {
			return err
		}
	}
	me := s.Config.Nodes[k.local.Node]
	// A member that has not begun can't as long as it was told of other members than
	// there are: they may have changed since.
	stuck := k.running && child.State == store.ChildBackoff && len(k.local.Initial) > 1 && !k.hasBegun()
	if k.running && !stuck || me == nil || !me.Voter {
		return nil
	}
	if k.admin() == nil {
		if err := k.becomeAdmin(ctx); err != nil {
			return err
		}
	}
	if !k.running && k.hasBegun() {
		// It could not be started. Without it there may be nobody who could be asked
		// for the members, and what it has tells it who they are.
		return k.startMember(ctx)
	}
	members, err := k.admin().Members(ctx)
	if err != nil {
		return err
	}
	initial := map[string][]string{}
	found := false
	for _, m := range members {
		name := memberNode(s, m)
		if !k.running && m.Name == k.local.Node {
			// It has begun once, and its data are gone. It comes back as a learner.
			k.log.Warn("this node's member has lost its data, and is removed from the store")
			return k.admin().Remove(ctx, k.local.Node, store.PeerURLs(s.Config.Nodes[k.local.Node]))
		}
		found = found || name == k.local.Node
		if name != "" {
			initial[name] = m.PeerURLs
		}
	}
	if !found {
		return nil // the DC has not added it yet
	}
	if stuck && maps.EqualFunc(initial, k.local.Initial, slices.Equal) {
		return nil // it is something else, and is tried again
	}
	k.local.Initial = initial
	if err := writeJSON(k.d.path(fileLocal), &k.local); err != nil {
		return err
	}
	return k.startMember(ctx)
}

// membersPause is the time between two questions for the store's members while the
// voters are as they should be.
const membersPause = 5 * time.Second

// tendVoters takes the next step towards the voters that the configuration wants,
// on the DC only.
func (k *keeper) tendVoters(ctx context.Context, s *cib.Snapshot) error {
	if k.admin() == nil && !k.external() || s.Status.DC == nil || s.Status.DC.Node != k.local.Node || s.Status.DC.Incarnation != k.setup.Incarnation {
		return nil
	}
	now := time.Now()
	if now.Before(k.tended.Add(k.pause)) && k.tendedRev == s.Revision {
		return nil
	}
	k.tended, k.tendedRev = now, s.Revision
	if err := k.forgetNodes(ctx, s); err != nil {
		return err
	}
	if !k.external() {
		if err := k.grantNodes(ctx, s, now); err != nil {
			return err
		}
	}
	if lost, next := successor(s, now); lost != "" {
		return k.replaceVoter(ctx, lost, next)
	}
	leaver := ""
	if v := s.Status.Voters; v != nil && len(v.Voters) == 2 && !k.external() {
		if err := k.ask(ctx, func(n *node.Node) { leaver = n.GivesVote() }); err != nil {
			return err
		}
	}
	// A voter that lost its data takes its member away by itself, which no document
	// shows: now and then the store is asked.
	if leaver == "" && !k.votersDiffer(s) && now.Before(k.asked.Add(membersPause)) {
		return nil
	}
	k.asked = now
	if nodes := strings.Join(sortedKeys(s.Config.Nodes), " "); nodes != k.nodes {
		k.nodes, k.nodesAt = nodes, now
	}
	var step voterStep
	if k.external() {
		step = nextVote(s)
	} else {
		members, err := k.admin().Members(ctx)
		if err != nil {
			return err
		}
		step = nextVoterStep(s, members, leaver)
	}
	if step.kind == voterNone || step.kind == voterPromote && now.Sub(k.nodesAt) < promotePause {
		return nil
	}
	settled, heard := false, false
	if err := k.ask(ctx, func(n *node.Node) {
		settled = n.EpochSettled()
		heard = slices.ContainsFunc(n.Alive(k.clock.now()), func(m cib.ViewMember) bool { return m.Node == step.node })
	}); err != nil {
		return err
	}
	switch {
	case (step.kind != voterRecord || k.external()) && !settled:
		return nil // a majority of the new set has not taken up its epoch yet
	case (step.kind == voterAdd || step.kind == voterPromote) && !heard:
		return nil // it is lost, and nobody has written that down yet
	}
	k.log.Info("voters", "step", step.String(), "voter", step.node)
	sctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var err error
	switch step.kind {
	case voterAdd:
		_, err = k.admin().AddLearner(sctx, step.node, store.PeerURLs(s.Config.Nodes[step.node]))
	case voterPromote:
		if err = k.admin().Promote(sctx, step.node); err == nil {
			_, err = k.admin().Barrier(sctx, step.node)
		}
		replace(k.poke, struct{}{})
	case voterRemove:
		if step.node == leaver {
			// A leader that is removed may be gone before the other one knows that it is.
			if err = k.admin().MoveLeader(sctx, k.local.Node); err != nil {
				break
			}
		}
		err = k.admin().Remove(sctx, step.node, nil)
		replace(k.poke, struct{}{})
	case voterRecord:
		if slices.Contains(step.voters, step.node) && !k.external() {
			// Who has a vote may go on alone, and then has to have everything. The
			// promotion may have been another engine's, which did not wait for that.
			if _, err = k.admin().Barrier(sctx, step.node); err != nil {
				break
			}
		}
		err = k.recordVoters(sctx, s, step)
	case voterNone:
	}
	if errors.Is(err, store.ErrNotReady) {
		return nil // looked at again soon
	}
	return err
}

// votersDiffer reports whether there may be anything to do, without asking the
// store.
func (k *keeper) votersDiffer(s *cib.Snapshot) bool {
	var want []string
	votes := map[string]int{}
	for _, name := range sortedKeys(s.Config.Nodes) {
		n := s.Config.Nodes[name]
		if !n.Voter {
			continue
		}
		want = append(want, name)
		if n.Votes > 1 && k.external() {
			votes[name] = n.Votes
		}
	}
	set := s.Status.Voters
	return set == nil || !slices.Equal(want, set.Voters) || !maps.Equal(votes, set.Votes)
}

func (k *keeper) recordVoters(ctx context.Context, s *cib.Snapshot, step voterStep) error {
	set := &cib.VoterSet{Epoch: s.Status.Voters.Epoch + 1, Voters: step.voters, Votes: step.votes, Since: time.Now().UTC(), Reason: step.reason}
	if slices.Contains(step.voters, step.node) && !slices.Contains(s.Status.Voters.Voters, step.node) {
		set.Added = step.node
	}
	ok, _, err := k.store.Commit(ctx, cib.Txn{
		If:  []cib.Compare{{Key: cib.KeyVoters, ModRev: s.Status.Voters.Rev}, {Key: cib.KeyDC, ModRev: s.Status.DC.Rev}},
		Put: []cib.Put{{Key: cib.KeyVoters, Value: set}, k.eventPut(event.New(event.VoterSetChanged, "voters", strings.Join(step.voters, " "), "reason", step.reason))},
	})
	if err == nil && !ok {
		return nil // the next look decides again
	}
	return err
}

// voterStep is one step towards the wanted voters.
type voterStep struct {
	kind   voterKind
	node   string
	voters []string       // of voterRecord
	votes  map[string]int // of voterRecord; see cib.VoterSet
	reason string
}

type voterKind uint8

const (
	voterNone    voterKind = iota
	voterAdd               // add a learner
	voterPromote           // make it a voter, and wait until it has everything
	voterRemove            // remove a member
	voterRecord            // the votes follow the store
)

// String names the step for the log.
func (s voterStep) String() string {
	return [...]string{"none", "add learner", "promote", "remove", "record"}[s.kind]
}

// learnersMax is how many members may be on their way to a vote at a time. They take
// their votes one after another.
const learnersMax = store.LearnersMax

// memberNode names the node of a member. One that has never started has no name yet,
// and is known by its addresses; "" where it is nobody's.
func memberNode(s *cib.Snapshot, m store.Member) string {
	if m.Name != "" {
		return m.Name
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		for _, u := range store.PeerURLs(s.Config.Nodes[name]) {
			if slices.Contains(m.PeerURLs, u) {
				return name
			}
		}
	}
	return ""
}

// nextVoterStep decides the next step: first the votes follow what the store has
// already done, by one voter; then leaver, one of two voters, goes; then who is wanted begins to learn; then a learner that
// is there is promoted; then what is no longer wanted goes. The store adds no member
// for some seconds after a promotion, so all learners come before the first of them.
func nextVoterStep(s *cib.Snapshot, members []store.Member, leaver string) voterStep {
	voting, learning, started := map[string]bool{}, map[string]bool{}, []string{}
	for _, m := range members {
		name := memberNode(s, m)
		switch {
		case name == "":
			return voterStep{} // whose it is must be known first
		case m.Learner:
			learning[name] = true
			if m.Name != "" {
				started = append(started, name)
			}
		default:
			voting[name] = true
		}
	}
	recorded := s.Status.Voters.Voters
	for _, name := range sortedKeys(voting) {
		if !slices.Contains(recorded, name) {
			return voterStep{kind: voterRecord, node: name, voters: slices.Sorted(slices.Values(append(slices.Clone(recorded), name))), reason: name + " was added"}
		}
	}
	for _, name := range recorded {
		if !voting[name] {
			left := slices.DeleteFunc(slices.Clone(recorded), func(v string) bool { return v == name })
			return voterStep{kind: voterRecord, node: name, voters: left, reason: name + " was removed"}
		}
	}
	if leaver != "" && voting[leaver] && len(voting) == 2 {
		return voterStep{kind: voterRemove, node: leaver}
	}
	wanted := func(name string) bool { n := s.Config.Nodes[name]; return n != nil && n.Voter }
	online := func(name string) bool { st := s.Status.Nodes[name]; return st != nil && st.State == cib.NodeOnline }
	for _, name := range started {
		if !wanted(name) {
			return voterStep{kind: voterRemove, node: name}
		}
	}
	for _, name := range sortedKeys(voting) {
		// A dead one goes before its successor comes: the store takes no new member
		// while one of those it has does not answer.
		if !wanted(name) && !online(name) && len(voting) > 2 {
			return voterStep{kind: voterRemove, node: name}
		}
	}
	for _, name := range sortedKeys(s.Config.Nodes) {
		if wanted(name) && online(name) && !voting[name] && !learning[name] && len(learning) < learnersMax {
			return voterStep{kind: voterAdd, node: name}
		}
	}
	for _, name := range started {
		if online(name) {
			return voterStep{kind: voterPromote, node: name}
		}
	}
	if len(learning) > 0 {
		return voterStep{} // a learner that is not there
	}
	for _, name := range sortedKeys(voting) {
		if !wanted(name) && len(voting) > 1 {
			return voterStep{kind: voterRemove, node: name}
		}
	}
	return voterStep{}
}

// successor finds a voter that is proven dead for longer than voter-replace-wait, and
// the node that is to have its vote: one that is online, of the same site where
// there is one. A site is never left without a vote.
func successor(s *cib.Snapshot, now time.Time) (lost, next string) {
	wait := s.Config.Cluster.Options.VoterReplaceWait()
	if wait == 0 {
		return "", ""
	}
	for _, name := range s.Status.Voters.Voters {
		n, st := s.Config.Nodes[name], s.Status.Nodes[name]
		if n == nil || !n.Voter || st == nil || st.State != cib.NodeFenced || st.Proof == "" || now.Before(st.Since.Add(wait)) {
			continue
		}
		alone := !slices.ContainsFunc(s.Status.Voters.Voters, func(v string) bool {
			return v != name && s.Config.Nodes[v] != nil && s.Config.Nodes[v].Site == n.Site
		})
		var best string
		for _, c := range sortedKeys(s.Config.Nodes) {
			m, cs := s.Config.Nodes[c], s.Status.Nodes[c]
			if m.Voter || cs == nil || cs.State != cib.NodeOnline || alone && m.Site != n.Site {
				continue
			}
			if best == "" || s.Config.Nodes[best].Site != n.Site && m.Site == n.Site {
				best = c
			}
		}
		if best != "" {
			return name, best
		}
	}
	return "", ""
}

// replaceVoter gives the vote of a dead node to another, as a change by the engine.
func (k *keeper) replaceVoter(ctx context.Context, lost, next string) error {
	_, err := k.changeBy(ctx, api.Actor{User: "belayd", Via: "engine"}, &api.Change{
		Action: api.ActionVoter, Object: "node/" + next, ChangeRef: lost + " is dead for longer than voter-replace-wait",
	}, func(c *cib.Config) error {
		for name, vote := range map[string]bool{lost: false, next: true} {
			n := *c.Nodes[name]
			n.Voter = vote
			c.Nodes[name] = &n
		}
		return nil
	})
	return err
}

// list returns the documents below a prefix.
func (e *engine) list(ctx context.Context, prefix string) ([]cib.KV, error) {
	kvs, _, err := e.store.List(ctx, store.List{Prefix: prefix})
	return kvs, err
}
