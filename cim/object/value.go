package object

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Char16 is one UCS-2 character.
type Char16 uint16

// TypeOf tells the type of a value; NoType of nil and of what is no value.
func TypeOf(v any) (t Type, array bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if t, _ = TypeOf(e); t != NoType {
				return t, true
			}
		}
		return NoType, true
	case bool:
		return Boolean, false
	case string, *Instance, *Class:
		return String, false
	case Char16:
		return Char16Type, false
	case uint8:
		return Uint8, false
	case int8:
		return Sint8, false
	case uint16:
		return Uint16, false
	case int16:
		return Sint16, false
	case uint32:
		return Uint32, false
	case int32:
		return Sint32, false
	case uint64:
		return Uint64, false
	case int64:
		return Sint64, false
	case float32:
		return Real32, false
	case float64:
		return Real64, false
	case DateTime:
		return DateTimeType, false
	case *Path:
		return Reference, false
	}
	return NoType, false
}

// Text is a value that is no array, in the form of CIM-XML (DSP0201, 5.2.4): "" for
// NULL and for what has no text.
func Text(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "TRUE"
		}
		return "FALSE"
	case string:
		return v
	case Char16:
		return string(rune(v))
	case DateTime:
		return string(v)
	case float32:
		return realText(float64(v), 32)
	case float64:
		return realText(v, 64)
	case *Path:
		return v.String()
	}
	if n, unsigned, ok := integer(v); ok {
		if unsigned {
			return strconv.FormatUint(n, 10)
		}
		return strconv.FormatInt(int64(n), 10)
	}
	return ""
}

func realText(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if !strings.ContainsRune(s, '.') { // a real has a point
		mantissa, exponent, _ := strings.Cut(s, "e")
		s = mantissa + ".0"
		if exponent != "" {
			s += "e" + exponent
		}
	}
	return s
}

// Parse reads the text of a value that is neither an array nor a reference.
func Parse(s string, t Type) (any, error) {
	if t == String {
		return s, nil
	}
	text := strings.TrimSpace(s)
	bad := fmt.Errorf("%.40q is no %s", s, t)
	switch t {
	case Boolean:
		switch {
		case strings.EqualFold(text, "true"):
			return true, nil
		case strings.EqualFold(text, "false"):
			return false, nil
		}
		return nil, bad
	case Char16Type:
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 || n != len(s) || r == utf8.RuneError || r > 0xffff {
			return nil, bad
		}
		return Char16(r), nil
	case DateTimeType:
		return ParseDateTime(text)
	case Real32, Real64:
		return parseReal(text, t, bad)
	case Uint8, Uint16, Uint32, Uint64, Sint8, Sint16, Sint32, Sint64:
		return parseInteger(text, t, bad)
	case NoType, String, Reference:
	}
	return nil, bad
}

func parseReal(text string, t Type, bad error) (any, error) {
	bits := 64
	if t == Real32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(text, bits)
	if strings.ContainsAny(text, "xXpP_") || err != nil {
		return nil, bad
	}
	if t == Real32 {
		return float32(f), nil
	}
	return f, nil
}

func parseInteger(text string, t Type, bad error) (any, error) {
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits, _ = strings.CutPrefix(text, "+")
	}
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return nil, bad
	}
	v := any(n)
	if negative {
		if n > 1<<63 {
			return nil, bad
		}
		v = -int64(n)
	}
	return asInteger(v, t, bad)
}

// integer is the bits of a Go integer of any kind.
func integer(v any) (n uint64, unsigned, ok bool) {
	switch v := v.(type) {
	case uint8:
		return uint64(v), true, true
	case uint16:
		return uint64(v), true, true
	case uint32:
		return uint64(v), true, true
	case uint64:
		return v, true, true
	case uint:
		return uint64(v), true, true
	case int8:
		return uint64(v), false, true
	case int16:
		return uint64(v), false, true
	case int32:
		return uint64(v), false, true
	case int64:
		return uint64(v), false, true
	case int:
		return uint64(v), false, true
	}
	return 0, false, false
}

