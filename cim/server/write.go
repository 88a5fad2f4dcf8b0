package server

import (
	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
)

func (c *call) createInstance() error {
	v := c.value("NewInstance")
	if v == nil || v.Kind != cimxml.Object {
		return c.bad("NewInstance", "it must be an instance")
	}
	i, err := c.bindInstance(v.Instance, c.schema.Namespace)
	if err != nil {
		return err
	}
	if i.Class().Abstract || i.Class().Indication || len(i.Class().Keys()) == 0 {
		return object.Errorf(object.NotSupported, "%s has no instances of its own", i.Class().Name)
	}
	p, err := c.who.Create(c.ctx, i)
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	c.out.InstanceName(p)
	c.out.EndReturnValue()
	return nil
}

func (c *call) modifyInstance() error {
	v := c.value("ModifiedInstance")
	if v == nil || v.Kind != cimxml.Object || v.Path == nil {
		return c.bad("ModifiedInstance", "it must be an instance with its name")
	}
	path, class, err := c.bindPath(v.Path)
	if err != nil {
		return err
	}
	given, err := c.bindInstance(v.Instance, path.Namespace)
	if err != nil {
		return err
	}
	if given.Class() != class {
		return c.bad("ModifiedInstance", "its name is of %s, and it is of %s", class.Name, given.Class().Name)
	}
	list, listed, err := c.propertyList()
	if err != nil {
		return err
	}
	stored, err := c.get(path)
	if err != nil {
		return err
	}
	props := given.Given()
	if listed {
		props = nil
		for _, name := range list {
			p := class.Property(name)
			if p == nil {
				return object.Errorf(object.NoSuchProperty, "%s has no property %.100q", class.Name, name)
			}
			props = append(props, p)
		}
	}
	return c.modify(stored, given, props, listed)
}

// modify hands on the properties that can be written (DSP0200, 5.3.2.6). Clients read an
// instance, change a property, and send all of it: what can't be written and is not listed
// may be as it was then, where something that can be written is another than now. Where
// nothing is, the client means what can't be written, and is refused.
func (c *call) modify(stored, given *object.Instance, props []*object.Property, listed bool) error {
	class := stored.Class()
	out := class.New(stored.Namespace)
	for _, k := range class.Keys() {
		if err := out.Put(k.Name, stored.Get(k.Name)); err != nil {
			return err
		}
	}
	changes, differ := 0, false
	var refused error
	for _, p := range props {
		v := given.Get(p.Name)
		other := !same(v, stored.Get(p.Name))
		if p.Key || !p.Writable {
			if !other {
				continue
			}
			refused = object.Errorf(object.NotSupported, "%s.%s can't be written", class.Name, p.Name)
			if p.Key || listed {
				return refused
			}
			continue
		}
		differ = differ || other
		if v == nil && p.Required {
			return object.Errorf(object.InvalidParameter, "%s.%s must have a value", class.Name, p.Name)
		}
		if err := out.Put(p.Name, v); err != nil {
			return err
		}
		changes++
	}
	if refused != nil && !differ {
		return refused
	}
	if changes == 0 {
		return nil
	}
	return c.who.Modify(c.ctx, out)
}

// same reports whether two values of the same kind are equal.
func same(a, b any) bool {
	switch x := a.(type) {
	case *object.Path:
		y, ok := b.(*object.Path)
		return ok && x.Equal(y)
	case *object.Instance:
		y, ok := b.(*object.Instance)
		if !ok || x.Class() != y.Class() {
			return false
		}
		for n := range x.Class().Properties {
			if !same(x.At(n), y.At(n)) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for n := range x {
			if !same(x[n], y[n]) {
				return false
			}
		}
		return true
	}
	if _, array := b.([]any); array {
		return false
	}
	return a == b
}

func (c *call) setProperty() error {
	stored, err := c.stored()
	if err != nil {
		return err
	}
	p, err := c.theProperty(stored.Class())
	if err != nil {
		return err
	}
	v := &cimxml.Value{Kind: cimxml.Null}
	if x := c.value("NewValue"); x != nil {
		v = x
	}
	value, err := c.bindValue(v, p.Kind, p.Name)
	if err != nil {
		return err
	}
	given := stored.Class().New(stored.Namespace)
	if err := given.Put(p.Name, value); err != nil {
		return err
	}
	return c.modify(stored, given, []*object.Property{p}, true)
}

func (c *call) deleteInstance() error {
	i, err := c.stored()
	if err != nil {
		return err
	}
	return c.who.Delete(c.ctx, i.Path())
}

// invoke calls a method of an instance or of a class.
func (c *call) invoke() error {
	path, class, err := c.bindPath(c.req.Target)
	if err != nil {
		return err
	}
	m := class.Method(c.req.Name)
	if m == nil {
		return object.Errorf(object.MethodNotFound, "%s has no method %.100q", class.Name, c.req.Name)
	}
	if c.req.Target.Instance {
		if _, err := c.get(path); err != nil {
			return err
		}
	} else if !m.Static {
		return object.Errorf(object.InvalidParameter, "%s.%s is called on an instance", class.Name, m.Name)
	}
	in, err := c.arguments(m)
	if err != nil {
		return err
	}
	r, err := c.who.Invoke(c.ctx, &object.Call{Path: path, Class: class, Method: m, In: in})
	if err != nil {
		return err
	}
	c.out.Result(m, r)
	return nil
}

// arguments gives the parameters of a method their types.
func (c *call) arguments(m *object.Method) (object.Arguments, error) {
	var out object.Arguments
	for i := range c.req.Params {
		raw := &c.req.Params[i]
		p := m.Parameter(raw.Name)
		if p == nil || !p.In {
			return nil, object.Errorf(object.InvalidParameter, "%s has no input parameter %.100q", m.Name, raw.Name)
		}
		v, err := c.bindValue(raw.Value, p.Kind, p.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, object.Argument{Parameter: p, Value: v})
	}
	for _, p := range m.Parameters {
		if p.In && p.Required && out.Get(p.Name) == nil {
			return nil, object.Errorf(object.InvalidParameter, "%s needs the parameter %s", m.Name, p.Name)
		}
	}
	return out, nil
}
