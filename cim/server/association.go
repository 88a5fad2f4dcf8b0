package server

import (
	"iter"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
)

// search is what an association operation looks for.
type search struct {
	path             *object.Path // without keys: of a class
	class            *object.Class
	instance         bool
	assoc, result    *object.Class // nil: any
	role, resultRole string
}

// search reads the parameters; of is the one with the object, assoc and result those
// with the classes of the association and of what is at its other end.
func (c *call) search(of, assoc, result string) (*search, error) {
	v := c.value(of)
	if v == nil || v.Kind != cimxml.Reference {
		return nil, c.bad(of, "it must name an object")
	}
	s := &search{instance: v.Path.Instance}
	if of == "InstanceName" && !s.instance {
		return nil, c.bad(of, "it must name an instance")
	}
	var err error
	if s.path, s.class, err = c.bindPath(v.Path); err != nil {
		if object.AsError(err).Code == object.InvalidClass {
			err = object.Errorf(object.InvalidParameter, "%s", object.AsError(err).Text)
		}
		return nil, err
	}
	for name, into := range map[string]**object.Class{assoc: &s.assoc, result: &s.result} {
		if name == "" {
			continue
		}
		class, text, err := c.className(name)
		if err != nil {
			return nil, err
		}
		if text != "" && class == nil {
			return nil, c.bad(name, "there is no class %.100q", text)
		}
		*into = class
	}
	if s.assoc != nil && !s.assoc.Association {
		return nil, c.bad(assoc, "%s is no association", s.assoc.Name)
	}
	if s.role, err = c.text("Role"); err != nil {
		return nil, err
	}
	s.resultRole, err = c.text("ResultRole")
	return s, err
}

func (s *search) roleIs(p *object.Property) bool { return s.role == "" || object.Same(s.role, p.Name) }

func (s *search) resultRoleIs(p *object.Property) bool {
	return s.resultRole == "" || object.Same(s.resultRole, p.Name)
}

// links yields the associations that refer to the instance in its role.
func (c *call) links(s *search) iter.Seq2[*object.Instance, error] {
	return func(yield func(*object.Instance, error) bool) {
		if _, err := c.get(s.path); err != nil {
			yield(nil, err)
			return
		}
		for _, class := range c.schema.Classes {
			if !class.Association || class.Abstract || s.assoc != nil && !class.IsA(s.assoc.Name) || !c.touches(class, s) {
				continue
			}
			for i, err := range c.source.References(s.path, class) {
				if err != nil {
					if object.AsError(err).Code == object.AccessDenied {
						break
					}
					yield(nil, err)
					return
				}
				if err := c.ctx.Err(); err != nil {
					yield(nil, object.Errorf(object.Failed, "the request was given up"))
					return
				}
				if s.end(i) != nil && !yield(i, nil) {
					return
				}
			}
		}
	}
}

// touches reports whether a class of associations can refer to the object in its role.
func (c *call) touches(class *object.Class, s *search) bool {
	for _, p := range class.References() {
		if s.roleIs(p) && s.class.IsA(p.Kind.RefClass) {
			return true
		}
	}
	return false
}

// end is the property by which an association refers to the instance; nil where it does
// not, in the role that was asked for.
func (s *search) end(i *object.Instance) *object.Property {
	for _, p := range i.Class().References() {
		if v, ok := i.Get(p.Name).(*object.Path); ok && s.roleIs(p) && v.Equal(s.path) {
			return p
		}
	}
	return nil
}

// others yields what is at the other ends of the associations, each once.
func (c *call) others(s *search) iter.Seq2[*object.Instance, error] {
	return func(yield func(*object.Instance, error) bool) {
		seen := map[string]bool{}
		for link, err := range c.links(s) {
			if err != nil {
				yield(nil, err)
				return
			}
			mine := s.end(link)
			for _, p := range link.Class().References() {
				path, ok := link.Get(p.Name).(*object.Path)
				if !ok || p == mine || !s.resultRoleIs(p) || seen[path.Key()] || !c.isA(path, s.result) {
					continue
				}
				seen[path.Key()] = true
				i, err := c.source.Get(path)
				if err != nil {
					if code := object.AsError(err).Code; code == object.NotFound || code == object.AccessDenied {
						continue // it has gone, or is not for the caller
					}
					yield(nil, err)
					return
				}
				if !yield(i, nil) {
					return
				}
			}
		}
	}
}

