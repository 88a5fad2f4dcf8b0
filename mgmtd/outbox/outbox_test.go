package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/outbox/outboxtest"
)

func testEvent(seq uint64, number int) *cib.Event {
	ev := event.New(number, "node", "n1", "resource", "web")
	ev.Seq, ev.Source = seq, "n1"
	return &ev
}

// cursor is a target's cursor; nil where there is none.
func cursor(e *outboxtest.Engine, name string) *outbox.Cursor {
	var c outbox.Cursor
	if found, _ := e.Get(name, &c); !found {
		return nil
	}
	return &c
}

// receiver is what a target delivers to.
type receiver struct {
	mu     sync.Mutex
	got    []string // "n1/BLY3002 #1"
	ids    map[string]bool
	away   bool // it does not answer
	tries  int
	refuse string // code that it will never take
}

func (r *receiver) deliver(what string) outbox.Delivery {
	return func(ctx context.Context, id outbox.ID) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tries++
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.away:
			return errors.New("no answer")
		case what == r.refuse:
			return fmt.Errorf("%s: %w", what, outbox.ErrRefused)
		}
		if r.ids == nil {
			r.ids = map[string]bool{}
		}
		r.ids[id.String()] = true
		r.got = append(r.got, fmt.Sprintf("%s #%d", what, id.Sequence))
		return nil
	}
}

func (r *receiver) set(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func (r *receiver) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.got, want) {
		t.Errorf("received %q, want %q", r.got, want)
	}
}

// target gets what is at least major.
func (r *receiver) target() *outbox.Target {
	filter := outbox.Filter{MinSeverity: cib.SeverityMajor}
	return &outbox.Target{Name: "nms", Event: func(ev *cib.Event) (outbox.Delivery, error) {
		if !filter.Takes(ev) {
			return nil, nil
		}
		return r.deliver(ev.Code), nil
	}}
}

// leadership says who sends.
type leadership struct {
	mu   sync.Mutex
	here bool
	next chan struct{}
}

func (l *leadership) get() (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = make(chan struct{})
	}
	return l.here, l.next
}

func (l *leadership) set(here bool) {
	l.get()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.here = here
	close(l.next)
	l.next = make(chan struct{})
}

// serve is a node that sends from the beginning; stop powers it off.
func serve(t *testing.T, e *outboxtest.Engine, lead *leadership, targets ...*outbox.Target) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	box := &outbox.Box{Engine: e, Kind: "test", Log: slog.New(slog.DiscardHandler)}
	done := make(chan struct{})
	go func() { defer close(done); box.Serve(ctx, lead.get, targets) }()
	synctest.Wait()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// A new target hears of what happens from now on, of what is for it, under numbers
// without a gap. What happens while it is away comes later, in order. The next DC goes on
// where the last one was powered off, in the same sequence.
func TestNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{}
		e.Add(testEvent(1, event.NodeLost))
		stop := serve(t, e, &leadership{here: true}, r.target())
		e.Add(testEvent(2, event.NodeLost), testEvent(3, event.ResourceStarted), testEvent(4, event.NodeFenced))
		r.want(t, "BLY3002 #1", "BLY3004 #2")
		r.set(true)
		e.Add(testEvent(5, event.QuorumLost), testEvent(6, event.NodeLost))
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.tries > 200 || r.tries < 100 {
			t.Errorf("a receiver that was away for an hour was asked %d times", r.tries)
		}
		stop() // with two pending
		r.set(false)
		serve(t, e, &leadership{here: true}, r.target())
		e.Add(testEvent(7, event.NodeOnline))
		r.want(t, "BLY3002 #1", "BLY3004 #2", "BLY3014 #3", "BLY3002 #4", "BLY3001 #5")
		if len(r.ids) != 5 {
			t.Errorf("two contexts: %v", r.ids)
		}
	})
}

// A sender that ended before it had noted a delivery, and one whose cursor somebody else
// has moved, send again under the same ID.
func TestRepeatsHaveTheirID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{}
		stop := serve(t, e, &leadership{here: true}, r.target())
		before := cursor(e, "test-cursor/nms")
		e.Add(testEvent(2, event.NodeLost))
		r.want(t, "BLY3002 #1")
		stop()
		e.Put("test-cursor/nms", before) // as if it had not been noted
		serve(t, e, &leadership{here: true}, r.target())
		r.want(t, "BLY3002 #1", "BLY3002 #1")
		e.Refuse(1)
		e.Add(testEvent(3, event.NodeFenced))
		time.Sleep(time.Second)
		r.want(t, "BLY3002 #1", "BLY3002 #1", "BLY3004 #2", "BLY3004 #2")
		if len(r.ids) != 2 {
			t.Errorf("%v", r.ids)
		}
	})
}

