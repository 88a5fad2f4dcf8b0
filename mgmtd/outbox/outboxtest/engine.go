// Package outboxtest is an engine in memory for the tests of what uses package outbox: a
// ring of events, and documents that are compared by their revision.
package outboxtest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Engine is an engine as package outbox needs it. It is safe for concurrent use.
type Engine struct {
	mu        sync.Mutex
	ring      []*cib.Event
	grown     chan struct{} // closed at the next event, or when the streams break
	broken    int           // how often they did
	documents map[string]api.Document
	revision  int64
	conflicts int
	saved     chan struct{} // closed at the next change of a document
}

// New returns an engine without events and documents.
func New() *Engine {
	return &Engine{grown: make(chan struct{}), saved: make(chan struct{}), documents: map[string]api.Document{}}
}

// Add adds events to the ring.
func (e *Engine) Add(events ...*cib.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring = append(e.ring, events...)
	e.wake()
}

// Drop removes the oldest events of the ring.
func (e *Engine) Drop(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring = slices.Clone(e.ring[n:])
}

// Break ends the streams of events that are being followed.
func (e *Engine) Break() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken++
	e.wake()
}

// Refuse answers the next n changes of documents as if somebody else had been faster.
func (e *Engine) Refuse(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conflicts = n
}

// Changes is how many changes of documents there were.
func (e *Engine) Changes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(e.revision)
}

func (e *Engine) wake() {
	close(e.grown)
	e.grown = make(chan struct{})
}

// Put writes a document.
func (e *Engine) Put(name string, v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	value, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	e.revision++
	e.documents[name] = api.Document{Name: name, Value: value, Rev: e.revision}
}

// Get reads a document and reports whether there is one. The channel is closed when one
// is changed.
func (e *Engine) Get(name string, into any) (found bool, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, found := e.documents[name]
	if found {
		if err := json.Unmarshal(d.Value, into); err != nil {
			panic(err)
		}
	}
	return found, e.saved
}

// Events calls f with the events after a sequence.
func (e *Engine) Events(ctx context.Context, after uint64, follow bool, f func(*cib.Event) error) error {
	e.mu.Lock()
	broken := e.broken
	e.mu.Unlock()
	for {
		e.mu.Lock()
		list, grown, end := slices.Clone(e.ring), e.grown, e.broken != broken
		e.mu.Unlock()
		for _, ev := range list {
			if ev.Seq > after {
				if err := f(ev); err != nil {
					return err
				}
				after = ev.Seq
			}
		}
		if !follow || end {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// Documents returns all documents.
func (e *Engine) Documents(context.Context) (*api.Documents, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := &api.Documents{Revision: e.revision}
	for _, name := range slices.Sorted(maps.Keys(e.documents)) {
		out.Documents = append(out.Documents, e.documents[name])
	}
	return out, nil
}

// ChangeDocuments changes documents where the conditions hold.
func (e *Engine) ChangeDocuments(ctx context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	refused := e.conflicts > 0
	if refused {
		e.conflicts--
	}
	for _, c := range ch.If {
		refused = refused || e.documents[c.Name].Rev != c.Rev
	}
	if refused {
		return nil, api.NewProblem(api.CodeConflict, "a document was changed meanwhile")
	}
	e.revision++
	for _, d := range ch.Put {
		d.Rev = e.revision
		e.documents[d.Name] = d
	}
	for _, name := range ch.Delete {
		delete(e.documents, name)
	}
	close(e.saved)
	e.saved = make(chan struct{})
	return &api.DocumentsChanged{Revision: e.revision}, nil
}
