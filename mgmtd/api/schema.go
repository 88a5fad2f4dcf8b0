package api

import (
	"path"
	"reflect"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/belay-ha/belay/engine/cib"
)

// newRegistry knows how our types look in JSON where reflection does not.
func newRegistry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", schemaName)
	r.RegisterTypeAlias(reflect.TypeFor[cib.Duration](), reflect.TypeFor[durationText]())
	r.RegisterTypeAlias(reflect.TypeFor[cib.Score](), reflect.TypeFor[scoreText]())
	r.RegisterTypeAlias(reflect.TypeFor[cib.Config](), reflect.TypeFor[configDocument]())
	return r
}

// schemaName tells types of one name apart by their package: a resource of the
// configuration is cib.Resource, the one with its state status.Resource.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	switch pkg := path.Base(t.PkgPath()); pkg {
	case "cib", "status", "graph", "job":
		return string(unicode.ToUpper(rune(pkg[0]))) + pkg[1:] + name
	case "api":
		if path.Base(path.Dir(t.PkgPath())) == "engine" {
			return "Engine" + name
		}
	}
	return name
}

type durationText string

// Schema describes a duration as documents have it.
func (durationText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "a duration such as 10s, 1m30s or 2h", Examples: []any{"10s"}}
}

type scoreText struct{}

// Schema describes a score as documents have it.
func (scoreText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "a whole number from -1000000 to 1000000, INFINITY or -INFINITY", Examples: []any{100}}
}

type configDocument struct{}

// Schema describes the configuration by its own schema.
func (configDocument) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Description: "the configuration, as in cluster.yaml: docs/reference/cluster.schema.json describes it", AdditionalProperties: true}
}

// anyDocument is a document of the configuration: the engine reads it, strictly.
type anyDocument map[string]any

// Schema lets any object through.
func (anyDocument) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Description: "a document as in cluster.yaml; docs/reference/cluster.schema.json describes it", AdditionalProperties: true}
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// Kind is a kind of document of the configuration.
type Kind string

// Schema lists the kinds.
func (Kind) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, k := range cib.ObjectKinds() {
		s.Enum = append(s.Enum, k)
	}
	s.PrecomputeMessages()
	return s
}
