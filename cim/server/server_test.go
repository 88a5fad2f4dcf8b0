package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/cim/cimtest"
	"github.com/belay-ha/belay/cim/object"
)

const ns = "root/cimv2"

// Every intrinsic operation, what it answers, and with which code it is refused.
func TestOperations(t *testing.T) {
	l := newLab(t)
	inst := param("InstanceName", system("a"))
	object := func(s string) string { return param("ObjectName", s) }
	local := "Name,State,Epoch,Tags,Since,Up,Score,Load,Setting"
	all := "Caption,Name,State,Epoch,Tags,Since,Up,Score,Load,Setting"
	for _, c := range []struct{ op, params, want string }{
		{"GetClass", class("t_system") + value("LocalOnly", "false"), "T_System"},
		{"GetClass", class("Nothing"), "error 6"},
		{"GetClass", "", "error 4"},
		{"GetClass", class("T_System") + value("LocalOnly", "perhaps"), "error 4"},
		{"GetClass", class("T_System") + value("Wrong", "1"), "error 4"},
		{"EnumerateClassNames", "", "T_Element T_Has T_Setting T_Uses"},
		{"EnumerateClassNames", class("T_Element"), "T_System"},
		{"EnumerateClassNames", class("T_Element") + value("DeepInheritance", "TRUE"), "T_System T_Secret T_Special"},
		{"EnumerateClassNames", class("T_Special"), ""},
		{"EnumerateClassNames", class("Nothing"), "error 5"},
		{"EnumerateClasses", class("T_System"), "T_Secret T_Special"},
		{"EnumerateClasses", class("Nothing"), "error 5"},
		{"CreateClass", param("NewClass", `<CLASS NAME="X"/>`), "error 7"},
		{"ModifyClass", param("ModifiedClass", `<CLASS NAME="X"/>`), "error 7"},
		{"DeleteClass", class("T_System"), "error 7"},
		{"GetQualifier", value("QualifierName", "KEY"), "[Key]"},
		{"GetQualifier", value("QualifierName", "Nothing"), "error 6"},
		{"SetQualifier", param("QualifierDeclaration", `<QUALIFIER.DECLARATION NAME="X" TYPE="string"/>`), "error 7"},
		{"DeleteQualifier", value("QualifierName", "Key"), "error 7"},
		{"EnumerationCount", "", "error 7"},
		{"Nothing", "", "error 7"},

		{"EnumerateInstanceNames", class("T_Element"), "T_System.a T_System.b\"\\<&> T_Special.c"},
		{"EnumerateInstanceNames", class("T_Special"), "T_Special.c"},
		{"EnumerateInstanceNames", class("T_Secret"), "error 2"},
		{"EnumerateInstanceNames", class("Nothing"), "error 5"},
		{"EnumerateInstances", class("T_Special"), "T_Special.c=T_Special{" + all + ",Extra}"},
		{"EnumerateInstances", class("T_Special") + value("LocalOnly", "TRUE"), "T_Special.c=T_Special{Extra}"},
		{"EnumerateInstances", class("T_System") + value("LocalOnly", "TRUE"), strings.ReplaceAll("T_System.a=T_System{L} T_System.b\"\\<&>=T_System{L} T_Special.c=T_Special{L,Extra}", "L", local)},
		{"EnumerateInstances", class("T_System") + value("LocalOnly", "TRUE") + value("DeepInheritance", "FALSE"), strings.ReplaceAll("T_System.a=T_System{L} T_System.b\"\\<&>=T_System{L} T_Special.c=T_Special{L}", "L", local)},
		{"GetInstance", inst + value("LocalOnly", "TRUE"), "T_System{" + local + "}"},
		{"GetInstance", inst + value("LocalOnly", "FALSE"), "T_System{" + all + "}"},
		{"GetInstance", inst + value("LocalOnly", "TRUE") + array("PropertyList", "Caption", "State"), "T_System{State}"},
		{"EnumerateInstances", class("T_Element") + value("DeepInheritance", "FALSE"), "T_System.a=T_System{Caption} T_System.b\"\\<&>=T_System{Caption} T_Special.c=T_Special{Caption}"},
		{"EnumerateInstances", class("T_Special") + array("PropertyList", "extra", "Name", "Nothing"), "T_Special.c=T_Special{Name,Extra}"},
		{"EnumerateInstances", class("T_Special") + array("PropertyList"), "T_Special.c=T_Special{}"},
		{"GetInstance", inst, "T_System{" + all + "}"},
		{"GetInstance", inst + array("PropertyList", "State"), "T_System{State}"},
		{"GetInstance", param("InstanceName", system("A")), "error 6"},
		{"GetInstance", param("InstanceName", system("b&quot;\\&lt;&amp;&gt;")) + array("PropertyList", "State"), "T_System{State}"},
		{"GetInstance", param("InstanceName", named("T_System", "name", "a")) + array("PropertyList", "State"), "T_System{State}"},
		{"GetInstance", param("InstanceName", named("T_System", "Wrong", "a")), "error 4"},
		{"GetInstance", param("InstanceName", `<INSTANCENAME CLASSNAME="T_System"><KEYVALUE>a</KEYVALUE></INSTANCENAME>`) + array("PropertyList", "State"), "T_System{State}"},
		{"GetInstance", param("InstanceName", `<INSTANCENAME CLASSNAME="T_System"/>`), "error 4"},
		{"GetInstance", param("InstanceName", named("T_Special", "Name", "a")), "error 6"}, // the name of another class
		{"GetInstance", param("InstanceName", named("T_Element", "Name", "a")), "error 4"},
		{"GetInstance", param("InstanceName", named("Nothing", "Name", "a")), "error 5"},
		{"GetInstance", class("T_System"), "error 4"},
		{"GetProperty", inst + value("PropertyName", "score"), "'-3'"},
		{"GetProperty", inst + value("PropertyName", "Caption"), ""},
		{"GetProperty", inst + value("PropertyName", "Tags"), "'x'='y,=z'"},
		{"GetProperty", inst + value("PropertyName", "Nothing"), "error 12"},
		{"GetProperty", inst, "error 4"},

		{"AssociatorNames", object(system("a")), "T_Setting.T:1 T_System.b\"\\<&> T_Special.c"},
		{"AssociatorNames", object(system("a")) + param("AssocClass", `<CLASSNAME NAME="T_Uses"/>`), "T_System.b\"\\<&> T_Special.c"},
		{"AssociatorNames", object(system("a")) + param("ResultClass", `<CLASSNAME NAME="T_Special"/>`), "T_Special.c"},
		{"AssociatorNames", object(system("a")) + value("Role", "used"), "T_Special.c"},
		{"AssociatorNames", object(system("a")) + value("ResultRole", "Owned"), "T_Setting.T:1"},
		{"AssociatorNames", object(system("a")) + value("Role", "Nothing"), ""},
		{"AssociatorNames", object(system("a")) + param("AssocClass", `<CLASSNAME NAME="Nothing"/>`), "error 4"},
		{"AssociatorNames", object(system("a")) + param("AssocClass", `<CLASSNAME NAME="T_System"/>`), "error 4"},
		{"AssociatorNames", object(system("x")), "error 6"},
		{"AssociatorNames", object(`<CLASSNAME NAME="T_System"/>`), "T_Setting T_System"},
		{"AssociatorNames", object(`<CLASSNAME NAME="T_Setting"/>`), "T_System"},
		{"AssociatorNames", object(`<CLASSNAME NAME="T_Special"/>`) + value("ResultRole", "Owned"), "T_Setting"},
		{"Associators", object(system("a")) + param("ResultClass", `<CLASSNAME NAME="T_Setting"/>`), "T_Setting.T:1=T_Setting{InstanceID,Text}"},
		{"Associators", object(`<CLASSNAME NAME="T_Setting"/>`), "T_System=T_System"},
		{"ReferenceNames", object(system("a")), "T_Has.a-T:1 T_Uses.a-b\"\\<&> T_Uses.a-c T_Uses.c-a"},
		{"ReferenceNames", object(system("a")) + value("Role", "User"), "T_Uses.a-b\"\\<&> T_Uses.a-c"},
		{"ReferenceNames", object(system("a")) + param("ResultClass", `<CLASSNAME NAME="T_Has"/>`), "T_Has.a-T:1"},
		{"ReferenceNames", object(`<CLASSNAME NAME="T_System"/>`), "T_Has T_Uses"},
		{"References", object(named("T_Special", "Name", "c")) + array("PropertyList", "Weight") + value("Role", "Used"), "T_Uses.a-c=T_Uses{Weight}"},
		{"References", object(`<CLASSNAME NAME="T_Setting"/>`), "T_Has=T_Has"},
		{"References", object(`<CLASSNAME NAME="Nothing"/>`), "error 4"},

		{"ExecQuery", value("QueryLanguage", "WQL") + value("Query", "SELECT Name FROM T_System WHERE State = 2"), "T_System.a=T_System{Name} T_Special.c=T_Special{Name}"},
		{"ExecQuery", value("QueryLanguage", "DMTF:CQL") + value("Query", "SELECT Name FROM T_System WHERE Name LIKE 'c.*'"), "T_Special.c=T_Special{Name}"},
		{"ExecQuery", value("QueryLanguage", "SQL") + value("Query", "SELECT 1"), "error 14"},
		{"ExecQuery", value("QueryLanguage", "WQL") + value("Query", "SELECT x FROM T_System"), "error 15"},
		{"ExecQuery", value("QueryLanguage", "WQL") + value("Query", "SELECT * FROM Nothing"), "error 15"},
	} {
		if root, _ := l.call(ns, c.op, c.params); names(root) != c.want {
			t.Errorf("%s %s\n got %s\nwant %s", c.op, c.params, names(root), c.want)
		}
	}
	root, _ := l.call(ns, "EnumerateQualifiers", "")
	if n := len(root.Find("QUALIFIER.DECLARATION")); n != 17 {
		t.Errorf("%d qualifiers", n)
	}
	for namespace, want := range map[string]string{"Interop": "T_Profile", "root/interop": "T_Profile", "root/nothing": "error 3", "": "error 3"} {
		if root, _ := l.call(namespace, "EnumerateClassNames", ""); names(root) != want {
			t.Errorf("namespace %s: %s, want %s", namespace, names(root), want)
		}
	}
}

