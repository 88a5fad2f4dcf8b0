package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/mgmtd/access"
)

func (a *app) authReport() *cobra.Command {
	var noUse bool
	c := command("report", "Review access: who can do what, since when and by whose hand, and when they last used it", `  belay auth report
  belay auth report -o json`, 0, func(c *cobra.Command, _ []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		report, err := access.Review(c.Context(), a.engine, cfg, !noUse, time.Now())
		if err != nil {
			return err
		}
		return a.print(report, func() string { return render.Access(report, a.style) })
	})
	c.Long = `report lists every user and group that holds a role. Since when is read from the
history of the configuration, the last use from the audit logs of all nodes: the
last log-in, change or refused try of a user. Who is in a group is known to the
name service, so that a group has no last use of its own; those who used something
without a binding of their own are listed, too.`
	c.Flags().BoolVar(&noUse, "no-use", false, "do not read the audit logs")
	return c
}
