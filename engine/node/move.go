package node

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// moveOf says from where to where an action brings an instance; from is "" where it
// moves nothing. It comes from where it was started last, also when that node is gone:
// the history of a node stays until its next boot. An instance of an anonymous clone
// comes from nowhere: the same one is on several nodes.
func moveOf(s *cib.Snapshot, a *cib.Action) (from, to string) {
	switch a.Op {
	case cib.OpMigrateTo:
		return a.Node, a.Peer
	case cib.OpStart:
	default:
		return "", ""
	}
	newest := time.Time{}
	for _, node := range sortedKeys(s.Status.Histories) {
		h := s.Status.Histories[node][a.Instance]
		if h == nil {
			continue
		}
		for i := range h.Ops {
			if o := &h.Ops[i]; (o.Op == cib.OpStart || o.Op == cib.OpMigrateFrom) && o.Started.After(newest) {
				from, newest = node, o.Started
			}
		}
	}
	if from == "" || from == a.Node || manyNodes(s.Config, a.Resource) {
		return "", ""
	}
	return from, a.Node
}

// manyNodes reports whether a resource is in a clone or a bundle.
func manyNodes(c *cib.Config, resource string) bool {
	parents := c.Parents()
	for id := parents[resource]; id != ""; id = parents[id] {
		switch c.Resources[id].Kind() {
		case cib.KindClone, cib.KindPromotable, cib.KindBundle:
			return true
		case cib.KindPrimitive, cib.KindGroup:
		}
	}
	return false
}
