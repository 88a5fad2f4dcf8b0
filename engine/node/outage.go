package node

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/graph"
)

// An outage is given up when nothing is left to wait for.
const (
	placeMax  = 10 * time.Minute // for a node that can run the service
	outageMax = 24 * time.Hour   // for whatever else, such as a person who confirms that a node is dead
	// outagesPerTxn bounds how many ends are told in one transaction: each is an event.
	outagesPerTxn = cib.EventsPerTxn / 2
)

// outages are the documents of the outages as the transaction that is being made leaves
// them: copies, where it changes them.
type outages struct {
	stored  map[string]*cib.Outages
	changed map[string]*cib.Outages
}

func (o *outages) of(node string) *cib.Outages {
	if d := o.changed[node]; d != nil {
		return d
	}
	return o.stored[node]
}

// own returns the document of a node to change.
func (o *outages) own(node string) *cib.Outages {
	if o.changed[node] == nil {
		d := &cib.Outages{Services: map[string]*cib.Outage{}}
		if old := o.stored[node]; old != nil {
			d.Rev = old.Rev
			maps.Copy(d.Services, old.Services)
		}
		if o.changed == nil {
			o.changed = map[string]*cib.Outages{}
		}
		o.changed[node] = d
	}
	return o.changed[node]
}

// has reports whether a service is lost already, on whatever node: one that is lost again
// before it was back has one outage.
func (o *outages) has(service string) bool {
	for _, docs := range []map[string]*cib.Outages{o.stored, o.changed} {
		for node := range docs { // their order does not matter
			if d := o.of(node); d != nil && d.Services[service] != nil {
				return true
			}
		}
	}
	return false
}

// write puts what has changed into the transaction.
func (o *outages) write(c *viewChange) {
	if o == nil {
		return
	}
	for _, node := range sortedKeys(o.changed) {
		d, key := o.changed[node], cib.KeyOutages+node
		c.txn.If = append(c.txn.If, cib.Compare{Key: key, ModRev: d.Rev})
		if len(d.Services) > 0 {
			c.put(key, d)
			continue
		}
		c.txn.Delete = append(c.txn.Delete, key)
		c.any = true
	}
	o.changed = nil
}

// lostNode notes what was active on a node in a boot that is lost. Silence is how long
// the node was not heard.
func (n *Node) lostNode(c *viewChange, name, boot string, silence time.Duration, reason string) {
	now := n.wallNow()
	lost := map[string]*cib.Outage{}
	for _, id := range sortedKeys(n.snap.Status.Histories[name]) {
		h := n.snap.Status.Histories[name][id]
		if h.BootID != boot {
			continue
		}
		role := h.Role()
		service, promotable, ok := n.serviceOf(h.Resource)
		if !ok || !role.Active() || promotable && role != cib.RolePromoted || !n.isWanted(h.Resource) || n.unmanaged(h.Resource, "") {
			continue
		}
		x := lost[service]
		if x == nil {
			x = &cib.Outage{Began: now.Add(-silence), Noticed: now, Reason: reason, Kind: cib.OutageNode, BootID: boot}
			lost[service] = x
		}
		if f := h.State(now, 0).Failure; fails(f) && f.Ended.Before(x.Began) {
			x.Began = f.Ended // its failure is why the node was fenced, perhaps
		}
		if !promotable {
			x.Instances = append(x.Instances, id)
		}
	}
	n.begin(c, name, lost)
}

// lostService notes that something of a service has failed, when the first part of it is
// stopped to be recovered.
func (n *Node) lostService(c *viewChange, a *cib.Action, wall time.Time) {
	if a.Op != cib.OpStop && a.Op != cib.OpDemote {
		return
	}
	service, promotable, ok := n.serviceOf(a.Resource)
	if !ok || !n.isWanted(a.Resource) {
		return
	}
	parts := n.snap.Config.Resources[service].Group
	if len(parts) == 0 {
		parts = []string{a.Instance}
	}
	var x *cib.Outage
	var active []string
	for _, id := range parts {
		h := n.snap.Status.Histories[a.Node][id]
		if h == nil {
			continue
		}
		s := n.stateOf(h, wall)
		if !s.Role.Active() || promotable && s.Role != cib.RolePromoted {
			continue
		}
		if !promotable {
			active = append(active, id)
		}
		if f := s.Failure; x == nil && fails(f) {
			x = &cib.Outage{
				Began: f.Ended, Noticed: wall, Kind: cib.OutageResource, Cause: f.Why.ID, Failed: h.Resource,
				Reason: fmt.Sprintf("%s of %s failed", f.Op, id),
			}
		}
	}
	if x != nil {
		x.Instances = active
		n.begin(c, a.Node, map[string]*cib.Outage{service: x})
	}
}

