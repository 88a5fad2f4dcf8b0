package server

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
)

// call is one operation on its way.
type call struct {
	ctx    context.Context //nolint:containedctx // a call lives as long as its request
	server *Server
	who    Session
	req    *cimxml.Request
	out    *cimxml.Writer
	host   string

	schema *object.Schema
	source object.Source
}

// operation is an intrinsic operation: its parameters, and what carries it out.
type operation struct {
	params string
	do     func(*call) error
}

// Names of parameters that come together.
const (
	classFlags    = " LocalOnly IncludeQualifiers IncludeClassOrigin "
	instanceFlags = classFlags + "PropertyList "
	openFlags     = " FilterQueryLanguage FilterQuery OperationTimeout ContinueOnError MaxObjectCount "
	pullFlags     = " EnumerationContext MaxObjectCount "
)

// operations are the intrinsic operations of DSP0200, 5.3.2 and 5.4.24.
var operations map[string]operation

func init() {
	unsupported := func(*call) error {
		return object.Errorf(object.NotSupported, "the classes of this server do not change")
	}
	operations = map[string]operation{
		"GetClass":            {"ClassName" + instanceFlags, (*call).getClass},
		"EnumerateClasses":    {"ClassName DeepInheritance" + classFlags, (*call).enumerateClasses},
		"EnumerateClassNames": {"ClassName DeepInheritance", (*call).enumerateClassNames},
		"CreateClass":         {"NewClass", unsupported},
		"ModifyClass":         {"ModifiedClass", unsupported},
		"DeleteClass":         {"ClassName", unsupported},

		"GetInstance":            {"InstanceName" + instanceFlags, (*call).getInstance},
		"EnumerateInstances":     {"ClassName DeepInheritance" + instanceFlags, (*call).enumerateInstances},
		"EnumerateInstanceNames": {"ClassName", (*call).enumerateInstanceNames},
		"GetProperty":            {"InstanceName PropertyName", (*call).getProperty},
		"SetProperty":            {"InstanceName PropertyName NewValue", (*call).setProperty},
		"CreateInstance":         {"NewInstance", (*call).createInstance},
		"ModifyInstance":         {"ModifiedInstance IncludeQualifiers PropertyList", (*call).modifyInstance},
		"DeleteInstance":         {"InstanceName", (*call).deleteInstance},

		"Associators":     {"ObjectName AssocClass ResultClass Role ResultRole" + instanceFlags, (*call).associators},
		"AssociatorNames": {"ObjectName AssocClass ResultClass Role ResultRole", (*call).associatorNames},
		"References":      {"ObjectName ResultClass Role" + instanceFlags, (*call).references},
		"ReferenceNames":  {"ObjectName ResultClass Role", (*call).referenceNames},

		"GetQualifier":        {"QualifierName", (*call).getQualifier},
		"EnumerateQualifiers": {"", (*call).enumerateQualifiers},
		"SetQualifier":        {"QualifierDeclaration", unsupported},
		"DeleteQualifier":     {"QualifierName", unsupported},

		"ExecQuery":                  {"QueryLanguage Query", (*call).execQuery},
		"OpenEnumerateInstances":     {"ClassName DeepInheritance" + instanceFlags + openFlags, (*call).openEnumerateInstances},
		"OpenEnumerateInstancePaths": {"ClassName" + openFlags, (*call).openEnumerateInstancePaths},
		"OpenReferenceInstances":     {"InstanceName ResultClass Role" + instanceFlags + openFlags, (*call).openReferenceInstances},
		"OpenReferenceInstancePaths": {"InstanceName ResultClass Role" + openFlags, (*call).openReferenceInstancePaths},
		"OpenAssociatorInstances":    {"InstanceName AssocClass ResultClass Role ResultRole" + instanceFlags + openFlags, (*call).openAssociatorInstances},
		"OpenAssociatorInstancePaths": {
			"InstanceName AssocClass ResultClass Role ResultRole" + openFlags, (*call).openAssociatorInstancePaths,
		},
		"OpenQueryInstances":    {"FilterQuery FilterQueryLanguage ReturnQueryResultClass OperationTimeout ContinueOnError MaxObjectCount", (*call).openQueryInstances},
		"PullInstancesWithPath": {pullFlags, (*call).pullInstancesWithPath},
		"PullInstancePaths":     {pullFlags, (*call).pullInstancePaths},
		"PullInstances":         {pullFlags, (*call).pullInstances},
		"CloseEnumeration":      {"EnumerationContext", (*call).closeEnumeration},
	}
}

// run carries the operation out.
func (c *call) run() error {
	schema, err := c.server.schema(c.req.Namespace)
	if err != nil {
		return err
	}
	c.schema = schema
	if c.req.Intrinsic && strings.HasPrefix(c.req.Name, "Open") {
		c.ctx = context.WithoutCancel(c.ctx) // what is opened outlives its request
	}
	if c.source, err = c.who.Source(c.ctx); err != nil {
		return err
	}
	if !c.req.Intrinsic {
		return c.invoke()
	}
	op, ok := operations[c.req.Name]
	if !ok {
		return object.Errorf(object.NotSupported, "there is no operation %.60q", c.req.Name)
	}
	known := strings.Fields(op.params)
	for i := range c.req.Params {
		name := c.req.Params[i].Name
		if !slices.ContainsFunc(known, func(k string) bool { return object.Same(k, name) }) {
			return object.Errorf(object.InvalidParameter, "%s has no parameter %.60q", c.req.Name, name)
		}
	}
	return op.do(c)
}

