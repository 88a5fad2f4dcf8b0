package query

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/belay-ha/belay/cim/object"
)

// truth is a value of the logic with NULL.
type truth int8

const (
	no truth = iota - 1
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// condition is a part of WHERE.
type condition interface {
	holds(i *object.Instance) truth
	check(c *object.Class) error
}

type (
	or     []condition
	and    []condition
	not    struct{ condition }
	isNull struct{ operand }
	isa    struct {
		operand
		class string
	}
	comparison struct {
		quantity    string // ANY, EVERY or ""
		left, right operand
		op          string
		like        *regexp.Regexp
	}
)

// operand is a value, or the path of a property when it has one.
type operand struct {
	value any
	path  []string
	index int // in an array; -1: none
}

// Match reports whether an instance is one of those that are asked for. Whether it is of
// the class is not looked at.
func (q *Query) Match(i *object.Instance) bool {
	return q.where == nil || q.where.holds(i) == yes
}

// Check says whether a class has the properties that the query talks about, with
// [object.InvalidQuery] where not.
func (q *Query) Check(c *object.Class) error {
	for _, n := range q.Select {
		if c.Property(n) == nil {
			return object.Errorf(object.InvalidQuery, "%s has no property %.60s", c.Name, n)
		}
	}
	if q.where == nil {
		return nil
	}
	return q.where.check(c)
}

func (l or) holds(i *object.Instance) truth {
	out := no
	for _, c := range l {
		out = max(out, c.holds(i))
	}
	return out
}

func (l and) holds(i *object.Instance) truth {
	out := yes
	for _, c := range l {
		out = min(out, c.holds(i))
	}
	return out
}

func (n not) holds(i *object.Instance) truth { return -n.condition.holds(i) }

func (n isNull) holds(i *object.Instance) truth { return truthOf(n.get(i) == nil) }

func (x isa) holds(i *object.Instance) truth {
	if len(x.path) == 1 && i.Class().Property(x.path[0]) == nil && i.Class().IsA(x.path[0]) {
		return truthOf(i.Class().IsA(x.class)) // the class of the query itself
	}
	switch v := x.get(i).(type) {
	case *object.Instance:
		return truthOf(v.Class().IsA(x.class))
	case nil:
		return unknown
	}
	return no
}

func (c comparison) holds(i *object.Instance) truth {
	left := c.left.get(i)
	list, array := left.([]any)
	switch {
	case c.quantity == "" && array:
		return unknown
	case c.quantity == "":
		return c.one(left, i)
	case !array:
		return unknown
	}
	out := no
	if c.quantity == "EVERY" {
		out = yes
	}
	for _, e := range list {
		if t := c.one(e, i); c.quantity == "EVERY" {
			out = min(out, t)
		} else {
			out = max(out, t)
		}
	}
	return out
}

func (c comparison) one(left any, i *object.Instance) truth {
	if left == nil {
		return unknown
	}
	if c.like != nil {
		s, ok := left.(string)
		if !ok {
			return unknown
		}
		return truthOf(c.like.MatchString(s))
	}
	n, ok := compare(left, c.right.get(i))
	if !ok {
		return unknown
	}
	switch c.op {
	case "=":
		return truthOf(n == 0)
	case "<>", "!=":
		return truthOf(n != 0)
	case "<":
		return truthOf(n < 0)
	case "<=":
		return truthOf(n <= 0)
	case ">":
		return truthOf(n > 0)
	}
	return truthOf(n >= 0)
}

// get is the value of an operand for an instance.
func (o operand) get(i *object.Instance) any {
	if o.path == nil {
		return o.value
	}
	var v any
	for n, name := range o.path {
		if n > 0 {
			inner, ok := v.(*object.Instance)
			if !ok {
				return nil
			}
			i = inner
		}
		v = i.Get(name)
	}
	if o.index < 0 {
		return v
	}
	list, _ := v.([]any)
	if o.index >= len(list) {
		return nil
	}
	return list[o.index]
}

// compare orders two values; it is false where they have no order.
func compare(a, b any) (int, bool) {
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return strings.Compare(x, y), true
		case object.DateTime:
			return compareTimes(object.DateTime(x), y)
		}
		return 0, false
	case object.Char16:
		y, ok := b.(string)
		return strings.Compare(object.Text(x), y), ok
	case object.DateTime:
		switch y := b.(type) {
		case object.DateTime:
			return compareTimes(x, y)
		case string:
			return compareTimes(x, object.DateTime(y))
		}
		return 0, false
	case bool:
		y, ok := b.(bool)
		return cmp.Compare(object.Text(x), object.Text(y)), ok
	case *object.Path:
		switch y := b.(type) {
		case *object.Path:
			return strings.Compare(x.Key(), y.Key()), true
		case string:
			return strings.Compare(x.String(), y), true
		}
		return 0, false
	}
	return compareNumbers(a, b)
}

