package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/node"
)

// Mutant is a deliberate breakage, made between a node and its world, so that the
// engine itself has no hooks for it. A rule must notice.
type Mutant struct {
	Name  string
	What  string
	Rules []int // one of them catches it
	Rare  bool  // it takes thousands of worlds
	Nodes int   // of the worlds; 0: 3 to 7

	commit      func(w *World, e *engine, c *node.Commit) bool // false: it is not sent
	run         func(w *World, r *run) bool                    // false: it is not run, and said to fail
	result      func(w *World, r *run, res *node.AgentResult)
	fenceCall   func(w *World, e *engine, x *node.FenceCall) bool // false: it is not made
	fenceResult func(w *World, x *node.FenceCall, r *node.FenceResult)
	message     func(w *World, e *engine, to int, m *membership.Message)
	snapshot    func(w *World, e *engine, s *cib.Snapshot) *cib.Snapshot

	ignoreNotAfter, runTwice, keepLeftovers, noSelfFence, oneWayLeaks, noOpen bool
}

// Break makes a mutant of a world; nil changes nothing.
func (w *World) Break(m *Mutant) { w.mutant = m }

// Mutants are all of them.
var Mutants = []Mutant{
	{
		Name: "dc-no-compare", What: "the DC's writes do not compare the DC's key", Rules: []int{3, 6, 7},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			if c.Txn.If = slices.Clone(c.Txn.If); len(c.Txn.Put) != 1 || c.Txn.Put[0].Key != cib.KeyDC {
				c.Txn.If = slices.DeleteFunc(c.Txn.If, func(x cib.Compare) bool { return x.Key == cib.KeyDC && x.ModRev != 0 && !elects(&c.Txn) })
			}
			return true
		},
	},
	{
		Name: "dc-no-fence", What: "the DC's writes do not change the DC's key, so that a late one is not refused", Rules: []int{6, 7, 1},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			if !elects(&c.Txn) {
				c.Txn.Put = slices.DeleteFunc(slices.Clone(c.Txn.Put), func(p cib.Put) bool { return p.Key == cib.KeyDC })
			}
			return true
		},
	},
	{
		Name: "claim-no-compare", What: "a claim does not compare the record", Rules: []int{6},
		commit: onKind("claim", func(c *node.Commit) { c.Txn.If = nil }),
	},
	{
		Name: "withdraw-no-compare", What: "the DC withdraws without comparing the record", Rare: true, Rules: []int{6},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			c.Txn.If = slices.DeleteFunc(slices.Clone(c.Txn.If), func(x cib.Compare) bool {
				return strings.HasPrefix(x.Key, cib.KeyPending) && x.ModRev != 0 && compares(&c.Txn, cib.KeyDC)
			})
			return true
		},
	},
	{
		Name: "config-no-compare", What: "the DC asks without comparing the configuration's generation", Rare: true, Rules: []int{5},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			c.Txn.If = slices.DeleteFunc(slices.Clone(c.Txn.If), func(x cib.Compare) bool { return x.Key == cib.KeyConfigGen })
			return true
		},
	},
	{Name: "ignore-not-after", What: "an agent is started, and a device called, however late it is", Rare: true, Rules: []int{6, 2, 3}, ignoreNotAfter: true},
	{Name: "start-twice", What: "every start is run twice", Rules: []int{6}, runTwice: true},
	{
		Name: "run-unclaimed", What: "an action runs although its claim was not written", Rules: []int{6},
		commit: pretend("claim"),
	},
	{
		Name: "finish-unwritten", What: "the end of an action is taken for written, and is not", Rules: []int{10},
		commit: pretend("finish"),
	},
	{
		Name: "end-without-result", What: "the record ends without its result", Rules: []int{1, 6, 10},
		commit: onKind("finish", func(c *node.Commit) {
			c.Txn.Put = slices.DeleteFunc(slices.Clone(c.Txn.Put), func(p cib.Put) bool { return strings.HasPrefix(p.Key, cib.KeyHistory) })
		}),
	},
	{
		Name: "result-without-end", What: "the result is written without the end of the record", Rules: []int{10},
		commit: onKind("finish", func(c *node.Commit) { c.Txn.Delete = nil }),
	},
	{
		Name: "fence-without-power", What: "off is called done and read back without being done", Rules: []int{4},
		fenceCall: func(w *World, e *engine, x *node.FenceCall) bool {
			if x.Op != node.FenceOff && x.Op != node.FenceStatus {
				return true
			}
			run := x.Run
			w.afterOn(100*time.Millisecond, e.m, ofEngine, e, func() {
				e.step(node.FenceDone{Run: run, Result: node.FenceResult{OK: true, Off: true}})
			})
			return false
		},
	},
	{
		Name: "failed-off-counts", What: "a device that does not answer counts as off", Rare: true, Rules: []int{4},
		fenceResult: func(_ *World, x *node.FenceCall, r *node.FenceResult) {
			if x.Op != node.FenceMonitor {
				*r = node.FenceResult{OK: true, Off: true}
			}
		},
	},
	{
		Name: "loss-unnoted", What: "services are lost with their node, and that is not written", Rules: []int{6},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			if slices.ContainsFunc(c.Txn.Put, func(p cib.Put) bool { return strings.HasPrefix(p.Key, cib.KeyNodeStatus) }) {
				withoutOutages(&c.Txn)
			}
			return true
		},
	},
	{
		Name: "recovery-told-twice", What: "the end of a loss is told, and not that it was", Rules: []int{6},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			if !slices.ContainsFunc(c.Txn.Put, func(p cib.Put) bool { return strings.HasPrefix(p.Key, cib.KeyNodeStatus) }) {
				withoutOutages(&c.Txn)
			}
			return true
		},
	},
	{
		Name: "unclean-is-fenced", What: "a lost node is marked fenced without a proof", Rules: []int{4},
		commit: restate(cib.NodeUnclean, cib.NodeFenced),
	},
	{
		Name: "lost-is-left", What: "a lost node is marked as cleanly left", Rules: []int{4},
		commit: restate(cib.NodeUnclean, cib.NodeOffline),
	},
	{
		Name: "skip-the-proof", What: "the policy is told that fencing is not required", Rules: []int{10, 4},
		snapshot: func(_ *World, _ *engine, s *cib.Snapshot) *cib.Snapshot {
			no := false
			out, c := *s, *s.Config
			c.Cluster.Options.FencingRequired = &no
			out.Config = &c
			return &out
		},
	},
	{
		Name: "unclean-is-offline", What: "who plans takes lost nodes for cleanly left ones", Rules: []int{4, 1},
		snapshot: func(_ *World, _ *engine, s *cib.Snapshot) *cib.Snapshot {
			out := *s
			out.Status.Nodes = map[string]*cib.NodeStatus{}
			for name, st := range s.Status.Nodes {
				if st.State == cib.NodeUnclean {
					left := *st
					left.State = cib.NodeOffline
					st = &left
				}
				out.Status.Nodes[name] = st
			}
			return &out
		},
	},
	{
		Name: "proof-not-recorded", What: "the request ends without its proof", Rules: []int{7, 10},
		commit: onKind("proof", func(c *node.Commit) {
			c.Txn.Put = slices.DeleteFunc(slices.Clone(c.Txn.Put), func(p cib.Put) bool { return strings.HasPrefix(p.Key, cib.KeyProof) })
		}),
	},
	{
		Name: "void-not-recorded", What: "a proof that turned out false stands", Rare: true, Rules: []int{4, 10, 7},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			c.Txn.Put = slices.DeleteFunc(slices.Clone(c.Txn.Put), func(p cib.Put) bool {
				v, ok := p.Value.(*cib.Proof)
				return ok && v.Void != ""
			})
			return true
		},
	},
	{
		Name: "target-fences-itself", What: "the target is asked to drive its own fencing", Rules: []int{7, 10},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			for i := range c.Txn.Put {
				if r, ok := c.Txn.Put[i].Value.(*cib.FenceRequest); ok && r.State == cib.FenceRequested {
					r.Executor = r.Target
				}
			}
			return true
		},
	},
	{
		Name: "view-drops-member", What: "a member is left out of every view", Rules: []int{10, 8, 3},
		commit: func(_ *World, e *engine, c *node.Commit) bool {
			for i := range c.Txn.Put {
				if v, ok := c.Txn.Put[i].Value.(*cib.View); ok && len(v.Members) > 1 {
					d := *v
					last := len(v.Members) - 1
					if v.Members[last].Node == e.m.name {
						last--
					}
					d.Members = slices.Delete(slices.Clone(v.Members), last, last+1)
					c.Txn.Put[i].Value = &d
				}
			}
			return true
		},
	},
	{
		Name: "view-keeps-lost", What: "a lost node stays online", Rules: []int{10},
		commit: func(w *World, e *engine, c *node.Commit) bool {
			for i := range c.Txn.Put {
				switch v := c.Txn.Put[i].Value.(type) {
				case *cib.View:
					if old := w.store.snap.Status.View; old != nil && len(old.Members) > len(v.Members) {
						return pretend("view")(w, e, c)
					}
				case *cib.NodeStatus:
					if v.State == cib.NodeUnclean {
						return pretend("view")(w, e, c) && pretend("state")(w, e, c)
					}
				}
			}
			return true
		},
	},
	{
		Name: "ignore-one-way-cut", What: "what a one-way cut drops arrives, and who is cut off is not missed", Rules: []int{10, 2, 6}, oneWayLeaks: true,
	},
	{
		Name: "echo-always", What: "voters tell every node that it is in the view, the one that it knows", Rare: true, Rules: []int{8, 3, 2, 10},
		message: func(w *World, _ *engine, to int, m *membership.Message) {
			m.InView, m.View = true, w.machines[to].truth.viewSeen
		},
	},
	{
		Name: "ignore-epoch", What: "a record counts as asked for in the present validity epoch", Rare: true, Rules: []int{6},
		snapshot: func(_ *World, e *engine, s *cib.Snapshot) *cib.Snapshot {
			own := s.Status.Pending[e.m.name]
			if len(own) == 0 || e.epoch == 0 {
				return s
			}
			out := *s
			out.Status.Pending = map[string]map[string]*cib.Pending{e.m.name: {}}
			for name, m := range s.Status.Pending {
				if name != e.m.name {
					out.Status.Pending[name] = m
				}
			}
			for id, p := range own {
				q := *p
				q.ValidityEpoch = e.epoch
				out.Status.Pending[e.m.name][id] = &q
			}
			return &out
		},
	},
	{
		Name: "probe-lies", What: "every probe says that nothing runs", Rules: []int{1, 10},
		result: func(_ *World, r *run, res *node.AgentResult) {
			if r.action.Probe {
				res.Status, res.RC = cib.OpDone, cib.NotRunning
			}
		},
	},
	{
		Name: "failed-stop-counts", What: "a stop that failed counts as done", Rules: []int{1, 10},
		result: func(_ *World, r *run, res *node.AgentResult) {
			if r.action.Op == cib.OpStop {
				res.Status, res.RC = cib.OpDone, cib.OK
			}
		},
	},
	{Name: "keep-leftovers", What: "agents of an earlier engine go on while the new one probes", Rare: true, Rules: []int{6, 1, 10}, keepLeftovers: true},
	{
		Name: "force-unopened", What: "one of two voters goes on alone with the store without the arbitrator's leave", Nodes: 2, Rules: []int{3, 2, 6}, noOpen: true,
	},
	{
		Name: "no-deadline", What: "a node without validity neither stops its resources nor resets itself", Rules: []int{8, 10, 1},
		noSelfFence: true,
		run:         func(_ *World, r *run) bool { return !r.notAfter.IsZero() },
	},
	{
		Name: "arrival-not-recorded", What: "a migration leaves no record at its other end", Rare: true, Rules: []int{1, 4, 10},
		commit: func(_ *World, _ *engine, c *node.Commit) bool {
			c.Txn.Put = slices.DeleteFunc(slices.Clone(c.Txn.Put), func(p cib.Put) bool { return expects(&p) })
			return true
		},
	},
	{
		Name: "arrival-believed", What: "migrate_from is said to have ended well without a look", Rare: true, Rules: []int{1, 10},
		result: func(_ *World, r *run, res *node.AgentResult) {
			if r.action.Op == cib.OpMigrateFrom {
				res.Status, res.RC = cib.OpDone, cib.OK
			}
		},
	},
	{
		Name: "failed-migration-counts", What: "a migrate_to that failed counts as done, its source as gone", Rare: true, Rules: []int{1, 10},
		result: func(_ *World, r *run, res *node.AgentResult) {
			if r.action.Op == cib.OpMigrateTo {
				res.Status, res.RC = cib.OpDone, cib.OK
			}
		},
	},
	{
		Name: "ask-two-nodes", What: "the DC asks two nodes to start the same instance", Rules: []int{1, 6, 9},
		commit: func(w *World, e *engine, c *node.Commit) bool {
			for i := range c.Txn.Put {
				p, ok := c.Txn.Put[i].Value.(*cib.Pending)
				if !ok || p.State != cib.ActionAsked || p.Op != cib.OpStart || !w.checks.mayRunOnce(p.Instance) {
					continue
				}
				q := *p
				q.ID += ".b"
				for _, m := range w.machines {
					if q.Node = m.name; q.Node != p.Node && m.truth.in && w.store.snap.Status.Pending[m.name][p.Instance] == nil {
						if doc := w.store.snap.Status.Members[m.name]; doc != nil {
							q.ValidityEpoch = doc.ValidityEpoch
						}
						c.Txn.Put = append(slices.Clone(c.Txn.Put), cib.Put{Key: cib.PendingKey(q.Node, q.Instance), Value: &q})
						return true
					}
				}
			}
			return true
		},
	},
}

