package daemon

import (
	"context"
	"fmt"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// getSNMP opens the secrets of SNMP for the management daemon, which speaks it. It
// works without quorum, too: then there is all the more to tell.
func getSNMP(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s := e.snap.Load()
	if s == nil {
		return nil, api.NewProblem(api.CodeStore, "this node has not read the cluster's state yet")
	}
	open, err := cib.OpenSNMPUsers(s.Config, e.seal.Open)
	if err != nil {
		return nil, api.NewProblem(api.CodeDefect, fmt.Sprintf("a secret can't be opened: %v", err))
	}
	return &api.SNMP{Generation: s.ConfigGen.Number, Settings: s.Config.Cluster.SNMP, Users: open, Targets: s.Config.SNMPTargets}, nil
}
