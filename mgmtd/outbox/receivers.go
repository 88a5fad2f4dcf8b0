package outbox

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// cursorSuffix ends the kind of every cursor's document.
const cursorSuffix = "-cursor"

// Cursors are how far all targets are, of every kind, by the names of their documents. It
// is safe for concurrent use; the zero value knows of none.
type Cursors struct {
	all atomic.Pointer[map[string]Cursor]
}

// Update takes over the documents that the management daemons share.
func (c *Cursors) Update(docs *api.Documents) {
	all := map[string]Cursor{}
	for i := range docs.Documents {
		d := &docs.Documents[i]
		kind, _, _ := strings.Cut(d.Name, "/")
		var one Cursor
		if strings.HasSuffix(kind, cursorSuffix) && json.Unmarshal(d.Value, &one) == nil {
			all[d.Name] = one
		}
	}
	c.all.Store(&all)
}

func (c *Cursors) get(kind, target string) *Cursor {
	if all := c.all.Load(); all != nil {
		if one, ok := (*all)[kind+cursorSuffix+"/"+target]; ok {
			return &one
		}
	}
	return nil
}

// Receivers are all that are told of events or get the audit log, and how far each is.
// Events is the ring, oldest first. Audit is the log of the node that answers; nil: not
// known.
func (c *Cursors) Receivers(config *cib.Config, events []*cib.Event, audit *api.AuditState) []api.NotificationTarget {
	out := []api.NotificationTarget{}
	add := func(kind, id, address string, disabled bool, cursors string, takes func(*cib.Event) bool) {
		t := api.NotificationTarget{Kind: kind, ID: id, Address: address, Disabled: disabled}
		if cur := c.get(cursors, id); cur != nil {
			t.Delivery = cur.delivery(events, takes)
		}
		out = append(out, t)
	}
	for _, id := range slices.Sorted(maps.Keys(config.SNMPTargets)) {
		t := config.SNMPTargets[id]
		filter := Filter{MinSeverity: t.MinSeverity, Codes: t.Events}
		add("snmp-target", id, t.Address, t.Disabled, "snmp", func(ev *cib.Event) bool {
			d, ok := event.ByCode(ev.Code)
			return ok && d.Trap && filter.Takes(ev)
		})
	}
	for _, id := range slices.Sorted(maps.Keys(config.Webhooks)) {
		w := config.Webhooks[id]
		filter := Filter{MinSeverity: w.MinSeverity, Codes: w.Events}
		add("webhook", id, w.URL, w.Disabled, "webhook", filter.Takes)
	}
	for _, id := range slices.Sorted(maps.Keys(config.MailTargets)) {
		m := config.MailTargets[id]
		filter := Filter{MinSeverity: m.Least(), Codes: m.Events}
		add("mail-target", id, strings.Join(m.To, " "), m.Disabled, "mail", filter.Takes)
	}
	for _, id := range slices.Sorted(maps.Keys(config.CIMSubscriptions)) {
		s, address := config.CIMSubscriptions[id], ""
		if d := config.CIMDestinations[s.Destination]; d != nil {
			address = d.URL
		}
		add("cim-subscription", id, address, s.Disabled, "cim", nil)
	}
	for _, id := range slices.Sorted(maps.Keys(config.AuditRules)) {
		if f := config.AuditRules[id].Forward; f != nil {
			out = append(out, forwarded(id, f, audit))
		}
	}
	return out
}

// delivery says how far a target is. takes says which events are for it; nil: that can't
// be told from the event alone.
func (c *Cursor) delivery(events []*cib.Event, takes func(*cib.Event) bool) *api.Delivery {
	out := &api.Delivery{LastSentAt: c.SentAt, LastError: c.Error, LastErrorAt: c.ErrorAt, Lost: c.Overflows, Refused: c.Refused}
	if takes == nil {
		return out
	}
	n := 0
	if c.Pending {
		n++
	}
	for _, ev := range slices.Backward(events) {
		if ev.Seq <= c.After {
			break
		}
		if takes(ev) {
			n++
		}
	}
	out.Waiting = &n
	return out
}

// forwarded is a syslog server, which every node sends its own audit log to.
func forwarded(id string, f *cib.AuditForward, audit *api.AuditState) api.NotificationTarget {
	t := api.NotificationTarget{Kind: "audit-rule", ID: id, Address: f.Address}
	if audit == nil {
		return t
	}
	t.Node = audit.Node
	for i := range audit.Forwards {
		if a := &audit.Forwards[i]; a.Name == id {
			t.Delivery = &a.Delivery
		}
	}
	return t
}
