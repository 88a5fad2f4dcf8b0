package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/dev"
	"github.com/belay-ha/belay/engine/api"
)

// devCmd is "belay dev", with the exit codes that all commands have.
func devCmd() *cobra.Command {
	c := dev.Command(version)
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		err := run(c, args)
		if u, ok := errors.AsType[dev.UsageError](err); ok {
			return usageError{u}
		}
		if _, ok := errors.AsType[*api.Problem](err); err == nil || ok {
			return err
		}
		return failure{err}
	}
	return c
}
