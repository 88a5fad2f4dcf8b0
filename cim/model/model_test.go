package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
)

var now = time.Date(2026, 11, 22, 12, 30, 15, 0, time.UTC)

func testSummary() *status.Summary {
	return &status.Summary{
		Revision: 77, Time: now,
		Cluster: status.Cluster{
			Name: "prod", State: status.ClusterDegraded, Reason: "node n2 is lost", DC: "n1", DCSince: now, View: 4, Members: []string{"n1", "n3"}, Generation: 9, ConfigChanged: now, FeatureLevel: 1,
			Counts: status.Counts{Nodes: 3, NodesOnline: 2, Resources: 4, ResourcesRunning: 3, AlarmsMajor: 1},
		},
		Quorum: status.Quorum{
			State: status.QuorumQuorate, Reason: "2 of 3 votes", Votes: 2, Expected: 3, Needed: 2, Policy: cib.NoQuorumFreeze,
			Devices: []status.QuorumDevice{{ID: "q", Number: 5, Kind: cib.QuorumDeviceQuorumd, Order: 1, Asked: true, Answer: cib.QuorumHave}},
		},
		Nodes: []status.Node{
			{Name: "n1", ID: 1, State: status.NodeOnline, Admin: status.AdminOnline, Role: status.RoleDC, Health: status.HealthYellow, Member: true, Voter: true, Votes: 1, Addresses: []string{"10.0.0.1"}, Version: "1.2.3", UpSince: now, Fence: status.FenceReadinessReady, ClockOffset: -3 * time.Millisecond, Running: 2},
			{Name: "n2", ID: 7, State: status.NodeUnclean, Admin: status.AdminOnline, Role: status.RoleMember, Health: status.HealthGreen, Reason: "not heard", Voter: true, Votes: 1, Version: "1.2.3", Fence: status.FenceReadinessReady},
			{Name: "n3", ID: 8, State: status.NodeStandby, Admin: status.AdminStandby, Role: status.RoleMember, Health: status.HealthGreen, Member: true, Votes: 1, Version: "1.3.0-rc1", Fence: status.FenceReadinessReady},
		},
		Remotes: []status.Node{
			{Name: "far1", State: status.NodeOnline, Admin: status.AdminOnline, Role: status.RoleRemote, Health: status.HealthGreen, Host: "n1", Version: "1.4.0", Running: 1},
			{Name: "far2", State: status.NodeFenced, Admin: status.AdminStandby, Role: status.RoleRemote, Reason: "never connected"},
		},
		Links: []status.Link{{Node: "n1", Peer: "n3", State: status.LinkUp, Address: "10.0.0.1", PeerAddress: "10.0.0.3", RTT: 250 * time.Microsecond, Loss: 0.01, Sent: 5}},
		Resources: []status.Resource{
			{ID: "vip", Number: 3, Kind: cib.KindPrimitive, Agent: "ocf:heartbeat:IPaddr2", State: status.ResourceRunning, Wanted: cib.RoleStarted, Managed: true, Nodes: []string{"n1"}, Active: 1, Expected: 1, Instances: []status.Instance{{Instance: "vip", Node: "n1", State: status.InstanceRunning, Role: cib.RoleStarted}}},
			{ID: "web", Number: 12, Kind: cib.KindGroup, State: status.ResourceFailed, Reason: "db failed", Wanted: cib.RoleStarted, Managed: true, Members: []string{"db", "app"}, Active: 1, Expected: 2, FailCount: cib.Infinity},
			{ID: "db", Number: 13, Kind: cib.KindPrimitive, Agent: "ocf:heartbeat:pgsql", Parent: "web", Depth: 1, State: status.ResourceFailed, Wanted: cib.RoleStarted, Managed: true, Expected: 1, FailCount: 3, Instances: []status.Instance{
				{Instance: "db", Node: "n1", State: status.InstanceFailed, Role: cib.RoleStopped, FailCount: 3, LastFailure: now, Reason: "monitor failed"}, {Instance: "db", Node: "n3", State: status.InstanceStopped, Role: cib.RoleStopped},
			}},
			{ID: "app", Number: 14, Kind: cib.KindPrimitive, Agent: "systemd:app", Parent: "web", Depth: 1, State: status.ResourceStopped, Wanted: cib.RoleStarted, Managed: true, Instances: []status.Instance{{Instance: "app", Node: "far1", State: status.InstanceStopped, Role: cib.RoleStopped}}},
			{ID: "far1", Number: 15, Kind: cib.KindPrimitive, Agent: cib.AgentRemote, State: status.ResourceRunning, Wanted: cib.RoleStarted, Managed: true, Nodes: []string{"n1"}, Active: 1},
		},
		FenceDevices: []status.FenceDevice{{ID: "pdu", Number: 4, Agent: "fence_apc", Targets: []string{"n1", "n2", "far1"}, State: status.FenceDeviceAvailable, Checked: now, Succeeded: 2, Checks: []status.Check{{Node: "n1", OK: true}, {Node: "n2", Error: "no answer"}}}},
		Alarms:       []status.Alarm{{ID: "x", Code: "BLY3002", Severity: cib.SeverityMajor, Text: "node n2 is lost"}},
		Tickets:      []status.Ticket{{ID: "t", Granted: true}},
	}
}

