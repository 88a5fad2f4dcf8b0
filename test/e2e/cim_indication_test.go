package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
)

// cimCall makes one call of a CIM operation as the admin, and returns the answer.
func (d *devCluster) cimCall(address, namespace, operation, params string) string {
	d.t.Helper()
	var spaces strings.Builder
	for n := range strings.SplitSeq(namespace, "/") {
		spaces.WriteString(`<NAMESPACE NAME="` + n + `"/>`)
	}
	body := `<?xml version="1.0" encoding="utf-8"?><CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="1" PROTOCOLVERSION="1.0"><SIMPLEREQ><IMETHODCALL NAME="` + operation +
		`"><LOCALNAMESPACEPATH>` + spaces.String() + `</LOCALNAMESPACEPATH>` + params + `</IMETHODCALL></SIMPLEREQ></MESSAGE></CIM>`
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, address+"/cimom", strings.NewReader(body))
	must(d.t, err)
	for name, v := range map[string]string{"Content-Type": `application/xml; charset="utf-8"`, "CIMOperation": "MethodCall", "CIMMethod": operation, "CIMObject": namespace, "CIMProtocolVersion": "1.0"} {
		req.Header.Set(name, v)
	}
	for _, u := range d.file().Users {
		if u.Role == "admin" {
			req.SetBasicAuth(u.Name, u.Password)
		}
	}
	web := d.web()
	defer web.CloseIdleConnections()
	res, err := web.Do(req)
	must(d.t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(d.t, err)
	if res.StatusCode != http.StatusOK || bytes.Contains(answer, []byte("<ERROR")) {
		d.t.Fatalf("%s: %s %s", operation, res.Status, answer)
	}
	return string(answer)
}

func cimProperty(name, value string) string {
	return `<PROPERTY NAME="` + name + `" TYPE="string"><VALUE>` + value + `</VALUE></PROPERTY>`
}

// cimName is the INSTANCENAME in an answer.
func cimName(t *testing.T, answer string) string {
	t.Helper()
	name := regexp.MustCompile(`(?s)<INSTANCENAME.*</INSTANCENAME>`).FindString(answer)
	if name == "" {
		t.Fatalf("no name in %s", answer)
	}
	return name
}

// delivered is an indication that has arrived.
type delivered struct {
	class, event string
	number       int
	context      string
}

// cimListener is a WBEM listener that takes everything.
func cimListener(t *testing.T) (s *httptest.Server, got func() []delivered) {
	t.Helper()
	var mu sync.Mutex
	var list []delivered
	find := func(body []byte, pattern string) string {
		m := regexp.MustCompile(pattern).FindSubmatch(body)
		if m == nil {
			return ""
		}
		return string(m[1])
	}
	value := func(body []byte, name string) string {
		return find(body, `<PROPERTY NAME="`+name+`"[^>]*><VALUE>([^<]*)`)
	}
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		number, numberErr := strconv.Atoi(value(body, "SequenceNumber"))
		if user, password, _ := r.BasicAuth(); err != nil || numberErr != nil || user != "me" || password != "a-secret" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		mu.Lock()
		list = append(list, delivered{find(body, `INSTANCE CLASSNAME="([^"]*)"`), value(body, "EventName"), number, value(body, "SequenceContext")})
		mu.Unlock()
		w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID=%q PROTOCOLVERSION="1.0"><SIMPLEEXPRSP><EXPMETHODRESPONSE NAME="ExportIndication"/></SIMPLEEXPRSP></MESSAGE></CIM>`,
			find(body, `MESSAGE ID="([^"]*)"`))
	}))
	t.Cleanup(s.Close)
	return s, func() []delivered {
		mu.Lock()
		defer mu.Unlock()
		return append([]delivered(nil), list...)
	}
}

