//go:build ignore

// Command gen_schema writes the JSON Schema of cluster.yaml from the types of
// engine/cib: their fields and tags by reflection, the descriptions from the
// comments in their sources.
package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gen_schema SOURCES FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "gen_schema:", err)
		os.Exit(1)
	}
}

func write(sources, file string) error {
	g := &generator{defs: map[string]any{}, comments: map[string]string{}}
	if err := g.read(sources); err != nil {
		return err
	}
	root := g.object(reflect.TypeFor[cib.Config]())
	doc := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://belay-ha.example/cluster.schema.json",
		"title": "cluster.yaml of Belay", "$defs": g.defs,
	}
	for k, v := range root {
		doc[k] = v
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

type generator struct {
	defs     map[string]any
	comments map[string]string // of "Type" and "Type.Field"
}

// read collects the comments of types and their fields.
func (g *generator) read(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			gd, ok := d.(*ast.GenDecl)
			if !ok || gd.Tok != token.TYPE {
				continue
			}
			for _, s := range gd.Specs {
				ts := s.(*ast.TypeSpec)
				g.comments[ts.Name.Name] = clean(gd.Doc, ts.Doc)
				st, ok := ts.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range st.Fields.List {
					for _, n := range field.Names {
						g.comments[ts.Name.Name+"."+n.Name] = clean(field.Doc, field.Comment)
					}
				}
			}
		}
	}
	return nil
}

func clean(groups ...*ast.CommentGroup) string {
	for _, c := range groups {
		if text := strings.TrimSpace(c.Text()); text != "" {
			return strings.ReplaceAll(text, "\n", " ")
		}
	}
	return ""
}

// object describes a struct: its fields and no others.
func (g *generator) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		s := g.schema(f.Type)
		if text := g.comments[t.Name()+"."+f.Name]; text != "" {
			s = described(s, text)
		}
		properties[name] = s
		// What joining a cluster fills in may be left out of a file.
		if !strings.Contains(options, "omit") && t != reflect.TypeFor[cib.Node]() && t != reflect.TypeFor[cib.Config]() && t != reflect.TypeFor[cib.Cluster]() {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	if text := g.comments[t.Name()]; text != "" {
		out["description"] = text
	}
	return out
}

// described adds a description beside a reference, too.
func described(s map[string]any, text string) map[string]any {
	out := map[string]any{"description": text}
	for k, v := range s {
		if k != "description" {
			out[k] = v
		}
	}
	return out
}

func (g *generator) schema(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[cib.Score]():
		return g.ref(t, func() map[string]any {
			return map[string]any{"description": g.comments["Score"], "anyOf": []any{
				map[string]any{"type": "integer", "minimum": -1000000, "maximum": 1000000},
				map[string]any{"type": "string", "pattern": "^([+-]?INFINITY|[+-]?[0-9]{1,7})$"},
			}}
		})
	case reflect.TypeFor[cib.Duration]():
		return g.ref(t, func() map[string]any {
			return map[string]any{"description": g.comments["Duration"], "anyOf": []any{
				map[string]any{"type": "integer", "minimum": 0},
				map[string]any{"type": "string", "pattern": "^([0-9]+|([0-9.]+(ns|us|µs|ms|s|m|h))+)$"},
			}}
		})
	}
	if values, ok := enumeration(t); ok {
		return g.ref(t, func() map[string]any {
			return map[string]any{"description": g.comments[t.Name()], "anyOf": values}
		})
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem())
	case reflect.Struct:
		return g.ref(t, func() map[string]any { return g.object(t) })
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": g.schema(t.Elem())}
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": g.schema(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Uint32:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.String:
		return map[string]any{"type": "string"}
	}
	panic("no schema for " + t.String())
}

func (g *generator) ref(t reflect.Type, make func() map[string]any) map[string]any {
	if g.defs[t.Name()] == nil {
		g.defs[t.Name()] = map[string]any{} // stops a type that contains itself
		g.defs[t.Name()] = make()
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name()}
}

// enumeration lists the values of an enumeration with their texts. The tables are
// found by the names that their values marshal to.
func enumeration(t reflect.Type) ([]any, bool) {
	if t.Kind() != reflect.Uint8 || !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil, false
	}
	texts := tables[t]
	if texts == nil {
		panic("no table for " + t.String())
	}
	return texts, true
}

func table[T ~uint8](e cib.Enum[T]) []any {
	var out []any
	for _, x := range e {
		out = append(out, map[string]any{"const": x.Name, "description": x.Text})
	}
	return out
}

var tables = map[reflect.Type][]any{
	reflect.TypeFor[cib.NoQuorumPolicy]():   table(cib.NoQuorumPolicies),
	reflect.TypeFor[cib.FenceOp]():          table(cib.FenceOps),
	reflect.TypeFor[cib.Role]():             table(cib.Roles),
	reflect.TypeFor[cib.OnFail]():           table(cib.OnFails),
	reflect.TypeFor[cib.MultipleActive]():   table(cib.MultipleActives),
	reflect.TypeFor[cib.OrderKind]():        table(cib.OrderKinds),
	reflect.TypeFor[cib.QuorumDeviceKind](): table(cib.QuorumDeviceKinds),
	reflect.TypeFor[cib.Severity]():         table(cib.Severities),
}
