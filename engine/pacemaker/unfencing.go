package pacemaker

import (
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// importUnfencing makes fence devices of those that unfence nodes, beside the
// resources that they are in Pacemaker, and says of each node whether its record
// is about the devices as they are now.
func (im *importer) importUnfencing() {
	c := im.Snapshot.Config
	if len(im.unfencers) == 0 || !c.Cluster.Options.Fencing() {
		return
	}
	if c.FenceDevices == nil {
		c.FenceDevices = map[string]*cib.FenceDevice{}
	}
	for _, id := range slices.Sorted(maps.Keys(im.unfencers)) {
		r := c.Resources[id]
		if r == nil {
			continue // it was not carried over
		}
		c.FenceDevices[id] = fenceDevice(strings.TrimPrefix(r.Agent, "stonith:"), r)
		c.FenceDevices[id].Unfencing = new(true)
	}
	for node, a := range im.Snapshot.Status.Attributes {
		if text, told := a.Values[cib.AttributeUnfencedDigests]; told {
			a.Values = maps.Clone(a.Values)
			a.Values[cib.AttributeUnfencedDigests] = im.unfencedWith(node, text)
		}
	}
}

// unfencedWith writes the digests of a node as they are here: those of devices that
// are what they were when the node was unfenced.
func (im *importer) unfencedWith(node, text string) string {
	var out strings.Builder
	for entry := range strings.SplitSeq(text, ",") {
		id, rest, _ := strings.Cut(entry, ":")
		_, have, _ := strings.Cut(rest, ":")
		if r := im.Snapshot.Config.Resources[id]; r != nil && im.unfencers[id] && (digest(r.Parameters, nil) == have || digest(agentOnly(r.Parameters), nil) == have) {
			out.WriteString(im.Snapshot.Config.UnfencedDigest(id, node) + ",")
		}
	}
	return out.String()
}
