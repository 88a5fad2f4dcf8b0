package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

func resourceCmd(a *app) *cobra.Command {
	c := group("resource", "Resources: what the cluster keeps running", `  belay resource list
  belay resource create vip ocf:heartbeat:IPaddr2 ip=10.0.0.100 --wait
  belay resource stop web
  belay resource cleanup web`,
		a.resourceList(), a.resourceShow(), a.resourceFailures(), a.resourceCreate(), a.resourceUpdate(),
		a.simple("delete NAME", "Delete a resource; one that runs is stopped first", "  belay resource delete vip --wait", "resource", api.ActionDelete, nil),
		a.simple("start NAME", "Want a resource started", "  belay resource start web --wait", "resource", api.ActionStart, runs),
		a.simple("stop NAME", "Want a resource stopped", "  belay resource stop web --wait", "resource", api.ActionStop, stands),
		a.simple("restart NAME", "Stop it and start it again, with what depends on it", "  belay resource restart web --wait", "resource", api.ActionRestart, runs),
		a.moveAs("move NAME"),
		a.simple("cleanup NAME", "Forget its failures, and look again", "  belay resource cleanup web", "resource", api.ActionCleanup, runs),
		a.simple("refresh NAME", "Forget everything known of it, and look again", "  belay resource refresh web", "resource", api.ActionRefresh, nil),
		a.simple("manage NAME", "Let the cluster manage it again", "  belay resource manage web", "resource", api.ActionManage, nil),
		a.simple("unmanage NAME", "Leave it as it is: neither start nor stop it", "  belay resource unmanage web", "resource", api.ActionUnmanage, nil),
		a.maintenance("resource", "Leave a resource alone while you work on it: nothing starts, stops or monitors it", "  belay resource maintenance on web\n  belay resource maintenance off web"),
	)
	for _, sub := range c.Commands() {
		if strings.HasSuffix(sub.Use, "NAME") && sub.Name() != "maintenance" {
			sub.ValidArgsFunction = a.complete("resource")
		}
	}
	return c
}

func (a *app) resourceList() *cobra.Command {
	return command("list", "List the resources and their states", "  belay resource list", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		list := s.Resources
		if list == nil {
			list = []status.Resource{}
		}
		return a.print(list, func() string {
			if len(list) == 0 {
				return "no resources; belay resource create --help shows how to make one\n"
			}
			return render.Resources(s, a.style)
		})
	})
}

func (a *app) resourceShow() *cobra.Command {
	return command("show NAME", "Show a resource: where it is, and what its operations said", "  belay resource show web", 1, func(c *cobra.Command, args []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		r := s.Resource(args[0])
		if r == nil {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", args[0]))
		}
		return a.print(r, func() string { return render.Resource(s, r, a.style) })
	})
}

func (a *app) resourceFailures() *cobra.Command {
	c := &cobra.Command{
		Use: "failures [NAME]", Short: "Show the operations that failed, and what the agents said",
		Example: "  belay resource failures\n  belay resource failures web", Args: atMost(1), ValidArgsFunction: a.complete("resource"),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		id := ""
		if len(args) == 1 {
			id = args[0]
			if s.Resource(id) == nil {
				return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", id))
			}
		}
		type failed struct {
			Instance string `json:"instance"`
			Node     string `json:"node"`
			status.Operation
		}
		out := []failed{}
		for _, r := range s.Resources {
			for _, x := range r.Instances {
				for _, o := range x.Operations {
					if o.Failed && (id == "" || r.ID == id || r.Parent == id) {
						out = append(out, failed{x.Instance, x.Node, o})
					}
				}
			}
		}
		return a.print(out, func() string { return render.Failures(s, id, a.style) })
	}
	return c
}

// primitive is the flags that describe a resource.
type primitive struct {
	ops, meta   []string
	description string
	noMonitor   bool
	group       string
	groupOf     []string
	cloneOf     string
	promotable  bool
	cloneMax    int
	unique      bool
}

