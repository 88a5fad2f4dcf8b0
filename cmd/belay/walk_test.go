package main

import "github.com/spf13/cobra"

func walk(c *cobra.Command, f func(path, short, example string, hidden bool)) {
	f(c.CommandPath(), c.Short, c.Example, c.Hidden)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}
