package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Times of streams.
const (
	heartbeat = 15 * time.Second // a comment, so that proxies and clients see that the stream lives
	writeMax  = 10 * time.Second // a reader that takes longer is cut off
	statePace = 100 * time.Millisecond
)

// streams reports whether a request is for a stream: its answer has no end.
func streams(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/state", "/v1/watch":
		return true
	case "/v1/events":
		return accepts(r, "text/event-stream") || r.URL.Query().Get("follow") != ""
	}
	return false
}

func accepts(r *http.Request, kind string) bool {
	return strings.Contains(r.Header.Get("Accept"), kind)
}

// encoded is the state in JSON, made once for all who want it.
type encoded struct {
	number uint64
	text   []byte
}

func (s *Server) encodeState(v *view.View) ([]byte, error) {
	if c := s.cached.Load(); c != nil && c.number == v.Number {
		return c.text, nil
	}
	b, err := json.Marshal(v.Summary)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	s.cached.Store(&encoded{v.Number, b})
	return b, nil
}

// out writes a stream.
type out struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	sse bool
}

// send writes one message, whole, or fails.
func (o *out) send(id, event string, data []byte) error {
	var b []byte
	if o.sse {
		// data has no line break: it is JSON of one line.
		b = fmt.Appendf(make([]byte, 0, len(data)+64), "id: %s\nevent: %s\ndata: %s\n\n", id, event, data)
	} else {
		b = append(slices.Clip(data), '\n')
	}
	return o.write(b)
}

func (o *out) write(b []byte) error {
	if err := o.rc.SetWriteDeadline(time.Now().Add(writeMax)); err != nil {
		return err
	}
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	return o.rc.Flush()
}

// stream registers a stream: as server-sent events, or as lines of JSON for who
// accepts application/x-ndjson.
func (s *Server) stream(o op, run func(ctx context.Context, k *call, last string, w *out) error) {
	o.describe = func(d *huma.Operation) {
		d.Responses = map[string]*huma.Response{"200": {
			Description: "the stream", Content: map[string]*huma.MediaType{
				"text/event-stream":    {Schema: &huma.Schema{Type: huma.TypeString}},
				"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}}
	}
	register(s, o, func(ctx context.Context, k *call, in *struct {
		Last string `header:"Last-Event-ID" maxLength:"40" doc:"go on after this"`
	},
	) (*huma.StreamResponse, error) {
		return s.streamTo(ctx, k, in.Last, run)
	})
}

// streamTo begins a stream where there is room for one more.
func (s *Server) streamTo(_ context.Context, k *call, last string, run func(ctx context.Context, k *call, last string, w *out) error) (*huma.StreamResponse, error) {
	if int(s.streams.Add(1)) > s.opts.Streams {
		s.streams.Add(-1)
		p := api.NewProblem(api.CodeTooMany, "too many streams are open")
		p.RetryAfter = 10
		return nil, p
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer s.streams.Add(-1)
		c := humaecho.Unwrap(hc)
		w := &out{w: c.Response(), rc: http.NewResponseController(c.Response()), sse: !accepts(k.request, "application/x-ndjson")}
		kind := "text/event-stream"
		if !w.sse {
			kind = "application/x-ndjson"
		}
		c.Response().Header().Set("Content-Type", kind)
		c.Response().WriteHeader(http.StatusOK)
		_ = w.rc.SetReadDeadline(time.Time{})
		ctx, cancel := context.WithCancel(k.request.Context())
		defer cancel()
		err := w.rc.Flush()
		if err == nil {
			err = run(ctx, k, last, w)
		}
		if err != nil && ctx.Err() == nil {
			s.opts.Log.Debug("a stream ended", "path", k.request.URL.Path, "err", err)
		}
		// A deadline that a write set must not outlive the stream.
		_ = w.rc.SetWriteDeadline(time.Now().Add(writeMax))
	}}, nil
}

// alive reports whether the caller of a stream may still have it: the session may
// have ended, and its user's roles changed.
func (s *Server) alive(k *call, o, object string) bool {
	if k.subject.Method == auth.ByPassword && k.secret != "" && !s.opts.Auth.Alive(k.secret, s.now()) {
		return false
	}
	if k.subject.Method == auth.ByToken {
		if _, err := s.opts.Auth.Token(k.secret, s.now()); err != nil {
			return false
		}
	}
	return s.opts.Door.Can(k.subject, o, object).Allowed
}

// follow calls f at each new view and at least at each heartbeat, until it fails or
// the caller may not have the stream any more. f says whether it wrote something.
func (s *Server) follow(ctx context.Context, k *call, object string, w *out, pace time.Duration, f func(v *view.View) (bool, error)) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		next := s.opts.View.Next()
		wrote, err := f(s.opts.View.Current())
		if err != nil {
			return err
		}
		if wrote && pace > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-s.done:
				return nil
			case <-time.After(pace):
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.done:
			return nil
		case <-next:
		case <-beat.C:
			if w.sse {
				if err := w.write([]byte(": alive\n\n")); err != nil {
					return err
				}
			}
			if !s.alive(k, "read", object) {
				if w.sse {
					return w.send("", "end", []byte(`{"reason":"the session has ended"}`))
				}
				return nil
			}
		}
	}
}

