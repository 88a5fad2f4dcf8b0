package bench

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	importer "github.com/belay-ha/belay/engine/pacemaker"
	"github.com/belay-ha/belay/engine/policy"
)

// replanning measures a decision after a change that touches one resource of
// 10 000 on 1000 nodes.
func replanning(_ context.Context, r *Report) error {
	var doc bytes.Buffer
	if err := (shape{nodes: 1000, primitives: 10_000}).writeTo(&doc); err != nil {
		return err
	}
	d, err := importer.Read(doc.Bytes())
	if err != nil {
		return fmt.Errorf("read the CIB: %w", err)
	}
	now, _ := d.Time()
	im := importer.Import(d, now)
	for _, c := range []struct {
		what   string
		change func(s *cib.Snapshot, i int)
	}{
		{"a monitor failed", failMonitor},
		{"a resource was stopped by hand", stopResource},
		{"a new resource that may run anywhere", addResource},
		{"a new order between two groups", addOrder},
	} {
		s := im.Snapshot
		var p policy.Planner
		p.Decide(s, now)
		var took []float64
		for i := range 2 * rounds {
			s = touch(s)
			c.change(s, i)
			began := ownCPU()
			decision := p.Decide(s, now)
			took = append(took, 1000*(ownCPU()-began).Seconds())
			if decision.Fault != nil {
				return fmt.Errorf("%s: %w", c.what, decision.Fault)
			}
			if p.Reused == 0 {
				return fmt.Errorf("%s: all was decided anew", c.what)
			}
		}
		r.Add(Figure{Name: "replan 1000x10000, " + c.what, Value: Median(took), Unit: "ms", Goal: AtMost(50), Note: fmt.Sprintf("CPU time, median of %d, the plan checked; at most %.1f", len(took), maxOf(took))})
	}
	return nil
}

func maxOf(values []float64) float64 {
	m := values[0]
	for _, v := range values {
		m = max(m, v)
	}
	return m
}

// touch copies as much of a snapshot as a change of one document does.
func touch(s *cib.Snapshot) *cib.Snapshot {
	out, c := *s, *s.Config
	out.Revision++
	c.Resources, c.Constraints = maps.Clone(c.Resources), maps.Clone(c.Constraints)
	out.Config = &c
	out.Status.Histories = maps.Clone(s.Status.Histories)
	return &out
}

func failMonitor(s *cib.Snapshot, i int) {
	node := fmt.Sprintf("node%d", 100+i)
	of := maps.Clone(s.Status.Histories[node])
	for key, h := range of {
		failed := *h
		failed.FailCount++
		failed.Ops = append([]cib.OpResult{}, h.Ops...)
		failed.Ops = append(failed.Ops, cib.OpResult{Seq: 1 << 40, Op: cib.OpMonitor, Interval: cib.Duration(10 * time.Second), RC: cib.NotRunning, Status: cib.OpDone, Failed: true, Ended: s.Status.View.Formed})
		of[key] = &failed
		break
	}
	s.Status.Histories[node] = of
}

func stopResource(s *cib.Snapshot, i int) {
	id := fmt.Sprintf("r%d", 300+30*i)
	r := *s.Config.Resources[id]
	r.Meta.TargetRole = cib.RoleStopped
	s.Config.Resources[id] = &r
}

func addResource(s *cib.Snapshot, i int) {
	s.Config.Resources[fmt.Sprintf("new%d", i)] = &cib.Resource{Agent: "ocf:pacemaker:Dummy"}
}

func addOrder(s *cib.Snapshot, i int) {
	s.Config.Constraints[fmt.Sprintf("new%d", i)] = &cib.Constraint{Order: &cib.Order{First: fmt.Sprintf("g%d", 100+20*i), Then: fmt.Sprintf("g%d", 111+20*i)}}
}
