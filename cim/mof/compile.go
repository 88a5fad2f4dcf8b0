package mof

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/cim/object"
)

// defaultNamespace is where declarations go before the first #pragma namespace.
const defaultNamespace = "root/cimv2"

// Compile reads a file and all that it includes, and returns the schema of every
// namespace that something was declared for, by the namespace's name.
func Compile(files fs.FS, root string) ([]*object.Schema, error) {
	p := &parser{files: files, units: map[string]*unit{}, namespace: defaultNamespace}
	if err := p.file(root, position{}); err != nil {
		return nil, err
	}
	var out []*object.Schema
	var all error
	for _, namespace := range slices.Sorted(maps.Keys(p.units)) {
		u := p.units[namespace]
		if len(u.classes) == 0 && len(u.qualifiers) == 0 {
			continue
		}
		r := newResolver(u)
		classes := r.run()
		if len(r.errs) > 0 {
			all = errors.Join(all, fmt.Errorf("namespace %s: %w", namespace, errors.Join(r.errs...)))
			continue
		}
		out = append(out, object.NewSchema(namespace, classes, slices.Collect(maps.Values(r.types))))
	}
	return out, all
}

// errorsMax is how many errors of a namespace are told.
const errorsMax = 20

// resolver finds out what names mean, and what classes inherit.
type resolver struct {
	unit    *unit
	types   map[string]*object.QualifierType
	decls   map[string]*classDecl
	classes map[string]*object.Class
	under   map[string]bool // being resolved: a class that is met again is its own ancestor
	errs    []error
}

func newResolver(u *unit) *resolver {
	return &resolver{unit: u, types: map[string]*object.QualifierType{}, decls: map[string]*classDecl{}, classes: map[string]*object.Class{}, under: map[string]bool{}}
}

func (r *resolver) fail(at position, format string, args ...any) {
	if len(r.errs) < errorsMax {
		r.errs = append(r.errs, at.errorf(format, args...))
	}
}

func (r *resolver) run() []*object.Class {
	for _, q := range r.unit.qualifiers {
		r.declareQualifier(q)
	}
	for _, d := range r.unit.classes {
		if first := r.decls[object.Fold(d.name)]; first != nil {
			r.fail(d.at, "class %s is declared at %s:%d, too", d.name, first.at.file, first.at.line)
			continue
		}
		r.decls[object.Fold(d.name)] = d
	}
	var out []*object.Class
	for _, d := range r.unit.classes {
		if r.decls[object.Fold(d.name)] == d {
			if c := r.class(d); c != nil {
				out = append(out, c)
			}
		}
	}
	for _, d := range r.unit.classes {
		r.checkNames(d)
	}
	return out
}

// checkNames looks up the classes that a class talks about: they may be declared later.
func (r *resolver) checkNames(d *classDecl) {
	c := r.classes[object.Fold(d.name)]
	if c == nil || r.decls[object.Fold(d.name)] != d {
		return
	}
	one := func(f *featureDecl, k object.Kind) {
		if name := k.RefClass + k.Of; name != "" && r.decls[object.Fold(name)] == nil {
			r.fail(f.at, "%s.%s: there is no class %s", d.name, f.name, name)
		}
	}
	for i := range d.features {
		f := &d.features[i]
		if p := c.Property(f.name); p != nil && !f.method {
			one(f, p.Kind)
			if over := r.overridden(c, p.Name); over != nil && p.Kind.Type == object.Reference && over.Kind.Type == object.Reference && !r.isA(p.Kind.RefClass, over.Kind.RefClass) {
				r.fail(f.at, "%s.%s: class %s is no subclass of %s, which %s refers to", d.name, f.name, p.Kind.RefClass, over.Kind.RefClass, c.Super.Name)
			}
		}
		if m := c.Method(f.name); m != nil && f.method {
			for n := range f.parameters {
				if x := m.Parameter(f.parameters[n].name); x != nil {
					one(&f.parameters[n], x.Kind)
				}
			}
		}
	}
}

