package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

func ticketCmd(a *app) *cobra.Command {
	arbitrator := ""
	set := func(verb, short string, create bool, patch map[string]any) *cobra.Command {
		f := &changing{}
		c := f.flags(command(verb+" NAME", short, "  belay ticket "+verb+" site-a", 1, func(c *cobra.Command, args []string) error {
			cfg, err := a.engine.Config(c.Context())
			if err != nil {
				return err
			}
			if c.Flags().Changed("arbitrator") {
				patch = map[string]any{"granted": true, "arbitrator": arbitrator}
			}
			ch := &api.Change{Action: api.ActionPatch, Object: "ticket/" + args[0], Value: encode(patch)}
			if cfg.Config.Tickets[args[0]] == nil {
				if !create {
					return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no ticket %q", args[0]))
				}
				ch.Action = api.ActionCreate
			}
			return a.change(c, f, ch, nil)
		}))
		c.ValidArgsFunction = a.complete("ticket")
		return c
	}
	show := &cobra.Command{
		Use: "show [NAME]", Short: "Show the tickets, and what depends on them", Args: atMost(1), Example: "  belay ticket show\n  belay ticket show site-a",
		ValidArgsFunction: a.complete("ticket"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.engine.Config(c.Context())
			if err != nil {
				return err
			}
			sum, err := a.engine.Status(c.Context(), false)
			if err != nil {
				return err
			}
			list := ticketsOf(cfg.Config, sum.Tickets)
			if len(args) == 0 {
				return a.print(list, func() string { return render.Tickets(list, a.style) })
			}
			i := slices.IndexFunc(list, func(t render.Ticket) bool { return t.ID == args[0] })
			if i < 0 {
				return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no ticket %q", args[0]))
			}
			one := list[i : i+1]
			return a.print(one, func() string { return render.TicketDetail(&one[0], a.style) })
		},
	}
	grant := set("grant", "Give this cluster a ticket, or let it ask an arbitrator for it", true, map[string]any{"granted": true})
	grant.Flags().StringVar(&arbitrator, "arbitrator", "", "quorum `device` of kind quorumd that grants it to one of several clusters")
	c := group("ticket", "Tickets: rights to run resources that move between clusters", `  belay ticket show
  belay ticket grant site-a
  belay ticket grant web --arbitrator q   let belay-quorumd decide which cluster has it
  belay ticket standby site-a       let what needs it stop in good order first
  belay ticket revoke site-a`,
		show,
		grant,
		set("revoke", "Take a ticket from this cluster: what needs it follows its loss-policy", false, map[string]any{"granted": nil}),
		set("standby", "Stop what needs a ticket, and keep the ticket", false, map[string]any{"standby": true}),
		set("activate", "End the standby of a ticket", false, map[string]any{"standby": nil}))
	c.Long = `A ticket says whether this cluster may run the resources that need it. Only one
cluster may have it at a time: grant it here only when no other one has it. With an
arbitrator (grant --arbitrator DEVICE, a quorum device of kind quorumd) granted means
that this cluster asks for it: belay-quorumd gives it to one cluster, and to another
one when it was not renewed, or was given back.`
	return c
}

// ticketsOf lists tickets, each with what needs it.
func ticketsOf(c *cib.Config, tickets []status.Ticket) []render.Ticket {
	out := []render.Ticket{}
	for i := range tickets {
		t := render.Ticket{Ticket: tickets[i]}
		for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
			if x := c.Constraints[cid].Ticket; x != nil && x.Ticket == t.ID {
				t.Needed = append(t.Needed, x.Resource)
			}
		}
		out = append(out, t)
	}
	return out
}