func testConfig() *cib.Config {
	c := cib.Empty().Config
	c.Cluster = cib.Cluster{Name: "prod", Options: cib.Options{NoQuorumPolicy: cib.NoQuorumFreeze}}
	for i, n := range []string{"n1", "n2", "n3"} {
		c.Nodes[n] = &cib.Node{ID: uint32(i + 1), Addresses: []string{fmt.Sprintf("10.0.0.%d", i+1)}, Voter: true, Standby: n == "n3", Attributes: map[string]string{"rack": n}}
	}
	c.Resources = map[string]*cib.Resource{
		"vip": {Agent: "ocf:heartbeat:IPaddr2", Parameters: map[string]string{"ip": "10.0.0.100", "cidr_netmask": "24"}, Meta: cib.Meta{Priority: new(cib.Score(5))}},
		"web": {Group: []string{"db", "app"}},
		"db": {
			Agent: "ocf:heartbeat:pgsql", Parameters: map[string]string{"pgdata": "/data", "password": cib.Redacted}, Meta: cib.Meta{FailureTimeout: new(cib.Duration(time.Minute))},
			Operations: []cib.Operation{{Name: "monitor", Interval: cib.Duration(10 * time.Second), Timeout: cib.Duration(20 * time.Second)}},
		},
		"app":  {Agent: "systemd:app"},
		"far1": {Agent: cib.AgentRemote},
	}
	c.RemoteNodes["far2"] = &cib.RemoteNode{Standby: true, Site: "west", Attributes: map[string]string{"rack": "9"}}
	c.Constraints = map[string]*cib.Constraint{
		"away":     {Location: &cib.Location{Resource: "web", Node: "n3", Score: -cib.Infinity}},
		"together": {Colocation: &cib.Colocation{Resource: "vip", With: "web", Score: 100}},
		"first":    {Order: &cib.Order{First: "vip", Then: "web"}},
	}
	c.FenceDevices["pdu"] = &cib.FenceDevice{Agent: "fence_apc", Parameters: map[string]string{"ip": "10.0.0.9", "passwd": cib.Redacted}, Targets: map[string]string{"n1": "1", "n2": "2"}}
	c.QuorumDevices["q"] = &cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd, Order: 1, Parameters: map[string]string{"server": "q1:7410"}}
	c.Tickets["t"] = &cib.Ticket{Granted: true}
	c.CIMDestinations["l"] = &cib.CIMDestination{Name: "My listener", URL: "https://listener:5989/x", Owner: "bob"}
	c.CIMDestinations["o"] = &cib.CIMDestination{URL: "https://listener:5989/y", Older: true}
	c.CIMFilters["f"] = &cib.CIMFilter{Query: "SELECT * FROM CIM_AlertIndication", Language: "WQL"}
	c.CIMSubscriptions["s"] = &cib.CIMSubscription{Filter: "f", Destination: "l"}
	c.CIMSubscriptions["b"] = &cib.CIMSubscription{Filter: "belay-events", Destination: "o"}
	c.RoleBindings = cib.DefaultBindings()
	return c
}

