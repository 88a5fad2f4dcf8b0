package render

import (
	"encoding/json"
	"fmt"
	"strings"
)

// agent is what is shown of an agent's metadata.
type agent struct {
	ShortDesc  string `json:"shortDesc"`
	LongDesc   string `json:"longDesc"`
	Version    string `json:"version"`
	Parameters []struct {
		Name       string   `json:"name"`
		Type       string   `json:"type"`
		Required   bool     `json:"required"`
		Deprecated bool     `json:"deprecated"`
		HasDefault bool     `json:"hasDefault"`
		Default    string   `json:"default"`
		Options    []string `json:"options"`
		ShortDesc  string   `json:"shortDesc"`
	} `json:"parameters"`
	Actions []struct {
		Name     string `json:"name"`
		Timeout  int64  `json:"timeout"`
		Interval int64  `json:"interval"`
		Role     string `json:"role"`
	} `json:"actions"`
}

// Agent shows the metadata of an agent: required parameters first.
func Agent(id string, metadata json.RawMessage, st Style) string {
	var m agent
	if err := json.Unmarshal(metadata, &m); err != nil {
		return string(metadata) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", st.paint(strong, id), m.ShortDesc)
	if m.LongDesc != "" {
		section(&b, strings.TrimSpace(m.LongDesc)+"\n")
	}
	t := table{header: []string{"PARAMETER", "TYPE", "NEEDED", "DEFAULT", "MEANING"}}
	for _, required := range []bool{true, false} {
		for _, p := range m.Parameters {
			if p.Required != required || p.Deprecated {
				continue
			}
			typ, needed := p.Type, ""
			if len(p.Options) > 0 {
				typ = strings.Join(p.Options, "|")
			}
			if p.Required {
				needed = "yes"
			}
			t.row(cell{p.Name, strong}, cell{typ, dim}, cell{needed, warn}, cell{p.Default, plain}, cell{p.ShortDesc, plain})
		}
	}
	section(&b, t.render(st))
	o := table{header: []string{"OPERATION", "TIMEOUT", "INTERVAL", "ROLE"}}
	for _, x := range m.Actions {
		o.row(cell{x.Name, strong}, cell{nanos(x.Timeout), plain}, cell{nanos(x.Interval), plain}, cell{x.Role, plain})
	}
	section(&b, o.render(st))
	return b.String()
}

func nanos(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%ds", n/1e9)
}
