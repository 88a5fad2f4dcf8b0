package cib

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDefaultRulesChecked: a rule says only what it can where it stands.
func TestDefaultRulesChecked(t *testing.T) {
	node, agent := Rule{Expressions: []Expression{{Attribute: "a", Operation: "defined"}}}, Rule{Agents: []AgentMatch{{Type: "db"}}}
	op := Rule{Operations: []OperationMatch{{Name: OpStart}}}
	c := Empty().Config
	c.Cluster.ResourceDefaultRules = []ResourceDefaultRule{{Rule: node}, {Rule: op}, {}, {Rule: agent}}
	c.Cluster.OpDefaultRules = []OpDefaultRule{{Rule: node}, {Rule: Rule{Operations: []OperationMatch{{}}}}, {Rule: op}}
	c.Resources["web"] = &Resource{Agent: "ocf:x:web"}
	c.Constraints["a"] = &Constraint{Location: &Location{Pattern: "(", Node: "n1"}}
	c.Constraints["b"] = &Constraint{Location: &Location{Pattern: "web", Resource: "web", Node: "n1"}}
	c.Constraints["c"] = &Constraint{Location: &Location{Pattern: "web", Rule: &agent}}
	c.Constraints["d"] = &Constraint{Location: &Location{Pattern: "web", Rule: &node}}
	var got []string
	for _, f := range Validate(c) {
		if strings.HasPrefix(f.Path, "cluster.resource-default") || strings.HasPrefix(f.Path, "cluster.op-default") || strings.HasPrefix(f.Path, "constraints") && !strings.HasSuffix(f.Path, ".node") {
			got = append(got, f.Path)
		}
	}
	slices.Sort(got)
	want := []string{
		"cluster.op-default-rules[0].rule.expressions", "cluster.op-default-rules[1].rule.operations[0].name",
		"cluster.resource-default-rules[0].rule.expressions", "cluster.resource-default-rules[1].rule.operations", "cluster.resource-default-rules[2].rule",
		"constraints.a.location.resource-pattern", "constraints.b.location", "constraints.c.location.rule.agents",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestDefaultsChange: it is known when a default may become another one.
func TestDefaultsChange(t *testing.T) {
	at := time.Date(2026, 1, 1, 9, 30, 0, 0, time.UTC)
	inner := Rule{Dates: []Date{{Operation: "gt", Start: "2026-01-01T09:45:00Z"}}}
	c := &Cluster{
		ResourceDefaultRules: []ResourceDefaultRule{{Rule: Rule{Dates: []Date{{Operation: "date-spec", Spec: &DateSpec{Hours: "10"}}}}}},
		OpDefaultRules:       []OpDefaultRule{{Rule: Rule{Rules: []Rule{inner}}}},
	}
	if next := c.DefaultsChange(at); !next.Equal(time.Date(2026, 1, 1, 9, 45, 0, 1, time.UTC)) {
		t.Errorf("it changes at %s", next)
	}
}
