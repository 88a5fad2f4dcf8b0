package policy

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// parts says which resources belong together: what a group or clone is made of,
// and what constraints relate. A decision about one part depends on nothing of
// another, apart from the counts of resources by node (see counts) and from what
// nodes suffer because of a resource, such as being fenced for a failed stop.
type parts struct {
	of          map[string]int32  // by name of a resource, even of one that does not exist
	names       [][]string        // by part; none of one that is no more
	constraints [][]string        // by part: ids
	patterns    []string          // ids of the constraints that are about whatever fits; they are in all parts
	held        map[string][]held // by name: the histories and pending actions
}

// held is where a history or a pending action of an instance is.
type held struct{ node, instance string }

// newParts finds the parts of a snapshot.
func newParts(s *cib.Snapshot) *parts {
	p := &parts{of: make(map[string]int32, len(s.Config.Resources)), held: map[string][]held{}}
	for node, all := range s.Status.Histories {
		for key, h := range all {
			name := holder(s, key, h, nil)
			p.held[name] = append(p.held[name], held{node, key})
		}
	}
	for node, all := range s.Status.Pending {
		for key, a := range all {
			if _, both := s.Status.Histories[node][key]; !both {
				name := holder(s, key, nil, a)
				p.held[name] = append(p.held[name], held{node, key})
			}
		}
	}
	for id, c := range s.Config.Constraints {
		if hasPattern(c) {
			p.patterns = append(p.patterns, id)
		}
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(p.held)), maps.Keys(s.Config.Resources))
	p.join(s.Config, names, slices.Collect(maps.Keys(s.Config.Constraints)))
	return p
}

// holder is the resource that a history or a pending action is about. What is not
// in the configuration is about what it says itself.
func holder(s *cib.Snapshot, key string, h *cib.History, a *cib.Pending) string {
	if s.Config.Resources[key] != nil {
		return key
	}
	if i := strings.LastIndexByte(key, ':'); i > 0 && s.Config.Resources[key[:i]] != nil {
		return key[:i]
	}
	switch {
	case h != nil:
		return cmp.Or(h.Resource, key)
	case a != nil:
		return cmp.Or(a.Resource, key)
	}
	return key
}

// join finds what belongs together of some resources and of the constraints on
// them, and makes new parts of it.
func (p *parts) join(c *cib.Config, names, constraints []string) {
	index := make(map[string]int32, len(names))
	up := make([]int32, 0, len(names)) // by name: towards the one that stands for its part
	number := func(name string) int32 {
		i, ok := index[name]
		if !ok {
			i = int32(len(up))
			index[name], up = i, append(up, i)
		}
		return i
	}
	find := func(i int32) int32 {
		for up[i] != i {
			up[i] = up[up[i]] // shorter for the next
			i = up[i]
		}
		return i
	}
	for _, id := range names {
		i := number(id)
		for _, child := range childrenOf(c.Resources[id]) {
			up[find(number(child))] = find(i)
		}
	}
	for _, id := range constraints {
		about, n := constrained(c.Constraints[id])
		for _, name := range about[:n] {
			up[find(number(name))] = find(number(about[0]))
		}
	}
	part := make([]int32, len(up)) // by what stands for it, plus one
	for name, i := range index {
		root := find(i)
		if part[root] == 0 {
			p.names, p.constraints = append(p.names, nil), append(p.constraints, nil)
			part[root] = int32(len(p.names))
		}
		n := part[root] - 1
		p.of[name] = n
		p.names[n] = append(p.names[n], name)
	}
	for _, id := range constraints {
		if about, n := constrained(c.Constraints[id]); n > 0 {
			p.constraints[p.of[about[0]]] = append(p.constraints[p.of[about[0]]], id)
		}
	}
}

// hasPattern reports whether a constraint is about whatever fits.
func hasPattern(c *cib.Constraint) bool {
	return c != nil && c.Location != nil && c.Location.Pattern != ""
}

