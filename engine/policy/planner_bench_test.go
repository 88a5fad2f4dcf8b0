package policy_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// BenchmarkPlanner decides after a change that touches one resource of many.
func BenchmarkPlanner(b *testing.B) {
	w := bigWorld(100, 5000, "cold")
	off := false
	w.Config.Cluster.Options.StartupProbes = &off
	for i := range 5000 {
		w.running(fmt.Sprintf("n%04d", i/5%100), fmt.Sprintf("r%05d", i), cib.RoleStarted)
	}
	for _, c := range []struct {
		name   string
		change func(c *cib.Config, i int)
	}{
		{"target-role", func(c *cib.Config, i int) {
			r := *c.Resources["r00007"]
			r.Meta.TargetRole = []cib.Role{cib.RoleStarted, cib.RoleStopped}[i%2]
			c.Resources["r00007"] = &r
		}},
		{"new-resource", func(c *cib.Config, i int) {
			c.Resources["new"] = &cib.Resource{Agent: "ocf:heartbeat:Dummy", Description: fmt.Sprint(i)}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var p policy.Planner
			s := *w.Snapshot
			p.Decide(&s, w.now)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				next, cfg := s, *s.Config
				cfg.Resources = maps.Clone(cfg.Resources)
				next.Config = &cfg
				c.change(&cfg, i)
				if d := p.Decide(&next, w.now); d.Fault != nil || p.Reused == 0 {
					b.Fatal(d.Fault, p.Reused)
				}
				s = next
			}
		})
	}
}