func compareTimes(a, b object.DateTime) (int, bool) {
	if _, err := object.ParseDateTime(string(a)); err != nil {
		return 0, false
	}
	if _, err := object.ParseDateTime(string(b)); err != nil || a.IsInterval() != b.IsInterval() {
		return 0, false
	}
	if a.IsInterval() {
		return strings.Compare(string(a), string(b)), true
	}
	x, _ := a.Time()
	y, _ := b.Time()
	return x.Compare(y), true
}

func compareNumbers(a, b any) (int, bool) {
	ta, _ := object.TypeOf(a)
	tb, _ := object.TypeOf(b)
	if !ta.Numeric() || !tb.Numeric() {
		return 0, false
	}
	if ta.Integer() && tb.Integer() {
		x, xSigned := signed(a)
		y, ySigned := signed(b)
		switch {
		case xSigned && ySigned:
			return cmp.Compare(x, y), true
		case xSigned: // the other is beyond what a signed number holds
			return -1, true
		case ySigned:
			return 1, true
		}
		return cmp.Compare(object.Text(a), object.Text(b)), true // both have 19 or 20 digits
	}
	return cmp.Compare(real64(a), real64(b)), true
}

// signed is an integer as int64, if it is one.
func signed(v any) (int64, bool) {
	x, err := object.Convert(v, object.Kind{Type: object.Sint64})
	n, ok := x.(int64)
	return n, ok && err == nil
}

func real64(v any) float64 {
	switch v := v.(type) {
	case float32:
		return float64(v)
	case float64:
		return v
	}
	x, err := object.Parse(object.Text(v), object.Real64)
	f, _ := x.(float64)
	if err != nil {
		return 0
	}
	return f
}

func checkAll(list []condition, c *object.Class) error {
	for _, x := range list {
		if err := x.check(c); err != nil {
			return err
		}
	}
	return nil
}

func (l or) check(c *object.Class) error     { return checkAll(l, c) }
func (l and) check(c *object.Class) error    { return checkAll(l, c) }
func (n not) check(c *object.Class) error    { return n.condition.check(c) }
func (n isNull) check(c *object.Class) error { return n.operand.checkPath(c) }

func (x isa) check(c *object.Class) error {
	if len(x.path) == 1 && c.IsA(x.path[0]) {
		return nil
	}
	return x.operand.checkPath(c)
}

func (c comparison) check(class *object.Class) error {
	for _, o := range []operand{c.left, c.right} {
		if err := o.checkPath(class); err != nil {
			return err
		}
	}
	return nil
}

// checkPath checks the first name of a path; what is embedded has any class.
func (o operand) checkPath(c *object.Class) error {
	if o.path != nil && c.Property(o.path[0]) == nil {
		return object.Errorf(object.InvalidQuery, "%s has no property %.60s", c.Name, o.path[0])
	}
	if len(o.path) > 1 && c.Property(o.path[0]).Kind.Embedded == object.NotEmbedded {
		return object.Errorf(object.InvalidQuery, "%s.%s has no properties", c.Name, o.path[0])
	}
	return nil
}
