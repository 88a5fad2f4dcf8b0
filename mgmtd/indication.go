package mgmtd

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/belay-ha/belay/cim/indication"
	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	engineapi "github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/view"
)

// indicationService sends the indications of CIM while this node is the DC. On every
// node it follows what becomes of instances, so that the next DC knows, too.
type indicationService struct {
	view   *view.Holder
	engine *client.Client
	node   func() string
	schema *object.Schema // of the cluster's namespace
	log    *slog.Logger
	poke   <-chan struct{} // the configuration changed
	box    *outbox.Box
	config *indication.Config // its tracker outlives the senders, so that nothing is missed between two of them
}

func newIndications(holder *view.Holder, engine *client.Client, node func() string, schema *object.Schema, state func() (*model.State, error), log *slog.Logger) *indicationService {
	log = log.With("part", "cim")
	return &indicationService{
		view: holder, engine: engine, node: node, schema: schema, log: log, poke: holder.ConfigChanges(),
		box:    &outbox.Box{Engine: engine, Kind: "cim", RetryMax: indication.RetryMax, Log: log},
		config: &indication.Config{State: state, Tracker: indication.NewTracker()},
	}
}

// run serves until ctx ends. When subscriptions change, all are ended and begun anew:
// the cursors tell where.
func (s *indicationService) run(ctx context.Context) {
	outbox.Watch(ctx, s.poke, func(ctx context.Context) (*engineapi.CIM, error) {
		settings, err := s.engine.CIM(ctx)
		if err != nil {
			return nil, err
		}
		settings.Generation = 0
		return settings, nil
	}, s.serve)
}

// serve follows the views, and sends while this node is the DC.
func (s *indicationService) serve(ctx context.Context, settings *engineapi.CIM) {
	var targets []*outbox.Target
	lifecycle := false
	for _, id := range slices.Sorted(maps.Keys(settings.Subscriptions)) {
		t := s.target(settings, id)
		if t == nil {
			targets = append(targets, &outbox.Target{Name: id, Disabled: true})
			continue
		}
		lifecycle = lifecycle || t.Lifecycle()
		targets = append(targets, t.Outbox(s.config))
	}
	s.box.Serve(ctx, func() (bool, <-chan struct{}) {
		here, next := s.view.Leads(s.node())
		if state, err := s.config.State(); err == nil && lifecycle {
			if err := s.config.Tracker.Update(state); err != nil {
				s.log.Warn("what became of instances is not known", "err", err)
			}
		}
		return here, next
	}, targets)
}

// target is a subscription that can be served, or nil. Why it can't is told once.
func (s *indicationService) target(settings *engineapi.CIM, id string) *indication.Target {
	x := settings.Subscriptions[id]
	if x.Disabled {
		return nil
	}
	filter := settings.Filters[x.Filter]
	if q, ok := cib.CIMBuiltinFilters[x.Filter]; ok {
		filter = &cib.CIMFilter{Query: q, Language: "DMTF:CQL"}
	}
	destination := settings.Destinations[x.Destination]
	if filter == nil || destination == nil {
		return nil // validation keeps this from being
	}
	t, err := indication.NewTarget(id, cmp.Or(filter.Name, x.Filter), filter, destination, s.schema)
	if err != nil {
		s.log.Warn("a CIM subscription is not served", "subscription", id, "err", err)
		return nil
	}
	return t
}
