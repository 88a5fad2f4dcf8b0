package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/whatif"
)

// changes is what a simulation supposes: the flags that change the input.
type changes struct {
	nodes, resources, tickets, failures, utilization []string
	quorum                                           string
}

func (f *changes) flags(x *pflag.FlagSet) {
	x.StringArrayVar(&f.nodes, "node", nil, "`NAME=STATE`: up, down or clean (left cleanly), unclean (lost), standby, maintenance")
	x.StringArrayVar(&f.resources, "resource", nil, "`ID=ACTION`: start, stop, move, manage, unmanage, maintenance-on or maintenance-off")
	x.StringArrayVar(&f.tickets, "ticket", nil, "`NAME=STATE`: granted, revoked or standby")
	x.StringVar(&f.quorum, "quorum", "", "whether the partition may act: `have`, lost, or never (it never had quorum)")
	x.StringArrayVar(&f.failures, "fail", nil, "`RESOURCE:OPERATION@NODE[=RC]` has failed, as in web:monitor@n1=7; RC is 1 if it is not given")
	x.StringArrayVar(&f.utilization, "utilization", nil, "`NAME:ATTRIBUTE=NUMBER`: what a node has, or a resource needs")
}

// flagOf are the flags that give a part of what is supposed.
var flagOf = map[string]string{
	"nodes": "node", "resources": "resource", "tickets": "ticket", "quorum": "quorum", "failures": "fail", "utilization": "utilization",
}

// apply changes the snapshot as the flags say. The snapshot is the command's own.
func (f *changes) apply(s *cib.Snapshot, now time.Time) error {
	w := whatif.Suppose{Nodes: suppositions(f.nodes), Resources: suppositions(f.resources), Tickets: suppositions(f.tickets), Quorum: f.quorum, Failures: f.failures, Utilization: f.utilization}
	err := w.Apply(s, now)
	if e, ok := errors.AsType[*whatif.Error](err); ok {
		return usage("--%s %s: %s", flagOf[e.Part], e.What, e.Text)
	}
	return err
}

// suppositions reads flags of the form NAME=STATE.
func suppositions(args []string) map[string]string {
	out := map[string]string{}
	for _, arg := range args {
		name, state, _ := strings.Cut(arg, "=")
		out[name] = state
	}
	return out
}
