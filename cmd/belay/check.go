package main

import (
	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/cib"
)

func checkCmd(a *app) *cobra.Command {
	timing := command("timing", "Compute how long detection, fencing, stop and recovery take at worst; fails if times do not fit together",
		"  belay check timing", 0, func(c *cobra.Command, _ []string) error {
			s, err := a.engine.Snapshot(c.Context())
			if err != nil {
				return err
			}
			t := cib.CheckTiming(s.Config)
			if err := a.print(t, func() string { return render.Timing(t, a.style) }); err != nil {
				return err
			}
			if len(t.Problems) > 0 {
				return errFailed
			}
			return nil
		})
	timing.Long = `Each line is something that can happen, with the longest that it takes: the sum of
the time-outs and delays of the configuration, of which the longest is named. Most of
the time it is over much sooner: devices and agents seldom use all of their time-outs.`
	return group("check", "Check the configuration of a running cluster", "  belay check timing", timing)
}
