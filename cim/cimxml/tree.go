package cimxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Limits of a document that comes in.
const (
	MaxBytes    = 4 << 20
	MaxDepth    = 64 // of elements in each other
	MaxElements = 100_000
)

// Error says why a document is no request. Its text is that of the header CIMError
// (DSP0200, 7.3.3).
type Error struct {
	CIMError string
	Err      error
}

// Error is the reason.
func (e *Error) Error() string { return e.CIMError + ": " + e.Err.Error() }

// Unwrap is what was found.
func (e *Error) Unwrap() error { return e.Err }

// The values of the header CIMError that a document can cause.
const (
	NotWellFormed      = "request-not-well-formed"
	NotValid           = "request-not-valid"
	MultipleRequests   = "multiple-requests-unsupported"
	UnsupportedVersion = "unsupported-protocol-version"
	UnsupportedCIM     = "unsupported-cim-version"
	UnsupportedDTD     = "unsupported-dtd-version"
	Unsupported        = "unsupported-operation"
)

func invalid(format string, args ...any) error {
	return &Error{NotValid, fmt.Errorf(format, args...)}
}

// node is an element.
type node struct {
	name     string
	attrs    []xml.Attr
	children []*node
	text     string // all character data right in it
}

func (n *node) attr(name string) string {
	for i := range n.attrs {
		if n.attrs[i].Name.Local == name && n.attrs[i].Name.Space == "" {
			return n.attrs[i].Value
		}
	}
	return ""
}

// only returns the one child, which must have one of the names.
func (n *node) only(names ...string) (*node, error) {
	if len(n.children) != 1 {
		return nil, invalid("%s has %d elements, not one", n.name, len(n.children))
	}
	if !slices.Contains(names, n.children[0].name) {
		return nil, n.unexpected(n.children[0])
	}
	return n.children[0], nil
}

func (n *node) unexpected(child *node) error {
	return invalid("%s has no place in %s", child.name, n.name)
}

// tree reads one document.
func tree(data []byte) (*node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	bad := func(err error) (*node, error) { return nil, &Error{NotWellFormed, err} }
	if !utf8.Valid(data) {
		return bad(errors.New("the document is not UTF-8"))
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	var root *node
	var open []*node
	var text [][]byte // of the open elements
	count := 0
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bad(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if count++; count > MaxElements {
				return bad(fmt.Errorf("more than %d elements", MaxElements))
			}
			if len(open) == MaxDepth {
				return bad(fmt.Errorf("elements are more than %d deep", MaxDepth))
			}
			n := &node{name: t.Name.Local, attrs: t.Attr}
			if t.Name.Space != "" {
				n.name = t.Name.Space + ":" + t.Name.Local
			}
			if err := uniqueAttributes(n); err != nil {
				return bad(err)
			}
			switch {
			case len(open) > 0:
				top := open[len(open)-1]
				top.children = append(top.children, n)
			case root != nil:
				return bad(errors.New("there is more than one document"))
			default:
				root = n
			}
			open, text = append(open, n), append(text, nil)
		case xml.EndElement:
			last := len(open) - 1
			name := t.Name.Local
			if t.Name.Space != "" {
				name = t.Name.Space + ":" + name
			}
			if last < 0 || open[last].name != name {
				return bad(fmt.Errorf("</%.40s> closes nothing", name))
			}
			open[last].text = string(text[last])
			open, text = open[:last], text[:last]
		case xml.CharData:
			if len(open) > 0 {
				text[len(text)-1] = append(text[len(text)-1], t...)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return bad(errors.New("there is text outside of the document"))
			}
		case xml.Directive:
			return bad(errors.New("a DOCTYPE is not accepted"))
		case xml.ProcInst:
			if t.Target == "xml" && (root != nil || d.InputOffset() > int64(len(data)) || !bytes.HasPrefix(data, []byte("<?xml"))) {
				return bad(errors.New("the XML declaration stands in the midst of the document"))
			}
		}
	}
	if root == nil || len(open) > 0 {
		return bad(errors.New("the document is not whole"))
	}
	return root, nil
}

func uniqueAttributes(n *node) error {
	for i := range n.attrs {
		for j := range i {
			if n.attrs[i].Name == n.attrs[j].Name {
				return fmt.Errorf("%.40s has the attribute %.40s twice", n.name, n.attrs[i].Name.Local)
			}
		}
		if i > 20 {
			return fmt.Errorf("%.40s has too many attributes", n.name)
		}
	}
	return nil
}
