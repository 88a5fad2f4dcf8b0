package shim

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// cibadmin answers the one question that agents ask it: which nodes have a
// transient attribute, "//node_state[@crmd='online']//nvpair[@name='x']".
// Without a path it gives an empty document: crm_mon here asks the engine, not
// a file.
var attributePath = regexp.MustCompile(`^//node_state(\[@crmd='online'\])?//nvpair\[@name='([^']+)'\]$`)

func cibadmin(ctx context.Context, c *call) int {
	options, err := parse([]option{
		opt(none, "query", "Q"), opt(required, "xpath", "A"), opt(required, "scope", "o"), opt(none, "local", "l"),
		optVersion, optVerbose, optHelp,
	}, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	query, path := false, ""
	for _, o := range options {
		switch o.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "query":
			query = true
		case "xpath":
			path = o.value
		}
	}
	if query && path == "" {
		c.printf("<cib validate-with=\"none\"/>\n")
		return exitOK
	}
	match := attributePath.FindStringSubmatch(path)
	if !query || match == nil {
		return c.fail(exitUsage, "this cluster has no such CIB: only a query for a transient attribute is answered")
	}
	nodes, err := c.engine.Nodes(ctx)
	if err != nil {
		return c.engineFault(err)
	}
	found, err := c.engine.QueryAttribute(ctx, Attribute{Scope: ScopeReboot, Name: match[2]})
	if err != nil {
		return c.engineFault(err)
	}
	online := func(name string) (Node, bool) {
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.Name == name })
		if i < 0 {
			return Node{}, false
		}
		return nodes[i], match[1] == "" || nodes[i].Member && !nodes[i].Remote
	}
	var lines []string
	for _, a := range found {
		if n, ok := online(a.Node); ok {
			lines = append(lines, fmt.Sprintf("<nvpair id=\"status-%d-%s\"%s%s/>", n.ID, escape(a.Name), attribute("name", a.Name), attribute("value", a.Value)))
		}
	}
	switch len(lines) {
	case 0:
		fmt.Fprintln(c.err, "Call cib_query failed: No such device or address")
		return exitNoSuch
	case 1:
		c.printf("%s\n", lines[0])
	default:
		slices.Sort(lines)
		c.printf("<xpath-query>\n  %s\n</xpath-query>\n", strings.Join(lines, "\n  "))
	}
	return exitOK
}
