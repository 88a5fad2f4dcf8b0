package shim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var crmAttributeOptions = []option{
	opt(required, "name", "n", "attr-name"),
	opt(required, "pattern", "P"),
	opt(optional, "promotion", "p"),
	opt(required, "set-name", "s"),
	opt(required, "update", "v", "attr-value"),
	opt(none, "delete", "D", "delete-attr"),
	opt(none, "query", "G", "get-value"),
	opt(none, "quiet", "q", "Q"),
	opt(required, "node", "N", "U", "node-uname"),
	opt(required, "type", "t"),
	opt(required, "lifetime", "l"),
	opt(none, "utilization", "z"),
	opt(required, "id", "i", "attr-id"), // ours are found by name
	opt(required, "default", "d"),
	opt(none, "inhibit-policy-engine", "!"),
	optVersion, optVerbose, optOutput, optTo, optHelp,
}

// attributeCall is a crm_attribute command line, read.
type attributeCall struct {
	Attribute
	command   string
	quiet     bool
	xml       bool
	fallback  *string
	promotion bool
	resource  string
	kind      string // --type
	lifetime  string
}

func crmAttribute(ctx context.Context, c *call) int {
	options, err := parse(crmAttributeOptions, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	q := attributeCall{command: "query"}
	for _, o := range options {
		switch o.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "pattern":
			return c.fail(exitUsage, "--pattern is not supported by this cluster: give one --name")
		case "name":
			q.Name = o.value
		case "promotion":
			q.promotion, q.resource = true, o.value
		case "set-name":
			q.Set = o.value
		case "update":
			q.command, q.Value = "update", o.value
		case "delete", "query":
			q.command = o.name
		case "quiet":
			q.quiet = true
		case "node":
			q.Node = o.value
		case "type":
			q.kind = o.value
		case "lifetime":
			q.lifetime = o.value
		case "utilization":
			q.Scope = ScopeUtilization
		case "default":
			q.fallback = &o.value
		case "output-as":
			q.xml = o.value == "xml"
		}
	}
	return c.attribute(ctx, &q)
}

var crmMasterOptions = []option{
	opt(required, "update", "v", "attr-value"),
	opt(none, "delete", "D", "delete-attr"),
	opt(none, "query", "G", "get-value"),
	opt(none, "quiet", "q", "Q"),
	opt(required, "node", "N", "U"),
	opt(required, "lifetime", "l"),
	opt(required, "resource", "r", "resource-id"),
	opt(required, "id", "i"),
	opt(none, "inhibit-policy-engine", "!"),
	optVersion, optVerbose, optHelp,
}

// crmMaster is crm_attribute --promotion under its old name. Without a
// lifetime it means forever.
func crmMaster(ctx context.Context, c *call) int {
	c.tool = "crm_attribute" // it is the one that complains
	options, err := parse(crmMasterOptions, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	q := attributeCall{command: "query", promotion: true, resource: c.env("OCF_RESOURCE_INSTANCE"), lifetime: string(ScopeForever)}
	for _, o := range options {
		switch o.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "update":
			q.command, q.Value = "update", o.value
		case "delete", "query":
			q.command = o.name
		case "quiet":
			q.quiet = true
		case "node":
			q.Node = o.value
		case "lifetime":
			q.lifetime = o.value
		case "resource":
			q.resource = o.value
		}
	}
	if q.resource == "" {
		c.printf("\nUsage: crm_master <command> [<options>]\n\nThis command is deprecated. Use crm_attribute with the --promotion option\ninstead.\n")
		fmt.Fprintln(c.err, "error: No resource specified")
		return exitError
	}
	return c.attribute(ctx, &q)
}

