package schema_test

import (
	"strings"
	"testing"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
)

// The MOF compiles, both namespaces have the same classes, and everything in them is
// described.
func TestLoad(t *testing.T) {
	schemas, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) != 2 || schemas[0].Namespace != "interop" || schemas[1].Namespace != "root/cimv2" || len(schemas[0].Classes) != len(schemas[1].Classes) {
		t.Fatalf("%d schemas", len(schemas))
	}
	described := func(what string, q object.Qualifiers) {
		if strings.TrimSpace(q.Text("Description")) == "" {
			t.Errorf("%s has no Description", what)
		}
	}
	for _, c := range schemas[1].Classes {
		described(c.Name, c.Qualifiers)
		for _, p := range c.Properties {
			if !p.Propagated {
				described(c.Name+"."+p.Name, p.Qualifiers)
			}
		}
		for _, m := range c.Methods {
			if m.Propagated {
				continue
			}
			described(c.Name+"."+m.Name, m.Qualifiers)
			for _, p := range m.Parameters {
				described(c.Name+"."+m.Name+"("+p.Name+")", p.Qualifiers)
			}
		}
	}
}
