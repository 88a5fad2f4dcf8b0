package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
	"github.com/belay-ha/belay/engine/status"
)

func impactCmd(a *app) *cobra.Command {
	node := command("node NAME", "Tell what would stop, move or lose redundancy without a node", "  belay impact node n1", 1, func(c *cobra.Command, args []string) error {
		s, err := a.engine.Snapshot(c.Context())
		if err != nil {
			return err
		}
		switch {
		case s.Config.Nodes[args[0]] != nil:
			return a.impact(policy.ImpactOfNode(s, args[0], time.Now()))
		case guestOf(s.Config, args[0]) != "":
			return a.impact(policy.ImpactOfResource(s, guestOf(s.Config, args[0]), time.Now()))
		}
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", args[0]))
	})
	node.ValidArgsFunction = a.complete("node")
	resource := command("resource NAME", "Tell what would stop or move without a resource", "  belay impact resource db", 1, func(c *cobra.Command, args []string) error {
		s, err := a.engine.Snapshot(c.Context())
		if err != nil {
			return err
		}
		if s.Config.Resources[args[0]] == nil {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", args[0]))
		}
		return a.impact(policy.ImpactOfResource(s, args[0], time.Now()))
	})
	resource.ValidArgsFunction = a.complete("resource")
	return group("impact", "Tell what would happen to the others without a node or a resource",
		"  belay impact node n1              may this machine be rebooted?\n  belay impact resource db", node, resource)
}

func (a *app) impact(x *policy.Impact) error {
	return a.print(x, func() string { return render.Impact(x, a.style) })
}

// guestOf returns the resource that a guest node lives in; "" where it is none.
func guestOf(c *cib.Config, node string) string {
	for id, r := range c.Resources {
		if r.Meta.RemoteNode == node && node != "" {
			return id
		}
	}
	return ""
}

// found is where a resource is found: on a node, and where that is a virtual machine
// or container of the cluster, on the host below it.
type found struct {
	Resource string `json:"resource"` // the part of the resource that was asked for
	Role     string `json:"role"`
	// Nodes begin with the one that the resource is active on; each further one is
	// the host of the one before.
	Nodes []string `json:"nodes"`
	// Through are the resources that the guests among Nodes live in.
	Through []string `json:"through,omitempty"`
}

func locateCmd(a *app) *cobra.Command {
	c := command("locate NAME", "Find where a resource is, down to the machine", "  belay locate web", 1, func(c *cobra.Command, args []string) error {
		places, err := a.locate(c.Context(), args[0])
		if err != nil {
			return err
		}
		return a.print(places, func() string {
			if len(places) == 0 {
				return args[0] + " is active nowhere; belay explain resource " + args[0] + " tells why\n"
			}
			var b strings.Builder
			for _, p := range places {
				fmt.Fprintf(&b, "%s: %s on %s\n", p.Resource, strings.ToLower(p.Role), strings.Join(p.Nodes, ", a guest on "))
			}
			return b.String()
		})
	})
	c.Long = `locate finds on which node a resource is active. Where that node is a virtual
machine or container that the cluster runs, it also finds the machine below it.
Of a group, a clone or a bundle it finds every part.`
	c.ValidArgsFunction = a.complete("resource")
	return c
}

func (a *app) locate(ctx context.Context, id string) ([]found, error) {
	s, err := a.engine.Status(ctx, true)
	if err != nil {
		return nil, err
	}
	cfg, err := a.engine.Config(ctx)
	if err != nil {
		return nil, err
	}
	if s.Resource(id) == nil {
		return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no resource %q", id))
	}
	return placesOf(s, cfg.Config, id), nil
}

// placesOf finds the primitives that a resource is made of.
func placesOf(s *status.Summary, c *cib.Config, id string) []found {
	out := []found{}
	for todo, seen := []string{id}, map[string]bool{}; len(todo) > 0; todo = todo[1:] {
		r := s.Resource(todo[0])
		if r == nil || seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		if len(r.Members) > 0 {
			todo = append(todo, r.Members...)
			continue
		}
		for _, n := range r.Nodes {
			role := "running"
			if slices.Contains(r.Promoted, n) {
				role = "promoted"
			}
			p := found{Resource: r.ID, Role: role, Nodes: []string{n}}
			for host := n; len(p.Nodes) <= len(c.Resources); { // a guest in itself would be endless
				vm := guestOf(c, host)
				below := s.Resource(vm)
				if vm == "" || below == nil || len(below.Nodes) == 0 {
					break
				}
				host = below.Nodes[0]
				p.Nodes, p.Through = append(p.Nodes, host), append(p.Through, vm)
			}
			out = append(out, p)
		}
	}
	return out
}
