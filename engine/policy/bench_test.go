package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// bigWorld is a cluster of nodes × primitives in groups of five, with locations
// and colocations in between.
func bigWorld(nodes, primitives int, state string) *world {
	w := newWorld()
	for i := range nodes {
		w.node(fmt.Sprintf("n%04d", i))
	}
	monitor := []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(10 * time.Second)}}
	stick := cib.Score(100)
	for i := 0; i < primitives; i += 5 {
		g := &cib.Resource{}
		for k := range min(5, primitives-i) {
			id := fmt.Sprintf("r%05d", i+k)
			w.Config.Resources[id] = &cib.Resource{
				Agent: "ocf:heartbeat:Dummy", Operations: monitor, Meta: cib.Meta{Stickiness: &stick},
				Parameters: map[string]string{"state": "/run/" + id, "fake": "x"},
			}
			g.Group = append(g.Group, id)
			if state != "cold" {
				w.running(fmt.Sprintf("n%04d", i/5%nodes), id, cib.RoleStarted)
			}
		}
		id := fmt.Sprintf("g%05d", i)
		w.Config.Resources[id] = g
		w.Config.Constraints["l"+id] = &cib.Constraint{Location: &cib.Location{Resource: id, Node: fmt.Sprintf("n%04d", i/5%nodes), Score: 50}}
		if i > 0 && i%25 == 0 {
			w.Config.Constraints["o"+id] = &cib.Constraint{Order: &cib.Order{First: fmt.Sprintf("g%05d", i-5), Then: id}}
		}
	}
	if state != "cold" {
		w.probed()
	}
	if state == "failed" {
		w.state("n0000", cib.NodeUnclean)
	}
	return w
}

func BenchmarkPolicy(b *testing.B) {
	for _, size := range [][2]int{{3, 10}, {3, 30}, {32, 1000}, {100, 1000}} {
		for _, state := range []string{"steady", "failed", "cold"} {
			w := bigWorld(size[0], size[1], state)
			name := fmt.Sprintf("%dx%d/%s", size[0], size[1], state)
			b.Run(name+"/place", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					policy.Place(w.Snapshot, w.now)
				}
			})
			b.Run(name+"/plan", func(b *testing.B) {
				p := policy.Place(w.Snapshot, w.now)
				b.ReportAllocs()
				for b.Loop() {
					policy.Plan(w.Snapshot, p, w.now)
				}
			})
			b.Run(name+"/decide", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					policy.Decide(w.Snapshot, w.now)
				}
			})
			b.Run(name+"/check", func(b *testing.B) {
				p := policy.Place(w.Snapshot, w.now)
				g := policy.Plan(w.Snapshot, p, w.now)
				b.ReportAllocs()
				for b.Loop() {
					if err := policy.Check(w.Snapshot, w.now, p, g); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
