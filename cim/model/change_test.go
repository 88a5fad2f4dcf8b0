package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// edited is what a change does to the configuration of the test, as lines.
func edited(t *testing.T, ch *api.Change) string {
	t.Helper()
	if !cib.Edits(string(ch.Action)) {
		return fmt.Sprintf("%s %s %s", ch.Action, ch.Object, ch.Value)
	}
	before := testConfig()
	after, err := cib.Edit(before, cib.EditRequest{Action: string(ch.Action), Object: ch.Object, Value: ch.Value, Merge: ch.Merge})
	if err != nil {
		t.Fatalf("%s %s %s: %v", ch.Action, ch.Object, ch.Value, err)
	}
	var lines []string
	for _, c := range cib.Diff(before, after) {
		after := "gone"
		if c.After != nil {
			after = string(c.After)
		}
		lines = append(lines, strings.TrimPrefix(c.Key, cib.KeyConfig)+" "+after)
	}
	return strings.Join(lines, "\n")
}

func make1(s *Source, namespace, class string, values ...any) *object.Instance {
	i := s.in(namespace, class)
	for n := 0; n+1 < len(values); n += 2 {
		i.Set(values[n].(string), values[n+1])
	}
	return i
}

// TestCreate: what clients make becomes a document, whole.
func TestCreate(t *testing.T) {
	s := testSource(t)
	for _, x := range []struct {
		i    *object.Instance
		path string
		want string
	}{
		{
			make1(s, Root, settingClass, "ResourceName", "new", "Agent", "belay:dummy", "ParameterNames", []string{"b", "a"}, "ParameterValues", []string{"2", "1"}, "OperationNames", []string{"monitor"},
				"OperationIntervals", []int{1500}, "OperationTimeouts", []int{20000}, "TargetState", 2, "Stickiness", 1000000, "Managed", false),
			`root/cimv2:Belay_ResourceSetting.InstanceID="Belay:Resource:new"`,
			`resource/new {"agent":"belay:dummy","parameters":{"a":"1","b":"2"},"operations":[{"name":"monitor","interval":"1.5s","timeout":"20s"}],"meta":{"target-role":"Stopped","is-managed":false,"resource-stickiness":"INFINITY"}}`,
		},
		{
			make1(s, Root, resourceClass, "SystemName", "prod", "CreationClassName", resourceClass, "Name", "g", "ResourceType", 2, "Members", []string{"vip"}),
			s.ResourcePath("g").String(), `resource/g {"group":["vip"]}`,
		},
		{
			make1(s, Root, settingClass, "InstanceID", "Belay:Resource:cl", "ResourceType", 4, "Members", []string{"vip"}, "CloneMax", 2),
			`root/cimv2:Belay_ResourceSetting.InstanceID="Belay:Resource:cl"`, `resource/cl {"clone":{"resource":"vip","clone-max":2,"promotable":true}}`,
		},
		{
			make1(s, Root, settingClass, "ResourceName", "doc", "Document", `{"agent":"belay:dummy","position":3}`, "Priority", 7),
			`root/cimv2:Belay_ResourceSetting.InstanceID="Belay:Resource:doc"`, `resource/doc {"agent":"belay:dummy","meta":{"priority":7},"position":3}`,
		},
		{
			make1(s, Root, constraintClass, "ConstraintName", "c", "ConstraintType", 1, "FirstResource", "vip", "NodeName", "n2", "Score", 50),
			`root/cimv2:Belay_Constraint.InstanceID="Belay:Constraint:c"`, `constraint/c {"location":{"resource":"vip","node":"n2","score":50}}`,
		},
		{
			make1(s, Root, constraintClass, "ConstraintName", "c", "ConstraintType", 3, "FirstResource", "vip", "SecondResource", "web", "OrderKind", 2),
			`root/cimv2:Belay_Constraint.InstanceID="Belay:Constraint:c"`, `constraint/c {"order":{"first":"vip","then":"web","kind":"Optional"}}`,
		},
		{
			make1(s, Root, fenceDeviceClass, "Name", "ipmi", "Agent", "fence_ipmilan", "Targets", []string{"n1"}, "Delay", 500),
			s.servicePath(fenceDeviceClass, "ipmi").String(), `fence-device/ipmi {"agent":"fence_ipmilan","targets":{"n1":""},"delay":"500ms"}`,
		},
		{
			make1(s, Root, quorumClass, "DeviceID", "p", "DeviceType", 4, "ParameterNames", []string{"address"}, "ParameterValues", []string{"10.0.0.254"}),
			`root/cimv2:Belay_QuorumDevice.DeviceID="p"`, `quorum-device/p {"kind":"ping","parameters":{"address":"10.0.0.254"}}`,
		},
		{
			make1(s, Interop, FilterClass, "Name", "pywbemfilter:owned:1", "SystemName", "host", "Query", "SELECT * FROM CIM_InstModification", "QueryLanguage", "WQL", "SourceNamespaces", []string{"root/cimv2"}),
			onSystem(Interop, clusterClass, "prod", FilterClass, "pywbemfilter:owned:1").String(),
			`cim-filter/` + idOf("pywbemfilter:owned:1") + ` {"name":"pywbemfilter:owned:1","query":"SELECT * FROM CIM_InstModification","language":"WQL","namespaces":["root/cimv2"],"owner":"bob"}`,
		},
		{
			make1(s, Interop, ListenerClass, "Name", "mine", "Destination", "https://me:secret@listener:5000"),
			onSystem(Interop, clusterClass, "prod", ListenerClass, "mine").String(),
			`cim-destination/mine {"url":"https://listener:5000","user":"me","password":"secret","owner":"bob"}`,
		},
		{
			make1(s, Interop, HandlerClass, "Name", "l", "Destination", "listener:5000"),
			onSystem(Interop, clusterClass, "prod", HandlerClass, "l").String(),
			`cim-destination/` + idOf("handler l") + ` {"name":"l","url":"https://listener:5000","older":true,"owner":"bob"}`,
		},
		{
			make1(s, Interop, SubscriptionClass, "Filter", onSystem(Interop, "x", "y", FilterClass, "belay-alarms"), "Handler", s.destinationPath("l")),
			"", `cim-subscription/belay-alarms--l {"filter":"belay-alarms","destination":"l","owner":"bob"}`,
		},
	} {
		o, err := s.Create(x.i, "bob")
		if err != nil {
			t.Errorf("%s: %v", dump(x.i), err)
			continue
		}
		if got := edited(t, o.Change); got != x.want {
			t.Errorf("%s\n%s, want\n%s", dump(x.i), got, x.want)
		}
		if x.path != "" && o.Path.String() != x.path {
			t.Errorf("path %s, want %s", o.Path, x.path)
		}
	}
}

