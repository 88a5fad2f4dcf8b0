package policy

import "github.com/belay-ha/belay/engine/cib"

// unpackTicket applies a ticket that is not held to every part of a resource by
// itself: what it does depends on whether that part runs, and in which role.
func (u *state) unpackTicket(id string, cfg *cib.TicketConstraint) {
	r := u.byID[cfg.Resource]
	if r == nil {
		return
	}
	t := u.s.Config.Tickets[cfg.Ticket]
	lost := !u.s.TicketHeld(cfg.Ticket)
	if !lost && !t.Standby {
		return
	}
	reason := "ticket " + cfg.Ticket + " is not granted to this cluster"
	switch {
	case lost && t != nil && t.Granted:
		reason = "ticket " + cfg.Ticket + " is not held: arbitrator " + t.Arbitrator + " has not granted it to this cluster, or could not renew it"
	case !lost:
		reason = "ticket " + cfg.Ticket + " is in standby"
	}
	if cfg.Role == cib.RolePromoted {
		r.unpromotable, r.unpromotableRule = reason, id
	}
	policy := u.lossPolicy(cfg)
	r.primitives(func(x *rsc) {
		if !lost || len(x.active) == 0 { // nothing was lost: what runs ends in the usual way
			if cfg.Role != cib.RolePromoted || policy == "stop" {
				x.denied, x.deniedRule = reason, id
			}
			return
		}
		switch policy {
		case "demote":
			if cfg.Role != cib.RolePromoted {
				x.denied, x.deniedRule = reason, id
			}
		case "fence":
			if u.hasRole(x, cfg.Role) {
				x.denied, x.deniedRule = reason, id
				u.fenceHolders(x, reason)
			}
		case "freeze":
			if u.hasRole(x, cfg.Role) {
				x.frozen, x.frozenRule = reason, id
			}
		default:
			x.denied, x.deniedRule = reason, id
		}
	})
}

// lossPolicy is what happens to what runs when the ticket is lost.
func (u *state) lossPolicy(cfg *cib.TicketConstraint) string {
	switch {
	case cfg.LossPolicy == "fence" && !u.opt.Fencing():
		return "stop"
	case cfg.LossPolicy != "":
		return cfg.LossPolicy
	case cfg.Role == cib.RolePromoted:
		return "demote"
	}
	return "stop"
}

// hasRole reports whether something that is active has a role; 0 is any.
func (u *state) hasRole(x *rsc, role cib.Role) bool {
	if role == 0 {
		return true
	}
	for _, f := range x.active {
		if (role == cib.RolePromoted) == (f.role == cib.RolePromoted) {
			return true
		}
	}
	return false
}

// fenceHolders asks for the fencing of the nodes on which a resource is active.
func (u *state) fenceHolders(r *rsc, reason string) {
	for _, f := range r.active {
		if n := &u.nodes[f.node]; n.member {
			u.condemn(n, r.base+": "+reason)
		}
	}
}
