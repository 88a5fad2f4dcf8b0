package sim

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/engine/cib"
)

// Seeds of "go test" without SIM_SEEDS; CI runs 20 000, and 50 large ones.
const (
	seedsDefault = 500
	seedsCI      = 20_000
	largeNodes   = 200
)

// seeds returns how many worlds to run: SIM_SEEDS, or a few.
func seeds(t *testing.T) uint64 {
	text := os.Getenv("SIM_SEEDS")
	if text == "" {
		return seedsDefault
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SIM_SEEDS is %q: %v", text, err)
	}
	return n
}

// TestSeeds runs worlds of 3 to 7 nodes.
func TestSeeds(t *testing.T) { runSeeds(t, Options{From: 1, Seeds: seeds(t)}) }

// TestLarge runs worlds of 200 nodes: 50 in CI, for every 400 small ones one.
func TestLarge(t *testing.T) {
	runSeeds(t, Options{From: 1, Seeds: max(1, seeds(t)*50/seedsCI), Nodes: largeNodes})
}

// TestTwoNodes runs worlds of two nodes with an arbitrator: 5000 in CI, for every
// four others one.
func TestTwoNodes(t *testing.T) {
	runSeeds(t, Options{From: 1, Seeds: max(20, seeds(t)*5000/seedsCI), Nodes: 2})
}

func runSeeds(t *testing.T, o Options) {
	rep := RunSeeds(o)
	t.Logf("%d worlds in %s, %.0f a second, %s of virtual time, %d events", rep.Worlds, rep.Took.Round(time.Millisecond),
		float64(rep.Worlds)/rep.Took.Seconds(), rep.Virtual.Round(time.Second), rep.Steps)
	for _, b := range rep.Failed {
		var text strings.Builder
		Explain(b, nil, 20*time.Second, 80, &text)
		t.Error(text.String())
	}
}

// TestSameSeed runs worlds twice: the same seed must give the same world, or no
// failure can be replayed. A trace must not change it either.
func TestSameSeed(t *testing.T) {
	for seed := range uint64(60) {
		seed += 1
		var hashes [3]uint64
		for i := range hashes {
			w := New(Generate(seed, 0))
			w.tracing = i == 2
			if f := w.Run(); f != nil {
				break // TestSeeds tells
			}
			hashes[i] = w.Hash()
		}
		if hashes[0] != hashes[1] || hashes[0] != hashes[2] {
			t.Errorf("rule %d (%s) broken by seed %d: fingerprints %x", ruleDeterminism, Rules[ruleDeterminism], seed, hashes)
		}
	}
}

// TestMutants breaks the engine in every way of the table; each must be noticed
// within CI's seeds. It takes minutes: SIM_MUTANTS=1, as make sim-mutants does.
func TestMutants(t *testing.T) {
	names := map[string]bool{}
	for i := range Mutants {
		m := &Mutants[i]
		if names[m.Name] {
			t.Errorf("two mutants are named %s", m.Name)
		}
		names[m.Name] = true
	}
	few := os.Getenv("SIM_MUTANTS") == ""
	for i := range Mutants {
		m := &Mutants[i]
		if few && m.Rare {
			continue // those that take thousands of worlds with SIM_MUTANTS only
		}
		t.Run(m.Name, func(t *testing.T) {
			rep := RunSeeds(Options{From: 1, Seeds: seedsCI, Nodes: m.Nodes, Mutant: m})
			if len(rep.Failed) == 0 {
				t.Fatalf("nothing noticed in %d worlds that %s", rep.Worlds, m.What)
			}
			b := rep.Failed[0]
			if !m.caughtBy(b.Failure.Rule) {
				t.Errorf("caught by rule %d, and the table says %v: %v", b.Failure.Rule, m.Rules, b.Failure)
			}
			t.Logf("caught after %d worlds by seed %d: %v", rep.Worlds, b.Seed, b.Failure)
		})
	}
}

