package api

import (
	"context"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// timingInput is what the times are computed of: the configuration, or what it would be
// after a change that is not made.
type timingInput struct {
	Change *api.Change `json:"change,omitempty" doc:"that the configuration would have; only its action, object, value and merge count"`
}

// timingRoutes tell how long things take at worst. It reads only what is in memory.
func (s *Server) timingRoutes() {
	register(s, op{
		method: http.MethodPost, path: "/v1/timing", id: "timing", tag: "configuration", status: http.StatusOK, action: "read", object: "cluster",
		text: "Compute how long detection, fencing, stop and recovery take at worst, now or after a change; nothing is changed",
	}, func(_ context.Context, _ *call, in *struct{ Body timingInput }) (*body[*cib.Timing], error) {
		v, err := s.known()
		if err != nil {
			return nil, err
		}
		c := v.Config.Config
		if ch := in.Body.Change; ch != nil {
			if c, err = cib.Edit(c, cib.EditRequest{Action: string(ch.Action), Object: ch.Object, Value: ch.Value, Merge: ch.Merge}); err != nil {
				return nil, api.NewProblem(api.CodeBadRequest, "change: "+err.Error())
			}
		}
		return &body[*cib.Timing]{cib.CheckTiming(c)}, nil
	})
}