// TestCreateRefused: forged keys and halves of instances are refused.
func TestCreateRefused(t *testing.T) {
	s := testSource(t)
	for _, x := range []struct {
		i    *object.Instance
		code object.Code
	}{
		{make1(s, Root, resourceClass, "SystemName", "other", "Name", "x", "Agent", "belay:dummy"), object.InvalidParameter},
		{make1(s, Root, resourceClass, "CreationClassName", "CIM_Service", "Name", "x", "Agent", "belay:dummy"), object.InvalidParameter},
		{make1(s, Root, resourceClass, "Agent", "belay:dummy"), object.InvalidParameter},
		{make1(s, Root, settingClass, "InstanceID", "Belay:Resource:a", "ResourceName", "b", "Agent", "belay:dummy"), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "Document", "[]"), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "ParameterNames", []string{"a"}), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "ParameterNames", []string{"a"}, "ParameterValues", []any{nil}), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "ParameterNames", []string{"a", "a"}, "ParameterValues", []string{"1", "2"}), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "ResourceType", 3, "Members", []string{"vip", "web"}), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "TargetState", 99), object.InvalidParameter},
		{make1(s, Root, settingClass, "ResourceName", "b", "OperationNames", []string{"monitor"}, "OperationIntervals", []int{1, 2}), object.InvalidParameter},
		{make1(s, Root, constraintClass, "ConstraintName", "c", "FirstResource", "vip"), object.InvalidParameter},
		{make1(s, Root, quorumClass, "DeviceType", 1), object.InvalidParameter},
		{make1(s, Root, nodeClass, "Name", "n9"), object.NotSupported},
		{make1(s, Root, clusterClass, "Name", "other"), object.NotSupported},
		{make1(s, Interop, FilterClass, "Name", "f", "Query", "x", "QueryLanguage", "WQL"), object.AlreadyExists},
		{make1(s, Interop, FilterClass, "Name", "g", "Query", "x", "QueryLanguage", "SQL"), object.QueryLanguage},
		{make1(s, Interop, FilterClass, "Name", "g", "Query", "SELECT FROM", "QueryLanguage", "WQL"), object.InvalidQuery},
		{make1(s, Interop, FilterClass, "Name", "g", "Query", "SELECT * FROM Belay_Node", "QueryLanguage", "DMTF:CQL"), object.InvalidQuery},
		{make1(s, Interop, FilterClass, "Name", "g", "Query", "SELECT * FROM Belay_ClusterEvent WHERE None = 1", "QueryLanguage", "DMTF:CQL"), object.InvalidQuery},
		{make1(s, Interop, FilterClass, "Name", "g", "QueryLanguage", "WQL"), object.InvalidQuery},
		{make1(s, Interop, ListenerClass, "Name", "My listener", "Destination", "https://x"), object.AlreadyExists},
		{make1(s, Interop, SubscriptionClass, "Filter", s.filterPath("f"), "Handler", s.destinationPath("l")), object.AlreadyExists},
		{make1(s, Interop, SubscriptionClass, "Filter", s.filterPath("none"), "Handler", s.destinationPath("l")), object.InvalidParameter},
		{make1(s, Interop, profileClass, "InstanceID", "x"), object.NotSupported},
	} {
		o, err := s.Create(x.i, "bob")
		if err == nil || object.AsError(err).Code != x.code {
			t.Errorf("%s: %v %v, want %v", dump(x.i), o, err, x.code)
		}
	}
}

