package mgmtd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/cim/indication"
	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	engineapi "github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/view"
)

// indicationEngine is what the engine is asked for about indications.
type indicationEngine interface {
	CIM(ctx context.Context) (*engineapi.CIM, error)
	Events(ctx context.Context, after uint64, follow bool, f func(*cib.Event) error) error
	Documents(ctx context.Context) (*engineapi.Documents, error)
	ChangeDocuments(ctx context.Context, ch *engineapi.DocumentChange) (*engineapi.DocumentsChanged, error)
}

// indicationService sends the indications of CIM while this node is the DC. On every
// node it follows what becomes of instances, so that the next DC knows, too.
type indicationService struct {
	view   *view.Holder
	engine indicationEngine
	node   func() string
	schema *object.Schema // of the cluster's namespace
	state  func() (*model.State, error)
	log    *slog.Logger
	poke   chan struct{} // the configuration changed
	// tracker outlives the senders, so that nothing is missed between two of them.
	tracker *indication.Tracker
}

func newIndications(holder *view.Holder, engine indicationEngine, node func() string, schema *object.Schema, state func() (*model.State, error), log *slog.Logger) *indicationService {
	s := &indicationService{view: holder, engine: engine, node: node, schema: schema, state: state, log: log.With("part", "cim"), poke: make(chan struct{}, 1), tracker: indication.NewTracker()}
	holder.OnConfig(func(*cib.Config) {
		select {
		case s.poke <- struct{}{}:
		default:
		}
	})
	return s
}

// indicationRetry is the pause before the engine is asked again.
const indicationRetry = time.Second

// run serves until ctx ends. When subscriptions change, all are ended and begun anew:
// the cursors tell where.
func (s *indicationService) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	stop := func() {}
	defer func() { stop() }()
	var last []byte
	for {
		var again <-chan time.Time
		settings, err := s.engine.CIM(ctx)
		if err != nil {
			again = time.After(indicationRetry)
		} else {
			settings.Generation = 0
			if now, err := json.Marshal(settings); err == nil && !bytes.Equal(now, last) {
				last = now
				stop()
				work.Wait()
				inner, cancel := context.WithCancel(ctx)
				stop = cancel
				targets := s.targets(settings)
				work.Go(func() { s.serve(inner, targets) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
		case <-again:
		}
	}
}

// targets are the subscriptions that can be served. What can't be is told once.
func (s *indicationService) targets(settings *engineapi.CIM) []*indication.Target {
	var out []*indication.Target
	for _, id := range slices.Sorted(maps.Keys(settings.Subscriptions)) {
		x := settings.Subscriptions[id]
		if x.Disabled {
			continue
		}
		filter := settings.Filters[x.Filter]
		if q, ok := cib.CIMBuiltinFilters[x.Filter]; ok {
			filter = &cib.CIMFilter{Query: q, Language: "DMTF:CQL"}
		}
		destination := settings.Destinations[x.Destination]
		if filter == nil || destination == nil {
			continue // validation keeps this from being
		}
		t, err := indication.NewTarget(id, cmp.Or(filter.Name, x.Filter), filter, destination, s.schema)
		if err != nil {
			s.log.Warn("a CIM subscription is not served", "subscription", id, "err", err)
			continue
		}
		out = append(out, t)
	}
	return out
}

// serve follows the views, and sends while this node is the DC.
func (s *indicationService) serve(ctx context.Context, targets []*indication.Target) {
	lifecycle := slices.ContainsFunc(targets, (*indication.Target).Lifecycle)
	config := &indication.Config{Store: indicationCursors{s.engine}, Ring: s.ring, Follow: s.follow, State: s.state, Tracker: s.tracker, Log: s.log}
	var senders sync.WaitGroup
	defer senders.Wait()
	stop := func() {}
	defer func() { stop() }()
	sending := false
	for {
		next := s.view.Next()
		v := s.view.Current()
		if state, err := s.state(); err == nil && v.Known() {
			if lifecycle {
				if err := s.tracker.Update(state); err != nil {
					s.log.Warn("what became of instances is not known", "err", err)
				}
			}
			here := s.node() != "" && v.Summary.Cluster.DC == s.node() && v.Problem == nil && v.Summary.Quorum.State == status.QuorumQuorate
			switch {
			case here && !sending:
				inner, cancel := context.WithCancel(ctx)
				stop = cancel
				s.forget(inner, v.Config.Config)
				for _, t := range targets {
					senders.Go(func() { indication.Run(inner, config, t) })
				}
			case !here && sending:
				stop()
				senders.Wait()
			}
			sending = here
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

func (s *indicationService) ring(ctx context.Context) (oldest, newest uint64, err error) {
	err = s.engine.Events(ctx, 0, false, func(e *cib.Event) error {
		oldest, newest = cmp.Or(oldest, e.Seq), e.Seq
		return nil
	})
	return oldest, newest, err
}

func (s *indicationService) follow(ctx context.Context, after uint64, f func(*cib.Event) error) error {
	return s.engine.Events(ctx, after, true, f)
}

const indicationCursor = "cim-cursor/"

// forget removes the cursors of subscriptions that are gone: one that is made anew under
// the same name begins anew.
func (s *indicationService) forget(ctx context.Context, c *cib.Config) {
	all, err := s.engine.Documents(ctx)
	if err != nil {
		return // they are no harm until the next time
	}
	ch := &engineapi.DocumentChange{}
	for i := range all.Documents {
		if id, ok := strings.CutPrefix(all.Documents[i].Name, indicationCursor); ok && c.CIMSubscriptions[id] == nil {
			ch.Delete = append(ch.Delete, all.Documents[i].Name)
		}
	}
	if len(ch.Delete) == 0 {
		return
	}
	if _, err := s.engine.ChangeDocuments(ctx, ch); err != nil {
		s.log.Debug("cursors of old CIM subscriptions stay", "err", err)
	}
}

// indicationCursors keeps the cursors of subscriptions among the documents of the
// management daemons.
type indicationCursors struct{ engine indicationEngine }

// Load returns the cursor of a subscription.
func (c indicationCursors) Load(ctx context.Context, subscription string) (*indication.Cursor, int64, error) {
	all, err := c.engine.Documents(ctx)
	if err != nil {
		return nil, 0, err
	}
	for i := range all.Documents {
		if d := &all.Documents[i]; d.Name == indicationCursor+subscription {
			var at indication.Cursor
			err := json.Unmarshal(d.Value, &at)
			return &at, d.Rev, err
		}
	}
	return nil, 0, nil
}

// Save saves it where nobody has moved it.
func (c indicationCursors) Save(ctx context.Context, subscription string, at indication.Cursor, rev int64) (int64, error) {
	value, err := json.Marshal(at)
	if err != nil {
		return 0, err
	}
	name := indicationCursor + subscription
	done, err := c.engine.ChangeDocuments(ctx, &engineapi.DocumentChange{
		If: []engineapi.DocumentRevision{{Name: name, Rev: rev}}, Put: []engineapi.Document{{Name: name, Value: value}},
	})
	if p, ok := errors.AsType[*engineapi.Problem](err); ok && p.Code == engineapi.CodeConflict {
		return 0, indication.ErrConflict
	}
	if err != nil {
		return 0, err
	}
	return done.Revision, nil
}
