// Package cluster runs a Belay cluster on hosts of the lab, for tests and
// measurements: real engines, real agents, a power switch as fence device.
//
// An engine runs under a supervisor as under systemd: it starts with its host,
// also after a fencing reboot, and is started again when it ends.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/lab"
)

// Paths in the hosts.
const (
	StateDir = "/var/lib/belay"
	Socket   = api.SocketPath
	engine   = "/usr/sbin/belayd"
	shimDir  = "/usr/lib/belay/shim"
)

// Config describes a cluster. The zero value has three nodes and fencing.
type Config struct {
	Nodes   int  // default 3
	Spare   int  // further hosts, whose engines wait for an init or a join
	Arbiter bool // the last node joins as one
	Quorumd bool // one more host, for an arbitrator: see AddQuorumd
	Remotes int  // further hosts, which run as remote nodes once AddRemote has been called
	Options cib.Options
	NoFence bool     // configure no fence device
	Flags   []string // of every belayd
	// Prepare is run on each host after each power-on, before the engine starts.
	Prepare func(ctx context.Context, h *lab.Host) error
	// Dir keeps the hosts' disks and the logs; default is a directory that goes away.
	Dir string
	// Logf gets a line for each thing that happens; default none.
	Logf func(format string, args ...any)
}

// Cluster is a cluster on the hosts of a lab.
type Cluster struct {
	Lab     *lab.Lab
	Quorumd *Quorumd // nil without Config.Quorumd
	PDU     *lab.PDU // the fence device "pdu" of every node
	Nodes   []*Node  // of the cluster; then the spare ones
	Remotes []*Remote
	cfg     Config
}

// New returns a cluster and the lab that it needs. Start begins it.
func New(cfg Config) (*Cluster, lab.Config) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	c := &Cluster{cfg: cfg}
	hosts := cfg.Nodes + cfg.Spare + cfg.Remotes
	if cfg.Quorumd {
		hosts++
	}
	return c, lab.Config{Hosts: hosts, Boot: c.boot, Dir: cfg.Dir, Logf: cfg.Logf}
}

// Start installs the programs on the hosts, powers them on and makes the cluster:
// init on the first, join on the others, fencing for all.
func (c *Cluster) Start(ctx context.Context, l *lab.Lab) error {
	if err := c.PowerOn(ctx, l); err != nil {
		return err
	}
	return c.Form(ctx)
}

