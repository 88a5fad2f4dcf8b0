package membership

import (
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
)

// history is a world with what an observer outside would write down.
type history struct {
	*world
	t        *rapid.T
	weighted bool            // voters have more than one vote
	side     map[string]bool // during a split
	splitAt  time.Time
	views    []*cib.View
	promised map[uint64]time.Time // when somebody with the newest epoch first saw a majority promise
	stale    bool                 // a restarted node read an old view
	since    map[string]time.Time // since when a node is valid in the view leased[node] or newer
	leased   map[string]uint64
}

// TestValidityNeverTwice plays random histories: delays, losses, cuts, restarts,
// pauses, lagging reads of the store, changing voter sets and views. It checks
// after every event that
//
//   - when a majority has promised a view, a node that is in none since loses its
//     validity within T, unless a restarted voter read an old view from the store;
//   - even then, once a node is valid in a view, a node that is in none since
//     loses its validity within T, or the first one has lost its own meanwhile;
//   - T after the cluster was split in two, only one side has valid nodes.
//
// When all has healed, all are valid again and everybody chooses everybody.
func TestValidityNeverTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nv := rapid.IntRange(1, 5).Draw(t, "voters")
		no := rapid.IntRange(0, 3).Draw(t, "others")
		s := Setup{VoterEpoch: 1, Detection: 500 * time.Millisecond, Interval: 100 * time.Millisecond, Validity: time.Second, Links: rapid.IntRange(1, 2).Draw(t, "links")}
		for i := range nv + no {
			s.Nodes = append(s.Nodes, fmt.Sprint("n", i))
		}
		s.Voters = s.Nodes[:nv]
		weighted := rapid.Bool().Draw(t, "weighted")
		if weighted {
			s.Votes = map[string]int{}
			for _, v := range s.Voters {
				s.Votes[v] = rapid.IntRange(1, 4).Draw(t, "votes")
			}
		}
		w := &history{weighted: weighted, world: newWorld(rapid.Uint64().Draw(t, "seed"), s), t: t, promised: map[uint64]time.Time{}, since: map[string]time.Time{}, leased: map[string]uint64{}}
		w.delay = func() time.Duration { return time.Duration(w.rng.Int64N(int64(80 * time.Millisecond))) }
		w.lost = func() bool { return w.rng.IntN(20) == 0 }
		w.after = w.check
		w.store(w.names)
		for _, n := range w.names {
			w.boot(n, false)
		}
		w.store(w.names) // with the incarnations that exist now
		w.sync(w.names...)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			w.fault()
			w.run(time.Duration(rapid.IntRange(10, 900).Draw(t, "ms")) * time.Millisecond)
		}
		w.healAll()
		w.run(4 * time.Second)
		w.store(w.names)
		w.sync(w.names...)
		w.run(2 * time.Second)
		for _, n := range w.names {
			if !w.valid(n) {
				t.Fatalf("%s is not valid after everything healed", n)
			}
			h := w.nodes[n]
			if !h.t.voter {
				continue
			}
			members, reason := Choose(h.t.Hearing(w.local(h)), ChooseInput{Nodes: w.names, Voters: w.setup.Voters, Weights: w.weights(), Current: w.view})
			if len(members) != len(w.names) {
				t.Fatalf("%s chooses %s: %s", n, memberNames(members), reason)
			}
		}
	})
}

// reads says whether a node reaches the store: during a split, on the side with
// a majority of the votes.
func (w *history) reads(n string) bool {
	if w.side == nil {
		return true
	}
	k, all := 0, 0
	for _, v := range w.setup.Voters {
		all += w.setup.votes(v)
		if w.side[v] == w.side[n] {
			k += w.setup.votes(v)
		}
	}
	return 2*k > all
}

func (w *history) store(members []string) {
	w.newView(slices.Clone(members)...)
	w.views = append(w.views, w.view)
}

