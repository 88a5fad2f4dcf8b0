package node

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// What the cluster leaves alone wherever it is does not keep a node from leaving: by
// whatever the policy goes.
func TestUnmanaged(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		set  func(*cib.Config)
		want bool
	}{
		"managed":                      {func(*cib.Config) {}, false},
		"the resource is not managed":  {func(c *cib.Config) { c.Resources["web"].Meta.Managed = &no }, true},
		"the resource in maintenance":  {func(c *cib.Config) { c.Resources["web"].Meta.Maintenance = &yes }, true},
		"its group is not managed":     {func(c *cib.Config) { c.Resources["site"].Meta.Managed = &no }, true},
		"its clone is in maintenance":  {func(c *cib.Config) { c.Resources["sites"].Meta.Maintenance = &yes }, true},
		"the default is not managed":   {func(c *cib.Config) { c.Cluster.ResourceDefaults.Managed = &no }, true},
		"managed against its default":  {func(c *cib.Config) { c.Cluster.ResourceDefaults.Managed, c.Resources["web"].Meta.Managed = &no, &yes }, false},
		"the node is in maintenance":   {func(c *cib.Config) { c.Nodes["n1"].Maintenance = true }, false}, // it would be started elsewhere
		"another node in maintenance":  {func(c *cib.Config) { c.Nodes["n2"].Maintenance = true }, false},
		"the cluster is":               {func(c *cib.Config) { c.Cluster.Options.MaintenanceMode = true }, true},
		"the resource is gone by then": {func(c *cib.Config) { delete(c.Resources, "web") }, false},
	} {
		s := cib.Empty()
		s.Config.Nodes = map[string]*cib.Node{"n1": {ID: 1}, "n2": {ID: 2}}
		s.Config.Resources = map[string]*cib.Resource{
			"web": {Agent: "belay:dummy"}, "site": {Group: []string{"web"}}, "sites": {Clone: &cib.Clone{Resource: "site"}},
		}
		c.set(s.Config)
		s.Status.Members = map[string]*cib.Member{"n1": {Node: "n1", BootID: "b1"}}
		s.Status.Histories = map[string]map[string]*cib.History{"n1": {"web": {
			Instance: "web", Resource: "web", BootID: "b1", Ops: []cib.OpResult{{Op: cib.OpStart, Status: cib.OpDone}},
		}}}
		n := New(Setup{Name: "n3", Rand: rand.New(rand.NewPCG(1, 2)), Snapshot: s}, time.Unix(0, 0))
		if n.empty("n1") != c.want {
			t.Errorf("%s: n1 waits for nothing: %v", name, !c.want)
		}
	}
}
