package daemon

import (
	"context"
	"fmt"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// getNotifiers opens the secrets of webhooks and mail targets for the management daemon,
// which sends. It works without quorum, like getSNMP.
func getNotifiers(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s := e.snap.Load()
	if s == nil {
		return nil, api.NewProblem(api.CodeStore, "this node has not read the cluster's state yet")
	}
	hooks, mail, err := cib.OpenNotifiers(s.Config, e.seal.Open)
	if err != nil {
		return nil, api.NewProblem(api.CodeDefect, fmt.Sprintf("a secret can't be opened: %v", err))
	}
	return &api.Notifiers{Generation: s.ConfigGen.Number, Webhooks: hooks, Mail: mail}, nil
}