// fault does one thing.
func (w *history) fault() {
	t := w.t
	pick := func() string { return rapid.SampledFrom(w.names).Draw(t, "node") }
	writable := slices.ContainsFunc(w.names, w.reads)
	switch rapid.IntRange(0, 10).Draw(t, "fault") {
	case 0:
		w.cut(pick(), pick(), rapid.IntRange(-1, w.setup.Links-1).Draw(t, "link"))
	case 1:
		w.healAll()
	case 2, 3:
		w.healAll()
		w.side, w.splitAt = map[string]bool{}, w.now
		for _, n := range w.names {
			w.side[n] = rapid.Bool().Draw(t, "side of "+n)
		}
		for _, a := range w.names {
			for _, b := range w.names {
				if w.side[a] != w.side[b] {
					w.cut(a, b, -1)
				}
			}
		}
	case 4:
		n := pick()
		h := w.nodes[n]
		seen := h.setup
		same := rapid.Bool().Draw(t, "same boot")
		w.boot(n, same)
		if !w.reads(n) { // only its old configuration on disk, and no view
			h.setup, h.view, h.gen = seen, nil, cib.DataGeneration{}
			h.t = New(n, h.inc, w.member(n).BootID, rand.New(rand.NewPCG(h.inc, 3)), w.local(h))
			w.learn(h)
		} else if old := rapid.IntRange(0, 3).Draw(t, "old views"); old > 0 && old < len(w.views) {
			w.stale = true
			h.view = w.views[len(w.views)-1-old]
			h.t = New(n, h.inc, w.member(n).BootID, rand.New(rand.NewPCG(h.inc, 4)), w.local(h))
			w.learn(h)
		}
	case 5:
		w.nodes[pick()].paused = w.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "pause")) * time.Millisecond)
	case 6, 7:
		if writable {
			w.store(rapid.SliceOfDistinct(rapid.SampledFrom(w.names), rapid.ID).Draw(t, "view"))
		}
	case 8, 9, 10:
		w.changeVoters(writable)
	}
	for _, n := range w.names {
		if w.reads(n) && rapid.Bool().Draw(t, n+" reads") {
			w.sync(n)
		}
	}
}

// changeVoters adds or removes one voter, or one vote, if somebody who knows the newest
// epoch has seen it settle.
func (w *history) changeVoters(writable bool) {
	n := rapid.SampledFrom(w.names).Draw(w.t, "voter")
	settled := slices.ContainsFunc(w.names, func(n string) bool {
		h := w.nodes[n]
		return w.reads(n) && h.setup.VoterEpoch == w.setup.VoterEpoch && h.t.EpochSettled()
	})
	if !writable || !settled {
		return
	}
	v := slices.Clone(w.setup.Voters)
	votes := maps.Clone(w.setup.Votes)
	switch i, found := slices.BinarySearch(v, n); {
	case !found:
		v = slices.Insert(v, i, n)
		delete(votes, n)
	case w.weighted && rapid.Bool().Draw(w.t, "more"):
		votes[n] = w.setup.votes(n) + 1
	case w.setup.votes(n) > 1:
		votes[n]--
	case len(v) > 1:
		v = slices.Delete(v, i, i+1)
	}
	w.setup.VoterEpoch++
	w.setup.Voters, w.setup.Votes = v, votes
}

func (w *history) weights() []int {
	var out []int
	for _, v := range w.setup.Voters {
		out = append(out, w.setup.votes(v))
	}
	return out
}

func (w *history) healAll() {
	w.heal()
	w.side = nil
}