// asInteger makes a number of the type from any Go integer that fits.
func asInteger(v any, t Type, bad error) (any, error) {
	n, unsigned, ok := integer(v)
	if !ok {
		return nil, bad
	}
	negative := !unsigned && int64(n) < 0
	width := [...]int{Uint8: 8, Sint8: 8, Uint16: 16, Sint16: 16, Uint32: 32, Sint32: 32, Uint64: 64, Sint64: 64}[t]
	switch t {
	case Uint8, Uint16, Uint32, Uint64:
		if negative || width < 64 && n>>width != 0 {
			return nil, bad
		}
	default:
		if !negative && n>>(width-1) != 0 || negative && int64(n) < -1<<(width-1) {
			return nil, bad
		}
	}
	switch t {
	case Uint8:
		return uint8(n), nil
	case Uint16:
		return uint16(n), nil
	case Uint32:
		return uint32(n), nil
	case Uint64:
		return n, nil
	case Sint8:
		return int8(n), nil
	case Sint16:
		return int16(n), nil
	case Sint32:
		return int32(n), nil
	default:
		return int64(n), nil
	}
}

// Convert makes a value of a kind from a natural Go value, or says why it is none.
func Convert(v any, k Kind) (any, error) {
	if v == nil {
		return nil, nil
	}
	if !k.Array {
		return convertOne(v, k)
	}
	elements, ok := list(v)
	if !ok {
		return nil, fmt.Errorf("%T is no array of %s", v, k.Type)
	}
	if k.Size > 0 && len(elements) > k.Size {
		return nil, fmt.Errorf("%d elements are more than the %d of the array", len(elements), k.Size)
	}
	out := make([]any, len(elements))
	for i, e := range elements {
		if e == nil {
			continue
		}
		var err error
		if out[i], err = convertOne(e, k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func list(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []string:
		return boxed(v), true
	case []int:
		return boxed(v), true
	case []bool:
		return boxed(v), true
	case []uint8:
		return boxed(v), true
	case []uint16:
		return boxed(v), true
	case []uint32:
		return boxed(v), true
	case []uint64:
		return boxed(v), true
	case []int32:
		return boxed(v), true
	case []int64:
		return boxed(v), true
	case []*Path:
		return boxed(v), true
	case []*Instance:
		return boxed(v), true
	}
	return nil, false
}

func boxed[T any](s []T) []any {
	out := make([]any, len(s))
	for i, e := range s {
		out[i] = e
	}
	return out
}

func convertOne(v any, k Kind) (any, error) {
	bad := fmt.Errorf("%T is no %s", v, k.Type)
	switch v := v.(type) {
	case time.Time:
		if k.Type == DateTimeType {
			return Timestamp(v), nil
		}
		return nil, bad
	case time.Duration:
		if k.Type == DateTimeType {
			return Interval(v), nil
		}
		return nil, bad
	case float64:
		if k.Type == Real32 {
			return float32(v), nil
		}
	case *Instance:
		if k.Type != String || k.Embedded == NotEmbedded {
			return nil, bad
		}
		if k.Embedded == EmbeddedInstance && !v.Class().IsA(k.Of) {
			return nil, fmt.Errorf("an instance of %s is none of %s", v.Class().Name, k.Of)
		}
		return v, nil
	case *Class:
		if k.Embedded != EmbeddedObject {
			return nil, bad
		}
		return v, nil
	case string:
		if k.Type == String && k.Embedded == NotEmbedded {
			return v, nil
		}
		return nil, bad
	}
	if k.Type.Integer() {
		return asInteger(v, k.Type, fmt.Errorf("%v (%T) is no %s", v, v, k.Type))
	}
	if t, array := TypeOf(v); t != k.Type || array {
		return nil, bad
	}
	return v, nil
}
