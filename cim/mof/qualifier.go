package mof

import (
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/cim/object"
)

var scopes = []string{"any", "association", "class", "indication", "method", "parameter", "property", "qualifier", "reference", "schema"}

// declareQualifier takes up the declaration of a qualifier.
func (r *resolver) declareQualifier(d *qualifierDecl) {
	key := object.Fold(d.name)
	if r.types[key] != nil {
		r.fail(d.at, "qualifier %s is declared twice", d.name)
		return
	}
	t, ok := object.ParseType(d.typeName)
	if !ok || t == object.Reference {
		r.fail(d.at, "qualifier %s: there is no type %s", d.name, d.typeName)
		return
	}
	// What is not said: it holds for subclasses, which may change it (DSP0004, 5.1.2.3).
	q := &object.QualifierType{Name: d.name, Type: t, Array: d.array, Flavor: object.Flavor{Overridable: true, ToSubclass: true}, Scopes: slices.Clone(d.scopes)}
	for _, s := range d.scopes {
		if !slices.Contains(scopes, s) {
			r.fail(d.at, "qualifier %s: there is no scope %s", d.name, s)
		}
	}
	if len(d.scopes) == 0 {
		r.fail(d.at, "qualifier %s has no scope", d.name)
	}
	slices.Sort(q.Scopes)
	q.Flavor = r.flavor(d.at, q.Flavor, d.flavors)
	if d.value != nil {
		q.Default = r.value(d.value, object.Kind{Type: t, Array: d.array, Size: d.size}, "qualifier "+d.name)
	}
	r.types[key] = q
}

func (r *resolver) flavor(at position, f object.Flavor, words []string) object.Flavor {
	for _, w := range words {
		switch w {
		case "enableoverride":
			f.Overridable = true
		case "disableoverride":
			f.Overridable = false
		case "tosubclass":
			f.ToSubclass = true
		case "restricted":
			f.ToSubclass = false
		case "translatable":
			f.Translatable = true
		default:
			r.fail(at, "there is no flavor %s", w)
		}
	}
	return f
}

// qualifiers are those of one element: what it says itself, and what it inherits.
func (r *resolver) qualifiers(uses []qualifierUse, scope []string, inherited object.Qualifiers, where string) object.Qualifiers {
	var out object.Qualifiers
	for i := range uses {
		u := &uses[i]
		d := r.types[object.Fold(u.name)]
		if d == nil {
			r.fail(u.at, "%s: there is no qualifier %s", where, u.name)
			continue
		}
		if out.Get(u.name) != nil {
			r.fail(u.at, "%s has the qualifier %s twice", where, d.Name)
			continue
		}
		if !slices.ContainsFunc(d.Scopes, func(s string) bool { return s == "any" || slices.Contains(scope, s) }) {
			r.fail(u.at, "%s: the qualifier %s is not for a %s", where, d.Name, scope[len(scope)-1])
		}
		q := object.Qualifier{Name: d.Name, Type: d.Type, Array: d.Array, Flavor: r.flavor(u.at, d.Flavor, u.flavors)}
		switch {
		case u.value != nil:
			q.Value = r.value(u.value, object.Kind{Type: d.Type, Array: d.Array}, where+": "+d.Name)
		case d.Type == object.Boolean && !d.Array:
			q.Value = true
		default:
			q.Value = d.Default
		}
		if old := inherited.Get(d.Name); old != nil && old.Flavor.ToSubclass && !old.Flavor.Overridable && !sameValue(old.Value, q.Value) {
			r.fail(u.at, "%s: the qualifier %s can't have another value than in the superclass", where, d.Name)
		}
		out = append(out, q)
	}
	for _, q := range propagate(inherited) {
		if out.Get(q.Name) == nil {
			out = append(out, q)
		}
	}
	return out
}

func sameValue(a, b any) bool {
	x, array := a.([]any)
	y, both := b.([]any)
	if array || both {
		return array == both && slices.Equal(x, y)
	}
	return a == b
}

// value gives a literal its type.
func (r *resolver) value(l *literal, k object.Kind, where string) any {
	if !l.array && l.items[0].kind == tokenName && object.Same(l.items[0].text, "null") {
		return nil
	}
	if l.array != k.Array {
		r.fail(l.at, "%s: the value is not %s", where, kindText(k))
		return nil
	}
	if k.Size > 0 && len(l.items) > k.Size {
		r.fail(l.at, "%s: %d values are more than the %d of the array", where, len(l.items), k.Size)
	}
	values := make([]any, len(l.items))
	for i, t := range l.items {
		values[i] = r.one(t, k.Type, where)
	}
	if k.Array {
		return values
	}
	return values[0]
}

func (r *resolver) one(t token, k object.Type, where string) any {
	var ok bool
	text := t.text
	switch t.kind {
	case tokenString:
		ok = k == object.String || k == object.DateTimeType
	case tokenChar:
		ok = k == object.Char16Type
	case tokenReal:
		ok = k == object.Real32 || k == object.Real64
	case tokenInteger:
		ok = k.Numeric()
		text = decimal(text)
	case tokenName:
		if object.Same(text, "null") {
			return nil
		}
		ok = k == object.Boolean
	case tokenEnd, tokenMark:
	}
	if ok {
		if v, err := object.Parse(text, k); err == nil {
			return v
		}
	}
	r.fail(t.at, "%s: %s is no %s", where, t, k)
	return nil
}

// decimal turns the binary and octal numbers of MOF into decimal ones.
func decimal(s string) string {
	sign, digits := "", s
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, digits = s[:1], s[1:]
	}
	base := 0
	switch {
	case strings.HasSuffix(digits, "b") || strings.HasSuffix(digits, "B"):
		if !strings.HasPrefix(object.Fold(digits), "0x") {
			base, digits = 2, digits[:len(digits)-1]
		}
	case len(digits) > 1 && digits[0] == '0' && isDigit(digits[1]):
		base = 8
	}
	if base == 0 {
		return s
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return "" // no number of any type
	}
	return sign + strconv.FormatUint(n, 10)
}
