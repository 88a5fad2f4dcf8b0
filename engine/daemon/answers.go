package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/policy"
	"github.com/belay-ha/belay/engine/quorum"
	"github.com/belay-ha/belay/engine/status"
)

func getStatus(ctx context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return e.summary(ctx, s), nil
}

// summary is the cluster as this node sees it: a node that lost quorum has an old
// snapshot, which shows a quorum that was.
func (e *engine) summary(ctx context.Context, s *cib.Snapshot) *status.Summary {
	return status.SummarizeFor(s, time.Now(), e.observe(ctx))
}

// observe asks the node what it knows by itself.
func (e *engine) observe(ctx context.Context) *status.Observer {
	o := &status.Observer{Node: e.local.Node, StoreOK: e.storeErr.Load() == nil}
	if t := e.store.LastContact(); !t.IsZero() {
		o.SnapshotAge = time.Since(t)
	}
	if err := e.ask(ctx, func(n *node.Node) {
		q := n.Quorum()
		o.Quorate, o.Reason, o.Valid = n.QuorumShown(), q.Reason, n.Valid()
		o.StoreAlone = n.StoreAlone()
		o.Devices = tieBreakers(&q, n.Arbitration())
	}); err != nil {
		return nil
	}
	return o
}

// tieBreakers is what this node knows of its tie-breakers.
func tieBreakers(q *quorum.Result, a node.Arbitration) []status.QuorumDevice {
	var out []status.QuorumDevice
	for _, said := range a.Said {
		d := status.QuorumDevice{ID: said.Device, Failed: said.Failed}
		for _, m := range q.Modules {
			if m.ID == said.Device {
				d.Asked, d.Answer, d.Reason = true, m.Answer, m.Reason
			}
		}
		out = append(out, d)
	}
	return out
}

func getSnapshot(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	out := *s
	out.Config = cib.Redact(s.Config, nil)
	return &out, nil
}

func getConfig(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return api.Config{Generation: s.ConfigGen.Number, Config: cib.Redact(s.Config, nil)}, nil
}

func getHistory(ctx context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	kvs, err := e.list(ctx, cib.KeyConfigHistory)
	if err != nil {
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	out := []api.GenerationInfo{}
	for _, kv := range kvs {
		var r cib.GenerationRecord
		if err := json.Unmarshal(kv.Value, &r); err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		info := api.GenerationInfo{Generation: r.Generation, Time: r.Time, Actor: r.Actor, Action: r.Action, Object: r.Object, Keys: []string{}}
		for _, c := range r.Changes {
			info.Keys = append(info.Keys, strings.TrimPrefix(c.Key, cib.KeyConfig))
		}
		out = append(out, info)
	}
	return out, nil
}

func getGeneration(ctx context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 64)
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, "a generation is a number")
	}
	var rec cib.GenerationRecord
	if err := e.getDocument(ctx, generationKey(n), &rec); err != nil {
		if errors.Is(err, cib.ErrNotFound) {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("generation %d is not kept", n))
		}
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	rec.Changes = cib.RedactChanges(rec.Changes, nil)
	return &rec, nil
}

func explain(_ context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	x, err := policy.Explain(s, r.PathValue("id"), time.Now().UTC())
	if err != nil {
		return nil, api.NewProblem(api.CodeNotFound, err.Error())
	}
	return x, nil
}

func getPlan(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return simulate(s, s.Config), nil
}

func listAgents(ctx context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	out := []string{}
	for _, id := range e.agents.List(ctx) {
		out = append(out, id.String())
	}
	for _, name := range e.agents.ListFence() {
		out = append(out, "fence:"+name)
	}
	return out, nil
}

func getAgent(ctx context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	name, fence := strings.CutPrefix(r.PathValue("id"), "fence:")
	m, err := e.metadata(ctx, name, fence)
	if err != nil {
		if errors.Is(err, agent.ErrNotInstalled) {
			return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("agent %s is not installed on %s", name, e.local.Node))
		}
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	return m, nil
}

func (d *Daemon) getLocal(ctx context.Context, _ *caller, _ *http.Request) (any, error) {
	out := &api.Local{Version: d.opts.Version, BootID: d.bootID, LogLevel: d.opts.Level.Level().String()}
	e := d.engine.Load()
	if l := d.left.Load(); e == nil && l != nil {
		out.Node, out.Cluster, out.Left = l.Node, l.Cluster, true
	}
	if e == nil {
		return out, nil
	}
	out.Node, out.Cluster, out.Incarnation = e.local.Node, e.local.Cluster, e.setup.Incarnation
	if s := e.snap.Load(); s != nil {
		out.Revision = s.Revision
		if s.Status.DC != nil {
			out.DC = s.Status.DC.Node
		}
	}
	out.StoreOK = e.storeErr.Load() == nil
	if t := e.store.LastContact(); !t.IsZero() {
		out.SnapshotAge = time.Since(t)
	}
	if err := e.ask(ctx, func(n *node.Node) {
		now := e.clock.now()
		q := n.Quorum()
		out.Quorate, out.Quorum = q.Quorate, q.Reason
		out.Valid = n.Valid()
		out.ValidFor = max(0, n.ValidUntil().Sub(now))
		for _, m := range n.Alive(now) {
			out.Alive = append(out.Alive, m.Node)
		}
	}); err != nil {
		return nil, err
	}
	return out, nil
}
