package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/store"
	"github.com/belay-ha/belay/engine/whatif"
)

// voterWorld makes a snapshot of three nodes from words: "n1 n2*" are the wanted
// voters, * those that are lost; recorded are the votes.
func voterWorld(wanted, recorded string) *cib.Snapshot {
	s := cib.Empty()
	for i, name := range []string{"n1", "n2", "n3"} {
		s.Config.Nodes[name] = &cib.Node{ID: uint32(i + 1), Addresses: []string{"10.0.0." + name[1:]}}
		s.Status.Nodes[name] = &cib.NodeStatus{State: cib.NodeOnline}
	}
	for w := range strings.FieldsSeq(wanted) {
		name, lost := strings.CutSuffix(w, "*")
		s.Config.Nodes[name].Voter = true
		if lost {
			s.Status.Nodes[name].State = cib.NodeUnclean
		}
	}
	s.Status.Voters = &cib.VoterSet{Epoch: 1, Voters: strings.Fields(recorded)}
	return s
}

// TestNextVoterStep goes from one voter to three and back, one step at a time, and
// finds the step again from what is, whatever happened in between.
func TestNextVoterStep(t *testing.T) {
	for _, c := range []struct {
		name, wanted, recorded string
		members                string // n2? is a learner, n2! is dead, n2- leaves and is one of two
		want                   string
	}{
		{"nothing to do", "n1", "n1", "n1", "none"},
		{"the first learner", "n1 n2 n3", "n1", "n1", "add learner n2"},
		{"a node that is not there is not added", "n1 n2*", "n1", "n1", "none"},
		{"a promoted voter counts before anything else happens", "n1 n2 n3", "n1", "n1 n2", "record n2: n1 n2"},
		{"a removed voter counts no more before anything else happens", "n1 n2 n3", "n1 n2 n3", "n1 n2", "record n3: n1 n2"},
		{"a learner that is no longer wanted goes", "n1", "n1", "n1 n2?", "remove n2"},
		{"a voter that is no longer wanted goes", "n1 n2", "n1 n2 n3", "n1 n2 n3", "remove n3"},
		{"the last one never goes", "", "n1", "n1", "none"},
		{"a dead one goes before its successor comes", "n1 n2", "n1 n2 n3", "n1 n2 n3!", "remove n3"},
		{"one of two that leaves goes", "n1 n2", "n1 n2", "n1 n2-", "remove n2"},
		{"its vote goes with it", "n1 n2", "n1 n2", "n1", "record n2: n1"},
		{"one that has left is not added", "n1 n2*", "n1", "n1", "none"},
		{"one of three that leaves keeps its vote", "n1 n2 n3", "n1 n2 n3", "n1 n2- n3", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := voterWorld(c.wanted, c.recorded)
			var members []store.Member
			leaver := ""
			for m := range strings.FieldsSeq(c.members) {
				m, dead := strings.CutSuffix(m, "!")
				m, leaves := strings.CutSuffix(m, "-")
				name, learner := strings.CutSuffix(m, "?")
				if leaves {
					leaver = name
				}
				if dead {
					s.Status.Nodes[name].State = cib.NodeFenced
				}
				members = append(members, store.Member{Name: name, Learner: learner})
			}
			step := nextVoterStep(s, members, leaver)
			got := step.String()
			if step.node != "" {
				got += " " + step.node
			}
			if len(step.voters) > 0 {
				got += ": " + strings.Join(step.voters, " ")
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestSuccessor gives the vote of a node that is proven dead for long to another, and
// never empties a site.
func TestSuccessor(t *testing.T) {
	start := time.Unix(0, 0)
	world := func(proof, site string) *cib.Snapshot {
		s := voterWorld("n1 n2", "n1 n2")
		s.Status.Nodes["n2"] = &cib.NodeStatus{State: cib.NodeFenced, Since: start, Proof: proof}
		s.Config.Nodes["n2"].Site = site
		return s
	}
	for name, c := range map[string]struct {
		s    *cib.Snapshot
		at   time.Duration
		want string
	}{
		"long enough":       {world("p1", ""), 10 * time.Minute, "n2 n3"},
		"it may come back":  {world("p1", ""), 9 * time.Minute, " "},
		"no proof":          {world("", ""), time.Hour, " "},
		"alone at its site": {world("p1", "east"), time.Hour, " "},
	} {
		t.Run(name, func(t *testing.T) {
			lost, next := successor(c.s, start.Add(c.at))
			if got := lost + " " + next; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestGarbage keeps what something still names and the newest of the rest.
func TestGarbage(t *testing.T) {
	s := cib.Empty()
	s.Config.Cluster.Options.EventsMax = 2
	for i := range 4 {
		s.Status.Events = append(s.Status.Events, &cib.Event{Seq: uint64(i), Key: cib.EventKey("n1", 1, uint64(i))})
	}
	start := time.Unix(0, 0)
	for i := range fenceHistoryMax + 2 {
		id := string(rune('a'+i%26)) + strings.Repeat("x", i)
		s.Status.Proofs[id] = &cib.Proof{ID: id, Time: start.Add(time.Duration(i) * time.Second)}
		s.Status.Fenced[id] = &cib.FenceRequest{ID: id, Ended: start.Add(time.Duration(i) * time.Second)}
	}
	s.Status.Nodes["n1"] = &cib.NodeStatus{Proof: "a"} // the oldest proof is still the reason for a state
	got := garbage(s)
	want := []string{cib.EventKey("n1", 1, 0), cib.EventKey("n1", 1, 1), cib.KeyFenceHistory + "a", cib.KeyFenceHistory + "bx", cib.KeyProof + "bx"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestSummarizePlan says what a plan means: a stop and a start of one instance are
// one move or one restart, and the downtime is what the operations took last.
func TestSummarizePlan(t *testing.T) {
	step := func(op, inst, node string) graph.Action {
		return graph.Action{Action: cib.Action{Op: op, Instance: inst, Node: node}}
	}
	s := cib.Empty()
	s.Status.Histories["n1"] = map[string]*cib.History{"web": {Ops: []cib.OpResult{
		{Op: cib.OpStart, Exec: 2 * time.Second}, {Op: cib.OpStop, Exec: time.Second},
	}}}
	p := whatif.Summarize(s, &graph.Graph{Actions: []graph.Action{
		step(cib.OpFence, "", "n3"), step(cib.OpStop, "web", "n1"), step(cib.OpStart, "web", "n2"),
		step(cib.OpStop, "db", "n2"), step(cib.OpStart, "db", "n2"), step(cib.OpStop, "old", "n1"), step(cib.OpStart, "new", "n1"),
	}})
	if got := strings.Join(append(append(append(append(append([]string{}, p.Move...), p.Restart...), p.Stop...), p.Start...), p.Fence...), "; "); got != "web from n1 to n2; db on n2; old on n1; new on n1; n3" {
		t.Errorf("summary %q", got)
	}
	if p.Downtime != 3*time.Second {
		t.Errorf("downtime %s, want the stop's 1s and the start's 2s", p.Downtime)
	}
	if planToken(1, p) == planToken(2, p) {
		t.Error("a plan on another generation is another plan")
	}
}

// A configured node has its account, although the voter that it joined through died
// before it gave it one, or a late DC took it away.
func TestAccountsOfNodes(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	e := d.engine.Load()
	account := func(name string) func() bool {
		return func() bool {
			have, err := e.keeper.admin().Accounts(t.Context())
			must(t, err)
			return slices.Contains(have, name)
		}
	}
	add := func(name, address string) {
		t.Helper()
		must(t, e.addNode(t.Context(), d.snapshot(), &api.JoinRequest{Node: name}, &cib.Node{
			ID: uint32(d.generation() + 1), Addresses: []string{address}, PublicKey: e.local.Config.PublicKey,
		}, "", func(code, format string, args ...any) error { return api.NewProblem(code, format) }))
	}
	add("n2", "127.0.0.9")
	d.awaitTrue("the account of n2", account("n2"))
	must(t, e.keeper.admin().RevokeNode(t.Context(), "n2"))
	add("n3", "127.0.0.10")
	d.awaitTrue("the account of n3", account("n3"))
	d.awaitTrue("the account of n2", account("n2"))
}