// constrained returns the resources that a constraint names, and how many these
// are.
func constrained(c *cib.Constraint) (names [2]string, n int) {
	switch {
	case c == nil:
	case c.Location != nil && c.Location.Pattern != "":
		// about whatever fits: see patterns
	case c.Location != nil:
		names[0], n = c.Location.Resource, 1
	case c.Colocation != nil:
		names, n = [2]string{c.Colocation.Resource, c.Colocation.With}, 2
	case c.Order != nil:
		names, n = [2]string{c.Order.First, c.Order.Then}, 2
	case c.Ticket != nil:
		names[0], n = c.Ticket.Resource, 1
	}
	return names, n
}

// cut returns what a snapshot would be if there were only some of its parts.
func (p *parts) cut(s *cib.Snapshot, chosen map[int32]bool) *cib.Snapshot {
	out, c := *s, *s.Config
	out.Config = &c
	c.Resources, c.Constraints = map[string]*cib.Resource{}, map[string]*cib.Constraint{}
	out.Status.Histories, out.Status.Pending = map[string]map[string]*cib.History{}, map[string]map[string]*cib.Pending{}
	out.Status.Rounds = nil
	for n := range chosen {
		for _, id := range p.names[n] {
			if r := s.Status.Rounds[id]; r != nil {
				if out.Status.Rounds == nil {
					out.Status.Rounds = map[string]*cib.Round{}
				}
				out.Status.Rounds[id] = r
			}
			if r, ok := s.Config.Resources[id]; ok {
				c.Resources[id] = r
			}
			for _, x := range p.held[id] {
				if h, ok := s.Status.Histories[x.node][x.instance]; ok {
					put(out.Status.Histories, x, h)
				}
				if a, ok := s.Status.Pending[x.node][x.instance]; ok {
					put(out.Status.Pending, x, a)
				}
			}
		}
		for _, id := range p.constraints[n] {
			c.Constraints[id] = s.Config.Constraints[id]
		}
	}
	for _, id := range p.patterns {
		c.Constraints[id] = s.Config.Constraints[id]
	}
	return &out
}

func put[V any](m map[string]map[string]V, x held, v V) {
	if m[x.node] == nil {
		m[x.node] = map[string]V{}
	}
	m[x.node][x.instance] = v
}

// follow brings the parts from one snapshot to the next, and returns the names of
// the resources about which anything is different. It returns false where the
// difference concerns more than single resources.
func (p *parts) follow(before, after *cib.Snapshot) (map[string]bool, bool) {
	if !sameBackground(before, after) {
		return nil, false
	}
	dirty := map[string]bool{}
	if !p.followConfig(before, after, dirty) {
		return nil, false
	}
	ok := true
	changed := func(node, key string, had, has bool, name string) {
		dirty[name] = true
		_, known := p.of[name]
		ok = ok && known // else nobody knows yet what it belongs to
		if had == has {
			return
		}
		if has {
			p.held[name] = append(slices.Clone(p.held[name]), held{node, key})
		} else {
			p.held[name] = slices.DeleteFunc(slices.Clone(p.held[name]), func(x held) bool { return x == held{node, key} })
		}
	}
	has := func(s *cib.Snapshot, node, key string) bool {
		_, h := s.Status.Histories[node][key]
		_, a := s.Status.Pending[node][key]
		return h || a
	}
	eachDifference(before.Status.Histories, after.Status.Histories, func(node, key string, was, is *cib.History) {
		name := holder(after, key, cmp.Or(is, was), nil)
		if was != nil && is != nil && was.Resource != is.Resource && holder(after, key, was, nil) != name {
			ok = false // it became one of another resource
		}
		changed(node, key, has(before, node, key), has(after, node, key), name)
	})
	eachDifference(before.Status.Pending, after.Status.Pending, func(node, key string, was, is *cib.Pending) {
		if before.Status.Histories[node][key] != after.Status.Histories[node][key] {
			return // that was seen above
		}
		changed(node, key, has(before, node, key), has(after, node, key), holder(after, key, after.Status.Histories[node][key], cmp.Or(is, was)))
	})
	eachDifferent(before.Status.Rounds, after.Status.Rounds, func(inner string, _, _ *cib.Round) {
		dirty[inner] = true
		_, known := p.of[inner]
		ok = ok && known
	})
	return dirty, ok
}

