package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/quorum"
)

func quorumCmd(a *app) *cobra.Command {
	return group("quorum", "Votes, tie-breakers and quorum", `  belay quorum status
  belay quorum what-if n1
  belay quorum device add q quorumd servers=q1.example.org fingerprint=sha256:...`,
		a.quorumStatus(), a.quorumWhatIf(), a.quorumKeys(),
		group("device", "Tie-breakers", "  belay quorum device order router q", a.quorumDeviceAdd(), a.quorumDeviceDelete(), a.quorumDeviceOrder()),
	)
}

func (a *app) quorumStatus() *cobra.Command {
	return command("status", "Show the votes and tie-breakers, and whether this part of the cluster may act", "  belay quorum status", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		local, err := a.engine.Local(c.Context())
		if err != nil {
			return err
		}
		return a.print(s.Quorum, func() string {
			return render.Quorum(s, a.style) + "\n" + render.Local(local, a.style)
		})
	})
}

// whatIf is the verdict on one part of a cluster.
type whatIf struct {
	Nodes   []string `json:"nodes"`
	Quorate bool     `json:"quorate"`
	Reason  string   `json:"reason"`
}

func (a *app) quorumWhatIf() *cobra.Command {
	var answers []string
	c := &cobra.Command{
		Use: "what-if NODE...", Short: "Tell which part could act if only these nodes heard each other", Args: atLeast(1), ValidArgsFunction: a.complete("node"),
		Long: `what-if tells what the quorum chain would say to a part of the cluster, and to the
rest of it, by the present voters and configuration. At a tie a tie-breaker is taken to
say yes to the part that is named, unless --device says otherwise; one that is said to
be silent says so to both.`,
		Example: "  belay quorum what-if n1\n  belay quorum what-if n1 n2 --device q=silent",
	}
	c.Flags().StringArrayVar(&answers, "device", nil, "`NAME=ANSWER` to the part that is named: have, no or silent")
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := a.engine.Snapshot(c.Context())
		if err != nil {
			return err
		}
		for _, n := range args {
			if s.Config.Nodes[n] == nil {
				return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", n))
			}
		}
		said := map[string]string{}
		for _, text := range answers {
			name, answer, ok := strings.Cut(text, "=")
			if !ok || !slices.Contains([]string{"have", "no", "silent"}, answer) || s.Config.QuorumDevices[name] == nil {
				return usage("--device %s: say NAME=have, NAME=no or NAME=silent, for a quorum device that is configured", text)
			}
			said[name] = answer
		}
		var rest []string
		for _, n := range slices.Sorted(maps.Keys(s.Config.Nodes)) {
			if !slices.Contains(args, n) {
				rest = append(rest, n)
			}
		}
		out := []whatIf{judgePart(s, args, said, true)}
		if len(rest) > 0 {
			out = append(out, judgePart(s, rest, said, false))
		}
		return a.print(out, func() string {
			var b strings.Builder
			for _, w := range out {
				verdict := map[bool]string{true: "may act", false: "may not act"}[w.Quorate]
				fmt.Fprintf(&b, "%s: %s: %s\n", strings.Join(w.Nodes, " "), verdict, w.Reason)
			}
			return b.String()
		})
	}
	return c
}

// judgePart is what the quorum chain says to a part of the cluster. What is said of
// tie-breakers is meant for the part that was named; the rest is told the opposite.
func judgePart(s *cib.Snapshot, nodes []string, said map[string]string, named bool) whatIf {
	in := quorum.Input{Present: nodes, SeenAll: true, Complete: true}
	if v := s.Status.Voters; v != nil {
		in.Voters, in.Weights = v.Voters, v.Weights()
	}
	lowest := ""
	for _, v := range in.Voters {
		if n := s.Config.Nodes[v]; n != nil && (lowest == "" || n.ID < s.Config.Nodes[lowest].ID) {
			lowest = v
		}
	}
	for _, id := range s.Config.QuorumOrder() {
		d := quorum.Device{ID: id, Kind: s.Config.QuorumDevices[id].Kind}
		yes := named == (said[id] != "no")
		switch {
		case d.Kind == cib.QuorumDeviceNode:
			d.Reason = lowest + " has the lowest id"
			yes = slices.Contains(nodes, lowest)
		case said[id] == "silent":
			in.Devices = append(in.Devices, d)
			continue
		case d.Kind == cib.QuorumDevicePing && said[id] == "":
			yes = true
		}
		d.Answer = cib.QuorumNo
		if yes {
			d.Answer = cib.QuorumHave
		}
		in.Devices = append(in.Devices, d)
	}
	r := quorum.Evaluate(in)
	return whatIf{Nodes: nodes, Quorate: r.Quorate, Reason: r.Reason}
}

