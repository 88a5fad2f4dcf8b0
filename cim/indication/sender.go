package indication

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
)

// ErrConflict says that another sender has moved the cursor meanwhile.
var ErrConflict = errors.New("the cursor was moved by another sender")

// Cursor says how far a subscription is.
type Cursor struct {
	Context  string `json:"context"`  // of the sequence; drawn once
	After    uint64 `json:"after"`    // event that was seen last
	Revision int64  `json:"revision"` // up to which instances were compared
	Sequence uint64 `json:"sequence"` // of the indication that was delivered last
	// Partial says that of the differences of Revision only some were delivered. Another
	// node has them in other parts, so all of them are sent again then.
	Partial bool `json:"partial,omitempty"`
	// Overflows counts how often something was no longer kept when it was to be sent.
	Overflows uint64 `json:"overflows,omitempty"`
}

// Store keeps the cursors where every node finds them.
type Store interface {
	// Load returns a subscription's cursor and the revision to save it on; nil where
	// there is none.
	Load(ctx context.Context, subscription string) (c *Cursor, rev int64, err error)
	// Save saves a cursor on the revision that it was loaded at, and returns the new
	// one. [ErrConflict] where it was changed meanwhile.
	Save(ctx context.Context, subscription string, c Cursor, rev int64) (int64, error)
}

// Config is what a sender needs.
type Config struct {
	Store Store
	// Ring returns the sequence of the oldest and the newest event; 0 where there is none.
	Ring func(ctx context.Context) (oldest, newest uint64, err error)
	// Follow calls f with each event after a sequence, in order, and goes on until ctx
	// ends, f refuses or the stream breaks.
	Follow func(ctx context.Context, after uint64, f func(*cib.Event) error) error
	// State is the newest state, to show events in.
	State func() (*model.State, error)
	// Tracker knows what became of instances.
	Tracker *Tracker
	Log     *slog.Logger
}

// Pauses between tries.
const (
	againMin = 200 * time.Millisecond
	againMax = model.RetryIntervalSeconds * time.Second
	// saveEvery bounds how many events that are not for a target pass before its cursor
	// is saved.
	saveEvery = 200
	// saveTimeout bounds how long a delivery is being noted.
	saveTimeout = 5 * time.Second
)

// Run sends to one target until ctx ends. Only one node of the cluster should; where two
// do, a listener gets repeats with the same sequence number.
func Run(ctx context.Context, cfg *Config, t *Target) {
	s := &sender{Config: cfg, t: t}
	defer t.client.CloseIdleConnections()
	pause := againMin
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, ErrConflict) {
			cfg.Log.Warn("indications are interrupted", "subscription", t.Name, "err", err)
		}
		if time.Since(began) > againMax {
			pause = againMin
		}
		wait(ctx, pause)
		pause = min(2*pause, againMax)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

type sender struct {
	*Config
	t      *Target
	cursor Cursor
	rev    int64
	passed int // since the cursor was saved
	part   int // differences of the cursor's revision that were delivered
}

// session loads the cursor and goes on from there until something breaks.
func (s *sender) session(ctx context.Context) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	saved, rev, err := s.Store.Load(ctx, s.t.Name)
	if err != nil {
		return err
	}
	oldest, newest, err := s.Ring(ctx)
	if err != nil {
		return err
	}
	s.rev, s.passed = rev, 0
	if saved == nil {
		// A new subscription hears of what happens from now on.
		if err := s.save(ctx, Cursor{Context: rand.Text(), After: newest, Revision: state.Summary.Revision}); err != nil {
			return err
		}
	} else {
		s.cursor, s.part = *saved, 0
		if s.cursor.Partial {
			s.cursor.Revision, s.cursor.Partial = s.cursor.Revision-1, false
		}
		if oldest > saved.After && saved.After > 0 {
			s.cursor.Overflows++
			s.Log.Error("events left the ring before they were sent", "subscription", s.t.Name, "after", saved.After, "oldest", oldest)
		}
	}
	return s.send(ctx, state)
}