func TestWrites(t *testing.T) {
	l := newLab(t)
	instance := func(class, props string) string {
		return `<INSTANCE CLASSNAME="` + class + `">` + props + `</INSTANCE>`
	}
	property := func(name, typ, v string) string {
		return `<PROPERTY NAME="` + name + `" TYPE="` + typ + `"><VALUE>` + v + `</VALUE></PROPERTY>`
	}
	create := func(class, props string) string { return param("NewInstance", instance(class, props)) }
	modify := func(path, class, props string) string {
		return param("ModifiedInstance", `<VALUE.NAMEDINSTANCE>`+path+instance(class, props)+`</VALUE.NAMEDINSTANCE>`)
	}
	embedded := `&lt;INSTANCE CLASSNAME="T_Setting"&gt;&lt;PROPERTY NAME="Text" TYPE="string"&gt;&lt;VALUE&gt;hi&lt;/VALUE&gt;&lt;/PROPERTY&gt;&lt;/INSTANCE&gt;`
	a := param("InstanceName", system("a"))
	for _, c := range []struct{ op, params, want, call string }{
		{"CreateInstance", create("T_System", property("Name", "string", "n")+property("State", "uint16", "3")), "T_System.n", "create root/cimv2:T_System.Name=\"n\""},
		{"CreateInstance", create("T_System", property("Name", "string", "n")), "error 11", ""},
		{"CreateInstance", create("Nothing", ""), "error 5", ""},
		{"CreateInstance", create("T_Element", ""), "error 7", ""},
		{"CreateInstance", create("T_System", property("Wrong", "string", "n")), "error 12", ""},
		{"CreateInstance", create("T_System", property("State", "uint16", "x")), "error 13", ""},
		{"CreateInstance", create("T_System", property("State", "uint16", "65536")), "error 13", ""},
		{"CreateInstance", create("T_System", property("State", "string", "3")), "error 13", ""},
		{"CreateInstance", create("T_System", property("State", "uint16", "3")+property("state", "uint16", "4")), "error 4", ""},
		{"CreateInstance", create("T_System", property("Setting", "string", "&lt;INSTANCE")), "error 4", ""},
		{"CreateInstance", create("T_System", property("Setting", "string", "&lt;INSTANCE CLASSNAME=\"T_System\"/&gt;")), "error 13", ""},
		{"CreateInstance", create("T_System", property("Tags", "string", "x")), "error 13", ""},
		{"CreateInstance", "", "error 4", ""},
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "9")), "", "modify root/cimv2:T_System.Name=\"a\" Score=9"},
		{"ModifyInstance", modify(system("a"), "T_System", property("Setting", "string", embedded)), "", "modify root/cimv2:T_System.Name=\"a\" Setting="},
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "10")+property("Name", "string", "a")+property("Epoch", "uint64", "7")), "", "modify root/cimv2:T_System.Name=\"a\" Score=10"},
		{"ModifyInstance", modify(system("a"), "T_System", property("Epoch", "uint64", "8")), "error 7", ""},
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "14")+property("Epoch", "uint64", "8")), "", "modify root/cimv2:T_System.Name=\"a\" Score=14"}, // as it was once
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "14")+property("Epoch", "uint64", "8")), "error 7", ""},                                        // nothing else is another
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "15")+property("Epoch", "uint64", "8")) + array("PropertyList", "Score", "Epoch"), "error 7", ""},
		{"ModifyInstance", modify(system("a"), "T_System", property("Epoch", "uint64", "8")+property("Score", "sint32", "15")+property("Name", "string", "z")), "error 7", ""},
		{"ModifyInstance", modify(system("a"), "T_System", property("Name", "string", "z")), "error 7", ""},
		{"ModifyInstance", modify(system("a"), "T_Special", ""), "error 4", ""},
		{"ModifyInstance", modify(system("zz"), "T_System", ""), "error 6", ""},
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "11")+property("State", "uint16", "1")) + array("PropertyList", "Score"), "", "modify root/cimv2:T_System.Name=\"a\" Score=11"},
		{"ModifyInstance", modify(system("a"), "T_System", "") + array("PropertyList", "Score"), "", "modify root/cimv2:T_System.Name=\"a\" Score="},
		{"ModifyInstance", modify(system("a"), "T_System", "") + array("PropertyList", "Wrong"), "error 12", ""},
		{"ModifyInstance", modify(system("a"), "T_System", property("Score", "sint32", "12")) + array("PropertyList"), "", ""},
		{"ModifyInstance", create("T_System", ""), "error 4", ""},
		{"SetProperty", a + value("PropertyName", "State") + value("NewValue", "5"), "", "modify root/cimv2:T_System.Name=\"a\" State=5"},
		{"SetProperty", a + value("PropertyName", "State"), "", "modify root/cimv2:T_System.Name=\"a\" State="},
		{"SetProperty", a + value("PropertyName", "State") + value("NewValue", "x"), "error 13", ""},
		{"SetProperty", a + value("PropertyName", "State") + array("NewValue", "5"), "error 13", ""},
		{"SetProperty", a + value("PropertyName", "Load") + value("NewValue", "5.0"), "error 7", ""},
		{"SetProperty", a + value("PropertyName", "Wrong") + value("NewValue", "5"), "error 12", ""},
		{"DeleteInstance", param("InstanceName", system("n")), "", "delete root/cimv2:T_System.Name=\"n\""},
		{"DeleteInstance", param("InstanceName", system("n")), "error 6", ""},
	} {
		l.calls = nil
		root, _ := l.call(ns, c.op, c.params)
		if got := strings.Join(l.calls, "; "); names(root) != c.want || got != c.call {
			t.Errorf("%s %s\n got %s, %s\nwant %s, %s", c.op, c.params, names(root), got, c.want, c.call)
		}
	}
}

