package notify

import (
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/mgmtd/outbox"
)

// Notice is one event as a receiver is told of it.
type Notice struct {
	ID       string            `json:"id"`       // the same for a repeat, and for nothing else
	Sequence uint64            `json:"sequence"` // of the messages to this receiver; it has no gaps
	Cluster  string            `json:"cluster"`
	Code     string            `json:"code"` // BLYnnnn, see docs/events.md
	Name     string            `json:"name"` // such as node-lost
	Severity cib.Severity      `json:"severity"`
	Title    string            `json:"title"`
	Text     string            `json:"text"`
	Remedy   string            `json:"remedy,omitempty"`
	Time     time.Time         `json:"time"`
	Source   string            `json:"source"` // the node that saw it
	Node     string            `json:"node,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Device   string            `json:"device,omitempty"`
	Cause    string            `json:"causeId,omitempty"` // of events, changes and records that belong together
	Clears   string            `json:"clears,omitempty"`  // code of the event whose alarm this ends
	Alarm    bool              `json:"alarm,omitempty"`   // it stays an alarm until something clears it
	Args     map[string]string `json:"args,omitempty"`
}

// newNotice is what is told of an event.
func newNotice(cluster string, ev *cib.Event, id outbox.ID) *Notice {
	n := &Notice{
		ID: id.String(), Sequence: id.Sequence, Cluster: cluster, Code: ev.Code, Severity: ev.Severity, Text: ev.Text, Time: ev.Time.UTC(), Source: ev.Source,
		Node: ev.Node, Resource: ev.Resource, Device: ev.Device, Cause: ev.Cause, Args: ev.Args,
	}
	if d, ok := event.ByCode(ev.Code); ok {
		n.Name, n.Title, n.Remedy, n.Alarm = d.Name, d.Title, d.Remedy, d.Alarm
		if d.Clears != 0 {
			n.Clears = event.Get(d.Clears).Code()
		}
	}
	return n
}

// headline is the event in one line.
func (n *Notice) headline() string {
	return "[" + n.Cluster + "] " + n.Severity.String() + ": " + plain(n.Text)
}

// plain is a text on one line, without what is not printable.
func plain(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}
