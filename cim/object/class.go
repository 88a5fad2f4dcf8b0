package object

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Flavor says how a qualifier spreads (DSP0004, 5.1.2.3).
type Flavor struct {
	Overridable  bool // a subclass may give it another value
	ToSubclass   bool // it holds for subclasses, too
	Translatable bool
}

// QualifierType is the declaration of a qualifier.
type QualifierType struct {
	Name    string
	Type    Type
	Array   bool
	Default any      // nil: NULL
	Scopes  []string // "class", "association", "reference", "property", "method", "parameter", "indication" or "any"
	Flavor  Flavor
}

// Qualifier is a qualifier with its value at one element.
type Qualifier struct {
	Name       string
	Type       Type
	Array      bool
	Value      any
	Flavor     Flavor
	Propagated bool // it comes from a superclass
}

// Qualifiers are those of one element.
type Qualifiers []Qualifier

// Get finds a qualifier by name.
func (q Qualifiers) Get(name string) *Qualifier {
	for i := range q {
		if Same(q[i].Name, name) {
			return &q[i]
		}
	}
	return nil
}

// Is reports whether a boolean qualifier is there and true.
func (q Qualifiers) Is(name string) bool {
	x := q.Get(name)
	return x != nil && x.Value == true
}

// Text is the value of a string qualifier; "" where there is none.
func (q Qualifiers) Text(name string) string {
	if x := q.Get(name); x != nil {
		s, _ := x.Value.(string)
		return s
	}
	return ""
}

// Property is a property or reference of a class, with what the class inherits of it.
type Property struct {
	Name       string
	Kind       Kind
	Qualifiers Qualifiers
	Default    any
	Origin     string // the class that declared it first
	Propagated bool   // this class does not declare it itself
	Key        bool
	Required   bool
	Writable   bool
}

// Parameter is a parameter of a method.
type Parameter struct {
	Name       string
	Kind       Kind
	Qualifiers Qualifiers
	In, Out    bool
	Required   bool
}

// Method is a method of a class, with what the class inherits of it.
type Method struct {
	Name       string
	Return     Kind
	Qualifiers Qualifiers
	Parameters []*Parameter
	Origin     string
	Propagated bool
	Static     bool // it is called on the class
}

// Parameter finds a parameter by name.
func (m *Method) Parameter(name string) *Parameter {
	for _, p := range m.Parameters {
		if Same(p.Name, name) {
			return p
		}
	}
	return nil
}

// Class is a class with all that it inherits. It does not change once [NewClass] has
// made it.
type Class struct {
	Name       string
	Super      *Class // nil: none
	Qualifiers Qualifiers
	Properties []*Property // inherited ones first, in the order of their declaration
	Methods    []*Method

	Association, Indication, Abstract bool

	index   map[string]int // of Properties, by name as declared and folded
	keys    []int
	refs    []int
	initial []any // what an instance starts with
}

// NewClass completes a class.
func NewClass(c Class) *Class {
	c.index, c.keys, c.refs, c.initial = map[string]int{}, nil, nil, make([]any, len(c.Properties))
	for i, p := range c.Properties {
		c.index[p.Name], c.index[Fold(p.Name)], c.initial[i] = i, i, unset{}
		if p.Key {
			c.keys = append(c.keys, i)
		}
		if p.Kind.Type == Reference {
			c.refs = append(c.refs, i)
		}
	}
	return &c
}

// Is reports whether this is the class of that name.
func (c *Class) Is(name string) bool { return Same(c.Name, name) }

// IsA reports whether this is the class of that name or a subclass of it.
func (c *Class) IsA(name string) bool {
	for x := c; x != nil; x = x.Super {
		if x.Is(name) {
			return true
		}
	}
	return false
}

// SuperName is the name of the superclass; "" where there is none.
func (c *Class) SuperName() string {
	if c.Super == nil {
		return ""
	}
	return c.Super.Name
}

// Property finds a property by name.
func (c *Class) Property(name string) *Property {
	if i := c.at(name); i >= 0 {
		return c.Properties[i]
	}
	return nil
}

func (c *Class) at(name string) int {
	i, ok := c.index[name]
	if !ok {
		if i, ok = c.index[Fold(name)]; !ok {
			return -1
		}
	}
	return i
}

// Method finds a method by name.
func (c *Class) Method(name string) *Method {
	for _, m := range c.Methods {
		if Same(m.Name, name) {
			return m
		}
	}
	return nil
}

// Keys lists the key properties in the order of the class.
func (c *Class) Keys() []*Property { return c.pick(c.keys) }

// References lists the reference properties in the order of the class.
func (c *Class) References() []*Property { return c.pick(c.refs) }

func (c *Class) pick(at []int) []*Property {
	out := make([]*Property, len(at))
	for i, n := range at {
		out[i] = c.Properties[n]
	}
	return out
}

// Schema is the classes and qualifiers of one namespace. It does not change.
type Schema struct {
	Namespace  string
	Classes    []*Class // superclasses before their subclasses, else by name
	Qualifiers []*QualifierType
	byName     map[string]*Class
	subs       map[*Class][]*Class
}

// NewSchema makes a schema of classes whose superclasses are among them.
func NewSchema(namespace string, classes []*Class, qualifiers []*QualifierType) *Schema {
	s := &Schema{Namespace: namespace, Classes: slices.Clone(classes), Qualifiers: slices.Clone(qualifiers), byName: map[string]*Class{}, subs: map[*Class][]*Class{}}
	depth := func(c *Class) (n int) {
		for ; c != nil; c = c.Super {
			n++
		}
		return n
	}
	slices.SortFunc(s.Classes, func(a, b *Class) int {
		return cmp.Or(cmp.Compare(depth(a), depth(b)), strings.Compare(Fold(a.Name), Fold(b.Name)))
	})
	slices.SortFunc(s.Qualifiers, func(a, b *QualifierType) int { return strings.Compare(Fold(a.Name), Fold(b.Name)) })
	for _, c := range s.Classes {
		s.byName[c.Name], s.byName[Fold(c.Name)] = c, c
		s.subs[c.Super] = append(s.subs[c.Super], c)
	}
	return s
}

// Class finds a class by name; nil where there is none.
func (s *Schema) Class(name string) *Class {
	if c := s.byName[name]; c != nil {
		return c
	}
	return s.byName[Fold(name)]
}

// MustClass is the class of a name that the program itself knows.
func (s *Schema) MustClass(name string) *Class {
	c := s.Class(name)
	if c == nil {
		panic(fmt.Sprintf("the schema of %s has no class %s", s.Namespace, name))
	}
	return c
}

// Subclasses lists the classes right below a class, or, with deep, all below it; below
// nil are those without superclass. Superclasses stand before their subclasses.
func (s *Schema) Subclasses(c *Class, deep bool) []*Class {
	out := slices.Clone(s.subs[c])
	for i := 0; deep && i < len(out); i++ { // it grows
		out = append(out, s.subs[out[i]]...)
	}
	return out
}

// Qualifier finds the declaration of a qualifier.
func (s *Schema) Qualifier(name string) *QualifierType {
	for _, q := range s.Qualifiers {
		if Same(q.Name, name) {
			return q
		}
	}
	return nil
}
