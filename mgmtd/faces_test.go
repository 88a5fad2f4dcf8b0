package mgmtd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
	engineapi "github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/snmp/mib"
)

// TestFaces: the same state through REST (whose JSON is that of the command line, too),
// SNMP and CIM is the same, field by field.
func TestFaces(t *testing.T) {
	sum := facesSummary()
	doc, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	var rest map[string]any
	if err := json.Unmarshal(doc, &rest); err != nil {
		t.Fatal(err)
	}
	root := mib.Root(mib.DocumentationPEN)
	vars := mib.Build(&mib.View{Summary: sum}, root)
	schemas, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*object.Schema{}
	for _, s := range schemas {
		byName[s.Namespace] = s
	}
	source := model.New(byName, model.View{Summary: sum, Config: &engineapi.Config{Generation: sum.Cluster.Generation, Config: cib.Empty().Config}}).Source(model.Access{})
	for _, x := range []struct {
		class, key string   // of CIM: the instance whose key ends so
		list       string   // of REST: "nodes"; "" for what is there once
		at         int      // in the list
		fields     []string // REST's, CIM's, each with the arcs of SNMP below belayObjects, as "state NodeState 3.1.4.1"
	}{
		{"Belay_Cluster", "prod", "cluster", 0, []string{
			"name Name 1.1.0", "state OverallState 1.2.0", "reason StateReason 1.3.0", "dc DC 1.6.0", "generation ConfigGeneration 1.7.0", "view ViewNumber 1.10.0",
			"counts.nodes NodesTotal 1.11.0", "counts.nodesOnline NodesOnline 1.12.0", "counts.resources ResourcesTotal 1.14.0", "counts.resourcesRunning ResourcesRunning 1.15.0",
			"counts.resourcesFailed ResourcesFailed 1.17.0",
		}},
		{"Belay_Cluster", "prod", "quorum", 0, []string{
			"state QuorumState 2.1.0", "votes QuorumVotes 2.2.0", "expected ExpectedVotes 2.3.0", "needed NeededVotes 2.4.0",
		}},
		{"Belay_Node", "n1", "nodes", 0, []string{"name Name 3.1.2.1", "id NodeID -", "role NodeRole -", "health NodeHealth -", "state NodeState -", "reason StateReason -", "version SoftwareVersion -", "fence FencingReadiness -", "running InstancesRunning -"}},
		{"Belay_Node", "n2", "nodes", 1, []string{"name Name 3.1.2.7", "id NodeID -", "role NodeRole -", "health NodeHealth -", "state NodeState -", "reason StateReason -", "admin AdminState -", "failed InstancesFailed -"}},
		{"Belay_RemoteNode", "far1", "remotes", 0, []string{"name Name -", "state NodeState -", "reason StateReason -", "admin AdminState -", "health NodeHealth -", "host Host -", "version SoftwareVersion -", "running InstancesRunning -"}},
		{"Belay_Resource", "web", "resources", 0, []string{
			"id Name 5.1.2.12", "kind ResourceType 5.1.3.12", "state ResourceState 5.1.6.12", "reason StateReason 5.1.7.12", "wanted TargetState 5.1.8.12",
			"active InstancesActive 5.1.12.12", "expected InstancesExpected 5.1.13.12", "failCount FailCount 5.1.14.12",
		}},
		{"Belay_Resource", "db", "resources", 1, []string{
			"id Name 5.1.2.3", "kind ResourceType 5.1.3.3", "agent Agent 5.1.4.3", "state ResourceState 5.1.6.3", "wanted TargetState 5.1.8.3", "parent Parent -",
			"active InstancesActive 5.1.12.3", "failCount FailCount 5.1.14.3",
		}},
		{"Belay_FenceDevice", "pdu", "fenceDevices", 0, []string{"id Name 8.1.2.4", "agent Agent -", "state DeviceState -", "succeeded Succeeded -"}},
		{"Belay_Link", "n2:0", "links", 0, []string{"peer RemoteNode -", "state LinkState -", "address LocalAddress -", "sent MessagesSent -"}},
	} {
		var i *object.Instance
		for found, err := range source.Instances(model.Root, byName[model.Root].MustClass(x.class)) {
			if err != nil {
				t.Fatal(err)
			}
			if found.Text("Name") == x.key {
				i = found
			}
		}
		if i == nil {
			t.Errorf("CIM has no %s %s", x.class, x.key)
			continue
		}
		part := rest[x.list]
		if list, ok := part.([]any); ok {
			part = list[x.at]
		}
		for _, f := range x.fields {
			name := strings.Fields(f)
			json := part
			for p := range strings.SplitSeq(name[0], ".") {
				json = json.(map[string]any)[p]
			}
			want := plain(json)
			if got := cimText(i, name[1]); got != want {
				t.Errorf("%s %s: CIM's %s is %q, REST's %s is %q", x.class, x.key, name[1], got, name[0], want)
			}
			if name[2] == "-" {
				continue
			}
			oid := append(slices.Clone(root), 1)
			for arc := range strings.SplitSeq(name[2], ".") {
				var n uint32
				if _, err := fmt.Sscan(arc, &n); err != nil {
					t.Fatal(err)
				}
				oid = append(oid, n)
			}
			v, ok := mib.Find(vars, oid)
			got := v.Value.Bytes
			if v.Value.Type != mib.OctetString {
				got = fmt.Sprint(v.Value.Num)
				want = fmt.Sprint(i.Get(name[1])) // numbers of enumerations are the same
			}
			if !ok || got != want {
				t.Errorf("%s %s: SNMP's %s is %q, CIM's %s is %q", x.class, x.key, name[2], got, name[1], want)
			}
		}
	}
}

