package shim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var crmResourceOptions = []option{
	// Commands.
	opt(none, "list", "L"),
	opt(none, "list-raw", "l"),
	opt(none, "list-operations", "o", "O", "list-all-operations"),
	opt(none, "locate", "W"),
	opt(required, "get-parameter", "g"),
	opt(required, "set-parameter", "p"),
	opt(required, "delete-parameter", "d"),
	opt(none, "ban", "B"),
	opt(none, "move", "M"),
	opt(none, "clear", "U"),
	opt(none, "cleanup", "C"),
	opt(none, "refresh", "R"),
	opt(none, "fail", "F"),
	opt(none, "wait"),
	// What they are about.
	opt(required, "resource", "r"),
	opt(required, "node", "N"),
	opt(required, "parameter-value", "v"),
	opt(none, "meta", "m"),
	opt(none, "utilization", "z"),
	opt(required, "lifetime", "u"),
	opt(none, "promoted", "master"),
	opt(required, "timeout", "T"),
	opt(none, "force", "f"),
	opt(required, "set-name", "s"), // ours have one set of each kind
	opt(required, "nvpair", "i"),
	opt(none, "quiet", "Q"),
	optVersion, optVerbose, optOutput, optTo, optHelp,
}

// commands are the options that say what to do.
var crmResourceCommands = []string{
	"list", "list-raw", "list-operations", "locate", "get-parameter", "set-parameter", "delete-parameter",
	"ban", "move", "clear", "cleanup", "refresh", "fail", "wait",
}

func crmResource(ctx context.Context, c *call) int {
	options, err := parse(crmResourceOptions, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	q := ResourceRequest{Table: TableParameters}
	command, quiet := "list", false
	for _, o := range options {
		if slices.Contains(crmResourceCommands, o.name) {
			command, q.Parameter = o.name, o.value
		}
		switch o.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "resource":
			q.Resource = o.value
		case "node":
			q.Node = o.value
		case "parameter-value":
			q.Value = o.value
		case "meta":
			q.Table = TableMeta
		case "utilization":
			q.Table = TableUtilization
		case "lifetime":
			q.Lifetime = o.value
		case "promoted":
			q.Promoted = true
		case "timeout":
			q.Timeout = duration(o.value)
		case "force":
			q.Force = true
		case "quiet":
			quiet = true
		}
	}
	optionalResource := []string{"list", "list-raw", "list-operations", "cleanup", "refresh", "wait"}
	if q.Resource == "" && !slices.Contains(optionalResource, command) {
		return c.fail(exitUsage, "Must supply a resource id with -r")
	}
	switch command {
	case "list", "list-raw", "list-operations", "locate":
		return c.showResources(ctx, command, &q, quiet)
	case "get-parameter", "set-parameter", "delete-parameter":
		return c.resourceParameter(ctx, command, &q)
	}
	return c.resourceAction(ctx, command, &q, quiet)
}

// resourceFault says what the engine said, in two lines as this tool does.
func (c *call) resourceFault(err error, q *ResourceRequest) int {
	first, second := "Error performing operation: "+err.Error(), ""
	switch {
	case errors.Is(err, ErrNoResource):
		first, second = "Resource '"+q.Resource+"' not found", "No such object"
	case errors.Is(err, ErrNoNode):
		first, second = "Node '"+q.Node+"' not found", "No such object"
	case status(err) == exitUnreachable:
		first, second = "Could not connect to the CIB: Transport endpoint is not connected", "Not connected"
	case errors.Is(err, ErrExists):
		first = "Error performing operation: Requested item already exists"
	}
	c.fail(0, first)
	if second != "" {
		fmt.Fprintln(c.err, "Error performing operation: "+second)
	}
	return status(err)
}

func (c *call) showResources(ctx context.Context, command string, q *ResourceRequest, quiet bool) int {
	st, err := c.engine.Status(ctx)
	if err != nil {
		return c.resourceFault(err, q)
	}
	switch command {
	case "list":
		c.printf("Full List of Resources:\n")
		for i := range st.Resources {
			c.textResource(st, &st.Resources[i], "  ", textOptions{inactive: true, plain: true})
		}
	case "list-raw":
		for _, id := range rawIDs(st.Resources, "") {
			c.printf("%s\n", id)
		}
	case "list-operations":
		for _, op := range st.History {
			if (q.Node == "" || op.Node == q.Node) && (q.Resource == "" || op.Resource == q.Resource) {
				c.printf("%s\n", operationLine(st, op))
			}
		}
	case "locate":
		return c.locate(st, q, quiet)
	}
	return exitOK
}

// rawIDs lists primitives, those in clones with a number each.
func rawIDs(list []StatusResource, suffix string) []string {
	var ids []string
	for _, r := range list {
		switch r.Kind {
		case Primitive:
			ids = append(ids, r.ID+suffix)
		case Group:
			ids = append(ids, rawIDs(r.Members, suffix)...)
		case Clone:
			for i, m := range r.Members {
				ids = append(ids, rawIDs([]StatusResource{m}, fmt.Sprintf(":%d", i))...)
			}
		}
	}
	return ids
}

// place is one running instance.
type place struct {
	node     string
	promoted bool
}

