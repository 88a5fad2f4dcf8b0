package server_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/belay-ha/belay/cim/cimtest"
	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/server"
)

// The model of the tests: a system with parts, in two namespaces.
const classes = `
#pragma include ("qualifiers.mof")
[Abstract, Description("Anything.")] class T_Element { string Caption; };
[Description("A system.")] class T_System : T_Element {
   [Key] string Name; [Write] uint16 State; uint64 Epoch = 7; string Tags[]; datetime Since; boolean Up; [Write] sint32 Score; real64 Load;
   [Write, EmbeddedInstance("T_Setting")] string Setting;
   [Description("Adds."), Static] uint32 Add([In, Required] uint8 A, [In] uint8 B[], [In(false), Out] uint32 Sum);
   uint32 Move([In] string To, [In, EmbeddedInstance("T_Setting")] string Setting, [In] T_System REF Near, [In(false), Out] T_System REF Job);
};
class T_Special : T_System { string Extra = "more"; };
class T_Secret : T_System { };
class T_Setting { [Key] string InstanceID; [Write] string Text; };
[Association] class T_Uses { [Key] T_System REF User; [Key] T_System REF Used; [Write] uint16 Weight; };
[Association] class T_Has { [Key] T_System REF Owner; [Key] T_Setting REF Owned; };
#pragma namespace ("interop")
#pragma include ("qualifiers.mof")
class T_Profile { [Key] string InstanceID; };
`

