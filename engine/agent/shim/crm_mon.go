package shim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

var crmMonOptions = []option{
	opt(none, "one-shot", "1"),
	opt(none, "as-xml", "X"),
	opt(none, "simple-status", "s"),
	opt(none, "inactive", "r"),
	opt(none, "group-by-node", "n"),
	opt(none, "show-node-attributes", "A"),
	opt(none, "hide-headers", "D"),
	opt(none, "show-detail", "R"),
	opt(none, "brief", "b"),
	opt(none, "pending", "j"),
	opt(none, "no-curses", "N"), // with one shot there are none
	opt(none, "quiet", "Q"),
	optVersion, optVerbose, optOutput, optHelp,
}

// textOptions choose what the text shows.
type textOptions struct {
	inactive   bool
	byNode     bool
	attributes bool
	noHeaders  bool
	plain      bool // as crm_resource --list: without nodes
}

// crmMon shows the cluster once, as text or XML. The terminal display, the
// daemon mode and HTML are not answered: this cluster has better ones.
func crmMon(ctx context.Context, c *call) int {
	options, err := parse(crmMonOptions, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	var o textOptions
	once, format := false, "text"
	for _, g := range options {
		switch g.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "one-shot":
			once = true
		case "as-xml":
			once, format = true, "old-xml"
		case "simple-status":
			once, format = true, "simple"
		case "inactive":
			o.inactive = true
		case "group-by-node":
			o.byNode = true
		case "show-node-attributes":
			o.attributes = true
		case "hide-headers":
			o.noHeaders = true
		case "output-as":
			once, format = true, g.value
		}
	}
	if !once || format != "text" && format != "xml" && format != "old-xml" && format != "simple" {
		return c.fail(exitUsage, "only -1, -s, --as-xml and --output-as=text|xml are answered here; see \"belay status --watch\"")
	}
	st, err := c.engine.Status(ctx)
	if err != nil {
		return c.noStatus(err, format)
	}
	switch format {
	case "old-xml":
		c.printf("<crm_mon version=\"%s\">\n%s</crm_mon>\n", version, xmlStatus(st))
	case "xml":
		c.document(xmlStatus(st))
	case "simple":
		return c.simpleStatus(st)
	default:
		c.textStatus(st, o)
	}
	return exitOK
}

func (c *call) noStatus(err error, format string) int {
	if format == "old-xml" {
		c.printf("<crm_mon version=\"%s\"/>\n", version)
	}
	if status(err) == exitUnreachable {
		return c.fail(exitUnreachable, "Connection to cluster failed: Connection refused")
	}
	return c.fail(status(err), "Connection to cluster failed: "+err.Error())
}

// simpleStatus is one line for Nagios and its kind, with its exit status.
func (c *call) simpleStatus(st *Status) int {
	var faults []string
	if st.DC == "" {
		faults = append(faults, "No DC")
	}
	online, instances := 0, 0
	for _, n := range st.Nodes {
		switch {
		case n.Unclean || !n.Online && !n.Pending:
			faults = append(faults, "offline node: "+n.Name)
		case n.Online && !n.Standby:
			online++
		}
		instances += n.Running
	}
	if len(faults) > 0 {
		c.printf("CLUSTER WARN: %s\n", strings.Join(faults, ", "))
		return exitError
	}
	c.printf("CLUSTER OK: %d nodes online, %d resource instances configured\n", online, len(rawIDs(st.Resources, "")))
	return exitOK
}

// clock writes a time as ctime(3).
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("Mon Jan _2 15:04:05 2006")
}

