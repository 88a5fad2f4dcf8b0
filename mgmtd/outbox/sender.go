package outbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Target is one receiver.
type Target struct {
	Name     string
	Disabled bool // gets nothing; its cursor stays
	// Event says how an event is told to the target; nil where it is not for it. An error
	// is one of this node, and it is asked again. Nil: it gets no events.
	Event func(ev *cib.Event) (Delivery, error)
	// Changes is something else that it is told of, in between; nil: nothing.
	Changes Source
	// Begin is what a target without a cursor is told first. It has no number. Nil: nothing.
	Begin func(ctx context.Context) error
	// Beside runs while the target is served; sequence is that of the newest message that
	// was delivered. Nil: nothing does.
	Beside func(ctx context.Context, sequence func() uint64)
}

// Delivery gives a message to its receiver. It is called until it returns nil, each time
// with the same ID, or an error that is [ErrRefused].
type Delivery func(ctx context.Context, id ID) error

// ErrRefused is wrapped in a delivery's error when the receiver will never take this
// message, however often it is sent. It is given up; what comes after it is sent.
var ErrRefused = errors.New("the receiver will never take it")

// Source is something that targets are told of besides events.
type Source interface {
	// Revision is the newest one.
	Revision() int64
	// After returns what is for the target after a revision, in order, with the revision
	// that it leads to, whether something is kept no longer, and a channel that is closed
	// when there is more.
	After(revision int64) (list []Change, upTo int64, lost bool, more <-chan struct{}, err error)
}

// Change is one thing that a source tells of. Several may have one revision.
type Change struct {
	Revision int64
	Deliver  Delivery
}

const (
	retryMin = 200 * time.Millisecond
	retryMax = 30 * time.Second // unless the box says otherwise
	// saveEvery bounds how much that is not for a target passes before its cursor is
	// saved.
	saveEvery = 200
	// saveTimeout bounds how long a delivery is being noted.
	saveTimeout = 5 * time.Second
	// noteEvery is the least time between two notes of why a receiver takes nothing.
	noteEvery = time.Minute
)

// sender sends to one target. Only one node of the cluster should; where two do, a
// receiver gets repeats with the same ID.
type sender struct {
	*Box
	t      *Target
	cursor Cursor
	rev    int64 // of the cursor's document
	passed int   // since the cursor was saved
	part   int   // changes of the cursor's revision that were delivered
	sent   atomic.Uint64
}

// run sends to a target until ctx ends.
func (b *Box) run(ctx context.Context, t *Target) {
	s := &sender{Box: b, t: t}
	pause := retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errConflict) {
			b.Log.Warn("messages to a target are interrupted", "kind", b.Kind, "target", t.Name, "err", err)
		}
		if time.Since(began) > b.retryMax() {
			pause = retryMin
		}
		wait(ctx, pause)
		pause = min(2*pause, b.retryMax())
	}
}

func (b *Box) retryMax() time.Duration { return cmp.Or(b.RetryMax, retryMax) }

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// session loads the cursor and goes on from there until something breaks.
func (s *sender) session(ctx context.Context) error {
	saved, rev, err := s.load(ctx, s.t.Name)
	if err != nil {
		return err
	}
	oldest, newest, err := s.ring(ctx)
	if err != nil {
		return err
	}
	c, isNew := saved.resume(oldest, newest)
	if saved != nil && c.Overflows != saved.Overflows {
		s.Log.Error("events left the ring before they were sent", "kind", s.Kind, "target", s.t.Name, "after", c.After, "oldest", oldest)
	}
	if c.Revision == 0 && s.t.Changes != nil {
		c.Revision = s.t.Changes.Revision()
	}
	s.cursor, s.rev, s.passed, s.part = c, rev, 0, 0
	// The cursor is saved before the beginning is told: from now on nothing is lost,
	// whoever goes on.
	if isNew || c.Context == "" {
		c.Context, c.Pending = rand.Text(), isNew && s.t.Begin != nil
		if err := s.keep(ctx, c); err != nil {
			return err
		}
	}
	if c.Pending {
		if err := s.begin(ctx); err != nil {
			return err
		}
		c = s.cursor
		c.Pending, c.SentAt = false, time.Now().UTC()
		if err := s.keep(ctx, c); err != nil {
			return err
		}
	}
	s.sent.Store(c.Sequence)
	return s.serve(ctx)
}

// begin tells the target its beginning, if it has one.
func (s *sender) begin(ctx context.Context) error {
	if s.t.Begin == nil {
		return nil
	}
	return s.insist(ctx, func(ctx context.Context, _ ID) error { return s.t.Begin(ctx) }, ID{})
}

