package daemon

import (
	"context"
	"fmt"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// getCIM opens the passwords of the listeners for the management daemon, which sends
// the indications. It works without quorum, like getSNMP.
func getCIM(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s := e.snap.Load()
	if s == nil {
		return nil, api.NewProblem(api.CodeStore, "this node has not read the cluster's state yet")
	}
	open, err := cib.OpenCIMDestinations(s.Config, e.seal.Open)
	if err != nil {
		return nil, api.NewProblem(api.CodeDefect, fmt.Sprintf("a secret can't be opened: %v", err))
	}
	return &api.CIM{Generation: s.ConfigGen.Number, Filters: s.Config.CIMFilters, Destinations: open, Subscriptions: s.Config.CIMSubscriptions}, nil
}
