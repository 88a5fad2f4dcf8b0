package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pacemaker"
)

func importCmd(a *app) *cobra.Command {
	return group("import", "Take over the configuration of another cluster manager", "  belay import pacemaker cib.xml > cluster.yaml", importPacemakerCmd(a))
}

// imported is the answer of an import.
type imported struct {
	Config *cib.Config      `json:"config"`
	Notes  []pacemaker.Note `json:"notCarriedOver"`
	Faults []cib.Fault      `json:"faults"`
}

func importPacemakerCmd(a *app) *cobra.Command {
	var now, corosync string
	c := command("pacemaker FILE", "Make a cluster.yaml of a CIB of Pacemaker", `  cibadmin --query > cib.xml
  belay import pacemaker cib.xml --corosync /etc/corosync/corosync.conf > cluster.yaml
  belay import pacemaker cib.xml -o json | jq .notCarriedOver`, 1, func(_ *cobra.Command, args []string) error {
		t, err := parseNow(now)
		if err != nil {
			return err
		}
		im, err := a.readPacemaker(args[0], t)
		if err != nil {
			return err
		}
		cfg, notes := pacemaker.Configuration(im)
		if corosync != "" {
			more, err := a.addCorosync(cfg, corosync)
			if err != nil {
				return err
			}
			notes = append(notes, more...)
		}
		out := imported{Config: cfg, Notes: notes, Faults: append(cib.Validate(cfg), cib.Undriven(cfg, cib.FeatureLevel)...)}
		if out.Notes == nil {
			out.Notes = []pacemaker.Note{}
		}
		if a.output == "json" || a.output == "jsonl" {
			return a.print(out, nil)
		}
		b, err := yaml.Marshal(cfg)
		if err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		if _, err := a.out.Write(b); err != nil {
			return failure{fmt.Errorf("write the configuration: %w", err)}
		}
		for _, n := range out.Notes {
			a.say("not carried over: %s", n)
		}
		for _, f := range out.Faults {
			a.say("to be set before belay apply takes it: %s: %s", f.Path, f.Text)
		}
		return nil
	})
	c.Long = `import pacemaker writes the configuration that means the same on standard output. What has
no counterpart is listed on standard error, each with element, id and reason; so is
what must be filled in by hand. The addresses of the nodes stand in corosync.conf:
see --corosync. Versions 1.x to 3.x of Pacemaker are understood, with their old
spellings.`
	c.Flags().StringVar(&corosync, "corosync", "", "also take nodes, links and votes from this corosync.conf: `file`")
	_ = c.MarkFlagFilename("corosync", "conf") // the flag exists
	c.Flags().StringVar(&now, "now", "", "evaluate rules on the time as of this `time` (default now)")
	return c
}

func (a *app) addCorosync(cfg *cib.Config, file string) ([]pacemaker.Note, error) {
	b, err := a.readInput(file)
	if err != nil {
		return nil, err
	}
	f, err := pacemaker.ReadCorosync(b)
	if err != nil {
		return nil, fmt.Errorf("%s is no corosync.conf: %w", file, err)
	}
	return f.AddTo(cfg), nil
}
