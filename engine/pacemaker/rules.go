package pacemaker

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// subject is what a rule is evaluated for.
type subject struct {
	node     *host             // nil: no node
	params   map[string]string // of the resource, for value-source
	meta     map[string]string
	agent    [3]string // class, provider, type; for rsc_expression
	resource bool      // the three are known
	op       string    // for op_expression
	interval cib.Duration
}

// ruleDepthMax bounds rules inside of rules.
const ruleDepthMax = 16

// holds evaluates a rule.
func (im *importer) holds(r *element, about *subject) bool { return im.holdsAt(r, about, 0) }

func (im *importer) holdsAt(r *element, about *subject, depth int) bool {
	if r = im.follow(r); r == nil || depth > ruleDepthMax {
		return false
	}
	or, empty := strings.EqualFold(r.attr("boolean-op"), "or"), true
	for _, c := range r.children {
		var v bool
		switch c.name {
		case "rule":
			v = im.holdsAt(c, about, depth+1)
		case "expression":
			v = im.compares(c, about)
		case "date_expression":
			v = im.dateHolds(c)
		case "rsc_expression":
			v = about != nil && about.resource && matches(c, about.agent)
		case "op_expression":
			v = about != nil && about.op == c.attr("name")
			if text := c.attr("interval"); v && text != "" {
				d, ok := parseDuration(text)
				v = ok && d == about.interval
			}
		default:
			continue
		}
		empty = false
		if v == or {
			return or
		}
	}
	return empty || !or
}

// matches compares class, provider and type; those not named match all.
func matches(e *element, agent [3]string) bool {
	for i, name := range []string{"class", "provider", "type"} {
		if v, ok := e.lookup(name); ok && v != agent[i] {
			return false
		}
	}
	return true
}

// compares evaluates an expression on a node attribute.
func (im *importer) compares(e *element, about *subject) bool {
	if about == nil || about.node == nil {
		return false
	}
	have, defined := about.node.attribute(e.attr("attribute"))
	op := strings.ToLower(e.attr("operation"))
	switch op {
	case "defined":
		return defined
	case "not_defined":
		return !defined
	}
	want := e.attr("value")
	switch e.attr("value-source") {
	case "param":
		want = about.params[want]
	case "meta":
		want = about.meta[want]
	}
	if !defined {
		return op == "ne"
	}
	c := compareAs(have, want, e.attr("type"), op)
	switch op {
	case "eq":
		return c == 0
	case "ne":
		return c != 0
	case "lt":
		return c < 0
	case "lte":
		return c <= 0
	case "gt":
		return c > 0
	case "gte":
		return c >= 0
	}
	return false
}

// compareAs compares two values. Without a type those that are ordered are
// compared as numbers where both are numbers, else as text.
func compareAs(a, b, kind, op string) int {
	if kind == "" {
		kind = "string"
		if op != "eq" && op != "ne" {
			kind = "number"
		}
	}
	switch kind {
	case "integer", "number":
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if kind == "integer" {
			x, y = math.Trunc(x), math.Trunc(y)
		}
		if errX == nil && errY == nil {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	case "version":
		return compareVersions(a, b)
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, _ := strconv.Atoi(x)
		n, _ := strconv.Atoi(y)
		if m != n {
			return m - n
		}
	}
	return 0
}

// dateHolds evaluates a date_expression as of the time of the import.
func (im *importer) dateHolds(e *element) bool {
	start, hasStart := parseTime(e.attr("start"))
	end, hasEnd := parseTime(e.attr("end"))
	if d := e.child("duration"); d != nil && hasStart && !hasEnd {
		end, hasEnd = addDuration(start, d), true
	}
	switch strings.ToLower(e.attr("operation")) {
	case "gt":
		return hasStart && im.Now.After(start)
	case "lt":
		return hasEnd && im.Now.Before(end)
	case "date_spec":
		return im.specHolds(e.child("date_spec"))
	case "", "in_range":
		if !hasStart && !hasEnd {
			return false
		}
		return (!hasStart || !im.Now.Before(start)) && (!hasEnd || !im.Now.After(end))
	}
	return false
}

// addDuration adds a duration element to a time.
func addDuration(t time.Time, d *element) time.Time {
	n := func(name string) int {
		v, _ := strconv.Atoi(d.attr(name))
		return max(-100_000, min(v, 100_000))
	}
	t = t.AddDate(n("years"), n("months"), n("days")+7*n("weeks"))
	return t.Add(time.Duration(n("hours"))*time.Hour + time.Duration(n("minutes"))*time.Minute + time.Duration(n("seconds"))*time.Second)
}

// specHolds evaluates a date_spec: each part that is named must fit.
func (im *importer) specHolds(spec *element) bool {
	if spec == nil {
		return false
	}
	weekYear, week := im.Now.ISOWeek()
	weekday := int(im.Now.Weekday())
	if weekday == 0 {
		weekday = 7
	}
	parts := []struct {
		name string
		now  int
	}{
		{"seconds", im.Now.Second()},
		{"minutes", im.Now.Minute()},
		{"hours", im.Now.Hour()},
		{"monthdays", im.Now.Day()},
		{"weekdays", weekday},
		{"yeardays", im.Now.YearDay()},
		{"weeks", week},
		{"months", int(im.Now.Month())},
		{"years", im.Now.Year()},
		{"weekyears", weekYear},
	}
	for _, p := range parts {
		if text, ok := spec.lookup(p.name); ok && !inRange(text, p.now) {
			return false
		}
	}
	return true
}

// inRange reads "5", "1-5", "5-" and "-5", and lists of them.
func inRange(text string, n int) bool {
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			high = low
		}
		a, errA := strconv.Atoi(low)
		b, errB := strconv.Atoi(high)
		switch {
		case low == "" && high == "", low != "" && errA != nil, high != "" && errB != nil:
			continue
		case (low == "" || a <= n) && (high == "" || n <= b):
			return true
		}
	}
	return false
}

// plain turns a rule into ours, where ours can say the same.
func (im *importer) plain(r *element) (*cib.Rule, bool) {
	out := &cib.Rule{Any: strings.EqualFold(r.attr("boolean-op"), "or")}
	for _, c := range r.children {
		if c.name != "expression" || c.attr("value-source") == "param" || c.attr("value-source") == "meta" {
			return nil, false
		}
		e := cib.Expression{Attribute: c.attr("attribute"), Operation: strings.ToLower(c.attr("operation")), Type: c.attr("type"), Value: c.attr("value")}
		switch {
		case strings.HasPrefix(e.Attribute, "#") && e.Attribute != "#uname":
			return nil, false // #id, #is_dc and their like mean something else here
		case e.Attribute == "":
			return nil, false
		}
		switch e.Type {
		case "", "string", "integer", "number", "version":
		default:
			return nil, false
		}
		switch e.Operation {
		case "eq", "ne", "lt", "gt", "lte", "gte":
		case "defined", "not_defined":
			e.Type, e.Value = "", ""
		default:
			return nil, false
		}
		out.Expressions = append(out.Expressions, e)
	}
	return out, len(out.Expressions) > 0
}
