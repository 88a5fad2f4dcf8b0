package pacemaker

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a document. Each stops an input that no cluster has: the largest
// that was ever seen has some 100 000 elements.
const (
	SizeMaxBytes  = 256 << 20
	elementsMax   = 4_000_000
	depthMax      = 64 // CIBs need 12
	attributesMax = 256
	notesMax      = 10_000
)

// element is one XML element. The methods work on nil, which has nothing. They note
// what was asked for: the rest was not carried over, see listUnread.
type element struct {
	name     string
	attrs    []xml.Attr
	children []*element
	read     uint64     // bit i: attribute i was asked for
	seen     bool       // something of it was asked for
	told     bool       // a note says that it was not carried over
	parts    []*element // it stands for these
}

// attr returns the value of an attribute; "" if there is none.
func (e *element) attr(name string) string {
	v, _ := e.lookup(name)
	return v
}

func (e *element) lookup(name string) (string, bool) {
	if e == nil {
		return "", false
	}
	e.seen = true
	for _, p := range e.parts {
		_, _ = p.lookup(name)
	}
	for i := range e.attrs {
		if e.attrs[i].Name.Local == name {
			e.read |= 1 << i // those beyond 64 count as not read
			return e.attrs[i].Value, true
		}
	}
	return "", false
}

// id returns the id of an element without taking note of that.
func (e *element) id() string {
	for i := range e.attrs {
		if e.attrs[i].Name.Local == "id" {
			return e.attrs[i].Value
		}
	}
	return ""
}

// spell notes that all attributes of an element are looked at.
func (e *element) spell() []xml.Attr {
	e.seen, e.read = true, ^uint64(0)
	return e.attrs
}

// first returns the first attribute of several spellings that is there.
func (e *element) first(names ...string) string {
	for _, n := range names {
		if v, ok := e.lookup(n); ok {
			return v
		}
	}
	return ""
}

// child returns the first child of a name; nil if there is none.
func (e *element) child(name string) *element {
	if e == nil {
		return nil
	}
	e.seen = true
	for _, c := range e.children {
		if c.name == name {
			c.seen = true
			return c
		}
	}
	return nil
}

// all returns the children of a name.
func (e *element) all(name string) []*element {
	var out []*element
	if e != nil {
		e.seen = true
		for _, c := range e.children {
			if c.name == name {
				c.seen = true
				out = append(out, c)
			}
		}
	}
	return out
}

// parse reads a document. Text between elements has no meaning in a CIB.
func parse(doc []byte) (*element, error) {
	if len(doc) > SizeMaxBytes {
		return nil, fmt.Errorf("the document has more than %d bytes", SizeMaxBytes)
	}
	dec := xml.NewDecoder(bytes.NewReader(doc))
	var root *element
	var stack []*element
	count := 0
	for {
		tok, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF) && root == nil:
			return nil, errors.New("there is no XML element in it")
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, fmt.Errorf("no well-formed XML: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			count++
			switch line, _ := dec.InputPos(); {
			case count > elementsMax:
				return nil, fmt.Errorf("line %d: more than %d elements", line, elementsMax)
			case len(stack) >= depthMax:
				return nil, fmt.Errorf("line %d: elements nested deeper than %d", line, depthMax)
			case len(t.Attr) > attributesMax:
				return nil, fmt.Errorf("line %d: element %s has more than %d attributes", line, shorten(t.Name.Local), attributesMax)
			case root != nil && len(stack) == 0:
				return nil, fmt.Errorf("line %d: a second document begins", line)
			}
			e := &element{name: t.Name.Local, attrs: t.Attr}
			if len(stack) == 0 {
				root = e
			} else {
				parent := stack[len(stack)-1]
				parent.children = append(parent.children, e)
			}
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.Directive:
			if bytes.Contains(bytes.ToUpper(t), []byte("ENTITY")) {
				return nil, errors.New("the document declares entities, which a CIB never does")
			}
		}
	}
}

// textMax bounds what a message repeats of the input.
const textMax = 128

// shorten makes text of the input fit for a message.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > textMax {
		s = strings.ToValidUTF8(s[:textMax], "") + "..."
	}
	return s
}
