package whatif

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Suppose is what somebody supposes to be otherwise than a snapshot says.
type Suppose struct {
	Nodes       map[string]string `json:"nodes,omitempty" doc:"name to state: up, down or clean (left cleanly), unclean (lost), standby, maintenance"`
	Resources   map[string]string `json:"resources,omitempty" doc:"id to what an administrator would do: start, stop, manage, unmanage, maintenance-on, maintenance-off, or move"`
	Tickets     map[string]string `json:"tickets,omitempty" doc:"id to state: granted, revoked or standby"`
	Quorum      string            `json:"quorum,omitempty" doc:"whether the partition may act: have, lost, or never (it never had quorum)"`
	Failures    []string          `json:"failures,omitempty" doc:"RESOURCE:OPERATION@NODE[=RC] has failed, as in web:monitor@n1=7; RC is 1 if it is not given"`
	Utilization []string          `json:"utilization,omitempty" doc:"NAME:ATTRIBUTE=NUMBER: what a node has, or a resource needs"`
}

// Error is a supposition that makes no sense.
type Error struct {
	Part string // nodes, resources, tickets, quorum, failures, utilization
	What string // as it was given: "n9=down"
	Text string
}

// Error names the part and what is wrong with it.
func (e *Error) Error() string { return e.Part + " " + e.What + ": " + e.Text }

func nonsense(part, what string, err error) error { return &Error{part, what, err.Error()} }

// namesMax is how many names are listed of what there is instead.
const namesMax = 10

// thereAre lists the names of what there is.
func thereAre(names []string) string {
	switch {
	case len(names) == 0:
		return "; there is none"
	case len(names) > namesMax:
		return "; there are " + strings.Join(names[:namesMax], ", ") + fmt.Sprintf(" and %d more", len(names)-namesMax)
	}
	return "; there are " + strings.Join(names, ", ")
}

