package meta

import (
	"slices"
	"strings"
	"time"
)

// Kind says which catalogue an agent belongs to.
type Kind uint8

// The kinds of agents.
const (
	Resource Kind = iota // runs a service: OCF, systemd, LSB, built in
	Fence                // cuts a node off
)

// String gives "resource" or "fence".
func (k Kind) String() string {
	if k == Fence {
		return "fence"
	}
	return "resource"
}

// Metadata is what an agent says about itself.
type Metadata struct {
	Kind       Kind        `json:"kind"`
	Name       string      `json:"name"`                 // as in the metadata; "IPaddr2"
	Version    string      `json:"version,omitempty"`    // of the agent
	APIVersion string      `json:"apiVersion,omitempty"` // OCF: "1.0" or "1.1"; empty in fence agents
	ShortDesc  string      `json:"shortDesc,omitempty"`
	LongDesc   string      `json:"longDesc,omitempty"`
	VendorURL  string      `json:"vendorURL,omitempty"`
	Parameters []Parameter `json:"parameters,omitempty"` // in the agent's own order
	Actions    []Action    `json:"actions,omitempty"`    // in the agent's own order; monitor may be there several times
}

// Parameter describes one parameter of an agent.
type Parameter struct {
	Name        string   `json:"name"`
	Type        Type     `json:"type"`
	TypeName    string   `json:"typeName,omitempty"`    // what the agent wrote, where Type is Other
	Unique      bool     `json:"unique,omitempty"`      // no two resources of this type may share the value
	UniqueGroup string   `json:"uniqueGroup,omitempty"` // OCF 1.1: unique together with the others of the group
	Required    bool     `json:"required,omitempty"`
	Reloadable  bool     `json:"reloadable,omitempty"` // a change needs a reload, not a restart
	Deprecated  bool     `json:"deprecated,omitempty"`
	ReplacedBy  []string `json:"replacedBy,omitempty"` // for a deprecated one
	Obsoletes   []string `json:"obsoletes,omitempty"`  // older names of this one
	HasDefault  bool     `json:"hasDefault,omitempty"` // Default counts, even if it is empty
	Default     string   `json:"default,omitempty"`
	Options     []string `json:"options,omitempty"` // the values of a select
	ShortDesc   string   `json:"shortDesc,omitempty"`
	LongDesc    string   `json:"longDesc,omitempty"`
}

// Action describes one operation of an agent.
type Action struct {
	Name       string        `json:"name"`
	Timeout    time.Duration `json:"timeout,omitempty"`    // advised minimum; 0: none given
	Interval   time.Duration `json:"interval,omitempty"`   // advised; 0: not recurring, or none given
	StartDelay time.Duration `json:"startDelay,omitempty"` // advised wait before the first run
	Depth      int           `json:"depth,omitempty"`      // the OCF_CHECK_LEVEL this line speaks of
	Role       string        `json:"role,omitempty"`       // "Promoted", "Unpromoted" or empty
	OnTarget   bool          `json:"onTarget,omitempty"`   // fence: has to run on the node it is for (unfencing)
	Automatic  bool          `json:"automatic,omitempty"`  // fence: "on" at boot is needed (unfencing)
}

// Type is the type of a parameter's value.
type Type uint8

// The types of parameters. Second is the fence agents' whole number of
// seconds, Time the OCF time with a unit.
const (
	String Type = iota
	Integer
	Boolean
	Select
	Time
	Second
	Other
)

// typeNames is the table of types as agents write them.
var typeNames = [...]string{String: "string", Integer: "integer", Boolean: "boolean", Select: "select", Time: "time", Second: "second", Other: "other"}

// String gives the name that agents use for the type.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return typeNames[Other]
}

