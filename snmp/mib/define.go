package mib

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// DocumentationPEN is the enterprise number for documentation (RFC 5612). It stands in
// for Belay's own until one is registered.
const DocumentationPEN = 32473

// The arcs below the module.
const (
	arcModule        = 1 // below the enterprise
	arcNotifications = 0
	arcObjects       = 1
	arcConformance   = 2
)

// Root is the object identifier of the module for an enterprise number.
func Root(pen uint32) OID { return OID{1, 3, 6, 1, 4, 1, pen, arcModule} }

// View is what a walk shows.
type View struct {
	Summary *status.Summary
	Node    string        // where the agent runs
	Version string        // of the software there
	Age     time.Duration // of the summary, where the store does not answer
}

// syntax is the type of an object as the module writes it.
type syntax struct {
	name   string
	base   Type
	size   string // or range, in parentheses
	values []string
}

var (
	syntaxText     = syntax{name: "SnmpAdminString", base: OctetString, size: "(SIZE (0..255))"}
	syntaxDate     = syntax{name: "DateAndTime", base: OctetString}
	syntaxTruth    = syntax{name: "TruthValue", base: Integer}
	syntaxGauge    = syntax{name: "Gauge32", base: Gauge32}
	syntaxInteger  = syntax{name: "Integer32", base: Integer}
	syntaxCounter  = syntax{name: "Counter64", base: Counter64}
	syntaxAddrType = syntax{name: "InetAddressType", base: Integer}
	syntaxAddr     = syntax{name: "InetAddress", base: OctetString, size: "(SIZE (0|4|16))"}
	syntaxIndex    = syntax{name: "Unsigned32", base: Gauge32, size: "(1..4294967295)"}
	syntaxNumber   = syntax{name: "Unsigned32", base: Gauge32}
	syntaxSeverity = syntax{name: "BelaySeverity", base: Integer}
)

// syntaxEnum is an enumeration: the names of its table in the form of the SMI.
func syntaxEnum[T ~uint8](table cib.Enum[T]) syntax {
	s := syntax{name: "INTEGER", base: Integer}
	for _, e := range table {
		s.values = append(s.values, camel(e.Name))
	}
	return s
}

// camel turns "no-quorum" into "noQuorum", and "Started" into "started".
func camel(name string) string {
	var b strings.Builder
	upper := false
	for i, r := range name {
		switch {
		case i == 0:
			b.WriteRune(unicode.ToLower(r))
		case r == '-' || r == '_' || r == ' ':
			upper = true
		case upper:
			b.WriteRune(unicode.ToUpper(r))
			upper = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func title(name string) string {
	c := camel(name)
	return strings.ToUpper(c[:1]) + c[1:]
}

// object is one OBJECT-TYPE.
type object struct {
	arc    uint32
	name   string // after the group's prefix
	syntax syntax
	units  string
	text   string
	hidden bool // an index: not-accessible
}

// group is a number of scalars or a table: everything below one arc of the objects.
type group interface {
	describe() groupText
	variables(v *View, root OID) []Variable
	has(rest OID) bool // rest is below the module's root
}

// groupText is what the module says about a group.
type groupText struct {
	arc     uint32
	prefix  string // "belayNode"
	text    string
	table   bool
	index   []string // full names
	objects []object
}

// scalar is an object with one instance.
type scalar struct {
	object
	get func(v *View) Value
}

type scalars struct {
	arc    uint32
	prefix string
	text   string
	all    []scalar
}

func (s *scalars) describe() groupText {
	t := groupText{arc: s.arc, prefix: s.prefix, text: s.text}
	for _, o := range s.all {
		t.objects = append(t.objects, o.object)
	}
	return t
}

func (s *scalars) variables(v *View, root OID) []Variable {
	out := make([]Variable, len(s.all))
	for i, o := range s.all {
		out[i] = Variable{root.Child(arcObjects, s.arc, o.arc, 0), o.get(v)}
	}
	return out
}

func (s *scalars) has(rest OID) bool {
	return len(rest) >= 3 && rest[0] == arcObjects && rest[1] == s.arc &&
		slices.ContainsFunc(s.all, func(o scalar) bool { return o.arc == rest[2] })
}

// column is an object of a table.
type column[T any] struct {
	object
	get func(row *T) Value
}

// table is a conceptual table with rows of type T.
type table[T any] struct {
	arc     uint32
	prefix  string
	text    string
	index   []string // full names of the objects that make the index
	rows    func(v *View) []T
	key     func(row *T) []uint32
	columns []column[T]
}

func (t *table[T]) describe() groupText {
	out := groupText{arc: t.arc, prefix: t.prefix, text: t.text, table: true, index: t.index}
	for _, c := range t.columns {
		out.objects = append(out.objects, c.object)
	}
	return out
}

// arcEntry is the arc of the conceptual row below its table.
const arcEntry = 1

func (t *table[T]) variables(v *View, root OID) []Variable {
	rows := t.rows(v)
	keys := make([][]uint32, len(rows))
	order := make([]int, 0, len(rows))
	for i := range rows {
		keys[i] = t.key(&rows[i])
		if !slices.Contains(keys[i], 0) { // 0: it has no number yet
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return compareKeys(keys[a], keys[b]) })
	order = slices.CompactFunc(order, func(a, b int) bool { return slices.Equal(keys[a], keys[b]) })
	out := make([]Variable, 0, len(order)*len(t.columns))
	for _, c := range t.columns {
		if c.hidden {
			continue
		}
		at := root.Child(arcObjects, t.arc, arcEntry, c.arc)
		for _, i := range order {
			out = append(out, Variable{at.Child(keys[i]...), c.get(&rows[i])})
		}
	}
	return out
}

func (t *table[T]) has(rest OID) bool {
	return len(rest) >= 4 && rest[0] == arcObjects && rest[1] == t.arc && rest[2] == arcEntry &&
		slices.ContainsFunc(t.columns, func(c column[T]) bool { return c.arc == rest[3] && !c.hidden })
}

// Build lists everything a walk shows, in its order.
func Build(v *View, root OID) []Variable {
	var out []Variable
	for _, g := range groups {
		out = append(out, g.variables(v, root)...)
	}
	sortVariables(out)
	return out
}