// stateOf is what a history says, without the failures that have expired.
func (n *Node) stateOf(h *cib.History, wall time.Time) cib.InstanceState {
	n.findParents()
	meta := n.snap.Config.MetaOf(h.Resource, n.parents, wall)
	return h.State(wall, meta.FailuresExpireAfter().D())
}

// fails reports whether a result says that something that ran does no longer.
func fails(r *cib.OpResult) bool { return r != nil && r.Op == cib.OpMonitor && !r.Probe }

// begin takes up outages of services that have none.
func (n *Node) begin(c *viewChange, node string, lost map[string]*cib.Outage) {
	o := n.outagesIn(c)
	for _, service := range sortedKeys(lost) {
		if !o.has(service) {
			o.own(node).Services[service] = lost[service]
		}
	}
}

func (n *Node) outagesIn(c *viewChange) *outages {
	if c.outages == nil {
		c.outages = &outages{stored: n.snap.Status.Outages}
	}
	return c.outages
}

// serviceOf returns the service that a primitive is in, and whether it is a promotable
// clone. Other clones and bundles are none: what one instance does, another one does too.
func (n *Node) serviceOf(primitive string) (service string, promotable, ok bool) {
	n.findParents()
	service = primitive
	for range len(n.parents) {
		up := n.parents[service]
		if up == "" {
			break
		}
		service = up
	}
	r := n.snap.Config.Resources[service]
	if r == nil {
		return "", false, false
	}
	kind := r.Kind()
	return service, kind == cib.KindPromotable, kind == cib.KindPrimitive || kind == cib.KindGroup || kind == cib.KindPromotable
}

// isWanted reports whether somebody wants a resource to run.
func (n *Node) isWanted(resource string) bool {
	n.findParents()
	return n.snap.Config.Resources[resource] != nil && !n.snap.Config.Cluster.Options.StopAllResources &&
		n.snap.Config.MetaOf(resource, n.parents, n.wallNow()).TargetRole != cib.RoleStopped
}

// tendOutages ends the outages of services that run again, and of those that nobody waits
// for any more. Each end is one event.
func (n *Node) tendOutages(now, wall time.Time, place *graph.Placement, c *viewChange) {
	if len(n.snap.Status.Outages) == 0 {
		return
	}
	placed := map[string][]*graph.Assignment{}
	for i := range place.Instances {
		a := &place.Instances[i]
		if service, _, ok := n.serviceOf(a.Resource); ok {
			placed[service] = append(placed[service], a)
		}
	}
	o, told := n.outagesIn(c), 0
	for _, node := range sortedKeys(n.snap.Status.Outages) {
		for _, service := range sortedKeys(n.snap.Status.Outages[node].Services) {
			x := n.snap.Status.Outages[node].Services[service]
			end := n.judgeOutage(wall, service, x, placed[service])
			if !end.over {
				if at := now.Add(end.again.Sub(wall)); n.replanAt.IsZero() || at.Before(n.replanAt) {
					n.replanAt = at
				}
				continue
			}
			if told++; told > outagesPerTxn {
				n.replanAt = now // the next plan tells of the others
				return
			}
			delete(o.own(node).Services, service)
			if number, args := end.event(node, service, n.withCause(x, node)); number != 0 {
				c.event(number, args...)
			}
		}
	}
}

// withCause adds the fencing that allowed the recovery.
func (n *Node) withCause(x *cib.Outage, node string) *cib.Outage {
	p := n.proofFor(node, x.BootID)
	if x.Kind != cib.OutageNode || p == nil {
		return x
	}
	out := *x
	out.Cause = p.Request
	return &out
}

// outageEnd is how an outage ended, or when to look at it again.
type outageEnd struct {
	over    bool
	again   time.Time
	at      time.Time
	to      string // where the service runs; "": nowhere
	stayed  bool   // it never went away
	givenUp string // why nobody waits for it any more
}