// isA reports whether what a path names is of a class; nil is any.
func (c *call) isA(p *object.Path, class *object.Class) bool {
	if class == nil {
		return true
	}
	schema, err := c.server.schema(p.Namespace)
	if err != nil {
		return false
	}
	x := schema.Class(p.Class)
	return x != nil && x.IsA(class.Name)
}

func (c *call) associators() error {
	s, err := c.search("ObjectName", "AssocClass", "ResultClass")
	if err != nil {
		return err
	}
	if !s.instance {
		return c.showClasses(c.otherClasses(s))
	}
	return c.showObjects(c.others(s))
}

func (c *call) associatorNames() error {
	s, err := c.search("ObjectName", "AssocClass", "ResultClass")
	if err != nil {
		return err
	}
	if !s.instance {
		return c.showClassNames(c.otherClasses(s))
	}
	return c.showPaths(c.others(s))
}

func (c *call) references() error {
	s, err := c.search("ObjectName", "ResultClass", "")
	if err != nil {
		return err
	}
	if !s.instance {
		return c.showClasses(c.linkClasses(s))
	}
	return c.showObjects(c.links(s))
}

func (c *call) referenceNames() error {
	s, err := c.search("ObjectName", "ResultClass", "")
	if err != nil {
		return err
	}
	if !s.instance {
		return c.showClassNames(c.linkClasses(s))
	}
	return c.showPaths(c.links(s))
}

func (c *call) showObjects(list iter.Seq2[*object.Instance, error]) error {
	s, err := c.shape()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for i, err := range list {
		if err != nil {
			return err
		}
		c.out.ObjectWithPath(c.host, i, s.view(i.Class()))
	}
	c.out.EndReturnValue()
	return nil
}

func (c *call) showPaths(list iter.Seq2[*object.Instance, error]) error {
	c.out.ReturnValue()
	for i, err := range list {
		if err != nil {
			return err
		}
		c.out.ObjectPath(c.host, i.Path())
	}
	c.out.EndReturnValue()
	return nil
}

// linkClasses lists the association classes that a class can take part in.
func (c *call) linkClasses(s *search) []*object.Class {
	var out []*object.Class
	for _, class := range c.schema.Classes {
		if class.Association && (s.assoc == nil || class.IsA(s.assoc.Name)) && c.touches(class, s) {
			out = append(out, class)
		}
	}
	return out
}

// otherClasses lists the classes that association classes name at their other ends.
func (c *call) otherClasses(s *search) []*object.Class {
	seen := map[*object.Class]bool{}
	var out []*object.Class
	for _, link := range c.linkClasses(s) {
		refs := link.References()
		for _, mine := range refs {
			if !s.roleIs(mine) || !s.class.IsA(mine.Kind.RefClass) {
				continue
			}
			for _, p := range refs {
				class := c.schema.Class(p.Kind.RefClass)
				if p == mine || !s.resultRoleIs(p) || class == nil || seen[class] || s.result != nil && !class.IsA(s.result.Name) {
					continue
				}
				seen[class] = true
				out = append(out, class)
			}
		}
	}
	return out
}

func (c *call) showClasses(list []*object.Class) error {
	v, err := c.classView()
	if err != nil {
		return err
	}
	v.Local = false // there is no such parameter here
	if c.value("IncludeQualifiers") == nil {
		v.Qualifiers = false
	}
	names, listed, err := c.propertyList()
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for _, class := range list {
		c.out.ClassWithPath(c.host, c.schema.Namespace, class, listedView(v, class, names, listed))
	}
	c.out.EndReturnValue()
	return nil
}

func (c *call) showClassNames(list []*object.Class) error {
	c.out.ReturnValue()
	for _, class := range list {
		c.out.ClassObjectPath(c.host, c.schema.Namespace, class.Name)
	}
	c.out.EndReturnValue()
	return nil
}