func (r *resolver) overridden(c *object.Class, name string) *object.Property {
	if c.Super == nil {
		return nil
	}
	return c.Super.Property(name)
}

func (r *resolver) isA(class, ancestor string) bool {
	c := r.classes[object.Fold(class)]
	return c == nil || c.IsA(ancestor) // a class that failed has told so
}

// class resolves a class after its superclass.
func (r *resolver) class(d *classDecl) *object.Class {
	key := object.Fold(d.name)
	if c, ok := r.classes[key]; ok {
		return c
	}
	r.classes[key] = nil // until it is known to be good
	var super *object.Class
	if d.super != "" {
		sd := r.decls[object.Fold(d.super)]
		switch {
		case sd == nil:
			r.fail(d.at, "class %s: there is no superclass %s", d.name, d.super)
			return nil
		case sd == d || r.under[object.Fold(d.super)]:
			r.fail(d.at, "class %s is its own ancestor", d.name)
			return nil
		}
		r.under[key] = true
		super = r.class(sd)
		delete(r.under, key)
		if super == nil {
			return nil
		}
	}
	c := object.Class{Name: d.name, Super: super}
	c.Qualifiers = r.qualifiers(d.qualifiers, classScopes(d), inheritedQualifiers(super), d.name)
	c.Association, c.Indication, c.Abstract = c.Qualifiers.Is("Association"), c.Qualifiers.Is("Indication"), c.Qualifiers.Is("Abstract")
	if super != nil {
		for _, p := range super.Properties {
			c.Properties = append(c.Properties, inheritProperty(p))
		}
		for _, m := range super.Methods {
			c.Methods = append(c.Methods, inheritMethod(m))
		}
	}
	seen := map[string]bool{}
	for i := range d.features {
		f := &d.features[i]
		if seen[object.Fold(f.name)] {
			r.fail(f.at, "%s.%s is declared twice", d.name, f.name)
			continue
		}
		seen[object.Fold(f.name)] = true
		if f.method {
			r.method(&c, d, f)
		} else {
			r.property(&c, d, f)
		}
	}
	r.checkClass(&c, d)
	out := object.NewClass(c)
	r.classes[key] = out
	return out
}

func (r *resolver) checkClass(c *object.Class, d *classDecl) {
	refs := 0
	for _, p := range c.Properties {
		if p.Kind.Type == object.Reference {
			refs++
		}
	}
	switch {
	case c.Association && c.Indication:
		r.fail(d.at, "class %s is both an association and an indication", d.name)
	case c.Association && refs < 2 && !c.Abstract:
		r.fail(d.at, "association %s has %d references; it needs two", d.name, refs)
	case !c.Association && refs > 0:
		r.fail(d.at, "class %s has references and is no association", d.name)
	case c.Super != nil && !c.Super.Abstract && c.Abstract:
		r.fail(d.at, "class %s is abstract, and its superclass %s is not", d.name, c.Super.Name)
	case c.Super != nil && c.Association != c.Super.Association && len(c.Super.Properties) > 0:
		r.fail(d.at, "class %s is an association and its superclass %s is not, or the other way round", d.name, c.Super.Name)
	}
}

func classScopes(d *classDecl) []string {
	scopes := []string{"class"}
	for i := range d.qualifiers {
		switch name := object.Fold(d.qualifiers[i].name); name {
		case "association", "indication":
			scopes = append(scopes, name)
		}
	}
	return scopes
}

func inheritedQualifiers(c *object.Class) object.Qualifiers {
	if c == nil {
		return nil
	}
	return c.Qualifiers
}

// propagate is what of an element's qualifiers holds in a subclass.
func propagate(q object.Qualifiers) object.Qualifiers {
	var out object.Qualifiers
	for i := range q {
		if q[i].Flavor.ToSubclass {
			x := q[i]
			x.Propagated = true
			out = append(out, x)
		}
	}
	return out
}

