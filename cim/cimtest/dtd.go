package cimtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// rule is what the DTD says of an element: its content as a regular expression over
// the names of its children, each with a space behind it, and its attributes, where
// an exclamation mark stands behind those that must be there.
type rule struct {
	content string
	attrs   string
	text    bool
}

const (
	anyPath   = `(CLASSPATH |LOCALCLASSPATH |CLASSNAME |INSTANCEPATH |LOCALINSTANCEPATH |INSTANCENAME )`
	anyParam  = `(VALUE |VALUE\.REFERENCE |VALUE\.ARRAY |VALUE\.REFARRAY |CLASSNAME |INSTANCENAME |CLASS |INSTANCE |VALUE\.NAMEDINSTANCE )?`
	flavor    = "OVERRIDABLE TOSUBCLASS TOINSTANCE TRANSLATABLE "
	propStart = "NAME! CLASSORIGIN PROPAGATED "
)

// dtd is DSP0203 2.4, as far as simple requests, answers and exports go.
var dtd = map[string]rule{
	"CIM":                       {content: `MESSAGE `, attrs: "CIMVERSION! DTDVERSION!"},
	"MESSAGE":                   {content: `(SIMPLEREQ |SIMPLERSP |SIMPLEEXPREQ |SIMPLEEXPRSP )`, attrs: "ID! PROTOCOLVERSION!"},
	"SIMPLEREQ":                 {content: `(CORRELATOR )*(METHODCALL |IMETHODCALL )`},
	"CORRELATOR":                {content: `VALUE `, attrs: "NAME! TYPE!"},
	"SIMPLERSP":                 {content: `(METHODRESPONSE |IMETHODRESPONSE )`},
	"SIMPLEEXPREQ":              {content: `(CORRELATOR )*EXPMETHODCALL `},
	"SIMPLEEXPRSP":              {content: `EXPMETHODRESPONSE `},
	"EXPMETHODCALL":             {content: `(EXPPARAMVALUE )*`, attrs: "NAME!"},
	"EXPMETHODRESPONSE":         {content: `(ERROR |(IRETURNVALUE )?)`, attrs: "NAME!"},
	"EXPPARAMVALUE":             {content: `(INSTANCE )?`, attrs: "NAME!"},
	"METHODCALL":                {content: `(LOCALCLASSPATH |LOCALINSTANCEPATH )(PARAMVALUE )*`, attrs: "NAME!"},
	"METHODRESPONSE":            {content: `(ERROR |(RETURNVALUE )?(PARAMVALUE )*)`, attrs: "NAME!"},
	"IMETHODCALL":               {content: `LOCALNAMESPACEPATH (IPARAMVALUE )*`, attrs: "NAME!"},
	"IMETHODRESPONSE":           {content: `(ERROR |(IRETURNVALUE )?(PARAMVALUE )*)`, attrs: "NAME!"},
	"ERROR":                     {content: `(INSTANCE )*`, attrs: "CODE! DESCRIPTION"},
	"RETURNVALUE":               {content: `(VALUE |VALUE\.REFERENCE )?`, attrs: "EmbeddedObject PARAMTYPE"},
	"IPARAMVALUE":               {content: strings.Replace(anyParam, ")?", `|QUALIFIER\.DECLARATION )?`, 1), attrs: "NAME!"},
	"PARAMVALUE":                {content: anyParam, attrs: "NAME! PARAMTYPE EmbeddedObject"},
	"IRETURNVALUE":              {content: `((CLASSNAME )*|(INSTANCENAME )*|(VALUE )*|(VALUE\.OBJECTWITHPATH )*|(VALUE\.OBJECTWITHLOCALPATH )*|(VALUE\.OBJECT )*|(OBJECTPATH )*|(QUALIFIER\.DECLARATION )*|(VALUE\.ARRAY )?|(VALUE\.REFERENCE )?|(CLASS )*|(INSTANCE )*|(INSTANCEPATH )*|(VALUE\.NAMEDINSTANCE )*|(VALUE\.INSTANCEWITHPATH )*)`},
	"VALUE":                     {text: true},
	"VALUE.NULL":                {},
	"VALUE.ARRAY":               {content: `(VALUE |VALUE\.NULL )*`},
	"VALUE.REFERENCE":           {content: anyPath},
	"VALUE.REFARRAY":            {content: `(VALUE\.REFERENCE |VALUE\.NULL )*`},
	"VALUE.OBJECT":              {content: `(CLASS |INSTANCE )`},
	"VALUE.NAMEDINSTANCE":       {content: `INSTANCENAME INSTANCE `},
	"VALUE.INSTANCEWITHPATH":    {content: `INSTANCEPATH INSTANCE `},
	"VALUE.OBJECTWITHPATH":      {content: `(CLASSPATH CLASS |INSTANCEPATH INSTANCE )`},
	"VALUE.OBJECTWITHLOCALPATH": {content: `(LOCALCLASSPATH CLASS |LOCALINSTANCEPATH INSTANCE )`},
	"NAMESPACEPATH":             {content: `HOST LOCALNAMESPACEPATH `},
	"LOCALNAMESPACEPATH":        {content: `(NAMESPACE )+`},
	"HOST":                      {text: true},
	"NAMESPACE":                 {attrs: "NAME!"},
	"CLASSPATH":                 {content: `NAMESPACEPATH CLASSNAME `},
	"LOCALCLASSPATH":            {content: `LOCALNAMESPACEPATH CLASSNAME `},
	"CLASSNAME":                 {attrs: "NAME!"},
	"INSTANCEPATH":              {content: `NAMESPACEPATH INSTANCENAME `},
	"LOCALINSTANCEPATH":         {content: `LOCALNAMESPACEPATH INSTANCENAME `},
	"INSTANCENAME":              {content: `((KEYBINDING )*|(KEYVALUE )?|(VALUE\.REFERENCE )?)`, attrs: "CLASSNAME!"},
	"OBJECTPATH":                {content: `(INSTANCEPATH |CLASSPATH )`},
	"KEYBINDING":                {content: `(KEYVALUE |VALUE\.REFERENCE )`, attrs: "NAME!"},
	"KEYVALUE":                  {text: true, attrs: "VALUETYPE TYPE"},
	"CLASS":                     {content: `(QUALIFIER )*(PROPERTY |PROPERTY\.ARRAY |PROPERTY\.REFERENCE )*(METHOD )*`, attrs: "NAME! SUPERCLASS"},
	"INSTANCE":                  {content: `(QUALIFIER )*(PROPERTY |PROPERTY\.ARRAY |PROPERTY\.REFERENCE )*`, attrs: "CLASSNAME!"},
	"QUALIFIER":                 {content: `(VALUE |VALUE\.ARRAY )?`, attrs: "NAME! TYPE! PROPAGATED " + flavor},
	"QUALIFIER.DECLARATION":     {content: `(SCOPE )?(VALUE |VALUE\.ARRAY )?`, attrs: "NAME! TYPE! ISARRAY ARRAYSIZE " + flavor},
	"SCOPE":                     {attrs: "CLASS ASSOCIATION REFERENCE PROPERTY METHOD PARAMETER INDICATION"},
	"PROPERTY":                  {content: `(QUALIFIER )*(VALUE )?`, attrs: propStart + "TYPE! EmbeddedObject"},
	"PROPERTY.ARRAY":            {content: `(QUALIFIER )*(VALUE\.ARRAY )?`, attrs: propStart + "TYPE! ARRAYSIZE EmbeddedObject"},
	"PROPERTY.REFERENCE":        {content: `(QUALIFIER )*(VALUE\.REFERENCE )?`, attrs: propStart + "REFERENCECLASS"},
	"METHOD":                    {content: `(QUALIFIER )*(PARAMETER |PARAMETER\.REFERENCE |PARAMETER\.ARRAY |PARAMETER\.REFARRAY )*`, attrs: propStart + "TYPE"},
	"PARAMETER":                 {content: `(QUALIFIER )*`, attrs: "NAME! TYPE!"},
	"PARAMETER.REFERENCE":       {content: `(QUALIFIER )*`, attrs: "NAME! REFERENCECLASS"},
	"PARAMETER.ARRAY":           {content: `(QUALIFIER )*`, attrs: "NAME! TYPE! ARRAYSIZE"},
	"PARAMETER.REFARRAY":        {content: `(QUALIFIER )*`, attrs: "NAME! REFERENCECLASS ARRAYSIZE"},
}