func testSchemas(tb testing.TB) map[string]*object.Schema {
	tb.Helper()
	schemas, err := schema.Load()
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]*object.Schema{}
	for _, s := range schemas {
		out[s.Namespace] = s
	}
	return out
}

func testSource(tb testing.TB) *Source {
	tb.Helper()
	s := New(testSchemas(tb), View{Summary: testSummary(), Config: &api.Config{Generation: 9, Config: testConfig()}, Version: "1.2.3", URLs: []string{"https://n1:5989"}})
	jobs := []Job{{ID: "abc", Action: api.ActionStop, Object: "resource/web", Generation: 9, Began: now, User: "bob"}, {ID: "def", Action: api.ActionStandby, Object: "node/n3", Began: now, Over: true, Failed: true, Reason: "resources still run on the node"}}
	return s.Source(Access{
		Node: "n1",
		Jobs: func() ([]Job, error) { return jobs, nil },
		Job: func(id string) (*Job, error) {
			for k := range jobs {
				if jobs[k].ID == id {
					return &jobs[k], nil
				}
			}
			return nil, nil
		},
		Audit: func(after uint64, limit int) ([]json.RawMessage, uint64, error) {
			var out []json.RawMessage
			for n := after + 1; n <= 3 && len(out) < limit; n++ {
				out = append(out, json.RawMessage(fmt.Sprintf(`{"seq":%d,"time":"2026-11-22T12:30:15Z","actor":{"user":"bob"},"phase":"outcome","action":"stop","object":"resource/web","result":"success"}`, n)))
			}
			return out, 0, nil
		},
	})
}

// all lists every instance of a namespace.
func all(t *testing.T, s *Source, namespace string) []*object.Instance {
	t.Helper()
	var out []*object.Instance
	for _, c := range s.schemas[namespace].Classes {
		for i, err := range s.Instances(namespace, c) {
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			if i.Class() != c {
				t.Errorf("%s among %s", i.Class().Name, c.Name)
			}
			out = append(out, i)
		}
	}
	return out
}

// TestSame: what GetInstance returns is what was enumerated; no two instances have the
// same path; references lead to something that is there.
func TestSame(t *testing.T) {
	s := testSource(t)
	seen, made := map[string]bool{}, map[string]bool{}
	var instances []*object.Instance
	for _, ns := range []string{Root, Interop} {
		instances = append(instances, all(t, s, ns)...)
	}
	for _, i := range instances {
		key := i.Path().Key()
		if seen[key] {
			t.Errorf("%s is there twice", i.Path())
		}
		seen[key], made[i.Namespace+":"+i.Class().Name] = true, true
		again, err := s.Get(i.Path())
		if err != nil {
			t.Errorf("%s: %v", i.Path(), err)
			continue
		}
		if a, b := dump(i), dump(again); a != b {
			t.Errorf("%s is another when it is got:\n%s\n%s", i.Path(), a, b)
		}
	}
	for _, i := range instances {
		for _, r := range i.Class().References() {
			p, _ := i.Get(r.Name).(*object.Path)
			if p == nil || !seen[p.Key()] {
				t.Errorf("%s refers to %s, which is not there", i.Path(), p)
				continue
			}
			found := false
			for x, err := range s.References(&object.Path{Namespace: i.Namespace, Class: p.Class, Keys: p.Keys}, i.Class()) {
				if err != nil {
					t.Error(err)
				}
				found = found || x.Path().Equal(i.Path())
			}
			if p.Namespace == i.Namespace && !found {
				t.Errorf("%s is no reference of %s", i.Path(), p)
			}
		}
	}
	for ns, m := range classes {
		for name := range m {
			if !made[ns+":"+name] {
				t.Errorf("no %s in %s was made: the test shows nothing of it", name, ns)
			}
		}
	}
}

