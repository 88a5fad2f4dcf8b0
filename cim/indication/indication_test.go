package indication

import (
	"context"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/outbox/outboxtest"
)

func testSchema(t *testing.T) *object.Schema {
	t.Helper()
	files, err := os.ReadDir("../schema")
	if err != nil {
		t.Fatal(err)
	}
	all := []byte("#pragma namespace(\"" + model.Root + "\")\n")
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".mof") && f.Name() != "all.mof" {
			b, err := os.ReadFile("../schema/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	schemas, err := mof.Compile(fstest.MapFS{"test.mof": {Data: all}}, "test.mof")
	if err != nil {
		t.Fatal(err)
	}
	return schemas[0]
}

// received is an indication as a listener reads it, with nothing of our own codec.
type received struct {
	class string
	value map[string]string
}

// listener is a WBEM listener.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	more   chan struct{}
	refuse int // so many deliveries are answered with 503
	user   string
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{more: make(chan struct{}, 1000)}
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("CIMExport") != "MethodRequest" || r.Header.Get("CIMExportMethod") != "ExportIndication" {
			http.Error(w, "no export", http.StatusBadRequest)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.user, _, _ = r.BasicAuth()
		if l.refuse > 0 {
			l.refuse--
			http.Error(w, "not now", http.StatusServiceUnavailable)
			l.more <- struct{}{}
			return
		}
		var message struct {
			ID       string `xml:"ID,attr"`
			Instance struct {
				Class      string `xml:"CLASSNAME,attr"`
				Properties []struct {
					Name  string  `xml:"NAME,attr"`
					Value *string `xml:"VALUE"`
				} `xml:"PROPERTY"`
			} `xml:"SIMPLEEXPREQ>EXPMETHODCALL>EXPPARAMVALUE>INSTANCE"`
		}
		var root struct {
			Message struct {
				Inner []byte `xml:",innerxml"`
				ID    string `xml:"ID,attr"`
			} `xml:"MESSAGE"`
		}
		if err = xml.Unmarshal(body, &root); err == nil {
			err = xml.Unmarshal([]byte("<M>"+string(root.Message.Inner)+"</M>"), &message)
		}
		if err != nil || message.Instance.Class == "" {
			http.Error(w, "not understood", http.StatusBadRequest)
			return
		}
		x := received{message.Instance.Class, map[string]string{}}
		for _, p := range message.Instance.Properties {
			if p.Value != nil {
				x.value[p.Name] = *p.Value
			}
		}
		l.got = append(l.got, x)
		l.more <- struct{}{}
		w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
		w.Header().Set("CIMExport", "MethodResponse")
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="%s" PROTOCOLVERSION="1.0"><SIMPLEEXPRSP><EXPMETHODRESPONSE NAME="ExportIndication"><IRETURNVALUE></IRETURNVALUE></EXPMETHODRESPONSE></SIMPLEEXPRSP></MESSAGE></CIM>`, root.Message.ID)
	}))
	t.Cleanup(l.Close)
	return l
}

// all returns what was received, once there is that much.
func (l *listener) all(t *testing.T, n int) []received {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		got := slices.Clone(l.got)
		l.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("%d indications arrived, want %d: %v", len(got), n, got)
		}
	}
}

// world is an engine, and states.
type world struct {
	*outboxtest.Engine
	mu     sync.Mutex
	events int
	schema *object.Schema
	now    *model.State
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Engine: outboxtest.New(), schema: testSchema(t)}
	w.set(100, "online", "web")
	return w
}

// set makes a new state, in which n1 has a state and there are some resources.
func (w *world) set(revision int64, node string, resources ...string) {
	s := &status.Summary{Revision: revision, Time: time.Unix(revision, 0), Cluster: status.Cluster{Name: "prod", State: status.ClusterNormal, DC: "n1"}}
	state, _ := status.NodeStates.Parse(node)
	s.Nodes = []status.Node{{Name: "n1", State: state, Admin: status.AdminOnline, ClockOffset: time.Duration(revision) * time.Millisecond}}
	c := cib.Empty().Config
	for _, r := range resources {
		s.Resources = append(s.Resources, status.Resource{ID: r, Kind: cib.KindPrimitive, State: status.ResourceRunning})
		c.Resources[r] = &cib.Resource{Agent: "belay:dummy"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = model.New(map[string]*object.Schema{model.Root: w.schema}, model.View{Summary: s, Config: &api.Config{Generation: uint64(revision), Config: c}})
}

func (w *world) state() (*model.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now, nil
}

func (w *world) happen(number int, args ...string) {
	ev := event.New(number, args...)
	w.events++
	ev.Seq, ev.Time = uint64(64*w.events), time.Unix(1000, 0)
	w.Add(&ev)
}

// noted waits until the sender has its cursor, and has delivered so much.
func (w *world) noted(t *testing.T, sequence uint64) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		var c outbox.Cursor
		found, changed := w.Get("cim-cursor/s", &c)
		if found && c.Sequence >= sequence {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("the cursor does not move")
		}
	}
}

// send begins a sender on a node; the function that it returns ends it.
func (w *world) send(t *testing.T, l *listener, q string, tracker *Tracker) (stop func()) {
	t.Helper()
	target, err := NewTarget("s", "f", &cib.CIMFilter{Query: q, Language: "DMTF:CQL"}, &cib.CIMDestination{
		URL: l.URL, User: "me", Password: "secret", CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw})),
	}, w.schema)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := &Config{State: w.state, Tracker: tracker}
	box := &outbox.Box{Engine: w, Kind: "cim", Log: slog.New(slog.DiscardHandler)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		box.Serve(ctx, func() (bool, <-chan struct{}) { return true, nil }, []*outbox.Target{target.Outbox(cfg)})
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// Events go to the listener in order, those of the filter alone; a listener that fails
// gets them later; the next DC goes on where the last one ended, and what it sends again
// has the same number.
func TestEvents(t *testing.T) {
	w, l := newWorld(t), newListener(t)
	w.happen(event.NodeLost, "node", "n0") // before the subscription
	stop := w.send(t, l, "SELECT * FROM Belay_ClusterEvent WHERE PerceivedSeverity > 4", NewTracker())
	w.noted(t, 0)
	w.happen(event.NodeLost, "node", "n1", "silence", "1s")
	w.happen(event.ResourceStarted, "resource", "web", "node", "n1") // not severe
	w.happen(event.QuorumLost, "node", "n2", "reason", "<&\"ü")
	l.all(t, 2)
	w.noted(t, 2)
	stop()
	l.mu.Lock()
	l.refuse = 1
	l.mu.Unlock()
	w.happen(event.NodeFenced, "node", "n1", "by", "pdu", "proof", "p1")
	w.send(t, l, "SELECT * FROM Belay_ClusterEvent WHERE PerceivedSeverity > 4", NewTracker()) // the next DC
	w.happen(event.FencingImpossible, "node", "n3")
	got := l.all(t, 4)
	var seen []string
	for _, x := range got {
		if x.class != "Belay_ClusterEvent" || x.value["SequenceContext"] != got[0].value["SequenceContext"] || x.value["IndicationFilterName"] != "f" {
			t.Errorf("%+v", x)
		}
		seen = append(seen, x.value["SequenceNumber"]+" "+x.value["EventName"])
	}
	if want := []string{"1 node-lost", "2 quorum-lost", "3 node-fenced", "4 fencing-impossible"}; !slices.Equal(seen, want) {
		t.Errorf("%v, want %v", seen, want)
	}
	if got[1].value["ProbableCauseDescription"] != "Quorum lost" || !strings.Contains(got[1].value["Message"], "<&\"ü") || l.user != "me" {
		t.Errorf("%v from %s", got[1].value, l.user)
	}
}

// What becomes of instances is told with the instance as it was; figures that change all
// the time are no news; another node that has followed goes on from the cursor.
func TestLifecycle(t *testing.T) {
	w, l := newWorld(t), newListener(t)
	one, other := NewTracker(), NewTracker()
	update := func(revision int64, node string, resources ...string) {
		t.Helper()
		w.set(revision, node, resources...)
		for _, tracker := range []*Tracker{one, other} {
			s, _ := w.state()
			if err := tracker.Update(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	update(100, "online", "web")
	const query = "SELECT * FROM CIM_InstIndication WHERE SourceInstance ISA Belay_Node OR SourceInstance ISA Belay_Resource"
	stop := w.send(t, l, query, one)
	w.noted(t, 0)
	update(101, "online", "web") // the clock's offset alone
	update(102, "standby", "web")
	update(103, "standby", "web", "db")
	l.all(t, 2)
	w.noted(t, 2)
	stop()
	update(104, "standby", "db")
	w.send(t, l, query, other)
	l.all(t, 3)
	update(105, "online", "db")
	got := l.all(t, 4)
	name := regexp.MustCompile(`[.,]Name="([^"]*)"`)
	var seen []string
	for _, x := range got {
		seen = append(seen, x.class+" "+name.FindStringSubmatch(x.value["SourceInstanceModelPath"])[1])
	}
	want := []string{"CIM_InstModification n1", "CIM_InstCreation db", "CIM_InstDeletion web", "CIM_InstModification n1"}
	if !slices.Equal(seen, want) {
		t.Errorf("%v, want %v", seen, want)
	}
	if v := got[0].value; !strings.Contains(v["SourceInstance"], "<VALUE>standby</VALUE>") || !strings.Contains(v["PreviousInstance"], "<VALUE>online</VALUE>") {
		t.Errorf("%v", v)
	}
}

