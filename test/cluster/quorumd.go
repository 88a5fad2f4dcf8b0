package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/lab"
)

const (
	arbitrator  = "/usr/sbin/belay-quorumd"
	quorumdConf = "/etc/belay/quorumd.yaml"
)

// Quorumd is a host outside the cluster with an arbitrator.
type Quorumd struct {
	Host *lab.Host
	Pin  string
	c    *Cluster

	mu   sync.Mutex
	conf string // configuration; "": not begun yet
	svc  *lab.Service
}

// boot starts the arbitrator of a host that was powered on.
func (q *Quorumd) boot() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conf == "" {
		return nil
	}
	return q.start()
}

func (q *Quorumd) start() error {
	svc, err := q.Host.StartCommand("belay-quorumd", q.Host.Command(context.Background(), arbitrator, "--name", "q"))
	if err != nil {
		return fmt.Errorf("start the arbitrator: %w", err)
	}
	q.svc = svc
	return nil
}

// Kill ends the arbitrator with SIGKILL.
func (q *Quorumd) Kill() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.svc.Kill()
	<-q.svc.Done()
}

// Start starts the arbitrator again.
func (q *Quorumd) Start() error { return q.boot() }

// Status is what the arbitrator says of itself.
func (q *Quorumd) Status(ctx context.Context, v any) error {
	out, err := q.Host.Exec(ctx, arbitrator, "status", "--json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("status of the arbitrator: %w", err)
	}
	return nil
}

// AddQuorumd begins the arbitrator with the keys of the cluster's nodes, and makes
// it the cluster's tie-breaker "q", with more parameters.
func (c *Cluster) AddQuorumd(ctx context.Context, parameters map[string]string) error {
	q, n := c.Quorumd, c.Nodes[0]
	conf, err := n.Client().Config(ctx)
	if err != nil {
		return fmt.Errorf("configuration of the cluster: %w", err)
	}
	var b strings.Builder
	b.WriteString("clusters:\n  lab:\n    nodes:\n")
	for _, name := range slices.Sorted(maps.Keys(conf.Config.Nodes)) {
		fmt.Fprintf(&b, "      %s: [%q]\n", name, conf.Config.Nodes[name].PublicKey)
	}
	if err := q.Begin(ctx, b.String()); err != nil {
		return err
	}
	p := q.Parameters()
	maps.Copy(p, parameters)
	_, err = n.Create(ctx, "quorum-device/q", &cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd, Parameters: p})
	return err
}

// Begin begins the arbitrator with a configuration.
func (q *Quorumd) Begin(ctx context.Context, conf string) error {
	if err := q.Host.WriteFile(quorumdConf, []byte(conf), 0o600); err != nil {
		return err
	}
	pin, err := q.Host.Exec(ctx, arbitrator, "key")
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.Pin, q.conf = strings.TrimSpace(pin), conf
	return q.start()
}

// Parameters are those of a quorum device that is the arbitrator.
func (q *Quorumd) Parameters() map[string]string {
	return map[string]string{"servers": q.Host.Addr(0).String() + ":7410", "fingerprint": q.Pin}
}
