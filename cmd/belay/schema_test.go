package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/engine/cib"
)

const schemaFile = "../../docs/reference/cluster.schema.json"

// TestSchemaIsFresh: the schema is what the types say now.
func TestSchemaIsFresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	out, err := exec.CommandContext(t.Context(), "go", "run", "gen_schema.go", "../../engine/cib", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(have, want) {
		t.Fatalf("%s is stale: go generate ./cmd/belay (%v)", schemaFile, err)
	}
}

// TestSchemaAgreesWithParser: what the engine reads the schema accepts, and what
// the engine refuses to read the schema refuses.
func TestSchemaAgreesWithParser(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, doc string
		ok        bool
	}{
		{"smallest", `cluster: {name: prod}`, true},
		{"empty sections", "cluster: {name: prod}\nresources:\n", true},
		{"a service", `
cluster: {name: prod, options: {no-quorum-policy: freeze, detection: 500ms, stop-grace: 90}}
resources:
  vip:
    agent: ocf:heartbeat:IPaddr2
    parameters: {ip: 10.0.0.100, cidr_netmask: "24"}
    operations: [{name: monitor, interval: 10s, on-fail: restart}]
    meta: {priority: INFINITY, resource-stickiness: 100}
  web: {group: [vip]}
constraints:
  likes: {location: {resource: web, node: n1, score: 100}}
fence-devices:
  ipmi: {agent: fence_ipmilan, targets: {n1: ""}}
nodes:
  n1: {standby: true}`, true},
		{"unknown field", `cluster: {nam: prod}`, false},
		{"unknown section", "cluster: {name: prod}\nresource: {}", false},
		{"number for a text", `resources: {vip: {agent: "belay:dummy", parameters: {mask: 24}}}`, false},
		{"no such policy", `cluster: {name: prod, options: {no-quorum-policy: cry}}`, false},
		{"no length of time", `cluster: {name: prod, options: {detection: fast}}`, false},
		{"no score", `constraints: {c: {location: {resource: a, node: b, score: lots}}}`, false},
		{"too high a score", `constraints: {c: {location: {resource: a, node: b, score: 2000000}}}`, false},
		{"text for a list", `resources: {web: {group: vip}}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := yaml.YAMLToJSONStrict([]byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(doc, &v); err != nil {
				t.Fatal(err)
			}
			if err := resolved.Validate(v); (err == nil) != tt.ok {
				t.Errorf("schema: %v", err)
			}
			if _, faults := cib.ParseConfig(doc); (len(faults) == 0) != tt.ok {
				t.Errorf("parser: %v", faults)
			}
		})
	}
}
