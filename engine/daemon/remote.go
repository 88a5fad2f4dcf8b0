package daemon

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/remote"
)

// links are the connections to remote nodes that are at this node.
type links struct {
	mu     sync.Mutex
	byName map[string]*remote.Link
}

func (e *engine) link(name string, epoch uint64) *remote.Link {
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	if l := e.links.byName[name]; l != nil && l.Epoch == epoch {
		return l
	}
	return nil
}

// dropLink takes a connection out; nil: there is none of that epoch.
func (e *engine) dropLink(name string, epoch uint64) *remote.Link {
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	l := e.links.byName[name]
	if l == nil || l.Epoch != epoch {
		return nil
	}
	delete(e.links.byName, name)
	return l
}

// closeLinks ends all connections with the engine. What runs on the remote nodes goes
// on, and is taken over by the next proxy.
func (e *engine) closeLinks() {
	e.links.mu.Lock()
	all := e.links.byName
	e.links.byName = nil
	e.links.mu.Unlock()
	for _, name := range sortedKeys(all) {
		e.work.Go(all[name].Close)
	}
}

// validFor is how long this node may act from now on.
func (e *engine) validFor() time.Duration {
	if t := e.validUntil.Load(); t != nil {
		return t.Sub(e.clock.now())
	}
	return 0
}

// connect connects to a remote node, within the time-out of the start.
func (e *engine) connect(ctx context.Context, c node.Connect) {
	done := node.Connected{Remote: c.Remote, Epoch: c.Epoch}
	if !e.clock.now().Before(c.NotAfter) {
		done.Error = "this node may not act any more"
		e.tell(ctx, done)
		return
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = cib.DefaultOpTimeout
	}
	tctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l, err := remote.Dial(tctx, remote.Target{
		Remote: c.Remote, Address: remote.Address(c.Address, c.Port), Epoch: c.Epoch, Proxy: e.local.Node,
		TLS: e.id.ClientConfig(pki.Check{Peer: c.Remote}), Valid: e.validFor, Log: e.log,
	})
	if err != nil {
		e.log.Warn("a remote node can't be connected", "remote", c.Remote, "address", c.Address, "err", err)
		done.Error, done.Refused = err.Error(), errors.Is(err, remote.ErrRefused)
		e.tell(ctx, done)
		return
	}
	e.links.mu.Lock()
	if e.links.byName == nil {
		e.links.byName = map[string]*remote.Link{}
	}
	old := e.links.byName[c.Remote]
	e.links.byName[c.Remote] = l
	e.links.mu.Unlock()
	if old != nil {
		old.Close()
	}
	if ctx.Err() != nil { // the engine has ended meanwhile
		l.Close()
		return
	}
	done.BootID, done.Version, done.Cores = l.Info.BootID, l.Info.Version, l.Info.Cores
	e.log.Info("connected to a remote node", "remote", c.Remote, "epoch", c.Epoch)
	e.tell(ctx, done)
}

// checkLink is the monitor of a connection.
func (e *engine) checkLink(ctx context.Context, c node.CheckLink) {
	began := time.Now()
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = cib.DefaultOpTimeout
	}
	tctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res := node.AgentResult{Status: cib.OpDone, RC: cib.NotRunning, Started: began}
	if l := e.link(c.Remote, c.Epoch); l != nil {
		res.RC = cib.OK
		if !l.Check(tctx) {
			res.Status, res.RC, res.Reason = cib.OpTimeout, cib.GenericError, "remote node "+c.Remote+" does not answer"
		}
	}
	res.Ended = time.Now()
	res.Exec = res.Ended.Sub(began)
	e.tell(ctx, node.AgentDone{Run: c.Run, Result: res})
}

