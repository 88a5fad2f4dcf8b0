package outbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// Cursor says how far a target is.
type Cursor struct {
	Context  string `json:"context"`  // of the sequence; drawn once
	After    uint64 `json:"after"`    // the event that was seen last
	Sequence uint64 `json:"sequence"` // of the message that was delivered last
	// Pending says that the target has not taken its beginning yet.
	Pending bool `json:"pending,omitempty"`
	// Revision is the one of a [Source] that was seen last; 0 where the target has none.
	Revision int64 `json:"revision,omitempty"`
	// Partial says that of the changes of Revision only some were delivered. Another
	// node has them in other parts, so all of them are sent again then.
	Partial bool `json:"partial,omitempty"`
	// Overflows counts how often something was no longer kept when it was to be sent.
	Overflows uint64 `json:"overflows,omitempty"`
	// Refused counts what the receiver would never have taken, see [ErrRefused].
	Refused uint64 `json:"refused,omitempty"`
	// SentAt is when it took a message the last time; zero: never.
	SentAt time.Time `json:"sentAt,omitzero"`
	// Error is why the last try that failed did; "": none has. It is kept when a later
	// one succeeds.
	Error   string    `json:"error,omitempty"`
	ErrorAt time.Time `json:"errorAt,omitzero"`
}

// errorMaxBytes bounds what a cursor keeps of an error: receivers choose the words.
const errorMaxBytes = 300

// failed notes why a try failed.
func (c *Cursor) failed(now time.Time, err error) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if len(text) > errorMaxBytes {
		text = strings.ToValidUTF8(text[:errorMaxBytes], "") + "..."
	}
	c.Error, c.ErrorAt = text, now
}

// resume is the cursor to go on from when the ring's oldest and newest events are known;
// 0: the ring is empty. New is true for a target that has no cursor yet: it hears of what
// happens from now on.
func (c *Cursor) resume(oldest, newest uint64) (out Cursor, isNew bool) {
	if c == nil {
		return Cursor{After: newest}, true
	}
	out = *c
	if oldest > out.After && out.After > 0 {
		out.Overflows++
	}
	if out.Partial {
		out.Revision, out.Partial = out.Revision-1, false
	}
	return out, false
}

// ID identifies a message to its receiver: a repeat has the same, nothing else has.
type ID struct {
	Context  string // of all messages to one target
	Sequence uint64 // rises by one from message to message
}

// String is the whole as one text.
func (id ID) String() string { return id.Context + "#" + strconv.FormatUint(id.Sequence, 10) }

// Filter says which events are for a target.
type Filter struct {
	MinSeverity cib.Severity // what is less severe is not sent; the end of an alarm is as severe as the alarm. Zero: everything
	Codes       []string     // only these events; empty: all
}

// Takes reports whether an event passes. What is not in the catalogue does not.
func (f Filter) Takes(ev *cib.Event) bool {
	d, ok := event.ByCode(ev.Code)
	if !ok || len(f.Codes) > 0 && !slices.Contains(f.Codes, ev.Code) {
		return false
	}
	severity := ev.Severity
	if severity == cib.SeverityCleared && d.Clears != 0 {
		severity = event.Get(d.Clears).Severity
	}
	return f.MinSeverity == 0 || rank(severity) >= rank(f.MinSeverity)
}

// rank orders severities: ItuPerceivedSeverity numbers them otherwise.
func rank(s cib.Severity) int {
	return slices.Index([]cib.Severity{
		cib.SeverityCleared, cib.SeverityIndeterminate, cib.SeverityWarning, cib.SeverityMinor, cib.SeverityMajor, cib.SeverityCritical,
	}, s)
}
