package mof_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
)

func good(t *testing.T) *object.Schema {
	t.Helper()
	schemas, err := mof.Compile(os.DirFS("testdata"), "good.mof")
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) != 2 || schemas[0].Namespace != "interop" || schemas[1].Namespace != "root/cimv2" {
		t.Fatalf("%d schemas", len(schemas))
	}
	if e := schemas[0].Class("T_Event"); e == nil || !e.Indication || schemas[1].Class("T_Event") != nil {
		t.Error("T_Event is not in its namespace")
	}
	return schemas[1]
}

func TestClass(t *testing.T) {
	c := good(t).MustClass("t_service")
	if c.Name != "T_Service" || c.SuperName() != "T_Element" || c.Abstract || !c.IsA("T_ELEMENT") {
		t.Errorf("%s : %s", c.Name, c.SuperName())
	}
	if got, want := c.Qualifiers.Text("description"), "A thing that \"runs\"\n☺"; got != want {
		t.Errorf("Description %q, want %q", got, want)
	}
	if c.Qualifiers.Get("Version") == nil || c.Qualifiers.Get("Abstract") != nil {
		t.Error("restricted qualifiers spread")
	}
	defaults := map[string]any{}
	for _, p := range c.Properties {
		defaults[p.Name] = p.Default
	}
	want := map[string]any{
		"Name": nil, "ElementName": "none", "Small": uint8(31), "Signed": int16(-64), "Binary": uint32(5), "Ratio": -1500.0, "Started": true, "Letter": object.Char16('\''),
		"Since": object.DateTime("20240229130507.123456+060"), "Colors": []any{uint16(2), uint16(3)}, "Fixed": []any{"a", nil}, "Setting": nil, "Anything": nil, "None": nil,
	}
	if d := cmp.Diff(want, defaults); d != "" {
		t.Error(d)
	}
	if p := c.Property("elementname"); c.Properties[1] != p || p.Propagated || p.Origin != "T_Element" || !p.Required || !p.Writable || p.Qualifiers.Text("Description") != "For people." || !p.Qualifiers.Get("Description").Propagated || p.Qualifiers.Get("Override").Propagated {
		t.Errorf("ElementName: %+v", p)
	}
	if p := c.Property("Name"); !p.Propagated || !p.Key || p.Origin != "T_Element" {
		t.Errorf("Name: %+v", p)
	}
	if k := c.Property("Setting").Kind; k.Embedded != object.EmbeddedInstance || k.Of != "T_Element" {
		t.Errorf("Setting: %+v", k)
	}
	if k := c.Property("Fixed").Kind; k.Size != 3 || !k.Array {
		t.Errorf("Fixed: %+v", k)
	}
	start := c.Method("start")
	job, timeout := start.Parameter("Job"), start.Parameter("Timeout")
	if job.In || !job.Out || job.Kind != (object.Kind{Type: object.Reference, Array: true, RefClass: "T_Element"}) {
		t.Errorf("Job: %+v", job)
	}
	if !timeout.In || timeout.Out || timeout.Kind.Type != object.DateTimeType || !c.Method("Find").Static || start.Static {
		t.Errorf("Timeout: %+v", timeout)
	}
}

func TestAssociation(t *testing.T) {
	s := good(t)
	c := s.MustClass("T_ServiceUses")
	if !c.Association || !c.Qualifiers.Get("Association").Value.(bool) {
		t.Error("it is no association")
	}
	if refs := c.References(); len(refs) != 2 || refs[0].Kind.RefClass != "T_Service" || refs[1].Kind.RefClass != "T_Element" || !refs[0].Key || !refs[0].Writable {
		t.Errorf("references %+v", refs)
	}
	if subs := s.Subclasses(s.MustClass("T_Uses"), true); len(subs) != 1 || subs[0] != c {
		t.Errorf("subclasses %v", subs)
	}
}

