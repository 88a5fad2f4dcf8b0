package mgmtd

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	engineapi "github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/mgmtd/notify"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/view"
)

// notifiers tells webhooks and mail servers of events, from the DC.
func notifiers(ctx context.Context, holder *view.Holder, poke <-chan struct{}, engine *client.Client, node func() string, log *slog.Logger) {
	leads := func() (bool, <-chan struct{}) { return holder.Leads(node()) }
	cluster := func() string {
		if v := holder.Current(); v.Summary != nil {
			return v.Summary.Cluster.Name
		}
		return ""
	}
	settings := func(ctx context.Context) (*engineapi.Notifiers, error) {
		s, err := engine.Notifiers(ctx)
		if err == nil {
			s.Generation = 0 // of any change, not of these
		}
		return s, err
	}
	outbox.Watch(ctx, poke, settings, func(ctx context.Context, s *engineapi.Notifiers) {
		var both sync.WaitGroup
		defer both.Wait()
		log := log.With("part", "notify")
		for kind, targets := range map[string][]*outbox.Target{
			"webhook": targetsOf(log, s.Webhooks, notify.Webhook, cluster), "mail": targetsOf(log, s.Mail, notify.Mail, cluster),
		} {
			box := &outbox.Box{Engine: engine, Kind: kind, Log: log}
			both.Go(func() { box.Serve(ctx, leads, targets) })
		}
	})
}

// targetsOf makes targets of what is configured.
func targetsOf[T any](log *slog.Logger, configured map[string]*T, target func(name string, t *T, cluster func() string) (*outbox.Target, error), cluster func() string) []*outbox.Target {
	var out []*outbox.Target
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		t, err := target(name, configured[name], cluster)
		if err != nil {
			log.Error("a target of notifications gets nothing", "err", err)
			t = &outbox.Target{Name: name, Disabled: true} // its cursor stays
		}
		out = append(out, t)
	}
	return out
}