// serve tells of events and changes, one after the other, in one goroutine: the cursor
// has one owner.
func (s *sender) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	if s.t.Beside != nil {
		work.Go(func() { s.t.Beside(ctx, s.sent.Load) })
	}
	events, ended := make(chan *cib.Event), make(chan error, 1)
	after := s.cursor.After
	work.Go(func() { ended <- s.follow(ctx, after, events) })
	for {
		var more <-chan struct{}
		if s.t.Changes != nil {
			var err error
			if more, err = s.changes(ctx); err != nil {
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
			return fmt.Errorf("the stream of events ended: %w", cmp.Or(err, errEnded))
		case <-more:
		}
	}
}

var errEnded = errors.New("the engine has closed it")

// follow passes on events until ctx ends or the stream breaks.
func (s *sender) follow(ctx context.Context, after uint64, events chan<- *cib.Event) error {
	if s.t.Event == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Engine.Events(ctx, after, true, func(ev *cib.Event) error {
		select {
		case events <- ev:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (s *sender) event(ctx context.Context, ev *cib.Event) error {
	if ev.Seq <= s.cursor.After {
		return nil // it comes a second time
	}
	deliver, err := s.t.Event(ev)
	if err != nil {
		return err
	}
	next := s.cursor
	next.After = ev.Seq
	if deliver == nil {
		return s.pass(ctx, next)
	}
	return s.deliver(ctx, deliver, next)
}

// pass moves on without anything to send.
func (s *sender) pass(ctx context.Context, next Cursor) error {
	if s.passed++; s.passed < saveEvery {
		s.cursor = next
		return nil
	}
	return s.keep(ctx, next)
}

// changes tells of what the source has after the cursor.
func (s *sender) changes(ctx context.Context) (more <-chan struct{}, err error) {
	from := s.cursor.Revision
	if s.cursor.Partial {
		from-- // that revision is not done
	}
	list, upTo, lost, more, err := s.t.Changes.After(from)
	if err != nil {
		return nil, err
	}
	if lost {
		s.cursor.Overflows++
		s.Log.Warn("changes are not known here and are not sent", "kind", s.Kind, "target", s.t.Name, "after", s.cursor.Revision)
	}
	part := 0
	for k, c := range list {
		if k > 0 && c.Revision != list[k-1].Revision {
			part = 0
		}
		if part++; s.cursor.Partial && c.Revision == s.cursor.Revision && part <= s.part {
			continue // delivered before
		}
		next := s.cursor
		next.Revision, next.Partial = c.Revision, k+1 < len(list) && list[k+1].Revision == c.Revision
		if err := s.deliver(ctx, c.Deliver, next); err != nil {
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

// deliver sends a message until the receiver has taken it, and notes it.
func (s *sender) deliver(ctx context.Context, deliver Delivery, next Cursor) error {
	err := s.insist(ctx, deliver, ID{next.Context, next.Sequence + 1})
	next.Error, next.ErrorAt = s.cursor.Error, s.cursor.ErrorAt // insist may have noted one
	switch {
	case err == nil:
		next.Sequence++
		next.SentAt = time.Now().UTC()
	case errors.Is(err, ErrRefused):
		next.Refused++
		next.failed(time.Now().UTC(), err)
		s.Log.Error("the receiver will never take a message; it is given up", "kind", s.Kind, "target", s.t.Name, "err", err)
	default:
		return err
	}
	// It is noted even when this node has just been told to end: the next sender would
	// deliver it again.
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return s.keep(sctx, next)
}

// insist tries until it has succeeded: what comes later must not overtake.
func (s *sender) insist(ctx context.Context, deliver Delivery, id ID) error {
	pause, told := retryMin, false
	for {
		err := deliver(ctx, id)
		if err == nil && told {
			s.Log.Info("a target answers again", "kind", s.Kind, "target", s.t.Name)
		}
		if err == nil || errors.Is(err, ErrRefused) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !told {
			s.Log.Warn("a message did not arrive; it is sent again", "kind", s.Kind, "target", s.t.Name, "err", err)
			told = true
		}
		s.note(ctx, err)
		wait(ctx, pause)
		pause = min(2*pause, s.retryMax())
	}
}

// note keeps why a message did not arrive, for who asks how far the target is: at once
// when it begins, and now and then while it lasts. That it can't be kept holds nothing up.
func (s *sender) note(ctx context.Context, err error) {
	c, now := s.cursor, time.Now().UTC()
	if c.ErrorAt.After(c.SentAt) && now.Sub(c.ErrorAt) < noteEvery {
		return
	}
	c.failed(now, err)
	nctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := s.keep(nctx, c); err != nil {
		s.Log.Debug("why a message did not arrive is not kept", "kind", s.Kind, "target", s.t.Name, "err", err)
	}
}

// keep saves the cursor.
func (s *sender) keep(ctx context.Context, c Cursor) error {
	rev, err := s.save(ctx, s.t.Name, c, s.rev)
	if err != nil {
		return err
	}
	s.cursor, s.rev, s.passed = c, rev, 0
	s.sent.Store(c.Sequence)
	return nil
}
