package meta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FaultKind says what is wrong with a parameter.
type FaultKind uint8

// The kinds of faults.
const (
	Unknown    FaultKind = iota // the agent has no such parameter
	Missing                     // the agent requires it
	WrongType                   // the value does not fit the type
	Deprecated                  // it works, but has a newer name
)

// faultNames is the table of fault kinds.
var faultNames = [...]string{Unknown: "unknown", Missing: "missing", WrongType: "wrong-type", Deprecated: "deprecated"}

// String gives the name of the kind: "unknown", "missing", ...
func (k FaultKind) String() string { return faultNames[k] }

// MarshalText gives the name, for JSON.
func (k FaultKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Fault is one thing that is wrong with a set of parameters.
type Fault struct {
	Parameter string    `json:"parameter"`
	Kind      FaultKind `json:"kind"`
	Text      string    `json:"text"` // for the operator; holds no secret value
}

// Error gives the text with the parameter in front.
func (f Fault) Error() string { return "parameter " + f.Parameter + ": " + f.Text }

// given by the cluster at run time, so never missing in a fence device's
// configuration, and not up to the configuration either.
var fenceRuntime = []string{"action", "option"}

// Validate checks parameters against the metadata and gives every fault,
// ordered by parameter. Names that begin with "CRM_meta_" or "pcmk_" belong to
// the cluster and are skipped. Faults of kind Deprecated are advice.
func (m *Metadata) Validate(params map[string]string) []Fault {
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if reserved(name) || m.Kind == Fence && slices.Contains(fenceRuntime, name) {
			continue
		}
		p, known := m.Parameter(name)
		if !known {
			faults = append(faults, Fault{name, Unknown, "the agent " + m.Name + " has no such parameter" + m.nearest(name)})
			continue
		}
		if err := p.check(params[name]); err != nil {
			text := err.Error()
			if IsSecret(name) {
				text = "the value does not fit the type " + p.Type.String()
			}
			faults = append(faults, Fault{name, WrongType, text})
		}
		if p.Deprecated {
			text := "deprecated"
			if len(p.ReplacedBy) > 0 {
				text += ", use " + strings.Join(p.ReplacedBy, ", ")
			}
			faults = append(faults, Fault{name, Deprecated, text})
		}
	}
	for _, p := range m.Parameters {
		if p.Required && !p.Deprecated && !m.supplied(p, params) {
			faults = append(faults, Fault{p.Name, Missing, "required by the agent " + m.Name})
		}
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Parameter, b.Parameter) })
	return faults
}

func reserved(name string) bool {
	return strings.HasPrefix(name, "CRM_meta_") || strings.HasPrefix(name, "pcmk_")
}

// supplied says whether a required parameter has a value: its own, one under
// an old name, the agent's default, or one that the cluster gives.
func (m *Metadata) supplied(p Parameter, params map[string]string) bool {
	if _, ok := params[p.Name]; ok {
		return true
	}
	for _, old := range p.Obsoletes {
		if _, ok := params[old]; ok {
			return true
		}
	}
	if p.HasDefault && p.Default != "" {
		return true
	}
	return m.Kind == Fence && (slices.Contains(fenceRuntime, p.Name) || p.Name == m.PlugParameter())
}

// nearest suggests a name that differs by a typing error.
func (m *Metadata) nearest(name string) string {
	best, distance := "", 3
	for _, p := range m.Parameters {
		if d := editDistance(name, p.Name); d < distance && d < len(name) {
			best, distance = p.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance is Levenshtein's. Names longer than any real one are not compared.
func editDistance(a, b string) int {
	const lengthMax = 64
	if len(a) > lengthMax || len(b) > lengthMax {
		return lengthMax
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}
