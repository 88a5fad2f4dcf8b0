package mib

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
)

var root = Root(DocumentationPEN)

func testView() *View {
	now := time.Date(2026, 11, 22, 12, 30, 15, 0, time.UTC)
	return &View{Node: "n1", Version: "1.0", Age: 3 * time.Second, Summary: &status.Summary{
		Revision: 77, Time: now,
		Cluster: status.Cluster{Name: "prod", State: status.ClusterNoQuorum, Reason: "too few votes", DC: "n1", Generation: 9, ConfigChanged: now},
		Quorum: status.Quorum{State: status.QuorumQuorate, Votes: 2, Expected: 3, Needed: 2, Devices: []status.QuorumDevice{
			{ID: "q", Number: 5, Asked: true, Answer: cib.QuorumHave},
			{ID: "r", Number: 6, Failed: "no route"},
		}},
		Nodes: []status.Node{
			{Name: "n1", ID: 1, State: status.NodeOnline, Addresses: []string{"10.0.0.1"}},
			{Name: "n2", ID: 7, State: status.NodeUnclean, Addresses: []string{"fd00::2"}},
		},
		Remotes: []status.Node{
			{Name: "far1", State: status.NodeOnline, Role: status.RoleRemote, Host: "n2"},
			{Name: "far2", State: status.NodeOffline, Role: status.RoleRemote}, // its connection has no number yet
		},
		Links: []status.Link{{Node: "n1", Peer: "n2", State: status.LinkUp, RTT: 250 * time.Microsecond, Loss: 0.01}},
		Resources: []status.Resource{
			{ID: "b", Number: 12, Kind: cib.KindGroup, State: status.ResourceRunning, Nodes: []string{"n1"}, FailCount: cib.Infinity},
			{ID: "a", Number: 3, Kind: cib.KindPrimitive, Parent: "b", State: status.ResourcePromoted, Instances: []status.Instance{
				{Node: "far1", State: status.InstanceStopped},
				{Node: "far2", State: status.InstanceStopped},
				{Node: "n1", State: status.InstancePromoted, Operations: []status.Operation{{Op: "start", RC: 0, Ended: now.Add(-time.Hour)}, {Op: "monitor", RC: 8, Ended: now}}},
			}},
			{ID: "new", Kind: cib.KindPrimitive},
			{ID: "far1", Number: 20, Kind: cib.KindPrimitive},
			{ID: "far2", Kind: cib.KindPrimitive},
		},
		FenceDevices: []status.FenceDevice{{ID: "pdu", Number: 4, Targets: []string{"n1", "n2"}}},
		Fencing:      []status.Fencing{{ID: "f1", Target: "n2", Asked: now}, {ID: "f2", Target: "n2", Asked: now.Add(-time.Hour)}},
		Failovers:    []status.Failover{{Seq: 4_294_967_295 * 3, Resource: "a"}, {Seq: 64, Resource: "b"}},
		Store:        status.Store{Members: []status.StoreMember{{Node: "n1", State: status.StoreHealthy, Leader: true}}},
		Alarms:       []status.Alarm{{ID: "x", Code: "BLY3002", Severity: cib.SeverityMajor, Text: strings.Repeat("ä", 200)}},
	}}
}

