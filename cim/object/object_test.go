package object_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/belay-ha/belay/cim/object"
)

func nodeClass() *object.Class {
	prop := func(name string, t object.Type, array bool) *object.Property {
		return &object.Property{Name: name, Kind: object.Kind{Type: t, Array: array}, Origin: "Test_Node"}
	}
	key := prop("Name", object.String, false)
	key.Key = true
	votes := prop("Votes", object.Uint8, false)
	votes.Default = uint8(1)
	return object.NewClass(object.Class{Name: "Test_Node", Properties: []*object.Property{
		key, prop("EnabledState", object.Uint16, false), prop("OperationalStatus", object.Uint16, true), votes,
		prop("OnlineSince", object.DateTimeType, false), prop("Score", object.Sint8, false),
	}})
}

func TestInstance(t *testing.T) {
	i := nodeClass().New("root/cimv2")
	i.Set("name", "n1")
	i.Set("EnabledState", 2)
	i.Set("OperationalStatus", []int{2, 3})
	i.Set("OnlineSince", time.Date(2024, 2, 29, 13, 5, 7, 123456789, time.FixedZone("", -3600)))
	if v := i.Get("ENABLEDSTATE"); v != uint16(2) {
		t.Errorf("EnabledState = %v (%T), want uint16 2", v, v)
	}
	if v, _ := i.Get("OperationalStatus").([]any); !slices.Equal(v, []any{uint16(2), uint16(3)}) {
		t.Errorf("OperationalStatus = %v", v)
	}
	if v := i.Get("OnlineSince"); v != object.DateTime("20240229130507.123456-060") {
		t.Errorf("OnlineSince = %v", v)
	}
	if i.Get("Votes") != uint8(1) || i.Has("Votes") {
		t.Error("the default is not what nobody set")
	}
	i.Set("Votes", nil)
	if i.Get("Votes") != nil || !i.Has("Votes") {
		t.Error("NULL is not what was set")
	}
	if got, want := i.Path().String(), `root/cimv2:Test_Node.Name="n1"`; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	for _, bad := range []struct {
		name string
		v    any
		code object.Code
	}{
		{"Votes", 256, object.TypeMismatch},
		{"Votes", -1, object.TypeMismatch},
		{"Score", 128, object.TypeMismatch},
		{"Score", -129, object.TypeMismatch},
		{"Votes", "1", object.TypeMismatch},
		{"Votes", []int{1}, object.TypeMismatch},
		{"OperationalStatus", 1, object.TypeMismatch},
		{"Nothing", 1, object.NoSuchProperty},
	} {
		err := i.Put(bad.name, bad.v)
		if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != bad.code {
			t.Errorf("Put(%s, %v) = %v, want %v", bad.name, bad.v, err, bad.code)
		}
	}
	if i.Put("Score", -128) != nil || i.Get("Score") != int8(-128) {
		t.Error("sint8 does not hold -128")
	}
}

func TestPathKey(t *testing.T) {
	a := object.NewPath("root/cimv2", "A", "X", "1", "y", uint16(2), "R", object.NewPath("interop", "B", "N", `q"`))
	b := object.NewPath("Root/CIMV2", "a", "r", object.NewPath("INTEROP", "b", "n", `q"`), "Y", uint16(2), "x", "1")
	if !a.Equal(b) {
		t.Errorf("%s\n%s are not equal", a.Key(), b.Key())
	}
	for _, c := range []*object.Path{
		object.NewPath("root/cimv2", "A", "X", uint8(1), "y", uint16(2), "R", object.NewPath("interop", "B", "N", `q"`)),
		object.NewPath("root/cimv2", "A", "X", "1", "y", uint16(2), "R", object.NewPath("interop", "B", "N", `Q"`)),
		object.NewPath("root/cimv2", "A", "X", "1", "y", uint16(2)),
		object.NewPath("root/cimv2", "A", "X", `1",y="2`),
	} {
		if a.Equal(c) {
			t.Errorf("%s is equal to %s", a, c)
		}
	}
}