// dump is an instance as a text.
func dump(i *object.Instance) string {
	var b strings.Builder
	for n, p := range i.Class().Properties {
		if !i.Has(p.Name) {
			continue
		}
		fmt.Fprintf(&b, "%s=%v ", p.Name, i.At(n))
	}
	return b.String()
}

// TestForged: a path is good only with all its keys.
func TestForged(t *testing.T) {
	s := testSource(t)
	good := s.ResourcePath("web")
	for _, k := range good.Keys {
		bad := s.ResourcePath("web")
		for n := range bad.Keys {
			if bad.Keys[n].Name == k.Name {
				bad.Keys[n].Value = "forged"
			}
		}
		_, err := s.Get(bad)
		if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != object.NotFound {
			t.Errorf("%s: %v", bad, err)
		}
	}
	mixed := object.NewPath(Root, "Belay_RunningOn", "Antecedent", s.nodePath("n2"), "Dependent", s.ResourcePath("vip"))
	if _, err := s.Get(mixed); err == nil {
		t.Errorf("%s is there", mixed)
	}
	for _, p := range []*object.Path{object.NewPath(Interop, resourceClass, "Name", "web"), byID(settingClass, "web"), byID("CIM_LogEntry", "Belay:Audit:n1:x"), byID(jobClass, "abc"), object.NewPath(Root, "Nothing")} {
		if _, err := s.Get(p); err == nil {
			t.Errorf("%s is there", p)
		}
	}
}

// TestEnumerations: values and names in the MOF are those of the tables in Go.
func TestEnumerations(t *testing.T) {
	schema := testSchemas(t)[Root]
	check := func(class, property string, names []string) {
		t.Helper()
		p := schema.MustClass(class).Property(property)
		if p == nil {
			t.Errorf("%s has no %s", class, property)
			return
		}
		var values, numbers []string
		for n := range names {
			numbers = append(numbers, fmt.Sprint(n+1))
		}
		if q := p.Qualifiers.Get("Values"); q != nil {
			for _, v := range q.Value.([]any) {
				values = append(values, v.(string))
			}
		}
		var mapped []string
		if q := p.Qualifiers.Get("ValueMap"); q != nil {
			for _, v := range q.Value.([]any) {
				mapped = append(mapped, v.(string))
			}
		}
		if !slices.Equal(values, names) || !slices.Equal(mapped, numbers) {
			t.Errorf("%s.%s: %v %v, want %v %v", class, property, mapped, values, numbers, names)
		}
	}
	check(clusterClass, "OverallState", status.ClusterStates.Names())
	check(clusterClass, "QuorumState", status.QuorumStates.Names())
	check(clusterClass, "NoQuorumPolicy", cib.NoQuorumPolicies.Names())
	check(clusterClass, "FencingAction", cib.FenceOps.Names())
	check(nodeClass, "NodeState", status.NodeStates.Names())
	check(nodeClass, "AdminState", status.AdminStates.Names())
	check(nodeClass, "NodeRole", status.NodeRoles.Names())
	check(nodeClass, "NodeHealth", status.Healths.Names())
	check(nodeClass, "FencingReadiness", status.FenceReadinesses.Names())
	check(resourceClass, "ResourceType", cib.Kinds.Names())
	check(resourceClass, "ResourceState", status.ResourceStates.Names())
	check(resourceClass, "TargetState", cib.Roles.Names())
	check(settingClass, "ResourceType", cib.Kinds.Names())
	check(settingClass, "TargetState", cib.Roles.Names())
	check("Belay_RunningOn", "InstanceState", status.InstanceStates.Names())
	check("Belay_RunningOn", "InstanceRole", cib.Roles.Names())
	check(constraintClass, "OrderKind", cib.OrderKinds.Names())
	check(constraintClass, "InRole", cib.Roles.Names())
	check(fenceDeviceClass, "DeviceState", status.FenceDeviceStates.Names())
	check(quorumClass, "DeviceType", cib.QuorumDeviceKinds.Names())
	check(quorumClass, "Answer", cib.QuorumAnswers.Names())
	check(linkClass, "LinkState", status.LinkStates.Names())
	check("Belay_ClusterEvent", "Severity", cib.Severities.Names())
}

