package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// settlePause is the least time between two looks whether the cluster has settled.
const settlePause = 200 * time.Millisecond

// resourceCall is one call of crm_resource.
type resourceCall struct {
	*engine
	shim.ResourceRequest
	s     *cib.Snapshot
	actor api.Actor
	id    string        // of the resource; empty: all
	r     *cib.Resource // nil: all
}

// Resource does what crm_resource asks for.
func (t *tools) Resource(ctx context.Context, q shim.ResourceRequest) (reply shim.ResourceReply, err error) {
	need := shimAll
	if q.Verb == shim.VerbGet || q.Verb == shim.VerbWait {
		need = shimRead
	}
	c := &resourceCall{ResourceRequest: q}
	if c.engine, c.s, c.actor, err = t.begin(ctx, need); err != nil {
		return reply, err
	}
	// Agents know themselves by the name of their instance.
	c.id, _, _ = strings.Cut(q.Resource, ":")
	if c.r = c.s.Config.Resources[c.id]; c.r == nil && c.id != "" {
		return reply, fmt.Errorf("%w: %s", shim.ErrNoResource, q.Resource)
	}
	if q.Node != "" && c.s.Config.Nodes[q.Node] == nil {
		return reply, fmt.Errorf("%w: %s", shim.ErrNoNode, q.Node)
	}
	if c.r == nil && q.Verb != shim.VerbCleanup && q.Verb != shim.VerbRefresh && q.Verb != shim.VerbWait {
		return reply, fmt.Errorf("%w: none is named", shim.ErrNoResource)
	}
	switch q.Verb {
	case shim.VerbGet, shim.VerbSet, shim.VerbDelete:
		reply, err = c.value(ctx)
	case shim.VerbBan, shim.VerbMove:
		reply, err = c.place(ctx)
	case shim.VerbClear:
		reply, err = c.clear(ctx)
	case shim.VerbCleanup, shim.VerbRefresh:
		err = c.forget(ctx)
	case shim.VerbWait:
		err = c.settle(ctx)
	case shim.VerbFail:
		err = errors.New("a failure can't be reported from outside here: the resource's own monitor finds it")
	default:
		err = fmt.Errorf("%q is not answered here", q.Verb)
	}
	return reply, toolError(err)
}

// value reads, sets or deletes one value.
func (c *resourceCall) value(ctx context.Context) (reply shim.ResourceReply, err error) {
	var field string
	var own map[string]string
	switch c.Table {
	case shim.TableParameters:
		field, own = "parameters", c.r.Parameters
	case shim.TableMeta:
		field, own = "meta", fields(&c.r.Meta)
	case shim.TableUtilization:
		field, own = "utilization", map[string]string{}
		for k, v := range c.r.Utilization {
			own[k] = strconv.Itoa(v)
		}
	default:
		return reply, fmt.Errorf("a resource has no values of kind %q", c.Table)
	}
	reply.Value, reply.Found = own[c.Parameter]
	if c.Verb == shim.VerbGet {
		if c.Table == shim.TableMeta {
			m := c.s.Config.MetaOf(c.id, c.s.Config.Parents(), time.Now())
			reply.Value, reply.Found = fields(&m)[c.Parameter]
		}
		if cib.Sealed(reply.Value) {
			return shim.ResourceReply{}, fmt.Errorf("%w: the value of %s is secret; an agent has it in its environment", shim.ErrDenied, c.Parameter)
		}
		return reply, nil
	}
	if c.Verb == shim.VerbDelete && !reply.Found {
		return reply, nil
	}
	reply.Value = "" // it may be a secret
	return reply, c.patch(ctx, c.actor, "resource/"+c.id, []string{field, c.Parameter}, c.Value, c.Verb == shim.VerbDelete)
}

// top is what a constraint about the resource names: the group or clone around it.
func (c *resourceCall) top() string {
	top, parents := c.id, c.s.Config.Parents()
	for range 3 {
		if p := parents[top]; p != "" {
			top = p
		}
	}
	return top
}

// The names that Pacemaker's tools give to the constraints they make.
func banID(resource, node string) string { return "cli-ban-" + resource + "-on-" + node }
func preferID(resource string) string    { return "cli-prefer-" + resource }

