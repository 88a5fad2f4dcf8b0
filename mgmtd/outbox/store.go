package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Engine is what the engine is asked for; engine/client has it.
type Engine interface {
	Events(ctx context.Context, after uint64, follow bool, f func(*cib.Event) error) error
	Documents(ctx context.Context) (*api.Documents, error)
	ChangeDocuments(ctx context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error)
}

// Box sends messages of one kind.
type Box struct {
	Engine Engine
	Kind   string // in the names of the cursors' documents, KIND-cursor/TARGET, and in the log
	// RetryMax bounds the pause before a delivery is tried again. Default: 30 s.
	RetryMax time.Duration
	Log      *slog.Logger
}

// errConflict says that another sender has moved the cursor meanwhile.
var errConflict = errors.New("the cursor was moved by another sender")

func (b *Box) prefix() string { return b.Kind + cursorSuffix + "/" }

// load returns a target's cursor and the revision to save it on; nil where there is none.
func (b *Box) load(ctx context.Context, target string) (*Cursor, int64, error) {
	all, err := b.Engine.Documents(ctx)
	if err != nil {
		return nil, 0, err
	}
	for i := range all.Documents {
		if d := &all.Documents[i]; d.Name == b.prefix()+target {
			var c Cursor
			err := json.Unmarshal(d.Value, &c)
			return &c, d.Rev, err
		}
	}
	return nil, 0, nil
}

// save saves a cursor on the revision that it was loaded at, and returns the new one;
// [errConflict] where it was changed meanwhile.
func (b *Box) save(ctx context.Context, target string, c Cursor, rev int64) (int64, error) {
	value, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	name := b.prefix() + target
	done, err := b.Engine.ChangeDocuments(ctx, &api.DocumentChange{
		If: []api.DocumentRevision{{Name: name, Rev: rev}}, Put: []api.Document{{Name: name, Value: value}},
	})
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeConflict {
		return 0, errConflict
	}
	if err != nil {
		return 0, err
	}
	return done.Revision, nil
}

// ring returns the sequence of the oldest and the newest event; 0 where there is none.
func (b *Box) ring(ctx context.Context) (oldest, newest uint64, err error) {
	err = b.Engine.Events(ctx, 0, false, func(e *cib.Event) error {
		oldest, newest = cmp.Or(oldest, e.Seq), e.Seq
		return nil
	})
	return oldest, newest, err
}

// forget removes the cursors of targets that are gone: one that is made anew under the
// same name begins anew.
func (b *Box) forget(ctx context.Context, known map[string]bool) {
	all, err := b.Engine.Documents(ctx)
	if err != nil {
		return // they are no harm until the next time
	}
	ch := &api.DocumentChange{}
	for i := range all.Documents {
		d := &all.Documents[i]
		if name, ok := strings.CutPrefix(d.Name, b.prefix()); ok && !known[name] {
			ch.If = append(ch.If, api.DocumentRevision{Name: d.Name, Rev: d.Rev})
			ch.Delete = append(ch.Delete, d.Name)
		}
	}
	if len(ch.Delete) == 0 {
		return
	}
	if _, err := b.Engine.ChangeDocuments(ctx, ch); err != nil {
		b.Log.Debug("cursors of targets that are gone stay", "kind", b.Kind, "err", err)
	}
}
