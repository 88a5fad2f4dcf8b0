package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
)

func fenceCmd(a *app) *cobra.Command {
	return group("fence", "Fencing: making sure that a lost node is off", `  belay fence status
  belay fence device add ipmi-n1 fence_ipmilan ip=10.2.0.1 username=belay password=... --target n1
  belay fence reboot n2
  belay fence confirm n2`,
		a.fenceStatus(), a.fenceCheck(), a.fenceHistory(), a.fenceConfirm(),
		a.fenceNode("reboot", "Power a node off, make sure of it, and on again"),
		a.fenceNode("off", "Power a node off, and make sure of it"),
		a.fenceNode("on", "Power a node on"),
		group("device", "Fence devices", `  belay fence device add ipmi-n1 fence_ipmilan ip=10.2.0.1 username=belay password=... --target n1
  belay fence device delete ipmi-n1`, a.fenceDeviceList(), a.fenceDeviceAdd(), a.fenceDeviceDelete()),
	)
}

func (a *app) fenceStatus() *cobra.Command {
	return command("status", "Show whether each node could be fenced now, and the devices", "  belay fence status", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		type node struct {
			Node   string                `json:"node"`
			Fence  status.FenceReadiness `json:"fence"`
			Reason string                `json:"reason,omitempty"`
		}
		out := struct {
			Required bool                 `json:"required"`
			Nodes    []node               `json:"nodes"`
			Devices  []status.FenceDevice `json:"devices"`
		}{Required: s.Cluster.FencingRequired, Nodes: []node{}, Devices: s.FenceDevices}
		for _, n := range s.Nodes {
			out.Nodes = append(out.Nodes, node{n.Name, n.Fence, n.FenceReason})
		}
		return a.print(out, func() string { return render.FenceStatus(s, a.style) })
	})
}

// fenceCheck shows the newest checks of one device; the engine checks all the time.
func (a *app) fenceCheck() *cobra.Command {
	c := command("check DEVICE", "Show from which nodes a device answers; fails if from none", "  belay fence check ipmi-n1", 1, func(c *cobra.Command, args []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.FenceDevices, func(d status.FenceDevice) bool { return d.ID == args[0] })
		if i < 0 {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no fence device %q", args[0]))
		}
		d := &s.FenceDevices[i]
		one := &status.Summary{Time: s.Time, Cluster: s.Cluster, FenceDevices: []status.FenceDevice{*d}}
		if err := a.print(d, func() string { return render.FenceStatus(one, a.style) }); err != nil {
			return err
		}
		if d.State == status.FenceDeviceFailed {
			return errFailed
		}
		return nil
	})
	c.ValidArgsFunction = a.complete("fence-device")
	return c
}

func (a *app) fenceHistory() *cobra.Command {
	c := &cobra.Command{
		Use: "history [NODE]", Short: "Show fencing requests with their proofs", Args: atMost(1),
		Example: "  belay fence history\n  belay fence history n2", ValidArgsFunction: a.complete("node"),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		node := ""
		if len(args) == 1 {
			node = args[0]
		}
		list := []status.Fencing{}
		for _, f := range s.Fencing {
			if node == "" || f.Target == node {
				list = append(list, f)
			}
		}
		return a.print(list, func() string { return render.FenceHistory(s, node, a.style) })
	}
	return c
}

func (a *app) fenceConfirm() *cobra.Command {
	f := &changing{}
	var sure bool
	c := f.flags(command("confirm NODE", "Confirm, in your name, that a node is off", `  belay fence confirm n2
  belay fence confirm n2 --yes`, 1, func(c *cobra.Command, args []string) error {
		if !sure && !f.dryRun {
			question := fmt.Sprintf("You confirm with your name that node %s is off and stays off until it boots anew.\nIf it still runs, its data will be written by two nodes and destroyed.", args[0])
			if err := a.confirmed(args[0], question); err != nil {
				return err
			}
		}
		return a.change(c, f, &api.Change{Action: api.ActionConfirm, Object: "node/" + args[0]}, nil)
	}))
	c.Long = `confirm records a proof with your name that a lost node is dead. Its resources
are then recovered. Do it only if you have seen that the machine is off. It is
refused while the node is still heard.`
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	c.ValidArgsFunction = a.complete("node")
	return c
}

func (a *app) fenceNode(op, short string) *cobra.Command {
	f := &changing{}
	c := f.flags(command(op+" NODE", short, "  belay fence "+op+" n2 --wait", 1, func(c *cobra.Command, args []string) error {
		return a.change(c, f, &api.Change{Action: api.ActionFence, Object: "node/" + args[0], Value: encode(map[string]string{"op": op})}, nil)
	}))
	c.ValidArgsFunction = a.complete("node")
	return c
}

