package cib

import (
	"testing"
	"time"
)

// TestDate: when dates are true, and when that changes.
func TestDate(t *testing.T) {
	wednesday := time.Date(2026, 3, 4, 12, 30, 15, 0, time.UTC)
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		what string
		date Date
		want bool
		next string // "" means never
	}{
		{"after a time that is past", Date{Operation: "gt", Start: "2026-03-01T00:00:00Z"}, true, ""},
		{"after one to come", Date{Operation: "gt", Start: "2026-03-05T00:00:00Z"}, false, "2026-03-05T00:00:00.000000001Z"},
		{"before one to come", Date{Operation: "lt", End: "2026-03-05T00:00:00Z"}, true, "2026-03-05T00:00:00Z"},
		{"before now", Date{Operation: "lt", End: "2026-03-04T12:30:15Z"}, false, ""},
		{"the last moment of a range", Date{Start: "2026-03-01T00:00:00Z", End: "2026-03-04T12:30:15Z"}, true, "2026-03-04T12:30:15.000000001Z"},
		{"a range that has not begun", Date{Start: "2026-03-05T00:00:00Z", End: "2026-03-06T00:00:00Z"}, false, "2026-03-05T00:00:00Z"},
		{"a range without end", Date{Start: "2026-03-01T00:00:00Z"}, true, ""},
		{"a range that is over", Date{End: "2026-03-04T12:30:14Z"}, false, ""},
		{"half a day from midnight", Date{Start: "2026-03-04T00:00:00Z", Duration: &DateDuration{Hours: 12}}, false, ""},
		{"another zone", Date{Operation: "lt", End: "2026-03-04T13:00:00+02:00"}, false, ""},
		{"a month from January 31st ends with February", Date{Start: "2026-01-31T00:00:00Z", Duration: &DateDuration{Months: 1, Days: 4}}, false, ""},
		{"and a day more", Date{Start: "2026-01-31T00:00:00Z", Duration: &DateDuration{Months: 1, Days: 5}}, true, "2026-03-05T00:00:00.000000001Z"},
		{"office hours", Date{Operation: "date-spec", Spec: &DateSpec{Hours: "9-16", Weekdays: "1-5"}}, true, "2026-03-04T13:00:00Z"},
		{"the weekend", Date{Operation: "date-spec", Spec: &DateSpec{Weekdays: "6-7"}}, false, "2026-03-05T00:00:00Z"},
		{"some minutes", Date{Operation: "date-spec", Spec: &DateSpec{Minutes: "0,30,45-"}}, true, "2026-03-04T12:31:00Z"},
		{"a second", Date{Operation: "date-spec", Spec: &DateSpec{Seconds: "16"}}, false, "2026-03-04T12:30:16Z"},
		{"a week", Date{Operation: "date-spec", Spec: &DateSpec{Weeks: "10", Weekyears: "2026", Yeardays: "63", Monthdays: "-4", Months: "3", Years: "2026-"}}, true, "2026-03-05T00:00:00Z"},
		{"nonsense", Date{Operation: "date-spec", Spec: &DateSpec{Hours: "-", Minutes: "x"}}, false, "2026-03-04T12:31:00Z"},
		{"nothing", Date{}, false, ""},
	} {
		if got := c.date.Holds(wednesday); got != c.want {
			t.Errorf("%s: got %v", c.what, got)
		}
		next := c.date.Next(wednesday)
		if c.next == "" && !next.IsZero() || c.next != "" && !next.Equal(at(c.next)) {
			t.Errorf("%s: the next change is at %s, want %q", c.what, next, c.next)
		}
		if !next.IsZero() && c.date.Operation != "date-spec" && c.date.Holds(next) == c.want {
			t.Errorf("%s: nothing changes at %s", c.what, next)
		}
	}
	if got := (&DateDuration{Years: 1 << 40, Months: -(1 << 40), Seconds: 1 << 40}).After(wednesday); got.IsZero() {
		t.Error("an absurd duration has no end")
	}
}