func (c *call) textStatus(st *Status, o textOptions) {
	if !o.noHeaders {
		quorum := "partition with quorum"
		if !st.Quorate {
			quorum = "partition WITHOUT quorum"
		}
		dc := "NONE"
		if st.DC != "" {
			dc = st.DC + " (version " + version + "-belay) - " + quorum
		}
		c.printf("Cluster Summary:\n  * Stack: belay\n  * Current DC: %s\n  * Last updated: %s\n", dc, clock(st.Updated))
		by := ""
		if st.ChangedBy != "" {
			by = " by " + st.ChangedBy
		}
		c.printf("  * Last change:  %s%s\n", clock(st.Changed), by)
		c.printf("  * %s configured\n  * %s configured\n", count(len(st.Nodes), "node"), count(len(rawIDs(st.Resources, "")), "resource instance"))
		if st.Maintained {
			c.printf("\n              *** Resource management is DISABLED ***\n  The cluster will not attempt to start, stop or recover services\n")
		}
		c.printf("\n")
	}
	c.printf("Node List:\n")
	if o.byNode {
		c.textByNode(st)
	} else {
		c.textNodes(st)
	}
	title := "Active Resources"
	switch {
	case o.byNode && o.inactive:
		title = "Inactive Resources"
	case o.inactive:
		title = "Full List of Resources"
	}
	if !o.byNode || o.inactive {
		c.printf("\n%s:\n", title)
		shown := 0
		for i := range st.Resources {
			r := &st.Resources[i]
			if o.byNode && !partlyStopped(r) {
				continue
			}
			shown += c.textResource(st, r, "  ", o)
		}
		if shown == 0 {
			c.printf("  * No %sresources\n", map[bool]string{true: "", false: "active "}[o.inactive])
		}
	}
	if o.attributes {
		c.printf("\nNode Attributes:\n")
		for _, n := range st.Nodes {
			if len(n.Attributes) == 0 {
				continue
			}
			c.printf("  * Node: %s:\n", n.Name)
			for _, k := range slices.Sorted(maps.Keys(n.Attributes)) {
				c.printf("    * %-32s\t: %-10s\n", k, n.Attributes[k])
			}
		}
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// nodeState is the word that crm_mon has for a node.
func nodeState(n *StatusNode) string {
	switch {
	case n.Unclean && n.Online:
		return "UNCLEAN (online)"
	case n.Unclean:
		return "UNCLEAN (offline)"
	case n.Pending:
		return "pending"
	case n.Standby && n.Online && n.Running > 0:
		return "standby (with active resources)"
	case n.Standby && n.Online:
		return "standby"
	case n.Standby:
		return "OFFLINE (standby)"
	case n.Maintenance && n.Online:
		return "maintenance"
	case n.Maintenance:
		return "OFFLINE (maintenance)"
	case n.Online:
		return "online"
	}
	return "OFFLINE"
}

func (c *call) textNodes(st *Status) {
	lists := map[string][]string{}
	for i := range st.Nodes {
		n := &st.Nodes[i]
		state := nodeState(n)
		if state != "online" && state != "OFFLINE" {
			c.printf("  * Node %s: %s\n", n.Name, state)
			continue
		}
		if n.Remote {
			state = "Remote" + strings.ToUpper(state[:1]) + state[1:]
		}
		lists[state] = append(lists[state], n.Name)
	}
	for _, k := range []struct{ state, text string }{
		{"online", "Online"},
		{"OFFLINE", "OFFLINE"},
		{"RemoteOnline", "RemoteOnline"},
		{"RemoteOFFLINE", "RemoteOFFLINE"},
	} {
		if names := lists[k.state]; len(names) > 0 {
			slices.Sort(names)
			c.printf("  * %s: [ %s ]\n", k.text, strings.Join(names, " "))
		}
	}
}

func (c *call) textByNode(st *Status) {
	for i := range st.Nodes {
		n := &st.Nodes[i]
		c.printf("  * Node %s: %s:\n    * Resources:\n", n.Name, nodeState(n))
		for _, r := range instancesOn(st.Resources, n.Name) {
			c.printf("      * %s\t(%s):\t %s%s\n", r.ID, r.Agent, r.Role, flags(&r))
		}
	}
}

// instancesOn finds the primitives that run on a node.
func instancesOn(list []StatusResource, node string) []StatusResource {
	var found []StatusResource
	for _, r := range list {
		if r.Kind == Primitive && r.Role != "Stopped" && slices.Contains(r.Nodes, node) {
			found = append(found, r)
		}
		found = append(found, instancesOn(r.Members, node)...)
	}
	return found
}

func active(r *StatusResource) bool {
	if r.Kind == Primitive {
		return r.Role != "Stopped" && len(r.Nodes) > 0
	}
	return slices.ContainsFunc(r.Members, func(m StatusResource) bool { return active(&m) })
}

func partlyStopped(r *StatusResource) bool {
	if r.Kind == Primitive {
		return !active(r)
	}
	return slices.ContainsFunc(r.Members, func(m StatusResource) bool { return partlyStopped(&m) })
}

// flags are the remarks behind a resource.
func flags(r *StatusResource) string {
	var words []string
	for _, f := range []struct {
		on   bool
		text string
	}{
		{r.Failed, "FAILED"},
		{r.Orphaned, "ORPHANED"},
		{r.Blocked, "blocked"},
		{r.Disabled, "disabled"},
		{!r.Managed, "unmanaged"},
	} {
		if f.on {
			words = append(words, f.text)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// textResource prints a resource with what is in it, and says how many lines.
func (c *call) textResource(st *Status, r *StatusResource, indent string, o textOptions) int {
	if !o.inactive && !active(r) {
		return 0
	}
	switch r.Kind {
	case Primitive:
		where := ""
		if len(r.Nodes) > 0 && !o.plain {
			where = " " + strings.Join(r.Nodes, " ")
		}
		c.printf("%s* %s\t(%s):\t %s%s%s\n", indent, r.ID, r.Agent, r.Role, where, flags(r))
	case Group:
		c.printf("%s* Resource Group: %s%s:\n", indent, r.ID, flags(&StatusResource{Managed: r.Managed, Disabled: r.Disabled}))
		for i := range r.Members {
			c.textResource(st, &r.Members[i], indent+"  ", o)
		}
	case Clone:
		c.textClone(st, r, indent, o)
	}
	return 1
}

func (c *call) textClone(st *Status, r *StatusResource, indent string, o textOptions) {
	var notes []string
	for _, f := range []struct {
		on   bool
		text string
	}{{r.Promoted, "promotable"}, {r.Unique, "unique"}, {!r.Managed, "unmanaged"}, {r.Disabled, "disabled"}} {
		if f.on {
			notes = append(notes, f.text)
		}
	}
	note := ""
	if len(notes) > 0 {
		note = " (" + strings.Join(notes, ", ") + ")"
	}
	c.printf("%s* Clone Set: %s [%s]%s:\n", indent, r.ID, r.Inner, note)
	byRole := map[string][]string{}
	taken := map[string]bool{}
	for i := range r.Members {
		m := &r.Members[i]
		where, _ := places([]StatusResource{*m}, m.ID)
		// An instance with a remark has a line of its own.
		if r.Unique || flags(m) != "" {
			c.textResource(st, m, indent+"  ", o)
			for _, p := range where {
				taken[p.node] = true
			}
			continue
		}
		for _, p := range where {
			role := "Started"
			switch {
			case p.promoted:
				role = "Promoted"
			case r.Promoted:
				role = "Unpromoted"
			}
			if !slices.Contains(byRole[role], p.node) {
				byRole[role] = append(byRole[role], p.node)
			}
			taken[p.node] = true
		}
	}
	if o.inactive && !r.Unique {
		for _, n := range st.Nodes {
			if !taken[n.Name] && !n.Remote {
				byRole["Stopped"] = append(byRole["Stopped"], n.Name)
			}
		}
	}
	for _, role := range []string{"Promoted", "Unpromoted", "Started", "Stopped"} {
		if names := byRole[role]; len(names) > 0 {
			slices.Sort(names)
			c.printf("%s  * %s: [ %s ]\n", indent, role, strings.Join(names, " "))
		}
	}
}