// MarshalText gives the name, for JSON.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalText gives the name, for JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// parseType finds the type for what an agent wrote. An unknown name is Other,
// whose values are not checked: newer agents must not be refused.
func parseType(s string) Type {
	s = strings.ToLower(strings.TrimSpace(s))
	switch s {
	case "":
		return String
	case "int":
		return Integer
	case "bool":
		return Boolean
	case "enum":
		return Select
	case "seconds":
		return Second
	}
	if i := slices.Index(typeNames[:], s); i >= 0 {
		return Type(i)
	}
	return Other
}

// Parameter finds a parameter by its name.
func (m *Metadata) Parameter(name string) (Parameter, bool) {
	i := slices.IndexFunc(m.Parameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return Parameter{}, false
	}
	return m.Parameters[i], true
}

// Reloadable returns the names of the parameters that the agent can take over while an
// instance runs, by reload-agent (OCF Resource Agent API 1.1, "reloadable"); none of an
// agent without that action, or of which nothing is known.
func (m *Metadata) Reloadable() []string {
	if m == nil || !m.HasAction("reload-agent") {
		return nil
	}
	var out []string
	for i := range m.Parameters {
		if m.Parameters[i].Reloadable {
			out = append(out, m.Parameters[i].Name)
		}
	}
	return out
}

// HasAction says whether the agent knows the operation.
func (m *Metadata) HasAction(name string) bool {
	return slices.ContainsFunc(m.Actions, func(a Action) bool { return a.Name == name })
}

// Action finds the line for an operation. For monitor, the line for role and
// depth is preferred; without an exact one the first line of that name counts.
func (m *Metadata) Action(name, role string, depth int) (Action, bool) {
	found := -1
	for i, a := range m.Actions {
		if a.Name != name {
			continue
		}
		if a.Role == role && a.Depth == depth {
			return a, true
		}
		if found < 0 {
			found = i
		}
	}
	if found < 0 {
		return Action{}, false
	}
	return m.Actions[found], true
}

// plugNames are the parameters that name the machine to a fence device, best
// first. The catalogue calls it plug and keeps port as its old name; a few
// agents outside it use the others.
var plugNames = []string{"plug", "port", "nodename", "nodeid", "node", "vmname", "domain", "host", "uuid"}

// PlugParameter names the parameter that tells this fence agent which machine
// is meant, or "" if it has none: a device that belongs to one machine.
func (m *Metadata) PlugParameter() string {
	for _, n := range plugNames {
		if p, ok := m.Parameter(n); ok && !p.Deprecated {
			return n
		}
	}
	for _, n := range plugNames {
		if _, ok := m.Parameter(n); ok {
			return n
		}
	}
	return ""
}

// Unfences says whether the agent wants "on" run for a node that joins,
// before it runs anything, and whether that has to happen on the node itself.
func (m *Metadata) Unfences() (automatic, onTarget bool) {
	for _, a := range m.Actions {
		if a.Name == "on" {
			automatic = automatic || a.Automatic
			onTarget = onTarget || a.OnTarget
		}
	}
	return automatic, onTarget
}

// secretWords mark parameters whose values must not be shown. "key" alone is
// no such word: keys of maps and of sorting are no secrets.
var secretWords = []string{"passw", "passphrase", "secret", "token", "community", "private_key", "privkey", "api_key", "apikey", "access_key", "credential", "hexadecimal_kg"}

// secretNames are secrets that no word gives away.
var secretNames = []string{"pw", "key", "apiKey", "auth_key", "authkey", "snmp_priv_passwd", "pin"}

// IsSecret says whether the value of a parameter with this name has to be
// sealed in the store and kept out of output, logs and reports. The metadata
// has no mark for it, so it goes by the name; names of scripts and files that
// hold a password are no secrets.
func IsSecret(name string) bool {
	n := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	for _, end := range []string{"_script", "_file", "_path", "_dir", "_timeout", "_length"} {
		if strings.HasSuffix(n, end) {
			return false
		}
	}
	if slices.Contains(secretNames, name) || slices.Contains(secretNames, n) {
		return true
	}
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(n, w) })
}