func TestMethods(t *testing.T) {
	l := newLab(t)
	local := `<LOCALNAMESPACEPATH><NAMESPACE NAME="root"/><NAMESPACE NAME="cimv2"/></LOCALNAMESPACEPATH>`
	onClass := `<LOCALCLASSPATH>` + local + `<CLASSNAME NAME="T_System"/></LOCALCLASSPATH>`
	on := func(name string) string {
		return `<LOCALINSTANCEPATH>` + local + system(name) + `</LOCALINSTANCEPATH>`
	}
	pv := func(name, v string) string { return `<PARAMVALUE NAME="` + name + `">` + v + `</PARAMVALUE>` }
	for _, c := range []struct{ method, target, params, want string }{
		{"Add", onClass, pv("A", "<VALUE>1</VALUE>") + pv("B", "<VALUE.ARRAY><VALUE>2</VALUE><VALUE>3</VALUE></VALUE.ARRAY>"), "0 6"},
		{"add", on("a"), pv("a", "<VALUE>0x10</VALUE>"), "0 16"},
		{"Add", onClass, pv("A", "<VALUE>256</VALUE>"), "error 13"},
		{"Add", onClass, pv("A", "<VALUE.ARRAY><VALUE>2</VALUE></VALUE.ARRAY>"), "error 13"},
		{"Add", onClass, "", "error 4"},
		{"Add", onClass, pv("A", "<VALUE>1</VALUE>") + pv("Sum", "<VALUE>1</VALUE>"), "error 4"},
		{"Add", onClass, pv("A", "<VALUE>99</VALUE>"), "error 1"}, // the model panics
		{"Move", onClass, "", "error 4"},
		{"Move", on("zz"), "", "error 6"},
		{"Nothing", onClass, "", "error 17"},
		{"Move", on("a"), pv("To", "<VALUE>n2</VALUE>") + pv("Near", "<VALUE.REFERENCE>"+system("c")+"</VALUE.REFERENCE>") + pv("Setting", `<VALUE>&lt;INSTANCE CLASSNAME="T_Setting"&gt;&lt;PROPERTY NAME="Text" TYPE="string"&gt;&lt;VALUE&gt;x&amp;lt;y&lt;/VALUE&gt;&lt;/PROPERTY&gt;&lt;/INSTANCE&gt;</VALUE>`), "4096 a"},
		{"Move", on("a"), pv("Near", "<VALUE.REFERENCE>"+named("T_Setting", "InstanceID", "T:1")+"</VALUE.REFERENCE>"), "error 13"},
	} {
		body := strings.Replace(message(ns, "X", ""), `<IMETHODCALL NAME="X"><LOCALNAMESPACEPATH><NAMESPACE NAME="root"/><NAMESPACE NAME="cimv2"/></LOCALNAMESPACEPATH></IMETHODCALL>`,
			`<METHODCALL NAME="`+c.method+`">`+c.target+c.params+`</METHODCALL>`, 1)
		status, _, answer := l.post(map[string]string{"CIMMethod": c.method, "CIMObject": "root%2Fcimv2%3AT_System.Name=%22a%22"}, body)
		if status != http.StatusOK {
			t.Fatalf("%d: %s", status, answer)
		}
		root, err := cimtest.Response([]byte(answer), l.schema.Class)
		if err != nil {
			t.Fatal(err)
		}
		got := names(root)
		if got == "" {
			for _, v := range slices.Concat(root.Find("VALUE"), root.Find("KEYVALUE")) {
				got = strings.TrimSpace(got + " " + v.Text)
			}
		}
		if got != c.want {
			t.Errorf("%s on %s with %s: %s, want %s", c.method, c.target, c.params, got, c.want)
		}
	}
	if want := `move root/cimv2:T_System.Name="a" to n2 near root/cimv2:T_System.Name="c" with x<y`; !slices.Equal(l.calls, []string{want}) {
		t.Errorf("%q, want %q", l.calls, want)
	}
}

