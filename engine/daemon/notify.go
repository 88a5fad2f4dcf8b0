package daemon

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// testNotify makes an event that goes the way of every other one to whoever receives
// them. A severity can be given, since receivers leave out what is not severe enough
// for them.
func (c *changing) testNotify(p *prepared) error {
	var v struct {
		Severity cib.Severity `json:"severity"`
		Comment  string       `json:"comment"`
	}
	if len(c.Value) > 0 {
		if err := strictJSON(c.Value, &v); err != nil {
			return err
		}
	}
	v.Comment = strings.TrimSpace(v.Comment)
	if c.Object != "cluster" || len(v.Comment) > commentMaxBytes || !utf8.ValidString(v.Comment) {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("a test is of the whole cluster, with a comment of at most %d bytes", commentMaxBytes))
	}
	ev := event.New(event.NotificationTest, "person", c.actor.User, "comment", cmp.Or(v.Comment, "no comment"), "cause", c.RequestID)
	ev.Severity = cmp.Or(v.Severity, ev.Severity)
	p.txn.Put = append(p.txn.Put, c.eventPut(ev))
	return nil
}