// expects reports whether a transaction writes the record of a migration at its other
// end.
func expects(p *cib.Put) bool {
	v, ok := p.Value.(*cib.Pending)
	return ok && v.State == cib.ActionExpected
}

// elects reports whether a transaction takes the DC's key, and nothing else.
func elects(txn *cib.Txn) bool {
	for _, p := range txn.Put {
		if p.Key != cib.KeyDC && !strings.HasPrefix(p.Key, cib.KeyEvent) {
			return false
		}
	}
	return len(txn.Delete) == 0
}

func compares(txn *cib.Txn, key string) bool {
	return slices.ContainsFunc(txn.If, func(c cib.Compare) bool { return c.Key == key })
}

// onKind changes transactions of one kind.
func onKind(kind string, change func(c *node.Commit)) func(*World, *engine, *node.Commit) bool {
	return func(w *World, _ *engine, c *node.Commit) bool {
		if w.store.kindOf(&c.Txn) == kind {
			change(c)
		}
		return true
	}
}

// pretend answers transactions of one kind as done without doing them.
func pretend(kind string) func(*World, *engine, *node.Commit) bool {
	return func(w *World, e *engine, c *node.Commit) bool {
		if w.store.kindOf(&c.Txn) != kind {
			return true
		}
		id, rev := c.ID, w.store.rev
		w.afterOn(3*time.Millisecond, e.m, ofEngine, e, func() { e.step(node.Committed{ID: id, Outcome: node.Done, Rev: rev}) })
		return false
	}
}

// restate changes what the DC says of nodes.
func restate(from, to cib.NodeState) func(*World, *engine, *node.Commit) bool {
	return func(_ *World, _ *engine, c *node.Commit) bool {
		for i := range c.Txn.Put {
			if st, ok := c.Txn.Put[i].Value.(*cib.NodeStatus); ok && st.State == from {
				st.State = to
			}
		}
		return true
	}
}

// caughtBy reports whether the table names the rule.
func (m *Mutant) caughtBy(rule int) bool { return slices.Contains(m.Rules, rule) }

// withoutOutages takes out of a transaction what it says of services that are lost.
func withoutOutages(txn *cib.Txn) {
	txn.Put = slices.DeleteFunc(slices.Clone(txn.Put), func(p cib.Put) bool { return strings.HasPrefix(p.Key, cib.KeyOutages) })
	txn.Delete = slices.DeleteFunc(slices.Clone(txn.Delete), func(key string) bool { return strings.HasPrefix(key, cib.KeyOutages) })
}