// An enumeration that was opened: its context, and whether it is at its end.
func opened(root *cimtest.Element) (id string, end bool) {
	for _, p := range root.Find("PARAMVALUE") {
		switch text := p.Find("VALUE")[0].Text; p.Attrs["NAME"] {
		case "EnumerationContext":
			id = text
		case "EndOfSequence":
			end = text == "TRUE"
		}
	}
	return id, end
}

func TestPull(t *testing.T) {
	l := newLab(t)
	a, byA := param("InstanceName", system("a")), array("PropertyList", "Name")
	for _, c := range []struct{ open, params, pull, want string }{
		{"OpenEnumerateInstances", class("T_System") + byA, "PullInstancesWithPath", "T_System.a=T_System{Name} T_System.b\"\\<&>=T_System{Name} T_Special.c=T_Special{Name}"},
		{"OpenEnumerateInstancePaths", class("T_System"), "PullInstancePaths", "T_System.a T_System.b\"\\<&> T_Special.c"},
		{"OpenEnumerateInstancePaths", class("T_System") + value("FilterQueryLanguage", "DMTF:FQL") + value("FilterQuery", "State = 2"), "PullInstancePaths", "T_System.a T_Special.c"},
		{"OpenReferenceInstances", a + value("Role", "Owner") + array("PropertyList", "Owner"), "PullInstancesWithPath", "T_Has.a-T:1=T_Has{Owner}"},
		{"OpenReferenceInstancePaths", a, "PullInstancePaths", "T_Has.a-T:1 T_Uses.a-b\"\\<&> T_Uses.a-c T_Uses.c-a"},
		{"OpenAssociatorInstances", a + param("ResultClass", `<CLASSNAME NAME="T_Setting"/>`), "PullInstancesWithPath", "T_Setting.T:1=T_Setting{InstanceID,Text}"},
		{"OpenAssociatorInstancePaths", a, "PullInstancePaths", "T_Setting.T:1 T_System.b\"\\<&> T_Special.c"},
		{"OpenQueryInstances", value("FilterQueryLanguage", "DMTF:CQL") + value("FilterQuery", "SELECT Name FROM T_System WHERE State &lt;&gt; 9") + value("ReturnQueryResultClass", "true"), "PullInstances", "T_System{Name} T_System{Name} T_Special{Name}"},
	} {
		for _, count := range []string{"0", "1", "100"} {
			root, _ := l.call(ns, c.open, c.params+value("MaxObjectCount", count))
			got := names(root)
			id, end := opened(root)
			if classes := len(root.Find("CLASS")); c.pull == "PullInstances" && classes != 1 {
				t.Errorf("%s: %d classes", c.open, classes)
			}
			for n := 0; !end; n++ {
				root, _ = l.call(ns, c.pull, value("EnumerationContext", id)+value("MaxObjectCount", "1"))
				if n > 10 || strings.HasPrefix(names(root), "error") {
					t.Fatalf("%s: %s", c.pull, names(root))
				}
				got = strings.TrimSpace(got + " " + names(root))
				_, end = opened(root)
			}
			if got != c.want {
				t.Errorf("%s by %s: %s, want %s", c.open, count, got, c.want)
			}
		}
	}
	if n := l.server.Open(); n != 0 {
		t.Errorf("%d enumerations are left open", n)
	}
}

