package pacemaker

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// host is one cluster node of the CIB.
type host struct {
	name, id  string
	permanent map[string]string
	transient map[string]string
	dc        bool
	cluster   string
	kind      string   // remote or container; "" is a cluster node
	state     *element // its node_state; nil if there is none
}

// attribute returns a node attribute as rules see it.
func (h *host) attribute(name string) (string, bool) {
	switch name {
	case "#uname":
		return h.name, true
	case "#id":
		return h.id, true
	case "#kind":
		return cmp.Or(h.kind, "cluster"), true
	case "#is_dc":
		return strconv.FormatBool(h.dc), true
	case "#cluster-name":
		return h.cluster, h.cluster != ""
	case "#site-name":
		if v, ok := h.transient["site-name"]; ok {
			return v, true
		}
		if v, ok := h.permanent["site-name"]; ok {
			return v, true
		}
		return h.cluster, h.cluster != ""
	}
	if v, ok := h.transient[name]; ok {
		return v, true
	}
	v, ok := h.permanent[name]
	return v, ok
}

// importQuorum reads whether the partition that wrote the CIB had quorum.
func (im *importer) importQuorum() {
	have, said := im.root.lookup("have-quorum")
	switch {
	case !said || isTrue(have): // a CIB that no cluster wrote does not say
	case isTrue(im.root.attr("no-quorum-panic")): // it has had it before
		im.Snapshot.Status.Quorum = cib.QuorumLost
	default:
		im.Snapshot.Status.Quorum = cib.QuorumNever
	}
}

// importNodes makes the nodes, and says of each what it is: member, lost, left.
func (im *importer) importNodes() {
	states := map[string]*element{}
	for _, s := range im.root.child("status").all("node_state") {
		for _, key := range []string{s.attr("id"), s.attr("uname")} {
			if key != "" && states[key] == nil {
				states[key] = s
			}
		}
	}
	c := im.Snapshot.Config
	view := &cib.View{Number: 1, Reason: "imported", Formed: im.Now}
	im.Snapshot.Status.View = view
	for _, e := range im.config.child("nodes").all("node") {
		im.importNode(e, states, uint32(len(c.Nodes)+1), view)
	}
	im.numberNodes()
	view.DC = im.hostNamed(im.root.attr("dc-uuid"))
}

// numberNodes numbers the nodes in the order in which their states stand: the one
// in which they joined. Pacemaker numbers the instances of clones by it.
func (im *importer) numberNodes() {
	number := uint32(0)
	done := map[*cib.Node]bool{}
	give := func(n *cib.Node) {
		if n != nil && !done[n] {
			number++
			n.ID, done[n] = number, true
		}
	}
	for _, s := range im.root.child("status").all("node_state") {
		for _, key := range []string{s.attr("id"), s.attr("uname")} {
			if name := im.hostNamed(key); name != "" {
				give(im.Snapshot.Config.Nodes[name])
			}
		}
	}
	for _, h := range im.hosts {
		give(im.Snapshot.Config.Nodes[h.name])
	}
}

func (im *importer) hostNamed(id string) string {
	if h := im.hostByID[id]; h != nil {
		return h.name
	}
	if im.hostBy[id] != nil {
		return id
	}
	return ""
}

func (im *importer) importNode(e *element, states map[string]*element, number uint32, view *cib.View) {
	id, name := e.attr("id"), cmp.Or(e.attr("uname"), e.attr("id"))
	switch kind := e.attr("type"); {
	case name == "":
		im.note(e, id, "it has neither a name nor an id")
		return
	case kind == "remote":
		return // see importRemotes
	case kind == "ping":
		im.note(e, name, "ping nodes are not known here: see quorum devices and the ping agent")
		return
	case im.hostBy[name] != nil:
		im.note(e, name, "a second node of that name")
		return
	}
	if kind := e.attr("type"); kind != "" && kind != "normal" && kind != "member" {
		im.noteName(e, name, "type", "%q is not known; it is taken for a cluster node", shorten(kind))
	}
	if other := im.hostByID[id]; other != nil && id != "" {
		im.note(e, name, "its id %s is that of node %s", shorten(id), shorten(other.name))
	}
	h := &host{name: name, id: id, dc: id == im.root.attr("dc-uuid"), cluster: im.Snapshot.Config.Cluster.Name}
	if h.state = states[id]; h.state == nil {
		h.state = states[name]
	}
	var permanent, transient, capacity values
	im.pairs(&permanent, e, "instance_attributes", "", &subject{node: h})
	im.pairs(&capacity, e, "utilization", "", &subject{node: h})
	im.pairs(&transient, im.transientOf(h.state), "instance_attributes", "", &subject{node: h})
	h.permanent, h.transient = permanent.of, transient.of
	im.hosts = append(im.hosts, h)
	im.hostBy[name], im.hostByID[id] = h, h

	n := &cib.Node{ID: number, Attributes: map[string]string{}, Utilization: im.capacities(e, &capacity)}
	for _, k := range permanent.names {
		v := permanent.of[k]
		if _, ok := parseBool(v); !ok && (k == "standby" || k == "maintenance") {
			im.noteName(e, name, k, "the value %q is not understood; it is taken as false", shorten(v))
		}
		switch k {
		case "standby":
			n.Standby = isTrue(v)
		case "maintenance":
			n.Maintenance = isTrue(v)
		case "site-name":
			n.Site = v
		default:
			n.Attributes[k] = v
		}
	}
	if v, ok := h.transient["standby"]; ok && isTrue(v) {
		n.Standby = true
	}
	if v, ok := h.transient["maintenance"]; ok && isTrue(v) {
		n.Maintenance = true
	}
	im.Snapshot.Config.Nodes[name] = n
	im.nodeStatus(h, view)
}