func (a *app) resourceCreate() *cobra.Command {
	f, p := &changing{}, &primitive{}
	c := &cobra.Command{
		Use:   "create NAME [AGENT [PARAMETER=VALUE...]]",
		Short: "Create a resource: a primitive, a group or a clone",
		Long: `create makes a primitive from an agent and its parameters, a group with
--group-of, or a clone with --clone-of. A primitive gets a monitor every 10s
unless --op gives one or --no-monitor is said. belay agents show AGENT lists an
agent's parameters.`,
		Example: `  belay resource create vip ocf:heartbeat:IPaddr2 ip=10.0.0.100 cidr_netmask=24
  belay resource create www systemd:nginx --op "monitor interval=5s timeout=20s on-fail=restart"
  belay resource create web --group-of vip,www
  belay resource create log systemd:rsyslog --group web
  belay resource create dbs --clone-of db --promotable`,
		Args: atLeast(1),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := p.resource(args[1:])
		if err != nil {
			return err
		}
		if p.group != "" {
			return a.createInGroup(c, f, args[0], r, p.group)
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "resource/" + args[0], Value: encode(r)}, runs(args[0]))
	}
	p.flags(f.flags(c))
	c.Flags().StringVar(&p.group, "group", "", "append it to this `group`; the group is made where there is none")
	c.Flags().StringSliceVar(&p.groupOf, "group-of", nil, "make a group of these `resources`, in start order")
	c.Flags().StringVar(&p.cloneOf, "clone-of", "", "make a clone of this `resource`")
	c.Flags().BoolVar(&p.promotable, "promotable", false, "of a clone: it has a promoted role")
	c.Flags().BoolVar(&p.unique, "globally-unique", false, "of a clone: its instances differ")
	c.Flags().IntVar(&p.cloneMax, "clone-max", 0, "of a clone: `number` of instances (default one a node)")
	c.Flags().BoolVar(&p.noMonitor, "no-monitor", false, "add no monitor")
	return c
}

func (p *primitive) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&p.ops, "op", nil, "an `operation`: \"monitor interval=10s timeout=20s\"; may be given several times")
	c.Flags().StringSliceVar(&p.meta, "meta", nil, "meta attributes: `name=value`,...")
	c.Flags().StringVar(&p.description, "description", "", "a `text` for people")
}

// document is a resource as it is typed: what it says is checked by the engine.
type document map[string]any

// resource makes the document from the flags and the arguments after the name.
func (p *primitive) resource(args []string) (document, error) {
	doc := document{}
	if p.description != "" {
		doc["description"] = p.description
	}
	ways := 0
	if len(args) > 0 {
		ways++
		doc["agent"] = args[0]
		params, err := pairs(args[1:])
		if err != nil {
			return nil, err
		}
		if len(params) > 0 {
			doc["parameters"] = params
		}
		ops, err := p.operations()
		if err != nil {
			return nil, err
		}
		if len(ops) > 0 {
			doc["operations"] = ops
		}
	}
	if len(p.groupOf) > 0 {
		ways++
		doc["group"] = p.groupOf
	}
	if p.cloneOf != "" {
		ways++
		clone := document{"resource": p.cloneOf}
		if p.promotable {
			clone["promotable"] = true
		}
		if p.unique {
			clone["globally-unique"] = true
		}
		if p.cloneMax > 0 {
			clone["clone-max"] = p.cloneMax
		}
		doc["clone"] = clone
	}
	if ways != 1 {
		return nil, usage("name an agent, or one of --group-of and --clone-of")
	}
	meta, err := metaOf(p.meta)
	if len(meta) > 0 {
		doc["meta"] = meta
	}
	return doc, err
}

func (p *primitive) operations() ([]document, error) {
	var out []document
	monitored := p.noMonitor
	for _, text := range p.ops {
		words := strings.Fields(text)
		if len(words) == 0 {
			return nil, usage("--op is empty: --op \"monitor interval=10s\"")
		}
		op := document{"name": words[0]}
		monitored = monitored || words[0] == cib.OpMonitor
		params := map[string]string{}
		for _, w := range words[1:] {
			k, v, ok := strings.Cut(w, "=")
			switch {
			case !ok:
				return nil, usage("--op: %q is not name=value", w)
			case k == "enabled":
				b, err := strconv.ParseBool(v)
				if err != nil {
					return nil, usage("--op: enabled is true or false, not %q", v)
				}
				op[k] = b
			case slices.Contains([]string{"interval", "timeout", "role", "on-fail", "start-delay"}, k):
				op[k] = v
			default:
				params[k] = v
			}
		}
		if len(params) > 0 {
			op["parameters"] = params
		}
		out = append(out, op)
	}
	if !monitored {
		out = append(out, document{"name": cib.OpMonitor, "interval": "10s"})
	}
	return out, nil
}

// pairs reads name=value arguments.
func pairs(args []string) (map[string]string, error) {
	out := map[string]string{}
	for _, arg := range args {
		k, v, ok := strings.Cut(arg, "=")
		if !ok || k == "" {
			return nil, usage("%q is not PARAMETER=VALUE", arg)
		}
		if _, twice := out[k]; twice {
			return nil, usage("%s is given twice", k)
		}
		out[k] = v
	}
	return out, nil
}

// metaOf reads meta attributes; numbers and truth values are written as such.
func metaOf(list []string) (document, error) {
	out := document{}
	values, err := pairs(list)
	if err != nil {
		return nil, err
	}
	for k, v := range values {
		out[k] = v
		if n, err := strconv.Atoi(v); err == nil && k != "failure-timeout" {
			out[k] = n
		} else if b, err := strconv.ParseBool(v); err == nil && (v == "true" || v == "false") {
			out[k] = b
		}
		if v == "" {
			out[k] = nil // in a patch: back to the default
		}
	}
	return out, nil
}