var contents = func() map[string]*regexp.Regexp {
	out := map[string]*regexp.Regexp{}
	for name, r := range dtd {
		out[name] = regexp.MustCompile(`^(?:` + r.content + `)$`)
	}
	return out
}()

// attrValues are what some attributes may be.
var attrValues = map[string]*regexp.Regexp{
	"TYPE":           regexp.MustCompile(`^(boolean|string|char16|[us]int(8|16|32|64)|real(32|64)|datetime)$`),
	"PARAMTYPE":      regexp.MustCompile(`^(boolean|string|char16|[us]int(8|16|32|64)|real(32|64)|datetime|reference|object|instance)$`),
	"VALUETYPE":      regexp.MustCompile(`^(string|boolean|numeric)$`),
	"EmbeddedObject": regexp.MustCompile(`^(object|instance)$`),
	"PROPAGATED":     boolean, "OVERRIDABLE": boolean, "TOSUBCLASS": boolean, "TOINSTANCE": boolean, "TRANSLATABLE": boolean, "ISARRAY": boolean,
	"CODE": regexp.MustCompile(`^[0-9]+$`), "ARRAYSIZE": regexp.MustCompile(`^[0-9]+$`),
}

var boolean = regexp.MustCompile(`^(true|false)$`)

// Element is an element of a document that is valid.
type Element struct {
	Name     string
	Attrs    map[string]string
	Children []*Element
	Text     string
}