// PowerOn installs the programs and powers the hosts on, whose engines then wait
// for a cluster.
func (c *Cluster) PowerOn(ctx context.Context, l *lab.Lab) error {
	c.Lab = l
	hosts := l.Hosts()
	if c.cfg.Quorumd {
		c.Quorumd = &Quorumd{Host: hosts[len(hosts)-1], c: c}
		hosts = hosts[:len(hosts)-1]
	}
	for _, h := range hosts[len(hosts)-c.cfg.Remotes:] {
		c.Remotes = append(c.Remotes, &Remote{Host: h, Name: h.Name(), c: c})
	}
	for _, h := range hosts[:len(hosts)-c.cfg.Remotes] {
		c.Nodes = append(c.Nodes, &Node{Host: h, Name: h.Name(), c: c})
	}
	if err := c.install(ctx); err != nil {
		return err
	}
	var err error
	if c.PDU, err = l.NewPDU(lab.PDUConfig{}); err != nil {
		return err
	}
	if err := l.PowerOnAll(ctx); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if err := n.WaitSocket(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Form makes the cluster of hosts that are on.
func (c *Cluster) Form(ctx context.Context) error {
	n := c.Nodes[0]
	if _, err := n.Client().Init(ctx, &api.Init{Cluster: "lab", Node: n.Name, Addresses: n.Addresses(), Options: c.cfg.Options}); err != nil {
		return fmt.Errorf("init on %s: %w", n.Name, err)
	}
	for _, n := range c.Nodes[1:c.cfg.Nodes] {
		if err := c.Join(ctx, n); err != nil {
			return err
		}
	}
	voters := min(c.cfg.Nodes, 3)
	if err := c.Wait(ctx, "all nodes are online and vote", func(s *status.Summary) string {
		if why := Online(s, c.Names()...); why != "" {
			return why
		}
		if len(s.Quorum.Voters) < voters {
			return fmt.Sprintf("%d of %d voters", len(s.Quorum.Voters), voters)
		}
		return ""
	}); err != nil {
		return err
	}
	if c.cfg.NoFence {
		return nil
	}
	_, err := n.Create(ctx, "fence-device/pdu", &cib.FenceDevice{Agent: "fence_lab", Parameters: map[string]string{"ip": c.PDU.Addr().Addr().String()}})
	return err
}

// Join makes a node join the cluster through its first node.
func (c *Cluster) Join(ctx context.Context, n *Node) error {
	token, err := c.Nodes[0].Client().Token(ctx, &api.TokenRequest{})
	if err != nil {
		return fmt.Errorf("token on %s: %w", c.Nodes[0].Name, err)
	}
	_, err = n.Client().Join(ctx, &api.Join{Token: token.Token, Server: c.Nodes[0].Host.Addr(0).String(), Node: n.Name, Addresses: n.Addresses(), Arbiter: c.cfg.Arbiter && n == c.Nodes[c.cfg.Nodes-1]})
	if err != nil {
		return fmt.Errorf("join of %s: %w", n.Name, err)
	}
	return nil
}

// Names are the names of the cluster's nodes, without the spare hosts.
func (c *Cluster) Names() []string {
	var out []string
	for _, n := range c.Nodes[:c.cfg.Nodes] {
		out = append(out, n.Name)
	}
	return out
}

// Node returns a node by its name.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Answering returns a node whose engine answers with a state of the cluster.
func (c *Cluster) Answering(ctx context.Context) (*Node, error) {
	var out *Node
	err := Until(ctx, "a node answers", func() string {
		for _, n := range c.Nodes {
			if l, err := n.Client().Local(ctx); err == nil && l.Valid {
				out = n
				return ""
			}
		}
		return "none"
	})
	return out, err
}

// Others returns the cluster's nodes but some.
func (c *Cluster) Others(but ...*Node) []*Node {
	var out []*Node
	for _, n := range c.Nodes[:c.cfg.Nodes] {
		if !slices.Contains(but, n) {
			out = append(out, n)
		}
	}
	return out
}

// install puts the programs of $BELAY_BIN, or freshly built ones, on the hosts.
func (c *Cluster) install(ctx context.Context) error {
	if err := c.Lab.InstallFenceAgent(ctx); err != nil {
		return err
	}
	programs := map[string]string{"belayd": engine, "belay-shim": shimDir + "/belay-shim"}
	if c.Quorumd != nil {
		programs["belay-quorumd"] = arbitrator
	}
	for name, target := range programs {
		source := filepath.Join(os.Getenv("BELAY_BIN"), name)
		if os.Getenv("BELAY_BIN") == "" {
			var err error
			if source, err = c.Lab.Build(ctx, "github.com/belay-ha/belay/cmd/"+name); err != nil {
				return err
			}
		}
		for _, h := range c.Lab.Hosts() {
			if err := h.CopyFile(source, target, 0o755); err != nil {
				return err
			}
		}
	}
	for _, h := range c.Lab.Hosts() {
		for _, tool := range []string{"attrd_updater", "cibadmin", "crm_attribute", "crm_master", "crm_mon", "crm_node", "crm_resource"} {
			if err := h.WriteFile(shimDir+"/"+tool, []byte("#!/bin/sh\nexec "+shimDir+"/belay-shim "+tool+" \"$@\"\n"), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// boot is what a host does after power-on.
func (c *Cluster) boot(ctx context.Context, h *lab.Host) error {
	if c.cfg.Prepare != nil {
		if err := c.cfg.Prepare(ctx, h); err != nil {
			return err
		}
	}
	if c.Quorumd != nil && c.Quorumd.Host == h {
		return c.Quorumd.boot()
	}
	if i := h.Index() - 1 - len(c.Nodes); i >= 0 {
		return c.Remotes[i].boot()
	}
	return c.Nodes[h.Index()-1].boot()
}

// Wait waits until a condition holds on the state that any of the cluster's
// running nodes shows. The condition returns what is missing, or "".
func (c *Cluster) Wait(ctx context.Context, what string, condition func(*status.Summary) string) error {
	return WaitOn(ctx, c.Nodes[:c.cfg.Nodes], what, condition)
}

// waitMax bounds a wait without a deadline of its own.
const waitMax = time.Minute

// WaitOn is Wait on the state as some nodes show it: the first of them that
// answers is asked.
func WaitOn(ctx context.Context, nodes []*Node, what string, condition func(*status.Summary) string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, waitMax)
		defer cancel()
	}
	errDone := errors.New("done")
	missing := "no node answers"
	look := func(s *status.Summary) error {
		if missing = condition(s); missing == "" {
			return errDone
		}
		return nil
	}
	for ctx.Err() == nil {
		for _, n := range nodes {
			if n.Host.Power() != lab.On {
				continue
			}
			// A stream from a node that has lost the cluster is silent: others are
			// asked then, too.
			wctx, cancel := context.WithTimeout(ctx, time.Second)
			err := n.Client().Watch(wctx, look)
			cancel()
			if errors.Is(err, errDone) {
				return nil
			}
		}
		pause(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("not in time: %s: %s", what, missing)
}

// pause waits a little between two looks.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Until looks again and again until a condition holds that no state shows. The
// condition returns what is missing, or "".
func Until(ctx context.Context, what string, condition func() string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, waitMax)
		defer cancel()
	}
	missing := ""
	for ctx.Err() == nil {
		if missing = condition(); missing == "" {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("not in time: %s: %s", what, missing)
}

// Online says which of some nodes is not online, or "".
func Online(s *status.Summary, names ...string) string {
	var missing []string
	for _, name := range names {
		switch n := s.Node(name); {
		case n == nil:
			missing = append(missing, name+" is not there")
		case n.State != status.NodeOnline || !n.Member:
			missing = append(missing, fmt.Sprintf("%s is %s", name, n.State))
		}
	}
	return strings.Join(missing, ", ")
}

// Running says what keeps a resource from running on one of some nodes (any, if
// none is given), or "".
func Running(s *status.Summary, id string, on ...string) string {
	r := s.Resource(id)
	if r == nil {
		return "there is no resource " + id
	}
	where := strings.Join(r.Nodes, " ")
	if r.State != status.ResourceRunning {
		return fmt.Sprintf("%s is %s on %q: %s", id, r.State, where, r.Reason)
	}
	if len(on) > 0 && !slices.Contains(on, where) {
		return fmt.Sprintf("%s runs on %q, not on %v", id, where, on)
	}
	return ""
}

// Value encodes the value of a change.
func Value(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own documents always marshal
	}
	return b
}
