package pacemaker

import (
	"cmp"

	"github.com/belay-ha/belay/engine/cib"
)

// importRemotes makes what is known of remote nodes and guests: their attributes,
// and whether one was fenced. Which there are follows from the resources.
func (im *importer) importRemotes() {
	configured := map[string]*element{}
	for _, e := range im.config.child("nodes").all("node") {
		if isRemote(e) {
			configured[cmp.Or(e.attr("uname"), e.attr("id"))] = e
		}
	}
	states := map[string]*element{}
	for _, s := range im.root.child("status").all("node_state") {
		for _, key := range []string{s.attr("id"), s.attr("uname")} {
			if key != "" && states[key] == nil {
				states[key] = s
			}
		}
	}
	for _, r := range im.Snapshot.Config.Remotes() {
		im.importRemote(r, configured[r.Name], states[r.Name])
		delete(configured, r.Name)
	}
	for _, e := range im.config.child("nodes").all("node") {
		if name := cmp.Or(e.attr("uname"), e.attr("id")); configured[name] == e && isRemote(e) {
			im.note(e, name, "no resource connects to this remote node")
		}
	}
	for _, s := range im.root.child("status").all("node_state") { // what may still run on others
		if name := cmp.Or(s.attr("uname"), s.attr("id")); isTrue(s.attr("remote_node")) && im.hostBy[name] == nil && name != "" {
			im.importRemote(cib.Remote{Name: name}, nil, s)
		}
	}
}

// isRemote reports whether a node element is about a remote node or guest.
func isRemote(e *element) bool { return e.attr("type") == "remote" }

func (im *importer) importRemote(r cib.Remote, e, state *element) {
	h := &host{name: r.Name, id: r.Name, cluster: im.Snapshot.Config.Cluster.Name, state: state, kind: "remote"}
	if r.Guest {
		h.kind = "container"
	}
	var permanent, transient, capacity values
	if e != nil {
		im.pairs(&permanent, e, "instance_attributes", "", &subject{node: h})
		im.pairs(&capacity, e, "utilization", "", &subject{node: h})
	}
	im.pairs(&transient, im.transientOf(state), "instance_attributes", "", &subject{node: h})
	h.permanent, h.transient = permanent.of, transient.of
	im.hosts = append(im.hosts, h)
	im.hostBy[h.name], im.hostByID[h.id] = h, h

	n := &cib.RemoteNode{Utilization: im.capacities(e, &capacity)}
	for _, k := range permanent.names {
		switch v := permanent.of[k]; k {
		case "standby":
			n.Standby = isTrue(v)
		case "maintenance":
			n.Maintenance = isTrue(v)
		case "site-name":
			n.Site = v
		default:
			if n.Attributes == nil {
				n.Attributes = map[string]string{}
			}
			n.Attributes[k] = v
		}
	}
	n.Standby = n.Standby || isTrue(h.transient["standby"])
	n.Maintenance = n.Maintenance || isTrue(h.transient["maintenance"])
	if r.Resource != "" && (e != nil || n.Standby || n.Maintenance) {
		im.Snapshot.Config.RemoteNodes[h.name] = n
	}
	st := &im.Snapshot.Status
	st.Nodes[h.name] = &cib.NodeStatus{State: cib.NodeOnline, BootID: bootOf(h.name), Since: im.Now, Remote: true}
	if state != nil && isSet(state.attr("node_fenced")) {
		st.Nodes[h.name].State, st.Nodes[h.name].Reason = cib.NodeFenced, "it was fenced"
	}
	if isSet(h.transient["shutdown"]) {
		st.Nodes[h.name].State = cib.NodeLeaving
	}
	st.Attributes[h.name] = &cib.Attributes{BootID: bootOf(h.name), Values: h.transient}
}
