package daemon

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
)

// fenceID names the fencing request that a change asks for.
func fenceID(request, target string) string { return "f" + request + "-" + target }

// operate prepares the actions that change the state of the cluster and not its
// configuration.
func (c *changing) operate(ctx context.Context, s *cib.Snapshot, p *prepared) error {
	kind, id, _ := strings.Cut(c.Object, "/")
	switch c.Action {
	case api.ActionCleanup, api.ActionRefresh:
		return c.cleanup(s, p, kind, id)
	case api.ActionFence:
		return c.fence(s, p, kind, id)
	case api.ActionConfirm:
		return c.confirm(s, p, kind, id)
	case api.ActionAcknowledge:
		return c.acknowledge(ctx, s, p, kind, id)
	case api.ActionTestNotify:
		return c.testNotify(p)
	case api.ActionDrain:
		if kind != "node" || id != c.local.Node {
			return api.NewProblem(api.CodeBadRequest, "a node is drained by its own engine: run it on "+cmp.Or(id, "that node"))
		}
		p.local = func(ctx context.Context) error {
			// It takes as long as the resources take to stop: others go on.
			c.drains.Add(1)
			c.changing.Unlock()
			defer c.changing.Lock()
			return c.leave(ctx, false)
		}
		return nil
	default:
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("there is no action %q", c.Action))
	}
}

// cleanup asks the nodes to forget what they know of instances, so that they are
// probed again.
func (c *changing) cleanup(s *cib.Snapshot, p *prepared, kind, id string) error {
	if kind != "resource" && kind != "node" || id == "" {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("%q is neither resource/ID nor node/NAME", c.Object))
	}
	var only struct {
		Node string `json:"node"`
	}
	if len(c.Value) > 0 {
		if err := strictJSON(c.Value, &only); err != nil {
			return err
		}
		if only.Node != "" && s.Config.Nodes[only.Node] == nil {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", only.Node))
		}
	}
	wanted := map[string]bool{}
	if kind == "resource" {
		if s.Config.Resources[id] == nil && !hasHistory(s, id) {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", id))
		}
		for _, r := range primitivesOf(s.Config, id) {
			wanted[r] = true
		}
	} else if s.Config.Nodes[id] == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", id))
	}
	found := 0
	for _, name := range sortedKeys(s.Status.Histories) {
		if kind == "node" && name != id || only.Node != "" && name != only.Node {
			continue
		}
		boot, epoch, known := claims(s, name)
		for _, inst := range sortedKeys(s.Status.Histories[name]) {
			h := s.Status.Histories[name][inst]
			if kind == "resource" && !wanted[h.Resource] || !known || boot != h.BootID {
				continue
			}
			if c.Action == api.ActionCleanup && kind == "resource" && h.FailCount == 0 && h.State(time.Time{}, 0).Failure == nil {
				continue // nothing to forget
			}
			if now := s.Status.Pending[name][inst]; now != nil {
				if now.Action.Op != cib.OpCleanup {
					p.busy = append(p.busy, fmt.Sprintf("%s of %s on %s", now.Action.Op, inst, name))
				}
				continue
			}
			found++
			key := cib.PendingKey(name, inst)
			p.txn.If = append(p.txn.If, cib.Compare{Key: key})
			p.txn.Put = append(p.txn.Put, cib.Put{Key: key, Value: &cib.Pending{
				Action: cib.Action{
					ID: fmt.Sprintf("%s.%d", c.RequestID, found), Op: cib.OpCleanup, Instance: inst, Resource: h.Resource, Node: name, Agent: h.Agent,
					Why: cib.Why{ID: c.RequestID, Cause: "asked for by " + c.actor.User},
				},
				State: cib.ActionAsked, ValidityEpoch: epoch, Asked: time.Now().UTC(),
			}})
		}
		if st := s.Status.Nodes[name]; kind == "node" && st != nil && st.FailStandby {
			again := *st
			again.FailStandby = false
			p.txn.If = append(p.txn.If, cib.Compare{Key: cib.KeyNodeStatus + name, ModRev: st.Rev})
			p.txn.Put = append(p.txn.Put, cib.Put{Key: cib.KeyNodeStatus + name, Value: &again})
		}
	}
	p.edit = len(p.txn.Put) == 0 // then there is nothing to do
	return nil
}

func hasHistory(s *cib.Snapshot, id string) bool {
	for _, m := range s.Status.Histories {
		for _, h := range m {
			if h.Resource == id {
				return true
			}
		}
	}
	return false
}

// primitivesOf returns the primitives that a resource is made of.
func primitivesOf(c *cib.Config, id string) []string {
	r := c.Resources[id]
	switch {
	case r == nil:
		return []string{id}
	case r.Clone != nil:
		return primitivesOf(c, r.Clone.Resource)
	case len(r.Group) > 0:
		return r.Group
	}
	return []string{id}
}