func (a *app) fenceDeviceList() *cobra.Command {
	return command("list", "List the fence devices", "  belay fence device list", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		list := s.FenceDevices
		if list == nil {
			list = []status.FenceDevice{}
		}
		return a.print(list, func() string {
			if len(list) == 0 {
				return "no fence devices; belay fence device add --help shows how to make one\n"
			}
			return render.FenceDevices(s, a.style)
		})
	})
}

func (a *app) fenceDeviceAdd() *cobra.Command {
	f := &changing{}
	var targets []string
	var delay, timeout, interval string
	var retries, concurrency int
	c := &cobra.Command{
		Use:   "add NAME AGENT [PARAMETER=VALUE...]",
		Short: "Add a fence device",
		Long: `add configures a fence agent of the fence-agents packages. --target names the
nodes that the device can fence, each with the name by which the device knows it
(its plug or port) after a colon where that differs; without --target it can fence
every node. Secrets are sealed in the store. They stand on your command line,
though: use belay apply -f - where others can see it.`,
		Example: `  belay fence device add ipmi-n1 fence_ipmilan ip=10.2.0.1 username=belay password=... lanplus=1 --target n1
  belay fence device add pdu fence_apc_snmp ip=10.2.0.9 --target n1:3,n2:4`,
		Args: atLeast(2),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		params, err := pairs(args[2:])
		if err != nil {
			return err
		}
		doc := document{"agent": args[1]}
		if len(params) > 0 {
			doc["parameters"] = params
		}
		if len(targets) > 0 {
			m := map[string]string{}
			for _, t := range targets {
				node, plug, _ := strings.Cut(t, ":")
				m[node] = plug
			}
			doc["targets"] = m
		}
		for k, v := range map[string]string{"delay": delay, "timeout": timeout, "monitor-interval": interval} {
			if v != "" {
				doc[k] = v
			}
		}
		for k, v := range map[string]int{"retries": retries, "concurrency": concurrency} {
			if v != 0 {
				doc[k] = v
			}
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "fence-device/" + args[0], Value: encode(doc)}, nil)
	}
	f.flags(c)
	c.Flags().StringSliceVar(&targets, "target", nil, "`nodes` that it can fence: NODE or NODE:PLUG,...")
	c.Flags().StringVar(&delay, "delay", "", "wait this `time` before power is cut, so that equals do not shoot each other")
	c.Flags().StringVar(&timeout, "call-timeout", "", "`time` that one call may take")
	c.Flags().StringVar(&interval, "monitor-interval", "", "`time` between checks")
	c.Flags().IntVar(&retries, "retries", 0, "further tries of a call that failed")
	c.Flags().IntVar(&concurrency, "concurrency", 0, "calls at a time")
	return c
}

func (a *app) fenceDeviceDelete() *cobra.Command {
	c := a.simple("delete NAME", "Delete a fence device", "  belay fence device delete ipmi-n1", "fence-device", api.ActionDelete, nil)
	c.ValidArgsFunction = a.complete("fence-device")
	return c
}

func agentsCmd(a *app) *cobra.Command {
	c := group("agents", "Agents installed on this node", "  belay agents list\n  belay agents show ocf:heartbeat:IPaddr2\n  belay agents test ocf:heartbeat:Dummy", a.agentsList(), a.agentsShow(), a.agentsTest())
	c.Aliases = []string{"agent"}
	return c
}

func (a *app) agentsList() *cobra.Command {
	c := &cobra.Command{
		Use: "list [PART]", Short: "List the agents installed on this node", Args: atMost(1),
		Example: "  belay agents list\n  belay agents list ip", ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		all, err := a.engine.Agents(c.Context())
		if err != nil {
			return err
		}
		list := []string{}
		for _, id := range all {
			if len(args) == 0 || strings.Contains(strings.ToLower(id), strings.ToLower(args[0])) {
				list = append(list, id)
			}
		}
		return a.print(list, func() string {
			if len(list) == 0 {
				return "no such agents\n"
			}
			return strings.Join(list, "\n") + "\n"
		})
	}
	return c
}

func (a *app) agentsShow() *cobra.Command {
	c := command("show AGENT", "Show an agent's parameters and operations", `  belay agents show ocf:heartbeat:IPaddr2
  belay agents show fence_ipmilan`, 1, func(c *cobra.Command, args []string) error {
		id := args[0]
		if strings.HasPrefix(id, "fence_") {
			id = "fence:" + id
		}
		raw, err := a.engine.Agent(c.Context(), id)
		if err != nil {
			return err
		}
		return a.print(raw, func() string { return render.Agent(cmp.Or(args[0], id), raw, a.style) })
	})
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || a.prepare() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, _ := a.engine.Agents(c.Context())
		return list, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}