func (w *history) check() {
	for _, n := range w.names {
		h := w.nodes[n]
		for _, v := range w.views {
			if _, known := w.promised[v.Number]; !known && h.setup.VoterEpoch == w.setup.VoterEpoch && h.t.Promised(v.Number) {
				w.promised[v.Number] = w.now
			}
		}
	}
	valid := [2]string{}
	for _, n := range w.names {
		if !w.valid(n) {
			delete(w.leased, n)
		} else if v := w.nodes[n].t.leaseView; v != w.leased[n] {
			w.leased[n], w.since[n] = v, w.now
		}
	}
	for _, n := range w.names {
		if !w.valid(n) {
			continue
		}
		for _, x := range w.names {
			if v, ok := w.leased[x]; ok && !w.inSince(n, v) && w.validUntil(n).After(w.since[x].Add(w.setup.Validity)) {
				w.t.Fatalf("%s: %s is valid for %s, but %s is valid in view %d without it since %s",
					w.now.Sub(w.start), n, w.validUntil(n).Sub(w.now), x, v, w.now.Sub(w.since[x]))
			}
		}
		inc := w.nodes[n].inc
		for _, v := range slices.Backward(w.views) {
			if m, ok := v.Member(n); ok && m.Incarnation == inc {
				break
			}
			if at, ok := w.promised[v.Number]; ok && !w.stale && w.validUntil(n).After(at.Add(w.setup.Validity)) {
				w.t.Fatalf("%s: %s is valid for %s, but a majority promised view %d without it %s ago",
					w.now.Sub(w.start), n, w.validUntil(n).Sub(w.now), v.Number, w.now.Sub(at))
			}
		}
		if w.side != nil && w.now.After(w.splitAt.Add(w.setup.Validity)) {
			i := 0
			if w.side[n] {
				i = 1
			}
			valid[i] = n
		}
	}
	if valid[0] != "" && valid[1] != "" {
		w.t.Fatalf("%s: both %s and %s are valid, %s after the split", w.now.Sub(w.start), valid[0], valid[1], w.now.Sub(w.splitAt))
	}
}

// inSince reports whether a node is in the view or a later one.
func (w *history) inSince(n string, view uint64) bool {
	return slices.ContainsFunc(w.views, func(v *cib.View) bool {
		m, ok := v.Member(n)
		return ok && v.Number >= view && m.Incarnation == w.nodes[n].inc
	})
}

// TestSameSeed: a tracker is a function of its calls.
func TestSameSeed(t *testing.T) {
	play := func() string {
		s := Setup{Nodes: []string{"n1", "n2", "n3", "n4"}, Voters: []string{"n1", "n2", "n3"}, VoterEpoch: 1, Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second, Links: 2}
		w := newWorld(7, s)
		w.delay = func() time.Duration { return time.Duration(w.rng.Int64N(int64(300 * time.Millisecond))) }
		w.lost = func() bool { return w.rng.IntN(4) == 0 }
		out := ""
		w.onHap = func(at time.Time, node string, it Item) { out += fmt.Sprintln(at.Sub(w.start), node, it) }
		for _, n := range w.names {
			w.boot(n, false)
		}
		w.run(20 * time.Second)
		return out
	}
	if a, b := play(), play(); a != b || a == "" {
		t.Fatalf("two runs differ:\n%s\n%s", a, b)
	}
}

