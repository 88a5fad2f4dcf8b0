package object

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DateTime is a moment or an interval in the 25 characters of DSP0004, 5.2.4:
// yyyymmddhhmmss.mmmmmmsutc, or ddddddddhhmmss.mmmmmm:000. Asterisks stand in fields
// that are not significant.
type DateTime string

// Timestamp is a moment, in microseconds and in the zone that it is given in.
func Timestamp(t time.Time) DateTime {
	_, offset := t.Zone()
	minutes := offset / 60
	sign := '+'
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	return DateTime(fmt.Sprintf("%s.%06d%c%03d", t.Format("20060102150405"), t.Nanosecond()/1000, sign, minutes))
}

// Interval is a length of time, in microseconds. A negative one is none, and becomes 0.
func Interval(d time.Duration) DateTime {
	d = max(d, 0)
	hours := int64(d / time.Hour)
	return DateTime(fmt.Sprintf("%08d%02d%02d%02d.%06d:000", hours/24, hours%24, d/time.Minute%60, d/time.Second%60, d/time.Microsecond%1e6))
}

// ParseDateTime checks a text and returns it as a DateTime.
func ParseDateTime(s string) (DateTime, error) {
	bad := fmt.Errorf("%.40q is no datetime", s)
	if len(s) != 25 || s[14] != '.' {
		return "", bad
	}
	stars := false // once a field is not significant, no smaller one is
	field := func(part string, low, high int) bool {
		if strings.Trim(part, "*") == "" {
			stars = true
			return true
		}
		n, err := strconv.ParseUint(part, 10, 32)
		return err == nil && !stars && int(n) >= low && int(n) <= high
	}
	var ok bool
	switch s[21] {
	case ':':
		ok = field(s[0:8], 0, 99999999) && field(s[8:10], 0, 23) && field(s[10:12], 0, 59) && field(s[12:14], 0, 59) && s[22:] == "000"
	case '+', '-':
		ok = field(s[0:4], 0, 9999) && field(s[4:6], 1, 12) && field(s[6:8], 1, 31) && field(s[8:10], 0, 23) && field(s[10:12], 0, 59) && field(s[12:14], 0, 60)
		n, err := strconv.ParseUint(s[22:], 10, 32)
		ok = ok && err == nil && n <= 999
	default:
		return "", bad
	}
	micro := strings.TrimRight(s[15:21], "*") // its digits may end at any place
	if micro != "" && (stars || strings.Trim(micro, "0123456789") != "") || !ok {
		return "", bad
	}
	return DateTime(s), nil
}

// IsInterval reports whether this is a length of time and not a moment.
func (d DateTime) IsInterval() bool { return len(d) == 25 && d[21] == ':' }

// Time is the moment; fields that are not significant are the smallest there are. It is
// false for an interval.
func (d DateTime) Time() (time.Time, bool) {
	if len(d) != 25 || d.IsInterval() {
		return time.Time{}, false
	}
	n := func(from, to, least int) int {
		v, err := strconv.Atoi(strings.ReplaceAll(string(d[from:to]), "*", "0"))
		if err != nil {
			return least
		}
		return max(v, least)
	}
	minutes := n(22, 25, 0)
	if d[21] == '-' {
		minutes = -minutes
	}
	at := time.Date(n(0, 4, 0), time.Month(n(4, 6, 1)), n(6, 8, 1), n(8, 10, 0), n(10, 12, 0), n(12, 14, 0), n(15, 21, 0)*1000, time.UTC)
	return at.Add(-time.Duration(minutes) * time.Minute), true
}

// Duration is the length of an interval; what is longer than a time.Duration can be is
// the longest there is. It is false for a moment.
func (d DateTime) Duration() (time.Duration, bool) {
	if !d.IsInterval() {
		return 0, false
	}
	n := func(from, to int) int64 {
		v, err := strconv.ParseInt(strings.ReplaceAll(string(d[from:to]), "*", "0"), 10, 64)
		if err != nil {
			return 0
		}
		return v
	}
	const longest = time.Duration(1<<63 - 1)
	if n(0, 8) >= int64(longest/time.Hour)/24 {
		return longest, true
	}
	seconds := ((n(0, 8)*24+n(8, 10))*60+n(10, 12))*60 + n(12, 14)
	return time.Duration(seconds*1e9 + n(15, 21)*1e3), true
}
