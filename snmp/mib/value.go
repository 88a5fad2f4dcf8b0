package mib

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// OID is an object identifier.
type OID []uint32

// String writes it with dots: "1.3.6.1".
func (o OID) String() string {
	parts := make([]string, len(o))
	for i, n := range o {
		parts[i] = strconv.FormatUint(uint64(n), 10)
	}
	return strings.Join(parts, ".")
}

// Compare orders object identifiers as SNMP does (RFC 3416, section 4.2.2).
func (o OID) Compare(other OID) int { return slices.Compare(o, other) }

// In reports whether o is root or below it.
func (o OID) In(root OID) bool { return len(o) >= len(root) && slices.Equal(o[:len(root)], root) }

// Child returns o with arcs appended, without sharing its memory.
func (o OID) Child(arcs ...uint32) OID { return slices.Concat(o, arcs) }

// Type is the type of a value; the numbers are those of the SMI's tags, which AgentX
// uses too (RFC 2741, section 5.4).
type Type uint8

// The types of values.
const (
	Integer     Type = 2
	OctetString Type = 4
	ObjectID    Type = 6
	Counter32   Type = 65
	Gauge32     Type = 66
	TimeTicks   Type = 67
	Counter64   Type = 70
)

// Value is one value. Num holds numbers (of an Integer as its two's complement), Bytes
// octets, OID an object identifier.
type Value struct {
	Type  Type
	Num   uint64
	Bytes string
	OID   OID
}

// Variable is a value with its name.
type Variable struct {
	OID   OID
	Value Value
}

// textMax is the largest SnmpAdminString (RFC 3411).
const textMax = 255

// text makes an SnmpAdminString, cut where it is too long.
func text(s string) Value {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > textMax {
		end := textMax
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return Value{Type: OctetString, Bytes: s}
}

func enum[T ~uint8](v T) Value {
	if v == 0 {
		v = 1 // unknown, or the first where nothing is unknown
	}
	return Value{Type: Integer, Num: uint64(v)}
}

// truth makes a TruthValue (RFC 2579).
func truth(v bool) Value {
	if v {
		return Value{Type: Integer, Num: 1}
	}
	return Value{Type: Integer, Num: 2}
}

func gauge[T ~int | ~int64 | ~uint32 | ~uint64](v T) Value {
	return Value{Type: Gauge32, Num: uint64(min(max(v, 0), 1<<32-1))}
}

func integer[T ~int | ~int32 | ~int64](v T) Value {
	n := int32(min(max(int64(v), -1<<31), 1<<31-1))
	return Value{Type: Integer, Num: uint64(int64(n))}
}

func counter64(v uint64) Value { return Value{Type: Counter64, Num: v} }

// date makes a DateAndTime (RFC 2579) in UTC; a time that is not known is eight zeros.
func date(t time.Time) Value {
	if t.IsZero() || t.Year() < 0 || t.Year() > 65535 {
		return Value{Type: OctetString, Bytes: strings.Repeat("\x00", 8)}
	}
	t = t.UTC()
	b := binary.BigEndian.AppendUint16(nil, uint16(t.Year()))
	b = append(b, byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), byte(t.Nanosecond()/1e8), '+', 0, 0)
	return Value{Type: OctetString, Bytes: string(b)}
}

// addressType makes an InetAddressType (RFC 4001).
func addressType(s string) Value {
	a, err := netip.ParseAddr(s)
	n := uint64(0) // unknown
	switch {
	case err == nil && a.Unmap().Is4():
		n = 1
	case err == nil:
		n = 2
	}
	return Value{Type: Integer, Num: n}
}

// address makes an InetAddress (RFC 4001); empty where it is none.
func address(s string) Value {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return Value{Type: OctetString}
	}
	return Value{Type: OctetString, Bytes: string(a.Unmap().AsSlice())}
}

// sortVariables puts variables into the order of a walk.
func sortVariables(vars []Variable) {
	slices.SortFunc(vars, func(a, b Variable) int { return a.OID.Compare(b.OID) })
}

// Seek returns the index of the first variable after an object identifier, or at it
// with include; len(vars) where there is none.
func Seek(vars []Variable, after OID, include bool) int {
	i, found := slices.BinarySearchFunc(vars, after, func(v Variable, o OID) int { return v.OID.Compare(o) })
	if found && !include {
		i++
	}
	return i
}

// Find returns the variable with an object identifier.
func Find(vars []Variable, oid OID) (Variable, bool) {
	i, found := slices.BinarySearchFunc(vars, oid, func(v Variable, o OID) int { return v.OID.Compare(o) })
	if !found {
		return Variable{}, false
	}
	return vars[i], true
}

// Known tells whether the object of an instance is one of this MIB, so that a missing
// instance can be told from a missing object (RFC 3416, section 4.2.1).
func Known(oid, root OID) bool {
	if !oid.In(root) {
		return false
	}
	rest := oid[len(root):]
	return slices.ContainsFunc(groups, func(g group) bool { return g.has(rest) })
}

func compareKeys(a, b []uint32) int { return cmp.Or(slices.Compare(a, b), cmp.Compare(len(a), len(b))) }
