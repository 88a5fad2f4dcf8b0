package meta

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseBool reads an OCF or Pacemaker boolean.
func ParseBool(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "true", "yes", "y", "on", "ja":
		return true, nil
	case "0", "false", "no", "n", "off", "":
		return false, nil
	}
	return false, fmt.Errorf("%q is no boolean: use true or false", s)
}

// units of durations; a number without one means seconds.
var units = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"us": time.Microsecond, "usec": time.Microsecond,
	"m": time.Minute, "min": time.Minute,
	"h": time.Hour, "hr": time.Hour,
}

// ParseDuration reads a time as agents and Pacemaker write it: "20", "20s",
// "500ms", "2min", "1h". An empty string is 0.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	unit, known := units[strings.ToLower(strings.TrimSpace(s[i:]))]
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil || !known {
		return 0, fmt.Errorf("%q is no time: use a number with ms, s, min or h", s)
	}
	if d := n * float64(unit); d < math.MaxInt64 {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("%q is too long a time", s)
}

// check says what is wrong with a value, or nil.
func (p *Parameter) check(v string) error {
	if p.HasDefault && v == p.Default {
		return nil // an agent's own default is right by definition, even "" for a number
	}
	switch p.Type {
	case Integer:
		if _, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil {
			return fmt.Errorf("%q is no whole number", v)
		}
	case Second:
		if n, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) {
			if _, err := ParseDuration(v); err != nil {
				return fmt.Errorf("%q is no number of seconds", v)
			}
		}
	case Boolean:
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("%q is no boolean: use true or false", v)
		}
		_, err := ParseBool(v)
		return err
	case Time:
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("%q is no time: use a number with ms, s, min or h", v)
		}
		_, err := ParseDuration(v)
		return err
	case Select:
		if len(p.Options) == 0 {
			return nil
		}
		for _, o := range p.Options {
			if strings.EqualFold(o, v) {
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", v, strings.Join(p.Options, ", "))
	case String, Other:
	}
	return nil
}
