package pacemaker

import (
	"math"
	"slices"
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
	d, ok := date(e)
	return ok && d.Holds(im.Now)
}

// date reads a date_expression; false where it cannot be true.
func date(e *element) (*cib.Date, bool) {
	d := &cib.Date{Operation: strings.ReplaceAll(strings.ToLower(e.attr("operation")), "_", "-")}
	if t, ok := parseTime(e.attr("start")); ok {
		d.Start = t.Format(time.RFC3339)
	}
	if t, ok := parseTime(e.attr("end")); ok {
		d.End = t.Format(time.RFC3339)
	}
	switch d.Operation {
	case "gt":
		d.End = ""
		return d, d.Start != ""
	case "lt":
		d.Start = ""
		return d, d.End != ""
	case "date-spec":
		spec := e.child("date_spec")
		if spec == nil {
			return d, false
		}
		d.Start, d.End = "", ""
		d.Spec = &cib.DateSpec{
			Years: spec.attr("years"), Months: spec.attr("months"), Monthdays: spec.attr("monthdays"), Weekdays: spec.attr("weekdays"),
			Yeardays: spec.attr("yeardays"), Weeks: spec.attr("weeks"), Weekyears: spec.attr("weekyears"),
			Hours: spec.attr("hours"), Minutes: spec.attr("minutes"), Seconds: spec.attr("seconds"),
		}
		return d, true
	case "", "in-range":
		d.Operation = ""
		if x := e.child("duration"); x != nil && d.Start != "" && d.End == "" {
			n := func(name string) int {
				v, _ := strconv.Atoi(x.attr(name))
				return v
			}
			d.Duration = &cib.DateDuration{
				Years: n("years"), Months: n("months"), Weeks: n("weeks"), Days: n("days"), Hours: n("hours"), Minutes: n("minutes"), Seconds: n("seconds"),
			}
		}
		return d, d.Start != "" || d.End != ""
	}
	return d, false
}

// defaultRule turns the rule of a default into ours. What looks at a node, or names a
// time that is none, can't be true there: or goes on without it, and can never be
// true either.
func (im *importer) defaultRule(r *element, depth int) (rule cib.Rule, never bool) {
	if r = im.follow(r); r == nil || depth >= cib.RuleDepthMax {
		return cib.Rule{}, true
	}
	out := cib.Rule{Any: strings.EqualFold(r.attr("boolean-op"), "or")}
	falses := 0
	for _, c := range r.children {
		ok := true
		switch c.name {
		case "rsc_expression":
			out.Agents = append(out.Agents, cib.AgentMatch{Class: c.attr("class"), Provider: c.attr("provider"), Type: c.attr("type")})
		case "op_expression":
			m := cib.OperationMatch{Name: c.attr("name")}
			if text := c.attr("interval"); text != "" {
				var d cib.Duration
				d, ok = parseDuration(text)
				m.Interval = &d
			}
			if ok {
				out.Operations = append(out.Operations, m)
			}
		case "date_expression":
			var d *cib.Date
			if d, ok = date(c); ok {
				out.Dates = append(out.Dates, *d)
			}
		case "rule":
			var inner cib.Rule
			if inner, never = im.defaultRule(c, depth+1); !never {
				out.Rules = append(out.Rules, inner)
			}
			ok = !never
		case "expression":
			ok = false
		}
		if !ok {
			falses++
		}
	}
	some := len(out.Agents)+len(out.Operations)+len(out.Dates)+len(out.Rules) > 0
	return out, falses > 0 && (!out.Any || !some)
}

// plain turns a rule into ours, where ours can say the same.
func (im *importer) plain(r *element) (*cib.Rule, bool) { return im.plainAt(r, 0) }

func (im *importer) plainAt(r *element, depth int) (*cib.Rule, bool) {
	if r = im.follow(r); r == nil || depth >= cib.RuleDepthMax {
		return nil, false
	}
	out := &cib.Rule{Any: strings.EqualFold(r.attr("boolean-op"), "or")}
	for _, c := range r.children {
		switch c.name {
		case "expression":
			e, ok := plainExpression(c)
			if !ok {
				return nil, false
			}
			out.Expressions = append(out.Expressions, e)
		case "date_expression":
			d, ok := date(c)
			if !ok {
				return nil, false
			}
			out.Dates = append(out.Dates, *d)
		case "rule":
			inner, ok := im.plainAt(c, depth+1)
			if !ok {
				return nil, false
			}
			out.Rules = append(out.Rules, *inner)
		default:
			return nil, false
		}
	}
	return out, len(out.Expressions)+len(out.Dates)+len(out.Rules) > 0
}

// plainExpression turns an expression into ours, where ours can say the same.
func plainExpression(c *element) (cib.Expression, bool) {
	e := cib.Expression{Attribute: c.attr("attribute"), Operation: strings.ToLower(c.attr("operation")), Type: c.attr("type"), Value: c.attr("value")}
	switch c.attr("value-source") {
	case "", "literal":
	case "param":
		e.Source = "param"
	default:
		return e, false
	}
	if e.Attribute == "" || strings.HasPrefix(e.Attribute, "#") && e.Attribute != "#uname" && !strings.HasPrefix(e.Attribute, "#health") {
		return e, false // #id, #is_dc and their like mean something else here
	}
	switch e.Type {
	case "", "string", "integer", "number", "version":
	default:
		return e, false
	}
	switch e.Operation {
	case "eq", "ne", "lt", "gt", "lte", "gte":
	case "defined", "not_defined":
		e.Type, e.Value, e.Source = "", "", ""
	default:
		return e, false
	}
	return e, true
}

// asksFor reports whether a rule compares with parameters.
func asksFor(r *cib.Rule) bool {
	return slices.ContainsFunc(r.Expressions, func(e cib.Expression) bool { return e.Source == "param" }) ||
		slices.ContainsFunc(r.Rules, func(x cib.Rule) bool { return asksFor(&x) })
}
