package policy_test

import (
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// TestContainerHosts: the replicas of a bundle with addresses know each other's
// names, unless add-host is false.
func TestContainerHosts(t *testing.T) {
	for _, c := range []struct {
		addHost *bool
		want    int // names told to each container
	}{{nil, 2}, {new(true), 2}, {new(false), 0}} {
		w := newWorld()
		if err := w.parse("nodes n1 n2\nprimitive web\nbundle box replicas=2 ip=10.0.0.5 inside=web\nprobed"); err != nil {
			t.Fatal(err)
		}
		w.Config.Resources["box"].Bundle.Network.AddHost = c.addHost
		_, g, _ := policy.Decide(w.Snapshot, w.now)
		starts := 0
		for i := range g.Actions {
			a := &g.Actions[i]
			if a.Op != cib.OpStart || !strings.HasPrefix(a.Resource, "box-docker-") {
				continue
			}
			starts++
			told := 0
			for _, name := range []string{"box-0:10.0.0.5", "box-1:10.0.0.6"} {
				told += strings.Count(a.Parameters["run_opts"], "--add-host="+name)
			}
			if told != c.want {
				t.Errorf("add-host %v: %s is told %d names, want %d: %s", c.addHost, a.Resource, told, c.want, a.Parameters["run_opts"])
			}
		}
		if starts != 2 {
			t.Errorf("%d containers are started, want 2", starts)
		}
	}
}
