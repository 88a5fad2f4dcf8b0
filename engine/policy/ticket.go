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
	if cfg.Role == cib.RolePromoted || cfg.LossPolicy == "demote" {
		r.unpromotable, r.unpromotableRule = reason, id
		return
	}
	if cfg.LossPolicy == "freeze" {
		r.frozen, r.frozenRule = reason, id
		return
	}
	r.denied, r.deniedRule = reason, id
}