func inheritProperty(p *object.Property) *object.Property {
	c := *p
	c.Propagated, c.Qualifiers = true, propagate(p.Qualifiers)
	return &c
}

func inheritMethod(m *object.Method) *object.Method {
	c := *m
	c.Propagated, c.Qualifiers = true, propagate(m.Qualifiers)
	return &c
}

// property adds a property to a class, or overrides one that the class inherits.
func (r *resolver) property(c *object.Class, d *classDecl, f *featureDecl) {
	where := d.name + "." + f.name
	scope := "property"
	if f.ref {
		scope = "reference"
	}
	at := slices.IndexFunc(c.Properties, func(p *object.Property) bool { return object.Same(p.Name, f.name) })
	var inherited object.Qualifiers
	p := &object.Property{Name: f.name, Origin: d.name}
	if at >= 0 {
		old := c.Properties[at]
		p.Name, p.Origin, p.Default, inherited = old.Name, old.Origin, old.Default, old.Qualifiers
	}
	p.Qualifiers = r.qualifiers(f.qualifiers, []string{scope}, inherited, where)
	p.Kind = r.kind(f, p.Qualifiers, where)
	p.Key, p.Required, p.Writable = p.Qualifiers.Is("Key"), p.Qualifiers.Is("Required"), p.Qualifiers.Is("Write")
	if f.value != nil {
		p.Default = r.value(f.value, p.Kind, where)
	}
	r.checkValueMap(f.at, p.Qualifiers, p.Kind.Type, where)
	if at < 0 {
		if p.Key && c.Super != nil && len(c.Super.Keys()) > 0 {
			r.fail(f.at, "%s is a key, and the superclass has its keys already", where)
		}
		if o := p.Qualifiers.Text("Override"); o != "" {
			r.fail(f.at, "%s overrides %s, which the class does not inherit", where, o)
		}
		c.Properties = append(c.Properties, p)
		return
	}
	old := c.Properties[at]
	if !object.Same(p.Qualifiers.Text("Override"), p.Name) {
		r.fail(f.at, "%s is inherited; to declare it again it needs Override(%q)", where, p.Name)
	}
	if p.Kind.Type != old.Kind.Type || p.Kind.Array != old.Kind.Array {
		r.fail(f.at, "%s is %s, and %s in the superclass", where, kindText(p.Kind), kindText(old.Kind))
	}
	c.Properties[at] = p
}

func kindText(k object.Kind) string {
	if k.Array {
		return k.Type.String() + "[]"
	}
	return k.Type.String()
}

// method adds a method to a class, or overrides one that the class inherits.
func (r *resolver) method(c *object.Class, d *classDecl, f *featureDecl) {
	where := d.name + "." + f.name
	at := slices.IndexFunc(c.Methods, func(m *object.Method) bool { return object.Same(m.Name, f.name) })
	m := &object.Method{Name: f.name, Origin: d.name}
	var inherited object.Qualifiers
	if at >= 0 {
		m.Name, m.Origin, inherited = c.Methods[at].Name, c.Methods[at].Origin, c.Methods[at].Qualifiers
	}
	m.Qualifiers = r.qualifiers(f.qualifiers, []string{"method"}, inherited, where)
	m.Return = r.kind(f, m.Qualifiers, where)
	m.Static = m.Qualifiers.Is("Static")
	r.checkValueMap(f.at, m.Qualifiers, m.Return.Type, where)
	for i := range f.parameters {
		m.Parameters = append(m.Parameters, r.parameter(m, &f.parameters[i], where))
	}
	if at < 0 {
		c.Methods = append(c.Methods, m)
		return
	}
	old := c.Methods[at]
	if !object.Same(m.Qualifiers.Text("Override"), m.Name) {
		r.fail(f.at, "%s is inherited; to declare it again it needs Override(%q)", where, m.Name)
	}
	same := m.Return.Type == old.Return.Type && len(m.Parameters) >= len(old.Parameters)
	for i := 0; same && i < len(old.Parameters); i++ {
		a, b := old.Parameters[i], m.Parameters[i]
		same = object.Same(a.Name, b.Name) && a.Kind.Type == b.Kind.Type && a.Kind.Array == b.Kind.Array && a.In == b.In && a.Out == b.Out
	}
	if !same {
		r.fail(f.at, "%s has not the parameters of the method that it overrides", where)
	}
	c.Methods[at] = m
}

