package object

import (
	"fmt"
	"slices"
	"strings"
)

// unset stands where nobody has given a value.
type unset struct{}

// Instance is an instance of a class.
type Instance struct {
	Namespace string // "" for an embedded instance
	class     *Class
	values    []any // by the place of the property in the class
}

// New makes an instance of the class with no value set.
func (c *Class) New(namespace string) *Instance {
	return &Instance{Namespace: namespace, class: c, values: slices.Clone(c.initial)}
}

// Class is the class that the instance was made from.
func (i *Instance) Class() *Class { return i.class }

// Set gives a property a value; nil is NULL. It panics when the class has no such
// property or the value is not of its type.
func (i *Instance) Set(name string, v any) {
	if err := i.Put(name, v); err != nil {
		panic(fmt.Sprintf("%s.%s: %v", i.class.Name, name, err))
	}
}

// Put gives a property a value, or returns [NoSuchProperty] or [TypeMismatch].
func (i *Instance) Put(name string, v any) error {
	n := i.class.at(name)
	if n < 0 {
		return Errorf(NoSuchProperty, "%s has no property %s", i.class.Name, name)
	}
	x, err := Convert(v, i.class.Properties[n].Kind)
	if err != nil {
		return Errorf(TypeMismatch, "%s.%s: %v", i.class.Name, i.class.Properties[n].Name, err)
	}
	i.values[n] = x
	return nil
}

// Unset takes back what was set.
func (i *Instance) Unset(name string) {
	if n := i.class.at(name); n >= 0 {
		i.values[n] = unset{}
	}
}

// Get is the value of a property: what was set, or the default of the class. It is nil
// for NULL and for a property that the class does not have.
func (i *Instance) Get(name string) any {
	if n := i.class.at(name); n >= 0 {
		return i.At(n)
	}
	return nil
}

// At is the value of the property at a place of the class's Properties.
func (i *Instance) At(n int) any {
	if !i.hasAt(n) {
		return i.class.Properties[n].Default
	}
	return i.values[n]
}

// Has reports whether somebody has given the property a value, or NULL.
func (i *Instance) Has(name string) bool {
	n := i.class.at(name)
	return n >= 0 && i.hasAt(n)
}

func (i *Instance) hasAt(n int) bool {
	_, none := i.values[n].(unset)
	return !none
}

// Given lists the properties that have been set, in the order of the class.
func (i *Instance) Given() []*Property {
	var out []*Property
	for n, p := range i.class.Properties {
		if i.hasAt(n) {
			out = append(out, p)
		}
	}
	return out
}

// Text is the value of a string property; "" for NULL.
func (i *Instance) Text(name string) string {
	s, _ := i.Get(name).(string)
	return s
}

// Texts is the value of an array of strings, with "" for NULL elements.
func (i *Instance) Texts(name string) []string {
	a, _ := i.Get(name).([]any)
	var out []string
	for _, e := range a {
		s, _ := e.(string)
		out = append(out, s)
	}
	return out
}

// Path is the path of the instance, from its keys.
func (i *Instance) Path() *Path {
	p := &Path{Namespace: i.Namespace, Class: i.class.Name, Keys: make([]KeyValue, len(i.class.keys))}
	for n, at := range i.class.keys {
		p.Keys[n] = KeyValue{Name: i.class.Properties[at].Name, Value: i.At(at)}
	}
	return p
}

// KeyValue is one key of a path.
type KeyValue struct {
	Name  string
	Value any
}

// Path is the path of an instance, or, without keys, of a class (DSP0004, 8.2).
type Path struct {
	Host      string // "" nearly always
	Namespace string // without slashes at its ends
	Class     string
	Keys      []KeyValue
}

// NewPath makes a path; keys are names and values by turns.
//
//	object.NewPath("root/cimv2", "Belay_Node", "CreationClassName", "Belay_Node", "Name", "n1")
func NewPath(namespace, class string, keys ...any) *Path {
	p := &Path{Namespace: namespace, Class: class}
	for n := 0; n+1 < len(keys); n += 2 {
		name, _ := keys[n].(string)
		p.Keys = append(p.Keys, KeyValue{Name: name, Value: keys[n+1]})
	}
	return p
}

// Get is the value of a key; nil where there is none.
func (p *Path) Get(name string) any {
	for n := range p.Keys {
		if Same(p.Keys[n].Name, name) {
			return p.Keys[n].Value
		}
	}
	return nil
}

// Text is the value of a key that is a string; "" otherwise.
func (p *Path) Text(name string) string {
	s, _ := p.Get(name).(string)
	return s
}

// Key is the text by which paths are equal: names folded, keys in the order of their
// names, the host left out. Paths whose keys have other types are not equal.
func (p *Path) Key() string {
	keys := make([]string, len(p.Keys))
	for n := range p.Keys {
		keys[n] = keyText(Fold(p.Keys[n].Name), p.Keys[n].Value, true)
	}
	slices.Sort(keys)
	return Fold(p.Namespace) + ":" + Fold(p.Class) + "." + strings.Join(keys, ",")
}

// Equal reports whether two paths are of the same object.
func (p *Path) Equal(o *Path) bool { return p.Key() == o.Key() }

// String is the path in the form of DSP0004, 8.2.5, with the keys in the order in
// which they stand.
func (p *Path) String() string {
	var b strings.Builder
	if p.Host != "" {
		b.WriteString("//" + p.Host + "/")
	}
	if p.Namespace != "" {
		b.WriteString(p.Namespace + ":")
	}
	b.WriteString(p.Class)
	for n := range p.Keys {
		b.WriteByte(".,"[min(n, 1)])
		b.WriteString(keyText(p.Keys[n].Name, p.Keys[n].Value, false))
	}
	return b.String()
}

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func keyText(name string, v any, canonical bool) string {
	switch v := v.(type) {
	case *Path:
		if canonical {
			return name + `="` + quoting.Replace(v.Key()) + `"`
		}
		return name + `="` + quoting.Replace(v.String()) + `"`
	case string, DateTime:
		return name + `="` + quoting.Replace(Text(v)) + `"`
	case Char16:
		return name + "='" + string(rune(v)) + "'"
	}
	return name + "=" + Text(v)
}
