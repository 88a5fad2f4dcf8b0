package node

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// A start elsewhere than where the instance was started last is a move, whatever became
// of it there; a start again on the same node, a first one, and one of an instance that
// several nodes have are none.
func TestMoveOf(t *testing.T) {
	s := cib.Empty()
	s.Config.Resources["web"] = &cib.Resource{Agent: "belay:dummy"}
	s.Config.Resources["web-all"] = &cib.Resource{Clone: &cib.Clone{Resource: "web-one"}}
	s.Config.Resources["web-one"] = &cib.Resource{Agent: "belay:dummy"}
	at := func(minute int) time.Time { return time.Unix(int64(60*minute), 0) }
	s.Status.Histories = map[string]map[string]*cib.History{}
	for _, h := range []struct {
		node, op string
		minute   int
	}{{"n1", cib.OpStart, 1}, {"n2", cib.OpStart, 2}, {"n3", cib.OpStop, 3}, {"n4", cib.OpMonitor, 4}} {
		s.Status.Histories[h.node] = map[string]*cib.History{}
		for _, id := range []string{"web", "web-one"} {
			s.Status.Histories[h.node][id] = &cib.History{Instance: id, Resource: id, Ops: []cib.OpResult{{Op: h.op, Started: at(h.minute)}}}
		}
	}
	for _, c := range []struct {
		name     string
		a        cib.Action
		from, to string
	}{
		{"elsewhere", cib.Action{Op: cib.OpStart, Node: "n1", Instance: "web", Resource: "web"}, "n2", "n1"},
		{"the same node", cib.Action{Op: cib.OpStart, Node: "n2", Instance: "web", Resource: "web"}, "", ""},
		{"a first start", cib.Action{Op: cib.OpStart, Node: "n1", Instance: "new", Resource: "new"}, "", ""},
		{"a clone", cib.Action{Op: cib.OpStart, Node: "n1", Instance: "web-one", Resource: "web-one"}, "", ""},
		{"a stop", cib.Action{Op: cib.OpStop, Node: "n1", Instance: "web", Resource: "web"}, "", ""},
		{"a live migration", cib.Action{Op: cib.OpMigrateTo, Node: "n2", Peer: "n3", Instance: "web", Resource: "web"}, "n2", "n3"},
	} {
		if from, to := moveOf(s, &c.a); from != c.from || to != c.to {
			t.Errorf("%s: from %q to %q, want from %q to %q", c.name, from, to, c.from, c.to)
		}
	}
}