func (r *resolver) parameter(m *object.Method, f *featureDecl, where string) *object.Parameter {
	where += "(" + f.name + ")"
	if m.Parameter(f.name) != nil {
		r.fail(f.at, "%s is declared twice", where)
	}
	x := &object.Parameter{Name: f.name}
	x.Qualifiers = r.qualifiers(f.qualifiers, []string{"parameter"}, nil, where)
	x.Kind = r.kind(f, x.Qualifiers, where)
	in := x.Qualifiers.Get("In")
	x.In, x.Out, x.Required = in == nil || in.Value == true, x.Qualifiers.Is("Out"), x.Qualifiers.Is("Required")
	if !x.In && !x.Out {
		r.fail(f.at, "%s is neither input nor output", where)
	}
	r.checkValueMap(f.at, x.Qualifiers, x.Kind.Type, where)
	return x
}

// kind is the type of a feature.
func (r *resolver) kind(f *featureDecl, q object.Qualifiers, where string) object.Kind {
	k := object.Kind{Array: f.array, Size: f.size}
	if f.ref {
		k.Type, k.RefClass = object.Reference, r.spelled(f.typeName)
		if f.array && !f.method && q.Get("Key") != nil {
			r.fail(f.at, "%s: an array is no key", where)
		}
		return k
	}
	t, ok := object.ParseType(f.typeName)
	if !ok || t == object.Reference {
		r.fail(f.at, "%s: there is no type %s", where, f.typeName)
		return k
	}
	k.Type = t
	if x := q.Get("EmbeddedInstance"); x != nil && x.Value != nil {
		k.Embedded = object.EmbeddedInstance
		name, _ := x.Value.(string)
		k.Of = r.spelled(name)
	}
	if q.Is("EmbeddedObject") {
		if k.Embedded != object.NotEmbedded {
			r.fail(f.at, "%s is both an embedded instance and an embedded object", where)
		}
		k.Embedded = object.EmbeddedObject
	}
	if k.Embedded != object.NotEmbedded && t != object.String {
		r.fail(f.at, "%s: what is embedded is a string, not %s", where, t)
	}
	return k
}

// spelled is the name of a class as it was declared.
func (r *resolver) spelled(name string) string {
	if d := r.decls[object.Fold(name)]; d != nil {
		return d.name
	}
	return name
}

// checkValueMap checks that ValueMap and Values go together and are of the type.
func (r *resolver) checkValueMap(at position, q object.Qualifiers, t object.Type, where string) {
	m, v := q.Get("ValueMap"), q.Get("Values")
	if m == nil {
		return
	}
	list, _ := m.Value.([]any)
	if v != nil {
		if texts, _ := v.Value.([]any); len(texts) != len(list) {
			r.fail(at, "%s has %d values in ValueMap and %d in Values", where, len(list), len(texts))
		}
	}
	if !t.Integer() {
		return
	}
	for _, x := range list {
		s, _ := x.(string)
		if strings.Contains(s, "..") { // a range: its ends may be left out
			low, high, _ := strings.Cut(s, "..")
			if r.isValue(low, t) && r.isValue(high, t) {
				continue
			}
		} else if s != "" && r.isValue(s, t) {
			continue
		}
		r.fail(at, "%s: %q in ValueMap is no %s", where, s, t)
	}
}

func (r *resolver) isValue(s string, t object.Type) bool {
	_, err := object.Parse(s, t)
	return s == "" || err == nil
}
