package cimxml

import (
	"github.com/belay-ha/belay/cim/object"
)

// View says what of an instance or a class is shown.
type View struct {
	Properties []int // places in the class's Properties; of a class they count with Listed
	Origin     bool  // CLASSORIGIN
	Qualifiers bool
	Local      bool // of a class: only what it declares or overrides itself
	Listed     bool // of a class: Properties says which properties are shown
}

// All shows every property and nothing more.
func All(c *object.Class) View {
	v := View{Properties: make([]int, len(c.Properties))}
	for i := range c.Properties {
		v.Properties[i] = i
	}
	return v
}

// embedMax bounds how deep instances are embedded in each other: text in text doubles
// its escapes each time.
const embedMax = 4

// Instance writes INSTANCE.
func (w *Writer) Instance(i *object.Instance, v View) {
	w.full()
	w.raw("<INSTANCE")
	w.attr("CLASSNAME", i.Class().Name)
	w.raw(">")
	if v.Qualifiers {
		w.qualifiers(i.Class().Qualifiers, false)
	}
	for _, n := range v.Properties {
		p := i.Class().Properties[n]
		w.property(p, i.At(n), v, false)
	}
	w.end("INSTANCE")
}

// NamedInstance writes VALUE.NAMEDINSTANCE.
func (w *Writer) NamedInstance(i *object.Instance, v View) {
	w.raw("<VALUE.NAMEDINSTANCE>")
	w.InstanceName(i.Path())
	w.Instance(i, v)
	w.end("VALUE.NAMEDINSTANCE")
}

// InstanceWithPath writes VALUE.INSTANCEWITHPATH.
func (w *Writer) InstanceWithPath(host string, i *object.Instance, v View) {
	w.raw("<VALUE.INSTANCEWITHPATH>")
	w.InstancePath(host, i.Path())
	w.Instance(i, v)
	w.end("VALUE.INSTANCEWITHPATH")
}

// ObjectWithPath writes VALUE.OBJECTWITHPATH of an instance.
func (w *Writer) ObjectWithPath(host string, i *object.Instance, v View) {
	w.raw("<VALUE.OBJECTWITHPATH>")
	w.InstancePath(host, i.Path())
	w.Instance(i, v)
	w.end("VALUE.OBJECTWITHPATH")
}

// ClassWithPath writes VALUE.OBJECTWITHPATH of a class.
func (w *Writer) ClassWithPath(host, namespace string, c *object.Class, v View) {
	w.raw("<VALUE.OBJECTWITHPATH>")
	w.ClassPath(host, namespace, c.Name)
	w.Class(c, v)
	w.end("VALUE.OBJECTWITHPATH")
}

// ObjectPath writes OBJECTPATH of an instance.
func (w *Writer) ObjectPath(host string, p *object.Path) {
	w.full()
	w.raw("<OBJECTPATH>")
	w.InstancePath(host, p)
	w.end("OBJECTPATH")
}

// ClassObjectPath writes OBJECTPATH of a class.
func (w *Writer) ClassObjectPath(host, namespace, class string) {
	w.full()
	w.raw("<OBJECTPATH>")
	w.ClassPath(host, namespace, class)
	w.end("OBJECTPATH")
}

// property writes a property of an instance or, with declaration, of a class.
func (w *Writer) property(p *object.Property, v any, view View, declaration bool) {
	element := "PROPERTY"
	switch {
	case p.Kind.Type == object.Reference:
		element = "PROPERTY.REFERENCE"
	case p.Kind.Array:
		element = "PROPERTY.ARRAY"
	}
	w.raw("<")
	w.raw(element)
	w.attr("NAME", p.Name)
	if p.Kind.Type == object.Reference {
		if declaration {
			w.attr("REFERENCECLASS", p.Kind.RefClass)
		}
	} else {
		w.attr("TYPE", p.Kind.Type.String())
	}
	if declaration && p.Kind.Size > 0 {
		w.number("ARRAYSIZE", p.Kind.Size)
	}
	if view.Origin {
		w.attr("CLASSORIGIN", p.Origin)
	}
	if declaration && p.Propagated {
		w.raw(` PROPAGATED="true"`)
	}
	w.embedded(p.Kind.Embedded)
	w.raw(">")
	if view.Qualifiers {
		w.qualifiers(p.Qualifiers, view.Local)
	}
	if v != nil {
		w.one(v)
	}
	w.end(element)
}

func (w *Writer) number(name string, n int) {
	w.attr(name, object.Text(uint64(n)))
}

// Value writes a value, and nothing for NULL.
func (w *Writer) Value(v any) {
	if v != nil {
		w.one(v)
	}
}