// place bans a resource from a node, or sends it to one. Like Pacemaker it leaves a
// constraint behind until that is cleared.
func (c *resourceCall) place(ctx context.Context) (reply shim.ResourceReply, err error) {
	if c.Lifetime != "" {
		return reply, errors.New("a constraint has no lifetime here: make it without one, and clear it")
	}
	top, target := c.top(), c.Node
	var on, promoted []string
	sum := c.summary(ctx, c.s)
	for i := range sum.Resources {
		if r := &sum.Resources[i]; r.ID == top {
			on, promoted = r.Nodes, r.Promoted
		}
	}
	if c.Promoted {
		on = promoted
	}
	switch {
	case c.Verb == shim.VerbMove && target == "":
		return reply, errors.New("the node to move to is not named")
	case c.Verb == shim.VerbMove && slices.Equal(on, []string{target}) && !c.Force:
		return reply, fmt.Errorf("%w: %s is on %s", shim.ErrExists, top, target)
	case target == "" && len(on) != 1:
		return reply, fmt.Errorf("resource %s is on %d nodes: name the one to leave", top, len(on))
	case target == "":
		target = on[0]
	}
	l := &cib.Location{Resource: top, Node: target, Score: -cib.Infinity}
	id := banID(top, target)
	if c.Verb == shim.VerbMove {
		l.Score, id = cib.Infinity, preferID(top)
	}
	if c.Promoted {
		l.Role = cib.RolePromoted
	}
	_, err = c.changeBy(ctx, c.actor, &api.Change{Action: api.Action(c.Verb), Object: "resource/" + top}, func(cfg *cib.Config) error {
		delete(cfg.Constraints, preferID(top)) // one wish at a time
		if c.Verb == shim.VerbMove {
			delete(cfg.Constraints, banID(top, target))
		}
		cfg.Constraints[id] = &cib.Constraint{Location: l}
		return nil
	})
	return shim.ResourceReply{Node: target, Constraint: id}, err
}

// clear takes back what place made, of one node or of all.
func (c *resourceCall) clear(ctx context.Context) (reply shim.ResourceReply, err error) {
	top := c.top()
	for _, id := range sortedKeys(c.s.Config.Constraints) {
		l := c.s.Config.Constraints[id].Location
		if l == nil || l.Resource != top || c.Node != "" && l.Node != c.Node {
			continue
		}
		if id == banID(top, l.Node) || id == preferID(top) || id == cib.MoveID(top) {
			reply.Cleared = append(reply.Cleared, id)
		}
	}
	if len(reply.Cleared) == 0 {
		return reply, nil
	}
	_, err = c.changeBy(ctx, c.actor, &api.Change{Action: "clear", Object: "resource/" + top}, func(cfg *cib.Config) error {
		for _, id := range reply.Cleared {
			delete(cfg.Constraints, id)
		}
		return nil
	})
	return reply, err
}

// forget makes the cluster forget failures of one resource or all, on one node or
// all; refresh everything that is known.
func (c *resourceCall) forget(ctx context.Context) error {
	ids := []string{c.id}
	if c.id == "" {
		ids = slices.DeleteFunc(sortedKeys(c.s.Config.Resources), func(id string) bool { return c.s.Config.Resources[id].Agent == "" })
	}
	action := api.ActionCleanup
	if c.Verb == shim.VerbRefresh {
		action = api.ActionRefresh
	}
	var value json.RawMessage
	if c.Node != "" {
		value = nest([]string{"node"}, json.RawMessage(strconv.Quote(c.Node)))
	}
	for _, id := range ids {
		if _, err := c.change(ctx, c.actor, &api.Change{Action: action, Object: "resource/" + id, Value: value}); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until nothing is left to do.
func (c *resourceCall) settle(ctx context.Context) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	for {
		next := c.changed.wait()
		s, err := c.current()
		if err != nil {
			return err
		}
		if len(s.Status.Pending) == 0 && len(simulate(s, s.Config).Steps) == 0 {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return api.NewProblem(api.CodeTimeout, "the cluster has not settled yet")
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
		}
	}
}
