package server

import (
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/cim/object"
)

// pullKind is the operation that an enumeration is pulled with.
type pullKind uint8

const (
	pullWithPath pullKind = iota
	pullPaths
	pullInstances
)

// enumeration is an enumeration that was opened and is not at its end (DSP0200, 5.4.24).
type enumeration struct {
	user      string
	namespace string
	kind      pullKind
	timeout   time.Duration
	expires   time.Time
	busy      bool // it is being pulled
	shape     *shape

	next  func() (*object.Instance, error, bool)
	stop  func()
	ahead *object.Instance // what comes next; nil: the end
}

// advance reads one instance ahead, so that the end is known with the last one.
func (e *enumeration) advance() error {
	i, err, more := e.next()
	if err != nil {
		return err
	}
	e.ahead = nil
	if more {
		e.ahead = i
	}
	return nil
}

// enumerations are those that are open. It decides, and takes the time from its caller;
// it is not safe for concurrent use.
type enumerations struct {
	max, userMax int
	open         map[string]*enumeration
}

func newEnumerations(all, user int) *enumerations {
	return &enumerations{max: all, userMax: user, open: map[string]*enumeration{}}
}

// add takes an enumeration up under an id that nobody can guess.
func (s *enumerations) add(id string, e *enumeration, now time.Time) error {
	own := 0
	for _, x := range s.open {
		if x.user == e.user {
			own++
		}
	}
	switch {
	case len(s.open) >= s.max:
		return object.Errorf(object.LimitsExceeded, "%d enumerations are open", len(s.open))
	case own >= s.userMax:
		return object.Errorf(object.LimitsExceeded, "%s has %d open enumerations", e.user, own)
	}
	e.expires = now.Add(e.timeout)
	s.open[id] = e
	return nil
}

// begin finds an enumeration to be pulled, which then is busy until done.
func (s *enumerations) begin(id, user, namespace string, kind pullKind, now time.Time) (*enumeration, error) {
	e, err := s.find(id, user, namespace, now)
	switch {
	case err != nil:
		return nil, err
	case e.kind != kind:
		return nil, object.Errorf(object.InvalidContext, "the enumeration is pulled with another operation")
	case e.busy:
		return nil, object.Errorf(object.Failed, "the enumeration is being pulled")
	}
	e.busy = true
	return e, nil
}

// find finds an enumeration of a user. That somebody else's is there is not told.
func (s *enumerations) find(id, user, namespace string, now time.Time) (*enumeration, error) {
	e := s.open[id]
	if e == nil || e.user != user || e.namespace != namespace || !e.busy && !now.Before(e.expires) {
		return nil, object.Errorf(object.InvalidContext, "there is no such enumeration, or its time is over")
	}
	return e, nil
}

// done ends a pull. The time of the enumeration begins anew.
func (s *enumerations) done(id string, over bool, now time.Time) {
	e := s.open[id]
	if e == nil {
		return
	}
	e.busy, e.expires = false, now.Add(e.timeout)
	if over {
		delete(s.open, id)
	}
}

// close ends an enumeration before its end.
func (s *enumerations) close(id, user, namespace string, now time.Time) (*enumeration, error) {
	e, err := s.find(id, user, namespace, now)
	if err != nil {
		return nil, err
	}
	if e.busy {
		return nil, object.Errorf(object.PullCannotBeAbandoned, "the enumeration is being pulled")
	}
	delete(s.open, id)
	return e, nil
}

// expire removes the enumerations whose time is over.
func (s *enumerations) expire(now time.Time) []*enumeration {
	var out []*enumeration
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		if e := s.open[id]; !e.busy && !now.Before(e.expires) {
			delete(s.open, id)
			out = append(out, e)
		}
	}
	return out
}
