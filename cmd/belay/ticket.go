package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

func ticketCmd(a *app) *cobra.Command {
	set := func(verb, short string, create bool, patch map[string]any) *cobra.Command {
		f := &changing{}
		c := f.flags(command(verb+" NAME", short, "  belay ticket "+verb+" site-a", 1, func(c *cobra.Command, args []string) error {
			cfg, err := a.engine.Config(c.Context())
			if err != nil {
				return err
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
			tickets := cfg.Config.Tickets
			if len(args) == 1 {
				t := tickets[args[0]]
				if t == nil {
					return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no ticket %q", args[0]))
				}
				tickets = map[string]*cib.Ticket{args[0]: t}
			}
			list := ticketsOf(cfg.Config, tickets)
			return a.print(list, func() string { return render.Tickets(list, a.style) })
		},
	}
	c := group("ticket", "Tickets: rights to run resources that move between clusters", `  belay ticket show
  belay ticket grant site-a
  belay ticket standby site-a       let what needs it stop in good order first
  belay ticket revoke site-a`,
		show,
		set("grant", "Give this cluster a ticket", true, map[string]any{"granted": true}),
		set("revoke", "Take a ticket from this cluster: what needs it follows its loss-policy", false, map[string]any{"granted": nil}),
		set("standby", "Stop what needs a ticket, and keep the ticket", false, map[string]any{"standby": true}),
		set("activate", "End the standby of a ticket", false, map[string]any{"standby": nil}))
	c.Long = `A ticket says whether this cluster may run the resources that need it. Only one
cluster may have it at a time: grant it here only when no other one has it.`
	return c
}

// ticketsOf lists tickets by name, each with what needs it.
func ticketsOf(c *cib.Config, tickets map[string]*cib.Ticket) []render.Ticket {
	out := []render.Ticket{}
	for _, id := range slices.Sorted(maps.Keys(tickets)) {
		t := render.Ticket{ID: id, Granted: tickets[id].Granted, Standby: tickets[id].Standby}
		for _, cid := range slices.Sorted(maps.Keys(c.Constraints)) {
			if x := c.Constraints[cid].Ticket; x != nil && x.Ticket == id {
				t.Needed = append(t.Needed, x.Resource)
			}
		}
		out = append(out, t)
	}
	return out
}