// DSP0201, 5.2.4: how values are written and read.
func TestParseText(t *testing.T) {
	for _, c := range []struct {
		text string
		t    object.Type
		v    any
		out  string
	}{
		{"True", object.Boolean, true, "TRUE"},
		{"FALSE", object.Boolean, false, "FALSE"},
		{" 255 ", object.Uint8, uint8(255), "255"},
		{"+0x1F", object.Uint16, uint16(31), "31"},
		{"-0x80", object.Sint8, int8(-128), "-128"},
		{"-9223372036854775808", object.Sint64, int64(math.MinInt64), "-9223372036854775808"},
		{"18446744073709551615", object.Uint64, uint64(math.MaxUint64), "18446744073709551615"},
		{"1.5E3", object.Real64, 1500.0, "1500.0"},
		{"1e30", object.Real32, float32(1e30), "1.0e+30"},
		{"-inf", object.Real64, math.Inf(-1), "-INF"},
		{"é", object.Char16Type, object.Char16('é'), "é"},
		{" x ", object.String, " x ", " x "},
		{"20240229130507.123456+060", object.DateTimeType, object.DateTime("20240229130507.123456+060"), "20240229130507.123456+060"},
		{"202402291305**.******-000", object.DateTimeType, object.DateTime("202402291305**.******-000"), "202402291305**.******-000"},
		{"00000001020304.00005*:000", object.DateTimeType, object.DateTime("00000001020304.00005*:000"), "00000001020304.00005*:000"},
	} {
		v, err := object.Parse(c.text, c.t)
		if err != nil || v != c.v {
			t.Errorf("Parse(%q, %s) = %v (%T), %v; want %v", c.text, c.t, v, v, err, c.v)
		}
		if got := object.Text(v); got != c.out {
			t.Errorf("Text(%v) = %q, want %q", v, got, c.out)
		}
	}
	for _, c := range []struct {
		text string
		t    object.Type
	}{
		{"yes", object.Boolean},
		{"1", object.Boolean},
		{"256", object.Uint8},
		{"-1", object.Uint64},
		{"128", object.Sint8},
		{"-129", object.Sint8},
		{"", object.Uint8},
		{"--1", object.Sint8},
		{"1_0", object.Uint8},
		{"0x", object.Uint8},
		{"18446744073709551616", object.Uint64},
		{"-9223372036854775809", object.Sint64},
		{"0x1p3", object.Real64},
		{"1e999", object.Real64},
		{"", object.Real32},
		{"ab", object.Char16Type},
		{"😀", object.Char16Type},
		{"", object.Char16Type},
		{"20241329130507.123456+060", object.DateTimeType},
		{"2024022913**07.123456+060", object.DateTimeType},
		{"20240229130507.12*456+060", object.DateTimeType},
		{"20240229130507,123456+060", object.DateTimeType},
		{"20240229130507.123456+06*", object.DateTimeType},
		{"00000001020304.000005:001", object.DateTimeType},
		{"20240229130507.123456 060", object.DateTimeType},
		{"-0240229130507.123456+060", object.DateTimeType},
		{"x", object.Reference},
	} {
		if v, err := object.Parse(c.text, c.t); err == nil {
			t.Errorf("Parse(%q, %s) = %v, want an error", c.text, c.t, v)
		}
	}
}

func TestDateTime(t *testing.T) {
	at := time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.FixedZone("", 2*3600))
	if got, ok := object.Timestamp(at).Time(); !ok || !got.Equal(at) {
		t.Errorf("%s is %s, want %s", object.Timestamp(at), got, at)
	}
	d := 49*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Microsecond
	if got, ok := object.Interval(d).Duration(); !ok || got != d || object.Interval(d) != "00000002010304.000005:000" {
		t.Errorf("%s is %s, want %s", object.Interval(d), got, d)
	}
	if got, ok := object.DateTime("99999999235959.999999:000").Duration(); !ok || got != math.MaxInt64 {
		t.Errorf("the longest interval is %s", got)
	}
	if _, ok := object.Interval(d).Time(); ok {
		t.Error("an interval is a moment")
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"Name", "nAME", true}, {"a_b", "A_B", true}, {"[", "{", false}, {"@", "`", false}, {"ab", "abc", false}, {"É", "é", true}, {"aÉ", "Aé", true}, {"", "", true}, {"", "é", false},
	} {
		if object.Same(c.a, c.b) != c.same || (object.Fold(c.a) == object.Fold(c.b)) != c.same {
			t.Errorf("Same(%q, %q) is not %v", c.a, c.b, c.same)
		}
	}
}
