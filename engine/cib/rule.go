package cib

import (
	"strconv"
	"strings"
	"time"
)

// Rule is true on a node when its expressions, dates and inner rules are.
type Rule struct {
	Any         bool             `json:"any,omitempty"` // or instead of and
	Expressions []Expression     `json:"expressions,omitempty"`
	Dates       []Date           `json:"dates,omitempty"`
	Agents      []AgentMatch     `json:"agents,omitempty"`     // in rules of defaults only
	Operations  []OperationMatch `json:"operations,omitempty"` // in op-default-rules only
	Rules       []Rule           `json:"rules,omitempty"`
}

// RuleDepthMax bounds rules inside of rules.
const RuleDepthMax = 16

// Expression compares a node attribute.
type Expression struct {
	Attribute string `json:"attribute"`
	Operation string `json:"operation"`      // eq ne lt gt lte gte defined not_defined
	Type      string `json:"type,omitempty"` // string (default), integer, number, version
	Value     string `json:"value,omitempty"`
	// Source says what Value is: literal (default), or param: the name of a parameter
	// of the resource, whose value is compared.
	Source string `json:"value-source,omitempty"`
}

// Date is true at certain times. All of it is in UTC.
type Date struct {
	Operation string        `json:"operation,omitempty"` // in-range (default), lt (before End), gt (after Start), date-spec
	Start     string        `json:"start,omitempty"`     // RFC 3339
	End       string        `json:"end,omitempty"`       // RFC 3339; it is still true then
	Duration  *DateDuration `json:"duration,omitempty"`  // after Start, instead of End
	Spec      *DateSpec     `json:"date-spec,omitempty"`
}

// DateDuration is a length of time in the units of a calendar.
type DateDuration struct {
	Years   int `json:"years,omitempty"`
	Months  int `json:"months,omitempty"` // a day that the month does not have becomes its last one
	Weeks   int `json:"weeks,omitempty"`
	Days    int `json:"days,omitempty"`
	Hours   int `json:"hours,omitempty"`
	Minutes int `json:"minutes,omitempty"`
	Seconds int `json:"seconds,omitempty"`
}

// DateSpec is true when every part that is set fits: a number, a range such as
// 1-5, 8- or -3, or several of them with commas.
type DateSpec struct {
	Years     string `json:"years,omitempty"`
	Months    string `json:"months,omitempty"`    // 1 to 12
	Monthdays string `json:"monthdays,omitempty"` // 1 to 31
	Weekdays  string `json:"weekdays,omitempty"`  // 1 (Monday) to 7
	Yeardays  string `json:"yeardays,omitempty"`  // 1 to 366
	Weeks     string `json:"weeks,omitempty"`     // ISO 8601
	Weekyears string `json:"weekyears,omitempty"` // ISO 8601
	Hours     string `json:"hours,omitempty"`     // 0 to 23
	Minutes   string `json:"minutes,omitempty"`   // 0 to 59
	Seconds   string `json:"seconds,omitempty"`   // 0 to 59
}

// bounds returns start and end; the zero time where there is none.
func (d *Date) bounds() (start, end time.Time) {
	start, _ = time.Parse(time.RFC3339, d.Start)
	end, _ = time.Parse(time.RFC3339, d.End)
	if !start.IsZero() && end.IsZero() && d.Duration != nil {
		end = d.Duration.After(start)
	}
	return start, end
}

// Holds reports whether the date is true at a time. One that says nothing never
// is.
func (d *Date) Holds(now time.Time) bool {
	start, end := d.bounds()
	switch d.Operation {
	case "gt":
		return !start.IsZero() && now.After(start)
	case "lt":
		return !end.IsZero() && now.Before(end)
	case "date-spec":
		return d.Spec != nil && d.Spec.holds(now.UTC())
	case "", "in-range":
		return !(start.IsZero() && end.IsZero()) && !now.Before(start) && (end.IsZero() || !now.After(end))
	}
	return false
}

// Next returns when the answer may be another one than now; the zero time means
// never.
func (d *Date) Next(now time.Time) time.Time {
	if d.Operation == "date-spec" {
		if d.Spec == nil {
			return time.Time{}
		}
		return d.Spec.next(now.UTC())
	}
	start, end := d.bounds()
	if d.Operation == "gt" && !start.IsZero() {
		start = start.Add(time.Nanosecond)
	}
	if d.Operation != "lt" && !end.IsZero() {
		end = end.Add(time.Nanosecond)
	}
	for _, t := range []time.Time{start, end} {
		if !t.IsZero() && t.After(now) {
			return t
		}
	}
	return time.Time{}
}

// calendarMax bounds every part of a duration: beyond, sums of times overflow.
const calendarMax = 100_000

// After returns the time that is that much later.
func (d *DateDuration) After(t time.Time) time.Time {
	n := func(v int) int { return max(-calendarMax, min(v, calendarMax)) }
	first := time.Date(t.Year()+n(d.Years), t.Month()+time.Month(n(d.Months)), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	t = first.AddDate(0, 0, min(t.Day(), last)-1+7*n(d.Weeks)+n(d.Days))
	return t.Add(time.Duration(n(d.Hours))*time.Hour + time.Duration(n(d.Minutes))*time.Minute + time.Duration(n(d.Seconds))*time.Second)
}

// parts lists what a spec asks for, beside what it is at a time.
func (s *DateSpec) parts(now time.Time) [10]struct {
	name, text string
	now        int
} {
	weekYear, week := now.ISOWeek()
	weekday := (int(now.Weekday())+6)%7 + 1 // Sunday is the last
	return [10]struct {
		name, text string
		now        int
	}{
		{"years", s.Years, now.Year()},
		{"months", s.Months, int(now.Month())},
		{"monthdays", s.Monthdays, now.Day()},
		{"weekdays", s.Weekdays, weekday},
		{"yeardays", s.Yeardays, now.YearDay()},
		{"weeks", s.Weeks, week},
		{"weekyears", s.Weekyears, weekYear},
		{"hours", s.Hours, now.Hour()},
		{"minutes", s.Minutes, now.Minute()},
		{"seconds", s.Seconds, now.Second()},
	}
}

func (s *DateSpec) holds(now time.Time) bool {
	for _, p := range s.parts(now) {
		if p.text != "" && !inRanges(p.text, p.now) {
			return false
		}
	}
	return true
}

// next returns the beginning of the next second, minute, hour or day, whichever is
// the smallest that the spec looks at.
func (s *DateSpec) next(now time.Time) time.Time {
	switch {
	case s.Seconds != "":
		return now.Truncate(time.Second).Add(time.Second)
	case s.Minutes != "":
		return now.Truncate(time.Minute).Add(time.Minute)
	case s.Hours != "":
		return now.Truncate(time.Hour).Add(time.Hour)
	}
	return time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
}

// inRanges reads "5", "1-5", "5-" and "-5", and lists of them.
func inRanges(text string, n int) bool {
	for part := range strings.SplitSeq(text, ",") {
		if low, high, ok := readRange(part); ok && low <= n && n <= high {
			return true
		}
	}
	return false
}

// readRange reads one number or range; an end that is left out is far away.
func readRange(text string) (low, high int, ok bool) {
	from, to, ranged := strings.Cut(strings.TrimSpace(text), "-")
	if !ranged {
		to = from
	}
	low, high = 0, calendarMax
	var err error
	if from != "" {
		if low, err = strconv.Atoi(from); err != nil {
			return 0, 0, false
		}
	}
	if to != "" {
		if high, err = strconv.Atoi(to); err != nil {
			return 0, 0, false
		}
	}
	return low, high, from != "" || to != ""
}