// Only the DC sends; a stream that breaks is begun anew; a target that is disabled keeps
// its cursor, one that is gone does not.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r, lead := outboxtest.New(), &receiver{}, &leadership{}
		e.Put("test-cursor/old", &outbox.Cursor{Sequence: 5})
		e.Put("test-cursor/off", &outbox.Cursor{Sequence: 6})
		e.Put("other-cursor/old", &outbox.Cursor{Sequence: 7})
		off := (&receiver{}).target()
		off.Name, off.Disabled = "off", true
		serve(t, e, lead, r.target(), off)
		e.Add(testEvent(1, event.NodeLost))
		r.want(t)
		if c := cursor(e, "test-cursor/old"); c == nil {
			t.Error("a node that does not send removes cursors")
		}
		lead.set(true)
		synctest.Wait()
		e.Add(testEvent(2, event.NodeLost))
		r.want(t, "BLY3002 #1")
		e.Break()
		time.Sleep(time.Second)
		e.Add(testEvent(3, event.NodeFenced))
		r.want(t, "BLY3002 #1", "BLY3004 #2")
		lead.set(false)
		synctest.Wait()
		e.Add(testEvent(4, event.QuorumLost))
		r.want(t, "BLY3002 #1", "BLY3004 #2")
		for name, want := range map[string]bool{"test-cursor/old": false, "test-cursor/off": true, "other-cursor/old": true} {
			if c := cursor(e, name); (c != nil) != want {
				t.Errorf("%s: cursor %v", name, c)
			}
		}
	})
}

// What left the ring before it could be sent is counted; so is what the receiver will
// never take, and it keeps nothing else from being sent and has no number.
func TestCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{refuse: "BLY3014"}
		e.Add(testEvent(5, event.NodeLost), testEvent(6, event.NodeFenced), testEvent(7, event.QuorumLost), testEvent(8, event.NodeLost))
		e.Drop(1)
		e.Put("test-cursor/nms", &outbox.Cursor{After: 3, Sequence: 1})
		serve(t, e, &leadership{here: true}, r.target())
		r.want(t, "BLY3004 #2", "BLY3002 #3")
		if c := cursor(e, "test-cursor/nms"); c.Overflows != 1 || c.Refused != 1 || c.After != 8 || c.Sequence != 3 || c.Context == "" {
			t.Errorf("%+v", c)
		}
	})
}

// Events that are not for a target do not each cost a write, and what runs beside a
// target and what it is told first have their time.
func TestBeginAndBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{}
		target := r.target()
		began, beside := 0, make(chan uint64)
		target.Begin = func(context.Context) error {
			if began++; began == 1 {
				return errors.New("no answer")
			}
			return nil
		}
		target.Beside = func(ctx context.Context, sequence func() uint64) {
			<-ctx.Done()
			beside <- sequence()
		}
		stop := serve(t, e, &leadership{here: true}, target)
		time.Sleep(time.Second)
		for i := range 150 {
			e.Add(testEvent(uint64(i+1), event.ResourceStarted))
		}
		synctest.Wait()
		if c := cursor(e, "test-cursor/nms"); began != 2 || c.After != 0 {
			t.Errorf("began %d times, %+v", began, c)
		}
		for i := range 150 {
			e.Add(testEvent(uint64(i+200), event.ResourceStarted))
		}
		synctest.Wait()
		if c := cursor(e, "test-cursor/nms"); c.After != 249 {
			t.Errorf("%+v", c)
		}
		e.Add(testEvent(400, event.NodeLost))
		r.want(t, "BLY3002 #1")
		go stop()
		if n := <-beside; n != 1 {
			t.Errorf("beside the target, the sequence is %d", n)
		}
	})
}

// What happens before a new target has taken its beginning is not lost when another node
// goes on, or the settings change: it is kept from when the target was made.
func TestBeginIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{away: true}
		e.Add(testEvent(1, event.NodeLost))
		begin := r.deliver("begin")
		target := func() *outbox.Target {
			out := r.target()
			out.Begin = func(ctx context.Context) error { return begin(ctx, outbox.ID{}) }
			return out
		}
		stop := serve(t, e, &leadership{here: true}, target())
		e.Add(testEvent(2, event.NodeFenced))
		stop()
		stop = serve(t, e, &leadership{here: true}, target())
		e.Add(testEvent(3, event.NodeLost))
		r.set(false)
		time.Sleep(time.Hour)
		r.want(t, "begin #0", "BLY3004 #1", "BLY3002 #2")
		stop()
		serve(t, e, &leadership{here: true}, target())
		e.Add(testEvent(4, event.NodeFenced))
		r.want(t, "begin #0", "BLY3004 #1", "BLY3002 #2", "BLY3004 #3")
	})
}