// one writes VALUE, VALUE.ARRAY, VALUE.REFERENCE or VALUE.REFARRAY.
func (w *Writer) one(v any) {
	switch v := v.(type) {
	case []any:
		element := "VALUE.ARRAY"
		if t, _ := object.TypeOf(v); t == object.Reference {
			element = "VALUE.REFARRAY"
		}
		w.raw("<")
		w.raw(element)
		w.raw(">")
		for _, e := range v {
			if e == nil {
				w.raw("<VALUE.NULL/>")
				continue
			}
			w.one(e)
		}
		w.end(element)
	case *object.Path:
		w.Reference(v)
	case *object.Instance:
		w.embed(func(in *Writer) { in.Instance(v, All(v.Class())) })
	case *object.Class:
		w.embed(func(in *Writer) { in.Class(v, View{Qualifiers: true}) })
	default:
		w.raw("<VALUE>")
		w.text(object.Text(v))
		w.end("VALUE")
	}
}

// embed writes an object as the text of a value.
func (w *Writer) embed(write func(*Writer)) {
	w.raw("<VALUE>")
	if w.depth < embedMax {
		in := &Writer{depth: w.depth + 1}
		write(in)
		w.text(string(in.buf))
	}
	w.end("VALUE")
}

// Reference writes VALUE.REFERENCE.
func (w *Writer) Reference(p *object.Path) {
	w.raw("<VALUE.REFERENCE>")
	switch {
	case p.Keys == nil && p.Namespace == "":
		w.ClassName(p.Class)
	case p.Keys == nil:
		w.raw("<LOCALCLASSPATH>")
		w.namespace(p.Namespace)
		w.ClassName(p.Class)
		w.end("LOCALCLASSPATH")
	case p.Namespace == "":
		w.InstanceName(p)
	case p.Host != "":
		w.InstancePath(p.Host, p)
	default:
		w.raw("<LOCALINSTANCEPATH>")
		w.namespace(p.Namespace)
		w.InstanceName(p)
		w.end("LOCALINSTANCEPATH")
	}
	w.end("VALUE.REFERENCE")
}

// InstanceName writes INSTANCENAME.
func (w *Writer) InstanceName(p *object.Path) {
	w.full()
	w.raw("<INSTANCENAME")
	w.attr("CLASSNAME", p.Class)
	w.raw(">")
	for i := range p.Keys {
		w.raw("<KEYBINDING")
		w.attr("NAME", p.Keys[i].Name)
		w.raw(">")
		switch v := p.Keys[i].Value.(type) {
		case *object.Path:
			w.Reference(v)
		case nil:
			w.raw(`<KEYVALUE VALUETYPE="string"></KEYVALUE>`)
		default:
			t, _ := object.TypeOf(v)
			w.raw("<KEYVALUE")
			switch {
			case t == object.Boolean:
				w.attr("VALUETYPE", "boolean")
			case t.Numeric():
				w.attr("VALUETYPE", "numeric")
			default:
				w.attr("VALUETYPE", "string")
			}
			w.raw(">")
			w.text(object.Text(v))
			w.end("KEYVALUE")
		}
		w.end("KEYBINDING")
	}
	w.end("INSTANCENAME")
}

// InstancePath writes INSTANCEPATH.
func (w *Writer) InstancePath(host string, p *object.Path) {
	w.full()
	w.raw("<INSTANCEPATH>")
	w.namespacePath(host, p.Namespace)
	w.InstanceName(p)
	w.end("INSTANCEPATH")
}

// ClassPath writes CLASSPATH.
func (w *Writer) ClassPath(host, namespace, class string) {
	w.raw("<CLASSPATH>")
	w.namespacePath(host, namespace)
	w.ClassName(class)
	w.end("CLASSPATH")
}

// ClassName writes CLASSNAME.
func (w *Writer) ClassName(name string) {
	w.raw("<CLASSNAME")
	w.attr("NAME", name)
	w.raw("/>")
}

func (w *Writer) namespacePath(host, namespace string) {
	w.raw("<NAMESPACEPATH><HOST>")
	w.text(host)
	w.raw("</HOST>")
	w.namespace(namespace)
	w.end("NAMESPACEPATH")
}

func (w *Writer) namespace(name string) {
	w.raw("<LOCALNAMESPACEPATH>")
	for part, rest, more := cut(name); ; part, rest, more = cut(rest) {
		w.raw("<NAMESPACE")
		w.attr("NAME", part)
		w.raw("/>")
		if !more {
			break
		}
	}
	w.end("LOCALNAMESPACEPATH")
}
