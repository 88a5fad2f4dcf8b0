package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/policy"
)

// Tickets that an arbitrator grants to one of several clusters. The DC asks for them
// and writes down which are held; the policy sees to what needs one that is not. A
// ticket counts as lost so long before another cluster can get it that what needs it
// has ended by then (cib.Snapshot.TicketLease). Each node knows that moment by its own
// clock, and acts by itself when the DC does not.

// TicketWish is what is to be done about a ticket at its arbitrator.
type TicketWish uint8

// The wishes.
const (
	TicketHold    TicketWish = iota + 1 // ask for it, and renew it
	TicketKeep                          // renew it if it is held, while what needs it stops
	TicketRelease                       // give it back: nothing runs that needs it
)

// TicketWant is one ticket, and what is to be done about it.
type TicketWant struct {
	Ticket, Device string
	Wish           TicketWish
}

// leaseLeast is the shortest lease that a ticket is of use with: a renewal may be
// late, and a DC may change.
const leaseLeast = 3 * time.Second

// directAgain is when a stop without the DC is tried again that did not end it.
const directAgain = 5 * time.Second

// tickets is what a node knows of the tickets that arbitrators grant.
type tickets struct {
	want  []TicketWant
	said  map[string]Ticketed  // by ticket, while this node is the DC
	ends  map[string]ticketEnd // by ticket: as it is stored
	since map[string]time.Time // by ticket: since when something runs here without it
	tried map[string]time.Time // by instance
	freed map[string]uint64    // by ticket: the term that was given back
	short map[string]bool      // by ticket: the operator was told that its times are too short
}

// ticketEnd is when a ticket counts as lost, on this node's steady clock.
type ticketEnd struct {
	rev int64
	at  time.Time
}

// ticketed takes what an arbitrator says of a ticket.
func (n *Node) ticketed(ev Ticketed) {
	if !n.isDC() || n.arbitratorOf(ev.Ticket) != ev.Device {
		return // said to the DC that this node was
	}
	if n.tickets.said == nil {
		n.tickets.said = map[string]Ticketed{}
	}
	if ev.Freed {
		if n.tickets.freed == nil {
			n.tickets.freed = map[string]uint64{}
		}
		n.tickets.freed[ev.Ticket] = n.ticketTerm(ev.Ticket)
	}
	n.tickets.said[ev.Ticket] = ev
}

// arbitratorOf names the arbitrator of a ticket; "": people grant it.
func (n *Node) arbitratorOf(id string) string {
	if t := n.snap.Config.Tickets[id]; t != nil {
		return t.Arbitrator
	}
	return ""
}

func (n *Node) ticketTerm(id string) uint64 {
	var term uint64
	if st := n.snap.Status.Tickets[id]; st != nil {
		term = st.Term
	}
	return max(term, n.tickets.said[id].Term)
}

// noteTickets notes until when the stored tickets are held, on this node's own clock.
func (n *Node) noteTickets(now time.Time) {
	for id, st := range n.snap.Status.Tickets { // each by itself: their order does not matter
		if old, known := n.tickets.ends[id]; known && old.rev == st.Rev {
			continue
		}
		if n.tickets.ends == nil {
			n.tickets.ends = map[string]ticketEnd{}
		}
		end := now
		if st.Held {
			end = now.Add(min(st.Until.Sub(n.wallNow()), st.Left.D()))
		}
		n.tickets.ends[id] = ticketEnd{st.Rev, end}
	}
}

// tendTickets says what is to be done about each ticket at its arbitrator: on the DC
// only, and only while it may speak for the cluster.
func (n *Node) tendTickets(now time.Time) {
	var want []TicketWant
	if n.isDC() && n.valid && n.quorum.Quorate {
		for _, id := range sortedKeys(n.snap.Config.Tickets) {
			if w := (TicketWant{Ticket: id, Device: n.arbitratorOf(id)}); w.Device != "" {
				w.Wish = n.ticketWish(id)
				want = append(want, w)
			}
		}
	}
	if !n.isDC() {
		clear(n.tickets.said)
		clear(n.tickets.short)
	}
	if !slices.Equal(want, n.tickets.want) {
		n.tickets.want = want
		n.out = append(n.out, Tickets{Want: want})
	}
	n.endTickets(now)
}

func (n *Node) ticketWish(id string) TicketWish {
	said, cfg := n.tickets.said[id], n.snap.Config.Tickets[id]
	ours := n.tickets.freed[id] != n.ticketTerm(id) // the arbitrator may still have it down as this cluster's
	switch {
	case cfg.Granted && !said.Revoked:
		return TicketHold
	case !n.ticketIdle(id):
		return TicketKeep
	case cfg.Granted && !ours:
		return TicketHold // it was given back: a person may grant it again
	}
	return TicketRelease
}