// judgeOutage says whether an outage is over. Placed is where the service should run.
func (n *Node) judgeOutage(wall time.Time, service string, x *cib.Outage, placed []*graph.Assignment) outageEnd {
	r := n.snap.Config.Resources[service]
	if r == nil {
		return outageEnd{over: true, at: wall, givenUp: "it is configured no more"}
	}
	end := outageEnd{over: true, stayed: true}
	wanted, nowhere, promoted := 0, "", r.Kind() != cib.KindPromotable
	for _, a := range placed {
		if !n.isWanted(a.Resource) || len(x.Instances) > 0 && !slices.Contains(x.Instances, a.Instance) {
			continue
		}
		wanted++
		if r.Kind() == cib.KindPromotable && a.Role != cib.RolePromoted {
			continue
		}
		promoted = true
		if a.Node == "" || a.Blocked != "" {
			nowhere = "no node can run " + a.Instance
			if a.Blocked != "" {
				nowhere = a.Blocked
			}
			end.over = false
			continue
		}
		since, ok := n.serves(wall, a)
		if !ok {
			end.over = false
			continue
		}
		end.to = a.Node
		if since.After(x.Began) {
			end.stayed = false
		}
		if since.After(end.at) {
			end.at = since
		}
	}
	switch {
	case wanted == 0:
		return outageEnd{over: true, at: wall, givenUp: "nobody wants it to run"}
	case !promoted:
		end.over, nowhere = false, "no instance of it can be promoted"
	}
	if end.over {
		return end
	}
	limit, why := x.Noticed.Add(outageMax), "it does not run after "+outageMax.String()
	if nowhere != "" {
		limit, why = x.Noticed.Add(placeMax), nowhere
	}
	if wall.Before(limit) {
		return outageEnd{again: limit}
	}
	return outageEnd{over: true, at: wall, givenUp: why}
}

// serves reports whether an instance is where and as it should be, and since when.
func (n *Node) serves(wall time.Time, a *graph.Assignment) (since time.Time, ok bool) {
	st := n.snap.Status.Nodes[a.Node]
	id := a.Instance
	if a.Role == cib.RolePromoted && n.snap.Status.Histories[a.Node][id] == nil {
		id = a.Resource // an instance of an anonymous clone
	}
	h := n.snap.Status.Histories[a.Node][id]
	if st == nil || h == nil || st.State != cib.NodeOnline && st.State != cib.NodeRestarting && st.State != cib.NodeLeaving || h.BootID != st.BootID {
		return time.Time{}, false
	}
	s := n.stateOf(h, wall)
	if s.Failure != nil || !s.Role.Active() || a.Role == cib.RolePromoted && s.Role != cib.RolePromoted {
		return time.Time{}, false
	}
	if p := n.snap.Status.Pending[a.Node][id]; p != nil && p.Op != cib.OpMonitor && p.Op != cib.OpNotify {
		return time.Time{}, false
	}
	return s.Since, true
}

// event is what is told of the end of an outage; 0: nothing, the service was never away.
func (e *outageEnd) event(node, service string, x *cib.Outage) (number int, args []string) {
	if e.givenUp == "" && e.stayed {
		return 0, nil
	}
	began, ended := x.Began.UTC().Truncate(time.Millisecond), e.at.UTC().Truncate(time.Millisecond)
	if ended.Before(began) {
		ended = began // clocks differ
	}
	took := ended.Sub(began)
	args = []string{
		"node", e.to, "resource", service, "from", node, "milliseconds", fmt.Sprint(took.Milliseconds()), "reason", x.Reason, "kind", x.Kind,
		"began", began.Format(stampMillis), "ended", ended.Format(stampMillis), "cause", x.Cause,
	}
	switch {
	case e.givenUp != "":
		return event.ServiceNotRecovered, append(args, "why", e.givenUp)
	case e.to != node:
		return event.ServiceFailedOver, args
	}
	if x.Failed != "" {
		args[3] = x.Failed // whose failure it ends
	}
	return event.ResourceRecovered, append(args, "duration", took.String())
}

// stampMillis writes a time as RFC 3339 with milliseconds.
const stampMillis = "2006-01-02T15:04:05.000Z07:00"
