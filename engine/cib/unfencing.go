package cib

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Transient attributes that say how a node was unfenced. The names are Pacemaker's.
const (
	AttributeUnfenced        = "#node-unfenced" // when, in seconds since 1970
	AttributeUnfencedDigests = "#digests-all"   // with which devices: "id:agent:digest," for each
)

// Unfences reports whether a node is to be switched on with the device before
// anything that requires it starts there.
func (d *FenceDevice) Unfences() bool { return d != nil && d.Unfencing != nil && *d.Unfencing }

// Unfencing reports whether nodes are to be unfenced at all.
func (c *Config) Unfencing() bool {
	if !c.Cluster.Options.Fencing() {
		return false
	}
	for _, d := range c.FenceDevices {
		if d.Unfences() {
			return true
		}
	}
	return false
}

// Unfencers are the devices that a node is to be unfenced with, by id.
func (c *Config) Unfencers(node string) []string {
	n := c.Nodes[node]
	if n == nil || n.Arbiter || !c.Cluster.Options.Fencing() {
		return nil
	}
	var ids []string
	for id, d := range c.FenceDevices {
		if _, named := d.target(node); named && d.Unfences() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// target returns what a device calls a node, and whether it is for that node.
func (d *FenceDevice) target(node string) (plug string, named bool) {
	if d == nil {
		return "", false
	}
	plug, named = d.Targets[node]
	return cmp.Or(plug, node), named || len(d.Targets) == 0
}

// UnfencedDigest is what [AttributeUnfencedDigests] holds of one device once it
// has unfenced a node: another one shows that the device is not what it was.
func (c *Config) UnfencedDigest(id, node string) string {
	d := c.FenceDevices[id]
	if d == nil {
		return ""
	}
	parameters := maps.Clone(d.Parameters)
	if parameters == nil {
		parameters = map[string]string{}
	}
	parameters["plug"], _ = d.target(node)
	return id + ":" + d.Agent + ":" + Digest(parameters)
}

// UnfencingDue says why a node is still to be unfenced, by what its transient
// attributes say of its present boot; "" means that it is not.
func (c *Config) UnfencingDue(node, boot string, a *Attributes) string {
	ids := c.Unfencers(node)
	if len(ids) == 0 {
		return ""
	}
	if a == nil || a.BootID != boot || a.Values[AttributeUnfenced] == "" || a.Values[AttributeUnfenced] == "0" {
		return "node " + node + " was not unfenced since it was booted"
	}
	text, told := a.Values[AttributeUnfencedDigests]
	if !told {
		return ""
	}
	have := strings.Split(text, ",")
	for _, id := range ids {
		if !slices.Contains(have, c.UnfencedDigest(id, node)) {
			return "fence device " + id + " is not what node " + node + " was unfenced with"
		}
	}
	return ""
}
