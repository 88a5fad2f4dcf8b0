package shim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var crmNodeOptions = []option{
	opt(none, "name", "n"),
	opt(none, "list", "l"),
	opt(none, "partition", "p"),
	opt(none, "quorum", "q"),
	opt(none, "cluster-id", "i"),
	opt(required, "name-for-id", "N"),
	opt(none, "quiet", "Q"),
	optVersion, optVerbose, optOutput, optTo, optHelp,
}

func crmNode(ctx context.Context, c *call) int {
	options, err := parse(crmNodeOptions, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	command, id := "", ""
	for _, o := range options {
		switch o.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "quiet", "verbose", "output-as", "output-to":
		default:
			command, id = o.name, o.value
		}
	}
	// What is to be said of the node itself, the environment of an action knows.
	if node := c.env("OCF_RESKEY_CRM_meta_on_node"); command == "name" && node != "" {
		c.printf("%s\n", node)
		return exitOK
	}
	if command == "" || command == "help" {
		fmt.Fprint(c.err, "Usage:\n  crm_node [OPTION…]\n\ncrm_node - Tool for displaying low-level node information\n")
		return exitUsage
	}
	if command == "name" || command == "quorum" {
		local, err := c.engine.Local(ctx)
		if err != nil {
			return c.noController(err)
		}
		if command == "name" {
			c.printf("%s\n", local.Node)
		} else {
			c.printf("%d\n", number(local.Quorate))
		}
		return exitOK
	}
	nodes, err := c.engine.Nodes(ctx)
	if err != nil {
		return c.noController(err)
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return c.nodeList(ctx, command, id, nodes)
}

func (c *call) nodeList(ctx context.Context, command, id string, nodes []Node) int {
	switch command {
	case "list":
		for _, n := range nodes {
			if n.Remote {
				continue
			}
			state := "member"
			if !n.Member {
				state = "lost"
			}
			c.printf("%d %s %s\n", n.ID, n.Name, state)
		}
	case "partition":
		var names []string
		for _, n := range nodes {
			if n.Member && !n.Remote {
				names = append(names, n.Name)
			}
		}
		slices.Sort(names)
		c.printf("%s \n", strings.Join(names, " "))
	case "name-for-id":
		i := slices.IndexFunc(nodes, func(n Node) bool { return strconv.FormatUint(uint64(n.ID), 10) == id })
		if i < 0 {
			fmt.Fprintln(c.err, "Node is not known to cluster")
			return exitNoHost
		}
		c.printf("%s\n", nodes[i].Name)
	case "cluster-id":
		local, err := c.engine.Local(ctx)
		if err != nil {
			return c.noController(err)
		}
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.Name == local.Node })
		if i < 0 {
			fmt.Fprintln(c.err, "Node is not known to cluster")
			return exitNoHost
		}
		c.printf("%d\n", nodes[i].ID)
	}
	return exitOK
}

func (c *call) noController(err error) int {
	if status(err) == exitUnreachable {
		fmt.Fprintln(c.err, "error: Could not connect to controller: Connection refused")
	} else {
		fmt.Fprintf(c.err, "error: %v\n", err)
	}
	return status(err)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
