package quorumd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ticket is the right to run something that only one of several clusters may run.
type ticket struct {
	SavedTicket
	config  TicketConfig
	renewed time.Time            // when its holder renewed it last
	asked   map[string]time.Time // who asked for it lately, by cluster
	since   map[string]time.Time // and since when
	wake    time.Time            // when it may expire
	expired bool                 // the operator was told that it did
}

// Who asks for a free ticket waits a little for clusters with more weight.
const (
	weighWait  = 2 * time.Second // how long, at least
	weighFresh = 5 * time.Second // how long one request counts
)

// acquire gives a ticket to the cluster that asks, where it is free.
func (a *Arbiter) acquire(now time.Time, c *conn, r *Request) {
	p, t := c.peer, a.tickets[r.Ticket]
	refuse := func(code, text string) {
		a.send(c, Reply{Type: Refused, Seq: r.Seq, Code: code, Text: text})
	}
	weight, allowed := 0, false
	if t != nil {
		weight, allowed = t.config.Clusters[p.cluster.Name], t.allows(p.cluster.Name)
	}
	holder := p.cluster.Name
	if r.Own {
		holder += "/" + p.name
	}
	switch {
	case !allowed:
		a.counts.Denials++
		a.notice(NoticeDenied, p, r.Ticket, "there is no such ticket for this cluster")
		refuse(CodeNoTicket, "there is no ticket "+r.Ticket+" for cluster "+p.cluster.Name)
		return
	case !p.quorate():
		refuse(CodeForbidden, "only a node with quorum speaks for its cluster")
		return
	case t.Revoked:
		refuse(CodeRevoked, "it was revoked: a person must grant it again")
		return
	case t.Assigned != "" && t.Assigned != p.cluster.Name:
		a.send(c, Reply{Type: Refused, Seq: r.Seq, Code: CodeHeld, Text: "a person has given it to " + t.Assigned, Holder: t.Assigned})
		return
	case t.Holder == holder:
		t.renewed, t.expired = now, false
		a.raise(t)
	case t.Holder != "" && now.Before(t.freeAt()):
		a.send(c, Reply{Type: Refused, Seq: r.Seq, Code: CodeHeld, Text: fmt.Sprintf("%s has it, at least for %s", t.Holder, t.freeAt().Sub(now).Round(time.Second)), Holder: t.Holder})
		return
	case t.Assigned == "" && a.outweighed(now, t, p, weight):
		refuse(CodeWait, "a cluster with more weight may ask for it")
		return
	default:
		if t.Holder != "" {
			a.notice(NoticeTicketLost, p, t.Name, t.Holder+" did not renew it")
		}
		t.Holder, t.renewed, t.expired = holder, now, false
		t.Term++
		t.ExpiryMs, t.AfterMs = t.config.Expiry.Milliseconds(), t.config.After.Milliseconds()
		t.asked, t.since = nil, nil
		a.counts.TicketGrants++
		a.saveTicket(t)
		a.notice(NoticeTicket, p, t.Name, fmt.Sprintf("%s has it, term %d", holder, t.Term))
	}
	t.wake = t.renewed.Add(ms(t.ExpiryMs))
	a.wakeAt(t.wake)
	a.send(c, Reply{Type: Granted, Seq: r.Seq, Tickets: []HeldReply{t.held()}})
}

// held is what a holder is told.
func (t *ticket) held() HeldReply {
	return HeldReply{Ticket: t.Name, Held: true, Term: t.Term, LeaseMs: t.ExpiryMs, AfterMs: t.AfterMs}
}

// raise takes longer times of a new configuration. Shorter ones count from the next
// grant on: the holder may not get this answer, and go by the one before.
func (a *Arbiter) raise(t *ticket) {
	expiry, after := t.config.Expiry.Milliseconds(), t.config.After.Milliseconds()
	if expiry > t.ExpiryMs || after > t.AfterMs {
		t.ExpiryMs, t.AfterMs = max(expiry, t.ExpiryMs), max(after, t.AfterMs)
		a.saveTicket(t)
	}
}

func (t *ticket) allows(cluster string) bool { _, ok := t.config.Clusters[cluster]; return ok }

// quorate reports whether a peer may speak for its cluster.
func (p *peer) quorate() bool { return p.beat != nil && p.beat.Quorate }

// freeAt is when another one can have the ticket.
func (t *ticket) freeAt() time.Time {
	return t.renewed.Add(ms(t.ExpiryMs) + max(ms(t.AfterMs), t.config.After))
}

// outweighed reports whether somebody who asks for a free ticket must let another
// cluster go first: one with more weight that is connected, until it had its
// chance, or that asks as well.
func (a *Arbiter) outweighed(now time.Time, t *ticket, p *peer, weight int) bool {
	if t.asked == nil {
		t.asked, t.since = map[string]time.Time{}, map[string]time.Time{}
	}
	me := p.cluster.Name
	if last, ok := t.asked[me]; !ok || now.Sub(last) > weighFresh {
		t.since[me] = now
	}
	t.asked[me] = now
	for _, other := range slices.Sorted(maps.Keys(t.config.Clusters)) {
		if t.config.Clusters[other] <= weight || other == me {
			continue
		}
		if last, ok := t.asked[other]; ok && now.Sub(last) <= weighFresh {
			return true
		}
		if cl := a.clusters[other]; cl != nil && cl.connected() && now.Sub(t.since[me]) < weighWait {
			return true
		}
	}
	return false
}