// TestModify: only what differs is written, and the generation is compared.
// What the engine asks of a filter that comes by another way.
func TestCheckQuery(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT * FROM Belay_ClusterEvent WHERE PerceivedSeverity > 4":               "",
		"SELECT * FROM CIM_InstModification WHERE SourceInstance ISA Belay_Resource": "",
		"SELECT * FROM Belay_ClusterEvent WHERE Nothing = 1":                         "Nothing",
		"SELECT * FROM Belay_Node":                                                   "no class of indications",
		"whatever":                                                                   "whatever",
	} {
		err := CheckQuery("WQL", query)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "CIM_ERR")) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
	if err := CheckQuery("SQL", "SELECT * FROM Belay_ClusterEvent"); err == nil {
		t.Error("a language that is none passes")
	}
}

func TestModify(t *testing.T) {
	s := testSource(t)
	edit := func(p *object.Path, values ...any) *object.Instance {
		t.Helper()
		now, err := s.Get(p)
		if err != nil {
			t.Fatal(err)
		}
		i := now.Class().New(now.Namespace)
		for _, k := range now.Class().Keys() {
			i.Set(k.Name, now.Get(k.Name))
		}
		for n := 0; n+1 < len(values); n += 2 {
			i.Set(values[n].(string), values[n+1])
		}
		return i
	}
	whole := func(p *object.Path, values ...any) *object.Instance {
		t.Helper()
		i, err := s.Get(p)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n+1 < len(values); n += 2 {
			i.Set(values[n].(string), values[n+1])
		}
		return i
	}
	db := byID(settingClass, settingID+"db")
	for _, x := range []struct {
		i        *object.Instance
		action   api.Action
		expected uint64
		want     string
	}{
		{edit(s.ResourcePath("web"), "TargetState", 2), api.ActionStop, 0, `resource/web {"group":["db","app"],"meta":{"target-role":"Stopped"}}`},
		{whole(s.ResourcePath("web"), "TargetState", 2), api.ActionStop, 9, `resource/web {"group":["db","app"],"meta":{"target-role":"Stopped"}}`},
		{edit(s.ResourcePath("web"), "Managed", false), api.ActionUnmanage, 0, `resource/web {"group":["db","app"],"meta":{"is-managed":false}}`},
		{edit(s.ResourcePath("web"), "Managed", false, "Priority", 3), api.ActionPatch, 0, `resource/web {"group":["db","app"],"meta":{"is-managed":false,"priority":3}}`},
		{edit(s.nodePath("n1"), "StandbyMode", true), api.ActionStandby, 0, `node/n1 {"id":1,"addresses":["10.0.0.1"],"voter":true,"standby":true,"attributes":{"rack":"n1"}}`},
		{edit(s.nodePath("n1"), "Site", "east", "AttributeNames", []string{"x"}, "AttributeValues", []string{"1"}), api.ActionPatch, 0, `node/n1 {"id":1,"addresses":["10.0.0.1"],"voter":true,"site":"east","attributes":{"x":"1"}}`},
		{edit(s.machinePath("far1"), "Maintenance", true, "AttributeNames", []string{"x"}, "AttributeValues", []string{"1"}), api.ActionCreate, 0, `remote-node/far1 {"maintenance":true,"attributes":{"x":"1"}}`},
		{edit(s.machinePath("far2"), "StandbyMode", false, "AttributeNames", []string{"x"}, "AttributeValues", []string{"1"}), api.ActionPatch, 0, `remote-node/far2 {"site":"west","attributes":{"x":"1"}}`},
		{edit(s.clusterPath(), "MaintenanceMode", true), api.ActionMaintenanceOn, 0, `cluster {"name":"prod","options":{"no-quorum-policy":"freeze","maintenance-mode":true}}`},
		{whole(s.clusterPath(), "NoQuorumPolicy", 5, "DetectionTime", 2500, "ConfigGeneration", 8), api.ActionPatch, 8, `cluster {"name":"prod","options":{"no-quorum-policy":"demote","detection":"2.5s"}}`},
		{
			whole(db, "ParameterNames", []string{"password", "user"}, "ParameterValues", []any{nil, "x"}), api.ActionPatch, 9,
			`resource/db {"agent":"ocf:heartbeat:pgsql","parameters":{"password":"` + cib.Redacted + `","user":"x"},"operations":[{"name":"monitor","interval":"10s","timeout":"20s"}],"meta":{"failure-timeout":"1m0s"}}`,
		},
		{
			edit(db, "FailureTimeout", nil, "OperationNames", []string{"monitor"}, "OperationIntervals", []int{10000}, "OperationTimeouts", []int{30000}), api.ActionPatch, 0,
			`resource/db {"agent":"ocf:heartbeat:pgsql","parameters":{"password":"` + cib.Redacted + `","pgdata":"/data"},"operations":[{"name":"monitor","interval":"10s","timeout":"30s"}]}`,
		},
		{edit(byID(constraintClass, constraintID+"together"), "Score", -5), api.ActionPatch, 0, `constraint/together {"colocation":{"resource":"vip","with":"web","score":-5}}`},
		{edit(byID(constraintClass, constraintID+"first"), "Document", `{"order":{"first":"web","then":"vip"}}`), api.ActionUpdate, 0, `constraint/first {"order":{"first":"web","then":"vip"}}`},
		{edit(s.servicePath(fenceDeviceClass, "pdu"), "Targets", []string{"n1"}), api.ActionPatch, 0, `fence-device/pdu {"agent":"fence_apc","parameters":{"ip":"10.0.0.9","passwd":"` + cib.Redacted + `"},"targets":{"n1":"1"}}`},
		{edit(quorumDevicePath("q"), "AskOrder", 4), api.ActionPatch, 0, `quorum-device/q {"kind":"quorumd","order":4,"parameters":{"server":"q1:7410"}}`},
		{edit(s.filterPath("f"), "Query", "SELECT * FROM CIM_InstCreation"), api.ActionPatch, 0, `cim-filter/f {"query":"SELECT * FROM CIM_InstCreation","language":"WQL"}`},
		{edit(s.destinationPath("l"), "Destination", "https://a:b@z/"), api.ActionPatch, 0, `cim-destination/l {"name":"My listener","url":"https://z/","user":"a","password":"b","owner":"bob"}`},
	} {
		o, err := s.Modify(x.i)
		if err != nil || o.Change == nil {
			t.Errorf("%s: %v", x.i.Path(), err)
			continue
		}
		if got := edited(t, o.Change); got != x.want || o.Change.Action != x.action || o.Change.ExpectedGeneration != x.expected {
			t.Errorf("%s: %s on %d\n%s, want %s on %d\n%s", x.i.Path(), o.Change.Action, o.Change.ExpectedGeneration, got, x.action, x.expected, x.want)
		}
	}
	// What was read and is written back changes nothing, of every class.
	for _, ns := range []string{Root, Interop} {
		for _, i := range all(t, s, ns) {
			o, err := s.Modify(i)
			if slices.Contains(changeable, i.Class().Name) && (err != nil || o.Change != nil) || !slices.Contains(changeable, i.Class().Name) && object.AsError(err).Code != object.NotSupported {
				t.Errorf("%s, written back: %v %v", i.Path(), o, err)
			}
		}
	}
	for _, i := range []*object.Instance{
		edit(db, "ResourceName", "other"), edit(db, "ResourceType", 2), edit(byID(constraintClass, constraintID+"first"), "ConstraintType", 1),
		edit(s.ResourcePath("web"), "TargetState", 1), edit(db, "ParameterNames", []string{"a"}), edit(s.filterPath("belay-events"), "Query", "x"),
		edit(s.filterPath("f"), "Query", "x"), edit(s.filterPath("f"), "Query", "SELECT * FROM Belay_Node"),
		make1(s, Root, settingClass, "InstanceID", "Belay:Resource:none", "Priority", 1),
	} {
		if o, err := s.Modify(i); err == nil {
			t.Errorf("%s is changed: %+v", i.Path(), o.Change)
		}
	}
}