// send sends events and differences, one after the other, in one goroutine: the cursor
// has one owner.
func (s *sender) send(ctx context.Context, state *model.State) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, ended := make(chan *cib.Event), make(chan error, 1)
	if s.t.wants(state.Class("Belay_ClusterEvent")) {
		after := s.cursor.After
		go func() {
			ended <- s.Follow(ctx, after, func(ev *cib.Event) error {
				select {
				case events <- ev:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
		defer func() {
			cancel()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				s.Log.Debug("the events ended", "subscription", s.t.Name, "err", err)
			}
		}()
	}
	lifecycle := s.t.Lifecycle()
	for {
		var more <-chan struct{}
		if lifecycle {
			var err error
			if more, err = s.differences(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev := <-events:
			if err := s.event(ctx, ev); err != nil {
				return err
			}
		case err := <-ended:
			ended <- err // for who waits for the goroutine
			return fmt.Errorf("the events ended: %w", err)
		case <-more:
		}
	}
}

func (s *sender) event(ctx context.Context, ev *cib.Event) error {
	if ev.Seq <= s.cursor.After {
		return nil // it comes a second time
	}
	state, err := s.State()
	if err != nil {
		return err
	}
	next := s.cursor
	next.After = ev.Seq
	i := state.Event(ev)
	if i == nil || !s.t.takes(i) {
		return s.pass(ctx, next)
	}
	return s.deliver(ctx, i, next)
}

// pass moves on without anything to send.
func (s *sender) pass(ctx context.Context, next Cursor) error {
	if s.passed++; s.passed < saveEvery {
		s.cursor = next
		return nil
	}
	return s.save(ctx, next)
}

// differences sends what became of instances since the cursor.
func (s *sender) differences(ctx context.Context) (more <-chan struct{}, err error) {
	from := s.cursor.Revision
	if s.cursor.Partial {
		from-- // that revision is not done
	}
	list, upTo, lost, more := s.Tracker.after(from)
	if lost {
		s.cursor.Overflows++
		s.Log.Warn("changes of instances are not known here and are not sent", "subscription", s.t.Name, "after", s.cursor.Revision)
	}
	state, err := s.State()
	if err != nil {
		return nil, err
	}
	var wanted []*object.Instance
	var revisions []int64
	for k := range list {
		if i := lifecycle(state, &list[k]); s.t.takes(i) {
			wanted, revisions = append(wanted, i), append(revisions, list[k].revision)
		}
	}
	part := 0
	for k, i := range wanted {
		if k > 0 && revisions[k] != revisions[k-1] {
			part = 0
		}
		if part++; s.cursor.Partial && revisions[k] == s.cursor.Revision && part <= s.part {
			continue // delivered before
		}
		next := s.cursor
		next.Revision, next.Partial = revisions[k], k+1 < len(wanted) && revisions[k+1] == revisions[k]
		if err := s.deliver(ctx, i, next); err != nil {
			return nil, err
		}
		s.part = part
	}
	if upTo > s.cursor.Revision || s.cursor.Partial {
		next := s.cursor
		next.Revision, next.Partial = max(upTo, s.cursor.Revision), false
		return more, s.pass(ctx, next)
	}
	return more, nil
}

// lifecycle is a difference as an indication.
func lifecycle(state *model.State, d *difference) *object.Instance {
	i := state.Class(d.class).New(model.Root)
	i.Set("IndicationTime", state.Summary.Time.UTC())
	i.Set("PerceivedSeverity", 2)
	source := d.now
	if source == nil {
		source = d.was
	}
	i.Set("SourceInstance", source)
	i.Set("SourceInstanceModelPath", source.Path().String())
	if d.class == "CIM_InstModification" {
		i.Set("PreviousInstance", d.was)
	}
	return i
}

func (s *sender) save(ctx context.Context, c Cursor) error {
	rev, err := s.Store.Save(ctx, s.t.Name, c, s.rev)
	if err != nil {
		return err
	}
	s.cursor, s.rev, s.passed = c, rev, 0
	return nil
}

// deliver sends an indication until the listener has taken it, and notes it.
func (s *sender) deliver(ctx context.Context, i *object.Instance, next Cursor) error {
	next.Sequence++
	i.Set("SequenceContext", next.Context)
	i.Set("SequenceNumber", int64(min(next.Sequence, 1<<63-1)))
	i.Set("IndicationIdentifier", next.Context+"#"+strconv.FormatUint(next.Sequence, 10))
	i.Set("IndicationFilterName", s.t.FilterName)
	body := cimxml.ExportIndication(strconv.FormatUint(next.Sequence, 10), i)
	pause, told := againMin, false
	for {
		err := s.t.post(ctx, body)
		if err == nil {
			if told {
				s.Log.Info("the CIM listener answers again", "subscription", s.t.Name)
			}
			// It is noted even when this node has just been told to end: the next
			// sender would deliver it again.
			sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
			defer cancel()
			return s.save(sctx, next)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !told {
			s.Log.Warn("an indication did not arrive; it is sent again", "subscription", s.t.Name, "err", err)
			told = true
		}
		wait(ctx, pause)
		pause = min(2*pause, againMax)
	}
}

// answerMaxBytes bounds a listener's answer.
const answerMaxBytes = 64 << 10

// post delivers once.
func (t *Target) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", `application/xml; charset="utf-8"`)
	req.Header.Set("CIMExport", "MethodRequest")
	req.Header.Set("CIMExportMethod", "ExportIndication")
	req.Header.Set("CIMProtocolVersion", "1.0")
	if t.User != "" {
		req.SetBasicAuth(t.User, t.Password)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerMaxBytes))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the listener answers %s", res.Status)
	}
	return cimxml.ParseExportResponse(answer)
}
