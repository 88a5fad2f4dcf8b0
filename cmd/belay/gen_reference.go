//go:build ignore

// Command gen_reference writes the reference of cluster.yaml for people, from its
// JSON Schema.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// schema is what is used of a JSON Schema.
type schema struct {
	Ref         string             `json:"$ref"`
	Description string             `json:"description"`
	Type        any                `json:"type"`
	Const       string             `json:"const"`
	AnyOf       []*schema          `json:"anyOf"`
	Items       *schema            `json:"items"`
	Additional  json.RawMessage    `json:"additionalProperties"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Defs        map[string]*schema `json:"$defs"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gen_reference SCHEMA FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "gen_reference:", err)
		os.Exit(1)
	}
}

func write(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var s schema
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	var b strings.Builder
	b.WriteString("# cluster.yaml\n\nGenerated from the [JSON Schema](reference/cluster.schema.json); editors complete and check with it. " +
		"`belay get` prints this\ndocument, `belay apply -f` makes it so. The [operator guide](operator-guide.md#configuration) has examples.\n")
	table(&b, "The document", &s)
	for _, name := range slices.Sorted(maps.Keys(s.Defs)) {
		table(&b, name, s.Defs[name])
	}
	return os.WriteFile(to, []byte(b.String()), 0o644)
}

func table(b *strings.Builder, name string, s *schema) {
	fmt.Fprintf(b, "\n## %s\n\n", name)
	if d := text(s.Description); d != "" {
		fmt.Fprintf(b, "%s\n", d)
	}
	if len(s.AnyOf) > 0 && s.AnyOf[0].Const != "" {
		b.WriteString("\n| value | meaning |\n|---|---|\n")
		for _, a := range s.AnyOf {
			fmt.Fprintf(b, "| %s | %s |\n", kind(a), text(a.Description))
		}
		return
	}
	if len(s.Properties) == 0 {
		fmt.Fprintf(b, "\n%s.\n", kind(s))
		return
	}
	b.WriteString("\n| field | value | meaning |\n|---|---|---|\n")
	for _, f := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[f]
		meaning := text(p.Description)
		if slices.Contains(s.Required, f) {
			meaning = strings.TrimPrefix(meaning+"; required", "; ")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f, kind(p), meaning)
	}
}

// text fits a description into a line of a table.
func text(s string) string {
	s = strings.NewReplacer("|", `\|`, "\n", " ", "[", "", "]", "").Replace(s)
	return strings.TrimSpace(s)
}

// kind names the values that a schema allows.
func kind(s *schema) string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case s.Const != "":
		return "`" + s.Const + "`"
	case len(s.AnyOf) > 0:
		var kinds []string
		for _, a := range s.AnyOf {
			if k := kind(a); k != "" && !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
		return strings.Join(kinds, " or ")
	case s.Items != nil:
		return "list of " + kind(s.Items)
	case len(s.Additional) > 0 && string(s.Additional) != "false" && string(s.Additional) != "true":
		var of schema
		if json.Unmarshal(s.Additional, &of) != nil {
			return "map"
		}
		return "map of " + kind(&of)
	}
	types, _ := s.Type.([]any)
	if t, ok := s.Type.(string); ok {
		types = []any{t}
	}
	for _, t := range types {
		if t == "null" {
			continue
		}
		return fmt.Sprint(t)
	}
	return ""
}