func TestPullRefused(t *testing.T) {
	l := newLab(t)
	open := func(params string) *cimtest.Element {
		root, _ := l.call(ns, "OpenEnumerateInstances", class("T_System")+params)
		return root
	}
	for params, want := range map[string]string{
		value("OperationTimeout", "0"):                                                 "error 22",
		value("OperationTimeout", "100000"):                                            "error 22",
		value("OperationTimeout", "-1"):                                                "error 4",
		value("ContinueOnError", "TRUE"):                                               "error 26",
		value("FilterQuery", "State = 1"):                                              "error 4",
		value("FilterQueryLanguage", "x"):                                              "error 4",
		value("FilterQueryLanguage", "x") + value("FilterQuery", "State = 1"):          "error 14",
		value("FilterQueryLanguage", "DMTF:FQL") + value("FilterQuery", "State ="):     "error 15",
		value("FilterQueryLanguage", "DMTF:FQL") + value("FilterQuery", "Nothing = 1"): "error 15",
	} {
		if got := names(open(params)); got != want {
			t.Errorf("%s: %s, want %s", params, got, want)
		}
	}
	pull := func(op, id string) string {
		root, _ := l.call(ns, op, value("EnumerationContext", id)+value("MaxObjectCount", "1"))
		return names(root)
	}
	id, _ := opened(open(value("OperationTimeout", "30")))
	if got := pull("PullInstancePaths", id); got != "error 21" {
		t.Errorf("another operation: %s", got)
	}
	if got := pull("PullInstancesWithPath", "made up"); got != "error 21" {
		t.Errorf("an unknown context: %s", got)
	}
	if root, _ := l.call(ns, "PullInstancesWithPath", value("EnumerationContext", id)); names(root) != "error 4" {
		t.Errorf("no MaxObjectCount: %s", names(root))
	}
	status, _, body := l.post(map[string]string{"CIMMethod": "CloseEnumeration", "CIMObject": ns, "Authorization": "Basic Ym9iOnB3"}, message(ns, "CloseEnumeration", value("EnumerationContext", id)))
	if !strings.Contains(body, `CODE="21"`) {
		t.Errorf("another user's context: %d %s", status, body)
	}
	l.now = l.now.Add(29 * time.Second)
	if got := pull("PullInstancesWithPath", id); strings.HasPrefix(got, "error") {
		t.Errorf("before its time is over: %s", got)
	}
	l.now = l.now.Add(30 * time.Second)
	if got := pull("PullInstancesWithPath", id); got != "error 21" {
		t.Errorf("after its time: %s", got)
	}
	l.server.Expire()
	if n := l.server.Open(); n != 0 {
		t.Errorf("%d are open", n)
	}
	first, _ := opened(open(""))
	open("")
	if got := names(open("")); got != "error 27" {
		t.Errorf("more than a user may open: %s", got)
	}
	if root, _ := l.call(ns, "CloseEnumeration", value("EnumerationContext", first)); names(root) != "" {
		t.Errorf("close: %s", names(root))
	}
	if root, _ := l.call(ns, "CloseEnumeration", value("EnumerationContext", first)); names(root) != "error 21" {
		t.Errorf("close again: %s", names(root))
	}
	if got := names(open("")); strings.HasPrefix(got, "error") {
		t.Errorf("after one was closed: %s", got)
	}
}