// runRemote has a remote node run an agent.
func (e *engine) runRemote(run, ctx context.Context, own *agentRun, r node.Run) {
	defer own.cancel()
	defer e.runs.Delete(r.Run)
	a := &r.Action
	began := time.Now()
	done := node.AgentDone{Run: r.Run, Result: node.AgentResult{Status: cib.OpNotRun, Started: began, Ended: began, Reason: "remote node " + r.Remote + " is not connected"}}
	id, err := agent.ParseID(a.Agent)
	params, secret, serr := e.open(cib.KeyResource+a.Resource, a.Parameters)
	l := e.link(r.Remote, r.Epoch)
	switch err := errors.Join(err, serr); {
	case err != nil:
		done.Result = node.AgentResult{Status: cib.OpError, RC: cib.NotConfigured, Started: began, Ended: began, Reason: err.Error()}
	case l != nil:
		res, reloadable := l.Run(run, agent.Request{
			ActionID: a.ID, Agent: id, Instance: a.Instance, Op: a.Op, Params: params, Secret: secret, Meta: a.Meta, Timeout: a.Timeout.D(), Interval: a.Interval.D(),
		})
		if res.Status == cib.OpUnknown && a.Interval > 0 {
			res.Status = cib.OpNotRun // it is repeated anyway
		}
		// The remote node's clock may be another one: what counts is how long it took.
		ended := time.Now()
		done.Result = node.AgentResult{
			Status: res.Status, RC: res.RC, Started: ended.Add(-res.Exec), Ended: ended, Exec: res.Exec, Reason: res.Reason,
			Output: tail(res.Output(), outputMaxBytes), Reloadable: reloadable,
		}
		e.traceAction(a, &done.Result)
		level := slog.LevelInfo
		if a.Op == cib.OpMonitor {
			level = slog.LevelDebug
		}
		e.log.Log(ctx, level, "agent ran", "action", a.String(), "id", a.ID, "status", res.Status.String(), "rc", res.RC, "dur", res.Exec, "reason", res.Reason, "why", a.Why.Cause)
	}
	e.tell(ctx, done)
}

// admitRemote gives a machine with a good token the certificate of a remote node: it
// names the machine, and serves to be connected to, not to connect.
func (e *engine) admitRemote(s *cib.Snapshot, ca *pki.CA, req *api.JoinRequest, key crypto.PublicKey, from string, refuse func(string, string, ...any) error) (*api.JoinAnswer, error) {
	if s.Config.Nodes[req.Node] != nil {
		return nil, refuse(api.CodeTaken, "there is a node %s already", req.Node)
	}
	cert, err := ca.Issue(pki.Names{Node: req.Node, ServerOnly: true, Life: pki.CALife}, key, time.Now())
	if err != nil {
		return nil, refuse(api.CodeJoinRefused, "no certificate can be issued: %v", err)
	}
	p := &prepared{base: cib.Empty(), result: &api.ChangeResult{}}
	c := &changing{engine: e, actor: api.Actor{User: "join-token " + req.TokenID, Via: "join", Address: from}, Change: &api.Change{Action: "join", Object: "remote-node/" + req.Node, RequestID: newID()}}
	if err := c.intend(p); err != nil {
		return nil, err
	}
	c.outcome(p, nil)
	return &api.JoinAnswer{Cluster: e.local.Cluster, CA: string(pki.EncodeCert(ca.Cert)), Cert: string(pki.EncodeCert(cert))}, nil
}

// admitReplica gives the container of a replica of a bundle, in which a primitive is to
// run, its certificate before it starts, on this host.
func (e *engine) admitReplica(ctx context.Context, resource string) error {
	name := replicaOf(e.snap.Load().Config, resource)
	if name == "" {
		return nil
	}
	dir := filepath.Join(cib.GuestDir, name, dirPKI)
	if id, err := pki.LoadIdentity(e.id.CA(), dir, pki.FileNode, pki.FileNodeKey); err == nil && id.Name() == name {
		return nil
	}
	ca, err := e.authority(ctx)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", name, err)
	}
	id, err := newIdentity(ca, pki.Names{Node: name, ServerOnly: true, Life: pki.CALife})
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("certificate of %s: %w", name, err)
	}
	return errors.Join(id.Save(dir, "", ""), pki.WriteFile(filepath.Join(dir, pki.FileCA), pki.EncodeCert(ca.Cert), 0o600))
}

// replicaOf is the node that a container of a bundle is; "" where the resource is none,
// or nothing runs inside of it.
func replicaOf(c *cib.Config, resource string) string {
	for _, r := range c.Remotes() {
		if r.Replica >= 0 && c.Resources[r.Resource].Bundle.ContainerOf(r.Resource, r.Replica) == resource {
			return r.Name
		}
	}
	return ""
}