// TestShrink shrinks a failing scenario to the faults that matter.
func TestShrink(t *testing.T) {
	m := mutantNamed(t, "unclean-is-fenced")
	rep := RunSeeds(Options{From: 1, Seeds: 500, Mutant: m})
	if len(rep.Failed) == 0 {
		t.Fatal("no seed breaks a rule")
	}
	full := Generate(rep.Failed[0].Seed, 0)
	small := Shrink(full, m, 10*time.Second)
	if len(small.Faults) > len(full.Faults) || len(small.Config.Resources) > len(full.Config.Resources) {
		t.Errorf("grew from\n%s to\n%s", full, small)
	}
	w := New(small)
	w.Break(m)
	if f := w.Run(); f == nil || f.Rule != rep.Failed[0].Failure.Rule {
		t.Errorf("breaks %v, not %v", f, rep.Failed[0].Failure)
	}
}

func mutantNamed(t *testing.T, name string) *Mutant {
	t.Helper()
	for i := range Mutants {
		if Mutants[i].Name == name {
			return &Mutants[i]
		}
	}
	t.Fatalf("there is no mutant %s", name)
	return nil
}

// TestTraces runs the named scenarios in testdata: what a cluster does, line by
// line, when one thing goes wrong.
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			sc := calm()
			for line := range strings.SplitSeq(d.Input, "\n") {
				if strings.TrimSpace(line) != "" {
					sc.Faults = append(sc.Faults, parseFault(t, line))
				}
			}
			if d.HasArg("vm") {
				yes := true
				sc.Config.Resources = map[string]*cib.Resource{"vm": primitive(10 * time.Second)}
				sc.Config.Resources["vm"].Meta.AllowMigrate = &yes
			}
			if d.HasArg("far") {
				sc.Remotes, sc.Drift, sc.WallOffset = 1, make([]int64, 4), make([]time.Duration, 4)
				site, far := primitive(10*time.Second), primitive(5*time.Second)
				far.Agent, far.Parameters = cib.AgentRemote, map[string]string{"reconnect_interval": "5s"}
				sc.Config.Resources = map[string]*cib.Resource{"svc": site, "far1": far}
				sc.Config.Constraints["at"] = &cib.Constraint{Location: &cib.Location{Resource: "svc", Node: "far1", Score: 100}}
			}
			var from time.Duration
			if d.HasArg("from") {
				from = duration(t, argument(d, "from"))
			}
			w := New(sc)
			w.tracing = true
			w.filter = func(line string) bool { return w.now >= int64(from) && readable(line) }
			f := w.Run()
			out := strings.Join(w.trace, "\n") + "\n"
			if f != nil {
				out += f.Error() + "\n"
			}
			return out
		})
	})
}

// calm is a small cluster in which nothing goes wrong by itself.
func calm() *Scenario {
	sc := &Scenario{
		Seed: 1, Nodes: 3, Links: 2, Voters: []int{0, 1, 2}, StoredVoters: true, Heal: 60 * time.Second, Settle: 120 * time.Second,
		Drift: make([]int64, 3), WallOffset: make([]time.Duration, 3), WatchMin: time.Millisecond, WatchMax: 3 * time.Millisecond,
		BootMin: 3 * time.Second, BootMax: 4 * time.Second, BootSpread: time.Second, WatchdogTime: 5 * time.Second,
	}
	c := &cib.Config{
		Nodes: map[string]*cib.Node{}, FenceDevices: map[string]*cib.FenceDevice{"pdu": {Agent: "fence_sim"}}, Constraints: map[string]*cib.Constraint{},
		Resources: map[string]*cib.Resource{
			"ip": primitive(10 * time.Second), "web": primitive(10 * time.Second), "site": {Group: []string{"ip", "web"}},
		},
	}
	c.Cluster.Name = "sim"
	for i := range sc.Nodes {
		c.Nodes[nodeName(sc, i)] = &cib.Node{ID: uint32(i + 1), Voter: true, Addresses: []string{fmt.Sprint("10.0.0.", i+1), fmt.Sprint("10.0.1.", i+1)}}
	}
	sc.Config = c
	return sc
}