func schemas(t testing.TB) []*object.Schema {
	t.Helper()
	q, err := os.ReadFile("../mof/testdata/qualifiers.mof")
	if err != nil {
		t.Fatal(err)
	}
	s, err := mof.Compile(fstest.MapFS{"qualifiers.mof": {Data: q}, "a.mof": {Data: []byte(classes)}}, "a.mof")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// world is a Source and a Session over a map.
type world struct {
	mu        sync.Mutex
	schema    *object.Schema
	instances []*object.Instance
	user      string
	calls     []string
	fail      error // of what comes after the first instance
}

func newWorld(s *object.Schema) *world {
	w := &world{schema: s}
	add := func(class string, values map[string]any) *object.Instance {
		i := s.MustClass(class).New("root/cimv2")
		for k, v := range values {
			i.Set(k, v)
		}
		w.instances = append(w.instances, i)
		return i
	}
	setting := add("T_Setting", map[string]any{"InstanceID": "T:1", "Text": "a<b"})
	a := add("T_System", map[string]any{"Name": "a", "State": 2, "Tags": []string{"x", "y,=z"}, "Since": object.DateTime("20240229130507.000000+000"), "Up": true, "Score": -3, "Load": 0.5, "Setting": setting})
	b := add("T_System", map[string]any{"Name": `b"\<&>`, "State": 3})
	c := add("T_Special", map[string]any{"Name": "c", "State": 2})
	add("T_Secret", map[string]any{"Name": "hidden"})
	add("T_Uses", map[string]any{"User": a.Path(), "Used": b.Path(), "Weight": 5})
	add("T_Uses", map[string]any{"User": a.Path(), "Used": c.Path()})
	add("T_Uses", map[string]any{"User": c.Path(), "Used": a.Path()})
	add("T_Has", map[string]any{"Owner": a.Path(), "Owned": setting.Path()})
	return w
}

func (w *world) User() string                                  { return w.user }
func (w *world) Source(context.Context) (object.Source, error) { return w, nil }
func (w *world) note(format string, args ...any) {
	w.calls = append(w.calls, fmt.Sprintf(format, args...))
}

func (w *world) Instances(namespace string, c *object.Class) iter.Seq2[*object.Instance, error] {
	return func(yield func(*object.Instance, error) bool) {
		if c.Is("T_Secret") {
			yield(nil, object.Errorf(object.AccessDenied, "nobody sees this"))
			return
		}
		n := 0
		for _, i := range w.instances {
			if i.Namespace == namespace && i.Class().Is(c.Name) {
				if n > 0 && w.fail != nil {
					yield(nil, w.fail)
					return
				}
				if !yield(i, nil) {
					return
				}
				n++
			}
		}
	}
}

func (w *world) Get(path *object.Path) (*object.Instance, error) {
	for _, i := range w.instances {
		if i.Path().Equal(path) && !i.Class().Is("T_Secret") {
			return i, nil
		}
	}
	return nil, object.Errorf(object.NotFound, "there is no %s", path)
}

func (w *world) References(path *object.Path, c *object.Class) iter.Seq2[*object.Instance, error] {
	return func(yield func(*object.Instance, error) bool) {
		for i := range w.Instances("root/cimv2", c) {
			if !yield(i, nil) { // the server looks for itself at what is referred to
				return
			}
		}
	}
}

func (w *world) Create(_ context.Context, i *object.Instance) (*object.Path, error) {
	if _, err := w.Get(i.Path()); err == nil {
		return nil, object.Errorf(object.AlreadyExists, "%s", i.Path())
	}
	w.instances = append(w.instances, i)
	w.note("create %s", i.Path())
	return i.Path(), nil
}

func (w *world) Modify(_ context.Context, i *object.Instance) error {
	old, err := w.Get(i.Path())
	if err != nil {
		return err
	}
	for _, p := range i.Given() {
		if !p.Key {
			w.note("modify %s %s=%s", i.Path(), p.Name, object.Text(i.Get(p.Name)))
			old.Set(p.Name, i.Get(p.Name))
		}
	}
	return nil
}

func (w *world) Delete(_ context.Context, path *object.Path) error {
	w.note("delete %s", path)
	for n, i := range w.instances {
		if i.Path().Equal(path) {
			w.instances = append(w.instances[:n:n], w.instances[n+1:]...)
		}
	}
	return nil
}

func (w *world) Invoke(_ context.Context, c *object.Call) (*object.Result, error) {
	switch c.Method.Name {
	case "Add":
		sum := uint32(c.In.Get("A").(uint8))
		for _, b := range list(c.In.Get("B")) {
			sum += uint32(b.(uint8))
		}
		if sum == 99 {
			panic("a mistake")
		}
		return c.Out(0, "Sum", sum), nil
	case "Move":
		text := ""
		if s, ok := c.In.Get("Setting").(*object.Instance); ok {
			text = s.Text("Text")
		}
		near, _ := c.In.Get("Near").(*object.Path)
		w.note("move %s to %s near %v with %s", c.Path, c.In.Text("To"), near, text)
		return c.Out(4096, "Job", c.Path), nil
	}
	return nil, errors.New("what?")
}

func list(v any) []any { l, _ := v.([]any); return l }

// lab is a server over a world.
type lab struct {
	*world
	t      *testing.T
	server *server.Server
	url    string
	now    time.Time
}

func newLab(t *testing.T) *lab {
	t.Helper()
	all := schemas(t)
	l := &lab{t: t, world: newWorld(all[1]), now: time.Unix(1e9, 0)}
	l.server = server.New(server.Options{
		Schemas: all, Aliases: map[string]string{"root/interop": "interop"}, Contexts: 3, UserContexts: 2, Now: func() time.Time { return l.now },
		Login: func(r *http.Request) (server.Session, error) {
			user, password, ok := r.BasicAuth()
			if !ok || password != "pw" {
				return nil, &server.Refusal{Status: http.StatusUnauthorized, Text: "who are you?"}
			}
			l.user = user
			return l.world, nil
		},
	})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		cimtest.Handler(l.server, all[1].Class, func(err error) { t.Error(err) }).ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	l.url = ts.URL
	return l
}

func (l *lab) post(header map[string]string, body string) (int, http.Header, string) {
	l.t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/cimom", strings.NewReader(body))
	req.Header.Set("Content-Type", `application/xml; charset="utf-8"`)
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("anna:pw")))
	for k, v := range map[string]string{"CIMOperation": "MethodCall", "CIMProtocolVersion": "1.0"} {
		req.Header.Set(k, v)
	}
	for k, v := range header {
		if k == ":method" {
			req.Method = v
			continue
		}
		if v == "" {
			req.Header.Del(k)
			continue
		}
		req.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	l.server.ServeHTTP(rec, req)
	return rec.Code, rec.Header(), rec.Body.String()
}

