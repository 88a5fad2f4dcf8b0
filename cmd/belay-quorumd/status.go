package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/engine/quorumd"
)

func statusCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show clusters, who has which grant, and tickets", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return admin(c, http.MethodGet, "/status", nil)
			}
			out := c.OutOrStdout()
			var b bytes.Buffer
			c.SetOut(&b)
			err := admin(c, http.MethodGet, "/status", nil)
			c.SetOut(out)
			if err != nil {
				return err
			}
			var v quorumd.View
			if err := json.Unmarshal(b.Bytes(), &v); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			return show(out, &v)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

func show(out io.Writer, v *quorumd.View) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tGENERATION\tGRANT\tNODES")
	for i := range v.Clusters {
		c := &v.Clusters[i]
		grant := "nobody"
		if len(c.Holder) > 0 {
			grant = strings.Join(c.Holder, " ")
			if c.Settled {
				grant += " (settled)"
			}
		}
		var nodes []string
		for _, n := range c.Nodes {
			text := n.Name
			if !n.Connected {
				text += " (silent)"
			} else if n.Refusal != "" {
				text += " (refused: " + n.Refusal + ")"
			}
			nodes = append(nodes, text)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", c.Name, c.Generation.Number, grant, strings.Join(nodes, ", "))
	}
	if len(v.Tickets) > 0 {
		fmt.Fprintln(w, "\nTICKET\tTERM\tHOLDER\tSTATE")
	}
	for i := range v.Tickets {
		t := &v.Tickets[i]
		state := "free"
		switch {
		case t.Revoked:
			state = "revoked"
		case t.Holder != "":
			state = "held"
		}
		if t.Assigned != "" {
			state += ", for " + t.Assigned + " only"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", t.Name, t.Term, t.Holder, state)
	}
	return w.Flush()
}
