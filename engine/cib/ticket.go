package cib

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Ticket is a right to run resources that moves between clusters.
type Ticket struct {
	Granted bool `json:"granted,omitempty"` // to this cluster; with an arbitrator: this cluster asks for it
	Standby bool `json:"standby,omitempty"`
	// Arbitrator is the quorum device, of kind quorumd, that grants the ticket to one
	// of several clusters. Default: people do, and see to it that one only has it.
	Arbitrator string `json:"arbitrator,omitempty"`
}

// TicketStatus is what the DC knows of a ticket that an arbitrator grants.
type TicketStatus struct {
	Arbitrator string    `json:"arbitrator"` // the quorum device that it is from
	Held       bool      `json:"held,omitempty"`
	Term       uint64    `json:"term,omitempty"` // of the grant that counts, or counted last; rises with each grant
	Since      time.Time `json:"since"`          // of Held, or of its end
	// Until is when the ticket counts as lost unless it is renewed: so early that
	// what needs it has ended before another cluster can get it.
	Until   time.Time `json:"until,omitzero"`
	Left    Duration  `json:"left,omitzero"`    // from when this was written to Until: for a node whose wall clock is wrong
	Renewed time.Time `json:"renewed,omitzero"` // when the renewal was sent that Until is counted from
	Holder  string    `json:"holder,omitempty"` // who has it instead, as the arbitrator says
	Reason  string    `json:"reason,omitempty"` // why it is not held
	Rev     int64     `json:"-"`
}

// TicketHeld reports whether the cluster has a ticket, in standby or not.
func (s *Snapshot) TicketHeld(id string) bool {
	t := s.Config.Tickets[id]
	if t == nil || !t.Granted || t.Arbitrator == "" {
		return t != nil && t.Granted
	}
	st := s.Status.Tickets[id]
	return st != nil && st.Held && st.Arbitrator == t.Arbitrator
}

// ticketSlack is what a change of the DC may take while a
// lost ticket is to be acted on. After it each node acts by itself.
const ticketSlack = 10 * time.Second

// TicketPatience is how long after the end of a ticket each node leaves it to the DC
// to stop what needs it.
func (c *Config) TicketPatience(id string) time.Duration { return ticketSlack + c.TicketStop(id) }

// TicketResources lists the primitives that a ticket is about, each with the role
// that needs it; zero: any. Of several constraints the one that asks for more counts.
func (c *Config) TicketResources(id string) map[string]Role {
	out := map[string]Role{}
	var walk func(name string, role Role, depth int)
	walk = func(name string, role Role, depth int) {
		r := c.Resources[name]
		if r == nil || depth > 4 { // clone, group, primitive; deeper ones are refused
			return
		}
		if r.Agent != "" {
			if old, ok := out[name]; !ok || old != 0 {
				out[name] = role
			}
		}
		for _, child := range r.inside() {
			walk(child, role, depth+1)
		}
	}
	for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
		if t := c.Constraints[cid].Ticket; t != nil && t.Ticket == id {
			walk(t.Resource, t.Role, 0)
		}
	}
	return out
}

// inside names what a group, clone or bundle consists of.
func (r *Resource) inside() []string {
	switch {
	case r == nil:
		return nil
	case r.Clone != nil:
		return []string{r.Clone.Resource}
	case r.Bundle != nil && r.Bundle.Resource != "":
		return []string{r.Bundle.Resource}
	}
	return r.Group
}

// ticketUsers lists the primitives that a ticket is about, and whatever must stop
// before these can.
func (c *Config) ticketUsers(id string) []string {
	var queue, out []string
	for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
		if t := c.Constraints[cid].Ticket; t != nil && t.Ticket == id {
			queue = append(queue, t.Resource)
		}
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		r := c.Resources[name]
		if seen[name] || r == nil {
			continue
		}
		seen[name] = true
		queue = append(queue, r.inside()...)
		if r.Agent != "" {
			out = append(out, name)
		}
		for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
			switch x := c.Constraints[cid]; {
			case x.Order != nil && x.Order.First == name:
				queue = append(queue, x.Order.Then)
			case x.Colocation != nil && x.Colocation.With == name:
				queue = append(queue, x.Colocation.Resource)
			}
		}
	}
	return out
}

// TicketStop is the longest that it takes to stop all that needs a ticket, one after
// the other, after a start that is on its way, when each ends within its time-out.
func (c *Config) TicketStop(id string) time.Duration {
	promotable := map[string]bool{}
	for _, r := range c.Resources { // each by itself: their order does not matter
		if r.Kind() != KindPromotable {
			continue
		}
		for _, name := range r.inside() {
			promotable[name] = true
			for _, member := range c.Resources[name].inside() {
				promotable[member] = true
			}
		}
	}
	var sum, start time.Duration
	for _, name := range c.ticketUsers(id) {
		r := c.Resources[name]
		sum += opTimeout(c, r, OpStop)
		start = max(start, opTimeout(c, r, OpStart))
		if promotable[name] {
			sum += opTimeout(c, r, OpDemote)
			start = max(start, opTimeout(c, r, OpPromote))
		}
	}
	return sum + start
}