func TestErrors(t *testing.T) {
	q, err := os.ReadFile("testdata/qualifiers.mof")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"class A {\n string x\n};", "a.mof:4: '}' stands where ';' is expected"},
		{"class A {};\nclass a {};", "a.mof:3: class a is declared at a.mof:2, too"},
		{"class A : B {};", "a.mof:2: class A: there is no superclass B"},
		{"class A : A {};", "a.mof:2: class A is its own ancestor"},
		{"class A : B {};\nclass B : C {};\nclass C : A {};", "is its own ancestor"},
		{"class A { strin x; };", "A.x: there is no type strin"},
		{"class A { uint8 x = 256; };", "A.x: '256' is no uint8"},
		{"class A { uint8 x = \"1\"; };", "A.x: \"1\" is no uint8"},
		{"class A { uint8 x = {1}; };", "A.x: the value is not uint8"},
		{"class A { uint8 x[2] = {1,2,3}; };", "3 values are more than the 2"},
		{"class A { uint8 x; uint8 X; };", "A.X is declared twice"},
		{"[Nothing] class A {};", "A: there is no qualifier Nothing"},
		{"[Key] class A {};", "the qualifier Key is not for a class"},
		{"[Description(\"a\"), Description(\"b\")] class A {};", "has the qualifier Description twice"},
		{"[Description(1)] class A {};", "A: Description: '1' is no string"},
		{"[Description(\"a\"): sometimes] class A {};", "there is no flavor sometimes"},
		{"class A { string x; };\nclass B : A { string x; };", "a.mof:3: B.x is inherited"},
		{"class A { string x; };\nclass B : A { [Override(\"x\")] uint8 x; };", "B.x is uint8, and string in the superclass"},
		{"class B { [Override(\"x\")] uint8 x; };", "B.x overrides x, which the class does not inherit"},
		{"class A { [Key] string x; };\nclass B : A { [Key] string y; };", "B.y is a key, and the superclass has its keys"},
		{"class A { [Key] string x; };\nclass B : A { [Override(\"x\"), Key(false)] string x; };", "Key can't have another value"},
		{"class A { A REF x; };", "class A has references and is no association"},
		{"[Association] class A { A REF x; };", "association A has 1 references"},
		{"[Association] class A { X REF x; A REF y; };", "A.x: there is no class X"},
		{"class U {}; class V {};\n[Association] class A { U REF x; U REF y; };\n[Association] class B : A { [Override(\"x\")] V REF x; };", "class V is no subclass of U"},
		{"class A {}; [Abstract] class B : A {};", "class B is abstract, and its superclass A is not"},
		{"class A { [ValueMap{\"1\"}, Values{\"a\",\"b\"}] uint8 x; };", "1 values in ValueMap and 2 in Values"},
		{"class A { [ValueMap{\"300\"}] uint8 x; };", "\"300\" in ValueMap is no uint8"},
		{"class A { [EmbeddedInstance(\"X\")] string x; };", "there is no class X"},
		{"class A { [EmbeddedInstance(\"A\")] uint8 x; };", "what is embedded is a string"},
		{"class A { uint8 f(uint8 a, string A); };", "declared twice"},
		{"class A { uint8 f([In(false)] uint8 a); };", "neither input nor output"},
		{"class A { uint8 f(uint8 a); };\nclass B : A { [Override(\"f\")] uint8 f(string a); };", "B.f has not the parameters"},
		{"class A { string x = \"abc\n\"; };", "a.mof:2: this text has no end"},
		{"class A { string x = \"\\q\"; };", "the escape \\q is none"},
		{"/* never", "a.mof:2: this comment has no end"},
		{"instance of A {};", "an instance is no part of a schema"},
		{"#pragma include (\"b.mof\")", "a.mof:2: include: open b.mof"},
		{"#pragma nothing (\"b.mof\")", "there is no pragma nothing"},
		{"class A { string x[0]; };", "is no size of an array"},
		{"class A { string \u00a7; };", ""},
		{"class A ^", "the character '^' has no meaning"},
		{"class A { char16 x = 'ab'; };", "a char16 is one character"},
		{"Qualifier Key : boolean, Scope(any);", "qualifier Key is declared twice"},
		{"Qualifier X : boolean;", "qualifier X has no scope"},
		{"Qualifier X : boolean, Scope(nowhere);", "there is no scope nowhere"},
	} {
		files := fstest.MapFS{"q.mof": {Data: q}, "a.mof": {Data: []byte("#pragma include (\"q.mof\")\n" + c.text)}}
		_, err := mof.Compile(files, "a.mof")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s\n%v, want no error", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s\n%v, want %s", c.text, err, c.want)
		}
	}
}

// Several errors are told at once.
func TestAllErrors(t *testing.T) {
	_, err := mof.Compile(fstest.MapFS{"a.mof": {Data: []byte("class A : X {};\nclass B { nothing y; };")}}, "a.mof")
	if err == nil || !strings.Contains(err.Error(), "a.mof:1:") || !strings.Contains(err.Error(), "a.mof:2:") {
		t.Errorf("%v", err)
	}
}

func FuzzCompile(f *testing.F) {
	q, err := os.ReadFile("testdata/qualifiers.mof")
	if err != nil {
		f.Fatal(err)
	}
	g, err := os.ReadFile("testdata/good.mof")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(g))
	f.Add("class A : B { [Key] uint8 x = 0x1; A REF y; uint32 f([Out] string a[]); };")
	f.Add("#pragma include (\"a.mof\")")
	f.Fuzz(func(t *testing.T, text string) {
		schemas, err := mof.Compile(fstest.MapFS{"qualifiers.mof": {Data: q}, "a.mof": {Data: []byte(text)}}, "a.mof")
		if err != nil && !strings.Contains(err.Error(), ".mof:") {
			t.Fatalf("the error does not say where: %v", err)
		}
		for _, s := range schemas {
			for _, c := range s.Classes {
				if i := c.New(s.Namespace); len(i.Path().Keys) != len(c.Keys()) || s.Class(object.Fold(c.Name)) != c {
					t.Fatalf("class %s is not whole", c.Name)
				}
			}
		}
	})
}
