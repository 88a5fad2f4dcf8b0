package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/quorumd"
	"github.com/belay-ha/belay/engine/quorumd/client"
)

// ticketTimeout bounds one question about a ticket.
const ticketTimeout = 3 * time.Second

// wantTickets passes on what the node wants of the arbitrators' tickets.
func (a *arbiters) wantTickets(want []node.TicketWant) {
	a.mu.Lock()
	a.tickets = want
	for _, w := range a.work {
		replace(w.wants, ticketsAt(want, w.id))
	}
	a.mu.Unlock()
}

func ticketsAt(want []node.TicketWant, device string) []node.TicketWant {
	var out []node.TicketWant
	for _, t := range want {
		if t.Device == device {
			out = append(out, t)
		}
	}
	return out
}

// serveTickets does what the node wants of one arbitrator's tickets, and tells it what
// came of that, until ctx ends. The client renews what it holds with its beats.
func (a *arbiters) serveTickets(ctx context.Context, w *arbiter, c *client.Client) {
	var want []node.TicketWant
	told := map[string]node.Ticketed{}
	freed := map[string]bool{}
	look := time.NewTicker(w.params.Interval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-w.wants:
			for _, t := range want { // what was done for an older wish is not done for the next
				if !slices.Contains(next, t) {
					delete(told, t.Ticket)
					delete(freed, t.Ticket)
				}
				if !slices.ContainsFunc(next, func(n node.TicketWant) bool { return n.Ticket == t.Ticket }) {
					c.Forget(t.Ticket)
				}
			}
			want = next
		case <-look.C:
		case <-w.ticketsChanged:
		}
		for _, t := range want {
			ev, known := a.tendTicket(ctx, w, c, t, freed)
			// A renewal is told when the next one would come: not each of many answers.
			if old := told[t.Ticket]; !known || same(old, ev) && ev.Sent.Sub(old.Sent) < w.params.Interval/2 {
				continue
			}
			told[t.Ticket] = ev
			a.tell(ctx, ev)
		}
	}
}

// same reports whether two words about a ticket differ in the time of a renewal only.
func same(a, b node.Ticketed) bool {
	a.Sent = b.Sent
	return a == b
}

// tendTicket takes the next step with one ticket. It returns what the arbitrator says
// of it, and false where that is not known.
func (a *arbiters) tendTicket(ctx context.Context, w *arbiter, c *client.Client, t node.TicketWant, freed map[string]bool) (node.Ticketed, bool) {
	ev := node.Ticketed{Device: w.id, Ticket: t.Ticket}
	if !c.Status().Connected {
		return ev, false
	}
	ctx, cancel := context.WithTimeout(ctx, ticketTimeout)
	defer cancel()
	var err error
	switch st, known := c.Status().Tickets[t.Ticket]; {
	case t.Wish == node.TicketRelease:
		if !freed[t.Ticket] {
			if err = c.Release(ctx, t.Ticket); err == nil || refusedWith(err, quorumd.CodeNotHolder, quorumd.CodeNoTicket) {
				freed[t.Ticket] = true
			}
		}
		ev.Freed = freed[t.Ticket]
		return ev, ev.Freed
	case st.Held:
	case t.Wish == node.TicketKeep:
		ev.Term, ev.Refused, ev.Revoked = st.Term, st.Text, st.Code == quorumd.CodeRevoked
		return ev, known
	default:
		err = c.Acquire(ctx, t.Ticket, false)
	}
	st := c.Status().Tickets[t.Ticket]
	if err == nil && st.Held {
		ev.Held, ev.Term, ev.Sent, ev.Expiry, ev.After = true, st.Term, st.Sent, st.Until.Sub(st.Sent), st.After
		return ev, true
	}
	refusal, refused := errors.AsType[*client.Refusal](err)
	if !refused {
		return ev, false // no answer: what was said before runs out
	}
	ev.Term, ev.Refused, ev.Holder, ev.Revoked = st.Term, refusal.Text, refusal.Holder, refusal.Code == quorumd.CodeRevoked
	if refusal.Holder != "" {
		ev.Refused = refusal.Holder + " has it" // without the time, which is another one each second
	}
	return ev, true
}

func refusedWith(err error, codes ...string) bool {
	r, ok := errors.AsType[*client.Refusal](err)
	return ok && slices.Contains(codes, r.Code)
}
