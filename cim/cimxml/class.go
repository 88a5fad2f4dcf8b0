package cimxml

import (
	"slices"
	"strings"

	"github.com/belay-ha/belay/cim/object"
)

func cut(s string) (part, rest string, more bool) { return strings.Cut(s, "/") }

// Class writes CLASS.
func (w *Writer) Class(c *object.Class, v View) {
	w.full()
	w.raw("<CLASS")
	w.attr("NAME", c.Name)
	if s := c.SuperName(); s != "" {
		w.attr("SUPERCLASS", s)
	}
	w.raw(">")
	if v.Qualifiers {
		w.qualifiers(c.Qualifiers, v.Local)
	}
	for n, p := range c.Properties {
		if v.Listed && !slices.Contains(v.Properties, n) || v.Local && p.Propagated {
			continue
		}
		w.property(p, p.Default, v, true)
	}
	for _, m := range c.Methods {
		if !v.Local || !m.Propagated {
			w.method(m, v)
		}
	}
	w.end("CLASS")
}

func (w *Writer) method(m *object.Method, v View) {
	w.raw("<METHOD")
	w.attr("NAME", m.Name)
	w.attr("TYPE", m.Return.Type.String())
	if v.Origin {
		w.attr("CLASSORIGIN", m.Origin)
	}
	if m.Propagated {
		w.raw(` PROPAGATED="true"`)
	}
	w.raw(">")
	if v.Qualifiers {
		w.qualifiers(m.Qualifiers, v.Local)
	}
	for _, p := range m.Parameters {
		w.parameter(p, v)
	}
	w.end("METHOD")
}

func (w *Writer) parameter(p *object.Parameter, v View) {
	element := "PARAMETER"
	switch {
	case p.Kind.Type == object.Reference && p.Kind.Array:
		element = "PARAMETER.REFARRAY"
	case p.Kind.Type == object.Reference:
		element = "PARAMETER.REFERENCE"
	case p.Kind.Array:
		element = "PARAMETER.ARRAY"
	}
	w.raw("<")
	w.raw(element)
	w.attr("NAME", p.Name)
	if p.Kind.Type == object.Reference {
		w.attr("REFERENCECLASS", p.Kind.RefClass)
	} else {
		w.attr("TYPE", p.Kind.Type.String())
	}
	if p.Kind.Size > 0 {
		w.number("ARRAYSIZE", p.Kind.Size)
	}
	w.raw(">")
	if v.Qualifiers {
		w.qualifiers(p.Qualifiers, false)
	}
	w.end(element)
}

func (w *Writer) qualifiers(list object.Qualifiers, local bool) {
	for i := range list {
		q := &list[i]
		if local && q.Propagated {
			continue
		}
		w.raw("<QUALIFIER")
		w.attr("NAME", q.Name)
		w.attr("TYPE", q.Type.String())
		if q.Propagated {
			w.raw(` PROPAGATED="true"`)
		}
		w.flavor(q.Flavor)
		w.raw(">")
		w.Value(q.Value)
		w.end("QUALIFIER")
	}
}

// flavor writes what differs from the defaults of the DTD.
func (w *Writer) flavor(f object.Flavor) {
	if !f.Overridable {
		w.raw(` OVERRIDABLE="false"`)
	}
	if !f.ToSubclass {
		w.raw(` TOSUBCLASS="false"`)
	}
	if f.Translatable {
		w.raw(` TRANSLATABLE="true"`)
	}
}

// ClassParam is an output parameter that is a class.
func (w *Writer) ClassParam(name string, c *object.Class, v View) {
	w.raw("<PARAMVALUE")
	w.attr("NAME", name)
	w.raw(">")
	w.Class(c, v)
	w.end("PARAMVALUE")
}

// Qualifier writes QUALIFIER.DECLARATION.
func (w *Writer) Qualifier(q *object.QualifierType) {
	w.full()
	w.raw("<QUALIFIER.DECLARATION")
	w.attr("NAME", q.Name)
	w.attr("TYPE", q.Type.String())
	if q.Array {
		w.raw(` ISARRAY="true"`)
	} else {
		w.raw(` ISARRAY="false"`)
	}
	w.flavor(q.Flavor)
	w.raw("><SCOPE")
	for _, s := range []string{"class", "association", "reference", "property", "method", "parameter", "indication"} {
		if slices.Contains(q.Scopes, s) || slices.Contains(q.Scopes, "any") {
			w.attr(strings.ToUpper(s), "true")
		}
	}
	w.raw("/>")
	w.Value(q.Default)
	w.end("QUALIFIER.DECLARATION")
}