// What a walk shows is in order, of the types that the module names, each value of an
// enumeration in its table, and nothing is there twice.
func TestBuild(t *testing.T) {
	vars := Build(testView(), root)
	if !slices.IsSortedFunc(vars, func(a, b Variable) int { return a.OID.Compare(b.OID) }) {
		t.Error("not in order")
	}
	seen := map[string]Value{}
	for _, v := range vars {
		id := v.OID.String()
		if _, ok := seen[id]; ok {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = v.Value
		if !Known(v.OID, root) {
			t.Errorf("%s is not known", id)
		}
		if len(v.Value.Bytes) > 255 {
			t.Errorf("%s has %d bytes", id, len(v.Value.Bytes))
		}
	}
	at := func(arcs ...uint32) Value { return seen[root.Child(append([]uint32{arcObjects}, arcs...)...).String()] }
	for _, x := range []struct {
		what string
		got  Value
		want Value
	}{
		{"the cluster's state", at(1, 2, 0), Value{Type: Integer, Num: 6}},
		{"the age", at(1, 9, 0), Value{Type: Gauge32, Num: 3}},
		{"the revision", at(1, 8, 0), Value{Type: Counter64, Num: 77}},
		{"a date", at(1, 20, 0), Value{Type: OctetString, Bytes: "\x07\xea\x0b\x16\x0c\x1e\x0f\x00+\x00\x00"}},
		{"no date", at(3, 1, 12, 7), Value{Type: OctetString, Bytes: "\x00\x00\x00\x00\x00\x00\x00\x00"}},
		{"an IPv4 address", at(3, 1, 4, 1), Value{Type: OctetString, Bytes: "\x0a\x00\x00\x01"}},
		{"the type of an IPv6 address", at(3, 1, 3, 7), Value{Type: Integer, Num: 2}},
		{"a remote node", at(3, 1, 2, 1<<30+20), Value{Type: OctetString, Bytes: "far1"}},
		{"its role", at(3, 1, 9, 1<<30+20), Value{Type: Integer, Num: 4}},
		{"the member that runs it", at(3, 1, 18, 1<<30+20), Value{Type: OctetString, Bytes: "n2"}},
		{"a member has none", at(3, 1, 18, 7), Value{Type: OctetString}},
		{"a remote node whose connection has no number", at(3, 1, 2, 1<<30), Value{}},
		{"an instance on a remote node", at(6, 1, 1, 3, 1<<30+20), Value{Type: Integer, Num: 2}},
		{"a quorum device that works", at(7, 1, 5, 5), Value{Type: Integer, Num: 1}},
		{"what it answers", at(7, 1, 8, 5), Value{Type: OctetString, Bytes: "have"}},
		{"one that does not", at(7, 1, 5, 6), Value{Type: Integer, Num: 2}},
		{"why", at(7, 1, 6, 6), Value{Type: OctetString, Bytes: "no route"}},
		{"a link", at(4, 1, 8, 1, 7, 1), Value{Type: Gauge32, Num: 250}},
		{"the parent", at(5, 1, 5, 3), Value{Type: Gauge32, Num: 12}},
		{"a fail count without end", at(5, 1, 14, 12), Value{Type: Gauge32, Num: 1_000_000}},
		{"the last operation", at(6, 1, 4, 3, 1), Value{Type: OctetString, Bytes: "monitor"}},
		{"its exit code", at(6, 1, 5, 3, 1), Value{Type: Integer, Num: 8}},
		{"a large sequence", at(10, 1, 3, 1), Value{Type: OctetString, Bytes: "a"}},
		{"what has no number is left out", at(5, 1, 2, 0), Value{}},
	} {
		if x.got.Type != x.want.Type || x.got.Num != x.want.Num || x.got.Bytes != x.want.Bytes {
			t.Errorf("%s: %+v, want %+v", x.what, x.got, x.want)
		}
	}
	if got := at(5, 1, 2, 3).Bytes; got != "a" {
		t.Errorf("resource 3 is %q", got)
	}
	// Empty values, cut texts.
	if Build(&View{Summary: &status.Summary{}}, root) == nil {
		t.Error("an empty summary shows nothing at all")
	}
	for _, v := range vars {
		if v.Value.Type == OctetString && strings.HasPrefix(v.Value.Bytes, "ää") && len(v.Value.Bytes) != 254 {
			t.Errorf("a long text of %d bytes", len(v.Value.Bytes))
		}
	}
}

// An entry stays where it is when others come and go.
func TestIndexesAreStable(t *testing.T) {
	v := testView()
	before := Build(v, root)
	v.Summary.Resources = v.Summary.Resources[1:]
	v.Summary.Fencing = v.Summary.Fencing[:1]
	v.Summary.Nodes = v.Summary.Nodes[:1]
	v.Summary.Links = nil
	for _, after := range Build(v, root) {
		if b, ok := Find(before, after.OID); !ok && after.OID[len(root)+1] != 1 {
			t.Errorf("%s is new", after.OID)
		} else if ok && after.OID[len(root)+1] == 9 && b.Value.Bytes != after.Value.Bytes {
			t.Errorf("%s is another", after.OID)
		}
	}
}

func TestSeek(t *testing.T) {
	vars := Build(testView(), root)
	at := root
	for n := range vars {
		i := Seek(vars, at, false)
		if i != n {
			t.Fatalf("after %s comes number %d, want %d", at, i, n)
		}
		at = vars[i].OID
	}
	if i := Seek(vars, at, false); i != len(vars) {
		t.Errorf("after the last comes number %d", i)
	}
	if i := Seek(vars, vars[4].OID, true); i != 4 {
		t.Errorf("number 4 is found as %d", i)
	}
}

// Every event that is marked for it has a notification with each of its arguments.
func TestNotifications(t *testing.T) {
	for i := range event.Catalogue {
		d := &event.Catalogue[i]
		args := []string{"node", "n1", "resource", "web", "device", "pdu"}
		for _, a := range d.Args {
			args = append(args, a, "value of "+a)
		}
		ev := event.New(d.Number, args...)
		ev.Source = "n2"
		id, vars, ok := Notification(&Notice{Event: &ev, Cluster: "prod", Sequence: 5}, root)
		if ok != d.Trap {
			t.Errorf("%s: %v", d.Name, ok)
			continue
		}
		if !ok {
			continue
		}
		if want := root.Child(0, uint32(d.Number)); id.Compare(want) != 0 {
			t.Errorf("%s: %s", d.Name, id)
		}
		if len(vars) != len(notifyCommon)+len(d.Args) {
			t.Errorf("%s: %d variables: is an argument missing in argNames?", d.Name, len(vars))
		}
		for k, a := range d.Args {
			if got := vars[len(notifyCommon)+k].Value.Bytes; got != "value of "+a {
				t.Errorf("%s: %s is %q", d.Name, a, got)
			}
		}
	}
	if _, _, ok := Notification(&Notice{Event: &cib.Event{Code: "BLY9999"}}, root); ok {
		t.Error("an unknown event has a notification")
	}
}

// The arguments that have an object keep it: management stations know it by its number.
func TestArgumentsKeepTheirPlace(t *testing.T) {
	known := strings.Fields("view silence by proof gap reason person link peer offset policy op attempt duration from nodes generation actor action object voters file aside number end version level witness")
	if len(argNames) < len(known) || !slices.Equal(argNames[:len(known)], known) {
		t.Errorf("the arguments were\n%v, and are\n%v: add what is new to the catalogue's end", known, argNames)
	}
}

// The module is what other people's tools take. smilint ends with 0 whatever it finds,
// so what it prints counts.
func TestText(t *testing.T) {
	for _, r := range Text(1) {
		if r > '~' {
			t.Fatalf("%q in the module", r)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "BELAY-MIB")
	if err := os.WriteFile(file, []byte(Text(DocumentationPEN)), 0o600); err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Glob("/usr/lib/erlang/lib/snmp-*/mibs")
	if err != nil || len(base) == 0 {
		t.Fatalf("no SNMPv2-SMI and the like: run make setup (%v)", err)
	}
	t.Setenv("SMIPATH", base[0])
	out, err := exec.CommandContext(t.Context(), "smilint", "-l", "6", file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("smilint: %v\n%s", err, out)
	}
	// The tree as an independent reader sees it is the tree that is served.
	out, err = exec.CommandContext(t.Context(), "smidump", "-f", "identifiers", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	dumped := string(out)
	for _, g := range groups {
		d := g.describe()
		for _, o := range d.objects {
			oid := root.Child(arcObjects, d.arc, o.arc)
			if d.table {
				oid = root.Child(arcObjects, d.arc, arcEntry, o.arc)
			}
			if !slices.ContainsFunc(strings.Split(dumped, "\n"), func(l string) bool {
				f := strings.Fields(l)
				return len(f) >= 4 && f[1] == d.prefix+o.name && f[3] == oid.String()
			}) {
				t.Errorf("%s is not %s", d.prefix+o.name, oid)
			}
		}
	}
	for _, d := range Notified() {
		if !strings.Contains(dumped, " belay"+title(d.Name)+"Event ") {
			t.Errorf("no notification for %s", d.Name)
		}
	}
}