// source has changes beside the events.
type source struct {
	mu   sync.Mutex
	all  []outbox.Change
	lost int64
	more chan struct{}
}

func (s *source) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return 0
	}
	return s.all[len(s.all)-1].Revision
}

func (s *source) After(revision int64) (list []outbox.Change, upTo int64, lost bool, more <-chan struct{}, err error) {
	upTo = max(s.Revision(), revision)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		if c.Revision > revision {
			list = append(list, c)
		}
	}
	return list, upTo, revision < s.lost, s.more, nil
}

func (s *source) add(changes ...outbox.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, changes...)
	close(s.more)
	s.more = make(chan struct{})
}

// Changes and events share one sequence. A node that ends in the middle of a revision's
// changes leaves all of them to the next; where they are known no longer, that is counted.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{}
		s := &source{more: make(chan struct{}), all: []outbox.Change{{Revision: 10, Deliver: r.deliver("a")}}}
		target := r.target()
		target.Changes = s
		stop := serve(t, e, &leadership{here: true}, target)
		e.Add(testEvent(1, event.NodeLost))
		r.want(t, "BLY3002 #1")
		gate := make(chan struct{})
		s.add(outbox.Change{Revision: 11, Deliver: r.deliver("b")}, outbox.Change{Revision: 12, Deliver: r.deliver("c")}, outbox.Change{Revision: 12, Deliver: func(ctx context.Context, _ outbox.ID) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-gate:
				return nil
			}
		}})
		r.want(t, "BLY3002 #1", "b #2", "c #3")
		stop()
		close(gate)
		serve(t, e, &leadership{here: true}, target)
		r.want(t, "BLY3002 #1", "b #2", "c #3", "c #4")
		if c := cursor(e, "test-cursor/nms"); c.Sequence != 5 || c.Revision != 12 || c.Partial || c.Overflows != 0 {
			t.Errorf("%+v", c)
		}
		s.mu.Lock()
		s.lost = 20
		s.mu.Unlock()
		s.add(outbox.Change{Revision: 21, Deliver: r.deliver("d")})
		r.want(t, "BLY3002 #1", "b #2", "c #3", "c #4", "d #6")
		if c := cursor(e, "test-cursor/nms"); c.Overflows != 1 || c.Revision != 21 {
			t.Errorf("%+v", c)
		}
	})
}

// The settings are served as they are; others end that and begin anew.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, fail, asked := "a", true, 0
		var began, ended []string
		poke := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			outbox.Watch(ctx, poke, func(context.Context) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				if asked++; fail {
					return "", errors.New("the engine is not there")
				}
				return now, nil
			}, func(ctx context.Context, s string) {
				began = append(began, s)
				<-ctx.Done()
				ended = append(ended, s)
			})
		}()
		change := func(s string, broken bool) {
			mu.Lock()
			now, fail = s, broken
			mu.Unlock()
		}
		synctest.Wait()
		change("a", false)
		time.Sleep(2 * time.Second) // it asks again by itself
		poke <- struct{}{}          // nothing has changed
		synctest.Wait()
		change("b", false)
		poke <- struct{}{}
		synctest.Wait()
		if !slices.Equal(began, []string{"a", "b"}) || !slices.Equal(ended, []string{"a"}) {
			t.Errorf("began %v, ended %v", began, ended)
		}
		cancel()
		<-done
		if asked != 4 || len(ended) != 2 {
			t.Errorf("asked %d times, ended %v", asked, ended)
		}
	})
}

func TestFilter(t *testing.T) {
	severe, only := outbox.Filter{MinSeverity: cib.SeverityMajor}, outbox.Filter{Codes: []string{"BLY3029"}}
	for _, x := range []struct {
		what   string
		filter outbox.Filter
		ev     *cib.Event
		want   bool
	}{
		{"a severe one", severe, testEvent(1, event.NodeLost), true},
		{"one that is not severe", severe, testEvent(1, event.ResourceStarted), false},
		{"the end of a severe alarm", severe, testEvent(1, event.NodeOnline), true},
		{"the end of a minor alarm", severe, testEvent(1, event.LinkUp), false},
		{"one that is not wanted", only, testEvent(1, event.NodeLost), false},
		{"one that is wanted", only, testEvent(1, event.ResourceStopped), true},
		{"any", outbox.Filter{}, testEvent(1, event.ResourceStarted), true},
		{"one that nobody knows", outbox.Filter{}, &cib.Event{Code: "BLY9999"}, false},
	} {
		if got := x.filter.Takes(x.ev); got != x.want {
			t.Errorf("%s: %v", x.what, got)
		}
	}
}
