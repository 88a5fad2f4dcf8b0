package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/dev"
)

func init() {
	extensions = append(extensions, func(*app) []*cobra.Command { return []*cobra.Command{devCmd()} })
}

// devCmd is "belay dev". Its errors are of this machine, not of how it was called,
// unless they say so.
func devCmd() *cobra.Command {
	c := dev.Command(version)
	c.GroupID = "run"
	for _, sub := range append(c.Commands(), c) {
		run := sub.RunE
		sub.RunE = func(c *cobra.Command, args []string) error {
			err := run(c, args)
			if err == nil {
				return nil
			}
			if u, ok := errors.AsType[dev.UsageError](err); ok {
				return usageError{u}
			}
			return failure{err}
		}
	}
	return c
}
