package policy

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// rule is a rule made ready: what does not depend on the node is decided.
type rule struct {
	any         bool
	fixed       []bool // what its dates say now
	expressions []cib.Expression
	rules       []rule
	dated       bool // it has dates, or a rule in it does
}

// compile makes a rule ready for a time and a resource with these parameters. It
// calls changes with every time at which a date may say something else.
func compile(r *cib.Rule, now time.Time, params map[string]string, changes func(time.Time), depth int) rule {
	out := rule{any: r.Any, expressions: r.Expressions, dated: len(r.Dates) > 0}
	if slices.ContainsFunc(r.Expressions, func(e cib.Expression) bool { return e.Source == "param" }) {
		out.expressions = slices.Clone(r.Expressions)
		for i := range out.expressions {
			if e := &out.expressions[i]; e.Source == "param" {
				e.Value = params[e.Value]
			}
		}
	}
	for i := range r.Dates {
		out.fixed = append(out.fixed, r.Dates[i].Holds(now))
		if t := r.Dates[i].Next(now); !t.IsZero() {
			changes(t)
		}
	}
	for i := range r.Rules {
		if depth < cib.RuleDepthMax {
			inner := compile(&r.Rules[i], now, params, changes, depth+1)
			out.rules = append(out.rules, inner)
			out.dated = out.dated || inner.dated
		}
	}
	return out
}

// holds reports whether a rule is true on a node. A rule without expressions is
// true, as in Pacemaker.
func (r *rule) holds(n *node) bool {
	if len(r.expressions)+len(r.fixed)+len(r.rules) == 0 {
		return true
	}
	if slices.Contains(r.fixed, r.any) {
		return r.any
	}
	for i := range r.expressions {
		if compares(&r.expressions[i], n) == r.any {
			return r.any
		}
	}
	for i := range r.rules {
		if r.rules[i].holds(n) == r.any {
			return r.any
		}
	}
	return !r.any
}

// compares evaluates one expression. An attribute that is not defined differs
// from every value and is neither less nor greater than one.
func compares(e *cib.Expression, n *node) bool {
	v, ok := n.attribute(e.Attribute)
	switch e.Operation {
	case "defined":
		return ok
	case "not_defined":
		return !ok
	case "eq":
		return ok && compareValues(v, e.Value, e.Type, false) == 0
	case "ne":
		return !ok || compareValues(v, e.Value, e.Type, false) != 0
	}
	if !ok {
		return false
	}
	c := compareValues(v, e.Value, e.Type, true)
	switch e.Operation {
	case "lt":
		return c < 0
	case "gt":
		return c > 0
	case "lte":
		return c <= 0
	case "gte":
		return c >= 0
	}
	return false
}

// compareValues compares as the type says. Without a type, lt and its like
// compare numbers where both sides are numbers; everything else is text, in
// which upper and lower case are the same.
func compareValues(a, b, typ string, ordering bool) int {
	switch typ {
	case "integer":
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX == nil && errY == nil { // 12.9 counts as 12
			return compareOrdered(math.Trunc(x), math.Trunc(y))
		}
	case "number":
		if c, ok := compareNumbers(a, b); ok {
			return c
		}
	case "version":
		return compareVersions(a, b)
	case "":
		if ordering {
			if c, ok := compareNumbers(a, b); ok {
				return c
			}
		}
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

func compareNumbers(a, b string) (int, bool) {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return compareOrdered(x, y), errX == nil && errY == nil
}

func compareOrdered[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareVersions compares part by part: 1.10 is newer than 1.9.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, errM := strconv.ParseInt(x, 10, 64)
		n, errN := strconv.ParseInt(y, 10, 64)
		c := compareOrdered(m, n)
		if x != "" && errM != nil || y != "" && errN != nil {
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}
