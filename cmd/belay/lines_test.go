package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The web GUI shows the command that does the same as what it does. Every such line is
// one that this program takes: the command is there, and so are its flags, with as many
// arguments as it wants.
func TestLinesOfGUI(t *testing.T) {
	b, err := os.ReadFile("../../gui/web/src/components/lines.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var args []string
		if err := json.Unmarshal([]byte(line), &args); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		ran := false
		root := newRoot(&app{})
		for _, c := range all(root) {
			run := func(c *cobra.Command, rest []string) error {
				// A group takes what it does not know for an argument.
				ran = !c.HasSubCommands() || len(rest) == 0
				return nil
			}
			if c.RunE != nil || c.Run != nil {
				c.RunE, c.Run = run, nil
			}
			c.PersistentPreRunE, c.PersistentPreRun, c.PreRunE, c.PreRun = nil, nil, nil, nil
		}
		root.SetArgs(args)
		root.SilenceUsage, root.SilenceErrors = true, true
		if err := root.Execute(); err != nil || !ran {
			t.Errorf("belay %s: ran %t, %v", strings.Join(args, " "), ran, err)
		}
	}
}

// all lists a command and everything below it.
func all(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		out = append(out, all(sub)...)
	}
	return out
}