// createInGroup makes a resource and appends it to a group in one change.
func (a *app) createInGroup(c *cobra.Command, f *changing, id string, r document, into string) error {
	cfg, err := a.engine.Config(c.Context())
	if err != nil {
		return err
	}
	if cfg.Config.Resources[id] != nil {
		return api.NewProblem(api.CodeExists, "resource "+id+" exists")
	}
	members := []string{}
	if g := cfg.Config.Resources[into]; g != nil {
		members = slices.Clone(g.Group)
	}
	doc := document{"resources": document{id: r, into: document{"group": append(members, id)}}}
	return a.change(c, f, &api.Change{Action: api.ActionApply, Object: "cluster", Value: encode(doc), Merge: true, ExpectedGeneration: cfg.Generation}, runs(id))
}

func (a *app) resourceUpdate() *cobra.Command {
	f, p := &changing{}, &primitive{}
	c := &cobra.Command{
		Use:   "update NAME [PARAMETER=VALUE...]",
		Short: "Change parameters, operations or meta attributes of a resource",
		Example: `  belay resource update vip cidr_netmask=25
  belay resource update vip nic=                 back to the default
  belay resource update vip --meta migration-threshold=3,failure-timeout=10m
  belay resource update vip --op "monitor interval=5s"    replaces all operations`,
		Args: atLeast(1), ValidArgsFunction: a.complete("resource"),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		params, err := pairs(args[1:])
		if err != nil {
			return err
		}
		doc := document{}
		if len(params) > 0 {
			values := document{}
			for k, v := range params {
				values[k] = v
				if v == "" {
					values[k] = nil
				}
			}
			doc["parameters"] = values
		}
		if p.description != "" {
			doc["description"] = p.description
		}
		if len(p.ops) > 0 {
			p.noMonitor = true
			if doc["operations"], err = p.operations(); err != nil {
				return err
			}
		}
		meta, err := metaOf(p.meta)
		if err != nil {
			return err
		}
		if len(meta) > 0 {
			doc["meta"] = meta
		}
		if len(doc) == 0 {
			return usage("nothing to change: give parameters, --op, --meta or --description")
		}
		return a.change(c, f, &api.Change{Action: api.ActionPatch, Object: "resource/" + args[0], Value: encode(doc)}, nil)
	}
	p.flags(f.flags(c))
	return c
}

func moveCmd(a *app) *cobra.Command { return a.moveAs("move RESOURCE") }

func (a *app) moveAs(use string) *cobra.Command {
	f := &changing{}
	var to string
	c := f.flags(command(use, "Move a resource once; no constraint is left behind", `  belay move web --to n2
  belay move web --wait          away from where it is`, 1, func(c *cobra.Command, args []string) error {
		value := map[string]string{"node": to}
		if to == "" {
			from, err := a.present(c, args[0])
			if err != nil {
				return err
			}
			value = map[string]string{"from": from}
		}
		return a.change(c, f, &api.Change{Action: api.ActionMove, Object: "resource/" + args[0], Value: encode(value)}, func(s *status.Summary) error {
			r := s.Resource(args[0])
			if r == nil || to == "" || slices.Contains(r.Nodes, to) {
				return nil
			}
			return notSo(args[0], "is not on "+to, r)
		})
	}))
	c.Flags().StringVar(&to, "to", "", "`node` to go to")
	_ = c.RegisterFlagCompletionFunc("to", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.names(c, "node"), cobra.ShellCompDirectiveNoFileComp
	}) // the flag exists
	c.ValidArgsFunction = a.complete("resource")
	return c
}

// present finds the node that a resource is to leave.
func (a *app) present(c *cobra.Command, id string) (string, error) {
	s, err := a.engine.Status(c.Context(), true)
	if err != nil {
		return "", err
	}
	r := s.Resource(id)
	if r == nil {
		return "", api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", id))
	}
	nodes := r.Nodes
	if len(r.Promoted) > 0 {
		nodes = r.Promoted
	}
	if len(nodes) != 1 {
		return "", api.NewProblem(api.CodeBadRequest, fmt.Sprintf("resource %s runs on %d nodes: say where to with --to", id, len(nodes)))
	}
	return nodes[0], nil
}

// maintenance makes "maintenance on|off NAME".
func (a *app) maintenance(kind, short, example string) *cobra.Command {
	f := &changing{}
	n, use := 2, "maintenance on|off NAME"
	if kind == "cluster" {
		n, use = 1, "maintenance on|off"
	}
	c := f.flags(command(use, short, example, n, func(c *cobra.Command, args []string) error {
		action := api.ActionMaintenanceOn
		switch args[0] {
		case "on":
		case "off":
			action = api.ActionMaintenanceOff
		default:
			return usage("%q: say on or off", args[0])
		}
		object := kind
		if n == 2 {
			object += "/" + args[1]
		}
		return a.change(c, f, &api.Change{Action: action, Object: object}, nil)
	}))
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
		case len(args) < n:
			return a.names(c, kind), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}
