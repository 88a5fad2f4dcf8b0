package trap

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/snmp/mib"
)

// ErrConflict says that another sender has moved the cursor meanwhile.
var ErrConflict = errors.New("the cursor was moved by another sender")

// Store keeps the cursors where every node finds them.
type Store interface {
	// Load returns a target's cursor and the revision to save it on; nil where there is
	// none.
	Load(ctx context.Context, target string) (c *Cursor, rev int64, err error)
	// Save saves a cursor on the revision that it was loaded at, and returns the new
	// one. [ErrConflict] where it was changed meanwhile.
	Save(ctx context.Context, target string, c Cursor, rev int64) (int64, error)
}

// Config is what a sender needs.
type Config struct {
	Root     mib.OID
	EngineID []byte // see [EngineID]
	Cluster  string
	Started  time.Time // of this program, for sysUpTime
	Store    Store
	// Ring returns the sequence of the oldest and the newest event; 0 where there is none.
	Ring func(ctx context.Context) (oldest, newest uint64, err error)
	// Follow calls f with each event after a sequence, in order, and goes on until ctx
	// ends, f refuses or the stream breaks.
	Follow func(ctx context.Context, after uint64, f func(*cib.Event) error) error
	// View is what a heartbeat shows; nil: no heartbeat.
	View      func() *mib.View
	Heartbeat time.Duration // between two of them; 0: none
	Log       *slog.Logger
}

// EngineID is the identity of the cluster as an SNMP engine (RFC 3411,
// SnmpEngineID): format 5, octets, from a text that is the cluster's alone.
func EngineID(pen uint32, unique string) []byte {
	id := binary.BigEndian.AppendUint32(nil, pen|1<<31)
	sum := sha256.Sum256([]byte(unique))
	return append(append(id, 5), sum[:16]...)
}

// Pauses between tries.
const (
	againMin = 200 * time.Millisecond
	againMax = 30 * time.Second
	// saveEvery bounds how many events that are not sent pass before the cursor is
	// saved.
	saveEvery = 200
)

// Run sends to one target until ctx ends. Only one node of the cluster should; where two
// do, a receiver gets repeats with the same sequence.
func Run(ctx context.Context, cfg *Config, t *Target) error {
	if err := t.Check(); err != nil {
		return err
	}
	s := &sender{Config: cfg, t: t}
	pause := againMin
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if !errors.Is(err, ErrConflict) {
			cfg.Log.Warn("SNMP notifications are interrupted", "target", t.Name, "err", err)
		}
		if time.Since(began) > againMax {
			pause = againMin
		}
		wait(ctx, pause)
		pause = min(2*pause, againMax)
	}
	return nil //nolint:nilerr // it was told to end
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
	passed int // events since the cursor was saved
	sent   atomic.Uint64
}

// session loads the cursor and goes on from there until something breaks.
func (s *sender) session(ctx context.Context) error {
	saved, rev, err := s.Store.Load(ctx, s.t.Name)
	if err != nil {
		return err
	}
	oldest, newest, err := s.Ring(ctx)
	if err != nil {
		return err
	}
	isNew := false
	s.cursor, isNew = saved.resume(oldest, newest)
	s.rev, s.passed = rev, 0
	s.sent.Store(s.cursor.Sequence)
	if saved != nil && s.cursor.Overflows != saved.Overflows {
		s.Log.Error("events left the ring before they were sent", "target", s.t.Name, "after", s.cursor.After, "oldest", oldest)
	}
	if isNew {
		if err := s.insist(ctx, &packet{id: coldStart}); err != nil {
			return err
		}
		if err := s.save(ctx, s.cursor); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		s.beat(ctx)
	}()
	err = s.Follow(ctx, s.cursor.After, func(ev *cib.Event) error { return s.event(ctx, ev) })
	cancel()
	<-beating
	return err
}

func (s *sender) event(ctx context.Context, ev *cib.Event) error {
	next, send := s.cursor.step(s.t, ev)
	if !send {
		s.cursor = next
		if s.passed++; s.passed < saveEvery {
			return nil
		}
		return s.save(ctx, next)
	}
	id, vars, ok := mib.Notification(&mib.Notice{Event: ev, Cluster: s.Cluster, Sequence: next.Sequence}, s.Root)
	if ok {
		if err := s.insist(ctx, &packet{id: id, vars: vars}); err != nil {
			return err
		}
	}
	return s.save(ctx, next)
}

func (s *sender) save(ctx context.Context, c Cursor) error {
	rev, err := s.Store.Save(ctx, s.t.Name, c, s.rev)
	if err != nil {
		return err
	}
	s.cursor, s.rev, s.passed = c, rev, 0
	s.sent.Store(c.Sequence)
	return nil
}

// insist sends until it has succeeded: what comes later must not overtake.
func (s *sender) insist(ctx context.Context, p *packet) error {
	p.upTime = time.Since(s.Started)
	pause, told := againMin, false
	for {
		err := post(ctx, s.t, s.EngineID, p)
		if err == nil {
			if told {
				s.Log.Info("the SNMP target answers again", "target", s.t.Name)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !told {
			s.Log.Warn("an SNMP notification did not arrive; it is sent again", "target", s.t.Name, "err", err)
			told = true
		}
		wait(ctx, pause)
		pause = min(2*pause, againMax)
	}
}

// beat sends heartbeats. They carry the sequence of the newest notification and are not
// repeated: the next one comes by itself.
func (s *sender) beat(ctx context.Context) {
	if s.Heartbeat <= 0 || s.View == nil {
		return
	}
	ticker := time.NewTicker(s.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			v := s.View()
			if v == nil {
				continue
			}
			ev := &cib.Event{Time: now, Severity: cib.SeverityIndeterminate, Text: "heartbeat", Source: v.Node}
			id, vars := mib.HeartbeatNotification(&mib.Notice{Event: ev, Cluster: s.Cluster, Sequence: s.sent.Load()}, v, s.Root)
			if err := post(ctx, s.t, s.EngineID, &packet{id: id, vars: vars, upTime: time.Since(s.Started)}); err != nil {
				s.Log.Debug("a heartbeat did not arrive", "target", s.t.Name, "err", err)
			}
		}
	}
}

// onceTries bounds how often [Once] tries.
const onceTries = 5

// Once sends one event outside of the queue, with a sequence of its own: what the node
// that is the event's source says for itself when the cluster can't.
func Once(ctx context.Context, cfg *Config, t *Target, ev *cib.Event, sequence uint64) error {
	if err := t.Check(); err != nil {
		return err
	}
	if d, ok := event.ByCode(ev.Code); !ok || !t.takes(ev, d.Severity) {
		return nil
	}
	id, vars, ok := mib.Notification(&mib.Notice{Event: ev, Cluster: cfg.Cluster, Sequence: sequence, Sender: ev.Source}, cfg.Root)
	if !ok {
		return nil
	}
	var err error
	pause := againMin
	for range onceTries {
		if err = post(ctx, t, cfg.EngineID, &packet{id: id, vars: vars, upTime: time.Since(cfg.Started)}); err == nil || ctx.Err() != nil {
			break
		}
		wait(ctx, pause)
		pause *= 2
	}
	return err
}