// quorumKeys prints what the configuration of belay-quorumd needs.
func (a *app) quorumKeys() *cobra.Command {
	return command("keys", "Print this cluster's part of quorumd.yaml, for belay-quorumd", "  belay quorum keys | ssh q1 'cat >> /etc/belay/quorumd.yaml'", 0, func(c *cobra.Command, _ []string) error {
		conf, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		type cluster struct {
			Nodes map[string][]string `json:"nodes"`
		}
		name := conf.Config.Cluster.Name
		out := struct {
			Clusters map[string]cluster `json:"clusters"`
		}{map[string]cluster{name: {map[string][]string{}}}}
		for node, n := range conf.Config.Nodes { // their order does not matter
			if n.Voter && n.PublicKey != "" {
				out.Clusters[name].Nodes[node] = []string{n.PublicKey}
			}
		}
		return a.print(out, func() string {
			var b strings.Builder
			fmt.Fprintf(&b, "clusters:\n  %s:\n    nodes:\n", name)
			for _, node := range slices.Sorted(maps.Keys(out.Clusters[name].Nodes)) {
				fmt.Fprintf(&b, "      %s: [%q]\n", node, out.Clusters[name].Nodes[node][0])
			}
			return b.String()
		})
	})
}

func (a *app) quorumDeviceAdd() *cobra.Command {
	f := &changing{}
	order := 0
	c := &cobra.Command{
		Use: "add NAME KIND [PARAMETER=VALUE...]", Short: "Add a tie-breaker", Args: atLeast(2),
		Long: `add configures a tie-breaker, which is asked when exactly half of the votes are here.

  quorumd  servers=HOST[:PORT],... fingerprint=sha256:...   belay-quorumd
  disk     device=PATH                                      a lease on a shared device
  scsi     devices=PATH,...                                 SCSI-3 persistent reservations
  ping     addresses=IP,...                                 can only say no
  node                                                      the half with the lowest node id`,
		Example: "  belay quorum device add q quorumd servers=q1.example.org fingerprint=sha256:...\n  belay quorum device add router ping addresses=10.0.0.1 --order 1",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		params, err := pairs(args[2:])
		if err != nil {
			return err
		}
		doc := document{"kind": args[1], "parameters": params, "order": order}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "quorum-device/" + args[0], Value: encode(doc)}, nil)
	}
	c.Flags().IntVar(&order, "order", 0, "the lowest `number` is asked first")
	return f.flags(c)
}

func (a *app) quorumDeviceDelete() *cobra.Command {
	f := &changing{}
	c := command("delete NAME", "Delete a tie-breaker", "  belay quorum device delete q", 1, func(c *cobra.Command, args []string) error {
		return a.change(c, f, &api.Change{Action: api.ActionDelete, Object: "quorum-device/" + args[0]}, nil)
	})
	c.ValidArgsFunction = a.complete("quorum-device")
	return f.flags(c)
}

func (a *app) quorumDeviceOrder() *cobra.Command {
	f := &changing{}
	c := &cobra.Command{
		Use: "order NAME...", Short: "Say in which order the tie-breakers are asked", Args: atLeast(1), ValidArgsFunction: a.complete("quorum-device"),
		Example: "  belay quorum device order router q",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		conf, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		part := cib.Config{Cluster: conf.Config.Cluster, QuorumDevices: map[string]*cib.QuorumDevice{}}
		for id, d := range conf.Config.QuorumDevices { // their order does not matter
			i := slices.Index(args, id)
			if i < 0 {
				return usage("%s is not named: name all of %s", id, strings.Join(conf.Config.QuorumOrder(), " "))
			}
			n := *d
			n.Order = i + 1
			part.QuorumDevices[id] = &n
		}
		for _, id := range args {
			if part.QuorumDevices[id] == nil {
				return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no quorum device %q", id))
			}
		}
		return a.change(c, f, &api.Change{Action: api.ActionApply, Object: "cluster", Value: encode(&part), Merge: true, ExpectedGeneration: conf.Generation}, nil)
	}
	return f.flags(c)
}