// A query over what is no indication, or that does not fit its class, is refused; a
// listener whose certificate nobody vouches for gets nothing.
func TestTargets(t *testing.T) {
	schema, l := testSchema(t), newListener(t)
	for _, q := range []string{"SELECT * FROM Belay_Node", "SELECT * FROM None", "SELECT Nothing FROM Belay_ClusterEvent", "SELECT * FROM Belay_ClusterEvent WHERE Nothing = 1", "SELECT", ""} {
		if _, err := NewTarget("s", "f", &cib.CIMFilter{Query: q, Language: "DMTF:CQL"}, &cib.CIMDestination{URL: l.URL}, schema); err == nil {
			t.Errorf("%q is good", q)
		}
	}
	for _, d := range []*cib.CIMDestination{{URL: "nothing"}, {URL: l.URL, CA: "x"}} {
		if _, err := NewTarget("s", "f", &cib.CIMFilter{Query: "SELECT * FROM CIM_Indication", Language: "WQL"}, d, schema); err == nil {
			t.Errorf("%+v is good", d)
		}
	}
	target, err := NewTarget("s", "f", &cib.CIMFilter{Query: "SELECT * FROM CIM_Indication", Language: "WQL"}, &cib.CIMDestination{URL: l.URL}, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.post(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("delivered to a stranger: %v", err)
	}
}

// A tracker that is behind says so, and keeps no more than it may.
func TestTrackerBounds(t *testing.T) {
	w, tracker := newWorld(t), NewTracker()
	update := func(revision int64, state string) {
		t.Helper()
		w.set(revision, state)
		s, _ := w.state()
		if err := tracker.Update(s); err != nil {
			t.Fatal(err)
		}
	}
	update(10, "online")
	if _, _, lost, _ := tracker.after(5); !lost {
		t.Error("what was before the tracker is not lost")
	}
	update(11, "standby")
	list, upTo, lost, _ := tracker.after(10)
	if len(list) != 2 || upTo != 11 || lost { // the node, and its part in the cluster
		t.Errorf("%d differences up to %d, lost %v", len(list), upTo, lost)
	}
	tracker.recent = slices.Repeat(tracker.recent, differencesMax)
	update(12, "online")
	if len(tracker.recent) != differencesMax {
		t.Errorf("%d differences are kept", len(tracker.recent))
	}
	if _, _, lost, _ := tracker.after(10); !lost {
		t.Error("what was dropped is not lost")
	}
}

// A sender that ends while a listener answers does not know whether the indication was
// taken: the next one sends it again, with the same number.
func TestRepeats(t *testing.T) {
	w, l := newWorld(t), newListener(t)
	stop := w.send(t, l, "SELECT * FROM Belay_ClusterEvent", NewTracker())
	w.noted(t, 0)
	var before outbox.Cursor
	w.Get("cim-cursor/s", &before)
	w.happen(event.QuorumLost, "node", "n2", "reason", "x")
	l.all(t, 1)
	w.noted(t, 1)
	stop()
	w.Put("cim-cursor/s", before)
	w.send(t, l, "SELECT * FROM Belay_ClusterEvent", NewTracker())
	got := l.all(t, 2)
	if a, b := got[0].value, got[1].value; a["SequenceNumber"] != "1" || b["SequenceNumber"] != "1" || a["SequenceContext"] != b["SequenceContext"] || a["IndicationIdentifier"] != b["IndicationIdentifier"] {
		t.Errorf("%v\n%v", a, b)
	}
}