// The parameters.

func (c *call) bad(name, format string, args ...any) error {
	return object.Errorf(object.InvalidParameter, name+": "+format, args...)
}

func (c *call) value(name string) *cimxml.Value {
	if p := c.req.Param(name); p != nil && p.Value.Kind != cimxml.Null {
		return p.Value
	}
	return nil
}

func (c *call) flag(name string, otherwise bool) (bool, error) {
	v := c.value(name)
	if v == nil {
		return otherwise, nil
	}
	x, err := object.Parse(v.Text, object.Boolean)
	b, ok := x.(bool)
	if err != nil || !ok || v.Kind != cimxml.Text {
		return false, c.bad(name, "it is no boolean")
	}
	return b, nil
}

func (c *call) number(name string) (n uint32, given bool, err error) {
	v := c.value(name)
	if v == nil {
		return 0, false, nil
	}
	x, err := object.Parse(v.Text, object.Uint32)
	n, ok := x.(uint32)
	if err != nil || !ok || v.Kind != cimxml.Text {
		return 0, true, c.bad(name, "it is no uint32")
	}
	return n, true, nil
}

func (c *call) text(name string) (string, error) {
	v := c.value(name)
	switch {
	case v == nil:
		return "", nil
	case v.Kind == cimxml.Text:
		return v.Text, nil
	}
	return "", c.bad(name, "it is no text")
}

// propertyList is the list, and whether there is one.
func (c *call) propertyList() (list []string, given bool, err error) {
	v := c.value("PropertyList")
	if v == nil {
		return nil, false, nil
	}
	if v.Kind == cimxml.Text { // some clients send one name without its array
		return []string{v.Text}, true, nil
	}
	if v.Kind != cimxml.Array {
		return nil, false, c.bad("PropertyList", "it is no array")
	}
	for _, e := range v.List {
		if e.Kind == cimxml.Text {
			list = append(list, e.Text)
		}
	}
	return list, true, nil
}

// className is the class that a parameter names; nil where it was left out.
func (c *call) className(name string) (*object.Class, string, error) {
	v := c.value(name)
	if v == nil {
		return nil, "", nil
	}
	class := v.Text
	if v.Kind == cimxml.Reference && !v.Path.Instance {
		class = v.Path.Class
	} else if v.Kind != cimxml.Text {
		return nil, "", c.bad(name, "it names no class")
	}
	return c.schema.Class(class), class, nil
}

// theClass is a class that must be named and must be there.
func (c *call) theClass(code object.Code) (*object.Class, error) {
	class, text, err := c.className("ClassName")
	switch {
	case err != nil:
		return nil, err
	case text == "":
		return nil, c.bad("ClassName", "it must be given")
	case class == nil:
		return nil, object.Errorf(code, "there is no class %.100q in %s", text, c.schema.Namespace)
	}
	return class, nil
}

// theInstance is the name of an instance that must be given, bound to its class.
func (c *call) theInstance() (*object.Path, error) {
	v := c.value("InstanceName")
	if v == nil || v.Kind != cimxml.Reference || !v.Path.Instance {
		return nil, c.bad("InstanceName", "it must name an instance")
	}
	p, _, err := c.bindPath(v.Path)
	return p, err
}

// stored is the instance that a parameter names, as it is there.
func (c *call) stored() (*object.Instance, error) {
	p, err := c.theInstance()
	if err != nil {
		return nil, err
	}
	return c.get(p)
}

// get asks the source for an instance.
func (c *call) get(p *object.Path) (*object.Instance, error) {
	i, err := c.source.Get(p)
	if err != nil {
		return nil, err
	}
	if i == nil || !i.Path().Equal(p) {
		return nil, object.Errorf(object.NotFound, "there is no %s", p)
	}
	return i, nil
}

// classes yields a class and those below it that can have instances.
func (c *call) classes(class *object.Class) iter.Seq[*object.Class] {
	return func(yield func(*object.Class) bool) {
		if !class.Abstract && !yield(class) {
			return
		}
		for _, sub := range c.schema.Subclasses(class, true) {
			if !sub.Abstract && !yield(sub) {
				return
			}
		}
	}
}

// instances yields the instances of a class and of those below it. A class that the
// caller may not see is an error where it was asked for by its name.
func (c *call) instances(class *object.Class) iter.Seq2[*object.Instance, error] {
	return func(yield func(*object.Instance, error) bool) {
		for sub := range c.classes(class) {
			if sub.Indication || len(sub.Keys()) == 0 {
				continue
			}
			for i, err := range c.source.Instances(c.schema.Namespace, sub) {
				if err != nil {
					if sub != class && object.AsError(err).Code == object.AccessDenied {
						break
					}
					yield(nil, err)
					return
				}
				if err := c.ctx.Err(); err != nil {
					yield(nil, object.Errorf(object.Failed, "the request was given up"))
					return
				}
				if !yield(i, nil) {
					return
				}
			}
		}
	}
}