// known fails where a state of Belay has no states of CIM.
func known[E ~uint8](t *testing.T, what string, all cib.Enum[E], table states[E]) {
	t.Helper()
	for _, x := range all {
		if _, ok := table[x.Value]; !ok {
			t.Errorf("%s %s", what, x.Name)
		}
	}
}

// TestStates: every state of Belay has states of CIM.
func TestStates(t *testing.T) {
	known(t, "cluster", status.ClusterStates, clusterStates)
	known(t, "node", status.NodeStates, nodeStates)
	known(t, "resource", status.ResourceStates, resourceStates)
	known(t, "fence device", status.FenceDeviceStates, fenceDeviceStates)
	known(t, "link", status.LinkStates, linkStates)
	for _, x := range status.InstanceStates {
		if activity[x.Value] == 0 {
			t.Errorf("instance %s", x.Name)
		}
	}
	for _, x := range cib.Severities {
		if _, ok := perceived[x.Value]; !ok {
			t.Errorf("severity %s", x.Name)
		}
	}
}

// TestSchema: every class says what it is; what Belay adds says whether it can be
// written, what it is, and in which unit it is counted.
func TestSchema(t *testing.T) {
	for _, c := range testSchemas(t)[Root].Classes {
		if c.Qualifiers.Text("Description") == "" || c.Qualifiers.Text("Version") == "" {
			t.Errorf("%s has no description or no version", c.Name)
		}
		for _, p := range c.Properties {
			if p.Origin != c.Name || p.Kind.Type == object.Reference {
				continue
			}
			q := p.Qualifiers
			if q.Text("Description") == "" || q.Get("Read") == nil && q.Get("Write") == nil {
				t.Errorf("%s.%s has no description, or does not say whether it is read or written", c.Name, p.Name)
			}
			if p.Kind.Type.Numeric() && q.Get("ValueMap") == nil && q.Get("PUnit") == nil {
				t.Errorf("%s.%s has no unit", c.Name, p.Name)
			}
		}
		for _, m := range c.Methods {
			if m.Origin == c.Name && (m.Qualifiers.Text("Description") == "" || m.Qualifiers.Get("ValueMap") == nil) {
				t.Errorf("%s.%s has no description, or does not say what it returns", c.Name, m.Name)
			}
		}
	}
}

// TestEvents: each event that is for CIM becomes an indication.
func TestEvents(t *testing.T) {
	s := testSource(t)
	for k := range event.Catalogue {
		d := &event.Catalogue[k]
		ev := event.New(d.Number, "node", "n1", "resource", "web", "reason", "because")
		ev.Time, ev.Seq = now, 640
		i := s.Event(&ev)
		if (i != nil) != d.Trap {
			t.Errorf("%s: an indication %v", d.Name, i != nil)
		}
		if i == nil {
			continue
		}
		if i.Text("EventID") != d.Code() || i.Get("EventSequence") != uint64(640) || i.Text("AlertingManagedElement") == "" || i.Get("AlertType") == nil {
			t.Errorf("%s: %s", d.Name, dump(i))
		}
	}
	if s.Event(&cib.Event{Code: "BLY8999"}) != nil {
		t.Error("an event of another version is an indication")
	}
}