// ticketIdle reports whether nothing runs, or may run, that needs a ticket.
func (n *Node) ticketIdle(id string) bool {
	users, st := n.snap.Config.TicketResources(id), &n.snap.Status
	for _, all := range st.Pending {
		for _, p := range all {
			if _, ok := users[p.Resource]; ok {
				return false
			}
		}
	}
	for name, all := range st.Histories {
		node := st.Nodes[name]
		if node != nil && (node.State == cib.NodeOffline || node.State == cib.NodeFenced) {
			continue
		}
		for _, h := range all {
			if node != nil && node.State == cib.NodeOnline && h.BootID != node.BootID {
				continue // of an earlier boot
			}
			if need, ok := users[h.Resource]; ok && uses(h.Role(), need) {
				return false
			}
		}
	}
	return true
}

// uses reports whether an instance in a role needs a ticket that is needed in another.
func uses(role, need cib.Role) bool {
	if role == cib.RoleUnknown {
		return true
	}
	return role.Active() && (need != cib.RolePromoted || role == cib.RolePromoted)
}

// ticketNow is what the DC knows of a ticket.
func (n *Node) ticketNow(now time.Time, id string) cib.TicketStatus {
	cfg, said := n.snap.Config.Tickets[id], n.tickets.said[id]
	out := cib.TicketStatus{Arbitrator: cfg.Arbitrator, Term: n.ticketTerm(id)}
	old := n.snap.Status.Tickets[id]
	switch {
	case !cfg.Granted:
		out.Reason = "it was revoked here"
	case n.ticketShort(id):
		out.Reason = fmt.Sprintf("it is lost %s after a renewal and another cluster gets it %s later, but what needs it may take %s to stop: raise acquire-after of the ticket at the arbitrator", said.Expiry, said.After, n.snap.TicketReserve(id).Round(time.Second))
	case said.Held:
		until := n.ticketUntil(id)
		if now.Before(until) {
			out.Held, out.Until, out.Left = true, until.Add(n.wall).UTC(), cib.Duration(until.Sub(now))
			out.Renewed = said.Sent.Add(n.wall).UTC()
			return out
		}
		out.Reason = "it was not renewed in time: " + n.arbitratorTrouble(cfg.Arbitrator)
	case said.Refused != "":
		out.Reason, out.Holder = said.Refused, said.Holder
	case old != nil && old.Held && old.Arbitrator == cfg.Arbitrator && now.Before(n.tickets.ends[id].at):
		return *old // as the DC before this one left it
	default:
		out.Reason = "arbitrator " + cfg.Arbitrator + " has not granted it: " + n.arbitratorTrouble(cfg.Arbitrator)
	}
	return out
}

// ticketUntil is when a ticket counts as lost: as the arbitrator said to this node, or
// as the DC before it wrote down.
func (n *Node) ticketUntil(id string) time.Time {
	if said := n.tickets.said[id]; said.Held {
		return said.Sent.Add(n.snap.TicketLease(id, said.Expiry, said.After))
	}
	return n.tickets.ends[id].at
}

// ticketShort reports whether the arbitrator leaves too little time to stop what needs
// a ticket that it has granted.
func (n *Node) ticketShort(id string) bool {
	said := n.tickets.said[id]
	return said.Held && n.snap.Config.Tickets[id].Granted && n.snap.TicketLease(id, said.Expiry, said.After) < leaseLeast
}

func (n *Node) arbitratorTrouble(device string) string {
	if why := n.arb.said[device].Failed; why != "" {
		return why
	}
	return "it has not answered yet"
}

// recordTickets writes down which tickets are held. It reports whether it wrote.
func (n *Node) recordTickets(now time.Time) bool {
	st := &n.snap.Status
	var c viewChange
	for _, id := range sortedKeys(st.Tickets) {
		if n.arbitratorOf(id) == "" {
			c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyTicketStatus + id, ModRev: st.Tickets[id].Rev})
			c.txn.Delete = append(c.txn.Delete, cib.KeyTicketStatus+id)
			c.any = true
		}
	}
	for _, id := range sortedKeys(n.snap.Config.Tickets) {
		if n.arbitratorOf(id) == "" {
			continue
		}
		next, old := n.ticketNow(now, id), st.Tickets[id]
		var rev int64
		was := cib.TicketStatus{}
		if old != nil {
			was, rev = *old, old.Rev
		}
		next.Since, next.Rev = was.Since, was.Rev
		if old == nil || was.Held != next.Held {
			next.Since = n.wallNow()
		}
		if old != nil && !n.ticketNews(id, &was, &next) {
			continue
		}
		switch {
		case next.Held && (!was.Held || was.Term != next.Term):
			c.event(event.TicketHeld, "device", next.Arbitrator, "ticket", id, "term", fmt.Sprint(next.Term))
		case was.Held && !next.Held:
			c.event(event.TicketLost, "device", next.Arbitrator, "ticket", id, "reason", next.Reason)
		}
		if n.ticketShort(id) && !n.tickets.short[id] {
			if n.tickets.short == nil {
				n.tickets.short = map[string]bool{}
			}
			n.tickets.short[id] = true
			c.event(event.TicketTimes, "device", next.Arbitrator, "ticket", id, "reason", next.Reason)
		}
		c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyTicketStatus + id, ModRev: rev})
		c.put(cib.KeyTicketStatus+id, &next)
	}
	if !c.any {
		return false
	}
	c.txn.If = append(c.txn.If, cib.Compare{Key: cib.KeyConfigGen, ModRev: n.snap.ConfigGen.Rev})
	n.asDC(c.txn, c.events)
	return true
}

