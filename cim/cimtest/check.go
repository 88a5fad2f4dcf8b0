package cimtest

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/belay-ha/belay/cim/object"
)

// Response checks an answer: valid, and every instance as its class says. It returns
// the document.
func Response(doc []byte, class func(name string) *object.Class) (*Element, error) {
	root, err := Parse(doc)
	if err != nil {
		return nil, err
	}
	return root, Instances(root, class)
}

// Instances checks the types of every instance in an element against its class.
func Instances(e *Element, class func(name string) *object.Class) error {
	for _, i := range e.Find("INSTANCE") {
		c := class(i.Attrs["CLASSNAME"])
		if c == nil {
			return fmt.Errorf("there is no class %s", i.Attrs["CLASSNAME"])
		}
		last := -1
		for _, p := range i.Children {
			if p.Name == "QUALIFIER" {
				continue
			}
			n := place(c, p.Attrs["NAME"])
			if n <= last {
				return fmt.Errorf("%s has the property %s at the wrong place", c.Name, p.Attrs["NAME"])
			}
			last = n
			if err := property(p, c.Properties[n], class); err != nil {
				return fmt.Errorf("%s.%s: %w", c.Name, p.Attrs["NAME"], err)
			}
		}
	}
	return nil
}

func place(c *object.Class, name string) int {
	for n, p := range c.Properties {
		if p.Name == name {
			return n
		}
	}
	return -1
}

func property(e *Element, p *object.Property, class func(string) *object.Class) error {
	want, typ := "PROPERTY", p.Kind.Type.String()
	switch {
	case p.Kind.Type == object.Reference:
		want, typ = "PROPERTY.REFERENCE", ""
	case p.Kind.Array:
		want = "PROPERTY.ARRAY"
	}
	embedded := map[object.Embedded]string{object.EmbeddedInstance: "instance", object.EmbeddedObject: "object"}[p.Kind.Embedded]
	if e.Name != want || e.Attrs["TYPE"] != typ || e.Attrs["EmbeddedObject"] != embedded {
		return fmt.Errorf("it is %s of type %q, want %s of type %q", e.Name, e.Attrs["TYPE"], want, typ)
	}
	without := *e
	without.Children = slices.DeleteFunc(slices.Clone(e.Children), func(c *Element) bool { return c.Name == "QUALIFIER" })
	for _, v := range without.Find("VALUE") {
		switch {
		case p.Kind.Type == object.Reference:
		case embedded != "":
			// The DTD of an embedded object is that of its element.
			doc := `<CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="1" PROTOCOLVERSION="1.0"><SIMPLERSP><IMETHODRESPONSE NAME="x"><IRETURNVALUE>` +
				v.Text + `</IRETURNVALUE></IMETHODRESPONSE></SIMPLERSP></MESSAGE></CIM>`
			if _, err := Response([]byte(doc), class); err != nil {
				return fmt.Errorf("embedded: %w", err)
			}
		default:
			if _, err := object.Parse(v.Text, p.Kind.Type); err != nil {
				return err
			}
		}
	}
	for _, r := range e.Find("INSTANCENAME") {
		c := class(r.Attrs["CLASSNAME"])
		if c == nil {
			return fmt.Errorf("there is no class %s", r.Attrs["CLASSNAME"])
		}
		if len(r.Children) != len(c.Keys()) {
			return fmt.Errorf("the path has %d keys, and %s has %d", len(r.Children), c.Name, len(c.Keys()))
		}
	}
	return nil
}

// Handler serves with h and hands every answer that is not right to fail.
func Handler(h http.Handler, class func(string) *object.Class, fail func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code == http.StatusOK && r.Method != http.MethodOptions {
			if _, err := Response(rec.Body.Bytes(), class); err != nil {
				fail(fmt.Errorf("%s: %w\n%s", r.Header.Get("CIMMethod"), err, clip(rec.Body.Bytes())))
			}
			if c := strings.ToLower(rec.Header().Get("Content-Type")); c != `application/xml; charset="utf-8"` {
				fail(fmt.Errorf("content type %s", c))
			}
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		if _, err := w.Write(rec.Body.Bytes()); err != nil {
			return // the client has gone
		}
	})
}

func clip(b []byte) []byte {
	return bytes.ToValidUTF8(b[:min(len(b), 4000)], nil)
}