// Find lists the elements with a name, in the order of the document.
func (e *Element) Find(name string) []*Element {
	var out []*Element
	if e.Name == name {
		out = append(out, e)
	}
	for _, c := range e.Children {
		out = append(out, c.Find(name)...)
	}
	return out
}

// Parse reads a document and checks it against the DTD.
func Parse(doc []byte) (*Element, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	root := &Element{}
	open := []*Element{root}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not well-formed: %w", err)
		}
		top := open[len(open)-1]
		switch t := t.(type) {
		case xml.StartElement:
			e := &Element{Name: t.Name.Local, Attrs: map[string]string{}}
			for _, a := range t.Attr {
				if _, twice := e.Attrs[a.Name.Local]; twice {
					return nil, fmt.Errorf("%s has the attribute %s twice", e.Name, a.Name.Local)
				}
				e.Attrs[a.Name.Local] = a.Value
			}
			top.Children, open = append(top.Children, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.Text += string(t)
		case xml.Directive:
			return nil, errors.New("there is a DOCTYPE")
		}
	}
	if len(root.Children) != 1 || len(open) != 1 {
		return nil, errors.New("there is not one document")
	}
	return root.Children[0], check(root.Children[0])
}

func check(e *Element) error {
	r, ok := dtd[e.Name]
	if !ok {
		return fmt.Errorf("the DTD has no element %s", e.Name)
	}
	var children strings.Builder
	for _, c := range e.Children {
		children.WriteString(c.Name + " ")
	}
	if !contents[e.Name].MatchString(children.String()) {
		return fmt.Errorf("%s has the elements %s", e.Name, children.String())
	}
	if !r.text && strings.TrimSpace(e.Text) != "" {
		return fmt.Errorf("%s has the text %q", e.Name, e.Text)
	}
	allowed := strings.Fields(r.attrs)
	for _, a := range allowed {
		if name, must := strings.CutSuffix(a, "!"); must {
			if _, there := e.Attrs[name]; !there {
				return fmt.Errorf("%s has no attribute %s", e.Name, name)
			}
		}
	}
	for name, v := range e.Attrs {
		if !slices.Contains(allowed, name) && !slices.Contains(allowed, name+"!") {
			return fmt.Errorf("%s has an attribute %s", e.Name, name)
		}
		if x := attrValues[name]; x != nil && !x.MatchString(v) && e.Name != "SCOPE" {
			return fmt.Errorf("%s %s=%q", e.Name, name, v)
		}
	}
	for _, c := range e.Children {
		if err := check(c); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}