// TestReportsArrive: what voters tell each other in small changes is at the end
// what they hear, also with more nodes than fit into one message, and when nodes
// are removed and added again.
func TestReportsArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		many := rapid.SampledFrom([]int{3, 8, MaxHears + 40}).Draw(t, "others")
		s := Setup{VoterEpoch: 1, Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second, Links: 1, Voters: []string{"v1", "v2"}}
		s.Nodes = append(s.Nodes, s.Voters...)
		w := newWorld(rapid.Uint64().Draw(t, "seed"), s)
		w.delay = func() time.Duration { return time.Duration(w.rng.Int64N(int64(50 * time.Millisecond))) }
		w.lost = func() bool { return w.rng.IntN(10) == 0 }
		for _, v := range w.names {
			w.boot(v, false)
		}
		others := make([]string, many)
		for i := range others {
			others[i] = fmt.Sprintf("n%04d", i)
		}
		v1 := w.nodes["v1"]
		seq := map[string]uint64{}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			lo := rapid.IntRange(0, many).Draw(t, "from")
			hi := rapid.IntRange(lo, many).Draw(t, "to")
			if rapid.Bool().Draw(t, "configure") {
				w.setup.Nodes = slices.Concat(w.setup.Voters, others[lo:hi])
				w.sync(w.names...)
			}
			for _, n := range others[lo:hi] { // heard by v1 alone
				if w.nodes["v1"].t.byName[n] != nil {
					seq[n]++
					m := Message{From: n, Incarnation: 1, BootID: n, Seq: seq[n], Nonce: 1, Echo: Echo{Nonce: v1.t.nonce}}
					v1.t.Receive(w.local(v1), 0, &m)
				}
			}
			w.run(time.Duration(rapid.IntRange(10, 700).Draw(t, "ms")) * time.Millisecond)
		}
		w.lost = func() bool { return false }
		w.run(2 * time.Second)
		for _, pair := range [][2]string{{"v1", "v2"}, {"v2", "v1"}} {
			a, b := w.nodes[pair[0]], w.nodes[pair[1]]
			want := a.t.own()
			got := b.t.byName[pair[0]]
			if got.hearsHeld != got.hearsTop || !slices.Equal(got.hears, want) {
				t.Fatalf("%s holds %d of %d: %v, want %v", pair[1], got.hearsHeld, got.hearsTop, got.hears, want)
			}
		}
	})
}

// TestChooseClique: the voters chosen all hear each other, no larger such set
// exists, and neither the order of the inputs nor a second call changes it.
func TestChooseClique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nv := rapid.IntRange(1, 7).Draw(t, "voters")
		in := ChooseInput{TieBreaker: rapid.SampledFrom([]string{"", "dc", "lowest-name"}).Draw(t, "tie")}
		for i := range nv {
			in.Voters = append(in.Voters, fmt.Sprint("v", i))
		}
		in.DC = rapid.SampledFrom(in.Voters).Draw(t, "dc")
		others := []string{"a", "w", "x"}
		in.Nodes = slices.Concat(others, in.Voters)
		v := &cib.View{}
		for _, n := range slices.Sorted(slices.Values(in.Nodes)) {
			if rapid.Bool().Draw(t, n+" in view") {
				v.Members = append(v.Members, cib.ViewMember{Node: n, Incarnation: 1})
			}
		}
		in.Current = v
		var h Hearing
		says := map[string]map[string]bool{}
		for _, a := range in.Voters {
			says[a] = map[string]bool{a: true}
			r := Report{Node: a, Incarnation: 1}
			for _, b := range slices.Sorted(slices.Values(in.Nodes)) {
				if a != b && rapid.IntRange(0, 3).Draw(t, a+" hears "+b) > 0 {
					one := rapid.IntRange(0, 5).Draw(t, "one way") == 0
					r.Hears = append(r.Hears, Heard{Node: b, Incarnation: 1, OneWay: one})
					says[a][b] = !one
				}
			}
			h.Reports = append(h.Reports, r)
		}
		members, reason := Choose(h, in)
		inSet := map[string]bool{}
		size := 0
		for _, m := range members {
			inSet[m.Node] = true
			if slices.Contains(in.Voters, m.Node) {
				size++
			}
		}
		for _, a := range in.Voters {
			for _, b := range in.Voters {
				if inSet[a] && inSet[b] && !(says[a][b] && says[b][a]) {
					t.Fatalf("%s: %s and %s don't hear each other", memberNames(members), a, b)
				}
			}
		}
		for set := range uint(1) << nv {
			if bits.OnesCount(set) <= size {
				continue
			}
			clique := true
			for i, a := range in.Voters {
				for j, b := range in.Voters {
					clique = clique && (set&(1<<i) == 0 || set&(1<<j) == 0 || says[a][b])
				}
			}
			if clique {
				t.Fatalf("%s: %b is larger", memberNames(members), set)
			}
		}
		for _, n := range others {
			k := 0
			for _, a := range in.Voters {
				if inSet[a] && says[a][n] {
					k++
				}
			}
			if want := k > 0 && k >= min(size, nv/2+1); inSet[n] != want {
				t.Fatalf("%s: %s is heard by %d of %d", memberNames(members), n, k, size)
			}
		}
		again := in
		again.Nodes, again.Voters = slices.Clone(in.Nodes), slices.Clone(in.Voters)
		slices.Reverse(again.Nodes)
		slices.Reverse(again.Voters)
		m2, r2 := Choose(h, again)
		if !slices.Equal(members, m2) || reason != r2 {
			t.Fatalf("%v (%s), in another order %v (%s)", members, reason, m2, r2)
		}
	})
}