// An error in the midst is the answer as long as nothing was sent, and ends what was opened.
func TestErrorInTheMidst(t *testing.T) {
	l := newLab(t)
	l.fail = object.Errorf(object.Failed, "the disk is full")
	if root, _ := l.call(ns, "EnumerateInstances", class("T_System")); names(root) != "error 1" {
		t.Error(names(root))
	}
	root, _ := l.call(ns, "OpenEnumerateInstances", class("T_System"))
	id, _ := opened(root)
	if root, _ := l.call(ns, "PullInstancesWithPath", value("EnumerationContext", id)+value("MaxObjectCount", "5")); names(root) != "error 1" {
		t.Error(names(root))
	}
	if n := l.server.Open(); n != 0 {
		t.Errorf("%d are open", n)
	}
	l.fail = errors.New("of another kind")
	if root, _ := l.call(ns, "EnumerateInstanceNames", class("T_System")); names(root) != "error 1" {
		t.Error(names(root))
	}
}

// DSP0200, 7.3: what is refused before an operation begins.
func TestHTTP(t *testing.T) {
	l := newLab(t)
	good := message(ns, "EnumerateClassNames", "")
	head := func(kv ...string) map[string]string {
		m := map[string]string{"CIMMethod": "EnumerateClassNames", "CIMObject": "root/cimv2"}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, c := range []struct {
		name     string
		header   map[string]string
		body     string
		status   int
		cimError string
	}{
		{"good", head(), good, 200, ""},
		{"text/xml", head("Content-Type", "text/xml"), good, 200, ""},
		{"no log-in", head("Authorization", ""), good, 401, ""},
		{"wrong password", head("Authorization", "Basic YW5uYTp4"), good, 401, ""},
		{"content type", head("Content-Type", "application/json"), good, 415, ""},
		{"charset", head("Content-Type", "text/xml; charset=utf-16"), good, 415, ""},
		{"encoding", head("Content-Encoding", "gzip"), good, 415, ""},
		{"operation", head("CIMOperation", "MethodResponse"), good, 400, "unsupported-operation"},
		{"batch", head("CIMBatch", "1"), good, 501, "multiple-requests-unsupported"},
		{"version", head("CIMProtocolVersion", "2.0"), good, 501, "unsupported-protocol-version"},
		{"method", head("CIMMethod", "GetClass"), good, 400, "header-mismatch"},
		{"no method", head("CIMMethod", ""), good, 400, "header-mismatch"},
		{"object", head("CIMObject", "root/x"), good, 400, "header-mismatch"},
		{"object's escapes", head("CIMObject", "root%zz"), good, 400, "header-mismatch"},
		{"doctype", head(), "<!DOCTYPE x>" + good, 400, "request-not-well-formed"},
		{"cut off", head(), good[:200], 400, "request-not-well-formed"},
		{"twice", head(), good + good, 400, "request-not-well-formed"},
		{"not valid", head(), "<CIM CIMVERSION=\"2.0\" DTDVERSION=\"2.0\"/>", 400, "request-not-valid"},
		{"cim version", head(), strings.Replace(good, `CIMVERSION="2.0"`, `CIMVERSION="1.0"`, 1), 501, "unsupported-cim-version"},
		{"too long", head(), good + strings.Repeat(" ", 5<<20), 413, ""},
		{"get", head(":method", "GET"), good, 405, ""},
		{"put", head(":method", "PUT"), good, 405, ""},
		{"m-post", head(":method", "M-POST", "Man", "http://www.dmtf.org/cim/mapping/http/v1.0; ns=73", "73-CIMOperation", "MethodCall", "73-CIMMethod", "EnumerateClassNames", "73-CIMObject", "root%2Fcimv2"), good, 200, ""},
		{"m-post of another kind", head(":method", "M-POST", "Man", "http://x; ns=73"), good, 510, ""},
		{"m-post without headers", head(":method", "M-POST", "Man", "http://www.dmtf.org/cim/mapping/http/v1.0; ns=73"), good, 400, ""},
	} {
		status, h, body := l.post(c.header, c.body)
		got := slices.Concat(header(h, "CIMError"), header(h, "73-CIMError"))
		if status != c.status || c.cimError != "" && !slices.Equal(got, []string{c.cimError}) {
			t.Errorf("%s: %d %v, want %d %s\n%.300s", c.name, status, got, c.status, c.cimError, body)
		}
		if status == 401 && !strings.HasPrefix(h.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: no way to log in", c.name)
		}
		if status == 200 && len(slices.Concat(header(h, "CIMOperation"), header(h, "73-CIMOperation"))) != 1 {
			t.Errorf("%s: headers %v", c.name, h)
		}
	}
	rec := httptest.NewRecorder()
	l.server.ServeHTTP(rec, httptest.NewRequest(http.MethodOptions, "*", nil))
	if rec.Code != 200 || !strings.Contains(strings.Join(header(rec.Header(), "48-CIMSupportedFunctionalGroups"), ""), "association-traversal") {
		t.Errorf("OPTIONS: %d %v", rec.Code, rec.Header())
	}
}
