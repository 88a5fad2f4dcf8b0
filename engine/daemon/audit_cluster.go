package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
)

// The audit logs of the whole cluster in one answer. First every node is asked what it
// signed of the logs of the others. Then each is shown what the others hold of its own: its
// engine looks through all of its log, and presents a proof (RFC 6962, section 2.1.2) that
// its newest checkpoint continues each of these. The proofs are checked here: what a node
// says of itself is not all that counts.

// Paths of the node API.
const (
	pathHoldings = "/v1/audit/holdings" // the newest that is held of each node's log, by origin
	pathEvidence = "/v1/audit/evidence" // takes an evidenceRequest
)

const (
	evidenceMax      = 50 * time.Second // for a node to look through its log
	evidenceTogether = 8                // nodes that are asked at the same time
)

// evidenceRequest shows a node what the others hold of its log.
type evidenceRequest struct {
	Held []string `json:"held"` // checkpoints
}

// evidence is what a node says of its log.
type evidence struct {
	Verdict   *api.AuditVerdict `json:"verdict"`
	Presented []audit.Presented `json:"presented"` // from each checkpoint of the request on
}

// holding is a checkpoint with who holds it.
type holding struct {
	by string
	audit.Checkpoint
}

// peerHoldings tells what this node signed last of each other node's log.
func (e *engine) peerHoldings(context.Context, string, *http.Request) (any, error) {
	return e.holdings()
}

func (e *engine) holdings() (map[string]string, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range sortedKeys(s.Config.Nodes) {
		origin := audit.Origin(e.local.Cluster, name, s.Config.Nodes[name].ID)
		c, err := audit.Latest(e.d.path(dirAudit), origin)
		if err != nil {
			return nil, err
		}
		if c != nil && name != e.local.Node {
			out[origin] = c.Note
		}
	}
	return out, nil
}

// peerEvidence looks through this node's log for another one.
func (e *engine) peerEvidence(ctx context.Context, _ string, r *http.Request) (any, error) {
	var in evidenceRequest
	if err := body(r, &in); err != nil {
		return nil, err
	}
	return e.evidence(ctx, &in)
}

func (e *engine) evidence(ctx context.Context, in *evidenceRequest) (*evidence, error) {
	s, err := e.signer()
	if err == nil && s == nil {
		err = api.NewProblem(api.CodeStore, "this node can't sign yet")
	}
	if err != nil {
		return nil, err
	}
	shown, err := parsed(&api.AuditHeld{Checkpoints: in.Held})
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	mine := e.collectHeld(ctx)
	checkpoints, err := parsed(mine)
	if err != nil {
		return nil, err
	}
	out := &evidence{Presented: []audit.Presented{}}
	if out.Verdict, err = e.verifyLog(mine, append(checkpoints, shown...)); err != nil {
		return nil, err
	}
	last := e.trail.log.Last()
	for i := range shown {
		p, err := e.trail.log.Present(last, s, shown[i].Size)
		if err != nil {
			return nil, err
		}
		out.Presented = append(out.Presented, p)
	}
	return out, nil
}

// getAuditCluster verifies the audit logs of all nodes.
func getAuditCluster(ctx context.Context, e *engine, c *caller, _ *http.Request) (any, error) {
	if !c.names {
		return nil, api.NewProblem(api.CodeForbidden, "only root and the management daemon verify the audit log")
	}
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	keys, err := e.auditKeys()
	if err != nil {
		return nil, err
	}
	names := sortedKeys(s.Config.Nodes)
	byOrigin := map[string][]holding{}
	for i, h := range e.askAll(names, func(name string) (any, error) { return e.holdingsOf(ctx, name) }) {
		list, _ := h.(map[string]string) // of a node that is silent there is none
		for _, origin := range sortedKeys(list) {
			if c, err := audit.ParseCheckpoint(list[origin]); err == nil && c.Origin == origin {
				byOrigin[origin] = append(byOrigin[origin], holding{names[i], c})
			}
		}
	}
	out := &api.AuditClusterVerdict{By: e.local.Node, Whole: true, Complete: true}
	for _, v := range e.askAll(names, func(name string) (any, error) {
		origin := audit.Origin(e.local.Cluster, name, s.Config.Nodes[name].ID)
		return e.judgeLog(ctx, name, origin, byOrigin[origin], keys), nil
	}) {
		n, _ := v.(*api.AuditNodeVerdict)
		out.Nodes = append(out.Nodes, *n)
		out.Whole = out.Whole && (n.Whole || n.Unverified != "")
		out.Complete = out.Complete && n.Unverified == ""
	}
	return out, nil
}

// auditKeys are the public keys that this node knows.
func (e *engine) auditKeys() (*audit.Keys, error) {
	keys, err := audit.ReadKeys(e.d.path(dirAudit))
	if err != nil {
		return nil, err
	}
	return keys, keys.Extend(e.trail.log.Rotations("")...)
}

// askAll asks for each name, some at the same time. What fails is nil in the answer.
func (e *engine) askAll(names []string, ask func(name string) (any, error)) []any {
	out := make([]any, len(names))
	var work sync.WaitGroup
	places := make(chan struct{}, evidenceTogether)
	for i, name := range names {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			v, err := ask(name)
			if err != nil {
				e.log.Debug("a node is silent about the audit logs", "peer", name, "err", err)
				return
			}
			out[i] = v
		})
	}
	work.Wait()
	return out
}

func (e *engine) holdingsOf(ctx context.Context, name string) (map[string]string, error) {
	if name == e.local.Node {
		return e.holdings()
	}
	out := map[string]string{}
	err := e.askPeer(ctx, name, pathHoldings, struct{}{}, &out)
	return out, err
}

// unverified says in a line why a node gave no evidence.
func unverified(err error) string {
	text := "it gave no verdict"
	if p, ok := errors.AsType[*api.Problem](err); ok {
		text = p.Detail
	} else if err != nil {
		text = err.Error()
	}
	return strings.Join(strings.Split(text, "\n"), "; ")
}

// judgeLog verifies the log of one node.
func (e *engine) judgeLog(ctx context.Context, name, origin string, list []holding, keys *audit.Keys) *api.AuditNodeVerdict {
	out := &api.AuditNodeVerdict{AuditVerdict: api.AuditVerdict{Node: name}, Holders: []api.AuditHolder{}}
	in := &evidenceRequest{Held: []string{}}
	for i := range list {
		in.Held = append(in.Held, list[i].Note)
		out.Holders = append(out.Holders, api.AuditHolder{Node: list[i].by, Records: list[i].Size, Time: list[i].Time})
	}
	ev := &evidence{}
	var err error
	if name == e.local.Node {
		ev, err = e.evidence(ctx, in)
	} else {
		err = e.askPeerFor(ctx, evidenceMax, name, pathEvidence, in, ev)
	}
	if err != nil || ev.Verdict == nil {
		out.Unverified = unverified(err)
		return out
	}
	out.AuditVerdict = *ev.Verdict
	out.Node = name
	for i := range list {
		if i >= len(ev.Presented) {
			out.Holders[i].Problem = "nothing was presented"
		} else if err := ev.Presented[i].Continues(origin, &list[i].Checkpoint, keys); err != nil {
			out.Holders[i].Problem = err.Error()
		}
	}
	if n := slices.IndexFunc(out.Holders, func(h api.AuditHolder) bool { return h.Problem != "" }); n >= 0 && out.Whole {
		out.Whole = false
		out.Reason = fmt.Sprintf("what it shows is not what %s signed: %s", out.Holders[n].Node, out.Holders[n].Problem)
	}
	return out
}
