package cib

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// AgentRemote is the agent of a connection to a remote node. The resource that
// has it is the connection, and its id is the node's name.
const AgentRemote = "ocf:pacemaker:remote"

// DefaultRemotePort is the TCP port on which a remote node, a guest and a bundle's
// container are reached. Pacemaker's value.
const DefaultRemotePort = 3121

// StateDir is where belayd keeps its state, also that of a remote node.
const StateDir = "/var/lib/belay"

// GuestDir is where the hosts of containers keep what these have as their StateDir: a
// directory for each replica of a bundle, with its certificate.
const GuestDir = StateDir + "/guests"

// RemoteNode is what is configured of a node without an engine of its own: a
// remote node, which is reached through a connection resource, or a guest, which
// is inside of a resource (see [Meta.RemoteNode]). Its name is the key. One that
// needs no settings needs no entry.
type RemoteNode struct {
	Site        string            `json:"site,omitempty"`
	Standby     bool              `json:"standby,omitempty"`     // hosts nothing, stays connected
	Maintenance bool              `json:"maintenance,omitempty"` // its resources are left alone
	Attributes  map[string]string `json:"attributes,omitempty"`  // permanent node attributes
	Utilization map[string]int    `json:"utilization,omitempty"` // capacity
}

// Bundle runs replicas of a container. Each may have an address of its own, and an
// instance of a primitive inside, for which the container is a node.
type Bundle struct {
	Container       string         `json:"container,omitempty"`         // docker (default) or podman; rkt in old configurations
	Image           string         `json:"image"`                       // of the container
	Replicas        int            `json:"replicas,omitempty"`          // default: promoted-max, or 1
	ReplicasPerHost int            `json:"replicas-per-host,omitempty"` // default 1
	PromotedMax     int            `json:"promoted-max,omitempty"`      // more than 0 makes the primitive inside promotable
	RunCommand      string         `json:"run-command,omitempty"`       // in the container; default with a primitive inside: belayd --remote
	Options         string         `json:"options,omitempty"`           // further options of the container's start
	NetworkMode     string         `json:"network-mode,omitempty"`      // network of the container, e.g. host
	Network         *BundleNetwork `json:"network,omitempty"`
	Storage         []BundleMount  `json:"storage,omitempty"`
	// Resource is the primitive inside; it needs a network with a control port or
	// an address range.
	Resource string `json:"resource,omitempty"`
	// AttributeTarget is the node whose attributes count for the primitive inside,
	// such as its promotion score: the container (default) or its host.
	AttributeTarget string `json:"container-attribute-target,omitempty"`
	Interleave      bool   `json:"interleave,omitempty"` // as of a clone
	Notify          bool   `json:"notify,omitempty"`     // the instances inside are told before and after
}

// BundleNetwork is how the replicas of a bundle are reached.
type BundleNetwork struct {
	IPRangeStart  string       `json:"ip-range-start,omitempty"` // address of the first replica; the next ones follow it
	HostNetmask   int          `json:"host-netmask,omitempty"`   // bits of the prefix; default: of one address
	HostInterface string       `json:"host-interface,omitempty"` // on which the hosts have the addresses; default: by route
	ControlPort   int          `json:"control-port,omitempty"`   // TCP port of the connection; default 3121
	AddHost       *bool        `json:"add-host,omitempty"`       // default true: the replicas know each other's names
	PortMap       []BundlePort `json:"port-map,omitempty"`
}

// BundlePort makes a port of the container reachable on the replica's address.
type BundlePort struct {
	Port         int    `json:"port,omitempty"`
	InternalPort int    `json:"internal-port,omitempty"` // default: the same
	Range        string `json:"range,omitempty"`         // "8000-8010", instead of Port
}

