package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// node is one configured node as the snapshot shows it.
type node struct {
	name   string
	index  int32
	cfg    *cib.Node
	status *cib.NodeStatus
	// boot is the boot of the machine that histories must be of to count; ""
	// where nothing can be active.
	boot        string
	incarnation uint64 // of its engine; histories of older ones are assumed, not known
	member      bool   // in the view: actions can run on it
	usable      bool   // what is not there yet may be placed on it
	lost        bool   // what ran there may still run, until a proof
	joining     bool   // it is about to become a member: what runs there will be known soon
	leaving     bool   // it is being shut down
	frozen      bool   // its engine restarts, or nothing is decided about it: nothing is done there
	maintenance bool
	health      cib.Score // what the node-health-strategy makes of its health attributes
	why         string    // why it is not usable, in words
	fence       string    // why it is to be fenced; "" means that it is not
	dead        string    // in words: why what ran there runs no more; "" where that is not so
	proof       string    // id of the proof of it
	fenceable   bool      // a fence device is configured for it
	attributes  map[string]string

	standby   string // why a failure put it in standby; "" where none did
	kind      nodeKind
	remote    *remote // of a node without an engine of its own; see remote.go
	connected bool    // its connection is up
	adrift    bool    // its connection is gone, and what runs there may go on
	returns   bool    // a guest that is lost and comes back with the plan
}

// attribute returns an attribute of the node: a built-in one (#uname, #site,
// #kind), a transient one, a permanent one.
func (n *node) attribute(name string) (string, bool) {
	switch name {
	case "#uname", "#id", "":
		return n.name, true
	case "#site", "#site-name":
		return n.cfg.Site, n.cfg.Site != ""
	case "#kind":
		return n.kind.String(), true
	}
	if v, ok := n.attributes[name]; ok {
		return v, true
	}
	v, ok := n.cfg.Attributes[name]
	return v, ok
}

// unpackNodes decides for every configured node what it may be used for and
// which boot of it counts.
func (u *state) unpackNodes() {
	st := &u.s.Status
	names := slices.SortedFunc(maps.Keys(u.s.Config.Nodes), compareNames)
	u.nodes = make([]node, 0, len(names))
	u.nodeIndex = make(map[string]int32, len(names))
	for _, name := range names {
		cfg := u.s.Config.Nodes[name]
		if cfg == nil {
			continue
		}
		n := node{name: name, index: int32(len(u.nodes)), cfg: cfg, status: st.Nodes[name], maintenance: cfg.Maintenance}
		u.unpackNode(&n)
		n.health = n.healthOf(u.opt)
		u.nodeIndex[name] = n.index
		u.nodes = append(u.nodes, n)
	}
}

// compareNames orders names as people do: the numbers in them by their value.
func compareNames(a, b string) int {
	for x, y := a, b; x != "" && y != ""; {
		m, n := digits(x), digits(y)
		if m == 0 || n == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		v, w := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
		if c := cmp.Or(cmp.Compare(len(v), len(w)), strings.Compare(v, w)); c != 0 {
			return c
		}
		x, y = x[m:], y[n:]
	}
	return strings.Compare(a, b)
}

// digits counts the digits at the beginning of a text.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

func (u *state) unpackNode(n *node) {
	st := &u.s.Status
	n.fenceable = fenceable(u.s.Config, n.name)
	member := st.Members[n.name]
	state := cib.NodeUnknown
	if n.status != nil && n.status.State != 0 {
		state = n.status.State
		n.boot = n.status.BootID
	}
	if vm, ok := u.inView[n.name]; ok && (state == cib.NodeOnline || state == cib.NodeLeaving) {
		n.member = true
		n.boot, n.incarnation = vm.BootID, vm.Incarnation
		if member != nil {
			n.boot, n.incarnation = member.BootID, member.Incarnation
		}
		if a := st.Attributes[n.name]; a != nil && a.BootID == n.boot {
			n.attributes = a.Values
		}
	}
	if n.boot == "" && member != nil {
		n.boot = member.BootID
	}
	switch state {
	case cib.NodeOnline, cib.NodeLeaving:
		u.unpackMember(n, state, member)
	case cib.NodeUnclean, cib.NodeFencing:
		u.unpackLost(n)
	case cib.NodeFenced:
		n.dead, n.proof, n.why = "node "+n.name+" was fenced", n.status.Proof, "is fenced"
	case cib.NodeOffline:
		n.dead, n.why = "node "+n.name+" left the cluster", "is offline"
	case cib.NodeRestarting:
		n.frozen, n.why = true, "restarts its engine"
		if member != nil {
			n.incarnation = member.Incarnation
		}
	case cib.NodeUnknown, cib.NodeJoining:
		n.frozen, n.joining, n.why = true, state == cib.NodeJoining, "is not a member yet"
	default:
		n.frozen, n.why = true, "is in an unknown state"
	}
}

func (u *state) unpackMember(n *node, state cib.NodeState, member *cib.Member) {
	if !n.member { // online by its status, yet not in the view: about to be decided
		n.frozen, n.why = true, "is not in the view"
		return
	}
	switch {
	case state == cib.NodeLeaving || member != nil && member.Shutdown:
		n.why, n.leaving = "leaves the cluster", true
	case n.cfg.Arbiter:
		n.why = "is an arbiter, which hosts nothing"
	case n.cfg.Standby:
		n.why = "is in standby"
	case n.status.FailStandby:
		n.why = "is in standby since an operation failed there"
	case n.cfg.Maintenance:
		n.why = "is in maintenance"
	default:
		n.usable = true
	}
	// A request that stands may shoot the node at any moment, whoever made it.
	if r := u.s.Status.Requests[n.name]; openRequest(r) && (r.BootID == "" || r.BootID == n.boot) {
		u.condemn(n, "its fencing was requested: "+r.Why.Cause)
	}
}

func (u *state) unpackLost(n *node) {
	if !n.fenceable && !u.opt.Fencing() {
		n.dead, n.why = fmt.Sprintf("node %s is lost, and fencing is off", n.name), "is lost"
		return
	}
	n.lost, n.why = true, "is lost and not fenced yet"
	n.fence = "node " + n.name + " is lost"
	if n.status.Reason != "" {
		n.fence += ": " + n.status.Reason
	}
}

// condemn marks a member that must be fenced: nothing is placed on it any more,
// and what runs there is recovered after the proof.
func (u *state) condemn(n *node, reason string) {
	if n.fence == "" {
		n.fence = reason
	}
	n.lost, n.usable, n.why = true, false, "is to be fenced"
}

// openRequest reports whether a fence request is still to be carried out. One
// that failed is tried again after a pause.
func openRequest(r *cib.FenceRequest) bool {
	return r != nil && (r.State == cib.FenceRequested || r.State == cib.FenceExecuting || r.State == cib.FenceFailed)
}

// fenceable reports whether a fence device is configured for the node.
func fenceable(c *cib.Config, name string) bool {
	for _, d := range c.FenceDevices {
		if d == nil {
			continue
		}
		if _, ok := d.Targets[name]; ok || len(d.Targets) == 0 {
			return true
		}
	}
	return false
}
