package cimxml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Request is a simple request: the call of one operation or method.
type Request struct {
	ID        string // of the message; the answer has the same
	Intrinsic bool   // an operation of DSP0200; otherwise a method of a class
	Name      string
	Namespace string
	Target    *Path // of an extrinsic method
	Params    []Param
}

// Param finds a parameter by name; nil where it was left out.
func (r *Request) Param(name string) *Param {
	for i := range r.Params {
		if strings.EqualFold(r.Params[i].Name, name) {
			return &r.Params[i]
		}
	}
	return nil
}

// ParseRequest decodes a document. Its errors are [Error].
func ParseRequest(data []byte) (*Request, error) {
	message, err := parseMessage(data)
	if err != nil {
		return nil, err
	}
	if len(message.children) != 1 {
		return nil, invalid("MESSAGE has %d elements, not one", len(message.children))
	}
	simple := message.children[0]
	switch simple.name {
	case "SIMPLEREQ":
	case "MULTIREQ":
		return nil, &Error{MultipleRequests, errors.New("several requests in one message are not supported")}
	case "SIMPLEEXPREQ", "MULTIEXPREQ":
		return nil, &Error{Unsupported, errors.New("this is no listener for indications")}
	default:
		return nil, message.unexpected(simple)
	}
	simple.children = slices.DeleteFunc(simple.children, func(n *node) bool { return n.name == "CORRELATOR" })
	call, err := simple.only("IMETHODCALL", "METHODCALL")
	if err != nil {
		return nil, err
	}
	r := &Request{ID: message.attr("ID"), Name: call.attr("NAME"), Intrinsic: call.name == "IMETHODCALL"}
	if r.Name == "" || len(call.children) == 0 {
		return nil, invalid("%s needs a name and an object", call.name)
	}
	if err := r.target(call.children[0]); err != nil {
		return nil, err
	}
	for _, c := range call.children[1:] {
		p, err := param(call, c)
		if err != nil {
			return nil, err
		}
		if r.Param(p.Name) != nil {
			return nil, invalid("the parameter %.60q is there twice", p.Name)
		}
		r.Params = append(r.Params, *p)
	}
	return r, nil
}

// parseMessage decodes the outer elements of any document.
func parseMessage(data []byte) (*node, error) {
	root, err := tree(data)
	if err != nil {
		return nil, err
	}
	if root.name != "CIM" {
		return nil, invalid("%.40s is no CIM document", root.name)
	}
	if v := root.attr("CIMVERSION"); !strings.HasPrefix(v, "2.") {
		return nil, &Error{UnsupportedCIM, fmt.Errorf("CIM version %.20q", v)}
	}
	if v := root.attr("DTDVERSION"); !strings.HasPrefix(v, "2.") {
		return nil, &Error{UnsupportedDTD, fmt.Errorf("DTD version %.20q", v)}
	}
	message, err := root.only("MESSAGE")
	if err != nil {
		return nil, err
	}
	if v := message.attr("PROTOCOLVERSION"); !strings.HasPrefix(v, "1.") {
		return nil, &Error{UnsupportedVersion, fmt.Errorf("protocol version %.20q", v)}
	}
	return message, nil
}

// target decodes what an operation or a method is called on.
func (r *Request) target(n *node) error {
	var err error
	switch {
	case r.Intrinsic && n.name == "LOCALNAMESPACEPATH":
		r.Namespace, err = namespace(n)
		return err
	case !r.Intrinsic && (n.name == "LOCALCLASSPATH" || n.name == "LOCALINSTANCEPATH"):
		if r.Target, err = path(n); err != nil {
			return err
		}
		r.Namespace = r.Target.Namespace
		return nil
	}
	return invalid("%s is not what can be called", n.name)
}

func param(call, n *node) (*Param, error) {
	want := "PARAMVALUE"
	if call.name == "IMETHODCALL" {
		want = "IPARAMVALUE"
	}
	if n.name != want || n.attr("NAME") == "" {
		return nil, call.unexpected(n)
	}
	p := &Param{Name: n.attr("NAME"), Type: n.attr("PARAMTYPE"), Value: null}
	if len(n.children) == 0 {
		return p, nil
	}
	c, err := n.only("VALUE", "VALUE.ARRAY", "VALUE.REFERENCE", "VALUE.REFARRAY", "CLASSNAME", "INSTANCENAME", "CLASS", "INSTANCE", "VALUE.NAMEDINSTANCE", "QUALIFIER.DECLARATION")
	if err != nil {
		return nil, err
	}
	if c.name == "QUALIFIER.DECLARATION" {
		p.Value = &Value{Kind: Class, Text: c.attr("NAME")}
		return p, nil
	}
	p.Value, err = value(n, c)
	return p, err
}

// ParseExportResponse reads a listener's answer to an indication: nil where it took it.
func ParseExportResponse(data []byte) error {
	message, err := parseMessage(data)
	if err != nil {
		return err
	}
	simple, err := message.only("SIMPLEEXPRSP")
	if err != nil {
		return err
	}
	answer, err := simple.only("EXPMETHODRESPONSE")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(answer.children, func(n *node) bool { return n.name == "ERROR" })
	if i < 0 {
		return nil
	}
	e := answer.children[i]
	return fmt.Errorf("the listener answers error %.10s: %.200q", e.attr("CODE"), e.attr("DESCRIPTION"))
}
