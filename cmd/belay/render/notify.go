package render

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Notifiers shows webhooks and receivers by mail, without secrets.
func Notifiers(c *cib.Config, style Style) string {
	hooks := &table{header: []string{"WEBHOOK", "URL", "FORMAT", "SEVERITY", "EVENTS", "STATE"}}
	for _, id := range slices.Sorted(maps.Keys(c.Webhooks)) {
		w := c.Webhooks[id]
		hooks.row(cell{text: id}, cell{text: w.URL}, cell{text: cmp.Or(w.Format, "json")}, cell{text: cmp.Or(w.MinSeverity.String(), "all")},
			cell{text: cmp.Or(strings.Join(w.Events, " "), "all")}, cell{text: enabled(w.Disabled)})
	}
	mail := &table{header: []string{"MAIL", "SERVER", "TO", "SEVERITY", "EVENTS", "STATE"}}
	for _, id := range slices.Sorted(maps.Keys(c.MailTargets)) {
		m := c.MailTargets[id]
		mail.row(cell{text: id}, cell{text: m.Server}, cell{text: strings.Join(m.To, " ")}, cell{text: m.Least().String()},
			cell{text: cmp.Or(strings.Join(m.Events, " "), "all")}, cell{text: enabled(m.Disabled)})
	}
	var parts []string
	for _, t := range []*table{hooks, mail} {
		if text := t.render(style); text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return "nobody is told of events by webhook or mail; belay notify webhook add, belay notify mail add\n"
	}
	return strings.Join(parts, "\n")
}

func enabled(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

// Deliveries shows how far receivers are; nothing where that is not known of any.
func Deliveries(targets []api.NotificationTarget, style Style) string {
	t := &table{header: []string{"RECEIVER", "WAITING", "LAST SENT", "LAST ERROR"}, right: map[int]bool{1: true}}
	for i := range targets {
		d := targets[i].Delivery
		if d == nil {
			continue
		}
		waiting, sent, failed := "", "never", "none"
		if d.Waiting != nil {
			waiting = strconv.Itoa(*d.Waiting)
		}
		if !d.LastSentAt.IsZero() {
			sent = style.stamp(d.LastSentAt, toSecond)
		}
		look := plain
		if !d.LastErrorAt.IsZero() {
			failed = style.stamp(d.LastErrorAt, toSecond) + " " + d.LastError
			if d.LastErrorAt.After(d.LastSentAt) {
				look = bad // it takes nothing now
			}
		}
		t.row(cell{text: targets[i].ID}, cell{text: waiting}, cell{text: sent}, cell{text: failed, tone: look})
	}
	if text := t.render(style); text != "" {
		return "\n" + text
	}
	return ""
}