// attribute carries out what both tools ask for.
func (c *call) attribute(ctx context.Context, q *attributeCall) int {
	if q.promotion {
		if q.resource == "" {
			q.resource = c.env("OCF_RESOURCE_INSTANCE")
		}
		if q.resource == "" {
			return c.fail(exitUsage, "-p/--promotion must be called from an OCF resource agent or with a resource ID specified")
		}
		q.Name = "master-" + q.resource
		if q.lifetime == "" && q.kind == "" {
			q.lifetime = string(ScopeReboot)
		}
	}
	if !q.place() {
		return c.fail(exitProtocol, "Error performing operation: No message of desired type")
	}
	id := "cib-bootstrap-options"
	if q.Scope != ScopeCluster {
		var err error
		if q.Node == "" {
			if q.Node, err = c.node(ctx); err != nil {
				return c.engineFault(err)
			}
		}
		node, err := c.lookup(ctx, q.Node)
		if errors.Is(err, ErrNoNode) {
			return c.fail(exitNoSuch, "Could not map name="+q.Node+" to a UUID")
		}
		if err != nil {
			return c.engineFault(err)
		}
		id = fmt.Sprintf("%s-%d", q.section(), node.ID)
	}
	if q.Scope == ScopeUtilization {
		id += "-utilization"
	}
	if q.Set != "" {
		id = q.Set
	}
	if q.command != "query" && q.Name == "" {
		return c.fail(exitUsage, "Command requires --name argument")
	}
	switch q.command {
	case "update":
		return c.updateAttribute(ctx, q)
	case "delete":
		return c.deleteAttribute(ctx, q, id+"-"+q.Name)
	}
	return c.queryAttribute(ctx, q)
}

// place decides where the attribute lives, as crm_attribute does from --type,
// --lifetime and --node. It says whether that could be understood.
func (q *attributeCall) place() bool {
	scope := ScopeCluster
	switch q.kind {
	case "":
		switch q.lifetime {
		case "":
			if q.Node != "" || q.Scope == ScopeUtilization {
				scope = ScopeForever
			}
		case string(ScopeReboot), "status":
			scope = ScopeReboot
		case string(ScopeForever), "nodes":
			scope = ScopeForever
		case "crm_config":
		default:
			return false
		}
	case "nodes":
		scope = ScopeForever
	case "status":
		scope = ScopeReboot
	case "crm_config":
	default:
		return false
	}
	if q.Scope != ScopeUtilization {
		q.Scope = scope
	}
	if q.Scope == ScopeCluster {
		q.Node = ""
	} else {
		q.Set = "" // a node has one set
	}
	return true
}

// section is the name that crm_attribute gives to a scope.
func (q *attributeCall) section() string {
	switch q.Scope {
	case ScopeReboot:
		return "status"
	case ScopeForever, ScopeUtilization:
		return "nodes"
	case ScopeCluster:
	}
	return "crm_config"
}

// engineFault says that the engine could not do it.
func (c *call) engineFault(err error) int {
	if status(err) == exitUnreachable {
		return c.fail(exitUnreachable, "Could not connect to the CIB: Transport endpoint is not connected")
	}
	return c.fail(status(err), "Error performing operation: "+err.Error())
}

func (c *call) updateAttribute(ctx context.Context, q *attributeCall) int {
	var err error
	if q.Value, err = c.expand(ctx, q.Attribute); err == nil {
		err = c.engine.SetAttribute(ctx, q.Attribute, 0)
	}
	if err != nil {
		return c.engineFault(err)
	}
	return exitOK
}

func (c *call) deleteAttribute(ctx context.Context, q *attributeCall, id string) int {
	existed, err := c.engine.DeleteAttribute(ctx, q.Attribute, 0)
	if err != nil {
		return c.engineFault(err)
	}
	if !existed || q.quiet || q.Scope == ScopeReboot {
		return exitOK
	}
	what, set := "attribute", ""
	if q.Scope == ScopeCluster {
		what = "option"
	}
	if q.Set != "" {
		set = " set=" + q.Set
	}
	c.printf("Deleted %s %s: id=%s%s name=%s\n", q.section(), what, id, set, q.Name)
	return exitOK
}

func (c *call) queryAttribute(ctx context.Context, q *attributeCall) int {
	found, err := c.engine.QueryAttribute(ctx, q.Attribute)
	if err != nil {
		return c.engineFault(err)
	}
	if len(found) == 0 {
		if q.fallback == nil {
			return c.fail(exitNoSuch, "Error performing operation: No such device or address")
		}
		found = []Attribute{{Name: q.Name, Value: *q.fallback}}
	}
	slices.SortStableFunc(found, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
	var body strings.Builder
	for _, a := range found {
		switch {
		case q.xml:
			body.WriteString("  <attribute" + attribute("name", a.Name) + attribute("value", a.Value) + attribute("scope", q.section()) + "/>\n")
		case q.quiet:
			c.printf("%s\n", a.Value)
		default:
			c.printf("scope=%s  name=%s value=%s\n", q.section(), a.Name, a.Value)
		}
	}
	if q.xml {
		c.document(body.String())
	}
	return exitOK
}