// ticketsOf lists the tickets that a configuration has, or names.
func ticketsOf(c *cib.Config) []string {
	names := slices.Collect(maps.Keys(c.Tickets))
	for _, x := range c.Constraints {
		if x != nil && x.Ticket != nil {
			names = append(names, x.Ticket.Ticket)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Apply changes a snapshot, which is the caller's own, as is supposed. An error is an
// [*Error].
func (f *Suppose) Apply(s *cib.Snapshot, now time.Time) error {
	s.Config = s.Config.Clone()
	for _, name := range slices.Sorted(maps.Keys(f.Resources)) {
		what := f.Resources[name]
		if !slices.Contains([]string{"start", "stop", "move", "manage", "unmanage", "maintenance-on", "maintenance-off"}, what) {
			return nonsense("resources", name+"="+what, errors.New("say start, stop, move, manage, unmanage, maintenance-on or maintenance-off"))
		}
		next, err := cib.Edit(s.Config, cib.EditRequest{Action: what, Object: "resource/" + name, Value: json.RawMessage("{}")})
		if err != nil {
			return nonsense("resources", name+"="+what, err)
		}
		s.Config = next
	}
	for _, name := range slices.Sorted(maps.Keys(f.Nodes)) {
		n := s.Config.Nodes[name]
		if n == nil {
			if err := setRemote(s, name, f.Nodes[name], now); err != nil {
				return nonsense("nodes", name+"="+f.Nodes[name], err)
			}
			continue
		}
		own := *n
		s.Config.Nodes[name] = &own
		if err := setNode(s, &own, name, f.Nodes[name], now); err != nil {
			return nonsense("nodes", name+"="+f.Nodes[name], err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Tickets)) {
		state := f.Tickets[name]
		t := &cib.Ticket{Granted: state != "revoked", Standby: state == "standby"}
		if !slices.Contains([]string{"granted", "revoked", "standby"}, state) {
			return nonsense("tickets", name+"="+state, errors.New("say granted, revoked or standby"))
		}
		if known := ticketsOf(s.Config); !slices.Contains(known, name) {
			return nonsense("tickets", name+"="+state, fmt.Errorf("there is no ticket %q%s", name, thereAre(known)))
		}
		if s.Config.Tickets == nil {
			s.Config.Tickets = map[string]*cib.Ticket{}
		}
		s.Config.Tickets[name] = t // granted or not by supposition: no arbitrator is asked
	}
	switch f.Quorum {
	case "":
		// Who supposes that voters are gone supposes what that does to the votes, too.
		if here, all, enough := votes(s); here < all && !enough && s.Status.Quorum == cib.QuorumHeld {
			s.Status.Quorum = cib.QuorumLost
		}
	case "have":
		s.Status.Quorum = cib.QuorumHeld
	case "lost":
		s.Status.Quorum = cib.QuorumLost
	case "never":
		s.Status.Quorum = cib.QuorumNever
	default:
		return nonsense("quorum", f.Quorum, errors.New("say have, lost or never"))
	}
	for _, arg := range f.Failures {
		if err := fail(s, arg, now); err != nil {
			return nonsense("failures", arg, err)
		}
	}
	for _, arg := range f.Utilization {
		if err := utilize(s, arg); err != nil {
			return nonsense("utilization", arg, err)
		}
	}
	return nil
}

func setNode(s *cib.Snapshot, n *cib.Node, name, state string, now time.Time) error {
	switch state {
	case "standby":
		n.Standby = true
		return nil
	case "maintenance":
		n.Maintenance = true
		return nil
	}
	st := &s.Status
	if st.View == nil {
		st.View = &cib.View{Number: 1, Formed: now}
	}
	if st.Nodes == nil {
		st.Nodes = map[string]*cib.NodeStatus{}
	}
	boot := ""
	if old := st.Nodes[name]; old != nil {
		boot = old.BootID
	}
	if m := st.Members[name]; m != nil {
		boot = m.BootID
	}
	view := *st.View
	view.Members = slices.DeleteFunc(slices.Clone(view.Members), func(m cib.ViewMember) bool { return m.Node == name })
	next := &cib.NodeStatus{BootID: boot, Since: now, Reason: "as the simulation says"}
	switch state {
	case "up", "online":
		n.Standby, n.Maintenance = false, false
		next.State = cib.NodeOnline
		incarnation := uint64(1)
		if m := st.Members[name]; m != nil {
			incarnation = m.Incarnation
		}
		view.Members = append(view.Members, cib.ViewMember{Node: name, Incarnation: incarnation, BootID: boot})
		slices.SortFunc(view.Members, func(a, b cib.ViewMember) int { return strings.Compare(a.Node, b.Node) })
	case "down", "clean", "offline":
		next.State = cib.NodeOffline
	case "unclean", "lost":
		next.State = cib.NodeUnclean
	default:
		return errors.New("say up, down, clean, unclean, standby or maintenance")
	}
	st.Nodes[name], st.View = next, &view
	return nil
}

// setRemote supposes a state of a remote node: its settings are a document of their
// own, which it need not have, and it is in no view.
func setRemote(s *cib.Snapshot, name, state string, now time.Time) error {
	i := slices.IndexFunc(s.Config.Remotes(), func(r cib.Remote) bool { return r.Name == name })
	if i < 0 {
		known := slices.Collect(maps.Keys(s.Config.Nodes))
		for _, r := range s.Config.Remotes() {
			if !r.Guest {
				known = append(known, r.Name)
			}
		}
		slices.Sort(known)
		return fmt.Errorf("there is no node %q%s", name, thereAre(known))
	}
	if r := s.Config.Remotes()[i]; r.Guest {
		return fmt.Errorf("it is inside of resource %s: suppose that that stops or fails", r.Resource)
	}
	own := cib.RemoteNode{}
	if r := s.Config.RemoteNodes[name]; r != nil {
		own = *r
	}
	next := &cib.NodeStatus{Since: now, Reason: "as the simulation says", Remote: true}
	if old := s.Status.Nodes[name]; old != nil {
		next.BootID = old.BootID
	}
	switch state {
	case "standby":
		own.Standby, next = true, nil
	case "maintenance":
		own.Maintenance, next = true, nil
	case "up", "online":
		own.Standby, own.Maintenance = false, false
		next.State = cib.NodeOnline
	case "down", "clean", "offline":
		next.State = cib.NodeOffline
	case "unclean", "lost":
		next.State = cib.NodeUnclean
	default:
		return errors.New("say up, down, unclean, standby or maintenance")
	}
	if s.Config.RemoteNodes == nil {
		s.Config.RemoteNodes = map[string]*cib.RemoteNode{}
	}
	s.Config.RemoteNodes[name] = &own
	if next == nil {
		return nil
	}
	if s.Status.Nodes == nil {
		s.Status.Nodes = map[string]*cib.NodeStatus{}
	}
	s.Status.Nodes[name] = next
	if next.State != cib.NodeOnline {
		delete(s.Status.Remotes, name)
	}
	return nil
}

// votes counts the voters that the view holds. At exactly half a quorum device has to
// decide; it is taken to decide for this part.
func votes(s *cib.Snapshot) (here, all int, enough bool) {
	v := s.Status.Voters
	if v == nil || s.Status.View == nil {
		return 0, 0, true
	}
	for _, m := range s.Status.View.Members {
		if slices.Contains(v.Voters, m.Node) {
			here++
		}
	}
	all = len(v.Voters)
	return here, all, 2*here > all || 2*here == all && len(s.Config.QuorumDevices) > 0
}

// fail writes down that an operation has failed on a node, with that return code.
func fail(s *cib.Snapshot, arg string, now time.Time) error {
	what, code, coded := strings.Cut(arg, "=")
	at := strings.LastIndexByte(what, '@')
	colon := strings.LastIndexByte(what[:max(at, 0)], ':')
	if colon <= 0 {
		return errors.New("say RESOURCE:OPERATION@NODE, as in web:monitor@n1")
	}
	instance, op, node := what[:colon], what[colon+1:at], what[at+1:]
	rc := cib.GenericError
	if coded {
		n, err := strconv.Atoi(code)
		if err != nil || n < 0 || n > 255 {
			return fmt.Errorf("%q is no return code of an agent", code)
		}
		rc = n
	}
	switch op {
	case cib.OpStart, cib.OpStop, cib.OpMonitor, cib.OpPromote, cib.OpDemote, cib.OpMigrateTo, cib.OpMigrateFrom, cib.OpReload:
	default:
		return fmt.Errorf("%q is no operation that can fail", op)
	}
	if s.Config.Nodes[node] == nil {
		return fmt.Errorf("there is no node %q", node)
	}
	resource := instance
	if i := strings.LastIndexByte(instance, ':'); i > 0 && s.Config.Resources[instance] == nil {
		resource = instance[:i]
	}
	r := s.Config.Resources[resource]
	switch {
	case r == nil:
		return fmt.Errorf("there is no resource %q", resource)
	case r.Agent == "":
		return fmt.Errorf("%s has no agent: name a primitive", resource)
	}
	h := &cib.History{Instance: instance, Resource: resource, Agent: r.Agent}
	if old := s.Status.Histories[node][instance]; old != nil {
		c := *old
		h = &c
	}
	if m := s.Status.Members[node]; m != nil {
		h.BootID, h.Incarnation = m.BootID, m.Incarnation
	}
	result := cib.OpResult{Op: op, RC: rc, Status: cib.OpDone, Started: now, Ended: now, Failed: true}
	if op == cib.OpMonitor {
		for _, o := range r.Operations {
			if o.Name == op && (result.Interval == 0 || o.Interval < result.Interval) && o.Interval > 0 {
				result.Interval, result.Role = o.Interval, o.Role
			}
		}
	}
	for i := range h.Ops {
		o := &h.Ops[i]
		result.Seq = max(result.Seq, o.Seq)
		if o.Op == op && o.Interval == result.Interval {
			result.Expected, result.Digest = o.Expected, o.Digest
		}
	}
	if result.RC == result.Expected {
		return fmt.Errorf("%d is what is expected of it", rc)
	}
	result.Seq++
	h.Ops = append(slices.Clone(h.Ops), result)
	h.FailCount, h.LastFailure = h.FailCount.Add(1), now
	if s.Status.Histories == nil {
		s.Status.Histories = map[string]map[string]*cib.History{}
	}
	all := maps.Clone(s.Status.Histories[node])
	if all == nil {
		all = map[string]*cib.History{}
	}
	all[instance] = h
	s.Status.Histories[node] = all
	return nil
}

// utilize sets one number of the utilization of a node or a resource.
func utilize(s *cib.Snapshot, arg string) error {
	what, text, _ := strings.Cut(arg, "=")
	colon := strings.LastIndexByte(what, ':')
	value, err := strconv.Atoi(text)
	if colon <= 0 || err != nil {
		return errors.New("say NAME:ATTRIBUTE=NUMBER, as in n1:cpu=4")
	}
	name, attribute := what[:colon], what[colon+1:]
	var of *map[string]int
	switch n, r := s.Config.Nodes[name], s.Config.Resources[name]; {
	case n != nil:
		own := *n
		s.Config.Nodes[name], of = &own, &own.Utilization
	case r != nil:
		own := *r
		s.Config.Resources[name], of = &own, &own.Utilization
	default:
		return fmt.Errorf("there is no node and no resource %q", name)
	}
	if *of = maps.Clone(*of); *of == nil {
		*of = map[string]int{}
	}
	(*of)[attribute] = value
	return nil
}
