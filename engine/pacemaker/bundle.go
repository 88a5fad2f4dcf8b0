package pacemaker

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// launchers are the elements that say in which technology a bundle's containers
// are.
var launchers = []string{"docker", "podman", "rkt"}

// importBundle reads a bundle and what is in it.
func (im *importer) importBundle(e *element, r *cib.Resource, up inherited) {
	id := e.attr("id")
	v := im.metaOf(e, r)
	var c *element
	for _, name := range launchers {
		if c = e.child(name); c != nil {
			break
		}
	}
	if c == nil {
		im.note(e, id, "it names no container technology that is known here")
		return
	}
	b := &cib.Bundle{
		Container: c.name, Image: c.attr("image"), RunCommand: c.attr("run-command"), Options: c.attr("options"), NetworkMode: c.attr("network"),
		AttributeTarget: v.of["container-attribute-target"], Interleave: isTrue(v.of["interleave"]), Notify: isTrue(v.of["notify"]),
	}
	if b.Container == "docker" {
		b.Container = ""
	}
	b.PromotedMax = im.count(c, id, "promoted-max", "masters")
	if b.PromotedMax == 0 && isTrue(v.of["promotable"]) {
		n, _ := strconv.Atoi(cmp.Or(v.of["promoted-max"], v.of["master-max"]))
		b.PromotedMax = max(1, min(n, cib.ReplicasMax))
	}
	b.Replicas, b.ReplicasPerHost = im.count(c, id, "replicas"), im.count(c, id, "replicas-per-host")
	b.Network = im.bundleNetwork(e.child("network"), id)
	b.Storage = im.bundleStorage(e.child("storage"))
	if p := e.child("primitive"); p != nil {
		up.clone, up.unique = id, b.PerHost() > 1
		if !b.Reachable() {
			im.note(e, id, "it has neither a control port nor an address range, so that %s in it can't be reached", shorten(p.attr("id")))
		} else if b.Resource = im.importResource(p, up); b.Resource == "" {
			return
		}
		if b.AttributeTarget == "" {
			b.AttributeTarget = im.ownMeta(p, "container-attribute-target")
		}
	}
	r.Bundle = b
	im.containersOf(id, b)
}

// ownMeta is a meta attribute of an element itself.
func (im *importer) ownMeta(e *element, name string) string {
	var v values
	im.pairs(&v, im.merged(e), "meta_attributes", "", nil)
	return v.of[name]
}

// count reads a number of a bundle; 0 if it is not there.
func (im *importer) count(e *element, id string, names ...string) int {
	text := strings.TrimSpace(e.first(names...))
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > cib.ReplicasMax {
		im.noteName(e, id, names[0], "%q is no number of replicas; the default holds", shorten(text))
		return 0
	}
	return n
}

func (im *importer) bundleNetwork(e *element, id string) *cib.BundleNetwork {
	if e == nil {
		return nil
	}
	n := &cib.BundleNetwork{IPRangeStart: e.attr("ip-range-start"), HostInterface: e.attr("host-interface")}
	number := func(e *element, name string, most int) int {
		text := strings.TrimSpace(e.attr(name))
		if text == "" {
			return 0
		}
		v, err := strconv.Atoi(text)
		if err != nil || v < 0 || v > most {
			im.noteName(e, id, name, "%q is no number from 0 to %d", shorten(text), most)
			return 0
		}
		return v
	}
	n.HostNetmask, n.ControlPort = number(e, "host-netmask", 128), number(e, "control-port", 65535)
	if v, ok := parseBool(e.attr("add-host")); ok {
		n.AddHost = &v
	}
	for _, m := range e.all("port-mapping") {
		n.PortMap = append(n.PortMap, cib.BundlePort{Port: number(m, "port", 65535), InternalPort: number(m, "internal-port", 65535), Range: m.attr("range")})
	}
	return n
}

func (im *importer) bundleStorage(e *element) []cib.BundleMount {
	var out []cib.BundleMount
	for _, m := range e.all("storage-mapping") {
		x := cib.BundleMount{SourceDir: m.attr("source-dir"), SourceDirRoot: m.attr("source-dir-root"), TargetDir: m.attr("target-dir"), Options: m.attr("options")}
		if x.TargetDir == "" || x.SourceDir == "" && x.SourceDirRoot == "" {
			im.note(m, m.attr("id"), "it does not say which directory is to be where")
			continue
		}
		if x.SourceDir != "" {
			x.SourceDirRoot = ""
		}
		out = append(out, x)
	}
	return out
}
