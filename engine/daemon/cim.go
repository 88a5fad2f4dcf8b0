package daemon

import (
	"context"
	"fmt"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// checkQueries looks at the queries of filters that are new or changed: one that could
// never be evaluated would be found out by whoever waits for its indications.
func (e *engine) checkQueries(old, c *cib.Config) []cib.Fault {
	if e.d.opts.Query == nil {
		return nil
	}
	var faults []cib.Fault
	for _, id := range sortedKeys(c.CIMFilters) {
		f, was := c.CIMFilters[id], old.CIMFilters[id]
		if f == nil || was != nil && was.Query == f.Query && was.Language == f.Language {
			continue
		}
		if err := e.d.opts.Query(f.Language, f.Query); err != nil {
			faults = append(faults, cib.Fault{Path: "cim-filters." + id + ".query", Text: err.Error()})
		}
	}
	return faults
}

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
