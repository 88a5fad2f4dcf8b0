package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/status"
)

// stream serves lines of JSON until the caller goes.
func (d *Daemon) stream(h streamer) http.Handler { return d.streamTo(false, h) }

// streamer sends one line after the other until ctx ends.
type streamer func(ctx context.Context, e *engine, r *http.Request, send func(any) error) error

// streamTo is stream, with writers for those only who may change the cluster.
func (d *Daemon) streamTo(writers bool, h streamer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := allowed(r, writers)
		var e *engine
		if err == nil {
			e, err = d.running()
		}
		if err != nil {
			d.fail(w, err)
			return
		}
		unhurried(w)
		w.Header().Set("Content-Type", "application/x-ndjson")
		rc := http.NewResponseController(w)
		enc := json.NewEncoder(w)
		err = h(r.Context(), e, r, func(v any) error {
			if err := enc.Encode(v); err != nil {
				return err
			}
			return rc.Flush()
		})
		if err != nil && r.Context().Err() == nil {
			d.log.Debug("a stream ended", "path", r.URL.Path, "err", err)
		}
	})
}

// watchPause is the least time between two lines of a stream of states: bursts are
// one line.
const watchPause = 100 * time.Millisecond

func watchStatus(ctx context.Context, e *engine, _ *http.Request, send func(any) error) error {
	var last int64 = -1
	var quorum string
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil {
			// Losing quorum changes what this node says without a newer snapshot.
			o := e.observe(ctx)
			now := fmt.Sprint(o != nil && o.Quorate, o != nil && o.Valid, o != nil && o.StoreOK, o != nil && o.StoreAlone != "")
			if s.Revision != last || now != quorum {
				last, quorum = s.Revision, now
				if err := send(status.SummarizeFor(s, time.Now(), o)); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		case <-time.After(time.Second):
		}
	}
}

func watchEvents(ctx context.Context, e *engine, r *http.Request, send func(any) error) error {
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	follow := r.URL.Query().Get("follow") != ""
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil {
			for _, ev := range s.Status.Events {
				if ev.Seq <= after {
					continue
				}
				if err := send(ev); err != nil {
					return err
				}
				after = ev.Seq
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}
