package object

import (
	"strings"
	"unicode/utf8"
)

// Type is an intrinsic type of CIM (DSP0004, 5.2.2).
type Type uint8

// The types. The zero Type is none.
const (
	NoType Type = iota
	Boolean
	String
	Char16Type
	Uint8
	Sint8
	Uint16
	Sint16
	Uint32
	Sint32
	Uint64
	Sint64
	Real32
	Real64
	DateTimeType
	Reference
)

var typeNames = [...]string{
	"", "boolean", "string", "char16", "uint8", "sint8", "uint16", "sint16", "uint32", "sint32", "uint64", "sint64", "real32", "real64", "datetime", "reference",
}

// String is the name of the type in MOF and in CIM-XML.
func (t Type) String() string { return typeNames[t] }

// ParseType finds a type by its name, without regard to case.
func ParseType(name string) (Type, bool) {
	for i, n := range typeNames {
		if i > 0 && strings.EqualFold(n, name) {
			return Type(i), true
		}
	}
	return NoType, false
}

// Integer reports whether the type is one of the eight integers.
func (t Type) Integer() bool { return t >= Uint8 && t <= Sint64 }

// Numeric reports whether the type is an integer or a real.
func (t Type) Numeric() bool { return t >= Uint8 && t <= Real64 }

// Embedded says what a string holds instead of text.
type Embedded uint8

// What a string may hold.
const (
	NotEmbedded      Embedded = iota
	EmbeddedInstance          // an instance of the class that the qualifier names
	EmbeddedObject            // an instance or a class, of any class
)

// Kind is all that the declaration of a property or parameter says of its values.
type Kind struct {
	Type     Type
	Array    bool
	Size     int    // of a fixed array; 0: any
	RefClass string // of a reference: the class that it refers to
	Embedded Embedded
	Of       string // of an EmbeddedInstance: its class
}

// Fold makes names that are equal in CIM equal in Go.
func Fold(name string) string { return strings.ToLower(name) }

// Same reports whether two names are equal in CIM.
func Same(a, b string) bool {
	if a == b {
		return true
	}
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x >= utf8.RuneSelf || y >= utf8.RuneSelf:
			return Fold(a) == Fold(b)
		case x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z'):
			return false
		}
	}
	return len(a) == len(b)
}
