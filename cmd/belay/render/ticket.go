package render

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/status"
)

// Ticket is one ticket with the resources that need it.
type Ticket struct {
	status.Ticket
	Needed []string `json:"needed,omitempty"`
}

// Tickets shows a list of tickets.
func Tickets(list []Ticket, st Style) string {
	if len(list) == 0 {
		return "no tickets\n"
	}
	t := table{header: []string{"TICKET", "STATE", "ARBITRATOR", "TERM", "UNTIL", "NEEDED BY"}}
	for i := range list {
		x := &list[i]
		state, tone := ticketState(x), warn
		if x.Held && !x.Standby {
			tone = plain
		}
		term, until := "", ""
		if x.Arbitrator != "" && x.Held {
			term, until = strconv.FormatUint(x.Term, 10), x.Until.Local().Format(time.TimeOnly)
		}
		t.row(cell{x.ID, strong}, cell{state, tone}, cell{x.Arbitrator, plain}, cell{term, plain}, cell{until, plain}, cell{strings.Join(x.Needed, " "), plain})
	}
	return t.render(st)
}

func ticketState(x *Ticket) string {
	switch {
	case !x.Granted:
		return "revoked"
	case !x.Held:
		return "not held: " + cmp.Or(x.Reason, "nobody has granted it")
	case x.Standby:
		return "granted, standby"
	}
	return "granted"
}

// TicketDetail shows one ticket that an arbitrator grants in full.
func TicketDetail(x *Ticket, st Style) string {
	var b strings.Builder
	b.WriteString(Tickets([]Ticket{*x}, st))
	if x.Arbitrator == "" {
		return b.String()
	}
	stamp := func(t time.Time) string { return t.Local().Format(time.RFC3339) }
	if x.Held {
		fmt.Fprintf(&b, "\nthis cluster has it since %s, term %d\nrenewed %s; the DC renews it all the time, and writes that down now and then\nwithout a renewal it counts as lost from %s on\n", stamp(x.Since), x.Term, stamp(x.Renewed), stamp(x.Until))
		return b.String()
	}
	fmt.Fprintf(&b, "\nnot held: %s\n", cmp.Or(x.Reason, "nobody has granted it"))
	if !x.Since.IsZero() {
		fmt.Fprintf(&b, "since %s\n", stamp(x.Since))
	}
	if x.Term > 0 {
		fmt.Fprintf(&b, "term %d was the last that this cluster had\n", x.Term)
	}
	return b.String()
}
