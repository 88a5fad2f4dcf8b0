package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/lab"
)

// Remote is a host that runs as a remote node.
type Remote struct {
	Host *lab.Host
	Name string
	c    *Cluster

	mu     sync.Mutex
	joined bool
	svc    *lab.Service
}

// boot starts belayd of a host that was powered on, once it has a certificate.
func (r *Remote) boot() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.joined {
		return nil
	}
	return r.start()
}

func (r *Remote) start() error {
	svc, err := r.Host.StartCommand("belayd", r.Host.Command(context.Background(), engine, append([]string{"--remote"}, r.c.cfg.Flags...)...))
	if err != nil {
		return fmt.Errorf("start belayd of remote node %s: %w", r.Name, err)
	}
	r.svc = svc
	return nil
}

// Restart ends belayd of the remote node, and starts it again.
func (r *Remote) Restart() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.svc.Kill()
	<-r.svc.Done()
	return r.start()
}

// JoinRemote gets a remote node its certificate under a name, and starts it.
func (c *Cluster) JoinRemote(ctx context.Context, r *Remote, name string) error {
	if err := c.joinRemote(ctx, r.Host, name, StateDir); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = true
	return r.start()
}

// JoinGuest gets a guest its certificate, on a host, in a directory that will be the
// guest's /var/lib/belay.
func (c *Cluster) JoinGuest(ctx context.Context, n *Node, name, dir string) error {
	return c.joinRemote(ctx, n.Host, name, dir)
}

func (c *Cluster) joinRemote(ctx context.Context, h *lab.Host, name, dir string) error {
	token, err := c.Nodes[0].Client().Token(ctx, &api.TokenRequest{})
	if err != nil {
		return fmt.Errorf("token on %s: %w", c.Nodes[0].Name, err)
	}
	if err := h.WriteFile("/run/token", []byte(fmt.Sprintf("%s@%s\n", token.Token, c.Nodes[0].Host.Addr(0))), 0o600); err != nil {
		return err
	}
	if _, err := h.Exec(ctx, "sh", "-c", fmt.Sprintf("exec %s remote-join --node %s --state-dir %s < /run/token", engine, name, dir)); err != nil {
		return fmt.Errorf("join of remote node %s: %w", name, err)
	}
	return nil
}

// Connection is the resource that connects to a remote node.
func (r *Remote) Connection(interval, timeout time.Duration) *cib.Resource {
	return &cib.Resource{
		Agent: cib.AgentRemote, Parameters: map[string]string{"server": r.Host.Addr(0).String()},
		Operations: []cib.Operation{
			{Name: cib.OpMonitor, Interval: cib.Duration(interval), Timeout: cib.Duration(timeout)},
			{Name: cib.OpStart, Timeout: cib.Duration(20 * time.Second)},
		},
	}
}