// BundleMount is a directory of the host inside of the container.
type BundleMount struct {
	SourceDir     string `json:"source-dir,omitempty"`      // on the host
	SourceDirRoot string `json:"source-dir-root,omitempty"` // instead: the parent of one directory for each replica
	TargetDir     string `json:"target-dir"`                // in the container
	Options       string `json:"options,omitempty"`         // of the mount
}

// Launchers are the programs that containers of bundles can be started with.
var Launchers = []string{"docker", "podman", "rkt"}

// Launcher returns the name of the container's technology.
func (b *Bundle) Launcher() string {
	if b.Container == "" {
		return "docker"
	}
	return b.Container
}

// Count returns replicas.
func (b *Bundle) Count() int {
	if b.Replicas > 0 {
		return b.Replicas
	}
	return max(1, b.PromotedMax)
}

// PerHost returns replicas-per-host.
func (b *Bundle) PerHost() int { return max(1, b.ReplicasPerHost) }

// Reachable says whether the network lets a primitive run inside.
func (b *Bundle) Reachable() bool {
	return b.Network != nil && (b.Network.IPRangeStart != "" || b.Network.ControlPort != 0)
}

// AddsHosts returns add-host.
func (n *BundleNetwork) AddsHosts() bool { return set(n.AddHost, true) }

// Address returns the address of a replica; "" if the replicas have none.
func (b *Bundle) Address(replica int) string {
	if b.Network == nil || b.Network.IPRangeStart == "" {
		return ""
	}
	a, err := netip.ParseAddr(b.Network.IPRangeStart)
	if err != nil {
		return ""
	}
	for range min(replica, ReplicasMax) {
		a = a.Next()
	}
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// AddressOf returns the name of the resource that a replica's address is.
func AddressOf(bundle, address string) string {
	return bundle + "-ip-" + strings.ReplaceAll(address, ":", ".")
}

// ContainerOf returns the name of the resource that a replica's container is.
func (b *Bundle) ContainerOf(bundle string, replica int) string {
	return bundle + "-" + b.Launcher() + "-" + strconv.Itoa(replica)
}

// BundleNode returns the name of the node that a replica of a bundle is.
func BundleNode(bundle string, replica int) string { return bundle + "-" + strconv.Itoa(replica) }

// Remote is a node without an engine of its own, as the resources tell it.
type Remote struct {
	Name     string
	Resource string // the connection of a remote node; of a guest the primitive or bundle that it is inside of
	Guest    bool
	Replica  int // of a bundle; -1 outside of bundles
}

// ReplicasMax bounds the replicas of one bundle: a number typed by mistake must
// not take the memory.
const ReplicasMax = 1000

// Remotes lists the remote nodes and guests that the resources make, by name,
// guests last. Of two with one name the first counts.
func (c *Config) Remotes() []Remote {
	var out []Remote
	for id, r := range c.Resources {
		switch {
		case r == nil:
		case r.Bundle != nil:
			if r.Bundle.Resource == "" || !r.Bundle.Reachable() {
				continue
			}
			for i := range min(r.Bundle.Count(), ReplicasMax) {
				out = append(out, Remote{Name: BundleNode(id, i), Resource: id, Guest: true, Replica: i})
			}
		case r.Agent == AgentRemote:
			out = append(out, Remote{Name: id, Resource: id, Replica: -1})
		case r.Agent != "" && r.Meta.RemoteNode != "":
			out = append(out, Remote{Name: r.Meta.RemoteNode, Resource: id, Guest: true, Replica: -1})
		}
	}
	if len(out) == 0 {
		return nil
	}
	slices.SortFunc(out, func(a, b Remote) int {
		if a.Guest != b.Guest {
			if b.Guest {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Resource, b.Resource))
	})
	seen := make(map[string]bool, len(out))
	return slices.DeleteFunc(out, func(r Remote) bool {
		twice := seen[r.Name] || c.Nodes[r.Name] != nil || r.Guest && c.Resources[r.Name] != nil
		seen[r.Name] = true
		return twice
	})
}
