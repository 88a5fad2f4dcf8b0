package cimxml

import (
	"slices"
	"strings"
)

// ValueKind says what a [Value] is.
type ValueKind uint8

// What a value may be.
const (
	Text      ValueKind = iota // VALUE
	Null                       // VALUE.NULL, or nothing at all
	Array                      // VALUE.ARRAY or VALUE.REFARRAY
	Reference                  // VALUE.REFERENCE, INSTANCENAME, CLASSNAME
	Object                     // INSTANCE, or VALUE.NAMEDINSTANCE with a path
	Class                      // CLASS, which is not looked at
)

// Value is a value whose type the class will tell.
type Value struct {
	Kind     ValueKind
	Text     string
	List     []*Value
	Path     *Path
	Instance *Instance
}

// Path is the name of an instance or of a class as a client wrote it.
type Path struct {
	Host      string
	Namespace string // "" where it was left out
	Class     string
	Instance  bool // it is the name of an instance, be it without keys
	Keys      []Key
}

// Key is one key of a path.
type Key struct {
	Name string // "" where it was left out, because there is but one
	Type string // of the value, as far as it was said: a CIM type, or "numeric"
	Text string
	Ref  *Path
}

// Instance is an instance as a client wrote it.
type Instance struct {
	Class      string
	Properties []Property
}

// Property is a property as a client wrote it.
type Property struct {
	Name  string
	Type  string // "reference" of one
	Array bool
	Value *Value
}

// Param is a parameter as a client wrote it.
type Param struct {
	Name  string
	Type  string // of an extrinsic method, as far as it was said
	Value *Value
}

var null = &Value{Kind: Null}

// values decodes what may be the value of a parameter or property.
func value(parent, n *node) (*Value, error) {
	switch n.name {
	case "VALUE":
		if len(n.children) > 0 {
			// Embedded objects are text; some clients forget to escape it.
			return nil, n.unexpected(n.children[0])
		}
		return &Value{Kind: Text, Text: n.text}, nil
	case "VALUE.NULL":
		return null, nil
	case "VALUE.ARRAY", "VALUE.REFARRAY":
		out, element := &Value{Kind: Array}, "VALUE"
		if n.name == "VALUE.REFARRAY" {
			element = "VALUE.REFERENCE"
		}
		for _, c := range n.children {
			if c.name != element && c.name != "VALUE.NULL" {
				return nil, n.unexpected(c)
			}
			v, err := value(n, c)
			if err != nil {
				return nil, err
			}
			out.List = append(out.List, v)
		}
		return out, nil
	case "VALUE.REFERENCE", "CLASSNAME", "INSTANCENAME":
		p, err := path(n)
		return &Value{Kind: Reference, Path: p}, err
	case "INSTANCE":
		i, err := instance(n)
		return &Value{Kind: Object, Instance: i}, err
	case "VALUE.NAMEDINSTANCE":
		if len(n.children) != 2 || n.children[0].name != "INSTANCENAME" || n.children[1].name != "INSTANCE" {
			return nil, invalid("VALUE.NAMEDINSTANCE is a name and an instance")
		}
		p, err := path(n.children[0])
		if err != nil {
			return nil, err
		}
		i, err := instance(n.children[1])
		return &Value{Kind: Object, Path: p, Instance: i}, err
	case "CLASS":
		return &Value{Kind: Class, Text: n.attr("NAME")}, nil
	}
	return nil, parent.unexpected(n)
}

// pathForms are the elements that name something.
var pathForms = []string{"CLASSPATH", "LOCALCLASSPATH", "CLASSNAME", "INSTANCEPATH", "LOCALINSTANCEPATH", "INSTANCENAME"}

