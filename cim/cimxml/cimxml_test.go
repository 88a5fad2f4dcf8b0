package cimxml_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-ha/belay/cim/cimtest"
	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
)

const classes = `
#pragma include ("qualifiers.mof")
[Description("Everything <&> there is.")] class T_All {
   [Key] string Name;
   [Key] uint32 Number;
   [Key] boolean Flag;
   boolean B; string S; char16 C; uint8 U8; sint8 S8; uint16 U16; sint16 S16; uint32 U32; sint32 S32; uint64 U64; sint64 S64; real32 R32; real64 R64; datetime D;
   string List[]; uint16 Numbers[4] = {1, 2};
   [EmbeddedInstance("T_All")] string Inner;
   [EmbeddedObject] string Any[];
   [Write, ValueMap{"1"}, Values{"One"}] uint16 Mapped;
   uint32 Do([In] string Text, [In, Out] T_All REF Who, [In(false), Out] T_All REF All[], [In] uint8 Numbers[]);
};
class T_Sub : T_All { string More; };
[Association] class T_Link { [Key] T_All REF A; [Key] T_All REF B; };
`

func schema(t testing.TB) *object.Schema {
	t.Helper()
	q, err := os.ReadFile("../mof/testdata/qualifiers.mof")
	if err != nil {
		t.Fatal(err)
	}
	s, err := mof.Compile(fstest.MapFS{"qualifiers.mof": {Data: q}, "a.mof": {Data: []byte(classes)}}, "a.mof")
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

// nasty is text that XML must not swallow, and what of it must come out.
const nasty, survives = "a<b>&\"'\r\n\t é 漢 😀\x00\x1b\ufffe\xff]]>", "a<b>&\"'\r\n\t é 漢 😀\ufffd\ufffd\ufffd\ufffd]]>"

func full(s *object.Schema, text string) *object.Instance {
	i := s.MustClass("T_All").New("root/cimv2")
	for name, v := range map[string]any{
		"Name": text, "Number": 7, "Flag": true, "B": false, "S": text, "C": object.Char16('&'), "U8": 255, "S8": -128, "U16": 65535, "S16": -32768, "U32": 1, "S32": -1, "U64": uint64(1) << 63,
		"S64": int64(-1) << 63, "R32": float32(1), "R64": 1e300, "D": object.DateTime("20240229130507.123456+060"), "List": []any{"a", nil, text}, "Any": []any{s.MustClass("T_Sub"), nil},
	} {
		i.Set(name, v)
	}
	return i
}

func response(write func(w *cimxml.Writer)) []byte {
	var b bytes.Buffer
	w := cimxml.NewWriter(&b)
	w.Response(&cimxml.Request{ID: `4711"<&`, Intrinsic: true, Name: "X"})
	w.ReturnValue()
	write(w)
	w.EndReturnValue()
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Whatever is written is valid by the DTD, and its types are those of the class.
func TestValid(t *testing.T) {
	s := schema(t)
	i := full(s, nasty)
	inner := full(s, nasty)
	inner.Set("Inner", full(s, "deep"))
	i.Set("Inner", inner)
	link := s.MustClass("T_Link").New("root/cimv2")
	link.Set("A", i.Path())
	link.Set("B", full(s, "b").Path())
	everything := func(c *object.Class) cimxml.View { v := cimxml.All(c); v.Origin, v.Qualifiers = true, true; return v }
	for name, write := range map[string]func(w *cimxml.Writer){
		"instance": func(w *cimxml.Writer) { w.Instance(i, everything(i.Class())) },
		"named": func(w *cimxml.Writer) {
			for range 100 { // beyond what is gathered
				w.NamedInstance(i, cimxml.All(i.Class()))
			}
		},
		"association": func(w *cimxml.Writer) { w.InstanceWithPath("h:1", link, everything(link.Class())) },
		"with path":   func(w *cimxml.Writer) { w.ObjectWithPath("h", link, cimxml.All(link.Class())) },
		"name":        func(w *cimxml.Writer) { w.InstanceName(link.Path()) },
		"path":        func(w *cimxml.Writer) { w.InstancePath("h", link.Path()) },
		"object path": func(w *cimxml.Writer) { w.ObjectPath("h", link.Path()); w.ClassObjectPath("h", "root/cimv2", "X") },
		"class":       func(w *cimxml.Writer) { w.Class(i.Class(), everything(i.Class())) },
		"local class": func(w *cimxml.Writer) { w.Class(s.MustClass("T_Sub"), cimxml.View{Local: true, Qualifiers: true}) },
		"class path":  func(w *cimxml.Writer) { w.ClassWithPath("h", "root/cimv2", link.Class(), everything(link.Class())) },
		"qualifiers": func(w *cimxml.Writer) {
			for _, q := range s.Qualifiers {
				w.Qualifier(q)
			}
		},
	} {
		doc := response(write)
		root, err := cimtest.Response(doc, s.Class)
		if err != nil {
			t.Errorf("%s: %v\n%.300s", name, err, doc)
			continue
		}
		if id := root.Children[0].Attrs["ID"]; id != `4711"<&` {
			t.Errorf("the id is %q", id)
		}
		if name == "instance" || name == "named" {
			if v := root.Find("INSTANCE")[0].Find("PROPERTY")[0].Find("VALUE"); v[len(v)-1].Text != survives {
				t.Errorf("%q came out as %q", nasty, v[len(v)-1].Text)
			}
		}
		if k := root.Find("KEYVALUE"); name == "named" && (len(k) != 300 || k[0].Text != survives || k[1].Text != "7" || k[2].Attrs["VALUETYPE"] != "boolean") {
			t.Errorf("%d keys: %v", len(k), k[:3])
		}
	}
}

func TestMethodResult(t *testing.T) {
	s := schema(t)
	c := s.MustClass("T_All")
	call := &object.Call{Class: c, Method: c.Method("Do")}
	var b bytes.Buffer
	w := cimxml.NewWriter(&b)
	w.Response(&cimxml.Request{ID: "1", Name: "Do"})
	p := full(s, "x").Path()
	w.Result(call.Method, call.Out(4096, "Who", p, "All", []*object.Path{p, p}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	root, err := cimtest.Response(b.Bytes(), s.Class)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.Bytes())
	}
	if v := root.Find("RETURNVALUE")[0]; v.Attrs["PARAMTYPE"] != "uint32" || v.Children[0].Text != "4096" {
		t.Errorf("%s", b.Bytes())
	}
	if v := root.Find("VALUE.REFARRAY"); len(v) != 1 || len(v[0].Children) != 2 {
		t.Errorf("%s", b.Bytes())
	}
}

func TestExport(t *testing.T) {
	s := schema(t)
	root, err := cimtest.Response(cimxml.ExportIndication("9", full(s, "x")), s.Class)
	if err != nil || len(root.Find("EXPPARAMVALUE")) != 1 {
		t.Error(err)
	}
	answer := func(s string) []byte {
		return []byte(`<?xml version="1.0"?><CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="9" PROTOCOLVERSION="1.0"><SIMPLEEXPRSP><EXPMETHODRESPONSE NAME="ExportIndication">` + s + `</EXPMETHODRESPONSE></SIMPLEEXPRSP></MESSAGE></CIM>`)
	}
	if err := cimxml.ParseExportResponse(answer("<IRETURNVALUE></IRETURNVALUE>")); err != nil {
		t.Error(err)
	}
	if err := cimxml.ParseExportResponse(answer(`<ERROR CODE="1" DESCRIPTION="no"/>`)); err == nil || !strings.Contains(err.Error(), "error 1") {
		t.Error(err)
	}
}

// What wbemcli 1.6.3 sends.
const getInstance = `<?xml version="1.0" encoding="utf-8"?>
<CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="4711" PROTOCOLVERSION="1.0"><SIMPLEREQ><IMETHODCALL NAME="GetInstance"><LOCALNAMESPACEPATH><NAMESPACE NAME="root"></NAMESPACE><NAMESPACE NAME="cimv2"/></LOCALNAMESPACEPATH>
<IPARAMVALUE NAME="InstanceName"><INSTANCENAME CLASSNAME="T_Link"><KEYBINDING NAME="A"><VALUE.REFERENCE><INSTANCEPATH><NAMESPACEPATH><HOST>h</HOST><LOCALNAMESPACEPATH><NAMESPACE NAME="root/cimv2"/></LOCALNAMESPACEPATH></NAMESPACEPATH><INSTANCENAME CLASSNAME="T_All"><KEYVALUE VALUETYPE="numeric">5</KEYVALUE></INSTANCENAME></INSTANCEPATH></VALUE.REFERENCE></KEYBINDING>
<KEYBINDING NAME="B"><KEYVALUE VALUETYPE="string" TYPE="string"> x &#38; <![CDATA[<y>]]></KEYVALUE></KEYBINDING></INSTANCENAME></IPARAMVALUE>
<IPARAMVALUE NAME="LocalOnly"><VALUE>FALSE</VALUE></IPARAMVALUE><IPARAMVALUE NAME="PropertyList"><VALUE.ARRAY><VALUE>A</VALUE><VALUE>B</VALUE></VALUE.ARRAY></IPARAMVALUE><IPARAMVALUE NAME="None"/>
</IMETHODCALL></SIMPLEREQ></MESSAGE></CIM>`

func TestParseRequest(t *testing.T) {
	got, err := cimxml.ParseRequest([]byte(getInstance))
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) *cimxml.Value { return &cimxml.Value{Text: s} }
	want := &cimxml.Request{
		ID: "4711", Intrinsic: true, Name: "GetInstance", Namespace: "root/cimv2", Params: []cimxml.Param{
			{Name: "InstanceName", Value: &cimxml.Value{Kind: cimxml.Reference, Path: &cimxml.Path{Class: "T_Link", Instance: true, Keys: []cimxml.Key{
				{Name: "A", Type: "reference", Ref: &cimxml.Path{Host: "h", Namespace: "root/cimv2", Class: "T_All", Instance: true, Keys: []cimxml.Key{{Type: "numeric", Text: "5"}}}},
				{Name: "B", Type: "string", Text: " x & <y>"},
			}}}},
			{Name: "LocalOnly", Value: text("FALSE")},
			{Name: "PropertyList", Value: &cimxml.Value{Kind: cimxml.Array, List: []*cimxml.Value{text("A"), text("B")}}},
			{Name: "None", Value: &cimxml.Value{Kind: cimxml.Null}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Param("instancename") == nil || got.Param("x") != nil {
		t.Error("a parameter is not found by its name")
	}
}

func TestParseMethodCall(t *testing.T) {
	got, err := cimxml.ParseRequest([]byte(`<CIM CIMVERSION="2.0" DTDVERSION="2.4"><MESSAGE ID="" PROTOCOLVERSION="1.4"><SIMPLEREQ><CORRELATOR NAME="x" TYPE="string"><VALUE>1</VALUE></CORRELATOR><METHODCALL NAME="Do">
<LOCALCLASSPATH><LOCALNAMESPACEPATH><NAMESPACE NAME="interop"/></LOCALNAMESPACEPATH><CLASSNAME NAME="T_All"/></LOCALCLASSPATH>
<PARAMVALUE NAME="I" PARAMTYPE="string" EmbeddedObject="instance"><VALUE>&lt;INSTANCE CLASSNAME="T_All"&gt;&lt;PROPERTY NAME="S" TYPE="string"&gt;&lt;VALUE&gt;a&amp;amp;b&lt;/VALUE&gt;&lt;/PROPERTY&gt;&lt;/INSTANCE&gt;</VALUE></PARAMVALUE>
<PARAMVALUE NAME="R"><VALUE.REFARRAY><VALUE.REFERENCE><LOCALCLASSPATH><LOCALNAMESPACEPATH><NAMESPACE NAME="x"/></LOCALNAMESPACEPATH><CLASSNAME NAME="C"/></LOCALCLASSPATH></VALUE.REFERENCE><VALUE.NULL/></VALUE.REFARRAY></PARAMVALUE>
</METHODCALL></SIMPLEREQ></MESSAGE></CIM>`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Intrinsic || got.Target.Class != "T_All" || got.Target.Instance || got.Namespace != "interop" || got.Param("R").Value.List[0].Path.Namespace != "x" || got.Param("R").Value.List[1].Kind != cimxml.Null {
		t.Errorf("%+v", got)
	}
	v, err := cimxml.Embedded(got.Param("I").Value.Text)
	if err != nil || v.Instance.Properties[0].Value.Text != "a&b" {
		t.Errorf("%+v, %v", v, err)
	}
}

func wrap(s string) string {
	return `<CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="1" PROTOCOLVERSION="1.0">` + s + `</MESSAGE></CIM>`
}

func call(s string) string {
	return wrap(`<SIMPLEREQ><IMETHODCALL NAME="X"><LOCALNAMESPACEPATH><NAMESPACE NAME="a"/></LOCALNAMESPACEPATH>` + s + `</IMETHODCALL></SIMPLEREQ>`)
}

func TestRefused(t *testing.T) {
	good := call("")
	if _, err := cimxml.ParseRequest([]byte("\ufeff<?xml version='1.0' encoding='UTF-8'?>" + good + "<!-- end -->\n")); err != nil {
		t.Errorf("a good request: %v", err)
	}
	for name, c := range map[string]struct{ doc, cimError string }{
		"nothing":           {"", cimxml.NotWellFormed},
		"text":              {"hello", cimxml.NotWellFormed},
		"cut off":           {good[:len(good)-10], cimxml.NotWellFormed},
		"twice":             {good + good, cimxml.NotWellFormed},
		"text behind":       {good + "x", cimxml.NotWellFormed},
		"declaration twice": {good + "<?xml version='1.0'?>", cimxml.NotWellFormed},
		"wrong end":         {strings.Replace(good, "</IMETHODCALL></SIMPLEREQ>", "</SIMPLEREQ></IMETHODCALL>", 1), cimxml.NotWellFormed},
		"doctype":           {`<!DOCTYPE CIM SYSTEM "http://x/">` + good, cimxml.NotWellFormed},
		"billion laughs":    {`<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY c "&b;&b;">]>` + strings.Replace(good, `ID="1"`, `ID="&c;"`, 1), cimxml.NotWellFormed},
		"entity":            {strings.Replace(good, `ID="1"`, `ID="&xxe;"`, 1), cimxml.NotWellFormed},
		"latin-1":           {`<?xml version="1.0" encoding="ISO-8859-1"?>` + good, cimxml.NotWellFormed},
		"utf-16":            {"\xff\xfe<\x00C\x00", cimxml.NotWellFormed},
		"bad utf-8":         {strings.Replace(good, `"1"`, "\"\xff\"", 1), cimxml.NotWellFormed},
		"deep":              {call(strings.Repeat("<VALUE>", 100) + strings.Repeat("</VALUE>", 100)), cimxml.NotWellFormed},
		"many":              {call(strings.Repeat("<VALUE/>", cimxml.MaxElements)), cimxml.NotWellFormed},
		"attribute twice":   {strings.Replace(good, `ID="1"`, `ID="1" ID="2"`, 1), cimxml.NotWellFormed},
		"html":              {"<html></html>", cimxml.NotValid},
		"cim version":       {strings.Replace(good, `CIMVERSION="2.0"`, `CIMVERSION="3.0"`, 1), cimxml.UnsupportedCIM},
		"dtd version":       {strings.Replace(good, `DTDVERSION="2.0"`, `DTDVERSION="1.0"`, 1), cimxml.UnsupportedDTD},
		"protocol version":  {strings.Replace(good, `PROTOCOLVERSION="1.0"`, `PROTOCOLVERSION="2.0"`, 1), cimxml.UnsupportedVersion},
		"several":           {wrap("<MULTIREQ><SIMPLEREQ/><SIMPLEREQ/></MULTIREQ>"), cimxml.MultipleRequests},
		"an export":         {wrap("<SIMPLEEXPREQ/>"), cimxml.Unsupported},
		"an answer":         {wrap("<SIMPLERSP/>"), cimxml.NotValid},
		"two calls":         {wrap(`<SIMPLEREQ><IMETHODCALL NAME="X"/><IMETHODCALL NAME="X"/></SIMPLEREQ>`), cimxml.NotValid},
		"no namespace":      {wrap(`<SIMPLEREQ><IMETHODCALL NAME="X"/></SIMPLEREQ>`), cimxml.NotValid},
		"unknown element":   {call(`<IPARAMVALUE NAME="a"><WHAT/></IPARAMVALUE>`), cimxml.NotValid},
		"parameter twice":   {call(`<IPARAMVALUE NAME="a"><VALUE/></IPARAMVALUE><IPARAMVALUE NAME="A"><VALUE/></IPARAMVALUE>`), cimxml.NotValid},
		"two values":        {call(`<IPARAMVALUE NAME="a"><VALUE/><VALUE/></IPARAMVALUE>`), cimxml.NotValid},
		"extrinsic param":   {call(`<PARAMVALUE NAME="a"><VALUE/></PARAMVALUE>`), cimxml.NotValid},
		"prefix":            {strings.ReplaceAll(good, "SIMPLEREQ", "a:SIMPLEREQ"), cimxml.NotValid},
	} {
		_, err := cimxml.ParseRequest([]byte(c.doc))
		e, ok := errors.AsType[*cimxml.Error](err)
		if !ok || e.CIMError != c.cimError {
			t.Errorf("%s: %v, want %s", name, err, c.cimError)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(getInstance))
	f.Add([]byte(call(`<IPARAMVALUE NAME="a"><INSTANCE CLASSNAME="T_All"><PROPERTY.ARRAY NAME="x" TYPE="uint8"><VALUE.ARRAY><VALUE>1</VALUE><VALUE.NULL/></VALUE.ARRAY></PROPERTY.ARRAY></INSTANCE></IPARAMVALUE>`)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := cimxml.ParseRequest(doc)
		if err != nil {
			if _, ok := errors.AsType[*cimxml.Error](err); !ok {
				t.Fatalf("the error has no header: %v", err)
			}
			return
		}
		if r.Name == "" || !r.Intrinsic && r.Target == nil {
			t.Fatalf("%+v is not whole", r)
		}
		for i := range r.Params {
			if r.Params[i].Value == nil {
				t.Fatalf("%s has no value", r.Params[i].Name)
			}
		}
	})
}

// Every text comes out of a document as it went in, or with what XML can't hold replaced.
func FuzzText(f *testing.F) {
	s := schema(f)
	f.Add(nasty)
	f.Fuzz(func(t *testing.T, text string) {
		i := s.MustClass("T_All").New("root/cimv2")
		i.Set("Name", text)
		i.Set("Any", []any{i})
		root, err := cimtest.Response(response(func(w *cimxml.Writer) { w.NamedInstance(i, cimxml.All(i.Class())) }), s.Class)
		if err != nil {
			t.Fatal(err)
		}
		got := root.Find("VALUE")[0].Text
		if got != text && !strings.Contains(got, "\ufffd") {
			t.Fatalf("%q came out as %q", text, got)
		}
	})
}
