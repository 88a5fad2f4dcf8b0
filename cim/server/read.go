package server

import (
	"slices"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
)

// shape says what of instances is shown: the parameters that operations share.
type shape struct {
	origin     bool
	qualifiers bool
	listed     bool
	list       []string
	only       *object.Class // without DeepInheritance: the class whose properties are shown
	local      bool          // only what base, or a class below it, declares or overrides
	base       *object.Class // nil: the class of the instance
	views      map[*object.Class]cimxml.View
}

// shape reads the parameters. LocalOnly is deprecated for instances, because a client
// that does not give it would not get what superclasses declare (DSP0200 1.4, 5.3.2.2):
// so it holds for who gives it.
func (c *call) shape() (*shape, error) {
	s := &shape{views: map[*object.Class]cimxml.View{}}
	var err error
	if s.local, err = c.flag("LocalOnly", false); err != nil {
		return nil, err
	}
	if s.qualifiers, err = c.flag("IncludeQualifiers", false); err != nil {
		return nil, err
	}
	if s.origin, err = c.flag("IncludeClassOrigin", false); err != nil {
		return nil, err
	}
	s.list, s.listed, err = c.propertyList()
	return s, err
}

// view is what is shown of the instances of one class. Names in the list that the class
// does not have are ignored (DSP0200, 5.3.2.2).
func (s *shape) view(class *object.Class) cimxml.View {
	if v, ok := s.views[class]; ok {
		return v
	}
	v := cimxml.View{Origin: s.origin, Qualifiers: s.qualifiers, Properties: []int{}}
	for n, p := range class.Properties {
		if s.listed && !slices.ContainsFunc(s.list, func(name string) bool { return object.Same(name, p.Name) }) ||
			s.only != nil && s.only.Property(p.Name) == nil ||
			s.local && !declares(class, s.base, p.Name) {
			continue
		}
		v.Properties = append(v.Properties, n)
	}
	s.views[class] = v
	return v
}

// declares reports whether a class, or one between it and base, declares a property
// itself. Without a base it is the class alone.
func declares(class, base *object.Class, property string) bool {
	for c := class; c != nil; c = c.Super {
		if p := c.Property(property); p != nil && !p.Propagated {
			return true
		}
		if base == nil || c == base {
			break
		}
	}
	return false
}

func (c *call) getInstance() error {
	s, err := c.shape()
	if err != nil {
		return err
	}
	i, err := c.stored()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	c.out.Instance(i, s.view(i.Class()))
	c.out.EndReturnValue()
	return nil
}

func (c *call) enumerateInstances() error {
	class, s, err := c.enumeration()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for i, err := range c.instances(class) {
		if err != nil {
			return err
		}
		c.out.NamedInstance(i, s.view(i.Class()))
	}
	c.out.EndReturnValue()
	return nil
}

// enumeration reads the parameters of EnumerateInstances.
func (c *call) enumeration() (*object.Class, *shape, error) {
	class, err := c.theClass(object.InvalidClass)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	s.base = class
	deep, err := c.flag("DeepInheritance", true)
	if !deep {
		s.only = class
	}
	return class, s, err
}

func (c *call) enumerateInstanceNames() error {
	class, err := c.theClass(object.InvalidClass)
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for i, err := range c.instances(class) {
		if err != nil {
			return err
		}
		c.out.InstanceName(i.Path())
	}
	c.out.EndReturnValue()
	return nil
}

func (c *call) getProperty() error {
	i, err := c.stored()
	if err != nil {
		return err
	}
	p, err := c.theProperty(i.Class())
	if err != nil {
		return err
	}
	if v := i.Get(p.Name); v != nil {
		c.out.ReturnValue()
		c.out.Value(v)
		c.out.EndReturnValue()
	}
	return nil
}

func (c *call) theProperty(class *object.Class) (*object.Property, error) {
	name, err := c.text("PropertyName")
	switch {
	case err != nil:
		return nil, err
	case name == "":
		return nil, c.bad("PropertyName", "it must be given")
	}
	p := class.Property(name)
	if p == nil {
		return nil, object.Errorf(object.NoSuchProperty, "%s has no property %.100q", class.Name, name)
	}
	return p, nil
}

// classView reads the parameters of operations that show classes.
func (c *call) classView() (v cimxml.View, err error) {
	if v.Local, err = c.flag("LocalOnly", true); err != nil {
		return v, err
	}
	if v.Qualifiers, err = c.flag("IncludeQualifiers", true); err != nil {
		return v, err
	}
	v.Origin, err = c.flag("IncludeClassOrigin", false)
	return v, err
}

func (c *call) getClass() error {
	class, err := c.theClass(object.NotFound)
	if err != nil {
		return err
	}
	v, err := c.classView()
	if err != nil {
		return err
	}
	list, listed, err := c.propertyList()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	c.out.Class(class, listedView(v, class, list, listed))
	c.out.EndReturnValue()
	return nil
}

// listedView narrows the view of a class to a list of properties.
func listedView(v cimxml.View, class *object.Class, list []string, listed bool) cimxml.View {
	if !listed {
		return v
	}
	v.Listed = true
	for n, p := range class.Properties {
		if slices.ContainsFunc(list, func(name string) bool { return object.Same(name, p.Name) }) {
			v.Properties = append(v.Properties, n)
		}
	}
	return v
}

// below lists the classes that an enumeration of classes is about.
func (c *call) below() ([]*object.Class, error) {
	class, name, err := c.className("ClassName")
	if err != nil {
		return nil, err
	}
	if name != "" && class == nil {
		return nil, object.Errorf(object.InvalidClass, "there is no class %.100q in %s", name, c.schema.Namespace)
	}
	deep, err := c.flag("DeepInheritance", false)
	return c.schema.Subclasses(class, deep), err
}

func (c *call) enumerateClasses() error {
	list, err := c.below()
	if err != nil {
		return err
	}
	v, err := c.classView()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for _, class := range list {
		c.out.Class(class, v)
	}
	c.out.EndReturnValue()
	return nil
}

func (c *call) enumerateClassNames() error {
	list, err := c.below()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for _, class := range list {
		c.out.ClassName(class.Name)
	}
	c.out.EndReturnValue()
	return nil
}

func (c *call) getQualifier() error {
	name, err := c.text("QualifierName")
	if err != nil {
		return err
	}
	q := c.schema.Qualifier(name)
	if q == nil {
		return object.Errorf(object.NotFound, "there is no qualifier %.100q", name)
	}
	c.out.ReturnValue()
	c.out.Qualifier(q)
	c.out.EndReturnValue()
	return nil
}

func (c *call) enumerateQualifiers() error {
	c.out.ReturnValue()
	for _, q := range c.schema.Qualifiers {
		c.out.Qualifier(q)
	}
	c.out.EndReturnValue()
	return nil
}
