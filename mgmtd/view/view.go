// Package view holds the newest state of the cluster for all readers of the
// management daemon: REST, GUI, SNMP and CIM. One watch of the engine's socket feeds
// it; no page, walk or enumeration asks the engine.
package view

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// View is the cluster at one moment. It is never changed after it was made.
type View struct {
	Summary  *status.Summary // nil: nothing is known yet
	Config   *api.Config     // secrets left out; nil: not known yet
	Events   []*cib.Event    // the ring, oldest first
	Received time.Time       // when the engine said so
	// Problem says why the engine says nothing more; nil while it does.
	Problem *api.Problem
	// Cut is since when the engine is without quorum, and tells of the store what it knew
	// then; zero while it has quorum.
	Cut    time.Time
	Number uint64 // rises with every view
}

// Known reports whether there is something to show.
func (v *View) Known() bool { return v.Summary != nil && v.Config != nil }

// Age is how old the state is: zero while the engine tells of every change, with quorum.
func (v *View) Age(now time.Time) time.Duration {
	switch {
	case !v.Cut.IsZero():
		return max(0, now.Sub(v.Cut))
	case v.Problem != nil:
		return max(0, now.Sub(v.Received))
	}
	return 0
}

// Source is the engine.
type Source interface {
	Watch(ctx context.Context, f func(*status.Summary) error) error
	Events(ctx context.Context, after uint64, follow bool, f func(*cib.Event) error) error
	Config(ctx context.Context) (*api.Config, error)
	WatchDocuments(ctx context.Context, f func(*api.Documents) error) error
}

// Holder holds the newest view.
type Holder struct {
	source  Source
	log     *slog.Logger
	current atomic.Pointer[View]

	mu        sync.Mutex // of those who make a new view
	next      chan struct{}
	documents []func(*api.Documents)
	configs   []func(*cib.Config)
}

// New returns a holder that knows nothing yet.
func New(source Source, log *slog.Logger) *Holder {
	h := &Holder{source: source, log: log, next: make(chan struct{})}
	h.current.Store(&View{Problem: api.NewProblem(api.CodeNotRunning, "the engine was not reached yet")})
	return h
}

// Current returns the newest view.
func (h *Holder) Current() *View { return h.current.Load() }

// Next returns a channel that is closed when there is a newer view than the one that
// Current returns after the call.
func (h *Holder) Next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

// OnDocuments lets f be called with what the management daemons share, at each
// change. Call it before Run.
func (h *Holder) OnDocuments(f func(*api.Documents)) { h.documents = append(h.documents, f) }

// OnConfig lets f be called with each new configuration. Call it before Run.
func (h *Holder) OnConfig(f func(*cib.Config)) { h.configs = append(h.configs, f) }

// ConfigChanges returns a channel on which something waits when there has been a new
// configuration. Call it before Run.
func (h *Holder) ConfigChanges() <-chan struct{} {
	poke := make(chan struct{}, 1)
	h.OnConfig(func(*cib.Config) {
		select {
		case poke <- struct{}{}:
		default:
		}
	})
	return poke
}

// Leads reports whether a node is the DC of a cluster with quorum, as far as the engine
// says so now, and returns a channel that is closed when there is a newer view. It is
// what package outbox asks.
func (h *Holder) Leads(node string) (now bool, next <-chan struct{}) {
	next = h.Next()
	v := h.Current()
	return node != "" && v.Known() && v.Problem == nil && v.Summary.Cluster.DC == node && v.Summary.Quorum.State == status.QuorumQuorate, next
}

// Pauses between two tries to reach the engine.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 5 * time.Second
)

// eventsMax bounds the events that are held, above the largest ring.
const eventsMax = 10000

// Run follows the engine until ctx ends.
func (h *Holder) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() {
		h.follow(ctx, "state", func(good func()) error {
			return h.source.Watch(ctx, func(s *status.Summary) error { good(); return h.take(ctx, s) })
		})
	})
	work.Go(func() {
		h.follow(ctx, "events", func(good func()) error {
			var last uint64
			if e := h.Current().Events; len(e) > 0 {
				last = e[len(e)-1].Seq
			}
			return h.source.Events(ctx, last, true, func(e *cib.Event) error { good(); h.event(e); return nil })
		})
	})
	work.Go(func() {
		h.follow(ctx, "documents", func(good func()) error {
			return h.source.WatchDocuments(ctx, func(d *api.Documents) error {
				good()
				for _, f := range h.documents {
					f(d)
				}
				return nil
			})
		})
	})
	work.Wait()
}

// follow follows one stream, and begins anew when it breaks.
func (h *Holder) follow(ctx context.Context, what string, stream func(good func()) error) {
	pause := retryMin
	for ctx.Err() == nil {
		err := stream(func() { pause = retryMin })
		if ctx.Err() != nil {
			return
		}
		h.log.Debug("a stream of the engine ended", "stream", what, "err", err)
		if what == "state" {
			h.lost(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

// change makes a new view from the current one.
func (h *Holder) change(f func(v *View)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := *h.current.Load()
	f(&v)
	v.Number++
	h.current.Store(&v)
	close(h.next)
	h.next = make(chan struct{})
}

// take takes a state over, with the configuration that belongs to it.
func (h *Holder) take(ctx context.Context, s *status.Summary) error {
	v := h.Current()
	config := v.Config
	if config == nil || config.Generation != s.Cluster.Generation {
		c, err := h.source.Config(ctx)
		if err != nil {
			return err
		}
		for _, f := range h.configs {
			f(c.Config)
		}
		config = c
	}
	h.change(func(v *View) {
		v.Summary, v.Config, v.Received, v.Problem = s, config, time.Now(), nil
		switch {
		case s.Quorum.State != status.QuorumInquorate:
			v.Cut = time.Time{}
		case v.Cut.IsZero():
			v.Cut = v.Received
		}
	})
	return nil
}

// lost notes that the engine says nothing more.
func (h *Holder) lost(err error) {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		p = api.NewProblem(api.CodeNotRunning, "the engine ended its answer")
	}
	h.change(func(v *View) { v.Problem = p })
}

func (h *Holder) event(e *cib.Event) {
	h.change(func(v *View) {
		if n := len(v.Events); n > 0 && v.Events[n-1].Seq >= e.Seq {
			return
		}
		if len(v.Events) >= eventsMax {
			// A new array: readers may hold the old one.
			v.Events = append(make([]*cib.Event, 0, eventsMax+1000), v.Events[len(v.Events)-eventsMax*3/4:]...)
		}
		// What readers hold is not touched: only what lies behind it is written.
		v.Events = append(v.Events, e)
	})
}