// call makes a call; params is the XML of IPARAMVALUEs.
func (l *lab) call(namespace, op, params string) (*cimtest.Element, string) {
	l.t.Helper()
	status, _, body := l.post(map[string]string{"CIMMethod": op, "CIMObject": strings.ReplaceAll(namespace, "/", "%2F")}, message(namespace, op, params))
	if status != http.StatusOK {
		l.t.Fatalf("%s: %d: %s", op, status, body)
	}
	root, err := cimtest.Response([]byte(body), l.schema.Class)
	if err != nil {
		l.t.Fatalf("%s: %v\n%.2000s", op, err, body)
	}
	return root, body
}

func message(namespace, op, params string) string {
	var ns strings.Builder
	for n := range strings.SplitSeq(namespace, "/") {
		ns.WriteString(`<NAMESPACE NAME="` + n + `"/>`)
	}
	return `<?xml version="1.0" encoding="utf-8"?><CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="4711" PROTOCOLVERSION="1.0"><SIMPLEREQ><IMETHODCALL NAME="` + op +
		`"><LOCALNAMESPACEPATH>` + ns.String() + `</LOCALNAMESPACEPATH>` + params + `</IMETHODCALL></SIMPLEREQ></MESSAGE></CIM>`
}

// The forms of parameters.
func value(name, v string) string {
	return `<IPARAMVALUE NAME="` + name + `"><VALUE>` + v + `</VALUE></IPARAMVALUE>`
}

func class(name string) string { return param("ClassName", `<CLASSNAME NAME="`+name+`"/>`) }

func param(name, xml string) string {
	return `<IPARAMVALUE NAME="` + name + `">` + xml + `</IPARAMVALUE>`
}

func array(name string, values ...string) string {
	s := ""
	for _, v := range values {
		s += "<VALUE>" + v + "</VALUE>"
	}
	return param(name, "<VALUE.ARRAY>"+s+"</VALUE.ARRAY>")
}

func system(name string) string { return named("T_System", "Name", name) }

func named(class, key, v string) string {
	return `<INSTANCENAME CLASSNAME="` + class + `"><KEYBINDING NAME="` + key + `"><KEYVALUE VALUETYPE="string">` + v + `</KEYVALUE></KEYBINDING></INSTANCENAME>`
}

// names is what an answer says in short: the names of the instances, classes or paths in
// it, or its error.
func names(root *cimtest.Element) string {
	for _, e := range root.Find("ERROR") {
		return "error " + e.Attrs["CODE"]
	}
	var out []string
	for _, r := range root.Find("IRETURNVALUE") {
		for _, x := range r.Children {
			out = append(out, name(x))
		}
	}
	return strings.Join(out, " ")
}

func name(e *cimtest.Element) string {
	switch e.Name {
	case "CLASS", "CLASSNAME":
		return e.Attrs["NAME"]
	case "QUALIFIER.DECLARATION":
		return "[" + e.Attrs["NAME"] + "]"
	case "INSTANCE":
		var props []string
		for _, p := range e.Children {
			props = append(props, p.Attrs["NAME"])
		}
		return e.Attrs["CLASSNAME"] + "{" + strings.Join(props, ",") + "}"
	case "INSTANCENAME":
		var keys []string
		for _, k := range e.Find("KEYVALUE") {
			keys = append(keys, k.Text)
		}
		return e.Attrs["CLASSNAME"] + "." + strings.Join(keys, "-")
	case "VALUE":
		return "'" + e.Text + "'"
	}
	var parts []string
	for _, c := range e.Children {
		if c.Name != "NAMESPACEPATH" {
			parts = append(parts, name(c))
		}
	}
	return strings.Join(parts, "=")
}

// header is the values of a header, whatever the case of its name.
func header(h http.Header, name string) []string {
	var out []string
	for k, v := range h {
		if strings.EqualFold(k, name) {
			out = append(out, v...)
		}
	}
	return out
}
