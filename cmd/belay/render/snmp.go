package render

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// SNMP shows how a cluster shows itself over SNMP, without secrets.
func SNMP(c *cib.Config, style Style) string {
	s := &c.Cluster.SNMP
	var b strings.Builder
	b.WriteString("private agent: " + cmp.Or(s.Listen, "not configured (a belay-mgmtd may have one of its own: --snmp-listen)") + "\nmaster agent:  " + cmp.Or(s.AgentX, "none") + "\n")
	users := &table{header: []string{"USER", "KIND", "AGENT"}}
	for _, id := range slices.Sorted(maps.Keys(c.SNMPUsers)) {
		u := c.SNMPUsers[id]
		kind := "v3 " + u.AuthProtocol() + " " + u.PrivProtocol()
		if u.V2c() {
			kind = "v2c community"
		}
		agent := ""
		if u.Agent {
			agent = "yes"
		}
		users.row(cell{text: id}, cell{text: kind}, cell{text: agent})
	}
	targets := &table{header: []string{"TARGET", "ADDRESS", "USER", "KIND", "SEVERITY", "EVENTS"}}
	for _, id := range slices.Sorted(maps.Keys(c.SNMPTargets)) {
		t := c.SNMPTargets[id]
		kind := "trap"
		if t.Inform {
			kind = "inform"
		}
		if t.Disabled {
			kind += ", disabled"
		}
		targets.row(cell{text: id}, cell{text: t.Address}, cell{text: t.User}, cell{text: kind},
			cell{text: cmp.Or(t.MinSeverity.String(), "all")}, cell{text: cmp.Or(strings.Join(t.Events, " "), "all")})
	}
	for _, t := range []*table{users, targets} {
		if text := t.render(style); text != "" {
			b.WriteString("\n" + text)
		}
	}
	return b.String()
}
