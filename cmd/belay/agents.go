package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/engine/agent/trial"
)

// agentsTest tries an agent out. It needs no engine.
func (a *app) agentsTest() *cobra.Command {
	var params []string
	opt, setup := trial.Options{Params: map[string]string{}}, trial.Setup{}
	c := command("test AGENT", "Try an agent out in a scratch host, and say what is wrong with it", `  belay agents test ocf:heartbeat:Dummy
  belay agents test ocf:heartbeat:IPaddr2 --param ip=192.0.2.50 --param nic=trial0
  belay agents test ocf:heartbeat:Filesystem --param device=tmpfs --param directory=/mnt/x --param fstype=tmpfs --prepare "mkdir /mnt/x"
  belay agents test ocf:pacemaker:Stateful --promotable
  belay agents test fence_ipmilan --param ip=192.0.2.9 --param username=u --param password=p`, 1, func(c *cobra.Command, args []string) error {
		for _, p := range params {
			name, value, ok := strings.Cut(p, "=")
			if !ok || name == "" {
				return usage("--param: %q is not NAME=VALUE", p)
			}
			opt.Params[name] = value
		}
		if !trial.Inside() {
			rc, err := trial.Run(c.Context(), os.Args[1:], os.Stdout, os.Stderr)
			if err != nil {
				return failure{err}
			}
			if rc != 0 {
				return errFailed // it has said what
			}
			return nil
		}
		r, err := trial.Try(c.Context(), args[0], opt, setup)
		if err != nil {
			return failure{err}
		}
		if err := a.print(r, r.String); err != nil {
			return err
		}
		if !r.OK() {
			return failure{fmt.Errorf("%s: %d things are wrong", args[0], len(r.Faults))}
		}
		return nil
	})
	c.Long = `Runs an agent through what a cluster asks of it: metadata, validation, probes, start, monitors, the same
again, reload, promote and demote, stop, and a start that is killed half-way. That is done as root in a scratch
host with namespaces of its own, where the files of this machine are, and what is written is gone afterwards.
Its network is a loopback and the interface trial0, with the address 192.0.2.1/24. No engine is needed. A fence
agent is asked for what must fail where no device is; with --drive its device is switched off and on.`
	f := c.Flags()
	f.StringArrayVar(&params, "param", nil, "a parameter of the resource or device, `NAME=VALUE`; may be given several times")
	f.BoolVar(&opt.Only, "validate", false, "only the metadata and the validation of the parameters: start nothing")
	f.BoolVar(&opt.Promotable, "promotable", false, "try promote and demote, too")
	f.BoolVar(&opt.Drive, "drive", false, "of a fence agent: switch the device off and on")
	f.DurationVar(&opt.Timeout, "timeout", 0, "for each `operation` (default: what the agent's metadata advise)")
	f.StringVar(&setup.Before, "prepare", "", "a shell `script` that runs in the scratch host before")
	f.StringVar(&setup.OCFRoot, "ocf-root", "", "look for OCF agents in this `directory` first, below resource.d")
	f.StringVar(&setup.FenceDir, "fence-dir", "", "look for fence agents in this `directory` first")
	return c
}