// fence asks for a node to be fenced.
func (c *changing) fence(s *cib.Snapshot, p *prepared, kind, id string) error {
	if kind != "node" || s.Config.Nodes[id] == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", id))
	}
	var v struct {
		Op cib.FenceOp `json:"op"`
	}
	if len(c.Value) > 0 {
		if err := strictJSON(c.Value, &v); err != nil {
			return err
		}
	}
	if len(s.Config.Devices(id)) == 0 {
		return api.NewProblem(api.CodeNoFencing, "no fence device is configured for node "+id)
	}
	if r := s.Status.Requests[id]; r != nil {
		return api.NewProblem(api.CodeExists, fmt.Sprintf("node %s is being fenced already, request %s is %s", id, r.ID, r.State))
	}
	boot := ""
	if m := s.Status.Members[id]; m != nil {
		boot = m.BootID
	}
	op := v.Op
	if op == 0 {
		op = s.Config.Cluster.Options.FenceOp()
	}
	r := &cib.FenceRequest{
		ID: fenceID(c.RequestID, id), Target: id, BootID: boot, Op: op, State: cib.FenceRequested, Asked: time.Now().UTC(),
		Why: cib.Why{ID: c.RequestID, Cause: "asked for by " + c.actor.User},
	}
	key := cib.KeyFenceRequest + id
	p.txn = cib.Txn{If: []cib.Compare{{Key: key}}, Put: []cib.Put{{Key: key, Value: r}, c.eventPut(event.New(
		event.FencingRequested, "node", id, "op", op.String(), "reason", r.Why.Cause, "cause", r.ID))}}
	return nil
}

// confirm takes a named human's word that a node is dead.
func (c *changing) confirm(s *cib.Snapshot, p *prepared, kind, id string) error {
	if remote := s.Status.Nodes[id] != nil && s.Status.Nodes[id].Remote; kind != "node" || s.Config.Nodes[id] == nil && !remote {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", id))
	}
	st := s.Status.Nodes[id]
	if st == nil || st.State != cib.NodeUnclean {
		state := "unknown"
		if st != nil {
			state = st.State.String()
		}
		if state == cib.NodeOnline.String() {
			return api.NewProblem(api.CodeStillAlive, fmt.Sprintf("node %s is online", id))
		}
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("node %s is %s: there is nothing to confirm", id, state))
	}
	heard := false
	if err := c.ask(context.Background(), func(n *node.Node) { heard = n.Hears(id, st.BootID) }); err != nil || heard {
		return api.NewProblem(api.CodeStillAlive, fmt.Sprintf("node %s is heard in the boot that would be confirmed dead", id))
	}
	proof := &cib.Proof{
		ID: "p" + c.RequestID + "-" + id, Kind: cib.ProofHuman, Target: id, BootID: st.BootID, By: who(c.actor), Time: time.Now().UTC(), Request: c.RequestID,
	}
	p.txn = cib.Txn{
		If: []cib.Compare{{Key: cib.KeyNodeStatus + id, ModRev: st.Rev}},
		// The state is written as it was: a DC that is about to ask for the node's
		// fencing compares it, and decides anew.
		Put: []cib.Put{{Key: cib.KeyProof + proof.ID, Value: proof}, {Key: cib.KeyNodeStatus + id, Value: st}, c.eventPut(event.New(
			event.NodeConfirmed, "node", id, "person", proof.By, "cause", c.RequestID))},
	}
	if r := s.Status.Requests[id]; r != nil && r.State != cib.FenceExecuting {
		ended := *r
		ended.State, ended.Ended, ended.Proof, ended.Error = cib.FenceDone, time.Now().UTC(), proof.ID, "confirmed by "+proof.By
		p.txn.If = append(p.txn.If, cib.Compare{Key: cib.KeyFenceRequest + id, ModRev: r.Rev})
		p.txn.Delete = append(p.txn.Delete, cib.KeyFenceRequest+id)
		p.txn.Put = append(p.txn.Put, cib.Put{Key: cib.KeyFenceHistory + r.ID, Value: &ended})
	}
	return nil
}

// claims returns the boot of a node, or remote node, and the validity epoch that a
// record for it must name.
func claims(s *cib.Snapshot, name string) (boot string, epoch uint64, known bool) {
	if m := s.Status.Members[name]; m != nil {
		return m.BootID, m.ValidityEpoch, true
	}
	if l := s.Status.Remotes[name]; l != nil {
		return l.BootID, l.ValidityEpoch, true
	}
	return "", 0, false
}

// who names a person: the one behind sudo where there is one.
func who(a api.Actor) string { return cmp.Or(a.LoginUID, a.User) }

// leave lets this node's engine leave the cluster, and waits until it has.
func (e *engine) leave(ctx context.Context, restart bool) error {
	e.tell(ctx, node.Leave{Restart: restart})
	select {
	case <-e.left:
		return nil
	case <-ctx.Done():
		return api.NewProblem(api.CodeTimeout, "the node has not left yet")
	}
}
