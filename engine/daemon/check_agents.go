package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// checkAgents compares the parameters of new and changed objects with their
// agents' metadata. What was there before is not judged again: an agent that is
// missing on this node must not stand in the way of an unrelated change.
func (e *engine) checkAgents(ctx context.Context, old, c *cib.Config) []cib.Fault {
	var faults []cib.Fault
	check := func(path, name string, params map[string]string, fence bool) {
		m, err := e.metadata(ctx, name, fence)
		if errors.Is(err, agent.ErrNotInstalled) {
			faults = append(faults, cib.Fault{Path: path + ".agent", Text: fmt.Sprintf("agent %s is not installed on %s", name, e.local.Node)})
			return
		}
		if err != nil {
			faults = append(faults, cib.Fault{Path: path + ".agent", Text: fmt.Sprintf("agent %s does not tell its metadata: %v", name, err)})
			return
		}
		open, _, err := e.open(path2key(path), params)
		if err != nil {
			faults = append(faults, cib.Fault{Path: path + ".parameters", Text: err.Error()})
			return
		}
		for _, f := range m.Validate(open) {
			// Which machine is meant, and what to do, comes with each call of a device.
			if f.Kind == meta.Deprecated || fence && f.Kind == meta.Missing && (f.Parameter == m.PlugParameter() || f.Parameter == "action") {
				continue
			}
			faults = append(faults, cib.Fault{Path: path + ".parameters." + f.Parameter, Text: f.Text})
		}
	}
	for _, id := range sortedKeys(c.Resources) {
		r, was := c.Resources[id], old.Resources[id]
		if r.Agent != "" && (was == nil || was.Agent != r.Agent || cib.Digest(was.Parameters) != cib.Digest(r.Parameters)) {
			check("resources."+id, r.Agent, r.Parameters, false)
		}
		if b := r.Bundle; b != nil && (was == nil || was.Bundle == nil || was.Bundle.Launcher() != b.Launcher()) {
			check("resources."+id+".bundle", "ocf:heartbeat:"+b.Launcher(), map[string]string{"image": b.Image}, false)
		}
	}
	for _, id := range sortedKeys(c.FenceDevices) {
		d, was := c.FenceDevices[id], old.FenceDevices[id]
		if was == nil || was.Agent != d.Agent || cib.Digest(was.Parameters) != cib.Digest(d.Parameters) {
			check("fence-devices."+id, d.Agent, d.Parameters, true)
		}
	}
	return faults
}

// noteUnfencers writes down of new and changed fence devices that nodes are to be
// unfenced with them, where their agents' metadata says so and the configuration
// says nothing.
func (e *engine) noteUnfencers(ctx context.Context, old, c *cib.Config) {
	for _, id := range sortedKeys(c.FenceDevices) {
		d, was := c.FenceDevices[id], old.FenceDevices[id]
		if d == nil || d.Unfencing != nil {
			continue
		}
		if was != nil && was.Agent == d.Agent {
			d.Unfencing = was.Unfencing // it was decided before
			continue
		}
		m, err := e.metadata(ctx, d.Agent, true)
		if err != nil {
			continue // a fault of the change
		}
		if automatic, _ := m.Unfences(); automatic {
			d.Unfencing = new(true)
		}
	}
}

// path2key turns the path of an object in cluster.yaml into the key of its
// document.
func path2key(path string) string {
	kind, id, _ := strings.Cut(path, ".")
	if kind == "resources" {
		return cib.KeyResource + id
	}
	return cib.KeyFenceDevice + id
}

// metadata asks an agent about itself.
func (e *engine) metadata(ctx context.Context, name string, fence bool) (*meta.Metadata, error) {
	if fence {
		return e.agents.FenceMetadata(ctx, name)
	}
	id, err := agent.ParseID(name)
	if err != nil {
		return nil, err
	}
	return e.agents.Metadata(ctx, id)
}
