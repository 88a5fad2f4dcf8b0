package policy_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// parseRemote reads remote nodes and bundles; false if the word is neither.
func (w *world) parseRemote(word string, f []string) (bool, error) {
	switch word {
	case "remote": // NAME...: connections
		for _, name := range f {
			w.Config.Resources[name] = &cib.Resource{Agent: cib.AgentRemote}
		}
	case "remote-node": // NAME [standby] [maintenance] ATTRIBUTE=VALUE
		n := &cib.RemoteNode{Attributes: map[string]string{}}
		w.Config.RemoteNodes[f[0]] = n
		return true, each(f[1:], func(k, v string) error {
			switch k {
			case "standby":
				n.Standby = true
			case "maintenance":
				n.Maintenance = true
			default:
				n.Attributes[k] = v
			}
			return nil
		})
	case "bundle":
		return true, w.parseBundle(f)
	default:
		return false, nil
	}
	return true, nil
}

func (w *world) parseBundle(f []string) error {
	b := &cib.Bundle{Image: "image"}
	r := &cib.Resource{Bundle: b}
	if old := w.Config.Resources[f[0]]; old != nil {
		bundle := *old.Bundle
		b = &bundle
		r = &cib.Resource{Bundle: b, Meta: old.Meta}
	}
	w.Config.Resources[f[0]] = r
	return each(f[1:], func(k, v string) error {
		n, _ := strconv.Atoi(v)
		switch k {
		case "replicas":
			b.Replicas = n
		case "per-host":
			b.ReplicasPerHost = n
		case "promoted":
			b.PromotedMax = n
		case "ip":
			b.Network = &cib.BundleNetwork{IPRangeStart: v}
		case "port":
			b.Network = &cib.BundleNetwork{ControlPort: n}
		case "inside":
			b.Resource = v
		case "mount", "mount-root": // SOURCE:TARGET, the only one
			from, to, _ := strings.Cut(v, ":")
			b.Storage = []cib.BundleMount{{SourceDir: from, TargetDir: to}}
			if k == "mount-root" {
				b.Storage = []cib.BundleMount{{SourceDirRoot: from, TargetDir: to}}
			}
		default:
			return parseMeta(&r.Meta, k, v)
		}
		return nil
	})
}

// parseRemoteMeta reads the meta attributes of guests and containers.
func parseRemoteMeta(m *cib.Meta, k, v string) error {
	switch k {
	case "remote-node":
		m.RemoteNode = v
	case "container":
		m.Container = v
	default:
		return fmt.Errorf("what is %q", k)
	}
	return nil
}

// remotes boots the remote nodes that are new.
func (w *world) remotes() {
	for _, r := range w.Config.Remotes() {
		if w.Status.Members[r.Name] == nil {
			w.bootRemote(r.Name)
		}
	}
}

// bootRemote boots a remote node. It is no member: that it has an entry there is
// only for the tests to know its boot.
func (w *world) bootRemote(name string) {
	number := uint64(1)
	if m := w.Status.Members[name]; m != nil {
		number = m.Incarnation + 1
	}
	boot := fmt.Sprintf("%s-boot%d", name, number)
	w.Status.Members[name] = &cib.Member{Node: name, Incarnation: number, BootID: boot}
	w.Status.Nodes[name] = &cib.NodeStatus{State: cib.NodeOnline, BootID: boot, Since: w.now, Remote: true}
}

// doRemote brings guests up anew with what they are inside of, and fenced remote
// nodes with their connection.
func (w *world) doRemote(a *cib.Action) {
	for _, r := range w.Config.Remotes() {
		inside := r.Resource
		if r.Replica >= 0 {
			inside = w.Config.Resources[r.Resource].Bundle.ContainerOf(r.Resource, r.Replica)
		}
		switch {
		case a.Op == cib.OpFence && a.Node == r.Name:
			w.Status.Nodes[r.Name].Remote = true
		case a.Op == cib.OpStart && r.Guest && a.Instance == inside,
			a.Op == cib.OpStart && !r.Guest && a.Instance == r.Name && w.Status.Nodes[r.Name].State == cib.NodeFenced:
			w.bootRemote(r.Name)
		}
	}
}

// implied lists the instances that nobody configured: connections of guests, and
// parts of bundles.
func (w *world) implied() []string {
	var out []string
	for _, r := range w.Config.Remotes() {
		if r.Guest {
			out = append(out, r.Name)
		}
	}
	for id, r := range w.Config.Resources {
		if r.Bundle == nil {
			continue
		}
		for i := range r.Bundle.Count() {
			out = append(out, r.Bundle.ContainerOf(id, i))
			if a := r.Bundle.Address(i); a != "" {
				out = append(out, cib.AddressOf(id, a))
			}
		}
	}
	return out
}

// bundled reports whether a primitive is inside of a bundle.
func (w *world) bundled(id string) bool {
	for _, r := range w.Config.Resources {
		if r.Bundle != nil && r.Bundle.Resource == id {
			return true
		}
	}
	return false
}