// ticketNews reports whether the status of a ticket is worth a write: a renewal is
// when it moves the end by a quarter of what was left then.
func (n *Node) ticketNews(id string, was, next *cib.TicketStatus) bool {
	if was.Held != next.Held || was.Term != next.Term || was.Arbitrator != next.Arbitrator {
		return true
	}
	if !next.Held {
		return was.Holder != next.Holder || was.Reason != next.Reason
	}
	if next.Renewed.Equal(was.Renewed) {
		return false // no renewal came since it was written
	}
	// On the steady clock: a step of the wall clock is no reason to wait, or to write.
	end := n.now.Add(next.Left.D())
	moved := end.Sub(n.tickets.ends[id].at)
	return moved > max(time.Second, was.Left.D()/4) || moved < -time.Second
}

// endTickets stops what needs a ticket that is lost, when the DC does not: it may be
// gone, or not reach the store. What cannot be stopped ends with this machine.
func (n *Node) endTickets(now time.Time) {
	if !n.valid {
		return // the no-quorum-policy acts
	}
	for _, id := range sortedKeys(n.snap.Config.Tickets) {
		if n.arbitratorOf(id) == "" {
			continue
		}
		users := n.ticketUsersHere(now, id)
		if len(users) == 0 {
			delete(n.tickets.since, id)
			continue
		}
		if n.tickets.since == nil {
			n.tickets.since, n.tickets.tried = map[string]time.Time{}, map[string]time.Time{}
		}
		since, known := n.tickets.since[id]
		if !known {
			since = now
			if end := n.tickets.ends[id].at; !end.IsZero() && n.snap.TicketHeld(id) {
				since = end // that it was lost is known from then on, whatever the store shows
			}
			n.tickets.since[id] = since
		}
		patience := n.snap.Config.TicketPatience(id)
		switch late := now.Sub(since); {
		case late < patience:
		case late < patience+n.snap.Config.TicketStop(id):
			n.stopDirectly(now, id, users)
		default:
			n.selfFence("ticket " + id + " is lost, and what needs it could not be stopped")
		}
	}
}

// ticketUsersHere returns what runs here without a ticket that it needs.
func (n *Node) ticketUsersHere(now time.Time, id string) map[string]*cib.History {
	if n.snap.TicketHeld(id) {
		if now.Before(n.ticketUntil(id)) {
			return nil
		}
	}
	need := n.snap.Config.TicketResources(id)
	out := map[string]*cib.History{}
	for instance, h := range n.activeHere() { // each by itself: their order does not matter
		if role, ok := need[h.Resource]; ok && uses(h.Role(), role) {
			out[instance] = h
		}
	}
	return out
}

// stopDirectly stops instances without a record, as a node does that may not act.
func (n *Node) stopDirectly(now time.Time, id string, users map[string]*cib.History) {
	local := n.alone(users)
	plan := policy.Plan(local, policy.Place(local, n.wallNow()), n.wallNow())
	for i := range plan.Actions {
		a := plan.Actions[i].Action
		if len(plan.Actions[i].After) > 0 || plan.Actions[i].InFlight != "" || a.Node != n.self.Name || a.Op != cib.OpStop && a.Op != cib.OpDemote || now.Before(n.tickets.tried[a.Instance].Add(directAgain)) {
			continue
		}
		a.ID = "local"
		a.Why = cib.Why{Cause: "ticket " + id + " is lost, and the DC has not stopped it"}
		if n.lrm.Direct(now, a) {
			n.tickets.tried[a.Instance] = now
			n.out = append(n.out, Journal{Text: a.String() + ": " + a.Why.Cause})
		}
	}
}

// ticketWake is when time alone changes which tickets are held.
func (n *Node) ticketWake(now time.Time) time.Time {
	var wake time.Time
	if n.snap == nil {
		return wake
	}
	for _, id := range sortedKeys(n.snap.Config.Tickets) {
		if n.arbitratorOf(id) == "" || !n.snap.TicketHeld(id) {
			continue
		}
		if end := n.ticketUntil(id); end.After(now) && (wake.IsZero() || end.Before(wake)) {
			wake = end
		}
	}
	return wake
}
