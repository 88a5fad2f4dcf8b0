package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// The survivor's engine is killed while it waits until it may go on alone, at each step
// of that, and comes back: it goes on, once, while the other one is off.
func TestHandOverGoesOn(t *testing.T) {
	// Its own vote is the newest: it must still know that the other one knew of it.
	away := Fault{At: 12 * time.Second, For: time.Second, Kind: NodeLeave, Node: "n2"}
	lost := Fault{At: 20 * time.Second, For: 280 * time.Second, Kind: PowerLoss, Node: "n1"}
	for name, fault := range map[string]Fault{
		"when it has lost the other one": {At: 22 * time.Second, For: time.Second, Kind: EngineCrash, Node: "n2"},
		"when it has the grant":          {At: 28 * time.Second, For: time.Second, Kind: EngineCrash, Node: "n2"},
		"when it copies its data":        {At: 20 * time.Second, For: 5 * time.Second, Kind: CrashForced, Text: "begun", N: 1},
		"when it asks the arbitrator":    {At: 20 * time.Second, For: 5 * time.Second, Kind: CrashForced, Text: "asked", N: 1},
		"when the generation is opened":  {At: 20 * time.Second, For: 5 * time.Second, Kind: CrashForced, Text: "opened", N: 1},
	} {
		t.Run(name, func(t *testing.T) {
			sc := calm()
			sc.Nodes, sc.Voters = 2, []int{0, 1}
			delete(sc.Config.Nodes, "n3")
			arbitrated(sc.Config)
			sc.Config.FenceDevices = nil // the other one stays off
			grace := cib.Duration(2 * time.Second)
			o := &sc.Config.Cluster.Options
			o.StopGrace, o.WatchdogTimeout, sc.WatchdogTime = &grace, grace, 2*time.Second
			sc.Faults, sc.Heal = []Fault{away, lost, fault}, 300*time.Second
			w := New(sc)
			w.tracing = true
			var alone []string
			killed := false
			w.filter = func(line string) bool {
				if strings.Contains(line, "is the only voter of the store") {
					alone = append(alone, line)
				}
				killed = killed || strings.Contains(line, "engine is killed") && strings.Contains(line, "n2")
				return false
			}
			if f := w.Run(); f != nil {
				t.Error(f)
			}
			if !killed {
				t.Error("the engine was not killed")
			}
			if len(alone) != 1 {
				t.Errorf("it went on alone %d times: %v", len(alone), alone)
			}
		})
	}
}

// One of two nodes without a tie-breaker leaves. The other one, which takes its vote,
// loses its power before it has recorded that, and boots while nobody else is there: it is
// a whole cluster all the same.
func TestVoteTakenAndNotRecorded(t *testing.T) {
	sc := calm()
	sc.Nodes, sc.Voters = 2, []int{0, 1}
	delete(sc.Config.Nodes, "n3")
	sc.Faults = []Fault{
		{At: 20 * time.Second, For: 200 * time.Second, Kind: NodeLeave, Node: "n1"},
		{At: 20 * time.Second, For: 3 * time.Second, Kind: CrashForced, Text: "removed"},
		{At: 22 * time.Second, For: 178 * time.Second, Kind: PowerLoss, Node: "n1"},
	}
	sc.Heal = 220 * time.Second
	w := New(sc)
	w.tracing = true
	var recorded, started bool
	w.filter = func(line string) bool {
		recorded = recorded || strings.Contains(line, "records that it is the only voter")
		started = started || recorded && !w.healed && strings.Contains(line, "web is active now")
		return false
	}
	if f := w.Run(); f != nil {
		t.Error(f)
	}
	if !recorded || !started {
		t.Errorf("it recorded its vote: %v, its services run: %v", recorded, started)
	}
}
