package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/cib"
)

// openIntents finds the changes that an earlier engine of this node began and whose
// end it did not live to record.
func (e *engine) openIntents() []*audit.Record {
	open := map[string]*audit.Record{}
	var order []string
	if _, err := audit.Verify(e.d.path(dirAudit), func(r *audit.Record) {
		switch r.Phase {
		case audit.Intent:
			open[r.RequestID] = r
			order = append(order, r.RequestID)
		case audit.Outcome:
			delete(open, r.RequestID)
		case audit.Note:
		}
	}); err != nil {
		e.log.Error("the audit log of this node is not whole", "err", err)
	}
	var out []*audit.Record
	for _, id := range order {
		if r := open[id]; r != nil {
			out = append(out, r)
			delete(open, id)
		}
	}
	return out
}

// doubtsMax is how many changes may wait for the store to tell what became of them.
const doubtsMax = 1000

// settleLater has a change's outcome recorded when the store tells; false where too many
// wait for that.
func (e *engine) settleLater(r *audit.Record) bool {
	select {
	case e.doubts <- r:
		return true
	default:
		return false
	}
}

// closeIntents records what became of them, and of changes whose commit had no answer:
// that stands in the store. What is left when the engine ends is found by the next one.
func (e *engine) closeIntents(ctx context.Context) {
	for _, r := range e.intents {
		if !e.closeIntent(ctx, r) {
			return
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-e.doubts:
			if !e.closeIntent(ctx, r) {
				return
			}
		}
	}
}

// closeIntent records the outcome of one change; false when the engine ends first.
func (e *engine) closeIntent(ctx context.Context, r *audit.Record) bool {
	out := *r
	out.Phase, out.Changes, out.Time = audit.Outcome, nil, time.Now().UTC()
	for {
		var rec cib.GenerationRecord
		err := e.getDocument(ctx, generationKey(r.After), &rec)
		switch {
		case r.After == r.Before:
			// It changed no generation, so that nothing tells.
			out.Result, out.Reason = audit.ResultUnknown, "the engine ended before the outcome was known"
		case err == nil && rec.RequestID == r.RequestID:
			out.Result, out.Reason = audit.ResultSuccess, "found in the history"
		case err == nil || errors.Is(err, cib.ErrNotFound):
			out.Result, out.Reason = audit.ResultFailed, "not in the history"
		default:
			select {
			case <-ctx.Done():
				return false
			case <-time.After(time.Second):
				continue
			}
		}
		if err := e.record(&out); err != nil {
			e.log.Error("the outcome of an earlier change can't be recorded", "err", err)
		}
		return true
	}
}
