package pacemaker

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// parseScore reads a score as Pacemaker does: beyond a million is infinite.
func parseScore(text string) (cib.Score, bool) {
	text = strings.TrimSpace(text)
	switch strings.ToUpper(strings.TrimPrefix(text, "+")) {
	case "INFINITY":
		return cib.Infinity, true
	case "-INFINITY":
		return -cib.Infinity, true
	case "RED":
		return -cib.Infinity, true
	case "YELLOW", "GREEN":
		return 0, true
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) {
		return 0, false
	}
	return cib.Score(max(-float64(cib.Infinity), min(float64(cib.Infinity), n))), true
}

// parseBool reads a boolean in any of Pacemaker's spellings.
func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "on", "yes", "y", "1":
		return true, true
	case "false", "off", "no", "n", "0":
		return false, true
	}
	return false, false
}

func isTrue(text string) bool {
	v, _ := parseBool(text)
	return v
}

// durationMax bounds lengths of time: the rest of the engine adds them to times.
const durationMax = 10 * 365 * 24 * time.Hour

// units are the endings of a length of time; none means seconds.
var units = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second,
	"ms": time.Millisecond, "msec": time.Millisecond, "us": time.Microsecond, "usec": time.Microsecond,
	"m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour, "d": 24 * time.Hour,
}

// parseDuration reads a length of time: "20", "20s", "500ms", "2min", or one of
// ISO 8601 such as "PT1H".
func parseDuration(text string) (cib.Duration, bool) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "P") {
		y, mo, d, ok := isoDuration(text)
		if !ok || y > 10 || mo > 120 {
			return 0, false
		}
		return bounded(float64(d) + float64(y)*365*24*float64(time.Hour) + float64(mo)*30*24*float64(time.Hour)), true
	}
	if strings.EqualFold(strings.TrimPrefix(text, "+"), "INFINITY") {
		return cib.Duration(durationMax), true
	}
	end := strings.LastIndexAny(text, "0123456789.") + 1
	n, err := strconv.ParseFloat(text[:end], 64)
	unit, ok := units[strings.ToLower(strings.TrimSpace(text[end:]))]
	if err != nil || !ok || n < 0 || math.IsNaN(n) {
		return 0, false
	}
	return bounded(n * float64(unit)), true
}

func bounded(n float64) cib.Duration {
	return cib.Duration(max(0, min(n, float64(durationMax))))
}

// isoDuration reads a duration of ISO 8601: years, months and an exact rest.
func isoDuration(text string) (years, months int, rest time.Duration, ok bool) {
	text, found := strings.CutPrefix(text, "P")
	if !found || text == "" {
		return 0, 0, 0, false
	}
	clock := false
	for text != "" {
		if text[0] == 'T' {
			clock, text = true, text[1:]
			continue
		}
		end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 || end > 7 {
			return 0, 0, 0, false
		}
		n, err := strconv.Atoi(text[:end])
		if err != nil {
			return 0, 0, 0, false
		}
		switch c := text[end]; {
		case c == 'Y' && !clock:
			years += n
		case c == 'M' && !clock:
			months += n
		case c == 'W' && !clock:
			rest += time.Duration(min(n, 100_000)) * 7 * 24 * time.Hour
		case c == 'D' && !clock:
			rest += time.Duration(min(n, 100_000)) * 24 * time.Hour
		case c == 'H': // with or without the T before it, as Pacemaker reads it
			rest += time.Duration(min(n, 1_000_000)) * time.Hour
		case c == 'M' && clock:
			rest += time.Duration(n) * time.Minute
		case c == 'S':
			rest += time.Duration(n) * time.Second
		default:
			return 0, 0, 0, false
		}
		text = text[end+1:]
	}
	return years, months, rest, true
}

// timeLayouts are the spellings of a point in time, without its zone.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00",
	"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02Z07:00", "2006-01-02", "20060102T150405Z", "20060102T150405", "20060102", "2006-002", "2006-002 15:04:05Z",
}

// parseTime reads a point in time; without a zone it is UTC.
func parseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, ' '); i > 0 && i+1 < len(text) && strings.IndexByte("Z+-", text[i+1]) >= 0 {
		text = text[:i] + text[i+1:] // a zone may stand apart
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parseEpoch reads seconds since 1970.
func parseEpoch(text string) (time.Time, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n > 1<<36 {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

// parseRole reads a role in old and new spelling; 0 if it is none.
func parseRole(text string) cib.Role {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "stopped":
		return cib.RoleStopped
	case "started":
		return cib.RoleStarted
	case "unpromoted", "slave":
		return cib.RoleUnpromoted
	case "promoted", "master":
		return cib.RolePromoted
	}
	return 0
}

// ParseTime reads a point in time as people and CIBs write it, or seconds since
// 1970.
func ParseTime(text string) (time.Time, bool) {
	if t, ok := parseEpoch(text); ok && len(strings.TrimSpace(text)) > 8 {
		return t, true
	}
	return parseTime(text)
}
