package render

import (
	"cmp"
	"maps"
	"slices"
	"strings"

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
