package trap

import (
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// Cursor says how far a target is.
type Cursor struct {
	After    uint64 `json:"after"`    // the event that was seen last
	Sequence uint64 `json:"sequence"` // of the notification that was sent last
	// Overflows counts how often events left the ring before they could be sent.
	Overflows uint64 `json:"overflows,omitempty"`
}

// step says what an event means for a target: with send, the notification has the
// sequence of the new cursor, which holds once it is sent.
func (c Cursor) step(t *Target, ev *cib.Event) (next Cursor, send bool) {
	if ev.Seq <= c.After {
		return c, false // it comes a second time
	}
	c.After = ev.Seq
	d, ok := event.ByCode(ev.Code)
	if !ok || !d.Trap {
		return c, false
	}
	severity := ev.Severity
	if severity == cib.SeverityCleared && d.Clears != 0 {
		severity = event.Get(d.Clears).Severity
	}
	if !t.takes(ev, severity) {
		return c, false
	}
	c.Sequence++
	return c, true
}

// resume is the cursor to go on from when the ring's oldest and newest events are
// known; 0: the ring is empty. New is true for a target that has no cursor yet: it
// hears of what happens from now on.
func (c *Cursor) resume(oldest, newest uint64) (out Cursor, isNew bool) {
	if c == nil {
		return Cursor{After: newest}, true
	}
	out = *c
	if oldest > out.After && out.After > 0 {
		out.Overflows++
	}
	return out, false
}