// plain is a value of JSON as CIM would write it.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return fmt.Sprint(int64(v))
	case string:
		if v == "INFINITY" {
			return "1000000"
		}
		return v
	}
	return fmt.Sprint(v)
}

// cimText is a value of CIM as a text; that of an enumeration by its name.
func cimText(i *object.Instance, name string) string {
	v, p := i.Get(name), i.Class().Property(name)
	if v == nil {
		return ""
	}
	numbers, names := p.Qualifiers.Get("ValueMap"), p.Qualifiers.Get("Values")
	if numbers == nil || names == nil {
		return fmt.Sprint(v)
	}
	for n, x := range numbers.Value.([]any) {
		if x == fmt.Sprint(v) {
			return names.Value.([]any)[n].(string)
		}
	}
	return "a value that is not in the map"
}

func facesSummary() *status.Summary {
	now := time.Date(2026, 11, 22, 12, 30, 15, 0, time.UTC)
	return &status.Summary{
		Revision: 77, Time: now,
		Cluster: status.Cluster{
			Name: "prod", State: status.ClusterFailed, Reason: "web failed", DC: "n1", View: 6, Generation: 9,
			Counts: status.Counts{Nodes: 2, NodesOnline: 1, Resources: 2, ResourcesRunning: 1, ResourcesFailed: 1},
		},
		Quorum: status.Quorum{State: status.QuorumQuorate, Votes: 2, Expected: 3, Needed: 2, Policy: cib.NoQuorumStop},
		Nodes: []status.Node{
			{Name: "n1", ID: 1, State: status.NodeOnline, Admin: status.AdminOnline, Role: status.RoleDC, Health: status.HealthGreen, Version: "1.2.3", Fence: status.FenceReadinessReady, Running: 2},
			{Name: "n2", ID: 7, State: status.NodeFencing, Reason: "not heard", Admin: status.AdminStandby, Role: status.RoleMember, Health: status.HealthRed, Fence: status.FenceReadinessFailed, Failed: 1},
		},
		Remotes: []status.Node{{Name: "far1", State: status.NodeStandby, Reason: "as asked", Admin: status.AdminStandby, Role: status.RoleRemote, Health: status.HealthYellow, Host: "n1", Version: "1.2.3", Running: 3}},
		Links:   []status.Link{{Node: "n1", Peer: "n2", State: status.LinkDegraded, Address: "10.0.0.1", Sent: 12}},
		Resources: []status.Resource{
			{ID: "web", Number: 12, Kind: cib.KindGroup, State: status.ResourceFailed, Reason: "db failed", Wanted: cib.RoleStarted, Members: []string{"db"}, Expected: 1, FailCount: cib.Infinity},
			{ID: "db", Number: 3, Kind: cib.KindPrimitive, Agent: "ocf:heartbeat:pgsql", Parent: "web", State: status.ResourceBlocked, Wanted: cib.RoleStopped, FailCount: 3},
		},
		FenceDevices: []status.FenceDevice{{ID: "pdu", Number: 4, Agent: "fence_apc", Targets: []string{"n1"}, State: status.FenceDeviceFailed, Succeeded: 5}},
	}
}
