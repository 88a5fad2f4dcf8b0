package trap

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/snmp/mib"
)

// Config is what all notifications of a node have in common.
type Config struct {
	Root     mib.OID
	EngineID []byte // see [EngineID]
	Cluster  string
	Started  time.Time // of this program, for sysUpTime
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

// Outbox is the target as package outbox serves it: a new one gets coldStart (RFC 3418)
// first; then events, and heartbeats in between.
func (t *Target) Outbox(cfg *Config) *outbox.Target {
	return &outbox.Target{
		Name: t.Name,
		Begin: func(ctx context.Context) error {
			return cfg.post(ctx, t, &packet{id: coldStart})
		},
		Event: func(ev *cib.Event) (outbox.Delivery, error) {
			if d, ok := event.ByCode(ev.Code); !ok || !d.Trap || !t.Filter.Takes(ev) {
				return nil, nil
			}
			return func(ctx context.Context, id outbox.ID) error {
				return cfg.notify(ctx, t, &mib.Notice{Event: ev, Cluster: cfg.Cluster, Sequence: id.Sequence})
			}, nil
		},
		Beside: func(ctx context.Context, sequence func() uint64) { cfg.beat(ctx, t, sequence) },
	}
}

// notify sends what the catalogue has as a notification.
func (c *Config) notify(ctx context.Context, t *Target, n *mib.Notice) error {
	id, vars, ok := mib.Notification(n, c.Root)
	if !ok {
		return nil
	}
	return c.post(ctx, t, &packet{id: id, vars: vars})
}

func (c *Config) post(ctx context.Context, t *Target, p *packet) error {
	p.upTime = time.Since(c.Started)
	return post(ctx, t, c.EngineID, p)
}

// beat sends heartbeats. They carry the sequence of the newest notification and are not
// repeated: the next one comes by itself.
func (c *Config) beat(ctx context.Context, t *Target, sequence func() uint64) {
	if c.Heartbeat <= 0 || c.View == nil {
		return
	}
	ticker := time.NewTicker(c.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			v := c.View()
			if v == nil {
				continue
			}
			ev := &cib.Event{Time: now, Severity: cib.SeverityIndeterminate, Text: "heartbeat", Source: v.Node}
			id, vars := mib.HeartbeatNotification(&mib.Notice{Event: ev, Cluster: c.Cluster, Sequence: sequence()}, v, c.Root)
			if err := c.post(ctx, t, &packet{id: id, vars: vars}); err != nil {
				c.Log.Debug("a heartbeat did not arrive", "target", t.Name, "err", err)
			}
		}
	}
}

const (
	onceTries = 5 // bounds how often [Config.Once] tries
	oncePause = 200 * time.Millisecond
)

// Once sends one event outside of the queue, with a sequence of its own: what the node
// that is the event's source says for itself when the cluster can't.
func (c *Config) Once(ctx context.Context, t *Target, ev *cib.Event, sequence uint64) error {
	if !t.Filter.Takes(ev) {
		return nil
	}
	var err error
	pause := oncePause
	for range onceTries {
		if err = c.notify(ctx, t, &mib.Notice{Event: ev, Cluster: c.Cluster, Sequence: sequence, Sender: ev.Source}); err == nil || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
	return err
}