// path decodes the name of an instance or class.
func path(n *node) (*Path, error) {
	switch n.name {
	case "VALUE.REFERENCE":
		c, err := n.only(pathForms...)
		if err != nil {
			return nil, err
		}
		return path(c)
	case "CLASSNAME":
		if n.attr("NAME") == "" {
			return nil, invalid("CLASSNAME has no NAME")
		}
		return &Path{Class: n.attr("NAME")}, nil
	case "INSTANCENAME":
		return instanceName(n)
	}
	if !slices.Contains(pathForms, n.name) || len(n.children) != 2 {
		return nil, invalid("%s is no path", n.name)
	}
	space, last := n.children[0], n.children[1]
	local := strings.HasPrefix(n.name, "LOCAL")
	want := "CLASSNAME"
	if strings.HasSuffix(n.name, "INSTANCEPATH") {
		want = "INSTANCENAME"
	}
	if last.name != want || (space.name == "LOCALNAMESPACEPATH") != local {
		return nil, invalid("%s has other elements than it should", n.name)
	}
	p, err := path(last)
	if err != nil {
		return nil, err
	}
	if !local {
		if space.name != "NAMESPACEPATH" || len(space.children) != 2 || space.children[0].name != "HOST" {
			return nil, invalid("NAMESPACEPATH is a host and a namespace")
		}
		p.Host, space = strings.TrimSpace(space.children[0].text), space.children[1]
	}
	p.Namespace, err = namespace(space)
	return p, err
}

func namespace(n *node) (string, error) {
	if n.name != "LOCALNAMESPACEPATH" {
		return "", invalid("%s is no namespace", n.name)
	}
	var parts []string
	for _, c := range n.children {
		if c.name != "NAMESPACE" {
			return "", n.unexpected(c)
		}
		if s := strings.Trim(c.attr("NAME"), "/"); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "/"), nil
}

func instanceName(n *node) (*Path, error) {
	p := &Path{Class: n.attr("CLASSNAME"), Instance: true}
	if p.Class == "" {
		return nil, invalid("INSTANCENAME has no CLASSNAME")
	}
	for _, c := range n.children {
		name := ""
		if c.name == "KEYBINDING" {
			if name = c.attr("NAME"); name == "" {
				return nil, invalid("KEYBINDING has no NAME")
			}
			var err error
			if c, err = c.only("KEYVALUE", "VALUE.REFERENCE"); err != nil {
				return nil, err
			}
		} else if len(n.children) > 1 {
			return nil, n.unexpected(c)
		}
		k := Key{Name: name}
		switch c.name {
		case "KEYVALUE":
			if len(c.children) > 0 {
				return nil, c.unexpected(c.children[0])
			}
			k.Type, k.Text = c.attr("TYPE"), c.text
			if k.Type == "" {
				k.Type = c.attr("VALUETYPE")
			}
			if k.Type == "" {
				k.Type = "string" // the default of VALUETYPE
			}
		case "VALUE.REFERENCE":
			var err error
			k.Type = "reference"
			if k.Ref, err = path(c); err != nil {
				return nil, err
			}
		default:
			return nil, n.unexpected(c)
		}
		p.Keys = append(p.Keys, k)
	}
	return p, nil
}

func instance(n *node) (*Instance, error) {
	i := &Instance{Class: n.attr("CLASSNAME")}
	if i.Class == "" {
		return nil, invalid("INSTANCE has no CLASSNAME")
	}
	for _, c := range n.children {
		p := Property{Name: c.attr("NAME"), Type: c.attr("TYPE"), Value: null}
		var good []string
		switch c.name {
		case "QUALIFIER":
			continue
		case "PROPERTY":
			good = []string{"VALUE"}
		case "PROPERTY.ARRAY":
			p.Array, good = true, []string{"VALUE.ARRAY"}
		case "PROPERTY.REFERENCE":
			p.Type, good = "reference", []string{"VALUE.REFERENCE"}
		default:
			return nil, n.unexpected(c)
		}
		if p.Name == "" || p.Type == "" {
			return nil, invalid("%s needs a name and a type", c.name)
		}
		for _, x := range c.children {
			if x.name == "QUALIFIER" {
				continue
			}
			if !slices.Contains(good, x.name) || p.Value != null {
				return nil, c.unexpected(x)
			}
			var err error
			if p.Value, err = value(c, x); err != nil {
				return nil, err
			}
		}
		i.Properties = append(i.Properties, p)
	}
	return i, nil
}

// Embedded decodes the text of an embedded object: an instance, or the name of a class.
func Embedded(text string) (*Value, error) {
	n, err := tree([]byte(strings.TrimSpace(text)))
	if err != nil {
		return nil, err
	}
	if n.name != "INSTANCE" && n.name != "CLASS" {
		return nil, invalid("%s is no embedded object", n.name)
	}
	return value(n, n)
}
