package daemon

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
)

// commentMaxBytes bounds what somebody says about an alarm.
const commentMaxBytes = 1000

// staleMax bounds the acknowledgements of alarms that are over which one change removes.
const staleMax = 32

// acknowledge notes that somebody looks after an alarm, or no longer does.
func (c *changing) acknowledge(ctx context.Context, s *cib.Snapshot, p *prepared, kind, id string) error {
	var v struct {
		Comment  string `json:"comment"`
		Withdraw bool   `json:"withdraw"`
	}
	if len(c.Value) > 0 {
		if err := strictJSON(c.Value, &v); err != nil {
			return err
		}
	}
	v.Comment = strings.TrimSpace(v.Comment)
	if kind != "alarm" || len(v.Comment) > commentMaxBytes || !utf8.ValidString(v.Comment) {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("an alarm is acknowledged, alarm/ID, with a comment of at most %d bytes", commentMaxBytes))
	}
	alarms := c.summary(ctx, s).Alarms
	at := slices.IndexFunc(alarms, func(a status.Alarm) bool { return a.ID == id })
	if at < 0 {
		out := api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no alarm %q", id))
		out.Remedy = "belay alarms lists those that stand; one that is over needs no acknowledgement."
		return out
	}
	key := cib.KeyAcknowledgement + id
	if !documentName.MatchString(strings.TrimPrefix(key, cib.KeyAccess)) {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("alarm %q can't be acknowledged: its id is too long", id))
	}
	text := cmp.Or(v.Comment, "no comment")
	if v.Withdraw {
		if alarms[at].Acknowledged == nil {
			p.edit = true // then there is nothing to do
			return nil
		}
		p.txn.Delete = append(p.txn.Delete, key)
		text = "withdrawn; " + text
	} else {
		p.txn.Put = append(p.txn.Put, cib.Put{Key: key, Value: &cib.Acknowledgement{By: c.actor.User, Time: time.Now().UTC(), Comment: v.Comment}})
	}
	stale := 0
	for _, old := range s.Acknowledged() {
		if stale < staleMax && old != id && !slices.ContainsFunc(alarms, func(a status.Alarm) bool { return a.ID == old && a.Acknowledged != nil }) {
			p.txn.Delete = append(p.txn.Delete, cib.KeyAcknowledgement+old)
			stale++
		}
	}
	p.txn.Put = append(p.txn.Put, c.eventPut(event.New(event.AlarmAcknowledged, "person", c.actor.User, "alarm", id, "comment", text,
		"node", alarms[at].Node, "resource", alarms[at].Resource, "device", alarms[at].Device, "cause", c.RequestID)))
	return nil
}
