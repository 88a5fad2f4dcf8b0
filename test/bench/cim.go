package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
	"github.com/belay-ha/belay/cim/server"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

const (
	cimEnumerations = 15
	cimGets         = 3000
	cimContexts     = 100 // may be open
)

// cim measures the WBEM server on a cluster of a thousand resources. The server and
// its client are this process; the state is made, and nothing else runs.
func cim(ctx context.Context, r *Report) error {
	l, err := newCIMLoad()
	if err != nil {
		return err
	}
	if err := l.enumerate(r); err != nil {
		return err
	}
	if err := l.get(ctx, r); err != nil {
		return err
	}
	return l.pull(r)
}

// cimLoad is a server with somebody who may see everything.
type cimLoad struct {
	server *server.Server
	state  *model.State
	now    time.Time
}

// cimSession changes nothing.
type cimSession struct {
	server.Session
	state *model.State
	user  string
}

// User is the caller's name.
func (s cimSession) User() string { return s.user }

// Source is the state.
func (s cimSession) Source(context.Context) (object.Source, error) {
	return s.state.Source(model.Access{Read: func(string) error { return nil }}), nil
}

func newCIMLoad() (*cimLoad, error) {
	schemas, err := schema.Load()
	if err != nil {
		return nil, err
	}
	byName := map[string]*object.Schema{}
	for _, s := range schemas {
		byName[s.Namespace] = s
	}
	summary, config := snmpSummary(), cib.Empty().Config
	for i := range summary.Resources {
		config.Resources[summary.Resources[i].ID] = &cib.Resource{Agent: summary.Resources[i].Agent, Parameters: map[string]string{"state": "/run/state", "delay": "1s"}}
	}
	l := &cimLoad{now: time.Unix(1e9, 0), state: model.New(byName, model.View{Summary: summary, Config: &api.Config{Generation: 1, Config: config}})}
	l.server = server.New(server.Options{Schemas: schemas, Contexts: cimContexts, Now: func() time.Time { return l.now }, Login: func(r *http.Request) (server.Session, error) {
		user, _, _ := r.BasicAuth()
		return cimSession{state: l.state, user: user}, nil
	}})
	return l, nil
}

func cimRequest(op, user, params string) *http.Request {
	body := `<?xml version="1.0" encoding="utf-8"?><CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="1" PROTOCOLVERSION="1.0"><SIMPLEREQ><IMETHODCALL NAME="` + op +
		`"><LOCALNAMESPACEPATH><NAMESPACE NAME="root"/><NAMESPACE NAME="cimv2"/></LOCALNAMESPACEPATH>` + params + `</IMETHODCALL></SIMPLEREQ></MESSAGE></CIM>`
	req := httptest.NewRequest(http.MethodPost, "/cimom", strings.NewReader(body))
	for k, v := range map[string]string{"Content-Type": "application/xml", "CIMOperation": "MethodCall", "CIMMethod": op, "CIMObject": "root%2Fcimv2"} {
		req.Header.Set(k, v)
	}
	req.SetBasicAuth(user, "x")
	return req
}

const cimClass = `<IPARAMVALUE NAME="ClassName"><CLASSNAME NAME="Belay_Resource"/></IPARAMVALUE>`

// cimSink takes an answer, counts its instances and, from time to time, the heap.
type cimSink struct {
	header    http.Header
	instances int
	bytes     int
	sample    bool
	highest   uint64
}

// Header is that of the answer.
func (s *cimSink) Header() http.Header { return s.header }

// WriteHeader does nothing: an error is seen by what is missing.
func (s *cimSink) WriteHeader(int) {}

// Write counts.
func (s *cimSink) Write(p []byte) (int, error) {
	s.instances += bytes.Count(p, []byte("</INSTANCE>"))
	s.bytes += len(p)
	if s.sample {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.highest = max(s.highest, m.HeapAlloc)
	}
	return len(p), nil
}

