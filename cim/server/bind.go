package server

import (
	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
)

// What a client wrote gets its types from the classes here.

// bindPath makes a path of the name of an instance: all keys of the class and no other,
// each with a value of its type.
func (c *call) bindPath(raw *cimxml.Path) (*object.Path, *object.Class, error) {
	schema := c.schema
	if raw.Namespace != "" {
		var err error
		if schema, err = c.server.schema(raw.Namespace); err != nil {
			return nil, nil, object.Errorf(object.InvalidParameter, "a path has the namespace %.100q, which is not there", raw.Namespace)
		}
	}
	class := schema.Class(raw.Class)
	if class == nil {
		return nil, nil, object.Errorf(object.InvalidClass, "there is no class %.100q in %s", raw.Class, schema.Namespace)
	}
	if !raw.Instance {
		return &object.Path{Namespace: schema.Namespace, Class: class.Name}, class, nil
	}
	keys := class.Keys()
	p := &object.Path{Namespace: schema.Namespace, Class: class.Name, Keys: make([]object.KeyValue, len(keys))}
	if len(raw.Keys) != len(keys) || len(keys) == 0 {
		return nil, nil, object.Errorf(object.InvalidParameter, "%s has %d keys, and the path has %d", class.Name, len(keys), len(raw.Keys))
	}
	for n, prop := range keys {
		k := findKey(raw.Keys, prop.Name)
		if k == nil {
			return nil, nil, object.Errorf(object.InvalidParameter, "the path has no key %s", prop.Name)
		}
		v, err := c.bindKey(prop, k)
		if err != nil {
			return nil, nil, err
		}
		p.Keys[n] = object.KeyValue{Name: prop.Name, Value: v}
	}
	return p, class, nil
}

func findKey(keys []cimxml.Key, name string) *cimxml.Key {
	for i := range keys {
		if object.Same(keys[i].Name, name) || keys[i].Name == "" && len(keys) == 1 {
			return &keys[i]
		}
	}
	return nil
}

func (c *call) bindKey(p *object.Property, k *cimxml.Key) (any, error) {
	if (p.Kind.Type == object.Reference) != (k.Ref != nil) {
		return nil, object.Errorf(object.InvalidParameter, "the key %s is no %s", p.Name, p.Kind.Type)
	}
	if k.Ref != nil {
		path, class, err := c.bindPath(k.Ref)
		if err != nil {
			return nil, object.Errorf(object.InvalidParameter, "the key %s: %s", p.Name, object.AsError(err).Text)
		}
		if !class.IsA(p.Kind.RefClass) {
			return nil, object.Errorf(object.InvalidParameter, "the key %s refers to %s and not to %s", p.Name, class.Name, p.Kind.RefClass)
		}
		return path, nil
	}
	v, err := object.Parse(k.Text, p.Kind.Type)
	if err != nil {
		return nil, object.Errorf(object.InvalidParameter, "the key %s: %v", p.Name, err)
	}
	return v, nil
}

// bindValue makes a value of a kind. Its errors have [object.TypeMismatch].
func (c *call) bindValue(v *cimxml.Value, k object.Kind, what string) (any, error) {
	bad := func(err error) (any, error) { return nil, object.Errorf(object.TypeMismatch, "%s: %v", what, err) }
	mismatch := object.Errorf(object.TypeMismatch, "%s is no %s", what, kindText(k))
	switch {
	case v.Kind == cimxml.Null:
		return nil, nil
	case k.Array:
		if v.Kind != cimxml.Array {
			return nil, mismatch
		}
		element := k
		element.Array, element.Size = false, 0
		out := make([]any, len(v.List))
		for i, e := range v.List {
			var err error
			if out[i], err = c.bindValue(e, element, what); err != nil {
				return nil, err
			}
		}
		x, err := object.Convert(out, k)
		if err != nil {
			return bad(err)
		}
		return x, nil
	case k.Type == object.Reference:
		if v.Kind != cimxml.Reference {
			return nil, mismatch
		}
		p, class, err := c.bindPath(v.Path)
		if err != nil {
			return nil, err
		}
		if !class.IsA(k.RefClass) {
			return bad(object.Errorf(object.TypeMismatch, "%s is no %s", class.Name, k.RefClass))
		}
		return p, nil
	case k.Embedded != object.NotEmbedded:
		return c.bindEmbedded(v, k, what)
	case v.Kind != cimxml.Text:
		return nil, mismatch
	}
	x, err := object.Parse(v.Text, k.Type)
	if err != nil {
		return bad(err)
	}
	return x, nil
}

func kindText(k object.Kind) string {
	if k.Array {
		return "array of " + k.Type.String()
	}
	return k.Type.String()
}

// bindEmbedded makes an embedded instance or class of its text, or of the element that
// some clients send in its place.
func (c *call) bindEmbedded(v *cimxml.Value, k object.Kind, what string) (any, error) {
	if v.Kind == cimxml.Text {
		if v.Text == "" {
			return nil, nil
		}
		var err error
		if v, err = cimxml.Embedded(v.Text); err != nil {
			return nil, object.Errorf(object.InvalidParameter, "%s: %v", what, err)
		}
	}
	var x any
	switch v.Kind {
	case cimxml.Object:
		i, err := c.bindInstance(v.Instance, "")
		if err != nil {
			return nil, err
		}
		x = i
	case cimxml.Class:
		class := c.schema.Class(v.Text)
		if class == nil {
			return nil, object.Errorf(object.InvalidClass, "%s: there is no class %.100q", what, v.Text)
		}
		x = class
	default:
		return nil, object.Errorf(object.TypeMismatch, "%s is no embedded object", what)
	}
	x, err := object.Convert(x, k)
	if err != nil {
		return nil, object.Errorf(object.TypeMismatch, "%s: %v", what, err)
	}
	return x, nil
}

// bindInstance makes an instance of what a client wrote.
func (c *call) bindInstance(raw *cimxml.Instance, namespace string) (*object.Instance, error) {
	class := c.schema.Class(raw.Class)
	if class == nil {
		return nil, object.Errorf(object.InvalidClass, "there is no class %.100q in %s", raw.Class, c.schema.Namespace)
	}
	i := class.New(namespace)
	for n := range raw.Properties {
		p := &raw.Properties[n]
		prop := class.Property(p.Name)
		if prop == nil {
			return nil, object.Errorf(object.NoSuchProperty, "%s has no property %.100q", class.Name, p.Name)
		}
		if t, ok := object.ParseType(p.Type); !ok || t != prop.Kind.Type || p.Array != prop.Kind.Array {
			return nil, object.Errorf(object.TypeMismatch, "%s.%s is %s", class.Name, prop.Name, kindText(prop.Kind))
		}
		if i.Has(prop.Name) {
			return nil, object.Errorf(object.InvalidParameter, "the property %s is there twice", prop.Name)
		}
		v, err := c.bindValue(p.Value, prop.Kind, class.Name+"."+prop.Name)
		if err != nil {
			return nil, err
		}
		if err := i.Put(prop.Name, v); err != nil {
			return nil, err
		}
	}
	return i, nil
}
