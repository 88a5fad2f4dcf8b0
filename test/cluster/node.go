package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/test/lab"
)

// restartPause is the time between the end of an engine and its next start, as in
// the unit file.
const restartPause = 100 * time.Millisecond

// Node is a host with an engine.
type Node struct {
	Host *lab.Host
	Name string
	c    *Cluster

	mu   sync.Mutex
	held bool // the engine is not started again
	svc  *lab.Service
	// The boots of the host: id, and when it ended.
	bootID string // of the present or last one
	ended  map[string]time.Time
}

// boot starts the engine of a host that was powered on.
func (n *Node) boot() error {
	id, err := n.Host.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended == nil {
		n.ended = map[string]time.Time{}
	}
	if n.bootID != "" {
		n.ended[n.bootID] = n.Host.OffAt()
	}
	n.bootID = strings.TrimSpace(string(id))
	if n.held {
		return nil
	}
	return n.start()
}

// EndOf is when the power of the host was cut in a boot; false while that boot
// lasts.
func (n *Node) EndOf(boot string) (time.Time, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if boot == n.bootID {
		return n.Host.OffAt(), n.Host.Power() == lab.Off
	}
	at, ok := n.ended[boot]
	return at, ok
}

// start starts the engine and its supervisor; n.mu is held.
func (n *Node) start() error {
	boot := n.Host.Boots()
	svc, err := n.Host.StartCommand("belayd", n.Host.Command(context.Background(), engine, n.c.cfg.Flags...))
	if err != nil {
		return fmt.Errorf("start the engine of %s: %w", n.Name, err)
	}
	n.svc = svc
	go n.supervise(svc, boot)
	return nil
}

// supervise starts the engine again when it has ended.
func (n *Node) supervise(svc *lab.Service, boot int) {
	<-svc.Done()
	time.Sleep(restartPause)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held || n.svc != svc || n.Host.Boots() != boot || n.Host.Power() == lab.Off {
		return
	}
	if err := n.start(); err != nil && !errors.Is(err, lab.ErrOff) {
		n.c.cfg.Logf("%v", err)
	}
}

// Engine is the running, or last, engine.
func (n *Node) Engine() *lab.Service {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.svc
}

// Hold keeps the engine from being started again when it ends, and at power-on.
func (n *Node) Hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = true
}

// Release ends Hold, and starts the engine where it does not run.
func (n *Node) Release() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = false
	if n.svc != nil {
		select {
		case <-n.svc.Done():
		default:
			return nil
		}
	}
	return n.start()
}

// Stop ends the engine in an orderly way; it is started again by Release, or with
// the host.
func (n *Node) Stop(ctx context.Context) error {
	n.Hold()
	svc := n.Engine()
	_ = svc.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-svc.Done():
	case <-ctx.Done():
		return fmt.Errorf("the engine of %s does not stop: %w", n.Name, ctx.Err())
	}
	return nil
}

// Kill ends the engine with SIGKILL; its supervisor starts it again.
func (n *Node) Kill() { n.Engine().Kill() }

// Restart ends the engine in an orderly way, as systemctl restart does, and waits
// until the next one answers.
func (n *Node) Restart(ctx context.Context) error {
	svc := n.Engine()
	if err := svc.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the engine of %s: %w", n.Name, err)
	}
	select {
	case <-svc.Done():
	case <-ctx.Done():
		return fmt.Errorf("the engine of %s does not stop: %w", n.Name, ctx.Err())
	}
	return Until(ctx, "the next engine of "+n.Name, func() string {
		if n.Engine() == svc {
			return "not started"
		}
		if _, err := n.Client().Local(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
}

// WaitSocket waits until the engine answers.
func (n *Node) WaitSocket(ctx context.Context) error {
	return Until(ctx, "the engine of "+n.Name+" answers", func() string {
		if _, err := n.Client().Local(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
}

// Client calls the node's engine. It is good for the present boot of the host.
func (n *Node) Client() *client.Client {
	path, err := n.Host.Path(Socket)
	if err != nil {
		path = "/nonexistent" // off: nobody answers
	}
	return client.New(path)
}

// Addresses are the node's addresses, one a link.
func (n *Node) Addresses() []string {
	var out []string
	for i := range n.Host.Lab().Networks() {
		out = append(out, n.Host.Addr(i).String())
	}
	return out
}

// Change changes something through the node's engine. A change that met another
// one is made again, as a person would.
func (n *Node) Change(ctx context.Context, action api.Action, object string, value any) (*api.ChangeResult, error) {
	ch := &api.Change{Action: action, Object: object}
	if value != nil {
		ch.Value = Value(value)
	}
	for {
		r, err := n.Client().Change(ctx, ch)
		// In conflict with another change, or nothing was changed since the store
		// was electing a leader.
		var p *api.Problem
		if errors.As(err, &p) && (p.Code == api.CodeConflict || p.Code == api.CodeStore || p.Code == api.CodeNoQuorum) && ctx.Err() == nil {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s on %s: %w", action, object, n.Name, err)
		}
		return r, nil
	}
}

// Create creates an object of the configuration.
func (n *Node) Create(ctx context.Context, object string, v any) (*api.ChangeResult, error) {
	return n.Change(ctx, api.ActionCreate, object, v)
}

// Apply merges a part of a configuration into the cluster's.
func (n *Node) Apply(ctx context.Context, c *cib.Config) (*api.ChangeResult, error) {
	s, err := n.Client().Config(ctx)
	if err != nil {
		return nil, err
	}
	c.Cluster = s.Config.Cluster
	return n.Client().Change(ctx, &api.Change{Action: api.ActionApply, Object: "cluster", Value: Value(c), Merge: true})
}

// Events returns the ring of events as the node shows it, of one number, or of
// all for 0.
func (n *Node) Events(ctx context.Context, code string) ([]cib.Event, error) {
	var out []cib.Event
	engine := n.Client()
	defer engine.Close() // who polls must not use up the engine's connections
	err := engine.Events(ctx, 0, false, func(ev *cib.Event) error {
		if code == "" || ev.Code == code {
			out = append(out, *ev)
		}
		return nil
	})
	return out, err
}