// TicketReserve is how long before another cluster can get a ticket it must count as
// lost here: the DC stops what needs it, and fences where a stop fails; where it
// does not, each node stops what it runs, or resets itself; or the cluster falls apart
// at that very moment.
func (s *Snapshot) TicketReserve(id string) time.Duration {
	return max(s.Config.ticketReserve(id), s.LoserTime())
}

// ticketReserve is TicketReserve as far as the configuration tells.
func (c *Config) ticketReserve(id string) time.Duration {
	o := &c.Cluster.Options
	need := ticketSlack + 2*c.TicketStop(id)
	if o.Fencing() {
		fence, _ := worstFencing(c)
		need += fence.Time
	}
	return max(need, o.LoserTime())
}

// TicketLease is how long a ticket counts as held after a renewal was sent that the
// arbitrator lets run for expiry, and gives to nobody else for another after. A part
// in fifty is for clocks that run at different speeds. Zero or less: what needs the
// ticket could not be stopped in time.
func (s *Snapshot) TicketLease(id string, expiry, after time.Duration) time.Duration {
	free := expiry + after
	return min(expiry-expiry/50, free-free/50-s.TicketReserve(id))
}

// ticketTiming adds what it takes until a lost ticket is free of what needs it.
func (t *Timing) ticketTiming(c *Config, fence Term) {
	for _, id := range slices.Sorted(maps.Keys(c.Tickets)) {
		if c.Tickets[id] == nil || c.Tickets[id].Arbitrator == "" {
			continue
		}
		terms := []Term{
			{"stop", c.TicketStop(id), "time-outs of the start and stop operations of what needs it"},
			{"stop by each node", c.TicketStop(id), "the same, where the DC does not see to it"},
			{"change of the DC", ticketSlack, "fixed"},
		}
		if c.Cluster.Options.Fencing() {
			terms = append(terms, fence)
		}
		b := budget("ticket "+id+" is lost: nothing runs that needs it", terms...)
		if rest := c.ticketReserve(id) - b.Worst; rest > 0 {
			b = budget(b.Name, append(terms, Term{"reset", rest, "stop-grace, validity, watchdog-timeout, if the cluster falls apart meanwhile"})...)
		}
		t.Budgets = append(t.Budgets, b)
	}
}

// ticketOf checks a ticket and, where an arbitrator grants it, that its loss ends
// what needs it whatever happens to the cluster.
func (v *validator) ticketOf(id string, t *Ticket) {
	p := join("tickets", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, t != nil) || t.Arbitrator == "" {
		return
	}
	switch d := v.c.QuorumDevices[t.Arbitrator]; {
	case d == nil:
		v.fault(p+".arbitrator", "there is no quorum device %q%s", shorten(t.Arbitrator), similar(t.Arbitrator, slices.Sorted(maps.Keys(v.c.QuorumDevices))))
	case d.Kind != QuorumDeviceQuorumd:
		v.fault(p+".arbitrator", "quorum device %s is of kind %s: only quorumd grants tickets", t.Arbitrator, d.Kind)
	}
	policy := v.c.Cluster.Options.NoQuorum()
	if policy == NoQuorumFreeze || policy == NoQuorumIgnore {
		v.fault(p+".arbitrator", "with no-quorum-policy %s a node without quorum goes on when the ticket has gone to another cluster: choose stop, demote or fence", policy)
	}
	for _, cid := range slices.Sorted(maps.Keys(v.c.Constraints)) {
		if v.c.Constraints[cid] == nil {
			continue
		}
		x := v.c.Constraints[cid].Ticket
		if x == nil || x.Ticket != id {
			continue
		}
		at := join("constraints", cid, false) + ".ticket"
		if x.LossPolicy == "freeze" {
			v.fault(at+".loss-policy", "freeze lets %s go on when arbitrator %s gives ticket %s to another cluster: choose stop, demote or fence", x.Resource, t.Arbitrator, id)
		}
		if policy == NoQuorumDemote && x.Role != RolePromoted {
			v.fault(at+".role", "with no-quorum-policy demote an instance of %s goes on unpromoted when ticket %s has gone to another cluster: let the constraint be about role Promoted, or choose stop", x.Resource, id)
		}
	}
}

// opTimeout is the longest time-out of an operation of a resource.
func opTimeout(c *Config, r *Resource, name string) time.Duration {
	def := c.Cluster.OpDefaultsFor(Subject{Agent: r.Agent, Op: name}, time.Time{}) // what holds at times only is not relied on
	timeout := cmp.Or(def.Timeout.D(), DefaultOpTimeout)
	if i := slices.IndexFunc(r.Operations, func(op Operation) bool { return op.Name == name && op.Timeout > 0 }); i >= 0 {
		timeout = r.Operations[i].Timeout.D()
	}
	return timeout
}
