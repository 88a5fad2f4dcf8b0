package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// outages looks at a transaction with the store as it is before. A service that is lost
// with its node is noted in the very transaction that says so, nowhere twice, and its end
// is told in the one that ends the note: so each loss is told once, whoever is the DC.
func (c *checks) outages(w *World, e *engine, txn *cib.Txn) {
	s := w.store.snap
	before := openOutages(s.Status.Outages)
	docs := maps.Clone(s.Status.Outages)
	if docs == nil {
		docs = map[string]*cib.Outages{}
	}
	var lost []string
	ends := map[string]int{}
	for i := range txn.Put {
		key := txn.Put[i].Key
		switch v := txn.Put[i].Value.(type) {
		case *cib.Outages:
			docs[strings.TrimPrefix(key, cib.KeyOutages)] = v
		case *cib.NodeStatus:
			name := strings.TrimPrefix(key, cib.KeyNodeStatus)
			if cur := s.Status.Nodes[name]; cur != nil && v.State == cib.NodeUnclean && (cur.State == cib.NodeOnline || cur.State == cib.NodeRestarting) && cur.BootID == v.BootID {
				lost = append(lost, name)
			}
		case *cib.Event:
			if v.Code == event.Get(event.ServiceFailedOver).Code() || v.Code == event.Get(event.ServiceNotRecovered).Code() {
				ends[v.Resource]++
			}
		}
	}
	for _, key := range txn.Delete {
		if name, ok := strings.CutPrefix(key, cib.KeyOutages); ok {
			delete(docs, name)
		}
	}
	after := openOutages(docs)
	for _, service := range sortedKeys(after) {
		if len(after[service]) > 1 {
			w.fail(6, "%s notes the loss of %s on %s", e.m.name, service, strings.Join(after[service], " and "))
		}
	}
	for _, service := range sortedKeys(ends) {
		if ends[service] > 1 || len(before[service]) == 0 || len(after[service]) > 0 {
			w.fail(6, "%s tells of the end of the loss of %s %d times; it was lost on %v, and is on %v", e.m.name, service, ends[service], before[service], after[service])
		}
	}
	for _, name := range lost {
		for _, id := range c.serving(w, e, name) {
			if len(after[id]) == 0 {
				w.fail(6, "%s calls %s unclean, where %s runs, and does not note that it is lost", e.m.name, name, id)
			}
		}
	}
}

// serving are the primitives in no group or clone that are active on a node as they
// should be, as far as an engine can know.
func (c *checks) serving(w *World, e *engine, name string) []string {
	s := w.store.snap
	var out []string
	if s.Config.Cluster.Options.StopAllResources || s.ConfigGen.Rev > e.basis {
		return nil // the engine cannot know yet what is managed
	}
	parents := s.Config.Parents()
	for _, id := range sortedKeys(s.Status.Histories[name]) {
		h := s.Status.Histories[name][id]
		r := s.Config.Resources[id]
		if r == nil || r.Kind() != cib.KindPrimitive || parents[id] != "" || h.Rev > e.basis || h.BootID != s.Status.Nodes[name].BootID || !h.Role().Active() ||
			r.Meta.TargetRole == cib.RoleStopped || !c.managedOn(w, id, name) {
			continue
		}
		out = append(out, id)
	}
	return out
}

// openOutages are the nodes on which each service was lost.
func openOutages(docs map[string]*cib.Outages) map[string][]string {
	out := map[string][]string{}
	for _, name := range sortedKeys(docs) {
		for service := range docs[name].Services { // their order does not matter
			out[service] = append(out[service], name)
		}
	}
	return out
}

// runsOn reports whether an instance runs on a node. That it has a place there is not
// enough: something that it needs may be stopped.
func runsOn(s *cib.Snapshot, host, id string) bool {
	resource, _, _ := strings.Cut(id, ":")
	for _, key := range []string{id, resource} { // an anonymous instance has no name on a node
		if h := s.Status.Histories[host][key]; h != nil && h.Role().Active() {
			return true
		}
	}
	return false
}

// untold says which loss is over and was not told, with where each instance should run;
// "" where there is none.
func untold(s *cib.Snapshot, hosts map[string]string) string {
	for _, name := range sortedKeys(s.Status.Outages) {
		for _, service := range sortedKeys(s.Status.Outages[name].Services) {
			x := s.Status.Outages[name].Services[service]
			if len(x.Instances) > 0 && !slices.ContainsFunc(x.Instances, func(id string) bool { return !runsOn(s, hosts[id], id) }) {
				return fmt.Sprintf("%s runs again, which was lost on %s: %s", service, name, x.Reason)
			}
		}
	}
	return ""
}
