package api

import (
	"context"
	"net/http"

	"github.com/belay-ha/belay/engine/api"
)

// notificationRoutes tell who is told of events, and whether they take it.
func (s *Server) notificationRoutes() {
	register(s, op{
		method: http.MethodGet, path: "/v1/notification-targets", id: "listNotificationTargets", tag: "state",
		text:   "Who is told of events, over SNMP, webhooks, mail and CIM, and where the audit log is sent; how far each is: what waits, when it took something last, and the last error",
		action: "read", object: "cluster",
	}, func(ctx context.Context, _ *call, in *Page) (*body[listAnswer[api.NotificationTarget]], error) {
		v, err := s.known()
		if err != nil {
			return nil, err
		}
		// Without it the servers that get the audit log are listed, and nothing is said of
		// how far they are.
		audit, err := s.opts.Engine.AuditState(ctx)
		if err != nil {
			s.opts.Log.Debug("how the audit log stands is not known", "err", err)
		}
		rows := s.opts.Cursors.Receivers(v.Config.Config, v.Events, audit)
		out, err := paginate(rows, in, row[api.NotificationTarget]{
			key:    func(t *api.NotificationTarget) string { return t.Kind + "/" + t.ID },
			states: func(t *api.NotificationTarget) []string { return []string{t.Kind} },
			nodes:  func(t *api.NotificationTarget) []string { return []string{t.Node} },
			texts:  func(t *api.NotificationTarget) []string { return []string{t.Address} },
		})
		out.Revision = v.Summary.Revision
		return &body[listAnswer[api.NotificationTarget]]{out}, err
	})
}