// TestReceiveAnything: no message does more than be ignored, whatever it holds.
func TestReceiveAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Setup{Nodes: []string{"n1", "n2", "n3"}, Voters: []string{"n1", "n2"}, VoterEpoch: 1, Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second, Links: 2}
		now := time.Unix(100, 0)
		tr := New("n1", 1, "b", rand.New(rand.NewPCG(1, 1)), now)
		tr.Configure(now, s)
		u := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64())
		for range rapid.IntRange(1, 30).Draw(t, "messages") {
			m := Message{
				From: rapid.SampledFrom([]string{"n1", "n2", "n3", "n4"}).Draw(t, "from"), Incarnation: u.Draw(t, "inc"),
				Seq: u.Draw(t, "seq"), Nonce: u.Draw(t, "nonce"), Answer: rapid.Bool().Draw(t, "answer"),
				Echo:  Echo{Nonce: rapid.SampledFrom([]uint64{0, 1, tr.nonce}).Draw(t, "echo"), Held: time.Duration(rapid.Int64().Draw(t, "held")), Link: rapid.Int().Draw(t, "link"), Hears: u.Draw(t, "held rev")},
				Voter: true, Echoes: true, InView: true, VoterEpoch: u.Draw(t, "epoch"), View: u.Draw(t, "view"),
				HearsFrom: u.Draw(t, "from rev"), HearsRev: u.Draw(t, "rev"), HearsTop: u.Draw(t, "top"),
				Hears: []Heard{{Node: "n3", Incarnation: 1}, {Node: "x", Gone: true}},
				Wall:  time.Unix(rapid.Int64().Draw(t, "wall"), 0),
			}
			tr.Receive(now, rapid.IntRange(-1, 9).Draw(t, "on"), &m)
			now = now.Add(time.Duration(rapid.IntRange(-50, 700).Draw(t, "ms")) * time.Millisecond)
			tr.Tick(now)
			tr.Beat(now)
			tr.Hearing(now)
			tr.Links(now)
			if !tr.ValidUntil().IsZero() {
				t.Fatal("valid without knowing a generation")
			}
		}
	})
}

// BenchmarkStep is a voter's share of a heartbeat: one message received, its part
// of a beat, a tick.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{3, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := Setup{VoterEpoch: 1, Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second, Links: 2}
			for i := range n {
				s.Nodes = append(s.Nodes, fmt.Sprintf("n%03d", i))
			}
			s.Voters = s.Nodes[:3]
			w := newWorld(1, s)
			w.newView(s.Nodes...)
			for _, x := range w.names {
				w.boot(x, false)
			}
			w.run(3 * time.Second)
			h := w.nodes["n000"]
			from := w.nodes[s.Nodes[n-1]]
			now := w.local(h)
			m := from.t.Beat(w.local(from).Add(time.Second))[0].Msg
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(200 * time.Millisecond / time.Duration(n))
				m.Seq++
				h.t.Receive(now, 0, &m)
				h.t.Receive(now, 1, &m)
				h.t.Tick(now)
				h.t.Beat(now)
				_ = h.t.ValidUntil()
			}
		})
	}
}