func (s *Server) streamRoutes() {
	state := func(ctx context.Context, k *call, last string, w *out) error {
		sent := uint64(0)
		if last != "" {
			sent, _ = strconv.ParseUint(last, 10, 64)
		}
		var previous *status.Summary
		return s.follow(ctx, k, "cluster", w, statePace, func(v *view.View) (bool, error) {
			if !v.Known() || v.Summary == previous || v.Number == sent && previous == nil {
				return false, nil
			}
			b, err := s.encodeState(v)
			if err != nil {
				return false, err
			}
			previous = v.Summary
			return true, w.send(strconv.FormatUint(v.Number, 10), "state", b)
		})
	}
	s.stream(op{method: http.MethodGet, path: "/v1/state", id: "streamState", tag: "streams", text: "The state of everything, now and at each change", action: "read", object: "cluster"}, state)
	s.stream(op{method: http.MethodGet, path: "/v1/watch", id: "watch", tag: "streams", text: "The same as /v1/state, for the command line", action: "read", object: "cluster"}, state)
	s.eventRoutes()
}

type eventsInput struct {
	Last     string `header:"Last-Event-ID" maxLength:"40" doc:"go on after this event"`
	After    uint64 `query:"after" doc:"only events after this number"`
	Follow   bool   `query:"follow" doc:"go on with events as they happen"`
	Limit    int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"events at most, the newest"`
	Severity string `query:"severity" enum:"critical,major,minor,warning" doc:"only events at least as bad"`
	Node     string `query:"node" maxLength:"200"`
	Resource string `query:"resource" maxLength:"200"`
	Code     string `query:"code" maxLength:"20"`
}

// filter says which events are wanted.
func (in *eventsInput) filter() (func(e *cib.Event) bool, error) {
	worst := cib.Severity(0)
	if in.Severity != "" {
		var err error
		if worst, err = cib.Severities.Parse(in.Severity); err != nil {
			return nil, api.NewProblem(api.CodeBadRequest, err.Error())
		}
	}
	return func(e *cib.Event) bool {
		return (worst == 0 || e.Severity <= worst && e.Severity >= cib.SeverityCritical) && (in.Node == "" || e.Node == in.Node) &&
			(in.Resource == "" || e.Resource == in.Resource) && (in.Code == "" || e.Code == in.Code)
	}, nil
}

// eventsAfter cuts what a reader has. A reader whose last event is no longer kept may
// have missed some, and is told so.
func eventsAfter(events []*cib.Event, after uint64, resume bool) ([]*cib.Event, error) {
	i, found := slices.BinarySearchFunc(events, after, func(e *cib.Event, seq uint64) int {
		switch {
		case e.Seq < seq:
			return -1
		case e.Seq > seq:
			return 1
		}
		return 0
	})
	if found {
		i++
	} else if resume && i == 0 && len(events) > 0 && after > 0 {
		return nil, api.NewProblem(api.CodeGone, fmt.Sprintf("event %d is no longer kept; the oldest is %d", after, events[0].Seq))
	}
	return events[i:], nil
}

func (s *Server) eventRoutes() {
	register(s, op{
		method: http.MethodGet, path: "/v1/events", id: "events", tag: "streams", action: "read", object: "event/*",
		text: "What happened: as a list, or as a stream for who accepts text/event-stream or asks with follow",
		describe: func(d *huma.Operation) {
			d.Responses = map[string]*huma.Response{"200": {Description: "events, oldest first", Content: map[string]*huma.MediaType{
				"application/json":     {Schema: s.huma.OpenAPI().Components.Schemas.Schema(typeOf[listAnswer[*cib.Event]](), true, "Events")},
				"text/event-stream":    {Schema: &huma.Schema{Type: huma.TypeString}},
				"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}},
			}}}
		},
	}, func(ctx context.Context, k *call, in *eventsInput) (*huma.StreamResponse, error) {
		want, err := in.filter()
		if err != nil {
			return nil, err
		}
		after, resume := in.After, false
		if in.Last != "" {
			if after, err = strconv.ParseUint(in.Last, 10, 64); err != nil {
				return nil, api.NewProblem(api.CodeBadRequest, "Last-Event-ID is not the number of an event")
			}
			resume = true
		}
		v, err := s.known()
		if err != nil {
			return nil, err
		}
		first, err := eventsAfter(v.Events, after, resume)
		if err != nil {
			return nil, err
		}
		lines := accepts(k.request, "application/x-ndjson")
		if !lines && !streams(k.request) {
			return s.eventList(first, want, in.Limit, v.Summary.Revision)
		}
		return s.streamTo(ctx, k, "", func(ctx context.Context, k *call, _ string, w *out) error {
			send := func(events []*cib.Event) (bool, error) {
				wrote := false
				for _, e := range events {
					if e.Seq <= after {
						continue
					}
					after = e.Seq
					if !want(e) {
						continue
					}
					b, err := json.Marshal(e)
					if err != nil {
						return wrote, fmt.Errorf("encode an event: %w", err)
					}
					wrote = true
					if err := w.send(strconv.FormatUint(e.Seq, 10), "event", b); err != nil {
						return wrote, err
					}
				}
				return wrote, nil
			}
			if lines && !in.Follow {
				_, err := send(first)
				return err
			}
			return s.follow(ctx, k, "event/*", w, 0, func(v *view.View) (bool, error) {
				events, err := eventsAfter(v.Events, after, false)
				if err != nil {
					return false, err
				}
				return send(events)
			})
		})
	})
}

// eventList answers with a list: the newest that fit.
func (s *Server) eventList(events []*cib.Event, want func(*cib.Event) bool, limit int, revision int64) (*huma.StreamResponse, error) {
	out := listAnswer[*cib.Event]{Items: []*cib.Event{}, Revision: revision}
	for _, e := range events {
		if want(e) {
			out.Items = append(out.Items, e)
		}
	}
	out.Total = len(out.Items)
	if limit > 0 && len(out.Items) > limit {
		out.Items = out.Items[len(out.Items)-limit:]
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "application/json")
		c.SetStatus(http.StatusOK)
		_ = json.NewEncoder(c.BodyWriter()).Encode(out)
	}}, nil
}