func (l *cimLoad) enumerate(r *Report) error {
	var took []float64
	size := 0
	for range cimEnumerations {
		sink := &cimSink{header: http.Header{}}
		req := cimRequest("EnumerateInstances", "a", cimClass)
		began := ownCPU()
		l.server.ServeHTTP(sink, req)
		took = append(took, float64((ownCPU()-began).Microseconds())/1000)
		if sink.instances < snmpResources-1 { // one may lie across two writes
			return fmt.Errorf("an enumeration shows %d instances", sink.instances)
		}
		size = sink.bytes
	}
	r.Add(Figure{Name: "CIM EnumerateInstances of 1000 resources", Value: Median(took), Unit: "ms", Goal: AtMost(50), Note: fmt.Sprintf("processor time; %.1f MB of XML", float64(size)/(1<<20))})
	before := heap()
	sink := &cimSink{header: http.Header{}, sample: true}
	l.server.ServeHTTP(sink, cimRequest("EnumerateInstances", "a", cimClass))
	r.Add(Figure{Name: "CIM EnumerateInstances: memory above what was there", Value: megabytes(sink.highest, before.HeapAlloc), Unit: "MB", Goal: AtMost(64), Note: "the most while the answer is written, garbage included"})
	return nil
}

func (l *cimLoad) get(ctx context.Context, r *Report) error {
	ts := httptest.NewUnstartedServer(l.server)
	ts.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	ts.StartTLS()
	defer ts.Close()
	name := func(i int) string {
		key := func(name, v string) string {
			return `<KEYBINDING NAME="` + name + `"><KEYVALUE VALUETYPE="string">` + v + `</KEYVALUE></KEYBINDING>`
		}
		return `<IPARAMVALUE NAME="InstanceName"><INSTANCENAME CLASSNAME="Belay_Resource">` + key("SystemCreationClassName", "Belay_Cluster") + key("SystemName", "bench") +
			key("CreationClassName", "Belay_Resource") + key("Name", fmt.Sprintf("resource-%04d", i%snmpResources)) + `</INSTANCENAME></IPARAMVALUE>`
	}
	one := func(i int) (err error) {
		like := cimRequest("GetInstance", "a", name(i))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, ts.URL+"/cimom", like.Body)
		if err != nil {
			return err
		}
		req.Header, req.ContentLength = like.Header, like.ContentLength
		resp, err := ts.Client().Do(req)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, resp.Body.Close()) }()
		b, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Contains(b, []byte("</INSTANCE>")) {
			return fmt.Errorf("GetInstance: %w: %.300s", err, b)
		}
		return nil
	}
	if err := one(0); err != nil {
		return err
	}
	began := ownCPU()
	for i := range cimGets {
		if err := one(i); err != nil {
			return err
		}
	}
	r.Add(Figure{Name: "CIM GetInstance over TLS, one connection", Value: cimGets / (ownCPU() - began).Seconds(), Unit: "1/s", Goal: AtLeast(2000), Note: "by processor time of server and client together"})
	return nil
}

func (l *cimLoad) pull(r *Report) error {
	open := func(i int) (string, error) {
		rec := httptest.NewRecorder()
		l.server.ServeHTTP(rec, cimRequest("OpenEnumerateInstances", fmt.Sprintf("user%d", i%10), cimClass+`<IPARAMVALUE NAME="MaxObjectCount"><VALUE>1</VALUE></IPARAMVALUE>`))
		if rec.Code != http.StatusOK {
			return "", fmt.Errorf("OpenEnumerateInstances: %d", rec.Code)
		}
		return rec.Body.String(), nil
	}
	before := heap()
	for i := range cimContexts {
		if body, err := open(i); err != nil || strings.Contains(body, "<ERROR") {
			return fmt.Errorf("open enumeration %d: %w: %.300s", i, err, body)
		}
	}
	held := megabytes(heap().HeapAlloc, before.HeapAlloc)
	if body, err := open(0); err != nil || !strings.Contains(body, `CODE="27"`) {
		return fmt.Errorf("enumeration %d is not refused: %w", cimContexts+1, err)
	}
	r.Add(Figure{Name: "CIM enumerations open at most", Value: float64(l.server.Open()), Unit: "", Goal: AtMost(cimContexts), Note: fmt.Sprintf("they hold %.1f MB; one more is refused", held)})
	l.now = l.now.Add(time.Hour)
	l.server.Expire()
	r.Add(Figure{Name: "CIM enumerations open when their time is over", Value: float64(l.server.Open()), Unit: "", Goal: AtMost(0)})
	return nil
}