// A CIM client configures the cluster, and REST shows it. It subscribes to events; when
// the DC loses its power, the next one goes on with the numbers of the sequence, and
// nothing is missing.
func TestCIMIndications(t *testing.T) {
	d := startDev(t)
	listener, got := cimListener(t)
	const space = "interop"
	at := strings.Replace(d.file().Nodes[0].REST, ":7443", ":5989", 1)
	d.cimCall(at, "root/cimv2", "CreateInstance", `<IPARAMVALUE NAME="NewInstance"><INSTANCE CLASSNAME="Belay_ResourceSetting">`+cimProperty("ResourceName", "over-cim")+
		cimProperty("Agent", "belay:dummy")+`</INSTANCE></IPARAMVALUE>`)
	var doc map[string]any
	d.rest("viewer", "/v1/config/resource/over-cim", &doc)
	if doc["agent"] != "belay:dummy" {
		t.Errorf("REST shows %v", doc)
	}

	filter := cimName(t, d.cimCall(at, space, "CreateInstance", `<IPARAMVALUE NAME="NewInstance"><INSTANCE CLASSNAME="CIM_IndicationFilter">`+cimProperty("Name", "test:filter:1")+
		cimProperty("Query", "SELECT * FROM Belay_ClusterEvent")+cimProperty("QueryLanguage", "DMTF:CQL")+`</INSTANCE></IPARAMVALUE>`))
	handler := cimName(t, d.cimCall(at, space, "CreateInstance", `<IPARAMVALUE NAME="NewInstance"><INSTANCE CLASSNAME="CIM_ListenerDestinationCIMXML">`+cimProperty("Name", "test")+
		cimProperty("Destination", strings.Replace(listener.URL, "https://", "https://me:a-secret@", 1))+`</INSTANCE></IPARAMVALUE>`))
	// Who vouches for the listener's certificate is said at the socket: CIM has no word for it.
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: listener.Certificate().Raw})
	value, err := json.Marshal(map[string]string{"ca": string(ca)})
	must(t, err)
	c := client.New(d.file().Nodes[0].Socket)
	defer c.Close()
	_, err = c.Change(t.Context(), &api.Change{Action: api.ActionPatch, Object: "cim-destination/test", Value: value})
	must(t, err)
	reference := func(name, value string) string {
		return `<PROPERTY.REFERENCE NAME="` + name + `"><VALUE.REFERENCE>` + value + `</VALUE.REFERENCE></PROPERTY.REFERENCE>`
	}
	d.cimCall(at, space, "CreateInstance", `<IPARAMVALUE NAME="NewInstance"><INSTANCE CLASSNAME="CIM_IndicationSubscription">`+reference("Filter", filter)+reference("Handler", handler)+`</INSTANCE></IPARAMVALUE>`)

	// The cursor of a new subscription begins at some moment after that: something
	// happens until the first indication arrives.
	await(t, 30*time.Second, "the first indication", func() string {
		d.cimCall(at, "root/cimv2", "ModifyInstance", `<IPARAMVALUE NAME="ModifiedInstance"><VALUE.NAMEDINSTANCE><INSTANCENAME CLASSNAME="Belay_ResourceSetting"><KEYBINDING NAME="InstanceID"><KEYVALUE>Belay:Resource:over-cim</KEYVALUE></KEYBINDING></INSTANCENAME><INSTANCE CLASSNAME="Belay_ResourceSetting"><PROPERTY NAME="Priority" TYPE="sint32"><VALUE>`+
			strconv.Itoa(int(time.Now().UnixMilli()%100000))+`</VALUE></PROPERTY></INSTANCE></VALUE.NAMEDINSTANCE></IPARAMVALUE>`)
		if len(got()) > 0 {
			return ""
		}
		return "nothing has arrived"
	})
	s, err := d.status(0)
	must(t, err)
	dc := s.Cluster.DC
	for _, n := range d.file().Nodes {
		if n.Name == dc {
			must(t, syscall.Kill(n.PID, syscall.SIGKILL)) // the machine's power
		}
	}
	await(t, time.Minute, "the fencing of the DC is told", func() string {
		for _, x := range got() {
			if x.event == "node-fenced" {
				return ""
			}
		}
		return fmt.Sprintf("%d indications", len(got()))
	})
	last := 0
	for _, x := range got() {
		if x.class != "Belay_ClusterEvent" || x.context != got()[0].context || x.number > last+1 {
			t.Errorf("%+v after number %d", x, last)
		}
		last = max(last, x.number)
	}
}