// places finds where a resource runs; found says whether there is such a one.
func places(list []StatusResource, id string) (where []place, found bool) {
	for _, r := range list {
		hit := r.ID == id
		for _, m := range r.Members {
			if hit {
				w, _ := places([]StatusResource{m}, m.ID)
				where = append(where, w...)
				continue
			}
			w, ok := places([]StatusResource{m}, id)
			where, found = append(where, w...), found || ok
		}
		if hit {
			found = true
			if r.Kind == Primitive && r.Role != "Stopped" {
				for _, n := range r.Nodes {
					where = append(where, place{n, r.Role == "Promoted"})
				}
			}
		}
	}
	return where, found
}

func (c *call) locate(st *Status, q *ResourceRequest, quiet bool) int {
	where, found := places(st.Resources, q.Resource)
	if !found {
		return c.resourceFault(ErrNoResource, q)
	}
	slices.SortFunc(where, func(a, b place) int { return strings.Compare(a.node, b.node) })
	where = slices.Compact(where)
	if len(where) == 0 && !quiet {
		fmt.Fprintf(c.err, "resource %s is NOT running\n", q.Resource)
	}
	for _, p := range where {
		switch {
		case quiet:
			c.printf("%s\n", p.node)
		case p.promoted:
			c.printf("resource %s is running on: %s Promoted\n", q.Resource, p.node)
		default:
			c.printf("resource %s is running on: %s\n", q.Resource, p.node)
		}
	}
	return exitOK
}

func operationLine(st *Status, op Operation) string {
	state := "complete"
	if op.Pending {
		state = "pending"
	}
	role := "Started"
	if r, ok := primitive(st.Resources, op.Resource, op.Node); ok {
		role = r.Role
	}
	return fmt.Sprintf("%s\t(%s):\t %s: %s_%s_%d (node=%s, call=%d, rc=%d, last-rc-change='%s', exec=%dms): %s",
		op.Resource, op.Agent, role, op.Resource, op.Task, op.Interval.Milliseconds(), op.Node, op.Call, op.RC, clock(op.Changed), op.Exec.Milliseconds(), state)
}

// primitive finds an instance by id and node.
func primitive(list []StatusResource, id, node string) (StatusResource, bool) {
	for _, r := range list {
		if r.Kind == Primitive && r.ID == id && slices.Contains(r.Nodes, node) {
			return r, true
		}
		if m, ok := primitive(r.Members, id, node); ok {
			return m, true
		}
	}
	return StatusResource{}, false
}

func (c *call) resourceParameter(ctx context.Context, command string, q *ResourceRequest) int {
	q.Verb = map[string]ResourceVerb{"get-parameter": VerbGet, "set-parameter": VerbSet, "delete-parameter": VerbDelete}[command]
	reply, err := c.engine.Resource(ctx, *q)
	if err != nil {
		return c.resourceFault(err, q)
	}
	set := q.Resource + "-" + map[Table]string{TableParameters: "instance_attributes", TableMeta: "meta_attributes", TableUtilization: "utilization"}[q.Table]
	switch {
	case q.Verb == VerbGet && !reply.Found:
		fmt.Fprintf(c.err, "Attribute '%s' not found for '%s'\n", q.Parameter, q.Resource)
	case q.Verb == VerbGet:
		c.printf("%s\n", reply.Value)
	case q.Verb == VerbSet:
		c.printf("Set '%s' option: id=%s-%s set=%s name=%s value=%s\n", q.Resource, set, q.Parameter, set, q.Parameter, q.Value)
	case reply.Found:
		c.printf("Deleted '%s' option: id=%s-%s name=%s\n", q.Resource, set, q.Parameter, q.Parameter)
	}
	return exitOK
}

func (c *call) resourceAction(ctx context.Context, command string, q *ResourceRequest, quiet bool) int {
	q.Verb, q.Parameter = ResourceVerb(command), ""
	if q.Verb == VerbMove && q.Node == "" {
		q.Verb = VerbBan // away from where it is
	}
	if q.Verb == VerbWait && q.Timeout == 0 {
		q.Timeout = time.Hour // crm_resource waits that long
	}
	reply, err := c.engine.Resource(ctx, *q)
	if err != nil {
		return c.resourceFault(err, q)
	}
	if quiet {
		return exitOK
	}
	switch q.Verb {
	case VerbBan:
		node := q.Node
		if node == "" {
			node = reply.Node
		}
		what := "running"
		if q.Promoted {
			what = "being promoted"
		}
		c.printf("WARNING: Creating rsc_location constraint '%s' with a score of -INFINITY for resource %s on %s.\n"+
			"\tThis will prevent %s from %s on %s until the constraint is removed using the clear option or by editing the CIB with an appropriate tool\n"+
			"\tThis will be the case even if %s is the last node in the cluster\n",
			reply.Constraint, q.Resource, node, q.Resource, what, node, node)
	case VerbClear:
		for _, id := range reply.Cleared {
			c.printf("Removing constraint: %s\n", id)
		}
	case VerbCleanup, VerbRefresh:
		what, where := q.Resource, q.Node
		if what == "" {
			what = "all resources"
		}
		if where == "" {
			where = "all nodes"
		}
		c.printf("Cleaned up %s on %s\n", what, where)
	case VerbFail, VerbMove, VerbWait, VerbGet, VerbSet, VerbDelete:
	}
	return exitOK
}
