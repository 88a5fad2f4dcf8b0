package node

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// actInvalid is what the node does on its own when its validity ended: the
// no-quorum-policy, on its own clock, from the last configuration it knows, by the
// same policy that the DC uses. Nobody else may be able to tell it to.
func (n *Node) actInvalid(now time.Time) {
	o := &n.snap.Config.Cluster.Options
	if n.valid || n.invalidFrom.IsZero() {
		return
	}
	if m := n.snap.Status.Members[n.self.Name]; n.leaving != nil && n.leaving.Restart && m != nil && m.Incarnation == n.self.Incarnation && m.Restart && now.Before(n.invalidFrom.Add(o.RestartGraceTime())) {
		return // the cluster knows that the engine restarts, and waits for it that long
	}
	if n.invalidFrom.Equal(n.started) && now.Before(n.started.Add(o.StartGraceTime())) {
		return // the engine has just started: the first echoes may still come
	}
	active := n.activeHere()
	if !n.mustEnd(active) {
		n.invalidOver = false
		return
	}
	switch o.NoQuorum() {
	case cib.NoQuorumFreeze, cib.NoQuorumIgnore:
		return
	case cib.NoQuorumFence:
		n.selfFence("validity ended and no-quorum-policy is fence")
		return
	case cib.NoQuorumStop, cib.NoQuorumDemote:
	}
	if !now.Before(n.invalidFrom.Add(o.StopGraceTime() + o.StartGraceTime())) {
		n.selfFence("resources could not be stopped within stop-grace after validity ended")
		return
	}
	local := n.alone(active)
	place := policy.Place(local, n.wallNow())
	plan := policy.Plan(local, place, n.wallNow())
	for i := range plan.Actions {
		a := plan.Actions[i].Action
		if len(plan.Actions[i].After) > 0 || plan.Actions[i].InFlight != "" || a.Node != n.self.Name || a.Op != cib.OpStop && a.Op != cib.OpDemote {
			continue
		}
		if a.Op == cib.OpStop && n.onlyDemoted(a.Resource) {
			continue // such as for new parameters: that has time
		}
		a.ID = "local"
		a.Why = cib.Why{Cause: "this node may not act any more: " + n.quorum.Reason, Rule: "no-quorum-policy"}
		if n.lrm.Direct(now, a) {
			n.ended[a.Instance] = a.Op == cib.OpStop
			n.out = append(n.out, Journal{Text: a.String() + ": " + a.Why.Cause})
		}
	}
}

// activeHere returns the managed instances that run, or may run, on this node.
func (n *Node) activeHere() map[string]*cib.History {
	out := map[string]*cib.History{}
	for id, h := range n.lrm.Histories() {
		if n.unmanaged(h.Resource, n.self.Name) {
			continue // nobody stops it; that it runs must not end the machine
		}
		if h.BootID == n.self.BootID && (h.Role().Active() || h.Role() == cib.RoleUnknown) || n.lrm.Busy(id) {
			out[id] = h
		}
	}
	for id, p := range n.snap.Status.Pending[n.self.Name] { // each by itself: their order does not matter
		if p.Migration == "" || out[id] != nil || n.ended[id] && !n.lrm.Busy(id) || n.unmanaged(p.Resource, n.self.Name) {
			continue
		}
		if st := n.snap.Status.Nodes[n.self.Name]; st == nil || st.BootID != n.self.BootID {
			continue
		}
		// A migration may have brought it here, and this node has not looked yet.
		out[id] = &cib.History{
			Instance: id, Resource: p.Resource, Agent: p.Agent, Parameters: p.Parameters, BootID: n.self.BootID,
			Ops: []cib.OpResult{{Op: cib.OpStart, Seq: 1, Status: cib.OpDone}},
		}
	}
	return out
}

// mustEnd reports whether something of what is active here has still to be stopped or
// demoted.
func (n *Node) mustEnd(active map[string]*cib.History) bool {
	for id, h := range active { // their order does not matter
		role := h.Role()
		if !n.onlyDemoted(h.Resource) || n.lrm.Busy(id) || role != cib.RoleStarted && role != cib.RoleUnpromoted {
			return true
		}
	}
	return false
}

// onlyDemoted reports whether a resource is demoted, and not stopped, when validity has
// ended: no-quorum-policy demote demotes what can be, and stops the rest.
func (n *Node) onlyDemoted(resource string) bool {
	c := n.snap.Config
	if c.Cluster.Options.NoQuorum() != cib.NoQuorumDemote {
		return false
	}
	n.findParents()
	for range 3 { // primitive, group, clone
		if r := c.Resources[resource]; r != nil && r.Kind() == cib.KindPromotable {
			return true
		}
		resource = n.parents[resource]
	}
	return false
}

// alone returns the snapshot of a cluster of this node only, in which everything
// is to be stopped (or demoted).
func (n *Node) alone(active map[string]*cib.History) *cib.Snapshot {
	s := *n.snap
	c := *s.Config
	s.Config = &c
	no := false
	c.Cluster.Options.FencingRequired = &no
	c.Cluster.Options.StopAllResources = c.Cluster.Options.NoQuorum() != cib.NoQuorumDemote
	c.Resources = map[string]*cib.Resource{}
	for id, r := range n.snap.Config.Resources {
		own := *r
		if r.Clone != nil {
			clone := *r.Clone
			clone.Notify = false // nobody is there to be told, and nothing waits for that
			own.Clone = &clone
		}
		own.Meta.TargetRole = cib.RoleStopped
		if n.onlyDemoted(id) {
			own.Meta.TargetRole = cib.RoleUnpromoted
		}
		c.Resources[id] = &own
	}
	s.Status.Rounds = nil
	me := cib.ViewMember{Node: n.self.Name, Incarnation: n.self.Incarnation, BootID: n.self.BootID}
	s.Status.View = &cib.View{Number: 1, Members: []cib.ViewMember{me}}
	s.Status.Nodes = map[string]*cib.NodeStatus{n.self.Name: {State: cib.NodeOnline, BootID: n.self.BootID}}
	s.Status.Members = map[string]*cib.Member{n.self.Name: {Node: n.self.Name, Incarnation: n.self.Incarnation, BootID: n.self.BootID}}
	histories, pending := map[string]*cib.History{}, map[string]*cib.Pending{}
	for id, h := range active {
		current := *h
		current.Incarnation = n.self.Incarnation // no probes now: what may run is stopped
		histories[id] = &current
		if n.lrm.Busy(id) {
			pending[id] = &cib.Pending{Action: cib.Action{ID: "local-" + id, Op: cib.OpMonitor, Instance: id, Resource: h.Resource, Node: n.self.Name}, State: cib.ActionRunning}
		}
	}
	s.Status.Histories = map[string]map[string]*cib.History{n.self.Name: histories}
	s.Status.Pending = map[string]map[string]*cib.Pending{n.self.Name: pending}
	s.Status.Requests = nil
	return &s
}

func (n *Node) selfFence(reason string) {
	if n.invalidOver {
		return
	}
	n.invalidOver = true // the watchdog is not fed any more
	n.out = append(n.out, Journal{Text: "self-fencing: " + reason}, SelfFence{Reason: reason})
}
