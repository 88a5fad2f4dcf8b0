package node

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// The sole voter goes on alone with a store that waits for a member without a vote, and
// with no other.
func TestRecoverUnrecorded(t *testing.T) {
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		voters   []string
		waits    string
		external bool
		answers  bool
		after    time.Duration
		want     bool
	}{
		"long enough":              {voters: []string{"n1"}, waits: "n2", after: time.Second, want: true},
		"it may come back":         {voters: []string{"n1"}, waits: "n2", after: 900 * time.Millisecond},
		"nobody is waited for":     {voters: []string{"n1"}, after: time.Hour},
		"the store answers":        {voters: []string{"n1"}, waits: "n2", answers: true, after: time.Hour},
		"both have a vote":         {voters: []string{"n1", "n2"}, waits: "n2", after: time.Hour},
		"the vote is another's":    {voters: []string{"n2"}, waits: "n2", after: time.Hour},
		"the store is not its own": {voters: []string{"n1"}, waits: "n2", external: true, after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := cib.Empty()
			s.Config.Cluster.Options.Detection = cib.Duration(time.Second)
			s.Config.Nodes["n1"], s.Config.Nodes["n2"] = &cib.Node{Voter: true}, &cib.Node{Voter: true}
			if c.external {
				s.Config.Cluster.Store.Endpoints = []string{"https://etcd:2379"}
			}
			s.Status.Generation = cib.DataGeneration{Number: 2, Nonce: 7}
			s.Status.Voters = &cib.VoterSet{Epoch: 3, Voters: c.voters}
			s.Revision = 40
			n := New(Setup{Name: "n1", Incarnation: 1, BootID: "b", Rand: rand.New(rand.NewPCG(1, 1)), Snapshot: s}, start)
			n.Step(start, StoreState{OK: c.answers})
			n.Step(start, StoreWaits{For: c.waits})
			var got []Recover
			for _, at := range []time.Duration{c.after, c.after} { // it is asked for once
				for _, e := range n.Step(start.Add(at), Tick{}) {
					if r, ok := e.(Recover); ok {
						got = append(got, r)
					}
				}
			}
			switch want := (Recover{Lost: "n2", Generation: s.Status.Generation, Revision: 40}); {
			case !c.want && len(got) > 0, c.want && (len(got) != 1 || got[0] != want):
				t.Errorf("asks for %+v", got)
			}
		})
	}
}

// One of two voters goes on alone where the other one says that it has no data of the
// store, and not otherwise.
func TestRecoverEmpty(t *testing.T) {
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		waits    StoreWaits
		external bool
		answers  bool
		epoch    uint64
		after    time.Duration
		want     bool
	}{
		"long enough":              {waits: StoreWaits{For: "n2", Empty: true}, epoch: 3, after: time.Second, want: true},
		"it was only just said":    {waits: StoreWaits{For: "n2", Empty: true}, epoch: 3, after: 900 * time.Millisecond},
		"it has data":              {waits: StoreWaits{For: "n2"}, epoch: 3, after: time.Hour},
		"it is no voter":           {waits: StoreWaits{For: "n3", Empty: true}, epoch: 3, after: time.Hour},
		"the store answers":        {waits: StoreWaits{For: "n2", Empty: true}, epoch: 3, answers: true, after: time.Hour},
		"the store is not its own": {waits: StoreWaits{For: "n2", Empty: true}, epoch: 3, external: true, after: time.Hour},
		"no votes are recorded":    {waits: StoreWaits{For: "n2", Empty: true}, after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := cib.Empty()
			s.Config.Cluster.Options.Detection = cib.Duration(time.Second)
			s.Config.Nodes["n1"], s.Config.Nodes["n2"] = &cib.Node{Voter: true}, &cib.Node{Voter: true}
			if c.external {
				s.Config.Cluster.Store.Endpoints = []string{"https://etcd:2379"}
			}
			s.Status.Generation = cib.DataGeneration{Number: 2, Nonce: 7}
			if c.epoch > 0 {
				s.Status.Voters = &cib.VoterSet{Epoch: c.epoch, Voters: []string{"n1", "n2"}}
			}
			s.Revision = 40
			n := New(Setup{Name: "n1", Incarnation: 1, BootID: "b", Rand: rand.New(rand.NewPCG(1, 1)), Snapshot: s}, start)
			n.Step(start, StoreState{OK: c.answers})
			n.Step(start.Add(-time.Minute), StoreWaits{For: "n2"}) // the time counts from what was said last
			n.Step(start, c.waits)
			var got []Recover
			for _, at := range []time.Duration{c.after, c.after} { // it is asked for once
				for _, e := range n.Step(start.Add(at), Tick{}) {
					if r, ok := e.(Recover); ok {
						got = append(got, r)
					}
				}
			}
			switch want := (Recover{Lost: "n2", Empty: true, Generation: s.Status.Generation, Revision: 40}); {
			case !c.want && len(got) > 0, c.want && (len(got) != 1 || got[0] != want):
				t.Errorf("asks for %+v", got)
			}
		})
	}
}

// What was told of a recovery that failed is taken back when the store goes on, and told
// again the next time.
func TestRecoverTold(t *testing.T) {
	now := time.Unix(1000, 0)
	s := cib.Empty()
	s.Config.Cluster.Options.Detection = cib.Duration(time.Second)
	s.Config.Nodes["n1"], s.Config.Nodes["n2"] = &cib.Node{Voter: true}, &cib.Node{Voter: true}
	s.Status.Voters = &cib.VoterSet{Epoch: 3, Voters: []string{"n1"}}
	s.Revision = 40
	n := New(Setup{Name: "n1", Incarnation: 1, BootID: "b", Rand: rand.New(rand.NewPCG(1, 1)), Snapshot: s}, now)
	step := func(ev Event) (codes []int) {
		now = now.Add(10 * time.Second)
		for _, e := range n.Step(now, ev) {
			if e, ok := e.(Emit); ok {
				for _, number := range []int{event.StoreForceRefused, event.StoreGoesOn} {
					if e.Event.Code == event.Get(number).Code() {
						codes = append(codes, number)
					}
				}
			}
		}
		return codes
	}
	for i, c := range []struct {
		ev    Event
		told  []int
		alone string
	}{
		{StoreState{OK: false, Reason: "timed out"}, nil, ""},
		{StoreWaits{For: "n2"}, nil, ""},
		{Recovered{Error: "disk full"}, []int{event.StoreForceRefused}, "disk full"},
		{Recovered{Error: "disk full"}, nil, "disk full"},
		{StoreState{OK: true}, []int{event.StoreGoesOn}, ""},
		{StoreState{OK: false, Reason: "timed out"}, nil, ""},
		{Recovered{Error: "disk full"}, []int{event.StoreForceRefused}, "disk full"},
		{Recovered{}, []int{event.StoreGoesOn}, ""},
		{StoreState{OK: true}, nil, ""},
	} {
		if told := step(c.ev); !slices.Equal(told, c.told) || n.StoreAlone() != c.alone {
			t.Errorf("step %d, %+v: told %v, alone %q", i, c.ev, told, n.StoreAlone())
		}
	}
}