// TestValues looks at some values.
func TestValues(t *testing.T) {
	s := testSource(t)
	get := func(p *object.Path) *object.Instance {
		t.Helper()
		i, err := s.Get(p)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	for _, x := range []struct {
		path     *object.Path
		property string
		want     string
	}{
		{s.clusterPath(), "ClusterState", "4"},
		{s.clusterPath(), "NoQuorumPolicy", "2"},
		{s.clusterPath(), "DetectionTime", "1000"},
		{s.clusterPath(), "Alarms", "[node n2 is lost]"},
		{s.nodePath("n1"), "OperationalStatus", "[3]"},
		{s.nodePath("n2"), "OperationalStatus", "[13]"},
		{s.nodePath("n2"), "OtherEnabledState", "unclean"},
		{s.nodePath("n3"), "EnabledState", "6"},
		{s.nodePath("n3"), "AttributeValues", "[n3]"},
		{s.nodePath("n1"), "ClockOffset", "-3"},
		{s.ResourcePath("web"), "FailCount", "1000000"},
		{s.ResourcePath("db"), "ParameterValues", "[******** /data]"},
		{s.ResourcePath("db"), "FailureTimeout", "60000"},
		{s.ResourcePath("vip"), "Priority", "5"},
		{byID(settingClass, settingID+"db"), "OperationIntervals", "[10000]"},
		{byID(settingClass, settingID+"web"), "Members", "[db app]"},
		{byID(constraintClass, constraintID+"away"), "Score", "-1000000"},
		{byID(constraintClass, constraintID+"first"), "Mandatory", "true"},
		{s.servicePath(endpointClass, "vip"), "SubnetMask", "255.255.255.0"},
		{s.servicePath(fenceDeviceClass, "pdu"), "TargetPorts", "[1 2]"},
		{byID("CIM_SoftwareIdentity", softwareID+"1.3.0-rc1"), "RevisionNumber", "0"},
		{JobPath("def"), "JobState", "10"},
		{s.destinationPath("l"), "Name", "My listener"},
		{object.NewPath(Root, "Belay_RunningOn", "Antecedent", s.nodePath("n1"), "Dependent", s.ResourcePath("db")), "FailCount", "3"},
	} {
		if got := fmt.Sprint(get(x.path).Get(x.property)); got != x.want {
			t.Errorf("%s %s = %s, want %s", x.path, x.property, got, x.want)
		}
	}
	for _, i := range append(all(t, s, Root), all(t, s, Interop)...) {
		if strings.Contains(strings.ReplaceAll(dump(i), cib.Redacted, ""), "sealed:") {
			t.Errorf("%s shows a secret", i.Path())
		}
		for n, p := range i.Class().Properties { // wbemcli can't read them
			if list, _ := i.At(n).([]any); slices.Contains(list, nil) {
				t.Errorf("%s.%s has NULL in an array", i.Path(), p.Name)
			}
		}
	}
}

// TestRefused: what the caller may not read is refused, and nothing is made.
func TestRefused(t *testing.T) {
	s := testSource(t).Source(Access{Read: func(string) error { return object.Errorf(object.AccessDenied, "no") }})
	for _, c := range s.schemas[Root].Classes {
		for i, err := range s.Instances(Root, c) {
			if object.AsError(err).Code != object.AccessDenied {
				t.Errorf("%v %v", i, err)
			}
		}
	}
	if _, err := s.Get(s.clusterPath()); object.AsError(err).Code != object.AccessDenied {
		t.Error(err)
	}
}

// An empty view shows an empty cluster.
func TestEmpty(t *testing.T) {
	s := New(testSchemas(t), View{}).Source(Access{})
	for _, ns := range []string{Root, Interop} {
		if len(all(t, s, ns)) == 0 {
			t.Errorf("%s is empty", ns)
		}
	}
}
