package cib

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Infinity is the score that no sum of finite scores reaches. Pacemaker's value.
const Infinity Score = 1_000_000

// Score says how much something is wanted; ±[Infinity] means must and must not.
// In documents it is a number, "INFINITY" or "-INFINITY".
type Score int32

// Add adds two scores. -INFINITY wins over INFINITY, and both win over any
// finite score (Pacemaker Explained, "Scores").
func (s Score) Add(t Score) Score {
	switch {
	case s <= -Infinity || t <= -Infinity:
		return -Infinity
	case s >= Infinity || t >= Infinity:
		return Infinity
	}
	return max(-Infinity, min(Infinity, s+t))
}

// String writes the score as in documents.
func (s Score) String() string {
	switch {
	case s >= Infinity:
		return "INFINITY"
	case s <= -Infinity:
		return "-INFINITY"
	}
	return strconv.Itoa(int(s))
}

// ParseScore reads a score; "+INFINITY" is the same as "INFINITY". Numbers
// beyond ±1000000 are refused: they would silently become infinite.
func ParseScore(text string) (Score, error) {
	switch t := strings.ToUpper(text); strings.TrimPrefix(t, "+") {
	case "INFINITY":
		return Infinity, nil
	case "-INFINITY":
		return -Infinity, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > int64(Infinity) || n < -int64(Infinity) {
		return 0, fmt.Errorf("%q is not a score: a whole number from -1000000 to 1000000, INFINITY or -INFINITY", text)
	}
	return Score(n), nil
}

// MarshalJSON writes a number where the score is finite.
func (s Score) MarshalJSON() ([]byte, error) {
	if s >= Infinity || s <= -Infinity {
		return json.Marshal(s.String())
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// UnmarshalJSON reads a number or a text.
func (s *Score) UnmarshalJSON(b []byte) error {
	var err error
	*s, err = ParseScore(strings.Trim(string(b), `"`))
	return err
}

// Duration is a length of time in a document: "10s", "1m30s", "200ms"; a bare
// number is seconds, as in Pacemaker.
type Duration time.Duration

// D returns the standard type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes the duration as in documents.
func (d Duration) String() string { return time.Duration(d).String() }

// ParseDuration reads a duration; negative ones are refused.
func ParseDuration(text string) (Duration, error) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return Duration(time.Duration(n) * time.Second), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a length of time such as 10s, 200ms or 1m30s", text)
	}
	return Duration(d), nil
}

// MarshalText writes the duration as in documents.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads a text or a number of seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var err error
	*d, err = ParseDuration(strings.Trim(string(b), `"`))
	return err
}
