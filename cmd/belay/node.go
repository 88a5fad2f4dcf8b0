package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
)

func nodeCmd(a *app) *cobra.Command {
	empty := func(name string) func(*status.Summary) error {
		return func(s *status.Summary) error {
			if n := s.Node(name); n != nil && n.Running > 0 {
				return api.NewProblem(api.CodeNotAsWanted, fmt.Sprintf("%d resources still run on node %s", n.Running, name))
			}
			return nil
		}
	}
	c := group("node", "Nodes: the machines of the cluster", `  belay node list
  belay node standby n1 --wait      move everything off for work on it
  belay node online n1`,
		a.nodeList(), a.nodeShow(),
		a.simple("standby NAME", "Move everything off a node; it stays a member", "  belay node standby n1 --wait", "node", api.ActionStandby, empty),
		a.simple("online NAME", "Let a node host resources again", "  belay node online n1", "node", api.ActionOnline, nil),
		a.maintenance("node", "Leave the resources of a node alone while you work on it", "  belay node maintenance on n1\n  belay node maintenance off n1"),
		a.nodeDrain(),
		a.simple("cleanup NAME", "Forget failures on a node, and look again", "  belay node cleanup n1", "node", api.ActionCleanup, nil),
		a.simple("remove NAME", "Take a node out of the cluster for good", "  belay node remove n3", "node", api.ActionRemoveNode, nil),
		a.nodeVoter(),
	)
	for _, sub := range c.Commands() {
		if strings.HasSuffix(sub.Use, " NAME") && sub.Name() != "maintenance" {
			sub.ValidArgsFunction = a.complete("node")
		}
	}
	return c
}

func (a *app) nodeList() *cobra.Command {
	return command("list", "List the nodes and their states", "  belay node list", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		return a.print(slices.Concat(s.Nodes, s.Remotes), func() string { return render.Nodes(s, a.style) })
	})
}

func (a *app) nodeShow() *cobra.Command {
	return command("show NAME", "Show a node: its state, what runs on it, its attributes", "  belay node show n1", 1, func(c *cobra.Command, args []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		n := s.Node(args[0])
		if n == nil {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", args[0]))
		}
		return a.print(n, func() string { return render.Node(s, n, a.style) })
	})
}

// nodeDrain lets the node of this engine leave. It always waits: only the engine
// that leaves can tell.
func (a *app) nodeDrain() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use: "drain [NAME]", Short: "Move everything off this node, let it leave the cluster, and wait until it has", Args: atMost(1), ValidArgsFunction: a.complete("node"),
		Example: "  belay node drain\n  belay node drain n1 --timeout 10m",
		Long: `drain moves all resources off the node that it is run on, lets the node leave the
cluster, and returns when it has left. Nobody fences it then, and belayd can be
stopped. The next start of belayd brings the node back; to keep a node in the
cluster without resources use belay node standby.

When the host shuts down, the service belay-drain does this by itself.`,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), timeout)
		defer cancel()
		l, err := a.engine.Local(ctx)
		if err != nil {
			return err
		}
		left := func(r *api.ChangeResult) error {
			return a.print(r, func() string {
				return fmt.Sprintf("node %s has left the cluster; systemctl restart belayd brings it back\n", l.Node)
			})
		}
		if l.Left && (len(args) == 0 || args[0] == l.Node) {
			return left(&api.ChangeResult{})
		}
		name := l.Node
		if len(args) == 1 {
			name = args[0]
		}
		r, err := a.engine.Change(ctx, &api.Change{Action: api.ActionDrain, Object: "node/" + name, RequestID: requestID()})
		if err != nil {
			return err
		}
		return left(r)
	}
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait; the node goes on leaving after it")
	return c
}

func (a *app) nodeVoter() *cobra.Command {
	f := &changing{}
	var votes int
	c := f.flags(command("voter on|off NAME", "Give a node a vote, or take it", "  belay node voter on n4\n  belay node voter on n4 --votes 2\n  belay node voter off n1", 2, func(c *cobra.Command, args []string) error {
		if args[0] != "on" && args[0] != "off" {
			return usage("%q: say on or off", args[0])
		}
		value := document{"voter": args[0] == "on"}
		if c.Flags().Changed("votes") {
			value["votes"] = votes
		}
		return a.change(c, f, &api.Change{Action: api.ActionVoter, Object: "node/" + args[1], Value: encode(value)}, nil)
	}))
	c.Flags().IntVar(&votes, "votes", 1, "how many votes it has; more than one only with an external store")
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
		case 1:
			return a.names(c, "node"), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

func attributeCmd(a *app) *cobra.Command {
	return group("attribute", "Node attributes: values that rules of constraints compare", `  belay attribute set rack 1 --node n1 --permanent
  belay attribute get rack --node n1
  belay attribute delete rack --node n1 --permanent`, a.attributeGet(), a.attributeSet(), a.attributeDelete())
}

func (a *app) attributeGet() *cobra.Command {
	var node string
	c := &cobra.Command{
		Use: "get [NAME]", Short: "Show an attribute of a node, or all of them", Args: atMost(1),
		Example: "  belay attribute get\n  belay attribute get rack --node n1",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			v, err := a.engine.Attribute(c.Context(), orLocal(node), args[0])
			if err != nil {
				return err
			}
			return a.print(v, func() string { return v.Value + "\n" })
		}
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		all := map[string]map[string]string{}
		var text strings.Builder
		for _, n := range s.Nodes {
			if len(n.Attributes) == 0 || node != "" && node != n.Name {
				continue
			}
			all[n.Name] = n.Attributes
			for _, k := range sortedKeys(n.Attributes) {
				fmt.Fprintf(&text, "%-16s %s=%s\n", n.Name, k, n.Attributes[k])
			}
		}
		return a.print(all, text.String)
	}
	c.Flags().StringVar(&node, "node", "", "the `node` (default: this one; without NAME: all)")
	return c
}

func orLocal(node string) string {
	if node == "" {
		return "local"
	}
	return node
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (a *app) attributeSet() *cobra.Command {
	var node string
	var permanent bool
	c := command("set NAME VALUE", "Set an attribute of a node", `  belay attribute set maintenance-window night --node n1 --permanent
  belay attribute set load high                on this node, until it boots`, 2, func(c *cobra.Command, args []string) error {
		return a.engine.SetAttribute(c.Context(), &api.Attribute{Node: node, Name: args[0], Value: args[1], Permanent: permanent})
	})
	c.Flags().StringVar(&node, "node", "", "the `node` (default: this one)")
	c.Flags().BoolVar(&permanent, "permanent", false, "keep it in the configuration; else it is gone with the boot")
	return c
}

func (a *app) attributeDelete() *cobra.Command {
	var node string
	var permanent bool
	c := command("delete NAME", "Delete an attribute of a node", "  belay attribute delete rack --node n1 --permanent", 1, func(c *cobra.Command, args []string) error {
		return a.engine.SetAttribute(c.Context(), &api.Attribute{Node: node, Name: args[0], Delete: true, Permanent: permanent})
	})
	c.Flags().StringVar(&node, "node", "", "the `node` (default: this one)")
	c.Flags().BoolVar(&permanent, "permanent", false, "the one in the configuration")
	return c
}

// confirmed asks a person to type a word, where it was not said with a flag.
func (a *app) confirmed(word, question string) error {
	_, _ = fmt.Fprintf(a.err, "%s\nType %s to go on: ", question, word)
	var answer string
	_, err := fmt.Fscanln(a.in, &answer)
	if err != nil || answer != word {
		return failure{errors.New("not confirmed; nothing was done")}
	}
	return nil
}