func (im *importer) transientOf(state *element) *element {
	if state == nil {
		return nil
	}
	return state.child("transient_attributes")
}

// capacities reads utilization: whole numbers.
func (im *importer) capacities(e *element, v *values) map[string]int {
	if len(v.names) == 0 {
		return nil
	}
	out := make(map[string]int, len(v.names))
	for _, name := range v.names {
		f, err := strconv.ParseFloat(strings.TrimSpace(v.of[name]), 64)
		if err != nil || f < -1e9 || f > 1e9 {
			im.noteName(e, e.attr("id"), name, "utilization %q is not a number", shorten(v.of[name]))
			continue
		}
		out[name] = int(f)
	}
	return out
}

// bootOf is the boot id that an imported node has.
func bootOf(name string) string { return "imported-" + name }

// nodeStatus writes down what a node_state says.
func (im *importer) nodeStatus(h *host, view *cib.View) {
	st := &im.Snapshot.Status
	state, reason := im.judge(h)
	st.Nodes[h.name] = &cib.NodeStatus{State: state, BootID: bootOf(h.name), Since: im.Now, Reason: reason}
	if state == cib.NodeOnline || state == cib.NodeLeaving {
		view.Members = append(view.Members, cib.ViewMember{Node: h.name, Incarnation: 1, BootID: bootOf(h.name)})
		st.Members[h.name] = &cib.Member{Node: h.name, Incarnation: 1, BootID: bootOf(h.name), Shutdown: state == cib.NodeLeaving, Started: im.Now}
		st.Attributes[h.name] = &cib.Attributes{BootID: bootOf(h.name), Values: h.transient}
	}
}

// pendingMax is how long a node may take to join after it was seen.
const pendingMax = 2 * time.Hour

// judge says in which state a node is, as Pacemaker reads its node_state.
func (im *importer) judge(h *host) (cib.NodeState, string) {
	fencing := im.Snapshot.Config.Cluster.Options.Fencing()
	s := h.state
	if s == nil {
		if fencing && im.Snapshot.Config.Cluster.Options.FencesAtStartup() {
			return cib.NodeUnclean, "it was never seen"
		}
		return cib.NodeOffline, ""
	}
	member, online := truth(s.first("in_ccm")), truth(s.first("crmd"))
	join, expected := s.attr("join"), s.attr("expected")
	shutdown := isSet(h.transient["shutdown"])
	if !fencing {
		switch {
		case !member:
			return cib.NodeOffline, ""
		case !online && expected == "member" && !shutdown:
			return cib.NodeUnclean, "it is down unexpectedly"
		case !online || join != "member":
			return cib.NodeOffline, ""
		case shutdown:
			return cib.NodeLeaving, ""
		}
		return cib.NodeOnline, ""
	}
	terminate := isSet(h.transient["terminate"])
	switch {
	case shutdown && online:
		return cib.NodeLeaving, ""
	case shutdown:
		return cib.NodeOffline, ""
	case s.attr("in_ccm") == "":
		return cib.NodeUnclean, "it was never seen by the cluster"
	case join == "nack" || join == "banned":
		return cib.NodeUnclean, "it was refused as a member"
	case terminate && !member && !online && join == "down":
		return cib.NodeOffline, ""
	case terminate:
		return cib.NodeUnclean, "its fencing was asked for"
	case expected == "" || expected == "down":
		if !member && !online {
			return cib.NodeOffline, ""
		}
		if since, ok := parseEpoch(s.attr("in_ccm")); ok && !online && im.Now.Sub(since) > pendingMax {
			return cib.NodeUnclean, "it did not join in time"
		}
		return cib.NodeJoining, ""
	case !member:
		return cib.NodeUnclean, "it is no longer part of the cluster"
	case !online:
		return cib.NodeUnclean, "its cluster manager is not there any more"
	case join == "member":
		return cib.NodeOnline, ""
	case join == "pending" || join == "down":
		return cib.NodeJoining, ""
	}
	return cib.NodeUnclean, "it is in an unknown state"
}

// truth reads a boolean that may be the time since when it is true.
func truth(text string) bool {
	if strings.EqualFold(text, "online") {
		return true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n > 0
	}
	return isTrue(text)
}

// isSet reads an attribute that is a time, or a boolean.
func isSet(text string) bool {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n != 0
	}
	return isTrue(text)
}