// parseFault reads "20s power-loss n1 for=30s".
func parseFault(t *testing.T, line string) Fault {
	t.Helper()
	words := strings.Fields(line)
	f := Fault{At: duration(t, words[0])}
	for k := FaultKind(1); k < faultKinds; k++ {
		if k.String() == words[1] {
			f.Kind = k
		}
	}
	if f.Kind == 0 {
		t.Fatalf("there is no fault %q", words[1])
	}
	for _, w := range words[2:] {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case !ok && f.Node == "":
			f.Node = w
		case !ok:
			f.Peer = w
		case name == "for":
			f.For = duration(t, value)
		case name == "n":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			f.N = n
		case name == "resource":
			f.Resource = value
		case name == "text":
			f.Text = value
		case name == "op":
			f.Op = value
		case name == "mode":
			f.Mode = agentMode(slices.Index(agentModes, value))
		default:
			t.Fatalf("%q in a fault", w)
		}
	}
	return f
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func argument(d *datadriven.TestData, name string) string {
	for _, a := range d.CmdArgs {
		if a.Key == name && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

// readable leaves out of a named trace what happens all the time.
func readable(line string) bool {
	for _, s := range []string{"monitor", "probe", "records that", "ends the record", "BLY", "registers"} {
		if strings.Contains(line, s) {
			return false
		}
	}
	return true
}

// What the checker holds against the cluster is judged by the cluster's time, not by
// the clock of a DC that is out of step with the other voters.
func TestClockIsTheClusters(t *testing.T) {
	for voters, want := range map[int]time.Duration{3: 0, 2: -772 * time.Second} {
		sc := calm()
		sc.Voters = sc.Voters[:voters]
		w := New(sc)
		w.runUntil(20 * time.Second)
		dc := w.machines[0]
		s := &cib.Snapshot{Status: cib.Status{DC: &cib.DC{Node: dc.name}}}
		if off := w.clock(s).Sub(epoch.Add(20 * time.Second)); off.Abs() > time.Second {
			t.Errorf("%d voters: the time of a DC that is in step is %s off", voters, off)
		}
		dc.wallOff -= 1544 * time.Second
		if off := w.clock(s).Sub(epoch.Add(20 * time.Second)); (off - want).Abs() > time.Second {
			t.Errorf("%d voters: the time of a DC whose clock was set back is %s off, not %s", voters, off, want)
		}
	}
}

// One of two nodes leaves, then the other one, then both together, amid everything else
// that goes wrong: the one that stays goes on alone, and all is well at the end.
func TestTwoNodesLeave(t *testing.T) {
	alone := 0
	for seed := range max(20, seeds(t)*200/seedsCI) {
		sc := Generate(seed+1, 2)
		at := time.Duration(8+seed%7) * time.Second
		both := at + 50*time.Second
		sc.Faults = append(sc.Faults, Fault{At: at, Kind: NodeLeave, Node: "n1", For: 12 * time.Second}, Fault{At: at + 25*time.Second, Kind: NodeLeave, Node: "n2", For: 12 * time.Second},
			Fault{At: both, Kind: NodeLeave, Node: "n1", For: 15 * time.Second}, Fault{At: both + time.Duration(seed%3)*time.Second, Kind: NodeLeave, Node: "n2", For: 12 * time.Second})
		slices.SortStableFunc(sc.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
		sc.Heal = max(sc.Heal, both+20*time.Second)
		w := New(sc)
		w.tracing = true
		w.filter = func(line string) bool { return strings.Contains(line, "takes the vote") }
		if f := w.Run(); f != nil {
			t.Errorf("seed %d: %v", seed+1, f)
		}
		alone += len(w.trace)
	}
	if alone == 0 {
		t.Error("nobody gave up a vote")
	}
	t.Logf("%d votes were given up", alone)
}
