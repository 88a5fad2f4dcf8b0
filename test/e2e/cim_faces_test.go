package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
)

// faces are classes of CIM with the lists of "belay status -o json", the field that is
// the instance's Name there, and pairs of fields: of JSON, of CIM.
var faces = []struct{ class, list, key, fields string }{
	{"Belay_Cluster", "cluster", "name", "name Name,state OverallState,reason StateReason,dc DC,generation ConfigGeneration,view ViewNumber,counts.nodes NodesTotal,counts.nodesOnline NodesOnline,counts.resources ResourcesTotal,counts.resourcesRunning ResourcesRunning,counts.resourcesFailed ResourcesFailed"},
	{"Belay_Cluster", "quorum", "", "state QuorumState,votes QuorumVotes,expected ExpectedVotes,needed NeededVotes"},
	{"Belay_Node", "nodes", "name", "name Name,id NodeID,state NodeState,reason StateReason,admin AdminState,role NodeRole,health NodeHealth,member IsMember,voter Voter,votes Votes,bootId BootID,version SoftwareVersion,running InstancesRunning,failed InstancesFailed,fence FencingReadiness"},
	{"Belay_Resource", "resources", "id", "id Name,kind ResourceType,agent Agent,parent Parent,state ResourceState,reason StateReason,wanted TargetState,managed Managed,active InstancesActive,expected InstancesExpected,failCount FailCount"},
	{"Belay_FenceDevice", "fenceDevices", "id", "id Name,agent Agent,state DeviceState,succeeded Succeeded"},
}

// What was changed through CIM is read through REST and the command line, and what was
// changed through REST is read through CIM: real programs show one state. What SNMP shows
// is compared with REST by TestSNMP.
func TestCIMFaces(t *testing.T) {
	d := startDev(t, "--cim-http")
	f := d.file()
	schemas, err := schema.Load()
	must(t, err)
	base := strings.Replace(f.CIMHTTP, "://", "://admin:"+d.password("admin")+"@", 1) + "/root/cimv2:"
	wbemcli := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "wbemcli", args...).CombinedOutput()
		return string(out), err
	}
	await(t, time.Minute, "a node is standby", func() string {
		if out, err := wbemcli("mi", base+`Belay_Node.CreationClassName="Belay_Node",Name="n3"`, "StandbyMode=TRUE"); err != nil {
			return fmt.Sprintf("%v: %s", err, out)
		}
		return ""
	})
	d.request("operator", http.MethodPost, "/v1/resources/disk/actions/unmanage", []byte("{}"), nil)
	await(t, time.Minute, "all show the same", func() string {
		cli, err := exec.CommandContext(t.Context(), belay(t), "status", "-o", "json", "--socket", f.Nodes[0].Socket).Output()
		must(t, err)
		var shown, rest map[string]any
		must(t, json.Unmarshal(cli, &shown))
		cim := map[string]map[string]map[string]string{}
		for _, x := range faces {
			if cim[x.class] == nil {
				out, err := wbemcli("ei", "-nl", base+x.class)
				if err != nil {
					return fmt.Sprintf("wbemcli: %v: %s", err, out)
				}
				cim[x.class] = instances(schemas[0].Class(x.class), out)
			}
		}
		d.rest("viewer", "/v1/status", &rest)
		compared := 0
		for _, x := range faces {
			a, b := rows(shown[x.list]), rows(rest[x.list])
			if len(a) != len(b) || x.key != "" && len(a) != len(cim[x.class]) {
				return fmt.Sprintf("%s: %d of the command line, %d of REST, %d of CIM", x.list, len(a), len(b), len(cim[x.class]))
			}
			for n := range a {
				name := "dev"
				if x.key != "" {
					name = plain(a[n], x.key)
				}
				for pair := range strings.SplitSeq(x.fields, ",") {
					field, property, _ := strings.Cut(pair, " ")
					one, two, three := plain(a[n], field), plain(b[n], field), cim[x.class][name][property]
					if one != two || one != three {
						return fmt.Sprintf("%s %s: %s is %q of the command line, %q of REST, and %s is %q", x.class, name, field, one, two, property, three)
					}
					compared++
				}
			}
		}
		if got := cim["Belay_Node"]["n3"]["AdminState"] + cim["Belay_Resource"]["disk"]["Managed"]; got != "standbyfalse" || compared < 80 {
			return fmt.Sprintf("what was changed is %s; %d fields are compared", got, compared)
		}
		return ""
	})
}

// rows are the objects of a list, or the one object.
func rows(v any) []map[string]any {
	var out []map[string]any
	switch v := v.(type) {
	case map[string]any:
		out = append(out, v)
	case []any:
		for _, x := range v {
			if m, ok := x.(map[string]any); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

// plain is a field of JSON as a text; "" where it is not there.
func plain(m map[string]any, path string) string {
	var v any = m
	for part := range strings.SplitSeq(path, ".") {
		in, _ := v.(map[string]any)
		v = in[part]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprint(v)
}

// instances are those that "wbemcli ei -nl" shows, by Name. Values of enumerations are
// their names in the class.
func instances(class *object.Class, out string) map[string]map[string]string {
	all := map[string]map[string]string{}
	var one map[string]string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "-"), "=")
		if !strings.HasPrefix(line, "-") {
			one = map[string]string{}
			continue
		}
		if !ok || one == nil {
			continue
		}
		value = strings.Trim(value, `"`)
		p := class.Property(name)
		if p == nil {
			continue
		}
		if p.Kind.Type == object.Boolean {
			value = strings.ToLower(value)
		}
		if numbers, names := p.Qualifiers.Get("ValueMap"), p.Qualifiers.Get("Values"); numbers != nil && names != nil && !p.Kind.Array {
			if n := slices.Index(numbers.Value.([]any), any(value)); n >= 0 {
				value = names.Value.([]any)[n].(string)
			}
		}
		one[name] = value
		if name == "Name" {
			all[value] = one
		}
	}
	return all
}