// followConfig looks for differences of the configuration, and finds the parts
// anew if there are any that matter for them.
func (p *parts) followConfig(before, after *cib.Snapshot, dirty map[string]bool) bool {
	a, b := before.Config, after.Config
	renew := false
	var constraints []string
	eachDifferent(a.Resources, b.Resources, func(id string, was, is *cib.Resource) {
		dirty[id] = true
		same := was != nil && is != nil && slices.Equal(childrenOf(was), childrenOf(is))
		renew = renew || !same
		for _, child := range slices.Concat(childrenOf(was), childrenOf(is)) {
			dirty[child] = true
		}
	})
	single := true
	eachDifferent(a.Constraints, b.Constraints, func(id string, was, is *cib.Constraint) {
		single = single && !hasPattern(was) && !hasPattern(is)
		x, n := constrained(was)
		y, m := constrained(is)
		for _, name := range slices.Concat(x[:n], y[:m]) {
			dirty[name] = true
		}
		if x != y {
			renew, constraints = true, append(constraints, id)
		}
	})
	if !renew || !single {
		return single
	}
	// Whatever belonged together with what has changed, or does now, has changed.
	touched := map[int32]bool{}
	for name := range dirty {
		if n, ok := p.of[name]; ok {
			touched[n] = true
		}
		if len(p.held[name]) > 0 && (a.Resources[name] == nil) != (b.Resources[name] == nil) {
			return false // histories change hands
		}
	}
	for n := range touched {
		for _, name := range p.names[n] {
			dirty[name] = true
		}
		constraints = append(constraints, p.constraints[n]...)
		p.names[n], p.constraints[n] = nil, nil
	}
	slices.Sort(constraints)
	constraints = slices.DeleteFunc(slices.Compact(constraints), func(id string) bool { return b.Constraints[id] == nil })
	p.join(b, slices.Collect(maps.Keys(dirty)), constraints)
	return true
}

// eachDifferent calls f for each entry that is not the same in both maps.
func eachDifferent[V any](a, b map[string]*V, f func(key string, was, is *V)) {
	if sameMap(a, b) {
		return
	}
	for key, is := range b {
		if was := a[key]; was != is {
			f(key, was, is)
		}
	}
	for key, was := range a {
		if _, ok := b[key]; !ok {
			f(key, was, nil)
		}
	}
}

func eachDifference[V any](a, b map[string]map[string]*V, f func(node, key string, was, is *V)) {
	if sameMap(a, b) {
		return
	}
	for node, all := range b {
		eachDifferent(a[node], all, func(key string, was, is *V) { f(node, key, was, is) })
	}
	for node, all := range a {
		if _, ok := b[node]; !ok {
			eachDifferent(all, nil, func(key string, was, _ *V) { f(node, key, was, nil) })
		}
	}
}

// sameMap reports whether two maps are one. The snapshots of a cluster share what
// did not change, so that most comparisons end here.
func sameMap[K comparable, V any](a, b map[K]V) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// sameBackground reports whether all that concerns more than single resources is
// the same. What no decision is made on is not compared; what is not named here is.
func sameBackground(a, b *cib.Snapshot) bool {
	return sameFields(*a.Config, *b.Config, "Resources", "Constraints") &&
		sameFields(a.Status, b.Status, "Histories", "Pending", "Rounds", "Readiness", "Stores", "Links", "Events", "Tickets") && sameTickets(a, b)
}

// sameTickets reports whether the same tickets are held: that one was renewed changes
// no decision.
func sameTickets(a, b *cib.Snapshot) bool {
	if sameMap(a.Status.Tickets, b.Status.Tickets) {
		return true
	}
	for id := range b.Config.Tickets { // the configuration's tickets are the same
		if a.TicketHeld(id) != b.TicketHeld(id) {
			return false
		}
	}
	return true
}

// sameFields compares two structs without some of their fields. Documents that are
// shared are not looked into.
func sameFields(a, b any, without ...string) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !slices.Contains(without, x.Type().Field(i).Name) && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return false
		}
	}
	return true
}
