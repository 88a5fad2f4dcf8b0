package policy

import "github.com/belay-ha/belay/engine/cib"

// unpackTicket stops a resource whose ticket is not held. A promotable one
// whose constraint is about the promoted role only is not promoted.
func (u *state) unpackTicket(id string, cfg *cib.TicketConstraint) {
	r := u.byID[cfg.Resource]
	if r == nil {
		return
	}
	t := u.s.Config.Tickets[cfg.Ticket]
	held := t != nil && t.Granted && !t.Standby
	if held {
		return
	}
	reason := "ticket " + cfg.Ticket + " is not granted to this cluster"
	if t != nil && t.Granted {
		reason = "ticket " + cfg.Ticket + " is in standby"
	}
	policy := cfg.LossPolicy
	if policy == "" && cfg.Role == cib.RolePromoted {
		policy = "demote"
	}
	lost := t == nil || !t.Granted // in standby nothing new is done, and losing was not the ticket's end
	switch {
	case cfg.Role == cib.RolePromoted && policy == "fence" && lost && !u.promotedAnywhere(r),
		cfg.Role == cib.RolePromoted && policy != "stop" && (policy == "demote" || !lost):
		r.unpromotable, r.unpromotableRule = reason, id
		return
	case policy == "freeze" && lost && u.runs(r):
		r.frozen, r.frozenRule = reason, id
		return
	case policy == "fence" && lost:
		u.fenceHolders(r, reason)
	}
	r.denied, r.deniedRule = reason, id
}

// runs reports whether any of a resource is active.
func (u *state) runs(r *rsc) bool {
	found := false
	r.primitives(func(x *rsc) { found = found || len(x.active) > 0 })
	return found
}

// promotedAnywhere reports whether any of a resource is promoted.
func (u *state) promotedAnywhere(r *rsc) bool {
	found := false
	r.primitives(func(x *rsc) {
		for _, f := range x.active {
			found = found || f.role == cib.RolePromoted
		}
	})
	return found
}

// fenceHolders asks for the fencing of the nodes on which a resource is active.
func (u *state) fenceHolders(r *rsc, reason string) {
	if !u.opt.Fencing() {
		return
	}
	r.primitives(func(x *rsc) {
		for _, f := range x.active {
			if n := &u.nodes[f.node]; n.member {
				u.condemn(n, r.base+": "+reason)
			}
		}
	})
}
