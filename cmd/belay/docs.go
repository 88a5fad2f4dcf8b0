package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// docsCmd writes the reference from the commands themselves.
func docsCmd(*app) *cobra.Command {
	write := func(use, short string, f func(root *cobra.Command, dir string) error) *cobra.Command {
		return command(use+" DIR", short, "  belay docs "+use+" dist/"+use, 1, func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // documents are for everybody
				return failure{fmt.Errorf("write documents: %w", err)}
			}
			if err := f(c.Root(), args[0]); err != nil {
				return failure{fmt.Errorf("write documents: %w", err)}
			}
			return nil
		})
	}
	return hidden(group("docs", "Write the reference of all commands", "  belay docs man dist/man",
		write("man", "Write man pages", func(root *cobra.Command, dir string) error {
			// The same commands give the same bytes: no date of the build.
			epoch := time.Unix(0, 0).UTC()
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Manual: "Belay", Source: "belay", Date: &epoch}, dir)
		}),
		write("markdown", "Write Markdown", doc.GenMarkdownTree)))
}