// TestDelete: each instance that can be removed, and no other.
func TestDelete(t *testing.T) {
	s := testSource(t)
	var got []string
	for _, ns := range []string{Root, Interop} {
		for _, i := range all(t, s, ns) {
			o, err := s.Delete(i.Path())
			switch {
			case err == nil && i.Class().Is(remoteClass): // two objects at once
				got = append(got, strings.Fields(edited(t, o.Change))...)
			case err == nil:
				got = append(got, o.Change.Object)
			case object.AsError(err).Code != object.NotSupported:
				t.Errorf("%s: %v", i.Path(), err)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"cim-destination/l", "cim-destination/o", "cim-filter/f", "cim-subscription/b", "cim-subscription/s", "constraint/away", "constraint/first", "constraint/together",
		"fence-device/pdu", "gone", "gone", "quorum-device/q", "remote-node/far2", "resource/app", "resource/app", "resource/db", "resource/db", "resource/far1", "resource/far1", "resource/far1", "resource/vip", "resource/vip", "resource/web", "resource/web",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestMethods: each method that is supported, with what it asks of the engine.
func TestMethods(t *testing.T) {
	s := testSource(t)
	setting := make1(s, Root, settingClass, "ResourceName", "new", "Agent", "belay:dummy")
	called := map[string]bool{}
	for _, x := range []struct {
		path   *object.Path
		method string
		in     []any
		want   string // what it does, or the number that it returns
	}{
		{s.clusterPath(), "RequestStateChange", []any{"RequestedState", 9}, `cluster {"name":"prod","options":{"no-quorum-policy":"freeze","maintenance-mode":true}}`},
		{s.clusterPath(), "RequestStateChange", []any{"RequestedState", 3}, `cluster {"name":"prod","options":{"no-quorum-policy":"freeze","stop-all-resources":true}}`},
		{s.clusterPath(), "RequestStateChange", []any{"RequestedState", 10}, "5"},
		{s.clusterPath(), "SetOption", []any{"Name", "detection", "Value", "2s"}, `cluster {"name":"prod","options":{"no-quorum-policy":"freeze","detection":"2s"}}`},
		{s.clusterPath(), "SetOption", []any{"Name", "no-quorum-policy", "Value", ""}, `cluster {"name":"prod","options":{}}`},
		{s.clusterPath(), "SetOption", []any{"Name", "wait-for-all", "Value", "true"}, `cluster {"name":"prod","options":{"no-quorum-policy":"freeze","wait-for-all":true}}`},
		{s.nodePath("n1"), "RequestStateChange", []any{"RequestedState", 11}, `fence node/n1 {"op":"reboot"}`},
		{s.nodePath("n3"), "RequestStateChange", []any{"RequestedState", 2}, `node/n3 {"id":3,"addresses":["10.0.0.3"],"voter":true,"attributes":{"rack":"n3"}}`},
		{s.nodePath("n3"), "Online", nil, `node/n3 {"id":3,"addresses":["10.0.0.3"],"voter":true,"attributes":{"rack":"n3"}}`},
		{s.nodePath("n1"), "Standby", nil, `node/n1 {"id":1,"addresses":["10.0.0.1"],"voter":true,"standby":true,"attributes":{"rack":"n1"}}`},
		{s.nodePath("n1"), "Fence", []any{"Action", 2}, `fence node/n1 {"op":"off"}`},
		{s.nodePath("n1"), "Fence", []any{"Action", 9}, "5"},
		{s.nodePath("n1"), "Drain", nil, `drain node/n1 `},
		{s.nodePath("n2"), "ConfirmDead", nil, `fence-confirm node/n2 `},
		{s.nodePath("n2"), "ClearFailures", nil, `cleanup node/n2 `},
		{s.machinePath("far1"), "Standby", nil, `remote-node/far1 {"standby":true}`},
		{s.machinePath("far2"), "Online", nil, `remote-node/far2 {"site":"west","attributes":{"rack":"9"}}`},
		{s.machinePath("far1"), "RequestStateChange", []any{"RequestedState", 9}, `remote-node/far1 {"maintenance":true}`},
		{s.machinePath("far2"), "RequestStateChange", []any{"RequestedState", 2}, `remote-node/far2 {"site":"west","attributes":{"rack":"9"}}`},
		{s.machinePath("far1"), "RequestStateChange", []any{"RequestedState", 11}, "5"},
		{s.machinePath("far2"), "ConfirmDead", nil, `fence-confirm node/far2 `},
		{s.ResourcePath("web"), "StopService", nil, `resource/web {"group":["db","app"],"meta":{"target-role":"Stopped"}}`},
		{s.ResourcePath("web"), "StartService", nil, ``},
		{s.ResourcePath("web"), "RequestStateChange", []any{"RequestedState", 3}, `resource/web {"group":["db","app"],"meta":{"target-role":"Stopped"}}`},
		{s.ResourcePath("web"), "RequestStateChange", []any{"RequestedState", 3, "TimeoutPeriod", object.DateTime("00000000000100.000000:000")}, "4098"},
		{s.ResourcePath("web"), "Restart", nil, `resource/web {"group":["db","app"],"restarts":1}`},
		{s.ResourcePath("vip"), "Move", []any{"ToNode", "n2"}, `constraint/move-vip {"location":{"resource":"vip","node":"n2","score":"INFINITY","until-reached":true}}`},
		{s.ResourcePath("vip"), "Move", nil, `constraint/move-vip {"location":{"resource":"vip","node":"n1","score":"-INFINITY","until-reached":true}}`},
		{s.ResourcePath("db"), "Move", nil, "4097"},
		{s.ResourcePath("vip"), "ClearMove", nil, "0"},
		{s.ResourcePath("vip"), "Refresh", nil, "refresh resource/vip "},
		{s.ResourcePath("vip"), "ClearFailures", []any{"OnNode", "n1"}, `cleanup resource/vip {"node":"n1"}`},
		{s.servicePath(fenceDeviceClass, "pdu"), "RequestPowerStateChange", []any{"PowerState", 8, "ManagedElement", s.nodePath("n2")}, `fence node/n2 {"op":"off"}`},
		{s.servicePath(fenceDeviceClass, "pdu"), "RequestPowerStateChange", []any{"PowerState", 8, "ManagedElement", s.nodePath("n3")}, "5"},
		{s.servicePath(fenceDeviceClass, "pdu"), "RequestPowerStateChange", []any{"PowerState", 99, "ManagedElement", s.nodePath("n2")}, "5"},
		{byID("Belay_NodeRedundancySet", setID), "Failover", []any{"FailoverFrom", s.nodePath("n1")}, `node/n1 {"id":1,"addresses":["10.0.0.1"],"voter":true,"standby":true,"attributes":{"rack":"n1"}}`},
		{byID("Belay_NodeRedundancySet", setID), "Failover", []any{"FailoverFrom", s.nodePath("n1"), "FailoverTo", s.nodePath("n2")}, `constraint/move-vip {"location":{"resource":"vip","node":"n2","score":"INFINITY","until-reached":true}}`},
		{byID("Belay_NodeRedundancySet", setID), "Failover", []any{"FailoverFrom", s.nodePath("n1"), "FailoverTo", s.nodePath("n1")}, "5"},
		{byID("Belay_NodeRedundancySet", setID), "Failover", []any{"FailoverFrom", s.nodePath("n3"), "FailoverTo", s.nodePath("n1")}, "0"},
		{s.servicePath(fenceDeviceClass, "pdu"), "Test", nil, "0 [Results [n1: ok n2: no answer] Checked 2026-11-22 12:30:15 +0000 UTC]"},
		{s.ServicePath(), "CreateJoinToken", []any{"NodeName", "n4", "Lifetime", 60, "Voter", false}, "token 1m0s n4 false"},
		{s.ServicePath(), "CreateResource", []any{"Setting", setting}, `resource/new {"agent":"belay:dummy"}`},
		{s.ServicePath(), "ModifyResource", []any{"Resource", s.ResourcePath("app"), "Setting", make1(s, Root, settingClass, "Priority", 4)}, `resource/app {"agent":"systemd:app","meta":{"priority":4}}`},
		{s.ServicePath(), "ModifyResource", []any{"Resource", s.ResourcePath("none"), "Setting", setting}, "5"},
		{s.ServicePath(), "AddConstraint", []any{"Constraint", make1(s, Root, constraintClass, "ConstraintName", "c", "ConstraintType", 4, "FirstResource", "vip", "TicketName", "t")}, `constraint/c {"ticket":{"resource":"vip","ticket":"t"}}`},
		{s.ServicePath(), "RemoveConstraint", []any{"Constraint", byID(constraintClass, constraintID+"away")}, `constraint/away gone`},
		{s.ServicePath(), "AddFenceDevice", []any{"Device", make1(s, Root, fenceDeviceClass, "Name", "x", "Agent", "fence_x")}, `fence-device/x {"agent":"fence_x"}`},
		{s.ServicePath(), "RemoveFenceDevice", []any{"Device", s.servicePath(fenceDeviceClass, "pdu")}, `fence-device/pdu gone`},
		{s.ServicePath(), "SetQuorumDevice", []any{"Device", make1(s, Root, quorumClass, "DeviceID", "q", "AskOrder", 3)}, `quorum-device/q {"kind":"quorumd","order":3,"parameters":{"server":"q1:7410"}}`},
		{s.ServicePath(), "SetQuorumDevice", []any{"Device", make1(s, Root, quorumClass, "DeviceID", "n", "DeviceType", 5)}, `quorum-device/n {"kind":"node"}`},
		{s.ServicePath(), "SetQuorumDevice", []any{"Device", make1(s, Root, quorumClass, "DeviceID", "q"), "Remove", true}, `quorum-device/q gone`},
		{s.ServicePath(), "DeleteResource", []any{"Resource", s.ResourcePath("none")}, "5"},
		{s.ServicePath(), "EvictNode", []any{"CS", s.ResourcePath("web")}, "5"},
		{s.ServicePath(), "ApplyConfiguration", []any{"Document", `{"resources":{"app":{"position":2}}}`}, `resource/app {"agent":"systemd:app","position":2}`},
		{s.ServicePath(), "AddNode", []any{"CS", s.nodePath("n1")}, "1"},
		{s.ServicePath(), "StopService", nil, "1"},
		{s.servicePath(fenceDeviceClass, "pdu"), "RequestStateChange", []any{"RequestedState", 3}, "1"},
	} {
		class := s.class(Root, x.path.Class)
		c := &object.Call{Path: x.path, Class: class, Method: class.Method(x.method)}
		for n := 0; n+1 < len(x.in); n += 2 {
			p := c.Method.Parameter(x.in[n].(string))
			v, err := object.Convert(x.in[n+1], p.Kind)
			if err != nil {
				t.Fatal(err)
			}
			c.In = append(c.In, object.Argument{Parameter: p, Value: v})
		}
		o, err := s.Invoke(c)
		if err != nil {
			t.Errorf("%s %s: %v", x.path, x.method, err)
			continue
		}
		called[class.Name+"."+x.method] = true
		got := fmt.Sprint(o.Return)
		switch {
		case o.Change != nil:
			got = edited(t, o.Change)
		case o.Token != nil:
			got = fmt.Sprint("token ", o.Token.TTL.D(), " ", o.Token.Node, " ", *o.Token.Voter)
		case len(o.Out) > 0:
			got = fmt.Sprint(o.Return, " ", o.Out)
		}
		if got != x.want {
			t.Errorf("%s %s %v\n%s, want\n%s", x.path, x.method, x.in, got, x.want)
		}
	}
	for name := range methods {
		class, method, _ := strings.Cut(name, ".")
		if c := s.class(Root, class); c == nil || c.Method(method) == nil {
			t.Errorf("the schema has no %s", name)
		}
		if !called[name] {
			t.Errorf("%s is not tested", name)
		}
	}
	for _, c := range s.schemas[Root].Classes {
		for _, m := range c.Methods {
			if strings.HasPrefix(c.Name, "Belay_") && m.Origin == c.Name && methods[c.Name+"."+m.Name] == nil {
				t.Errorf("%s.%s does nothing", c.Name, m.Name)
			}
		}
	}
}
