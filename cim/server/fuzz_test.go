package server_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/cim/cimtest"
	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/server"
)

// Whatever somebody sends who may log in, the answer is one of HTTP or a response that the
// DTD and the classes allow, the server makes no mistake, and what is refused changes nothing.
func FuzzServer(f *testing.F) {
	all := schemas(f)
	inst := param("InstanceName", system("a"))
	for op, params := range map[string]string{
		"GetInstance":            inst + value("LocalOnly", "FALSE") + array("PropertyList", "State"),
		"EnumerateInstances":     class("T_System") + value("DeepInheritance", "TRUE"),
		"Associators":            param("ObjectName", system("a")) + value("Role", "User"),
		"ExecQuery":              value("QueryLanguage", "WQL") + value("Query", "SELECT Name FROM T_System WHERE State = 2"),
		"OpenEnumerateInstances": class("T_System") + value("FilterQueryLanguage", "DMTF:FQL") + value("FilterQuery", "State = 2") + value("MaxObjectCount", "1"),
		"PullInstancesWithPath":  value("EnumerationContext", "x") + value("MaxObjectCount", "1"),
		"SetProperty":            inst + value("PropertyName", "State") + value("NewValue", "5"),
		"CreateInstance":         param("NewInstance", `<INSTANCE CLASSNAME="T_System"><PROPERTY NAME="Name" TYPE="string"><VALUE>n</VALUE></PROPERTY></INSTANCE>`),
		"EnumerateQualifiers":    "",
		"extrinsic Add":          `<PARAMVALUE NAME="A"><VALUE>1</VALUE></PARAMVALUE>`,
		"extrinsic Move":         `<PARAMVALUE NAME="To"><VALUE>n2</VALUE></PARAMVALUE>`,
	} {
		f.Add(op, params)
	}
	f.Fuzz(func(t *testing.T, op, params string) {
		doc := message(ns, op, params)
		if x, ok := strings.CutPrefix(op, "extrinsic "); ok {
			doc = strings.NewReplacer("IMETHODCALL", "METHODCALL", `NAME="`+op+`"`, `NAME="`+x+`"`, "<LOCALNAMESPACEPATH>", "<LOCALINSTANCEPATH><LOCALNAMESPACEPATH>", "</LOCALNAMESPACEPATH>", "</LOCALNAMESPACEPATH>"+system("a")+"</LOCALINSTANCEPATH>").Replace(doc)
		}
		w := newWorld(all[1])
		s := server.New(server.Options{Schemas: all, Contexts: 2, UserContexts: 2, Now: func() time.Time { return time.Unix(1e9, 0) }, Login: func(*http.Request) (server.Session, error) { return w, nil }})
		r := httptest.NewRequest(http.MethodPost, "/cimom", strings.NewReader(doc))
		r.Header.Set("Content-Type", `application/xml; charset="utf-8"`)
		r.Header.Set("CIMOperation", "MethodCall")
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("anna:pw")))
		adds := false // the one method here that is made to fail
		if req, err := cimxml.ParseRequest([]byte(doc)); err == nil {
			adds = object.Same(req.Name, "Add")
			r.Header.Set("CIMMethod", escaped(req.Name))
			r.Header.Set("CIMObject", escaped(req.Namespace))
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code != http.StatusOK {
			if len(w.calls) > 0 {
				t.Fatalf("%d, and yet %v", rec.Code, w.calls)
			}
			return
		}
		body := rec.Body.String()
		root, err := cimtest.Response(rec.Body.Bytes(), all[1].Class)
		if err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		if strings.Contains(body, "the server made a mistake") && !adds {
			t.Fatalf("a mistake: %s", body)
		}
		if strings.HasPrefix(names(root), "error") && len(w.calls) > 0 {
			t.Fatalf("%s, and yet %v", names(root), w.calls)
		}
	})
}

// escaped is a text as it stands in a header.
func escaped(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' && c != ':' {
			out.WriteByte(c)
		} else {
			out.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
		}
	}
	return out.String()
}