func (cl *cluster) connected() bool {
	for _, p := range cl.peers { // their order does not matter
		if p.conn != nil && p.quorate() {
			return true
		}
	}
	return false
}

// renewTickets renews what a beat names, and says what is not held any more.
func (a *Arbiter) renewTickets(now time.Time, p *peer, reply *Reply) {
	for _, h := range p.beat.Tickets {
		r := HeldReply{Ticket: h.Ticket}
		t := a.tickets[h.Ticket]
		switch {
		case t == nil || !t.allows(p.cluster.Name):
			r.Code, r.Text = CodeNoTicket, "there is no such ticket for this cluster"
		case t.Term != h.Term || t.Holder != p.cluster.Name && t.Holder != p.cluster.Name+"/"+p.name:
			r.Code, r.Text = CodeHeld, "it has gone to "+t.Holder
		case t.Revoked:
			r.Code, r.Text = CodeRevoked, "it was revoked"
		case !p.quorate():
			r.Text = "this node has no quorum"
		default:
			t.renewed, t.expired = now, false
			a.raise(t)
			t.wake = now.Add(ms(t.ExpiryMs))
			r = t.held()
		}
		reply.Tickets = append(reply.Tickets, r)
	}
}

// release takes a ticket back at once: what depends on it has stopped.
func (a *Arbiter) release(_ time.Time, c *conn, r *Request) {
	p, t := c.peer, a.tickets[r.Ticket]
	switch {
	case t == nil:
		a.send(c, Reply{Type: Refused, Seq: r.Seq, Code: CodeNoTicket, Text: "there is no ticket " + r.Ticket})
		return
	case t.Holder == "" || t.Holder != p.cluster.Name && t.Holder != p.cluster.Name+"/"+p.name:
		a.send(c, Reply{Type: Refused, Seq: r.Seq, Code: CodeNotHolder, Text: "this cluster does not have it"})
		return
	}
	t.Holder, t.wake = "", time.Time{}
	a.saveTicket(t)
	a.notice(NoticeTicketBack, p, t.Name, "it is free")
	a.send(c, Reply{Type: Freed, Seq: r.Seq})
}

// tickTickets tells the operator of tickets that were not renewed in time.
func (a *Arbiter) tickTickets(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(a.tickets)) {
		t := a.tickets[name]
		if t.wake.IsZero() || now.Before(t.wake) {
			continue
		}
		t.wake = time.Time{}
		if t.Holder != "" && !t.expired {
			t.expired = true
			cluster, _, _ := strings.Cut(t.Holder, "/")
			a.out = append(a.out, Notice{Kind: NoticeTicketLost, Cluster: cluster, Object: name, Text: t.Holder + " did not renew it in time"})
		}
	}
}

// Revoke takes a ticket from whoever has it, as a person wants; it is free when
// the holder has released it, or its lease and the delay after it have passed.
func (a *Arbiter) Revoke(_ time.Time, name string) ([]Effect, error) {
	a.out = nil
	t := a.tickets[name]
	if t == nil {
		return nil, fmt.Errorf("there is no ticket %s", name)
	}
	t.Revoked, t.Assigned = true, ""
	a.saveTicket(t)
	a.out = append(a.out, Notice{Kind: NoticeRevoked, Object: name, Text: "it was revoked"})
	a.pokeTicket(t)
	return a.out, nil
}

// Grant lets only one cluster have a ticket, as a person wants; "" lets any that
// is configured for it ask.
func (a *Arbiter) Grant(now time.Time, name, cluster string) ([]Effect, error) {
	a.out = nil
	t := a.tickets[name]
	switch {
	case t == nil:
		return nil, fmt.Errorf("there is no ticket %s", name)
	case cluster != "" && !t.allows(cluster):
		return nil, fmt.Errorf("ticket %s is not for cluster %s", name, cluster)
	case cluster != "" && t.Holder != "" && t.Holder != cluster && !strings.HasPrefix(t.Holder, cluster+"/") && now.Before(t.freeAt()):
		return nil, fmt.Errorf("%s has ticket %s: revoke it first", t.Holder, name)
	}
	t.Revoked, t.Assigned = false, cluster
	a.saveTicket(t)
	a.pokeTicket(t)
	return a.out, nil
}

// pokeTicket makes all clusters of a ticket look again.
func (a *Arbiter) pokeTicket(t *ticket) {
	for _, name := range slices.Sorted(maps.Keys(t.config.Clusters)) {
		cl := a.clusters[name]
		if cl == nil {
			continue
		}
		for _, node := range slices.Sorted(maps.Keys(cl.peers)) {
			if p := cl.peers[node]; p.conn != nil {
				a.send(p.conn, Reply{Type: Poke})
			}
		}
	}
}

func (a *Arbiter) saveTicket(t *ticket) {
	s := t.SavedTicket
	a.out = append(a.out, Save{Saved{Ticket: &s}})
}
